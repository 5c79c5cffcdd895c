"""The store: what goes in comes out, every state that was committed, and bad input is one TwinError."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import pathlib
import pickle
import shutil
import sqlite3
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import twinkit as tk
from twinkit.store import array, commit, index, lock, record, repository, rows


def twin_of(**nodes):
    return tk.assemble(nodes, title="test", crs="EPSG:32643")


def sites(*heights, **more):
    ids = [f"s{i}" for i in range(len(heights))]
    return xr.Dataset({"height": ("site", np.array(heights, float)), **more}, {"site": ids})


def hours(start, count=60, *, cells=("a", "b"), value=0.5):
    first = np.datetime64("2026-03-01", "ns") + start * np.timedelta64(60, "m")
    return xr.Dataset(
        {"load": (("time", "cell"), np.full((count, len(cells)), value) + np.arange(count)[:, None] / 1e4)},
        {"time": first + np.arange(count) * np.timedelta64(1, "m"), "cell": list(cells)},
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.twin"


# ---------------------------------------------------------------- round trips


def test_a_twin_comes_back_as_it_went_in(path, small_twin):
    twin = small_twin()
    done = tk.save(twin, path, message="the beginning", author="Asha")
    back = tk.open(path)
    assert all(v.chunks is not None for v in back["sites"].to_dataset().data_vars.values())
    xr.testing.assert_identical(back.load(), twin)
    assert [list(n.variables) for n in back.children.values()] == [list(n.variables) for n in twin.children.values()]
    assert back.encoding["head"] == done.head
    assert done.changed == ["/", "cells", "places", "sites", "surface"]


def test_every_kind_of_value_comes_back(path):
    rng = np.random.default_rng(1)
    ds = xr.Dataset(
        {
            "whole": ("thing", np.array([2**62, -1, 0], "i8")),
            "small": ("thing", np.array([0, 255, 7], "u1")),
            "half": ("thing", np.array([1.5, np.nan, -0.0], "f4")),
            "swapped": ("thing", np.array([1.5, 2.5, np.inf], ">f8")),
            "truth": ("thing", np.array([True, False, True])),
            "text": ("thing", np.array(["", "शिमला", "a" * 5000], object)),
            "fixed": ("thing", np.array(["one", "three", "x"])),
            "when": ("thing", np.array(["2026-03-01T12:00:00.123456789", "NaT", "1960-01-01"], "M8[ns]")),
            "coarse": ("thing", np.array(["2026-03-01", "NaT", "1960-01-01"], "M8[s]")),
            "span": ("thing", np.array([1, -5, 10**12], "m8[ns]")),
            "one": ((), 3.5),
            "one_time": ((), np.datetime64("2026-03-01", "ns")),
            "none": (("empty", "thing"), np.zeros((0, 3))),
            "cube": (("draw", "y", "x"), rng.random((3, 5, 700)).astype("f4")),
        },
        {"thing": ["é", "b", "c"], "beside": ("thing", [1, 2, 3]), "alone": 7.0, "draw": [1, 2, 3]},
        attrs={"coordinates": "the user's own word"},
    )
    ds["when"].attrs = {"units": "the user's", "calendar": "too"}
    twin = twin_of(things=ds)
    tk.save(twin, path, message="all kinds")
    back = tk.open(path)["things"].to_dataset().load()
    same = ds.assign(coarse=ds.coarse.astype("M8[ns]"), swapped=ds.swapped.astype("f8"))
    xr.testing.assert_identical(back, same)
    assert set(back.coords) == set(ds.coords)
    assert np.signbit(back.half.values[2])
    assert back.text.dtype == object
    assert type(back.text.values[0]) is str


def test_moments_with_a_time_zone_come_back_in_utc(path):
    local = np.array([pd.Timestamp("2026-03-01T05:30", tz="Asia/Kolkata"), None], object)
    told = np.array([dt.datetime(2026, 3, 1, 5, 30)], object)  # noqa: DTZ001 - without a zone it is UTC
    tk.save(twin_of(a=xr.Dataset({"when": ("i", local), "naive": ("j", told)})), path, message="moments")
    back = tk.open(path)["a"]
    assert back["when"].values[0] == np.datetime64("2026-03-01T00:00")
    assert np.isnat(back["when"].values[1])
    assert back["naive"].values[0] == np.datetime64("2026-03-01T05:30")


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attrs=st.dictionaries(st.text(min_size=1, max_size=8), plain, max_size=4), ids=st.lists(st.text(), unique=True))
def test_attributes_and_ids_of_any_text_come_back(tmp_path, attrs, ids):
    attrs = {k: v for k, v in attrs.items() if k not in ("units", "long_name", "twinkit")}
    folder = tmp_path / "any"
    shutil.rmtree(folder, ignore_errors=True)
    ds = xr.Dataset({"height": ("site", np.full(len(ids), 3.0), attrs)}, {"site": np.array(ids, object)}, attrs)
    done = tk.save(twin_of(sites=ds), folder, message="any")
    back = tk.open(folder)["sites"].to_dataset()
    assert list(back["site"].values) == ids
    assert repr(back.attrs) == repr(attrs)
    assert {k: repr(v) for k, v in back["height"].attrs.items() if k in attrs} == {k: repr(v) for k, v in attrs.items()}
    assert tk.verify(folder, head=done.head)


def test_attributes_of_numpy_become_plain(path):
    attrs = {
        "scale": np.float32(0.5),
        "range": np.array([1, 2]),
        "when": np.datetime64("2026-03-01"),
        "file": pathlib.PurePosixPath("a/b"),
        "day": dt.date(2026, 3, 1),
        "set": {"b", "a"},
        "pair": (1, 2),
    }
    tk.save(twin_of(sites=sites(3.0).assign_attrs(attrs)), path, message="attributes")
    assert tk.open(path)["sites"].attrs == {
        "scale": 0.5,
        "range": [1, 2],
        "when": "2026-03-01",
        "file": "a/b",
        "day": "2026-03-01",
        "set": ["a", "b"],
        "pair": [1, 2],
    }


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_plain_xarray_reads_a_node(path):
    tk.save(twin_of(telemetry=hours(0)), path, message="readings")
    repo = repository.reader(path)
    with xr.open_zarr(repo.readonly_session("main").store, group="telemetry", consolidated=False) as plain:
        np.testing.assert_array_equal(plain["load"].values, hours(0)["load"].values)
        assert plain["time"].values[1] == np.datetime64("2026-03-01T00:01")


# ---------------------------------------------------------------- lazy


def test_opening_reads_no_values_and_saving_what_was_opened_reads_none_either(path, small_twin, monkeypatch):
    first = tk.save(small_twin(), path, message="the beginning")
    read = []
    whole = array.Raw.__getitem__
    monkeypatch.setattr(array.Raw, "__getitem__", lambda self, key: read.append(self.where) or whole(self, key))
    back = tk.open(path)
    indexes = {"sites/site", "cells/cell", "places/place", "surface/y", "surface/x"}
    assert set(read) <= indexes
    assert tk.save(back, path, message="nothing new").head == first.head
    assert len(tk.history(path)) == 1
    changed = tk.extend(back, sites=back["sites"].to_dataset().assign(height=("site", np.full(4, 33.0))))
    read.clear()
    assert tk.save(changed, path, message="taller").changed == ["sites"]
    assert set(read) <= indexes | {"cells/site"}  # which every check of a twin compares with the sites
    assert (tk.open(path)["sites/height"].values == 33.0).all()


def test_a_lazy_twin_is_computed_once_block_by_block(path):
    calls = []

    def costly(block):
        calls.append(block.shape)
        return block + 1

    shared = da.zeros((1300, 1100), chunks=(600, 600)).map_blocks(costly, dtype=float, meta=np.empty((0, 0)))
    axis = {"y": np.arange(1300.0), "x": np.arange(1100.0)}
    surface = xr.Dataset({"a": (("y", "x"), shared * 2), "b": (("y", "x"), shared * 3)}, axis)
    done = tk.save(twin_of(surface=surface), path, message="lazy")
    assert len(calls) == 6  # three by two blocks, shared by both variables
    back = tk.open(path)["surface"]
    assert back["a"].data.chunksize == (512, 512)
    assert (back["b"].values == 3).all()
    eager = tk.save(twin_of(surface=surface.compute()), path.with_name("b.twin"), message="eager")
    assert done.changed == eager.changed
    assert tk.open(path).equals(tk.open(path.with_name("b.twin")))
    one, other = (repository.reader(p).lookup_branch("main") for p in (path, path.with_name("b.twin")))
    metadata = [
        repository.reader(p).lookup_snapshot(i).metadata for p, i in ((path, one), (path.with_name("b.twin"), other))
    ]
    assert metadata[0]["content"] == metadata[1]["content"]


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, OSError, tk.TwinError])
def test_a_failing_lazy_value_is_the_users_own_error_and_leaves_the_old_state(path, error):
    first = tk.save(twin_of(sites=sites(30.0)), path, message="the beginning")
    before = record.engine_files(path)

    def broken(block):
        raise error("mine", found="x", hint="y") if error is tk.TwinError else error("mine")

    lazy = da.ones(3, chunks=1).map_blocks(broken, dtype=float, meta=np.empty(0))
    with pytest.raises(error, match="mine"):
        tk.save(twin_of(sites=sites(30.0), other=xr.Dataset({"v": ("i", lazy)})), path, message="broken")
    assert tk.verify(path, head=first.head)
    assert record.engine_files(path) == before


def test_a_twin_travels_to_a_worker(path):
    tk.save(twin_of(sites=sites(30.0, 40.0)), path, message="the beginning")
    there = pickle.loads(pickle.dumps(tk.open(path)))
    assert list(there["sites/height"].values) == [30.0, 40.0]


def test_two_workers_read_and_save(path, small_twin):
    distributed = pytest.importorskip("distributed")
    twin = small_twin()
    tk.save(twin, path, message="the beginning")
    with (
        dask.config.set({"distributed.worker.memory.terminate": False}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster),
    ):
        back = tk.open(path)
        higher = (back["surface/ground_height"] + 1).compute()
        np.testing.assert_array_equal(higher, twin["surface/ground_height"] + 1)
        lazy = tk.extend(back, coverage=(back["surface/people"] * 2).rename("twice").to_dataset())
        done = tk.save(lazy, path, message="computed by the workers")
        assert done.changed == ["coverage"]
    assert (tk.open(path)["coverage/twice"].values == twin["surface/people"].values * 2).all()
    assert tk.verify(path, head=done.head)


# ---------------------------------------------------------------- append


def test_appends_equal_one_save(path):
    tk.save(twin_of(sites=sites(30.0)), path, message="the beginning")
    for start, count in ((0, 60), (1, 60), (2, 25), (3, 1), (4, 200)):
        done = tk.store.append(path, "telemetry", hours(start, count), message=f"from hour {start}")
        assert "telemetry" in done.changed
    whole = xr.concat([hours(s, c) for s, c in ((0, 60), (1, 60), (2, 25), (3, 1), (4, 200))], "time")
    back = tk.open(path)["telemetry"].to_dataset()
    assert back["load"].data.npartitions == 1  # small blocks are read many at once
    assert back.load().equals(whole)
    assert back["load"].attrs["units"] == "1"
    assert tk.verify(path, thorough=True)


def test_an_append_of_whole_blocks_writes_those_alone(path, monkeypatch):
    cells = [f"c{i}" for i in range(2000)]
    tk.save(twin_of(telemetry=hours(0, cells=cells)), path, message="hour 0")
    before = record.engine_files(path)
    hashed = []
    whole = commit.blocks.digest.block
    monkeypatch.setattr(commit.blocks.digest, "block", lambda v: hashed.append(v.shape) or whole(v))
    tk.store.append(path, "telemetry", hours(1, cells=cells), message="hour 1")
    chunks = [n for n in record.engine_files(path) - before if n.startswith("chunks/")]
    assert sum((path / n).stat().st_size for n in chunks) < 2 * 60 * 2000 * 8
    assert (60, 2000) in hashed
    assert (120, 2000) not in hashed


def test_a_lazy_append(path):
    tk.save(twin_of(telemetry=hours(0)), path, message="hour 0")
    tk.store.append(path, "telemetry", hours(1).chunk({"time": 7}), message="hour 1")
    np.testing.assert_array_equal(tk.open(path)["telemetry/load"].values[60:], hours(1)["load"].values)
    assert tk.verify(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda ds: ds, "ascend after 2026-03-01T00:59"),
        (lambda ds: hours(1).isel(time=slice(None, None, -1)), "ascend"),
        (lambda ds: hours(1, cells=("a", "c")), "2 values of 'cell' that are stored"),
        (lambda ds: hours(1, cells=("a", "b", "c")), "that are stored"),
        (lambda ds: hours(1).rename(load="traffic"), "no 'load'|besides"),
        (lambda ds: hours(1).assign(traffic=hours(1)["load"].assign_attrs(units="bit/s")), "'traffic' besides"),
        (lambda ds: hours(1).astype("f4"), "values of type float64"),
        (lambda ds: hours(1).transpose("cell", "time"), "'time' first"),
        (lambda ds: hours(1).isel(time=0, drop=True), "dims .'cell',."),
        (lambda ds: hours(1).assign(load=hours(1)["load"].assign_attrs(units="percent")), "percent"),
        (lambda ds: hours(1, value=9e9), "load from"),
        (lambda ds: ds["load"], "a Dataset"),
        (lambda ds: hours(1).assign(extra=("cell", ["x", "y"])), "'extra' besides"),
    ],
)
def test_what_does_not_fit_is_not_appended(path, change, says):
    first = tk.save(twin_of(telemetry=hours(0)), path, message="hour 0")
    with pytest.raises(tk.TwinError, match=says):
        tk.store.append(path, "telemetry", change(hours(0)), message="hour 1")
    assert tk.verify(path, head=first.head)
    assert tk.open(path)["telemetry"].sizes["time"] == 60


def test_whole_rows_of_blocks_are_read_straight_and_equal_what_zarr_reads(path):
    cells = [f"c{i}" for i in range(3000)]
    tk.save(twin_of(telemetry=hours(0, cells=cells)), path, message="hour 0")
    tk.store.append(path, "telemetry", hours(1, 85, cells=cells), message="later")
    group = zarr.open_group(repository.reader(path).readonly_session("main").store, mode="r")
    load, time = group["telemetry/load"], group["telemetry/time"]
    assert load.chunks == (60, 3000)
    everything = slice(None)
    for key in (everything, slice(0, 60), slice(60, 120), slice(60, 145), slice(120, None)):
        straight = rows.read(load, (key, everything))
        np.testing.assert_array_equal(straight, load[key])
        assert straight.flags.writeable
    np.testing.assert_array_equal(rows.read(time, everything), time[:])
    for key in (
        (slice(0, 61), everything),
        (slice(1, 60), everything),
        (slice(0, 60, 2), everything),
        (slice(0, 60), slice(0, 2999)),
        (slice(60, 60), everything),
        (3, everything),
        (slice(0, 60),),
    ):
        assert rows.read(load, key) is None
        np.testing.assert_array_equal(array.Raw(load, "load")[key], load[key])
    assert rows.read(group["telemetry/cell"], (everything,)) is None
    largest = max((path / "chunks").iterdir(), key=lambda chunk: chunk.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-20])
    with pytest.raises(tk.TwinError, match="telemetry/load: expected stored values that can be read"):
        tk.open(path)["telemetry/load"].load()


# ---------------------------------------------------------------- history


@pytest.fixture
def three(path):
    return path, [tk.save(twin_of(sites=sites(h)), path, message=f"height {h:g}") for h in (30.0, 31.0, 32.0)]


def height(path, **which):
    return float(tk.open(path, **which)["sites/height"].values[0])


def test_history_says_who_when_why_what(three):
    path, done = three
    log = tk.history(path)
    assert [c.head for c in log] == [c.head for c in reversed(done)]
    assert log[0] == done[2]
    text = str(log)
    assert "who" in text
    assert "height 31" in text
    assert done[1].head[:12] in text
    assert "<td>height 31</td>" in log._repr_html_()
    assert all(a.when > b.when for a, b in itertools.pairwise(log))
    assert done[0].when.tzinfo is not None


def test_open_as_of_a_moment_a_tag_a_branch_a_head(three):
    path, done = three
    microsecond = dt.timedelta(microseconds=1)
    assert [height(path, as_of=c.when) for c in done] == [30, 31, 32]
    assert height(path, as_of=done[1].when - microsecond) == 30
    assert height(path, as_of=str(done[1].when)) == 31
    assert height(path, as_of=done[1].when.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))) == 31
    assert height(path, as_of="2999-01-01") == 32
    assert height(path, commit=done[0].head) == 30
    assert height(path, commit=done[0].head[:8] + "…") == 30
    tk.tag(path, "paper-2026", start=done[1].head)
    assert height(path, tag="paper-2026") == 31
    assert tk.store.tags(path) == {"paper-2026": done[1].head}
    tk.branch(path, "what-if.no-diesel", start="paper-2026")
    tk.save(twin_of(sites=sites(50.0)), path, branch="what-if.no-diesel", message="higher")
    assert height(path, branch="what-if.no-diesel") == 50
    assert height(path) == 32
    assert height(path, branch="what-if.no-diesel", as_of=done[2].when) == 31
    assert [c.message for c in tk.history(path, branch="what-if.no-diesel")] == ["higher", "height 31", "height 30"]
    assert set(tk.store.branches(path)) == {"main", "what-if.no-diesel"}
    with pytest.raises(tk.TwinError, match="first commit"):
        tk.open(path, as_of=done[0].when - microsecond)


@pytest.mark.parametrize("harm", ["missing", "garbage", "behind", "lying"])
def test_as_of_is_right_whatever_the_index_says(three, harm):
    path, done = three
    file = path / index.INDEX
    if harm == "missing":
        file.unlink()
    elif harm == "garbage":
        file.write_bytes(b"no database")
    else:
        with sqlite3.connect(file) as connection:
            if harm == "behind":
                connection.execute("delete from commits where message = 'height 31'")
            else:
                connection.execute("update commits set at = 0")
        connection.close()
    assert [height(path, as_of=c.when) for c in done] == [30, 31, 32]
    assert len(tk.history(path)) == 3
    assert any(index.INDEX in f for f in tk.verify(path).faults)
    last = tk.save(twin_of(sites=sites(33.0)), path, message="height 33")
    assert [height(path, as_of=c.when) for c in [*done, last]] == [30, 31, 32, 33]
    assert len(tk.history(path)) == 4
    lock.begin(path, act="save", reference="branch.main", parent=last.id)  # after an interruption it is made anew
    assert tk.verify(path, head=last.head)
    assert index.line(path, last.id) is not None


def test_a_clock_that_was_set_back_leaves_the_order(three, monkeypatch):
    path, done = three

    class Earlier(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr(commit.dt, "datetime", Earlier)
    later = tk.save(twin_of(sites=sites(40.0)), path, message="from the past")
    assert later.when > done[-1].when
    assert height(path, as_of=later.when) == 40


def test_nodes_and_variables_come_and_go(path, small_twin):
    tk.save(small_twin(), path, message="whole")
    less = twin_of(sites=sites(30.0))
    assert tk.save(less, path, message="less").changed == ["/", "cells", "places", "sites", "surface"]
    xr.testing.assert_identical(tk.open(path).load(), less)
    assert tk.verify(path, thorough=True)


def test_only_attributes_change(three):
    path, _ = three
    twin = tk.open(path)
    retitled = twin.copy()
    retitled.attrs["title"] = "another"
    assert tk.save(retitled, path, message="title").changed == ["/"]
    noted = tk.extend(twin, sites=twin["sites"].to_dataset().assign_attrs(note="new"))
    assert tk.save(noted, path, message="note").changed == ["/", "sites"]
    assert tk.open(path)["sites"].attrs == {"note": "new"}
    assert len(list((path / "chunks").iterdir() if (path / "chunks").exists() else [])) <= 3


def test_diff_says_what_changed(path, small_twin):
    before = small_twin()
    tk.save(before, path, message="before")
    towers = before["sites"].to_dataset()
    towers = towers.assign(height=towers.height.where(towers.site != "s1", 42.0)).isel(site=[0, 1, 2])
    extra = xr.Dataset(
        {"load": (("time", "cell"), np.zeros((2, 1)))}, {"time": pd.date_range("2026", periods=2), "cell": ["x"]}
    )
    after = tk.extend(before, telemetry=extra)
    after = tk.extend(
        xr.DataTree.from_dict({"/": xr.Dataset(attrs={**before.attrs, "title": "other"}), "sites": towers}),
        telemetry=after["telemetry"].to_dataset(),
        surface=before["surface"].to_dataset().assign(people=before["surface/people"] * 2),
        places=before["places"].to_dataset().drop_vars("name"),
    )
    for a, b in ((before, after), (tk.open(path), after)):
        found = tk.diff(a, b)
        told = {(c.where, c.what): c for c in found.changes}
        assert told["/", "attributes"].text == "title: 'small' → 'other'"
        assert told["sites/site", "ids"].text == "1 removed (s3)"
        assert told["sites/height", "values"].text == "1 of 3 differ, by up to 12 m"
        assert told["sites/height", "values"].largest == 12
        assert told["cells", "removed"].text.startswith("7 variables")
        assert told["telemetry", "added"].text == "1 variables (time: 2, cell: 1)"
        assert told["places/name", "removed"]
        people = before["surface/people"].values
        assert told["surface/people", "values"].count == np.count_nonzero(people)
        assert told["surface/people", "values"].largest == pytest.approx(people.max())
        assert "sites/height" in str(found)
        assert "<td>sites/height</td>" in found._repr_html_()
        assert len(told) == 7


def test_diff_of_two_commits_reads_only_what_differs(three, monkeypatch):
    path, done = three
    read = []
    a, b = tk.open(path, commit=done[0].head), tk.open(path)
    whole = array.Raw.__getitem__
    monkeypatch.setattr(array.Raw, "__getitem__", lambda self, key: read.append(self.where) or whole(self, key))
    assert not tk.diff(b, tk.open(path))
    assert str(tk.diff(b, b)) == "no difference"
    assert not [r for r in read if r != "sites/site"]
    assert "by up to 2 m" in str(tk.diff(a, b))


def test_diff_of_types_gaps_and_text():
    one = xr.Dataset(
        {"a": ("i", [1.0, np.nan, 3.0]), "b": ("i", ["x", "y", "z"]), "c": ("i", [1, 2, 3]), "d": ("i", [1, 2, 3])}
    )
    two = xr.Dataset(
        {
            "a": ("i", [1.0, np.nan, np.nan]),
            "b": ("i", ["x", "y", "w"]),
            "c": ("i", [1.0, 2.0, 4.0]),
            "d": ("i", ["1", "2", "3"]),
        }
    )
    told = {(c.where, c.what): c.text for c in tk.diff(twin_of(n=one), twin_of(n=two)).changes}
    assert told == {
        ("n/a", "values"): "1 of 3 differ",
        ("n/b", "values"): "1 of 3 differ",
        ("n/c", "type"): "int64 → float64",
        ("n/c", "values"): "1 of 3 differ, by up to 1",
        ("n/d", "type"): "int64 → <U1",
    }


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("act", ["open", "history", "verify", "branch", "append", "branches", "expire"])
@pytest.mark.parametrize(
    "what", ["nothing", "file", "empty", "other", "zarr", "icechunk", "newer", "address", "number"]
)
def test_what_is_no_store_is_one_error(tmp_path, path, act, what):
    hints = {
        "nothing": "nothing at this path",
        "file": "found a file",
        "empty": "an empty folder",
        "other": "a folder with notes.txt",
        "zarr": "a plain Zarr folder",
        "icechunk": "that twinkit did not write",
        "newer": "install a newer twinkit",
        "address": "the path of a folder",
        "number": "the path of a store",
    }
    if what == "file":
        path.write_text("no store")
    elif what not in ("nothing", "address", "number"):
        path.mkdir()
    if what == "other":
        (path / "notes.txt").write_text("no store")
    elif what == "zarr":
        (path / "zarr.json").write_text("{}")
    elif what == "icechunk":
        repository.new(path)
    elif what == "newer":
        (path / "twinkit").mkdir()
        (path / "twinkit" / "store.json").write_text('{"format": 99, "told": "in a way of its own"}')
    given = {"address": "gs://bucket/twin", "number": 7}.get(what, path)
    acts = {
        "open": lambda: tk.open(given),
        "history": lambda: tk.history(given),
        "verify": lambda: tk.verify(given),
        "branch": lambda: tk.branch(given, "b"),
        "append": lambda: tk.store.append(given, "telemetry", hours(0), message="m"),
        "branches": lambda: tk.store.branches(given),
        "expire": lambda: tk.store.expire(given, before="2026-01-01"),
    }
    with pytest.raises(tk.TwinError, match=hints[what]) as caught:
        acts[act]()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("what", ["file", "other", "newer"])
def test_saving_over_something_else_is_one_error_and_leaves_it(path, what):
    if what == "file":
        path.write_text("precious")
    else:
        path.mkdir()
        (path / "notes.txt").write_text("precious")
    if what == "newer":
        (path / "twinkit").mkdir()
        (path / "twinkit" / "store.json").write_text('{"format": 99}')
    before = sorted(p.relative_to(path.parent) for p in path.parent.rglob("*"))
    with pytest.raises(tk.TwinError):
        tk.save(twin_of(), path, message="over it")
    assert sorted(p.relative_to(path.parent) for p in path.parent.rglob("*")) == before


def test_saving_into_an_empty_or_missing_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    tk.save(twin_of(), tmp_path / "empty", message="m")
    tk.save(twin_of(), tmp_path / "deep" / "er" / "a.twin", message="m")
    assert tk.verify(tmp_path / "empty")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "empty"]


@pytest.mark.parametrize(
    ("twin", "says"),
    [
        (lambda: 7, "a twin"),
        (lambda: sites(3.0), "a twin"),
        (lambda: tk.assemble({"sites": sites(3.0).assign_attrs(bad=object())}, title="", crs="EPSG:32643"), "bad"),
        (lambda: twin_of(a=xr.Dataset({"v": ("i", np.array([1, "x"], object))})), "text everywhere; found 1"),
        (lambda: twin_of(a=xr.Dataset({"v": ("i", np.array(["x", None], object))}, {"i": ["p", "q"]})), "at i 'q'"),
        (lambda: twin_of(a=xr.Dataset({"v": ("i", np.array([b"x"]))})), "values of type"),
        (lambda: twin_of(a=xr.Dataset({5: ("i", [1.0])})), "a name without '/'"),
        (
            lambda: twin_of(a=xr.Dataset({"i": ("k", [1]), "j": ("k", [2])}).set_index(k=["i", "j"])),
            "indexes of one level",
        ),
        (lambda: twin_of(a=xr.Dataset(attrs={"n": 2**70})), "64 bits"),
        (lambda: twin_of(a=xr.Dataset(attrs={3: "x"})), "attribute names that are text"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_what_cannot_be_stored_is_one_error_and_leaves_the_store(path, twin, says, there):
    if there:
        first = tk.save(twin_of(sites=sites(30.0)), path, message="the beginning")
    with pytest.raises(tk.TwinError, match=says):
        tk.save(twin(), path, message="bad")
    if there:
        assert tk.verify(path, head=first.head)
        assert len(tk.history(path)) == 1
    else:
        assert list(path.parent.iterdir()) == []


def test_names_that_do_not_exist_or_are_taken(three):
    path, _ = three
    tk.branch(path, "what-if")
    tk.tag(path, "paper-1")
    for call, says in (
        (lambda: tk.open(path, branch="what-of"), "did you mean 'what-if'"),
        (lambda: tk.open(path, tag="paper-2"), "did you mean 'paper-1'"),
        (lambda: tk.open(path, commit="0000000000"), "no commit has"),
        (lambda: tk.open(path, commit="a"), "first four digits"),
        (lambda: tk.open(path, as_of="yesterday-ish"), "a moment such as"),
        (lambda: tk.open(path, as_of="2026-01-01", tag="paper-1"), "one way to name a commit"),
        (lambda: tk.save(twin_of(), path, message="m", branch="new"), "make it: tk.branch"),
        (lambda: tk.save(twin_of(), path, message=" "), "a message in words"),
        (lambda: tk.save(twin_of(), path, message="m", author=""), "an? author in words"),
        (lambda: tk.save(twin_of(), path.with_name("new"), message="m", branch="b"), "'main' in a new store"),
        (lambda: tk.branch(path, "what-if"), "not taken"),
        (lambda: tk.tag(path, "paper-1"), "not taken"),
        (lambda: tk.branch(path, "what/if"), "letters, digits"),
        (lambda: tk.branch(path, ""), "letters, digits"),
        (lambda: tk.branch(path, "b", start="v3"), "a branch, a tag or a head"),
        (lambda: tk.diff(tk.open(path), None), "two twins"),
        (lambda: tk.verify(path, head="12"), "at least 8 digits"),
        (lambda: tk.open(path.with_name("b.twin")), "did you mean 'a.twin'"),
    ):
        with pytest.raises(tk.TwinError, match=says):
            call()
    assert tk.verify(path)


def test_nobody_has_to_have_a_name(path, monkeypatch):
    monkeypatch.setenv("TWINKIT_AUTHOR", "Asha")
    assert tk.save(twin_of(), path, message="m").author == "Asha"
    monkeypatch.delenv("TWINKIT_AUTHOR")

    def nobody():
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert tk.save(twin_of(sites=sites(3.0)), path, message="m").author == "unknown"


# ---------------------------------------------------------------- another Python


def test_a_store_opens_on_the_other_python(path, small_twin):
    other = os.environ.get("TWINKIT_OTHER_PYTHON")
    if not other:
        pytest.skip("TWINKIT_OTHER_PYTHON names no interpreter with twinkit installed")
    twin = tk.extend(small_twin(), telemetry=hours(0))
    done = tk.save(twin, path, message="from here")
    script = (
        "import sys, numpy as np, xarray as xr, twinkit as tk\n"
        "path, head, start = sys.argv[1:]\n"
        "assert tk.verify(path, head=head), tk.verify(path, head=head)\n"
        "ds = tk.open(path)['telemetry'].to_dataset().load()\n"
        "ds = ds.assign_coords(time=ds.time + np.timedelta64(1, 'h'))\n"
        "tk.store.append(path, 'telemetry', ds, message='from there')\n"
        "tk.save(tk.open(path).load(), start, message='from there')\n"
        "print(tk.history(path)[0].head, tk.history(start)[0].head)\n"
    )
    run = [other, "-c", script, str(path), done.head, str(path.with_name("b.twin"))]
    told = subprocess.run(run, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    assert told.returncode == 0, told.stderr
    here, there = told.stdout.split()
    assert tk.verify(path, head=here)
    assert tk.verify(path.with_name("b.twin"), head=there)
    assert tk.open(path)["telemetry"].sizes["time"] == 120
    assert tk.open(path).equals(tk.open(path.with_name("b.twin")))


def test_import_of_the_store_brings_no_pictures():
    code = (
        "import sys, twinkit; twinkit.store.open\n"
        "print([m for m in ('panel', 'matplotlib', 'papermill') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
