"""Splits that fit the question: what is tested is what the model will meet, and nothing of it was seen before.

A split is a list of `Fold`; each holds the rows to learn from and the rows to test on. Which split fits follows from
where the model will be used: tomorrow (`rolling_origin`), at a station never seen (`by_group`), in a street never
driven (`by_block`). `shuffled` mixes rows at random and refuses rows that belong together or follow each other in time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinkit.contract import whole_seed
from twinkit.error import TwinError

__all__ = ["Fold", "block", "by_block", "by_group", "cut_rows", "rolling_origin", "shuffled"]


class Fold(NamedTuple):
    """Rows to learn from and rows to test on, as ascending positions, and what the fold leaves out."""

    train: np.ndarray
    test: np.ndarray
    name: str


def rolling_origin(
    time: Any,
    *,
    origins: Any,
    horizon: np.timedelta64 | str,
    gap: np.timedelta64 | str = "0h",
    window: np.timedelta64 | str | None = None,
) -> list[Fold]:
    r"""Folds that stand at an origin, know what was before it and forecast what comes after.

    .. math:: \text{train} = \{i: o - g - w \le t_i < o - g\}, \qquad \text{test} = \{i: o \le t_i < o + h\}

    Parameters
    ----------
    time : array of datetime64, shape (row,)
        The moment of each row; rows of many series may stand in one array, so moments may repeat, but not go back
        within the order in which they come only to come again: ascending order is asked.
    origins : array of datetime64
        The moments o at which a forecast is made.
    horizon : timedelta64 or str
        How far the forecast reaches, h; a text is read by pandas, ``"24h"``.
    gap : timedelta64 or str
        Purged before the origin, g: readings that come late, or whose features look ahead.
    window : timedelta64 or str, optional
        The longest memory, w; all that was before when left out.

    Returns
    -------
    list of Fold
        One for each origin, in their order; ``name`` is the origin.

    Validity
    --------
    A row's features must be known at its fold's origin: `twinkit.learn.leaks` finds those that are not.

    Errors
    ------
    TwinError
        Time goes backwards or is missing; an origin with nothing before it or after it.

    Examples
    --------
    >>> hours = np.arange("2026-03-01", "2026-03-04", dtype="datetime64[h]")
    >>> folds = rolling_origin(hours, origins=["2026-03-02", "2026-03-03"], horizon="24h", gap="2h")
    >>> [(len(f.train), len(f.test), f.name) for f in folds]
    [(22, 24, '2026-03-02T00'), (46, 24, '2026-03-03T00')]

    References
    ----------
    Tashman (2000), Out-of-sample tests of forecasting accuracy, International Journal of Forecasting 16, section 3.
    """
    moments = _moments(time)
    ahead, purged = _span(horizon, "horizon"), _span(gap, "gap")
    memory = None if window is None else _span(window, "window")
    if ahead <= np.timedelta64(0, "ns"):
        raise TwinError("a horizon above 0", found=str(horizon), hint="give '24h'", where="horizon")
    folds = []
    try:
        begins = np.atleast_1d(np.asarray(origins, dtype="datetime64[ns]"))
    except (TypeError, ValueError):
        raise TwinError("moments", found=repr(origins), hint="origins=['2026-03-02']", where="origins") from None
    for origin in begins:
        last = np.searchsorted(moments, origin - purged)
        first = 0 if memory is None else np.searchsorted(moments, origin - purged - memory)
        begin, end = np.searchsorted(moments, [origin, origin + ahead])
        name = str(np.datetime_as_string(origin, unit="h"))
        if last <= first or end <= begin:
            missing = "before" if last <= first else "after"
            raise TwinError(
                f"origins between {moments[0]} and {moments[-1]}, with rows on both sides",
                found=f"nothing {missing} {name}",
                hint="choose origins inside the series, or a shorter gap",
                where="origins",
            )
        folds.append(Fold(np.arange(first, last), np.arange(begin, end), name))
    return folds


def by_group(groups: Any, *, folds: int | None = None, seed: int = 0) -> list[Fold]:
    """Folds in which no group stands on both sides: a station, a site, a region, an engine never seen before.

    Parameters
    ----------
    groups : array, shape (row,)
        The group of each row.
    folds : int, optional
        Number of folds of about equal numbers of groups; left out: as many as groups, each left out once.
    seed : int
        Of the order in which groups are dealt.

    Returns
    -------
    list of Fold
        ``name`` is the group where one is left out, else the number of the fold.

    Validity
    --------
    Two groups that share what matters (two stations on one mast) are one group: give them one label.

    Errors
    ------
    TwinError
        A single group, a missing label, or more folds than groups.

    Examples
    --------
    >>> [(f.name, f.test.tolist()) for f in by_group(["a", "b", "a", "c"])]
    [('a', [0, 2]), ('b', [1]), ('c', [3])]
    """
    names, code = _groups(groups)
    if len(names) < 2:
        raise TwinError(
            "two groups or more, so that one can be left out",
            found=f"a single group, '{names[0]}'",
            hint="a single group cannot tell how the model does elsewhere: add data, or split along time",
            where="groups",
        )
    if folds is None:
        fold_of, labels = np.arange(len(names)), [str(n) for n in names]
    else:
        if isinstance(folds, bool) or not isinstance(folds, int | np.integer) or not 2 <= folds <= len(names):
            raise TwinError(
                f"folds from 2 to {len(names)}, the number of groups",
                found=repr(folds),
                hint="give fewer folds",
                where="folds",
            )
        order = np.random.default_rng(whole_seed(seed)).permutation(len(names))
        fold_of = np.empty(len(names), dtype=int)
        fold_of[order] = np.arange(len(names)) % folds
        labels = [str(n) for n in range(folds)]
    row_fold = fold_of[code]
    return [Fold(np.flatnonzero(row_fold != n), np.flatnonzero(row_fold == n), label) for n, label in enumerate(labels)]


def block(x: Any, y: Any, *, size: float) -> np.ndarray:
    """The square block in which each point lies, as a label.

    Parameters
    ----------
    x, y : array, shape (row,) [m]
        In a projected CRS.
    size : float [m]
        Side of a block.

    Returns
    -------
    array of str, shape (row,)
        ``"row of blocks/column of blocks"``, counted from the CRS's origin, so that more data keep old labels.

    Errors
    ------
    TwinError
        Degrees instead of metres cannot be told, but a missing position or a size of 0 can.

    Examples
    --------
    >>> block([10.0, 290.0, 310.0], [0.0, 10.0, 10.0], size=300.0).tolist()
    ['0/0', '0/0', '0/1']
    """
    if not (np.isfinite(size) and size > 0):
        raise TwinError("a size above 0 m", found=repr(size), hint="give 300.0", where="size")
    across, up = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if across.shape != up.shape or across.ndim != 1:
        raise TwinError("x and y of one row each", found=f"{across.shape} and {up.shape}", hint="pass columns")
    if not (np.isfinite(across).all() and np.isfinite(up).all()):
        raise TwinError("a position in every row", found="a missing one", hint="drop those rows first", where="x, y")
    rows, columns = np.floor(up / size).astype(int), np.floor(across / size).astype(int)
    return np.array([f"{r}/{c}" for r, c in zip(rows, columns, strict=True)], dtype=object)


def by_block(
    x: Any, y: Any, *, size: float, folds: int, groups: Any = None, margin: float = 0.0, seed: int = 0
) -> list[Fold]:
    """Folds of square blocks on the ground: rows near each other are tested together.

    Parameters
    ----------
    x, y : array, shape (row,) [m]
    size : float [m]
        Side of a block.
    folds : int
        Blocks are dealt to so many folds.
    groups : array, shape (row,), optional
        The mast of each row, say: within each fold a mast keeps blocks on both sides, dealt mast by mast, so that
        every fold tests every mast. Rows of two masts in one place still fall into one block and one fold.
    margin : float [m]
        Purged around what is tested: rows to learn from that lie nearer to a tested row are left out.
    seed : int

    Returns
    -------
    list of Fold

    Errors
    ------
    TwinError
        Fewer blocks than folds, a missing position, or nothing left to learn from within the margin.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.uniform(0, 3000, (2, 500))
    >>> folds = by_block(x, y, size=300.0, folds=5, margin=50.0, seed=1)
    >>> sum(len(f.test) for f in folds), all(len(f.train) + len(f.test) < 500 for f in folds)
    (500, True)

    References
    ----------
    Roberts et al. (2017), Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic
    structure, Ecography 40, box 1.
    """
    labels = block(x, y, size=size)
    if groups is None:
        made = by_group(labels, folds=folds, seed=seed)
    else:
        names, code = _groups(groups)
        if len(code) != len(labels):
            raise TwinError("one group for each row", found=f"{len(code)} of {len(labels)}", hint="pass a column")
        blocks, which = np.unique(labels.astype(str), return_inverse=True)
        # each block belongs to the mast that has most rows in it; dealt mast by mast, each fold gets some of each
        counts = np.zeros((len(blocks), len(names)), dtype=int)
        np.add.at(counts, (which, code), 1)
        owner = counts.argmax(axis=1)
        rng = np.random.default_rng(whole_seed(seed))
        order = np.concatenate([rng.permutation(np.flatnonzero(owner == n)) for n in range(len(names))])
        if not 2 <= folds <= len(blocks):
            raise TwinError(f"folds from 2 to {len(blocks)} blocks", found=repr(folds), hint="smaller blocks")
        fold_of = np.empty(len(blocks), dtype=int)
        fold_of[order] = np.arange(len(blocks)) % folds
        row = fold_of[which]
        made = [Fold(np.flatnonzero(row != n), np.flatnonzero(row == n), str(n)) for n in range(folds)]
    if margin <= 0:
        return made
    from scipy.spatial import cKDTree

    points = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    purged = []
    for fold in made:
        nearest, _ = cKDTree(points[fold.test]).query(points[fold.train])
        kept = fold.train[nearest >= margin]
        if not len(kept):
            raise TwinError("rows to learn from", found="none beyond the margin", hint="a smaller margin")
        purged.append(Fold(kept, fold.test, fold.name))
    return purged


def shuffled(rows: int, *, folds: int, seed: int, groups: Any = None, time: Any = None) -> list[Fold]:
    """Folds of rows mixed at random, for rows that have nothing to do with each other; all others are refused.

    Parameters
    ----------
    rows : int
    folds : int
    seed : int
    groups : array, shape (row,), optional
        The group of each row: say it where there is one. Refused when a group has more than one row.
    time : array of datetime64, shape (row,), optional
        The moment of each row: say it where there is one. Refused, because neighbours in time tell of each other.

    Returns
    -------
    list of Fold

    Errors
    ------
    TwinError
        Grouped or temporal rows, with the reason and the split that fits.

    Examples
    --------
    >>> [len(f.test) for f in shuffled(10, folds=5, seed=1)]
    [2, 2, 2, 2, 2]
    >>> shuffled(4, folds=2, seed=1, groups=["a", "a", "b", "b"])
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: groups: expected rows that have nothing to do with each other; found 2 rows of group ...
    """
    if groups is not None:
        names, code = _groups(groups)
        counts = np.bincount(code)
        if counts.max() > 1:
            raise TwinError(
                "rows that have nothing to do with each other",
                found=f"{counts.max()} rows of group '{names[counts.argmax()]}': at random some would be learned from "
                "and the others tested, and the score would say how well the group is remembered",
                hint="use tk.learn.by_group(groups, folds=5)",
                where="groups",
            )
    if time is not None:
        raise TwinError(
            "rows that have nothing to do with each other",
            found="rows along time: at random the model would learn from the hour after the one that it is tested on",
            hint="use tk.learn.rolling_origin(time, origins=..., horizon='24h')",
            where="time",
        )
    if not 2 <= folds <= rows:
        raise TwinError(f"folds from 2 to {rows}, the number of rows", found=repr(folds), hint="give folds=5")
    return by_group(np.arange(rows), folds=folds, seed=seed)


def cut_rows(fold: Fold, *, share: float, groups: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The fold's rows to learn from, cut once more by whole groups: to fit on, and to calibrate intervals on.

    Parameters
    ----------
    fold : Fold
    share : float [1]
        Share of the groups that is set aside to calibrate.
    groups : array, shape (row,)
        Of all rows, not of the fold's alone.
    seed : int

    Returns
    -------
    (array, array)
        Positions to fit on and positions to calibrate on.

    Errors
    ------
    TwinError
        A share outside (0, 1), or a single group to learn from.

    Examples
    --------
    >>> fold = by_group(["a", "b", "c", "d", "d"], folds=2, seed=1)[0]
    >>> fit, calibrate = cut_rows(fold, share=0.5, groups=["a", "b", "c", "d", "d"])
    >>> sorted([*fit, *calibrate]) == fold.train.tolist()
    True
    """
    if not 0 < share < 1:
        raise TwinError("a share between 0 and 1", found=repr(share), hint="give 0.25", where="share")
    names, code = _groups(np.asarray(groups)[fold.train])
    if len(names) < 2:
        raise TwinError("two groups to learn from", found=f"'{names[0]}' alone", hint="add data", where="groups")
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    aside = np.isin(code, np.random.default_rng(whole_seed(seed)).permutation(len(names))[:count])
    return fold.train[~aside], fold.train[aside]


def _moments(time: Any) -> np.ndarray:
    moments = np.asarray(time)
    if moments.dtype.kind != "M" or moments.ndim != 1 or not len(moments):
        raise TwinError(
            "one datetime64 for each row",
            found=f"{moments.dtype} of shape {moments.shape}",
            hint="pass the time column",
        )
    moments = moments.astype("datetime64[ns]")
    if np.isnat(moments).any():
        raise TwinError("a moment in every row", found="a missing one", hint="drop those rows", where="time")
    back = np.flatnonzero(np.diff(moments) < np.timedelta64(0, "ns"))
    if len(back):
        raise TwinError(
            "time that goes forward",
            found=f"{moments[back[0] + 1]} after {moments[back[0]]} in row {back[0] + 1}",
            hint="sort the rows by time",
            where="time",
        )
    return moments


def _span(value: Any, name: str) -> np.timedelta64:
    import pandas as pd

    try:
        return pd.Timedelta(value).to_timedelta64().astype("timedelta64[ns]")
    except (ValueError, TypeError):
        raise TwinError("a span of time", found=repr(value), hint="give '24h'", where=name) from None


def _groups(groups: Any) -> tuple[np.ndarray, np.ndarray]:
    """Names of the groups, in order, and the number of each row's group."""
    import pandas as pd

    labels = np.asarray(groups)
    if labels.ndim != 1 or not len(labels):
        raise TwinError("one group for each row", found=f"shape {labels.shape}", hint="pass a column", where="groups")
    if pd.isna(labels).any():
        raise TwinError("a group in every row", found="a missing label", hint="drop those rows", where="groups")
    names, code = np.unique(labels.astype(str) if labels.dtype == object else labels, return_inverse=True)
    return names, code
