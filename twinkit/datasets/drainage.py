"""Valleys as water cuts them: drainage of a surface, and its incision by stream power."""

from __future__ import annotations

import heapq

import numba
import numpy as np

__all__ = ["incised"]


@numba.njit(cache=True)
def _drained(height: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The surface with its pits filled, where each pixel's water goes, and the pixels from the outlets upwards.

    Priority flood from the edge: a pixel drains to the one from which the flood reached it; the edge to itself. A
    filled pit rises inwards by `noise` a pixel, so that streams wind across it instead of following the grid.
    """
    rows, columns = height.shape
    flat, rise = height.ravel().copy(), noise.ravel()
    receiver = np.full(flat.size, -1, dtype=np.int64)
    order = np.empty(flat.size, dtype=np.int64)
    heap = [(0.0, np.int64(0)) for _ in range(0)]
    for r in range(rows):
        for c in range(columns):
            if r == 0 or c == 0 or r == rows - 1 or c == columns - 1:
                i = np.int64(r * columns + c)
                receiver[i] = i
                heapq.heappush(heap, (flat[i], i))
    count = 0
    while len(heap) > 0:
        level, i = heapq.heappop(heap)
        flat[i] = level
        order[count] = i
        count += 1
        r, c = i // columns, i % columns
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                rr, cc = r + dr, c + dc
                if 0 <= rr < rows and 0 <= cc < columns:
                    j = np.int64(rr * columns + cc)
                    if receiver[j] < 0:
                        receiver[j] = i
                        heapq.heappush(heap, (max(level + rise[j], flat[j]), j))
    return flat.reshape(height.shape), receiver, order


@numba.njit(cache=True)
def _cut(height: np.ndarray, receiver: np.ndarray, order: np.ndarray, strength: float) -> np.ndarray:
    """One implicit step of stream power with exponents m = 1/2, n = 1 (Braun and Willett, 2013, equation 12)."""
    flat = height.ravel().copy()
    area = np.ones(flat.size)
    for k in range(flat.size - 1, -1, -1):
        i = order[k]
        if receiver[i] != i:
            area[receiver[i]] += area[i]
    for k in range(flat.size):
        i = order[k]
        down = receiver[i]
        if down != i and flat[i] > flat[down]:
            factor = strength * np.sqrt(area[i])
            flat[i] = (flat[i] + factor * flat[down]) / (1.0 + factor)
    return flat.reshape(height.shape)


def incised(height: np.ndarray, *, strength: float, steps: int, rng: np.random.Generator) -> np.ndarray:
    """A surface after rivers have filled its pits and cut into the rest; the edge stays.

    dz/dt = -K · A^(1/2) · S, implicit in time, on the drainage that a priority flood finds.

    Parameters
    ----------
    height : array (y, x) [m]
    strength : float [1]
        K · dt of one step, for areas in pixels and slopes along pixels.
    steps : int
        Drainage is found anew before each.
    rng : Generator
        For the way of streams across filled pits.

    Returns
    -------
    height : array (y, x) [m]
        Without a pit.

    Examples
    --------
    >>> dome = np.array([[0.0, 0, 0], [0, 9.0, 0], [0, 0, 0]])
    >>> float(incised(dome, strength=2.0, steps=1, rng=np.random.default_rng(1))[1, 1])
    3.0

    References
    ----------
    Braun and Willett (2013), Geomorphology 180-181, 170-179. Barnes et al. (2014), Computers & Geosciences 62, 117-127.
    """
    out = np.ascontiguousarray(height, dtype=np.float64)
    noise = 0.2 * rng.random(out.shape)
    for _ in range(steps):
        filled, receiver, order = _drained(out, noise)
        out = _cut(filled, receiver, order, strength)
    return out
