"""Is the world still the one that was learned: drift of features, and rows far outside what was seen.

A model says a confident number wherever it is asked. `domain` remembers the rows that it learned from;
``domain.distance(rows)`` is above 1 outside of them, and `cautious` then warns and widens.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import stamp
from twinkit.error import TwinError
from twinkit.learn.features import table

__all__ = ["Domain", "DomainWarning", "cautious", "domain", "drift"]

NEIGHBOURS = 5
MOST = 2000
"""Rows that a domain keeps; a thinned set knows the same region."""


class DomainWarning(UserWarning):
    """A prediction was asked for far outside of what the model has learned from."""


def drift(before: Any, now: Any, *, alarm: float = 0.01) -> xr.DataArray:
    r"""How far each feature's distribution has moved: the largest distance between the two distribution functions.

    .. math:: D = \max_x |F_{before}(x) - F_{now}(x)|

    Missing values count as a place of their own, below all others; so do texts, in the order of their letters.

    Parameters
    ----------
    before, now : Dataset, DataFrame or array (row, feature)
        The same features.
    alarm : float [1]
        Chance of a false alarm over all features together.

    Returns
    -------
    DataArray (feature) [1]
        Falling. 0: the same, 1: nothing in common. ``drifted``, a coordinate, says where it is more than chance; one
        of several features that go together by chance cannot raise it (Bonferroni).

    Validity
    --------
    Rows that do not depend on each other; a week of hours at one site counts for less than its 168 rows, so an alarm
    comes too early there: compare days.

    Errors
    ------
    TwinError
        Other features now than before, or a unit that is none of before.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> before = {"load": rng.normal(size=500), "height": rng.normal(size=500)}
    >>> now = {"load": 1 + rng.normal(size=500), "height": rng.normal(size=500)}
    >>> found = drift(before, now)
    >>> found.feature.values.tolist(), found.drifted.values.tolist()
    (['load', 'height'], [True, False])

    References
    ----------
    Rabanser, Günnemann and Lipton (2019), Failing loudly, section 3; the threshold is of Smirnov (1948).
    """
    if isinstance(before, xr.Dataset) and isinstance(now, xr.Dataset):
        for name in set(before.data_vars) & set(now.data_vars):
            old, new = (d[name].attrs.get("units") for d in (before, now))
            if old != new:
                raise TwinError(f"{name} in {old}, as before", found=f"unit {new}", hint="convert it", where=str(name))
    first, second = table(before), _same(table(now), list(table(before)))
    n, m = len(first), len(second)
    # the asymptotic law of Smirnov, P(D > d) < 2 exp(-2 d^2 n m / (n + m)), shared among the features
    limit = np.sqrt(np.log(2 * first.shape[1] / alarm) / 2 * (n + m) / (n * m))
    distance = np.array([_distance(first[c], second[c]) for c in first])
    rank = np.argsort(-distance, kind="stable")
    names = np.array(list(map(str, first)), dtype=object)
    # no stage: features are whatever the reader has, and a stage declares what it reads
    out = xr.DataArray(
        distance[rank],
        {"feature": names[rank], "drifted": ("feature", distance[rank] > limit)},
        ("feature",),
        attrs={"provenance": f"modelled: {n} rows before against {m} now; more than chance above {limit:.3f}"},
    )
    return stamp(out, "drift", given_by="twinkit.learn.drift")


@dataclass(frozen=True)
class Domain:
    """The region of features that a model has learned from; `domain` makes one.

    Attributes
    ----------
    features : tuple of str
    middle, size : array, shape (feature,)
        The median, and the range that holds the middle half (or the standard deviation where that is 0).
    points : array, shape (point, feature)
        Rows, in units of the size.
    reach : float
        The distance to its neighbours that 99 of 100 of those rows keep.
    target : array, shape (101,)
        Percentiles of the target.
    seen : dict of str to list of str
        The categories of each feature of text.
    """

    features: tuple[str, ...]
    middle: np.ndarray
    size: np.ndarray
    points: np.ndarray
    reach: float
    target: np.ndarray
    seen: dict[str, list[str]] = field(default_factory=dict)

    def distance(self, features: Any) -> np.ndarray:
        """How far each row lies from what was learned, in units of the reach: above 1 it is outside.

        Parameters
        ----------
        features : Dataset, DataFrame or array (row, feature)

        Returns
        -------
        array, shape (row,) [1]
            Infinite for a category never seen.

        Errors
        ------
        TwinError
            A feature is missing.
        """
        from scipy.spatial import cKDTree

        frame = _same(table(features), list(self.features))
        strange = np.zeros(len(frame), dtype=bool)
        for name, known in self.seen.items():
            strange |= ~frame[name].astype(str).isin(known).to_numpy()
        numbers = [n for n in self.features if n not in self.seen]
        if not numbers:
            return np.where(strange, np.inf, 0.0)
        rows = (frame[numbers].to_numpy(dtype=float) - self.middle) / self.size
        # what is missing is taken for the middle: absence is no distance
        near, _ = cKDTree(self.points).query(
            np.where(np.isfinite(rows), rows, 0.0), k=min(NEIGHBOURS, len(self.points))
        )
        mean = np.asarray(near).reshape(len(frame), -1).mean(axis=1)
        return np.where(strange, np.inf, mean / self.reach)


def domain(features: Any, target: Any) -> Domain:
    r"""The region of features that a model has learned from.

    A row's distance is the mean distance to its five nearest learned rows, each feature in units of the range of its
    middle half, as a share of the distance that 99 of 100 learned rows keep to their own five.

    Parameters
    ----------
    features : Dataset, DataFrame or array (row, feature)
        What the model learned from.
    target : array, shape (row,)

    Returns
    -------
    Domain

    Validity
    --------
    Up to some tens of features; those that the model does not go by should be left out, because they also count.

    Errors
    ------
    TwinError
        Fewer than 20 rows.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rows = {"load": rng.uniform(0, 1, 400), "height": rng.uniform(20, 40, 400)}
    >>> known = domain(rows, rows["load"])
    >>> near, far = known.distance({"load": [0.5, 3.0], "height": [30.0, 30.0]})
    >>> bool(near < 1 < far)
    True
    """
    import pandas as pd
    from scipy.spatial import cKDTree

    frame = table(features)
    if len(frame) < 20:
        raise TwinError("20 rows or more", found=f"{len(frame)}", hint="more rows, or none of this")
    y = np.asarray(target)
    y = y.astype(float).ravel()
    names = [str(c) for c in frame]
    frame.columns = pd.Index(names)
    text = [c for c in names if not pd.api.types.is_numeric_dtype(frame[c])]
    numbers = [c for c in names if c not in text]
    values = frame[numbers].to_numpy(dtype=float)
    middle = np.nanmedian(values, axis=0) if numbers else np.zeros(0)
    spread = np.nanquantile(values, 0.75, axis=0) - np.nanquantile(values, 0.25, axis=0) if numbers else np.zeros(0)
    other = np.nanstd(values, axis=0) if numbers else np.zeros(0)
    size = np.where(spread > 0, spread, np.where(other > 0, other, 1.0))
    points = np.where(np.isfinite(values), (values - middle) / size, 0.0)
    if len(points) > MOST:
        points = points[np.random.default_rng(0).permutation(len(points))[:MOST]]
    reach = 1.0
    if numbers:
        near, _ = cKDTree(points).query(points, k=min(NEIGHBOURS + 1, len(points)))
        reach = float(np.quantile(near[:, 1:].mean(axis=1), 0.99)) or 1.0
    seen = {c: sorted(frame[c].astype(str).unique().tolist()) for c in text}
    percentiles = np.nanquantile(y, np.linspace(0, 1, 101))
    return Domain(tuple(names), middle, size, points, reach, percentiles, seen)


def cautious(
    said: xr.DataArray, distance: Any, *, known: Domain, low: float = -np.inf, high: float = np.inf
) -> xr.DataArray:
    r"""Quantiles that widen outside of what was learned, with a warning that says how far.

    From distance 1 on an interval widens about its median with the distance, and it grows, until distance 2, to hold
    at least what the target did at all: beyond, the model's own number means little.

    Parameters
    ----------
    said : DataArray (quantile, row)
    distance : array, shape (row,) [1]
        Of ``known.distance(rows)``.
    known : Domain
    low, high : float [unit of said]
        What is possible at all, where there is such a bound: 0 for an energy. Widened ends stay within.

    Returns
    -------
    DataArray (quantile, row)
        Within distance 1 unchanged.

    Errors
    ------
    TwinError
        No ``quantile`` dim: a single number cannot say how unsure it is.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> known = domain({"load": rng.uniform(0, 1, 400)}, rng.uniform(0, 1, 400))
    >>> said = xr.DataArray([[0.4, 0.4], [0.6, 0.6]], {"quantile": [0.05, 0.95]}, ("quantile", "row"))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", DomainWarning)
    ...     wide = cautious(said, [0.5, 9.0], known=known)
    >>> (wide[1] - wide[0] > 0.21).values.tolist()
    [False, True]
    """
    if "quantile" not in said.dims or said.ndim != 2:
        raise TwinError("dims (quantile, row)", found=str(said.dims), hint="calibrate first: tk.learn.calibrated")
    row = next(d for d in said.dims if d != "quantile")
    far = np.asarray(distance, dtype=float)
    if far.shape != (said.sizes[row],):
        raise TwinError("a distance for each row", found=f"shape {far.shape}", hint="known.distance(rows)")
    outside = far > 1
    if not outside.any():
        return said
    warnings.warn(
        f"{int(outside.sum())} of {len(far)} rows lie outside what the model has learned from, the farthest "
        f"{far.max():.3g} times the usual distance: their intervals are widened",
        DomainWarning,
        stacklevel=2,
    )
    level = said["quantile"].to_numpy()
    values = said.transpose("quantile", row).to_numpy()
    middle = np.array([np.interp(0.5, level, values[:, n]) for n in range(values.shape[1])])
    # a category never seen is infinitely far: it gets the widest of what can be said, not an infinite one
    times = np.clip(far, 1.0, 100.0)
    wide = middle + (values - middle) * times
    share = np.clip(far - 1, 0, 1)
    marginal = np.interp(level, np.linspace(0, 1, 101), known.target)[:, None]
    lower = np.minimum(wide, values + share * (np.minimum(marginal, values) - values))
    upper = np.maximum(wide, values + share * (np.maximum(marginal, values) - values))
    out = np.where(level[:, None] < 0.5, lower, np.where(level[:, None] > 0.5, upper, wide)).clip(low, high)
    return said.transpose("quantile", row).copy(data=np.where(outside, out, values)).transpose(*said.dims)


def _distance(before: Any, now: Any) -> float:
    import pandas as pd

    if not (pd.api.types.is_numeric_dtype(before) and pd.api.types.is_numeric_dtype(now)):
        both = pd.concat([before.astype(str), now.astype(str)])
        code = np.unique(both.to_numpy(dtype=str), return_inverse=True)[1].astype(float)
        a, b = code[: len(before)], code[len(before) :]
    else:
        a, b = (np.nan_to_num(v.to_numpy(dtype=float), nan=-np.inf) for v in (before, now))
    a, b = np.sort(a), np.sort(b)
    at = np.unique(np.concatenate([a, b]))
    return float(np.abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max())


def _same(frame: Any, names: list[str]) -> Any:
    """The same features in the same order."""
    frame = frame.rename(columns=str)
    missing = [n for n in map(str, names) if n not in frame]
    if missing:
        raise TwinError(f"the features {', '.join(map(str, names))}", found=f"no '{missing[0]}'", hint="add it")
    return frame[list(map(str, names))]
