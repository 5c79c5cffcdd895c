"""The live twin: readings on their way into the store, and opening what was known at any moment.

``bulk`` appends four hours of two variables of 10 000 cells as they are; ``bulk-journal`` takes the same readings one
by one through the journal, its flush to the disk and the commit. ``open-commit`` and ``open-as-of`` open any of 10 000
commits, by head and by moment; the peer walks the engine's own history, and opens nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks import Row, _store_live, main

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows(*, quick: bool) -> Iterator[Row]:
    """The works of the live twin."""
    yield from _store_live.rows(quick=quick)


if __name__ == "__main__":
    sys.exit(main(rows))
