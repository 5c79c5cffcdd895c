"""Anomalies of a series as it comes in, with few false alarms: the past alone decides what is strange."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError

__all__ = ["alarm_score", "anomalies", "moving_sigma"]

WEEK = 7 * 86400.0
TAIL = 0.02
"""Share of the past's scores from which on the tail is laid."""

MEMORY = 4096
"""Scores of the past that the tail is laid through, at most."""

BLOCK = 32
"""Readings after which the level, the scale and the tail are looked at anew."""


def anomalies(
    series: xr.DataArray, *, per_week: float, probation: float = 0.15, season: str | None = "auto"
) -> xr.Dataset:
    r"""Alarms of a series, with a threshold that keeps to a number of false alarms a week.

    Each reading is compared with what is usual, in units of how far readings usually lie from it,

    .. math:: z_t = \frac{|\bar r_t - m_t|}{1.48\, \mathrm{MAD}_t}

    where r is the reading less what the same hour of earlier weeks (or of earlier days) had, and the bar a median over
    five readings, so that one spike alone is no alarm. The threshold comes from the tail of the past's own scores:
    above a high quantile u they fall off like a generalised Pareto law, fitted by its moments, and

    .. math:: P(z > z^*) = \frac{\text{per week}}{\text{readings a week}}

    gives z*. Whatever follows an alarm within half a day is one and the same.

    Parameters
    ----------
    series : DataArray (time)
        Times in ascending order, about evenly spaced; NaN where nothing came.
    per_week : float
        False alarms a week that are put up with.
    probation : float [1]
        Share of the series that only teaches.
    season : str or None
        "day", "week", None, or "auto": that which leaves least in the probation.

    Returns
    -------
    Dataset (time)
        ``score`` [1], ``threshold`` [1], ``strange`` (score above threshold), ``alarm`` (a new one begins), ``usual``
        (what was expected).

    Validity
    --------
    A fortnight and more of readings for a season of a day; several weeks for one of a week. The rate is kept as far as
    the future is like the past: a new level is one alarm, and then learned.

    Errors
    ------
    TwinError
        Time going backwards or doubled, a constant or all-missing series, fewer than 100 readings, a rate or a
        probation out of range.

    Examples
    --------
    >>> time = np.datetime64("2026-03-02", "ns") + np.arange(4000) * np.timedelta64(1800, "s")
    >>> rng = np.random.default_rng(1)
    >>> said = xr.DataArray(np.sin(np.arange(4000) / 48 * 2 * np.pi) + 0.1 * rng.normal(size=4000), {"time": time})
    >>> said[3000:3040] += 1.5
    >>> found = anomalies(said.rename(dim_0="time") if "dim_0" in said.dims else said, per_week=0.1)
    >>> at = np.flatnonzero(found.alarm.values)
    >>> bool(((at >= 3000) & (at < 3040)).any()), len(at) < 4
    (True, True)

    References
    ----------
    Siffer, Fouque, Termier and Largouët (2017), Anomaly detection in streams with extreme value theory, equation (1).
    """
    values, seconds = _series(series)
    within(per_week, 1e-6, 1000, name="per_week", unit="1/week")
    within(probation, 0.01, 0.9, name="probation", unit="1")
    if season not in ("auto", "day", "week", None):
        raise TwinError("a season: 'day', 'week', None or 'auto'", found=repr(season), hint="season='auto'")
    step = float(np.median(np.diff(seconds)))
    begin = max(int(probation * len(values)), 50)
    spans = {"day": 86400.0, "week": WEEK}
    ways: list[float | None] = [spans[season]] if season in spans else [None]
    if season == "auto":
        ways = [None, *(s for s in spans.values() if seconds[begin] - seconds[0] >= 2 * s)]
    best = min(ways, key=lambda s: _left(values, _usual(values, seconds, step, s), begin))
    usual = _usual(values, seconds, step, best)
    rest = values - usual
    smooth = _median_of(rest, 5)
    score = _scores(smooth, begin, max(int(4 * 86400 / step), 200) if best is None else len(values))
    threshold = _thresholds(score, begin, per_week * step / WEEK)
    strange = score > threshold
    quiet = 43200.0
    alarm = np.zeros(len(values), bool)
    last = -np.inf
    for t in np.flatnonzero(strange):
        alarm[t] = seconds[t] - last > quiet
        last = seconds[t]
    said = {"provenance": "modelled: robust score against the series' own past", "units": "1"}
    data = {"score": score, "threshold": threshold, "strange": strange, "alarm": alarm, "usual": usual}
    return xr.Dataset({n: ("time", v, dict(said)) for n, v in data.items()}, {"time": series["time"].to_numpy()})


def moving_sigma(
    series: xr.DataArray, *, sigmas: float = 3.0, window: int = 288, probation: float = 0.15
) -> xr.Dataset:
    """Readings more than so many standard deviations from the mean of the window before: a baseline.

    Parameters
    ----------
    series : DataArray (time)
    sigmas : float [1]
    window : int
        Readings.
    probation : float [1]

    Returns
    -------
    Dataset (time)
        ``strange`` and ``alarm``, as of `anomalies`.

    Errors
    ------
    TwinError
        As `anomalies`.
    """
    import pandas as pd

    values, seconds = _series(series)
    past = pd.Series(values).shift(1).rolling(window, min_periods=20)
    off = abs(values - past.mean().to_numpy()) / np.maximum(past.std().to_numpy(), 1e-12)
    strange = (off > sigmas) & (np.arange(len(values)) >= probation * len(values))
    alarm, last = np.zeros(len(values), bool), -np.inf
    for t in np.flatnonzero(strange):
        alarm[t] = seconds[t] - last > 43200.0
        last = seconds[t]
    return xr.Dataset({"strange": ("time", strange), "alarm": ("time", alarm)}, {"time": series["time"].to_numpy()})


def alarm_score(found: xr.Dataset, windows: Any, *, probation: float = 0.15) -> dict[str, float]:
    """Alarms against windows in which something is known to have been wrong.

    Parameters
    ----------
    found : Dataset (time)
        With ``alarm`` and ``strange``.
    windows : list of (start, end)
        UTC.
    probation : float [1]
        Share of the series that is not scored.

    Returns
    -------
    dict
        ``recall``: share of the windows with a strange reading within. ``precision``: share of the alarms that begin in
        a window or hold into one. ``false_per_week``: the others, by the time outside the windows. ``alarms``,
        ``windows``: their numbers, after the probation.

    Errors
    ------
    TwinError
        A window that ends before it begins.

    Examples
    --------
    >>> time = np.datetime64("2026-03-02", "ns") + np.arange(14) * np.timedelta64(86400, "s")
    >>> alarm = np.isin(np.arange(14), [5, 10])
    >>> found = xr.Dataset({"alarm": ("time", alarm), "strange": ("time", alarm)}, {"time": time})
    >>> told = alarm_score(found, [("2026-03-06", "2026-03-08")], probation=0.0)
    >>> told["recall"], told["precision"]
    (1.0, 0.5)
    """
    time = found["time"].to_numpy()
    scored = np.arange(len(time)) >= probation * len(time)
    strange, alarm = found["strange"].to_numpy() & scored, found["alarm"].to_numpy() & scored
    inside = np.zeros(len(time), bool)
    hit, count = 0, 0
    for start, end in windows:
        a, b = np.datetime64(start, "ns"), np.datetime64(end, "ns")
        if not b > a:
            raise TwinError("windows that end after they begin", found=f"{start} to {end}", hint="swap them")
        own = (time >= a) & (time <= b)
        inside |= own
        if (own & scored).any():
            count += 1
            hit += bool((own & strange).any())
    # an alarm goes on for as long as strange readings follow each other: it is right if any of them is
    starts = np.flatnonzero(alarm)
    runs = zip(starts, np.append(starts, len(time))[1:], strict=True)
    right = sum(bool((strange & inside)[a:b].any()) for a, b in runs)
    step = np.median(np.diff(time)) / np.timedelta64(1, "s")
    weeks = max(float((scored & ~inside).sum()) * step / WEEK, 1e-9)
    return {
        "recall": hit / count if count else float("nan"),
        "precision": right / len(starts) if len(starts) else float("nan"),
        "false_per_week": (len(starts) - right) / weeks,
        "alarms": float(len(starts)),
        "windows": float(count),
        "caught": float(hit),
        "right": float(right),
        "weeks": weeks,
    }


# ---------------------------------------------------------------- what is usual, how far, how rare


def _series(series: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(series, xr.DataArray) or series.dims != ("time",) or "time" not in series.coords:
        found = f"dims {series.dims}" if isinstance(series, xr.DataArray) else type(series).__name__
        raise TwinError("a series (time)", found=found, hint="take one sensor: array.sel(site='s1')", where="series")
    time = series["time"].to_numpy().astype("datetime64[ns]")
    values = series.to_numpy().astype(float)
    back = np.flatnonzero(np.diff(time) <= np.timedelta64(0, "ns"))
    if len(back):
        what = "doubled" if time[back[0] + 1] == time[back[0]] else "going backwards"
        raise TwinError(
            "times that go forward",
            found=f"time {what} at {time[back[0] + 1]}",
            hint="series.sortby('time').drop_duplicates('time')",
            where="time",
        )
    seen = values[np.isfinite(values)]
    if len(seen) < 100:
        raise TwinError("100 readings or more", found=f"{len(seen)}", hint="wait for more", where="series")
    if np.isinf(values).any():
        raise TwinError("finite readings", found="an infinite one", hint="clean them first", where="series")
    if np.ptp(seen) == 0:
        raise TwinError("a series that changes", found=f"{seen[0]:g} throughout", hint="is the sensor stuck?")
    return values, (time - time[0]) / np.timedelta64(1, "s")


def _usual(values: np.ndarray, seconds: np.ndarray, step: float, season: float | None) -> np.ndarray:
    """What is expected at each reading: the middle of the same moment in the seasons before, or of the last days."""
    if season is None:
        return np.zeros(len(values))
    # the same moment in up to eight seasons before, each as the middle of three readings
    soft = _centred(values)
    stack = []
    for k in range(1, 9):
        at = np.searchsorted(seconds, seconds - k * season - step / 2)
        fits = (seconds - k * season >= -step / 2) & (at < len(values))
        there = np.where(fits, soft[np.minimum(at, len(values) - 1)], np.nan)
        near = abs(seconds[np.minimum(at, len(values) - 1)] - (seconds - k * season)) <= 2 * step
        stack.append(np.where(near, there, np.nan))
    table = np.array(stack)
    some = np.isfinite(table).any(axis=0)
    out = np.full(len(values), np.nan)
    out[some] = np.nanmedian(table[:, some], axis=0)
    return out


def _centred(values: np.ndarray) -> np.ndarray:
    import pandas as pd

    return np.asarray(pd.Series(values).rolling(3, center=True, min_periods=1).median())


def _median_of(values: np.ndarray, count: int) -> np.ndarray:
    import pandas as pd

    return np.asarray(pd.Series(values).rolling(count, min_periods=1).median())


def _left(values: np.ndarray, usual: np.ndarray, begin: int) -> float:
    """How much is left unexplained in the second half of the probation."""
    rest = (values - usual)[begin // 2 : begin]
    rest = rest[np.isfinite(rest)]
    return float(np.median(abs(rest - np.median(rest)))) if len(rest) > 20 else np.inf


def _scores(rest: np.ndarray, begin: int, memory: int) -> np.ndarray:
    """Distance from the past's middle in units of its spread, block by block; the first are 0."""
    out = np.zeros(len(rest))
    for a in range(min(begin // 2, 50), len(rest), BLOCK):
        past = rest[max(0, a - memory) : a]
        past = past[np.isfinite(past)]
        if len(past) < 20:
            continue
        middle = np.median(past)
        spread = 1.4826 * np.median(abs(past - middle))
        if spread <= 0:
            # more than half of the past is one value: then the mean distance is the scale
            spread = max(float(np.mean(abs(past - middle))), 1e-9 * max(abs(middle), 1.0))
        out[a : a + BLOCK] = abs(rest[a : a + BLOCK] - middle) / spread
    return np.nan_to_num(out)


def _thresholds(score: np.ndarray, begin: int, chance: float) -> np.ndarray:
    """The score that the past exceeds by this chance a reading, from the tail of its own scores."""
    out = np.full(len(score), np.inf)
    for a in range(begin, len(score), BLOCK):
        past = score[max(0, a - MEMORY) : a]
        past = past[past > 0]
        if len(past) < 50:
            continue
        high = float(np.quantile(past, 1 - TAIL))
        over = past[past > high] - high
        out[a : a + BLOCK] = high + (_pareto(over, chance / TAIL) if len(over) > 4 else 0.0)
    return out


def _pareto(over: np.ndarray, chance: float) -> float:
    """The excess that a generalised Pareto law, fitted by its moments, exceeds by this chance."""
    mean, variance = float(over.mean()), float(over.var())
    if mean <= 0:
        return 0.0
    shape = float(np.clip(0.5 * (1 - mean**2 / max(variance, 1e-12)), -0.2, 0.4))
    scale = mean * (1 - shape)
    if abs(shape) < 1e-6:
        return -scale * float(np.log(chance))
    return scale / shape * (chance ** (-shape) - 1)
