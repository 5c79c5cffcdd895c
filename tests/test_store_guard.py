"""What the store refuses, and how it says so: tampering before a save, unfit names, text that a terminal would obey."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import xarray as xr

import twinkit as tk
from twinkit.store import lock, record


def twin_of(height, **names):
    nodes = {"sites": xr.Dataset({"height": ("site", [float(height)])}, {"site": ["a"]})}
    return tk.assemble(nodes | names, title="test", crs="EPSG:32643")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.twin"


@pytest.fixture
def two(path):
    return path, [tk.save(twin_of(h), path, message=f"height {h}") for h in (30, 31)]


def harm_record(path, done):
    file = record.record_path(path, done[1].id)
    file.write_bytes(file.read_bytes().replace(b'"commit"', b'"commir"'))
    return f"records/{done[1].id}.json was altered"


def harm_missing_record(path, done):
    record.record_path(path, done[1].id).unlink()
    return f"records/{done[1].id}.json is missing"


def harm_reference(path, done):
    (path / "refs/branch.main/ref.json").write_text(f'{{"snapshot":"{done[0].id}"}}')
    return f"the branch 'main' was sealed at commit {done[1].id} and stands at commit {done[0].id}"


def harm_seal(path, done):
    (path / record.SEAL).write_bytes((path / record.SEAL).read_bytes()[:-1])
    return "seal.json was altered"


def harm_missing_seal(path, done):
    (path / record.SEAL).unlink()
    return "seal.json is missing"


def harm_head(path, done):
    file = record.record_path(path, done[1].id)
    record.write(file, record.read(file) | {"head": "0" * 64})
    return f"commit {done[1].id} was rewritten"


def harm_snapshot(path, done):
    file = path / "snapshots" / done[1].id
    file.write_bytes(file.read_bytes() + b" ")
    return f"snapshots/{done[1].id} was altered"


def harm_horizon(path, done):
    record.write(path / record.HORIZON, {"commits": {}, "files": {}})
    return "horizon.json was added"


HARMS = [
    harm_record,
    harm_missing_record,
    harm_reference,
    harm_seal,
    harm_missing_seal,
    harm_head,
    harm_snapshot,
    harm_horizon,
]


@pytest.mark.parametrize("harm", HARMS)
def test_nothing_is_saved_onto_what_was_tampered_with(two, harm):
    path, done = two
    says = harm(path, done)
    faults = tk.verify(path).faults
    assert faults
    readings = xr.Dataset({"load": (("time", "cell"), [[0.5]])}, {"time": [0], "cell": ["a"]})
    for act in (
        lambda: tk.save(twin_of(32), path, message="higher"),
        lambda: tk.save(twin_of(31), path, message="the same"),
        lambda: tk.store.append(path, "telemetry", readings, message="an hour"),
    ):
        with pytest.raises(tk.TwinError, match="as its last change left it") as caught:
            act()
        assert says in str(caught.value)
        assert "tk.verify(path)" in caught.value.hint
    assert tk.verify(path).faults == faults


def test_the_mark_of_a_save_does_not_make_a_branch_good_that_was_moved_back(two):
    path, done = two
    harm_reference(path, done)
    lock.begin(path, act="save", reference="branch.main", parent=done[1].id)
    with pytest.raises(tk.TwinError, match="was sealed at commit"):
        tk.save(twin_of(32), path, message="higher")
    assert any("refs/branch.main/ref.json was altered" in f for f in tk.verify(path).faults)


def test_a_branch_or_tag_does_not_start_on_a_commit_that_was_tampered_with(two):
    path, done = two
    file = record.record_path(path, done[0].id)
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    for act in (tk.branch, tk.tag):
        with pytest.raises(tk.TwinError, match="was altered"):
            act(path, "early", start=done[0].head)
    file.write_bytes(whole)
    assert tk.branch(path, "early", start=done[0].head) == done[0]
    assert tk.verify(path)


def test_one_altered_or_missing_record_is_one_fault(two):
    path, done = two
    file = record.record_path(path, done[0].id)
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    found = tk.verify(path)
    assert [f.partition(" ")[0] for f in found.faults] == [f"twinkit/records/{file.name}"]
    assert "files that no record knows" in found.notes[0]
    (path / "note.txt").write_text("a stranger")
    assert "note.txt belongs to no commit" in tk.verify(path).faults
    (path / "note.txt").unlink()
    file.unlink()
    assert [f.partition(" ")[0] for f in tk.verify(path).faults] == [f"twinkit/records/{file.name}"]


def test_a_garbled_head_is_said_of_the_head_and_not_of_the_folder(two):
    path, done = two
    (path / "snapshots" / done[1].id).write_bytes(b"garbled")
    lock.begin(path, act="save", reference="branch.main", parent=done[1].id)
    found = tk.verify(path)
    assert f"snapshots/{done[1].id} was altered" in found.faults
    assert found.commits == 2
    assert not any("cannot be written" in n for n in found.notes)
    assert any("not tidied up" in n for n in found.notes)


QUIET = """
import sys, twinkit as tk
assert not tk.verify(sys.argv[1])
for _ in range(2):
    try:
        tk.open(sys.argv[1]).load()
    except tk.TwinError:
        print("told")
"""


def test_the_engine_traces_nothing_unless_asked(two, monkeypatch):
    path, _ = two
    for name in record.engine_files(path, "manifests", "chunks"):
        (path / name).write_bytes(b"garbled" * 40)
    run = [sys.executable, "-W", "ignore", "-c", QUIET, str(path)]
    monkeypatch.delenv("ICECHUNK_LOG", raising=False)
    told = subprocess.run(run, capture_output=True, text=True, check=True)
    assert set(told.stdout.split()) == {"told"}
    assert told.stderr == ""
    monkeypatch.setenv("ICECHUNK_LOG", "error")
    told = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "ERROR" in told.stdout + told.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("parent"),
        lambda m: m.update(act="expire", before="yesterday"),
        lambda m: m.update(act="expire"),
        lambda m: m.update(reference=7),
        lambda m: m.update(parent="another"),
    ],
)
def test_an_altered_mark_is_one_error(two, change):
    path, _ = two
    lock.begin(path, act="save", reference="branch.main", parent="0")
    mark = json.loads((path / lock.MARK).read_bytes())
    change(mark)
    (path / lock.MARK).write_text(json.dumps(mark))
    with pytest.raises(tk.TwinError, match=r"pending\.json was altered"):
        tk.save(twin_of(32), path, message="higher")
    assert tk.verify(path).faults == ["twinkit/pending.json was altered"]
    (path / lock.MARK).unlink()
    tk.save(twin_of(32), path, message="higher")
    assert tk.verify(path)


# ---------------------------------------------------------------- what is printed


def test_a_terminal_obeys_nothing_that_a_store_holds(path):
    evil = "\x1b[2Jx\u202ey\nz\x9b"
    node = {"si\x1btes": xr.Dataset({"v": ("i", [1.0])})}
    first = tk.save(twin_of(30, **node), path, message=evil, author=evil)
    other = tk.extend(tk.open(path), **{"si\x1btes": xr.Dataset({"v": ("i", [2.0])})})
    other.attrs["title"] = evil
    tk.save(other, path, message="then")
    found = tk.diff(tk.open(path, commit=first.head), tk.open(path))
    (path / "a\x1bstranger").write_text("")
    shown = [str(first), repr(first), found, found._repr_html_(), tk.history(path), tk.history(path)._repr_html_()]
    for text in map(str, [*shown, tk.verify(path)]):
        assert not {"\x1b", "\u202e", "\x9b"} & set(text)
        assert r"\x1b" in text
    assert "\n" not in str(first)
    assert len(str(tk.history(path)).splitlines()) == 3
    assert first.message == evil


def test_a_save_that_changes_nothing_says_that_its_message_is_not_kept(two):
    path, done = two
    assert done[1].note == ""
    again = tk.save(twin_of(31), path, message="checked in the field")
    assert again == done[1]
    assert "no new one was made" in again.note
    assert "'checked in the field' is not kept" in str(again)
    assert "no new one was made" in repr(again)
    assert len(tk.history(path)) == 2


# ---------------------------------------------------------------- names and paths


@pytest.mark.parametrize(
    ("given", "found", "hint"),
    [
        ("a\x00b", r"'a\\x00b', which no disk takes", "out/shimla.twin"),
        ("", "an empty text", "out/shimla.twin"),
        ("x" * 5000, r"\(5000 characters\)", "out/shimla.twin"),
        ("gs://bucket/a", "'gs://bucket/a'", "s3://bucket/key"),
    ],
)
def test_a_path_that_cannot_be_is_one_error(given, found, hint):
    for act in (lambda: tk.save(twin_of(30), given, message="m"), lambda: tk.open(given), lambda: tk.verify(given)):
        with pytest.raises(tk.TwinError, match=found) as caught:
            act()
        assert hint in caught.value.hint
        assert len(str(caught.value)) < 400


def test_a_full_disk_at_the_first_save_names_the_store_and_no_draft(path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "seal", full)
    with pytest.raises(tk.TwinError, match="room on the disk") as caught:
        tk.save(twin_of(30), path, message="m")
    assert caught.value.where == str(path)
    assert "draft" not in str(caught.value)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("act", [tk.branch, tk.tag])
@pytest.mark.parametrize(
    "name", ["main", "Main", "HEAD", "-x", "con", "NUL.txt", "lpt1", "a.", ".a", "", "x" * 5000, "a\x1bb", "é", 7, None]
)
def test_names_that_are_unfit_or_mean_something_else(two, act, name):
    path, _ = two
    with pytest.raises(tk.TwinError, match=r"(branch|tag) name") as caught:
        act(path, name)
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)
    assert set(tk.store.branches(path)) == {"main"}
    assert tk.store.tags(path) == {}


def test_a_branch_and_a_tag_share_no_name(two):
    path, _ = two
    tk.tag(path, "paper")
    with pytest.raises(tk.TwinError, match="the tag 'paper'"):
        tk.branch(path, "paper")


def test_a_variable_with_a_slash_is_one_error():
    for bad in (xr.Dataset({"a/b": ("i", [1.0])}), xr.Dataset({"a": ("i/j", [1.0])})):
        with pytest.raises(tk.TwinError, match="without '/'"):
            tk.extend(twin_of(30), more=bad)
