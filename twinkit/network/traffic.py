"""Demands: how much traffic sites ask to exchange, from the people who live near them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.twin import assemble

__all__ = ["backhauled", "catchment", "gravity", "square"]

CORE = ("exchange", "data centre")
"""Kinds of sites from which the rest of the world is reached."""

NEAREST = 1000.0
"""[m] Sites nearer than this count as so far apart: a power of distance has no end at zero."""


@contract(reads=["sites/x", "sites/y", "sites/kind", "surface/people"], gives=["people_near"], computes=True)
def catchment(twin: xr.DataTree) -> xr.DataArray:
    """The people to whom each radio site is the nearest one.

    Parameters
    ----------
    twin : DataTree
        With sites and a surface. Sites of kind ``exchange`` and ``data centre`` serve nobody over the air.

    Returns
    -------
    DataArray (site) [people]
        Adds up to the people of the surface, unknown pixels aside. Computed.

    Validity
    --------
    As the crow flies: hills and antennas are `radio.coverage`'s.

    Errors
    ------
    TwinError
        No radio site, or a site that is nowhere.

    Examples
    --------
    >>> surface = xr.Dataset({"people": (("y", "x"), [[1.0, 2.0, 4.0]])}, {"y": [0.0], "x": [0.0, 10.0, 20.0]})
    >>> sites = xr.Dataset({"x": ("site", [1.0, 19.0]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> sites["kind"] = ("site", ["macro", "macro"])
    >>> catchment(assemble({"sites": sites, "surface": surface}, title="", crs="EPSG:32643")).values
    array([3., 4.])
    """
    import dask

    sites, surface = (twin.children[n].to_dataset(inherit=False) for n in ("sites", "surface"))
    x, y, kind, people = dask.compute(sites["x"], sites["y"], sites["kind"], surface["people"])
    radio = np.flatnonzero(~np.isin(kind.values.astype(str), CORE))
    where = np.column_stack([x.values, y.values])[radio]
    if not len(radio) or not np.isfinite(where).all():
        raise TwinError(
            "radio sites with x and y", found="a site that is nowhere" if len(radio) else "none",
            hint="tk.extend(twin, sites=...)", where="sites",
        )  # fmt: skip
    grid = people.transpose("y", "x")
    north, east = np.meshgrid(grid["y"].values, grid["x"].values, indexing="ij")
    _, nearest = cKDTree(where).query(np.column_stack([east.ravel(), north.ravel()]))
    counted = np.bincount(nearest, weights=np.nan_to_num(grid.values).ravel(), minlength=len(radio))
    out = np.zeros(len(kind))
    out[radio] = counted
    return xr.DataArray(
        out, {"site": kind["site"]}, ("site",), attrs={"provenance": "modelled: people by the nearest radio site"}
    )


@contract(reads=["sites/x", "sites/y"], gives=["origin", "destination", "offered"], computes=True)
def gravity(twin: xr.DataTree, mass: xr.DataArray, *, total: float, exponent: float) -> xr.Dataset:
    r"""Demands between all pairs of sites, by what weighs on both ends and how far apart they are.

    .. math:: d_{ij} = T \frac{m_i m_j r_{ij}^{-b}}{\sum_{k \ne l} m_k m_l r_{kl}^{-b}}

    Parameters
    ----------
    twin : DataTree
        With sites.
    mass : DataArray (site)
        What attracts traffic, 0 or more: ``catchment(twin)``.
    total : float [bit/s]
        All demands together.
    exponent : float [1]
        b: 0 where distance does not matter, as on most data networks; 1 to 2 for calls between towns.

    Returns
    -------
    Dataset (demand)
        ``origin``, ``destination`` and ``offered`` [bit/s], in both directions of each pair; pairs of sites without
        mass are left out. ``tk.extend(twin, demands=...)`` puts it into the twin.

    Validity
    --------
    A rule of thumb for who talks to whom where nobody has counted; sites closer than `NEAREST` count as that far apart.

    Errors
    ------
    TwinError
        A negative or unknown mass, fewer than two sites that have any, or, with an exponent, a site that is nowhere.

    Examples
    --------
    >>> mass = xr.DataArray([2.0, 1.0, 1.0, 0.0], {"site": list("abcd")}, ("site",))
    >>> found = gravity(square(), mass, total=100.0, exponent=0.0)
    >>> found.offered.values
    array([20., 20., 20., 10., 20., 10.])

    References
    ----------
    J. Kowalski and B. Warfield, Modelling traffic demand between nodes in a telecommunications network, ATNAC 1995.
    """
    import dask

    within(total, 0, 1e16, name="total", unit="bit/s")
    within(exponent, 0, 10, name="exponent", unit="1")
    sites = twin.children["sites"].to_dataset(inherit=False)
    x, y, mass = dask.compute(sites["x"], sites["y"], mass)
    names = np.asarray(x["site"].values, dtype=object)
    weight = on_sites(mass, names)
    some = np.flatnonzero(weight > 0)
    if len(some) < 2:
        raise TwinError("two sites with mass", found=f"{len(some)}", hint="check mass", where="mass")
    a, b = (i.ravel() for i in np.meshgrid(some, some, indexing="ij"))
    a, b = a[a != b], b[a != b]
    pull = weight[a] * weight[b]
    if exponent:
        apart = np.maximum(np.hypot(x.values[a] - x.values[b], y.values[a] - y.values[b]), NEAREST)
        if not np.isfinite(apart).all():
            raise TwinError(
                "sites that are somewhere", found=f"'{names[a[~np.isfinite(apart)][0]]}' without x and y",
                hint="take exponent=0, or drop it", where="sites/x",
            )  # fmt: skip
        pull = pull * (apart / NEAREST) ** -exponent
    said = {"provenance": f"modelled: gravity with exponent {exponent:g}"}
    values = {"origin": names[a], "destination": names[b], "offered": total * (pull / pull.sum())}
    ids = np.array([f"{i} > {j}" for i, j in zip(names[a], names[b], strict=True)], dtype=object)
    return xr.Dataset({k: ("demand", v, said) for k, v in values.items()}, {"demand": ids})


@contract(reads=["sites/site"], gives=["origin", "destination", "offered"], computes=True)
def backhauled(twin: xr.DataTree, traffic: xr.DataArray, *, core: str) -> xr.Dataset:
    """Demands of a network that hangs on one site: each other site draws its traffic from there.

    Parameters
    ----------
    twin : DataTree
        With sites.
    traffic : DataArray (site, ...) [bit/s]
        Towards each site's users: people times what each asks for, or the traffic of its cells.
    core : str
        The site where the rest of the world is reached. What users send back is less and takes the same way.

    Returns
    -------
    Dataset (demand, ...)
        ``origin`` (the core), ``destination`` and ``offered`` [bit/s]; sites without traffic are left out.

    Errors
    ------
    TwinError
        A core that is no site, or traffic that is negative or unknown.

    Examples
    --------
    >>> sites = xr.Dataset({"kind": ("site", ["exchange", "macro"])}, {"site": ["e", "m"]})
    >>> one = assemble({"sites": sites}, title="", crs="EPSG:32643")
    >>> float(backhauled(one, xr.DataArray([0.0, 5e6], {"site": ["e", "m"]}, ("site",)), core="e").offered[0])
    5000000.0
    """
    from twinkit.network.graph import positions

    names = np.asarray(twin.children["sites"].to_dataset(inherit=False)["site"].values, dtype=object)
    positions([core], names, "site", "core")
    traffic = traffic.compute()
    flat = traffic.transpose("site", ...) if "site" in traffic.dims else traffic
    values = on_sites(flat.max([d for d in flat.dims if d != "site"]), names)
    on_sites(flat.min([d for d in flat.dims if d != "site"]), names)
    ends = names[(values > 0) & (names != core)]
    said = {"provenance": str(traffic.attrs.get("provenance", "modelled: traffic of sites from the core"))}
    offered = flat.sel(site=ends).rename(site="demand").assign_coords(demand=ends).reset_coords(drop=True)
    data = {
        "origin": ("demand", np.full(len(ends), core, dtype=object), said),
        "destination": ("demand", ends, said),
        "offered": (offered.dims, offered.values, said),
    }
    coords = {d: offered[d] for d in offered.dims if d in offered.coords}
    return xr.Dataset(data, coords)


def square() -> xr.DataTree:
    """Four sites in a ring, 1 Gbit/s a link, and one demand of 1 Gbit/s across: the network of the doctests."""
    sites = xr.Dataset({"x": ("site", [0.0, 5e3, 5e3, 0.0]), "y": ("site", [5e3, 5e3, 0.0, 0.0])})
    links = xr.Dataset(
        {
            "source": ("link", np.array(list("abcd"), dtype=object)),
            "target": ("link", np.array(list("bcda"), dtype=object)),
            "capacity": ("link", np.full(4, 1e9)),
            "length": ("link", np.full(4, 5e3)),
        }
    )
    demands = {"origin": ("demand", ["a"]), "destination": ("demand", ["c"]), "offered": ("demand", [1e9])}
    nodes = {
        "sites": sites.assign_coords(site=np.array(list("abcd"), dtype=object)),
        "links": links.assign_coords(link=np.array(["ab", "bc", "cd", "da"], dtype=object)),
        "demands": xr.Dataset(demands, {"demand": ["a > c"]}),
    }
    return assemble(nodes, title="square", crs="EPSG:32643")


def on_sites(mass: xr.DataArray, names: np.ndarray) -> np.ndarray:
    """Values of 0 or more of an array on site, in the twin's order of sites."""
    if not isinstance(mass, xr.DataArray) or mass.dims != ("site",):
        raise TwinError(
            "a DataArray on site",
            found=f"dims {mass.dims}" if isinstance(mass, xr.DataArray) else f"a {type(mass).__name__}",
            hint="network.catchment(twin)", where="site",
        )  # fmt: skip
    if "site" in mass.indexes:
        mass = mass.reindex(site=names)
    values = np.asarray(mass.values, float)
    if len(values) != len(names) or not (np.isfinite(values) & (values >= 0)).all():
        worst = "another number of sites" if len(values) != len(names) else "a negative or unknown value"
        raise TwinError("a value of 0 or more for each site", found=worst, hint="mass.fillna(0)", where="site")
    return values
