"""Sums made consistent: one table from noisy cells and noisy margins, with no count below zero.

It looks at released numbers alone, so it costs no privacy.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["consistent", "non_negative"]


def consistent(
    cells: np.ndarray,
    margins: Sequence[tuple[tuple[int, ...], np.ndarray, float]] = (),
    *,
    deviation: float,
) -> np.ndarray:
    """The table that fits noisy cells and noisy sums of it best, by least squares.

    Equation: min over x of sum((x - cells)^2) / s^2 + sum over margins of sum((M x - margin)^2) / s_M^2, s and s_M the
    deviations of the noise. Solved in closed form: means over dims and what is left of them are orthogonal, so each
    part of the table is a weighted mean of what cells and margins say of it.

    Parameters
    ----------
    cells : array, any shape
    margins : list of (axes that stay, noisy sums, standard deviation of their noise)
    deviation : float
        Of the noise of a cell.

    Returns
    -------
    array, shape of `cells`

    Errors
    ------
    TwinError
        A margin of another shape.

    Examples
    --------
    >>> consistent(np.array([[4.0, 0.0], [2.0, 2.0]]), [((), np.array(12.0), 1e-9)], deviation=1.0).round(6).tolist()
    [[5.0, 1.0], [3.0, 3.0]]

    References
    ----------
    M. Hay, V. Rastogi, G. Miklau, D. Suciu, Boosting the Accuracy of Differentially Private Histograms Through
    Consistency, 2010, Section 4: the same least squares on a tree.
    """
    cells = np.asarray(cells, float)
    axes = range(cells.ndim)
    if not all(np.isfinite(v) and v > 0 for v in (deviation, *(spread for *_, spread in margins))):
        raise TwinError("deviations above 0", found="others", hint="take Noise.deviation", where="deviation")
    said = [(frozenset(axes), cells, 1.0 / deviation**2)]
    for stay, sums, spread in margins:
        shape = tuple(cells.shape[a] for a in sorted(stay))
        if np.shape(sums) != shape:
            raise TwinError(f"a margin of shape {shape}", found=f"shape {np.shape(sums)}", hint="sum the same table")
        many = cells.size / max(np.prod(shape), 1)
        full = [slice(None) if a in stay else None for a in axes]
        # the mean over what was summed up, and how surely it is known in units of a cell
        said.append((frozenset(stay), np.asarray(sums, float)[tuple(full)] / many, many / spread**2))
    out = np.zeros(cells.shape)
    for size in range(cells.ndim + 1):
        for part in map(frozenset, itertools.combinations(axes, size)):
            known = [(values, weight) for stay, values, weight in said if part <= stay]
            total = sum(weight for _, weight in known)
            for values, weight in known:
                out = out + weight / total * _part(values, part)
    return out


def _part(values: np.ndarray, part: frozenset[int]) -> np.ndarray:
    """What varies along exactly these axes: the mean over all others, less its own means."""
    others = tuple(a for a in range(values.ndim) if a not in part)
    out = values.mean(axis=others, keepdims=True)
    for a in part:
        out = out - out.mean(axis=a, keepdims=True)
    return out


def non_negative(table: np.ndarray) -> np.ndarray:
    """The table nearest to the given one without a value below zero and with the same sum.

    Equation: x = max(table - t, 0), t such that the sum stays. Small values, which are mostly noise, go to zero; the
    order of the others stays. A table whose sum is zero or less becomes all zeros.

    Examples
    --------
    >>> non_negative(np.array([5.0, -2.0, 1.0])).tolist()
    [4.0, 0.0, 0.0]

    References
    ----------
    J. Duchi, S. Shalev-Shwartz, Y. Singer, T. Chandra, Efficient Projections onto the l1-Ball for Learning in High
    Dimensions, 2008, Figure 1.
    """
    flat = np.asarray(table, float).ravel()
    if not np.isfinite(flat).all():
        raise TwinError("a table of numbers", found="some that are none", hint="table.fillna(0)", where="table")
    total = flat.sum()
    if not flat.size or total <= 0:
        return np.zeros(np.shape(table))
    if flat.min() >= 0:
        return np.array(table, float)
    down = np.sort(flat)[::-1]
    over = (np.cumsum(down) - total) / np.arange(1, flat.size + 1)
    t = over[np.flatnonzero(down > over)[-1]]
    return np.maximum(flat - t, 0.0).reshape(np.shape(table))
