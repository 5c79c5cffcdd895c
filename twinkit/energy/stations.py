"""Base stations and their meters: the tables of ITU's challenge, or a set made by a recipe with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import stamp, whole_seed
from twinkit.energy.cell import HARDWARE, cell_power
from twinkit.error import TwinError

__all__ = ["generated_stations", "read_stations"]

TABLES = {
    "BSinfo.csv": ("BS", "CellName", "RUType", "Mode", "Frequency", "Bandwidth", "Antennas", "TXpower"),
    "CLdata": ("Time", "BS", "CellName", "load", "ESMode1", "ESMode2", "ESMode3", "ESMode4", "ESMode5", "ESMode6"),
    "ECdata.csv": ("Time", "BS", "Energy"),
}
STEP = 0.149477
"""What one step of the meter counts, in the real tables."""


def read_stations(folder: str | Path) -> xr.Dataset:
    """Load, energy-saving modes, hardware and energy of base stations, from the tables of "5G energy consumption".

    Parameters
    ----------
    folder : path
        With ``BSinfo.csv``, ``ECdata.csv`` and ``CLdata.parquet`` (or ``CLdata.csv``) of the ITU challenge of 2023.

    Returns
    -------
    Dataset (time, site, cell, saving_mode)
        ``load`` (time, cell) [1], ``saving`` (time, cell, saving_mode) [1] and ``energy_reading`` (time, site) in the
        meter's unit, NaN where nothing was filed; of each cell ``owner``, ``radio_unit``, ``transmission_mode``,
        ``band`` and ``power_level`` (both masked by the publisher), ``bandwidth`` [Hz] and ``antennas``. Stamps are
        as filed: `stamp_offset` finds by how much those of the meters and those of the load differ.

    Errors
    ------
    TwinError
        A table is absent or lacks a column, a stamp that stands twice, a cell that is in no list, or a load or share
        outside 0 to 1.

    Examples
    --------
    >>> read_stations("nowhere")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: BSinfo.csv: expected a table of base stations; found none. Try: ...
    """
    root = Path(folder)
    info, energy = _table(root / "BSinfo.csv"), _table(root / "ECdata.csv")
    busy = _table(root / ("CLdata.parquet" if (root / "CLdata.parquet").exists() else "CLdata.csv"))
    for table, name in ((busy, "CLdata"), (energy, "ECdata.csv")):
        try:
            table["Time"] = pd.to_datetime(table["Time"], format=None if name == "CLdata" else "%m/%d/%Y %H:%M")
        except (ValueError, TypeError) as fault:
            raise TwinError(
                "stamps such as 1/31/2023 13:00", found=str(fault).split(",")[0], hint="look at the table", where=name
            ) from None
    for table, key, name in (
        (info, ["BS", "CellName"], "BSinfo.csv"),
        (busy, ["Time", "BS", "CellName"], "CLdata"),
        (energy, ["Time", "BS"], "ECdata.csv"),
    ):
        twice = table.duplicated(key)
        if twice.any():
            first = ", ".join(str(v) for v in table.loc[twice, key].iloc[0])
            raise TwinError("each stamp once", found=f"{first} twice", hint="keep one of the two", where=name)
    info = info.assign(cell=info["BS"] + "/" + info["CellName"]).sort_values("cell").set_index("cell")
    busy = busy.assign(cell=busy["BS"] + "/" + busy["CellName"])
    strange = sorted((set(busy["cell"]) - set(info.index)) | (set(energy["BS"]) - set(info["BS"])))
    if strange:
        raise TwinError("cells of BSinfo.csv", found=f"'{strange[0]}'", hint="add it to the list", where="CLdata")
    times = pd.DatetimeIndex(np.union1d(busy["Time"].to_numpy(), energy["Time"].to_numpy()))
    sites = np.array(sorted(set(info["BS"])), dtype=object)
    modes = [f"ESMode{k}" for k in range(1, 7)]
    shares = np.full((len(times), len(info), 7), np.nan)
    where = (times.get_indexer(busy["Time"]), info.index.get_indexer(busy["cell"]))
    shares[where] = busy[["load", *modes]].to_numpy(float)
    meter = np.full((len(times), len(sites)), np.nan)
    meter[times.get_indexer(energy["Time"]), pd.Index(sites).get_indexer(energy["BS"])] = energy["Energy"].to_numpy(
        float
    )
    cells = {
        "owner": info["BS"],
        "radio_unit": info["RUType"],
        "transmission_mode": info["Mode"],
        "band": info["Frequency"],
        "bandwidth": info["Bandwidth"] * 1e6,
        "antennas": info["Antennas"],
        "power_level": info["TXpower"],
    }
    return _stations(times.to_numpy(), sites, info.index.to_numpy(dtype=object), shares, meter, cells, "measured: ITU")


def generated_stations(*, sites: int, days: int, seed: int) -> xr.Dataset:
    """Base stations made by a recipe, in the form of `read_stations`: for tests, lessons and figures without data.

    Three kinds of radio unit draw what EARTH's models say of their bandwidth, power and chains (`cell_power`), each
    site times a factor of its own (log-normal, 6 %), each reading times another (2 %), counted by the meter in steps.
    Load follows the hour, at each site with a level of its own; at night a share of the hour goes to a sleep mode,
    which saves four tenths of idle power. The stamps of the meters run one hour behind those of the load.

    Parameters
    ----------
    sites : int
    days : int
    seed : int

    Returns
    -------
    Dataset (time, site, cell, saving_mode)
        As `read_stations` gives it, all of it generated.

    Errors
    ------
    TwinError
        Fewer than 10 sites or 2 days.

    Examples
    --------
    >>> made = generated_stations(sites=20, days=3, seed=1)
    >>> dict(made.energy_reading.sizes), made.attrs["provenance"]
    ({'time': 72, 'site': 20}, 'generated: seed 1, models of EARTH')
    """
    if sites < 10 or days < 2:
        raise TwinError("10 sites and 2 days, or more", found=f"{sites} and {days}", hint="sites=60, days=4")
    rng = np.random.default_rng(whole_seed(seed))
    hours = 24 * days
    names = np.array([f"B_{k:04d}" for k in range(sites)], dtype=object)
    second = np.flatnonzero(rng.random(sites) < 0.2)
    owner = np.concatenate([np.arange(sites), second])
    cells = np.array([f"{names[o]}/Cell{int(k >= sites)}" for k, o in enumerate(owner)], dtype=object)
    order = np.argsort(cells)
    owner, cells = owner[order], cells[order]
    kind = rng.integers(0, 3, sites)[owner]
    hardware = [HARDWARE["macro"], HARDWARE["remote radio head"], HARDWARE["micro"]]
    bandwidth, level = rng.choice([10e6, 20e6], len(owner)), np.array([46.0, 46.0, 38.0])[kind]
    antennas = np.array([2, 4, 2])[kind]
    hour = (np.arange(hours + 2) % 24)[:, None]
    rhythm = 0.12 + 0.45 * np.clip(np.sin((hour - 7) / 24 * 2 * np.pi), 0, 1) * np.ones(len(owner))
    height = rng.lognormal(-0.2, 0.5, sites)[owner]
    load = np.clip(rhythm * height + rng.normal(0, 0.03, rhythm.shape), 0.0, 0.85)
    asleep = np.where((hour < 6) & (rng.random(sites)[owner] < 0.5), rng.uniform(0, 0.9, load.shape) * (1 - load), 0.0)
    watts = np.empty(load.shape)
    for k, chains in enumerate(hardware):
        own = kind == k
        each = {"bandwidth": bandwidth[own], "transmit_power": level[own], "antennas": antennas[own]}
        full = cell_power(load[:, own], **each, digital=0.5, hardware=chains)
        idle = cell_power(0.0 * load[:, own], **each, digital=0.5, hardware=chains)
        watts[:, own] = full - 0.4 * asleep[:, own] * idle
    total = np.zeros((hours + 2, sites))
    np.add.at(total.T, owner, watts.T)
    total *= rng.lognormal(0, 0.06, sites) * rng.lognormal(0, 0.02, total.shape)
    # the reading stamped t belongs to the load stamped t + 1 h
    meter = np.maximum(np.round(total[1 : hours + 1] / 20 / STEP), 1) * STEP
    meter[rng.random(meter.shape) < 0.05] = np.nan
    shares = np.zeros((hours, len(owner), 7))
    shares[..., 0], shares[..., 1] = load[:hours], asleep[:hours]
    times = np.datetime64("2026-03-01", "ns") + np.arange(hours) * np.timedelta64(1, "h")
    own = {
        "owner": names[owner],
        "radio_unit": np.array(["Type1", "Type2", "Type3"], dtype=object)[kind],
        "transmission_mode": np.full(len(owner), "Mode2", dtype=object),
        "band": np.full(len(owner), 365.0),
        "bandwidth": bandwidth,
        "antennas": antennas,
        "power_level": level,
    }
    return _stations(times, names, cells, shares, meter, own, f"generated: seed {seed}, models of EARTH")


def _stations(times: Any, sites: Any, cells: Any, shares: Any, meter: Any, own: Any, provenance: str) -> xr.Dataset:
    low, high = np.nanmin(shares, initial=0.0), np.nanmax(shares, initial=0.0)
    if low < 0 or high > 1:
        raise TwinError(
            "loads and shares of the hour from 0 to 1",
            found=f"{low if low < 0 else high:g}",
            hint="divide percent by 100",
            where="load",
        )
    modes = np.array([f"mode {k}" for k in range(1, 7)], dtype=object)
    axes = {"time": times.astype("datetime64[ns]"), "site": sites, "cell": cells, "saving_mode": modes}
    parts: dict[str, Any] = {
        "load": (("time", "cell"), shares[..., 0]),
        "saving": (("time", "cell", "saving_mode"), shares[..., 1:]),
        "energy_reading": (("time", "site"), meter),
    }
    for name, values in own.items():
        plain = np.asarray(values)
        parts[name] = ("cell", plain.astype(object) if plain.dtype.kind not in "fiu" else plain.astype(float))
    made = xr.Dataset(parts, axes, {"provenance": provenance})
    return made.assign({n: stamp(made[n].assign_attrs(provenance=provenance), str(n)) for n in made.data_vars})


def _table(path: Path) -> pd.DataFrame:
    needed = list(TABLES["CLdata" if path.stem == "CLdata" else path.name])
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise TwinError(
            "a table of base stations", found="none", hint="give the folder that holds it", where=path.name
        ) from None
    except (OSError, ValueError, UnicodeDecodeError, ImportError) as fault:
        raise TwinError(
            "a table of base stations", found=str(fault).splitlines()[0], hint="get the file again", where=path.name
        ) from None
    missing = [c for c in needed if c not in table]
    if missing:
        raise TwinError(
            f"columns {', '.join(needed)}", found=f"no '{missing[0]}'", hint="look at its first line", where=path.name
        )
    return table[needed]
