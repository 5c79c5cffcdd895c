"""Readings as they are seen: what is committed, what came late for it and what is pending, laid over each other.

Of each reading the store keeps the newest value and its stamp in a block, all others as late ones, and the journal
what is not committed yet. What was known at a moment is then one rule: of all values of a reading, the one with the
greatest stamp that is not after the moment. The rule does not mind to meet a reading twice.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit import vocabulary
from twinkit.error import TwinError
from twinkit.store import array, chest, drain, readings, tree

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

__all__ = ["kept", "pending", "refuse", "stamp", "twin"]

Batch = tuple[readings.Columns, list[str], list[tuple[str, str]], list[str]]
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
OURS = "journal"
"""Mark in the encoding of a variable that readings came through a journal."""


def stamp(moment: dt.datetime) -> int:
    """A moment as the stamps of readings count [ms since 1970]; what was received in its millisecond is in."""
    return (moment - EPOCH) // dt.timedelta(milliseconds=1)


def pending(root: pathlib.Path) -> dict[str, list[Batch]]:
    """Node to the batches in its journal."""
    return {node: [readings.unpack(b) for b in chest.Chest.of(root, node).batches()] for node in chest.names(root)}


def hidden(group: Any) -> set[str]:
    """Stored nodes that no twin shows: what belongs to the readings beside their values."""
    return {f"{node}{tail}" for node in drain.marks(group) for tail in (drain.RECEIVED, drain.LATE)}


def _ours(group: Any, root: pathlib.Path) -> set[str]:
    return {*drain.marks(group), *chest.names(root)}


def kept(group: Any, root: pathlib.Path, given: xr.DataTree) -> set[str]:
    """Stored nodes that a save leaves alone, because readings come through a journal.

    Errors
    ------
    TwinError
        The twin has other values in such a node.
    """
    nodes = _ours(group, root)
    for node in nodes & set(given.children):
        for name, variable in given[node].data_vars.items():
            if variable.encoding.get("source") != OURS:
                raise _through(node, f"'{name}' with values of its own", f"twin.drop_nodes('{node}')")
    return nodes | hidden(group)


def refuse(group: Any, root: pathlib.Path, node: str) -> None:
    """Raise where a node is not to be written but by its journal."""
    if node in _ours(group, root) | hidden(group):
        raise _through(node, "an append", "tk.store.journal(path)")


def _through(node: str, found: str, hint: str) -> TwinError:
    return TwinError(
        f"readings of '{node}' through their journal",
        found=found,
        hint=f"journal.record(...) takes readings and corrections; or {hint}",
        where=node,
    )


def twin(
    group: Any,
    said: Mapping[str, Any],
    *,
    commit: str,
    pending: Mapping[str, list[Batch]],
    newest: tuple[Any, Mapping[str, Any]] | None = None,
    until: int | None = None,
) -> xr.DataTree:
    """The twin of a commit, with its readings as they are seen.

    Parameters
    ----------
    group : zarr.Group
    said : mapping
        What the commit says.
    commit : str
    pending : mapping
        What is in the journals.
    newest : (zarr.Group, mapping), optional
        Where the readings are looked for, and what that commit says; left out, the commit itself.
    until : int, optional
        The moment [ms since 1970].
    """
    where, tells = newest or (group, said)
    marks = drain.marks(where)
    out = tree.read(group, said, commit=commit, hidden={*hidden(group), *drain.marks(group)})
    trees: dict[str, Any] = {"/": out.to_dataset(inherit=False)}
    trees |= {n: c.to_dataset(inherit=False) for n, c in out.children.items()}
    for node in sorted({*marks, *pending}):
        ds = _seen(where, tells, node, pending.get(node, []), until, marks.get(node), ids=drain.ids_of(group))
        if ds is not None:
            for variable in ds.data_vars.values():
                variable.encoding["source"] = OURS
            trees[node] = ds
    return xr.DataTree.from_dict(trees)


def _seen(
    group: Any,
    said: Mapping[str, Any],
    node: str,
    batches: list[Batch],
    until: int | None,
    mark: dict[str, Any] | None,
    *,
    ids: dict[str, list[str]],
) -> xr.Dataset | None:
    """One node of readings, over the ids that it has and those of the twin; None where there are none yet."""
    base: dict[str, xr.Variable] = {}
    time = np.empty(0, "i8")
    dims: dict[str, str] = {}
    extra: list[tuple[list[str], readings.Columns]] = []
    attrs: dict[str, Any] = {}
    if mark is not None:
        attrs, base, own = _base(group, said, node, mark)
        ids = {dim: list(dict.fromkeys([*own.get(dim, []), *ids.get(dim, [])])) for dim in {*own, *ids}}
        time = base.pop("time").to_numpy().view("i8")
        dims = {v: str(base[v].dims[1]) for v in base}
        if f"{node}{drain.LATE}" in group:
            # Its sensors are positions in the ids that stand first.
            extra.append((mark["variables"], drain.late_of(group[f"{node}{drain.LATE}"])))
    extra += [_placed(batch, ids, dims) for batch in batches]
    variables = list(dims)
    found = readings.joined([c for _, c in extra]) if extra else readings.joined([])
    codes = np.concatenate(
        [np.array([variables.index(n) for n in names], "i8")[c.variable] for names, c in extra] or [np.empty(0, "i8")]
    )
    found = readings.Columns(codes, found.sensor.astype("i8"), found.time, found.value, found.received)
    if until is not None:
        found = found[found.received <= until]
    found = found[readings.newest(found)]
    first, last = _span(group, node) if mark is not None else (np.empty(0, "i8"), np.empty(0, "i8"))
    rows = np.arange(len(time)) if until is None else np.flatnonzero(first <= until)
    more = np.setdiff1d(found.time, time[rows])
    axis = np.concatenate([time[rows], more])
    if not len(axis):
        return None
    order = np.argsort(axis, kind="stable")
    straight = bool((order == np.arange(len(order))).all())
    place = pd.Index(axis).get_indexer(pd.Index(found.time))
    late = np.zeros(len(axis), bool)
    late[: len(rows)] = (last[rows] > until) if until is not None else False
    out: dict[str, Any] = {}
    for number, name in enumerate(variables):
        mine = found.variable == number
        width = len(ids[dims[name]])
        stamps = group[f"{node}{drain.RECEIVED}"][name] if name in base else None
        data = _laid(
            base.get(name), stamps, rows, len(axis), width, late,
            place[mine], found.sensor[mine], found.value[mine], found.received[mine], until,
            where=f"{node}/{name}", length=mark["length"] if mark else 0,
        )  # fmt: skip
        if not straight:
            data = data[order]
        told = base[name].attrs if name in base else {"units": vocabulary.word(name).unit}
        before = [str(told["provenance"])] if "provenance" in told else []
        told = {**told, "provenance": readings.together(*before, *_told(batches, name, until))}
        out[name] = (("time", dims[name]), data, told)
    coords: dict[str, Any] = {"time": axis[order].view("M8[ns]")}
    coords |= {d: np.array(ids[d], dtype=object) for d in dict.fromkeys(dims.values())}
    return xr.Dataset(out, coords, attrs)


def _told(batches: list[Batch], name: str, until: int | None) -> list[str]:
    """Where the readings of a variable come from that are in the journal alone."""
    return [
        told[variables.index(name)]
        for found, variables, _, told in batches
        if name in variables and (until is None or (found.received <= until).any())
    ]


def _base(
    group: Any, said: Mapping[str, Any], node: str, mark: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, xr.Variable], dict[str, list[str]]]:
    """What is committed of a node: its attributes, its time and lazy variables, and its ids."""
    held = dict(group[node].arrays())
    variables = {}
    for name in ["time", *mark["variables"]]:
        where = f"{node}/{name}"
        variables[name] = array.variable(held[name], values=said["values"][where][0], where=where)[0]
    ids = {n: list(map(str, a[:].tolist())) for n, a in held.items() if a.ndim == 1 and n != "time"}
    attrs = {k: v for k, v in dict(group[node].attrs).items() if k not in (array.OURS, "coordinates")}
    return attrs, variables, ids


def _span(group: Any, node: str) -> tuple[np.ndarray, np.ndarray]:
    """When the first and the last reading of each row was received."""
    held = group[f"{node}{drain.RECEIVED}"]
    return np.asarray(held["first"][:]), np.asarray(held["last"][:])


def _placed(batch: Batch, ids: dict[str, list[str]], dims: dict[str, str]) -> tuple[list[str], readings.Columns]:
    """A batch with its sensors as positions in the ids, which grow with it."""
    found, variables, sensors, _ = batch
    for name in variables:
        own = readings.dims_of(name)
        dims.setdefault(name, next((d for d, _ in sensors if d in own), own[0]))
    place = np.zeros(len(sensors), "i8")
    index = {dim: {n: i for i, n in enumerate(names)} for dim, names in ids.items()}
    for number, (dim, name) in enumerate(sensors):
        known = index.setdefault(dim, {})
        if name not in known:
            known[name] = len(known)
            ids.setdefault(dim, []).append(name)
        place[number] = known[name]
    return variables, readings.Columns(found.variable, place[found.sensor], found.time, found.value, found.received)


def _laid(
    base: xr.Variable | None,
    stamps: Any,
    rows: np.ndarray,
    height: int,
    width: int,
    late: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    value: np.ndarray,
    received: np.ndarray,
    until: int | None,
    *,
    where: str,
    length: int,
) -> Any:
    """Committed blocks with readings laid over them; what nothing touches stays as it was opened."""
    import dask.array as da

    committed = len(rows)
    parts = []
    if committed:
        if base is None:
            plain = da.full((committed, width), np.nan, chunks=(max(1, min(committed, 4096)), width))
        else:
            plain = base.data if committed == len(base) else base.data[rows]
            if plain.shape[1] < width:
                plain = da.pad(plain, ((0, 0), (0, width - plain.shape[1])), constant_values=np.nan)
        touched = late.copy()
        touched[row[row < committed]] = True
        parts = _runs(plain, touched[:committed], max(length, 1))
        for number, (start, stop, part) in enumerate(parts):
            if part is not None:
                continue
            mine = (row >= start) & (row < stop)
            over = (row[mine] - start, column[mine], value[mine], received[mine])
            raw = None if stamps is None else array.Raw(stamps, where)
            block = da.map_blocks(
                _over, plain[start:stop].rechunk((stop - start, width)), raw, rows[start:stop], over, until, dtype="f8",
                meta=np.empty((0, 0)),
            )  # fmt: skip
            parts[number] = (start, stop, block)
    pieces = [p for _, _, p in parts]
    if height > committed:
        fresh = np.full((height - committed, width), np.nan)
        mine = row >= committed
        fresh[row[mine] - committed, column[mine]] = value[mine]
        pieces.append(da.from_array(fresh, chunks=(max(1, min(len(fresh), 4096)), width)))
    return pieces[0] if len(pieces) == 1 else da.concatenate(pieces)


def _runs(plain: Any, touched: np.ndarray, length: int) -> list[tuple[int, int, Any]]:
    """Rows in runs of whole blocks: those that are touched, a block each, with None, the others with their values."""
    if not touched.any():
        return [(0, len(touched), plain)]
    count = -(-len(touched) // length)
    hit = np.zeros(count, bool)
    hit[np.flatnonzero(touched) // length] = True
    edges = np.flatnonzero(np.diff(hit.astype("i1"))) + 1
    out: list[tuple[int, int, Any]] = []
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), count], strict=True):
        if hit[start]:
            out += [(n * length, min((n + 1) * length, len(touched)), None) for n in range(start, stop)]
        else:
            a, b = start * length, min(stop * length, len(touched))
            out.append((a, b, plain[a:b]))
    return out


def _over(values: np.ndarray, stamps: Any, rows: np.ndarray, over: Any, until: int | None) -> np.ndarray:
    """One block: committed values that were received by then, and over them the readings that are newer."""
    out = np.array(values)
    known = np.zeros(out.shape, "i8")
    if stamps is not None:
        low, high = int(rows[0]), int(rows[-1]) + 1
        found = stamps[(slice(low, high), slice(None))][rows - low]
        known[:, : found.shape[1]] = found
    if until is not None:
        after = known > until
        out[after], known[after] = np.nan, 0
    row, column, value, received = over
    newer = received >= known[row, column]
    out[row[newer], column[newer]] = value[newer]
    return out
