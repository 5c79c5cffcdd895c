"""Mobility: where people go. Models of flows, a simulated truth, telecom records, and the way back to flows.

Two forms hold everything together. **Flows** are a DataArray ``flow`` (origin, destination) [people] whose two axes
carry the ids of the twin's places; a ``time`` dim may stand before them. **Records** are a Dataset on the dim
``event``: ``subscriber`` and ``cell`` (ids) and the coordinate ``time`` (UTC).

The whole way: `streets`, `diary` and `simulate` make a town's day whose truth is known (`trip_flow`); `event_records`
is what an operator keeps of it, and `records` takes one's own. `footprint` says where a cell's people are. From there
`origin_destination` gives the flows of everybody, `corrected` by counts, and `trips` those of the subscribers, which
`tk.privacy.release` makes into a table that may be published. `hourly_flows` does it for more than memory holds.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

# Name → the module of this package in which it lives. Lazy, because some bring compiled kernels or SUMO.
_WHERE = {
    "assigned": "counts",
    "balanced": "flow",
    "common_part": "agreement",
    "corrected": "counts",
    "diary": "diary",
    "distances": "flow",
    "event_records": "record",
    "fit_balanced": "fit",
    "fit_gravity": "fit",
    "flow_matrix": "form",
    "flows": "flow",
    "footprint": "origin_destination",
    "geh": "counts",
    "gravity": "flow",
    "gtfs": "transit",
    "hourly_flows": "hourly",
    "metro": "stations",
    "nearest_place": "diary",
    "night_homes": "stay",
    "origin_destination": "origin_destination",
    "partitioned": "hourly",
    "poisson_fit": "fit",
    "radiation": "flow",
    "records": "form",
    "simulate": "simulate",
    "station_entries": "stations",
    "stays": "stay",
    "street_counts": "simulate",
    "street_share": "counts",
    "streets": "streets",
    "trip_flow": "diary",
    "trips": "origin_destination",
    "utc": "record",
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


class _Mobility(ModuleType):
    """Where a file bears the name of the function in it, the name means the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _WHERE.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Mobility
