"""Utility: how much of a table survives its release, said in the measures of those who use flows."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinkit.error import TwinError
from twinkit.mobility.agreement import common_part, same_cells

__all__ = ["common_part", "earth_mover", "jensen_shannon", "symmetric_error", "top_recall"]


def symmetric_error(truth: Any, released: Any) -> float:
    """Symmetric mean absolute percentage error, as a share: 0 is exact, 2 shares nothing.

    Equation: mean over cells of |a - b| / ((a + b) / 2), cells that are empty in both left out.

    Examples
    --------
    >>> symmetric_error([1, 0, 2], [3, 0, 2])
    0.5

    References
    ----------
    J. S. Armstrong, Long-Range Forecasting, 1985, page 348.
    """
    a, b = same_cells(truth, released)
    filled = a + b > 0
    if not filled.any():
        return 0.0
    a, b = a[filled], b[filled]
    return float(np.mean(2 * np.abs(a - b) / (a + b)))


def jensen_shannon(truth: Any, released: Any) -> float:
    """Jensen-Shannon divergence of the two distributions over cells: 0 is the same, 1 has nothing in common.

    Equation: H((p + q) / 2) - (H(p) + H(q)) / 2, H in bits.

    Errors
    ------
    TwinError
        An empty table has no distribution.

    Examples
    --------
    >>> jensen_shannon([1, 0], [0, 5])
    1.0

    References
    ----------
    J. Lin, Divergence Measures Based on the Shannon Entropy, 1991, equation (4.1).
    """
    a, b = _distributions(truth, released)
    middle = (a + b) / 2

    def divergence(p: np.ndarray) -> float:
        some = p > 0
        return float((p[some] * np.log2(p[some] / middle[some])).sum())

    return min(1.0, max(0.0, (divergence(a) + divergence(b)) / 2))


def _distributions(truth: Any, released: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = same_cells(truth, released)
    if not a.sum() or not b.sum():
        raise TwinError(
            "tables with something in them", found="an empty one", hint="an empty table has no distribution"
        )
    return a / a.sum(), b / b.sum()


def earth_mover(truth: Any, released: Any, *, distance: Any) -> float:
    """Earth mover's distance: how far each trip of one table must be moved on average to make the other one.

    Equation: min over plans f >= 0 of sum f_ij d_ij, rows of f adding up to p, columns to q.

    Parameters
    ----------
    truth, released : DataArray or array, n cells [count]
    distance : array, n by n [m]
        Between each two cells, symmetric, 0 on the diagonal and never longer than a detour.

    Returns
    -------
    float [m]

    Validity
    --------
    What both tables have in common stays where it is, which is best for a distance without shortcuts. A linear
    programme of cells that gain times cells that lose: up to some hundred cells each.

    Errors
    ------
    TwinError
        A distance of another shape, or one that is no distance.

    Examples
    --------
    >>> earth_mover([4, 0, 0], [2, 0, 2], distance=[[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    1.0

    References
    ----------
    Y. Rubner, C. Tomasi, L. Guibas, The Earth Mover's Distance as a Metric for Image Retrieval, 2000, equation (1).
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, kron, vstack

    p, q = _distributions(truth, released)
    d = np.asarray(distance, dtype=float)
    if d.shape != (p.size, p.size) or not np.isfinite(d).all() or (d < 0).any() or np.diagonal(d).any():
        raise TwinError(
            f"distances of {p.size} by {p.size} cells, 0 on the diagonal",
            found=f"shape {d.shape}" if d.shape != (p.size, p.size) else "negative ones, or others on the diagonal",
            hint="np.hypot(x[:, None] - x, y[:, None] - y) of the cells' centres",
            where="distance",
        )
    lose, gain = np.flatnonzero(p > q), np.flatnonzero(q > p)
    if not lose.size or not gain.size:
        return 0.0
    supply, demand = (p - q)[lose], (q - p)[gain]
    demand = demand * (supply.sum() / demand.sum())
    rows = kron(eye_array(lose.size), csr_array(np.ones((1, gain.size))))
    columns = kron(csr_array(np.ones((1, lose.size))), eye_array(gain.size))
    # one sum follows from all others, and without it rounding cannot make the programme impossible
    sums = vstack([rows, columns]).tocsr()[:-1]
    made = linprog(d[np.ix_(lose, gain)].ravel(), A_eq=sums, b_eq=np.concatenate([supply, demand])[:-1], method="highs")
    if made.fun is None:
        raise TwinError("a plan that can be made", found=str(made.message), hint="compare fewer cells")
    return float(made.fun)


def top_recall(truth: Any, released: Any, *, count: int) -> float:
    """Share of the truly greatest cells that are among as many greatest ones of the release; ties do not flatter it.

    Where the last of the truly greatest ties with others, nobody can say which of them belongs to it: they are left
    out, and k cells remain that are the greatest however ties are broken. Where the last of the release's k greatest
    ties with others, lots decide, and the mean over all lots counts.

    Equation: mean over the k cells of the chance that the cell is among the k greatest of the release.

    Parameters
    ----------
    truth, released : DataArray or array, same cells
    count : int
        k at most.

    Returns
    -------
    float [1], 0 to 1
        1 for the truth itself; k over the number of cells for a release that says nothing, such as an empty table.

    Errors
    ------
    TwinError
        More cells asked for than there are, or more that tie for the first than were asked for.

    Examples
    --------
    >>> top_recall([9, 8, 1, 0], [9, 2, 5, 0], count=2)
    0.5
    >>> top_recall([9, 8, 1, 0], [0, 0, 0, 0], count=2)
    0.5
    """
    a, b = same_cells(truth, released)
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= a.size:
        raise TwinError(f"a count from 1 to {a.size} cells", found=repr(count), hint="count=100", where="count")
    down = np.sort(a)[::-1]
    k = int(count)
    if k < a.size and down[k - 1] == down[k]:
        k = int((a > down[k]).sum())
    if not k:
        hint = "take a greater count, or a truth in which somebody stands out"
        raise TwinError("some cells greater than the others", found="all tie", hint=hint, where="truth")
    sure = a >= down[k - 1]
    last = np.sort(b)[::-1][k - 1]
    above, tied = b > last, b == last
    chance = above + tied * (k - above.sum()) / tied.sum()
    return float(chance[sure].mean())
