"""P.1812 over a raster: `exact` with a profile for every receiver, `sweep` along radials.

Both are pure functions of a piece of terrain: `raster` prepares it once for many transmitters, and any window of
receivers can be computed alone, on a thread or a machine of its own; the pieces fit together without a seam.
"""

from __future__ import annotations

import inspect
import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError
from twinkit.radio.free_space import SPEED_OF_LIGHT, free_space
from twinkit.radio.itu1812 import exact as exact_kernel
from twinkit.radio.itu1812 import scan
from twinkit.radio.itu1812 import sweep as sweep_kernel
from twinkit.radio.itu1812.path import POLARISATIONS, STANDARD_GRADIENT, STANDARD_REFRACTIVITY, conditions
from twinkit.radio.itu1812.profile import COASTAL, LEAST_LENGTH, MOST_LENGTH, SEA_ZONE
from twinkit.radio.itu1812.propagation import inverse_normal
from twinkit.radio.itu1812.raster import WHY, Raster, on_terrain, raster
from twinkit.radio.itu1812.tail import Choice

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["exact", "sweep"]

VALID, NEAR, BEYOND = 0, 1, 2


@dataclass(frozen=True)
class _Task:
    """One transmitter and its window of receivers, checked."""

    terrain: Raster
    transmitter: tuple[float, float]
    transmitter_height: float
    receiver_height: float
    x: np.ndarray
    y: np.ndarray
    radius: float
    step: float
    choice: Choice
    frequency: float
    threads: int
    assumptions: str


def _task(
    surface: Any,
    transmitter: tuple[float, float],
    x: Any,
    y: Any,
    radius: float | None,
    step: float,
    threads: int | None,
    precision: str,
    choices: dict[str, Any],
) -> _Task:
    terrain = surface if isinstance(surface, Raster) else raster(surface)
    if precision not in ("single", "double"):
        raise TwinError("precision 'single' or 'double'", found=f"{precision!r}", hint="use one of the two words")
    if precision == "double":
        terrain = terrain.precise()
    elif terrain.ground.dtype != np.float32:
        terrain = replace(
            terrain,
            ground=terrain.ground.astype(np.float32),
            turned=terrain.turned.astype(np.float32),
            clutter=terrain.clutter.astype(np.float32),
        )
    elif terrain.clutter.dtype != np.float32:
        terrain = replace(terrain, clutter=terrain.clutter.astype(np.float32))
    within(choices["frequency"], 3e7, 6e9, name="frequency", unit="Hz", why=WHY)
    within(choices["transmitter_height"], 1.0, 3000.0, name="transmitter_height", unit="m", why=WHY)
    within(choices["receiver_height"], 1.0, 3000.0, name="receiver_height", unit="m", why=WHY)
    within(choices["time_percentage"], 1.0, 50.0, name="time_percentage", unit="%", why=WHY)
    within(choices["location_percentage"], 1.0, 99.0, name="location_percentage", unit="%", why=WHY)
    within(choices["location_deviation"], 0.0, 30.0, name="location_deviation", unit="dB")
    within(choices["latitude"], -90.0, 90.0, name="latitude", unit="degree")
    within(step, 1.0, 1000.0, name="step", unit="m")
    if choices["polarisation"] not in POLARISATIONS:
        raise TwinError(
            "polarisation 'horizontal' or 'vertical'",
            found=f"{choices['polarisation']!r}",
            hint="use one of the two words",
            where="polarisation",
        )
    assumptions = []
    gradient, refractivity = choices["refractivity_gradient"], choices["surface_refractivity"]
    if gradient is None:
        gradient = STANDARD_GRADIENT
        assumptions.append(f"refractivity gradient {gradient:g} N-units/km (effective earth 4/3)")
    if refractivity is None:
        refractivity = STANDARD_REFRACTIVITY
        assumptions.append(f"surface refractivity {refractivity:g} N-units")
    assumptions.append(conditions(choices))
    within(gradient, -100.0, 150.0, name="refractivity_gradient", unit="N-units/km")
    within(refractivity, 150.0, 500.0, name="surface_refractivity", unit="N-units")

    tx, ty = (float(v) for v in transmitter)
    on_terrain(terrain, np.array([tx]), np.array([ty]), "transmitter")
    columns = terrain.x if x is None else np.atleast_1d(np.asarray(x, dtype=float))
    rows = terrain.y if y is None else np.atleast_1d(np.asarray(y, dtype=float))
    if radius is None:
        radius = math.inf
    within(radius, LEAST_LENGTH, math.inf, name="radius", unit="m", why=WHY)
    on_terrain(terrain, columns, rows, "receivers")
    reach = math.hypot(np.abs(columns - tx).max(), np.abs(rows - ty).max())
    farthest = min(radius, reach + 1.0)
    if farthest > MOST_LENGTH:
        raise TwinError("paths up to 3000 km", found=f"{farthest / 1e3:.0f} km", hint="limit radius", where="radius")
    margin = -inverse_normal(choices["location_percentage"] / 100.0) * choices["location_deviation"]
    uniform = terrain.zone.size == 1
    choice = Choice(
        frequency=choices["frequency"] / 1e9,
        latitude=float(choices["latitude"]),
        time_percentage=float(choices["time_percentage"]),
        location_margin=float(margin),
        vertical=choices["polarisation"] == "vertical",
        gradient=float(gradient),
        refractivity=float(refractivity),
        inland=not uniform or int(terrain.zone[0]) != COASTAL,
    )
    return _Task(
        terrain,
        (tx, ty),
        float(choices["transmitter_height"]),
        float(choices["receiver_height"]),
        columns,
        rows,
        farthest,
        float(step),
        choice,
        float(choices["frequency"]),
        _threads(threads),
        "; ".join(assumptions),
    )


def _threads(asked: int | None) -> int:
    """All cores for a call from the main thread; one where a scheduler has already spread the work over threads."""
    if asked is not None:
        within(asked, 1, 1024, name="threads", unit="1")
        return int(asked)
    if threading.current_thread() is not threading.main_thread():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _together(work: Callable[..., None], parts: list[tuple[Any, ...]], threads: int) -> None:
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(*part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, *part) for part in parts]:
            done.result()


def _finished(task: _Task, losses: np.ndarray, near: Callable[..., Any], method: str) -> xr.Dataset:
    """Near pixels from the model given, flags, labels."""
    tx, ty = task.transmitter
    validity = np.where(np.isnan(losses), np.int8(BEYOND), np.int8(VALID))
    # only the few rows and columns around the transmitter can hold near pixels
    rows = np.flatnonzero(np.abs(task.y - ty) < LEAST_LENGTH)
    columns = np.flatnonzero(np.abs(task.x - tx) < LEAST_LENGTH)
    if rows.size and columns.size:
        window = np.ix_(rows, columns)
        flat = np.hypot(task.x[columns][None, :] - tx, task.y[rows][:, None] - ty)
        close = flat < LEAST_LENGTH
        ground = np.maximum(flat[close], 1.0)
        apart = np.hypot(ground, task.transmitter_height - task.receiver_height)
        values = {
            # no antenna stands in another's near field, where free space would promise a gain
            "distance": np.maximum(apart, SPEED_OF_LIGHT / task.frequency),
            "ground_distance": ground,
            "frequency": task.frequency,
            "transmitter_height": task.transmitter_height,
            "receiver_height": task.receiver_height,
        }
        asked = [p for p in inspect.signature(near).parameters if p in values]
        part = losses[window]
        part[close] = near(**{name: values[name] for name in asked})
        losses[window] = part
        flags = validity[window]
        flags[close] = NEAR
        validity[window] = flags
    attrs = {"units": "dB", "long_name": "basic transmission loss", "method": method, "assumptions": task.assumptions}
    said = {"long_name": "where the loss comes from", "flag_values": [VALID, NEAR, BEYOND]}
    return xr.Dataset(
        {
            "path_loss": (("y", "x"), losses, attrs),
            "validity": (("y", "x"), validity, said | {"flag_meanings": "p1812 near_model beyond_radius"}),
        },
        coords={"y": ("y", task.y, {"units": "m"}), "x": ("x", task.x, {"units": "m"})},
    )


def exact(
    surface: xr.Dataset | Raster,
    *,
    transmitter: tuple[float, float],
    transmitter_height: float,
    receiver_height: float,
    frequency: float,
    latitude: float,
    x: Any = None,
    y: Any = None,
    radius: float | None = None,
    step: float = 30.0,
    time_percentage: float = 50.0,
    location_percentage: float = 50.0,
    location_deviation: float = 0.0,
    polarisation: str = "vertical",
    refractivity_gradient: float | None = None,
    surface_refractivity: float | None = None,
    near: Callable[..., Any] = free_space,
    precision: str = "single",
    threads: int | None = None,
) -> xr.Dataset:
    """Basic transmission loss by P.1812 at every receiver of a raster, each with a profile of its own.

    L_b of `p1812` over ceil(d / step) equal steps of bilinear ground and of the nearest pixel's clutter.

    Parameters
    ----------
    surface : Dataset (y, x) or Raster
        ground_height [m], and clutter_height [m] and zone where there are; see `raster`.
    transmitter : (x, y) [m]
        In the CRS of the surface.
    transmitter_height, receiver_height : float [m above ground]
        1 to 3000 m.
    frequency : float [Hz]
        30 MHz to 6 GHz.
    latitude : float [degree]
        Of the middle of the area; a degree changes the loss by hundredths of a dB.
    x, y : array [m], optional
        The receivers' columns and rows; the pixels of the surface where left out.
    radius : float [m], optional
        Receivers farther away get NaN.
    step : float [m]
        Longest distance between two points of a profile.
    time_percentage, location_percentage, location_deviation, polarisation, refractivity_gradient, surface_refractivity
        As for `p1812`.
    near : function
        Loss of the receivers nearer than 250 m, where P.1812 does not hold: of any of distance, ground_distance,
        frequency, transmitter_height, receiver_height by name. Free space by default.
    precision : "single" or "double"
        Single is within 0.001 dB of double nearly everywhere, and ten times as fast. A surface with more than one
        zone, or the sea alone, is computed in double.
    threads : int, optional
        All cores from the main thread, one from others: dask gives each tile a thread.

    Returns
    -------
    Dataset (y, x)
        path_loss [dB], float32 or float64, and validity: 0 P.1812, 1 the near model, 2 beyond the radius (NaN).

    Validity
    --------
    That of `p1812`.

    Errors
    ------
    TwinError
        A value outside the Recommendation, a transmitter or receivers off the terrain, voids, uneven axes.

    Examples
    --------
    >>> axis = np.arange(0.0, 3001.0, 30.0)
    >>> ground = np.abs(axis - 1500) * np.ones((101, 1)) / 20
    >>> valley = xr.Dataset({"ground_height": (("y", "x"), ground)}, {"y": axis, "x": axis})
    >>> seen = exact(
    ...     valley, transmitter=(1500, 1500), transmitter_height=30, receiver_height=1.5, frequency=9e8, latitude=45
    ... )
    >>> seen.path_loss.sizes == {"y": 101, "x": 101}, int((seen.validity == 1).sum())
    (True, 221)

    References
    ----------
    ITU-R P.1812-8; benchmarks/radio.py for its speed.
    """
    choices = {k: v for k, v in locals().items() if k in _CHOICES}
    task = _task(surface, transmitter, x, y, radius, step, threads, precision, choices)
    terrain, choice = task.terrain, task.choice
    tx, ty = terrain.place(*task.transmitter)
    receivers_x, receivers_y = (np.ascontiguousarray(v) for v in terrain.place(task.x, task.y))
    double = precision == "double" or terrain.zone.size > 1 or int(terrain.zone[0]) == SEA_ZONE
    losses = np.empty((task.y.size, task.x.size), np.float64 if double else np.float32)
    width, height = terrain.x.size, terrain.y.size
    numbers = choice.numbers()
    # many more parts than threads, so that none waits long for the last
    edges = np.linspace(0, task.y.size, min(task.y.size, 16 * task.threads if task.threads > 1 else 1) + 1).astype(int)
    parts = [(int(a), int(b)) for a, b in itertools.pairwise(edges) if b > a]
    if double:

        def work(a: int, b: int) -> None:
            exact_kernel.area_precise(
                terrain.ground, terrain.clutter, terrain.zone, width, height, tx, ty, task.transmitter_height,
                receivers_x, receivers_y[a:b], task.receiver_height, terrain.pixel, task.step, task.radius, numbers,
                losses[a:b],
            )  # fmt: skip

    else:
        tables = scan.tables(math.ceil(task.radius / task.step) + 1)
        constants, table = choice.constants(), choice.table(task.radius / 1e3)

        def work(a: int, b: int) -> None:
            exact_kernel.area(
                terrain.ground, terrain.turned, terrain.clutter, width, height, tx, ty, task.transmitter_height,
                receivers_x, receivers_y[a:b], task.receiver_height, terrain.pixel, task.step, task.radius, numbers,
                constants, table, *tables, losses[a:b],
            )  # fmt: skip

    _together(work, parts, task.threads)
    return _finished(task, losses, near, "ITU-R P.1812-8, a profile for every receiver")


def sweep(
    surface: xr.Dataset | Raster,
    *,
    transmitter: tuple[float, float],
    transmitter_height: float,
    receiver_height: float,
    frequency: float,
    latitude: float,
    x: Any = None,
    y: Any = None,
    radius: float | None = None,
    step: float = 30.0,
    radials: int | None = None,
    time_percentage: float = 50.0,
    location_percentage: float = 50.0,
    location_deviation: float = 0.0,
    polarisation: str = "vertical",
    refractivity_gradient: float | None = None,
    surface_refractivity: float | None = None,
    near: Callable[..., Any] = free_space,
    precision: str = "single",
    threads: int | None = None,
) -> xr.Dataset:
    """Basic transmission loss by P.1812 over a raster along radials: several times as fast as `exact`, and near it.

    A receiver takes the far part of its profile from the nearest radial and its last eight samples from its own
    path; its distance and ground are its own. On a radial's sample points the loss is that of `exact`.

    Parameters
    ----------
    radials : int, optional
        Around the whole circle. Where left out, one spacing of the receivers apart at the farthest of them.
    Others as for `exact`.

    Returns
    -------
    Dataset (y, x)
        As `exact`.

    Validity
    --------
    That of `p1812`. Against `exact` the benchmark's terrain shows the error and how it falls with more radials.
    Windows of one transmitter fit together where they are given the same radials.

    Errors
    ------
    TwinError
        As `exact`; and a surface with more than one zone, or the sea alone, which only `exact` computes.

    Examples
    --------
    >>> axis = np.arange(0.0, 3001.0, 30.0)
    >>> ground = np.abs(axis - 1500) * np.ones((101, 1)) / 20
    >>> valley = xr.Dataset({"ground_height": (("y", "x"), ground)}, {"y": axis, "x": axis})
    >>> link = dict(transmitter=(1500, 1500), transmitter_height=30, receiver_height=1.5, frequency=9e8, latitude=45)
    >>> difference = abs(sweep(valley, **link).path_loss - exact(valley, **link).path_loss)
    >>> bool(difference.median() < 0.02)
    True

    References
    ----------
    ITU-R P.1812-8; benchmarks/radio.py for its speed and its error.
    """
    choices = {k: v for k, v in locals().items() if k in _CHOICES}
    task = _task(surface, transmitter, x, y, radius, step, threads, precision, choices)
    terrain, choice = task.terrain, task.choice
    if terrain.zone.size > 1 or int(terrain.zone[0]) == SEA_ZONE:
        raise TwinError(
            "land of one zone along radials",
            found="zones that differ, or sea",
            hint="use exact, which computes them, or raster(surface, zone=4)",
            where="zone",
        )
    if radials is None:
        spacing = min(_spacing(task.x), _spacing(task.y), task.radius)
        radials = math.ceil(2.0 * math.pi * task.radius / spacing)
    within(radials, 4, 1_000_000, name="radials", unit="1")
    double = precision == "double"
    tx, ty = terrain.place(*task.transmitter)
    receivers_x, receivers_y = (np.ascontiguousarray(v) for v in terrain.place(task.x, task.y))
    losses = np.full((task.y.size, task.x.size), np.nan, np.float64 if double else np.float32)
    start, order = np.empty(radials + 1, np.int64), np.empty(losses.size, np.int32)
    sweep_kernel.ordered(receivers_x, receivers_y, tx, ty, terrain.pixel, task.step, radials, task.radius, start, order)
    ramp = scan.tables(math.ceil(task.radius / task.step) + 4)[2].astype(terrain.ground.dtype)
    numbers, constants, table = choice.numbers(), choice.constants(), choice.table(task.radius / 1e3)

    def work(a: int, b: int) -> None:
        sweep_kernel.area(
            terrain.ground, terrain.turned, terrain.clutter, terrain.x.size, terrain.y.size, tx, ty,
            task.transmitter_height, receivers_x, receivers_y, task.receiver_height, terrain.pixel, task.step,
            radials, a, b, start, order, numbers, choice.inland, constants, table, ramp, losses,
        )  # fmt: skip

    # parts with about the same number of receivers
    wanted = np.linspace(0, start[-1], (8 * task.threads if task.threads > 1 else 1) + 1)
    edges = np.unique(np.searchsorted(start, wanted))
    edges[-1] = radials
    parts = [(int(a), int(b)) for a, b in itertools.pairwise(edges)] or [(0, radials)]
    _together(work, parts, task.threads)
    return _finished(task, losses, near, f"ITU-R P.1812-8 along {radials} radials")


_CHOICES = (
    "transmitter_height",
    "receiver_height",
    "frequency",
    "latitude",
    "time_percentage",
    "location_percentage",
    "location_deviation",
    "polarisation",
    "refractivity_gradient",
    "surface_refractivity",
)


def _spacing(axis: np.ndarray) -> float:
    return float(np.abs(np.diff(axis)).min()) if axis.size > 1 else math.inf
