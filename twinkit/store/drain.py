"""From the journal to the store: whole blocks of readings, when each was received, and what came late.

Three nodes of the stored tree belong to a journal. ``telemetry`` holds the readings, a row for each time, in the order
in which rows were committed; ``telemetry.received`` the stamp of each; ``telemetry.late`` what came for a row that was
committed already. A committed block is never touched by a drain: late readings and corrections are laid over it when
the twin is opened (see `seen`), and `compact` moves them into it when there are so many that this costs less.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit import vocabulary
from twinkit.error import TwinError
from twinkit.store import array, readings, repository, tree
from twinkit.store import name as _name

if TYPE_CHECKING:
    import pathlib

__all__ = ["LATE", "RECEIVED", "Base", "commit", "fit_node", "marks", "owned", "sensors"]

RECEIVED, LATE = ".received", ".late"
BLOCK = 2**17
"""Fewest bytes in a block of readings."""
CACHED = 16
"""Blocks that are kept in memory for late readings."""
MANY = 4096
"""Late readings that are worth a commit of their own."""


def fit_node(node: str) -> None:
    """Raise where a name is unfit for the node of a journal."""
    _name.fit(node, "node")
    if node.endswith((RECEIVED, LATE)):
        raise TwinError(
            "a node that no other journal keeps", found=f"'{node}'", hint="choose another name", where="node"
        )


def owned(attrs: Any) -> dict[str, Any] | None:
    """What a stored node says of its journal; None where it has none."""
    mark = dict(attrs).get(array.OURS, {}).get("journal")
    return dict(mark) if mark else None


def marks(group: Any) -> dict[str, dict[str, Any]]:
    """The nodes of a stored tree that belong to journals, and what they say of them."""
    found = {name: owned(member.attrs) for name, member in group.groups()}
    return {name: mark for name, mark in found.items() if mark is not None}


def opened(root: pathlib.Path, repo: Any = None, snapshot: str = "") -> tuple[Any, str, Any]:
    """The stored tree of the newest commit: its group, the commit, and what that says."""
    import zarr

    repo = repo or repository.reader(root)
    snapshot = snapshot or repository.snapshot(repo, root, branch="main")
    with repository.engine(root):
        info = repo.lookup_snapshot(snapshot)
        return zarr.open_group(repo.readonly_session(snapshot_id=snapshot).store, mode="r"), snapshot, info.metadata


def sensors(root: pathlib.Path) -> dict[str, list[str]]:
    """Where the newest twin has sensors: "cell" and "site", and others of its nodes, to their ids."""
    group, _, _ = opened(root)
    with repository.engine(root):
        return ids_of(group)


def ids_of(group: Any) -> dict[str, list[str]]:
    """Dim to the ids that a stored tree has along it, in nodes named for it: "cell" and the ids of ``cells``."""
    found: dict[str, list[str]] = {}
    for node, member in group.groups():
        dim = node[:-1]
        if node.endswith("s") and dim in member:
            held = member[dim]
            kind = array.unexplained(dict(held.attrs))[1].get("kind")
            if tuple(held.metadata.dimension_names or ()) == (dim,) and kind == "text":
                found[dim] = list(map(str, held[:].tolist()))
    return found


class Base:
    """The readings that a store holds, as its newest commit has them, or another one."""

    def __init__(self, root: pathlib.Path, node: str, snapshot: str = "") -> None:
        self.root, self.node = root, node
        self.repository = repository.reader(root)
        group, self.snapshot, self.said = opened(root, self.repository, snapshot)
        self.time = np.empty(0, "i8")
        self.ids: dict[str, list[str]] = {}
        self.dims: dict[str, str] = {}
        self.told: dict[str, str] = {}
        """Where the readings of each variable come from."""
        self.late = readings.joined([])
        self.mark: dict[str, Any] | None = None
        self._group = group
        self._cache: OrderedDict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()
        if node in group:
            with repository.engine(root):
                self._read(group)

    def _read(self, group: Any) -> None:
        held = group[self.node]
        self.mark = owned(held.attrs)
        if self.mark is None:
            raise TwinError(
                f"a twin whose '{self.node}' comes from its journal",
                found=f"one that was saved with a '{self.node}' of its own",
                hint=f"journal(path, node='...') under another name, or save the twin without '{self.node}'",
                where=str(self.root),
            )
        for name, member in held.arrays():
            dims = tuple(member.metadata.dimension_names or ())
            if dims == ("time",):
                self.time = np.asarray(member[:]).view("i8")
            elif len(dims) == 1:
                self.ids[name] = list(map(str, member[:].tolist()))
            else:
                self.dims[name] = dims[1]
                self.told[name] = str(dict(member.attrs).get("provenance", readings.MEASURED))
        order = self.mark["variables"]
        self.dims = {v: self.dims[v] for v in order}
        self._rows = pd.Index(self.time)
        if f"{self.node}{LATE}" in group:
            self.late = late_of(group[f"{self.node}{LATE}"])

    def stale(self) -> bool:
        """Whether there is a newer commit."""
        return repository.snapshot(self.repository, self.root, branch="main") != self.snapshot

    def rows(self, times: np.ndarray) -> np.ndarray:
        """The row of each time [ns]; -1 where the store has none."""
        if not len(self.time):
            return np.full(len(times), -1)
        codes, unique = pd.factorize(times)
        found: np.ndarray = self._rows.get_indexer(pd.Index(unique))[codes]
        return found

    @property
    def length(self) -> int:
        """Rows in a block of readings, fixed by the first ones."""
        return int(self.mark["length"]) if self.mark else 0

    def at(self, variable: str, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and stamp of readings in committed blocks; the stamp is 0 where there is none."""
        value, received = np.empty(len(rows)), np.zeros(len(rows), "i8")
        if variable not in self.dims:
            return value, received
        block = rows // self.length
        for number in np.unique(block).tolist():
            values, stamps = self._block(variable, number)
            mine = np.flatnonzero((block == number) & (columns < values.shape[1]))
            place = (rows[mine] - number * self.length, columns[mine])
            value[mine], received[mine] = values[place], stamps[place]
        return value, received

    def _block(self, variable: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        key = (variable, number)
        if key not in self._cache:
            rows = slice(number * self.length, (number + 1) * self.length)
            self._cache[key] = (
                array.Raw(self._group[self.node][variable], f"{self.node}/{variable}")[rows, :],
                array.Raw(self._group[f"{self.node}{RECEIVED}"][variable], f"{self.node}{RECEIVED}/{variable}")[
                    rows, :
                ],
            )
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def holds(self, found: readings.Columns, variables: list[str]) -> np.ndarray:
        """Which readings the store has, in a block or among the late ones, by key and stamp."""
        out = np.zeros(len(found), bool)
        row = self.rows(found.time)
        for number in np.unique(found.variable).tolist():
            mine = np.flatnonzero((found.variable == number) & (row >= 0))
            if len(mine):
                _, stamp = self.at(variables[number], row[mine], found.sensor[mine])
                out[mine] = stamp == found.received[mine]
        if len(self.late):
            names = ("variable", "sensor", "time", "received")
            late = pd.MultiIndex.from_arrays([getattr(self.late, n) for n in names])
            out |= pd.MultiIndex.from_arrays([np.asarray(getattr(found, n), "i8") for n in names]).isin(late)
        return out

    def taken(self, pending: readings.Columns, *, everything: bool) -> np.ndarray:
        """Which pending readings a drain commits: rows of whole blocks, and what is late for committed ones."""
        row = self.rows(pending.time)
        times = np.sort(pd.unique(pending.time[row < 0]))
        if everything:
            return np.ones(len(pending), bool)
        width = max((len(i) for i in self.ids.values()), default=0)
        length = self.length or block_length(max(width, int(pending.sensor.max()) + 1))
        # The newest rows still fill: a straggler would come late for a block that was committed before it.
        closed = times[times < pending.time.max() - SETTLE]
        whole = (len(self.time) + len(closed)) // length * length - len(self.time)
        out = np.zeros(len(pending), bool)
        if whole > 0:
            out |= (row < 0) & (pending.time <= closed[whole - 1])
        late = row >= 0
        if whole > 0 or int(late.sum()) >= MANY:
            out |= late
        return out


SETTLE = 3600 * 10**9
"""How long a row may still fill, from the newest reading [ns]: an hour, the longest period of the vocabulary."""


def block_length(width: int) -> int:
    """Rows in a block of readings of so many sensors: a power of two, at least `BLOCK` bytes together."""
    return int(min(1024, max(16, 2 ** math.ceil(math.log2(max(1, BLOCK / (8 * max(width, 1))))))))


def late_of(held: Any) -> readings.Columns:
    """The late readings of a store; their numbers are positions in the journal's variables and in the ids."""
    return readings.Columns(*(np.asarray(held[name][:]) for name in readings.COLUMNS))


# ---------------------------------------------------------------- writing


def commit(
    base: Base,
    found: readings.Columns,
    *,
    variables: list[str],
    dims: dict[str, str],
    ids: dict[str, list[str]],
    told: dict[str, str],
    mark: dict[str, Any],
    message: str,
    author: str | None,
) -> Any:
    """Commit readings: those of new rows as blocks, the others as late ones; `told` is where each variable is from."""
    from twinkit.store import write

    row = base.rows(found.time)
    fresh = found[row < 0]
    latest = readings.newest(fresh)
    late = [found[row >= 0], fresh[~latest]]
    times = np.sort(pd.unique(fresh.time))
    said = message or _told(found, times)
    length = base.length or block_length(max(len(ids[dims[variables[v]]]) for v in np.unique(found.variable).tolist()))
    new_mark = {**mark, "length": length, "variables": variables}

    def change(group: Any, before: dict[str, Any]) -> Any:
        nodes, values = dict(before["nodes"]), dict(before["values"])
        blocks = _blocks(fresh[latest], times, variables, dims, ids, told)
        for name, held in group[base.node].arrays() if base.node in group else ():
            if name in told and dict(held.attrs).get("provenance") != told[name]:
                held.attrs.put({**dict(held.attrs), "provenance": told[name]})
        for node, ds in zip((base.node, f"{base.node}{RECEIVED}"), blocks, strict=True):
            nodes, values = tree.grown(
                group, node, ds, {"nodes": nodes, "values": values}, dim="time", length=length,
                mark=new_mark if node == base.node else None,
            )  # fmt: skip
        nodes, values = _late(group, f"{base.node}{LATE}", readings.joined(late), {"nodes": nodes, "values": values})
        return {base.node}, nodes, values

    return write.committed(base.root, "main", said, write.author_of(author), change, act="append")


def _told(found: readings.Columns, times: np.ndarray) -> str:
    if not len(times):
        return f"{len(found)} late readings"
    first, last = (str(t.astype("M8[ns]").astype("M8[s]")) for t in (times[0], times[-1]))
    return f"{len(found)} readings, {first} to {last}"


def _blocks(
    found: readings.Columns,
    times: np.ndarray,
    variables: list[str],
    dims: dict[str, str],
    ids: dict[str, list[str]],
    told: dict[str, str],
) -> tuple[xr.Dataset, xr.Dataset]:
    """Readings as arrays with a row for each time, and the stamps of each in arrays beside."""
    values, stamps = {}, {}
    row = np.searchsorted(times, found.time)
    first = np.full(len(times), np.iinfo("i8").max)
    last = np.zeros(len(times), "i8")
    np.minimum.at(first, row, found.received)
    np.maximum.at(last, row, found.received)
    for number, variable in enumerate(variables):
        mine = found.variable == number
        shape = (len(times), len(ids[dims[variable]]))
        value, stamp = np.full(shape, np.nan), np.zeros(shape, "i8")
        value[row[mine], found.sensor[mine]] = found.value[mine]
        stamp[row[mine], found.sensor[mine]] = found.received[mine]
        attrs = {"units": vocabulary.word(variable).unit, "provenance": told.get(variable, readings.MEASURED)}
        values[variable] = (("time", dims[variable]), value, attrs)
        stamps[variable] = (("time", dims[variable]), stamp)
    used = dict.fromkeys(dims[v] for v in variables)
    coords: dict[str, Any] = {"time": times.view("M8[ns]")}
    coords |= {d: np.array(ids[d], dtype=object) for d in used}
    return (
        xr.Dataset(values, coords),
        xr.Dataset({**stamps, "first": ("time", first), "last": ("time", last)}),
    )


def _late(group: Any, node: str, found: readings.Columns, said: Any) -> tuple[dict[str, str], dict[str, list[str]]]:
    if not len(found):
        return said["nodes"], said["values"]
    found = found[np.lexsort((found.received,))]
    ds = xr.Dataset({n: ("reading", np.asarray(getattr(found, n), t)) for n, t in readings.COLUMNS.items()})
    return tree.grown(group, node, ds, said, dim="reading", length=MANY, mark=None)
