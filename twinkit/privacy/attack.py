"""Attacks: what somebody who wants to know can find out, and the epsilon that a release cannot have kept.

A promise of epsilon bounds how much better than by guessing any attack can be. Turned round, an attack that succeeds so
often proves, with its confidence, that epsilon was at least so much. A small bound proves no protection; a bound above
the claim proves that the claim is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import whole_seed
from twinkit.dynamics import shown
from twinkit.error import TwinError
from twinkit.privacy import contribution
from twinkit.privacy.account import positive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Evidence",
    "audit",
    "differencing",
    "epsilon_at_least",
    "exposed",
    "membership",
    "proportion",
    "reidentification",
]


@dataclass(frozen=True)
class Evidence:
    """What an attack showed.

    Attributes
    ----------
    epsilon : float
        No release of a smaller epsilon lets an attack succeed so often, with the confidence stated.
    confidence : float
    caught, present : int
        How often the attack said "in it" of those who were, and how many were.
    accused, absent : int
        How often it said so of those who were not, and how many were not.
    silent : int
        Of how many others it said nothing.
    """

    epsilon: float
    confidence: float
    caught: int
    present: int
    accused: int
    absent: int
    silent: int = 0

    def __str__(self) -> str:
        return (
            f"epsilon is at least {self.epsilon:.3g} ({self.confidence:.0%} confidence): "
            f"said 'in it' of {self.caught} of {self.present} who were "
            f"and of {self.accused} of {self.absent} who were not"
            + (f", and nothing of {self.silent}" if self.silent else "")
        )

    __repr__ = __str__


def proportion(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of a proportion, that of Clopper and Pearson.

    Equation: low is the alpha/2 quantile of Beta(k, n - k + 1), high the 1 - alpha/2 quantile of Beta(k + 1, n - k).

    Examples
    --------
    >>> [round(v, 4) for v in proportion(0, 200)]
    [0.0, 0.0183]

    References
    ----------
    C. Clopper, E. Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial, 1934.
    """
    from scipy.special import betaincinv

    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in (successes, trials))
    if not whole or not 0 <= successes <= trials or trials < 1 or not 0 < confidence < 1:
        raise TwinError(
            "successes from 0 to the number of trials, and a confidence below 1",
            found=f"{successes!r} of {trials!r} at {confidence!r}",
            hint="proportion(7, 200, confidence=0.95)",
        )
    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return low, high


def epsilon_at_least(
    caught: int, present: int, accused: int, absent: int, *, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """The epsilon that a release must have spent if an attack succeeds so often.

    Equation: max over "in it" and "not in it" of log((right - delta) / wrong), with the lower end of how often the
    attack is right and the upper end of how often it is wrong; each interval at 1 - (1 - confidence) / 2.

    Parameters
    ----------
    caught, present, accused, absent : int
        As in `Evidence`.
    delta : float [1]
        That of the release.

    Returns
    -------
    float [1], 0 or more

    Examples
    --------
    >>> round(epsilon_at_least(200, 200, 0, 200), 2)
    3.81
    >>> epsilon_at_least(100, 200, 100, 200)
    0.0

    References
    ----------
    P. Kairouz, S. Oh, P. Viswanath, The Composition Theorem for Differential Privacy, 2015, Theorem 2.1 (errors of any
    attack); M. Jagielski, J. Ullman, A. Oprea, Auditing Differentially Private Machine Learning, 2020, Section 3.
    """
    delta = positive(delta, "delta", zero=True, below=1.0)
    both = 1 - (1 - positive(confidence, "confidence", below=1.0)) / 2  # the two intervals hold together
    true = proportion(caught, present, confidence=both)
    false = proportion(accused, absent, confidence=both)
    best = 0.0
    for right, wrong in ((true[0], false[1]), (1 - false[1], 1 - true[0])):
        if right - delta > wrong > 0:
            best = max(best, math.log((right - delta) / wrong))
    return best


def membership(
    release: Callable[[Any, int], xr.DataArray],
    without: Any,
    present: Any,
    *,
    target: xr.DataArray,
    releases: int = 200,
    times: int = 1,
    delta: float = 0.0,
    seed: int,
    confidence: float = 0.95,
    progress: bool = True,
) -> Evidence:
    """Whether somebody was counted, from the release alone: the attacker knows everybody else and the target's trace.

    However right it is, an attack on one target proves no more than about the logarithm of the number of releases: 3.8
    with 200. `audit` looks at many targets at once.

    Parameters
    ----------
    release : function
        ``release(data, number)`` gives what is published; the number is another one each time.
    without, present
        The data without and with the target, as `release` takes them.
    target : DataArray
        What the target adds to each cell: released cells are weighted with it.
    releases : int
        How many are looked at with the target, and as many without. Half as many more of each teach the attacker where
        to draw the line; the bound rests on those that come after.
    times : int
        Releases of the same data that the attacker averages: they spend epsilon that often.
    delta : float [1]
        Of the release.
    seed : int
    confidence : float
    progress : bool
        Show a progress bar when it takes longer than two seconds.

    Returns
    -------
    Evidence

    Errors
    ------
    TwinError
        Numbers out of range, or a release without the target's cells.
    """

    def seen(data: Any, number: int) -> float:
        return float(np.mean([_score(release(data, number * times + t), target) for t in range(times)]))

    return _tried(release, seen, without, present, releases, delta, seed, confidence, progress)


def differencing(
    release: Callable[[Any, int], xr.DataArray],
    without: Any,
    present: Any,
    *,
    target: xr.DataArray,
    releases: int = 200,
    delta: float = 0.0,
    seed: int,
    confidence: float = 0.95,
    progress: bool = True,
) -> Evidence:
    """Whether somebody was counted, from the difference of two releases: of all, and of all but the target.

    An office that publishes "all" and, a week later, "all but those who objected" gives both away. The attacker needs
    to know nobody else. Parameters and result as for `membership`; the second release never holds the target.
    """

    def seen(data: Any, number: int) -> float:
        return _score(release(data, 2 * number), target) - _score(release(without, 2 * number + 1), target)

    return _tried(release, seen, without, present, releases, delta, seed, confidence, progress)


def audit(
    release: Callable[[Any, int], xr.DataArray],
    mixed: Callable[[np.ndarray], Any],
    *,
    targets: xr.DataArray,
    releases: int = 200,
    seed: int,
    confidence: float = 0.95,
    progress: bool = True,
) -> Evidence:
    """Which of many targets were counted: each is in or out by the fall of a coin, anew for each release.

    If a release keeps epsilon for each of them, no guess about one is right with more than e^epsilon / (1 + e^epsilon),
    whatever is known of the others. So `releases` times the number of targets guesses are one long row of coins, and
    prove an epsilon far above what one target in as many releases can.

    Equation: epsilon >= log(p / (1 - p)), p the lower end (Clopper and Pearson) of the share of guesses that are right.

    Parameters
    ----------
    release : function
        ``release(data, number)`` gives what is published; the number is another one each time.
    mixed : function
        ``mixed(inside)`` gives the data with those targets whose place in the array of bool is True.
    targets : DataArray (target, and the dims of the counts)
        What each target adds to each cell; best where few others are. Each is one unit of protection.
    releases : int
        How many are attacked. Half as many more teach the attacker how each target's cells look with and without it,
        and from which score on to say "in it", "not in it", or nothing.
    seed : int
        Of the coins.
    confidence : float
    progress : bool
        Show a progress bar when it takes longer than two seconds.

    Returns
    -------
    Evidence
        `caught` and `accused` of those about whom a guess was made; `silent` are the others.

    Validity
    --------
    Pure privacy, without a delta. Targets must not share a unit.

    Errors
    ------
    TwinError
        Numbers out of range, targets without their dim, a release without their cells.

    References
    ----------
    T. Steinke, M. Nasr, M. Jagielski, Privacy Auditing with One (1) Training Run, 2023, Theorem 5.2.
    """
    from scipy.special import betaincinv

    _whole_releases(releases)
    tail = 1 - positive(confidence, "confidence", below=1.0)
    if not callable(release) or not callable(mixed):
        raise TwinError("a function", found="something else", hint="mixed(inside) and release(data, number)")
    if "target" not in targets.dims or targets.ndim < 2:
        raise TwinError(
            "what each target adds to each cell", found=f"dims {targets.dims}", hint="xr.concat(..., 'target')"
        )
    pilots = max(releases // 2, 2)
    rng = np.random.default_rng(whole_seed(seed))
    coins = rng.random((pilots + releases, targets.sizes["target"])) < 0.5
    start = whole_seed(seed, bits=31) * (pilots + releases)
    targets = targets.transpose("target", ...)
    cells, one = targets.to_numpy().reshape(targets.sizes["target"], -1), targets.isel(target=0, drop=True)
    score = np.array(
        [_cells(release(mixed(inside), start + n), one) @ cells.T for n, inside in enumerate(shown(coins, progress))]
    )
    # how each target's own cells look without it (0) and with it (1), from the pilots
    taught, known = score[:pilots], coins[:pilots]
    count = known.sum(axis=0)
    there = np.divide((taught * known).sum(axis=0), count, out=np.zeros(len(cells)), where=count > 0)
    gone = np.divide((taught * ~known).sum(axis=0), pilots - count, out=np.zeros(len(cells)), where=count < pilots)
    score = np.divide(score - gone, there - gone, out=np.full(score.shape, 0.5), where=there > gone)

    def proved(right: Any, made: Any) -> Any:
        low = betaincinv(right, np.maximum(made - right, 0) + 1, tail, where=right > 0, out=np.zeros(np.shape(right)))
        return np.log(np.maximum(low, 0.5) / np.minimum(1 - low, 0.5))

    lines = np.unique(np.concatenate([np.linspace(-0.5, 1.5, 81), np.quantile(score[:pilots], np.linspace(0, 1, 41))]))
    says_in = np.array([[(score[:pilots][of] > line).sum() for line in lines] for of in (known, ~known)])
    says_out = np.array([[(score[:pilots][of] <= line).sum() for line in lines] for of in (~known, known)])
    right = says_in[0][:, None] + says_out[0][None, :]
    made = right + says_in[1][:, None] + says_out[1][None, :]
    told = np.where(lines[:, None] >= lines[None, :], proved(right.astype(float), made.astype(float)), -1.0)
    # of lines that prove as much those in the middle, which are the farthest from both crowds
    best = np.argwhere(told >= told.max() - 1e-9)
    high, low = (float(lines[i]) for i in best[((best - best.mean(axis=0)) ** 2).sum(axis=1).argmin()])

    inside, score = coins[pilots:], score[pilots:]
    says = np.where(score > high, 1, np.where(score <= low, -1, 0))
    caught, accused = int((says[inside] == 1).sum()), int((says[~inside] == 1).sum())
    present, absent = int((says[inside] != 0).sum()), int((says[~inside] != 0).sum())
    sure = float(proved(np.array(float(caught + absent - accused)), np.array(float(present + absent))))
    return Evidence(sure, confidence, caught, present, accused, absent, int((says == 0).sum()))


def _score(released: xr.DataArray, target: xr.DataArray) -> float:
    return float(_cells(released, target) @ target.to_numpy().ravel())


def _cells(released: xr.DataArray, target: xr.DataArray) -> np.ndarray:
    """The released counts in the cells of a target, in one row."""
    missing = [d for d in target.dims if d not in released.dims]
    if missing:
        raise TwinError(
            f"a release with dims {target.dims}", found=f"no {', '.join(map(str, missing))}", hint="keep them"
        )
    there = released.reindex_like(target) if released.indexes else released
    # a cell that was left empty says nothing
    summed = there.sum([d for d in there.dims if d not in target.dims])
    return np.asarray(np.nan_to_num(summed.transpose(*target.dims).to_numpy()), float).ravel()


def _whole_releases(releases: object) -> None:
    if isinstance(releases, bool) or not isinstance(releases, int | np.integer) or releases < 2:
        raise TwinError("2 releases or more", found=repr(releases), hint="200 are usual", where="releases")


def _tried(
    release: Any,
    seen: Callable[[Any, int], float],
    without: Any,
    present: Any,
    releases: int,
    delta: float,
    seed: int,
    confidence: float,
    progress: bool,
) -> Evidence:
    _whole_releases(releases)
    if not callable(release):
        raise TwinError(
            "a function", found=f"a {type(release).__name__}", hint="release(data, number)", where="release"
        )
    pilots = max(releases // 2, 1)
    start = whole_seed(seed, bits=31) * 4 * (pilots + releases)
    turns = [without] * pilots + [present] * (pilots + releases) + [without] * releases
    scores = np.array([seen(data, start + i) for i, data in enumerate(shown(turns, progress))])
    taught = scores[:pilots], scores[pilots : 2 * pilots]
    line = _line(*taught, delta, confidence)
    caught = int((scores[2 * pilots : 2 * pilots + releases] > line).sum())
    accused = int((scores[2 * pilots + releases :] > line).sum())
    bound = epsilon_at_least(caught, releases, accused, releases, delta=delta, confidence=confidence)
    return Evidence(bound, confidence, caught, releases, accused, releases)


def _line(absent: np.ndarray, present: np.ndarray, delta: float, confidence: float) -> float:
    """The score above which to say "in it": the one that would prove most on the pilots, else half way."""
    tried = np.unique(np.concatenate([absent, present]))
    middles = (tried[1:] + tried[:-1]) / 2
    half = float((absent.mean() + present.mean()) / 2)
    best, line = 0.0, half
    for m in middles:
        counts = (int((present > m).sum()), present.size, int((absent > m).sum()), absent.size)
        proved = epsilon_at_least(*counts, delta=delta, confidence=confidence)
        if proved > best:
            best, line = proved, float(m)
    return line


def exposed(first: xr.DataArray, second: xr.DataArray, *, below: int) -> xr.DataArray:
    """Cells in which the difference of two exact tables tells of fewer people than either table may show.

    Parameters
    ----------
    first, second : DataArray
        Two tables of k-anonymous counts, such as of all and of all but one district; NaN where left empty.
    below : int
        The k of both.

    Returns
    -------
    DataArray
        How many people the difference tells of; NaN where it tells nothing or of a crowd.

    Examples
    --------
    >>> all_of_them, others = xr.DataArray([7.0, 9.0], dims="zone"), xr.DataArray([6.0, 9.0], dims="zone")
    >>> exposed(all_of_them, others, below=5).values.tolist()
    [1.0, nan]
    """
    first, second = xr.align(first, second, join="inner")
    less = abs(first - second)
    return less.where((less > 0) & (less < below))


def reidentification(
    records: xr.Dataset | pd.DataFrame,
    *,
    on: Sequence[str],
    points: int = 4,
    people: int = 1000,
    seed: int,
    confidence: float = 0.95,
) -> xr.Dataset:
    """Share of the people whom a few points of their trace single out in a file with pseudonyms instead of names.

    The attacker has seen a person at `points` random moments (a shop, a posted picture, a stop) and looks for the
    pseudonyms that were there at all of them. One left: the whole trace of that person lies open.

    Parameters
    ----------
    records : Dataset or DataFrame
        One row an event: `subscriber` (the pseudonym), and the columns of a point.
    on : list of str
        Columns that make a point: ``["day", "hour", "origin"]``.
    points : int
    people : int
        How many are looked for, drawn at random among those with so many different points.
    seed : int
    confidence : float

    Returns
    -------
    Dataset
        `found` (share who are alone), `low` and `high` (its interval), `epsilon` (what a release would have to spend to
        make this attack so sure), `people` (looked for) and `candidates` (who could be meant).

    Errors
    ------
    TwinError
        Nobody has so many points.

    References
    ----------
    Y.-A. de Montjoye, C. Hidalgo, M. Verleysen, V. Blondel, Unique in the Crowd, 2013: four points single out 95 %.
    """
    for value, name in ((points, "points"), (people, "people")):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise TwinError("a whole number from 1", found=repr(value), hint=f"{name}=4", where=name)
    if not list(on):
        raise TwinError("columns that make a point", found="none", hint="on=['day', 'hour', 'origin']", where="on")
    events = contribution.table(records, list(dict.fromkeys(("subscriber", *on))))
    who = pd.factorize(events["subscriber"])[0].astype(np.int64)
    where = contribution.codes(events, list(on))
    pairs = np.unique(np.stack([who, where], axis=1), axis=0)
    who, where = pairs[:, 0], pairs[:, 1]
    first, count = np.unique(who, return_index=True)[1], np.bincount(who)
    able = np.flatnonzero(count >= points)
    if not able.size:
        raise TwinError(
            f"people with {points} different points",
            found=f"at most {count.max(initial=0)} for one",
            hint="take fewer points or more days",
            where="points",
        )
    # for each point, who was there: one sorted list cut into pieces
    order = np.argsort(where, kind="stable")
    there = who[order]
    cut = np.searchsorted(where[order], np.arange(where.max() + 2))
    generator = np.random.default_rng(whole_seed(seed))
    looked = generator.choice(able, size=min(people, able.size), replace=False)
    alone = 0
    for person in looked:
        own = where[first[person] : first[person] + count[person]]
        seen = generator.choice(own, size=points, replace=False)
        left = there[cut[seen[0]] : cut[seen[0] + 1]]
        for point in seen[1:]:
            left = np.intersect1d(left, there[cut[point] : cut[point + 1]], assume_unique=True)
        alone += left.size == 1
    low, high = proportion(int(alone), int(looked.size), confidence=confidence)
    # odds of naming the right one, against those of a guess among all: no release may raise them by more than e^epsilon
    others = max(count.size - 1, 1)
    most = min(low, 1 - 1e-12)
    epsilon = max(0.0, math.log(most / (1 - most) * others)) if most > 0 else 0.0
    share = {"units": "1"}
    return xr.Dataset(
        {
            "found": ((), alone / looked.size, share),
            "low": ((), low, share),
            "high": ((), high, share),
            "epsilon": ((), epsilon, share),
            "people": ((), int(looked.size), {"units": "people"}),
            "candidates": ((), int(count.size), {"units": "people"}),
        },
        attrs={"confidence": confidence, "points": int(points)},
    )
