"""Leaks: features that know the answer, tests that were learned. A score that is too good is looked into here."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinkit.error import TwinError
from twinkit.learn.features import table
from twinkit.learn.split import Fold, _groups

__all__ = ["Leak", "leaks", "refuse_leaks"]

COPY = 0.99
ABSENT = 0.9
NEWS = 0.9
LEAD = 0.25


class Leak(NamedTuple):
    """One finding: which feature (or fold), what kind of leak, how strong, and what it means."""

    feature: str
    kind: str
    strength: float
    meaning: str


def leaks(
    features: Any,
    target: Any,
    *,
    time: Any = None,
    series: Any = None,
    folds: list[Fold] | None = None,
    groups: Any = None,
    lead: int = 24,
) -> list[Leak]:
    r"""What looks like a leak, strongest first.

    - **copy**: the feature ranks the rows as the target does (|Spearman's correlation|, or for a target of two values
      twice the distance of the area under the curve from a half, is 0.99 or more).
    - **absence**: that the feature is missing tells the target (a copy kept for a part of the rows).
    - **identifier**: as many values as rows, of text or of counting numbers: it tells rows apart, not what they do.
    - **future**: what is new in the feature at t goes along with what will be new in the target at t + k, k from 1 to
      `lead`, more than with anything before; "new" is what the own past (the last step, and the same hour of the day
      before) does not explain. An honest feature can know of the target's past and present.
    - **repeated row**: a tested row stands, feature for feature, among those learned from.
    - **shared group**: a group stands on both sides of a fold.
    - **later row**: a fold learns from moments after one that it tests.

    Parameters
    ----------
    features : Dataset, DataFrame or array (row, feature)
    target : array, shape (row,)
    time : array of datetime64, shape (row,), optional
        Asked for "future" and "later row".
    series : array, shape (row,), optional
        Which series a row belongs to, where there are many.
    folds, groups : optional
        The split that is about to be used, and what must not be shared in it.
    lead : int
        Steps ahead that are looked at.

    Returns
    -------
    list of Leak
        Empty when nothing was found: no proof that there is none.

    Validity
    --------
    Rank correlations from 30 rows on; "future" from 100 moments on. A true early sign (a weather forecast, a holiday)
    is found too: whether it will be known in time only you can tell.

    Errors
    ------
    TwinError
        As many targets as rows are asked, and a target that changes.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> load = rng.normal(size=300).cumsum()
    >>> ahead = np.r_[load[1:], load[-1]]
    >>> hours = np.datetime64("2026-03-01", "h") + np.arange(300)
    >>> rows = {"before": np.r_[0, load[:-1]], "mean": (ahead + load) / 2}
    >>> [(f.feature, f.kind) for f in leaks(rows, load, time=hours)]
    [('mean', 'future')]

    References
    ----------
    Kaufman et al. (2012), Leakage in data mining: formulation, detection, and avoidance, sections 3 and 4.
    """
    frame = table(features)
    y = np.asarray(target)
    y = y.astype(float) if y.dtype.kind in "fiub" else np.unique(y.astype(str), return_inverse=True)[1].astype(float)
    y = y.ravel()
    if len(y) != len(frame):
        raise TwinError("a target for each row", found=f"{len(y)} of {len(frame)}", hint="pair them", where="target")
    if np.nanmin(y) == np.nanmax(y):
        raise TwinError("a target that changes", found=f"{y[0]:g} throughout", hint="see the data", where="target")
    moments = None if time is None else np.asarray(time).astype("datetime64[ns]")
    where = np.zeros(len(y), dtype=int) if series is None else _groups(series)[1]
    found = []
    for name in frame:
        own = _of_feature(str(name), frame[name], y)
        if moments is not None:
            strength, rows = _leads(frame[name], y, moments, where, lead)
            # a slow series ranks as its own yesterday does: along time a copy must also share what is new
            if strength and strength[0] < NEWS:
                own = [leak for leak in own if leak.kind != "copy"]
            own = own or _future(str(name), strength, rows)
        found += own
    if folds is not None:
        found += _of_folds(frame, folds, groups, time)
    return sorted(found, key=lambda leak: -leak.strength)


def refuse_leaks(features: Any, target: Any, **choices: Any) -> None:
    """Raise for the strongest leak that `leaks` finds; the same parameters.

    Errors
    ------
    TwinError
        The strongest leak, with what to do.

    Examples
    --------
    >>> refuse_leaks({"copy": np.arange(50.0)}, np.arange(50.0))
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: copy: expected features and folds that do not know the answer; found ranks the rows as ...
    """
    found = leaks(features, target, **choices)
    if found:
        first = found[0]
        raise TwinError(
            "features and folds that do not know the answer",
            found=first.meaning + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""),
            hint="leave it out, or shift it to what is known when the forecast is made"
            if first.kind in ("copy", "absence", "future", "identifier")
            else "split by group, block or time: tk.learn.by_group, by_block, rolling_origin",
            where=first.feature,
        )


def _of_feature(name: str, column: Any, y: np.ndarray) -> list[Leak]:
    import pandas as pd

    found = []
    binary = len(np.unique(y[np.isfinite(y)])) == 2
    distinct = column.nunique(dropna=True)
    text = not pd.api.types.is_numeric_dtype(column)
    if text:
        if distinct == len(column) and len(column) >= 30:
            found.append(
                Leak(name, "identifier", 0.5, "another text in each row: it tells rows apart, not what they do")
            )
        values = pd.factorize(column)[0].astype(float)
        values[values < 0] = np.nan
    else:
        values = column.to_numpy(dtype=float)
        steps = np.unique(np.diff(np.sort(values[np.isfinite(values)])))
        if distinct == len(column) and len(column) >= 30 and len(steps) == 1 and steps[0] == 1:
            found.append(
                Leak(name, "identifier", 0.5, "counts the rows one by one: an order of the file, not a feature")
            )
    there = np.isfinite(values) & np.isfinite(y)
    if there.sum() >= 30 and np.ptp(values[there]) > 0 and np.ptp(y[there]) > 0 and not (text and distinct > 20):
        strength = _strength(values[there], y[there], binary=binary)
        if strength >= COPY:
            found.append(Leak(name, "copy", strength, f"ranks the rows as the target does ({strength:.3f} of 1)"))
    absent = ~np.isfinite(values) & np.isfinite(y)
    if min(absent.sum(), (~absent).sum()) >= 15:
        strength = _strength(absent.astype(float)[np.isfinite(y)], y[np.isfinite(y)], binary=binary)
        if strength >= ABSENT:
            found.append(
                Leak(name, "absence", strength, f"is missing where the target is of one kind ({strength:.3f} of 1)")
            )
    return found


def _strength(x: np.ndarray, y: np.ndarray, *, binary: bool) -> float:
    from scipy.stats import spearmanr

    from twinkit.learn.score import area_under_curve

    if binary:
        return float(abs(2 * area_under_curve(y == y.max(), x) - 1))
    return float(abs(spearmanr(x, y).statistic))


def _leads(
    column: Any, y: np.ndarray, time: np.ndarray, series: np.ndarray, lead: int
) -> tuple[dict[int, float], dict[int, int]]:
    """How far what is new in the feature goes along with what is new in the target so many steps later, and in how many
    rows; nothing where no series is long enough.
    """
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        return {}, {}
    x = column.to_numpy(dtype=float)
    pairs: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for one in np.unique(series):
        rows = np.flatnonzero(series == one)
        rows = rows[np.argsort(time[rows], kind="stable")]
        if len(rows) < 100:
            continue
        a, b = _news(x[rows], y[rows]), _news(y[rows], y[rows])
        for k in range(-lead, lead + 1):
            left, right = (a[: len(a) - k], b[k:]) if k >= 0 else (a[-k:], b[:k])
            both = np.isfinite(left) & np.isfinite(right)
            pairs.setdefault(k, []).append((left[both], right[both]))
    strength, count = {}, {}
    for k, parts in pairs.items():
        left, right = (np.concatenate([p[n] for p in parts]) for n in (0, 1))
        moving = len(left) >= 60 and left.std() > 1e-9 * (1 + np.nanmax(np.abs(x))) and right.std() > 0
        strength[k] = abs(float(np.corrcoef(left, right)[0, 1])) if moving else 0.0
        count[k] = len(left)
    return strength, count


def _future(name: str, strength: dict[int, float], rows: dict[int, int]) -> list[Leak]:
    """Whether the feature goes along with what will be new, more than chance over all leads and more than an echo."""
    ahead = [k for k in strength if k > 0]
    if not ahead:
        return []
    best = max(ahead, key=lambda k: strength[k])
    past = max(strength[k] for k in strength if k < 0)
    if strength[best] < max(LEAD, 5 / np.sqrt(max(rows[best], 1))) or strength[best] <= past:
        return []
    meaning = (
        f"goes along with what is new in the target {best} step{'s' * (best > 1)} later ({strength[best]:.2f} of 1)"
    )
    return [Leak(name, "future", strength[best], meaning)]


def _news(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the own past and the target's past do not explain: residuals of a linear law of steps 1, 2, 24 and 25."""
    steps = [1, 2] + [s for s in (24, 25) if len(x) > 10 * s]
    parts = [np.ones(len(x))]
    for values in [x] if x is y else [x, y]:
        parts += [np.r_[np.full(s, np.nan), values[:-s]] for s in steps]
    known = np.column_stack(parts)
    good = np.isfinite(known).all(axis=1) & np.isfinite(x)
    out = np.full(len(x), np.nan)
    if good.sum() > 4 * known.shape[1]:
        law, *_ = np.linalg.lstsq(known[good], x[good], rcond=None)
        out[good] = x[good] - known[good] @ law
    return out


def _of_folds(frame: Any, folds: list[Fold], groups: Any, time: Any) -> list[Leak]:
    import pandas as pd

    found = []
    key = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    code = None if groups is None else _groups(groups)[1]
    moments = None if time is None else np.asarray(time).astype("datetime64[ns]")
    for fold in folds:
        where = f"fold {fold.name}"
        again = np.isin(key[fold.test], key[fold.train]).mean()
        if again > 0:
            found.append(Leak(where, "repeated row", float(again), f"{again:.1%} of the tested rows were learned"))
        if code is not None:
            shared = np.isin(code[fold.test], code[fold.train]).mean()
            if shared > 0:
                found.append(
                    Leak(where, "shared group", float(shared), f"{shared:.1%} of the tested rows are of known groups")
                )
        if moments is not None:
            later = (moments[fold.train] >= moments[fold.test].min()).mean()
            if later > 0:
                found.append(
                    Leak(where, "later row", float(later), f"{later:.1%} of what is learned comes after the test began")
                )
    return found
