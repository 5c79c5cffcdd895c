"""The data centre: laws of heat, and models of real servers judged on hours that they never saw."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, energy, stamp
from twinkit.dynamics import simulate

ROOM = {
    "air_capacity": 1e6,
    "server_capacity": 5e5,
    "server_resistance": 1e-3,
    "wall_resistance": 1e-2,
    "cooling_most": 3e4,
    "cooling_gain": 1e4,
    "setpoint": 24.0,
}
STATE = xr.Dataset({"air_temperature": 26.0, "server_temperature": 46.0, **ROOM})


def forced(**change):
    made = xr.Dataset({"power": 2e4, "outdoor": 30.0, "cooling": 1.0} | change)
    return lambda time: made


def run(state=STATE, steps=60, dt=60.0, **change):
    return simulate(energy.step, state, steps=steps, dt=dt, forcing=forced(**change), seed=1, progress=False)


def test_a_working_cooling_settles_where_heat_in_is_heat_out():
    end = run(steps=100, dt=600).isel(time=-1)
    air, hot = float(end.air_temperature), float(end.server_temperature)
    carried = 1e4 * (air - 24.0)
    assert pytest.approx(carried + (air - 30.0) / 1e-2, rel=1e-6) == 2e4
    assert hot - air == pytest.approx(2e4 * 1e-3, rel=1e-6)


def test_too_little_cooling_settles_at_its_most():
    warm = STATE.assign(air_temperature=79.0, server_temperature=99.0)
    end = run(warm, steps=60, dt=1200, cooling=0.5).isel(time=-1)
    assert pytest.approx(0.5 * 3e4 + (float(end.air_temperature) - 30.0) / 1e-2, rel=1e-4) == 2e4


def test_the_failing_room_agrees_with_the_closed_form():
    # light servers that start as warm as their heat makes them follow the air: one mass, the law of time_to_critical
    light = STATE.assign(server_capacity=2e4, air_temperature=24.0, server_temperature=44.0)
    path = run(light, steps=120, dt=30.0, cooling=0.0)
    critical = 45.0
    seconds = np.interp(critical, path.air_temperature, np.arange(121) * 30.0)
    law = energy.time_to_critical(2e4, start=24.0, critical=critical, outdoor=30.0, capacity=1.02e6, resistance=1e-2)
    assert seconds == pytest.approx(law, rel=0.005)


def test_the_length_of_the_step_does_not_matter():
    one, many = run(steps=1, dt=3600.0, cooling=0.3), run(steps=60, dt=60.0, cooling=0.3)
    assert float(one.air_temperature[-1]) == pytest.approx(float(many.air_temperature[-1]), abs=0.02)


def test_members_run_side_by_side():
    several = STATE.assign(air_capacity=("member", [5e5, 1e6, 2e6]))
    several = several.assign(
        {n: several[n].broadcast_like(several.air_capacity) for n in ("air_temperature", "server_temperature")}
    )
    end = run(several, cooling=0.0).isel(time=-1).air_temperature
    assert bool((np.diff(end) < 0).all())
    assert float(end[1]) == pytest.approx(float(run(cooling=0.0).air_temperature[-1]), abs=0.05)


def test_cooling_rests_when_it_is_cold_outside():
    like = {"setpoint": 24.0, "approach": 6.0, "carnot": 0.4, "fans": 0.05}
    drawn = energy.cooling_power(1e4, outdoor=np.array([-10.0, 10.0, 20.0, 30.0, 40.0]), **like)
    assert drawn[0] == drawn[1] == 500.0
    assert (np.diff(drawn[1:]) > 0).all()
    # Carnot's machine itself: heat times the temperature it climbs over the cold side's
    ideal = energy.cooling_power(1e4, outdoor=30.0, setpoint=24.0, approach=0.1, carnot=1.0, fans=0.0)
    assert ideal == pytest.approx(1e4 * 6.2 / (23.9 + 273.15))
    assert energy.power_usage_effectiveness(1e4, cooling=drawn[-1], losses=1e3) > 1.1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cooling": 1.5}, "cooling from 0 to 1"),
        ({"power": -5.0}, "power from 0"),
        ({"outdoor": np.nan}, "not a number"),
    ],
)
def test_a_forcing_that_is_none(change, said):
    with pytest.raises(TwinError, match=said):
        run(steps=1, **change)


def test_a_state_that_lacks_something():
    with pytest.raises(TwinError, match="no wall_resistance"):
        run(STATE.drop_vars("wall_resistance"), steps=1)
    with pytest.raises(TwinError, match="air_capacity from 1"):
        run(STATE.assign(air_capacity=-1.0), steps=1)
    with pytest.raises(TwinError, match="critical"):
        energy.time_to_critical(1.0, start=20.0, critical=np.nan, outdoor=20.0, capacity=1.0, resistance=1.0)


# ---------------------------------------------------------------- real servers


@pytest.fixture(scope="module")
def readings(testdata):
    files = [testdata(f"biohpc/cbsugpu{n}_usage_stats.txt") for n in ("05", "06", "07", "08")]
    return energy.read_servers(files, zone="America/New_York", off=20.0)


def test_real_tables_come_in_ascending_and_in_utc(readings):
    assert readings.indexes["time"].is_monotonic_increasing
    assert readings.indexes["time"].is_unique
    # the newest row of the first file is 9:00 in summer time
    assert str(readings.power.sel(server="cbsugpu05").dropna("time").time.values[-1])[:13] == "2025-10-31T13"
    assert float(readings.server_load.max()) <= 1.0
    assert float(readings.power.min()) >= 20.0
    assert readings.attrs["powered_down"] == 1654
    assert readings.attrs["unread"] > 0


def test_models_of_real_servers_hold_on_hours_they_never_saw(readings):
    found = energy.fit_servers(readings, until="2025-03-01")
    # what is reached, not what was hoped for: a single server is known to some 15 to 25 % of its mean power
    assert bool((found.power_error_relative < 0.25).all())
    assert bool((found.power_error < 0.35 * found.power_error_of_mean).all())
    assert bool((found.temperature_error < 0.4 * found.temperature_error_of_mean).all())
    assert bool((found.temperature_error < 6.0).all())
    assert bool((found.busy > found.idle).all())
    assert bool((found.resistance > 0).all())


def test_a_fit_needs_readings_on_both_sides():
    times = np.arange("2026-01-01T00", "2026-01-05T00", dtype="datetime64[h]").astype("datetime64[ns]")
    axes, dims = {"time": times, "server": ["a"]}, ("time", "server")
    busy = np.random.default_rng(1).uniform(0, 1, (len(times), 1))
    parts = {"power": 60 + 100 * busy, "temperature": 30 + busy, "server_load": busy}
    made = xr.Dataset({n: stamp(xr.DataArray(v, axes, dims), n) for n, v in parts.items()})
    with pytest.raises(TwinError, match="48 readings from the date"):
        energy.fit_servers(made, until="2026-01-04T12")
    with pytest.raises(TwinError, match="utilisation from 0 to 1"):
        energy.fit_servers(made.assign(server_load=stamp(made.server_load * 100, "server_load")), until="2026-01-03")
    with pytest.raises(TwinError, match="order of time"):
        energy.fit_servers(made.isel(time=slice(None, None, -1)), until="2026-01-03")


def test_a_table_that_is_none(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("name\ttimestamp\tpowerave\ttempave\tutilave\na\tsoon\t1\t2\t3\n")
    with pytest.raises(TwinError, match="no row of numbers"):
        energy.read_servers(file, zone="UTC", off=0)
    file.write_text("name\ttimestamp\tpowerave\ttempave\tutilave\na\t2025-01-01 00:00:00\t50\t2\t3\n")
    with pytest.raises(TwinError, match="a time zone"):
        energy.read_servers(file, zone="Moon/Tranquility", off=0)
    with pytest.raises(TwinError, match="one reading of a server an hour"):
        energy.read_servers([file, file], zone="UTC", off=0)
    with pytest.raises(TwinError, match="a tab-separated table"):
        energy.read_servers(tmp_path / "none.txt", zone="UTC", off=0)
