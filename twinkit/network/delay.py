"""Delay by formulas: every queue of the network at once, in milliseconds and without training.

Each arc is a queue by itself that its paths load (decomposition), fed by what earlier arcs let through: M/G/1 under
Poisson sources, M/G/1/K with finite buffers, and the queues of `burst` under on-off sources. The second road to each of
its numbers is `packet_delay`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from twinkit.contract import contract
from twinkit.network.burst import frozen, held_back, modulated
from twinkit.network.hops import Bursts, Packets, Paths, check_choices, each_case
from twinkit.network.packet import simulated
from twinkit.network.queueing import stable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Estimate", "delay", "estimated", "packet_delay"]

READS = [
    "links/source", "links/target", "links/capacity",
    "demands/origin", "demands/destination", "demands/offered",
    "serves", "over", "way", "split",
]  # fmt: skip

ROUNDS = 50
"""Passes at most of the fixed point between loss and what is left to load the next arcs."""

SETTLED = 1e-7
"""Change of a share lost below which the fixed point has settled."""

SLOW = 0.02
"""Time to empty a buffer over the sources' mean times, from which a finite queue is followed through the switches."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """What the formulas give; made by `estimated`.

    Attributes
    ----------
    paths : Paths
    hop_delay : float array (hop,) [s]
        Waiting, transmission and propagation of the packets that the arc takes on.
    hop_loss : float array (hop,) [1]
        Share of the packets that come to the arc and find its buffer full.
    """

    paths: Paths
    hop_delay: np.ndarray
    hop_loss: np.ndarray
    packets: Packets

    @property
    def path_delay(self) -> np.ndarray:
        """Mean delay of the packets that arrive (path,) [s]."""
        return np.bincount(self.paths.path, self.hop_delay, minlength=len(self.paths.rate))

    @cached_property
    def path_kept(self) -> np.ndarray:
        """Share of the packets that arrive (path,) [1]."""
        kept = np.log1p(-np.minimum(self.hop_loss, 1 - 1e-15))
        return np.exp(np.bincount(self.paths.path, kept, minlength=len(self.paths.rate)))

    @property
    def delay(self) -> np.ndarray:
        """Mean delay of each demand (demand,) [s]; NaN where none is carried."""
        return self.paths.by_demand(self.path_delay, self.paths.rate * self.path_kept)

    @property
    def loss(self) -> np.ndarray:
        """Share of each demand's packets (demand,) that are lost [1]."""
        return self.paths.by_demand(1 - self.path_kept, self.paths.rate)

    @property
    def arc_delay(self) -> np.ndarray:
        """Mean delay on each arc (arc,) [s]; where nothing is carried, transmission and propagation."""
        come = self._come()
        with np.errstate(divide="ignore"):
            alone = np.where(self.paths.capacity > 0, self.packets.mean / self.paths.capacity, np.nan)
        alone = alone + self.paths.propagation
        kept = self._sum(come * (1 - self.hop_loss))
        time = self._sum(come * (1 - self.hop_loss) * self.hop_delay)
        return np.divide(time, kept, out=alone, where=kept > 0)

    @property
    def arc_loss(self) -> np.ndarray:
        """Share of the packets that find the buffer of each arc (arc,) full [1]."""
        come = self._come()
        return np.divide(
            self._sum(come * self.hop_loss), self._sum(come), out=np.zeros(len(self.paths.capacity)),
            where=self._sum(come) > 0,
        )  # fmt: skip

    def _come(self) -> np.ndarray:
        return reached(self.paths, self.hop_loss) * self.paths.rate[self.paths.path]

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.paths.arc, values, minlength=len(self.paths.capacity))


def reached(paths: Paths, hop_loss: np.ndarray) -> np.ndarray:
    """Share of a path's packets that come as far as each hop (hop,)."""
    logs = np.log1p(-np.minimum(hop_loss, 1 - 1e-15))
    before = np.cumsum(logs) - logs
    return np.exp(before - before[paths.start[:-1]][paths.path]) if len(logs) else logs


def estimated(
    paths: Paths, *, packet_sizes: Mapping[float, float], places: int | None = None, bursts: Bursts | None = None
) -> Estimate:
    """Delay and loss on every hop of every path, by formulas.

    ::

        D_path = Σ_hops (W + S + propagation),   S = E[size] / capacity
        W = ρ S (1 + c²) / (2 (1 - ρ))               Poisson sources, queues without end
        W, P of M/G/1/K at ρ = Σ r Π (1 - P) / C     finite buffers: a fixed point over all arcs
        W, P of `burst.modulated`, `burst.frozen`    on-off sources; behind a queue without end `burst.held_back`

    Parameters
    ----------
    paths : Paths
    packet_sizes : dict of float to float
        Size [byte] to the share of packets that have it.
    places : int, optional
        Packets that an arc has room for, the one in transmission among them. Left out: queues without end.
    bursts : Bursts, optional
        On-off sources, one a path. Left out: Poisson.

    Returns
    -------
    Estimate

    Validity
    --------
    Exact on the first hop under Poisson sources. Beyond it, arrivals are taken as if the queues before had not shaped
    them: docs/delay.md has the errors against the packet simulator. With bursts and finite buffers, loss is that of
    rates that last: too high where a buffer takes long to fill.

    Errors
    ------
    TwinError
        A queue without end at a utilisation of one or more: where, and by how much.

    Examples
    --------
    >>> from twinkit.network.hops import paths
    >>> two = paths([[0, 1]], [5e6], capacity=[10e6, 20e6])
    >>> (estimated(two, packet_sizes={1000: 1}).hop_delay * 1e3).round(3)
    array([1.2  , 0.467])
    """
    packets = Packets.of(packet_sizes)
    places = check_choices(places, bursts)
    with np.errstate(divide="ignore"):
        service = packets.mean / paths.capacity
    own = service[paths.arc]
    lost = np.zeros(len(paths.arc))
    if places is None:
        stable(xr.DataArray(paths.load, {"link": paths.name}, "link"), where="delay")
        if bursts is None:
            load = np.where(paths.load > 0, paths.load, 0.0)
            with np.errstate(invalid="ignore"):
                waiting = np.where(load > 0, load * service * (1 + packets.variability) / (2 * (1 - load)), 0.0)
            return Estimate(paths, (waiting + service + paths.propagation)[paths.arc], lost, packets)
        order, first = _by_arc(paths)
        waiting = np.empty(len(order))
        demanded = (paths.rate[paths.path] / paths.capacity[paths.arc])[order]
        waiting[order] = modulated(demanded, first, packets=packets, service=service, bursts=bursts)
        waiting = held_back(waiting, paths=paths, packets=packets)
        return Estimate(paths, waiting + own + paths.propagation[paths.arc], lost, packets)
    order, first = _by_arc(paths)
    offered = paths.rate[paths.path]
    waiting = np.zeros(len(order))
    for _ in range(ROUNDS):
        demanded = offered * reached(paths, lost) / paths.capacity[paths.arc]
        mean, gone = frozen(demanded[order], first, packets=packets, places=places, bursts=bursts)
        new = np.empty(len(order))
        new[order], waiting[order] = gone, mean
        change, lost = np.abs(new - lost).max(initial=0.0), new
        if change < SETTLED:
            break
    waiting = waiting * own
    if bursts is not None and len(order) and (places * own).max() > SLOW * min(bursts.on, bursts.off):
        # slower switches and more room both mean more waiting: of two that stand above, the lower is nearer
        whole = np.bincount(paths.arc, demanded, minlength=len(paths.capacity))
        open_ended = np.where((whole < 1)[paths.arc], demanded, 0.0)
        other = np.empty(len(order))
        other[order] = modulated(open_ended[order], first, packets=packets, service=service, bursts=bursts)
        waiting = np.where((whole < 1)[paths.arc], np.minimum(waiting, other), waiting)
    return Estimate(paths, waiting + own + paths.propagation[paths.arc], lost, packets)


def _by_arc(paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    """Order of the hops by their arc, and where each arc's begin (arc + 1,)."""
    order = np.argsort(paths.arc, kind="stable")
    return order, np.searchsorted(paths.arc[order], np.arange(len(paths.capacity) + 1))


@contract(reads=READS, gives=["delay", "loss", "link_delay", "link_loss"], computes=True)
def delay(
    twin: xr.DataTree,
    routing: xr.Dataset,
    *,
    packet_sizes: Mapping[float, float],
    speed: float,
    places: int | None = None,
    bursts: Bursts | None = None,
) -> xr.Dataset:
    """The mean delay and the loss of each demand and on each link, by formulas.

    ::

        D = Σ_hops (W + S + length / speed)

    with W of M/G/1, of M/G/1/K or of a queue under bursts, arc by arc: see `estimated`.

    Parameters
    ----------
    twin : DataTree
        With sites, links and demands; ``offered`` may carry further dims (time, scenario, draw). ``links/length`` where
        there is propagation delay.
    routing : Dataset (leg)
        As `twinkit.network.routing` gives it.
    packet_sizes : dict of float to float
        Size [byte] to the share of packets that have it, such as ``{300: 1, 1500: 1}``.
    speed : float [m/s]
        Of light in the medium: 2e8 in fibre; infinite for no propagation delay.
    places : int, optional
        Packets that a link has room for in each direction. Left out: queues without end.
    bursts : Bursts, optional
        On-off sources, one a path. Left out: Poisson sources.

    Returns
    -------
    Dataset (..., demand) and (..., link, direction)
        ``delay`` [s] of the packets that arrive, NaN for a demand without a route or traffic; ``loss`` [1];
        ``link_delay`` [s] and ``link_loss`` [1].

    Validity
    --------
    Sources that do not react to loss. See `estimated`, and docs/delay.md for the errors.

    Errors
    ------
    TwinError
        A queue without end at a utilisation of one or more: at which link, and by how much.

    Examples
    --------
    >>> from twinkit.network.route import routing
    >>> from twinkit.network.traffic import square
    >>> found = delay(square(), routing(square()), packet_sizes={1000: 1}, speed=2e8)
    >>> (found.delay.values * 1e6).round(2), (found.link_delay.sel(direction="forward").values * 1e6).round(2)
    (array([74.]), array([37., 37., 33., 33.]))
    """

    def solve(paths: Paths) -> dict[str, np.ndarray]:
        found = estimated(paths, packet_sizes=packet_sizes, places=places, bursts=bursts)
        return {
            "delay": found.delay, "loss": found.loss, "link_delay": found.arc_delay, "link_loss": found.arc_loss
        }  # fmt: skip

    return _told(each_case(twin, routing, speed=speed, solve=solve), "modelled: a queue an arc", bursts, places)


@contract(
    reads=READS, gives=["delay", "delay_interval", "loss", "packets", "link_delay", "link_loss"], computes=True
)  # fmt: skip
def packet_delay(
    twin: xr.DataTree,
    routing: xr.Dataset,
    *,
    packet_sizes: Mapping[float, float],
    speed: float,
    duration: float,
    seed: int,
    warm_up: float | None = None,
    places: int | None = None,
    bursts: Bursts | None = None,
) -> xr.Dataset:
    """The mean delay and the loss of each demand and on each link, counted on simulated packets.

    Parameters
    ----------
    twin, routing, packet_sizes, speed, places, bursts
        As for `delay`.
    duration : float [s]
        Time that counts; every further case of ``offered`` is simulated as long, from the same seed.
    seed : int
    warm_up : float [s]
        Time before it that does not count. Left out: a tenth of `duration`.

    Returns
    -------
    Dataset (..., demand) and (..., link, direction)
        As `delay`, with ``delay_interval`` (demand, end) [s], the interval of the mean at 95 % from 20 batches, and
        ``packets`` that were counted.

    Validity
    --------
    The interval holds where a batch, a twentieth of `duration`, is long against the sources' on and off times.

    Errors
    ------
    TwinError
        As `delay`; a run of more than 10^11 packet-hops.

    Examples
    --------
    >>> from twinkit.network.route import routing
    >>> from twinkit.network.traffic import square
    >>> found = packet_delay(square(), routing(square()), packet_sizes={1000: 1}, speed=2e8, duration=1, seed=1)
    >>> float((found.delay * 1e6).round().item())
    70.0

    The formulas say 74: behind a line of the same speed, packets of one size do not queue again.
    """

    def solve(paths: Paths) -> dict[str, np.ndarray]:
        found = simulated(
            paths, packet_sizes=packet_sizes, duration=duration, seed=seed, warm_up=warm_up, places=places,
            bursts=bursts,
        )  # fmt: skip
        return {
            "delay": found.delay, "delay_interval": found.interval(), "loss": found.loss,
            "packets": found.packets.astype(float), "link_delay": found.arc_delay + paths.propagation,
            "link_loss": found.arc_loss,
        }  # fmt: skip

    counted = each_case(twin, routing, speed=speed, solve=solve).assign_coords(end=["low", "high"])
    return _told(counted, f"modelled: packet simulation, seed {seed}, {duration:g} s", bursts, places)


def _told(found: xr.Dataset, how: str, bursts: Bursts | None, places: int | None) -> xr.Dataset:
    sources = "Poisson sources" if bursts is None else f"on-off sources, {bursts.on:g} s on and {bursts.off:g} s off"
    room = "queues without end" if places is None else f"room for {places} packets"
    said = {"provenance": how, "assumptions": f"{sources}; {room}; sources do not react to loss"}
    return found.assign({name: array.assign_attrs(said) for name, array in found.data_vars.items()})
