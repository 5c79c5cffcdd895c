"""A hub for a classroom: what it prepares, whom it lets in, and three learners on lesson 00 at once."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from twinkit.error import TwinError
from twinkit.lesson.handout import handed_out
from twinkit.lesson.hub import _handed_out, _handed_out_as, matches, prepared

ROOT = Path(__file__).parents[1]
WELCOME = ROOT / "lessons" / "00-welcome"
PATIENCE = 240_000


@pytest.fixture
def fake_proxy(tmp_path, monkeypatch):
    """Something with the proxy's name on the PATH: enough to prepare a hub, not to start one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "configurable-http-proxy").write_text("#!/bin/sh\n")
    (folder / "configurable-http-proxy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def seats_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "learners.csv").read_text(encoding="utf-8").splitlines()))


def test_a_prepared_hub_holds_copies_twins_and_seats(tmp_path, fake_proxy):
    folder = tmp_path / "hub"
    made = prepared(folder, [WELCOME], learners=3, port=8123, shared_account=True)
    assert "8123" in repr(made)
    rows = seats_of(folder)
    assert [r["name"] for r in rows] == ["learner-01", "learner-02", "learner-03"]
    assert len({r["passphrase"] for r in rows}) == 3
    about = json.loads((folder / "hub.json").read_text(encoding="utf-8"))
    for row in rows:
        kept = about["learners"][row["name"]]
        assert row["passphrase"] not in kept
        assert matches(row["passphrase"], kept)
        assert not matches(row["passphrase"] + "x", kept)
    for secret in ("learners.csv", "hub.json"):
        assert stat.S_IMODE((folder / secret).stat().st_mode) == 0o600
    copy = (folder / "lessons" / "00-welcome" / "lesson.ipynb").read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in copy
    assert "lesson.check" in copy
    assert (folder / "data" / "town.1.small.npz").is_file()


@pytest.mark.parametrize(
    ("choices", "said"),
    [({"learners": 0}, "1 to 200"), ({"learners": 1000}, "1 to 200"), ({"port": 80}, "1024")],
)
def test_a_hub_out_of_range_is_refused(tmp_path, fake_proxy, choices, said):
    with pytest.raises(TwinError, match=said):
        prepared(tmp_path / "hub", [WELCOME], **choices)
    assert not (tmp_path / "hub").exists()


def test_a_folder_in_use_is_left_alone(tmp_path, fake_proxy):
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "mine.txt").write_text("x")
    with pytest.raises(TwinError, match="empty folder"):
        prepared(tmp_path / "hub", [WELCOME])


def test_a_place_closed_to_learners_accounts_is_refused(tmp_path, fake_proxy):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(TwinError, match=r"closed to them.*/opt"):
        prepared(home / "hub", [WELCOME])
    assert not (home / "hub").exists()


def test_without_the_proxy_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TwinError, match="npm install"):
        prepared(tmp_path / "hub", [WELCOME], shared_account=True)
    assert not (tmp_path / "hub").exists()


def test_the_configuration_keeps_the_hub_on_this_machine_and_names_who_may_come(tmp_path, fake_proxy):
    from traitlets.config import Config

    from twinkit.lesson.hub import configure

    folder = tmp_path / "hub"
    prepared(folder, [WELCOME], learners=2, address="0.0.0.0", shared_account=True)
    about = json.loads((folder / "hub.json").read_text(encoding="utf-8"))
    for shared, spawner in ((False, "LocalProcessSpawner"), (True, "SimpleLocalProcessSpawner")):
        (folder / "hub.json").write_text(json.dumps(about | {"shared_account": shared}), encoding="utf-8")
        c = Config()
        configure(c, folder, share_root=True)
        assert c.JupyterHub.bind_url == "http://0.0.0.0:8000"
        assert c.JupyterHub.hub_ip == "127.0.0.1"
        assert c.ConfigurableHTTPProxy.api_url.startswith("http://127.0.0.1")
        assert c.Authenticator.allowed_users == {"learner-01", "learner-02"}
        assert c.JupyterHub.spawner_class.__name__ == spawner


def test_root_is_not_shared_among_learners(tmp_path, fake_proxy, monkeypatch):
    from traitlets.config import Config

    from twinkit.lesson.hub import configure

    prepared(tmp_path / "hub", [WELCOME], learners=1, shared_account=True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(TwinError, match="without sudo"):
        configure(Config(), tmp_path / "hub")


# ---------------------------------------------------------------- handing out


def lessons_to_hand_out(folder: Path) -> Path:
    made = folder / "copies"
    (made / "00-welcome").mkdir(parents=True)
    (made / "00-welcome" / "lesson.ipynb").write_text("{}", encoding="utf-8")
    (made / "01-twin").mkdir()
    (made / "01-twin" / "lesson.ipynb").write_text("{}", encoding="utf-8")
    for path in (made, *made.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return made


def test_lessons_are_handed_out_once_and_work_stays(tmp_path):
    lessons, target = lessons_to_hand_out(tmp_path), tmp_path / "home" / "lessons"
    assert handed_out(lessons, target) == ["00-welcome", "01-twin"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    (target / "00-welcome" / "lesson.ipynb").write_text("my work", encoding="utf-8")
    shutil.rmtree(target / "01-twin")
    assert handed_out(lessons, target) == ["01-twin"]
    assert (target / "00-welcome" / "lesson.ipynb").read_text(encoding="utf-8") == "my work"
    assert sorted(p.name for p in target.iterdir()) == ["00-welcome", "01-twin"]


def test_a_planted_link_leads_nowhere(tmp_path):
    lessons, outside = lessons_to_hand_out(tmp_path), tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept", encoding="utf-8")
    target = tmp_path / "home" / "lessons"
    target.mkdir(parents=True)
    (target / "00-welcome").symlink_to(outside)
    (target / "01-twin").symlink_to(outside / "not-there-yet")
    assert handed_out(lessons, target) == []
    shutil.rmtree(target)
    target.symlink_to(outside)
    with pytest.raises(OSError, match="is a link"):
        handed_out(lessons, target)
    with pytest.raises(TwinError, match="is a link"):
        _handed_out(lessons, target)
    assert [p.name for p in outside.iterdir()] == ["kept.txt"]


@pytest.fixture
def learner():
    """A throwaway system account with a home of its own, and a folder that it can enter."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can make a system account")
    if not (shutil.which("useradd") and shutil.which("userdel")):
        pytest.skip("no useradd on this machine")
    import pwd

    name = f"twinkit-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="twinkit-hub-"))
    folder.chmod(0o711)
    made = subprocess.run(
        ["useradd", "--create-home", "--home-dir", str(folder / "home"), "--shell", "/usr/sbin/nologin", name],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"no account could be made: {made.stderr.strip()}")
    try:
        yield pwd.getpwnam(name), folder
    finally:
        subprocess.run(["userdel", name], capture_output=True, check=False)
        shutil.rmtree(folder)


def test_root_hands_out_with_the_learners_rights_alone(learner, monkeypatch):
    account, folder = learner
    import twinkit.lesson.handout as script

    # this Python or this clone may lie in a closed home, which a hub refuses when it is prepared
    tool = folder / "handout.py"
    shutil.copyfile(script.__file__, tool)
    tool.chmod(0o644)
    monkeypatch.setattr("twinkit.lesson.hub.__file__", str(folder / "hub.py"))
    enter = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-I", "-c", ""], check=False, cwd="/", **enter).returncode == 0:
                break
    else:
        pytest.skip("no Python that another account may run")
    monkeypatch.setattr(sys, "executable", python)
    lessons, home = lessons_to_hand_out(folder), Path(account.pw_dir)
    secret = folder / "secret"
    secret.write_text("root's", encoding="utf-8")
    secret.chmod(0o600)
    closed = folder / "closed"
    closed.mkdir(mode=0o700)

    def untouched() -> bool:
        return (secret.stat().st_uid, secret.stat().st_mode & 0o777) == (0, 0o600) and not list(closed.iterdir())

    # links in the learner's own folder, as the learner would plant them
    target = home / "lessons"
    target.mkdir()
    os.chown(target, account.pw_uid, account.pw_gid)
    (target / "x").symlink_to(secret)
    (target / "01-twin").symlink_to(closed / "new")
    _handed_out_as(account.pw_name, lessons)
    given = target / "00-welcome" / "lesson.ipynb"
    assert (given.stat().st_uid, given.stat().st_gid) == (account.pw_uid, account.pw_gid)
    assert not (target / "01-twin").exists()
    assert untouched()
    # the whole folder a link
    shutil.rmtree(target)
    target.symlink_to(closed)
    with pytest.raises(TwinError, match="is a link"):
        _handed_out_as(account.pw_name, lessons)
    assert untouched()
    # the home itself in root's folder: the learner's rights end there
    target.unlink()
    os.chown(home, 0, 0)
    home.chmod(0o755)
    with pytest.raises(TwinError, match="Permission denied"):
        _handed_out_as(account.pw_name, lessons)
    assert not target.exists()


@pytest.mark.parametrize(("shared", "mode"), [(True, 0o700), (False, 0o711)])
def test_the_hubs_folder_is_closed_but_for_what_learners_need(tmp_path, fake_proxy, monkeypatch, shared, mode):
    from traitlets.config import Config

    from twinkit.lesson.hub import configure

    # pytest's own folder is closed, which is not what is tested here
    monkeypatch.setattr("twinkit.lesson.hub._open_to_learners", lambda folder: None)
    folder = tmp_path / "hub"
    prepared(folder, [WELCOME], learners=1, shared_account=shared)
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    configure(Config(), folder, share_root=True)
    for secret in ("learners.csv", "hub.json", "jupyterhub.sqlite"):
        assert stat.S_IMODE((folder / secret).stat().st_mode) == 0o600
    for part in ("lessons", "data"):
        assert all(p.stat().st_mode & stat.S_IROTH for p in (folder / part).rglob("*"))


def configurable_http_proxy(folder: Path) -> None:
    """npm's proxy into the hub's folder, from the machine's own copy or from the registry."""
    own = shutil.which("configurable-http-proxy")
    if own:
        return
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no npm on this machine: make system installs it")
        pytest.skip("no npm on this machine: make system installs it")
    run = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), "configurable-http-proxy"]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"npm could not install configurable-http-proxy: {done.stderr[-500:]}")
        pytest.skip("npm could not install configurable-http-proxy (no network?)")


@contextlib.contextmanager
def running(folder: Path, port: int):
    log = (folder / "hub.log").open("w")
    hub = subprocess.Popen(
        [sys.executable, "-m", "jupyterhub"],
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        for _ in range(240):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/hub/health", timeout=2):
                break
            assert hub.poll() is None, (folder / "hub.log").read_text()[-3000:]
            time.sleep(0.5)
        yield
    finally:
        hub.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            hub.wait(60)
        hub.kill()
        hub.wait()
        log.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_learners_work_on_lesson_00_at_once(program, tmp_path):
    sync = pytest.importorskip("playwright.sync_api")
    chromium = program("chromium")
    folder = tmp_path / "hub"
    configurable_http_proxy(folder)
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = min(s.getsockname()[1], 64_000)
    prepared(folder, [WELCOME], learners=3, port=port, shared_account=True)
    config = folder / "jupyterhub_config.py"
    # test machines are throwaway containers, in which there is often nobody but root
    config.write_text(config.read_text().replace(".parent)", ".parent, share_root=True)"), encoding="utf-8")
    seats = seats_of(folder)
    address = f"http://127.0.0.1:{port}"
    with running(folder, port), sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages = []
        for seat in seats:
            page = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
            page.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            page.goto(f"{address}/hub/login")
            page.fill("input[name=username]", seat["name"])
            page.fill("input[name=password]", "not the passphrase")
            page.click("input[type=submit]")
            page.get_by_text("Invalid username or password").wait_for()
            page.fill("input[name=username]", seat["name"])
            page.fill("input[name=password]", seat["passphrase"])
            page.click("input[type=submit]")
            pages.append(page)
        for page in pages:
            page.locator(".jp-NotebookPanel-notebook").first.wait_for()
            page.get_by_text("Python 3 (ipykernel)").first.wait_for()
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        for page in pages:
            check = page.locator(".jp-Notebook .jp-CodeCell").filter(has_text='lesson.check("largest", largest)').first
            check.locator("div[role=status]").wait_for()
            expect(check.locator("div[role=status]")).to_contain_text("not attempted")
        if os.environ.get("TWINKIT_SCREENSHOTS"):
            pages[2].screenshot(path=Path(os.environ["TWINKIT_SCREENSHOTS"]) / "hub.png")
        browser.close()
    for seat in seats:
        assert (folder / "learners" / seat["name"] / "00-welcome" / "lesson.ipynb").is_file()
