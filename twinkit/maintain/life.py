"""Remaining life, with intervals: learned from units that ran until they failed."""

from __future__ import annotations

import functools
import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import learn
from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError
from twinkit.learn.fits import side_by_side
from twinkit.maintain.features import features
from twinkit.maintain.histories import HEALTH, histories

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LifeModel", "cuts", "learned_life", "life", "remaining_life"]

INNER = 5
"""Parts into which the units that are learned from are cut; a model is fitted without each, and without each pair."""

FEWEST = 10
"""Units that ran to their end: with fewer there is nothing to calibrate on."""

RECENT = 150
"""Last steps of a life over which the intervals are calibrated: where a decision is near."""

STRANGE = 0.5
"""How far beyond the readings of its training, as a share of their range, a unit may lie and still be answered."""


@dataclass(frozen=True)
class LifeModel:
    """What `learned_life` gives and `life` uses.

    Attributes
    ----------
    sensors : tuple of str
        Variables that it reads, in their order.
    cap : float
        The longest life that it tells [steps].
    age : bool
        Whether the number of the step is a unit's age.
    mean, spread : estimators
        Of the life, and of the absolute error.
    observed, predicted, scale : array, shape (row,)
        Lives, predictions by a model without the unit, and their scales: what the intervals are calibrated on.
    low, high : array, shape (sensor,)
        Range of the readings that it learned from.
    units : int
        How many it learned from.
    provenance : str
    """

    sensors: tuple[str, ...]
    cap: float
    age: bool
    mean: Any
    spread: Any
    observed: np.ndarray
    predicted: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    units: int
    provenance: str

    def __repr__(self) -> str:
        return f"LifeModel({len(self.sensors)} sensors of {self.units} units, lives up to {self.cap:g} steps)"


def learned_life(
    past: xr.Dataset, *, cap: float, age: bool, seed: int, sensors: Sequence[str] | None = None
) -> LifeModel:
    r"""A model of the remaining life, from units that ran until they failed.

    Gradient-boosted trees over `features`, for the life :math:`\min(L, \text{cap})`, and a second model for the size of
    their errors on units left out. The errors in units of that size make the intervals (cross-conformal, by unit), and
    what they are calibrated on is the whole procedure: units are cut into five parts; a row's life is told without its
    part k, and its size of error is learned from the other parts, each told by a model without itself and without k.
    In the calibration as in use, then, an error of a model of n units is measured by sizes of error that models of a
    part fewer have shown. Sizes from models that had seen part k make the intervals too wide.

    Parameters
    ----------
    past : Dataset (unit, step)
        Readings, NaN after the end. Where it has ``ended`` (unit), units that did not end teach nothing.
    cap : float [steps]
        Lives beyond it are not told apart: a unit that shows no wear has no countdown yet.
    age : bool
        Whether step 0 is a unit's birth.
    seed : int
    sensors : list of str, optional
        Variables to read; all that change when left out.

    Returns
    -------
    LifeModel

    Validity
    --------
    Units of the same kind, that fail in the same ways.

    Errors
    ------
    TwinError
        Fewer than ten units that ended, readings that never change, missing ones before the end in a whole unit.

    Examples
    --------
    >>> model = learned_life(histories(units=20, seed=1), cap=90, age=False, seed=0)
    >>> model
    LifeModel(4 sensors of 20 units, lives up to 90 steps)

    References
    ----------
    Vovk (2015), Cross-conformal predictors, section 2; Lei et al. (2018), section 5.2, for errors in units of a spread.
    Heimes (2008), Recurrent neural networks for remaining useful life estimation, section III, for the cap.
    """
    within(cap, 5, 1e6, name="cap", unit="step")
    seed = whole_seed(seed)
    names, table, units = _table(past, sensors)
    end = _ends(table)
    ran = np.ones(len(end), bool)
    if "ended" in past:
        ran = past["ended"].to_numpy().astype(bool)
    ran &= end > 0
    if int(ran.sum()) < FEWEST:
        raise TwinError(
            f"{FEWEST} units or more that ran to their end",
            found=f"{int(ran.sum())} of {len(units)}",
            hint="add histories, or let tk.maintain.histories make some",
            where="past",
        )
    table, end = table[ran], end[ran]
    flat = table.reshape(-1, len(names))
    low, high = np.nanmin(flat, axis=0), np.nanmax(flat, axis=0)
    varies = high - low > 1e-9 * np.maximum(abs(high), 1e-12)
    if not varies.any():
        raise TwinError("readings that change", found="constant ones alone", hint="choose other sensors", where="past")
    table, names = table[:, :, varies], [n for n, v in zip(names, varies, strict=True) if v]
    unit, step = np.nonzero(np.arange(table.shape[1])[None, :] < end[:, None])
    rows = features(table, age=age)[unit, step]
    left = end[unit] - 1 - step
    target = np.minimum(left, cap).astype(float)
    recent = left < RECENT
    # at the cap the rows say all the same: one in four is enough
    taught = (target < cap) | (np.arange(len(target)) % 4 == 0)
    part = np.empty(len(target), int)
    for k, fold in enumerate(learn.by_group(unit, folds=INNER, seed=seed)):
        part[fold.test] = k

    def without(parts: tuple[int, int]) -> Any:
        train = taught & ~np.isin(part, parts)
        return _boosted().fit(rows[train], target[train])

    pairs = [*itertools.combinations_with_replacement(range(INNER), 2), (-1, -1)]  # the last leaves nobody out
    *models, mean = side_by_side(without, pairs)
    told = np.full((INNER, len(target)), np.nan)  # [k, row]: without part k and without the row's own part
    for (j, k), model in zip(pairs[:-1], models, strict=True):
        for left_out, own in {(j, k), (k, j)}:
            test = recent & (part == own)
            told[left_out, test] = model.predict(rows[test]).clip(0, cap)
    # from here on only the last steps matter
    near, ahead, part, told = rows[recent], target[recent], part[recent], told[:, recent]
    said = told[part, np.arange(len(part))]
    told = np.vstack([told, said])  # the last leaves nobody out but the row's own part
    error = abs(ahead - told)

    def sizes(k: int) -> Any:
        rest = part != k
        return _coarse().fit(np.column_stack([told[k], near])[rest], error[k, rest])

    scale = np.empty(len(part))
    about = np.column_stack([said, near])
    *inner, spread = side_by_side(sizes, [*range(INNER), -1])
    for k, model in enumerate(inner):
        scale[part == k] = model.predict(about[part == k])
    floor = 0.02 * cap
    return LifeModel(
        sensors=tuple(names),
        cap=float(cap),
        age=age,
        mean=mean,
        spread=spread,
        observed=ahead,
        predicted=said,
        scale=np.maximum(scale, floor),
        low=low[varies],
        high=high[varies],
        units=len(end),
        provenance=str(next(iter(past.data_vars.values())).attrs.get("provenance", "unknown")),
    )


def life(model: LifeModel, now: xr.Dataset, *, at: Any = None, quantile: Any) -> xr.DataArray:
    """Quantiles of the remaining life of units, at a step of each.

    Parameters
    ----------
    model : LifeModel
    now : Dataset (unit, step)
        The model's sensors, from each unit's beginning (with an age) or over two months or so (without).
    at : array of int, shape (unit,) or (unit, cut), optional
        Steps at which to tell; what came later is not looked at. The last reading of each unit when left out.
    quantile : list of float [1]

    Returns
    -------
    DataArray (quantile, unit) or (quantile, unit, cut) [steps]
        From 0 to the model's cap. A unit whose readings lie far outside those of the training gets the whole range,
        with a warning: the model knows nothing about it.

    Errors
    ------
    TwinError
        A sensor missing, a unit without readings, a step before the first or beyond the last.

    Examples
    --------
    >>> past = histories(units=30, seed=1)
    >>> model = learned_life(past.isel(unit=slice(20)), cap=90, age=False, seed=0)
    >>> told = life(model, past.isel(unit=slice(20, 30)), quantile=[0.1, 0.5, 0.9])
    >>> dict(told.sizes), bool(told.sel(quantile=0.5).median() < 15)
    ({'quantile': 3, 'unit': 10}, True)
    """
    level = np.atleast_1d(np.asarray(quantile, dtype=float))
    _, table, units = _table(now, model.sensors)
    end = _ends(table)
    silent = np.flatnonzero(end == 0)
    if len(silent):
        raise TwinError(
            "readings of every unit", found=f"none of '{units[silent[0]]}'", hint="drop it, or wait", where="now"
        )
    steps = (end - 1)[:, None] if at is None else np.asarray(at)
    if steps.dtype.kind not in "iu" or steps.ndim not in (1, 2) or len(steps) != len(units):
        raise TwinError(
            f"whole steps of {len(units)} units", found=f"{steps.dtype} of shape {steps.shape}", hint="tk.maintain.cuts"
        )
    steps = steps.reshape(len(units), -1)
    if (steps < 0).any() or (steps >= end[:, None]).any():
        raise TwinError("steps at which the unit was read", found="a step outside", hint="0 is the first", where="at")
    unit = np.repeat(np.arange(len(units)), steps.shape[1])
    rows = features(table, age=model.age)[unit, steps.ravel()]
    middle = model.mean.predict(rows).clip(0, model.cap)
    spread = np.maximum(model.spread.predict(np.column_stack([middle, rows])), 0.02 * model.cap)
    margin = learn.calibrated(model.observed, model.predicted, quantile=level, spread=model.scale)
    out = margin.around(middle, spread=spread).to_numpy().clip(0, model.cap)
    strange = _strange(model, table, steps)
    if strange.any():
        who = sorted({str(units[u]) for u in unit[strange.ravel()]})
        warnings.warn(
            f"{len(who)} units ({', '.join(who[:3])}{', ...' if len(who) > 3 else ''}) read far outside what the model "
            "learned from: their interval is the whole range. Check their units of measurement and their sensors.",
            UserWarning,
            stacklevel=2,
        )
        out[:, strange.ravel()] = (level * model.cap)[:, None]
    shape = (len(level), len(units)) if at is None or np.ndim(at) == 1 else (len(level), *steps.shape)
    dims = ("quantile", "unit", "cut")[: len(shape)]
    said = {"units": "step", "provenance": "modelled: boosted trees, intervals calibrated on units left out"}
    return xr.DataArray(out.reshape(shape), {"quantile": level, "unit": units}, dims, name="life", attrs=said)


@contract(
    reads=["good_share", "staleness", "energy_excess", "temperature_excess"], gives=["remaining_life"], computes=True
)
def remaining_life(health: xr.Dataset, *, quantile: Any, model: LifeModel | None = None) -> xr.DataArray:
    """How many days each site has before it fails, as quantiles.

    Parameters
    ----------
    health : Dataset (time, site)
        From `twinkit.telemetry.health`, by the day; the last day is today.
    quantile : list of float [1]
        [0.1, 0.5, 0.9]: with a chance of one in ten the site fails before the first.
    model : LifeModel, optional
        From `learned_life` on your own failures (variables of `HEALTH`, by the day, ``age=False``). Left out, one that
        has learned from generated `histories`, and says so in ``assumptions``.

    Returns
    -------
    remaining_life : DataArray (quantile, site) [d]
        From 0 to the model's cap (120 days for the one of `histories`): there, read *at least*.

    Validity
    --------
    Wear that shows in energy or temperature. Lightning, theft and power cuts come without warning and are not in it.

    Errors
    ------
    TwinError
        Days that are not in a row, doubled or backwards; no good day at a site; quantiles that are none.

    Examples
    --------
    >>> import twinkit as tk
    >>> from twinkit.telemetry.generate import generate
    >>> twin = tk.datasets.town(sites=3, seed=1)
    >>> well = tk.telemetry.health(tk.extend(twin, telemetry=generate(twin, start="2026-03-02", days=20, seed=1)))
    >>> risk = remaining_life(well, quantile=[0.1, 0.5, 0.9])
    >>> risk.dims, bool((risk.sel(quantile=0.5) > 60).all())
    (('quantile', 'site'), True)
    """
    health = health[list(HEALTH)].compute().transpose("time", "site")
    day = health["time"].to_numpy().astype("datetime64[ns]")
    gap = np.diff(day) / np.timedelta64(1, "D")
    if len(gap) and not (gap == 1).all():
        at = int(np.flatnonzero(gap != 1)[0])
        raise TwinError(
            "one row a day, in their order",
            found=f"{day[at + 1].astype('datetime64[D]')} after {day[at].astype('datetime64[D]')}",
            hint="sort by time, drop doubled days and fill gaps with NaN: health.resample(time='1D').asfreq()",
            where="time",
        )
    model = _of_histories() if model is None else model
    now = health.rename(time="step", site="unit").assign_coords(step=np.arange(len(day))).transpose("unit", "step")
    said = life(model, now, quantile=quantile)
    where = {"quantile": said["quantile"].to_numpy(), "site": health["site"].to_numpy()}
    out = xr.DataArray(said.to_numpy(), where, ("quantile", "site"))
    out.attrs = {
        "provenance": "modelled: boosted trees, intervals calibrated on units left out",
        "assumptions": f"sites fail as the {model.units} units did that the model learned from ({model.provenance}); "
        f"{model.cap:g} d means at least {model.cap:g} d",
    }
    return out


def cuts(past: xr.Dataset, *, each: int, last: int, seed: int) -> np.ndarray:
    """Steps at which to ask about units whose end is known: drawn evenly from the last steps of each.

    Parameters
    ----------
    past : Dataset (unit, step)
    each : int
        Cuts a unit.
    last : int [steps]
        Drawn from so many last steps, or from all where a unit has fewer; none twice.
    seed : int

    Returns
    -------
    array of int, shape (unit, each)

    Errors
    ------
    TwinError
        A unit with fewer steps than cuts.

    Examples
    --------
    >>> cuts(histories(units=2, seed=1), each=3, last=50, seed=0).shape
    (2, 3)
    """
    _, table, units = _table(past, None)
    end = _ends(table)
    short = np.flatnonzero(np.minimum(end, last) < each)
    if len(short):
        raise TwinError(f"{each} steps or more", found=f"{end[short[0]]} of '{units[short[0]]}'", hint="fewer cuts")
    rng = np.random.default_rng(whole_seed(seed))
    return np.stack([e - min(e, last) + np.sort(rng.choice(min(e, last), each, replace=False)) for e in end])


@functools.cache
def _of_histories() -> LifeModel:
    # any seed will do; the number of units is where the error stops falling
    return learned_life(histories(units=60, seed=20260302), cap=120, age=False, seed=0)


def _boosted() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=100,
        learning_rate=0.1,
        max_features=0.2,
        max_leaf_nodes=15,
        l2_regularization=5.0,
        min_samples_leaf=40,
        early_stopping=False,
        random_state=0,
    )


def _coarse() -> Any:
    """For the size of errors: few leaves, because sizes of errors are noisy."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=60,
        learning_rate=0.1,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=0,
    )


def _table(past: Any, sensors: Sequence[str] | None) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, readings (unit, step, sensor) and units."""
    if not isinstance(past, xr.Dataset) or not {"unit", "step"} <= set(past.sizes):
        found = f"dims {tuple(past.sizes)}" if isinstance(past, xr.Dataset) else type(past).__name__
        raise TwinError("readings (unit, step)", found=found, hint="rename the dims: past.rename(site='unit')")
    has = [str(n) for n, v in past.data_vars.items() if set(v.dims) == {"unit", "step"}]
    names = list(has if sensors is None else sensors)
    missing = [n for n in names if n not in has]
    if missing or not names:
        raise TwinError(
            "the sensors " + ", ".join(names), found=f"no '{missing[0]}'" if missing else "none", hint="add them"
        )
    values = [past[n].transpose("unit", "step").to_numpy().astype(float) for n in names]
    labels = past["unit"].to_numpy() if "unit" in past.coords else np.arange(past.sizes["unit"])
    return names, np.stack(values, axis=2), labels


def _ends(table: np.ndarray) -> np.ndarray:
    """Steps until the last reading of each unit."""
    there = (~np.isnan(table)).any(axis=2)
    return np.where(there.any(axis=1), there.shape[1] - there[:, ::-1].argmax(axis=1), 0)


def _strange(model: LifeModel, table: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Cuts (unit, cut) before which, over the last fortnight, some sensor's middle lay far outside the training."""
    out = np.zeros(steps.shape, bool)
    room = STRANGE * (model.high - model.low)
    for u, own in enumerate(steps):
        for c, step in enumerate(own):
            seen = table[u, max(0, step - 13) : step + 1]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a sensor that was silent for a fortnight
                middle = np.nanmedian(seen, axis=0)
            out[u, c] = bool(((middle < model.low - room) | (middle > model.high + room)).any())
    return out
