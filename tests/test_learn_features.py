"""Features, leaks, importance, drift: what a model may know, what it goes by, and when the world has moved."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError
from twinkit.learn import (
    DomainWarning,
    by_group,
    calendar,
    calibrated,
    cautious,
    domain,
    drift,
    importance,
    lags,
    leaks,
    mae,
    partial_dependence,
    refuse_leaks,
    rolled,
    rolling_origin,
    sound,
    table,
)

TIME = np.arange("2026-03-02", "2026-03-30", dtype="datetime64[h]").astype("datetime64[ns]")


def traffic(seed=1):
    rng = np.random.default_rng(seed)
    step = np.arange(len(TIME))
    noise = np.zeros(len(TIME))
    for t in range(1, len(TIME)):
        noise[t] = 0.6 * noise[t - 1] + rng.normal(0, 0.3)
    return xr.DataArray(5 + 2 * np.sin(step * 2 * np.pi / 24) + noise, {"time": TIME}, ("time",), name="traffic")


# ---------------------------------------------------------------- features


def test_features_of_a_moment_do_not_change_with_what_comes_after():
    load = traffic()
    other = load.copy()
    other[400:] = 99.0
    for made in (lambda a: lags(a, steps=[24, 168]), lambda a: rolled(a, window=24, delay=24)):
        a, b = (made(v).isel(time=slice(0, 424)) for v in (load, other))
        assert a.identical(b)
        assert not made(load).isel(time=424).identical(made(other).isel(time=424))


def test_features_stay_lazy():
    lazy = traffic().chunk(time=100)
    assert lags(lazy, steps=[1]).traffic_lag_1.chunks
    assert rolled(lazy, window=5, delay=1).chunks
    assert np.allclose(rolled(lazy, window=5, delay=1), rolled(traffic(), window=5, delay=1), equal_nan=True)


def test_the_calendar_knows_the_local_clock_and_holidays():
    day = calendar(TIME, offset=5.5, holidays=["2026-03-04"])
    moments = pd.DatetimeIndex(TIME) + pd.Timedelta("5.5h")
    assert (day.weekday.values == moments.day_of_week).all()
    assert np.allclose(day.hour, moments.hour + 0.5)
    assert (day.holiday.values == (moments.date == pd.Timestamp("2026-03-04").date())).all()


def test_a_table_has_a_row_for_each_place():
    made = table(xr.Dataset({"a": ("time", [1.0, 2.0]), "b": ("cell", ["x", "y", "z"])}, {"cell": [1, 2, 3]}))
    assert made.shape == (6, 2)
    assert made.loc[(1, 2), "b"] == "y"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: lags(traffic(), steps=[0]), "the answer itself"),
        (lambda: lags(traffic(), steps=[-1]), "the future"),
        (lambda: lags(xr.DataArray([1.0], dims="x"), steps=[1]), "along 'time'"),
        (lambda: rolled(traffic(), window=24, delay=0), "knows the answer"),
        (lambda: rolled(traffic(), window=3, delay=1, statistic="sum"), "a statistic among"),
        (lambda: calendar([1, 2]), "moments in datetime64"),
        (lambda: table({"a": [np.nan, np.nan]}), "'a' missing in every row"),
        (lambda: table(xr.Dataset({"a": 1.0})), "features along a dim"),
        (lambda: table(np.ones(3)), "rows of features"),
        (lambda: table(pd.DataFrame([[1, 2]], columns=["a", "a"])), "'a' twice"),
    ],
)
def test_features_refused(ask, said):
    with pytest.raises(TwinError, match=said):
        ask()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.isel(time=[0, 2, 1]), "a step back"),
        (lambda a: a.isel(time=[0, 1, 1]), "twice"),
        (lambda a: 0 * a, "0 throughout"),
        (lambda a: a.where(False), "none in the series"),
        (lambda a: -a, "found -"),
        (lambda a: a.where(a.time < TIME[300], a * 1e3), "from 2026-03-14T12"),
        (lambda a: a.where(a.time < TIME[600], a / 60), "a level about 0.01"),
        (lambda a: xr.concat([a, 0 * a], pd.Index(["x", "y"], name="cell")), "0 throughout of cell y"),
    ],
)
def test_series_unfit_to_learn_from_are_refused(change, said):
    with pytest.raises(TwinError, match=said):
        sound(change(traffic()), low=0)


@pytest.mark.parametrize("seed", range(5))
def test_sound_series_pass(seed):
    rng = np.random.default_rng(seed)
    growing = traffic(seed) * np.exp(np.linspace(0, 2.5, len(TIME)))
    bursts = traffic(seed) * np.where(rng.random(len(TIME)) < 0.05, 80, 1)
    nights = traffic(seed).where(traffic(seed) > 4, 0.01)
    for series in (traffic(seed), growing, bursts, nights):
        assert sound(series, low=0) is series


# ---------------------------------------------------------------- leaks


def kinds(found):
    return {(f.feature, f.kind) for f in found}


@pytest.mark.parametrize("seed", range(6))
def test_honest_features_of_a_series_are_left_in_peace(seed):
    load = traffic(seed)
    rows = xr.merge([lags(load, steps=[1, 24, 168]), rolled(load, window=24, delay=1), calendar(load.time)])
    weather = np.random.default_rng(seed + 100).normal(size=len(TIME)).cumsum()
    rows["weather"] = load.copy(data=weather - np.r_[np.zeros(24), weather[:-24]])
    assert not leaks(rows, load, time=TIME)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("centred", lambda a: a.rolling(time=5, center=True).mean()),
        ("next", lambda a: a.shift(time=-1)),
        ("tomorrow", lambda a: a.shift(time=-24)),
        ("noisy next", lambda a: a.shift(time=-1) + 0.2 * np.random.default_rng(9).normal(size=a.size)),
        ("maximum of what follows", lambda a: a[::-1].rolling(time=3).max()[::-1].shift(time=-1)),
    ],
)
def test_a_feature_that_knows_the_future_is_found(seed, name, made):
    load = traffic(seed)
    rows = xr.Dataset({"fair": load.shift(time=1), name: made(load)})
    assert kinds(leaks(rows, load, time=TIME)) == {(name, "future")}


def test_the_answer_itself_is_found_along_time_and_without():
    load = traffic()
    rows = xr.Dataset({"copy": 1024 * load + 3, "fair": load.shift(time=1)})
    assert ("copy", "copy") in kinds(leaks(rows, load, time=TIME))
    assert kinds(leaks({"log": np.exp(load.values)}, load.values)) == {("log", "copy")}


def test_copies_of_a_part_and_identifiers_are_found():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 200)
    rows = {
        "second copy": np.where(np.arange(200) < 150, label, np.nan),
        "asked where connected": np.where(label == 1, rng.normal(size=200), np.nan),
        "row": np.arange(200),
        "id": [f"x{i}" for i in range(200)],
        "fair": rng.normal(size=200),
    }
    found = kinds(leaks(rows, label))
    want = {("second copy", "copy"), ("asked where connected", "absence"), ("row", "identifier"), ("id", "identifier")}
    assert found == want


def test_what_both_sides_of_a_split_share_is_found():
    rng = np.random.default_rng(1)
    site = np.repeat(np.arange(20), 10)
    rows, y = rng.normal(size=(200, 2)), rng.normal(size=200)
    rows[5] = rows[199]
    wrong = by_group(np.arange(200), folds=4, seed=1)
    found = leaks(rows, y, folds=wrong, groups=site)
    assert {f.kind for f in found} == {"repeated row", "shared group"}
    assert not leaks(rows[6:], y[6:], folds=by_group(site[6:], folds=4, seed=1), groups=site[6:])
    late = leaks(rows, y, folds=wrong, time=TIME[:200])
    assert "later row" in {f.kind for f in late}
    good = rolling_origin(TIME[6:200], origins=TIME[100:150:24], horizon="24h")
    assert not leaks(rows[6:], y[6:], folds=good, time=TIME[6:200])
    with pytest.raises(TwinError, match="split by group"):
        refuse_leaks(rows, y, folds=wrong, groups=site)


def test_the_second_label_in_the_schools_of_botswana_is_found(testdata):
    frame = pd.read_csv(testdata("giga-botswana/ValData_uncorrelated_with_aux.csv"))
    found = leaks(frame.drop(columns=["connectivity"]), frame["connectivity"])
    assert found[0].feature == "connectivity.1"
    assert ("giga_id_school", "identifier") in kinds(found)


@pytest.mark.parametrize(
    ("target", "said"), [(np.zeros(20), "a target that changes"), (np.arange(19.0), "a target for each row")]
)
def test_leaks_refuses(target, said):
    with pytest.raises(TwinError, match=said):
        leaks(np.ones((20, 1)), target)


# ---------------------------------------------------------------- what a model goes by


def law(frame):
    return 3 * frame["a"].to_numpy() + frame["b"].to_numpy()


def rows(count=400, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(count, 3)), columns=["c", "b", "a"])


def test_importance_orders_features_and_is_what_theory_says():
    found = importance(
        rows(20_000), law(rows(20_000)), model=law, score=lambda y, p: float(((y - p) ** 2).mean()), seed=1
    )
    assert found.feature.values.tolist() == ["a", "b", "c"]
    assert found.dims == ("feature", "quantile")
    # a permuted feature adds twice its variance times its weight squared
    assert np.allclose(found.sel(quantile=0.5), [18.0, 2.0, 0.0], rtol=0.05)


def test_importance_agrees_with_scikit_learn():
    inspection = pytest.importorskip("sklearn.inspection")
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(rows(), law(rows()))
    theirs = inspection.permutation_importance(
        model, rows(), law(rows()), scoring="neg_mean_absolute_error", n_repeats=40, random_state=1
    )
    ours = importance(rows(), law(rows()), model=model, score=mae, draws=40, seed=1).sel(feature=["c", "b", "a"])
    assert np.allclose(ours.sel(quantile=0.5), theirs.importances_mean, rtol=0.05, atol=1e-9)


def test_twins_are_needed_together():
    frame = rows()
    frame["twin"] = frame["a"]
    both = lambda f: 1.5 * f["a"].to_numpy() + 1.5 * f["twin"].to_numpy()  # noqa: E731 - one line says it
    alone = importance(frame, both(frame), model=both, seed=1)
    joined = importance(frame, both(frame), model=both, together=[["a", "twin"]], seed=1)
    assert joined.feature.values[0] == "a + twin"
    assert float(joined[0, 1]) > 1.8 * float(alone.sel(feature="a")[1])


def test_within_groups_what_only_tells_groups_apart_is_worth_nothing():
    frame = rows()
    frame["group"] = np.repeat([0.0, 5.0], 200)
    told = importance(frame, frame["group"], model=lambda f: f["group"], groups=np.repeat([0, 1], 200), seed=1)
    assert float(abs(told).max()) == 0


def test_partial_dependence_agrees_with_scikit_learn():
    inspection = pytest.importorskip("sklearn.inspection")
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(rows(), law(rows()))
    theirs = inspection.partial_dependence(model, rows(), ["a"], kind="individual", method="brute", grid_resolution=7)
    at = theirs["grid_values"][0]
    ours = partial_dependence(rows(), model=model, feature="a", values=at)
    assert np.allclose(ours.sel(quantile=0.5), np.median(theirs["individual"][0], axis=0))
    assert ours.dims == ("quantile", "a")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: importance(rows(), np.zeros(3), model=law, seed=1), "a target for each row"),
        (lambda: importance(rows(), law(rows()), model=law, draws=1, seed=1), "two draws"),
        (lambda: importance(rows(), law(rows()), model=law, together=[["z"]], seed=1), "'z'"),
        (lambda: importance(rows(), law(rows()), model=law, seed=-1), "a seed of 0 or more"),
        (lambda: partial_dependence(rows(), model=law, feature="z"), "'z'"),
        (lambda: partial_dependence({"t": ["x", "y"]}, model=law, feature="t"), "a feature of text"),
    ],
)
def test_explaining_refuses(ask, said):
    with pytest.raises(TwinError, match=said):
        ask()


# ---------------------------------------------------------------- drift and domain


def test_drift_is_the_distance_of_smirnov_with_few_false_alarms():
    from scipy.stats import ks_2samp

    a, b = rows(seed=1), rows(seed=2)
    found = drift(a, b)
    for name in a:
        assert float(found.sel(feature=name)) == pytest.approx(ks_2samp(a[name], b[name]).statistic)
    alarms = sum(bool(drift(rows(100, seed=n), rows(100, seed=n + 500), alarm=0.05).drifted.any()) for n in range(200))
    assert alarms <= 18, "5 % of 200 are 10"


def test_drift_sees_a_shift_more_missing_values_and_new_words():
    before = pd.DataFrame({"shift": rows()["a"], "gone": rows()["b"], "word": ["x", "y"] * 200, "same": rows()["c"]})
    now = before.assign(
        shift=before["shift"] + 1, gone=before["gone"].where(np.arange(400) > 100), word=["y", "z"] * 200
    )
    found = drift(before, now)
    assert set(found.feature.values[found.drifted.values]) == {"shift", "gone", "word"}


def test_drift_refuses_other_units_and_features():
    a = xr.Dataset({"load": ("cell", np.arange(30.0), {"units": "1"})})
    with pytest.raises(TwinError, match="unit %"):
        drift(a, a.assign(load=a["load"].assign_attrs(units="%")))
    with pytest.raises(TwinError, match="no 'load'"):
        drift(a, {"traffic": [1.0]})


def test_a_domain_knows_its_rows_and_a_hole_in_their_midst():
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 1000)
    ring = pd.DataFrame({"x": np.cos(angle), "y": np.sin(angle)}) + 0.05 * rng.normal(size=(1000, 2))
    known = domain(ring, rng.normal(size=1000))
    assert (known.distance(ring) > 1).mean() < 0.02
    assert known.distance({"x": [0.0, 1.0, 9.0], "y": [0.0, 0.0, 0.0]}).round().tolist()[1] == 0
    far = known.distance({"x": [0.0, 9.0], "y": [0.0, 0.0]})
    assert 1 < far[0] < far[1]


def test_far_outside_there_is_a_warning_and_a_wide_interval():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (500, 1))
    y = 10 * x[:, 0] + rng.normal(0, 0.1, 500)
    known, margin = domain(x, y), calibrated(y, 10 * x[:, 0], quantile=[0.05, 0.5, 0.95])
    new = np.array([[0.5], [5.0]])
    said = margin.around(10 * np.clip(new[:, 0], 0, 1))  # trees say the edge's value for ever
    with pytest.warns(DomainWarning, match="1 of 2 rows"):
        wide = cautious(said, known.distance(new), known=known)
    assert (wide[:, 0] == said[:, 0]).all()
    assert float(wide[2, 1] - wide[0, 1]) > 9.0
    assert (np.diff(wide.values, axis=0) >= 0).all()
    with pytest.warns(DomainWarning):
        assert float(cautious(said, known.distance(new), known=known, low=0.0).min()) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cautious(said[:, :1], known.distance(new[:1]), known=known).identical(said[:, :1])


def test_a_category_never_seen_is_far_outside():
    rng = np.random.default_rng(1)
    kind = np.resize(["macro", "small cell"], 100)
    known = domain({"kind": kind, "load": rng.uniform(0, 1, 100)}, rng.uniform(0, 1, 100))
    assert np.isinf(known.distance({"kind": ["balloon", "macro"], "load": [0.5, 0.5]})).tolist() == [True, False]
    said = xr.DataArray([[0.4], [0.6]], {"quantile": [0.05, 0.95]}, ("quantile", "row"))
    with pytest.warns(DomainWarning):
        wide = cautious(said, [np.inf], known=known)
    assert np.isfinite(wide).all()
    assert (wide[1] - wide[0]).item() > 0.9


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: domain(rows(10), np.ones(10)), "20 rows or more"),
        (lambda: cautious(xr.DataArray([1.0], dims="row"), [1.0], known=None), r"dims \(quantile, row\)"),
        (lambda: domain(rows(), law(rows())).distance({"a": [1.0]}), "no 'c'"),
    ],
)
def test_domain_refuses(ask, said):
    with pytest.raises(TwinError, match=said):
        ask()
