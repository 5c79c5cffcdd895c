"""Where twins come from: real regions, generated towns, registered files, and readers of what others publish.

`region` and `town` build twins; `fetch` and `registry` get public files; the modules `towers`, `elevation`,
`climate` and `gazetteer` read tower registers, elevation tiles, the ITU-R's maps and GeoNames.
"""

from __future__ import annotations

import importlib
from typing import Any

_FUNCTIONS = {"fetch": "files", "region": "regions", "registry": "files", "town": "towns"}
_MODULES = ("climate", "elevation", "gazetteer", "towers")

__all__ = [*_FUNCTIONS, *_MODULES]


def __getattr__(name: str) -> Any:
    # Lazy, so that a classroom without the extra "geo" can still generate its town.
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"twinkit.datasets.{_FUNCTIONS[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"twinkit.datasets.{name}")
    raise AttributeError(f"module 'twinkit.datasets' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
