"""What all dashboards share: the session, the page in a browser, the object in a cell, the command."""

from __future__ import annotations

import csv
import importlib.resources
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from playwright.sync_api import expect

import twinkit as tk
from twinkit import TwinError
from twinkit.cli import main
from twinkit.view.dashboard import APPS, app_of
from twinkit.view.dashboard.page import picture, table
from twinkit.view.dashboard.session import DOES, ROLES, Session, said

APP = str(Path(__file__).parent / "browser")
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e"


@pytest.fixture(scope="module")
def small(dashboards, shared_town):
    """The small app on the shared town, where everybody may do everything."""
    with dashboards(shared_town, "--app", "small_app.app", environment={"PYTHONPATH": APP}) as address:
        yield f"{address}/small_app"


def ready(page):
    page.get_by_role("heading", name="Small").wait_for()
    page.locator("canvas").first.wait_for(state="attached")
    return page


# ---------------------------------------------------------------- the session


@pytest.mark.parametrize("role", ROLES)
def test_each_role_does_its_own_and_no_more(town, role):
    session = Session(twin=town, role=role)
    done = [needed for needed in ROLES if session.act(needed, lambda: "done") == "done"]
    assert set(done) == DOES[role]
    assert sum(n.kind == "alert" for n in session.notices) == len(ROLES) - len(done)


def test_the_role_is_asked_for_each_act(town):
    roles = iter(["planner", "viewer", None])
    session = Session(twin=town, role="planner", asked=lambda: now[0])
    now = [next(roles)]
    assert session.act("planner", lambda: 1) == 1
    for role in roles:
        now[0] = role
        assert session.act("planner", lambda: 1) is None
    assert session.role == "viewer"
    assert "needs the role planner; you are viewer" in session.notices[-1].text


def test_a_register_that_does_not_answer_lets_nobody_act(town):
    def asked():
        raise TwinError("a database that answers", found="none", hint="start it")

    session = Session(twin=town, role="planner", asked=asked)
    assert session.act("planner", lambda: 1) is None
    assert "a database that answers" in session.notices[-1].text


def wrong():
    raise TwinError("a branch that is free", found="'a'", hint="choose another name")


def test_what_goes_wrong_becomes_a_notice(town):
    session = Session(twin=town, role="administrator")
    heard = []
    session.listen(heard.append)

    assert session.act("planner", wrong) is None
    assert "expected a branch that is free" in heard[-1].text
    assert session.act("planner", lambda: 1 / 0) is None
    assert heard[-1].text == said("failed", language="en")
    assert [n.kind for n in heard] == ["alert", "alert"]


def test_an_alert_goes_with_the_next_act_that_succeeds(town):
    session = Session(twin=town, role="planner")
    heard = []
    session.listen(heard.append)

    session.act("planner", wrong)
    session.act("viewer", lambda: None, by_itself=True)
    assert session.standing is heard[-1], "what the page does by itself answers nobody"
    session.act("viewer", lambda: session.act("planner", wrong))
    assert session.standing.kind == "alert", "an act within an act has failed just now"
    session.act("viewer", lambda: None)
    assert session.standing is heard[-1] is None
    session.act("planner", wrong)
    session.act("planner", lambda: None, done="saved")
    session.act("viewer", lambda: None)
    assert session.standing.text == "saved"
    session.tell("an alarm", kind="alert", stays=True)
    session.act("viewer", lambda: None)
    assert session.standing.text == "an alarm", "an act does not end what it did not begin"


def test_a_store_that_is_gone_stays_said_until_it_is_back(town, town_store):
    session = Session(town_store, role="planner")
    assert session.twin["sites"].sizes
    shutil.move(town_store, town_store.with_name("elsewhere"))
    session.fresh()
    session.act("viewer", lambda: None)
    assert session.standing.text.startswith("The store is gone")
    shutil.move(town_store.with_name("elsewhere"), town_store)
    session.fresh()
    assert session.standing.kind == "status"


def test_that_the_store_is_newer_is_said_beside_the_answer_to_an_act(town, town_store):
    session = Session(town_store, role="planner")
    assert session.twin["sites"].sizes
    session.act("planner", lambda: None, done="saved")
    tk.save(tk.extend(town, note=xr.Dataset({"word": ("line", ["x"])})), town_store, message="another node")
    session.fresh()
    first, second = session.standing.text.split("\n")
    assert (first, second) == ("saved", said("newer", language="en"))


def test_a_store_that_changes_vanishes_and_returns_is_said_once_each(town, town_store):
    session = Session(town_store, role="planner")
    shown = session.twin
    assert [session.fresh(), session.fresh()] == ["same", "same"]
    tk.save(tk.extend(town, note=xr.Dataset({"word": ("line", ["x"])})), town_store, message="another node")
    assert [session.fresh(), session.fresh()] == ["newer", "newer"]
    assert session.twin is shown
    shutil.move(town_store, town_store.with_name("elsewhere"))
    assert [session.fresh(), session.fresh()] == ["gone", "gone"]
    assert session.act("planner", lambda: tk.branch(town_store, "a")) is None
    shutil.move(town_store.with_name("elsewhere"), town_store)
    assert session.fresh() == "newer"
    assert "note" in session.reopen().children
    assert session.fresh() == "same"
    kinds = [n.text[:20] for n in session.notices]
    assert kinds[0] == session.say("newer")[:20]
    assert len(kinds) == len([k for k, before in zip(kinds, ["", *kinds[:-1]], strict=True) if k != before])


def test_what_somebody_types_is_shortened_by_nobody_and_obeyed_by_nothing(town):
    session = Session(twin=town)
    assert session.text("  two masts ") == "two masts"
    assert "\x1b" not in session.text(HOSTILE)
    assert "\u202e" not in session.text(HOSTILE)
    with pytest.raises(TwinError, match="at most 600 characters; found 10,000,000"):
        session.text("x" * 10_000_000)


@pytest.mark.parametrize(
    ("given", "word"),
    [({}, "a store or a twin"), ({"role": "king"}, "one of viewer"), ({"language": "de"}, "a language among")],
)
def test_an_unfit_session_is_one_message(town, given, word):
    with pytest.raises(TwinError, match=word):
        Session(**({"twin": town} | given if given else {}))


def test_words_are_there_in_every_language():
    folder = importlib.resources.files("twinkit.view.dashboard")
    for file in (f for f in folder.iterdir() if f.name.startswith("words") and f.name.endswith(".csv")):
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        assert len({r["key"] for r in rows}) == len(rows), file.name
        for row in rows:
            parts = {c: {p.split("}")[0] for p in row[c].split("{")[1:]} for c in ("en", "hi", "fr", "fa")}
            assert all(row[c] for c in parts), (file.name, row["key"])
            assert all(p == parts["en"] for p in parts.values()), (file.name, row["key"])


# ---------------------------------------------------------------- pictures and tables


def test_nothing_in_a_table_is_html():
    frame = pd.DataFrame({HOSTILE: [HOSTILE, "plain"], "share": [np.nan, 0.5]})
    made = table(frame, caption=HOSTILE)
    assert "<script" not in made
    assert "<img" not in made
    assert "\x1b" not in made
    assert "–" in made


def test_a_long_table_says_what_it_leaves_out():
    made = table(pd.DataFrame({"n": np.arange(1000)}))
    assert made.count("<tr>") == 201
    assert "200 of 1,000 rows" in made


def test_a_picture_keeps_its_figure_and_takes_another(town):
    drawn = tk.view.map_of(town["surface/people"])
    made = picture(HOSTILE, drawn)
    assert "<script" not in made.view[0].object
    assert drawn.alt[:30] in made._image[0].object
    assert "<table" in made._about.object
    made.show(alt="other words")
    assert made.alt == "other words"


# ---------------------------------------------------------------- in a browser


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_the_page_is_for_everybody(looking, small, axe, width, scheme):
    page = ready(looking(small, width=width, scheme=scheme))
    page.wait_for_timeout(600)
    assert axe(page) == []
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    sizes = page.evaluate(SMALLEST)
    assert min(sizes) >= 14, sizes


SMALLEST = """() => { const sizes = []; const walk = root => { for (const e of root.querySelectorAll('*')) {
    if (e.shadowRoot) walk(e.shadowRoot);
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (text && e.checkVisibility() && !['STYLE', 'SCRIPT', 'NOSCRIPT'].includes(e.tagName)
        && !e.closest('.bk-Canvas') && !(e.getRootNode().host?.className ?? '').includes('bk-Toolbar'))
      sizes.push(parseFloat(getComputedStyle(e).fontSize)); } };
    walk(document); return sizes }"""


def test_keyboard_alone_suffices(looking, small, shared_town):
    page = ready(looking(small))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Tab")
    for _ in range(12):
        if page.evaluate(FOCUSED) == "Branch":
            break
        page.keyboard.press("Tab")
    page.keyboard.type("by-keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("[role=status]")).to_have_text("saved by-keyboard")
    assert "by-keyboard" in tk.store.branches(shared_town)


FOCUSED = """() => { let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    return e ? (e.labels?.[0]?.textContent ?? e.getAttribute('aria-label') ?? e.textContent).trim() : '' }"""


def test_the_skip_link_leads_past_the_controls(looking, small):
    page = ready(looking(small))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED.replace("?? e.textContent", "?? ''")) == "Pictures"


def test_persian_runs_from_right_to_left(looking, small, axe):
    page = looking(f"{small}?language=fa", width=360)
    page.get_by_role("heading", name="Small").wait_for()
    assert page.evaluate("document.documentElement.dir + document.documentElement.lang") == "rtlfa"
    assert page.locator(".tk-page").evaluate("e => getComputedStyle(e).direction") == "rtl"
    page.get_by_text(said("table", language="fa")).first.wait_for()
    assert axe(page) == []


def test_what_is_typed_is_shown_and_never_obeyed(looking, small):
    page = ready(looking(small))
    page.get_by_label("Branch").fill(HOSTILE.replace("\x1b", ""))
    page.get_by_label("Branch").press("Tab")
    page.get_by_role("button", name="Save branch").click()
    alert = page.locator("[role=alert]").last
    alert.get_by_text("expected").wait_for()
    expect(alert).to_contain_text("<script>")
    assert page.locator("img[src=x]").count() == 0


def test_what_fails_inside_is_one_sentence(looking, small):
    page = ready(looking(small))
    page.get_by_role("button", name="Fail").click()
    page.get_by_text("This did not work; nothing was changed.").wait_for()
    assert page.get_by_text("ZeroDivisionError").count() == 0
    page.get_by_role("button", name="Count sites").click()
    expect(page.locator("[role=alert]").filter(has_text="did not work")).to_have_count(0)
    expect(page.locator("#answer")).to_have_count(1)


def test_pictures_are_saved_as_files_that_stand_alone(looking, small, tmp_path):
    page = ready(looking(small))
    for number, (name, begins) in enumerate([("load.html", b"<!DOCTYPE html>"), ("people.html", b"<!doctype html>")]):
        with page.expect_download() as waited:
            page.get_by_text("Save as HTML").nth(number).click()
        assert waited.value.suggested_filename == name
        waited.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().lstrip()[:15].lower() == begins.lower()
        alone = looking(f"file://{tmp_path / name}")
        alone.locator("canvas, img").first.wait_for(state="attached")
    with page.expect_download() as waited:
        page.get_by_text("Save as PNG").filter(visible=True).click()
    waited.value.save_as(tmp_path / "people.png")
    assert (tmp_path / "people.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_store_that_changes_and_vanishes_under_the_page_is_said(looking, dashboards, town, town_store):
    with dashboards(town_store, "--app", "small_app.app", environment={"PYTHONPATH": APP}) as address:
        page = ready(looking(f"{address}/small_app"))
        tk.save(tk.extend(town, note=xr.Dataset({"word": ("line", ["x"])})), town_store, message="another node")
        page.get_by_text("The store holds a newer state").wait_for()
        page.get_by_role("button", name="Show the newer state").wait_for()
        shutil.move(town_store, town_store.with_name("elsewhere"))
        page.get_by_text("The store is gone: town.twin").wait_for()
        page.get_by_role("button", name="Count sites").click()
        page.wait_for_timeout(500)
        assert page.locator("#answer").count() == 0
        again = looking(f"{address}/small_app")
        again.get_by_text("The store cannot be opened").wait_for()
        shutil.move(town_store.with_name("elsewhere"), town_store)
        page.get_by_text("The store holds a newer state").wait_for()
        page.get_by_role("button", name="Count sites").click()
        page.get_by_text(f"{town['sites'].sizes['site']} sites").wait_for()
        for one in (page, again):
            one.context.close()


# ---------------------------------------------------------------- in a cell, and the command


def test_the_same_verb_whatever_was_imported_first():
    said = subprocess.run(
        [sys.executable, "-c", "import twinkit.view.dashboard.page, twinkit as tk; print(callable(tk.view.dashboard))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "True"


def test_view_stays_light():
    said = subprocess.run(
        [sys.executable, "-c", "import sys, twinkit.view.dashboard.session; print('panel' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("plam", "did you mean 'plan'"),
        ("no.such.app", "dotted path"),
        ("twinkit.city.app", "dotted path"),
        (3, "one of"),
    ],
)
def test_an_app_that_is_none_is_one_message(name, word):
    with pytest.raises(TwinError, match=word):
        app_of(name)


@pytest.mark.parametrize("name", APPS)
def test_each_app_of_the_registry_is_there(name):
    assert callable(app_of(name))


def test_a_store_that_is_none_is_said_in_the_cell(tmp_path):
    with pytest.raises(TwinError, match=r"nothing\.twin"):
        tk.view.dashboard(tmp_path / "nothing.twin")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--app", "plam"], "did you mean 'plan'"),
        (["--language", "de"], "a language among"),
        (["--prefix", "twin"], "--prefix"),
        (["--allow-origin", "https://x.org/"], "a host"),
        (["--allow-origin", "*"], "nobody signs in"),
        (["--oauth-provider", "github"], "a register"),
        (["--guests"], "--register"),
        (["--register", "nothing.db"], "no file nothing.db"),
        (["--host", "not an address"], "an address"),
    ],
)
def test_unfit_options_are_one_message(shared_town, options, word, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["dashboard", str(shared_town), *options])
    assert ended.value.code == 2
    assert word in capsys.readouterr().err


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["dashboard", "--help"])
    told = capsys.readouterr().out
    for word in (
        "twinkit dashboard out/shimla.twin",
        "--register",
        "--allow-origin",
        "planner",
        "loopback|computer alone",
    ):
        assert any(w in told for w in word.split("|")), word
