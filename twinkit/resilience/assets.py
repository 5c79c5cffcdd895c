"""What can fail: sites, links and the feeders of the grid, as one list; and how they hang together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError, close_to
from twinkit.resilience.cascade import Web

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AUTONOMY", "CORE", "assets", "autonomy_of", "electrified", "keys", "positions", "web"]

CORE = ("exchange", "data centre")
"""Kinds of site at which the rest of the world begins."""

AUTONOMY: Mapping[str, float] = {
    "": 4.0,
    "grid": 0.0,
    "grid and battery": 6.0,
    "grid and diesel": 48.0,
    "diesel": np.inf,
    "solar and battery": np.inf,
}
"""Hours that a site runs without the grid, by its power source: assumed, for a twin without ``sites/autonomy``."""

ALONG = 3
"""A link is looked at in so many points: both ends and the middle."""


def whole(number: Any, least: int, most: int, *, name: str, why: str = "") -> int:
    """A whole number within its limits.

    Errors
    ------
    TwinError
        None, with `why` as the next thing to try where there are too many.
    """
    try:
        found = float(number)
    except (TypeError, ValueError):
        found = np.nan
    if not (least <= found <= most and found == int(found)) or isinstance(number, str):
        raise TwinError(
            f"a whole number of {name} from {least:,} to {most:,}", found=str(number)[:80],
            hint=why if why and found > most else f"{name}={min(max(least, 20), most)}", where=name,
        )  # fmt: skip
    return int(found)


def assets(twin: xr.DataTree) -> xr.Dataset:
    """Everything of a twin that can fail: sites, links, and feeders where it has them.

    Parameters
    ----------
    twin : DataTree
        With ``sites`` (x, y, kind), ``links`` (source, target, medium), and maybe ``feeders``.

    Returns
    -------
    Dataset (asset, along)
        ``x`` and ``y`` [m] of three points along each asset (a link's ends and middle; else the same point thrice),
        with ``node`` ("sites", "links" or "feeders") and ``kind`` (a site's kind, a link's medium, "feeder" or
        "substation") beside each id. Ids are ``"sites/s001"``.

    Errors
    ------
    TwinError
        No sites, a link to a site that is not there or from a site to itself, a capacity that is not positive, or a
        position that is not a number.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 9e3]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> made = assets(assemble({"sites": sites, "links": links}, title="two", crs="EPSG:32643"))
    >>> made.asset.values.tolist(), made.x.sel(asset="links/ab").values.tolist()
    (['sites/a', 'sites/b', 'links/ab'], [0.0, 4500.0, 9000.0])
    """
    sites = _node(twin, "sites")
    names = _text(sites["site"])
    x, y = (_metres(sites, d) for d in ("x", "y"))
    ends = _ends(twin, names)
    parts: list[tuple[Any, ...]] = [(names, "sites", _kind(sites, "kind", "macro"), _thrice(x), _thrice(y))]
    if ends is not None:
        links = _node(twin, "links")
        a, b = ends
        spread = tuple(np.stack([v[a], (v[a] + v[b]) / 2, v[b]], axis=1) for v in (x, y))
        parts.append((_text(links["link"]), "links", _kind(links, "medium", "fibre"), *spread))
    if "feeders" in twin.children:
        feeders = _node(twin, "feeders")
        kind = np.where(_has_children(feeders), "substation", "feeder").astype(object)
        where = tuple(_thrice(_metres(feeders, d)) for d in ("x", "y"))
        parts.append((_text(feeders["feeder"]), "feeders", kind, *where))
    ids = np.array([f"{node}/{n}" for part in parts for node in (part[1],) for n in part[0]], dtype=object)
    coords = {
        "asset": ids,
        "node": ("asset", np.repeat([p[1] for p in parts], [len(p[0]) for p in parts]).astype(object)),
        "kind": ("asset", np.concatenate([p[2] for p in parts])),
    }
    data = {d: (("asset", "along"), np.concatenate([p[3 + i] for p in parts])) for i, d in enumerate(("x", "y"))}
    return xr.Dataset(data, coords, {"crs": twin.attrs.get("crs", ""), "generated": generated(twin)})


def electrified(twin: xr.DataTree, *, spacing: float = 8_000.0, group: int = 4) -> xr.DataTree:
    """The twin with a grid where it has none: a feeder for each square of land with sites, a substation for several.

    Parameters
    ----------
    twin : DataTree
        With ``sites`` (x, y).
    spacing : float [m]
        Edge of the square that one feeder supplies.
    group : int
        Squares along the edge of a substation's area.

    Returns
    -------
    DataTree
        With ``feeders`` (x, y, parent; a substation's parent is "") and ``sites/feeder``.

    Validity
    --------
    Generated. Real feeders follow roads and rivers and are longer than a square is wide; take the utility's map where
    there is one.

    Errors
    ------
    TwinError
        No sites, or a spacing that is not positive.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 9e3]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> lit = electrified(assemble({"sites": sites}, title="two", crs="EPSG:32643"))
    >>> lit["sites/feeder"].values.tolist(), lit["feeders/parent"].values.tolist()
    (['f0-0', 'f1-0'], ['', 'u0-0', 'u0-0'])
    """
    from twinkit.twin import extend

    within(spacing, 100.0, 1e6, name="spacing", unit="m")
    within(group, 1, 1000, name="group", unit="1")
    sites = _node(twin, "sites")
    x, y = (_metres(sites, d) for d in ("x", "y"))
    if not len(x):
        raise TwinError("a twin with sites", found="none", hint="tk.extend(twin, sites=...)", where="sites")
    column, row = (np.floor((v - v.min()) / spacing).astype(int) for v in (x, y))
    square = np.array([f"f{c}-{r}" for c, r in zip(column, row, strict=True)], dtype=object)
    above = np.array([f"u{c // group}-{r // group}" for c, r in zip(column, row, strict=True)], dtype=object)
    ids, place, parents = [], [], []
    for members, parent in ((above, None), (square, above)):
        for name in dict.fromkeys(sorted(members)):
            own = members == name
            ids.append(name)
            place.append((float(x[own].mean()), float(y[own].mean())))
            parents.append("" if parent is None else parent[own][0])
    says = {"provenance": f"generated: squares of {spacing / 1e3:g} km, substations for {group} by {group} of them"}
    spots = np.array(place)
    # what a feeder is, not what is known of it over time: coordinates
    feeders = xr.Dataset(
        coords={
            "feeder": np.array(ids, dtype=object),
            "x": ("feeder", spots[:, 0], says),
            "y": ("feeder", spots[:, 1], says),
            "parent": ("feeder", np.array(parents, dtype=object), says),
        },
    )
    return extend(twin, feeders=feeders, sites=xr.DataArray(square, dims="site", name="feeder", attrs=says))


def autonomy_of(twin: xr.DataTree, *, hours: Mapping[str, float] = AUTONOMY) -> np.ndarray:
    """Hours that each site runs without the grid: ``sites/autonomy``, or by its power source.

    Parameters
    ----------
    twin : DataTree
    hours : dict of str to float [h]
        By ``sites/power_source``; the entry "" stands for all others.

    Returns
    -------
    array (site) [h]

    Errors
    ------
    TwinError
        Negative hours, named by their site.
    """
    sites = _node(twin, "sites")
    if "autonomy" in sites:
        values = np.asarray(sites["autonomy"].values, float)
    else:
        power = _kind(sites, "power_source", "")
        values = np.array([hours.get(p, hours.get("", 0.0)) for p in power], float)
    bad = np.flatnonzero(~(values >= 0))
    if bad.size:
        raise TwinError(
            "hours of autonomy of 0 or more",
            found=f"{values[bad[0]]:g} h at site '{sites['site'].values[bad[0]]}'",
            hint="a battery cannot be negative: 0 for none, 1e6 for a site that needs no grid",
            where="sites/autonomy",
        )
    return values


def web(
    twin: xr.DataTree, *, core: Iterable[str] = CORE, autonomy: Mapping[str, float] = AUTONOMY, feeds: bool = True
) -> Web:
    """The network as the flat arrays that the cascade walks.

    Parameters
    ----------
    twin : DataTree
    core : kinds or ids of sites
        Where the rest of the world begins.
    autonomy : dict of str to float [h]
        As for `autonomy_of`.
    feeds : bool
        False leaves the grid out.

    Returns
    -------
    Web

    Errors
    ------
    TwinError
        No site of the core, a feeder that is not there, or feeders that feed each other in a ring.
    """
    sites = _node(twin, "sites")
    names = _text(sites["site"])
    source, target = _ends(twin, names) or (np.zeros(0, int), np.zeros(0, int))
    links = np.arange(len(source))
    start, neighbour, via = _rows(source, target, links, len(names))
    wanted = {core} if isinstance(core, str) else set(core)
    middle = np.flatnonzero(np.isin(_kind(sites, "kind", "macro"), list(wanted)) | np.isin(names, list(wanted)))
    if not middle.size:
        raise TwinError(
            f"a site at which the network begins ({', '.join(sorted(wanted))})",
            found=f"kinds {', '.join(sorted(set(_kind(sites, 'kind', 'macro'))))}",
            hint="give core=['s001'] with the id of the exchange, or of every site that has a line of its own",
            where="core",
        )
    feeder, parent, order = _feeders(twin, sites) if feeds else (np.full(len(names), -1), *[np.zeros(0, int)] * 2)
    return Web(start, neighbour, via, middle, feeder, parent, order, autonomy_of(twin, hours=autonomy))


def keys(ids: Iterable[str]) -> np.ndarray:
    """A number of 64 bits for each id: the same on every machine, whatever else is in the list."""
    return np.array(
        [int.from_bytes(hashlib.blake2b(str(i).encode(), digest_size=8).digest(), "little") for i in ids], np.uint64
    )


def positions(of: np.ndarray, among: np.ndarray, *, what: str, where: str) -> np.ndarray:
    """Place of each id in a list of ids.

    Errors
    ------
    TwinError
        The first that is not there, with near ones.
    """
    place = {n: i for i, n in enumerate(among)}
    found = np.array([place.get(n, -1) for n in of], int)
    if (found < 0).any():
        stranger = str(of[int(np.argmax(found < 0))])
        near = close_to(stranger, among)
        raise TwinError(
            f"ids of {what}",
            found=f"'{stranger}'",
            hint=f"did you mean {near}?" if near else f"add it to {what}, or drop it here",
            where=where,
        )
    return found


def generated(twin: xr.DataTree) -> str:
    """Names of the layers that were generated rather than measured, for every result to carry."""
    found = [
        f"{node}/{name}"
        for node in ("sites", "cells", "links", "feeders", "surface")
        if node in twin.children
        for name, array in twin.children[node].to_dataset(inherit=False).variables.items()
        if "generated" in str(array.attrs.get("provenance", ""))
    ]
    return ", ".join(dict.fromkeys(f.rpartition("/")[0] if f.split("/")[0] != "surface" else f for f in found))


# ---------------------------------------------------------------- parts of a twin


def _node(twin: xr.DataTree, name: str) -> xr.Dataset:
    if not isinstance(twin, xr.DataTree) or name not in twin.children:
        raise TwinError(
            f"a twin with {name}",
            found="no such node" if isinstance(twin, xr.DataTree) else f"a {type(twin).__name__}",
            hint=f"add it: tk.extend(twin, {name}=...)",
            where=name,
        )
    return twin.children[name].to_dataset(inherit=False)


def _text(array: xr.DataArray) -> np.ndarray:
    return np.array([str(v) for v in array.values], dtype=object)


def _kind(table: xr.Dataset, name: str, otherwise: str) -> np.ndarray:
    dim = next(iter(table.sizes))
    return _text(table[name]) if name in table.variables else np.full(table.sizes[dim], otherwise, dtype=object)


def _metres(table: xr.Dataset, name: str) -> np.ndarray:
    values = np.asarray(table[name].values, float)
    if not np.isfinite(values).all():
        at = int(np.argmax(~np.isfinite(values)))
        dim = str(table[name].dims[0])
        raise TwinError(
            "a position for every one",
            found=f"{values[at]} at {dim} '{table[dim].values[at]}'",
            hint="leave it out, or give it a place",
            where=f"{dim}s/{name}",
        )
    return values


def _thrice(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, None], ALONG, axis=1)


def _ends(twin: xr.DataTree, names: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    if "links" not in twin.children or not twin.children["links"].to_dataset(inherit=False).sizes.get("link"):
        return None
    links = _node(twin, "links")
    ids = _text(links["link"])
    source, target = (positions(_text(links[n]), names, what="sites", where=f"links/{n}") for n in ("source", "target"))
    loop = np.flatnonzero(source == target)
    if loop.size:
        raise TwinError(
            "links between two sites",
            found=f"link '{ids[loop[0]]}' from site '{names[source[loop[0]]]}' to itself",
            hint="drop it: it carries nothing anywhere",
            where="links/target",
        )
    if "capacity" in links:
        capacity = np.asarray(links["capacity"].values, float)
        bad = np.flatnonzero(capacity <= 0)
        if bad.size:
            raise TwinError(
                "capacities above 0",
                found=f"{capacity[bad[0]]:g} bit/s on link '{ids[bad[0]]}'",
                hint="drop a link that carries nothing",
                where="links/capacity",
            )
    return source, target


def _rows(a: np.ndarray, b: np.ndarray, link: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours of each site, both ways, row after row."""
    near, far, over = np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([link, link])
    order = np.argsort(near, kind="stable")
    start = np.searchsorted(near[order], np.arange(count + 1))
    return start.astype(np.int64), far[order].astype(np.int64), over[order].astype(np.int64)


def _has_children(feeders: xr.Dataset) -> np.ndarray:
    if "parent" not in feeders.variables:
        return np.zeros(feeders.sizes["feeder"], bool)
    return np.isin(_text(feeders["feeder"]), _text(feeders["parent"]))


def _feeders(twin: xr.DataTree, sites: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if "feeders" not in twin.children:
        return np.full(sites.sizes["site"], -1), np.zeros(0, int), np.zeros(0, int)
    table = _node(twin, "feeders")
    ids = _text(table["feeder"])
    known = np.append(ids, "")
    of = positions(_kind(sites, "feeder", ""), known, what="feeders", where="sites/feeder")
    above = _kind(table, "parent", "")
    parent = positions(above, known, what="feeders", where="feeders/parent")
    of, parent = (np.where(v == len(ids), -1, v) for v in (of, parent))
    depth, now = np.zeros(len(ids), int), parent.copy()
    for _ in range(len(ids) + 1):
        if (now < 0).all():
            return of.astype(np.int64), parent.astype(np.int64), np.argsort(depth, kind="stable").astype(np.int64)
        depth += now >= 0
        now = np.where(now >= 0, parent[now], -1)
    raise TwinError(
        "feeders that hang on something",
        found=f"a ring with '{ids[int(np.argmax(now >= 0))]}' in it",
        hint="let the feeder at the top have the parent ''",
        where="feeders/parent",
    )
