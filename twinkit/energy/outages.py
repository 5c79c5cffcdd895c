"""Grid outages: drawn from a process of two states, or read from a company's notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.energy.hours import index
from twinkit.error import TwinError

__all__ = ["grid_outages", "notices", "up_share"]

LATEST = 7
"""Days that a notice is posted ahead, at most."""


def up_share(times: Any, *, start: Any, end: Any) -> np.ndarray:
    """Share of each period in which the grid delivers, given when it does not.

    Parameters
    ----------
    times : array of datetime64 (time,)
        UTC, evenly spaced; each begins a period.
    start, end : arrays of datetime64 (outage,)
        UTC; they may overlap.

    Returns
    -------
    array (time,) [1]

    Errors
    ------
    TwinError
        Uneven times, or an outage that ends before it starts.

    Examples
    --------
    India's hours begin at the half hour of UTC, so an outage from 9 to 11 fills one hour of UTC and two halves:

    >>> hours = np.arange("2026-03-02T02", "2026-03-02T07", dtype="datetime64[h]")
    >>> up_share(hours, start=["2026-03-02T03:30"], end=["2026-03-02T05:30"])
    array([1. , 0.5, 0. , 0.5, 1. ])
    """
    found = index(times).to_numpy()
    begin, finish = (_instants(a) for a in (start, end))
    if begin.shape != finish.shape or np.isnat(begin).any() or np.isnat(finish).any() or (finish < begin).any():
        raise TwinError(
            "outages that start and then end",
            found="an end before its start, or one without the other",
            hint="compare start and end, both in UTC",
            where="outages",
        )
    step = found[1] - found[0]
    edges = np.append(found, found[-1] + step)
    # overlapping outages are one: joined in the order of their start
    order = np.argsort(begin, kind="stable")
    down = np.zeros(len(found))
    last = edges[0]
    for i in order:
        low, high = max(begin[i], last), min(finish[i], edges[-1])
        if high <= low:
            continue
        last = high
        first, final = (int(np.searchsorted(edges, t, side="right")) - 1 for t in (low, high))
        final = min(final, len(found) - 1)
        for k in range(first, final + 1):
            down[k] += max(0.0, float((min(high, edges[k + 1]) - max(low, edges[k])) / step))
    return 1.0 - np.clip(down, 0.0, 1.0)


@contract(reads=["sites/x", "sites/y"], gives=["grid_up"], computes=True)
def grid_outages(
    twin: xr.DataTree, *, times: Any, mean_up: float, mean_down: float, feeder: float, seed: int
) -> xr.DataArray:
    r"""Outages of the grid, drawn: up and down for exponential times, together on one feeder.

    .. math:: P(up) = \frac{T_{up}}{T_{up} + T_{down}}

    Parameters
    ----------
    twin : DataTree
    times : array of datetime64 (time,)
        UTC, evenly spaced.
    mean_up, mean_down : float [s]
        Mean time between outages, and that an outage lasts.
    feeder : float [m]
        Sites in one square of this edge fail together.
    seed : int
        A feeder draws from a stream of its own, which depends on its square alone: another site changes no outage.

    Returns
    -------
    DataArray (time, site) [1]
        Share of each period in which the grid delivers; the process is stationary from the first hour.

    Validity
    --------
    Failures without a rhythm. Load shedding has one: give its hours to `up_share`, or read them with `notices`.

    Errors
    ------
    TwinError
        Durations that are not positive, or uneven times.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 100.0]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> twin = assemble({"sites": sites}, title="", crs="EPSG:32643")
    >>> hours = np.arange("2026-01-01T00", "2027-01-01T00", dtype="datetime64[h]")
    >>> up = grid_outages(twin, times=hours, mean_up=20 * 3600, mean_down=4 * 3600, feeder=2000, seed=1)
    >>> bool((up[:, 0] == up[:, 1]).all()), round(float(up.mean()), 1)
    (True, 0.8)
    """
    import zlib

    found = index(times)
    within(mean_up, 1.0, 1e12, name="mean_up", unit="s")
    within(mean_down, 1.0, 1e12, name="mean_down", unit="s")
    within(feeder, 1.0, 1e7, name="feeder", unit="m")
    root = whole_seed(seed)
    sites = twin.children["sites"].to_dataset(inherit=False)[["x", "y"]].compute()
    squares = np.floor(np.stack([sites[d].to_numpy() for d in ("x", "y")]) / feeder)
    if not (np.abs(squares) < 1e15).all():
        raise TwinError(
            "sites with a place", found="one unknown or beyond the earth", hint="tk.validate(twin)", where="sites/x"
        )
    step = (found[1] - found[0]).total_seconds()
    length = step * len(found)
    shares: dict[tuple[int, int], np.ndarray] = {}
    columns = []
    for column, row in squares.T.astype(np.int64):
        key = int(column), int(row)
        if key not in shares:
            rng = np.random.default_rng([root, zlib.crc32(repr(key).encode())])
            start, end = _drawn(length, mean_up, mean_down, rng)
            origin = found[0].to_datetime64()
            spans = (origin + np.rint(s * 1e9).astype("timedelta64[ns]") for s in (start, end))
            shares[key] = up_share(found, **dict(zip(("start", "end"), spans, strict=True)))
        columns.append(shares[key])
    out = xr.DataArray(
        np.stack(columns, axis=1) if columns else np.ones((len(found), 0)),
        {"time": found.to_numpy(), "site": sites["site"]},
        ("time", "site"),
    )
    out.attrs = {
        "provenance": f"generated: seed {seed}, twinkit.energy.grid_outages",
        "assumptions": f"up {mean_up / 3600:g} h and down {mean_down / 3600:g} h in the mean, without a rhythm; sites"
        f" in one square of {feeder:g} m fail together",
    }
    return out


def notices(file: Any, *, hours: float) -> xr.Dataset:
    """Announced outages of a city, from the table of notices of Chennai's electricity company.

    Day and month stand swapped in some of its dates, so a date has two readings. The reading is
    kept that lies 0 to `LATEST` days after the day of posting, and of two the nearer.

    Parameters
    ----------
    file : path or open file
        CSV with columns ``PO_date``, ``PO_posting_date``, ``PO_start_time_short`` and ``PO_end_time_short``.
    hours : float [h]
        Local time minus UTC: 5.5 in India.

    Returns
    -------
    Dataset (outage)
        ``start`` and ``end`` in UTC, ascending; attribute ``unread`` counts the notices without a sensible reading, and
        ``swapped`` those whose day and month changed places.

    Errors
    ------
    TwinError
        No such columns, no readable notice, or hours outside -14 to 14.

    Examples
    --------
    >>> import io
    >>> head = "PO_date,PO_start_time_short,PO_end_time_short,PO_posting_date"
    >>> rows = [head, "2022-04-07,09:00:00,14:00:00,2022-07-04"]
    >>> found = notices(io.StringIO(chr(10).join(rows)), hours=5.5)
    >>> str(found.start.values[0])[:16], found.attrs["swapped"]
    ('2022-07-04T03:30', 1)
    """
    within(hours, -14, 14, name="hours", unit="h")
    names = ["PO_date", "PO_posting_date", "PO_start_time_short", "PO_end_time_short"]
    try:
        table = pd.read_csv(file, dtype=str, usecols=names)
    except (OSError, ValueError, UnicodeDecodeError) as fault:
        raise TwinError(
            f"a CSV with columns {', '.join(names)}",
            found=str(fault).splitlines()[0],
            hint="look at the file's first line",
            where=_named(file),
        ) from None
    day, posted = (_readings(table[n]) for n in names[:2])
    best = pd.Series(pd.NaT, index=table.index)
    apart = pd.Series(np.inf, index=table.index)
    swapped = pd.Series(False, index=table.index)
    for other in posted:
        # the day of posting as written is right far more often: its other reading serves where that one gives nothing
        unread = best.isna()
        for turned, reading in enumerate(day):
            ahead = (reading - other).dt.days
            better = unread & (ahead >= 0) & (ahead <= LATEST) & (ahead < apart)
            best, apart = best.where(~better, reading), apart.where(~better, ahead)
            swapped = swapped.where(~better, bool(turned))
    begin, finish = (pd.to_timedelta(table[n], errors="coerce") for n in names[2:])
    shift = pd.Timedelta(hours=hours)
    start, end = best + begin - shift, best + finish - shift
    good = start.notna() & end.notna() & (end > start)
    if not good.any():
        raise TwinError(
            "notices of outages", found="none that can be read", hint="look at the file", where=_named(file)
        )
    order = start[good].sort_values(kind="stable").index
    return xr.Dataset(
        {"start": ("outage", start[order].to_numpy()), "end": ("outage", end[order].to_numpy())},
        attrs={
            "provenance": "measured: notices of planned outages",
            "unread": int((~good).sum()),
            "swapped": int((swapped & good).sum()),
        },
    )


def _instants(times: Any) -> np.ndarray:
    """Instants in UTC, without a zone, in any order."""
    try:
        raw = times if isinstance(times, pd.Index) else np.asarray(times)
        # a text may carry a zone, which NumPy would drop with a warning
        index = pd.DatetimeIndex(pd.to_datetime(raw, format="ISO8601") if raw.dtype.kind in "OUST" else raw)
        if index.tz is None:
            return index.as_unit("ns").to_numpy()
    except (TypeError, ValueError) as fault:
        found = str(fault).splitlines()[0][:80]
        raise TwinError(
            "times in UTC", found=found, hint="write them like '2026-03-02T03:30'", where="outages"
        ) from None
    raise TwinError(
        "times in UTC, without a zone", found=f"times in {index.tz}",
        hint="times.tz_convert('UTC').tz_localize(None)", where="outages",
    )  # fmt: skip


def _named(file: Any) -> str:
    return str(getattr(file, "name", file if isinstance(file, str) or hasattr(file, "__fspath__") else "notices"))


def _readings(dates: pd.Series) -> list[pd.Series]:
    """A column of dates as written, and with day and month swapped where that is a date."""
    written = pd.to_datetime(dates, errors="coerce")
    turned = pd.to_datetime(written.dt.strftime("%Y-%d-%m"), format="%Y-%m-%d", errors="coerce")
    return [written, turned]


def _drawn(length: float, up: float, down: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends [s] of the outages of one feeder."""
    clock, starts, ends = 0.0, [], []
    # in which state the first hour finds it; an exponential time has no memory, so what is left of it is one too
    alive = rng.random() < up / (up + down)
    while clock < length:
        lasts = rng.exponential(up if alive else down)
        if not alive:
            starts.append(clock)
            ends.append(clock + lasts)
        clock += lasts
        alive = not alive
    return np.array(starts), np.array(ends)
