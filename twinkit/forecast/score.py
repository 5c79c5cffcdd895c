"""How good the forecasts of past origins were, beside the forecast that costs nothing: last week's value."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twinkit import learn
from twinkit.error import TwinError

__all__ = ["accuracy"]


def accuracy(series: xr.DataArray, said: xr.DataArray) -> xr.Dataset:
    r"""Scores of a `hindcast` by origin, and of the seasonal naive forecast on the same values.

    .. math:: \text{MASE} = \overline{|y - \hat y| / s_i}, \quad s_i = \overline{|y_t - y_{t-168\,h}|}
       \text{ before the origin}

    Parameters
    ----------
    series : DataArray (time, other dim)
        The readings, history and truth.
    said : DataArray (quantile, origin, lead, other dim)
        From `hindcast`, with the median.

    Returns
    -------
    Dataset (origin)
        ``mase``, ``mase_naive``, ``wmape``, ``wmape_naive``, ``coverage`` of the outermost quantiles, and ``scored``,
        the share of values that count: those with a reading, a reading a week before, and a scale.

    Errors
    ------
    TwinError
        No median, a single quantile, or an origin with nothing to score.

    Examples
    --------
    >>> from twinkit.forecast.series import hindcast
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(24 * 21) * np.timedelta64(3600, "s")
    >>> read = xr.DataArray(np.random.default_rng(1).poisson(9, (504, 2)), {"time": times}, ("time", "gate"))
    >>> found = accuracy(read, hindcast(read, origins=["2026-03-20"], horizon="24h"))
    >>> bool(found.mase < found.mase_naive)
    True
    """
    levels = said["quantile"].to_numpy()
    if len(levels) < 2 or not np.isclose(levels, 0.5).any():
        raise TwinError("quantiles, the median among them", found=str(levels.tolist()), hint="[0.05, 0.5, 0.95]")
    other = str(next(d for d in series.dims if d != "time"))
    series = series.transpose("time", other)
    if other not in series.coords:
        series = series.assign_coords({other: np.arange(series.sizes[other])})
    step = np.diff(series["time"].to_numpy()[:2])[0]
    week = round(np.timedelta64(7, "D") / step)
    rows = []
    for origin in said["origin"].to_numpy():
        one = said.sel(origin=origin).transpose("quantile", "lead", other)
        times = one["time"].to_numpy()
        truth = series.reindex(time=times).to_numpy()
        naive = series.reindex(time=times - np.timedelta64(7, "D")).to_numpy()
        past = series.isel(time=np.flatnonzero(series["time"].to_numpy() < origin)).to_numpy()
        apart = np.abs(past[week:] - past[:-week])
        many = np.isfinite(apart).sum(0)
        scale = np.where(np.isfinite(apart), apart, 0).sum(0) / np.maximum(many, 1)
        counts = np.isfinite(truth) & np.isfinite(naive) & (scale > 0)
        if not counts.any():
            raise TwinError("values to score", found=f"none at {origin}", hint="leave the origin out", where="origins")
        middle = one.to_numpy()[int(np.argmin(np.abs(levels - 0.5)))]
        unit = np.broadcast_to(scale, truth.shape)[counts]
        y = truth[counts]
        rows.append(
            {
                "mase": learn.mase(y / unit, middle[counts] / unit, scale=1.0),
                "mase_naive": learn.mase(y / unit, naive[counts] / unit, scale=1.0),
                "wmape": learn.wmape(y, middle[counts]),
                "wmape_naive": learn.wmape(y, naive[counts]),
                "coverage": learn.coverage(y, one.to_numpy()[0][counts], one.to_numpy()[-1][counts]),
                "scored": float(counts.mean()),
            }
        )
    return xr.Dataset(
        {name: ("origin", [float(r[name]) for r in rows]) for name in rows[0]}, {"origin": said["origin"].to_numpy()}
    )
