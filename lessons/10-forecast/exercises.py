"""Exercises of 10-forecast: last week's value, an error in its units, a band that is counted, sums, a decision."""

import functools

import numpy as np
import xarray as xr

import twinkit as tk
from twinkit.lesson import exercise

CELLS, DAYS = 24, 22
NOON = np.datetime64("2026-03-23T12:00", "ns")
EVENING = np.datetime64("2026-03-23T19:00", "ns")
WEEK, HOUR = np.timedelta64(7, "D"), np.timedelta64(1, "h")
FULL = 0.75
LEVELS = [0.05, 0.1, 0.5, 0.9, 0.95]


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
    """Hourly load and traffic of the cells nearest to the largest place, three weeks and the evening after."""
    sites, cells, places = (twin[node].to_dataset() for node in ("sites", "cells", "places"))
    town = places.isel(place=int(places.population.values.argmax()))
    own = sites.sel(site=cells.site.values)
    apart = np.hypot(own.x.values - float(town.x), own.y.values - float(town.y))
    near = np.argsort(apart, kind="stable")[:CELLS]
    chosen = cells.isel(cell=near)
    peak = xr.DataArray(0.45 + 0.4 * np.exp(-apart[near] / 4000), {"cell": chosen.cell.values}, "cell")
    said = tk.telemetry.generate(
        tk.extend(twin, cells=chosen), start="2026-03-02", days=DAYS, seed=int(town.population), peak=peak, hours=0
    )
    hourly = said[["load", "traffic"]].resample(time="1h").mean()
    return hourly.assign({name: tk.stamp(hourly[name], name) for name in ("load", "traffic")}), chosen


def known(twin, name="load"):
    return scene(twin)[0][name].sel(time=slice(None, NOON - HOUR))


@once
def tonight(twin):
    return tk.forecast.load(known(twin), horizon="12h", quantile=LEVELS)


def truth(twin):
    return scene(twin)[0]["load"].sel(time=tonight(twin).time)


def names(twin):
    return scene(twin)[1].cell.values


# ---------------------------------------------------------------- last week


@exercise(
    "naive",
    objective="baseline",
    tolerance=0,
    absolute=0.0005,
    minutes=6,
    hints=[
        "The forecast that costs nothing: the same hour, seven days ago.",
        'Subtract np.timedelta64(7, "D") from `evening`, and take that time with .sel.',
        'float(load.sel(cell=busy, time=evening - np.timedelta64(7, "D")))',
    ],
)
def naive(twin):
    # a week repeats itself better than a day: the weekday is the same
    return float(known(twin).sel(cell=names(twin)[0], time=EVENING - WEEK))


@naive.misconception("That is yesterday evening, a Sunday. Tonight is a Monday: go back a whole week.")
def yesterday(twin):
    return float(known(twin).sel(cell=names(twin)[0], time=EVENING - 24 * HOUR))


@naive.misconception("That is the mean over all evenings. A baseline is one reading: that of seven days ago.")
def all_evenings(twin):
    at = known(twin).sel(cell=names(twin)[0])
    return float(at[at.time.dt.hour == 19].mean())


@naive.misconception("That is two weeks ago. Take the last week.")
def two_weeks(twin):
    return float(known(twin).sel(cell=names(twin)[0], time=EVENING - 2 * WEEK))


# ---------------------------------------------------------------- an error in its own unit


def scaled(twin, said):
    history = known(twin)
    scale = tk.learn.seasonal_scale(history, season=168)
    return (np.abs(truth(twin) - said) / scale).mean()


@exercise(
    "error",
    objective="score",
    tolerance=0,
    absolute=0.002,
    minutes=8,
    hints=[
        "The size of each error, divided by the scale of its cell; then the mean over hours and cells.",
        "The middle of the forecast is said.sel(quantile=0.5). np.abs takes the sign away.",
        "float((np.abs(truth - said.sel(quantile=0.5)) / scale).mean())",
    ],
)
def error(twin):
    # each cell's error in its own usual step from week to week, so that quiet and busy cells count alike
    return float(scaled(twin, tonight(twin).sel(quantile=0.5, drop=True)))


@error.misconception("That is the score of last week's values. Take the median of the forecast.")
def of_last_week(twin):
    before = known(twin).sel(time=truth(twin).time - WEEK)
    return float(scaled(twin, before.assign_coords(time=truth(twin).time)))


@error.misconception("You did not divide by the scale: that is a load, and says nothing about whether it is good.")
def not_scaled(twin):
    return float(np.abs(truth(twin) - tonight(twin).sel(quantile=0.5, drop=True)).mean())


@error.misconception("Errors above and below cancelled each other. Take the size of each before the mean.")
def cancelled(twin):
    scale = tk.learn.seasonal_scale(known(twin), season=168)
    return float(((truth(twin) - tonight(twin).sel(quantile=0.5, drop=True)) / scale).mean())


# ---------------------------------------------------------------- a band that is counted


@once
def past(twin):
    origins = [NOON - n * 24 * HOUR for n in (4, 3, 2, 1)]
    return tk.forecast.hindcast(known(twin), origins=origins, horizon="12h")


def seen_then(twin):
    return known(twin).sel(time=past(twin).time).drop_vars("time")


@exercise(
    "inside",
    objective="interval",
    tolerance=0,
    absolute=0.001,
    minutes=7,
    hints=[
        "In how many of all values (day, hour, cell) does the reading lie between the two outer quantiles?",
        "Two conditions, joined by &: at least the lower, at most the upper.",
        "float(((then >= past.sel(quantile=0.05)) & (then <= past.sel(quantile=0.95))).mean())",
    ],
)
def inside(twin):
    # a band from 5 to 95 % promises nine of ten; only counting tells
    said = past(twin)
    return float(((seen_then(twin) >= said.sel(quantile=0.05)) & (seen_then(twin) <= said.sel(quantile=0.95))).mean())


@inside.misconception("That counts the misses. How many were inside?")
def missed(twin):
    return 1 - inside.expected(twin)


@inside.misconception("You looked at the upper end alone. A reading below the band is a miss as well.")
def upper_alone(twin):
    return float((seen_then(twin) <= past(twin).sel(quantile=0.95)).mean())


@inside.misconception("That is what the band promises. What did it keep?")
def promised(twin):
    return 0.9


# ---------------------------------------------------------------- sums


@once
def everything(twin):
    """The tree of cells and sites, and the forecast of the traffic of all its nodes, each by itself."""
    chosen = scene(twin)[1]
    tree = tk.forecast.hierarchy({"cell": chosen.cell.values, "site": chosen.site.values})
    return tree, tk.forecast.ahead(tk.forecast.added_up(known(twin, "traffic"), tree), horizon="12h")


def whole_and_parts(twin, quantile):
    _, said = everything(twin)
    at = said.sel(quantile=quantile, time=EVENING)
    return float(at.sel(node="region:all")), float(at.isel(node=slice(-CELLS, None)).sum())


@exercise(
    "fear",
    objective="sum",
    tolerance=0.002,
    minutes=8,
    hints=[
        "Add up the 0.95 quantile of the cells, and divide by the 0.95 quantile of region:all, at `evening`.",
        "The cells are the last 24 nodes: .isel(node=slice(-24, None)).",
        "high = nodes.sel(quantile=0.95, time=evening); its sum over the cells, by high.sel(node='region:all').",
    ],
)
def fear(twin):
    # not all cells have their worst evening at once: the sum of worst cases is worse than the worst case of the sum
    whole, parts = whole_and_parts(twin, 0.95)
    return parts / whole


@fear.misconception("That is the ratio of the medians. Those nearly add up; take the upper quantile.")
def of_medians(twin):
    whole, parts = whole_and_parts(twin, 0.5)
    return parts / whole


@fear.misconception("That is upside down: how many times the region's own quantile is the sum of the cells'?")
def upside_down(twin):
    return 1 / fear.expected(twin)


@fear.misconception("You added up the cells and the sites, so that each cell counts twice.")
def twice(twin):
    _, said = everything(twin)
    at = said.sel(quantile=0.95, time=EVENING)
    return float(at.isel(node=slice(1, None)).sum() / at.sel(node="region:all"))


# ---------------------------------------------------------------- a model of one's own


def mean_week(history, hours, *, weeks=3, day=168, start=0):
    values = history[-weeks * day :].reshape(weeks, day, -1)
    return values.mean(axis=0)[start : start + hours]


def probes(twin):
    """Two histories of other lengths and ends, and a horizon that is not tonight's."""
    values = known(twin).to_numpy()
    return [{"history": values[-504:], "hours": 30}, {"history": values[:-2], "hours": 30}]


@exercise(
    "usual",
    objective="model",
    tolerance=0,
    absolute=1e-6,
    minutes=14,
    probe=probes,
    hints=[
        "The last three weeks are the last 504 rows. The first row of each week is the hour that you forecast first.",
        "history[-504:].reshape(3, 168, -1) has the weeks along its first axis.",
        "return history[-504:].reshape(3, 168, -1).mean(axis=0)[:hours]",
    ],
)
def usual(twin):
    # a week ago, two and three weeks ago: their scatter goes down with the root of three
    return mean_week


@usual.misconception("That is last week alone. The mean over three weeks scatters less.")
def last_week_alone(twin):
    return functools.partial(mean_week, weeks=1)


@usual.misconception("You took the mean over days: a Sunday went into Monday's evening.")
def over_days(twin):
    def by_day(history, hours):
        return np.tile(mean_week(history, 24, weeks=21, day=24), (2, 1))[:hours]

    return by_day


@usual.misconception("You took the last hours of the mean week. The hours to come are its first: a week ago from now.")
def last_hours(twin):
    return lambda history, hours: mean_week(history, 168)[-hours:]


# ---------------------------------------------------------------- a decision


def above(twin, quantile):
    said = tonight(twin).sel(quantile=quantile, time=EVENING)
    return {str(n) for n in said.cell.values[(said > FULL).values]}


@exercise(
    "send",
    objective="decide",
    minutes=8,
    hints=[
        "Switch on where the chance of a full cell is above one in ten.",
        "A chance above 0.1 to exceed 0.75 means: the 0.9 quantile is above 0.75.",
        "at = said.sel(quantile=0.9, time=evening); set(at.cell.values[(at > 0.75).values])",
    ],
)
def send(twin):
    # 1 unit of cost against 10 of harm: worth it from a chance of one in ten, which the 0.9 quantile shows
    return above(twin, 0.9)


@send.misconception("Those are full in the middle case: a chance of one in two. Being late costs ten times as much.")
def by_median(twin):
    return above(twin, 0.5)


@send.misconception("Those are full almost for sure. Being late costs ten times what switching on does.")
def almost_sure(twin):
    return above(twin, 0.1)


@send.misconception("Those have a chance of one in twenty. At that, switching on costs more than it saves.")
def too_careful(twin):
    return above(twin, 0.95)
