"""A physical path loss model corrected by measurements: how much by them, and how sure away from them.

A line for each transmitter takes up what its power and antenna are off by. What remains is learned twice, by boosted
trees on where the receiver stands as the antenna sees it and by a Gaussian process over the place, and averaged. The
process also says how far the measurements are: intervals are its deviation, stretched to the errors in blocks left out.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError
from twinkit.learn import DomainWarning, bootstrap, by_block, by_group, calibrated, rmse
from twinkit.radio.measured import generated_drive, read_drive, repaired

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twinkit.learn import Margin

__all__ = ["Calibration", "calibrate", "calibrated_loss", "drive_scores"]

NEEDED = (
    *("x", "y", "ground_height", "path_loss", "transmitter_x", "transmitter_y", "transmitter_height"),
    *("transmitter_ground", "azimuth", "frequency", "heard", "mast"),
)

QUANTILE = (0.05, 0.5, 0.95)

NEAREST = 10.0
"""Distance [m] below which the line stays level."""

# Deviation [dB] and reach of what the process knows: of the place whoever sends, of the place and one mast, of the
# place and one transmitter, of the direction (in units of a quarter decade, 1 rad off boresight, 4 degree elevation).
PLACE, MAST, ASPECT, OWN, NOISE = (5.0, 100.0), (6.0, 200.0), (8.0, 1.5), (3.0, 300.0), 6.0

MOST = 2000
"""Measurements that the process keeps."""

LEAST_MASTS = 3

FAR = 3.0
"""Beyond so many times the extent of the measurements, a receiver stands in another town."""


@dataclass(frozen=True)
class Calibration:
    """A path loss model corrected by measurements; `calibrate` makes one.

    Attributes
    ----------
    path_loss : function
        ``path_loss(distance, *, frequency, transmitter_height, receiver_height)`` [dB], the physical model on the line
        of all transmitters: what `coverage` takes, wherever the masts are.
    lines : dict of str to (float, float)
        Of each transmitter, what is added: at 1 m [dB], and for each factor of ten in distance.
    transfer : float [1]
        How much of the correction a mast that was never measured gets, as it proved right among the masts measured:
        0 where fewer than three were, because then nothing can tell.
    margin : learn.Margin
        In units of the process' deviation.
    """

    path_loss: Callable[..., Any]
    lines: dict[str, tuple[float, float]]
    transfer: float
    margin: Margin | None
    physical: Callable[..., Any] = field(repr=False)
    trees: Any = field(repr=False)
    process: Any = field(repr=False)
    rows: Any = field(repr=False)

    def loss(self, rows: xr.Dataset) -> xr.DataArray:
        """Loss at receivers, with quantiles that widen away from the measurements.

        Parameters
        ----------
        rows : Dataset (sample)
            As the measurements, without ``path_loss``; a transmitter (``heard``) or mast never measured is told apart.

        Returns
        -------
        DataArray (quantile, sample) [dB]
            With a `DomainWarning` where receivers stand in another town.

        Errors
        ------
        TwinError
            A variable is missing or another unit is stated.
        """
        table = _rows(rows, asked=tuple(n for n in NEEDED if n != "path_loss"))
        _warn_far(self.process.seen, table)
        mean, deviation = _said(self, table)
        if self.margin is None:
            raise TwinError("a calibration with its margin", found="none", hint="use calibrate", where="calibration")
        out = self.margin.around(xr.DataArray(mean, dims="sample"), spread=xr.DataArray(deviation, dims="sample"))
        # the errors' median is that of measured masts: one never measured keeps the line of all as its middle
        new = ~table["mast"].isin(self.rows).to_numpy()
        out = out - xr.where(xr.DataArray(new, dims="sample"), out.sel(quantile=0.5, drop=True) - mean, 0.0)
        return out.rename("path_loss").assign_attrs(units="dB", provenance="modelled: calibrated by measurements")


def calibrate(
    measurements: xr.Dataset, *, path_loss: Callable[..., Any], block: float = 300.0, seed: int
) -> Calibration:
    r"""A path loss model corrected by measurements, with intervals that widen away from them.

    .. math:: L = L_{model} + a_s + b_s \log_{10} d + \tfrac12 (g_{trees} + g_{process}), \qquad
        L_q = L + s\, r_q

    s is the deviation of the Gaussian process, r the errors over s in blocks that were left out (split conformal).

    Parameters
    ----------
    measurements : Dataset (sample)
        As `repaired` gives it: check positions before you learn from them.
    path_loss : function
        The physical model [dB]: of ``distance`` and, where it asks, ``frequency``, ``transmitter_height``,
        ``receiver_height`` or ``ground_distance``.
    block : float [m]
        Edge of the blocks that are left out together to learn how large errors are.
    seed : int

    Returns
    -------
    Calibration

    Validity
    --------
    Within the measurements' band and kind of place. Near them (some 100 m) it knows the place; away from them it falls
    back to the physical model on its line, with the full deviation of the town. A new mast gets as much of the
    correction as masts left out have shown to be right.

    Errors
    ------
    TwinError
        Fewer than 100 measurements, missing values, losses outside 20 to 300 dB, one block alone, or a model that asks
        for what a measurement does not tell.

    Examples
    --------
    >>> from twinkit.radio import free_space
    >>> drive = repaired(generated_drive(points=200, seed=1))
    >>> town = calibrate(drive, path_loss=free_space, seed=1)
    >>> said = town.loss(drive)
    >>> inside = (drive.path_loss > said[0]) & (drive.path_loss < said[2])
    >>> bool(inside.mean() > 0.9)
    True

    What coverage takes, and how far it is from free space at 1 km in this town:

    >>> like = {"frequency": 1.8e9, "transmitter_height": 40.0, "receiver_height": 1.5}
    >>> 15 < float(town.path_loss(1000.0, **like) - free_space(1000.0, frequency=1.8e9)) < 45
    True

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, equations (2.25) and (2.26); the intervals:
    Lei et al. (2018), as `tk.learn.calibrated`.
    """
    whole_seed(seed)
    within(block, 10.0, 1e5, name="block", unit="m")
    table = _rows(measurements)
    if len(table) < 100:
        raise TwinError("100 measurements or more", found=str(len(table)), hint="drive on", where="measurements")
    folds = by_block(table["x"], table["y"], size=block, folds=_folds(table, block), groups=table["mast"], seed=seed)
    mean, deviation = np.empty(len(table)), np.empty(len(table))
    for fold in folds:
        part = _fitted(table.iloc[fold.train], path_loss, seed=seed)
        mean[fold.test], deviation[fold.test] = _said(part, table.iloc[fold.test])
    margin = calibrated(table["path_loss"].to_numpy(), mean, quantile=QUANTILE, spread=deviation)
    whole = _fitted(table, path_loss, seed=seed)
    return Calibration(
        whole.path_loss, whole.lines, whole.transfer, margin, whole.physical, whole.trees, whole.process, whole.rows
    )


@contract(
    reads=[
        *("sites/x", "sites/y", "sites/height", "cells/site", "cells/azimuth", "cells/frequency"),
        "surface/ground_height",
    ],
    gives=["path_loss"],
    computes=True,
)
def calibrated_loss(twin: xr.DataTree, *, calibration: Calibration) -> xr.DataArray:
    """Loss from each cell to each pixel, with quantiles that widen away from the measurements.

    Parameters
    ----------
    twin : DataTree
        In the plane of the measurements. A site of the same id as a measured mast, and a cell of the same id as a
        measured transmitter, have their corrections; others get the line of all, and the widest intervals.
    calibration : Calibration

    Returns
    -------
    DataArray (quantile, cell, y, x) [dB]

    Validity
    --------
    As `calibrate`. For maps of coverage wherever masts stand: ``coverage(twin, path_loss=calibration.path_loss)``.

    Errors
    ------
    TwinError
        A cell of no site, or no calibration.

    Examples
    --------
    >>> from twinkit import assemble
    >>> from twinkit.radio import free_space
    >>> town = calibrate(repaired(generated_drive(points=200, seed=1)), path_loss=free_space, seed=1)
    >>> sites = xr.Dataset(
    ...     {"x": ("site", [-350.0]), "y": ("site", [250.0]), "height": ("site", [41.0])}, {"site": ["A"]}
    ... )
    >>> cells = xr.Dataset(
    ...     {"site": ("cell", ["A"]), "azimuth": ("cell", [220.0]), "frequency": ("cell", [1.8e9])}, {"cell": ["A"]}
    ... )
    >>> line = np.arange(0.0, 6000.0, 1000.0)
    >>> ground = xr.Dataset({"ground_height": (("y", "x"), np.zeros((1, 6)))}, {"y": [250.0], "x": line})
    >>> twin = assemble({"sites": sites, "cells": cells, "surface": ground}, title="one mast", crs="EPSG:32725")
    >>> said = calibrated_loss(twin, calibration=town)
    >>> width = (said.sel(quantile=0.95) - said.sel(quantile=0.05)).squeeze()
    >>> bool(width[0] < width[5])
    True
    """
    if not isinstance(calibration, Calibration):
        raise TwinError("a calibration", found=f"a {type(calibration).__name__}", hint="tk.radio.calibrate(...)")
    sites, cells, surface = (
        twin.children[n].to_dataset(inherit=False).compute() for n in ("sites", "cells", "surface")
    )
    place = pd.Index(sites["site"].to_numpy().astype(str)).get_indexer(cells["site"].to_numpy().astype(str))
    if (place < 0).any():
        raise TwinError(
            "cells of known sites",
            found=f"'{cells['site'].to_numpy()[place < 0][0]}'",
            hint="add it",
            where="cells/site",
        )
    ground = surface["ground_height"].transpose("y", "x")
    y, x = np.meshgrid(ground["y"], ground["x"], indexing="ij")
    floor = np.nan_to_num(ground.to_numpy().astype(float))
    names = cells["cell"].to_numpy().astype(str) if "cell" in cells.coords else np.arange(len(place)).astype(str)
    layers = []
    for k, at in enumerate(place):
        mast = sites.isel(site=int(at))
        east, north = float(mast["x"]), float(mast["y"])
        below = floor[abs(ground["y"].to_numpy() - north).argmin(), abs(ground["x"].to_numpy() - east).argmin()]
        fixed = {"transmitter_x": east, "transmitter_y": north, "transmitter_height": float(mast["height"])}
        fixed |= {"transmitter_ground": below, "azimuth": float(cells["azimuth"][k])}
        fixed |= {"frequency": float(cells["frequency"][k])}
        table = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "ground_height": floor.ravel()}).assign(
            **fixed, heard=names[k], mast=str(mast["site"].to_numpy())
        )
        rows = xr.Dataset({n: ("sample", table[n].to_numpy()) for n in table})
        layers.append(calibration.loss(rows).to_numpy().reshape(-1, *ground.shape))
    axes = {"quantile": list(QUANTILE), "cell": cells["cell"], "y": ground["y"], "x": ground["x"]}
    kept = {n: c for n, c in axes.items() if not isinstance(c, xr.DataArray) or n in c.coords or n in ground.coords}
    out = xr.DataArray(np.stack(layers, axis=1), kept, ("quantile", "cell", "y", "x"))
    out = out.where(np.isfinite(ground.to_numpy()))
    return out.assign_attrs(provenance="modelled: twinkit.radio.calibrate, card propagation_drive")


# ---------------------------------------------------------------- rows


def _folds(table: pd.DataFrame, block: float) -> int:
    count = len(set(zip(table["x"] // block, table["y"] // block, strict=True)))
    if count < 2:
        raise TwinError("measurements in two blocks or more", found="one", hint=f"a block below {block:g} m")
    return min(5, count)


def _rows(measurements: xr.Dataset, asked: tuple[str, ...] = NEEDED) -> pd.DataFrame:
    if not isinstance(measurements, xr.Dataset):
        raise TwinError(
            "measurements as a Dataset", found=f"a {type(measurements).__name__}", hint="tk.radio.repaired(drive)"
        )
    from twinkit.radio.measured import UNITS

    missing = [n for n in asked if n not in measurements]
    if missing:
        raise TwinError(
            f"measurements with {', '.join(asked)}", found=f"no '{missing[0]}'", hint="see tk.radio.repaired"
        )
    for name in asked:
        said = measurements[name].attrs.get("units", UNITS.get(name))
        if said != UNITS.get(name):
            raise TwinError(f"{name} in {UNITS[name]}", found=f"unit '{said}'", hint="convert it", where=name)
    table = pd.DataFrame({n: measurements[n].to_numpy() for n in asked})
    for name in asked:
        if name in ("heard", "mast"):
            table[name] = table[name].astype(str)
        elif name != "azimuth" and not np.isfinite(table[name].to_numpy(float)).all():
            raise TwinError("a number in every row", found="a missing one", hint="drop those rows", where=name)
    if "path_loss" in asked:
        within(table["path_loss"].to_numpy(float), 20.0, 300.0, name="path_loss", unit="dB")
    return table


def _seen(table: pd.DataFrame) -> pd.DataFrame:
    """Where a receiver stands, as the antenna sees it."""
    east, north = table["x"] - table["transmitter_x"], table["y"] - table["transmitter_y"]
    ground = np.hypot(east, north)
    rise = table["transmitter_ground"] + table["transmitter_height"] - table["ground_height"] - 1.5
    off = (np.degrees(np.arctan2(east, north)) - table["azimuth"] + 180) % 360 - 180
    return pd.DataFrame(
        {
            "log_distance": np.log10(np.maximum(np.hypot(ground, rise), NEAREST)),
            "elevation": np.degrees(np.arctan2(rise, np.maximum(ground, 1.0))),
            "ground_height": table["ground_height"],
            "height": table["transmitter_height"],
            "off": off,
            "beside": off.abs(),
            "x": table["x"],
            "y": table["y"],
        }
    ).reset_index(drop=True)


def _warn_far(seen: pd.DataFrame, table: pd.DataFrame) -> None:
    """Whoever asks of another town is told so; the interval is that of the whole deviation."""
    outside = np.zeros(len(table))
    extent = 0.0
    for axis in ("x", "y"):
        low, high = float(seen[axis].min()), float(seen[axis].max())
        at = table[axis].to_numpy(float)
        outside = np.maximum(outside, np.maximum(low - at, at - high))
        extent = max(extent, high - low)
    far = outside > FAR * max(extent, 1.0)
    if far.any():
        warnings.warn(
            f"{int(far.sum())} of {len(table)} receivers stand far outside of the measurements, the farthest "
            f"{outside.max() / 1e3:.3g} km: there the physical model speaks, on this town's line",
            DomainWarning,
            stacklevel=3,
        )


def _physical(path_loss: Callable[..., Any], table: pd.DataFrame) -> np.ndarray:
    """The physical model at each row."""
    try:
        asked = inspect.signature(path_loss).parameters
    except (TypeError, ValueError):
        raise TwinError("a path loss function", found=repr(path_loss), hint="tk.radio.uma", where="path_loss") from None
    ground = np.hypot(table["x"] - table["transmitter_x"], table["y"] - table["transmitter_y"]).to_numpy(float)
    rise = (table["transmitter_ground"] + table["transmitter_height"] - table["ground_height"] - 1.5).to_numpy(float)
    given: dict[str, Any] = {
        "distance": np.maximum(np.hypot(ground, rise), NEAREST),
        "ground_distance": np.maximum(ground, NEAREST),
        "frequency": table["frequency"].to_numpy(float),
        "transmitter_height": table["transmitter_height"].to_numpy(float),
        "receiver_height": 1.5,
    }
    unknown = [n for n, p in asked.items() if n not in given and p.default is p.empty]
    if unknown:
        raise TwinError(
            f"a path loss of {', '.join(given)}",
            found=f"'{unknown[0]}'",
            hint="set it by functools.partial",
            where="path_loss",
        )
    for name, (low, high) in getattr(path_loss, "valid", {}).items():
        if name in ("distance", "ground_distance"):
            given[name] = np.clip(given[name], low, high)
    loss = np.asarray(path_loss(**{n: v for n, v in given.items() if n in asked}), float)
    if not np.isfinite(loss).all():
        raise TwinError(
            "a loss at every measurement", found="none at some", hint="take another model", where="path_loss"
        )
    return np.broadcast_to(loss, (len(table),)).copy()


# ---------------------------------------------------------------- the correction


def _line(log_distance: np.ndarray, off: np.ndarray) -> tuple[float, float]:
    """Start and slope by least squares."""
    design = np.stack([np.ones(len(off)), log_distance], axis=1)
    found, *_ = np.linalg.lstsq(design, off, rcond=None)
    return float(found[0]), float(found[1])


def _lined(lines: dict[str, tuple[float, float]], heard: np.ndarray, log_distance: np.ndarray) -> np.ndarray:
    start, slope = np.array([lines.get(h, lines[""]) for h in heard]).T
    return np.asarray(start + slope * log_distance)


def _fitted(table: pd.DataFrame, path_loss: Callable[..., Any], *, seed: int, nested: bool = True) -> Calibration:
    table = table.reset_index(drop=True)
    seen = _seen(table)
    off = table["path_loss"].to_numpy(float) - _physical(path_loss, table)
    log_distance, heard = seen["log_distance"].to_numpy(), table["heard"].to_numpy()
    lines = {"": _line(log_distance, off)}
    for name in np.unique(heard):
        own = heard == name
        if own.sum() >= 20 and np.ptp(log_distance[own]) > 0.2:
            lines[str(name)] = _line(log_distance[own], off[own])
    rest = off - _lined({"": lines[""]}, heard, log_distance)
    trees = _trees(seen, heard, rest, seed=seed)
    kept = np.random.default_rng(seed).permutation(len(table))[:MOST]
    process = _process(seen.iloc[kept], table.iloc[kept], (off - _lined(lines, heard, log_distance))[kept])
    start, slope = lines[""]

    def everywhere(distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any) -> Any:
        given = {"distance": distance, "ground_distance": distance, "frequency": frequency}
        given |= {"transmitter_height": transmitter_height, "receiver_height": receiver_height}
        asked = inspect.signature(path_loss).parameters
        loss = path_loss(**{n: v for n, v in given.items() if n in asked})
        return loss + start + slope * np.log10(np.maximum(distance, NEAREST))

    made = Calibration(everywhere, lines, 0.0, None, path_loss, trees, process, set(table["mast"]))
    masts = np.unique(table["mast"])
    if not nested or len(masts) < LEAST_MASTS:
        return made
    # as much of the correction as was right at masts left out
    together = both = 0.0
    for fold in by_group(table["mast"].to_numpy()):
        part = _fitted(table.iloc[fold.train], path_loss, seed=seed, nested=False)
        asked_rows = table.iloc[fold.test]
        view = _seen(asked_rows)
        base = _physical(path_loss, asked_rows) + _lined(part.lines, np.array([""] * len(view)), view["log_distance"])
        shift = _shift(part, asked_rows, view)[0]
        together += float(shift @ (asked_rows["path_loss"].to_numpy(float) - base))
        both += float(shift @ shift)
    transfer = float(np.clip(together / both, 0.0, 1.0)) if both > 0 else 0.0
    return Calibration(everywhere, lines, transfer, None, path_loss, trees, process, made.rows)


def _trees(seen: pd.DataFrame, heard: np.ndarray, rest: np.ndarray, *, seed: int) -> Any:
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        raise TwinError(
            "scikit-learn", found="none", hint="pip install 'twinkit[learn]'", where="radio.calibrate"
        ) from None
    names = np.unique(heard)
    model = HistGradientBoostingRegressor(
        max_iter=100,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=min(60, max(5, len(rest) // 20)),
        early_stopping=False,
        random_state=seed,
    ).fit(_coded(seen, heard, names), rest)
    return model, names


def _coded(seen: pd.DataFrame, heard: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Features with the transmitter's number; NaN for one that was never measured."""
    code = pd.Index(names).get_indexer(heard).astype(float)
    return np.column_stack([seen.to_numpy(float), np.where(code < 0, np.nan, code)])


@dataclass(frozen=True)
class _Process:
    """A Gaussian process conditioned on measurements."""

    seen: pd.DataFrame
    heard: np.ndarray
    mast: np.ndarray
    factor: np.ndarray
    weight: np.ndarray


def _process(seen: pd.DataFrame, table: pd.DataFrame, rest: np.ndarray) -> _Process:
    from scipy.linalg import cho_solve, cholesky

    heard, mast = table["heard"].to_numpy(), table["mast"].to_numpy()
    about = _covariance(seen, heard, mast, seen, heard, mast)
    about[np.diag_indices(len(rest))] += NOISE**2
    factor = cholesky(about, lower=True)
    return _Process(seen, heard, mast, factor, cho_solve((factor, True), rest))


def _matern(distance: np.ndarray) -> np.ndarray:
    a = np.sqrt(3) * distance
    return np.asarray((1 + a) * np.exp(-a))


def _covariance(a: Any, heard_a: Any, mast_a: Any, b: Any, heard_b: Any, mast_b: Any) -> np.ndarray:
    def apart(name: str) -> np.ndarray:
        return np.asarray(a[name].to_numpy()[:, None] - b[name].to_numpy()[None, :])

    away = np.hypot(apart("x"), apart("y"))
    # an antenna without boresight looks everywhere alike
    off = np.nan_to_num(2 * np.sin(np.radians(apart("off")) / 2))
    aspect = (apart("log_distance") / 0.25) ** 2 + off**2 + (apart("elevation") / 4) ** 2
    out = PLACE[0] ** 2 * _matern(away / PLACE[1])
    out += MAST[0] ** 2 * _matern(away / MAST[1]) * (mast_a[:, None] == mast_b[None, :])
    out += OWN[0] ** 2 * _matern(away / OWN[1]) * (heard_a[:, None] == heard_b[None, :])
    return np.asarray(out + ASPECT[0] ** 2 * np.exp(-0.5 * aspect / ASPECT[1] ** 2))


def _shift(fitted: Calibration, table: pd.DataFrame, seen: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What trees and process add to the line of all, and the deviation that the process leaves."""
    from scipy.linalg import solve_triangular

    heard, mast = table["heard"].to_numpy(), table["mast"].to_numpy()
    trees, names = fitted.trees
    boosted = trees.predict(_coded(seen, heard, names))
    process, prior = fitted.process, PLACE[0] ** 2 + MAST[0] ** 2 + OWN[0] ** 2 + ASPECT[0] ** 2
    mean, variance = np.empty(len(table)), np.empty(len(table))
    for begin in range(0, len(table), 4000):
        at = slice(begin, begin + 4000)
        cross = _covariance(seen.iloc[at], heard[at], mast[at], process.seen, process.heard, process.mast)
        mean[at] = cross @ process.weight
        told = solve_triangular(process.factor, cross.T, lower=True, check_finite=False)
        variance[at] = prior - (told**2).sum(axis=0)
    log_distance = seen["log_distance"].to_numpy()
    own = _lined(fitted.lines, heard, log_distance) - _lined({"": fitted.lines[""]}, heard, log_distance)
    shift = 0.5 * (boosted + own + mean)
    return shift, np.sqrt(np.maximum(variance, 0.0) + NOISE**2)


def _said(fitted: Calibration, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Loss and deviation at some rows."""
    seen = _seen(table)
    log_distance = seen["log_distance"].to_numpy()
    base = _physical(fitted.physical, table) + _lined({"": fitted.lines[""]}, table["heard"].to_numpy(), log_distance)
    shift, deviation = _shift(fitted, table, seen)
    known = table["mast"].isin(fitted.rows).to_numpy()
    # the part of the correction that a mast never measured is not trusted with counts as what is not known
    unused = np.where(known, 0.0, 1 - fitted.transfer) * shift
    return base + shift - unused, np.hypot(deviation, unused)


# ---------------------------------------------------------------- the numbers of the card


def drive_scores(folder: Path | None) -> dict[str, Any]:
    """The numbers of the card ``propagation_drive``: blocks and masts left out of a drive test.

    Parameters
    ----------
    folder : path or None
        That holds ``recife-gsm``; None for a generated drive.

    Returns
    -------
    dict of str to float or Estimate
        Errors [dB] and shares [1]; intervals draw whole blocks.

    Examples
    --------
    >>> drive_scores.__name__
    'drive_scores'
    """
    from twinkit.learn import block
    from twinkit.radio.free_space import free_space

    drive = repaired(generated_drive(points=300, seed=5) if folder is None else read_drive(folder / "recife-gsm"))
    table = _rows(drive)
    truth, blocks = table["path_loss"].to_numpy(float), block(table["x"], table["y"], size=300.0)
    folds = by_block(table["x"], table["y"], size=300.0, folds=5, groups=table["mast"], seed=0)
    found: dict[str, Any] = {"repaired_stations": float(len([r for r in drive.attrs["repairs"].split(";") if r]))}
    mean, line, inside, wide = (np.empty(len(table)) for _ in range(4))
    for fold in folds:
        train = drive.isel(sample=fold.train)
        made = calibrate(train, path_loss=free_space, seed=0)
        asked = table.iloc[fold.test]
        said = made.loss(drive.isel(sample=fold.test)).to_numpy()
        mean[fold.test] = _said(made, asked)[0]
        inside[fold.test] = (truth[fold.test] >= said[0]) & (truth[fold.test] <= said[2])
        wide[fold.test] = said[2] - said[0]
        line[fold.test] = _physical(free_space, asked) + _lined(
            made.lines, asked["heard"].to_numpy(), _seen(asked)["log_distance"].to_numpy()
        )
    found["rmse_blocks"] = bootstrap(rmse, truth, mean, groups=blocks, draws=500)
    found["rmse_blocks_log_distance"] = bootstrap(rmse, truth, line, groups=blocks, draws=500)
    found["less_than_log_distance"] = 1 - found["rmse_blocks"].value / found["rmse_blocks_log_distance"].value
    found["coverage_blocks"] = bootstrap(lambda i: float(np.mean(i)), inside, groups=blocks, draws=500)
    found["width_blocks"] = float(wide.mean())
    new, old = np.empty(len(table)), np.empty(len(table))
    for fold in by_group(table["mast"].to_numpy()):
        made = calibrate(drive.isel(sample=fold.train), path_loss=free_space, seed=0)
        asked = table.iloc[fold.test]
        said = made.loss(drive.isel(sample=fold.test)).to_numpy()
        new[fold.test] = _said(made, asked)[0]
        inside[fold.test] = (truth[fold.test] >= said[0]) & (truth[fold.test] <= said[2])
        wide[fold.test] = said[2] - said[0]
        nobody = np.array([""] * len(asked))
        old[fold.test] = _physical(free_space, asked) + _lined(
            made.lines, nobody, _seen(asked)["log_distance"].to_numpy()
        )
    found["rmse_new_mast"] = rmse(truth, new)
    found["rmse_new_mast_log_distance"] = rmse(truth, old)
    found["coverage_new_mast"] = float(inside.mean())
    found["width_new_mast"] = float(wide.mean())
    return found
