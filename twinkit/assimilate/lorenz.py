"""Two small chaotic models on which assimilation methods have been compared for decades, and their experiments.

An experiment bears the name of the paper that set it: a truth that we make, readings of it, and scores that others
have published for each method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pandas as pd
import xarray as xr

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DAY", "EPOCH", "Experiment", "lorenz63", "lorenz96", "rmse", "sakov2008", "sakov2012"]

DAY = 86400.0
"""[s]"""

EPOCH = np.datetime64("2000-01-01", "ns")
"""When every experiment starts."""


def lorenz96(state: xr.Dataset, dt: float, forcing: Any, rng: np.random.Generator) -> xr.Dataset:  # noqa: ARG001 - a step has these four
    """One Runge-Kutta step of Lorenz's ring of weather: 40 (or any number of) values along a circle of latitude.

    ::

        du[i]/dt = (u[i+1] - u[i-2]) u[i-1] - u[i] + F,   time unit 5 days

    Parameters
    ----------
    state : Dataset
        ``u`` (..., x), x last, on a ring of at least four; optionally ``force`` (...), F, else 8.
    dt : float [s]
        6 hours (0.05 time units) is usual.
    forcing, rng
        Not used: the model is closed and has no noise.

    Returns
    -------
    Dataset like `state`

    Validity
    --------
    Fourth-order Runge-Kutta in one step of `dt`: up to a quarter of a day is accurate.

    Examples
    --------
    The unstable rest u = F stays at rest.

    >>> rest = xr.Dataset({"u": ("x", np.full(40, 8.0))})
    >>> bool(np.allclose(lorenz96(rest, DAY / 4, None, None).u, 8.0))
    True

    References
    ----------
    E. N. Lorenz, Predictability: a problem partly solved, Proc. Seminar on Predictability, ECMWF (1996);
    E. N. Lorenz and K. A. Emanuel, J. Atmos. Sci. 55 (1998) 399-414.
    """
    variables = state.variables
    values = np.ascontiguousarray(variables["u"].data)
    force = np.empty(values.shape[:-1])
    force[...] = variables["force"].data if "force" in variables else 8.0
    new = _ring(values.reshape(-1, values.shape[-1]), force.reshape(-1), dt / (5 * DAY))
    data = {n: variables[n].data for n in state.data_vars}
    return state.copy(data=data | {"u": new.reshape(values.shape)})


@numba.njit(nogil=True, cache=True)
def _ring(rows, force, dt):  # type: ignore[no-untyped-def]
    out = np.empty_like(rows)
    n = rows.shape[1]
    slope, at, total = np.empty(n), np.empty(n), np.empty(n)
    for r in range(rows.shape[0]):
        u = rows[r]
        at[:] = u
        total[:] = 0.0
        for stage in range(4):
            for i in range(n):
                after = at[i + 1] if i + 1 < n else at[0]
                slope[i] = (after - at[i - 2]) * at[i - 1] - at[i] + force[r]
            weight = 1.0 if stage in (0, 3) else 2.0
            share = 0.5 if stage < 2 else 1.0
            for i in range(n):
                total[i] += weight * slope[i]
                at[i] = u[i] + share * dt * slope[i]
        for i in range(n):
            out[r, i] = u[i] + dt / 6 * total[i]
    return out


def lorenz63(state: xr.Dataset, dt: float, forcing: Any, rng: np.random.Generator) -> xr.Dataset:  # noqa: ARG001 - a step has these four
    """One Runge-Kutta step of Lorenz's convection: three coupled values on the butterfly.

    ::

        u̇ = 10 (v - u),   v̇ = u (28 - w) - v,   ẇ = u v - 8/3 w,   time unit 1 s

    Parameters
    ----------
    state : Dataset
        ``u`` (..., part), part last, of length 3.
    dt : float [s]
        0.01 is usual.
    forcing, rng
        Not used.

    Returns
    -------
    Dataset like `state`

    Examples
    --------
    >>> rest = xr.Dataset({"u": ("part", np.sqrt([72.0, 72.0, 729.0]))})
    >>> bool(np.allclose(lorenz63(rest, 0.01, None, None).u, rest.u))
    True

    References
    ----------
    E. N. Lorenz, Deterministic nonperiodic flow, J. Atmos. Sci. 20 (1963) 130-141, equations 25-27.
    """
    values = np.ascontiguousarray(state.variables["u"].data)
    return state.copy(data={"u": _butterfly(values.reshape(-1, 3), dt).reshape(values.shape)})


@numba.njit(nogil=True, cache=True)
def _butterfly(rows, dt):  # type: ignore[no-untyped-def]
    out = np.empty_like(rows)
    for r in range(rows.shape[0]):
        u, v, w = rows[r, 0], rows[r, 1], rows[r, 2]
        a, b, c = u, v, w
        du = dv = dw = 0.0
        for stage in range(4):
            x, y, z = 10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c
            weight = 1.0 if stage in (0, 3) else 2.0
            share = 0.5 if stage < 2 else 1.0
            du, dv, dw = du + weight * x, dv + weight * y, dw + weight * z
            a, b, c = u + share * dt * x, v + share * dt * y, w + share * dt * z
        out[r, 0], out[r, 1], out[r, 2] = u + dt / 6 * du, v + dt / 6 * dv, w + dt / 6 * dw
    return out


@dataclass(frozen=True)
class Experiment:
    """A truth, readings of it, and how to estimate it.

    Attributes
    ----------
    step : function
    dt : float [s]
        Longest model step.
    first : Dataset
        The centre of the first belief.
    spread : float
        Its standard deviation.
    truth, seen : DataArray (time, ...)
        At the times of the readings.
    noise : float
        Standard deviation of the readings.
    burn : int
        Cycles that do not count for the score.
    seed : int
    """

    step: Callable[..., xr.Dataset]
    dt: float
    first: xr.Dataset
    spread: float
    truth: xr.DataArray
    seen: xr.DataArray
    noise: float
    burn: int
    seed: int


def sakov2008(*, cycles: int = 1000, seed: int = 1) -> Experiment:
    """Lorenz-96 with 40 values, all read every 6 hours with unit noise: the setting of Sakov and Oke's table 1.

    Parameters
    ----------
    cycles : int
        Readings, of which the first 400 do not count (as many as reference codes leave out).
    seed : int

    Returns
    -------
    Experiment
        ``u`` on x, with its ``longitude`` [degree]: 9 degrees between neighbours.

    References
    ----------
    P. Sakov and P. R. Oke, A deterministic formulation of the ensemble Kalman filter, Tellus A 60 (2008) 361-371.
    """
    first = np.zeros(40)
    first[0] = 1.0
    return _experiment(
        lorenz96,
        first,
        ("x", {"longitude": 9.0 * np.arange(40)}),
        np.sqrt(0.001),
        DAY / 4,
        DAY / 4,
        1.0,
        cycles,
        400,
        seed,
    )


def sakov2012(*, cycles: int = 1000, seed: int = 1) -> Experiment:
    """Lorenz-63, all three values read every 0.25 s with noise of variance 2: the setting of Sakov and others' table 1.

    Parameters
    ----------
    cycles : int
        Readings, of which the first 64 do not count.
    seed : int

    References
    ----------
    P. Sakov, D. S. Oliver and L. Bertino, An iterative EnKF for strongly nonlinear systems, Mon. Weather Rev. 140
    (2012) 1988-2004.
    """
    first = np.array([1.509, -1.531, 25.46])
    return _experiment(
        lorenz63, first, ("part", {"name": ["u", "v", "w"]}), np.sqrt(2.0), 0.01, 0.25, np.sqrt(2.0), cycles, 64, seed
    )


def _experiment(
    step: Any,
    first: np.ndarray,
    axis: Any,
    spread: float,
    dt: float,
    every: float,
    noise: float,
    cycles: int,
    burn: int,
    seed: int,
) -> Experiment:
    if cycles < 1:
        raise TwinError("at least one cycle", found=str(cycles), hint="cycles=1000", where="cycles")
    rng = np.random.default_rng(np.random.SeedSequence((seed, 0x5EED)))
    dim, coordinate = axis
    coords = {name: (dim, values) for name, values in coordinate.items()}
    state = xr.Dataset({"u": (dim, first + spread * rng.standard_normal(first.shape))})
    steps = round(every / dt)
    truth = np.empty((cycles, len(first)))
    for k in range(cycles):
        for _ in range(steps):
            state = step(state, dt, None, rng)
        truth[k] = state["u"].to_numpy()
    times = pd.DatetimeIndex(EPOCH + np.round(np.arange(1, cycles + 1) * every * 1e9).astype("timedelta64[ns]"))
    true = xr.DataArray(truth, {"time": times, **coords}, ("time", dim), name="u")
    seen = true + noise * rng.standard_normal(truth.shape)
    centre = xr.Dataset({"u": (dim, first)}, {**coords, "time": EPOCH})
    return Experiment(step, dt, centre, float(spread), true, seen, float(noise), burn, seed)


def rmse(estimate: xr.DataArray, truth: xr.DataArray, *, burn: int = 0) -> float:
    """The root mean square error over space, averaged over time after `burn` cycles: the score of the tables.

    >>> truth = xr.DataArray(np.zeros((3, 2)), dims=("time", "x"))
    >>> rmse(truth + 2.0, truth, burn=1)
    2.0
    """
    error = (estimate - truth.transpose(*estimate.dims)).to_numpy()
    each = np.sqrt((error.reshape(len(error), -1) ** 2).mean(1))
    return float(each[burn:].mean())
