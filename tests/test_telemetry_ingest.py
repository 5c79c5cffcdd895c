"""Nothing is lost: every reading that was published is in the store exactly once, whatever was killed in between."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import twinkit as tk
from twinkit.error import TwinError
from twinkit.store import lock
from twinkit.telemetry import Gate, Ingester, Subscription, address, mosquitto, session
from twinkit.telemetry.metrics import Gauge, endpoint, line

mqtt = pytest.importorskip("paho.mqtt.client")
pytest.importorskip("orjson")

START = 1_000_000_800  # a multiple of the period of load
STEP = 900

# The ingester as the command line runs it, in processes that cost no import: a fork for each line on stdin.
FORKS = """
import os, resource, signal, sys
import twinkit as tk, twinkit.telemetry.metrics, twinkit.cli._live, twinkit.store.journal, twinkit.telemetry
import icechunk, xarray, pandas, dask.array, orjson, paho.mqtt.client, rich.console, sqlite3, zarr
from twinkit.cli import main

def limited(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    def free(*_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGUSR1, free)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

for line in sys.stdin:
    limit, *arguments = line.split()
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    try:
        if int(limit):
            limited(int(limit))
        main(arguments)
    except SystemExit as end:
        os._exit(end.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(0)
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mosquitto:
    """A real broker with the settings that the docs advise, which may be restarted."""

    def __init__(self, program, folder, **settings):
        self.program, self.port = program, free_port()
        self.file = mosquitto(folder / "mosquitto.conf", port=self.port, **settings)
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.log = (folder / "mosquitto.log").open("ab")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, "-c", str(self.file)], stdout=self.log, stderr=self.log)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise AssertionError("Mosquitto does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def restart(self):
        self.stop()
        self.start()


class Publisher(threading.Thread):
    """Publishes with QoS 1, all numbered readings once, through restarts of the broker; knows what the broker has."""

    def __init__(self, port, gate, *, rate=1500, first=0):
        super().__init__(daemon=True)
        self.gate, self.rate, self.number = gate, rate, first
        self.cells = gate.sensors["load"]
        self.over = threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, "sensors", protocol=mqtt.MQTTv5, reconnect_on_failure=True
        )
        self.client.max_inflight_messages_set(500)
        self.client.reconnect_delay_set(0.05, 0.2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.confirmed = 0
        self.client.on_publish = self.counted

    def counted(self, *_):
        self.confirmed += 1

    def run(self):
        while not self.over.is_set():
            for _ in range(self.rate // 50):
                cell, step, value = reading(self.number, self.cells)
                name = f"{self.gate.topic}/load/{cell}"
                # while the broker is away paho keeps it, and sends it when the broker is back
                self.client.publish(name, json.dumps({"time": START + STEP * step, "value": value}), qos=1)
                self.number += 1
            self.over.wait(0.02)

    def finish(self):
        """Stop, and wait until the broker has confirmed everything."""
        self.over.set()
        self.join()
        until(lambda: self.confirmed == self.number, said="the broker does not confirm what was published")
        self.client.disconnect()
        self.client.loop_stop()
        return self.number


def reading(number, cells):
    """The reading with a number: cell, step of time, value; all differ in cell or time."""
    return cells[number % len(cells)], number // len(cells), (number * 7919 % 1000) / 1000


def in_store(path, count, cells, *, first=0):
    """Assert that the readings first...count, and no others, are in the store with their values."""
    load = tk.open(path)["telemetry/load"]
    found = load.sel(cell=cells).values
    seconds = load.time.values.astype("datetime64[s]").astype("int64")
    steps = ((seconds - START) // STEP).tolist()
    assert len(set(steps)) == len(steps), "a time stands twice in the store"
    at = {step: row for row, step in enumerate(steps)}
    expected = np.full(found.shape, np.nan)
    for number in range(first, count):
        _, step, value = reading(number, cells)
        assert step in at, f"reading {number} of {count} is lost"
        expected[at[step], number % len(cells)] = value
    missing = np.isnan(found) & ~np.isnan(expected)
    assert not missing.any(), f"{missing.sum()} of {count - first} readings are lost"
    np.testing.assert_array_equal(found, expected)


def held(path):
    """How many readings the store shows, still in the journal or committed."""
    twin = tk.open(path)
    return int(twin["telemetry/load"].count()) if "telemetry" in twin.children else 0


@pytest.fixture
def store(tmp_path, small_twin):
    path = tmp_path / "live.twin"
    tk.save(small_twin(sites=7), path, message="the beginning")
    return path


@pytest.fixture
def gate(store):
    return Gate(tk.open(store))


@pytest.fixture
def served(program, tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    one = Mosquitto(program("mosquitto"), folder)
    yield one
    one.stop()
    one.log.close()


@pytest.fixture
def forks(tmp_path):
    """Starts ingesters: `forks(store, url, limit=0)` gives a process id."""
    script = tmp_path / "forks.py"
    script.write_text(textwrap.dedent(FORKS))
    log = (tmp_path / "ingester.log").open("ab")
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
    )
    children = []

    def start(store, url, *more, limit=0):
        parent.stdin.write(" ".join([str(limit), "live", str(store), "--broker", url, "--plain", *more]) + "\n")
        parent.stdin.flush()
        while not (said := parent.stdout.readline()).strip().isdigit():
            assert said, (tmp_path / "ingester.log").read_text()
        children.append(int(said))
        return children[-1]

    yield start
    for child in children:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
    parent.stdin.close()
    parent.stdout.close()
    parent.kill()
    parent.wait()
    log.close()


@contextlib.contextmanager
def ingesting(store, url, *, every=10.0, version=5, said=None):
    """An ingester in a thread of this process."""
    gate = Gate(tk.open(store))
    with tk.store.journal(store) as journal:
        subscription = Subscription(
            address(url), topic=gate.subscription, client=session(store, gate.region), version=version
        )
        one = Ingester(journal, gate, subscription, every=every, said=said)
        subscription.connect()
        faults = []

        def run():
            try:
                one.run()
            except TwinError as fault:
                faults.append(fault)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield one
        finally:
            one.stop()
            thread.join()
        one.fault = faults[0] if faults else None


def until(condition, *, patience=60.0, said="it did not come about"):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, said
        time.sleep(0.02)


def all_in(store, url):
    """Take in what the broker still has, and commit all."""
    with ingesting(store, url) as one:
        quiet, seen = time.monotonic(), -1
        while time.monotonic() < quiet + 1.5:
            if one.messages != seen:
                quiet, seen = time.monotonic(), one.messages
            time.sleep(0.05)
    return one


def introduced(store, url, gate):
    """Begin the session: a broker keeps nothing for somebody whom it never met."""
    first = Subscription(address(url), topic=gate.subscription, client=session(store, gate.region))
    first.connect()
    first.close()


def killed(forks, store, served, gate, *, times, seed, restart_every=0):
    chance = random.Random(seed)
    introduced(store, served.url, gate)
    publisher = Publisher(served.port, gate)
    publisher.start()
    for number in range(times):
        before = journal_of(store)
        child = forks(store, served.url, "--every", "0.3")
        # every second time it is killed in the midst of work, else perhaps still on its way there
        if number % 2 == 0:
            until(lambda was=before: journal_of(store) != was, patience=30, said=log_of(store)[-2000:])
        time.sleep(chance.random() * 0.6)
        if restart_every and number % restart_every == restart_every - 1:
            served.restart()
        os.kill(child, signal.SIGKILL)
    count = publisher.finish()
    one = all_in(store, served.url)
    in_store(store, count, gate.sensors["load"])
    assert tk.verify(store)
    assert not one.rejected
    assert not one.subscription.forgotten
    return count


def journal_of(store):
    """When the files of the journal were last written: it changes when something is made durable."""
    found = 0
    for p in store.rglob("*"):
        if "journal" in str(p.relative_to(store)):
            with contextlib.suppress(OSError):
                found = max(found, p.stat().st_mtime_ns)
    return found


def test_killed_at_random_moments_nothing_is_lost(forks, store, served, gate):
    count = killed(forks, store, served, gate, times=20, seed=1)
    assert count > 1000


def test_killed_with_the_broker_restarted_in_between(forks, store, served, gate):
    killed(forks, store, served, gate, times=4, seed=2, restart_every=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_two_hundred_times(forks, store, served, gate):
    killed(forks, store, served, gate, times=200, seed=3, restart_every=20)


def test_a_broker_that_restarts_is_found_again(store, served, gate):
    told = []
    with ingesting(store, served.url, every=0.5, said=told.append) as one:
        publisher = Publisher(served.port, gate)
        publisher.start()
        until(lambda: one.messages > 200)
        for _ in range(2):
            served.restart()
            was = one.messages
            until(lambda was=was: one.messages > was + 200)
        count = publisher.finish()
        until(lambda: one.new == count, said=f"{one.new} of {count} arrived")
    assert one.subscription.connections == 3
    assert not one.subscription.forgotten
    assert any(t.startswith("broker: ") for t in told)
    assert told[-1] == "broker: well again"
    in_store(store, count, gate.sensors["load"])


def test_a_full_disk_stops_acknowledgement_and_not_the_ingester(forks, store, served, gate):
    introduced(store, served.url, gate)
    publisher = Publisher(served.port, gate, rate=500)
    publisher.start()
    # no file of this process may grow beyond this: its journal is soon as good as on a full disk
    child = forks(store, served.url, "--every", "100", limit=150_000)
    until(lambda: "journal: " in log_of(store), patience=60, said="the disk was never full")
    time.sleep(1)
    os.kill(child, 0)  # it lives
    os.kill(child, signal.SIGUSR1)  # space again
    until(lambda: "journal: well again" in log_of(store), patience=30, said="it did not resume")
    os.kill(child, signal.SIGTERM)
    until(lambda: ended(child), said="it did not end")
    count = publisher.finish()
    all_in(store, served.url)
    in_store(store, count, gate.sensors["load"])


def ended(child):
    """Whether a fork is done; nobody waits for it, so that it stays as a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def log_of(store):
    return (store.parent / "ingester.log").read_text()


def test_a_commit_that_fails_is_made_later(store, served, gate):
    told = []
    publisher = Publisher(served.port, gate, rate=3000)
    with ingesting(store, served.url, every=0.2, said=told.append) as one:
        publisher.start()
        until(lambda: one.messages > 500)
        with lock.hold(store):  # somebody else saves
            until(lambda: any(t.startswith("commit: ") for t in told) or one.messages > 60_000)
            was = one.messages
            until(lambda: one.messages > was + 500, said="ingestion waits for the store")
        until(lambda: "commit" not in one.trouble)
        count = publisher.finish()
        until(lambda: one.new == count)
    assert any(t.startswith("commit: ") for t in told)
    in_store(store, count, gate.sensors["load"])


def test_what_was_acknowledged_is_durable_before(store, served, gate):
    """The broker is told only after the journal has returned, in the order of arrival."""
    order = []
    with tk.store.journal(store) as journal:
        subscription = Subscription(address(served.url), topic=gate.subscription, client="order")
        one = Ingester(journal, gate, subscription)
        record, acknowledge = journal.record, subscription.acknowledge

        def recorded(readings):
            receipt = record(readings)
            order.append(("durable", len(readings["value"])))
            return receipt

        def acknowledged(messages):
            order.append(("acknowledged", len(messages)))
            return acknowledge(messages)

        journal.record, subscription.acknowledge = recorded, acknowledged
        subscription.connect()
        thread = threading.Thread(target=one.run)
        thread.start()
        publisher = Publisher(served.port, gate, rate=500)
        publisher.start()
        until(lambda: one.messages > 300)
        count = publisher.finish()
        until(lambda: one.new == count)
        one.stop()
        thread.join()
    assert one.acknowledged == count
    assert [w for w, _ in order[::2]] == ["durable"] * (len(order) // 2)
    assert [w for w, _ in order[1::2]] == ["acknowledged"] * (len(order) // 2)
    assert [n for _, n in order[::2]] == [n for _, n in order[1::2]]


def test_what_cannot_be_made_durable_is_not_acknowledged(store, served, gate):
    with tk.store.journal(store) as journal:
        subscription = Subscription(address(served.url), topic=gate.subscription, client="never")
        one = Ingester(journal, gate, subscription)

        def fails(_):
            raise OSError(28, "No space left on device")

        genuine, journal.record = journal.record, fails
        subscription.connect()
        thread = threading.Thread(target=one.run)
        thread.start()
        publisher = Publisher(served.port, gate, rate=500)
        publisher.start()
        until(lambda: one.held > 200)
        count = publisher.finish()
        until(lambda: one.held == count)
        assert one.acknowledged == one.messages == 0
        assert "No space left" in line(one, (0, 0))
        journal.record = genuine
        until(lambda: one.acknowledged == count)
        assert one.new == count
        one.stop()
        thread.join()
    in_store(store, count, gate.sensors["load"])


def test_what_is_refused_becomes_a_dead_letter_and_is_acknowledged(store, served, gate):
    with ingesting(store, served.url) as one:
        sender = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "bad", protocol=mqtt.MQTTv5)
        sender.connect("127.0.0.1", served.port)
        sender.loop_start()
        cell = gate.sensors["load"][0]
        good = json.dumps({"time": START, "value": 0.5})
        bombs = {
            f"{gate.topic}/load/{cell}": "[" * 100_000,
            f"{gate.topic}/load/nobody": good,
            f"{gate.topic}/lode/{cell}": good,
            f"{gate.topic}/load": good,
            gate.topic: "x" * 900_000,
        }
        for name, payload in bombs.items():
            sender.publish(name, payload, qos=1).wait_for_publish(10)
        sender.publish(f"{gate.topic}/load/{cell}", good, qos=1).wait_for_publish(10)
        until(lambda: one.new == 1 and one.acknowledged == len(bombs) + 1)
        sender.disconnect()
        sender.loop_stop()
        assert one.rejected == len(bombs)
        assert one.acknowledged == len(bombs) + 1
        with urllib_text(one) as text:
            assert f"twinkit_rejected_messages_total {len(bombs)}.0" in text
            assert 'twinkit_readings_total{kind="new"} 1.0' in text
    table = tk.store.rejected(store)
    assert set(table["topic"]) == set(bombs)
    assert all(table["reason"])
    assert table["payload"].map(len).max() <= 4096


@contextlib.contextmanager
def urllib_text(one):
    with endpoint(one, "127.0.0.1:0") as url, urllib.request.urlopen(url) as answer:
        yield answer.read().decode()


@pytest.mark.parametrize("where", ["0.0.0.0:9108", "192.0.2.1:9108", "nonsense", "127.0.0.1:99999", "example.org:80"])
def test_metrics_are_for_this_machine_alone(store, where):
    with pytest.raises(TwinError, match=r"this machine alone|an address and a port"), endpoint(None, where):
        pass


def test_two_programs_in_one_session_are_told_so(store, served, gate):
    ours, theirs = (Subscription(address(served.url), topic=gate.subscription, client="same") for _ in "ab")
    ours.connect()

    def told():
        for one in (ours, theirs):
            with contextlib.suppress(TwinError):
                one.read(1, 0.02)
        return "does another program use the session 'same'" in ours.trouble + theirs.trouble

    with contextlib.suppress(TwinError):
        theirs.connect(patience=0.5)
    until(told)
    ours.close()
    theirs.close()


def test_a_session_belongs_to_one_store_and_region():
    assert session("a.twin", "x") == session("./a.twin", "x")
    assert len({session("a.twin", "x"), session("b.twin", "x"), session("a.twin", "y")}) == 3


def test_the_status_line_says_what_a_watcher_asks(store, served, gate):
    with ingesting(store, served.url) as one:
        gauge = Gauge(one)
        gauge.rates()
        publisher = Publisher(served.port, gate)
        publisher.start()
        until(lambda: one.messages > 300)
        text = line(one, gauge.rates())
        publisher.finish()
    assert text.startswith("connected | ")
    for word in ("messages/s", "readings/s", "lag", "new", "before the next commit", "no commit yet", "0 rejected"):
        assert word in text


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_with_all_committed(store, served, gate, ends):
    said = ["--metrics", "127.0.0.1:0", "--provenance", "generated: by a test"]
    process = subprocess.Popen(
        [sys.executable, "-m", "twinkit", "live", str(store), "--broker", served.url, *said],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    while "stop with Ctrl-C" not in said:
        more = process.stdout.readline()
        assert more, said
        said += more
    publisher = Publisher(served.port, gate, rate=500)
    publisher.start()
    time.sleep(1)
    count = publisher.finish()
    until(lambda: held(store) == count, said="not all that was published arrived")
    process.send_signal(ends)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said + rest
    assert f"{count} messages: {count} new readings" in rest.replace(",", "")
    assert "http://127.0.0.1:" in said
    in_store(store, count, gate.sensors["load"])
    assert tk.open(store)["telemetry/load"].attrs["provenance"] == "generated: by a test"
