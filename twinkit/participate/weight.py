"""What citizens ask for, as a layer of weight that a plan can use."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError

__all__ = ["wished"]


@contract(reads=["pins"], gives=["pins"])
def wished(pins: xr.DataArray, like: xr.DataArray, *, square: float) -> xr.DataArray:
    """Pins spread evenly over the pixels of their squares: where citizens ask for something, and how many.

    Parameters
    ----------
    pins : DataArray (square, subject) [1]
        With the coordinates ``x`` and ``y`` [m] of the squares' middles: ``register.squares(fewest=1).pins`` for a
        planner, ``register.squares().pins`` for what may be published.
    like : DataArray (y, x)
        A layer of the twin: its pixels are the ones of the answer.
    square : float [m]
        Side of the squares: ``register.choices["square"]``.

    Returns
    -------
    DataArray (y, x) [1]
        Pins in the pixel; over all pixels as many as there are pins in squares that a pixel's middle lies in.

    Validity
    --------
    Squares as large as some pixels: a square without a pixel's middle is lost, and its pins with it.

    Errors
    ------
    TwinError
        Squares without places, a layer without axes, or a side that is no length.

    Examples
    --------
    >>> pins = xr.DataArray([[3.0, 1.0]], {"square": ["0,0"], "subject": ["slow", "worry"]}, ("square", "subject"))
    >>> pins = pins.assign_coords(x=("square", [500.0]), y=("square", [500.0])).rename("pins").assign_attrs(units="1")
    >>> axis = np.array([250.0, 750.0, 1250.0, 1750.0])
    >>> like = xr.DataArray(np.zeros((4, 4)), {"y": axis, "x": axis}, ("y", "x"))
    >>> wished(pins, like, square=1000).values[:2, :3].tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
    """
    within(square, 1, 1e6, name="square", unit="m")
    if not {"x", "y"} <= set(pins.coords) or "square" not in pins.dims:
        raise TwinError(
            "squares with their places x and y", found=f"coordinates {', '.join(map(str, pins.coords))}",
            hint="register.squares().pins has them", where="pins",
        )  # fmt: skip
    if not isinstance(like, xr.DataArray) or not {"x", "y"} <= set(like.dims) & set(like.coords):
        raise TwinError("a layer (y, x)", found=type(like).__name__, hint='like=twin["surface/people"]', where="like")
    at = {d: np.asarray(pins[d].values, float) for d in ("x", "y")}
    axes = {d: np.asarray(like[d].values, float) for d in ("x", "y")}
    total = pins.sum([d for d in pins.dims if d == "subject"])
    index = np.full((len(axes["y"]), len(axes["x"])), -1)
    for number in range(pins.sizes["square"]):
        # half open, so that a pixel lies in one square alone
        rows, columns = (
            np.flatnonzero((axes[d] >= at[d][number] - square / 2) & (axes[d] < at[d][number] + square / 2))
            for d in ("y", "x")
        )
        index[np.ix_(rows, columns)] = number
    pixels = np.bincount(index[index >= 0], minlength=pins.sizes["square"]).clip(1)
    share = (total.drop_vars(["x", "y", "square"], errors="ignore") / xr.DataArray(pixels, dims="square")).pad(
        square=(0, 1), constant_values=0.0
    )
    out = share.isel(square=xr.DataArray(index, {"y": like["y"], "x": like["x"]}, ("y", "x")))
    return out.transpose(*[d for d in out.dims if d not in ("y", "x")], "y", "x")
