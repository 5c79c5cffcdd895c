"""The gate lets in what the twin's own sensors may say, and refuses all else with a reason, quickly."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import twinkit as tk
from twinkit.error import TwinError
from twinkit.telemetry.message import KEPT, Gate, region, sensors, topic

pytest.importorskip("orjson")
NOW = 1772370000.0  # 2026-03-01T13:00:00Z


@pytest.fixture(scope="module")
def gate():
    names = [f"c{i}" for i in range(200)]
    nodes = {
        "cells": xr.Dataset(coords={"cell": np.array([*names, "odd/one"], dtype=object)}),
        "sites": xr.Dataset(coords={"site": np.array(["s0", "s1"], dtype=object)}),
    }
    return Gate(tk.assemble(nodes, title="small", crs="EPSG:32643"), clock=lambda: NOW)


def one(gate, payload, variable="load", sensor="c0"):
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return gate.admit([(topic(gate.region, variable, sensor), text)])


def why(gate, payload, *where):
    found = one(gate, payload, *where)
    assert not len(found.value)
    assert len(found.letters) == 1
    return found.letters[0].reason


def test_a_reading_on_its_sensors_topic(gate):
    found = one(gate, {"time": "2026-03-01T12:15:00Z", "value": 0.25})
    assert found.variable.tolist() == ["load"]
    assert found.sensor.tolist() == ["c0"]
    assert found.time == np.array(["2026-03-01T12:15:00"], "datetime64[ns]")
    assert found.value.tolist() == [0.25]
    assert not found.letters


@pytest.mark.parametrize(
    "said",
    ["2026-03-01T12:15:00Z", "2026-03-01T12:15:00", "2026-03-01T17:45:00+05:30", 1772367300, 1772367300.0],
)
def test_time_is_utc_unless_it_names_an_offset(gate, said):
    assert one(gate, {"time": said, "value": 0}).time[0] == np.datetime64("2026-03-01T12:15", "ns")


def test_microseconds_are_kept_to_the_digit(gate):
    for said in ("2026-03-01T12:15:00.123457Z", 1772367300.123457):
        assert one(gate, {"time": said, "value": 0}).time[0] == np.datetime64("2026-03-01T12:15:00.123457", "ns")


def test_a_batch_gives_its_readings_in_order(gate):
    names = [f"c{i}" for i in range(100)]
    payload = {"variable": "load", "sensor": names, "time": 1772367300, "value": [i / 100 for i in range(100)]}
    found = gate.admit([(gate.topic, json.dumps(payload).encode())])
    assert found.sensor.tolist() == names
    assert found.value.tolist() == payload["value"]
    assert set(found.variable) == {"load"}
    assert not found.letters


def test_each_column_of_a_batch_may_be_a_list(gate):
    payload = {
        "variable": ["load", "energy"],
        "sensor": ["c1", "s1"],
        "time": ["2026-03-01T12:15:00Z", 1772366400],
        "value": [0.5, 900],
        "unit": ["1", "Wh"],
    }
    found = gate.admit([(gate.topic, json.dumps(payload).encode())])
    assert found.variable.tolist() == ["load", "energy"]
    assert found.time.astype("datetime64[s]").astype(int).tolist() == [1772367300, 1772366400]


def test_a_sensor_may_send_a_series_on_its_own_topic(gate):
    found = one(gate, {"time": [1772367300, 1772368200], "value": [0.1, 0.2]})
    assert found.sensor.tolist() == ["c0", "c0"]


def test_an_id_with_a_slash_is_one_id(gate):
    assert one(gate, {"time": 1772367300, "value": 0.5}, "load", "odd/one").sensor.tolist() == ["odd/one"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"time": 1772367300, "value": NaN}', "NaN or Infinity"),
        (b'{"time": 1772367300, "value": -Infinity}', "NaN or Infinity"),
        (b'{"time": 1772367300, "value": 1e999}', "value|no JSON"),
        (b'{"time": 1772367300, "value": 123456789012345678901234567890}', "load lies between 0 and 1"),
        (b'{"time": 1772367300, "value": 7}', "value 7: load lies between 0 and 1"),
        (b'{"time": 1772367300, "value": true}', "value true: a number"),
        (b'{"time": 1772367300, "value": "0.5"}', 'value "0.5": a number'),
        (b'{"time": 1772367300, "value": null}', "value null: a number"),
        (b'{"time": 1772367300, "value": {"a": 1}}', "a number is asked for"),
        (b'{"time": true, "value": 0.5}', "time 'true': ISO 8601"),
        (b'{"time": "yesterday at noon!", "value": 0.5}', "ISO 8601"),
        (b'{"time": "2026-03-01", "value": 0.5}', "ISO 8601"),
        (b'{"time": "2026-02-30T12:15:00Z", "value": 0.5}', "ISO 8601"),
        (b'{"time": "9999-12-31T23:59:59Z", "value": 0.5}', "years ahead of our clock"),
        (b'{"time": 1e300, "value": 0.5}', "ahead of our clock"),
        (b'{"time": 1772367300000, "value": 0.5}', "are these milliseconds"),
        (b'{"time": "2026-03-01T13:06:00Z", "value": 0.5}', "ahead of our clock"),
        (b'{"time": 0, "value": 0.5}', "was the sensor's clock never set"),
        (b'{"time": 1772367300, "value": 0.5, "value": 0.6}', "key 'value' is there twice"),
        (b'{"time": 1772367300, "valu\\u0065": 0.5, "value": 0.6}', "key 'value' is there twice"),
        (b'{"time": 1772367300, "value": 0.5, "unit": "%"}', "unit '%': load is in 1"),
        (b'{"time": 1772367300, "value": 0.5, "sensor": "c1"}', "key 'sensor'"),
        (b'{"time": 1772367300, "value": 0.5, "colour": 1}', "key 'colour': known here are time, unit, value"),
        (b'{"value": 0.5}', "no time"),
        (b'{"time": 1772367300}', "no value"),
        (b'{"time": [1772367300], "value": [0.5, 0.6]}', "lists of unlike length"),
        (b'{"time": [], "value": []}', "without a reading"),
        (b"[0.5]", "no JSON object"),
        (b"0.5", "no JSON object"),
        (b"", "no JSON"),
        (b'{"time": 1772367300, "value": 0.5', "no JSON"),
        (b"\xff\xfe{}", "no JSON"),
        (b'{"time": 1772367300, "value": ' + b"[" * 900 + b"]" * 900 + b"}", "."),
        (b"[" * 100_000, "no JSON"),
        (b"{" + b" " * 300_000 + b"}", "more than 262,144 bytes"),
    ],
)
def test_what_is_refused_says_why(gate, payload, reason):
    import re

    found = why(gate, payload)
    assert re.search(reason, found), found
    assert len(found) < 300


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("twinkit/elsewhere/telemetry/load/c0", "topic"),
        ("twinkit/small/telemetry/load", "topic"),
        ("twinkit/small/telemetry/load/", "topic"),
        ("twinkit/small/telemetry//c0", "topic"),
        ("twinkit/small/telemetry/load/c999", "sensor 'c999': no such cell in this twin"),
        ("twinkit/small/telemetry/temperature/c0", "sensor 'c0': no such site"),
        ("twinkit/small/telemetry/lode/c0", "variable 'lode': near is 'load'"),
        ("twinkit/small/telemetry/height/s0", "variable 'height'"),
        ("x/twinkit/small/telemetry/load/c0", "topic"),
    ],
)
def test_topics_outside_the_twins_are_refused(gate, name, reason):
    found = gate.admit([(name, b'{"time": 1772367300, "value": 0.5}')])
    assert not len(found.value)
    assert reason in found.letters[0].reason
    assert found.letters[0].topic == name


def test_only_the_readings_at_fault_of_a_batch_are_refused(gate):
    payload = {
        "variable": "load",
        "sensor": ["c0", "nobody", "c2", "c3", "c4"],
        "time": 1772367300,
        "value": [0.1, 0.2, 7, "x", 0.5],
    }
    found = gate.admit([(gate.topic, json.dumps(payload).encode())])
    assert found.sensor.tolist() == ["c0", "c4"]
    assert found.value.tolist() == [0.1, 0.5]
    assert found.letters[0].reason.startswith("3 of 5 readings, the first of them at place 1: sensor 'nobody'")


def test_good_and_bad_messages_of_one_batch_do_not_mix(gate):
    name = topic(gate.region, "load", "c0")
    rng = np.random.default_rng(1)
    bad = [b"{", b'{"time": 1772367300, "value": 3}', b'{"time": 0, "value": 0.1}', b'{"value": 0.1}']
    messages, expected = [], []
    for i in range(500):
        if rng.random() < 0.4:
            messages.append((name, bad[rng.integers(len(bad))]))
        else:
            messages.append((name, b'{"time": %d, "value": 0.5}' % (1772000000 + i)))
            expected.append(1772000000 + i)
    found = gate.admit(messages)
    assert found.time.astype("datetime64[s]").astype(int).tolist() == expected
    assert len(found.letters) == 500 - len(expected)


def test_a_dead_letter_keeps_the_beginning_of_a_bomb(gate):
    found = one(gate, b"x" * 10_000_000)
    assert found.letters[0].payload == b"x" * KEPT
    assert "more than 262,144 bytes" in found.letters[0].reason


def test_bombs_cost_no_more_than_messages_do(gate):
    """Work is counted by the clock of the process, beside plain messages: within a factor, not a time."""
    name = topic(gate.region, "load", "c0")
    plain = [(name, b'{"time": 1772367300, "value": 0.5}')] * 2000
    deep = [(name, b"[" * 200_000)] * 200
    large = [(name, b"{" + b" " * 10_000_000)] * 200
    many = [(name, b'{"time": 1, ' + b",".join(b'"k%d": 1' % i for i in range(15_000)) + b"}")]
    gate.admit(plain[:10])
    costs = []
    for bombs in (plain, deep, large, many):
        start = time.process_time()
        gate.admit(bombs)
        costs.append(time.process_time() - start)
    assert max(costs[1:]) < 100 * costs[0]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(["time", "value", "variable", "sensor", "unit", "x"]), inner, max_size=5
                )
            ),
            max_leaves=12,
        ).map(lambda said: json.dumps(said).encode()),
    ),
    st.sampled_from(["", "/load/c0", "/energy/s0", "/x/y", "/load"]),
)
def test_nothing_breaks_the_gate(gate, payload, rest):
    found = gate.admit([(gate.topic + rest, payload)])
    assert len(found.value) or len(found.letters) == 1
    assert len({len(found.variable), len(found.sensor), len(found.time), len(found.value)}) == 1
    assert np.isfinite(found.value).all()


def test_the_variables_that_may_come_are_those_with_a_period(gate):
    assert {"load", "traffic", "users", "energy", "temperature"} <= set(gate.sensors)
    assert "height" not in gate.sensors
    assert set(gate.sensors["traffic"]) == set(gate.sensors["load"]) | set(gate.sensors["energy"])


def test_a_twin_without_sensors_is_refused():
    with pytest.raises(TwinError, match="cells or sites"):
        Gate(tk.assemble({}, title="nothing", crs="EPSG:32643"))


@pytest.mark.parametrize("name", ["", "a/b", "#", "a+"])
def test_a_region_is_one_level_of_a_topic(small_twin, name):
    with pytest.raises(TwinError, match="level of a topic"):
        Gate(small_twin(), region=name)


def test_the_region_is_the_twins_place(small_twin):
    twin = small_twin()
    assert region(twin) == "small"
    assert region(tk.assemble({}, title="t", crs="EPSG:32643", place="RW:Kigali")) == "RW:Kigali"
    assert sensors(twin)["load"][0] == "s0-0"


def test_a_single_reading_on_the_topic_of_all(gate):
    """It goes a short way; what is not plain on it is refused as on the long one."""
    plain = b'{"variable":"load","sensor":"c1","time":1772367300,"value":0.5}'
    found = gate.admit([(gate.topic, plain), (gate.topic, plain.replace(b"1772367300", b'"2026-03-01T12:15:00Z"'))])
    assert found.sensor.tolist() == ["c1", "c1"]
    assert len(set(found.time)) == 1
    twice = [
        plain.replace(b"}", b',"value":0.6}'),
        plain.replace(b'"c1"', b'["c1"]').replace(b"}", b',"x":1}'),
        plain.replace(b'"c1"', b'"nobody"'),
        plain.replace(b'"load"', b"{}"),
    ]
    refused = gate.admit([(gate.topic, payload) for payload in twice])
    assert not len(refused.value)
    assert len(refused.letters) == 4


def test_a_date_that_is_far_off_is_no_milliseconds(gate):
    assert "milliseconds" in why(gate, {"time": NOW * 1000, "value": 0.5})
    assert "milliseconds" not in why(gate, {"time": "9999-03-01T12:15:00Z", "value": 0.5})


def test_readings_may_be_refused_for_their_age(small_twin):
    choosy = Gate(small_twin(), clock=lambda: NOW, behind=86400)
    name = choosy.sensors["load"][0]
    seen = one(choosy, {"time": [NOW - 86000, NOW - 90000], "value": 0.5}, sensor=name)
    assert len(seen.value) == 1
    assert "is 25 hours old: at most 24 hours are taken" in seen.letters[0].reason
