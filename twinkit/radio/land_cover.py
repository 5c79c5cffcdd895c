"""Land cover from a map in any CRS: the clutter class and the clutter height of every pixel of the twin.

Land-cover maps speak of forest and cropland, path-loss models of five classes of clutter and their heights. A table
from the codes of the map to classes bridges them; `NLCD` and `WORLDCOVER` are two, any other mapping will do.
"""

from __future__ import annotations

import functools
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from twinkit.contract import contract
from twinkit.datasets.geotiff import opened
from twinkit.error import TwinError
from twinkit.twin import axis

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEIGHTS", "NLCD", "NLCD_GROUPS", "WORLDCOVER", "land_cover"]

NLCD: dict[int, int] = {
    11: 1,
    12: 2,
    21: 2,
    22: 3,
    23: 4,
    24: 5,
    31: 2,
    41: 4,
    42: 4,
    43: 4,
    51: 2,
    52: 2,
    71: 2,
    72: 2,
    73: 2,
    74: 2,
    81: 2,
    82: 2,
    90: 4,
    95: 2,
}
"""Codes of the National Land Cover Database (USA) to clutter classes."""

NLCD_GROUPS: dict[int, int] = {1: 1, 2: 3, 3: 2, 4: 4, 5: 2, 6: 2, 7: 2, 8: 4}
"""Its eight groups: water, developed, barren, forest, shrubland, herbaceous, cultivated, wetlands."""

WORLDCOVER: dict[int, int] = {10: 4, 20: 2, 30: 2, 40: 2, 50: 4, 60: 2, 70: 2, 80: 1, 90: 2, 95: 4, 100: 2}
"""Codes of ESA WorldCover (the whole land, 10 m) to clutter classes; built-up land counts as urban."""

HEIGHTS: dict[int, float] = {0: 0.0, 1: 0.0, 2: 0.0, 3: 10.0, 4: 15.0, 5: 20.0}
"""Height [m] of each class above ground: the representative heights of ITU-R P.2108-1, Table 3, for what stands."""

_MOST = 8  # points sampled along each side of a pixel at most


class _Map(NamedTuple):
    """What must be known of the file to sample it, small enough to travel to a worker."""

    path: str
    crs: str
    inverse: tuple[float, ...]
    shape: tuple[int, int]
    nodata: float | None


@contract(reads=["surface/x", "surface/y"], gives=["clutter", "clutter_height"])
def land_cover(
    twin: xr.DataTree,
    file: str | Path,
    *,
    classes: Mapping[int, int],
    heights: Mapping[int, float] = HEIGHTS,
    crs: str | None = None,
) -> xr.Dataset:
    """Clutter class and height of every pixel of the twin's surface, from a land-cover map in any CRS.

    A pixel takes the class that covers most of it, and the mean of the heights within it: up to eight by eight
    points of the pixel are carried into the map's CRS and looked up there. No value is interpolated.

    Parameters
    ----------
    twin : DataTree
    file : path
        A GeoTIFF with one band of codes; what stands in files beside it is not read.
    classes : mapping of int to int
        Code of the map to clutter class 0 to 5: `NLCD`, `NLCD_GROUPS`, `WORLDCOVER`, or yours.
    heights : mapping of int to float [m]
        Class to the height of what stands there.
    crs : str, optional
        Of the map, where the file states none or a wrong one.

    Returns
    -------
    Dataset
        clutter (y, x) [1] int8 and clutter_height (y, x) [m] float32, lazy; 0 where the map has no value.

    Validity
    --------
    The heights are one for a class, so that they say little of a single building.

    Errors
    ------
    TwinError
        A file that cannot be read, that has several bands or no CRS, whose CRS is not made for where the map lies,
        that does not overlap the twin; a code that is not in the table, or a class outside 0 to 5.

    Examples
    --------
    >>> import tempfile, rasterio, twinkit as tk
    >>> codes = np.full((50, 50), 10, np.uint8)  # trees
    >>> here = rasterio.Affine(30, 0, 500_000, 0, -30, 3_400_000)
    >>> surface = xr.Dataset(coords={"y": 3_398_600 + 50.0 * np.arange(20), "x": 500_100 + 50.0 * np.arange(20)})
    >>> twin = tk.assemble({"surface": surface}, title="a wood", crs="EPSG:32643")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "map.tif"
    ...     with rasterio.open(file, "w", driver="GTiff", width=50, height=50, count=1, dtype="uint8",
    ...                        crs="EPSG:32643", transform=here) as raster:
    ...         raster.write(codes, 1)
    ...     cover = land_cover(twin, file, classes=WORLDCOVER).compute()
    >>> int(cover.clutter[0, 0]), float(cover.clutter_height[0, 0])
    (4, 15.0)

    References
    ----------
    ITU-R P.2108-1, Table 3; ITU-R P.1812-8, Table 2.
    """
    table, tall = _tables(classes, heights)
    source = _opened(Path(file), crs)
    surface = twin["surface"].to_dataset()
    x, y = axis(surface["x"]), axis(surface["y"])
    _overlap(source, surface["x"].values, surface["y"].values, str(twin.attrs["crs"]))
    _known_codes(source, table)
    step = abs(float(surface["x"][1] - surface["x"][0])) if surface.sizes["x"] > 1 else 0.0
    points = min(max(math.ceil(step / _resolution(source)), 1), _MOST)
    block = functools.partial(
        _sampled, source=source, to=str(twin.attrs["crs"]), table=table, tall=tall, step=step, points=points
    )
    both = xr.apply_ufunc(
        block,
        y,
        x,
        output_core_dims=[["layer"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"layer": 2}},
        keep_attrs="drop",
    )
    kind = both.isel(layer=0).astype(np.int8)
    name = Path(file).name
    kind.attrs = {"provenance": f"measured: {name} ({source.crs})", "flag_values": list(range(6))}
    kind.attrs["flag_meanings"] = ["unknown", "water", "open", "suburban", "urban or forest", "dense urban"]
    tops = both.isel(layer=1)
    tops.attrs = {"provenance": f"modelled: one height for each class of {name}"}
    coordinates = {"y": surface["y"], "x": surface["x"]}
    return xr.Dataset({"clutter": kind, "clutter_height": tops}).assign_coords(coordinates)


def _tables(classes: Mapping[int, int], heights: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """The mappings as arrays: code to class, -1 where it has none, and class to height."""
    wrong = {code: c for code, c in classes.items() if c not in range(6)}
    if wrong:
        code, kind = next(iter(wrong.items()))
        raise TwinError(
            "clutter classes from 0 to 5",
            found=f"{kind!r} for code {code}",
            hint="1 water, 2 open, 3 suburban, 4 urban or forest, 5 dense urban",
            where="classes",
        )
    outside = [code for code in classes if not 0 <= code <= 65535]
    if outside or not classes:
        raise TwinError(
            "codes from 0 to 65535",
            found=str(outside or "an empty table"),
            hint="give the map's legend",
            where="classes",
        )
    table = np.full(65536, -1, np.int8)
    table[list(classes)] = list(classes.values())
    missing = sorted({0, *classes.values()} - set(heights) - {0})
    bad = missing or [c for c, h in heights.items() if not 0 <= h <= 300]
    if bad:
        raise TwinError(
            "a height from 0 to 300 m for each class",
            found=f"{'none' if missing else heights[bad[0]]} for class {bad[0]}",
            hint="start from tk.radio.HEIGHTS",
            where="heights",
        )
    return table, np.array([heights.get(c, 0.0) for c in range(6)], np.float32)


def _opened(path: Path, crs: str | None) -> _Map:
    """What the file says of itself, believed only where it can be true."""
    import pyproj

    try:
        import rasterio
        import rasterio.errors
    except ImportError:
        raise TwinError(
            "rasterio, which reads GeoTIFF", found="it is not installed", hint="pip install 'twinkit[geo]'"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with opened(path) as raster:
                bands, kind, shape = raster.count, np.dtype(raster.dtypes[0]), raster.shape
                inverse, bounds, nodata = tuple(~raster.transform)[:6], raster.bounds, raster.nodata
                stated = None if raster.crs is None else raster.crs.to_wkt()
                guess = None if raster.crs is None else raster.crs.to_string()
    except (rasterio.errors.RasterioError, OSError, ValueError) as error:
        raise TwinError(
            "a readable GeoTIFF",
            found=str(error).splitlines()[0],
            hint="download it again; another format: gdal_translate -of GTiff IN OUT",
            where=str(path),
        ) from None
    if bands != 1 or kind.kind not in "iu":
        raise TwinError(
            "one band of whole-number codes",
            found=f"{bands} bands of {kind}",
            hint="export the classified band alone",
            where=str(path),
        )
    if crs is None and stated is None:
        raise TwinError("a map with a CRS", found="none", hint="state it: crs='EPSG:...'", where=str(path))
    try:
        system = pyproj.CRS.from_user_input(crs if crs is not None else stated)
    except pyproj.exceptions.CRSError:
        raise TwinError("a CRS", found=repr(crs), hint="state it as 'EPSG:26912'", where=str(path)) from None
    if crs is None:
        _believable(system, str(guess), bounds, path)
    return _Map(str(path), crs or _short(system), inverse, shape, nodata)


def _short(system: Any) -> str:
    authority = system.to_authority()
    return ":".join(authority) if authority else system.to_wkt()


def _believable(system: Any, guess: str, bounds: Any, path: Path) -> None:
    """Raise where the file's CRS was not made for the place at which it puts the map.

    A CRS that lost its datum is matched with the first look-alike, often of another country: the numbers fit, and
    the map is off by metres without a trace.
    """
    import pyproj

    datum = system.datum.name if system.datum is not None else "unknown"
    named = pyproj.CRS.from_user_input(guess) if guess.upper().startswith("EPSG") else system
    area = system.area_of_use or named.area_of_use
    to_degrees = pyproj.Transformer.from_crs(system, "EPSG:4326", always_xy=True)
    longitude, latitude = to_degrees.transform(0.5 * (bounds.left + bounds.right), 0.5 * (bounds.bottom + bounds.top))
    place = f"{latitude:.2f}, {longitude:.2f}"
    outside = False
    if area is not None:
        wide = area.west <= longitude <= area.east if area.west <= area.east else not area.east < longitude < area.west
        outside = not (wide and area.south <= latitude <= area.north)
    if outside or not math.isfinite(latitude + longitude) or "unknown" in datum.lower():
        made_for = f", made for {area.name}" if area is not None else ""
        raise TwinError(
            "a CRS that fits where the map lies",
            found=f"{guess if len(guess) < 20 else system.name} ({named.name}{made_for}; datum {datum}) at {place}",
            hint="state the right one, crs='EPSG:...', as the publisher of the map gives it",
            where=str(path),
        )


@functools.lru_cache(maxsize=32)
def _between(one: str, other: str) -> Any:
    import pyproj

    return pyproj.Transformer.from_crs(one, other, always_xy=True)


def _positions(source: _Map, to: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of the map, as fractions, at points of the twin."""
    there_x, there_y = _between(to, source.crs).transform(x, y)
    a, b, c, d, e, f = source.inverse
    return a * there_x + b * there_y + c, d * there_x + e * there_y + f


def _resolution(source: _Map) -> float:
    """The finer side of the map's pixels [m], wherever its units are metres; else of a degree's at the equator."""
    import pyproj

    system = pyproj.CRS.from_user_input(source.crs)
    a, b, _, d, e, _ = source.inverse
    size = min(1.0 / math.hypot(a, d), 1.0 / math.hypot(b, e))
    return size * (111_320.0 if system.is_geographic else system.axis_info[0].unit_conversion_factor)


def _overlap(source: _Map, x: np.ndarray, y: np.ndarray, to: str) -> None:
    sides = np.linspace(0, 1, 9)
    xs, ys = np.meshgrid(x[0] + (x[-1] - x[0]) * sides, y[0] + (y[-1] - y[0]) * sides)
    column, row = _positions(source, to, xs.ravel(), ys.ravel())
    rows, columns = source.shape
    # a map may lie between the points of the lattice, so that boxes are compared
    finite = np.isfinite(column) & np.isfinite(row)
    meets = (
        finite.any()
        and column[finite].max() > 0
        and column[finite].min() < columns
        and row[finite].max() > 0
        and row[finite].min() < rows
    )
    if not meets:
        raise TwinError(
            "a map that overlaps the twin",
            found=f"none of it within the twin's surface ({to}; the map is in {source.crs})",
            hint="check the CRS of both, or take the map of the right place",
            where=source.path,
        )


def _known_codes(source: _Map, table: np.ndarray) -> None:
    """A look at a coarse copy of the map: a table for another legend shows at once, not when a tile is computed."""
    _class_of(_codes(source, out_shape=tuple(min(s, 256) for s in source.shape)), source, table)


def _codes(source: _Map, **choices: Any) -> np.ndarray:
    import rasterio.errors

    try:
        with opened(source.path) as raster:
            return np.asarray(raster.read(1, **choices))
    except (rasterio.errors.RasterioError, OSError) as error:
        raise TwinError(
            "a readable GeoTIFF", found=str(error).splitlines()[0], hint="download it again", where=source.path
        ) from None


def _class_of(codes: np.ndarray, source: _Map, table: np.ndarray) -> np.ndarray:
    kinds = np.where((codes >= 0) & (codes <= 65535), table[np.clip(codes, 0, 65535).astype(np.int64)], -1)
    if source.nodata is not None:
        kinds = np.where(codes == source.nodata, 0, kinds)
    strange = np.unique(codes[kinds < 0])
    if strange.size:
        raise TwinError(
            "a class for every code of the map",
            found=f"code {', '.join(map(str, strange[:6]))} without one",
            hint="add it to classes, or take the table of this map's legend",
            where=source.path,
        )
    return kinds


def _sampled(
    y: np.ndarray,
    x: np.ndarray,
    *,
    source: _Map,
    to: str,
    table: np.ndarray,
    tall: np.ndarray,
    step: float,
    points: int,
) -> np.ndarray:
    """Class and height of the pixels of one block, from the window of the map under it."""
    from rasterio.windows import Window

    ys, xs = np.ravel(y), np.ravel(x)
    out = np.zeros((ys.size, xs.size, 2), np.float32)
    rows, columns = source.shape
    # three exact positions a pixel; within it the change of CRS is a straight line to a thousandth of a map pixel
    half = 0.5 * step
    centre = _positions(source, to, *np.meshgrid(xs, ys))
    eastern = _positions(source, to, *np.meshgrid(xs + half, ys))
    northern = _positions(source, to, *np.meshgrid(xs, ys + half))
    grids = []
    for up in (2 * np.arange(points) + 1) / points - 1:
        for right in (2 * np.arange(points) + 1) / points - 1:
            place = [c + right * (e - c) + up * (n - c) for c, e, n in zip(centre, eastern, northern, strict=True)]
            column, row = (np.floor(np.where(np.isfinite(p), p, -1)).astype(np.int64) for p in place)
            grids.append((column, row, (column >= 0) & (column < columns) & (row >= 0) & (row < rows)))
    seen = [(c[i], r[i]) for c, r, i in grids if i.any()]
    if not seen:
        return out
    left, right = min(int(np.min(c)) for c, _ in seen), max(int(np.max(c)) for c, _ in seen)
    top, bottom = min(int(np.min(r)) for _, r in seen), max(int(np.max(r)) for _, r in seen)
    codes = _codes(source, window=Window(left, top, right - left + 1, bottom - top + 1))
    kinds = _class_of(codes, source, table)
    votes = np.zeros((6, ys.size, xs.size), np.uint8)
    known = np.zeros((ys.size, xs.size), np.uint8)
    for column, row, inside in grids:
        kind = kinds[np.clip(row - top, 0, kinds.shape[0] - 1), np.clip(column - left, 0, kinds.shape[1] - 1)]
        kind = np.where(inside, kind, 0)
        for c in range(1, 6):
            votes[c] += kind == c
        out[..., 1] += tall[kind] * (kind > 0)
        known += kind > 0
    out[..., 0] = np.where(known > 0, votes.argmax(axis=0), 0)
    out[..., 1] /= np.maximum(known, 1)
    return out
