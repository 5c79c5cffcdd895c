"""Timetables of public transport in the form of GTFS: who stops where and when, on one day."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.mobility.record import midnight, utc

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["gtfs"]

MOST_BYTES = 2_000_000_000
"""Of one table, unpacked; a city's timetable has a tenth of it."""
MOST_RATIO = 200
"""Text packs by ten; a bomb by a thousand."""
LONGEST = 100_000
"""Letters of a line."""
MOST_CALLS = 10_000_000
"""Of a day."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CLOCK = re.compile(r"^\s*(\d{1,3}):([0-5]\d):([0-5]\d)\s*$")


def _rows(
    archive: zipfile.ZipFile, name: str, needs: tuple[str, ...], *, optional: bool = False, most: int = 5_000_000
) -> Iterator[dict[str, str]]:
    """The rows of one table, one at a time. Members are read by their name alone and never written to disk."""
    found = [i for i in archive.infolist() if i.filename == name]
    where = f"{Path(archive.filename or 'GTFS').name}/{name}"
    if not found and optional:
        return
    if len(found) != 1:
        raise TwinError(
            f"one {name} at the top of the archive", found=str(len(found) or "none"), hint="pack it anew", where=where
        )
    info = found[0]
    if info.flag_bits & 1:
        raise TwinError("a table that is not encrypted", found="an encrypted one", hint="pack it anew", where=where)
    if info.file_size > MOST_BYTES or info.file_size > MOST_RATIO * max(info.compress_size, 1) + 1_000_000:
        raise TwinError(
            f"a table of at most {MOST_BYTES:.0e} bytes, packed by at most {MOST_RATIO}",
            found=f"{info.file_size} bytes from {info.compress_size}",
            hint="do not open it: it is made to fill memory",
            where=where,
        )
    try:
        with archive.open(info) as packed, io.TextIOWrapper(packed, "utf-8-sig", newline="") as text:
            reader = csv.DictReader(_lines(text, where), skipinitialspace=True)
            heads = [h.strip() for h in reader.fieldnames or []]
            reader.fieldnames = heads
            _there(heads, needs, where)
            for count, row in enumerate(reader):
                _few(count, most, where)
                yield {k: (v or "").strip() for k, v in row.items() if isinstance(k, str) and not isinstance(v, list)}
    except TwinError:
        raise
    except (zipfile.BadZipFile, UnicodeDecodeError, csv.Error, OSError, EOFError, NotImplementedError) as fault:
        raise TwinError("a table in UTF-8", found=str(fault)[:200], hint="download it again", where=where) from None
    except Exception as fault:  # noqa: BLE001 - each packer has an error of its own (zlib.error, lzma.LZMAError)
        raise TwinError("a table that unpacks", found=str(fault)[:200], hint="download it again", where=where) from None


def _there(heads: list[str], needs: tuple[str, ...], where: str) -> None:
    absent = [n for n in needs if n not in heads]
    if absent:
        raise TwinError(f"columns {', '.join(needs)}", found=f"no {', '.join(absent)}", hint="mend it", where=where)


def _few(count: int, most: int, where: str) -> None:
    if count >= most:
        raise TwinError(f"at most {most} rows", found="more", hint="cut the feed to its town", where=where)


def _lines(text: io.TextIOWrapper, where: str) -> Iterator[str]:
    while line := text.readline(LONGEST):
        if len(line) == LONGEST:
            raise TwinError(f"lines of fewer than {LONGEST} letters", found="more", hint="mend it", where=where)
        yield line


def _seconds(text: str, where: str) -> float:
    """A time of the timetable, beyond 24:00 after midnight; NaN where there is none."""
    if not text:
        return float("nan")
    found = CLOCK.match(text)
    if not found:
        raise TwinError("a time such as 25:10:00", found=repr(text), hint="mend the timetable", where=where)
    hours, minutes, seconds = map(int, found.groups())
    return hours * 3600.0 + minutes * 60 + seconds


def _runs_on(archive: zipfile.ZipFile, date: pd.Timestamp) -> set[str]:
    """Services of a date: the week's days within their season, plus and minus what calendar_dates says."""
    stamp = f"{date:%Y%m%d}"
    week = list(_rows(archive, "calendar.txt", ("service_id", *DAYS, "start_date", "end_date"), optional=True))
    said = list(_rows(archive, "calendar_dates.txt", ("service_id", "date", "exception_type"), optional=True))
    if not week and not said:
        raise TwinError("calendar.txt or calendar_dates.txt", found="neither", hint="pack it anew", where="GTFS")
    day = DAYS[date.day_of_week]
    runs = {r["service_id"] for r in week if r[day] == "1" and r["start_date"] <= stamp <= r["end_date"]}
    for r in said:
        if r["date"] == stamp:
            (runs.add if r["exception_type"] == "1" else runs.discard)(r["service_id"])
    return runs


def gtfs(path: str | Path, *, date: str) -> xr.Dataset:
    """The calls of all vehicles of a timetable on one date.

    Services run by the calendar and its exceptions; a trip with frequencies runs as often as they say. Times count
    from noon less twelve hours of the agency's zone, as the standard has it, so that they hold on the days on which
    clocks change. Times between timed stops are interpolated by the number of the stop.

    Parameters
    ----------
    path : path
        A zip with agency, stops, trips, stop_times and calendar or calendar_dates. Nothing is unpacked to disk.
    date : str
        ``"2026-03-02"``.

    Returns
    -------
    Dataset (call, stop)
        Of each call ``trip`` (id, with ``#n`` for the n-th run of a frequency), ``route``, ``at`` (position in stop),
        ``arrives`` and ``leaves`` (UTC); of each stop ``longitude``, ``latitude`` [degree] and ``name``. Calls stand in
        the order of trips and of their stops; none where nothing runs.

    Errors
    ------
    TwinError
        No zip, a table missing, encrypted, twice there, or made to fill memory; times, numbers or ids that are none.

    References
    ----------
    General Transit Feed Specification, Schedule reference: stop_times.txt, frequencies.txt, calendar_dates.txt.
    """
    file = Path(path)
    day = midnight(date)
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile) as fault:
        raise TwinError(
            "a zip of GTFS tables", found=str(fault)[:200], hint="download it again", where=file.name
        ) from None
    with archive:
        agency = list(_rows(archive, "agency.txt", ("agency_timezone",), most=10_000))
        stops = list(_rows(archive, "stops.txt", ("stop_id",), most=1_000_000))
        runs = _runs_on(archive, day)
        trips = _rows(archive, "trips.txt", ("route_id", "service_id", "trip_id"))
        running = {r["trip_id"]: r["route_id"] for r in trips if r["service_id"] in runs}
        need = ("trip_id", "arrival_time", "departure_time", "stop_id", "stop_sequence")
        calls: dict[str, list[tuple[int, str, float, float]]] = {}
        kept = 0
        for n, r in enumerate(_rows(archive, "stop_times.txt", need, most=100_000_000), start=2):
            if r["trip_id"] not in running:
                continue
            kept += 1
            if kept > MOST_CALLS:
                break  # `_dataset` says so
            where = f"stop_times.txt, line {n}"
            try:
                place = int(r["stop_sequence"])
            except ValueError:
                raise TwinError("a whole number", found=repr(r["stop_sequence"]), hint="mend it", where=where) from None
            times = _seconds(r["arrival_time"], where), _seconds(r["departure_time"], where)
            calls.setdefault(r["trip_id"], []).append((place, r["stop_id"], *times))
        often: dict[str, list[float]] = {}
        for n, r in enumerate(
            _rows(archive, "frequencies.txt", ("trip_id", "start_time", "end_time", "headway_secs"), optional=True),
            start=2,
        ):
            where = f"frequencies.txt, line {n}"
            begin, end = _seconds(r["start_time"], where), _seconds(r["end_time"], where)
            gap = float(r["headway_secs"]) if r["headway_secs"].isdigit() else 0.0
            if not (gap > 0 and end >= begin and (end - begin) / gap < 1e5):
                raise TwinError("a headway above 0 s", found=repr(r["headway_secs"]), hint="mend it", where=where)
            often.setdefault(r["trip_id"], []).extend(np.arange(begin, end, gap).tolist())
    if not agency:
        raise TwinError("an agency with its time zone", found="none", hint="mend agency.txt", where=file.name)
    return _dataset(file.name, stops, running, calls, often, day, agency[0]["agency_timezone"])


def _dataset(
    name: str,
    stops: list[dict[str, str]],
    running: dict[str, str],
    calls: dict[str, list[tuple[int, str, float, float]]],
    often: dict[str, list[float]],
    day: pd.Timestamp,
    zone: str,
) -> xr.Dataset:
    at = {s["stop_id"]: i for i, s in enumerate(stops)}
    total = sum(len(c) * len(often.get(t, [0.0])) for t, c in calls.items())
    if total > MOST_CALLS:
        raise TwinError(
            f"at most {MOST_CALLS} calls a day", found=str(total), hint="look at frequencies.txt", where=name
        )
    trip: list[str] = []
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for t in sorted(calls):
        rows = sorted(calls[t])
        unknown = next((r[1] for r in rows if r[1] not in at), None)
        if unknown is not None:
            raise TwinError(
                "stops that are in stops.txt", found=repr(unknown), hint="mend it", where=f"{name}, trip {t}"
            )
        spot = np.array([at[r[1]] for r in rows])
        times = np.array([(r[2], r[3]) for r in rows])
        times = np.where(np.isnan(times), times[:, ::-1], times)
        timed = np.isfinite(times[:, 0])
        if not (timed[0] and timed[-1]) or (np.diff(times[timed].ravel()) < 0).any():
            raise TwinError(
                "times at the first and last stop that never fall",
                found="others",
                hint="mend it",
                where=f"{name}, trip {t}",
            )
        if not timed.all():
            order = np.arange(len(rows))
            times = np.stack([np.interp(order, order[timed], times[timed, k]) for k in (0, 1)], axis=1)
        starts = often.get(t)
        for n, begin in enumerate(starts or [times[0, 1]]):
            moved = times + (begin - times[0, 1])
            trip += [f"{t}#{n + 1}" if starts else t] * len(rows)
            parts.append((spot, moved[:, 0], moved[:, 1]))
    # noon less twelve hours: an hour from midnight on the days on which clocks change
    noon = utc([43_200.0], date=f"{day:%Y-%m-%d}", timezone=zone)[0]
    zero = noon - np.timedelta64(12, "h")
    joined = [np.concatenate([p[k] for p in parts]) if parts else np.empty(0) for k in range(3)]
    attrs = {"provenance": f"measured: {name}, {day:%Y-%m-%d}"}

    def when(seconds: np.ndarray) -> Any:
        return ("call", zero + (seconds * 1e9).astype("timedelta64[ns]"), attrs)

    def degrees(key: str, most: float) -> Any:
        try:
            value = np.array([float(s.get(key) or "nan") for s in stops])
        except ValueError:
            raise TwinError(f"{key} in degrees", found="text", hint="mend stops.txt", where=name) from None
        if (np.abs(value) > most).any():
            raise TwinError(f"{key} within {most:g} degree", found="more", hint="mend stops.txt", where=name)
        return ("stop", value, attrs | {"units": "degree"})

    route = np.array([running[t.partition("#")[0]] if t not in running else running[t] for t in trip], dtype=object)
    return xr.Dataset(
        {
            "trip": ("call", np.array(trip, dtype=object), attrs),
            "route": ("call", route, attrs),
            "at": ("call", joined[0].astype(np.int64), attrs),
            "arrives": when(joined[1]),
            "leaves": when(joined[2]),
            "longitude": degrees("stop_lon", 180),
            "latitude": degrees("stop_lat", 90),
            "name": ("stop", np.array([s.get("stop_name", "") for s in stops], dtype=object), attrs),
        },
        {"stop": np.array([s["stop_id"] for s in stops], dtype=object)},
        attrs=attrs,
    )
