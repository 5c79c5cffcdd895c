"""Localisation: an observation speaks for what lies near it.

A small ensemble sees correlations over any distance, most of them by chance. Observations therefore lose weight
with distance (Gaspari and Cohn's taper) and are forgotten beyond a radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.contract import physics
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["Neighbours", "gaspari_cohn", "neighbours", "positions"]


@physics()
def gaspari_cohn(distance: Any, *, radius: float) -> Any:
    """Weight of an observation at a distance: 1 where it stands, 0 from `radius` on, smooth between.

    With z = 2 · distance / radius, the fifth-order function of compact support, equation 4.10::

        z ≤ 1:      1 - 5/3 z² + 5/8 z³ + 1/2 z⁴ - 1/4 z⁵
        1 < z ≤ 2:  4 - 5 z + 5/3 z² + 5/8 z³ - 1/2 z⁴ + 1/12 z⁵ - 2/(3 z)

    Parameters
    ----------
    distance : float, array or DataArray [any unit of length]
    radius : float [the same unit]
        Where the weight reaches zero. It is near a Gaussian of standard deviation ``radius / 3.65``.

    Returns
    -------
    Like `distance`, between 0 and 1.

    Validity
    --------
    A correlation function (positive semi-definite) in up to three dimensions; on a ring only while `radius` is at
    most half of it.

    Errors
    ------
    TwinError
        The radius is not positive.

    Examples
    --------
    >>> gaspari_cohn(np.array([0.0, 5.0, 10.0]), radius=10.0).round(3)
    array([1.   , 0.208, 0.   ])

    References
    ----------
    G. Gaspari and S. E. Cohn, Construction of correlation functions in two and three dimensions, Q. J. R.
    Meteorol. Soc. 125 (1999) 723-757, equation 4.10.
    """
    _positive(radius, "radius")
    z = 2 * abs(distance) / radius
    near = (((-z / 4 + 1 / 2) * z + 5 / 8) * z - 5 / 3) * z**2 + 1
    safe = np.maximum(z, 1.0)
    far = ((((safe / 12 - 1 / 2) * safe + 5 / 8) * safe + 5 / 3) * safe - 5) * safe + 4 - 2 / (3 * safe)
    # at the rim rounding leaves a few 1e-16 below zero
    return np.maximum((z <= 1) * near + ((z > 1) & (z < 2)) * far, 0.0)


@dataclass(frozen=True)
class Neighbours:
    """Which observations each location listens to, and how much: rows in compressed form.

    Attributes
    ----------
    start : array of int, (location + 1,)
        ``sensor[start[i] : start[i + 1]]`` are those of location i.
    sensor : array of int
        Positions of the observations.
    root : array of float
        Square root of their taper: what divides the standard deviation of their noise.
    """

    start: np.ndarray
    sensor: np.ndarray
    root: np.ndarray


LEAST = 1e-3
"""Weights below this are left out: they would cost time and change nothing that can be measured."""


def neighbours(
    places: np.ndarray, sensors: np.ndarray, *, radius: float, period: tuple[float, ...] | None = None
) -> Neighbours:
    """For every location the observations within `radius`, with their Gaspari-Cohn weights.

    Parameters
    ----------
    places : array, (location, axis) [any unit of length]
    sensors : array, (sensor, axis) [the same unit]
    radius : float [the same unit]
    period : tuple of float, optional
        Length of each axis that closes on itself; infinite for those that do not.

    Returns
    -------
    Neighbours
        Sensors of a location in ascending order, so that sums come out the same on every machine.

    Examples
    --------
    >>> near = neighbours(np.array([[0.0], [9.0]]), np.array([[0.0], [5.0]]), radius=4.0, period=(10.0,))
    >>> near.start, near.sensor
    (array([0, 1, 2]), array([0, 0]))
    """
    from scipy.spatial import cKDTree

    _positive(radius, "radius")
    places, sensors = np.asarray(places, float), np.asarray(sensors, float)
    box = np.array([0.0 if not np.isfinite(p) else p for p in period or (np.inf,) * places.shape[1]])
    if box.any():
        # the tree wants [0, period) on a closed axis
        closed = np.where(box > 0, box, 1.0)
        places, sensors = (np.where(box > 0, np.mod(a, closed), a) for a in (places, sensors))
    tree = cKDTree(sensors, boxsize=box if box.any() else None)
    starts, found, weights, last = [np.zeros(1, np.int64)], [], [], 0
    # in blocks, so that a million locations do not hold a million Python lists at once
    for begin in range(0, len(places), 65536):
        block = places[begin : begin + 65536]
        lists = tree.query_ball_point(block, radius, return_sorted=True)
        counts = np.fromiter((len(one) for one in lists), np.int64, len(block))
        index = np.fromiter((i for one in lists for i in one), np.int64, int(counts.sum()))
        difference = np.abs(np.repeat(block, counts, axis=0) - sensors[index])
        if box.any():
            difference = np.where(box > 0, np.minimum(difference, box - difference), difference)
        weight = np.asarray(gaspari_cohn(np.sqrt((difference**2).sum(1)), radius=radius))
        heard = weight > LEAST
        row = np.repeat(np.arange(len(block)), counts)[heard]
        starts.append(last + np.cumsum(np.bincount(row, minlength=len(block))))
        last = int(starts[-1][-1]) if len(block) else last
        found.append(index[heard])
        weights.append(weight[heard])
    sensor = np.concatenate([*found, np.zeros(0, np.int64)])
    return Neighbours(np.concatenate(starts), sensor, np.sqrt(np.concatenate([*weights, np.zeros(0)])))


def positions(array: xr.DataArray, along: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray] | None:
    """The dims of an array that have a place in space, and where each of their points lies.

    Parameters
    ----------
    array : DataArray
        With coordinates named in `along`: indexes of its own (``x`` of a grid) or values beside one
        (``x`` of each ``cell``).
    along : tuple of str
        Names of the axes of space.

    Returns
    -------
    tuple of dims and array (point, axis), or None where the array has none of the axes: it belongs to no place.

    Errors
    ------
    TwinError
        Some of the axes are there and some are not.
    """
    there = [a for a in along if a in array.coords and array.coords[a].ndim]
    if not there:
        return None
    if len(there) < len(along):
        raise TwinError(
            f"coordinates {', '.join(along)} on '{array.name}'",
            found=f"only {', '.join(there)}",
            hint=f"add {', '.join(set(along) - set(there))}, or name the axes that there are: along={tuple(there)}",
            where="letkf(along=...)",
        )
    import xarray as xr

    axes = xr.broadcast(*(array.coords[a].reset_coords(drop=True) for a in along))
    dims = tuple(d for d in array.dims if d in axes[0].dims)
    return tuple(map(str, dims)), np.stack([a.transpose(*dims).values.ravel() for a in axes], axis=1).astype(float)


def box(along: tuple[str, ...], period: Mapping[str, float] | None) -> tuple[float, ...] | None:
    """The period of each axis, infinite where it does not close."""
    if not period:
        return None
    strangers = sorted(set(period) - set(along))
    if strangers:
        raise TwinError(
            f"periods of the axes {', '.join(along)}",
            found=f"'{strangers[0]}'",
            hint="name one of them",
            where="period",
        )
    for axis, length in period.items():
        _positive(length, f"period of {axis}")
    return tuple(float(period.get(a, np.inf)) for a in along)


def _positive(value: float, name: str) -> None:
    if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value > 0):
        raise TwinError(f"a positive {name}", found=repr(value), hint="state it in the unit of the axes", where=name)
