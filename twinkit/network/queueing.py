"""Closed forms of queues: waiting, loss and the two formulas of Erlang, each exact where it is said to be exact.

A packet's *waiting time* ends where its transmission begins; the *delay* of a hop is waiting plus transmission.
Utilisation is arrival rate times mean service time; a queue without end has an answer only below one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import gammainc

from twinkit.contract import physics, within
from twinkit.error import TwinError

__all__ = [
    "erlang_b",
    "erlang_c",
    "loss_mg1k",
    "loss_mm1k",
    "waiting_bound",
    "waiting_gg1",
    "waiting_marchal",
    "waiting_md1",
    "waiting_mg1",
    "waiting_mg1k",
    "waiting_mm1",
    "waiting_mm1k",
    "waiting_mmc",
]

SATURATED = 300.0
"""Load beyond which a finite queue is as good as always full: it is left empty with a chance of exp(-300)."""

MOST_SERVERS = 1_000_000
"""Erlang's recursion takes one pass over the data for each server."""


def stable(load: Any, *, where: str) -> None:
    """Raise where a queue without end has a utilisation of one or more: how many, where the worst, by how much.

    Parameters
    ----------
    load : float, array or DataArray [1]
        Lazy arrays are left to the block that computes them.
    where : str
        For the message.

    Errors
    ------
    TwinError
        A load of one or more, negative, or not a number.

    Examples
    --------
    >>> stable(xr.DataArray([0.4, 1.2], {"link": ["a", "b"]}, "link"), where="links")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: links: expected a utilisation below 1 ...; found 1.2 at link 'b': 0.2 too much. Try: ...
    """
    raw = load.data if isinstance(load, xr.DataArray) else load
    if hasattr(raw, "dask"):
        return
    values = np.atleast_1d(np.asarray(raw, float))
    within(values, 0, np.inf, name="utilisation", unit="1")
    if not values.size or values.max() < 1:
        return
    worst = np.unravel_index(int(values.argmax()), values.shape)
    spot = ""
    if isinstance(load, xr.DataArray) and load.ndim:
        spot = " at " + ", ".join(
            f"{d} '{load[d].values[i]}'" if d in load.coords else f"{d} {i}"
            for d, i in zip(load.dims, worst, strict=True)
        )
    count = int((values >= 1).sum())
    others = f", and {count - 1} more" if count > 1 else ""
    raise TwinError(
        "a utilisation below 1 in a queue without end",
        found=f"{values.max():.4g}{spot}: {values.max() - 1:.2g} too much{others}",
        hint="carry less, widen it, or give the queue a finite buffer",
        where=where,
    )


# ---------------------------------------------------------------- one server, a queue without end


@physics(gives="waiting_time", arrival_rate="1/s", service_time="s")
def waiting_mm1(arrival_rate: Any, *, service_time: Any) -> Any:
    """Mean waiting time with Poisson arrivals and exponential service, one server.

    ::

        W = ρ S / (1 - ρ),   ρ = λ S

    Parameters
    ----------
    arrival_rate : float, array or DataArray [1/s]
    service_time : float, array or DataArray [s]
        Mean.

    Returns
    -------
    as the inputs broadcast [s]

    Validity
    --------
    Exact.

    Errors
    ------
    TwinError
        A utilisation of one or more, or something negative.

    Examples
    --------
    >>> waiting_mm1(0.5, service_time=1.0)
    1.0

    References
    ----------
    Kleinrock, Queueing Systems I (1975), equation (3.26).
    """
    return waiting_mg1.__wrapped__(arrival_rate, service_time=service_time, service_variability=1.0)  # type: ignore[attr-defined]


@physics(gives="waiting_time", arrival_rate="1/s", service_time="s")
def waiting_md1(arrival_rate: Any, *, service_time: Any) -> Any:
    """Mean waiting time with Poisson arrivals and service of one length: half of M/M/1.

    ::

        W = ρ S / (2 (1 - ρ))

    Parameters
    ----------
    arrival_rate : float, array or DataArray [1/s]
    service_time : float, array or DataArray [s]

    Returns
    -------
    as the inputs broadcast [s]

    Validity
    --------
    Exact.

    Errors
    ------
    TwinError
        A utilisation of one or more, or something negative.

    Examples
    --------
    >>> waiting_md1(0.5, service_time=1.0)
    0.5

    References
    ----------
    Kleinrock, Queueing Systems I (1975), equation (5.74).
    """
    return waiting_mg1.__wrapped__(arrival_rate, service_time=service_time, service_variability=0.0)  # type: ignore[attr-defined]


@physics(gives="waiting_time", arrival_rate="1/s", service_time="s", service_variability="1")
def waiting_mg1(arrival_rate: Any, *, service_time: Any, service_variability: Any) -> Any:
    """Mean waiting time with Poisson arrivals and any service: the formula of Pollaczek and Khinchine.

    ::

        W = λ E[S²] / (2 (1 - ρ)) = ρ S (1 + c²) / (2 (1 - ρ))

    Parameters
    ----------
    arrival_rate : float, array or DataArray [1/s]
    service_time : float, array or DataArray [s]
        Mean.
    service_variability : float, array or DataArray [1]
        Variance of service over the square of its mean: 0 constant, 1 exponential, 0.444 for packets of 300 and
        1500 byte one to one.

    Returns
    -------
    as the inputs broadcast [s]

    Validity
    --------
    Exact.

    Errors
    ------
    TwinError
        A utilisation of one or more, or something negative.

    Examples
    --------
    >>> round(float(waiting_mg1(0.5, service_time=1.0, service_variability=4 / 9)), 4)
    0.7222
    >>> waiting_mg1(1.5, service_time=1.0, service_variability=1.0)
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: waiting: expected a utilisation below 1 in a queue without end; found 1.5: 0.5 too ...

    References
    ----------
    Kleinrock, Queueing Systems I (1975), equation (5.70).
    """
    _positive(arrival_rate, service_time)
    within(service_variability, 0, np.inf, name="service_variability", unit="1")
    load = arrival_rate * service_time
    stable(load, where="waiting")
    return load * service_time * (1 + service_variability) / (2 * (1 - load))


@physics(
    gives="waiting_time", arrival_rate="1/s", service_time="s", arrival_variability="1", service_variability="1"
)  # fmt: skip
def waiting_gg1(arrival_rate: Any, *, service_time: Any, arrival_variability: Any, service_variability: Any) -> Any:
    """Mean waiting time with any arrivals and service, from two moments of each, as in the Queueing Network Analyzer.

    ::

        W = ρ S (ca² + cs²) / (2 (1 - ρ)) g,   g = exp(-2 (1 - ρ) (1 - ca²)² / (3 ρ (ca² + cs²))) for ca² < 1, else 1

    Parameters
    ----------
    arrival_rate : float, array or DataArray [1/s]
    service_time : float, array or DataArray [s]
        Mean.
    arrival_variability, service_variability : float, array or DataArray [1]
        Squared coefficients of variation, of the times between arrivals and of service.

    Returns
    -------
    as the inputs broadcast [s]

    Validity
    --------
    An approximation for renewal arrivals, exact for Poisson ones (ca² = 1) and in heavy traffic. Arrivals that come in
    long bursts are no renewals: see `twinkit.network.burst`.

    Errors
    ------
    TwinError
        A utilisation of one or more, or something negative.

    Examples
    --------
    >>> round(float(waiting_gg1(0.8, service_time=1.0, arrival_variability=0.25, service_variability=1.0)), 3)
    2.319

    References
    ----------
    Whitt, The Queueing Network Analyzer, Bell System Technical Journal 62 (1983), equations (44) and (45); Kraemer
    and Langenbach-Belz, Approximate formulae for the delay in the queueing system GI/G/1, ITC 8 (1976).
    """
    load, both = _moments(arrival_rate, service_time, arrival_variability, service_variability)
    some = xr.where(load * both > 0, load * both, 1.0)
    exponent = -2 * (1 - load) * (1 - arrival_variability) ** 2 / (3 * some)
    less = xr.where(np.less(arrival_variability, 1), np.exp(exponent), 1.0)
    return load * service_time * both / (2 * (1 - load)) * less


@physics(
    gives="waiting_time", arrival_rate="1/s", service_time="s", arrival_variability="1", service_variability="1"
)  # fmt: skip
def waiting_bound(arrival_rate: Any, *, service_time: Any, arrival_variability: Any, service_variability: Any) -> Any:
    """What the mean waiting time cannot exceed, whatever the distributions: Kingman's bound.

    ::

        W <= λ (σa² + σs²) / (2 (1 - ρ)) = S (ca²/ρ + ρ cs²) / (2 (1 - ρ))

    Parameters
    ----------
    arrival_rate, service_time, arrival_variability, service_variability
        As for `waiting_gg1`.

    Returns
    -------
    as the inputs broadcast [s]
        0 where nothing arrives.

    Validity
    --------
    A bound for renewal arrivals.

    Errors
    ------
    TwinError
        A utilisation of one or more, or something negative.

    Examples
    --------
    >>> float(waiting_bound(0.5, service_time=1.0, arrival_variability=1.0, service_variability=0.0))
    2.0

    References
    ----------
    Kingman, Some inequalities for the queue GI/G/1, Biometrika 49 (1962); Kleinrock, Queueing Systems II (1976),
    equation (2.22).
    """
    load, _ = _moments(arrival_rate, service_time, arrival_variability, service_variability)
    some = xr.where(load > 0, load, 1.0)
    bound = service_time * (arrival_variability / some + load * service_variability) / (2 * (1 - load))
    return xr.where(load > 0, bound, 0.0) * 1.0


@physics(
    gives="waiting_time", arrival_rate="1/s", service_time="s", arrival_variability="1", service_variability="1"
)  # fmt: skip
def waiting_marchal(arrival_rate: Any, *, service_time: Any, arrival_variability: Any, service_variability: Any) -> Any:
    """Mean waiting time with any arrivals and service by Marchal: Kingman's bound, scaled so that M/G/1 is exact.

    ::

        W = bound (1 + cs²) / (1/ρ² + cs²)

    Parameters
    ----------
    arrival_rate, service_time, arrival_variability, service_variability
        As for `waiting_gg1`.

    Returns
    -------
    as the inputs broadcast [s]

    Validity
    --------
    An approximation for renewal arrivals, exact for Poisson ones.

    Errors
    ------
    TwinError
        A utilisation of one or more, or something negative.

    Examples
    --------
    >>> float(waiting_marchal(0.5, service_time=1.0, arrival_variability=1.0, service_variability=1.0))
    1.0

    References
    ----------
    Marchal, An approximate formula for waiting time in single server queues, AIIE Transactions 8 (1976).
    """
    load, _ = _moments(arrival_rate, service_time, arrival_variability, service_variability)
    top = load * load * (1 + service_variability) / (1 + load * load * service_variability)
    some = xr.where(load > 0, load, 1.0)
    return top * service_time * (arrival_variability / some + load * service_variability) / (2 * (1 - load))


# ---------------------------------------------------------------- Erlang


@physics(gives="loss", traffic="1", servers="1")
def erlang_b(traffic: Any, *, servers: Any) -> Any:
    """Share of calls that find all servers busy and are lost: Erlang's first formula.

    ::

        B(0) = 1,   B(n) = A B(n - 1) / (n + A B(n - 1))

    Parameters
    ----------
    traffic : float, array or DataArray [1]
        Offered traffic A in erlang: arrival rate times mean holding time.
    servers : int or array of int [1]
        Lines, 0 or more.

    Returns
    -------
    as the inputs broadcast [1]

    Validity
    --------
    Exact for Poisson calls and any holding time (M/G/c/c).

    Errors
    ------
    TwinError
        Negative traffic, or servers that are no whole number from 0 to a million.

    Examples
    --------
    >>> round(float(erlang_b(8.108, servers=15)), 4)
    0.01

    References
    ----------
    ITU-D SG 2/16, Teletraffic Engineering Handbook (2002), equation (7.27); the table of figure 7.
    """
    within(traffic, 0, np.inf, name="traffic", unit="erlang")
    lines = _whole(servers, "servers")
    blocked = xr.ones_like(traffic, dtype=float) if isinstance(traffic, xr.DataArray) else np.ones(np.shape(traffic))
    most = int(np.max(lines, initial=0))
    for n in range(1, most + 1):
        next_one = traffic * blocked / (n + traffic * blocked)
        blocked = next_one if np.ndim(lines) == 0 else xr.where(lines >= n, next_one, blocked)
    return blocked[()] if isinstance(blocked, np.ndarray) else blocked


@physics(gives="waiting_share", traffic="1", servers="1")
def erlang_c(traffic: Any, *, servers: Any) -> Any:
    """Share of calls that must wait because all servers are busy: Erlang's second formula.

    ::

        C = n B / (n - A (1 - B))

    Parameters
    ----------
    traffic : float, array or DataArray [1]
        Offered traffic A in erlang, below the number of servers.
    servers : int or array of int [1]
        1 or more.

    Returns
    -------
    as the inputs broadcast [1]

    Validity
    --------
    Exact for Poisson calls, exponential service and a queue without end (M/M/c).

    Errors
    ------
    TwinError
        As much traffic as servers or more: the queue has no end; and as `erlang_b`.

    Examples
    --------
    >>> round(float(erlang_c(20.0, servers=25)), 3)
    0.209

    References
    ----------
    ITU-D SG 2/16, Teletraffic Engineering Handbook (2002), equation (12.9).
    """
    lines = _whole(servers, "servers", least=1)
    within(traffic, 0, np.inf, name="traffic", unit="erlang")
    stable(traffic / lines, where="erlang_c")
    blocked = erlang_b.__wrapped__(traffic, servers=lines)  # type: ignore[attr-defined]
    return lines * blocked / (lines - traffic * (1 - blocked))


@physics(gives="waiting_time", arrival_rate="1/s", service_time="s", servers="1")
def waiting_mmc(arrival_rate: Any, *, service_time: Any, servers: Any) -> Any:
    """Mean waiting time with Poisson arrivals, exponential service and several servers for one queue.

    ::

        W = C(n, A) S / (n - A),   A = λ S

    Parameters
    ----------
    arrival_rate : float, array or DataArray [1/s]
    service_time : float, array or DataArray [s]
        Mean.
    servers : int or array of int [1]

    Returns
    -------
    as the inputs broadcast [s]

    Validity
    --------
    Exact.

    Errors
    ------
    TwinError
        A utilisation of one or more, or something negative.

    Examples
    --------
    >>> round(float(waiting_mmc(2.0, service_time=0.75, servers=2)), 4)
    0.9643

    References
    ----------
    ITU-D SG 2/16, Teletraffic Engineering Handbook (2002), equation (12.17).
    """
    _positive(arrival_rate, service_time)
    traffic = arrival_rate * service_time
    return erlang_c.__wrapped__(traffic, servers=servers) * service_time / (np.asarray(servers) - traffic)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- one server, a finite buffer


@physics(gives="loss", arrival_rate="1/s", service_time="s", places="1")
def loss_mm1k(arrival_rate: Any, *, service_time: Any, places: Any) -> Any:
    """Share of packets lost with Poisson arrivals, exponential service and room for a number of packets.

    ::

        P = (1 - ρ) ρ^K / (1 - ρ^(K+1)),   1 / (K + 1) where ρ = 1

    Parameters
    ----------
    arrival_rate : float, array or DataArray [1/s]
    service_time : float, array or DataArray [s]
        Mean.
    places : int or array of int [1]
        Packets in the system, the one in transmission among them: 1 or more.

    Returns
    -------
    as the inputs broadcast [1]

    Validity
    --------
    Exact at any utilisation.

    Errors
    ------
    TwinError
        Something negative, or no place.

    Examples
    --------
    >>> float(loss_mm1k(1.0, service_time=1.0, places=4))
    0.2

    References
    ----------
    Kleinrock, Queueing Systems I (1975), equation (3.36).
    """
    return _mm1k(arrival_rate, service_time, places)[0]


@physics(gives="waiting_time", arrival_rate="1/s", service_time="s", places="1")
def waiting_mm1k(arrival_rate: Any, *, service_time: Any, places: Any) -> Any:
    """Mean waiting time of the packets that are not lost, with Poisson arrivals and exponential service.

    ::

        W = N / (λ (1 - P)) - S,   N = ρ / (1 - ρ) - (K + 1) ρ^(K+1) / (1 - ρ^(K+1)),   K / 2 where ρ = 1

    Parameters
    ----------
    arrival_rate, service_time, places
        As for `loss_mm1k`.

    Returns
    -------
    as the inputs broadcast [s]

    Validity
    --------
    Exact at any utilisation.

    Errors
    ------
    TwinError
        Something negative, or no place.

    Examples
    --------
    >>> float(waiting_mm1k(1.0, service_time=1.0, places=5))
    2.0

    References
    ----------
    Kleinrock, Queueing Systems I (1975), equation (3.36); Little's law.
    """
    return _mm1k(arrival_rate, service_time, places)[1]


def loss_mg1k(load: Any, *, places: int, sizes: Any = (1.0,), weights: Any = (1.0,)) -> Any:
    """Share of packets lost with Poisson arrivals of a few sizes and room for a number of packets.

    ::

        P = 1 - 1 / (π₀ + ρ)

    with π₀ the share of departures that leave the system empty, from the chain embedded at departures.

    Parameters
    ----------
    load : float or array [1]
        Utilisation ρ offered, 0 or more.
    places : int
        Packets in the system, the one in transmission among them.
    sizes : sequence of float
        Packet sizes, in any unit; one alone is M/D/1/K.
    weights : sequence of float
        Share of the packets of each size.

    Returns
    -------
    array like `load` [1]

    Validity
    --------
    Exact at any utilisation, up to the rounding of numbers near 1e-12.

    Errors
    ------
    TwinError
        A negative load, no place, or sizes without weights.

    Examples
    --------
    >>> round(float(loss_mg1k(1.0, places=2)), 4)
    0.2689

    References
    ----------
    Takagi, Queueing Analysis 2: Finite Systems (1993), section 5.1; Kleinrock, Queueing Systems I (1975), section 5.3.
    """
    return embedded(load, places=places, sizes=sizes, weights=weights)[0]


def waiting_mg1k(load: Any, *, places: int, sizes: Any = (1.0,), weights: Any = (1.0,)) -> Any:
    """Mean waiting time of the packets that are not lost, in mean service times, with a finite buffer.

    ::

        W / S = N / (ρ (1 - P)) - 1

    Parameters
    ----------
    load, places, sizes, weights
        As for `loss_mg1k`.

    Returns
    -------
    array like `load` [1]
        Times the mean transmission time it is seconds.

    Validity
    --------
    Exact at any utilisation.

    Errors
    ------
    TwinError
        As `loss_mg1k`.

    Examples
    --------
    A buffer that never fills is none:

    >>> float(waiting_mg1k(0.5, places=80)), waiting_md1(0.5, service_time=1.0)
    (0.5, 0.5)

    References
    ----------
    As `loss_mg1k`.
    """
    return embedded(load, places=places, sizes=sizes, weights=weights)[1]


def embedded(load: Any, *, places: int, sizes: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """Loss and waiting time in service times of M/G/1/K, from the chain that is embedded at departures.

    All terms of the recursion are positive (the levels' crossings up and down are balanced), so that nothing cancels.
    """
    within(load, 0, np.inf, name="load", unit="1")
    count = int(_whole(places, "places", least=1))
    size, share = np.asarray(sizes, float), np.asarray(weights, float)
    if size.shape != share.shape or size.ndim != 1 or not size.size or (size <= 0).any() or (share < 0).any():
        raise TwinError(
            "as many weights as sizes, all positive", found=f"{len(np.atleast_1d(size))} sizes and "
            f"{len(np.atleast_1d(share))} weights", hint="sizes=(300, 1500), weights=(0.5, 0.5)", where="sizes",
        )  # fmt: skip
    share = share / share.sum()
    # beyond a billion nothing gets through that could be told from nothing
    flat = np.clip(np.atleast_1d(np.asarray(load, float)).ravel(), 1e-12, 1e9)
    # arrivals in a service of each size; from some hundreds on a queue is never empty, and exp(-mean) is none
    mean = np.minimum(flat, SATURATED)[:, None] * size / np.dot(size, share)
    levels = np.arange(count + 1)
    none = (share * np.exp(-mean)).sum(1)
    more = np.einsum("s,gsk->gk", share, gammainc(levels + 1.0, mean[..., None]))
    left = np.zeros((flat.size, count))
    left[:, 0] = 1.0
    for level in range(count - 1):
        up = left[:, 0] * more[:, level]
        if level:
            up = up + np.einsum("gk,gk->g", left[:, 1 : level + 1], more[:, level:0:-1])
        left[:, level + 1] = up / none
        left /= left.sum(1, keepdims=True)
    held = left[:, 0] + flat
    lost = np.clip(1 - 1 / held, 0.0, 1.0)
    packets = left @ levels[:count] / held + count * lost
    waiting = np.maximum(packets / (flat * (1 - lost)) - 1, 0.0)
    shape = np.shape(load)
    return lost.reshape(shape)[()], waiting.reshape(shape)[()]


# ---------------------------------------------------------------- checks


def _positive(arrival_rate: Any, service_time: Any) -> None:
    within(arrival_rate, 0, np.inf, name="arrival_rate", unit="1/s")
    within(service_time, 0, np.inf, name="service_time", unit="s")


def _moments(arrival_rate: Any, service_time: Any, arrival: Any, service: Any) -> tuple[Any, Any]:
    _positive(arrival_rate, service_time)
    within(arrival, 0, np.inf, name="arrival_variability", unit="1")
    within(service, 0, np.inf, name="service_variability", unit="1")
    load = arrival_rate * service_time
    stable(load, where="waiting")
    return load, arrival + service


def _whole(number: Any, name: str, *, least: int = 0) -> Any:
    within(number, least, MOST_SERVERS, name=name, unit="1")
    values = np.asarray(number)
    if (values != np.floor(values)).any():
        raise TwinError(f"a whole number of {name}", found=f"{number}", hint="round it", where=name)
    return number if isinstance(number, xr.DataArray) else values.astype(np.int64)[()]


def _mm1k(arrival_rate: Any, service_time: Any, places: Any) -> tuple[Any, Any]:
    _positive(arrival_rate, service_time)
    count = _whole(places, "places", least=1)
    load = arrival_rate * service_time
    # near one both forms lose digits; the limit is exact to the square of the distance
    near = abs(load - 1) < 1e-6
    safe = xr.where(near, 0.5, load)
    # for loads above one the powers are of the inverse, which does not overflow
    over = safe > 1
    small = xr.where(over, 1 / xr.where(safe > 0, safe, 1.0), safe)
    full = 1 - small ** (count + 1)
    lost = xr.where(over, (1 - small) / full, (1 - small) * small**count / full)
    away = small / (1 - small) - (count + 1) * small ** (count + 1) / full
    packets = xr.where(over, count - away, away)
    lost = xr.where(near, 1 / (count + 1), lost)
    packets = xr.where(near, count / 2, packets)
    carried = arrival_rate * (1 - lost)
    waiting = packets / xr.where(carried > 0, carried, 1.0) - xr.where(carried > 0, service_time, 0.0)
    return lost * 1.0, waiting * 1.0
