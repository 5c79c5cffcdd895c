"""Conformal intervals keep what they claim, for whatever model, within groups, and along time."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError
from twinkit.learn import Margin, adaptive, by_group, calibrated, coverage, out_of_fold, width


def inside(said, truth):
    return coverage(truth, said.values[0], said.values[-1])


def test_the_share_inside_is_what_theory_says_over_many_calibrations():
    # with n errors the mean coverage lies between the level and the level + 2/(n+1)
    found = []
    for n in range(150):
        rng = np.random.default_rng(n)
        margin = calibrated(rng.standard_t(3, 60), np.zeros(60), quantile=[0.05, 0.95])
        found.append(inside(margin.around(np.zeros(500)), rng.standard_t(3, 500)))
    assert 0.9 <= np.mean(found) <= 0.9 + 2 / 61 + 0.01


def test_a_margin_is_the_order_statistic_that_the_paper_names():
    error = np.random.default_rng(1).permutation(np.arange(1.0, 20.0))  # 19 errors, 1 to 19
    margin = calibrated(error, np.zeros(19), quantile=[0.05, 0.95])
    assert margin.offset.tolist() == [1.0, 19.0]
    assert calibrated(np.arange(1.0, 40.0), np.zeros(39), quantile=[0.05, 0.95]).offset.tolist() == [2.0, 38.0]
    with pytest.raises(TwinError, match="19 errors or more"):
        calibrated(error[:18], np.zeros(18), quantile=[0.05, 0.95])


def test_agrees_with_mapie():
    regression = pytest.importorskip("mapie.regression")
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 2))
    y = x[:, 0] + rng.normal(size=400)
    model = LinearRegression().fit(x[:200], y[:200])
    peer = regression.SplitConformalRegressor(model, confidence_level=0.9, prefit=True)
    peer.conformalize(x[200:300], y[200:300])
    _, theirs = peer.predict_interval(x[300:])
    ours = calibrated(y[200:300], model.predict(x[200:300]), quantile=[0.05, 0.95], symmetric=True)
    said = ours.around(model.predict(x[300:]))
    assert np.allclose(said.values[0], theirs[:, 0, 0])
    assert np.allclose(said.values[1], theirs[:, 1, 0])


def test_by_group_the_share_holds_within_each_group():
    rng = np.random.default_rng(1)
    group = rng.integers(0, 2, 4000)
    error = rng.normal(size=4000) * np.array([1.0, 5.0])[group]
    old, new = slice(0, 2000), slice(2000, None)
    plain = calibrated(error[old], np.zeros(2000), quantile=[0.05, 0.95])
    each = calibrated(error[old], np.zeros(2000), quantile=[0.05, 0.95], groups=group[old])
    said = each.around(np.zeros(2000), groups=group[new])
    for g in (0, 1):
        mine = group[new] == g
        assert inside(said[:, mine], error[new][mine]) == pytest.approx(0.9, abs=0.03)
    assert inside(plain.around(np.zeros(2000))[:, group[new] == 1], error[new][group[new] == 1]) < 0.86


def test_a_group_never_seen_takes_the_margin_of_all():
    margin = calibrated(np.arange(40.0), np.zeros(40), quantile=[0.05, 0.95], groups=["a"] * 30 + ["b"] * 10)
    assert (margin.around([0.0], groups=["?"]).values[:, 0] == margin.offset).all()
    assert (margin.around([0.0], groups=["b"]).values[:, 0] == margin.offset).all(), "ten are too few"
    assert (margin.around([0.0], groups=["a"]).values[:, 0] != margin.offset).any()


def test_a_spread_makes_it_wide_where_it_should_be():
    rng = np.random.default_rng(1)
    size = rng.uniform(0.5, 5, 4000)
    error = size * rng.normal(size=4000)
    plain = calibrated(error[:2000], np.zeros(2000), quantile=[0.05, 0.95]).around(np.zeros(2000))
    margin = calibrated(error[:2000], np.zeros(2000), quantile=[0.05, 0.95], spread=size[:2000])
    said = margin.around(np.zeros(2000), spread=size[2000:])
    wild = size[2000:] > 4
    assert inside(said[:, wild], error[2000:][wild]) > 0.86 > inside(plain[:, wild], error[2000:][wild])
    assert width(said[0], said[1]) < width(plain[0], plain[1])


def test_wrong_quantiles_of_a_model_are_put_right():
    rng = np.random.default_rng(1)
    y = rng.gamma(2, 2, 3000)
    wrong = xr.DataArray(np.tile([[1.0], [3.0]], (1, 3000)), {"quantile": [0.1, 0.9]}, ("quantile", "row"))
    margin = calibrated(y[:1500], wrong[:, :1500], quantile=[0.1, 0.9])
    assert inside(margin.around(wrong[:, 1500:]), y[1500:]) == pytest.approx(0.8, abs=0.03)


def test_labels_and_dims_come_through():
    p = xr.DataArray(np.zeros((2, 3)), {"cell": ["a", "b"]}, ("cell", "time"))
    said = Margin((0.1, 0.5, 0.9), np.array([-1.0, 0.0, 2.0])).around(p)
    assert said.dims == ("quantile", "cell", "time")
    assert said.sel(quantile=0.9, cell="b").values.tolist() == [2.0] * 3


def test_errors_on_learned_rows_promise_too_much_and_those_out_of_fold_do_not():
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 3))
    y = x[:, 0] + rng.normal(size=600)
    old, new = slice(0, 300), slice(300, None)
    tree = DecisionTreeRegressor(max_depth=8, random_state=0).fit(x[old], y[old])
    folds = by_group(np.arange(300), folds=5, seed=1)
    honest = out_of_fold(lambda: DecisionTreeRegressor(max_depth=8, random_state=0), x[old], y[old], folds=folds)
    vain = calibrated(y[old], tree.predict(x[old]), quantile=[0.05, 0.95]).around(tree.predict(x[new]))
    kept = calibrated(y[old], honest, quantile=[0.05, 0.95]).around(tree.predict(x[new]))
    assert inside(vain, y[new]) < 0.7
    assert inside(kept, y[new]) > 0.86


def test_adaptive_keeps_its_share_through_a_change_and_a_frozen_margin_does_not():
    rng = np.random.default_rng(1)
    size = np.r_[np.ones(600), np.full(600, 4.0)]
    seen = xr.DataArray(size[:, None] * rng.normal(size=(1200, 2)), dims=("time", "cell"))
    said = adaptive(seen, 0 * seen, quantile=[0.05, 0.95], window=200)
    assert said.dims == ("quantile", "time", "cell")
    late = slice(700, None)
    share = coverage(seen[late], said[0][late], said[1][late], dim="time")
    assert (abs(share - 0.9) < 0.05).all()
    frozen = calibrated(seen.values[:600].ravel(), np.zeros(1200), quantile=[0.05, 0.95])
    assert inside(frozen.around(np.zeros(1000)), seen.values[late].ravel()) < 0.5


def test_adaptive_uses_nothing_that_is_not_known_yet():
    rng = np.random.default_rng(1)
    seen = xr.DataArray(rng.normal(size=200), dims="time")
    other = seen.copy()
    other[100:] = 50.0
    a, b = (adaptive(s, 0 * s, quantile=[0.1, 0.9], delay=24) for s in (seen, other))
    assert np.array_equal(a[:, :124], b[:, :124], equal_nan=True)
    assert (a[:, 124:] != b[:, 124:]).any()


def test_adaptive_lives_with_gaps():
    seen = xr.DataArray(np.random.default_rng(1).normal(size=300), dims="time")
    said = adaptive(seen.where(np.arange(300) % 3 > 0), 0 * seen, quantile=[0.1, 0.9])
    assert np.isfinite(said[:, 50:]).all()


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: calibrated(np.ones(30), np.zeros(30), quantile=[0.9, 0.1]), "ascending quantiles"),
        (lambda: calibrated(np.ones(30), np.zeros(30), quantile=[0, 1]), "between 0 and 1"),
        (lambda: calibrated(np.ones(30), np.zeros(29)), "as many observations"),
        (lambda: calibrated(np.ones(30), np.full(30, np.nan)), "a prediction in every row"),
        (lambda: calibrated(np.ones(30), np.zeros(30), spread=np.zeros(30)), "a spread above 0"),
        (lambda: calibrated(np.arange(30), np.zeros(30)).around([np.nan]), "1 missing"),
        (lambda: calibrated(np.arange(30), np.zeros(30)).around([0.0], spread=[1.0]), "no spread"),
        (lambda: calibrated(np.arange(30), np.zeros(30), groups=["a"] * 30).around([0.0]), "a group for each row"),
        (lambda: adaptive(xr.DataArray([1.0], dims="time"), xr.DataArray([1.0], dims="cell")), "both along"),
        (
            lambda: out_of_fold(
                None, np.ones((4, 1)), np.ones(4), folds=[by_group([1, 2, 3, 4])[0]._replace(test=[1])]
            ),
            "what they have not learned",
        ),
    ],
)
def test_refused(ask, said):
    with pytest.raises(TwinError, match=said):
        ask()
