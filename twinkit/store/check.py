"""Verify: whether a store still holds what was committed, and if not, which file, commit or branch does not."""

from __future__ import annotations

import contextlib
import os
import pathlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, escaped
from twinkit.store import chest, commit, digest, drain, index, lock, record, remote, remote_check, repository

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from twinkit.store.index import Row

__all__ = ["Verification", "checked", "far", "verify"]


LOOKS = 3
"""How often `verify` looks at an object store on which somebody writes meanwhile."""

SEALED = ("author", "changed", "content", "parent", "when")
"""What the head of a commit vouches for, beside its message."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found. It is true if nothing is wrong.

    Attributes
    ----------
    path : str
    faults : list of str
        One line for each thing that is not as it was committed, with the file, commit or branch.
    notes : list of str
        What is no fault but worth knowing.
    commits, files : int
        How many there are; where the history cannot be read, commits are those that have a record.
    heads : dict
        Branch or tag to its head; worth keeping elsewhere.
    """

    path: str
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    commits: int = 0
    files: int = 0
    heads: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return not self.faults

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.commits} commit{'' if self.commits == 1 else 's'} in {self.files} files"]
        if self.faults:
            lines.append(f"{len(self.faults)} {'fault' if len(self.faults) == 1 else 'faults'}:")
            lines += [f"  {escaped(f)}" for f in self.faults]
        else:
            lines.append("nothing altered, nothing missing, nothing added")
        lines += [f"  note: {escaped(n)}" for n in self.notes]
        lines += [f"  {name.replace('.', ' ', 1)} {head}" for name, head in self.heads.items()]
        return "\n".join(lines)

    __repr__ = __str__


def verify(path: str | os.PathLike[str], *, head: str | None = None, thorough: bool = False) -> Verification:
    """Whether a store still holds what was committed: nothing altered, nothing cut off.

    Every file is compared with its SHA-256, every commit with the digests in it and with the commit before, and the
    values of the newest commit of each branch and tag with the digest of their content. The store stays readable
    meanwhile; what an interrupted save left behind is tidied up first.

    Parameters
    ----------
    path : str or Path
    head : str, optional
        A head that was kept elsewhere, or its first digits. Only this proves that no newest commit was dropped and
        no history rewritten with all its digests.
    thorough : bool
        Compare the values of every commit, not of the newest ones alone.

    Returns
    -------
    Verification
        True if nothing is wrong; else its `faults` name file, commit or branch.

    Errors
    ------
    TwinError
        No store, or one that is being written.

    Examples
    --------
    >>> import pathlib, tempfile, twinkit as tk
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "one.twin"
    >>> done = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> bool(verify(path, head=done.head))
    True
    >>> _ = (path / "chunks").mkdir(exist_ok=True), (path / "chunks" / "STRANGER").write_bytes(b"")
    >>> verify(path).faults
    ['chunks/STRANGER belongs to no commit']
    """
    root = repository.local(path, anywhere=True)
    if isinstance(root, remote.Remote):
        repository.located(path, anywhere=True)
        return far(root, head=head, thorough=thorough)
    if not root.is_dir():
        repository.located(path)
    faults: list[str] = []
    notes: list[str] = []
    try:
        repository.located(path)
    except TwinError as fault:
        if not (root / "twinkit").is_dir() or "format" in fault.expected:
            raise
        known = set(record.records(root)) - {repository.ROOT}
        return Verification(str(root), [f"{record.IDENTITY} was altered or is missing"], commits=len(known))
    try:
        with lock.hold(root):
            if lock.interrupted(root) == {}:
                faults.append(f"{lock.MARK} was altered")
            else:
                try:
                    with repository.engine(root):
                        if commit.recover(root):
                            notes.append("a save was interrupted; what it left behind was tidied up")
                except TwinError as fault:
                    notes.append(f"a save was interrupted and what it left behind was not tidied up: {fault.found}")
            return checked(root, faults, notes, head=head, thorough=thorough)
    except TwinError as fault:
        if fault.expected != lock.WRITABLE:
            raise
        notes.append("the folder cannot be written: what an interrupted save may have left was not tidied up")
        return checked(root, faults, notes, head=head, thorough=thorough)


def far(
    root: remote.Remote,
    *,
    head: str | None = None,
    thorough: bool = False,
    values: bool = True,
    settled: dt.datetime | None = None,
) -> Verification:
    """What `verify` does on an object store, where others may write meanwhile.

    Parameters
    ----------
    root, head, thorough
        As `verify`.
    values : bool
        Compare those of the newest commits.
    settled : datetime, optional
        A record that was written after it, by the object store's clock, may be of a commit that is being made.
    """
    for _ in range(LOOKS):
        before = root.listed()
        found = _far(root, before, head=head, thorough=thorough, values=values, settled=settled)
        if not found.faults or root.listed() == before:
            break
        # Somebody wrote while we looked: what is wrong may be half of a change.
    return found


@contextlib.contextmanager
def _readable(faults: list[str]) -> Iterator[None]:
    try:
        yield
    except TwinError as fault:
        faults.append(f"the history cannot be read: {fault.found}")
    except Exception as fault:  # noqa: BLE001 - a damaged store must end in a finding, whatever the engine raises
        faults.append(f"the history cannot be read: {str(fault).strip().partition(chr(10))[0]}")


def _far(
    root: remote.Remote,
    before: dict[str, dt.datetime],
    *,
    head: str | None,
    thorough: bool,
    values: bool,
    settled: dt.datetime | None,
) -> Verification:
    """One look, at what there was `before`: who commits writes the record, then the branch; we read the other way."""
    faults: list[str] = []
    notes: list[str] = []
    unread: list[str] = []
    shown: dict[str, Any] = {}
    with _readable(unread):
        repo = repository.reader(root)
        references = repository.heads(repo, root)
        shown = commit.history(repo, root)
    seen = remote_check.faults(root, set(before), faults, notes)
    faults += unread
    records, told = seen.records, seen.told
    expired = {h for h in told or () if seen.under_way}
    rows: dict[str, Row] = {}
    heads: dict[str, str] = {}
    if not unread:
        with _readable(faults):
            faults += [f"{record.RECORDS}/{c}.json is missing" for c in sorted(set(shown) - set(records))]
            rows = _chain(shown, records, told, faults)
            faults += [
                f"snapshots/{c} was altered" for c in seen.cut if c in shown and shown[c].parent_id != repository.ROOT
            ]
            heads = {name: rows[at].head for name, at in sorted(references.items()) if at in rows}
            newest = set(references.values()) - {repository.ROOT}
            looked = set(rows) if thorough or seen.under_way else newest & set(rows) if values else set()
            for at in sorted(looked):
                faults += [f"commit {_short(rows[at])}: {f}" for f in commit.content_faults(repo, shown[at])]
            written = {at: before.get(f"{record.RECORDS}/{at}.json") for at in set(records) - set(shown)}
            dropped = {at for at in written if records[at]["parent"] in newest}
            # Some may have been on their way when we looked first.
            later = set(commit.history(repository.reader(root), root)) if dropped else set()
            for at, when in sorted(written.items()):
                if records[at]["head"] in expired or when is None or at in later:
                    continue
                # A writer that was stopped before it moved the branch leaves a record too, on a commit that has since
                # been followed by another one; on the newest it cannot be told from a commit that was dropped.
                if at in dropped and not (settled and when >= settled):
                    faults.append(f"commit {at} has a record but no branch or tag shows it: newer commits were dropped")
                else:
                    notes.append(f"commit {at} was not finished: another writer was faster")
    wanted = str(head).rstrip("….").lower()
    if head is not None and not any(r.head.startswith(wanted) for r in rows.values()):
        if any(h.startswith(wanted) for h in told or ()):
            notes.append(f"the content of commit {wanted[:12]} has expired; the chain of commits back to it is whole")
        else:
            faults.append(
                f"head {wanted[:12]} is in no branch: newest commits were dropped, or the history was rewritten"
            )
    return Verification(str(root), list(dict.fromkeys(faults)), notes, len(rows), len(seen.there), heads)


def checked(
    root: pathlib.Path,
    faults: Iterable[str] = (),
    notes: Iterable[str] = (),
    *,
    head: str | None = None,
    thorough: bool = False,
    values: bool = True,
) -> Verification:
    """What `verify` does once the lock is held; without `values`, only files, commits and branches are checked."""
    faults, notes = list(faults), list(notes)
    references = _references(root, faults)
    records, altered, strays, files = _files(root, faults)
    missing: list[str] = []
    told: dict[str, Any] | None = {}
    rows: dict[str, Row] = {}
    heads: dict[str, str] = {}
    try:
        repo = repository.reader(root)
        shown = commit.history(repo, root)
        missing = sorted(f"{record.RECORDS}/{c}.json" for c in set(shown) - set(records))
        missing = [name for name in missing if name not in altered]
        faults += [f"{name} is missing: its commit's files are not vouched for" for name in missing]
        try:
            told = record.horizon(root)["commits"]
        except record.Damaged:
            told = None
        rows = _chain(shown, records, told, faults)
        faults += _journals(root, repo, references.get("branch.main", ""))
        heads = {name: rows[at].head for name, at in sorted(references.items()) if at in rows}
        newest = set(references.values()) - {repository.ROOT}
        for at in sorted(set(rows) if thorough else newest & set(rows)) if values else ():
            faults += [f"commit {_short(rows[at])}: {f}" for f in commit.content_faults(repo, shown[at])]
        faults += [
            f"commit {c} has a record but no branch or tag shows it: newer commits were dropped"
            for c in sorted(set(records) - set(shown))
        ]
        if index.sealed(root):
            for name, at in references.items():
                known = index.line(root, at) if at in rows else []
                if known is not None and [r.id for r in known] != [i for i in _line(shown, at) if i in rows]:
                    faults.append(f"{index.INDEX} does not tell the history of {name}")
    except TwinError as fault:
        faults.append(f"the history cannot be read: {fault.found}")
    except Exception as fault:  # noqa: BLE001 - a damaged store must end in a finding, whatever the engine raises
        faults.append(f"the history cannot be read: {str(fault).strip().partition(chr(10))[0]}")
    commits = len(rows) or len(set(record.records(root)) - {repository.ROOT})
    faults += _stray(strays, altered + missing, notes)
    told = told or {}
    if head is not None:
        wanted = str(head).rstrip("….").lower()
        if len(wanted) < 8:
            raise TwinError("a head of at least 8 digits", found=repr(head), hint="give all 64", where="head")
        if any(h.startswith(wanted) for h in told):
            notes.append(f"the content of commit {wanted[:12]} has expired; the chain of commits back to it is whole")
        elif not any(r.head.startswith(wanted) for r in rows.values()):
            faults.append(
                f"head {wanted[:12]} is in no branch: newest commits were dropped, or the history was rewritten"
            )
    return Verification(str(root), list(dict.fromkeys(faults)), notes, commits, files, heads)


def _journals(root: pathlib.Path, repo: Any, newest: str) -> list[str]:
    """What is wrong with the journals, which follow from what the newest commit of main says of them."""
    if not record.journals(root):
        return []
    import zarr

    group = zarr.open_group(repo.readonly_session(snapshot_id=newest).store, mode="r")
    return chest.faults(root, drain.marks(group))


def _short(row: Row) -> str:
    return f"{row.head[:12]} ('{row.message.partition(chr(10))[0][:40]}')"


def _references(root: pathlib.Path, faults: list[str]) -> dict[str, str]:
    """Branches and tags, compared with the seal."""
    now = record.references(root)
    try:
        sealed = record.read(root / record.SEAL)
    except FileNotFoundError:
        faults.append(f"{record.SEAL} is missing")
        sealed = {"references": now}
    except record.Damaged:
        faults.append(f"{record.SEAL} was altered")
        sealed = {"references": now}
    else:
        for key, name in record.SEALED.items():
            found = record.file_digests(root, [name])[name]
            if sealed[key] != found:
                faults.append(f"{name} {'was altered' if found else 'is missing'}")
    for name in sorted(set(now) | set(sealed["references"])):
        word, _, what = name.partition(".")
        was, stands = sealed["references"].get(name), now.get(name)
        file = f"refs/{name}/ref.json"
        if stands == "":
            faults.append(f"{file} was altered")
        elif stands is None:
            faults.append(f"{file} is missing: the {word} '{what}' was taken away")
        elif was is None:
            faults.append(f"{file} was added: twinkit made no {word} '{what}'")
        elif was != stands:
            faults.append(f"{file} was altered: the {word} '{what}' stood at commit {was}, now at {stands}")
    return now


def _stray(strays: list[str], lost: list[str], notes: list[str]) -> list[str]:
    """Files that no record knows: each is a fault, unless a record is lost that may have known them.

    Then the record is what was altered, and the files are no more than a note.
    """
    folders = tuple(f"{f}/" for f in record.FOLDERS)
    claimed = [s for s in strays if lost and (s.startswith(folders) or s == "config.yaml")]
    if claimed:
        count = "1 file" if len(claimed) == 1 else f"{len(claimed)} files"
        notes.append(f"{count} that no record knows may be of {' or '.join(lost)}, or may be strangers")
    return [f"{name} belongs to no commit" for name in strays if name not in claimed]


def _files(root: pathlib.Path, faults: list[str]) -> tuple[dict[str, dict[str, Any]], list[str], list[str], int]:
    """Every file against its digest. Gives records, altered ones, files that no record knows, and the number of all."""
    records, expected, altered = record.listed(root)
    faults += [f"{name} was altered: the files that it lists are not vouched for" for name in altered]
    faults += [
        f"{record.RECORDS}/{c}.json is the record of another commit" for c, r in records.items() if r["commit"] != c
    ]
    there = {p.relative_to(root).as_posix() for p in _below(root)}
    digests = record.file_digests(root, set(expected) & there)
    for name in sorted(expected):
        if name not in there:
            faults.append(f"{name} is missing")
        elif digests[name] != expected[name]:
            faults.append(f"{name} was altered")
    ours = {record.IDENTITY, record.SEAL, record.HORIZON, index.INDEX, lock.LOCK, lock.MARK}
    ours |= chest.files(root)
    ours |= {f"{record.RECORDS}/{p.name}" for p in record.records(root).values()}
    ours |= {f"refs/{name}/ref.json" for name in record.references(root)}
    return records, altered, sorted(there - set(expected) - ours), len(there)


def _below(root: pathlib.Path) -> Iterable[pathlib.Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield pathlib.Path(folder) / name


def _line(shown: dict[str, Any], start: str) -> Iterable[str]:
    at: str | None = start
    while at in shown:
        yield str(at)
        at = shown[str(at)].parent_id


def _chain(
    shown: dict[str, Any], records: dict[str, dict[str, Any]], told: dict[str, Any] | None, faults: list[str]
) -> dict[str, Row]:
    """Every commit against its own digests and against its parent, beyond the horizon too."""
    rows: dict[str, Row] = {}
    for commit_id, info in shown.items():
        if commit_id == repository.ROOT:
            continue
        row = repository.row(info)
        if row is None:
            faults.append(f"commit {commit_id} ('{info.message[:40]}') was not made by twinkit: it carries no digests")
            continue
        rows[commit_id] = row
    expired = told or {}
    for head, said in expired.items():
        if digest.head(**said) != head or (said["parent"] and said["parent"] not in expired):
            faults.append(f"{record.HORIZON}: expired commit {head[:12]} was rewritten")
    for commit_id, row in rows.items():
        said = {"message": row.message, **{k: shown[commit_id].metadata[k] for k in SEALED}}
        parent = rows[row.parent].head if row.parent in rows else ""
        # Behind a damaged horizon nothing can be followed, which is its fault and not the commit's.
        if said["parent"] != parent and not (not parent and (told is None or said["parent"] in expired)):
            faults.append(f"commit {_short(row)} does not follow the commit before it")
        if digest.head(**said) != row.head:
            faults.append(f"commit {_short(row)}: its message, author, time or content was rewritten")
        elif commit_id in records and records[commit_id]["head"] != row.head:
            faults.append(
                f"commit {_short(row)} was rewritten: its record knows the head {records[commit_id]['head'][:12]}"
            )
    return rows
