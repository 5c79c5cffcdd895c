"""Estimates against exact answers: Bayes' rule, one large regression, and a second way to the same update."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError, network
from twinkit.assimilate import (
    ensemble,
    estimate,
    filtered,
    finite_size,
    forecast,
    gaspari_cohn,
    innovation,
    interpolated,
    letkf,
    particle,
    perturbed,
    smoothed,
    spread,
    square_root,
    update,
)
from twinkit.assimilate import local as local_module
from twinkit.assimilate.localise import neighbours
from twinkit.assimilate.lorenz import DAY, EPOCH, lorenz96, sakov2008
from twinkit.assimilate.transform import _transformed, rotation

CELLS = ["a", "b", "c", "d", "e"]


def stay(state, dt, forcing, rng):
    return state


def decay(state, dt, forcing, rng):
    """A linear model in which neighbours mix; a member dim broadcasts."""
    kept = np.exp(-dt / 7200)
    load = state["load"]
    return state.assign(load=kept * (0.8 * load + 0.2 * load.roll(cell=1, roll_coords=False)))


def noisy(state, dt, forcing, rng):
    load = state["load"]
    return state.assign(load=load + 0.02 * np.sqrt(dt / 900) * rng.standard_normal(load.shape))


def first(**coords):
    return xr.Dataset({"load": ("cell", [0.1, 0.3, 0.5, 0.7, 0.9])}, {"cell": CELLS, "time": EPOCH, **coords})


def series(cycles, *, seed=1, cells=CELLS, every="15min"):
    rng = np.random.default_rng(seed)
    times = pd.date_range(pd.Timestamp(EPOCH) + pd.Timedelta(every), periods=cycles, freq=every)
    values = 0.5 + 0.1 * rng.standard_normal((cycles, len(cells)))
    return xr.DataArray(values, {"time": times, "cell": cells}, ("time", "cell"), name="load")


# ---------------------------------------------------------------- localisation


def test_the_taper_is_smooth_and_ends_where_it_says():
    z = np.linspace(0, 12, 24001)
    weight = gaspari_cohn(z, radius=10.0)
    assert weight[0] == 1
    assert (weight[z >= 10] == 0).all()
    assert (np.diff(weight) <= 1e-15).all()
    slope = np.diff(weight) / np.diff(z)
    assert np.abs(np.diff(slope)).max() < 1e-3, "a kink"


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_taper_is_a_correlation_function(axes):
    places = np.random.default_rng(1).uniform(0, 30, (200, axes))
    distance = np.linalg.norm(places[:, None] - places, axis=-1)
    assert np.linalg.eigvalsh(gaspari_cohn(distance, radius=12.0)).min() > -1e-10


@pytest.mark.parametrize("period", [None, (50.0, np.inf), (50.0, 40.0)])
def test_neighbours_are_those_within_the_radius(period):
    rng = np.random.default_rng(2)
    places, sensors = rng.uniform(0, 40, (60, 2)), rng.uniform(0, 40, (25, 2))
    near = neighbours(places, sensors, radius=9.0, period=period)
    apart = np.abs(places[:, None] - sensors)
    if period:
        apart = np.minimum(apart, np.where(np.isfinite(period), np.array(period) - apart, np.inf))
    weight = gaspari_cohn(np.linalg.norm(apart, axis=-1), radius=9.0)
    for i in range(60):
        row = slice(near.start[i], near.start[i + 1])
        wanted = np.flatnonzero(weight[i] > 1e-3)
        assert near.sensor[row].tolist() == wanted.tolist()
        assert np.allclose(near.root[row] ** 2, weight[i][wanted])


# ---------------------------------------------------------------- the methods against Bayes' rule


def exact(prior, operator, observed, noise):
    """Mean and covariance of the posterior of a Gaussian with the ensemble's moments."""
    mean, covariance = prior.mean(0), np.cov(prior.T)
    total = operator @ covariance @ operator.T + np.diag(noise**2)
    gain = np.linalg.solve(total, operator @ covariance).T
    return mean + gain @ (observed - operator @ mean), covariance - gain @ operator @ covariance


@pytest.mark.parametrize("sensors", [1, 3, 30])
@pytest.mark.parametrize("rotate", [False, True])
def test_the_square_root_is_exact(sensors, rotate):
    rng = np.random.default_rng(3)
    prior = rng.normal(size=(12, 4)) @ rng.normal(size=(4, 4))
    operator, noise = rng.normal(size=(sensors, 4)), rng.uniform(0.3, 2, sensors)
    observed = rng.normal(size=sensors)
    weights = square_root(rotate=rotate)(prior @ operator.T, observed, noise, rng)
    assert np.allclose(weights.sum(1), 1)
    posterior = weights @ prior
    mean, covariance = exact(prior, operator, observed, noise)
    assert np.allclose(posterior.mean(0), mean)
    assert np.allclose(np.cov(posterior.T), covariance)


@pytest.mark.parametrize("sensors", [2, 4000])
def test_perturbed_observations_are_exact_for_many_members(sensors):
    rng = np.random.default_rng(4)
    prior = rng.normal(size=(3000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    operator = np.eye(2) if sensors == 2 else np.full((sensors, 2), 0.5) + 0.1 * rng.normal(size=(sensors, 2))
    noise = np.full(sensors, 0.7 if sensors == 2 else 40.0)
    observed = operator @ np.array([1.0, -1.0]) + noise * rng.normal(size=sensors)
    posterior = perturbed()(prior @ operator.T, observed, noise, rng) @ prior
    mean, covariance = exact(prior, operator, observed, noise)
    assert np.allclose(posterior.mean(0), mean, atol=1e-10), "perturbations have no mean"
    assert np.allclose(np.cov(posterior.T), covariance, atol=0.05)


def test_particles_follow_bayes_rule_where_nothing_is_gaussian():
    rng = np.random.default_rng(5)
    prior = rng.exponential(size=(20000, 1))
    posterior = particle()(prior**2, np.array([2.0]), np.array([0.5]), rng) @ prior
    x = np.linspace(0, 12, 20001)
    density = np.exp(-x - 0.5 * ((2 - x**2) / 0.5) ** 2)
    mean = (x * density).sum() / density.sum()
    assert posterior.mean() == pytest.approx(mean, abs=0.01)
    assert posterior.var() == pytest.approx(((x - mean) ** 2 * density).sum() / density.sum(), rel=0.1)


def test_jitter_makes_copies_differ_and_keeps_the_mean():
    rng = np.random.default_rng(6)
    prior = rng.normal(size=(2000, 1))
    plain = particle()(prior, np.array([3.0]), np.array([0.1]), np.random.default_rng(1)) @ prior
    spread_out = particle(jitter=0.3)(prior, np.array([3.0]), np.array([0.1]), np.random.default_rng(1)) @ prior
    assert len(np.unique(plain)) < 100 < len(np.unique(spread_out))
    assert spread_out.mean() == pytest.approx(plain.mean(), abs=0.02)


def test_the_finite_size_filter_inflates_what_the_readings_contradict():
    rng = np.random.default_rng(7)
    prior = 0.1 * rng.normal(size=(10, 3))
    near = finite_size(rotate=False)(prior, prior.mean(0), np.full(3, 0.1), rng) @ prior
    far = finite_size(rotate=False)(prior, np.full(3, 2.0), np.full(3, 0.1), rng) @ prior
    plain = square_root()(prior, np.full(3, 2.0), np.full(3, 0.1), rng) @ prior
    assert far.std() > 1.3 * near.std()
    assert np.abs(2 - far.mean()) < 0.5 * np.abs(2 - plain.mean()), "without inflation the readings are not believed"


@pytest.mark.parametrize("members", [2, 7, 24, 50])
@pytest.mark.parametrize("thinned", [1, 13])
@pytest.mark.parametrize("scale", [0.3, 30.0, 3000.0])
def test_the_local_kernel_is_the_square_root_at_every_place(members, thinned, scale):
    rng = np.random.default_rng(8)
    places = np.arange(40.0)[:, None]
    near = neighbours(places, places[::thinned], radius=9.0, period=(40.0,))
    prior = scale * rng.normal(size=(2, members, 40))
    predicted, turn = prior[0][:, ::thinned], rotation(members, rng)
    observed, noise = rng.normal(size=predicted.shape[1]), rng.uniform(0.5, 2, predicted.shape[1])
    noise[0] = np.inf
    method = letkf(radius=9.0, along="x", inflation=1.04)
    found = method.updated(prior, near, predicted, observed, noise, turn)
    for i in range(40):
        row = slice(near.start[i], near.start[i + 1])
        heard = near.sensor[row]
        sigma = noise[heard] / near.root[row]
        weights = _transformed(predicted[:, heard], observed[heard], sigma, 1.0, 1.04 if len(heard) else 1.0, turn)
        assert np.allclose(found[:, :, i], np.einsum("ij,vj->vi", weights, prior[:, :, i]), atol=1e-10 * scale)


# ---------------------------------------------------------------- labels


def test_readings_are_matched_by_label_whatever_their_order():
    state = ensemble(first(), members=30, spread=0.2, seed=1)
    seen = xr.DataArray([0.2, 0.8], {"cell": ["d", "b"]}, "cell", name="load")
    turned = seen.isel(cell=[1, 0])
    one, two = update(state, seen, noise=0.1), update(state, turned, noise=0.1)
    assert np.allclose(one["load"], two["load"])
    mean = one["load"].mean("member")
    assert abs(float(mean.sel(cell="b")) - 0.8) < abs(0.8 - 0.3)
    assert abs(float(mean.sel(cell="d")) - 0.2) < abs(0.7 - 0.2)


def test_a_silent_sensor_is_as_none():
    state = ensemble(first(), members=30, spread=0.2, seed=1)
    seen = xr.DataArray([0.2, np.nan, 0.8], {"cell": ["a", "b", "c"]}, "cell", name="load")
    for method in (square_root(), letkf(radius=1.5, along="place"), finite_size(rotate=False)):
        here = state.assign_coords(place=("cell", np.arange(5.0)))
        with_gap = update(here, seen, noise=0.1, method=method)
        without = update(here, seen.isel(cell=[0, 2]), noise=0.1, method=method)
        assert np.allclose(with_gap["load"], without["load"], atol=1e-12)
    nothing = update(state, seen * np.nan, noise=0.1)
    assert nothing.identical(state)


def test_sensors_see_what_observe_says():
    state = ensemble(first(), members=400, spread=0.2, seed=1)
    seen = xr.Dataset({"total": ((), 4.0), "load": ("cell", [0.15])}, {"cell": ["a"]})

    def observe(state):
        return xr.Dataset({"total": state["load"].sum("cell"), "load": state["load"].sel(cell=["a"])})

    after = update(state, seen, noise={"total": 0.01, "load": 0.05}, observe=observe)
    assert float(after["load"].mean("member").sum()) == pytest.approx(4.0, abs=0.02)
    assert float(after["load"].mean("member").sel(cell="a")) < float(state["load"].mean("member").sel(cell="b"))
    row = innovation(state, seen, noise={"total": 0.01, "load": 0.05}, observe=observe)
    assert row["sensor"].values.tolist() == ["total", "load a"]


def test_a_function_of_ones_own_is_a_method():
    def believe(predicted, observed, noise, rng):
        """Copies of the member nearest to the readings."""
        best = np.abs(predicted - observed).sum(1).argmin()
        return np.eye(len(predicted))[np.full(len(predicted), best)]

    state = ensemble(first(), members=9, spread=0.2, seed=1)
    seen = state["load"].isel(member=4, drop=True)
    after = update(state, seen, noise=0.1, method=believe)
    assert np.array_equal(after["load"], np.broadcast_to(seen, (9, 5)))


def test_other_dims_and_orders_change_nothing():
    rng = np.random.default_rng(9)
    grid = xr.Dataset(
        {"rain": (("member", "y", "x"), rng.normal(size=(8, 6, 5))), "bias": ("member", rng.normal(size=8))},
        {"y": np.arange(6.0), "x": np.arange(5.0), "time": EPOCH},
    )
    seen = grid["rain"].isel(member=0, drop=True, y=[1, 4], x=[0, 2, 3]) + 0.5
    method = letkf(radius=3.0, rotate=True)
    plain = update(grid, seen, noise=0.3, method=method)
    turned = update(grid.transpose("x", "member", "y"), seen, noise=0.3, method=method)
    assert turned["rain"].dims == ("x", "member", "y")
    assert np.allclose(turned["rain"].transpose(*plain["rain"].dims), plain["rain"], atol=1e-12)
    levels = grid.assign(
        rain=xr.concat([grid["rain"], 2 * grid["rain"]], "level").transpose("member", "y", "level", "x")
    )
    both = update(
        levels, seen, noise=0.3, method=method, observe=lambda s: s["rain"].isel(level=0).sel(y=seen.y, x=seen.x)
    )
    assert np.allclose(both["rain"].isel(level=1).transpose(*plain["rain"].dims), 2 * plain["rain"], atol=1e-12)


def test_nothing_is_changed_in_place():
    state, seen = ensemble(first(), members=9, spread=0.2, seed=1), series(3)
    before, was = state.copy(deep=True), seen.copy(deep=True)
    for method in (perturbed(), square_root(inflation=1.1), finite_size(), particle(jitter=0.2)):
        estimate(state, stay, seen, noise=0.1, seed=1, method=method)
    assert state.identical(before)
    assert seen.identical(was)


# ---------------------------------------------------------------- the same bytes


@pytest.mark.parametrize("method", [perturbed(), letkf(radius=3.0, along="place", rotate=True), particle(jitter=0.1)])
def test_the_loop_is_forecast_and_update_in_turn(method):
    here = first(place=("cell", np.arange(5.0)))
    seen = series(12).assign_coords(place=("cell", np.arange(5.0)))
    seen[3, 2], seen[5] = np.nan, np.nan
    state = ensemble(here, members=10, spread=0.1, seed=1)
    record, last = estimate(state, noisy, seen, noise=0.1, seed=4, dt=400, method=method)
    for k in range(12):
        state = forecast(state, noisy, until=seen.time[k], seed=4, dt=400)
        state = update(state, seen.isel(time=k), noise=0.1, seed=4, method=method)
        assert np.array_equal(record["load"][k], state["load"].mean("member")) or np.allclose(
            record["load"][k], state["load"].mean("member"), rtol=1e-14
        )
    assert np.array_equal(last["load"], state["load"])
    assert last["time"] == state["time"]
    _one, middle = estimate(
        ensemble(here, members=10, spread=0.1, seed=1), noisy, seen[:5], noise=0.1, seed=4, dt=400, method=method
    )
    _two, end = estimate(middle, noisy, seen[5:], noise=0.1, seed=4, dt=400, method=method)
    assert np.array_equal(end["load"], last["load"]), "a run may be broken off and taken up"


def test_any_number_of_workers_gives_the_same_bytes(monkeypatch):
    rng = np.random.default_rng(10)
    side = 70
    axis = np.arange(float(side))
    state = xr.Dataset(
        {"rain": (("member", "y", "x"), rng.normal(size=(6, side, side)).astype("f4"))}, {"y": axis, "x": axis}
    )
    seen = state["rain"].isel(member=0, drop=True, y=slice(None, None, 7), x=slice(None, None, 9)) + 1
    monkeypatch.setattr(local_module, "BLOCK", 500)
    found = []
    for workers in (1, 2, 5):
        monkeypatch.setattr(local_module.os, "cpu_count", lambda workers=workers: workers)
        found.append(update(state, seen, noise=0.5, method=letkf(radius=15.0, rotate=True), seed=3))
    assert found[0].identical(found[1])
    assert found[0].identical(found[2])
    assert found[0]["rain"].dtype == np.float32
    for method in (letkf(radius=15.0, rotate=True), square_root(inflation=1.1)):
        lazy = update(state.chunk({"y": 20, "x": 35}), seen, noise=0.5, method=method, seed=3)
        assert lazy["rain"].chunks is not None, "lazy in, lazy out"
        eager = update(state, seen, noise=0.5, method=method, seed=3)
        assert np.allclose(lazy["rain"], eager["rain"], atol=2e-6)


def test_seeds_are_streams_in_time():
    state = ensemble(first(), members=9, spread=0.2, seed=1)
    one, two = series(2)[0], series(2)[1]
    a = update(forecast(state, stay, until=one.time, seed=1), one, noise=0.1, method=perturbed(), seed=1)
    b = update(forecast(state, stay, until=one.time, seed=1), one, noise=0.1, method=perturbed(), seed=1)
    c = update(
        forecast(state, stay, until=two.time, seed=1),
        one.assign_coords(time=two.time),
        noise=0.1,
        method=perturbed(),
        seed=1,
    )
    assert a.identical(b)
    assert not np.array_equal(a["load"], c["load"]), "the same perturbations at another time"


# ---------------------------------------------------------------- time


def test_readings_may_come_at_any_time():
    def wild(state, dt, forcing, rng):
        load = state["load"]
        return state.assign(load=load + 0.1 * np.sqrt(dt / 900) * rng.standard_normal(load.shape))

    seen = series(6).isel(time=[0, 1, 4, 5])
    record, _ = estimate(ensemble(first(), members=200, spread=0.1, seed=1), wild, seen, noise=0.1, seed=1, dt=900)
    assert record.sizes["time"] == 4
    # a forecast's variance between readings: what the update left, and 0.01 for each quarter of an hour
    left, doubt = record["load_spread"].mean("cell").values, record["innovation_spread"].mean("sensor").values
    for k, quarters in ((1, 1), (2, 3), (3, 1)):
        assert doubt[k] ** 2 == pytest.approx(left[k - 1] ** 2 + 0.01 * quarters + 0.01, rel=0.1)
    lengths = []

    def counting(state, dt, forcing, rng):
        lengths.append(dt)
        return state

    estimate(ensemble(first(), members=20, spread=0.1, seed=1), counting, seen, noise=0.1, seed=1, dt=600)
    assert sum(lengths) == pytest.approx(6 * 900)
    assert max(lengths) <= 600


def test_a_parameter_is_estimated_with_the_state():
    truth = sakov2008(cycles=500, seed=3)
    state = ensemble(truth.first, members=40, spread=1.0, seed=1)
    state = state.assign(force=("member", 6.5 + np.random.default_rng(1).normal(size=40)))
    record, _ = estimate(
        state, lorenz96, truth.seen, noise=1.0, seed=1, method=square_root(inflation=1.02, rotate=True)
    )
    assert abs(float(record["force"][0]) - 8) > 0.5
    assert float(record["force"][-100:].mean()) == pytest.approx(8.0, abs=0.15)
    assert abs(float(record["force"][-1]) - 8) < 4 * float(record["force_spread"][-1])


# ---------------------------------------------------------------- the Kalman filter against one large regression


def regression(matrix, seen, start, deviation, noise, growth):
    """All states at once: the normal equations of the whole series, which no recursion enters."""
    cycles, n = seen.shape
    rows, right = [np.zeros((n, n * (cycles + 1)))], [start / deviation]
    rows[0][:, :n] = np.eye(n) / deviation
    for k in range(1, cycles + 1):
        link = np.zeros((n, n * (cycles + 1)))
        link[:, n * k : n * (k + 1)], link[:, n * (k - 1) : n * k] = np.eye(n) / growth, -matrix / growth
        rows.append(link)
        right.append(np.zeros(n))
        heard = np.isfinite(seen[k - 1])
        look = np.zeros((heard.sum(), n * (cycles + 1)))
        look[:, n * k : n * (k + 1)] = np.eye(n)[heard] / noise
        rows.append(look)
        right.append(seen[k - 1][heard] / noise)
    a, b = np.vstack(rows), np.concatenate(right)
    covariance = np.linalg.inv(a.T @ a)
    return (covariance @ a.T @ b).reshape(cycles + 1, n), np.sqrt(np.diag(covariance)).reshape(cycles + 1, n)


def test_filter_and_smoother_are_the_regression_of_all_readings():
    seen = series(10)
    seen[3] = np.nan
    seen[5, 1] = np.nan
    run = filtered(first(), decay, seen, spread=0.2, noise=0.1, model_noise=0.05 / 30)
    kept = np.exp(-900 / 7200)
    matrix = kept * (0.8 * np.eye(5) + 0.2 * np.roll(np.eye(5), 1, axis=0))
    mean, doubt = regression(matrix, seen.values, first()["load"].values, 0.2, 0.1, 0.05)
    back = smoothed(run)
    assert np.allclose(back["load"], mean[1:], atol=1e-8)
    assert np.allclose(back["load_spread"], doubt[1:], atol=1e-8)
    # a filter's last state has seen all that the regression has
    assert np.allclose(run["load"][-1], mean[-1], atol=1e-8)
    assert np.allclose(run["load_spread"][-1], doubt[-1], atol=1e-8)
    early, _ = regression(matrix, seen.values[:5], first()["load"].values, 0.2, 0.1, 0.05)
    assert np.allclose(run["load"][4], early[-1], atol=1e-8), "what was believed then"


def test_the_ensemble_comes_near_the_kalman_filter():
    seen = series(15)
    run = filtered(first(), decay, seen, spread=0.2, noise=0.1, model_noise=0.0)
    state = ensemble(first(), members=2000, spread=0.2, seed=1)
    for method in (perturbed(), square_root()):
        record, _ = estimate(state, decay, seen, noise=0.1, seed=1, method=method)
        assert np.allclose(record["load"], run["load"], atol=0.01)
        assert np.allclose(record["load_spread"], run["load_spread"], rtol=0.15)
        assert np.allclose(record["nis"], run["nis"], rtol=0.15)


def test_the_extended_filter_and_the_ensemble_follow_a_town():
    peak = xr.DataArray(np.linspace(0.4, 0.9, 5), {"cell": CELLS}, "cell")
    typical = network.demand(peak)
    rng = np.random.default_rng(1)
    state, now, rows = xr.Dataset({"load": typical(EPOCH)}), pd.Timestamp(EPOCH), []
    for _ in range(60):
        state = network.step(state, 900.0, typical(now), rng)
        now += pd.Timedelta("15min")
        rows.append(state["load"].values)
    truth = series(60).copy(data=np.array(rows))
    seen = truth + 0.05 * rng.standard_normal(truth.shape)
    start = xr.Dataset({"load": typical(EPOCH)}).assign_coords(time=EPOCH)
    record, _ = estimate(
        ensemble(start, members=60, spread=0.05, seed=1), network.step, seen, noise=0.05, seed=1, forcing=typical
    )
    quiet = filtered(
        start.assign(wander=0.0),
        network.step,
        seen,
        spread={"load": 0.05},
        noise=0.05,
        model_noise=0.045 / 30,
        forcing=typical,
    )
    raw = float(np.sqrt(((seen - truth) ** 2).mean()))
    for run in (record, quiet):
        error = float(np.sqrt(((run["load"] - truth) ** 2).mean()))
        assert error < 0.85 * raw
        assert 0.6 < float((run["innovation"] / run["innovation_spread"]).var()) < 1.5


def test_interpolation_is_the_kalman_update_from_the_climate():
    rng = np.random.default_rng(11)
    climate = xr.Dataset(
        {"load": (("time", "cell"), rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)))}, {"cell": CELLS}
    )
    seen = series(3)
    seen[1, 2] = np.nan
    found = interpolated(climate, seen, noise=0.4)
    prior = climate["load"].values
    for k in range(3):
        heard = np.isfinite(seen.values[k])
        mean, covariance = exact(prior, np.eye(5)[heard], seen.values[k][heard], np.full(heard.sum(), 0.4))
        assert np.allclose(found["load"][k], mean)
        assert np.allclose(found["load_spread"][k], np.sqrt(np.diag(covariance)))


# ---------------------------------------------------------------- size


def large(side, members, sensors):
    rng = np.random.default_rng(12)
    axis = 100.0 * np.arange(side)
    values = rng.standard_normal((members, side, side), dtype=np.float32)
    state = xr.Dataset({"rain": (("member", "y", "x"), values)}, {"y": axis, "x": axis})
    iy, ix = (xr.DataArray(rng.integers(0, side, sensors), dims="sensor") for _ in range(2))
    seen = state["rain"].isel(member=0, drop=True).isel(y=iy, x=ix) * 0 + 2
    return state, seen, lambda s: s["rain"].isel(y=iy, x=ix), (iy, ix)


@pytest.mark.parametrize("side", [150, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_large_state_fits_and_runs(side):
    import resource

    state, seen, observe, (iy, ix) = large(side, 50, side * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    after = update(state, seen, noise=0.5, observe=observe, method=letkf(radius=5e3))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 4 * state.nbytes + 2e8
    mean = after["rain"].mean("member")
    assert float(mean.isel(y=iy, x=ix).mean()) == pytest.approx(2 * 1 / 1.25, abs=0.25)
    assert float(spread(after)["rain"].mean()) < float(spread(state)["rain"].mean())


# ---------------------------------------------------------------- what is refused


STATE = ensemble(first(), members=5, spread=0.1, seed=1)
SEEN = xr.DataArray([0.2], {"cell": ["b"]}, "cell", name="load")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: update(first(), SEEN, noise=0.1), "dim member"),
        (lambda: update(STATE["load"], SEEN, noise=0.1), "a Dataset as state"),
        (lambda: update(STATE, SEEN.rename("lod"), noise=0.1), "did you mean 'load'"),
        (lambda: update(STATE, SEEN.rename(None), noise=0.1), "named readings"),
        (lambda: update(STATE, SEEN.assign_coords(cell=["z"]), noise=0.1), "found 'z'"),
        (lambda: update(STATE, SEEN.drop_vars("cell"), noise=0.1), "without labels"),
        (lambda: update(STATE, SEEN / 0.0, noise=0.1), "finite readings"),
        (lambda: update(STATE, SEEN, noise=0.0), "positive standard deviation"),
        (lambda: update(STATE, SEEN, noise={"traffic": 1.0}), "noise of 'load'"),
        (lambda: update(STATE, SEEN.expand_dims(site=["s"]), noise=0.1), "readings of 'load' on cell"),
        (lambda: update(STATE, SEEN.assign_coords(time=np.datetime64("2031-01-01")), noise=0.1), "a forecast for"),
        (lambda: update(STATE, SEEN, noise=0.1, method="letkf"), "a method"),
        (lambda: update(STATE, SEEN, noise=0.1, method=lambda p, o, n, r: np.eye(3)), "weights of shape"),
        (lambda: update(STATE, SEEN, noise=0.1, method=letkf(radius=5.0)), "a position"),
        (lambda: update(STATE, SEEN, noise=0.1, observe=lambda s: 3.0), "from observe"),
        (lambda: update(STATE.astype(int), SEEN, noise=0.1), "floating-point"),
        (lambda: update(STATE, series(2), noise=0.1), "readings of one time"),
        (lambda: forecast(STATE, stay, until=np.datetime64("1999-01-01"), seed=1), "a time not before"),
        (lambda: forecast(STATE.drop_vars("time"), stay, until=EPOCH, seed=1), "scalar coordinate time"),
        (lambda: forecast(STATE, stay, until="soon", seed=1), "one time"),
        (lambda: forecast(STATE, stay, until=np.datetime64("2001-01-01"), seed=-1), "a seed"),
        (lambda: estimate(STATE, stay, series(3)[::-1], noise=0.1, seed=1), "in the order of time"),
        (lambda: estimate(STATE, lambda s, dt, f, r: s / 0.0, series(3), noise=0.1, seed=1), "finite values"),
        (lambda: estimate(STATE, stay, SEEN, noise=0.1, seed=1), "readings with a dim time"),
        (lambda: filtered(STATE, stay, series(3), spread=0.1, noise=0.1, model_noise=0.0), "without member"),
        (lambda: filtered(first(), noisy, series(3), spread=0.1, noise=0.1, model_noise=0.0), "without random numbers"),
        (lambda: smoothed(STATE), "what assimilate.filtered gives"),
        (lambda: ensemble(first(), members=1, spread=0.1, seed=1), "at least two members"),
        (lambda: ensemble(first(), members=3, spread=-0.1, seed=1), "spread of zero or more"),
        (lambda: ensemble(first(), members=3, spread={"traffic": 1.0}, seed=1), "found 'traffic'"),
        (lambda: letkf(radius=0.0), "positive radius"),
        (lambda: letkf(radius=5.0, period={"z": 3.0}), "found 'z'"),
        (lambda: square_root(inflation=0.0), "positive inflation"),
        (lambda: particle(jitter=-1.0), "jitter"),
        (lambda: interpolated(first(), SEEN, noise=0.1), "many states"),
    ],
)
def test_bad_input_is_one_clear_error(call, said):
    with pytest.raises(TwinError, match=said):
        call()


def test_days_are_seconds():
    assert DAY == 86400.0
