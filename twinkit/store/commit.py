"""A change of the store, from the lock to the seal, and the tidying after one that was cut short.

The order is what keeps the store whole. New files are written beside the old ones and flushed into a commit that no
branch shows yet; its side record is written; only then does the branch move, in one atomic replacement of one small
file. Whatever stops the writer before that leaves files that nobody refers to; after it, a commit that is complete.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.store import array, blocks, digest, index, lock, record, repository, tree
from twinkit.store import name as _fit
from twinkit.store.index import Row

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future

__all__ = [
    "changing",
    "check_text",
    "commit",
    "content_faults",
    "group_faults",
    "history",
    "keep",
    "recover",
    "sealed",
    "settle",
    "upon",
    "vouched",
]


# ---------------------------------------------------------------- commits


@contextlib.contextmanager
def changing(root: pathlib.Path, **what: str) -> Iterator[Any]:
    """Hold the lock of a store for one change, and leave it sealed: as it was, if the change fails.

    Parameters
    ----------
    root : Path
    **what : str
        For the mark: the act, the reference that moves ("branch.main"), the parent of a commit that begins a branch.

    Errors
    ------
    TwinError
        Another writer; a branch to begin that there is already; a reference that does not stand where it was sealed, or
        on a commit that its record does not vouch for: a change would seal anew what `verify` must still find.
    """
    with lock.hold(root):
        recover(root)
        sealed(root, what["reference"])
        repo = repository.reader(root)
        if "parent" in what:
            word, _, begun = what["reference"].partition(".")
            _fit.free(begun, word, record.references(root), where=str(root))
        at = what.get("parent") or _reference(root, what["reference"])
        if at:
            vouched(root, repo, at)
        lock.begin(root, **{"parent": at, **what})
        try:
            with repository.engine(root):
                yield repo
                record.seal(root, what["reference"])
                lock.finish(root)
        except BaseException:
            # Also for an interrupt from the keyboard: tidy up what nobody refers to.
            with contextlib.suppress(Exception):
                recover(root)
            raise


def sealed(root: pathlib.Path, reference: str) -> None:
    """Whether a branch or tag stands where it was sealed; it reads three small files."""
    word, _, name = reference.partition(".")
    now = record.references(root).get(reference)
    try:
        sealed = record.read(root / record.SEAL)
        was, horizon = sealed["references"].get(reference), sealed["horizon"]
    except FileNotFoundError:
        raise _altered(root, f"{record.SEAL} is missing") from None
    except (record.Damaged, KeyError, AttributeError):
        raise _altered(root, f"{record.SEAL} was altered") from None
    if now != was:
        raise _altered(
            root,
            f"refs/{reference}/ref.json {'is missing' if now is None else 'was altered'}: the {word} '{name}' was "
            f"sealed at {f'commit {was}' if was else 'no commit'} and stands at {f'commit {now}' if now else 'none'}",
        )
    if horizon != record.file_digests(root, [record.HORIZON])[record.HORIZON]:
        raise _altered(root, f"{record.HORIZON} {'was altered' if horizon else 'was added'}")


def vouched(root: pathlib.Path, repo: Any, commit_id: str) -> None:
    """Whether a commit is the one that its record knows: its head, and the file that the engine keeps of it.

    Errors
    ------
    TwinError
        Says which of the three does not match; the values themselves are for `verify`.
    """
    name = record.record_path(root, commit_id).relative_to(root).as_posix()
    try:
        told = record.read(root / name)
        head, files, of = told["head"], told["files"], told["commit"]
    except FileNotFoundError:
        raise _altered(root, f"{name} is missing") from None
    except (record.Damaged, KeyError):
        raise _altered(root, f"{name} was altered") from None
    if of != commit_id:
        raise _altered(root, f"{name} is the record of another commit")
    own = f"snapshots/{commit_id}"
    if files.get(own) != record.file_digests(root, [own])[own]:
        raise _altered(root, f"{own} was altered or is missing")
    if commit_id == repository.ROOT:
        return
    with repository.engine(root):
        info = repo.lookup_snapshot(commit_id)
    row = repository.row(info)
    if row is None:
        raise _altered(root, f"commit {commit_id} was not made by twinkit")
    said = {k: info.metadata[k] for k in ("changed", "content", "parent", "when")}
    if row.head != head or digest.head(message=row.message, author=row.author, **said) != head:
        raise _altered(root, f"commit {commit_id} was rewritten: its record knows the head {head[:12]}")


def _altered(root: pathlib.Path, found: str) -> TwinError:
    return TwinError(
        "a store that is as its last change left it",
        found=found,
        hint="tk.verify(path) names all that is wrong; restore it from a copy of the store, and save then",
        where=str(root),
    )


def commit(
    root: pathlib.Path,
    repo: Any,
    session: Any,
    *,
    branch: str,
    message: str,
    author: str,
    changed: Iterable[str],
    nodes: dict[str, str],
    values: dict[str, list[str]],
    before: set[str],
    begins: bool = False,
) -> Row:
    """Make what a session wrote a commit: record first, then the branch, which may begin with it."""
    parent_id = session.snapshot_id
    parent = repository.row(repo.lookup_snapshot(parent_id)) if parent_id != repository.ROOT else None
    when = dt.datetime.now(dt.UTC)
    if parent is not None and when <= parent.when:
        # A clock that was set back must not put a commit before its parent, or as_of would lose the way.
        when = parent.when + dt.timedelta(microseconds=1)
    said: dict[str, Any] = {
        "author": author,
        "changed": sorted(changed),
        "content": digest.of(nodes),
        "parent": parent.head if parent else "",
        "when": when.isoformat(),
    }
    head = digest.head(message=message, **said)
    # While the engine flushes, the blocks are hashed and on their way to the disk.
    blocks = record.engine_files(root, "chunks") - before
    early, settling = record.hashing(root, blocks), record.settling(root, blocks)
    new = session.flush(message, {**said, "format": repository.FORMAT, "head": head, "nodes": nodes, "values": values})
    # No block is written by the flush, and their folder is the one that grows.
    rest = record.engine_files(root, *(f for f in record.FOLDERS if f != "chunks")) - before
    keep(root, new, head=head, parent=parent_id, files=blocks | rest, early=early)
    for settled in settling:
        settled.result()
    if begins:
        repo.create_branch(branch, new)
    else:
        repo.reset_branch(branch, new, from_snapshot_id=parent_id)
    settle(root, [f"refs/branch.{branch}/ref.json"])
    row = Row(new, "" if parent is None else parent_id, head, when, message, author, said["changed"])
    if index.sealed(root):
        index.add(root, [row])
    else:
        # Nothing is built on an index that is missing or was altered.
        index.rebuild(root, [r for r in map(repository.row, history(repo, root).values()) if r is not None])
    return row


def upon(repo: Any, heads: Mapping[str, str], at: str, begun: str) -> Any:
    """A session that writes upon a commit, for a branch that begins with what it writes.

    The engine opens one on a branch alone. Where none stands at the commit, the new one does for that moment, and is
    gone before anything is written.
    """
    for reference, stands in heads.items():
        word, _, holder = reference.partition(".")
        if word == "branch" and stands == at:
            session = repo.writable_session(holder)
            if session.snapshot_id == at:
                return session
    repo.create_branch(begun, at)
    try:
        return repo.writable_session(begun)
    finally:
        repo.delete_branch(begun)


def keep(
    root: pathlib.Path,
    commit_id: str,
    *,
    head: str,
    parent: str,
    files: set[str],
    early: Mapping[str, Future[str]] | None = None,
) -> None:
    """Write the side record of a commit, and have it and the commit's files on the disk before going on.

    Those that are hashed `early` are settled by the caller.
    """
    late = files - set(early or ())
    under_way = {**(early or {}), **record.hashing(root, late)}
    digests = {name: under_way[name].result() for name in sorted(files)}
    content = {"commit": commit_id, "files": digests, "head": head, "parent": parent}
    path = record.record_path(root, commit_id)
    record.write(path, content, durable=False)
    settle(root, [*late, path.relative_to(root).as_posix()])


def settle(root: pathlib.Path, names: Iterable[str]) -> None:
    """Have files on the disk before going on."""
    for settled in record.settling(root, names):
        settled.result()


def _reference(root: pathlib.Path, name: str) -> str:
    return record.references(root).get(name, "")


# ---------------------------------------------------------------- after an interruption


def recover(root: pathlib.Path) -> bool:
    """Tidy up after a writer that was stopped; nothing is done where none was. The lock is held.

    A commit that a branch shows stays, and gets its side record if that is missing and its values are those that it
    says. Files of a commit that no branch shows are taken away, unless a record that could claim them is damaged.

    Returns
    -------
    bool
        Whether there was something to tidy.
    """
    mark = lock.interrupted(root)
    if mark is None:
        return False
    if not mark:
        raise TwinError(
            "the mark of an interrupted save as it was left",
            found=f"{lock.MARK} was altered",
            hint=f"run tk.verify(path); if it finds nothing else, take {lock.MARK} away and save again",
            where=str(root),
        )
    if mark.get("act") == "expire":
        from twinkit.store import horizon

        horizon.finish(root, dt.datetime.fromisoformat(mark["before"]))
        return True
    repo = repository.reader(root)
    shown = history(repo, root)
    moved = [str(mark.get("reference", ""))] if mark.get("act") != "lost" else _one_ahead(root)
    if mark.get("act") == "begin" and _reference(root, moved[0]) == mark["parent"]:
        repo.delete_branch(moved[0].partition(".")[2])  # of `upon`: nothing was committed to it
    for at in {_reference(root, name) for name in moved} & set(shown):
        if not record.record_path(root, at).exists():
            _complete(root, repo, at)
    records, _, altered = record.listed(root)
    for commit_id in [c for c, r in records.items() if c not in shown and r["parent"] == mark.get("parent")]:
        records.pop(commit_id)
        record.record_path(root, commit_id).unlink(missing_ok=True)
    if not altered and set(shown) <= set(records):
        for name in record.engine_files(root) - set(record.listed(root)[1]):
            (root / name).unlink(missing_ok=True)
    for path in (root / "twinkit").rglob(".*.tmp"):
        path.unlink(missing_ok=True)
    index.rebuild(root, [r for r in map(repository.row, shown.values()) if r is not None])
    # A branch that stands elsewhere than one commit on was not moved by the writer that was stopped.
    record.seal(root, *(n for n in moved if n in _one_ahead(root) or n not in _stood(root)))
    lock.finish(root)
    return True


def _one_ahead(root: pathlib.Path) -> list[str]:
    """Branches that stand one recorded commit after where they were sealed: what a change can have come to."""
    sealed = _stood(root)
    records = record.listed(root)[0]
    now = record.references(root)
    return [n for n, at in now.items() if n in sealed and at in records and records[at]["parent"] == sealed[n]]


def _stood(root: pathlib.Path) -> dict[str, str]:
    """Where the last seal says that branches and tags stand; nothing where it was lost."""
    try:
        return dict(record.read(root / record.SEAL)["references"])
    except (FileNotFoundError, record.Damaged):
        return {}


def history(repo: Any, root: Any) -> dict[str, Any]:
    """Every commit that a branch or tag shows, from the engine itself, the empty beginning included."""
    found: dict[str, Any] = {}
    with repository.engine(root):
        for start in set(repository.heads(repo, root).values()):
            for info in repo.ancestry(snapshot_id=start):
                if info.id in found:
                    break
                found[info.id] = info
    return found


def _complete(root: pathlib.Path, repo: Any, commit_id: str) -> None:
    """Write the side record that a crash missed, if the commit's values are those that it says."""
    info = repo.lookup_snapshot(commit_id)
    row = repository.row(info)
    if row is None or content_faults(repo, info):
        return
    _, listed, altered = record.listed(root)
    if altered:
        return
    keep(root, commit_id, head=row.head, parent=info.parent_id, files=record.engine_files(root) - set(listed))


def content_faults(repo: Any, info: Any) -> list[str]:
    """What a commit says of its values and does not hold, read from the values themselves.

    Returns
    -------
    list of str
        One line for each array or node; none when all is as it was committed.
    """
    import zarr

    return group_faults(zarr.open_group(repo.readonly_session(snapshot_id=info.id).store, mode="r"), info.metadata)


def group_faults(group: Any, said: Mapping[str, Any]) -> list[str]:
    """The same for a Zarr hierarchy, wherever it lies, and what a commit said of it."""
    faults = []
    stored = tree.hierarchy(group)
    for node, (attrs, arrays) in stored.items():
        description = {}
        for name, held in arrays.items():
            where = f"{node}/{name}"
            p = tree.stored_plan(held)
            p.data = array.Raw(held, where)
            try:
                values = blocks.values_digest(p)
            except TwinError as fault:
                faults.append(f"{where} cannot be read: {fault.found}")
                values = said["values"].get(where, [""])
            if values != said["values"].get(where):
                faults.append(f"the values of {where} are not those that were committed")
            description[name] = tree.describe(p, values)
        if tree.node_digest(attrs, description) != said["nodes"].get(node):
            faults.append(f"{node} is not as it was committed")
    faults += [f"{node} is missing" for node in said["nodes"] if node not in stored]
    if digest.of(said["nodes"]) != said["content"]:
        faults.append("the digests of the nodes do not add up to that of the content")
    return faults


def check_text(value: object, word: str) -> str:
    """A message or an author: one line or more of text.

    Errors
    ------
    TwinError
        Not text, or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise TwinError(
            f"a {word} in words", found=repr(value), hint="say why, e.g. message='two new sites'", where=word
        )
    return value
