"""The map of the Withstand app: sites, the hazard's footprint and track, the area of the alert, the critical sites.

It keeps its shape at every width, and its labels are laid out for a phone: what hides nothing there hides nothing on a
desk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.view._figure import number
from twinkit.view._figure import said as said_in_view
from twinkit.view._furnish import bar_length, distance
from twinkit.view.dashboard.withstand_hazard import footprint, ring
from twinkit.view.dashboard.withstand_picture import BLUE, DEEP, TEXT, Drawn, digits, legend_below, plain_text, say

if TYPE_CHECKING:
    import xarray as xr

    from twinkit.view.dashboard.withstand_answer import Answer, Scene

__all__ = ["hazard_map"]

NARROW = 280.0
"""Width [px] of a map on a phone, for which its labels are laid out."""
LETTER, LINE = 7.5, 18.0
"""[px] of a letter and a line of text."""
PLACES = 6
"""Places that are named at most."""


def hazard_map(scene: Scene, answers: tuple[Answer, Answer], critical: xr.Dataset | None, *, language: str) -> Drawn:
    """The sites, the hazard's footprint, its track, the area of the alert, and the critical sites with their rank.

    Parameters
    ----------
    scene : Scene
        Of the first plan.
    answers : tuple of Answer
        For the hours that each site is dark.
    critical : Dataset (asset), optional
    language : str
    """
    twin = scene.twin
    surface = twin.children["surface"].to_dataset(inherit=False)
    left, right, low, high = (float(v) for d in ("x", "y") for v in (surface[d].min(), surface[d].max()))
    made = _canvas(left, right, low, high)
    legend: list[tuple[str, list[Any]]] = []
    what = ""
    layer = footprint(twin, scene.question.hazard)
    if layer is not None:
        what = _layer(made, layer, language)
    sites = twin.children["sites"].to_dataset(inherit=False)
    names = [str(s) for s in sites["site"].to_numpy()]
    x, y = (np.asarray(sites[d].to_numpy(), float) for d in ("x", "y"))
    chance = scene.events[0].hazards[0]["failure"].max(("member", "time")).to_numpy()[: len(names)]
    if layer is None and (chance > 0).any():
        hurt = chance > 0
        cross = made.scatter(x[hurt], y[hurt], marker="x", size=13, color=DEEP, line_width=2.5)
        legend.append((say("l_struck", language), [cross]))
        what = say("alt_struck", language, count=number(int(hurt.sum()), language=language))
    dots = made.scatter(
        x, y, marker="triangle", size=float(np.clip(260 / max(len(x), 1), 6, 11)), color="black", line_color="white"
    )
    legend.insert(0, (say("l_site", language), [dots]))
    _way(made, scene, legend, language)
    boxes: list[tuple[float, float, float, float]] = []
    pixel = max(right - left, 1.0) / NARROW
    if critical is not None and critical.sizes["asset"]:
        ranks = {str(s): i for i, s in reversed(list(enumerate(critical["site"].to_numpy(), 1)))}
        own = [names.index(s) for s in ranks if s in names]
        rings = made.scatter(x[own], y[own], size=13, fill_color=None, line_color=DEEP, line_width=3)
        legend.append((say("l_critical", language), [rings]))
        spots = [(float(x[names.index(s)]), float(y[names.index(s)]), r) for s, r in ranks.items() if s in names]
        _ranked(made, spots, boxes, pixel, language)
        boxes += [(a - 9 * pixel, b - 9 * pixel, a + 9 * pixel, b + 9 * pixel) for a, b, _ in spots]
    _places(made, twin, boxes, pixel, (left, right, low, high))
    _furniture(made, (left, right, low, high), language)
    legend_below(made, legend)
    size = {"width": (right - left) / 1e3, "height": (high - low) / 1e3, "sites": len(names)}
    size["masts"] = len({str(s) for s in twin["cells/site"].to_numpy()} & set(names))
    alt = say("alt_map", language, what=what, **{k: number(v, language=language) for k, v in size.items()})
    return Drawn(made, alt, _site_table(scene, answers, language))


def _site_table(scene: Scene, answers: tuple[Answer, Answer], language: str) -> pd.DataFrame:
    """Site by site: what it meets, and the hours that it is dark under each plan."""
    sites = scene.twin.children["sites"].to_dataset(inherit=False)
    names = [str(s) for s in sites["site"].to_numpy()]
    hazard = scene.events[0].hazards[0]
    columns: dict[str, Any] = {say("t_site", language): names}
    if "name" in sites:
        columns[say("t_name", language)] = [plain_text(v) for v in sites["name"].to_numpy()]
    for name in ("wind_gust", "flood_depth", "shaking", "failure"):
        if name in hazard:
            worst = hazard[name].max("time").mean("member").to_numpy()[: len(names)].astype(float)
            unit = str(hazard[name].attrs.get("units", "1"))
            if name == "failure":
                worst, unit = 100 * worst, "%"
            columns[f"{say(f'i_{name}', language)} [{unit}]"] = worst
    for key, answer in zip(("t_a", "t_b"), answers, strict=True):
        dark = answer.hours_dark.mean("draw").to_series()
        label = f"{say('t_dark', language)}, {say(key, language)} [h]"
        columns[label] = [float(dark.get(n, np.nan)) for n in names]
    table = pd.DataFrame(columns)
    return table.sort_values(table.columns[-2], ascending=False, kind="stable").reset_index(drop=True)


def _layer(made: Any, layer: xr.DataArray, language: str) -> str:
    """The footprint in colours, with its bar; what of it belongs into the alt text."""
    from bokeh.models import BasicTicker, LinearColorMapper
    from bokeh.models.annotations.legends import ColorBar
    from bokeh.palettes import Cividis256

    from twinkit.view._raster import thinned

    raster = thinned(layer, most=240)[0]
    values = np.asarray(raster.values, float)
    if str(layer.name) == "flood_depth":
        values = np.where(values > 0, values, np.nan)
    some = values[np.isfinite(values)]
    least, most = (float(some.min()), float(some.max())) if some.size else (0.0, 1.0)
    if str(layer.name) == "flood_depth":
        least = 0.0
    if most - least < 1e-6:
        most = least + 1.0
    mapper = LinearColorMapper(palette=list(reversed(Cividis256)), low=least, high=most, nan_color="rgba(0,0,0,0)")
    left, right, bottom, top = raster.extent
    image = made.image([values], x=left, y=bottom, dw=right - left, dh=top - bottom, color_mapper=mapper, alpha=0.85)
    image.level = "underlay"
    name, unit = say(f"i_{layer.name}", language), str(layer.attrs.get("units", ""))
    bar = ColorBar(
        color_mapper=mapper, title=f"{name} [{unit}]", orientation="horizontal", height=12, width=220, padding=4,
        location=(0, 0), title_text_font_size=TEXT, title_text_font_style="normal",
        major_label_text_font_size=TEXT,
        ticker=BasicTicker(desired_num_ticks=4), formatter=digits(language), border_line_color=None,
    )  # fmt: skip
    made.add_layout(bar, "below")
    told = {k: number(v, language=language) for k, v in (("low", least), ("high", most))}
    if str(layer.name) == "flood_depth":
        return say("alt_depth", language, name=name, unit=unit, high=told["high"])
    return say("alt_layer", language, name=name, unit=unit, **told)


def _way(made: Any, scene: Scene, legend: list[tuple[str, list[Any]]], language: str) -> None:
    """The track of a cyclone and the edge of the alert."""
    import pyproj

    to = pyproj.Transformer.from_crs("EPSG:4326", scene.twin.attrs["crs"], always_xy=True)
    track = scene.events[0].track
    if track is not None:
        line = _line(track["longitude"].to_numpy(), track["latitude"].to_numpy())
        east, north = (np.asarray(v) for v in to.transform(*line))
        good = np.isfinite(east) & np.isfinite(north)
        drawn = made.line(east[good], north[good], color=DEEP, line_width=3, line_dash="dotdash")
        legend.append((say("l_track", language), [drawn]))
    if scene.question.radius > 0:
        corners = np.array(ring(scene.twin, scene.events[0].centre, scene.question.radius))
        east, north = to.transform(np.append(corners[:, 0], corners[0, 0]), np.append(corners[:, 1], corners[0, 1]))
        legend.append(
            (say("l_alert", language), [made.line(east, north, color=BLUE, line_width=2, line_dash="dashed")])
        )


def _line(longitude: Any, latitude: Any) -> tuple[np.ndarray, np.ndarray]:
    """A track with many points, so that a projected straight line is drawn straight where it matters."""
    at = np.linspace(0.0, len(longitude) - 1.0, 400)
    known = np.arange(len(longitude), dtype=float)
    return np.interp(at, known, np.asarray(longitude, float)), np.interp(at, known, np.asarray(latitude, float))


def _ranked(
    made: Any, spots: list[tuple[float, float, int]], boxes: list[tuple[float, float, float, float]], pixel: float,
    language: str,
) -> None:  # fmt: skip
    """Ranks beside the critical sites; where two labels would hide each other they become one."""
    groups = [([r], x, y) for x, y, r in spots]
    joined = True
    while joined:
        joined = False
        for i in range(len(groups)):
            for j in range(i + 1, len(groups)):
                if _meet(_box(groups[i], pixel, language), _box(groups[j], pixel, language)):
                    one, two = groups[i], groups[j]
                    groups[i] = (sorted([*one[0], *two[0]]), max(one[1], two[1]), (one[2] + two[2]) / 2)
                    del groups[j]
                    joined = True
                    break
            if joined:
                break
    boxes += [_box(group, pixel, language) for group in groups]
    texts = [_ranks(g[0], language) for g in groups]
    made.text(
        x=[g[1] for g in groups], y=[g[2] for g in groups], text=texts, x_offset=9, text_font_size=TEXT,
        text_font_style="bold", text_color=DEEP, text_baseline="middle", background_fill_color="white",
        background_fill_alpha=0.85, padding=1,
    )  # fmt: skip


def _ranks(ranks: list[int], language: str) -> str:
    return " ".join(number(r, language=language) for r in ranks)


def _box(group: tuple[list[int], float, float], pixel: float, language: str) -> tuple[float, float, float, float]:
    ranks, x, y = group
    wide = (len(_ranks(ranks, language)) * LETTER + 12) * pixel
    return x, y - LINE / 2 * pixel, x + wide, y + LINE / 2 * pixel


def _meet(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _places(
    made: Any, twin: xr.DataTree, boxes: list[tuple[float, float, float, float]], pixel: float,
    extent: tuple[float, float, float, float],
) -> None:  # fmt: skip
    """Names of the largest places, each where it hides nothing; those without room are left out."""
    if "places" not in twin.children or "name" not in twin.children["places"].to_dataset(inherit=False):
        return
    places = twin.children["places"].to_dataset(inherit=False)
    weight = places["population"].to_numpy().astype(float) if "population" in places else np.ones(places.sizes["place"])
    shown: list[tuple[float, float, str]] = []
    for i in np.argsort(-weight, kind="stable"):
        x, y, name = (
            float(places["x"].to_numpy()[i]),
            float(places["y"].to_numpy()[i]),
            plain_text(places["name"].to_numpy()[i], 18),
        )
        wide, tall = len(name) * LETTER * pixel, LINE * pixel
        box = (x - wide / 2, y - 1.6 * tall, x + wide / 2, y - 0.4 * tall)
        # below left stands the scale bar, above right the north
        corner = (box[0] < extent[0] + 0.45 * (extent[1] - extent[0]) and box[1] < extent[2] + 3 * tall) or (
            box[2] > extent[1] - 3 * tall and box[3] > extent[3] - 3 * tall
        )
        within = extent[0] < box[0] and box[2] < extent[1] and extent[2] < box[1]
        if corner or not within or any(_meet(box, b) for b in boxes):
            continue
        boxes.append(box)
        shown.append((x, y, name))
        if len(shown) == PLACES:
            break
    if shown:
        made.text(
            x=[s[0] for s in shown], y=[s[1] for s in shown], text=[s[2] for s in shown], text_font_size=TEXT,
            text_align="center", text_baseline="top", y_offset=8, background_fill_color="white",
            background_fill_alpha=0.7, padding=1,
        )  # fmt: skip


def _furniture(made: Any, extent: tuple[float, float, float, float], language: str) -> None:
    """Scale bar and north, in the corners of the region and not of the figure."""
    left, right, low, high = extent
    length = bar_length(right - left)
    start, up = left + 0.04 * (right - left), low + 0.05 * (high - low)
    white = {"background_fill_color": "white", "background_fill_alpha": 0.85, "padding": 2}
    made.line([start, start + length], [up, up], color="white", line_width=7)
    made.line([start, start + length], [up, up], color="black", line_width=3)
    made.text(
        x=[start + length / 2],
        y=[up],
        text=[distance(length, language)],
        text_font_size=TEXT,
        text_align="center",
        text_baseline="bottom",
        y_offset=-5,
        **white,
    )
    made.text(
        x=[right],
        y=[high],
        text=[f"↑ {said_in_view('north', language=language)}"],
        text_font_size="15px",
        text_align="right",
        text_baseline="top",
        x_offset=-6,
        y_offset=6,
        **white,
    )


def _canvas(left: float, right: float, low: float, high: float) -> Any:
    """A map that keeps its shape: the region on grey, no axes."""
    from bokeh.models import DataRange1d
    from bokeh.plotting import figure

    made: Any = figure(
        height=600, sizing_mode="stretch_width", toolbar_location=None, tools="", match_aspect=True,
        x_range=DataRange1d(range_padding=0.01), y_range=DataRange1d(range_padding=0.01),
        background_fill_color="white", border_fill_color="white", outline_line_color=None,
    )  # fmt: skip
    made.axis.visible = False
    made.grid.visible = False
    frame = made.quad(left=left, right=right, bottom=low, top=high, fill_color="#F4F5F6", line_color="#7a848e")
    frame.level = "image"
    made.x_range.renderers = made.y_range.renderers = [frame]
    return made
