"""Who lives where, and what share of them something reaches. People count, not pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["people_total", "served", "share", "worst_served"]


@contract(reads=["people"], gives=["share"])
def share(where: xr.DataArray, *, of: xr.DataArray) -> xr.DataArray:
    r"""Share of the people for whom something is true.

    .. math:: s = \frac{\sum_{where} n}{\sum n}

    Parameters
    ----------
    where : DataArray (y, x), truth
        Such as ``coverage.rsrp > -105``; other dims (draw, scenario) stay. Unknown counts as untrue, because a
        comparison with NaN is.
    of : DataArray (y, x) [people]
        People who live in each pixel, ``twin["surface/people"]``. Pixels whose people are unknown count for nothing.

    Returns
    -------
    DataArray, 0 to 1 [1]
        Without dims y and x; ``float(...)`` makes it a number. Lazy where an argument is.

    Errors
    ------
    TwinError
        `where` is no truth, the grids differ, or nobody lives there.

    Examples
    --------
    One pixel of three, but nine people of ten:

    >>> people = xr.DataArray([[9.0, 1.0, 0.0]], dims=("y", "x"), name="people", attrs={"units": "people"})
    >>> rsrp = xr.DataArray([[-90.0, -120.0, -130.0]], dims=("y", "x"))
    >>> float(share(rsrp > -105, of=people))
    0.9
    """
    _check_truth(where)
    _check_grid(where, of)
    counted = of.fillna(0.0)
    everybody = counted.sum(("y", "x"), dtype=float)
    reached = counted.where(where, 0.0).sum(("y", "x"), dtype=float)
    out = reached / _checked(everybody, _somebody)
    out.attrs = {"provenance": f"modelled: {where.name or 'a condition'} over people"}
    return out


@contract(reads=["people"], gives=["people_total"])
def people_total(people: xr.DataArray, *, where: xr.DataArray | None = None) -> xr.DataArray:
    """People in all pixels, or in those for which something is true.

    Parameters
    ----------
    people : DataArray (y, x) [people]
        ``twin["surface/people"]``.
    where : DataArray (y, x), truth, optional
        Such as ``coverage.rsrp > -105``.

    Returns
    -------
    DataArray [people]
        Without dims y and x. Lazy where an argument is.

    Errors
    ------
    TwinError
        `where` is no truth, or the grids differ.

    Examples
    --------
    >>> people = xr.DataArray([[9.0, 1.0, np.nan]], dims=("y", "x"), name="people", attrs={"units": "people"})
    >>> float(people_total(people)), float(people_total(people, where=people > 5))
    (10.0, 9.0)
    """
    counted = people.fillna(0.0)
    if where is not None:
        _check_truth(where)
        _check_grid(where, people)
        counted = counted.where(where, 0.0)
    return counted.sum(("y", "x"), dtype=float)


@contract(reads=["places/x", "places/y", "surface/people"], gives=["served"])
def served(twin: xr.DataTree, where: xr.DataArray, *, radius: float = 2000.0) -> xr.DataArray:
    """Share of each place's people for whom something is true.

    A place's people are those who live within `radius` of its centre and nearer to it than to any other place;
    where nobody does, those of its centre's pixel.

    Parameters
    ----------
    twin : DataTree
        With places and surface.
    where : DataArray (y, x), truth
        Such as ``coverage.rsrp > -105``, on the twin's surface.
    radius : float [m]
        How far a place reaches; the map of people tells more than the list of places beyond it.

    Returns
    -------
    DataArray (place), 0 to 1 [1]
        NaN for a place around which nobody lives or that lies off the map. Lazy where an input is.

    Errors
    ------
    TwinError
        A variable is missing or in another unit, `where` is no truth, or the grids differ.

    Examples
    --------
    See `worst_served`.
    """
    within(radius, 0, math.inf, name="radius", unit="m")
    _check_truth(where)
    surface, places = (twin.children[n].to_dataset(inherit=False) for n in ("surface", "places"))
    people = surface["people"].transpose("y", "x")
    _check_grid(where, people)
    if set(where.dims) != {"y", "x"}:
        raise TwinError(
            "dims y and x", found=f"dims {tuple(where.dims)}", hint="choose one: where.isel(draw=0)", where="where"
        )
    truth = where.transpose("y", "x")
    y, x = (surface[d].values.astype(float) for d in ("y", "x"))
    place_y, place_x = places["y"].data, places["x"].data
    data = (people.data, truth.data, place_y, place_x)
    if any(hasattr(a, "dask") for a in data):
        pair = _served_lazily(*data, y, x, radius)
    else:
        pair = _around(*data, y, x, radius=radius)
    reached, everybody = pair[0], pair[1]
    # the quotient of two zeros is meant: nobody lives there
    ratio = xr.DataArray(reached, dims="place") / xr.DataArray(everybody, dims="place").where(lambda n: n > 0)
    out = ratio.assign_coords({k: v for k, v in places.coords.items() if v.dims == ("place",)})
    out.attrs = {
        "provenance": f"modelled: {where.name or 'a condition'} over people",
        "assumptions": f"a place's people live within {radius:g} m of it and nearer to it than to any other place",
    }
    return out


@contract(reads=["places/name", "places/population", "served"], gives=["served", "population", "name"], computes=True)
def worst_served(twin: xr.DataTree, served: xr.DataArray, *, most: int = 10, least_population: float = 0) -> xr.Dataset:
    """The places with the least share of their people served; of equal ones the largest first.

    Parameters
    ----------
    twin : DataTree
        With places.
    served : DataArray (place) [1]
        What the function of that name gives.
    most : int
        How many places.
    least_population : float [people]
        Smaller places are left out.

    Returns
    -------
    Dataset (place)
        ``served``, ``population`` and ``name``, the worst first. Places of unknown share are left out.

    Errors
    ------
    TwinError
        A variable is missing or in another unit, or `most` is below 1.

    Examples
    --------
    >>> from twinkit import assemble
    >>> places = xr.Dataset(
    ...     {
    ...         "x": ("place", [0.0, 1000.0]), "y": ("place", [0.0, 0.0]),
    ...         "name": ("place", ["Kufri", "Theog"]), "population": ("place", [3000, 5000]),
    ...     },
    ...     {"place": ["1", "2"]},
    ... )
    >>> surface = xr.Dataset({"people": (("y", "x"), [[3000.0, 5000.0]])}, {"y": [0.0], "x": [0.0, 1000.0]})
    >>> twin = assemble({"places": places, "surface": surface}, title="two places", crs="EPSG:32643")
    >>> covered = xr.DataArray([[True, False]], dims=("y", "x"), coords=surface.coords)
    >>> worst = worst_served(twin, served(twin, covered), most=1)
    >>> worst.name.item(), worst.served.item()
    ('Theog', 0.0)
    """
    within(most, 1, math.inf, name="most", unit="1")
    places = (
        twin.children["places"].to_dataset(inherit=False)[["population", "name"]].drop_vars(["x", "y"], errors="ignore")
    )
    table = places.assign(served=served.reset_coords(drop=True)).compute()
    known = np.isfinite(table["served"].values) & (table["population"].values >= least_population)
    order = np.lexsort((-table["population"].values, table["served"].values))
    return table.isel(place=[i for i in order if known[i]][:most])


# ---------------------------------------------------------------- people around places


def _around(
    people: np.ndarray,
    truth: np.ndarray,
    place_y: np.ndarray,
    place_x: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    *,
    radius: float,
    axes: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """People reached and people in all, around each place and in its centre's pixel: (2, place) of this tile.

    With `axes`, the tile is a part of the map with those axes, and the four sums come apart, (4, place).
    """
    from scipy.spatial import cKDTree

    count = len(place_x)
    if not (np.isfinite(place_x).all() and np.isfinite(place_y).all()):
        raise TwinError(
            "a position for every place",
            found=f"none for {np.sum(~np.isfinite(np.add(place_x, place_y)))} of {count}",
            hint="leave those places out: places.dropna('place', subset=['x', 'y'])",
            where="places/x, places/y",
        )
    sums = np.zeros((4, count))
    n = np.nan_to_num(np.asarray(people, float))
    lived = np.flatnonzero(n.ravel() > 0)
    if lived.size and count:
        row, column = np.divmod(lived, n.shape[1])
        away, nearest = cKDTree(np.c_[place_y, place_x]).query(np.c_[y[row], x[column]], distance_upper_bound=math.inf)
        mine = away <= radius
        weight, reached = n.ravel()[lived][mine], np.asarray(truth).ravel()[lived][mine]
        sums[0] = np.bincount(nearest[mine], weight * reached, count)
        sums[1] = np.bincount(nearest[mine], weight, count)
    rows, columns = (_pixel(a, p) for a, p in zip(axes or (y, x), (place_y, place_x), strict=True))
    if axes is not None:
        # the map's row becomes this tile's; -1 stays off the map
        rows = np.where(rows < 0, -1, rows - np.searchsorted(axes[0], y[0]))
        columns = np.where(columns < 0, -1, columns - np.searchsorted(axes[1], x[0]))
    here = (rows >= 0) & (rows < n.shape[0]) & (columns >= 0) & (columns < n.shape[1])
    sums[3, here] = n[rows[here], columns[here]]
    sums[2, here] = sums[3, here] * np.asarray(truth)[rows[here], columns[here]]
    return sums if axes is not None else _joined(sums)


def _joined(sums: np.ndarray) -> np.ndarray:
    """(4, place) → (2, place): the centre's pixel where nobody lives around."""
    return np.where(sums[1] > 0, sums[:2], sums[2:])


def _pixel(axis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Position of the pixel that holds each value, -1 off the map."""
    step = axis[1] - axis[0] if len(axis) > 1 else math.inf
    at = np.rint((np.asarray(values, float) - axis[0]) / step).astype(np.intp)
    return np.where((at >= 0) & (at < len(axis)), at, -1)


def _served_lazily(
    people: Any, truth: Any, place_y: Any, place_x: Any, y: np.ndarray, x: np.ndarray, radius: float
) -> Any:
    import dask.array as da

    people = people if hasattr(people, "dask") else da.from_array(people, chunks=1024)
    truth = (truth if hasattr(truth, "dask") else da.from_array(truth)).rechunk(people.chunks)

    def tile(n: Any, t: Any, yy: Any, xx: Any, *, place_y: Any, place_x: Any) -> Any:
        sums = _around(n, t, place_y, place_x, yy.ravel(), xx.ravel(), radius=radius, axes=(y, x))
        return sums[:, :, None, None]

    sums = da.map_blocks(
        tile,
        people,
        truth,
        da.from_array(y[:, None], chunks=(people.chunks[0], 1)),
        da.from_array(x[None, :], chunks=(1, people.chunks[1])),
        place_y=place_y,
        place_x=place_x,
        dtype=float,
        new_axis=(0, 1),
        chunks=((4,), (len(place_x),), *((1,) * k for k in people.numblocks)),
        meta=np.empty((0, 0, 0, 0)),
    ).sum(axis=(2, 3))
    return da.map_blocks(_joined, sums, dtype=float, chunks=((2,), sums.chunks[1]), meta=np.empty((0, 0)))


# ---------------------------------------------------------------- checks


def _check_truth(where: Any) -> None:
    if not isinstance(where, xr.DataArray) or where.dtype != bool:
        kind = f"{where.dtype} values" if isinstance(where, xr.DataArray) else f"a {type(where).__name__}"
        raise TwinError(
            "a truth for every pixel", found=kind, hint="compare first: coverage.rsrp > -105", where="where"
        )


def _check_grid(a: xr.DataArray, b: xr.DataArray) -> None:
    for dim in ("y", "x"):
        for array in (a, b):
            if dim not in array.dims:
                raise TwinError("dims y and x", found=f"dims {tuple(array.dims)}", hint="give maps", where="where")
        same = a.sizes[dim] == b.sizes[dim]
        if same and dim in a.indexes and dim in b.indexes:
            same = a.indexes[dim].equals(b.indexes[dim])
        if not same:
            raise TwinError(
                f"both maps on one grid along {dim}",
                found=f"{a.sizes[dim]} and {b.sizes[dim]} pixels, or other positions",
                hint=f"take one to the other: where.reindex_like(people, method='nearest'), or select by {dim}",
                where="where",
            )


def _somebody(total: np.ndarray) -> np.ndarray:
    if not np.all(total > 0):
        raise TwinError(
            "people to count", found="nobody in any pixel", hint="look at twin['surface/people']", where="people"
        )
    return total


def _checked(array: xr.DataArray, check: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    """The array after a check of its values, now or, where it is lazy, when it is computed."""
    raw = array.data
    if hasattr(raw, "dask"):
        return array.copy(data=raw.map_blocks(check, dtype=raw.dtype, meta=raw._meta))
    check(np.asarray(raw))
    return array
