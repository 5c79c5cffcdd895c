"""Elevation tiles: SRTM .hgt, zipped .hgt and GeoTIFF, and their way onto a twin's grid.

Voids become NaN and are counted; absurd heights are refused. On a twin's grid neighbouring tiles are joined without
a seam, and what they leave void is filled with the relief that stood there, lifted to meet its surroundings.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy import ndimage

from twinkit.datasets.geotiff import opened
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twinkit.datasets.frame import Frame

__all__ = ["onto", "read"]

VOIDS = (-32768, -32767, 65535, -9999)
"""Marks of SRTM, of its GeoTIFF editions, of unsigned ones and of many others for "no height here"."""
LOWEST, HIGHEST = -500.0, 9000.0
SIDES = {1201 * 1201: (1201, 1201), 3601 * 3601: (3601, 3601), 3601 * 1801: (3601, 1801)}
"""Samples of a tile of one degree: 3 arc seconds, 1 arc second, and 1 by 2 beyond 50 degrees."""
LARGEST = 2 * 3601 * 3601
MOST_PIXELS = 120_000_000


def read(path: str | Path, *, bounds: tuple[float, float, float, float] | None = None) -> xr.DataArray:
    """The heights of a tile, in its own CRS.

    Parameters
    ----------
    path : path
        ``N00E010.hgt``, the same in a zip archive, or a GeoTIFF of one band.
    bounds : (west, south, east, north) [degree], optional
        Only the part around this box (GeoTIFF; an .hgt tile is read whole).

    Returns
    -------
    DataArray
        dims y, x (ascending, pixel centres in the units of attrs["crs"]) [m]; NaN where void, attrs["voids"] counts.

    Errors
    ------
    TwinError
        Empty, truncated, of another type, an archive that writes outside its folder or swells, all void, a height
        beyond -500 to 9000 m (with row and column), no CRS, a name without a corner.
    """
    file = Path(path)
    try:
        with file.open("rb") as raw:
            head = raw.read(8)
        size = file.stat().st_size
    except FileNotFoundError:
        raise TwinError("an elevation tile", found="no such file", hint="check the path", where=str(file)) from None
    except OSError as error:
        raise TwinError(
            "a readable file", found=error.strerror or str(error), hint="check it", where=str(file)
        ) from None
    if size == 0:
        raise TwinError("an elevation tile", found="an empty file", hint="download it again", where=str(file))
    if head.startswith(b"PK"):
        name, content = _unzipped(file)
        return _hgt(name, content, f"{file}/{name}")
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _geotiff(file, bounds)
    if file.suffix.casefold() == ".hgt":
        if size > LARGEST:
            raise TwinError("an .hgt tile of one degree", found=f"{size} bytes", hint="check the file", where=str(file))
        return _hgt(file.name, file.read_bytes(), str(file))
    raise TwinError(
        "SRTM .hgt, a zip of one, or GeoTIFF",
        found=f"another type (it starts with {head!r})",
        hint="convert it: gdal_translate -of GTiff",
        where=str(file),
    )


# ---------------------------------------------------------------- .hgt, bare and zipped


def _unzipped(file: Path) -> tuple[str, bytes]:
    """Name and content of the one .hgt in an archive; nothing is written to disk, and no more is read than a tile."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for m in members:
                name = m.filename.replace("\\", "/")
                if name.startswith("/") or ".." in PurePosixPath(name).parts or re.match("[A-Za-z]:", name):
                    raise TwinError(
                        "an archive that stays in its folder",
                        found=f"a member that writes outside it: {m.filename[:60]!r}",
                        hint="do not unpack it; get the tile from another source",
                        where=str(file),
                    )
            tiles = [m for m in members if m.filename.casefold().endswith(".hgt")]
            if len(tiles) != 1:
                raise TwinError(
                    "one .hgt in the archive",
                    found=f"{len(tiles)} among {len(members)} members",
                    hint="unpack it and give the tiles as a list: terrain=[...]",
                    where=str(file),
                )
            if tiles[0].flag_bits & 1:
                raise TwinError("an open archive", found="an encrypted one", hint="unpack it first", where=str(file))
            with archive.open(tiles[0]) as stream:
                content = stream.read(LARGEST + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OSError,
        ValueError,
        KeyError,
        OverflowError,
    ) as error:
        if isinstance(error, TwinError):
            raise
        raise TwinError(
            "a whole zip archive",
            found=f"a damaged or truncated one ({error})",
            hint="download it again",
            where=str(file),
        ) from None
    if len(content) > LARGEST:
        raise TwinError(
            f"a tile of at most {LARGEST} bytes",
            found=f"a member that swells beyond it, to {tiles[0].file_size}",
            hint="it is no SRTM tile; do not unpack it",
            where=str(file),
        )
    return PurePosixPath(tiles[0].filename.replace("\\", "/")).name, content


def _hgt(name: str, content: bytes, where: str) -> xr.DataArray:
    match = re.match(r"([NS])(\d{1,2})([EW])(\d{1,3})", name, re.IGNORECASE)
    if match is None or int(match[2]) > 90 or int(match[4]) > 180:
        raise TwinError(
            "a name that tells the tile's south-west corner, like N31E077.hgt",
            found=f"'{name[:60]}'",
            hint="give it the name it had at its source",
            where=where,
        )
    shape = SIDES.get(len(content) // 2) if len(content) % 2 == 0 else None
    if shape is None:
        whole = ", ".join(str(2 * n) for n in SIDES)
        hint = "download it again: it is truncated" if len(content) < max(SIDES) * 2 else "check the file"
        raise TwinError(f"an .hgt tile of {whole} bytes", found=f"{len(content)} bytes", hint=hint, where=where)
    south = int(match[2]) * (1 if match[1] in "Nn" else -1)
    west = int(match[4]) * (1 if match[3] in "Ee" else -1)
    big = np.frombuffer(content, dtype=">i2").reshape(shape)
    heights = _sane(big, where, swapped=big.byteswap)
    y, x = (start + np.arange(n) / (n - 1) for start, n in zip((south, west), shape, strict=True))
    return _tile(heights[::-1], y, x, "EPSG:4326", where, _extent(west, south, west + 1, south + 1))


# ---------------------------------------------------------------- GeoTIFF


def _geotiff(file: Path, bounds: tuple[float, float, float, float] | None) -> xr.DataArray:
    try:
        import rasterio
        import rasterio.errors
        from rasterio.windows import Window
    except ModuleNotFoundError:
        raise TwinError(
            "rasterio, which reads GeoTIFF",
            found="it is not installed",
            hint="pip install 'twinkit[geo]'",
            where=str(file),
        ) from None
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with opened(file) as source:
                t = source.transform
                if source.crs is None or t.b or t.d or t.e >= 0 or t.a <= 0:
                    raise TwinError(
                        "a GeoTIFF with a CRS, north up",
                        found="no CRS" if source.crs is None else "a rotated or flipped grid",
                        hint="gdalwarp -t_srs EPSG:4326 IN OUT",
                        where=str(file),
                    )
                if (
                    source.count != 1
                    or source.dtypes[0] in ("uint8", "int8")
                    or np.dtype(source.dtypes[0]).kind not in "iuf"
                ):
                    raise TwinError(
                        "one band of heights",
                        found=f"{source.count} of {source.dtypes[0]}",
                        hint="8 bits hold pictures or classes; of several bands cut one: gdal_translate -b 1",
                        where=str(file),
                    )
                crs = _crs_text(source.crs, file)
                window = (
                    _window(source, crs, bounds) if bounds is not None else Window(0, 0, source.width, source.height)
                )
                if window.width * window.height > MOST_PIXELS:
                    raise TwinError(
                        f"at most {MOST_PIXELS:,} pixels",
                        found=f"{source.height} x {source.width}",
                        hint="cut it to the region: gdalwarp -te",
                        where=str(file),
                    )
                values = source.read(1, window=window)
                nodata, reach = source.nodata, _extent(*source.bounds)
    except (rasterio.errors.RasterioError, MemoryError, ValueError, OSError) as error:
        if isinstance(error, TwinError):
            raise
        said = re.sub(r"\s+", " ", str(error.__cause__ or error))[:150]
        raise TwinError(
            "a whole GeoTIFF", found=f"a damaged or truncated one ({said})", hint="download it again", where=str(file)
        ) from None
    x = t.c + (window.col_off + np.arange(values.shape[1]) + 0.5) * t.a
    y = t.f + (window.row_off + np.arange(values.shape[0]) + 0.5) * t.e
    return _tile(_sane(values, str(file), nodata=nodata)[::-1], y[::-1], x, crs, str(file), reach)


def _crs_text(crs: Any, file: Path) -> str:
    code = crs.to_epsg()
    if code is not None:
        return f"EPSG:{code}"
    if not (crs.is_geographic or crs.is_projected):
        raise TwinError("a geographic or projected CRS", found=str(crs)[:60], hint="gdalwarp it", where=str(file))
    return str(crs.to_wkt())


def _window(source: Any, crs: str, bounds: tuple[float, float, float, float]) -> Any:
    import pyproj
    from rasterio.windows import Window

    to = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    west, south, east, north = to.transform_bounds(*bounds)
    t = source.transform
    edges = [(west - t.c) / t.a - 3, (east - t.c) / t.a + 3, (north - t.f) / t.e - 3, (south - t.f) / t.e + 3]
    if not np.isfinite(edges).all():
        return Window(0, 0, 0, 0)
    left, right = (int(np.clip(v, 0, source.width)) for v in edges[:2])
    top, bottom = (int(np.clip(v, 0, source.height)) for v in edges[2:])
    return Window(left, top, max(right - left, 0), max(bottom - top, 0))


# ---------------------------------------------------------------- checks


def _sane(raw: np.ndarray, where: str, *, nodata: float | None = None, swapped: Any = None) -> np.ndarray:
    """Heights as 32-bit floats with NaN for voids, if they can be heights."""
    heights = raw.astype(np.float32)
    void = (
        np.isin(raw, VOIDS) if raw.dtype.kind in "iu" else ~np.isfinite(raw) | np.isin(raw, [float(v) for v in VOIDS])
    )
    if nodata is not None and np.isfinite(nodata):
        void |= raw == nodata
    heights[void] = np.nan
    if raw.size and void.all():
        raise TwinError("heights", found="voids only", hint="get another edition of the tile", where=where)
    absurd = (heights < LOWEST) | (heights > HIGHEST)
    if absurd.any():
        row, column = np.unravel_index(int(np.argmax(absurd)), absurd.shape)
        share = absurd.mean()
        hint = "check the unit and the type of the file"
        if swapped is not None and share > 0.05:
            other = swapped().astype(np.float32)
            if ((other >= LOWEST) & (other <= HIGHEST) | np.isin(other, VOIDS)).mean() > 1 - share / 4:
                hint = "its bytes are in the other order (little-endian): swap them"
        raise TwinError(
            f"heights from {LOWEST:g} to {HIGHEST:g} m",
            found=f"{heights[row, column]:g} m ({share:.1%} of the tile is beyond)",
            hint=hint,
            where=f"{where}, row {row + 1}, column {column + 1}",
        )
    return heights


def _tile(heights: np.ndarray, y: np.ndarray, x: np.ndarray, crs: str, where: str, reach: str) -> xr.DataArray:
    return xr.DataArray(
        heights,
        dims=("y", "x"),
        coords={"y": y, "x": x},
        name="ground_height",
        attrs={
            "units": "m",
            "crs": crs,
            "voids": int(np.isnan(heights).sum()),
            "file": Path(where).name,
            "reach": reach,
            "provenance": f"measured: {Path(where).name}",
        },
    )


# ---------------------------------------------------------------- onto a twin's grid


def onto(
    paths: str | Path | Sequence[str | Path], frame: Frame, *, instead_of: np.ndarray, water: np.ndarray
) -> tuple[np.ndarray, str, np.ndarray]:
    """Ground heights of a frame from tiles, where they reach.

    Each tile is averaged to about the frame's resolution, then interpolated bilinearly; sums and weights are
    gathered over all tiles before they are divided, so that a seam is treated as if the tiles were one. A void or an
    uncovered pixel keeps the relief that stood there plus the nearest difference to the tiles, which fades with 2 km
    beyond them, so that no cliff stands at the edge.

    Parameters
    ----------
    paths : path or list of paths
    frame : Frame
    instead_of : array (y, x) [m]
        The ground that stood there.
    water : array (y, x) of bool

    Returns
    -------
    ground : array (y, x) [m]
    provenance : str
        With the shares that were measured, filled and left.
    water : array (y, x) of bool
        Without the pixels that the tiles put on land.

    Errors
    ------
    TwinError
        As `read`; or no tile reaches into the frame.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise TwinError("elevation tiles", found="an empty list", hint="leave terrain out")
    longitude, latitude = frame.degrees(*np.meshgrid(frame.x, frame.y))
    bounds = (float(longitude.min()), float(latitude.min()), float(longitude.max()), float(latitude.max()))
    total, weight = np.zeros(frame.shape), np.zeros(frame.shape)
    covered = np.zeros(frame.shape, dtype=bool)
    reach = []
    for file in files:
        tile = read(file, bounds=bounds)
        reach.append(f"{tile.attrs['file']} reaches over {tile.attrs['reach']}")
        if min(tile.shape) > 1:
            _gather(tile, frame, longitude, latitude, total, weight, covered)
    valid = weight >= 0.25
    if not valid.any():
        raise TwinError(
            f"a tile that reaches into {bounds[0]:.2f} to {bounds[2]:.2f} degree east and {bounds[1]:.2f} to "
            f"{bounds[3]:.2f} degree north",
            found="; ".join(reach),
            hint="get the tile named " + _name(float(np.mean(bounds[1::2])), float(np.mean(bounds[0::2]))),
            where=", ".join(str(f) for f in files),
        )
    measured = np.where(valid, total / np.maximum(weight, 0.25), 0.0)
    ground = instead_of.astype(float)
    distance, nearest = ndimage.distance_transform_edt(~valid, return_indices=True)
    difference = (measured - ground)[nearest[0], nearest[1]]
    smooth = ndimage.gaussian_filter(difference, max(300.0 / frame.resolution, 0.5), mode="nearest")
    fade = np.exp(-distance * frame.resolution / 2000.0)
    ground = np.where(valid, measured, ground + smooth * np.where(covered, 1.0, fade))
    voids = covered & ~valid
    says = (
        f"measured: {', '.join(Path(f).name for f in files)}, {valid.mean():.1%} of the pixels; "
        f"modelled: {int(voids.sum())} void pixels filled"
    )
    if not covered.all():
        says += f"; {1 - covered.mean():.1%} beyond the tiles from the ITU-R map with generated relief"
    return ground, says, water & ~(valid & (measured > 2.0))


def _gather(
    tile: xr.DataArray,
    frame: Frame,
    longitude: np.ndarray,
    latitude: np.ndarray,
    total: np.ndarray,
    weight: np.ndarray,
    covered: np.ndarray,
) -> None:
    """Add a tile's weighted heights to `total`, the weights to `weight`, and what it reaches to `covered`, in place."""
    import pyproj

    crs = pyproj.CRS.from_user_input(tile.attrs["crs"])
    if tile.attrs["crs"] == "EPSG:4326":
        px, py = longitude, latitude
    else:
        to = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        px, py = (np.asarray(v) for v in to.transform(longitude, latitude))
    y, x = tile.y.values, tile.x.values
    dy, dx = (float(v[-1] - v[0]) / (len(v) - 1) for v in (y, x))
    # only what lies around the frame; a tile of one arc second has 13 million samples
    rows = slice(*np.clip([int((py.min() - y[0]) / dy) - 8, int((py.max() - y[0]) / dy) + 9], 0, len(y)))
    columns = slice(*np.clip([int((px.min() - x[0]) / dx) - 8, int((px.max() - x[0]) / dx) + 9], 0, len(x)))
    values = tile.values[rows, columns]
    if min(values.shape) == 0:
        return
    share = np.isfinite(values).astype(float)
    for axis, (centres, part) in enumerate(((y, rows), (x, columns))):
        if _whole(centres[0]) and _whole(centres[-1]):
            # tiles between whole degrees share their outer samples with the neighbours: each counts by half
            half = np.where(np.isin(np.arange(len(centres))[part], (0, len(centres) - 1)), 0.5, 1.0)
            share *= half[:, None] if axis == 0 else half[None, :]
    metres = 111_195.0 if crs.is_geographic else 1.0
    across = metres * (np.cos(np.radians(float(np.mean(latitude)))) if crs.is_geographic else 1.0)
    # finer tiles are averaged: picking single samples would turn ridges into noise
    size = tuple(max(round(frame.resolution / step), 1) // 2 * 2 + 1 for step in (dy * metres, dx * across))
    margin = max(size) + 1
    share = np.pad(share, margin)
    height = np.pad(np.nan_to_num(values).astype(float), margin) * share
    if max(size) > 1:
        share, height = (ndimage.uniform_filter(v, size, mode="constant") for v in (share, height))
    at = [(py - y[rows][0]) / dy + margin, (px - x[columns][0]) / dx + margin]
    total += ndimage.map_coordinates(height, at, order=1, mode="constant")
    weight += ndimage.map_coordinates(share, at, order=1, mode="constant")
    edge = 0.5 + 1e-6
    covered |= (
        (py >= y[0] - edge * dy) & (py <= y[-1] + edge * dy) & (px >= x[0] - edge * dx) & (px <= x[-1] + edge * dx)
    )


def _whole(value: float) -> bool:
    return bool(abs(value - round(value)) < 1e-6)


def _extent(west: float, south: float, east: float, north: float) -> str:
    return f"{west:g} to {east:g} east, {south:g} to {north:g} north"


def _name(latitude: float, longitude: float) -> str:
    south, west = int(np.floor(latitude)), int(np.floor(longitude))
    return f"{'N' if south >= 0 else 'S'}{abs(south):02d}{'E' if west >= 0 else 'W'}{abs(west):03d}"
