"""When readings came: what a watcher beside the ingester can know of it from the store alone.

The journal stamps each batch with the moment at which it was made durable, and the store keeps the stamps with the
values. So the rate of arrival, how late readings come, what waits for a commit and every moment at which more became
known can be read by any program, while another one writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.store import chest, drain, readings, repository

if TYPE_CHECKING:
    import pathlib

    from twinkit.store.read import Path

__all__ = ["Arrivals", "arrivals", "mark"]


@dataclass(frozen=True)
class Arrivals:
    """When the readings of a store came.

    Attributes
    ----------
    time : array of datetime64 (row,)
        Each moment that a reading tells of, ascending.
    first, last : array of datetime64 (row,)
        When the first and the last reading of that moment were received, in UTC.
    moments : array of datetime64
        Every moment at which something is known to have been received, ascending, each once. Of a row that was
        committed whole only the first and the last are known.
    recent : array of datetime64
        Of each reading that is not committed yet, when it was received; ascending.
    new, duplicate, corrected : int
        Readings since the journal began.
    rejected : dict
        Kind of reason to the number of messages that were refused for it.
    """

    time: np.ndarray
    first: np.ndarray
    last: np.ndarray
    moments: np.ndarray
    recent: np.ndarray
    new: int = 0
    duplicate: int = 0
    corrected: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """Readings that are durable and not yet committed."""
        return len(self.recent)

    @property
    def newest(self) -> np.datetime64:
        """When the last reading was received; NaT where none was."""
        return self.moments[-1] if len(self.moments) else np.datetime64("NaT", "ns")

    def rate(self, *, now: Any, over: float = 60.0) -> float:
        """Readings a second that came in the last while and wait for a commit: what a watcher sees first.

        Parameters
        ----------
        now : datetime64 (UTC)
        over : float [s]

        Returns
        -------
        float [1/s]
        """
        start = np.datetime64(now, "ns") - np.timedelta64(round(over * 1e9), "ns")
        return float((self.recent > start).sum()) / over


def arrivals(path: Path, *, node: str = "telemetry") -> Arrivals:
    """When the readings of a stored twin came, whether they are committed yet or not.

    Parameters
    ----------
    path : str or Path
        A store; another program may be writing to it.
    node : str
        Of the twin, which takes the readings.

    Returns
    -------
    Arrivals
        All empty where no reading ever came.

    Errors
    ------
    TwinError
        No store, or a journal that cannot be read.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> cells = xr.Dataset({"frequency": ("cell", [8e8, 8e8])}, {"cell": ["a", "b"]})
    >>> _ = tk.save(tk.assemble({"cells": cells}, title="two", crs="EPSG:32643"), path, message="the beginning")
    >>> reading = {"variable": "load", "sensor": ["a", "b"], "time": np.datetime64("2026-03-01T12:00"), "value": 0.5}
    >>> with tk.store.journal(path) as ours:
    ...     receipt = ours.record(reading)
    >>> came = arrivals(path)
    >>> came.new, came.pending, bool(came.newest == np.datetime64(receipt.received, "ns"))
    (2, 2, True)
    """
    root = repository.located(path, anywhere=True)
    box = chest.Chest.of(root, node) if node in chest.names(root) else None
    # the journal before the store: what is drained in between is met twice, which changes no moment
    pending, totals = box.standing() if box else ([], chest.Totals())
    group, _, _ = drain.opened(root)
    times, firsts, lasts, recent, waits = [np.empty(0, "i8")], [np.empty(0, "i8")], [np.empty(0, "i8")], [], []
    with repository.engine(root):
        if node in drain.marks(group):
            times.append(np.asarray(group[node]["time"][:]).view("i8"))
            held = group[f"{node}{drain.RECEIVED}"]
            firsts.append(np.asarray(held["first"][:]))
            lasts.append(np.asarray(held["last"][:]))
            if f"{node}{drain.LATE}" in group:
                waits.append(drain.late_of(group[f"{node}{drain.LATE}"]))
    for payload in pending:
        found, *_ = readings.unpack(payload)
        waits.append(found)
        recent.append(found.received.astype("i8"))
    for found in waits:
        times.append(found.time)
        firsts.append(found.received.astype("i8"))
        lasts.append(found.received.astype("i8"))
    time, first, last = map(np.concatenate, (times, firsts, lasts))
    row, place = np.unique(time, return_inverse=True)
    begun, ended = np.full(len(row), np.iinfo("i8").max), np.full(len(row), np.iinfo("i8").min)
    np.minimum.at(begun, place, first)
    np.maximum.at(ended, place, last)
    return Arrivals(
        row.view("M8[ns]"),
        _stamps(begun),
        _stamps(ended),
        _stamps(np.unique(np.concatenate([first, last]))),
        _stamps(np.sort(np.concatenate(recent))) if recent else np.empty(0, "M8[ns]"),
        totals.new,
        totals.duplicate,
        totals.corrected,
        dict(totals.rejected),
    )


def mark(path: Path) -> tuple[Any, ...]:
    """What changes whenever a commit is made or a reading is journaled; as cheap as a look at a few files.

    Errors
    ------
    TwinError
        No store.
    """
    root = repository.located(path, anywhere=True)
    commit = repository.snapshot(repository.reader(root), root, branch="main")
    return (commit, *(_state(root, node) for node in chest.names(root)))


def _state(root: pathlib.Path, node: str) -> tuple[Any, ...]:
    box = chest.Chest.of(root, node)
    found: list[Any] = [node]
    for file in (box.file, box.file.with_name(f"{box.file.name}-wal")):
        try:
            stat = file.stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _stamps(received: np.ndarray) -> np.ndarray:
    """Stamps [ms since 1970] as moments."""
    return received.astype("i8").view("M8[ms]").astype("M8[ns]")
