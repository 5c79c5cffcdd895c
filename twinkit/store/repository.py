"""The engine: an Icechunk repository in a folder, opened, asked and moved on in one place.

Nothing outside this module meets an error of the engine.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, close_to
from twinkit.store import index, record, remote
from twinkit.store.index import Row
from twinkit.store.shown import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FORMAT", "ROOT", "commits", "engine", "located", "new", "reader", "resolve", "row", "snapshot"]

FORMAT = 1
"""Format of the store: raise it when an older twinkit could no longer read what this one writes."""

ROOT = "1CECHNKREP0F1RSTCMT0"
"""The empty commit with which the engine starts every repository."""


@contextlib.contextmanager
def engine(where: object) -> Iterator[None]:
    """Turn what the engine, Zarr or the disk raise into one TwinError."""
    import icechunk

    try:
        yield
    except TwinError:
        raise
    except (icechunk.IcechunkError, icechunk.ConflictError, OSError, ValueError, KeyError) as fault:
        # The engine draws its errors as a tree; the first branch says what happened.
        drawn = str(fault).partition("context:")[0]
        text = " ".join(re.sub(r"(?m)^\s*(x|\||\|->|`->)\s", " ", drawn).split()).strip(" |")[:300]
        whole = str(fault)
        if any(sign in whole for sign in ("No space left", "os error 28", "Disk quota", "File too large")):
            raise TwinError(
                "room on the disk",
                found="none left",
                hint="free some space and try again; what was committed before is whole",
                where=str(where),
            ) from None
        raise TwinError(
            "a store that can be read and written",
            found=text or type(fault).__name__,
            hint="tk.verify(path) names damaged files; a copy of the store restores them",
            where=str(where),
        ) from None


@functools.cache
def quiet() -> None:
    """Keep the engine from writing to standard error."""
    # The engine warns on standard error that a local disk takes one writer at a time, which is what the lock is for,
    # and traces each error, which comes as a TwinError. ICECHUNK_LOG and a later `icechunk.set_logs_filter` hold.
    import icechunk

    if "ICECHUNK_LOG" not in os.environ:
        icechunk.set_logs_filter("off")


def configuration() -> Any:
    """How the engine lays out its files."""
    import icechunk as ice

    # One manifest for a thousand blocks along time: without the split every append rewrites the list of them all.
    split = ice.ManifestSplittingConfig.from_dict(
        {ice.ManifestSplitCondition.name_matches(".*"): {ice.ManifestSplitDimCondition.DimensionName("time"): 512}}
    )
    return ice.RepositoryConfig(manifest=ice.ManifestConfig(splitting=split))


def local(path: str | os.PathLike[str], *, anywhere: bool = False) -> Any:
    """The path of a store; with `anywhere`, also an address on an object store, as a `Remote`.

    Errors
    ------
    TwinError
        An address instead of a folder.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise TwinError(
            "the path of a store", found=f"a {type(path).__name__}", hint="give text or a pathlib.Path"
        ) from None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        found = "an empty text" if not text.strip() else f"{quoted(text)}, which no disk takes for a name"
        if not isinstance(text, str):
            found = "bytes"
        raise TwinError("the path of a folder", found=found, hint="write it like 'out/shimla.twin'")
    there = remote.address(text)
    if there is not None and anywhere:
        return there
    if "://" in text:
        hint = "this works on a store in a local folder" if there else "a folder, or an address like 's3://bucket/key'"
        raise TwinError("the path of a folder", found=quoted(text), hint=hint)
    try:
        root = pathlib.Path(text).expanduser().absolute()
        root.exists()
    except (OSError, ValueError, RuntimeError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise TwinError(
            "the path of a folder", found=f"{quoted(text)}: {reason}", hint="write it like 'out/shimla.twin'"
        ) from None
    return root


def located(path: str | os.PathLike[str], *, anywhere: bool = False) -> Any:
    """The folder of an existing store; with `anywhere`, also its address on an object store, as a `Remote`.

    Errors
    ------
    TwinError
        Nothing there, a file, an empty folder, a folder with something else, a store of a newer format.
    """
    root = local(path, anywhere=anywhere)
    if isinstance(root, remote.Remote):
        if not root.is_store():
            hint = "check the address; tk.save(twin, path, message=...) makes a store"
            raise TwinError("a stored twin", found="none at this address", hint=hint, where=str(root))
        return root
    if not root.exists():
        try:
            near = close_to(root.name, [p.name for p in root.parent.iterdir() if is_store(p)])
        except OSError:
            near = ""
        raise TwinError(
            "a stored twin",
            found="nothing at this path",
            hint=f"did you mean {near}?" if near else "tk.save(twin, path, message=...) makes one",
            where=str(root),
        )
    if not root.is_dir():
        raise TwinError("the folder of a stored twin", found="a file", hint=_other(root), where=str(root))
    if not (root / record.IDENTITY).is_file():
        inside = sorted(p.name for p in root.iterdir())
        found = (
            f"a folder with {', '.join(inside[:3])}{' ...' if len(inside) > 3 else ''}" if inside else "an empty folder"
        )
        if "refs" in inside and "snapshots" in inside:
            found = "an Icechunk repository that twinkit did not write"
        elif "zarr.json" in inside or ".zgroup" in inside:
            found = "a plain Zarr folder"
        raise TwinError("a stored twin", found=found, hint=_other(root), where=str(root))
    record.identity(root, newest=FORMAT)
    return root


def is_store(path: pathlib.Path) -> bool:
    """Whether the folder holds a stored twin, of whatever format."""
    return (path / record.IDENTITY).is_file()


def _other(root: pathlib.Path) -> str:
    if root.is_file():
        return "give the folder that tk.save made; tk.datasets reads other files"
    return "check the path; tk.save(twin, path, message=...) makes a store in a new folder"


def new(root: pathlib.Path) -> Any:
    """An empty repository in an existing folder."""
    import icechunk

    quiet()
    with engine(root):
        return icechunk.Repository.create(icechunk.local_filesystem_storage(str(root)), config=configuration())


def reader(root: Any) -> Any:
    """The repository of an existing store."""
    import icechunk

    quiet()
    with engine(root):
        there = isinstance(root, remote.Remote)
        storage = root.storage() if there else icechunk.local_filesystem_storage(str(root))
        return icechunk.Repository.open(storage, config=configuration())


def snapshot(repository: Any, root: Any, *, branch: str = "", tag: str = "") -> str:
    """The engine's id of the newest commit of a branch or of a tagged one.

    Errors
    ------
    TwinError
        No such branch or tag; close ones are offered.
    """
    word, name = ("tag", tag) if tag else ("branch", branch)
    with engine(root):
        known = repository.list_tags() if tag else repository.list_branches()
    if name not in known:
        near = close_to(name, known)
        some = ", ".join(sorted(known)[:5]) or "none yet"
        make = f"make it: tk.{word}(path, {quoted(name)})"
        raise TwinError(
            f"a {word} of this store ({some})",
            found=quoted(name),
            hint=f"did you mean {near}?" if near else make,
            where=str(root),
        )
    with engine(root):
        return str(repository.lookup_tag(name) if tag else repository.lookup_branch(name))


def row(info: Any) -> Row | None:
    """What a commit of the engine says of itself; None where twinkit did not make it."""
    said = info.metadata
    try:
        return Row(
            id=info.id,
            parent="" if info.parent_id in (None, ROOT) else info.parent_id,
            head=said["head"],
            when=dt.datetime.fromisoformat(said["when"]),
            message=info.message,
            author=said["author"],
            changed=list(said["changed"]),
        )
    except (KeyError, ValueError, TypeError):
        return None


def commits(repository: Any, root: pathlib.Path, start: str) -> list[Row]:
    """All commits from `start` back to the beginning, newest first: from the index, else from the history itself."""
    if start == ROOT:
        return []
    known = index.line(root, start)
    if known is not None:
        return known
    with engine(root):
        return [r for r in map(row, repository.ancestry(snapshot_id=start)) if r is not None]


def moment(text: str | dt.datetime | Any) -> dt.datetime:
    """A moment in UTC: text in ISO 8601, a datetime or a Timestamp; without a time zone it is UTC already.

    >>> moment("2026-03-01").isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    import pandas as pd

    try:
        when = pd.Timestamp(text)
    except (ValueError, TypeError):
        when = pd.NaT
    if when is pd.NaT:
        raise TwinError(
            "a moment such as '2026-03-01' or '2026-03-01T12:00'",
            found=repr(text),
            hint="write it in ISO 8601",
            where="as_of",
        )
    when = when.tz_localize("UTC") if when.tzinfo is None else when.tz_convert("UTC")
    return when.to_pydatetime(warn=False)  # type: ignore[no-any-return]


def resolve(
    repository: Any,
    root: pathlib.Path,
    *,
    branch: str = "main",
    tag: str | None = None,
    commit: str | None = None,
    as_of: Any = None,
) -> str:
    """The engine's id of one commit, named in whichever way.

    Errors
    ------
    TwinError
        No such branch, tag or commit, nothing that old, or two ways of naming it at once.
    """
    ways = [name for name, value in (("as_of", as_of), ("tag", tag), ("commit", commit)) if value is not None]
    if len(ways) > 1 or (branch != "main" and {"tag", "commit"} & set(ways)):
        raise TwinError(
            "one way to name a commit",
            found=" and ".join(ways + (["branch"] if branch != "main" else [])),
            hint="give as_of with a branch, or tag, or commit",
        )
    if tag is not None:
        return snapshot(repository, root, tag=tag)
    if commit is not None:
        return named(repository, root, commit).id
    start = snapshot(repository, root, branch=branch)
    if as_of is None:
        return start
    until = moment(as_of)
    found = index.line(root, start, until=until, most=1)
    if found is None:
        found = [r for r in commits(repository, root, start) if r.when <= until][:1]
    if not found:
        line = commits(repository, root, start)
        first = f"the first commit, of {line[-1].when:%Y-%m-%d %H:%M:%S} UTC" if line else "no commit at all"
        raise TwinError(
            f"a moment not before the first commit of '{branch}'",
            found=f"{until:%Y-%m-%d %H:%M:%S} UTC and {first}",
            hint="ask for a later moment; tk.history(path) shows them",
            where="as_of",
        )
    return found[0].id


def named(repository: Any, root: pathlib.Path, commit: str) -> Row:
    """The commit whose head or id starts with `commit`.

    Errors
    ------
    TwinError
        None, or more than one.
    """
    wanted = str(commit).rstrip("….")
    known = index.named(root, wanted) if len(wanted) >= 4 else None
    found: dict[str, Row] = {r.id: r for r in known or ()}
    if not found:
        for start in set(heads(repository, root).values()):
            for r in commits(repository, root, start):
                if r.head.startswith(wanted.lower()) or r.id == wanted:
                    found[r.id] = r
    if len(found) != 1 or len(wanted) < 4:
        raise TwinError(
            "the head of a commit, or at least its first four digits",
            found=f"{quoted(commit)}, which {f'{len(found)} commits share' if len(found) > 1 else 'no commit has'}",
            hint="tk.history(path) lists them",
            where=str(root),
        )
    return next(iter(found.values()))


def heads(repository: Any, root: Any) -> dict[str, str]:
    """Newest commit of every branch, and every tagged one: "branch.main" to the engine's id."""
    with engine(root):
        found = {f"branch.{b}": str(repository.lookup_branch(b)) for b in repository.list_branches()}
        found |= {f"tag.{t}": str(repository.lookup_tag(t)) for t in repository.list_tags()}
    return found
