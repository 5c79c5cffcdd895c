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
from twinkit.radio.entry_loss import entry_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

__all__ = [
    "ANTENNAS",
    "ENTRY",
    "QUANTITIES",
    "Model",
    "Network",
    "asked",
    "chosen",
    "level_is_least",
    "levels",
    "model_of",
    "named",
    "network",
    "resource_element_power",
    "strongest",
]

ANTENNAS: dict[str, Callable[..., Any]] = {"omni": isotropic, "sector": sector}
"""What a cell's ``antenna`` may name: gain [dBi] of azimuth off boresight, elevation and, if it takes one, downtilt."""

QUANTITIES = ("distance", "ground_distance", "frequency", "transmitter_height", "receiver_height")
"""What a path loss model may ask for by the names of its parameters."""

ENTRY = ("frequency", "elevation")
"""What a loss into buildings may ask for."""

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
    bandwidth: np.ndarray
    load: np.ndarray


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
    within: tuple[np.ndarray, np.ndarray] | None = None,
    load: Any = None,
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
    if within is not None:
        for axis, name, values in ((within[0], "y", site_y), (within[1], "x", site_x)):
            _check_on_map(np.asarray(values, float)[used], axis, name, np.asarray(site)[used])
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
        bandwidth=np.asarray(bandwidth, float),
        load=_known_load(load, ids),
    )


def _known_load(load: Any, ids: Any) -> np.ndarray:
    values = np.zeros(len(ids)) if load is None else np.asarray(load, float)
    bad = ~((values >= 0.0) & (values <= 1.0))
    if bad.any():
        raise TwinError(
            "a load from 0 to 1 of every cell",
            found=f"{values[bad][0]:g} at cell '{np.asarray(ids)[bad][0]}'",
            hint="give shares, not percent, and fill what is unknown",
            where="load",
        )
    return values


def _check_on_map(values: np.ndarray, axis: np.ndarray, name: str, ids: np.ndarray) -> None:
    half = 0.5 * (axis[1] - axis[0])
    off = (values < axis[0] - half) | (values > axis[-1] + half)
    if off.any():
        raise TwinError(
            f"masts on the terrain, {name} from {axis[0]:g} to {axis[-1]:g} m",
            found=f"site '{ids[off][0]}' at {name} = {values[off][0]:g} m",
            hint="check that sites and surface are in the twin's CRS; drop the site, or take more terrain",
            where=f"sites/{name}",
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
    entry: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """Its dotted name, for provenance."""
        return named(self.function)

    @property
    def chosen(self) -> str:
        """What was set beforehand by `functools.partial`, for the assumptions."""
        return chosen(self.function)

    def defaults(self) -> str:
        """What the function takes of itself, because nobody has chosen it."""
        return left(self.function, (*QUANTITIES, "details"))

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
        return self.checked(self.function(**{n: given[n] for n in self.asks}), ground_distance, frequency)

    def losses(
        self,
        network: Network,
        site: int,
        frequency: float,
        away: np.ndarray,
        drop: np.ndarray,
        some: np.ndarray | None,  # noqa: ARG002 - a model over terrain asks where the pixels are
        needed: np.ndarray | None,  # noqa: ARG002 - and leaves some out
    ) -> np.ndarray:
        """Loss [dB] from a mast to the pixels `some` (all where None); +inf will do where it is not `needed`."""
        return self.loss(away, drop, frequency, network.height[site])

    def floor(
        self,
        away: np.ndarray,  # noqa: ARG002 - a model over terrain has a floor that grows with distance
        frequency: float,  # noqa: ARG002
    ) -> np.ndarray | None:
        """A loss [dB] below which the model's cannot fall, where one is known without computing it."""
        return None

    def entered(self, loss: np.ndarray, away: np.ndarray, drop: np.ndarray, frequency: float) -> np.ndarray:
        """The loss [dB] with that of the way into a building, if there is one."""
        if self.entry is None:
            return loss
        given = {"frequency": frequency}
        if "elevation" in inspect.signature(self.entry).parameters:
            given["elevation"] = np.degrees(np.arctan2(-drop, np.maximum(away, 1e-9)))
        return loss + self.checked(self.entry(**given), away, frequency)

    def checked(self, answer: Any, ground_distance: np.ndarray, frequency: float) -> np.ndarray:
        """What a function answered, if it is a loss for every distance."""
        loss = np.asarray(answer, dtype=float)
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


def named(function: Any) -> str:
    """Dotted name of a function, whatever `functools.partial` set beforehand."""
    inner = getattr(function, "func", function)
    return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', repr(inner))}"


def chosen(function: Any) -> str:
    """What `functools.partial` set beforehand, in words."""
    return _listed(getattr(function, "keywords", {}))


def left(function: Any, given: Container[str]) -> str:
    """Which values a function takes of itself, beside those that it is `given`, in words.

    >>> def mine(distance, *, exponent=3.5): ...
    >>> left(mine, ["distance"])
    'exponent 3.5'
    """
    given_before = getattr(function, "keywords", {})
    return _listed(
        {
            p.name: p.default
            for p in inspect.signature(function).parameters.values()
            if p.default is not p.empty and p.default is not None and p.name not in given and p.name not in given_before
        }
    )


def _listed(choices: Mapping[str, Any]) -> str:
    words = {k: named(v) if callable(v) else f"{v:g}" if isinstance(v, float) else f"{v}" for k, v in choices.items()}
    return ", ".join(f"{k} {v}" for k, v in sorted(words.items()))


def model_of(
    path_loss: Any, receiver_height: float, entry: Callable[..., Any] | None = None, *, farthest: float | None = None
) -> Model:
    """What a path loss function asks for and promises, or why it cannot be used."""
    asks = asked(path_loss, QUANTITIES)
    inner = getattr(path_loss, "func", path_loss)
    valid = dict(getattr(inner, "valid", {}))
    if farthest is not None:
        start, stop = valid.get("ground_distance", (0.0, math.inf))
        valid["ground_distance"] = (start, min(stop, farthest))
    grows = getattr(inner, "grows_with", "") in ("distance", "ground_distance")
    grows = grows and (entry is None or level_is_least(entry))
    return Model(path_loss, asks, float(receiver_height), valid, getattr(inner, "why", ""), grows, entry)


def level_is_least(entry: Callable[..., Any]) -> bool:
    """Whether a level path is known to be the easiest way into a building: of our own function alone."""
    return getattr(entry, "func", entry) is entry_loss or "elevation" not in asked(entry, ENTRY, "entry")


def asked(function: Any, known: tuple[str, ...], where: str = "path_loss") -> tuple[str, ...]:
    """Which of the known quantities a function names as parameters; all others must have a value already.

    Errors
    ------
    TwinError
        No function, one of nothing that is known, or a parameter without a value.
    """
    if not callable(function):
        raise TwinError(
            "a path loss function" if where == "path_loss" else f"a function for {where}",
            found=f"{function!r}",
            hint="pass the function itself: path_loss=tk.radio.free_space",
            where=where,
        )
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        raise TwinError(
            "a function with named parameters", found=repr(function), hint="wrap it in a def", where=where
        ) from None
    asks = tuple(p.name for p in parameters if p.name in known and p.kind is not p.POSITIONAL_ONLY)
    for p in parameters:
        if p.name in ("profile", "heights") and p.name not in known:
            raise TwinError(
                "a model that looks at no terrain",
                found=f"{named(function)}, which asks for '{p.name}'",
                hint="tk.radio.coverage takes it; here pass a model of distance, such as tk.radio.rma",
                where=where,
            )
        if p.name not in asks and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            near = close_to(p.name, known)
            raise TwinError(
                f"a model of {', '.join(known)}",
                found=f"a parameter '{p.name}' without a default",
                hint=f"name it {near}" if near else f"set it: functools.partial(model, {p.name}=...)",
                where=where,
            )
    if not asks:
        raise TwinError(
            f"a model of {', '.join(known)}",
            found="a function of none of them",
            hint="name its parameters so: def mine(distance, *, frequency)",
            where=where,
        )
    return asks


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
    best = np.full(ground.shape, floor, np.float32)
    for cell, some, level in levels(network, model, ground, y, x, weakest=best):
        if some is None:
            better = (level > best) | ((level == best) & (cell < server))
            np.copyto(best, level, where=better)
            np.copyto(server, np.int32(cell), where=better)
        else:
            better = (level > best[some]) | ((level == best[some]) & (cell < server[some]))
            best[some[better]], server[some[better]] = level[better], cell
    best[server < 0] = np.nan
    return best, server


def levels(
    network: Network,
    model: Model,
    ground: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    *,
    weakest: np.ndarray | None = None,
) -> Iterator[tuple[int, np.ndarray | None, np.ndarray]]:
    """What each cell lays on some pixels: its position, the pixels (all where None) and the level [dBm] there.

    Parameters
    ----------
    network, model, ground, y, x
        As for `strongest`.
    weakest : array (n,) [dBm], optional
        Looked at anew before each mast: levels that provably stay below are left out, or are -inf.
    """
    stop, end = model.reach("ground_distance")[1], model.reach("distance")[1]
    known = np.isfinite(ground)
    altitude = ground + model.receiver_height
    # the straight line is never shorter than its ground track
    beams = _loudest_first(network, model, y, x, min(stop, end))
    if weakest is None:
        # sums are rounded alike whatever the pixels beside
        beams.sort(key=lambda beam: beam[1:3])
    for ceiling, site, frequency, cells in beams:
        # Exact: what cannot beat the weakest pixel beats none.
        if weakest is not None and ceiling + MARGIN < weakest.min(where=known, initial=np.inf):
            return
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
        bearing = elevation = None
        gains: list[Any] = []
        for cell in cells:
            pattern = network.patterns[network.antenna[cell]]
            if pattern is isotropic:
                gains.append(None)
                continue
            if bearing is None:
                bearing, elevation = np.degrees(np.arctan2(dx, dy)), np.degrees(np.arctan2(drop, away))
            gains.append(_gain(pattern, bearing - network.azimuth[cell], elevation, network.downtilt[cell]))
        needed = None
        if weakest is not None:
            floor = model.floor(away, frequency)
            if floor is not None:
                floor = model.entered(floor, away, drop, frequency)
                most = [network.power[c] + (0.0 if g is None else g) for c, g in zip(cells, gains, strict=True)]
                reached = functools.reduce(np.maximum, most) - floor + MARGIN
                needed = reached >= (weakest if some is None else weakest[some])
                if not needed.any():
                    continue
        loss = model.losses(network, site, frequency, away, drop, some, needed)
        loss = model.entered(loss, away, drop, frequency)
        for cell, gain in zip(cells, gains, strict=True):
            level: Any = network.power[cell] - loss
            if gain is not None:
                level = level + gain
            yield cell, some, np.broadcast_to(np.float32(level), away.shape)


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
            nearest, level = np.array([gap]), np.zeros(1)
            loss = model.loss(nearest, level, frequency, network.height[site])
            least = float(model.entered(loss, nearest, level, frequency).min())
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
