"""The ITU-R maps: our units and axes against the ITU-R's own validation examples, and against itur's functions."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from twinkit import TwinError
from twinkit.datasets import climate

pytest.importorskip("itur")


def rows(file):
    """The examples as dicts of numbers; the second line holds the units."""
    lines = file.read_text(encoding="latin-1").splitlines()
    keys = lines[0].split(",")
    return [dict(zip(keys, map(float, row), strict=True)) for row in csv.reader(lines[2:])]


def test_topography_against_the_examples_of_p1511(testdata):
    examples = rows(testdata("itu-earth-space/1511/ITURP1511-2_topographic_altitude.csv"))
    assert len(examples) == 9
    ours = climate.topography([e["lon"] for e in examples], [e["lat"] for e in examples])
    # the ITU-R states km; ours are m, and the sea is 0 where the example says 0
    np.testing.assert_allclose(ours, [1000 * e["hs"] for e in examples], atol=0.01)


def test_rain_rate_against_the_examples_of_p837(testdata):
    examples = rows(testdata("itu-earth-space/837/ITURP837-7_rainfall_rate_R001.csv"))
    assert len(examples) == 8
    ours = climate.rain_rate([e["lon"] for e in examples], [e["lat"] for e in examples])
    np.testing.assert_allclose(ours, [e["Rp"] for e in examples], atol=1e-3)


def test_both_against_iturs_own_functions():
    from itur.models import itu837, itu1511

    rng = np.random.default_rng(7)
    longitude, latitude = rng.uniform(-180, 180, 3000), rng.uniform(-89, 89, 3000)
    theirs = itu1511.topographic_altitude(latitude, longitude).value * 1000
    ours = climate.topography(longitude, latitude)
    # itur cuts heights below the sea off, and its grid step is rounded to 8 digits, which adds up to a third of a
    # thousandth of a cell across the map
    np.testing.assert_allclose(np.maximum(ours, 0), np.maximum(theirs, 0), atol=0.5)
    assert np.abs(np.maximum(ours, 0) - theirs).mean() < 0.01
    # the shore of the Dead Sea
    assert climate.topography(35.5, 31.5) < -300
    np.testing.assert_allclose(
        climate.rain_rate(longitude, latitude), itu837.rainfall_rate(latitude, longitude, 0.01).value, atol=1e-4
    )


def test_longitudes_from_0_to_360_are_the_same_places():
    east = climate.rain_rate(280.0, 25.8)
    assert east == climate.rain_rate(-80.0, 25.8)
    assert climate.topography(359.5, 51.5) == climate.topography(-0.5, 51.5)


def test_the_corners_of_the_world_have_values():
    longitude, latitude = np.meshgrid([-180.0, -90, 0, 90, 180], [-90.0, -45, 0, 45, 90])
    for function in (climate.topography, climate.rain_rate, climate.sea):
        assert np.isfinite(function(longitude, latitude)).all()


def test_the_sea_is_the_sea():
    assert climate.sea(-30.0, 0.0) == 1  # the Atlantic
    assert climate.sea(77.17, 31.10) == 0
    assert climate.topography(-30.0, 0.0) == 0


@pytest.mark.parametrize(("longitude", "latitude"), [(77.0, 91.0), (361.0, 31.0), (float("nan"), 31.0)])
def test_degrees_out_of_range(longitude, latitude):
    for function in (climate.topography, climate.rain_rate, climate.sea):
        with pytest.raises(TwinError):
            function(longitude, latitude)
