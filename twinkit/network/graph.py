"""A twin's sites and links as a graph: as positions in arrays for what is computed in bulk, as networkx at the edge.

A link carries its capacity in each of its two directions at the same time, as fibre and microwave links do. The
direction from its source to its target is ``forward``, the other one ``backward``. Arc `l` is link `l` forward, arc
`n_links + l` the same link backward.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.sparse import csr_matrix

from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["DIRECTIONS", "Index", "graph", "index"]

DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True, eq=False)
class Index:
    """The network as arrays, sites and links by their position.

    Attributes
    ----------
    site, link : object array (n,) and (m,)
        Ids.
    source, target : int64 array (m,)
        Position of each link's ends among the sites.
    capacity : float array (m,) [bit/s]
        In each direction; NaN where unknown.
    length : float array (m,) [m]
        NaN where unknown.
    usable : bool array (m,)
        What can carry traffic: not a link from a site to itself, not one of no capacity, not one left out.
    """

    site: np.ndarray
    link: np.ndarray
    source: np.ndarray
    target: np.ndarray
    capacity: np.ndarray
    length: np.ndarray
    usable: np.ndarray

    @property
    def tail(self) -> np.ndarray:
        """Where each arc (2 m,) starts: all links forward, then all backward."""
        return np.concatenate([self.source, self.target])

    @property
    def head(self) -> np.ndarray:
        """Where each arc (2 m,) ends."""
        return np.concatenate([self.target, self.source])

    @property
    def open(self) -> np.ndarray:
        """Positions of the arcs of usable links."""
        return np.flatnonzero(np.concatenate([self.usable, self.usable]))

    def matrix(self, weight: Any = 1.0) -> csr_matrix:
        """Least weight from site to site (n, n) for `scipy.sparse.csgraph`, parallel links by the lightest.

        Parameters
        ----------
        weight : float or array (m,) or (2 m,)
            Of each link, or of each arc.
        """
        weights = np.broadcast_to(np.asarray(weight, float), np.shape(weight) or (len(self.link),))
        if len(weights) == len(self.link):
            weights = np.concatenate([weights, weights])
        arcs = self.open
        order = arcs[np.lexsort((weights[arcs], self.head[arcs], self.tail[arcs]))]
        pair = self.tail[order] * len(self.site) + self.head[order]
        first = order[np.flatnonzero(np.diff(pair, prepend=-1))]
        shape = (len(self.site), len(self.site))
        return csr_matrix((weights[first], (self.tail[first], self.head[first])), shape=shape)

    def position(self, sites: Any, *, where: str) -> np.ndarray:
        """Positions of sites by their ids."""
        return positions(sites, self.site, "site", where)


def index(twin: xr.DataTree, *, usable: xr.DataArray | None = None) -> Index:
    """The twin's sites and links as arrays of positions.

    Parameters
    ----------
    twin : DataTree
        With ``sites`` and ``links``; ``links/capacity`` and ``links/length`` where known.
    usable : DataArray (link) of truth, optional
        Which links are in service, such as ``links.medium != "satellite"``.

    Returns
    -------
    Index

    Errors
    ------
    TwinError
        No links, an end that is no site, a negative capacity or length, or a mask on other links.

    Examples
    --------
    >>> from twinkit.twin import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 1.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> found = index(assemble({"sites": sites, "links": links}, title="two", crs="EPSG:32643"))
    >>> found.tail, found.head
    (array([0, 1]), array([1, 0]))
    """
    sites, links = (_node(twin, name) for name in ("sites", "links"))
    for name in ("source", "target"):
        if name not in links:
            raise TwinError(
                f"links with a {name}", found=", ".join(map(str, links.variables)) or "an empty node",
                hint="tk.extend(twin, links=...)", where=f"links/{name}",
            )  # fmt: skip
    import dask

    wanted = [links.get(n, None) for n in ("source", "target", "capacity", "length")]
    # read from disk or graph once
    source, target, capacity, length, usable = dask.compute(*wanted, usable)
    ids, names = _ids(sites, "site"), _ids(links, "link")
    ends = [positions(e.values, ids, "site", f"links/{n}") for n, e in (("source", source), ("target", target))]
    numbers = []
    for name, values in (("capacity", capacity), ("length", length)):
        found = np.full(len(names), np.nan) if values is None else np.asarray(values.values, float)
        if (found < 0).any():
            at = int(np.flatnonzero(found < 0)[0])
            raise TwinError(
                f"a {name} of 0 or more", found=f"{found[at]:g} at link '{names[at]}'",
                hint="0 is a link that carries nothing, NaN one of which nobody knows", where=f"links/{name}",
            )  # fmt: skip
        numbers.append(found)
    can = (ends[0] != ends[1]) & (numbers[0] != 0)
    if usable is not None:
        can = can & on_links(usable, names, where="usable").astype(bool)
    return Index(ids, names, ends[0], ends[1], numbers[0], numbers[1], can)


def graph(twin: xr.DataTree) -> nx.MultiGraph[str]:
    """The twin's sites and links as a networkx graph, with everything that is known of them as attributes.

    Parameters
    ----------
    twin : DataTree
        With ``sites`` and ``links``.

    Returns
    -------
    networkx.MultiGraph
        Undirected; nodes are site ids, the key of an edge is the id of the link, so that parallel links and links
        from a site to itself stay what they are. Units are the twin's.

    Errors
    ------
    TwinError
        As `index`.

    Examples
    --------
    >>> from twinkit.twin import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 1.0])}, {"site": ["a", "b"]})
    >>> ends = {"source": ("link", ["a", "a"]), "target": ("link", ["b", "b"]), "capacity": ("link", [1e9, 1e8])}
    >>> twin = assemble({"sites": sites, "links": xr.Dataset(ends, {"link": ["1", "2"]})}, title="", crs="EPSG:32643")
    >>> graph(twin).edges["a", "b", "2"]["capacity"]
    100000000.0
    """
    import networkx as nx

    found = index(twin)
    out: nx.MultiGraph[str] = nx.MultiGraph(**{str(k): v for k, v in twin.attrs.items()})
    nodes = {n: _node(twin, n).compute() for n in ("sites", "links")}
    told = {
        node: {str(k): v.values for k, v in ds.variables.items() if v.dims == (dim,) and k not in (dim, *ends)}
        for (node, ds), dim, ends in zip(nodes.items(), ("site", "link"), ((), ("source", "target")), strict=True)
    }
    for i, site in enumerate(found.site):
        out.add_node(site, **{k: _plain(v[i]) for k, v in told["sites"].items()})
    for i, link in enumerate(found.link):
        ends = found.site[found.source[i]], found.site[found.target[i]]
        out.add_edge(*ends, key=link, **{k: _plain(v[i]) for k, v in told["links"].items()})
    return out


def positions(values: Any, ids: np.ndarray, what: str, where: str) -> np.ndarray:
    """Where each of the values stands among the ids."""
    known = dict(zip(ids, range(len(ids)), strict=True))
    wanted = np.asarray(values, dtype=object).ravel()
    # a routing names the same demand on each of its legs, half a million of them: look up what differs from the last
    new = np.append(True, wanted[1:] != wanted[:-1])[: len(wanted)].astype(bool)
    once = wanted[new]
    found = np.fromiter(map(known.get, once, itertools.repeat(-1)), np.int64, len(once))[np.cumsum(new) - 1]
    if (found < 0).any():
        stranger = wanted[np.flatnonzero(found < 0)[0]]
        near = close_to(str(stranger), ids)
        raise TwinError(
            f"a {what} of the twin", found=f"'{stranger}'",
            hint=f"did you mean {near}?" if near else f"there are {', '.join(map(str, ids[:5])) or 'none'}",
            where=where,
        )  # fmt: skip
    return found


def on_links(array: Any, names: np.ndarray, *, where: str) -> np.ndarray:
    """Values of an array on link, in the twin's order of links."""
    if not isinstance(array, xr.DataArray) or array.dims != ("link",):
        raise TwinError(
            "a DataArray on link",
            found=f"dims {array.dims}" if isinstance(array, xr.DataArray) else f"a {type(array).__name__}",
            hint='such as twin["links/length"]', where=where,
        )  # fmt: skip
    if "link" in array.indexes and not np.array_equal(array.indexes["link"].values, names):
        place = array.indexes["link"].get_indexer(names)
        if (place < 0).any():
            raise TwinError(
                "a value for each link", found=f"none for '{names[np.flatnonzero(place < 0)[0]]}'",
                hint="array.reindex(link=twin['links'].link)", where=where,
            )  # fmt: skip
        array = array.isel(link=place)
    if array.sizes["link"] != len(names):
        raise TwinError(
            f"{len(names)} links", found=f"{array.sizes['link']}", hint="give it the twin's links", where=where
        )
    return np.asarray(array.values)


def _node(twin: Any, name: str) -> xr.Dataset:
    if not isinstance(twin, xr.DataTree) or name not in twin.children:
        there = ", ".join(twin.children) if isinstance(twin, xr.DataTree) else f"a {type(twin).__name__}"
        raise TwinError(
            f"a twin with {name}", found=there or "an empty twin", hint=f"tk.extend(twin, {name}=...)", where=name
        )
    return twin.children[name].to_dataset(inherit=False)


def _ids(node: xr.Dataset, dim: str) -> np.ndarray:
    if dim in node.variables:
        return np.asarray(node[dim].values, dtype=object)
    return np.arange(node.sizes.get(dim, 0)).astype(object)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
