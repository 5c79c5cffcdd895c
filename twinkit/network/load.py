"""Load in time: how busy each cell is over the day and the week.

The model is a `step` for `dynamics.simulate`, `assimilate` and what-ifs alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MEMORY", "WANDER", "demand", "rhythm", "step"]

MEMORY = 3600.0
"""[s] After this time a cell has forgotten all but 1/e of a surge."""

WANDER = 0.35
"""[1] Standard deviation of a cell's log-odds of load about its typical value: ±0.09 at half load."""


def rhythm(time: Any, *, evening: float = 20.0, weekend: float = 0.85) -> Any:
    """How busy an hour is against the week's busiest: a night's trough, a noon shoulder, an evening peak.

    ::

        r(t) = w (0.12 + 0.88 (0.62 d(t - evening) + 0.38 d(t - noon)) / max),   d(h) = ((1 + cos(2π h/24)) / 2)²

    with w = `weekend` on Saturday and Sunday, blended over six hours around midnight.

    Parameters
    ----------
    time : datetime64, pandas.Timestamp, array or DataArray of them
        Local time of the cells: shift UTC before.
    evening : float [h]
        Middle of the evening's rush; with the noon shoulder the busiest hour is somewhat earlier.
    weekend : float [1]
        Weekend over weekday.

    Returns
    -------
    float, array or DataArray [1]
        Between 0.1 and 1, continuous.

    Validity
    --------
    A smooth shape as operators report it (trough 3-5 h, peak 19-22 h), not a fit to one city.

    Errors
    ------
    TwinError
        An hour outside the day, or a weekend factor that is not positive.

    Examples
    --------
    >>> night, peak = rhythm(np.array(["2026-03-02T04:00", "2026-03-02T20:00"], "datetime64[ns]")).round(2)
    >>> float(night), float(peak)
    (0.18, 0.97)
    """
    within(evening, 0, 24, name="evening", unit="h")
    within(weekend, 0.01, 10, name="weekend", unit="1")
    if isinstance(time, xr.DataArray):
        return time.copy(data=rhythm(time.to_numpy(), evening=evening, weekend=weekend)).rename("rhythm")
    instant = np.asarray(time, "datetime64[ns]") if not isinstance(time, pd.Timestamp) else time.to_datetime64()
    days = (instant - np.datetime64("2024-01-01", "ns")) / np.timedelta64(1, "D")  # a Monday
    hour, day = 24 * np.mod(days, 1.0), np.mod(days, 7.0)

    def bump(centre: float) -> Any:
        return ((1 + np.cos(2 * np.pi * (hour - centre) / 24)) / 2) ** 2

    shape = 0.62 * bump(evening) + 0.38 * bump(13.0)
    highest = np.max(0.62 * _bumps(evening) + 0.38 * _bumps(13.0))
    # 0 in the week, 1 at the weekend, a quarter of a day to change
    free = np.clip((day - 4.875) / 0.25, 0, 1) * np.clip((7.125 - day) / 0.25, 0, 1) + np.clip(
        (0.125 - day) / 0.25, 0, 1
    )
    return (1 + (weekend - 1) * free) * (0.12 + 0.88 * shape / highest)


def _bumps(centre: float) -> np.ndarray:
    return ((1 + np.cos(2 * np.pi * (np.arange(0, 24, 0.1) - centre) / 24)) / 2) ** 2


def demand(
    peak: xr.DataArray, *, hours: float = 0.0, evening: float = 20.0, weekend: float = 0.85
) -> Callable[[Any], Any]:
    """The typical load of each cell as a function of time: what `step` takes as forcing.

    Parameters
    ----------
    peak : DataArray (cell, ...) [1]
        Load in the busiest hour of the week, between 0 and 1.
    hours : float [h]
        Local time minus UTC.
    evening, weekend
        As for `rhythm`.

    Returns
    -------
    function of a time (UTC)
        Gives a DataArray like `peak`.

    Errors
    ------
    TwinError
        A peak outside 0 to 1.

    Examples
    --------
    >>> typical = demand(xr.DataArray([0.8], {"cell": ["a"]}, "cell"), hours=5.5)
    >>> typical(np.datetime64("2026-03-02T14:30")).round(2).values
    array([0.78])
    """
    if not isinstance(peak, xr.DataArray):
        raise TwinError(
            "the peak load as a DataArray on cell", found=f"a {type(peak).__name__}",
            hint="xr.DataArray(values, {'cell': ids}, 'cell')", where="peak",
        )  # fmt: skip
    within(peak, 0, 1, name="peak", unit="1")
    within(hours, -14, 14, name="hours", unit="h")
    rhythm(np.datetime64("2024-01-01"), evening=evening, weekend=weekend)  # refuses bad choices here, not hours later
    shift = np.timedelta64(round(hours * 3600), "s")

    def typical(time: Any) -> xr.DataArray:
        local = (time.to_datetime64() if isinstance(time, pd.Timestamp) else np.asarray(time, "datetime64[ns]")) + shift
        return peak * float(rhythm(local, evening=evening, weekend=weekend))

    return typical


def step(state: xr.Dataset, dt: float, forcing: Any, rng: np.random.Generator) -> xr.Dataset:
    """Load on cells: it wanders about its typical value and comes back to it, and never leaves 0 to 1.

    The log-odds of load follow an Ornstein-Uhlenbeck process, stepped exactly whatever `dt`::

        z = ln(load / (1 - load)),   z' = m + (z - m) e^(-dt/τ) + s √(1 - e^(-2 dt/τ)) ε,   ε ~ N(0, 1)

    with m the log-odds of the typical load times the cell's ``growth``, τ = `MEMORY` and s the state's ``wander``.

    Parameters
    ----------
    state : Dataset
        ``load`` (..., cell) [1]. Optionally, and constant in the step: ``growth`` [1], how far the cell's demand has
        grown beyond its typical value (1: not), and ``wander`` [1] (else `WANDER`; 0: no noise). They may be estimated
        with the load.
    dt : float [s]
    forcing : DataArray (cell) [1]
        Typical load during the step: ``forcing=demand(peak)`` of the loop gives it.
    rng : Generator

    Returns
    -------
    Dataset like `state`

    Validity
    --------
    Minutes to weeks. Neighbouring cells wander independently; load that spills from a full cell is not modelled.

    Errors
    ------
    TwinError
        A state without load, or no forcing.

    Examples
    --------
    >>> from twinkit.dynamics import simulate
    >>> peak = xr.DataArray([0.8], {"cell": ["a"]}, "cell")
    >>> quiet = xr.Dataset({"load": ("cell", [0.1]), "wander": 0.0}, {"cell": ["a"]})
    >>> quiet = quiet.assign_coords(time=np.datetime64("2026-03-02T12:00", "ns"))
    >>> run = simulate(step, quiet, steps=32, dt=900, forcing=demand(peak), seed=1)
    >>> float(run["load"].isel(time=-1, cell=0).round(2))
    0.79
    """
    if "load" not in state or not isinstance(forcing, xr.DataArray):
        raise TwinError(
            "a state with 'load', and the typical load as forcing",
            found=f"{', '.join(map(str, state)) or 'an empty state'}; forcing {type(forcing).__name__}",
            hint="simulate(network.step, state, forcing=network.demand(peak), ...)",
            where="network.step",
        )
    # on Variables: labels have been checked by the loop, and a step is called very often
    parts = state.variables
    load, typical = parts["load"], forcing.variable
    if "growth" in parts:
        typical = typical * parts["growth"]
    wander = parts.get("wander", WANDER)
    kept = float(np.exp(-dt / MEMORY))
    middle = _odds(typical)
    # drawn in the order of the load's dims, so that a member dim changes no other draw's place
    noise = xr.Variable(load.dims, rng.standard_normal(load.shape))
    moved = middle + (_odds(load) - middle) * kept + wander * np.sqrt(1 - kept**2) * noise
    new = (1 / (1 + np.exp(-moved))).transpose(*load.dims)
    data = {str(n): parts[n].data for n in state.data_vars}
    return state.copy(data=data | {"load": new.data.astype(load.dtype, copy=False)})


def _odds(share: xr.Variable) -> xr.Variable:
    # a filter may have pushed it over the edge; a thousandth is an empty cell
    inside = share.clip(1e-3, 1 - 1e-3)
    odds: xr.Variable = np.log(inside / (1 - inside))  # type: ignore[assignment]
    return odds
