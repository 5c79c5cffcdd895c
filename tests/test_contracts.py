"""One test for every stage: it holds each to its contract on the example below.

A stage of twinkit without an example fails. There is no list of exceptions.
"""

import functools
import importlib
import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from twinkit import contract, extend, stamp


def _free_space(distance, *, frequency):
    """A student's model, as the lessons write it."""
    return 20 * np.log10(distance) + 20 * np.log10(frequency) - 147.55


def _gain(twin):
    plan = importlib.import_module("twinkit.plan")
    spots = plan.candidates(twin, spacing=4000)
    return plan.gain(twin, spots, path_loss=_free_space, threshold=-70.0)


def _pins(twin):
    """Four pins in two squares of a register's grid."""
    middle = [float(twin["surface"][d].values.min()) + 500.0 for d in ("x", "y")]
    coords = {"square": np.array(["0,0", "1,0"], object), "subject": np.array(["slow", "worry"], object)}
    counts = stamp(xr.DataArray([[2.0, 1.0], [0.0, 1.0]], coords, ("square", "subject")), "pins")
    return counts.assign_coords(x=("square", [middle[0], middle[0] + 1000.0]), y=("square", [middle[1]] * 2))


def _covered(twin):
    radio = importlib.import_module("twinkit.radio")
    return radio.coverage(twin, path_loss=_free_space).rsrp > -70


def _served(twin):
    return importlib.import_module("twinkit.city").served(twin, _covered(twin))


def _linked(twin):
    """The twin with places on the globe and one microwave link, as availability reads them."""
    sites = twin["sites"].to_dataset()
    count = sites.sizes["site"]
    sites = sites.assign(longitude=("site", 77.0 + 0.1 * np.arange(count)), latitude=("site", np.full(count, 31.0)))
    ends = sites.site.values[:2]
    link = {"source": ("link", ends[:1]), "target": ("link", ends[1:]), "medium": ("link", ["microwave"])}
    links = xr.Dataset(link | {"length": ("link", [9500.0])}, {"link": ["ab"]})
    return extend(twin, sites=sites, links=links)


TIMES = np.arange("2026-03-02T00", "2026-03-03T00", dtype="datetime64[h]").astype("datetime64[ns]")


def _load(twin):
    """A day of load on the twin's cells, by the hour."""
    cells = twin["cells"].cell
    share = 0.05 + 0.3 * np.abs(np.sin(np.arange(24)[:, None] / 8 + np.arange(cells.size)))
    return stamp(xr.DataArray(share, {"time": TIMES, "cell": cells.values}, ("time", "cell")), "load")


def _drawn(twin):
    energy = importlib.import_module("twinkit.energy")
    return energy.power(twin, _load(twin), hardware=energy.BY_KIND, antennas=2, digital=0.5)


PRICES = {"grid_cost": 0.1, "diesel_cost": 0.4, "unserved_cost": 5.0}
PRICES |= {"charging": 0.95, "discharging": 0.95, "standing_loss": 0.001, "start": 0.5}

QUIET = {"threshold": -105.0, "ceiling": 0.6, "most_lost": 0.0, "least_rate": 1e6, "wake_delay": 30.0}
QUIET |= {"noise_figure": 9.0, "interference": 3.0, "efficiency": 0.6, "overhead": 0.14}


def _servers():
    """A week of two servers' readings."""
    times = np.arange("2026-03-02T00", "2026-03-09T00", dtype="datetime64[h]").astype("datetime64[ns]")
    axes, dims = {"time": times, "server": ["a", "b"]}, ("time", "server")
    busy = np.random.default_rng(1).uniform(0, 1, (len(times), 2))
    parts = {"power": 60 + 200 * busy, "temperature": 30 + 20 * busy, "server_load": busy}
    return xr.Dataset({n: stamp(xr.DataArray(v, axes, dims), n) for n, v in parts.items()})


def _powered(twin):
    """The twin with a power source for each of its sites."""
    sites = twin["sites"].to_dataset()
    words = np.resize(np.array(["grid and battery", "solar and battery", "diesel"], dtype=object), sites.sizes["site"])
    return extend(twin, sites=sites.assign(power_source=("site", words)))


def _supplied(twin):
    """Power of sites, their equipment, the grid and the sun, over a day."""
    energy = importlib.import_module("twinkit.energy")
    drawn = energy.site_power(_drawn(twin), twin, overhead=120.0)
    has = energy.equipment(drawn, _powered(twin), battery_hours=6.0, solar_ratio=4.0, reserve=2.0)
    up = energy.grid_outages(twin, times=TIMES, mean_up=2e4, mean_down=1e4, feeder=3000.0, seed=1)
    sky = {"cover": 0.4, "memory": 2e4, "performance": 0.8}
    return drawn, has, up, energy.sunlight(_linked(twin), times=TIMES, seed=1, **sky)


def _meshed(twin):
    """The twin with a ring of links and a demand from its first site to each other one."""
    ids = twin["sites"].site.values
    names = np.array([f"l{i}" for i in range(len(ids))], dtype=object)
    ends = {"source": ("link", ids), "target": ("link", np.roll(ids, -1))}
    size = {"capacity": ("link", np.full(len(ids), 1e9)), "length": ("link", 1e3 * np.arange(1, len(ids) + 1))}
    count = len(ids) - 1
    demands = {"origin": ids[:1].repeat(count), "destination": ids[1:], "offered": np.linspace(1e8, 9e8, count)}
    demand = np.array([f"d{i}" for i in range(count)], dtype=object)
    return extend(
        twin,
        links=xr.Dataset(ends | size, {"link": names}),
        demands=xr.Dataset({k: ("demand", v) for k, v in demands.items()}, {"demand": demand}),
    )


def _routed(twin):
    return importlib.import_module("twinkit.network").routing(_meshed(twin))


def _people_near(twin):
    return importlib.import_module("twinkit.network").catchment(twin)


def _networked(twin):
    """The twin with an exchange, a link to every site, and a grid."""
    sites = twin["sites"].to_dataset()
    names = sites.site.values
    kind = ("site", np.array(["exchange", *["macro"] * (len(names) - 1)], dtype=object))
    ends = {"source": ("link", names[1:]), "target": ("link", np.repeat(names[:1], len(names) - 1))}
    links = xr.Dataset(ends, {"link": np.array([f"l{i}" for i in range(1, len(names))], dtype=object)})
    joined = extend(twin, sites=sites.assign(kind=kind), links=links)
    return importlib.import_module("twinkit.resilience").electrified(joined, spacing=4000.0)


def _track(twin):
    """A cyclone across the small twin, which lies near the equator at 75 degree east."""
    resilience = importlib.import_module("twinkit.resilience")
    return resilience.track(["2020-01-01T00", "2020-01-01T12"], [74.0, 76.0], [4.5, 4.5], wind=[60.0, 60.0])


def _storm(twin):
    return importlib.import_module("twinkit.resilience").cyclone(twin, _track(twin), members=2, seed=1)


def _hit(twin):
    return importlib.import_module("twinkit.resilience").strike(twin, _storm(twin), draws=12, seed=1)


def _catchment(twin):
    return importlib.import_module("twinkit.resilience").catchment(twin, reach=9e4)


def _crews(hit):
    return importlib.import_module("twinkit.resilience").recovery(hit, crews=1, grid_crews=1, begins=12.0)


def _water(twin):
    return xr.full_like(twin["surface/ground_height"], 1.0).rename("flood_depth")


def _said(twin):
    """Two days of telemetry."""
    made = importlib.import_module("twinkit.telemetry.generate")
    return made.generate(twin, start="2026-03-02", days=2, seed=1)


def _heard(twin):
    return extend(twin, telemetry=_said(twin))


@functools.cache
def _power_model():
    """Base stations with their meters, and a model of their energy."""
    energy = importlib.import_module("twinkit.energy")
    made = energy.generated_stations(sites=30, days=3, seed=1)
    return made, energy.fit(made, offset=1, seed=1)


@functools.cache
def _calibration():
    radio = importlib.import_module("twinkit.radio")
    drive = radio.repaired(radio.generated_drive(points=100, seed=1))
    # in the midst of the small twin: of another town the model would warn
    midst = ("x", "y", "transmitter_x", "transmitter_y")
    drive = drive.assign({n: (drive[n] + 505_000.0).assign_attrs(drive[n].attrs) for n in midst})
    return radio.calibrate(drive, path_loss=_free_space, seed=1)


SCRATCH = tempfile.TemporaryDirectory()


def _wooded(twin):
    """A land-cover map that is forest everywhere about the twin."""
    rasterio = pytest.importorskip("rasterio")
    file = Path(SCRATCH.name) / "forest.tif"
    x, y = twin["surface"].x.values, twin["surface"].y.values
    where = rasterio.Affine(500, 0, x[0] - 5e3, 0, -500, y[-1] + 5e3)
    shape = {"width": 60, "height": 60, "count": 1, "dtype": "uint8"}
    with rasterio.open(file, "w", driver="GTiff", crs=twin.attrs["crs"], transform=where, **shape) as raster:
        raster.write(np.full((60, 60), 10, np.uint8), 1)
    return file


def _well(twin):
    """Health of the sites over a fortnight, and their remaining life."""
    made = importlib.import_module("twinkit.telemetry.generate")
    said = made.generate(twin, start="2026-03-02", days=14, seed=1)
    return importlib.import_module("twinkit.telemetry").health(extend(twin, telemetry=said))


def _lives(twin):
    names = twin["sites"].site.values
    values = np.array([[1.0], [4.0], [20.0]]) * np.arange(1, len(names) + 1)
    where = {"quantile": [0.1, 0.5, 0.9], "site": names}
    return stamp(xr.DataArray(values, where, ("quantile", "site")), "remaining_life")


PLAN = {"base": "s0", "days": 7, "crews": 1, "failure_cost": 2000.0, "visit_cost": 100.0, "travel_cost": 0.5}
PLAN |= {"speed": 30.0, "visit_hours": 2.0, "shift": 12.0}


def _alarmed(twin):
    """Chains of alarms over the ring."""
    made = importlib.import_module("twinkit.maintain").chains(_meshed(twin), kinds=4, days=4.0, seed=1)
    made = made.drop_vars(["true_root", "true_effect", "cause", "kind"])
    return made.assign({n: stamp(made[n], n) for n in made.data_vars})


def _squared():
    """Four sites in a ring with one demand, and its routes."""
    network = importlib.import_module("twinkit.network")
    twin = importlib.import_module("twinkit.network.traffic").square()
    return twin, network.routing(twin)


def _by_distance(population, distance):
    return importlib.import_module("twinkit.mobility").gravity(population, distance, total=1e4, exponent=1.5)


def _hourly(name, dim):
    # ten days of hours, as a counter could have written them
    hour = np.arange(240)
    course = (0.4 + 0.3 * np.sin(hour * np.pi / 12))[:, None] + 0.05 * np.random.default_rng(1).random((240, 3))
    times = np.datetime64("2026-03-02", "ns") + hour * np.timedelta64(3600, "s")
    return stamp(xr.DataArray(course, {"time": times, dim: list("abc")}, ("time", dim)), name)


def _gone(twin):
    """Flows between the twin's places."""
    return importlib.import_module("twinkit.mobility").flows(twin, model=_by_distance)


WHEN = {"date": "2026-03-02", "timezone": "Asia/Kolkata"}


def _mobile():
    return importlib.import_module("twinkit.mobility")


def _roads(twin):
    return _mobile().streets(twin, spacing=1000.0, seed=1)


def _day(twin):
    return _mobile().diary(twin, persons=30, seed=1)


def _driven(twin):
    # looked for, not imported: its import points PROJ at a database that rasterio cannot read
    if importlib.util.find_spec("sumo") is None:
        pytest.skip("no eclipse-sumo: pip install twinkit[mobility]")
    return _mobile().simulate(_roads(twin), _day(twin), seed=1)


def _shares(twin):
    return _mobile().street_share(twin, _roads(twin), samples=2, seed=1)


def _counted(twin):
    return _mobile().street_counts(_roads(twin), _driven(twin))


def _serving(twin):
    return importlib.import_module("twinkit.radio").coverage(twin, path_loss=_free_space).server


def _print(twin):
    return _mobile().footprint(twin, _serving(twin))


def _seen(twin):
    """Records of two subscribers who go from one end of the town to the other and back."""
    server = _serving(twin).values
    names = twin["cells"].cell.values
    there, back = names[server[0, 0]], names[server[-1, -1]]
    hours = TIMES[[0, 2, 5, 9, 14, 20]]
    which = np.array([there, there, back, back, there, there], dtype=object)
    subscribers = np.repeat(np.array(["u", "v"], dtype=object), 6)
    return _mobile().records(subscribers, np.tile(which, 2), np.tile(hours, 2), provenance="generated: by hand")


# Dotted name → (data, choices) of one valid call on a small twin.
EXAMPLES = {
    "twinkit.city.people_total": lambda twin: ((twin["surface/people"],), {"where": _covered(twin)}),
    "twinkit.city.served": lambda twin: ((twin, _covered(twin)), {"radius": 3000.0}),
    "twinkit.city.share": lambda twin: ((_covered(twin),), {"of": twin["surface/people"]}),
    "twinkit.city.worst_served": lambda twin: ((twin, _served(twin)), {"most": 3}),
    # mobility begin
    "twinkit.mobility.counts.corrected": lambda twin: (
        (_gone(twin), _counted(twin), _shares(twin)),
        {"rounds": 20},
    ),
    "twinkit.mobility.counts.street_share": lambda twin: ((twin, _roads(twin)), {"samples": 2, "seed": 1}),
    "twinkit.mobility.diary.diary": lambda twin: ((twin,), {"persons": 30, "seed": 1}),
    "twinkit.mobility.diary.trip_flow": lambda twin: ((twin, _day(twin)), {"hours": True}),
    "twinkit.mobility.fit.fit_balanced": lambda twin: ((twin, _gone(twin)), {}),
    "twinkit.mobility.fit.fit_gravity": lambda twin: ((twin, _gone(twin)), {}),
    "twinkit.mobility.flow.flows": lambda twin: ((twin,), {"model": _by_distance}),
    "twinkit.mobility.origin_destination.footprint": lambda twin: ((twin, _serving(twin)), {}),
    "twinkit.mobility.origin_destination.origin_destination": lambda twin: (
        (_seen(twin), twin["places/population"]),
        {"cells": _print(twin), "timezone": "Asia/Kolkata", "seed": 1, "draws": 5},
    ),
    "twinkit.mobility.origin_destination.trips": lambda twin: (
        (_seen(twin),),
        {"cells": _print(twin), "timezone": "Asia/Kolkata", "seed": 1},
    ),
    "twinkit.mobility.record.event_records": lambda twin: (
        (_serving(twin), _driven(twin)),
        {"streets": _roads(twin), "cells": twin["cells"].cell.values, "share": 1.0, "seed": 1, **WHEN},
    ),
    "twinkit.mobility.simulate.simulate": lambda twin: ((_roads(twin), _day(twin)), {"seed": 1}),
    "twinkit.mobility.simulate.street_counts": lambda twin: ((_roads(twin), _driven(twin)), {"hours": True}),
    "twinkit.mobility.stay.stays": lambda twin: ((_seen(twin),), {"cells": _print(twin)}),
    "twinkit.mobility.streets.streets": lambda twin: ((twin,), {"spacing": 1000.0, "seed": 1}),
    # mobility end
    "twinkit.maintain.alarms.root_cause": lambda twin: ((_meshed(twin), _alarmed(twin)), {"reach": 1}),
    "twinkit.maintain.life.remaining_life": lambda twin: ((_well(twin),), {"quantile": [0.1, 0.5, 0.9]}),
    "twinkit.maintain.schedule.schedule": lambda twin: ((twin, _lives(twin)), PLAN),
    "twinkit.network.cut.weak_links": lambda twin: ((_meshed(twin),), {"people": _people_near(twin), "core": ["s0"]}),
    "twinkit.network.cut.weak_sites": lambda twin: ((_meshed(twin),), {"people": _people_near(twin), "core": ["s0"]}),
    "twinkit.network.delay.delay": lambda _: (_squared(), {"packet_sizes": {300: 1, 1500: 1}, "speed": 2e8}),
    "twinkit.network.delay.packet_delay": lambda _: (
        _squared(),
        {"packet_sizes": {300: 1, 1500: 1}, "speed": 2e8, "duration": 0.1, "seed": 1},
    ),
    "twinkit.network.flow.concurrent_flow": lambda twin: ((_meshed(twin),), {}),
    "twinkit.network.flow.offered_at": lambda twin: ((_meshed(twin),), {"load": 0.5}),
    "twinkit.network.route.link_load": lambda twin: ((_meshed(twin), _routed(twin)), {}),
    "twinkit.network.route.routes": lambda twin: (
        (_meshed(twin),),
        {"origin": "s0", "destination": "s1", "most": 2, "weight": _meshed(twin)["links/length"]},
    ),
    "twinkit.network.route.routing": lambda twin: ((_meshed(twin),), {"weight": _meshed(twin)["links/length"]}),
    "twinkit.network.traffic.backhauled": lambda twin: ((twin, _people_near(twin)), {"core": "s0"}),
    "twinkit.network.traffic.catchment": lambda twin: ((twin,), {}),
    "twinkit.network.traffic.gravity": lambda twin: ((twin, _people_near(twin)), {"total": 1e9, "exponent": 1.0}),
    "twinkit.participate.weight.wished": lambda twin: ((_pins(twin), twin["surface/people"]), {"square": 1000.0}),
    # energy begin
    "twinkit.energy.cell.energy_used": lambda twin: ((_drawn(twin),), {}),
    "twinkit.energy.cell.power": lambda twin: (
        (twin, _load(twin)),
        {"hardware": importlib.import_module("twinkit.energy").BY_KIND, "antennas": 2, "digital": 0.5},
    ),
    "twinkit.energy.cell.site_power": lambda twin: ((_drawn(twin), twin), {"overhead": 120.0}),
    "twinkit.energy.fit.adapted_energy": lambda _: ((_power_model()[0],), {"model": _power_model()[1]}),
    "twinkit.energy.fit.expected_energy": lambda _: ((_power_model()[0],), {"model": _power_model()[1]}),
    "twinkit.energy.outages.grid_outages": lambda twin: (
        (twin,),
        {"times": TIMES, "mean_up": 2e4, "mean_down": 1e4, "feeder": 3000.0, "seed": 1},
    ),
    "twinkit.energy.report.carbon": lambda twin: (
        (importlib.import_module("twinkit.energy").energy_used(_drawn(twin)),),
        {"intensity": 0.7, "source": "a grid of the test"},
    ),
    "twinkit.energy.servers.fit_servers": lambda twin: ((_servers(),), {"until": np.datetime64("2026-03-06")}),
    "twinkit.energy.sleep.sleep": lambda twin: ((twin, _load(twin)), {"path_loss": _free_space, **QUIET}),
    "twinkit.energy.sun.sunlight": lambda twin: (
        (_linked(twin),),
        {"times": TIMES, "cover": 0.4, "memory": 2e4, "performance": 0.8, "seed": 1},
    ),
    "twinkit.energy.supply.dispatch": lambda twin: (_supplied(twin), dict(PRICES)),
    "twinkit.energy.supply.equipment": lambda twin: (
        (_supplied(twin)[0], _powered(twin)),
        {"battery_hours": 6.0, "solar_ratio": 4.0, "reserve": 2.0},
    ),
    # energy end
    "twinkit.forecast.series.load": lambda _: ((_hourly("load", "cell"),), {"horizon": "24h"}),
    "twinkit.forecast.series.passengers": lambda _: ((_hourly("passengers", "station"),), {"horizon": "24h"}),
    "twinkit.forecast.series.traffic": lambda _: ((_hourly("traffic", "cell"),), {"horizon": "24h"}),
    "twinkit.plan.candidates": lambda twin: ((twin,), {"spacing": 3000.0}),
    "twinkit.plan.choose": lambda twin: ((_gain(twin).compute(),), {"budget": 2}),
    "twinkit.plan.gain": lambda twin: (
        (twin, importlib.import_module("twinkit.plan").candidates(twin, spacing=4000.0)),
        {"path_loss": _free_space, "threshold": -70.0},
    ),
    "twinkit.radio.backhaul.availability": lambda twin: ((_linked(twin),), {"frequency": 23e9, "margin": 30.0}),
    "twinkit.radio.calibrate.calibrated_loss": lambda twin: ((twin,), {"calibration": _calibration()}),
    "twinkit.radio.coverage.coverage": lambda twin: ((twin,), {"path_loss": _free_space}),
    "twinkit.radio.service.service": lambda twin: (
        (twin,),
        {"path_loss": _free_space, "load": 0.5, "noise_figure": 9.0, "efficiency": 0.6, "overhead": 0.14},
    ),
    "twinkit.radio.land_cover.land_cover": lambda twin: ((twin, _wooded(twin)), {"classes": {10: 4}}),
    "twinkit.radio.shadowing.shadow_fading": lambda twin: ((twin,), {"scenario": "uma nlos", "seed": 1}),
    "twinkit.telemetry.generate.generate": lambda twin: ((twin,), {"start": "2026-03-02", "days": 0.5, "seed": 1}),
    "twinkit.telemetry.generate.peak_load": lambda twin: ((twin,), {}),
    "twinkit.telemetry.health.health": lambda twin: ((_heard(twin),), {}),
    "twinkit.telemetry.quality.quality": lambda twin: ((_said(twin),), {}),
    "twinkit.resilience.attack.common_mode": lambda twin: (
        (_networked(twin), twin["sites"].to_dataset().kind.rename("vendor")),
        {"time": "2020-01-01", "probability": 0.5},
    ),
    "twinkit.resilience.attack.cut": lambda twin: ((_networked(twin),), {"time": "2020-01-01", "node": "feeders"}),
    "twinkit.resilience.critical.critical": lambda twin: (
        (_networked(twin), _hit(_networked(twin))),
        {"catchment": _catchment(twin), "hours": 48.0, "candidates": 4, "battery": 8.0, "crews": _crews},
    ),
    "twinkit.resilience.cyclone.cyclone": lambda twin: ((_networked(twin), _track(twin)), {"members": 2, "seed": 1}),
    "twinkit.resilience.earthquake.earthquake": lambda twin: (
        (_networked(twin),),
        {"longitude": 75.0, "latitude": 4.5, "magnitude": 6.5, "time": "2020-01-01", "members": 2},
    ),
    "twinkit.resilience.flood.flood": lambda twin: ((_networked(twin), _water(twin)), {"times": ["2020-01-01"]}),
    "twinkit.resilience.footprint.hazard": lambda twin: (
        (_networked(twin), lambda x, y, time: 45.0 + 0 * x),
        {"times": ["2020-01-01"], "kind": "wind_gust"},
    ),
    "twinkit.resilience.recovery.recovery": lambda twin: (
        (_hit(_networked(twin)),),
        {"crews": 1, "grid_crews": 1, "begins": 12.0},
    ),
    "twinkit.resilience.served.catchment": lambda twin: ((twin,), {"reach": 9e4}),
    "twinkit.resilience.served.served": lambda twin: (
        (_networked(twin), _hit(_networked(twin))),
        {"catchment": _catchment(twin), "hours": 48.0},
    ),
    "twinkit.resilience.strike.strike": lambda twin: (
        (_networked(twin), _storm(_networked(twin))),
        {"draws": 12, "seed": 1},
    ),
    "twinkit.resilience.warning.warning_reach": lambda twin: (
        (_networked(twin), _hit(_networked(twin))),
        {"polygon": [(74.9, 4.4), (75.3, 4.4), (75.3, 4.8), (74.9, 4.8)], "time": "2020-01-01T10", "reach": 9e4},
    ),
}


def _ours():
    """Stages that stand in a file of twinkit; doctests register others while they run."""
    for name, stage in contract.stages().items():
        module, _, short = name.rpartition(".")
        if name.startswith("twinkit.") and hasattr(importlib.import_module(module), short):
            yield name, stage


STAGES = dict(_ours())


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_keeps_its_contract(name, small_twin):
    assert name in EXAMPLES, f"give {name} one valid call in EXAMPLES of tests/test_contracts.py"
    data, choices = EXAMPLES[name](small_twin(sites=3, pixels=24, step=400.0))
    module, _, short = name.rpartition(".")
    stage = getattr(importlib.import_module(module), short)
    kept = contract.check(stage, *data, **choices)
    assert len(kept) >= 5, kept
    refused = [k for k in kept if k.startswith("refuses")]
    assert len(refused) >= len(stage.stage.reads), "some declared input is not among the example's data"


def test_every_example_belongs_to_a_stage():
    assert set(EXAMPLES) <= set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_documented(name):
    stage = STAGES[name]
    assert stage.meaning.endswith((".", ":")), "the meaning in one line"
    for part in ("Returns\n", "Errors\n", "Examples\n"):
        assert part in stage.function.__doc__, f"no {part.strip()} in the docstring of {name}"


def test_a_learners_stage_passes_the_same_test(small_twin, monkeypatch):
    monkeypatch.setattr(contract, "_registry", dict(contract._registry))

    @contract.contract(reads=["surface/ground_height"], gives=["rain_rate"])
    def wetter(twin, *, by):
        """Rain grows with height."""
        return stamp(xr.full_like(twin["surface/ground_height"], by) * 2, "rain_rate")

    assert "stays lazy" in contract.check(wetter, small_twin(), by=3.0)


# ---------------------------------------------------------------- more than one machine


@pytest.fixture(scope="module")
def _sent_by_value():
    # a worker cannot import this file by its name
    cloudpickle = pytest.importorskip("cloudpickle")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def _lazy(data):
    if isinstance(data, xr.DataTree):
        return data.map_over_datasets(_lazy)
    if isinstance(data, xr.Dataset | xr.DataArray):
        return data.chunk({d: 10 for d in ("y", "x", "pixel", "time") if d in data.dims})
    return data


@pytest.mark.usefixtures("_sent_by_value")
@pytest.mark.parametrize("name", [n for n, s in STAGES.items() if not s.computes])
def test_a_lazy_stage_gives_the_same_on_two_workers(name, small_twin, workers):
    data, choices = EXAMPLES[name](small_twin(sites=3, pixels=24, step=400.0))
    module, _, short = name.rpartition(".")
    stage = getattr(importlib.import_module(module), short)
    here = stage(*data, **choices).compute(scheduler="synchronous")
    there = stage(*map(_lazy, data), **{k: _lazy(v) for k, v in choices.items()}).compute(scheduler=workers)
    for variable in stage.stage.gives:
        a, b = (r if isinstance(r, xr.DataArray) else r[variable] for r in (here, there))
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a.values, b.values, rtol=1e-6)
        else:
            np.testing.assert_array_equal(a.values, b.values)
