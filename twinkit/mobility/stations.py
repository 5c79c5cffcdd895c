"""Hourly passengers between the stations of a metro, as Bengaluru's operator gave them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.error import TwinError
from twinkit.mobility.form import flow_matrix

__all__ = ["metro", "station_entries"]

PAIRS = ("Date", "Hour", "Origin Station", "Destination Station", "Ridership")
ENTRIES = ("Date", "Hour", "Station", "Ridership")
Named = tuple[np.ndarray, np.ndarray]
"""Position of each row's name, and the names."""
MOST = 200_000_000
"""Rows of a file, and values of a whole table."""


def _table(path: str | Path, columns: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict[str, Named]]:
    """The numbers of a table, and its days and stations as positions among their names."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise TwinError("the package pyarrow", found="none", hint="pip install 'twinkit[mobility]'") from None
    file = Path(path)
    try:
        names = pq.read_schema(file).names
        absent = [c for c in columns if c not in names]
        if absent:
            raise TwinError(
                f"columns {', '.join(columns)}",
                found=f"no {', '.join(absent)}",
                hint="rename the columns",
                where=file.name,
            )
        rows = pq.read_metadata(file).num_rows
        if rows > MOST:
            raise TwinError(f"at most {MOST} rows", found=str(rows), hint="split the file", where=file.name)
        # names stay a list and positions in it: a small file can name one long name a thousand million times
        words = [c for c in columns if c not in ("Hour", "Ridership")]
        texts = [f.name for f in pq.read_schema(file) if f.name in words and not pa.types.is_primitive(f.type)]
        table = pq.read_table(file, columns=list(columns), read_dictionary=texts)
    except (OSError, pa.ArrowException) as fault:
        said = str(fault).splitlines()[0][:200] if str(fault) else type(fault).__name__
        raise TwinError("a Parquet file of passengers", found=said, hint="download it again", where=file.name) from None
    out: dict[str, np.ndarray] = {}
    named: dict[str, Named] = {}
    for c in columns:
        if table.column(c).null_count:
            raise TwinError(
                f"'{c}' in every row", found=f"{table.column(c).null_count} without", hint="drop them", where=file.name
            )
        if c in texts:
            joined = table.column(c).unify_dictionaries().combine_chunks()
            known = np.array(joined.dictionary.to_pylist(), dtype=object)
            named[c] = joined.indices.to_numpy(zero_copy_only=False), known
        elif c in words:
            named[c] = pd.factorize(table.column(c).to_numpy())
        else:
            out[c] = table.column(c).to_numpy()
    riders = out["Ridership"]
    if riders.dtype.kind not in "fiu" or not len(riders) or not (np.isfinite(riders).all() and (riders >= 0).all()):
        raise TwinError("passengers of 0 or more", found="others, or no rows", hint="clean the file", where=file.name)
    return out, named


def _hours(hour: np.ndarray, date: Named, timezone: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The times in UTC that occur, and the position of each row among them."""
    from twinkit.mobility.record import utc

    if hour.dtype.kind not in "iu" or not (hour.min() >= 0 and hour.max() <= 23):
        found = f"{hour.min()} to {hour.max()}" if hour.dtype.kind in "iu" else f"values of type {hour.dtype}"
        raise TwinError("hours from 0 to 23", found=found, hint="clean the file", where=where)
    which, days = date
    # a clock on the wall: each day in its own zone, so that daylight saving counts
    clock = np.stack([utc(np.arange(24) * 3600.0, date=str(d), timezone=timezone) for d in days])
    return np.unique(clock[which, hour.astype(np.int64)], return_inverse=True)


def _joined(*columns: Named) -> tuple[list[np.ndarray], np.ndarray]:
    """Position of each row's station, column by column, among all names in the order of the alphabet."""
    names, of = np.unique([str(n).strip() for _, known in columns for n in known], return_inverse=True)
    begins = np.cumsum([0, *(len(known) for _, known in columns)])
    return [of[begin + at] for begin, (at, _) in zip(begins, columns, strict=False)], names.astype(object)


def metro(path: str | Path, *, timezone: str = "Asia/Kolkata") -> xr.DataArray:
    """Passengers between the stations of a metro, hour by hour.

    Parameters
    ----------
    path : path
        Parquet with Date, Hour, Origin Station, Destination Station and Ridership.
    timezone : str
        Of Date and Hour.

    Returns
    -------
    DataArray (time, origin, destination) [people]
        ``flow`` by the hour of entry, UTC; stations by name. Pairs that are not in the file are 0, hours of which
        nothing is in the file are absent.

    Errors
    ------
    TwinError
        Not such a file, hours that are none, numbers below 0.

    References
    ----------
    BMRCL ridership by the hour, obtained under the Right to Information Act, Open Database Licence.
    """
    where = Path(path).name
    table, named = _table(path, PAIRS)
    times, hour = _hours(table["Hour"], named["Date"], timezone, where)
    (origin, destination), names = _joined(*(named[c] for c in PAIRS[2:4]))
    count = len(names)
    if len(times) * count**2 > MOST:
        raise TwinError(f"at most {MOST} values", found=f"{len(times)} x {count}²", hint="split the file", where=where)
    at = (hour * count + origin) * count + destination
    flow = np.bincount(at, table["Ridership"].astype(float), len(times) * count**2).reshape(len(times), count, count)
    return flow_matrix(flow, origin=names, destination=names, time=times, provenance=f"measured: {where}")


def station_entries(path: str | Path, *, timezone: str = "Asia/Kolkata") -> xr.DataArray:
    """Passengers who enter the stations of a metro, hour by hour, by the name of the station.

    Codes are not joined on: of Bengaluru's 83 stations eleven have two or three.

    Parameters
    ----------
    path : path
        Parquet with Date, Hour, Station and Ridership.
    timezone : str
        Of Date and Hour.

    Returns
    -------
    DataArray (time, station) [people]
        UTC.

    Errors
    ------
    TwinError
        Not such a file, hours that are none, numbers below 0.
    """
    where = Path(path).name
    table, named = _table(path, ENTRIES)
    times, hour = _hours(table["Hour"], named["Date"], timezone, where)
    (station,), names = _joined(named["Station"])
    total = np.bincount(hour * len(names) + station, table["Ridership"].astype(float), len(times) * len(names))
    axes: dict[str, Any] = {"time": times, "station": names}
    attrs = {"units": "people", "long_name": "passengers who enter", "provenance": f"measured: {where}"}
    return xr.DataArray(total.reshape(len(times), -1), axes, ("time", "station"), name="passengers", attrs=attrs)
