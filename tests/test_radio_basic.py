"""Free space and TR 38.901: against another code, in their limits, and with every kind of argument."""

import functools
import importlib
import inspect
import math
import threading
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twinkit import TwinError, radio

LOSSES = {
    name: getattr(radio, name)
    for name in ("uma_los", "uma_nlos", "uma", "umi_los", "umi_nlos", "umi", "rma_los", "rma_nlos", "rma")
}
MAST = {"uma": 25.0, "umi": 10.0, "rma": 35.0}


def ready(name, **more):
    """The model with the heights and the frequency of its scenario."""
    choices = {"frequency": 2e9, "transmitter_height": MAST[name[:3]], "receiver_height": 1.5}
    return functools.partial(LOSSES[name], **{**choices, **more})


# ---------------------------------------------------------------- another code


@pytest.fixture(scope="module")
def pycraf():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pathprof = pytest.importorskip("pycraf.pathprof")
        units = importlib.import_module("astropy.units")
    return {
        "uma": pathprof.imt_urban_macro_losses,
        "umi": pathprof.imt_urban_micro_losses,
        "rma": pathprof.imt_rural_macro_losses,
    }, units


# Heights and frequencies [GHz] that put the breakpoint before, inside and beyond 10 m to 5 km.
GRID = {
    "uma": ([10, 25, 150], [1.5, 5, 13], [0.5, 0.8, 3.5, 30]),
    "umi": ([10, 25], [1.5, 5, 22.5], [0.5, 2, 28, 100]),
    "rma": ([10, 35, 150], [1, 1.5, 10], [0.5, 0.7, 3.5, 30]),
}


@pytest.mark.parametrize("scenario", GRID)
def test_losses_and_probability_are_those_of_pycraf(scenario, pycraf):
    functions, units = pycraf
    distance = np.geomspace(10, 5000, 400)
    masts, receivers, frequencies = GRID[scenario]
    sides = set()
    for mast, receiver, frequency in np.array(np.meshgrid(masts, receivers, frequencies)).T.reshape(-1, 3):
        los, nlos, sight = functions[scenario](
            frequency * units.GHz, distance * units.m, h_bs=mast * units.m, h_ue=receiver * units.m
        )
        given = {"frequency": frequency * 1e9, "transmitter_height": mast, "receiver_height": receiver}
        np.testing.assert_allclose(LOSSES[f"{scenario}_los"](distance, **given), los.value, atol=1e-9)
        np.testing.assert_allclose(LOSSES[f"{scenario}_nlos"](distance, **given), nlos.value, atol=1e-9)
        chance = getattr(radio, f"{scenario}_los_probability")
        asked = {"receiver_height": receiver} if scenario == "uma" else {}
        np.testing.assert_allclose(chance(distance, **asked), sight.value, atol=1e-12)
        mean = sight.value * los.value + (1 - sight.value) * nlos.value
        np.testing.assert_allclose(LOSSES[scenario](distance, **given), mean, atol=1e-9)
        above = (mast * receiver * 2 * math.pi) if scenario == "rma" else 4 * (mast - 1) * (receiver - 1)
        sides |= set(np.sign(distance - above * frequency * 1e9 / 3e8))
    assert sides == {-1.0, 1.0}, "the grid lies on one side of every breakpoint"


@pytest.mark.parametrize("building", [5.0, 12.0, 50.0])
def test_rma_follows_buildings_and_streets_as_pycraf_does(building, pycraf):
    functions, units = pycraf
    distance = np.geomspace(10, 5000, 50)
    los, nlos, _ = functions["rma"](
        2 * units.GHz, distance * units.m, h_bs=35 * units.m, h_ue=1.5 * units.m, W=8 * units.m, h=building * units.m
    )
    np.testing.assert_allclose(ready("rma_los", building_height=building)(distance), los.value, atol=1e-9)
    mine = ready("rma_nlos", building_height=building, street_width=8.0)(distance)
    np.testing.assert_allclose(mine, nlos.value, atol=1e-9)


# ---------------------------------------------------------------- what must hold everywhere

METRE = st.floats(10.0, 5000.0)


@given(near=METRE, far=METRE, name=st.sampled_from(sorted(LOSSES)), gigahertz=st.floats(0.5, 30.0))
def test_loss_never_falls_with_distance(near, far, name, gigahertz):
    # coverage leaves masts out on the strength of this promise
    near, far = sorted((near, far))
    model = ready(name, frequency=gigahertz * 1e9)
    assert LOSSES[name].grows_with == "ground_distance"
    assert model(near) <= model(far) + 1e-9


@given(METRE, st.sampled_from(["uma", "umi", "rma"]), st.floats(0.5, 30.0))
def test_the_mean_lies_between_sight_and_no_sight(distance, scenario, gigahertz):
    low, mid, high = (
        ready(n, frequency=gigahertz * 1e9)(distance) for n in (f"{scenario}_los", scenario, f"{scenario}_nlos")
    )
    assert low - 1e-9 <= mid <= high + 1e-9


@given(st.floats(1.0, 1e6), st.floats(1e9, 1e11))
def test_free_space_is_the_inverse_square(distance, frequency):
    loss = radio.free_space(distance, frequency=frequency)
    assert radio.free_space(2 * distance, frequency=frequency) == pytest.approx(loss + 20 * math.log10(2))
    # the wave equation's own form: received over transmitted power between isotropic antennas
    assert 10 ** (-loss / 10) == pytest.approx((299792458 / (4 * math.pi * distance * frequency)) ** 2)


@pytest.mark.parametrize("scenario", ["uma", "umi"])
def test_the_two_branches_meet_at_the_breakpoint(scenario):
    bend = 4 * (MAST[scenario] - 1) * 0.5 * 2e9 / 3e8
    los = ready(f"{scenario}_los")
    assert los(bend * (1 + 1e-9)) == pytest.approx(los(bend), abs=1e-6)


# ---------------------------------------------------------------- ranges and arguments

OUT = [
    ("uma", 9.9, {}, "ground_distance from 10 to 5000 m"),
    ("uma", 5001, {}, "found 5001 m"),
    ("uma", 100, {"frequency": 2e6}, "frequency from 5e\\+08"),
    ("uma_los", 100, {"receiver_height": 20.0}, "receiver_height from 1.5 to 13 m"),
    ("umi", 100, {"transmitter_height": 60.0}, "transmitter_height from 3 to 25 m"),
    ("rma_los", 10_001, {}, "ground_distance from 10 to 10000 m"),
    ("rma", 100, {"building_height": 2.0}, "building_height from 5 to 50 m"),
    ("rma_nlos", 100, {"frequency": 60e9}, "frequency from 5e\\+08 to 3e\\+10 Hz"),
    ("umi_nlos", math.nan, {}, "a value that is not a number"),
]


@pytest.mark.parametrize(("name", "distance", "choices", "said"), OUT)
def test_a_value_out_of_range_is_refused_with_its_range(name, distance, choices, said):
    with pytest.raises(TwinError, match=said):
        ready(name, **choices)(distance)


@pytest.mark.parametrize(("distance", "frequency"), [(0.0, 1e9), (-5.0, 1e9), (0.1, 1e9), (math.nan, 1e9)])
def test_free_space_begins_at_a_wavelength(distance, frequency):
    with pytest.raises(TwinError, match=r"at least one wavelength \(0\.299792 m\)"):
        radio.free_space(distance, frequency=frequency)


def test_megahertz_for_hertz_is_refused():
    with pytest.raises(TwinError, match="frequency from 3000"):
        radio.free_space(1000, frequency=2400)


@pytest.mark.parametrize("name", ["free_space", *LOSSES])
def test_numbers_arrays_labelled_and_lazy_give_the_same(name):
    model = functools.partial(radio.free_space, frequency=2e9) if name == "free_space" else ready(name)
    values = np.geomspace(20, 5000, 64)
    plain = model(values)
    assert isinstance(model(100.0), float)
    assert model(values[3]) == plain[3]
    unit = {"units": "m", "comment": "gone"}
    labelled = model(xr.DataArray(values, dims="distance", attrs=unit))
    assert labelled.name == "path_loss"
    assert labelled.attrs["units"] == "dB"
    assert "comment" not in labelled.attrs
    np.testing.assert_array_equal(labelled.values, plain)
    lazy = model(xr.DataArray(values, dims="distance", attrs=unit).chunk(distance=10))
    assert lazy.chunks == ((10,) * 6 + (4,),)
    np.testing.assert_array_equal(lazy.compute().values, plain)
    with pytest.raises(TwinError, match="unit 'km'"):
        model(xr.DataArray(values, dims="distance", attrs={"units": "km"}))


@pytest.mark.parametrize("name", ["free_space", *LOSSES])
def test_a_lazy_value_out_of_range_is_refused_when_computed(name):
    model = functools.partial(radio.free_space, frequency=2e9) if name == "free_space" else ready(name)
    lazy = model(xr.DataArray([100.0, 0.01], dims="distance").chunk(1))
    with pytest.raises(TwinError, match="distance"):
        lazy.compute()


@pytest.mark.parametrize("name", LOSSES)
def test_a_model_names_only_what_coverage_can_give(name):
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    known = {"distance", "ground_distance", "frequency", "transmitter_height", "receiver_height"}
    assert all(p.name in known or p.default is not p.empty for p in parameters)


def test_a_kernel_compiles_once_whatever_the_threads():
    numba = importlib.import_module("numba")
    mapped = importlib.import_module("twinkit.radio.elementwise").mapped

    @numba.njit
    def twice(x):
        return 2 * x

    function, said = mapped(twice), []
    together = threading.Barrier(4)

    def call():
        together.wait()
        try:
            said.append(function(np.ones(3)).sum())
        except Warning as warning:
            said.append(warning)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert said == [6.0] * 4


# ---------------------------------------------------------------- the front door of the package


def test_a_name_means_the_function_even_after_its_file_was_imported():
    for name in ("coverage", "free_space"):
        importlib.import_module(f"twinkit.radio.{name}")
        assert callable(getattr(radio, name))
        assert inspect.isfunction(getattr(radio, name))


def test_every_name_leads_somewhere():
    for name in radio.__all__:
        assert not inspect.ismodule(getattr(radio, name)), name
    assert set(radio.__all__) <= set(dir(radio))
    with pytest.raises(AttributeError, match="no attribute 'hata'"):
        _ = radio.hata


def test_power_of_a_resource_element():
    # 20 MHz of LTE: 100 resource blocks of 12 subcarriers
    got = radio.resource_element_power(46.0, bandwidth=20e6, subcarrier_spacing=15e3)
    assert got == pytest.approx(46 - 10 * math.log10(1200))
