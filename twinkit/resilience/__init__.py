"""What if it fails: hazards, damage, the cascade through power and backhaul, crews, and what to harden first.

A hazard is a probability of having failed, for everything that can fail and every hour. `strike` draws from it, always
with the same luck, `recovery` sends crews, `served` walks the network and counts the people, `critical` asks which
site, link or battery would have helped most, `warning_reach` whom an alert still finds.
"""

from twinkit.resilience.assets import AUTONOMY, CORE, assets, autonomy_of, electrified
from twinkit.resilience.attack import common_mode, cut, most_central
from twinkit.resilience.critical import critical
from twinkit.resilience.cyclone import best_track, cyclone, track
from twinkit.resilience.earthquake import earthquake, peak_acceleration
from twinkit.resilience.flood import flood, flood_level
from twinkit.resilience.footprint import hazard
from twinkit.resilience.fragility import CURVES, Curve, fragility
from twinkit.resilience.recovery import REPAIR, first_come, quickest, recovery
from twinkit.resilience.served import catchment, depending, interval, most_people, served
from twinkit.resilience.strike import luck, strike
from twinkit.resilience.warning import inside, warning_reach
from twinkit.resilience.wind import holland, holland_shape, maximum_wind_radius, peak_wind, pressure_drop

__all__ = [
    "AUTONOMY",
    "CORE",
    "CURVES",
    "REPAIR",
    "Curve",
    "assets",
    "autonomy_of",
    "best_track",
    "catchment",
    "common_mode",
    "critical",
    "cut",
    "cyclone",
    "depending",
    "earthquake",
    "electrified",
    "first_come",
    "flood",
    "flood_level",
    "fragility",
    "hazard",
    "holland",
    "holland_shape",
    "inside",
    "interval",
    "luck",
    "maximum_wind_radius",
    "most_central",
    "most_people",
    "peak_acceleration",
    "peak_wind",
    "pressure_drop",
    "quickest",
    "recovery",
    "served",
    "strike",
    "track",
    "warning_reach",
]
