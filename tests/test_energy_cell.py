"""Power of cells: the published model, its limits, and naps."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, energy, extend, stamp

TIMES = np.arange("2026-03-02T00", "2026-03-03T00", dtype="datetime64[h]").astype("datetime64[ns]")
CHOICES = {"hardware": energy.BY_KIND, "antennas": 2, "digital": 1.0}


def loads(twin, value=0.3):
    cells = twin["cells"].cell.values
    array = xr.DataArray(np.full((24, len(cells)), value), {"time": TIMES, "cell": cells}, ("time", "cell"))
    return stamp(array, "load")


@pytest.mark.parametrize("name", energy.HARDWARE)
def test_the_parts_of_the_table_fit_its_whole(name):
    # Table 1 (what radio and baseband draw) must leave something of Table 2's idle power for the amplifier
    hardware = energy.HARDWARE[name]
    assert 0 < hardware.digital < hardware.idle
    assert hardware.sleep < hardware.idle


@pytest.mark.parametrize(
    ("name", "chains", "watts"), [("macro", 6, 1350.0), ("micro", 2, 144.6), ("pico", 2, 14.7), ("femto", 2, 10.4)]
)
def test_the_linear_model_gives_the_measured_whole_at_full_load(name, chains, watts):
    # Auer et al. 2011, last line of Table 1, against Table 2
    found = energy.chain_power(1.0, hardware=energy.HARDWARE[name], chains=chains)
    assert found == pytest.approx(watts, rel=0.01)


@pytest.mark.parametrize("load", [0.0, 0.4, 1.0])
def test_a_cell_at_the_reference_is_the_chain_model(load):
    macro = energy.HARDWARE["macro"]
    watt = 10 * np.log10(2 * macro.transmit * 1000)
    cell = energy.cell_power(load, bandwidth=10e6, transmit_power=watt, antennas=2, digital=1.0, hardware=macro)
    assert cell == pytest.approx(energy.chain_power(load, hardware=macro, chains=2), rel=1e-12)


def test_power_grows_with_load_bandwidth_antennas_and_falls_asleep():
    like = {"transmit_power": 43.0, "digital": 1.0, "hardware": energy.HARDWARE["macro"]}
    less = energy.cell_power(0.2, bandwidth=10e6, antennas=2, **like)
    assert energy.cell_power(0.3, bandwidth=10e6, antennas=2, **like) > less
    assert energy.cell_power(0.2, bandwidth=20e6, antennas=2, **like) > less
    assert energy.cell_power(0.2, bandwidth=10e6, antennas=4, **like) > less
    assert energy.cell_power(0.0, bandwidth=10e6, antennas=2, asleep=1.0, **like) < less


def test_sleep_never_draws_more_than_idling():
    like = {"bandwidth": 1.4e6, "transmit_power": 20.0, "antennas": 4, "digital": 0.1}
    idle = energy.cell_power(0.0, hardware=energy.HARDWARE["macro"], **like)
    assert energy.cell_power(0.0, hardware=energy.HARDWARE["macro"], asleep=1.0, **like) <= idle


def test_naps_pay_only_beyond_their_transition():
    for nap in energy.NAPS.values():
        assert energy.nap_saving(nap.transition, idle=100.0, nap=nap) == 0.0
        assert energy.nap_saving(2 * nap.transition, idle=100.0, nap=nap) > 0.0


def test_sites_add_up_their_cells(small_twin):
    twin = small_twin()
    cells = energy.power(twin, loads(twin), **CHOICES)
    sites = energy.site_power(cells, twin, overhead=150.0)
    first = twin["sites"].site.values[0]
    own = cells.sel(cell=twin["cells"].cell.values[twin["cells/site"].values == first])
    np.testing.assert_allclose(sites.sel(site=first), own.sum("cell") + 150.0)
    np.testing.assert_allclose(energy.energy_used(sites), sites)  # an hour of watts is as many watt-hours
    assert sites.dims == ("time", "site")


def test_a_better_radio_draws_less(small_twin):
    twin = small_twin()
    new = energy.power(twin, loads(twin), **{**CHOICES, "digital": 0.25})
    assert (new < energy.power(twin, loads(twin), **CHOICES)).all()


def test_time_of_one_member_is_a_free_dim(small_twin):
    twin = small_twin()
    several = xr.concat([loads(twin, v) for v in (0.1, 0.9)], "member")
    found = energy.power(twin, stamp(several, "load"), **CHOICES)
    np.testing.assert_allclose(found.isel(member=1), energy.power(twin, loads(twin, 0.9), **CHOICES))


@pytest.mark.parametrize(
    ("value", "said"), [(1.2, "load from 0 to 1"), (-0.1, "load from 0 to 1"), (np.nan, "not a number")]
)
def test_a_load_that_is_none(small_twin, value, said):
    twin = small_twin()
    with pytest.raises(TwinError, match=said):
        energy.power(twin, loads(twin, value), **CHOICES)


def test_bad_input_is_said_once(small_twin):
    twin = small_twin()
    load = loads(twin)
    with pytest.raises(TwinError, match="hardware for cells at sites of kind 'macro'"):
        energy.power(twin, load, **{**CHOICES, "hardware": {"micro": energy.HARDWARE["micro"]}})
    with pytest.raises(TwinError, match="hardware by kind"):
        energy.power(twin, load, **{**CHOICES, "hardware": "macro"})
    with pytest.raises(TwinError, match="the cells of the twin"):
        energy.power(twin, load.isel(cell=slice(1, None)), **CHOICES)
    with pytest.raises(TwinError, match="their sum at most 1"):
        energy.power(twin, load, asleep=xr.full_like(load, 0.9), **CHOICES)
    with pytest.raises(TwinError, match="times the power of the table"):
        energy.power(twin, load, **{**CHOICES, "hardware": {"macro": energy.HARDWARE["pico"]}})
    none = twin["cells"].to_dataset().isel(cell=slice(0, 0))
    with pytest.raises(TwinError, match="cells; found a twin without any"):
        energy.power(extend(twin, cells=none), load.isel(cell=slice(0, 0)), **CHOICES)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (TIMES[::-1], "times that ascend"),
        (np.delete(TIMES, 5), "times 0 days 01:00:00 apart"),
        (TIMES[:1], "two times or more"),
    ],
)
def test_times_that_are_none(times, said):
    drawn = xr.DataArray(np.ones((len(times), 1)), {"time": times, "cell": ["a"]}, ("time", "cell"))
    with pytest.raises(TwinError, match=said):
        energy.energy_used(stamp(drawn, "power"))
