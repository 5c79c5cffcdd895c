"""A thread that answers the newest question alone: who drags a mast asks anew before the last one is answered."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker"]


class Worker:
    """A thread that answers the newest question alone.

    Parameters
    ----------
    work : function
        ``work(question, newer)``; `newer()` says whether another question waits.
    """

    def __init__(self, work: Callable[[Any, Callable[[], bool]], None]) -> None:
        self._work = work
        self._waits = threading.Condition()
        self._next: Any = None
        self._thread: threading.Thread | None = None
        self._ended = False

    def ask(self, question: Any) -> None:
        """Have this answered next; what waits is forgotten."""
        with self._waits:
            self._next = question
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._run, daemon=True, name="plan")
                self._thread.start()
            self._waits.notify()

    def newer(self) -> bool:
        """Whether a question waits, or nobody wants an answer any more."""
        return self._ended or self._next is not None

    def end(self) -> None:
        """Answer no more."""
        with self._waits:
            self._ended = True
            self._waits.notify()

    def _run(self) -> None:
        while True:
            with self._waits:
                while self._next is None and not self._ended:
                    self._waits.wait()
                if self._ended:
                    return
                question, self._next = self._next, None
            self._work(question, self.newer)
