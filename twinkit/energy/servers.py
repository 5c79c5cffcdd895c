"""Readings of real servers, and the power and heat models fitted to them, judged on hours that the fit never saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["fit_servers", "read_servers"]

COLUMNS = {"powerave": "power", "tempave": "temperature", "utilave": "server_load"}

CURVATURES = np.linspace(1.0, 3.0, 41)
"""Exponents that the fit tries."""

LEAST = 48
"""Readings that a fit, and its test, need."""


def read_servers(files: str | Path | Iterable[str | Path], *, zone: str, off: float) -> xr.Dataset:
    """Hourly power, temperature and utilisation of servers, from the tables of Cornell's BioHPC laboratory.

    Parameters
    ----------
    files : path or list of paths
        Tab-separated, with columns ``name``, ``timestamp``, ``powerave`` [W], ``tempave`` [degC] and ``utilave`` [%];
        newest first, local time, and a few lines of a database's chatter at the end.
    zone : str
        Of the timestamps ("America/New_York"); the two hours a year that the clock does not tell apart are left out.
    off : float [W]
        Below it a server counts as powered down, and its hour as unknown.

    Returns
    -------
    Dataset (time, server)
        ``power`` [W], ``temperature`` [degC] and ``server_load`` [1], in UTC, ascending; NaN where nothing was read.
        Attributes ``powered_down``, ``unread`` and ``ambiguous`` count what was left out.

    Errors
    ------
    TwinError
        A file that is none of these, an unknown zone, or two readings of one server and hour.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> head = "name,timestamp,powerave,tempave,utilave".split(",")
    >>> rows = ["a,2025-07-01 09:00:00,80,36,10".split(","), "a,2025-07-01 08:00:00,70,35,0".split(",")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "a.txt"
    ...     _ = file.write_text(chr(10).join(chr(9).join(r) for r in (head, *rows)))
    ...     found = read_servers(file, zone="America/New_York", off=20.0)
    >>> found.power.values.ravel().tolist(), str(found.time.values[0])[:13]
    ([70.0, 80.0], '2025-07-01T12')
    """
    within(off, 0.0, 1e6, name="off", unit="W")
    paths = [files] if isinstance(files, str | Path) else list(files)
    if not paths:
        raise TwinError("a file or more", found="none", hint="give the paths of the tables", where="files")
    tables, down, unread, twice = [], 0, 0, 0
    for path in paths:
        table, counts = _table(path, zone)
        unread, twice = unread + counts[0], twice + counts[1]
        quiet = table["powerave"] < off
        down += int(quiet.sum())
        tables.append(table.assign(**{c: table[c].where(~quiet) for c in COLUMNS}))
    joined = pd.concat(tables)
    again = joined.duplicated(["name", "timestamp"])
    if again.any():
        first = joined[again].iloc[0]
        raise TwinError(
            "one reading of a server an hour",
            found=f"two of '{first['name']}' at {first['timestamp']} UTC",
            hint="leave out the file that is there twice",
            where="files",
        )
    wide = joined.pivot_table(index="timestamp", columns="name", values=list(COLUMNS), dropna=False).sort_index()
    scale = {"utilave": 0.01}
    data = {
        word: (("time", "server"), np.ascontiguousarray(wide[column].to_numpy(float)) * scale.get(column, 1.0))
        for column, word in COLUMNS.items()
    }
    names = wide[next(iter(COLUMNS))].columns.to_numpy(dtype=object)
    out = xr.Dataset(data, {"time": wide.index.to_numpy(dtype="datetime64[ns]"), "server": names})
    units = {"power": "W", "temperature": "degC", "server_load": "1"}
    said = "measured: hourly means of servers"
    return out.assign({n: out[n].assign_attrs(units=u, provenance=said) for n, u in units.items()}).assign_attrs(
        powered_down=down, unread=unread, ambiguous=twice
    )


@contract(reads=["power", "temperature", "server_load"], gives=["power", "temperature"], computes=True)
def fit_servers(readings: xr.Dataset, *, until: Any) -> xr.Dataset:
    r"""Power and heat models of each server, fitted before a date and judged after it.

    .. math:: P = P_{idle} + (P_{busy} - P_{idle})(2u - u^r), \qquad
        T = T_0 + a\, P + b\, P_{-1\,h}

    by least squares; r is the best of a grid. In the test, T is told the modelled power, not the measured one.

    Parameters
    ----------
    readings : Dataset (time, server)
        As `read_servers` gives it.
    until : datetime64
        Hours before it are fitted, hours from it on are the test.

    Returns
    -------
    Dataset
        (time, server) ``power`` and ``temperature`` as modelled for all hours with a known utilisation. (server)
        ``idle``, ``busy`` [W], ``curvature``; ``ambient`` [degC], ``resistance`` [K/W] (a + b). Of the test's hours:
        ``power_error`` [W], ``temperature_error`` [K] (root mean square), ``power_error_relative`` (over the mean),
        and ``power_error_of_mean``, ``temperature_error_of_mean`` of one who always says the mean of the fitted hours.

    Validity
    --------
    Single servers change their ways (power states, fans, the season in the room): the errors say how much.

    Errors
    ------
    TwinError
        Fewer than 48 readings of a server before or after `until`, unsorted times, or utilisation outside 0 to 1.

    Examples
    --------
    >>> from twinkit import stamp
    >>> from twinkit.energy import server_power
    >>> times = np.arange("2026-01-01T00", "2026-01-09T00", dtype="datetime64[h]").astype("datetime64[ns]")
    >>> axes, dims = {"time": times, "server": ["a"]}, ("time", "server")
    >>> busy = np.random.default_rng(1).uniform(0, 1, (len(times), 1))
    >>> made = server_power(busy, idle=60.0, busy=300.0, curvature=1.5)
    >>> parts = {"power": made, "temperature": 30 + 0.1 * made, "server_load": busy}
    >>> readings = xr.Dataset({n: stamp(xr.DataArray(v, axes, dims), n) for n, v in parts.items()})
    >>> found = fit_servers(readings, until=np.datetime64("2026-01-05"))
    >>> [round(float(found[n][0]), 2) for n in ("idle", "busy", "curvature", "resistance", "power_error")]
    [60.0, 300.0, 1.5, 0.1, 0.0]

    References
    ----------
    As `server_power`.
    """
    known = readings[list(COLUMNS.values())].compute()
    if "time" not in known.indexes or not known.indexes["time"].is_monotonic_increasing:
        raise TwinError(
            "readings in the order of time", found="none, or times that go back", hint="readings.sortby('time')",
            where="time",
        )  # fmt: skip
    busy = known["server_load"].transpose("time", "server")
    if not bool(((busy >= 0) & (busy <= 1) | np.isnan(busy)).all()):
        raise TwinError(
            "utilisation from 0 to 1",
            found=f"{float(busy.min()):g} to {float(busy.max()):g}",
            hint="divide percent by 100",
            where="server_load",
        )
    split = np.datetime64(until, "ns")
    times = known.indexes["time"]
    early = times < split
    # the reading an hour before, where there is one
    hour = np.asarray(times[1:] - times[:-1]) == np.timedelta64(1, "h")
    follows = np.concatenate([[False], hour])
    rows = [_one(known.isel(server=i), early, follows) for i in range(known.sizes["server"])]
    server = known["server"] if "server" in known.coords else np.arange(known.sizes["server"])
    attrs = {"provenance": "modelled: least squares, twinkit.energy.fit_servers"}
    data: dict[str, Any] = {
        n: (("time", "server"), np.stack([r[n] for r in rows], axis=1), attrs) for n in ("power", "temperature")
    }
    units = {"idle": "W", "busy": "W", "curvature": "1", "ambient": "degC", "resistance": "K/W", "power_error": "W"}
    units |= {"temperature_error": "K", "power_error_relative": "1", "power_error_of_mean": "W"}
    units |= {"temperature_error_of_mean": "K"}
    data |= {n: ("server", np.array([r[n] for r in rows]), {"units": u, **attrs}) for n, u in units.items()}
    return xr.Dataset(data, {"time": known["time"], "server": server})


def _one(server: xr.Dataset, early: np.ndarray, follows: np.ndarray) -> dict[str, Any]:
    load, power, heat = (server[n].to_numpy().astype(float) for n in ("server_load", "power", "temperature"))
    fine = np.isfinite(load) & np.isfinite(power) & np.isfinite(heat)
    fit, test = fine & early, fine & ~early
    for part, word in ((fit, "before"), (test, "from")):
        if part.sum() < LEAST:
            name = str(server["server"].values) if "server" in server.coords else "?"
            raise TwinError(
                f"{LEAST} readings {word} the date of the split",
                found=f"{int(part.sum())} of server '{name}'",
                hint="choose another date, or leave this server out",
                where="until",
            )
    best: tuple[float, Any, float] = (np.inf, (0.0, 0.0), 1.0)
    for bend in CURVATURES:
        shape = 2 * load[fit] - load[fit] ** bend
        columns = np.stack([1 - shape, shape], axis=1)
        found, *_ = np.linalg.lstsq(columns, power[fit], rcond=None)
        off = float(np.sum((columns @ found - power[fit]) ** 2))
        if off < best[0]:
            best = off, found, float(bend)
    (idle, busy), bend = best[1], best[2]
    modelled = np.full(load.shape, np.nan)
    there = np.isfinite(load)
    shape = 2 * load[there] - load[there] ** bend
    modelled[there] = idle + (busy - idle) * shape
    # without an hour before, the present one stands for it
    before = np.where(follows, np.roll(power, 1), power)
    before = np.where(np.isfinite(before), before, power)
    columns = np.stack([np.ones(fit.sum()), power[fit], before[fit]], axis=1)
    (ambient, now, then), *_ = np.linalg.lstsq(columns, heat[fit], rcond=None)
    earlier = np.where(follows, np.roll(modelled, 1), modelled)
    earlier = np.where(np.isfinite(earlier), earlier, modelled)
    warm = ambient + now * modelled + then * earlier

    def error(guess: Any, truth: np.ndarray) -> float:
        return float(np.sqrt(np.mean((guess - truth) ** 2)))

    return {
        "power": modelled,
        "temperature": warm,
        "idle": idle,
        "busy": busy,
        "curvature": bend,
        "ambient": ambient,
        "resistance": now + then,
        "power_error": error(modelled[test], power[test]),
        "temperature_error": error(warm[test], heat[test]),
        "power_error_relative": error(modelled[test], power[test]) / float(power[test].mean()),
        "power_error_of_mean": error(power[fit].mean(), power[test]),
        "temperature_error_of_mean": error(heat[fit].mean(), heat[test]),
    }


# ---------------------------------------------------------------- one file


def _table(path: str | Path, zone: str) -> tuple[pd.DataFrame, tuple[int, int]]:
    """Rows in UTC; how many had no number, and how many an hour that the clock does not tell apart."""
    needed = ["name", "timestamp", *COLUMNS]
    try:
        table = pd.read_csv(path, sep="\t", encoding="utf-8-sig", usecols=needed, dtype=str)
    except (OSError, ValueError, UnicodeDecodeError) as fault:
        raise TwinError(
            f"a tab-separated table with columns {', '.join(needed)}",
            found=str(fault).splitlines()[0],
            hint="look at the file's first line",
            where=str(path),
        ) from None
    local = pd.to_datetime(table["timestamp"], errors="coerce")
    numbers = table[list(COLUMNS)].apply(pd.to_numeric, errors="coerce")
    good = local.notna() & numbers.notna().all(axis=1)
    if not good.any():
        raise TwinError("readings", found="no row of numbers", hint="look at the file", where=str(path))
    try:
        utc = local[good].dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
    except (KeyError, ValueError, TypeError) as fault:
        raise TwinError(
            "a time zone", found=f"'{zone}' ({type(fault).__name__})", hint="zone='America/New_York'", where="zone"
        ) from None
    rows = numbers[good].assign(name=table["name"][good], timestamp=utc.dt.tz_localize(None))
    sure = rows["timestamp"].notna()
    return rows[sure], (int((~good).sum()), int((~sure).sum()))
