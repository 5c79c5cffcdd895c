"""The best server: which cell of a network is the strongest at some pixels, and how strong it is.

A network as plain arrays, a path loss function with what it asks for, and one pass over a few thousand pixels.
"""

from __future__ import annotations

import functools
import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.contract import physics
from twinkit.error import TwinError, close_to
from twinkit.radio.antenna import isotropic, sector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["ANTENNAS", "Model", "Network", "model_of", "network", "resource_element_power", "strongest"]

ANTENNAS: dict[str, Callable[..., Any]] = {"omni": isotropic, "sector": sector}
"""What a cell's ``antenna`` may name: gain [dBi] of azimuth off boresight, elevation and, if it takes one, downtilt."""

QUANTITIES = ("distance", "ground_distance", "frequency", "transmitter_height", "receiver_height")
"""What a path loss model may ask for by the names of its parameters."""

# Subcarriers fill this share of a channel: 50 x 12 x 15 kHz in 10 MHz (TS 36.101, Table 5.6-1).
OCCUPIED = 0.9

# Nearer than this [m] a model may have no answer for the ground track alone.
NEAR = 100.0

# Far above the rounding of a level in float32 [dB].
MARGIN = 1e-3


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


# ---------------------------------------------------------------- a path loss function


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


# ---------------------------------------------------------------- one pass over some pixels


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
    server = np.full(ground.shape, -1, np.int32)
    stop, end = model.reach("ground_distance")[1], model.reach("distance")[1]
    # the straight line is never shorter than its ground track
    beams = _loudest_first(network, model, y, x, min(stop, end))
    if not beams or beams[0][0] + MARGIN < floor:
        return np.full(ground.shape, np.nan, np.float32), server
    best = np.full(ground.shape, floor, np.float32)
    known = np.isfinite(ground)
    altitude = ground + model.receiver_height
    for ceiling, site, frequency, cells in beams:
        # Exact: what cannot beat the weakest pixel beats none.
        if ceiling + MARGIN < best.min(where=known, initial=np.inf):
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
