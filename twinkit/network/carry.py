"""From cells to links: the load of links follows the load of cells through the routes of their sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.network.graph import index, positions
from twinkit.network.load import step
from twinkit.network.traffic import on_sites

__all__ = ["Carrying", "carrying"]


@dataclass(frozen=True, eq=False)
class Carrying:
    """A model of cells and links: ``step(state, dt, forcing, rng)`` for the loop, filters and what-ifs.

    Attributes
    ----------
    cell, link : object array (n,) and (m,)
        Ids.
    share : float array (n, 2 m)
        Load that a full cell puts on each link, forward and then backward.
    """

    cell: np.ndarray
    link: np.ndarray
    share: np.ndarray
    __name__ = "carrying"

    def __call__(self, state: xr.Dataset, dt: float, forcing: Any, rng: np.random.Generator) -> xr.Dataset:
        """The next state: cells by `step`, links by what the cells then ask for."""
        if "link_load" not in state:
            raise TwinError(
                "a state with 'load' and 'link_load'", found=", ".join(map(str, state)) or "an empty state",
                hint="begin with model.loaded(state)", where="network.carrying",
            )  # fmt: skip
        return self._with(step(state, dt, forcing, rng))

    def loaded(self, state: xr.Dataset) -> xr.Dataset:
        """A state with ``load`` (..., cell), and beside it the ``link_load`` (..., link) that follows."""
        if "load" not in state or "cell" not in state["load"].dims:
            raise TwinError(
                "a state with 'load' on cell", found=", ".join(map(str, state)) or "an empty state",
                hint="xr.Dataset({'load': ('cell', values)}, {'cell': ids})", where="state",
            )  # fmt: skip
        load = state["load"]
        free = [d for d in load.dims if d != "cell"]
        empty = np.zeros([*(load.sizes[d] for d in free), len(self.link)], load.dtype)
        told = {"units": "1", "provenance": "modelled: load of cells through the routes of their sites"}
        return self._with(state.assign_coords(link=self.link).assign(link_load=((*free, "link"), empty, told)))

    def _with(self, state: xr.Dataset) -> xr.Dataset:
        load, old = state.variables["load"], state.variables["link_load"]
        for dim, ids in (("cell", self.cell), ("link", self.link)):
            if state.sizes.get(dim) != len(ids) or (dim in state.indexes and not (state.indexes[dim] == ids).all()):
                raise TwinError(
                    f"the {len(ids)} {dim}s of the model in their order", found=f"{state.sizes.get(dim, 0)} or others",
                    hint=f"state.reindex({dim}=model.{dim})", where=f"state/{dim}",
                )  # fmt: skip
        free = [d for d in load.dims if d != "cell"]
        both = load.transpose(*free, "cell").values @ self.share
        half = len(self.link)
        # a link is as full as the fuller of its two directions
        fuller = xr.Variable((*free, "link"), np.maximum(both[..., :half], both[..., half:]))
        new = fuller.transpose(*old.dims).data.astype(old.dtype, copy=False)
        return state.copy(data={str(n): state.variables[n].data for n in state.data_vars} | {"link_load": new})


def carrying(twin: xr.DataTree, routing: xr.Dataset, *, full_rate: xr.DataArray) -> Carrying:
    r"""The model in time that carries load from cells to links, `step` for both.

    .. math:: \rho_a = \frac{1}{C_a} \sum_c s_{k(c) a} R_c \ load_c

    with R what cell c carries when it is full, k(c) the demand that ends at its site, s the demand's share on arc a. A
    link's load is that of its fuller direction.

    Parameters
    ----------
    twin : DataTree
        With sites, cells, links and demands, one demand to each site with cells: ``backhauled`` gives them.
    routing : Dataset (leg)
        Of `routing` or `concurrent_flow` for these demands.
    full_rate : DataArray (cell) [bit/s]
        What each cell carries at load 1: its bandwidth times what it brings a hertz to.

    Returns
    -------
    Carrying
        Call it as `step`: the state holds ``load`` (..., cell) and ``link_load`` (..., link) [1], above one where cells
        ask for more than a link holds; `Carrying.loaded` begins. A ``member`` dim broadcasts through it.

    Validity
    --------
    Traffic towards the users. A full link does not hold its cells back.

    Errors
    ------
    TwinError
        A cell whose site no demand reaches, two demands to one site, a link of unknown or no capacity on a route, or a
        rate that is negative or unknown.

    Examples
    --------
    >>> from twinkit.network.route import routing
    >>> from twinkit.network.traffic import square
    >>> from twinkit.twin import extend
    >>> cells = xr.Dataset({"site": ("cell", ["c"])}, {"cell": ["c1"]})
    >>> twin = extend(square(), cells=cells)
    >>> rate = xr.DataArray([4e8], {"cell": ["c1"]}, "cell")
    >>> model = carrying(twin, routing(twin), full_rate=rate)
    >>> model.loaded(xr.Dataset({"load": ("cell", [0.5])}, {"cell": ["c1"]})).link_load.values
    array([0.1, 0.1, 0.1, 0.1])
    """
    net = index(twin)
    cells, demands = (twin.children[n].to_dataset(inherit=False).compute() for n in ("cells", "demands"))
    names, ids = (np.asarray(d.values, dtype=object) for d in (cells["cell"], demands["demand"]))
    rate = on_sites(full_rate.compute().rename(cell="site"), names)
    home = net.position(cells["site"].values, where="cells/site")
    to = net.position(demands["destination"].values, where="demands/destination")
    start = net.position(demands["origin"].values, where="demands/origin")
    twice = np.flatnonzero(np.bincount(to, minlength=len(net.site)) > 1)
    if np.isin(home, twice).any():
        site = net.site[home[np.isin(home, twice)][0]]
        raise TwinError(
            "one demand to each site with cells", found=f"several to '{site}'",
            hint="network.backhauled(twin, traffic, core=...)", where="demands/destination",
        )  # fmt: skip
    demand = np.full(len(net.site), -1)
    demand[to] = np.arange(len(to))
    dark = np.flatnonzero((demand[home] < 0) & ~np.isin(home, start))
    if dark.size:
        raise TwinError(
            "a demand to the site of each cell", found=f"none to '{net.site[home[dark[0]]]}' of '{names[dark[0]]}'",
            hint="network.backhauled(twin, traffic, core=...)", where="demands/destination",
        )  # fmt: skip
    unreached = ~np.asarray(routing["reachable"].sel(demand=ids).values, bool)
    cut = np.flatnonzero((demand[home] >= 0) & unreached[demand[home]])
    if cut.size:
        raise TwinError(
            "a route to the site of each cell", found=f"none to '{net.site[home[cut[0]]]}'",
            hint="leave its cells out, or repair the links", where="routing/reachable",
        )  # fmt: skip
    arc = positions(routing["over"].values, net.link, "link", "routing/over")
    arc = arc + len(net.link) * (np.asarray(routing["way"].values, dtype=object) == "backward")
    serves = positions(routing["serves"].values, ids, "demand", "routing/serves")
    split = np.zeros((len(ids), 2 * len(net.link)))
    np.add.at(split, (serves, arc), np.asarray(routing["split"].values, float))
    capacity = np.concatenate([net.capacity, net.capacity])
    used = np.flatnonzero(split.any(axis=0) & ~(capacity > 0))
    if used.size:
        raise TwinError(
            "a capacity above 0 of each link on a route",
            found=f"{capacity[used[0]]:g} at '{net.link[used[0] % len(net.link)]}'",
            hint="fill it: links.capacity.fillna(1e9)", where="links/capacity",
        )  # fmt: skip
    share = np.divide(split, capacity, out=np.zeros_like(split), where=split > 0)
    onto = np.where((demand[home] >= 0)[:, None], share[demand[home]], 0.0) * rate[:, None]
    return Carrying(names, net.link, onto)
