"""The most that a network carries at once: maximum concurrent flow, and the routing whose fullest link is least full.

Both are one linear programme. Its optimum is not taken on trust: the prices of capacity that the solver gives are put
through shortest paths of our own, which bounds from above what any routing can carry.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import linprog
from scipy.sparse import block_diag, coo_matrix, csr_matrix, hstack
from scipy.sparse.csgraph import dijkstra

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.network.graph import DIRECTIONS, Index
from twinkit.network.route import ENDS, WHO, asked, carried, check_offered, legs_dataset, weights_of
from twinkit.twin import assemble

__all__ = ["concurrent_flow", "fitting", "offered_at"]

CERTAIN = 1e-6
"""Largest relative gap between what the routing carries and what its dual proves that none can exceed."""

TINY = 1e-9
"""Share of a source's traffic below which a flow is the solver's rounding."""


@contract(
    reads=[*ENDS, *WHO, "demands/offered"],
    gives=[
        "concurrent_scale", "concurrent_bound", "link_traffic", "link_load", "link_price", "serves", "over", "way",
        "split", "reachable",
    ],
    computes=True,
)  # fmt: skip
def concurrent_flow(
    twin: xr.DataTree, *, weight: xr.DataArray | None = None, usable: xr.DataArray | None = None
) -> xr.Dataset:
    r"""How many times all demands fit at once, and the routing that proves it: its fullest link is least full.

    .. math::

        \min \theta: \quad \sum_{a\ out\ v} x_{sa} - \sum_{a\ into\ v} x_{sa} = b_{sv}, \quad
        \sum_s x_{sa} \le \theta C_a, \quad x \ge 0, \qquad \lambda = 1 / \theta

    with x the flow from source s over arc a, and b what starts less what ends at site v. For any prices p of capacity
    with Σ C p = 1, the dual says that

    .. math:: \theta \ge \sum_k d_k\ dist_p(o_k, t_k)

    so the solver's prices, put through shortest paths, prove how far from the optimum the routing can be. Of all
    routings with the least θ, that with the least sum of traffic times weight is given.

    Parameters
    ----------
    twin : DataTree
        With sites, links and demands. Links without capacity and from a site to itself carry nothing.
    weight : DataArray (link), optional
        What is least among equals, such as ``twin["links/length"]``. Without: hops.
    usable : DataArray (link) of truth, optional
        Links in service.

    Returns
    -------
    Dataset
        ``concurrent_scale`` [1], below one where the demands do not fit; ``concurrent_bound`` [1], which no routing
        exceeds. ``link_traffic`` [bit/s] and ``link_load`` [1] (link, direction) at the demands as they are: above one
        where, and by how much, they do not fit. ``link_price`` (link, direction), each link's part of the tightest
        place; they add up to one. The routing as of `routing`: ``serves``, ``over``, ``way``, ``split`` (leg) and
        ``reachable`` (demand). Demands without any route are left out of the programme. The attribute ``summary`` says
        it in words. Computed.

    Validity
    --------
    Traffic as a fluid that can be split at will: an upper bound for any routing protocol.

    Errors
    ------
    TwinError
        A link in service of unknown capacity, a demand that is negative, unknown or has further dims, or a programme
        whose optimum the dual does not certify.

    Examples
    --------
    Both ways around the square take 1 Gbit/s, so twice the demand fits:

    >>> from twinkit.network.traffic import square
    >>> found = concurrent_flow(square())
    >>> round(float(found.concurrent_scale), 6), found.link_load.sel(direction="forward").values.round(6)
    (2.0, array([0.5, 0.5, 0. , 0. ]))

    References
    ----------
    F. Shahrokhi and D. W. Matula, The Maximum Concurrent Flow Problem, Journal of the ACM 37(2), 1990, section 2.
    """
    net, origin, destination, ids, offered, amount = _problem(twin, usable)
    weights = weights_of(weight, net)
    reachable = _reachable(net, origin, destination)
    moving = reachable & (origin != destination) & (amount > 0)
    capacity = np.concatenate([net.capacity, net.capacity])
    price = np.zeros(2 * len(net.link))
    said = "least largest load as a linear programme, certified by its dual"
    if moving.any():
        arcs = net.open
        lp = _Programme(net, arcs, origin[moving], destination[moving], amount[moving], capacity[arcs])
        theta, lp_price = lp.least()
        price[arcs] = lp_price
        flow = lp.tidy(theta, np.concatenate([weights, weights])[arcs])
        demand, arc, split = lp.legs(flow)
        demand, arc = np.flatnonzero(moving)[demand], arcs[arc]
    else:
        demand, arc, split = np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    # the answer is what these legs load, not what the solver says that they do
    onto = csr_matrix((split, (arc, demand)), shape=(len(capacity), len(ids)))
    traffic = carried(onto, offered, net.link)
    flat = onto @ amount
    load = np.divide(flat, capacity, out=np.where(np.isnan(capacity), np.nan, 0.0), where=flat > 0)
    fullest = float(load[flat > 0].max(initial=0.0))
    lowest = _bound(net, origin[moving], destination[moving], amount[moving], price, capacity)
    if moving.any() and not fullest - lowest <= CERTAIN * fullest:
        raise TwinError(
            f"a routing within {CERTAIN:g} of its dual", found=f"loads of {fullest:g}, proven only from {lowest:g}",
            hint="capacities or demands may differ by more than 1e9: leave out what is negligible", where="links",
        )  # fmt: skip
    shape = {"direction": np.array(DIRECTIONS, dtype=object), "link": net.link}
    out = legs_dataset(net, ids, demand, arc, split, reachable, provenance=f"modelled: {said}")
    told = {"provenance": f"modelled: {said}"}
    for name, values in (("link_traffic", traffic.values), ("link_load", load), ("link_price", price * capacity)):
        array = xr.DataArray(np.nan_to_num(values).reshape(2, -1) if name == "link_price" else values.reshape(2, -1))
        out[name] = (("link", "direction"), array.values.T, told)
    out["concurrent_scale"] = ((), 1 / fullest if fullest else math.inf, told)
    out["concurrent_bound"] = ((), 1 / lowest if lowest else math.inf, told)
    out = out.assign_coords(shape)
    return out.assign_attrs(summary=_summary(out, net, amount, reachable, fullest))


@contract(reads=[*ENDS, *WHO, "demands/offered"], gives=["offered"], computes=True)
def offered_at(twin: xr.DataTree, *, load: float, usable: xr.DataArray | None = None) -> xr.DataArray:
    """The demands, all scaled alike, so that the best routing fills its fullest link to this load.

    Parameters
    ----------
    twin : DataTree
        As for `concurrent_flow`.
    load : float [1]
        Of the fullest link.
    usable : DataArray (link) of truth, optional
        Links in service.

    Returns
    -------
    DataArray (demand) [bit/s]
        ``tk.extend(twin, demands=offered_at(twin, load=0.5))`` is the twin at that load.

    Errors
    ------
    TwinError
        As `concurrent_flow`; no demand that can be routed.

    Examples
    --------
    >>> from twinkit.network.traffic import square
    >>> offered_at(square(), load=0.75).values.round(3)
    array([1.5e+09])
    """
    within(load, 1e-9, 1e6, name="load", unit="1")
    net, origin, destination, _, offered, amount = _problem(twin, usable)
    moving = _reachable(net, origin, destination) & (origin != destination) & (amount > 0)
    if not moving.any():
        raise TwinError(
            "a demand that can be routed", found="none", hint="see `reachable` of network.routing(twin)",
            where="demands",
        )  # fmt: skip
    capacity = np.concatenate([net.capacity, net.capacity])
    lp = _Programme(net, net.open, origin[moving], destination[moving], amount[moving], capacity[net.open])
    theta, lp_price = lp.least()
    price = np.zeros(len(capacity))
    price[net.open] = lp_price
    lowest = _bound(net, origin[moving], destination[moving], amount[moving], price, capacity)
    if not theta - lowest <= CERTAIN * theta:
        raise TwinError(
            f"an optimum within {CERTAIN:g} of its dual", found=f"{theta:g}, proven only from {lowest:g}",
            hint="leave out demands and links that are negligible", where="links",
        )  # fmt: skip
    out = offered * (load / theta)
    out.attrs = {"provenance": f"modelled: demands scaled to a largest load of {load:g}"}
    return out


def fitting(
    source: list[int], target: list[int], capacity: list[float], *, origin: list[int], destination: list[int],
    offered: list[float],
) -> float:  # fmt: skip
    """How many times all demands fit at once into a network given by numbers.

    The least largest load of `concurrent_flow`, turned over.

    Parameters
    ----------
    source, target : list of int (m,)
        Position of each link's ends, counted from 0.
    capacity : list of float (m,)
        In each direction, in any unit.
    origin, destination : list of int (n,)
        Position of each demand's ends.
    offered : list of float (n,)
        In the unit of capacity.

    Returns
    -------
    float [1]

    Validity
    --------
    A demand in both directions over links with a capacity in each is the same as an undirected demand over links whose
    capacity both directions share.

    Errors
    ------
    TwinError
        As `concurrent_flow`; lists of different lengths.

    Examples
    --------
    >>> fitting([0, 1, 2], [1, 2, 0], [1.0, 1.0, 1.0], origin=[0], destination=[1], offered=[1.0])
    2.0
    """
    count = int(max([*source, *target, *origin, *destination], default=0)) + 1
    if not len(source) == len(target) == len(capacity) or not len(origin) == len(destination) == len(offered):
        raise TwinError(
            "three lists of links and three of demands, each of one length",
            found=", ".join(str(len(v)) for v in (source, target, capacity, origin, destination, offered)),
            hint="give a value for each", where="network.fitting",
        )  # fmt: skip
    ids = np.arange(count).astype(str).astype(object)
    links = {"source": ids[source], "target": ids[target], "capacity": np.asarray(capacity, float)}
    demands = {"origin": ids[origin], "destination": ids[destination], "offered": np.asarray(offered, float)}
    nodes = {
        "sites": xr.Dataset(coords={"site": ids}),
        "links": xr.Dataset(
            {k: ("link", v) for k, v in links.items()}, {"link": [f"link {i}" for i in range(len(source))]}
        ),
        "demands": xr.Dataset(
            {k: ("demand", v) for k, v in demands.items()}, {"demand": [f"demand {i}" for i in range(len(origin))]}
        ),
    }
    twin = assemble(nodes, title="", crs="EPSG:32643")
    return round(float(concurrent_flow(twin).concurrent_scale), 7)


# ---------------------------------------------------------------- the programme


class _Programme:
    """The least largest load for some demands over some arcs, flows aggregated by the site where they start."""

    def __init__(
        self, net: Index, arcs: np.ndarray, origin: np.ndarray, destination: np.ndarray, amount: np.ndarray,
        capacity: np.ndarray,
    ) -> None:  # fmt: skip
        self.arcs, self.origin, self.destination = arcs, origin, destination
        self.tail, self.head = net.tail[arcs], net.head[arcs]
        self.sites = len(net.site)
        self.sources, self.source = np.unique(origin, return_inverse=True)
        # near one, whatever the units: the solver's tolerances are absolute
        self.unit = float(np.max(capacity))
        self.capacity = capacity / self.unit
        self.size = float(amount.sum())
        self.amount = amount / self.size
        count = len(arcs)
        # what leaves less what arrives, at each site; one row is the sum of the others, but presolve finds it
        signs = coo_matrix(
            (np.repeat([1.0, -1.0], count), (np.concatenate([self.tail, self.head]), np.tile(np.arange(count), 2))),
            shape=(self.sites, count),
        )
        self.balance = block_diag([signs] * len(self.sources), format="csr")
        net_out = np.zeros((len(self.sources), self.sites))
        np.add.at(net_out, (self.source, origin), self.amount)
        np.add.at(net_out, (self.source, destination), -self.amount)
        self.supply = net_out.ravel()
        arc = np.tile(np.arange(count), len(self.sources))
        self.sum = csr_matrix((np.ones(len(arc)), (arc, np.arange(len(arc)))), shape=(count, len(arc)))

    def least(self) -> tuple[float, np.ndarray]:
        """The least largest load, and the price of each arc's capacity in the twin's units."""
        count = self.sum.shape[1]
        equal = hstack([self.balance, csr_matrix((self.balance.shape[0], 1))], format="csr")
        most = hstack([self.sum, csr_matrix(-self.capacity[:, None])], format="csr")
        cost = np.zeros(count + 1)
        cost[-1] = 1.0
        done = _solved(cost, most, np.zeros(len(self.capacity)), equal, self.supply)
        price = np.maximum(-np.asarray(done.ineqlin.marginals), 0.0)
        weight = float(price @ self.capacity)
        theta = float(done.x[-1]) * self.size / self.unit
        return theta, price / (weight * self.unit if weight else 1.0)

    def tidy(self, theta: float, weights: np.ndarray) -> np.ndarray:
        """The flows (source, arc) of least traffic times weight among those with this largest load."""
        within_load = self.capacity * (theta * self.unit / self.size) * (1 + TINY)
        cost = np.tile(weights / weights.mean(), len(self.sources))
        done = _solved(cost, self.sum, within_load, self.balance, self.supply)
        flow: np.ndarray = np.maximum(done.x, 0.0).reshape(len(self.sources), -1)
        return flow

    def legs(self, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Demand, arc (position among the arcs) and share of each leg of these flows.

        Traffic of one source mixes at each site; a demand's share is followed back from its end, by the shares with
        which the source's traffic arrives there. That conserves each demand exactly and all together as the flow.
        """
        out: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for s, site in enumerate(self.sources):
            mine = np.flatnonzero(self.source == s)
            x = flow[s].copy()
            x[x <= TINY * self.amount[mine].sum()] = 0.0
            order, into = self._order(x)
            through = np.zeros((self.sites, len(mine)))
            through[self.destination[mine], np.arange(len(mine))] = 1.0
            for v in reversed(order):
                if v == site or not into[v] or not through[v].any():
                    continue
                arcs = np.array(into[v])
                part = x[arcs] / x[arcs].sum()
                for a, p in zip(arcs, part, strict=True):
                    through[self.tail[a]] += through[v] * p
                    some = np.flatnonzero(through[v] > 0)
                    out.append((mine[some], np.full(len(some), a), through[v][some] * p))
        demand, arc, split = (np.concatenate(c) for c in zip(*out, strict=True))
        return demand, arc, split

    def _order(self, x: np.ndarray) -> tuple[list[int], list[list[int]]]:
        """Sites so that each flow runs from an earlier to a later one, and the arcs into each; circles are undone."""
        while True:
            out: list[list[int]] = [[] for _ in range(self.sites)]
            into: list[list[int]] = [[] for _ in range(self.sites)]
            for a in map(int, np.flatnonzero(x)):
                out[self.tail[a]].append(a)
                into[self.head[a]].append(a)
            waits = np.array([len(i) for i in into])
            ready = [int(v) for v in np.flatnonzero(waits == 0)]
            order: list[int] = []
            while ready:
                v = ready.pop()
                order.append(v)
                for a in out[v]:
                    waits[self.head[a]] -= 1
                    if waits[self.head[a]] == 0:
                        ready.append(int(self.head[a]))
            if len(order) == self.sites:
                return order, into
            # some flow runs in a circle: walk back along it until a site comes twice, and take it off
            at: dict[int, int] = {}
            v = int(np.flatnonzero(waits > 0)[0])
            path: list[int] = []
            while v not in at:
                at[v] = len(path)
                a = next(a for a in into[v] if waits[self.tail[a]] > 0)
                path.append(a)
                v = int(self.tail[a])
            circle = path[at[v] :]
            x[circle] -= x[circle].min()
            x[x <= 0] = 0.0


def _solved(cost: np.ndarray, most: Any, bound: np.ndarray, equal: Any, supply: np.ndarray) -> Any:
    done = linprog(cost, A_ub=most, b_ub=bound, A_eq=equal, b_eq=supply, bounds=(0, None), method="highs")
    if done.status != 0:
        raise TwinError(
            "a linear programme with an optimum", found=done.message, hint="are capacities and demands in bit/s?",
            where="links",
        )  # fmt: skip
    return done


def _bound(
    net: Index, origin: np.ndarray, destination: np.ndarray, amount: np.ndarray, price: np.ndarray, capacity: np.ndarray
) -> float:
    """What the largest load is at least, by these prices of capacity: any prices give a true bound."""
    whole = float(np.nansum(price * capacity))
    if not len(origin) or whole <= 0:
        return 0.0
    sources, which = np.unique(origin, return_inverse=True)
    distance = dijkstra(net.matrix(price), directed=True, indices=sources)
    return float((amount * distance[which, destination]).sum() / whole)


def _problem(
    twin: xr.DataTree, usable: xr.DataArray | None
) -> tuple[Index, np.ndarray, np.ndarray, np.ndarray, xr.DataArray, np.ndarray]:
    net, origin, destination, ids, offered = asked(twin, usable)
    unknown = np.flatnonzero(net.usable & np.isnan(net.capacity))
    if unknown.size:
        raise TwinError(
            "the capacity of each link in service",
            found=f"none for '{net.link[unknown[0]]}'" + (f" and {unknown.size - 1} more" if unknown.size > 1 else ""),
            hint="fill it: links.capacity.fillna(1e9), or leave the links out with usable=", where="links/capacity",
        )  # fmt: skip
    if offered.dims != ("demand",):
        raise TwinError(
            "demands of one moment", found=f"dims {offered.dims}", hint="choose one: offered.isel(time=0)",
            where="demands/offered",
        )  # fmt: skip
    check_offered(offered, ids)
    return net, origin, destination, ids, offered, np.asarray(offered.values, float)


def _reachable(net: Index, origin: np.ndarray, destination: np.ndarray) -> np.ndarray:
    from scipy.sparse.csgraph import connected_components

    _, part = connected_components(net.matrix(), directed=False)
    same: np.ndarray = part[origin] == part[destination]
    return same


def _summary(out: xr.Dataset, net: Index, amount: np.ndarray, reachable: np.ndarray, fullest: float) -> str:
    whole, lost = amount.sum() / 1e9, amount[~reachable].sum() / 1e9
    words = [f"{whole:.4g} Gbit/s are asked for"]
    if lost:
        words.append(f"{lost:.4g} Gbit/s of them have no route at all")
    if not fullest:
        return "; ".join([*words, "nothing moves"])
    scale = 1 / fullest
    words.append(
        f"the network carries {max(scale, 1.0):.4g} times {'the rest' if lost else 'that'}" if scale >= 1 - CERTAIN
        else f"only {scale:.1%} of each demand fits, the fullest link is asked for {fullest:.4g} times what it holds"
    )  # fmt: skip
    paid = out["link_price"].max("direction").values
    tight = net.link[np.argsort(-paid, kind="stable")][: min(5, int((paid > 1e-6).sum()))]
    return "; ".join([*words, f"the tightest place is {', '.join(map(str, tight))}"])
