"""Terrain on a raster, checked once and laid out for the kernels; and the path between two of its points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError
from twinkit.radio.itu1812.profile import COASTAL, INLAND, LEAST_LENGTH, MOST_LENGTH, SEA_ZONE, profile

__all__ = ["WHY", "Raster", "on_terrain", "raster", "terrain_profile"]

WHY = "ITU-R P.1812-8, section 1"


@dataclass(frozen=True)
class Raster:
    """Terrain as the kernels read it, see `raster`.

    Attributes
    ----------
    x, y : array [m]
        Pixel centres, ascending.
    ground, turned : flat float32 or float64 [m]
        Rows from south to north, and the same by columns.
    clutter : flat array of the same type [m]
        Empty where there is none.
    zone : flat int8
        One element where one zone holds everywhere.
    """

    x: np.ndarray
    y: np.ndarray
    pixel: float
    ground: np.ndarray
    turned: np.ndarray
    clutter: np.ndarray
    zone: np.ndarray

    def place(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Positions [m] in pixels."""
        return (x - self.x[0]) / self.pixel, (y - self.y[0]) / self.pixel

    def precise(self) -> Raster:
        """The same in float64."""
        return replace(
            self, ground=self.ground.astype(float), turned=self.turned.astype(float), clutter=self.clutter.astype(float)
        )


def raster(surface: xr.Dataset, *, zone: Any = None) -> Raster:
    """Terrain prepared for `exact` and `sweep`: checked, in rows and in columns; do it once for many transmitters.

    Parameters
    ----------
    surface : Dataset (y, x)
        ``ground_height`` [m] and, where there is one, ``clutter_height`` [m] and ``zone`` (1 sea, 3 coastal land,
        4 inland); y and x ascending, in metres of a projected CRS, of one spacing.
    zone : int, optional
        One zone for all of it, in place of ``zone``; inland where neither is given.

    Returns
    -------
    Raster

    Errors
    ------
    TwinError
        Axes that are not evenly spaced, no ground height, voids, or a zone that does not exist.

    Examples
    --------
    >>> flat = xr.Dataset({"ground_height": (("y", "x"), np.zeros((3, 4)))}, {"y": [0, 30, 60], "x": [0, 30, 60, 90]})
    >>> raster(flat).pixel
    30.0
    """
    if not isinstance(surface, xr.Dataset) or "ground_height" not in surface:
        raise TwinError(
            "a Dataset with ground_height on y, x",
            found=type(surface).__name__ if not isinstance(surface, xr.Dataset) else ", ".join(map(str, surface)),
            hint='pass twin["surface"].to_dataset(), or name the variable ground_height',
            where="surface",
        )
    x, y = _axis(surface, "x"), _axis(surface, "y")
    pixel, other = (x[-1] - x[0]) / (x.size - 1), (y[-1] - y[0]) / (y.size - 1)
    if abs(pixel - other) > 1e-6 * pixel:
        raise TwinError(
            "the same spacing along x and y", found=f"{pixel:g} m and {other:g} m", hint="resample it", where="surface"
        )
    ground = _heights(surface, "ground_height", -500.0, 9000.0)
    empty = np.empty(0, np.float32)
    clutter = _heights(surface, "clutter_height", 0.0, 500.0).ravel() if "clutter_height" in surface else empty
    if clutter.size and not clutter.any():
        clutter = empty
    zones = np.full(1, INLAND if zone is None else zone, np.int8)
    if zone is None and "zone" in surface:
        zones = np.ascontiguousarray(surface["zone"].transpose("y", "x").to_numpy()).astype(np.int8).ravel()
        if (zones == zones[0]).all():
            zones = zones[:1]
    if not np.isin(zones, (SEA_ZONE, COASTAL, INLAND)).all():
        raise TwinError(
            "zones 1 (sea), 3 (coastal land) or 4 (inland)",
            found=f"{np.setdiff1d(zones, (1, 3, 4))[0]}",
            hint="translate other codes first",
            where="zone",
        )
    return Raster(x, y, float(pixel), ground.ravel(), np.ascontiguousarray(ground.T).ravel(), clutter, zones)


def _axis(surface: xr.Dataset, name: str) -> np.ndarray:
    if name not in surface.coords or surface[name].ndim != 1 or surface.sizes[name] < 2:
        raise TwinError(
            f"an axis {name} of at least two pixels",
            found="none",
            hint=f"give pixel centres as {name}",
            where="surface",
        )
    axis = surface[name].to_numpy().astype(float)
    steps = np.diff(axis)
    if not (steps > 0).all() or np.ptp(steps) > 1e-6 * abs(steps[0]):
        raise TwinError(
            f"{name} ascending and evenly spaced",
            found=f"steps of {steps.min():g} to {steps.max():g} m",
            hint=f"sort it with sortby('{name}'), or resample it",
            where=f"surface/{name}",
        )
    return axis


def _heights(surface: xr.Dataset, name: str, low: float, high: float) -> np.ndarray:
    array = np.ascontiguousarray(surface[name].transpose("y", "x").to_numpy())
    if array.dtype != np.float64:
        array = array.astype(np.float32, copy=False)
    least, most = float(array.min()), float(array.max())
    if not (low <= least and most <= high):  # NaN fails too
        bad = ~((array >= low) & (array <= high))
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise TwinError(
            f"{name} between {low:g} and {high:g} m at every pixel",
            found=f"{bad.sum()} of {bad.size} pixels outside: {array[row, column]:g} at row {row}, column {column}",
            hint="fill the voids first",
            where=f"surface/{name}",
        )
    return array


def terrain_profile(
    surface: xr.Dataset | Raster,
    *,
    transmitter: tuple[float, float],
    receiver: tuple[float, float],
    step: float = 30.0,
) -> xr.Dataset:
    """The path between two points of a surface, as `p1812` reads it and as `exact` samples it.

    Parameters
    ----------
    surface : Dataset (y, x) or Raster
    transmitter, receiver : (x, y) [m]
        In the CRS of the surface.
    step : float [m]
        Longest distance between two points; there are ceil(d / step) equal ones.

    Returns
    -------
    Dataset (distance)
        From `profile`: ground_height [m] (bilinear), clutter_height [m] and zone (of the nearest pixel).

    Errors
    ------
    TwinError
        A point off the terrain, or a path outside 250 m to 3000 km.

    Examples
    --------
    >>> axis = np.arange(0.0, 3001.0, 30.0)
    >>> ramp = xr.Dataset({"ground_height": (("y", "x"), axis / 10 * np.ones((101, 1)))}, {"y": axis, "x": axis})
    >>> path = terrain_profile(ramp, transmitter=(0, 1000), receiver=(2000, 1000), step=500)
    >>> path.ground_height.values
    array([  0.,  50., 100., 150., 200.])

    References
    ----------
    ITU-R P.1812-8, section 3.2.
    """
    terrain = surface if isinstance(surface, Raster) else raster(surface)
    within(step, 1.0, 1e5, name="step", unit="m")
    (tx, ty), (rx, ry) = transmitter, receiver
    for name, (px, py) in (("transmitter", transmitter), ("receiver", receiver)):
        on_terrain(terrain, np.array([px], float), np.array([py], float), name)
    length = math.hypot(rx - tx, ry - ty)
    within(length, LEAST_LENGTH, MOST_LENGTH, name="path", unit="m", why=WHY)
    steps = max(math.ceil(length / step - 1e-9), 1)
    along = np.arange(steps + 1) / steps
    x, y = terrain.place(tx + (rx - tx) * along, ty + (ry - ty) * along)
    i = np.clip(np.floor(x).astype(int), 0, terrain.x.size - 2)
    j = np.clip(np.floor(y).astype(int), 0, terrain.y.size - 2)
    shape = (terrain.y.size, terrain.x.size)
    ground = terrain.ground.reshape(shape).astype(float, copy=False)
    low = ground[j, i] + (x - i) * (ground[j, i + 1] - ground[j, i])
    high = ground[j + 1, i] + (x - i) * (ground[j + 1, i + 1] - ground[j + 1, i])
    pixel = (
        np.clip(np.floor(y + 0.5).astype(int), 0, shape[0] - 1),
        np.clip(np.floor(x + 0.5).astype(int), 0, shape[1] - 1),
    )
    return profile(
        length * along,
        low + (y - j) * (high - low),
        clutter_height=terrain.clutter.reshape(shape)[pixel].astype(float) if terrain.clutter.size else None,
        zone=terrain.zone.reshape(shape)[pixel] if terrain.zone.size > 1 else int(terrain.zone[0]),
    )


def on_terrain(terrain: Raster, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """Raise unless all columns x and rows y [m] lie on the raster."""
    # half a pixel beyond the outermost centres is still on the raster; the kernels hold the border there
    reach = 0.5 * terrain.pixel * (1 + 1e-9)
    for axis, known, values in (("x", terrain.x, x), ("y", terrain.y, y)):
        bad = ~((values >= known[0] - reach) & (values <= known[-1] + reach))
        if bad.any():
            raise TwinError(
                f"{name} on the terrain, {axis} from {known[0]:g} to {known[-1]:g} m",
                found=f"{axis} = {values[bad][0]:g} m",
                hint="check that both are in the same CRS, or fetch more terrain",
                where=name,
            )
