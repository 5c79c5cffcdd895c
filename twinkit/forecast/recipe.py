"""A year of passengers whose every cause is known: what the forecast is held to, and what nobody could beat.

Real networks give away days, not years. This recipe has what makes real counts hard (stations unlike each other,
holidays of two kinds, rain that was forecast badly, a slow growth, days on which the whole town stays in, hours that
hang together, counts that scatter), and, because it made them, the best forecast that there can be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.signal import lfilter

from twinkit.contract import stamp, within
from twinkit.dynamics import generators
from twinkit.error import TwinError
from twinkit.forecast.holidays import dates
from twinkit.telemetry.generate import weather

__all__ = ["passengers_year"]

HOUR = np.timedelta64(3600, "s")

TOWN, STATION, HOURLY = (0.08, 0.75), (0.07, 0.7), (0.12, 0.6)
"""Deviation of the logarithm, and what is kept to the next day or hour: of the whole town, of a station's days, of its
hours."""

GROWTH = 0.15
"""[1] Mean growth in a year."""

WARNED = 0.6
"""[1] Correlation of the rain that was forecast the day before with the rain that fell, both as roots."""


def passengers_year(*, stations: int, start: Any, days: int, holidays: Any, seed: int) -> xr.Dataset:
    r"""Passengers by hour of generated stations, the weather forecast of the day before, and the best forecast.

    .. math:: n_{it} \sim \text{Poisson}\left(\exp(a_i + w_i(t) + g_i t + c_h + r_i R_t + T_d + D_{id} + H_{it})\right)

    with w the weekly course of homes, offices and shops in the station's mix, c the effect of a holiday, R the root of
    the rain, T, D, H autoregressive in days, days and hours (`TOWN`, `STATION`, `HOURLY`).

    Parameters
    ----------
    stations : int
        From 2 to 5000.
    start : str or datetime64
        A local midnight.
    days : int
        At least 28.
    holidays : iterable of str or datetime64
    seed : int
        Same seed, same bytes.

    Returns
    -------
    Dataset (time, station)
        ``passengers`` [people]; ``passengers_expected``, the median that a forecaster would give at midnight who knew
        the recipe, all its numbers and its hidden states; on time alone ``rain_forecast`` [mm/h] and ``air_forecast``
        [degC] of the day before.

    Validity
    --------
    One weather over all stations; a holiday is something between Saturday and Sunday, in a mix of each station's own;
    the night from 1 to 4 is closed.

    Errors
    ------
    TwinError
        Numbers out of range, or a start that is no midnight.

    Examples
    --------
    >>> made = passengers_year(stations=3, start="2025-01-01", days=28, holidays=["2025-01-26"], seed=1)
    >>> made["passengers"].shape, bool(made["passengers"].min() >= 0)
    ((672, 3), True)
    """
    within(stations, 2, 5000, name="stations", unit="1")
    within(days, 28, 3700, name="days", unit="d")
    try:
        first = np.datetime64(start, "ns")
    except (ValueError, TypeError):
        first = np.datetime64("NaT", "ns")
    if np.isnat(first) or first != first.astype("datetime64[D]"):
        raise TwinError("a start at midnight", found=repr(start), hint="start='2025-01-01'", where="start")
    count, length = int(stations), 24 * int(days)
    times = first + np.arange(length) * HOUR
    rng, sky, counts = generators(seed, 3)
    date = times.astype("datetime64[D]")
    weekday, hour = (date.astype(int) + 3) % 7, np.arange(length) % 24
    off = np.isin(date, dates(holidays))
    mix = rng.dirichlet([1.2, 1.2, 0.8], count)  # homes, offices, shops
    course = np.einsum("kt,sk->ts", _courses(weekday, hour), mix)
    resting = np.einsum("kt,sk->ts", _courses(np.full(length, 6), hour), mix)
    like_rest = rng.uniform(0.6, 1.1, count)
    usual = np.where(off[:, None], course + like_rest * (resting - course), course)
    usual = np.maximum(usual, 1e-4)
    year = (times - first) / np.timedelta64(365, "D")
    trend = rng.normal(GROWTH, 0.1, count) * year[:, None] + 0.06 * np.sin(2 * np.pi * (year + rng.uniform()))[:, None]
    air, rain = weather(times, latitude=13.0, height=900.0, rain_rate=80.0, hours=0.0, seed=int(sky.integers(2**62)))
    wet = np.sqrt(rain)
    spread = wet.std()
    blurred = WARNED * wet + np.sqrt(1 - WARNED**2) * spread * sky.standard_normal(length)
    dislike = rng.normal(-0.12, 0.05, count)
    heat = -0.01 * np.maximum(air - 28, 0)
    sure = np.log(usual) + trend + heat[:, None]
    town = _wander(rng, TOWN, (int(days), 1))
    own = _wander(rng, STATION, (int(days), count))
    hourly = _wander(rng, HOURLY, (length, count))
    size = np.exp(rng.normal(6.0, 0.9, count))
    rained = dislike * (wet - wet.mean())[:, None]
    truth = counts.poisson(size * np.exp(sure + rained + np.repeat(town + own, 24, axis=0) + hourly)).astype(float)
    ago = np.repeat(np.arange(int(days)) - 1, 24)
    known = ago >= 0
    carried = TOWN[1] * town[ago] + STATION[1] * own[ago]
    carried = carried + HOURLY[1] ** (hour + 1.0)[:, None] * hourly[24 * np.arange(int(days)).repeat(24) - 1]
    # the regression of what fell on what was forecast
    likely = WARNED * (blurred - blurred.mean())
    best = size * np.exp(sure + dislike * likely[:, None] + np.where(known[:, None], carried, 0))
    said = f"generated: passengers_year, seed {seed}"
    names = np.array([f"station {n:04d}" for n in range(count)], dtype=object)
    on = ("time", "station")
    out = xr.Dataset(
        {
            "passengers": (on, truth),
            "passengers_expected": (on, np.floor(best + 1 / 3)),
            "rain_forecast": ("time", np.maximum(blurred, 0) ** 2),
            "air_forecast": ("time", air + sky.normal(0, 1.0, length)),
        },
        {"time": times, "station": names},
    )
    for array in out.data_vars.values():
        array.attrs = {"provenance": said}
    return out.assign(passengers=stamp(out["passengers"], "passengers", given_by="twinkit.forecast.passengers_year"))


def _wander(rng: np.random.Generator, law: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """An autoregressive deviation along the first axis, stationary from its start."""
    deviation, kept = law
    noise = rng.standard_normal(shape) * deviation * np.sqrt(1 - kept**2)
    noise[0] /= np.sqrt(1 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], noise, axis=0))


def _courses(weekday: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """How busy homes, offices and shops are (kind, time); mean of a working day 1, the night closed."""

    def rush(at: float, wide: float) -> np.ndarray:
        return np.exp(-0.5 * ((hour - at) / wide) ** 2)

    work, rest = weekday < 5, weekday == 6
    homes = np.where(work, 2.6 * rush(8.5, 1.3) + 1.0 * rush(18, 3) + 0.4, 1.0 * rush(11, 3) + 0.9 * rush(17, 3) + 0.3)
    offices = np.where(work, 0.4 * rush(9, 2) + 3.0 * rush(18, 1.6) + 0.4, 0.6 * rush(15, 4) + 0.25)
    shops = np.where(work, 0.8 * rush(13, 3) + 1.6 * rush(19.5, 2) + 0.4, 1.5 * rush(13, 3) + 2.0 * rush(19, 2.5) + 0.4)
    quieter = np.where(rest, 0.75, 1.0)
    closed = (hour >= 1) & (hour <= 4)
    return np.where(closed, 0.0, np.stack([homes, offices, shops]) * quieter)
