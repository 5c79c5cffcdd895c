"""Many readings at places: as points where few are in view, and as the mean in each pixel where many are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError
from twinkit.view._pyramid import Window

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["APART", "Points"]

APART = 5_000
"""Readings in view up to which each one is drawn on its own."""


class Points:
    """Readings with their places.

    Parameters
    ----------
    readings : DataArray (one dim) with coordinates x and y [m]
    """

    def __init__(self, readings: xr.DataArray) -> None:
        self.layer = readings
        if readings.dtype.kind not in "iufb":
            raise TwinError(
                "readings that are numbers", found=f"{readings.dtype}", hint="choose another variable", where="layer"
            )
        x, y, values = (np.asarray(a, dtype=float) for a in (readings["x"].data, readings["y"].data, readings.data))
        good = np.isfinite(x) & np.isfinite(y) & np.isfinite(values)
        if not good.any():
            raise TwinError(
                "at least one reading with a place",
                found=f"none among {values.size}",
                hint="drop what has no place: readings.dropna('sample')",
                where="layer",
            )
        self.x, self.y, self.values = x[good], y[good], values[good]
        edge = 0.03 * max(np.ptp(self.x), np.ptp(self.y), 1.0)
        self.extent = (
            float(self.x.min() - edge),
            float(self.x.max() + edge),
            float(self.y.min() - edge),
            float(self.y.max() + edge),
        )

        self._frame: Any = None

    @property
    def overview(self) -> Window | tuple[np.ndarray, ...]:
        """All of them, coarse."""
        return self.window(self.extent, (300, 400))

    def window(
        self, extent: tuple[float, float, float, float], pixels: tuple[int, int]
    ) -> Window | tuple[np.ndarray, ...]:
        """The readings in an extent: x, y and value of each, or their means where they are many."""
        there = self.within(extent)
        if len(there) <= APART:
            return self.x[there], self.y[there], self.values[there]
        return self.means(extent, pixels)

    def within(self, extent: tuple[float, float, float, float]) -> np.ndarray:
        """Which of the readings lie in an extent."""
        left, right, bottom, top = extent
        return np.flatnonzero((self.x >= left) & (self.x <= right) & (self.y >= bottom) & (self.y <= top))

    def means(self, extent: tuple[float, float, float, float], pixels: tuple[int, int]) -> Window:
        """The mean of the readings in each pixel, a little spread so that a single one can be seen; NaN without."""
        try:
            import datashader as ds
            from datashader import transfer_functions
        except ImportError:
            raise TwinError(
                "datashader, for more readings than a browser draws",
                found="no module 'datashader'",
                hint='install the extra: pip install "twinkit[view]"',
            ) from None
        import pandas as pd

        left, right, bottom, top = extent
        if self._frame is None:
            self._frame = pd.DataFrame({"x": self.x, "y": self.y, "value": self.values})
        canvas = ds.Canvas(plot_width=pixels[1], plot_height=pixels[0], x_range=(left, right), y_range=(bottom, top))
        sums: Any = canvas.points(self._frame, "x", "y", agg=ds.mean("value"))
        wide = transfer_functions.spread(sums, px=1, how="source")
        return Window(np.asarray(wide.values, dtype=np.float32), extent, 1)
