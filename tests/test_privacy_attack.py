"""Attacks: they stay below an honest claim, and catch a false one."""

import functools

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from twinkit import TwinError, privacy

PAIR = ("origin", "destination")
ZONES = ["a", "b", "c"]
OVER = dict.fromkeys(PAIR, ZONES)
DAY = np.datetime64("2026-03-02", "ns")


def crowd(seed=1):
    rng = np.random.default_rng(seed)
    columns = {"subscriber": np.arange(150) // 3, "day": DAY} | {d: rng.choice(ZONES, 150) for d in PAIR}
    return pd.DataFrame(columns)


def target(events):
    """Somebody who goes from a to b, so many times in a day."""
    return pd.DataFrame({"subscriber": 999, "day": DAY, "origin": "a", "destination": "b"}, range(events))


def with_target(events):
    return pd.concat([crowd(), target(events)], ignore_index=True)


TRACE = xr.DataArray([[0, 1, 0], [0, 0, 0], [0, 0, 0]], OVER, PAIR)


def honest(data, number, *, epsilon, mechanism=privacy.geometric, **choices):
    known = {"protects": "subscriber-day", "bound": 4, "over": OVER, "seed": number, "mechanism": mechanism}
    return privacy.release(data, epsilon=epsilon, **known | choices)


def exact(data):
    grouped = data.groupby(list(PAIR)).size().to_xarray()
    return grouped.reindex(OVER, fill_value=0).fillna(0).astype(int)


def tabled(data, number, **choices):
    """The same, of counts made beforehand, in which nobody adds more than four."""
    return privacy.release(data, **{"protects": "subscriber-day", "bound": 4, "seed": number} | choices)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_counts_that_were_bounded_beforehand_stand_it_too(epsilon):
    release = functools.partial(tabled, epsilon=epsilon)
    found = privacy.membership(release, exact(crowd()), exact(with_target(4)), target=TRACE, releases=200, seed=1)
    assert found.epsilon <= epsilon


def broken(data, number, *, epsilon):
    """Noise made for four trips a day, and nobody looks whether somebody made more."""
    return tabled(data, number, epsilon=epsilon)


# ---------------------------------------------------------------- membership


# with a thousand events the bound is at work; those that take longest wait for the slow tests
EACH = [(1.0, 4), (1.0, 1000)]
EACH += [pytest.param(e, 1000, marks=pytest.mark.slow) for e in (0.1, 10.0)]


@pytest.mark.parametrize(("epsilon", "events"), EACH)
def test_an_honest_release_stands_the_attack(epsilon, events):
    found = privacy.membership(
        functools.partial(honest, epsilon=epsilon), crowd(), with_target(events), target=TRACE, releases=200, seed=1
    )
    assert found.epsilon <= epsilon
    if epsilon >= 1:
        # the attack is worth its name: it nearly reaches what can be proved
        assert found.epsilon > 0.2 * min(epsilon, 3.8)


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_a_release_without_contribution_bound_is_caught(epsilon):
    found = privacy.membership(
        functools.partial(broken, epsilon=epsilon),
        exact(crowd()),
        exact(with_target(1000)),
        target=TRACE,
        releases=200,
        seed=1,
    )
    assert found.epsilon > epsilon
    assert "said 'in it' of 200 of 200" in str(found)


def test_one_target_in_two_hundred_releases_proves_no_epsilon_of_10():
    # said in the docs: even an attack that is always right proves no more than 3.8
    assert privacy.epsilon_at_least(200, 200, 0, 200) < 10
    assert privacy.epsilon_at_least(200_000, 200_000, 0, 200_000) > 10


# ---------------------------------------------------------------- many targets at once

MANY = 20
WIDE = {d: [f"z{i}" for i in range(MANY)] for d in PAIR}
TRACES = xr.DataArray(np.eye(MANY**2).reshape(MANY**2, MANY, MANY), WIDE, ("target", *PAIR))


def audited(epsilon, each, *, bound=4, seed=1, releases=200, **choices):
    """Four hundred targets, each in a cell of its own, `each` trips a day."""
    rest = xr.DataArray(np.random.default_rng(1).poisson(2, (MANY, MANY)), WIDE, PAIR)

    def release(data, number):
        return privacy.release(data, epsilon=epsilon, protects="subscriber-day", bound=bound, seed=number, **choices)

    def mixed(inside):
        return rest + each * inside.reshape(MANY, MANY)

    return privacy.audit(release, mixed, targets=TRACES, releases=releases, seed=seed, progress=False)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_many_targets_catch_a_forgotten_bound_at_any_claim(epsilon):
    """The reach: caught at 0.1, 1 and 10 with 200 releases. At 10 it takes many targets; one would prove 3.8."""
    found = audited(epsilon, 1000)
    assert found.epsilon > epsilon
    assert (found.accused, found.silent) == (0, 0)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_an_honest_release_stands_many_targets(epsilon):
    found = audited(epsilon, 4)
    assert found.epsilon <= epsilon
    if epsilon >= 1:
        # and the audit nearly reaches the claim, so that a little more than was bounded is found
        assert found.epsilon > 0.75 * epsilon
        assert audited(epsilon, 5 if epsilon == 1 else 8).epsilon > epsilon


def test_records_are_bounded_before_many_targets():
    names = np.array(WIDE["origin"])
    who = np.repeat(np.arange(MANY**2), 20)
    ends = {"origin": names[who // MANY], "destination": names[who % MANY]}
    loud = pd.DataFrame({"subscriber": who, "day": DAY} | ends)

    def release(data, number):
        return privacy.release(data, epsilon=1.0, protects="subscriber-day", bound=4, over=WIDE, seed=number)

    choices = {"targets": TRACES, "releases": 60, "seed": 3, "progress": False}
    found = privacy.audit(release, lambda inside: loud[inside[who]], **choices)
    assert 0.5 < found.epsilon <= 1.0


def test_labels_chosen_by_the_data_give_their_owner_away():
    """Who alone goes to a place names it by going there; a threshold hides the place with the person."""
    columns = {"subscriber": np.arange(300), "day": DAY, "origin": "a"}
    crowd_ = pd.DataFrame(columns | {"destination": np.random.default_rng(1).choice(ZONES, 300)})
    alone = pd.DataFrame({"subscriber": [9999], "day": DAY, "origin": "a", "destination": "clinic"})
    choices = {"epsilon": 1.0, "protects": "subscriber-day", "bound": 1}

    def named(safe):
        """Whether the place is in the table at all, as a count."""
        return xr.DataArray([float("clinic" in safe.destination.values)], {"zone": ["clinic"]}, "zone")

    def keyed(data, number):
        over = {"origin": ["a"], "destination": sorted(data.destination.unique())}  # as nobody may
        return named(privacy.release(data, over=over, seed=number, **choices))

    def hidden(data, number):
        return named(privacy.release(data, dims=PAIR, delta=1e-6, seed=number, **choices))

    data = crowd_, pd.concat([crowd_, alone], ignore_index=True)
    trace = xr.DataArray([1.0], {"zone": ["clinic"]}, "zone")
    assert privacy.membership(keyed, *data, target=trace, releases=40, seed=1).epsilon > 1.0
    assert privacy.membership(hidden, *data, target=trace, releases=40, delta=1e-6, seed=1).epsilon <= 1.0


@pytest.mark.parametrize("mechanism", [privacy.laplace, privacy.gaussian])
def test_other_noise_stands_it_too(mechanism):
    delta = 1e-3 if mechanism is privacy.gaussian else 0.0
    release = functools.partial(tabled, epsilon=1.0, mechanism=mechanism, delta=delta)
    found = privacy.membership(release, exact(crowd()), exact(with_target(4)), target=TRACE, delta=delta, seed=2)
    assert found.epsilon <= 1.0


def test_margins_and_the_fit_give_nothing_away():
    release = functools.partial(tabled, epsilon=1.0, margins=["origin", "destination", ()], threshold=2.0)
    assert privacy.membership(release, exact(crowd()), exact(with_target(4)), target=TRACE, seed=3).epsilon <= 1.0


def test_averaging_many_releases_gets_past_the_epsilon_of_one():
    release = functools.partial(tabled, epsilon=0.5)
    others, everybody = exact(crowd()), exact(with_target(4))
    one = privacy.membership(release, others, everybody, target=TRACE, releases=60, seed=4)
    many = privacy.membership(release, others, everybody, target=TRACE, releases=60, times=12, seed=4)
    assert one.epsilon <= 0.5 < many.epsilon <= 12 * 0.5


def test_half_the_noise_is_caught():
    def too_quiet(data, number):
        return tabled(data, number, epsilon=2.5)

    found = privacy.membership(too_quiet, exact(crowd()), exact(with_target(4)), target=TRACE, releases=200, seed=5)
    assert found.epsilon > 1.0  # whoever claims 1.0 for it is wrong


# ---------------------------------------------------------------- differencing


def test_the_difference_of_two_exact_tables_names_the_target():
    everybody, others = exact(with_target(3)), exact(crowd())
    k = functools.partial(privacy.k_anonymous, k=5)
    found = privacy.differencing(lambda data, number: k(data), others, everybody, target=TRACE, releases=200, seed=1)
    assert (found.caught, found.accused) == (200, 0)
    assert found.epsilon > 3.5
    shown = privacy.exposed(k(everybody), k(others), below=5)
    assert float(shown.sel(origin="a", destination="b")) == 3
    assert int(shown.count()) == 1


def test_the_difference_of_two_releases_keeps_the_promise():
    release = functools.partial(tabled, epsilon=1.0)
    found = privacy.differencing(release, exact(crowd()), exact(with_target(4)), target=TRACE, releases=200, seed=1)
    assert found.epsilon <= 1.0


# ---------------------------------------------------------------- four points


def diary(days=7, people=3000):
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 5e3, (2, 60))
    zone = [f"z{i}" for i in range(60)]
    town = {"x": ("zone", x), "y": ("zone", y), "people": ("zone", np.exp(rng.normal(0, 1, 60)))}
    return privacy.diaries(
        xr.Dataset(town, {"zone": zone}),
        subscribers=people,
        days=days,
        first_day="2026-03-02",
        reach=4e3,
        working=0.8,
        errands=0.5,
        seed=1,
    )


def test_four_points_break_a_pseudonymised_file():
    records = diary()
    found = privacy.reidentification(records, on=["day", "hour", "origin"], points=4, people=500, seed=1)
    assert float(found.found) > 0.95  # as de Montjoye and others found it in the records of a country
    assert float(found.low) < float(found.found) <= float(found.high)
    assert float(found.epsilon) > 8
    assert float(privacy.reidentification(records, on=["day", "hour", "origin"], points=1, seed=1).found) < 0.2


def test_the_search_is_that_of_a_plain_loop():
    records = diary(days=2, people=120)
    on = ["day", "hour", "origin"]
    traces = {w: {tuple(r) for r in t[on].to_numpy()} for w, t in records.groupby("subscriber")}
    able = {w: t for w, t in traces.items() if len(t) == 3}
    # everybody with exactly three points is looked for with all of them, so that there is one truth
    alone = np.mean([sum(t <= other for other in traces.values()) == 1 for t in able.values()])
    some = records[records.subscriber.isin(able)]
    found = privacy.reidentification(some, on=on, points=3, people=10**6, seed=1)
    inside = np.mean([sum(t <= other for other in able.values()) == 1 for t in able.values()])
    assert float(found.found) == inside >= alone
    assert int(found.people) == int(found.candidates) == len(able)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"points": 0}, "a whole number from 1"),
        ({"people": 1.5}, "a whole number from 1"),
        ({"points": 900}, "people with 900 different points"),
        ({"on": []}, "columns that make a point"),
        ({"on": ["where"]}, "one column 'where'"),
        ({"seed": None}, "a seed of 0 or more"),
    ],
)
def test_searches_that_are_refused(choices, said):
    with pytest.raises(TwinError, match=said):
        privacy.reidentification(diary(1, 50), **{"on": ["hour", "origin"], "seed": 1} | choices)


# ---------------------------------------------------------------- the bound itself


@pytest.mark.parametrize(("successes", "trials"), [(0, 200), (3, 200), (117, 200), (200, 200), (1, 1)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975])
def test_the_interval_is_scipys(successes, trials, confidence):
    expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
    assert privacy.proportion(successes, trials, confidence=confidence) == pytest.approx(tuple(expected), rel=1e-9)


def test_the_bound_holds_as_often_as_it_says():
    # the best attack on a release of epsilon 1 by two answers, right with e / (1 + e): the truth is exactly 1
    rng = np.random.default_rng(7)
    right = np.e / (1 + np.e)
    bounds = [
        privacy.epsilon_at_least(int(rng.binomial(200, right)), 200, int(rng.binomial(200, 1 - right)), 200)
        for _ in range(1000)
    ]
    assert np.mean(np.array(bounds) <= 1.0) > 0.95
    assert np.median(bounds) > 0.5


def test_bad_numbers_are_refused():
    for wrong in ((-1, 10), (11, 10), (0, 0), (1.5, 10), (True, 10)):
        with pytest.raises(TwinError, match="successes from 0"):
            privacy.proportion(*wrong)
    for wrong in ({"confidence": 0.0}, {"confidence": 1.0}, {"delta": 1.0}, {"delta": -1e-9}):
        with pytest.raises(TwinError, match="expected a finite number"):
            privacy.epsilon_at_least(5, 10, 5, 10, **wrong)
    with pytest.raises(TwinError, match="a function"):
        privacy.membership(None, crowd(), crowd(), target=TRACE, seed=1)
    with pytest.raises(TwinError, match="what each target adds"):
        privacy.audit(honest, crowd, targets=TRACE, seed=1)
    with pytest.raises(TwinError, match="a release with dims"):
        privacy.audit(lambda data, number: TRACE.sum("origin"), lambda inside: None, targets=TRACES, releases=2, seed=1)
    with pytest.raises(TwinError, match="2 releases or more"):
        privacy.membership(honest, crowd(), crowd(), target=TRACE, releases=1, seed=1)
    with pytest.raises(TwinError, match="a release with dims"):
        privacy.membership(lambda data, number: TRACE.sum("origin"), crowd(), crowd(), target=TRACE, releases=2, seed=1)


# ---------------------------------------------------------------- suppression


def test_small_cells_are_left_empty():
    found = privacy.k_anonymous(with_target(3), k=5, over=OVER)
    people = with_target(3).drop_duplicates(["subscriber", *PAIR]).groupby(list(PAIR)).size()
    for pair, count in people.items():
        cell = float(found.loc[pair])
        assert cell == count if count >= 5 else np.isnan(cell)
    for k in (1, 2.5, True):
        with pytest.raises(TwinError, match="a whole number k from 2"):
            privacy.k_anonymous(exact(crowd()), k=k)
    with pytest.raises(TwinError, match="all its labels"):
        privacy.k_anonymous(crowd(), k=5)
    with pytest.raises(TwinError, match="counts of 0 or more"):
        privacy.k_anonymous(exact(crowd()) - 99, k=5)
