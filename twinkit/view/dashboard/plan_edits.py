"""What a planner changes, as a list: sites moved, added, removed and retuned, and the twin that this makes.

An edit is a value; a plan is a tuple of them; nothing is changed in place. So undo is a shorter tuple, and a plan can
be laid upon another state of the twin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError, close_to
from twinkit.vocabulary import word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["TUNED", "Edit", "Tables", "after", "changed_sites", "edited", "fresh_name", "laid_upon", "tables_of"]

TUNED = ("height", "azimuth", "downtilt", "transmit_power", "frequency")
"""What a site can be retuned in; the first belongs to the mast, the others to its cells."""


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes
    ----------
    kind : {"move", "add", "remove", "tune"}
    site : str
    values : mapping of str to float
        ``x`` and ``y`` [m] of a move or a new site; one of `TUNED` in the vocabulary's unit.
    cell : str
        Of a tune: the only cell, or all of the site's where empty. An azimuth then is that of the first, and the
        others turn with it.
    like : str
        Of a new site: whose make it has.
    """

    kind: str
    site: str
    values: Mapping[str, float] = field(default_factory=dict)
    cell: str = ""
    like: str = ""


@dataclass(frozen=True)
class Tables:
    """The tables of a twin that a plan changes, in memory, and how far its surface reaches."""

    sites: xr.Dataset
    cells: xr.Dataset
    links: xr.Dataset | None
    box: tuple[float, float, float, float]
    """Left, right, bottom, top [m]: the outer edges of the surface's pixels."""


def tables_of(twin: xr.DataTree) -> Tables:
    """The tables of a twin, read.

    Errors
    ------
    TwinError
        No sites, cells or surface.
    """
    for node in ("sites", "cells", "surface"):
        if node not in twin.children:
            raise TwinError(
                f"a twin with {node}", found=f"nodes {', '.join(twin.children) or 'none'}", hint="tk.datasets.region",
                where=node,
            )  # fmt: skip
    nodes = {n: twin.children[n].to_dataset(inherit=False) for n in ("sites", "cells", "surface")}
    x, y = (nodes["surface"][d].values.astype(float) for d in ("x", "y"))
    half = [0.5 * float(a[1] - a[0]) if a.size > 1 else 0.0 for a in (x, y)]
    box = float(x[0] - half[0]), float(x[-1] + half[0]), float(y[0] - half[1]), float(y[-1] + half[1])
    links = twin.children["links"].to_dataset(inherit=False).compute() if "links" in twin.children else None
    return Tables(nodes["sites"].compute(), nodes["cells"].compute(), links, box)


def after(tables: Tables, edits: Sequence[Edit]) -> Tables:
    """The tables with the edits laid upon them, one after the other.

    Errors
    ------
    TwinError
        An edit of a site or cell that is not there, a place off the map, a value outside the vocabulary's range.
    """
    for edit in edits:
        tables = _KINDS[_known(edit)](tables, edit)
    return tables


def _known(edit: Edit) -> str:
    if edit.kind not in _KINDS:
        raise TwinError(f"an edit among {', '.join(_KINDS)}", found=repr(edit.kind)[:60], hint="choose one of them")
    return edit.kind


def _position(tables: Tables, site: str) -> int:
    ids = list(map(str, tables.sites["site"].values))
    if site not in ids:
        near = close_to(str(site)[:60], ids)
        raise TwinError(
            "a site of the twin", found=repr(str(site)[:60]), hint=f"did you mean {near}?" if near else "choose one",
            where="site",
        )  # fmt: skip
    return ids.index(site)


def _place(tables: Tables, edit: Edit) -> tuple[float, float]:
    left, right, bottom, top = tables.box
    out = []
    for name, low, high in (("x", left, right), ("y", bottom, top)):
        value = _number(edit.values.get(name))
        within(value, low, high, name=name, unit="m", why="the map ends there")
        out.append(value)
    return out[0], out[1]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _moved(tables: Tables, edit: Edit) -> Tables:
    at, place = _position(tables, edit.site), _place(tables, edit)
    columns = {}
    for name, value in zip(("x", "y"), place, strict=True):
        values = tables.sites[name].values.astype(float)
        values[at] = value
        columns[name] = tables.sites[name].copy(data=values)
    return replace(tables, sites=tables.sites.assign(columns))


def _tuned(tables: Tables, edit: Edit) -> Tables:
    at = _position(tables, edit.site)
    if len(edit.values) != 1 or not set(edit.values) <= set(TUNED):
        raise TwinError(f"one of {', '.join(TUNED)}", found=", ".join(map(str, edit.values)) or "none", hint="tune one")
    ((name, given),) = edit.values.items()
    value, known = _number(given), word(name)
    # a mast of no height, or one that no crane lifts, is a slip of the keyboard
    low, high = (1.0, known.high) if name == "height" else (known.low, known.high)
    within(value, low, high, name=name, unit=known.unit)
    if name == "height":
        values = tables.sites[name].values.astype(float)
        values[at] = value
        return replace(tables, sites=tables.sites.assign({name: tables.sites[name].copy(data=values)}))
    own = np.flatnonzero(tables.cells["site"].values.astype(str) == edit.site)
    ids = list(map(str, tables.cells["cell"].values)) if "cell" in tables.cells.coords else []
    if edit.cell:
        if edit.cell not in ids or ids.index(edit.cell) not in own:
            raise TwinError(
                f"a cell of site '{edit.site}'", found=repr(edit.cell[:60]), hint="choose one", where="cell"
            )
        own = np.array([ids.index(edit.cell)])
    if own.size == 0:
        raise TwinError(
            f"a site with cells, to tune its {name}", found=f"'{edit.site}', which has none", hint="move it"
        )
    values = tables.cells[name].values.astype(float)
    values[own] = (values[own] - values[own[0]] + value) % 360.0 if name == "azimuth" else value
    return replace(tables, cells=tables.cells.assign({name: tables.cells[name].copy(data=values)}))


def _removed(tables: Tables, edit: Edit) -> Tables:
    at = _position(tables, edit.site)
    sites = tables.sites.isel(site=np.delete(np.arange(tables.sites.sizes["site"]), at))
    cells = tables.cells.isel(cell=np.flatnonzero(tables.cells["site"].values.astype(str) != edit.site))
    links = tables.links
    if links is not None and {"source", "target"} <= set(links.variables):
        ends = [links[end].values.astype(str) != edit.site for end in ("source", "target")]
        links = links.isel(link=np.flatnonzero(ends[0] & ends[1]))
    return replace(tables, sites=sites, cells=cells, links=links)


def _added(tables: Tables, edit: Edit) -> Tables:
    if edit.site in set(map(str, tables.sites["site"].values)):
        raise TwinError(
            "a new site", found=f"'{edit.site}', which stands already", hint="take another name", where="site"
        )
    at, (x, y) = _position(tables, edit.like), _place(tables, edit)
    own = np.flatnonzero(tables.cells["site"].values.astype(str) == edit.like)
    if own.size == 0:
        raise TwinError("a site with cells to copy", found=f"'{edit.like}', which has none", hint="choose another")
    site = tables.sites.isel(site=[at]).assign_coords(site=np.array([edit.site], dtype=object))
    told: dict[str, Any] = {"x": x, "y": y} | ({"name": edit.site} if "name" in site else {})
    site = site.assign({n: site[n].copy(data=np.array([v], dtype=site[n].dtype)) for n, v in told.items()})
    cells = tables.cells.isel(cell=own)
    cells = cells.assign(site=cells["site"].copy(data=np.full(own.size, edit.site, dtype=object)))
    names = np.array([f"{edit.site}-{k + 1}" for k in range(own.size)], dtype=object)
    taken = set(map(str, tables.cells["cell"].values)) & set(names)
    if taken:
        raise TwinError("new cells", found=f"'{min(taken)}', which stands already", hint="take another name")
    return replace(
        tables,
        sites=_joined(tables.sites, site, "site"),
        cells=_joined(tables.cells, cells.assign_coords(cell=names), "cell"),
    )


def _joined(old: xr.Dataset, new: xr.Dataset, dim: str) -> xr.Dataset:
    """Rows appended; readings over further dims stay behind, because nobody measured the new ones."""
    kept = old.drop_vars([n for n, a in old.variables.items() if dim in a.dims and a.dims != (dim,)])
    new = new.drop_vars([n for n, a in new.variables.items() if dim not in a.dims or a.dims != (dim,)])
    out = xr.concat([kept, new], dim=dim, data_vars="minimal", coords="minimal", compat="override", join="outer")
    return out.assign_attrs(old.attrs)


_KINDS = {"move": _moved, "add": _added, "remove": _removed, "tune": _tuned}


def fresh_name(tables: Tables) -> str:
    """A name for a new site that nobody has, nor its cells.

    >>> sites = xr.Dataset(coords={"site": ["a", "new-1"]})
    >>> fresh_name(Tables(sites, xr.Dataset(coords={"cell": ["new-2-1"]}), None, (0.0, 1.0, 0.0, 1.0)))
    'new-3'
    """
    taken = {*map(str, tables.sites["site"].values), *map(str, tables.cells["cell"].values)}
    number = 1
    while f"new-{number}" in taken or any(t.startswith(f"new-{number}-") for t in taken):
        number += 1
    return f"new-{number}"


def laid_upon(tables: Tables, edits: Sequence[Edit]) -> tuple[tuple[Edit, ...], tuple[Edit, ...]]:
    """Those edits that another state of the twin can take, and those that it cannot."""
    kept: list[Edit] = []
    left: list[Edit] = []
    for edit in edits:
        try:
            tables = after(tables, [edit])
        except TwinError:
            left.append(edit)
        else:
            kept.append(edit)
    return tuple(kept), tuple(left)


def changed_sites(edits: Sequence[Edit]) -> tuple[str, ...]:
    """Sites that a plan touches, in the order in which it first does."""
    return tuple(dict.fromkeys(e.site for e in edits))


def edited(twin: xr.DataTree, edits: Sequence[Edit]) -> xr.DataTree:
    """The twin as the plan would have it, with the places and lengths that follow from it.

    Parameters
    ----------
    twin : DataTree
        With sites, cells and surface.
    edits : sequence of Edit

    Returns
    -------
    DataTree
        Links of a removed site are gone; those of a moved site have their new length, but the capacity that they had.
        What was measured or computed elsewhere in the twin is as it was.

    Errors
    ------
    TwinError
        As `after`, and as `twinkit.validate`.

    Examples
    --------
    >>> import twinkit as tk
    >>> twin = tk.datasets.town(sites=3, seed=1, resolution=200)
    >>> site = str(twin["cells"]["site"].values[0])
    >>> plan = [Edit("tune", site, {"height": 45.0}), Edit("add", "new-1", {"x": 501e3, "y": 3201e3}, like=site)]
    >>> more = edited(twin, plan[:1])
    >>> float(more["sites"].height.sel(site=site)), float(twin["sites"].height.sel(site=site)) != 45.0
    (45.0, True)
    """
    from twinkit.twin import extend, validate

    if not edits:
        return twin
    before = tables_of(twin)
    tables = after(before, edits)
    sites, links = _with_degrees(twin, before.sites, tables.sites), tables.links
    touched = changed_sites(edits)
    said = f"generated: planned ({', '.join(touched[:5])}{' ...' if len(touched) > 5 else ''})"
    nodes = {"sites": _said(before.sites, sites, said), "cells": _said(before.cells, tables.cells, said)}
    if links is not None and before.links is not None:
        nodes["links"] = _said(before.links, _with_lengths(before.sites, sites, links), said)
    return validate(extend(twin, **nodes))


def _said(old: xr.Dataset, new: xr.Dataset, said: str) -> xr.Dataset:
    """Variables that are not what they were say so."""
    new = new.copy()
    for name in new.data_vars:
        if name in old and (old[name].shape != new[name].shape or not old[name].equals(new[name])):
            new[name].attrs = {
                **old[name].attrs,
                "provenance": f"{old[name].attrs.get('provenance', 'unknown')}; {said}",
            }
    return new


def _with_degrees(twin: xr.DataTree, old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """Longitude and latitude of the sites that do not stand where they stood."""
    if not {"longitude", "latitude"} <= set(new.variables):
        return new
    import pyproj

    were = {str(s): (x, y) for s, x, y in zip(old["site"].values, old["x"].values, old["y"].values, strict=True)}
    now = zip(new["site"].values, new["x"].values, new["y"].values, strict=True)
    moved = np.array([were.get(str(s)) != (x, y) for s, x, y in now], bool)
    if not moved.any():
        return new
    back = pyproj.Transformer.from_crs(twin.attrs["crs"], "EPSG:4326", always_xy=True)
    degrees = back.transform(new["x"].values[moved], new["y"].values[moved])
    columns = {}
    for name, values in zip(("longitude", "latitude"), degrees, strict=True):
        column = new[name].values.astype(float)
        column[moved] = values
        columns[name] = new[name].copy(data=column)
    return new.assign(columns)


def _with_lengths(old: xr.Dataset, new: xr.Dataset, links: xr.Dataset) -> xr.Dataset:
    """Lengths [m] of the links whose ends moved: as much longer or shorter as the straight line is."""
    if not {"source", "target", "length"} <= set(links.variables) or links.sizes.get("link", 0) == 0:
        return links
    apart = []
    for sites in (old, new):
        at = {str(s): i for i, s in enumerate(sites["site"].values)}
        ends = [[at.get(str(s), 0) for s in links[end].values] for end in ("source", "target")]
        apart.append(np.hypot(*(np.subtract(*(sites[d].values[e] for e in ends)) for d in ("x", "y"))))
    lengths = links["length"].values.astype(float)
    moved = apart[0] != apart[1]
    scale = np.divide(apart[1], apart[0], out=np.ones_like(apart[0]), where=apart[0] > 0)
    lengths[moved] = np.maximum((lengths * scale)[moved], apart[1][moved])
    return links.assign(length=links["length"].copy(data=lengths))
