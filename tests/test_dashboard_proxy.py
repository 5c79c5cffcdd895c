"""Where the dashboards must work beside a plain server: in a cell of JupyterLab, and behind the prefix of a proxy."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

import twinkit as tk
from twinkit.participate import register
from twinkit.participate.officials import appoint

APP = str(Path(__file__).parent / "browser")
CELL = 'import twinkit as tk\ntk.view.dashboard("town.twin", app="small_app.app", role="planner")'


@pytest.fixture(scope="module")
def lab(tmp_path_factory, town, free_port, program):
    """A real JupyterLab with jupyter-server-proxy, on a folder that holds a store and a notebook of one cell."""
    program("chromium")
    root = tmp_path_factory.mktemp("lab")
    tk.save(town, root / "work" / "town.twin", message="the town")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(book, root / "work" / "cell.ipynb")
    port = free_port()
    names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    folders = {f"JUPYTER_{n}": str(root / n.lower()) for n in names} | {
        "JUPYTERLAB_WORKSPACES_DIR": str(root / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(root / "settings"),
        "IPYTHONDIR": str(root / "ipython"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root / 'work'}", "--IdentityProvider.token=",
        "--ServerApp.base_url=/user/asha/", "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with (root / "log").open("w") as log:
        server = subprocess.Popen(
            command, env=os.environ | folders | {"PYTHONPATH": APP}, stdout=log, stderr=subprocess.STDOUT
        )
        address = f"http://127.0.0.1:{port}/user/asha"
        try:
            for _ in range(240):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/api/status", timeout=2):
                    break
                assert server.poll() is None, (root / "log").read_text()[-2000:]
                time.sleep(0.5)
            yield root, address, f"127.0.0.1:{port}"
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()
            server.wait()


def test_behind_a_prefix_as_binder_gives_one(lab, dashboards, looking, axe, free_port):
    """Everything is fetched and the socket opened below /user/asha/proxy/PORT/, and acts arrive."""
    root, jupyter, origin = lab
    port, store = free_port(), root / "work" / "town.twin"
    options = ("--app", "small_app.app", "--allow-origin", origin)
    with dashboards(store, *options, environment={"PYTHONPATH": APP}, port=port):
        page = looking()
        asked = []
        page.on("request", lambda r: asked.append(r.url))
        page.on("websocket", lambda w: asked.append(w.url.replace("ws:", "http:")))
        page.goto(f"{jupyter}/proxy/{port}/")
        page.get_by_label("Branch").fill("through-the-proxy")
        page.get_by_label("Branch").press("Tab")
        page.get_by_role("button", name="Save branch").click()
        page.get_by_text("saved through-the-proxy").wait_for()
        assert "through-the-proxy" in tk.store.branches(store)
        assert any(u.endswith("/ws") for u in asked)
        assert [u for u in asked if not u.startswith((f"{jupyter}/proxy/{port}/", "data:", "blob:"))] == []
        assert axe(page) == []
        page.context.close()


@pytest.mark.slow
def test_signing_in_below_a_prefix_that_is_handed_on(lab, dashboards, looking, town, free_port):
    root, jupyter, origin = lab
    port, pins = free_port(), root / "pins.db"
    with register(pins, twin=town, hourly=50) as held:
        appoint(held, "Asha", "planner", password="three odd words")
    options = ("--app", "small_app.app", "--allow-origin", origin, "--register", str(pins), "--prefix", "/twin")
    with dashboards(
        root / "work" / "town.twin", *options, environment={"PYTHONPATH": APP}, port=port, path="/twin/login"
    ):
        for address in (f"http://127.0.0.1:{port}/twin/small_app", f"{jupyter}/proxy/{port}/twin/"):
            page = looking(address)
            page.get_by_label("Name").fill("Asha")
            page.get_by_label("Password").fill("three odd words")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_text("Asha, planner").wait_for()
            page.get_by_role("button", name="Count sites").click()
            page.locator("#answer").wait_for()
            page.context.close()


def test_the_same_object_in_a_cell_of_jupyterlab(lab, looking):
    root, jupyter, _ = lab
    page = looking()
    page.goto(f"{jupyter}/lab/tree/cell.ipynb")
    page.locator(".jp-NotebookPanel-notebook").first.wait_for()
    # what is run before the kernel listens is forgotten
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    # what JupyterLab itself says is not ours; what is foreign would be
    page.said.clear()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    cell = page.locator(".jp-OutputArea")
    cell.get_by_role("heading", name="Small").wait_for()
    cell.locator("canvas").first.wait_for(state="attached")
    cell.get_by_label("Branch").fill("from-a-cell")
    cell.get_by_label("Branch").press("Tab")
    cell.get_by_role("button", name="Save branch").click()
    cell.get_by_text("saved from-a-cell").wait_for()
    assert "from-a-cell" in tk.store.branches(root / "work" / "town.twin")
    if os.environ.get("TWINKIT_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["TWINKIT_SCREENSHOTS"]) / "cell.png")
    assert [said for said in page.said if said.startswith("foreign") or "Bokeh" in said] == []
    page.said.clear()
    page.context.close()
    page.said.clear()
