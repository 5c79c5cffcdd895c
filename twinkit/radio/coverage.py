"""Coverage: the strongest cell at every pixel, in tiles that fit into the cache."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.radio.best_server import ANTENNAS, Model, Network, model_of, network, strongest
from twinkit.twin import tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["READS", "at_most", "check_axes", "coverage", "ground_at_masts"]

# Edge of one pass [pixels]: a dozen float64 arrays of its square stay in the second-level cache.
PASS = 128
TILE = 1024

RECORD = np.dtype([("rsrp", np.float32), ("server", np.int32)])


READS = (
    *("sites/x", "sites/y", "sites/height"),
    *("cells/site", "cells/azimuth", "cells/downtilt", "cells/frequency", "cells/bandwidth", "cells/transmit_power"),
    *("cells/antenna", "surface/ground_height"),
)


@contract(reads=READS, gives=["rsrp", "server"])
def coverage(
    twin: xr.DataTree,
    *,
    path_loss: Callable[..., Any],
    receiver_height: float = 1.5,
    subcarrier_spacing: float = 15e3,
    antennas: Mapping[str, Callable[..., Any]] | None = None,
) -> xr.Dataset:
    r"""Reference signal received power of the best cell at every pixel, and which cell that is.

    .. math:: RSRP = \max_{cells} \left(P - 10 \log_{10} \frac{0.9\, B}{\Delta f} + G(\varphi, \theta) - L\right)

    Parameters
    ----------
    twin : DataTree
        With sites, cells and surface. A twin in memory is computed at once, on all cores; a lazy one (`tk.open`, or
        ``twin.chunk(...)``) stays lazy, tile by tile.
    path_loss : function
        Gives a loss [dB], elementwise, from those of these that it names as parameters: ``distance`` [m, straight
        line between the antennas], ``ground_distance`` [m], ``frequency`` [Hz], ``transmitter_height`` and
        ``receiver_height`` [m above ground]. ``def mine(distance, *, frequency): ...`` is enough. Further parameters
        need defaults; `functools.partial` sets them.
    receiver_height : float [m]
        Above ground, everywhere.
    subcarrier_spacing : float [Hz]
    antennas : dict of str to function, optional
        Patterns beside "sector" and "omni" that ``cells/antenna`` names: gain [dBi] of azimuth off boresight
        (clockwise) and elevation (upwards) [degree], with ``downtilt`` where the function takes it.

    Returns
    -------
    Dataset (y, x)
        ``rsrp`` [dBm], float32, and ``server``, the position in cells of the strongest (-1: none). ``rsrp`` is NaN
        where no cell has an answer: the ground is unknown, or every cell is beyond the model's range.

    Validity
    --------
    That of the path loss model. Where the model states a range of distance (``path_loss.valid``), a cell beyond
    its far end counts as silent there, and a pixel nearer than its near end takes the loss at the near end. The
    map says both in ``attrs["validity"]``. The earth is flat, which at 60 km misplaces elevation by 0.2 degree.

    Errors
    ------
    TwinError
        A variable is missing or in another unit; the model asks for something else, or answers NaN; an antenna is
        unknown; the surface is not evenly spaced; a mast stands on unknown ground.

    Examples
    --------
    A student's model is as good as ours:

    >>> from twinkit import assemble
    >>> twin = assemble(
    ...     {
    ...         "sites": xr.Dataset(
    ...             {"x": ("site", [50.0]), "y": ("site", [0.0]), "height": ("site", [30.0])}, {"site": ["a"]}
    ...         ),
    ...         "cells": xr.Dataset(
    ...             {
    ...                 "site": ("cell", ["a"]), "antenna": ("cell", ["omni"]), "azimuth": ("cell", [0.0]),
    ...                 "downtilt": ("cell", [0.0]), "frequency": ("cell", [8e8]), "bandwidth": ("cell", [1e7]),
    ...                 "transmit_power": ("cell", [46.0]),
    ...             },
    ...             {"cell": ["a1"]},
    ...         ),
    ...         "surface": xr.Dataset(
    ...             {"ground_height": (("y", "x"), np.zeros((1, 3)))}, {"y": [0.0], "x": [0.0, 100.0, 200.0]}
    ...         ),
    ...     },
    ...     title="one mast", crs="EPSG:32643",
    ... )
    >>> def mine(distance):
    ...     return 20 + 40 * np.log10(distance)
    >>> coverage(twin, path_loss=mine).rsrp.values.round(1)
    array([[-72.2, -72.2, -89.1]], dtype=float32)

    References
    ----------
    3GPP TS 36.214, 5.1.1 (RSRP).
    """
    within(receiver_height, 0.1, 400, name="receiver_height", unit="m")
    within(subcarrier_spacing, 1e3, 1e6, name="subcarrier_spacing", unit="Hz")
    surface = twin.children["surface"].to_dataset(inherit=False)
    ground = surface["ground_height"].transpose("y", "x")
    check_axes(surface)
    model = model_of(path_loss, receiver_height)
    patterns = {**ANTENNAS, **(antennas or {})}
    y, x = (surface[d].values.astype(float) for d in ("y", "x"))

    sites, cells = (twin.children[n].to_dataset(inherit=False) for n in ("sites", "cells"))
    columns = {f"site_{n}": sites[n].data for n in ("x", "y", "height")}
    columns |= {n: cells[n].data for n in ("azimuth", "downtilt", "frequency", "bandwidth", "transmit_power")}
    columns |= {"cell_site": cells["site"].data, "antenna": cells["antenna"].data}
    fixed: dict[str, Any] = {
        "site": sites["site"].values,
        "cell": cells["cell"].values if "cell" in cells.coords else None,
    }
    fixed |= {"patterns": patterns, "subcarrier_spacing": subcarrier_spacing}

    if any(hasattr(a, "dask") for a in (ground.data, *columns.values())):
        rsrp, server = _lazy(ground.data, y, x, columns, fixed, model)
    else:
        rsrp, server = _now(ground, y, x, columns, fixed, model)

    return _described(rsrp, server, ground, model, receiver_height, subcarrier_spacing)


# ---------------------------------------------------------------- one tile


def _tile(ground: np.ndarray, y: np.ndarray, x: np.ndarray, *, network: Network, model: Model) -> np.ndarray:
    """One tile, a small square at a time: its arrays stay in the cache, and few masts matter to it."""
    out = np.empty(ground.shape, RECORD)
    y, x = y.ravel(), x.ravel()
    for top in range(0, len(y), PASS):
        for left in range(0, len(x), PASS):
            at = slice(top, top + PASS), slice(left, left + PASS)
            shape = ground[at].shape
            yy, xx = np.broadcast_to(y[at[0], None], shape).ravel(), np.broadcast_to(x[at[1]], shape).ravel()
            rsrp, server = strongest(network, model, ground[at].astype(float).ravel(), yy, xx)
            out["rsrp"][at], out["server"][at] = rsrp.reshape(shape), server.reshape(shape)
    return out


# ---------------------------------------------------------------- all tiles


def _now(
    ground: xr.DataArray, y: np.ndarray, x: np.ndarray, columns: dict[str, Any], fixed: dict[str, Any], model: Model
) -> tuple[np.ndarray, np.ndarray]:
    """All tiles into two arrays, on threads; a dask progress bar sees them."""
    import dask

    heights = ground.values
    there = _ground_at(heights, y, x, columns["site_y"], columns["site_x"])
    made = network(**columns, **fixed, site_ground=there)
    rsrp, server = np.empty(ground.shape, np.float32), np.empty(ground.shape, np.int32)

    def fill(window: dict[str, slice]) -> None:
        at = window["y"], window["x"]
        tile = _tile(heights[at], y[at[0]], x[at[1]], network=made, model=model)
        rsrp[at], server[at] = tile["rsrp"], tile["server"]

    parts = [dask.delayed(fill, pure=False)(window) for window in tiles(ground, size=TILE // 4)]
    dask.compute(*parts, scheduler="threads")
    return rsrp, server


def _lazy(
    heights: Any, y: np.ndarray, x: np.ndarray, columns: dict[str, Any], fixed: dict[str, Any], model: Model
) -> tuple[Any, Any]:
    """The same as a graph: one task a tile, and one that joins the network from whatever is lazy in it."""
    import dask
    import dask.array as da

    ground = heights if hasattr(heights, "dask") else da.from_array(heights, chunks=TILE)
    ground = ground.rechunk({d: at_most(c, TILE) for d, c in enumerate(ground.chunks)})
    yy, xx = _lent(ground, y, x)
    there = ground_at_masts(ground, y, x, columns["site_y"], columns["site_x"])
    made = dask.delayed(network, pure=True)(**columns, **fixed, site_ground=there)
    packed = da.map_blocks(
        _tile,
        ground,
        yy,
        xx,
        network=made,
        model=model,
        chunks=ground.chunks,
        dtype=RECORD,
        meta=np.empty((0, 0), RECORD),
    )
    return packed["rsrp"], packed["server"]


def _ground_at(ground: Any, y: Any, x: Any, site_y: Any, site_x: Any) -> np.ndarray:
    """Ground height [m] of the pixel in which each mast stands; outside the map, of the nearest pixel."""
    return np.asarray(ground)[_nearest(y, site_y), _nearest(x, site_x)].astype(float)


def _nearest(axis: np.ndarray, values: Any) -> np.ndarray:
    if len(axis) == 1:
        return np.zeros(np.shape(values), np.intp)
    # a site without a position is refused by name later on
    steps = np.nan_to_num((np.asarray(values, float) - axis[0]) / (axis[1] - axis[0]))
    return np.clip(np.rint(steps), 0, len(axis) - 1).astype(np.intp)


def ground_at_masts(ground: Any, y: np.ndarray, x: np.ndarray, site_y: Any, site_x: Any) -> Any:
    """Ground height [m] of the pixel in which each mast stands, lazily: found in the one tile that holds it."""
    import dask.array as da
    from dask.graph_manipulation import clone

    return da.map_blocks(
        _ground_in_tile,
        # The clone keeps this pass apart from the next one over the same tiles: dask would hold the whole surface
        # in memory from the one to the other.
        clone(ground, seed="twinkit.radio.coverage"),
        *_lent(ground, y, x),
        site_y=site_y,
        site_x=site_x,
        axes=(y, x),
        dtype=float,
        new_axis=2,
        chunks=(*((1,) * n for n in ground.numblocks), (len(site_x),)),
        meta=np.empty((0, 0, 0)),
    ).sum(axis=(0, 1))


def _lent(ground: Any, y: np.ndarray, x: np.ndarray) -> tuple[Any, Any]:
    """The axes as dask arrays that broadcast against a chunked surface."""
    import dask.array as da

    return (
        da.from_array(y[:, None], chunks=(ground.chunks[0], 1)),
        da.from_array(x[None, :], chunks=(1, ground.chunks[1])),
    )


def _ground_in_tile(
    ground: np.ndarray, y: np.ndarray, x: np.ndarray, *, site_y: Any, site_x: Any, axes: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Ground height of the masts whose pixel is in this tile, 0 of all others."""
    rows = _nearest(axes[0], site_y) - np.searchsorted(axes[0], y.flat[0])
    columns = _nearest(axes[1], site_x) - np.searchsorted(axes[1], x.flat[0])
    here = (rows >= 0) & (rows < ground.shape[0]) & (columns >= 0) & (columns < ground.shape[1])
    out = np.zeros(len(here))
    out[here] = ground[rows[here], columns[here]]
    return out[None, None, :]


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


def _described(
    rsrp: Any, server: Any, ground: xr.DataArray, model: Model, receiver_height: float, subcarrier_spacing: float
) -> xr.Dataset:
    ranges = f" ({model.why})" if model.why else ""
    validity = "NaN where the ground is unknown"
    for quantity in ("ground_distance", "distance"):
        start, stop = model.reach(quantity)
        if math.isfinite(stop):
            validity += f", and where every cell is farther than the model's {stop:g} m{ranges}"
        if start > 0:
            validity += f"; pixels nearer than {start:g} m take the loss at {start:g} m"
    attrs = {
        "provenance": f"modelled: coverage with {model.name}",
        "assumptions": (
            f"transmit power spread evenly over 0.9 bandwidth / {subcarrier_spacing:g} Hz subcarriers; receiver"
            f" {receiver_height:g} m above ground with 0 dBi; flat earth; angles and distance from the ground heights"
            " of the mast's and the receiver's pixels; a mast outside the map stands on the nearest pixel's ground"
        ),
        "validity": validity,
    }
    coords = {d: ground.coords[d] for d in ("y", "x")}
    return xr.Dataset({"rsrp": (("y", "x"), rsrp, attrs), "server": (("y", "x"), server, dict(attrs))}, coords=coords)
