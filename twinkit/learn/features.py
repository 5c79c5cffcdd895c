"""Features from labelled arrays: what was known when the forecast was made, and the table that a model reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["calendar", "lags", "rolled", "sound", "table"]

DAY = np.timedelta64(1, "D")
JUMP = 20.0
"""A level that changes by this factor from one moment on, for good, is a change of unit: kilo- and per-hour-per-minute
are above it, and no network's traffic grows so in one step."""


def lags(array: xr.DataArray, *, steps: Iterable[int]) -> xr.Dataset:
    """The values that stood so many steps earlier, each a feature of its own.

    Parameters
    ----------
    array : DataArray (time, ...)
    steps : list of int
        1 and more. A forecast h steps ahead may use lags of h and more alone.

    Returns
    -------
    Dataset (time, ...)
        ``NAME_lag_24`` for step 24; NaN at the beginning; ``attrs["known_after"]`` is the lag in steps.

    Errors
    ------
    TwinError
        A step below 1: that is the answer, or the future.

    Examples
    --------
    >>> load = xr.DataArray([1.0, 2.0, 3.0], dims="time", name="load")
    >>> lags(load, steps=[1]).load_lag_1.values
    array([nan,  1.,  2.])
    """
    _along_time(array)
    out = {}
    for step in steps:
        if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 1:
            raise TwinError(
                "lags of 1 step or more",
                found=f"a lag of {step}: {'the answer itself' if step == 0 else 'the future'}",
                hint="give the steps between the reading and the moment that is forecast",
                where="steps",
            )
        shifted = array.shift(time=int(step))
        shifted.attrs = {"known_after": int(step), "units": array.attrs.get("units", "1")}
        out[f"{array.name or 'value'}_lag_{step}"] = shifted
    return xr.Dataset(out)


def rolled(array: xr.DataArray, *, window: int, delay: int, statistic: str = "mean") -> xr.DataArray:
    """A statistic of the window that ended `delay` steps earlier; the moment itself and what follows stay outside.

    Parameters
    ----------
    array : DataArray (time, ...)
    window : int
        Steps in the window.
    delay : int
        1 or more; a forecast h steps ahead takes h.
    statistic : {"mean", "std", "min", "max", "median"}

    Returns
    -------
    DataArray (time, ...)
        NaN where fewer than half of the window was read.

    Errors
    ------
    TwinError
        A delay below 1, an empty window, another statistic.

    Examples
    --------
    >>> rolled(xr.DataArray([1.0, 3.0, 9.0], dims="time", name="load"), window=2, delay=1).values
    array([nan,  1.,  2.])
    """
    _along_time(array)
    if delay < 1 or window < 1:
        raise TwinError(
            "a window and a delay of 1 step or more",
            found=f"window {window}, delay {delay}",
            hint="a window that reaches the moment itself knows the answer",
            where="delay",
        )
    known = ("mean", "std", "min", "max", "median")
    if statistic not in known:
        raise TwinError(f"a statistic among {', '.join(known)}", found=repr(statistic), hint="statistic='mean'")
    past = array.shift(time=delay).rolling(time=window, min_periods=max(1, window // 2))
    out: xr.DataArray = getattr(past, statistic)()
    out.attrs = {"known_after": int(delay), "units": array.attrs.get("units", "1")}
    return out.rename(f"{array.name or 'value'}_{statistic}_{window}")


def calendar(time: Any, *, holidays: Iterable[Any] = (), offset: float = 0.0) -> xr.Dataset:
    """What the calendar says of each moment, known as far ahead as one likes.

    Parameters
    ----------
    time : DataArray or array of datetime64, shape (time,)
        UTC.
    holidays : list of dates, optional
        Local days off.
    offset : float [h]
        Local time less UTC: people live by their own clock (5.5 in India).

    Returns
    -------
    Dataset (time)
        ``hour`` [h], ``weekday`` (0 is Monday), ``holiday``, and the day's and the week's circle as sine and cosine.

    Errors
    ------
    TwinError
        No moments.

    Examples
    --------
    >>> day = calendar(np.array(["2026-03-02T20:00"], dtype="datetime64[ns]"), offset=5.5, holidays=["2026-03-03"])
    >>> float(day.hour[0]), int(day.weekday[0]), bool(day.holiday[0])
    (1.5, 1, True)
    """
    moments = np.asarray(time)
    if moments.dtype.kind != "M":
        raise TwinError("moments in datetime64", found=f"{moments.dtype}", hint="pass array.time", where="time")
    moments = moments.astype("datetime64[ns]")
    local = moments + np.timedelta64(round(offset * 3600), "s")
    days = local.astype("datetime64[D]")
    hour = (local - days) / np.timedelta64(1, "h")
    weekday = (days.astype(int) + 3) % 7  # the first of January 1970 was a Thursday
    off = np.isin(days, np.array(list(holidays), dtype="datetime64[D]"))
    week = (weekday * 24 + hour) / 168
    parts = {"hour": hour, "weekday": weekday.astype(float), "holiday": off.astype(float)}
    parts |= {"day_sine": np.sin(2 * np.pi * hour / 24), "day_cosine": np.cos(2 * np.pi * hour / 24)}
    parts |= {"week_sine": np.sin(2 * np.pi * week), "week_cosine": np.cos(2 * np.pi * week)}
    return xr.Dataset({n: ("time", v, {"known_after": 0}) for n, v in parts.items()}, {"time": moments})


def table(features: Any) -> pd.DataFrame:
    """The table that a model reads: a row for each place in the arrays, a column for each feature.

    Parameters
    ----------
    features : Dataset, DataArray (row, ``feature``), mapping of columns, or DataFrame
        A Dataset's variables are broadcast to all of its dims; text becomes a category.

    Returns
    -------
    DataFrame
        Indexed by the Dataset's dims, so that ``said = xr.Series(...)`` finds its way back: see `Model.predict`.

    Errors
    ------
    TwinError
        No column, two columns of one name, or a feature that is missing in every row.

    Examples
    --------
    >>> table(xr.Dataset({"load": ("cell", [0.1, 0.2]), "height": 30.0}, {"cell": ["a", "b"]})).shape
    (2, 2)
    """
    import pandas as pd

    if isinstance(features, xr.Dataset):
        dims = list(dict.fromkeys(str(d) for v in features.data_vars.values() for d in v.dims))
        if not dims:
            raise TwinError("features along a dim", found="a Dataset without", hint="tk.learn.lags(array, steps=[1])")
        names = list(features.data_vars)
        # by hand, because to_dataframe would also make columns of the coordinates
        wide = xr.broadcast(*(features[n] for n in names))
        columns = {str(n): w.transpose(*dims).to_numpy().ravel() for n, w in zip(names, wide, strict=True)}
        axes = [features.indexes[d] if d in features.indexes else range(features.sizes[d]) for d in dims]
        index = pd.MultiIndex.from_product(axes, names=dims) if len(dims) > 1 else pd.Index(axes[0], name=dims[0])
        frame = pd.DataFrame(columns, index=index)
    elif isinstance(features, xr.DataArray):
        if features.ndim != 2 or features.dims[1] != "feature" or "feature" not in features.coords:
            raise TwinError("dims (row, feature), features named", found=str(features.dims), hint="give a Dataset")
        frame = pd.DataFrame(features.to_numpy(), columns=[str(f) for f in features["feature"].to_numpy()])
    elif isinstance(features, pd.DataFrame | Mapping):
        frame = pd.DataFrame(features)
    else:
        values = np.asarray(features)
        if values.ndim != 2:
            raise TwinError("rows of features", found=f"shape {values.shape}", hint="give a Dataset or a DataFrame")
        frame = pd.DataFrame(values, columns=[f"feature {n}" for n in range(values.shape[1])])
    if not frame.shape[1] or not len(frame):
        raise TwinError("rows and columns", found=f"shape {frame.shape}", hint="select fewer away")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise TwinError("each feature once", found=f"'{twice[0]}' twice", hint="rename one")
    empty = [c for c in frame if frame[c].isna().all()]
    if empty:
        raise TwinError("something in each feature", found=f"'{empty[0]}' missing in every row", hint="leave it out")
    return frame


def sound(array: xr.DataArray, *, low: float = -np.inf, high: float = np.inf) -> xr.DataArray:
    """The series themselves, if they are fit to learn from; each fault is said once.

    Parameters
    ----------
    array : DataArray (time, ...)
        Series along time.
    low, high : float [unit of array]
        Possible values: 0 and 1 for a load.

    Returns
    -------
    DataArray
        The same.

    Errors
    ------
    TwinError
        Time goes backwards, a stamp comes twice, a series is constant or missing throughout, a value is impossible,
        or the unit changes half way (the level steps by a factor of 20 or more and stays there).

    Examples
    --------
    >>> time = np.arange("2026-03-01", "2026-03-05", dtype="datetime64[h]").astype("datetime64[ns]")
    >>> traffic = xr.DataArray(2.0 + np.sin(np.arange(96.0)), {"time": time}, ("time",), name="traffic")
    >>> sound(traffic).sizes["time"]
    96
    >>> sound(traffic.where(traffic.time < time[50], traffic * 1000))
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: traffic: expected one unit throughout; found a level about 998 times as high ...
    """
    _along_time(array)
    name = str(array.name or "series")
    if "time" in array.coords:
        step = np.diff(array["time"].to_numpy())
        zero = np.timedelta64(0, "ns") if step.dtype.kind == "m" else 0
        if (step < zero).any():
            at = array["time"].to_numpy()[int(np.argmax(step < zero)) + 1]
            raise TwinError("time that goes forward", found=f"a step back at {at}", hint="sort by time", where=name)
        if (step == zero).any():
            at = array["time"].to_numpy()[int(np.argmax(step == zero)) + 1]
            raise TwinError("each stamp once", found=f"{at} twice", hint="array.drop_duplicates('time')", where=name)
    series = array.transpose("time", ...).to_numpy().astype(float)
    series = series.reshape(len(series), -1)
    rest = [d for d in array.dims if d != "time"]

    def which(n: int) -> str:
        if not rest:
            return ""
        place = np.unravel_index(n, [array.sizes[d] for d in rest])
        return " of " + ", ".join(f"{d} {array[d].to_numpy()[i]}" for d, i in zip(rest, place, strict=True))

    there = np.isfinite(series)
    if not there.any(axis=0).all():
        n = int(np.argmin(there.any(axis=0)))
        raise TwinError("readings", found=f"none in the series{which(n)}", hint="drop the series", where=name)
    lowest, highest = np.nanmin(np.where(there, series, np.nan), axis=0), np.nanmax(np.where(there, series, np.nan), 0)
    wrong = (lowest < low) | (highest > high)
    if wrong.any():
        n = int(np.argmax(wrong))
        value = lowest[n] if lowest[n] < low else highest[n]
        raise TwinError(
            f"values from {low:g} to {high:g}",
            found=f"{value:g}{which(n)}",
            hint="see tk.telemetry.quality",
            where=name,
        )
    if (lowest == highest).any():
        n = int(np.argmax(lowest == highest))
        raise TwinError(
            "a series that changes",
            found=f"{lowest[n]:g} throughout{which(n)}",
            hint="drop it: a stuck sensor?",
            where=name,
        )
    for n in range(series.shape[1]):
        found = _unit_step(series[there[:, n], n])
        if found:
            at, ratio = found
            moment = array["time"].to_numpy()[np.flatnonzero(there[:, n])[at]] if "time" in array.coords else at
            raise TwinError(
                "one unit throughout",
                found=f"a level about {ratio:.3g} times as high from {moment} on{which(n)}",
                hint="convert one of the parts",
                where=name,
            )
    return array


def _unit_step(values: np.ndarray) -> tuple[int, float] | None:
    """Where the level steps for good, and by how much: the split of the logarithms that explains most."""
    size = np.log10(np.abs(values[values != 0]))
    n = len(size)
    if n < 20:
        return None
    least = max(5, n // 20)
    total = np.cumsum(size)
    cut = np.arange(least, n - least)
    before, after = total[cut - 1] / cut, (total[-1] - total[cut - 1]) / (n - cut)
    gain = (after - before) ** 2 * cut * (n - cut)
    at = int(cut[gain.argmax()])
    left, right = size[:at], size[at:]
    jump = float(np.median(right) - np.median(left))
    # a step of unit moves all: the lowest of one side stands near or above the highest of the other
    apart = (
        np.quantile(right, 0.1) > np.quantile(left, 0.9)
        if jump > 0
        else np.quantile(left, 0.1) > np.quantile(right, 0.9)
    )
    if abs(jump) < np.log10(JUMP) or not apart:
        return None
    return int(np.flatnonzero(values != 0)[at]), float(10**jump)


def _along_time(array: xr.DataArray) -> None:
    if "time" not in array.dims:
        raise TwinError(
            "an array along 'time'", found=f"dims {array.dims}", hint="rename its dim", where=str(array.name)
        )
