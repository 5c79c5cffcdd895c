"""Made diaries: a town whose people go to work and on errands, so that there is a truth against which to look.

It stands in where no traffic simulation is at hand; nothing in it was observed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.contract import whole_seed
from twinkit.error import TwinError
from twinkit.privacy.account import positive

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["diaries"]


def diaries(
    zones: xr.Dataset,
    *,
    subscribers: int,
    days: int,
    first_day: str,
    reach: float,
    working: float,
    errands: float,
    seed: int,
) -> pd.DataFrame:
    """Trips of made people: home by where people live, work by gravity, errands near home.

    Equation: P(work in j | home in i) ~ people_j exp(-d_ij / reach).

    Parameters
    ----------
    zones : Dataset, dim zone
        `x`, `y` [m] and `people` [people].
    subscribers : int
    days : int
    first_day : str
        ``"2026-03-02"``.
    reach : float [m]
    working : float [1]
        Share of the people who go to work on a day.
    errands : float [1]
        Mean number of errands of a person on a day.
    seed : int

    Returns
    -------
    DataFrame
        One row a trip: `subscriber`, `day`, `hour`, `origin`, `destination`.

    Errors
    ------
    TwinError
        Zones without people or coordinates, numbers out of range.

    Examples
    --------
    >>> import xarray as xr
    >>> town = xr.Dataset({"x": ("zone", [0.0, 2e3]), "y": ("zone", [0.0, 0.0]), "people": ("zone", [900.0, 100.0])},
    ...                   {"zone": ["a", "b"]})
    >>> trips = diaries(town, subscribers=10, days=1, first_day="2026-03-02", reach=2e3, working=0.5, errands=1.0,
    ...                 seed=1)
    >>> list(trips.columns)
    ['subscriber', 'day', 'hour', 'origin', 'destination']
    """
    need = [n for n in ("x", "y", "people") if n not in zones.variables]
    if need or "zone" not in zones.coords:
        raise TwinError(
            "zones with x, y and people", found=f"no {', '.join(need) or 'labels'}", hint="dim zone", where="zones"
        )
    for value, name in ((subscribers, "subscribers"), (days, "days")):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise TwinError("a whole number from 1", found=repr(value), hint=f"{name}=7", where=name)
    reach, errands = positive(reach, "reach"), positive(errands, "errands", zero=True)
    working = positive(working, "working", zero=True, below=1.0000001)
    weight = np.asarray(zones.people.values, float)
    if not np.isfinite(weight).all() or (weight < 0).any() or not weight.sum():
        raise TwinError("people in the zones", found="none, or numbers below zero", hint="count them", where="people")
    generator = np.random.default_rng(whole_seed(seed))
    x, y = (np.asarray(zones[n].values, float) for n in ("x", "y"))
    pull = weight * np.exp(-np.hypot(x[:, None] - x, y[:, None] - y) / reach)
    chance = np.cumsum(pull, axis=1)

    home = np.searchsorted(np.cumsum(weight), generator.random(subscribers) * weight.sum(), side="right")
    work = _towards(chance, home, generator)
    parts: list[dict[str, Any]] = []
    everybody = np.arange(subscribers)
    for day in range(days):
        goes = everybody[generator.random(subscribers) < working]
        out = np.clip(np.rint(generator.normal(8, 1.2, goes.size)), 4, 12).astype(int)
        back = np.clip(out + np.rint(generator.normal(9, 1.5, goes.size)).astype(int), out + 1, 23)
        runs = np.repeat(everybody, generator.poisson(errands, subscribers))
        there = _towards(chance, home[runs], generator)
        leaves = generator.integers(9, 21, runs.size)
        for who, hour, a, b in (
            (goes, out, home[goes], work[goes]),
            (goes, back, work[goes], home[goes]),
            (runs, leaves, home[runs], there),
            (runs, leaves + generator.integers(1, 3, runs.size), there, home[runs]),
        ):
            parts.append(
                {"subscriber": who, "day": np.full(who.size, day), "hour": hour, "origin": a, "destination": b}
            )
    whole = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    label = zones.zone.to_numpy()
    whole["day"] = np.datetime64(first_day, "D").astype("datetime64[ns]") + whole["day"] * np.timedelta64(1, "D")
    whole |= {k: label[whole[k]] for k in ("origin", "destination")}
    table = pd.DataFrame(whole)
    return table.sort_values(["day", "hour", "subscriber"], kind="stable", ignore_index=True)


def _towards(chance: np.ndarray, start: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A destination for each start, by the chances of its row."""
    lot = generator.random(start.size)
    out = np.empty(start.size, np.int64)
    for zone in np.unique(start):
        here = start == zone
        out[here] = np.searchsorted(chance[zone], lot[here] * chance[zone, -1], side="right")
    return np.minimum(out, chance.shape[0] - 1)
