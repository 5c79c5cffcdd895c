"""The store: a twin on disk with its whole history, in which no change goes unseen.

A stored twin is a folder that holds an Icechunk repository (Zarr version 3) and, beside it, what twinkit adds: side
records with the SHA-256 of every file, the index from time to commit, and the seal over both. Every `save` is a
commit: readers see all of it or none. One process writes at a time, any number reads.

What `verify` can prove: a file that was altered, added or taken away is found and named. Who can write the folder
can also rewrite a whole history with all its digests; only a head that was kept elsewhere, on paper or in a
published crate, shows that.
"""

from __future__ import annotations

from twinkit.store.arrivals import Arrivals, arrivals
from twinkit.store.check import Verification, verify
from twinkit.store.compact import compact
from twinkit.store.difference import Difference, diff
from twinkit.store.fill import fill
from twinkit.store.journal import Journal, Receipt, Status, journal, rejected
from twinkit.store.read import Commit, History, Path, branches, history, open, tags
from twinkit.store.write import _first as _first
from twinkit.store.write import append, branch, expire, save, tag

__all__ = [
    "Arrivals",
    "Commit",
    "Difference",
    "History",
    "Journal",
    "Path",
    "Receipt",
    "Status",
    "Verification",
    "append",
    "arrivals",
    "branch",
    "branches",
    "compact",
    "diff",
    "expire",
    "fill",
    "history",
    "journal",
    "open",
    "rejected",
    "save",
    "tag",
    "tags",
    "verify",
]
