"""Who works when: power, backhaul and cells together, all hours of a draw in machine words.

Each asset is a row of bits, one bit an hour. A link passes the bits that its source has, that it has itself and that
its target has; a site's bits go round until nothing new arrives anywhere. So one walk through the network answers for
64 hours at once, and ten thousand draws are a matter of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

__all__ = ["Web", "service"]

FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
# the place of the lowest set bit, by de Bruijn's sequence
SEQUENCE = np.uint64(0x03F79D71B4CB0A89)
PLACE = np.zeros(64, np.int64)
for _k in range(64):
    PLACE[((1 << _k) * int(SEQUENCE) & (2**64 - 1)) >> 58] = _k


@dataclass(frozen=True)
class Web:
    """The network as flat arrays: assets are sites, then links, then feeders.

    Attributes
    ----------
    start, neighbour, via : int array
        From site i lead ``neighbour[start[i]:start[i+1]]`` over the links ``via`` (positions among links).
    core : int array
        Sites at which the rest of the world begins.
    feeder : int array (site)
        Position of the site's feeder, -1 for a site that needs none.
    parent : int array (feeder)
        Position of the feeder above, -1 at the top; a parent stands before its children in `order`.
    order : int array (feeder)
    autonomy : float array (site) [h]
        Hours that a site runs without its feeder; infinite for one that needs none.
    """

    start: np.ndarray
    neighbour: np.ndarray
    via: np.ndarray
    core: np.ndarray
    feeder: np.ndarray
    parent: np.ndarray
    order: np.ndarray
    autonomy: np.ndarray

    @property
    def sites(self) -> int:
        """How many there are."""
        return len(self.start) - 1

    @property
    def links(self) -> int:
        """How many there are."""
        return int(self.via.max()) + 1 if len(self.via) else 0


@numba.njit(cache=True, nogil=True, inline="always")
def _lowest(word):  # type: ignore[no-untyped-def]
    return PLACE[((word & (~word + ONE)) * SEQUENCE) >> np.uint64(58)]


@numba.njit(cache=True, nogil=True, inline="always")
def _count(word):  # type: ignore[no-untyped-def]
    w = word - ((word >> ONE) & np.uint64(0x5555555555555555))
    w = (w & np.uint64(0x3333333333333333)) + ((w >> np.uint64(2)) & np.uint64(0x3333333333333333))
    w = (w + (w >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((w * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True, nogil=True)
def _clear(row, first, last):  # type: ignore[no-untyped-def]
    """Set the bits from `first` to before `last` to zero."""
    for w in range(row.shape[0]):
        low, high = max(first - 64 * w, 0), min(last - 64 * w, 64)
        if low < high:
            below = FULL if high == 64 else (ONE << np.uint64(high)) - ONE
            row[w] &= ~(below & ~((ONE << np.uint64(low)) - ONE))


@numba.njit(cache=True, nogil=True)
def _later(row, out, steps):  # type: ignore[no-untyped-def]
    """The row's bits so many steps later; before the first hour everything was up."""
    whole, rest = steps // 64, np.uint64(steps % 64)
    for w in range(row.shape[0]):
        here = row[w - whole] if w >= whole else FULL
        before = row[w - whole - 1] if w >= whole + 1 else FULL
        out[w] = here if rest == 0 else (here << rest) | (before >> (np.uint64(64) - rest))


@numba.njit(cache=True, nogil=True)
def _lasting(row, steps, spare):  # type: ignore[no-untyped-def]
    """Where the row has a bit, or had one within so many steps before: what a battery makes of a grid."""
    reach = 0
    while reach < steps:
        more = min(reach + 1, steps - reach)
        _later(row, spare, more)
        for w in range(row.shape[0]):
            row[w] |= spare[w]
        reach += more


@numba.njit(cache=True, nogil=True)
def _alive(fails, back, step, words, state):  # type: ignore[no-untyped-def]
    """Bits of every asset of a draw: down from when it fails until it is repaired."""
    end = 64 * words
    for a in range(fails.shape[0]):
        for w in range(words):
            state[a, w] = FULL
        when = fails[a]
        if not np.isnan(when):  # NaN never fails
            until = back[a]
            first = max(int(np.ceil(when / step)), 0)
            last = end if not until / step < end else int(np.ceil(until / step))
            _clear(state[a], first, last)


@numba.njit(cache=True, nogil=True)
def _walk(start, neighbour, via, core, sites, state, work, queue, waiting):  # type: ignore[no-untyped-def]
    """Bits of service: from the core outward, over what is alive, until nothing changes."""
    words = work.shape[1]
    for i in range(sites):
        for w in range(words):
            work[i, w] = np.uint64(0)
    head, tail, length = 0, 0, 0
    for c in core:
        for w in range(words):
            work[c, w] = state[c, w]
        if not waiting[c]:
            waiting[c] = True
            queue[tail] = c
            tail, length = (tail + 1) % sites, length + 1
    while length:
        i = queue[head]
        head, length = (head + 1) % sites, length - 1
        waiting[i] = False
        for e in range(start[i], start[i + 1]):
            j, link = neighbour[e], sites + via[e]
            changed = False
            for w in range(words):
                more = work[i, w] & state[link, w] & state[j, w] & ~work[j, w]
                if more:
                    work[j, w] |= more
                    changed = True
            if changed and not waiting[j]:
                waiting[j] = True
                queue[tail] = j
                tail, length = (tail + 1) % sites, length + 1


@numba.njit(cache=True, nogil=True)
def _powered(feeder, parent, order, first, autonomy, state, spare, row):  # type: ignore[no-untyped-def]
    """Take from the sites the hours in which their feeder is dead and their battery empty."""
    words = state.shape[1]
    for f in order:
        if parent[f] >= 0:
            for w in range(words):
                state[first + f, w] &= state[first + parent[f], w]
    for i in range(feeder.shape[0]):
        if feeder[i] < 0 or autonomy[i] < 0:
            continue
        dead = False
        for w in range(words):
            row[w] = state[first + feeder[i], w]
            dead |= row[w] != FULL
        if dead:
            _lasting(row, autonomy[i], spare)
            for w in range(words):
                state[i, w] &= row[w]


@numba.njit(cache=True, nogil=True)
def _service(  # type: ignore[no-untyped-def]
    fails,
    back,
    step,
    steps,
    start,
    neighbour,
    via,
    core,
    feeder,
    parent,
    order,
    autonomy,
    people,
    group,
    choice,
    served,
    hours,
    lost,
):
    sites, assets = start.shape[0] - 1, fails.shape[1]
    words = (steps + 63) // 64
    feeders = assets - parent.shape[0]
    state, work = np.empty((assets, words), np.uint64), np.empty((sites, words), np.uint64)
    intact = np.empty((sites, words), np.uint64)
    queue, waiting = np.empty(sites, np.int64), np.zeros(sites, np.bool_)
    row, spare = np.empty(words, np.uint64), np.empty(words, np.uint64)
    inside = np.full(words, FULL, np.uint64)
    if steps % 64:
        inside[words - 1] = (ONE << np.uint64(steps % 64)) - ONE
    # what is out of reach on the best of days is nobody's loss
    state[:] = FULL
    _walk(start, neighbour, via, core, sites, state, intact, queue, waiting)
    change = np.empty(steps + 1)
    for d in range(fails.shape[0]):
        _alive(fails[d], back[d], step, words, state)
        _powered(feeder, parent, order, feeders, autonomy, state, spare, row)
        _walk(start, neighbour, via, core, sites, state, work, queue, waiting)
        for i in range(sites):
            dark = 0
            for w in range(words):
                dark += _count(intact[i, w] & ~work[i, w] & inside[w])
            hours[d, i] = dark * step
        change[:] = 0.0
        gone = 0.0
        for g in range(people.shape[0]):
            before = np.uint64(0)
            for w in range(words):
                up, could = np.uint64(0), np.uint64(0)
                for k in range(group[g], group[g + 1]):
                    up |= work[choice[k], w]
                    could |= intact[choice[k], w]
                missing = could & ~up & inside[w]
                turn = missing ^ ((missing << ONE) | before)
                before = missing >> np.uint64(63)
                if missing:
                    gone += people[g] * _count(missing)
                while turn:
                    bit = _lowest(turn)
                    turn &= turn - ONE
                    if 64 * w + bit < steps:
                        change[64 * w + bit] += people[g] if (missing >> np.uint64(bit)) & ONE else -people[g]
        all_of_them = 0.0
        for g in range(people.shape[0]):
            for k in range(group[g], group[g + 1]):
                if intact[choice[k], 0] & ONE:
                    all_of_them += people[g]
                    break
        without = 0.0
        for t in range(steps):
            without += change[t]
            served[d, t] = all_of_them - without
        lost[d] = gone * step


def service(
    fails: np.ndarray,
    back: np.ndarray,
    web: Web,
    *,
    people: np.ndarray,
    group: np.ndarray,
    choice: np.ndarray,
    step: float,
    steps: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People served, hours dark and people-hours lost, for draws whose failures and repairs are known.

    A site serves while it stands, has power (its feeder and all above, or battery left; a battery is full again
    whenever the grid is back) and is joined to a core site over links and sites that do so themselves. A group of
    people is served while one of its sites is. Who was out of reach before is nobody's loss.

    Parameters
    ----------
    fails, back : array (draw, asset) [h]
        When each asset fails and is repaired; NaN never fails, infinite is never repaired.
    web : Web
    people : array (group) [people]
    group, choice : int array
        Group g relies on the sites ``choice[group[g]:group[g+1]]``.
    step : float [h]
    steps : int

    Returns
    -------
    served : array (draw, step) [people]
    hours : array (draw, site) [h]
        In which a site that could serve did not.
    lost : array (draw) [people h]
    """
    count = len(fails)
    served = np.empty((count, steps), np.float32)
    hours, lost = np.empty((count, web.sites), np.float32), np.empty(count)
    # a battery that outlasts every hour looked at never runs empty: -1
    lasting = np.where(web.autonomy >= step * steps, -1, np.floor(np.minimum(web.autonomy, 1e9) / step))
    _service(
        np.ascontiguousarray(fails, np.float32),
        np.ascontiguousarray(back, np.float32),
        float(step),
        int(steps),
        web.start,
        web.neighbour,
        web.via,
        web.core,
        web.feeder,
        web.parent,
        web.order,
        lasting.astype(np.int64),
        np.ascontiguousarray(people, np.float64),
        group,
        choice,
        served,
        hours,
        lost,
    )
    return served, hours, lost
