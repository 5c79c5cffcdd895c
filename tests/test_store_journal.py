"""The journal: readings durable at once, each exactly once, committed in whole blocks, seen as of any moment."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit.store import chest, drain, readings

START = np.datetime64("2026-03-01", "ns")
STEP = np.timedelta64(900, "s")


def twin_of(cells=4, sites=2):
    nodes = {
        "sites": xr.Dataset({"height": ("site", np.full(sites, 30.0))}, {"site": [f"s{i}" for i in range(sites)]}),
        "cells": xr.Dataset({"frequency": ("cell", np.full(cells, 8e8))}, {"cell": [f"c{i}" for i in range(cells)]}),
    }
    return tk.assemble(nodes, title="test", crs="EPSG:32643")


@pytest.fixture
def path(tmp_path):
    tk.save(twin_of(), tmp_path / "a.twin", message="the beginning")
    return tmp_path / "a.twin"


def batch(steps, *, variable="load", cells=4, value=None, seed=0):
    """A reading of every cell at every step."""
    steps = np.atleast_1d(steps)
    count = len(steps) * cells
    value = np.random.default_rng([seed, *steps.tolist()]).random(count) if value is None else np.full(count, value)
    return {
        "variable": variable,
        "sensor": [f"c{i}" for _ in steps for i in range(cells)],
        "time": START + np.repeat(steps, cells) * STEP,
        "value": value,
    }


def one(sensor, step, value, variable="load"):
    return {"variable": variable, "sensor": [sensor], "time": [START + step * STEP], "value": [value]}


def shown(path, name="load", **choice):
    return tk.open(path, **choice)[f"telemetry/{name}"]


def at(stamp):
    return np.datetime64(stamp, "ns")


def test_recorded_readings_are_seen_at_once_and_after_every_kind_of_drain(path):
    given = batch(np.arange(40))
    with tk.store.journal(path) as journal:
        assert journal.record(given).new == 160
        np.testing.assert_array_equal(shown(path).values.ravel(), given["value"])
        done = journal.drain(message="the first block")
        assert done is None, "no block is whole yet"
        done = journal.drain(all=True, message="all of it")
        assert done.message == "all of it"
        assert done.changed == ["telemetry"]
        assert journal.status().pending == 0
        np.testing.assert_array_equal(shown(path).values.ravel(), given["value"])
    assert shown(path).attrs["units"] == "1"
    assert list(tk.open(path)["telemetry"].coords["cell"].values) == ["c0", "c1", "c2", "c3"]
    assert tk.verify(path, thorough=True), tk.verify(path)


def test_a_drain_commits_whole_blocks_and_keeps_the_rest(tmp_path):
    path = tmp_path / "wide.twin"
    tk.save(twin_of(cells=600), path, message="the beginning")
    length = drain.block_length(600)
    assert length < 64
    with tk.store.journal(path) as journal:
        for step in range(3 * length):
            journal.record(batch(step, cells=600))
        assert journal.drain() is not None
        status = journal.status()
        kept = status.pending // 600
        assert kept == length, "the newest hour may still fill, so that its block stays"
        assert journal.drain() is None
        assert status.newest == START + (3 * length - 1) * STEP
    committed = tk.open(path, commit=tk.history(path)[0].head)["telemetry/load"]
    assert committed.sizes["time"] == 2 * length
    assert shown(path).sizes["time"] == 3 * length
    assert not shown(path).isnull().any()


def test_the_same_value_again_is_a_duplicate_wherever_the_first_one_stands(path):
    with tk.store.journal(path) as journal:
        assert journal.record(batch([0, 1])).new == 8
        assert journal.record(batch([0, 1])).duplicate == 8
        journal.drain(all=True)
        again = journal.record(batch([0, 1]))
        assert (again.new, again.duplicate, again.corrected) == (0, 8, 0)
        assert journal.status().pending == 0
    with tk.store.journal(path) as journal:
        assert journal.record(batch([0, 1])).duplicate == 8
        assert journal.status().duplicate == 24
        assert journal.status().new == 8


@pytest.mark.parametrize("drained", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_correction_changes_the_answer_for_today_and_not_for_then(path, drained, after):
    with tk.store.journal(path) as journal:
        first = journal.record(batch([0, 1], value=0.25))
        if drained:
            journal.drain(all=True)
        second = journal.record(one("c1", 0, 0.75))
        third = journal.record(one("c1", 0, 0.5))
        assert (second.corrected, third.corrected) == (1, 1)
        assert first.received < second.received < third.received
        if after:
            journal.drain(all=True)
        for moment, value in ((first, 0.25), (second, 0.75), (third, 0.5)):
            found = shown(path, as_of=at(moment.received))
            assert found.sel(cell="c1")[0] == value
            assert (found.sel(cell="c0") == 0.25).all()
        assert shown(path).sel(cell="c1")[0] == 0.5


def test_as_of_hides_what_came_later_and_shows_other_nodes_of_then(path):
    with tk.store.journal(path) as journal:
        first = journal.record(batch(0, value=0.1))
        tk.save(twin_of(sites=3), path, message="a new site")
        second = journal.record(batch(1, value=0.2))
        journal.drain(all=True)
        third = journal.record(batch(2, value=0.3))
    then = tk.open(path, as_of=at(first.received))
    assert then["sites"].sizes["site"] == 2
    assert then["telemetry/load"].sizes["time"] == 1
    assert tk.open(path, as_of=at(second.received))["sites"].sizes["site"] == 3
    assert shown(path, as_of=at(second.received)).values[:, 0].tolist() == [0.1, 0.2]
    assert shown(path, as_of=at(third.received)).values[:, 0].tolist() == [0.1, 0.2, 0.3]
    assert "telemetry" not in tk.open(path, as_of=tk.history(path)[-1].when).children


def test_late_readings_land_in_their_row_and_new_rows_in_their_order(path):
    with tk.store.journal(path) as journal:
        journal.record(batch(np.arange(10, 20), cells=3))
        journal.drain(all=True)
        journal.record(one("c3", 12, 0.9))
        journal.record(batch([3, 15, 4]))
        journal.drain(all=True)
        found = shown(path)
        assert (np.diff(found.time) > np.timedelta64(0)).all()
        assert found.sizes["time"] == 12
        assert found.sel(cell="c3", time=START + 12 * STEP) == 0.9
        np.testing.assert_array_equal(found.sel(time=START + 4 * STEP), batch([3, 15, 4])["value"][8:])
        assert journal.status().pending == 0
    assert tk.verify(path, thorough=True)


def test_any_order_of_arrival_gives_one_record(path):
    """Shuffled, split, repeated and drained in between: what is shown at the end is the same."""
    rng = np.random.default_rng(5)
    whole = batch(np.arange(30))
    truth = whole["value"].reshape(30, 4)
    order = rng.permutation(120)
    with tk.store.journal(path) as journal:
        for part in np.array_split(order, 7):
            part = np.concatenate([part, part[:3]])
            given = {k: v if isinstance(v, str) else np.asarray(v)[part] for k, v in whole.items()}
            told = journal.record(given)
            assert told.duplicate == 3
            if rng.random() < 0.5:
                journal.drain(all=True)
    np.testing.assert_array_equal(shown(path).values, truth)


def test_one_batch_may_correct_itself(path):
    with tk.store.journal(path) as journal:
        told = journal.record(
            {"variable": "load", "sensor": ["c0"] * 3, "time": START, "value": [0.1, 0.2, 0.2]},
        )
        assert (told.new, told.corrected, told.duplicate) == (1, 1, 1)
        assert shown(path).sel(cell="c0").values == 0.2
        assert shown(path, as_of=at(told.received) - np.timedelta64(1, "ms")).sel(cell="c0").values == 0.1


def test_times_snap_to_the_period_of_the_variable(path):
    with tk.store.journal(path) as journal:
        journal.record(one("c0", 0, 0.5) | {"time": [START + np.timedelta64(449, "s")]})
        journal.record(one("c1", 0, 0.5) | {"time": [START + np.timedelta64(450, "s")]})
        told = journal.record({"variable": "energy", "sensor": "s0", "time": START + 5 * STEP, "value": 9.0})
    assert told.new == 1
    found = tk.open(path)["telemetry"]
    assert found["load"].sel(cell="c0", time=START) == 0.5
    assert found["load"].sel(cell="c1", time=START + STEP) == 0.5
    assert found["energy"].sel(site="s0", time=START + 4 * STEP) == 9.0


def test_variables_and_cells_that_come_later_are_taken_in(path):
    with tk.store.journal(path) as journal:
        first = journal.record(batch([0, 1]))
        journal.drain(all=True)
        journal.record(batch([1, 2], variable="users", value=3.0))
        journal.record({"variable": "energy", "sensor": ["s0", "s1"], "time": START, "value": 5.0})
        journal.drain(all=True)
        tk.save(twin_of(cells=6), path, message="two cells more")
        assert journal.record(one("c5", 7, 0.5)).new == 1
        assert shown(path).sizes["cell"] == 6
        journal.drain(all=True)
    found = tk.open(path)["telemetry"]
    np.testing.assert_array_equal(found["load"].values[:2, :4].ravel(), batch([0, 1])["value"])
    assert found["load"].sel(cell="c5", time=START + 7 * STEP) == 0.5
    assert found["users"].isnull().sum() == 2 * 6 + 4
    assert found["energy"].sel(time=START).values.tolist() == [5.0, 5.0]
    assert shown(path, as_of=at(first.received)).count() == 8
    assert tk.verify(path, thorough=True)


def test_a_save_leaves_readings_alone(path):
    with tk.store.journal(path) as journal:
        journal.record(batch([0, 1]))
        twin = tk.open(path)
        tk.save(
            tk.extend(twin, sites=twin["sites"].to_dataset().assign(height=("site", [31.0, 32.0]))), path, message="x"
        )
        assert "telemetry" not in tk.open(path, commit=tk.history(path)[0].head).children
        journal.drain(all=True)
        done = tk.save(twin_of(sites=3), path, message="a twin without readings")
        assert done.changed == ["sites"]
        assert shown(path).count() == 8
        mine = tk.open(path)
        with pytest.raises(tk.TwinError, match="through their journal"):
            tk.save(tk.extend(mine, telemetry=mine["telemetry/load"] * 0.5), path, message="halved")
        with pytest.raises(tk.TwinError, match="through their journal"):
            tk.store.append(path, "telemetry", mine["telemetry"].to_dataset(), message="by the back door")
    assert tk.verify(path, thorough=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sensor": ["c9"]}, "id of a cell"),
        ({"variable": "lod"}, "'load'"),
        ({"variable": "height"}, "sampling period"),
        ({"value": [np.nan]}, "values that are numbers"),
        ({"value": ["much"]}, "values as numbers"),
        ({"time": [np.datetime64("NaT")]}, "time for every reading"),
        ({"time": ["yesterday"]}, "datetime64"),
        ({"time": [np.datetime64("9999-03-01T00:00")]}, "1678 and 2262"),
        ({"sensor": ["c0", "c1"], "value": [1.0, 2.0, 3.0]}, "one length"),
        ({"sensor": [7]}, "sensor as text"),
        ({"sensor": [None]}, "sensor as text"),
    ],
)
def test_a_bad_reading_is_one_error_and_nothing_is_recorded(path, change, said):
    with tk.store.journal(path) as journal:
        good = batch(0)
        bad = one("c0", 1, 0.5) | change
        journal.record(good)
        with pytest.raises(tk.TwinError, match=said):
            journal.record(bad)
        assert journal.status().pending == 4
        assert journal.record(batch(1)).new == 4


def test_one_ingester_at_a_time(path):
    with (
        tk.store.journal(path),
        pytest.raises(tk.TwinError, match="one ingester for a journal"),
        tk.store.journal(path),
    ):
        pass
    with tk.store.journal(path) as journal:
        journal.record(batch(0))
    with pytest.raises(tk.TwinError, match="an open journal"):
        journal.record(batch(1))


def test_two_nodes_take_readings_side_by_side(path):
    with tk.store.journal(path, node="north") as north, tk.store.journal(path, node="south") as south:
        north.record(batch(0, value=0.1))
        south.record(batch(0, value=0.9))
        north.drain(all=True)
        south.drain(all=True)
    twin = tk.open(path)
    assert (twin["north/load"] == 0.1).all()
    assert (twin["south/load"] == 0.9).all()
    assert tk.verify(path, thorough=True)


def test_refused_messages_are_kept_counted_and_cut(path, monkeypatch):
    monkeypatch.setattr(chest, "MOST", 10)
    with tk.store.journal(path) as journal:
        journal.reject([("a/b", b"x" * 10_000_000, "too long"), ("a/c", "text", "no JSON")])
        for _ in range(3):
            journal.reject([("a/d", b"{}", "no value")] * 5)
        assert journal.status().rejected == {"too long": 1, "no JSON": 1, "no value": 15}
        table = tk.store.rejected(path)
        assert len(table) == 10
    with tk.store.journal(path) as journal:
        assert sum(journal.status().rejected.values()) == 17
        journal.reject([("a/b", b"x" * 10_000_000, "too long")])
    table = tk.store.rejected(path)
    assert list(table.columns) == ["received", "topic", "reason", "payload"]
    assert len(table["payload"].iloc[-1]) == 4096
    assert tk.verify(path)


def test_a_foreign_telemetry_is_not_taken_over(path):
    load = xr.Dataset(
        {"load": (("time", "cell"), np.ones((2, 1)))}, {"time": START + np.arange(2) * STEP, "cell": ["c0"]}
    )
    tk.store.append(path, "telemetry", load, message="by hand")
    with pytest.raises(tk.TwinError, match="comes from its journal"), tk.store.journal(path):
        pass
    with tk.store.journal(path, node="live") as journal:
        journal.record(batch(0))
    assert tk.open(path)["live/load"].count() == 4


def test_packing_gives_back_what_it_was_given():
    rng = np.random.default_rng(1)
    for count in (0, 1, 1000):
        given = readings.Columns(
            rng.integers(0, 2, count),
            rng.integers(0, 50, count),
            rng.integers(0, 2**60, count),
            rng.random(count),
            np.full(count, 17),
        )
        back, variables, sensors, _ = readings.unpack(
            readings.pack(given, ["load", "users"], [("cell", "ä"), ("site", "b")])
        )
        assert (variables, sensors) == (["load", "users"], [("cell", "ä"), ("site", "b")])
        for name in readings.COLUMNS:
            np.testing.assert_array_equal(getattr(back, name), getattr(given, name))


def test_repeated_keys_are_found_on_a_board_and_by_sorting():
    rng = np.random.default_rng(2)
    for high in (5, 10**6):
        parts = [rng.integers(0, high, 500) for _ in range(2)]
        parts = [np.concatenate([p, p[:100]]) for p in parts]
        seen, truth = set(), []
        for key in zip(*parts, strict=True):
            truth.append(key in seen)
            seen.add(key)
        assert readings.repeated(*parts).tolist() == truth


def test_against_a_plain_list_of_everything_that_was_said(path):
    """A long random life of a journal, held against the simplest record there is, at many moments."""
    rng = np.random.default_rng(11)
    told = []
    marks = []
    for life, _ in enumerate(range(4)):
        with tk.store.journal(path) as journal:
            for _ in range(6):
                count = int(rng.integers(1, 30))
                cells, steps = rng.integers(0, 4, count), rng.integers(0, 12, count) + 4 * life
                values = rng.integers(0, 3, count) / 4
                keys = list(zip(cells.tolist(), steps.tolist(), strict=True))
                first = [keys.index(k) == i for i, k in enumerate(keys)]
                receipt = journal.record(
                    {
                        "variable": "load",
                        "sensor": [f"c{c}" for c in cells[first]],
                        "time": START + steps[first] * STEP,
                        "value": values[first],
                    }
                )
                told += [(receipt.received, k, v) for k, v, f in zip(keys, values.tolist(), first, strict=True) if f]
                marks.append(receipt.received)
                if rng.random() < 0.4:
                    journal.drain(all=bool(rng.random() < 0.7))
    for moment in [*marks[::3], None]:
        truth = {key: value for stamp, key, value in told if moment is None or stamp <= moment}
        found = shown(path) if moment is None else shown(path, as_of=at(moment))
        have = {
            (c, int((t - START) / STEP)): float(v)
            for (t, c), v in zip(itertools.product(found.time.values, range(4)), found.values.ravel(), strict=True)
            if not np.isnan(v)
        }
        assert have == truth
    assert tk.verify(path, thorough=True)


def test_readings_say_where_they_come_from(path):
    made, own = "generated: telemetry.generate, seed 1", readings.MEASURED
    with tk.store.journal(path, provenance=made) as journal:
        first = journal.record(batch(np.arange(20)))
        assert shown(path).attrs["provenance"] == made  # while it stands in the journal alone
        journal.drain(all=True)
    assert shown(path).attrs["provenance"] == made
    with tk.store.journal(path) as journal:
        assert journal.record(batch(np.arange(20))).duplicate == 80  # what was known brings no other origin
        assert shown(path).attrs["provenance"] == made
        journal.record(batch([30]))
        journal.record(one("s0", 0, 20.0, "temperature"))
        assert shown(path, as_of=at(first.received)).attrs["provenance"] == made
        for committed in (False, True):
            if committed:
                journal.drain(all=True)
            assert shown(path).attrs["provenance"] == f"{made}; {own}"
            assert shown(path, "temperature").attrs["provenance"] == own
    assert not tk.verify(path).faults
    with pytest.raises(tk.TwinError, match="where the readings come from"), tk.store.journal(path, provenance="me"):
        pass


@pytest.mark.parametrize("what", ["lock", "json", "sqlite"])
def test_a_link_in_place_of_a_file_is_not_followed(path, tmp_path, what):
    with tk.store.journal(path) as journal:
        journal.record(one("c0", 0, 0.5))
    other = tmp_path / "precious"
    other.write_text("kept")
    file = path / f"twinkit/journal/telemetry.{what}"
    file.unlink()
    file.symlink_to(other)
    with pytest.raises(tk.TwinError, match="a link to elsewhere"), tk.store.journal(path):
        pass
    assert other.read_text() == "kept"
    if what != "lock":
        assert "a link to elsewhere" in str(tk.verify(path))


def altered(path, query, *values):
    with contextlib.closing(sqlite3.connect(path / "twinkit/journal/telemetry.sqlite")) as file:
        file.execute(query, values)
        file.commit()


def test_a_seal_half_written_by_a_killed_ingester_is_no_fault_and_goes(path):
    with tk.store.journal(path) as into:
        into.record(batch(0))
    draft = path / "twinkit/journal/.telemetry.json.4711.tmp"
    draft.write_bytes(b'{"op')
    assert tk.verify(path)
    stranger = draft.with_name(".telemetry.4711.tmp")
    stranger.write_bytes(b"")
    assert not tk.verify(path)
    stranger.unlink()
    with tk.store.journal(path) as into:
        into.record(batch(1))
    assert not draft.exists()


def test_an_altered_journal_is_one_clear_error_wherever_it_is_read(path):
    with tk.store.journal(path) as journal:
        journal.record(one("c0", 0, 0.5))
    altered(path, "update batches set payload = ?", b"xx")
    with pytest.raises(tk.TwinError, match="as the journal wrote them"):
        tk.open(path)
    altered(path, "drop table letters")
    with pytest.raises(tk.TwinError, match="no such table"):
        tk.store.rejected(path)


@pytest.mark.parametrize("text", ["[]", '{"new": "x"}', '{"rejected": {"a": []}}', '{"more": 1}', "{", "[" * 100_000])
def test_altered_counts_are_found(path, text):
    journal = tk.store.Journal(path)
    journal.record(one("c0", 0, 0.5))
    journal._chest.drop()  # as a killed ingester leaves it: vouched for by its chain alone
    journal._stack.close()
    altered(path, "update meta set value = ? where key = 'totals'", text)
    assert "altered" in str(tk.verify(path))
    with pytest.raises(tk.TwinError, match="as it was left"), tk.store.journal(path):
        pass


def test_reasons_are_counted_by_their_kind_and_stay_few(path):
    said = [
        *(f"sensor 'x{i}': no such cell in this twin" for i in range(300)),
        *(f"key 'a'b'{i}' is there twice" for i in range(300)),
        *('value "' + "ab'"[i % 3] * i + "...: a number is asked for" for i in range(1, 300)),
        *(f"value [{', '.join(['null', 'true'][int(b)] for b in f'{i:b}')}]: a number" for i in range(300)),
        *(f"time {i}.5e+{i:02} lies {i / 7} years ahead of our clock" for i in range(300)),
    ]
    with tk.store.journal(path) as journal:
        journal.reject([("a", b"", reason) for reason in said])
        kinds = journal.status().rejected
        assert len(kinds) == 5
        assert sum(kinds.values()) == len(said)
        journal.reject([("a", b"", "".join(word)) for word in itertools.permutations("abcdef")])
        kinds = journal.status().rejected
        assert len(kinds) == chest.KINDS + 1
        assert sum(kinds.values()) == len(said) + 720
    assert tk.store.rejected(path)["reason"].nunique() == len(set(said)) + 720  # each in its own words
