"""Assimilation: a model and its readings joined into an estimate that knows how far it can be trusted.

    state = tk.assimilate.ensemble(state, members=50, spread=0.1, seed=1)
    state = tk.assimilate.forecast(state, step, until=seen.time, seed=1)
    state = tk.assimilate.update(state, seen, noise=0.05, method=tk.assimilate.letkf(radius=20e3))

`estimate` goes through a whole series and keeps the record that `alarm` reads.
"""

from twinkit.assimilate.belief import ensemble, spread
from twinkit.assimilate.cycle import estimate, forecast, update
from twinkit.assimilate.interpolate import interpolated
from twinkit.assimilate.kalman import filtered, smoothed
from twinkit.assimilate.local import letkf
from twinkit.assimilate.localise import gaspari_cohn
from twinkit.assimilate.observation import innovation
from twinkit.assimilate.resample import particle
from twinkit.assimilate.transform import finite_size, perturbed, square_root
from twinkit.assimilate.trust import alarm, rank_histogram, reliability, staleness

__all__ = [
    "alarm",
    "ensemble",
    "estimate",
    "filtered",
    "finite_size",
    "forecast",
    "gaspari_cohn",
    "innovation",
    "interpolated",
    "letkf",
    "particle",
    "perturbed",
    "rank_histogram",
    "reliability",
    "smoothed",
    "spread",
    "square_root",
    "staleness",
    "update",
]
