"""Writing a store: commits, branches, tags, and letting go of what is old."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import xarray as xr

from twinkit.error import TwinError, close_to
from twinkit.store import blocks, lock, record, remote, repository, seen, tree
from twinkit.store import commit as _commit
from twinkit.store import horizon as _horizon
from twinkit.store import name as _fit
from twinkit.store.compact import kept_from
from twinkit.store.read import Commit, History, public
from twinkit.store.shown import quoted

if TYPE_CHECKING:
    import pathlib

    from twinkit.store.index import Row
    from twinkit.store.read import Path

__all__ = ["append", "author_of", "branch", "committed", "expire", "save", "tag"]


def author_of(author: str | None) -> str:
    """Who commits: as given, else ``TWINKIT_AUTHOR`` or the name of the user."""
    if author is not None:
        return _commit.check_text(author, "author")
    try:
        return os.environ.get("TWINKIT_AUTHOR") or getpass.getuser()
    except (KeyError, OSError):  # a user number without a name, as in a container
        return "unknown"


def save(
    twin: xr.DataTree,
    path: Path,
    *,
    message: str,
    branch: str = "main",
    author: str | None = None,
    start: str | None = None,
) -> Commit:
    """Commit a twin: it becomes the newest state of a branch, and the states before it stay.

    Only arrays that differ from the stored ones are written; lazy ones are computed block by block, those that were
    opened from this store and left alone are not even read.

    Parameters
    ----------
    twin : DataTree
    path : str or Path
        Folder of the store; made if there is none.
    message : str
        Why. It is read long after.
    branch : str
        An existing branch; see `branch`. With `start` a new one, which begins with this commit: where the save fails,
        there is no branch.
    author : str, optional
        Who; left out, ``TWINKIT_AUTHOR`` or the name of the user.
    start : str, optional
        Branch, tag or head upon which the first commit of a new branch is made.

    Returns
    -------
    Commit
        Its ``head`` is worth keeping elsewhere. Where nothing differs from the newest commit, no new one is made and
        `message` is not kept: the newest commit comes back with a ``note`` that says so.

    Errors
    ------
    TwinError
        No twin, a value or attribute that cannot be stored, another writer at work, a full disk, a branch or a newest
        commit that does not match its seal and its record; with `start`, as `branch`. The store is then as it was.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> done = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> done.changed, len(done.head)
    (['/'], 64)
    """
    from twinkit.twin import validate

    validate(twin)
    _commit.check_text(message, "message")
    author = author_of(author)
    root = (repository.local if start is None else repository.located)(path, anywhere=True)

    def change(group: Any, said: dict[str, Any]) -> Any:
        return tree.write(group, twin, said, kept=seen.kept(group, root, twin))

    with blocks.given_back():
        if isinstance(root, remote.Remote):
            if root.is_store():
                return committed(root, branch, message, author, change, act="save", start=start)
            return public(remote.first(root, message, author, change))
        if not repository.is_store(root):
            return _first(root, branch, message, author, change)
        repository.located(root)
        return committed(root, branch, message, author, change, act="save", start=start)


def append(
    path: Path,
    node: str,
    data: xr.Dataset,
    *,
    message: str,
    dim: str = "time",
    branch: str = "main",
    author: str | None = None,
) -> Commit:
    """Commit more of a node along one dim: what is stored already is neither read nor written again.

    The first append to a node that the twin lacks makes it, and its length becomes that of a stored block. Appends of
    that length, or of a multiple, write whole blocks; others rewrite the last one. Collect small readings first.

    Parameters
    ----------
    path : str or Path
        Folder of an existing store.
    node : str
        ``"telemetry"``, for example.
    data : Dataset
        The same variables and the same ids as stored; values along `dim` that come after the stored ones.
    message : str
    dim : str
        First dim of the variables that grow.
    branch : str
    author : str, optional

    Returns
    -------
    Commit

    Errors
    ------
    TwinError
        Other variables, types or ids than stored, values along `dim` that do not come after, and as `save`.

    Examples
    --------
    >>> import tempfile, numpy as np, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> _ = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> hour = np.datetime64("2026-03-01", "ns") + np.arange(60) * np.timedelta64(1, "m")
    >>> load = xr.Dataset({"load": (("time", "cell"), np.full((60, 1), 0.5))}, {"time": hour, "cell": ["a"]})
    >>> for h in range(2):
    ...     later = load.assign_coords(time=load.time + np.timedelta64(h, "h"))
    ...     _ = tk.store.append(path, "telemetry", later, message=f"hour {h}")
    >>> tk.open(path)["telemetry/load"].sizes["time"]
    120
    """
    from twinkit.twin import extend, validate

    if not isinstance(data, xr.Dataset):
        raise TwinError("a Dataset", found=f"a {type(data).__name__}", hint="array.to_dataset(name=...)", where=node)
    _commit.check_text(message, "message")
    author = author_of(author)
    root = repository.located(path, anywhere=True)

    def change(group: Any, said: dict[str, Any]) -> Any:
        seen.refuse(group, root, node)
        bare = xr.Dataset(attrs=dict(group.attrs))
        if node not in said["nodes"]:
            new = validate(extend(xr.DataTree(bare), **{node: data})).children[node]
            return tree.add(group, node, new.to_dataset(inherit=False), said)
        validate(xr.DataTree.from_dict({"/": bare, node: data}))
        nodes, values = tree.append(group, node, data, said, dim=dim)
        return ({node} if data.sizes[dim] else set(), nodes, values)

    with blocks.given_back():
        return committed(root, branch, message, author, change, act="append")


def committed(
    root: Any, branch: str, message: str, author: str, change: Any, *, act: str, start: str | None = None
) -> Commit:
    """Commit what `change` does to the stored tree of a branch; it gives what changed and digests."""
    import zarr

    begins = "" if start is None else _begin(root, branch, start)
    if isinstance(root, remote.Remote):
        made, new = remote.committed(root, branch, message, author, change, begins=begins)
        return public(made) if new else _unchanged(made, message)
    mark = {"act": "begin", "parent": begins} if begins else {"act": act}
    with _commit.changing(root, reference=f"branch.{branch}", **mark) as repo:
        at = begins or repository.snapshot(repo, root, branch=branch)
        info = repo.lookup_snapshot(at)
        before = record.engine_files(root)
        if begins:
            session = _commit.upon(repo, repository.heads(repo, root), at, branch)
        else:
            session = repo.writable_session(branch)
        group = zarr.open_group(session.store, mode="a", zarr_format=3)
        changed, nodes, values = change(group, info.metadata)
        row = repository.row(info)
        if row is not None and not changed:
            if begins:
                repo.create_branch(branch, at)
                _commit.settle(root, [f"refs/branch.{branch}/ref.json"])
            return _unchanged(row, message)
        row = _commit.commit(
            root,
            repo,
            session,
            branch=branch,
            message=message,
            author=author,
            changed=changed,
            nodes=nodes,
            values=values,
            before=before,
            begins=bool(begins),
        )
    return public(row)


def _begin(root: Any, branch: str, start: str) -> str:
    """The engine's id of the commit upon which a new branch is to begin."""
    _fit.fit(branch, "branch")
    repo = repository.reader(root)
    heads = repository.heads(repo, root)
    _fit.free(branch, "branch", heads, where=str(root))
    return _start(repo, root, heads, start)


def _unchanged(row: Row, message: str) -> Commit:
    unused = "" if message == row.message else f", and the message {quoted(message)} is not kept"
    return replace(public(row), note=f"nothing differs from this commit: no new one was made{unused}")


def _first(root: pathlib.Path, branch: str, message: str, author: str, change: Any) -> Commit:
    """The first commit, made in a folder beside and moved into place whole: nothing else is ever seen."""
    if branch != "main":
        raise TwinError(
            "the branch 'main' in a new store",
            found=quoted(branch),
            hint="save without branch, then tk.branch(path, name)",
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        repository.located(root)
    draft = root.with_name(f".{root.name}.{uuid.uuid4().hex[:8]}.draft")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        (draft / "twinkit" / "records").mkdir(parents=True)
    except OSError as fault:
        raise TwinError(
            "a folder that can be written",
            found=fault.strerror or str(fault),
            hint="choose a folder of yours",
            where=str(root.parent),
        ) from None
    try:
        with repository.engine(root):
            repository.new(draft)
            _commit.keep(draft, repository.ROOT, head="", parent="", files=record.engine_files(draft) | {"config.yaml"})
            record.seal(draft)
            made = committed(draft, branch, message, author, change, act="save")
            record.write(draft / record.IDENTITY, {"engine": "icechunk 1", "format": repository.FORMAT})
            _into_place(draft, root)
    except TwinError as fault:
        # The draft is nothing that the user knows, or could find afterwards.
        said = {k: getattr(fault, k).replace(str(draft), str(root)) for k in ("expected", "found", "hint", "where")}
        shutil.rmtree(draft, ignore_errors=True)
        raise TwinError(**said) from None
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return made


def _into_place(draft: pathlib.Path, root: pathlib.Path) -> None:
    if repository.is_store(root):
        raise TwinError(
            "one writer at a time",
            found="another one made a store here meanwhile",
            hint="look at it with tk.history(path), then save again",
            where=str(root),
        )
    if root.exists():
        root.rmdir()
    draft.rename(root)


def _sweep(root: pathlib.Path) -> None:
    """Take away what first saves left behind that were killed an hour ago or more."""
    for draft in root.parent.glob(f".{root.name}.*.draft"):
        with contextlib.suppress(TwinError, OSError):
            if time.time() - (draft / "twinkit").stat().st_mtime > 3600:
                with lock.hold(draft):
                    shutil.rmtree(draft, ignore_errors=True)


def branch(path: Path, name: str, *, start: str | None = None) -> Commit:
    """A what-if that is kept: a second line of commits that starts at an existing one.

    Parameters
    ----------
    path : str or Path
    name : str
        Letters, digits, dots, hyphens and underscores, e.g. ``"what-if.no-diesel"``; no hyphen at the front, no name
        of a tag, and none that Git or Windows keep for themselves ("HEAD", "con").
    start : str, optional
        Branch, tag or head at which it starts; left out, the newest commit of ``main``.

    Returns
    -------
    Commit
        The one at which it starts.

    Errors
    ------
    TwinError
        The name is taken or unfit; no such start; another writer at work.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> _ = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> _ = tk.branch(path, "what-if.no-diesel")
    >>> sorted(tk.store.branches(path))
    ['main', 'what-if.no-diesel']
    """
    return _name(path, name, start, "branch")


def tag(path: Path, name: str, *, start: str | None = None) -> Commit:
    """A lasting name for one commit, such as ``"paper-2026"``; it cannot be moved.

    Parameters
    ----------
    path : str or Path
    name : str
    start : str, optional
        Branch, tag or head that it names; left out, the newest commit of ``main``.

    Errors
    ------
    TwinError
        As `branch`.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> done = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> tk.tag(path, "paper-2026").head == tk.store.tags(path)["paper-2026"] == done.head
    True
    """
    return _name(path, name, start, "tag")


def _name(path: Path, name: str, start: str | None, word: str) -> Commit:
    _fit.fit(name, word)
    root = repository.located(path, anywhere=True)
    if isinstance(root, remote.Remote):
        return public(_named_far(root, name, start, word))
    with _commit.changing(root, act=word, reference=f"{word}.{name}") as repo:
        heads = repository.heads(repo, root)
        _fit.free(name, word, heads, where=str(root))
        at = _start(repo, root, heads, start)
        row = repository.row(repo.lookup_snapshot(at))
        if row is None:
            raise TwinError("a commit that twinkit made", found=at, hint="save first", where=str(root))
        _commit.vouched(root, repo, at)
        (repo.create_tag if word == "tag" else repo.create_branch)(name, at)
        _commit.settle(root, [f"refs/{word}.{name}/ref.json"])
    return public(row)


def _named_far(root: remote.Remote, name: str, start: str | None, word: str) -> Row:
    """The same at an address, where nobody holds a lock: the object store itself refuses a name that is taken."""
    repo = repository.reader(root)
    heads = repository.heads(repo, root)
    _fit.free(name, word, heads, where=str(root))
    at = _start(repo, root, heads, start)
    with repository.engine(root):
        row = repository.row(repo.lookup_snapshot(at))
        if row is None:
            raise TwinError("a commit that twinkit made", found=at, hint="save first", where=str(root))
    remote.named(repo, root, word, name, at, upon=at)
    return row


def _start(repo: Any, root: Any, heads: dict[str, str], start: str | None) -> str:
    if start is None:
        return repository.snapshot(repo, root, branch="main")
    for word in ("branch", "tag"):
        if f"{word}.{start}" in heads:
            return heads[f"{word}.{start}"]
    try:
        return repository.named(repo, root, start).id
    except TwinError:
        near = close_to(start, [n.partition(".")[2] for n in heads])
        raise TwinError(
            "a branch, a tag or a head of this store",
            found=quoted(start),
            hint=f"did you mean {near}?" if near else "tk.history(path) and tk.store.branches(path) list them",
            where="start",
        ) from None


def expire(path: Path, *, before: Any = None, keep: Any = None) -> History:
    """Let go of the contents of commits older than a moment, to win back the space that they take.

    What branches and tags show stays: tag what must. What the expired commits said of themselves is kept behind a
    horizon, so that `verify` follows the chain of heads through it.

    At an address (``s3://...``) others write meanwhile, and nobody is stopped: commits and files that are younger than
    a day stay as well, and go with a later call. One that was stopped is ended by the next; of two at once the later
    one goes on, and the other raises.

    Parameters
    ----------
    path : str or Path
        Folder or address of a store.
    before : str, datetime or Timestamp, optional
        UTC unless it says otherwise.
    keep : str or timedelta, optional
        Instead of `before`: how far back ``tk.open(path, as_of=...)`` must go on working, e.g. ``"30 days"``. The
        commit that stood at that moment stays too.

    Returns
    -------
    History
        The commits that expired, newest first.

    Errors
    ------
    TwinError
        A store in which something was altered, another writer at work (at an address another expiry).

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> for title in ("one mast", "two masts"):
    ...     done = tk.save(tk.assemble({}, title=title, crs="EPSG:32643"), path, message=title)
    >>> [c.message for c in tk.store.expire(path, before=done.when)]
    ['one mast']
    >>> bool(tk.verify(path, head=done.head)), len(tk.history(path))
    (True, 1)
    """
    if (before is None) == (keep is None):
        raise TwinError("either before or keep", found="both" if keep is not None else "neither", hint="keep='30 days'")
    moment = before if keep is None else kept_from(repository.located(path, anywhere=True), keep)
    return History(map(public, _horizon.expire(path, before=moment)))
