"""Remaining life: nothing of the future is known, intervals keep their word, and strange readings are not answered."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, maintain
from twinkit.maintain.trial import scores


@pytest.fixture(scope="module")
def past():
    return maintain.histories(units=30, seed=1)


@pytest.fixture(scope="module")
def model(past):
    return maintain.learned_life(past.isel(unit=slice(16)), cap=90, age=False, seed=0)


def test_features_know_nothing_of_the_future():
    readings = np.random.default_rng(1).normal(size=(2, 80, 3))
    changed = readings.copy()
    changed[:, 50:] += 100
    before, after = (maintain.features(r, age=True) for r in (readings, changed))
    np.testing.assert_array_equal(before[:, :50], after[:, :50])
    assert (before[:, 50] != after[:, 50]).any()


def test_slopes_are_those_of_a_least_squares_line():
    readings = np.random.default_rng(2).normal(size=(1, 70, 1)) + 1e5
    said = maintain.features(readings, age=False)[0]
    for place, window in enumerate((15, 30, 60), start=4):
        line = np.polyfit(np.arange(window), readings[0, 70 - window :, 0], 1)
        assert said[-1, place] == pytest.approx(line[0], abs=1e-8)


def test_features_pass_over_what_is_missing():
    readings = np.arange(60.0)[None, :, None].copy()
    readings[0, 20:25] = np.nan
    said = maintain.features(readings, age=False)[0]
    assert said[-1, 4] == pytest.approx(1.0)
    assert np.isnan(said[24, 0])  # five steps, all missing
    assert np.isfinite(said[24, 1])


def test_a_unit_near_its_end_is_told_less_than_one_at_its_beginning(past, model):
    fresh = past.isel(unit=slice(20, 30))
    end = fresh.energy_excess.notnull().sum("step").values
    early = maintain.life(model, fresh, at=np.full(10, 20), quantile=[0.1, 0.5, 0.9])
    late = maintain.life(model, fresh, at=end - 2, quantile=[0.1, 0.5, 0.9])
    assert float(late.sel(quantile=0.5).max()) < float(early.sel(quantile=0.5).min())
    assert (late.diff("quantile") >= 0).all()


def test_what_comes_later_does_not_change_what_is_told(past, model):
    fresh = past.isel(unit=slice(20, 30)).drop_vars("ended")
    spoilt = fresh.where(fresh.step <= 40, fresh + 1.0)
    one, two = (maintain.life(model, f, at=np.full(10, 40), quantile=[0.5]) for f in (fresh, spoilt))
    xr.testing.assert_identical(one, two)


def test_a_unit_measured_in_another_unit_gets_the_whole_range(past, model):
    fresh = past.isel(unit=slice(20, 22)).drop_vars("ended")
    odd = fresh.assign(temperature_excess=fresh.temperature_excess * 1000)  # half way from K to mK
    with pytest.warns(UserWarning, match="far outside"):
        told = maintain.life(model, odd, quantile=[0.1, 0.9])
    np.testing.assert_allclose(told.sel(quantile=0.9) - told.sel(quantile=0.1), 0.8 * 90)


def test_same_seed_same_numbers(past):
    one, two = (maintain.learned_life(past.isel(unit=slice(10)), cap=60, age=False, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.predicted, two.predicted)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: p.isel(unit=slice(3)), "10 units or more"),
        (lambda p: p.assign(ended=~p.ended), "units or more that ran"),
        (lambda p: p.map(lambda v: v * 0 + 1 if v.ndim == 2 else v), "readings that change"),
        (lambda p: p.rename(unit="site"), r"readings \(unit, step\)"),
    ],
)
def test_what_cannot_teach_is_refused(past, spoil, said):
    with pytest.raises(TwinError, match=said):
        maintain.learned_life(spoil(past), cap=90, age=False, seed=0)


def test_units_without_readings_and_missing_sensors_are_refused(past, model):
    silent = past.drop_vars("ended").isel(unit=slice(20, 22)) * np.nan
    with pytest.raises(TwinError, match="readings of every unit"):
        maintain.life(model, silent, quantile=[0.5])
    with pytest.raises(TwinError, match="no 'staleness'"):
        maintain.life(model, past.drop_vars("staleness"), quantile=[0.5])


@pytest.mark.parametrize("at", ["now", [1, 2], [0.5] * 30])
def test_steps_that_are_none_are_refused(past, model, at):
    with pytest.raises(TwinError, match="whole steps of"):
        maintain.life(model, past, at=at, quantile=[0.5])


def test_days_that_are_doubled_or_backwards_are_refused(past):
    days = np.array(["2026-03-02", "2026-03-03", "2026-03-03"], "datetime64[ns]")
    health = xr.Dataset(
        {n: (("time", "site"), np.zeros((3, 1)), {"units": u}) for n, u in zip(maintain.HEALTH, "1s1", strict=False)},
        {"time": days, "site": ["a"]},
    )
    health["temperature_excess"] = health.energy_excess.assign_attrs(units="degC")
    with pytest.raises(TwinError, match="one row a day"):
        maintain.remaining_life(health, quantile=[0.5])


def test_lives_told_beat_the_simple_ways_and_intervals_cover():
    told = maintain.told_lives(maintain.histories(units=28, seed=2), cap=90, age=False, folds=2, each=8, last=90)
    found = scores(told)
    assert found["rmse"].value < 0.75 * found["rmse_by_age"].value
    assert 0.8 < found["coverage_90"].value < 0.97


def test_cuts_stay_within_the_last_steps(past):
    at = maintain.cuts(past.isel(unit=past.ended.values), each=5, last=30, seed=0)
    end = past.energy_excess.notnull().sum("step").values[past.ended.values]
    assert (at < end[:, None]).all()
    assert (at >= end[:, None] - 30).all()
    assert all(len(set(row)) == 5 for row in at.tolist())


@pytest.mark.slow
def test_engines_meet_what_the_card_promises(testdata):
    past = maintain.engines(testdata("cmapss-fd001/train_FD001.txt"))
    found = scores(maintain.told_lives(past, cap=125, age=True))
    assert found["rmse"].value <= 11.0
    assert found["rmse"].value < 0.7 * found["rmse_linear"].value
    assert 0.88 < found["coverage_90"].value < 0.95


def test_engines_are_read(testdata):
    past = maintain.engines(testdata("cmapss-fd001/train_FD001.txt"))
    assert past.sizes == {"unit": 100, "step": 362}
    assert int(past.sensor2.notnull().sum()) == 20631


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 1 2\n", "26 numbers"),
        ("a b\n", "rows of numbers"),
        ("\n".join(" ".join([f"1 {c}", *["0"] * 24]) for c in (1, 3)), "cycles 1, 2, 3"),
    ],
)
def test_files_that_are_no_engines_are_refused(tmp_path, text, said):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(TwinError, match=said):
        maintain.engines(tmp_path / "a.txt")
    with pytest.raises(TwinError, match="a file"):
        maintain.engines(tmp_path / "none.txt")


def test_survival_is_the_product_of_kaplan_and_meier():
    rng = np.random.default_rng(3)
    lives, watched = rng.weibull(2, 200) * 100, rng.uniform(20, 150, 200)
    seen, ended = np.minimum(lives, watched), lives <= watched
    curve = maintain.survival(seen, ended)
    by_hand, left = [], 1.0
    for t in np.unique(seen):
        left *= 1 - ((seen == t) & ended).sum() / (seen >= t).sum()
        by_hand.append(left)
    np.testing.assert_allclose(curve.survival.values[1:], by_hand, rtol=1e-12)
    assert (curve.low <= curve.survival + 1e-12).all()
    shape, scale = maintain.weibull(duration=seen, ended=ended)
    truth = maintain.weibull_survival(curve.duration.values, shape=shape, scale=scale)
    # the last few alive make a poor curve
    assert np.abs(truth - curve.survival.values)[curve.at_risk.values >= 20].max() < 0.08


@pytest.mark.parametrize(
    ("lived", "ended", "said"),
    [([1.0, -1], [1, 1], "0 or more"), ([1.0, 2], [0, 0], "ended"), ([1.0], [1, 1], "each unit"), ([1.0], [2], "True")],
)
def test_lives_that_are_none_are_refused(lived, ended, said):
    with pytest.raises(TwinError, match=said):
        maintain.survival(lived, ended)
