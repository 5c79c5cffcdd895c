"""Side records: the SHA-256 of every file that a commit brought, and the seal over what changes in place.

A record is written once, before its commit becomes visible, and never changed. The seal is rewritten with every
change: it holds where the branches and tags stood and the digest of the index. Both carry the digest of their own
text, so that a flipped byte in them shows too.
"""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.store import digest
from twinkit.store.lock import put

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable

__all__ = [
    "FOLDERS",
    "Damaged",
    "engine_files",
    "file_digests",
    "hashing",
    "read",
    "references",
    "seal",
    "settling",
    "workers",
    "write",
]

FOLDERS = ("snapshots", "transactions", "manifests", "chunks")
"""Folders of the engine whose files are written once."""

RECORDS = "twinkit/records"
SEAL = "twinkit/seal.json"
IDENTITY = "twinkit/store.json"
HORIZON = "twinkit/horizon.json"
INDEX = "twinkit/index.sqlite"
SEALED = {"horizon": HORIZON, "index": INDEX}
"""Files that change in place, and where the seal holds their digests; "" for one that there is not."""


class Damaged(Exception):  # noqa: N818 - a finding of verify, never raised at a user
    """A file of the store that does not say what it said when it was written."""


def write(path: pathlib.Path, content: dict[str, Any], *, durable: bool = True) -> None:
    """Write a JSON file that carries the digest of its own content."""
    put(path, digest.canonical({**content, "sha256": digest.of(content)}), durable=durable)


def read(path: pathlib.Path) -> dict[str, Any]:
    """The content of a file that `write` wrote.

    Errors
    ------
    FileNotFoundError
        No such file.
    Damaged
        Not byte for byte what was written.
    """
    data = path.read_bytes()
    try:
        content = json.loads(data)
        said = content.pop("sha256")
        intact = data == digest.canonical({**content, "sha256": said}) and said == digest.of(content)
    except (ValueError, KeyError, AttributeError, TypeError):
        intact = False
    if not intact:
        raise Damaged(f"{path.name} was altered")
    return content  # type: ignore[no-any-return]


def record_path(root: pathlib.Path, commit: str) -> pathlib.Path:
    return root / RECORDS / f"{commit}.json"


def records(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Commit to the path of its record."""
    return {p.stem: p for p in (root / RECORDS).glob("*.json")}


def horizon(root: pathlib.Path) -> dict[str, Any]:
    """What expired: head to what the commit said of itself, and the files that outlived theirs.

    Errors
    ------
    Damaged
        The file was altered.
    """
    try:
        return read(root / HORIZON)
    except FileNotFoundError:
        return {"commits": {}, "files": {}}


def listed(root: pathlib.Path) -> tuple[dict[str, dict[str, Any]], dict[str, str], list[str]]:
    """All records, all files with their digests, and the records that were altered."""
    found: dict[str, dict[str, Any]] = {}
    files: dict[str, str] = {}
    altered = []
    try:
        files |= horizon(root)["files"]
    except Damaged:
        altered.append(HORIZON)
    for commit_id, path in sorted(records(root).items()):
        try:
            found[commit_id] = read(path)
        except Damaged:
            altered.append(f"{RECORDS}/{path.name}")
            continue
        files |= found[commit_id]["files"]
    return found, files, altered


def engine_files(root: pathlib.Path, *folders: str) -> set[str]:
    """Every file that the engine writes once, as a path below the root; only those of some `folders`, if named."""
    found: set[str] = set()
    for folder in folders or FOLDERS:
        try:
            with os.scandir(root / folder) as entries:
                found.update(f"{folder}/{e.name}" for e in entries)
        except FileNotFoundError:
            continue
    return found


def file_digests(root: pathlib.Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files below the root; "" for one that cannot be read."""
    return {name: found.result() for name, found in hashing(root, names).items()}


def hashing(root: pathlib.Path, names: Iterable[str]) -> dict[str, concurrent.futures.Future[str]]:
    """SHA-256 of files below the root, under way."""

    def one(name: str) -> str:
        try:
            with (root / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return ""

    return {name: workers(os.getpid()).submit(one, name) for name in sorted(names)}


def settling(root: pathlib.Path, names: Iterable[str]) -> list[concurrent.futures.Future[None]]:
    """Files below the root on their way to the disk itself, all at once: it takes hardly longer than one alone."""

    def one(name: str) -> None:
        if os.name != "nt":  # Windows flushes a handle only if it was opened for writing
            with (root / name).open("rb") as file:
                os.fsync(file.fileno())

    return [_waiters(os.getpid()).submit(one, name) for name in names]


@functools.cache
def _waiters(process: int) -> concurrent.futures.ThreadPoolExecutor:  # noqa: ARG001 - as for workers
    """Threads that wait for the disk and need no core."""
    return concurrent.futures.ThreadPoolExecutor(16, thread_name_prefix="twinkit-disk")


@functools.cache
def workers(process: int) -> concurrent.futures.ThreadPoolExecutor:  # noqa: ARG001 - a forked process has no threads
    """The threads that hash and write: one for each core, kept, because to start them costs as much as their work."""
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="twinkit-store")


def references(root: pathlib.Path) -> dict[str, str]:
    """Branches and tags as the engine's files have them: "branch.main" to a commit.

    A file that is not byte for byte as the engine writes it gives "".
    """
    found: dict[str, str] = {}
    for path in (root / "refs").glob("*/ref.json"):
        data = path.read_bytes()
        try:
            commit = json.loads(data)["snapshot"]
        except (ValueError, KeyError, TypeError):
            commit = ""
        found[path.parent.name] = commit if data == f'{{"snapshot":"{commit}"}}'.encode() else ""
    return found


def seal(root: pathlib.Path, *moved: str) -> None:
    """Write down what the index holds and where the moved branches and tags stand.

    The others keep what the last seal says of them, so that one which was moved behind the store's back still shows.
    """
    now = references(root)
    try:
        before = read(root / SEAL)["references"]
    except (FileNotFoundError, Damaged):
        before = now
    stand = {**before, **{name: now[name] for name in moved if name in now}}
    kept = {key: file_digests(root, [name])[name] for key, name in SEALED.items()}
    # Not waited for: it can be told anew from what it seals, see `commit.recover`.
    write(root / SEAL, {**kept, "journals": sorted(journals(root)), "references": stand}, durable=False)


JOURNALS = "twinkit/journal"
"""Folder of the journals: a file, its seal and its lock for each node that takes readings."""


def journals(root: pathlib.Path) -> set[str]:
    """The nodes that have a journal in the store's folder, and those that had one when it was sealed."""
    if not hasattr(root, "joinpath"):
        return set()
    folder = root / JOURNALS
    found = {p.stem for p in folder.iterdir() if p.suffix in (".sqlite", ".json")} if folder.is_dir() else set()
    try:
        return found | set(read(root / SEAL).get("journals", ()))
    except (FileNotFoundError, Damaged):
        return found


def identity(root: pathlib.Path, *, newest: int) -> dict[str, Any]:
    """What the store says of itself.

    Errors
    ------
    TwinError
        Damaged, or of a format that this twinkit does not know.
    """
    try:
        content = read(root / IDENTITY)
    except Damaged:
        # A newer format may be written in another way; its number is still worth looking for.
        try:
            content = json.loads((root / IDENTITY).read_bytes())
            newer = int(content["format"]) > newest
        except (ValueError, KeyError, TypeError):
            newer = False
        if not newer:
            raise TwinError(
                "a store that says what it is",
                found="an altered file",
                hint="restore it from a copy of the store",
                where=str(root / IDENTITY),
            ) from None
    if content.get("format", 0) > newest:
        raise TwinError(
            f"a store of format {newest} or older",
            found=f"format {content['format']}",
            hint="install a newer twinkit: pip install --upgrade twinkit",
            where=str(root),
        )
    return content
