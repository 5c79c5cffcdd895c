"""A branch that begins with its first commit: both are there, or neither, whatever stops the save in between."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import icechunk
import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit.store import commit, index, lock, record, tree

NAME = "what-if.higher"


def twin_of(height, *, pixels=20):
    sites = xr.Dataset({"height": ("site", [float(height)] * 2)}, {"site": ["a", "b"]})
    surface = xr.Dataset({"ground_height": (("y", "x"), np.full((pixels, pixels), float(height)))})
    axis = 100.0 * np.arange(pixels)
    return tk.assemble(
        {"sites": sites, "surface": surface.assign_coords(y=axis, x=axis)}, title="begun", crs="EPSG:32643"
    )


@pytest.fixture
def path(tmp_path):
    """A store whose first commit is no longer the newest of a branch."""
    where = tmp_path / "a.twin"
    tk.save(twin_of(30), where, message="the beginning")
    tk.save(twin_of(31), where, message="one higher")
    return where


def messages(path, branch="main"):
    return [c.message for c in tk.history(path, branch=branch)]


@pytest.mark.parametrize("start", ["main", "the beginning", "a tag"])
def test_a_branch_begins_with_its_first_commit(path, start):
    old = tk.history(path)[-1].head
    tk.store.tag(path, "paper", start=old)
    where = {"main": "main", "the beginning": old, "a tag": "paper"}[start]
    done = tk.save(twin_of(40), path, message="much higher", branch=NAME, start=where)
    stood = ["one higher", "the beginning"] if start == "main" else ["the beginning"]
    assert messages(path, NAME) == ["much higher", *stood]
    assert messages(path) == ["one higher", "the beginning"]
    assert tk.store.branches(path)[NAME] == done.head
    assert (tk.open(path, branch=NAME)["sites/height"] == 40).all()
    verified = tk.verify(path, head=done.head, thorough=True)
    assert verified, verified
    tk.save(twin_of(41), path, message="and on", branch=NAME)
    assert messages(path, NAME)[:2] == ["and on", "much higher"]


def test_a_twin_that_differs_in_nothing_begins_the_branch_where_it_stood(path):
    done = tk.save(tk.open(path), path, message="as it is", branch=NAME, start="main")
    assert "nothing differs" in done.note
    assert tk.store.branches(path)[NAME] == tk.store.branches(path)["main"] == done.head
    assert tk.verify(path)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"start": "mian"}, "did you mean 'main'"),
        ({"branch": "main"}, "not taken; found the branch 'main'"),
        ({"branch": "MAIN"}, "not taken"),
        ({"branch": "../out"}, "a branch name"),
        ({"message": " "}, "a message"),
        ({"path": "nowhere.twin"}, "nothing at this path"),
    ],
)
def test_what_does_not_fit_is_one_message_and_leaves_no_branch(path, given, word):
    choices = {"path": path, "message": "why", "branch": NAME, "start": "main", **given}
    choices["path"] = path.with_name("nowhere.twin") if given.get("path") else path
    before = tk.store.branches(path)
    with pytest.raises(tk.TwinError, match=word):
        tk.save(twin_of(40), **choices)
    assert tk.store.branches(path) == before
    assert tk.verify(path)
    assert not path.with_name("nowhere.twin").exists()


WHERE = {
    "as the session opens": (icechunk.Repository, "delete_branch", "before"),
    "as values are written": (tree, "write", "after"),
    "as it is flushed": (icechunk.Session, "flush", "after"),
    "as it is recorded": (commit, "keep", "after"),
    "as the branch begins": (icechunk.Repository, "create_branch", "before"),
    "as it is indexed": (index, "add", "before"),
    "as it is sealed": (record, "seal", "before"),
    "as it ends": (lock, "finish", "before"),
}
WHOLE = ("as it is indexed", "as it is sealed", "as it ends")
"""From where on the branch is there, and its commit with it."""


def stopped(monkey, where, by):
    """Have a step call `by`, before or after it did its part."""
    owner, name, when = WHERE[where]
    real = getattr(owner, name)

    def step(*given, **more):
        if when == "before":
            by()
        out = real(*given, **more)
        by()
        return out

    monkey.setattr(owner, name, step)


@pytest.mark.parametrize("where", [w for w in WHERE if w not in WHOLE and w != "as the session opens"])
def test_a_save_that_fails_leaves_no_branch(path, where, monkeypatch):
    before, files = tk.store.branches(path), record.engine_files(path)

    def fails():
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        stopped(patched, where, fails)
        with pytest.raises(tk.TwinError, match="room on the disk"):
            tk.save(twin_of(40), path, message="why", branch=NAME, start="main")
    assert tk.store.branches(path) == before
    assert record.engine_files(path) == files
    assert not (path / lock.MARK).exists()
    assert tk.verify(path, thorough=True)
    tk.save(twin_of(40), path, message="again", branch=NAME, start="main")
    assert messages(path, NAME)[0] == "again"


KILLED = """
import os, sys
sys.path[:0] = [sys.argv[2]]
import pytest
import twinkit as tk
import test_store_begin as t

t.stopped(pytest.MonkeyPatch(), sys.argv[3], lambda: os._exit(9))
start = tk.history(sys.argv[1])[-1].head  # where no branch stands: all the steps there are
tk.save(t.twin_of(40), sys.argv[1], message="why", branch=t.NAME, start=start)
"""


@pytest.mark.parametrize("where", WHERE)
def test_a_save_that_is_killed_leaves_the_branch_with_its_commit_or_neither(path, where):
    before = tk.store.branches(path)
    run = [sys.executable, "-W", "ignore", "-c", KILLED, str(path), str(Path(__file__).parent), where]
    told = subprocess.run(run, capture_output=True, text=True, check=False)
    assert told.returncode == 9, told.stderr[-3000:]
    tk.save(twin_of(32), path, message="the next writer")
    assert messages(path) == ["the next writer", "one higher", "the beginning"]
    there = tk.store.branches(path)
    assert set(there) == set(before) | ({NAME} if where in WHOLE else set())
    if where in WHOLE:
        assert messages(path, NAME) == ["why", "the beginning"]
        assert (tk.open(path, branch=NAME)["sites/height"] == 40).all()
    else:
        tk.save(twin_of(40), path, message="again", branch=NAME, start="main")
    verified = tk.verify(path, thorough=True)
    assert verified, verified


def test_of_two_that_begin_one_branch_one_is_told(path):
    together = threading.Barrier(2)
    done, faults = [], []

    def begin(height):
        together.wait(timeout=60)
        try:
            done.append((height, tk.save(twin_of(height), path, message=str(height), branch=NAME, start="main")))
        except tk.TwinError as fault:
            faults.append(fault)

    racing = [threading.Thread(target=begin, args=(height,)) for height in (40, 50)]
    for one in racing:
        one.start()
    for one in racing:
        one.join()
    assert len(done) == len(faults) == 1
    assert "one writer at a time" in str(faults[0]) or "not taken" in str(faults[0])
    assert messages(path, NAME) == [str(done[0][0]), "one higher", "the beginning"]
    assert tk.store.branches(path)[NAME] == done[0][1].head
    assert tk.verify(path, thorough=True)


def test_a_branch_that_another_one_made_meanwhile_stays(path, monkeypatch):
    """Made between the look at the names and the lock: it is not this save's to take away."""
    real = commit.changing

    def late(root, **what):
        monkeypatch.setattr(commit, "changing", real)
        tk.branch(path, NAME)
        return real(root, **what)

    monkeypatch.setattr(commit, "changing", late)
    with pytest.raises(tk.TwinError, match="not taken"):
        tk.save(twin_of(40), path, message="why", branch=NAME, start="main")
    assert tk.store.branches(path)[NAME] == tk.store.branches(path)["main"]
    assert not (path / lock.MARK).exists()
    assert tk.verify(path)
