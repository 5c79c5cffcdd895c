"""Hazards: a cyclone on a real and on a made track, flood, shaking, curves, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError, assemble, extend
from twinkit import resilience as r
from twinkit.resilience.cyclone import wind_at

CRS = "+proj=tmerc +lat_0=20 +lon_0=86 +units=m"


def coast(x, y=None):
    """Sites at places about 86 E, 20 N [m], with a fibre from the first to each."""
    x = np.asarray(x, float)
    names = np.array([f"s{i}" for i in range(len(x))], dtype=object)
    table = {"x": ("site", x), "y": ("site", np.zeros(len(x)) if y is None else np.asarray(y, float))}
    links = {"source": ("link", np.repeat(names[:1], len(x) - 1)), "target": ("link", names[1:])}
    ids = np.array([f"l{i}" for i in range(1, len(x))], dtype=object)
    return assemble(
        {"sites": xr.Dataset(table, {"site": names}), "links": xr.Dataset(links, {"link": ids})}, title="c", crs=CRS
    )


NORTHWARD = (["2020-05-03T00", "2020-05-03T12"], [86.0, 86.0], [18.0, 22.0])


def test_the_largest_wind_of_the_field_is_that_of_the_track_times_the_gust():
    moment = {"longitude": 86.0, "latitude": 20.0, "wind": 50.0, "east": 0.0, "north": 6.0, "drop": 6e3}
    moment |= {"radius": 30e3, "shape": 1.5}
    angle, far = np.meshgrid(np.radians(np.arange(0, 360, 2)), np.linspace(5e3, 2e5, 400))
    lat = 20 + np.degrees(far * np.cos(angle) / 6.371e6)
    lon = 86 + np.degrees(far * np.sin(angle) / 6.371e6 / np.cos(np.radians(20)))
    speed = wind_at(lon, lat, moment, factor=1.0)
    assert speed.max() == pytest.approx(50.0, rel=0.005)
    row, column = np.unravel_index(speed.argmax(), speed.shape)
    assert abs(far[row, column] - 30e3) < 2e3
    # a storm that goes north: its strong side lies east, and is turned by 20 degree
    assert np.degrees(angle[row, column]) == pytest.approx(70.0, abs=4.0)
    south = wind_at(lon, -lat, {**moment, "latitude": -20.0, "north": -6.0}, factor=1.0)
    np.testing.assert_allclose(south, speed, rtol=1e-6)


def test_a_storm_that_passes_is_stronger_to_the_right_of_its_track():
    twin = coast([-40e3, 40e3])
    gust = r.cyclone(twin, r.track(*NORTHWARD, wind=[50.0, 50.0]), members=1).wind_gust.max("time").squeeze()
    assert gust.sel(asset="sites/s1") > gust.sel(asset="sites/s0") + 3
    # the link between them crosses the middle and is as strong as its worst point
    assert gust.sel(asset="links/l1") >= gust.sel(asset="sites/s1")


def test_failure_grows_with_the_hours_and_is_the_curve_of_the_worst_gust():
    hit = r.cyclone(coast([0.0, 50e3]), r.track(*NORTHWARD, wind=[50.0, 50.0]), members=3, seed=1)
    assert (hit.failure.diff("time") >= 0).all()
    worst = hit.wind_gust.max("time").sel(asset="sites/s0")
    curve = r.CURVES["wind_gust"]["macro"]
    expected = r.fragility(worst.values, median=curve.median, dispersion=curve.dispersion)
    np.testing.assert_allclose(hit.failure.isel(time=-1).sel(asset="sites/s0"), expected, rtol=1e-5)
    assert "Holland" in hit.failure.attrs["provenance"]
    assert "pressure, radius" in hit.failure.attrs["assumptions"]


def test_members_spread_and_their_seed_decides():
    twin, storm = coast([0.0, 50e3]), r.track(*NORTHWARD, wind=[50.0, 50.0])
    a, b, c = (r.cyclone(twin, storm, members=30, seed=s).wind_gust.max("time") for s in (1, 1, 2))
    np.testing.assert_array_equal(a.values, b.values)
    assert not np.array_equal(a.values, c.values)
    assert 3 < float(a.isel(asset=0).std("member")) < 20


def test_a_storm_far_away_misses_and_costs_nothing():
    twin = coast([0.0, 50e3])
    far = r.cyclone(twin, r.track(NORTHWARD[0], [60.0, 60.0], NORTHWARD[2], wind=[50.0, 50.0]), members=2)
    assert far.attrs["misses"] == "true"
    assert np.isnan(r.strike(twin, far, draws=50, seed=1).fails_at.values).all()


def test_a_step_of_half_an_hour_and_the_date_line():
    twin = coast([0.0, 50e3])
    hit = r.cyclone(twin, r.track(*NORTHWARD, wind=[50.0, 50.0]), members=1, step=0.5)
    assert hit.sizes["time"] == 25
    east = r.track(["2020-01-01T00", "2020-01-01T10"], [179.0, -179.0], [15.0, 15.0], wind=[40.0, 40.0])
    gone = r.cyclone(twin, east, members=1)
    assert gone.attrs["misses"] == "true"


def test_a_pressure_that_is_missing_follows_from_the_wind_and_is_told():
    some = r.track(*NORTHWARD, wind=[50.0, 40.0], pressure=[95_000.0, np.nan])
    assert some.pressure_drop.values[0] == pytest.approx(6000.0)
    assert some.pressure_drop.values[1] == pytest.approx(float(r.pressure_drop(40.0)))
    assert some.attrs["filled"] == "pressure, radius"
    other = r.track(*NORTHWARD, wind=[np.nan, 40.0], pressure=[95_000.0, 97_000.0])
    assert float(r.pressure_drop(other.wind_speed.values[0])) == pytest.approx(6000.0)


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"wind": [np.nan, 40.0]}, "neither"),
        ({"wind": [400.0, 40.0]}, "knots"),
        ({"wind": [40.0, 40.0], "pressure": [950.0, 960.0]}, "hPa"),
        ({"wind": [40.0]}, "2 values"),
        ({"wind": ["strong", "weak"]}, "wind: expected numbers"),
    ],
)
def test_a_track_that_cannot_be_is_refused(columns, word):
    with pytest.raises(TwinError, match=word):
        r.track(*NORTHWARD, **columns)


@pytest.mark.parametrize(
    ("times", "word"),
    [
        (["2020-05-03T00:00+05:30", "2020-05-03T12:00+05:30"], "without a zone"),
        (["2020-05-03T12", "2020-05-03T00"], "ascend"),
        (["yesterday", "today?"], "times"),
        (["1600-01-01", "2300-01-01"], "times"),
        (["1800-01-01", "2200-01-01"], "a storm of at most"),
    ],
)
def test_times_of_a_track_are_utc_and_ascend(times, word):
    with pytest.raises(TwinError, match=word):
        r.track(times, *NORTHWARD[1:], wind=[40.0, 40.0])


def test_the_real_track_of_fani(testdata):
    file = testdata("cyclones-nio/IMD_TCBT_AS_BOB_1982-2023.csv")
    fani = r.best_track(file, storm="201902", name="Fani")
    assert float(fani.wind_speed.max()) == pytest.approx(115 * 1852 / 3600)
    assert fani.attrs["filled"] == "pressure, radius"
    # landfall near Puri in the morning of 3 May 2019
    hit = r.cyclone(coast([-20e3, 0.0]), fani, members=1)
    peak = hit.wind_gust.sel(asset="sites/s0").squeeze()
    assert 35 < float(peak.max()) < 70
    assert np.datetime64("2019-05-03T00") < peak.time.values[int(peak.values.argmax())] < np.datetime64("2019-05-03T09")
    with pytest.raises(TwinError, match="did you mean"):
        r.best_track(file, storm="20190")


def test_every_storm_of_the_table_gives_a_footprint_or_a_miss(testdata):
    file = testdata("cyclones-nio/IMD_TCBT_AS_BOB_1982-2023.csv")
    storms = pd.read_csv(file, dtype=str)["CS_ID"].dropna().unique()
    twin = coast([0.0, 50e3])
    seen = set()
    for storm in storms[::12]:
        hit = r.cyclone(twin, r.best_track(file, storm=storm), members=1, step=3.0)
        assert np.isfinite(hit.wind_gust.values).all(), storm
        assert hit.wind_gust.max() < 100
        seen.add(hit.attrs["misses"])
    assert "true" in seen


def test_a_table_without_the_columns_or_no_table_is_refused(tmp_path):
    file = tmp_path / "track.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(TwinError, match="DATETIME"):
        r.best_track(file, storm="201902")
    with pytest.raises(TwinError, match="no file"):
        r.best_track(tmp_path / "none.csv", storm="201902")
    for when in ("3rd of May", "2019-13-45", "9999-01-01"):
        file.write_text(f"DATETIME,CS_ID,LAT,LON,MSWS\n{when},201902,19,85,100\n")
        with pytest.raises(TwinError, match="times"):
            r.best_track(file, storm="201902")


# ---------------------------------------------------------------- flood, shaking, curves


def test_a_flood_is_as_deep_as_the_map_at_the_site_and_dry_off_it():
    twin = coast([0.0, 200.0, 9e5])
    depth = xr.DataArray([[[0.0, 1.0, 2.0]], [[1.0, 2.0, 4.0]]], dims=("time", "y", "x"))
    depth = depth.assign_coords(y=[0.0], x=[0.0, 100.0, 200.0])
    hit = r.flood(twin, depth, times=["2020-07-01T00", "2020-07-01T06"])
    np.testing.assert_array_equal(hit.flood_depth.squeeze().values[:, :3], [[0, 2, 0], [1, 4, 0]])
    with pytest.raises(TwinError, match="3 maps"):
        r.flood(twin, depth, times=pd.date_range("2020-07-01", periods=3, freq="h"))
    with pytest.raises(TwinError, match="depth from 0"):
        r.flood(twin, -depth, times=["2020-07-01T00", "2020-07-01T06"])


def test_water_stays_behind_a_dyke_and_a_surge_comes_in_from_the_edge():
    ground = np.full((7, 7), 5.0)
    ground[3, 3] = 0.0
    ground[0, :3] = 1.0
    land = xr.DataArray(ground, {"y": np.arange(7.0), "x": np.arange(7.0)}, ("y", "x"))
    assert r.flood_level(land, level=2.0).values.sum() == 2.0
    assert r.flood_level(land, level=2.0, sea=True).values.sum() == 3.0
    assert r.flood_level(land, level=-1.0).values.sum() == 0.0


def test_shaking_falls_with_distance_and_scatters_as_published():
    twin = coast([0.0, 30e3, 120e3])
    quake = {"longitude": 86.0, "latitude": 20.0, "magnitude": 7.0, "time": "2020-01-01"}
    median = r.earthquake(twin, **quake, members=1).shaking.squeeze().values[:3]
    assert (np.diff(median) < 0).all()
    many = np.log(r.earthquake(twin, **quake, members=4000, seed=1).shaking.squeeze("time").values[:, :3])
    np.testing.assert_allclose(many.mean(axis=0), np.log(median), atol=0.05)
    np.testing.assert_allclose(many.std(axis=0), np.hypot(0.502, 0.260), atol=0.03)
    assert np.corrcoef(many[:, 0], many[:, 2])[0, 1] == pytest.approx(0.26**2 / (0.26**2 + 0.502**2), abs=0.06)
    with pytest.raises(TwinError, match="magnitude"):
        r.earthquake(twin, **{**quake, "magnitude": 9.5})


def test_a_new_site_leaves_the_shaking_of_the_others_as_it_was():
    quake = {"longitude": 86.0, "latitude": 20.0, "magnitude": 7.0, "time": "2020-01-01", "seed": 3}
    few, more = (r.earthquake(coast(x), **quake).shaking for x in ([0.0, 30e3], [0.0, 30e3, 120e3]))
    same = few.asset.values
    np.testing.assert_array_equal(few.values, more.sel(asset=same).values)


def test_a_curve_is_the_lognormal_of_scipy():
    from scipy.stats import lognorm

    x = np.linspace(0.0, 120.0, 50)
    np.testing.assert_allclose(
        r.fragility(x, median=45.0, dispersion=0.35), lognorm.cdf(x, s=0.35, scale=45.0), atol=1e-12
    )
    assert r.fragility(45.0, median=45.0, dispersion=0.0) == 1.0
    assert r.fragility(44.9, median=45.0, dispersion=0.0) == 0.0
    with pytest.raises(TwinError, match="median"):
        r.fragility(45.0, median=-1.0, dispersion=0.3)


def test_every_curve_says_where_it_comes_from_and_a_kind_without_one_is_named():
    for hazard, table in r.CURVES.items():
        for kind, curve in table.items():
            assert len(curve.source) > 15, (hazard, kind)
    twin = coast([0.0, 1.0])
    kinds = twin["sites"].to_dataset().assign(kind=("site", np.array(["balloon", "macro"], dtype=object)))
    with pytest.raises(TwinError, match="balloon"):
        r.cyclone(extend(twin, sites=kinds), r.track(*NORTHWARD, wind=[50.0, 50.0]), members=1)


def test_a_hazard_of_ones_own_must_be_finite_and_even():
    twin = coast([0.0, 1e3])
    with pytest.raises(TwinError, match="not finite"):
        r.hazard(twin, lambda x, y, time: x * np.nan, times=["2020-01-01"], kind="wind_gust")
    times = ["2020-01-01T00", "2020-01-01T01", "2020-01-01T03"]
    with pytest.raises(TwinError, match="even steps"):
        r.hazard(twin, lambda x, y, time: 0 * x, times=times, kind="wind_gust")
    with pytest.raises(TwinError, match="kind of hazard"):
        r.hazard(twin, lambda x, y, time: 0 * x, times=["2020-01-01"], kind="locusts")
    for wrong in (np.ones(99), "strong", [[1.0]] * 7):
        with pytest.raises(TwinError, match="a number for each of 3 assets"):
            r.hazard(twin, lambda x, y, time, wrong=wrong: wrong, times=["2020-01-01"], kind="wind_gust")
    with pytest.raises(TwinError, match="a function of x, y and time"):
        r.hazard(twin, 60.0, times=["2020-01-01"], kind="wind_gust")
    # what goes wrong inside the user's own function is the user's to see
    with pytest.raises(ZeroDivisionError):
        r.hazard(twin, lambda x, y, time: 1 / 0, times=["2020-01-01"], kind="wind_gust")


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"members": 2.5}, "a whole number of members"),
        ({"members": 0}, "a whole number of members"),
        ({"spread": {"winds": 1.0}}, "did you mean 'wind'"),
        ({"spread": {"wind": np.nan}}, "spread of wind"),
        ({"spread": {"radius": -1.0}}, "spread of radius"),
    ],
)
def test_choices_of_a_cyclone_that_are_none(choice, says):
    with pytest.raises(TwinError, match=says):
        r.cyclone(coast([0.0, 1e3]), r.track(*NORTHWARD, wind=[50.0, 50.0]), **choice)


def test_the_most_central_of_a_star_is_its_middle():
    assert r.most_central(coast([0.0, 1e3, 2e3, 3e3]), count=1) == ["s0"]
