"""Flow models: laws that follow from their definition, margins, fits that find what was put in."""

import functools

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError
from twinkit.mobility import (
    balanced,
    distances,
    fit_balanced,
    fit_gravity,
    flow_matrix,
    flows,
    gravity,
    radiation,
    records,
    utc,
)

GRAVITY = functools.partial(gravity, total=2e5, exponent=1.6, origin_exponent=0.9, destination_exponent=1.1)


@pytest.fixture(scope="module")
def town():
    return tk.datasets.town(sites=60, seed=3)


def test_radiation_is_what_its_story_gives():
    """People take the nearest offer above the best at home: drawn one by one, without the formula."""
    rng = np.random.default_rng(5)
    population = np.array([3, 5, 2, 4])
    where = np.array([0.0, 1.0, 2.5, 7.0])
    distance = np.abs(where[:, None] - where[None, :])
    draws = 200_000
    for home in range(4):
        best = rng.random((draws, 4)) ** (1.0 / population)  # the largest of so many offers
        order = [j for j in np.argsort(distance[home]) if j != home]
        goes = np.full(draws, -1)
        for j in reversed(order):
            goes[best[:, j] > best[:, home]] = j
        share = np.bincount(goes[goes >= 0], minlength=4) / draws
        law = radiation(population, distance, leaving=1.0)[home]
        np.testing.assert_allclose(share, law, atol=5 * np.sqrt(0.25 / draws))


def test_radiation_of_a_finite_system_sends_everybody_somewhere():
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 30))
    d = np.hypot(x[:, None] - x, y[:, None] - y)
    flow = radiation(rng.integers(1, 1000, 30), d, leaving=np.arange(30.0), finite=True)
    np.testing.assert_allclose(flow.sum(axis=1), np.arange(30.0), rtol=1e-12, atol=1e-12)


def test_balanced_meets_the_margins_to_a_billionth_and_keeps_the_odds(town):
    rng = np.random.default_rng(2)
    seed = gravity(town["places/population"].values, distances(town), total=1e4, exponent=1.0)
    goal = rng.random(seed.shape) * (seed > 0)
    out = balanced(seed, leaving=goal.sum(axis=1), arriving=goal.sum(axis=0))
    np.testing.assert_allclose(out.sum(axis=1), goal.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(out.sum(axis=0), goal.sum(axis=0), rtol=1e-9)
    # what factors of rows and columns cannot change
    odds = out[0, 1] * out[2, 3] / (out[0, 3] * out[2, 1])
    assert odds == pytest.approx(seed[0, 1] * seed[2, 3] / (seed[0, 3] * seed[2, 1]), rel=1e-9)


@pytest.mark.parametrize(
    ("flow", "leaving", "arriving", "says"),
    [
        ([[1, 1], [1, 1]], [1, 2], [1, 3], "as many who arrive"),
        ([[0, 0], [1, 1]], [1, 1], [1, 1], "a way for everybody"),
        ([[1, 0], [1, 1]], [1, 1], [0.5, 1.5], "can be met"),
        ([[1, -1], [1, 1]], [1, 1], [1, 1], "below 0"),
        ([[1, 1]], [1, 1], [1, 1], "2 x 2"),
        ([[1, np.nan], [1, 1]], [1, 1], [1, 1], "NaN"),
        ([[1, 1], [1, 1]], [np.inf, 1], [1, 1], "leaving"),
    ],
)
def test_margins_that_cannot_be_met_are_refused(flow, leaving, arriving, says):
    with pytest.raises(TwinError, match=says):
        balanced(flow, leaving=leaving, arriving=arriving, rounds=200)


def test_a_place_where_nobody_lives_sends_and_draws_nobody():
    d = [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    for flow in (gravity([5, 0, 5], d, total=10, exponent=2), radiation([5, 0, 5], d, leaving=[1, 0, 1])):
        assert np.isfinite(flow).all()
        assert flow[1].sum() == flow[:, 1].sum() == 0
    assert gravity([5, 0, 5], d, total=10, exponent=2).sum() == pytest.approx(10)


@pytest.mark.parametrize(
    ("population", "distance", "says"),
    [
        ([1, -1], [[0, 1], [1, 0]], "population"),
        ([1, 1], [[0, 1]], "2 x 2 distances"),
        ([1, 1], [[0, np.nan], [1, 0]], "distances"),
        ([1, 0], [[0, 1], [1, 0]], "two places with people"),
        ([1, 1], [[0, 0], [0, 0]], "two places with people"),
    ],
)
def test_gravity_refuses(population, distance, says):
    with pytest.raises(TwinError, match=says):
        gravity(population, distance, total=1, exponent=2)


def test_two_places_at_one_spot_do_not_break_gravity():
    flow = gravity([1, 1, 1], [[0, 0, 1], [0, 0, 1], [1, 1, 0]], total=4, exponent=2)
    assert flow[0, 1] == 0
    assert flow[0, 2] == pytest.approx(1)


def test_a_fit_finds_the_exponents_within_its_errors(town):
    """Counts drawn from a known law: the intervals at 95 % hold it about as often as they say."""
    truth = flows(town, model=GRAVITY)
    rng = np.random.default_rng(7)
    inside, inside_balanced = [], []
    for _ in range(40):
        counted = truth.copy(data=rng.poisson(truth).astype(float))
        fit = fit_gravity(town, counted)
        z = (fit.estimate - [np.nan, 0.9, 1.1, 1.6]) / fit.standard_error
        inside += list(np.abs(z.values[1:]) < 1.96)
        fit = fit_balanced(town, counted)
        inside_balanced.append(abs(float(fit.estimate[0]) - 1.6) < 1.96 * float(fit.standard_error[0]))
        np.testing.assert_allclose(fit.flow.sum("origin"), counted.sum("origin"), rtol=1e-9)
    assert np.mean(inside) > 0.88
    assert np.mean(inside_balanced) > 0.85


def test_flows_that_scatter_more_than_people_alone_widen_the_errors(town):
    truth = flows(town, model=GRAVITY)
    rng = np.random.default_rng(7)
    alone = truth.copy(data=rng.poisson(truth).astype(float))
    coaches = truth.copy(data=40.0 * rng.poisson(truth / 40))
    one, many = (fit_gravity(town, c) for c in (alone, coaches))
    assert float(many.dispersion) == pytest.approx(40, rel=0.4)
    assert (many.standard_error > 3 * one.standard_error).all()


def test_the_fit_agrees_with_another_code(town):
    linear_model = pytest.importorskip("sklearn.linear_model")
    truth = flows(town, model=GRAVITY)
    counted = truth.copy(data=np.random.default_rng(1).poisson(truth).astype(float))
    d, m = distances(town), town["places/population"].values
    pairs = ~np.eye(len(m), dtype=bool)
    columns = np.stack(np.broadcast_arrays(np.log(m)[:, None], np.log(m)[None, :], -np.log(np.where(pairs, d, 1))), -1)
    middle = columns[pairs].mean(axis=0)
    peer = linear_model.PoissonRegressor(alpha=0, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    peer.fit(columns[pairs] - middle, counted.values[pairs])
    np.testing.assert_allclose(fit_gravity(town, counted).estimate[1:], peer.coef_, rtol=1e-6)


def test_a_fit_refuses_flows_between_other_places(town):
    other = flow_matrix(np.ones((2, 2)), origin=["u", "v"], destination=["u", "v"], provenance="measured: none")
    with pytest.raises(TwinError, match="the places of the twin"):
        fit_gravity(town, other)
    nobody = flows(town, model=GRAVITY) * 0
    nobody.attrs["units"] = "people"
    for fit in (fit_gravity, fit_balanced):
        with pytest.raises(TwinError):
            fit(town, nobody)


def test_flows_are_balanced_where_margins_are_known(town):
    count = town["places"].sizes["place"]
    leaving = np.arange(1.0, count + 1)
    out = flows(town, model=GRAVITY, leaving=leaving, arriving=leaving[::-1])
    np.testing.assert_allclose(out.sum("destination"), leaving, rtol=1e-9)
    with pytest.raises(TwinError, match="both margins"):
        flows(town, model=GRAVITY, leaving=leaving)


@pytest.mark.parametrize(
    ("people", "ids", "says"),
    [
        (np.ones((2, 3)), ["a", "b"], "shape"),
        (np.ones((2, 2)), ["a", "a"], "twice"),
        (-np.ones((2, 2)), ["a", "b"], "0 people or more"),
        ([["x", "y"], ["z", "w"]], ["a", "b"], "numbers"),
    ],
)
def test_a_flow_matrix_refuses(people, ids, says):
    with pytest.raises(TwinError, match=says):
        flow_matrix(people, origin=ids, destination=ids, provenance="measured: gate")


def test_records_refuse_times_with_a_zone_and_columns_of_two_lengths():
    import pandas as pd

    zoned = np.array([pd.Timestamp("2026-03-02", tz="Asia/Kolkata")], dtype=object)
    for time, says in ((zoned, "zone"), ([1.5], "type"), (["yesterday"], "UTC"), (["NaT"], "without")):
        with pytest.raises(TwinError, match=says):
            tk.mobility.records(["a"], ["c"], time, provenance="measured: none")
    with pytest.raises(TwinError, match="one length"):
        tk.mobility.records(["a", "b"], ["c"], ["2026-03-02"], provenance="measured: none")


@pytest.mark.parametrize(
    ("time", "says"),
    [
        ("2026-03-02T08:00+05:30", "times with a zone"),
        ("2026-03-02T08:00Z", "times with a zone"),
        (np.array([pd.Timestamp("2026-03-02", tz="UTC")], object), "times with a zone"),
        ("9999-03-02T08:00", "years from 9999"),  # nanoseconds would wrap it to 1816
        ("0001-03-02", "years from 1 to 1"),
        ("soon", "soon"),
    ],
)
def test_times_of_records_that_are_none(time, says):
    with pytest.raises(TwinError, match=says):
        records(["a"], ["c"], np.atleast_1d(time), provenance="measured: one")


def test_records_have_a_subscriber():
    for nobody in (None, np.nan):
        with pytest.raises(TwinError, match="a subscriber in every record"):
            records(np.array(["a", nobody], object), ["c", "c"], ["2026-03-02"] * 2, provenance="measured: two")


@pytest.mark.parametrize("date", [None, "NaT", "2026-13-02", "1500-01-01", 5.5j])
def test_a_date_that_is_none(date):
    with pytest.raises(TwinError, match="a date"):
        utc([0.0], date=date, timezone="Asia/Kolkata")


def test_flows_live_in_a_twin(town, tmp_path):
    made = flows(town, model=GRAVITY)
    tk.save(tk.extend(town, flows=made.to_dataset()), tmp_path / "t.twin", message="flows")
    back = tk.open(tmp_path / "t.twin")["flows/flow"]
    xr.testing.assert_allclose(back.compute().drop_attrs(), made.drop_attrs())
