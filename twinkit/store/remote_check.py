"""What there is at an address, object by object, and what of it no record vouches for: the ground of `check.far`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from twinkit.store import record, remote

__all__ = ["Found", "faults"]


@dataclass(frozen=True)
class Found:
    """What there is at an address, beside what is wrong with it.

    Attributes
    ----------
    records : dict
        Commit to its side record.
    there : set of str
        All objects.
    told : dict or None
        What expired commits said of themselves; None where that was altered.
    under_way : bool
        Whether an expiry has begun and not ended. Then objects may be gone that no commit needs any more, which only
        the contents of those that stay can tell, and `cut` are snapshots that the engine has written anew.
    """

    records: dict[str, dict[str, Any]]
    there: set[str]
    told: dict[str, Any] | None
    under_way: bool
    cut: list[str]


def faults(root: remote.Remote, before: set[str], found: list[str], notes: list[str]) -> Found:
    """Every object against its record; nothing is a stranger that was not there `before`."""
    told: dict[str, Any] | None
    try:
        told = root.horizon()[0]
    except record.Damaged as fault:
        told = None
        found.append(str(fault))
    under_way = bool(told) and "under_way" in (told or {})
    stand = root.contents(name for name in before if name.startswith("refs/"))
    records, altered = root.records(anew=True)
    there = root.names()
    found += [f"{name} was altered: the files that it lists are not vouched for" for name in altered]
    expected: dict[str, str] = dict(told["files"]) if told else {}
    for commit, content in records.items():
        if content["commit"] != commit:
            found.append(f"{record.RECORDS}/{commit}.json is the record of another commit")
        expected |= content["files"]
    digests = root.digests(expected)
    cut = []
    gone = 0
    for name in sorted(expected):
        if name not in there or not digests[name]:
            if under_way:
                gone += 1
            else:
                found.append(f"{name} is missing")
        elif digests[name] != expected[name]:
            if under_way and name.startswith("snapshots/"):
                cut.append(name.partition("/")[2])
            else:
                found.append(f"{name} was altered")
    if under_way:
        notes.append(
            f"an expiry is under way or was stopped ({gone} files are gone already): the contents of all commits that "
            "stay were compared; tk.store.expire, called again, ends one that was stopped"
        )
    try:
        if remote.intact(root.get(record.IDENTITY)) is None:
            found.append(f"{record.IDENTITY} was altered")
    except FileNotFoundError:
        found.append(f"{record.IDENTITY} is missing")
    ours = {record.IDENTITY, record.HORIZON, *altered, *(f"{record.RECORDS}/{c}.json" for c in records)}
    lost = bool(altered) or told is None
    folders = tuple(f"{f}/" for f in record.FOLDERS)
    for name in sorted((before & there) - set(expected) - ours):
        if name.startswith("refs/"):
            data = stand[name]
            try:
                commit = json.loads(data)["snapshot"]
            except (ValueError, KeyError, TypeError):
                commit = ""
            if data != f'{{"snapshot":"{commit}"}}'.encode() or (commit not in records and not lost):
                found.append(f"{name} was altered")
        elif name.startswith(folders):
            notes.append(f"{name} is of a commit that a writer did not finish, or is a stranger")
        elif under_way and name.startswith(f"{record.RECORDS}/"):
            continue  # of a commit that has just gone
        else:
            found.append(f"{name} belongs to no commit")
    return Found(records, there, None if told is None else told["commits"], under_way, cut)
