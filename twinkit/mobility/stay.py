"""From records to stays, from stays to homes and trips: the way back, for a file in memory or for a hundred million."""

from __future__ import annotations

import math

import dask
import numba
import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError

__all__ = ["arranged", "found_stays", "local", "night_homes", "stays"]

ENDS = ("stay_begin", "stay_end")


@numba.njit(cache=True, nogil=True)
def found_stays(
    who: np.ndarray, time: np.ndarray, cell: np.ndarray, x: np.ndarray, y: np.ndarray, radius: float, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Stays in records that stand in the order of subscribers and time: whose, begin, end, cell.

    A stay is a run of records within `radius` of their running mean that lasts `least` or longer. Its cell is the one
    that holds the majority of its records, where one does. A run next to the stay before it belongs to that stay.

    Parameters
    ----------
    who, cell : array (event) of int
    time : array (event) of int [s]
    x, y : array (cell) [m]
    radius : float [m]
    least : float [s]

    Returns
    -------
    tuple of arrays (stay)
    """
    count = len(who)
    out_who, out_begin = np.empty(count, np.int64), np.empty(count, np.int64)
    out_end, out_cell = np.empty(count, np.int64), np.empty(count, np.int64)
    out_x, out_y = np.empty(count), np.empty(count)
    made = 0
    i = 0
    near = radius * radius
    while i < count:
        person, begin, vote, lead = who[i], time[i], cell[i], 1
        ax, ay, size = x[cell[i]], y[cell[i]], 1.0
        j = i + 1
        while j < count and who[j] == person:
            c = cell[j]
            dx, dy = x[c] - ax, y[c] - ay
            if dx * dx + dy * dy > near:
                break
            size += 1.0
            ax += dx / size
            ay += dy / size
            # Boyer and Moore's vote: one name and one count find a majority
            if c == vote:
                lead += 1
            elif lead == 0:
                vote, lead = c, 1
            else:
                lead -= 1
            j += 1
        if time[j - 1] - begin >= least:
            last = made - 1
            joined = False
            if last >= 0 and out_who[last] == person:
                dx, dy = ax - out_x[last], ay - out_y[last]
                if dx * dx + dy * dy <= near:
                    out_end[last] = time[j - 1]
                    joined = True
            if not joined:
                out_who[made], out_begin[made], out_end[made], out_cell[made] = person, begin, time[j - 1], vote
                out_x[made], out_y[made] = ax, ay
                made += 1
        i = j
    return out_who[:made], out_begin[:made], out_end[:made], out_cell[:made]


def arranged(who: np.ndarray, time: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Records in the order of subscribers and time, each once, those of unknown cells (-1) left out."""
    known = cell >= 0
    if not known.all():
        who, time, cell = who[known], time[known], cell[known]
    if len(who) > 1:
        same = who[1:] == who[:-1]
        if not ((who[1:] >= who[:-1]) & (~same | (time[1:] >= time[:-1]))).all():
            order = np.lexsort([cell, time, who])
            who, time, cell = who[order], time[order], cell[order]
        fresh = np.ones(len(who), dtype=bool)
        fresh[1:] = (who[1:] != who[:-1]) | (time[1:] != time[:-1]) | (cell[1:] != cell[:-1])
        if not fresh.all():
            who, time, cell = who[fresh], time[fresh], cell[fresh]
    return who, time, cell


@contract(reads=["subscriber", "cell"], gives=["stay_begin", "stay_end"], computes=True)
def stays(records: xr.Dataset, *, cells: xr.Dataset, radius: float = 600.0, least: float = 900.0) -> xr.Dataset:
    """Where subscribers stayed: runs of records near each other that last.

    Records may come in any order, and more than once; those of cells that are not in `cells` are left out and counted
    in ``attrs``. Ping-pong between cells within `radius` ends no stay.

    Parameters
    ----------
    records : Dataset (event)
        See `tk.mobility.records`.
    cells : Dataset (cell)
        ``x`` and ``y`` [m], where phones served by the cell are: see `footprint`.
    radius : float [m]
        Two cells nearer than this are one spot.
    least : float [s]
        Shorter halts are part of the way.

    Returns
    -------
    Dataset (stay)
        ``stay_begin`` and ``stay_end`` (UTC), with ``who`` (position in ``subscriber``), and ``at`` (position in
        cells); and the ids ``subscriber`` (person) of all who have a stay or none. In the order of subscribers and
        time.

    Errors
    ------
    TwinError
        No records of a known cell, cells without a place.

    Examples
    --------
    >>> from twinkit.mobility import records
    >>> spots = {"x": ("cell", [0.0, 300.0, 5000.0]), "y": ("cell", [0.0, 0.0, 0.0])}
    >>> cells = xr.Dataset(spots, {"cell": ["a", "b", "c"]})
    >>> hours = ["2026-03-02T06:00", "2026-03-02T07:00", "2026-03-02T08:00", "2026-03-02T09:00", "2026-03-02T12:00"]
    >>> seen = records(["u"] * 5, ["a", "b", "a", "c", "c"], hours, provenance="generated: by hand")
    >>> stays(seen, cells=cells).at.values
    array([0, 2])
    """
    within(radius, 0, math.inf, name="radius", unit="m")
    within(least, 0, math.inf, name="least", unit="s")
    absent = [n for n in ("subscriber", "cell") if n not in records.data_vars]
    if absent:
        raise TwinError("records", found=f"no {', '.join(absent)}", hint="make them with tk.mobility.records")
    x, y = (np.asarray(cells[n].to_numpy(), dtype=float) for n in ("x", "y"))
    subscriber, cell = dask.compute(records["subscriber"].data, records["cell"].data)
    if "time" not in records.coords or records["time"].dims != records["subscriber"].dims:
        raise TwinError("a time for each record", found="none", hint="make them with tk.mobility.records", where="time")
    who, names = pd.factorize(np.asarray(subscriber), sort=True)
    if (who < 0).any():
        raise TwinError("a subscriber in every record", found="some without", hint="drop them", where="subscriber")
    if not cells.indexes["cell"].is_unique if "cell" in cells.indexes else True:
        raise TwinError("cells with an id each", found="one id twice, or none", hint="take footprint", where="cells")
    at = pd.Index(np.asarray(cells["cell"].to_numpy(), dtype=object)).get_indexer(np.asarray(cell, dtype=object))
    placed = np.isfinite(x) & np.isfinite(y)
    at = np.where((at >= 0) & placed[at], at, -1)
    if not (at >= 0).any():
        raise TwinError(
            "records of cells that are known",
            found=f"none of {len(at)}",
            hint="look at the ids of the cells",
            where="cell",
        )
    seconds = records["time"].to_numpy().astype("datetime64[s]").astype(np.int64)
    ordered = arranged(who, seconds, at)
    whose, begin, end, spot = found_stays(*ordered, x, y, float(radius), float(least))
    attrs = {
        "provenance": f"modelled: stays within {radius:g} m for {least:g} s or longer",
        "unknown": int((at < 0).sum()),
        "doubled": int((at >= 0).sum() - len(ordered[0])),
    }
    return xr.Dataset(
        {
            "stay_begin": ("stay", begin.astype("datetime64[s]").astype("datetime64[ns]"), attrs),
            "stay_end": ("stay", end.astype("datetime64[s]").astype("datetime64[ns]"), attrs),
        },
        {
            "who": ("stay", whose),
            "at": ("stay", spot),
            "subscriber": ("person", np.asarray(names, dtype=object)),
        },
        attrs=attrs,
    )


def night_homes(halts: xr.Dataset, *, timezone: str, night: tuple[int, int] = (20, 7)) -> np.ndarray:
    """Position of the home cell of each subscriber: where most of the night's stays were; -1 for those without a stay.

    Whoever has no stay at night lives where the first stay of the day began.

    Parameters
    ----------
    halts : Dataset (stay)
        What `stays` gives.
    timezone : str
        IANA zone of the town's clocks: nights are local.
    night : (int, int) [h]
        From and to, by the clock on the wall.

    Returns
    -------
    array (person) of int

    Errors
    ------
    TwinError
        No such zone.
    """
    within(night, 0, 24, name="night", unit="h")
    whose, at = halts["who"].to_numpy(), halts["at"].to_numpy()
    people = halts.sizes["person"]
    home = np.full(people, -1, dtype=np.int64)
    if not len(whose):
        return home
    length = (night[1] - night[0]) % 24 * 3600.0
    dark = np.zeros(len(whose))
    clock = [local(halts[n].to_numpy(), timezone).astype(np.int64) - night[0] * 3600.0 for n in ENDS]
    # nights cut off from the line of time: the part of [begin, end] that lies in a night of any day
    whole = [np.floor(t / 86_400.0) * length + np.minimum(t % 86_400.0, length) for t in clock]
    dark = whole[1] - whole[0]
    first = np.unique(whose, return_index=True)[1]
    home[whose[first]] = at[first]
    table = pd.DataFrame({"who": whose, "at": at, "dark": dark}).groupby(["who", "at"], as_index=False)["dark"].sum()
    table = table[table["dark"] > 0].sort_values(["who", "dark", "at"], ascending=[True, False, True])
    best = table.drop_duplicates("who")
    home[best["who"].to_numpy()] = best["at"].to_numpy()
    return home


def local(time: np.ndarray, timezone: str) -> np.ndarray:
    """What the clock on the wall says at times in UTC: array of datetime64[s].

    Errors
    ------
    TwinError
        No such zone.
    """
    try:
        wall = pd.DatetimeIndex(time).tz_localize("UTC").tz_convert(timezone).tz_localize(None)
    except (ValueError, KeyError, TypeError) as fault:
        raise TwinError("an IANA time zone", found=f"{timezone!r}: {fault}"[:200], hint="'Asia/Kolkata'") from None
    return np.asarray(wall.to_numpy().astype("datetime64[s]"))
