"""Forecasting 5 000 series of eight weeks by the hour, 24 hours ahead with 90 % intervals, against loops over series.

The floor, written before the first measurement: under 60 s and under 2 GB on 2 cores, and a tenth of the time of
either loop. The peers are statsforecast (MSTL with seasons 24 and 168 and an automatic exponential smoothing of the
trend) on 100 of the series, and twinkit's own regression called for each series by itself on 50; both times are scaled
to all. MASE (in units of the step from week to week) and how far the coverage is from 90 % are taken on the same series
as the peer's.

statsforecast asks for an older pandas than twinkit's. It runs in an interpreter of its own: the one that
TWINKIT_STATSFORECAST names, or a virtual environment that is made beside this interpreter at the first run.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Row, main

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

PEER = "statsforecast==2.1.1"
LEADS = 24
DAYS = 57

MEMORY = """
import resource, numpy as np, xarray as xr
from twinkit import forecast
values = np.load({file!r})["all"]
times = np.datetime64("2025-01-06", "ns") + np.arange(len(values)) * np.timedelta64(3600, "s")
forecast.ahead(xr.DataArray(values, {{"time": times}}, ("time", "station")), horizon="24h")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def interpreter() -> str | None:
    """A Python that has statsforecast, or None with the reason on stderr."""
    if os.environ.get("TWINKIT_STATSFORECAST"):
        return os.environ["TWINKIT_STATSFORECAST"]
    folder = Path(sys.prefix) / "peers" / "statsforecast"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if (folder / "ready").exists():
        return str(python)
    print(f"installing {PEER} into an environment of its own (once)", file=sys.stderr, flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError) as e:
        said = getattr(e, "stderr", b"") or b""
        print(f"no peer: {e}. {said.decode(errors='replace')[-300:]}", file=sys.stderr)
        return None
    (folder / "ready").touch()
    return str(python)


def answered(python: str, **asked: Any) -> dict[str, float]:
    """One question to the peer, and its answer."""
    script = Path(__file__).with_name("_statsforecast.py")
    done = subprocess.run(
        [python, str(script)],
        input=json.dumps(asked) + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
        env={**os.environ, "NIXTLA_ID_AS_COL": "1"},
    )
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(
            "the interpreter with statsforecast stopped; does TWINKIT_STATSFORECAST name one that has it?"
        )
    return json.loads(done.stdout.splitlines()[-1])


def taken(work: Any) -> tuple[float, Any]:
    """Seconds that a work takes, and what it gives."""
    start = time.perf_counter()
    given = work()
    return time.perf_counter() - start, given


def scores(truth: np.ndarray, said: np.ndarray, scale: np.ndarray) -> tuple[float, float]:
    """MASE of the median, and how far the coverage of the outer quantiles is from 90 %."""
    off = abs(float(((truth >= said[0]) & (truth <= said[-1])).mean()) - 0.9)
    return float((np.abs(truth - said[len(said) // 2]) / scale).mean()), off


def rows(*, quick: bool) -> Iterator[Row]:
    from twinkit import forecast

    count, theirs, alone = (500, 10, 10) if quick else (5000, 100, 50)
    made = forecast.passengers_year(stations=count, start="2025-01-06", days=DAYS, holidays=["2025-01-26"], seed=1)
    every: xr.DataArray = made["passengers"]
    history, truth = every[:-LEADS], every[-LEADS:].to_numpy()
    values = history.to_numpy()
    scale = np.abs(values[168:] - values[:-168]).mean(0)
    work = f"forecast-{count}"
    forecast.ahead(history[:, :10], horizon="24h")  # imports
    ours, said = taken(lambda: forecast.ahead(history, horizon="24h"))
    loop, _ = taken(lambda: [forecast.ahead(history[:, i : i + 1], horizon="24h") for i in range(alone)])
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "series.npz", Path(folder) / "said.npz"
        np.savez(file, values=values[:, :theirs], all=values)
        python = interpreter()
        peer, name = math.nan, f"statsforecast MSTL, {theirs} series scaled"
        their_mase = their_off = math.nan
        if python:
            peer = answered(python, model="mstl", file=str(file), out=str(out), leads=LEADS)["seconds"] * count / theirs
            with np.load(out) as given:
                their_mase, their_off = scores(truth[:, :theirs], given["said"], scale[:theirs])
        mase, off = scores(truth[:, :theirs], said.to_numpy()[:, :, :theirs], scale[:theirs])
        yield Row(work, ours, peer, name, "s", "lower")
        yield Row(f"{work}-mase", mase, their_mase, "statsforecast MSTL", "mase", "lower")
        yield Row(f"{work}-coverage", off, their_off, "statsforecast MSTL", "off 90 %", "lower")
        yield Row(f"{work}-loop", ours, loop * count / alone, f"one call a series, {alone} scaled", "s", "lower")
        done = subprocess.run(
            [sys.executable, "-c", MEMORY.format(file=str(file))], stdout=subprocess.PIPE, text=True, check=True
        )
        yield Row(f"{work}-memory", float(done.stdout), math.nan, "", "MB", "lower")


if __name__ == "__main__":
    raise SystemExit(main(rows))
