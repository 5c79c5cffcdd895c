"""A store on an object store: the same acts against a real S3 server on this machine, and two that write at once."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit.store import check, commit, drain, record, remote, repository, tree

START = np.datetime64("2026-03-01", "ns")
STEP = np.timedelta64(900, "s")


@pytest.fixture(scope="module")
def server():
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request is most of what it does
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, request):
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"twins-{abs(hash(request.node.name))}"
    boto3.client("s3", endpoint_url=server, region_name="us-east-1").create_bucket(Bucket=name)
    return name


def twin_of(height=30.0, cells=4):
    nodes = {
        "sites": xr.Dataset({"height": ("site", [height] * 2)}, {"site": ["a", "b"]}),
        "cells": xr.Dataset({"frequency": ("cell", np.full(cells, 8e8))}, {"cell": [f"c{i}" for i in range(cells)]}),
    }
    return tk.assemble(nodes, title="far away", crs="EPSG:32643")


def batch(steps, value):
    steps = np.atleast_1d(steps)
    return {
        "variable": "load",
        "sensor": [f"c{i}" for _ in steps for i in range(4)],
        "time": START + np.repeat(steps, 4) * STEP,
        "value": np.full(len(steps) * 4, value),
    }


def test_a_store_at_an_address_is_a_store(bucket, tmp_path):
    path = f"s3://{bucket}/north/shimla.twin"
    with pytest.raises(tk.TwinError, match="a stored twin"):
        tk.open(path)
    first = tk.save(twin_of(), path, message="the beginning")
    second = tk.save(twin_of(31.0), path, message="higher")
    again = tk.save(twin_of(31.0), path, message="no change")
    assert again.head == second.head
    assert "nothing differs" in again.note
    assert (tk.open(path)["sites/height"] == 31).all()
    assert (tk.open(path, commit=first.head)["sites/height"] == 30).all()
    assert (tk.open(path, as_of=first.when)["sites/height"] == 30).all()
    rain = xr.Dataset({"x": (("time", "cell"), np.ones((3, 1)))}, {"time": START + np.arange(3) * STEP, "cell": ["c0"]})
    tk.store.append(path, "rain", rain, message="rain")
    assert [c.message for c in tk.history(path)] == ["rain", "higher", "the beginning"]
    found = tk.verify(path, head=first.head, thorough=True)
    assert found, found
    assert tk.store.expire(path, keep="0 s") == (), "what is younger than a day stays"
    assert len(tk.history(path)) == 3
    with pytest.raises(tk.TwinError, match="bucket and key"):
        tk.open("s3://alone")


def test_a_journal_beside_drains_to_an_address(bucket, tmp_path):
    path = f"s3://{bucket}/live.twin"
    tk.save(twin_of(), path, message="the beginning")
    with pytest.raises(tk.TwinError, match="local folder for the journal"), tk.store.journal(path):
        pass
    with tk.store.journal(path, where=tmp_path / "journal") as journal:
        first = journal.record(batch([0, 1], 0.25))
        journal.drain(all=True)
        journal.record(batch([1, 2], 0.5))
        journal.drain(all=True)
        assert journal.record(batch([1, 2], 0.5)).duplicate == 8
    assert tk.open(path)["telemetry/load"].values[:, 0].tolist() == [0.25, 0.5, 0.5]
    then = tk.open(path, as_of=np.datetime64(first.received, "ns") + np.timedelta64(1, "ms"))
    assert then["telemetry/load"].values[:, 0].tolist() == [0.25, 0.25]
    assert tk.verify(path, thorough=True)


def test_two_ingesters_write_at_once_and_the_chain_of_heads_does_not_fork(bucket, tmp_path):
    path = f"s3://{bucket}/both.twin"
    tk.save(twin_of(), path, message="the beginning")
    faults = []
    together = threading.Barrier(2)

    def region(node, value):
        try:
            with tk.store.journal(path, node=node, where=tmp_path / node) as journal:
                for step in range(5):
                    journal.record(batch(step, value))
                    together.wait(timeout=120)
                    journal.drain(all=True, message=f"{node} {step}")
        except BaseException as fault:  # noqa: BLE001 - a thread's fault must reach the test
            faults.append(fault)
            together.abort()

    threads = [threading.Thread(target=region, args=given) for given in (("north", 0.1), ("south", 0.9))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults
    history = tk.history(path)
    assert sorted(c.message for c in history) == sorted(
        ["the beginning", *(f"{n} {s}" for n in ("north", "south") for s in range(5))]
    )
    twin = tk.open(path)
    assert twin["north/load"].shape == twin["south/load"].shape == (5, 4)
    assert (twin["north/load"] == 0.1).all()
    assert (twin["south/load"] == 0.9).all()
    verified = tk.verify(path, thorough=True)
    assert verified, verified
    assert verified.commits == 11


def overtaken(monkeypatch, act):
    """Have somebody else act while the first save from now on is being written; a list that grows by each writing."""
    write, seen = tree.write, []

    def written(group, twin, said, **more):
        out = write(group, twin, said, **more)
        seen.append(len(seen))
        if len(seen) == 1:
            act()
        return out

    monkeypatch.setattr(tree, "write", written)
    return seen


def test_a_commit_that_another_one_overtakes_is_made_anew_on_its_head(bucket, monkeypatch):
    path = f"s3://{bucket}/race.twin"
    tk.save(twin_of(), path, message="the beginning")
    other = tk.extend(tk.open(path), note=xr.Dataset(attrs={"by": "another"}))
    seen = overtaken(monkeypatch, lambda: tk.save(other, path, message="overtaking"))
    done = tk.save(twin_of(31.0), path, message="overtaken")
    assert len(seen) == 3, "once in vain, once the other's, once anew"
    history = tk.history(path)
    assert [c.message for c in history] == ["overtaken", "overtaking", "the beginning"]
    assert history[0].head == done.head
    verified = tk.verify(path, thorough=True)
    assert verified, verified


def test_a_ledger_at_an_address(bucket):
    """Two releases in a race: the branch moves once, and the other one is judged anew on the new head."""
    path = f"s3://{bucket}/town.twin"
    tk.save(twin_of(), path, message="the beginning")
    assert tk.privacy.ledger(path).sizes["entry"] == 0
    tk.privacy.budget(path, epsilon=1.0, protects="subscriber-day", message="why")
    choices = {"epsilon": 0.6, "protects": "subscriber-day", "bound": 2, "store": path, "message": "trips"}
    fell = []

    def work():
        try:
            tk.privacy.release(xr.DataArray([7, 20, 3], dims="zone"), **choices)
        except tk.TwinError as fault:
            fell.append(fault.found)

    racing = [threading.Thread(target=work) for _ in range(2)]
    for t in racing:
        t.start()
    for t in racing:
        t.join()
    assert fell == ["0.6 spent, 1.2 with this one"]
    assert sorted(tk.privacy.ledger(path).act.values) == ["budget", "refused", "released", "reserved"]
    assert tk.privacy.spent(path, protects="subscriber-day") == 0.6
    with pytest.raises(tk.TwinError, match="not taken"):
        tk.branch(path, "privacy")
    assert sorted(tk.store.branches(path)) == ["main", "privacy"]
    assert tk.verify(path)


def test_a_flipped_byte_on_the_object_store_is_found_and_named(bucket):
    path = f"s3://{bucket}/flip.twin"
    tk.save(twin_of(), path, message="the beginning")
    tk.save(twin_of(31.0), path, message="higher")
    root = remote.address(path)
    rng = random.Random(1)
    for name in sorted(root.names()):
        whole = root.get(name)
        if not whole:
            continue
        harmed = bytearray(whole)
        harmed[rng.randrange(len(harmed))] ^= 1 << rng.randrange(8)
        root.put(name, bytes(harmed))
        found = tk.verify(path)
        assert any(name in f for f in found.faults), (name, found)
        root.put(name, whole)
    assert tk.verify(path)
    root.put("stranger", b"x")
    assert any("stranger" in f for f in tk.verify(path).faults)
    root.remove("stranger")
    root.remove(f"{record.RECORDS}/{tk.history(path)[0].id}.json")
    assert any("is missing" in f for f in tk.verify(path).faults)


def test_verify_at_an_address_does_not_mind_who_commits_meanwhile(bucket, monkeypatch):
    """A commit at each step of a look: what came since is none of its business, and it need not look again."""
    path = f"s3://{bucket}/busy.twin"
    tk.save(twin_of(), path, message="the beginning")
    made = []

    def busy(owner, name):
        act = getattr(owner, name)

        def meanwhile(*given, **more):
            monkeypatch.setattr(owner, name, act)
            made.append(tk.save(twin_of(31.0 + len(made)), path, message=name))
            return act(*given, **more)

        monkeypatch.setattr(owner, name, meanwhile)

    monkeypatch.setattr(check, "LOOKS", 1)
    for owner, name in (
        (repository, "heads"), (commit, "history"), (remote.Remote, "contents"), (remote.Remote, "records"),
        (remote.Remote, "digests"),
    ):  # fmt: skip
        busy(owner, name)
        found = tk.verify(path)
        assert found, (name, found)
        assert not [n for n in found.notes if "was not finished" in n], (name, found)
    assert [c.message for c in made] == [c.message for c in reversed(tk.history(path))][1:]
    assert len(made) == 5


# ---------------------------------------------------------------- letting go


@pytest.fixture
def settled(monkeypatch):
    """All that stands on the object store is old enough to go."""
    monkeypatch.setattr(remote, "SETTLED", dt.timedelta(days=-1))


def size(path):
    root = remote.address(path)
    return sum(len(root.get(name)) for name in root.names())


def whole(path, **choices):
    found = tk.verify(path, **choices)
    assert found, found
    assert not any("under way" in n for n in found.notes), found
    return found


def heights(count, path, *, pixels=0):
    """So many commits, each with other heights."""
    done = []
    for number in range(count):
        twin = twin_of(30.0 + number)
        if pixels:
            noise = np.random.default_rng(number).random((pixels, pixels))
            twin = tk.extend(twin, surface=xr.Dataset({"ground": (("y", "x"), noise)}))
        done.append(tk.save(twin, path, message=f"height {30 + number}"))
    return done


def test_expiry_at_an_address_wins_space_and_keeps_the_chain(bucket, settled):
    path = f"s3://{bucket}/old.twin"
    done = heights(6, path, pixels=100)
    tk.tag(path, "keep", start=done[1].head)
    tk.branch(path, "other", start=done[2].head)
    before = size(path)
    gone = tk.store.expire(path, before=done[4].when)
    assert {c.head for c in gone} == {done[0].head, done[3].head}
    assert size(path) < 0.8 * before
    assert [c.head for c in tk.history(path)] == [done[5].head, done[4].head]
    assert "has expired" in whole(path, head=done[0].head, thorough=True).notes[0]
    assert tk.open(path, tag="keep")["sites/height"].values[0] == 31
    assert tk.open(path, branch="other")["sites/height"].values[0] == 32
    assert tk.open(path, as_of=done[4].when)["sites/height"].values[0] == 34
    with pytest.raises(tk.TwinError):
        tk.open(path, commit=done[0].head)
    with pytest.raises(tk.TwinError, match="first commit"):
        tk.open(path, as_of=done[3].when)
    last = tk.save(twin_of(40), path, message="after")
    assert len(tk.store.expire(path, before="2999-01-01")) == 2
    whole(path, head=last.head)
    root = remote.address(path)
    assert set(root.names("snapshots/")) == {
        f"snapshots/{c}" for c in (done[1].id, done[2].id, last.id, "1CECHNKREP0F1RSTCMT0")
    }
    rng = random.Random(2)
    for name in (record.HORIZON, f"snapshots/{last.id}"):
        data = root.get(name)
        harmed = bytearray(data)
        harmed[rng.randrange(len(harmed))] ^= 1 << rng.randrange(8)
        root.put(name, bytes(harmed))
        assert any(name in f for f in tk.verify(path).faults), name
        if name == record.HORIZON:
            with pytest.raises(tk.TwinError, match="was altered"):
                tk.store.expire(path, before="2999-01-01")
            with pytest.raises(tk.TwinError, match="was altered"):
                tk.save(twin_of(41), path, message="in vain")
        root.put(name, data)
    told = json.loads(root.get(record.HORIZON))
    told["commits"][done[0].head]["message"] = "a kinder one"
    told.pop("sha256")
    root.put(record.HORIZON, remote.sealed(told))
    assert any("was rewritten" in f and done[0].head[:12] in f for f in tk.verify(path).faults)


@pytest.mark.slow
def test_what_is_younger_than_a_day_stays_at_an_address(bucket, monkeypatch):
    path = f"s3://{bucket}/young.twin"
    done = heights(3, path, pixels=100)
    before = remote.address(path).names()
    assert tk.store.expire(path, before="2999-01-01") == ()
    assert remote.address(path).names() == before | {record.HORIZON}
    monkeypatch.setattr(remote, "SETTLED", dt.timedelta(seconds=2))
    time.sleep(4)
    last = tk.save(twin_of(50), path, message="new")
    gone = tk.store.expire(path, before="2999-01-01")
    assert [c.message for c in gone] == ["height 32", "height 31", "height 30"]
    assert [c.head for c in tk.history(path)] == [last.head]
    whole(path, head=done[0].head)


@pytest.mark.parametrize("branch", [pytest.param("main", marks=pytest.mark.slow), "other"])
def test_a_commit_under_way_outlives_an_expiry(bucket, monkeypatch, branch):
    """Chunks that no branch shows yet are younger than what an expiry may touch."""
    path = f"s3://{bucket}/flight.twin"
    heights(3, path, pixels=100)
    tk.branch(path, "other")
    monkeypatch.setattr(remote, "SETTLED", dt.timedelta(seconds=2))
    time.sleep(4)
    write, went = tree.write, []

    def slow(group, twin, said, **more):
        out = write(group, twin, said, **more)
        went.append([c.message for c in tk.store.expire(path, before="2999-01-01")])
        return out

    monkeypatch.setattr(tree, "write", slow)
    noise = xr.Dataset({"ground": (("y", "x"), np.random.default_rng(9).random((100, 100)))})
    done = tk.save(tk.extend(twin_of(60), surface=noise), path, message="slow", branch=branch)
    assert went == [["height 31", "height 30"]]
    assert [c.message for c in tk.history(path, branch=branch)] == ["slow", "height 32"]
    whole(path, head=done.head)
    assert (tk.open(path, branch=branch)["surface/ground"] == noise.ground).all()


def test_a_commit_that_took_longer_than_an_expiry_waits_for_is_made_anew(bucket, monkeypatch):
    path = f"s3://{bucket}/long.twin"
    heights(2, path)
    monkeypatch.setattr(remote, "LIMIT", dt.timedelta(0))
    keep, made = remote.Remote.keep, []

    def meanwhile(self, commit, **more):
        keep(self, commit, **more)
        made.append(commit)
        if len(made) == 1:
            tk.store.expire(path, before="2999-01-01")
        else:
            monkeypatch.setattr(remote, "LIMIT", dt.timedelta(hours=1))

    monkeypatch.setattr(remote.Remote, "keep", meanwhile)
    done = tk.save(twin_of(60), path, message="long")
    assert len(made) == 2
    assert made[1] == done.id
    assert (tk.open(path)["sites/height"] == 60).all()
    whole(path, head=done.head)


def test_compact_at_an_address_changes_no_answer(bucket, tmp_path, settled):
    path = f"s3://{bucket}/compact.twin"
    tk.save(twin_of(), path, message="the beginning")
    stamps, truth = [], []
    with tk.store.journal(path, where=tmp_path / "journal") as journal:
        for round_ in range(2):
            stamps.append(journal.record(batch(np.arange(12), 0.25 * round_)).received)
            truth.append(np.full((12, 4), 0.25 * round_))
            journal.drain(all=True)
        assert len(drain.Base(remote.address(path), "telemetry").late) == 48
        assert tk.store.compact(path, keep="1 day") == ()
        assert len(tk.history(path)) == 4
        late = drain.Base(remote.address(path), "telemetry").late
        assert len(late) == 48, "what was superseded took the place of what superseded it"
        assert late.value.max() == 0
        assert journal.record(batch(np.arange(12), 0.25)).duplicate == 48
        for stamp, values in zip(stamps, truth, strict=True):
            found = tk.open(path, as_of=np.datetime64(stamp, "ns"))["telemetry/load"]
            np.testing.assert_array_equal(found.values[:12], values)
        journal.record(batch([3, 12], 0.75))
        journal.drain(all=True)
        assert len(tk.store.compact(path, keep="0 s")) == 5
        assert len(tk.history(path)) == 1
        assert journal.record(batch([3, 12], 0.75)).duplicate == 8
    now = tk.open(path)["telemetry/load"].values
    assert now.shape == (13, 4)
    assert (now[[3, 12]] == 0.75).all()
    assert (np.delete(now, [3, 12], axis=0) == 0.25).all()
    whole(path, thorough=True)


def test_compact_and_an_ingester_at_once(bucket, tmp_path, monkeypatch):
    """A drain in the middle of a compaction: the branch moves once, and the move is made anew on the drained head."""
    path = f"s3://{bucket}/at-once.twin"
    tk.save(twin_of(), path, message="the beginning")
    with tk.store.journal(path, where=tmp_path / "journal") as journal:
        for value in (0.25, 0.5):
            journal.record(batch(np.arange(8), value))
            journal.drain(all=True)
        committed, seen = remote.Remote.keep, []

        def overtaken(self, *given, **more):
            committed(self, *given, **more)
            seen.append(len(seen))
            if len(seen) == 1:
                journal.record(batch(np.arange(4, 16), 0.75))
                journal.drain(all=True)

        with monkeypatch.context() as patch:
            patch.setattr(remote.Remote, "keep", overtaken)
            tk.store.compact(path, keep="1 day", message="moved")
        assert len(seen) == 3, "once in vain, once the drain's, once anew"
        assert journal.record(batch(np.arange(4, 16), 0.75)).duplicate == 48
    assert next(iter(tk.history(path))).message == "moved"
    now = tk.open(path)["telemetry/load"].values
    assert (now[:4] == 0.5).all()
    assert (now[4:16] == 0.75).all()
    whole(path)


class _Cut(BaseException):
    """The plug is pulled."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stops", [(11,), pytest.param(range(1, 40), marks=pytest.mark.slow)])
def test_an_expiry_at_an_address_that_was_stopped_is_ended_by_the_next(bucket, settled, monkeypatch, stops):
    """A stop before and after each request that changes something, the engine's two among them."""
    import icechunk

    acts = [(remote.Remote, "put"), (remote.Remote, "remove")]
    acts += [(icechunk.Repository, "expire_snapshots"), (icechunk.Repository, "garbage_collect")]
    ended = False
    for stop in stops:
        if ended:
            break
        path = f"s3://{bucket}/stop-{stop}.twin"
        done = heights(3, path)
        tk.tag(path, "keep", start=done[0].head)
        count = [0]

        def counting(act, count=count, stop=stop):
            def counted(*given, **more):
                count[0] += 1
                if count[0] == stop:
                    raise _Cut
                out = act(*given, **more)
                count[0] += 1
                if count[0] == stop:
                    raise _Cut
                return out

            return counted

        with monkeypatch.context() as patch:
            for owner, name in acts:
                patch.setattr(owner, name, counting(getattr(owner, name)))
            try:
                tk.store.expire(path, before=done[2].when)
                ended = True
            except _Cut:
                pass
        found = tk.verify(path, head=done[2].head)
        assert found, (stop, found)
        assert tk.open(path)["sites/height"].values[0] == 32
        assert tk.open(path, tag="keep")["sites/height"].values[0] == 30
        if stop % 2:
            tk.save(twin_of(50), path, message="on")
            assert tk.verify(path)
        tk.store.expire(path, before=done[2].when)
        whole(path, head=done[1].head)
        assert len(tk.history(path)) == 1 + stop % 2
        names = remote.address(path).names("snapshots/")
        assert f"snapshots/{done[1].id}" not in names
    assert ended == (len(stops) > 1), "all of them reach the end"


def test_of_two_expiries_at_once_one_goes_on_and_the_other_says_so(bucket, settled, monkeypatch):
    import icechunk

    path = f"s3://{bucket}/two.twin"
    done = heights(4, path)
    collect, went = icechunk.Repository.garbage_collect, []

    def meanwhile(self, *given):
        if not went:
            went.append(True)
            went.append([c.message for c in tk.store.expire(path, before=done[3].when)])
        return collect(self, *given)

    monkeypatch.setattr(icechunk.Repository, "garbage_collect", meanwhile)
    with pytest.raises(tk.TwinError, match="one expiry at a time"):
        tk.store.expire(path, before=done[2].when)
    assert went[1:] == [["height 32"]], "the earlier one had cut off the other two"
    whole(path, head=done[0].head)
    assert len(tk.history(path)) == 1
    monkeypatch.undo()


@pytest.mark.parametrize(("word", "cut"), [pytest.param("tag", False, marks=pytest.mark.slow), ("branch", True)])
def test_a_name_for_a_commit_that_goes_is_refused_and_leaves_nothing(bucket, settled, monkeypatch, word, cut):
    import icechunk

    def pulled(*_):
        raise _Cut

    act = {"tag": tk.tag, "branch": tk.branch}[word]
    path = f"s3://{bucket}/{word}.twin"
    done = heights(3, path)
    create = getattr(icechunk.Repository, f"create_{word}")

    def late(self, name, at):
        with monkeypatch.context() as inner, contextlib.suppress(_Cut):
            if cut:
                inner.setattr(icechunk.Repository, "garbage_collect", pulled)
            tk.store.expire(path, before=done[2].when)
        return create(self, name, at)

    with monkeypatch.context() as patch:
        patch.setattr(icechunk.Repository, f"create_{word}", late)
        with pytest.raises(tk.TwinError, match="a commit that stays"):
            act(path, "late", start=done[1].head)
    assert tk.verify(path)
    with pytest.raises(tk.TwinError, match="a branch, a tag or a head"):
        act(path, "late", start=done[1].head)
    tk.store.expire(path, before=done[2].when)
    assert act(path, "late").head == done[2].head
    assert tk.verify(path)


def test_a_result_is_filled_at_an_address_and_goes_on_where_it_stopped(bucket, monkeypatch):
    path = f"s3://{bucket}/fill.twin"
    tk.save(twin_of(), path, message="the beginning")
    values = np.random.default_rng(3).random((8, 5))
    rows = xr.DataArray(values, {"y": np.arange(8.0)}, ("y", "x"), name="depth").to_dataset().chunk(y=2)
    append, pieces = tk.store.append, []

    def stopped(*given, **more):
        if len(pieces) == 2:
            raise _Cut
        pieces.append(append(*given, **more))
        return pieces[-1]

    with monkeypatch.context() as patch:
        patch.setattr(tk.store, "append", stopped)
        with pytest.raises(_Cut):
            tk.store.fill(path, "result", rows, message="depths", progress=False)
    assert tk.open(path)["result/depth"].shape == (4, 5)
    # A second one at once: it has the third piece first, and whoever comes second is told and loses nothing.
    meanwhile = []

    def overtaken(*given, **more):
        if not meanwhile:
            meanwhile.append(append(*given, **more))
        return append(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tk.store, "append", overtaken)
        with pytest.raises(tk.TwinError, match=r"values of 'y' that ascend after 5\.0"):
            tk.store.fill(path, "result", rows, message="depths", progress=False)
    done = tk.store.fill(path, "result", rows, message="depths", progress=False)
    assert done.message == "depths (8 of 8 along y)"
    assert tk.store.fill(path, "result", rows, message="depths", progress=False).head == done.head
    np.testing.assert_array_equal(tk.open(path)["result/depth"].values, values)
    assert [c.message for c in tk.history(path)][:-1] == [f"depths ({n} of 8 along y)" for n in (8, 6, 4, 2)]
    tk.save(tk.extend(tk.open(path), sites=twin_of(99).children["sites"].to_dataset()), path, message="other sites")
    with pytest.raises(tk.TwinError, match="nodes that have changed since"):
        tk.store.fill(path, "result", rows, message="depths", progress=False)
    whole(path)


KEEPER = """
import datetime as dt, sys, boto3, icechunk, pandas, xarray, zarr, twinkit as tk
from twinkit.store import remote, remote_expiry
remote.SETTLED, remote.LIMIT = dt.timedelta(seconds=6), dt.timedelta(seconds=3)
print("ready", flush=True)
while True:
    tk.store.compact(sys.argv[1], keep="0 s")
    print("once", flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_when_compaction_at_an_address_is_killed_twenty_times(bucket, tmp_path, monkeypatch):
    """An ingester writes all the while; whoever compacts is killed at random moments. A day lasts six seconds."""
    monkeypatch.setattr(remote, "LIMIT", dt.timedelta(seconds=3))
    path = f"s3://{bucket}/killed.twin"
    tk.save(twin_of(), path, message="the beginning")
    rng = random.Random(5)
    truth, done, faults = {}, threading.Event(), []

    def ingest():
        try:
            with tk.store.journal(path, where=tmp_path / "journal") as journal:
                number = 0
                while not done.is_set():
                    steps = np.arange(number, number + 3)
                    journal.record(batch(steps, float(number)))
                    truth.update({int(s): float(number) for s in steps})
                    number += 1
                    if number % 2 == 0:
                        journal.drain(all=True)
                        done.wait(0.5)
                journal.drain(all=True)
        except BaseException as fault:  # noqa: BLE001 - a thread's fault must reach the test
            faults.append(fault)

    writing = threading.Thread(target=ingest)
    writing.start()
    kills = rounds = 0
    try:
        while kills < 20 and not faults:
            with subprocess.Popen([sys.executable, "-c", KEEPER, path], stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout.readline() == "ready\n"
                if kills % 4 == 3:
                    rounds += child.stdout.readline() == "once\n"
                time.sleep(rng.uniform(0, 3))
                os.kill(child.pid, signal.SIGKILL)
            kills += 1
    finally:
        done.set()
        writing.join()
    assert not faults, faults
    assert rounds == 5, "in between it comes to its end"
    found = tk.open(path)["telemetry/load"]
    have = {int((t - START) / STEP): row for t, row in zip(found.time.values, found.values, strict=True)}
    assert set(have) == set(truth)
    assert all((have[step] == value).all() for step, value in truth.items())
    assert tk.verify(path, thorough=True), tk.verify(path, thorough=True)
    before = len(tk.history(path))
    time.sleep(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "SETTLED", dt.timedelta(seconds=2))
        tk.store.compact(path, keep="0 s")
    whole(path)
    assert len(tk.history(path)) < before


def test_an_object_store_that_does_not_answer_is_one_error(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(tk.TwinError, match="an object store that answers"):
        tk.open(f"s3://{bucket}/a.twin")


# ---------------------------------------------------------------- a branch that begins with its first commit


@pytest.mark.parametrize("newest", [True, False])
def test_a_branch_begins_with_its_first_commit_at_an_address(bucket, newest):
    path = f"s3://{bucket}/begin.twin"
    first = tk.save(twin_of(), path, message="the beginning")
    second = tk.save(twin_of(31.0), path, message="higher")
    start = second if newest else first
    done = tk.save(twin_of(40.0), path, message="much higher", branch="what-if", start=start.head)
    assert tk.store.branches(path) == {"main": second.head, "what-if": done.head}
    assert [c.message for c in tk.history(path, branch="what-if")][1] == start.message
    assert (tk.open(path, branch="what-if")["sites/height"] == 40).all()
    same = tk.save(tk.open(path), path, message="as it is", branch="same", start="main")
    assert "nothing differs" in same.note
    assert tk.store.branches(path)["same"] == second.head
    with pytest.raises(tk.TwinError, match="not taken"):
        tk.save(twin_of(50.0), path, message="again", branch="what-if", start="main")
    with pytest.raises(tk.TwinError, match="a branch, a tag or a head"):
        tk.save(twin_of(50.0), path, message="again", branch="other", start="nowhere")
    with pytest.raises(tk.TwinError, match="a stored twin"):
        tk.save(twin_of(), f"s3://{bucket}/none.twin", message="why", branch="other", start="main")
    verified = tk.verify(path, head=done.head, thorough=True)
    assert verified, verified


def test_of_two_that_begin_one_branch_at_an_address_one_is_told(bucket, monkeypatch):
    path = f"s3://{bucket}/race.twin"
    tk.save(twin_of(), path, message="the beginning")
    faster = {"message": "the faster one", "branch": "what-if", "start": "main"}
    overtaken(monkeypatch, lambda: tk.save(twin_of(50.0), path, **faster))
    with pytest.raises(tk.TwinError, match="a branch name that is not taken; found the branch 'what-if'"):
        tk.save(twin_of(40.0), path, message="the slower one", branch="what-if", start="main")
    assert [c.message for c in tk.history(path, branch="what-if")] == ["the faster one", "the beginning"]
    verified = tk.verify(path, thorough=True)
    assert verified, verified


@pytest.mark.parametrize("step", ["the record", "the branch"])
def test_a_save_that_fails_at_an_address_leaves_no_branch(bucket, monkeypatch, step):
    path = f"s3://{bucket}/fails.twin"
    tk.save(twin_of(), path, message="the beginning")

    def fails(*_given, **_more):
        raise OSError("the line is cut")

    with monkeypatch.context() as patched:
        owner, name = {"the record": (remote.Remote, "keep"), "the branch": (remote, "named")}[step]
        patched.setattr(owner, name, fails)
        with pytest.raises((tk.TwinError, OSError), match="the line is cut"):
            tk.save(twin_of(40.0), path, message="why", branch="what-if", start="main")
    assert list(tk.store.branches(path)) == ["main"]
    verified = tk.verify(path, thorough=True)
    assert verified, verified
    tk.save(twin_of(40.0), path, message="again", branch="what-if", start="main")
    assert [c.message for c in tk.history(path, branch="what-if")] == ["again", "the beginning"]
    assert tk.verify(path, thorough=True)
