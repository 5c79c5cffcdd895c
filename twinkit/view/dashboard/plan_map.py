"""The planner's map: coverage over the shape of the ground, masts that can be dragged, citizens' pins."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.view._furnish import COVERED, GREY, MARK, NEW, bar_length, ground_of
from twinkit.view._raster import thinned

if TYPE_CHECKING:
    import xarray as xr

    from twinkit.view.dashboard.plan_state import Plan, Seen

__all__ = ["COLOURS", "GONE", "PlanMap"]

GONE = "#882255"
"""No longer covered: darker than the others, so that it stands out in print and to every colour vision."""
COLOURS = (GREY, COVERED, NEW, GONE)
"""In the order of the classes of `plan_state`."""
PIN = "#1b1f23"
DARKEST = 140


class PlanMap:
    """A Bokeh figure whose parts are exchanged as the plan changes.

    Parameters
    ----------
    plan : Plan
    told : function
        Called with phase ("choose", "move", "end"), site, x, y and number, when somebody touches a mast. All of it
        comes from a browser: it may be anything.
    length_text, count_text : function
        A length [m] as text with its unit, for the scale bar; a number as text, for pins.
    """

    def __init__(self, plan: Plan, told: Any, length_text: Any, count_text: Any) -> None:
        from bokeh.models import ColumnDataSource, CustomJS, LinearColorMapper, Range1d
        from bokeh.plotting import figure

        self.count_text = count_text
        self.box = left, right, bottom, top = plan.tables.box
        plot: Any = figure(
            x_range=Range1d(start=left, end=right),
            y_range=Range1d(start=bottom, end=top),
            tools="",
            toolbar_location=None,
            aspect_ratio=min(max((right - left) / (top - bottom), 0.4), 3.0),
            sizing_mode="stretch_width",
            min_border=0,
            outline_line_color="#7a848e",
            background_fill_color=GREY,
        )
        plot.axis.visible = False
        plot.grid.visible = False
        self.figure = plot
        place = {"x": "x", "y": "y", "dw": "dw", "dh": "dh"}
        empty = np.zeros((1, 1), np.uint8)
        self.seen = ColumnDataSource(self._image(empty, self.box, 0))
        colours = LinearColorMapper(palette=list(COLOURS), low=-0.5, high=3.5)
        plot.image("image", source=self.seen, color_mapper=colours, **place)
        plot.image_rgba("image", source=ColumnDataSource(self._image(_shadow(plan.base), self.box, 0)), **place)
        self.pins = ColumnDataSource({"x": [], "y": [], "size": [], "count": []})
        plot.scatter(
            "x", "y", size="size", source=self.pins, marker="circle", fill_color=None, line_color=PIN, line_width=2.0
        )
        plot.text("x", "y", text="count", source=self.pins, **_written(PIN), text_align="center")
        self.chosen = ColumnDataSource({"x": [], "y": [], "site": []})
        plot.scatter("x", "y", size=26, source=self.chosen, fill_color=None, line_color="white", line_width=5)
        plot.scatter("x", "y", size=26, source=self.chosen, fill_color=None, line_color="black", line_width=2)
        self.masts = ColumnDataSource({"x": [], "y": [], "site": [], "colour": []})
        plot.scatter(
            "x", "y", size=13, source=self.masts, marker="triangle", fill_color="colour", line_color="white",
            line_width=1.0,
        )  # fmt: skip
        plot.text("x", "y", text="site", source=self.chosen, **_written("black"), x_offset=18)
        self._scale(length_text)
        self.held = ColumnDataSource({"phase": [""], "site": [""], "x": [0.0], "y": [0.0], "number": [0]})
        code = importlib.resources.files("twinkit.view.dashboard").joinpath("plan_map.js").read_text(encoding="utf-8")
        given = {"figure": plot, "masts": self.masts, "held": self.held, "seen": self.seen, "box": list(self.box)}
        act = CustomJS(args=given, code=code)
        for event in ("tap", "panstart", "pan", "panend"):
            plot.js_on_event(event, act)
        self.seen.js_on_change("data", act)
        self.held.on_change("data", lambda _attr, _old, new: told(new))

    @staticmethod
    def _image(values: np.ndarray, extent: tuple[float, float, float, float], number: int) -> dict[str, Any]:
        left, right, bottom, top = extent
        return {
            "image": [values], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom],
            "number": [number],
        }  # fmt: skip

    def _scale(self, length_text: Any) -> None:
        from bokeh.models import ColumnDataSource

        left, right, bottom, top = self.box
        length = bar_length(right - left)
        start, y = left + 0.03 * (right - left), bottom + 0.04 * (top - bottom)
        ends = {"x0": [start], "x1": [start + length], "middle": [start + length / 2]}
        bar = ColumnDataSource({**ends, "y": [y], "text": [length_text(length)]})
        for colour, width in (("white", 16), ("black", 3)):
            self.figure.segment("x0", "y", "x1", "y", source=bar, line_color=colour, line_width=width)
        self.figure.text("middle", "y", text="text", source=bar, **_written("black"), text_align="center", y_offset=-14)

    # ------------------------------------------------------------ what changes

    def show(self, seen: Seen, number: int) -> None:
        """Put another answer in place; `number` is that of the question."""
        self.seen.data = self._image(seen.classes, seen.extent, number)

    def stand(self, plan: Plan, chosen: str) -> None:
        """Put the masts where the plan has them, and mark the chosen one."""
        tables = plan.now()
        own = set(plan.sites())
        touched = {e.site for e in plan.edits}
        ids = list(map(str, tables.sites["site"].values))
        rows = [i for i, s in enumerate(ids) if s in own]
        x, y = (tables.sites[d].values.astype(float)[rows] for d in ("x", "y"))
        sites = [ids[i] for i in rows]
        self.masts.data = {
            "x": x, "y": y, "site": sites, "colour": [MARK if s in touched else "black" for s in sites],
        }  # fmt: skip
        at = sites.index(chosen) if chosen in sites else None
        one: dict[str, Any] = {"x": [], "y": [], "site": []}
        self.chosen.data = one if at is None else {"x": [x[at]], "y": [y[at]], "site": [chosen]}

    def ask_for(self, pins: xr.DataArray | None) -> None:
        """Show citizens' pins, one circle a square, or none."""
        if pins is None:
            self.pins.data = {"x": [], "y": [], "size": [], "count": []}
            return
        count = np.asarray(pins.sum([d for d in pins.dims if d != "square"]).values, float)
        some = np.flatnonzero(count > 0)
        most = count.max(initial=1.0)
        self.pins.data = {
            "x": np.asarray(pins["x"].values, float)[some],
            "y": np.asarray(pins["y"].values, float)[some],
            "size": 18.0 + 10.0 * np.sqrt(count[some] / most),
            "count": [self.count_text(float(n)) for n in count[some]],
        }

    def zoom(self, factor: float) -> None:
        """Look nearer (above 1) or from farther away, about the chosen mast or the middle; 0 shows all."""
        left, right, bottom, top = self.box
        x, y = self.figure.x_range, self.figure.y_range
        if factor == 0:
            x.update(start=left, end=right)
            y.update(start=bottom, end=top)
            return
        about = [self.chosen.data[d] for d in ("x", "y")]
        for axis, at in ((x, about[0]), (y, about[1])):
            middle = float(at[0]) if len(at) else (axis.start + axis.end) / 2
            half = (axis.end - axis.start) / 2 / factor
            axis.update(start=middle - half, end=middle + half)


def _written(colour: str) -> dict[str, Any]:
    return {
        "text_font_size": "13px",
        "text_color": colour,
        "text_baseline": "middle",
        "background_fill_color": "white",
        "background_fill_alpha": 0.8,
        "padding": 2,
    }


def _shadow(twin: xr.DataTree) -> np.ndarray:
    """Black that covers slopes which look away from the light, as RGBA in one number a pixel."""
    surface = twin.children["surface"].to_dataset(inherit=False)
    raster = thinned(surface["ground_height"])[0]
    shade = ground_of(twin, raster, relief=True).relief
    dark = np.zeros(raster.values.shape) if shade is None else 1.0 - np.clip(shade, 0.0, 1.0)
    return (np.round(dark * DARKEST).astype(np.uint32) << 24).astype(np.uint32)
