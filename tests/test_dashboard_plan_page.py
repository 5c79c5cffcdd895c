"""The planner's page in a browser: dragged, typed, by keyboard alone; kept, compared, refused."""

import re
import time

import numpy as np
import pytest
from playwright.sync_api import expect

import twinkit as tk
from twinkit.view.dashboard.plan_edits import Edit, edited


@pytest.fixture(scope="module")
def plan_store(town, tmp_path_factory):
    """A store of the town, seen from so strong a signal on that every change shows."""
    path = tmp_path_factory.mktemp("plan") / "town.twin"
    tk.save(town, path, message="the town")
    return path


@pytest.fixture(scope="module")
def served(dashboards, plan_store):
    with dashboards(plan_store, "--app", "plan") as address:
        yield f"{address}/plan"


def opened(looking, address, **options):
    page = looking(address, **options)
    settled(page)
    return page


def settled(page):
    """Wait for the fine picture."""
    page.get_by_text("Fine picture").wait_for()


def read(page, key):
    """A number off the page; one in three digits, as people are told."""
    text = page.locator(f"[data-number={key}]").inner_text()
    return float(text.replace(",", "").replace("+", "").replace("−", ""))


def eventually(page, look, test):
    """Wait until what is looked at passes a test; it."""
    end = time.monotonic() + 60
    while not test(value := look()):
        assert time.monotonic() < end, f"it stays {value}"
        page.wait_for_timeout(50)
    return value


def becomes(page, key, test):
    """Wait until a number on the page passes a test; it."""
    return eventually(page, lambda: read(page, key), test)


def field(page, label):
    return page.get_by_label(label, exact=True)


def place(page):
    """Where the fields say that the chosen site stands [m]."""
    return [float(field(page, label).input_value()) for label in ("x, eastward [m]", "y, northward [m]")]


def choose(page, site):
    """Choose a site from the list, in which it stands with its name."""
    shown = field(page, "site").locator("option").all_inner_texts()
    field(page, "site").select_option(next(t for t in shown if t == site or t.startswith(f"{site} ")))


def type_into(page, label, text):
    field(page, label).fill(text)
    field(page, label).press("Enter")


def masts(page):
    """Where each mast is on the screen."""
    page.locator(".bk-Figure").first.scroll_into_view_if_needed()
    box = page.locator(".bk-Figure").first.bounding_box()
    there = page.evaluate(
        """() => {
            const models = [...Bokeh.documents[0]._all_models.values()];
            const figure = models.find(m => m.type === 'Figure');
            const masts = models.find(m => m.type === 'ColumnDataSource' && m.data.colour !== undefined).data;
            const {x_range: x, y_range: y, inner_width: width, inner_height: height} = figure;
            const across = width / (x.end - x.start), along = height / (y.end - y.start);
            const at = i => [(masts.x[i] - x.start) * across, (y.end - masts.y[i]) * along];
            return Object.fromEntries([...masts.site].map((site, i) => [site, at(i)]));
        }"""
    )
    return {site: (box["x"] + x, box["y"] + y) for site, (x, y) in there.items()}


def dragged(page, site, east, south):
    x, y = masts(page)[site]
    page.mouse.move(x, y)
    page.mouse.down()
    for part in (0.3, 0.6, 1.0):
        page.mouse.move(x + part * east, y + part * south)
        page.wait_for_timeout(60)
    page.mouse.up()


def steps(page):
    """The edits as the page lists them: `expect(steps(page)).to_have_text([...])`."""
    return page.locator("ol li")


def expected(store, edits, threshold=-85.0):
    """Numbers of people as they would be told."""
    base = tk.open(store)
    people = base["surface/people"].fillna(0.0).astype(float)
    was, now = (tk.radio.coverage(t, path_loss=tk.radio.rma).rsrp > threshold for t in (base, edited(base, edits)))
    sums = {"people_covered": now, "people_gained": now & ~was, "people_lost": was & ~now}
    return {k: float(f"{round(float(people.where(v, 0.0).sum())):.3g}") for k, v in sums.items()}


def judged(page):
    """The page with so high a threshold that every mast counts."""
    before = read(page, "people_covered")
    type_into(page, "covered above [dBm]", "-85")
    becomes(page, "people_covered", lambda n: n < before)
    return page


# ---------------------------------------------------------------- each action


def test_a_mast_is_dragged_and_the_numbers_follow(looking, served, plan_store):
    page = judged(opened(looking, served))
    page.evaluate(
        """() => { window.told = []; const models = [...Bokeh.documents[0]._all_models.values()];
            models.filter(m => m.type === 'ColumnDataSource' && m.data.dw !== undefined)
                .forEach(m => m.properties.data.change.connect(() => window.told.push(m.data.number[0]))) }"""
    )
    site = "s003"
    dragged(page, site, 180, 120)
    page.get_by_text(f"{site} moved to").wait_for()
    becomes(page, "people_lost", lambda n: n > 0)
    settled(page)
    assert len(set(page.evaluate("window.told"))) >= 2  # answers came while the mast was still on its way
    sites = tk.open(plan_store)["sites"].sel(site=site)
    was = [float(sites.x), float(sites.y)]
    x, y = eventually(page, lambda: place(page), lambda now: now[0] > was[0] and now[1] < was[1])
    told = expected(plan_store, [Edit("move", site, {"x": x, "y": y})])
    assert told["people_lost"] > 0
    for key, number in told.items():
        becomes(page, key, lambda n, number=number: n == number)
    page.get_by_role("button", name="Undo").click()
    becomes(page, "people_lost", lambda n: n == 0)
    expect(steps(page)).to_have_count(0)
    page.get_by_role("button", name="Redo").click()
    becomes(page, "people_lost", lambda n: n == told["people_lost"])
    expect(page.get_by_text(re.compile("Map of coverage, 8.5 by 8.5 km, with 12 sites with cells"))).to_contain_text(
        "lost"
    )


def test_a_site_is_tuned_added_and_removed_by_typing(looking, served, plan_store):
    page = judged(opened(looking, served))
    choose(page, "s007")
    type_into(page, "power [dBm]", "30")
    lost = expected(plan_store, [Edit("tune", "s007", {"transmit_power": 30.0})])["people_lost"]
    assert lost > 0
    becomes(page, "people_lost", lambda n: n == lost)
    page.get_by_role("button", name="Add a site like this one").click()
    page.get_by_text("new-1 added").wait_for()
    type_into(page, "power [dBm]", "46")
    type_into(page, "antenna height above ground [m]", "40")
    page.get_by_text("new-1: antenna height above ground 40 m").wait_for()
    page.get_by_role("button", name="Remove this site").click()
    page.get_by_text("new-1 removed").wait_for()
    becomes(page, "people_gained", lambda n: n == 0)
    becomes(page, "people_lost", lambda n: n == lost)
    expect(steps(page)).to_have_count(5)
    field(page, "cells that are tuned").select_option(index=1)
    type_into(page, "azimuth [°]", "10")
    page.get_by_text(re.compile(r"s003a?\w*: azimuth 10 °")).wait_for()
    field(page, "path loss model").select_option("3GPP urban macro")
    settled(page)
    expect(steps(page)).to_have_count(6)


def test_the_keyboard_alone_suffices(looking, served, plan_store):
    page = opened(looking, served)

    def reach(role, name):
        for _ in range(80):
            page.keyboard.press("Tab")
            here = page.evaluate(
                """() => { let e = document.activeElement;
                    while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
                    return (e.labels && e.labels.length ? e.labels[0].innerText : e.innerText || '').trim() }"""
            )
            if here == name:
                return
        raise AssertionError(f"no way to {role} '{name}' with the Tab key")

    reach("choose", "site")
    first = place(page)
    page.keyboard.press("ArrowDown")
    x, _ = eventually(page, lambda: place(page), lambda now: now[0] != first[0])  # the fields of the other site
    reach("press", "100 m east")
    page.keyboard.press("Enter")
    page.get_by_text("s004 moved to").wait_for()
    eventually(page, lambda: place(page)[0], lambda now: now == pytest.approx(x + 100.0, abs=0.01))
    reach("type", "antenna height above ground [m]")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("41")
    page.keyboard.press("Tab")
    page.get_by_text("s004: antenna height above ground 41 m").wait_for()
    reach("press", "Undo")
    page.keyboard.press("Space")
    page.get_by_text("s004: antenna height above ground 41 m").wait_for(state="detached")
    reach("type", "name of the branch")
    page.keyboard.type("by-keyboard")
    reach("type", "message: why")
    page.keyboard.type("a hundred metres east")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("Saved on branch by-keyboard").wait_for()
    assert tk.history(plan_store, branch="by-keyboard")[0].message == "a hundred metres east"


def test_a_plan_is_saved_and_stands_beside_the_others(looking, served, plan_store):
    page = judged(opened(looking, served))
    page.get_by_role("button", name="Save the plan").click()
    page.get_by_text("expected a plan with a change").wait_for()
    choose(page, "s011")
    page.get_by_role("button", name="Remove this site").click()
    lost = expected(plan_store, [Edit("remove", "s011")])["people_lost"]
    becomes(page, "people_lost", lambda n: n == lost)
    field(page, "name of the branch").fill("without-11")
    field(page, "message: why").fill("what if mast 11 falls")
    page.get_by_role("button", name="Save the plan").click()
    page.get_by_text("Saved on branch without-11").wait_for()
    newest = tk.history(plan_store, branch="without-11")[0]
    assert newest.message == "what if mast 11 falls"
    there = tk.open(plan_store, branch="without-11")
    assert "s011" not in there["cells"].site.values
    made = tk.radio.coverage(there, path_loss=tk.radio.rma)
    np.testing.assert_array_equal(there["coverage"].rsrp.values, made.rsrp.values)
    expect(field(page, "after")).to_have_value("without-11")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Compared: without-11 covers")).to_contain_text(f"{lost:,.0f} lost against main")
    page.locator("img[alt^='Two maps']").wait_for()
    page.get_by_text("The table behind this picture").last.click()
    expect(page.get_by_role("row").last).to_contain_text("what if mast 11 falls")


# ---------------------------------------------------------------- who may not, and what goes wrong


@pytest.mark.slow  # `test_a_viewer_saves_nothing` of tests/test_dashboard_plan.py asks the same without a browser
def test_a_viewer_plays_but_saves_nothing(looking, dashboards, plan_store):
    before = set(tk.store.branches(plan_store))
    # with a proxy in front and no register, nobody signs in and everybody only looks
    with dashboards(plan_store, "--app", "plan", "--secure") as address:
        page = opened(looking, f"{address}/plan")
        page.get_by_text("This needs the role planner; you are viewer.").first.wait_for()
        choose(page, "s007")
        page.get_by_role("button", name="Remove this site").click()
        page.get_by_text("s007 removed").wait_for()
        field(page, "name of the branch").fill("forged")
        field(page, "message: why").fill("let me in")
        expect(page.get_by_role("button", name="Save the plan")).to_be_disabled()
        # whoever writes messages of his own is asked for his role all the same
        page.evaluate(
            """() => {
                for (const m of Bokeh.documents[0]._all_models.values())
                    if (m.label === 'Save the plan') {
                        m.disabled = false;
                        const {ButtonClick} = Bokeh.require('core/bokeh_events');
                        m.document.event_manager.trigger(Object.assign(new ButtonClick(), {origin: m}));
                    }
            }"""
        )
        page.get_by_role("alert").get_by_text("This needs the role planner").wait_for()
        page.close()
    assert set(tk.store.branches(plan_store)) == before


def test_the_store_changes_and_vanishes_under_the_page(looking, dashboards, town, tmp_path):
    store = tmp_path / "town.twin"
    tk.save(town, store, message="the town")
    with dashboards(store, "--app", "plan") as address:
        page = opened(looking, f"{address}/plan")
        choose(page, "s007")
        page.get_by_role("button", name="Remove this site").click()
        page.get_by_text("s007 removed").wait_for()
        choose(page, "s008")
        type_into(page, "antenna height above ground [m]", "44")
        page.get_by_text("s008: antenna height above ground 44 m").wait_for()
        # somebody else takes down the mast that this plan removes
        tk.save(edited(town, [Edit("remove", "s007")]), store, message="taken down", author="omid")
        field(page, "name of the branch").fill("mine")
        field(page, "message: why").fill("from what I opened")
        page.get_by_role("button", name="Save the plan").click()
        page.get_by_text("Meanwhile the store got 1 newer commits (the newest by omid: taken down)").wait_for()
        assert [c.message for c in tk.history(store, branch="mine")] == ["from what I opened", "the town"]
        page.get_by_role("button", name="Lay my plan upon the newest state").click()
        page.get_by_text("1 changes could not be laid upon it: s007 removed.").wait_for()
        expect(steps(page)).to_have_text(["s008: antenna height above ground 44 m"])
        # and then the whole store goes
        away = store.rename(tmp_path / "elsewhere")
        field(page, "name of the branch").fill("later")
        page.get_by_role("button", name="Save the plan").click()
        page.get_by_text("The store is gone: town.twin.").wait_for()
        expect(steps(page)).to_have_text(["s008: antenna height above ground 44 m"])
        page.get_by_role("button", name="100 m north").click()
        page.get_by_text("s008 moved to").wait_for()
        away.rename(store)
        page.get_by_text("The store is back.").wait_for()
        page.get_by_role("button", name="Save the plan").click()
        page.get_by_text("Saved on branch later").wait_for()
        assert tk.history(store, branch="later")[1].message == "taken down"
        page.close()


def test_hostile_text_is_text(looking, served, plan_store):
    page = opened(looking, served)
    page.get_by_role("button", name="100 m north").click()
    page.get_by_text("moved to").wait_for()
    before = set(tk.store.branches(plan_store))
    script = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    page.get_by_label("message: why").fill(script + " \u202ereversed\u202c")
    for name, said in (
        (2 * script, "a text of at most 100 characters"),
        ("<b>bold</b>", "branch name"),
        ("../../etc", "branch name"),
        ("", "branch name"),
        ("main", "a branch that this plan began"),
    ):
        field(page, "name of the branch").fill(name)
        page.get_by_role("button", name="Save the plan").click()
        page.get_by_role("alert").get_by_text(said).first.wait_for()
    field(page, "name of the branch").fill("hostile")
    page.get_by_role("button", name="Save the plan").click()
    page.get_by_text("Saved on branch hostile").wait_for()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Compared: hostile covers").wait_for()
    page.get_by_text("The table behind this picture").last.click()
    expect(page.get_by_role("row").last).to_contain_text("<script>")
    assert page.title() != "taken"
    assert page.locator("img[src=x]").count() == 0
    assert set(tk.store.branches(plan_store)) == before | {"hostile"}
    assert "\u202e" not in tk.history(plan_store, branch="hostile")[0].message
    field(page, "message: why").fill("x" * 3_000)
    page.get_by_role("button", name="Save the plan").click()
    page.get_by_role("alert").get_by_text("3,000 characters").wait_for()


def test_what_is_wrong_with_a_field_is_said_in_the_unit_of_the_field(looking, served):
    page = opened(looking, served)
    before = field(page, "frequency [MHz]").input_value()
    type_into(page, "frequency [MHz]", "0")
    page.get_by_text("frequency from 30 to 100000 MHz; found 0 MHz").wait_for()
    expect(field(page, "frequency [MHz]")).to_have_value(before)
    page.get_by_role("button", name="100 m north").click()
    page.get_by_text("moved to").wait_for()
    expect(page.get_by_role("alert").filter(has_text="expected")).to_have_count(0)


def test_a_forged_drag_is_one_clear_message(looking, served):
    page = opened(looking, served)
    for told in (
        {"phase": ["end"], "site": ["s007"], "x": [1e300], "y": [0.0], "number": [1]},
        {"phase": ["move"], "site": ["<script>"], "x": [0.0], "y": [0.0], "number": [1]},
        {"phase": ["end"], "site": ["s007"], "x": ["NaN"], "y": [None], "number": ["x"]},
        {"phase": ["move"], "site": [], "x": [], "y": [], "number": []},
    ):
        page.evaluate(
            """told => { [...Bokeh.documents[0]._all_models.values()]
                .find(m => m.type === 'ColumnDataSource' && m.data.phase !== undefined).data = told }""",
            told,
        )
        page.get_by_role("alert").get_by_text("expected").wait_for()
        expect(steps(page)).to_have_count(0)
        page.get_by_role("button", name="Whole map").click()
    page.get_by_role("button", name="100 m north").click()
    page.get_by_text("moved to").wait_for()


# ---------------------------------------------------------------- how it looks


@pytest.mark.parametrize(("width", "scheme", "language"), [(1440, "light", "en"), (360, "dark", "fa")])
def test_the_page_is_for_everybody(looking, axe, served, width, scheme, language):
    start = time.monotonic()
    page = looking(f"{served}?language={language}", width=width, scheme=scheme)
    page.locator("[data-number=people_covered]").wait_for()
    print(f"opened in {time.monotonic() - start:.1f} s")
    page.locator(".bk-Figure").first.wait_for()
    page.wait_for_timeout(300)
    assert axe(page) == []
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    sizes = page.evaluate(
        """() => { const out = []; const walk = root => { for (const e of root.querySelectorAll('*')) {
            if (e.shadowRoot) walk(e.shadowRoot);
            if ([...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.offsetParent !== null
                && !['STYLE', 'SCRIPT'].includes(e.tagName)) out.push(parseFloat(getComputedStyle(e).fontSize)) } };
            walk(document); return out }"""
    )
    assert min(sizes) >= 14
