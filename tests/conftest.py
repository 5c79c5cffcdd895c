"""What every test may ask for: real files, system programs, and a network that ends at loopback."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The one place that knows where real files lie; they are never copied into the repository.
os.environ.setdefault("TWINKIT_TESTDATA", str(ROOT.parent / "shared" / "data"))
# A window would block a headless run. Set before any test imports matplotlib, and inherited by kernels.
os.environ.setdefault("MPLBACKEND", "Agg")
# Two workers share the cores: OpenMP's threads would wait for each other at every node of a tree.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Where Debian puts a program that is not on everybody's PATH.
ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", "/usr/lib/postgresql/*/bin")
ALIASES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}


@pytest.fixture(scope="session")
def testdata():
    """The path of a real file, `testdata("srtm3/N00E010.hgt")`; the test skips by its name where it is absent."""

    def path(name: str) -> Path:
        found = Path(os.environ["TWINKIT_TESTDATA"]) / name
        if not found.exists():
            pytest.skip(f"no {name} in TWINKIT_TESTDATA ({os.environ['TWINKIT_TESTDATA']})")
        return found

    return path


@pytest.fixture(scope="session")
def program():
    """The path of a system program, `program("chromium")`; without it the test skips, and under CI=true it fails."""

    def path(name: str) -> str:
        folders = [str(p) for pattern in ELSEWHERE for p in sorted(Path("/").glob(pattern.lstrip("/")))]
        search = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
        for alias in ALIASES.get(name, (name,)):
            found = shutil.which(alias, path=search)
            if found:
                return found
        said = f"no program '{name}' on this machine: make system installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)

    return path


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch):
    """Nothing outside loopback: a test that reaches for the internet fails on every machine, not only offline."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            try:
                local = ipaddress.ip_address(host.partition("%")[0]).is_loopback
            except ValueError:
                local = host == "localhost"
            if not local:
                pytest.fail(f"a test reached for {host}: tests use nothing outside loopback")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def small_twin():
    """A factory of small whole twins on hilly ground: `small_twin(sites=4, pixels=40, step=250.0, seed=1)`."""
    import numpy as np
    import xarray as xr

    import twinkit as tk

    def made(*, sites=4, pixels=40, step=250.0, seed=1, sectors=3, antenna="sector", height=30.0):
        rng = np.random.default_rng(seed)
        axis = 500_000.0 + step * np.arange(pixels)
        y, x = np.meshgrid(axis, axis, indexing="ij")
        names = np.array([f"s{i}" for i in range(sites)], dtype=object)
        owner = np.repeat(np.arange(sites), sectors)
        count = len(owner)
        where = rng.uniform(axis[0], axis[-1], (2, sites))
        villages = rng.uniform(axis[0], axis[-1], (2, 5))
        near = ((x[..., None] - villages[0]) ** 2 + (y[..., None] - villages[1]) ** 2).min(-1)
        nodes = {
            "sites": xr.Dataset(
                {
                    "x": ("site", where[0]),
                    "y": ("site", where[1]),
                    "height": ("site", np.full(sites, height)),
                    "kind": ("site", np.full(sites, "macro", dtype=object)),
                },
                {"site": names},
            ),
            "cells": xr.Dataset(
                {
                    "site": ("cell", names[owner]),
                    "azimuth": ("cell", np.tile(np.arange(sectors) * 360.0 / sectors, sites)),
                    "downtilt": ("cell", np.full(count, 3.0)),
                    "frequency": ("cell", np.where(owner % 2, 1.8e9, 8e8)),
                    "bandwidth": ("cell", np.full(count, 1e7)),
                    "transmit_power": ("cell", np.full(count, 46.0)),
                    "antenna": ("cell", np.full(count, antenna, dtype=object)),
                },
                {"cell": np.array([f"s{o}-{i}" for i, o in enumerate(owner)], dtype=object)},
            ),
            "places": xr.Dataset(
                {
                    "x": ("place", villages[0]),
                    "y": ("place", villages[1]),
                    "name": ("place", np.array([f"village {i}" for i in range(5)], dtype=object)),
                    "population": ("place", np.array([5000.0, 900.0, 700.0, 700.0, 120.0])),
                },
                {"place": np.array(list("abcde"), dtype=object)},
            ),
            "surface": xr.Dataset(
                {
                    "ground_height": (("y", "x"), (900 + 120 * np.sin(x / 1700) * np.cos(y / 2300)).astype("f4")),
                    "people": (("y", "x"), (40 * np.exp(-near / 9e5)).astype("f4")),
                },
                {"y": axis, "x": axis},
            ),
        }
        return tk.assemble(nodes, title="small", crs="EPSG:32643", seed=seed)

    return made


@pytest.fixture
def full_disk(monkeypatch):
    """Saves that find the disk full when their values are written: `with full_disk():`."""

    def fails(*_given, **_more):
        raise OSError(28, "No space left on device")

    @contextlib.contextmanager
    def full():
        from twinkit.store import tree

        with monkeypatch.context() as patched:
            patched.setattr(tree, "write", fails)
            yield

    return full


@pytest.fixture(scope="session")
def workers():
    """A dask.distributed client with two worker processes: `result.compute(scheduler=workers)`.

    It is no default, so that tests which do not ask for it run where they always run.
    """
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    # a loaded machine takes its time to start two interpreters; port 0, because another test run may hold 8787
    patience = {"distributed.comm.timeouts.connect": "120s", "distributed.comm.timeouts.tcp": "120s"}
    with (
        dask.config.set({**patience, "distributed.admin.tick.limit": "120s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster, timeout=120, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        yield client


# ---------------------------------------------------------------- a browser

AXE = ROOT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 60_000  # [ms] two cores that others use, too


@pytest.fixture(scope="module")
def chromium(program):
    """Debian's Chromium, driven by Playwright; for `looking`. A module long: its loop would disturb other modules'."""
    sync = pytest.importorskip("playwright.sync_api")
    sync.expect.set_options(timeout=PATIENCE)
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def looking(chromium):
    """A factory of pages: `page = looking(address, width=360, scheme="dark")`.

    `page.said` collects console errors and warnings, uncaught errors, and every request to elsewhere than loopback;
    at the test's end it must be empty. A test that provokes an error clears it: `page.said.clear()`.

    A page answers in several messages: what a test reads after an act it reads with Playwright's `expect`, which
    waits until the page says so, and never at once.
    """
    pages = []

    def made(address="", *, width=1440, height=900, scheme="light", scripts=True, cookies=(), **options):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts, **options
        )
        context.add_cookies(list(cookies))
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.said = []
        page.on("console", lambda m: page.said.append(f"{m.type}: {m.text}") if m.type in SPOKEN else None)
        page.on("pageerror", lambda e: page.said.append(f"uncaught: {e}"))
        page.on("request", lambda r: None if _near(r.url) else page.said.append(f"foreign: {r.url[:200]}"))
        page.on("websocket", lambda w: None if _near(w.url) else page.said.append(f"foreign: {w.url[:200]}"))
        pages.append(page)
        if address:
            page.goto(address)
        return page

    yield made
    for page in pages:
        page.context.close()
    assert [said for page in pages for said in page.said] == []


SPOKEN = ("error", "warning")


def _near(url):
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about", "file") or parts.hostname in ("127.0.0.1", "localhost", "::1")


@pytest.fixture(scope="session")
def axe():
    """What axe-core finds serious or critical on a page, one line for each place: `assert axe(page) == []`.

    `make test` installs it (npm); without it the test skips, and under CI=true it fails.
    """
    if not AXE.exists():
        said = "no axe-core: make axe installs it (with npm, which make system installs)"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)

    def found(page, *, impacts=("serious", "critical"), **options):
        # not a script element: the page's own policy would refuse one
        page.evaluate(AXE.read_text(encoding="utf-8"))
        result = page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **options})
        return [
            f"{v['impact']} {v['id']}: {node['target']} {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
            for v in result["violations"]
            if v["impact"] in impacts
            for node in v["nodes"]
        ]

    return found


# ---------------------------------------------------------------- dashboards


@pytest.fixture(scope="session")
def free_port():
    """A port of loopback that nobody holds now: `free_port()`."""

    def found():
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    return found


@pytest.fixture(scope="session")
def running(free_port):
    """An application on loopback, by the server that serves it in earnest: `with running(app) as address:`."""
    import uvicorn

    @contextlib.contextmanager
    def served(app):
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
        run = threading.Thread(target=server.run)
        run.start()
        while not server.started:
            assert run.is_alive(), "the server ended before it began"
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            run.join()

    return served


@pytest.fixture(scope="session")
def dashboards(tmp_path_factory, free_port):
    """`twinkit dashboard` in a process of its own: `with dashboards(store, "--app", "plan") as address:`."""

    @contextlib.contextmanager
    def served(store, *options, environment=None, port=None, path="/"):
        port = port or free_port()
        log = tmp_path_factory.mktemp("dashboard") / "log"
        with log.open("w") as told:
            command = [sys.executable, "-m", "twinkit", "dashboard", str(store), "--port", str(port), *options]
            server = subprocess.Popen(
                command, stdout=told, stderr=subprocess.STDOUT, env=os.environ | (environment or {})
            )
            address = f"http://127.0.0.1:{port}"
            try:
                for _ in range(480):
                    with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}{path}", timeout=5):
                        break
                    assert server.poll() is None, log.read_text()[-3000:]
                    time.sleep(0.25)
                else:
                    raise AssertionError(log.read_text()[-3000:])
                yield address
            finally:
                server.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(10)
                server.kill()
                server.wait()

    return served


@pytest.fixture(scope="session")
def town():
    """The generated town that all dashboards' tests share: small, and the same bytes everywhere."""
    import twinkit as tk

    return tk.datasets.town(sites=12, seed=1)


@pytest.fixture
def town_store(town, tmp_path):
    """A store of the town that a test may change or take away."""
    import twinkit as tk

    path = tmp_path / "town.twin"
    tk.save(town, path, message="the town")
    return path


@pytest.fixture(scope="session")
def shared_town(town, tmp_path_factory):
    """A store of the town that tests share: they may add branches, each with a name of its own."""
    import twinkit as tk

    path = tmp_path_factory.mktemp("shared") / "town.twin"
    tk.save(town, path, message="the town")
    return path


@pytest.fixture(scope="session")
def town_dashboards(dashboards, shared_town):
    """The address of all dashboards of `shared_town`: nobody signs in, everybody may do everything."""
    with dashboards(shared_town) as address:
        yield address
