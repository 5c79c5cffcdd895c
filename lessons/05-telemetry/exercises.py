"""Exercises of 05-telemetry: gaps, a stuck sensor, a mean that can be trusted, Monday's belief; all of the twin."""

import functools
import itertools

import numpy as np
import xarray as xr

from twinkit import extend, telemetry
from twinkit.lesson import exercise

START, DAYS = "2026-03-02", 7
SUNDAY = slice("2026-03-08T00:00", "2026-03-08T23:45")
SILENT = ("2026-03-05T06:00", "2026-03-05T15:00")
FROZEN = ("2026-03-06T02:00", "2026-03-06T20:00")
SCALE = 0.5  # what the wrong setting of Sunday makes of a load


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


@once
def places(twin):
    """Three sites: the idlest goes silent, the middle one's thermometer freezes, the busiest is set wrongly."""
    peak = telemetry.peak_load(twin)
    busy = peak.groupby(twin["cells/site"].rename("site")).mean()
    order = busy.site.values[np.lexsort((busy.site.values.astype(str), busy.values))]
    return str(order[0]), str(order[len(order) // 2]), str(order[-1])


def cells_of(twin, site):
    return twin["cells/cell"].values[twin["cells/site"].values == site].tolist()


@once
def said(twin):
    """The week as the sensors sent it."""
    idle, middle, busy = places(twin)
    faults = [telemetry.Fault("gap", cell, *SILENT, "load") for cell in cells_of(twin, idle)]
    faults.append(telemetry.Fault("stuck", middle, *FROZEN, "temperature"))
    sunday = ("2026-03-08", "2026-03-09")
    faults += [telemetry.Fault("unit", cell, *sunday, "load", SCALE) for cell in cells_of(twin, busy)]
    return telemetry.generate(twin, start=START, days=DAYS, seed=1, faults=faults)


@once
def found(twin):
    return telemetry.quality(said(twin)[["load", "temperature"]])


# ---------------------------------------------------------------- gaps


@exercise(
    "gaps",
    objective="gaps",
    tolerance=1e-4,
    minutes=6,
    hints=[
        "A reading that did not come is NaN. How many of all that were due are?",
        "load.isnull() is True where none came; the mean of True and False is a share.",
        "float(load.isnull().mean())",
    ],
)
def gaps(twin):
    # of all readings of load that were due in the week
    return float(said(twin)["load"].isnull().mean())


@gaps.misconception("That is the share at the silent site alone. All cells of the region were due to send.")
def at_the_site(twin):
    load = said(twin)["load"].sel(cell=cells_of(twin, places(twin)[0]))
    return float(load.isnull().mean())


@gaps.misconception("That is a number of readings. Over all that were due it becomes a share.")
def a_count(twin):
    return float(said(twin)["load"].isnull().sum())


@gaps.misconception("That is the share of quarters of an hour in which anybody was missing, not of the readings.")
def any_missing(twin):
    return float(said(twin)["load"].isnull().any("cell").mean())


# ---------------------------------------------------------------- a stuck sensor


@exercise(
    "stuck",
    objective="stuck",
    minutes=7,
    hints=[
        "Which sensor repeats one value for hours?",
        "FLAGS.index('stuck') is the number of that flag; in which column of `flags` does it stand?",
        "str(flags.sensor.values[(flags == stuck_flag).any('time')][0])",
    ],
)
def stuck(twin):
    # the one thermometer that repeats itself
    flags = telemetry.marked(found(twin), "temperature")
    return str(flags.sensor.values[(flags == telemetry.FLAGS.index("stuck")).any("time")][0])


@stuck.misconception("That is the site that went silent. It sends nothing; a stuck sensor sends, and says the same.")
def the_silent_one(twin):
    return places(twin)[0]


@stuck.misconception("That is the warmest cabinet of the week. Warm is not stuck.")
def the_warmest(twin):
    mean = said(twin)["temperature"].mean("time")
    return str(mean.site.values[int(mean.values.argmax())])


# ---------------------------------------------------------------- what may be averaged


@exercise(
    "coolest",
    objective="clean",
    unit="degC",
    tolerance=0,
    absolute=0.005,
    minutes=7,
    hints=[
        "Leave out what is flagged before you average.",
        "tk.telemetry.cleaned(said, found) puts NaN where a reading is not good; then the site, then the mean.",
        'float(tk.telemetry.cleaned(said, found)["temperature"].sel(site=frozen).mean())',
    ],
)
def coolest(twin):
    # the week's mean at the site whose thermometer froze, without the hours in which it did
    clean = telemetry.cleaned(said(twin)[["load", "temperature"]], found(twin))
    return float(clean["temperature"].sel(site=places(twin)[1]).mean())


@coolest.misconception("The frozen hours are still in your mean.")
def with_the_frozen(twin):
    return float(said(twin)["temperature"].sel(site=places(twin)[1]).mean())


@coolest.misconception("You put 0 in place of what is missing. Nobody measured 0 degC: leave it out.")
def zeros(twin):
    clean = telemetry.cleaned(said(twin)[["load", "temperature"]], found(twin))
    return float(clean["temperature"].sel(site=places(twin)[1]).fillna(0).mean())


@coolest.misconception("That is the mean of all sites. One is asked for.")
def everybody(twin):
    return float(telemetry.cleaned(said(twin)[["load", "temperature"]], found(twin))["temperature"].mean())


# ---------------------------------------------------------------- Monday about Sunday


def sunday(twin, *, corrected):
    load = said(twin)["load"].sel(time=SUNDAY)
    wrong = load.cell.isin(cells_of(twin, places(twin)[2]))
    return load / xr.where(wrong, SCALE, 1.0) if corrected else load


@exercise(
    "monday",
    objective="belief",
    tolerance=1e-5,
    minutes=9,
    hints=[
        "Two states of one store. Which of them knew nothing of the correction?",
        "tk.open(path, as_of=heard) is the store as it was known then; Sunday is `.sel(time=sunday)`.",
        'float(tk.open(path, as_of=heard)["telemetry/load"].sel(time=sunday).mean())',
    ],
)
def monday(twin):
    # what stood in the store before the correction came
    return float(sunday(twin, corrected=False).mean())


@monday.misconception("That is what we know today. On Monday nobody knew of the correction: open the store as of then.")
def today(twin):
    return float(sunday(twin, corrected=True).mean())


@monday.misconception("That is the wrongly set site alone. The mean over all cells is asked for.")
def wrong_site(twin):
    return float(sunday(twin, corrected=False).sel(cell=cells_of(twin, places(twin)[2])).mean())


# ---------------------------------------------------------------- a rule of one's own


def longest_run(values, *, count="readings"):
    """The longest run of one value, and the changes that make a mistake of it."""
    best = run = 0
    for before, after in itertools.pairwise(values):
        run = run + 1 if before == after else 0
        best = max(best, run)
    return best + (count == "readings")


@once
def probes(twin):
    temperature = said(twin)["temperature"]
    sites = [places(twin)[1], *temperature.site.values[:3].tolist()]
    return [{"values": temperature.sel(site=s).values} for s in sites]


@exercise(
    "run",
    objective="rule",
    tolerance=0,
    minutes=10,
    probe=probes,
    hints=[
        "Walk through the values: is this one the same as the one before?",
        "Count up while it is, begin anew with 1 when it is not, and remember the largest count.",
        "now = now + 1 if values[i] == values[i - 1] else 1; best = max(best, now)",
    ],
)
def run(twin):
    # how many readings in turn say the same
    return longest_run


@run.misconception("You counted the repetitions. Three equal readings in turn are two repetitions and a run of 3.")
def repetitions(twin):
    return functools.partial(longest_run, count="repetitions")


@run.misconception("You counted all repetitions of the week. The longest run without a break is asked for.")
def all_of_them(twin):
    return lambda values: int(np.sum(values[1:] == values[:-1]))


# ---------------------------------------------------------------- a decision


@once
def well(twin):
    """Health of the sites."""
    return telemetry.health(extend(twin, telemetry=said(twin)))


@exercise(
    "visit",
    objective="decide",
    minutes=6,
    hints=[
        "Which site sent the smallest share of good readings on its worst day?",
        "well.good_share.min('time') is one number a site; which site has the smallest?",
        "str(well.site.values[int(well.good_share.min('time').values.argmin())])",
    ],
)
def visit(twin):
    # the site whose worst day is the worst of all
    worst = well(twin).good_share.min("time")
    return str(worst.site.values[int(worst.values.argmin())])


@visit.misconception("That is the site with the best readings: the smallest share is asked for.")
def the_best(twin):
    worst = well(twin).good_share.min("time")
    return str(worst.site.values[int(worst.values.argmax())])


@visit.misconception("That is the warmest site against its law. Here the readings are asked for, not the heat.")
def the_hottest(twin):
    hot = well(twin).temperature_excess.max("time")
    return str(hot.site.values[int(hot.values.argmax())])
