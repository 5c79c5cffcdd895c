"""Mobility: where people go. Models of flows, a simulated truth, telecom records, and the way back to flows.

Two forms hold everything together. **Flows** are a DataArray ``flow`` (origin, destination) [people] whose two axes
carry the ids of the twin's places; a ``time`` dim may stand before them. **Records** are a Dataset on the dim
``event``: ``subscriber`` and ``cell`` (ids) and the coordinate ``time`` (UTC).
"""

from __future__ import annotations

import importlib
from typing import Any

# Name → the module of this package in which it lives. Lazy, because some bring compiled kernels or SUMO.
_WHERE = {
    "balanced": "flow",
    "distances": "flow",
    "fit_balanced": "fit",
    "fit_gravity": "fit",
    "flow_matrix": "form",
    "flows": "flow",
    "gravity": "flow",
    "poisson_fit": "fit",
    "radiation": "flow",
    "records": "form",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'twinkit.mobility' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"twinkit.mobility.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
