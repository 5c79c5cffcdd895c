"""The two forms of mobility: flows between places, and telecom records."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import stamp
from twinkit.error import TwinError

__all__ = ["flow_matrix", "records"]


def flow_matrix(people: Any, *, origin: Any, destination: Any, provenance: str, time: Any = None) -> xr.DataArray:
    """Flows in the form that every function of mobility takes and gives.

    Parameters
    ----------
    people : array (origin, destination) or (time, origin, destination) [people]
        How many go from each origin to each destination, 0 or more.
    origin, destination : sequence of str
        Ids of places, each once.
    provenance : str
        ``"measured: ..."``, ``"modelled: ..."`` or ``"generated: ..."``.
    time : array (time), optional
        Begin of each period, UTC.

    Returns
    -------
    DataArray (origin, destination), or (time, origin, destination) [people]
        ``flow``.

    Errors
    ------
    TwinError
        Another shape, an id that stands twice, a flow below 0 or not a number.

    Examples
    --------
    >>> flow = flow_matrix([[0, 12], [9, 0]], origin=["a", "b"], destination=["a", "b"], provenance="measured: gate")
    >>> float(flow.sel(origin="a", destination="b")), flow.attrs["units"]
    (12.0, 'people')
    """
    values = np.asarray(people)
    if values.dtype.kind not in "fiub":
        raise TwinError("flows in numbers", found=f"values of type {values.dtype}", hint="give people", where="flow")
    values = values.astype(float)
    axes = {"origin": _ids(origin, "origin"), "destination": _ids(destination, "destination")}
    coords: dict[str, Any] = dict(axes)
    if time is not None:
        coords = {"time": np.asarray(time, dtype="datetime64[ns]"), **axes}
    shape = tuple(len(c) for c in coords.values())
    if values.shape != shape:
        raise TwinError(
            f"flows of shape {shape}, one for each of {', '.join(coords)}",
            found=f"shape {values.shape}",
            hint="give one row an origin and one column a destination",
            where="flow",
        )
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise TwinError(
            "flows of 0 people or more", found="some below 0 or not a number", hint="set them to 0", where="flow"
        )
    return stamp(xr.DataArray(values, coords, tuple(coords), attrs={"provenance": provenance}), "flow")


def _ids(names: Any, where: str) -> np.ndarray:
    ids = np.array([str(n) for n in np.asarray(names, dtype=object).ravel()], dtype=object)
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if (ids == i).sum() > 1)
        raise TwinError("each id once", found=f"'{twice}' twice", hint="sum what belongs to one place", where=where)
    return ids


def records(subscriber: Any, cell: Any, time: Any, *, provenance: str) -> xr.Dataset:
    """Telecom event records: who was served by which cell, when.

    Parameters
    ----------
    subscriber, cell : array (event)
        Ids; any order, duplicates and unknown cells are allowed: they are what operators deliver.
    time : array (event) of datetime64
        UTC, without zone.
    provenance : str
        ``"measured: ..."``, ``"modelled: ..."`` or ``"generated: ..."``.

    Returns
    -------
    Dataset (event)
        ``subscriber`` and ``cell``, with ``time`` as a coordinate.

    Errors
    ------
    TwinError
        Columns of several lengths, times that are none, that carry a zone or are missing.

    Examples
    --------
    >>> seen = records(["a", "a"], ["c1", "c2"], ["2026-03-02T08:00", "2026-03-02T09:00"], provenance="measured: two")
    >>> seen.sizes["event"], str(seen.time.values[1])[:16]
    (2, '2026-03-02T09:00')
    """
    columns = {"subscriber": np.asarray(subscriber), "cell": np.asarray(cell)}
    absent = int(pd.isna(columns["subscriber"]).sum())
    if absent:
        raise TwinError("a subscriber in every record", found=f"{absent} without", hint="drop them", where="subscriber")
    when = _utc(time)
    lengths = {n: c.shape for n, c in {**columns, "time": when}.items()}
    if any(s != when.shape or len(s) != 1 for s in lengths.values()):
        raise TwinError("columns of one length", found=str(lengths), hint="give one value an event", where="records")
    if np.isnat(when).any():
        raise TwinError(
            "a time in every record", found=f"{int(np.isnat(when).sum())} without", hint="drop them", where="time"
        )
    attrs = {"provenance": provenance}
    data = {n: stamp(xr.DataArray(c, dims="event", attrs=attrs), n) for n, c in columns.items()}
    return xr.Dataset(data, {"time": ("event", when, attrs)}, attrs=attrs)


def _utc(time: Any) -> np.ndarray:
    """Times as datetime64[ns]; those with a zone, or that are none, are refused."""
    when = np.asarray(time)
    found = f"values of type {when.dtype}" if when.dtype.kind not in "MUO" else ""
    if when.dtype == object and any(getattr(t, "tzinfo", None) is not None for t in when.ravel()[:1]):
        found = "times with a zone"
    try:
        # NumPy moves a time that is written with a zone, warns of it, and wraps one that nanoseconds cannot hold
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            coarse = when if found else when.astype("datetime64[us]")
        year = coarse[~np.isnat(coarse)].astype("datetime64[Y]").astype(int) + 1970 if not found else np.empty(0)
        if year.size and not (year.min() > 1677 and year.max() < 2262):
            found = f"years from {year.min()} to {year.max()}"
        if not found:
            return when.astype("datetime64[ns]")
    except UserWarning:
        found = "times with a zone"
    except (ValueError, TypeError) as fault:
        found = str(fault)
    hint = "convert them: pandas.to_datetime(times).tz_convert(None)"
    raise TwinError("times in UTC without a zone", found=found, hint=hint, where="time")
