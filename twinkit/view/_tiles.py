"""A base map from a tile server, below a twin's own grid: asked for by this machine, once, and only when wanted.

The browser asks nobody: it gets one picture, already in the twin's projection. Where the server does not answer there
is no base map, and nobody is asked again for a while.
"""

from __future__ import annotations

import io
import math
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from twinkit.error import TwinError

__all__ = ["Tiles"]

EDGE = 256
"""Pixels along the edge of a tile."""
AROUND = 20_037_508.342789244
"""Half of the way around the equator in web Mercator [m]."""
DEEPEST = 19
MOST = 30
"""Tiles of one picture at most."""
KNOTS = 17
"""Places along each edge that are projected exactly; between them the projection is as good as straight."""
PATIENCE = 4.0
"""Seconds that a tile may take."""
PAUSE = 60.0
"""Seconds without a question after one without an answer."""
LARGEST = 2_000_000
"""Bytes of a tile at most."""


class Tiles:
    """Tiles of one server in the CRS of a twin.

    Parameters
    ----------
    address : str
        With ``{X}``, ``{Y}`` and ``{Z}``.
    crs : str

    Errors
    ------
    TwinError
        A CRS that is unknown, or an address that is none.
    """

    def __init__(self, address: str, *, crs: str) -> None:
        from pyproj import Transformer
        from pyproj.exceptions import CRSError

        if not address.startswith(("http://", "https://")) or not all(f"{{{k}}}" in address for k in "XYZ"):
            raise TwinError(
                "an address with {X}, {Y} and {Z}",
                found=repr(address),
                hint="https://tiles.example/{Z}/{X}/{Y}.png",
                where="tiles",
            )
        try:
            self._there = Transformer.from_crs(crs, "EPSG:3857", always_xy=True)
        except CRSError:
            raise TwinError(
                "a twin whose CRS is known, to lay tiles below it",
                found=repr(crs),
                hint="leave tiles out, or mend twin.attrs['crs']",
                where="tiles",
            ) from None
        self.address = address
        self._kept: OrderedDict[tuple[int, int, int], np.ndarray | None] = OrderedDict()
        self._silent_until = 0.0

    def picture(self, extent: tuple[float, float, float, float], pixels: tuple[int, int]) -> np.ndarray | None:
        """Colours (row from south to north, column) as 32-bit RGBA; None where nobody answers."""
        if time.monotonic() < self._silent_until:
            return None
        x, y = self._places(extent, pixels)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return None
        across = max(float(x.max() - x.min()), 1e-3)
        zoom = int(np.clip(math.floor(math.log2(2 * AROUND * pixels[1] / EDGE / across)), 0, DEEPEST))
        while True:
            size = 2 * AROUND / 2**zoom
            columns = [int(np.clip((v + AROUND) // size, 0, 2**zoom - 1)) for v in (x.min(), x.max())]
            rows = [int(np.clip((AROUND - v) // size, 0, 2**zoom - 1)) for v in (y.max(), y.min())]
            if (columns[1] - columns[0] + 1) * (rows[1] - rows[0] + 1) <= MOST or zoom == 0:
                break
            zoom -= 1
        wanted = [(zoom, c, r) for r in range(rows[0], rows[1] + 1) for c in range(columns[0], columns[1] + 1)]
        tiles = self._asked(wanted)
        if tiles is None:
            return None
        shape = ((rows[1] - rows[0] + 1) * EDGE, (columns[1] - columns[0] + 1) * EDGE)
        whole = np.zeros(shape, np.uint32)
        for (_, c, r), tile in tiles.items():
            if tile is not None:
                whole[(r - rows[0]) * EDGE :, (c - columns[0]) * EDGE :][:EDGE, :EDGE] = tile
        column = ((x + AROUND) / size - columns[0]) * EDGE
        row = ((AROUND - y) / size - rows[0]) * EDGE
        inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
        out = np.zeros(pixels, np.uint32)
        out[inside] = whole[row[inside].astype(int), column[inside].astype(int)]
        return out

    def _places(self, extent: tuple[float, float, float, float], pixels: tuple[int, int]) -> list[np.ndarray]:
        """Web Mercator of every pixel [m]: x and y."""
        left, right, bottom, top = extent
        x = left + (np.arange(pixels[1]) + 0.5) / pixels[1] * (right - left)
        y = bottom + (np.arange(pixels[0]) + 0.5) / pixels[0] * (top - bottom)
        knots_x, knots_y = np.linspace(left, right, KNOTS), np.linspace(bottom, top, KNOTS)
        place = np.clip(np.searchsorted(knots_y, y) - 1, 0, KNOTS - 2)
        share = ((y - knots_y[place]) / (knots_y[place + 1] - knots_y[place]))[:, None]
        out = []
        for exact in self._there.transform(*np.meshgrid(knots_x, knots_y)):
            across = np.array([np.interp(x, knots_x, row) for row in exact])
            out.append(across[place] * (1 - share) + across[place + 1] * share)
        return out

    def _asked(self, wanted: list[tuple[int, int, int]]) -> dict[tuple[int, int, int], np.ndarray | None] | None:
        """The tiles, those of earlier pictures from memory; a tile that does not exist is None."""
        import requests

        missing = [k for k in wanted if k not in self._kept]
        if missing:
            try:
                # the first alone: where nobody answers, one question is enough
                read = [self._one(missing[0])]
                with ThreadPoolExecutor(4) as pool:
                    read += pool.map(self._one, missing[1:])
            except (requests.RequestException, OSError):
                self._silent_until = time.monotonic() + PAUSE
                return None
            self._kept.update(zip(missing, read, strict=True))
        out = {k: self._kept[k] for k in wanted}
        for k in wanted:
            self._kept.move_to_end(k)
        while len(self._kept) > 4 * MOST:
            self._kept.popitem(last=False)
        return out

    def _one(self, key: tuple[int, int, int]) -> np.ndarray | None:
        import requests
        from PIL import Image

        zoom, column, row = key
        address = self.address.replace("{Z}", str(zoom)).replace("{X}", str(column)).replace("{Y}", str(row))
        with requests.get(
            address, timeout=PATIENCE, stream=True, headers={"User-Agent": "twinkit (digital twins of networks)"}
        ) as answer:
            if answer.status_code == 404:  # a server that has no tile there
                return None
            answer.raise_for_status()
            data = answer.raw.read(LARGEST + 1, decode_content=True)
        try:
            if len(data) > LARGEST:
                return None
            image: Any = Image.open(io.BytesIO(data))
            if image.size != (EDGE, EDGE):
                return None
            return np.ascontiguousarray(np.asarray(image.convert("RGBA"))).view(np.uint32)[..., 0]
        except (OSError, ValueError, Image.DecompressionBombError):  # something else than a picture
            return None
