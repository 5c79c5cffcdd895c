"""Reading a store: a twin as it stands or stood, and who changed what."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, escaped
from twinkit.store import repository, seen

if TYPE_CHECKING:
    import datetime as dt

    import xarray as xr

    from twinkit.store import index

__all__ = ["Commit", "History", "Path", "branches", "history", "open", "public", "tags"]

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Commit:
    """One commit: who, when, why, what.

    Attributes
    ----------
    head : str
        SHA-256 of the whole history up to here. Keep it elsewhere, and `verify` proves that nothing was rewritten.
    id : str
        The engine's name of the commit.
    when : datetime
        In UTC.
    author, message : str
    changed : list of str
        Nodes that the commit changed.
    note : str
        What to know beside, as that nothing differed and no commit was made.
    """

    head: str
    id: str
    when: dt.datetime
    author: str
    message: str
    changed: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        why = f"{escaped(self.author)}: {escaped(self.message)} ({_nodes(self.changed)})"
        note = f"\n  note: {escaped(self.note)}" if self.note else ""
        return f"{self.head[:12]}  {self.when:%Y-%m-%d %H:%M:%S}  {why}{note}"


class History(tuple[Commit, ...]):
    """The commits of a branch, newest first; prints as a table."""

    __slots__ = ()

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (c.head[:12], f"{c.when:%Y-%m-%d %H:%M:%S}", escaped(c.author), _first_line(c.message), _nodes(c.changed))
            for c in self
        ]

    def __str__(self) -> str:
        rows = [("head", "when (UTC)", "who", "why", "what"), *self._rows()]
        widths = [max(len(r[i]) for r in rows) for i in range(5)]
        return "\n".join("  ".join(t.ljust(w) for t, w in zip(r, widths, strict=True)).rstrip() for r in rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        cells = "".join("<tr>" + "".join(f"<td>{escape(t)}</td>" for t in r) + "</tr>" for r in self._rows())
        heads = "".join(f"<th>{t}</th>" for t in ("head", "when (UTC)", "who", "why", "what"))
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table>"


def _nodes(changed: list[str]) -> str:
    return ", ".join("attributes" if n == "/" else escaped(n) for n in changed)


def _first_line(message: str) -> str:
    first, _, more = message.strip().partition("\n")
    return escaped(first) + (" ..." if more else "")


def public(row: index.Row) -> Commit:
    """A row of the index as the commit that users meet."""
    return Commit(row.head, row.id, row.when, row.author, row.message, row.changed)


# ---------------------------------------------------------------- twins


def open(
    path: Path, *, as_of: Any = None, branch: str = "main", tag: str | None = None, commit: str | None = None
) -> xr.DataTree:
    """A stored twin, lazy: values are read when they are asked for.

    Parameters
    ----------
    path : str or Path
        Folder of the store.
    as_of : str, datetime or Timestamp, optional
        The newest state of `branch` that was committed at this moment or before; UTC unless it says otherwise,
        and a date alone is its first moment. It asks what was known then; the dim ``time`` says when it was true.
        Of readings that come through a `journal` it shows those that were received by then, as they were then, and
        left out, all that were received, whether they are committed yet or not.
    branch : str
    tag : str, optional
    commit : str, optional
        A head, or its first digits.

    Returns
    -------
    DataTree
        Dask arrays in the blocks of the store; the indexes are in memory. ``encoding`` holds source, commit and head.

    Errors
    ------
    TwinError
        Nothing there, a file, an empty folder, no store, a newer format; no such branch, tag or commit; nothing
        that old. Reading a value from a damaged file raises one too.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> _ = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> tk.open(path).attrs["title"]
    'one mast'
    """
    import zarr

    root = repository.located(path, anywhere=True)
    # What is pending is read before the commit is found: a drain in between shows readings twice, which is harmless.
    pending = seen.pending(root) if branch == "main" and tag is None and commit is None else {}
    repo = repository.reader(root)
    found = repository.resolve(repo, root, branch=branch, tag=tag, commit=commit, as_of=as_of)
    with repository.engine(root):
        info = repo.lookup_snapshot(found)
    row = repository.row(info)
    if row is None or not {"nodes", "values"} <= set(info.metadata):
        raise TwinError(
            "a commit that twinkit made",
            found=f"commit {found} without twinkit's digests",
            hint="tk.history(path) lists those that it made; open one of them with commit=",
            where=str(root),
        )
    with repository.engine(root):
        group = zarr.open_group(repo.readonly_session(snapshot_id=found).store, mode="r")
        if as_of is None or branch != "main":
            twin = seen.twin(group, info.metadata, commit=found, pending=pending)
        else:
            now = repository.snapshot(repo, root, branch=branch)
            said = repo.lookup_snapshot(now).metadata
            newest = zarr.open_group(repo.readonly_session(snapshot_id=now).store, mode="r")
            until = seen.stamp(repository.moment(as_of))
            twin = seen.twin(group, info.metadata, commit=found, pending=pending, newest=(newest, said), until=until)
    twin.encoding = {"source": str(root), "commit": found, "head": row.head}
    return twin


def history(path: Path, *, branch: str = "main") -> History:
    """Who changed what in a stored twin, when and why.

    Parameters
    ----------
    path : str or Path
    branch : str

    Returns
    -------
    History
        Commits, newest first; prints as a table.

    Errors
    ------
    TwinError
        No store, no such branch.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> _ = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning", author="Asha")
    >>> [(c.author, c.message) for c in tk.history(path)]
    [('Asha', 'the beginning')]
    """
    root = repository.located(path, anywhere=True)
    repo = repository.reader(root)
    start = repository.snapshot(repo, root, branch=branch)
    return History(map(public, repository.commits(repo, root, start)))


def branches(path: Path) -> dict[str, str]:
    """The branches of a store, and the head of each."""
    return _heads(path, "branch.")


def tags(path: Path) -> dict[str, str]:
    """The tags of a store, and the head that each names."""
    return _heads(path, "tag.")


def _heads(path: Path, kind: str) -> dict[str, str]:
    root = repository.located(path, anywhere=True)
    repo = repository.reader(root)
    found = {}
    for name, at in sorted(repository.heads(repo, root).items()):
        if name.startswith(kind):
            with repository.engine(root):
                row = repository.row(repo.lookup_snapshot(at))
            found[name.removeprefix(kind)] = row.head if row else ""
    return found
