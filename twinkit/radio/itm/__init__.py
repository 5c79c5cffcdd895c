"""The Irregular Terrain Model of Longley and Rice (NTIA), over terrain profiles and, without them, over an area.

`longley_rice` reads a profile of ground heights for every path; `longley_rice_area` needs only the distance and
one number for the roughness of the land, and so fits any path-loss argument. Both are checked against the
reference tables that NTIA publishes with its own code.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import physics, within
from twinkit.error import TwinError, close_to
from twinkit.radio.itm.reference import (
    ERROR_EARTH,
    ERROR_GROUND,
    ERROR_REFRACTIVITY,
    ERROR_UNDEFINED,
    effective_earth,
    ground_impedance,
    reference_attenuation,
)
from twinkit.radio.itm.terrain import horizon_angle, mean_height, read_profile, smooth_horizon, workspace
from twinkit.radio.itm.variability import CLIMATES, MODES, deviate, loss_exceeded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CLIMATES", "MODES", "SITINGS", "TERMS", "WARNINGS", "longley_rice", "longley_rice_area"]

SITINGS = ("random", "careful", "very careful")
"""How the mast of an area prediction was placed."""

WARNINGS = {
    0x0001: "the transmitter's height is near its limits (1 to 1000 m)",
    0x0002: "the receiver's height is near its limits (1 to 1000 m)",
    0x0004: "the frequency is near its limits (40 MHz to 10 GHz)",
    0x0008: "the path is longer than 1000 km",
    0x0010: "the path is longer than 2000 km: take care",
    0x0020: "the path is short for the difference of the effective heights",
    0x0040: "the path is shorter than 1 km: take care",
    0x0080: "the transmitter's horizon angle is above 200 mrad",
    0x0100: "the receiver's horizon angle is above 200 mrad",
    0x0200: "the transmitter's horizon is nearer than a tenth of that over a smooth earth",
    0x0400: "the receiver's horizon is nearer than a tenth of that over a smooth earth",
    0x0800: "the transmitter's horizon is farther than three times that over a smooth earth",
    0x1000: "the receiver's horizon is farther than three times that over a smooth earth",
    0x2000: "a percentage lies far in the tail of its distribution",
    0x4000: "the surface refractivity is below 250 N-units",
}
"""What each warning flag means; the values are those of NTIA's code."""

TERMS = {
    "loss": "dB",
    "free_space_loss": "dB",
    "reference_attenuation": "dB",
    "transmitter_horizon_angle": "radian",
    "receiver_horizon_angle": "radian",
    "transmitter_horizon_distance": "m",
    "receiver_horizon_distance": "m",
    "transmitter_effective_height": "m",
    "receiver_effective_height": "m",
    "surface_refractivity": "1",
    "terrain_irregularity": "m",
    "distance": "m",
    "mode": "1",
    "warnings": "1",
}
"""Every intermediate by name, with its unit; mode is 1 line of sight, 2 diffraction, 3 troposcatter."""

# Flags that speak of the inputs or of small numbers alone; the shape of the terrain sets the others on ordinary paths.
_LOUD = 0x0001 | 0x0002 | 0x0004 | 0x0010 | 0x2000 | 0x4000
_ERRORS = {
    ERROR_REFRACTIVITY: "a surface refractivity from 150 to 400 N-units",
    ERROR_EARTH: "an effective earth radius from 4000 to 13333 km",
    ERROR_GROUND: "a ground whose impedance is mostly real",
    ERROR_UNDEFINED: "ground, frequency and terrain for which the model's equations are defined",
}
_COLUMNS = 12  # of the table of parameters


@numba.njit(nogil=True, cache=True)
def _quantile(
    loss: float,
    mode: int,
    flags: int,
    row: Any,
    distance: float,
    h_1: float,
    h_2: float,
    irregularity: float,
    climate: int,
    variation: int,
    out: Any,
) -> None:
    """Fill loss, free-space loss, mode and flags of one path once the reference attenuation is known."""
    transmitter, receiver, frequency = row[1], row[2], row[0]
    flags |= 0x0001 * (transmitter < 1.0 or transmitter > 1000.0) | 0x0002 * (receiver < 1.0 or receiver > 1000.0)
    flags |= 0x0004 * (frequency < 40.0 or frequency > 10000.0)
    total = np.nan
    free = 32.45 + 20.0 * math.log10(frequency * distance / 1000.0)
    if mode > 0:
        total, more = loss_exceeded(
            loss,
            distance,
            h_1,
            h_2,
            irregularity,
            frequency,
            row[7],
            row[8],
            row[9],
            climate,
            variation % 10,
            variation // 10 % 2 == 0,
            variation < 20,
        )
        total += free
        flags |= more
    out[0], out[1], out[2] = total, free, loss
    out[11], out[12], out[13] = distance, mode, flags


@numba.njit(nogil=True, cache=True)
def _over_terrain(
    heights: Any, spacing: Any, table: Any, inverse: Any, climate: int, variation: int, begin: int, end: int, out: Any
) -> None:
    """Fill rows begin to end of `out` (paths, TERMS) for profiles (paths, samples); the kernel of `longley_rice`."""
    samples = heights.shape[1]
    there, back, scratch = np.empty(samples), np.empty(samples), workspace()
    for p in range(begin, end):
        row = table[p if table.shape[0] > 1 else 0]
        for i in range(samples):
            there[i] = heights[p, i]
        for i in range(samples):
            back[i] = there[samples - 1 - i]
        step = spacing[p if spacing.size > 1 else 0]
        distance = (samples - 1) * step
        surface, radius = effective_earth(mean_height(there), row[3])
        impedance = ground_impedance(row[0], row[4], row[5], row[6] > 0.5)
        t_1, t_2, d_1, d_2, h_1, h_2, rough = read_profile(there, back, inverse, scratch, step, row[1], row[2], radius)
        loss, mode, flags = reference_attenuation(
            distance, t_1, t_2, d_1, d_2, h_1, h_2, row[1], row[2], rough, radius, surface, impedance, row[0], True
        )
        _quantile(loss, mode, flags, row, distance, h_1, h_2, rough, climate, variation, out[p])
        out[p, 3], out[p, 4], out[p, 5], out[p, 6] = t_1, t_2, d_1, d_2
        out[p, 7], out[p, 8], out[p, 9], out[p, 10] = h_1, h_2, surface, rough


@numba.njit(nogil=True, cache=True)
def _effective(mast: float, rough: float, siting: float) -> float:
    """Effective height [m] of a mast by how it was placed (equation 3.2)."""
    if siting < 0.5:
        return mast
    bonus = 4.0 if siting < 1.5 else 9.0
    if mast < 5.0:
        bonus *= math.sin(0.1 * math.pi * mast)
    return mast + (1.0 + bonus) * math.exp(-min(20.0, 2.0 * mast / max(1e-3, rough)))


@numba.njit(nogil=True, cache=True)
def _over_area(
    distances: Any, roughs: Any, table: Any, climate: int, variation: int, begin: int, end: int, out: Any
) -> None:
    """Fill rows begin to end of `out` (paths, TERMS); the kernel of `longley_rice_area`."""
    for p in range(begin, end):
        row = table[p if table.shape[0] > 1 else 0]
        rough = roughs[p if roughs.size > 1 else 0]
        surface, radius = effective_earth(0.0, row[3])
        impedance = ground_impedance(row[0], row[4], row[5], row[6] > 0.5)
        h_1, h_2 = _effective(row[1], rough, row[10]), _effective(row[2], rough, row[11])
        smooth_1, d_1 = smooth_horizon(h_1, radius, rough)
        smooth_2, d_2 = smooth_horizon(h_2, radius, rough)
        t_1, t_2 = horizon_angle(h_1, smooth_1, d_1, rough), horizon_angle(h_2, smooth_2, d_2, rough)
        loss, mode, flags = reference_attenuation(
            distances[p], t_1, t_2, d_1, d_2, h_1, h_2, row[1], row[2], rough, radius, surface, impedance, row[0], False
        )
        _quantile(loss, mode, flags, row, distances[p], h_1, h_2, rough, climate, variation, out[p])
        out[p, 3], out[p, 4], out[p, 5], out[p, 6] = t_1, t_2, d_1, d_2
        out[p, 7], out[p, 8], out[p, 9], out[p, 10] = h_1, h_2, surface, rough


def _workers() -> int:
    """Threads that a call may use: all cores from the main thread, one from a thread of dask, which has its own."""
    if threading.current_thread() is not threading.main_thread():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_threads(fill: Callable[[int, int], None], paths: int, workers: int) -> None:
    """Call `fill(begin, end)` so that every path is covered once, over as many threads as there are cores."""
    if workers == 1 or paths < 2048:
        fill(0, paths)
        return
    edges = np.linspace(0, paths, 4 * workers + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(fill, int(a), int(b)) for a, b in itertools.pairwise(edges)]:
            done.result()


def _chosen(value: str, known: tuple[str, ...], name: str) -> int:
    if value in known:
        return known.index(value)
    near = close_to(str(value), known)
    raise TwinError(
        f"{name} among {', '.join(repr(k) for k in known)}",
        found=repr(value),
        hint=f"use {near}" if near else "choose one of them",
        where=name,
    )


def _deviates(percent: Any) -> np.ndarray:
    return np.vectorize(deviate, otypes=[float])(np.asarray(percent, float) / 100.0)


class _Choices:
    """The parameters that both functions share, checked once, and the run over one block of paths."""

    def __init__(self, climate: str, polarisation: str, variability: str, location: bool, situation: bool) -> None:
        self.climate = _chosen(climate, CLIMATES, "climate")
        self.vertical = float(_chosen(polarisation, ("horizontal", "vertical"), "polarisation"))
        self.variation = _chosen(variability, MODES, "variability") + 10 * (not location) + 20 * (not situation)
        left_out = [k for k, varies in (("location", location), ("situation", situation)) if not varies]
        self.said = f"climate {climate}; {polarisation} polarisation; variability {variability}" + "".join(
            f" without that of {k}" for k in left_out
        )

    def table(self, columns: list[Any], shape: tuple[int, ...]) -> np.ndarray:
        """Parameters as rows of one table, a single row where none of them varies."""
        frequency, tx, rx, refractivity, permittivity, conductivity, time, location, situation, *siting = columns
        ready = [np.asarray(frequency, float) / 1e6, tx, rx, refractivity, permittivity, conductivity, self.vertical]
        ready += [_deviates(time), _deviates(location), _deviates(situation), *(siting or (0.0, 0.0))]
        arrays = [np.asarray(r, float) for r in ready]
        if all(a.ndim == 0 for a in arrays):
            return np.array([arrays], float)
        return np.stack([np.broadcast_to(a, shape).ravel() for a in arrays], axis=-1)


def _assumed(choices: _Choices, **quantities: Any) -> str:
    """The ground, the air and the shares for which the loss holds, in words."""
    said = [f"{k} {float(v):g}" if np.ndim(v) == 0 else f"{k} as given" for k, v in quantities.items()]
    return "; ".join([choices.said, *said])


def _told(out: np.ndarray, where: str, *, details: bool) -> None:
    """Errors as one TwinError, and the flags of the inputs as one warning, where they are not returned anyway."""
    modes = out[:, 12]
    wrong = np.flatnonzero(modes < 0)
    if wrong.size:
        raise TwinError(
            _ERRORS[int(modes[wrong[0]])],
            found=f"none at {wrong.size} of {modes.size} paths, first at path {wrong[0]}",
            hint="check refractivity, permittivity and conductivity, and that heights are metres above sea level",
            where=where,
        )
    if details:
        return
    flags = out[:, 13].astype(int)
    seen = functools.reduce(int.__or__, set(flags.tolist()), 0) & _LOUD
    if seen:
        said = "; ".join(text for flag, text in WARNINGS.items() if seen & flag)
        warnings.warn(f"{where}: {said} (details=True gives the flags of each path)", stacklevel=5)


_VALID = {
    "frequency": (20e6, 20e9),
    "transmitter_height": (0.5, 3000.0),
    "receiver_height": (0.5, 3000.0),
    "refractivity": (250.0, 400.0),
    "permittivity": (1.0, 1000.0),
    "conductivity": (1e-9, 1e3),
    "time": (0.01, 99.99),
    "location": (0.01, 99.99),
    "situation": (0.01, 99.99),
}
_UNITS = {"frequency": "Hz", "transmitter_height": "m", "receiver_height": "m", "conductivity": "S/m"}
_UNITS |= {"time": "%", "location": "%", "situation": "%"}


def _mapped(block: Callable[..., np.ndarray], data: Any, core: list[str], others: list[Any], *, details: bool) -> Any:
    """Map `block(workers, data, *others)` over labelled, lazy or plain arrays; the loss alone or all terms."""
    labelled = any(isinstance(a, xr.DataArray) for a in (data, *others))
    if not labelled:
        result = block(_workers(), np.asarray(data), *others)
        if not details:
            return float(result) if result.ndim == 0 else result
        terms = xr.DataArray(result, dims=[*(f"dim_{i}" for i in range(result.ndim - 1)), "term"])
    else:
        lazy = any(isinstance(a, xr.DataArray) and a.chunks is not None for a in (data, *others))
        if core and not (isinstance(data, xr.DataArray) and core[0] in data.dims):
            raise TwinError(
                f"heights with a dim '{core[0]}', transmitter first",
                found=f"dims {data.dims}" if isinstance(data, xr.DataArray) else "an array without labels",
                hint=f"name the dim along the path '{core[0]}'",
                where="heights",
            )
        workers = 1 if lazy else _workers()
        terms = xr.apply_ufunc(
            functools.partial(block, workers),
            data,
            *others,
            input_core_dims=[core, *([] for _ in others)],
            output_core_dims=[["term"] if details else []],
            dask="parallelized",
            dask_gufunc_kwargs={"output_sizes": {"term": len(TERMS)}} if details else {},
            output_dtypes=[float],
            keep_attrs="drop",
        )
        if not details:
            return terms
    named = {name: terms.isel(term=i).assign_attrs(units=unit) for i, (name, unit) in enumerate(TERMS.items())}
    named["warnings"] = named["warnings"].astype(np.int32)
    named["warnings"].attrs = {"units": "1", "flag_masks": list(WARNINGS), "flag_meanings": list(WARNINGS.values())}
    named["mode"] = named["mode"].astype(np.int8)
    named["mode"].attrs = {"units": "1", "flag_values": [1, 2, 3]}
    named["mode"].attrs["flag_meanings"] = ["line of sight", "diffraction", "troposcatter"]
    return xr.Dataset(named)


def _even(heights: Any) -> tuple[xr.DataArray, float]:
    """Heights with a dim `sample`, and the step that their coordinate `distance` has."""
    if not isinstance(heights, xr.DataArray) or "distance" not in heights.indexes:
        raise TwinError(
            "a spacing, or heights with a coordinate 'distance'",
            found="neither",
            hint="give spacing=30.0, the step of the profile in metres",
            where="spacing",
        )
    steps = np.diff(heights.indexes["distance"].to_numpy().astype(float))
    if steps.size == 0 or not np.allclose(steps, steps.mean(), rtol=1e-6) or steps.mean() <= 0:
        raise TwinError(
            "heights at equal steps",
            found=f"steps from {steps.min(initial=np.inf):g} to {steps.max(initial=0):g} m",
            hint="heights.interp(distance=np.linspace(0, length, 258))",
            where="distance",
        )
    return heights.drop_vars("distance").rename(distance="sample"), float(steps.mean())


@physics(gives="path_loss", valid=_VALID, why="Longley-Rice", heights="m", spacing="m", **_UNITS)
def longley_rice(
    heights: Any,
    *,
    spacing: Any = None,
    frequency: Any,
    transmitter_height: Any,
    receiver_height: Any,
    climate: str,
    polarisation: str = "vertical",
    refractivity: Any = 301.0,
    permittivity: Any = 15.0,
    conductivity: Any = 0.005,
    time: Any = 50.0,
    location: Any = 50.0,
    situation: Any = 50.0,
    variability: str = "broadcast",
    location_varies: bool = True,
    situation_varies: bool = True,
    details: bool = False,
) -> Any:
    r"""Loss over terrain by the Irregular Terrain Model (Longley-Rice), point to point.

    .. math:: L = L_\text{free} + A_\text{ref} - V_\text{med} - Y_R - Y_S

    Parameters
    ----------
    heights : array (..., sample) or DataArray with dim ``sample`` or ``distance`` [m]
        Ground heights above sea level at equal steps, from the transmitter to the receiver, both included.
    spacing : float or array [m], optional
        The step of each path; left out, it is read from a coordinate ``distance`` of the heights.
    frequency : float or array [Hz]
    transmitter_height, receiver_height : float or array [m]
        Of the antennas above the ground.
    climate : str
        One of `CLIMATES`.
    polarisation : {"vertical", "horizontal"}
    refractivity : float or array [N-unit]
        At sea level; 301 is the model's average.
    permittivity, conductivity : float or array [1], [S/m]
        Of the ground; 15 and 0.005 are average ground.
    time, location, situation : float or array [%]
        The loss is not exceeded for this share of the time, of like locations and of like situations (confidence).
    variability : str
        One of `MODES`: which of the three are taken together. At 50 % it does not matter.
    location_varies, situation_varies : bool
        False leaves that variation out (NTIA's mode of variability + 10 and + 20).
    details : bool
        True gives every term of `TERMS` and the warning flags in a Dataset, whose attrs say what was assumed.

    Returns
    -------
    float, array (...) or DataArray [dB], or a Dataset

    Validity
    --------
    20 MHz to 20 GHz, antennas 0.5 to 3000 m high, paths of 1 to 2000 km; made for irregular terrain without
    buildings. Inputs near a limit warn, as NTIA's code flags them.

    Errors
    ------
    TwinError
        A parameter outside its range, a name that is not known, fewer than two heights, a void in the profile,
        or a path whose surface refractivity leaves the model.

    Examples
    --------
    A ridge of 100 m half way along 10 km costs 30 dB more than flat ground.

    >>> x = np.linspace(-1, 1, 201)
    >>> flat, ridge = np.zeros(201), 100 * np.exp(-((8 * x) ** 2))
    >>> losses = longley_rice([flat, ridge], spacing=50, frequency=9e8, transmitter_height=30,
    ...                       receiver_height=1.5, climate="continental temperate")
    >>> losses.round(1)
    array([127.4, 157.3])

    References
    ----------
    NTIA Report 82-100 (1982); Hufford, "The ITS Irregular Terrain Model, version 1.2.2: the algorithm" (1995).
    """
    if spacing is None:
        heights, spacing = _even(heights)
    within(spacing, 1e-3, 1e6, name="spacing", unit="m")
    choices = _Choices(climate, polarisation, variability, location_varies, situation_varies)

    def block(workers: int, raw: np.ndarray, step: Any, *columns: Any) -> np.ndarray:
        raw = np.asarray(raw)
        if raw.ndim == 0 or raw.shape[-1] < 2:
            raise TwinError(
                "at least two heights along the path",
                found=f"shape {raw.shape}",
                hint="sample the ground from the transmitter to the receiver, both included",
                where="heights",
            )
        shape = np.broadcast_shapes(raw.shape[:-1], *(np.shape(c) for c in (step, *columns)))
        rows = np.broadcast_to(raw, (*shape, raw.shape[-1])).reshape(-1, raw.shape[-1])
        if rows.dtype not in (np.float32, np.float64):
            rows = rows.astype(float)
        # a sum is NaN or infinite where any height is, and makes no second array
        if not np.isfinite(rows.sum(dtype=float)):
            bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise TwinError(
                "a height at every sample",
                found=f"a void in path {bad}",
                hint="fill the voids of the terrain first, and say so in its provenance",
                where="heights",
            )
        steps = np.asarray(step, float)
        steps = steps.reshape(1) if steps.ndim == 0 else np.ascontiguousarray(np.broadcast_to(steps, shape)).ravel()
        table = choices.table(list(columns), shape)
        inverse = 1.0 / np.maximum(np.arange(raw.shape[-1]), 1)
        out = np.empty((rows.shape[0], len(TERMS)))
        _in_threads(
            lambda a, b: _over_terrain(rows, steps, table, inverse, choices.climate, choices.variation, a, b, out),
            rows.shape[0],
            workers,
        )
        _told(out, "longley_rice", details=details)
        return out.reshape(*shape, len(TERMS)) if details else out[:, 0].reshape(shape)

    others = [spacing, frequency, transmitter_height, receiver_height, refractivity, permittivity, conductivity]
    out = _mapped(block, heights, ["sample"], [*others, time, location, situation], details=details)
    if details:
        out.attrs["assumptions"] = _assumed(
            choices, refractivity=refractivity, permittivity=permittivity, conductivity=conductivity, time=time,
            location=location, situation=situation,
        )  # fmt: skip
    return out


@physics(
    gives="path_loss",
    valid=_VALID | {"ground_distance": (1.0, 1e7), "terrain_irregularity": (0.0, 5000.0)},
    why="Longley-Rice",
    ground_distance="m",
    terrain_irregularity="m",
    **_UNITS,
)
def longley_rice_area(
    ground_distance: Any,
    *,
    frequency: Any,
    transmitter_height: Any,
    receiver_height: Any,
    terrain_irregularity: Any,
    climate: str,
    transmitter_siting: str = "random",
    receiver_siting: str = "random",
    polarisation: str = "vertical",
    refractivity: Any = 301.0,
    permittivity: Any = 15.0,
    conductivity: Any = 0.005,
    time: Any = 50.0,
    location: Any = 50.0,
    situation: Any = 50.0,
    variability: str = "broadcast",
    location_varies: bool = True,
    situation_varies: bool = True,
    details: bool = False,
) -> Any:
    r"""Loss over land of a known roughness by the Irregular Terrain Model (Longley-Rice), area mode.

    .. math:: L = L_\text{free} + A_\text{ref} - V_\text{med} - Y_R - Y_S

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]
    frequency : float or array [Hz]
    transmitter_height, receiver_height : float or array [m]
        Of the antennas above the ground.
    terrain_irregularity : float or array [m]
        The range between the deciles of the heights along a path: 0 water, 30 plains, 90 hills, 200 mountains,
        500 rugged mountains.
    climate : str
        One of `CLIMATES`.
    transmitter_siting, receiver_siting : str
        One of `SITINGS`: how the place of the mast was chosen.
    polarisation, refractivity, permittivity, conductivity, time, location, situation, variability, location_varies,
    situation_varies, details
        As in `longley_rice`.

    Returns
    -------
    float, array or DataArray [dB], or a Dataset

    Validity
    --------
    As `longley_rice`.

    Errors
    ------
    TwinError
        A parameter outside its range, a name that is not known, or a path of no length.

    Examples
    --------
    >>> longley_rice_area(np.array([5e3, 20e3, 80e3]), frequency=9e8, transmitter_height=30, receiver_height=1.5,
    ...                   terrain_irregularity=90, climate="equatorial").round(1)
    array([123.8, 145.8, 184.4])

    As a path loss for coverage, with the choices made beforehand:

    >>> import functools
    >>> hills = functools.partial(longley_rice_area, terrain_irregularity=90, climate="equatorial")

    References
    ----------
    NTIA Report 82-100 (1982); Hufford, "The ITS Irregular Terrain Model, version 1.2.2: the algorithm" (1995).
    """
    choices = _Choices(climate, polarisation, variability, location_varies, situation_varies)
    sitings = (
        float(_chosen(transmitter_siting, SITINGS, "transmitter_siting")),
        float(_chosen(receiver_siting, SITINGS, "receiver_siting")),
    )

    def block(workers: int, raw: np.ndarray, rough: Any, *columns: Any) -> np.ndarray:
        shape = np.broadcast_shapes(np.shape(raw), *(np.shape(c) for c in (rough, *columns)))
        distances = np.ascontiguousarray(np.broadcast_to(np.asarray(raw, float), shape)).ravel()
        roughs = np.asarray(rough, float)
        roughs = roughs.reshape(1) if roughs.ndim == 0 else np.ascontiguousarray(np.broadcast_to(roughs, shape)).ravel()
        table = choices.table([*columns, *sitings], shape)
        out = np.empty((distances.size, len(TERMS)))
        _in_threads(
            lambda a, b: _over_area(distances, roughs, table, choices.climate, choices.variation, a, b, out),
            distances.size,
            workers,
        )
        _told(out, "longley_rice_area", details=details)
        return out.reshape(*shape, len(TERMS)) if details else out[:, 0].reshape(shape)

    others = [terrain_irregularity, frequency, transmitter_height, receiver_height, refractivity]
    others += [permittivity, conductivity, time, location, situation]
    out = _mapped(block, ground_distance, [], others, details=details)
    if details:
        out.attrs["assumptions"] = f"siting {transmitter_siting} and {receiver_siting}; " + _assumed(
            choices, refractivity=refractivity, permittivity=permittivity, conductivity=conductivity, time=time,
            location=location, situation=situation,
        )  # fmt: skip
    return out
