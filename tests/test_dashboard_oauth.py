"""Sign-in through somebody else: a real OAuth provider, JupyterHub, says who it is, and the register which role."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

import twinkit as tk
from twinkit.participate import register
from twinkit.participate.officials import appoint, dismiss

APP = {"PYTHONPATH": str(Path(__file__).parent / "browser")}

HUB = """
from jupyterhub.proxy import Proxy

class Direct(Proxy):
    # the hub answers by itself: nobody starts a server here
    should_start = False
    async def add_route(self, routespec, target, data): pass
    async def delete_route(self, routespec): pass
    async def get_all_routes(self): return {{}}

c.JupyterHub.proxy_class = Direct
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "three odd words"
c.Authenticator.allow_all = True
c.JupyterHub.services = [dict(
    name="twinkit", api_token="{secret}", oauth_client_id="service-twinkit", oauth_no_confirm=True,
    oauth_redirect_uri="http://127.0.0.1:{mine}/login",
)]
c.JupyterHub.load_roles = [dict(name="user", scopes=["self", "access:services!service=twinkit"])]
"""


@pytest.fixture
def hub(tmp_path, free_port):
    """A hub that knows one service, ours; its address, the service's port and secret."""
    port, public, mine, secret = free_port(), free_port(), free_port(), secrets.token_hex(24)
    (tmp_path / "config.py").write_text(
        HUB.format(port=port, public=public, mine=mine, secret=secret, folder=tmp_path), encoding="utf-8"
    )
    with (tmp_path / "hub.log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--config", str(tmp_path / "config.py")],
            cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        address = f"http://127.0.0.1:{port}/hub"
        try:
            for _ in range(240):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/api", timeout=2):
                    break
                assert running.poll() is None, (tmp_path / "hub.log").read_text()[-3000:]
                time.sleep(0.5)
            yield address, mine, secret
        finally:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(20)
            running.kill()
            running.wait()


def signed_in(page, name):
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("three odd words")
    page.get_by_role("button", name="Sign in").click()
    return page


@pytest.mark.slow
def test_the_provider_says_who_and_the_register_which_role(hub, dashboards, looking, town, town_store, tmp_path):
    address, port, secret = hub
    extra = {
        "AUTHORIZE_URL": f"{address}/api/oauth2/authorize", "TOKEN_URL": f"{address}/api/oauth2/token",
        "USER_URL": f"{address}/api/user", "USER_KEY": "name", "scope": ["identify"],
    }  # fmt: skip
    environment = APP | {
        "PANEL_OAUTH_KEY": "service-twinkit", "PANEL_OAUTH_SECRET": secret, "PANEL_OAUTH_EXTRA_PARAMS": repr(extra),
        "PANEL_OAUTH_REDIRECT_URI": f"http://127.0.0.1:{port}/login", "PANEL_OAUTH_JWT_USER": "name",
    }  # fmt: skip
    with register(tmp_path / "pins.db", twin=town) as pins:
        appoint(pins, "asha", "planner", password=secrets.token_hex(16))
        options = ("--app", "small_app.app", "--register", str(tmp_path / "pins.db"), "--oauth-provider", "generic")
        with dashboards(town_store, *options, environment=environment, port=port, path="/frame.js") as mine:
            page = looking(f"{mine}/small_app")
            signed_in(page, "asha").get_by_text("asha, planner").wait_for()
            page.get_by_label("Branch").fill("through-the-hub")
            page.get_by_label("Branch").press("Tab")
            page.get_by_role("button", name="Save branch").click()
            page.get_by_text("saved through-the-hub").wait_for()
            assert "through-the-hub" in tk.store.branches(town_store)
            held = {c["name"]: c for c in page.context.cookies(mine) if c["name"] in ("user", "access_token")}
            assert all(c["httpOnly"] and c["sameSite"] in ("Lax", "Strict") for c in held.values()), held
            assert "user" in held

            stranger = looking(f"{mine}/small_app")
            signed_in(stranger, "mallory")
            stranger.get_by_text("You are signed in as mallory, to whom no role was given here.").wait_for()
            expect(stranger.get_by_label("Branch")).to_have_count(0)
            stranger.said.clear()

            dismiss(pins, "asha")
            page.get_by_role("button", name="Count sites").click()
            page.get_by_text("The connection to the server is lost").wait_for()
            for one in (page, stranger):
                one.context.close()
                one.said.clear()


def test_an_answer_that_nobody_asked_for_lets_nobody_in(dashboards, town, town_store, tmp_path):
    """A code with a forged state, as a foreign page would send it along, ends before the provider is asked."""
    with register(tmp_path / "pins.db", twin=town) as pins:
        appoint(pins, "asha", "planner", password=secrets.token_hex(16))
    environment = APP | {"PANEL_OAUTH_KEY": "key", "PANEL_OAUTH_SECRET": "secret"}
    options = ("--app", "small_app.app", "--register", str(tmp_path / "pins.db"), "--oauth-provider", "github")
    with dashboards(town_store, *options, environment=environment, path="/frame.js") as mine:
        for state in ("", "x", "eyJzdGF0ZSI6ICJ4In0="):
            connection = http.client.HTTPConnection(mine.removeprefix("http://"), timeout=30)
            connection.request("GET", f"/login?code=stolen&state={state}", headers={"Cookie": "panel-oauth-state=mine"})
            answer = connection.getresponse()
            assert answer.status in (401, 403), state
            assert "user=" not in str(answer.headers)
            connection.close()
