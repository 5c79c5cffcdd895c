"""Exercises of 11-maintain: warmest, chance, urgent, a rule, Monday, what it saves; all functions of the twin."""

import functools

import numpy as np

from twinkit import extend, maintain, telemetry
from twinkit.lesson import exercise

START, DAYS, WORN, SEED = "2026-03-02", 40, 6, 1
COSTS = {"failure_cost": 4000.0, "visit_cost": 150.0, "travel_cost": 1.0}
WORK = {"days": 14, "crews": 1, "speed": 25.0, "visit_hours": 2.0, "shift": 14.0}
DRAWS = 1000


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


def worn(twin):
    """Which sites wear, and how far each has come: 1 is the failure."""
    carrying = sorted(set(twin["cells/site"].values.tolist()))
    count = min(WORN, len(carrying))
    sites = np.random.default_rng(SEED).permutation(np.array(carrying, dtype=object))[:count]
    return dict(zip(sites.tolist(), np.linspace(0.9, 0.3, count).tolist(), strict=True))


@once
def heard(twin):
    said = telemetry.generate(twin, start=START, days=DAYS, seed=SEED)
    end = np.datetime64(START) + np.timedelta64(DAYS, "D")
    usual = said.energy.mean("time")
    faults = []
    for site, come in worn(twin).items():
        more = float(0.3 * come * usual.sel(site=site))
        faults.append(telemetry.Fault("drift", site, "2026-03-22", end, variable="temperature", size=9 * come))
        faults.append(telemetry.Fault("drift", site, "2026-03-22", end, variable="energy", size=more))
    return telemetry.spoil(said, faults)


@once
def well(twin):
    return telemetry.health(extend(twin, telemetry=heard(twin)))


@once
def risk(twin):
    return maintain.remaining_life(well(twin), quantile=[0.1, 0.5, 0.9])


def depot(twin):
    return float(twin["sites/x"].mean()), float(twin["sites/y"].mean())


@once
def plan(twin):
    return maintain.schedule(twin, risk(twin), base=depot(twin), **WORK, **COSTS)


@once
def costs(twin):
    """Run to failure and the plan, on the same fates."""
    lives = maintain.drawn_lives(risk(twin), draws=DRAWS, seed=SEED)
    count = lives.sizes["site"]
    new = maintain.weibull_lives(draws=DRAWS, sites=count, renewals=4, shape=3.0, scale=300.0, seed=SEED)
    ways = (
        maintain.run_to_failure(days=WORK["days"]),
        maintain.scheduled(twin, plan(twin), base=depot(twin), days=WORK["days"]),
    )
    return [maintain.policy_cost(twin, lives, way, renewed=new, base=depot(twin), **COSTS) for way in ways]


# ---------------------------------------------------------------- what is wrong


@exercise(
    "warmest",
    objective="health",
    minutes=7,
    hints=[
        "Take the last day of the temperature's excess.",
        "well.temperature_excess.isel(time=-1) has one number a site; which site has the largest?",
        'str(well.temperature_excess.isel(time=-1).idxmax("site").values)',
    ],
)
def warmest(twin):
    # the excess, not the temperature: a busy site in a hot valley is warm and well
    return str(well(twin).temperature_excess.isel(time=-1).idxmax("site").values)


@warmest.misconception("You looked at the first day. Who wears today?")
def first_day(twin):
    return str(well(twin).temperature_excess.isel(time=0).idxmax("site").values)


# ---------------------------------------------------------------- how long it has


@exercise(
    "chance",
    objective="quantile",
    unit="1",
    tolerance=0.01,
    minutes=8,
    hints=[
        "Which function turns lives into the chance to have failed by a day?",
        "tk.maintain.failed_by(risk, 14) has one number a site; take that of `warmest`.",
        "float(tk.maintain.failed_by(risk, 14).sel(site=warmest))",
    ],
)
def chance(twin):
    # a middle of 20 days does not mean that nothing happens before
    return float(maintain.failed_by(risk(twin), 14).sel(site=warmest.expected(twin)))


@chance.misconception("That is the chance to live on. The question is about failing.")
def lives_on(twin):
    return 1 - chance.expected(twin)


@chance.misconception("That is the mean over all sites. Take the site that you found.")
def of_all(twin):
    return float(maintain.failed_by(risk(twin), 14).mean())


@exercise(
    "urgent",
    objective="cost",
    unit="money",
    tolerance=0.01,
    minutes=8,
    hints=[
        "An expected number of failures is a sum of chances; each costs the same.",
        "Add up failed_by(risk, 14) over the sites and multiply with 4000.",
        "4000 * float(tk.maintain.failed_by(risk, 14).sum())",
    ],
)
def urgent(twin):
    # chances add up whether or not one failure makes another likelier
    return COSTS["failure_cost"] * float(maintain.failed_by(risk(twin), 14).sum())


@urgent.misconception("You counted the sites whose middle lies before day 14. One in four with a later one fails, too.")
def by_median(twin):
    return COSTS["failure_cost"] * float((risk(twin).sel(quantile=0.5) <= 14).sum())


@urgent.misconception("That is one site's mean. The budget pays for all of them.")
def a_site(twin):
    return COSTS["failure_cost"] * float(maintain.failed_by(risk(twin), 14).mean())


# ---------------------------------------------------------------- a rule of one's own


@exercise(
    "worth",
    objective="rule",
    minutes=10,
    hints=[
        "What does a visit spare? What does it cost, with the way there and back?",
        "Compare 4000 * chance with 150 + 1.0 * way, site by site; `away` is one way [km].",
        "set(names[4000 * chances > 150 + 2 * away])",
    ],
)
def worth(twin):
    # a trip for one site alone: what crews share on a tour is what the schedule adds
    names = risk(twin).site.values
    chances = maintain.failed_by(risk(twin), 14).values
    sites = twin["sites"].to_dataset().sel(site=names)
    x, y = depot(twin)
    away = np.hypot(sites.x - x, sites.y - y).values / 1000
    return set(names[chances * COSTS["failure_cost"] > COSTS["visit_cost"] + 2 * away * COSTS["travel_cost"]].tolist())


@worth.misconception("These are sites with a chance above one half. Where a failure is dear, a small chance is enough.")
def likely(twin):
    return set(risk(twin).site.values[maintain.failed_by(risk(twin), 14).values > 0.5].tolist())


# ---------------------------------------------------------------- the plan


@exercise(
    "monday",
    objective="plan",
    minutes=8,
    hints=[
        "Monday is day 0 of the plan.",
        "plan.visit_day is NaN where nobody goes; compare it with 0.",
        "set(plan.site.values[(plan.visit_day == 0).values].tolist())",
    ],
)
def monday(twin):
    return set(plan(twin).site.values[(plan(twin).visit_day == 0).values].tolist())


@monday.misconception("These are all visits of the plan. Monday is day 0.")
def whole_plan(twin):
    return set(plan(twin).site.values[plan(twin).visit_day.notnull().values].tolist())


@exercise(
    "saves",
    objective="policy",
    unit="1",
    tolerance=0.005,
    minutes=9,
    hints=[
        "The same draws for both, and the mean of each.",
        "1 less the ratio of the two means of policy_cost.",
        "float(1 - planned.policy_cost.mean() / waiting.policy_cost.mean())",
    ],
)
def saves(twin):
    waiting, planned = costs(twin)
    return float(1 - planned.policy_cost.mean() / waiting.policy_cost.mean())


@saves.misconception("You divided by the plan's cost. A saving is a share of what you would have paid.")
def of_the_plan(twin):
    waiting, planned = costs(twin)
    return float(waiting.policy_cost.mean() / planned.policy_cost.mean() - 1)


@saves.misconception("You compared failures. Visits and ways cost money, too.")
def of_failures(twin):
    waiting, planned = costs(twin)
    return float(1 - planned.failures.mean() / waiting.failures.mean())
