"""Calibrated path loss: positions checked first, better where it was measured, unsure where it was not."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError
from twinkit.learn import DomainWarning, rmse
from twinkit.radio import (
    calibrate,
    coverage,
    free_space,
    generated_drive,
    generated_streets,
    read_drive,
    read_streets,
    repaired,
    street_features,
    uma,
)
from twinkit.radio.street_loss import _beyond_line


@pytest.fixture(scope="module")
def filed():
    return generated_drive(points=300, seed=2)


@pytest.fixture(scope="module")
def drive(filed):
    return repaired(filed)


@pytest.fixture(scope="module")
def town(drive):
    return calibrate(drive.isel(sample=drive.x < 400), path_loss=free_space, seed=1)


def moved(rows, by):
    """The same receivers so far to the east."""
    return rows.assign(x=(rows.x + by).assign_attrs(rows.x.attrs))


def test_the_planted_fault_is_found_and_the_shared_mast(filed, drive):
    assert drive.attrs["repairs"].count("longitude x 10") == 3
    off = np.hypot(drive.x - drive.transmitter_x, drive.y - drive.transmitter_y) - filed.filed_distance.to_numpy()
    assert float(abs(off).max()) < 3
    assert sorted(set(drive.mast.to_numpy())) == ["A", "B"]
    assert set(drive.mast[drive.heard == "C"].to_numpy()) == {"B"}


def test_a_station_that_no_shift_mends_is_told(filed):
    spoilt = filed.assign(transmitter_longitude=filed.transmitter_longitude + 0.5)
    with pytest.raises(TwinError, match="nothing is guessed here"):
        repaired(spoilt)


def test_learning_from_unrepaired_positions_is_no_calibration(filed):
    with pytest.raises(TwinError, match="repaired"):
        calibrate(filed, path_loss=free_space, seed=1)


def test_near_the_measurements_it_beats_the_line(drive, town):
    edge = drive.isel(sample=(drive.x >= 400) & (drive.x < 480))
    said = town.loss(edge).sel(quantile=0.5)
    heard = edge.heard.to_numpy()
    away = np.hypot(edge.x - edge.transmitter_x, edge.y - edge.transmitter_y).to_numpy()
    start, slope = np.array([town.lines[h] for h in heard]).T
    line = free_space(away, frequency=1.8352e9) + start + slope * np.log10(away)
    assert rmse(edge.path_loss.to_numpy(), said.to_numpy()) < 0.9 * rmse(edge.path_loss.to_numpy(), line)


def test_intervals_widen_away_from_the_measurements(drive, town):
    own = drive.isel(sample=drive.heard == "A")
    width = [float((s[2] - s[0]).mean()) for s in (town.loss(own), town.loss(moved(own, 3000.0)))]
    assert width[1] > 1.3 * width[0]


def test_another_town_warns(drive, town):
    own = drive.isel(sample=drive.heard == "A")
    with pytest.warns(DomainWarning, match=r"far outside of the measurements, the farthest 100 km"):
        town.loss(moved(own, 1e5))


def test_a_mast_never_measured_gets_the_line_of_all(drive, town):
    new = drive.isel(sample=drive.heard == "A")
    new = new.assign({n: ("sample", np.full(new.sizes["sample"], "Z", dtype=object)) for n in ("heard", "mast")})
    assert town.transfer == 0.0
    plain = town.path_loss(
        np.sqrt((new.x - new.transmitter_x) ** 2 + (new.y - new.transmitter_y) ** 2 + 40.5**2).to_numpy(),
        frequency=1.8352e9,
        transmitter_height=41.0,
        receiver_height=1.5,
    )
    said = town.loss(new)
    np.testing.assert_allclose(said.sel(quantile=0.5), plain, atol=0.1)
    known = town.loss(drive.isel(sample=drive.heard == "A"))
    assert float((said[2] - said[0]).mean()) > float((known[2] - known[0]).mean())


def test_coverage_takes_it_and_so_does_another_physical_model(drive, small_twin):
    town = calibrate(drive, path_loss=uma, seed=1)
    twin = small_twin(sites=2, pixels=12, step=100.0)
    found = coverage(twin, path_loss=town.path_loss)
    assert np.isfinite(found.rsrp).all()


def test_the_same_seed_gives_the_same_numbers(drive):
    few = drive.isel(sample=slice(None, None, 3))
    said = [calibrate(few, path_loss=free_space, seed=3).loss(few) for _ in range(2)]
    xr.testing.assert_identical(*said)


def test_bad_measurements_are_one_message(drive):
    with pytest.raises(TwinError, match="100 measurements"):
        calibrate(drive.isel(sample=slice(50)), path_loss=free_space, seed=1)
    with pytest.raises(TwinError, match="path_loss from 20 to 300 dB"):
        calibrate(drive.assign(path_loss=(-drive.path_loss).assign_attrs(units="dB")), path_loss=free_space, seed=1)
    with pytest.raises(TwinError, match="furlong"):
        calibrate(drive.assign(x=drive.x.assign_attrs(units="furlong")), path_loss=free_space, seed=1)
    with pytest.raises(TwinError, match="weather"):
        calibrate(drive, path_loss=lambda distance, weather: distance, seed=1)
    holed = drive.path_loss.copy()
    holed[3] = np.nan
    with pytest.raises(TwinError, match="missing"):
        calibrate(drive.assign(path_loss=holed), path_loss=free_space, seed=1)


def test_street_features_know_no_loss_and_see_the_houses():
    rows = generated_streets(transmitters=2, seed=1)
    made = street_features(rows, most=300, seed=1)
    other = street_features(rows.assign(path_loss=rows.path_loss * 0), most=300, seed=1)
    xr.testing.assert_identical(*(f.drop(columns=["path_loss"]).to_xarray() for f in (made, other)))
    sight = made["sight"] > 0.5
    assert made.loc[sight, "share"].mean() < 0.2 < made.loc[~sight, "share"].mean()
    uneven = rows.assign(x=rows.x + np.arange(rows.sizes["sample"]) * 0.01)
    with pytest.raises(TwinError, match="regular grid"):
        street_features(uneven, most=10, seed=1)


def test_a_transmitter_off_as_a_whole_does_not_reach_one_never_heard():
    made = street_features(generated_streets(transmitters=3, seed=1), most=300, seed=1)
    masts = made.pop("mast").to_numpy()
    rest = made.pop("path_loss").to_numpy() - 100.0
    train, test = masts != "2", masts == "2"
    told = _beyond_line(made[train], rest[train], masts[train], made[test])
    off = np.where(masts == "0", 30.0, -7.0)
    again = _beyond_line(made[train], (rest + off)[train], masts[train], made[test])
    # sums that differ in their last digit turn ties between splits; what must not pass is the 37 dB
    np.testing.assert_allclose(told, again, atol=1.0)
    assert np.corrcoef(told, rest[test])[0, 1] > 0.5


def test_the_real_drive_is_repaired(testdata):
    drive = repaired(read_drive(testdata("recife-gsm/measurements.csv").parent))
    assert drive.attrs["repairs"].count("x 10") == 3
    assert sorted(set(drive.mast.to_numpy())) == ["BTS_01", "BTS_02"]


def test_the_rays_are_labelled_as_simulated(testdata):
    rows = read_streets(testdata("itu-tokyo-simulated/README.md").parent, band="7GHz")
    assert rows.attrs["provenance"].startswith("simulated")
    assert len(set(rows.mast.to_numpy())) >= 5
