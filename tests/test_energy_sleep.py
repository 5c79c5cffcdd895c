"""Cell sleep: what it may do, what it must count, and what it saves."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, energy, extend, radio, stamp

TIMES = np.arange("2026-03-02T00", "2026-03-02T06", dtype="datetime64[h]").astype("datetime64[ns]")
CHOICES = {
    "path_loss": radio.rma,
    "threshold": -110.0,
    "ceiling": 0.6,
    "most_lost": 0.05,
    "least_rate": 1e6,
    "noise_figure": 9.0,
    "interference": 3.0,
    "efficiency": 0.6,
    "overhead": 0.14,
    "wake_delay": 0.0,
}


def loads(twin, value, hours=6):
    cells = twin["cells"].cell.values
    share = np.broadcast_to(value, (hours, len(cells)))
    return stamp(xr.DataArray(share, {"time": TIMES[:hours], "cell": cells}, ("time", "cell")), "load")


def random_loads(twin, seed=1):
    return loads(twin, np.random.default_rng(seed).uniform(0.0, 0.5, (6, twin["cells"].sizes["cell"])))


def test_no_cell_is_filled_over_the_ceiling_and_no_more_people_are_lost_than_allowed(small_twin):
    twin = small_twin(sites=6, sectors=3)
    before = random_loads(twin)
    found = energy.sleep(twin, before, **CHOICES)
    assert 0 < int((found.asleep > 0).sum()) < found.asleep.size
    took = found["load"] > before + 1e-12
    assert bool((found["load"].where(took, 0.0) <= CHOICES["ceiling"] + 1e-9).all())
    assert float(found["load"].where(found.asleep > 0, 0.0).max()) == 0.0
    covered = radio.coverage(twin, path_loss=radio.rma)
    reached = float(twin["surface/people"].where(covered.rsrp >= CHOICES["threshold"], 0.0).sum())
    assert bool((found.people_lost <= CHOICES["most_lost"] * reached + 1e-6).all())


def test_people_lost_are_those_whom_a_map_without_the_sleepers_does_not_reach(small_twin):
    # a second road: the coverage of the cells that stay awake
    twin = small_twin(sites=6)
    found = energy.sleep(twin, random_loads(twin), **{**CHOICES, "ranks": 16, "most_lost": 0.3})
    people = twin["surface/people"]
    levels = {"bandwidth": 1e7, "efficiency": 0.6, "overhead": 0.14}
    floor = radio.noise_power(15e3, noise_figure=9.0) + 3.0

    def reached(some):
        part = extend(twin, cells=twin["cells"].to_dataset().isel(cell=np.flatnonzero(some)))
        rsrp = radio.coverage(part, path_loss=radio.rma).rsrp
        return (rsrp >= CHOICES["threshold"]) & (radio.rate((rsrp - floor).drop_attrs(), **levels) > 0)

    all_of_them = reached(np.ones(twin["cells"].sizes["cell"], bool))
    assert float(found.people_lost.max()) > 0
    for hour in (0, 3):
        left = reached(found.asleep.isel(time=hour).values == 0)
        lost = float(people.where(all_of_them & ~left, 0.0).sum())
        assert float(found.people_lost[hour]) == pytest.approx(lost, rel=1e-4, abs=1e-3)


def test_bits_are_kept_where_nobody_is_lost():
    # one mast, two carriers that reach the same pixels: what one puts down the other takes up, bit for bit
    from twinkit import assemble

    both = {"azimuth": 0.0, "downtilt": 0.0, "transmit_power": 46.0}
    cells = {k: ("cell", [v, v]) for k, v in both.items()} | {"antenna": ("cell", ["omni"] * 2)}
    cells |= {"frequency": ("cell", [8e8, 8.1e8]), "site": ("cell", ["m", "m"]), "bandwidth": ("cell", [2e7, 1e7])}
    sites = xr.Dataset({"x": ("site", [0.0]), "y": ("site", [0.0]), "height": ("site", [30.0])}, {"site": ["m"]})
    ground = {"ground_height": (("y", "x"), np.zeros((1, 3))), "people": (("y", "x"), [[5.0, 1.0, 2.0]])}
    nodes = {"sites": sites, "cells": xr.Dataset(cells, {"cell": ["wide", "narrow"]})}
    nodes["surface"] = xr.Dataset(ground, {"y": [0.0], "x": [-300.0, 0.0, 300.0]})
    twin = assemble(nodes, title="", crs="EPSG:32643")
    # the narrow carrier is 3 dB louder in each resource element; loads so that the wide one is the less loaded
    choices = {**CHOICES, "most_lost": 0.0, "path_loss": radio.free_space}
    found = energy.sleep(twin, loads(twin, np.array([0.1, 0.2])), **choices)
    assert found.asleep.values[0].tolist() == [1.0, 0.0]
    # near the mast both carry the highest rate, so that half the bandwidth is twice the load
    np.testing.assert_allclose(found["load"].values[0], [0.0, 0.2 + 0.1 * 2], rtol=1e-6)


def test_a_full_network_does_not_sleep_and_those_who_may_not_do_not(small_twin):
    twin = small_twin(sites=6)
    assert float(energy.sleep(twin, loads(twin, 0.9), **CHOICES).asleep.sum()) == 0.0
    high = twin["cells/frequency"] > 1e9
    found = energy.sleep(twin, loads(twin, 0.05), may=high, **CHOICES)
    assert float(found.asleep.where(~high, 0.0).sum()) == 0.0
    assert float(found.asleep.sum()) > 0


def test_sleep_saves_energy_and_waking_takes_some_back(small_twin):
    twin = small_twin(sites=6)
    quiet = loads(twin, np.linspace(0.02, 0.55, 6)[:, None])
    like = {"hardware": energy.BY_KIND, "antennas": 2, "digital": 1.0}
    used = energy.power(twin, quiet, **like).sum()
    saved = []
    for delay in (0.0, 600.0):
        found = energy.sleep(twin, quiet, **{**CHOICES, "wake_delay": delay})
        saved.append(float(used - energy.power(twin, found["load"], asleep=found.asleep, **like).sum()))
    assert saved[0] > saved[1] > 0


def test_slower_people_are_counted(small_twin):
    twin = small_twin(sites=6)
    quiet = loads(twin, 0.1)
    none = energy.sleep(twin, quiet, **{**CHOICES, "least_rate": 0.0})
    some = energy.sleep(twin, quiet, **{**CHOICES, "least_rate": 2e7})
    assert float(none.people_slowed.sum()) == 0.0
    assert float(some.people_slowed.sum()) > 0.0


@pytest.mark.parametrize(
    ("value", "choice", "said"),
    [
        (1.5, {}, "load from 0 to 1"),
        (np.nan, {}, "not a number"),
        (0.1, {"ceiling": 1.2}, "ceiling from 0 to 1"),
        (0.1, {"most_lost": -0.1}, "most_lost from 0 to 1"),
        (0.1, {"wake_delay": 7200.0}, "wake_delay from 0 to 3600"),
        (0.1, {"efficiency": 2.0}, "efficiency"),
    ],
)
def test_bad_input_is_said_once(small_twin, value, choice, said):
    twin = small_twin(sites=2)
    with pytest.raises(TwinError, match=said):
        energy.sleep(twin, loads(twin, value), **{**CHOICES, **choice})


def test_who_may_sleep_is_a_truth_of_every_cell(small_twin):
    twin = small_twin(sites=2)
    with pytest.raises(TwinError, match="a truth for every cell"):
        energy.sleep(twin, loads(twin, 0.1), may=twin["cells/frequency"], **CHOICES)
    with pytest.raises(TwinError, match="the cells of the twin"):
        energy.sleep(twin, loads(twin, 0.1).isel(cell=slice(0, 2)), **CHOICES)
