"""Exercises of 06-assimilate: a reading and a forecast joined, demand that grew, a proud filter, a false counter."""

import functools

import numpy as np
import xarray as xr

from twinkit import assimilate, dynamics, network
from twinkit.lesson import exercise

CELLS, DAYS = 12, 3
MONDAY = np.datetime64("2026-03-02T00:00", "ns")
BROKEN = np.datetime64("2026-03-03T12:00", "ns")
RUSH = np.datetime64("2026-03-05T19:00", "ns")
FULL = 0.8
METHOD = assimilate.square_root(inflation=1.02)
DRIFT = 0.05  # of the growth in a day


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


# ---------------------------------------------------------------- the town of the lesson


@once
def scene(twin):
    """Typical load, truth and readings of the twelve cells round the largest place, and the number behind all draws."""
    sites, cells, places = (twin[node].to_dataset() for node in ("sites", "cells", "places"))
    clinic = places.isel(place=int(places.population.values.argmax()))
    number = int(clinic.population)
    own = sites.sel(site=cells.site.values)
    apart = np.hypot(own.x.values - float(clinic.x), own.y.values - float(clinic.y))
    near = np.argsort(apart, kind="stable")[:CELLS]
    names = cells.cell.values[near]
    peak = xr.DataArray(0.35 + 0.25 * np.exp(-apart[near] / 4000), {"cell": names}, "cell")
    typical = network.demand(peak)
    rng = np.random.default_rng(number)
    noise = round(rng.uniform(0.035, 0.07), 3)
    start = xr.Dataset({"load": typical(MONDAY), "growth": rng.uniform(1.2, 1.4)}, {"time": MONDAY})
    lived = dynamics.simulate(
        network.step, start, steps=96 * DAYS, dt=900, forcing=typical, seed=number, progress=False
    )
    truth = lived["load"].isel(time=slice(1, None))
    seen = truth + noise * rng.standard_normal(truth.shape)
    seen = seen.where(rng.random(truth.shape) > 0.1)
    seen = seen.where(seen.cell != names[0]).rename("load")
    false = str(rng.choice(names[1:]))
    return typical, truth, seen, number, names, false, noise


def belief(twin, *, growing=True):
    typical, _, _, number, *_ = scene(twin)
    middle = xr.Dataset({"load": typical(MONDAY), "growth": 1.0}, {"time": MONDAY})
    spread = {"load": 0.1, "growth": 0.2} if growing else {"load": 0.1}
    return assimilate.ensemble(middle, members=100, spread=spread, seed=number)


def estimated(twin, seen=None, *, growing=True, noise=None, step=network.step):
    typical, _, own, number, *_, usual_noise = scene(twin)
    return assimilate.estimate(
        belief(twin, growing=growing),
        step,
        own if seen is None else seen,
        noise=noise or usual_noise,
        forcing=typical,
        seed=number,
        method=METHOD,
    )


@once
def whole(twin):
    return estimated(twin)


@once
def proud(twin):
    return estimated(twin, noise=0.01)[0]


# ---------------------------------------------------------------- one reading, by hand


@once
def meeting(twin):
    """The first reading of the second cell, and what the forecast said: mean, spread, reading."""
    typical, _, seen, number, names, *_ = scene(twin)
    heard = seen.sel(cell=names[1]).dropna("time").isel(time=0)
    then = assimilate.forecast(belief(twin), network.step, until=heard.time, forcing=typical, seed=number, dt=900)
    load = then["load"].sel(cell=names[1])
    return float(load.mean()), float(load.std("member", ddof=1)), float(heard)


def weight(twin):
    _, spread, _ = meeting(twin)
    return spread**2 / (spread**2 + scene(twin)[6] ** 2)


@exercise(
    "blend",
    objective="blend",
    tolerance=0,
    absolute=0.0005,
    minutes=7,
    hints=[
        "A weighted mean of forecast and reading. Who gets more weight: the surer one.",
        "The reading's weight is k = spread**2 / (spread**2 + noise**2); variances, not deviations.",
        "mean + k * (reading - mean)",
    ],
)
def blend(twin):
    # the forecast moves towards the reading by the share of the doubt that is its own
    mean, _, read = meeting(twin)
    return mean + weight(twin) * (read - mean)


@blend.misconception("That is half way between the two. The surer one pulls harder.")
def half_way(twin):
    mean, _, read = meeting(twin)
    return (mean + read) / 2


@blend.misconception("You swapped the weights: a large spread of the forecast means that the reading counts for more.")
def swapped(twin):
    mean, _, read = meeting(twin)
    return read + weight(twin) * (mean - read)


@blend.misconception("You weighed by deviations. It is their squares, the variances, that add up.")
def by_deviations(twin):
    mean, spread, read = meeting(twin)
    return mean + spread / (spread + scene(twin)[6]) * (read - mean)


@blend.misconception("That is the reading alone. It has noise too, and the forecast knows something.")
def reading_alone(twin):
    return meeting(twin)[2]


@exercise(
    "doubt",
    objective="blend",
    tolerance=0,
    absolute=0.0002,
    minutes=5,
    hints=[
        "Two witnesses are better than one: the result is smaller than either deviation.",
        "Precisions (one over variance) add up: 1 / spread**2 + 1 / noise**2.",
        "(1 / spread**2 + 1 / noise**2) ** -0.5",
    ],
)
def doubt(twin):
    # what each witness knows, one over its variance, adds up
    _, spread, _ = meeting(twin)
    return float((1 / spread**2 + 1 / scene(twin)[6] ** 2) ** -0.5)


@doubt.misconception(
    "That is the doubt of a difference: it grew. Joined with a reading, an estimate is surer than alone."
)
def grew(twin):
    return float(np.hypot(meeting(twin)[1], scene(twin)[6]))


@doubt.misconception("That is the variance. Take its square root.")
def variance(twin):
    return doubt.expected(twin) ** 2


@doubt.misconception("That is the mean of the two deviations. The joined doubt is smaller than either.")
def middle_of_both(twin):
    return (meeting(twin)[1] + scene(twin)[6]) / 2


# ---------------------------------------------------------------- the whole series


@exercise(
    "growth",
    objective="parameter",
    tolerance=0,
    absolute=0.01,
    minutes=9,
    hints=[
        "`record` has a variable of the name of each variable of the state, in time.",
        'What all three days say of it stands at their end: record["growth"].',
        'float(record["growth"].isel(time=-1))',
    ],
)
def growth(twin):
    # estimated with the load, because members with a better growth forecast the readings better
    return float(whole(twin)[0]["growth"].isel(time=-1))


@growth.misconception("That is the factor of a usual week, where you started. What do three days of readings say?")
def usual(twin):
    return 1.0


@growth.misconception("That is the first update alone. Each day adds to it: take the last moment.")
def first_update(twin):
    return float(whole(twin)[0]["growth"].isel(time=0))


@growth.misconception(
    "Load over typical load is no growth near the top: a load cannot pass 1. Read it from the record."
)
def ratio_of_loads(twin):
    typical, _, seen, *_ = scene(twin)
    usual_load = xr.concat([typical(t) for t in seen.time.values], "time").assign_coords(time=seen.time)
    return float(seen.mean() / usual_load.where(seen.notnull()).mean())


# ---------------------------------------------------------------- a filter that is too sure


def share_inside(record, truth, times):
    return float((np.abs(record["load"] - truth) < times * record["load_spread"]).mean())


@exercise(
    "inside",
    objective="trust",
    tolerance=0,
    absolute=0.001,
    minutes=7,
    hints=[
        "In how many of all values (time and cell) is the error smaller than two spreads?",
        'The error is proud["load"] - truth, without its sign; the spread is proud["load_spread"].',
        'float((np.abs(proud["load"] - truth) < 2 * proud["load_spread"]).mean())',
    ],
)
def inside(twin):
    # an honest two-spread interval would hold the truth about 95 times of 100
    return share_inside(proud(twin), scene(twin)[1], 2)


@inside.misconception("That is the honest filter. Take the record of the proud one.")
def of_the_honest(twin):
    return share_inside(whole(twin)[0], scene(twin)[1], 2)


@inside.misconception("That is within one spread. The question is two.")
def within_one(twin):
    return share_inside(proud(twin), scene(twin)[1], 1)


@inside.misconception("You forgot the lower side: an error of -0.3 is smaller than any spread. Take its size, np.abs.")
def one_side(twin):
    record = proud(twin)
    return float((record["load"] - scene(twin)[1] < 2 * record["load_spread"]).mean())


# ---------------------------------------------------------------- a counter that lies


@once
def broken(twin):
    """Readings of which one sensor lies from Tuesday noon, and the record of them."""
    _, _, seen, _, _, false, _ = scene(twin)
    bad = seen + 0.25 * ((seen.cell == false) & (seen.time >= BROKEN))
    return bad.rename("load"), estimated(twin, bad.rename("load"))[0]


@exercise(
    "liar",
    objective="alarm",
    minutes=6,
    hints=[
        "Every row of the alarm has a fault and, where it is about one, a sensor.",
        'Look for the row whose fault is "sensor biased".',
        'str(found["sensor"].values[found["fault"].values == "sensor biased"][0])',
    ],
)
def liar(twin):
    # the sensor whose innovations keep one sign while those of the others do not
    return scene(twin)[5]


@liar.misconception("That sensor is silent, which the alarm calls stale. A liar speaks.")
def the_silent(twin):
    return str(scene(twin)[4][0])


@liar.misconception(
    "That is the sensor with the highest readings. A cell may be busy, and honest: what does the alarm say?"
)
def the_highest(twin):
    bad, _ = broken(twin)
    highest = str(bad.cell.values[int(bad.mean("time").fillna(0).argmax())])
    # where the liar reads highest as well, nobody slips
    return highest if highest != scene(twin)[5] else str(scene(twin)[4][0])


# ---------------------------------------------------------------- a step of one's own


def drifted(state, dt, forcing, rng, *, scale=None, shape=None):
    """Load as in network.step, and a growth that wanders; with the changes that make a mistake of it."""
    new = network.step(state, dt, forcing, rng)
    wander = DRIFT * np.sqrt(dt / 86400) if scale is None else scale(dt)
    return new.assign(growth=new.growth + wander * rng.standard_normal(new.growth.shape if shape is None else shape))


def probes(twin):
    """Two beliefs, two lengths of a step; the same draws each time."""
    typical, _, _, number, *_ = scene(twin)
    state = belief(twin).isel(member=slice(0, 7))
    return [
        {"state": state, "dt": dt, "forcing": typical(MONDAY + hours), "rng": np.random.default_rng(number + int(dt))}
        for dt, hours in ((900.0, np.timedelta64(9, "h")), (86400.0, np.timedelta64(19, "h")))
    ]


@exercise(
    "drifting",
    objective="model",
    tolerance=0,
    absolute=1e-6,
    minutes=14,
    probe=probes,
    hints=[
        "Let tk.network.step do the load; then change the growth of what it gives.",
        "new.assign(growth=...) keeps the rest. A random walk grows with the root of time; dt / 86400 is in days.",
        "new.growth + 0.05 * np.sqrt(dt / 86400) * rng.standard_normal(new.growth.shape)",
    ],
)
def drifting(twin):
    # steps of a random walk are independent: variances add up, so the deviation goes with the root of dt
    return drifted


@drifting.misconception("You scaled with dt. Independent steps add their variances: the deviation goes with its root.")
def with_time(twin):
    return functools.partial(drifted, scale=lambda dt: DRIFT * dt / 86400)


@drifting.misconception("Your drift is the same in a quarter of an hour as in a day: nothing in it knows dt.")
def every_step(twin):
    return functools.partial(drifted, scale=lambda dt: DRIFT)


@drifting.misconception("You drew one number for all members: they would move together, and the spread would not grow.")
def all_together(twin):
    return functools.partial(drifted, shape=())


@drifting.misconception("The growth does not move at all: that is tk.network.step as it was.")
def standing(twin):
    return functools.partial(drifted, scale=lambda dt: 0.0)


# ---------------------------------------------------------------- tomorrow


@once
def tomorrow(twin):
    typical, _, _, number, names, *_ = scene(twin)
    _, last = estimated(twin, step=drifted)
    then = assimilate.forecast(last, drifted, until=RUSH, dt=900, forcing=typical, seed=number)
    return then["load"].sel(cell=names[0])


@exercise(
    "risk",
    objective="decide",
    tolerance=0,
    absolute=0.005,
    minutes=6,
    hints=[
        "Each member of the ensemble is one possible tomorrow, all equally likely.",
        "In which share of the members is the load of the silent cell above 0.8?",
        'float((then["load"].sel(cell=silent) > 0.8).mean())',
    ],
)
def risk(twin):
    # a share of equally likely futures is a probability
    return float((tomorrow(twin) > FULL).mean())


@risk.misconception("That is the chance that it is not full. You were asked for the other one.")
def not_full(twin):
    return float((tomorrow(twin) <= FULL).mean())


@risk.misconception("You asked only the mean: yes or no. The members say how likely it is.")
def the_mean_alone(twin):
    return float(tomorrow(twin).mean() > FULL)


@risk.misconception("That is the expected load, not the chance that it passes 0.8.")
def expected_load(twin):
    return float(tomorrow(twin).mean())
