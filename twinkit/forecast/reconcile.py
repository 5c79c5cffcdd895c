"""Forecasts that add up: cells to sites, sites to the region, whatever was forecast for each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scipy.sparse import csr_matrix

__all__ = ["Hierarchy", "added_up", "covariance", "hierarchy", "reconciled"]


@dataclass(frozen=True)
class Hierarchy:
    """Who adds up to whom.

    Attributes
    ----------
    node : array (node,) of str
        ``"region:all"``, ``"site:s1"``, ``"cell:s1-0"``: the sums first, the leaves last.
    leaf : str
        The dim of the leaves.
    leaves : array (leaf,)
    sums : sparse array (node, leaf)
        1 where a leaf is part of a node.
    """

    node: np.ndarray
    leaf: str
    leaves: np.ndarray
    sums: csr_matrix


def hierarchy(levels: Mapping[str, Any]) -> Hierarchy:
    """The sums of leaves by one or more levels.

    Parameters
    ----------
    levels : dict of str to array (leaf,)
        The leaves first, ``{"cell": cells, "site": site_of_each_cell}``; over all of them stands ``region:all``.

    Returns
    -------
    Hierarchy

    Errors
    ------
    TwinError
        Leaves that repeat, levels of unlike length, or none.

    Examples
    --------
    >>> hierarchy({"cell": ["a1", "a2", "b1"], "site": ["a", "a", "b"]}).node.tolist()
    ['region:all', 'site:a', 'site:b', 'cell:a1', 'cell:a2', 'cell:b1']
    """
    from scipy.sparse import csr_matrix, vstack

    named = {str(k): np.asarray(v).astype(str) for k, v in dict(levels).items()}
    if not named:
        raise TwinError("levels, the leaves first", found="none", hint="{'cell': ..., 'site': ...}", where="levels")
    leaf, *above = named
    leaves = named[leaf]
    size = len(leaves)
    if any(v.shape != (size,) for v in named.values()) or not size:
        found = ", ".join(f"{k} {v.shape}" for k, v in named.items())
        raise TwinError("a name of every level for each leaf", found=found, hint="give one array each", where="levels")
    if len(np.unique(leaves)) < size:
        raise TwinError("leaves once each", found="names that repeat", hint="make the ids differ", where=leaf)
    parts, nodes = [csr_matrix(np.ones((1, size)))], ["region:all"]
    for level in reversed(above):
        names, which = np.unique(named[level], return_inverse=True)
        parts.append(csr_matrix((np.ones(size), (which, np.arange(size))), shape=(len(names), size)))
        nodes += [f"{level}:{n}" for n in names]
    parts.append(csr_matrix((np.ones(size), (np.arange(size), np.arange(size)))))
    nodes += [f"{leaf}:{n}" for n in leaves]
    return Hierarchy(np.array(nodes, dtype=object), leaf, np.asarray(levels[leaf]), csr_matrix(vstack(parts)))


def added_up(series: xr.DataArray, tree: Hierarchy) -> xr.DataArray:
    """The series of all nodes from those of the leaves.

    Parameters
    ----------
    series : DataArray (..., leaf)
        Quantities that add up: traffic and passengers do, loads do not.
    tree : Hierarchy

    Returns
    -------
    DataArray (..., node)
        NaN where a leaf of the node is NaN.

    Errors
    ------
    TwinError
        The leaves of the tree are not all there.

    Examples
    --------
    >>> tree = hierarchy({"cell": ["a1", "a2", "b1"], "site": ["a", "a", "b"]})
    >>> added_up(xr.DataArray([1.0, 2.0, 4.0], {"cell": ["a1", "a2", "b1"]}, "cell"), tree).values.tolist()
    [7.0, 3.0, 4.0, 1.0, 2.0, 4.0]
    """
    if tree.leaf not in series.dims or (series.indexes[tree.leaf].get_indexer(tree.leaves) < 0).any():
        raise TwinError(
            f"series of the {len(tree.leaves)} leaves along '{tree.leaf}'",
            found=f"dims {series.dims}",
            hint="build the hierarchy from series[dim]",
            where=str(series.name or "series"),
        )
    rest = [d for d in series.dims if d != tree.leaf]
    leaves = series.sel({tree.leaf: tree.leaves}).transpose(*rest, tree.leaf)
    values = np.asarray(leaves.to_numpy(), float)
    seen = np.isfinite(values)
    flat = np.where(seen, values, 0).reshape(-1, len(tree.leaves))
    total = (tree.sums @ flat.T).T
    missing = (tree.sums @ (~seen).reshape(flat.shape).T.astype(float)).T > 0
    total = np.where(missing, np.nan, total).reshape(*values.shape[:-1], -1)
    coords = {d: series[d] for d in rest if d in series.coords}
    attrs = {k: v for k, v in series.attrs.items() if k in ("units", "long_name", "provenance")}
    return xr.DataArray(total, {**coords, "node": tree.node}, (*rest, "node"), name=series.name, attrs=attrs)


def covariance(error: Any) -> np.ndarray:
    r"""Covariance of forecast errors of all nodes, shrunk towards its diagonal so that it can be inverted.

    .. math:: \hat λ = \frac{\sum_{i \ne j} \widehat{Var}(r_{ij})}{\sum_{i \ne j} r_{ij}^2}

    Parameters
    ----------
    error : array (n, node)
        Of one-day-ahead forecasts, one row a moment; the more the better.

    Returns
    -------
    array (node, node)

    Errors
    ------
    TwinError
        Fewer than three rows, or gaps.

    Examples
    --------
    >>> covariance(np.random.default_rng(1).standard_normal((50, 3))).shape
    (3, 3)

    References
    ----------
    J. Schäfer, K. Strimmer, Statistical Applications in Genetics and Molecular Biology 4(1), 2005, table 1, target D.
    """
    e = np.asarray(error, float)
    if e.ndim != 2 or len(e) < 3 or not np.isfinite(e).all():
        raise TwinError(
            "errors (n, node) without gaps, n from 3", found=f"shape {e.shape}", hint="dropna", where="error"
        )
    n = len(e)
    deviation = np.maximum(e.std(0, ddof=1), 1e-12 * max(np.abs(e).max(), 1e-300))
    z = (e - e.mean(0)) / deviation
    r = z.T @ z / (n - 1)
    variance = n / (n - 1) ** 3 * ((z**2).T @ z**2 - (z.T @ z) ** 2 / n)
    off = ~np.eye(len(r), dtype=bool)
    share = float(np.clip(variance[off].sum() / max((r[off] ** 2).sum(), 1e-300), 0, 1)) if off.any() else 0.0
    np.fill_diagonal(r, 1.0)
    r[off] *= 1 - share
    return np.asarray(r * np.outer(deviation, deviation))


def reconciled(said: xr.DataArray, tree: Hierarchy, *, variance: Any = None) -> xr.DataArray:
    r"""Forecasts of all nodes, moved as little as their errors allow until the medians add up.

    .. math:: \tilde y = \hat y - W U (U^T W U)^{-1} U^T \hat y, \qquad U^T y = 0 \text{ when } y \text{ adds up}

    W the errors' covariance: with all of it this is the minimum-trace combination, with its diagonal weighted, with
    equal variances ordinary least squares. Leaves that would fall below 0 are set to it and the sums follow. Each
    other quantile keeps its distance to the median, down to 0: quantiles of sums are no sums of quantiles.

    Parameters
    ----------
    said : DataArray (quantile, ..., node) or (..., node)
        Of quantiles, 0.5 must be one.
    tree : Hierarchy
    variance : array (node,) or (node, node), optional
        Left out: from the width of the intervals of `said`; for ordinary least squares give ones.

    Returns
    -------
    DataArray like `said`
        Not negative; its medians add up to rounding.

    Validity
    --------
    Quantities that add up and cannot be negative.

    Errors
    ------
    TwinError
        Nodes that are not the tree's, no median, NaN, variances of another shape or not positive.

    Examples
    --------
    >>> tree = hierarchy({"cell": ["a", "b"]})
    >>> said = xr.DataArray([9.0, 4.0, 2.0], {"node": tree.node}, "node")
    >>> reconciled(said, tree, variance=np.ones(3)).round(3).values.tolist()
    [8.0, 5.0, 3.0]

    References
    ----------
    S. Wickramasuriya, G. Athanasopoulos, R. Hyndman, *Optimal forecast reconciliation for hierarchical and grouped time
    series through trace minimization*, JASA 114, 2019, equations (8) and (9).
    """
    from scipy.sparse import csc_matrix, diags, eye, hstack
    from scipy.sparse.linalg import splu

    if "node" not in said.dims or not np.array_equal(said["node"].to_numpy().astype(str), tree.node.astype(str)):
        raise TwinError("forecasts of the tree's nodes", found=f"dims {said.dims}", hint="forecast added_up(...)")
    rest = [d for d in said.dims if d not in ("quantile", "node")]
    ordered = said.transpose(*[d for d in said.dims if d == "quantile"], *rest, "node")
    values = np.asarray(ordered.to_numpy(), float)
    if not np.isfinite(values).all():
        raise TwinError(
            "forecasts without gaps", found="NaN", hint="leave the series out", where=str(said.name or "said")
        )
    levels = np.asarray(said["quantile"].to_numpy()) if "quantile" in said.dims else np.array([0.5])
    if "quantile" not in said.dims:
        values = values[None]
    middle = np.flatnonzero(np.isclose(levels, 0.5))
    if len(middle) != 1:
        raise TwinError("the median among the quantiles", found=str(levels.tolist()), hint="add 0.5", where="quantile")
    median = values[middle[0]].reshape(-1, len(tree.node))
    weight = _variance(values, variance, len(tree.node))
    leaves = len(tree.leaves)
    upper = len(tree.node) - leaves
    constraint = csc_matrix(hstack([eye(upper), -tree.sums[:upper]]))
    gap = constraint @ median.T
    if weight.ndim == 1:
        spread = diags(weight) @ constraint.T
        moved = spread @ splu(csc_matrix(constraint @ spread)).solve(np.ascontiguousarray(gap))
    else:
        spread = weight @ constraint.T.toarray()
        moved = spread @ np.linalg.solve(constraint @ spread, gap)
    leaf = np.maximum((median.T - moved)[upper:], 0)
    whole = (tree.sums @ leaf).T.reshape(values.shape[1:])
    out = np.maximum(values - values[middle[0]] + whole, 0)
    out[middle[0]] = whole
    return ordered.copy(data=out if "quantile" in said.dims else out[0]).transpose(*said.dims)


def _variance(values: np.ndarray, variance: Any, nodes: int) -> np.ndarray:
    if variance is None:
        if len(values) < 2:
            raise TwinError(
                "variances, or quantiles to take them from", found="neither", hint="variance=np.ones(nodes)"
            )
        weight = ((values[-1] - values[0]).reshape(-1, nodes) ** 2).mean(0)
        # a series that is sure of itself to the last digit would take no correction, and leave the rest to others
        return np.asarray(np.maximum(weight, 1e-9 * max(float(weight.max()), 1e-30)))
    weight = np.asarray(variance, float)
    diagonal = weight if weight.ndim == 1 else np.diagonal(weight) if weight.ndim == 2 else np.array([])
    if weight.shape not in ((nodes,), (nodes, nodes)) or not (diagonal > 0).all() or not np.isfinite(weight).all():
        raise TwinError(
            f"positive variances ({nodes},) or a covariance ({nodes}, {nodes})",
            found=f"shape {weight.shape}",
            hint="tk.forecast.reconcile.covariance(errors)",
            where="variance",
        )
    return weight
