"""The tree on disk: a twin as a Zarr hierarchy, written where it changed, read lazily."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.error import TwinError
from twinkit.store import array, blocks, digest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = [
    "add",
    "append",
    "describe",
    "described",
    "grown",
    "hierarchy",
    "node_digest",
    "plans",
    "read",
    "stored_plan",
    "write",
]


def hierarchy(group: Any) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Node to its attributes in JSON and its Zarr arrays; "/" is the root. In the order in which they were saved."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {"/": (dict(group.attrs), {})}
    members = dict(group.members(max_depth=None))
    for path, member in members.items():
        if not hasattr(member, "shape"):
            found[path] = (dict(member.attrs), {})
    for path, member in members.items():
        if hasattr(member, "shape"):
            node, _, name = path.rpartition("/")
            found[node or "/"][1][name] = member
    nodes = found["/"][0].get(array.OURS, {}).get("order", [])
    ordered = {"/": found.pop("/")}
    ordered |= {n: found[n] for n in nodes if n in found}
    ordered |= found
    out = {}
    for node, (attrs, arrays) in ordered.items():
        names = attrs.get(array.OURS, {}).get("order", [])
        out[node] = (attrs, {n: arrays[n] for n in names if n in arrays} | arrays)
    return out


def _node_attrs(attrs: dict[str, Any], order: Sequence[str], coordinates: Sequence[str] = ()) -> dict[str, Any]:
    """The attributes of a group on disk. `coordinates` tells plain xarray which variables are coordinates."""
    ours: dict[str, Any] = {"order": list(order)}
    cf = {"coordinates": " ".join(coordinates)} if coordinates else {}
    if cf and "coordinates" in attrs:
        ours["covered"] = {"coordinates": attrs["coordinates"]}
    elif not cf and "coordinates" in attrs:
        ours["plain"] = True
    return {**attrs, **cf, array.OURS: ours}


def _user_attrs(stored: Mapping[str, Any]) -> dict[str, Any]:
    ours = stored.get(array.OURS, {})
    user = {k: v for k, v in stored.items() if k != array.OURS and (k != "coordinates" or ours.get("plain"))}
    return digest.original(user | ours.get("covered", {}))


def plans(ds: xr.Dataset, node: str) -> list[array.Plan]:
    """Every variable of a node, ready to be written.

    Errors
    ------
    TwinError
        A multi-index, or a variable that cannot be stored.
    """
    out = []
    for name, variable in ds.variables.items():
        where = f"{node}/{name}"
        if isinstance(ds.indexes.get(name), pd.MultiIndex):
            raise TwinError(
                "indexes of one level",
                found="a multi-index",
                hint=f"ds.reset_index('{variable.dims[0]}') keeps its levels as variables",
                where=where,
            )
        out.append(array.plan(name, ds[name], where=where, coordinate=name in ds.coords))
    return out


def write(
    group: Any, twin: xr.DataTree, said: Mapping[str, Any], *, kept: Collection[str] = ()
) -> tuple[set[str], dict[str, str], dict[str, list[str]]]:
    """Make a Zarr hierarchy hold a twin, touching only what differs from it.

    Parameters
    ----------
    group : zarr.Group
        Root of a writable session.
    twin : DataTree
    said : dict
        What the commit says on which the session stands; {} for an empty store.
    kept : collection of str
        Nodes that stay as they are stored, whatever the twin says of them.

    Returns
    -------
    set of str, dict, dict
        Nodes that changed, digest of each node, digests of each array's values.
    """
    before = hierarchy(group)
    known: dict[str, list[str]] = dict(said.get("values", {}))
    want: dict[str, tuple[dict[str, Any], list[array.Plan]]] = {}
    for node, child in twin.children.items():
        if node in kept:
            continue
        ds = child.to_dataset(inherit=False)
        want[node] = (digest.attributes(ds.attrs, where=node), plans(ds, node))
    # Everything that can be refused was refused above: from here on only the disk can fail.

    ours = [node for node in before if node in kept]
    root_attrs = _node_attrs(digest.attributes(twin.attrs, where="/"), [*want, *ours])
    _set_attributes(group, root_attrs)
    for node in set(before) - set(want) - set(ours) - {"/"}:
        del group[node]
    values: dict[str, list[str]] = {w: v for w, v in known.items() if w.partition("/")[0] in ours}
    targets: list[tuple[array.Plan, Any, int, str]] = []
    for node, (attrs, planned) in want.items():
        child = group.require_group(node)
        _set_attributes(child, _node_attrs(attrs, [p.name for p in planned], _beside(planned)))
        held = before.get(node, ({}, {}))[1]
        for name in set(held) - {p.name for p in planned}:
            del child[name]
        for p in planned:
            where = f"{node}/{p.name}"
            if _unchanged(p, held.get(p.name), known.get(where)):
                values[where] = known[where]
                if dict(held[p.name].attrs) != array.explained(p):
                    held[p.name].attrs.put(array.explained(p))
            else:
                targets.append((p, array.create(child, p), 0, ""))
                values[where] = []
    for (_, target, _, _), kept in zip(targets, blocks.write(targets), strict=True):
        values[target.path] = kept

    nodes = {"/": node_digest(root_attrs, {})}
    nodes |= {node: said["nodes"][node] for node in ours}
    nodes |= {node: described(node, group[node], dict(group[node].arrays()), values) for node in want}
    old = said.get("nodes", {})
    changed = {n for n in set(nodes) | set(old) if nodes.get(n) != old.get(n)}
    return changed, nodes, values


def _beside(planned: Sequence[array.Plan]) -> list[str]:
    return [p.name for p in planned if p.coordinate and p.dims != (p.name,)]


def _set_attributes(member: Any, attrs: dict[str, Any]) -> None:
    if dict(member.attrs) != attrs:
        member.attrs.put(attrs)


def _unchanged(p: array.Plan, held: Any, known: list[str] | None) -> bool:
    """Whether the store holds these values already. Decides the shape of the blocks on the way."""
    if held is None or not known:
        return False
    was = stored_plan(held)
    if (was.kind, was.dims, was.dtype) != (p.kind, p.dims, p.dtype) or was.shape[1:] != p.shape[1:]:
        return False
    if was.shape:
        p.chunks = was.chunks  # blocks keep their shape, or an append would cut them anew
    if was.shape != p.shape:
        return False
    if p.known:
        return p.known == known[0]
    return not p.lazy and blocks.values_digest(p) == known


def add(
    group: Any,
    node: str,
    ds: xr.Dataset,
    said: Mapping[str, Any],
    *,
    dim: str = "",
    length: int = 0,
    mark: Mapping[str, Any] | None = None,
) -> tuple[set[str], dict[str, str], dict[str, list[str]]]:
    """Make a new node beside those that are there. Gives what `write` does; `dim` and so on as in `grown`."""
    attrs = digest.attributes(ds.attrs, where=node)
    planned = _cut(plans(ds, node), dim, length)
    order = [*dict(group.attrs).get(array.OURS, {}).get("order", []), node]
    stored = {k: v for k, v in dict(group.attrs).items() if k != array.OURS}
    _set_attributes(group, {**stored, array.OURS: {**dict(group.attrs)[array.OURS], "order": order}})
    stored = _node_attrs(attrs, [p.name for p in planned], _beside(planned))
    child = group.create_group(node, attributes=_marked(stored, mark))
    targets = [(p, array.create(child, p), 0, "") for p in planned]
    values = dict(said["values"])
    held = {}
    for (p, target, _, _), kept in zip(targets, blocks.write(targets), strict=True):
        values[f"{node}/{p.name}"] = kept
        held[p.name] = target
    return {node}, {**said["nodes"], node: described(node, child, held, values)}, values


def described(node: str, child: Any, held: Mapping[str, Any], values: Mapping[str, Sequence[str]]) -> str:
    """Digest of a stored node whose arrays and their value digests are at hand."""
    variables = {n: describe(stored_plan(a), values[f"{node}/{n}"]) for n, a in held.items()}
    return node_digest(dict(child.attrs), variables)


def node_digest(attrs: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """Digest of a node: its attributes and all its variables, in whatever order they stand."""
    ours = {k: v for k, v in attrs.get(array.OURS, {}).items() if k != "order"}
    return digest.of({"attrs": {**attrs, array.OURS: ours}, "variables": dict(variables)})


def _fit(
    held: Mapping[str, Any], node: str, ds: xr.Dataset, said: Mapping[str, Any], *, dim: str, last: Any, ordered: bool
) -> list[array.Plan]:
    """The variables to append; refuses what does not fit the stored node, before anything is written.

    Errors
    ------
    TwinError
        Names the variable and the first difference.
    """
    if dim not in ds.dims:
        raise TwinError(
            f"values along '{dim}'",
            found=f"dims {tuple(map(str, ds.dims))}",
            hint=f"ds.expand_dims('{dim}')",
            where=node,
        )
    new = {p.name: p for p in plans(ds, node)}
    growing = {n for n, a in held.items() if dim in (a.metadata.dimension_names or ())}
    for name in sorted(growing | {n for n, p in new.items() if dim in p.dims}):
        where = f"{node}/{name}"
        if name not in new or name not in held:
            known = sorted(growing)
            raise TwinError(
                f"the variables that are stored ({', '.join(known)})",
                found=f"no '{name}'" if name not in new else f"'{name}' besides",
                hint="fill it with NaN" if name not in new else "save the whole twin to add a variable",
                where=where,
            )
        p, was = new[name], stored_plan(held[name])
        if p.dims != was.dims or p.dims[0] != dim:
            raise TwinError(
                f"dims {was.dims} with '{dim}' first", found=f"dims {p.dims}", hint="ds.transpose(...)", where=where
            )
        if "units" in p.attrs and p.attrs["units"] != was.attrs.get("units"):
            raise TwinError(
                f"values in {was.attrs.get('units', 'no unit')}, as stored",
                found=f"unit '{p.attrs['units']}'",
                hint="convert them",
                where=where,
            )
        if p.dtype != was.dtype:
            raise TwinError(
                f"values of type {was.dtype}", found=p.dtype, hint=f"array.astype('{was.dtype}')", where=where
            )
    for name, p in new.items():
        if dim not in p.dims:
            _same_as_stored(held.get(name), p, f"{node}/{name}", said)
    if ordered and dim in new and dim in held:
        both = [*last, *new[dim].data]
        if any(b <= a for a, b in itertools.pairwise(both)):
            stored = array.Stored(held[dim], new[dim].kind, f"{node}/{dim}")[-1:]
            end = f" after {stored[0]}" if len(stored) else ""
            raise TwinError(
                f"values of '{dim}' that ascend{end}",
                found=f"{ds[dim].to_numpy()[0]} to {ds[dim].to_numpy()[-1]}",
                hint=f"ds.sortby('{dim}') and drop what is stored already",
                where=f"{node}/{dim}",
            )
    return [p for p in new.values() if dim in p.dims]


def _same_as_stored(held: Any, p: array.Plan, where: str, said: Mapping[str, Any]) -> None:
    if held is None:
        raise TwinError(
            "a variable that is stored",
            found=f"'{p.name}' besides",
            hint="drop it, or save the whole twin",
            where=where,
        )
    if not _unchanged(p, held, said["values"][where]) and not (p.lazy and not p.known):
        raise TwinError(
            f"the {held.size} values of '{p.name}' that are stored, in their order",
            found="others",
            hint=f"tk.open(path)['{where.partition('/')[0]}'] has them: reindex to its ids, or save the whole twin",
            where=where,
        )


def _cut(planned: list[array.Plan], dim: str, length: int) -> list[array.Plan]:
    """Plans whose blocks have a given length along one dim."""
    for p in planned:
        if length and p.dims[:1] == (dim,):
            p.chunks = (length, *p.shape[1:])
    return planned


def _marked(attrs: dict[str, Any], mark: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes of a group with what it says of its journal."""
    return attrs if mark is None else {**attrs, array.OURS: {**attrs[array.OURS], "journal": dict(mark)}}


def grown(
    group: Any,
    node: str,
    ds: xr.Dataset,
    said: Mapping[str, Any],
    *,
    dim: str,
    length: int,
    mark: Mapping[str, Any] | None,
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Make a node of a journal, or make it longer, and wider where variables or ids have come since.

    Its values along `dim` need not ascend: rows stand as they were committed.

    Parameters
    ----------
    group, node, ds, said
        As in `append`.
    dim : str
    length : int
        Of a stored block along `dim`.
    mark : mapping, optional
        What the node says of its journal.
    """
    if node not in group:
        _, nodes, values = add(group, node, ds, said, dim=dim, length=length, mark=mark)
        return nodes, values
    said = _widened(group, node, ds, said, dim=dim, length=length)
    if mark is not None:
        _set_attributes(group[node], _marked(dict(group[node].attrs), mark))
    return append(group, node, ds, said, dim=dim, ordered=False)


def _widened(
    group: Any, node: str, ds: xr.Dataset, said: Mapping[str, Any], *, dim: str, length: int
) -> Mapping[str, Any]:
    """Give a stored node the variables and ids that it lacks, empty for the rows that it has."""
    import dask.array as da

    child = group[node]
    held = dict(child.arrays())
    values = dict(said["values"])
    targets = []
    rows = next(a.shape[0] for a in held.values() if (a.metadata.dimension_names or ())[:1] == (dim,))
    for p in plans(ds, node):
        if dim not in p.dims:
            if p.name not in held or held[p.name].shape != p.shape:
                targets.append((p, array.create(child, p), 0, ""))
            continue
        was = held.get(p.name)
        if was is not None and was.shape[1:] == p.shape[1:]:
            continue
        empty = p.data.dtype.type(0) if p.data.dtype.kind == "i" else p.data.dtype.type("nan")
        data = da.full((rows, *p.shape[1:]), empty, chunks=(length, *p.shape[1:]))
        if was is not None:
            # In memory, because the array that it is read from is replaced by the one that it is written to.
            old = np.asarray(was[:])
            data = np.full(data.shape, empty)
            data[:, : old.shape[1]] = old
        wide = array.Plan(p.name, p.kind, p.dims, data, p.attrs, p.coordinate, chunks=(length, *p.shape[1:]))
        targets.append((wide, array.create(child, wide), 0, ""))
    for (p, _, _, _), kept in zip(targets, blocks.write(targets), strict=True):
        values[f"{node}/{p.name}"] = kept
    if targets:
        names = [*dict(child.attrs)[array.OURS]["order"]]
        names += [p.name for p, _, _, _ in targets if p.name not in names]
        attrs = dict(child.attrs)
        _set_attributes(child, {**attrs, array.OURS: {**attrs[array.OURS], "order": names}})
    return {**said, "values": values}


def append(
    group: Any, node: str, ds: xr.Dataset, said: Mapping[str, Any], *, dim: str, ordered: bool = True
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Make the arrays of a node longer along one dim.

    Returns
    -------
    dict, dict
        Digests of the nodes and of the arrays' values, of the whole twin.

    Errors
    ------
    TwinError
        What does not fit: names the variable and the first difference.
    """
    child = group[node]
    held = dict(child.arrays())
    values = dict(said["values"])
    targets: list[tuple[array.Plan, Any, int, str]] = []
    tails = {dim: _tail(held[dim], f"{node}/{dim}")} if dim in held else {}
    for p in _fit(held, node, ds, said, dim=dim, last=tails.get(dim, [])[-1:], ordered=ordered):
        target = held[p.name]
        was = stored_plan(target)
        if not was.shape[0]:
            targets.append((p, array.create(child, p), 0, ""))
            held[p.name] = targets[-1][1]
            continue
        p.chunks = was.chunks
        known = values[f"{node}/{p.name}"]
        tail = was.shape[0] % p.chunks[0]
        start = was.shape[0] - tail
        if tail:
            # The last row of blocks is not whole: it is read, joined and written again.
            before = tails[p.name] if p.name in tails else _tail(target, f"{node}/{p.name}")
            p.data = _joined(before, p.data)
        if tail or p.lazy:
            target.resize((start + p.shape[0], *p.shape[1:]))
        targets.append((p, target.with_config(array.DENSE), start, known[-1]))
        held[p.name] = targets[-1][1]
    for (p, _, _, _), kept in zip(targets, blocks.write(targets), strict=True):
        values[f"{node}/{p.name}"] = kept
    return {**said["nodes"], node: described(node, child, held, values)}, values


def _tail(held: Any, where: str) -> Any:
    """The last row of stored blocks, whole or not; empty only where the array is."""
    length, step = held.shape[0], held.chunks[0]
    return array.Raw(held, where)[
        (slice((length - 1) // step * step if length else 0, length),) + (slice(None),) * (held.ndim - 1)
    ]


def _joined(before: Any, after: Any) -> Any:
    import dask.array as da

    return da.concatenate([before, after]) if hasattr(after, "dask") else np.concatenate([before, after])


def read(group: Any, said: Mapping[str, Any], *, commit: str, hidden: Collection[str] = ()) -> xr.DataTree:
    """The twin that a Zarr hierarchy holds: indexes in memory, everything else lazy; without `hidden` nodes."""
    trees = {}
    for node, (attrs, arrays) in hierarchy(group).items():
        if node in hidden:
            continue
        variables = {}
        coordinates = set()
        for name, held in arrays.items():
            where = f"{node}/{name}"
            values = said["values"].get(where, [f"{commit}-{where}"])[0]
            variables[name], beside = array.variable(held, values=values, where=where)
            if beside:
                coordinates.add(name)
        coords = {n: v for n, v in variables.items() if n in coordinates}
        data = {n: v for n, v in variables.items() if n not in coordinates}
        trees[node] = xr.Dataset(data, coords, _user_attrs(attrs))
    return xr.DataTree.from_dict(trees)


def stored_plan(stored: Any) -> array.Plan:
    """A stored array as the plan from which it could have been written; reading it gives the form on disk."""
    user, ours = array.unexplained(dict(stored.attrs))
    dims = tuple(stored.metadata.dimension_names or ())
    return array.Plan(
        name=stored.basename,
        kind=ours.get("kind", "number"),
        dims=dims,
        data=stored,
        attrs=user,
        coordinate=bool(ours.get("coordinate")),
        chunks=tuple(map(int, stored.chunks)),
    )


def describe(p: array.Plan, values: Sequence[str]) -> dict[str, Any]:
    """All that a stored array says, in the form that is hashed."""
    return {
        "attrs": p.attrs,
        "chunks": list(p.chunks),
        "coordinate": p.coordinate,
        "dims": list(p.dims),
        "dtype": p.dtype,
        "shape": list(p.shape),
        "values": values[0],
    }
