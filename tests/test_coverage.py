"""Coverage: the numbers of a plain loop, in tiles, lazily, on other machines' workers, within a ceiling of memory."""

import functools
import math
import os
import subprocess
import sys

import dask
import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, extend, radio
from twinkit.contract import physics

C = 299_792_458.0


def student(distance, *, frequency):
    return 20 * np.log10(4 * math.pi * distance * frequency / C)


def by_hand(twin, loss, receiver_height=1.5):
    """Every cell at every pixel by one plain loop, with the equations of TR 36.814 and TS 36.214 written out again."""
    surface = twin["surface"].to_dataset()
    y, x = surface.y.values, surface.x.values
    level = np.full((twin["cells"].sizes["cell"], len(y), len(x)), -np.inf)
    for c, cell in enumerate(twin["cells"].to_dataset().transpose("cell").cell.values):
        row = twin["cells"].to_dataset().sel(cell=cell)
        site = twin["sites"].to_dataset().sel(site=row.site.item())
        i = int(np.argmin(abs(y - site.y.item())))
        j = int(np.argmin(abs(x - site.x.item())))
        top = float(surface.ground_height[i, j]) + site.height.item()
        for p in range(len(y)):
            for q in range(len(x)):
                dx, dy = x[q] - site.x.item(), y[p] - site.y.item()
                drop = float(surface.ground_height[p, q]) + receiver_height - top
                ground = math.hypot(dx, dy)
                off = (math.degrees(math.atan2(dx, dy)) - row.azimuth.item() + 180) % 360 - 180
                up = math.degrees(math.atan2(drop, ground))
                gain = 0.0
                if row.antenna.item() == "sector":
                    down = min(12 * (off / 65) ** 2, 25) + min(12 * ((up + row.downtilt.item()) / 10) ** 2, 20)
                    gain = 15 - min(down, 25)
                power = row.transmit_power.item() - 10 * math.log10(0.9 * row.bandwidth.item() / 15e3)
                level[c, p, q] = power + gain - loss(math.hypot(ground, drop), row.frequency.item())
    return level


@pytest.mark.parametrize("antenna", ["sector", "omni"])
def test_the_numbers_are_those_of_a_plain_loop(small_twin, antenna):
    twin = small_twin(sites=3, pixels=20, step=700.0, antenna=antenna)
    got = radio.coverage(twin, path_loss=radio.free_space)
    level = by_hand(twin, lambda d, f: 20 * math.log10(4 * math.pi * d * f / C))
    np.testing.assert_allclose(got.rsrp, level.max(0), atol=2e-5)
    chosen = np.take_along_axis(level, got.server.values[None], 0)[0]
    np.testing.assert_allclose(chosen, level.max(0), atol=2e-5)
    assert len(np.unique(got.server)) > 2
    assert got.rsrp.dtype == np.float32
    assert got.server.dtype == np.int32
    assert got.rsrp.attrs["units"] == "dBm"
    assert "15000 Hz subcarriers" in got.rsrp.attrs["assumptions"]
    assert got.rsrp.attrs["provenance"] == "modelled: coverage with twinkit.radio.free_space.free_space"


def alone(twin, **cell):
    """The twin with one cell, in the middle of the map on flat ground."""
    surface = twin["surface"].to_dataset()
    middle = {"x": ("site", [float(surface.x.mean())]), "y": ("site", [float(surface.y.mean())])}
    site = xr.Dataset({**middle, "height": ("site", [30.0])}, {"site": ["m"]})
    make = {"azimuth": 0.0, "downtilt": 0.0, "frequency": 8e8, "bandwidth": 1e7, "transmit_power": 46.0, **cell}
    make = {"site": "m", "antenna": "sector", **make}
    cells = xr.Dataset({k: ("cell", [v]) for k, v in make.items()}, {"cell": ["m1"]})
    flat = surface.assign(ground_height=surface.ground_height * 0)
    return extend(twin, sites=site, cells=cells, surface=flat)


@pytest.mark.parametrize(("azimuth", "side"), [(0, "north"), (90, "east"), (180, "south"), (270, "west")])
def test_a_sector_looks_where_its_azimuth_points(small_twin, azimuth, side):
    rsrp = radio.coverage(alone(small_twin(pixels=41), azimuth=float(azimuth)), path_loss=student).rsrp
    last = rsrp.sizes["x"] - 1
    edges = {
        "north": rsrp.isel(y=last, x=20), "south": rsrp.isel(y=0, x=20),
        "east": rsrp.isel(y=20, x=last), "west": rsrp.isel(y=20, x=0),
    }  # fmt: skip
    assert max(edges, key=lambda k: float(edges[k])) == side
    others = [float(v) for k, v in edges.items() if k != side]
    assert float(edges[side]) - max(others) > 20


def test_downtilt_brings_the_beam_to_the_ground(small_twin):
    # 28.5 m above the receiver, 500 m away: 3.26 degree below the horizon
    twin = small_twin(pixels=41, step=25.0)
    level, tilted = (
        radio.coverage(alone(twin, downtilt=t), path_loss=student).rsrp.isel(y=40, x=20) for t in (0.0, 3.2622)
    )
    assert float(tilted - level) == pytest.approx(12 * (3.2622 / 10) ** 2, abs=1e-3)


def test_each_cell_at_its_own_frequency_and_power(small_twin):
    twin = small_twin(pixels=9)
    low = radio.coverage(alone(twin, frequency=7e8), path_loss=student).rsrp
    high = radio.coverage(alone(twin, frequency=2.1e9), path_loss=student).rsrp
    np.testing.assert_allclose(low - high, 20 * math.log10(3), atol=1e-4)
    wide = radio.coverage(alone(twin, bandwidth=2e7), path_loss=student).rsrp
    narrow = radio.coverage(alone(twin), path_loss=student).rsrp
    np.testing.assert_allclose(narrow - wide, 10 * math.log10(2), atol=1e-4)


def test_equal_levels_go_to_the_first_cell(small_twin):
    twin = alone(small_twin(pixels=9), antenna="omni")
    cells = twin["cells"].to_dataset()
    both = xr.concat([cells, cells.assign_coords(cell=["m2"])], dim="cell")
    assert (radio.coverage(extend(twin, cells=both), path_loss=student).server == 0).all()


# ---------------------------------------------------------------- lazy, in tiles, on workers


@pytest.fixture(scope="module")
def wide(small_twin):
    return small_twin(sites=12, pixels=300, step=300.0)


@pytest.fixture(scope="module")
def whole(wide):
    return radio.coverage(wide, path_loss=radio.free_space)


def chunked(twin, **sizes):
    return twin.map_over_datasets(lambda ds: ds.chunk({d: n for d, n in sizes.items() if d in ds.dims}))


@pytest.mark.parametrize(
    "sizes", [{"y": 300, "x": 300}, {"y": 77, "x": 130}, {"y": 10, "x": 300}, {"site": 5, "cell": 7}]
)
def test_lazy_data_give_the_same_bytes_and_stay_lazy(wide, whole, sizes):
    lazy = radio.coverage(chunked(wide, **sizes), path_loss=radio.free_space)
    assert lazy.rsrp.chunks
    assert lazy.server.chunks
    assert lazy.rsrp.attrs == whole.rsrp.attrs
    for name in ("rsrp", "server"):
        np.testing.assert_array_equal(lazy[name].values, whole[name].values)


def test_no_block_holds_all_cells(wide):
    lazy = radio.coverage(chunked(wide, y=300, x=300), path_loss=radio.free_space)
    assert all(dims == ("y", "x") for dims in (lazy.rsrp.dims, lazy.server.dims))
    assert max(len(c) for c in lazy.rsrp.chunks) == 1
    large = wide["surface"].to_dataset().reindex(
        y=500_000 + 300.0 * np.arange(3000), x=500_000 + 300.0 * np.arange(3000), method="nearest"
    )  # fmt: skip
    tiles = radio.coverage(chunked(extend(wide, surface=large), y=3000, x=3000), path_loss=radio.free_space).rsrp.chunks
    assert max(max(c) for c in tiles) <= 1024


@pytest.mark.parametrize("model", [radio.free_space, radio.uma, radio.rma_los], ids=lambda m: m.__name__)
def test_masts_left_out_would_not_have_won(wide, model):
    full = functools.partial(model)
    # the same function without its promise is evaluated everywhere

    @functools.wraps(model)
    def unpromised(**quantities):
        return model(**quantities)

    unpromised.grows_with = ""
    quick, slow = (radio.coverage(wide, path_loss=m) for m in (full, unpromised))
    np.testing.assert_array_equal(quick.rsrp.values, slow.rsrp.values)
    np.testing.assert_array_equal(quick.server.values, slow.server.values)


def test_two_workers_give_the_same_bytes(workers, wide, whole):
    lazy = radio.coverage(chunked(wide, y=100, x=150), path_loss=radio.free_space)
    assert len(workers.scheduler_info()["workers"]) == 2
    there = lazy.compute(scheduler=workers)
    np.testing.assert_array_equal(there.rsrp.values, whole.rsrp.values)
    np.testing.assert_array_equal(there.server.values, whole.server.values)


def test_a_students_model_travels_to_the_workers_and_its_error_comes_home(workers, wide):
    lazy = chunked(wide, y=150, x=150)
    near = radio.coverage(lazy, path_loss=lambda distance: 20 + 35 * np.log10(distance)).rsrp
    assert float(near.max().compute(scheduler=workers)) < 0
    with pytest.raises(TwinError, match="NaN at"):
        radio.coverage(lazy, path_loss=lambda distance: np.log10(distance - 1e4) + 0 * distance).rsrp.compute(
            scheduler=workers
        )


class Counter(dask.callbacks.Callback):
    """What a progress bar of dask sees."""

    def __init__(self):
        self.done = 0

    def _posttask(self, *_):
        self.done += 1


def test_a_progress_bar_sees_the_tiles(wide):
    for twin in (wide, chunked(wide, y=150, x=150)):
        with Counter() as seen, dask.config.set(scheduler="threads"):
            radio.coverage(twin, path_loss=radio.free_space).rsrp.compute()
        assert seen.done >= 4


LARGE = """
import resource, sys
import numpy as np, xarray as xr, dask
import twinkit as tk
from twinkit import radio, city
# the package is lazy: what it imports and compiles is no memory of the stage
import pyproj, zarr, dask.array, dask.graph_manipulation
radio.coverage, city.share, radio.free_space(np.full(4, 1e3), frequency=1e9)
pixels, sites, how = int(sys.argv[1]), 60, sys.argv[2]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def hills(y, x):
    return (100 * np.sin(y / 5e3) * np.cos(x / 7e3)).astype("f4")

def twin(lazy):
    import dask.array as da
    rng, axis = np.random.default_rng(1), np.arange(pixels) * 30.0
    names = [f"s{i}" for i in range(sites)]
    at = rng.uniform(0, axis[-1], (2, sites))
    mast = {"x": ("site", at[0]), "y": ("site", at[1]), "height": ("site", np.full(sites, 30.0))}
    make = {"downtilt": 3.0, "frequency": 8e8, "bandwidth": 1e7, "transmit_power": 46.0}
    cells = {k: ("cell", np.full(sites, v)) for k, v in make.items()}
    cells |= {"azimuth": ("cell", rng.uniform(0, 360, sites)), "antenna": ("cell", ["omni"] * sites)}
    cells["site"] = ("cell", names)
    if lazy:
        y, x = da.from_array(axis[:, None], chunks=(512, 1)), da.from_array(axis[None, :], chunks=(1, 512))
        ground = da.map_blocks(hills, y, x, dtype="f4", chunks=(y.chunks[0], x.chunks[1]))
    else:
        ground = np.empty((pixels, pixels), "f4")
        for i in range(pixels):
            ground[i] = hills(axis[i], axis)
    surface = xr.Dataset({"ground_height": (("y", "x"), ground)}, {"y": axis, "x": axis})
    nodes = {"sites": xr.Dataset(mast, {"site": names}), "cells": xr.Dataset(cells, {"cell": names})}
    return tk.assemble({**nodes, "surface": surface}, title="large", crs="EPSG:32643")

imported = peak()
got = radio.coverage(twin(how != "eager"), path_loss=radio.free_space)
if how == "share":
    people = xr.ones_like(got.rsrp).rename("people").assign_attrs(units="people")
    print(float(city.share(got.rsrp > -80, of=people)))
elif how == "zarr":
    got.drop_attrs().to_zarr(sys.argv[3], consolidated=False)
    print(float((xr.open_zarr(sys.argv[3], consolidated=False).rsrp > -80).mean()))
else:
    print(float((got.rsrp > -80).mean()))
print(peak() - imported)
"""


@pytest.mark.parametrize("how", ["share", "zarr", "eager"])
def test_sixty_masts_on_sixteen_million_pixels_stay_under_the_ceiling(how, tmp_path):
    environment = os.environ | {"DASK_NUM_WORKERS": "2", "NUMBA_NUM_THREADS": "2"}
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LARGE, "4000", how, str(tmp_path / "cov.zarr")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    share, megabytes = map(float, out.stdout.split())
    assert share == pytest.approx(0.0743486875, abs=2e-6), "the three ways do not agree"
    assert megabytes < 250, f"{megabytes:.0f} MB above the import"


# ---------------------------------------------------------------- where there is no answer


def test_beyond_a_models_range_there_is_no_number(small_twin):
    twin = alone(small_twin(pixels=61, step=250.0), antenna="omni")
    got = radio.coverage(twin, path_loss=radio.uma)
    surface = twin["surface"].to_dataset()
    away = np.hypot(surface.y - surface.y.mean(), surface.x - surface.x.mean())
    np.testing.assert_array_equal(np.isnan(got.rsrp), away > 5000)
    np.testing.assert_array_equal(got.server == -1, away > 5000)
    assert "farther than the model's 5000 m (TR 38.901, Table 7.4.1-1)" in got.rsrp.attrs["validity"]
    # under the mast the loss at the near end counts, which is no less than the true one
    least = radio.uma(10.0, frequency=8e8, transmitter_height=30.0, receiver_height=1.5)
    assert got.rsrp.isel(y=30, x=30) == pytest.approx(46 - 10 * math.log10(600) - least, abs=1e-4)
    assert "nearer than 10 m take the loss at 10 m" in got.rsrp.attrs["validity"]


def test_a_range_of_the_straight_line_is_kept_too(small_twin):
    @physics(gives="path_loss", valid={"distance": (100.0, 3000.0)}, distance="m")
    def narrow(distance):
        return 30 + 30 * np.log10(distance)

    twin = alone(small_twin(pixels=41, step=250.0), antenna="omni")
    got = radio.coverage(twin, path_loss=narrow).rsrp
    surface = twin["surface"].to_dataset()
    away = np.sqrt((surface.y - surface.y.mean()) ** 2 + (surface.x - surface.x.mean()) ** 2 + 28.5**2)
    np.testing.assert_array_equal(np.isnan(got), away > 3000)
    assert float(got.max()) == pytest.approx(46 - 10 * math.log10(600) - 90, abs=1e-4)


def test_unknown_ground_has_no_number_and_harms_no_neighbour(small_twin):
    twin = small_twin(pixels=30)
    full = radio.coverage(twin, path_loss=student)
    void = twin["surface"].to_dataset()
    hole = (void.y > void.y[25]) & (void.x > void.x[25])
    got = radio.coverage(
        extend(twin, surface=void.assign(ground_height=void.ground_height.where(~hole))), path_loss=student
    )
    np.testing.assert_array_equal(got.rsrp.values, full.rsrp.where(~hole).values)
    assert (got.server.where(hole, -1) == -1).all()


def test_a_mast_outside_the_map_still_shines_in(small_twin):
    twin = small_twin(sites=1)
    moved = twin["sites"].to_dataset().assign(x=("site", [480_000.0]))
    got = radio.coverage(extend(twin, sites=moved), path_loss=student)
    west, east = float(got.rsrp.isel(x=0).mean()), float(got.rsrp.isel(x=-1).mean())
    assert west > east
    assert "outside the map" in got.rsrp.attrs["assumptions"]


# ---------------------------------------------------------------- what is refused


def needs_more(distance, *, rain):
    return distance * rain


def constant(distance):
    return np.full(3, 100.0)


BAD_MODELS = {
    "a name": ("free_space", "pass the function itself"),
    "an unknown parameter": (needs_more, "a parameter 'rain' without a default"),
    "a near miss": (lambda ground_distnace: ground_distnace, "name it 'ground_distance'"),
    "nothing asked": (lambda: 100.0, "a function of none of them"),
    "another shape": (constant, "shape"),
    "NaN": (lambda distance: np.where(distance > 1000, np.nan, 100.0), "NaN at"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_bad_model_is_refused_by_name(small_twin, case):
    model, said = BAD_MODELS[case]
    with pytest.raises(TwinError, match=said):
        radio.coverage(small_twin(), path_loss=model)


def test_a_parameter_can_be_set_beforehand(small_twin):
    twin = small_twin()
    low = radio.coverage(twin, path_loss=functools.partial(radio.rma, building_height=5.0)).rsrp
    high = radio.coverage(twin, path_loss=functools.partial(radio.rma, building_height=20.0)).rsrp
    assert float((low - high).mean()) > 1
    assert high.attrs["provenance"].endswith("twinkit.radio.tr38901.rma")


def test_a_mast_that_the_model_does_not_cover_is_an_error(small_twin):
    with pytest.raises(TwinError, match="transmitter_height from 10 to 150 m"):
        radio.coverage(small_twin(height=8.0), path_loss=radio.uma)


def test_an_antenna_of_ones_own(small_twin):
    twin = alone(small_twin(), antenna="panel")
    with pytest.raises(TwinError, match=r"an antenna among omni, sector; found 'panel'"):
        radio.coverage(twin, path_loss=student)
    plain = radio.coverage(alone(small_twin(), antenna="omni"), path_loss=student).rsrp
    panel = radio.coverage(twin, path_loss=student, antennas={"panel": lambda azimuth, elevation: 0 * azimuth + 7}).rsrp
    np.testing.assert_allclose(panel - plain, 7, atol=1e-4)


def changed(twin, node, **columns):
    ds = twin[node].to_dataset()
    return extend(twin, **{node: ds.assign({k: (ds[k].dims, v) for k, v in columns.items()})})


def test_faults_of_the_network_are_named(small_twin):
    twin = small_twin(sites=2)
    faults = {
        "cells/site.*found 's9'": changed(twin, "cells", site=["s9"] * 6),
        "cells/frequency.*none at cell 's0-0'": changed(twin, "cells", frequency=[np.nan] * 6),
        "sites/height.*none at site 's1'": changed(twin, "sites", height=[30.0, np.nan]),
        "no ground height under site": changed(twin, "surface", ground_height=np.full((40, 40), np.nan)),
    }
    for said, broken in faults.items():
        with pytest.raises(TwinError, match=said):
            radio.coverage(broken, path_loss=student)
        with pytest.raises(TwinError, match=said):
            radio.coverage(chunked(broken, y=20), path_loss=student).rsrp.compute()


def test_a_surface_that_is_not_even_is_refused(small_twin):
    twin = small_twin()
    surface = twin["surface"].to_dataset()
    with pytest.raises(TwinError, match="surface/y: expected y ascending and evenly spaced"):
        radio.coverage(extend(twin, surface=surface.isel(y=slice(None, None, -1))), path_loss=student)
    with pytest.raises(TwinError, match="surface/x: expected x ascending"):
        radio.coverage(extend(twin, surface=surface.isel(x=[0, 1, 5])), path_loss=student)


@pytest.mark.parametrize(
    "choice", [{"receiver_height": -1.0}, {"receiver_height": "low"}, {"subcarrier_spacing": 15.0}]
)
def test_absurd_choices_are_refused(small_twin, choice):
    with pytest.raises(TwinError, match=next(iter(choice))):
        radio.coverage(small_twin(), path_loss=student, **choice)
