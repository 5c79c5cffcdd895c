"""Antenna patterns against a second code, against their own definitions, and as physics."""

from __future__ import annotations

import warnings

import numba
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twinkit.error import TwinError
from twinkit.radio import antenna

AZIMUTH = np.linspace(-180, 180, 73)
ELEVATION = np.linspace(-90, 90, 61)

angle = st.floats(-720, 720)
upright = st.floats(-90, 90)
tilt = st.floats(-30, 30)


def peer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pycraf.antenna")


def grid():
    return np.meshgrid(AZIMUTH, ELEVATION, indexing="ij")


@pytest.mark.parametrize(("mechanical", "electrical"), [(0, 0), (6, 0), (0, 6), (-4, 0), (0, -5), (3, 4)])
@pytest.mark.parametrize(("k_h", "k_v"), [(0.8, 0.7), (0.7, 0.3)])
def test_f1336_average_is_pycraf(mechanical, electrical, k_h, k_v):
    them = peer()
    from astropy import units
    from pycraf import conversions

    a, e = grid()
    theirs = them.imt_advanced_sectoral_avg_sidelobe_pattern_400_to_6000_mhz(
        a * units.deg,
        e * units.deg,
        18 * conversions.dB,
        65 * units.deg,
        7.56 * units.deg,
        0.7 * conversions.dimless,
        k_h * conversions.dimless,
        k_v * conversions.dimless,
        mechanical * units.deg,
        electrical * units.deg,
    ).value
    ours = antenna.f1336(
        a,
        e,
        gain=18,
        horizontal_beamwidth=65,
        vertical_beamwidth=7.56,
        side_lobes="average",
        k_h=k_h,
        k_v=k_v,
        mechanical_downtilt=mechanical,
        electrical_downtilt=electrical,
    )
    # at the very zenith and where the cut is exactly at an edge, their arc cosine rounds to either side
    inside = np.abs(ours - theirs) < 1e-6
    assert inside.mean() > 0.995
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_f1336_peak_is_pycraf_inside_the_fourth_beam_width():
    # beyond it pycraf's slope C leaves k_v out, so that its pattern jumps where the Recommendation's is continuous
    them = peer()
    from astropy import units
    from pycraf import conversions

    a, e = np.meshgrid(AZIMUTH, np.linspace(-4 * 7.5, 4 * 7.5, 61), indexing="ij")
    theirs = them.imt_advanced_sectoral_peak_sidelobe_pattern_400_to_6000_mhz(
        a * units.deg,
        e * units.deg,
        18 * conversions.dB,
        65 * units.deg,
        7.56 * units.deg,
        *(k * conversions.dimless for k in (0.7, 0.8, 0.7)),
        0 * units.deg,
        0 * units.deg,
    ).value
    ours = antenna.f1336(a, e, gain=18, horizontal_beamwidth=65, vertical_beamwidth=7.56, side_lobes="peak")
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("side_lobes", ["peak", "average"])
def test_f1336_is_continuous_where_the_equations_join_by_design(side_lobes):
    def along(x):
        return antenna.f1336(0, 7.0 * x, gain=18, horizontal_beamwidth=65, vertical_beamwidth=7, side_lobes=side_lobes)

    for join in (4.0, 90 / 7):
        assert along(join * (1 - 1e-9)) == pytest.approx(along(join), abs=1e-6)
    edge = {"peak": np.sqrt(1 - 0.36 * 0.7), "average": np.sqrt(1.33 - 0.33 * 0.7)}[side_lobes]
    assert along(edge * (1 - 1e-9)) == pytest.approx(along(edge), abs=0.5)


def test_f1336_takes_the_beam_width_from_the_gain():
    given_width = antenna.f1336(
        10, -5, gain=17, horizontal_beamwidth=65, vertical_beamwidth=31000 / 10**1.7 / 65, side_lobes="peak"
    )
    assert antenna.f1336(10, -5, gain=17, horizontal_beamwidth=65, side_lobes="peak") == pytest.approx(given_width)


# Table 7.3-1 of TR 38.901 at points of its own: maximum, 3 dB at half the beam width, floors.
@pytest.mark.parametrize(
    ("azimuth", "elevation", "expected"),
    [
        (0, 0, 8),
        (32.5, 0, 5),
        (0, 32.5, 5),
        (65, 0, -4),
        (180, 0, -22),
        (0, -90, 8 - 12 * (90 / 65) ** 2),
        (180, 90, -22),
    ],
)
def test_element_is_table_7_3_1(azimuth, elevation, expected):
    assert antenna.element(azimuth, elevation) == pytest.approx(expected)


@given(azimuth=angle, elevation=upright, downtilt=tilt)
def test_patterns_are_alike_on_both_sides_and_never_above_the_gain(azimuth, elevation, downtilt):
    for gain, pattern in (
        (8, lambda a: antenna.element(a, elevation, downtilt=downtilt)),
        (15, lambda a: antenna.sector(a, elevation, downtilt=downtilt)),
        (
            18,
            lambda a: antenna.f1336(
                a, elevation, gain=18, horizontal_beamwidth=65, side_lobes="peak", mechanical_downtilt=downtilt
            ),
        ),
    ):
        assert pattern(azimuth) <= gain + 1e-9
        assert pattern(azimuth) == pytest.approx(pattern(-azimuth), abs=1e-6)
        assert pattern(azimuth) == pytest.approx(pattern(azimuth + 360), abs=1e-6)


@given(downtilt=tilt)
def test_the_maximum_lies_below_the_horizon_by_the_downtilt(downtilt):
    assert antenna.element(0, -downtilt, downtilt=downtilt) == pytest.approx(8)
    assert antenna.sector(0, -downtilt, downtilt=downtilt) == pytest.approx(15)
    wide = {"gain": 18, "horizontal_beamwidth": 65, "side_lobes": "average"}
    assert antenna.f1336(0, -downtilt, mechanical_downtilt=downtilt, **wide) == pytest.approx(18)
    assert antenna.f1336(0, -downtilt, electrical_downtilt=downtilt, **wide) == pytest.approx(18)


def test_a_mechanical_tilt_lifts_the_beam_behind_the_mast():
    # turned down as a whole, the antenna's back looks up: rotation, not subtraction
    assert antenna.element(180, 10, downtilt=10) == pytest.approx(antenna.element(180, 0))


@pytest.mark.parametrize("pattern", [antenna.element, antenna.sector])
def test_no_pattern_radiates_more_than_it_is_fed(pattern):
    a, e = np.meshgrid(np.arange(-179.5, 180), np.arange(-89.5, 90), indexing="ij")
    weight = np.cos(np.radians(e))
    mean = 10 * np.log10(np.average(10 ** (pattern(a, e) / 10), weights=weight))
    assert -4 < mean <= 0.05


def test_labelled_and_lazy_arrays_stay_so_and_are_stamped():
    x = xr.DataArray(np.linspace(-180, 180, 9), dims="x", attrs={"units": "degree"})
    y = xr.DataArray(np.array([-10.0, 0.0]), dims="y")
    eager = antenna.sector(x, y, downtilt=3)
    lazy = antenna.sector(x.chunk(), y.chunk(), downtilt=3)
    assert eager.dims == ("x", "y")
    assert eager.attrs["units"] == "dBi"
    assert eager.name == "gain"
    assert hasattr(lazy.data, "dask")
    xr.testing.assert_allclose(lazy.compute(), eager)
    thin = antenna.sector(x.astype("float32"), y.astype("float32"), downtilt=3)
    assert thin.dtype == np.float32


def test_lazy_angles_are_checked_when_they_are_computed():
    steep = xr.DataArray(np.array([0.0, 120.0]), dims="x").chunk()
    lazy = antenna.element(0.0, steep)
    with pytest.raises(TwinError, match="elevation"):
        lazy.compute()


def test_kernels_compile_into_other_kernels():
    @numba.njit
    def best(azimuths):
        top = -99.0
        for a in azimuths:
            top = max(
                top,
                antenna.sector_gain(a, -3.0, 3.0, 15.0, 65.0, 10.0, 25.0, 20.0),
                antenna.element_gain(a, 0.0, 0.0),
            )
        return top

    assert best(np.array([40.0, 10.0])) == antenna.sector(10, -3, downtilt=3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: antenna.element(0, 91),
        lambda: antenna.sector(0, np.nan),
        lambda: antenna.sector(0, 0, downtilt=120),
        lambda: antenna.sector(0, 0, vertical_beamwidth=0),
        lambda: antenna.sector(0, 0, front_to_back=-3),
        lambda: antenna.sector(xr.DataArray([1.0], dims="x", attrs={"units": "rad"}), 0),
        lambda: antenna.f1336(0, 0, gain=18, horizontal_beamwidth=65, side_lobes="mean"),
        lambda: antenna.f1336(0, 0, gain=3, horizontal_beamwidth=65, side_lobes="peak"),
        lambda: antenna.f1336(0, 0, gain=18, horizontal_beamwidth=65, side_lobes="peak", k_v=2),
    ],
)
def test_bad_choices_are_refused(call):
    with pytest.raises(TwinError):
        call()
