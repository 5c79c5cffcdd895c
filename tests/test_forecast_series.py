import functools

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import forecast, learn
from twinkit.error import TwinError
from twinkit.forecast.series import calendar

HOUR = np.timedelta64(3600, "s")
START = np.datetime64("2025-03-03T00", "ns")
OFF = forecast.holidays("IN", years=[2025], more=["2025-03-14", "2025-03-31", "2025-04-18", "2025-10-20", "2025-11-05"])


def week(hours, *, series=6, seed=1, noise=0.1):
    """Series with a weekly course and noise about it, and the course."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours)
    course = 2 + np.sin(hour * np.pi / 12) + 0.5 * np.cos(hour * np.pi / 84)
    size = rng.uniform(1, 1000, series)
    truth = course[:, None] * size
    read = truth * (1 + noise * rng.standard_normal(truth.shape))
    labels = {"time": START + hour * HOUR, "gate": [f"g{i}" for i in range(series)]}
    return xr.DataArray(read, labels, ("time", "gate")), truth


@pytest.fixture(scope="module")
def year():
    return forecast.passengers_year(stations=30, start="2025-01-01", days=365, holidays=OFF, seed=1)


def last_days(year, *, every):
    origins = np.arange(np.datetime64("2025-10-02"), np.datetime64("2025-12-29"), np.timedelta64(every, "D"))
    weather = year[["rain_forecast", "air_forecast"]]
    model = functools.partial(forecast.ahead, holidays=OFF, weather=weather)
    said = forecast.hindcast(year["passengers"], origins=origins, horizon="24h", model=model)
    return said, forecast.accuracy(year["passengers"], said)


# ---------------------------------------------------------------- what it must reach


def test_a_generated_year_is_forecast_nearly_as_well_as_by_one_who_knows_its_recipe(year):
    said, found = last_days(year, every=6)
    assert float(found.mase.mean()) <= 0.75
    assert float(found.mase_naive.mean()) > 1
    assert 0.86 < float(found.coverage.mean()) < 0.94
    best = year["passengers_expected"].sel(time=said.time).drop_vars("time")
    knowing = xr.concat([best] * 3, "quantile").assign_coords(quantile=said["quantile"], time=said.time)
    floor = forecast.accuracy(year["passengers"], knowing)
    assert float(floor.mase.mean()) < float(found.mase.mean()) < 1.12 * float(floor.mase.mean())


def test_bengaluru_never_worse_than_last_week_with_the_holiday_handled(testdata):
    folder = testdata("bengaluru-metro-od/station-hourly.parquet").parent
    entries = forecast.metro(folder / "station-hourly.parquet", names=folder / "station-names.csv")
    assert entries.sizes == {"time": 432, "station": 83}
    origins = [np.datetime64(f"2025-08-{day}", "ns") - np.timedelta64(330, "m") for day in (15, 16, 17, 18)]
    found = {}
    for name, off in (("told", forecast.holidays("IN", years=[2025])), ("untold", ())):
        model = functools.partial(forecast.ahead, holidays=off, hours=5.5)
        said = forecast.hindcast(entries, origins=origins, horizon="24h", model=model)
        found[name] = forecast.accuracy(entries, said)
    told = found["told"]
    assert (told.mase <= told.mase_naive).all()
    assert (told.wmape <= told.wmape_naive).all()
    assert float(told.mase[0]) < 0.6 * float(found["untold"].mase[0])
    assert float(told.mase.mean()) < 0.75 * float(told.mase_naive.mean())
    assert 0.85 < float(told.coverage.mean()) < 0.99


# ---------------------------------------------------------------- truths that we made


def test_a_course_without_noise_is_continued_exactly():
    read, truth = week(24 * 22, noise=0)
    said = forecast.ahead(read.isel(time=slice(0, -24)), horizon="24h")
    np.testing.assert_allclose(said.sel(quantile=0.5), truth[-24:], rtol=1e-3)


def test_noise_alone_leaves_the_error_of_a_mean_over_the_weeks():
    read, truth = week(24 * 57, series=200)
    said = forecast.ahead(read.isel(time=slice(0, -24)), horizon="24h")
    error = float(np.abs(said.sel(quantile=0.5) / truth[-24:] - 1).mean())
    # a mean over eight weeks is off by 0.1 / sqrt(8), in the mean 0.8 of that
    assert error < 1.25 * 0.8 * 0.1 / np.sqrt(8)
    inside = learn.coverage(read[-24:].to_numpy(), said[0].to_numpy(), said[2].to_numpy())
    assert 0.86 < inside < 0.95


def test_a_quantile_is_what_it_says_for_each_series_and_hour():
    read, _ = week(24 * 70, series=60)
    rng = np.random.default_rng(3)
    loud = np.where(np.arange(24 * 70) % 24 < 12, 0.02, 0.4)[:, None]
    read = read * (1 + loud * rng.standard_normal(read.shape))
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    model = functools.partial(forecast.ahead, quantile=levels)
    origins = read["time"].to_numpy()[24 * 62 :: 24][:7]
    said = forecast.hindcast(read, origins=origins, horizon="24h", model=model)
    truth = read.sel(time=said.time).drop_vars("time")
    below = (truth < said).mean(["origin", "lead", "gate"])
    np.testing.assert_allclose(below, levels, atol=0.025)
    by_half = (truth < said).sel(quantile=0.9).mean(["origin", "gate"])
    assert abs(float(by_half[:12].mean()) - 0.9) < 0.05
    assert abs(float(by_half[12:].mean()) - 0.9) < 0.05
    assert (said.diff("quantile") >= 0).all()


def test_a_holiday_takes_the_course_of_a_day_of_rest():
    hour = np.arange(24 * 29)
    busy = np.where((hour // 24) % 7 < 5, 10.0, 2.0) * (1 + 0.5 * np.sin(hour * np.pi / 12))
    read = xr.DataArray(np.tile(busy[:, None], 4), {"time": START + hour * HOUR}, ("time", "gate"))
    told = forecast.ahead(read[: 24 * 28], horizon="24h", holidays=["2025-03-31"])
    untold = forecast.ahead(read[: 24 * 28], horizon="24h")
    np.testing.assert_allclose(told.sel(quantile=0.5).mean(), 2.0, rtol=0.05)
    np.testing.assert_allclose(untold.sel(quantile=0.5).mean(), 10.0, rtol=0.05)


def test_weather_is_learned():
    read, _ = week(24 * 57, series=20, noise=0.02)
    rain = xr.DataArray(np.random.default_rng(5).random(24 * 57), {"time": read["time"]}, "time")
    wet = read * (1 - 0.5 * rain)
    weather = rain.to_dataset(name="rain")
    errors = []
    for given in (weather, None):
        said = forecast.ahead(wet[:-24], horizon="24h", weather=given)
        errors.append(float(np.abs(said.sel(quantile=0.5) - wet[-24:].to_numpy()).mean()))
    assert errors[0] < 0.65 * errors[1]


def test_a_station_that_opened_lately_learns_from_the_others():
    read, truth = week(24 * 29, series=20, noise=0.02)
    read[: 24 * 24, 0] = np.nan
    said = forecast.ahead(read[:-24], horizon="24h").sel(quantile=0.5)
    # it has lived four days, and this weekday never
    assert float(np.abs(said[:, 0] / truth[-24:, 0] - 1).mean()) < 0.15


def test_quarters_of_an_hour_and_two_days():
    hour = np.arange(96 * 21) / 4
    read = xr.DataArray(
        np.tile((2 + np.sin(hour * np.pi / 12))[:, None], 3),
        {"time": START + np.arange(96 * 21) * np.timedelta64(900, "s")},
        ("time", "cell"),
    )
    said = forecast.ahead(read, horizon="48h")
    assert said.sizes["time"] == 192
    np.testing.assert_allclose(said.sel(quantile=0.5)[:, 0], (2 + np.sin(hour[:192] * np.pi / 12)), atol=0.02)


def test_the_same_numbers_whatever_the_order_of_the_dims_and_from_any_start_of_the_day():
    read, truth = week(24 * 29, noise=0.01)
    a = forecast.ahead(read, horizon="24h")
    b = forecast.ahead(read.transpose("gate", "time"), horizon="24h")
    xr.testing.assert_identical(a, b)
    late = forecast.ahead(read[:-17], horizon="24h").sel(quantile=0.5)
    np.testing.assert_allclose(late, truth[-168 - 17 : -168 + 7], rtol=0.05)


def test_the_past_does_not_know_the_future():
    read, _ = week(24 * 29)
    origin = read["time"].to_numpy()[24 * 27]
    changed = read.copy()
    changed[24 * 27 :] *= 7
    one = forecast.hindcast(read, origins=[origin], horizon="24h")
    two = forecast.hindcast(changed, origins=[origin], horizon="24h")
    xr.testing.assert_identical(one, two)


def test_the_stages_stamp_and_keep_to_the_range():
    hour = np.arange(24 * 14)
    full = np.clip(0.95 + 0.2 * np.sin(hour * np.pi / 12), 0, 1)
    times = START + hour * HOUR
    load = xr.DataArray(np.tile(full[:, None], 3), {"time": times, "cell": list("abc")}, ("time", "cell"))
    said = tk.forecast.load(tk.stamp(load, "load"), horizon="24h")
    assert said.attrs["given_by"] == "twinkit.forecast.series.load"
    assert float(said.max()) <= 1
    assert float(said.min()) >= 0


# ---------------------------------------------------------------- bad input


def duplicated(read):
    times = read["time"].to_numpy().copy()
    times[5] = times[4]
    return read.assign_coords(time=times)


def changed(read, where, to):
    out = read.copy()
    out[where] = to
    return out


BAD = {
    "each time once": duplicated,
    "run forward": lambda r: r.isel(time=[0, 1, 3, 2, *range(4, len(r))]),
    "evenly spaced": lambda r: r.isel(time=[*range(9), *range(10, len(r))]),
    "divides the day": lambda r: r.assign_coords(time=START + np.arange(len(r)) * np.timedelta64(7, "h")),
    "a day of readings": lambda r: changed(r, (slice(None), 2), np.nan),
    "an infinite": lambda r: changed(r, (3, 1), np.inf),
    "times \\(datetime64": lambda r: r.assign_coords(time=np.arange(len(r))),
    "one other dim": lambda r: r.isel(gate=0),
    "one unit throughout": lambda r: changed(r, (slice(300, None), 1), r[300:, 1] * 1000),
    "days of history": lambda r: r.isel(time=slice(-100, None)),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_series_are_refused_in_one_sentence(said):
    read, _ = week(24 * 21)
    with pytest.raises(TwinError, match=said):
        forecast.ahead(BAD[said](read), horizon="24h")


@pytest.mark.parametrize("name", ["load", "passengers", "traffic"])
def test_negative_readings_and_loads_over_one_are_refused(name):
    read, _ = week(24 * 21)
    dim = "station" if name == "passengers" else "cell"
    read = tk.stamp((read / read.max()).rename(gate=dim), name)
    with pytest.raises(TwinError, match="from 0"):
        getattr(forecast, name)(changed(read, (3, 1), -0.1), horizon="24h")
    if name == "load":
        with pytest.raises(TwinError, match="from 0 to 1"):
            forecast.load(changed(read, (3, 1), 1.2), horizon="24h")


def test_a_constant_series_stays_and_spoils_nobody():
    read, _ = week(24 * 21)
    still = changed(read, (slice(None), 0), 3.0)
    closed = changed(still, (slice(None), 1), 0.0)
    said = forecast.ahead(closed, horizon="24h")
    assert (said.isel(gate=0) == 3).all()
    assert (said.isel(gate=1) == 0).all()
    assert np.isfinite(said).all()


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"horizon": "90min"}, "whole steps"),
        ({"horizon": "9D"}, "up to a week"),
        ({"horizon": "soon"}, "whole steps"),
        ({"horizon": "24h", "quantile": [0.9, 0.1]}, "ascending"),
        ({"horizon": "24h", "quantile": [0.0, 0.5]}, "ascending"),
        ({"horizon": "24h", "holidays": ["Diwali"]}, "dates"),
        ({"horizon": "24h", "rest_day": 7}, "a day from Monday"),
        ({"horizon": "24h", "hours": 330}, "hours"),
        ({"horizon": "24h", "weather": 3}, "weather as a Dataset"),
    ],
)
def test_bad_choices_are_refused(choices, said):
    with pytest.raises(TwinError, match=said):
        forecast.ahead(week(24 * 21)[0], **choices)


def test_weather_must_reach_to_the_horizon():
    read, _ = week(24 * 21)
    weather = xr.Dataset({"rain": ("time", np.zeros(len(read)))}, {"time": read["time"].to_numpy()})
    with pytest.raises(TwinError, match="weather at every time"):
        forecast.ahead(read, horizon="24h", weather=weather)


def test_a_series_that_was_hardly_ever_read_is_given_the_doubt_of_the_others():
    read, _ = week(24 * 29, series=20)
    late = changed(read, (slice(None, -26), 0), np.nan)
    said = forecast.ahead(late, horizon="24h")
    width = (said[2] - said[0]) / said[1]
    assert float(width[:, 0].mean()) > 0.7 * float(width[:, 1:].mean())


def test_an_origin_outside_is_refused():
    with pytest.raises(TwinError, match="origins from"):
        forecast.hindcast(week(24 * 21)[0], origins=["2031-01-01"], horizon="24h")


def test_gaps_and_spikes_are_borne():
    read, truth = week(24 * 29, series=10, noise=0.02)
    rng = np.random.default_rng(2)
    holes = read.where(rng.random(read.shape) > 0.2)
    holes[300, 2] *= 40
    said = forecast.ahead(holes[:-24], horizon="24h").sel(quantile=0.5)
    assert float(np.abs(said / truth[-24:] - 1).mean()) < 0.05


# ---------------------------------------------------------------- calendar


@pytest.mark.parametrize("year_and_day", ["1818-03-22", "1954-04-18", "1991-03-31", "1992-04-19", "2000-04-23"])
def test_easter_as_meeus_prints_it(year_and_day):
    assert str(forecast.easter(int(year_and_day[:4]))) == year_and_day


def test_easter_of_every_year_as_by_another_code():
    other = pytest.importorskip("dateutil.easter")
    for year in range(1583, 4100, 7):
        assert str(forecast.easter(year)) == str(other.easter(year))


def test_many_blocks_are_as_good_as_one(monkeypatch):
    read, _ = week(24 * 29, series=40, noise=0.05)
    one = forecast.ahead(read[:-24], horizon="24h")
    monkeypatch.setattr("twinkit.forecast.regression.BLOCK", 5000)
    many = forecast.ahead(read[:-24], horizon="24h")
    np.testing.assert_allclose(many.sel(quantile=0.5), one.sel(quantile=0.5), rtol=0.03)


def test_holidays_of_a_country():
    assert "2026-04-03" in forecast.holidays("RW:Kigali", years=[2026]).astype(str)  # Good Friday
    with pytest.raises(TwinError, match="a country among"):
        forecast.holidays("XX", years=[2026])
    with pytest.raises(TwinError, match="from 1583"):
        forecast.easter(1500)


def test_the_local_day_counts():
    times = np.datetime64("2025-08-14T18:30", "ns") + np.arange(24) * HOUR
    made = calendar(times, step=HOUR, holidays=["2025-08-15"], hours=5.5)
    assert made.holiday.all()
    assert made.slot.tolist() == [*range(144, 168)]
    assert calendar(times, step=HOUR, hours=5.5, rest_day=4).kind.tolist() == [*range(48, 72)]
