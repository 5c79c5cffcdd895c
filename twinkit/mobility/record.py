"""Telecom event records of people on the move: what an operator's switches would have written down that day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pandas as pd

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError
from twinkit.mobility.diary import DAY
from twinkit.mobility.form import records

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

__all__ = ["event_records", "midnight", "utc"]

LOOK = 20.0
"""While a session runs on the way, the phone looks for a better cell every so often [s]."""
RHYTHM = np.array([1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 10, 9, 9, 9, 10, 11, 12, 12, 11, 8, 5, 2], dtype=float)
"""Sessions by the hour, before they are scaled to a mean of one."""


def midnight(date: Any) -> pd.Timestamp:
    """The begin of a date.

    Errors
    ------
    TwinError
        No date.

    >>> midnight("2026-03-02 08:15")
    Timestamp('2026-03-02 00:00:00')
    """
    try:
        found = pd.Timestamp(date)
        if not pd.isna(found) and 1677 < found.year < 2262:
            return found.normalize().tz_localize(None)
    except (ValueError, TypeError):
        pass
    raise TwinError("a date", found=repr(date), hint="date='2026-03-02'", where="date")


def utc(seconds: Any, *, date: str, timezone: str) -> np.ndarray:
    """Seconds after local midnight as times in UTC: what a clock on the wall says, with daylight saving.

    An hour that the clocks skip counts as the one after it, an hour that comes twice as the first of the two.

    Parameters
    ----------
    seconds : array [s]
    date : str
        ``"2026-03-02"``.
    timezone : str
        Name of the IANA zone, ``"Asia/Kolkata"``.

    Returns
    -------
    array of datetime64[ns]

    Errors
    ------
    TwinError
        No such date or zone.

    Examples
    --------
    >>> utc([8 * 3600], date="2026-03-02", timezone="Asia/Kolkata").astype("datetime64[m]")
    array(['2026-03-02T02:30'], dtype='datetime64[m]')
    """
    try:
        start = np.datetime64(midnight(date), "ns")
        naive = pd.DatetimeIndex(start + (np.asarray(seconds, dtype=float) * 1e9).astype("timedelta64[ns]"))
        first = np.ones(len(naive), dtype=bool)
        there = naive.tz_localize(timezone, nonexistent="shift_forward", ambiguous=first)
        return np.asarray(there.tz_convert("UTC").tz_localize(None).to_numpy(), dtype="datetime64[ns]")
    except (ValueError, KeyError, TypeError) as fault:
        raise TwinError(
            "a date and an IANA time zone",
            found=f"{date!r} in {timezone!r}: {fault}"[:200],
            hint="date='2026-03-02', timezone='Asia/Kolkata'",
            where="timezone",
        ) from None


def _line(done: xr.Dataset, streets: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Everybody's way through the day as corners (person, time, x, y), in the order of persons and time."""
    who = done["who"].to_numpy()
    arrived = np.isfinite(done["arrives"].to_numpy())
    persons = len(done["home_x"])
    everybody = np.arange(persons)
    trip_of, left = done["trip_of"].to_numpy(), done["left"].to_numpy()
    corner = streets["end"].to_numpy()[done["street"].to_numpy()]
    # the last street's end lies beyond the way's own, and the arrival stands for it
    inner = np.ones(len(left), dtype=bool)
    inner[:-1] = trip_of[:-1] == trip_of[1:]
    if len(inner):
        inner[-1] = False
    person = [everybody, who, who[trip_of[inner]], who[arrived], everybody]
    departs, arrives = done["departs"].to_numpy(), done["arrives"].to_numpy()[arrived]
    time = [np.zeros(persons), departs, left[inner], arrives, np.full(persons, 2 * DAY)]
    x = [done["home_x"].to_numpy(), done["from_x"].to_numpy(), streets["x"].to_numpy()[corner[inner]]]
    y = [done["home_y"].to_numpy(), done["from_y"].to_numpy(), streets["y"].to_numpy()[corner[inner]]]
    x += [done["to_x"].to_numpy()[arrived], np.full(persons, np.nan)]
    y += [done["to_y"].to_numpy()[arrived], np.full(persons, np.nan)]
    p, t, px, py = (np.concatenate(c) for c in (person, time, x, y))
    order = np.lexsort([t, p])
    p, t, px, py = p[order], t[order], px[order], py[order]
    # at the end of the day everybody stays where they came last
    last = np.flatnonzero(np.isnan(px))
    px[last], py[last] = px[last - 1], py[last - 1]
    return p, t, px, py


def _at(line: tuple[np.ndarray, ...], person: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where somebody is at a time, along the corners of their day."""
    p, t, x, y = line
    # one rising axis for all: each person has a stretch of it
    axis, want = p * (4 * DAY) + t, person * (4 * DAY) + time
    return np.interp(want, axis, x), np.interp(want, axis, y)


@contract(reads=["server", "departs"], gives=["subscriber", "cell"], computes=True)
def event_records(
    server: xr.DataArray,
    done: xr.Dataset,
    *,
    streets: xr.Dataset,
    cells: Sequence[str],
    seed: int,
    date: str,
    timezone: str,
    share: Any = 0.3,
    sessions: float = 1.0,
    update: float = 3600.0,
    moving: float = 0.5,
    shadow: float = 120.0,
    ping_pong: float = 0.15,
    silence: float = 0.1,
) -> xr.Dataset:
    """Event records of one operator's subscribers among people who go through a day.

    Parameters
    ----------
    server : DataArray (y, x)
        Position of the serving cell, as `tk.radio.coverage` gives it; -1 where there is none.
    done : Dataset
        What `simulate` gives.
    streets : Dataset
        On which it was done.
    cells : sequence of str
        Ids of the cells, ``twin["cells"].cell.to_numpy()``.
    seed : int
    date, timezone : str
        The day, and the zone of the town's clocks.
    share : float, or array (person)
        The operator's share of the people; of each person the chance to be a subscriber, where customers are not
        spread evenly.
    sessions : float [1/h]
        Mean of a subscriber's calls, messages and data sessions by the hour; subscribers differ (log-normal, 0.8), and
        hours do.
    update : float [s]
        A phone that does nothing is heard of once in this time.
    moving : float
        Share of trips with a session: each change of the cell on the way leaves a record.
    shadow : float [m]
        Obstacles move the border between cells by about this much, anew for each record.
    ping_pong : float
        Share of records that others follow within seconds, from whatever cell is stronger then.
    silence : float
        Share of the hours in which a phone is off or out of reach.

    Returns
    -------
    Dataset (event)
        Records, in the order of time.

    Errors
    ------
    TwinError
        Shares outside 0 to 1, no such zone, a map of other cells, nobody recorded.

    Examples
    --------
    >>> from twinkit import datasets, mobility, radio
    >>> twin = datasets.town(sites=3, seed=1)
    >>> roads = mobility.streets(twin, spacing=500, seed=1)
    >>> done = mobility.simulate(roads, mobility.diary(twin, persons=50, seed=1), seed=1)
    >>> server = radio.coverage(twin, path_loss=radio.free_space).server
    >>> day = {"date": "2026-03-02", "timezone": "Africa/Lagos"}
    >>> seen = event_records(server, done, streets=roads, cells=twin["cells"].cell.to_numpy(), seed=1, **day)
    >>> seen.sizes["event"] > 100
    True
    """
    for name, value in (("share", share), ("moving", moving), ("ping_pong", ping_pong), ("silence", silence)):
        within(value, 0, 1, name=name, unit="1")
    within(sessions, 0, 1000, name="sessions", unit="1/h")
    within(update, 60, 1e6, name="update", unit="s")
    within(shadow, 0, 1e5, name="shadow", unit="m")
    rng = np.random.default_rng([whole_seed(seed), 0xE7])
    served, departs = dask.compute(server.transpose("y", "x").data, done["departs"].data)
    ids = np.asarray(cells, dtype=object)
    if served.max(initial=-1) >= len(ids):
        raise TwinError(
            "an id for each cell of the map",
            found=f"{len(ids)} ids",
            hint="cells=twin['cells'].cell.to_numpy()",
            where="cells",
        )
    y, x = (server[d].to_numpy().astype(float) for d in ("y", "x"))
    line = _line(done.assign(departs=("trip", departs)), streets)
    persons = done.sizes["person"]
    if np.ndim(share) and np.shape(share) != (persons,):
        found = f"shape {np.shape(share)}"
        raise TwinError(
            f"one share, or one for each of {persons} persons", found=found, hint="share=0.3", where="share"
        )
    mine = np.flatnonzero(rng.random(persons) < share)
    busy = np.zeros(persons)
    busy[mine] = rng.lognormal(-0.32, 0.8, len(mine)) * sessions

    rate = busy[mine, None] * RHYTHM / RHYTHM.mean()
    number = rng.poisson(rate)
    who = np.repeat(mine, number.sum(axis=1))
    hour = np.repeat(np.tile(np.arange(24.0), len(mine)), number.ravel())
    time = (hour + rng.random(len(hour))) * 3600
    rounds = np.arange(int(DAY // update) + 1) * update
    idle = (rounds + rng.uniform(0, update, (len(mine), 1))).ravel()
    who, time = np.concatenate([who, np.repeat(mine, len(rounds))]), np.concatenate([time, idle])

    # on the way: a look every few seconds, of which the changes of cell stay
    trip_who, arrives = done["who"].to_numpy(), done["arrives"].to_numpy()
    talks = np.flatnonzero((busy[trip_who] > 0) & np.isfinite(arrives) & (rng.random(len(trip_who)) < moving))
    looks = np.maximum(((arrives - departs)[talks] // LOOK).astype(np.int64), 0)
    trip = np.repeat(talks, looks)
    step = np.arange(len(trip)) - np.repeat(np.cumsum(looks) - looks, looks)
    way_time = departs[trip] + LOOK * step

    def cell_of(person: np.ndarray, when: np.ndarray) -> np.ndarray:
        px, py = _at(line, person, when)
        off = rng.normal(0.0, shadow, (2, len(px))) if shadow else np.zeros((2, len(px)))
        column = np.rint((px + off[0] - x[0]) / (x[1] - x[0])).astype(np.int64)
        row = np.rint((py + off[1] - y[0]) / (y[1] - y[0])).astype(np.int64)
        inside = (column >= 0) & (column < len(x)) & (row >= 0) & (row < len(y))
        found = np.full(len(px), -1)
        found[inside] = served[row[inside], column[inside]]
        return found

    way_cell = cell_of(trip_who[trip], way_time)
    change = np.ones(len(trip), dtype=bool)
    change[1:] = (way_cell[1:] != way_cell[:-1]) | (trip[1:] != trip[:-1])
    cell = cell_of(who, time)
    again = np.flatnonzero(rng.random(len(who)) < ping_pong)
    echo = np.repeat(again, 2)
    echo_time = time[echo] + np.tile([4.0, 9.0], len(again))
    cell = np.concatenate([cell, cell_of(who[echo], echo_time), way_cell[change]])
    who = np.concatenate([who, who[echo], trip_who[trip][change]])
    time = np.concatenate([time, echo_time, way_time[change]])

    off = rng.random((persons, 24)) < silence
    heard = (cell >= 0) & (time >= 0) & (time < DAY)
    heard[heard] = ~off[who[heard], (time[heard] // 3600).astype(np.int64)]
    who, cell, time = who[heard], cell[heard], np.floor(time[heard])
    if not len(who):
        raise TwinError("records", found="none", hint="take more persons, or a larger share", where="event_records")
    order = np.lexsort([who, time])
    # pseudonyms in an order that says nothing about who lives where
    names = np.array([f"u{i:07d}" for i in range(persons)], dtype=object)[rng.permutation(persons)]
    when = utc(time[order], date=date, timezone=timezone)
    said = f"generated: seed {seed}, twinkit.mobility.event_records"
    return records(names[who[order]], ids[cell[order]], when, provenance=said)
