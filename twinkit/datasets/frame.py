"""The frame of a region: its CRS, its pixel centres, and the way between metres and degrees."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["Frame", "around", "given", "within_box"]

MOST_PIXELS = 25_000_000
"""More than this (5000 x 5000) would not fit a classroom machine: ask for coarser pixels."""


@dataclass(frozen=True)
class Frame:
    """Square pixels in metres of a UTM zone.

    Attributes
    ----------
    crs : str
        "EPSG:32643".
    west, south : float [m]
        Outer edge of the first pixel; whole multiples of the resolution.
    columns, rows : int
    resolution : float [m]
    """

    crs: str
    west: float
    south: float
    columns: int
    rows: int
    resolution: float

    @property
    def x(self) -> np.ndarray:
        """Pixel centres [m], ascending."""
        return self.west + (np.arange(self.columns) + 0.5) * self.resolution

    @property
    def y(self) -> np.ndarray:
        """Pixel centres [m], ascending."""
        return self.south + (np.arange(self.rows) + 0.5) * self.resolution

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    def metres(self, longitude: Any, latitude: Any) -> tuple[np.ndarray, np.ndarray]:
        """x, y [m] of positions in degrees."""
        x, y = _projection(self.crs).transform(np.asarray(longitude, float), np.asarray(latitude, float))
        return np.asarray(x), np.asarray(y)

    def degrees(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """longitude, latitude [degree] of positions in metres."""
        longitude, latitude = _projection(self.crs).transform(
            np.asarray(x, float), np.asarray(y, float), direction="INVERSE"
        )
        return np.asarray(longitude), np.asarray(latitude)

    def holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which positions [m] lie on a pixel."""
        column, row = self.pixel(x, y)
        return (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)

    def pixel(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of positions [m]; outside the frame where there is none."""
        far = 2.0**40  # a projection gives inf at the other side of the Earth
        column = np.floor((np.clip(np.asarray(x, float), -far, far) - self.west) / self.resolution)
        row = np.floor((np.clip(np.asarray(y, float), -far, far) - self.south) / self.resolution)
        return column.astype(np.int64), row.astype(np.int64)

    def coarse(self, spacing: float, *, margin: float = 0.0) -> Frame:
        """A frame of coarser pixels that covers this one and `margin` [m] around it."""
        west, south = self.west - margin, self.south - margin
        columns = int(np.ceil((self.columns * self.resolution + 2 * margin) / spacing))
        rows = int(np.ceil((self.rows * self.resolution + 2 * margin) / spacing))
        return Frame(self.crs, west, south, columns, rows, spacing)


@functools.cache
def _projection(crs: str) -> Any:
    import pyproj

    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _zone(longitude: float, latitude: float) -> str:
    number = int((longitude + 180) // 6) % 60 + 1
    return f"EPSG:{32600 if latitude >= 0 else 32700}".removesuffix("00") + f"{number:02d}"


def _frame(crs: str, west: float, south: float, east: float, north: float, resolution: float) -> Frame:
    if not np.isfinite(resolution) or not 10 <= resolution <= 5000:
        raise TwinError("a resolution from 10 to 5000 m", found=f"{resolution:g} m", hint="200 m suits a region")
    first_column, first_row = int(np.floor(west / resolution)), int(np.floor(south / resolution))
    columns = int(np.ceil(east / resolution)) - first_column
    rows = int(np.ceil(north / resolution)) - first_row
    if columns * rows > MOST_PIXELS:
        coarser = resolution * np.sqrt(columns * rows / MOST_PIXELS)
        raise TwinError(
            f"at most {MOST_PIXELS:,} pixels",
            found=f"{rows} x {columns} of {resolution:g} m",
            hint=f"resolution={np.ceil(coarser / 50) * 50:g} or a smaller area",
        )
    return Frame(crs, first_column * resolution, first_row * resolution, columns, rows, float(resolution))


def around(longitude: float, latitude: float, *, radius: float, resolution: float) -> Frame:
    """The square of 2 x `radius` [m] around a place, in the UTM zone of its centre.

    >>> around(77.17, 31.10, radius=60e3, resolution=200).crs
    'EPSG:32643'
    """
    if not np.isfinite(radius) or not 1e3 <= radius <= 400e3:
        raise TwinError("a radius from 1 to 400 km", found=f"{radius:g} m", hint="radius is in metres: radius=60e3")
    crs = _zone(longitude, latitude)
    x, y = (float(v) for v in _projection(crs).transform(longitude, latitude))
    return _frame(crs, x - radius, y - radius, x + radius, y + radius, resolution)


def within_box(west: float, south: float, east: float, north: float, *, resolution: float) -> Frame:
    """The frame that covers a box of degrees, in the UTM zone of its centre; west > east crosses the date line.

    Errors
    ------
    TwinError
        No box: degrees out of range, or south above north.
    """
    wide = east - west if east > west else east + 360 - west
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -85 <= south < north <= 85 and wide <= 12):
        raise TwinError(
            "a box west,south,east,north in degrees, at most 12 wide, with south below north",
            found=f"{west:g},{south:g},{east:g},{north:g}",
            hint="longitudes come first: 76.5,30.5,77.9,31.7",
        )
    middle = (west + wide / 2 + 180) % 360 - 180
    crs = _zone(middle, (south + north) / 2)
    steps = np.linspace(0, 1, 21)
    along, across = west + wide * steps, south + (north - south) * steps
    edge_longitude = np.concatenate([along, along, np.full(21, west), np.full(21, west + wide)])
    edge_latitude = np.concatenate([np.full(21, south), np.full(21, north), across, across])
    x, y = _projection(crs).transform(edge_longitude, edge_latitude)
    return _frame(crs, float(min(x)), float(min(y)), float(max(x)), float(max(y)), resolution)


def given(dims: str | tuple[str, ...], values: Any, provenance: str, **attributes: Any) -> xr.Variable:
    """A variable that says where its values come from; text becomes objects, so that ids have any length."""
    array = np.asarray(values)
    if array.dtype.kind in "US" or array.dtype == object:
        array = np.array([str(v) for v in array.ravel()], dtype=object).reshape(array.shape)
    return xr.Variable(dims, array, {"provenance": provenance, **attributes})
