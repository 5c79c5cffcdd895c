"""Schedules against every plan there is, and policies on fates that are known."""

import itertools

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError, maintain
from twinkit.maintain.tours import tours

WORK = {"crews": 1, "speed": 30.0, "visit_hours": 2.0, "shift": 14.0}
PRICES = {"failure_cost": 900.0, "visit_cost": 120.0, "travel_cost": 2.0}


@pytest.fixture(scope="module")
def twin():
    return tk.datasets.town(sites=6, seed=1)


def middle(twin):
    return float(twin["sites/x"].mean()), float(twin["sites/y"].mean())


def lives_of(twin, values):
    names = twin["sites"].site.values[: np.shape(values)[1]]
    where = {"quantile": [0.1, 0.5, 0.9], "site": names}
    return tk.stamp(xr.DataArray(np.array(values, float), where, ("quantile", "site")), "remaining_life")


@pytest.fixture(scope="module")
def risk(twin):
    return lives_of(twin, [[1, 2, 10, 3], [3, 5, 30, 6], [9, 20, 60, 12]])


def test_the_plan_is_the_best_of_all_plans(twin, risk):
    names = risk.site.values
    base = middle(twin)
    plan = maintain.schedule(twin, risk, base=base, days=3, most=2, near=6, **WORK, **PRICES)
    sites = twin["sites"].to_dataset().sel(site=names)
    x, y = sites.x.values, sites.y.values
    chance = maintain.failed_by(risk, np.arange(4)).values
    alone = 2 * np.hypot(x - base[0], y - base[1]) / 1000
    forced = 900 + 120 + 2 * alone
    best = np.inf
    # each site on a day or never; one crew, at most two sites a day
    for days in itertools.product(range(4), repeat=4):
        cost = sum(forced[s] * chance[d, s] for s, d in enumerate(days))
        for d in range(3):
            who = [s for s in range(4) if days[s] == d]
            if len(who) > 2:
                cost = np.inf
                break
            if who:
                px, py = np.r_[base[0], x[who], base[0]], np.r_[base[1], y[who], base[1]]
                cost += 120 * len(who) + 2 * np.hypot(np.diff(px), np.diff(py)).sum() / 1000
        best = min(best, cost)
    assert float(plan.schedule_cost) == pytest.approx(best, rel=1e-6)
    assert float(plan.schedule_bound) <= best + 1e-6
    assert float(plan.schedule_gap) < 1e-3


def test_nothing_pays_where_failures_cost_nothing(twin, risk):
    free = PRICES | {"failure_cost": 0.0, "visit_cost": 1e4}
    plan = maintain.schedule(twin, risk, base=risk.site.values[0], days=7, **WORK, **free)
    assert plan.visit_day.isnull().all()


def test_more_crews_never_cost_more(twin, risk):
    costs = [
        float(
            maintain.schedule(
                twin, risk, base=middle(twin), days=5, most=1, **(WORK | {"crews": c}), **PRICES
            ).schedule_cost
        )
        for c in (1, 2)
    ]
    assert costs[1] <= costs[0] + 1e-9


def test_a_dear_site_goes_first(twin):
    same = lives_of(twin, [[2] * 3, [6] * 3, [15] * 3])
    names = same.site.values
    dear = xr.DataArray([500.0, 9000.0, 500.0], {"site": names}, ("site",))
    plan = maintain.schedule(twin, same, base=middle(twin), days=5, most=1, **WORK, **(PRICES | {"failure_cost": dear}))
    assert float(plan.visit_day.sel(site=names[1])) == 0


def test_tours_take_the_shortest_way():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-2e4, 2e4, (2, 6))
    for tour in tours(x, y, (0.0, 0.0), most=4, near=6, speed=40, visit=0.5, shift=24):
        ways = []
        for order in itertools.permutations(tour.sites):
            px, py = np.r_[0, x[list(order)], 0], np.r_[0, y[list(order)], 0]
            ways.append(np.hypot(np.diff(px), np.diff(py)).sum())
        assert tour.length == pytest.approx(min(ways))


def test_draws_follow_the_quantiles(twin, risk):
    lives = maintain.drawn_lives(risk, draws=20000, seed=1)
    for level in (0.1, 0.5, 0.9):
        share = (lives <= risk.sel(quantile=level)).mean("draw")
        np.testing.assert_allclose(share, level, atol=0.012)
    for day in (1, 7, 40):
        np.testing.assert_allclose((lives <= day).mean("draw"), maintain.failed_by(risk, day), atol=0.012)


def test_a_policy_is_paid_for_what_it_does(twin, risk):
    names = risk.site.values[:2]
    lives = xr.DataArray([[0.5, 10.0]], {"site": names}, ("draw", "site"))
    new = np.full((1, 2, 9), 3.0)
    given = {"renewed": new, "base": names[0], "failure_cost": 10.0, "visit_cost": 1.0, "travel_cost": 0.0}
    waiting = maintain.policy_cost(twin, lives, maintain.run_to_failure(days=6), **given)
    # the first fails on days 0.5, 3.5: twice; the second not within six days
    assert waiting.failures.item() == 2
    assert waiting.policy_cost.item() == 22
    daily = maintain.Visits("daily", 6, tuple((d, (0, 1), 0.0) for d in range(6)))
    kept = maintain.policy_cost(twin, lives, daily, **given | {"renewed": np.full((1, 2, 9), 3.0)})
    assert kept.failures.item() == 0
    assert kept.policy_cost.item() == 12


def test_fixed_intervals_visit_every_site_as_often_as_they_say(twin):
    names = twin["sites"].site.values.tolist()
    way = maintain.fixed_interval(twin, sites=names, base=middle(twin), days=20, interval=10, **WORK)
    counted = np.bincount([s for _, stops, _ in way.tours for s in stops], minlength=len(names))
    assert (counted == 2).all()


def test_the_schedule_saves_on_the_fates_it_was_made_for(twin, risk):
    base = middle(twin)
    plan = maintain.schedule(twin, risk, base=base, days=14, **WORK, **PRICES)
    lives = maintain.drawn_lives(risk, draws=400, seed=1)
    new = maintain.weibull_lives(draws=400, sites=4, renewals=5, shape=3, scale=300, seed=1)
    ways = maintain.run_to_failure(days=14), maintain.scheduled(twin, plan, base=base, days=14)
    waiting, planned = (maintain.policy_cost(twin, lives, w, renewed=new, base=base, **PRICES) for w in ways)
    told = maintain.saving(planned, waiting, seed=1)
    assert 0 < told.low < told.value < told.high < 1
    # the simulation and the program count the same money
    assert float(planned.policy_cost.mean()) == pytest.approx(float(plan.schedule_cost), rel=0.08)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"crews": 0}, "crews"),
        ({"days": 1.5}, "days"),
        ({"failure_cost": -1.0}, "failure_cost"),
        ({"base": "nowhere"}, "a base at one of the sites"),
        ({"shift": 0.5}, "within a shift"),
        ({"most": 9}, "1 to 5 sites"),
    ],
)
def test_plans_that_cannot_be_are_refused(twin, risk, change, said):
    given = {"base": middle(twin), "days": 7, **WORK, **PRICES} | change
    with pytest.raises(TwinError, match=said):
        maintain.schedule(twin, risk, **given)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[5.0], [4], [9]], "ascend"),
        ([[np.nan], [4], [9]], "a life of 0 or more"),
        ([[-1.0], [4], [9]], "a life of 0 or more"),
    ],
)
def test_lives_that_are_none_are_refused(twin, values, said):
    with pytest.raises(TwinError, match=said):
        maintain.failed_by(lives_of(twin, values), 3)
