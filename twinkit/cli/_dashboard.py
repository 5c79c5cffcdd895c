"""`twinkit dashboard`: the dashboards of a store, served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twinkit.cli._shown import say, shown

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["served"]


def served(store: Path, **choices: Any) -> None:
    """Serve until SIGINT or SIGTERM."""
    import sys

    from twinkit.view.dashboard.serve import serve

    if "" not in sys.path:
        sys.path.insert(0, "")  # an app of one's own lies in the folder of now
    serve(store, say=lambda line: say(shown(line, line=True)), **choices)
