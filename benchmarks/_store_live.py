"""The store's side of the live twin: readings in bulk, and opening any of many commits."""

from __future__ import annotations

import pathlib
import tempfile
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from benchmarks import Row, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rows"]

CELLS, STEPS = 10_000, 16
START, STEP = np.datetime64("2026-03-01", "ns"), np.timedelta64(900, "s")


def _twin(cells: int) -> xr.DataTree:
    import twinkit as tk

    ids = np.array([f"cell-{i:05d}" for i in range(cells)], dtype=object)
    nodes = {"cells": xr.Dataset({"frequency": ("cell", np.full(cells, 8e8))}, {"cell": ids})}
    return tk.assemble(nodes, title="benchmark", crs="EPSG:32643")


def _bulk(root: pathlib.Path, *, rounds: int) -> Iterator[Row]:
    """Two variables of ten thousand cells, four hours a time: appended as they are, and through the journal."""
    import duckdb
    import pandas as pd

    import twinkit as tk

    rng = np.random.default_rng(1)
    twin = _twin(CELLS)
    ids = twin["cells"]["cell"].to_numpy()
    for name in ("bulk", "journal"):
        tk.save(twin, root / name, message="the beginning")
    values = [rng.random((2, STEPS, CELLS)).round(3) for _ in range(rounds + 2)]
    times = [START + (number * STEPS + np.arange(STEPS)) * STEP for number in range(rounds + 2)]
    connection = duckdb.connect()
    (root / "parquet").mkdir()

    def bulk(number: int) -> None:
        ds = xr.Dataset(
            {n: (("time", "cell"), v) for n, v in zip(("load", "users"), values[number], strict=True)},
            {"time": times[number], "cell": ids},
        )
        tk.store.append(root / "bulk", "readings", ds, message="four hours")

    def parquet(number: int) -> None:
        block = pd.DataFrame(  # noqa: F841 - DuckDB finds it by its name
            {
                "time": np.repeat(times[number], CELLS),
                "cell": np.tile(ids, STEPS),
                "load": values[number][0].ravel(),
                "users": values[number][1].ravel(),
            }
        )
        connection.execute(f"copy block to '{root}/parquet/{number:05d}.parquet' (format parquet)")

    with tk.store.journal(root / "journal") as journal:

        def through(number: int) -> None:
            for name, value in zip(("load", "users"), values[number], strict=True):
                journal.record(
                    {
                        "variable": name,
                        "sensor": np.tile(ids, STEPS),
                        "time": np.repeat(times[number], CELLS),
                        "value": value.ravel(),
                    }
                )

        def drained(number: int) -> None:
            through(number)
            journal.drain()

        took = seconds(bulk, parquet, drained, rounds=rounds, warm=2)
    count = 2 * STEPS * CELLS
    yield Row("bulk", count / took[0], count / took[1], "DuckDB over Parquet", "values/s", "higher")
    yield Row("bulk-journal", count / took[2], count / took[1], "DuckDB over Parquet", "values/s", "higher")


def _open_commit(root: pathlib.Path, *, commits: int, rounds: int) -> Iterator[Row]:
    """Any of many commits, by its head and by its moment; the peer walks the engine's history to the moment."""
    import icechunk

    import twinkit as tk

    path = root / "many"
    twin = _twin(10)
    for number in range(commits):
        tk.save(tk.extend(twin, note=xr.Dataset(attrs={"number": number})), path, message=f"number {number}")
    history = tk.history(path)
    which = np.random.default_rng(2).integers(0, len(history), rounds + 1)

    def walked(number: int) -> None:
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(path)))
        until = history[which[number]].when
        next(s for s in repo.ancestry(branch="main") if s.written_at <= until or not s.parent_id)

    took = seconds(
        lambda number: tk.open(path, commit=history[which[number]].head),
        lambda number: tk.open(path, as_of=history[which[number]].when),
        walked,
        rounds=rounds,
    )
    yield Row("open-commit", took[0], took[2], "walk of the history", "s", "lower")
    yield Row("open-as-of", took[1], took[2], "walk of the history", "s", "lower")


def rows(*, quick: bool) -> Iterator[Row]:
    """The works ``bulk`` and ``open-commit``."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        yield from _bulk(root, rounds=6 if quick else 24)
        yield from _open_commit(root, commits=200 if quick else 10_000, rounds=10 if quick else 50)
