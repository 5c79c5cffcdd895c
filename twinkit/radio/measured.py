"""Measured losses as labelled rows: drive tests, their positions checked before anybody learns from them, and rays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import whole_seed, within
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["generated_drive", "generated_streets", "read_drive", "read_streets", "repaired"]

EARTH = 6_371_000.0
"""Radius [m]."""

UNITS = {
    "x": "m",
    "y": "m",
    "ground_height": "m",
    "path_loss": "dB",
    "filed_distance": "m",
    "transmitter_x": "m",
    "transmitter_y": "m",
    "transmitter_height": "m",
    "transmitter_ground": "m",
    "azimuth": "degree",
    "frequency": "Hz",
}


def read_drive(folder: str | Path) -> xr.Dataset:
    """A drive test from its two tables, as filed: check it with `repaired` before you learn from it.

    Parameters
    ----------
    folder : path
        With ``measurements.csv`` (lat, lon, elev, PLreal, dist [km], BTS_ID) and ``BTSs_Data.csv`` (BTS_ID, height,
        lat, lon, elev, bcch, azimuth; separated by semicolons), as those of Recife, Brazil.

    Returns
    -------
    Dataset (sample, transmitter)
        Of each sample ``longitude``, ``latitude``, ``ground_height`` [m], ``path_loss`` [dB], ``filed_distance`` [m]
        and ``heard`` (the transmitter's id); of each transmitter that was heard its position, ``transmitter_height``,
        ``transmitter_ground``, ``azimuth`` and ``frequency`` (of its channel in DCS 1800).

    Errors
    ------
    TwinError
        A table is absent, lacks a column, or tells of no station that is heard.

    Examples
    --------
    >>> read_drive("nowhere")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: measurements.csv: expected a table of a drive test; found none. Try: ...
    """
    root = Path(folder)
    rows = _table(root / "measurements.csv", ",", ["lat", "lon", "elev", "PLreal", "dist", "BTS_ID"])
    masts = _table(root / "BTSs_Data.csv", ";", ["BTS_ID", "height", "lat", "lon", "elev", "bcch", "azimuth"])
    masts = masts[masts["BTS_ID"].isin(rows["BTS_ID"])].set_index("BTS_ID")
    strange = sorted(set(rows["BTS_ID"]) - set(masts.index))
    if strange:
        raise TwinError("stations of the list", found=f"'{strange[0]}'", hint="add it", where="BTSs_Data.csv")
    return _drive(
        {
            "longitude": rows["lon"],
            "latitude": rows["lat"],
            "ground_height": rows["elev"],
            "path_loss": rows["PLreal"],
            "filed_distance": 1e3 * rows["dist"],
            "heard": rows["BTS_ID"],
        },
        {
            "transmitter_longitude": masts["lon"],
            "transmitter_latitude": masts["lat"],
            "transmitter_height": masts["height"],
            "transmitter_ground": masts["elev"],
            "azimuth": masts["azimuth"],
            # downlink of DCS 1800, 3GPP TS 45.005
            "frequency": 1e6 * (1805.2 + 0.2 * (masts["bcch"] - 512)),
        },
        masts.index.to_numpy(dtype=object),
        f"measured: {root.name}",
    )


def repaired(drive: xr.Dataset, *, tolerance: float = 50.0) -> xr.Dataset:
    r"""The drive test on a plane in metres, after its positions were checked against its own distances.

    The distance of each sample follows from the positions and stands in the file. Where they differ by more than the
    tolerance, a shifted decimal point is tried in each coordinate of the transmitter; a repair is accepted only where
    one shift alone brings **all** its distances into agreement. Transmitters that then stand in one place share a mast.

    Parameters
    ----------
    drive : Dataset
        As `read_drive` gives it.
    tolerance : float [m]

    Returns
    -------
    Dataset (sample)
        ``x``, ``y`` [m] east and north of the drive's middle, ``path_loss`` [dB], ``ground_height`` [m], ``heard``,
        ``mast``, and of the transmitter ``transmitter_x``, ``transmitter_y``, ``transmitter_height``,
        ``transmitter_ground`` [m], ``azimuth`` [degree], ``frequency`` [Hz]: what `calibrate` learns from.
        ``attrs["repairs"]`` says what was mended.

    Errors
    ------
    TwinError
        A transmitter whose distances no single shift, or more than one, brings into agreement.

    Examples
    --------
    The generated drive loses a decimal place in the longitude of its stations:

    >>> repaired(generated_drive(points=200, seed=1)).attrs["repairs"]
    'A: longitude x 10; B: longitude x 10; C: longitude x 10'
    """
    within(tolerance, 1e-3, 1e5, name="tolerance", unit="m")
    known = drive.compute()
    longitude, latitude = known["longitude"].to_numpy(), known["latitude"].to_numpy()
    heard, filed = known["heard"].to_numpy().astype(str), known["filed_distance"].to_numpy()
    places, mended = {}, []
    for k, name in enumerate(known["transmitter"].to_numpy().astype(str)):
        own = heard == name
        start = [float(known[f"transmitter_{c}"][k]) for c in ("longitude", "latitude")]

        def apart(place: list[float], own: np.ndarray = own) -> float:
            return float(np.abs(_great_circle(longitude[own], latitude[own], *place) - filed[own]).max())

        if apart(start) > tolerance:
            shifts = [(c, p) for c in (0, 1) for p in (-2, -1, 1, 2)]
            tried = {(c, p): [v * 10.0**p if i == c else v for i, v in enumerate(start)] for c, p in shifts}
            fits = [s for s, place in tried.items() if abs(place[1]) <= 90 and apart(place) <= tolerance]
            if len(fits) != 1:
                raise TwinError(
                    "positions that agree with the distances in the file, or one shifted decimal point that mends them",
                    found=f"{apart(start):.0f} m apart, {len(fits)} shifts that mend it",
                    hint="ask whoever measured; nothing is guessed here",
                    where=f"transmitter {name}",
                )
            start = tried[fits[0]]
            mended.append(f"{name}: {('longitude', 'latitude')[fits[0][0]]} x {10.0 ** fits[0][1]:g}")
        places[name] = start
    middle = float(longitude.mean()), float(latitude.mean())

    def plane(east: Any, north: Any) -> tuple[Any, Any]:
        scale = np.pi / 180 * EARTH
        return (east - middle[0]) * scale * np.cos(np.radians(middle[1])), (north - middle[1]) * scale

    x, y = plane(longitude, latitude)
    at = {n: plane(*place) for n, place in places.items()}
    masts: dict[str, str] = {}
    for name, here in at.items():
        same = [m for m in masts if np.hypot(here[0] - at[m][0], here[1] - at[m][1]) < 20.0]
        masts[name] = masts[same[0]] if same else name
    order = pd.Index(known["transmitter"].to_numpy().astype(str)).get_indexer(heard)
    parts: dict[str, Any] = {"x": x, "y": y}
    parts |= {n: known[n].to_numpy() for n in ("ground_height", "path_loss")}
    parts |= {
        "transmitter_x": np.array([at[n][0] for n in heard]),
        "transmitter_y": np.array([at[n][1] for n in heard]),
    }
    for name in ("transmitter_height", "transmitter_ground", "azimuth", "frequency"):
        parts[name] = known[name].to_numpy()[order]
    parts |= {"heard": heard.astype(object), "mast": np.array([masts[n] for n in heard], dtype=object)}
    return _samples(parts, known.attrs["provenance"]).assign_attrs(repairs="; ".join(mended))


def generated_drive(*, points: int, seed: int) -> xr.Dataset:
    """A drive test made by a recipe, in the form of `read_drive`: with shadowing, a town of its own, and a fault.

    Three stations on two masts (B and C share one); a car on streets 150 m apart. Loss: free space as far as 100 m,
    from there 34 dB a decade, an offset of each station, what the antenna takes off to its side, shadowing of the
    place that all stations share and one of each mast (7 and 4 dB, 120 m), and 3 dB that are new at every point.
    The longitudes of the stations lose a decimal place.

    Parameters
    ----------
    points : int
        For each station.
    seed : int

    Returns
    -------
    Dataset (sample, transmitter)

    Errors
    ------
    TwinError
        Fewer than 50 points.

    Examples
    --------
    >>> generated_drive(points=100, seed=1).sizes["sample"]
    300
    """
    if points < 50:
        raise TwinError("50 points or more", found=str(points), hint="points=600", where="points")
    rng = np.random.default_rng(whole_seed(seed))
    along = rng.uniform(-900, 900, points)
    lane = 150.0 * rng.integers(-6, 7, points)
    turn = rng.random(points) < 0.5
    x, y = np.where(turn, along, lane), np.where(turn, lane, along)
    masts = {"A": (-350.0, 250.0, 41.0, 220.0), "B": (300.0, -300.0, 53.0, 10.0), "C": (300.0, -300.0, 53.0, 120.0)}
    town, own = _field(rng, x, y, 7.0), {"A": _field(rng, x, y, 4.0), "B": _field(rng, x, y, 4.0)}
    own["C"] = own["B"]
    middle, scale = (-34.9, -8.07), np.pi / 180 * EARTH
    longitude = middle[0] + x / scale / np.cos(np.radians(middle[1]))
    latitude = middle[1] + y / scale
    table: dict[str, list[Any]] = {"loss": [], "distance": [], "heard": []}
    places = []
    for name, (east, north, height, azimuth) in masts.items():
        place = middle[0] + east / scale / np.cos(np.radians(middle[1])), middle[1] + north / scale
        places.append((place[0] / 10, place[1], height, 6.0, azimuth, 1.8352e9))
        away = _great_circle(longitude, latitude, *place)
        off = (np.degrees(np.arctan2(x - east, y - north)) - azimuth + 180) % 360 - 180
        free = 20 * np.log10(np.clip(away, 10, 100)) + 20 * np.log10(1.8352e9) - 147.55
        loss = (
            free + 34 * np.log10(np.maximum(away, 100) / 100) + rng.normal(0, 3) + np.minimum(12 * (off / 65) ** 2, 20)
        )
        table["loss"].append(loss + town + own[name] + rng.normal(0, 3, points))
        table["distance"].append(away)
        table["heard"].append(np.full(points, name, dtype=object))
    columns = np.array(places).T
    names = ("longitude", "latitude", "height", "ground", "azimuth", "frequency")
    kept = {f"transmitter_{n}" if n in names[:4] else n: c for n, c in zip(names, columns, strict=True)}
    return _drive(
        {
            "longitude": np.tile(longitude, 3),
            "latitude": np.tile(latitude, 3),
            "ground_height": np.full(3 * points, 5.0),
            "path_loss": np.concatenate(table["loss"]),
            "filed_distance": np.concatenate(table["distance"]),
            "heard": np.concatenate(table["heard"]),
        },
        kept,
        np.array(list(masts), dtype=object),
        f"generated: seed {seed}, a drive with a known law",
    )


def read_streets(folder: str | Path, *, band: str) -> xr.Dataset:
    """Losses that were ray-traced on a grid of streets in Tokyo (ITU AI/ML in 5G challenge): simulated, not measured.

    Parameters
    ----------
    folder : path
        With a folder for each band, and in it a table for each transmitter (``800MHz/800MHz_Tx_2.csv.gz``).
    band : {"800MHz", "7GHz"}

    Returns
    -------
    Dataset (sample)
        As `repaired` gives it; each transmitter is a mast of its own. There is no azimuth (isotropic).

    Errors
    ------
    TwinError
        No table of this band, or one that lacks a column.

    Examples
    --------
    >>> read_streets("nowhere", band="7GHz")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: 7GHz: expected tables of transmitters, 7GHz_Tx_*.csv.gz; found none. Try: ...
    """
    frequency = {"800MHz": 8e8, "7GHz": 7e9, "28GHz": 2.8e10}.get(band)
    files = sorted((Path(folder) / band).glob(f"{band}_Tx_*.csv.gz"))
    if frequency is None or not files:
        raise TwinError(
            f"tables of transmitters, {band}_Tx_*.csv.gz", found="none", hint="band='800MHz' or '7GHz'", where=band
        )
    needed = ["Tx_UTM_X", "Tx_UTM_Y", "Tx_UTM_Z", "Rx_UTM_X", "Rx_UTM_Y", "PL"]
    tables = [_table(f, ",", needed).assign(name=f.name.split(".")[0].split("_")[-1]) for f in files]
    all_rows = pd.concat(tables, ignore_index=True)
    names = all_rows["name"].to_numpy(dtype=object)
    parts = {
        "x": all_rows["Rx_UTM_X"].to_numpy(),
        "y": all_rows["Rx_UTM_Y"].to_numpy(),
        "ground_height": np.zeros(len(all_rows)),
        "path_loss": all_rows["PL"].to_numpy(),
        "transmitter_x": all_rows["Tx_UTM_X"].to_numpy(),
        "transmitter_y": all_rows["Tx_UTM_Y"].to_numpy(),
        "transmitter_height": all_rows["Tx_UTM_Z"].to_numpy(),
        "transmitter_ground": np.zeros(len(all_rows)),
        "azimuth": np.full(len(all_rows), np.nan),
        "frequency": np.full(len(all_rows), frequency),
        "heard": names,
        "mast": names,
    }
    return _samples(parts, "simulated: rays, ITU AI/ML in 5G challenge, Tokyo")


def generated_streets(*, transmitters: int, seed: int, spacing: float = 10.0) -> xr.Dataset:
    """Losses on a grid of streets between blocks of houses, by a recipe, in the form of `read_streets`.

    Blocks of 60 m between streets of 20 m, one in six of them an open place; the transmitters, a few metres above a
    street, are heard within 300 m. The loss is that of free space plus 0.25 dB for each metre that the straight path
    runs through houses (at most 35 dB), plus 3 dB of noise.

    Parameters
    ----------
    transmitters : int
    seed : int
    spacing : float [m]
        Of the receivers.

    Returns
    -------
    Dataset (sample)

    Errors
    ------
    TwinError
        Fewer than two transmitters.

    Examples
    --------
    >>> made = generated_streets(transmitters=3, seed=1)
    >>> sorted(set(made.mast.values)), made.attrs["provenance"]
    (['0', '1', '2'], 'generated: seed 1, streets between blocks')
    """
    if transmitters < 2:
        raise TwinError("two transmitters or more", found=str(transmitters), hint="transmitters=5")
    rng = np.random.default_rng(whole_seed(seed))
    open_place = rng.random((40, 40)) < 1 / 6

    def house(east: Any, north: Any) -> Any:
        return (east % 80 >= 20) & (north % 80 >= 20) & ~open_place[(north // 80).astype(int), (east // 80).astype(int)]

    rows = []
    for name in range(transmitters):
        tx, ty = 80.0 * rng.integers(8, 32) + 10.0, 80.0 * rng.integers(8, 32) + rng.uniform(0, 80)
        east, north = np.meshgrid(*(v - v % spacing + np.arange(-300, 301, spacing) for v in (tx, ty)))
        east, north = east.ravel(), north.ravel()
        street = ~house(east, north)
        east, north = east[street], north[street]
        share = (np.arange(100) + 0.5) / 100
        through = house(tx + np.outer(east - tx, share), ty + np.outer(north - ty, share)).mean(axis=1)
        ground = np.hypot(east - tx, north - ty)
        away = np.hypot(ground, 28.5)
        loss = 20 * np.log10(away) + 20 * np.log10(8e8) - 147.55 + np.minimum(0.25 * through * ground, 35.0)
        rows.append(
            pd.DataFrame({"x": east, "y": north, "path_loss": loss + rng.normal(0, 3, len(east))}).assign(
                transmitter_x=tx, transmitter_y=ty, mast=str(name)
            )
        )
    table = pd.concat(rows, ignore_index=True)
    count = len(table)
    fixed = {"ground_height": 0.0, "transmitter_height": 30.0, "transmitter_ground": 0.0, "azimuth": np.nan}
    parts = {n: table[n].to_numpy() for n in ("x", "y", "path_loss", "transmitter_x", "transmitter_y")}
    parts |= {n: np.full(count, v) for n, v in (fixed | {"frequency": 8e8}).items()}
    parts |= {n: table["mast"].to_numpy(dtype=object) for n in ("heard", "mast")}
    return _samples(parts, f"generated: seed {seed}, streets between blocks")


# ---------------------------------------------------------------- parts


def _great_circle(longitude: Any, latitude: Any, other_longitude: float, other_latitude: float) -> np.ndarray:
    a, b, c, d = (np.radians(v) for v in (longitude, latitude, other_longitude, other_latitude))
    half = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    return np.asarray(2 * EARTH * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def _field(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, deviation: float) -> np.ndarray:
    """Smooth shadowing of 120 m, from random waves."""
    number = np.sqrt(np.maximum((1 - rng.random(400)) ** -2 - 1, 0)) / 120.0
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 400))
    waves = np.cos(np.outer(x, number * np.cos(angle)) + np.outer(y, number * np.sin(angle)) + phase)
    return np.asarray(deviation * np.sqrt(2 / 400) * waves.sum(axis=1))


def _drive(samples: Mapping[str, Any], masts: Mapping[str, Any], names: np.ndarray, provenance: str) -> xr.Dataset:
    parts: dict[str, Any] = {}
    for dim, columns in (("sample", samples), ("transmitter", masts)):
        for name, values in columns.items():
            plain = np.asarray(values)
            plain = plain.astype(object) if name == "heard" else plain.astype(float)
            parts[name] = (dim, plain, {"units": UNITS.get(name, "degree")} if name != "heard" else {})
    return xr.Dataset(parts, {"transmitter": names}, {"provenance": provenance})


def _samples(parts: Mapping[str, Any], provenance: str) -> xr.Dataset:
    made = {n: ("sample", v, {"units": UNITS[n]} if n in UNITS else {}) for n, v in parts.items()}
    return xr.Dataset(made, attrs={"provenance": provenance})


def _table(path: Path, mark: str, needed: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep=mark)
    except FileNotFoundError:
        raise TwinError(
            "a table of a drive test", found="none", hint="give the folder that holds it", where=path.name
        ) from None
    except (OSError, ValueError, UnicodeDecodeError) as fault:
        raise TwinError(
            "a table of a drive test", found=str(fault).splitlines()[0], hint="get it again", where=path.name
        ) from None
    missing = [c for c in needed if c not in table]
    if missing:
        raise TwinError(
            f"columns {', '.join(needed)}", found=f"no '{missing[0]}'", hint="look at its first line", where=path.name
        )
    kept = table[needed]
    if kept.isna().any().any():
        bad = str(kept.columns[kept.isna().any()][0])
        raise TwinError("a number in every row", found=f"none in '{bad}'", hint="drop those rows", where=path.name)
    return kept
