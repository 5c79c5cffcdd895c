"""What nobody chose stands in the attributes of what comes back: every physical default, in one table."""

from __future__ import annotations

import functools
import inspect

import numpy as np
import pytest

from twinkit import plan, radio
from twinkit.radio.best_server import QUANTITIES

FLAT = {"frequency": 9e8, "transmitter_height": 30.0, "receiver_height": 1.5}
ITM = (
    *("climate equatorial", "vertical polarisation", "variability broadcast", "refractivity 301", "permittivity 15"),
    *("conductivity 0.005", "time 50", "location 50", "situation 50"),
)
P1812 = ("39.25 N-units/km", "325 N-units", "time 50 %", "locations 50 %", "deviation 0 dB", "vertical polarisation")
SERVICE = {"load": 0.5, "noise_figure": 9.0, "efficiency": 0.6, "overhead": 0.14}


def mine(distance, *, exponent=3.5):
    return 20 + 10 * exponent * np.log10(distance)


def shop(frequency, *, glass=12.0):
    return glass


@pytest.fixture(scope="module")
def twin(small_twin):
    return small_twin(sites=2, pixels=12)


def path():
    return radio.profile(np.arange(0.0, 5001, 100), np.zeros(51))


def surface(twin):
    return twin["surface"].to_dataset()[["ground_height"]].assign_attrs(twin.attrs)


def reached(twin):
    return plan.gain(twin, plan.candidates(twin, spacing=1500), path_loss=radio.free_space, threshold=-60)


itm = functools.partial(radio.longley_rice, climate="equatorial")
area = functools.partial(radio.longley_rice_area, climate="equatorial", terrain_irregularity=90)
GIVEN = {
    "coverage": (
        lambda t: radio.coverage(t, path_loss=radio.free_space).rsrp,
        ("1.5 m above ground", "15000 Hz subcarriers", "0 dBi", "flat earth"),
    ),
    "a learner's model": (lambda t: radio.coverage(t, path_loss=mine).rsrp, ("by default exponent 3.5",)),
    "a learner's model, set": (
        lambda t: radio.coverage(t, path_loss=functools.partial(mine, exponent=2.0)).rsrp,
        ("exponent 2",),
    ),
    "villages": (lambda t: radio.coverage(t, path_loss=radio.rma).rsrp, ("building_height 5", "street_width 20")),
    "indoors": (
        lambda t: (
            radio.coverage(t, path_loss=mine, entry=functools.partial(radio.entry_loss, building="traditional")).server
        ),
        ("building traditional, by default probability 50",),
    ),
    "a learner's wall": (lambda t: radio.coverage(t, path_loss=mine, entry=shop).rsrp, ("by default glass 12",)),
    "P.1812 on a map": (
        lambda t: radio.coverage(t, path_loss=radio.p1812).rsrp,
        (*P1812[:2], "time_percentage 50", "location_percentage 50", "location_deviation 0", "polarisation vertical"),
    ),
    "Longley-Rice on a map": (
        lambda t: radio.coverage(t, path_loss=itm).rsrp,
        ("climate equatorial", "polarisation vertical", *ITM[2:], "location_varies True", "situation_varies True"),
    ),
    "Longley-Rice, area": (
        lambda t: radio.coverage(t, path_loss=area).rsrp,
        ("terrain_irregularity 90", "polarisation vertical", "transmitter_siting random", *ITM[2:]),
    ),
    "service": (
        lambda t: radio.service(t, path_loss=mine, **SERVICE).rate,
        ("1.5 m above ground", "15000 Hz", "64QAM", "one layer", "290 K", "exponent 3.5"),
    ),
    "candidates": (
        lambda t: plan.candidates(t, spacing=1500).height,
        ("30 m high", "8e+08 Hz", "1e+07 Hz wide", "46 dBm", "antenna sector", "downtilt 2 degree"),
    ),
    "gain": (lambda t: reached(t).people_gained, ("1.5 m above ground", "15000 Hz", "three sectors", "-60 dBm")),
    "choose": (lambda t: plan.choose(reached(t), budget=1).people_gained, ("1.5 m above ground", "three sectors")),
    "P.1812 on a path": (
        lambda t: radio.p1812_terms(path(), latitude=45.0, **FLAT),
        (*P1812, "coasts 500 and 500 km away"),
    ),
    "P.1812 about a mast": (
        lambda t: (
            radio.exact(surface(t), transmitter=(501_500.0, 501_500.0), latitude=0.0, step=50.0, **FLAT).path_loss
        ),
        P1812,
    ),
    "Longley-Rice on a path": (lambda t: itm(np.zeros(101), spacing=50.0, details=True, **FLAT), ITM),
    "Longley-Rice over land": (
        lambda t: area(np.array([5e3]), details=True, **FLAT),
        ("siting random and random", *ITM),
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_nobody_chose_is_said(twin, name):
    call, words = GIVEN[name]
    said = call(twin).attrs["assumptions"]
    assert [w for w in words if w not in said] == [], said


def test_what_was_chosen_is_no_default(twin):
    said = radio.coverage(twin, path_loss=functools.partial(mine, exponent=2.0)).rsrp.attrs["assumptions"]
    assert "by default" not in said
    grid = plan.candidates(twin, spacing=1500, height=50, transmit_power=40).height.attrs["assumptions"]
    assert "50 m high" in grid
    assert "40 dBm" in grid


def defaults(model):
    parameters = inspect.signature(model).parameters.items()
    return {k: p.default for k, p in parameters if isinstance(p.default, float | str) and k not in QUANTITIES}


def of_distance(model):
    """Whether it is a path loss that coverage can ask as it stands."""
    parameters = inspect.signature(model).parameters
    needed = {k for k, p in parameters.items() if p.default is p.empty}
    return bool(needed) and needed <= set(QUANTITIES) and bool(set(parameters) & {"distance", "ground_distance"})


FUNCTIONS = {n: f for n in radio.__all__ if inspect.isfunction(f := getattr(radio, n))}
MODELS = [n for n, f in FUNCTIONS.items() if of_distance(f) and defaults(f)]


@pytest.mark.parametrize("name", MODELS)
def test_no_model_has_a_default_that_a_map_does_not_tell(twin, name):
    said = radio.coverage(twin, path_loss=getattr(radio, name)).rsrp.attrs["assumptions"]
    for k, v in defaults(getattr(radio, name)).items():
        assert (f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}") in said


def test_some_models_have_defaults():
    assert {"rma", "rma_nlos", "inh"} <= set(MODELS)
