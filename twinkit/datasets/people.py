"""Where people live: the listed settlements as towns, and everybody else as villages around them.

GeoNames lists settlements; a country's total is larger. The difference is spread by a stated model:

1. Every listed settlement of the country draws a share of the unlisted people in proportion to the square root of
   its population (at most 100 000: a metropolis lists its own), times the distance to the fourth nearest
   settlement. Against the 2011 census of nineteen Indian states this comes within a factor of 1.4 (root mean square
   of the logarithm), shares by population or by mere count within 1.6 to 1.7.
2. A share spreads over the land around its settlement as a Gaussian whose width is 0.7 of that distance, from 5 to
   30 km.
3. Within the region they live in villages, on gentle slopes and in valleys rather than on summits.

Every person of the country has a place: the shares of two neighbouring regions add up to that of both together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtr

from twinkit.datasets.relief import fractal

if TYPE_CHECKING:
    from twinkit.datasets.frame import Frame

__all__ = ["drawn", "resampled", "suitability", "town_people", "unlisted_share", "village_people"]

LEAST_PEOPLE = 500.0
"""GeoNames' own threshold; stands for the population of a listed place whose number is missing."""
MOST_PEOPLE = 100_000.0
WIDEST = 30_000.0
"""Widest kernel [m]."""
REACH = 4.0
"""Kernels end at this many widths."""
COARSE = 1500.0
"""Pixels [m] on which the unlisted are shared out."""


def drawn(
    longitude: np.ndarray, latitude: np.ndarray, population: np.ndarray, *, unlisted: float
) -> tuple[np.ndarray, np.ndarray]:
    """What every listed settlement of one country draws of its unlisted people, and how wide they live around it.

    Parameters
    ----------
    longitude, latitude : array (settlement,) [degree]
    population : array (settlement,) [people]
        0 where it is missing.
    unlisted : float [people]
        The country's total less its listed people.

    Returns
    -------
    share : array (settlement,) [people]
        Sums to `unlisted`.
    width : array (settlement,) [m]
        Standard deviation of the Gaussian around the settlement.
    """
    phi, theta = np.radians(latitude), np.radians(longitude)
    unit = np.column_stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)])
    count = min(5, len(unit))
    spacing = cKDTree(unit).query(unit, k=count)[0].reshape(len(unit), count)[:, -1] * 6.371e6
    weight = np.sqrt(np.clip(population, LEAST_PEOPLE, MOST_PEOPLE)) * np.clip(spacing, 3000.0, 60_000.0)
    return unlisted * weight / weight.sum(), np.clip(0.7 * spacing, 5000.0, WIDEST)


def unlisted_share(
    frame: Frame, x: np.ndarray, y: np.ndarray, share: np.ndarray, sigma: np.ndarray, land: np.ndarray, wide: Frame
) -> np.ndarray:
    """People that the kernels of settlements leave on the coarse pixels of `wide`.

    Parameters
    ----------
    frame : Frame
        The region.
    x, y : array (settlement,) [m]
    share : array (settlement,) [people]
    sigma : array (settlement,) [m]
    land : array (y, x) of `wide` from 0 to 1 [1]
        Share of land; a kernel is scaled so that all its people stand on land.
    wide : Frame
        Coarse pixels around the region, wide enough for whole kernels.

    Returns
    -------
    people : array (y, x) of `wide` [people per coarse pixel]
    """
    out = np.zeros(wide.shape)
    half = wide.resolution / 2
    near = (
        (x > frame.west - REACH * sigma)
        & (x < frame.west + frame.columns * frame.resolution + REACH * sigma)
        & (y > frame.south - REACH * sigma)
        & (y < frame.south + frame.rows * frame.resolution + REACH * sigma)
    )
    for i in np.flatnonzero(near):
        left, bottom = wide.pixel(x[i] - REACH * sigma[i], y[i] - REACH * sigma[i])
        right, top = wide.pixel(x[i] + REACH * sigma[i], y[i] + REACH * sigma[i])
        columns, rows = slice(max(int(left), 0), int(right) + 1), slice(max(int(bottom), 0), int(top) + 1)
        px, py = wide.x[columns], wide.y[rows]
        if px.size == 0 or py.size == 0:
            continue
        # the Gaussian's mass in each pixel, exactly: a narrow kernel may be smaller than a pixel
        gx = ndtr((px + half - x[i]) / sigma[i]) - ndtr((px - half - x[i]) / sigma[i])
        gy = ndtr((py + half - y[i]) / sigma[i]) - ndtr((py - half - y[i]) / sigma[i])
        mass = gy[:, None] * gx[None, :] * land[rows, columns]
        total = mass.sum()
        if total > 0:
            out[rows, columns] += share[i] * mass / total
    return out


def suitability(height: np.ndarray, water: np.ndarray, *, resolution: float) -> np.ndarray:
    """How readily people settle on a pixel, up to 1: flat, low among its surroundings, below 3000 m, dry."""
    gy, gx = np.gradient(height, resolution)
    slope = np.hypot(gx, gy)
    around = ndimage.gaussian_filter(height, 2000.0 / resolution, mode="nearest")
    deviation = np.sqrt(np.maximum(ndimage.gaussian_filter((height - around) ** 2, 4000.0 / resolution), 1.0))
    low = np.exp(-0.6 * np.clip((height - around) / deviation, -2, 3))
    cold = np.exp(-np.maximum(height - 2600.0, 0.0) / 500.0)
    fit = np.exp(-((slope / 0.35) ** 2)) * np.minimum(low, 2.5) / 2.5 * cold
    return np.where(water, 0.0, np.maximum(fit, 1e-6))


def town_people(
    frame: Frame, x: np.ndarray, y: np.ndarray, population: np.ndarray, fit: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray:
    """People of the settlements, each as a town whose density falls off exponentially from its centre.

    Mean density about 4000 · (population / 100 000)^0.15 people per km²; quarters and edges vary by self-affine noise.

    Parameters
    ----------
    frame : Frame
    x, y, population : array (place,) [m, m, people]
        Places within the frame.
    fit : array (y, x) from 0 to 1
        From `suitability`.

    Returns
    -------
    people : array (y, x) [people per pixel]
        Sums to the population exactly.
    """
    out = np.zeros(frame.shape)
    px, py = frame.x, frame.y
    texture = fractal(frame.shape, resolution=frame.resolution, longest=2500.0, hurst=0.3, rng=rng)
    texture = np.exp(0.7 * texture) * np.sqrt(fit)
    for i in range(len(x)):
        density = 4000.0 * (max(population[i], 1.0) / 1e5) ** 0.15 / 1e6
        radius = max(np.sqrt(population[i] / (np.pi * density)), 0.4 * frame.resolution)
        reach = int(np.ceil(2.5 * radius / frame.resolution)) + 1
        column, row = (int(v) for v in frame.pixel(x[i], y[i]))
        columns, rows = slice(max(column - reach, 0), column + reach + 1), slice(max(row - reach, 0), row + reach + 1)
        distance = np.hypot(px[columns][None, :] - x[i], py[rows][:, None] - y[i]) / radius
        # the noise also moves the edge of the town, which would otherwise be a circle
        edge = distance / np.clip(texture[rows, columns], 0.4, 1.6) ** 0.4
        weight = np.exp(-1.5 * distance - (edge / 1.3) ** 4) * texture[rows, columns]
        total = weight.sum()
        if total > 0:
            out[rows, columns] += population[i] * weight / total
        else:  # a place that the map puts into the sea: GeoNames knows better
            out[row, column] += population[i]
    return out


def village_people(
    frame: Frame, coarse: np.ndarray, wide: Frame, fit: np.ndarray, *, rng: np.random.Generator
) -> np.ndarray:
    """The unlisted people of a region in villages of log-normal size (mean about 450), and a fifth on farms.

    Parameters
    ----------
    frame : Frame
    coarse : array (y, x) of `wide` [people per coarse pixel]
    wide : Frame
    fit : array (y, x) from 0 to 1

    Returns
    -------
    people : array (y, x) [people per pixel]
        Sums to the people whom `coarse` puts into the frame.
    """
    density = resampled(coarse, wide, frame) * (frame.resolution / wide.resolution) ** 2
    total = density.sum()
    # where to settle is a choice among the places nearby, not a reason to leave the hills for the plain
    nearby = ndimage.gaussian_filter(fit, 3000.0 / frame.resolution, mode="nearest")
    weight = density * fit / np.maximum(nearby, 1e-6)
    if total <= 0 or weight.sum() <= 0:
        return np.zeros(frame.shape)
    count = int(np.clip(total / 450.0, 1, 20_000))
    cumulative = np.cumsum(weight.ravel())
    where = np.searchsorted(cumulative, rng.random(count) * cumulative[-1])
    where = np.minimum(where, weight.size - 1)
    size = rng.lognormal(0.0, 0.9, count)
    villages = np.bincount(where, weights=size, minlength=weight.size).reshape(frame.shape)
    villages = ndimage.gaussian_filter(villages, 180.0 / frame.resolution, mode="constant") * (fit > 0)
    people = 0.8 * villages / villages.sum() + 0.2 * weight / weight.sum()
    return np.asarray(total * people / people.sum())


def resampled(coarse: np.ndarray, wide: Frame, frame: Frame) -> np.ndarray:
    """Coarse values at the centres of fine pixels, linear in between."""
    rows = (frame.y - wide.south) / wide.resolution - 0.5
    columns = (frame.x - wide.west) / wide.resolution - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(coarse, grid, order=1, mode="nearest"))
