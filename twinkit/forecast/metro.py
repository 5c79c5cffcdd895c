"""Passengers by hour and station, from the open record of Bengaluru's metro."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import stamp
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["metro"]

COLUMNS = ("Date", "Hour", "Station", "Ridership")

OPEN = 100
"""Passengers in a day from which a station counts as open: before, staff try the gates."""

OFFSET = np.timedelta64(19800, "s")
"""Indian Standard Time less UTC."""


def metro(path: Any, *, names: Any = None) -> xr.DataArray:
    """Passengers who enter (or leave) at each station in each hour.

    Parameters
    ----------
    path : str or Path
        ``station-hourly.parquet`` (entries) or ``station-hourly-exits.parquet``: Date, Hour, Station, Ridership.
    names : str or Path, optional
        ``station-names.csv``: other spellings of a station and its name, ``alt_name;name``; rows of both are added up.

    Returns
    -------
    passengers : DataArray (time, station) [people]
        Time in UTC at which the hour begins; NaN where the record has no row, and for a station before its first day
        with 100 passengers.

    Validity
    --------
    Days without any row in between are kept as NaN. A station's hours of closing are zeros in the record.

    Errors
    ------
    TwinError
        No such file, other columns, dates or hours that are none, a station's hour twice, negative counts.

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> rows = [("2025-08-01", h, s, 60) for h in range(24) for s in ("Trinity", "Lalbagh")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "station-hourly.parquet"
    ...     pd.DataFrame(rows, columns=["Date", "Hour", "Station", "Ridership"]).to_parquet(file)
    ...     read = metro(file)
    >>> read.shape, float(read.sum()), str(read.time.values[0])[:16]
    ((24, 2), 2880.0, '2025-07-31T18:30')

    References
    ----------
    BMRCL through the Right to Information Act, parsed by Vonter; Open Database Licence 1.0.
    """
    import pandas as pd

    table = _table(Path(path))
    where = Path(path).name
    station = table["Station"].astype(str).str.strip()
    if names is not None:
        known = _names(Path(names))
        station = station.map(lambda s: known.get(s, s))
    date = pd.to_datetime(table["Date"], format="%Y-%m-%d", errors="coerce")
    hour = pd.to_numeric(table["Hour"], errors="coerce")
    count = pd.to_numeric(table["Ridership"], errors="coerce")
    wrong = date.isna() | ~hour.isin(range(24)) | ~(count >= 0)
    if wrong.any():
        row = table[wrong.to_numpy()].iloc[0]
        raise TwinError(
            "a date like 2025-08-01, an hour from 0 to 23 and passengers from 0",
            found=f"{row['Date']}, {row['Hour']}, {row['Ridership']} at '{row['Station']}'",
            hint="look at the row, and leave it out",
            where=where,
        )
    twice = table.assign(_date=date, _hour=hour).duplicated(["_date", "_hour", "Station"])
    if twice.any():
        row = table[twice.to_numpy()].iloc[0]
        raise TwinError(
            "each station's hour once",
            found=f"{row['Station']} at {row['Date']}, hour {row['Hour']}, twice",
            hint="drop_duplicates, once you know why",
            where=where,
        )
    local = date.to_numpy().astype("datetime64[ns]") + hour.to_numpy().astype(int) * np.timedelta64(3600, "s").astype(
        "timedelta64[ns]"
    )
    wide = count.groupby([local, station.to_numpy()]).sum().unstack()  # noqa: PD010 - a pivot of two keys
    first = wide.index[0].normalize()
    last = wide.index[-1].normalize() + pd.Timedelta("23h")
    wide = wide.reindex(pd.date_range(first, last, freq="1h"))
    values = wide.to_numpy(float)
    by_day = np.nansum(values.reshape(-1, 24, values.shape[1]), axis=1)
    opened = np.maximum.accumulate(by_day >= OPEN, axis=0)
    values = np.where(np.repeat(opened, 24, axis=0), values, np.nan)
    some = np.isfinite(values).any(0)
    found = xr.DataArray(
        values[:, some],
        {
            "time": wide.index.to_numpy().astype("datetime64[ns]") - OFFSET,
            "station": wide.columns.to_numpy(object)[some],
        },
        ("time", "station"),
        name="passengers",
        attrs={"provenance": "measured: Bengaluru metro, BMRCL through the Right to Information Act, ODbL 1.0"},
    )
    return stamp(found, "passengers", given_by="twinkit.forecast.metro")


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise TwinError("a Parquet file of station, date and hour", found=f"no {path.name}", hint="look at the path")
    try:
        table = pd.read_parquet(path)
    except ImportError:
        raise TwinError(
            "a reader of Parquet", found="no pyarrow", hint="pip install 'twinkit[mobility]'", where=path.name
        ) from None
    except Exception as fault:  # noqa: BLE001 - whatever the reader says of a spoilt file
        raise TwinError(
            "a Parquet file", found=str(fault).splitlines()[0][:100], hint="download it again", where=path.name
        ) from None
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing or table.empty:
        near = close_to(missing[0], table.columns) if missing else ""
        raise TwinError(
            f"columns {', '.join(COLUMNS)} with rows",
            found=f"{', '.join(map(str, table.columns))} ({len(table)} rows)",
            hint=f"rename {near} to {missing[0]}" if near else "take the file of stations, not of pairs",
            where=path.name,
        )
    return table


def _names(path: Path) -> dict[str, str]:
    try:
        lines = [line.split(";") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        lines = []
    if not lines or lines[0] != ["alt_name", "name"] or any(len(line) != 2 for line in lines):
        raise TwinError(
            "a table alt_name;name", found=f"{path.name} without it", hint="take station-names.csv", where=path.name
        )
    return {a.strip(): b.strip() for a, b in lines[1:]}
