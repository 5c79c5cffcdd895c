"""Who gets in to the dashboards, and what nobody gets past: roles, passes, tokens, origins, headers, large messages."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

import twinkit as tk
from twinkit.participate import register
from twinkit.participate.officials import appoint, dismiss
from twinkit.view.dashboard._door import PASS

APP = {"PYTHONPATH": str(Path(__file__).parent / "browser")}
WORD = "three odd words"


@pytest.fixture(scope="module")
def held(town, tmp_path_factory):
    """A store, and a register with an official of each role."""
    folder = tmp_path_factory.mktemp("held")
    tk.save(town, folder / "town.twin", message="the town")
    with register(folder / "pins.db", twin=town, hourly=200) as pins:
        for role in ("viewer", "planner", "moderator", "administrator"):
            appoint(pins, role.title(), role, password=WORD)
    return folder


@pytest.fixture(scope="module")
def closed(dashboards, held):
    """The small app, where everybody signs in."""
    with dashboards(
        held / "town.twin", "--app", "small_app.app", "--register", str(held / "pins.db"), environment=APP,
        path="/login",
    ) as address:  # fmt: skip
        yield address


@pytest.fixture(scope="module")
def alone(dashboards, held):
    """The small app on this computer alone."""
    with dashboards(held / "town.twin", "--app", "small_app.app", environment=APP) as address:
        yield address


class Browser:
    """Requests as a browser makes them, and as one would not."""

    def __init__(self, address):
        self.host = address.removeprefix("http://")
        self.cookies = {}

    def ask(self, method, path, *, form=None, host=None, **headers):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers |= {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
        headers |= {"Host": host} if host else {}
        body = None
        if form is not None:
            body, headers["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.text = answer.read().decode("utf-8", "replace")
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        connection.close()
        return answer

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def sign_in(self, name, password=WORD, **headers):
        page = self.get("/login?next=%2Fsmall_app")
        form = {"_xsrf": field(page.text, "_xsrf"), "username": name, "password": password, "next": "/small_app"}
        return self.ask("POST", "/login", form=form, **headers)


def field(text, name):
    return re.search(rf'name="{name}" value="([^"]*)"', text)[1]


def token(text):
    return re.search(r'"token":\s*"([^"]+)"', text)[1]


def socket(browser, given, *, path="/small_app/ws", origin="own", send=(), wait=60):
    """What a websocket with a token meets: "open" after the server's welcome, else a status or a code of closing."""
    import websocket

    try:
        made = websocket.create_connection(
            f"ws://{browser.host}{path}", timeout=wait, subprotocols=["bokeh", given], redirect_limit=0,
            origin=f"http://{browser.host}" if origin == "own" else origin,
            cookie="; ".join(f"{k}={v}" for k, v in browser.cookies.items()) or None,
        )  # fmt: skip
    except websocket.WebSocketBadStatusException as refused:
        return refused.status_code
    try:
        if made.getstatus() != 101:
            return made.getstatus()
        first = heard(made)
        if isinstance(first, int):
            return first
        for message in send:
            made.send(message)
        while send and not isinstance(code := heard(made), int):
            pass
        return code if send else "open" if json.loads(first)["msgtype"] == "ACK" else first
    except (OSError, websocket.WebSocketException):
        return "cut off"
    finally:
        made.shutdown()


def heard(made):
    """The next text of a websocket, or the code with which it was closed."""
    from websocket import ABNF

    while True:
        kind, data = made.recv_data(control_frame=True)
        if kind == ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")
        if kind == ABNF.OPCODE_TEXT:
            return data.decode()


# ---------------------------------------------------------------- headers and addresses


def test_headers_are_strict_and_only_here_is_eval_allowed(closed, alone):
    page = Browser(alone).get("/small_app")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-eval'" in policy
    assert "script-src 'self' 'unsafe-eval' 'nonce-" in policy
    assert "frame-ancestors 'none'" in policy
    assert "*" not in policy
    assert not re.search(r"https?://", policy)
    plain = Browser(closed).get("/login").headers["Content-Security-Policy"]
    assert "unsafe-eval" not in plain
    assert "script-src" not in plain
    for answer in (page, Browser(closed).get("/login"), Browser(alone).get("/frame.js"), Browser(alone).get("/none")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Access-Control-Allow-Origin"] is None
        assert answer.headers["Server"] is None
        assert "Content-Security-Policy" in answer.headers


def test_nothing_of_a_page_is_foreign(alone):
    text = Browser(alone).get("/small_app").text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)


def test_what_bokeh_offers_and_nobody_needs_is_closed(alone):
    for path in ("/small_app/autoload.js?bokeh-autoload-element=1", "/small_app/metadata", "/none"):
        answer = Browser(alone).get(path)
        assert answer.status == 404, path
        assert "Traceback" not in answer.text


def test_a_foreign_name_of_the_server_is_refused(alone, closed):
    for path in ("/", "/small_app"):
        assert Browser(alone).get(path, host="evil.example").status == 421
    assert Browser(closed).get("/login", host="evil.example").status == 421


def test_a_foreign_origin_opens_no_socket(alone):
    browser = Browser(alone)
    given = token(browser.get("/small_app").text)
    for origin in ("http://evil.example", "null", f"http://{browser.host}.evil.example", "http://127.0.0.1:1"):
        assert socket(browser, given, origin=origin) == 403, origin
    assert socket(browser, given) == "open"


def test_a_token_that_is_forged_or_old_opens_no_socket(alone):
    browser = Browser(alone)
    given = token(browser.get("/small_app").text)
    body, _, signed = given.partition(".")
    more = base64.urlsafe_b64encode(b'{"session_id": "x", "session_expiry": 99999999999}').decode().rstrip("=")
    for forged in (body, f"{more}.{signed}", f"{body}.{'A' * len(signed)}", "x", "é".encode().hex()):
        assert socket(browser, forged) != "open", forged[:30]


def test_a_message_of_ten_megabytes_ends_its_sender_alone(alone, looking):
    browser = Browser(alone)
    given = token(browser.get("/small_app").text)
    assert socket(browser, given, send=["x" * 10_000_000]) in (1009, "cut off")
    assert socket(browser, token(browser.get("/small_app").text), send=["{}", "{}", "{}"]) != "open"
    page = looking(f"{alone}/small_app")
    page.get_by_role("button", name="Count sites").click()
    page.locator("#answer").wait_for()


def test_a_forged_message_neither_fills_the_log_nor_commands_a_terminal(dashboards, held, tmp_path_factory):
    with dashboards(held / "town.twin", "--app", "small_app.app", environment=APP) as address:
        log = max(tmp_path_factory.getbasetemp().glob("dashboard*/log"), key=lambda p: p.stat().st_mtime_ns)
        browser = Browser(address)
        change = {"kind": "ModelChanged", "model": {"id": "\x1b[2J" + "x" * 300_000}, "attr": "value", "new": 1}
        parts = [json.dumps({"msgid": "1", "msgtype": "PATCH-DOC"}), "{}", json.dumps({"events": [change]})]
        socket(browser, token(browser.get("/small_app").text), send=parts, wait=3)
        text = log.read_text()
    assert "PATCH-DOC" in text
    assert len(text) < 30_000
    assert "\x1b" not in text


def test_a_text_of_ten_megabytes_is_a_sentence_on_the_page(alone, looking):
    page = looking(f"{alone}/small_app")
    page.get_by_label("Branch").wait_for()
    page.get_by_label("Branch").fill("x" * 10_000_000)
    page.get_by_label("Branch").press("Tab")
    page.get_by_text("The connection to the server is lost").wait_for()
    with page.expect_navigation():
        page.get_by_role("link", name="Connect again").click()
    page.said.clear()  # of the page before
    page.get_by_label("Branch").fill("x" * 100_000)
    page.get_by_label("Branch").press("Tab")
    page.get_by_role("button", name="Save branch").click()
    page.get_by_text("at most 600 characters").wait_for()


# ---------------------------------------------------------------- who gets in


def test_nobody_gets_in_without_signing_in(closed):
    browser = Browser(closed)
    for path in ("/", "/small_app", "/small_app/ws"):
        answer = browser.get(path)
        assert answer.status in (302, 403, 400), path
        assert "token" not in answer.text
    assert "login" in browser.get("/small_app").headers["Location"]


def test_whoever_signs_in_gets_a_cookie_that_no_script_and_no_foreign_form_sees(closed):
    browser = Browser(closed)
    answer = browser.sign_in("Planner")
    assert answer.status == 302
    assert answer.headers["Location"] == "./small_app"
    cookie = next(c for c in answer.headers.get_all("Set-Cookie") if c.startswith(PASS))
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    page = browser.get("/small_app")
    assert page.status == 200
    # neither the page nor its token carries what the cookie says
    payload = token(page.text).partition(".")[0]
    read = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode("latin-1")
    assert browser.cookies[PASS][:40] not in page.text + read


def test_behind_tls_cookies_go_over_tls_alone(dashboards, held):
    with dashboards(
        held / "town.twin", "--app", "small_app.app", "--register", str(held / "pins.db"), "--secure",
        "--allow-origin", "twin.example.org", environment=APP, path="/login",
    ) as address:  # fmt: skip
        browser = Browser(address)
        tls = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "192.0.2.7", "host": "twin.example.org"}
        page = browser.get("/login", **tls)
        assert all("Secure" in c for c in page.headers.get_all("Set-Cookie"))
        assert page.headers["Strict-Transport-Security"]
        form = {"_xsrf": field(page.text, "_xsrf"), "username": "Planner", "password": WORD}
        answer = browser.ask("POST", "/login", form=form, Origin="https://twin.example.org", **tls)
        assert answer.status == 302
        assert all("Secure" in c for c in answer.headers.get_all("Set-Cookie"))


@pytest.mark.parametrize(
    ("name", "password"), [("Planner", "wrong wrong wrong"), ("Nobody", WORD), ("", ""), ("'--", "x")]
)
def test_a_wrong_password_is_refused(closed, name, password):
    browser = Browser(closed)
    answer = browser.sign_in(name, password)
    assert answer.status == 403
    assert "do not belong together" in answer.text
    assert PASS not in browser.cookies


def test_a_form_that_was_not_made_here_is_refused(closed):
    browser = Browser(closed)
    form = {"username": "Planner", "password": WORD}
    assert browser.ask("POST", "/login", form=form).status == 403
    page = browser.get("/login")
    form["_xsrf"] = field(page.text, "_xsrf")
    assert browser.ask("POST", "/login", form=form, Origin="http://evil.example").status == 403
    assert browser.ask("POST", "/login", form=form, Sec_Fetch_Site="cross-site").status == 403
    assert Browser(closed).ask("POST", "/login", form=form).status == 403
    assert PASS not in browser.cookies
    assert browser.ask("POST", "/login", form=form).status == 302


def test_after_signing_in_nobody_is_sent_elsewhere(closed):
    browser = Browser(closed)
    for there in (
        "https://evil.example/x",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "x\r\nSet-Cookie: a=b",
    ):
        page = browser.get("/login")
        form = {"_xsrf": field(page.text, "_xsrf"), "username": "Planner", "password": WORD, "next": there}
        to = browser.ask("POST", "/login", form=form).headers["Location"]
        assert re.fullmatch(r"\./\w*", to), to


def test_forged_passes_open_nothing(closed):
    browser = Browser(closed)
    browser.sign_in("Viewer")
    body, _, signed = browser.cookies[PASS].partition(".")
    raised = base64.urlsafe_b64encode(b"99999999999:Administrator").decode()
    for forged in (f"{raised}.{signed}", body, f"{body}.{'0' * 64}", "x" * 3000, "administrator"):
        browser.cookies[PASS] = forged
        assert browser.get("/small_app").status == 302, forged[:40]


def test_a_page_belongs_to_the_browser_that_fetched_it(closed):
    planner, viewer, nobody = Browser(closed), Browser(closed), Browser(closed)
    planner.sign_in("Planner")
    viewer.sign_in("Viewer")
    given = token(planner.get("/small_app").text)
    assert socket(viewer, given) == 1008
    assert socket(nobody, given) in (302, 403)
    # nor can a viewer fetch a page for the planner's session
    answer = viewer.get(f"/small_app?bokeh-token={given}")
    assert token(answer.text) != given
    assert socket(planner, given) == "open"


def test_signing_out_ends_open_pages_and_replayed_requests(closed, looking):
    browser = Browser(closed)
    browser.sign_in("Administrator")
    replayed = dict(browser.cookies)
    given = token(browser.get("/small_app").text)
    name, value = PASS, browser.cookies[PASS]
    page = looking(f"{closed}/small_app", cookies=[{"name": name, "value": value, "url": closed}])
    page.get_by_text("Administrator, administrator").wait_for()
    form = {"_xsrf": field(browser.get("/logout").text, "_xsrf")}
    assert "signed out" in browser.ask("POST", "/logout", form=form).text
    browser.cookies = replayed
    assert browser.get("/small_app").status == 302
    assert socket(browser, given) in (302, 403, 1008)
    page.get_by_text("The connection to the server is lost").wait_for()
    page.close()  # it would try again and again, and say so
    page.said.clear()


def test_passwords_cannot_be_tried_for_long(dashboards, town, held, tmp_path):
    with register(tmp_path / "few.db", twin=town, hourly=3) as pins:
        appoint(pins, "Asha", "planner", password=WORD)
    with dashboards(
        held / "town.twin", "--app", "small_app.app", "--register", str(tmp_path / "few.db"), environment=APP,
        path="/login",
    ) as address:  # fmt: skip
        browser = Browser(address)
        assert [browser.sign_in("Asha", "wrong wrong").status for _ in range(4)] == [403, 403, 403, 429]
        assert browser.sign_in("Asha").status == 429


# ---------------------------------------------------------------- what somebody may do


def opened(looking, address, name):
    browser = Browser(address)
    browser.sign_in(name)
    page = looking(f"{address}/small_app", cookies=[{"name": PASS, "value": browser.cookies[PASS], "url": address}])
    page.get_by_text(f"{name}, {name.lower()}").wait_for()
    page.get_by_label("Branch").wait_for()
    return page


@pytest.mark.parametrize(("name", "may"), [("Viewer", False), ("Moderator", False), ("Planner", True)])
def test_a_forged_message_does_what_the_role_may_and_no_more(closed, looking, held, name, may):
    """The button is enabled and pressed by a script in the page, past all that the page allows."""
    page = opened(looking, closed, name)
    expect(page.get_by_role("button", name="Save branch")).to_be_enabled(enabled=may)
    page.evaluate(
        """branch => { const doc = Bokeh.documents[0]; const models = [...doc._all_models.values()];
        models.find(m => m.type.endsWith("TextInput")).value = branch;
        const save = models.find(m => m.label === "Save branch"); save.disabled = false;
        models.find(m => m.attributes?.role !== undefined && "role" in m && (m.role = "administrator"));
        for (const view of Bokeh.index.query(v => v.model === save)) view.click?.(); }""",
        f"by-{name.lower()}",
    )
    said = f"saved by-{name.lower()}" if may else "This needs the role planner"
    page.get_by_text(said).wait_for()
    assert (f"by-{name.lower()}" in tk.store.branches(held / "town.twin")) == may


def test_whoever_is_dismissed_is_out_at_once(dashboards, looking, held, town, tmp_path):
    shutil.copytree(held / "town.twin", tmp_path / "town.twin")
    with register(tmp_path / "pins.db", twin=town, hourly=50) as pins:
        for name in ("Planner", "Viewer"):
            appoint(pins, name, name.lower(), password=WORD)
        with dashboards(
            tmp_path / "town.twin", "--app", "small_app.app", "--register", str(tmp_path / "pins.db"), "--guests",
            environment=APP,
        ) as address:  # fmt: skip
            guest = looking(f"{address}/small_app")
            guest.get_by_text("guest").wait_for()
            page = opened(looking, address, "Planner")
            page.get_by_label("Branch").fill("too-late")
            dismiss(pins, "Planner")
            page.get_by_role("button", name="Save branch").click()
            page.get_by_text("This needs the role planner; you are viewer.").wait_for()
            assert "too-late" not in tk.store.branches(tmp_path / "town.twin")
            for opened_one in (page, guest):
                opened_one.context.close()


def test_signing_in_and_out_by_keyboard_for_everybody(closed, looking, axe):
    page = looking(f"{closed}/small_app", width=360, scheme="dark")
    page.wait_for_url("**/login?next=*")
    assert axe(page) == []
    page.keyboard.type("Planner")
    page.keyboard.press("Tab")
    page.keyboard.type(WORD)
    page.keyboard.press("Enter")
    page.get_by_text("Planner, planner").wait_for()
    page.get_by_role("link", name="Sign out").click()
    assert axe(page) == []
    page.get_by_role("button", name="Sign out").press("Enter")
    page.get_by_role("heading", name="You are signed out.").wait_for()


def test_the_index_leads_to_each_app(town_dashboards, looking, axe):
    page = looking(town_dashboards)
    assert axe(page) == []
    assert [a.get_attribute("href") for a in page.locator("li a").all()] == ["./plan", "./operate", "./withstand"]
    page.goto(f"{town_dashboards}/?language=hi")
    expect(page.locator("html")).to_have_attribute("lang", "hi")


def test_a_hostile_title_is_short_and_only_text(dashboards, looking, town, tmp_path):
    hostile = town.copy()
    hostile.attrs["title"] = "<script>alert(1)</script>\u202e" + "<b>" * 1_000_000
    tk.save(hostile, tmp_path / "town.twin", message="a title")
    with dashboards(tmp_path / "town.twin", "--app", "small_app.app", environment=APP) as address:
        page = looking(f"{address}/small_app", width=360)
        page.get_by_role("heading", name="Small").wait_for()
        assert len(page.content()) < 100_000
        assert "\u202e" not in page.title() + page.content()
        assert len(page.title()) < 200
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=360)
        page.context.close()
    with dashboards(tmp_path / "town.twin") as address:
        page = looking(address, width=360)
        expect(page.get_by_role("heading")).to_contain_text("<script>")
        assert "\u202e" not in page.content()
        assert len(page.content()) < 10_000
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=360)


def test_a_port_that_is_taken_is_one_message(alone, held):
    command = [
        sys.executable,
        "-m",
        "twinkit",
        "dashboard",
        str(held / "town.twin"),
        "--port",
        alone.rpartition(":")[2],
    ]
    done = subprocess.run([*command, "--app", "small_app.app"], capture_output=True, text=True, env=os.environ | APP)
    assert done.returncode == 2
    assert "stop what holds this one" in done.stderr
    assert "Traceback" not in done.stderr
