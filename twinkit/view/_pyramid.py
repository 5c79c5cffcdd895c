"""A layer at every coarseness: what is looked at is read, at the pixels that a screen has, and no more.

The coarse levels stay in memory, each half as fine as the one before. Finer ones of a lazy array are read a square at
a time where somebody looks, and the squares seen last are kept.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.view._raster import _mean, _step

__all__ = ["Pyramid", "Window"]

SQUARE = 256
"""Pixels along the edge of a square of a level."""
TOP = 512
"""Pixels along the longer edge of the coarsest level, at most."""
BLUR = 1.2
"""Pixels of a level to one of the screen at most: a third more data than the screen shows, at most 1.7 times too
coarse."""


@dataclass(frozen=True)
class Window:
    """Values (y, x) of a part of a map, rows from south to north, with their extent: left, right, bottom, top [m]."""

    values: np.ndarray
    extent: tuple[float, float, float, float]
    factor: int
    """Pixels of the layer along the edge of one of these."""


class Pyramid:
    """A map that is read where it is looked at.

    Parameters
    ----------
    layer : DataArray (y, x)
        In memory or lazy.
    classes : bool
        The middle pixel stands for those around it, instead of their mean.
    memory : float [byte]
        For what is kept of a lazy layer: half for the coarse levels, half for the squares seen last.

    Errors
    ------
    TwinError
        Not a map.
    """

    def __init__(self, layer: xr.DataArray, *, classes: bool = False, memory: float = 64e6) -> None:
        if not isinstance(layer, xr.DataArray) or set(layer.dims) != {"y", "x"} or not {"y", "x"} <= set(layer.coords):
            found = f"dims {tuple(layer.dims)}" if isinstance(layer, xr.DataArray) else f"a {type(layer).__name__}"
            raise TwinError(
                "a map with dims and coordinates y and x",
                found=found,
                hint="give one variable of the surface, e.g. twin['surface/people'], and choose one draw or scenario",
            )
        if min(layer.sizes.values()) == 0:
            raise TwinError("a map with pixels", found=f"{dict(layer.sizes)}", hint="choose a larger window")
        self.layer, self.classes = layer, classes
        turned = layer.transpose("y", "x")
        y, x = (turned[d].values.astype(float) for d in ("y", "x"))
        step_y, step_x = _step(y, x)
        data = turned.data[:: 1 if step_y > 0 else -1, :: 1 if step_x > 0 else -1]
        self._data = data
        self.step = (abs(step_y), abs(step_x))
        self.shape: tuple[int, int] = (int(data.shape[0]), int(data.shape[1]))
        left, bottom = x.min() - self.step[1] / 2, y.min() - self.step[0] / 2
        right, top = left + self.step[1] * self.shape[1], bottom + self.step[0] * self.shape[0]
        self.extent = (float(left), float(right), float(bottom), float(top))
        self._lock = threading.Lock()
        self._levels: dict[int, np.ndarray] = {}
        self._squares: OrderedDict[tuple[int, int, int], np.ndarray] = OrderedDict()
        self._room = memory / 2
        lazy = hasattr(data, "dask")
        self._finest = 1
        # four thirds: the level and all the coarser ones
        while lazy and 4 / 3 * 4 * math.prod(n / self._finest for n in self.shape) > memory / 2:
            self._finest *= 2
        self._coarsest = 1
        while max(self.shape) / self._coarsest > TOP:
            self._coarsest *= 2
        self._finest = min(self._finest, self._coarsest)

    @property
    def overview(self) -> Window:
        """The whole, coarse."""
        values = self._level(self._coarsest)
        return Window(values, self._extent(self._coarsest, 0, 0, values.shape), self._coarsest)

    def window(self, extent: tuple[float, float, float, float], pixels: tuple[float, float]) -> Window:
        """The part of the map within an extent, at about the pixels of a screen.

        Parameters
        ----------
        extent : left, right, bottom, top [m]
        pixels : rows and columns of the screen that show the extent

        Returns
        -------
        Window
            Empty where the extent lies off the map.
        """
        left, right, bottom, top = extent
        ratio = max(
            (top - bottom) / self.step[0] / max(pixels[0], 1), (right - left) / self.step[1] / max(pixels[1], 1)
        )
        factor = 1
        while factor < self._coarsest and ratio / factor > BLUR:
            factor *= 2
        rows, columns = (-(-n // factor) for n in self.shape)
        # doubles hold pixels of any map; far outside of it they are cut to it
        first = [
            int(np.clip(math.floor(v), 0, n))
            for v, n in (
                ((bottom - self.extent[2]) / self.step[0] / factor, rows),
                ((left - self.extent[0]) / self.step[1] / factor, columns),
            )
        ]
        last = [
            int(np.clip(math.ceil(v), 0, n))
            for v, n in (
                ((top - self.extent[2]) / self.step[0] / factor, rows),
                ((right - self.extent[0]) / self.step[1] / factor, columns),
            )
        ]
        if factor >= self._finest:
            values = self._level(factor)[first[0] : last[0], first[1] : last[1]]
        else:
            values = self._read(factor, (first[0], last[0]), (first[1], last[1]))
        return Window(np.asarray(values), self._extent(factor, first[0], first[1], values.shape), factor)

    # ------------------------------------------------------------ levels and squares

    def _extent(self, factor: int, row: int, column: int, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
        left = self.extent[0] + column * factor * self.step[1]
        bottom = self.extent[2] + row * factor * self.step[0]
        # the last group of a level may be cut short by the edge of the map
        right = min(left + shape[1] * factor * self.step[1], self.extent[1])
        top = min(bottom + shape[0] * factor * self.step[0], self.extent[3])
        return (left, right, bottom, top)

    def _level(self, factor: int) -> np.ndarray:
        """A level that is kept; the first that is asked for makes all of them."""
        with self._lock:
            if not self._levels:
                lazy, at = hasattr(self._data, "dask"), self._finest
                # an array in memory is its own finest level
                current = np.asarray(self._thinned(self._data, at).compute() if lazy else self._data)
                self._levels[at] = current
                while at < self._coarsest:
                    current = np.asarray(self._thinned(current, 2))
                    at *= 2
                    self._levels[at] = current
            return self._levels[factor]

    def _thinned(self, data: Any, factor: int) -> Any:
        """Every group of pixels as one, those at the edge, too, that are fewer."""
        if factor == 1:
            return data if self.classes else data.astype(np.float32)
        if self.classes:
            rows, columns = (np.minimum(np.arange(0, n, factor) + factor // 2, n - 1) for n in data.shape)
            return data[rows][:, columns]
        short = [(0, -n % factor) for n in data.shape]
        if hasattr(data, "dask"):
            import dask.array as da

            whole = da.pad(data.astype(np.float32), short, constant_values=np.nan) if np.any(short) else data
            return da.coarsen(_mean, whole, {0: factor, 1: factor})
        if np.any(short):
            data = np.pad(data.astype(np.float32), short, constant_values=np.nan)
        rows, columns = (n // factor for n in data.shape)
        return _halved(data) if factor == 2 else _mean(data.reshape(rows, factor, columns, factor), axis=(1, 3))

    def _square(self, factor: int) -> list[int]:
        """Rows and columns of a square of a level: the blocks of the lazy array, where those are of a fair size."""
        blocks = [sizes[0] for sizes in self._data.chunks]
        return [b // factor if b % factor == 0 and 64 <= b // factor <= 4 * SQUARE else SQUARE for b in blocks]

    def _read(self, factor: int, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """A part of a level that is not kept, from squares; those that are missing are read in one computation."""
        import dask

        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return np.empty((max(0, rows[1] - rows[0]), max(0, columns[1] - columns[0])), np.float32)
        high, wide = self._square(factor)
        wanted = [
            (factor, r, c)
            for r in range(rows[0] // high, (rows[1] - 1) // high + 1)
            for c in range(columns[0] // wide, (columns[1] - 1) // wide + 1)
        ]
        with self._lock:
            found = {key: self._squares[key] for key in wanted if key in self._squares}
        missing = [key for key in wanted if key not in found]
        tall, broad = high * factor, wide * factor
        parts = [
            self._thinned(self._data[r * tall : (r + 1) * tall, c * broad : (c + 1) * broad], factor)
            for _, r, c in missing
        ]
        read = [np.asarray(p) for p in dask.compute(*parts)]
        found.update(zip(missing, read, strict=True))
        with self._lock:
            for key in wanted:
                self._squares[key] = found[key]
                self._squares.move_to_end(key)
            while len(self._squares) > 1 and sum(s.nbytes for s in self._squares.values()) > self._room:
                self._squares.popitem(last=False)
        out = np.empty((rows[1] - rows[0], columns[1] - columns[0]), found[wanted[0]].dtype)
        for (_, r, c), square in found.items():
            top, left = r * high - rows[0], c * wide - columns[0]
            here = out[max(0, top) : top + square.shape[0], max(0, left) : left + square.shape[1]]
            here[:] = square[max(0, -top) :, max(0, -left) :][: here.shape[0], : here.shape[1]]
        return out


def _halved(data: np.ndarray) -> np.ndarray:
    """Means of groups of four; where some are unknown, of those that are known."""
    data = data.astype(np.float32, copy=False)
    four = [data[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    total = four[0] + four[1] + four[2] + four[3]
    lost = np.isnan(total)
    total *= 0.25
    if lost.any():
        total[lost] = _mean(np.stack([f[lost] for f in four]), axis=(0,))
    return np.asarray(total)
