"""Health: what load and air explain is no illness; what is put in shows at its site, from its day on."""

import numpy as np
import pytest

import twinkit as tk
from twinkit import TwinError
from twinkit.telemetry.generate import Fault, generate, spoil
from twinkit.telemetry.health import health

DAYS = 14


@pytest.fixture(scope="module")
def twin(small_twin):
    return small_twin(sites=6)


@pytest.fixture(scope="module")
def said(twin):
    return generate(twin, start="2026-03-02", days=DAYS, seed=7)


def of(twin, telemetry):
    return health(tk.extend(twin, telemetry=telemetry))


def test_a_healthy_network_is_healthy(twin, said):
    well = of(twin, said)
    assert dict(well.sizes) == {"time": DAYS, "site": 6}
    assert float(well.good_share.min()) > 0.99
    assert float(abs(well.energy_excess).max()) < 0.03
    assert float(abs(well.temperature_excess).max()) < 1.0
    assert (well.staleness <= 900).all()
    assert [well[n].attrs["units"] for n in well.data_vars] == ["1", "s", "1", "degC"]


def test_energy_that_grows_without_load_shows_at_its_site_and_in_its_size(twin, said):
    usual = float(said["energy"].sel(site="s2").mean())
    bad = said.assign(energy=said["energy"].copy(deep=True))
    late = bad["energy"].time >= np.datetime64("2026-03-11")
    bad["energy"].loc[{"site": "s2"}] = bad["energy"].sel(site="s2") + late * 0.2 * usual
    sick = of(twin, bad)
    last = sick.energy_excess.isel(time=-1)
    assert float(last.sel(site="s2")) == pytest.approx(0.2, abs=0.03)
    assert float(abs(last.drop_sel(site="s2")).max()) < 0.03
    assert float(abs(sick.energy_excess.sel(site="s2", time="2026-03-05"))) < 0.03


def test_heat_that_load_and_air_do_not_explain(twin, said):
    bad = spoil(said, [Fault("bias", "s3", "2026-03-12", "2026-03-16", "temperature", 3.0)])
    sick = of(twin, bad)
    hot = sick.temperature_excess.sel(site="s3", time=slice("2026-03-12", None)).dropna("time")
    # quality may call it drift and take the readings out; then no excess is claimed, and the share falls
    share = sick.good_share.sel(site="s3", time="2026-03-13")
    assert (hot > 2).all()
    assert len(hot) or float(share) < 1
    calm = sick.temperature_excess.drop_sel(site="s3")
    assert float(abs(calm).max()) < 1


def test_silence_ages_and_bad_readings_count(twin, said):
    cells = [c for c in said.cell.values if c.startswith("s1-")]
    gone = [Fault("gap", c, "2026-03-10", "2026-03-12", v) for c in cells for v in ("load", "traffic", "users")]
    gone += [Fault("gap", "s1", "2026-03-10", "2026-03-12", v) for v in ("energy", "temperature", "air_temperature")]
    quiet = of(twin, spoil(said, gone))
    silent = quiet.sel(site="s1", time=slice("2026-03-10", "2026-03-11"))
    assert silent.good_share.values.tolist() == [0, 0]
    assert silent.staleness.values.tolist() == [86400 + 900, 2 * 86400 + 900]
    assert silent.energy_excess.isnull().all()
    assert float(quiet.good_share.sel(site="s1", time="2026-03-12")) > 0.95
    outage = of(twin, spoil(said, [Fault("outage", "s1-3", "2026-03-10", "2026-03-11")]))
    assert float(outage.good_share.min()) > 0.99, "an outage is no bad reading"


def test_lazy_readings_give_the_same(twin, said):
    pytest.importorskip("dask")
    assert of(twin, said.chunk(time=400)).equals(of(twin, said))


def test_cells_that_nobody_knows_are_refused(twin, said):
    with pytest.raises(TwinError, match="telemetry of the twin's cells"):
        of(twin, said.assign_coords(cell=["zz", *said.cell.values[1:]]))
    with pytest.raises(TwinError, match="telemetry/load"):
        health(twin)
