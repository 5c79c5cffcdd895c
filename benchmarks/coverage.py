"""Coverage of 1 000 cells over 100 km x 100 km at 30 m by P.1812 along radials, from a store into a store.

Made here: a fractal terrain and a network. Another process computes the map, row of tiles by row of tiles, so that
its peak of memory is its own. ``python -m benchmarks.coverage --quick`` does a hundredth of it.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from benchmarks import Row, main

if TYPE_CHECKING:
    from collections.abc import Iterator

PIXEL = 30.0
FARTHEST = 20e3


def fractal(size: int, *, seed: int, relief: float = 800.0) -> np.ndarray:
    """Heights [m]: a random field whose amplitude falls as k^-1.8, from 0 to `relief`."""
    rng = np.random.default_rng(seed)
    wave = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]).astype(np.float32)
    wave[0, 0] = 1.0
    spectrum = rng.standard_normal((*wave.shape, 2), np.float32).view(np.complex64)[..., 0] * wave**-1.8
    spectrum[0, 0] = 0.0
    z = np.fft.irfft2(spectrum, s=(size, size)).astype(np.float32)
    return relief * (z - z.min()) / np.ptp(z)


def twin_of(size: int, cells: int, *, seed: int = 1) -> xr.DataTree:
    """A twin of `size` x `size` pixels with three-sector masts at random, half at 800 MHz and half at 1800."""
    import twinkit as tk

    rng = np.random.default_rng(seed)
    axis = 300_000.0 + PIXEL * np.arange(size)
    count = math.ceil(cells / 3)
    owner = np.repeat(np.arange(count), 3)[:cells]
    names = np.array([f"s{i}" for i in range(count)], dtype=object)
    where = rng.uniform(axis[0], axis[-1], (2, count))
    sites = {"x": ("site", where[0]), "y": ("site", where[1]), "height": ("site", np.full(count, 30.0))}
    columns: dict[str, Any] = {
        "azimuth": 120.0 * (np.arange(cells) % 3),
        "downtilt": np.full(cells, 3.0),
        "frequency": np.where(owner % 2, 1.8e9, 8e8),
        "bandwidth": np.full(cells, 1e7),
        "transmit_power": np.full(cells, 46.0),
        "antenna": np.full(cells, "sector", dtype=object),
        "site": names[owner],
    }
    nodes = {
        "sites": xr.Dataset(sites, {"site": names}),
        "cells": xr.Dataset(
            {k: ("cell", v) for k, v in columns.items()},
            {"cell": np.array([f"c{i}" for i in range(cells)], dtype=object)},
        ),
        "surface": xr.Dataset({"ground_height": (("y", "x"), fractal(size, seed=seed))}, {"y": axis, "x": axis}),
    }
    said = {"provenance": f"generated: seed {seed}"}
    stamped = {n: ds.map(lambda array: array.assign_attrs(said)) for n, ds in nodes.items()}
    return tk.assemble(stamped, title="wide", crs="EPSG:32632", seed=seed)


def make(path: str, size: int, cells: int) -> None:
    """A store with that twin."""
    import twinkit as tk

    tk.save(twin_of(size, cells), path, message="made for the benchmark")


def cover(path: str, *, workers: int) -> dict[str, float]:
    """Fill the store with coverage; seconds, and the peak of memory of this process [MB]."""
    import dask

    import twinkit as tk
    from twinkit.store.fill import fill

    with dask.config.set(scheduler="threads", num_workers=workers):
        twin = tk.open(path)
        small = tk.radio.coverage(twin, path_loss=tk.radio.p1812, paths=tk.radio.sweep, farthest=FARTHEST)
        # compilation is a cost of the first call ever
        small.isel(y=slice(0, 1), x=slice(0, 1)).rsrp.compute()
        start = time.perf_counter()
        fill(path, "coverage", small, message="coverage")
        spent = time.perf_counter() - start
    stored = tk.open(path)["coverage"].rsrp
    return {
        "seconds": spent,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "mean": float(stored.mean(dtype=float)),
    }


def _apart(function: str, *arguments: Any) -> Any:
    code = f"import json; from benchmarks import coverage; print(json.dumps(coverage.{function}))"
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(out.stdout.splitlines()[-1])


def rows(*, quick: bool) -> Iterator[Row]:
    """Seconds and the peak of memory."""
    size, cells = (400, 20) if quick else (3334, 1000)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "wide.twin")
        _apart(f"make({path!r}, {size}, {cells})")
        found = _apart(f"cover({path!r}, workers=2)")
    yield Row("coverage-wide", found["seconds"], math.nan, "", "s", "lower")
    yield Row("coverage-wide-pixels", size * size / found["seconds"], math.nan, "", "pixels/s", "higher")
    yield Row("coverage-wide-memory", found["megabytes"], math.nan, "", "MB", "lower")


if __name__ == "__main__":
    main(rows)
