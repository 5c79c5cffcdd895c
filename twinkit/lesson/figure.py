"""A lesson's map: labelled in the learner's language, with alt text written from the data.

It is shown as HTML, because JupyterLab drops the alt text of a plain image. Without matplotlib the description
alone is shown, and the lesson goes on.
"""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.vocabulary import LANGUAGES, label, words

__all__ = ["Figure", "described_map", "map_of"]

# Scripts that matplotlib's own font does not hold, and the families that do, in order of preference.
SCRIPTS = {"hi": ("Noto Sans Devanagari", "Lohit Devanagari", "Nirmala UI", "Mangal"), "fa": ("DejaVu Sans",)}


@dataclass(frozen=True)
class Figure:
    """A picture with its description; without a picture the description is shown."""

    png: bytes
    alt: str

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        if not self.png:
            return f"<p><i>{html.escape(self.alt)}</i></p>"
        data = base64.b64encode(self.png).decode("ascii")
        alt = html.escape(self.alt, quote=True)
        return f'<img alt="{alt}" src="data:image/png;base64,{data}" style="max-width: 100%">'


def map_of(
    array: xr.DataArray, *, points: xr.Dataset | None = None, logarithmic: bool = False, language: str = "en"
) -> Figure:
    """A map with its colour bar, axes in kilometres, and points drawn over it.

    Parameters
    ----------
    array : DataArray (y, x)
        Its name or ``long_name`` labels the colour bar, in `language` where the vocabulary knows it.
    points : Dataset with x, y [m], optional
    logarithmic : bool
        Colours by factors of ten, for people and other things that span many.
    language : str

    Errors
    ------
    TwinError
        Not a map.
    """
    if not isinstance(array, xr.DataArray) or set(array.dims) != {"y", "x"}:
        raise TwinError(
            "a map with dims y and x",
            found=f"dims {tuple(array.dims)}" if isinstance(array, xr.DataArray) else f"a {type(array).__name__}",
            hint="give one variable of the surface, e.g. 'surface/people'",
        )
    array = array.transpose("y", "x").load()
    alt = described_map(array, points=points, language=language)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import LogNorm
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        return Figure(b"", alt)

    # no pyplot: it keeps figures alive and asks the machine for a window
    canvas = Canvas(figsize=(7.2, 5.6), dpi=100, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    values = array.values.astype(float)
    positive = values[np.isfinite(values) & (values > 0)]
    norm = None
    if logarithmic and positive.size:
        top = float(positive.max())
        norm = LogNorm(vmin=max(float(positive.min()), top / 1e5), vmax=top)
        values = np.where(values > 0, values, np.nan)
    x, y = array.x.values / 1e3, array.y.values / 1e3
    half = (x[1] - x[0]) / 2 if x.size > 1 else 0.5
    picture = axes.imshow(
        values,
        origin="lower",
        extent=(x[0] - half, x[-1] + half, y[0] - half, y[-1] + half),
        cmap="viridis",
        norm=norm,
        interpolation="nearest",
    )
    axes.set_facecolor("0.85")
    if points is not None:
        axes.scatter(points.x / 1e3, points.y / 1e3, s=18, c="white", edgecolors="black", linewidths=0.8, marker="^")
    font = _font(language)
    text_language = language if font or language in ("en", "fr") else "en"
    said: dict[str, Any] = {"fontfamily": font} if font else {}
    canvas.colorbar(picture, ax=axes, shrink=0.85).set_label(_label(array, text_language), **said)
    for name, change in (("x", axes.set_xlabel), ("y", axes.set_ylabel)):
        change(label(name, language=text_language).replace("[m]", "[km]"), **said)
    stream = io.BytesIO()
    canvas.savefig(stream, format="png")
    return Figure(stream.getvalue(), alt)


def described_map(array: xr.DataArray, *, points: xr.Dataset | None = None, language: str = "en") -> str:
    """What a map shows, in words, from its numbers: extent, range, median, where the largest value lies."""
    values = array.values.astype(float)
    good = np.isfinite(values)
    width, height = (float(array[d].max() - array[d].min()) / 1e3 for d in ("x", "y"))
    text = f"Map of {_label(array, language)}, {width:.0f} by {height:.0f} km."
    if not good.any():
        return text + " It holds no values."
    row, column = np.unravel_index(int(np.nanargmax(np.where(good, values, -np.inf))), values.shape)
    where = _direction(row / max(values.shape[0] - 1, 1), column / max(values.shape[1] - 1, 1))
    text += (
        f" Values from {values[good].min():.3g} to {values[good].max():.3g}, median {np.median(values[good]):.3g}; "
        f"the largest lies {where}."
    )
    if points is not None:
        text += f" {points.sizes[next(iter(points.x.dims))]} points are drawn over it."
    return text


def _direction(up: float, right: float) -> str:
    vertical = "north" if up > 2 / 3 else "south" if up < 1 / 3 else ""
    horizontal = "east" if right > 2 / 3 else "west" if right < 1 / 3 else ""
    return (
        f"in the {vertical}{'-' if vertical and horizontal else ''}{horizontal}"
        if vertical or horizontal
        else "in the middle"
    )


def _label(array: xr.DataArray, language: str) -> str:
    if array.name in words():
        return label(str(array.name), language=language if language in LANGUAGES else "en")
    said = str(array.attrs.get("long_name") or array.name or "values")
    unit = array.attrs.get("units", "1")
    return said if unit == "1" else f"{said} [{unit}]"


def _font(language: str) -> str:
    """A family that holds the language's script; "" when matplotlib's own does or none is found."""
    from matplotlib import font_manager

    for family in SCRIPTS.get(language, ()):
        try:
            font_manager.findfont(family, fallback_to_default=False)
        except ValueError:
            continue
        return family
    return ""
