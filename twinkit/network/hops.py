"""Traffic on paths, hop by hop, as arrays: what the formulas and the packet simulator both take.

An arc is one direction of a link. A path is a run of arcs with a rate; the paths of one demand share its number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numba import njit

from twinkit.contract import within
from twinkit.error import TwinError
from twinkit.network.graph import DIRECTIONS, index, positions
from twinkit.network.route import check_offered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Bursts", "Packets", "Paths", "along", "each_case", "paths"]


@dataclass(frozen=True)
class Bursts:
    """Sources that are on and off in turn, for exponential times, and send packets only while they are on.

    Attributes
    ----------
    on, off : float [s]
        Mean times. The rate while on is the mean rate times (on + off) / on.
    """

    on: float
    off: float

    def __post_init__(self) -> None:
        for name in ("on", "off"):
            within(getattr(self, name), 1e-9, 1e9, name=name, unit="s")

    @property
    def share(self) -> float:
        """Share of the time in which a source is on."""
        return self.on / (self.on + self.off)


@dataclass(frozen=True, eq=False)
class Packets:
    """The mix of packet sizes.

    Attributes
    ----------
    bits : array (size,) [bit]
    share : array (size,) [1]
        Of the packets, not of the bits; adds up to one.
    """

    bits: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, sizes: Mapping[float, float]) -> Packets:
        """From sizes [byte] and how many packets have each: ``{300: 1, 1500: 1}``.

        >>> Packets.of({300: 1, 1500: 1}).mean
        7200.0
        """
        try:
            given = sorted((float(k), float(v)) for k, v in sizes.items())
        except (AttributeError, TypeError, ValueError):
            given = []
        if not given or any(not (0 < k < 1e9 and 0 <= v < np.inf) for k, v in given) or not sum(v for _, v in given):
            raise TwinError(
                "packet sizes [byte] with the share of each", found=repr(sizes),
                hint="packet_sizes={300: 1, 1500: 1}", where="packet_sizes",
            )  # fmt: skip
        bits, share = np.array(given).T
        return cls(bits * 8, share / share.sum())

    @property
    def mean(self) -> float:
        """Mean size [bit]."""
        return float(self.bits @ self.share)

    @property
    def variability(self) -> float:
        """Variance over the square of the mean.

        >>> round(Packets.of({300: 1, 1500: 1}).variability, 4)
        0.4444
        """
        return float((self.bits**2) @ self.share / self.mean**2 - 1)


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths over arcs, with what each carries; made by `paths` and `along`.

    Attributes
    ----------
    capacity : float array (arc,) [bit/s]
    propagation : float array (arc,) [s]
    start : int64 array (path + 1,)
        Path p has the hops from start[p] to start[p + 1].
    arc : int32 array (hop,)
        Position of each hop's arc.
    rate : float array (path,) [bit/s]
    demand : int64 array (path,)
        Which demand each path serves.
    demands : int
    name : object array (arc,)
        For messages.
    """

    capacity: np.ndarray
    propagation: np.ndarray
    start: np.ndarray
    arc: np.ndarray
    rate: np.ndarray
    demand: np.ndarray
    demands: int
    name: np.ndarray = field(repr=False)

    @cached_property
    def path(self) -> np.ndarray:
        """Which path each hop (hop,) belongs to."""
        return np.repeat(np.arange(len(self.rate)), np.diff(self.start))

    @cached_property
    def load(self) -> np.ndarray:
        """Traffic offered to each arc over its capacity (arc,) [1]."""
        # of no hops at all, bincount gives whole numbers
        carried = np.bincount(self.arc, self.rate[self.path], minlength=len(self.capacity)).astype(float)
        return np.divide(carried, self.capacity, out=np.zeros_like(carried), where=carried > 0)

    def scaled(self, factor: float | np.ndarray) -> Paths:
        """The same paths with each rate times a factor, one for all or one a path."""
        return replace(self, rate=self.rate * factor)

    def by_demand(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Weighted mean of values (path,) over the paths of each demand (demand,); NaN where there is no weight."""
        total = np.bincount(self.demand, weight, minlength=self.demands)
        some = np.bincount(self.demand, weight * values, minlength=self.demands)
        return np.divide(some, total, out=np.full(self.demands, np.nan), where=total > 0)


def paths(
    arcs: Sequence[Sequence[int]],
    rate: Sequence[float] | np.ndarray,
    *,
    capacity: Sequence[float] | np.ndarray,
    propagation: Sequence[float] | np.ndarray | float = 0.0,
) -> Paths:
    """Paths over arcs, each its own demand, checked once for formulas and simulator alike.

    Parameters
    ----------
    arcs : sequence of sequences of int
        The arcs that each path goes over, in order.
    rate : array (path,) [bit/s]
    capacity : array (arc,) [bit/s]
    propagation : float or array (arc,) [s]

    Returns
    -------
    Paths

    Errors
    ------
    TwinError
        A path without arcs, an arc that does not exist or twice in one path, traffic over an arc without capacity, a
        negative rate, capacity or time.

    Examples
    --------
    >>> tandem = paths([[0, 1], [1]], [3e6, 2e6], capacity=[10e6, 10e6])
    >>> tandem.load.tolist()
    [0.3, 0.5]
    """
    width = np.asarray(capacity, float)
    far = np.broadcast_to(np.asarray(propagation, float), width.shape).copy()
    rates = np.asarray(rate, float)
    if len(arcs) != len(rates):
        raise TwinError("a rate for each path", found=f"{len(rates)} for {len(arcs)}", hint="one each", where="rate")
    lengths = np.array([len(a) for a in arcs], np.int64)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    hop = np.concatenate([np.asarray(a, np.int64) for a in arcs]) if len(arcs) else np.empty(0, np.int64)
    names = np.array([f"arc {i}" for i in range(len(width))], dtype=object)
    return _checked(Paths(width, far, start, hop, rates, np.arange(len(rates)), len(rates), names))


def check_choices(places: int | None, bursts: Bursts | None, *, most: int = 10_000) -> int | None:
    """The places of a buffer as a whole number, and sources that are what they should be.

    Errors
    ------
    TwinError
        Half a place, none or more than `most`; bursts that are no `Bursts`.
    """
    if bursts is not None and not isinstance(bursts, Bursts):
        raise TwinError(
            "sources that are on and off in turn", found=repr(bursts)[:80],
            hint="bursts=tk.network.Bursts(on=1.0, off=1.0), or leave it out for Poisson sources", where="bursts",
        )  # fmt: skip
    if places is None:
        return None
    within(places, 1, most, name="places", unit="packets")
    if int(places) != places:
        raise TwinError("a whole number of places", found=f"{places:g}", hint="round it", where="places")
    return int(places)


def along(twin: xr.DataTree, routing: xr.Dataset, *, speed: float) -> Paths:
    """The paths that a routing makes of a twin's demands: what is split is taken apart into paths that are not.

    A demand that is split over several ways becomes as many paths at most as it has legs, the widest first. Each packet
    keeps to one of them, as routers do that choose by the flow's addresses.

    Parameters
    ----------
    twin : DataTree
        With sites, links and demands; computed.
    routing : Dataset (leg)
        As `twinkit.network.routing` gives it.
    speed : float [m/s]
        Of light in the medium, 2e8 in fibre. A link of unknown length has no propagation delay; so has every link when
        it is infinite.

    Returns
    -------
    Paths
        Arc l is link l forward, arc n_links + l the same link backward.

    Errors
    ------
    TwinError
        As `paths`; legs that do not lead from a demand's origin to its destination, or traffic over a link whose
        capacity is unknown.

    Examples
    --------
    >>> from twinkit.network.route import routing
    >>> from twinkit.network.traffic import square
    >>> taken = along(square(), routing(square()), speed=2e8)
    >>> len(taken.rate), taken.arc.tolist(), taken.rate.tolist()
    (2, [0, 1, 7, 6], [500000000.0, 500000000.0])
    """
    shares, offered = _shares(twin, routing, speed)
    if offered.dims != ("demand",):
        raise TwinError(
            "one case", found=f"offered on {offered.dims}", hint="twin with demands.isel(...)", where="demands/offered"
        )
    return shares.scaled(offered.values[shares.demand])


def each_case(
    twin: xr.DataTree, routing: xr.Dataset, *, speed: float, solve: Callable[[Paths], Mapping[str, np.ndarray]]
) -> xr.Dataset:
    """What `solve` gives for the paths of each case: of each time, scenario or draw that the demands are offered in.

    Parameters
    ----------
    twin, routing, speed
        As for `along`; ``offered`` may carry further dims.
    solve : function of Paths
        Gives arrays (demand, ...) and, where the name begins with ``link_``, (arc,).

    Returns
    -------
    Dataset (..., demand) and (..., link, direction)
    """
    shares, offered = _shares(twin, routing, speed)
    others = [d for d in offered.dims if d != "demand"]
    values = offered.transpose(*others, "demand")
    sizes = [values.sizes[d] for d in others]
    flat = values.values.reshape(int(np.prod(sizes)), values.sizes["demand"])
    cases = [solve(shares.scaled(row[shares.demand])) for row in flat]
    coords = {d: offered[d] for d in offered.dims if d in offered.coords}
    half = len(shares.capacity) // 2
    out = {}
    for name in cases[0] if cases else ():
        found = np.stack([c[name] for c in cases])
        if name.startswith("link_"):
            dims = [*others, "direction", "link"]
            whole = xr.DataArray(found.reshape(*sizes, 2, half), dims=dims).transpose(*others, "link", "direction")
        else:
            more = ["end"] if found.ndim == 3 else []
            whole = xr.DataArray(found.reshape(*sizes, *found.shape[1:]), dims=[*others, "demand", *more])
        out[name] = whole
    ends = {"link": shares.name[:half], "direction": np.array(DIRECTIONS, dtype=object)}
    return xr.Dataset(out).assign_coords(coords).assign_coords(ends)


def _shares(twin: xr.DataTree, routing: xr.Dataset, speed: float) -> tuple[Paths, xr.DataArray]:
    """The paths, with the share of their demand as rate; and what is offered, computed."""
    within(speed, 1.0, np.inf, name="speed", unit="m/s")
    net = index(twin)
    demands = twin.children["demands"].to_dataset(inherit=False)
    ids = np.asarray(demands["demand"].values, dtype=object)
    offered = demands["offered"].compute()
    check_offered(offered, ids)
    ends = [net.position(demands[n].values, where=f"demands/{n}") for n in ("origin", "destination")]
    arc = positions(routing["over"].values, net.link, "link", "routing/over")
    arc = arc + len(net.link) * (np.asarray(routing["way"].values, dtype=object) == DIRECTIONS[1])
    serves = positions(routing["serves"].values, ids, "demand", "routing/serves")
    split = np.asarray(routing["split"].values, float)
    _check_legs(routing, split)
    order = np.lexsort((-split, serves))
    first = np.searchsorted(serves[order], np.arange(len(ids) + 1))
    of, lengths, hop, share, lost = _apart(ends[0], ends[1], first, arc[order], split[order], net.tail, net.head)
    if lost >= 0:
        raise TwinError(
            "legs that lead from origin to destination", found=f"others for demand '{ids[lost]}'",
            hint="take what twinkit.network.routing gives", where="routing",
        )  # fmt: skip
    far = np.nan_to_num(np.concatenate([net.length, net.length])) / speed
    names = np.concatenate([net.link, np.array([f"{n} backward" for n in net.link], dtype=object)])
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    width = np.concatenate([net.capacity, net.capacity])
    unknown = np.flatnonzero(np.isnan(width[hop]))
    if unknown.size:
        raise TwinError(
            "links of known capacity where there is traffic", found=f"NaN at '{names[hop[unknown[0]]]}'",
            hint="fill it in, or leave the link out with usable=", where="links/capacity",
        )  # fmt: skip
    return _checked(Paths(np.nan_to_num(width), far, start, hop, share, of, len(ids), names)), offered


def _check_legs(routing: xr.Dataset, split: np.ndarray) -> None:
    """Refuse a routing that was changed by hand into none: every leg has a direction and a share of its demand."""
    odd = ~((split >= 0) & (split <= 1 + 1e-6))
    if odd.any():
        raise TwinError(
            "shares of a demand from 0 to 1", found=f"{split[odd][0]:g}", hint="take what routing(twin) gives",
            where="routing/split",
        )  # fmt: skip
    way = np.asarray(routing["way"].values, dtype=object)
    strange = (way != DIRECTIONS[0]) & (way != DIRECTIONS[1])
    if strange.any():
        raise TwinError(
            f"a direction, {' or '.join(DIRECTIONS)}", found=f"'{way[strange][0]}'",
            hint="take what routing(twin) gives", where="routing/way",
        )  # fmt: skip


def _checked(found: Paths) -> Paths:
    for name, value, unit in (("rate", found.rate, "bit/s"), ("capacity", found.capacity, "bit/s")):
        within(value, 0, 1e18, name=name, unit=unit)
    within(found.propagation, 0, 1e6, name="propagation", unit="s")
    lengths, count = np.diff(found.start), max(len(found.capacity), 1)
    if (lengths == 0).any():
        raise TwinError(
            "paths with arcs", found=f"none in path {int(np.flatnonzero(lengths == 0)[0])}",
            hint="leave out demands that have no route, or that end where they begin", where="paths",
        )  # fmt: skip
    if found.arc.size and not 0 <= found.arc.min() <= found.arc.max() < len(found.capacity):
        raise TwinError(
            f"arcs from 0 to {len(found.capacity) - 1}", found=f"{found.arc.min()} to {found.arc.max()}",
            hint="count from 0", where="paths",
        )  # fmt: skip
    keys, times = np.unique(found.path * count + found.arc, return_counts=True)
    if (times > 1).any():
        key = int(keys[times > 1][0])
        raise TwinError(
            "paths without loops", found=f"'{found.name[key % count]}' twice in path {key // count}",
            hint="route anew", where="paths",
        )  # fmt: skip
    dead = np.flatnonzero((found.capacity[found.arc] == 0) & (found.rate[found.path] > 0))
    if dead.size:
        raise TwinError(
            "traffic only over links with a capacity", found=f"0 bit/s at '{found.name[found.arc[dead[0]]]}'",
            hint="route around it, or give it its capacity", where="links/capacity",
        )  # fmt: skip
    return replace(found, arc=found.arc.astype(np.int32))


def _apart(origin: Any, destination: Any, first: Any, arc: Any, split: Any, tail: Any, head: Any) -> tuple[Any, ...]:
    """Demand, length, arcs and share of each path; and a demand whose legs do not lead there, or -1."""
    return _taken_apart(origin, destination, first, arc.astype(np.int64), split.copy(), tail, head)  # type: ignore[no-any-return]


@njit(cache=True)
def _taken_apart(origin, destination, first, arc, left, tail, head):  # type: ignore[no-untyped-def]
    room = max(len(arc), 1)
    of, lengths, share = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
    hops = np.empty(4 * room, np.int64)
    count = used = 0
    way = np.empty(len(tail) + 1, np.int64)
    seen = np.full(max(tail.max(), head.max()) + 1 if len(tail) else 1, -1, np.int64)
    mark = 0
    for k in range(len(origin)):
        low, high = first[k], first[k + 1]
        while True:
            mark += 1
            here, depth = origin[k], 0
            seen[here] = mark
            looped = False
            while here != destination[k]:
                best = -1
                for leg in range(low, high):
                    if tail[arc[leg]] == here and left[leg] > 1e-7 and (best < 0 or left[leg] > left[best]):
                        best = leg
                if best < 0:
                    break
                way[depth] = best
                depth += 1
                here = head[arc[best]]
                if seen[here] == mark:
                    looped = True
                    break
                seen[here] = mark
            begin = 0
            if looped:
                # traffic in a circle reaches nobody: it is taken off
                while tail[arc[way[begin]]] != here:
                    begin += 1
            elif here != destination[k]:
                if depth == 0:
                    break
                return of[:count], lengths[:count], hops[:used], share[:count], k
            if depth == 0:
                break
            least = left[way[begin]]
            for i in range(begin, depth):
                least = min(least, left[way[i]])
            for i in range(begin, depth):
                left[way[i]] -= least
            if looped:
                continue
            if used + depth > len(hops):
                bigger = np.empty(2 * (used + depth), np.int64)
                bigger[:used] = hops[:used]
                hops = bigger
            for i in range(depth):
                hops[used + i] = arc[way[i]]
            of[count], lengths[count], share[count] = k, depth, least
            used += depth
            count += 1
    return of[:count], lengths[:count], hops[:used], share[:count], -1
