"""A map drawn by Bokeh: colours and legend as those of the still maps, masts, places, a scale bar."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import escaped
from twinkit.view._figure import Figure, number, said
from twinkit.view._furnish import COVERED, GREY, NEAREST
from twinkit.view._map import CLASSES, SPAN_OF_PEOPLE, _what
from twinkit.view._map_table import edges_of
from twinkit.view._pyramid import Pyramid, Window

if TYPE_CHECKING:
    import xarray as xr

    from twinkit.view.panning import PannedMap

__all__ = ["Colours", "Renderers", "plotted", "still"]

FONT = "13px"


def unread(text: object) -> str:
    r"""Text in which Bokeh finds no formula, which it looks for between two dollars and after a backslash.

    >>> unread("$$x$$")
    '$ $x$ $'
    """
    return re.sub(r"\$(?=\$)|\\(?=[\[\]()])", lambda mark: f"{mark[0]} ", escaped(text))


def _models() -> Any:
    """Bokeh's models, imported where they are used."""
    from bokeh import models

    return models


@dataclass(frozen=True)
class Colours:
    """How values become colours, and what the legend says."""

    mapper: Any
    what: str
    """Label of the layer, with its unit."""
    ticks: tuple[tuple[float, str], ...]
    below: str
    """What grey means, where there is a threshold."""
    scale: float
    """Factor from the layer's values to those that are shown: people become people/km²."""
    unit: str

    @classmethod
    def of(cls, layer: xr.DataArray, first: Any, *, threshold: float | None, language: str) -> Colours:
        models = _models()
        from bokeh.palettes import Cividis256, Viridis256

        what = unread(_what(layer, language))
        unit = what.rpartition("[")[2].rstrip("]") if what.endswith("]") else ""
        values = first.values if isinstance(first, Window) else first[2]
        good = values[np.isfinite(values.astype(float))].astype(float)
        if "flag_meanings" in layer.attrs or layer.name == "clutter":
            return cls._of_classes(layer, good, what, language)
        if layer.dtype.kind == "b":
            shades = [_mixed(GREY, COVERED, i / 255) for i in range(256)]
            mapper = models.LinearColorMapper(palette=shades, low=0, high=1, nan_color="#FFFFFF")
            # inside the ends, so that the words do not reach beyond the bar
            ends_of = ((0.05, "not_covered"), (0.95, "covered"))
            ticks = tuple((at, said(k, language=language)) for at, k in ends_of)
            return cls(mapper, said("covered", language=language), ticks, "", 1.0, "")
        if not good.size:
            return cls(models.LinearColorMapper(palette=[GREY], low=0, high=1, nan_color=GREY), what, (), "", 1.0, unit)
        if layer.name == "people" and layer.ndim == 2:
            pixel = abs(float(layer.x[1] - layer.x[0])) if layer.sizes["x"] > 1 else 1e3
            scale = 1e6 / pixel**2
            top = max(float(good.max()) * scale, 1.0)
            shown = {"low": top / SPAN_OF_PEOPLE, "high": top, "low_color": Viridis256[0], "nan_color": Viridis256[0]}
            ticks = _ticks(edges_of(np.array([0.0, top]), powers=True), language)
            return cls(models.LogColorMapper(palette=Viridis256, **shown), what, ticks, "", scale, unit)
        bottom, top = (float(np.percentile(good, p)) for p in (1, 99))
        ends: dict[str, Any] = {"nan_color": "#FFFFFF"}
        if threshold is not None:
            # where no cell has an answer nothing is received either
            bottom, ends = threshold, {"nan_color": GREY, "low_color": GREY}
        top = max(top, bottom + 1e-9 * max(1.0, abs(bottom)))
        low = float(np.nextafter(np.float32(bottom), np.float32(np.inf))) if threshold is not None else bottom
        mapper = models.LinearColorMapper(palette=Cividis256, low=low, high=top, **ends)
        below = ""
        if threshold is not None:
            below = said("none_below", language=language, threshold=number(threshold, language=language, unit=unit))
        return cls(mapper, what, _ticks(edges_of(np.array([bottom, top])), language), below, 1.0, unit)

    @classmethod
    def _of_classes(cls, layer: xr.DataArray, good: np.ndarray, what: str, language: str) -> Colours:
        models = _models()
        meanings = str(layer.attrs.get("flag_meanings", "")).split()
        codes = [int(v) for v in np.atleast_1d(layer.attrs.get("flag_values", range(len(meanings))))]
        flags = {v: escaped(m.replace("_", " ")) for v, m in zip(codes, meanings, strict=False)}
        most = int(max([*codes, *good.tolist(), 0]))
        named = {c: said(f"clutter_{c}", language=language) for c in range(6)} if layer.name == "clutter" else flags
        there = sorted({int(c) for c in good})
        palette = [CLASSES[c % len(CLASSES)] for c in range(most + 1)]
        mapper = models.LinearColorMapper(palette=palette, low=-0.5, high=most + 0.5, nan_color="#FFFFFF")
        return cls(mapper, what, tuple((float(c), named.get(c, str(c))) for c in there), "", 1.0, "")


def _ticks(edges: np.ndarray, language: str) -> tuple[tuple[float, str], ...]:
    """The round ones; the ends only where there are no others, because their labels would reach beyond the bar."""
    values = edges[1:-1] if len(edges) > 3 else edges
    return tuple((float(v), number(float(v), language=language)) for v in values)


def _mixed(first: str, second: str, share: float) -> str:
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


@dataclass(frozen=True)
class Renderers:
    """What changes as the view does: the image of what is in view, and single readings."""

    image: Any
    points: Any
    base: Any
    credit: Any
    scale: float

    def lay(self, picture: np.ndarray | None, extent: tuple[float, float, float, float]) -> None:
        """A base map below, or none."""
        left, right, bottom, top = extent
        there = picture is not None
        placed = {"image": [picture], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}
        self.base.data_source.data = placed if there else {k: [] for k in placed}
        # over nothing a map stands in its full colours
        self.image.glyph.global_alpha = 0.65 if there else 1.0
        if self.credit is not None:
            self.credit.visible = there

    def show(self, seen: Window | tuple[np.ndarray, ...]) -> None:
        """What is in view now; what is not there leaves nothing."""
        if isinstance(seen, Window):
            self.image.data_source.data = _columns(seen, self.scale)
            if len(self.points.data_source.data["x"]):
                self.points.data_source.data = {"x": [], "y": [], "value": []}
            return
        x, y, value = seen
        self.points.data_source.data = {"x": x, "y": y, "value": value}
        if len(self.image.data_source.data["image"]):
            self.image.data_source.data = {k: [] for k in ("image", "x", "y", "dw", "dh")}


def _columns(window: Window, scale: float) -> dict[str, list[Any]]:
    if window.values.size == 0:
        return {k: [] for k in ("image", "x", "y", "dw", "dh")}
    left, right, bottom, top = window.extent
    values = np.ascontiguousarray(window.values, dtype=np.float32)
    if scale != 1.0:
        values = values * np.float32(scale)
    return {"image": [values], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}


def plotted(
    first: Window | tuple[np.ndarray, ...],
    colours: Colours,
    *,
    twin: xr.DataTree | None,
    labels: int,
    whole: tuple[float, ...],
    tiled: bool,
    attribution: str,
    language: str,
) -> tuple[Any, Renderers]:
    """The Bokeh figure, with the whole coarse below what is in view, so that a pan never shows a gap."""
    models = _models()
    from bokeh.plotting import figure

    plot: Any = figure(
        x_range=models.Range1d(whole[0], whole[1]),
        y_range=models.Range1d(whole[2], whole[3]),
        tools="pan,box_zoom,reset,save",
        active_drag="pan",
        height=PLOT_HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location="above",
        output_backend="canvas",
        background_fill_color="#FFFFFF",
    )
    wheel = models.WheelZoomTool()
    plot.add_tools(wheel)
    plot.toolbar.active_scroll = wheel
    plot.toolbar.logo = None
    plot.axis.visible = False
    plot.grid.visible = False
    empty: dict[str, list[Any]] = {k: [] for k in ("image", "x", "y", "dw", "dh")}
    place = {"x": "x", "y": "y", "dw": "dw", "dh": "dh"}
    shown = {"image": "image", "color_mapper": colours.mapper, **place}
    base = None
    if tiled:
        base = plot.image_rgba(source=models.ColumnDataSource(dict(empty)), level="underlay", image="image", **place)
    elif isinstance(first, Window):
        # below a layer that lets the base map through it would be seen twice
        plot.image(source=models.ColumnDataSource(_columns(first, colours.scale)), level="underlay", **shown)
    image = plot.image(source=models.ColumnDataSource(dict(empty)), global_alpha=0.65 if tiled else 1.0, **shown)
    from bokeh.transform import transform

    colour = transform("value", colours.mapper)
    readings = models.ColumnDataSource({"x": [], "y": [], "value": []})
    points = plot.scatter(
        "x", "y", source=readings, size=7, marker="circle", color=colour, line_color="#333333", line_width=0.3
    )
    unit = f" {_literal(colours.unit)}" if colours.unit else ""
    what = colours.what.removesuffix(f" [{colours.unit}]")
    plot.add_tools(
        models.HoverTool(renderers=[image], tooltips=_told(what, f"@image{{0.[00]}}{unit}"), name="grid"),
        models.HoverTool(renderers=[points], tooltips=_told(what, f"@value{{0.[00]}}{unit}"), name="readings"),
    )
    _legend(plot, colours)
    if twin is not None:
        _marked(plot, twin, labels, whole, language)
    bar = models.ScaleBar(range=plot.x_range, unit="m", location="bottom_left", label_text_font_size=FONT)
    bar.background_fill_alpha = 0.85
    plot.add_layout(bar)
    if tiled and attribution:
        text = unread(attribution)
        credit = models.Label(
            x=4, y=4, x_units="screen", y_units="screen", text=text, text_font_size="12px", visible=False
        )
        credit.background_fill_color, credit.background_fill_alpha = "#FFFFFF", 0.85
        plot.add_layout(credit)
        bar.location = "top_left"
        return plot, Renderers(image, points, base, credit, colours.scale)
    return plot, Renderers(image, points, base, None, colours.scale)


PLOT_HEIGHT = 560


def _told(what: str, value: str) -> str:
    """What stands beside the pointer: Bokeh's own label is too pale to be read."""
    return f'<div style="font-size: 14px; color: #1d2733; background: #ffffff">{_literal(what)}: <b>{value}</b></div>'


def _literal(text: str) -> str:
    """Text in a template, where an @ would begin the name of a column."""
    return html.escape(text).replace("@", "&#64;").replace("$", "&#36;")


def _legend(plot: Any, colours: Colours) -> None:
    models = _models()

    ticker = models.FixedTicker(ticks=[v for v, _ in colours.ticks]) if colours.ticks else models.BasicTicker()
    bar = models.ColorBar(
        color_mapper=colours.mapper,
        ticker=ticker,
        major_label_overrides=dict(colours.ticks),
        title=colours.what,
        title_text_font_size=FONT,
        title_text_font_style="normal",
        major_label_text_font_size=FONT,
        height=14,
        padding=6,
    )
    plot.add_layout(bar, "below")
    if colours.below:
        plot.scatter([np.nan], [np.nan], marker="square", size=14, color=GREY, legend_label=colours.below)
        plot.legend.location = "top_right"
        plot.legend.label_text_font_size = FONT
        plot.legend.background_fill_alpha = 0.85


def _marked(plot: Any, twin: xr.DataTree, labels: int, whole: tuple[float, ...], language: str) -> None:
    """Masts as triangles, and the names of the largest places that lie apart."""
    models = _models()

    if "sites" in twin.children and {"x", "y"} <= set(twin.children["sites"].variables):
        sites = twin.children["sites"].to_dataset(inherit=False)
        x, y = (np.asarray(sites[d].values, float) for d in ("x", "y"))
        names = [escaped(n) for n in (sites["site"].values if "site" in sites.coords else range(len(x)))]
        masts = plot.scatter(
            "x", "y", source=models.ColumnDataSource({"x": x, "y": y, "site": names}), marker="triangle", size=9,
            color="#000000", line_color="#FFFFFF", line_width=0.8,
        )  # fmt: skip
        plot.add_tools(models.HoverTool(renderers=[masts], tooltips=_told(said("site", language=language), "@site")))
    if "places" not in twin.children or not {"x", "y", "name"} <= set(twin.children["places"].variables):
        return
    places = twin.children["places"].to_dataset(inherit=False)
    x, y = (np.asarray(places[d].values, float) for d in ("x", "y"))
    weight = np.nan_to_num(places["population"].values.astype(float)) if "population" in places else np.ones(len(x))
    apart = NEAREST * (whole[1] - whole[0])
    named: list[int] = []
    for i in np.argsort(-weight, kind="stable"):
        if len(named) == labels:
            break
        if np.isfinite(x[i] + y[i]) and (not named or np.hypot(x[named] - x[i], y[named] - y[i]).min() >= apart):
            named.append(int(i))
    names = [unread(places["name"].values[i]) for i in named]
    plot.text(
        "x", "y", "name", source=models.ColumnDataSource({"x": x[named], "y": y[named], "name": names}), x_offset=6,
        text_font_size=FONT, text_baseline="middle", text_color="#000000", background_fill_color="#FFFFFF",
        background_fill_alpha=0.75, padding=1,
    )  # fmt: skip
    plot.scatter(x[named], y[named], size=6, color="#FFFFFF", line_color="#000000")


def still(panned: PannedMap) -> Figure:
    """The whole of a panned map as a picture: of a lazy layer from its coarse level, without reading it again."""
    from twinkit.view._map import coverage, map_of

    source = panned.source
    choices: dict[str, Any] = {"twin": panned.twin, "title": panned.title, "language": panned.language}
    if not isinstance(source, Pyramid):
        return _of_points(panned)
    layer = source.layer
    if layer.dtype.kind == "b":
        return coverage(layer, labels=panned.labels, **choices)
    if hasattr(layer.data, "dask"):
        layer = _coarse(source)
    return map_of(layer, labels=panned.labels, threshold=panned.threshold, **choices)


def _coarse(source: Pyramid) -> xr.DataArray:
    import xarray as xr

    window = source.overview
    values = window.values * window.factor**2 if source.layer.name == "people" else window.values
    rows, columns = values.shape
    left, _, bottom, _ = window.extent
    step_y, step_x = (s * window.factor for s in source.step)
    coords = {"y": bottom + (np.arange(rows) + 0.5) * step_y, "x": left + (np.arange(columns) + 0.5) * step_x}
    return xr.DataArray(values, coords, ("y", "x"), name=source.layer.name, attrs=source.layer.attrs)


def _of_points(panned: PannedMap) -> Figure:
    """Readings as a picture: up to a hundred thousand of them, drawn from the lowest value to the highest."""
    from twinkit.view._figure import canvas, drawn, written
    from twinkit.view._map_table import edges_of
    from twinkit.view._table import column, tabled

    points: Any = panned.source
    language, what = panned.language, _what(points.layer, panned.language)
    left, right, bottom, top = points.extent
    size = {k: number(v / 1e3, language=language) for k, v in (("width", right - left), ("height", top - bottom))}
    values = points.values
    told = {
        k: number(float(f(values)), language=language)
        for k, f in (("low", np.min), ("high", np.max), ("median", np.median))
    }
    count = number(len(values), language=language, digits=9)
    alt = said("points_map", language=language, what=what, count=count, **size)
    alt += " " + said("range_plain", language=language, **told)
    edges = edges_of(values, threshold=panned.threshold)
    place = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
    share = np.bincount(place, minlength=len(edges) - 1) / len(values)
    unit = what.rpartition("[")[2].rstrip("]") if what.endswith("]") else "1"
    text = what.removesuffix(f" [{unit}]")
    columns = {
        "to": column(edges[1:], language=language, unit=unit, text=said("value_to", language=language, what=text)),
        "readings_share": column(share, language=language, text=said("share_readings", language=language), share=True),
    }
    index = column(edges[:-1], language=language, unit=unit, text=said("value_from", language=language, what=text))
    caption = said("caption_readings_values", language=language)
    table = tabled("class", columns, caption=caption, index=index)
    chosen = np.linspace(0, len(values) - 1, min(len(values), 100_000)).astype(int)
    made, settings = canvas(7.6, 6.0, language=language)
    with settings:
        axes = made.add_subplot()
        shown = axes.scatter(
            points.x[chosen], points.y[chosen], c=values[chosen], s=4, cmap="cividis", rasterized=True, linewidths=0
        )
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        bar = made.colorbar(shown, ax=axes, shrink=0.82, pad=0.02)
        bar.set_label(written(what))
        bar.ax.yaxis.set_major_formatter(lambda v, _: number(v, language=language))
        if panned.title:
            axes.set_title(written(panned.title), loc="right" if language == "fa" else "left")
        return drawn(made, alt, language, table, panned.title)
