"""Routes: shortest, the next best, and all equally short ones with traffic split over them; what they load on links.

A *routing* is a table of legs. Each leg says which demand it serves, over which link in which direction, and which
share of the demand goes there.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numba import njit
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.network.graph import DIRECTIONS, Index, index, on_links, positions

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["link_load", "routes", "routing"]

ENDS = ["links/source", "links/target", "links/capacity"]
WHO = ["demands/origin", "demands/destination"]

EQUAL = 1e-9
"""Routes whose weights differ by less than this share are equal: sums of lengths differ in their last digits."""

BLOCK = 256
"""Sites whose distances to all others are held at once."""


@contract(reads=[*ENDS, *WHO], gives=["serves", "over", "way", "split", "reachable"], computes=True)
def routing(
    twin: xr.DataTree,
    *,
    weight: xr.DataArray | None = None,
    usable: xr.DataArray | None = None,
    equal_cost: bool = True,
) -> xr.Dataset:
    """The shortest routes of all demands, each split equally at every site over its next links.

    A link is next at site u on the way to t where ``d(u, t) = w(u, v) + d(v, t)``, d the least sum of weights. Traffic
    that arrives at u is shared equally among the next links, parallel ones included, as routers with equal-cost
    multipath share flows.

    Parameters
    ----------
    twin : DataTree
        With sites, links and demands. Links without capacity and from a site to itself carry nothing; a link of unknown
        capacity (NaN) is used.
    weight : DataArray (link), optional
        What is least along a route, such as ``twin["links/length"]``; the same in both directions. Without: hops.
    usable : DataArray (link) of truth, optional
        Links in service.
    equal_cost : bool
        False: the traffic of a demand takes one route, at each site over the first of the next links.

    Returns
    -------
    Dataset (leg) and (demand)
        ``serves`` (a demand), ``over`` (a link), ``way`` (forward, backward) and ``split`` (0 to 1) of each leg;
        ``reachable`` of each demand.
        A demand without a route has no legs, nor has one from a site to itself.

    Errors
    ------
    TwinError
        No demands, an end that is no site, a weight that is not positive or not known.

    Examples
    --------
    Two ways of two hops around a square carry half each:

    >>> from twinkit.network.traffic import square
    >>> found = routing(square())
    >>> [(str(k), float(s)) for k, s in zip(found.over.values, found.split.values)]
    [('ab', 0.5), ('bc', 0.5), ('cd', 0.5), ('da', 0.5)]

    References
    ----------
    C. Hopps, Analysis of an Equal-Cost Multi-Path Algorithm, RFC 2992, section 1.
    """
    net, origin, destination, ids, _ = asked(twin, usable)
    weights = weights_of(weight, net)
    legs = _legs(net, weights, origin, destination, equal_cost)
    said = "shortest routes by " + ("hops" if weight is None else str(weight.name or "weight"))
    return legs_dataset(net, ids, *legs, provenance=f"modelled: {said}{', split equally' if equal_cost else ''}")


@contract(
    reads=["links/capacity", "demands/offered", "serves", "over", "way", "split"],
    gives=["link_traffic", "link_load"],
    computes=True,
)
def link_load(twin: xr.DataTree, routing: xr.Dataset) -> xr.Dataset:
    r"""What the demands put on each link, in each direction, when they take these routes.

    .. math:: T_a = \sum_k s_{ka} d_k, \qquad \rho_a = T_a / C_a

    Parameters
    ----------
    twin : DataTree
        With links and demands; ``offered`` may carry further dims (time, scenario, draw).
    routing : Dataset (leg)
        Of `routing`, `concurrent_flow` or your own.

    Returns
    -------
    Dataset (..., link, direction)
        ``link_traffic`` [bit/s] and ``link_load`` [1]; above one where more is asked for than the link holds, NaN where
        its capacity is unknown. Demands that have no route put nothing anywhere: ``reachable`` of the routing tells.

    Errors
    ------
    TwinError
        A leg that serves no demand of the twin or runs over no link of it, or negative or unknown demands.

    Examples
    --------
    >>> from twinkit.network.traffic import square
    >>> found = link_load(square(), routing(square()))
    >>> found.link_load.sel(direction="forward").values
    array([0.5, 0.5, 0. , 0. ])
    """
    import dask

    links, demands = (twin.children[n].to_dataset(inherit=False) for n in ("links", "demands"))
    capacity, offered, legs = dask.compute(links["capacity"], demands["offered"], routing)
    names, ids = (np.asarray(a[d].values, dtype=object) for a, d in ((capacity, "link"), (offered, "demand")))
    check_offered(offered, ids)
    arc = positions(legs["over"].values, names, "link", "routing/over")
    arc = arc + len(names) * _backward(legs["way"].values)
    demand = positions(legs["serves"].values, ids, "demand", "routing/serves")
    onto = csr_matrix((np.asarray(legs["split"].values, float), (arc, demand)), shape=(2 * len(names), len(ids)))
    traffic = carried(onto, offered, names)
    rho = traffic / capacity.drop_vars([c for c in capacity.coords if c != "link"])
    # nothing over a link that holds nothing is no load
    rho = rho.where(traffic > 0, 0.0).where(capacity.notnull())
    method = {"provenance": f"modelled: {legs['split'].attrs.get('provenance', 'routes').removeprefix('modelled: ')}"}
    dims = [d for d in offered.dims if d != "demand"]
    return xr.Dataset(
        {
            "link_traffic": traffic.transpose(*dims, "link", "direction").assign_attrs(method),
            "link_load": rho.transpose(*dims, "link", "direction").assign_attrs(method),
        }
    )


@contract(reads=ENDS, gives=["link", "capacity"], computes=True)
def routes(
    twin: xr.DataTree, *, origin: str, destination: str, most: int, weight: xr.DataArray | None = None,
    usable: xr.DataArray | None = None,
) -> xr.Dataset:  # fmt: skip
    """The shortest route between two sites, the second shortest, and so on, none through a site twice.

    Parameters
    ----------
    twin : DataTree
        With sites and links.
    origin, destination : str
        Ids of two sites.
    most : int
        How many routes at most; there may be fewer.
    weight : DataArray (link), optional
        As for `routing`.
    usable : DataArray (link) of truth, optional
        Links in service.

    Returns
    -------
    Dataset (route, hop)
        ``link`` (route, hop), "" after the last hop; ``hops``, ``weight`` (in the weight's unit) and ``capacity``
        [bit/s] of each route, which is that of its narrowest link. No route: no rows. Over parallel links run
        different routes.

    Errors
    ------
    TwinError
        As `routing`; `most` below one, or a route from a site to itself.

    Examples
    --------
    >>> from twinkit.network.traffic import square
    >>> found = routes(square(), origin="a", destination="b", most=3)
    >>> [[str(k) for k in row if k] for row in found.link.values], found.weight.values
    ([['ab'], ['da', 'cd', 'bc']], array([1., 3.]))

    References
    ----------
    J. Y. Yen, Finding the K Shortest Loopless Paths in a Network, Management Science 17(11), 1971, pages 712-716.
    """
    within(most, 1, math.inf, name="most", unit="1")
    net = index(twin, usable=usable)
    weights = weights_of(weight, net)
    start = int(net.position([origin], where="origin")[0])
    end = int(net.position([destination], where="destination")[0])
    if start == end:
        raise TwinError("two different sites", found=f"'{origin}' twice", hint="no route is needed", where="origin")
    found = list(itertools.islice(_yen(net, weights, start, end), int(most)))
    longest = max((len(path) for _, path in found), default=0)
    table = np.full((len(found), longest), "", dtype=object)
    for row, (_, path) in enumerate(found):
        table[row, : len(path)] = net.link[[a % len(net.link) for a in path]]
    narrow = [float(np.min(net.capacity[[a % len(net.link) for a in path]])) for _, path in found]
    said = {"provenance": "modelled: Yen's algorithm"}
    unit = "1" if weight is None else str(weight.attrs.get("units", "1"))
    return xr.Dataset(
        {
            "link": (("route", "hop"), table, said),
            "hops": ("route", np.array([len(p) for _, p in found], dtype=int), said | {"units": "1"}),
            "weight": ("route", np.array([c for c, _ in found], dtype=float), said | {"units": unit}),
            "capacity": ("route", np.array(narrow, dtype=float), said),
        }
    )


# ---------------------------------------------------------------- parts that other files use


def carried(onto: csr_matrix, offered: xr.DataArray, names: np.ndarray) -> xr.DataArray:
    """Traffic [bit/s] (..., link, direction) of the arcs that a matrix (2 m, demands) gives from the demands."""
    values = offered.transpose("demand", ...)
    flat = values.values.reshape(values.sizes["demand"], -1)
    on = (onto @ flat).reshape(2, len(names), *values.shape[1:])
    others = {d: values[d] for d in values.dims if d in values.coords and d != "demand"}
    coords = {"direction": np.array(DIRECTIONS, dtype=object), "link": names, **others}
    return xr.DataArray(on, coords, ("direction", "link", *values.dims[1:]))


def check_offered(offered: xr.DataArray, ids: np.ndarray) -> None:
    """Refuse demands that are negative or unknown, by the first of them."""
    values = offered.transpose("demand", ...).values
    bad = np.flatnonzero(~((values >= 0) & np.isfinite(values)).all(axis=tuple(range(1, values.ndim))))
    if bad.size:
        worst = float(np.ravel(values[bad[0]])[0])
        raise TwinError(
            "demands of 0 or more", found=f"{worst:g} bit/s at '{ids[bad[0]]}'",
            hint="drop it, or swap origin and destination", where="demands/offered",
        )  # fmt: skip


def legs_dataset(
    net: Index, ids: np.ndarray, demand: np.ndarray, arc: np.ndarray, split: np.ndarray, reachable: np.ndarray,
    *, provenance: str,
) -> xr.Dataset:  # fmt: skip
    """A routing from positions: of which demand, over which arc, which share."""
    order = np.lexsort((arc, demand))
    demand, arc, split = demand[order], arc[order], split[order]
    said = {"provenance": provenance}
    return xr.Dataset(
        {
            "serves": ("leg", ids[demand], said),
            "over": ("leg", net.link[arc % len(net.link)], said),
            "way": ("leg", np.array(DIRECTIONS, dtype=object)[arc // len(net.link)], said),
            "split": ("leg", split, said),
            "reachable": ("demand", reachable, said),
        },
        {"demand": ids},
    )


def asked(
    twin: xr.DataTree, usable: xr.DataArray | None
) -> tuple[Index, np.ndarray, np.ndarray, np.ndarray, xr.DataArray]:
    """The network, origin and destination of each demand by position, their ids, and what they offer."""
    import dask

    net = index(twin, usable=usable)
    demands = twin.children["demands"].to_dataset(inherit=False)
    origin, destination, offered = dask.compute(demands["origin"], demands["destination"], demands.get("offered"))
    ids = demands["demand"].values if "demand" in demands.variables else np.arange(demands.sizes["demand"])
    ends = [net.position(e.values, where=f"demands/{e.name}") for e in (origin, destination)]
    return net, ends[0], ends[1], np.asarray(ids, dtype=object), offered


def weights_of(weight: xr.DataArray | None, net: Index) -> np.ndarray:
    """Positive weights of all links in service; one each where none are given."""
    if weight is None:
        return np.ones(len(net.link))
    values = np.asarray(on_links(weight.compute(), net.link, where="weight"), float)
    bad = np.flatnonzero(net.usable & ~((values > 0) & np.isfinite(values)))
    if bad.size:
        raise TwinError(
            "a positive weight for each link in service",
            found=f"{values[bad[0]]:g} at '{net.link[bad[0]]}'" + (f" and {bad.size - 1} more" if bad.size > 1 else ""),
            hint="fill it: weight.fillna(...).clip(1), or leave the links out with usable=", where="weight",
        )  # fmt: skip
    return values


def _backward(direction: np.ndarray) -> np.ndarray:
    words = np.asarray(direction, dtype=object)
    bad = [w for w in words if w not in DIRECTIONS]
    if bad:
        raise TwinError(f"a direction, {' or '.join(DIRECTIONS)}", found=repr(bad[0]), hint="correct the routing")
    back: np.ndarray = words == DIRECTIONS[1]
    return back


# ---------------------------------------------------------------- shortest routes, split


def _legs(
    net: Index, weights: np.ndarray, origin: np.ndarray, destination: np.ndarray, equal_cost: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Demand, arc and share of each leg, and whether each demand has a route."""
    n = len(net.site)
    arcs = net.open
    arcs = arcs[np.argsort(net.tail[arcs], kind="stable")]
    first = np.searchsorted(net.tail[arcs], np.arange(n + 1))
    both = np.concatenate([weights, weights])
    few = np.unique(origin), np.unique(destination)
    from_start = len(few[0]) < len(few[1])  # one exchange and five thousand masts need one tree, not five thousand
    ends = origin if from_start else destination
    matrix, head, weight = net.matrix(weights), net.head[arcs], both[arcs]
    reachable = np.zeros(len(origin), bool)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for begin in range(0, len(few[0 if from_start else 1]), BLOCK):
        wanted = few[0 if from_start else 1][begin : begin + BLOCK]
        mine = np.flatnonzero(np.isin(ends, wanted))
        row = np.searchsorted(wanted, ends[mine])
        # the weights are the same in both directions, so the way from t is the way to t
        distance = dijkstra(matrix, directed=True, indices=wanted)
        reachable[mine] = np.isfinite(distance[row, (destination if from_start else origin)[mine]])
        order = np.argsort(-distance, axis=1, kind="stable")
        demand, arc, split = _follow(
            origin[mine], destination[mine], row, reachable[mine], distance, order, first, arcs, head, weight,
            from_start, equal_cost, EQUAL,
        )  # fmt: skip
        found.append((mine[demand], arc, split))
    demand, arc, split = (np.concatenate(c) for c in zip(*found, strict=True))
    return demand, arc, split, reachable


@njit(cache=True)
def _follow(  # type: ignore[no-untyped-def]
    origin, destination, row, reachable, distance, away, first, arcs, head, weight, from_start, equal_cost, equal
):
    size = 1024
    demand, arc, split = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    count = 0
    sites = distance.shape[1]
    here, leads = np.zeros(sites), np.ones(sites, np.bool_)
    for k in range(len(origin)):
        if not reachable[k] or origin[k] == destination[k]:
            continue
        d, order = distance[row[k]], away[row[k]]
        here[:] = 0.0
        here[origin[k]] = 1.0
        if from_start:
            # distances are from the start: first find the sites that lie on a shortest way to the end
            leads[:] = False
            leads[destination[k]] = True
            for v in order:
                if leads[v] and v != origin[k]:
                    for a in range(first[v], first[v + 1]):
                        if abs(d[v] - weight[a] - d[head[a]]) <= equal * d[v]:
                            leads[head[a]] = True
        # whatever arrives at a site has arrived before it is passed on
        for i in range(sites):
            u = order[sites - 1 - i] if from_start else order[i]
            if here[u] == 0.0 or u == destination[k]:
                continue
            ways = 0
            for a in range(first[u], first[u + 1]):
                v = head[a]
                far, near = (d[v], d[u]) if from_start else (d[u], d[v])
                if leads[v] and abs(far - weight[a] - near) <= equal * far:
                    ways += 1
                    if not equal_cost:
                        break
            for a in range(first[u], first[u + 1]):
                v = head[a]
                far, near = (d[v], d[u]) if from_start else (d[u], d[v])
                if leads[v] and abs(far - weight[a] - near) <= equal * far:
                    share = here[u] / ways
                    here[v] += share
                    if count == size:
                        size *= 2
                        demand = np.concatenate((demand, np.empty(count, np.int64)))
                        arc = np.concatenate((arc, np.empty(count, np.int64)))
                        split = np.concatenate((split, np.empty(count)))
                    demand[count], arc[count], split[count] = k, arcs[a], share
                    count += 1
                    if not equal_cost:
                        break
    return demand[:count], arc[:count], split[:count]


# ---------------------------------------------------------------- the next best


def _yen(net: Index, weights: np.ndarray, start: int, end: int) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Weight and arcs of each route without a repeated site, from the shortest on."""
    both = np.concatenate([weights, weights])
    out: list[list[int]] = [[] for _ in net.site]
    for a in net.open:
        out[net.tail[a]].append(int(a))
    tail, head = net.tail, net.head

    def shortest(source: int, closed: set[int], barred: set[int]) -> tuple[float, tuple[int, ...]] | None:
        best, way, queue = {source: 0.0}, {source: -1}, [(0.0, source)]
        while queue:
            far, u = heapq.heappop(queue)
            if u == end:
                path: list[int] = []
                while u != source:
                    path.append(way[u])
                    u = int(tail[way[u]])
                return far, tuple(reversed(path))
            if far > best[u]:
                continue
            for a in out[u]:
                v, there = int(head[a]), far + both[a]
                if a not in barred and v not in closed and there < best.get(v, math.inf):
                    best[v], way[v] = there, a
                    heapq.heappush(queue, (there, v))
        return None

    first = shortest(start, set(), set())
    if first is None:
        return
    kept: list[tuple[int, ...]] = []
    waiting, seen = [first], {first[1]}
    while waiting:
        weight, path = heapq.heappop(waiting)
        yield weight, path
        kept.append(path)
        for spur in range(len(path)):
            root = path[:spur]
            source = int(tail[path[spur]])
            barred = {p[spur] for p in kept if p[:spur] == root and len(p) > spur}
            onward = shortest(source, {int(tail[a]) for a in root}, barred)
            if onward is not None:
                whole = root + onward[1]
                if whole not in seen:
                    seen.add(whole)
                    heapq.heappush(waiting, (float(sum(both[a] for a in whole)), whole))
