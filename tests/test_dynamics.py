"""The one loop: exact on models with known answers, reproducible on any workers, and stopped at the first fault."""

import functools

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError, stamp
from twinkit.dynamics import generators, simulate

LEVEL = xr.Dataset({"level": ("tank", [1.0, 2.0])}, {"tank": ["a", "b"]})


def decay(state, dt, forcing, rng):
    return state * (1 - 0.1 * dt)


def walk(state, dt, forcing, rng):
    return state + rng.normal(size=state["level"].shape) * np.sqrt(dt)


def test_the_loop_is_the_recursion():
    run = simulate(decay, LEVEL, steps=7, dt=1.0, seed=1)
    np.testing.assert_allclose(run.level, np.array([1.0, 2.0]) * 0.9 ** np.arange(8)[:, None])
    assert run.level.dims == ("time", "tank")
    assert run.time.values[3] == np.timedelta64(3, "s")
    assert run.tank.values.tolist() == ["a", "b"]


def test_a_finer_step_converges_on_the_exact_answer():
    errors = []
    for steps in (100, 200, 400):
        run = simulate(decay, LEVEL, steps=steps, dt=10 / steps, seed=1, every=steps)
        errors.append(abs(float(run.level[-1, 0]) - np.exp(-1)))
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 2, rtol=0.02)


def test_time_follows_the_state_or_the_times_given():
    start = LEVEL.assign_coords(time=np.datetime64("2026-03-01T00:00", "ns"))
    run = simulate(decay, start, steps=2, dt=900, seed=1)
    assert run.time.values[-1] == np.datetime64("2026-03-01T00:30")
    uneven = pd.Timestamp("2026-01-01") + pd.to_timedelta([0, 1, 3], unit="s")
    run = simulate(decay, LEVEL, times=uneven, seed=1)
    np.testing.assert_allclose(run.level[:, 0], [1, 0.9, 0.9 * 0.8])
    assert list(run.time.values) == list(uneven.values)


def test_forcing_holds_from_its_time_on():
    def filled(state, dt, forcing, rng):
        return state + forcing["inflow"] * dt

    times = pd.date_range("2026-01-01", periods=5, freq="1s")
    inflow = xr.Dataset({"inflow": ("time", [1.0, 10.0])}, {"time": times[[0, 2]]})
    run = simulate(filled, LEVEL, times=times, forcing=inflow, seed=1)
    np.testing.assert_allclose(run.level[:, 0], [1, 2, 3, 13, 23])
    lazy = simulate(filled, LEVEL.chunk(), times=times, forcing=inflow.chunk(), seed=1)
    xr.testing.assert_identical(run, lazy)
    with pytest.raises(TwinError, match="forcing from 2026-01-01"):
        simulate(filled, LEVEL, times=times, forcing=inflow.isel(time=[1]), seed=1)
    with pytest.raises(TwinError, match="sortby"):
        simulate(filled, LEVEL, times=times, forcing=inflow.isel(time=[1, 0]), seed=1)
    with pytest.raises(TwinError, match="over time that has passed"):
        simulate(filled, LEVEL, steps=2, dt=1, forcing=inflow, seed=1)
    with pytest.raises(TwinError, match="a float"):
        simulate(filled, LEVEL, steps=2, dt=1, forcing=3.0, seed=1)


def test_every_so_manieth_and_the_last_are_kept():
    run = simulate(decay, LEVEL, steps=10, dt=1, seed=1, every=4)
    assert (run.time.values / np.timedelta64(1, "s")).tolist() == [0, 4, 8, 10]
    np.testing.assert_allclose(run.level[:, 0], 0.9 ** np.array([0, 4, 8, 10]))
    assert simulate(decay, LEVEL, steps=0, dt=1, seed=1).sizes["time"] == 1


def test_units_are_not_lost_in_arithmetic():
    state = xr.Dataset(
        {"temperature": stamp(xr.DataArray([[20.0]], dims=("time", "site")), "temperature").isel(time=0)}
    )
    state["level"] = ("site", [1.0], {"units": "m3"})
    run = simulate(lambda s, dt, f, r: s * 1.0, state, steps=2, dt=1, seed=1)
    assert run.temperature.attrs["units"] == "degC"
    assert run.temperature.attrs["given_by"] == "twinkit.dynamics.simulate"
    assert run.level.attrs["units"] == "m3"


def test_integers_become_floats_where_the_model_makes_them_so():
    state = xr.Dataset({"queue": ("cell", [3, 4])})
    assert simulate(lambda s, dt, f, r: s + 1, state, steps=2, dt=1, seed=1).queue.dtype.kind == "i"
    assert simulate(lambda s, dt, f, r: s * 0.5, state, steps=2, dt=1, seed=1).queue.values[-1].tolist() == [0.75, 1.0]


# ---------------------------------------------------------------- randomness


def test_same_seed_same_bytes_and_another_seed_others():
    one, two, other = (simulate(walk, LEVEL, steps=20, dt=1, seed=s) for s in (1, 1, 2))
    xr.testing.assert_identical(one, two)
    assert not np.allclose(one.level[1:], other.level[1:])


def test_a_step_has_its_stream_whatever_was_drawn_before():
    def lazy_first(state, dt, forcing, rng):
        first = float(state["level"][0]) == 1.0
        return state + (0.5 if first else rng.normal())

    one = simulate(lazy_first, LEVEL, steps=2, dt=1, seed=1).level[2, 0] - 1.5
    two = simulate(lambda s, dt, f, rng: s + rng.normal(), LEVEL, steps=2, dt=1, seed=1).level
    assert float(one) == pytest.approx(float(two[2, 0] - two[1, 0]))


MEMBERS = LEVEL.expand_dims(member=6).copy()


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_members_are_the_same_on_any_workers(scheduler):
    with dask.config.set(scheduler=scheduler, num_workers=3):
        run = simulate(walk, MEMBERS, steps=5, dt=1, seed=1, over="member")
    with dask.config.set(scheduler="synchronous"):
        again = simulate(walk, MEMBERS, steps=5, dt=1, seed=1, over="member")
    xr.testing.assert_identical(run, again)
    assert run.level.dims == ("time", "member", "tank")
    assert len(np.unique(run.level[-1, :, 0])) == 6


def test_member_three_is_the_same_in_a_larger_ensemble():
    few = simulate(walk, MEMBERS, steps=5, dt=1, seed=1, over="member")
    many = simulate(walk, LEVEL.expand_dims(member=11).copy(), steps=5, dt=1, seed=1, over="member")
    np.testing.assert_array_equal(few.level, many.level.isel(member=slice(6)))


def test_members_on_two_processes(workers):
    # a worker cannot import this file, so the step goes as a value
    step = lambda state, dt, forcing, rng: state + rng.normal(size=state["level"].shape)  # noqa: E731
    with dask.config.set(scheduler=workers):
        run = simulate(step, MEMBERS, steps=5, dt=1, seed=1, over="member", progress=False)
    xr.testing.assert_identical(run, simulate(step, MEMBERS, steps=5, dt=1, seed=1, over="member"))


def test_each_member_may_have_its_own_forcing():
    forcing = xr.Dataset(
        {"rain": (("member", "time"), np.arange(6.0)[:, None])}, {"time": pd.to_timedelta([0], unit="s")}
    )
    run = simulate(lambda s, dt, f, r: s + f["rain"], MEMBERS, steps=2, dt=1, forcing=forcing, seed=1, over="member")
    np.testing.assert_allclose(run.level[-1, :, 0], 1 + 2 * np.arange(6.0))


def test_members_need_a_dim_that_every_variable_has():
    with pytest.raises(TwinError, match="a dim among tank; found 'member'"):
        simulate(walk, LEVEL, steps=1, dt=1, seed=1, over="member")
    with pytest.raises(TwinError, match="'clock' without it"):
        simulate(walk, MEMBERS.assign(clock=0.0), steps=1, dt=1, seed=1, over="member")


def test_streams_do_not_depend_on_their_number():
    assert generators(3, 2)[1].random() == generators(3, 50)[1].random()
    assert len({g.random() for g in generators(3, 50)}) == 50


# ---------------------------------------------------------------- faults


def in_place(state, dt, forcing, rng):
    state["level"].data *= 0.5
    return state


STEPS = {
    "one dim more": (lambda s, dt, f, r: s.expand_dims(draw=3), "draw: 3"),
    "one tank less": (lambda s, dt, f, r: s.isel(tank=[0]), r"found \(tank: 1\)"),
    "a variable less": (lambda s, dt, f, r: s.drop_vars("level"), "no 'level'"),
    "a variable more": (lambda s, dt, f, r: s.assign(flow=1.0), "'flow' as well"),
    "an array": (lambda s, dt, f, r: s["level"], "a DataArray"),
    "nothing": (lambda s, dt, f, r: None, "a NoneType"),
    "NaN": (lambda s, dt, f, r: s.where(s > 1.5), "nan at tank a after step 1"),
    "infinity": (lambda s, dt, f, r: s / 0, "inf at tank a after step 1"),
    "in place": (in_place, "a state changed in place"),
    "three parameters": (lambda s, dt, f: s, r"step\(state, dt, forcing, rng\)"),
    "no function": ("decay", "a function step"),
}


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("case", STEPS)
def test_a_faulty_step_is_stopped_and_named(case):
    step, said = STEPS[case]
    before = LEVEL.copy(deep=True)
    with pytest.raises(TwinError, match=said):
        simulate(step, LEVEL, steps=3, dt=1, seed=1)
    xr.testing.assert_identical(LEVEL, before)


def test_a_late_fault_names_its_step():
    def breaks(state, dt, forcing, rng):
        return state * np.where(state["level"] > 3, np.nan, 2)

    with pytest.raises(TwinError, match="after step 2"):
        simulate(breaks, LEVEL, steps=9, dt=1, seed=1)


def test_what_was_unknown_may_stay_unknown():
    holed = xr.Dataset({"level": ("tank", [1.0, np.nan])})
    run = simulate(decay, holed, steps=2, dt=1, seed=1)
    assert np.isnan(run.level[:, 1]).all()


CALLS = {
    "neither": ({}, "neither"),
    "both": ({"steps": 1, "dt": 1, "times": pd.date_range("2026", periods=2)}, "times, steps, dt"),
    "half": ({"steps": 1}, "found steps"),
    "backwards": ({"times": pd.date_range("2026", periods=3)[::-1]}, "times that ascend"),
    "words": ({"times": ["now", "then"]}, "times as datetime64"),
    "zero": ({"steps": 1, "dt": 0}, "dt from"),
    "negative": ({"steps": -1, "dt": 1}, "steps from 0"),
    "seed": ({"steps": 1, "dt": 1, "seed": "x"}, "a seed of 0 or more"),
    "every": ({"steps": 1, "dt": 1, "every": 0}, "every from 1"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_bad_call_is_refused(case):
    choices, said = CALLS[case]
    with pytest.raises(TwinError, match=said):
        simulate(decay, LEVEL, **{"seed": 1, **choices})
    if case == "neither":
        with pytest.raises(TwinError, match="a DataArray"):
            simulate(decay, LEVEL["level"], steps=1, dt=1, seed=1)


def test_a_long_run_shows_its_progress(monkeypatch, capsys):
    monkeypatch.setattr("twinkit.dynamics.PATIENCE", -1.0)
    simulate(decay, LEVEL, steps=50, dt=1, seed=1)
    assert "100%" in capsys.readouterr().err
    simulate(decay, LEVEL, steps=50, dt=1, seed=1, progress=False)
    assert capsys.readouterr().err == ""
    partial = functools.partial(simulate, walk, MEMBERS, steps=2, dt=1, seed=1, over="member")
    partial(progress=False)
    assert capsys.readouterr().out == ""
