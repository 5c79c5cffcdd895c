"""Fire drills: a fault put into a run on purpose, to see whether the alarm names it.

A drill needs a truth, so it runs on an experiment: `lorenz.sakov2008`, or `town`, the load on a small network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit import network
from twinkit.assimilate.belief import ensemble
from twinkit.assimilate.cycle import estimate
from twinkit.assimilate.local import letkf
from twinkit.assimilate.lorenz import EPOCH, Experiment, sakov2008
from twinkit.assimilate.trust import FAULTS, alarm
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Drill", "drill", "ring", "town"]


@dataclass(frozen=True)
class Drill:
    """What came of a drill.

    Attributes
    ----------
    record : Dataset
    alarms : Dataset
    at : int
        Cycle in which the fault began.
    sensor : str
        Which one, where the fault is a sensor's.
    """

    record: xr.Dataset
    alarms: xr.Dataset
    at: int
    sensor: str

    def delay(self, fault: str) -> float:
        """Cycles from the fault to its alarm; infinite where none was raised by its name and sensor."""
        time = self.record["time"].to_numpy()
        mine = self.alarms["fault"] == fault
        if self.sensor:
            mine &= self.alarms["sensor"] == self.sensor
        raised = self.alarms["raised"].to_numpy()[mine.to_numpy()]
        after = raised[raised >= time[self.at]]
        return float(np.searchsorted(time, after[0]) - self.at) if len(after) else np.inf


@dataclass(frozen=True)
class World:
    """An experiment with a way to estimate it that works."""

    experiment: Experiment
    method: Any
    lame: Any
    members: int
    forcing: Any
    bias: float


def ring(*, cycles: int, seed: int) -> World:
    """Lorenz-96 and a LETKF of ten members."""
    geometry: dict[str, Any] = {
        "radius": 131.0,
        "along": ("longitude",),
        "period": {"longitude": 360.0},
        "rotate": True,
    }
    good, lame = letkf(inflation=1.04, **geometry), letkf(inflation=0.7, **geometry)
    return World(sakov2008(cycles=cycles, seed=seed), good, lame, 10, None, 2.0)


def town(*, cycles: int, seed: int, cells: int = 20) -> World:
    """The load on the cells of a town, each read every quarter of an hour with noise of 0.03.

    Neighbouring cells wander independently, so that an ensemble of forty needs a taper that leaves each cell its own
    readings; here they lie 10 km apart.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, 0x70)))
    ids = [f"c{i:02d}" for i in range(cells)]
    coords = {"cell": ids, "x": ("cell", 1e4 * np.arange(cells)), "y": ("cell", np.zeros(cells))}
    typical = network.demand(xr.DataArray(rng.uniform(0.4, 0.9, cells), coords, "cell"), hours=5.5)
    times = pd.DatetimeIndex(EPOCH + np.arange(1, cycles + 1) * np.timedelta64(900, "s"))
    now = pd.Timestamp(EPOCH)
    first = xr.Dataset({"load": typical(now), "wander": network.WANDER}).assign_coords(time=EPOCH)
    state, rows = first.drop_vars("time"), np.empty((cycles, cells))
    for k, then in enumerate(times):
        state = network.step(state, 900.0, typical(now), rng)
        rows[k], now = state["load"].to_numpy(), then
    truth = xr.DataArray(rows, {"time": times, **coords}, ("time", "cell"), name="load")
    seen = truth + 0.03 * rng.standard_normal(rows.shape)
    first = first.assign(wander=first["wander"].expand_dims(cell=cells).assign_coords(cell=ids))
    experiment = Experiment(network.step, 900.0, first, 0.05, truth, seen, 0.03, 50, seed)
    geometry: dict[str, Any] = {"radius": 5e3}
    return World(experiment, letkf(**geometry), letkf(inflation=0.1, **geometry), 40, typical, 8.0)


def drill(fault: str, *, world: Callable[..., World] = ring, seed: int = 1, at: int = 200, cycles: int = 320) -> Drill:
    """A run in which a fault begins at cycle `at`, and the alarms that it raises.

    Parameters
    ----------
    fault : str
        One of `FAULTS`, or "none": *diverged*, the spread is lost at every update; *over-confident* and
        *under-confident*, the sensors are believed to be twice or half as good as they are; *sensor biased*, one
        sensor reads too much (by twice its noise in `ring`; by 0.24 in `town`, where the estimate follows each sensor
        so closely that less is taken for load); *sensor stale*, one falls silent (even seeds) or repeats its last
        value (odd seeds).
    world : function of cycles and seed
        `ring` or `town`.
    seed : int
    at, cycles : int

    Returns
    -------
    Drill

    Errors
    ------
    TwinError
        An unknown fault.

    Examples
    --------
    >>> said = drill("sensor biased", seed=1)
    >>> said.delay("sensor biased") < 100, said.alarms.fault.values.tolist()
    (True, ['sensor biased'])
    """
    if fault not in (*FAULTS, "none"):
        near = close_to(fault, FAULTS)
        raise TwinError(
            f"one of {', '.join(FAULTS)}, or none",
            found=f"'{fault}'",
            hint=f"did you mean {near}?" if near else "see assimilate.trust.FAULTS",
            where="fault",
        )
    here = world(cycles=cycles, seed=seed)
    test, seen, sensor = here.experiment, here.experiment.seen, ""
    if fault.startswith("sensor"):
        which = int(np.random.default_rng((seed, 0xB1A5)).integers(seen.shape[1]))
        values = seen.to_numpy().copy()
        if fault == "sensor biased":
            values[at:, which] += here.bias * test.noise
        else:
            values[at:, which] = values[at - 1, which] if seed % 2 else np.nan
        seen = seen.copy(data=values)
        dim = seen.dims[1]
        sensor = str(seen[dim].to_numpy()[which]) if dim in seen.coords else str(which)
    state = ensemble(test.first, members=here.members, spread={test.truth.name: test.spread}, seed=seed)
    run = {"dt": test.dt, "seed": seed, "forcing": here.forcing}
    before, state = estimate(state, test.step, seen[:at], noise=test.noise, method=here.method, **run)
    scale = {"over-confident": 0.5, "under-confident": 2.0}.get(fault, 1.0)
    lost = fault == "diverged"
    if lost and "wander" in state:
        state = state.assign(wander=0.0 * state["wander"])
    after, _ = estimate(
        state, test.step, seen[at:], noise=scale * test.noise, method=here.lame if lost else here.method, **run
    )
    record = xr.concat(
        [before, after], dim="time", data_vars="minimal", coords="minimal", compat="override", join="exact"
    )
    return Drill(record, alarm(record), at, sensor)
