"""Contribution bounding: from records to counts in which no protected unit weighs more than stated.

Without it no noise protects anybody: a subscriber with a million events stands out of noise that was made for four.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twinkit.privacy.mechanism import Bound

__all__ = ["UNITS", "bounded", "codes", "counted", "labels", "owned", "period", "table", "units"]

CENTURY = 36_525
"""More different numbers than this are no days."""
ISO = re.compile(r"\d{4}-\d\d-\d\d")

UNITS = {"subscriber-day": ("subscriber", "day"), "subscriber": ("subscriber",)}
"""Unit of protection to the columns that tell one from another."""


def units(protects: object) -> tuple[str, ...]:
    """The columns of a unit of protection.

    Examples
    --------
    >>> units("subscriber-day")
    ('subscriber', 'day')
    """
    if not isinstance(protects, str) or protects not in UNITS:
        known = " or ".join(f"'{u}'" for u in UNITS)
        near = close_to(str(protects), UNITS)
        hint = f"did you mean {near}?" if near else "say whose traces are protected: all days of a subscriber, or one"
        raise TwinError(f"a unit of protection: {known}", found=repr(protects), hint=hint, where="protects")
    return UNITS[protects]


def table(records: object, columns: Sequence[str]) -> pd.DataFrame:
    """The records as a table of the columns that are needed; where there is no `day`, that of `time` (UTC).

    Errors
    ------
    TwinError
        No table, columns that are missing, twice there or empty in some record.
    """
    if isinstance(records, xr.Dataset):
        dims = {d for c in columns if c in records.variables for d in records[c].dims}
        if len(dims) > 1:
            raise TwinError(
                "records along one dim", found=f"dims {tuple(map(str, dims))}", hint="flatten them: one row an event"
            )
        names = [str(v) for v in records.variables]
        held: Any = records
    elif isinstance(records, pd.DataFrame):
        names = [str(c) for c in records.columns]
        held = records
    else:
        raise TwinError(
            "records: a pandas DataFrame or an xarray Dataset with one row an event",
            found=f"a {type(records).__name__}",
            hint="counts are given as a DataArray, records as a table",
            where="data",
        )
    dated = "day" in columns and "day" not in names and names.count("time") == 1
    for c in columns:
        if names.count(c) != 1 and not (c == "day" and dated):
            twice = names.count(c) > 1
            near = close_to(c, names)
            raise TwinError(
                f"one column '{c}' in the records",
                found=f"{names.count(c)} of that name" if twice else f"only {', '.join(names) or 'no column'}",
                hint="rename or drop the other" if twice else f"rename {near} to '{c}'" if near else f"add '{c}'",
                where=c,
            )
    out = pd.DataFrame({c: _days(held["time"]) if c == "day" and dated else np.asarray(held[c]) for c in columns})
    for c in columns:
        missing = int(out[c].isna().sum())
        if missing:
            raise TwinError(
                f"a '{c}' in every record",
                found=f"{missing} of {len(out)} records without",
                hint="drop them: what cannot be told apart cannot be bounded",
                where=c,
            )
    return out


def _days(times: Any) -> np.ndarray:
    found = np.asarray(times)
    if found.dtype.kind != "M":
        raise TwinError(
            "times as datetime64 in UTC, or a column 'day'",
            found=f"type {found.dtype}",
            hint="pd.to_datetime(times, utc=True).tz_localize(None), or the town's own days as 'day'",
            where="time",
        )
    return found.astype("datetime64[D]").astype("datetime64[ns]")


def owned(events: pd.DataFrame, unit: Sequence[str]) -> None:
    """Whether the columns of a unit tell units apart as they say: one kind of name, days without a time of day.

    A moment for a day would make each event a unit of its own, and the bound would bound nothing.

    Errors
    ------
    TwinError
        Names of several kinds, days that are none, that carry a time, or that are written in several ways.
    """
    for c in unit:
        kind = _kind(events[c])
        if c != "day":
            if kind not in ("string", "integer", "floating", "bytes", "empty"):
                raise TwinError(
                    f"one kind of name in '{c}': text or whole numbers",
                    found=f"values of kind '{kind}'",
                    hint=f"records.assign({c}=records.{c}.astype(str))",
                    where=c,
                )
            continue
        fault = _no_days(events[c], kind)
        if fault:
            raise TwinError(
                "days: dates, text such as '2026-03-02', or whole numbers",
                found=fault,
                hint="records.assign(day=time.dt.tz_localize(None).dt.normalize()), of the town's clock",
                where="day",
            )


def _kind(column: pd.Series) -> str:
    return str(pd.api.types.infer_dtype(column, skipna=False))


def _no_days(column: pd.Series, kind: str) -> str:
    """Why these are no days, or nothing."""
    known = pd.unique(column)
    if kind == "integer":
        if len(known) > CENTURY:
            return f"{len(known)} different numbers"
        most = max(map(abs, known), default=0)
        return f"{most}, a number of seconds" if most >= 10**8 else ""  # 20260302 is a day
    if kind == "string":
        strange = next((t for t in known if not ISO.fullmatch(t) or pd.isna(pd.to_datetime(t, errors="coerce"))), None)
        return "" if strange is None else repr(strange)
    if kind.startswith("datetime"):
        if any(getattr(t, "tzinfo", None) is not None for t in known[:1]):
            return "times with a zone"
        late = next((t for t in map(pd.Timestamp, known) if t != t.normalize()), None)
        return "" if late is None else f"times of day: {late}"
    return "" if kind in ("date", "empty") else f"values of kind '{kind}'"


def labels(over: object, events: pd.DataFrame) -> dict[str, pd.Index]:
    """All labels of each dim, checked: they are known beforehand, and of the kind that stands in the records.

    Errors
    ------
    TwinError
        No mapping, no list, a label twice or empty, text where the records have numbers.
    """
    if not hasattr(over, "items"):
        raise TwinError("over={dim: all its labels}", found=f"a {type(over).__name__}", hint="a dict", where="over")
    known: dict[str, pd.Index] = {}
    for d, given in over.items():
        where = f"over['{d}']"
        if np.ndim(given) != 1 or isinstance(given, str | bytes):
            raise TwinError("a list of labels", found=f"a {type(given).__name__}", hint="list all cells", where=where)
        index = pd.Index(np.asarray(given))
        if not len(index) or not index.is_unique or index.hasnans:
            found = "none" if not len(index) else "an empty one" if index.hasnans else f"{_twice(index)!r} twice"
            raise TwinError(f"labels of '{d}', each once", found=found, hint="list all cells", where=where)
        kinds = [_kind(pd.Series(index)), _kind(events[d])]
        if set(kinds) == {"string", "integer"}:
            raise TwinError(
                f"labels as they stand in the records: {kinds[1]}",
                found=f"{kinds[0]}, {index[0]!r}",
                hint="astype(str) on one of the two",
                where=where,
            )
        known[str(d)] = index
    return known


def _twice(index: pd.Index) -> Any:
    return index[index.duplicated()][0]


def period(days: object) -> tuple[np.datetime64, np.datetime64] | None:
    """First and last day of a release, or None where it may touch any day.

    Errors
    ------
    TwinError
        Not two days in their order.
    """
    if days is None:
        return None
    try:
        first, last = (np.datetime64(pd.Timestamp(d), "D") for d in days)  # type: ignore[attr-defined]
        if np.isnat(first) or np.isnat(last) or isinstance(days, str):
            raise ValueError  # noqa: TRY301 - one way out for whatever is no day
    except (TypeError, ValueError):
        raise TwinError(
            "the first and the last day", found=repr(days), hint="days=('2026-03-01', '2026-03-07')", where="days"
        ) from None
    if last < first:
        raise TwinError("the first day before the last", found=f"{first} to {last}", hint="swap them", where="days")
    return first, last


def bounded(
    events: pd.DataFrame, unit: Sequence[str], cells: Sequence[str], bound: Bound, generator: np.random.Generator
) -> np.ndarray:
    """Which records stay so that no unit adds more than its bound: a fair sample of those of each unit.

    Parameters
    ----------
    events : DataFrame
    unit, cells : list of str
        Columns that tell units, and cells of the count, apart.
    bound : Bound
    generator : numpy.random.Generator

    Returns
    -------
    array of bool, one a record
    """
    lot = generator.random(len(events))
    owner = codes(events, unit)
    kept = np.ones(len(events), bool)
    if bound.each < bound.total:
        kept &= _rank(_joined(owner, codes(events, cells)), lot) < bound.each
    at = np.flatnonzero(kept)
    kept[at[_rank(owner[at], lot[at]) >= bound.total]] = False
    return kept


def codes(events: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """One whole number for each combination of columns."""
    out = np.zeros(len(events), np.int64)
    for c in columns:
        out = _joined(out, pd.factorize(events[c])[0])
    return out


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    # factorised anew after each step, so that no product overflows
    width = int(second.max(initial=0)) + 1
    return np.asarray(pd.factorize(first * width + second)[0], np.int64)


def _rank(group: np.ndarray, lot: np.ndarray) -> np.ndarray:
    """Place of each record in its group, by lot."""
    order = np.lexsort((lot, group))
    ordered = group[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
    place = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
    out = np.empty(len(group), np.int64)
    out[order] = place
    return out


def counted(events: pd.DataFrame, over: Mapping[str, Any]) -> xr.DataArray:
    """Counts of records in known cells; records elsewhere are left out.

    Parameters
    ----------
    events : DataFrame
    over : mapping of str to labels
        Dim to all its labels, known without looking at the records.

    Returns
    -------
    DataArray of int
        Dims in the order of `over`.

    Errors
    ------
    TwinError
        As `labels`; more than two thousand million cells.

    Examples
    --------
    >>> trips = pd.DataFrame({"origin": ["a", "b", "b"], "destination": ["b", "a", "z"]})
    >>> counted(trips, {"origin": ["a", "b"], "destination": ["a", "b"]}).values.tolist()
    [[0, 1], [1, 0]]
    """
    known = labels(over, events)
    shape = tuple(len(index) for index in known.values())
    if np.prod([float(s) for s in shape]) > 2**31:
        raise TwinError(
            "a table of fewer than two thousand million cells",
            found=" times ".join(map(str, shape)),
            hint="leave `over` out, so that only cells with enough records are named",
            where="over",
        )
    places = np.stack([index.get_indexer(events[d]) for d, index in known.items()])
    flat = np.ravel_multi_index(tuple(places[:, (places >= 0).all(axis=0)]), shape)
    counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
    coords = {d: index.to_numpy() for d, index in known.items()}
    return xr.DataArray(counts.astype(np.int64), coords, tuple(over), name="count")
