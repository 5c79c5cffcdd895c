"""Longley-Rice against NTIA's own tables and examples, a second code, and as physics."""

from __future__ import annotations

import csv
import functools
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import twinkit as tk
from twinkit.error import TwinError
from twinkit.radio import itm
from twinkit.radio.itm.terrain import _spread, workspace

PLAIN = {"frequency": 9e8, "transmitter_height": 30, "receiver_height": 1.5, "climate": "continental temperate"}


def choices(row):
    """The columns of NTIA's files as ours."""
    mode = int(row["mdvar"])
    return {
        "frequency": float(row["f__mhz"]) * 1e6,
        "transmitter_height": float(row["h_tx__meter"]),
        "receiver_height": float(row["h_rx__meter"]),
        "climate": itm.CLIMATES[int(row["climate"]) - 1],
        "polarisation": ("horizontal", "vertical")[int(row["pol"])],
        "refractivity": float(row["N_0"]),
        "permittivity": float(row["epsilon"]),
        "conductivity": float(row["sigma"]),
        "variability": itm.MODES[mode % 10],
        "location_varies": mode // 10 % 2 == 0,
        "situation_varies": mode < 20,
    }


def shares(row):
    """Time, location and situation, or reliability and confidence."""
    if "time" in row:
        return {name: float(row[name]) for name in ("time", "location", "situation")}
    return {"time": float(row["reliability"]), "location": 50.0, "situation": float(row["confidence"])}


def rows(path):
    with path.open() as lines:
        return list(csv.DictReader(lines))


def profile(text):
    numbers = [float(n) for n in text.strip().strip(",").split(",")]
    return np.array(numbers[2 : 3 + int(numbers[0])]), numbers[1]


def sitings(row, ends=("tx_siting_criteria", "rx_siting_criteria")):
    return {
        "transmitter_siting": itm.SITINGS[int(row[ends[0]])],
        "receiver_siting": itm.SITINGS[int(row[ends[1]])],
    }


def ridges(count, samples=258, step=6.0, seed=1):
    return np.cumsum(np.random.default_rng(seed).normal(0, step, (count, samples)), axis=1) + 300


# ---------------------------------------------------------------- NTIA's tables


def test_point_to_point_is_the_reference_to_a_hundredth(testdata):
    profiles = [profile(line) for line in testdata("ntia-itm/pfls.csv").read_text().splitlines() if line.strip()]
    table = rows(testdata("ntia-itm/p2p.csv"))
    assert len(table) == len(profiles) >= 5
    for row, (heights, spacing) in zip(table, profiles, strict=True):
        loss = itm.longley_rice(heights, spacing=spacing, **choices(row), **shares(row))
        assert loss == pytest.approx(float(row["A__db"]), abs=0.0051)


def test_area_is_the_reference_to_a_tenth(testdata):
    table = rows(testdata("ntia-itm/area.csv"))
    assert len(table) >= 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in table:
            loss = itm.longley_rice_area(
                float(row["d__km"]) * 1e3,
                terrain_irregularity=float(row["delta_h__meter"]),
                **sitings(row),
                **choices(row),
                **shares(row),
            )
            assert loss == pytest.approx(float(row["A__db"]), abs=0.051)


def example(testdata, name):
    """Inputs of one example of the command line, and the text that NTIA's program printed for it."""
    folder = testdata("ntia-itm/cmd_examples")
    given_ = dict(line.strip().split(",", 1) for line in (folder / f"i_{name}.txt").read_text().splitlines())
    return given_, (folder / f"o_{name}.txt").read_text()


def printed(text, label):
    return float(re.search(rf"^{re.escape(label)} +(-?[\d.]+)", text, re.MULTILINE)[1])


def run(testdata, inputs, **more):
    ends = ("tx_site_criteria", "rx_site_criteria")
    if "d__km" in inputs:
        return itm.longley_rice_area(
            terrain_irregularity=float(inputs["delta_h__meter"]), **sitings(inputs, ends), **choices(inputs), **more
        )
    heights, spacing = profile(testdata("ntia-itm/cmd_examples/pfl.txt").read_text())
    return itm.longley_rice(heights, spacing=spacing, **choices(inputs), **more)


@pytest.mark.parametrize("name", ["areacr", "areatls", "p2pcr", "p2ptls"])
def test_the_command_line_examples_with_every_intermediate(testdata, name):
    inputs, text = example(testdata, name)
    more = {"ground_distance": float(inputs["d__km"]) * 1e3} if "d__km" in inputs else {}
    terms = run(testdata, inputs, details=True, **shares(inputs), **more)
    assert int(terms.warnings) == int(re.search(r"Warning Flags +(0x\w+)", text)[1], 16)
    assert float(terms.loss) == pytest.approx(printed(text, "Basic Transmission Loss"), abs=0.0501)
    for label, name_, unit, digits in (
        ("Free Space", "free_space_loss", 1, 1),
        ("d__km", "distance", 1e-3, 3),
        ("theta_hzn_tx", "transmitter_horizon_angle", 1e3, 3),
        ("theta_hzn_rx", "receiver_horizon_angle", 1e3, 3),
        ("d_hzn_tx__meter", "transmitter_horizon_distance", 1, 0),
        ("d_hzn_rx__meter", "receiver_horizon_distance", 1, 0),
        ("h_e_tx__meter", "transmitter_effective_height", 1, 1),
        ("h_e_rx__meter", "receiver_effective_height", 1, 1),
        ("N_s", "surface_refractivity", 1, 1),
        ("A_ref__db", "reference_attenuation", 1, 1),
        ("Mode of Propagation", "mode", 1, 0),
    ):
        assert float(terms[name_]) * unit == pytest.approx(printed(text, label), abs=0.501 * 10.0**-digits), label
    # both sections print a delta_h: the last is the one that was computed
    rough = float(re.findall(r"delta_h__meter +([\d.]+)", text)[-1])
    assert float(terms.terrain_irregularity) == pytest.approx(rough, abs=0.0501)


def test_the_command_line_table_over_distance(testdata):
    inputs, text = example(testdata, "areacr_tbl")
    body = text.split("Space")[1]
    confidence, *lines = [[float(n) for n in line.split()] for line in body.splitlines() if line.strip()]
    assert confidence == [50, 75, 90]
    assert len(lines) == 19
    distance = np.array([line[0] for line in lines])[:, None] * 1e3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = run(
            testdata,
            inputs,
            ground_distance=distance,
            time=float(inputs["reliability"]),
            situation=np.array(confidence),
        )
    np.testing.assert_allclose(loss, [line[2:] for line in lines], atol=0.0501)


def test_the_command_line_table_over_reliability(testdata):
    inputs, text = example(testdata, "p2pcr_tbl")
    body = text.split("with Confidence")[1].split("Intermediate")[0]
    confidence, *lines = [[float(n) for n in line.split()] for line in body.splitlines() if line.strip()]
    reliability = np.array([line[0] for line in lines])[:, None]
    loss = run(testdata, inputs, time=reliability, situation=np.array(confidence))
    assert loss.shape == (3, 3)
    np.testing.assert_allclose(loss, [line[1:] for line in lines], atol=0.0501)


# ---------------------------------------------------------------- a second code


@pytest.mark.parametrize("spacing", [40.0, 150.0, 400.0])
def test_itmlogic_agrees(spacing):
    pytest.importorskip("itmlogic")
    from itmlogic.preparatory_subroutines.qlrpfl import qlrpfl
    from itmlogic.preparatory_subroutines.qlrps import qlrps
    from itmlogic.statistics.avar import avar

    for heights in ridges(6):
        last = heights.size - 1
        tenth = int(0.1 * last)
        state = {"pfl": [last, spacing, *heights], "hg": [30.0, 1.5], "kwx": 0, "lvar": 5, "mdvarx": 3, "klimx": 0}
        state |= {"klim": 5, "mdvar": 3, "wlos": 0, "wscat": 0, "fmhz": 900.0}
        system = np.mean(heights[tenth : last - tenth + 1])
        state["wn"], state["gme"], state["ens"], state["zgnd"] = qlrps(900.0, system, 301.0, 1, 15.0, 0.005)
        excess, state = avar(-1.0, 0.5, 0.8, qlrpfl(state))
        free = 32.45 + 20 * np.log10(900 * last * spacing / 1e3)
        terms = itm.longley_rice(
            heights, spacing=spacing, **PLAIN, time=84.134, location=30.854, situation=21.186, details=True
        )
        assert float(terms.terrain_irregularity) == pytest.approx(state["dh"], rel=1e-6)
        # its constants are the older ones of version 1.2.2
        assert float(terms.loss) == pytest.approx(free + excess, abs=0.05)


# ---------------------------------------------------------------- as physics


@settings(max_examples=50, deadline=None)
@given(
    heights=arrays.arrays(float, st.integers(2, 80), elements=st.floats(0, 2000)),
    spacing=st.floats(30, 3000),
    tall=st.floats(1, 200),
    short=st.floats(1, 200),
)
def test_both_directions_lose_alike(heights, spacing, tall, short):
    kwargs = {"spacing": spacing, "frequency": 9e8, "climate": "desert", "details": True}
    there = itm.longley_rice(heights, transmitter_height=tall, receiver_height=short, **kwargs)
    back = itm.longley_rice(heights[::-1], transmitter_height=short, receiver_height=tall, **kwargs)
    for name in ("angle", "distance"):
        np.testing.assert_allclose(
            there[f"transmitter_horizon_{name}"], back[f"receiver_horizon_{name}"], rtol=1e-9, atol=1e-9
        )
    assert float(there.free_space_loss) == float(back.free_space_loss)
    assert np.isfinite(there.loss)


@settings(max_examples=200, deadline=None)
@given(values=arrays.arrays(float, st.sampled_from([35, 45, 245]), elements=st.floats(-1e4, 1e4)), ties=st.booleans())
def test_the_deciles_are_those_of_a_sort(values, ties):
    values = np.round(values, -3) if ties else values
    rank = (values.size + 5) // 10
    ordered = np.sort(values)
    _, few, bins = workspace()
    assert _spread(values, rank, bins, few) == pytest.approx(ordered[-rank] - ordered[rank - 1], abs=1e-9)


@given(share=st.floats(1, 98))
@settings(max_examples=25, deadline=None)
def test_the_loss_grows_with_every_share_that_must_be_served(share):
    losses = itm.longley_rice_area(
        50e3, terrain_irregularity=90, **PLAIN, time=np.array([share, share + 1]), location=60, situation=60
    )
    assert losses[1] > losses[0]


def test_the_loss_grows_with_distance_and_falls_with_the_mast():
    far = itm.longley_rice_area(np.geomspace(2e3, 500e3, 60), terrain_irregularity=90, **PLAIN)
    assert (np.diff(far) > 0).all()
    high = itm.longley_rice_area(
        30e3, terrain_irregularity=90, **(PLAIN | {"transmitter_height": np.array([10.0, 30, 100, 300])})
    )
    assert (np.diff(high) < 0).all()


def test_a_flat_path_at_sea_is_area_without_irregularity():
    flat = itm.longley_rice(np.zeros(400), spacing=100, **PLAIN, details=True)
    assert float(flat.terrain_irregularity) == 0
    area = itm.longley_rice_area(39.9e3, terrain_irregularity=0, **PLAIN)
    # the modes differ only in how low antennas are weighted
    assert float(flat.loss) == pytest.approx(area, abs=3)


def test_many_paths_on_threads_are_the_single_ones():
    heights = ridges(3000, samples=40, step=20.0)
    spacing = np.linspace(100, 1500, 3000)
    together = itm.longley_rice(heights, spacing=spacing, **PLAIN)
    alone = [itm.longley_rice(heights[i], spacing=spacing[i], **PLAIN) for i in range(0, 3000, 271)]
    np.testing.assert_array_equal(together[::271], alone)
    thin = itm.longley_rice(heights.astype(np.float32), spacing=spacing, **PLAIN)
    assert np.quantile(np.abs(thin - together), 0.99) < 0.01


def test_a_thread_of_dask_starts_no_others(monkeypatch):
    seen = []
    monkeypatch.setattr(itm, "_in_threads", lambda fill, paths, workers: (seen.append(workers), fill(0, paths)))
    heights = ridges(20, samples=30)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(itm.longley_rice, heights, spacing=50.0, **PLAIN).result()
    assert seen == [1]
    itm.longley_rice(heights, spacing=50.0, **PLAIN)
    assert seen[1] >= 1


def test_labelled_profiles_stay_labelled_and_lazy():
    heights = xr.DataArray(ridges(12).reshape(3, 4, 258), dims=("y", "x", "sample"), attrs={"units": "m"})
    spacing = xr.DataArray([50.0, 100.0, 200.0], dims="y")
    eager = itm.longley_rice(heights, spacing=spacing, **PLAIN)
    assert eager.dims == ("y", "x")
    assert eager.attrs["units"] == "dB"
    lazy = itm.longley_rice(heights.chunk(y=1), spacing=spacing, **PLAIN)
    assert isinstance(lazy.data, da.Array)
    xr.testing.assert_identical(lazy.compute(), eager)
    terms = itm.longley_rice(heights, spacing=spacing, **PLAIN, details=True)
    assert set(terms) == set(itm.TERMS)
    np.testing.assert_array_equal(terms.loss, eager)
    area = itm.longley_rice_area(spacing * 100, terrain_irregularity=90, **PLAIN)
    assert area.dims == ("y",)
    assert area.attrs["units"] == "dB"


def test_the_spacing_may_stand_in_the_coordinate():
    heights = xr.DataArray(ridges(1)[0], dims="distance", coords={"distance": 40.0 * np.arange(258)})
    plain = itm.longley_rice(heights.values, spacing=40.0, **PLAIN)
    assert float(itm.longley_rice(heights, **PLAIN)) == pytest.approx(plain, abs=1e-9)
    for wrong in (heights.values, heights.drop_vars("distance"), heights.isel(distance=[0, 1, 3, 4]), heights[:1]):
        with pytest.raises(TwinError, match=r"distance|step"):
            itm.longley_rice(wrong, **PLAIN)


def test_the_area_mode_is_a_path_loss_for_coverage(small_twin):
    twin = small_twin(sites=3, pixels=30, step=500.0)
    hills = functools.partial(itm.longley_rice_area, terrain_irregularity=90, climate="equatorial")
    rough = functools.partial(itm.longley_rice_area, terrain_irregularity=200, climate="equatorial")
    gentle, steep = (tk.radio.coverage(twin, path_loss=model).rsrp.compute() for model in (hills, rough))
    assert np.isfinite(gentle).all()
    assert float(gentle.mean()) > float(steep.mean())


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"frequency": 900}, "frequency"),
        ({"frequency": np.nan}, "frequency"),
        ({"transmitter_height": 0.1}, "transmitter_height"),
        ({"receiver_height": 5000}, "receiver_height"),
        ({"climate": "temperate"}, "climate"),
        ({"polarisation": "circular"}, "polarisation"),
        ({"refractivity": 200}, "refractivity"),
        ({"permittivity": 0.5}, "permittivity"),
        ({"conductivity": 0}, "conductivity"),
        ({"time": 0}, "time"),
        ({"location": 100}, "location"),
        ({"situation": -1}, "situation"),
        ({"variability": "none"}, "variability"),
        ({"spacing": 0}, "spacing"),
        ({"heights": np.array([1.0])}, "heights"),
        ({"heights": np.array([1.0, np.nan, 2.0])}, "void"),
        ({"heights": xr.DataArray([1.0, 2.0], dims="x")}, "sample"),
    ],
)
def test_bad_input_is_one_clear_error(change, word):
    good = {"heights": np.zeros(30), "spacing": 100.0, **PLAIN} | change
    with pytest.raises(TwinError, match=word):
        itm.longley_rice(good.pop("heights"), **good)


def test_a_path_that_leaves_the_model_is_named():
    heights = np.zeros((3, 30))
    heights[1] = 9000.0  # the refractivity up there is below 150
    with pytest.raises(TwinError, match="first at path 1"):
        itm.longley_rice(heights, spacing=100.0, **PLAIN)
    with pytest.raises(TwinError, match="defined"):
        itm.longley_rice(np.zeros(30), spacing=100.0, **(PLAIN | {"frequency": 5e7, "conductivity": 1000}))


@pytest.mark.parametrize(
    "change", [{"terrain_irregularity": -1}, {"transmitter_siting": "lucky"}, {"ground_distance": 0.0}]
)
def test_bad_choices_of_the_area_mode(change):
    with pytest.raises(TwinError):
        itm.longley_rice_area(**({"ground_distance": 1e4, "terrain_irregularity": 90, **PLAIN} | change))


def test_inputs_near_a_limit_warn_and_details_carry_the_flags():
    near = PLAIN | {"frequency": 15e9}
    with pytest.warns(UserWarning, match="frequency is near"):
        itm.longley_rice_area(1e4, terrain_irregularity=90, **near)
    terms = itm.longley_rice_area(np.array([500.0, 1e4]), terrain_irregularity=90, **near, details=True)
    assert terms.warnings.values.tolist() == [0x44, 0x04]
    assert terms.warnings.attrs["flag_masks"][2] == 0x04
