"""Hourly flows from more records than memory holds: a chunk of subscribers at a time, each read once."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np

from twinkit.contract import within
from twinkit.dynamics import shown
from twinkit.error import TwinError
from twinkit.mobility.stay import arranged, found_stays

__all__ = ["chunk_flows", "hourly_flows", "partitioned"]

COLUMNS = ("subscriber", "cell", "time")
LATEST = 10**11
"""Seconds since 1970, in the year 5138: more are milliseconds, or a time that is none."""
MOST = 2_000_000_000
"""Numbers in the result, four bytes each."""
MOST_ROWS = 200_000_000
"""Records of one file, all of which are in memory at once."""


@numba.njit(cache=True, nogil=True)
def _counted(
    who: np.ndarray, end: np.ndarray, zone: np.ndarray, start: int, hours: int, zones: int
) -> tuple[np.ndarray, int]:
    """Hour, origin and destination as one number for each trip between two stays of a subscriber."""
    out = np.empty(max(len(who) - 1, 0), np.int64)
    made = 0
    for i in range(len(who) - 1):
        if who[i] == who[i + 1] and zone[i] >= 0 and zone[i + 1] >= 0 and zone[i] != zone[i + 1]:
            hour = (end[i] - start) // 3600
            if 0 <= hour < hours:
                out[made] = (hour * zones + zone[i]) * zones + zone[i + 1]
                made += 1
    return out[:made], made


def chunk_flows(
    who: np.ndarray,
    time: np.ndarray,
    cell: np.ndarray,
    *,
    x: np.ndarray,
    y: np.ndarray,
    zone: np.ndarray,
    start: int,
    hours: int,
    zones: int,
    radius: float,
    least: float,
) -> np.ndarray:
    """Trips of the subscribers of one chunk, each as one number: (hour * zones + origin) * zones + destination."""
    # one type, so that one kernel is compiled
    who, cell = who.astype(np.int64, copy=False), cell.astype(np.int64, copy=False)
    unknown = (cell < 0) | (cell >= len(x))
    if unknown.any():
        cell = np.where(unknown, -1, cell)
    whose, _, end, spot = found_stays(*arranged(who, time, cell), x, y, radius, least)
    trips: np.ndarray = _counted(whose, end, zone[spot], start, hours, zones)[0]
    return trips


def _columns(chunk: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subscriber, time [s] and cell of one chunk: a Parquet file, or a mapping of arrays."""
    if isinstance(chunk, str | Path):
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise TwinError(
                "the package pyarrow", found="none", hint="pip install 'twinkit[mobility]'", where=str(chunk)
            ) from None
        try:
            rows = pq.read_metadata(chunk).num_rows
            if rows > MOST_ROWS:
                found = f"{rows}"
                hint = "tk.mobility.partitioned(files, folder, parts=...) makes smaller ones"
                raise TwinError(f"at most {MOST_ROWS} records in a file", found=found, hint=hint, where=str(chunk))
            table = pq.read_table(chunk, columns=list(COLUMNS), use_threads=False)
        except (OSError, pa.ArrowException) as fault:
            raise TwinError(
                f"a Parquet file with {', '.join(COLUMNS)}",
                found=str(fault).splitlines()[0][:200],
                hint="write it anew",
                where=str(chunk),
            ) from None
        absent = [c for c in COLUMNS if c not in table.column_names]
        if absent:
            raise TwinError(f"columns {', '.join(COLUMNS)}", found=f"no {', '.join(absent)}", hint="rename them")
        parts = {c: table.column(c).to_numpy() for c in COLUMNS}
    else:
        try:
            parts = {c: np.asarray(chunk[c]) for c in COLUMNS}
        except (KeyError, TypeError):
            raise TwinError(
                f"chunks with {', '.join(COLUMNS)}", found=f"a {type(chunk).__name__}", hint="give files or dicts"
            ) from None
    time = parts["time"]
    if time.dtype.kind == "M":
        time = time.astype("datetime64[s]").astype(np.int64)
    if any(v.dtype.kind not in "iu" for v in (parts["subscriber"], parts["cell"], time)):
        raise TwinError(
            "numbers for subscriber and cell, and times",
            found=", ".join(f"{n}: {v.dtype}" for n, v in parts.items()),
            hint="factorise the ids once: pandas.factorize",
            where="records",
        )
    sizes = {n: v.shape for n, v in {**parts, "time": time}.items()}
    if any(s != time.shape or len(s) != 1 for s in sizes.values()):
        raise TwinError("columns of one length", found=str(sizes), hint="give one value an event", where="records")
    if len(time) and max(abs(int(time.min())), abs(int(time.max()))) > LATEST:
        raise TwinError(
            "times as datetime64, or in seconds since 1970, each of them there",
            found=f"numbers from {time.min()} to {time.max()}",
            hint="seconds, not milliseconds; drop records without a time",
            where="time",
        )
    return parts["subscriber"], time.astype(np.int64, copy=False), parts["cell"]


def hourly_flows(
    chunks: Iterable[Any],
    *,
    x: Any,
    y: Any,
    zone: Any,
    start: str,
    hours: int,
    zones: int,
    radius: float = 600.0,
    least: float = 900.0,
    workers: int = 2,
    progress: bool = True,
) -> np.ndarray:
    """Trips between zones by the hour, out of core: only a chunk for each worker is in memory, and the result.

    Parameters
    ----------
    chunks : iterable of paths or of dicts
        Parquet files, or columns, with ``subscriber`` and ``cell`` (positions, integers) and ``time`` (UTC). All
        records of a subscriber stand in one chunk (`partitioned` makes it so); within it in any order.
    x, y : array (cell) [m]
        Where phones served by the cell are.
    zone : array (cell) of int
        Zone of each cell, -1 for none.
    start : str
        Begin of the first hour, UTC.
    hours, zones : int
    radius : float [m]
    least : float [s]
        See `tk.mobility.stays`.
    workers : int
        Threads; the counts are the same with any number.
    progress : bool
        Show a progress bar when it takes longer than two seconds and the chunks are a list.

    Returns
    -------
    array (hour, origin, destination) of int32
        Trips by the hour in which the stay before them ended; those within a zone are not counted.

    Errors
    ------
    TwinError
        A chunk in another form, a subscriber in two chunks, positions without a place.

    Examples
    --------
    >>> hour = np.array([0, 3600, 7200, 10800])
    >>> chunk = {"subscriber": np.zeros(4, int), "cell": np.array([0, 0, 1, 1]), "time": hour}
    >>> made = hourly_flows([chunk], x=[0, 9e3], y=[0, 0], zone=[0, 1], start="1970-01-01", hours=24, zones=2)
    >>> np.argwhere(made).tolist()
    [[1, 0, 1]]
    """
    x, y = (np.ascontiguousarray(v, dtype=float) for v in (x, y))
    if np.asarray(zone).dtype.kind not in "iu":
        raise TwinError(
            "whole numbers of zones", found=f"type {np.asarray(zone).dtype}", hint="-1 for none", where="zone"
        )
    zone = np.ascontiguousarray(zone, dtype=np.int64)
    if not (len(x) == len(y) == len(zone)) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise TwinError(
            "x, y and zone of each cell", found="other lengths, or NaN", hint="leave such cells out", where="x"
        )
    within(hours, 1, 1e5, name="hours", unit="1")
    within(zones, 1, 20_000, name="zones", unit="1")
    within(workers, 1, 256, name="workers", unit="1")
    within(zone, -1, zones - 1, name="zone", unit="1")
    within(radius, 0, math.inf, name="radius", unit="m")
    within(least, 0, math.inf, name="least", unit="s")
    if hours * zones**2 > MOST:
        raise TwinError(f"at most {MOST:.0e} flows", found=f"{hours} x {zones}²", hint="a day at a time", where="zones")
    if isinstance(chunks, Mapping | str | Path) or not isinstance(chunks, Iterable):
        raise TwinError("a list of chunks", found=f"a {type(chunks).__name__}", hint="[chunk]", where="chunks")
    first = int(_start(start).astype(np.int64))
    flow = np.zeros(int(hours) * int(zones) ** 2, dtype=np.int32)
    choices = {"x": x, "y": y, "zone": zone, "start": first, "hours": int(hours), "zones": int(zones)}

    def one(chunk: Any) -> tuple[np.ndarray, np.ndarray]:
        who, time, cell = _columns(chunk)
        trips = chunk_flows(who, time, cell, radius=float(radius), least=float(least), **choices)
        rises = len(who) < 2 or bool((who[1:] >= who[:-1]).all())
        new = np.ones(len(who), dtype=bool)
        new[1:] = who[1:] != who[:-1]
        return trips, who[new] if rises else np.unique(who)

    known: set[int] = set()
    with ThreadPoolExecutor(int(workers)) as pool:
        waiting: list[Any] = []
        todo = iter(shown(chunks, progress) if isinstance(chunks, Collection) else chunks)
        ended = False
        while waiting or not ended:
            while not ended and len(waiting) < workers:
                chunk = next(todo, None)
                if chunk is None:
                    ended = True
                else:
                    waiting.append(pool.submit(one, chunk))
            if waiting:
                trips, subscribers = waiting.pop(0).result()
                _added(flow, trips)
                before = len(known)
                known.update(subscribers.tolist())
                if len(known) - before != len(subscribers):
                    raise TwinError(
                        "all records of a subscriber in one chunk",
                        found="a subscriber in two",
                        hint="tk.mobility.partitioned(files, folder, parts=...) puts them together",
                        where="chunks",
                    )
    return flow.reshape(int(hours), int(zones), int(zones))


def _start(text: Any) -> np.datetime64:
    try:
        found = np.datetime64(text, "s")
    except (ValueError, TypeError):
        found = np.datetime64("NaT", "s")
    if np.isnat(found):
        raise TwinError("a time in UTC", found=repr(text), hint="start='2026-03-02'", where="start")
    return found


@numba.njit(cache=True, nogil=True)
def _added(flow: np.ndarray, trips: np.ndarray) -> None:
    for t in trips:
        flow[t] += 1


def partitioned(files: Iterable[Any], folder: str | Path, *, parts: int) -> list[Path]:
    """Records rewritten so that all of a subscriber stand in one file, a file at a time in memory.

    Parameters
    ----------
    files : iterable of paths or of dicts
        As `hourly_flows` takes them, but a subscriber may be in several.
    folder : path
        New or empty.
    parts : int
        So many files; each must fit into memory several times.

    Returns
    -------
    list of paths

    Errors
    ------
    TwinError
        A folder that holds files, a file in another form.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise TwinError("the package pyarrow", found="none", hint="pip install 'twinkit[mobility]'") from None
    within(parts, 1, 10_000, name="parts", unit="1")
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise TwinError("an empty folder", found=f"files in {out.name}", hint="name a new one", where=str(folder))
    schema = pa.schema([("subscriber", pa.int64()), ("cell", pa.int64()), ("time", pa.int64())])
    paths = [out / f"part-{i:04d}.parquet" for i in range(int(parts))]
    writers = [pq.ParquetWriter(p, schema) for p in paths]
    try:
        for file in files:
            who, time, cell = _columns(file)
            # a multiplication by an odd number spreads ids that come in steps
            part = (who.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(33)) % np.uint64(parts)
            order = np.argsort(part, kind="stable")
            ends = np.searchsorted(part[order], np.arange(int(parts) + 1))
            for i, writer in enumerate(writers):
                mine = order[ends[i] : ends[i + 1]]
                if len(mine):
                    columns = [np.asarray(v[mine], dtype=np.int64) for v in (who, cell, time)]
                    writer.write_table(pa.table(columns, schema=schema))
    finally:
        for writer in writers:
            writer.close()
    return paths
