"""What a model goes by: how much worse it is without a feature, and what it says as one feature changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import stamp, whole_seed
from twinkit.error import TwinError
from twinkit.learn.features import table
from twinkit.learn.score import rmse
from twinkit.learn.split import _groups

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["importance", "partial_dependence"]


def importance(
    features: Any,
    target: Any,
    *,
    model: Any,
    score: Callable[[Any, Any], float] = rmse,
    groups: Any = None,
    together: list[list[str]] | None = None,
    draws: int = 20,
    quantile: Any = (0.05, 0.5, 0.95),
    seed: int,
) -> xr.DataArray:
    r"""How much worse the model does when a feature is mixed up among the rows.

    .. math:: S(y, f(X_{π j})) - S(y, f(X))

    Parameters
    ----------
    features : Dataset, DataFrame or array (row, feature)
        Rows that the model has not learned from: on the others, what it overfits to looks important.
    target : array, shape (row,)
    model : fitted estimator with ``predict``, or callable
    score : callable
        ``score(observed, predicted)``, lower is better: `rmse`, `mae`, or your own.
    groups : array, shape (row,), optional
        Mix up within each group alone: what the feature tells beyond the group.
    together : list of list of str, optional
        Features that say nearly the same are mixed up as one; alone, each would seem to be needed little.
    draws : int
    quantile : array of float [1]
        Over the draws.
    seed : int

    Returns
    -------
    DataArray (feature, quantile) [unit of the score]
        Falling with the median; above 0 the model goes by the feature.

    Validity
    --------
    It says what this model goes by, not what causes what.

    Errors
    ------
    TwinError
        Rows that do not pair, a feature that is not there, fewer than two draws.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rows = {"useful": rng.normal(size=200), "noise": rng.normal(size=200)}
    >>> found = importance(rows, rows["useful"], model=lambda frame: frame["useful"].to_numpy(), seed=1)
    >>> found.feature.values.tolist(), bool(found[1].max() == 0)
    (['useful', 'noise'], True)

    References
    ----------
    Breiman (2001), Random forests, section 10; Fisher, Rudin and Dominici (2019), All models are wrong, but many are
    useful, equation (2).
    """
    frame = table(features)
    y = np.asarray(target)
    y = y.astype(float).ravel()
    if len(y) != len(frame):
        raise TwinError("a target for each row", found=f"{len(y)} of {len(frame)}", hint="pair them", where="target")
    if draws < 2:
        raise TwinError("two draws or more", found=repr(draws), hint="draws=20", where="draws")
    said = _answer(model)
    sets = [list(s) for s in together or []]
    loose = [n for n in frame if n not in {m for s in sets for m in s}]
    sets += [[n] for n in loose]
    unknown = [n for s in sets for n in s if n not in frame]
    if unknown:
        raise TwinError(
            f"features among {', '.join(map(str, frame))}", found=f"'{unknown[0]}'", hint="correct the name"
        )
    code = np.zeros(len(frame), dtype=int) if groups is None else _groups(groups)[1]
    rng = np.random.default_rng(whole_seed(seed))
    base = float(score(y, said(frame)))
    worse = np.empty((len(sets), draws))
    for d in range(draws):
        # one order for all features: their differences then are theirs, not the shuffle's
        mixed = np.lexsort((rng.random(len(frame)), code))
        order = np.empty(len(frame), dtype=int)
        order[np.argsort(code, kind="stable")] = mixed
        for n, names in enumerate(sets):
            other = frame.copy()
            for name in names:
                other[name] = frame[name].to_numpy()[order]
            worse[n, d] = float(score(y, said(other))) - base
    level = np.atleast_1d(np.asarray(quantile, dtype=float))
    values = np.quantile(worse, level, axis=1).T
    rank = np.argsort(-np.median(worse, axis=1), kind="stable")
    labels = np.array([" + ".join(map(str, s)) for s in sets], dtype=object)
    # no stage: features are whatever the reader has, and a stage declares what it reads
    out = xr.DataArray(
        values[rank],
        {"feature": labels[rank], "quantile": level},
        ("feature", "quantile"),
        attrs={"provenance": f"modelled: {draws} permutations of {len(frame)} rows, score {base:.4g} unpermuted"},
    )
    return stamp(out, "importance", given_by="twinkit.learn.importance")


def partial_dependence(
    features: Any, *, model: Any, feature: str, values: Any = None, quantile: Any = (0.1, 0.5, 0.9)
) -> xr.DataArray:
    r"""What the model says as one feature changes and all others stay as they are in the rows.

    .. math:: \{ f(v, X_{-j}^{(i)}) : i = 1..n \}, \text{ its quantiles over the rows at each } v

    Parameters
    ----------
    features : Dataset, DataFrame or array (row, feature)
    model : fitted estimator with ``predict``, or callable
    feature : str
    values : array, optional
        At which it is asked; 20 quantiles of the feature's own values when left out, so that nothing is asked beyond
        what the rows hold.
    quantile : array of float [1]
        Over rows: where they lie apart, the feature works differently from row to row.

    Returns
    -------
    DataArray (quantile, `feature`)

    Validity
    --------
    Where features go together, rows are made up that do not exist (a city's load at a village's mast).

    Errors
    ------
    TwinError
        No such feature, or one of text without `values`.

    Examples
    --------
    >>> rows = {"load": np.linspace(0, 1, 50), "height": np.full(50, 30.0)}
    >>> line = partial_dependence(rows, model=lambda frame: 2 * frame["load"], feature="load", values=[0.0, 1.0])
    >>> line.sel(quantile=0.5).values
    array([0., 2.])

    References
    ----------
    Friedman (2001), Greedy function approximation, section 8.2; Goldstein et al. (2015) for its spread over rows.
    """
    frame = table(features)
    if feature not in frame:
        raise TwinError(f"a feature among {', '.join(map(str, frame))}", found=f"'{feature}'", hint="correct the name")
    if values is None:
        try:
            own = frame[feature].to_numpy(dtype=float)
        except (TypeError, ValueError):
            raise TwinError("values to ask at", found=f"a feature of text, '{feature}'", hint="values=[...]") from None
        at = np.unique(np.nanquantile(own, np.linspace(0.02, 0.98, 20)))
    else:
        at = np.atleast_1d(np.asarray(values))
    said, level = _answer(model), np.atleast_1d(np.asarray(quantile, dtype=float))
    lines = []
    for value in at:
        other = frame.copy()
        other[feature] = value
        lines.append(np.quantile(said(other), level))
    return xr.DataArray(
        np.array(lines).T, {"quantile": level, feature: at}, ("quantile", feature), name="partial_dependence"
    )


def _answer(model: Any) -> Callable[[Any], np.ndarray]:
    """Predictions as an array, of a fitted estimator or of a function."""
    ask = model.predict if hasattr(model, "predict") else model
    plain = hasattr(model, "predict") and not hasattr(model, "feature_names_in_")
    return lambda frame: np.asarray(ask(frame.to_numpy() if plain else frame), dtype=float)
