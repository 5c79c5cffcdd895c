"""Coverage: the strongest cell at every pixel, in tiles that fit into the cache."""

from __future__ import annotations

import functools
import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, physics, within
from twinkit.error import TwinError, close_to
from twinkit.radio.antenna import isotropic, sector
from twinkit.twin import tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["coverage", "network", "resource_element_power", "strongest"]

ANTENNAS: dict[str, Callable[..., Any]] = {"omni": isotropic, "sector": sector}
"""What a cell's ``antenna`` may name: gain [dBi] of azimuth off boresight, elevation and, if it takes one, downtilt."""

QUANTITIES = ("distance", "ground_distance", "frequency", "transmitter_height", "receiver_height")
"""What a path loss model may ask for by the names of its parameters."""

# Subcarriers fill this share of a channel: 50 x 12 x 15 kHz in 10 MHz (TS 36.101, Table 5.6-1).
OCCUPIED = 0.9

# Edge of one pass [pixels]: a dozen float64 arrays of its square stay in the second-level cache.
PASS = 128
TILE = 1024
NEAR = 100.0

RECORD = np.dtype([("rsrp", np.float32), ("server", np.int32)])


@physics(gives="rsrp", transmit_power="dBm", bandwidth="Hz", subcarrier_spacing="Hz")
def resource_element_power(transmit_power: Any, *, bandwidth: Any, subcarrier_spacing: Any) -> Any:
    r"""Power of one resource element at the antenna port, when the transmit power is spread evenly over all.

    .. math:: P_{RE} = P - 10 \log_{10} \frac{0.9\, B}{\Delta f}

    Parameters
    ----------
    transmit_power : float, array or DataArray [dBm]
        Over the whole bandwidth B.
    bandwidth : float, array or DataArray [Hz]
        Of the channel, of which subcarriers fill nine tenths.
    subcarrier_spacing : float, array or DataArray [Hz]
        15 kHz in LTE and in NR below 1 GHz; 30 kHz in most NR at 3.5 GHz.

    Returns
    -------
    float, array or DataArray [dBm]

    Validity
    --------
    Exact for LTE from 3 to 20 MHz; NR fills up to 0.98 of wide channels, 0.4 dB less a resource element.

    Errors
    ------
    TwinError
        Another unit.

    Examples
    --------
    10 MHz of LTE hold 600 subcarriers:

    >>> round(float(resource_element_power(46, bandwidth=10e6, subcarrier_spacing=15e3)), 2)
    18.22

    References
    ----------
    3GPP TS 36.214, 5.1.1 (RSRP); TS 36.101, Table 5.6-1 (resource blocks of a channel).
    """
    return transmit_power - 10 * np.log10(OCCUPIED * bandwidth / subcarrier_spacing)


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


# ---------------------------------------------------------------- a network as plain arrays


@dataclass(frozen=True)
class Network:
    """Masts and cells as plain arrays: what one pass over the pixels needs, and nothing else."""

    x: np.ndarray
    y: np.ndarray
    height: np.ndarray
    ground: np.ndarray
    cell_site: np.ndarray
    azimuth: np.ndarray
    downtilt: np.ndarray
    frequency: np.ndarray
    power: np.ndarray
    antenna: np.ndarray
    patterns: Mapping[str, Callable[..., Any]]


def network(
    *,
    site: Any,
    site_x: Any,
    site_y: Any,
    site_height: Any,
    site_ground: Any,
    cell: Any,
    cell_site: Any,
    azimuth: Any,
    downtilt: Any,
    frequency: Any,
    bandwidth: Any,
    transmit_power: Any,
    antenna: Any,
    patterns: Mapping[str, Callable[..., Any]],
    subcarrier_spacing: float,
) -> Network:
    """Sites and cells checked and joined: each cell knows its mast's position, and its power a resource element."""
    ids = np.arange(len(cell_site)) if cell is None else cell
    numbers = {"azimuth": azimuth, "downtilt": downtilt, "frequency": frequency, "bandwidth": bandwidth}
    for name, values in (numbers | {"transmit_power": transmit_power}).items():
        _check_known(values, f"cells/{name}", "cell", ids)
    position = {str(s): i for i, s in enumerate(site)}
    strangers = [s for s in map(str, cell_site) if s not in position]
    if strangers:
        near = close_to(strangers[0], position)
        raise TwinError(
            "ids of sites", found=f"'{strangers[0]}'", hint=f"did you mean {near}?" if near else "add the site",
            where="cells/site",
        )  # fmt: skip
    unknown = sorted(set(map(str, antenna)) - set(patterns))
    if unknown:
        raise TwinError(
            f"an antenna among {', '.join(patterns)}",
            found=f"'{unknown[0]}'",
            hint=f"pass its pattern: coverage(..., antennas={{'{unknown[0]}': my_pattern}})",
            where="cells/antenna",
        )
    at = np.array([position[s] for s in map(str, cell_site)], dtype=np.intp)
    used = np.unique(at)
    for name, values in (("x", site_x), ("y", site_y), ("height", site_height)):
        _check_known(np.asarray(values)[used], f"sites/{name}", "site", np.asarray(site)[used])
    if np.isnan(site_ground[used]).any():
        bad = np.asarray(site)[used][np.isnan(site_ground[used])][0]
        raise TwinError(
            "masts on known ground",
            found=f"no ground height under site '{bad}'",
            hint="fill the voids of surface/ground_height, or move the site",
            where="surface/ground_height",
        )
    power = resource_element_power(
        np.asarray(transmit_power, float), bandwidth=np.asarray(bandwidth, float), subcarrier_spacing=subcarrier_spacing
    )
    return Network(
        x=np.asarray(site_x, float),
        y=np.asarray(site_y, float),
        height=np.asarray(site_height, float),
        ground=np.asarray(site_ground, float),
        cell_site=at,
        azimuth=np.asarray(azimuth, float),
        downtilt=np.asarray(downtilt, float),
        frequency=np.asarray(frequency, float),
        power=power,
        antenna=np.asarray(antenna, dtype=object).astype(str),
        patterns=patterns,
    )


def _check_known(values: Any, where: str, dim: str, ids: Any) -> None:
    bad = ~np.isfinite(np.asarray(values, float))
    if bad.any():
        raise TwinError(
            f"a number for every {dim}", found=f"none at {dim} '{np.asarray(ids)[bad][0]}'", hint="fill it", where=where
        )


def _ground_at(ground: Any, y: Any, x: Any, site_y: Any, site_x: Any) -> np.ndarray:
    """Ground height [m] of the pixel in which each mast stands; outside the map, of the nearest pixel."""
    return np.asarray(ground)[_nearest(y, site_y), _nearest(x, site_x)].astype(float)


def _nearest(axis: np.ndarray, values: Any) -> np.ndarray:
    if len(axis) == 1:
        return np.zeros(np.shape(values), np.intp)
    # a site without a position is refused by name later on
    steps = np.nan_to_num((np.asarray(values, float) - axis[0]) / (axis[1] - axis[0]))
    return np.clip(np.rint(steps), 0, len(axis) - 1).astype(np.intp)


# ---------------------------------------------------------------- one tile


@dataclass(frozen=True)
class Model:
    """A path loss function, what it asks for, and the ranges that it states."""

    function: Callable[..., Any]
    asks: tuple[str, ...]
    receiver_height: float
    valid: Mapping[str, tuple[float, float]]
    why: str
    grows: bool

    @property
    def name(self) -> str:
        """Its dotted name, for provenance."""
        inner = getattr(self.function, "func", self.function)
        return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', repr(inner))}"

    def reach(self, quantity: str) -> tuple[float, float]:
        """Least and greatest ``ground_distance`` or ``distance`` [m] for which it has an answer."""
        return self.valid.get(quantity, (0.0, math.inf))

    def loss(self, ground_distance: np.ndarray, drop: np.ndarray, frequency: float, height: float) -> np.ndarray:
        """Loss [dB] to pixels not beyond reach; `drop` is the antennas' difference in altitude [m]."""
        given = {
            "ground_distance": np.maximum(ground_distance, self.reach("ground_distance")[0]),
            "frequency": frequency,
            "transmitter_height": height,
            "receiver_height": self.receiver_height,
        }
        if "distance" in self.asks:
            given["distance"] = np.maximum(np.hypot(ground_distance, drop), self.reach("distance")[0])
        loss = np.asarray(self.function(**{n: given[n] for n in self.asks}), dtype=float)
        if loss.shape not in ((), ground_distance.shape):
            raise TwinError(
                "a loss for every distance",
                found=f"shape {loss.shape} for {ground_distance.shape}",
                hint="let the model work elementwise, as NumPy functions do",
                where=self.name,
            )
        if np.isnan(loss).any():
            first = np.flatnonzero(np.broadcast_to(np.isnan(loss), ground_distance.shape))[0]
            raise TwinError(
                "a loss in dB",
                found=f"NaN at {ground_distance.flat[first]:g} m and {frequency:g} Hz",
                hint="mind the logarithm of zero or less, or state the model's range: @physics(valid={...})",
                where=self.name,
            )
        return loss


def model_of(path_loss: Any, receiver_height: float) -> Model:
    """What a path loss function asks for and promises, or why it cannot be used."""
    if not callable(path_loss):
        raise TwinError(
            "a path loss function",
            found=f"{path_loss!r}",
            hint="pass the function itself: path_loss=tk.radio.free_space",
            where="path_loss",
        )
    try:
        parameters = inspect.signature(path_loss).parameters.values()
    except ValueError:
        raise TwinError(
            "a path loss function with named parameters", found=repr(path_loss), hint="wrap it in a def",
            where="path_loss",
        ) from None  # fmt: skip
    asks = tuple(p.name for p in parameters if p.name in QUANTITIES and p.kind is not p.POSITIONAL_ONLY)
    for p in parameters:
        if p.name not in asks and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            near = close_to(p.name, QUANTITIES)
            raise TwinError(
                f"a model of {', '.join(QUANTITIES)}",
                found=f"a parameter '{p.name}' without a default",
                hint=f"name it {near}" if near else f"set it: functools.partial(model, {p.name}=...)",
                where="path_loss",
            )
    if not asks:
        raise TwinError(
            f"a model of {', '.join(QUANTITIES)}",
            found="a function of none of them",
            hint="name its parameters so: def mine(distance, *, frequency)",
            where="path_loss",
        )
    inner = getattr(path_loss, "func", path_loss)
    valid = getattr(inner, "valid", {})
    grows = getattr(inner, "grows_with", "") in ("distance", "ground_distance")
    return Model(path_loss, asks, float(receiver_height), valid, getattr(inner, "why", ""), grows)


def strongest(
    network: Network, model: Model, ground: np.ndarray, y: np.ndarray, x: np.ndarray, *, floor: float = -math.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Level of the best cell [dBm] and its position at some pixels.

    Parameters
    ----------
    network : Network
    model : Model
    ground : array (n,) [m]
        Ground height of the pixels, NaN where unknown.
    y, x : array (n,) [m]
    floor : float [dBm]
        Weaker levels do not count.

    Returns
    -------
    rsrp : array (n,), float32 [dBm]
        NaN where no cell has an answer above the floor.
    server : array (n,), int32
    """
    best = np.full(ground.shape, floor, np.float32)
    server = np.full(ground.shape, -1, np.int32)
    stop, end = model.reach("ground_distance")[1], model.reach("distance")[1]
    known = np.isfinite(ground)
    altitude = ground + model.receiver_height
    for ceiling, site, frequency, cells in _loudest_first(network, model, y, x, min(stop, end)):
        # Exact: what cannot beat the weakest pixel beats none. The margin is far above the rounding of a float32.
        if ceiling + 1e-3 < best.min(where=known, initial=np.inf):
            break
        dx, dy = x - network.x[site], y - network.y[site]
        away = np.sqrt(dx * dx + dy * dy)
        drop = altitude - (network.ground[site] + network.height[site])
        inside = known
        if math.isfinite(stop):
            inside = inside & (away <= stop)
        if math.isfinite(end):
            inside = inside & (np.hypot(away, drop) <= end)
        some = None if inside.all() else np.flatnonzero(inside)
        if some is not None:
            if some.size == 0:
                continue
            dx, dy, away, drop = dx[some], dy[some], away[some], drop[some]
        loss = model.loss(away, drop, frequency, network.height[site])
        bearing = elevation = None
        for cell in cells:
            level: Any = network.power[cell] - loss
            pattern = network.patterns[network.antenna[cell]]
            if pattern is not isotropic:
                if bearing is None:
                    bearing, elevation = np.degrees(np.arctan2(dx, dy)), np.degrees(np.arctan2(drop, away))
                level = level + _gain(pattern, bearing - network.azimuth[cell], elevation, network.downtilt[cell])
            level = np.broadcast_to(np.float32(level), away.shape)
            if some is None:
                better = (level > best) | ((level == best) & (cell < server))
                np.copyto(best, level, where=better)
                np.copyto(server, np.int32(cell), where=better)
            else:
                better = (level > best[some]) | ((level == best[some]) & (cell < server[some]))
                best[some[better]], server[some[better]] = level[better], cell
    best[server < 0] = np.nan
    return best, server


def _gain(pattern: Callable[..., Any], azimuth: Any, elevation: Any, downtilt: float) -> Any:
    if _takes_downtilt(pattern):
        return pattern(azimuth, elevation, downtilt=downtilt)
    return pattern(azimuth, elevation)


@functools.lru_cache(maxsize=256)
def _takes_downtilt(pattern: Callable[..., Any]) -> bool:
    return "downtilt" in inspect.signature(pattern).parameters


def _beams(network: Network) -> Iterator[tuple[int, float, np.ndarray]]:
    """Cells of one mast and frequency share distance and loss; in the order of their first cells."""
    groups: dict[tuple[int, float], list[int]] = {}
    for cell, (site, frequency) in enumerate(zip(network.cell_site, network.frequency, strict=True)):
        groups.setdefault((int(site), float(frequency)), []).append(cell)
    for (site, frequency), cells in groups.items():
        yield site, frequency, np.array(cells)


def _loudest_first(
    network: Network, model: Model, y: np.ndarray, x: np.ndarray, stop: float
) -> list[tuple[float, int, float, np.ndarray]]:
    """The beams that reach into the pixels' bounding box, with the highest level [dBm] that each can have there."""
    box = (x.min(), x.max(), y.min(), y.max())
    beams = []
    for site, frequency, cells in _beams(network):
        # the straight line is never shorter than its ground track
        gap = _gap(box, network.x[site], network.y[site])
        if gap > stop:
            continue
        ceiling = math.inf
        # nearer than this a model may have no answer for the ground track alone
        if model.grows and gap >= NEAR:
            least = float(model.loss(np.array([gap]), np.zeros(1), frequency, network.height[site]).min())
            ceiling = max(network.power[c] + _peak(network, c) for c in cells) - least
        beams.append((ceiling, site, frequency, cells))
    return sorted(beams, key=lambda beam: -beam[0])


def _peak(network: Network, cell: int) -> float:
    """Highest gain [dBi] of a cell's antenna in any direction, where it is known."""
    pattern = network.patterns[network.antenna[cell]]
    if pattern is isotropic:
        return 0.0
    return _sector_peak() if pattern is sector else math.inf


@functools.cache
def _sector_peak() -> float:
    # the beam is tilted electrically, so that its peak keeps its height
    return float(sector(0.0, 0.0, downtilt=0.0))


def _gap(box: tuple[float, float, float, float], x: float, y: float) -> float:
    """Distance from a point to a box: rounding is monotone, so no pixel in it computes a smaller one."""
    left, right, bottom, top = box
    dx, dy = max(left - x, 0.0, x - right), max(bottom - y, 0.0, y - top)
    return float(np.sqrt(dx * dx + dy * dy))


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
