"""How good the forecasts of past origins were, beside the forecast that costs nothing: last week's value."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import learn
from twinkit.error import TwinError
from twinkit.forecast.metro import metro
from twinkit.forecast.recipe import passengers_year

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["accuracy", "numbers"]

METRO = "bengaluru-metro-od"

FEASTS = ("2025-03-14", "2025-03-31", "2025-04-18", "2025-10-20", "2025-11-05", "2025-12-25")
"""Beside the national days, those of 2025 that the generated year keeps."""


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
    parts = _parts(series, said)
    found = {
        name: [float(v[name]) for v in map(_summed, parts)]
        for name in ("mase", "mase_naive", "wmape", "wmape_naive", "coverage", "scored")
    }
    return xr.Dataset({k: ("origin", v) for k, v in found.items()}, {"origin": said["origin"].to_numpy()})


def _parts(series: xr.DataArray, said: xr.DataArray) -> list[dict[str, Any]]:
    """For each origin the values that count, in the scale of their series, and what was said of them."""
    levels = said["quantile"].to_numpy()
    if len(levels) < 2 or not np.isclose(levels, 0.5).any():
        raise TwinError("quantiles, the median among them", found=str(levels.tolist()), hint="[0.05, 0.5, 0.95]")
    other = str(next(d for d in series.dims if d != "time"))
    series = series.transpose("time", other)
    if other not in series.coords:
        series = series.assign_coords({other: np.arange(series.sizes[other])})
    step = np.diff(series["time"].to_numpy()[:2])[0]
    week = round(np.timedelta64(7, "D") / step)
    parts = []
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
        values = one.to_numpy()
        middle = int(np.argmin(np.abs(levels - 0.5)))
        table = {"truth": truth, "said": values[middle], "naive": naive, "low": values[0], "high": values[-1]}
        parts.append(
            {name: v[counts] for name, v in table.items()}
            | {
                "scale": np.broadcast_to(scale, truth.shape)[counts],
                "series": np.broadcast_to(np.arange(len(scale)), truth.shape)[counts],
                "scored": float(counts.mean()),
            }
        )
    return parts


def _summed(part: dict[str, Any]) -> dict[str, float]:
    y, unit = part["truth"], part["scale"]
    return {
        "mase": learn.mase(y / unit, part["said"] / unit, scale=1.0),
        "mase_naive": learn.mase(y / unit, part["naive"] / unit, scale=1.0),
        "wmape": learn.wmape(y, part["said"]),
        "wmape_naive": learn.wmape(y, part["naive"]),
        "coverage": learn.coverage(y, part["low"], part["high"]),
        "scored": part["scored"],
    }


# ---------------------------------------------------------------- the card


def numbers(folder: Path | None) -> dict[str, Any]:
    """The numbers of the card ``passengers``: Bengaluru's stations in `folder`, or a generated year without it.

    >>> import twinkit as tk
    >>> "mase" in tk.learn.card("passengers").numbers["generated"]
    True
    """
    from twinkit.forecast.holidays import holidays
    from twinkit.forecast.series import ahead, hindcast

    off = holidays("IN", years=[2025], more=[] if folder else FEASTS)
    found: dict[str, Any] = {}
    if folder is None:
        year = passengers_year(stations=20, start="2025-01-01", days=365, holidays=off, seed=1)
        series, weather, hours = year["passengers"], year[["rain_forecast", "air_forecast"]], 0.0
        origins = np.arange(np.datetime64("2025-10-02"), np.datetime64("2025-12-29"), np.timedelta64(4, "D"))
    else:
        series = metro(folder / METRO / "station-hourly.parquet", names=folder / METRO / "station-names.csv")
        weather, hours = None, 5.5
        origins = np.datetime64("2025-08-14T18:30", "ns") + np.arange(4) * np.timedelta64(24, "h")
    model = functools.partial(ahead, holidays=off, weather=weather, hours=hours)
    said = hindcast(series, origins=origins, horizon="24h", model=model)
    parts = _parts(series, said)
    joined = {name: np.concatenate([p[name] for p in parts]) for name in parts[0] if name != "scored"}
    day = np.repeat(np.arange(len(parts)), [len(p["truth"]) for p in parts])
    groups = day if folder is None else joined["series"]
    y, unit = joined["truth"], joined["scale"]

    def estimated(said: np.ndarray) -> learn.Estimate:
        return learn.bootstrap(learn.mae, y / unit, said / unit, groups=groups, draws=500, seed=0)

    found["mase"] = estimated(joined["said"])
    found["mase_naive"] = estimated(joined["naive"])
    inside = (y >= joined["low"]) & (y <= joined["high"])
    found["coverage"] = learn.bootstrap(lambda v: float(v.mean()), inside * 1.0, groups=groups, draws=500, seed=0)
    found["mase_holiday"] = float((np.abs(y - joined["said"]) / unit)[day == 0].mean())
    found["mase_holiday_naive"] = float((np.abs(y - joined["naive"]) / unit)[day == 0].mean())
    if folder is None:
        best = year["passengers_expected"].sel(time=said["time"]).transpose("origin", "lead", "station")
        knowing = xr.concat([best.drop_vars("time")] * 3, "quantile").assign_coords(
            quantile=said["quantile"], time=said["time"]
        )
        found["mase_knowing"] = float(np.mean([_summed(p)["mase"] for p in _parts(series, knowing)]))
    return found
