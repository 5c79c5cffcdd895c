"""The minister's page in a browser: read, asked by keyboard alone, stopped, kept, refused; and what goes wrong."""

import re
import shutil
import time

import pytest
from playwright.sync_api import expect

import twinkit as tk
from twinkit.view.dashboard import withstand_answer as answers
from twinkit.view.dashboard import withstand_hazard as hazards
from twinkit.view.dashboard import withstand_plan as plans
from twinkit.view.dashboard import withstand_state as state
from twinkit.view.dashboard.withstand import headline

HEADLINE = ".wi-headline"
DEEPEST = """() => {
    let found = document.activeElement;
    while (found && found.shadowRoot && found.shadowRoot.activeElement) found = found.shadowRoot.activeElement;
    const text = node => [node, ...node.querySelectorAll("*")].map(e => e.shadowRoot ? text(e.shadowRoot) : "").join("")
        + [...node.querySelectorAll("style")].reduce((whole, s) => whole.replace(s.textContent, ""), node.textContent);
    return found ? text(found.labels && found.labels.length ? found.labels[0] : found).trim() : "";
}"""
TEXTS = """() => {
    const small = [];
    const walk = (root, least) => {
        for (const one of root.querySelectorAll("*")) {
            if (one.shadowRoot) walk(one.shadowRoot, one.matches(".bk-Figure") ? 12 : least);
            const own = [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
            const box = one.getBoundingClientRect();
            if (!own || !box.width || !box.height || ["STYLE", "SCRIPT"].includes(one.tagName)) continue;
            const size = parseFloat(getComputedStyle(one).fontSize);
            if (size < least) small.push(`${size} px: ${one.textContent.trim().slice(0, 40)}`);
        }
    };
    walk(document, 14);
    return small;
}"""


@pytest.fixture
def opened(looking, town_dashboards):
    """A page on the shared town, with its first answers."""

    def made(**options):
        page = looking(**options)
        begun = time.perf_counter()
        page.goto(f"{town_dashboards}/withstand")
        page.get_by_role("button", name="Compare the plans").wait_for()
        page.opened = time.perf_counter() - begun
        return done(page)

    return made


def done(page, draws="1,000"):
    """Wait until the answers stand."""
    page.get_by_text(f"Done: {draws} draws.").wait_for()
    return page


def ask(page, draws="1,000"):
    """Press the button, and wait for answers that are new."""
    page.get_by_role("button", name="Compare the plans").click()
    page.get_by_text("The choices have changed since").wait_for(state="detached")
    return done(page, draws)


def told(page):
    return page.locator(HEADLINE).inner_text()


def field(page, label):
    """The first field of this name that is seen: plan A's while plan A is open, else plan B's."""
    return page.get_by_label(label, exact=True).filter(visible=True).first


def type_into(page, label, text):
    there = field(page, label)
    there.fill(text)
    there.press("Tab")


def fold(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def expected(store, kind, values, second, *, draws=1000, **look):
    """The headline as the state says it, and the answers behind it."""
    here = state.Withstand(store, memory=state.Memory())
    twin = answers.gridded(here.twin(), 8000.0)
    question, hours = answers.question(hazards.chosen(twin, kind, values), look)
    one, two = (here.answer(question, plans.plan(p), draws=draws) for p in ({}, second))
    found = answers.compared(one, two, hours=hours)
    storm = kind in ("cyclone", "track")
    return headline(found, misses=False, language="en", storm=storm), here, question


def first_second(store):
    """What plan B begins with."""
    return {"at": state.Withstand(store, memory=state.Memory()).begin(), "battery": 24.0}


# ---------------------------------------------------------------- what is seen


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_the_page_says_what_the_state_says(opened, shared_town, axe, width, scheme):
    page = opened(width=width, scheme=scheme)
    print(f"opened in {page.opened:.1f} s")
    said, here, question = expected(shared_town, "earthquake", {}, first_second(shared_town))
    expect(page.locator(HEADLINE)).to_have_text(said)
    critical = here.ranked(question, plans.plan({}))
    page.get_by_text("The table behind this picture").nth(3).click()
    row = page.get_by_role("row").filter(has_text=str(critical.site.values[0])).first
    expect(row).to_contain_text(f"{float(f'{float(critical.people_hours_saved[0]):.3g}'):,.0f}")
    expect(page.get_by_text("People-hours that one investment saves")).to_contain_text("The order is not sure")
    reach = here.reached(question, plans.plan({}), draws=1000)
    sentence = page.get_by_text("people in the area, a broadcast 0 h before the strike")
    expect(sentence).to_contain_text(f"{float(f'{reach.sent[0]:.3g}'):,.0f}")
    expect(sentence).to_contain_text(f"{float(f'{round(reach.later[0]):.3g}'):,.0f}")
    assert axe(page) == []
    assert page.evaluate(TEXTS) == []
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    sizes = page.evaluate(
        """() => [...Bokeh.documents[0]._all_models.values()].flatMap(m => Object.entries(m.attributes)
            .filter(([k, v]) => k.endsWith("text_font_size") && v && !m.type.includes("Toolbar") && m.visible !== false)
            .filter(([k]) => !["title_text_font_size", "group_text_font_size", "subgroup_text_font_size"].includes(k))
            .map(([k, v]) => (v.value ?? v)).filter(v => typeof v === "string" && v.endsWith("px")).map(parseFloat))"""
    )
    assert sizes
    assert min(sizes) >= 12


def test_a_hazard_and_a_plan_are_chosen_by_keyboard_alone(opened, shared_town):
    page = opened()

    def go_to(label):
        for _ in range(80):
            if page.evaluate(DEEPEST).startswith(label):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"no key leads to {label}")

    def typed(label, text):
        go_to(label)
        page.keyboard.press("Control+a")
        page.keyboard.type(text)

    go_to("Hazard")
    page.keyboard.press("Home")
    page.get_by_label("Strongest wind").wait_for()
    page.keyboard.type("Earthq")
    page.get_by_label("Moment magnitude").wait_for()
    typed("Moment magnitude", "6.7")
    go_to("Plan B")
    typed("Sites that get it", "s003, s007")
    typed("More hours of battery there", "48")
    go_to("A second fibre")
    page.keyboard.press("Space")
    typed("Crews of the operator", "8")
    go_to("How to look")
    page.keyboard.press("Enter")
    typed("Hours after landfall that count", "30")
    go_to("Compare the plans")
    page.keyboard.press("Enter")
    page.get_by_text("30 hours after the strike").first.wait_for()
    done(page)
    second = {"at": "s003 s007", "battery": 48.0, "second_fibre": True, "crews": 8}
    said, *_ = expected(shared_town, "earthquake", {"magnitude": 6.7}, second, hours=30.0)
    expect(page.locator(HEADLINE)).to_have_text(said)


@pytest.mark.slow  # that an answer can be given up is tested without a browser, too
def test_a_fine_answer_is_stopped_and_what_was_found_stays(opened):
    page = opened()
    before = told(page)
    fold(page, "How to look")
    type_into(page, "Days to look at [days]", "30")
    page.get_by_label("Draws").select_option("10,000")
    page.get_by_text("The choices have changed since").wait_for()
    assert told(page) == before
    page.get_by_role("button", name="Compare the plans").click()
    page.get_by_text(re.compile(r"Drawing: [\d,]+ of 10,000")).wait_for()
    expect(page.get_by_role("progressbar")).to_have_count(1)
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped after 1,000 draws; what was found stays.").wait_for()
    expect(page.get_by_text("Over all")).to_contain_text("Over all 30 days")
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()


# ---------------------------------------------------------------- what goes wrong


def test_what_cannot_be_is_shut_with_its_reason_or_one_clear_message(opened):
    page = opened()
    kinds = page.get_by_label("Hazard", exact=True)
    expect(kinds.locator("option[disabled]")).to_have_text(["Flood as the twin's map has it"])
    expect(page.get_by_text("Not on this twin")).to_contain_text("surface/flood_depth")
    fold(page, "How to look")
    page.get_by_label("Generate a power grid where the twin has none").uncheck()
    page.get_by_text("Not on this twin: Power cut").wait_for()
    expect(kinds.locator("option[disabled]").filter(has_text="Power cut")).to_have_count(1)
    page.get_by_label("Generate a power grid where the twin has none").check()
    kinds.select_option(label="Cyclone on a straight track")
    page.get_by_label("Strongest wind").wait_for()
    before = told(page)
    script = "<img src=x onerror=\"document.title='taken'\">"
    for label, text, said in (
        ("Strongest wind, mean of 3 minutes [m/s]", "99999", "expected a number from 5 to 110 m/s; found 99999 m/s"),
        ("Strongest wind, mean of 3 minutes [m/s]", "NaN", "found 'NaN'"),
        ("Landfall or strike, UTC", "\u202etomorrow", "expected times"),
        ("Longitude of the centre [degree]", script, "expected a number from -180 to 180 degree"),
    ):
        old = field(page, label).input_value()
        type_into(page, label, text)
        page.get_by_role("button", name="Compare the plans").click()
        page.get_by_role("alert").get_by_text(said).wait_for()
        type_into(page, label, old)
    type_into(page, "Crews of the operator", "-3")
    page.get_by_role("button", name="Compare the plans").click()
    page.get_by_role("alert").get_by_text("crews: expected a whole number from 0 to 1000; found -3").wait_for()
    assert told(page) == before
    assert page.title() != "taken"
    assert page.locator("img[src=x]").count() == 0


def test_a_plan_is_kept_compared_and_named_when_it_vanishes(looking, dashboards, town_store):
    with dashboards(town_store, "--app", "withstand") as address:
        page = looking(f"{address}/withstand")
        done(page)
        type_into(page, "Crews of the operator", "9")
        fold(page, "Keep a plan as a branch")
        type_into(page, "Name of the branch", "what-if.b")
        type_into(page, "Why", "<b>a day</b> more")
        page.get_by_role("button", name="Save as a branch").click()
        page.get_by_text("Plan B is saved as branch what-if.b.").wait_for()
        assert tk.history(town_store, branch="what-if.b")[0].message == "<b>a day</b> more"
        fold(page, "Plan A")
        field(page, "Branch of the store").select_option("what-if.b")
        crews = field(page, "Crews of the operator")
        page.wait_for_function("box => box.value === '9'", arg=crews.element_handle())
        # the branch is what plan B is: nothing differs
        ask(page)
        expect(page.locator(HEADLINE)).to_have_text("Both plans serve the same people 24 hours after the strike.")
        shutil.rmtree(town_store / "refs" / "branch.what-if.b")
        page.get_by_role("button", name="Compare the plans").click()
        page.get_by_role("alert").get_by_text("no 'what-if.b', or no longer").wait_for()
        expect(page.locator(HEADLINE)).to_contain_text("Both plans serve the same people")
        field(page, "Branch of the store").select_option("main")
        away = town_store.rename(town_store.with_name("elsewhere"))
        page.get_by_role("button", name="Compare the plans").click()
        page.get_by_text("The store is gone: town.twin.").wait_for()
        expect(page.locator(HEADLINE)).to_contain_text("Both plans serve the same people")
        away.rename(town_store)
        ask(page)
        expect(page.locator(HEADLINE)).to_contain_text("With plan B")
        page.goto("about:blank")


def test_a_viewer_looks_and_saves_nothing_even_with_a_forged_message(looking, dashboards, town_store):
    # with a proxy in front and no register, nobody signs in and everybody only looks
    with dashboards(town_store, "--app", "withstand", "--secure") as address:
        page = looking(f"{address}/withstand")
        done(page)
        fold(page, "Keep a plan as a branch")
        page.get_by_text("Saving needs the role planner.").wait_for()
        type_into(page, "Name of the branch", "forged")
        type_into(page, "Why", "let me in")
        expect(page.get_by_role("button", name="Save as a branch")).to_be_disabled()
        page.evaluate(
            """() => {
                const {ButtonClick} = Bokeh.require("core/bokeh_events");
                for (const m of Bokeh.documents[0]._all_models.values())
                    if (m.label === "Save as a branch") {
                        m.disabled = false;
                        m.document.event_manager.trigger(Object.assign(new ButtonClick(), {origin: m}));
                    }
            }"""
        )
        page.get_by_role("alert").get_by_text("This needs the role planner").wait_for()
        page.goto("about:blank")
    assert sorted(tk.store.branches(town_store)) == ["main"]
    assert len(tk.history(town_store)) == 1
