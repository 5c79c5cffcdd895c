"""The ITU-R's world maps of topography and rain, which the package `itur` carries.

The maps are read as they lie there and interpolated as the Recommendations say. Going through `itur`'s own
functions gives the same numbers (a test holds that) for 4 s of imports and 400 MB more.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from twinkit.contract import within
from twinkit.error import TwinError

__all__ = ["rain_rate", "sea", "topography"]

TOPOGRAPHY_SOURCE = "ITU-R P.1511-2 topography map, 1/12 degree, through itur"
RAIN_SOURCE = "ITU-R P.837-7 map of R0.01, 1/8 degree, through itur"


@functools.cache
def _map(name: str, kind: str) -> np.ndarray:
    # whole metres fit into 16 bits: 19 MB are kept instead of 75
    spec = importlib.util.find_spec("itur")  # finds the folder; imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise TwinError(
            "the maps of the ITU-R (package itur)",
            found="it is not installed",
            hint="pip install 'twinkit[geo]', or use a generated town: tk.datasets.town(sites=12, seed=1)",
        )
    path = Path(spec.submodule_search_locations[0]) / "data" / name
    if not path.exists():
        raise TwinError(f"{name} in itur", found="another version of it", hint="pip install 'itur>=0.4'")
    with np.load(path) as file:
        whole: np.ndarray = file["arr_0"].astype(kind)
    return whole


def _positions(longitude: Any, latitude: Any) -> tuple[np.ndarray, np.ndarray]:
    within(latitude, -90, 90, name="latitude", unit="degree")
    within(longitude, -180, 360, name="longitude", unit="degree")
    longitude, latitude = np.broadcast_arrays(np.asarray(longitude, float), np.asarray(latitude, float))
    return np.where(longitude > 180, longitude - 360, longitude), latitude


def _keys(d: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel of ITU-R P.1144, section 2 (a = -0.5), for |d| <= 2."""
    d = np.abs(d)
    return np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2)


# The map of P.1511-2 starts north-west, two cells outside the globe, for the sake of the bicubic interpolation.
_CELLS = 12.0  # per degree
_NORTH, _WEST = 90.125, -180.125


def _topography_cells(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, ...]:
    row, column = (_NORTH - latitude) * _CELLS, (longitude - _WEST) * _CELLS
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    return top, left, row - top, column - left


def topography(longitude: Any, latitude: Any) -> np.ndarray:
    """Height of the ground above mean sea level, from the ITU-R's map of 1/12 degree; 0 at sea.

    Bicubic interpolation of the sixteen cells around a point (ITU-R P.1144).

    Parameters
    ----------
    longitude, latitude : float or array [degree]

    Returns
    -------
    height : array, their broadcast shape [m]

    Errors
    ------
    TwinError
        Degrees out of range, or itur is not installed.

    Examples
    --------
    >>> float(topography(38.7, 9.05).round(2))
    2539.86

    References
    ----------
    ITU-R P.1511-2; ITU-R P.1144, bicubic interpolation. Checked against the ITU-R's validation examples.
    """
    longitude, latitude = _positions(longitude, latitude)
    top, left, down, right = _topography_cells(longitude, latitude)
    heights = _map("1511/v2_topo.npz", "int16")
    out = np.zeros(longitude.shape)
    for i in range(-1, 3):
        row = np.zeros(longitude.shape)
        for j in range(-1, 3):
            # the frame around the globe is wide enough except exactly at a corner
            cell = heights[np.clip(top + i, 0, heights.shape[0] - 1), np.clip(left + j, 0, heights.shape[1] - 1)]
            row += cell * _keys(right - j)
        out += row * _keys(down - i)
    return out


def sea(longitude: Any, latitude: Any) -> np.ndarray:
    """Share of the four cells around a point that the topography map leaves at exactly 0 m: sea, or land as low.

    Parameters
    ----------
    longitude, latitude : float or array [degree]

    Returns
    -------
    share : array from 0 to 1 [1]
        Bilinear in between.
    """
    longitude, latitude = _positions(longitude, latitude)
    top, left, down, right = _topography_cells(longitude, latitude)
    heights = _map("1511/v2_topo.npz", "int16")
    return _bilinear(heights, top, left, down, right, level=0.0)


def rain_rate(longitude: Any, latitude: Any) -> np.ndarray:
    """Rain rate exceeded for 0.01 % of an average year, from the ITU-R's map.

    Bilinear interpolation of the four cells around a point.

    Parameters
    ----------
    longitude, latitude : float or array [degree]

    Returns
    -------
    rate : array, their broadcast shape [mm/h]

    Errors
    ------
    TwinError
        Degrees out of range, or itur is not installed.

    Examples
    --------
    >>> float(rain_rate(-0.14, 51.5).round(2))
    26.48

    References
    ----------
    ITU-R P.837-7. Checked against the ITU-R's validation examples.
    """
    longitude, latitude = _positions(longitude, latitude)
    rates = _map("837/v7_r001.npz", "float32")
    row, column = (latitude + 90) * 8, (longitude + 180) * 8  # this map starts south-west
    top = np.minimum(np.floor(row).astype(int), rates.shape[0] - 2)
    left = np.minimum(np.floor(column).astype(int), rates.shape[1] - 2)
    return _bilinear(rates, top, left, row - top, column - left)


def _bilinear(
    cells: np.ndarray,
    top: np.ndarray,
    left: np.ndarray,
    down: np.ndarray,
    right: np.ndarray,
    *,
    level: float | None = None,
) -> np.ndarray:
    def at(i: int, j: int) -> np.ndarray:
        value: np.ndarray = cells[top + i, left + j]
        return value if level is None else (value == level).astype(float)

    return np.asarray(
        at(0, 0) * (1 - down) * (1 - right)
        + at(0, 1) * (1 - down) * right
        + at(1, 0) * down * (1 - right)
        + at(1, 1) * down * right
    )
