"""The live store under load and harm: compacted, expired, killed, full, flipped."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit.store import drain

START = np.datetime64("2026-03-01", "ns")
STEP = np.timedelta64(900, "s")


def names(cells):
    return np.array([f"c{i}" for i in range(cells)], dtype=object)


def twin_of(cells=6):
    nodes = {"cells": xr.Dataset({"frequency": ("cell", np.full(cells, 8e8))}, {"cell": names(cells)})}
    return tk.assemble(nodes, title="test", crs="EPSG:32643")


def batch(steps, *, cells=6, value=None, seed=0):
    steps = np.atleast_1d(steps)
    count = len(steps) * cells
    value = np.random.default_rng([seed, *steps.tolist()]).random(count) if value is None else value
    return {
        "variable": "load",
        "sensor": np.tile(names(cells), len(steps)),
        "time": START + np.repeat(steps, cells) * STEP,
        "value": value,
    }


def size(path):
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def at(stamp):
    return np.datetime64(stamp, "ns")


@pytest.fixture
def path(tmp_path):
    tk.save(twin_of(), tmp_path / "a.twin", message="the beginning")
    return tmp_path / "a.twin"


# ---------------------------------------------------------------- space


def test_compact_moves_late_readings_and_changes_no_answer(path):
    receipts, truth = [], []
    with tk.store.journal(path) as ours:
        for round_ in range(4):
            receipts.append(ours.record(batch(np.arange(24), seed=round_)))
            truth.append(batch(np.arange(24), seed=round_)["value"].reshape(24, 6))
            ours.record(batch(np.arange(24, 30), seed=9))
            ours.drain(all=True)
        before = drain.Base(path, "telemetry")
        assert len(before.late) == 3 * 144
        tk.store.compact(path, keep="1 day")
        after = drain.Base(path, "telemetry")
        values, _ = after.at("load", np.repeat(np.arange(24), 6), np.tile(np.arange(6), 24))
        np.testing.assert_array_equal(values.reshape(24, 6), truth[-1])
        assert len(after.late) == len(before.late), "what was superseded took the place of what superseded it"
        assert ours.record(batch(np.arange(24), seed=3)).duplicate == 144
        receipts.append(ours.record(batch(np.arange(24), seed=7)))
        truth.append(batch(np.arange(24), seed=7)["value"].reshape(24, 6))
        for _ in range(2):
            for receipt, values in zip(receipts, truth, strict=True):
                found = tk.open(path, as_of=at(receipt.received))["telemetry/load"]
                np.testing.assert_array_equal(found.values[:24], values)
            np.testing.assert_array_equal(tk.open(path)["telemetry/load"].values[:24], truth[-1])
            ours.drain(all=True)
            tk.store.compact(path, keep="1 day")
        tk.store.compact(path, keep="0 s")
        np.testing.assert_array_equal(tk.open(path)["telemetry/load"].values[:24], truth[-1])
        assert ours.record(batch(np.arange(24), seed=7)).duplicate == 144
    assert tk.verify(path, thorough=True), tk.verify(path)
    assert len(tk.history(path)) == 1


@pytest.mark.parametrize("keep", [86400, 86400.0, np.int64(5), True, "soon", "-1 day", None])
def test_compact_asks_for_a_period_with_its_unit(path, keep):
    before = len(tk.history(path))
    with pytest.raises(tk.TwinError, match="a period such as"):
        tk.store.compact(path, keep=keep)
    assert len(tk.history(path)) == before


def test_compact_again_and_again_leaves_a_store_that_is_whole(path):
    """Each round lets go of files that outlived the commits of the rounds before."""
    for number in range(8):
        with tk.store.journal(path) as journal:
            for step in range(5 * number, 5 * number + 5):
                when = START + step * STEP
                journal.record({"variable": "load", "sensor": "c1", "time": when, "value": step / 64})
                journal.record({"variable": "load", "sensor": "c1", "time": when - 3 * STEP, "value": -1.0})
                journal.drain(all=step % 2 == 0)
            journal.drain(all=True)
        tk.store.compact(path, keep="0 s")
        assert not tk.verify(path).faults
    assert float(tk.open(path)["telemetry/load"].sel(cell="c1").max()) == 39 / 64


def test_expire_keeps_every_moment_of_the_period(path, monkeypatch):
    moments, heights = [dt.datetime.now(dt.UTC)], []
    for number in range(5):
        twin = tk.extend(twin_of(), sites=xr.Dataset({"height": ("site", [30.0 + number])}, {"site": ["a"]}))
        done = tk.save(twin, path, message=f"{number}")
        moments.append(done.when)
        heights.append(30.0 + number)
        time.sleep(0.05)
    span = dt.datetime.now(dt.UTC) - (moments[3] + dt.timedelta(milliseconds=20))
    gone = tk.store.expire(path, keep=span)
    assert [c.message for c in gone] == ["1", "0", "the beginning"]
    found = tk.open(path, as_of=moments[3] + dt.timedelta(milliseconds=25))
    assert found["sites/height"].values == [32.0]
    assert tk.verify(path)
    with pytest.raises(tk.TwinError, match="either before or keep"):
        tk.store.expire(path)
    with pytest.raises(tk.TwinError, match="a period such as"):
        tk.store.expire(path, keep="a while")


def compressed(values):
    """Bytes of readings in the store's own compression, and nothing else."""
    from numcodecs import blosc

    return sum(len(blosc.compress(np.ascontiguousarray(v), b"lz4", 5, 1)) for v in values)


@pytest.mark.parametrize("way", ["together", "each"])
def test_a_day_of_readings_costs_at_most_twice_its_compressed_size(tmp_path, way):
    cells, path = 400, tmp_path / "day.twin"
    tk.save(twin_of(cells), path, message="the beginning")
    empty = size(path)
    rng = np.random.default_rng(3)
    day = rng.random((96, cells)).round(3)
    with tk.store.journal(path) as ours:
        for step in range(96):
            given = batch(step, cells=cells, value=day[step])
            parts = [np.arange(cells)] if way == "together" else np.array_split(rng.permutation(cells), 8)
            for part in parts:
                ours.record({k: v if isinstance(v, str) else v[part] for k, v in given.items()})
            ours.drain()
        # One in a hundred comes again with another value.
        which = rng.integers(0, 96 * cells, 96 * cells // 100)
        for part in np.array_split(which, 8):
            sensor = [f"c{i}" for i in part % cells]
            ours.record({"variable": "load", "sensor": sensor, "time": START + part // cells * STEP, "value": 0.5})
        ours.drain(all=True)
    tk.store.compact(path, keep="0 s")
    cost = (size(path) - empty) / compressed([day])
    print(f"{way}: {cost:.2f} times")
    assert cost < 2
    assert tk.verify(path, thorough=True)


# ---------------------------------------------------------------- harm

FEEDER = """
import os, sys, traceback, icechunk, zarr, pandas, numpy as np, xarray, numcodecs.blosc, twinkit as tk
import twinkit.store.journal, twinkit.store.compact
start, step = np.datetime64("2026-03-01", "ns"), np.timedelta64(900, "s")
ids = np.array([f"c{i}" for i in range(6)], dtype=object)

def live(path, life):
    with tk.store.journal(path) as journal:
        number = 0
        while True:
            # Every batch of every life has rows and values of its own; late ones and corrections come along.
            base = 5000 * life + 3 * number
            steps = np.repeat([base, base + 1, base + 2], 6)
            value = (base + np.arange(18) / 32.0)
            given = {"variable": "load", "sensor": np.tile(ids, 3), "time": start + steps * step, "value": value}
            journal.record(given)
            print("A", life, number, flush=True)
            if number % 4 == 3:
                fix = {"variable": "load", "sensor": "c1", "time": start + (base - 3) * step, "value": -float(base)}
                journal.record(fix)
                print("F", life, number, flush=True)
            if number % 3 == 2:
                journal.drain(all=number % 2 == 0)
            if number % 7 == 6:
                tk.store.compact(path, keep="0 s")
            number += 1

# It starts an ingester for each line that it reads, from a process that has imported everything already.
for line in sys.stdin:
    path, out, life = line.split()
    child = os.fork()
    if not child:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        try:
            live(path, int(life))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(3)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def acknowledged(lines):
    """What was acknowledged, as (time step, cell) to value, read from what the killed writer printed."""
    truth = {}
    for line in lines:
        kind, life, number = line.split()
        base = 5000 * int(life) + 3 * int(number)
        if kind == "A":
            truth |= {(base + i // 6, i % 6): base + i / 32.0 for i in range(18)}
        else:
            truth[base - 3, 1] = -float(base)
    return truth


def killed(path, tmp_path, *, times, seed):
    """Kill the ingester at random moments, start it again, and give what it acknowledged."""
    rng = random.Random(seed)
    said = tmp_path / "said"
    lines = []
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", FEEDER], stdin=pipe, stdout=pipe, text=True, bufsize=1) as starter:
        for life in range(times):
            said.write_bytes(b"")
            starter.stdin.write(f"{path} {said} {life}\n")
            child = int(starter.stdout.readline())
            deadline = time.monotonic() + 60
            while said.stat().st_size == 0 and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.6))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            assert int(starter.stdout.readline()) == signal.SIGKILL, "the ingester must run until it is killed"
            new = [line for line in said.read_text().splitlines(keepends=True) if line.endswith("\n")]
            assert new, "it acknowledged something"
            lines += [line.strip() for line in new]
        starter.stdin.close()
    return lines


def held_against(path, lines):
    with tk.store.journal(path) as ours:
        ours.drain(all=True)
        assert ours.status().pending == 0
    found = tk.open(path)["telemetry/load"]
    assert found.indexes["time"].is_unique
    have = found.values
    row = {int((t - START) / STEP): i for i, t in enumerate(found.time.values)}
    wrong = []
    for (step, cell), value in acknowledged(lines).items():
        stands = have[row[step], cell] if step in row else None
        # A correction may have become durable that the killed writer had no time to acknowledge.
        if stands != value and not (cell == 1 and stands is not None and stands <= 0):
            wrong.append((step, cell, value, stands))
    assert not wrong, wrong[:5]
    verified = tk.verify(path, thorough=True)
    assert verified, verified


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no kill -9 and no fork")
def test_nothing_acknowledged_is_lost_when_the_ingester_is_killed(path, tmp_path):
    held_against(path, killed(path, tmp_path, times=20, seed=1))


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_in_200_kills(path, tmp_path):
    held_against(path, killed(path, tmp_path, times=200, seed=2))


class _Cut(BaseException):
    """The plug is pulled."""


def test_a_drain_cut_at_any_of_its_steps_commits_each_reading_once(path, monkeypatch):
    """A stop at each file of a drain in turn, and the next ingester goes on from there."""
    writes, limit = [0], [0]
    replace = pathlib.Path.replace

    def counted(self, target):
        writes[0] += 1
        if limit[0] and writes[0] >= limit[0]:
            raise _Cut
        return replace(self, target)

    truth = {}
    cuts = 0
    for at_write in range(1, 8):
        ours = tk.store.Journal(path)
        given = batch(np.arange(3) + 3 * at_write, seed=at_write)
        ours.record(given)
        keys = zip(np.repeat(np.arange(3) + 3 * at_write, 6).tolist(), [*range(6)] * 3, strict=True)
        truth |= dict(zip(keys, given["value"].tolist(), strict=True))
        writes[0], limit[0] = 0, at_write
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, "replace", counted)
            try:
                ours.drain(all=True)
            except _Cut:
                cuts += 1
            # No tidying: the process is gone.
            ours._chest.drop()
            ours._stack.close()
        limit[0] = 0
    assert cuts >= 3
    with tk.store.journal(path) as ours:
        ours.drain(all=True)
    found = tk.open(path)["telemetry/load"]
    have = {
        (int((t - START) / STEP), c): float(v)
        for t, line in zip(found.time.values, found.values, strict=True)
        for c, v in enumerate(line)
    }
    assert have == truth
    assert tk.verify(path, thorough=True)


def test_a_commit_that_fails_leaves_the_readings_pending(path, monkeypatch):
    with tk.store.journal(path) as ours:
        ours.record(batch([0, 1]))
        with monkeypatch.context() as patch:
            patch.setattr(drain.tree, "grown", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "Input/output error")))
            with pytest.raises(tk.TwinError, match="can be read and written"):
                ours.drain(all=True)
        assert ours.record(batch([0, 1])).duplicate == 12
        assert ours.record(batch([2])).new == 6
        assert ours.status().pending == 18
        assert tk.open(path)["telemetry/load"].count() == 18
        ours.drain(all=True)
        assert ours.status().pending == 0
    assert tk.open(path)["telemetry/load"].count() == 18
    assert tk.verify(path, thorough=True)


FULL = """
import resource, signal, sys, numpy as np, twinkit as tk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = sys.argv[1]
start, step = np.datetime64("2026-03-01", "ns"), np.timedelta64(900, "s")
rng = np.random.default_rng(1)
done = 0
with tk.store.journal(path) as journal:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    ids = np.tile(np.array([f"c{i}" for i in range(6)], dtype=object), 400)
    faults = []
    for number in range(40):
        given = {"variable": "load", "sensor": ids, "value": rng.random(2400),
                 "time": start + np.repeat(np.arange(400) + 400 * number, 6) * step}
        try:
            journal.record(given)
            print(number, flush=True)
        except tk.TwinError as fault:
            faults.append(str(fault))
            if len(faults) == 1:
                assert "room on" in str(fault), fault
            if len(faults) == 3:
                break
    assert len(faults) == 3, faults
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    # Room again: it goes on by itself.
    assert journal.record(given).new == 2400
    print(number, flush=True)
    journal.drain(all=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for the size of a file")
def test_a_full_disk_refuses_the_batch_and_keeps_what_was_acknowledged(path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    numbers = list(map(int, done.stdout.split()))
    rng = np.random.default_rng(1)
    truth = {}
    found = tk.open(path)["telemetry/load"]
    row = {int((t - START) / STEP): i for i, t in enumerate(found.time.values)}
    for number in range(max(numbers) + 1):
        truth[number] = rng.random(2400).reshape(400, 6)
    for number in numbers:
        np.testing.assert_array_equal(found.values[row[400 * number] : row[400 * number] + 400], truth[number])
    assert found.count() == 2400 * len(numbers)
    assert tk.verify(path, thorough=True)


# ---------------------------------------------------------------- flipped bytes


def lived(path):
    """A store that saw everything: blocks, late readings, a journal with pending and refused messages, a horizon."""
    with tk.store.journal(path) as ours:
        ours.record(batch(np.arange(4)))
        ours.drain(all=True)
        ours.record(batch(np.arange(2, 6), seed=4))
        ours.reject([("a/b", b"{", "no JSON")])
        ours.drain(all=True)
        tk.store.compact(path, keep="0 s")
        ours.record(batch([6, 7]))
        tk.tag(path, "paper")
        ours.record(batch([3], seed=8))
        ours.drain(all=True)
        ours.record(batch([8, 9]))
    assert (path / "twinkit/journal/telemetry.sqlite").stat().st_size > 0
    return path


def flipped(path, *, times, seed):
    """Flip one byte in each of many copies of a store; gives those that verify did not find."""
    rng = random.Random(seed)
    files = sorted(p.relative_to(path) for p in path.rglob("*") if p.is_file() and p.stat().st_size)
    journals = [f for f in files if "journal" in f.parts]
    assert len(journals) >= 2
    missed = []
    for number in range(times):
        name = rng.choice(journals if number % 4 == 0 else files)
        whole = (path / name).read_bytes()
        harmed = bytearray(whole)
        spot = rng.randrange(len(harmed))
        harmed[spot] ^= 1 << rng.randrange(8)
        (path / name).write_bytes(harmed)
        found = tk.verify(path)
        if found or not any(name.as_posix() in f for f in found.faults):
            missed.append((str(name), spot, found.faults))
        (path / name).write_bytes(whole)
    assert tk.verify(path)
    return missed


def test_a_flipped_byte_in_a_live_store_is_found_and_named(path):
    assert flipped(lived(path), times=20, seed=1) == []


@pytest.mark.slow
def test_a_flipped_byte_is_found_200_times_of_200(path):
    assert flipped(lived(path), times=200, seed=2) == []


def test_every_byte_of_a_journal_counts(path):
    lived(path)
    for name in ("telemetry.sqlite", "telemetry.json"):
        file = path / "twinkit/journal" / name
        whole = file.read_bytes()
        for spot in random.Random(3).sample(range(len(whole)), 25):
            harmed = bytearray(whole)
            harmed[spot] ^= 16
            file.write_bytes(harmed)
            assert any(f"twinkit/journal/{name}" in f for f in tk.verify(path).faults), spot
            with pytest.raises(tk.TwinError, match="as it was left"), tk.store.journal(path):
                pass
        file.write_bytes(whole)
    with tk.store.journal(path) as ours:
        assert ours.status().pending == 12


def test_a_journal_that_is_taken_away_or_put_back_is_found(path):
    lived(path)
    folder = path / "twinkit/journal"
    old = {p.name: p.read_bytes() for p in folder.iterdir()}
    with tk.store.journal(path) as ours:
        ours.drain(all=True)
        ours.record(batch([20]))
        ours.drain(all=True)
    new = {p.name: p.read_bytes() for p in folder.iterdir()}

    def put(files):
        shutil.rmtree(folder)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)

    put({})
    assert any("telemetry.sqlite" in f for f in tk.verify(path).faults)
    put({k: v for k, v in new.items() if not k.endswith(".sqlite")})
    assert any("telemetry.sqlite is missing" in f for f in tk.verify(path).faults)
    put({k: v for k, v in new.items() if not k.endswith(".json")})
    assert any("telemetry.json is missing" in f for f in tk.verify(path).faults)
    put(new)
    assert tk.verify(path)
    put(old)
    assert any("does not follow" in f for f in tk.verify(path).faults)
    assert tk.open(path)["telemetry/load"].count() == 66


def test_verify_speaks_while_an_ingester_is_at_work(path):
    with tk.store.journal(path) as ours:
        ours.record(batch([0, 1]))
        assert tk.verify(path), tk.verify(path)
        ours.drain(all=True)
        ours.record(batch([2]))
        assert tk.verify(path), tk.verify(path)
    assert tk.verify(path)
