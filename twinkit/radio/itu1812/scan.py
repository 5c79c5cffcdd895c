# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba.
"""What a path of equal steps says of itself, in loops that become vectors: horizons, sums, the largest obstacle.

Heights are float32 above the transmitter's ground, distances are counted in steps, so that the earth's bulge
over the chord is c i (n - i) with c = 500 s^2 / a_e and every slope splits into a part of the ground and a part
of the distance alone. A profile lies in a buffer that is filled with LOW from its end to the next multiple of
BLOCK (and at its start): all loops have a fixed length and no remainder.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from twinkit.radio.itu1812.fast import larger, note, read

__all__ = ["BLOCK", "LOW", "Tables", "back", "both", "forward", "in_sight", "ridge", "tables"]

F = np.float32

BLOCK = 64
LOW = F(-1e9)

# Heights are checked to be numbers before a kernel sees them, so that a maximum need not ask (nnan), and the order
# of a sum of heights changes it by millimetres (reassoc).
ORDERLESS = {"contract", "nsz", "nnan", "reassoc"}

Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


def tables(most: int) -> Tables:
    """1/i, 1/sqrt(i) (1 where i < 1) and i for i from -BLOCK to `most` + BLOCK: element BLOCK + i."""
    count = np.arange(-BLOCK, most + 2 * BLOCK)
    i = np.maximum(count, 1)
    return (1.0 / i).astype(np.float32), (1.0 / np.sqrt(i)).astype(np.float32), count.astype(np.float32)


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def _last(scratch, best):
    # equal to the value kept in memory: a second computation might round another way and miss it
    at = np.int32(0)
    for k in range(BLOCK):
        at = larger(at, np.int32(k) if scratch[k] == best else np.int32(0))
    return at


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def _forward_in(h, block, own, c, inverse, ramp, scratch):
    best = F(-1e30)
    for k in range(BLOCK):
        i = block + k
        value = (read(h, i) - own) * read(inverse, BLOCK + i) - c * read(ramp, BLOCK + i)
        note(scratch, k, value)
        best = larger(best, value)
    # the smallest index is the largest of what is left after it
    left = np.int32(0)
    for k in range(BLOCK):
        left = larger(left, np.int32(BLOCK - k) if scratch[k] == best else np.int32(0))
    return best, max(block + BLOCK - left, 1)


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def _back_in(h, block, n, own, c, inverse, ramp, scratch):
    best = F(-1e30)
    for k in range(BLOCK):
        i = block + k
        value = (read(h, i) - own) * read(inverse, BLOCK + n - i) + c * read(ramp, BLOCK + i)
        note(scratch, k, value)
        best = larger(best, value)
    return best, max(block + _last(scratch, best), 1)


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def forward(h, n, own, c, inverse, ramp, scratch):
    """Steepest slope from the start, height `own`, and the first point that has it."""
    best = F(-1e30)
    block = 0
    for start in range(0, n, BLOCK):
        high = F(-1e30)
        for k in range(start, start + BLOCK):
            high = larger(high, (read(h, k) - own) * read(inverse, BLOCK + k) - c * read(ramp, BLOCK + k))
        if high > best:
            best = high
            block = start
    return _forward_in(h, block, own, c, inverse, ramp, scratch)


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def back(h, n, own, c, inverse, ramp, scratch):
    """Steepest slope from the end, height `own`, and the last point that has it."""
    best = F(-1e30)
    block = 0
    for start in range(0, n, BLOCK):
        high = F(-1e30)
        for k in range(start, start + BLOCK):
            high = larger(high, (read(h, k) - own) * read(inverse, BLOCK + n - k) + c * read(ramp, BLOCK + k))
        if high >= best:
            best = high
            block = start
    best, at = _back_in(h, block, n, own, c, inverse, ramp, scratch)
    return best - c * F(n), at


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def both(h, n, own, there, c, inverse, ramp, scratch):
    """Both horizons, and the steepest straight slopes beside them, in one pass.

    Returns (forward, its first point, back, its last point, straight forward, straight back).
    """
    best_f = F(-1e30)
    best_b = F(-1e30)
    one = F(-1e30)
    other = F(-1e30)
    block_f = 0
    block_b = 0
    for start in range(0, n, BLOCK):
        high_f = F(-1e30)
        high_b = F(-1e30)
        for k in range(start, start + BLOCK):
            height = read(h, k)
            bulge = c * read(ramp, BLOCK + k)
            slope_f = (height - own) * read(inverse, BLOCK + k)
            slope_b = (height - there) * read(inverse, BLOCK + n - k)
            one = larger(one, slope_f)
            other = larger(other, slope_b)
            high_f = larger(high_f, slope_f - bulge)
            high_b = larger(high_b, slope_b + bulge)
        if high_f > best_f:
            best_f = high_f
            block_f = start
        if high_b >= best_b:
            best_b = high_b
            block_b = start
    best_f, first = _forward_in(h, block_f, own, c, inverse, ramp, scratch)
    best_b, last = _back_in(h, block_b, n, there, c, inverse, ramp, scratch)
    return best_f, first, best_b - c * F(n), last, one, other


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def in_sight(h, n, start_height, end_height, c, root, ramp, scratch):
    """Largest height over the ray by sqrt(i (n - i)), and the last point that has it."""
    bulge = c * F(n) - (end_height - start_height) / F(n)
    best = F(-1e30)
    block = 0
    for start in range(0, n, BLOCK):
        high = F(-1e30)
        for k in range(start, start + BLOCK):
            along = read(ramp, BLOCK + k)
            over = read(h, k) - start_height + (bulge - c * along) * along
            high = larger(high, over * (read(root, BLOCK + k) * read(root, BLOCK + n - k)))
        if high >= best:
            best = high
            block = start
    best = F(-1e30)
    for k in range(BLOCK):
        i = block + k
        along = read(ramp, BLOCK + i)
        over = read(h, i) - start_height + (bulge - c * along) * along
        value = over * (read(root, BLOCK + i) * read(root, BLOCK + n - i))
        note(scratch, k, value)
        best = larger(best, value)
    return best, max(block + _last(scratch, best), 1)


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def sums(h, n, start_height, slope, ramp):
    """Sum of heights, of i times height, and the highest over the straight chord, all without the two ends."""
    plain = F(0)
    weighted = F(0)
    highest = F(-1e30)
    for k in range(1, n):
        height = read(h, k)
        along = read(ramp, BLOCK + k)
        plain += height
        weighted += along * height
        highest = larger(highest, height - start_height - slope * along)
    return plain, weighted, highest


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def ridge(h, first, last, start_height, slope, ramp):
    """Highest ground over a straight surface from point `first` to `last`."""
    highest = F(-1e30)
    low, high = F(first), F(last)
    for start in range(first // BLOCK * BLOCK, last + 1, BLOCK):
        for k in range(start, start + BLOCK):
            along = read(ramp, BLOCK + k)
            over = read(h, k) - slope * along
            highest = larger(highest, over if (along >= low) & (along <= high) else F(-1e30))
    return highest - start_height


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def edge(start_slope, end_slope, start_height, end_height, n, scale):
    """Parameter of Bullington's edge from the slopes of both horizon lines over the chord.

    `scale` is sqrt(0.002 / (wavelength step)): the parameter is scale times height by sqrt(i (n - i) / n).
    """
    at = (end_height - start_height + end_slope * n) / (start_slope + end_slope)
    # the lines meet between the horizons; where the ray only grazes, the quotient is all rounding
    at = min(max(at, F(0.5)), n - F(0.5))
    rest = n - at
    over = start_height + start_slope * at - (start_height * rest + end_height * at) / n
    return over * scale * math.sqrt(n / (at * rest))


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def bullington(g, n, start_height, end_height, c, inverse, root, ramp, scale, scratch):
    """Parameter of the equivalent edge of a profile with its clutter."""
    steps = F(n)
    ahead, _ = forward(g, n, start_height, c, inverse, ramp, scratch)
    if ahead < (end_height - start_height) / steps - c * steps:
        best, _ = in_sight(g, n, start_height, end_height, c, root, ramp, scratch)
        return best * scale * math.sqrt(steps)
    behind, _ = back(g, n, end_height, c, inverse, ramp, scratch)
    return edge(ahead + c * steps, behind + c * steps, start_height, end_height, steps, scale)


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def closed(buffer, n):
    """Fill a buffer from point n to the end of its last block and beyond, and point 0, with LOW."""
    buffer[0] = LOW
    for k in range(BLOCK):
        buffer[n + k] = LOW
