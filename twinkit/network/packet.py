"""Packets on a network, one by one: a discrete-event simulator, the second road to every number of `delay`.

Each arc is a line with a queue in front, first come first served, without end or with room for so many packets. A
packet is sent on when its last bit has arrived, and keeps its size over all hops. Sources are Poisson, or on and off
in turn.

How it is quick: a packet's departure is known when it arrives (it begins when the line is free), so that a hop is one
event. Events lie in a calendar of short buckets, unsorted until their bucket is due, when a dozen is sorted at once.
All Poisson sources together are one Poisson source, of which each packet draws its path from a table in one step; a
source that is off refuses the packet, which makes on-off sources exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import xarray as xr
from scipy.stats import t as student

from twinkit.contract import whole_seed, within
from twinkit.error import TwinError
from twinkit.network import hops
from twinkit.network.hops import Bursts, Packets, Paths, check_choices
from twinkit.network.queueing import stable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Record", "counted_delay", "simulated"]

EVENTS = 14
"""Events in a bucket of the calendar, on average."""

BUCKETS = 16384
"""Buckets in one turn of the calendar; an event that is farther away waits for its turn."""

MOST_HOPS = 1e11
"""Packet-hops of one run: some hours."""


@dataclass(frozen=True, eq=False)
class Record:
    """What was counted, by batch of time; made by `simulated`.

    Attributes
    ----------
    paths : Paths
    hop_packets, hop_lost : int64 array (batch, hop)
        Packets that an arc took on, and that found its buffer full.
    hop_time : float array (batch, hop) [s]
        Sum of waiting and transmission.
    path_packets : int64 array (batch, path)
        Packets that arrived at their end, by the batch in which they were sent.
    path_time : float array (batch, path) [s]
        Sum of their delays.
    path_lost : int64 array (batch, path)
    events : int
        Packet-hops in all, those of the warm-up among them.
    """

    paths: Paths
    hop_packets: np.ndarray
    hop_lost: np.ndarray
    hop_time: np.ndarray
    path_packets: np.ndarray
    path_time: np.ndarray
    path_lost: np.ndarray
    events: int

    @property
    def delay(self) -> np.ndarray:
        """Mean delay of each demand (demand,) [s]; NaN where no packet arrived."""
        return _over(self._demand(self.path_time).sum(0), self._demand(self.path_packets).sum(0))

    @property
    def packets(self) -> np.ndarray:
        """Packets of each demand (demand,) that arrived and were counted."""
        return self._demand(self.path_packets).sum(0)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Confidence interval of each demand's mean delay (demand, 2) [s], from the means of batches.

        Valid where batches are much longer than the queues remember.
        """
        half = half_width(self._demand(self.path_time), self._demand(self.path_packets), level)
        return np.stack([self.delay - half, self.delay + half], axis=-1)

    @property
    def loss(self) -> np.ndarray:
        """Share of each demand's packets (demand,) that were lost on the way [1]."""
        lost, came = (self._demand(a).sum(0) for a in (self.path_lost, self.path_packets))
        return _over(lost, lost + came)

    @property
    def arc_delay(self) -> np.ndarray:
        """Mean waiting and transmission on each arc (arc,) [s]; NaN where no packet came."""
        time, packets = (self._arc(a) for a in (self.hop_time, self.hop_packets))
        return _over(time, packets)

    @property
    def arc_loss(self) -> np.ndarray:
        """Share of packets that found the buffer of each arc (arc,) full [1]."""
        lost, packets = (self._arc(a) for a in (self.hop_lost, self.hop_packets))
        return _over(lost, lost + packets)

    def _arc(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.paths.arc, values.sum(0), minlength=len(self.paths.capacity))

    def _demand(self, values: np.ndarray) -> np.ndarray:
        out = np.zeros((len(values), self.paths.demands))
        for batch, row in enumerate(values):
            out[batch] = np.bincount(self.paths.demand, row, minlength=self.paths.demands)
        return out


def half_width(totals: np.ndarray, counts: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Half the confidence interval of a ratio of sums over batches (batch, ...); NaN where nothing was counted."""
    batches = len(totals)
    mean = _over(totals.sum(0), counts.sum(0))
    # of the ratio, not of the batches' own ratios: a batch may hold no packet
    off = totals - np.nan_to_num(mean) * counts
    error = np.sqrt(batches / (batches - 1) * (off**2).sum(0))
    return _over(error, counts.sum(0)) * float(student.ppf(0.5 + level / 2, batches - 1))


def simulated(
    paths: Paths,
    *,
    packet_sizes: Mapping[float, float],
    duration: float,
    seed: int,
    warm_up: float | None = None,
    places: int | None = None,
    bursts: Bursts | None = None,
    batches: int = 20,
) -> Record:
    """Send packets over the paths for a while, and count what happens to them.

    Parameters
    ----------
    paths : Paths
        From `twinkit.network.hops.paths`.
    packet_sizes : dict of float to float
        Size [byte] to the share of packets that have it.
    duration : float [s]
        Time that counts, in `batches` of equal length.
    seed : int
    warm_up : float [s]
        Time before it that does not count. Left out: a tenth of `duration`.
    places : int, optional
        Packets that an arc has room for, the one in transmission among them. Left out: queues without end.
    bursts : Bursts, optional
        On-off sources, one a path, each independent of the others; begun in their steady state. Left out: Poisson.
    batches : int

    Returns
    -------
    Record
        The same seed gives the same bytes.

    Validity
    --------
    Sources are open: they send whatever is lost, as no TCP would. All packets of one path have the same mix of sizes.

    Errors
    ------
    TwinError
        A queue without end at a utilisation of one or more, a time that is not positive, or a run of more than 10^11
        packet-hops.

    Examples
    --------
    >>> from twinkit.network.hops import paths
    >>> one = paths([[0]], [5e6], capacity=[10e6])
    >>> record = simulated(one, packet_sizes={1000: 1}, duration=100, seed=1)
    >>> (record.delay * 1e3).round(1)  # 0.8 ms of transmission and, by the formula, 0.4 ms of waiting
    array([1.2])
    """
    packets = Packets.of(packet_sizes)
    places = check_choices(places, bursts, most=10_000_000)
    within(duration, 1e-9, 1e9, name="duration", unit="s")
    warm = duration / 10 if warm_up is None else warm_up
    within(warm, 0, 1e9, name="warm_up", unit="s")
    within(batches, 2, 10_000, name="batches", unit="1")
    if places is None:
        stable(xr.DataArray(paths.load, {"link": paths.name}, "link"), where="packets")
    if len(packets.bits) > 256 or len(paths.rate) > 2**22:
        raise TwinError(
            "at most 256 packet sizes and 4 million paths",
            found=f"{len(packets.bits)} sizes, {len(paths.rate)} paths", hint="gather those that are alike",
            where="packet_sizes",
        )  # fmt: skip
    rate = paths.rate / packets.mean
    work = float(rate @ np.diff(paths.start))
    if work * (duration + warm) > MOST_HOPS:
        raise TwinError(
            f"at most {MOST_HOPS:g} packet-hops", found=f"{work * (duration + warm):.2g} in {duration + warm:g} s",
            hint=f"take duration={MOST_HOPS / work / 2:.2g}, or narrower links with as much less traffic",
            where="duration",
        )  # fmt: skip
    length = duration / int(batches)
    width = min(EVENTS / work if work else length, length / 10)
    chance, other = drawn_from(rate)
    first = np.random.SeedSequence(whole_seed(seed)).generate_state(1, np.uint64)[0]
    slots = np.full(len(paths.capacity), -1 if places is None else places, np.int64)
    with np.errstate(divide="ignore"):
        service = packets.bits / paths.capacity[:, None]
    on, off = (bursts.on, bursts.off) if bursts else (0.0, 0.0)
    limits = np.append(np.cumsum(packets.share)[:-1], 2.0)
    total = float(rate.sum()) / (bursts.share if bursts else 1.0)
    counted = _run(
        service, paths.propagation, slots, paths.start, paths.arc, chance, other, total, on, off, limits, first,
        float(warm), length, int(batches), width,
    )  # fmt: skip
    return Record(paths, *counted)


def counted_delay(
    arcs: Sequence[Sequence[int]],
    rate: Sequence[float],
    *,
    capacity: Sequence[float],
    packet_sizes: Mapping[float, float],
    duration: float,
    seed: int,
    places: int | None = None,
) -> np.ndarray:
    """Mean delay of each path by simulated packets, from plain lists.

    Parameters
    ----------
    arcs : sequence of sequences of int
        The arcs that each path goes over, in order.
    rate : sequence (path,) of float [bit/s]
    capacity : sequence (arc,) of float [bit/s]
    packet_sizes, duration, seed, places
        As for `simulated`.

    Returns
    -------
    array (path,) [s]

    Errors
    ------
    TwinError
        As `simulated`.

    Examples
    --------
    Two lines in a row, packets of one size: the faster line spares no waiting at the slower one, and adds none.

    >>> one = counted_delay([[0]], [5e6], capacity=[10e6], packet_sizes={1000: 1}, duration=1000, seed=1)
    >>> two = counted_delay([[0, 1]], [5e6], capacity=[40e6, 10e6], packet_sizes={1000: 1}, duration=1000, seed=1)
    >>> ((two - one) * 1e3).round(2)
    array([0.2])
    """
    record = simulated(
        hops.paths(arcs, rate, capacity=capacity),
        packet_sizes=packet_sizes,
        duration=duration,
        seed=seed,
        places=places,
    )
    return record.delay


def drawn_from(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's table: column i gives i with chance[i], else other[i]; a draw costs the same however many there are."""
    count = len(weight)
    total = float(weight.sum())
    chance, other = np.ones(count), np.arange(count, dtype=np.int32)
    scaled = weight * count / total if total else np.ones(count)
    small, large = (list(np.flatnonzero(side)[::-1]) for side in (scaled < 1, scaled >= 1))
    while small and large:
        low, high = small.pop(), large.pop()
        chance[low], other[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        (small if scaled[high] < 1 else large).append(high)
    return chance, other


def _over(some: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(some, total, out=np.full(np.shape(total), np.nan), where=np.asarray(total) > 0)


# ---------------------------------------------------------------- the kernel

# Steele, Lea and Flood's generator of 64 bits (SplitMix): one addition a state, no table, the same on every machine.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_BY_30, _BY_27, _BY_31, _BY_11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 1.0 / 2.0**53


@numba.njit(inline="always")
def _uniform(state):  # type: ignore[no-untyped-def]
    """A number from 0 to below 1 of a state."""
    z = (state ^ (state >> _BY_30)) * _FIRST
    z = (z ^ (z >> _BY_27)) * _SECOND
    return np.int64((z ^ (z >> _BY_31)) >> _BY_11) * _UNIT


@numba.njit(cache=True)
def _longer(array, size):  # type: ignore[no-untyped-def]
    bigger = np.zeros(size, array.dtype)
    bigger[: array.size] = array
    return bigger


@numba.njit(cache=True)
def _run(  # type: ignore[no-untyped-def]
    service, propagation, places, start, arc, chance, other, total, on, off, limits, state, warm, length, batches, width
):
    paths, arcs, sizes = start.size - 1, propagation.size, service.shape[1]
    hop_packets = np.zeros((batches, arc.size), np.int64)
    hop_lost = np.zeros((batches, arc.size), np.int64)
    hop_time = np.zeros((batches, arc.size))
    path_packets = np.zeros((batches, paths), np.int64)
    path_time = np.zeros((batches, paths))
    path_lost = np.zeros((batches, paths), np.int64)
    events = 0
    if total <= 0.0:
        return hop_packets, hop_lost, hop_time, path_packets, path_time, path_lost, events

    free = np.zeros(arcs)  # when the line will be
    # of each finite buffer, a ring with the departures of those inside
    ring_start = np.zeros(arcs + 1, np.int64)
    for a in range(arcs):
        ring_start[a + 1] = ring_start[a] + max(places[a], 0)
    ring = np.zeros(ring_start[arcs])
    head, inside = np.zeros(arcs, np.int64), np.zeros(arcs, np.int64)

    # packets under way: a pool with a list of the spare ones; `after` links the packets of a bucket, and the spare ones
    room = 4096
    due, born = np.zeros(room), np.zeros(room)
    at, kind = np.zeros(room, np.int32), np.zeros(room, np.int32)
    after = np.arange(1, room + 1).astype(np.int32)
    after[room - 1] = -1
    spare = 0
    bucket = np.full(BUCKETS, -1, np.int32)
    now = np.zeros(1024, np.int32)  # the packets of the bucket that is due, by time

    bursty = on > 0.0
    lit, turn = np.zeros(paths, np.bool_), np.zeros(paths)
    if bursty:
        for p in range(paths):
            state += _STEP
            lit[p] = _uniform(state) * (on + off) < on
            state += _STEP
            turn[p] = -math.log(1.0 - _uniform(state)) * (on if lit[p] else off)
    gap = 1.0 / total
    state += _STEP
    coming = -math.log(1.0 - _uniform(state)) * gap
    end, a_batch, a_bucket = warm + length * batches, 1.0 / length, 1.0 / width
    open_ones, tick = 0, 0
    while True:
        low, high = tick * width, (tick + 1) * width
        if low >= end and open_ones == 0:
            break
        batch = int((low - warm) * a_batch) if low >= warm else -1
        counts = 0 <= batch < batches
        waiting = 0
        slot = tick & (BUCKETS - 1)
        k = bucket[slot]
        bucket[slot] = -1
        while k >= 0:
            following = after[k]
            if due[k] >= high:
                # a later turn of the calendar
                after[k] = bucket[slot]
                bucket[slot] = k
            else:
                if waiting == now.size:
                    now = _longer(now, 2 * waiting)
                i = waiting
                while i > 0 and due[now[i - 1]] > due[k]:
                    now[i] = now[i - 1]
                    i -= 1
                now[i] = k
                waiting += 1
            k = following

        while coming < high:
            time = coming
            state += _STEP
            coming = time - math.log(1.0 - _uniform(state)) * gap
            state += _STEP
            where = _uniform(state) * paths
            p = int(where)
            if where - p >= chance[p]:
                p = other[p]
            if bursty:
                while turn[p] <= time:
                    lit[p] = not lit[p]
                    state += _STEP
                    turn[p] -= math.log(1.0 - _uniform(state)) * (on if lit[p] else off)
                if not lit[p]:
                    continue
            size = 0
            if sizes > 1:
                state += _STEP
                part = _uniform(state)
                while part >= limits[size]:
                    size += 1
            if spare < 0:
                due, born = _longer(due, 2 * room), _longer(born, 2 * room)
                at, kind, after = _longer(at, 2 * room), _longer(kind, 2 * room), _longer(after, 2 * room)
                for i in range(room, 2 * room):
                    after[i] = i + 1
                after[2 * room - 1] = -1
                spare, room = room, 2 * room
            k = spare
            spare = after[k]
            due[k] = born[k] = time
            at[k] = start[p]
            kind[k] = size | (p << 8)
            if warm <= time < end:
                open_ones += 1
            if waiting == now.size:
                now = _longer(now, 2 * waiting)
            i = waiting
            while i > 0 and due[now[i - 1]] > time:
                now[i] = now[i - 1]
                i -= 1
            now[i] = k
            waiting += 1

        done = 0
        while done < waiting:
            k = now[done]
            done += 1
            events += 1
            time, h = due[k], at[k]
            a = arc[h]
            leaves = max(time, free[a]) + service[a, kind[k] & 255]
            if places[a] >= 0:
                first, many, most = head[a], inside[a], places[a]
                while many > 0 and ring[ring_start[a] + first] <= time:
                    first += 1
                    if first == most:
                        first = 0
                    many -= 1
                head[a], inside[a] = first, many
                if many >= most:
                    if counts:
                        hop_lost[batch, h] += 1
                    if warm <= born[k] < end:
                        path_lost[min(int((born[k] - warm) * a_batch), batches - 1), kind[k] >> 8] += 1
                        open_ones -= 1
                    after[k] = spare
                    spare = k
                    continue
                first += many
                ring[ring_start[a] + (first if first < most else first - most)] = leaves
                inside[a] = many + 1
            free[a] = leaves
            if counts:
                hop_packets[batch, h] += 1
                hop_time[batch, h] += leaves - time
            time = leaves + propagation[a]
            p = kind[k] >> 8
            if h + 1 == start[p + 1]:
                if warm <= born[k] < end:
                    i = min(int((born[k] - warm) * a_batch), batches - 1)
                    path_packets[i, p] += 1
                    path_time[i, p] += time - born[k]
                    open_ones -= 1
                after[k] = spare
                spare = k
                continue
            due[k] = time
            at[k] = h + 1
            if time < high:
                if waiting == now.size:
                    now = _longer(now, 2 * waiting)
                i = waiting
                while i > done and due[now[i - 1]] > time:
                    now[i] = now[i - 1]
                    i -= 1
                now[i] = k
                waiting += 1
            else:
                # rounding must not put it into the bucket that is being emptied
                slot = max(int(time * a_bucket), tick + 1) & (BUCKETS - 1)
                after[k] = bucket[slot]
                bucket[slot] = k
        tick += 1
    return hop_packets, hop_lost, hop_time, path_packets, path_time, path_lost, events
