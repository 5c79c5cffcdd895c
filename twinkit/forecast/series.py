"""What will be read in the next hours, of thousands of series at once, and how sure that is.

Any labelled array of readings will do; `load`, `traffic` and `passengers` are the stages on those of the vocabulary.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import vocabulary
from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.forecast.holidays import REST_DAY, dates
from twinkit.forecast.interval import around
from twinkit.forecast.regression import Calendar, fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["QUANTILES", "ahead", "hindcast", "load", "passengers", "traffic"]

QUANTILES = (0.05, 0.5, 0.95)
"""An interval that should hold nine times of ten, and the median."""

ORIGINS = 364
"""Past days at most whose forecasts are learned from; profiles remember more."""

JUMP = 50.0
"""Factor between the days before and after, beyond which the unit has changed rather than the demand."""


def ahead(
    series: xr.DataArray,
    *,
    horizon: Any,
    quantile: Iterable[float] = QUANTILES,
    holidays: Any = (),
    weather: xr.Dataset | None = None,
    hours: float = 0.0,
    rest_day: int = REST_DAY,
) -> xr.DataArray:
    r"""The coming readings of all series, with intervals, from one regression over all of them.

    .. math:: \hat y_{i,t+h} = p_i(t+h) + s_i\,(β_h + β_i) \cdot x_{i,t,h}

    with p the usual value of the hour of the week as known at t, s the mean seasonal difference of the series, and x
    the signals of `regression.SIGNALS`: older and newer weeks, the last hours, day and week, the mean of all series,
    holidays, weather.

    Parameters
    ----------
    series : DataArray (time, one other dim)
        Evenly spaced, so many steps a day; at least 9 days. NaN where nothing was read.
    horizon : str or timedelta64
        ``"24h"``: how far ahead, at most a week.
    quantile : iterable of float
        Within (0, 1), ascending.
    holidays : iterable of str or datetime64
        Local dates, those of the horizon among them: `forecast.holidays`.
    weather : Dataset (time), optional
        Numbers at every time of history and horizon. Give what was forecast the day before, in history as well: the
        regression learns how far it is to be trusted.
    hours : float [h]
        Local time less UTC.
    rest_day : int
        The weekly day of rest, Monday 0 to Sunday 6, whose course a holiday takes.

    Returns
    -------
    DataArray (quantile, time, other dim)
        Unit and name of `series`; within the plausible range of the vocabulary where it has the name.

    Validity
    --------
    A holiday is like a day of rest until the history has shown others. Intervals cover what they say on the average
    over series and days like those of the history, not on the day on which something new happens. One day's hours go
    wrong together: a sum over them has no interval here.

    Errors
    ------
    TwinError
        Times that repeat, run backwards or leave steps out; too short a history; a series without any reading;
        readings outside the plausible range; a unit that changes half way; weather that does not cover the horizon.

    Examples
    --------
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(24 * 28) * np.timedelta64(3600, "s")
    >>> rng = np.random.default_rng(1)
    >>> course = 100 + 50 * np.sin(np.arange(24 * 28) * np.pi / 12)
    >>> counts = rng.poisson(course[:, None], (672, 3))
    >>> read = xr.DataArray(counts, {"time": times, "gate": list("abc")}, ("time", "gate"))
    >>> said = ahead(read, horizon="24h")
    >>> said.dims, said.sizes["time"], bool((abs(said.sel(quantile=0.5) - course[:24, None].repeat(3, 1)) < 20).all())
    (('quantile', 'time', 'gate'), 24, True)
    """
    levels = _levels(quantile)
    table, other, step = _panel(series)
    steps = _steps(horizon, step)
    times = table["time"].to_numpy()
    coming = times[-1] + step * np.arange(1, steps + 1)
    values = np.asarray(table.to_numpy(), float)
    _check(values, table, other)
    clock = calendar(np.concatenate([times, coming]), step=step, holidays=holidays, hours=hours, rest_day=rest_day)
    fewest = clock.season + (-(-steps // clock.day) + 1) * clock.day
    if len(times) < fewest:
        raise TwinError(
            f"at least {fewest * step / np.timedelta64(1, 'D'):g} days of history",
            found=f"{len(times) * step / np.timedelta64(1, 'D'):g} days",
            hint="give a longer history, or a shorter horizon",
            where=str(series.name or "series"),
        )
    fit = fitted(values, clock, _anomalies(weather, times, coming, clock.day), horizon=steps, origins=ORIGINS)
    said = around(fit.point, fit.past, fit.residual, quantile=levels)
    low, high = _range(series.name)
    return xr.DataArray(
        np.clip(said, low, high),
        {"quantile": levels, "time": coming, other: table[other].to_numpy()},
        ("quantile", "time", other),
        name=series.name,
        attrs={
            **{k: series.attrs[k] for k in ("units", "long_name") if k in series.attrs},
            "provenance": f"modelled: one regression over {values.shape[1]} series, {len(fit.past)} past origins",
            "assumptions": "a holiday is like a day of rest until the history shows others",
        },
    )


def hindcast(
    series: xr.DataArray, *, origins: Any, horizon: Any, model: Callable[..., xr.DataArray] = ahead
) -> xr.DataArray:
    """What would have been forecast from past origins, each by what was known then.

    Parameters
    ----------
    series : DataArray (time, one other dim)
    origins : array of datetime64 or str
        First times that are forecast; of the history before them alone each forecast is made.
    horizon : str or timedelta64
    model : function
        ``model(series, horizon=...)``: `ahead`, with choices by `functools.partial`, or your own.

    Returns
    -------
    DataArray (quantile, origin, lead, other dim)
        ``lead`` [h] from 0; a coordinate ``time`` (origin, lead).

    Errors
    ------
    TwinError
        As the model's; an origin outside the series.

    Examples
    --------
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(24 * 21) * np.timedelta64(3600, "s")
    >>> read = xr.DataArray(np.random.default_rng(1).poisson(9, (504, 2)), {"time": times}, ("time", "gate"))
    >>> hindcast(read, origins=["2026-03-20", "2026-03-21"], horizon="24h").sizes["origin"]
    2
    """
    out = []
    starts = np.array([np.datetime64(o, "ns") for o in np.atleast_1d(np.asarray(origins, dtype=object))])
    known = series["time"].to_numpy()
    for start in starts:
        if not known[0] < start <= known[-1]:
            raise TwinError(
                f"origins from {known[0]} to {known[-1]}", found=str(start), hint="leave it out", where="origins"
            )
        said = model(series.isel(time=np.flatnonzero(known < start)), horizon=horizon)
        lead = (said["time"].to_numpy() - start) / np.timedelta64(1, "h")
        out.append(
            said.assign_coords(lead=("time", lead))
            .swap_dims(time="lead")
            .rename(time="valid")
            .expand_dims(origin=[start])
        )
    joined = xr.concat([o.drop_vars("valid") for o in out], "origin", join="outer")
    valid = joined["origin"] + (joined["lead"] * 3.6e12).astype("timedelta64[ns]")
    other = [d for d in series.dims if d != "time"]
    return joined.assign_coords(time=valid).transpose("quantile", "origin", "lead", *other)


# ---------------------------------------------------------------- the stages


@contract(reads=["load"], gives=["load"], computes=True)
def load(
    load: xr.DataArray,
    *,
    horizon: Any,
    quantile: Iterable[float] = QUANTILES,
    holidays: Any = (),
    weather: xr.Dataset | None = None,
    hours: float = 0.0,
    rest_day: int = REST_DAY,
) -> xr.DataArray:
    """The load of all cells in the coming hours, with intervals; see `ahead`.

    Parameters
    ----------
    load : DataArray (time, cell) [1]
        At least 9 days, evenly spaced.
    horizon, quantile, holidays, weather, hours, rest_day
        As `ahead`.

    Returns
    -------
    load : DataArray (quantile, time, cell) [1]

    Errors
    ------
    TwinError
        As `ahead`.

    Examples
    --------
    >>> import twinkit as tk
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(24 * 14) * np.timedelta64(3600, "s")
    >>> course = 0.5 + 0.3 * np.sin(np.arange(24 * 14) * np.pi / 12)
    >>> read = xr.DataArray(np.tile(course[:, None], 3), {"time": times, "cell": list("abc")}, ("time", "cell"))
    >>> said = tk.forecast.load(tk.stamp(read, "load"), horizon="24h")
    >>> said.attrs["units"], bool((abs(said.sel(quantile=0.5) - course[:24, None].repeat(3, 1)) < 0.05).all())
    ('1', True)
    """
    return ahead(
        load,
        horizon=horizon,
        quantile=quantile,
        holidays=holidays,
        weather=weather,
        hours=hours,
        rest_day=rest_day,
    )


@contract(reads=["traffic"], gives=["traffic"], computes=True)
def traffic(
    traffic: xr.DataArray,
    *,
    horizon: Any,
    quantile: Iterable[float] = QUANTILES,
    holidays: Any = (),
    weather: xr.Dataset | None = None,
    hours: float = 0.0,
    rest_day: int = REST_DAY,
) -> xr.DataArray:
    """The traffic of all cells or sites in the coming hours, with intervals; see `ahead`.

    Parameters
    ----------
    traffic : DataArray (time, cell or site) [bit/s]
        At least 9 days, evenly spaced.
    horizon, quantile, holidays, weather, hours, rest_day
        As `ahead`.

    Returns
    -------
    traffic : DataArray (quantile, time, cell or site) [bit/s]

    Errors
    ------
    TwinError
        As `ahead`.

    Examples
    --------
    >>> import twinkit as tk
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(24 * 14) * np.timedelta64(3600, "s")
    >>> course = 1e6 * (2 + np.sin(np.arange(24 * 14) * np.pi / 12))
    >>> read = xr.DataArray(np.tile(course[:, None], 3), {"time": times, "cell": list("abc")}, ("time", "cell"))
    >>> said = tk.forecast.traffic(tk.stamp(read, "traffic"), horizon="24h")
    >>> said.attrs["units"], bool((abs(said.sel(quantile=0.5) - course[:24, None].repeat(3, 1)) < 1e5).all())
    ('bit/s', True)
    """
    return ahead(
        traffic,
        horizon=horizon,
        quantile=quantile,
        holidays=holidays,
        weather=weather,
        hours=hours,
        rest_day=rest_day,
    )


@contract(reads=["passengers"], gives=["passengers"], computes=True)
def passengers(
    passengers: xr.DataArray,
    *,
    horizon: Any,
    quantile: Iterable[float] = QUANTILES,
    holidays: Any = (),
    weather: xr.Dataset | None = None,
    hours: float = 0.0,
    rest_day: int = REST_DAY,
) -> xr.DataArray:
    """The passengers of all stations in the coming hours, with intervals; see `ahead`.

    Parameters
    ----------
    passengers : DataArray (time, station) [people]
        At least 9 days, evenly spaced.
    horizon, quantile, holidays, weather, hours, rest_day
        As `ahead`.

    Returns
    -------
    passengers : DataArray (quantile, time, station) [people]

    Errors
    ------
    TwinError
        As `ahead`.

    Examples
    --------
    >>> import twinkit as tk
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(24 * 14) * np.timedelta64(3600, "s")
    >>> course = np.round(100 * (2 + np.sin(np.arange(24 * 14) * np.pi / 12)))
    >>> read = xr.DataArray(np.tile(course[:, None], 3), {"time": times, "station": list("abc")}, ("time", "station"))
    >>> said = tk.forecast.passengers(tk.stamp(read, "passengers"), horizon="24h")
    >>> said.attrs["units"], bool((abs(said.sel(quantile=0.5) - course[:24, None].repeat(3, 1)) < 20).all())
    ('people', True)
    """
    return ahead(
        passengers,
        horizon=horizon,
        quantile=quantile,
        holidays=holidays,
        weather=weather,
        hours=hours,
        rest_day=rest_day,
    )


# ---------------------------------------------------------------- the calendar


def calendar(
    times: Any, *, step: np.timedelta64, holidays: Any = (), hours: float = 0.0, rest_day: int = REST_DAY
) -> Calendar:
    """What is known of each time beforehand: its place in the week, and whether a holiday changes it.

    Parameters
    ----------
    times : array of datetime64 (time,)
        UTC, evenly spaced.
    step : timedelta64
    holidays : iterable of str or datetime64
        Local dates.
    hours : float [h]
        Local time less UTC.
    rest_day : int
        Monday 0 to Sunday 6.

    Returns
    -------
    Calendar

    Errors
    ------
    TwinError
        A day of rest or an offset that is none.

    Examples
    --------
    >>> times = np.arange("2025-08-14", "2025-08-16", np.timedelta64(3600, "s"), dtype="datetime64[ns]")
    >>> made = calendar(times, step=np.timedelta64(3600, "s"), holidays=["2025-08-15"])
    >>> made.slot[[12, 36]].tolist(), made.holiday[[12, 36]].tolist()  # Thursday's noon, then a Sunday's
    ([84, 156], [False, True])
    """
    if isinstance(rest_day, bool) or rest_day not in range(7):
        raise TwinError("a day from Monday, 0, to Sunday, 6", found=repr(rest_day), hint="rest_day=6", where="rest_day")
    within(hours, -14, 14, name="hours", unit="h")
    day = round(np.timedelta64(86400, "s") / step)
    local = np.asarray(times, "datetime64[ns]") + np.timedelta64(round(hours * 3.6e12), "ns")
    date = local.astype("datetime64[D]")
    place = ((local - date) // step).astype(int) % day
    weekday = (date.astype(int) + 3) % 7  # the first of January 1970 was a Thursday
    off = dates(holidays)
    listed = np.isin(date, off)
    holiday = listed & (weekday != rest_day)
    resting = listed | (weekday == rest_day)
    after = np.isin(date - np.timedelta64(1, "D"), off) & ~resting
    kind = np.where(holiday, 3, np.where(resting, 2, np.where(weekday == (rest_day - 1) % 7, 1, 0)))
    return Calendar(
        slot=np.where(resting, rest_day, weekday) * day + place,
        weekday=weekday * day + place,
        kind=kind * day + place,
        holiday=holiday,
        after=after,
        day=day,
        season=7 * day,
    )


def _anomalies(weather: xr.Dataset | None, times: np.ndarray, coming: np.ndarray, day: int) -> np.ndarray:
    """Each variable of the weather less its mean at that hour of the day, in its own deviation (variable, time)."""
    wanted = np.concatenate([times, coming])
    if weather is None:
        return np.empty((0, len(wanted)))
    if not isinstance(weather, xr.Dataset) or "time" not in weather.dims or not weather.data_vars:
        raise TwinError(
            "weather as a Dataset along time", found=type(weather).__name__, hint="array.to_dataset()", where="weather"
        )
    there = weather.indexes.get("time")
    if there is None or not there.is_unique or (there.get_indexer(wanted) < 0).any():
        raise TwinError(
            f"weather at every time from {wanted[0]} to {wanted[-1]}",
            found="times that are missing or repeat",
            hint="give what is forecast for the horizon, too; weather.interp(time=...) fills hours",
            where="weather",
        )
    out = []
    for name, variable in weather.sel(time=wanted).data_vars.items():
        if variable.dims != ("time",):
            raise TwinError(
                "(time,)", found=f"{variable.dims}", hint="take the mean over sites", where=f"weather {name}"
            )
        values = np.asarray(variable.to_numpy(), float)
        if not np.isfinite(values).all():
            raise TwinError("numbers", found="gaps", hint="fill them: weather.interpolate_na('time')", where=str(name))
        place = np.arange(len(wanted)) % day
        mean = np.bincount(place, values, day) / np.maximum(np.bincount(place, minlength=day), 1)
        apart = values - mean[place]
        spread = float(apart[: len(times)].std())
        if spread > 0:
            # showers are far out and rare: a deviation of ten does not tell ten times as much
            out.append(np.arcsinh(apart / spread))
    return np.array(out).reshape(-1, len(wanted))


# ---------------------------------------------------------------- at the door


def _levels(quantile: Iterable[float]) -> np.ndarray:
    try:
        levels = np.atleast_1d(np.asarray(list(quantile) if not np.isscalar(quantile) else quantile, float))
    except (TypeError, ValueError):
        levels = np.array([math.nan])
    if not levels.size or not ((levels > 0) & (levels < 1)).all() or (np.diff(levels) <= 0).any():
        raise TwinError(
            "ascending levels within 0 and 1", found=repr(quantile), hint="[0.05, 0.5, 0.95]", where="quantile"
        )
    return levels


def _steps(horizon: Any, step: np.timedelta64) -> int:
    import pandas as pd

    try:
        span = pd.Timedelta(horizon) / pd.Timedelta(step)
    except (ValueError, TypeError):
        span = math.nan
    if not 1 <= span <= pd.Timedelta("7D") / pd.Timedelta(step) or not float(span).is_integer():
        raise TwinError(
            f"a horizon of whole steps of {pd.Timedelta(step)}, up to a week",
            found=repr(horizon),
            hint="write horizon='24h'",
            where="horizon",
        )
    return int(span)


def _panel(series: xr.DataArray) -> tuple[xr.DataArray, str, np.timedelta64]:
    """The series as (time, other), their other dim, and the step."""
    where = str(getattr(series, "name", None) or "series")
    if not isinstance(series, xr.DataArray) or "time" not in series.dims or series.ndim != 2:
        found = f"dims {series.dims}" if isinstance(series, xr.DataArray) else type(series).__name__
        raise TwinError("a DataArray (time, one other dim)", found=found, hint="array.stack, or select", where=where)
    other = str(next(d for d in series.dims if d != "time"))
    table = series.transpose("time", other)
    if other not in table.coords:
        table = table.assign_coords({other: np.arange(table.sizes[other])})
    if 0 in table.shape or "time" not in table.coords:
        raise TwinError("series with times", found=f"shape {table.shape}", hint="give readings", where=where)
    times = np.asarray(table["time"].to_numpy())
    if times.dtype.kind != "M" or np.isnat(times).any() or len(times) < 2:
        raise TwinError("times (datetime64, UTC)", found=str(times.dtype), hint="pandas.to_datetime", where=where)
    table = table.assign_coords(time=times.astype("datetime64[ns]"))
    apart = np.diff(table["time"].to_numpy())
    if (apart == np.timedelta64(0)).any():
        at = times[:-1][apart == np.timedelta64(0)][0]
        raise TwinError(
            "each time once", found=f"{at} twice", hint="series.drop_duplicates('time'), once you know why", where=where
        )
    if (apart < np.timedelta64(0)).any():
        at = times[1:][apart < np.timedelta64(0)][0]
        raise TwinError(
            "times that run forward",
            found=f"a step back to {at}",
            hint="series.sortby('time'), once you know whether a clock was put back",
            where=where,
        )
    step = np.min(apart)
    if (apart != step).any():
        at = times[1:][apart != step][0]
        raise TwinError(
            "evenly spaced times, NaN where nothing was read",
            found=f"a gap before {at}",
            hint="series.resample(time='1h').asfreq()",
            where=where,
        )
    day = np.timedelta64(86400, "s")
    if day % step != np.timedelta64(0) or step == day:
        raise TwinError(
            "a step that divides the day",
            found=f"{step / np.timedelta64(1, 's'):g} s",
            hint="series.resample",
            where=where,
        )
    return table, other, step


def _range(name: Any) -> tuple[float, float]:
    known = vocabulary.words().get(str(name))
    return (known.low, known.high) if known else (-math.inf, math.inf)


def _check(values: np.ndarray, table: xr.DataArray, other: str) -> None:
    """Nothing is learned from series that say nothing, or what cannot be."""
    names = table[other].to_numpy()
    where = str(table.name or "series")
    if np.isinf(values).any():
        name = names[np.isinf(values).any(0)][0]
        raise TwinError("numbers", found=f"an infinite reading of '{name}'", hint="make it NaN", where=where)
    step = np.diff(table["time"].to_numpy()[:2])[0]
    fewest = round(np.timedelta64(86400, "s") / step)
    many = np.isfinite(values).sum(0)
    if (many < fewest).any():
        raise TwinError(
            "a day of readings of each series",
            found=f"fewer of {int((many < fewest).sum())}: {int(many.min())} of '{names[int(many.argmin())]}'",
            hint=f"leave them out: series.dropna('{other}', thresh={fewest})",
            where=where,
        )
    low, high = _range(table.name)
    wrong = (values < low) | (values > high)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise TwinError(
            f"{where} from {low:g} to {high:g}",
            found=f"{values[row, column]:g} of '{names[column]}' at {table['time'].to_numpy()[row]}",
            hint="check the unit, or make such readings NaN",
            where=where,
        )
    _check_units(values, table["time"].to_numpy(), names, where)


def _check_units(values: np.ndarray, times: np.ndarray, names: np.ndarray, where: str) -> None:
    """Days before and after a day that are apart by a factor beyond all demand: another unit."""
    step = (times[1] - times[0]) / np.timedelta64(1, "D")
    day = round(1 / step)
    days = len(values) // day
    if days < 4:
        return
    by_day = values[len(values) - days * day :].reshape(days, day, -1)
    seen = np.isfinite(by_day)
    level = np.where(seen, np.abs(by_day), 0).sum(1) / np.maximum(seen.sum(1), 1)
    level = np.where(seen.any(1), level, np.nan)
    for cut in range(2, days - 1):
        before, after = level[max(0, cut - 7) : cut], level[cut : cut + 7]
        with np.errstate(invalid="ignore", divide="ignore"):
            up = np.fmin.reduce(after, 0) / np.fmax.reduce(before, 0)
            down = np.fmin.reduce(before, 0) / np.fmax.reduce(after, 0)
        # a series that was next to nothing has been switched on, or counts by ones
        started = (np.isfinite(before).sum(0) < 2) | (np.isfinite(after).sum(0) < 2)
        found = ~started & (np.fmax(up, down) > JUMP) & (np.fmin.reduce(np.concatenate([before, after]), 0) > 0)
        if found.any():
            which = int(np.flatnonzero(found)[0])
            factor = up[which] if up[which] > JUMP else 1 / down[which]
            then = times[len(values) - (days - cut) * day]
            raise TwinError(
                "one unit throughout",
                found=f"'{names[which]}' about {factor:.3g} times what it was, from {then}",
                hint="convert one part, or make it NaN if something new began there",
                where=where,
            )
