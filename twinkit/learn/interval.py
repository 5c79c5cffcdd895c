"""Intervals that keep their word: conformal ones, whatever the model, from errors on rows that it has not seen.

`calibrated` reads the errors of a model on rows set aside (or out of fold, from `out_of_fold`) and gives a `Margin`;
``margin.around(predicted)`` is an array with a ``quantile`` dim. `adaptive` does the same along time, where errors
change their size, and learns from each miss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.learn.split import Fold, _groups

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Margin", "adaptive", "calibrated", "out_of_fold"]


@dataclass(frozen=True)
class Margin:
    """What to add to a prediction for each quantile; by group where it was calibrated so.

    Attributes
    ----------
    quantile : tuple of float [1]
    offset : array, shape (quantile,)
        In the unit of the target, or in units of the spread.
    by_group : dict of str to array, shape (quantile,)
    normalised : bool
        Whether offsets count in units of a spread.
    rows : int
        How many errors it was read from.
    """

    quantile: tuple[float, ...]
    offset: np.ndarray
    by_group: dict[str, np.ndarray] = field(default_factory=dict)
    normalised: bool = False
    rows: int = 0

    def around(self, predicted: Any, *, spread: Any = None, groups: Any = None) -> xr.DataArray:
        """The quantiles around new predictions.

        Parameters
        ----------
        predicted : array or DataArray
            Without a ``quantile`` dim; or, where the errors of quantiles were calibrated, with the same one.
        spread : like predicted, optional
            Asked where the margin was calibrated with one.
        groups : array, shape (row,), optional
            The group of each row, where calibrated by group; a group never seen takes the margin of all.

        Returns
        -------
        DataArray (quantile, *dims of predicted)

        Errors
        ------
        TwinError
            A spread missing or not above 0, or predictions that are missing.
        """
        p = predicted if isinstance(predicted, xr.DataArray) else _row(predicted)
        if bool(p.isnull().any()):
            raise TwinError("a prediction in every row", found=f"{int(p.isnull().sum())} missing", hint="drop them")
        level = xr.DataArray(np.array(self.quantile), dims="quantile")
        if "quantile" in p.dims and not np.allclose(p["quantile"], level):
            raise TwinError(f"quantiles {self.quantile}", found=str(p["quantile"].to_numpy()), hint="predict those")
        if self.normalised != (spread is not None):
            asked = "a spread, as in the calibration" if self.normalised else "no spread, as in the calibration"
            raise TwinError(asked, found="none" if self.normalised else "one", hint="pass what calibrated was given")
        if self.by_group and groups is not None:
            rest = [d for d in p.dims if d != "quantile"]
            table = np.array([self.by_group.get(str(g), self.offset) for g in np.asarray(groups).tolist()])
            if len(rest) != 1 or len(table) != p.sizes[rest[0]]:
                raise TwinError("a group for each row", found=f"{len(table)} for {dict(p.sizes)}", hint="one dim")
            offset = xr.DataArray(table.T, dims=("quantile", rest[0]))
        elif self.by_group:
            raise TwinError("a group for each row, as in the calibration", found="none", hint="pass groups=")
        else:
            offset = xr.DataArray(self.offset, dims="quantile")
        unit = 1.0 if spread is None else _spread(spread, p)
        out = (p + offset.assign_coords(quantile=level.to_numpy()) * unit).transpose("quantile", ...)
        # crossing cannot come from the offsets, which ascend, but can from a model of quantiles
        return out.copy(data=np.sort(out.to_numpy(), axis=0))


def calibrated(
    observed: Any,
    predicted: Any,
    *,
    quantile: Any = (0.05, 0.5, 0.95),
    spread: Any = None,
    groups: Any = None,
    symmetric: bool = False,
) -> Margin:
    r"""The margin that errors on unseen rows call for (split conformal prediction).

    With r the n errors in order, :math:`r = (y - \hat y) / s`, and q a quantile above a half,

    .. math:: \hat y_q = \hat y + s\, r_{(\lceil q (n+1) \rceil)}

    and below a half :math:`r_{(\lfloor q (n+1) \rfloor)}`, so that a new y of the same kind lies under (over) it with
    a probability of at least q (1 - q), whatever the model and whatever the distribution.

    Parameters
    ----------
    observed, predicted : array or DataArray of the same shape
        Rows that the model has not learned from. Where `predicted` has a ``quantile`` dim, each quantile is moved by
        its own errors (conformalised quantile regression).
    quantile : array of float [1]
        Ascending, within (0, 1).
    spread : like predicted, optional
        How uncertain each row is thought to be, s > 0: a model of the absolute error, the standard deviation of a
        Gaussian process. Intervals are wide where it is; where it is wrong, they are still right on average.
    groups : array, shape (row,), optional
        Calibrate for each group by itself (the coverage then holds within each); groups with too few rows for the
        outermost quantile take the margin of all.
    symmetric : bool
        Read the absolute errors: narrower with few rows, wrong for skewed errors.

    Returns
    -------
    Margin

    Validity
    --------
    New rows of the same kind as those calibrated on (exchangeable): rows of new stations need errors on stations left
    out. Along time use `adaptive`.

    Errors
    ------
    TwinError
        Too few rows for the outermost quantile (19 are asked for 0.95), a spread not above 0, quantiles that are none.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> error = rng.exponential(size=2000)
    >>> margin = calibrated(error[:1000], np.zeros(1000), quantile=[0.05, 0.5, 0.95])
    >>> said = margin.around(np.zeros(1000))
    >>> inside = (error[1000:] >= said.values[0]) & (error[1000:] <= said.values[2])
    >>> bool(0.87 < inside.mean() < 0.93)
    True

    References
    ----------
    Lei et al. (2018), Distribution-free predictive inference for regression, algorithm 2 and section 5.2 (spread);
    Romano, Patterson and Candès (2019), Conformalized quantile regression, equations (6) to (8);
    Angelopoulos and Bates (2023), Conformal prediction: a gentle introduction, section 4.1 (by group).
    """
    level = _quantiles(quantile)
    p = predicted if isinstance(predicted, xr.DataArray) else _row(predicted)
    y = observed if isinstance(observed, xr.DataArray) else xr.DataArray(np.asarray(observed, dtype=float))
    flat = [d for d in p.dims if d != "quantile"]
    if y.ndim != len(flat) or y.shape != tuple(p.sizes[d] for d in flat):
        raise TwinError("as many observations as predictions", found=f"{y.shape} and {p.shape}", hint="pair them")
    if not isinstance(observed, xr.DataArray):
        y = y.rename(dict(zip(y.dims, flat, strict=True)))
    error = (y - p) / (1.0 if spread is None else _spread(spread, p))
    by_level = "quantile" in p.dims
    if by_level and not (p.sizes["quantile"] == len(level) and np.allclose(p["quantile"], level)):
        raise TwinError(f"predicted quantiles {list(level)}", found=str(p["quantile"].to_numpy()), hint="the same ones")
    table = error.transpose("quantile", ...).to_numpy() if by_level else np.array([error.to_numpy()] * len(level))
    table = table.reshape(len(level), -1)
    kept = np.isfinite(table).all(axis=0)
    if not np.isfinite(p.to_numpy()).all():
        raise TwinError("a prediction in every row", found="a missing one", hint="predict or drop those rows")
    offset = _margins(table[:, kept], level, symmetric=symmetric, where="observed")
    each: dict[str, np.ndarray] = {}
    if groups is not None:
        names, code = _groups(groups)
        if len(code) != len(kept):
            raise TwinError("a group for each row", found=f"{len(code)} of {len(kept)}", hint="pass a column")
        for n, name in enumerate(names):
            own = table[:, kept & (code == n)]
            each[str(name)] = _margins(own, level, symmetric=symmetric) if own.shape[1] >= _least(level) else offset
    return Margin(tuple(float(v) for v in level), offset, each, spread is not None, int(kept.sum()))


def out_of_fold(
    model: Callable[[], Any], features: Any, target: Any, *, folds: list[Fold], method: str = "predict"
) -> np.ndarray:
    """Predictions for every row by a model that has not seen its fold: what `calibrated` and the scores read.

    Parameters
    ----------
    model : callable without parameters
        Gives a new, unfitted estimator with ``fit`` and ``predict``; a fresh one learns in each fold.
    features : array or frame, shape (row, feature)
    target : array, shape (row,)
    folds : list of Fold
        Each row is tested at most once.
    method : {"predict", "predict_proba"}
        Of a classifier's probabilities, that of the last class is taken.

    Returns
    -------
    array, shape (row,)
        NaN in rows that no fold tests.

    Errors
    ------
    TwinError
        A row tested twice, or a fold that learns from what it tests.

    Examples
    --------
    >>> from twinkit.learn import by_group, linear, out_of_fold
    >>> x = np.arange(12.0)[:, None]
    >>> said = out_of_fold(lambda: linear(penalty=1e-6), x, 3 * x[:, 0], folds=by_group(np.arange(12) // 3))
    >>> bool(abs(said - 3 * x[:, 0]).max() < 0.1)
    True
    """
    y = np.asarray(target)
    said = np.full(len(y), np.nan)
    tested = np.zeros(len(y), dtype=int)
    for fold in folds:
        if np.intersect1d(fold.train, fold.test).size:
            raise TwinError(
                "folds that test what they have not learned", found=f"shared rows in '{fold.name}'", hint=""
            )
        tested[fold.test] += 1
        if tested[fold.test].max() > 1:
            raise TwinError("each row tested once", found=f"again in '{fold.name}'", hint="use by_group or by_block")
        fitted = model().fit(_rows(features, fold.train), y[fold.train])
        answer = getattr(fitted, method)(_rows(features, fold.test))
        said[fold.test] = answer[:, -1] if method == "predict_proba" else answer
    return said


def adaptive(
    observed: xr.DataArray,
    predicted: xr.DataArray,
    *,
    quantile: Any = (0.05, 0.5, 0.95),
    rate: float = 0.02,
    window: int = 500,
    delay: int = 1,
    dim: Hashable = "time",
) -> xr.DataArray:
    r"""Quantiles along time that widen after misses and narrow after hits (adaptive conformal inference).

    For each quantile q the level that is asked for, a, moves with every outcome,

    .. math:: a_{t+1} = a_t + γ (q - [y_t \le \hat y_{q,t}])

    and the margin is the a-quantile of the last `window` errors.

    Parameters
    ----------
    observed : DataArray (dim, ...)
        Missing readings teach nothing.
    predicted : DataArray of the same shape
        Each made before its reading came.
    quantile : array of float [1]
    rate : float [1]
        How fast the level moves, γ; 0 does not learn. 0.005 to 0.05.
    window : int
        Errors that are remembered.
    delay : int
        Steps from a prediction's time to when its reading is known: at time t, errors up to t - delay count. A
        forecast 24 hours ahead learns of its own miss after 24 hours.
    dim : str

    Returns
    -------
    DataArray (quantile, dim, ...)
        NaN until 1/min(q, 1-q) errors are known.

    Validity
    --------
    The long-run share under each quantile tends to q whatever happens, for steps of bounded error.

    Errors
    ------
    TwinError
        Labels that differ, a rate below 0, or a window too short for the quantiles.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> size = np.r_[np.ones(1000), np.full(1000, 3.0)]
    >>> seen = xr.DataArray(size * rng.normal(size=2000), dims="time")
    >>> said = adaptive(seen, 0 * seen, quantile=[0.05, 0.95])
    >>> inside = (seen >= said[0]) & (seen <= said[1])
    >>> 0.86 < float(inside[1000:].mean()) < 0.94
    True

    References
    ----------
    Gibbs and Candès (2021), Adaptive conformal inference under distribution shift, equation (2).
    """
    level = _quantiles(quantile)
    if dim not in observed.dims or set(observed.dims) != set(predicted.dims):
        raise TwinError(
            f"both along '{dim}', of the same dims", found=f"{observed.dims}, {predicted.dims}", hint="dim="
        )
    try:
        y, p = xr.align(observed, predicted.transpose(*observed.dims), join="exact")
    except ValueError:
        raise TwinError("the same labels", found="labels that differ", hint="align them first") from None
    least = _least(level)
    if rate < 0 or window < least or delay < 1:
        raise TwinError(
            f"a rate of 0 or more, a window of {least} or more and a delay of 1 or more",
            found=f"{rate}, {window}, {delay}",
            hint="rate=0.02, window=500",
        )
    y, p = y.transpose(dim, ...), p.transpose(dim, ...)
    seen, said = y.to_numpy().reshape(y.sizes[dim], -1), p.to_numpy().reshape(y.sizes[dim], -1)
    out = np.full((len(level), *seen.shape), np.nan)
    asked = np.repeat(np.array(level)[:, None], seen.shape[1], axis=1)
    error = seen - said
    for t in range(len(seen)):
        known = t - delay
        if known >= 0:
            there = np.isfinite(error[known]) & np.isfinite(out[:, known]).all(axis=0)
            under = seen[known] <= out[:, known]
            asked = np.where(there, asked + rate * (np.array(level)[:, None] - under), asked)
        past = np.sort(error[max(0, known + 1 - window) : max(0, known + 1)], axis=0)  # NaN sorts to the end
        count = np.isfinite(past).sum(axis=0)
        for s in np.flatnonzero(count >= least):
            n = count[s]
            # beyond the largest error that was seen, the margin grows by as much as the level is asked too far
            place = asked[:, s] * (n + 1) - 1
            margin = np.interp(place, np.arange(n), past[:n, s])
            reach = past[n - 1, s] - past[0, s]
            margin += reach * (np.maximum(place - (n - 1), 0) - np.maximum(-place, 0)) / (n + 1)
            out[:, t, s] = np.sort(said[t, s] + margin)
    shape = (len(level), *y.shape)
    coords = {"quantile": np.array(level)} | dict(y.coords)
    return xr.DataArray(out.reshape(shape), coords, ("quantile", *y.dims), name=predicted.name)


def _margins(table: np.ndarray, level: np.ndarray, *, symmetric: bool, where: str = "") -> np.ndarray:
    """For each quantile its order statistic of the errors."""
    n = table.shape[1]
    if n < _least(level):
        raise TwinError(
            f"{_least(level)} errors or more, for quantiles {list(level)}",
            found=f"{n}",
            hint="set more rows aside, or ask for quantiles nearer to the middle",
            where=where,
        )
    offsets = []
    for q, errors in zip(level, table, strict=True):
        if symmetric and q != 0.5:
            rank = min(math.ceil(round(abs(2 * q - 1) * (n + 1), 9)), n)
            offsets.append(math.copysign(np.sort(abs(errors))[max(rank, 1) - 1], q - 0.5))
        elif q == 0.5:
            offsets.append(0.0 if symmetric else float(np.median(errors)))
        else:
            # rounded before up or down, so that 0.95 * 20 is 19 and no ninth decimal makes it 20
            place = round(q * (n + 1), 9)
            rank = math.ceil(place) if q > 0.5 else math.floor(place)
            offsets.append(float(np.sort(errors)[min(max(rank, 1), n) - 1]))
    return np.array(offsets)


def _least(level: np.ndarray) -> int:
    """Errors without which the outermost quantile has no order statistic."""
    outermost = min(min(q, 1 - q) for q in level)
    return max(1, math.ceil(round(1 / outermost, 9)) - 1)


def _quantiles(quantile: Any) -> np.ndarray:
    level = np.atleast_1d(np.asarray(quantile, dtype=float))
    if level.ndim != 1 or not len(level) or not ((level > 0) & (level < 1)).all() or (np.diff(level) <= 0).any():
        raise TwinError(
            "ascending quantiles between 0 and 1", found=repr(quantile), hint="give [0.05, 0.5, 0.95]", where="quantile"
        )
    return level


def _row(values: Any) -> xr.DataArray:
    array = np.asarray(values, dtype=float)
    return xr.DataArray(array, dims=("row",) if array.ndim == 1 else None)


def _spread(spread: Any, like: xr.DataArray) -> xr.DataArray:
    if isinstance(spread, xr.DataArray):
        s = spread
    else:
        rest = [d for d in like.dims if d != "quantile"]
        s = xr.DataArray(np.asarray(spread, dtype=float), dims=rest if np.ndim(spread) else ())
    if not bool(((s > 0) & np.isfinite(s)).all()):
        raise TwinError("a spread above 0 in every row", found="0, less or missing", hint="floor it", where="spread")
    return s


def _rows(features: Any, at: np.ndarray) -> Any:
    return features.iloc[at] if hasattr(features, "iloc") else np.asarray(features)[at]
