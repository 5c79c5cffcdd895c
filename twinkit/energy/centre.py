"""A data centre as a twin of its own: server power, heat, cooling and its failure."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import physics, within
from twinkit.error import TwinError
from twinkit.radio.elementwise import over

__all__ = ["cooling_power", "power_usage_effectiveness", "server_power", "step", "time_to_critical"]

ZERO = 273.15
"""[K] at 0 degC."""

STEADY = 0.1
"""Part of the fastest time constant that one step inside `step` takes: its error stays below a hundredth of a kelvin
for a change of ten."""

CONSTANTS = {
    "air_capacity": (1.0, 1e12, "J/K"),
    "server_capacity": (1.0, 1e12, "J/K"),
    "server_resistance": (1e-9, 1e6, "K/W"),
    "wall_resistance": (1e-9, 1e6, "K/W"),
    "cooling_most": (0.0, 1e12, "W"),
    "cooling_gain": (0.0, 1e12, "W/K"),
    "setpoint": (-20.0, 60.0, "degC"),
}
"""What the state of `step` holds beside the two temperatures, with plausible range and unit."""

FORCING = {"power": (0.0, 1e12, "W"), "outdoor": (-60.0, 60.0, "degC"), "cooling": (0.0, 1.0, "1")}


@physics(
    gives="power",
    valid={"load": (0.0, 1.0), "idle": (0.0, 1e6), "busy": (0.0, 1e6), "curvature": (1.0, 5.0)},
    load="1",
    idle="W",
    busy="W",
)
def server_power(load: Any, *, idle: Any, busy: Any, curvature: Any = 1.0) -> Any:
    r"""Power of a server by its utilisation.

    .. math:: P = P_{idle} + (P_{busy} - P_{idle})\,(2u - u^r)

    Parameters
    ----------
    load : float, array or DataArray [1]
        Utilisation u of its processors.
    idle, busy : float, array or DataArray [W]
    curvature : float, array or DataArray
        Exponent r: 1 is a straight line; Fan et al. found 1.4.

    Returns
    -------
    float, array or DataArray [W]

    Validity
    --------
    Means over minutes or more; within 1 % for thousands of servers together, far worse for one (`fit_servers` says).

    Errors
    ------
    TwinError
        A utilisation outside 0 to 1, or a negative power.

    Examples
    --------
    >>> [round(server_power(u, idle=100, busy=200, curvature=1.4)) for u in (0, 0.5, 1)]
    [100, 162, 200]

    References
    ----------
    X. Fan, W.-D. Weber, L. A. Barroso, Power provisioning for a warehouse-sized computer, ISCA 2007, section 4.1,
    doi:10.1145/1250662.1250665.
    """
    return over(lambda u, least, most, bend: least + (most - least) * (2 * u - u**bend), load, idle, busy, curvature)


@physics(
    valid={
        "heat": (0.0, 1e10),
        "outdoor": (-60.0, 60.0),
        "setpoint": (-20.0, 60.0),
        "approach": (0.1, 40.0),
        "carnot": (0.01, 1.0),
        "fans": (0.0, 1.0),
    },
    heat="W",
    outdoor="degC",
    setpoint="degC",
    approach="K",
)
def cooling_power(heat: Any, *, outdoor: Any, setpoint: Any, approach: Any, carnot: Any, fans: Any) -> Any:
    r"""Electric power that carries heat out of a room.

    .. math:: P = Q\,\Big(f + \frac{\max(0,\ T_h - T_c)}{\kappa\, T_c}\Big), \quad T_h = T_{out} + \Delta,\quad
        T_c = T_{set} - \Delta

    A chiller of the share κ of Carnot's efficiency, which rests when it is cool enough outside (free cooling).

    Parameters
    ----------
    heat : float, array or DataArray [W]
        To be carried out, Q.
    outdoor, setpoint : float, array or DataArray [degC]
    approach : float [K]
        Temperature Δ lost in each heat exchanger; 5 to 10.
    carnot : float
        κ; 0.3 to 0.5 for common machines.
    fans : float
        Share f of the heat that fans and pumps take whatever the weather.

    Returns
    -------
    float, array or DataArray [W]

    Validity
    --------
    A steady machine within its capacity; no humidity.

    Errors
    ------
    TwinError
        A value outside its range.

    Examples
    --------
    >>> like = {"setpoint": 24.0, "approach": 6.0, "carnot": 0.4, "fans": 0.05}
    >>> [round(cooling_power(10e3, outdoor=t, **like)) for t in (5, 35)]
    [500, 2475]
    """

    def watts(q: Any, out: Any, inside: Any, lost: Any, share: Any, blown: Any) -> Any:
        cold = inside - lost + ZERO
        return q * (blown + np.maximum(0.0, out + lost + ZERO - cold) / (share * cold))

    return over(watts, heat, outdoor, setpoint, approach, carnot, fans)


@physics(valid={"servers": (1e-9, 1e12), "cooling": (0.0, 1e12), "losses": (0.0, 1e12)}, servers="W", cooling="W")
def power_usage_effectiveness(servers: Any, *, cooling: Any, losses: Any) -> Any:
    r"""Power of the whole data centre over that of its servers: PUE.

    .. math:: PUE = \frac{P_{IT} + P_{cooling} + P_{losses}}{P_{IT}}

    Parameters
    ----------
    servers, cooling : float, array or DataArray [W]
    losses : float, array or DataArray [W]
        Of power supplies, wires and lights.

    Returns
    -------
    float, array or DataArray [1]
        At least 1. PUE is defined over energies of a year; of powers it is that of the moment.

    Validity
    --------
    Any; it says nothing of whether the servers do something useful.

    Errors
    ------
    TwinError
        Servers that draw nothing, or a negative power.

    Examples
    --------
    >>> power_usage_effectiveness(10e3, cooling=3e3, losses=1e3)
    1.4

    References
    ----------
    ISO/IEC 30134-2:2016; Recommendation ITU-T L.1302.
    """
    return over(lambda it, cold, lost: (it + cold + lost) / it, servers, cooling, losses)


@physics(
    valid={
        "power": (0.0, 1e12),
        "start": (-60.0, 200.0),
        "critical": (-60.0, 200.0),
        "outdoor": (-60.0, 60.0),
        "capacity": (1e-9, 1e12),
        "resistance": (1e-9, 1e9),
    },
    power="W",
    start="degC",
    critical="degC",
    outdoor="degC",
    capacity="J/K",
    resistance="K/W",
)
def time_to_critical(power: Any, *, start: Any, critical: Any, outdoor: Any, capacity: Any, resistance: Any) -> Any:
    r"""How long a room keeps cool enough once nothing cools it.

    .. math:: t = -RC \ln \frac{T_\infty - T_{crit}}{T_\infty - T_0}, \quad T_\infty = T_{out} + P R

    Parameters
    ----------
    power : float, array or DataArray [W]
        Heat of the servers.
    start, critical, outdoor : float, array or DataArray [degC]
    capacity : float, array or DataArray [J/K]
        Heat capacity C of air, racks and walls that follow.
    resistance : float, array or DataArray [K/W]
        Of the walls, R.

    Returns
    -------
    float, array or DataArray [s]
        0 where it is too hot already, infinite where the walls carry the heat out.

    Validity
    --------
    One temperature for the whole room. Air alone would give minutes, the masses that follow slowly give more: fit C.

    Errors
    ------
    TwinError
        A negative power, or a capacity or resistance that is not positive.

    Examples
    --------
    >>> room = {"start": 24.0, "critical": 40.0, "outdoor": 30.0, "capacity": 2e6, "resistance": 0.01}
    >>> round(time_to_critical(20e3, **room) / 60, 1), time_to_critical(500.0, **room)
    (27.0, inf)

    References
    ----------
    The lumped-capacity law: F. P. Incropera et al., Fundamentals of Heat and Mass Transfer, 6th edition, section 5.3.
    """

    def seconds(watt: Any, first: Any, worst: Any, out: Any, heat: Any, wall: Any) -> Any:
        end = out + watt * wall
        hot, never = first >= worst, end <= worst
        safe = ~hot & ~never
        ratio = np.where(safe, (end - worst) / np.where(safe, end - first, 1.0), 1.0)
        return np.where(hot, 0.0, np.where(never, np.inf, -wall * heat * np.log(ratio)))

    return over(seconds, power, start, critical, outdoor, capacity, resistance)


def step(
    state: xr.Dataset,
    dt: float,
    forcing: Any,
    rng: np.random.Generator,  # noqa: ARG001 - every step takes one; this draws nothing
) -> xr.Dataset:
    r"""Temperatures of servers and of the air about them, with a cooling that may fail; a `step` for `simulate`.

    .. math:: C_s \dot T_s = P - \frac{T_s - T_a}{R_s}, \qquad
        C_a \dot T_a = \frac{T_s - T_a}{R_s} - \frac{T_a - T_{out}}{R_w} - Q

    .. math:: Q = k\, \min\big(Q_{most},\ g \max(0, T_a - T_{set})\big)

    with k the share of the cooling that works.

    Parameters
    ----------
    state : Dataset
        ``air_temperature`` and ``server_temperature`` [degC]; constant in the step ``air_capacity`` and
        ``server_capacity`` [J/K], ``server_resistance`` and ``wall_resistance`` [K/W], ``cooling_most`` [W],
        ``cooling_gain`` [W/K] and ``setpoint`` [degC]. All may have dims (member, draw): what is not known is a dim.
    dt : float [s]
        Any; it is cut into steps that the fastest time constant allows.
    forcing : Dataset
        ``power`` [W] of the servers, ``outdoor`` [degC], and ``cooling``, the share that works.
    rng : Generator
        Not drawn from.

    Returns
    -------
    Dataset like `state`

    Validity
    --------
    Two well-mixed masses. Hot spots, humidity and fans that speed up are not modelled.

    Errors
    ------
    TwinError
        A state or forcing without one of them, or a value outside its range.

    Examples
    --------
    The cooling fails at noon; an hour later:

    >>> from twinkit.dynamics import simulate
    >>> room = {"air_capacity": 1e6, "server_capacity": 5e5, "server_resistance": 1e-3, "wall_resistance": 1e-2}
    >>> room |= {"cooling_most": 3e4, "cooling_gain": 1e4, "setpoint": 24.0}
    >>> state = xr.Dataset({"air_temperature": 26.0, "server_temperature": 46.0, **room})
    >>> failed = xr.Dataset({"power": 2e4, "outdoor": 30.0, "cooling": 0.0})
    >>> run = simulate(step, state, steps=60, dt=60, forcing=lambda time: failed, seed=1)
    >>> float(run.air_temperature[-1].round()), float(run.server_temperature[-1].round())
    (71.0, 86.0)

    References
    ----------
    The lumped-capacity law: F. P. Incropera et al., Fundamentals of Heat and Mass Transfer, 6th edition, section 5.3.
    """
    missing = [n for n in ("air_temperature", "server_temperature", *CONSTANTS) if n not in state]
    lacks = [n for n in FORCING if not isinstance(forcing, xr.Dataset) or n not in forcing]
    if missing or lacks:
        raise TwinError(
            f"a state with {', '.join(('air_temperature', 'server_temperature', *CONSTANTS))}; forcing with"
            f" {', '.join(FORCING)}",
            found=f"no {', '.join(missing)}" if missing else f"forcing without {', '.join(lacks)}",
            hint="xr.Dataset({...}) of both; forcing=lambda time: ... for a constant",
            where="energy.step",
        )
    v = {str(n): state.variables[n] for n in state.data_vars}
    f = {n: forcing.variables[n] for n in FORCING}
    for name, (low, high, unit) in (CONSTANTS | FORCING).items():
        within((v if name in v and name in CONSTANTS else f)[name].values, low, high, name=name, unit=unit)
    air, hot = v["air_temperature"], v["server_temperature"]
    conducts = 1 / v["server_resistance"]
    # of the air: the chips, the walls and the cooling pull at it
    fastest = np.minimum(
        v["server_capacity"] / conducts,
        v["air_capacity"] / (conducts + 1 / v["wall_resistance"] + v["cooling_gain"]),
    )
    count = max(1, int(np.ceil(dt / (STEADY * float(fastest.min())))))
    part = dt / count
    for _ in range(count):
        flow = (hot - air) * conducts
        cooled = f["cooling"] * np.minimum(v["cooling_most"], v["cooling_gain"] * (air - v["setpoint"]).clip(min=0.0))
        warmer = air + part / v["air_capacity"] * (flow - (air - f["outdoor"]) / v["wall_resistance"] - cooled)
        hot, air = hot + part / v["server_capacity"] * (f["power"] - flow), warmer
    return state.assign(air_temperature=air, server_temperature=hot)
