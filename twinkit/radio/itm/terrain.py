"""What Longley-Rice reads from a terrain profile: horizons, effective heights and terrain irregularity.

One profile is a row of ground heights at equal steps, transmitter first. Every routine walks it in a form that
the compiler turns into vector instructions: slopes are compared per step, so that 1/i comes from a table, and the
two deciles are found by counting, not by sorting.

Reference: G. A. Hufford, A. G. Longley, W. A. Kissick, NTIA Report 82-100 (1982); NTIA's own code, release 1.4.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

__all__ = ["mean_height", "read_profile", "workspace"]

MOST_SAMPLES = 245
"""How many points the terrain irregularity is taken from at most."""

_BINS = 256

# Sums may be reordered and maxima need not care for NaN, which is refused at the door.
_LOOSE = {"nnan", "nsz", "reassoc", "contract"}
_BLOCK = 32


@numba.njit(nogil=True, cache=True)
def workspace() -> tuple[Any, Any, Any]:
    """Arrays that `read_profile` needs to write on, one set a thread."""
    # one more than can be kept, because every value is written before it is known to stay
    return np.empty(MOST_SAMPLES), np.empty(MOST_SAMPLES + 1), np.empty(_BINS, np.int32)


@numba.njit(nogil=True, cache=True, fastmath=_LOOSE)
def mean_height(heights: Any) -> float:
    """Mean ground height [m] of the path without its first and last tenth."""
    last = heights.size - 1
    tenth = int(0.1 * last)
    total = 0.0
    for i in range(tenth, last - tenth + 1):
        total += heights[i]
    return total / (last - 2 * tenth + 1)


@numba.njit(nogil=True, cache=True, fastmath=_LOOSE)
def _steepest(heights: Any, inverse: Any, eye: float, sag: float) -> tuple[float, int]:
    """The steepest slope [m per step] that the transmitter sees between the ends, and its step."""
    last = heights.size - 1
    best, where = -np.inf, 1
    for start in range(1, last, _BLOCK):
        top = -np.inf
        for i in range(start, min(start + _BLOCK, last)):
            top = max(top, (heights[i] - eye) * inverse[i] - sag * i)
        if top > best:
            best, where = top, start
    # the step is found again inside the winning block alone: a search for an equal value could miss it by a rounding
    best, found = -np.inf, where
    for i in range(where, min(where + _BLOCK, last)):
        slope = (heights[i] - eye) * inverse[i] - sag * i
        if slope > best:
            best, found = slope, i
    return best, found


@numba.njit(nogil=True, cache=True, fastmath=_LOOSE)
def _line(heights: Any, first: float, last_wanted: float) -> tuple[float, float]:
    """Heights [m] at both ends of the path of the straight line fitted between two positions [steps]."""
    last = heights.size - 1
    start = int(max(first, 0.0))
    end = last - int(max(last - last_wanted, 0.0))
    if end <= start:
        start = max(start - 1, 0)
        end = last - max(last - (end + 1), 0)
    length = end - start
    middle = -0.5 * length
    total = 0.5 * (heights[start] + heights[end])
    tilt = 0.5 * (heights[start] - heights[end]) * middle
    for i in range(1, length):
        total += heights[start + i]
        tilt += heights[start + i] * (middle + i)
    total /= length
    tilt *= 12.0 / ((length * length + 2.0) * length)
    centre = end + middle
    return total - tilt * centre, total + tilt * (last - centre)


@numba.njit(nogil=True, cache=True)
def _ranked(values: Any, rank: int) -> float:
    """The rank-th largest of a few values, by bisection on how many are larger."""
    low, high = np.inf, -np.inf
    for v in values:
        low, high = min(low, v), max(high, v)
    for _ in range(64):
        middle = low + 0.5 * (high - low)
        if middle <= low or middle >= high:
            break
        count = 0
        for v in values:
            count += v > middle
        if count >= rank:
            low = middle
        else:
            high = middle
    # low and high are neighbours now: the answer is the largest value that is not above high
    answer = -np.inf
    for v in values:
        if v <= high:
            answer = max(answer, v)
    return answer


@numba.njit(nogil=True, cache=True, fastmath=_LOOSE)
def _spread(values: Any, rank: int, bins: Any, few: Any) -> float:
    """The rank-th largest value less the rank-th smallest; `bins` and `few` are scratch.

    One pass counts the values in equal bins; only the few that share a bin with an answer are then looked at.
    """
    low, high = np.inf, -np.inf
    for v in values:
        low, high = min(low, v), max(high, v)
    if high - low < 1e-9:  # flat but for rounding; a smaller range would overflow the scale
        return 0.0
    scale = (bins.size - 1) / (high - low)
    bins[:] = 0
    for v in values:
        bins[int((v - low) * scale)] += 1
    result = 0.0
    for side in range(2):
        wanted = rank if side == 0 else values.size - rank + 1
        b, above = bins.size - 1, 0
        while above + bins[b] < wanted:
            above += bins[b]
            b -= 1
        n = 0
        for v in values:
            few[n] = v
            n += int((v - low) * scale) == b
        answer = few[0] if n == 1 else _ranked(few[:n], wanted - above)
        result += answer if side == 0 else -answer
    return result


@numba.njit(nogil=True, cache=True, fastmath=_LOOSE)
def _irregularity(heights: Any, spacing: float, first: float, last_wanted: float, scratch: Any) -> float:
    """Terrain irregularity [m]: the range between the deciles about a fitted line, for a path of infinite length."""
    length = last_wanted - first
    if length < 2.0:
        return 0.0
    decile = min(max(int(0.1 * (length + 8.0)), 4), 25)
    n = 10 * decile - 5
    samples, few, bins = scratch
    step = length / (n - 1)
    last = heights.size - 1
    for j in range(n):
        position = first + j * step
        i = min(int(position), last - 1)
        samples[j] = heights[i] + (heights[i + 1] - heights[i]) * (position - i)
    some = samples[:n]
    start, end = _line(some, 0.0, n - 1.0)
    slope = (end - start) / (n - 1)
    for j in range(n):
        some[j] -= start + slope * j
    spread = _spread(some, decile, bins, few)
    return spread / (1.0 - 0.8 * math.exp(-length * spacing / 50e3))


@numba.njit(nogil=True, cache=True)
def smooth_horizon(effective: float, radius: float, irregularity: float) -> tuple[float, float]:
    """Horizon distance [m] over a smooth earth, and over irregular terrain (equation 3.3)."""
    smooth = math.sqrt(2.0 * effective * radius)
    return smooth, smooth * math.exp(-0.07 * math.sqrt(irregularity / max(effective, 5.0)))


@numba.njit(nogil=True, cache=True)
def horizon_angle(effective: float, smooth: float, distance: float, irregularity: float) -> float:
    """Horizon elevation angle [radian] over irregular terrain (equation 3.4)."""
    return (0.65 * irregularity * (smooth / distance - 1.0) - 2.0 * effective) / smooth


@numba.njit(nogil=True, cache=True)
def read_profile(
    heights: Any,
    backwards: Any,
    inverse: Any,
    scratch: Any,
    spacing: float,
    transmitter: float,
    receiver: float,
    radius: float,
) -> tuple[float, float, float, float, float, float, float]:
    """Horizon angles [radian] and distances [m], effective heights [m] of both ends, and terrain irregularity [m].

    `backwards` is the profile seen from the receiver, `inverse` holds 1/i, `scratch` comes from `workspace`.
    """
    last = heights.size - 1
    distance = last * spacing
    z_1, z_2 = heights[0] + transmitter, heights[last] + receiver
    sag = spacing * spacing / (2.0 * radius)

    # what the terminals see of each other, unless a point between them stands higher
    theta_1 = (z_2 - z_1) / distance - distance / (2.0 * radius)
    theta_2 = (z_1 - z_2) / distance - distance / (2.0 * radius)
    d_1 = d_2 = distance
    slope, step = _steepest(heights, inverse, z_1, sag)
    if slope / spacing > theta_1:
        theta_1, d_1 = slope / spacing, step * spacing
    slope, step = _steepest(backwards, inverse, z_2, sag)
    if slope / spacing > theta_2:
        theta_2, d_2 = slope / spacing, step * spacing

    # the ground about the masts, up to fifteen times their height, is no terrain
    first = min(15.0 * transmitter, 0.1 * d_1)
    final = distance - min(15.0 * receiver, 0.1 * d_2)
    irregularity = _irregularity(heights, spacing, first / spacing, final / spacing, scratch)

    if d_1 + d_2 > 1.5 * distance:
        # well within line of sight: the horizons are those of the fitted plane
        fit_1, fit_2 = _line(heights, first / spacing, final / spacing)
        h_1 = transmitter + max(heights[0] - fit_1, 0.0)
        h_2 = receiver + max(heights[last] - fit_2, 0.0)
        smooth_1, d_1 = smooth_horizon(h_1, radius, irregularity)
        smooth_2, d_2 = smooth_horizon(h_2, radius, irregularity)
        if d_1 + d_2 <= distance:
            stretch = (distance / (d_1 + d_2)) ** 2
            h_1, h_2 = h_1 * stretch, h_2 * stretch
            smooth_1, d_1 = smooth_horizon(h_1, radius, irregularity)
            smooth_2, d_2 = smooth_horizon(h_2, radius, irregularity)
        theta_1 = horizon_angle(h_1, smooth_1, d_1, irregularity)
        theta_2 = horizon_angle(h_2, smooth_2, d_2, irregularity)
    else:
        fit_1, _ = _line(heights, first / spacing, 0.9 * d_1 / spacing)
        _, fit_2 = _line(heights, (distance - 0.9 * d_2) / spacing, final / spacing)
        h_1 = transmitter + max(heights[0] - fit_1, 0.0)
        h_2 = receiver + max(heights[last] - fit_2, 0.0)
    return theta_1, theta_2, d_1, d_2, h_1, h_2, irregularity
