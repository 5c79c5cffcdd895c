"""Energy of base stations: monotone in load, honest at stations left out, sure of no more than it knows."""

import warnings

import numpy as np
import pytest

from twinkit import TwinError
from twinkit.energy import adapted_energy, expected_energy, fit, generated_stations, read_stations, stamp_offset
from twinkit.learn import coverage, mape
from twinkit.learn.drift import DomainWarning


@pytest.fixture(scope="module")
def week():
    return generated_stations(sites=60, days=3, seed=2)


@pytest.fixture(scope="module")
def halves(week):
    """A model of the first forty stations, and the twenty that it never saw."""
    return fit(part(week, slice(0, 40)), offset=1, seed=1), part(week, slice(40, 60))


def part(stations, which):
    kept = stations.isel(site=which)
    return kept.sel(cell=np.isin(kept["owner"].to_numpy().astype(str), kept["site"].to_numpy().astype(str)))


def quiet(stage, *data, **choices):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        return stage(*data, **choices)


def test_the_planted_offset_of_the_stamps_is_found(week):
    assert stamp_offset(week) == 1
    # without it the stamps agree
    assert stamp_offset(week.assign(energy_reading=week["energy_reading"].shift(time=1))) == 0


def test_stations_never_read_and_after_a_day(halves):
    model, rest = halves
    truth = rest["energy_reading"].isel(time=slice(30, 70))
    unseen = quiet(expected_energy, rest, model=model).isel(time=slice(30, 70))
    adapted = quiet(adapted_energy, rest, model=model).isel(time=slice(30, 70))
    # each site has a factor of 6 % of its own that nobody can know before its first reading; readings scatter by 2 %
    before, after = (mape(truth, said.sel(quantile=0.5, drop=True)) for said in (unseen, adapted))
    assert before < 0.10
    assert after < 0.04
    assert after < before / 1.5
    assert coverage(truth, adapted[0].drop_vars("quantile"), adapted[2].drop_vars("quantile")) > 0.8


def test_energy_never_falls_with_load(halves):
    model, rest = halves
    rng = np.random.default_rng(1)
    more = (rest["load"] + rng.uniform(0, 1, rest["load"].shape) * (1 - rest["load"])).assign_attrs(rest["load"].attrs)
    low = quiet(expected_energy, rest, model=model).sel(quantile=0.5)
    high = quiet(expected_energy, rest.assign(load=more), model=model).sel(quantile=0.5)
    assert bool((high >= low * (1 - 1e-9)).where(low.notnull(), True).all())
    assert bool((high > low * 1.02).any())


def test_a_radio_unit_never_seen_warns_and_widens(halves):
    model, rest = halves
    kinds = rest["radio_unit"].copy(data=np.full(rest.sizes["cell"], "Type99", dtype=object))
    known = quiet(expected_energy, rest, model=model)
    with pytest.warns(DomainWarning, match="widened"):
        strange = expected_energy(rest.assign(radio_unit=kinds), model=model)
    wide = [np.log(s.sel(quantile=0.95) / s.sel(quantile=0.05)).mean() for s in (known, strange)]
    assert float(wide[1]) > 2 * float(wide[0])


@pytest.mark.parametrize("bad", [-0.1, 1.2])
def test_loads_outside_their_range_are_refused(week, bad):
    load = week["load"].copy()
    load[5, 3] = bad
    with pytest.raises(TwinError, match="load from 0 to 1"):
        fit(week.assign(load=load), offset=1, seed=1)


def test_bad_tables_and_times_are_one_message(week):
    with pytest.raises(TwinError, match="forward"):
        fit(week.isel(time=slice(None, None, -1)), offset=1, seed=1)
    with pytest.raises(TwinError, match="every hour"):
        fit(week.isel(time=[0, 1, 5, 6]), offset=1, seed=1)
    with pytest.raises(TwinError, match="10 stations"):
        fit(part(week, slice(0, 5)), offset=1, seed=1)
    with pytest.raises(TwinError, match="above 0"):
        fit(week.assign(energy_reading=week["energy_reading"] * 0), offset=1, seed=1)
    with pytest.raises(TwinError, match="offset"):
        fit(week, offset=0.5, seed=1)


def test_meters_that_changed_their_unit_or_stand_still_are_one_message(week):
    energy = week["energy_reading"]
    late = energy.where(energy["time"] < energy["time"][30], energy * 1000)
    with pytest.raises(TwinError, match="one unit throughout"):
        fit(week.assign(energy_reading=late), offset=1, seed=1)
    with pytest.raises(TwinError, match="readings that change"):
        fit(week.assign(energy_reading=energy * 0 + 5), offset=1, seed=1)
    with pytest.raises(TwinError, match="one reading or more"):
        fit(week, offset=1, readings=0, seed=1)


def test_tables_are_read_and_doubled_stamps_refused(tmp_path):
    (tmp_path / "BSinfo.csv").write_text(
        "BS,CellName,RUType,Mode,Frequency,Bandwidth,Antennas,TXpower\nB_1,Cell0,Type1,Mode2,365,20,4,6.8\n"
    )
    row = "2023-01-01 01:00:00,B_1,Cell0,0.2,0,0,0,0,0,0\n"
    head = "Time,BS,CellName,load,ESMode1,ESMode2,ESMode3,ESMode4,ESMode5,ESMode6\n"
    (tmp_path / "CLdata.csv").write_text(head + row)
    (tmp_path / "ECdata.csv").write_text("Time,BS,Energy\n1/1/2023 1:00,B_1,18.1\n")
    made = read_stations(tmp_path)
    assert float(made.energy_reading.sel(site="B_1")[0]) == 18.1
    assert float(made.bandwidth[0]) == 20e6
    (tmp_path / "CLdata.csv").write_text(head + row + row)
    with pytest.raises(TwinError, match="twice"):
        read_stations(tmp_path)
    (tmp_path / "CLdata.csv").write_text(head + row.replace("0.2", "1.2"))
    with pytest.raises(TwinError, match="from 0 to 1"):
        read_stations(tmp_path)


def test_the_real_tables_have_the_offset_too(testdata):
    folder = testdata("itu-5g-energy/ECdata.csv").parent
    made = read_stations(folder)
    assert stamp_offset(made) == 1
    assert made.sizes["site"] == 816


def test_the_model_is_kept_without_pickle(halves, tmp_path):
    from dataclasses import replace

    from twinkit.learn.model import load, save

    model, rest = halves
    digest = save(model.inner, tmp_path / "energy.model")
    again = replace(model, inner=load(tmp_path / "energy.model", digest=digest))
    said = [quiet(expected_energy, rest, model=m) for m in (model, again)]
    np.testing.assert_array_equal(said[0], said[1])
