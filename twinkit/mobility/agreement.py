"""How far two tables agree: the same cells, and the share of the trips that both put into the same one."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["common_part", "same_cells"]


def same_cells(truth: Any, released: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two tables over the same cells, as flat arrays of numbers of 0 or more."""
    if isinstance(truth, xr.DataArray) and isinstance(released, xr.DataArray):
        if set(truth.dims) != set(released.dims):
            raise TwinError(
                f"two tables with dims {truth.dims}", found=f"dims {released.dims}", hint="sum up what only one has"
            )
        released = released.transpose(*truth.dims)
        try:
            truth, released = xr.align(truth, released, join="exact")
        except ValueError:
            raise TwinError(
                "two tables over the same cells",
                found="other labels, or another order",
                hint="released.reindex_like(truth, fill_value=0)",
            ) from None
    out = []
    for name, given in (("truth", truth), ("released", released)):
        try:
            values = np.asarray(given, dtype=float)
        except (TypeError, ValueError):
            raise TwinError("numbers", found=f"a {type(given).__name__}", hint="give counts", where=name) from None
        if not values.size or not np.isfinite(values).all() or (values < 0).any():
            found = "none" if not values.size else "a value below zero or not a number"
            raise TwinError("counts of 0 or more", found=found, hint="array.fillna(0).clip(min=0)", where=name)
        out.append(values)
    if out[0].shape != out[1].shape:
        raise TwinError(f"tables of shape {out[0].shape}", found=f"{out[1].shape}", hint="compare the same cells")
    return out[0].ravel(), out[1].ravel()


def common_part(truth: Any, released: Any) -> float:
    """Common part of commuters: the share of the trips that both tables put into the same cell.

    Equation: 2 sum(min(a, b)) / (sum(a) + sum(b)).

    Parameters
    ----------
    truth, released : DataArray or array, same cells [count]

    Returns
    -------
    float [1], 0 to 1
        1 where both are empty.

    Errors
    ------
    TwinError
        Other cells, or values below zero.

    Examples
    --------
    >>> common_part([3, 1], [1, 3])
    0.5

    References
    ----------
    Lenormand, Huet, Gargiulo and Deffuant, A Universal Model of Commuting Networks, PLoS ONE 7 (2012), equation (5).
    """
    a, b = same_cells(truth, released)
    whole = a.sum() + b.sum()
    return float(2 * np.minimum(a, b).sum() / whole) if whole else 1.0
