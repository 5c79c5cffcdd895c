"""The strongest sites at every pixel, a few deep: what stays when a site goes, and what a site that moves brings.

A map of the best server does not say what lies beneath it. Here each pixel keeps its strongest sites in their order,
as far down as they are known. A site that is taken out leaves the next one; a site that is put in costs its own levels
alone, where it may come before a known one; where no known one is left, all sites are asked anew at those pixels. What
stands first is the map of `coverage`, bit for bit, so that a planner can drag a mast and look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from twinkit.radio.best_server import Model, Network, levels, network
from twinkit.radio.tiling import PASS, WIDE_PASS, check_axes, columns_of, ground_at, layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

__all__ = ["Ranking", "Stopped"]

NOBODY = -1


class Stopped(Exception):  # noqa: N818 - it is no error: somebody wants another answer by now
    """A ranking was asked to stop. It is whole, and goes on from where it is."""


@numba.njit(cache=True, nogil=True)
def left(level: Any, cell: Any, depth: Any, owner: Any, gone: Any) -> None:  # pragma: no cover - compiled
    """Take sites out of the lists: level [dBm] and cell (rank, pixel), the first `depth` (pixel) of which are known.

    A list whose last known entry is nobody is known to its end, and stays so.
    """
    for p in range(depth.size):
        known = depth[p]
        kept = 0
        for r in range(known):
            c = cell[r, p]
            if c != NOBODY and gone[owner[c]]:
                continue
            if kept != r:
                level[kept, p], cell[kept, p] = level[r, p], c
            kept += 1
        if 0 < kept < known and cell[kept - 1, p] == NOBODY:
            for r in range(kept, known):
                level[r, p], cell[r, p] = -np.inf, NOBODY
            kept = known
        depth[p] = kept


@numba.njit(cache=True, nogil=True)
def joined(level: Any, cell: Any, depth: Any, owner: Any, some: Any, new: Any, who: Any) -> None:  # pragma: no cover
    """Put cells `who` of levels `new` [dBm] into the lists of the pixels `some`; -inf and nobody stay out.

    A site stands in a list once, with its strongest cell; of equal cells the first comes first. What is weaker than
    all that are known may be weaker than an unknown one, too: it stays out, and the list as deep as it was.
    """
    most = level.shape[0]
    for k in range(some.size):
        number, value, p = who[k], new[k], some[k]
        if number == NOBODY or not value > -np.inf:
            continue
        known = depth[p]
        at = known
        for r in range(known):
            c = cell[r, p]
            if c == NOBODY or value > level[r, p] or (value == level[r, p] and number < c):
                at = r
                break
            if owner[c] == owner[number]:
                at = most
                break
        if at >= known:
            continue
        last = known
        for r in range(at, known):
            if cell[r, p] != NOBODY and owner[cell[r, p]] == owner[number]:
                last = r
                break
        if last == known:
            known = min(known + 1, most)
            depth[p] = known
            last = known - 1
        for r in range(last, at, -1):
            level[r, p], cell[r, p] = level[r - 1, p], cell[r - 1, p]
        level[at, p], cell[at, p] = value, number


@numba.njit(cache=True, nogil=True)
def weakest_known(level: Any, depth: Any) -> Any:  # pragma: no cover - compiled
    """Level [dBm] of the last known entry of each list; -inf where none is known."""
    out = np.empty(depth.size, np.float32)
    for p in range(depth.size):
        out[p] = level[depth[p] - 1, p] if depth[p] else -np.inf
    return out


@dataclass(frozen=True)
class _Mast:
    """What a site lays on the ground depends on this alone."""

    place: tuple[float, float, float, float]
    cells: tuple[tuple[int, float, float, float, float, str], ...]


class Ranking:
    """The strongest sites of a twin at every pixel, or at some of its rows and columns.

    Parameters
    ----------
    twin : DataTree
        With sites, cells and surface, whose ground is read once.
    model : Model or Relief
        As `twinkit.radio.coverage.model_for` joins it.
    antennas, subcarrier_spacing
        As for `coverage`.
    rows, columns : array of int, optional
        Positions on the surface's axes, ascending; all where left out. A model over terrain wants them evenly spaced.
    deep : int
        How many sites are sought where nothing is known. One is soonest there; with two or three, moving one site after
        the other seldom asks all anew.
    most : int
        Longest list.
    like : Ranking, optional
        Of the same ground and model, whose ground is taken and not read again.

    Attributes
    ----------
    rsrp : array (y, x), float32 [dBm]
        As `coverage` gives it, after `follow`.
    server : array (y, x), int32

    Errors
    ------
    TwinError
        As `coverage`.

    Examples
    --------
    >>> import xarray as xr, twinkit as tk
    >>> from twinkit.radio.coverage import model_for
    >>> places = {"x": [0.0, 3e3], "y": [0.0, 0.0], "height": [30.0, 30.0]}
    >>> sites = xr.Dataset({k: ("site", v) for k, v in places.items()}, {"site": ["a", "b"]})
    >>> cells = {"azimuth": 0.0, "downtilt": 0.0, "frequency": 8e8, "bandwidth": 1e7, "transmit_power": 46.0}
    >>> cells = {k: ("cell", [v] * 2) for k, v in cells.items()}
    >>> cells |= {"site": ("cell", ["a", "b"]), "antenna": ("cell", ["omni"] * 2)}
    >>> ground = xr.Dataset({"ground_height": (("y", "x"), np.zeros((1, 4)))}, {"y": [0.0], "x": 1e3 * np.arange(4)})
    >>> nodes = {"sites": sites, "cells": xr.Dataset(cells, {"cell": ["a1", "b1"]}), "surface": ground}
    >>> twin = tk.assemble(nodes, title="two masts", crs="EPSG:32643")
    >>> def mine(distance):
    ...     return 20 + 40 * np.log10(distance)
    >>> choices = dict(entry=None, paths=None, near=None, farthest=None)
    >>> ranking = Ranking(twin, model=model_for(twin, mine, receiver_height=1.5, **choices))
    >>> ranking.follow(twin)
    >>> ranking.server.tolist()
    [[0, 0, 1, 1]]
    >>> one = tk.extend(twin, cells=twin["cells"].to_dataset().isel(cell=[1]))
    >>> ranking.follow(one)
    >>> ranking.server.tolist(), ranking.asked
    ([[0, 0, 0, 0]], 4)
    """

    def __init__(
        self,
        twin: xr.DataTree,
        *,
        model: Model,
        antennas: Mapping[str, Callable[..., Any]] | None = None,
        subcarrier_spacing: float = 15e3,
        rows: np.ndarray | None = None,
        columns: np.ndarray | None = None,
        deep: int = 2,
        most: int = 3,
        like: Ranking | None = None,
    ) -> None:
        surface = twin.children["surface"].to_dataset(inherit=False)
        check_axes(surface)
        self.axes = tuple(surface[d].values.astype(float) for d in ("y", "x"))
        self.model, self.antennas, self.subcarrier_spacing = model, antennas, subcarrier_spacing
        self.deep, self.most = deep, max(deep, most)
        if like is None:
            layers = layers_of(surface, over_terrain=hasattr(model, "halo"))
            layers = {n: np.asarray(a) for n, a in layers.items()}
            self._heights = layers["ground_height"]
            self._terrain = model.ground((0, 0), **layers) if hasattr(model, "halo") else None  # type: ignore[attr-defined]
        else:
            self._heights, self._terrain = like._heights, like._terrain
        self.rows = np.arange(self.axes[0].size) if rows is None else rows
        self.columns = np.arange(self.axes[1].size) if columns is None else columns
        self.shape = self.rows.size, self.columns.size
        self._ground = self._heights[np.ix_(self.rows, self.columns)].astype(float).reshape(-1)
        self.asked = 0
        """Pixels at which all sites were asked, from the beginning."""
        self._forget()

    def _forget(self) -> None:
        count = self.shape[0] * self.shape[1]
        self._level = np.full((self.most, count), -np.inf, np.float32)
        self._cell = np.full((self.most, count), NOBODY, np.int32)
        self._depth = np.zeros(count, np.int8)
        self._masts: dict[int, _Mast] = {}
        # numbers of sites and cells that stay theirs: a cell that was taken out may come back
        self._sites: dict[str, int] = {}
        self._cells: dict[str, int] = {}
        self._owner = np.empty(0, np.int32)
        self._position = np.empty(0, np.int32)
        self._made: Network | None = None

    # ------------------------------------------------------------ what is seen

    @property
    def rsrp(self) -> np.ndarray:
        """Level of the best cell [dBm], NaN where none has an answer."""
        first = self._level[0].reshape(self.shape)
        return np.where(self._cell[0].reshape(self.shape) == NOBODY, np.float32(np.nan), first)

    @property
    def server(self) -> np.ndarray:
        """Position of the best cell in the cells that were followed last, -1 where there is none."""
        lookup = np.append(self._position, np.int32(NOBODY))
        return lookup[self._cell[0]].reshape(self.shape)

    def validity(self) -> np.ndarray | None:
        """Whose loss stands at the pixels, as `coverage` flags it; None of a model that looks at no terrain."""
        if self._terrain is None or self._made is None:
            return None
        from twinkit.radio.over_terrain import BEYOND, NEAR, VALID

        server = self.server.reshape(-1)
        y, x = self._places(slice(0, self.shape[0]), slice(0, self.shape[1]))
        site = self._made.cell_site[server]
        close = np.hypot(x - self._made.x[site], y - self._made.y[site]) < self.model.least  # type: ignore[attr-defined]
        flags = np.where(server < 0, np.int8(BEYOND), np.where(close, np.int8(NEAR), np.int8(VALID)))
        return flags.astype(np.int8).reshape(self.shape)

    def copy(self) -> Ranking:
        """Another one that knows as much, and shares the ground alone."""
        out = object.__new__(Ranking)
        out.__dict__.update(self.__dict__)
        for name in ("_level", "_cell", "_depth", "_owner", "_position"):
            setattr(out, name, getattr(self, name).copy())
        for name in ("_masts", "_sites", "_cells"):
            setattr(out, name, dict(getattr(self, name)))
        return out

    # ------------------------------------------------------------ following a network

    def follow(self, twin: xr.DataTree, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Come to the network of another twin on the same ground; what did not change costs nothing.

        Parameters
        ----------
        twin : DataTree
            Its sites and cells.
        stop : function
            Looked at between tiles.

        Errors
        ------
        Stopped
            When `stop` says so.
        TwinError
            As `coverage`; the ranking is whole, and may be asked to follow another twin.
        """
        made = self._network(twin)
        masts = self._numbered(twin, made)
        gone = np.zeros(len(self._sites), bool)
        gone[[s for s, m in self._masts.items() if masts.get(s) != m]] = True
        new = [s for s, m in masts.items() if self._masts.get(s) != m]
        if gone.any():
            left(self._level, self._cell, self._depth, self._owner, gone)
            self._masts = {s: m for s, m in self._masts.items() if not gone[s]}
        stay = len(masts) - len(new)
        if len(new) > max(2, stay):  # more than stay: all at once
            self._depth[:] = 0
            self._masts, new = masts, []
        parts = self._part(made, masts, self._masts)
        self._ask_all(parts, stop)
        for site in new:
            self._ask_one(self._part(made, masts, [site]), stop)
            self._masts[site] = masts[site]
        self._made = made

    def _network(self, twin: xr.DataTree) -> Network:
        y, x = self.axes
        columns, fixed = columns_of(
            twin,
            antennas=self.antennas,
            subcarrier_spacing=self.subcarrier_spacing,
            within=None if self._terrain is None else (y, x),
        )
        columns = {k: np.asarray(v) for k, v in columns.items()}
        there = ground_at(self._heights, y, x, columns["site_y"], columns["site_x"])
        return network(**columns, **fixed, site_ground=there)

    def _numbered(self, twin: xr.DataTree, made: Network) -> dict[int, _Mast]:
        """The masts by number; cells get numbers in their order, which decides between equals."""
        tables = {n: twin.children[n].to_dataset(inherit=False) for n in ("sites", "cells")}
        sites, cells = list(map(str, tables["sites"]["site"].values)), tables["cells"]
        ids = list(map(str, cells["cell"].values)) if "cell" in cells.coords else list(map(str, range(len(made.power))))
        if not self._fits(sites, ids, made):
            self._forget()
        for name in sites:
            self._sites.setdefault(name, len(self._sites))
        fresh = [i for i in range(len(ids)) if ids[i] not in self._cells]
        for i in fresh:
            self._cells[ids[i]] = len(self._cells)
        owners = [self._sites[sites[made.cell_site[i]]] for i in fresh]
        self._owner = np.append(self._owner, np.array(owners, np.int32))
        numbers = [self._cells[n] for n in ids]
        self._position = np.full(len(self._cells), NOBODY, np.int32)
        self._position[numbers] = np.arange(len(ids), dtype=np.int32)
        owned: dict[int, list[Any]] = {}
        where: dict[int, tuple[float, float, float, float]] = {}
        for i, number in enumerate(numbers):
            at = int(made.cell_site[i])
            site = self._sites[sites[at]]
            how = (made.azimuth[i], made.downtilt[i], made.frequency[i], made.power[i])
            owned.setdefault(site, []).append((number, *map(float, how), str(made.antenna[i])))
            where[site] = (float(made.x[at]), float(made.y[at]), float(made.height[at]), float(made.ground[at]))
        return {s: _Mast(where[s], tuple(c)) for s, c in owned.items()}

    def _fits(self, sites: list[str], ids: list[str], made: Network) -> bool:
        """Whether numbers given before are still in the order of the cells, and with their sites."""
        known = [(self._cells[n], i) for i, n in enumerate(ids) if n in self._cells]
        numbers = [k for k, _ in known]
        fresh = [i for i, n in enumerate(ids) if n not in self._cells]
        if numbers != sorted(numbers) or (fresh and known and fresh[0] < known[-1][1]):
            return False
        return all(self._sites.get(sites[made.cell_site[i]]) == self._owner[k] for k, i in known)

    def _part(self, made: Network, masts: Mapping[int, _Mast], some: Any) -> tuple[Network, np.ndarray]:
        """The network of some masts, and the number of each of its cells."""
        numbers = np.array(sorted(c[0] for s in some for c in masts[s].cells), np.int32)
        at = self._position[numbers]
        names = ("cell_site", "azimuth", "downtilt", "frequency", "power", "antenna", "bandwidth", "load")
        return replace(made, **{n: getattr(made, n)[at] for n in names}), numbers

    # ------------------------------------------------------------ asking

    def _tiles(self) -> list[tuple[slice, slice]]:
        edge = PASS if self._terrain is None else WIDE_PASS
        return [
            (slice(top, min(top + edge, self.shape[0])), slice(start, min(start + edge, self.shape[1])))
            for top in range(0, self.shape[0], edge)
            for start in range(0, self.shape[1], edge)
        ]

    def _on_threads(self, work: Callable[[tuple[slice, slice]], None], tiles: list[Any], stop: Any) -> None:
        import dask

        def one(tile: tuple[slice, slice]) -> None:
            if not stop():
                work(tile)

        if len(tiles) == 1:
            one(tiles[0])
        elif tiles:
            dask.compute(*(dask.delayed(one, pure=False)(t) for t in tiles), scheduler="threads")
        if stop():
            raise Stopped

    def _flat(self, tile: tuple[slice, slice]) -> np.ndarray:
        """Positions of a tile's pixels, row after row."""
        rows, columns = (np.arange(s.start, s.stop) for s in tile)
        return np.asarray((rows[:, None] * self.shape[1] + columns).reshape(-1))

    def _places(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        y, x = self.axes[0][self.rows[rows]], self.axes[1][self.columns[columns]]
        shape = y.size, x.size
        return np.broadcast_to(y[:, None], shape).ravel(), np.broadcast_to(x, shape).ravel()

    def _bound(self, tile: tuple[slice, slice]) -> Model:
        if self._terrain is None:
            return self.model
        return self.model.on(self._terrain, self.rows[tile[0]], self.columns[tile[1]])  # type: ignore[attr-defined, no-any-return]

    def _ask_all(self, part: tuple[Network, np.ndarray], stop: Callable[[], bool]) -> None:
        """Fill the lists of which nothing is known."""
        made, numbers = part

        def work(tile: tuple[slice, slice]) -> None:
            flat = self._flat(tile)
            empty = self._depth[flat] == 0
            if not empty.any():
                return
            y, x = self._places(*tile)
            ground = self._ground[flat]
            if self._terrain is None:
                flat, y, x, ground = flat[empty], y[empty], x[empty], ground[empty]
            else:  # its pixels stand in a rectangle; unknown ones are left out
                ground = np.where(empty, ground, np.nan)
            level = np.full((self.deep, flat.size), -np.inf, np.float32)
            cell = np.full((self.deep, flat.size), NOBODY, np.int32)
            depth = np.full(flat.size, self.deep, np.int8)
            every = np.arange(flat.size)
            if numbers.size:
                for c, some, value in levels(made, self._bound(tile), ground, y, x, weakest=level[-1]):
                    at = every if some is None else some
                    who = np.broadcast_to(numbers[c], at.shape)
                    joined(level, cell, depth, self._owner, at, np.ascontiguousarray(value), who)
            if self._terrain is not None:
                flat, level, cell = flat[empty], level[:, empty], cell[:, empty]
            self._level[: self.deep, flat], self._cell[: self.deep, flat] = level, cell
            self._depth[flat] = self.deep

        empty = self._depth.reshape(self.shape) == 0
        tiles = [t for t in self._tiles() if empty[t].any()]
        self.asked += int(empty.sum())
        self._on_threads(work, tiles, stop)

    def _ask_one(self, part: tuple[Network, np.ndarray], stop: Callable[[], bool]) -> None:
        """Put one site into the lists, once all of its levels are there."""
        made, numbers = part
        best = weakest_known(self._level, self._depth)
        who = np.full(best.size, NOBODY, np.int32)

        def work(tile: tuple[slice, slice]) -> None:
            flat = self._flat(tile)
            y, x = self._places(*tile)
            here, own = best[flat], np.full(flat.size, NOBODY, np.int32)
            for c, some, value in levels(made, self._bound(tile), self._ground[flat], y, x, weakest=here.copy()):
                at = slice(None) if some is None else some
                better = (value > here[at]) | ((value == here[at]) & ((own[at] == NOBODY) | (numbers[c] < own[at])))
                better &= value > -np.inf
                here[at], own[at] = np.where(better, value, here[at]), np.where(better, numbers[c], own[at])
            best[flat], who[flat] = here, own

        self._on_threads(work, self._tiles(), stop)
        some = np.flatnonzero(who != NOBODY)
        joined(self._level, self._cell, self._depth, self._owner, some, best[some], who[some])

    def __repr__(self) -> str:
        known = float(self._depth.mean()) if self._depth.size else math.nan
        return f"<Ranking of {len(self._masts)} sites at {self._depth.size} pixels, {known:.1f} deep>"
