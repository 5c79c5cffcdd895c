"""The store: appending an hour of readings with its commit, opening, and a mean over time.

The readings are those of 10 000 cells in 60 minutes, two variables: 1.2 million values an append. The peers do the
same work without history, checks or digests: DuckDB writes and reads a Parquet file an hour, plain Zarr grows two
arrays in blocks of the same shape. Values are noise, which no codec can make small; ``-rounded`` works take readings
with three significant decimals, as counters give them.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from benchmarks import Row, main, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINUTES, CELLS = 60, 10_000
VALUES = MINUTES * CELLS * 2
HOUR = np.timedelta64(MINUTES, "m").astype("m8[ns]")


def readings(*, rounded: bool) -> xr.Dataset:
    """An hour of load and traffic of every cell."""
    rng = np.random.default_rng(1)
    load, traffic = rng.random((MINUTES, CELLS)), rng.gamma(2, 1e6, (MINUTES, CELLS))
    if rounded:
        load, traffic = load.round(3), traffic.round(-3)
    return xr.Dataset(
        {
            "load": (("time", "cell"), load, {"units": "1"}),
            "traffic": (("time", "cell"), traffic, {"units": "bit/s"}),
        },
        {
            "time": np.datetime64("2026-03-01", "ns") + np.arange(MINUTES) * np.timedelta64(60 * 10**9, "ns"),
            "cell": np.array([f"cell-{i:05d}" for i in range(CELLS)], dtype=object),
        },
    )


def later(ds: xr.Dataset, hour: int) -> xr.Dataset:
    """The same readings, hours later."""
    return ds.assign_coords(time=ds.time + hour * HOUR)


def twinkit_store(path: pathlib.Path) -> tuple[Callable[[xr.Dataset], Any], Callable[[], Any]]:
    """Append, and mean over time, with twinkit."""
    import twinkit as tk

    tk.save(tk.assemble({}, title="benchmark", crs="EPSG:32643"), path, message="the beginning")

    def append(ds: xr.Dataset) -> Any:
        return tk.store.append(path, "telemetry", ds, message="an hour of readings")

    def mean() -> Any:
        return tk.open(path)["telemetry"].to_dataset()[["load", "traffic"]].mean("time").compute()

    return append, mean


def parquet(folder: pathlib.Path) -> tuple[Callable[[xr.Dataset], Any], Callable[[], Any]]:
    """Append, and mean over time, with DuckDB over Parquet: one row a reading, one file an hour."""
    import duckdb
    import pyarrow as pa

    folder.mkdir()
    connection = duckdb.connect()
    written = [0]

    def append(ds: xr.Dataset) -> Any:
        cell = pa.DictionaryArray.from_arrays(
            pa.array(np.tile(np.arange(CELLS, dtype="i4"), MINUTES)), pa.array(ds["cell"].to_numpy())
        )
        rows = pa.table(  # noqa: F841 - DuckDB finds it by its name
            {
                "time": np.repeat(ds["time"].to_numpy(), CELLS),
                "cell": cell,
                "load": ds["load"].to_numpy().ravel(),
                "traffic": ds["traffic"].to_numpy().ravel(),
            }
        )
        connection.execute(f"copy rows to '{folder}/{written[0]:05d}.parquet' (format parquet)")
        written[0] += 1

    def mean() -> Any:
        query = f'select cell, avg("load") as load, avg(traffic) as traffic from "{folder}/*.parquet" group by cell'
        return connection.execute(query).fetchnumpy()

    return append, mean


def plain_zarr(path: pathlib.Path) -> tuple[Callable[[xr.Dataset], Any], Callable[[], Any]]:
    """Append with Zarr alone, and open with xarray."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    for name in ("load", "traffic"):
        group.create_array(
            name, shape=(0, CELLS), chunks=(MINUTES, CELLS), dtype="f8", dimension_names=("time", "cell")
        )
    group.create_array("time", shape=(0,), chunks=(MINUTES,), dtype="i8", dimension_names=("time",))

    def append(ds: xr.Dataset) -> Any:
        opened = zarr.open_group(path, mode="r+")
        for name in ("load", "traffic", "time"):
            values = ds[name].to_numpy()
            opened[name].append(values.view("i8") if name == "time" else values)

    def opening() -> Any:
        return xr.open_zarr(path, consolidated=False)

    return append, opening


def rows(*, quick: bool) -> Iterator[Row]:
    """The works of the store."""
    import twinkit as tk

    rounds = 12 if quick else 36
    for kind, rounded in (("", False), ("-rounded", True)):
        ds = readings(rounded=rounded)
        hours = [later(ds, hour) for hour in range(rounds + 2)]
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            ours, our_mean = twinkit_store(root / "a.twin")
            theirs, their_mean = parquet(root / "parquet")
            plain, opening = plain_zarr(root / "plain.zarr")
            appended = seconds(
                lambda n, ours=ours, hours=hours: ours(hours[n]),
                lambda n, theirs=theirs, hours=hours: theirs(hours[n]),
                lambda n, plain=plain, hours=hours: plain(hours[n]),
                rounds=rounds,
                warm=2,
            )
            rate = [VALUES / s for s in appended]
            yield Row(f"append{kind}", rate[0], rate[1], "DuckDB over Parquet", "values/s", "higher")
            yield Row(f"append-zarr{kind}", rate[0], rate[2], "plain Zarr", "values/s", "higher")
            _agree(our_mean(), their_mean())
            mean = seconds(
                lambda _, mean=our_mean: mean(), lambda _, mean=their_mean: mean(), rounds=7 if quick else 15
            )
            yield Row(f"mean{kind}", mean[0], mean[1], "DuckDB over Parquet", "s", "lower")
            if not rounded:
                opened = seconds(
                    lambda _, root=root: tk.open(root / "a.twin"), lambda _, opening=opening: opening(), rounds=15
                )
                yield Row("open", opened[0], opened[1], "xarray over plain Zarr", "s", "lower")


def _agree(ours: xr.Dataset, theirs: dict[str, Any]) -> None:
    """A fast answer counts only if it is the same answer."""
    order = np.argsort(np.asarray(theirs["cell"]).astype(str))
    for name in ("load", "traffic"):
        np.testing.assert_allclose(ours[name].to_numpy(), np.asarray(theirs[name])[order], rtol=1e-9)


if __name__ == "__main__":
    sys.exit(main(rows))
