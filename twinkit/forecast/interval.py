"""Intervals that keep their word: quantiles of how far past forecasts of the same series and hour were off.

Split conformal prediction on the rolling origins of the history, with a deviation for each series and hour of the day,
so that nights are sure and evenings are not; the levels then follow each series as its days are lived.
"""

from __future__ import annotations

import numpy as np

__all__ = ["around"]

ALIKE = 10.0
"""Days of evidence with which an hour's deviation resists that of all hours and series."""

UNTESTED = 12.0
"""Values of evidence with which a series' deviation resists what is usual for its size."""

POOLED = 300.0
"""Values of evidence with which a series' levels resist those of all series."""

HOURS_ALIKE = 6.0
"""Values of one day that tell no more than one: hours of a day go wrong together."""

GROWS = 0.5
"""Power of the forecast with which the deviation grows: counts go with the root."""

RECENT = 112
"""Past origins at most that the intervals are taken from: what was sure two summers ago may not be now."""

RATE = 0.05
"""How fast a level follows what was missed, in mean deviations a day."""


def around(point: np.ndarray, past: np.ndarray, residual: np.ndarray, *, quantile: np.ndarray) -> np.ndarray:
    r"""Quantiles about a forecast, from the residuals of past ones.

    .. math:: \hat q_τ = \hat y + σ_{ih} z_{iτ}, \qquad
       z_{iτ} \leftarrow z_{iτ} + η (τ - \overline{1}\{z < z_{iτ}\})

    with σ the mean deviation of series i at lead h, z the empirical quantile of r/σ at the level that a finite sample
    needs, then tracked through the origins in their order.

    Parameters
    ----------
    point : array (lead, series)
    past, residual : array (origin, lead, series)
        Residuals may be NaN where nothing was read.
    quantile : array (quantile,)
        Ascending, within (0, 1).

    Returns
    -------
    array (quantile, lead, series)
        Ascending along quantile.

    References
    ----------
    I. Gibbs, E. Candès, *Adaptive conformal inference under distribution shift*, NeurIPS 2021; A. Angelopoulos,
    E. Candès, R. Tibshirani, *Conformal PID control for time series prediction*, NeurIPS 2023, section 2.1.
    """
    past, residual = past[-RECENT:], residual[-RECENT:]
    origins, leads, count = residual.shape
    seen = np.isfinite(residual)
    size = np.where(seen, np.abs(residual), 0)
    many = seen.sum(0)
    deviation = size.sum(0) / np.maximum(many, 1)
    own = size.sum((0, 1)) / np.maximum(seen.sum((0, 1)), 1)
    still = (own == 0) & seen.any((0, 1))
    # a series that was hardly ever tested is as unsure, for its size, as the others are
    level, tested = np.abs(point).mean(0), seen.sum((0, 1))
    usual = (own * tested).sum() / max((level * tested).sum(), 1e-300)
    own = (tested * own + UNTESTED * usual * level) / (tested + UNTESTED)
    hour = deviation.sum(1) / np.maximum(own.sum(), 1e-300)
    deviation = (many * deviation + ALIKE * hour[:, None] * own) / (many + ALIKE)
    middle = np.where(seen, past, 0).sum(0) / np.maximum(many, 1)
    deviation = np.maximum(deviation, 1e-9 * np.maximum(np.abs(middle), 1e-30))
    z = np.where(seen, residual / (deviation * _grown(past, middle)), np.nan).reshape(origins * leads, count)
    share = np.minimum(1, HOURS_ALIKE / np.maximum(seen.sum((0, 1)), 1))
    levels = _levels(z, quantile, share)
    levels = _followed(levels, z.reshape(origins, leads, count), quantile)
    said = point + levels[:, None, :] * (deviation * _grown(point, middle))
    # what never was off by anything has no width to speak of
    return np.sort(np.where(still, point, said), axis=0)


def _grown(value: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """How much surer or less sure than on the mean day, from the size of the forecast."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(middle > 0, np.maximum(value, 0) / middle, 1.0)
    return np.asarray(np.clip(ratio, 0.1, 10) ** GROWS)


def _levels(z: np.ndarray, quantile: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Quantiles of z, of each series and of all, each at the level that so few values need (quantile, series)."""
    every = z[np.isfinite(z)]
    if not every.size:
        return np.zeros((len(quantile), z.shape[1]))
    common = np.quantile(every, quantile)
    ordered = np.sort(z, axis=0)  # NaN last
    many = np.isfinite(z).sum(0)
    out = np.empty((len(quantile), z.shape[1]))
    columns = np.arange(z.shape[1])
    for k, level in enumerate(quantile):
        # further out by one part of what counts as independent, towards the side on which the level lies
        wanted = np.clip(level + share * (level - 0.5), 0, 1)
        at = wanted * np.maximum(many - 1, 0)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, np.maximum(many - 1, 0))
        own = ordered[low, columns] * (1 - (at - low)) + ordered[high, columns] * (at - low)
        out[k] = np.where(many > 0, (many * np.nan_to_num(own) + POOLED * common[k]) / (many + POOLED), common[k])
    return out


def _followed(levels: np.ndarray, z: np.ndarray, quantile: np.ndarray) -> np.ndarray:
    """The levels after each origin in turn has said how often they were missed."""
    out = levels.copy()
    for day in z:
        seen = np.isfinite(day)
        many = np.maximum(seen.sum(0), 1)
        for k, level in enumerate(quantile):
            below = (seen & (day < out[k])).sum(0) / many
            out[k] += RATE * np.where(seen.any(0), level - below, 0)
    return out
