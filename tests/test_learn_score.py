"""Scores against other code and against truths that we made; silence is never rewarded."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from twinkit import TwinError
from twinkit.learn import (
    area_under_curve,
    bias,
    bootstrap,
    coverage,
    crps,
    interval_score,
    linear,
    logistic,
    mae,
    mape,
    mase,
    pinball,
    rmse,
    seasonal_naive,
    seasonal_scale,
    width,
    wmape,
)

RNG = np.random.default_rng(7)
Y, P = RNG.gamma(2, 3, 300), RNG.gamma(2, 3, 300)


def test_scores_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    assert rmse(Y, P) == pytest.approx(metrics.root_mean_squared_error(Y, P))
    assert mae(Y, P) == pytest.approx(metrics.mean_absolute_error(Y, P))
    assert mape(Y, P) == pytest.approx(metrics.mean_absolute_percentage_error(Y, P))
    assert pinball(Y, P[None], levels=[0.2]) == pytest.approx(metrics.mean_pinball_loss(Y, P, alpha=0.2))
    score = np.round(P)  # with ties
    assert area_under_curve(Y > 5, score) == pytest.approx(metrics.roc_auc_score(Y > 5, score))


def test_ratios_and_signs():
    assert wmape([0.0, 2.0], [1.0, 2.0]) == 0.5
    assert bias([1.0, 1.0], [3.0, 1.0]) == 1.0
    assert width([0.0], [2.0]) == 2.0


def test_crps_of_many_members_is_that_of_the_normal_law():
    sigma, truth = 2.0, 1.3
    z = truth / sigma
    exact = sigma * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    members = xr.DataArray(RNG.normal(0, sigma, 20_000), dims="member")
    assert crps(truth, members) == pytest.approx(exact, rel=0.02)
    level = np.linspace(0.005, 0.995, 199)
    assert crps(truth, stats.norm.ppf(level, 0, sigma), levels=level) == pytest.approx(exact, rel=0.01)


def test_fair_crps_does_not_depend_on_the_number_of_members():
    truth = xr.DataArray(RNG.normal(size=4000), dims="row")
    few, many = (crps(truth, xr.DataArray(RNG.normal(size=(m, 4000)), dims=("member", "row"))) for m in (2, 40))
    assert few == pytest.approx(many, rel=0.06)


def test_the_interval_score_is_least_for_the_true_quantiles():
    y = RNG.normal(size=20_000)
    at = {w: interval_score(y, np.full(20_000, -w), np.full(20_000, w), level=0.9) for w in (1.2, 1.645, 2.1)}
    assert min(at, key=at.get) == 1.645


def test_the_pinball_loss_is_least_at_the_quantile():
    y = RNG.exponential(size=20_000)
    true = stats.expon.ppf(0.9)
    loss = {w: pinball(y, np.full((1, 20_000), w), levels=[0.9]) for w in (0.8 * true, true, 1.2 * true)}
    assert min(loss, key=loss.get) == true


def test_labels_are_matched_and_dims_are_kept():
    y = xr.DataArray(np.arange(6.0).reshape(2, 3), {"cell": ["a", "b"]}, ("cell", "time"))
    assert rmse(y, (y + np.array([[1], [2]])).transpose("time", "cell"), dim="time").values.tolist() == [1.0, 2.0]
    assert mase(y, y + 1, scale=xr.DataArray([1.0, 2.0], {"cell": ["a", "b"]}, ("cell",))) == 0.75
    said = xr.concat([y - 1, y + 1], dim=xr.DataArray([0.1, 0.9], dims="quantile", name="quantile"))
    assert set(pinball(y, said, dim="time").dims) == {"quantile", "cell"}
    assert coverage(y, said.isel(quantile=0, drop=True), said.isel(quantile=1, drop=True), dim="time").values.min() == 1


def test_what_was_not_observed_is_left_out_and_what_was_not_said_is_refused():
    y = np.array([1.0, np.nan, 3.0])
    assert mae(y, np.array([1.0, np.nan, 4.0])) == 0.5
    assert coverage(y, np.zeros(3), np.array([2.0, 2.0, 2.0])) == 0.5
    with pytest.raises(TwinError, match=r"1 missing.*flatter"):
        mae(y, np.array([1.0, 1.0, np.nan]))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: rmse([np.nan], [1.0]), "something observed"),
        (lambda: rmse([1.0, 2.0], [1.0]), "as many predictions"),
        (lambda: mape([0.0, 1.0], [1.0, 1.0]), "1 zeros.*wmape"),
        (lambda: wmape([0.0], [1.0]), "zeros alone"),
        (lambda: mase([1.0], [1.0], scale=0.0), "a scale above 0"),
        (lambda: seasonal_scale(np.ones(50), season=7), "constant or all-missing"),
        (lambda: seasonal_scale(np.full(50, np.nan), season=7), "constant or all-missing"),
        (lambda: seasonal_scale(np.arange(5.0), season=7), "a season from 1 to 4"),
        (lambda: pinball([1.0], [[1.0]]), "levels for the first axis"),
        (lambda: pinball([1.0], [[1.0], [2.0]], levels=[0.9, 0.1]), "ascending levels"),
        (lambda: crps(1.0, xr.DataArray([1.0], dims="member")), "two members"),
        (lambda: crps([1.0], xr.DataArray([1.0], dims="cell")), "a 'quantile' dim"),
        (lambda: coverage([1.0], [2.0], [0.0]), "1 turned over"),
        (lambda: interval_score([1.0], [0.0], [2.0], level=90), "a level between 0 and 1"),
        (lambda: area_under_curve([1, 1], [0.1, 0.2]), "both 0 and 1"),
        (lambda: area_under_curve([0, 2], [0.1, 0.2]), "observations of 0 and 1"),
        (lambda: area_under_curve([0, 1], [0.1, np.nan]), "a score in every row"),
        (lambda: bootstrap(rmse, [1.0, 2.0], [1.0, 2.0], groups=["a", "a"]), "a single group"),
        (lambda: bootstrap(rmse, [1.0, 2.0], [1.0]), "columns of one length"),
        (lambda: rmse(xr.DataArray([1.0], {"cell": ["a"]}), xr.DataArray([1.0], {"cell": ["b"]})), "the same labels"),
    ],
)
def test_refused(ask, said):
    with pytest.raises(TwinError, match=said):
        ask()


def test_the_cluster_bootstrap_covers_the_truth_where_one_of_rows_does_not():
    def hits(groups):
        count = 0
        for n in range(60):
            rng = np.random.default_rng(n)
            error = rng.normal(size=30)[np.repeat(np.arange(30), 10)] + 0.3 * rng.normal(size=300)
            label = np.repeat(np.arange(30), 10) if groups else None
            told = bootstrap(lambda y, p: float((p - y).mean()), np.zeros(300), error, groups=label, draws=200, seed=n)
            count += told.low <= 0 <= told.high
        return count / 60

    assert hits(groups=True) >= 0.85
    assert hits(groups=False) <= 0.75


def test_a_bootstrap_comes_again_with_its_seed():
    a, b = (bootstrap(mae, Y, P, draws=50, seed=3) for _ in range(2))
    assert a == b
    assert a.low < a.value < a.high


# ---------------------------------------------------------------- baselines

TIME = np.arange("2026-03-01", "2026-03-15", dtype="datetime64[h]").astype("datetime64[ns]")


def weekly():
    values = np.sin(np.arange(336) * 2 * np.pi / 168)[:, None] * [1.0, 2.0]
    return xr.DataArray(values, {"time": TIME, "cell": ["a", "b"]}, ("time", "cell"), name="load")


def test_seasonal_naive_knows_a_season_exactly_and_goes_past_it():
    history = weekly()
    ahead = seasonal_naive(history, horizon=200, season=168)
    step = np.arange(336, 536)
    assert np.allclose(ahead.sel(cell="b"), 2 * np.sin(step * 2 * np.pi / 168))
    assert ahead.time.values[0] == TIME[-1] + np.timedelta64(1, "h")


def test_seasonal_naive_looks_one_season_further_back_where_a_reading_is_missing():
    history = weekly()
    history[330] = np.nan
    assert np.allclose(seasonal_naive(history, horizon=168, season=168), weekly()[:168])


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (weekly().isel(time=slice(None, None, -1)), "go forward"),
        (xr.concat([weekly(), weekly()], dim="time"), "go forward"),
        (weekly().isel(time=[0, 1, 3]), "evenly spaced"),
        (weekly().isel(time=slice(0, 100)), "a season of history"),
        (weekly().rename(time="hour"), "a history along 'time'"),
    ],
)
def test_seasonal_naive_refuses(history, said):
    with pytest.raises(TwinError, match=said):
        seasonal_naive(history, horizon=24, season=168)


def test_linear_baselines_take_missing_features_as_they_come():
    x = RNG.normal(size=(200, 2))
    y = x @ [1.0, -2.0]
    x[::7, 1] = np.nan
    assert rmse(y, linear().fit(x, y).predict(x)) < 1.0
    assert area_under_curve(y > 0, logistic().fit(x, y > 0).predict_proba(x)[:, 1]) > 0.9
