"""The file of a journal: rows that follow from each other, flushed before anybody relies on them.

Rows of readings and rows of refused messages each form a chain of SHA-256 digests. Rows that were committed to the
store go; what is left continues from the digest that the commit keeps. While a journal is open its seal says so;
closing it seals the file byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import re
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.store import digest, lock, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twinkit.store import Path

__all__ = ["Chest", "Totals", "faults", "files", "names"]

FOLDER = record.JOURNALS
MOST = 10_000
"""Refused messages that are kept; all are counted."""

KINDS = 100
"""Kinds of reasons that are counted each for itself: the counts are written with every batch."""

SPARE = 64
"""Pages that readings have left behind, and with more of which a journal is packed when it is closed."""

TABLES = """
create table if not exists meta (key text primary key, value text not null) without rowid;
create table if not exists batches (
    seq integer primary key, received integer not null, count integer not null, payload blob not null,
    digest text not null
);
create table if not exists letters (
    seq integer primary key, received integer not null, topic text not null, payload blob not null,
    reason text not null, digest text not null
);
"""
START = digest.of("journal")
OWN = re.compile(r"""'.*'|".*[".]|[\[{].*[\]}.]|-?\d(?:[\d.,:TZe+-]*[\dZ])?""", re.DOTALL)
"""What of a reason belongs to one message alone: what it quotes, and numbers."""


def kind(reason: str) -> str:
    """A reason without what belongs to one message alone, so that like ones are counted together.

    >>> kind("sensor 'x1': no such cell in this twin"), kind("value 42: load lies between 0 and 1")
    ('sensor ...: no such cell in this twin', 'value ...: load lies between ... and ...')
    """
    return OWN.sub("...", reason)


@dataclass
class Totals:
    """What came in since the journal began."""

    new: int = 0
    duplicate: int = 0
    corrected: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def count(self, *, new: int, duplicate: int, corrected: int) -> None:
        """Readings of one batch."""
        self.new += new
        self.duplicate += duplicate
        self.corrected += corrected

    def refuse(self, reason: str) -> None:
        """One message, by the kind of its reason; kinds beyond a hundred are counted together."""
        reason = kind(reason)
        if reason not in self.rejected and len(self.rejected) >= KINDS:
            reason = "other reasons"
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def chained(before: str, payload: bytes, **row: Any) -> str:
    """The digest of a row and all before it."""
    return hashlib.sha256(bytes.fromhex(before) + digest.canonical(row) + payload).hexdigest()


class Chest:
    """The file of one journal.

    Parameters
    ----------
    folder : Path
        Where it stands.
    node : str
    """

    def __init__(self, folder: pathlib.Path, node: str) -> None:
        self.folder, self.node = folder, node
        self.file = folder / f"{node}.sqlite"
        self.seal = folder / f"{node}.json"
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def of(cls, root: pathlib.Path, node: str, *, where: Path | None = None) -> Chest:
        """The journal of a store, in its own folder or elsewhere."""
        if where is None and not isinstance(root, pathlib.Path):
            raise TwinError(
                "a local folder for the journal of a store that is an address",
                found="none",
                hint="journal(path, where='...'), a folder that outlives this machine's restarts",
                where="where",
            )
        return cls(pathlib.Path(where).expanduser().absolute() if where is not None else root / FOLDER, node)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the one ingester."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise _disk(fault, self.folder) from None
        with lock.hold(self.folder, f"{self.node}.lock", what="one ingester for a journal"):
            try:
                yield
            finally:
                self.drop()

    def drop(self) -> None:
        """Let go of the file as it is."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    # ------------------------------------------------------------ opening and closing

    def open(self, mark: dict[str, Any] | None) -> tuple[list[bytes], Totals]:
        """Open the file, make it if there is none, and check what is in it.

        Parameters
        ----------
        mark : dict, optional
            What the store's newest commit says of this journal.

        Returns
        -------
        list of bytes, Totals
            What is pending, and may be in the store already if a drain was cut short.
        """
        found = self.faults(mark)
        if found:
            raise TwinError(
                "a journal that is as it was left",
                found=found[0],
                hint="tk.verify(path) names all that is wrong; restore the store from a copy",
                where=str(self.file),
            )
        try:
            fresh = not self.file.exists()
            for draft in self.folder.glob(f".{self.seal.name}.*.tmp"):
                draft.unlink(missing_ok=True)  # of an ingester that was killed while it sealed
            if not fresh or mark is None:
                self._sealed(opened=True)
            self._connection = c = sqlite3.connect(self.file, timeout=30, check_same_thread=False, isolation_level=None)
            c.execute("pragma journal_mode = wal")
            c.execute("pragma synchronous = full")
            c.executescript(TABLES)
            if fresh:
                if mark is not None:
                    # a store that was made from a crate: its journal goes on from what the newest commit says
                    c.execute("insert into meta values ('anchor', ?)", (f"{mark['seq']} {mark['digest']}",))
                self._sealed(opened=True)
                lock.settle_folder(self.folder)
            self._seq, self._digest = self._end(c, "batches", "anchor", mark)
            self._letter, self._letter_digest = self._end(c, "letters", "letters", None)
            rows = c.execute("select payload from batches order by seq").fetchall()
            return [r[0] for r in rows], _totals(c)
        except (sqlite3.Error, OSError) as fault:
            self.drop()
            raise _disk(fault, self.file) from None

    def _end(self, c: sqlite3.Connection, table: str, key: str, mark: dict[str, Any] | None) -> tuple[int, str]:
        last = c.execute(f"select seq, digest from {table} order by seq desc limit 1").fetchone()  # noqa: S608 - ours
        if last:
            return int(last[0]), str(last[1])
        anchor = c.execute("select value from meta where key = ?", (key,)).fetchone()
        if anchor:
            seq, _, at = anchor[0].partition(" ")
            return int(seq), at
        return (int(mark["seq"]), str(mark["digest"])) if mark else (0, START)

    def close(self, totals: Totals | None = None) -> None:
        """Seal the file byte for byte. One that a reader holds open stays vouched for by its chain."""
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if totals is not None and totals != _totals(self._connection):
                _keep(self._connection, totals)
            if self._connection.execute("pragma freelist_count").fetchone()[0] > SPARE:
                self._connection.execute("vacuum")
            self._connection.execute("pragma wal_checkpoint(truncate)")
        self.drop()
        if not _beside(self.file):
            # a program that ends may have no threads left to hash with: the chain vouches for the file then
            with contextlib.suppress(OSError, RuntimeError):
                self._sealed(opened=False)

    def _sealed(self, *, opened: bool) -> None:
        said: dict[str, Any] = {"open": opened, "node": self.node}
        if not opened:
            said["file"] = record.file_digests(self.folder, [self.file.name])[self.file.name]
        record.write(self.seal, said)

    # ------------------------------------------------------------ writing

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._connection is None:
            raise TwinError(
                "an open journal",
                found="one that was closed",
                hint="use it inside its with block",
                where=str(self.file),
            )
        before = (self._seq, self._digest, self._letter, self._letter_digest)
        try:
            self._connection.execute("begin immediate")
            yield self._connection
            self._connection.execute("commit")
        except BaseException as fault:
            self._seq, self._digest, self._letter, self._letter_digest = before
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("rollback")
            if isinstance(fault, sqlite3.Error | OSError):
                raise _disk(fault, self.file) from None
            raise

    def add(self, batches: Sequence[tuple[int, int, bytes]], totals: Totals) -> None:
        """Add batches (received [ms], count, payload); they are on the disk when this returns."""
        with self._transaction() as c:
            self._insert(c, batches)
            _keep(c, totals)

    def _insert(self, c: sqlite3.Connection, batches: Sequence[tuple[int, int, bytes]]) -> None:
        for received, count, payload in batches:
            self._seq += 1
            self._digest = chained(self._digest, payload, count=count, received=received, seq=self._seq)
            c.execute("insert into batches values (?, ?, ?, ?, ?)", (self._seq, received, count, payload, self._digest))

    def carry(self, batches: Sequence[tuple[int, int, bytes]], totals: Totals) -> None:
        """Let go of all that is in the file but for what is carried on."""
        with self._transaction() as c:
            c.execute("delete from batches")
            c.execute("insert or replace into meta values ('anchor', ?)", (f"{self._seq} {self._digest}",))
            self._insert(c, batches)
            _keep(c, totals)

    def refuse(self, letters: Sequence[tuple[str, bytes, str]], received: int, totals: Totals) -> None:
        """Keep refused messages."""
        with self._transaction() as c:
            for topic, payload, reason in letters[-MOST:]:
                self._letter += 1
                self._letter_digest = chained(
                    self._letter_digest, payload, reason=reason, received=received, seq=self._letter, topic=topic
                )
                row = (self._letter, received, topic, payload, reason, self._letter_digest)
                c.execute("insert into letters values (?, ?, ?, ?, ?, ?)", row)
            old = c.execute("select seq, digest from letters where seq = ?", (self._letter - MOST,)).fetchone()
            if old:
                c.execute("insert or replace into meta values ('letters', ?)", (f"{old[0]} {old[1]}",))
                c.execute("delete from letters where seq <= ?", (old[0],))
            _keep(c, totals)

    def mark(self) -> dict[str, Any]:
        """What a commit keeps of the journal: how far it goes, and the digest there."""
        return {"digest": self._digest, "seq": self._seq}

    # ------------------------------------------------------------ reading

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The file for a reader beside the ingester; None where there is none."""
        if not self.file.exists():
            yield None
            return
        try:
            closed = not record.read(self.seal)["open"]
        except (FileNotFoundError, record.Damaged, KeyError):
            closed = False
        # A reader of a closed journal must leave nothing beside it.
        how = "immutable=1" if closed and not _beside(self.file) else "mode=ro"
        connection = sqlite3.connect(f"{self.file.as_uri()}?{how}", uri=True, timeout=30)
        try:
            yield connection
        finally:
            connection.close()

    def batches(self) -> list[bytes]:
        """What is in the journal, read while an ingester may write."""
        for _ in range(5):
            before = self._state()
            try:
                with self._reading() as c:
                    found = [] if c is None else c.execute("select payload from batches order by seq").fetchall()
            except sqlite3.Error as fault:
                trouble = fault
                continue
            if self._state() == before:
                return [row[0] for row in found]
            trouble = sqlite3.OperationalError("it is opened and closed all the time")
        raise _disk(trouble, self.file)

    def standing(self) -> tuple[list[bytes], Totals]:
        """What is in the journal, and what came in since it began; read while an ingester may write."""
        found = self.batches()
        try:
            with self._reading() as c:
                return found, Totals() if c is None else _totals(c)
        except (sqlite3.Error, ValueError) as fault:
            raise _disk(fault, self.file) from None

    def letters(self) -> list[tuple[int, str, str, bytes]]:
        """Refused messages: received [ms], topic, reason, payload."""
        try:
            with self._reading() as c:
                return (
                    []
                    if c is None
                    else c.execute("select received, topic, reason, payload from letters order by seq").fetchall()
                )
        except sqlite3.Error as fault:
            raise _disk(fault, self.file) from None

    def _state(self) -> bytes:
        try:
            return self.seal.read_bytes()
        except OSError:
            return b""

    def faults(self, mark: dict[str, Any] | None, *, missing: bool = False) -> list[str]:
        """What is not as it was written; nothing where all is.

        Parameters
        ----------
        mark : dict, optional
            What the store's newest commit says of this journal.
        missing : bool
            Whether there must be one. Readings of a store that was made from a crate left theirs behind.
        """
        name = f"{FOLDER}/{self.file.name}"
        for file in (self.file, self.seal):
            if file.is_symlink():
                return [f"{FOLDER}/{file.name} is a link to elsewhere"]
        try:
            said = record.read(self.seal)
        except FileNotFoundError:
            if self.file.exists():
                return [f"{FOLDER}/{self.seal.name} is missing"]
            return [f"{name} and its seal are missing"] if missing else []
        except record.Damaged:
            return [f"{FOLDER}/{self.seal.name} was altered"]
        if not self.file.exists():
            # Stopped before its first row, it promised nothing.
            return [] if said["open"] and mark is None else [f"{name} is missing"]
        if not said["open"]:
            if _beside(self.file):
                return [f"{name}-wal was added"]
            if said["file"] != record.file_digests(self.folder, [self.file.name])[self.file.name]:
                return [f"{name} was altered"]
        try:
            with self._reading() as c:
                return [f"{name} {what}" for what in _chain(c, mark)] if c else [f"{name} is missing"]
        except (sqlite3.Error, ValueError) as fault:
            return [f"{name} was altered: {fault}"]


def _chain(c: sqlite3.Connection, mark: dict[str, Any] | None) -> list[str]:
    tables = {row[0] for row in c.execute("select name from sqlite_master where type = 'table'")}
    if not {"batches", "letters", "meta"} <= tables:
        # A crash before the first transaction: nothing was promised.
        return ["was emptied: commits say that readings came through it"] if mark else []
    meta = dict(c.execute("select key, value from meta").fetchall())
    _totals(c)
    found = []
    seq, _, at = meta.get("anchor", f"0 {START}").partition(" ")
    known = {int(seq): at}
    count = None
    for row, received, count, payload, said in c.execute("select * from batches order by seq"):
        follows = chained(at, payload, count=count, received=received, seq=row)
        if row != int(seq) + 1 or follows != said:
            return ["was altered: its readings do not follow from each other"]
        seq, at = row, said
        known[row] = said
    if mark and known.get(int(mark["seq"])) != mark["digest"]:
        found.append("does not follow from what the store's newest commit says of it")
    seq, _, at = meta.get("letters", f"0 {START}").partition(" ")
    for row, received, topic, payload, reason, said in c.execute("select * from letters order by seq"):
        follows = chained(at, payload, reason=reason, received=received, seq=row, topic=topic)
        if row != int(seq) + 1 or follows != said:
            return [*found, "was altered: its refused messages do not follow from each other"]
        seq, at = row, said
    return found


def _keep(c: sqlite3.Connection, totals: Totals) -> None:
    c.execute("insert or replace into meta values ('totals', ?)", (json.dumps(totals.__dict__, ensure_ascii=False),))


def _totals(c: sqlite3.Connection) -> Totals:
    row = c.execute("select value from meta where key = 'totals'").fetchone()
    if not row:
        return Totals()
    try:
        found = Totals(**json.loads(row[0]))
        counts = [found.new, found.duplicate, found.corrected, *found.rejected.values()]
    except (TypeError, AttributeError, RecursionError):
        raise ValueError("its counts are none") from None
    if not all(type(n) is int for n in counts):
        raise ValueError("its counts are none")
    return found


def _beside(file: pathlib.Path) -> bool:
    """Whether a write-ahead log with something in it stands beside the file."""
    try:
        return file.with_name(f"{file.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _disk(fault: Exception, where: pathlib.Path) -> TwinError:
    text = getattr(fault, "strerror", None) or str(fault)
    if any(sign in text for sign in ("full", "No space", "quota", "too large", "disk I/O")):
        return TwinError(
            "room on a disk that works",
            found=text,
            hint="free some space and record the batch again; what was acknowledged before is kept",
            where=str(where),
        )
    return TwinError("a journal that can be read and written", found=text, hint="tk.verify(path)", where=str(where))


def names(root: pathlib.Path) -> list[str]:
    """The nodes that have a journal in a store's own folder."""
    if not isinstance(root, pathlib.Path):
        return []  # the journal of an object store stands elsewhere
    folder = root / FOLDER
    return sorted(p.stem for p in folder.glob("*.sqlite")) if folder.is_dir() else []


def files(root: pathlib.Path) -> set[str]:
    """Every file that a journal of the store may have, as a path below the root."""
    tails = (".sqlite", ".sqlite-wal", ".sqlite-shm", ".json", ".lock")
    nodes = record.journals(root)
    # a seal that a killed ingester left half written stands until the next one comes
    drafts = {p.name for node in nodes for p in (root / FOLDER).glob(f".{node}.json.*.tmp")}
    return {f"{FOLDER}/{node}{tail}" for node in nodes for tail in tails} | {f"{FOLDER}/{name}" for name in drafts}


def faults(root: pathlib.Path, marks: dict[str, dict[str, Any]]) -> list[str]:
    """What is wrong with the journals of a store; `marks` is what its newest commit says of them."""
    out: list[str] = []
    for node in sorted(record.journals(root)):
        out += Chest.of(root, node).faults(marks.get(node), missing=True)
    return out
