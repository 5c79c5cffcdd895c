"""All pixels of a twin, tile by tile: at once on threads for a twin in memory, as a graph for a lazy one.

What is asked at a pixel is a function of some thousand pixels; here stands how they are cut, what ground a tile
needs, and how the answers come together. No pixel's answer depends on how it was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.radio.best_server import ANTENNAS, Model, Network, network
from twinkit.twin import tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["READS", "answers", "at_most", "check_axes", "columns_of", "ground_at", "ground_at_masts", "layers_of"]

# Edge of one pass [pixels]: a dozen float64 arrays of its square stay in the second-level cache. Over terrain more,
# because a path from afar is paid once for all that it passes.
PASS, WIDE_PASS = 128, 256
TILE = 1024

READS = (
    *("sites/x", "sites/y", "sites/height"),
    *("cells/site", "cells/azimuth", "cells/downtilt", "cells/frequency", "cells/bandwidth", "cells/transmit_power"),
    *("cells/antenna", "surface/ground_height"),
)

LAYERS = ("ground_height", "clutter_height", "zone")
"""What a model over terrain reads of the surface, where it is there."""


def answers(
    twin: xr.DataTree,
    *,
    model: Model,
    antennas: Mapping[str, Callable[..., Any]] | None,
    subcarrier_spacing: float,
    ask: Callable[..., np.ndarray],
    record: np.dtype[Any],
    load: Any = None,
) -> dict[str, Any]:
    """What a function says of every pixel.

    Parameters
    ----------
    twin : DataTree
    model : Model or Relief
    antennas, subcarrier_spacing
        As for `coverage`.
    ask : function
        ``ask(network, model, ground, y, x)``: of flat arrays of some pixels, an array (n,) of `record`.
    record : dtype
        Structured.
    load : array (cell), optional

    Returns
    -------
    dict of str to array (y, x)
        One for each field of the record; lazy where any input is.
    """
    surface = twin.children["surface"].to_dataset(inherit=False)
    check_axes(surface)
    y, x = (surface[d].values.astype(float) for d in ("y", "x"))
    over_terrain = hasattr(model, "halo")
    layers = layers_of(surface, over_terrain=over_terrain)
    columns, fixed = columns_of(
        twin, antennas=antennas, subcarrier_spacing=subcarrier_spacing, within=(y, x) if over_terrain else None
    )
    if load is not None:
        columns["load"] = load
    lazy = any(hasattr(a, "dask") for a in (*layers.values(), *columns.values()))
    given = (layers, y, x, columns, fixed, model, ask, record)
    packed = (_lazy if lazy else _now)(*given)
    return {n: packed[n] for n in record.names or ()}


def layers_of(surface: xr.Dataset, *, over_terrain: bool) -> dict[str, Any]:
    """The arrays (y, x) of a surface that a model looks at."""
    names = LAYERS if over_terrain else LAYERS[:1]
    return {n: surface[n].transpose("y", "x").data for n in names if n in surface}


def columns_of(
    twin: xr.DataTree,
    *,
    antennas: Mapping[str, Callable[..., Any]] | None,
    subcarrier_spacing: float,
    within: tuple[np.ndarray, np.ndarray] | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `network` takes of a twin: columns of its tables, lazy where they are, and what is fixed."""
    sites, cells = (twin.children[n].to_dataset(inherit=False) for n in ("sites", "cells"))
    columns = {f"site_{n}": sites[n].data for n in ("x", "y", "height")}
    columns |= {n: cells[n].data for n in ("azimuth", "downtilt", "frequency", "bandwidth", "transmit_power")}
    columns |= {"cell_site": cells["site"].data, "antenna": cells["antenna"].data}
    fixed: dict[str, Any] = {
        "site": sites["site"].values,
        "cell": cells["cell"].values if "cell" in cells.coords else None,
        "patterns": {**ANTENNAS, **(antennas or {})},
        "subcarrier_spacing": subcarrier_spacing,
    }
    if within is not None:
        fixed["within"] = within
    return columns, fixed


# ---------------------------------------------------------------- one tile


def _tile(
    ground: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    *,
    network: Network,
    model: Model,
    ask: Callable[..., np.ndarray],
    record: np.dtype[Any],
    bind: Callable[[Model, slice, slice], Model] | None = None,
) -> np.ndarray:
    """One tile, a small square at a time; `bind` fits the model to each square."""
    out = np.empty(ground.shape, record)
    y, x = y.ravel(), x.ravel()
    edge = PASS if bind is None else WIDE_PASS
    for top in range(0, len(y), edge):
        for left in range(0, len(x), edge):
            at = slice(top, min(top + edge, len(y))), slice(left, min(left + edge, len(x)))
            shape = ground[at].shape
            yy, xx = np.broadcast_to(y[at[0], None], shape).ravel(), np.broadcast_to(x[at[1]], shape).ravel()
            fitted = model if bind is None else bind(model, *at)
            out[at] = ask(network, fitted, ground[at].astype(float).ravel(), yy, xx).reshape(shape)
    return out


def _tile_on(
    terrain: Any,
    corner: tuple[int, int],
    at: tuple[slice, slice],
    *,
    y: np.ndarray,
    x: np.ndarray,
    network: Network,
    model: Any,
    **how: Any,
) -> np.ndarray:
    """One tile `at` of the map on a piece of terrain that begins at `corner`."""
    rows, columns = np.arange(len(y))[at[0]], np.arange(len(x))[at[1]]
    inside = (
        slice(rows[0] - corner[0], rows[-1] + 1 - corner[0]),
        slice(columns[0] - corner[1], columns[-1] + 1 - corner[1]),
    )
    heights = terrain.ground.reshape(terrain.y.size, terrain.x.size)[inside]

    def bind(model: Any, top: slice, left: slice) -> Any:
        return model.on(terrain, rows[top], columns[left])

    return _tile(heights, y[at[0]], x[at[1]], network=network, model=model, bind=bind, **how)


def _terrain(model: Any, corner: tuple[int, int], names: tuple[str, ...], *layers: np.ndarray) -> Any:
    return model.ground(corner, **dict(zip(names, layers, strict=True)))


# ---------------------------------------------------------------- all tiles


def _now(
    layers: dict[str, Any],
    y: np.ndarray,
    x: np.ndarray,
    columns: dict[str, Any],
    fixed: dict[str, Any],
    model: Any,
    ask: Callable[..., np.ndarray],
    record: np.dtype[Any],
) -> np.ndarray:
    """All tiles into arrays, on threads; a dask progress bar sees them."""
    import dask

    heights = np.asarray(layers["ground_height"])
    made = network(**columns, **fixed, site_ground=ground_at(heights, y, x, columns["site_y"], columns["site_x"]))
    out = {n: np.empty(heights.shape, record[n]) for n in record.names or ()}
    over_terrain = hasattr(model, "halo")
    terrain = model.ground((0, 0), **layers) if over_terrain else None
    how: dict[str, Any] = {"network": made, "model": model, "ask": ask, "record": record}

    def fill(window: dict[str, slice]) -> None:
        at = window["y"], window["x"]
        if over_terrain:
            tile = _tile_on(terrain, (0, 0), at, y=y, x=x, **how)
        else:
            tile = _tile(heights[at], y[at[0]], x[at[1]], **how)
        for name, array in out.items():
            array[at] = tile[name]

    whole = xr.DataArray(heights, dims=("y", "x"))
    parts = [dask.delayed(fill, pure=False)(window) for window in tiles(whole, size=TILE // 4)]
    dask.compute(*parts, scheduler="threads")
    return out  # type: ignore[return-value]


def _lazy(
    layers: dict[str, Any],
    y: np.ndarray,
    x: np.ndarray,
    columns: dict[str, Any],
    fixed: dict[str, Any],
    model: Any,
    ask: Callable[..., np.ndarray],
    record: np.dtype[Any],
) -> Any:
    """The same as a graph: one task a tile, and one that joins the network from whatever is lazy in it."""
    import dask
    import dask.array as da

    def as_dask(array: Any) -> Any:
        return array if hasattr(array, "dask") else da.from_array(array, chunks=TILE)

    ground = as_dask(layers["ground_height"])
    ground = ground.rechunk({d: at_most(c, TILE) for d, c in enumerate(ground.chunks)})
    there = ground_at_masts(ground, y, x, columns["site_y"], columns["site_x"])
    made = dask.delayed(network, pure=True)(**columns, **fixed, site_ground=there)
    how = {"network": made, "model": model, "ask": ask, "record": record}
    if not hasattr(model, "halo"):
        meta = np.empty((0, 0), record)
        return da.map_blocks(_tile, ground, *_lent(ground, y, x), **how, chunks=ground.chunks, dtype=record, meta=meta)
    names = tuple(layers)
    sheets = [ground, *(as_dask(layers[n]) for n in names if n != "ground_height")]
    names = ("ground_height", *(n for n in names if n != "ground_height"))
    halo = model.halo()
    pieces: dict[tuple[int, ...], Any] = {}
    block = []
    make = dask.delayed(_tile_on, pure=True)
    for top, height in _spans(ground.chunks[0]):
        line = []
        for left, width in _spans(ground.chunks[1]):
            window = _around(top, height, len(y), halo), _around(left, width, len(x), halo)
            key = (*window[0], *window[1])
            corner = window[0][0], window[1][0]
            if key not in pieces:
                cut = [s[slice(*window[0]), slice(*window[1])] for s in sheets]
                pieces[key] = dask.delayed(_terrain, pure=True)(model, corner, names, *cut)
            at = slice(top, top + height), slice(left, left + width)
            tile = make(pieces[key], corner, at, y=y, x=x, **how)
            line.append(da.from_delayed(tile, (height, width), dtype=record, meta=np.empty((0, 0), record)))
        block.append(line)
    return da.block(block)


def _spans(chunks: tuple[int, ...]) -> list[tuple[int, int]]:
    """Start and length of each chunk."""
    starts = np.cumsum((0, *chunks))
    return [(int(a), c) for a, c in zip(starts, chunks, strict=False) if c]


def _around(start: int, length: int, size: int, halo: int | None) -> tuple[int, int]:
    return (0, size) if halo is None else (max(0, start - halo), min(size, start + length + halo))


def ground_at(ground: Any, y: Any, x: Any, site_y: Any, site_x: Any) -> np.ndarray:
    """Ground height [m] of the pixel in which each mast stands; outside the map, of the nearest pixel."""
    return np.asarray(ground)[_nearest(y, site_y), _nearest(x, site_x)].astype(float)


def _nearest(axis: np.ndarray, values: Any) -> np.ndarray:
    if len(axis) == 1:
        return np.zeros(np.shape(values), np.intp)
    # a site without a position is refused by name later on
    steps = np.nan_to_num((np.asarray(values, float) - axis[0]) / (axis[1] - axis[0]))
    return np.clip(np.rint(steps), 0, len(axis) - 1).astype(np.intp)


def ground_at_masts(ground: Any, y: np.ndarray, x: np.ndarray, site_y: Any, site_x: Any) -> Any:
    """Ground height [m] of the pixel in which each mast stands, lazily: read from the tiles that hold one."""
    import dask

    return dask.delayed(_ground_in_tiles, pure=True)(_Kept(ground), (y, x), site_y, site_x)


class _Kept:
    """A lazy surface that dask takes for a value.

    Were it part of the graph, dask would hold the whole surface in memory from this pass over it to the next.
    """

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("twinkit.radio.tiling", self.array.name)


def _ground_in_tiles(kept: _Kept, axes: tuple[np.ndarray, np.ndarray], site_y: Any, site_x: Any) -> np.ndarray:
    """One tile after the other, and none in which no mast stands."""
    rows, columns = _nearest(axes[0], site_y), _nearest(axes[1], site_x)
    down, across = (np.cumsum((0, *c)) for c in kept.array.chunks)
    tile = np.searchsorted(down, rows, side="right") - 1, np.searchsorted(across, columns, side="right") - 1
    out = np.empty(len(rows))
    for i, j in sorted(set(zip(*map(np.ndarray.tolist, tile), strict=True))):
        here = (tile[0] == i) & (tile[1] == j)
        # without the callbacks of the run around it, whose progress bar would begin anew
        block = kept.array.blocks[i, j].compute(scheduler="synchronous", callbacks=[])
        out[here] = block[rows[here] - down[i], columns[here] - across[j]]
    return out


def _lent(ground: Any, y: np.ndarray, x: np.ndarray) -> tuple[Any, Any]:
    """The axes as dask arrays that broadcast against a chunked surface."""
    import dask.array as da

    return (
        da.from_array(y[:, None], chunks=(ground.chunks[0], 1)),
        da.from_array(x[None, :], chunks=(1, ground.chunks[1])),
    )


def at_most(chunks: tuple[int, ...], size: int) -> tuple[int, ...]:
    """The same chunks, the large ones cut."""
    out: list[int] = []
    for c in chunks:
        out += [size] * (c // size) + ([c % size] if c % size or c == 0 else [])
    return tuple(out)


def check_axes(surface: xr.Dataset) -> None:
    """Raise unless y and x ascend evenly: pixels are found by arithmetic."""
    for dim in ("y", "x"):
        if dim not in surface.indexes:
            raise TwinError(
                f"a coordinate {dim} [m]", found="none", hint="add the pixel centres", where=f"surface/{dim}"
            )
        steps = np.diff(surface[dim].values.astype(float))
        if surface.sizes[dim] == 0 or (steps.size and not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3))):
            raise TwinError(
                f"{dim} ascending and evenly spaced",
                found="no pixel" if surface.sizes[dim] == 0 else f"steps from {steps.min():g} to {steps.max():g} m",
                hint=f"sort it: surface.sortby('{dim}'), or resample it",
                where=f"surface/{dim}",
            )
