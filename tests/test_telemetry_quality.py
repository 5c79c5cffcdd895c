"""Quality: few false alarms on healthy readings, each fault found under its own name, and nothing else with it."""

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError
from twinkit.telemetry.generate import Fault, generate, spoil
from twinkit.telemetry.quality import FLAGS, cleaned, marked, quality

MONDAY = np.datetime64("2026-03-02", "ns")
QUARTER = np.timedelta64(900, "s")
NOON = "2026-03-10T12:00"
DAYS = 21


@pytest.fixture(scope="module")
def twin(small_twin):
    twin = small_twin(sites=12)
    surface = twin["surface"].to_dataset()
    people = (surface.people * 40).assign_attrs(surface.people.attrs)
    return tk.extend(twin, surface=surface.assign(people=people))


@pytest.fixture(scope="module")
def healthy(twin):
    return generate(twin, start=MONDAY, days=DAYS, seed=5)


def counted(found):
    return {FLAGS[f]: int(n) for f, n in zip(*np.unique(found["flag"], return_counts=True), strict=True)}


def test_healthy_readings_raise_next_to_no_alarm(twin):
    """One in ten thousand readings at most, over three networks' three weeks, and no slow fault at all."""
    wrong = due = 0
    for seed in (11, 12):
        found = quality(generate(twin, start=MONDAY, days=DAYS, seed=seed))
        flags = counted(found)
        due += found["flag"].size
        wrong += sum(n for f, n in flags.items() if f != "good")
        assert not {"gap", "outage", "stuck", "unit", "clock"} & set(flags), flags
    assert wrong / due < 1e-4


# kind, variable, size, hours: what a sensor suffers, and the share of the sensors at which it must be found
SUFFERED = [
    ("gap", "load", 0.0, 2, 1.0),
    ("gap", "energy", 0.0, 5, 1.0),
    ("outage", "load", 0.0, 2, 1.0),
    ("stuck", "load", 0.0, 2, 1.0),
    ("stuck", "users", 0.0, 3, 1.0),
    ("stuck", "temperature", 0.0, 4, 0.95),
    ("unit", "load", 100.0, 12, 1.0),
    ("unit", "traffic", 1e-3, 12, 1.0),
    ("unit", "energy", 3600.0, 12, 1.0),
    ("spike", "load", 0.6, 12, 0.95),
    ("spike", "temperature", 12.0, 12, 0.95),
    ("clock", "load", 4 * 3600.0, 96, 0.95),
    ("clock", "load", -6 * 3600.0, 96, 0.95),
    ("clock", "temperature", 6 * 3600.0, 96, 0.95),
    ("bias", "temperature", 5.0, 96, 0.95),
    ("drift", "temperature", 8.0, 96, 0.95),
    ("bias", "load", 0.3, 96, 0.8),
]


@pytest.mark.parametrize(("kind", "variable", "size", "hours", "share"), SUFFERED)
def test_a_fault_is_found_under_its_own_name(healthy, kind, variable, size, hours, share):
    end = np.datetime64(NOON) + np.timedelta64(hours, "h")
    names = ["load", "traffic", "users"] if kind == "outage" else [variable]
    dim = healthy[variable].dims[1]
    ids = healthy[dim].values
    if variable == "users":  # what stands at three users all night may be true
        ids = ids[(healthy["users"].median("time") > 20).values]
    struck = ids[:: 2 if variable == "users" else 4]
    bad = spoil(healthy[names], [Fault(kind, s, NOON, end, variable, size) for s in struck])
    flag = marked(quality(bad), variable)
    named = flag == FLAGS.index("drift" if kind == "bias" else kind)
    late = slice(NOON, end + np.timedelta64(24, "h"))
    hit = named.sel(sensor=struck, time=late).any("time")
    assert float(hit.mean()) >= share
    # sensors that suffer nothing are left in peace
    whole = [s for s in ids if s not in set(struck)]
    assert float((flag.sel(sensor=whole) > 0).mean()) < 1e-3


def test_the_events_say_who_what_when_and_how_long(healthy):
    faults = [
        Fault("gap", "s2-6", "2026-03-05T06:00", "2026-03-05T09:00"),
        Fault("stuck", "s4", "2026-03-06T00:00", "2026-03-06T12:00", "temperature"),
    ]
    found = quality(spoil(healthy, faults))
    table = found.drop_dims("time").drop_dims("series").to_dataframe()
    gap = table[table.event_flag == FLAGS.index("gap")].iloc[0]
    assert (gap.event_variable, gap.event_sensor, gap.readings) == ("load", "s2-6", 12)
    assert gap.start == np.datetime64("2026-03-05T06:00")
    assert gap.end == np.datetime64("2026-03-05T08:45")
    stuck = table[table.event_flag == FLAGS.index("stuck")].iloc[0]
    assert (stuck.event_variable, stuck.event_sensor) == ("temperature", "s4")
    assert 48 <= stuck.readings <= 50


def test_what_is_cleaned_is_gone_and_all_else_is_as_it_was(healthy):
    faults = [Fault("unit", "s2-6", NOON, "2026-03-11", size=100.0), Fault("outage", "s3-9", NOON, "2026-03-11")]
    bad = spoil(healthy, faults)
    good = cleaned(bad, quality(bad))
    span = slice(NOON, "2026-03-10T23:45")
    assert float(good["load"].sel(cell="s2-6", time=span).isnull().mean()) > 0.95
    assert (good["load"].sel(cell="s3-9", time=span) == 0).all(), "an outage is true"
    assert float(good["load"].max()) <= 1
    kept = good["load"].notnull()
    assert (good["load"].where(kept, 0) == bad["load"].where(kept, 0)).all()
    assert np.isnan(bad["energy"]).equals(np.isnan(good["energy"])), "no reading was due between full hours"
    with pytest.raises(TwinError, match="quality of the same telemetry"):
        cleaned(healthy.isel(time=slice(0, 96)), quality(bad))


def test_readings_that_were_not_due_are_no_gap(healthy):
    found = quality(healthy[["energy"]])
    assert not (found["flag"] == FLAGS.index("gap")).any()


def test_one_sensor_alone_and_one_day_are_looked_at_as_far_as_they_go(healthy):
    day = healthy[["load"]].isel(cell=[3], time=slice(0, 96)).copy(deep=True)
    day["load"][40:50] = np.nan
    day["load"][60:70] = 0.5
    flags = counted(quality(day))
    assert flags["gap"] == 10
    assert flags["stuck"] == 10


def test_variables_of_ones_own_and_none_at_all():
    times = MONDAY + np.arange(200) * QUARTER
    rng = np.random.default_rng(1)
    own = rng.normal(0, 1, (200, 2))
    own[100, 1] = 40
    found = quality(xr.Dataset({"wobble": (("time", "rack"), own)}, {"time": times, "rack": ["a", "b"]}))
    assert found["event_sensor"].values.tolist() == ["b"]
    assert FLAGS[int(found["event_flag"][0])] == "spike"
    nothing = quality(xr.Dataset(coords={"time": times}))
    assert nothing["flag"].shape == (200, 0)
    assert nothing.sizes["event"] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["load"], "telemetry as a Dataset"),
        (lambda d: d.drop_vars("time"), "telemetry as a Dataset"),
        (lambda d: d.isel(time=[0, 1, 5]), "times that ascend evenly"),
        (lambda d: d.isel(time=slice(None, None, -1)), "times that ascend evenly"),
        (lambda d: d.assign(load=d["load"].assign_attrs(units="percent")), "load in 1"),
    ],
)
def test_what_is_no_telemetry_is_refused(healthy, change, said):
    with pytest.raises(TwinError, match=said):
        quality(change(healthy))


def test_flags_of_a_variable_that_was_not_seen(healthy):
    found = quality(healthy[["load"]].isel(time=slice(0, 96)))
    with pytest.raises(TwinError, match="did you mean 'load'"):
        marked(found, "lod")
    with pytest.raises(TwinError, match="what quality found"):
        marked(healthy, "load")
