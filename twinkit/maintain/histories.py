"""Histories of sites that ran until they failed, made from a recipe: for lessons, tests, and sites without a past.

Where nobody has written down what failed and when, a model of the remaining life has nothing to learn from. These
histories stand in for it, with the variables of `twinkit.telemetry.health`, and say so in their provenance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import whole_seed, within
from twinkit.error import TwinError

__all__ = ["HEALTH", "histories"]

HEALTH = ("good_share", "staleness", "energy_excess", "temperature_excess")
"""The variables that tell how a site is doing."""

WORN = {"energy_excess": 0.30, "temperature_excess": 9.0}
"""What health shows on the day of the failure, on the mean: [1] more energy, [K] warmer than load and air explain."""


def histories(*, units: int, seed: int, mean_life: float = 140.0, longest: int = 400) -> xr.Dataset:
    r"""Sites whose cooling wears out, from a day of good health until the day on which they stop.

    Damage grows from an onset on, at a speed of each site's own, with steps that are never negative:

    .. math:: z_t = z_{t-1} + g_t, \qquad g_t \sim \Gamma(a_t), \qquad z_\text{failure} = 1,
       \qquad \text{excess}_t = w\, z_t + \text{noise}

    A gamma process, convex in time: what is worn wears faster. Energy and temperature rise together, each with a
    weather of its own; near the end readings fail to come.

    Parameters
    ----------
    units : int
    seed : int
    mean_life : float [d]
        From the first day of the history to the failure, about.
    longest : int [d]
        Histories are cut at this length.

    Returns
    -------
    Dataset (unit, step)
        The variables of `HEALTH`, by the day; NaN after the failure. ``ended`` (unit): False where the history was cut
        before the site failed.

    Validity
    --------
    A recipe, not a measurement: a learner of it knows no other way to fail than this slow one.

    Errors
    ------
    TwinError
        No units, a mean life below 30 or above 2000 days, a longest that leaves nothing.

    Examples
    --------
    >>> past = histories(units=20, seed=1)
    >>> ends = past.energy_excess.notnull().sum("step")
    >>> bool(past.energy_excess.isel(step=ends - 1).mean() > 0.2), bool(past.ended.mean() > 0.8)
    (True, True)

    References
    ----------
    van Noortwijk (2009), A survey of the application of gamma processes in maintenance, equation (5).
    """
    if isinstance(units, bool) or not isinstance(units, int | np.integer) or units < 1:
        raise TwinError("one unit or more", found=repr(units), hint="give units=60", where="units")
    within(mean_life, 30, 2000, name="mean_life", unit="d")
    if isinstance(longest, bool) or not isinstance(longest, int | np.integer) or longest < 30:
        raise TwinError("30 days or more", found=repr(longest), hint="give longest=400", where="longest")
    rng = np.random.default_rng(whole_seed(seed))
    day = np.arange(longest)
    onset = rng.uniform(0.1, 0.5, units) * mean_life
    span = np.maximum(rng.gamma(9.0, 0.7 * mean_life / 9.0, units), 15.0)
    since = np.maximum(day[None, :] - onset[:, None], 0) / span[:, None]
    mean = np.minimum(since, 20) ** 1.8
    shape = 60 * np.diff(mean, axis=1, prepend=0)
    damage = np.cumsum(rng.gamma(np.maximum(shape, 1e-12)), axis=1) / 60
    failed = damage >= 1
    ended = failed.any(axis=1)
    last = np.where(ended, failed.argmax(axis=1), longest - 1)
    alive = day[None, :] <= last[:, None]
    z = np.minimum(damage, 1.3)
    size = (units, longest)
    level = rng.normal(1, 0.12, (units, 1))
    energy = WORN["energy_excess"] * level * z + 0.012 * _wandering(rng, size, 4.0) + 0.008 * rng.standard_normal(size)
    warmth = (
        WORN["temperature_excess"] * level * z + 0.3 * _wandering(rng, size, 6.0) + 0.25 * rng.standard_normal(size)
    )
    lost = rng.beta(1.0, 60.0, size) + np.where(z > 0.7, rng.beta(1.0, 8.0, size), 0) * (rng.random(size) < 0.4)
    stale = 900.0 * rng.geometric(0.95, size) + 3600.0 * rng.poisson(np.where(z > 0.7, 0.6, 0.02))
    parts = {
        "good_share": np.clip(1 - lost, 0, 1),
        "staleness": stale,
        "energy_excess": energy,
        "temperature_excess": warmth,
    }
    said = {"provenance": f"generated: a gamma process of wear, seed {seed}"}
    data: dict[str, Any] = {n: (("unit", "step"), np.where(alive, v, np.nan), dict(said)) for n, v in parts.items()}
    data["ended"] = ("unit", ended, dict(said))
    return xr.Dataset(data, {"unit": np.array([f"u{k}" for k in range(units)], dtype=object), "step": day})


def _wandering(rng: np.random.Generator, size: tuple[int, int], memory: float) -> np.ndarray:
    """Noise of variance 1 that forgets within so many days."""
    from scipy.signal import lfilter

    kept = np.exp(-1 / memory)
    noise = rng.standard_normal(size) * np.sqrt(1 - kept**2)
    noise[:, 0] /= np.sqrt(1 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], noise, axis=1))
