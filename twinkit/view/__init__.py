"""View: what a twin shows to people. Maps, before and after, the places served worst, fans,
recovery curves, networks, and where the data come from.

Every picture is a `Figure`: a PNG with alt text written from the numbers in it, in English, Hindi, French or Persian,
and the table of those numbers; `save` writes it as PNG or as one page of HTML.
Large arrays are thinned on the way in, a block at a time, so that a map of 4000 × 4000 pixels costs the memory of
the picture. Nothing here needs a screen. `panned` gives a map to pan and zoom, in a notebook or an app.
"""

from __future__ import annotations

import importlib
from typing import Any

from twinkit.view._bars import worst_served
from twinkit.view._figure import Figure, font
from twinkit.view._layers import Layers, layers
from twinkit.view._map import before_after, coverage, map_of
from twinkit.view._plain import plain
from twinkit.view._table import markup
from twinkit.view.diagram import network_diagram
from twinkit.view.fan import fan_chart
from twinkit.view.panning import PannedMap, panned
from twinkit.view.recovery import recovery_curve
from twinkit.view.vision import VISIONS, colours_apart, lightness, seen_colours

__all__ = [
    "VISIONS",
    "Figure",
    "Layers",
    "PannedMap",
    "before_after",
    "colours_apart",
    "coverage",
    "dashboard",
    "fan_chart",
    "font",
    "layers",
    "lightness",
    "map_of",
    "markup",
    "network_diagram",
    "panned",
    "plain",
    "recovery_curve",
    "seen_colours",
    "worst_served",
]


def __getattr__(name: str) -> Any:
    # Lazy: the dashboards bring Panel, which nobody who draws a map has to wait for.
    if name == "dashboard":
        return importlib.import_module("twinkit.view.dashboard")
    raise AttributeError(f"module 'twinkit.view' has no attribute '{name}'")
