"""What stands beside and under a map: relief, masts, names of places, scale bar, north, legend, title."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.view._figure import LATIN, latin, number, said, written
from twinkit.view._raster import Raster, thinned

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["COVERED", "GREY", "NEW", "Ground", "bar_length", "distance", "furnish", "ground_of", "legend", "titled"]

# Okabe and Ito's colours, which people of any colour vision tell apart, on a grey that recedes.
COVERED, NEW, GREY, MARK = "#56B4E9", "#E69F00", "#D9D9D9", "#D55E00"
NEAREST = 0.08
"""Two named places lie at least this share of the map's width apart, so that names reach all parts of it."""


@dataclass(frozen=True)
class Ground:
    """What stands beside and under a map: relief, masts, places."""

    relief: np.ndarray | None
    sites: np.ndarray
    names: tuple[str, ...]
    at: np.ndarray
    weight: np.ndarray
    counted: bool = False
    """Whether the weight is the places' population."""


def ground_of(twin: xr.DataTree | None, raster: Raster, *, relief: bool) -> Ground:
    nobody = np.empty((0, 2))
    names: tuple[str, ...] = ()
    sites, at, weight, shade, counted = nobody, nobody, np.empty(0), None, False
    if twin is not None:
        if "sites" in twin.children and {"x", "y"} <= set(twin.children["sites"].variables):
            sites = _points(twin.children["sites"].to_dataset(inherit=False))
        if "places" in twin.children and {"x", "y", "name"} <= set(twin.children["places"].variables):
            places = twin.children["places"].to_dataset(inherit=False)
            at, names = _points(places), tuple(str(n) for n in places["name"].values)
            counted = "population" in places
            weight = places["population"].values.astype(float) if counted else np.ones(len(names))
        if relief and "surface" in twin.children and "ground_height" in twin.children["surface"].data_vars:
            heights = twin.children["surface"].to_dataset(inherit=False)["ground_height"]
            shade = _shade(thinned(heights, most=max(raster.values.shape))[0])
            shade = shade if shade is not None and shade.shape == raster.values.shape else None
    return Ground(shade, sites, names, at, weight, counted)


def _points(table: xr.Dataset) -> np.ndarray:
    return np.column_stack([np.asarray(table[d].values, dtype=float) for d in ("x", "y")])


def _shade(raster: Raster) -> np.ndarray | None:
    """Light from the north-west, 45 degree high: 1 where it falls flat, less on slopes that look away."""
    if min(raster.values.shape) < 2:
        return None
    step_y, step_x = raster.height / raster.values.shape[0], raster.width / raster.values.shape[1]
    heights = np.nan_to_num(raster.values.astype(float), nan=float(np.nanmin(raster.values)))
    up, right = np.gradient(heights, step_y, step_x)
    steep = 1.0 + up**2 + right**2
    light = (right * math.sqrt(0.25) - up * math.sqrt(0.25) + math.sqrt(0.5)) / np.sqrt(steep)
    return np.asarray(np.clip(0.55 + 0.45 * light / math.sqrt(0.5), 0.45, 1.12))


def furnish(axes: Any, raster: Raster, ground: Ground, new: xr.Dataset | None, labels: int, language: str) -> list[str]:
    """Frame, scale bar, north, masts, places; what of it belongs into the alt text."""
    alt = []
    left, right, bottom, top = raster.extent
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    seen = ground.sites[_within(ground.sites, raster)]
    if len(seen):
        size = float(np.clip(2600 / len(seen), 3.0, 26.0))
        axes.scatter(*seen.T, s=size, marker="^", c="black", edgecolors="white", linewidths=0.4, zorder=4)
        alt.append(said("sites", language=language, count=number(len(seen), language=language)))
    taken: list[Any] = []
    if new is not None and new.sizes:
        spots = _points(new)
        axes.scatter(*spots.T, s=95, marker="o", c=MARK, edgecolors="white", linewidths=1.2, zorder=6)
        for i, (x, y) in enumerate(spots, 1):
            axes.annotate(
                number(i, language=language),
                (x, y),
                ha="center",
                va="center_baseline",
                color="white",
                fontsize=8.5,
                zorder=7,
            )
        alt.append(said("new_sites", language=language, count=number(len(spots), language=language)))
        pixels = axes.transData.transform(spots)
        taken += [(x - 9, y - 9, x + 9, y + 9) for x, y in pixels]
    _scale_bar(axes, raster, language)
    _named(axes, raster, ground, labels, taken)
    return alt


def _within(points: np.ndarray, raster: Raster) -> np.ndarray:
    left, right, bottom, top = raster.extent
    x, y = points[:, 0], points[:, 1]
    return (left <= x) & (x <= right) & (bottom <= y) & (y <= top)


def bar_length(width: float) -> float:
    """Length [m] of the scale bar of a map so wide [m]: a round one, at most a quarter of it.

    >>> bar_length(30e3), bar_length(8e3)
    (5000.0, 2000.0)
    """
    goal = width / 4
    power = 10.0 ** math.floor(math.log10(goal))
    return max(m * power for m in (1, 2, 5) if m * power <= goal)


def distance(metres: float, language: str) -> str:
    """A length with its unit, in km where that is shorter.

    >>> distance(5e3, "hi"), distance(500.0, "en")
    ('5 किमी', '500 m')
    """
    if metres >= 1e3:
        unit = {"hi": "किमी", "fa": "کیلومتر"}.get(language, "km")
        return number(metres / 1e3, language=language, unit=unit)
    return number(metres, language=language, unit="m")


def _scale_bar(axes: Any, raster: Raster, language: str) -> None:
    from matplotlib.patheffects import withStroke

    length = bar_length(raster.width)
    left, right, bottom, top = raster.extent
    start, y = left + 0.03 * (right - left), bottom + 0.035 * (top - bottom)
    halo = [withStroke(linewidth=3, foreground="white")]
    (line,) = axes.plot([start, start + length], [y, y], color="black", lw=2.5, solid_capstyle="butt", zorder=8)
    line.set_path_effects([withStroke(linewidth=6, foreground="white")])
    said_length = axes.annotate(
        distance(length, language),
        (start + length / 2, y),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        zorder=8,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
    )
    said_length.set_path_effects(halo)
    arrow = axes.annotate(
        said("north", language=language),
        xy=(0.965, 0.115),
        xytext=(0.965, 0.03),
        xycoords="axes fraction",
        ha="center",
        va="bottom",
        arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0},
        zorder=8,
    )
    arrow.set_path_effects(halo)
    arrow.arrow_patch.set_path_effects(halo)


def _named(axes: Any, raster: Raster, ground: Ground, most: int, taken: list[Any]) -> None:
    """Names of the largest places, each where it hides no other; those that find no room are left out."""
    from matplotlib.patheffects import withStroke

    made = axes.figure
    made.draw_without_rendering()  # settles the layout, without which no text has a size
    renderer = made.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    taken = [t.get_window_extent(renderer).extents for t in axes.texts] + taken
    inside = np.flatnonzero(_within(ground.at, raster)) if len(ground.at) else np.empty(0, int)
    order = inside[np.argsort(-ground.weight[inside], kind="stable")]
    named: list[int] = []
    apart = NEAREST * raster.width
    sides = ((5, 0, "left", "center"), (-5, 0, "right", "center"), (0, 5, "center", "bottom"), (0, -5, "center", "top"))
    for i in order:
        if len(named) == most:
            break
        if written(ground.names[i]) != ground.names[i]:
            continue
        if named and np.hypot(*(ground.at[named] - ground.at[i]).T).min() < apart:
            continue
        for dx, dy, across, along in sides:
            text = axes.annotate(
                ground.names[i],
                ground.at[i],
                xytext=(dx, dy),
                textcoords="offset points",
                ha=across,
                va=along,
                fontsize=9 if len(named) < 3 else 8,
                color="black",
                zorder=9,
            )
            text.set_path_effects([withStroke(linewidth=2.6, foreground="white", alpha=0.9)])
            box = text.get_window_extent(renderer).padded(1.5).extents
            free = not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)
            if free and frame.x0 < box[0] and box[2] < frame.x1 and frame.y0 < box[1] and box[3] < frame.y1:
                taken.append(box)
                axes.plot(*ground.at[i], marker="o", ms=3.2, mfc="white", mec="black", mew=0.8, zorder=5)
                named.append(i)
                break
            text.remove()


def legend(axes: Any, keys: list[str], ground: Ground, new: xr.Dataset | None, language: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colours = {"covered": COVERED, "not_covered": GREY, "newly_covered": NEW}
    handles: list[Any] = [Patch(facecolor=colours[k], label=said(k, language=language)) for k in keys]
    plain: dict[str, Any] = {"linestyle": "none", "markeredgecolor": "white"}
    if len(ground.sites):
        text = said("site", language=language)
        handles.append(Line2D([], [], marker="^", color="black", markersize=6, label=text, **plain))
    if new is not None and new.sizes:
        text = said("new_site", language=language)
        handles.append(Line2D([], [], marker="o", color=MARK, markersize=8, label=text, **plain))
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def titled(axes: Any, title: str, language: str) -> None:
    if title:
        # the small fonts for Hindi and Persian have one weight
        bold: dict[str, Any] = {"fontweight": "bold", "fontfamily": LATIN} if latin(title) else {}
        axes.set_title(written(title), loc="right" if language == "fa" else "left", **bold)
