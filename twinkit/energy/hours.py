"""Hours: times that ascend evenly in UTC, and what begins with each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.error import TwinError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["index", "period", "same_hours"]


def index(times: Any, where: str = "times") -> pd.DatetimeIndex:
    """Times as an index: UTC without a zone, ascending, evenly spaced, at least two.

    Errors
    ------
    TwinError
        None of that.

    Examples
    --------
    >>> len(index(np.arange("2026-03-02T00", "2026-03-02T06", dtype="datetime64[h]")))
    6
    """
    try:
        found = pd.DatetimeIndex(times)
    except (TypeError, ValueError):
        raise TwinError(
            "times in UTC",
            found=f"{type(times).__name__} {str(times)[:40]!r}",
            hint="np.arange('2026-03-02T00', '2026-03-03T00', dtype='datetime64[h]')",
            where=where,
        ) from None
    if found.tz is not None:
        raise TwinError(
            "times in UTC, without a zone",
            found=f"times in {found.tz}",
            hint="times.tz_convert('UTC').tz_localize(None)",
            where=where,
        )
    if len(found) < 2:
        raise TwinError("two times or more", found=str(len(found)), hint="a period needs an end", where=where)
    steps = np.diff(found.to_numpy())
    if found.hasnans or not (steps > np.timedelta64(0)).all():
        raise TwinError(
            "times that ascend",
            found="an unknown time" if found.hasnans else "times that go back or stand still",
            hint="array.sortby('time')",
            where=where,
        )
    if (steps != steps[0]).any():
        odd = int(np.flatnonzero(steps != steps[0])[0])
        raise TwinError(
            f"times {pd.Timedelta(steps[0])} apart",
            found=f"{pd.Timedelta(steps[odd])} after {found[odd]}",
            hint="resample: array.resample(time='1h').mean(), and fill the gaps knowingly",
            where=where,
        )
    return found


def period(array: xr.DataArray, where: str) -> float:
    """Seconds from one time of an array to the next."""
    if "time" not in array.indexes:
        raise TwinError(
            "a time index", found=f"dims {tuple(array.dims)} without one", hint="assign_coords(time=...)", where=where
        )
    found = index(array.indexes["time"], where)
    return float((found[1] - found[0]).total_seconds())


def same_hours(first: xr.DataArray, other: xr.DataArray, name: str) -> None:
    """Raise unless two arrays stand on the same times; half-hour zones are the usual reason why not."""
    one, two = (index(a.indexes.get("time", ()), name) for a in (first, other))
    if one.equals(two):
        return
    apart = two[0] - one[0]
    hour = pd.Timedelta(one[1] - one[0])
    found = f"{len(two)} times from {two[0]}, against {len(one)} from {one[0]}"
    if len(one) == len(two) and one[1] - one[0] == two[1] - two[0]:
        found = f"times shifted by {apart / pd.Timedelta('1h'):+g} h"
        if apart % hour != pd.Timedelta(0):
            found += ", which is no whole number of periods"
    raise TwinError(
        f"{name} at the times of the power",
        found=found,
        hint="all times are UTC: subtract the zone's hours (India 5.5 h) before, and take periods of 30 minutes where"
        " they do not line up",
        where=name,
    )
