"""Exercises of 12-learn: a meter that knows the future, sites never seen, honest intervals, and for whom they hold."""

import functools
import math

import numpy as np
import xarray as xr
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor

from twinkit import learn, telemetry
from twinkit.lesson import exercise

START, DAYS = "2026-03-02", 7
NEAR = 1500.0  # [m] around a site
IN_TOWN = 0.05  # spread of what nobody wrote down, where many people live
METERS = ("meter A", "meter B", "meter C")
LEVEL = 0.9
FEATURES = ["load", "air", "hour", "cells", "height", "x", "y"]


def once(function):
    """The same answer for the same twin, without computing it again."""
    known = {}

    @functools.wraps(function)
    def kept(twin):
        if id(twin) not in known:
            # the twin stays beside its answer, so that no other can take its id
            known[id(twin)] = (twin, function(twin))
        return known[id(twin)][1]

    return kept


# ---------------------------------------------------------------- the week


def habits(few):
    """What makes a site draw more or less than its neighbour: age, care, a door left open. Nobody wrote it down."""
    # in the country the spread is larger, and not the same everywhere
    spreads = {True: 0.12 + 0.01 * (len(few) % 10), False: IN_TOWN}
    rng = np.random.default_rng(7)
    out = np.empty(len(few))
    for kind, spread in spreads.items():
        mine = np.flatnonzero(few == kind)
        out[mine] = spread * norm.ppf((rng.permutation(len(mine)) + 0.5) / len(mine))
    return np.exp(out)


@once
def week(twin):
    """Hourly load, air and energy of the sites, and what stands in the inventory."""
    said = telemetry.generate(twin, start=START, days=DAYS, seed=1)
    owner = twin["cells/site"].sel(cell=said.cell).rename("site")
    hourly = said[["load", "air_temperature"]].resample(time="1h", closed="right", label="right").mean()
    sites = twin["sites"].to_dataset().sel(site=said.site)
    people = twin["surface/people"]
    near = [
        float(people.sel(x=slice(x - NEAR, x + NEAR), y=slice(y - NEAR, y + NEAR)).sum())
        for x, y in zip(sites.x.values, sites.y.values, strict=True)
    ]
    few = np.array(near) < np.mean(near) / 2
    energy = said["energy"].dropna("time", how="all") * xr.DataArray(habits(few), {"site": said.site}, ("site",))
    rows = xr.Dataset(
        {
            "load": hourly["load"].groupby(owner).mean().sel(site=said.site),
            "air": hourly["air_temperature"],
            "cells": owner.groupby(owner).count().sel(site=said.site),
            "height": sites["height"],
            "x": sites["x"],
            "y": sites["y"],
        }
    ).sel(time=energy.time)
    rows["hour"] = rows.time.dt.hour.astype(float)
    return rows[FEATURES], energy.transpose("time", "site"), few


@once
def rows(twin):
    """The table: features, energy [Wh], site and whether few people live there, of every third hour."""
    features, energy, few = week(twin)
    some = slice(6, None, 3)
    frame = learn.table(features.isel(time=some).transpose("time", "site"))
    site = frame.index.get_level_values("site").to_numpy()
    lonely = np.isin(site, energy.site.values[few])
    return frame, energy.isel(time=some).values.ravel(), site, lonely


def model():
    return HistGradientBoostingRegressor(max_iter=60, random_state=0)


@once
def mixed(twin):
    """Predictions by a split that mixes rows at random: each site is on both sides."""
    frame, energy, _, _ = rows(twin)
    return learn.out_of_fold(model, frame, energy, folds=learn.shuffled(len(energy), folds=5, seed=1))


@once
def unseen(twin):
    """Predictions at sites that were left out."""
    frame, energy, site, _ = rows(twin)
    return learn.out_of_fold(model, frame, energy, folds=learn.by_group(site, folds=5, seed=1))


@once
def meters(twin):
    """Three meters: an hour ago, the last day's mean, and one that smooths over the hour to come."""
    _, energy, _ = week(twin)
    made = [
        energy.shift(time=1),
        learn.rolled(energy.rename("energy"), window=24, delay=1),
        energy.rolling(time=3, center=True).mean(),
    ]
    first = twin["cells"].sizes["cell"] % 3
    order = [made[(n - first + 2) % 3] for n in range(3)]
    return xr.Dataset({name: meter.reset_coords(drop=True) for name, meter in zip(METERS, order, strict=True)})


# ---------------------------------------------------------------- leaks


@exercise(
    "leak",
    objective="leak",
    minutes=8,
    hints=[
        "One of the three goes along with what is new in the energy an hour *later*.",
        "tk.learn.leaks(table, energy, time=..., series=...) gives a list; each finding has a feature and a kind.",
        "tk.learn.leaks(meter_rows, energy_rows, time=moments, series=names)[0].feature",
    ],
)
def leak(twin):
    # the meter whose hour reaches into the next one
    return METERS[twin["cells"].sizes["cell"] % 3]


@leak.misconception("That one only knows what was before. Look for what is known *afterwards* alone.")
def a_fair_one(twin):
    return METERS[(twin["cells"].sizes["cell"] + 1) % 3]


@leak.misconception("That is a mean of the day before. It smooths, but it stops an hour before the moment.")
def another_fair_one(twin):
    return METERS[(twin["cells"].sizes["cell"] + 2) % 3]


# ---------------------------------------------------------------- sites never seen


@exercise(
    "unseen",
    objective="split",
    unit="1",
    tolerance=0.005,
    minutes=9,
    hints=[
        "Which rows must stay together, so that a tested site was never learned?",
        "tk.learn.by_group(site, folds=5, seed=1) gives folds; out_of_fold and mape do the rest.",
        "said = tk.learn.out_of_fold(model, table, energy, folds=tk.learn.by_group(site, folds=5, seed=1))",
    ],
)
def unseen_error(twin):
    # the mean error, as a share, at sites that the model has not seen
    return learn.mape(rows(twin)[1], unseen(twin))


@unseen_error.misconception("That is the vendor's score: the split mixes rows, and every tested site was learned.")
def vendor(twin):
    return learn.mape(rows(twin)[1], mixed(twin))


@unseen_error.misconception("That is the linear baseline's error. The boosted model's is asked for.")
def baseline(twin):
    frame, energy, site, _ = rows(twin)
    said = learn.out_of_fold(learn.linear, frame, energy, folds=learn.by_group(site, folds=5, seed=1))
    return learn.mape(energy, said)


# ---------------------------------------------------------------- how sure


def inside(twin, said):
    """Which readings at unseen sites lie in the 90 % interval that these errors make."""
    _, energy, _, _ = rows(twin)
    band = learn.calibrated(energy, said, quantile=[0.05, 0.5, 0.95]).around(unseen(twin))
    return (energy >= band.values[0]) & (energy <= band.values[2])


@exercise(
    "vain",
    objective="interval",
    tolerance=0.005,
    minutes=8,
    hints=[
        "Calibrate on the errors of the random split, then ask at the sites never seen.",
        "margin.around(said_unseen) has a quantile dim: its first row is the lower end, its last the upper.",
        "tk.learn.coverage(energy, band.values[0], band.values[2])",
    ],
)
def vain(twin):
    # what the vendor's 90 % interval holds where it will be used
    return float(inside(twin, mixed(twin)).mean())


@vain.misconception("That is the share by errors at unseen sites. First see what the vendor's own errors promise.")
def honest(twin):
    return float(inside(twin, unseen(twin)).mean())


@vain.misconception("That is the share *outside* the interval.")
def outside(twin):
    return 1 - float(inside(twin, mixed(twin)).mean())


# ---------------------------------------------------------------- for whom


@exercise(
    "fair",
    objective="fair",
    tolerance=0.01,
    minutes=8,
    hints=[
        "0.90 is a mean over all sites. Take those alone around which few people live.",
        "`lonely` is True in their rows: select them from energy and from the band.",
        "tk.learn.coverage(energy[lonely], band.values[0][lonely], band.values[2][lonely])",
    ],
)
def fair(twin):
    # the promise kept where few people live
    return float(inside(twin, unseen(twin))[rows(twin)[3]].mean())


@fair.misconception("That is the share over all sites. Whom does it pass over?")
def everybody(twin):
    return float(inside(twin, unseen(twin)).mean())


@fair.misconception("Those are the sites among many people; `lonely` is True for the others.")
def the_others(twin):
    return float(inside(twin, unseen(twin))[~rows(twin)[3]].mean())


# ---------------------------------------------------------------- a margin of one's own


def half_width(errors, level):
    size = np.sort(np.abs(errors))
    return float(size[math.ceil(round(level * (len(size) + 1), 9)) - 1])


@once
def probes(twin):
    _, energy, _, lonely = rows(twin)
    errors = energy - unseen(twin)
    return [
        {"errors": errors[:19], "level": 0.9},
        {"errors": errors[lonely][:39], "level": 0.95},
        {"errors": errors[~lonely][:50], "level": 0.8},
    ]


@exercise(
    "half-width",
    objective="rule",
    unit="Wh",
    tolerance=1e-6,
    minutes=10,
    probe=probes,
    hints=[
        "Put the sizes of the errors in order, smallest first.",
        "The place is level times (n + 1), rounded up; places are counted from 1.",
        "np.sort(np.abs(errors))[math.ceil(level * (len(errors) + 1)) - 1]",
    ],
)
def own_half_width(twin):
    # the order statistic that a new error, one of n + 1 alike, stays under
    return half_width


@own_half_width.misconception("You took the quantile of the n errors. The new one counts too: n + 1, rounded up.")
def of_n(twin):
    return lambda errors, level: float(np.quantile(np.abs(errors), level))


@own_half_width.misconception("The sign is still in your errors: one too low is as wrong as one too high.")
def signed(twin):
    return lambda errors, level: float(np.sort(errors)[math.ceil(round(level * (len(errors) + 1), 9)) - 1])


@own_half_width.misconception("That is one place too far: Python counts from 0.")
def one_too_far(twin):
    def wrong(errors, level):
        size = np.sort(np.abs(errors))
        return float(size[min(math.ceil(round(level * (len(size) + 1), 9)), len(size) - 1)])

    return wrong


# ---------------------------------------------------------------- a decision


def margins(twin):
    _, energy, _, lonely = rows(twin)
    words = np.where(lonely, "few", "many")
    return learn.calibrated(energy, unseen(twin), quantile=[0.1, 0.5, 0.9], groups=words)


@exercise(
    "reserve",
    objective="decide",
    unit="Wh",
    tolerance=0.005,
    minutes=7,
    hints=[
        "Calibrate for each kind of place by itself: groups=.",
        'margin.by_group["few"] holds what to add for each quantile, in their order.',
        'float(margin.by_group["few"][2])',
    ],
)
def reserve(twin):
    # what to add to the prediction, so that nine hours of ten have enough, where few people live
    return float(margins(twin).by_group["few"][2])


@reserve.misconception("That margin is of all sites together: too little in the country, too much in town.")
def of_all(twin):
    return float(margins(twin).offset[2])


@reserve.misconception("That is the margin among many people. The new site stands where few live.")
def in_town(twin):
    return float(margins(twin).by_group["many"][2])
