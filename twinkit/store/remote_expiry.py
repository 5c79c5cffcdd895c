"""Expiry at an address, where nobody holds a lock and others write meanwhile.

Three things make it safe. Commits and objects that are younger than a day stay, by the object store's own clock, so
that nothing goes on which a writer is about to stand. The horizon says what will go before anything goes, and is
written only over the one that was read: of two expiries at once the later one goes on, and the other is told. Each
step may be done twice and leaves a store that `verify` can follow, so that one which was stopped is ended by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.store import check, commit, record, remote, repository
from twinkit.store.horizon import refuse, told_of

if TYPE_CHECKING:
    import datetime as dt

    from twinkit.store.index import Row
    from twinkit.store.remote import Remote

__all__ = ["expire"]


def expire(root: Remote, before: dt.datetime) -> list[Row]:
    """Let go of the contents of commits older than a moment and than a day; what branches and tags show stays.

    Objects that no commit needs go once they are older than a day: those of younger ones with a later call.

    Parameters
    ----------
    root : Remote
    before : datetime

    Returns
    -------
    list of Row
        The commits that expired.

    Errors
    ------
    TwinError
        A store in which something was altered; another expiry that began meanwhile.
    """
    root.names(record.IDENTITY)
    begun = root.now()
    settled = begun - remote.SETTLED
    limit = min(before, settled)
    # What is younger is not touched, so that a commit which is being made is none that was dropped.
    refuse(check.far(root, values=False, settled=settled))
    told, tag = root.told()
    shown = commit.history(repository.reader(root), root)
    rows = {i: r for i, r in ((i, repository.row(info)) for i, info in shown.items()) if r is not None}
    old = {i: r for i, r in rows.items() if r.when < limit}
    # The engine goes by the clock of whoever committed, which may have been behind that of the commit before.
    until = min([limit, *(shown[i].written_at for i in rows.keys() - old.keys())])
    # Newest commits are told as well: another one may follow them before the engine looks.
    told["commits"] |= told_of(old, shown)
    told["begun"] = begun.isoformat()
    told["under_way"] = sorted({*old, *told.get("under_way", ())})
    tag = _told(root, told, tag)
    try:
        repo = repository.reader(root)
        with repository.engine(root):
            repo.expire_snapshots(until)
            repo.garbage_collect(settled)
        stay = _tidied(root, told, tag, settled)
    except TwinError:
        # What the engine misses may have gone with another expiry, which is then what to tell.
        if root.told()[1] != tag:
            raise _later(root) from None
        raise
    return [r for i, r in old.items() if i not in stay]


def _told(root: Remote, told: dict[str, Any], tag: str) -> str:
    """Write the horizon over the one that was read, and give its new tag."""
    try:
        return root.put(record.HORIZON, remote.sealed(told), over=tag)
    except remote.Overtaken:
        raise _later(root) from None


def _later(root: Remote) -> TwinError:
    return TwinError(
        "one expiry at a time",
        found="another one that began meanwhile, and goes on",
        hint="tk.verify(path) says when it is done",
        where=str(root),
    )


def _tidied(root: Remote, told: dict[str, Any], tag: str, settled: dt.datetime) -> set[str]:
    """Bring the side records to what the engine has left, end the expiry, and give the commits that stay."""
    records = {}
    for name in sorted(root.names(f"{record.RECORDS}/")):
        found = _record(root, name)
        if found is not None:
            records[name.rpartition("/")[2].removesuffix(".json")] = found
    # After the records: who commits writes the record first.
    shown = commit.history(repository.reader(root), root)
    listed = root.listed()
    folders = tuple(f"{f}/" for f in record.FOLDERS)
    there = {n for n in listed if n.startswith(folders) or n == "config.yaml"}
    # The engine wrote them anew, to cut them off from their parents.
    cut = {f"snapshots/{c}" for c, info in shown.items() if info.parent_id == repository.ROOT}
    anew = root.digests(cut)
    gone = set()
    for c, (content, _) in records.items():
        if c in shown:
            continue
        written = listed.get(f"{record.RECORDS}/{c}.json", settled)
        # A young one may be that of a commit whose branch is about to move.
        if content["head"] in told["commits"] or written < settled:
            gone.add(c)
            # Later commits may still stand on files that an expired one brought.
            told["files"] |= content["files"]
    told["files"] = {name: anew.get(name, d) for name, d in told["files"].items() if name in there}
    tag = _told(root, told, tag)
    for c in sorted(set(records) - gone):
        _trimmed(root, f"{record.RECORDS}/{c}.json", *records[c], there, anew)
    for c in sorted(gone):
        root.remove(f"{record.RECORDS}/{c}.json")
    del told["under_way"]
    _told(root, told, tag)
    return set(shown)


def _record(root: Remote, name: str) -> tuple[dict[str, Any], str] | None:
    """A side record and its tag; None where it has just gone, with a commit that was overtaken or expired."""
    try:
        data, tag = root.tagged(name)
    except FileNotFoundError:
        return None
    content = remote.intact(data)
    if content is None:
        raise TwinError(
            "a store in which nothing was altered", found=f"{name} was altered", hint="tk.verify(path)", where=str(root)
        )
    return content, tag


def _trimmed(root: Remote, name: str, content: dict[str, Any], tag: str, there: set[str], anew: dict[str, str]) -> None:
    """Have a side record say what there is of its commit's files."""
    while True:
        files = {n: anew.get(n, d) for n, d in content["files"].items() if n in there}
        if files == content["files"]:
            return
        try:
            root.put(name, remote.sealed({**content, "files": files}), over=tag)
        except remote.Overtaken:
            found = _record(root, name)
            if found is None:
                return
            content, tag = found
        else:
            return
