"""Exercises of 09-resilience: curve, fallen, dark, lost, a rule, what to buy; all functions of the twin."""

import functools

import numpy as np

from twinkit import extend, resilience
from twinkit.lesson import exercise

WIND = 42.0  # largest mean wind of the scenario storm [m/s]
DRAWS, MEMBERS, SEED = 200, 10, 1
HOURS, STEP = 720.0, 3.0  # how long to look [h]
CREWS, GRID_CREWS, BEGINS = 10, 6, 36.0


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
def lit(twin):
    return resilience.electrified(twin, spacing=5000.0)


def scenario(twin):
    """A storm that goes north over the middle of the region in eighteen hours."""
    east, north = float(twin["sites/longitude"].mean()), float(twin["sites/latitude"].mean())
    times = ["2026-05-01T00:00", "2026-05-01T18:00"]
    return resilience.track(times, [east - 0.1] * 2, [north - 1.5, north + 1.5], wind=[WIND] * 2, name="a scenario")


@once
def storm(twin):
    return resilience.cyclone(lit(twin), scenario(twin), members=MEMBERS, seed=SEED)


@once
def hit(twin):
    return resilience.strike(lit(twin), storm(twin), draws=DRAWS, seed=SEED).compute()


@once
def groups(twin):
    return resilience.catchment(twin)


def crews(struck):
    return resilience.recovery(struck, crews=CREWS, grid_crews=GRID_CREWS, begins=BEGINS)


def service(twin, struck, network=None):
    where = lit(twin) if network is None else network
    return resilience.served(where, struck, catchment=groups(twin), hours=HOURS, step=STEP).compute()


@once
def out(twin):
    return service(twin, crews(hit(twin)))


# ---------------------------------------------------------------- how much is too much


@exercise(
    "curve",
    objective="curve",
    tolerance=0.002,
    minutes=7,
    hints=[
        "The curve takes one gust and the numbers of the mast's kind.",
        "tk.resilience.fragility(gust, median=..., dispersion=...), with what stands in `curve`.",
        "float(tk.resilience.fragility(gust, median=curve.median, dispersion=curve.dispersion))",
    ],
)
def curve(twin):
    # half of the masts fall at the median; the gust is what a mast meets at its worst hour
    known = resilience.CURVES["wind_gust"]["macro"]
    return float(resilience.fragility(typical_gust(twin), median=known.median, dispersion=known.dispersion))


def typical_gust(twin):
    masts = storm(twin).kind == "macro"
    return float(storm(twin).wind_gust.isel(asset=masts.values).max("time").mean())


@curve.misconception("That is the chance to stand. The curve gives the chance to fall.")
def stands(twin):
    return 1 - curve.expected(twin)


@curve.misconception("You used the mean wind of the storm. What breaks a mast is the gust: take `gust`.")
def of_the_mean(twin):
    known = resilience.CURVES["wind_gust"]["macro"]
    return float(resilience.fragility(WIND, median=known.median, dispersion=known.dispersion))


@curve.misconception("You left out the logarithm: the curve is normal in the logarithm of the gust.")
def without_logarithm(twin):
    from scipy.special import ndtr

    known = resilience.CURVES["wind_gust"]["macro"]
    return float(ndtr((typical_gust(twin) - known.median) / (known.median * known.dispersion)))


# ---------------------------------------------------------------- what falls


@exercise(
    "fallen",
    objective="damage",
    unit="masts",
    tolerance=0.01,
    minutes=7,
    hints=[
        "An expected number needs no draws: add up probabilities.",
        "storm.failure at the last hour, its mean over the members, only where node is 'sites'.",
        'float(last.isel(asset=(last.node == "sites").values).mean("member").sum())',
    ],
)
def fallen(twin):
    # the expected number of what falls is the sum of the chances, whether they hang together or not
    last = storm(twin).failure.isel(time=-1)
    return float(last.isel(asset=(last.node == "sites").values).mean("member").sum())


@fallen.misconception("You added links and feeders, too. The question is about sites.")
def everything(twin):
    return float(storm(twin).failure.isel(time=-1).mean("member").sum())


@fallen.misconception("You added over the members: that is many storms. Take their mean.")
def all_members(twin):
    last = storm(twin).failure.isel(time=-1)
    return float(last.isel(asset=(last.node == "sites").values).sum())


# ---------------------------------------------------------------- who loses service


@exercise(
    "dark",
    objective="cascade",
    tolerance=0.005,
    minutes=8,
    hints=[
        "In each draw: the smallest number of people with service, whenever that is.",
        'out.people_served.min("time") is that; compare with out.attrs["people_before"], then the mean over draws.',
        'float(1 - (out.people_served.min("time") / out.attrs["people_before"]).mean())',
    ],
)
def dark(twin):
    # the worst hour of each draw, then the mean over draws
    served = out(twin)
    return float(1 - (served.people_served.min("time") / served.attrs["people_before"]).mean())


@dark.misconception("That is the share that keeps service. The question is who loses it.")
def kept_service(twin):
    return 1 - dark.expected(twin)


@dark.misconception("You counted sites that fall. Most people lose service through power and links, not through masts.")
def only_masts(twin):
    sites = lit(twin)["sites"].sizes["site"]
    return fallen.expected(twin) / sites


@dark.misconception("That is the very worst draw. The question asks for the mean over draws.")
def worst_draw(twin):
    served = out(twin)
    return float(1 - served.people_served.min() / served.attrs["people_before"])


# ---------------------------------------------------------------- for how long


@exercise(
    "lost",
    objective="interval",
    unit="h",
    tolerance=0.005,
    minutes=8,
    hints=[
        "People-hours, spread over the people who had service before; and not the mean this time.",
        "Divide out.people_hours_lost by people_before, then take a quantile over the draws.",
        'float((out.people_hours_lost / out.attrs["people_before"]).quantile(0.95))',
    ],
)
def lost(twin):
    # nineteen of twenty draws cost a person less than this
    served = out(twin)
    return float((served.people_hours_lost / served.attrs["people_before"]).quantile(0.95))


@lost.misconception("That is the mean. The minister asked what it costs in a bad storm: the quantile 0.95.")
def mean_loss(twin):
    served = out(twin)
    return float((served.people_hours_lost / served.attrs["people_before"]).mean())


@lost.misconception("That is how well the mean is known, not how bad a single storm can be.")
def end_of_the_mean(twin):
    served = out(twin)
    each = served.people_hours_lost / served.attrs["people_before"]
    return float(resilience.interval(each, members=MEMBERS).expected_high)


# ---------------------------------------------------------------- a rule of one's own


@exercise(
    "rank",
    objective="rule",
    tolerance=0,
    absolute=1e-9,
    minutes=8,
    hints=[
        "One number for each asset; the smallest is mended first.",
        'storm.kind.values holds the kinds; numpy.where(kind == "substation", 0, ...) gives numbers.',
        'np.where(kind == "substation", 0.0, np.where(kind == "feeder", 1.0, 2.0)) with kind = storm.kind.values',
    ],
)
def rank(twin):
    # power first, from the top: without it a mended mast stays dark
    kind = storm(twin).kind.values
    return np.where(kind == "substation", 0.0, np.where(kind == "feeder", 1.0, 2.0))


@rank.misconception("Your order is turned round: the smallest number is mended first.")
def turned(twin):
    return 2.0 - rank.expected(twin)


@rank.misconception("A substation stands above its feeders: while it is dead, they are too. It comes before them.")
def feeders_first(twin):
    kind = storm(twin).kind.values
    return np.where(kind == "feeder", 0.0, np.where(kind == "substation", 1.0, 2.0))


# ---------------------------------------------------------------- what to buy


@exercise(
    "battery",
    objective="compare",
    tolerance=0.01,
    absolute=0.0005,
    minutes=9,
    hints=[
        "The same hit, the same crews, two twins: one with longer batteries.",
        "Call served with `longer` instead of `lit`, and compare the two means of people_hours_lost.",
        "1 - float(better.people_hours_lost.mean() / out.people_hours_lost.mean())",
    ],
)
def battery(twin):
    # the same storms with the same luck on both networks: the difference is not noise
    return 1 - float(with_batteries(twin).people_hours_lost.mean() / out(twin).people_hours_lost.mean())


@once
def longer(twin):
    made = lit(twin)
    hours = made["sites/kind"].copy(data=resilience.autonomy_of(made).clip(max=1e5) + 24.0)
    return extend(made, sites=hours.rename("autonomy").assign_attrs(units="h"))


@once
def with_batteries(twin):
    return service(twin, crews(hit(twin)), longer(twin))


@battery.misconception("That is what is still lost. What is saved is the rest.")
def still_lost(twin):
    return 1 - battery.expected(twin)


@exercise(
    "first",
    objective="compare",
    unit="people h",
    tolerance=0.01,
    minutes=7,
    hints=[
        "`found` is sorted: what does the one at the top save?",
        "found.people_hours_saved is that, for each.",
        "float(found.people_hours_saved[0])",
    ],
)
def first(twin):
    # the list is sorted by what each saves on the same draws
    return float(most_critical(twin).people_hours_saved[0])


@first.misconception("That is its share of all that is lost. The question is about people-hours.")
def as_share(twin):
    return float(most_critical(twin).share[0])


@first.misconception("You added all sites up. One at a time: what two save together is not the sum.")
def all_together(twin):
    return float(most_critical(twin).people_hours_saved.sum())


@once
def most_critical(twin):
    return resilience.critical(
        lit(twin),
        hit(twin),
        catchment=groups(twin),
        hours=HOURS,
        step=STEP,
        crews=crews,
        nodes=["sites"],
        candidates=15,
        members=MEMBERS,
    )
