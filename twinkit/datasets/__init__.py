"""Where twins come from: real regions, generated towns, registered files, and readers of what others publish."""

from __future__ import annotations

import importlib
from typing import Any

_FUNCTIONS = {"fetch": "files", "region": "regions", "registry": "files", "town": "towns"}

__all__ = [*_FUNCTIONS]


def __getattr__(name: str) -> Any:
    # Lazy, so that a classroom without the extra "geo" can still generate its town.
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"twinkit.datasets.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'twinkit.datasets' has no attribute '{name}'")
