"""Coverage: the strongest cell at every pixel, in tiles that fit into the cache."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, stamp, within
from twinkit.radio.best_server import ENTRY, Model, Network, asked, chosen, left, model_of, named, strongest
from twinkit.radio.tiling import READS, answers, at_most, check_axes, ground_at_masts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["READS", "at_most", "check_axes", "coverage", "ground_at_masts", "model_for"]

RECORD = np.dtype([("rsrp", np.float32), ("server", np.int32)])
OVER_TERRAIN = np.dtype([("rsrp", np.float32), ("server", np.int32), ("validity", np.int8)])


@contract(reads=READS, gives=["rsrp", "server"])
def coverage(
    twin: xr.DataTree,
    *,
    path_loss: Callable[..., Any],
    paths: Callable[..., Any] | None = None,
    near: Callable[..., Any] | None = None,
    entry: Callable[..., Any] | None = None,
    farthest: float | None = None,
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

        A model over terrain asks besides for ``profile`` (one path, a Dataset as `profile` makes it), or for
        ``heights`` (path, sample) [m] and ``spacing`` (path) [m], many paths at once; and for ``latitude`` [degree]
        if it likes. `p1812`, and `longley_rice` with its climate set, are such models. Heights of clutter are those
        of ``surface/clutter_height``, where the twin has them and the model takes them.
    paths : `exact` or `sweep`, optional
        How a model over terrain looks at the ground: a profile for every receiver (where left out), or along
        radials. `functools.partial` sets ``step``, ``radials`` or ``precision``.
    near : function, optional
        Loss of the pixels nearer than a model over terrain begins (250 m, of `longley_rice` 1 km); `free_space`
        where left out. The map's ``validity`` flags them.
    entry : function, optional
        Loss into buildings [dB] of ``frequency`` and, if it names it, ``elevation`` [degree], for a map of indoors:
        ``functools.partial(tk.radio.entry_loss, building="traditional")``.
    farthest : float [m], optional
        Beyond it every cell counts as silent. Left out, every cell is looked at that can still win somewhere.
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
        where no cell has an answer: the ground is unknown, or every cell is beyond the model's range. A model over
        terrain also gives ``validity``: 0 its own loss, 1 that of the near model, 2 no cell within reach.

    Validity
    --------
    That of the path loss model. Where the model states a range of distance (``path_loss.valid``), a cell beyond
    its far end counts as silent there, and a pixel nearer than its near end takes the loss at the near end. The
    map says both in ``attrs["validity"]``. The earth is flat, which at 60 km misplaces elevation by 0.2 degree.

    Errors
    ------
    TwinError
        A variable is missing or in another unit; the model asks for something else, or answers NaN; an antenna is
        unknown; the surface is not evenly spaced; a mast stands on unknown ground. Over terrain also: voids in the
        ground, a mast off the map, a frequency, height or percentage outside the model's range.

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
    model = model_for(
        twin, path_loss, receiver_height=receiver_height, entry=entry, paths=paths, near=near, farthest=farthest
    )
    found = answers(
        twin,
        model=model,
        antennas=antennas,
        subcarrier_spacing=subcarrier_spacing,
        ask=_best,
        record=OVER_TERRAIN if hasattr(model, "halo") else RECORD,
    )
    ground = twin.children["surface"].to_dataset(inherit=False)["ground_height"].transpose("y", "x")
    attrs = described(model, receiver_height, subcarrier_spacing)
    out = {n: (("y", "x"), found[n], dict(attrs)) for n in ("rsrp", "server")}
    result = xr.Dataset(out, coords={d: ground.coords[d] for d in ("y", "x")})
    return flagged(result, found, attrs, given_by=f"{__name__}.coverage")


def model_for(
    twin: xr.DataTree,
    path_loss: Any,
    *,
    receiver_height: float,
    entry: Any,
    paths: Any,
    near: Any,
    farthest: float | None,
) -> Model:
    """A path loss function joined to all that it may ask of the twin.

    Errors
    ------
    TwinError
        A function that asks for something else, or a surface of uneven axes.
    """
    from twinkit.radio import over_terrain
    from twinkit.radio.free_space import free_space

    surface = twin.children["surface"].to_dataset(inherit=False)
    check_axes(surface)
    if farthest is not None:
        within(farthest, 1.0, 3e6, name="farthest", unit="m")
    if entry is not None:
        asked(entry, ENTRY, "entry")
    if not over_terrain.needs_terrain(path_loss):
        return model_of(path_loss, receiver_height, entry, farthest=farthest)
    y, x = (surface[d].values.astype(float) for d in ("y", "x"))
    return over_terrain.relief_of(
        path_loss,
        receiver_height=receiver_height,
        entry=entry,
        paths=over_terrain.exact if paths is None else paths,
        near=free_space if near is None else near,
        farthest=farthest,
        latitude=_latitude(twin, y, x),
        axes=(y, x),
    )


def _latitude(twin: xr.DataTree, y: np.ndarray, x: np.ndarray) -> float:
    """Of the middle of the map [degree]."""
    import pyproj

    back = pyproj.Transformer.from_crs(twin.attrs.get("crs"), "EPSG:4326", always_xy=True)
    return float(back.transform((x[0] + x[-1]) / 2, (y[0] + y[-1]) / 2)[1])


# ---------------------------------------------------------------- some pixels


def _best(network: Network, model: Model, ground: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The best server, and over terrain by which model."""
    out = np.empty(ground.shape, OVER_TERRAIN if hasattr(model, "halo") else RECORD)
    out["rsrp"], out["server"] = strongest(network, model, ground, y, x)
    if hasattr(model, "halo"):
        out["validity"] = validity_of(network, model, out["server"], y, x)
    return out


def validity_of(network: Network, model: Any, server: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Whose loss stands at some pixels: the flags of `over_terrain`."""
    from twinkit.radio.over_terrain import BEYOND, NEAR, VALID

    site = network.cell_site[server]
    near = np.hypot(x - network.x[site], y - network.y[site]) < model.least
    return np.where(server < 0, np.int8(BEYOND), np.where(near, np.int8(NEAR), np.int8(VALID))).astype(np.int8)


def flagged(result: xr.Dataset, found: dict[str, Any], attrs: dict[str, Any], *, given_by: str) -> xr.Dataset:
    """The same with the flags of validity, where the model is one over terrain."""
    if "validity" not in found:
        return result
    said = attrs | {"flag_values": [0, 1, 2], "flag_meanings": "model near_model no_cell_within_reach"}
    flags = xr.DataArray(found["validity"], dims=("y", "x"), coords=result.coords, attrs=said)
    return result.assign(validity=stamp(flags, "validity", given_by=given_by))


def _buildings(entry: Any) -> str:
    if entry is None:
        return ""
    said = f"; within buildings: {named(entry)} {chosen(entry)}".rstrip()
    defaults = left(entry, ENTRY)
    return f"{said}, by default {defaults}" if defaults else said


def described(model: Model, receiver_height: float, subcarrier_spacing: float) -> dict[str, Any]:
    """Provenance, assumptions and validity of a map."""
    ranges = f" ({model.why})" if model.why else ""
    validity = "NaN where the ground is unknown"
    over: Any = model if hasattr(model, "halo") else None
    if over:
        validity = f"pixels nearer than {over.least:g} m have the loss of {named(over.near)}"
    for quantity in ("ground_distance", "distance"):
        start, stop = model.reach(quantity)
        if math.isfinite(stop):
            validity += f", and where every cell is farther than the model's {stop:g} m{ranges}"
        if start > 0:
            validity += f"; pixels nearer than {start:g} m take the loss at {start:g} m"
    return {
        "provenance": f"modelled: coverage with {model.name}",
        "assumptions": (
            f"transmit power spread evenly over 0.9 bandwidth / {subcarrier_spacing:g} Hz subcarriers; receiver"
            f" {receiver_height:g} m above ground with 0 dBi; flat earth; angles and distance from the ground heights"
            " of the mast's and the receiver's pixels"
            + (f"; {over.assumed()}" if over else "; a mast outside the map stands on the nearest pixel's ground")
            + (f"; {model.chosen}" if model.chosen else "")
            + (f"; by default {defaults}" if (defaults := model.defaults()) else "")
            + _buildings(model.entry)
        ),
        "validity": validity,
    }
