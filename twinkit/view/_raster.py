"""A large array as a picture's worth of pixels, and the numbers about it, in one pass of small memory."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["Raster", "thinned"]

MOST = 800
"""Pixels along the longer edge of a picture."""


@dataclass(frozen=True)
class Raster:
    """Thinned values (y, x) with the extent of the whole in metres: left, right, bottom, top."""

    values: np.ndarray
    extent: tuple[float, float, float, float]
    factor: int

    @property
    def width(self) -> float:
        return self.extent[1] - self.extent[0]

    @property
    def height(self) -> float:
        return self.extent[3] - self.extent[2]


def thinned(*arrays: xr.DataArray, means: tuple[bool, ...] | None = None, most: int = MOST) -> list[Raster]:
    """Each array thinned by the same factor, all of them in one computation.

    Parameters
    ----------
    *arrays : DataArray (y, x)
        On one grid; lazy ones are computed block by block, and only the thinned blocks are kept.
    means : tuple of bool
        Mean of the pixels that become one (True, the default), or the middle one of them, for classes.
    most : int
        Pixels along the longer edge.

    Errors
    ------
    TwinError
        Not a map, or maps on different grids.
    """
    first = arrays[0]
    for a in arrays:
        if not isinstance(a, xr.DataArray) or set(a.dims) != {"y", "x"} or not {"y", "x"} <= set(a.coords):
            found = f"dims {tuple(a.dims)}" if isinstance(a, xr.DataArray) else f"a {type(a).__name__}"
            raise TwinError(
                "a map with dims and coordinates y and x",
                found=found,
                hint="give one variable of the surface, e.g. twin['surface/people'], and choose one draw or scenario",
            )
        if a.sizes != first.sizes:
            raise TwinError(
                "maps on one grid",
                found=f"{dict(first.sizes)} and {dict(a.sizes)}",
                hint="interpolate one to the other: array.interp_like(other)",
            )
        if min(a.sizes.values()) == 0:
            raise TwinError("a map with pixels", found=f"{dict(a.sizes)}", hint="choose a larger window")
    factor = max(1, -(-max(first.sizes["y"], first.sizes["x"]) // most))
    turned = [a.transpose("y", "x") for a in arrays]
    parts = [_thin(a.data, factor, mean) for a, mean in zip(turned, means or (True,) * len(arrays), strict=True)]
    if any(hasattr(p, "dask") for p in parts):
        import dask

        parts = list(dask.compute(*parts))
    out = []
    for part, a in zip(parts, turned, strict=True):
        y, x = a["y"].values.astype(float), a["x"].values.astype(float)
        values = np.asarray(part)
        step_y, step_x = _step(y, x)
        # the last pixels that make no whole group are left out of the picture, and so of its extent
        left, right = x[0] - step_x / 2, x[0] - step_x / 2 + step_x * values.shape[1] * factor
        bottom, top = y[0] - step_y / 2, y[0] - step_y / 2 + step_y * values.shape[0] * factor
        if step_y < 0:
            values, bottom, top = values[::-1], top, bottom
        if step_x < 0:
            values, left, right = values[:, ::-1], right, left
        out.append(Raster(values, (left, right, bottom, top), factor))
    return out


def _step(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    step_x = (x[-1] - x[0]) / (x.size - 1) if x.size > 1 else 0.0
    step_y = (y[-1] - y[0]) / (y.size - 1) if y.size > 1 else abs(step_x) or 1.0
    return float(step_y), float(step_x or abs(step_y))


def _thin(data: Any, factor: int, mean: bool) -> Any:
    if factor == 1:
        return data
    if not mean:
        rows, columns = (n // factor * factor for n in data.shape)
        return data[:rows, :columns][factor // 2 :: factor, factor // 2 :: factor]
    if hasattr(data, "dask"):
        import dask.array as da

        return da.coarsen(_mean, data, {0: factor, 1: factor}, trim_excess=True)
    rows, columns = (n // factor for n in data.shape)
    return _mean(data[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor), axis=(1, 3))


def _mean(block: np.ndarray, axis: tuple[int, ...] | None = None, **_: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a group without any value is NaN, as it should be
        return np.asarray(np.nanmean(block, axis=axis, dtype=np.float64), dtype=np.float32)
