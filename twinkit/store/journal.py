"""The journal: readings made durable at once, and kept until whole blocks of them are committed.

A store takes blocks well and crumbs badly. What arrives is therefore packed, a batch a row, into a SQLite file beside
the store (write-ahead log, flushed to the disk before `Journal.record` returns). Each row carries the digest of all
rows before it, and the first one continues from what the store's newest commit says of the journal. A journal that
was closed is sealed to the last byte; one whose writer was killed is vouched for by its chain.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time as clock
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.error import TwinError, close_to, escaped
from twinkit.store import chest, drain, readings, repository
from twinkit.store.shown import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from twinkit import store

__all__ = ["Journal", "Receipt", "Status", "journal", "rejected"]

CUT = 4096
"""Bytes that are kept of a message that was rejected."""


@dataclass(frozen=True)
class Receipt:
    """What became of a batch of readings, all of it on the disk.

    Attributes
    ----------
    new, duplicate, corrected : int
        Readings that were not known, known with this value, known with another value.
    received : int
        The stamp of the batch: when it was received [ns since 1970, UTC], a whole millisecond.
    """

    new: int
    duplicate: int
    corrected: int
    received: int


@dataclass(frozen=True)
class Status:
    """How a journal stands.

    Attributes
    ----------
    pending : int
        Readings that are durable and not yet committed to the store.
    since : datetime or None
        When the oldest of them was received.
    commit : Commit or None
        The last one that `Journal.drain` made, in this process.
    new, duplicate, corrected : int
        Readings since the journal began.
    rejected : dict
        Kind of reason (without what it quotes, and numbers) to the number of messages, since the journal began.
    newest : numpy.datetime64
        The latest time of a reading; NaT where there is none.
    """

    pending: int
    since: dt.datetime | None
    commit: Any
    new: int
    duplicate: int
    corrected: int
    rejected: dict[str, int] = field(default_factory=dict)
    newest: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ns"))

    def __str__(self) -> str:
        refused = ", ".join(f"{n} {escaped(r)}" for r, n in self.rejected.items()) or "none"
        return (
            f"{self.new} readings, {self.corrected} corrected, {self.duplicate} duplicates; {self.pending} pending; "
            f"rejected: {refused}; last commit: {self.commit.head[:12] if self.commit else 'none yet'}"
        )


@contextlib.contextmanager
def journal(
    path: store.Path,
    *,
    node: str = "telemetry",
    where: store.Path | None = None,
    author: str | None = None,
    provenance: str = readings.MEASURED,
) -> Iterator[Journal]:
    """The journal of a stored twin, open for one ingester.

    Parameters
    ----------
    path : str or Path
        An existing store, whose cells and sites are the sensors.
    node : str
        Node of the twin that takes the readings. Ingesters that write to one store at once each have their own.
    where : str or Path, optional
        A local folder for the journal of a store that is an address; left out, it stands in the store's own folder.
    author : str, optional
        Who commits; left out, as `save`.
    provenance : str
        Where the readings come from that are recorded now: ``"generated: telemetry.generate, seed 1"``. A variable
        whose readings came from several places says all of them.

    Yields
    ------
    Journal

    Errors
    ------
    TwinError
        No store, another ingester at work, a journal that was altered, a node that was saved whole, a provenance that
        is none.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> cells = xr.Dataset({"frequency": ("cell", [8e8, 8e8])}, {"cell": ["a", "b"]})
    >>> _ = tk.save(tk.assemble({"cells": cells}, title="two", crs="EPSG:32643"), path, message="the beginning")
    >>> reading = {"variable": "load", "sensor": ["a", "b"], "time": np.datetime64("2026-03-01T12:00"), "value": 0.5}
    >>> with journal(path) as ours:
    ...     first, again = ours.record(reading), ours.record(reading)
    >>> first.new, again.duplicate
    (2, 2)
    >>> tk.open(path)["telemetry/load"].values
    array([[0.5, 0.5]])
    """
    kept = Journal(path, node=node, where=where, author=author, provenance=provenance)
    try:
        yield kept
    finally:
        kept.close()


class Journal:
    """Readings on their way into a store; see `journal`, which opens and closes it."""

    def __init__(
        self,
        path: store.Path,
        *,
        node: str = "telemetry",
        where: store.Path | None = None,
        author: str | None = None,
        provenance: str = readings.MEASURED,
    ) -> None:
        self.path, self.node, self.author, self.provenance = path, node, author, readings.fit_provenance(provenance)
        self._root = repository.located(path, anywhere=True)
        drain.fit_node(node)
        self._chest = chest.Chest.of(self._root, node, where=where)
        self._guard = threading.RLock()
        self._last_commit: Any = None
        self._stack = contextlib.ExitStack()
        try:
            self._stack.enter_context(self._chest.held())
            self._load()
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Seal the journal and let the next ingester in."""
        with self._guard:
            try:
                self._chest.close(None if self._broken else self._totals)
            finally:
                self._stack.close()

    # ------------------------------------------------------------ what is known

    def _load(self) -> None:
        """Everything in memory anew, from the store and from the journal itself."""
        self._broken = False
        self._base = drain.Base(self._root, self.node)
        self._ids = {dim: list(names) for dim, names in self._base.ids.items()}
        self._read_sensors()
        self._variables = list(self._base.dims)
        self._dims = dict(self._base.dims)
        self._told = dict(self._base.told)
        self._grids: dict[int, readings.Grid] = {}
        batches, self._totals = self._chest.open(self._base.mark)
        self._stamp = 0
        if len(self._base.late):
            self._keep(self._base.late)
        parts = [self._here(*readings.unpack(payload)) for payload in batches]
        pending = readings.joined(parts) if parts else readings.joined([])
        if self._base.mark and len(pending):
            # A drain that was cut short after its commit: what the store holds is pending no more.
            pending = pending[~self._base.holds(pending, self._variables)]
        self._pending: list[readings.Columns] = [pending] if len(pending) else []
        if len(pending):
            self._keep(pending)
        latest = [int(p.time.max()) for p in (self._base, pending) if len(p.time)]
        self._newest = max(latest, default=np.iinfo("i8").min)

    def _read_sensors(self) -> bool:
        """The ids of the twin's cells and sites, behind those that the readings' own axes have."""
        grew = False
        for dim, names in drain.sensors(self._root).items():
            have = self._ids.setdefault(dim, [])
            known = set(have)
            more = [n for n in names if n not in known]
            have += more
            grew |= bool(more)
        self._places = {dim: pd.Index(names, dtype=object) for dim, names in self._ids.items()}
        return grew

    def _here(
        self, found: readings.Columns, variables: list[str], sensors: list[tuple[str, str]], told: list[str]
    ) -> readings.Columns:
        """Readings of a batch in this journal's own numbers."""
        for name, said in zip(variables, told, strict=True):
            self._told[name] = readings.together(self._told.get(name, ""), said)
        for name in variables:
            if name not in self._dims:
                self._dims[name] = next((d for d, _ in sensors if d in readings.dims_of(name)), "cell")
                self._variables.append(name)
        places = np.zeros(len(sensors), "i8")
        for number, (dim, name) in enumerate(sensors):
            if name not in self._places.get(dim, ()):
                # The twin lost it since; its readings stay.
                self._ids.setdefault(dim, []).append(name)
                self._places[dim] = pd.Index(self._ids[dim], dtype=object)
            places[number] = self._places[dim].get_loc(name)
        codes = np.array([self._variables.index(v) for v in variables], "i8")
        return readings.Columns(
            codes[found.variable], places[found.sensor], found.time, found.value, found.received.astype("i8")
        )

    def _grid(self, variable: int) -> readings.Grid:
        if variable not in self._grids:
            self._grids[variable] = readings.Grid(len(self._ids[self._dims[self._variables[variable]]]))
        return self._grids[variable]

    def _keep(self, found: readings.Columns) -> None:
        """Put readings into the grids, the newest of each key."""
        found = found[readings.newest(found)]
        self._stamp = max(self._stamp, int(found.received.max()))
        for variable in np.unique(found.variable).tolist():
            mine = found[found.variable == variable]
            grid = self._grid(variable)
            codes, times = pd.factorize(mine.time)
            row = grid.row(times)[codes]
            _, there = grid.at(row, mine.sensor)
            later = mine.received > there
            grid.put(row[later], mine.sensor[later], mine.value[later], mine.received[later])

    # ------------------------------------------------------------ recording

    def record(self, given: Mapping[str, Any]) -> Receipt:
        """Make readings durable. It returns once they are on the disk, and does nothing where it raises.

        Parameters
        ----------
        given : mapping
            ``variable`` and ``sensor`` (text), ``time`` (datetime64, UTC; it snaps to the nearest multiple of the
            variable's period) and ``value`` (float, in the unit of the vocabulary): arrays of one length, or one
            value for all.

        Returns
        -------
        Receipt

        Errors
        ------
        TwinError
            A column that is missing or no number, a variable without a period, a sensor that the twin lacks, a full
            disk. Then none of the batch is recorded.
        """
        with self._guard:
            self._mend()
            batch = self._numbered(given)
            try:
                return self._recorded(batch)
            except BaseException:
                # What is in memory may be ahead of the disk, or behind it after a failed flush: look again.
                self._broken = True
                raise

    def _mend(self) -> None:
        if self._broken:
            self._chest.drop()
            self._load()

    def _numbered(self, given: Mapping[str, Any]) -> readings.Columns:
        """Readings as numbers, times snapped; refuses what does not fit before anything is changed."""
        columns = readings.given(given)
        codes, names = columns["variable"]
        sensor_codes, sensors = columns["sensor"]
        time = np.array(columns["time"])
        place = np.empty(len(codes), "i8")
        variable = np.empty(len(codes), "i8")
        for number, name in enumerate(names):
            mine = slice(None) if len(names) == 1 else codes == number
            step = readings.period(name)
            time[mine] = readings.snapped(time[mine], step)
            # only the sensors of this variable: a batch may hold load of cells and temperature of sites
            own = sensors if len(names) == 1 else [sensors[i] for i in pd.unique(sensor_codes[mine])]
            dim = self._dim(name, own)
            found = self._places[dim].get_indexer(pd.Index(sensors, dtype=object))
            place[mine] = found[sensor_codes[mine]]
            if (place[mine] < 0).any():
                self._unknown(name, dim, [s for s, f in zip(sensors, found, strict=True) if f < 0 and s in set(own)])
            variable[mine] = self._variables.index(name)
        return readings.Columns(variable, place, time, columns["value"], np.zeros(len(codes), "i8"))

    def _dim(self, name: str, sensors: list[str]) -> str:
        """Whether a variable is read at cells or at sites: as it was, else where the first sensor is found."""
        for again in (False, True):
            if again and not self._refresh():
                break
            dims = [self._dims[name]] if name in self._dims else readings.dims_of(name)
            for dim in dims:
                if dim in self._places and (sensors[0] in self._places[dim] if sensors else True):
                    if name not in self._dims:
                        self._dims[name] = dim
                        self._variables.append(name)
                    return dim
        return self._unknown(name, " or ".join(dims), sensors[:1])

    def _refresh(self) -> bool:
        """Look whether the twin got new sensors since."""
        if self._read_sensors():
            self._load()
            return True
        return False

    def _unknown(self, name: str, dim: str, sensors: list[str]) -> str:
        known = [i for d, names in self._ids.items() if d in dim for i in names]
        near = close_to(sensors[0], known) if sensors and len(known) < 10_000 else ""
        raise TwinError(
            f"the id of a {dim} of the twin for '{name}'",
            found=quoted(sensors[0]) if sensors else "none",
            hint=f"did you mean {near}?" if near else f"save a twin that has the {dim}",
            where="sensor",
        )

    def sensors(self, variable: str) -> list[str]:
        """The ids at which a variable may be read here."""
        dims = [self._dims[variable]] if variable in self._dims else readings.dims_of(variable)
        return [i for d in dims for i in self._ids.get(d, [])]

    def _recorded(self, batch: readings.Columns) -> Receipt:
        now = max(-(-clock.time_ns() // 1_000_000), self._stamp)
        new = duplicate = corrected = 0
        waves: list[readings.Columns] = []
        waiting = batch
        while len(waiting):
            times, _ = pd.factorize(waiting.time)
            # A key that occurs twice in a batch: what comes later in it was received later.
            again = readings.repeated(waiting.variable, waiting.sensor, times)
            wave = waiting[~again] if again.any() else waiting
            waiting = waiting[again] if again.any() else waiting[:0]
            value, received = self._current(wave)
            known = received > 0
            same = known & (value == wave.value)
            duplicate += int(same.sum())
            if same.any():
                wave, known, received = wave[~same], known[~same], received[~same]
            if not len(wave):
                continue
            new += int((~known).sum())
            corrected += int(known.sum())
            # A correction is received after what it corrects, however fast it comes.
            now = max(now, int(received.max()) + 1)
            wave = readings.Columns(
                wave.variable, wave.sensor, wave.time, wave.value, np.broadcast_to(np.int64(now), len(wave))
            )
            self._put(wave)
            waves.append(wave)
            for number in np.unique(wave.variable).tolist():
                name = self._variables[number]
                self._told[name] = readings.together(self._told.get(name, ""), self.provenance)
        self._totals.count(new=new, duplicate=duplicate, corrected=corrected)
        if waves:
            self._chest.add([(now, len(w), self._packed(w)) for w in waves], self._totals)
            self._pending += waves
            self._newest = max(self._newest, *(int(w.time.max()) for w in waves))
            self._stamp = now
        return Receipt(new, duplicate, corrected, now * 1_000_000)

    def _each(self, wave: readings.Columns) -> Iterator[tuple[int, Any]]:
        first = int(wave.variable[0])
        if (wave.variable == first).all():
            yield first, slice(None)
        else:
            for variable in np.unique(wave.variable).tolist():
                yield variable, np.flatnonzero(wave.variable == variable)

    def _current(self, wave: readings.Columns) -> tuple[np.ndarray, np.ndarray]:
        """The newest value and stamp of each key, in the journal or in the store; stamp 0 where it is new."""
        value, received = np.empty(len(wave)), np.zeros(len(wave), "i8")
        for variable, mine in self._each(wave):
            grid = self._grid(variable)
            codes, times = pd.factorize(wave.time[mine])
            v, r = grid.at(grid.row(times)[codes], wave.sensor[mine])
            if len(self._base.time):
                stored = self._base.rows(times)[codes]
                look = np.flatnonzero(stored >= 0)
                if len(look):
                    if self._base.stale():
                        # Another one compacted, and what stood in its blocks may be gone.
                        self._base = drain.Base(self._root, self.node)
                    # What came late for a block may be older than what the block has.
                    b, s = self._base.at(self._variables[variable], stored[look], wave.sensor[mine][look])
                    newer = s > r[look]
                    v[look[newer]], r[look[newer]] = b[newer], s[newer]
            value[mine], received[mine] = v, r
        return value, received

    def _put(self, wave: readings.Columns) -> None:
        for variable, mine in self._each(wave):
            grid = self._grid(variable)
            codes, times = pd.factorize(wave.time[mine])
            grid.put(grid.row(times)[codes], wave.sensor[mine], wave.value[mine], wave.received[mine])

    def _packed(self, wave: readings.Columns) -> bytes:
        variable_codes, variables = pd.factorize(wave.variable)
        names = [self._variables[v] for v in variables]
        dims = [self._dims[n] for n in names]
        if len(set(dims)) <= 1:
            codes, places = pd.factorize(wave.sensor)
            sensors = [(dims[0], self._ids[dims[0]][p]) for p in places.tolist()] if dims else []
        else:
            kinds = {d: n for n, d in enumerate(dict.fromkeys(dims))}
            kind = np.array([kinds[d] for d in dims])[variable_codes]
            codes, places = pd.factorize(wave.sensor * len(kinds) + kind)
            order = list(kinds)
            sensors = [
                (order[p % len(kinds)], self._ids[order[p % len(kinds)]][p // len(kinds)]) for p in places.tolist()
            ]
        packed = readings.Columns(variable_codes, codes, wave.time, wave.value, wave.received)
        return readings.pack(packed, names, sensors, [self._told[n] for n in names])

    # ------------------------------------------------------------ what is refused

    def reject(self, letters: Iterable[tuple[str, bytes | str, str]]) -> int:
        """Keep messages that were refused, with the reason; they are counted, and never dropped in silence.

        Parameters
        ----------
        letters : iterable of (topic, payload, reason)
            Of a payload the first 4096 bytes are kept.

        Returns
        -------
        int
            How many.
        """
        kept = []
        for topic, payload, reason in letters:
            data = payload.encode("utf-8", "replace") if isinstance(payload, str) else bytes(payload[:CUT])
            kept.append((str(topic)[:CUT], data[:CUT], str(reason)[:CUT]))
        if not kept:
            return 0
        with self._guard:
            self._mend()
            for _, _, reason in kept:
                self._totals.refuse(reason)
            try:
                self._chest.refuse(kept, clock.time_ns() // 1_000_000, self._totals)
            except BaseException:
                self._broken = True
                raise
        return len(kept)

    # ------------------------------------------------------------ to the store

    def drain(self, *, message: str = "", all: bool = False, patience: float = 10.0) -> Any:  # noqa: A002
        """Commit whole blocks of readings to the store; the rest stays in the journal.

        Parameters
        ----------
        message : str
            Left out, it says how many readings of which time.
        all : bool
            Commit everything, also what fills no block. For the end, or before a store is handed on.
        patience : float
            How long to wait for another writer of the store [s].

        Returns
        -------
        Commit or None
            None where no block is whole yet.

        Errors
        ------
        TwinError
            Another writer, a full disk, a store that was altered. Nothing is lost then: the readings stay pending.
        """
        with self._guard:
            self._mend()
            if not self._pending:
                return None
            deadline = clock.monotonic() + patience
            while True:
                try:
                    return self._drained(message, everything=all)
                except TwinError as fault:
                    if fault.expected != "one writer at a time" or clock.monotonic() > deadline:
                        raise
                    clock.sleep(0.05)

    def _drained(self, message: str, *, everything: bool) -> Any:
        if self._base.stale():
            self._load()
        pending = readings.joined(self._pending)
        taken = self._base.taken(pending, everything=everything)
        if not taken.any():
            return None
        names = {dim: list(ids) for dim, ids in self._ids.items()}
        try:
            done = drain.commit(
                self._base,
                pending[taken],
                variables=self._variables,
                dims=self._dims,
                ids=names,
                told=self._told,
                mark=self._chest.mark(),
                message=message,
                author=self.author,
            )
        except BaseException:
            self._broken = True
            raise
        self._last_commit = done
        rest = pending[~taken]
        # The store has them now, whatever becomes of the journal's own tidying.
        self._broken = True
        self._chest.carry([(self._stamp, len(rest), self._packed(rest))] if len(rest) else [], self._totals)
        self._base = drain.Base(self._root, self.node)
        self._grids = {}
        if len(self._base.late):
            self._keep(self._base.late)
        if len(rest):
            self._keep(rest)
        self._pending = [rest] if len(rest) else []
        self._broken = False
        return done

    def status(self) -> Status:
        """How many readings are pending, and what came in so far."""
        with self._guard:
            since = min((int(p.received.min()) for p in self._pending), default=0)
            t = self._totals
            newest = np.datetime64(self._newest, "ns")
            return Status(
                sum(map(len, self._pending)),
                dt.datetime.fromtimestamp(since / 1000, dt.UTC) if since else None,
                self._last_commit,
                t.new,
                t.duplicate,
                t.corrected,
                dict(t.rejected),
                newest,
            )


def rejected(path: store.Path, *, node: str = "telemetry", where: store.Path | None = None) -> pd.DataFrame:
    """The messages that were refused, as a table: received, topic, reason, payload.

    The newest ten thousand are kept; all are counted, see `Journal.status`.

    Parameters
    ----------
    path : str or Path
    node : str
    where : str or Path, optional
        As for `journal`.
    """
    root = repository.located(path, anywhere=True)
    rows = chest.Chest.of(root, node, where=where).letters()
    table = pd.DataFrame(rows, columns=["received", "topic", "reason", "payload"])
    table["received"] = pd.to_datetime(table["received"], unit="ms").astype("datetime64[ns]")
    return table
