"""What a unit's readings say at each moment, from nothing but what was read until then."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinkit.error import TwinError

__all__ = ["MEANS", "SLOPES", "features"]

MEANS = (5, 15, 30, 60)
"""Steps over which readings are averaged."""

SLOPES = (15, 30, 60)
"""Steps over which a line is laid through them."""

FIRST = 20
"""Steps at the beginning from which a unit's own nature is taken."""


def features(readings: Any, *, age: bool) -> np.ndarray:
    r"""Means, slopes and the distance from the unit's own beginning, at each step.

    .. math:: \bar y_w = \frac1w \sum_{k<w} y_{t-k}, \qquad
       s_w = \frac{\sum_k (k - \bar k)(y_{t-k} - \bar y)}{-\sum_k (k - \bar k)^2}, \qquad
       \bar y_{15} - \bar y_\text{first 20}

    Parameters
    ----------
    readings : array, shape (unit, step, sensor)
        NaN where nothing was read.
    age : bool
        Whether the number of the step is the unit's age and therefore tells something.

    Returns
    -------
    array, shape (unit, step, feature)
        Row t knows the readings until t alone. NaN where a window holds no reading (a slope: fewer than two).

    Validity
    --------
    Evenly spaced steps. Near the beginning a window holds what there is.

    Errors
    ------
    TwinError
        Another shape, or infinite readings.

    Examples
    --------
    >>> rising = np.arange(100.0)[None, :, None]
    >>> said = features(rising, age=False)[0]
    >>> said.shape, said[[50, 99, 99], [0, 4, 7]].round(6).tolist()
    ((100, 8), [48.0, 1.0, 82.5])
    """
    y = np.asarray(readings, dtype=float)
    if y.ndim != 3 or not y.size:
        raise TwinError("readings (unit, step, sensor)", found=f"shape {y.shape}", hint="transpose them")
    if np.isinf(y).any():
        raise TwinError("finite readings, NaN where missing", found="an infinite one", hint="clean them first")
    there = ~np.isnan(y)
    # the unit's own level is taken off before summing squares, so that a pressure in Pa keeps its digits
    level = np.nan_to_num(np.take_along_axis(y, there.argmax(axis=1)[:, None, :], axis=1))
    off = np.where(there, y - level, 0.0)
    step = np.arange(y.shape[1], dtype=float)[None, :, None]
    sums = {
        "n": _running(there.astype(float)),
        "y": _running(off),
        "t": _running(there * step),
        "tt": _running(there * step**2),
        "ty": _running(off * step),
    }
    parts = []
    means = {}
    for w in MEANS:
        n, total = _over(sums["n"], w), _over(sums["y"], w)
        means[w] = np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0) + level
        parts.append(means[w])
    for w in SLOPES:
        n, s, t, tt, ty = (_over(sums[k], w) for k in ("n", "y", "t", "tt", "ty"))
        below = n * tt - t**2
        parts.append(np.divide(n * ty - t * s, below, out=np.full_like(s, np.nan), where=(n > 1) & (below > 1e-9)))
    n, total = _capped(sums["n"]), _capped(sums["y"])
    parts.append(means[15] - level - np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0))
    if age:
        parts.append(np.broadcast_to(step, (*y.shape[:2], 1)))
    return np.concatenate(parts, axis=2)


def _running(values: np.ndarray) -> np.ndarray:
    """Sums from the beginning, a zero before the first."""
    out = np.zeros((values.shape[0], values.shape[1] + 1, values.shape[2]))
    np.cumsum(values, axis=1, out=out[:, 1:])
    return out


def _over(running: np.ndarray, window: int) -> np.ndarray:
    """Sums over the last `window` steps, or over all that there are."""
    begin = np.maximum(np.arange(1, running.shape[1]) - window, 0)
    return np.asarray(running[:, 1:] - running[:, begin])


def _capped(running: np.ndarray) -> np.ndarray:
    """Sums over the first steps, as far as they are known."""
    return np.asarray(running[:, np.minimum(np.arange(1, running.shape[1]), FIRST)])
