"""What every test may ask for: real files, system programs, and a network that ends at loopback."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The one place that knows where real files lie; they are never copied into the repository.
os.environ.setdefault("TWINKIT_TESTDATA", str(ROOT.parent / "shared" / "data"))
# A window would block a headless run. Set before any test imports matplotlib, and inherited by kernels.
os.environ.setdefault("MPLBACKEND", "Agg")

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
