"""What no weather brings: the grid is cut, chosen or central sites are taken out, or all of one make fail at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.resilience.assets import assets, positions
from twinkit.resilience.footprint import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["common_mode", "cut", "most_central"]


@contract(reads=["sites/x", "sites/y", "links/source", "links/target"], gives=["failure"], computes=True)
def cut(
    twin: xr.DataTree, *, time: Any, ids: Iterable[str] | None = None, node: str = "", probability: float = 1.0
) -> xr.Dataset:
    """Chosen assets fail at a time, each by itself: a grid cut, a targeted attack, an excavator.

    Parameters
    ----------
    twin : DataTree
    time : datetime64
        UTC.
    ids : list of str, optional
        Assets (``"links/l003"``), or plain ids of sites; see `most_central`.
    node : {"", "sites", "links", "feeders"}
        Instead of `ids`: everything of that node. ``node="feeders"`` is a blackout.
    probability : float [1]
        For each.

    Returns
    -------
    Dataset (member, time, asset)
        ``failure`` [1].

    Errors
    ------
    TwinError
        An asset that is not there, neither ids nor node, or both.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 9e4]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> twin = assemble({"sites": sites, "links": links}, title="two", crs="EPSG:32643")
    >>> cut(twin, time="2020-01-01", ids=["b"]).failure.squeeze().values.tolist()
    [0.0, 1.0, 0.0]
    """
    within(probability, 0.0, 1.0, name="probability", unit="1")
    made = assets(twin)
    known = made["asset"].values
    if (ids is None) == (not node):
        raise TwinError(
            "either ids= or node=", found="both" if node else "neither", hint="node='feeders' for a blackout",
            where="ids",
        )  # fmt: skip
    if ids is None:
        hit = made["node"].values == node
        if not hit.any():
            raise TwinError(
                f"a node among {', '.join(dict.fromkeys(made['node'].values))}",
                found=f"'{node}'",
                hint="tk.resilience.electrified(twin) gives it feeders" if node == "feeders" else "node='sites'",
                where="node",
            )
        said = f"all {node}"
    else:
        chosen = [i if "/" in i else f"sites/{i}" for i in map(str, [ids] if isinstance(ids, str) else ids)]
        at = positions(np.array(chosen, dtype=object), known, what="assets", where="ids")
        hit = np.isin(np.arange(len(known)), at)
        said = f"{len(set(chosen))} chosen assets"
    return _made(made, np.where(hit, probability, 0.0), time, f"{said} cut")


@contract(reads=["sites/x", "sites/y", "links/source", "links/target"], gives=["failure"], computes=True)
def common_mode(twin: xr.DataTree, group: xr.DataArray, *, time: Any, probability: Any) -> xr.Dataset:
    """All sites of one group fail together or not at all: one vendor, one software version, one operations centre.

    Parameters
    ----------
    twin : DataTree
    group : DataArray (site) of text
        Such as the vendor of each site; "" belongs to none.
    time : datetime64
        UTC.
    probability : float or dict of str to float [1]
        That the group fails: one for every group, or by name (those not named never do).

    Returns
    -------
    Dataset (member, time, asset)
        ``failure`` [1]; a coordinate ``luck`` makes `strike` draw once for a group.

    Errors
    ------
    TwinError
        Groups that are not one text a site, or a probability that is none.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 9e4]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> twin = assemble({"sites": sites, "links": links}, title="two", crs="EPSG:32643")
    >>> vendor = xr.DataArray(["blue", "red"], {"site": ["a", "b"]}, ("site",), name="vendor")
    >>> fault = common_mode(twin, vendor, time="2020-01-01", probability={"red": 0.25})
    >>> fault.failure.squeeze().values.tolist(), fault.luck.values.tolist()
    ([0.0, 0.25, 0.0], ['vendor=blue', 'vendor=red', 'links/ab'])
    """
    made = assets(twin)
    sites = made["asset"].values[made["node"].values == "sites"]
    if not isinstance(group, xr.DataArray) or group.dims != ("site",) or group.sizes["site"] != len(sites):
        raise TwinError(
            f"a group for each of {len(sites)} sites",
            found=f"{getattr(group, 'sizes', type(group).__name__)}",
            hint="twin['sites/operator'], or an array of your own with dim site",
            where="group",
        )
    names = [str(g) for g in group.values]
    chances = probability if isinstance(probability, dict) else dict.fromkeys(set(names) - {""}, probability)
    within(np.array(list(chances.values()) or [0.0], float), 0.0, 1.0, name="probability", unit="1")
    strange = sorted(set(chances) - set(names))
    if strange:
        raise TwinError(
            f"groups among {', '.join(sorted(set(names)))}", found=f"'{strange[0]}'", hint="check its spelling",
            where="probability",
        )  # fmt: skip
    chance = np.zeros(made.sizes["asset"])
    chance[: len(sites)] = [chances.get(n, 0.0) if n else 0.0 for n in names]
    luck = made["asset"].values.astype(object)
    luck[: len(sites)] = [f"{group.name or 'group'}={n}" if n else s for n, s in zip(names, sites, strict=True)]
    out = _made(made, chance, time, f"a common fault by {group.name or 'group'}")
    return out.assign_coords(luck=("asset", luck))


def most_central(twin: xr.DataTree, *, count: int) -> list[str]:
    """The sites over which most shortest ways between other sites lead (betweenness), the most central first.

    Parameters
    ----------
    twin : DataTree
        With ``sites`` and ``links``.
    count : int

    Returns
    -------
    list of str
        Ids for `cut`.

    Errors
    ------
    TwinError
        Fewer sites than asked for.

    Examples
    --------
    >>> from twinkit import assemble
    >>> names = ["a", "b", "c"]
    >>> sites = xr.Dataset({"x": ("site", [0.0, 1.0, 2.0]), "y": ("site", [0.0, 0.0, 0.0])}, {"site": names})
    >>> links = xr.Dataset({"source": ("link", ["a", "b"]), "target": ("link", ["b", "c"])}, {"link": ["ab", "bc"]})
    >>> most_central(assemble({"sites": sites, "links": links}, title="a row", crs="EPSG:32643"), count=1)
    ['b']
    """
    import networkx as nx

    names = [str(s) for s in np.asarray(twin["sites"]["site"].values)]
    within(count, 1, len(names), name="count", unit="sites")
    graph: Any = nx.Graph()
    graph.add_nodes_from(names)
    if "links" in twin.children:
        ends = (np.asarray(twin["links"][n].values) for n in ("source", "target"))
        graph.add_edges_from((str(a), str(b)) for a, b in zip(*ends, strict=True))
    # beyond a thousand sites a sample of ways says enough, and with a fixed seed it says the same twice
    most = 1000 if len(names) > 1000 else None
    central = nx.betweenness_centrality(graph, k=most, seed=1)
    return sorted(names, key=lambda n: (-central[n], n))[: int(count)]


def _made(made: xr.Dataset, chance: np.ndarray, time: Any, said: str) -> xr.Dataset:
    index = clock(np.atleast_1d(np.asarray(time)), where="time")[:1]
    attrs = {"provenance": f"modelled: {said}"}
    coords: dict[str, Any] = {"time": ("time", index), "asset": made["asset"].values}
    coords |= {k: ("asset", made[k].values) for k in ("node", "kind")}
    out = xr.Dataset({"failure": (("member", "time", "asset"), chance.astype(np.float32)[None, None], attrs)}, coords)
    misses = str(bool(chance.max(initial=0.0) < 1e-3)).lower()
    return out.assign_attrs(generated=made.attrs["generated"], hazard=said, misses=misses)
