"""Radio: how much of the power that leaves an antenna arrives, and where.

Path loss models are functions of named quantities; `coverage` takes any of them, yours too.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

# Name → the module of this package in which it lives. Lazy, because some bring compiled kernels or climate maps.
_WHERE = {
    "Calibration": "calibrate",
    "HEIGHTS": "land_cover",
    "MODULATIONS": "service",
    "NLCD": "land_cover",
    "NLCD_GROUPS": "land_cover",
    "SHADOWING": "shadowing",
    "WORLDCOVER": "land_cover",
    "antenna_pattern": "antenna_file",
    "availability": "backhaul",
    "calibrate": "calibrate",
    "calibrated_loss": "calibrate",
    "clutter_above": "clutter_loss",
    "coverage": "coverage",
    "earth_space_clutter": "clutter_loss",
    "element": "antenna",
    "entry_loss": "entry_loss",
    "exact": "itu1812.area",
    "f1336": "antenna",
    "field_strength": "itu1812.path",
    "free_space": "free_space",
    "generated_drive": "measured",
    "generated_streets": "measured",
    "indoor_loss": "entry_loss",
    "inh": "indoor_office",
    "inh_los": "indoor_office",
    "inh_los_probability": "indoor_office",
    "inh_nlos": "indoor_office",
    "isotropic": "antenna",
    "land_cover": "land_cover",
    "location_deviation": "itu1812.path",
    "longley_rice": "itm",
    "longley_rice_area": "itm",
    "multipath_climate": "backhaul",
    "multipath_occurrence": "backhaul",
    "multipath_outage": "backhaul",
    "noise_power": "service",
    "p1812": "itu1812.path",
    "p1812_terms": "itu1812.path",
    "path_centre": "itu1812.profile",
    "pattern_gain": "antenna_file",
    "profile": "itu1812.profile",
    "rain_attenuation_per_metre": "rain",
    "rain_coefficients": "rain",
    "rain_fade": "backhaul",
    "rain_outage": "backhaul",
    "raster": "itu1812.raster",
    "rate": "service",
    "read_drive": "measured",
    "read_streets": "measured",
    "refractivity_gradient": "itu1812.path",
    "repaired": "measured",
    "resource_element_power": "best_server",
    "rma": "tr38901",
    "rma_los": "tr38901",
    "rma_los_probability": "tr38901",
    "rma_nlos": "tr38901",
    "sector": "antenna",
    "service": "service",
    "shadow_fading": "shadowing",
    "street_features": "streets",
    "sweep": "itu1812.area",
    "terrain_profile": "itu1812.raster",
    "terrestrial_clutter": "clutter_loss",
    "uma": "tr38901",
    "uma_los": "tr38901",
    "uma_los_probability": "tr38901",
    "uma_nlos": "tr38901",
    "umi": "tr38901",
    "umi_los": "tr38901",
    "umi_los_probability": "tr38901",
    "umi_nlos": "tr38901",
    "wall_loss": "entry_loss",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'twinkit.radio' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"twinkit.radio.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Radio(ModuleType):
    """Where a file bears the name of the function in it, the name means the function.

    Importing twinkit.radio.coverage would otherwise bind the module over the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _WHERE.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Radio
