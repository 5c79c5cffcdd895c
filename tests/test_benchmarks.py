"""The benchmarks speak one language, and those of the store compare like with like."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEYS = ["work", "twinkit", "peer", "peer_name", "unit", "ratio", "better"]


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks

    return benchmarks


@pytest.fixture
def everything(benchmarks):
    import benchmarks.__main__ as everything

    return everything


def test_a_row_is_one_json_object(benchmarks, capsys):
    def rows(*, quick):
        yield benchmarks.Row("append", 3e6, 1.5e6, "a peer", "values/s", "higher")
        yield benchmarks.Row("open", 0.01, math.nan, "", "s", "lower")
        assert quick

    assert benchmarks.main(rows, ["--quick", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(r) for r in told] == [KEYS, KEYS]
    assert told[0]["ratio"] == 2
    assert told[1]["peer"] is None
    assert told[1]["ratio"] is None


def test_the_table_is_markdown_with_five_columns(benchmarks, capsys):
    def rows(*, quick):
        assert not quick
        return [benchmarks.Row("mean", 0.1234567, 0.1, "DuckDB", "s", "lower")]

    benchmarks.main(rows, [])
    assert capsys.readouterr().out.splitlines() == [
        "| work | twinkit | peer         | unit | ratio |",
        "| ---- | ------- | ------------ | ---- | ----- |",
        "| mean | 0.123   | 0.1 (DuckDB) | s    | 1.23  |",
    ]


def test_better_is_higher_or_lower(benchmarks):
    with pytest.raises(ValueError, match="'higher' or 'lower'"):
        benchmarks.Row("mean", 1.0, 1.0, "", "s", "faster")


def test_the_works_take_turns_and_the_first_does_not_count(benchmarks, monkeypatch):
    order = []
    clock = iter(range(1000))
    monkeypatch.setattr(benchmarks.time, "perf_counter", lambda: float(next(clock)))

    def short(number):
        order.append(("a", number))

    def long(number):
        order.append(("b", number))
        next(clock)

    found = benchmarks.seconds(short, long, rounds=3, warm=1)
    assert [o for o in order if o[1] == 0] == [("a", 0), ("b", 0)]
    assert [o[0] for o in order] == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert [n for _, n in order] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found == [1, 2]


def test_every_module_has_rows_and_a_docstring_that_begins_its_chapter(everything):
    names = everything.modules()
    assert "store" in names
    for name in names:
        text = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        assert text.startswith('"""'), name
        assert "def rows(*, quick: bool)" in text, name
        assert "main(rows)" in text, name


def test_all_modules_make_one_page(everything, monkeypatch, tmp_path, capsys):
    row = {
        "work": "mean",
        "twinkit": 2.0,
        "peer": 1.0,
        "peer_name": "a peer",
        "unit": "s",
        "ratio": 2.0,
        "better": "lower",
    }
    monkeypatch.setattr(everything, "modules", lambda: ["store"])
    monkeypatch.setattr(everything, "measured", lambda name, *, quick: [row])
    page = tmp_path / "docs" / "benchmarks.md"
    assert everything.main(["--quick", "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "## store" in text
    assert "python -m benchmarks.store --quick" in text
    assert "| mean | 2       | 1 (a peer) | s    | 2     |" in text
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in text
    assert str(ROOT) not in text
    capsys.readouterr()
    assert everything.main(["--json", "--page", str(page)]) == 0
    assert json.loads(capsys.readouterr().out) == row


def test_a_module_that_fails_fails_the_whole_and_leaves_the_page(everything, monkeypatch, tmp_path, capsys):
    def fails(name, *, quick):
        raise subprocess.CalledProcessError(1, name)

    monkeypatch.setattr(everything, "modules", lambda: ["store"])
    monkeypatch.setattr(everything, "measured", fails)
    page = tmp_path / "benchmarks.md"
    page.write_text("as it was")
    assert everything.main(["--page", str(page)]) == 1
    assert page.read_text() == "as it was"
    assert "failed: store" in capsys.readouterr().err


@pytest.mark.skipif(
    not (importlib.util.find_spec("duckdb") and importlib.util.find_spec("pyarrow")),
    reason="the extra bench is missing",
)
def test_the_works_of_the_store_give_the_same_answers_as_their_peers(benchmarks, monkeypatch):
    import benchmarks.store as works

    agreed = []
    genuine = works._agree
    monkeypatch.setattr(works, "_agree", lambda ours, theirs: agreed.append(genuine(ours, theirs)))
    monkeypatch.setattr(works, "CELLS", 30)
    found = {r.work: r for r in works.rows(quick=True)}
    assert {"append", "append-zarr", "open", "mean"} <= set(found)
    assert len(agreed) == 2
    assert all(r.twinkit > 0 and r.peer > 0 for r in found.values())
    assert found["append"].better == "higher"
    assert found["mean"].better == found["open"].better == "lower"
