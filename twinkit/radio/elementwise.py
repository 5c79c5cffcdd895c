"""One way to map a scalar kernel over numbers, NumPy arrays and labelled arrays, lazy where they are lazy.

The kernels of this package are written once, for one value. Other kernels call them as they are; the public
functions call them through `over`, which broadcasts as xarray does and keeps dask arrays lazy.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["mapped", "over"]


def mapped(kernel: Any) -> Callable[..., Any]:
    """The NumPy ufunc of a scalar Numba kernel; compiled at its first call and then cached on disk.

    >>> @numba.njit
    ... def half(x):
    ...     return x / 2
    >>> mapped(half)(np.array([1.0, 2.0]))
    array([0.5, 1. ])
    """
    # a kernel typed at the prompt has no file beside which a cache could lie
    cached = not kernel.py_func.__code__.co_filename.startswith("<")
    ufunc: Callable[..., Any] = numba.vectorize(nopython=True, cache=cached)(kernel.py_func)
    lock = threading.Lock()
    compiled: set[tuple[np.dtype[Any], ...]] = set()

    @functools.wraps(kernel.py_func)
    def call(*arrays: Any) -> Any:
        types = tuple(np.asarray(a).dtype for a in arrays)
        if types not in compiled:
            # two threads that meet a new type at once would both compile it, and Numba warns
            with lock:
                result = ufunc(*arrays)
                compiled.add(types)
                return result
        return ufunc(*arrays)

    return call


def over(function: Callable[..., Any], *arguments: Any) -> Any:
    """What an elementwise function of plain arrays gives for numbers, arrays and DataArrays that broadcast.

    Parameters
    ----------
    function : callable
        Takes plain floating-point arrays that broadcast, gives an array of their common shape.
    *arguments : float, array or DataArray
        A single number is a choice: it does not widen float32 data.

    Returns
    -------
    float, array or DataArray
        A DataArray where any argument is one (lazy where any is lazy), a float where all are numbers.

    Examples
    --------
    >>> over(np.hypot, xr.DataArray([3.0, 5.0], dims="x"), xr.DataArray([4.0, 12.0], dims="y")).dims
    ('x', 'y')
    >>> over(np.hypot, 3, 4)
    5.0
    """
    ready = [_floating(a) for a in arguments]
    dtype = np.result_type(*([a.dtype for a in ready if a.ndim > 0] or [float]))

    def block(*raw: Any) -> Any:
        return np.asarray(function(*raw)).astype(dtype, copy=False)

    if any(isinstance(a, xr.DataArray) for a in ready):
        return xr.apply_ufunc(block, *ready, dask="parallelized", output_dtypes=[dtype], keep_attrs="drop")
    if any(hasattr(a, "dask") for a in ready):
        import dask.array as da

        return da.map_blocks(block, *da.broadcast_arrays(*ready), dtype=dtype)
    result = block(*ready)
    return float(result) if result.ndim == 0 else result


def _floating(a: Any) -> Any:
    """Integers as floats that hold them; float32 and float64 as they are."""
    array = a if isinstance(a, xr.DataArray) or hasattr(a, "dask") else np.asarray(a)
    if array.dtype in (np.float32, np.float64):
        return array
    # a map of classes in one byte a pixel does not become eight bytes a pixel
    return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
