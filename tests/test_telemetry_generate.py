"""Generated telemetry: rhythm, weather, the laws between the variables, and faults where they were asked for."""

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError
from twinkit.telemetry.generate import (
    DEMAND,
    EFFICIENCY,
    FAULTS,
    RAINY,
    Fault,
    climate,
    generate,
    peak_load,
    spoil,
    weather,
)

MONDAY = np.datetime64("2026-03-02", "ns")
QUARTER = np.timedelta64(900, "s")


@pytest.fixture(scope="module")
def twin(small_twin):
    return small_twin(sites=4)


@pytest.fixture(scope="module")
def week(twin):
    return generate(twin, start=MONDAY, days=7, seed=1)


def test_same_seed_same_bytes_and_another_seed_others(twin, week):
    again = generate(twin, start="2026-03-02", days=7, seed=1)
    assert all(week[n].values.tobytes() == again[n].values.tobytes() for n in week.data_vars)
    other = generate(twin, start=MONDAY, days=7, seed=2)
    assert not np.allclose(week["load"], other["load"])


def test_a_day_is_the_beginning_of_a_week(twin, week):
    day = generate(twin, start=MONDAY, days=1, seed=1)
    assert np.array_equal(day["load"], week["load"][:96])


def test_everything_is_in_its_plausible_range_and_makes_a_twin(twin, week):
    for name, array in week.data_vars.items():
        word = tk.vocabulary.word(name)
        assert word.low <= float(array.min()) <= float(array.max()) <= word.high
        assert array.attrs["units"] == word.unit
        assert array.attrs["provenance"].startswith("generated:")
    assert "telemetry" in tk.validate(tk.extend(twin, telemetry=week)).children


def test_evenings_are_busy_and_nights_are_not(week):
    hours = week["load"].mean("cell").groupby("time.hour").mean()
    assert int(hours.values.argmax()) in range(17, 22)
    assert int(hours.values.argmin()) in range(1, 7)
    by_day = week["load"].mean("cell").resample(time="1D").mean()
    assert float(by_day[5:].mean()) < float(by_day[:5].mean())


def test_the_clock_of_the_region_is_that_of_its_longitude(twin):
    sites = twin["sites"].to_dataset().assign(longitude=("site", np.full(4, 82.5)))
    there = generate(tk.extend(twin, sites=sites), start=MONDAY, days=7, seed=1)
    hours = there["load"].mean("cell").groupby("time.hour").mean()
    assert int(hours.values.argmax()) in range(12, 17), "20 h local time is 14:30 UTC at +5.5 h"


def test_the_laws_between_the_variables_hold(twin, week):
    bandwidth = twin["cells/bandwidth"].values
    assert np.allclose(week.traffic, week["load"] * bandwidth * EFFICIENCY)
    full = week.energy.dropna("time")
    assert (full.time.dt.minute == 0).all()
    assert full.sizes["time"] == 7 * 24, "the first hour too has its energy"
    # three transceivers of 130 W, each 4.7 W for a radiated one of 40 W
    for hour in (5, 20):
        radiated = 10 ** ((46 - 30) / 10)
        end = hour * 4
        load = week["load"].sel(cell=["s0-0", "s0-1", "s0-2"])[end - 3 : end + 1].mean("time")
        cold = 3 * 130 + 4.7 * radiated * float(load.sum())
        air = float(week.air_temperature.sel(site="s0")[end - 3 : end + 1].mean())
        assert float(week.energy.sel(site="s0")[end]) == pytest.approx(cold, rel=0.03 + 0.012 * max(air + 3 - 25, 0))
    assert float(np.corrcoef(week.users.values.ravel(), week["load"].values.ravel())[0, 1]) > 0.1
    warm = week.temperature - week.air_temperature
    assert 5 < float(warm.min()) < float(warm.max()) < 28


def test_people_near_a_cell_make_it_busy(small_twin):
    twin = small_twin(sites=4)
    peak = peak_load(twin)
    assert peak.dims == ("cell",)
    assert peak.attrs["units"] == "1"
    # all people are somebody's: the sum over cells of what the law says gives them back
    demand = -np.log(1 - peak.clip(0.0200001, 0.9799999)) * twin["cells/bandwidth"] * EFFICIENCY / DEMAND
    inside = (peak > 0.021) & (peak < 0.979)
    assert float(demand.where(inside).sum()) <= float(twin["surface/people"].sum()) * 1.001
    surface = twin["surface"].to_dataset()
    denser = tk.extend(twin, surface=surface.assign(people=(surface.people * 3).assign_attrs(surface.people.attrs)))
    assert (peak_load(denser) >= peak).all()
    # one village due north of one mast goes to the cell that looks north
    one = small_twin(sites=1)
    spot = one["surface"].to_dataset()
    north = (spot.y > float(one["sites/y"][0]) + 500) & (abs(spot.x - float(one["sites/x"][0])) < 300)
    people = xr.where(north, 50.0, 0.0).transpose("y", "x").assign_attrs(spot.people.attrs)
    alone = peak_load(tk.extend(one, surface=spot.assign(people=people)))
    assert alone.values.argmax() == 0
    assert (alone[1:] == 0.02).all()


def test_a_twin_without_people_and_places_on_the_globe_still_has_telemetry(small_twin):
    twin = small_twin()
    bare = xr.DataTree.from_dict({n: twin[n].to_dataset() for n in ("sites", "cells")})
    said = generate(bare, start=MONDAY, days=1, seed=3)
    assert 0.05 < float(said["load"].mean()) < 0.9


def test_rain_exceeds_its_rate_as_rarely_as_the_map_says():
    times = MONDAY + np.arange(60 * 35040) * QUARTER
    _, rain = weather(times, latitude=10, height=0, rain_rate=60, hours=0, seed=1)
    assert (rain > 0).mean() == pytest.approx(RAINY, rel=0.05)
    assert (rain > 60).mean() == pytest.approx(1e-4, rel=0.25)
    # between the two the share falls with the square root of the rate
    assert (rain > 15).mean() == pytest.approx(RAINY * (1e-4 / RAINY) ** 0.5, rel=0.1)


def test_weather_knows_latitude_season_height_and_hour():
    assert climate(50.0, 0, 200) > climate(50.0, 0, 20) + 15
    assert climate(-50.0, 0, 20) > climate(-50.0, 0, 200) + 15
    assert climate(0.0, 0, 1) - climate(0.0, 1000, 1) == pytest.approx(6.5)
    assert 8 < climate(45.0, 0, 111) < 13
    times = MONDAY + np.arange(96 * 30) * QUARTER
    air, _ = weather(times, latitude=0, height=0, rain_rate=30, hours=5.5, seed=1)
    local = (np.arange(len(times)) / 4 + 5.5) % 24
    assert air[(local > 13) & (local < 16)].mean() > air[(local > 2) & (local < 5)].mean() + 7
    with pytest.raises(TwinError, match="latitude from -90"):
        weather(times, latitude=100, height=0, rain_rate=30, hours=0, seed=1)


# ---------------------------------------------------------------- faults


def one(kind, **other):
    choices = {"sensor": "s1-3", "start": "2026-03-03T06:00", "end": "2026-03-03T18:00", "size": 0.3}
    return Fault(kind, **(choices | other))


def test_a_fault_changes_its_readings_and_no_other(twin):
    week = generate(twin, start=MONDAY, days=2, seed=1)
    for kind in FAULTS:
        bad = generate(twin, start=MONDAY, days=2, seed=1, faults=[one(kind, size=7200.0 if kind == "clock" else 0.3)])
        changed = (bad["load"] != week["load"]) & ~(bad["load"].isnull() & week["load"].isnull())
        where = changed.any("time")
        assert where.cell[where].values.tolist() == ["s1-3"], kind
        times = changed.time[changed.any("cell")]
        assert times[0] >= np.datetime64("2026-03-03T06:00"), kind
        end = "2026-03-03T20:00" if kind == "clock" else "2026-03-03T18:00"
        assert times[-1] < np.datetime64(end), kind
        for name in ("traffic", "users"):
            same = np.array_equal(bad[name], week[name])
            assert same == (kind != "outage"), (kind, name)
        assert np.array_equal(bad.temperature, week.temperature)


def test_each_fault_is_what_it_says(week):
    span = slice("2026-03-03T06:00", "2026-03-03T17:45")

    def after(kind, **other):
        return spoil(week, [one(kind, **other)])["load"].sel(cell="s1-3", time=span).values

    was = week["load"].sel(cell="s1-3", time=span).values
    assert (after("outage") == 0).all()
    assert np.isnan(after("gap")).all()
    assert (after("stuck") == was[0]).all()
    assert np.allclose(after("bias") - was, 0.3)
    drift = after("drift") - was
    assert np.allclose(np.diff(drift), 0.3 / 48)
    assert drift[-1] == pytest.approx(0.3)
    assert np.flatnonzero(after("spike") != was).tolist() == [0, 16, 32]
    assert np.allclose(after("unit", size=100.0), 100 * was)
    late = after("clock", size=7200.0)
    assert np.isnan(late[:8]).all()
    assert np.array_equal(late[8:], was[:-8])


def test_a_clock_that_goes_back_puts_readings_over_earlier_ones(week):
    early = spoil(week, [one("clock", size=-7200.0)])["load"].sel(cell="s1-3")
    was = week["load"].sel(cell="s1-3")
    assert early.sel(time="2026-03-03T04:00") == was.sel(time="2026-03-03T06:00")
    assert np.isnan(early.sel(time="2026-03-03T17:00"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (one("stukc"), "did you mean 'stuck'"),
        (one("stuck", sensor="s1-9"), "a sensor of the telemetry"),
        (one("stuck", variable="lod"), "did you mean 'load'"),
        (one("bias", size=0.0), "expected a size"),
        (one("drift", size=np.nan), "expected a size"),
        (one("gap", start="2027-03-03", end="2027-03-04"), "a fault between"),
    ],
)
def test_a_fault_that_fits_nothing_is_refused(week, fault, said):
    with pytest.raises(TwinError, match=said):
        spoil(week, [fault])


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"start": "yesterday"}, "a start on a full hour"),
        ({"start": "2026-03-02T00:10"}, "a start on a full hour"),
        ({"days": 0}, "days from"),
        ({"days": np.nan}, "days from"),
        ({"seed": -1}, "a seed"),
        ({"hours": 40.0}, "hours from"),
        ({"peak": xr.DataArray([0.5], {"cell": ["x"]}, "cell")}, "on the twin's cells"),
        ({"peak": 0.5}, "on the twin's cells"),
    ],
)
def test_choices_out_of_range_are_refused(twin, choices, said):
    with pytest.raises(TwinError, match=said):
        generate(twin, **({"start": MONDAY, "days": 1, "seed": 1} | choices))
