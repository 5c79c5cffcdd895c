"""Single points of failure: the links and the sites without which a network falls apart, and who is cut off by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from twinkit.contract import contract
from twinkit.error import TwinError
from twinkit.network.route import ENDS, WHO, asked, check_offered
from twinkit.network.traffic import on_sites

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twinkit.network.graph import Index

__all__ = ["weak_links", "weak_sites"]


@contract(reads=[*ENDS, *WHO, "demands/offered"], gives=["bridge", "demand_lost", "people_cut"], computes=True)
def weak_links(
    twin: xr.DataTree,
    *,
    people: xr.DataArray | None = None,
    core: Sequence[str] = (),
    usable: xr.DataArray | None = None,
) -> xr.Dataset:
    """What is lost with each link alone: the traffic that has no other way, and the people cut off from the core.

    Parameters
    ----------
    twin : DataTree
        With sites, links and demands.
    people : DataArray (site) [people], optional
        Who depends on each site: ``catchment(twin)``.
    core : list of str
        Sites from which the rest of the world is reached; who has a way to one of them is served.
    usable : DataArray (link) of truth, optional
        Links in service.

    Returns
    -------
    Dataset (link)
        ``bridge``, whether the network falls apart without it, ``demand_lost`` [bit/s] and ``people_cut`` [people];
        both 0 for a link that is no bridge, as one of two parallel links never is. What has no way before is not
        counted as lost. ``people_cut`` is NaN without `people` or `core`.

    Validity
    --------
    Connection only: the ways that are left may be too full, see `link_load` with ``usable=``.

    Errors
    ------
    TwinError
        As `routing`; demands that are negative, unknown or have further dims; people that are.

    Examples
    --------
    A ring has no bridge; without one link, the others are:

    >>> from twinkit.network.traffic import square
    >>> whole = square()
    >>> float(weak_links(whole).demand_lost.sum())
    0.0
    >>> weak_links(whole, usable=whole["links/link"] != "da").demand_lost.values / 1e9
    array([1., 1., 0., 0.])

    References
    ----------
    R. E. Tarjan, A note on finding the bridges of a graph, Information Processing Letters 2(6), 1974, pages 160-161.
    """
    net, origin, destination, ids, offered = asked(twin, usable)
    amount = _amount(offered, ids)
    head_count, centre = _who(net, people, core)
    tree = _Tree(net)
    at, size = tree.position, tree.size
    a, b = at[origin], at[destination]
    joined = tree.part[origin] == tree.part[destination]
    bridge = np.zeros(len(net.link), bool)
    lost, cut = np.zeros(len(net.link)), np.zeros(len(net.link))
    below, centres = (np.concatenate([[0.0], np.cumsum(v[tree.order])]) for v in (head_count, centre))
    for child in map(int, np.flatnonzero(tree.bridge)):
        link = tree.above[child]
        low, high = at[child], at[child] + size[child]
        bridge[link] = True
        one, other = (a >= low) & (a < high), (b >= low) & (b < high)
        lost[link] = amount[joined & (one != other)].sum()
        start, end = tree.extent(child)
        inside, whole = centres[high] - centres[low], centres[end] - centres[start]
        if whole and not inside:
            cut[link] = below[high] - below[low]
        elif whole and inside == whole:
            cut[link] = below[end] - below[start] - (below[high] - below[low])
    if people is None or not len(core):
        cut[:] = np.nan
    said = {"provenance": "modelled: connection without the link"}
    values = {"bridge": bridge, "demand_lost": lost, "people_cut": cut}
    return xr.Dataset({k: ("link", v, said) for k, v in values.items()}, {"link": net.link})


@contract(reads=[*ENDS, *WHO, "demands/offered"], gives=["cut_site", "demand_lost", "people_cut"], computes=True)
def weak_sites(
    twin: xr.DataTree,
    *,
    people: xr.DataArray | None = None,
    core: Sequence[str] = (),
    usable: xr.DataArray | None = None,
) -> xr.Dataset:
    """What is lost with each site alone: its own traffic and people, and all that has no way around it.

    Parameters
    ----------
    twin, people, core, usable
        As for `weak_links`.

    Returns
    -------
    Dataset (site)
        ``cut_site``, whether the others fall apart without it, ``demand_lost`` [bit/s] and ``people_cut`` [people], its
        own included. ``people_cut`` is NaN without `people` or `core`.

    Validity
    --------
    As `weak_links`.

    Errors
    ------
    TwinError
        As `weak_links`.

    Examples
    --------
    >>> from twinkit.network.traffic import square
    >>> whole = square()
    >>> weak_sites(whole, usable=whole["links/link"] != "da").cut_site.values
    array([False,  True,  True, False])

    References
    ----------
    J. Hopcroft and R. Tarjan, Efficient algorithms for graph manipulation, Communications of the ACM 16(6), 1973,
    pages 372-378.
    """
    net, origin, destination, ids, offered = asked(twin, usable)
    amount = _amount(offered, ids)
    head_count, centre = _who(net, people, core)
    tree = _Tree(net)
    joined = tree.part[origin] == tree.part[destination]
    served = np.bincount(tree.part, weights=centre)[tree.part] > 0 if len(net.site) else np.zeros(0, bool)
    count = len(net.site)
    apart = np.zeros(count, bool)
    lost, cut = np.zeros(count), np.zeros(count)
    for v in range(count):
        pieces = tree.pieces(v)
        apart[v] = len(pieces) > 1
        if len(pieces) <= 1:
            ends = (origin == v) | (destination == v)
            lost[v] = amount[joined & ends].sum()
            cut[v] = head_count[v] * served[v]
            # the last centre of its part takes everybody with it
            start, end = tree.extent(v)
            mine = tree.order[start:end]
            if centre[v] and centre[mine].sum() == 1:
                cut[v] = head_count[mine].sum()
            continue
        label = np.full(count, -1)
        for i, piece in enumerate(pieces):
            label[piece] = i
        gone = (origin == v) | (destination == v) | (label[origin] != label[destination])
        lost[v] = amount[joined & gone].sum()
        dark = [p for p in pieces if not centre[p].any()]
        cut[v] = served[v] * (head_count[v] + sum(head_count[p].sum() for p in dark))
    if people is None or not len(core):
        cut[:] = np.nan
    said = {"provenance": "modelled: connection without the site"}
    values = {"cut_site": apart, "demand_lost": lost, "people_cut": cut}
    return xr.Dataset({k: ("site", v, said) for k, v in values.items()}, {"site": net.site})


class _Tree:
    """A depth-first forest: every site's place in the order of discovery, and what hangs below it."""

    def __init__(self, net: Index) -> None:
        count = len(net.site)
        out: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for link in map(int, np.flatnonzero(net.usable)):
            a, b = int(net.source[link]), int(net.target[link])
            out[a].append((b, link))
            out[b].append((a, link))
        self.position = np.full(count, -1)
        self.low, self.size = np.zeros(count, int), np.ones(count, int)
        self.parent, self.above = np.full(count, -1), np.full(count, -1)
        self.part = np.zeros(count, int)
        order: list[int] = []
        for root in range(count):
            if self.position[root] >= 0:
                continue
            stack, parts = [(root, iter(out[root]))], len(order)
            self._found(root, order, parts)
            while stack:
                u, ways = stack[-1]
                for v, link in ways:
                    if link == self.above[u]:
                        continue  # the link, not the site: a parallel one leads back and makes this one no bridge
                    if self.position[v] < 0:
                        self.parent[v], self.above[v] = u, link
                        self._found(v, order, parts)
                        stack.append((v, iter(out[v])))
                        break
                    self.low[u] = min(self.low[u], self.position[v])
                else:
                    stack.pop()
                    if stack:
                        p = stack[-1][0]
                        self.low[p] = min(self.low[p], self.low[u])
                        self.size[p] += self.size[u]
        self.order = np.array(order, dtype=int)
        child = self.parent >= 0
        self.bridge = child & (self.low > self.position[np.where(child, self.parent, 0)])
        self.children: list[list[int]] = [[] for _ in range(count)]
        for v in self.order:
            if self.parent[v] >= 0:
                self.children[self.parent[v]].append(int(v))

    def _found(self, v: int, order: list[int], part: int) -> None:
        self.position[v] = self.low[v] = len(order)
        self.part[v] = part
        order.append(v)

    def extent(self, v: int) -> tuple[int, int]:
        """Where the connected part of a site begins and ends in the order."""
        start = int(self.part[v])
        return start, start + int(self.size[self.order[start]])

    def pieces(self, v: int) -> list[np.ndarray]:
        """The sites of each piece into which the part of a site falls without it."""
        alone = [c for c in self.children[v] if self.low[c] >= self.position[v]]
        if not alone:
            return []  # not looked at closer: nothing falls apart
        out = [self.order[self.position[c] : self.position[c] + self.size[c]] for c in alone]
        start, end = self.extent(v)
        rest = np.ones(end - start, bool)
        rest[self.position[v] - start] = False
        for piece in out:
            rest[self.position[piece] - start] = False
        return [*out, self.order[start:end][rest]] if rest.any() else out


def _amount(offered: xr.DataArray, ids: np.ndarray) -> np.ndarray:
    if offered.dims != ("demand",):
        raise TwinError(
            "demands of one moment", found=f"dims {offered.dims}", hint="choose one: offered.isel(time=0)",
            where="demands/offered",
        )  # fmt: skip
    check_offered(offered, ids)
    return np.asarray(offered.values, float)


def _who(net: Index, people: xr.DataArray | None, core: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """People and whether it is a centre, by site."""
    centre = np.zeros(len(net.site))
    if len(core):
        centre[net.position([core] if isinstance(core, str) else list(core), where="core")] = 1.0
    return (np.zeros(len(net.site)) if people is None else on_sites(people.compute(), net.site)), centre
