"""Queues under bursts: sources that are on and off for long times, as one arc sees them.

Between two switches the arrivals are Poisson, so that the queue is M/G/1 at a rate that changes. Two solutions bound
what happens: `frozen` lets every rate last for ever and takes the mean over rates (finite buffers, where the queue
forgets sooner than the sources switch); `modulated` follows the queue through the switches (queues without end, which
grow while the rate is above the line's). Slower switching and more room both mean more waiting, so that with a finite
buffer the smaller of the two is nearer, and both stand above the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.special import gammaln

from twinkit.network.queueing import embedded

if TYPE_CHECKING:
    from twinkit.network.hops import Bursts, Packets, Paths

__all__ = ["frozen", "held_back", "modulated"]

CELLS = 512
"""Steps from no source on to all on, in the distribution of an arc's rate."""

STATES = 24
"""Sources at most that stand for an arc's sources; more of them are as good as normal."""

ROUNDS, SETTLED = 60, 1e-7
"""Passes at most of the fixed point between the queues of a path, and the change below which it has settled."""

STEP, HIGHEST = 0.005, 8.0
"""Utilisations at which the finite queue is solved, and the highest; above it nothing new happens."""


def frozen(
    load: np.ndarray, first: np.ndarray, *, packets: Packets, places: int, bursts: Bursts | None
) -> tuple[np.ndarray, np.ndarray]:
    """Waiting and loss of each source's packets in a finite buffer, the mean over all rates that can prevail.

    ::

        W_i = Σ_r P(r | i on) (1 - P_K(r)) W_K(r) / Σ_r P(r | i on) (1 - P_K(r))

    with W_K and P_K of M/G/1/K, and P(r | i on) the distribution of the sum of all other sources, shifted by i's own.

    Parameters
    ----------
    load : array (source,) [1]
        Mean utilisation that each source offers, the sources of one arc together.
    first : int64 array (arc + 1,)
        Arc a has the sources from first[a] to first[a + 1].
    packets : Packets
    places : int
    bursts : Bursts, optional
        Left out: Poisson sources.

    Returns
    -------
    tuple of arrays (source,)
        Waiting in mean transmission times, and the share lost.
    """
    if bursts is None:
        whole = np.add.reduceat(np.append(load, 0.0), first[:-1]) * (np.diff(first) > 0)
        lost, waiting = embedded(whole, places=places, sizes=packets.bits, weights=packets.share)
        arc = np.repeat(np.arange(len(first) - 1), np.diff(first))
        return np.asarray(waiting)[arc], np.asarray(lost)[arc]
    grid = np.arange(0.0, HIGHEST + STEP / 2, STEP)
    lost, waiting = embedded(grid, places=places, sizes=packets.bits, weights=packets.share)
    return _mixed(first, load / bursts.share, bursts.share, waiting, lost, STEP, CELLS)  # type: ignore[no-any-return]


@njit(cache=True)
def _mixed(first, peak, share, waiting, lost, step, cells):  # type: ignore[no-untyped-def]
    out, gone = np.zeros(peak.size), np.zeros(peak.size)
    for a in range(first.size - 1):
        low, high = first[a], first[a + 1]
        total = 0.0
        for i in range(low, high):
            total += peak[i]
        if total <= 0.0:
            continue
        cell = total / (cells - 1)
        # a source's rate lies between two cells and is shared by both, so that the mean stays
        size = cells + (high - low) + 2
        rate = np.zeros(size)
        rate[0] = 1.0
        top = 1
        for i in range(low, high):
            k = int(peak[i] / cell)
            f = peak[i] / cell - k
            top = min(top + k + 1, size)
            for j in range(top - 1, -1, -1):
                v = (1 - share) * rate[j]
                if j >= k:
                    v += share * (1 - f) * rate[j - k]
                if j > k:
                    v += share * f * rate[j - k - 1]
                rate[j] = v
        kept, slow = np.zeros(size), np.zeros(size)
        for j in range(size):
            r = j * cell / step
            k = min(int(r), waiting.size - 2)
            f = min(r - k, 1.0)
            kept[j] = 1 - lost[k] - f * (lost[k + 1] - lost[k])
            slow[j] = kept[j] * (waiting[k] + f * (waiting[k + 1] - waiting[k]))
        others = np.zeros(size)
        for i in range(low, high):
            k = int(peak[i] / cell)
            f = peak[i] / cell - k
            whole = through = delayed = 0.0
            for j in range(size):
                # the distribution without this source, by the convolution backwards
                v = rate[j]
                if k == 0:
                    if j:
                        v -= share * f * others[j - 1]
                    v /= 1 - share * f
                else:
                    if j >= k:
                        v -= share * (1 - f) * others[j - k]
                    if j > k:
                        v -= share * f * others[j - k - 1]
                    v /= 1 - share
                others[j] = v
                whole += v
                if j + k < size:
                    through += v * (1 - f) * kept[j + k]
                    delayed += v * (1 - f) * slow[j + k]
                if j + k + 1 < size:
                    through += v * f * kept[j + k + 1]
                    delayed += v * f * slow[j + k + 1]
            out[i] = delayed / through
            gone[i] = min(max(1 - through / whole, 0.0), 1.0)
    return out, gone


def modulated(
    load: np.ndarray, first: np.ndarray, *, packets: Packets, service: np.ndarray, bursts: Bursts
) -> np.ndarray:
    """Waiting of each source's packets in a queue without end, at a rate that the arc's sources modulate.

    The work V in the queue drifts at ρ_j - 1 and spreads with the variance λ_j E[S²] while j of n equal sources are on;
    its density f is the solution that decays and lets no work through zero::

        ½ f'' Σ - f' D + f Q = 0,   f(x) = Σ_k b_k z_k φ_k exp(-z_k x),   Σ_k b_k φ_k = π,
        E[V; j] = Σ_k b_k φ_kj / z_k

    One rate alone gives the formula of Pollaczek and Khinchine; no spread gives the fluid queue of Anick, Mitra and
    Sondhi. The n equal sources have the mean, variance, highest rate and memory of the arc's own.

    Parameters
    ----------
    load, first, packets
        As for `frozen`; all arcs below a mean utilisation of one.
    service : array (arc,) [s]
        Mean transmission time.
    bursts : Bursts

    Returns
    -------
    array (source,) [s]

    References
    ----------
    Anick, Mitra and Sondhi, Stochastic theory of a data-handling system with multiple sources, Bell System Technical
    Journal 61 (1982); Karandikar and Kulkarni, Second-order fluid flow models, Operations Research 43 (1995).
    """
    share = bursts.share
    peak = load / share
    count = np.diff(first)
    arc = np.repeat(np.arange(len(count)), count)
    total = np.bincount(arc, peak, minlength=len(count))
    square = np.bincount(arc, peak**2, minlength=len(count))
    some = np.flatnonzero(square > 0)
    like = np.zeros(len(count))
    like[some] = total[some] ** 2 / square[some]
    out = np.zeros(len(load))
    many = np.clip(like, 1.0, STATES)
    lower, upper = np.floor(many + 1e-9).astype(int), np.ceil(many - 1e-9).astype(int)
    # so many equal sources that there is no such number: between the two whole ones
    part = many - lower
    weights: dict[int, list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]] = {}
    for number in np.unique(np.concatenate([lower[some], upper[some]])):
        for side, near in ((lower, 1 - part), (upper, part)):
            at = some[(side[some] == number) & ((near[some] > 0) | (lower[some] == upper[some]))]
            if side is upper:
                at = at[lower[at] != upper[at]]
            if at.size:
                rates, chance, held = _solved(number, total[at], square[at], service[at], packets, bursts)
                for row, a in enumerate(at):
                    weights.setdefault(int(a), []).append((near[a], rates[row], chance, held[row]))
    for a, parts in weights.items():
        own = slice(first[a], first[a + 1])
        mean, spread = total[a] * share, square[a]
        logs = np.zeros(count[a])
        for near, rates, chance, held in parts:
            # who sends more is on more often when the arc is full
            on = np.clip(share + peak[own, None] * (rates - mean) / spread, 0.0, 1.0) * chance
            logs += near * np.log(np.maximum(on @ held / on.sum(1), 1e-300))
        out[own] = np.exp(logs)
    return out


def held_back(waiting: np.ndarray, *, paths: Paths, packets: Packets) -> np.ndarray:
    """Waiting on each hop when what a burst left in the queues before it is no longer counted behind them.

    ::

        X_a = Σ_i r_i (W_ia - W_a),   q_g = Σ_(i in g) r_i Σ_(hops before a) (W'_i - W),   v_g / v_a = Σ_g r² / Σ_a r²
        X'_a = X_a - Σ_g min(q_g, X_a v_g / v_a)

    with W of the Poisson queue, X the bits that bursts leave in an arc's queue (Little's law), and g the sources that
    come to it over the same arc. An arc that overflows hands on no more than it carries: in two queues in a row waits
    what would wait in the narrower one alone. A group takes off no more than its part of the variance that makes the
    queue. A fixed point over all arcs.

    Parameters
    ----------
    waiting : array (hop,) [s]
        As `modulated` gives it: each arc as if no other had been before it.
    paths : Paths
    packets : Packets

    Returns
    -------
    array (hop,) [s]
    """
    count, load = len(paths.capacity), np.where(paths.load > 0, paths.load, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        poisson = load * packets.mean / paths.capacity * (1 + packets.variability) / (2 * (1 - load))
    calm = np.where(load > 0, poisson, 0.0)[paths.arc]
    excess = np.maximum(waiting - calm, 0.0)
    rate = paths.rate[paths.path]
    first = np.zeros(len(paths.arc), bool)
    first[paths.start[:-1]] = True
    if first.all() or not excess.any():
        return waiting
    # groups: an arc, and the arc before it
    before = np.concatenate([[0], paths.arc[:-1]]).astype(np.int64)
    pairs, group = np.unique((paths.arc.astype(np.int64) * count + before)[~first], return_inverse=True)
    onto = pairs // count
    queued = np.bincount(paths.arc, rate * excess, minlength=count)
    spread = np.bincount(paths.arc, rate**2, minlength=count)
    part = np.bincount(group, rate[~first] ** 2, minlength=len(pairs)) / np.where(spread > 0, spread, 1.0)[onto]
    most = queued[onto] * part
    left = excess
    for _ in range(ROUNDS):
        held = rate * left
        upstream = np.cumsum(held) - held
        upstream = upstream - upstream[paths.start[:-1]][paths.path]
        off = np.minimum(np.bincount(group, upstream[~first], minlength=len(pairs)), most)
        share = 1 - np.bincount(onto, off, minlength=count) / np.where(queued > 0, queued, 1.0)
        new = excess * np.clip(share, 0.0, 1.0)[paths.arc]
        change, left = np.abs(new - left).max(), (left + new) / 2
        if change <= SETTLED * excess.max():
            break
    return np.minimum(waiting, calm) + left


def _solved(
    number: int, total: np.ndarray, square: np.ndarray, service: np.ndarray, packets: Packets, bursts: Bursts
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Utilisation (arc, state), chance (state,) and mean work (arc, state) [s] with 0 to `number` sources on."""
    share = bursts.share
    j = np.arange(number + 1)
    chance = np.exp(
        gammaln(number + 1) - gammaln(j + 1) - gammaln(number - j + 1)
        + j * np.log(share) + (number - j) * np.log1p(-share)
    )  # fmt: skip
    size = number + 1
    # the step between states that keeps the variance of the arc's rate
    step = np.sqrt(square / number)
    rates = np.maximum(total[:, None] * share + (j - number * share) * step[:, None], 0.0)
    up, down = (number - j) / bursts.off, j / bursts.on
    switch = np.diag(-(up + down)) + np.diag(up[:-1], 1) + np.diag(down[1:], -1)
    scale = service * (1 + packets.variability) / 2
    # in units of `scale`, so that the fast solutions are near one; an empty state keeps a trace of spread
    drift = (rates - 1) / scale[:, None]
    spread = np.maximum(rates, 1e-3 * total[:, None] / number) * service[:, None] * (1 + packets.variability)
    spread = spread / scale[:, None] ** 2 / 2
    companion = np.zeros((len(total), 2 * size, 2 * size))
    companion[:, :size, size:] = np.eye(size)
    companion[:, size:, :size] = -switch.T / spread[..., None]
    companion[:, size:, size:] = -(drift / spread)[..., None] * np.eye(size)
    roots, vectors = np.linalg.eig(companion)
    order = np.argsort(-roots.real, axis=1)[:, :size]
    decay = np.take_along_axis(roots, order, 1)
    shapes = np.take_along_axis(vectors[:, :size], order[:, None, :], 2)
    shapes = shapes / np.linalg.norm(shapes, axis=1, keepdims=True)
    weight = np.linalg.solve(shapes, np.broadcast_to(chance.astype(complex), (len(total), size))[..., None])[..., 0]
    work = np.einsum("ask,ak->as", shapes, weight / decay).real * scale[:, None]
    return rates, chance, np.maximum(work / chance, 0.0)
