"""Efficiency and carbon: definitions, units, and the table."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, energy, stamp


def week(twin, value, name, dim="site", hours=168):
    times = np.datetime64("2026-03-02T00", "ns") + np.arange(hours) * np.timedelta64(1, "h")
    ids = twin[f"{dim}s"][dim].values
    return stamp(xr.DataArray(np.full((hours, len(ids)), value), {"time": times, dim: ids}, ("time", dim)), name)


def told(table, quantity):
    return table.set_index("quantity").value[quantity]


def test_the_table_holds_the_metrics_of_its_parts(small_twin):
    twin = small_twin()
    used, bits = week(twin, 500.0, "energy"), week(twin, 2e6, "traffic", "cell")
    table = energy.assessment(twin, used, bits, covered=8e7, intensity=0.7, source="a test", quality=0.98)
    joules, volume = float(used.sum()) * 3600, float(bits.sum()) * 3600
    assert told(table, "data energy efficiency") == pytest.approx(volume / joules)
    scaled = joules * 365 / 7
    assert told(table, "coverage energy efficiency, scaled to a year") == pytest.approx(8e7 * 0.98 / scaled)
    assert told(table, "greenhouse gases") == pytest.approx(float(used.sum()) / 1000 * 0.7)
    assert told(table, "energy of kind macro") == pytest.approx(told(table, "energy"))
    assert told(table, "long enough for the standard") == "yes"
    assert "a test" in table.set_index("quantity").unit["intensity"]


def test_the_coverage_metric_does_not_hang_on_how_long_was_measured(small_twin):
    twin = small_twin()
    like = {"covered": 8e7, "intensity": 0.7, "source": "a test"}
    short, long = (
        energy.assessment(twin, week(twin, 500.0, "energy", hours=h), week(twin, 1.0, "traffic", hours=h), **like)
        for h in (24, 336)
    )
    name = "coverage energy efficiency, scaled to a year"
    assert told(short, name) == pytest.approx(told(long, name))
    assert told(short, "long enough for the standard").startswith("no")


def test_carbon_follows_an_intensity_over_time(small_twin):
    twin = small_twin()
    used = week(twin, 1000.0, "energy", hours=4)
    rate = xr.DataArray([0.2, 0.4, 0.6, 0.8], {"time": used.time}, ("time",))
    found = energy.carbon(used, intensity=rate, source="an hourly grid")
    np.testing.assert_allclose(found.isel(site=0), [0.2, 0.4, 0.6, 0.8])
    assert "an hourly grid" in found.attrs["assumptions"]
    assert found.attrs["units"] == "kg"


def test_what_is_not_stated_is_refused(small_twin):
    twin = small_twin()
    used, bits = week(twin, 500.0, "energy"), week(twin, 2e6, "traffic")
    with pytest.raises(TwinError, match="the source of the carbon intensity"):
        energy.carbon(used, intensity=0.7, source="")
    with pytest.raises(TwinError, match="intensity from 0 to 10"):
        energy.carbon(used, intensity=700.0, source="grams by mistake")
    like = {"intensity": 0.7, "source": "a test"}
    with pytest.raises(TwinError, match="covered"):
        energy.assessment(twin, used, bits, covered=0.0, **like)
    with pytest.raises(TwinError, match="traffic at the times"):
        energy.assessment(twin, used, bits.isel(time=slice(0, 100)), covered=1e7, **like)
    with pytest.raises(TwinError, match="not a number"):
        energy.assessment(twin, used.where(used.time > used.time[2]), bits, covered=1e7, **like)
    with pytest.raises(TwinError, match="energy from"):
        energy.energy_efficiency(1.0, energy=0.0)
    with pytest.raises(TwinError, match="at least what its equipment takes"):
        energy.site_efficiency(2.0, site=1.0)
