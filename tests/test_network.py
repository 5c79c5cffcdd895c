"""The load on cells: its statistics, its rhythm, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError, network
from twinkit.dynamics import simulate

MONDAY = np.datetime64("2026-03-02", "ns")
HOUR = np.timedelta64(60, "m")
PEAK = xr.DataArray([0.3, 0.6, 0.9], {"cell": ["a", "b", "c"]}, "cell")


def start(**variables):
    state = xr.Dataset({"load": 0.5 * PEAK / PEAK, **variables})
    return state.assign_coords(time=MONDAY)


def constant(load):
    def typical(time):
        return 0 * PEAK + load

    return typical


def test_the_week_has_a_trough_a_peak_and_a_quieter_end():
    week = network.rhythm(MONDAY + np.arange(7 * 24 * 4) * (HOUR / 4))
    days = week.reshape(7, 96)
    assert np.allclose(days[1], days[2])
    assert 0.1 < days.min() < 0.2
    assert days[0].max() == pytest.approx(1.0, abs=0.01)
    assert 1 <= days[2].argmin() / 4 <= 6
    assert 18 <= days[2].argmax() / 4 <= 21
    assert days[5].max() == pytest.approx(0.85, abs=0.01)
    assert np.abs(np.diff(week)).max() < 0.06, "a jump within a quarter of an hour"
    assert np.abs(week[0] - network.rhythm(MONDAY + 7 * 24 * HOUR)) < 1e-12, "a week comes back"


def test_rhythm_takes_times_of_any_kind():
    times = pd.date_range("2026-03-02", periods=3, freq="6h")
    values = network.rhythm(times.to_numpy())
    assert network.rhythm(times[1]) == values[1]
    labelled = network.rhythm(xr.DataArray(times, dims="time"))
    assert labelled.dims == ("time",)
    assert np.array_equal(labelled, values)


def test_local_time_is_utc_and_a_shift():
    here, there = network.demand(PEAK), network.demand(PEAK, hours=5.5)
    assert here(MONDAY + 11 * HOUR).identical(there(MONDAY + 5 * HOUR + HOUR / 2))
    assert float(here(MONDAY + 19 * HOUR).max()) == pytest.approx(0.9, abs=0.01)


def test_load_wanders_about_its_typical_value_as_it_says():
    state = xr.Dataset({"load": ("member", np.full(20000, 0.5))}, {"time": MONDAY})
    run = simulate(network.step, state, steps=24, dt=900, forcing=lambda time: xr.DataArray(0.6), seed=1)
    odds = np.log(run["load"] / (1 - run["load"]))
    middle = np.log(0.6 / 0.4)
    assert float(odds.isel(time=-1).mean()) == pytest.approx(middle, abs=0.01)
    assert float(odds.isel(time=-1).std()) == pytest.approx(network.WANDER, rel=0.02)
    late = odds.isel(time=slice(-5, None)) - middle
    tie = float((late[0] * late[4]).mean() / (late[0] ** 2).mean())
    assert tie == pytest.approx(np.exp(-4 * 900 / network.MEMORY), abs=0.02)


def test_the_length_of_a_step_does_not_matter():
    quiet = start(wander=0.0)
    coarse = simulate(network.step, quiet, steps=1, dt=7200, forcing=constant(0.8), seed=1)
    fine = simulate(network.step, quiet, steps=24, dt=300, forcing=constant(0.8), seed=1)
    assert np.allclose(coarse["load"].isel(time=-1), fine["load"].isel(time=-1))


def test_growth_moves_demand_and_dims_broadcast():
    grown = start(growth=xr.DataArray([1.0, 1.5], dims="scenario"), wander=0.0)
    grown["load"] = grown["load"].expand_dims(scenario=2)
    run = simulate(network.step, grown, steps=40, dt=900, forcing=constant(0.4), seed=1)
    assert run["load"].dims == ("time", "scenario", "cell")
    assert np.allclose(run["load"].isel(time=-1, cell=0), [0.4, 0.6], atol=1e-3)
    assert np.array_equal(run["growth"].isel(time=-1), [1.0, 1.5])


def test_load_stays_a_share_even_where_a_filter_pushed_it_out():
    state = start().assign(load=PEAK * 0 + [-0.2, 0.5, 1.4])
    run = simulate(network.step, state, steps=50, dt=900, forcing=constant(0.999), seed=1)
    inside = run["load"].isel(time=slice(1, None))
    assert ((inside > 0) & (inside < 1)).all()


def test_a_step_changes_nothing_in_place_and_draws_from_its_generator_alone():
    state = start(wander=0.3)
    before = state.copy(deep=True)
    one = network.step(state, 900.0, PEAK, np.random.default_rng(1))
    two = network.step(state, 900.0, PEAK, np.random.default_rng(1))
    assert one.identical(two)
    assert state.identical(before)
    assert one["load"].dtype == state["load"].dtype
    assert network.step(state.astype("f4"), 900.0, PEAK, np.random.default_rng(1))["load"].dtype == np.float32


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: network.demand([0.5]), "peak load as a DataArray"),
        (lambda: network.demand(PEAK * 2), "peak from 0 to 1"),
        (lambda: network.demand(PEAK, hours=30), "hours from -14"),
        (lambda: network.demand(PEAK, evening=25), "evening from 0"),
        (lambda: network.rhythm(MONDAY, weekend=0.0), "weekend from"),
        (lambda: network.step(start().rename(load="lod"), 900.0, PEAK, None), "a state with 'load'"),
        (lambda: network.step(start(), 900.0, None, None), "typical load as forcing"),
    ],
)
def test_bad_input_is_one_clear_error(call, said):
    with pytest.raises(TwinError, match=said):
        call()
