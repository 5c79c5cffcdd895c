"""Supply of sites: PyPSA's optimum, physics by hand, sun by astropy, outages by their laws and real notices."""

import itertools
import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError, energy, extend, stamp
from twinkit.energy import supply

BATTERY = {"charging": 0.94, "discharging": 0.91, "standing_loss": 0.002}
PRICES = {"grid_cost": 0.11, "diesel_cost": 0.42, "unserved_cost": 6.0}


def case(*, sites=3, hours=72, seed=1, start="2026-03-02T00"):
    rng = np.random.default_rng(seed)
    times = np.datetime64(start, "ns") + np.arange(hours) * np.timedelta64(1, "h")
    ids = [f"s{i}" for i in range(sites)]

    def hourly(values, name):
        return stamp(xr.DataArray(values, {"time": times, "site": ids}, ("time", "site")), name)

    power = hourly(400 + 300 * rng.random((hours, sites)), "power")
    up = hourly(np.clip(rng.random((hours, sites)) * 2 - 0.5, 0, 1), "grid_up")
    day = np.clip(np.sin(2 * np.pi * (np.arange(hours) % 24 - 6) / 24), 0, 1)[:, None]
    sun = hourly(day * rng.random((hours, sites)), "solar_yield")
    sizes = dict(zip(supply.EQUIPMENT, (1500.0, 1200.0, 300.0, 500.0, 3000.0), strict=True))
    has = xr.Dataset(
        {n: stamp(xr.DataArray(v * rng.uniform(0.5, 1.5, sites), {"site": ids}, "site"), n) for n, v in sizes.items()}
    )
    return power, has, up, sun


def pypsa_cost(power, has, up, sun, *, start, tank=None):
    """The same case as PyPSA builds and solves it, all sites in one network."""
    pypsa = pytest.importorskip("pypsa")
    logging.getLogger("pypsa").setLevel(logging.ERROR)
    logging.getLogger("linopy").setLevel(logging.ERROR)
    n = pypsa.Network()
    n.set_snapshots(pd.DatetimeIndex(power.time.values))
    for s in power.site.values:
        at = {"site": s}
        h = {k: float(has[k].sel(at)) / 1e3 for k in supply.EQUIPMENT}
        load = power.sel(at).to_pandas() / 1e3
        n.add("Bus", s)
        n.add("Load", f"load {s}", bus=s, p_set=load)
        for name, size, price, most in (
            ("grid", h["grid_power"], PRICES["grid_cost"], up.sel(at).to_pandas()),
            ("sun", h["solar_power"], 0.0, sun.sel(at).to_pandas()),
            ("shed", 1.0, PRICES["unserved_cost"], load),
        ):
            n.add("Generator", f"{name} {s}", bus=s, p_nom=size, marginal_cost=price, p_max_pu=most)
        limit = {} if tank is None else {"e_sum_max": tank / 1e3}
        diesel = {"p_nom": h["diesel_power"], "marginal_cost": PRICES["diesel_cost"]}
        n.add("Generator", f"diesel {s}", bus=s, **diesel, **limit)
        n.add(
            "StorageUnit",
            f"battery {s}",
            bus=s,
            p_nom=h["battery_power"],
            max_hours=h["battery_energy"] / h["battery_power"],
            efficiency_store=BATTERY["charging"],
            efficiency_dispatch=BATTERY["discharging"],
            standing_loss=BATTERY["standing_loss"],
            cyclic_state_of_charge=start is None,
            # PyPSA lets the first period lose nothing of what was there before it
            state_of_charge_initial=0.0
            if start is None
            else start * h["battery_energy"] * (1 - BATTERY["standing_loss"]),
        )
    status, _ = n.optimize(solver_name="highs", log_to_console=False, include_objective_constant=False)
    assert status == "ok"
    return float(n.objective)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("start", "tank"), [(None, None), (0.5, None), (0.2, 900.0)])
def test_the_optimum_is_that_of_pypsa(start, tank):
    power, has, up, sun = case()
    found = energy.dispatch(power, has, up, sun, start=start, diesel_most=tank, **PRICES, **BATTERY)
    assert float(found.supply_cost.sum()) == pytest.approx(
        pypsa_cost(power, has, up, sun, start=start, tank=tank), rel=1e-6
    )
    assert found.attrs["gap"] < 1e-9


def test_the_flows_keep_every_law():
    power, has, up, sun = case(sites=5, hours=96)
    f = energy.dispatch(power, has, up, sun, start=0.5, **PRICES, **BATTERY)
    given = f.from_grid + f.from_solar + f.from_diesel + f.from_battery + f.unserved
    np.testing.assert_allclose(given, power + f.to_battery, atol=1e-5)
    before = f.stored.shift(time=1).fillna(0.5 * has.battery_energy)
    kept = (1 - BATTERY["standing_loss"]) * before
    moved = BATTERY["charging"] * f.to_battery - f.from_battery / BATTERY["discharging"]
    np.testing.assert_allclose(f.stored, kept + moved, atol=1e-4)
    assert bool((f.from_grid <= up * has.grid_power + 1e-6).all())
    assert bool((f.from_solar <= sun * has.solar_power + 1e-6).all())
    assert bool((f.from_diesel <= has.diesel_power + 1e-6).all())
    assert bool((f.stored <= has.battery_energy + 1e-6).all())
    paid = (f.from_grid * 0.11 + f.from_diesel * 0.42 + f.unserved * 6.0).sum("time") / 1e3
    np.testing.assert_allclose(f.supply_cost, paid, rtol=1e-9)


def test_sites_do_not_touch_one_another(monkeypatch):
    parts = case(sites=5)
    one = energy.dispatch(*parts, start=None, **PRICES, **BATTERY)
    monkeypatch.setattr(supply, "VARIABLES", 1)
    other = energy.dispatch(*parts, start=None, **PRICES, **BATTERY)
    np.testing.assert_allclose(one.supply_cost, other.supply_cost, rtol=1e-9)


def test_half_hours_count_half():
    # the same powers over periods of half the length cost half
    parts = case()
    like = {"start": 0.0, **PRICES, **(BATTERY | {"standing_loss": 0.0})}
    none = parts[1].assign(battery_energy=parts[1].battery_energy * 0)
    cost = energy.dispatch(parts[0], none, *parts[2:], **like).supply_cost
    first = parts[0].time.values[0]
    half = [p.assign_coords(time=first + (p.time.values - first) // 2) for p in (parts[0], *parts[2:])]
    np.testing.assert_allclose(energy.dispatch(half[0], none, *half[1:], **like).supply_cost, cost / 2)


def test_more_battery_and_sun_never_cost_more():
    power, has, up, sun = case()
    cost = [
        float(
            energy.dispatch(
                power, has.assign(battery_energy=has.battery_energy * k), up, sun, start=None, **PRICES, **BATTERY
            ).supply_cost.sum()
        )
        for k in (0.0, 0.5, 1.0, 2.0)
    ]
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(cost))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p, h, u, s: (p, h.assign(battery_energy=-h.battery_energy), u, s), "battery_energy from 0"),
        (lambda p, h, u, s: (p.where(p.time > p.time[3]), h, u, s), "not a number"),
        (lambda p, h, u, s: (p, h, u + 0.6, s), "grid_up"),
        (lambda p, h, u, s: (p.isel(time=slice(None, None, -1)), h, u, s), "times that ascend"),
        (lambda p, h, u, s: (p, h, u.assign_coords(time=u.time + np.timedelta64(330, "m")), s), r"shifted by \+5.5 h"),
        (lambda p, h, u, s: (p, h.isel(site=[1, 0, 2]), u, s), "of the same sites"),
    ],
)
def test_a_supply_that_is_none(change, said):
    power, has, up, sun = change(*case())
    arrays = {"power": power, "grid_up": up, "solar_yield": sun}
    stamped = {n: stamp(a, n) for n, a in arrays.items()}
    has = xr.Dataset({n: stamp(has[n], n) for n in has})
    with pytest.raises(TwinError, match=said):
        energy.dispatch(
            stamped["power"], has, stamped["grid_up"], stamped["solar_yield"], start=None, **PRICES, **BATTERY
        )


@pytest.mark.parametrize("choice", [{"charging": 1.2}, {"unserved_cost": -1.0}, {"start": 1.5}])
def test_choices_that_are_none(choice):
    with pytest.raises(TwinError, match=next(iter(choice))):
        energy.dispatch(*case(), **({"start": None} | PRICES | BATTERY | choice))


# ---------------------------------------------------------------- sun


def test_the_sun_stands_where_astropy_sees_it():
    pytest.importorskip("astropy")
    import astropy.units as u
    from astropy.coordinates import AltAz, EarthLocation, get_sun
    from astropy.time import Time
    from astropy.utils import iers

    times = np.arange("2023-01-03T01", "2023-12-30T00", np.timedelta64(6 * 24 * 60 + 67, "m"), "datetime64[ns]")
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        for longitude, latitude in ((77.17, 31.1), (30.06, -1.95), (-43.2, -22.9)):
            where = EarthLocation(lon=longitude * u.deg, lat=latitude * u.deg)
            seen = get_sun(Time(times)).transform_to(AltAz(obstime=Time(times), location=where)).alt.deg
            ours = energy.sun_elevation(times, longitude=longitude, latitude=latitude)
            assert np.abs(ours - seen).max() < 0.4


def test_panels_work_by_the_local_sun_and_rest_at_night(small_twin):
    twin = small_twin()
    sites = twin["sites"].to_dataset()
    count = sites.sizes["site"]
    from twinkit import extend

    placed = sites.assign(longitude=("site", np.full(count, 77.2)), latitude=("site", np.full(count, 31.1)))
    times = np.arange("2026-06-20T00", "2026-06-23T00", dtype="datetime64[h]")
    like = {"times": times, "memory": 3 * 3600, "performance": 0.8, "seed": 3}
    clear = energy.sunlight(extend(twin, sites=placed), cover=0.0, **like)
    cloudy = energy.sunlight(extend(twin, sites=placed), cover=0.9, **like)
    hour = clear.time.dt.hour
    assert float(clear.where(hour.isin([16, 17, 18, 19, 20, 21, 22])).max()) == 0.0  # 21:30 to 4:30 in India
    assert int(clear.isel(site=0, time=slice(0, 24)).argmax("time")) in (6, 7)
    assert 0.25 - 1e-9 <= float(cloudy.sum() / clear.sum()) < 0.8
    assert clear.identical(energy.sunlight(extend(twin, sites=placed), cover=0.0, **like))


# ---------------------------------------------------------------- outages


def test_outages_follow_their_law(small_twin):
    twin = small_twin(sites=6)
    times = np.arange("2020-01-01T00", "2023-01-01T00", dtype="datetime64[h]")
    up = energy.grid_outages(twin, times=times, mean_up=30 * 3600, mean_down=6 * 3600, feeder=1.0, seed=1)
    # 6 feeders of three years: some 4400 cycles of 36 h, so that the share is known to about half a percent
    assert float(up.mean()) == pytest.approx(30 / 36, abs=0.015)
    starts = ((up.values[:-1] == 1) & (up.values[1:] < 1)).sum()
    assert starts / up.size * 36 == pytest.approx(1.0, rel=0.1)
    few = energy.grid_outages(
        small_twin(sites=6), times=times[:500], mean_up=30 * 3600, mean_down=6 * 3600, feeder=1.0, seed=1
    )
    np.testing.assert_array_equal(few, up.isel(time=slice(0, 500)))


def test_periods_share_outages():
    hours = np.arange("2026-03-02T00", "2026-03-03T00", dtype="datetime64[h]")
    rng = np.random.default_rng(4)
    start = hours[0] + rng.integers(0, 24 * 60, 20).astype("timedelta64[m]")
    end = start + rng.integers(0, 200, 20).astype("timedelta64[m]")
    minutes = hours[0] + np.arange(24 * 60).astype("timedelta64[m]")
    down = ((minutes[:, None] >= start) & (minutes[:, None] < end)).any(1)
    np.testing.assert_allclose(
        energy.up_share(hours, start=start, end=end), 1 - down.reshape(24, 60).mean(1), atol=1e-9
    )


def test_an_outage_that_ends_before_it_starts():
    hours = np.arange("2026-03-02T00", "2026-03-03T00", dtype="datetime64[h]")
    with pytest.raises(TwinError, match="outages that start and then end"):
        energy.up_share(hours, start=["2026-03-02T05"], end=["2026-03-02T04"])
    with pytest.raises(TwinError, match="without a zone"):
        energy.up_share(pd.DatetimeIndex(hours, tz="Asia/Kolkata"), start=[], end=[])
    with pytest.raises(TwinError, match="without a zone"):
        energy.up_share(hours, start=["2026-03-02T05:00+05:30"], end=["2026-03-02T06:00+05:30"])
    with pytest.raises(TwinError, match="times in UTC"):
        energy.up_share(hours, start=["noon"], end=["night"])


def test_a_site_off_the_grid_has_none_and_an_unknown_hour_no_size(small_twin):
    base = small_twin()
    names = base["sites"].site.values
    words = np.resize(
        np.array(["off-grid solar and battery", "grid and battery", "diesel, no grid"], dtype=object), len(names)
    )
    twin = extend(base, sites=xr.DataArray(words, {"site": names}, "site", name="power_source"))
    times = np.arange("2026-03-02T00", "2026-03-02T03", dtype="datetime64[h]").astype("datetime64[ns]")
    drawn = stamp(
        xr.DataArray(np.full((3, len(names)), 900.0), {"time": times, "site": names}, ("time", "site")), "power"
    )
    sizes = {"battery_hours": 6, "solar_ratio": 4, "reserve": 2}
    has = energy.equipment(drawn, twin, **sizes)
    np.testing.assert_array_equal(has.grid_power.values > 0, words == "grid and battery")
    with pytest.raises(TwinError, match="power"):
        energy.equipment(stamp(drawn.where(drawn.time > times[0]), "power"), twin, **sizes)


def test_notices_are_read_on_the_days_that_their_titles_name(testdata):
    found = energy.notices(testdata("chennai-outages/dayly_load_shedding_schedule_chennai_2014_2022.csv"), hours=5.5)
    titles = pd.read_csv(testdata("chennai-outages/Power_Shutdown_in_Chennai_2013_2022.csv"))
    named = set()
    for column in ("title_original", "text_original"):
        parts = titles[column].str.extract(r"(\d\d?)[.\-/](\d\d?)[.\-/](\d{4}|\d\d)").dropna()
        year = parts[2].where(parts[2].str.len() == 4, "20" + parts[2])
        named |= set(pd.to_datetime(year + "-" + parts[1] + "-" + parts[0], errors="coerce").dropna())
    days = (pd.DatetimeIndex(found.start.values) + pd.Timedelta("5.5h")).normalize()
    # as they stand in the file, 78 % are days that a title names
    assert days.isin(named).mean() > 0.97
    assert found.attrs == {**found.attrs, "unread": 0}
    assert found.sizes["outage"] == 479
    lasts = (found.end - found.start) / np.timedelta64(1, "h")
    assert 3 <= float(lasts.min()) <= float(lasts.max()) <= 8


def test_a_file_that_holds_no_notices(tmp_path):
    file = tmp_path / "none.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(TwinError, match="a CSV with columns PO_date"):
        energy.notices(file, hours=5.5)
    with pytest.raises(TwinError, match="a CSV with columns"):
        energy.notices(tmp_path / "absent.csv", hours=5.5)
