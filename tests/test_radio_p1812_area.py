"""P.1812 over rasters: single against double precision, radials against exact, windows, near pixels, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkit.error import TwinError
from twinkit.radio.itu1812 import tail
from twinkit.radio.itu1812.area import exact, sweep
from twinkit.radio.itu1812.fast import arctangent, exp2, log2
from twinkit.radio.itu1812.path import p1812
from twinkit.radio.itu1812.profile import profile
from twinkit.radio.itu1812.raster import raster, terrain_profile


def hills(n=401, pixel=30.0, seed=1, relief=250.0, clutter=False, slope=1.8):
    """A fractal surface: amplitude falling as k^-slope."""
    rng = np.random.default_rng(seed)
    k = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :])
    k[0, 0] = 1.0
    waves = (rng.normal(size=k.shape) + 1j * rng.normal(size=k.shape)) * k**-slope
    waves[0, 0] = 0.0
    z = np.fft.irfft2(waves, s=(n, n))
    axis = np.arange(n) * pixel
    variables = {"ground_height": (("y", "x"), (500 + relief * z / np.abs(z).max()).astype(np.float32))}
    if clutter:
        patches = np.kron(rng.uniform(size=(n // 16 + 1, n // 16 + 1)) < 0.4, np.ones((16, 16)))[:n, :n]
        variables["clutter_height"] = (("y", "x"), (12.0 * patches).astype(np.float32))
    return xr.Dataset(variables, {"y": axis, "x": axis})


def link(surface, **changes):
    middle = float(surface.x[-1]) / 2
    return {
        "transmitter": (middle + 7.0, middle - 11.0),
        "transmitter_height": 30.0,
        "receiver_height": 1.5,
        "frequency": 2.6e9,
        "latitude": 45.0,
    } | changes


@pytest.mark.parametrize(("percentage", "clutter", "frequency"), [(50, False, 2.6e9), (10, True, 7e8), (1, False, 6e9)])
def test_single_precision_is_near_double(percentage, clutter, frequency):
    surface = hills(clutter=clutter)
    few = {"x": surface.x[::9], "y": surface.y[::9]}
    rest = link(
        surface, time_percentage=percentage, frequency=frequency, location_deviation=4.0, location_percentage=80
    )
    single = exact(surface, **rest, **few).path_loss
    double = exact(surface, **rest, **few, precision="double").path_loss
    assert single.dtype == np.float32
    error = np.abs(single - double).values
    assert np.quantile(error, 0.99) < 0.002
    assert error.max() < 0.1


def test_double_is_the_model_of_one_path():
    surface = hills(101, clutter=True)
    rest = link(surface, time_percentage=20.0)
    whole = exact(surface, **rest, precision="double").path_loss
    tx, ty = rest.pop("transmitter")
    for row, column in [(0, 0), (90, 13), (50, 99), (17, 64)]:
        x, y = float(surface.x[column]), float(surface.y[row])
        d = np.hypot(x - tx, y - ty)
        n = int(np.ceil(d / 30.0))
        along = np.linspace(0, 1, n + 1)
        at = {"x": xr.DataArray(tx + (x - tx) * along, dims="k"), "y": xr.DataArray(ty + (y - ty) * along, dims="k")}
        ground = surface.ground_height.astype(float).interp(at)
        clutter = surface.clutter_height.sel(at, method="nearest")
        one = p1812(profile(d * along, ground, clutter_height=clutter), **rest)
        assert float(whole[row, column]) == pytest.approx(one, abs=1e-8)


@pytest.mark.parametrize(("percentage", "clutter", "relief"), [(50, False, 250.0), (10, True, 100.0), (5, False, 0.0)])
def test_sweep_is_exact_on_the_radials_points(percentage, clutter, relief):
    """Along the axes and the diagonals through the transmitter, at whole steps."""
    surface = hills(301, clutter=clutter, relief=relief)
    middle = 4500.0
    rest = link(surface, transmitter=(middle, middle), time_percentage=percentage, precision="double")
    compared = 0
    for direction in ((1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1)):
        k = np.arange(9, 140) * np.array(direction)[:, None] * 30.0 / np.hypot(*direction)
        for along in range(0, k.shape[1], 7):
            point = {"x": [middle + k[0, along]], "y": [middle + k[1, along]]}
            there = exact(surface, **rest, **point).path_loss.item()
            swept = sweep(surface, **rest, **point, radials=720).path_loss.item()
            assert swept == pytest.approx(there, abs=1e-6), (direction, along)
            compared += 1
    assert compared > 100


def test_sweep_is_near_exact_everywhere():
    surface = hills(601)
    grid = {"x": np.linspace(100.0, 17900.0, 223), "y": np.linspace(100.0, 17900.0, 223)}
    truth = exact(surface, **link(surface), **grid).path_loss.values
    errors = []
    for radials in (400, None, 6000):
        swept = sweep(surface, **link(surface), **grid, radials=radials)
        assert (np.isnan(swept.path_loss.values) == np.isnan(truth)).all()
        errors.append(np.quantile(np.abs(swept.path_loss.values - truth), [0.5, 0.95, 0.99]))
    # more radials, less error
    assert (errors[0] > errors[1]).all()
    assert (errors[1] >= errors[2]).all()
    assert errors[1][0] <= 0.06
    assert errors[1][1] <= 0.8
    assert errors[1][2] <= 2.0


def test_windows_and_threads_change_nothing():
    surface = hills(201, clutter=True)
    rest = link(surface, time_percentage=10.0)
    prepared = raster(surface)
    for method, more in ((exact, {}), (sweep, {"radials": 900})):
        whole = method(surface, **rest, **more, threads=1)
        assert method(prepared, **rest, **more, threads=3).equals(whole)
        pieces = [method(prepared, **rest, **more, y=surface.y[a : a + 67], threads=1) for a in (0, 67, 134)]
        assert xr.concat(pieces, "y").equals(whole)


def test_receivers_near_and_beyond():
    surface = hills(201)
    rest = link(surface, radius=2000.0)
    tx, ty = rest["transmitter"]
    distance = np.hypot(surface.x - tx, surface.y - ty).transpose("y", "x")

    def mine(ground_distance, *, frequency):
        return ground_distance / 10 + frequency / 1e9

    for method in (exact, sweep):
        seen = method(surface, **rest, near=mine)
        near, beyond = distance < 250.0, distance > 2000.0
        assert (seen.validity.where(near, 1) == 1).all()
        assert (seen.validity.where(beyond, 2) == 2).all()
        assert seen.path_loss.where(beyond).isnull().all()
        assert (seen.path_loss.isnull() == (seen.validity == 2)).all()
        expected = np.maximum(distance, 1.0) / 10 + 2.6
        assert float(np.abs(seen.path_loss - expected).where(near).max()) < 1e-4
        assert "4/3" in seen.path_loss.attrs["assumptions"]
    default = exact(surface, **link(surface)).path_loss
    assert np.isfinite(default).all()
    on_top = exact(surface, **link(surface), x=[tx], y=[ty]).path_loss.item()
    assert on_top == pytest.approx(20 * np.log10(4 * np.pi * np.hypot(1, 28.5) * 2.6e9 / 299792458.0), abs=1e-4)


def test_zones_of_a_raster():
    surface = hills(151, relief=20.0)
    sea = xr.full_like(surface.ground_height, 4).where(surface.x < 2500, 1).astype(int)
    rest = link(surface, time_percentage=5.0, frequency=2e8)
    land = exact(surface, **rest, precision="double").path_loss
    mixed = exact(surface.assign(zone=sea), **rest).path_loss
    east, west = float(surface.x[-1]), 0.0
    assert float(abs(mixed - land).sel(x=west).max()) == pytest.approx(0.0, abs=1e-9)
    assert float(abs(mixed - land).sel(x=east).max()) > 0.5
    with pytest.raises(TwinError, match="zone"):
        sweep(surface.assign(zone=sea), **rest)
    coastal = exact(raster(surface, zone=3), **rest)
    double = exact(raster(surface, zone=3), **rest, precision="double")
    assert float(np.abs(coastal.path_loss - double.path_loss).quantile(0.99)) < 0.002


def test_a_tile_of_dask_is_a_window():
    surface = hills(121)
    rest = link(surface)
    prepared = raster(surface)
    whole = sweep(prepared, **rest, radials=800)
    rows = xr.DataArray(np.arange(121), dims="y").chunk(y=30)

    def tile(block):
        return sweep(prepared, **rest, radials=800, y=surface.y.values[block]).path_loss.values

    import dask.array as da

    lazy = da.map_blocks(tile, rows.data, dtype=np.float32, new_axis=1, chunks=(rows.data.chunks[0], (121,)))
    for workers in (1, 2):
        assert (lazy.compute(scheduler="threads", num_workers=workers) == whole.path_loss.values).all()


def test_the_profile_of_a_path_over_a_surface():
    surface = hills(101, clutter=True)
    rest = link(surface, time_percentage=20.0)
    tx, ty = rest.pop("transmitter")
    there = (float(surface.x[80]), float(surface.y[9]))
    path = terrain_profile(surface, transmitter=(tx, ty), receiver=there, step=30.0)
    assert np.diff(path.distance).max() <= 30.0
    assert float(path.distance[-1]) == pytest.approx(np.hypot(there[0] - tx, there[1] - ty))
    whole = exact(
        surface, transmitter=(tx, ty), **rest, precision="double", x=[there[0]], y=[there[1]]
    ).path_loss.item()
    assert p1812(path, **rest) == pytest.approx(whole, abs=1e-8)
    with pytest.raises(TwinError, match="receiver on the terrain"):
        terrain_profile(surface, transmitter=(tx, ty), receiver=(-1e6, 0.0))
    with pytest.raises(TwinError, match="path from 250"):
        terrain_profile(surface, transmitter=(tx, ty), receiver=(tx + 30.0, ty))


def test_a_grazing_ray_has_an_answer():
    """The ray along a plane slope touches every point: no quotient of nothing by nothing."""
    d = np.arange(0, 10_001, 100.0)
    bulge = d / 1e3 * (d[-1] - d) / 1e3 * 500.0 / (6371.0 * 157.0 / (157.0 - 39.25))
    for lift in (-1e-9, 0.0, 1e-9):
        ground = 100.0 - bulge + lift
        ground[[0, -1]] = 90.0
        loss = p1812(profile(d, ground), frequency=9e8, transmitter_height=10.0, receiver_height=10.0, latitude=45.0)
        assert 110.0 < loss < 140.0
    axis = np.arange(0.0, 12_001.0, 30.0)
    flat = xr.Dataset({"ground_height": (("y", "x"), np.zeros((401, 401)))}, {"y": axis, "x": axis})
    for height in (1.0, 1.5, 30.0, 3000.0):
        for method in (exact, sweep):
            seen = method(flat, **link(flat, transmitter_height=height, receiver_height=1.0), x=axis[::4], y=axis[::4])
            assert np.isfinite(seen.path_loss).all()


@settings(max_examples=200, deadline=None)
@given(st.floats(2.0**-100, 2.0**100, width=32))
def test_logarithm(x):
    # one lane at a time is the same arithmetic as eight
    assert float(log2(np.float32(x))) == pytest.approx(np.log2(x), abs=3e-6, rel=3e-7)


@settings(max_examples=200, deadline=None)
@given(st.floats(-120, 120, width=32), st.floats(-1e6, 1e6, width=32))
def test_power_and_angle(x, slope):
    assert float(exp2(np.float32(x))) == pytest.approx(2.0**x, rel=1e-6)
    assert float(arctangent(np.float32(slope))) == pytest.approx(np.arctan(slope), abs=2e-6)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(9, 3000),
    step=st.floats(0.005, 0.1),
    above_t=st.floats(1, 2000),
    above_r=st.floats(1, 2000),
    earth=st.sampled_from([6371.0, 8494.0, 19113.0]),
)
def test_closed_form_of_the_smooth_path(steps, step, above_t, above_r, earth):
    """The best of two points by the closed form is the best of all."""
    from twinkit.radio.itu1812.diffraction import bullington_smooth

    d = np.arange(steps + 1) * step
    frequency = 1.0
    scanned = bullington_smooth(d, above_t, above_r, earth, frequency)
    assert tail.smooth_parameter(float(steps), step, above_t, above_r, earth, 0.2998) == pytest.approx(
        scanned, abs=1e-7
    )


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("method", [exact, sweep])
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"transmitter": (-1e5, 0.0)}, "transmitter on the terrain"),
        ({"transmitter": (np.nan, 0.0)}, "transmitter on the terrain"),
        ({"x": [1e7]}, "receivers on the terrain"),
        ({"frequency": 7e9}, "frequency"),
        ({"receiver_height": 0.1}, "receiver_height"),
        ({"time_percentage": 60}, "time_percentage"),
        ({"location_percentage": 100}, "location_percentage"),
        ({"latitude": 100}, "latitude"),
        ({"polarisation": "left"}, "polarisation"),
        ({"precision": "half"}, "precision"),
        ({"radius": 100.0}, "radius"),
        ({"step": 0.0}, "step"),
        ({"threads": 0}, "threads"),
        ({"refractivity_gradient": 157.0}, "refractivity_gradient"),
    ],
)
def test_choices_outside(method, changes, match):
    surface = hills(21)
    with pytest.raises(TwinError, match=match):
        method(surface, **link(surface) | changes)


def test_bad_terrain():
    surface = hills(21)
    holes = surface.copy(deep=True)
    holes.ground_height[3, 4] = np.nan
    with pytest.raises(TwinError, match="row 3, column 4"):
        raster(holes)
    holes.ground_height[3, 4] = -32768
    with pytest.raises(TwinError, match="voids"):
        raster(holes)
    with pytest.raises(TwinError, match="sortby"):
        raster(surface.isel(y=slice(None, None, -1)))
    with pytest.raises(TwinError, match="same spacing"):
        raster(surface.assign_coords(y=surface.y * 2))
    with pytest.raises(TwinError, match="ground_height"):
        raster(surface.rename(ground_height="dem"))
    with pytest.raises(TwinError, match="axis"):
        raster(surface.isel(x=[0]))
    with pytest.raises(TwinError, match="zones"):
        raster(surface, zone=2)
    with pytest.raises(TwinError, match="radials"):
        sweep(surface, **link(surface), radials=2)
