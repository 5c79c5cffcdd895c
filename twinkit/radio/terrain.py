# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba.
"""Terrain along paths: bilinear samples of a raster at equal steps.

A raster is a flat array of rows from south to north; positions are in pixels, the centre of the first pixel at
(0, 0), so that a raster in any projected system serves.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from twinkit.radio.itu1812.fast import fetch, put
from twinkit.radio.itu1812.scan import ORDERLESS

__all__ = ["height_at", "nearest", "sampled"]


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def sampled(ground, width, height, x, y, dx, dy, most, reference, out):
    """Ground by bilinear interpolation at points k (dx, dy) from (x, y) [pixels], for k below `most`.

    Beyond the raster the border's gradient continues; no such point is used.
    """
    left, low = np.int32(math.floor(x)), np.int32(math.floor(y))
    # only the fraction and the way travelled stay in single precision: a ten-thousandth of a pixel
    kind = out.dtype.type
    part_x, part_y = kind(x - left), kind(y - low)
    step_x, step_y = kind(dx), kind(dy)
    last_x, last_y = np.int32(width - 2 - left), np.int32(height - 2 - low)
    origin, stride = np.int32(low * width + left), np.int32(width)
    above = ground[width:]
    for k in range(most):
        along = part_x + kind(np.int32(k)) * step_x
        across = part_y + kind(np.int32(k)) * step_y
        i = min(max(np.int32(np.floor(along)), np.int32(-left)), last_x)
        j = min(max(np.int32(np.floor(across)), np.int32(-low)), last_y)
        along -= kind(i)
        across -= kind(j)
        at = np.uint32(np.int32(origin + np.int32(j * stride)) + i)
        one, two = fetch(ground, at), fetch(ground, at + 1)
        three, four = fetch(above, at), fetch(above, at + 1)
        bottom = one + along * (two - one)
        top = three + along * (four - three)
        put(out, k, bottom + across * (top - bottom) - reference)


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def nearest(clutter, width, height, x, y, dx, dy, most, ground, out):
    """Ground and on it the clutter of the nearest pixel, at the same points."""
    left, low = np.int32(math.floor(x)), np.int32(math.floor(y))
    kind = out.dtype.type
    part_x, part_y = kind(x - left + 0.5), kind(y - low + 0.5)
    step_x, step_y = kind(dx), kind(dy)
    last_x, last_y = np.int32(width - 1 - left), np.int32(height - 1 - low)
    origin, stride = np.int32(low * width + left), np.int32(width)
    for k in range(most):
        i = min(max(np.int32(np.floor(part_x + kind(np.int32(k)) * step_x)), np.int32(-left)), last_x)
        j = min(max(np.int32(np.floor(part_y + kind(np.int32(k)) * step_y)), np.int32(-low)), last_y)
        at = np.uint32(np.int32(origin + np.int32(j * stride)) + i)
        put(out, k, fetch(clutter, at))
    # apart from the gathers, which no test at run time could tell from a write to `out`
    for k in range(most):
        out[k] += ground[k]


@njit(error_model="numpy")
def height_at(ground, width, height, x, y):
    """Ground at one point [pixels] by bilinear interpolation, float64."""
    i = min(max(math.floor(x), 0), width - 2)
    j = min(max(math.floor(y), 0), height - 2)
    along, across = x - i, y - j
    at = j * width + i
    one, two = np.float64(ground[at]), np.float64(ground[at + 1])
    three, four = np.float64(ground[at + width]), np.float64(ground[at + width + 1])
    bottom = one + along * (two - one)
    return bottom + across * (three + along * (four - three) - bottom)
