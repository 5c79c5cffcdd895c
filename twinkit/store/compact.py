"""Compacting: late readings moved into the blocks that they belong to, and old commits let go.

A late reading costs some thirty bytes where it stands; its block is worth writing anew once that is more than the
block itself. The value that stood in the block, and its stamp, take the late reading's place: nothing that was ever
received is lost, and what was known at any moment stays what it was.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.store import array, blocks, drain, readings, repository, tree

if TYPE_CHECKING:
    import pathlib

    from twinkit.store.read import History, Path

__all__ = ["compact", "kept_from"]

SHARE = 8
"""A block is written anew where one reading in so many came late."""


def compact(path: Path, *, keep: Any, message: str = "compacted", author: str | None = None) -> History:
    """Win back space: late readings into their blocks, and commits let go that nobody may ask for any more.

    At an address (``s3://...``) ingesters go on meanwhile, and what is younger than a day stays: see `expire`.

    Parameters
    ----------
    path : str or Path
        Folder or address of a store.
    keep : str or timedelta
        How far back ``tk.open(path, as_of=...)`` must go on working: ``"30 days"``. Readings, their stamps and what
        they superseded are kept without end; it is the other nodes of old commits that go.
    message : str
        Of the commit that moves late readings, if there are any to move.
    author : str, optional

    Returns
    -------
    History
        The commits that expired, newest first.

    Errors
    ------
    TwinError
        A period that is none, another writer, a store in which something was altered.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> cells = xr.Dataset({"frequency": ("cell", [8e8])}, {"cell": ["a"]})
    >>> _ = tk.save(tk.assemble({"cells": cells}, title="one", crs="EPSG:32643"), path, message="the beginning")
    >>> reading = {"variable": "load", "sensor": "a", "time": np.datetime64("2026-03-01T12:00")}
    >>> with tk.store.journal(path) as journal:
    ...     for value in (0.5, 0.6):
    ...         _ = journal.record(reading | {"value": value})
    ...         _ = journal.drain(all=True)
    >>> len(compact(path, keep="0 s")), len(tk.history(path))
    (3, 1)
    >>> float(tk.open(path)["telemetry/load"][0, 0])
    0.6
    """
    from twinkit.store import write

    root = repository.located(path, anywhere=True)
    span = _period(keep)
    group, _, _ = drain.opened(root)
    plans = {node: _worth(drain.Base(root, node)) for node in drain.marks(group)}
    if any(len(p) for p in plans.values()):

        def change(group: Any, said: dict[str, Any]) -> Any:
            nodes, values = dict(said["nodes"]), dict(said["values"])
            moved = set()
            for node in drain.marks(group):
                # Looked at again, as the commit has it on which this one will stand.
                base = drain.Base(root, node, group.store.session.snapshot_id)
                found = _worth(base)
                if len(found):
                    _move(group, base, found, nodes, values)
                    moved.add(node)
            return moved, nodes, values

        write.committed(root, "main", message, write.author_of(author), change, act="append")
    return write.expire(path, keep=span)


def _period(keep: Any) -> dt.timedelta:
    import pandas as pd

    try:
        # a number alone would be taken as so many nanoseconds, and all would go
        span = pd.NaT if isinstance(keep, int | float | np.number) else pd.Timedelta(keep)
    except (ValueError, TypeError):
        span = pd.NaT
    if span is pd.NaT or span < pd.Timedelta(0):
        raise TwinError("a period such as '30 days'", found=repr(keep), hint="write '30 days' or '12 h'", where="keep")
    return span.to_pytimedelta()  # type: ignore[no-any-return]


def kept_from(root: pathlib.Path, keep: Any) -> dt.datetime:
    """The moment before which commits may go: of the newest ones, in each branch, that are as old as a period."""
    oldest = dt.datetime.now(dt.UTC) - _period(keep)
    repo = repository.reader(root)
    out = oldest
    for name, at in repository.heads(repo, root).items():
        if name.startswith("branch."):
            old = [r.when for r in repository.commits(repo, root, at) if r.when <= oldest]
            # What stood at that moment must go on standing, or as_of would find nothing then.
            out = min([out, *old[:1]])
    return out


def _worth(base: drain.Base) -> np.ndarray:
    """The late readings that are the newest of their key and stand in blocks with many of them: their positions."""
    if not len(base.late):
        return np.empty(0, "i8")
    late = base.late
    row = base.rows(late.time)
    block = row // base.length * len(base.dims) + late.variable
    numbers, counts = np.unique(block, return_counts=True)
    names = list(base.dims)
    rows = np.minimum(base.length, len(base.time) - numbers // len(names) * base.length)
    sizes = rows * np.array([len(base.ids[d]) for d in base.dims.values()])[numbers % len(names)]
    many = np.isin(block, numbers[counts * SHARE >= sizes])
    many &= readings.newest(late)
    for number, name in enumerate(names):
        mine = np.flatnonzero(many & (late.variable == number))
        _, stamp = base.at(name, row[mine], late.sensor[mine].astype("i8"))
        many[mine] = late.received[mine] > stamp
    return np.flatnonzero(many)


def _move(group: Any, base: drain.Base, found: np.ndarray, nodes: dict[str, str], values: dict[str, list[str]]) -> None:
    """Let late readings and what stands in the blocks change places."""
    late = base.late
    row = base.rows(late.time)
    sensor = late.sensor.astype("i8")
    stays = np.ones(len(late), bool)
    value, received = np.array(late.value), np.array(late.received)
    both = {base.node: group[base.node], f"{base.node}{drain.RECEIVED}": group[f"{base.node}{drain.RECEIVED}"]}
    touched = set()
    for number, name in enumerate(base.dims):
        mine = found[late.variable[found] == number]
        block = row[mine] // base.length
        for b in np.unique(block).tolist():
            here = mine[block == b]
            rows = slice(b * base.length, min((b + 1) * base.length, len(base.time)))
            place = (row[here] - rows.start, sensor[here])
            for node, column in zip(both, (value, received), strict=True):
                target = both[node][name]
                held = np.array(array.Raw(target, f"{node}/{name}")[rows, :])
                before = held[place].copy()
                held[place] = column[here]
                target[rows] = held
                column[here] = before
                touched.add(f"{node}/{name}")
        stays[mine[received[mine] == 0]] = False
    last = np.asarray(both[f"{base.node}{drain.RECEIVED}"]["last"][:])
    np.maximum.at(last, row[found], late.received[found])
    both[f"{base.node}{drain.RECEIVED}"]["last"][:] = last
    touched.add(f"{base.node}{drain.RECEIVED}/last")
    for node, child in both.items():
        arrays = dict(child.arrays())
        for name, stored in arrays.items():
            if f"{node}/{name}" in touched:
                p = tree.stored_plan(stored)
                p.data = array.Raw(stored, f"{node}/{name}")
                values[f"{node}/{name}"] = blocks.values_digest(p)
        nodes[node] = tree.described(node, child, arrays, values)
    rest = readings.Columns(late.variable, late.sensor, late.time, value, received)[stays]
    _rewrite(group, f"{base.node}{drain.LATE}", rest, nodes, values)


def _rewrite(
    group: Any, node: str, rest: readings.Columns, nodes: dict[str, str], values: dict[str, list[str]]
) -> None:
    """The late readings anew."""
    order = np.lexsort((rest.received,))
    ds = xr.Dataset({n: ("reading", np.asarray(getattr(rest[order], n), t)) for n, t in readings.COLUMNS.items()})
    child = group[node]
    targets = []
    for p in tree.plans(ds, node):
        p.chunks = (drain.MANY,)
        targets.append((p, array.create(child, p), 0, ""))
    for (p, _, _, _), kept in zip(targets, blocks.write(targets), strict=True):
        values[f"{node}/{p.name}"] = kept
    nodes[node] = tree.described(node, child, {p.name: t for p, t, _, _ in targets}, values)
