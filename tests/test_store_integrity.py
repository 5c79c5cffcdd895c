"""The store under harm: flipped bytes, dropped commits, rewritten messages, killed writers, full disks."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import shutil
import subprocess
import sys
import threading

import icechunk
import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit.store import commit, digest, index, lock, record, repository


def twin_of(height, *, pixels=0):
    nodes = {"sites": xr.Dataset({"height": ("site", [float(height)] * 3)}, {"site": ["a", "b", "c"]})}
    if pixels:
        ground = np.random.default_rng(int(height)).random((pixels, pixels)).astype("f4")
        axis = np.arange(float(pixels))
        nodes["surface"] = xr.Dataset({"ground_height": (("y", "x"), ground)}, {"y": axis, "x": axis})
    return tk.assemble(nodes, title="test", crs="EPSG:32643")


def hour(number, cells=400):
    load = np.random.default_rng(number).random((60, cells))
    time = np.datetime64("2026-03-01", "ns") + (60 * number + np.arange(60)) * np.timedelta64(60 * 10**9, "ns")
    return xr.Dataset({"load": (("time", "cell"), load)}, {"time": time, "cell": [f"c{i}" for i in range(cells)]})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.twin"


@pytest.fixture
def rich(path):
    """A store with everything in it: commits of every kind, a branch, a tag, a horizon."""
    done = [tk.save(twin_of(30, pixels=40), path, message="the beginning")]
    done.append(tk.save(twin_of(31, pixels=40), path, message="higher"))
    tk.store.expire(path, before=done[1].when)
    tk.branch(path, "what-if")
    tk.tag(path, "paper")
    done.append(tk.store.append(path, "telemetry", hour(0), message="readings"))
    done.append(tk.save(twin_of(32, pixels=40), path, branch="what-if", message="higher still"))
    return path, done


def files(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


def test_a_whole_store_passes(rich):
    path, done = rich
    found = tk.verify(path, head=done[2].head, thorough=True)
    assert found, found
    assert found.notes == []
    assert found.commits == 3
    assert found.heads["branch.main"] == done[2].head
    assert found.heads["branch.what-if"] == done[3].head
    assert "nothing altered" in str(found)
    assert done[2].head in str(found)


@pytest.mark.parametrize("where", ["first", "last", "anywhere"])
def test_a_flipped_byte_in_any_file_is_found_and_named(rich, where):
    path, _ = rich
    rng = random.Random(where)
    kinds = set()
    for file in files(path):
        whole = file.read_bytes()
        if not whole:
            continue
        name = file.relative_to(path).as_posix()
        kinds.add(name.partition("/")[0])
        spot = {"first": 0, "last": len(whole) - 1}.get(where, rng.randrange(len(whole)))
        harmed = bytearray(whole)
        harmed[spot] ^= 1 << rng.randrange(8)
        file.write_bytes(harmed)
        found = tk.verify(path)
        assert not found, f"byte {spot} of {name}"
        assert any(name in fault for fault in found.faults), (name, found.faults)
        file.write_bytes(whole)
    assert kinds == {"chunks", "config.yaml", "manifests", "refs", "snapshots", "transactions", "twinkit"}
    assert tk.verify(path)


def test_a_missing_file_is_found_and_named(rich):
    path, _ = rich
    for file in files(path):
        name = file.relative_to(path).as_posix()
        if name == lock.LOCK:
            continue
        aside = path.parent / "aside"
        file.rename(aside)
        try:
            found = tk.verify(path).faults
        except tk.TwinError as fault:
            found = [str(fault)]
        assert any(name in f or name.rpartition("/")[2] in f for f in found), (name, found)
        aside.rename(file)
    assert tk.verify(path)


def test_a_stranger_is_found_and_named(rich):
    path, _ = rich
    for name in ("chunks/STRANGER", "snapshots/00000000000000000000", "refs/branch.more/ref.json", "note.txt"):
        file = path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((path / "refs/branch.main/ref.json").read_bytes())
        assert any(name in f for f in tk.verify(path).faults)
        file.unlink()
        if name.startswith("refs"):
            file.parent.rmdir()
    assert tk.verify(path)


def test_reading_a_damaged_map_is_an_error_and_no_wrong_number(path):
    tk.save(twin_of(30, pixels=60), path, message="the beginning")
    largest = max((path / "chunks").iterdir(), key=lambda p: p.stat().st_size)
    whole = bytearray(largest.read_bytes())
    whole[len(whole) // 2] ^= 4
    largest.write_bytes(whole)
    with pytest.raises(tk.TwinError, match="surface/ground_height: expected stored values that can be read"):
        tk.open(path)["surface/ground_height"].load()


def test_a_dropped_newest_commit_is_found(rich):
    path, done = rich
    repo = repository.reader(path)
    repo.reset_branch("main", done[1].id)
    faults = tk.verify(path).faults
    assert any("refs/branch.main/ref.json was altered" in f for f in faults)
    assert any(done[2].id in f and "dropped" in f for f in faults)
    assert any(done[2].head[:12] in f for f in tk.verify(path, head=done[2].head).faults)


def test_only_a_head_kept_elsewhere_shows_that_the_tail_was_cut_off_whole(path):
    done = [tk.save(twin_of(h), path, message=f"height {h}") for h in (30, 31)]
    shutil.copytree(path, path.with_name("before"))
    done.append(tk.save(twin_of(32), path, message="height 32"))
    shutil.rmtree(path)
    shutil.copytree(path.with_name("before"), path)
    assert tk.verify(path)
    assert tk.verify(path, head=done[1].head)
    assert "newest commits were dropped" in tk.verify(path, head=done[2].head).faults[0]
    assert not tk.verify(path, head=done[2].head[:12] + "…")
    other = tk.save(twin_of(32), path, message="another reason")
    assert tk.verify(path)
    assert not tk.verify(path, head=done[2].head)
    assert tk.verify(path, head=other.head)


def test_a_rewritten_message_is_found(path):
    done = [tk.save(twin_of(h), path, message=f"height {h}") for h in (30, 31)]
    repo = repository.reader(path)
    said = repo.lookup_snapshot(done[1].id).metadata
    repo.reset_branch("main", done[0].id)
    session = repo.writable_session("main")
    import zarr

    zarr.open_group(session.store, mode="a")["sites"].attrs["note"] = "by hand"
    forged = session.commit("a kinder message", said)
    faults = tk.verify(path).faults
    assert any("'a kinder message'" in f and "rewritten" in f for f in faults)
    # who also writes side record, seal and index anew is still found, by the digest of the head ...
    told = {"commit": forged, "files": {}, "head": said["head"], "parent": done[0].id}
    record.record_path(path, done[1].id).unlink()
    listed = set(record.listed(path)[1])
    told["files"] = record.file_digests(path, record.engine_files(path) - listed)
    record.write(record.record_path(path, forged), told)
    index.rebuild(path, [r for r in map(repository.row, commit.history(repo, path).values()) if r])
    (path / record.SEAL).unlink()
    record.seal(path)
    faults = tk.verify(path).faults
    assert any("'a kinder message'" in f and "rewritten" in f for f in faults)
    assert any("sites is not as it was committed" in f for f in faults)
    assert not any("altered" in f or "missing" in f for f in faults)


def test_values_that_were_exchanged_with_all_their_file_digests_are_found(path):
    tk.save(twin_of(30), path, message="the beginning")
    repo = repository.reader(path)
    at = repo.lookup_branch("main")
    info = repo.lookup_snapshot(at)
    row = repository.row(info)
    session = repo.writable_session("main")
    import zarr

    zarr.open_group(session.store, mode="a")["sites/height"][0] = 99.0
    repo.reset_branch("main", info.parent_id)
    honest = {k: info.metadata[k] for k in ("author", "changed", "content", "parent", "when")}
    assert digest.head(message=row.message, **honest) == row.head
    forged = session.flush(row.message, info.metadata)
    repo.reset_branch("main", forged)
    record.record_path(path, at).unlink()
    new = record.engine_files(path) - set(record.listed(path)[1])
    told = {"commit": forged, "files": record.file_digests(path, new), "head": row.head, "parent": at}
    record.write(record.record_path(path, forged), told)
    faults = tk.verify(path).faults
    assert any("the values of sites/height are not those that were committed" in f for f in faults)


def test_a_commit_that_twinkit_did_not_make_is_named(path):
    tk.save(twin_of(30), path, message="the beginning")
    import zarr

    session = repository.reader(path).writable_session("main")
    zarr.open_group(session.store, mode="a").attrs["title"] = "by hand"
    session.commit("by hand")
    assert any("'by hand') was not made by twinkit" in f for f in tk.verify(path).faults)
    with pytest.raises(tk.TwinError, match="without twinkit's digests"):
        tk.open(path)


# ---------------------------------------------------------------- expiry


def test_expiry_wins_space_and_keeps_the_chain(path):
    done = [tk.save(twin_of(h, pixels=300), path, message=f"height {h}") for h in range(30, 36)]
    tk.tag(path, "keep", start=done[1].head)
    tk.branch(path, "other", start=done[2].head)
    size = sum(f.stat().st_size for f in files(path))
    gone = tk.store.expire(path, before=done[4].when)
    assert {c.head for c in gone} == {done[0].head, done[3].head}
    assert sum(f.stat().st_size for f in files(path)) < 0.8 * size
    assert [c.head for c in tk.history(path)] == [done[5].head, done[4].head]
    found = tk.verify(path, head=done[0].head, thorough=True)
    assert found, found
    assert "has expired" in found.notes[0]
    assert tk.verify(path, head=done[1].head)
    assert tk.open(path, tag="keep")["sites/height"].values[0] == 31
    assert tk.open(path, branch="other")["sites/height"].values[0] == 32
    with pytest.raises(tk.TwinError):
        tk.open(path, commit=done[0].head)
    with pytest.raises(tk.TwinError, match="first commit"):
        tk.open(path, as_of=done[3].when)
    last = tk.save(twin_of(40), path, message="after")
    assert tk.verify(path, head=last.head, thorough=True)
    assert tk.store.expire(path, before=dt.datetime(2001, 1, 1, tzinfo=dt.UTC)) == ()
    assert len(tk.store.expire(path, before="2999-01-01")) == 2
    assert tk.verify(path, head=last.head, thorough=True)
    told = json.loads((path / record.HORIZON).read_bytes())
    told["commits"][done[0].head]["message"] = "a kinder one"
    told.pop("sha256")
    record.write(path / record.HORIZON, told)
    assert any("was rewritten" in f and done[0].head[:12] in f for f in tk.verify(path).faults)


def test_a_damaged_store_does_not_expire(path):
    done = [tk.save(twin_of(h), path, message="m") for h in (30, 31)]
    harmed = next((path / "transactions").iterdir())
    harmed.write_bytes(harmed.read_bytes()[:-1])
    with pytest.raises(tk.TwinError, match=f"transactions/{harmed.name} was altered"):
        tk.store.expire(path, before=done[1].when)


def test_an_expiry_that_was_stopped_is_finished(path, monkeypatch):
    done = [tk.save(twin_of(h), path, message=f"height {h}") for h in range(30, 35)]
    engine = icechunk.Repository
    steps = [(engine, "expire_snapshots"), (engine, "garbage_collect"), (index, "rebuild"), (record, "seal")]
    for owner, step in steps:
        copy = path.with_name(step)
        shutil.copytree(path, copy)

        def stop(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(owner, step, stop)
            with pytest.raises(KeyboardInterrupt):
                tk.store.expire(copy, before=done[3].when)
        found = tk.verify(copy, head=done[0].head, thorough=True)
        assert found, found
        assert len(tk.history(copy)) == 2
        tk.save(twin_of(50), copy, message="on")
        assert tk.verify(copy)


# ---------------------------------------------------------------- one writer, many readers


def test_the_second_writer_gets_a_clear_error_and_readers_none(path):
    first = tk.save(twin_of(30), path, message="the beginning")
    with lock.hold(path):
        for act in (
            lambda: tk.save(twin_of(31), path, message="m"),
            lambda: tk.store.append(path, "telemetry", hour(0), message="m"),
            lambda: tk.branch(path, "b"),
            lambda: tk.tag(path, "t"),
            lambda: tk.store.expire(path, before="2999-01-01"),
            lambda: tk.verify(path),
        ):
            with pytest.raises(tk.TwinError, match=f"one writer at a time.*process {os.getpid()}"):
                act()
        assert tk.open(path)["sites/height"].values[0] == 30
        assert tk.history(path)[0] == first
    tk.save(twin_of(31), path, message="now")
    assert tk.verify(path)


def test_readers_see_all_of_a_commit_or_none(path):
    tk.save(twin_of(1, pixels=30), path, message="1")
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            twin = tk.open(path)
            at = twin["sites/height"].values
            same = twin_of(int(at[0]), pixels=30)["surface/ground_height"].values
            seen.append((at == at[0]).all() and np.array_equal(twin["surface/ground_height"].values, same))

    reader = threading.Thread(target=read)
    reader.start()
    for h in range(2, 14):
        tk.save(twin_of(h, pixels=30), path, message=str(h))
    stop.set()
    reader.join()
    assert len(seen) > 3
    assert all(seen)


def test_two_threads_save_and_none_is_lost(path):
    tk.save(twin_of(1), path, message="1")
    done, refused = [], []

    def write(start):
        for h in range(start, start + 5):
            try:
                done.append(tk.save(twin_of(h), path, message=str(h)).head)
            except tk.TwinError as fault:
                refused.append("one writer" in str(fault))

    writers = [threading.Thread(target=write, args=(10 * i,)) for i in (1, 2)]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    assert len(done) + len(refused) == 10
    assert all(refused)
    assert {c.head for c in tk.history(path)} >= set(done)
    assert tk.verify(path, thorough=True)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the user root may write everywhere")
def test_a_folder_that_cannot_be_written(path):
    tk.save(twin_of(30), path, message="the beginning")
    for p in [path, *path.rglob("*")]:
        p.chmod(0o555 if p.is_dir() else 0o444)
    try:
        assert tk.open(path)["sites/height"].values[0] == 30
        assert tk.verify(path)
        with pytest.raises(tk.TwinError, match="a store that can be written"):
            tk.save(twin_of(31), path, message="m")
    finally:
        for p in [path, *path.rglob("*")]:
            p.chmod(0o755)


# ---------------------------------------------------------------- stopped at any moment


@pytest.mark.parametrize("step", ["flush", "record", "branch", "index", "seal", "mark"])
def test_a_save_that_fails_leaves_the_old_state_or_the_new_one(path, monkeypatch, step):
    first = tk.save(twin_of(30), path, message="the beginning")
    before = record.engine_files(path)

    def stop(*_, **__):
        raise OSError(28, "No space left on device")

    target = {
        "flush": (icechunk.Session, "flush"),
        "record": (record, "write"),
        "branch": (icechunk.Repository, "reset_branch"),
        "index": (index, "add"),
        "seal": (record, "seal"),
        "mark": (lock, "finish"),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(*target, stop)
        with pytest.raises(tk.TwinError, match="room on the disk"):
            tk.save(twin_of(31), path, message="higher")
    shown = tk.open(path)["sites/height"].values[0]
    if step in ("flush", "record", "branch"):
        assert shown == 30
    assert tk.verify(path, head=first.head)
    if shown == 30:
        assert record.engine_files(path) == before
    last = tk.save(twin_of(32), path, message="on")
    assert tk.verify(path, head=last.head, thorough=True)
    assert height_line(path)[0] == 32


def height_line(path):
    return [tk.open(path, commit=c.head)["sites/height"].values[0] for c in tk.history(path)]


def test_reopening_completes_the_record_that_a_crash_missed(path):
    done = [tk.save(twin_of(h), path, message="m") for h in (30, 31)]
    record.record_path(path, done[1].id).unlink()
    assert any(f"{done[1].id}.json is missing" in f for f in tk.verify(path).faults)
    lock.begin(path, act="save", reference="branch.main", parent=done[0].id)
    found = tk.verify(path, head=done[1].head)
    assert found, found
    assert "interrupted" in found.notes[0]
    assert record.record_path(path, done[1].id).exists()


def test_a_power_cut_that_emptied_the_mark_and_kept_the_old_seal(path):
    tk.save(twin_of(30), path, message="m")
    seal = (path / record.SEAL).read_bytes()
    last = tk.save(twin_of(31), path, message="m")
    (path / record.SEAL).write_bytes(seal)
    assert not tk.verify(path)
    (path / lock.MARK).write_bytes(b"")
    assert tk.verify(path, head=last.head, thorough=True)
    (path / lock.MARK).write_bytes(b"{")
    assert any(lock.MARK in f for f in tk.verify(path).faults)


def test_what_a_crash_left_is_taken_away_but_nothing_that_a_damaged_record_may_claim(path):
    done = [tk.save(twin_of(h), path, message="m") for h in (30, 31)]
    (path / "chunks").mkdir(exist_ok=True)
    left = path / "chunks" / "LEFT"
    left.write_bytes(b"left behind")
    file = record.record_path(path, done[0].id)
    whole = file.read_bytes()
    file.write_bytes(whole[:-2])
    lock.begin(path, act="save", reference="branch.main", parent=done[1].id)
    assert not tk.verify(path)
    assert left.exists()
    assert record.engine_files(path) > {f"snapshots/{done[0].id}", f"snapshots/{done[1].id}"}
    file.write_bytes(whole)
    lock.begin(path, act="save", reference="branch.main", parent=done[1].id)
    assert tk.verify(path, thorough=True)
    assert not left.exists()


HARNESS = """
import json, os, pathlib, random, signal, sys, time
sys.path[:0] = [sys.argv[3]]
import dask, distributed, icechunk, numpy, xarray, zarr, zarr.codecs, pandas, pyproj  # before the fork
import twinkit as tk
from twinkit import store
import test_store_integrity as t

path, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)

t.twin_of(1)  # reads the tables of coordinate systems, once for all children
going, gone = os.pipe()

def child(work):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(code)

def check(thorough=False):
    found = tk.verify(path, thorough=thorough)
    assert found, found
    log = tk.history(path)
    at = tk.open(path)
    newest = int(log[0].message)
    told = [int(c.message) for c in log]
    assert told == list(range(newest, 0, -1)), told
    expected = t.twin_of(newest, pixels=200)
    numpy.testing.assert_array_equal(at["surface/ground_height"].values, expected["surface/ground_height"].values)
    assert (at["sites/height"].values == newest).all()
    if "telemetry" in at.children:
        hours = at["telemetry"].sizes["time"] // 60
        numpy.testing.assert_array_equal(at["telemetry/load"].values[-60:], t.hour(hours - 1)["load"].values)

def save_once():
    number = len(tk.history(path)) + 1 if path.exists() else 1
    twin = t.twin_of(number, pixels=200)
    if path.exists():
        old = tk.open(path)
        hours = old["telemetry"].sizes["time"] // 60 if "telemetry" in old.children else 0
        load = t.hour(hours)
        if hours:
            load = xarray.concat([old["telemetry"].to_dataset().load(), load], "time")
        if number % 2:
            twin = tk.extend(twin, telemetry=load)
        elif hours:
            twin = tk.extend(twin, telemetry=old["telemetry"].to_dataset())
    tk.save(twin, path, message=str(number))

def save_on():
    save_once()
    os.write(gone, b".")
    while True:
        save_once()

def check_save_check():
    if path.exists():
        check()
    save_once()
    check()

moments = []
for trial in range(20):
    pid = child(save_on)
    os.read(going, 1)
    wait = rng.uniform(0.0, 0.2)
    time.sleep(wait)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    moments.append((path / "twinkit" / "pending.json").exists())
    assert os.waitstatus_to_exitcode(os.waitpid(child(check_save_check), 0)[1]) == 0, (trial, wait)
begun = 0
for trial in range(4):
    path = path.with_name(f"first{trial}.twin")
    pid = child(save_on)
    if trial:
        time.sleep(rng.uniform(0.0, 1.5 * first))
        os.kill(pid, signal.SIGKILL)
    else:
        start = time.perf_counter()
        os.read(going, 1)
        first = time.perf_counter() - start
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    begun += path.exists()
    assert os.waitstatus_to_exitcode(os.waitpid(child(check_save_check), 0)[1]) == 0, ("first", trial)
print(json.dumps({"interrupted": sum(moments), "begun": begun}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 needs a system that forks")
def test_a_save_killed_at_any_moment_leaves_the_commit_before_whole(path, tmp_path):
    run = [sys.executable, "-W", "ignore", "-c", HARNESS, str(path), "1", os.path.dirname(__file__)]  # noqa: PTH120
    told = subprocess.run(run, capture_output=True, text=True, check=False, cwd=os.getcwd())  # noqa: PTH109
    assert told.returncode == 0, told.stderr[-3000:]
    # The moments are random, and of twenty some must have been in the middle of a save.
    assert json.loads(told.stdout)["interrupted"] > 3
    assert all(p.name.endswith(".twin") or p.name.endswith(".draft") for p in tmp_path.iterdir())
    assert tk.verify(path, thorough=True)


FULL = """
import pathlib, resource, signal, sys
sys.path[:0] = [sys.argv[2]]
import twinkit as tk
import test_store_integrity as t

path = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
for act in (
    lambda: tk.save(t.twin_of(31, pixels=400), path, message="too large"),
    lambda: tk.store.append(path, "telemetry", t.hour(0), message="too large"),
    lambda: tk.save(t.twin_of(31, pixels=400), path.with_name("new.twin"), message="too large"),
):
    try:
        act()
    except tk.TwinError as fault:
        print(fault.expected)
"""


@pytest.mark.skipif(os.name == "nt", reason="no limit of file sizes to set")
def test_a_full_disk_leaves_the_old_state(path):
    first = tk.save(twin_of(30), path, message="the beginning")
    before = record.engine_files(path)
    run = [sys.executable, "-W", "ignore", "-c", FULL, str(path), os.path.dirname(__file__)]  # noqa: PTH120
    told = subprocess.run(run, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines() == ["room on the disk"] * 3, told.stdout + told.stderr
    assert record.engine_files(path) == before
    assert tk.verify(path, head=first.head)
    assert [p.name for p in path.parent.iterdir()] == ["a.twin"]
    last = tk.save(twin_of(31, pixels=400), path, message="room again")
    assert tk.verify(path, head=last.head)


def test_a_first_save_that_was_killed_is_swept_up_later(path):
    draft = path.with_name(f".{path.name}.12345678.draft")
    (draft / "twinkit").mkdir(parents=True)
    young = path.with_name(f".{path.name}.87654321.draft")
    (young / "twinkit").mkdir(parents=True)
    os.utime(draft / "twinkit", (0, 0))
    tk.save(twin_of(30), path, message="the beginning")
    assert not draft.exists()
    assert young.exists()  # it may be another writer's
