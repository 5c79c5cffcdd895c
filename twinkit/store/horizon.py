"""Expiry: letting go of the contents of old commits, and keeping the proof that they were there.

The horizon is a file with what every expired commit said of itself: who, when, why, and the digests. The chain of
heads can still be followed through it to the very first commit; only the values behind it are gone.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.store import check, commit, index, lock, record, remote, repository

if TYPE_CHECKING:
    import os
    import pathlib

    from twinkit.store.index import Row

__all__ = ["expire", "finish", "refuse", "told_of"]


def expire(path: str | os.PathLike[str], *, before: Any) -> list[Row]:
    """Let go of the contents of commits older than a moment; what branches and tags show stays.

    Parameters
    ----------
    path : str or Path
    before : str, datetime or Timestamp
        UTC unless it says otherwise. Tag what must stay.

    Returns
    -------
    list of Row
        The commits that expired.

    Errors
    ------
    TwinError
        A store in which something was altered: what is wrong must not be made good by forgetting. Another writer.
    """
    until = repository.moment(before)
    root = repository.located(path, anywhere=True)
    if isinstance(root, remote.Remote):
        from twinkit.store import remote_expiry

        return remote_expiry.expire(root, until)
    with lock.hold(root):
        commit.recover(root)
        refuse(check.checked(root, values=False))
        repo = repository.reader(root)
        shown = commit.history(repo, root)
        old = {i: r for i, r in ((i, repository.row(x)) for i, x in shown.items()) if r is not None and r.when < until}
        kept = set(record.references(root).values())
        if set(old) <= kept:
            return []
        lock.begin(root, act="expire", before=until.isoformat(), parent="", reference="")
        told = record.horizon(root)
        told["commits"] |= told_of(old, shown)
        record.write(root / record.HORIZON, told)
        finish(root, until)
        return [r for i, r in old.items() if not record.record_path(root, i).exists()]


def refuse(found: check.Verification) -> None:
    """Raise where something is wrong: it must not be made good by forgetting."""
    if found.faults:
        raise TwinError(
            "a store in which nothing was altered",
            found=found.faults[0],
            hint="tk.verify(path) names all that is wrong; put it right first",
            where=found.path,
        )


def told_of(old: dict[str, Row], shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What commits said of themselves, by their heads: enough to follow the chain through them."""
    said = {i: shown[i].metadata for i in old}
    return {
        r.head: {
            "author": r.author,
            "changed": r.changed,
            "content": said[i]["content"],
            "message": r.message,
            "parent": said[i]["parent"],
            "when": said[i]["when"],
        }
        for i, r in old.items()
    }


def finish(root: pathlib.Path, until: dt.datetime) -> None:
    """Do what the mark of an expiry says, from wherever it was stopped. The lock is held, the horizon is written."""
    repo = repository.reader(root)
    with repository.engine(root):
        repo.expire_snapshots(until)
        # Nobody else writes, so that everything which no commit needs may go, however new it is.
        repo.garbage_collect(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
        shown = commit.history(repo, root)
    told = record.horizon(root)
    there = record.engine_files(root) | {"config.yaml"}
    # What outlived its commit may go with a later one.
    gone = told["files"].keys() - there
    if gone:
        told["files"] = {name: d for name, d in told["files"].items() if name in there}
        record.write(root / record.HORIZON, told)
    for commit_id, path in record.records(root).items():
        content = record.read(path)
        files = {name: d for name, d in content["files"].items() if name in there}
        if commit_id not in shown:
            # Later commits may still stand on files that an expired one brought.
            told["files"] |= files
            record.write(root / record.HORIZON, told)
            path.unlink()
            continue
        own = f"snapshots/{commit_id}"
        if own in files and shown[commit_id].parent_id == repository.ROOT:
            # The engine wrote it anew, to cut it off from its parent.
            files |= record.file_digests(root, [own])
        if files != content["files"]:
            record.write(path, {**content, "files": files})
    index.rebuild(root, [r for r in map(repository.row, shown.values()) if r is not None])
    record.seal(root)
    lock.finish(root)
