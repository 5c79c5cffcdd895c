"""Shadow fading: its deviation, its correlation over space and between sites, and the same bytes on every tile."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import twinkit as tk
from twinkit.error import TwinError
from twinkit.radio.shadowing import SHADOWING, _field, _waves, shadow_fading


def twin(names=("a", "b"), *, shape=(120, 150), step=50.0, x=500_000.0, y=3_400_000.0):
    surface = xr.Dataset(coords={"y": y + step * np.arange(shape[0]), "x": x + step * np.arange(shape[1])})
    sites = xr.Dataset(coords={"site": list(names)})
    return tk.assemble({"sites": sites, "surface": surface}, title="flat", crs="EPSG:32643")


def fields(draws, positions, distance):
    """Unit fields of many seeds at a few points of one line."""
    x = np.asarray(positions, float)
    return np.array([_field(np.zeros(1), x, waves=_waves(seed, "a", distance))[0] for seed in range(draws)])


def test_deviation_and_correlation_are_those_of_the_model_over_many_draws():
    distance = 50.0
    lags = np.array([0.0, 10.0, 25.0, 50.0, 100.0, 200.0])
    values = fields(3000, lags, distance)
    assert np.abs(values.mean(axis=0)).max() < 0.07
    np.testing.assert_allclose(values.std(axis=0), 1, atol=0.05)
    found = (values * values[:, :1]).mean(axis=0)
    np.testing.assert_allclose(found, np.exp(-lags / distance), atol=0.06)
    # and normal, in its tails and on both sides
    assert np.mean(np.abs(values) > 2) == pytest.approx(0.0455, abs=0.008)
    assert abs(np.mean(values**3)) < 0.12


def test_one_map_has_the_correlation_over_its_extent():
    field = shadow_fading(twin(shape=(400, 400), step=10.0), scenario="uma nlos", seed=3)[0].values
    assert field.std() == pytest.approx(6, rel=0.1)
    for lag in (2, 5, 10):
        for pair in ((field[lag:], field[:-lag]), (field[:, lag:], field[:, :-lag])):
            assert np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1] == pytest.approx(np.exp(-lag * 10 / 50), abs=0.1)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_sites_share_what_they_are_said_to_share(share):
    maps = shadow_fading(
        twin(("a", "b"), shape=(300, 300), step=100.0),
        deviation=8.0,
        correlation_distance=50.0,
        between_sites=share,
        seed=1,
    ).values
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] == pytest.approx(share, abs=0.06)
    assert maps.std() == pytest.approx(8, rel=0.05)


def test_a_part_computed_alone_is_the_same_bytes():
    whole = shadow_fading(twin(shape=(1100, 700)), scenario="rma los", seed=5)
    assert whole.data.npartitions > 2
    part = shadow_fading(
        twin(shape=(90, 60), x=500_000.0 + 50 * 600, y=3_400_000.0 + 50 * 480), scenario="rma los", seed=5
    )
    with dask.config.set(scheduler="threads", num_workers=2):
        two = whole.isel(y=slice(480, 570), x=slice(600, 660)).compute()
    with dask.config.set(scheduler="synchronous"):
        one = part.compute()
    assert one.values.tobytes() == two.values.tobytes()


def test_a_site_keeps_its_field_when_others_come():
    few = shadow_fading(twin(("a", "c")), scenario="umi los", seed=2)
    many = shadow_fading(twin(("a", "b", "c", "d")), scenario="umi los", seed=2)
    np.testing.assert_array_equal(many.sel(site="c"), few.sel(site="c"))
    assert not np.array_equal(few[0], few[1])
    assert not np.array_equal(few, shadow_fading(twin(("a", "c")), scenario="umi los", seed=3))


@given(st.sampled_from(list(SHADOWING)), st.floats(0, 20))
@settings(max_examples=15, deadline=None)
def test_the_field_scales_with_its_deviation(scenario, deviation):
    one = shadow_fading(twin(shape=(8, 9)), scenario=scenario, deviation=1.0, seed=1)
    other = shadow_fading(twin(shape=(8, 9)), scenario=scenario, deviation=deviation, seed=1)
    np.testing.assert_allclose(other, one * deviation, rtol=1e-5, atol=1e-5)


def test_the_stage_keeps_its_contract():
    tk.contract.check(shadow_fading, twin(shape=(20, 30)), scenario="uma los", seed=1)


def test_a_twin_without_sites():
    assert shadow_fading(twin(()), scenario="uma los", seed=1).sizes["site"] == 0


@pytest.mark.parametrize(
    "choices",
    [
        {"scenario": "uma"},
        {},
        {"deviation": 6.0},
        {"scenario": "uma los", "deviation": -1.0},
        {"scenario": "uma los", "correlation_distance": 0.0},
        {"scenario": "uma los", "between_sites": 1.5},
        {"scenario": "uma los", "seed": -1},
        {"scenario": "uma los", "seed": 0.5},
    ],
)
def test_bad_choices_are_one_clear_error(choices):
    with pytest.raises(TwinError):
        shadow_fading(twin(), **({"seed": 1} | choices))
