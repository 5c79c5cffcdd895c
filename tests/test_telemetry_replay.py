"""Replay: every reading once, in the order of time, when it is due; and through a real broker into a store."""

import threading
import time

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError
from twinkit.telemetry import Gate, Ingester, Subscription, address, broker, generate, publish, region, replay, session

FAST = float("inf")
MONDAY = np.datetime64("2026-03-02", "ns")
QUARTER = np.timedelta64(900, "s")


@pytest.fixture(scope="module")
def twin(small_twin):
    return small_twin(sites=2)


@pytest.fixture(scope="module")
def said(twin):
    return generate(twin, start=MONDAY, days=2, seed=1)


def test_every_reading_comes_once_in_the_order_of_time(said):
    batches = list(replay(said, speed=FAST))
    times = np.array([b.time[0] for b in batches])
    assert (np.diff(times) > np.timedelta64(0)).all()
    assert len(batches) == 192
    found = {(v, s, t): x for b in batches for v, s, t, x in zip(b.variable, b.sensor, b.time, b.value, strict=True)}
    assert len(found) == sum(len(b.value) for b in batches) == sum(int(v.notnull().sum()) for v in said.values())
    for name, sensor, at in (("load", "s1-3", 7), ("temperature", "s0", 100), ("energy", "s1", 8)):
        dim = said[name].dims[1]
        value = float(said[name].isel(time=at).sel({dim: sensor}))
        assert found[name, sensor, said.time.values[at]] == value
    assert batches[0].readings.keys() == {"variable", "sensor", "time", "value"}


def test_a_period_from_its_start_and_before_its_end(said):
    part = list(replay(said, speed=FAST, start="2026-03-02T06:00", end=MONDAY + 28 * QUARTER))
    assert [b.time[0] for b in part] == [MONDAY + i * QUARTER for i in (24, 25, 26, 27)]
    with pytest.raises(TwinError, match="readings in the period"):
        replay(said, speed=FAST, start="2027-01-01")


def test_a_moment_is_due_at_its_time_and_a_slow_reader_catches_up(said):
    clock, waits = [100.0], []

    def sleep(seconds):
        waits.append(seconds)
        clock[0] += seconds

    paced = replay(said[["load"]], speed=900.0, sleep=sleep, now=lambda: clock[0])
    next(paced)
    next(paced)
    assert waits == pytest.approx([1.0])
    clock[0] += 2.5  # what was done with it took as long
    for _ in range(3):
        next(paced)
    assert waits == pytest.approx([1.0, 0.5]), "two moments were overdue, the third waits for what is left"
    assert clock[0] == pytest.approx(104.0)


def test_readings_that_come_out_of_order_or_are_missing():
    times = MONDAY + np.array([2, 0, 1]) * QUARTER
    load = xr.Dataset({"load": (("time", "cell"), [[0.3], [0.1], [np.nan]])}, {"time": times, "cell": ["a"]})
    assert [(b.time[0], b.value[0]) for b in replay(load, speed=FAST)] == [
        (MONDAY, 0.1),
        (MONDAY + 2 * QUARTER, 0.3),
    ]


def test_a_drive_test_whose_clock_repeats_itself(testdata):
    file = testdata("ucc-5g/5G-production-dataset.zip")
    trace = tk.telemetry.trace(file, only="Amazon_Prime/Static")
    batches = list(replay(trace[["rsrp", "snr"]], speed=FAST))
    times = np.array([b.time[0] for b in batches])
    assert (np.diff(times) > np.timedelta64(0)).all()
    assert sum(len(b.value) for b in batches) == int(trace.rsrp.notnull().sum() + trace.snr.notnull().sum())
    assert max(len(b.value) for b in batches) > 2


def test_a_lazy_source_is_read_in_blocks(said):
    seen = []

    def look(block):
        seen.append(len(block))
        return block

    lazy = said[["load"]].chunk(time=96)
    lazy["load"] = lazy["load"].copy(data=lazy["load"].data.map_blocks(look, dtype=float, meta=np.empty((0, 0))))
    stream = replay(lazy.isel(time=slice(0, 96)), speed=FAST)
    assert not seen
    next(stream)
    assert sum(seen) == 96


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (5, "telemetry, a twin, a store or a trace"),
        (xr.Dataset({"load": ("cell", [1.0])}), "without time"),
        (xr.Dataset({"mode": ("time", ["a"])}, {"time": [MONDAY]}), "readings over time"),
        (xr.DataTree.from_dict({"/sites": xr.Dataset()}), "a twin with telemetry; found sites"),
        ("no-such.twin", "no-such.twin"),
    ],
)
def test_what_holds_no_readings_is_refused(source, said):
    with pytest.raises(TwinError, match=said):
        replay(source, speed=FAST)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), "fast"])
def test_a_speed_is_above_nothing(said, speed):
    with pytest.raises(TwinError, match="speed"):
        replay(said, speed=speed)


# ---------------------------------------------------------------- through a broker


@pytest.fixture
def _live():
    pytest.importorskip("paho.mqtt.client")
    pytest.importorskip("orjson")
    pytest.importorskip("amqtt")


@pytest.mark.usefixtures("_live")
def test_a_replay_feeds_the_ingester_and_the_store_holds_it(twin, said, tmp_path):
    path = tmp_path / "small.twin"
    tk.save(twin, path, message="the network")
    part = said[["load", "temperature"]].isel(time=slice(0, 24))
    place = region(twin)
    with broker() as url, tk.store.journal(path) as journal:
        gate = Gate(twin)
        subscription = Subscription(address(url), topic=gate.subscription, client=session(path, gate.region), version=3)
        subscription.connect()
        ingester = Ingester(journal, gate, subscription)
        thread = threading.Thread(target=ingester.run)
        thread.start()
        try:
            batches = replay(part, speed=FAST)
            sent = publish(batches, broker=url, region=place, version=3, most=5)
            until = time.monotonic() + 120
            while ingester.readings < sent and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            ingester.stop()
            thread.join(120)
    assert sent == part["load"].size + part["temperature"].size
    assert ingester.rejected == 0
    kept = tk.open(path)["telemetry"].to_dataset()
    for name in ("load", "temperature"):
        there = kept[name].sel(time=part.time)
        assert np.array_equal(there.sel({part[name].dims[1]: part[name][part[name].dims[1]]}), part[name])


@pytest.mark.usefixtures("_live")
def test_a_broker_that_is_not_there(said):
    with pytest.raises(TwinError, match="a broker that answers"):
        publish(replay(said, speed=FAST), broker="mqtt://127.0.0.1:9", region="x")
    with pytest.raises(TwinError, match="MQTT 5 or 3"):
        publish(replay(said, speed=FAST), broker="mqtt://127.0.0.1:9", region="x", version=4)


@pytest.mark.usefixtures("_live")
def test_the_command_sends_a_stored_twin(twin, said, tmp_path, capsys):
    from twinkit.cli import main

    path = tmp_path / "small.twin"
    tk.save(tk.extend(twin, telemetry=said[["load"]]), path, message="with telemetry")
    choices = ["--mqtt", "3.1.1", "--speed", "max", "--end", "2026-03-02T02:00"]
    with broker() as url, pytest.raises(SystemExit) as end:
        main(["replay", str(path), "--broker", url, *choices])
    assert not end.value.code
    assert f"{8 * said.sizes['cell']} readings acknowledged" in capsys.readouterr().out
    for wrong, why in ((["--speed", "fast"], "a number or max"), (["--mqtt", "4"], "5 or 3.1.1")):
        with pytest.raises(SystemExit) as end:
            main(["replay", str(path), "--broker", "mqtt://127.0.0.1:9", *wrong])
        assert end.value.code == 2
        assert why in capsys.readouterr().err
