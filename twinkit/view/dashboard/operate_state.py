"""What an operator sees, without the page: readings as they come, what is believed of them, what was known when.

A `Watch` looks at a store again and again. A look at a store where nothing happened costs a glance at a few files;
else the readings of a window are read anew, and the estimate goes on from where they differ. `Watch.known` answers for
an earlier moment: the readings as they stood then, and what they would have made one believe.
"""

from __future__ import annotations

import threading
import time as clock
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import store
from twinkit.error import TwinError
from twinkit.store.arrivals import Arrivals, mark
from twinkit.view.dashboard.operate_belief import NOISE, PERIOD, Belief, local_hours, model_of
from twinkit.vocabulary import words

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Figures",
    "Known",
    "Watch",
    "evidence",
    "findings_of",
    "load_of_sites",
    "places_of",
    "stale",
    "thinned",
    "watching",
]

WINDOW = 7
"""[d] Of readings that are looked at; the rest stays in the store."""
WATCHED = 200
"""Cells whose load is estimated at once; the busiest of more."""
MOMENTS = 400
"""Moments to which one can go back: of more, as many, evenly."""
DRAWN = 1000
"""Points of a line: what a screen can show."""
LATE = 2
"""Periods without a reading after which what is shown is stale."""
OVER = 60.0
"""[s] Over which the rate of arrival is taken."""
VIEWS = 6
"""Earlier moments that are kept ready."""
EMPTY = np.empty(0, "M8[ns]")
NEVER = np.datetime64("NaT", "ns")


@dataclass(frozen=True)
class Figures:
    """How telemetry comes in, in the words of `twinkit.telemetry.metrics`, as far as the store itself can tell.

    Attributes
    ----------
    rate : float [1/s]
        Readings a second, over the last minute.
    pending : int
        Readings that are durable and wait for a commit.
    new, corrected, rejected : int
        Since the journal began: readings, readings, messages.
    reasons : dict
        Why messages were rejected → how many.
    received, tells_of : datetime64
        When the newest reading came; the latest moment that a reading tells of.
    delay : float [s]
        From the moment that readings tell of to their arrival: the middle of the last fifty moments.
    commit : str
        Head of the last commit; when, and its message.
    """

    rate: float = 0.0
    pending: int = 0
    new: int = 0
    corrected: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    received: np.datetime64 = NEVER
    tells_of: np.datetime64 = NEVER
    delay: float = float("nan")
    commit: str = ""
    committed: np.datetime64 = NEVER
    message: str = ""


@dataclass(frozen=True)
class Known:
    """What is known at a moment, and believed of it.

    Attributes
    ----------
    at : datetime64
        The moment; NaT: now.
    readings : Dataset (time, cell, site)
        Of the window, on an even clock. Empty where nothing was known.
    record : Dataset or None
        Of `assimilate.estimate`: load and its spread, innovations.
    ahead : Dataset or None
        The forecast from there.
    alarms : list of dict
        Newest first.
    cells : tuple of str
        Those whose load is estimated.
    outside : int
        Readings of load that lie beyond what the vocabulary allows, and are not believed.
    left : int
        Cells that are heard and not estimated, because there are too many.
    hours : float [h]
        Local time minus UTC.
    people : bool
        Whether the typical load comes from the twin's people.
    """

    at: np.datetime64 = NEVER
    readings: xr.Dataset = field(default_factory=xr.Dataset)
    record: xr.Dataset | None = None
    ahead: xr.Dataset | None = None
    alarms: list[dict[str, Any]] = field(default_factory=list)
    cells: tuple[str, ...] = ()
    outside: int = 0
    left: int = 0
    hours: float = 0.0
    people: bool = True

    @property
    def times(self) -> np.ndarray:
        """Every moment that something is believed of, the forecast's among them."""
        parts = [p["time"].to_numpy() for p in (self.record, self.ahead) if p is not None]
        return np.concatenate(parts) if parts else EMPTY

    @property
    def last(self) -> np.datetime64:
        """The latest moment that a reading told of."""
        return self.record["time"].to_numpy()[-1] if self.record is not None else NEVER

    def load(self, cell: str) -> xr.Dataset:
        """What is believed of a cell: load, low, high (two spreads to each side, within 0 and 1), ahead (time)."""
        parts = []
        for part, ahead in ((self.record, False), (self.ahead, True)):
            if part is not None and cell in self.cells:
                one = part[["load", "load_spread"]].sel(cell=cell, drop=True)
                parts.append(one.assign(ahead=("time", np.full(one.sizes["time"], ahead))))
        if not parts:
            return xr.Dataset({n: ("time", np.empty(0)) for n in ("load", "low", "high", "ahead")}, {"time": EMPTY})
        both = xr.concat(parts, "time") if len(parts) > 1 else parts[0]
        low, high = (both["load"] + s * 2 * both["load_spread"] for s in (-1, 1))
        made = {"load": both["load"].clip(0, 1), "low": low.clip(0, 1), "high": high.clip(0, 1), "ahead": both["ahead"]}
        return xr.Dataset(made)

    def at_time(self, moment: Any) -> xr.Dataset:
        """Load and spread of every estimated cell at the cycle nearest to a moment."""
        times = self.times
        if not len(times):
            return xr.Dataset({n: ("cell", np.empty(0)) for n in ("load", "load_spread")}, {"cell": []})
        nearest = times[int(np.argmin(np.abs(times - np.datetime64(moment, "ns"))))]
        part = self.record if self.record is not None and nearest <= self.last else self.ahead
        assert part is not None  # noqa: S101 - one of the two gave the time
        one: xr.Dataset = part[["load", "load_spread"]].sel(time=nearest)
        return one.assign(load=one["load"].clip(0, 1))


class Watch:
    """Looks at one store for all who watch it.

    Parameters
    ----------
    path : path, optional
        A stored twin.
    twin : DataTree, optional
        In place of a store: its telemetry as it stands, without a history.
    days : float [d]
        Of readings that are looked at.
    seed : int
    noise : float [1]
        What a reading of load may be off.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        twin: xr.DataTree | None = None,
        days: float = WINDOW,
        seed: int = 1,
        noise: float = NOISE,
    ) -> None:
        self.path, self.days, self.seed, self.noise = path, days, seed, noise
        self.twin = twin
        self.now = Known()
        self.places: tuple[xr.Dataset, dict[str, str]] = (_nowhere(), {})
        """Where the sites stand and whose the cells are; see `places_of`."""
        self.figures = Figures()
        self.came = Arrivals(EMPTY, EMPTY, EMPTY, EMPTY, EMPTY)
        self.looked: np.datetime64 = NEVER
        """When the store was last seen, in UTC; NaT before."""
        self.version = 0
        """Goes up whenever what is known changes."""
        self.belief: Belief | None = None
        self._mark: Any = None
        self._head = ""
        self._commit: Any = None
        self._committed = EMPTY
        self._model: Any = None
        self._past: OrderedDict[np.datetime64, Known] = OrderedDict()
        self._totals: deque[tuple[float, int]] = deque()
        self._lock = threading.RLock()

    # ---------------------------------------------------------------- looking

    def look(self) -> bool:
        """Look at the store; whether anything is new.

        Errors
        ------
        TwinError
            The store is gone, or no longer one. What is known stays as it was.
        """
        with self._lock:
            if self.path is None:
                new = self.version == 0
                if new:
                    self._take(self.twin)
            else:
                now = mark(self.path)
                new = now != self._mark
                if new:
                    twin = store.open(self.path)
                    self._take(twin)
                    self._mark = now  # only now: what failed is tried again
            self.looked = np.datetime64(clock.time_ns(), "ns")
            self._count()
            return new

    def _take(self, twin: Any) -> None:
        """All that is known now."""
        before = self.twin
        self.twin = twin
        if self.path is not None:
            self.came = store.arrivals(self.path)
            changed = self._commits(before)
        else:
            changed = self.version == 0
        readings, outside = _readings(twin, self.days)
        if changed:
            self._model = None
            self._past.clear()
            self.places = places_of(twin)
        cells, left = _heard(readings, self.belief.model.cells if self.belief is not None else ())
        self.belief = self._followed(self.belief, twin, readings, cells)
        self.now = _known(NEVER, twin, readings, self.belief, outside, left)
        self.version += 1

    def _commits(self, before: Any) -> bool:
        """Whether the twin itself changed since the last look; takes note of the last commit."""
        line = store.history(self.path)  # type: ignore[arg-type]
        newest = line[0]
        changed = before is None
        for commit in line:
            if commit.head == self._head:
                break
            changed |= any(not n.startswith("telemetry") for n in commit.changed)
        self._head = newest.head
        self._commit = newest
        self._committed = np.sort(np.array([c.when.replace(tzinfo=None) for c in line], "M8[ns]"))
        return changed

    def _followed(
        self, belief: Belief | None, twin: Any, readings: xr.Dataset, cells: tuple[str, ...]
    ) -> Belief | None:
        """The estimate of these readings: the one that there is, carried on, or another where that does not fit."""
        if not cells:
            return None
        if self._model is None or self._model.cells != cells:
            self._model = model_of(twin, cells, seed=self.seed, noise=self.noise)
        load = readings["load"]
        first = load["time"].to_numpy()[np.isfinite(load.sel(cell=list(cells)).to_numpy()).any(axis=1)][0]
        day = first.astype("M8[D]").astype("M8[ns]")
        if belief is None or not belief.model.same(self._model) or not belief.reaches(first):
            belief = Belief(self._model, day, rows=int(self.days * np.timedelta64(1, "D") / PERIOD))
        belief.follow(load, since=readings.attrs["since"])
        return belief

    def _count(self) -> None:
        """The figures of the moment."""
        came = self.came
        total = came.new + came.corrected
        now = clock.monotonic()
        self._totals.append((now, total))
        while len(self._totals) > 2 and self._totals[1][0] < now - OVER:
            self._totals.popleft()
        then, had = self._totals[0]
        if now - then >= 1 and total >= had:
            rate = (total - had) / (now - then)
        else:
            rate = came.rate(now=self.looked, over=OVER)
        last = came.last[-50:]
        delay = (last - came.time[-50:]) / np.timedelta64(1, "s")
        commit = self._commit
        self.figures = Figures(
            rate=rate,
            pending=came.pending,
            new=came.new,
            corrected=came.corrected,
            rejected=sum(came.rejected.values()),
            reasons=came.rejected,
            received=came.newest,
            tells_of=came.time[-1] if len(came.time) else self.now.last,
            delay=float(np.median(delay)) if len(delay) else float("nan"),
            commit=commit.head if commit else "",
            committed=np.datetime64(commit.when.replace(tzinfo=None), "ns") if commit else NEVER,
            message=commit.message if commit else "",
        )

    # ---------------------------------------------------------------- what was known then

    @property
    def moments(self) -> np.ndarray:
        """Moments to go back to: whenever something was received or committed; thinned, and each once."""
        return thinned(np.unique(np.concatenate([self.came.moments, self._committed])), MOMENTS)

    def known(self, moment: Any) -> Known:
        """What was known at a moment of the past, and would have been believed.

        Parameters
        ----------
        moment : datetime64 (UTC)
            NaT: now.

        Returns
        -------
        Known

        Errors
        ------
        TwinError
            No store, or one that did not exist then.
        """
        at = np.datetime64(moment, "ns")
        with self._lock:
            if np.isnat(at):
                return self.now
            if self.path is None:
                raise TwinError(
                    "a stored twin, which remembers what was known when",
                    found="a twin in memory",
                    hint='tk.save(twin, "town.twin"), and open the dashboard on that',
                )
            if at not in self._past:
                import pandas as pd

                then = store.open(self.path, as_of=pd.Timestamp(at))
                readings, outside = _readings(then, self.days)
                was = self.belief.model.cells if self.belief is not None else ()
                cells, left = _heard(readings, was)
                belief = self.belief
                begins = belief is not None and cells == belief.model.cells
                belief = belief.copy() if belief is not None and begins else None
                kept = self._model
                try:
                    belief = self._followed(belief, then, readings, cells)
                finally:
                    self._model = kept
                self._past[at] = _known(at, then, readings, belief, outside, left)
                while len(self._past) > VIEWS:
                    self._past.popitem(last=False)
            self._past.move_to_end(at)
            return self._past[at]


_WATCHED: OrderedDict[str, Watch] = OrderedDict()
_GUARD = threading.Lock()


def watching(path: str | Path) -> Watch:
    """The one watch of a store in this process: ten pages look at it once, and hold it once."""
    from pathlib import Path as Folder

    key = str(Folder(path).resolve())
    with _GUARD:
        if key not in _WATCHED:
            _WATCHED[key] = Watch(path)
            while len(_WATCHED) > 4:
                _WATCHED.popitem(last=False)
        _WATCHED.move_to_end(key)
        return _WATCHED[key]


# ---------------------------------------------------------------- readings


def _readings(twin: xr.DataTree, days: float) -> tuple[xr.Dataset, int]:
    """The telemetry of the last days on an even clock, in memory; and how many loads are beyond belief."""
    if "telemetry" not in twin.children:
        return xr.Dataset(), 0
    node = _table(twin, "telemetry")
    names = [str(n) for n, v in node.data_vars.items() if v.ndim == 2 and "time" in v.dims and v.dtype.kind in "fiu"]
    if not names or not node.sizes.get("time"):
        return xr.Dataset(), 0
    times = node["time"].to_numpy().astype("M8[ns]")
    last = times.max()
    start = (last - np.timedelta64(round(days * 86400), "s")).astype("M8[D]").astype("M8[ns]")
    recent = np.flatnonzero(times >= start)
    part = node[names].isel(time=recent).transpose("time", ...).compute()
    for dim in {str(d) for v in part.data_vars.values() for d in v.dims} - {"time"}:
        # sensors that were never heard in the window are no sensors to an operator
        heard = np.zeros(part.sizes[dim], bool)
        for v in part.data_vars.values():
            if dim in v.dims:
                heard |= np.isfinite(v.to_numpy().astype(float)).any(axis=0)
        part = part.isel({dim: np.flatnonzero(heard)})
    outside = 0
    if "load" in part:
        load = part["load"]
        wrong = (load < 0) | (load > 1) | np.isinf(load)
        outside = int(wrong.sum())
        part["load"] = load.where(~wrong).assign_attrs(load.attrs)
    times, index = np.unique(part["time"].to_numpy(), return_index=True)
    # the journal snaps readings to whole periods
    first = times[0] - (times[0] - np.datetime64(0, "ns")) % PERIOD
    even = np.arange(first, last + np.timedelta64(1, "ns"), PERIOD)
    out = part.isel(time=index).reindex(time=even).reset_coords(drop=True)
    out.attrs = {"since": start}
    return out, outside


def _table(twin: Any, node: str) -> xr.Dataset:
    found: xr.Dataset = twin.children[node].to_dataset(inherit=False)
    return found


def _heard(readings: xr.Dataset, before: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The cells whose load is estimated, and how many are heard besides."""
    if "load" not in readings or readings["load"].dims != ("time", "cell"):
        return (), 0
    load = readings["load"].to_numpy()
    some = np.isfinite(load).any(axis=0)
    names = np.array([str(c) for c in readings["cell"].to_numpy().tolist()], dtype=object)[some]
    if len(names) <= WATCHED:
        return tuple(names.tolist()), 0
    if len(before) == WATCHED and set(before) <= set(names.tolist()):
        return before, len(names) - WATCHED  # the choice stays while the page is open
    busy = np.nanmean(load[:, some], axis=0)
    chosen = np.sort(np.argsort(-busy, kind="stable")[:WATCHED])
    return tuple(names[chosen].tolist()), len(names) - WATCHED


def _known(at: np.datetime64, twin: Any, readings: xr.Dataset, belief: Belief | None, outside: int, left: int) -> Known:
    if readings.sizes.get("cell", 0) > WATCHED:
        # six moments of ten thousand cells would fill a laptop
        readings = readings.sel(cell=list(belief.model.cells)) if belief else readings.isel(cell=slice(0, WATCHED))
    if belief is None or belief.record is None:
        return Known(at=at, readings=readings, outside=outside, left=left, hours=local_hours(twin))
    return Known(
        at=at,
        readings=readings,
        record=belief.record,
        ahead=belief.ahead(),
        alarms=belief.alarms(),
        cells=belief.model.cells,
        outside=outside,
        left=left,
        hours=belief.model.hours,
        people=belief.model.people,
    )


# ---------------------------------------------------------------- what is shown of it


def findings_of(readings: xr.Dataset) -> list[dict[str, Any]]:
    """What `telemetry.quality` finds, a row for each sensor and kind: how often, how many readings, from when to when.

    Parameters
    ----------
    readings : Dataset
        Of a `Known`.

    Returns
    -------
    list of dict
        ``flag``, ``variable``, ``sensor``, ``times``, ``readings``, ``start``, ``end``; the longest lasting first.
    """
    from twinkit.telemetry import FLAGS, quality

    if not readings.data_vars or readings.sizes.get("time", 0) < 2:
        return []
    found = quality(readings)
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    columns = ("event_flag", "event_variable", "event_sensor", "start", "end", "readings")
    for flag, variable, sensor, start, end, count in zip(*(found[c].to_numpy() for c in columns), strict=True):
        key = (FLAGS[int(flag)], str(variable), str(sensor))
        row = rows.setdefault(
            key,
            {"flag": key[0], "variable": key[1], "sensor": key[2], "times": 0, "readings": 0, "start": start,
             "end": end},
        )  # fmt: skip
        row["times"] += 1
        row["readings"] += int(count)
        row["start"], row["end"] = min(row["start"], start), max(row["end"], end)
    return sorted(rows.values(), key=lambda r: -r["readings"])


def evidence(known: Known, sensor: str) -> xr.Dataset:
    """The innovations of a sensor in spreads that the forecast expected (time): what the alarm judges.

    Returns
    -------
    Dataset (time)
        ``innovation`` [unit of the reading], ``expected`` (its spread) and ``ratio`` [1]; empty for a stranger.
    """
    record = known.record
    if record is None or sensor not in known.cells:
        return xr.Dataset({n: ("time", np.empty(0)) for n in ("innovation", "expected", "ratio")}, {"time": EMPTY})
    one = record.isel(sensor=known.cells.index(sensor)).drop_vars("sensor")
    gap, spread = one["innovation"], one["innovation_spread"]
    return xr.Dataset({"innovation": gap, "expected": spread, "ratio": gap / spread})


def places_of(twin: xr.DataTree) -> tuple[xr.Dataset, dict[str, str]]:
    """Where the sites stand (x, y on site; empty where the twin does not say), and the site of each cell; in memory."""
    owner: dict[str, str] = {}
    if "cells" in twin.children and "site" in twin.children["cells"].data_vars:
        cells = _table(twin, "cells")["site"].compute()
        owner = dict(zip(map(str, cells["cell"].to_numpy().tolist()), map(str, cells.to_numpy().tolist()), strict=True))
    if "sites" not in twin.children or not {"x", "y"} <= set(twin.children["sites"].data_vars):
        return _nowhere(), owner
    return _table(twin, "sites")[["x", "y"]].compute().reset_coords(drop=True), owner


def _nowhere() -> xr.Dataset:
    return xr.Dataset({n: ("site", np.empty(0)) for n in ("x", "y")}, {"site": np.empty(0, object)})


def load_of_sites(places: tuple[xr.Dataset, dict[str, str]], known: Known, moment: Any) -> xr.Dataset:
    """The load of each site's busiest estimated cell at a moment; NaN where none is heard.

    Parameters
    ----------
    places : tuple
        Of `places_of`.
    known : Known
    moment : datetime64 (UTC)

    Returns
    -------
    Dataset (site)
        ``x``, ``y`` [m], ``load``, ``load_spread`` [1], ``busiest`` (its cell), ``alarms`` (open ones of its cells).
    """
    sites, owner = places
    names = [str(s) for s in sites["site"].to_numpy().tolist()]
    load, spread = np.full(len(names), np.nan), np.full(len(names), np.nan)
    busiest, alarmed = np.full(len(names), "", dtype=object), np.zeros(len(names), int)
    place = {n: i for i, n in enumerate(names)}
    then = known.at_time(moment)
    at = np.datetime64(moment, "ns")
    told = then["cell"].to_numpy().tolist()
    for cell, value, doubt in zip(told, then["load"].to_numpy(), then["load_spread"].to_numpy(), strict=True):
        i = place.get(owner.get(str(cell), ""), -1)
        if i >= 0 and not value <= load[i]:
            load[i], spread[i], busiest[i] = value, doubt, str(cell)
    for alarm in known.alarms:
        i = place.get(owner.get(alarm["sensor"], ""), -1)
        if i >= 0 and alarm["since"] <= at and not alarm["cleared"] <= at:
            alarmed[i] += 1
    return sites.assign(
        load=("site", load, {"units": "1"}),
        load_spread=("site", spread, {"units": "1"}),
        busiest=("site", busiest),
        alarms=("site", alarmed),
    )


def stale(figures: Figures, now: Any, *, period: float | None = None) -> float:
    """How long [s] nothing was received, where that is too long; else 0.

    Parameters
    ----------
    figures : Figures
    now : datetime64 (UTC)
    period : float [s], optional
        Between two readings of a sensor; left out, that of load in the vocabulary.
    """
    if np.isnat(figures.received):
        return 0.0
    due = words()["load"].period if period is None else period
    passed = float((np.datetime64(now, "ns") - figures.received) / np.timedelta64(1, "s"))
    return passed if passed > LATE * due else 0.0


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """As many values as asked for, evenly from first to last; all where there are not more."""
    if len(values) <= most:
        return values
    return values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]
