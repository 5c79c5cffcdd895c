"""Relief finer than the maps: a self-affine surface, and the land cover that people and rain suggest."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from twinkit.datasets.drainage import incised

__all__ = ["clutter", "finer", "fractal", "local_relief"]

HURST = 0.8
"""Roughness exponent of the generated relief; mountains measured at 0.1 to 10 km lie between 0.7 and 0.9."""

INCISION, STEPS = 0.2, 8
"""Strength and steps of the valleys; by eye against the Himalaya, where they are about 1000 m deep."""

MAP_CELL = 9270.0
"""Spacing of the ITU-R topography map [m] (1/12 degree of latitude): all that is shorter is generated."""


def fractal(
    shape: tuple[int, int], *, resolution: float, longest: float, hurst: float, rng: np.random.Generator
) -> np.ndarray:
    """A Gaussian self-affine surface of unit standard deviation without wavelengths above `longest`.

    Power spectrum proportional to k^-(2 H + 2) between 1/`longest` and the pixel's own frequency.

    Parameters
    ----------
    shape : (rows, columns)
    resolution, longest : float [m]
    hurst : float from 0 to 1 [1]
    rng : Generator

    Returns
    -------
    surface : array of `shape` [1]
    """
    rows, columns = shape
    # the Fourier surface is periodic: half a wavelength of padding keeps opposite edges apart
    pad = int(np.ceil(longest / resolution / 2))
    noise = rng.standard_normal((rows + pad, columns + pad))
    ky = np.fft.fftfreq(rows + pad, resolution)[:, None]
    kx = np.fft.rfftfreq(columns + pad, resolution)[None, :]
    k = np.hypot(ky, kx)
    amplitude = np.zeros_like(k)
    # a soft lower edge, because a sharp one rings
    np.power(k, -(hurst + 1), out=amplitude, where=k > 0)
    amplitude *= 1 - np.exp(-((k * longest) ** 4))
    surface = np.fft.irfft2(np.fft.rfft2(noise) * amplitude, s=noise.shape)[:rows, :columns]
    deviation = surface.std()
    return np.asarray((surface - surface.mean()) / deviation if deviation > 0 else surface)


def local_relief(height: np.ndarray, *, cells: int) -> np.ndarray:
    """Standard deviation of the heights [m] in the square of 2 `cells` + 1 pixels around each pixel."""
    size = 2 * cells + 1
    mean = ndimage.uniform_filter(height, size, mode="nearest")
    square = ndimage.uniform_filter(height * height, size, mode="nearest")
    return np.sqrt(np.maximum(square - mean * mean, 0.0))


def finer(height: np.ndarray, relief: np.ndarray, *, resolution: float, rng: np.random.Generator) -> np.ndarray:
    """Heights with the relief that the map cannot hold: rough ground into which water has cut its valleys.

    σ(short) = σ(3 map cells) · (1/3)^H, the scaling of a self-affine surface, and at least 1.5 m. After the incision
    the surface is lifted until its means over a map cell are those of the map again.

    Parameters
    ----------
    height : array (y, x) [m]
        From the map.
    relief : array (y, x) [m]
        Standard deviation of the map's heights over three of its cells.
    resolution : float [m]
    rng : Generator

    Returns
    -------
    height : array (y, x) [m]
    """
    rough = fractal(height.shape, resolution=resolution, longest=MAP_CELL, hurst=HURST, rng=rng)
    amplitude = np.maximum(relief * (1 / 3) ** HURST, 1.5)
    cut = incised(height + amplitude * rough, strength=INCISION, steps=STEPS, rng=rng)
    for _ in range(3):
        cut += ndimage.gaussian_filter(height - cut, MAP_CELL / 2 / resolution, mode="nearest")
    return np.asarray(cut)


# Clutter classes of ITU-R P.1812 with the heights that it takes by default (table 2 there), by people per km².
WATER, OPEN, SUBURBAN, URBAN, DENSE = 1, 2, 3, 4, 5
HEIGHTS = np.array([0.0, 0.0, 0.0, 10.0, 15.0, 20.0], dtype=np.float32)
DENSITIES = {SUBURBAN: 800.0, URBAN: 4000.0, DENSE: 15000.0}
FLAGS = {
    "flag_values": [0, 1, 2, 3, 4, 5],
    "flag_meanings": "unknown water open suburban urban_or_forest dense_urban",
}


def clutter(
    people: np.ndarray, water: np.ndarray, wooded: np.ndarray, *, resolution: float, rng: np.random.Generator
) -> np.ndarray:
    """Clutter class of each pixel: from the density of people, and woods where few live and rain is plenty.

    Parameters
    ----------
    people : array (y, x) [people per pixel]
    water : array (y, x) of bool
    wooded : array (y, x) from 0 to 1 [1]
        Share of woods among the land that is not built.
    resolution : float [m]
    rng : Generator

    Returns
    -------
    class : array (y, x) of int8
    """
    density = ndimage.gaussian_filter(people, max(250.0 / resolution, 0.3), mode="nearest") / (resolution / 1000) ** 2
    patches = fractal(people.shape, resolution=resolution, longest=6000.0, hurst=0.4, rng=rng)
    # the share is met by cutting the patches at their own quantile, which for a Gaussian surface is known
    from scipy.special import ndtr

    out = np.full(people.shape, OPEN, dtype=np.int8)
    out[(ndtr(patches) < wooded) & (density < 150)] = URBAN
    for kind, least in DENSITIES.items():
        out[density >= least] = kind
    out[water] = WATER
    return out
