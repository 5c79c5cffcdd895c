"""From one country to another: how much a model loses abroad, and how far a few labels from there bring it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.contract import whole_seed
from twinkit.error import TwinError
from twinkit.learn.features import table
from twinkit.learn.interval import out_of_fold
from twinkit.learn.score import Estimate, area_under_curve, bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.learn.split import Fold

__all__ = ["adapted", "percentiles", "transfer"]


def percentiles(features: Any) -> pd.DataFrame:
    """Each feature as its rank among the rows of its own country, 0 to 1.

    What is "many people" or "far from a power line" differs from country to country; "more than most schools here"
    travels better. No label is needed, but the rows of the whole country are: a rank among three schools says nothing.

    Parameters
    ----------
    features : Dataset, DataFrame or array (row, feature)
        The rows of one country.

    Returns
    -------
    DataFrame (row, feature)
        Missing values stay missing; equal values have equal ranks.

    Errors
    ------
    TwinError
        A feature of text.

    Examples
    --------
    >>> percentiles({"people": [10.0, 1000.0]})["people"].tolist()
    [0.5, 1.0]
    """
    frame = table(features)
    text = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
    if text:
        raise TwinError("features of numbers", found=f"text in '{text[0]}'", hint="leave it out, or make it numbers")
    return frame.rank(pct=True)


def adapted(model: Callable[[], Any], home: tuple[Any, Any], few: tuple[Any, Any], *, share: float = 0.25) -> Any:
    r"""A classifier that learns from home and from a few labelled rows of the new country, each of these counting more.

    With n rows at home and m new ones, a new row counts :math:`w = \frac{s}{1 - s} \frac{n}{m}`, so that all new ones
    together are the share s of what it learns from.

    Parameters
    ----------
    model : callable without parameters
        Gives a new estimator, or a pipeline, whose last step takes ``sample_weight``.
    home, few : (features, labels)
    share : float [1]
        s, in (0, 1). It should not be tuned on the rows that are tested.

    Returns
    -------
    fitted estimator

    Errors
    ------
    TwinError
        A share outside (0, 1), no new rows, other features.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=(300, 1))
    >>> there = adapted(LogisticRegression, (x, x[:, 0] > 0), (x[:50], x[:50, 0] > 1), share=0.9)
    >>> bool(there.predict([[0.3]])[0])
    False
    """
    if not 0 < share < 1:
        raise TwinError("a share between 0 and 1", found=repr(share), hint="share=0.25", where="share")
    rows, new = table(home[0]), table(few[0])
    if list(rows) != list(new):
        strange = sorted(set(map(str, rows)) ^ set(map(str, new))) or ["another order"]
        raise TwinError("the same features in both countries", found=f"'{strange[0]}'", hint="select the common ones")
    y = np.concatenate([np.asarray(home[1]), np.asarray(few[1])])
    weight = np.r_[np.ones(len(rows)), np.full(len(new), share / (1 - share) * len(rows) / len(new))]
    made = model()
    last = f"{made.steps[-1][0]}__" if hasattr(made, "steps") else ""
    both = pd.concat([rows, new], ignore_index=True)
    plain = both if not isinstance(home[0], np.ndarray) else both.to_numpy()
    return made.fit(plain, y, **{f"{last}sample_weight": weight})


def transfer(
    home: tuple[Any, Any],
    away: tuple[Any, Any],
    *,
    model: Callable[[], Any],
    folds: list[Fold],
    groups: tuple[Any, Any],
    labels: int = 50,
    share: float = 0.25,
    draws: int = 20,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The area under the curve at home, abroad, and abroad with a few labels from there.

    Parameters
    ----------
    home, away : (features, labels of 0 and 1)
        Of two countries, the same features.
    model : callable without parameters
        Gives a new classifier.
    folds : list of Fold
        Of home: what its score at home is tested on (`by_block`: a school is like its neighbours).
    groups : (array, array)
        Which rows of home, and of away, belong together (blocks): for the intervals, and the labelled rows are drawn
        by whole blocks, since a survey goes to places.
    labels : int
        So many rows of the new country, or a block more, are labelled; all their blocks are left out of the test.
    share : float [1]
        As in `adapted`.
    draws : int
        Surveys that are tried: which places are drawn matters as much as the model.
    seed : int

    Returns
    -------
    dict of str to Estimate
        ``home``, ``away`` (interval over blocks), ``drop`` = home - away (blocks of both drawn), ``away_labelled`` and
        ``gain``: mean over surveys, with the interval that holds 95 % of them; ``gain`` is against the home model on
        the same tested rows.

    Errors
    ------
    TwinError
        Labels other than 0 and 1, more labels asked for than half of the rows abroad.

    Examples
    --------
    >>> from twinkit.learn import block, by_group, logistic
    >>> rng = np.random.default_rng(1)
    >>> x, place = rng.normal(size=(2, 400, 2)), rng.integers(0, 40, (2, 400))
    >>> y = [(x[0, :, 0] > 0).astype(int), (x[1, :, 1] > 0).astype(int)]
    >>> folds = by_group(place[0], folds=5, seed=1)
    >>> choices = {"model": logistic, "folds": folds, "groups": (place[0], place[1]), "draws": 5}
    >>> said = transfer((x[0], y[0]), (x[1], y[1]), **choices)
    >>> said["home"].value > 0.95, said["away"].value < 0.6, said["gain"].value > 0.1
    (True, True, True)
    """
    here, there = table(home[0]), table(away[0])
    y, z = (np.asarray(v).astype(int) for v in (home[1], away[1]))
    places = [np.asarray(g) for g in groups]
    if not 2 <= labels <= len(z) // 2:
        raise TwinError(f"labels from 2 to {len(z) // 2}, half of the rows", found=repr(labels), hint="labels=50")
    at_home = out_of_fold(model, here, y, folds=folds, method="predict_proba")
    abroad = model().fit(here, y).predict_proba(there)[:, 1]
    out = {
        "home": bootstrap(area_under_curve, y, at_home, groups=places[0], seed=seed),
        "away": bootstrap(area_under_curve, z, abroad, groups=places[1], seed=seed),
    }
    # both countries at once: blocks of each are drawn, so that the drop has an interval of its own
    side = np.r_[np.zeros(len(y)), np.ones(len(z))]
    names = np.r_[[f"home {g}" for g in places[0]], [f"away {g}" for g in places[1]]]

    def lost(side: Any, label: Any, score: Any) -> float:
        return area_under_curve(label[side == 0], score[side == 0]) - area_under_curve(
            label[side == 1], score[side == 1]
        )

    out["drop"] = bootstrap(lost, side, np.r_[y, z], np.r_[at_home, abroad], groups=names, seed=seed)
    rng = np.random.default_rng(whole_seed(seed))
    scores, gains = [], []
    for _ in range(draws):
        known = _surveyed(places[1], labels, rng)
        tested = ~known
        if len(np.unique(z[known])) < 2 or len(np.unique(z[tested])) < 2:
            continue
        fitted = adapted(model, (here, y), (there[known], z[known]), share=share)
        score = area_under_curve(z[tested], fitted.predict_proba(there[tested])[:, 1])
        scores.append(score)
        gains.append(score - area_under_curve(z[tested], abroad[tested]))
    if not scores:
        raise TwinError("surveys that find both 0 and 1", found="none", hint="more labels, or smaller blocks")
    for key, values in (("away_labelled", scores), ("gain", gains)):
        low, high = np.quantile(values, [0.025, 0.975])
        out[key] = Estimate(float(np.mean(values)), float(low), float(high))
    return out


def _surveyed(places: np.ndarray, labels: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of so many places, in random order, that there are enough labels."""
    names, code, counts = np.unique(places.astype(str), return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    enough = int(np.searchsorted(np.cumsum(counts[order]), labels)) + 1
    return np.isin(code, order[:enough])
