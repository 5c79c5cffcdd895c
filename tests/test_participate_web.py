"""The citizens' pages: by HTTP as an attacker would ask, and in a real browser by hand and keyboard."""

from __future__ import annotations

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, store
from twinkit.participate import register
from twinkit.participate.guard import HEADERS, LARGEST
from twinkit.participate.officials import appoint, dismiss, known
from twinkit.participate.visit import phrases
from twinkit.participate.web import site
from twinkit.vocabulary import LANGUAGES


def far(distance, *, frequency):
    """A student's model."""
    return 20 * np.log10(distance) + 20 * np.log10(frequency) - 147.55


@pytest.fixture
def twin():
    axis = np.arange(80) * 250.0 + 125.0
    like = {"y": 3440e3 + axis, "x": 700e3 + axis}
    layer = {"provenance": "modelled: evenly"}
    people = xr.DataArray(np.ones((80, 80), "f4"), like, ("y", "x"), attrs=layer)
    ground = xr.DataArray(np.zeros((80, 80), "f4"), like, ("y", "x"), attrs=layer)
    places = xr.Dataset(
        {
            "x": ("place", [704.5e3, 712e3]), "y": ("place", [3444.5e3, 3455e3]),
            "population": ("place", [900.0, 40.0]), "name": ("place", np.array(["Rāmpur", "Theog <b>"], object)),
        },
        {"place": np.array(["1", "2"], object)},
    )  # fmt: skip
    sites = xr.Dataset(
        {"x": ("site", [719e3]), "y": ("site", [3459e3]), "height": ("site", [30.0])},
        {"site": np.array(["s0"], object)},
    )
    cells = xr.Dataset(
        {
            "site": ("cell", np.array(["s0"], object)), "azimuth": ("cell", [0.0]), "downtilt": ("cell", [2.0]),
            "frequency": ("cell", [8e8]), "bandwidth": ("cell", [1e7]), "transmit_power": ("cell", [-20.0]),
            "antenna": ("cell", np.array(["omni"], object)),
        },
        {"cell": np.array(["s0a"], object)},
    )  # fmt: skip
    surface = xr.Dataset({"people": people, "ground_height": ground})
    nodes = {"surface": surface, "places": places, "sites": sites, "cells": cells}
    return assemble(nodes, title="a valley", crs="EPSG:32643", place="IN:Valley")


@pytest.fixture
def pins(twin, tmp_path):
    with register(tmp_path / "pins.db", twin=twin, fewest=2, hourly=50, moderated=False) as made:
        yield made


@pytest.fixture
def app(pins, twin):
    return site(pins, twin)


@pytest.fixture
def asked(running):
    """A client of an application, which knows it under another name, as behind a proxy: `with asked(app) as made:`."""
    import httpx

    @contextlib.contextmanager
    def of(app):
        behind = {"headers": {"host": "twin.example"}, "follow_redirects": True, "timeout": 60}
        with running(app) as address, httpx.Client(base_url=address, **behind) as made:
            yield made

    return of


@pytest.fixture
def client(app, asked):
    with asked(app) as made:
        yield made


def token(page):
    return re.search(r'name="token" value="([0-9a-f]{64})"', page.text)[1]


def put(client, words="None at the school", subject="no signal", square="4,4", form_for=None, **changes):
    page = client.get("/pin", params={"square": form_for or square})
    key = re.search(r'name="key" value="([0-9a-f]+)"', page.text)[1]
    form = {"token": token(page), "key": key, "square": square, "subject": subject, "words": words} | changes
    return client.post("/pin", data=form), form


def code_of(page):
    return "".join(re.findall(r"<span>([a-z2-7]{4})</span>", page.text))


# ---------------------------------------------------------------- a citizen


def test_a_pin_goes_in_is_followed_and_taken_back(client):
    answer, _ = put(client)
    assert answer.status_code == 200
    page = client.get("/follow")
    seen = client.post("/follow", data={"token": token(page), "code": code_of(answer)})
    assert "None at the school" in seen.text
    gone = client.post("/withdraw", data={"token": token(seen), "code": code_of(answer)})
    assert gone.status_code == 200
    assert "are deleted" in gone.text
    again = client.post("/follow", data={"token": token(page), "code": code_of(answer)})
    assert again.status_code == 422


def test_a_form_sent_twice_is_one_pin(client, pins):
    first, form = put(client)
    second = client.post("/pin", data=form)
    assert code_of(first) == code_of(second)
    assert int(pins.squares(fewest=1).pins.sum()) == 1


def test_the_map_shows_squares_with_enough_pins_and_nothing_finer(client):
    put(client, "one")
    assert 'class="pins"' not in client.get("/").text
    put(client, "two", "slow")
    page = client.get("/", params={"near": "ramp"})
    assert page.text.count('class="pins"') == 1
    assert "E5, near Rāmpur: 2 pins" in page.text
    assert "No place of that name" in client.get("/", params={"near": "nowhere"}).text


def test_supports_and_proposals(client, pins):
    put(client, "A mast, please", "proposal")
    number = pins.proposals()[0].id
    page = client.get("/proposals")
    for _ in range(2):
        answer = client.post("/support", data={"token": token(page), "pin": number})
        assert "1 support it" in answer.text
    assert client.post("/support", data={"token": token(page), "pin": "x"}).status_code == 422


def test_pages_are_small_and_load_nothing_foreign(client):
    for i in range(30):
        put(client, f"A proposal, number {i}: " + "words " * 80, "proposal", f"{i % 10},{i % 7}")
    for path in (
        "/",
        "/?near=R",
        "/proposals",
        "/changed",
        "/follow",
        "/desk",
        "/pin?square=1,1",
        "/style.css",
        "/none",
    ):
        page = client.get(path)
        assert len(page.content) < 100_000, path
        assert page.headers.get("content-encoding") == "gzip" or len(page.content) < 1000
        assert not re.search(r'(src|href|action)="(https?:)?//', page.text), path
        assert "<script" not in page.text
        for name, value in HEADERS.items():
            assert page.headers[name] == value or path == "/style.css", (path, name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_page(client, language):
    page = client.get("/", params={"language": language})
    assert f'lang="{language}"' in page.text
    assert ('dir="rtl"' in page.text) == (language == "fa")
    assert f"twinkit-language={language}" in page.headers["set-cookie"]
    assert phrases()["lead"][language][:12] in client.get("/").text  # the cookie keeps it


def test_phrases_are_whole():
    import string

    for key, row in phrases().items():
        parts = {language: {p for _, p, _, _ in string.Formatter().parse(row[language]) if p} for language in LANGUAGES}
        assert all(row[language] for language in LANGUAGES), key
        assert len({frozenset(p) for p in parts.values()}) == 1, key


# ---------------------------------------------------------------- an attacker


@pytest.mark.parametrize("field", ["words", "subject", "square", "key", "token"])
def test_script_in_any_field_is_text_or_refused(client, field):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    answer, _ = put(client, **({"subject": "proposal"} | {field: evil}), form_for="1,1")
    for page in (answer, client.get("/proposals"), client.get("/"), client.get("/", params={"near": evil})):
        assert "<script" not in page.text
        assert "<img" not in page.text
    assert (answer.status_code == 200) == (field in ("words", "key"))


def test_a_place_name_is_no_html_either(client):
    assert "Theog &lt;b&gt;" in client.get("/", params={"near": "Theog"}).text


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}],
)
def test_a_form_sent_from_elsewhere_is_refused(client, pins, headers):
    page = client.get("/pin", params={"square": "1,1"})
    form = {"token": token(page), "key": "k", "square": "1,1", "subject": "slow", "words": "w"}
    held = {"origin": "http://twin.example"} | headers
    assert client.post("/pin", data=form, headers=held).status_code == 403
    assert client.post("/pin", data=form, headers={"origin": "http://twin.example"}).status_code == 200
    assert int(pins.squares(fewest=1).pins.sum()) == 1


def test_another_browsers_token_does_not_fit(client, app, asked):
    stolen = token(client.get("/pin", params={"square": "1,1"}))
    with asked(app) as other:
        other.get("/")
        form = {"token": stolen, "key": "k", "square": "1,1", "subject": "slow", "words": "w"}
        assert other.post("/pin", data=form).status_code == 403


@pytest.mark.parametrize("square", ["99,1", "-1,0", "1", "1,1,1", "٣,٤", "1e3,1", "", "999999999999999999,1"])
def test_squares_outside_the_region_are_refused(client, square):
    assert client.get("/pin", params={"square": square}).status_code == 422
    assert put(client, key="k", square="1,1")[0].status_code == 200
    page = client.get("/follow")
    form = {"token": token(page), "key": "k2", "square": square, "subject": "slow", "words": "w"}
    assert client.post("/pin", data=form).status_code == 422


def test_large_bodies_end_early(client, pins):
    page = client.get("/pin", params={"square": "1,1"})
    form = {"token": token(page), "key": "k", "square": "1,1", "subject": "slow"}
    assert client.post("/pin", data=form | {"words": "x" * 10_000_000}).status_code == 413
    said = f"token={form['token']}&words=".encode()

    def pieces():
        yield said
        for _ in range(40):
            yield b"x" * (LARGEST // 20)

    typed = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/pin", content=pieces(), headers=typed).status_code == 413
    assert client.post("/pin", data=form | {"words": "x" * 700}).status_code == 422
    assert client.post("/pin", data=form, files={"words": b"a file"}).status_code == 422
    assert int(pins.squares(fewest=1).pins.sum()) == 0


def test_a_flood_from_one_source_is_stopped(twin, tmp_path, asked):
    with (
        register(tmp_path / "few.db", twin=twin, hourly=3, moderated=False) as few,
        asked(site(few, twin)) as client,
    ):
        codes = [put(client, f"pin {i}")[0].status_code for i in range(5)]
        assert codes == [200, 200, 200, 422, 422]
        client.cookies.clear()  # another browser on the same line
        assert put(client, "pin 9")[0].status_code == 422


def test_a_register_that_vanishes_is_said_plainly(client, pins, tmp_path):
    page = client.get("/pin", params={"square": "1,1"})
    pins.close()
    for path in tmp_path.glob("pins.db*"):
        path.unlink()
    (tmp_path / "pins.db").write_bytes(b"not a database" * 100)
    form = {"token": token(page), "key": "k", "square": "1,1", "subject": "slow", "words": "w"}
    answer = client.post("/pin", data=form)
    assert answer.status_code == 503
    assert "was not kept" in answer.text
    assert "Traceback" not in answer.text
    assert str(tmp_path) not in answer.text


def test_a_replayed_request_does_nothing_twice(client, pins):
    """The same bytes again: one pin; after it was taken back, none."""
    answer, form = put(client, "A mast, please", "proposal")
    for _ in range(3):
        assert code_of(client.post("/pin", data=form)) == code_of(answer)
    page = client.get("/follow")
    taken = {"token": token(page), "code": code_of(answer)}
    assert client.post("/withdraw", data=taken).status_code == 200
    assert client.post("/withdraw", data=taken).status_code == 422
    again = client.post("/pin", data=form)
    assert again.status_code == 422
    assert "was deleted" in again.text
    assert pins.proposals() == []
    fresh = re.search(r'name="key" value="([0-9a-f]+)"', again.text)[1]
    assert fresh != form["key"]
    assert client.post("/pin", data=form | {"key": fresh}).status_code == 200


def test_a_proposal_that_is_gone_from_under_an_open_page_is_not_supported(client, pins):
    answer, _ = put(client, "A mast, please", "proposal")
    page = client.get("/proposals")
    number = pins.proposals()[0].id
    pins.withdraw(code_of(answer))
    put(client, "Another mast", "proposal")
    told = client.post("/support", data={"token": token(page), "pin": number})
    assert told.status_code == 422
    assert "not shown any more" in told.text
    assert pins.proposals()[0].supports == 0


def test_a_refused_form_gives_back_what_was_written(client):
    answer, form = put(client, 'x" <b>' + "y" * 700)
    assert answer.status_code == 422
    assert f"x&#34; &lt;b&gt;{'y' * 700}</textarea>" in answer.text
    assert 'role="alert"' in answer.text
    assert 'value="no signal" checked' in answer.text
    stale = client.post("/pin", data=form | {"token": "0" * 64, "words": "kept"})
    assert stale.status_code == 403
    assert ">kept</textarea>" in stale.text
    foreign = client.post("/pin", data=form | {"words": "bought"}, headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert "bought" not in foreign.text


def test_pages_stay_small_when_all_is_as_long_as_it_may_be(client, pins):
    worst = '"' * 590
    for number in range(12):
        receipt = pins.receive("proposal", f"{worst} {number}", x=704e3, y=3444e3, source="a", key=f"k{number}")
        figures = {f"{'&' * 58}{n}": 1e9 for n in range(8)}
        pins.advance(receipt.pin, "studied", by="&" * 80, reason=worst, figures=figures)
        pins.advance(receipt.pin, "accepted" if number % 2 else "rejected", by="&" * 80, reason=worst)
        pins.receive("worry", f"{worst} {number}", x=704e3, y=3444e3, source="a", key=f"w{number}")
    signed_in(client, pins, "Asha", "administrator")
    for path in ("/proposals", "/proposals?page=2", "/changed", "/desk?part=proposals", "/desk?part=reports"):
        page = client.get(path)
        assert page.status_code == 200
        assert len(page.content) < 100_000, (path, len(page.content))


def test_old_pins_go_while_the_pages_are_served(twin, tmp_path, running):
    import datetime as dt

    then = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    with register(tmp_path / "old.db", twin=twin, moderated=False, clock=lambda: then) as pins:
        pins.receive("slow", "long ago", x=704e3, y=3444e3, source="a", key="k")
    with register(tmp_path / "old.db") as pins, running(site(pins, twin)):
        for _ in range(3000):
            if not pins.counts()["received"]:
                break
            time.sleep(0.02)
        assert pins.counts()["received"] == 0


def test_over_tls_cookies_are_bound_to_the_host_and_only_needed_ones_are_set(twin, pins, client, asked):
    with asked(site(pins, twin, secure=True)) as safe:
        assert "set-cookie" not in safe.get("/").headers  # who only looks carries nothing
        page = safe.get("/pin", params={"square": "1,1"})
        said = page.headers["set-cookie"].lower()
        assert said.startswith("__host-twinkit-visitor=")
        assert all(word in said for word in ("secure", "httponly", "samesite=lax", "path=/"))
        assert page.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in client.get("/").headers


def test_whoever_has_another_form_of_address_is_one_source(pins):
    from twinkit.participate.visit import _line

    assert _line("2001:db8:7:1::1") == _line("2001:db8:7:1:ffff::2") != _line("2001:db8:7:2::1")


# ---------------------------------------------------------------- officials


def test_a_pass_ends_when_its_owner_signs_out(client, pins):
    page = signed_in(client, pins, "Asha", "administrator")
    held = client.cookies["twinkit-desk"]
    client.post("/sign-out", data={"token": token(page)})
    client.cookies.set("twinkit-desk", held, domain="127.0.0.1")
    assert "Sign in" in client.get("/desk").text


def test_the_desk_shows_each_role_its_parts(client, pins):
    put(client, "secret of the queue")
    pins.moderate(1, show=False, by="Asha", reason="names somebody")
    assert client.get("/desk/demand.csv").status_code == 403
    assert client.post("/desk/demand", data={"token": token(client.get("/follow"))}).status_code == 403
    seen = {}
    for role in ("viewer", "moderator", "planner", "administrator"):
        signed_in(client, pins, role.title(), role)
        seen[role] = {
            p for p in ("waiting", "proposals", "reports", "demand", "pin") if f"part={p}" in client.get("/desk").text
        }
        text = client.get("/desk?part=pin&pin=1").text
        assert ("secret of the queue" in text) == (role in ("moderator", "administrator"))
        assert client.get("/desk/demand.csv").status_code == 200
        client.post("/sign-out", data={"token": token(client.get("/desk"))})
    assert seen == {
        "viewer": {"demand"}, "moderator": {"waiting", "demand", "pin"}, "planner": {"proposals", "reports", "demand"},
        "administrator": {"waiting", "proposals", "reports", "demand", "pin"},
    }  # fmt: skip


def test_deletion_on_request_takes_the_words_out_of_the_file(client, pins, tmp_path):
    put(client, "Zanzibarzanzibar lives at the well")
    page = signed_in(client, pins, "Mina", "moderator")
    form = {"token": token(page), "act": "delete", "part": "pin"}
    assert client.post("/desk/1", data=form).status_code == 422
    assert client.post("/desk/1", data=form | {"reason": "asked for by letter"}).status_code == 200
    assert pins.counts()["deleted"] == 1
    assert b"Zanzibar" not in b"".join(p.read_bytes() for p in tmp_path.glob("pins.db*"))


def test_a_store_that_vanishes_or_changes_under_the_desk_is_said(twin, pins, tmp_path, full_disk, asked):
    import shutil

    folder = tmp_path / "v.twin"
    store.save(twin, folder, message="the beginning")
    with asked(site(pins, twin, store=folder, path_loss=far)) as client:
        put(client, "A mast, please", "proposal")
        number = pins.proposals()[0].id
        page = signed_in(client, pins, "Ravi", "planner")
        deed = {"token": token(page), "act": "study", "part": "proposals"}
        # somebody saves another state while the page is open: the study takes the newest
        more = store.open(folder)
        store.save(more, folder, message="looked at again")
        with full_disk():
            told = client.post(f"/desk/{number}", data=deed)
        assert told.status_code == 422
        assert "room on the disk" in told.text
        assert set(store.branches(folder)) == {"main"}
        assert client.post(f"/desk/{number}", data=deed).status_code == 200
        words = [c.message for b in store.branches(folder) for c in store.history(folder, branch=b)]
        assert any(f"proposal {number}" in w for w in words)
        assert not any("mast, please" in w for w in words)  # history does not forget, and citizens may ask it to
        assert client.post(f"/desk/{number}", data=deed).status_code == 200  # studied anew
        other = assemble({"surface": twin["surface"].to_dataset()}, title="elsewhere", crs="EPSG:32644")
        shutil.rmtree(folder)
        store.save(other, folder, message="another region")
        told = client.post(f"/desk/{number}", data=deed)
        assert told.status_code == 422
        assert "a twin in EPSG:32643" in told.text
        shutil.rmtree(folder)
        told = client.post(f"/desk/{number}", data=deed)
        assert told.status_code == 422
        assert "A mast, please" in told.text  # still on the desk
        assert "Traceback" not in told.text
    assert pins.proposals()[0].state == "studied"


def signed_in(client, pins, name, role):
    appoint(pins, name, role, password="three odd words")
    page = client.get("/desk")
    return client.post("/sign-in", data={"token": token(page), "name": name, "password": "three odd words"})


def test_each_role_does_its_own_and_no_more(client, pins):
    put(client, "A mast, please", "proposal")
    number = pins.proposals()[0].id
    deeds = {"hide": {"reason": "no"}, "studied": {"figures": "people gained = 1,200"}}
    may = {"viewer": set(), "moderator": {"hide"}, "planner": {"studied"}, "administrator": {"hide", "studied"}}
    for role, allowed in may.items():
        page = signed_in(client, pins, role.title(), role)
        for deed in ("hide", "studied"):
            answer = client.post(f"/desk/{number}", data={"token": token(page), "act": deed} | deeds[deed])
            assert (answer.status_code == 403) == (deed not in allowed), (role, deed)
            if deed == "hide" and deed in allowed:
                client.post(f"/desk/{number}", data={"token": token(page), "act": "show"})
        client.post("/sign-out", data={"token": token(page)})
    assert client.post(f"/desk/{number}", data={"token": token(page), "act": "hide", "reason": "x"}).status_code == 403


def test_a_forged_or_stale_pass_opens_nothing(client, pins):
    signed_in(client, pins, "Asha", "administrator")
    held = client.cookies["twinkit-desk"]
    body, _, signed = held.partition(".")
    import base64

    raised = base64.urlsafe_b64encode(b"99999999999:Ravi").decode()
    for forged in (f"{raised}.{signed}", body, f"{body}.{'0' * 64}", "x" * 600, "", "é.é"):
        client.cookies.set("twinkit-desk", forged.encode("ascii", "ignore").decode(), domain="127.0.0.1")
        assert "Sign in" in client.get("/desk").text
    client.cookies.set("twinkit-desk", held, domain="127.0.0.1")
    assert "Asha (administrator)" in client.get("/desk").text
    appoint(pins, "Asha", "viewer", password="other odd words")
    assert "Sign in" in client.get("/desk").text


def test_the_first_official_makes_the_register_as_it_was_asked_for(twin, tmp_path, monkeypatch, capsys):
    from twinkit.cli import _participate

    store.save(twin, tmp_path / "v.twin", message="the beginning")
    choices = _participate.Choices(square=500.0, fewest=7, hourly=3, keep=30.0, moderated=False)
    monkeypatch.setenv("TWINKIT_OFFICIAL_PASSWORD", "three odd words")
    _participate.appointed(tmp_path / "v.twin", None, "Asha:planner", choices)
    assert "Asha is planner" in capsys.readouterr().out
    with register(tmp_path / "v.pins.db") as pins:
        assert {name: pins.choices[name] for name in choices} == dict(choices)
        assert known(pins, "Asha", "three odd words", source="a")


def test_whoever_is_dismissed_is_out_at_once(client, pins):
    signed_in(client, pins, "Asha", "planner")
    dismiss(pins, "Asha")
    assert "Sign in" in client.get("/desk").text
    with pytest.raises(TwinError, match="the name of an official"):
        dismiss(pins, "Asha")


def test_passwords_cannot_be_tried_for_long(twin, tmp_path, asked):
    with (
        register(tmp_path / "few.db", twin=twin, hourly=4) as pins,
        asked(site(pins, twin)) as client,
    ):
        appoint(pins, "Asha", "planner", password="three odd words")
        page = client.get("/desk")
        form = {"token": token(page), "name": "Asha", "password": "wrong wrong wrong"}
        assert [client.post("/sign-in", data=form).status_code for _ in range(5)] == [403, 403, 403, 403, 422]
        right = client.post("/sign-in", data=form | {"password": "three odd words"})
        assert right.status_code == 422


@pytest.mark.parametrize(
    ("name", "role", "password", "word"),
    [
        ("Asha", "king", "three odd words", "one of viewer"),
        ("", "planner", "three odd words", "a name of"),
        ("A\x1b", "planner", "three odd words", "a name of"),
        ("Asha", "planner", "short", "a password of"),
    ],
)
def test_unfit_officials_are_one_message(pins, name, role, password, word):
    with pytest.raises(TwinError, match=word):
        appoint(pins, name, role, password=password)


def test_a_proposal_becomes_a_branch_with_its_figures(twin, pins, tmp_path, asked):
    store.save(twin, tmp_path / "v.twin", message="the beginning")
    with asked(site(pins, twin, store=tmp_path / "v.twin", path_loss=far)) as client:
        put(client, "A mast, please", "proposal")
        number = pins.proposals()[0].id
        page = signed_in(client, pins, "Ravi", "planner")
        answer = client.post(f"/desk/{number}", data={"token": token(page), "act": "study"})
        assert answer.status_code == 200, answer.text
        (pin,) = pins.proposals()
        assert pin.state == "studied"
        assert pin.happenings[-1].figures["people gained"] > 100
        branch = store.open(tmp_path / "v.twin", branch=f"proposal-{number}")
        assert branch["sites"].sizes["site"] == 2
        assert store.open(tmp_path / "v.twin")["sites"].sizes["site"] == 1
        client.post(f"/desk/{number}", data={"token": token(page), "act": "accepted", "reason": "cheapest of twelve"})
        shown = client.get("/changed").text
        assert "cheapest of twelve" in shown
        assert "people gained" in shown


# ---------------------------------------------------------------- a browser


@pytest.fixture
def address(app, running):
    """The pages under a prefix, as a proxy such as Binder's gives one."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    with running(Starlette(routes=[Mount("/pins", app)])) as made:
        yield f"{made}/pins"


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_in_a_browser_without_scripts_behind_a_prefix(address, looking, pins, width, scheme):
    page = looking(f"{address}/", width=width, scheme=scheme, scripts=False)
    page.locator("input[name=near]").focus()
    page.keyboard.type("Rāmpur")
    page.keyboard.press("Enter")
    page.wait_for_url("**/pins/?near=*")
    page.get_by_role("link", name="E5, near Rāmpur: 0 pins").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/pins/pin?square=4,4")
    page.locator("input[value=proposal]").focus()
    page.keyboard.press("Space")
    page.locator("textarea").focus()
    page.keyboard.type("A mast on the school")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".code")
    code = "".join(page.locator(".code span").all_inner_texts())
    page.goto(f"{address}/proposals")
    page.get_by_role("button", name="Support").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=1 support it")
    assert {c["path"] for c in page.context.cookies()} == {"/pins"}
    pin = pins.follow(code)
    assert (pin.words, pin.square, pin.supports) == ("A mast on the school", (4, 4), 1)


def test_fifty_at_once_lose_nothing(address, pins):
    import httpx

    pins.choices["hourly"] = 1000

    def one(number):
        with httpx.Client(base_url=address, timeout=60) as client:
            page = client.get("/pin", params={"square": "3,3"})
            key = re.search(r'name="key" value="([0-9a-f]+)"', page.text)[1]
            form = {"token": token(page), "key": key, "square": "3,3", "subject": "slow", "words": f"house {number}"}
            return code_of(client.post("/pin", data=form))

    with ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(one, range(50)))
    assert sorted(pins.follow(code).words for code in codes) == sorted(f"house {n}" for n in range(50))
    assert int(pins.squares().pins.sum()) == 50
