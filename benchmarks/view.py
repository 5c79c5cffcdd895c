"""A map of 4 000 × 4 000 pixels that is panned: milliseconds from the browser's word to the picture that goes back.

*pan* and *zoom* are those of `twinkit.view.panned` on an array in memory, against a redraw that means what is in view
anew from the finest pixels; *pan-lazy* reads a compressed Zarr array on disk, against datashader on the same array
through dask. *readings* is a million readings of a drive test, against drawing those in view with matplotlib.
*pan-memory* is the most memory that a walk over the lazy map takes.
"""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from benchmarks import Row, main, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

PIXELS = (480, 720)
"""Rows and columns of the screen."""


def hills(n: int) -> xr.DataArray:
    """A smooth map with a little noise, so that it compresses as maps do."""
    rng = np.random.default_rng(1)
    axis = np.arange(n) * 30.0
    smooth = np.sin(axis / 3e3)[:, None] * np.cos(axis / 5e3)[None]
    values = (-90 + 25 * smooth + rng.normal(0, 1, (n, n))).astype(np.float32)
    return xr.DataArray(values, {"y": axis, "x": axis}, ("y", "x"), name="rsrp")


def views(n: int, share: float, count: int = 16) -> list[tuple[float, float, float, float]]:
    """A walk over the map: extents of a share of its width, each a little beside the last."""
    wide, high = share * n * 30.0, share * n * 30.0 * PIXELS[0] / PIXELS[1]
    turn = 2 * np.pi * np.arange(count) / count
    middle = n * 15.0 + 0.5 * (n * 30.0 - wide) * np.column_stack([np.cos(turn), np.sin(turn)])
    return [(x - wide / 2, x + wide / 2, y - high / 2, y + high / 2) for x, y in middle]


def anew(layer: xr.DataArray, extent: tuple[float, float, float, float]) -> np.ndarray:
    """What is in view, as means of the finest pixels, without anything that was kept."""
    left, right, bottom, top = extent
    part = layer.sel(x=slice(left, right), y=slice(bottom, top))
    factor = max(1, max(n // p for n, p in zip(part.shape, PIXELS, strict=True)))
    rows, columns = (n // factor for n in part.shape)
    block = part.values[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    return np.nanmean(block, axis=(1, 3))


def rows(*, quick: bool) -> Iterator[Row]:
    from twinkit import view

    n, rounds = (2000, 8) if quick else (4000, 32)
    layer = hills(n)
    shown = view.panned(layer)

    def turned(extents: list[tuple[float, float, float, float]], act: Any) -> Any:
        return lambda number: act(extents[number % len(extents)])

    for work, share in (("pan", 0.6), ("zoom", 0.15)):
        extents = views(n, share)
        ours, theirs = seconds(
            turned(extents, shown.look), turned(extents, lambda e: anew(layer, e)), rounds=rounds, warm=2
        )
        yield Row(work, 1e3 * ours, 1e3 * theirs, "means anew", "ms", "lower")
    with tempfile.TemporaryDirectory() as folder:
        yield from lazily(layer, Path(folder), rounds)
    yield readings(100_000 if quick else 1_000_000, rounds)


def lazily(layer: xr.DataArray, folder: Path, rounds: int) -> Iterator[Row]:
    """A walk of small steps at the finest pixels, over an array on disk."""
    import datashader as ds

    from twinkit import view

    n = layer.sizes["x"]
    path = str(folder / "map.zarr")
    layer.chunk(500).to_dataset().to_zarr(path, consolidated=False)
    lazy = xr.open_zarr(path, consolidated=False, chunks={})["rsrp"]
    # near enough for the finest pixels, each step about a quarter of the view, as people drag
    extents = views(n, 0.15, count=64)

    def raster(extent: tuple[float, float, float, float]) -> None:
        canvas = ds.Canvas(plot_height=PIXELS[0], plot_width=PIXELS[1], x_range=extent[:2], y_range=extent[2:])
        canvas.raster(lazy, agg="mean").compute()

    shown = view.panned(lazy)
    ours, theirs = seconds(
        lambda number: shown.look(extents[number % 64]),
        lambda number: raster(extents[number % 64]),
        rounds=rounds,
        warm=2,
    )
    yield Row("pan-lazy", 1e3 * ours, 1e3 * theirs, "datashader", "ms", "lower")
    found = []
    for begun in (lambda: view.panned(lazy).look, lambda: raster):
        tracemalloc.start()
        act = begun()  # with the one pass over all of it that the coarse levels take
        for extent in extents[:16]:
            act(extent)
        found.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    yield Row("pan-memory", found[0], found[1], "datashader", "MB", "lower")


def readings(count: int, rounds: int) -> Row:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from twinkit import view

    rng = np.random.default_rng(1)
    x, y = 1e4 * rng.random(count), 1e4 * rng.random(count)
    level = xr.DataArray(-70 - x / 400, {"x": ("sample", x), "y": ("sample", y)}, "sample", name="rsrp")
    shown = view.panned(level)
    extents = [(a, a + 5e3, 1e3, 5e3) for a in np.linspace(0, 5e3, 8)]

    def drawn(number: int) -> None:
        left, right, bottom, top = extents[number % 8]
        made = Figure(figsize=(PIXELS[1] / 100, PIXELS[0] / 100), dpi=100)
        canvas = FigureCanvasAgg(made)
        there = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
        made.add_axes((0, 0, 1, 1)).scatter(x[there], y[there], c=level.values[there], s=2)
        canvas.draw()

    ours, theirs = seconds(lambda number: shown.look(extents[number % 8]), drawn, rounds=max(4, rounds // 4), warm=1)
    return Row("readings", 1e3 * ours, 1e3 * theirs, "matplotlib", "ms", "lower")


if __name__ == "__main__":
    raise SystemExit(main(rows))
