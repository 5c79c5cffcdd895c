"""Traces that others measured: drive tests and sensor logs from CSV, zip and Parquet, as labelled arrays.

A file is known by its columns. What it says in its own words and units becomes the vocabulary's; what is missing is
NaN; local time becomes UTC. Nothing is unpacked onto the disk.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit import vocabulary
from twinkit.contract import stamp
from twinkit.error import TwinError, close_to, escaped

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LARGEST", "trace"]

LARGEST = 2**28
"""Bytes of text in a file, or in all files of a zip, that are read."""
MEMBERS = 10_000
"""Files in a zip."""

DRIVE = {
    # column → word, factor to the vocabulary's unit
    "Longitude": ("longitude", 1.0),
    "Latitude": ("latitude", 1.0),
    "Speed": ("speed", 1 / 3.6),
    "RSRP": ("rsrp", 1.0),
    "RSRQ": ("rsrq", 1.0),
    "SNR": ("snr", 1.0),
    "RSSI": ("rssi", 1.0),
    "CQI": ("channel_quality", 1.0),
    "DL_bitrate": ("download_rate", 1000.0),
    "UL_bitrate": ("upload_rate", 1000.0),
}
WEATHER = {"temp": ("air_temperature", 1.0), "hum": ("humidity", 0.01), "bar": ("pressure", 100.0)}


def trace(path: str | Path, *, timezone: str | None = None, only: str = "") -> xr.Dataset:
    r"""A trace from a file: which of the known ones it is, its columns say.

    - A **drive test** as G-NetTrack writes it (University College Cork's 5G set: one CSV, or the zip of all): on
      ``sample``, because clocks of telephones repeat themselves; `time`, the file as ``trace``, and what was measured.
    - A **LoRa log** of the University of Pavia (``;`` between columns): ``rssi`` and ``snr`` on (time, node), the
      weather on time.
    - A **table of readings**, CSV or Parquet, with the columns ``time``, ``sensor`` (or ``cell``, or ``site``),
      ``variable`` and ``value``; or ``time``, ``sensor`` and a column for each variable, named as in the vocabulary.

    Parameters
    ----------
    path : str or Path
        CSV (``.csv``, ``.txt``), zip of CSVs, or Parquet.
    timezone : str, optional
        Of local times, e.g. ``"Europe/Dublin"``, which is what a drive test of Cork is read in. Tables of readings
        are in UTC where a time names no offset and none is given here; the LoRa log counts seconds since 1970.
    only : str, optional
        Of a zip, the files whose path has this in it (``"Driving"``).

    Returns
    -------
    Dataset
        Known variables stamped, the file named in the provenance. An hour that the clock passes twice is taken as the
        first of the two; a time that the clock skips is NaT.

    Validity
    --------
    SNR and CQI are what the telephone's modem says, in no standard's definition.

    Errors
    ------
    TwinError
        A file that is none of these, or damaged; text where a number is due, with its line; a zip with paths that
        leave it, with more than `LARGEST` bytes, or with files that say less than they hold.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
    >>> _ = file.write_text("time,cell,variable,value\n2026-03-02T12:00:00Z,a,load,0.5\n")
    >>> trace(file)["load"].dims
    ('time', 'cell')

    References
    ----------
    D. Raca et al., *Beyond throughput, the next generation: a 5G dataset with channel and context metrics*, MMSys
    2020. E. Goldoni et al., *Correlation between weather and signal strength in LoRaWAN networks: an extensive
    dataset*, Computer Networks 202, 2022.
    """
    file = Path(path)
    if not file.is_file():
        raise TwinError("a file", found="a folder" if file.is_dir() else "none", hint="check its path", where=str(path))
    with file.open("rb") as head:
        magic = head.read(4)
    if magic == b"PK\x03\x04":
        return _zipped(file, timezone, only)
    if magic == b"PAR1":
        return _known(_parquet(file), str(file), timezone)
    if file.stat().st_size > LARGEST:
        raise TwinError(
            f"a file of at most {LARGEST:,} bytes", found=f"{file.stat().st_size:,}", hint="cut it", where=str(file)
        )
    return _known(_table(file.read_bytes(), str(file)), str(file), timezone)


# ---------------------------------------------------------------- files


def _zipped(file: Path, timezone: str | None, only: str) -> xr.Dataset:
    where = str(file)
    try:
        with zipfile.ZipFile(file) as whole:
            parts = [_member(whole, m, where, timezone) for m in _members(whole, where, only)]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError) as fault:
        raise _no_zip(f"a damaged one ({escaped(fault)[:80]})", where) from None
    return xr.concat(parts, dim="sample", combine_attrs="drop_conflicts")


def _no_zip(found: str, where: str) -> TwinError:
    return TwinError("a zip of CSV files", found=found, hint="fetch it again from its source", where=where)


def _members(whole: zipfile.ZipFile, where: str, only: str) -> list[zipfile.ZipInfo]:
    """The files that are read, by name, if all of the zip can be trusted so far."""
    members = [m for m in whole.infolist() if not m.is_dir()]
    if len(members) > MEMBERS:
        raise _no_zip(f"{len(members):,} files; at most {MEMBERS:,} are read", where)
    for m in members:
        steps = PurePosixPath(m.filename.replace("\\", "/"))
        if steps.is_absolute() or ".." in steps.parts or re.match(r"[A-Za-z]:", m.filename):
            raise _no_zip(f"a path that leaves it: '{escaped(m.filename)[:80]}'", where)
    # what a Mac adds to a zip bears the names of the files and is none of them
    chosen = [m for m in members if m.filename.lower().endswith(".csv") and not _beside(m.filename)]
    chosen = [m for m in chosen if only in m.filename]
    if not chosen:
        which = f" with '{escaped(only)}' in its path" if only else ""
        raise _no_zip(f"no CSV{which} among its {len(members)} files", where)
    size = sum(m.file_size for m in chosen)
    if size > LARGEST:
        raise _no_zip(f"{size:,} bytes of text; at most {LARGEST:,} are read", where)
    locked = [m.filename for m in chosen if m.flag_bits & 1]
    if locked:
        raise _no_zip(f"'{escaped(locked[0])}', which is encrypted", where)
    return sorted(chosen, key=lambda m: m.filename)


def _member(whole: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, timezone: str | None) -> xr.Dataset:
    # zipfile stops at the size that the zip states, and then misses the checksum of what it holds
    data = whole.read(member)
    name = f"{where}: {escaped(member.filename)}"
    table = _table(data, name)
    if not set(DRIVE) <= set(table.columns):
        raise TwinError(
            "drive tests in a zip", found=f"columns {_few(table.columns)}", hint="read it by itself", where=name
        )
    return _drive(table, name, timezone, escaped(member.filename).removesuffix(".csv"))


def _beside(name: str) -> bool:
    return "__MACOSX" in PurePosixPath(name).parts or PurePosixPath(name).name.startswith("._")


def _table(data: bytes, where: str) -> pd.DataFrame:
    """All cells as text, missing ones as NaN."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TwinError(
            "a CSV in UTF-8", found="other bytes", hint="is it another kind of file?", where=where
        ) from None
    first = text.partition("\n")[0]
    if "\0" in text[:4096] or not first.strip():
        raise TwinError("a CSV with a header", found="an empty or binary file", hint="fetch it again", where=where)
    mark = max(",;\t", key=first.count)
    try:
        return pd.read_csv(
            io.StringIO(text), sep=mark, dtype=str, na_values=["-", ""], keep_default_na=False, index_col=False,
            skipinitialspace=True,
        )  # fmt: skip
    except (pd.errors.ParserError, ValueError) as fault:
        said = escaped(str(fault).strip())[:120]
        raise TwinError("a CSV with as many cells in each line", found=said, hint="mend it", where=where) from None


def _parquet(file: Path) -> pd.DataFrame:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise TwinError(
            "pyarrow, which reads Parquet", found="none installed", hint="pip install pyarrow", where=str(file)
        ) from None
    try:
        with parquet.ParquetFile(file) as opened:
            about = opened.metadata
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if max(size, about.num_rows * about.num_columns) > LARGEST:
                raise TwinError(
                    f"at most {LARGEST:,} bytes", found=f"{size:,} bytes in {about.num_rows:,} rows", hint="cut it",
                    where=str(file),
                )  # fmt: skip
            table = opened.read().to_pandas()
    except (pa.ArrowException, OSError) as fault:
        raise TwinError(
            "a Parquet file", found=f"a damaged one ({escaped(fault)[:80]})", hint="fetch it again", where=str(file)
        ) from None
    return pd.DataFrame(table)


# ---------------------------------------------------------------- kinds


def _known(table: pd.DataFrame, where: str, timezone: str | None) -> xr.Dataset:
    columns = {str(c) for c in table.columns}
    lower = {c.lower() for c in columns}
    if set(DRIVE) <= columns:
        return _drive(table, where, timezone, Path(where).stem)
    if {"timestamp", *WEATHER} <= lower:
        return _lora(table.rename(columns=str.lower), where)
    if "time" in columns and columns & {"sensor", "cell", "site"}:
        return _readings(table, where, timezone)
    raise TwinError(
        "a drive test (Timestamp, Longitude, ..., RSRP), a LoRa log (timestamp;temp;...;RSSI_01) or readings"
        " (time, sensor, variable, value)",
        found=f"columns {_few(table.columns)}",
        hint="name the columns so, or make arrays of it yourself",
        where=where,
    )


def _few(columns: Any) -> str:
    names = [escaped(c)[:30] for c in columns]
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")


def _drive(table: pd.DataFrame, where: str, timezone: str | None, name: str) -> xr.Dataset:
    local = pd.to_datetime(table["Timestamp"], format="%Y.%m.%d_%H.%M.%S", errors="coerce")
    _all_there(local, table["Timestamp"], "Timestamp as 2019.12.16_13.40.04", where)
    data = {word: ("sample", _numbers(table[c], c, where) * factor) for c, (word, factor) in DRIVE.items()}
    # a place of exactly 0, 0 is that of a receiver without a fix
    nowhere = (data["longitude"][1] == 0) & (data["latitude"][1] == 0)
    for axis in ("longitude", "latitude"):
        data[axis] = ("sample", np.where(nowhere, np.nan, data[axis][1]))
    for column, word in (("NetworkMode", "network_mode"), ("RAWCELLID", "serving_cell")):
        if column in table:
            data[word] = ("sample", table[column].fillna("").to_numpy(dtype=object))
    out = xr.Dataset(
        data,
        {
            "time": ("sample", _utc(local, timezone or "Europe/Dublin", where)),
            "trace": ("sample", np.full(len(table), name, dtype=object)),
        },
    )
    return _stamped(out, where)


def _lora(table: pd.DataFrame, where: str) -> xr.Dataset:
    seconds = _numbers(table["timestamp"], "timestamp", where)
    if np.isnan(seconds).any() or ((seconds < 9e8) | (seconds > 4e9)).any():
        raise TwinError("seconds since 1970 as timestamp", found="others", hint="check the column", where=where)
    times = (seconds * 1e9).astype("datetime64[ns]")
    order = np.argsort(times, kind="stable")
    twice = times[order][1:][np.diff(times[order]) == np.timedelta64(0)]
    if len(twice):
        raise TwinError("each time once", found=f"{twice[0]} twice", hint="drop one of the two", where=where)
    data: dict[str, Any] = {
        w: ("time", _numbers(table[c], c, where)[order] * factor) for c, (w, factor) in WEATHER.items()
    }
    for word in ("rssi", "snr"):
        columns = sorted(c for c in table.columns if re.fullmatch(rf"{word}_\d+", c))
        if columns:
            values = np.stack([_numbers(table[c], c, where) for c in columns], axis=1)[order]
            nodes = [c.partition("_")[2] for c in columns]
            data[word] = xr.DataArray(values, {"node": np.array(nodes, dtype=object)}, ("time", "node"))
    if "rain" in table:
        # millimetres that fell since the row before
        step = np.median(np.diff(times[order])) / np.timedelta64(3600, "s") if len(times) > 1 else 1.0
        data["rain"] = ("time", _numbers(table["rain"], "rain", where)[order] / step)
    return _stamped(xr.Dataset(data, {"time": times[order]}), where)


def _readings(table: pd.DataFrame, where: str, timezone: str | None) -> xr.Dataset:
    dim = next(c for c in ("cell", "site", "sensor") if c in table)
    stamps = table["time"].dtype.kind == "M" or isinstance(table["time"].dtype, pd.DatetimeTZDtype)
    times = table["time"] if stamps else pd.Series([_moment(t) for t in table["time"]], index=table.index)
    # times that name an offset do not mix with others that name none: those are refused by their line
    times = pd.to_datetime(times, errors="coerce")
    _all_there(times, table["time"], "time as 2026-03-01T12:15:00Z", where)
    if getattr(times.dtype, "tz", None) is None:
        moments = _utc(times, timezone or "UTC", where)
    else:
        moments = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
    ids = table[dim].astype(object)
    if ids.isna().any():
        raise TwinError(f"a {dim} in every row", found=f"none in row {int(ids.isna().argmax()) + 2}", hint="add it",
                        where=where)  # fmt: skip
    if {"variable", "value"} <= set(table.columns):
        names = table["variable"].astype(str).to_numpy()
        values = _numbers(table["value"], "value", where)
        parts = {str(n): (names == n, values[names == n]) for n in pd.unique(names)}
    else:
        rest = [str(c) for c in table.columns if c not in ("time", dim)]
        everywhere = np.ones(len(table), bool)
        parts = {c: (everywhere, _numbers(table[c], c, where)) for c in rest}
    if not parts:
        raise TwinError("at least one variable", found="none", hint="add a column for it", where=where)
    out = {}
    for name, (rows, values) in parts.items():
        word = vocabulary.word(name)
        dims = [d for alternative in word.dims for d in alternative if d != "time"]
        own = dim if dim != "sensor" else (dims[0] if dims else "sensor")
        if ("time" not in {d for a in word.dims for d in a}) or own not in dims:
            raise TwinError(
                f"variables on time and {own}", found=str(word), hint="leave the column out", where=f"{where}: {name}"
            )
        frame = pd.DataFrame({"t": moments[rows], "s": ids[rows].map(str), "v": values})
        # the same reading twice: what was written last corrects what was written before
        frame = frame.drop_duplicates(["t", "s"], keep="last").set_index(["t", "s"])["v"].unstack("s")  # noqa: PD010 - no pair is there twice
        out[name] = xr.DataArray(
            frame.to_numpy(),
            {"time": frame.index.to_numpy().astype("datetime64[ns]"), own: frame.columns.to_numpy().astype(object)},
            ("time", own),
        )
    return _stamped(xr.Dataset(out), where)


# ---------------------------------------------------------------- values


def _moment(said: Any) -> Any:
    try:
        return pd.Timestamp(said)
    except (ValueError, TypeError, OverflowError):
        return pd.NaT


def _numbers(column: pd.Series, name: str, where: str) -> np.ndarray:
    numbers = pd.to_numeric(column, errors="coerce")
    _all_there(numbers, column, f"numbers as {name}", where)
    values = numbers.to_numpy(dtype=float)
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax()) + 2
        raise TwinError(f"finite numbers as {name}", found=f"inf in line {row}", hint="mend it", where=where)
    return values


def _all_there(made: Any, said: pd.Series, what: str, where: str) -> None:
    lost = made.isna() & said.notna() if "number" in what else made.isna()
    if lost.any():
        row = int(np.flatnonzero(lost.to_numpy())[0])
        near = f"'{escaped(said.iloc[row])[:40]}'"
        raise TwinError(what, found=f"{near} in line {row + 2}", hint="mend it, or leave the line out", where=where)


def _utc(local: Any, timezone: str, where: str) -> np.ndarray:
    import zoneinfo

    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = close_to(timezone, zoneinfo.available_timezones())
        raise TwinError(
            "a time zone such as Europe/Dublin",
            found=f"'{timezone}'",
            hint=f"did you mean {near}?" if near else "see zoneinfo.available_timezones()",
            where=where,
        ) from None
    first: Callable[..., Any] = local.dt.tz_localize
    known = first(zone, ambiguous=np.ones(len(local), bool), nonexistent="NaT")
    return np.asarray(known.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[ns]"))


def _stamped(data: xr.Dataset, where: str) -> xr.Dataset:
    known = vocabulary.words()
    out = data
    for name in data.data_vars:
        if str(name) in known:
            array = data[name].assign_attrs(provenance=f"measured: {Path(where.partition(': ')[0]).name}")
            out = out.assign({name: stamp(array, str(name))})
    return out
