"""What the planner's page knows, without the page: the plan so far, the coverage that answers it, and the numbers.

Two rankings follow the plan: a coarse one at some of the pixels, for the picture while a mast is dragged, and the fine
one at all of them, which is `twinkit.radio.coverage` of the edited twin bit for bit.
"""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import stamp, within
from twinkit.error import TwinError
from twinkit.radio.coverage import described, model_for
from twinkit.radio.ranking import Ranking
from twinkit.view.dashboard.plan_edits import Edit, Tables, after, edited, laid_upon, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["COVERED", "GAINED", "LOST", "NOWHERE", "Numbers", "Plan", "Seen"]

NOWHERE, COVERED, GAINED, LOST = 0, 1, 2, 3
"""What became of a pixel: not covered, covered as before, newly covered, no longer covered."""

COARSE = 16_000
"""Pixels of the coarse picture, about."""
FINE = 4_000_000
"""Pixels of the fine one at most: of a larger map every second, third ... row and column is looked at."""


@numba.njit(cache=True, nogil=True)
def sorted_out(
    rsrp: Any, before: Any, people: Any, wished: Any, threshold: float, classes: Any
) -> Any:  # pragma: no cover - compiled
    """Class of each pixel, and sums of people and of wishes: everybody, covered before, covered, gained, lost.

    Everything flat; `before` are levels [dBm], too; NaN people and levels count for nothing.
    """
    sums = np.zeros((2, 5))
    for p in range(rsrp.size):
        now = rsrp[p] > threshold
        was = before[p] > threshold
        classes[p] = (COVERED if was else GAINED) if now else (LOST if was else NOWHERE)
        for kind in range(2):
            n = people[p] if kind == 0 else wished[p]
            if n > 0.0:
                sums[kind, 0] += n
                if was:
                    sums[kind, 1] += n
                if now:
                    sums[kind, 2] += n
                if now and not was:
                    sums[kind, 3] += n
                if was and not now:
                    sums[kind, 4] += n
    return sums


@dataclass(frozen=True)
class Numbers:
    """People, or wishes, by what became of them."""

    everybody: float
    before: float
    covered: float
    gained: float
    lost: float

    @property
    def share(self) -> float:
        """Of everybody; NaN where there is nobody."""
        return self.covered / self.everybody if self.everybody else math.nan


@dataclass(frozen=True)
class Seen:
    """One answer: the picture, what it counts, and how fine it is.

    Attributes
    ----------
    classes : array (y, x), uint8
    extent : (left, right, bottom, top) [m]
    people, wished : Numbers
    every : int
        Every so many rows and columns were looked at.
    rsrp : array (y, x), float32 [dBm]
    """

    classes: np.ndarray
    extent: tuple[float, float, float, float]
    people: Numbers
    wished: Numbers
    every: int
    rsrp: np.ndarray


class _Grid:
    """Some rows and columns of the surface, with the people and wishes around each of their pixels."""

    def __init__(self, plan: Plan, every: int, like: Ranking | None) -> None:
        self.every = every
        y, x = plan.axes
        self.rows, self.columns = (np.arange((every - 1) // 2, a.size, every) for a in (y, x))
        model = plan.model(coarse=like is not None)
        self.ranking = Ranking(
            plan.base, model=model, antennas=plan.antennas, rows=self.rows, columns=self.columns,
            deep=plan.deep, like=like,
        )  # fmt: skip
        step = [float(a[1] - a[0]) if a.size > 1 else 1.0 for a in (x, y)]
        left, bottom = float(x[0]) - step[0] / 2, float(y[0]) - step[1] / 2
        shape = self.ranking.shape
        self.extent = left, left + step[0] * every * shape[1], bottom, bottom + step[1] * every * shape[0]
        self.base: np.ndarray | None = None
        self.people, self.wished = self.around(plan.people), self.around(plan.wished)

    def around(self, layer: np.ndarray | None) -> np.ndarray:
        """Sums of a layer over the pixels that each of ours stands for; the last one has the rest."""
        shape = self.rows.size, self.columns.size
        if layer is None:
            return np.zeros(shape)
        out = np.nan_to_num(layer.astype(float))
        for dim, count in enumerate(shape):
            out = np.add.reduceat(out, np.arange(count) * self.every, axis=dim)
        return out

    def seen(self, threshold: float) -> Seen:
        rsrp = self.ranking.rsrp
        classes = np.empty(rsrp.shape, np.uint8)
        flat: list[Any] = [np.ascontiguousarray(a).reshape(-1) for a in (rsrp, self.base, self.people, self.wished)]
        count: Any = sorted_out
        sums = count(*flat, threshold, classes.reshape(-1))
        people, wished = (Numbers(*map(float, row)) for row in sums)
        return Seen(classes, self.extent, people, wished, self.every, rsrp)


class Plan:
    """A twin, the edits laid upon it, and the coverage that they make.

    Parameters
    ----------
    twin : DataTree
        With sites, cells and surface; of a stored one, the commit to which a saved plan is joined.
    path_loss : function
        And ``paths``, ``near``, ``entry``, ``farthest``, ``receiver_height``, ``antennas``: as for
        `twinkit.radio.coverage`.
    threshold : float [dBm]
        A pixel is covered above it.
    wished : DataArray (y, x), optional
        What citizens ask for, as `twinkit.participate.wished` spreads it.
    deep : int
        As for `twinkit.radio.ranking.Ranking`: 1 opens soonest with a model over terrain.

    Attributes
    ----------
    edits : tuple of Edit
    undone : tuple of Edit
        The last undone last.

    Errors
    ------
    TwinError
        As `coverage`, or a twin without a network or people.

    Examples
    --------
    >>> import twinkit as tk
    >>> plan = Plan(tk.datasets.town(sites=4, seed=1, resolution=100), path_loss=tk.radio.uma, threshold=-95)
    >>> site = plan.sites()[0]
    >>> plan.do(Edit("tune", site, {"transmit_power": 30.0}))
    >>> seen = plan.fine()
    >>> seen.people.lost > 0, seen.people.gained
    (True, 0.0)
    >>> plan.undo()
    True
    >>> plan.fine().people.lost
    0.0
    """

    def __init__(
        self,
        twin: xr.DataTree,
        *,
        path_loss: Callable[..., Any],
        threshold: float = -105.0,
        paths: Callable[..., Any] | None = None,
        near: Callable[..., Any] | None = None,
        entry: Callable[..., Any] | None = None,
        farthest: float | None = None,
        receiver_height: float = 1.5,
        antennas: Mapping[str, Callable[..., Any]] | None = None,
        wished: xr.DataArray | None = None,
        deep: int = 2,
    ) -> None:
        within(threshold, -250, 60, name="threshold", unit="dBm")
        within(receiver_height, 0.1, 400, name="receiver_height", unit="m")
        self.base, self.path_loss, self.threshold, self.deep = twin, path_loss, float(threshold), deep
        self.antennas = antennas
        self.choices: dict[str, Any] = {
            "receiver_height": receiver_height, "entry": entry, "paths": paths, "near": near, "farthest": farthest,
        }  # fmt: skip
        self.tables = tables_of(twin)
        self._steps = [self.tables]
        surface = twin.children["surface"].to_dataset(inherit=False)
        if "people" not in surface:
            raise TwinError("a surface with people", found="none", hint="tk.datasets.region gives one", where="surface")
        self.axes = tuple(surface[d].values.astype(float) for d in ("y", "x"))
        self.people = surface["people"].transpose("y", "x").values
        self.wished = None if wished is None else wished.transpose("y", "x").values
        if self.wished is not None and self.wished.shape != self.people.shape:
            raise TwinError(
                f"wishes on the surface, {self.people.shape}", found=f"{self.wished.shape}", hint="like=surface.people",
                where="wished",
            )  # fmt: skip
        self.edits: tuple[Edit, ...] = ()
        self.undone: tuple[Edit, ...] = ()
        self._lock = threading.RLock()
        many = self.people.size
        whole = math.ceil(math.sqrt(many / FINE))
        self._fine = _Grid(self, whole, None)
        self._coarse = _Grid(self, max(whole, math.ceil(math.sqrt(many / COARSE))), self._fine.ranking)

    def model(self, *, coarse: bool = False) -> Any:
        """The path loss function joined to the twin; the coarse picture walks fewer radials."""
        from twinkit.radio.itu1812.area import sweep

        choices = dict(self.choices)
        way = getattr(choices["paths"], "func", choices["paths"])
        made: Any = model_for(self.base, self.path_loss, **choices)
        if coarse and way is sweep and hasattr(made, "halo"):
            fewer = max(360, made.radials() // 8)
            given = getattr(choices["paths"], "keywords", {})
            choices["paths"] = functools.partial(sweep, **{**given, "radials": min(fewer, made.radials())})
            made = model_for(self.base, self.path_loss, **choices)
        return made

    # ------------------------------------------------------------ the plan

    def sites(self) -> list[str]:
        """Sites that have cells, in the twin's order."""
        own = set(map(str, self.now().cells["site"].values))
        return [s for s in map(str, self.now().sites["site"].values) if s in own]

    def now(self, extra: Edit | None = None) -> Tables:
        """The tables as they are, or as one more edit would make them; that one is not remembered."""
        return self._steps[-1] if extra is None else after(self._steps[-1], [extra])

    def do(self, edit: Edit) -> None:
        """Lay one more edit upon the plan.

        Errors
        ------
        TwinError
            As `plan_edits.after`; the plan is then as it was.
        """
        self._steps.append(self.now(edit))
        self.edits, self.undone = (*self.edits, edit), ()

    def undo(self) -> bool:
        """Take the last edit back, if there is one."""
        if not self.edits:
            return False
        self._steps.pop()
        self.edits, self.undone = self.edits[:-1], (*self.undone, self.edits[-1])
        return True

    def redo(self) -> bool:
        """Lay the edit upon the plan that was taken back last, if there is one."""
        if not self.undone:
            return False
        self._steps.append(self.now(self.undone[-1]))
        self.edits, self.undone = (*self.edits, self.undone[-1]), self.undone[:-1]
        return True

    def twin(self) -> xr.DataTree:
        """The twin as the plan would have it."""
        return edited(self.base, self.edits)

    def onto(self, twin: xr.DataTree) -> tuple[Plan, tuple[Edit, ...]]:
        """The same plan on another state of the twin, and the edits that it cannot take."""
        wished = None if self.wished is None else xr.DataArray(self.wished, dims=("y", "x"))
        if wished is not None and dict(twin["surface/people"].sizes) != dict(wished.sizes):
            wished = None
        made = Plan(
            twin, path_loss=self.path_loss, threshold=self.threshold, antennas=self.antennas, wished=wished,
            deep=self.deep, **self.choices,
        )  # fmt: skip
        kept, left = laid_upon(made.tables, self.edits)
        for edit in kept:
            made.do(edit)
        return made, left

    # ------------------------------------------------------------ what answers it

    def coarse(self, extra: Edit | None = None) -> Seen:
        """The picture at about every eighth pixel; people are counted at the nearest of them.

        Errors
        ------
        TwinError
            What the path loss model says of a value outside its range.
        """
        return self._answer(self._coarse, extra, lambda: False)

    def fine(self, extra: Edit | None = None, *, stop: Callable[[], bool] = lambda: False) -> Seen:
        """The whole picture.

        Parameters
        ----------
        extra : Edit, optional
            One more, which is not remembered.
        stop : function
            Looked at between tiles.

        Errors
        ------
        Stopped
            When `stop` says so.
        TwinError
            As `coarse`.
        """
        return self._answer(self._fine, extra, stop)

    def _answer(self, grid: _Grid, extra: Edit | None, stop: Callable[[], bool]) -> Seen:
        tables = self.now(extra)
        with self._lock:
            if grid.base is None:
                grid.ranking.follow(_network(self.tables), stop=stop)
                grid.base = grid.ranking.rsrp
            grid.ranking.follow(_network(tables), stop=stop)
            return grid.seen(self.threshold)

    def judge(self, threshold: float) -> None:
        """Count from another level [dBm] on; nothing is computed anew."""
        within(threshold, -250, 60, name="threshold", unit="dBm")
        with self._lock:
            self.threshold = float(threshold)

    def weigh(self, wished: xr.DataArray | None) -> None:
        """Count other wishes of citizens."""
        with self._lock:
            self.wished = None if wished is None else wished.transpose("y", "x").values
            for grid in (self._fine, self._coarse):
                grid.wished = grid.around(self.wished)

    def coverage(self) -> xr.Dataset:
        """Coverage of the edited twin, as `twinkit.radio.coverage` stamps it.

        Errors
        ------
        TwinError
            A map so large that not every pixel is looked at.
        """
        if self._fine.every > 1:
            raise TwinError(
                f"a map of at most {FINE:,} pixels", found=f"{self.people.size:,}", hint="tk.radio.coverage(twin)"
            )
        self.fine()
        with self._lock:
            return self._stamped(self._fine.ranking)

    def _stamped(self, ranking: Ranking) -> xr.Dataset:
        surface = self.base.children["surface"].to_dataset(inherit=False)
        attrs = described(ranking.model, self.choices["receiver_height"], 15e3)
        given: dict[str, Any] = {"rsrp": ranking.rsrp, "server": ranking.server}
        if (validity := ranking.validity()) is not None:
            given["validity"] = validity
        coords = {d: surface[d] for d in ("y", "x")}
        out = {n: xr.DataArray(v, coords, ("y", "x"), name=n, attrs=attrs) for n, v in given.items()}
        if "validity" in out:
            out["validity"].attrs |= {
                "flag_values": [0, 1, 2],
                "flag_meanings": "model near_model no_cell_within_reach",
            }
        return xr.Dataset({n: stamp(a, n, given_by="twinkit.radio.coverage.coverage") for n, a in out.items()})

    def fine_every(self) -> int:
        """Of how many rows and columns the fine picture shows one; `coarse_every` for the other."""
        return self._fine.every

    def coarse_every(self) -> int:
        """As `fine_every`."""
        return self._coarse.every

    def fine_people(self) -> np.ndarray:
        """People (y, x) around each pixel of the fine picture."""
        return self._fine.people

    def covered(self, twin: xr.DataTree) -> xr.DataArray:
        """Where another twin on this ground is covered, judged as this plan is: truths (y, x).

        Errors
        ------
        TwinError
            Another surface.
        """
        mine, other = (t.children["surface"].to_dataset(inherit=False) for t in (self.base, twin))
        names = [n for n in ("ground_height", "clutter_height", "zone") if n in mine]
        if any(n not in other or not mine[n].equals(other[n]) for n in names):
            raise TwinError(
                "branches on the same ground", found="another surface", hint="compare branches of one region",
                where="surface",
            )  # fmt: skip
        with self._lock:
            ranking = self._fine.ranking.copy()
        ranking.follow(twin)
        (y, x), rows, columns = self.axes, self._fine.rows, self._fine.columns
        coords = {"y": y[rows], "x": x[columns]}
        return xr.DataArray(ranking.rsrp > self.threshold, coords, ("y", "x"), name="covered")


def _network(tables: Tables) -> xr.DataTree:
    return xr.DataTree.from_dict({"/sites": tables.sites, "/cells": tables.cells})
