"""The ledger: every row of published.csv is a number that somebody else published, or that another code computes.

Columns: `function` (dotted name), `inputs` (a JSON object of parameters, or a list of positional arguments),
`expected` (a JSON number or list), `tolerance` ("0.05" in the result's unit, or "0.1 %"), `source` (with table or
equation), and `data`: a CSV file of TWINKIT_TESTDATA, whose columns then stand where the strings in `inputs` and
`expected` name them; ["hs", 1000] is column hs times 1000. A row whose file is absent skips by its name.
"""

import csv
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

COLUMNS = ["function", "inputs", "expected", "tolerance", "source", "data"]
with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as file:
    HEADER, *LINES = csv.reader(file)
ROWS = [(n, dict(zip(HEADER, line, strict=True))) for n, line in enumerate(LINES, start=2)]


def resolved(name):
    """The function of a dotted name, or why there is none."""
    parts = name.split(".")
    assert parts[0] == "twinkit", f"'{name}' is no function of twinkit"
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            assert hasattr(found, part), f"'{name}': no '{part}' in {found.__name__}"
            found = getattr(found, part)
        assert callable(found), f"'{name}' is no function"
        return found
    raise AssertionError(f"'{name}': no such module")


def columns_of(path):
    """Columns of numbers by name; rows that hold anything else (units, blanks) are passed over."""
    with path.open(encoding="latin-1", newline="") as file:
        header, *lines = csv.reader(file)
    rows = []
    for line in lines:
        try:
            rows.append([float(v) for v in line[: len(header)]])
        except ValueError:
            continue
    assert rows, f"{path.name} has no row of numbers"
    return dict(zip(header, np.array(rows).T, strict=True))


def filled(value, table):
    """A value of the row with its columns in place."""
    if table is None:
        return value
    if isinstance(value, str):
        return table[value]
    if isinstance(value, list) and value and isinstance(value[0], str):
        return table[value[0]] * value[1]
    return value


@pytest.mark.parametrize("row", [r for _, r in ROWS], ids=[f"line {n}: {r['function']}" for n, r in ROWS])
def test_a_published_number(row, testdata):
    function = resolved(row["function"])
    table = columns_of(testdata(row["data"])) if row["data"] else None
    inputs, expected = json.loads(row["inputs"]), filled(json.loads(row["expected"]), table)
    if isinstance(inputs, dict):
        got = function(**{k: filled(v, table) for k, v in inputs.items()})
    else:
        got = function(*(filled(v, table) for v in inputs))
    got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    assert got.shape == expected.shape
    relative = row["tolerance"].endswith("%")
    size = float(row["tolerance"].removesuffix("%"))
    allowed = np.abs(expected) * size / 100 if relative else size
    off = np.abs(got - expected)
    assert (off <= allowed).all(), f"{got} instead of {expected} ({row['source']}); off by up to {off.max():g}"


def test_every_row_is_whole():
    assert HEADER == COLUMNS
    for number, row in ROWS:
        where = f"published.csv, line {number}"
        assert len(row["source"]) > 10, f"{where}: name the source with its table or equation"
        size = float(row["tolerance"].removesuffix("%"))
        assert size > 0, f"{where}: a tolerance above 0"
        assert json.loads(row["inputs"]), f"{where}: inputs"
        expected = json.loads(row["expected"])
        assert row["data"] or np.isfinite(np.asarray(expected, dtype=float)).all(), where


def test_no_row_stands_twice():
    keys = [(r["function"], r["inputs"], r["source"]) for _, r in ROWS]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["twinkit.radio.fre_space", "twinkit.nowhere.loss", "numpy.sin"])
def test_a_row_without_its_function_would_fail(name):
    with pytest.raises(AssertionError, match=name.split(".")[-1]):
        resolved(name)
