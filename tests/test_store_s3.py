"""A store on an object store: the same acts against a real S3 server on this machine, and two that write at once."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit.store import record, remote, tree

START = np.datetime64("2026-03-01", "ns")
STEP = np.timedelta64(900, "s")


@pytest.fixture(scope="module")
def server():
    moto = pytest.importorskip("moto.server")
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
    with pytest.raises(tk.TwinError, match="local folder"):
        tk.store.expire(path, keep="1 day")
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


def test_a_commit_that_another_one_overtakes_is_made_anew_on_its_head(bucket, monkeypatch):
    path = f"s3://{bucket}/race.twin"
    tk.save(twin_of(), path, message="the beginning")
    write, seen = tree.write, []

    def overtaken(group, twin, said, **more):
        out = write(group, twin, said, **more)
        seen.append(len(seen))
        if len(seen) == 1:
            tk.save(tk.extend(tk.open(path), note=xr.Dataset(attrs={"by": "another"})), path, message="overtaking")
        return out

    monkeypatch.setattr(tree, "write", overtaken)
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


def test_an_object_store_that_does_not_answer_is_one_error(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(tk.TwinError, match="an object store that answers"):
        tk.open(f"s3://{bucket}/a.twin")
