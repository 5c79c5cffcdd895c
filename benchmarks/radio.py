"""P.1812 over a raster, twinkit against pycraf's P.452; Longley-Rice against itmlogic.

One transmitter at 30 m, 500 x 500 receivers at 1.5 m, 2.6 GHz, half of the time, steps of 30 m over a fractal terrain
of one arc second that is made here. All of a call counts: checking and turning the terrain, sampling it, placing the
losses on the output raster. Compilation does not; it has a row of its own. pycraf computes every point of radials
whose mean path is that of the raster's receivers, a profile for each, on as many threads.
"""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from benchmarks import Row, _itm, main, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIXEL = 30.9  # one arc second [m]
STEP = 30.0
RECEIVERS = 500
LINK: dict[str, Any] = {"transmitter_height": 30.0, "receiver_height": 1.5, "frequency": 2.6e9, "latitude": 45.0}
# the mean distance from the middle of a square to its points, over half its side
MEAN = 0.7652


@functools.cache
def hills(half_side: float, *, seed: int = 1) -> xr.Dataset:
    """A fractal terrain (amplitude falling as k^-1.8 [1/m], 120 m rms over 40 km) with clutter patches of 12 m."""
    n = 2 * math.ceil((half_side + 500.0) / PIXEL) + 1
    rng = np.random.default_rng(seed)
    k = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :]) / PIXEL
    k[0, 0] = np.inf
    phase = np.exp(2j * math.pi * rng.uniform(size=k.shape))
    waves = np.where(k * 40e3 >= 1.0, (k * 40e3) ** -1.8, 0.0) * phase
    heights = np.fft.irfft2(waves, s=(n, n))
    heights *= 120.0 / heights.std()
    patches = np.kron(rng.uniform(size=(n // 12 + 1, n // 12 + 1)) < 0.3, np.ones((12, 12)))[:n, :n]
    axis = (np.arange(n) - n // 2) * PIXEL
    return xr.Dataset(
        {
            "ground_height": (("y", "x"), (600.0 + heights).astype(np.float32)),
            "clutter_height": (("y", "x"), (12.0 * patches).astype(np.float32)),
        },
        {"y": axis, "x": axis},
    )


def window(half_side: float, count: int) -> dict[str, np.ndarray]:
    """Receivers in the middle of their pixels."""
    axis = (np.arange(count) + 0.5 - count / 2) * (2 * half_side / count)
    return {"x": axis, "y": axis}


def pycraf_path(half_side: float, percentage: float, radials: int) -> tuple[Callable[[], Any], int]:
    """A function that computes P.452 at all points of some radials over the same terrain, and how many they are."""
    from astropy import units as u
    from pycraf import conversions, pathprof

    length = 2 * MEAN * half_side
    terrain = hills(1.1 * length)
    paths = []
    for k in range(radials):
        data = pathprof.height_path_data_generic(length / 1e3 * u.km, STEP * u.m, 10 * u.deg, 45 * u.deg)
        along = np.asarray(data["distances"]) * 1e3
        azimuth = 2 * math.pi * (k + 0.3) / radials
        at = {n: xr.DataArray(f(azimuth) * along, dims="k") for n, f in (("x", np.cos), ("y", np.sin))}
        data["heights"] = terrain.ground_height.astype(float).interp(at).values
        paths.append(data)
    pathprof.set_num_threads(threads())
    state = (2.6 * u.GHz, 288.0 * u.K, 1013.0 * u.hPa, 30.0 * u.m, 1.5 * u.m, percentage * u.percent)

    def run() -> None:
        for data in paths:
            pathprof.atten_path_fast(*state, data)

    assert conversions  # its units must be enabled before atten_path_fast
    return run, sum(len(data["distances"]) for data in paths)


def threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compilation() -> float:
    """Seconds of a first call of both with nothing cached, less those of a second, in a fresh process."""
    code = (
        "import time; from benchmarks.radio import *; from twinkit.radio import exact, sweep; t = [];\n"
        "for _ in range(2):\n"
        "    t.append(time.perf_counter())\n"
        "    for f in (exact, sweep): f(hills(1e3), transmitter=(0, 0), **LINK, **window(1e3, 20))\n"
        "t.append(time.perf_counter()); print(2 * t[1] - t[0] - t[2])"
    )
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | {"NUMBA_CACHE_DIR": empty}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True, text=True
        )
    return float(done.stdout.split()[-1])


def sample_cost(half_side: float) -> tuple[float, float]:
    """Nanoseconds of one core a profile sample: of exact, and of the bare sampling of the same profiles.

    Sampling is four loads a sample from the second-level cache: what exact cannot be faster than. Processor time, so
    that another load on the machine does not count.
    """
    import numba

    from twinkit.radio import exact, raster
    from twinkit.radio.terrain import sampled

    @numba.njit(nogil=True)
    def bare(ground, turned, width, height, tx, ty, axis_x, axis_y, pixel, out):
        count = 0
        for y in axis_y:
            for x in axis_x:
                dx, dy = x - tx, y - ty
                n = int(pixel * math.sqrt(dx * dx + dy * dy) / STEP) + 1
                most = (n // 32 + 1) * 32
                if abs(dx) >= abs(dy):
                    sampled(ground, width, height, tx, ty, dx / n, dy / n, most, np.float32(0), out)
                else:
                    sampled(turned, height, width, ty, tx, dy / n, dx / n, most, np.float32(0), out)
                count += n
        return count

    terrain = raster(hills(half_side).drop_vars("clutter_height"))
    grid = window(half_side, RECEIVERS)
    grid["y"] = grid["y"][::25]
    x, y = terrain.place(grid["x"], grid["y"])
    arguments = (
        terrain.ground, terrain.turned, terrain.x.size, terrain.y.size, *terrain.place(0.0, 0.0), x, y, terrain.pixel,
        np.empty(4096, np.float32),
    )  # fmt: skip
    count = bare(*arguments)
    whole: list[float] = []
    alone: list[float] = []
    for _ in range(15):
        begin = time.process_time()
        exact(terrain, transmitter=(0.0, 0.0), **LINK, **grid, threads=1)
        middle = time.process_time()
        bare(*arguments)
        whole.append(middle - begin)
        alone.append(time.process_time() - middle)
    return min(whole) / count * 1e9, min(alone) / count * 1e9


def rows(*, quick: bool) -> Iterator[Row]:
    """Rates, cost of a sample, errors of the radials, compilation."""
    from twinkit.radio import exact, sweep

    rounds = 3 if quick else 7
    for half_side, percentage, clutter in ((10e3, 50.0, False), (20e3, 50.0, False), (10e3, 10.0, True)):
        surface = hills(half_side)
        if not clutter:
            surface = surface.drop_vars("clutter_height")
        grid = window(half_side, RECEIVERS)
        call = {"transmitter": (0.0, 0.0), **LINK, "time_percentage": percentage, **grid}
        works = [lambda _, s=surface, c=call, f=f: f(s, **c) for f in (exact, sweep)]
        count, peers = RECEIVERS**2, math.nan
        try:
            run, points = pycraf_path(half_side, percentage, 4 if quick else 12)
        except ImportError:
            times = seconds(*works, rounds=rounds)
        else:
            *times, other = seconds(*works, lambda _, r=run: r(), rounds=rounds)
            peers = points / other
        name = f"{half_side / 1e3:.0f}km" + (f"-p{percentage:.0f}-clutter" if clutter else "")
        for method, spent in zip(("exact", "sweep"), times, strict=True):
            yield Row(f"p1812-{method}-{name}", count / spent, peers, "pycraf P.452", "receivers/s", "higher")
        if not clutter:
            own, least = sample_cost(half_side)
            yield Row(f"p1812-exact-{name}-sample", own, least, "sampling alone", "ns/sample", "lower")
        yield from errors(surface, call, half_side, name)
    if not quick:
        yield Row("p1812-compilation", compilation(), math.nan, "", "s", "lower")
    yield from _itm.rows(quick=quick)


def errors(surface: xr.Dataset, call: dict[str, Any], half_side: float, name: str) -> Iterator[Row]:
    """Sweep against exact [dB]: median, 95th and 99th percentile, for one, two and four times the radials."""
    from twinkit.radio import exact, sweep

    truth = exact(surface, **call).path_loss.values
    usual = math.ceil(2 * math.pi * half_side * math.sqrt(2) / (2 * half_side / RECEIVERS))
    for times in (1, 2, 4):
        off = np.abs(sweep(surface, **call, radials=times * usual).path_loss.values - truth)
        for label, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99)):
            more = "" if times == 1 else f"-radials-x{times}"
            yield Row(
                f"p1812-sweep-{name}-error-{label}{more}", float(np.quantile(off, share)), math.nan, "", "dB", "lower"
            )


if __name__ == "__main__":
    main(rows)
