"""Scores: how far off, how sure, and how sure of the score itself.

Every score takes what was observed first. Rows without an observation are left out; a missing prediction where there
was something to predict is refused, because leaving it out would reward silence. Labelled arrays are aligned by their
labels and reduced over `dim` (all dims when left out); plain arrays give one number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from twinkit.contract import whole_seed
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Estimate",
    "area_under_curve",
    "bias",
    "bootstrap",
    "coverage",
    "crps",
    "interval_score",
    "mae",
    "mape",
    "mase",
    "pinball",
    "rmse",
    "seasonal_scale",
    "width",
    "wmape",
]

# str or list of str: xarray's own aggregations disagree with each other on the type
Dim = Any


class Estimate(NamedTuple):
    """A score with the interval in which it would lie had other groups been drawn."""

    value: float
    low: float
    high: float


def rmse(observed: Any, predicted: Any, *, dim: Dim = None) -> Any:
    r"""Root of the mean squared error.

    .. math:: \sqrt{\tfrac1n \sum (y - \hat y)^2}

    Parameters
    ----------
    observed, predicted : array or DataArray [any unit]
    dim : str or list of str, optional
        Dims to reduce; all when left out.

    Returns
    -------
    float or DataArray [the unit of observed]

    Errors
    ------
    TwinError
        Nothing observed, a missing prediction, or shapes that do not fit.

    Examples
    --------
    >>> rmse([1.0, 2.0, np.nan], [1.0, 4.0, 9.0])
    1.4142135623730951
    """
    y, p = _paired(observed, predicted)
    return _plain(((y - p) ** 2).mean(dim) ** 0.5, dim)


def mae(observed: Any, predicted: Any, *, dim: Dim = None) -> Any:
    """Mean of the absolute error; parameters, returns and errors as of `rmse`.

    >>> mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    y, p = _paired(observed, predicted)
    return _plain(abs(y - p).mean(dim), dim)


def bias(observed: Any, predicted: Any, *, dim: Dim = None) -> Any:
    """Mean of predicted less observed: above 0 the model says too much; the rest as of `rmse`.

    >>> bias([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    y, p = _paired(observed, predicted)
    return _plain((p - y).mean(dim), dim)


def mape(observed: Any, predicted: Any, *, dim: Dim = None) -> Any:
    r"""Mean of the absolute error as a share of what was observed.

    .. math:: \tfrac1n \sum |y - \hat y| / |y|

    Parameters
    ----------
    observed : array or DataArray
        Nowhere 0.
    predicted : array or DataArray
    dim : str or list of str, optional

    Returns
    -------
    float or DataArray [1]
        A ratio: 0.09 is 9 %.

    Errors
    ------
    TwinError
        Zeros among the observed (the share has no meaning there), and what `rmse` refuses.

    Examples
    --------
    >>> round(mape([2.0, 4.0], [1.0, 4.0]), 3)
    0.25
    """
    y, p = _paired(observed, predicted)
    if bool((y == 0).any()):
        raise TwinError(
            "observations other than 0, so that a share of them has a meaning",
            found=f"{int((y == 0).sum())} zeros",
            hint="use tk.learn.wmape, which divides by their sum",
            where="observed",
        )
    return _plain((abs(y - p) / abs(y)).mean(dim), dim)


def wmape(observed: Any, predicted: Any, *, dim: Dim = None) -> Any:
    r"""Sum of the absolute errors as a share of the sum of what was observed.

    .. math:: \sum |y - \hat y| / \sum |y|

    Parameters
    ----------
    observed, predicted : array or DataArray
    dim : str or list of str, optional

    Returns
    -------
    float or DataArray [1]
        A ratio; NaN in a DataArray where a series sums to 0.

    Errors
    ------
    TwinError
        Nothing but zeros observed, and what `rmse` refuses.

    Examples
    --------
    >>> wmape([0.0, 4.0], [1.0, 4.0])
    0.25
    """
    y, p = _paired(observed, predicted)
    total = abs(y).sum(dim)
    if not bool((total > 0).any()):
        raise TwinError("observations that sum to more than 0", found="zeros alone", hint="use tk.learn.mae")
    return _plain(abs(y - p).sum(dim) / total.where(total > 0), dim)


def seasonal_scale(history: Any, *, season: int, dim: str = "time") -> Any:
    r"""The mean absolute step from one season to the next in what is known: the unit in which `mase` counts.

    .. math:: s = \tfrac{1}{n-m} \sum_{t>m} |y_t - y_{t-m}|

    Parameters
    ----------
    history : array (time last) or DataArray with `dim`
        What was known when the forecast was made.
    season : int
        Steps in a season, m; 168 for a week of hours.

    Returns
    -------
    array or DataArray, without time
        Of plain arrays, one number for a single series.

    Errors
    ------
    TwinError
        A history of no more than one season, or one that repeats itself without any change (constant series).

    Examples
    --------
    >>> float(seasonal_scale(np.array([1.0, 2.0, 2.0, 4.0]), season=2))
    1.5
    """
    y = history if isinstance(history, xr.DataArray) else xr.DataArray(np.asarray(history, dtype=float))
    along: Any = dim if isinstance(history, xr.DataArray) else y.dims[-1]
    if along not in y.dims:
        raise TwinError(f"a history along '{along}'", found=f"dims {y.dims}", hint="name the dim: dim=...")
    if isinstance(season, bool) or not isinstance(season, int | np.integer) or not 1 <= season < y.sizes[along]:
        raise TwinError(
            f"a season from 1 to {y.sizes[along] - 1} steps, shorter than the history",
            found=repr(season),
            hint="give a longer history, or a shorter season",
            where="season",
        )
    step = abs(y - y.shift({along: season}))
    scale = step.mean(along)
    if not bool((scale > 0).all()):
        raise TwinError(
            "a history that changes from season to season",
            found=f"{int((~(scale > 0)).sum())} constant or all-missing series",
            hint="drop them, or score with tk.learn.mae: any forecast of a constant is a division by zero",
            where="history",
        )
    return scale if isinstance(history, xr.DataArray) else scale.to_numpy()[()]


def mase(observed: Any, predicted: Any, *, scale: Any, dim: Dim = None) -> Any:
    r"""Mean absolute error in units of the step from season to season: below 1 beats last week on its own past.

    .. math:: \tfrac1n \sum |y - \hat y| / s

    Parameters
    ----------
    observed, predicted : array or DataArray
    scale : float, array or DataArray
        `seasonal_scale` of what was known at the origin.
    dim : str or list of str, optional

    Returns
    -------
    float or DataArray [1]

    Errors
    ------
    TwinError
        A scale of 0 or less, and what `rmse` refuses.

    Examples
    --------
    >>> float(mase([2.0, 4.0], [1.0, 4.0], scale=0.5))
    1.0

    References
    ----------
    Hyndman and Koehler (2006), Another look at measures of forecast accuracy, equation (5) in its seasonal form.
    """
    if not bool(np.all(np.asarray(scale) > 0)):
        raise TwinError(
            "a scale above 0", found="0, less or missing", hint="see tk.learn.seasonal_scale", where="scale"
        )
    y, p = _paired(observed, predicted)
    unit = scale
    if not isinstance(scale, xr.DataArray) and np.ndim(scale):
        # plain arrays: one scale for each series, time last
        unit = xr.DataArray(np.asarray(scale, dtype=float), dims=y.dims[: np.ndim(scale)])
    return _plain((abs(y - p) / unit).mean(dim), dim)


def pinball(observed: Any, quantiles: Any, *, levels: Any = None, dim: Dim = None) -> Any:
    r"""Quantile loss, averaged over the quantiles unless `dim` leaves them.

    .. math:: \max(q (y - \hat y_q), (q - 1)(y - \hat y_q))

    Parameters
    ----------
    observed : array or DataArray
    quantiles : DataArray with a ``quantile`` dim, or array with the quantiles first
    levels : array of float [1], optional
        The levels of a plain array.
    dim : str or list of str, optional

    Returns
    -------
    float or DataArray [the unit of observed]

    Errors
    ------
    TwinError
        No levels, levels outside (0, 1), and what `rmse` refuses.

    Examples
    --------
    >>> round(pinball([1.0], [[0.0], [3.0]], levels=[0.1, 0.9]), 3)
    0.15
    """
    y, p = _paired(observed, _levelled(quantiles, levels))
    q = p["quantile"]
    return _plain(xr.where(y >= p, q * (y - p), (q - 1) * (y - p)).where(y.notnull()).mean(dim), dim)


def crps(observed: Any, said: Any, *, levels: Any = None, member: str = "member", dim: Dim = None) -> Any:
    r"""Continuous ranked probability score, of an ensemble (``member``) or of quantiles (``quantile``).

    .. math:: \tfrac1m\sum_i |x_i - y| - \tfrac{1}{2m(m-1)} \sum_{i,j} |x_i - x_j|
       \qquad\text{or}\qquad 2 \int_0^1 \text{pinball}_q \, dq

    Parameters
    ----------
    observed : array or DataArray
    said : DataArray with `member` or ``quantile``, or array with the quantiles first and `levels`
        The integral over quantiles is by trapezia, each end level standing for all beyond it.
    dim : str or list of str, optional

    Returns
    -------
    float or DataArray [the unit of observed]
        The fair score, which does not depend on the number of members.

    Errors
    ------
    TwinError
        Neither dim, a single member, and what `pinball` refuses.

    Examples
    --------
    >>> crps(0.0, xr.DataArray([-1.0, 1.0], dims="member"))
    0.0

    References
    ----------
    Ferro (2014), Fair scores for ensemble forecasts, equation (3); Gneiting and Ranjan (2011), equation (4).
    """
    if isinstance(said, xr.DataArray) and member in said.dims:
        m = said.sizes[member]
        if m < 2:
            raise TwinError("two members or more", found="one", hint="score a single forecast with tk.learn.mae")
        y, p = _paired(observed, said)
        axis = p.get_axis_num(member)
        ranked = xr.DataArray(np.sort(p.to_numpy(), axis=axis), p.coords, p.dims)
        # sum over pairs of |x_i - x_j| through the ranks: one sort instead of m squared differences
        weight = xr.DataArray(2.0 * np.arange(m) - m + 1, dims=member, coords={member: p[member]})
        within = (ranked * weight).sum(member) / (m * (m - 1))
        score = abs(y - p).mean(member) - within
        return _plain(score.where(y.notnull().any(member) if member in y.dims else y.notnull()).mean(dim), dim)
    p = _levelled(said, levels)
    q = p["quantile"].to_numpy()
    if len(q) < 2:
        raise TwinError("two quantiles or more", found="one", hint="score one quantile with tk.learn.pinball")
    edge = np.concatenate([[0.0], (q[1:] + q[:-1]) / 2, [1.0]])
    share = xr.DataArray(np.diff(edge), {"quantile": p["quantile"]}, ("quantile",))
    y, p = _paired(observed, p)
    loss = xr.where(y >= p, p["quantile"] * (y - p), (p["quantile"] - 1) * (y - p))
    score = 2 * (loss * share).sum("quantile", skipna=False)
    return _plain(score.mean(dim), dim)


def coverage(observed: Any, lower: Any, upper: Any, *, dim: Dim = None) -> Any:
    """Share of the observed that lies within the interval, its ends included.

    Parameters
    ----------
    observed, lower, upper : array or DataArray
    dim : str or list of str, optional

    Returns
    -------
    float or DataArray [1]

    Errors
    ------
    TwinError
        An interval turned over (lower above upper), and what `rmse` refuses.

    Examples
    --------
    >>> coverage([1.0, 5.0], [0.0, 0.0], [2.0, 2.0])
    0.5
    """
    y, low, high = _intervals(observed, lower, upper)
    return _plain(((y >= low) & (y <= high)).where(y.notnull()).mean(dim), dim)


def width(lower: Any, upper: Any, *, dim: Dim = None) -> Any:
    """Mean width of intervals: of two with the same coverage the narrower knows more.

    >>> width([0.0, 0.0], [1.0, 3.0])
    2.0
    """
    low, high = _paired(lower, upper)
    return _plain((high - low).mean(dim), dim)


def interval_score(observed: Any, lower: Any, upper: Any, *, level: float, dim: Dim = None) -> Any:
    r"""Width, and for what lies outside its distance times 2/(1-level): coverage and width in one number.

    .. math:: (u - l) + \tfrac{2}{1-p} (l - y)_+ + \tfrac{2}{1-p} (y - u)_+

    Parameters
    ----------
    observed, lower, upper : array or DataArray
    level : float [1]
        What the interval claims to cover, p: 0.9.
    dim : str or list of str, optional

    Returns
    -------
    float or DataArray [the unit of observed]

    Errors
    ------
    TwinError
        A level outside (0, 1), an interval turned over, and what `rmse` refuses.

    Examples
    --------
    >>> round(interval_score([3.0], [0.0], [2.0], level=0.9), 6)
    22.0

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, equation (43).
    """
    if not 0 < level < 1:
        raise TwinError("a level between 0 and 1", found=repr(level), hint="give 0.9", where="level")
    y, low, high = _intervals(observed, lower, upper)
    outside = (low - y).clip(min=0) + (y - high).clip(min=0)
    return _plain((high - low + 2 / (1 - level) * outside).where(y.notnull()).mean(dim), dim)


def area_under_curve(observed: Any, score: Any) -> float:
    r"""Probability that a positive is ranked above a negative; ties count a half.

    Parameters
    ----------
    observed : array of 0 and 1, shape (row,)
    score : array of float, shape (row,)
        Higher for what is rather 1.

    Returns
    -------
    float [1]
        0.5 for a guess.

    Errors
    ------
    TwinError
        Other values than 0 and 1, one of both alone, or a missing score.

    Examples
    --------
    >>> area_under_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75

    References
    ----------
    Hanley and McNeil (1982), The meaning and use of the area under a receiver operating characteristic curve, p. 30.
    """
    from scipy.stats import rankdata

    y, s = np.asarray(observed, dtype=float), np.asarray(score, dtype=float)
    if y.shape != s.shape or y.ndim != 1:
        raise TwinError("one score for each row", found=f"{y.shape} and {s.shape}", hint="pass two columns")
    if not np.isin(y, (0.0, 1.0)).all():
        raise TwinError("observations of 0 and 1", found="other values", hint="make them 0 and 1", where="observed")
    if not np.isfinite(s).all():
        raise TwinError("a score in every row", found="a missing one", hint="score every row", where="score")
    positive = int(y.sum())
    negative = len(y) - positive
    if not positive or not negative:
        raise TwinError("both 0 and 1", found=f"{positive} ones, {negative} zeros", hint="test on more rows")
    return float((rankdata(s)[y == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def bootstrap(
    score: Callable[..., float],
    *columns: Any,
    groups: Any = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """A score with its interval, from groups drawn again with replacement.

    Parameters
    ----------
    score : callable
        ``score(*columns)`` gives a number: ``tk.learn.rmse``, or your own.
    *columns : array, shape (row, ...)
        Rows that belong together in the same place of each.
    groups : array, shape (row,), optional
        Whole groups are drawn (engines, stations, blocks, days), because rows of one group err together and rows
        drawn alone would make the interval too narrow. Left out: each row is its own group.
    draws : int
    level : float [1]
    seed : int

    Returns
    -------
    Estimate
        ``(value, low, high)``: the score of all rows, and the percentile interval. Draws for which the score has no
        answer (no positive among them, say) are left out.

    Validity
    --------
    Twenty groups or more; with fewer the interval is too narrow, and with fewer than two there is none.

    Errors
    ------
    TwinError
        A single group, columns of several lengths, or a score that answers for fewer than half of the draws.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> engine = np.repeat(np.arange(40), 25)
    >>> truth = rng.normal(size=1000)
    >>> said = truth + rng.normal(size=40)[engine]
    >>> alone, whole = bootstrap(rmse, truth, said, seed=1), bootstrap(rmse, truth, said, groups=engine, seed=1)
    >>> (whole.high - whole.low) > 3 * (alone.high - alone.low)
    True

    References
    ----------
    Cameron, Gelbach and Miller (2008), Bootstrap-based improvements for inference with clustered errors, section II.
    """
    from twinkit.learn.split import _groups

    arrays = [np.asarray(c) for c in columns]
    counts = {a.shape[0] if a.ndim else 0 for a in arrays}
    if len(counts) != 1 or 0 in counts:
        raise TwinError("columns of one length", found=f"lengths {sorted(counts)}", hint="pass rows that pair")
    if not 0 < level < 1 or draws < 20:
        raise TwinError("a level in (0, 1) and 20 draws or more", found=f"{level}, {draws}", hint="level=0.95")
    rows = counts.pop()
    value = float(score(*arrays))
    rng = np.random.default_rng(whole_seed(seed))
    names, code = _groups(np.arange(rows) if groups is None else groups)
    if len(code) != rows:
        raise TwinError("a group for each row", found=f"{len(code)} of {rows}", hint="pass a column", where="groups")
    if len(names) < 2:
        raise TwinError("two groups or more", found="a single group", hint="it has no interval", where="groups")
    order = np.argsort(code, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(code))[:-1])
    found = []
    for _ in range(draws):
        drawn = rng.integers(len(names), size=len(names))
        at = drawn if len(names) == rows and groups is None else np.concatenate([members[g] for g in drawn])
        try:
            found.append(float(score(*(a[at] for a in arrays))))
        except TwinError:
            continue
    found = [f for f in found if np.isfinite(f)]
    if len(found) < draws / 2:
        raise TwinError(
            "a score that answers for most draws", found=f"{len(found)} of {draws}", hint="test on more groups"
        )
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def _labelled(value: Any) -> xr.DataArray:
    return value if isinstance(value, xr.DataArray) else xr.DataArray(np.asarray(value, dtype=float))


def _paired(observed: Any, predicted: Any) -> tuple[xr.DataArray, xr.DataArray]:
    """Both as DataArrays on the same labels; predicted is NaN where nothing was observed, and nowhere else."""
    y, p = _labelled(observed), _labelled(predicted)
    if not isinstance(observed, xr.DataArray) and isinstance(predicted, xr.DataArray):
        rest = [d for d in p.dims if d not in ("quantile", "member")]
        if y.ndim not in (0, len(rest)) or (y.ndim and y.shape != tuple(p.sizes[d] for d in rest)):
            raise TwinError(f"observed of dims {tuple(rest)}", found=f"shape {y.shape}", hint="label it")
        y = xr.DataArray(y.to_numpy(), dims=rest if y.ndim else ())
    elif isinstance(observed, xr.DataArray) and not isinstance(predicted, xr.DataArray) and p.ndim:
        if p.shape != y.shape:
            raise TwinError(f"predicted of shape {y.shape}", found=f"shape {p.shape}", hint="label it")
        p = xr.DataArray(p.to_numpy(), y.coords, y.dims)
    elif not isinstance(observed, xr.DataArray) and y.ndim and p.ndim and y.shape != p.shape:
        raise TwinError("as many predictions as observations", found=f"{p.shape} and {y.shape}", hint="pair them")
    try:
        y, p = xr.align(y, p, join="exact", copy=False)
    except ValueError:
        raise TwinError(
            "observed and predicted on the same labels",
            found="labels that differ",
            hint="select the common ones first: xr.align(observed, predicted, join='inner')",
        ) from None
    y, p = y.astype(float), p.astype(float)
    seen = y.notnull()
    if not bool(seen.any()):
        raise TwinError("something observed", found="nothing but missing values", hint="check the time or the labels")
    silent = int((p.isnull() & seen).sum())
    if silent:
        raise TwinError(
            "a prediction wherever something was observed",
            found=f"{silent} missing",
            hint="predict them (a baseline will do): leaving them out would flatter the score",
            where="predicted",
        )
    return y, p.where(seen) if p.ndim or y.ndim else p


def _intervals(observed: Any, lower: Any, upper: Any) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    y, low = _paired(observed, lower)
    y, high = _paired(observed, upper)
    turned = int((low > high).sum())
    if turned:
        raise TwinError("lower ends below upper ones", found=f"{turned} turned over", hint="swap them", where="lower")
    return y, low, high


def _levelled(quantiles: Any, levels: Any) -> xr.DataArray:
    if isinstance(quantiles, xr.DataArray):
        if "quantile" not in quantiles.dims or "quantile" not in quantiles.coords:
            raise TwinError(
                "a 'quantile' dim with its levels", found=f"dims {quantiles.dims}", hint="or a 'member' dim for crps"
            )
        p = quantiles
    else:
        values = np.asarray(quantiles, dtype=float)
        if levels is None or values.ndim == 0 or len(np.atleast_1d(levels)) != values.shape[0]:
            raise TwinError("levels for the first axis", found=repr(levels), hint="levels=[0.1, 0.5, 0.9]")
        axes = ("quantile", *(f"dim_{n}" for n in range(values.ndim - 1)))
        p = xr.DataArray(values, {"quantile": np.atleast_1d(np.asarray(levels, dtype=float))}, axes)
    level = p["quantile"].to_numpy()
    if not ((level > 0) & (level < 1)).all() or not (np.diff(level) > 0).all():
        raise TwinError("ascending levels between 0 and 1", found=str(level.tolist()), hint="sort them")
    return p


def _plain(score: xr.DataArray, dim: Dim) -> Any:
    return float(score) if dim is None else score
