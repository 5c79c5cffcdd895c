"""One writer at a time, and the mark that an interrupted writer leaves behind.

The lock is one that the operating system holds for a process and drops when the process ends, however it ends: a
killed writer blocks nobody. The mark says what was under way, so that the next writer can tidy up.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
from typing import IO, TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.store import digest

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

__all__ = ["begin", "finish", "hold", "interrupted", "put", "settle_folder"]

WRITABLE = "a store that can be written"
LOCK = "twinkit/lock"
MARK = "twinkit/pending.json"


@contextlib.contextmanager
def hold(root: pathlib.Path, name: str = LOCK, *, what: str = "one writer at a time") -> Iterator[None]:
    """Be the one writer of the store at `root`, or of another thing that has its own lock.

    Errors
    ------
    TwinError
        Another process or thread writes, or the folder cannot be written.
    """
    path = root / name
    if path.is_symlink():
        # its target would be emptied: a store from elsewhere could name any file of ours
        raise TwinError(WRITABLE, found=f"{name} is a link to elsewhere", hint="take it away", where=str(root))
    try:
        file = path.open("a+b")
    except OSError as fault:
        raise TwinError(
            WRITABLE,
            found=fault.strerror or str(fault),
            hint="check the permissions of the folder, or copy the store to a folder of yours",
            where=str(root),
        ) from None
    with file:
        if not _taken(file):
            raise TwinError(
                what,
                found=f"another one at work{_who(path)}",
                hint="wait until it is done and try again; reading is possible meanwhile",
                where=str(root),
            )
        try:
            file.seek(0)
            file.truncate()
            file.write(json.dumps({"process": os.getpid(), "machine": socket.gethostname()}).encode())
            file.flush()
            yield
        finally:
            file.truncate(0)
            file.flush()
            _drop(file)


def _taken(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            # A byte far behind the text, because Windows lets nobody read a locked range.
            file.seek(2**30)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _drop(file: IO[bytes]) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(2**30)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)


def _who(path: pathlib.Path) -> str:
    try:
        told = json.loads(path.read_bytes())
        return f" (process {told['process']} on {told['machine']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def put(path: pathlib.Path, data: bytes, *, durable: bool = True) -> None:
    """Write a small file whole or not at all, and have it on the disk before going on if it is to be `durable`."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.unlink(missing_ok=True)
        with draft.open("xb") as file:  # never through a link that stands there already
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def begin(root: pathlib.Path, **what: Any) -> None:
    """Leave the mark of a change under way: what it is, of which branch or tag, and on which commit it stands."""
    data = digest.canonical({**what, "sha256": digest.of(what)})
    put(root / MARK, data, durable=False)  # it is for a killed process, not for a power cut


def finish(root: pathlib.Path) -> None:
    """Take the mark away: the change is done, or was never seen."""
    (root / MARK).unlink(missing_ok=True)


def interrupted(root: pathlib.Path) -> dict[str, Any] | None:
    """What a writer was doing when it was stopped; None when nothing was, {} when the mark was altered.

    After a power cut the mark may be there without its text: what was done is then unknown ("lost").
    """
    try:
        data = (root / MARK).read_bytes()
        if not data:
            return {"act": "lost"}
        mark = json.loads(data)
        said = mark.pop("sha256")
        intact = said == digest.of(mark) and all(isinstance(mark[k], str) for k in ("act", "parent", "reference"))
        if intact and mark["act"] == "expire":
            dt.datetime.fromisoformat(mark["before"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return mark if intact else {}


def settle_folder(folder: pathlib.Path) -> None:
    """Have the names in a folder on the disk: a new file that no folder knows is none after a power cut."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
