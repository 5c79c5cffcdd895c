"""GeoTIFF opened as GeoTIFF and nothing else: of other formats some name further files and addresses to read."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["opened"]


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """The file as rasterio's reader; files beside it are not looked at.

    Errors
    ------
    RasterioIOError
        Of rasterio, for its caller to name: not a GeoTIFF (a VRT, say), not there, damaged.
    """
    import rasterio

    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(path, driver="GTiff") as source:
        yield source
