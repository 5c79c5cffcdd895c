"""From the broker to the journal: nothing is acknowledged before it is durable, and nothing durable is asked again.

One thread reads messages and journals them: a batch is what comes within `linger`, so that one fsync serves many
messages and none waits longer. Another commits whole chunks from the journal to the store. Whatever fails (the disk is
full, the store is locked, the broker restarts) is tried again until it succeeds or somebody stops the ingester: what
was not acknowledged stays with the broker, and what was stays in the journal.
"""

from __future__ import annotations

import hashlib
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.telemetry.connection import Message, Subscription
    from twinkit.telemetry.message import Gate

__all__ = ["Ingester", "session"]

TROUBLE = (TwinError, OSError, sqlite3.Error)


def session(path: str | Path, region: str) -> str:
    """The id of a store's session at a broker: the same each time, another for each store, region and machine.

    Examples
    --------
    >>> session("a.twin", "town") == session("./a.twin", "town") != session("b.twin", "town")
    True
    """
    said = "\0".join([str(Path(path).resolve()), region, socket.gethostname()])
    return f"twinkit-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


class Ingester:
    """Reads a subscription into a journal until it is stopped.

    Parameters
    ----------
    journal : Journal
        Of the store; see `twinkit.store.journal`.
    gate : Gate
        What may come in.
    subscription : Subscription
    linger : float [s]
        How long a message may wait for others, so that one fsync serves them all.
    most : int
        Messages in a batch.
    every : float [s]
        Between two commits of whole chunks.
    said : function of str, optional
        Told, in words, when something begins to fail and when it is well again.
    """

    def __init__(
        self,
        journal: Any,
        gate: Gate,
        subscription: Subscription,
        *,
        linger: float = 0.02,
        most: int = 5000,
        every: float = 10.0,
        said: Callable[[str], None] | None = None,
    ) -> None:
        self.journal, self.gate, self.subscription = journal, gate, subscription
        self.linger, self.most, self.every = linger, most, every
        self._said = said or (lambda _: None)
        self.messages = self.acknowledged = self.rejected = 0
        self.new = self.duplicate = self.corrected = 0
        self.lag = 0.0
        """From the arrival of the last batch's first message to its acknowledgement [s]."""
        self.commits = 0
        self.committed = 0.0
        """When the last commit was made [s since 1970]; 0 before the first."""
        self.trouble: dict[str, str] = {}
        """What fails now, by what it keeps us from: "broker", "journal", "commit"."""
        self.held = 0
        """Messages that came and are not yet durable."""
        self.pending = 0
        """Readings that are durable in the journal and not yet in a commit."""
        self._stop = threading.Event()
        self._drain: threading.Thread | None = None
        self._due = time.monotonic() + every
        self._wait = 0.0

    @property
    def readings(self) -> int:
        """Readings that came: new ones, corrections and duplicates."""
        return self.new + self.duplicate + self.corrected

    def stop(self, *_: Any) -> None:
        """End `run` after the batch at hand; fit to be a signal's handler."""
        self._stop.set()

    def run(self) -> None:
        """Read until `stop`; then journal what came, and commit all of it.

        Errors
        ------
        TwinError
            The broker refuses us, or another ingester took over; what was journaled is committed before.
        """
        batch: list[Message] = []
        first = 0.0
        try:
            while not self._stop.is_set():
                now = time.monotonic()
                wait = max(0.0, first + self.linger - now) if batch else 0.25
                came = self.subscription.read(self.most - len(batch), wait, burst=self.linger)
                self._note("broker", self.subscription.trouble)
                if came and not batch:
                    first = time.monotonic()
                batch += came
                self.held = len(batch)
                if batch and (len(batch) >= self.most or time.monotonic() >= first + self.linger):
                    if self.take(batch):
                        self.lag = time.monotonic() - first
                        batch = []
                    else:
                        self._rest(batch)
                self._commit()
            if batch:
                self.take(batch)
        finally:
            self.finish()

    def take(self, batch: list[Message]) -> bool:
        """Journal a batch and acknowledge it; False when it could not be made durable and is to be tried again."""
        seen = self.gate.admit([(m.topic, m.payload) for m in batch])
        try:
            receipt = self.journal.record(seen.readings) if len(seen.value) else None
            if seen.letters:
                self.journal.reject(seen.letters)
        except TROUBLE as fault:
            self._note("journal", str(fault))
            return False
        self._note("journal", "")
        self._wait = 0.0
        self.messages += len(batch)
        self.rejected += len(seen.letters)
        if receipt is not None:
            self.pending += receipt.new + receipt.corrected
            self.new += receipt.new
            self.duplicate += receipt.duplicate
            self.corrected += receipt.corrected
        self.held = 0
        self.acknowledged += self.subscription.acknowledge(batch)
        return True

    def _rest(self, batch: list[Message]) -> None:
        """Wait before a batch is tried again, and keep the connection; what comes meanwhile joins the batch."""
        self._wait = min(10.0, 2 * self._wait or 0.2)
        end = time.monotonic() + self._wait
        while not self._stop.is_set() and time.monotonic() < end:
            room = self.subscription.receive - len(batch)
            if room > 0:
                batch += self.subscription.read(room, 0.1)
            else:
                self._stop.wait(0.1)
            self.held = len(batch)

    def _commit(self) -> None:
        """Commit whole chunks now and then, beside the reading."""
        if time.monotonic() < self._due or (self._drain is not None and self._drain.is_alive()):
            return
        self._due = time.monotonic() + self.every
        self._drain = threading.Thread(target=self._drained, name="twinkit-commit", daemon=True)
        self._drain.start()

    def _drained(self, **choices: Any) -> bool:
        try:
            # patience only at the end: while a commit waits for another writer of the store, nothing is journaled
            commit = self.journal.drain(**{"patience": 0.0, **choices})
        except TROUBLE as fault:
            self._note("commit", str(fault))
            return False
        self._note("commit", "")
        self.pending = self.journal.status().pending
        if commit:
            self.commits += 1
            self.committed = time.time()
        return True

    def finish(self) -> None:
        """Leave the broker, and commit all that the journal holds; what cannot be committed now stays in it."""
        self.subscription.close()
        if self._drain is not None:
            self._drain.join()
        self._drained(all=True, patience=10.0)

    def _note(self, what: str, said: str) -> None:
        """Say a trouble when it begins and when it ends, not each time."""
        if self.trouble.get(what, "") == said:
            return
        if said:
            self.trouble[what] = said
            self._said(f"{what}: {said}")
        else:
            del self.trouble[what]
            self._said(f"{what}: well again")
