"""SINR against a sum by hand, limits of load, the tables of TS 38.214 and the rate that they give."""

import functools
import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkit import TwinError, city, extend, radio

ASKED = {"noise_figure": 9.0, "efficiency": 0.6, "overhead": 0.14}


def student(distance, *, frequency):
    return 20 * np.log10(frequency) + 38 * np.log10(distance) - 160


@pytest.fixture(scope="module")
def twin(small_twin):
    return small_twin(sites=4, pixels=30, step=300.0)


def levels_of(twin):
    """The level [dBm] that each cell alone lays on the map."""
    cells = twin["cells"].to_dataset()
    maps = [
        radio.coverage(extend(twin, cells=cells.isel(cell=[k])), path_loss=student).rsrp.values.astype(float)
        for k in range(cells.sizes["cell"])
    ]
    return np.stack(maps)


def by_hand(twin, load, noise_figure=9.0):
    """SINR [dB] by the definition, cell by cell."""
    level, cells = levels_of(twin), twin["cells"].to_dataset()
    frequency, bandwidth = cells.frequency.values, cells.bandwidth.values
    server = level.argmax(axis=0)
    noise = 10 * math.log10(1.380649e-23 * 290 * 15e3 * 1000) + noise_figure
    out = np.empty(server.shape)
    for at in np.ndindex(server.shape):
        s = server[at]
        total = 10 ** (noise / 10)
        for c in range(len(level)):
            if c != s:
                top = min(frequency[s] + bandwidth[s] / 2, frequency[c] + bandwidth[c] / 2)
                bottom = max(frequency[s] - bandwidth[s] / 2, frequency[c] - bandwidth[c] / 2)
                total += load[c] * max(0.0, top - bottom) / bandwidth[s] * 10 ** (level[c][at] / 10)
        out[at] = level[s][at] - 10 * math.log10(total)
    return out


def changed(twin, **columns):
    cells = twin["cells"].to_dataset()
    return extend(twin, cells=cells.assign({k: ("cell", np.asarray(v), cells[k].attrs) for k, v in columns.items()}))


@pytest.mark.parametrize("channels", ["two apart", "overlapping in part"])
def test_sinr_is_the_sum_by_hand(twin, channels):
    count = twin["cells"].sizes["cell"]
    if channels == "overlapping in part":
        number = np.arange(count) % 3
        twin = changed(
            twin, frequency=8e8 + np.array([0.0, 4e6, 7e6])[number], bandwidth=np.array([1e7, 5e6, 2e7])[number]
        )
    load = np.linspace(0.1, 1.0, count)
    got = radio.service(twin, path_loss=student, load=xr.DataArray(load, dims="cell"), **ASKED)
    np.testing.assert_allclose(got.sinr.values, by_hand(twin, load), atol=2e-4)


def test_signal_and_server_are_those_of_coverage(twin):
    got = radio.service(twin, path_loss=student, load=0.7, **ASKED)
    best = radio.coverage(twin, path_loss=student)
    np.testing.assert_array_equal(got.rsrp.values, best.rsrp.values)
    np.testing.assert_array_equal(got.server.values, best.server.values)


def test_without_load_noise_alone_is_left(twin):
    got = radio.service(twin, path_loss=student, load=0.0, **ASKED)
    noise = radio.noise_power(15e3, noise_figure=9.0)
    np.testing.assert_allclose(got.sinr.values, got.rsrp.values - noise, atol=1e-4)


def test_more_load_never_helps(twin):
    maps = [radio.service(twin, path_loss=student, load=share, **ASKED) for share in (0.0, 0.3, 1.0)]
    for less, more in itertools.pairwise(maps):
        assert bool((more.sinr <= less.sinr + 1e-4).all())
        assert bool((more.rate <= less.rate).all())
    assert float((maps[0].sinr - maps[2].sinr).mean()) > 3


def test_lazy_is_the_same_to_the_bit(twin):
    lazy = extend(twin, surface=twin["surface"].to_dataset().chunk(y=11, x=17))
    here = radio.service(twin, path_loss=student, load=0.5, **ASKED)
    there = radio.service(lazy, path_loss=student, load=0.5, **ASKED)
    assert there.sinr.chunks is not None
    for name in ("rsrp", "server", "sinr", "rate"):
        np.testing.assert_array_equal(here[name].values, there[name].values)


def test_over_terrain_and_indoors_people_are_counted(twin):
    walls = functools.partial(radio.entry_loss, building="traditional")
    choices = {"path_loss": radio.p1812, "paths": radio.sweep, "load": 0.5, **ASKED}
    outdoors = radio.service(twin, **choices)
    indoors = radio.service(twin, entry=walls, **choices)
    shares = [float(city.share(m.rate > 5e6, of=twin["surface/people"])) for m in (outdoors, indoors)]
    assert 0 < shares[1] < shares[0] <= 1
    assert set(np.unique(outdoors.validity)) <= {0, 1}
    assert "TS 38.214 up to 64QAM" in outdoors.rate.attrs["assumptions"]


def test_beyond_every_cell_there_is_no_number(twin):
    got = radio.service(twin, path_loss=student, load=1.0, farthest=1500.0, **ASKED)
    assert bool(np.isnan(got.rsrp).any())
    for name in ("sinr", "rate"):
        np.testing.assert_array_equal(np.isnan(got[name]), np.isnan(got.rsrp))


# ---------------------------------------------------------------- rate


# TS 38.214, the column "efficiency" as it is printed
PRINTED = {
    "64QAM": (
        "0.1523 0.2344 0.3770 0.6016 0.8770 1.1758 1.4766 1.9141 2.4063 2.7305 3.3223 3.9023 4.5234 5.1152 5.5547"
    ),
    "256QAM": (
        "0.1523 0.3770 0.8770 1.4766 1.9141 2.4063 2.7305 3.3223 3.9023 4.5234 5.1152 5.5547 6.2266 6.9141 7.4063"
    ),
}


@pytest.mark.parametrize("modulation", PRINTED)
def test_the_tables_are_those_that_are_printed(modulation):
    for ours, printed in zip(radio.MODULATIONS[modulation], PRINTED[modulation].split(), strict=True):
        assert ours == pytest.approx(float(printed), abs=5.1e-5)


@settings(max_examples=60, deadline=None)
@given(st.floats(-30, 60), st.floats(0.1, 1.0), st.sampled_from(list(PRINTED)))
def test_the_rate_is_a_step_below_shannon(sinr, efficiency, modulation):
    found = float(radio.rate(sinr, bandwidth=1e7, efficiency=efficiency, overhead=0.0, modulation=modulation))
    share = found / 9e6
    table = (0.0, *radio.MODULATIONS[modulation])
    assert any(share == pytest.approx(s, abs=1e-12) for s in table)
    limit = efficiency * math.log2(1 + 10 ** (sinr / 10))
    assert share <= limit + 1e-12
    above = [s for s in table if s > share + 1e-9]
    assert not above or above[0] > limit


def test_no_signal_no_rate():
    np.testing.assert_array_equal(
        radio.rate(np.array([np.nan, -40.0]), bandwidth=1e7, efficiency=0.6, overhead=0.1), [np.nan, 0.0]
    )


# ---------------------------------------------------------------- what is refused


BAD = {
    "a load in percent": ({"load": 50.0}, "load from 0 to 1"),
    "a load of no cell": ({"load": xr.DataArray(np.full(3, 0.5), dims="cell")}, "a load of every cell"),
    "a load over time": ({"load": xr.DataArray(np.full((2, 12), 0.5), dims=("time", "cell"))}, "a load of every cell"),
    "an unknown load": ({"load": xr.DataArray(np.full(12, np.nan), dims="cell")}, "a load from 0 to 1 of every cell"),
    "a noise figure": ({"noise_figure": -3.0}, "noise_figure from 0 to 40 dB"),
    "an efficiency": ({"efficiency": 1.5}, "efficiency from 0.01 to 1"),
    "an overhead": ({"overhead": 1.0}, "overhead from 0 to 0.9"),
    "a modulation": ({"modulation": "512QAM"}, "did you mean|use '256QAM'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_choice_is_refused_by_name(twin, case):
    choices, said = BAD[case]
    with pytest.raises(TwinError, match=said):
        radio.service(twin, **({"path_loss": student, "load": 0.5, **ASKED} | choices))
