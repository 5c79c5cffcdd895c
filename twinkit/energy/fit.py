"""Energy of base stations learned from load, hardware and sleep: never read before, or after a day of readings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.energy.stations import generated_stations, read_stations
from twinkit.error import TwinError
from twinkit.learn import Estimate, bootstrap, by_group, calibrated, mape

if TYPE_CHECKING:
    from pathlib import Path

    from twinkit.learn import Margin
    from twinkit.learn.model import Model

__all__ = ["PowerModel", "adapted_energy", "expected_energy", "fit", "scores", "stamp_offset"]

HARDWARE_OF_CELL = ("radio_unit", "transmission_mode", "band", "bandwidth", "antennas", "power_level")
READS = ["load", "saving", "owner", *HARDWARE_OF_CELL]

QUANTILE = (0.05, 0.5, 0.95)

FOLDS = 5

SOFT = 0.1
"""Errors of the logarithm below it weigh like squares, above it like absolute values."""

LEAST_SITES = 10

MOST_RATIO = 100.0
"""Between two hours of one station; above it a unit was changed half way. Real ones stay below 30."""


@dataclass(frozen=True)
class PowerModel:
    """A fitted power model of base stations: what `expected_energy` and `adapted_energy` ask.

    Attributes
    ----------
    inner : learn.Model
        Of the logarithm of the energy; its margin is that of stations never read. `tk.learn.save` writes it.
    offset : int [h]
        By which the stamps of the meters run behind those of the load.
    adapted : learn.Margin
        Of the logarithm, after the first readings of a station.
    readings : int
        How many readings those are.
    """

    inner: Model
    offset: int
    adapted: Margin
    readings: int


def stamp_offset(stations: xr.Dataset, *, most: int = 3) -> int:
    r"""Hours by which the stamps of the meters run behind those of the load, where the two agree best.

    .. math:: \hat o = \arg\max_o\ \operatorname{median}_s\ \rho_s(E_t, \chi_{t+o})

    ρ is Spearman's rank correlation within a station: one table may stamp the begin of the hour, another its end.

    Parameters
    ----------
    stations : Dataset
        As `read_stations` gives it.
    most : int [h]
        Offsets from -most to most are tried.

    Returns
    -------
    int [h]

    Validity
    --------
    Loads that change from hour to hour; a day of readings of each station, or more.

    Errors
    ------
    TwinError
        No station with 24 readings.

    Examples
    --------
    >>> stamp_offset(generated_stations(sites=20, days=4, seed=1))
    1
    """
    energy, busy = _meters(stations), _main(stations)["load"]
    best = {}
    for offset in range(-most, most + 1):
        moved = pd.DataFrame(_moved(busy, offset))
        both = pd.DataFrame(energy).where(moved.notna())
        known = both.notna().sum().to_numpy() >= 24
        if not known.any():
            raise TwinError("a station with 24 readings", found="none", hint="take more days", where="energy_reading")
        rank = moved.where(both.notna()).loc[:, known].rank(), both.loc[:, known].rank()
        with np.errstate(invalid="ignore", divide="ignore"):
            best[offset] = float(rank[0].corrwith(rank[1]).median())
    return max(best, key=lambda o: best[o])


def fit(stations: xr.Dataset, *, offset: int, readings: int = 24, seed: int) -> PowerModel:
    r"""A model of the energy of base stations, monotone in load, with what it does not know.

    Boosted trees learn :math:`\ln E` from hardware, hour, and load and energy-saving modes of the hour and of its two
    neighbours. The energy never falls with a load, whichever. The fit is by squares weighted with
    :math:`1 / \max(|r|, 0.1)` of a first fit's errors r, nearly one of absolute errors: a loss of absolute errors
    itself would set the leaves anew after the constraint and break it.

    Parameters
    ----------
    stations : Dataset
        As `read_stations` gives it.
    offset : int [h]
        As `stamp_offset` finds it, or as you know it.
    readings : int
        After how many readings of a station the second interval is meant.
    seed : int

    Returns
    -------
    PowerModel

    Validity
    --------
    Hardware and loads as learned; others get a warning and a wide interval. The intervals are those of errors at
    stations left out, five folds.

    Errors
    ------
    TwinError
        Fewer than ten stations with readings, readings that are not above 0, all the same, or of another unit from some
        hour on, loads outside 0 to 1, times that go back.

    Examples
    --------
    >>> made = generated_stations(sites=20, days=2, seed=1)
    >>> model = fit(made, offset=1, seed=1)
    >>> said = expected_energy(made, model=model)
    >>> dict(said.sizes)
    {'quantile': 3, 'time': 48, 'site': 20}

    References
    ----------
    The weights: Green (1984), Iteratively reweighted least squares, Journal of the Royal Statistical Society B 46,
    section 5. Conformal intervals: as `tk.learn.calibrated`.
    """
    from twinkit.learn.drift import domain
    from twinkit.learn.model import Model

    whole_seed(seed)
    if isinstance(readings, bool) or not isinstance(readings, int | np.integer) or readings < 1:
        raise TwinError("one reading or more", found=repr(readings), hint="readings=24", where="readings")
    rows = _rows(stations, offset)
    unseen, adapted = _left_out(rows, readings, seed=seed)
    frame, target = rows.features, np.log(rows.energy)
    units = dict.fromkeys(frame, "1")
    inner = Model(
        _estimator(frame.to_numpy(), target, frame, seed=seed),
        tuple(frame),
        "log_energy_reading",
        "1",
        units,
        calibrated(target, unseen, quantile=QUANTILE),
        domain(frame[_hardware(frame)], target),
        "base_station_energy",
    )
    after = rows.rank > readings
    margin = calibrated(target[after], adapted[after], quantile=QUANTILE)
    return PowerModel(inner, int(offset), margin, int(readings))


@contract(reads=READS, gives=["energy_reading"], computes=True)
def expected_energy(stations: xr.Dataset, *, model: PowerModel) -> xr.DataArray:
    """Energy of each station and hour, of stations that were never read.

    Parameters
    ----------
    stations : Dataset (time, site, cell, saving_mode)
        Load, energy-saving modes and hardware.
    model : PowerModel

    Returns
    -------
    DataArray (quantile, time, site)
        In the unit of the meters that the model learned from; NaN where no load of the hour or its neighbours is known.

    Validity
    --------
    As `fit`: a radio unit never seen, or rows far outside, warn (`DomainWarning`) and get wide intervals.

    Errors
    ------
    TwinError
        Loads or shares outside 0 to 1, times that repeat or go back, a cell whose owner is no site.

    Examples
    --------
    >>> made = generated_stations(sites=20, days=2, seed=1)
    >>> said = expected_energy(made, model=fit(made, offset=1, seed=1))
    >>> bool((said.sel(quantile=0.05) < said.sel(quantile=0.95)).where(said[0].notnull(), True).all())
    True
    """
    return _spread_out(stations.compute(), model, None)


@contract(reads=[*READS, "energy_reading"], gives=["energy_reading"], computes=True)
def adapted_energy(stations: xr.Dataset, *, model: PowerModel) -> xr.DataArray:
    r"""Energy of each station and hour, scaled to the station's own first readings.

    .. math:: \ln \hat E' = \ln \hat E + \operatorname{median}_{first}\ (\ln E - \ln \hat E)

    Parameters
    ----------
    stations : Dataset (time, site, cell, saving_mode)
        With ``energy_reading``, of which the first ``model.readings`` of each station are used.
    model : PowerModel

    Returns
    -------
    DataArray (quantile, time, site)
        NaN where no load of the hour or its neighbours is known, and at stations with fewer readings.

    Validity
    --------
    Honest for hours after those readings, and at stations that the model has not learned from.

    Errors
    ------
    TwinError
        As `expected_energy`, and readings that are not above 0.

    Examples
    --------
    >>> made = generated_stations(sites=40, days=3, seed=1)
    >>> said = adapted_energy(made, model=fit(made, offset=1, seed=1))
    >>> off = abs(said.sel(quantile=0.5) / made.energy_reading - 1)
    >>> bool(off.isel(time=slice(48, 70)).mean() < 0.04)
    True
    """
    known = stations.compute()
    return _spread_out(known, model, _meters(known))


def scores(folder: Path | None) -> dict[str, Any]:
    """The numbers of the card ``base_station_energy``: errors and coverage at stations left out, beside baselines.

    Parameters
    ----------
    folder : path or None
        That holds ``itu-5g-energy``; None for a generated set of 60 stations and 3 days.

    Returns
    -------
    dict of str to float or Estimate
        Relative errors (1 is 100 %); intervals draw whole stations.

    Examples
    --------
    >>> scores.__name__
    'scores'
    """
    made = generated_stations(sites=60, days=3, seed=7) if folder is None else read_stations(folder / "itu-5g-energy")
    offset = stamp_offset(made)
    rows = _rows(made, offset)
    readings = 24
    unseen, adapted = _left_out(rows, readings, seed=0)
    truth, target, rest = rows.energy, np.log(rows.energy), rows.rank > readings
    folds = by_group(rows.site, folds=FOLDS, seed=0)
    line = np.full(len(truth), np.nan)
    for fold in folds:
        line[fold.test] = _earth(rows, fold.train, fold.test)
    own = pd.Series(truth).where(~rest).groupby(rows.site).transform("median").to_numpy()

    def held(said: np.ndarray, kept: np.ndarray) -> Estimate:
        inside = np.zeros(len(truth))
        for fold in folds:
            others = np.setdiff1d(np.flatnonzero(kept), fold.test)
            margin = calibrated(target[others], said[others], quantile=(0.05, 0.95))
            ends = margin.around(said[fold.test]).to_numpy()
            inside[fold.test] = (target[fold.test] >= ends[0]) & (target[fold.test] <= ends[1])
        return bootstrap(lambda i: float(np.mean(i)), inside[kept], groups=rows.site[kept], draws=500)

    def error(said: np.ndarray, kept: np.ndarray) -> Estimate:
        return bootstrap(mape, truth[kept], said[kept], groups=rows.site[kept], draws=500)

    every = np.ones(len(truth), bool)
    return {
        "offset": float(offset),
        "error_unseen": error(np.exp(unseen), every),
        "error_unseen_earth": error(np.exp(line), every),
        "coverage_unseen": held(unseen, every),
        "error_after_a_day": error(np.exp(adapted), rest),
        "error_after_a_day_own_median": error(own, rest),
        "coverage_after_a_day": held(adapted, rest),
        "stations": float(len(np.unique(rows.site))),
        "readings": float(len(truth)),
    }


# ---------------------------------------------------------------- rows


@dataclass(frozen=True)
class _Rows:
    """One row for each reading of whose hour, or a neighbour of it, the load is known."""

    features: pd.DataFrame
    energy: np.ndarray
    site: np.ndarray
    rank: np.ndarray
    """The how-manieth reading of its station, from 1."""


def _rows(stations: xr.Dataset, offset: int) -> _Rows:
    energy = _meters(stations)
    frame = _features(stations, offset)
    known = np.isfinite(energy).ravel() & _told(frame)
    names = np.broadcast_to(stations["site"].to_numpy().astype(str), energy.shape).ravel()[known]
    if len(np.unique(names)) < LEAST_SITES:
        raise TwinError(
            f"{LEAST_SITES} stations with readings",
            found=str(len(np.unique(names))),
            hint="take more stations",
            where="energy_reading",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a station without readings
        least, most = np.nanmin(energy, axis=0), np.nanmax(energy, axis=0)
    wide = np.flatnonzero(most > MOST_RATIO * least)
    if len(wide):
        raise TwinError(
            "readings of one unit throughout",
            found=f"{most[wide[0]] / least[wide[0]]:.3g} times as much in one hour as in another",
            hint="convert one of the parts",
            where=f"energy_reading of {stations['site'].to_numpy()[wide[0]]}",
        )
    if np.nanmax(most) == np.nanmin(least):
        raise TwinError(
            "readings that change", found="the same throughout", hint="stuck meters?", where="energy_reading"
        )
    rank = np.cumsum(np.isfinite(energy), axis=0).ravel()[known]
    return _Rows(frame[known].reset_index(drop=True), energy.ravel()[known], names, rank)


def _meters(stations: xr.Dataset) -> np.ndarray:
    energy = stations["energy_reading"].transpose("time", "site").to_numpy().astype(float)
    if (energy <= 0).any():
        raise TwinError(
            "readings above 0", found=f"{np.nanmin(energy):g}", hint="leave out dead meters", where="energy_reading"
        )
    return energy


def _moved(values: np.ndarray, by: int) -> np.ndarray:
    """Values along the first axis of so many steps later; NaN beyond the ends."""
    out = np.full_like(values, np.nan)
    if by > 0:
        out[:-by] = values[by:]
    elif by < 0:
        out[-by:] = values[:by]
    else:
        out[:] = values
    return out


def _hourly(stations: xr.Dataset) -> None:
    times = stations.indexes.get("time")
    if times is None or not times.is_monotonic_increasing or not times.is_unique:
        raise TwinError(
            "stamps that go forward, each once", found="others", hint="stations.sortby('time')", where="time"
        )
    if len(times) > 1 and (np.diff(times.to_numpy()) != np.timedelta64(1, "h")).any():
        raise TwinError(
            "a stamp for every hour", found="gaps", hint="stations.resample(time='1h').asfreq()", where="time"
        )


def _places(stations: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Position of each site's first cell, and of its second (-1: none)."""
    sites = pd.Index(stations["site"].to_numpy().astype(str))
    owner = sites.get_indexer(stations["owner"].to_numpy().astype(str))
    if (owner < 0).any():
        raise TwinError(
            "owners among the sites", found=f"'{stations['owner'].to_numpy()[owner < 0][0]}'", hint="add the site",
            where="owner",
        )  # fmt: skip
    first, second = np.full(len(sites), -1), np.full(len(sites), -1)
    for cell, site in enumerate(owner):
        if first[site] < 0:
            first[site] = cell
        elif second[site] < 0:
            second[site] = cell
        else:
            raise TwinError(
                "one or two cells a site", found=f"three of '{sites[site]}'", hint="split it", where="owner"
            )
    if (first < 0).any():
        raise TwinError("a cell at each site", found=f"none at '{sites[first < 0][0]}'", hint="drop it", where="owner")
    return first, second


def _main(stations: xr.Dataset) -> dict[str, np.ndarray]:
    """Load and saving (time, site[, mode]) of each site's first cell, and load of its second."""
    _hourly(stations)
    first, second = _places(stations)
    busy = stations["load"].transpose("time", "cell").to_numpy().astype(float)
    saving = stations["saving"].transpose("time", "cell", "saving_mode").to_numpy().astype(float)
    for values, name in ((busy, "load"), (saving, "saving")):
        within(values[np.isfinite(values)], 0.0, 1.0, name=name, unit="1")
    other = np.where(second >= 0, busy[:, second], np.nan)
    return {"load": busy[:, first], "saving": saving[:, first], "other": other}


def _features(stations: xr.Dataset, offset: int) -> pd.DataFrame:
    """A row for each time and site; names that begin with ``load`` are those with which energy never falls."""
    if isinstance(offset, bool) or not isinstance(offset, int | np.integer) or abs(offset) > 24:
        raise TwinError("an offset of whole hours", found=repr(offset), hint="stamp_offset(stations)", where="offset")
    busy, (first, second) = _main(stations), _places(stations)
    hours, count = busy["load"].shape
    parts: dict[str, np.ndarray] = {}
    for at, word in ((0, ""), (-1, " before"), (1, " after")):
        parts[f"load{word}"] = _moved(busy["load"], offset + at)
        parts[f"load of the second{word}"] = _moved(busy["other"], offset + at)
        moved = _moved(busy["saving"], offset + at)
        for k, mode in enumerate(stations["saving_mode"].to_numpy()):
            parts[f"saving {mode}{word}"] = moved[..., k]
    clock = (stations["time"].dt.hour.to_numpy() + offset) % 24
    parts["hour"] = np.broadcast_to(clock[:, None].astype(float), (hours, count))
    for which, word in ((first, ""), (second, " of the second")):
        there = which >= 0
        for name in HARDWARE_OF_CELL:
            values = stations[name].to_numpy()
            if values.dtype.kind in "fiu":
                own = np.where(there, values[which].astype(float), np.nan)
                parts[f"{name}{word}"] = np.broadcast_to(own, (hours, count))
            else:
                own = np.where(there, values[which].astype(str), "")
                for kind in sorted(set(values.astype(str))):
                    parts[f"{name}{word}: {kind}"] = np.broadcast_to((own == kind).astype(float), (hours, count))
    return pd.DataFrame({n: np.ascontiguousarray(v).ravel() for n, v in parts.items()})


def _told(frame: pd.DataFrame) -> np.ndarray:
    """Rows of which the load of the hour or of a neighbour is known."""
    return np.asarray(frame[["load", "load before", "load after"]].notna().any(axis=1))


def _hardware(frame: Any) -> list[str]:
    """What tells that a row lies outside of what was learned: hardware and the present load."""
    return [n for n in frame if n == "load" or n.split(":")[0].split(" of")[0] in HARDWARE_OF_CELL]


# ---------------------------------------------------------------- the model


def _estimator(rows: np.ndarray, target: np.ndarray, frame: Any, *, seed: int) -> Any:
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        raise TwinError("scikit-learn", found="none", hint="pip install 'twinkit[learn]'", where="energy.fit") from None
    rises = [int(str(n).startswith("load")) for n in frame]
    weight = np.ones(len(target))
    for _ in range(2):
        model = HistGradientBoostingRegressor(
            max_iter=150,
            learning_rate=0.1,
            max_leaf_nodes=31,
            min_samples_leaf=min(50, max(5, len(target) // 100)),
            monotonic_cst=rises,
            early_stopping=False,
            random_state=seed,
        ).fit(rows, target, sample_weight=weight)
        weight = 1 / np.maximum(np.abs(target - model.predict(rows)), SOFT)
        weight /= weight.mean()
    return model


def _left_out(rows: _Rows, readings: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the energy at stations left out: never read, and after their first readings."""
    values, target = rows.features.to_numpy(), np.log(rows.energy)
    unseen = np.full(len(target), np.nan)
    for fold in by_group(rows.site, folds=FOLDS, seed=seed):
        model = _estimator(values[fold.train], target[fold.train], rows.features, seed=seed)
        unseen[fold.test] = model.predict(values[fold.test])
    ratio = pd.Series(target - unseen).where(rows.rank <= readings).groupby(rows.site).transform("median")
    return unseen, unseen + ratio.fillna(0.0).to_numpy()


def _earth(rows: _Rows, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """EARTH's line for each radio unit, idle power, slope and sleep, by least squares of relative errors: ln E."""
    frame = rows.features
    kinds = [n for n in frame if n.startswith("radio_unit: ")]
    near = frame[["load before", "load after"]].mean(axis=1)
    busy = frame["load"].fillna(near).to_numpy()
    slept = frame[[n for n in frame if n.startswith("saving") and n.split()[-1].isdigit()]].sum(axis=1).to_numpy()
    more = np.nan_to_num(frame["load of the second"].to_numpy())
    twice = np.isfinite(frame["load of the second"].to_numpy()).astype(float)
    size = frame["bandwidth"].to_numpy() / 2e7
    level = frame["power_level"].to_numpy()
    each = [np.ones(len(busy)), size, level, busy, busy * size, slept]
    columns = [own * part for own in frame[kinds].to_numpy().T for part in each] + [twice, more]
    design = np.stack(columns, axis=1)
    scale = 1 / rows.energy[train]
    ridge = 1e-3 * np.sqrt(len(train)) * np.eye(design.shape[1])
    found, *_ = np.linalg.lstsq(
        np.vstack([design[train] * scale[:, None], ridge]), np.r_[np.ones(len(train)), np.zeros(len(ridge))], rcond=None
    )
    floor = np.quantile(rows.energy[train], 0.001)
    return np.log(np.maximum(design[test] @ found, floor))


def _spread_out(stations: xr.Dataset, model: PowerModel, energy: np.ndarray | None) -> xr.DataArray:
    """Quantiles (quantile, time, site) of the energy, where the load is known."""
    from twinkit.learn.drift import cautious

    if not isinstance(model, PowerModel):
        raise TwinError("a fitted power model", found=f"a {type(model).__name__}", hint="tk.energy.fit(stations, ...)")
    frame = _features(stations, model.offset)
    shape = (stations.sizes["time"], stations.sizes["site"])
    known = _told(frame)
    learned = list(model.inner.features)
    strangers = [n for n in frame if n not in learned and ": " in n]
    # a kind of hardware that the model has never seen is no kind that it knows
    strange = (frame[strangers].to_numpy() > 0).any(axis=1) if strangers else np.zeros(len(frame), bool)
    ready = frame.reindex(columns=learned)
    ready[[n for n in learned if ": " in n and n not in frame]] = 0.0
    said = np.asarray(model.inner.estimator.predict(ready[known].to_numpy()), dtype=float)
    inner = model.inner
    if energy is None:
        if inner.margin is None or inner.known is None:
            raise TwinError("a model with margin and domain", found="none", hint="fit it again", where="model")
        ends = inner.margin.around(said)
        far = inner.known.distance(ready[known])
        # one learned row in a hundred lies beyond the reach itself: only what is twice as far is worth a warning
        far = np.where(far < 2, np.minimum(far, 1.0), far)
        ends = cautious(ends, np.where(strange[known], np.inf, far), known=inner.known)
    else:
        flat = energy.ravel()
        rank = np.cumsum(np.isfinite(energy), axis=0).ravel()
        base = np.full(len(frame), np.nan)
        base[known] = said
        sites = np.tile(np.arange(shape[1]), shape[0])
        first = np.isfinite(flat) & (rank <= model.readings)
        enough = np.isfinite(energy).sum(axis=0) >= model.readings
        ratio = pd.Series(np.where(first, np.log(flat) - base, np.nan)).groupby(sites).transform("median").to_numpy()
        moved = base + np.where(enough[sites], ratio, np.nan)
        known = np.isfinite(moved)
        ends = model.adapted.around(moved[known])
    level = ends["quantile"].to_numpy()
    out = np.full((len(level), len(frame)), np.nan)
    out[:, known] = np.exp(ends.transpose("quantile", ...).to_numpy())
    axes = {"quantile": level, "time": stations["time"], "site": stations["site"]}
    made = xr.DataArray(out.reshape(len(level), *shape), axes, ("quantile", "time", "site"))
    return made.assign_attrs(
        provenance="modelled: boosted trees, twinkit.energy.fit; card base_station_energy",
        assumptions=f"stamps of the meters {model.offset} h behind those of the load",
    )
