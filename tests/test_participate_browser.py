"""Taking part in a real browser: by hand, by keyboard, on a telephone and a screen, and while the server is killed."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

import httpx
import pytest
from playwright.sync_api import expect

from twinkit.participate import register
from twinkit.participate.officials import appoint
from twinkit.participate.study import study
from twinkit.radio import free_space

SIZES = ((360, 740), (1440, 900))
SMALLEST = """Math.min(...[...document.querySelectorAll("body *")]
    .filter(e => e.textContent.trim() && !e.children.length).map(e => parseFloat(getComputedStyle(e).fontSize)))"""
PASSWORD = "three odd words"
WORDS = "A mast on the hill behind the clinic, please."


@contextlib.contextmanager
def served(store, pins, port, *options):
    """`twinkit participate` in a process of its own; gives the process."""
    command = [sys.executable, "-m", "twinkit", "participate", str(store), "--register", str(pins), "--port", str(port)]
    told = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    server = subprocess.Popen([*command, *options], **told, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        for _ in range(400):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/style.css", timeout=5):
                break
            assert server.poll() is None, server.stderr.read().decode()[-2000:]
            time.sleep(0.1)
        yield server
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()
        server.wait()
        server.stderr.close()


def filled(pins, store):
    """Pins in every state, as months would leave them."""
    middle = 6
    receipts = []
    for number in range(24):
        subject = ("no signal", "slow", "worry", "proposal")[number % 4]
        words = WORDS if number == 3 else f"{subject} at house {number}"
        x, y = pins._middle((middle + number % 3, middle))
        receipts.append(pins.receive(subject, words, x=x, y=y, source=f"line {number}", key=f"form {number}"))
        if number < 20:
            pins.moderate(receipts[-1].pin, show=True, by="Asha")
    accepted, rejected, studied = (receipts[n].pin for n in (3, 7, 11))
    for person in range(5):
        pins.support(accepted, person=str(person), source=str(person))
    study(pins, store, accepted, path_loss=free_space, by="Ravi")
    pins.advance(studied, "studied", by="Ravi", figures={"people gained": 1234}, reason="a study of our own")
    pins.advance(accepted, "accepted", by="Ravi", reason="The cheapest of twelve places; built by June.")
    pins.advance(rejected, "rejected", by="Ravi", reason="Two masts reach it already; the line behind them is full.")
    for name, role in (("Asha", "administrator"), ("Ravi", "planner"), ("Mina", "moderator"), ("Viki", "viewer")):
        appoint(pins, name, role, password=PASSWORD)
    return receipts


@pytest.fixture(scope="module")
def lived_in(town, tmp_path_factory, free_port):
    """Address, register and store of a town whose citizens have used the pages for a while."""
    import twinkit as tk

    folder = tmp_path_factory.mktemp("town")
    store, file, port = folder / "town.twin", folder / "pins.db", free_port()
    tk.save(town, store, message="the town")
    with register(file, twin=town, fewest=3, hourly=1000) as pins:
        receipts = filled(pins, store)
        with served(store, file, port):
            yield f"http://127.0.0.1:{port}", pins, store, receipts


def signed_in(page, address, name):
    page.goto(f"{address}/desk")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", PASSWORD)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    return page


# ---------------------------------------------------------------- every page


def test_every_page_is_for_everybody(lived_in, looking, axe):
    """No serious or critical violation, nothing wider than the screen, nothing below 12 pixels, nothing foreign."""
    address, _, _, receipts = lived_in
    page = looking()
    found = {}

    def judged(name):
        assert len(page.content().encode()) < 100_000, name
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme="light")
            found[f"{name} {width} light"] = axe(page)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name}: {wide} pixels too wide at {width}"
            assert page.evaluate(SMALLEST) >= 12, name
        # what the dark scheme changes is colours
        page.emulate_media(color_scheme="dark")
        found[f"{name} dark"] = axe(page, runOnly=["color-contrast"])

    for path in (
        "/", "/?near=te", "/?near=nowhere", "/?language=fa", "/?language=hi", "/?language=en", "/pin?square=6,6",
        "/proposals", "/changed", "/follow", "/desk",
    ):  # fmt: skip
        page.goto(address + path)
        judged(path)
    page.goto(f"{address}/follow")
    page.fill("input[name=code]", receipts[3].code)
    with page.expect_navigation():
        page.get_by_role("button", name="Follow").click()
    judged("followed")
    page.goto(f"{address}/pin?square=99,99")
    judged("sorry")
    page.said.clear()  # a page of an error is itself told to the console
    signed_in(page, address, "Asha")
    for part in ("waiting", "proposals", "reports", "demand", "pin&pin=3"):
        page.goto(f"{address}/desk?part={part}")
        judged(f"desk {part}")
    assert {name: said for name, said in found.items() if said} == {}


def test_a_region_larger_than_a_map_is_walked_through(town, tmp_path, looking, axe, running):
    from twinkit.participate.web import site

    with register(tmp_path / "pins.db", twin=town, square=200, fewest=1, hourly=99, moderated=False) as pins:
        left, _, low, _ = pins.choices["bounds"]
        pins.receive("slow", "here", x=left + 3050, y=low + 50, source="a", key="k")
        with running(site(pins, town)) as address:
            page = looking(f"{address}/", width=360, height=740)
            assert axe(page) == []
            page.get_by_role("link", name=re.compile("1 pins")).click()
            page.wait_for_url("**/?zoom=12,0")
            page.get_by_role("link", name="West").click()
            page.wait_for_url("**/?zoom=6,0")
            page.get_by_role("link", name="North").click()
            page.wait_for_url("**/?zoom=6,6")
            page.get_by_role("link", name="South").click()
            page.wait_for_url("**/?zoom=6,0")
            page.get_by_role("link", name=re.compile("^P1, .*1 pins")).click()
            page.wait_for_url("**/pin?square=15,0")
            page.get_by_role("link", name="another square").click()
            page.get_by_role("link", name="Whole region").click()
            page.wait_for_url(f"{address}/")


# ---------------------------------------------------------------- a proposal's way, by hand and by keyboard


def test_a_proposal_goes_its_whole_way_on_the_pages(lived_in, looking):
    """A citizen proposes, a moderator shows it, another citizen supports it, a planner studies and decides."""
    import twinkit as tk

    address, _, store, _ = lived_in
    citizen = looking(f"{address}/", width=360, height=740, scripts=False, is_mobile=True, has_touch=True)
    citizen.fill("input[name=near]", "te")
    citizen.get_by_role("button", name="Search").tap()
    citizen.get_by_role("link", name=re.compile("^Put a pin at Te")).first.tap()
    citizen.get_by_label("A proposal").check()
    citizen.get_by_label(re.compile("In a few words")).fill("Share the tower of the railway.")
    citizen.get_by_role("button", name="Send").tap()
    citizen.wait_for_selector(".code")
    code = "".join(citizen.locator(".code span").all_inner_texts())
    citizen.get_by_role("button", name="Follow my pin").tap()
    expect(citizen.locator("article")).to_contain_text("waits for a moderator")
    number = int(re.search(r"No\. (\d+)", citizen.inner_text("article"))[1])

    moderator = signed_in(looking(width=1440), address, "Mina")
    expect(moderator.locator("main nav")).not_to_contain_text("Proposals")
    moderator.goto(f"{address}/desk?part=pin&pin={number}")
    with moderator.expect_navigation():
        moderator.get_by_role("button", name="Show").click()

    other = looking(f"{address}/proposals?page=1", scripts=False)
    while not other.get_by_role("button", name="Support: Share the tower").count():
        with other.expect_navigation():
            other.get_by_role("link", name="Next").click()
    other.get_by_role("button", name="Support: Share the tower").click()
    card = other.locator(f"#pin-{number}")
    card.get_by_text("1 support it").wait_for()
    card.get_by_role("button", name=re.compile("Take my support back")).click()
    card.get_by_text("0 support it").wait_for()
    card.get_by_role("button", name=re.compile("^Support")).click()
    card.get_by_text("1 support it").wait_for()

    planner = signed_in(looking(width=1440), address, "Ravi")
    planner.get_by_role("button", name=f"Study: a site here, on a branch: No. {number}").focus()
    with planner.expect_navigation():
        planner.keyboard.press("Enter")
    branch = tk.open(store, branch=f"proposal-{number}")
    assert branch["sites"].sizes["site"] == tk.open(store)["sites"].sizes["site"] + 1
    planned = planner.locator("article", has_text=f"No. {number}")
    gained = planned.locator("dl div", has_text="people gained").locator("dd").inner_text()
    # a decision without a reason is refused in words, and nothing happens
    planned.get_by_role("button", name="Accept").click()
    expect(planner.get_by_role("alert")).to_contain_text("Write a reason")
    planner.said.clear()
    planned = planner.locator("article", has_text=f"No. {number}")
    planned.get_by_label("Reason").fill("It costs little & reaches <both> banks")
    with planner.expect_navigation():
        planned.get_by_role("button", name="Accept").click()

    citizen.goto(f"{address}/follow")
    citizen.fill("input[name=code]", code.upper())
    with citizen.expect_navigation():
        citizen.get_by_role("button", name="Follow").tap()
    told = citizen.locator("article")
    expect(told).to_contain_text("It costs little & reaches <both> banks")
    expect(told).to_contain_text(gained)
    citizen.goto(f"{address}/changed")
    changed = citizen.locator("article", has_text="Share the tower of the railway.")
    expect(changed).to_contain_text("Because a citizen asked, and 1 supported it")
    citizen.goto(f"{address}/follow")
    citizen.fill("input[name=code]", code)
    citizen.get_by_role("button", name="Follow").tap()
    citizen.locator("summary", has_text="Take it back").tap()
    with citizen.expect_navigation():
        citizen.get_by_role("button", name="Delete it").tap()
    citizen.goto(f"{address}/changed")
    expect(citizen.locator("main")).not_to_contain_text("Share the tower")


def test_the_keyboard_alone_reaches_all(lived_in, looking):
    """Skip link, search, a square, the form and its code, by Tab, arrows, Space and Enter."""
    address, pins, _, _ = lived_in
    page = looking(f"{address}/", scripts=False, width=1440)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_attribute("name", "near")
    page.keyboard.type("te")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?near=te")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator(":focus").inner_text().startswith("Put a pin at"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/pin?square=*")
    page.locator("input[name=subject]").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("Typed by keyboard alone")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".code")
    pin = pins.follow("".join(page.locator(".code span").all_inner_texts()))
    assert (pin.subject, pin.words) == ("slow", "Typed by keyboard alone")


def test_demand_becomes_a_layer_on_a_branch(lived_in, looking):
    import twinkit as tk

    address, pins, store, _ = lived_in
    page = signed_in(looking(width=1440), address, "Ravi")
    page.get_by_role("link", name="Demand").click()
    page.get_by_role("button", name=re.compile("weight layer")).click()
    page.wait_for_selector("text=Saved: surface/pins")
    layer = tk.open(store, branch="wishes")["surface/pins"]
    assert float(layer.sum()) == float(pins.squares().pins.sum()) > 0
    assert layer.attrs["units"] == "1"
    with page.expect_download() as got:
        page.get_by_role("link", name="As a table (CSV)").click()
    rows = got.value.path().read_text().splitlines()
    assert rows[0] == "square,x [m],y [m],people,no signal,slow,proposal,worry,pins"
    assert sum(int(row.rsplit(",", 1)[1]) for row in rows[1:]) == int(pins.squares(fewest=1).pins.sum())


# ---------------------------------------------------------------- hostile, as a browser sees it


def test_ten_megabytes_are_answered_on_the_page(lived_in, looking):
    address, pins, _, _ = lived_in
    before = pins.counts()
    page = looking(f"{address}/pin?square=6,6")
    page.get_by_label("Slow").check()
    page.evaluate(
        "const t = document.querySelector('textarea'); t.hidden = true; t.maxLength = 1e8; t.value = 'x'.repeat(1e7)"
    )
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector("text=Write 1 to 600 characters")
    page.said.clear()
    assert pins.counts() == before


def test_what_was_written_is_not_lost_when_a_form_is_refused(lived_in, looking):
    address, _, _, _ = lived_in
    page = looking(f"{address}/pin?square=6,6", scripts=False)
    page.context.clear_cookies()
    page.get_by_label("Slow").check()
    page.get_by_label(re.compile("In a few words")).fill('"Slow" at <the> well')
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("does not fit this browser")
    expect(page.get_by_label(re.compile("In a few words"))).to_have_value('"Slow" at <the> well')
    page.said.clear()
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector(".code")


# ---------------------------------------------------------------- nothing lost


def pins_in(file):
    """All pins, as (number, words), past every layer of ours."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)) as raw:
        return raw.execute("SELECT id, words FROM pin").fetchall()


def code_in(text):
    found = re.findall(r"<span>([a-z2-7]{4})</span>", text)
    return "".join(found) if len(found) == 6 else None


def once_each(file, confirmed):
    """Every confirmed pin is there exactly once."""
    with register(file) as pins:
        numbers = [pins.follow(code).id for code in confirmed.values()]
        assert {name: pins.follow(code).words for name, code in confirmed.items()} == {n: n for n in confirmed}
    assert len(set(numbers)) == len(numbers)
    held = [words for _, words in pins_in(file)]
    assert len(set(held)) == len(held)


@pytest.mark.parametrize("many", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_while_browsers_submit(town_store, town, tmp_path, looking, free_port, many):
    """Whoever saw a code has a pin, once; whoever saw none sends the same form again, and has one, too."""
    file, port = tmp_path / "pins.db", free_port()
    register(file, twin=town, hourly=1000, moderated=False).close()
    address = f"http://127.0.0.1:{port}"
    for attempt in range(8):  # until a kill falls between the first pin and the last
        pages = [looking(width=360, height=740) for _ in range(many)]
        before, forms = len(pins_in(file)), []
        with served(town_store, file, port) as server:
            for number, page in enumerate(pages):
                page.goto(f"{address}/pin?square=6,6")
                page.get_by_label("Slow").check()
                page.fill("textarea", f"browser {number}, attempt {attempt}")
                forms.append(page.evaluate("Object.fromEntries(new FormData(document.forms[0]))"))
            at = 1000 * (time.time() + 1)
            for page in pages:  # all at one moment
                page.evaluate(
                    "t => void setTimeout(() => document.querySelector('main form').submit(), t - Date.now())", at
                )
            while len(pins_in(file)) < before + max(1, many // 6):
                time.sleep(0.002)
            server.kill()
            server.wait()
        if len(pins_in(file)) < before + many:
            break
        for page in pages:
            page.close()
            page.said.clear()
    else:
        raise AssertionError("every kill came too late to tell anything")
    confirmed = {}
    with served(town_store, file, port):
        for number, (page, form) in enumerate(zip(pages, forms, strict=True)):
            page.wait_for_load_state()
            code = code_in(page.content())
            again = code_in(page.context.request.post(f"{address}/pin", form=form).text())
            assert code in (None, again)
            confirmed[f"browser {number}, attempt {attempt}"] = again
            page.said.clear()  # a line that broke is told to the console
    once_each(file, confirmed)
    assert len(pins_in(file)) == before + many


def test_killed_again_and_again_while_twenty_send(town_store, town, tmp_path, free_port):
    """Twenty clients send the same form until it is confirmed, over two kills."""
    file, port = tmp_path / "pins.db", free_port()
    register(file, twin=town, hourly=100_000, moderated=False).close()
    address, confirmed, begun, stop = f"http://127.0.0.1:{port}", {}, [], threading.Event()

    def sending(person):
        with httpx.Client(base_url=address, timeout=10) as client:
            for number in range(1000):
                name = f"person {person} pin {number}"
                form = None
                while not stop.is_set():
                    try:
                        if form is None:
                            page = client.get("/pin", params={"square": "6,6"}).text
                            hidden = dict(re.findall(r'name="(token|key)" value="([0-9a-f]+)"', page))
                            form = {**hidden, "square": "6,6", "subject": "slow", "words": name}
                        begun.append(name)
                        code = code_in(client.post("/pin", data=form).text)
                        assert code
                        confirmed[name] = code
                        break
                    except httpx.HTTPError:
                        time.sleep(0.05)
                if stop.is_set():
                    return

    threads = [threading.Thread(target=sending, args=(person,)) for person in range(20)]
    try:
        for round_ in range(3):
            with served(town_store, file, port) as server:
                if not round_:
                    for thread in threads:
                        thread.start()
                before = len(confirmed)
                while len(confirmed) < before + 15:
                    time.sleep(0.01)
                if round_ < 2:
                    server.kill()
                    server.wait()
                else:
                    stop.set()
                    for thread in threads:
                        thread.join()
    finally:
        stop.set()
    assert len(confirmed) >= 45
    assert len(begun) > len(set(begun)), "no form was sent twice: the kills hit nobody"
    once_each(file, confirmed)
