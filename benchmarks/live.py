"""Telemetry from the broker to durable: messages and readings a second, beside subscribers that keep nothing.

Mosquitto, ``mosquitto_pub -l -q 1`` and the subscriber share the machine's cores. The peers have the same window:
mosquitto_sub, which is the broker's own limit here, and a bare paho client, which counts messages.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import math
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import Row, main

if TYPE_CHECKING:
    from collections.abc import Iterator

SENSORS = 100
# mosquitto_pub numbers its messages with 16 bits, and ends when the number of the last one is confirmed: of more than
# 65 535 lines at once it may leave the rest unsent, and say nothing
MOST = 60_000
START, STEP = 1_000_000_800, 900


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin")
    if not found:
        raise SystemExit(f"no program '{name}' on this machine: make system installs it")
    return found


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    from twinkit.telemetry import mosquitto

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    file = mosquitto(folder / "mosquitto.conf", port=port)
    process = subprocess.Popen(
        [program("mosquitto"), "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def published(port: int, topic: str, lines: Path) -> subprocess.Popen[bytes]:
    with lines.open("rb") as file:
        return subprocess.Popen(
            [program("mosquitto_pub"), "-p", str(port), "-V", "mqttv5", "-q", "1", "-l", "-t", topic], stdin=file
        )


def ours(port: int, store: Path, folder: Path, lines: Path, count: int, name: str) -> float:
    """Seconds from the first message sent to the last one durable and acknowledged."""
    import twinkit as tk
    from twinkit.telemetry import Gate, Ingester, Subscription, address

    path = folder / f"{name}.twin"
    shutil.copytree(store, path)
    gate = Gate(tk.open(path))
    with tk.store.journal(path) as journal:
        seen = Subscription(address(f"mqtt://127.0.0.1:{port}"), topic=gate.subscription, client=name)
        one = Ingester(journal, gate, seen, every=math.inf)
        one._due = math.inf
        seen.connect()
        took: list[float] = []

        def watch() -> None:
            start = time.perf_counter()
            sender = published(port, gate.topic, lines)
            while one.acknowledged < count and time.perf_counter() < start + 300:
                time.sleep(0.002)
            took.append(time.perf_counter() - start)
            one.stop()
            sender.wait()

        watcher = threading.Thread(target=watch)
        watcher.start()
        one.run()
        watcher.join()
        if one.acknowledged != count or one.rejected:
            raise RuntimeError(f"{one.acknowledged} of {count} messages arrived, {one.rejected} were refused")
    shutil.rmtree(path)
    return took[0]


BARE = """
import sys
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
port, count = map(int, sys.argv[1:])
seen = 0
def connected(client, *_):
    client.subscribe("twinkit/#", qos=1)
def came(client, *_):
    global seen
    seen += 1
    if seen == count:
        client.disconnect()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "bare", protocol=mqtt.MQTTv5)
client.on_connect, client.on_message = connected, came
client.on_subscribe = lambda *_: print("ready", flush=True)
window = Properties(PacketTypes.CONNECT)
window.ReceiveMaximum = 10_000
client.connect("127.0.0.1", port, properties=window)
client.loop_forever()
"""


def bare(who: str, port: int, topic: str, lines: Path, count: int) -> float:
    """Seconds for the same messages into a subscriber that counts them and keeps nothing."""
    if who == "paho":
        command = [sys.executable, "-c", BARE, str(port), str(count)]
    else:
        window = ["-V", "mqttv5", "-D", "connect", "receive-maximum", "10000"]
        command = [program(who), "-p", str(port), *window, "-q", "1", "-t", "twinkit/#", "-C", str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE if who == "paho" else subprocess.DEVNULL)
    if process.stdout:
        process.stdout.readline()
    else:
        time.sleep(0.5)  # it says nothing when it has subscribed
    start = time.perf_counter()
    sender = published(port, topic, lines)
    process.wait()
    took = time.perf_counter() - start
    sender.wait()
    if process.stdout:
        process.stdout.close()
    return took


def broker_works(*, quick: bool) -> Iterator[Row]:
    import twinkit as tk
    from twinkit.telemetry import Gate

    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as name, mosquitto(Path(name)) as port:
        folder = Path(name)
        store = folder / "store.twin"
        tk.save(tk.datasets.town(sites=40, seed=1), store, message="the beginning")
        gate = Gate(tk.open(store))
        cells = gate.sensors["load"][:SENSORS]

        def said(number: int, each: int) -> dict[str, Any]:
            value = [round((7 * i + number) % 1000 / 1000, 3) for i in range(each)]
            if each == 1:
                step, cell = divmod(number, SENSORS)
                return {"variable": "load", "sensor": cells[cell], "time": START + STEP * step, "value": value[0]}
            return {"variable": "load", "sensor": cells, "time": START + STEP * number, "value": value}

        for work, each, count in (
            ("messages", 1, 20_000 if quick else MOST),
            ("readings", SENSORS, 2_000 if quick else 10_000),
        ):
            lines = folder / f"{work}.jsonl"
            lines.write_text("".join(json.dumps(said(n, each)) + "\n" for n in range(count)))
            found: dict[str, list[float]] = {"ours": [], "paho": [], "mosquitto_sub": []}
            for turn in range(rounds):
                # who begins changes, so that another load on the machine meets all alike
                for place in range(3):
                    who = list(found)[(place + turn) % 3]
                    if who == "ours":
                        took = ours(port, store, folder, lines, count, f"{work}-{turn}")
                    else:
                        took = bare(who, port, gate.topic, lines, count)
                    found[who].append(took)
            rate = {who: count * each / statistics.median(times) for who, times in found.items()}
            yield Row(work, rate["ours"], rate["mosquitto_sub"], "mosquitto_sub", f"{work}/s", "higher")
            yield Row(f"{work}-paho", rate["ours"], rate["paho"], "bare paho", f"{work}/s", "higher")


def rows(*, quick: bool) -> Iterator[Row]:
    yield from broker_works(quick=quick)
    # the works of the store, bulk and open-commit
    if importlib.util.find_spec("benchmarks._store_live"):
        yield from importlib.import_module("benchmarks._store_live").rows(quick=quick)


if __name__ == "__main__":
    raise SystemExit(main(rows))
