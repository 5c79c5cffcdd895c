"""The network: sites and links as a graph, what is carried over it, how full and how slow it gets.

`step` is its model in time, for `dynamics.simulate`, `assimilate` and what-ifs alike.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

# Name → the module of this package in which it lives. Lazy, because some bring compiled kernels or solvers.
_WHERE = {
    "Bursts": "hops",
    "Carrying": "carry",
    "DIRECTIONS": "graph",
    "Index": "graph",
    "MEMORY": "load",
    "WANDER": "load",
    "backhauled": "traffic",
    "carrying": "carry",
    "catchment": "traffic",
    "concurrent_flow": "flow",
    "delay": "delay",
    "demand": "load",
    "erlang_b": "queueing",
    "erlang_c": "queueing",
    "fitting": "flow",
    "graph": "graph",
    "graphml": "graphml",
    "gravity": "traffic",
    "index": "graph",
    "link_load": "route",
    "members": "read",
    "offered_at": "flow",
    "packet_delay": "delay",
    "rhythm": "load",
    "routes": "route",
    "routing": "route",
    "sndlib": "sndlib",
    "step": "load",
    "weak_links": "cut",
    "weak_sites": "cut",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'twinkit.network' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"twinkit.network.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Network(ModuleType):
    """Where a file bears the name of the function in it, the name means the function.

    Importing twinkit.network.graph would otherwise bind the module over the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _WHERE.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Network
