"""Energy: what cells and servers draw, where it comes from, what sleep saves and what it costs people.

Power models take load and hardware; `dispatch` supplies a site through outages at least cost; `sleep` sends cells to
sleep that others can stand in for; `assessment` reports bits and square metres a joule as ETSI ES 203 228 asks.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

# Name → the module of this package in which it lives.
_WHERE = {
    "BY_KIND": "cell",
    "EQUIPMENT": "supply",
    "HARDWARE": "cell",
    "Hardware": "cell",
    "NAPS": "cell",
    "Nap": "cell",
    "PowerModel": "fit",
    "adapted_energy": "fit",
    "assessment": "report",
    "carbon": "report",
    "carbon_mass": "report",
    "cell_power": "cell",
    "chain_power": "cell",
    "clear_sky": "sun",
    "cloud_cover": "sun",
    "clouded": "sun",
    "cooling_power": "centre",
    "coverage_efficiency": "report",
    "coverage_quality": "report",
    "declination": "sun",
    "dispatch": "supply",
    "energy_efficiency": "report",
    "energy_used": "cell",
    "equation_of_time": "sun",
    "equipment": "supply",
    "expected_energy": "fit",
    "fit": "fit",
    "fit_servers": "servers",
    "generated_stations": "stations",
    "grid_outages": "outages",
    "latency_efficiency": "report",
    "nap_saving": "cell",
    "notices": "outages",
    "power": "cell",
    "power_usage_effectiveness": "centre",
    "read_servers": "servers",
    "read_stations": "stations",
    "server_power": "centre",
    "site_efficiency": "report",
    "site_power": "cell",
    "sleep": "sleep",
    "stamp_offset": "fit",
    "step": "centre",
    "sun_elevation": "sun",
    "sunlight": "sun",
    "time_to_critical": "centre",
    "up_share": "outages",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'twinkit.energy' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"twinkit.energy.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Energy(ModuleType):
    """Where a file bears the name of the function in it, the name means the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _WHERE.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Energy
