"""Whom a warning reaches: people in a polygon whose cell still works, before and after the strike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract
from twinkit.error import TwinError
from twinkit.resilience.assets import AUTONOMY, CORE, generated
from twinkit.resilience.footprint import HOUR, clock
from twinkit.resilience.served import catchment, served
from twinkit.resilience.strike import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["inside", "warning_reach"]


def inside(surface: xr.Dataset, polygon: Any, *, crs: str = "") -> xr.DataArray:
    """Which pixels of a surface lie in a polygon.

    Parameters
    ----------
    surface : Dataset (y, x)
    polygon : list of (longitude, latitude) [degree], or of (x, y) [m] where `crs` is empty
        Three corners or more; the last need not repeat the first.
    crs : str
        The twin's, for corners in degrees.

    Returns
    -------
    DataArray (y, x), truth

    Errors
    ------
    TwinError
        Fewer than three corners, or a corner that is no place.

    Examples
    --------
    >>> surface = xr.Dataset(coords={"y": [0.5, 1.5], "x": [0.5, 1.5]})
    >>> inside(surface, [(0, 0), (1.8, 0), (0, 1.8)]).values.tolist()
    [[True, False], [False, False]]
    """
    corners = np.asarray(polygon, float) if np.ndim(polygon) == 2 else np.empty((0, 2))
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise TwinError(
            "a polygon of three corners or more, each (longitude, latitude)",
            found="a corner that is not a number"
            if len(corners) > 2 and corners.shape[1] == 2
            else f"shape {np.shape(polygon)}",
            hint="[(85.6, 19.7), (86.0, 19.7), (86.0, 20.1)]",
            where="polygon",
        )
    if crs:
        if not ((np.abs(corners[:, 0]) <= 360).all() and (np.abs(corners[:, 1]) <= 90).all()):
            raise TwinError(
                "corners in degrees, longitude first", found=f"{corners[0].tolist()}", hint="swap them", where="polygon"
            )
        import pyproj

        to = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        corners = np.column_stack(to.transform(corners[:, 0], corners[:, 1]))
    x, y = np.meshgrid(surface["x"].values, surface["y"].values)
    odd = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # a ray to the east crosses each side once or not at all: inside after an odd number of crossings
        spans = (ay > y) != (by > y)
        if spans.any():
            odd ^= spans & (x < ax + (y - ay) / np.where(by == ay, 1.0, by - ay) * (bx - ax))
    return xr.DataArray(odd, {"y": surface["y"], "x": surface["x"]}, ("y", "x"), name="inside")


@contract(
    reads=[
        "sites/x",
        "sites/y",
        "sites/kind",
        "cells/site",
        "links/source",
        "links/target",
        "surface/people",
        "fails_at",
    ],
    gives=["people_reached"],
    computes=True,
)
def warning_reach(
    twin: xr.DataTree,
    hit: xr.Dataset,
    *,
    polygon: Any,
    time: Any,
    reach: float = 5_000.0,
    most: int = 3,
    server: xr.DataArray | None = None,
    core: Iterable[str] = CORE,
    autonomy: Mapping[str, float] = AUTONOMY,
) -> xr.DataArray:
    """People in a polygon whom a cell broadcast reaches at a time, in every draw.

    Parameters
    ----------
    twin : DataTree
    hit : Dataset (draw, asset)
        What `strike` or `recovery` gives.
    polygon : list of (longitude, latitude) [degree]
        Of the alert.
    time : datetime64
        UTC. Before the hazard's first hour nothing is broken.
    reach, most, server
        As for `catchment`.
    core, autonomy
        As for `served`.

    Returns
    -------
    DataArray (draw) [people]
        Beside it as scalar coordinates ``people_inside`` the polygon and ``people_before``: whom a broadcast reaches
        with nothing broken. Lazy in the draws.

    Validity
    --------
    Who lives there is taken to be there, with a telephone that is on and set to take alerts. A broadcast needs little
    capacity, so a full cell still sends it.

    Errors
    ------
    TwinError
        No polygon, a time with a zone, or what `catchment` and `served` refuse.

    Examples
    --------
    See ``docs/resilience.md``.
    """
    moment = clock(np.atleast_1d(np.asarray(time)), where="time")[0]
    # read once, here: the twin's arrays may be lazy
    whole = {n: child.to_dataset(inherit=False).compute() for n, child in twin.children.items()}
    loaded = xr.DataTree.from_dict({"/": xr.Dataset(attrs=dict(twin.attrs)), **whole})
    where = inside(whole["surface"], polygon, crs=str(twin.attrs.get("crs", "")))
    known = catchment(loaded, server=server, reach=reach, most=most, where=where)
    start = np.datetime64(hit["start"].values.item(), "ns") if "start" in hit.coords else moment.to_datetime64()
    after = float((moment.to_datetime64() - start) / HOUR)
    attrs: dict[str, Any] = {
        "provenance": f"{hit['fails_at'].attrs.get('provenance', 'modelled: damage given')}; "
        f"{known['people'].attrs['provenance']}",
        "assumptions": "whoever lives in the polygon is there, with a telephone that takes alerts",
    }
    if after < 0:
        now = hit.assign(fails_at=hit["fails_at"] * np.nan)
        out = served(loaded, now, catchment=known, hours=1.0, core=core, autonomy=autonomy, chunk=CHUNK)
        last = 0
    else:
        # half hours at least, or the hour asked for would fall between two steps
        steps = max(int(np.floor(after)), 0) + 1
        out = served(loaded, hit, catchment=known, hours=float(steps), core=core, autonomy=autonomy, chunk=CHUNK)
        last = steps - 1
    reached = out["people_served"].isel(time=last, drop=True).rename("people_reached")
    reached.attrs = attrs
    inside_all = float(whole["surface"]["people"].where(where, 0.0).sum())
    _remember(reached, inside_all, float(out.attrs["people_before"]), generated(twin))
    return reached


def _remember(array: xr.DataArray, everybody: float, before: float, layers: str) -> None:
    """Numbers that belong to the answer, as coordinates: a stamp keeps no attribute that it does not know."""
    array.coords["people_inside"] = everybody
    array.coords["people_before"] = before
    array.attrs["assumptions"] += f"; generated layers: {layers}" if layers else ""
