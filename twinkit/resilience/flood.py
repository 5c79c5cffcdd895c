"""Flood: the depth of water at every asset, from a map of depths or from a level over the ground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.resilience.assets import assets
from twinkit.resilience.footprint import check_clock, clock, footprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinkit.resilience.fragility import Curve

__all__ = ["flood", "flood_level"]


@contract(reads=["sites/x", "sites/y", "links/source", "links/target"], gives=["flood_depth", "failure"], computes=True)
def flood(
    twin: xr.DataTree, depth: xr.DataArray, *, times: Any, fragility: Mapping[str, Curve] | None = None
) -> xr.Dataset:
    """Depth and probability of failure at every asset, from maps of depth.

    Parameters
    ----------
    twin : DataTree
    depth : DataArray (y, x) or (time, y, x) [m]
        On any grid in the twin's CRS; 0 or NaN where it is dry, and off the map.
    times : array of datetime64
        UTC, in even steps: one for each map, or any number for a single map, which then stands all the while.
    fragility : dict of str to Curve, optional
        As for `cyclone`.

    Returns
    -------
    Dataset (member, time, asset)
        ``flood_depth`` [m], the deepest along a link, and ``failure`` [1].

    Validity
    --------
    Depth alone: no current, no salt, no mud. A map says nothing about a dyke that broke elsewhere.

    Errors
    ------
    TwinError
        No map, another number of times than of maps, a negative depth, or uneven times.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 900.0]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> twin = assemble({"sites": sites, "links": links}, title="two", crs="EPSG:32643")
    >>> water = xr.DataArray([[1.0, 0.0]], {"y": [0.0], "x": [0.0, 900.0]}, ("y", "x"))
    >>> flood(twin, water, times=["2020-07-01"]).failure.squeeze().values.astype(float).round(2).tolist()
    [0.5, 0.0, 0.0]
    """
    index = clock(times, where="times")
    check_clock(index, where="times")
    if not isinstance(depth, xr.DataArray) or not {"y", "x"} <= set(depth.dims):
        raise TwinError(
            "a map of depths (y, x)", found=f"{getattr(depth, 'dims', type(depth).__name__)}", hint="name its dims",
            where="depth",
        )  # fmt: skip
    maps = depth.transpose("time", "y", "x") if "time" in depth.dims else depth.transpose("y", "x").expand_dims("time")
    if maps.sizes["time"] not in (1, len(index)):
        raise TwinError(
            f"{len(index)} maps, one a time, or one for all",
            found=f"{maps.sizes['time']}",
            hint="depth.interp(time=times)",
            where="depth",
        )
    water = np.nan_to_num(np.asarray(maps.compute().values, float))
    within(water, 0.0, 100.0, name="depth", unit="m")
    made = assets(twin)
    at = _pixels(maps, made)
    worst = np.zeros((len(index), made.sizes["asset"]))
    for t in range(len(index)):
        page = water[min(t, len(water) - 1)]
        worst[t] = np.where(at[2], page[at[0], at[1]], 0.0).max(axis=1)
    says = {"model": f"flood depths from a map of {water.shape[1]} by {water.shape[2]} pixels"}
    if depth.attrs.get("assumptions"):
        says["assumptions"] = str(depth.attrs["assumptions"])
    return footprint("flood_depth", worst[None], made, index, table=fragility, says=says)


def flood_level(ground: xr.DataArray, *, level: Any, sea: bool = False) -> xr.DataArray:
    """Depth of water that stands at a level, where it can flow to: from the lowest pixel, or in from the edge.

    Parameters
    ----------
    ground : DataArray (y, x) [m]
        Height above sea level, ``twin["surface/ground_height"]``; NaN counts as dry.
    level : float [m]
        Of the water's surface above sea level.
    sea : bool
        False lets water stand wherever the ground joins the lowest pixel below the level (a river's flood); True only
        where it joins the map's edge (a surge).

    Returns
    -------
    DataArray (y, x) [m]

    Validity
    --------
    A bathtub: one level for all, nothing runs off. Heights that are generated flood generated places.

    Errors
    ------
    TwinError
        Not a map, or nothing but NaN.

    Examples
    --------
    A dyke keeps the second hollow dry:

    >>> ground = xr.DataArray([[0.0, 9.0, 1.0]], {"y": [0.0], "x": [0.0, 1.0, 2.0]}, ("y", "x"))
    >>> flood_level(ground, level=3.0).values.tolist()
    [[3.0, 0.0, 0.0]]
    """
    from scipy import ndimage

    if not isinstance(ground, xr.DataArray) or set(ground.dims) != {"y", "x"} or not bool(np.isfinite(ground).any()):
        raise TwinError(
            "a map of heights (y, x)",
            found=f"{getattr(ground, 'dims', type(ground).__name__)}",
            hint="flood_level(twin['surface/ground_height'], level=3.0)",
            where="ground",
        )
    within(level, -500.0, 9000.0, name="level", unit="m")
    height = np.asarray(ground.transpose("y", "x").values, float)
    low = np.nan_to_num(height, nan=np.inf) < float(level)
    pools, _ = ndimage.label(low, structure=np.ones((3, 3)))
    if sea:
        rim = np.zeros_like(low)
        rim[[0, -1], :] = rim[:, [0, -1]] = True
        wanted = np.unique(pools[rim & low])
    else:
        wanted = np.array([pools.ravel()[int(np.nanargmin(height))]])
    wet = np.isin(pools, wanted[wanted > 0])
    depth = np.where(wet, float(level) - height, 0.0)
    says = f"water at {float(level):g} m wherever it can flow {'in from the edge' if sea else 'from the lowest ground'}"
    coords = {d: ground[d] for d in ("y", "x") if d in ground.coords}
    attrs = {"units": "m", "provenance": "modelled: a level of water over the ground", "assumptions": says}
    return xr.DataArray(depth, coords, ("y", "x"), name="flood_depth", attrs=attrs)


def _pixels(maps: xr.DataArray, made: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of every point of every asset, and whether it lies on the map."""
    rows, columns, inside = None, None, np.ones(made["x"].shape, bool)
    for dim in ("y", "x"):
        axis = np.asarray(maps[dim].values, float)
        step = float(axis[1] - axis[0]) if len(axis) > 1 else 1.0
        at = np.rint((made[dim].values - axis[0]) / step).astype(int)
        inside &= (at >= 0) & (at < len(axis))
        at = np.clip(at, 0, len(axis) - 1)
        rows, columns = (at, columns) if dim == "y" else (rows, at)
    return np.asarray(rows), np.asarray(columns), inside
