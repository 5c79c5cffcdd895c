"""Fifty people at once put a pin: read the form, send it, read the confirmation. SQLite, and a PostgreSQL of its own.

`pins` is the 95th percentile of a round trip, all fifty starting at the same moment; `pins-lost` counts confirmed pins
that the register does not hold exactly once; `pins-memory` is the most that the server ever held. The column *peer* has
what was asked: at most 1 s, none, 2 000 MB. Clients and server share the machine; all on loopback.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import Row, main

if TYPE_CHECKING:
    from collections.abc import Iterator

PEOPLE = 50
PATIENCE = 60
"""[s] for the server to begin, and for an answer."""
FIELD = re.compile(r'name="(token|key|square)" value="([^"]+)"')
CODE = re.compile(r"<span>([a-z2-7]{4})</span>")


def rows(*, quick: bool) -> Iterator[Row]:
    import twinkit as tk

    rounds = 2 if quick else 6
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "town.twin"
        twin = tk.datasets.town(sites=12, seed=1)
        tk.save(twin, store, message="the town")
        with contextlib.ExitStack() as stack:
            places = {"": str(Path(folder) / "pins.db"), "-postgresql": stack.enter_context(postgresql())}
            for name, where in places.items():
                if where is None:
                    yield Row(f"pins{name}", math.nan, 1.0, "asked", "s", "lower")
                    continue
                with tk.participate.register(where, twin=twin, hourly=100_000, moderated=False) as pins:
                    taken, confirmed, memory = measured(store, where, rounds)
                    held = [pins.follow(code).words for code in confirmed.values()]
                    once = len(set(held) & set(confirmed)) == len(held) == pins.counts()["received"]
                lost = 0 if once else max(1, PEOPLE * (rounds + 1) - len(set(held)))
                yield Row(f"pins{name}", statistics.quantiles(taken, n=20)[-1], 1.0, "asked", "s", "lower")
                yield Row(f"pins{name}-lost", lost, 0.0, "asked", "pins", "lower")
                yield Row(f"pins{name}-memory", memory, 2000.0, "asked", "MB", "lower")


def measured(store: Path, where: str, rounds: int) -> tuple[list[float], dict[str, str], float]:
    """Times of all round trips but those of the first, which warms; codes by words; the server's memory [MB]."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "twinkit", "participate", str(store), "--register", where, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                asked(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "GET", "/style.css")
                break
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the server did not begin")
            time.sleep(0.1)
        taken: list[float] = []
        confirmed: dict[str, str] = {}
        for number in range(rounds + 1):
            found = together(port, number, confirmed)
            taken += found if number else []
        return taken, confirmed, peak(server.pid)
    finally:
        server.terminate()
        server.wait(PATIENCE)


def together(port: int, number: int, confirmed: dict[str, str]) -> list[float]:
    """One round: everybody at once, each with a browser that was never here."""
    ready = threading.Barrier(PEOPLE)
    taken: list[float] = []

    def one(person: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        words = f"round {number} person {person}"
        ready.wait()
        begun = time.perf_counter()
        page, cookie = asked(line, "GET", f"/pin?square={person % 9},{number % 9}")
        form = {**dict(FIELD.findall(page)), "subject": "slow", "words": words}
        answer, _ = asked(line, "POST", "/pin", urllib.parse.urlencode(form), cookie)
        code = "".join(CODE.findall(answer))
        taken.append(time.perf_counter() - begun)
        if len(code) == 24:
            confirmed[words] = code
        line.close()

    people = [threading.Thread(target=one, args=(person,)) for person in range(PEOPLE)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    if len(taken) < PEOPLE or sum(w.startswith(f"round {number} ") for w in confirmed) < PEOPLE:
        raise RuntimeError(f"of {PEOPLE} people {len(taken)} had an answer, not all of them a code")
    return taken


def asked(
    line: http.client.HTTPConnection, method: str, path: str, body: str | None = None, cookie: str = ""
) -> tuple[str, str]:
    """Text of an answer, and the cookie that it sets."""
    headers = {"cookie": cookie} if cookie else {}
    if body is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
    line.request(method, path, body, headers)
    answer = line.getresponse()
    return answer.read().decode(), (answer.getheader("set-cookie") or "").partition(";")[0]


def peak(pid: int) -> float:
    """The most memory [MB] that a process held; NaN where the system does not say."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1000 if found else math.nan
    return math.nan


@contextlib.contextmanager
def postgresql() -> Iterator[str | None]:
    """The URL of a PostgreSQL of its own, on a socket in a folder, with its disk writes on; None where none is."""
    folders = [str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
    initdb, server = (shutil.which(name, path=search) for name in ("initdb", "postgres"))
    if not initdb or not server:
        print("no PostgreSQL on this machine (make system installs one)", file=sys.stderr)
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        owner: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(name, "postgres", "postgres")
            owner = ["runuser", "-u", "postgres", "--"]
        data = Path(name) / "data"
        begin = [*owner, initdb, "-D", str(data), "-U", "twinkit", "-A", "trust"]
        subprocess.run(begin, check=True, capture_output=True, cwd=name)
        run = subprocess.Popen(
            [*owner, server, "-D", str(data), "-k", name, "-c", "listen_addresses="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=name,
        )  # fmt: skip
        try:
            import psycopg

            end = time.monotonic() + PATIENCE
            while True:
                try:
                    psycopg.connect(host=name, user="twinkit", dbname="postgres").close()
                    break
                except psycopg.OperationalError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.1)
            yield f"postgresql://twinkit@/postgres?host={name}"
        finally:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((data / "postmaster.pid").read_text().splitlines()[0]), 2)
            run.wait(PATIENCE)


if __name__ == "__main__":
    raise SystemExit(main(rows))
