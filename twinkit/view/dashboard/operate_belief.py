"""The estimate that goes on: it is given all readings that are known, and works out what is new in them.

A correction of yesterday reaches back: the states of every few hours are kept, and the way from the last one before
the correction is gone again. The random draws of a cycle depend on its instant alone, so that an estimate which grew
for a day, reading by reading, holds the same bytes as one that was made at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import assimilate, dynamics, network

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AHEAD", "MEMBERS", "NOISE", "PERIOD", "Belief", "Model", "alarms_of", "model_of"]

PERIOD = np.timedelta64(900, "s")
"""From one cycle to the next: a reading of load, as the vocabulary has it."""
MEMBERS = 100
NOISE = 0.04
"""[1] Of a reading of load: what the twin is told to think of its sensors."""
FIRST = 0.1
"""[1] Doubt about the typical load, before any reading."""
INFLATION = 1.02
TOGETHER = 16
"""Cells up to which an ensemble of a hundred needs no taper; more are each estimated from their own readings."""
EVERY = 16
"""Cycles between two states that are kept: four hours."""
AHEAD = 24
"""Half hours of the forecast: the night."""
UNKNOWN = 0.6
"""[1] The load of the busiest hour, where the twin has no people to tell it from."""


@dataclass(frozen=True)
class Model:
    """What the estimate takes for granted.

    Attributes
    ----------
    cells : tuple of str
    peak : DataArray (cell) [1]
        Load of the busiest hour.
    hours : float [h]
        Local time minus UTC, from the longitude.
    people : bool
        Whether the peak comes from the twin's people; else it is `UNKNOWN` for all.
    """

    cells: tuple[str, ...]
    peak: xr.DataArray
    hours: float
    people: bool
    seed: int = 1
    noise: float = NOISE

    @property
    def typical(self) -> Callable[[Any], Any]:
        """The typical load as a function of time."""
        return network.demand(self.peak, hours=self.hours)

    @property
    def method(self) -> Any:
        """How the forecast is drawn towards the readings."""
        if len(self.cells) <= TOGETHER:
            return assimilate.square_root(inflation=INFLATION)
        # cells wander each for itself in the model, so that none need hear another's readings
        return assimilate.letkf(radius=0.5, along=("number",), inflation=INFLATION)

    def same(self, other: Model) -> bool:
        """Whether both take the same for granted."""
        return (
            self.cells == other.cells
            and self.hours == other.hours
            and (self.seed, self.noise) == (other.seed, other.noise)
            and np.array_equal(self.peak.to_numpy(), other.peak.to_numpy())
        )


def model_of(twin: xr.DataTree, cells: tuple[str, ...], *, seed: int = 1, noise: float = NOISE) -> Model:
    """The model of some cells of a twin.

    Parameters
    ----------
    twin : DataTree
    cells : tuple of str
    seed : int
    noise : float [1]

    Returns
    -------
    Model
    """
    from twinkit.error import TwinError
    from twinkit.telemetry import peak_load

    hours = local_hours(twin)
    try:
        peak = peak_load(twin).reindex(cell=list(cells))
        people = bool(np.isfinite(peak).all())
    except TwinError:
        people = False
    if not people:
        peak = xr.DataArray(np.full(len(cells), UNKNOWN), {"cell": np.array(cells, dtype=object)}, "cell")
    return Model(cells, peak.reset_coords(drop=True).assign_attrs({}), hours, people, seed=seed, noise=noise)


def local_hours(twin: xr.DataTree) -> float:
    """Local time minus UTC [h], to half an hour, from the longitude of the sites; 0 where they have none."""
    if "sites" not in twin.children or "longitude" not in twin["sites"].data_vars:
        return 0.0
    middle = float(twin["sites/longitude"].mean())
    return float(np.round(middle / 7.5) / 2) if np.isfinite(middle) and abs(middle) <= 180 else 0.0


@dataclass(frozen=True)
class _Kept:
    """What is known after some cycles: the belief, from which the next one starts."""

    row: int
    state: xr.Dataset


class Belief:
    """The estimate of some cells' load, over a window of time.

    Parameters
    ----------
    model : Model
    start : datetime64
        The first cycle; what was read before plays no part.
    rows : int
        Cycles that are remembered. Older ones are dropped by whole days; the belief itself goes on.
    """

    def __init__(self, model: Model, start: Any, *, rows: int = 7 * 96) -> None:
        self.model, self.start, self.rows = model, np.datetime64(start, "ns"), rows
        before = self.start - PERIOD
        middle = model.typical(before).to_dataset(name="load").assign_coords(time=before)
        if len(model.cells) > TOGETHER:
            middle = middle.assign_coords(number=("cell", np.arange(len(model.cells), dtype=float)))
        first = assimilate.ensemble(middle, members=MEMBERS, spread=FIRST, seed=model.seed)
        self.front = 0
        """The first cycle that is remembered."""
        self.read = np.empty((0, len(model.cells)))
        self.record: xr.Dataset | None = None
        self.kept = {0: _Kept(0, first)}
        self.state = first
        self.past: list[dict[str, Any]] = []
        """Alarms whose cycles are dropped."""
        self.cycles = 0
        """All that were worked out, those that a correction made necessary again among them."""

    @property
    def times(self) -> np.ndarray:
        """The instants of the cycles that are remembered."""
        return self.start + PERIOD * (self.front + np.arange(len(self.read)))

    def reaches(self, moment: Any) -> bool:
        """Whether readings from a moment on can be taken in: it is not before what is remembered."""
        return bool(
            self.start + PERIOD * self.front
            <= np.datetime64(moment, "ns")
            <= self.start + PERIOD * (self.front + len(self.read))
        )

    def copy(self) -> Belief:
        """One that goes its own way from here; what both remember is not doubled."""
        other = object.__new__(Belief)
        other.__dict__ = {**self.__dict__, "kept": dict(self.kept), "past": list(self.past)}
        return other

    def follow(self, readings: xr.DataArray, *, since: Any = None) -> int:
        """Take in all readings that are known.

        Parameters
        ----------
        readings : DataArray (time, cell) [1]
            With every cell of the model.
        since : datetime64, optional
            They are all readings from here on; what was read before stays as it was.

        Returns
        -------
        int
            Cycles that were worked out.
        """
        given = self._grid(readings, self.start if since is None else np.datetime64(since, "ns"))
        common = min(len(given), len(self.read))
        old, new = self.read[:common], given[:common]
        other = ~((old == new) | (np.isnan(old) & np.isnan(new))).all(axis=1)
        same = int(np.argmax(other)) if other.any() else common
        if same == len(given) == len(self.read):
            return 0
        before = self.copy()
        try:
            begin = self._back(self.front + same, whole=same == len(self.read))
            done = self._forward(begin, given)
        except BaseException:
            self.__dict__.update(before.__dict__)
            raise
        self.read = given
        self._trim()
        return done

    def _grid(self, readings: xr.DataArray, since: np.datetime64) -> np.ndarray:
        """Readings on the cycles from the front on; NaN where a sensor was silent."""
        mine = readings.sel(cell=list(self.model.cells)).transpose("time", "cell")
        row = ((mine["time"].to_numpy() - self.start) // PERIOD).astype(int) - self.front
        values = np.asarray(mine.to_numpy(), float)
        heard = np.isfinite(values).any(axis=1) & (row >= 0)
        before = min(max(int((since - self.start) // PERIOD) - self.front, 0), len(self.read))
        out = np.full((max(before, int(row[heard].max()) + 1 if heard.any() else 0), len(self.model.cells)), np.nan)
        out[:before] = self.read[:before]
        out[row[heard]] = np.where(np.isfinite(values[heard]), values[heard], np.nan)
        return out

    def _back(self, row: int, *, whole: bool) -> int:
        """Return to what was believed before a cycle, or somewhat earlier; gives where that is."""
        if whole:
            return row
        begin = max(k for k in self.kept if k <= max(row, min(self.kept)))
        self.kept = {k: v for k, v in self.kept.items() if k <= begin}
        self.state = self.kept[begin].state
        if self.record is not None:
            self.record = self.record.isel(time=slice(0, begin - self.front)) if begin > self.front else None
        return begin

    def _forward(self, begin: int, given: np.ndarray) -> int:
        """Cycle by cycle from where the belief stands to the last reading."""
        end = self.front + len(given)
        parts = [] if self.record is None else [self.record]
        row = begin
        names = np.array(self.model.cells, dtype=object)
        while row < end:
            # never across a place where a state is kept
            stop = min(end, (row // EVERY + 1) * EVERY)
            times = self.start + PERIOD * np.arange(row, stop)
            part = xr.DataArray(
                given[row - self.front : stop - self.front], {"time": times, "cell": names}, ("time", "cell"),
                name="load",
            )  # fmt: skip
            if len(names) > TOGETHER:
                part = part.assign_coords(number=("cell", np.arange(len(names), dtype=float)))
            made, self.state = assimilate.estimate(
                self.state, network.step, part, noise=self.model.noise, forcing=self.model.typical,
                seed=self.model.seed, method=self.model.method,
            )  # fmt: skip
            parts.append(made)
            row = stop
            if row % EVERY == 0:
                self.kept[row] = _Kept(row, self.state)
        if len(parts) > 1:
            self.record = xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override")
        elif parts:
            self.record = parts[0]
        self.cycles += max(0, end - begin)
        return max(0, end - begin)

    def _trim(self) -> None:
        """Drop whole days that are older than the window; what was alarmed about in them stays said."""
        day = int(np.timedelta64(1, "D") / PERIOD)
        surplus = (len(self.read) - self.rows) // day * day
        if surplus <= 0 or self.record is None:
            return
        # a day of grace, because an alarm is raised on the cycles before it
        until = self.start + PERIOD * (self.front + surplus + day)
        self.past = [a for a in self.alarms() if a["raised"] < until][-200:]
        self.front += surplus
        self.read = self.read[surplus:]
        self.record = self.record.isel(time=slice(surplus, None)).copy(deep=True)
        self.kept = {k: v for k, v in self.kept.items() if k >= self.front}

    def alarms(self) -> list[dict[str, Any]]:
        """What was wrong and is: rows of `assimilate.alarm`, and those whose cycles are dropped; newest first."""
        found = alarms_of(self.record)
        for old in self.past:
            now = old
            for again in [a for a in found if (a["fault"], a["sensor"]) == (old["fault"], old["sensor"])]:
                # what is left of the record raises it once more, later than it was
                if np.isnat(now["cleared"]) or again["raised"] <= now["cleared"]:
                    found = [a for a in found if a is not again]
                    now = {**now, "cleared": again["cleared"]} if np.isnat(now["cleared"]) else now
            found.append(now)
        return sorted(found, key=lambda a: a["raised"], reverse=True)

    def ahead(self, steps: int = AHEAD) -> xr.Dataset:
        """What is expected next: ``load`` and ``load_spread`` (time, cell) for the coming half hours."""
        start = self.state["time"].to_numpy().astype("datetime64[ns]")[()]
        run = dynamics.simulate(
            network.step, self.state, times=start + 2 * PERIOD * np.arange(steps + 1), forcing=self.model.typical,
            seed=self.model.seed, progress=False,
        ).isel(time=slice(1, None))  # fmt: skip
        load = run["load"]
        return xr.Dataset({"load": load.mean("member"), "load_spread": load.std("member", ddof=1)})


def alarms_of(record: xr.Dataset | None) -> list[dict[str, Any]]:
    """The rows of `assimilate.alarm`; none where there is nothing to judge."""
    if record is None or not record.sizes["time"]:
        return []
    found = assimilate.alarm(record)
    names = ("fault", "sensor", "since", "raised", "cleared", "evidence")
    return [{n: found[n].to_numpy()[k] for n in names} for k in range(found.sizes["alarm"])]
