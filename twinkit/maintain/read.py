"""Readers of public sets on failures, alarms and anomalies: labelled arrays as the stages take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["alarm_log", "anomaly_series", "engines"]

SETTINGS, SENSORS = 3, 21


def engines(path: str | Path) -> xr.Dataset:
    """NASA's C-MAPSS turbofan engines: run to failure, one row a flight.

    Parameters
    ----------
    path : str or Path
        ``train_FD001.txt`` or another file of the set: unit, cycle, 3 settings, 21 sensors, between spaces.

    Returns
    -------
    Dataset (unit, step)
        ``setting1`` .. ``sensor21``; step 0 is an engine's first flight, NaN after its last. ``ended`` (unit): True,
        which holds for the files named train.

    Errors
    ------
    TwinError
        No such file, another number of columns, cycles that do not run from 1 on.

    References
    ----------
    Saxena, Goebel, Simon and Eklund (2008), Damage propagation modeling for aircraft engine run-to-failure simulation.
    """
    raw = _numbers(Path(path), 2 + SETTINGS + SENSORS)
    unit, cycle = raw[:, 0].astype(int), raw[:, 1].astype(int)
    names, code = np.unique(unit, return_inverse=True)
    place = np.zeros(len(raw), int)
    for n in range(len(names)):
        own = np.flatnonzero(code == n)
        if not np.array_equal(cycle[own], np.arange(1, len(own) + 1)):
            raise TwinError(
                "cycles 1, 2, 3, ... of every unit",
                found=f"a gap, a doubled one or time going backwards in unit {names[n]}",
                hint="sort the file by unit and cycle",
                where=str(path),
            )
        place[own] = cycle[own] - 1
    columns = [f"setting{k + 1}" for k in range(SETTINGS)] + [f"sensor{k + 1}" for k in range(SENSORS)]
    said = {"provenance": "generated: NASA's C-MAPSS simulation of turbofan engines"}
    data: dict[str, Any] = {}
    for k, name in enumerate(columns):
        values = np.full((len(names), int(cycle.max())), np.nan)
        values[code, place] = raw[:, 2 + k]
        data[name] = (("unit", "step"), values, dict(said))
    data["ended"] = ("unit", np.ones(len(names), bool), dict(said))
    return xr.Dataset(data, {"unit": np.array([f"engine {n}" for n in names], dtype=object)})


def alarm_log(path: str | Path) -> xr.Dataset:
    """Alarms of a network: what, where, from when to when.

    Parameters
    ----------
    path : str or Path
        CSV with ``alarm_id``, ``device_id``, ``start_timestamp`` and ``end_timestamp`` [s].

    Returns
    -------
    Dataset (alarm)
        ``alarm_kind``, ``alarm_site`` (text), ``alarm_time`` [s] of the start, in ascending order; ``alarm_end`` [s].

    Errors
    ------
    TwinError
        No such file, a column missing, a row that is no number.

    References
    ----------
    The alarms of the causal structure learning competition at NeurIPS 2023 (Huawei Noah's Ark Lab).
    """
    import pandas as pd

    rows = _frame(Path(path), ["alarm_id", "device_id", "start_timestamp", "end_timestamp"])
    for name in ("start_timestamp", "end_timestamp"):
        number = pd.to_numeric(rows[name], errors="coerce")
        if not np.isfinite(number).all():
            at = int(np.flatnonzero(~np.isfinite(number))[0])
            raise TwinError("seconds", found=repr(rows[name].iloc[at]), hint="mend row " + str(at + 2), where=name)
        rows[name] = number.astype(float)
    rows = rows.sort_values("start_timestamp", kind="stable")
    said = {"provenance": "measured: an alarm log"}
    return xr.Dataset(
        {
            "alarm_kind": ("alarm", rows["alarm_id"].astype(str).to_numpy(dtype=object), dict(said)),
            "alarm_site": ("alarm", rows["device_id"].astype(str).to_numpy(dtype=object), dict(said)),
            "alarm_time": ("alarm", rows["start_timestamp"].to_numpy(), said | {"units": "s"}),
            "alarm_end": ("alarm", rows["end_timestamp"].to_numpy(), said | {"units": "s"}),
        }
    )


def anomaly_series(path: str | Path) -> xr.DataArray:
    """One series of the Numenta Anomaly Benchmark, as it stands in the file.

    Parameters
    ----------
    path : str or Path
        CSV with ``timestamp`` and ``value``.

    Returns
    -------
    DataArray (time)
        In the unit of the file; stamps that come twice keep their last value, as a store would.

    Errors
    ------
    TwinError
        No such file, a column missing, a stamp or a value that is none.

    References
    ----------
    Lavin and Ahmad (2015), Evaluating real-time anomaly detection algorithms: the Numenta anomaly benchmark.
    """
    import pandas as pd

    rows = _frame(Path(path), ["timestamp", "value"])
    time = pd.to_datetime(rows["timestamp"], errors="coerce")
    value = pd.to_numeric(rows["value"], errors="coerce")
    for column, name in ((time, "timestamp"), (value, "value")):
        if column.isna().any():
            at = int(np.flatnonzero(column.isna())[0])
            raise TwinError(f"a {name} in every row", found=repr(rows[name].iloc[at]), hint=f"mend row {at + 2}")
    one = pd.Series(value.to_numpy(dtype=float), pd.DatetimeIndex(time)).groupby(level=0).last()
    stamps = one.index.to_numpy().astype("datetime64[ns]")
    said = {"provenance": f"measured: Numenta Anomaly Benchmark, {Path(path).stem}"}
    return xr.DataArray(one.to_numpy(), {"time": stamps}, ("time",), name=Path(path).stem, attrs=said)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise TwinError("a file", found="none", hint="give its path", where=str(path))
    return path


def _numbers(path: Path, columns: int) -> np.ndarray:
    try:
        raw = np.loadtxt(_there(path), ndmin=2)
    except ValueError as fault:
        raise TwinError(
            "rows of numbers", found=str(fault), hint="take the file as published", where=str(path)
        ) from None
    if raw.shape[1] != columns or not len(raw) or not np.isfinite(raw).all():
        raise TwinError(
            f"{columns} numbers in each row", found=f"shape {raw.shape}", hint="is it this set?", where=str(path)
        )
    return raw


def _frame(path: Path, columns: list[str]) -> Any:
    import pandas as pd

    try:
        rows = pd.read_csv(_there(path))
    except (ValueError, UnicodeDecodeError) as fault:
        raise TwinError("a CSV file", found=str(fault), hint="take the file as published", where=str(path)) from None
    missing = [c for c in columns if c not in rows.columns]
    if missing or not len(rows):
        found = f"no '{missing[0]}'" if missing else "no rows"
        raise TwinError(
            "columns " + ", ".join(columns), found=found, hint="take the file as published", where=str(path)
        )
    return rows
