"""How well lives are told, on units that the model has not seen: the numbers of the card and of the notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinkit import learn
from twinkit.error import TwinError
from twinkit.maintain.features import features
from twinkit.maintain.histories import histories
from twinkit.maintain.life import cuts, learned_life, life
from twinkit.maintain.read import engines

__all__ = ["card", "told_lives"]


def told_lives(
    past: xr.Dataset, *, cap: float, age: bool, folds: int = 5, each: int = 20, last: int = 150, seed: int = 0
) -> xr.Dataset:
    """Lives told by models that have not seen the unit, beside the true ones and two simple ways.

    Parameters
    ----------
    past : Dataset (unit, step)
        Units that ran to their end; those that did not are left out.
    cap, age
        As of `learned_life`.
    folds : int
        By unit: each model learns from the others.
    each, last : int
        Cuts of each unit, from its last steps: `cuts`.
    seed : int

    Returns
    -------
    Dataset (unit, cut)
        ``life``: the true one, at most the cap. ``told`` (quantile, unit, cut) at 0.05, 0.5 and 0.95, ``mean``, and the
        baselines: ``by_age``, the mean life of the others at this step, and ``linear``, ridge regression on the same
        features.

    Errors
    ------
    TwinError
        As `learned_life` and `cuts`.

    Examples
    --------
    >>> told = told_lives(histories(units=20, seed=1), cap=90, age=False, folds=2, each=5, last=60)
    >>> rmse = {n: learn.rmse(told.life, told[n]) for n in ("mean", "by_age")}
    >>> rmse["mean"] < 0.7 * rmse["by_age"]
    True
    """
    if "ended" in past:
        past = past.isel(unit=np.flatnonzero(past["ended"].to_numpy().astype(bool)))
    if past.sizes.get("unit", 0) < folds:
        raise TwinError(f"{folds} units or more that ended", found=f"{past.sizes.get('unit', 0)}", hint="add histories")
    at = cuts(past, each=each, last=last, seed=seed)
    readings = past.drop_vars("ended", errors="ignore")
    end = np.max(
        [np.where(v.notnull(), np.arange(v.sizes["step"]) + 1, 0).max(axis=1) for v in readings.values()], axis=0
    )
    true = np.minimum(end[:, None] - 1 - at, cap).astype(float)
    level = [0.05, 0.5, 0.95]
    told = np.full((3, *at.shape), np.nan)
    mean, by_age, straight = (np.full(at.shape, np.nan) for _ in range(3))
    table = np.stack([v.transpose("unit", "step").to_numpy() for v in readings.values()], axis=2)
    alive = np.arange(table.shape[1])[None, :] < end[:, None]
    left = np.minimum(end[:, None] - 1 - np.arange(table.shape[1]), cap)
    varies = np.nanmax(table, axis=(0, 1)) - np.nanmin(table, axis=(0, 1)) > 1e-9
    rows = features(table[:, :, varies], age=age)
    for fold in learn.by_group(np.arange(len(at)), folds=folds, seed=seed):
        model = learned_life(past.isel(unit=fold.train), cap=cap, age=age, seed=seed)
        told[:, fold.test] = life(model, readings.isel(unit=fold.test), at=at[fold.test], quantile=level).to_numpy()
        here = rows[fold.test[:, None], at[fold.test]]
        mean[fold.test] = model.mean.predict(here.reshape(-1, here.shape[2])).reshape(at[fold.test].shape).clip(0, cap)
        known, count = (left * alive)[fold.train].sum(axis=0), alive[fold.train].sum(axis=0)
        curve = np.where(count > 0, known / np.maximum(count, 1), 0.0)
        by_age[fold.test] = curve[at[fold.test]]
        own = alive[fold.train]
        line = learn.linear().fit(rows[fold.train][own], left[fold.train][own])
        straight[fold.test] = line.predict(here.reshape(-1, here.shape[2])).reshape(at[fold.test].shape).clip(0, cap)
    parts = {"life": true, "mean": mean, "by_age": by_age, "linear": straight}
    data: dict[str, Any] = {n: (("unit", "cut"), v) for n, v in parts.items()}
    data["told"] = (("quantile", "unit", "cut"), told)
    return xr.Dataset(data, {"unit": past["unit"].to_numpy(), "quantile": level})


def card(folder: Path | None) -> dict[str, Any]:
    """The numbers of the card *remaining life*: on the engines of FD001 in the folder, or on generated histories.

    Parameters
    ----------
    folder : Path or None

    Returns
    -------
    dict of str to Estimate or float
        Root mean squared errors [steps], the coverage of 90 % intervals and their width; intervals from units drawn
        again.

    Errors
    ------
    TwinError
        No file of the set in the folder.
    """
    if folder is None:
        past, cap, age = histories(units=40, seed=1), 90.0, False
        told = told_lives(past, cap=cap, age=age, folds=3, each=10, last=100)  # for a quick check of every run
    else:
        past = engines(Path(folder) / "cmapss-fd001" / "train_FD001.txt")
        told = told_lives(past, cap=125.0, age=True)
    return scores(told)


def scores(told: xr.Dataset) -> dict[str, Any]:
    """Scores of `told_lives` with intervals over the units."""
    unit = np.repeat(np.arange(told.sizes["unit"]), told.sizes["cut"])
    true = told["life"].to_numpy().ravel()
    low, _, high = told["told"].to_numpy().reshape(3, -1)
    out: dict[str, Any] = {
        "rmse": learn.bootstrap(learn.rmse, true, told["mean"].to_numpy().ravel(), groups=unit),
        "rmse_linear": learn.bootstrap(learn.rmse, true, told["linear"].to_numpy().ravel(), groups=unit),
        "rmse_by_age": learn.bootstrap(learn.rmse, true, told["by_age"].to_numpy().ravel(), groups=unit),
        "coverage_90": learn.bootstrap(learn.coverage, true, low, high, groups=unit),
        "width_90": learn.width(low, high),
        "pinball": learn.pinball(told["life"], told["told"]),
    }
    return out
