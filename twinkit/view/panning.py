"""Maps that are panned and zoomed: only what is in view is read and sent, at the pixels that the screen has."""

from __future__ import annotations

import functools
import html
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError, escaped
from twinkit.view._figure import Figure, checked_language, number, said
from twinkit.view._pyramid import Pyramid, Window
from twinkit.view._table import markup

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.view._points import Points

__all__ = ["PannedMap", "panned"]

PIXELS = (480, 720)
"""Rows and columns until the browser has said how many it has."""
SHEET = """
.bk-btn { font-size: 14px; padding: .4rem .8rem; border: 1px solid currentcolor; border-radius: .3rem;
  background: transparent; color: inherit; }
:host(:focus-within) .bk-btn:focus-visible, summary:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
table { border-collapse: collapse; margin: .6rem 0; }
caption { text-align: start; font-weight: 600; }
th, td { text-align: start; padding: .2rem .6rem; border-bottom: 1px solid #8a94a0; }
.number { text-align: end; font-variant-numeric: tabular-nums; }
"""
STEP = 0.5
"""Share of the view by which a button moves it."""


def panned(
    layer: xr.DataArray,
    *,
    twin: xr.DataTree | None = None,
    threshold: float | None = None,
    title: str = "",
    labels: int = 8,
    language: str = "en",
    tiles: str | None = None,
    attribution: str = "",
) -> PannedMap:
    """A map to pan and zoom, for a notebook cell and for the apps.

    Of a grid the part in view is read at the coarseness of the screen; a lazy one stays lazy, with 64 MB kept of it.
    Of readings each one is drawn while few are in view, and beyond that the mean in each pixel of the screen.

    Parameters
    ----------
    layer : DataArray (y, x), or (one dim) with coordinates x and y
        A grid, with the colours of `map_of`, or readings at places, such as those of a drive test.
    twin : DataTree, optional
        Its sites are marked, its largest places named.
    threshold : float, optional
        In the layer's unit: what lies at or below it is drawn grey.
    title : str, optional
    labels : int
        Places named at most.
    language : str
        en, hi, fr or fa.
    tiles : str, optional
        Address of a base map with ``{X}``, ``{Y}`` and ``{Z}``: this machine, never the browser, then asks that server
        for the parts in view, and so tells it where people look. Without it nothing is asked of anybody. Needs a twin,
        for its CRS. Where the server does not answer the map stands without it.
    attribution : str
        Whose base map it is, in plain text; most servers ask for it.

    Returns
    -------
    PannedMap
        Shows itself in a notebook; ``.plot`` is the Bokeh figure, to which glyphs and tools may be added; ``.figure``
        is the whole as a `Figure`, with alt text and table.

    Errors
    ------
    TwinError
        Neither a grid nor readings, a base map without a CRS, an unknown language, or Panel is not installed.
    """
    checked_language(language)
    try:
        import bokeh  # noqa: F401 - whether it is there
        import panel as pn  # noqa: F401
    except ImportError:
        raise TwinError(
            "Panel and Bokeh, to pan a map",
            found="not installed",
            hint='install the extra: pip install "twinkit[view]"',
        ) from None
    if tiles is not None and twin is None:
        raise TwinError(
            "a twin, whose CRS says where the map lies",
            found="none",
            hint='panned(layer, twin=twin, tiles="https://tiles.example/{Z}/{X}/{Y}.png", attribution="...")',
            where="tiles",
        )
    return PannedMap(
        _source(layer),
        twin=twin,
        threshold=threshold,
        title=title,
        labels=labels,
        language=language,
        tiles=tiles,
        attribution=attribution,
    )


def _source(layer: Any) -> Pyramid | Points:
    if isinstance(layer, xr.DataArray) and layer.ndim == 1 and {"x", "y"} <= set(layer.coords) - set(layer.dims):
        from twinkit.view._points import Points

        return Points(layer)
    classes = isinstance(layer, xr.DataArray) and (layer.name == "clutter" or "flag_meanings" in layer.attrs)
    return Pyramid(layer, classes=classes)


class PannedMap:
    """What `panned` gives.

    Attributes
    ----------
    plot : bokeh.plotting.figure
    """

    def __init__(
        self,
        source: Pyramid | Points,
        *,
        twin: xr.DataTree | None,
        threshold: float | None,
        title: str,
        labels: int,
        language: str,
        tiles: str | None,
        attribution: str,
    ) -> None:
        from twinkit.view._bokeh import Colours, plotted

        self.source, self.twin, self.threshold = source, twin, threshold
        self.title, self.labels, self.language = title, labels, language
        self._screen = PIXELS
        self._tiles = None
        if tiles is not None and twin is not None:
            from twinkit.view._tiles import Tiles

            self._tiles = Tiles(tiles, crs=str(twin.attrs.get("crs", "")))
        self.whole = source.extent
        first = source.overview
        self.colours = Colours.of(source.layer, first, threshold=threshold, language=language)
        self.plot, self._renderers = plotted(
            first,
            self.colours,
            twin=twin,
            labels=labels,
            whole=self.whole,
            tiled=tiles is not None,
            attribution=attribution,
            language=language,
        )
        self._told: Any = None
        self._fit()
        self.refresh()
        self._listen()

    # ------------------------------------------------------------ what is in view

    @property
    def view(self) -> tuple[float, float, float, float]:
        """What is in view: left, right, bottom, top [m], in the CRS of the layer."""
        x, y = self.plot.x_range, self.plot.y_range
        return float(x.start), float(x.end), float(y.start), float(y.end)

    def look(self, extent: tuple[float, float, float, float]) -> None:
        """Bring an extent into view, as a whole."""
        left, right, bottom, top = (float(v) for v in extent)
        if not (left < right and bottom < top and np.isfinite([left, right, bottom, top]).all()):
            raise TwinError(
                "left, right, bottom and top in this order",
                found=f"{tuple(extent)}",
                hint="map.look(map.whole)",
                where="extent",
            )
        self.plot.x_range.update(start=left, end=right)
        self.plot.y_range.update(start=bottom, end=top)
        self._fit()
        self.refresh()

    def move(self, right: float = 0.0, up: float = 0.0, *, closer: float = 1.0) -> None:
        """Move the view by a share of itself, or come closer by a factor."""
        left, east, bottom, top = self.view
        width, height = east - left, top - bottom
        x, y = (left + east) / 2 + right * width, (bottom + top) / 2 + up * height
        # not so far out that the map is a dot, nor so near that it is one pixel
        whole = max(self.whole[1] - self.whole[0], self.whole[3] - self.whole[2])
        closer = float(np.clip(closer, max(width, height) / (3 * whole), max(width, height) / (1e-4 * whole)))
        self.look((x - width / closer / 2, x + width / closer / 2, y - height / closer / 2, y + height / closer / 2))

    def refresh(self) -> None:
        """Read what is in view, and show it."""
        extent, pixels = self.view, self._pixels()
        self._seen = self.source.window(extent, pixels)
        self._renderers.show(self._seen)
        if self._tiles is not None:
            self._renderers.lay(self._tiles.picture(extent, pixels), extent)
        if self._told is not None:
            self._told.object = self._sentence()

    def _pixels(self) -> tuple[int, int]:
        """Rows and columns of the screen, at most those of a large one."""
        return int(np.clip(self._screen[0], 50, 2200)), int(np.clip(self._screen[1], 50, 4000))

    def _fit(self) -> None:
        """Widen what is in view to the shape of the screen, so that a kilometre is as long north as east."""
        left, right, bottom, top = self.view
        rows, columns = self._pixels()
        scale = max((right - left) / columns, (top - bottom) / rows)
        x, y = (left + right) / 2, (bottom + top) / 2
        self.plot.x_range.update(start=x - scale * columns / 2, end=x + scale * columns / 2)
        self.plot.y_range.update(start=y - scale * rows / 2, end=y + scale * rows / 2)

    def _listen(self) -> None:
        from bokeh.events import RangesUpdate, Reset

        def resized(attr: str, old: Any, new: Any) -> None:  # noqa: ARG001 - Bokeh's signature
            rows, columns = self._screen
            self._screen = (rows, int(new)) if attr == "inner_width" else (int(new), columns)
            self._fit()
            self.refresh()

        self.plot.on_event(RangesUpdate, self._ranged)
        self.plot.on_event(Reset, lambda _: self.look(self.whole))  # type: ignore[arg-type]
        self.plot.on_change("inner_width", resized)
        self.plot.on_change("inner_height", resized)

    def _ranged(self, event: Any) -> None:
        """The view as the browser has it; numbers that no view has are left out."""
        numbers = [event.x0, event.x1, event.y0, event.y1]
        if all(isinstance(n, int | float) and np.isfinite(n) for n in numbers) and numbers[0] < numbers[1]:
            self.plot.x_range.update(start=numbers[0], end=numbers[1])
            self.plot.y_range.update(start=numbers[2], end=numbers[3])
            self.refresh()

    # ------------------------------------------------------------ in words

    @functools.cached_property
    def figure(self) -> Figure:
        """The whole map as a picture with alt text and table."""
        from twinkit.view._bokeh import still

        return still(self)

    def _sentence(self) -> str:
        left, right, bottom, top = self.view
        size = {
            "width": number((right - left) / 1e3, language=self.language),
            "height": number((top - bottom) / 1e3, language=self.language),
        }
        if isinstance(self.source, Pyramid):
            factor = self._seen.factor if isinstance(self._seen, Window) else 1
            pixel = number(factor * self.source.step[1], language=self.language)
            text = said("in_view", language=self.language, pixel=pixel, **size)
        else:
            count = number(len(self.source.within(self.view)), language=self.language, digits=9)
            everything = number(len(self.source.x), language=self.language, digits=9)
            text = said("in_view_points", language=self.language, count=count, all=everything, **size)
        return f'<p role="status" lang="{self.language}"{_direction(self.language)}>{html.escape(text)}</p>'

    # ------------------------------------------------------------ on a page

    def __panel__(self) -> Any:
        """The map with its buttons, its description and its table, for Panel."""
        import panel as pn

        spoken = f'lang="{self.language}"{_direction(self.language)}'
        flow: Any = {"styles": {"font-size": "14px", "direction": "rtl" if self.language == "fa" else "ltr"}}
        self._told = _sentence_pane()(self._sentence(), sizing_mode="stretch_width", **flow)
        acts: dict[str, Callable[[], None]] = {
            "move_west": lambda: self.move(right=-STEP),
            "move_east": lambda: self.move(right=STEP),
            "move_north": lambda: self.move(up=STEP),
            "move_south": lambda: self.move(up=-STEP),
            "closer": lambda: self.move(closer=2.0),
            "farther": lambda: self.move(closer=0.5),
            "whole_map": lambda: self.look(self.whole),
        }
        # Panel 1.9 calls it a label, those before it a name
        word = "label" if "label" in pn.widgets.Button.param else "name"
        buttons = []
        for key, act in acts.items():
            button = pn.widgets.Button(**{word: said(key, language=self.language)})
            button.on_click(functools.partial(_acted, act))
            buttons.append(button)
        figure = self.figure
        table = f"<summary>{said('table', language=self.language)}</summary>"
        rows = markup(figure.table, language=self.language) if figure.table is not None else ""
        parts = [
            pn.pane.Bokeh(self.plot, sizing_mode="stretch_width", min_height=PIXELS[0]),
            pn.FlexBox(*buttons, **flow),
            self._told,
            pn.pane.HTML(
                f"<p {spoken}>{html.escape(escaped(figure.alt))}</p><details {spoken}>{table}{rows}</details>",
                sizing_mode="stretch_width",
                **flow,
            ),
        ]
        if self.title:
            parts.insert(0, pn.pane.HTML(f"<h2 {spoken}>{html.escape(escaped(self.title))}</h2>", **flow))
        whole = pn.Column(*parts, sizing_mode="stretch_width", hooks=[_local])
        for part in whole.select():
            if not isinstance(part, pn.pane.Bokeh):  # which would hand the design on to the figure
                part.design = _design()
        return whole

    def __repr__(self) -> str:
        return f"PannedMap: {self.figure.alt}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        import panel as pn

        pn.extension(inline=True)  # from the package itself, never from another server
        shown = self.__panel__()._repr_mimebundle_(include, exclude)
        return shown if shown is not None else {"text/html": self.figure._repr_html_(), "text/plain": repr(self)}


@functools.cache
def _design() -> Any:
    """A Panel design without sheets of its own, which a notebook would fetch from another server."""
    from panel.theme.base import Design, Inherit, Theme
    from panel.viewable import Viewable

    class Plain(Theme):
        base_css: Any = None
        css: Any = None

    class Bare(Design):
        modifiers = {Viewable: {"stylesheets": [Inherit, SHEET]}}  # noqa: RUF012 - Panel reads it from the class
        _themes = {"default": Plain, "dark": Plain}  # noqa: RUF012 - the same

    return Bare


def _local(_: Any, root: Any) -> None:
    """Leave out the sheets that lie on another server: in a notebook Panel names one for its spinner."""
    from bokeh.models.ui import UIElement

    for model in root.select({"type": UIElement}):
        own = _near(model.stylesheets)
        if len(own) < len(model.stylesheets):
            model.stylesheets = own


def _near(sheets: list[Any]) -> list[Any]:
    """All but those of another server, and that of the spinner, which becomes one on its way to a notebook."""
    return [s for s in sheets if not any(part in str(getattr(s, "url", "")) for part in ("://", "loading.css"))]


@functools.cache
def _sentence_pane() -> Any:
    """HTML whose text changes: with each change Panel names the sheets anew."""
    import panel as pn

    class Sentence(pn.pane.HTML):
        def _process_param_change(self, params: dict[str, Any]) -> dict[str, Any]:
            out = super()._process_param_change(params)
            return out | ({"stylesheets": _near(out["stylesheets"])} if "stylesheets" in out else {})

    return Sentence


def _acted(act: Callable[[], None], _: Any) -> None:
    act()


def _direction(language: str) -> str:
    return ' dir="rtl"' if language == "fa" else ""
