"""Flows corrected by what counters on a few links say."""

from __future__ import annotations

from typing import Any

import dask
import numba
import numpy as np
import xarray as xr
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError
from twinkit.mobility.diary import nearest_place
from twinkit.mobility.form import flow_matrix
from twinkit.mobility.streets import free_time, nearest_junction

__all__ = ["assigned", "corrected", "geh", "street_share"]


def geh(modelled: Any, counted: Any) -> np.ndarray:
    r"""How far a modelled flow on a link is from a counted one, in the way of traffic engineers.

    .. math:: GEH = \sqrt{\frac{2 (M - C)^2}{M + C}}

    Parameters
    ----------
    modelled, counted : array (link,) [vehicle/h]

    Returns
    -------
    array (link,)
        0 where both are 0, NaN where one is NaN: a link that nobody counted matches nothing. Below 5 is a good match.

    Examples
    --------
    >>> geh([1200.0], [1000.0]).round(3)
    array([6.03])

    References
    ----------
    Design Manual for Roads and Bridges, volume 12 section 2 part 1 (1996), chapter 4.
    """
    m, c = np.asarray(modelled, dtype=float), np.asarray(counted, dtype=float)
    if m.shape != c.shape or (m < 0).any() or (c < 0).any():
        found = f"shapes {m.shape} and {c.shape}" if m.shape != c.shape else "some below 0"
        raise TwinError("vehicles of 0 or more, modelled and counted on the same links", found=found, hint="align them")
    both = m + c
    return np.asarray(np.sqrt(np.divide(2 * (m - c) ** 2, both, out=np.zeros_like(both), where=both != 0)))


@numba.njit(cache=True)
def _walked(
    start: np.ndarray,
    stop: np.ndarray,
    before: np.ndarray,
    first: np.ndarray,
    begin: np.ndarray,
    street: np.ndarray,
    part: float,
    share: np.ndarray,
) -> None:
    """Add a part to each street on the ways from starts to stops; the streets into a junction stand together."""
    for i in range(len(start)):
        at = stop[i]
        while at != start[i] and before[start[i], at] >= 0:
            last = before[start[i], at]
            for k in range(first[at], first[at + 1]):
                if begin[k] == last:
                    share[street[k]] += part
            at = last


@contract(reads=["places/x", "places/y", "surface/people", "length", "speed"], gives=["street_share"], computes=True)
def street_share(twin: xr.DataTree, streets: xr.Dataset, *, samples: int = 200, seed: int) -> xr.DataArray:
    """Share of the people from each place to each other one who go over each street, on the quickest ways.

    For each two places some pairs of points are drawn where people live in the two zones; each pair takes the way that
    is the quickest on empty streets.

    Parameters
    ----------
    twin : DataTree
        With surface and places.
    streets : Dataset (street, junction)
    samples : int
        Pairs of points for each two places. Fewer blur the busy streets: at 40 the true flows themselves match
        there on a tenth fewer.
    seed : int

    Returns
    -------
    DataArray (street, origin, destination) [1]
        ``street_share``. Of dims (place count)² times streets: for towns, not for countries.

    Errors
    ------
    TwinError
        A variable is missing; more than 2e8 shares.

    Examples
    --------
    >>> from twinkit.datasets import town
    >>> from twinkit.mobility import streets
    >>> twin = town(sites=3, seed=1)
    >>> share = street_share(twin, streets(twin, spacing=500, seed=1), samples=5, seed=1)
    >>> bool((share <= 1 + 1e-9).all()), bool(share.sum() > 0)
    (True, True)
    """
    within(samples, 1, 10_000, name="samples", unit="1")
    rng = np.random.default_rng([whole_seed(seed), 0x5A])
    surface = twin.children["surface"].to_dataset(inherit=False)
    ids = twin.children["places"].to_dataset(inherit=False)["place"].values
    people, length, speed = dask.compute(
        surface["people"].transpose("y", "x").data, streets["length"].data, streets["speed"].data
    )
    zones, count, junctions = len(ids), len(length), streets.sizes["junction"]
    if zones**2 * count > 2e8:
        raise TwinError(
            "at most 2e8 shares", found=f"{zones}² x {count}", hint="take fewer places or streets", where="street_share"
        )
    px, py = np.meshgrid(surface["x"].values.astype(float), surface["y"].values.astype(float))
    zone = nearest_place(twin, px.ravel(), py.ravel())
    junction = nearest_junction(streets, px.ravel(), py.ravel())
    weight = np.nan_to_num(np.asarray(people, dtype=float)).ravel()
    lived = np.bincount(zone * junctions + junction, weight + 1e-12, zones * junctions).reshape(zones, junctions)

    begin, end = streets["begin"].values.astype(np.int64), streets["end"].values.astype(np.int64)
    time = free_time(streets.assign(length=("street", length), speed=("street", speed)))
    # of two streets between the same junctions the quicker one
    order = np.lexsort([time, begin, end])
    same = (begin[order][1:] == begin[order][:-1]) & (end[order][1:] == end[order][:-1])
    best = order[np.concatenate([[True], ~same])]
    graph = coo_matrix((time[best], (begin[best], end[best])), shape=(junctions, junctions)).tocsr()
    before = dijkstra(graph, return_predecessors=True)[1]
    first = np.searchsorted(end[best], np.arange(junctions + 1))
    share = np.zeros((zones, zones, count))
    total = lived.cumsum(axis=1)
    for a in range(zones):
        for b in range(zones):
            pick = [
                np.minimum(np.searchsorted(total[z], rng.random(int(samples)) * total[z, -1]), junctions - 1)
                if total[z, -1] > 0
                else np.empty(0, dtype=np.int64)
                for z in (a, b)
            ]
            if len(pick[0]) and len(pick[1]):
                _walked(pick[0], pick[1], before, first, begin[best], best, 1 / int(samples), share[a, b])
    axes = {"street": streets["street"].values, "origin": ids, "destination": ids}
    attrs = {
        "provenance": f"modelled: quickest ways of {samples} pairs of points, seed {seed}",
        "assumptions": "empty streets; trips begin and end where people live",
    }
    return xr.DataArray(np.moveaxis(share, 2, 0), axes, ("street", "origin", "destination"), attrs=attrs)


def assigned(share: xr.DataArray, flow: xr.DataArray) -> np.ndarray:
    """Vehicles on each street when the flow takes the shares: array (street,)."""
    matrix = _in_order(share, flow).transpose("street", "origin", "destination").values
    return np.asarray(np.tensordot(matrix, flow.transpose("origin", "destination").values, 2))


def _in_order(share: xr.DataArray, *others: xr.DataArray) -> xr.DataArray:
    """The shares with their streets and zones in the order of the other arrays."""
    for other in others:
        for d in set(share.indexes) & set(other.indexes):
            if not share.indexes[d].equals(other.indexes[d]):
                if set(share.indexes[d]) != set(other.indexes[d]):
                    hint = "take the shares of this network and these places"
                    raise TwinError(
                        f"one and the same {d} in shares and flows", found="others", hint=hint, where=str(d)
                    )
                share = share.sel({d: other[d].values})
    return share


@contract(reads=["flow", "vehicles", "street_share"], gives=["flow"], computes=True)
def corrected(
    flow: xr.DataArray,
    vehicles: xr.DataArray,
    share: xr.DataArray,
    *,
    trust: float = 1.0,
    scatter: float = 1.0,
    rounds: int = 500,
) -> xr.DataArray:
    r"""Flows nearest to given ones that explain counts on some streets.

    .. math:: \min_T \frac{1}{s^2} \sum_{ij} \left(T_{ij} \log \frac{T_{ij}}{t_{ij}} - T_{ij} + t_{ij}\right)
        + \frac{w}{2} \sum_l \frac{(C_l - M_l)^2}{\max(C_l, 1)}, \qquad M_l = \sum_{ij} a_{lij} T_{ij}

    by multiplicative steps, which keep flows above 0 and zeros at 0. First all flows are scaled by one number.

    Parameters
    ----------
    flow : DataArray (origin, destination) [people]
        What the records gave.
    vehicles : DataArray (street) [1]
        Counts; NaN where nobody counts.
    share : DataArray (street, origin, destination) [1]
        What `street_share` gives.
    trust : float
        Weight w of the counts.
    scatter : float
        Scatter s of the flows: larger lets the counts change more.
    rounds : int

    Returns
    -------
    DataArray (origin, destination) [people]
        ``flow``; ``attrs["scale"]`` of the first step stands in its assumptions.

    Errors
    ------
    TwinError
        No counts, streets of another network, flows that no counted street sees.

    Examples
    --------
    One street between two villages counted twice as many as the records say:

    >>> from twinkit import stamp
    >>> from twinkit.mobility import flow_matrix
    >>> seen = flow_matrix([[0, 50], [0, 0]], origin=["a", "b"], destination=["a", "b"], provenance="measured: few")
    >>> axes = {"street": ["s"], **seen.coords}
    >>> share = xr.DataArray(np.array([[[0.0, 1], [1, 0]]]), axes, ("street", "origin", "destination"))
    >>> counted = stamp(xr.DataArray([100.0], {"street": ["s"]}, ("street",)), "vehicles")
    >>> float(corrected(seen, counted, stamp(share, "street_share"))[0, 1].round(6))
    100.0

    References
    ----------
    Van Zuylen and Willumsen, Transportation Research B 14 (1980), p. 281, for flows of largest entropy from counts;
    here the counts may err.
    """
    within(trust, 0, 1e6, name="trust", unit="1")
    within(scatter, 1e-3, 100, name="scatter", unit="1")
    within(rounds, 1, 1e6, name="rounds", unit="1")
    share = _in_order(share, flow, vehicles)
    t, counts, a = dask.compute(
        flow.transpose("origin", "destination").data,
        vehicles.data,
        share.transpose("street", "origin", "destination").data,
    )
    if a.shape != (len(counts), *t.shape):
        raise TwinError(
            "counts, shares and flows of one network", found=f"{counts.shape}, {a.shape}, {t.shape}", hint="align them"
        )
    there = ~np.isnan(counts)
    if not there.any() or not ((counts[there] >= 0) & (counts[there] < np.inf)).all():
        raise TwinError("counts of 0 or more on some streets", found="none", hint="count somewhere", where="vehicles")
    prior = np.asarray(t, dtype=float).ravel()
    use: csr_matrix = csr_matrix(np.asarray(a, dtype=float).reshape(len(counts), -1)[there])
    c = counts[there].astype(float)
    modelled = use @ prior
    if not modelled.sum() > 0:
        raise TwinError("flows over the counted streets", found="none", hint="count elsewhere", where="vehicles")
    scale = c.sum() / modelled.sum()
    prior = prior * scale
    now = prior.copy()
    # in the logarithm, by Newton's diagonal: a flow moves by what its own prior and the counts over it ask
    for _ in range(int(rounds)):
        m = np.maximum(use @ now, 1e-9)
        slack = np.maximum(c, 1.0)
        pull = use.T @ (trust * (c - m) / slack)
        bend = use.T @ (trust * m / slack)
        own = 1.0 / scatter**2
        ratio = np.log(np.divide(now, prior, out=np.ones_like(now), where=prior > 0))
        move = np.clip((pull - own * ratio) / (own + bend), -0.5, 0.5)
        now = now * np.exp(0.5 * move)
        if float(np.abs(move).max()) < 1e-9:
            break
    out = flow_matrix(
        now.reshape(t.shape),
        origin=flow["origin"].values,
        destination=flow["destination"].values,
        provenance=f"modelled: {int(there.sum())} counts on {flow.attrs.get('provenance', 'flows')}"[:300],
    )
    out.attrs["assumptions"] = f"first scaled by {scale:.4g}; flows known to {scatter:g}, counts weighted by {trust:g}"
    return out
