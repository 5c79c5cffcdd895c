"""One lesson in a real browser: open, run all, see the verdict, change an answer, see the diagnosis."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from twinkit.lesson.lab import prepared, workspace

ROOT = Path(__file__).parents[1]
PATIENCE = 120_000  # [ms] two cores that others use, too


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def jupyterlab(root: Path, scratch: Path):
    """A running JupyterLab on `root` with the workspace imported; its address."""
    port = free_port()
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(scratch / "config"),
        "JUPYTER_DATA_DIR": str(scratch / "data"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(scratch / "settings"),
        "IPYTHONDIR": str(scratch / "ipython"),
    }
    said = workspace("learn/00-welcome/lesson.ipynb", "learn/map.md")
    (scratch / "workspace.json").write_text(json.dumps(said), encoding="utf-8")
    jupyter = [sys.executable, "-m", "jupyter", "lab", "workspaces", "import", str(scratch / "workspace.json")]
    subprocess.run(jupyter, env=environment, check=True, capture_output=True)
    log = (scratch / "lab.log").open("w")
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            f"--ServerApp.port={port}",
            f"--ServerApp.root_dir={root}",
            "--IdentityProvider.token=",
            "--LabApp.news_url=",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/api/status", timeout=2):
                break
            assert server.poll() is None, (scratch / "lab.log").read_text()[-2000:]
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()
        log.close()


@contextlib.contextmanager
def page_of(program, address: str):
    """A page of Chromium that looks at the workspace."""
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(f"{address}/lab/workspaces/twinkit")
        try:
            yield page
        finally:
            browser.close()


def run_all(page) -> None:
    page.locator(".jp-NotebookPanel-notebook").first.wait_for()
    # the kernel's name stands in the toolbar once it listens
    page.get_by_text("Python 3 (ipykernel)").first.wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def cell_with(page, text: str):
    return page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=text).first


def answer(page, old: str, new: str) -> None:
    """Replace what stands in an answer cell, run it and the check below."""
    cell = cell_with(page, old)
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(new)
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")


def kept(page, name: str) -> None:
    """A screenshot for the eye, where TWINKIT_SCREENSHOTS names a folder."""
    if os.environ.get("TWINKIT_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["TWINKIT_SCREENSHOTS"]) / f"{name}.png")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_learner_meets_verdict_and_diagnosis(program, tmp_path):
    program("chromium")
    root = tmp_path / "root"
    prepared(ROOT / "lessons", root)
    with jupyterlab(root, tmp_path) as address, page_of(program, address) as page:
        run_all(page)
        check = cell_with(page, 'lesson.check("largest", largest)')
        expect(check.locator("div[role=status]")).to_contain_text("not attempted")

        answer(page, "largest = ...", 'largest = places["name"].iloc[0]')
        check.get_by_text("That is the first row").wait_for()
        kept(page, "diagnosis")
        expect(check.locator("div[role=status]")).to_contain_text("not yet")

        answer(page, "largest = places", 'largest = places.sort_values("population")["name"].iloc[-1]')
        check.get_by_text("passed").wait_for()
        right = page.locator(".jp-MarkdownViewer img")
        right.wait_for()
        expect(right).to_have_attribute("alt", re.compile("Map of people"))
        picture = page.locator(".jp-OutputArea img[alt]").first
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_attribute("alt", re.compile("Map of people"))
        kept(page, "map")
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count() == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_persian_runs_from_right_to_left(program, tmp_path):
    program("chromium")
    root = tmp_path / "root"
    prepared(ROOT / "lessons", root, language="fa")
    with jupyterlab(root, tmp_path) as address, page_of(program, address) as page:
        run_all(page)
        verdict = cell_with(page, 'lesson.check("largest", largest)').locator("div[role=status]")
        expect(verdict).to_have_css("direction", "rtl")
        expect(page.locator(".jp-MarkdownCell div[lang=fa]").first).to_have_css("direction", "rtl")
        expect(page.get_by_text("این ترجمه هنوز به دست یک فارسی‌زبان بازبینی نشده است").first).to_be_attached()
        expect(page.locator(".jp-MarkdownCell div[lang=fa] p").first).to_have_css("text-align", "right")
        page.locator(".jp-Notebook h1").first.scroll_into_view_if_needed()
        kept(page, "persian")
