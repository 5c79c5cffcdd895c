"""Digital twins of telecom networks as labelled arrays.

A twin is a labelled tree of arrays. Every function takes labelled arrays and choices, and gives back labelled
arrays. Nothing is changed in place. What must be remembered is committed.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# The verbs of every day, and where they live. All else is reached through its module: tk.radio.coverage.
_VERBS = {
    "TwinError": "error",
    "assemble": "twin",
    "axis": "twin",
    "branch": "store",
    "diff": "store",
    "explain": "contract",
    "extend": "twin",
    "history": "store",
    "open": "store",
    "save": "store",
    "stamp": "contract",
    "tag": "store",
    "tiles": "twin",
    "validate": "twin",
    "verify": "store",
}
_MODULES = (
    "assimilate",
    "city",
    "contract",
    "datasets",
    "dynamics",
    "energy",
    "exchange",
    "forecast",
    "learn",
    "lesson",
    "maintain",
    "mobility",
    "network",
    "participate",
    "plan",
    "privacy",
    "radio",
    "resilience",
    "store",
    "study",
    "telemetry",
    "twin",
    "view",
    "vocabulary",
)

__all__ = ["__version__", *_MODULES, *_VERBS]


def __getattr__(name: str) -> Any:
    # Lazy, because importing everything costs seconds and a hundred megabytes.
    if name in _VERBS:
        value = getattr(importlib.import_module(f"twinkit.{_VERBS[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"twinkit.{name}")
    else:
        raise AttributeError(f"module 'twinkit' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
