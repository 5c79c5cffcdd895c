"""The pictures of Operate: the map of sites, the load with its band, the innovations. Bokeh figures that are fed anew.

Each has its alt text, written from the numbers that it shows, and the table behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.error import escaped
from twinkit.view._figure import number
from twinkit.view._table import dated
from twinkit.view.dashboard.operate_state import DRAWN, evidence, load_of_sites, thinned
from twinkit.view.dashboard.session import phrases
from twinkit.vocabulary import label, words

if TYPE_CHECKING:
    from twinkit.view.dashboard.operate_state import Known, Watch

__all__ = ["Fan", "Innovations", "Map", "counted", "moment", "plain", "say", "share"]

say = phrases("words_operate.csv")
# Okabe and Ito's blue for what is believed, vermilion for what was read
LINE, SEEN, INK, RULE = "#0072B2", "#B34700", "#1b1f23", "#d5dadf"
# Viridis, which people of any colour vision read alike, from little to much
CLASSES = ("#fde725", "#5ec962", "#21918c", "#3b528b", "#440154")
NONE = "#FFFFFF"
TEXT, SMALL = "13px", "12px"
MARGIN = 0.12
LTR = ":host { direction: ltr; }"
"""Bokeh places parts from the left, in every language."""


def moment(time: Any, language: str, *, hours: float = 0.0, seconds: bool = False, zone: bool = True) -> str:
    """A moment for people: in UTC, and where the twin's longitude tells it, by the sun of the place, to half an hour.

    >>> moment(np.datetime64("2026-03-02T06:30"), "en", hours=5.5)
    '2026-03-02 06:30 UTC, 12:00 solar time (UTC+5:30)'
    """
    instant = np.asarray(time, "M8[ns]")[()]
    if np.isnat(instant):
        return "–"
    utc = pd.Timestamp(instant)
    text = f"{utc:%Y-%m-%d %H:%M:%S}" if seconds else f"{utc:%Y-%m-%d %H:%M}"
    if zone:
        text += " UTC"
    if zone and hours:
        there = utc + pd.Timedelta(hours=hours)
        sign, whole, part = "+" if hours > 0 else "-", int(abs(hours)), round(abs(hours) % 1 * 60)
        day = f"{there:%m-%d} " if there.day != utc.day else ""
        zone_of = f"UTC{sign}{whole}" + (f":{part:02}" if part else "")
        text += f", {day}{there:%H:%M} {say('local', language)} ({zone_of})"
    return dated(text, language)


def share(value: float, language: str) -> str:
    """A load in percent."""
    return number(float(value), language=language, share=True)


def counted(value: float, language: str) -> str:
    """A number of things, exact."""
    return number(float(value), language=language, digits=15)


def plain(name: object, most: int = 60) -> str:
    """A name that somebody gave, without marks that a screen obeys, and not endless."""
    text = escaped(str(name))
    return text if len(text) <= most else text[: most - 1] + "…"


def _figure(height: int, **choices: Any) -> Any:
    from bokeh.plotting import figure

    made = figure(
        height=height, min_width=220, sizing_mode="stretch_width", toolbar_location=None, tools="",
        background_fill_color="#ffffff", border_fill_color="#ffffff", outline_line_color=RULE, **choices,
    )  # fmt: skip
    made.stylesheets = [LTR]
    for axis in made.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = TEXT
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.minor_tick_line_color = None
    made.grid.grid_line_color = "#e6e9ec"
    made.title.text_font_size = "14px"
    made.title.text_color = INK
    return made


def _legend(made: Any, items: list[tuple[str, list[Any]]], columns: int) -> None:
    """Below the picture, so that it hides nothing of it, and narrow enough for a phone."""
    from bokeh.models import Legend, LegendItem

    legend = Legend(
        items=[LegendItem(label=text, renderers=renderers) for text, renderers in items],
        stylesheets=[LTR, ".bk-label { unicode-bidi: plaintext; }"], orientation="vertical", ncols=columns,
        label_text_font_size=SMALL, label_text_color=INK, label_height=16,
        glyph_height=16, glyph_width=18, label_standoff=4, border_line_color=None, spacing=8, padding=7, margin=2,
    )  # fmt: skip
    made.add_layout(legend, "below")


def _clocked(made: Any) -> None:
    from bokeh.models import DatetimeTickFormatter

    day, hour = "%m-%d", "%H:%M"
    made.xaxis.formatter = DatetimeTickFormatter(
        days=day, months=day, years="%Y-%m-%d", hours=hour, hourmin=hour, minutes=hour, context="%Y-%m-%d",
        context_which="start", hide_repeats=True,
    )  # fmt: skip
    made.xaxis.ticker.desired_num_ticks = 5


class Map:
    """Sites, coloured and sized by the load of their busiest cell, open alarms in a ring."""

    def __init__(self, language: str, chosen: Any) -> None:
        from bokeh.models import ColumnDataSource, HoverTool, Range1d, ScaleBar, TapTool

        self.language, self.chosen = language, chosen
        self.figure = made = _figure(400, match_aspect=True, x_range=Range1d(0, 1), y_range=Range1d(0, 1))
        made.axis.visible = False
        made.grid.visible = False
        names_of = ("x", "y", "size", "key", "name", "load", "spread", "busiest")
        self.sources = [ColumnDataSource({n: [] for n in names_of}) for _ in range(len(CLASSES) + 1)]
        self.ring = ColumnDataSource({n: [] for n in ("x", "y", "size")})
        self.here = ColumnDataSource({n: [] for n in ("x", "y", "size")})
        items, dots = [], []
        edges = np.linspace(0, 100, len(CLASSES) + 1).astype(int)
        names = [f"{number(a, language=language)}–{number(b, language=language)}%" for a, b in zip(edges, edges[1:])]  # noqa: B905, RUF007 - a line of pairs
        for source, colour, name in zip(
            self.sources, (*CLASSES, NONE), (*names, say("not_heard", language)), strict=True
        ):
            dot = made.scatter(
                "x", "y", size="size", source=source, fill_color=colour, line_color=INK, line_width=1.2,
                nonselection_fill_alpha=1.0, nonselection_line_alpha=1.0,
            )  # fmt: skip
            dots.append(dot)
            items.append((name, [dot]))
        ring = made.scatter(
            "x", "y", size="size", source=self.ring, marker="square", fill_color=None, line_color=SEEN, line_width=3
        )
        made.scatter("x", "y", size="size", source=self.here, marker="cross", line_color=INK, line_width=1.5)
        items.append((say("open_alarm", language), [ring]))
        _legend(made, items, 3)
        tip = [("", "@name"), ("", "@load ± @spread"), ("", "@busiest")]
        made.add_tools(HoverTool(renderers=dots, tooltips=tip), TapTool(renderers=dots))
        made.add_layout(
            ScaleBar(range=made.x_range, unit="m", location="bottom_left", label_text_font_size=TEXT,
                     background_fill_alpha=0.0, border_line_color=None)
        )  # fmt: skip
        for source in self.sources:
            source.selected.on_change("indices", lambda _, __, at, source=source: self._tapped(source, at))
        self.shown: tuple[float, ...] = ()

    def _tapped(self, source: Any, at: list[int]) -> None:
        names = source.data.get("key", [])
        if at and 0 < at[0] < len(names):
            self.chosen(names[at[0]])

    def feed(self, watch: Watch, known: Known, about: np.datetime64, site: str) -> tuple[str, pd.DataFrame]:
        """Show the sites at a moment; gives alt text and table."""
        language = self.language
        table = load_of_sites(watch.places, known, about)
        x, y, load = (table[n].to_numpy().astype(float) for n in ("x", "y", "load"))
        names = [str(s) for s in table["site"].to_numpy().tolist()]
        there = np.isfinite(x) & np.isfinite(y)
        self._frame(x[there], y[there])
        few = 1.0 if len(x) < 200 else 0.6
        size = few * np.where(np.isfinite(load), 11 + 15 * np.nan_to_num(load), 8)
        kind = np.where(
            np.isfinite(load), np.clip(np.nan_to_num(load) * len(CLASSES), 0, len(CLASSES) - 1), len(CLASSES)
        )
        spread = table["load_spread"].to_numpy()
        nowhere = float("nan")  # a legend draws from the first row, which must be there
        for number_of, source in enumerate(self.sources):
            mine = np.flatnonzero(there & (kind.astype(int) == number_of))
            source.data = {
                "x": [nowhere, *x[mine]],
                "y": [nowhere, *y[mine]],
                "size": [12.0, *size[mine]],
                "key": ["", *(names[i] for i in mine)],
                "name": ["", *(plain(names[i]) for i in mine)],
                "load": ["", *(share(load[i], language) if np.isfinite(load[i]) else "–" for i in mine)],
                "spread": ["", *(share(2 * spread[i], language) if np.isfinite(load[i]) else "–" for i in mine)],
                "busiest": ["", *(plain(table["busiest"].to_numpy()[i]) for i in mine)],
            }
        ring = np.flatnonzero(there & (table["alarms"].to_numpy() > 0))
        self.ring.data = {
            "x": [nowhere, *x[ring]],
            "y": [nowhere, *y[ring]],
            "size": [14.0, *(size[ring] + 10)],
        }
        here = [i for i, n in enumerate(names) if n == site and there[i]]
        self.here.data = {"x": x[here], "y": y[here], "size": size[here] + 22}
        behind = pd.DataFrame(
            {
                say("site", language): [plain(n) for n in names],
                say("load", language): 100 * load,
                say("spread", language): 100 * spread,
                say("busiest", language): [plain(b) or "–" for b in table["busiest"].to_numpy()],
                say("alarms", language): table["alarms"].to_numpy(),
            }
        ).sort_values(say("load", language), ascending=False, kind="stable", ignore_index=True)
        # as Plan counts: an exchange is drawn, too, but is none
        masts = len(set(names) & set(watch.places[1].values()))
        parts = {"count": counted(masts, language), "when": moment(about, language, hours=known.hours)}
        if not np.isfinite(load).any():
            return say("alt_map_empty" if np.isnat(about) else "alt_map_none", language, **parts), behind
        best = int(np.nanargmax(load))
        return say(
            "alt_map", language, **parts, kind=kind_of(known, about, language),
            heard=counted(int(np.isfinite(load).sum()), language), site=plain(names[best]),
            load=share(load[best], language), alarms=counted(len(ring), language),
        ), behind  # fmt: skip

    def _frame(self, x: np.ndarray, y: np.ndarray) -> None:
        """All sites, with room about them; only when they move, so that nobody's view jumps."""
        if not len(x):
            return
        half = max(float(np.ptp(x)), float(np.ptp(y)), 500.0) * (0.5 + MARGIN)
        middle = (float(x.min() + x.max()) / 2, float(y.min() + y.max()) / 2)
        if self.shown != (*middle, half):
            self.shown = (*middle, half)
            for axis, at in zip((self.figure.x_range, self.figure.y_range), middle, strict=True):
                axis.start, axis.end = at - half, at + half
            self.figure.y_range.start -= 0.4 * half  # room for the scale bar, in which no site stands


def kind_of(known: Known, about: np.datetime64, language: str) -> str:
    """Whether what is shown of a moment is an estimate or a forecast."""
    return say("estimate_of" if about <= known.last else "forecast_of", language)


class Fan:
    """What is believed of a cell's load, with its band; where nothing is estimated, the readings alone."""

    def __init__(self, language: str) -> None:
        from bokeh.models import ColumnDataSource, HoverTool, Range1d, Span

        self.language = language
        self.figure = made = _figure(390, x_axis_type="datetime", x_range=Range1d(0, 1), y_range=Range1d(0, 100))
        _clocked(made)
        made.xaxis.axis_label = say("axis_time", language)
        blank: dict[str, list[Any]] = {n: [] for n in ("time", "load", "low", "high", "said")}
        self.past, self.next = ColumnDataSource(blank), ColumnDataSource(blank)
        self.seen = ColumnDataSource({n: [] for n in ("time", "value", "said")})
        bands = [
            made.varea("time", "low", "high", source=source, fill_color=LINE, fill_alpha=alpha, **more)
            for source, alpha, more in (
                (self.past, 0.30, {}),
                (self.next, 0.15, {"hatch_pattern": "/", "hatch_color": LINE, "hatch_alpha": 0.35}),
            )
        ]
        line = made.line("time", "load", source=self.past, line_color=LINE, line_width=2)
        ahead = made.line("time", "load", source=self.next, line_color=LINE, line_width=2, line_dash="dashed")
        dots = made.scatter("time", "value", source=self.seen, size=5, color=SEEN)
        self.about = Span(dimension="height", line_color=INK, line_width=1.5)
        self.alarm = [Span(dimension="height", line_color=SEEN, line_width=2, line_dash=d) for d in ("dotted", "solid")]
        for span in (self.about, *self.alarm):
            span.visible = False
            made.add_layout(span)
        nowhere = [float("nan")] * 2
        key = made.line(nowhere, nowhere, line_color=INK, line_width=1.5)
        raised = made.line(nowhere, nowhere, line_color=SEEN, line_width=2, line_dash="dotted")
        _legend(made, [
            (say("line_estimate", language), [line]), (say("line_band", language), [bands[0]]),
            (say("line_ahead", language), [ahead, bands[1]]), (say("line_reading", language), [dots]),
            (say("line_about", language), [key]), (say("line_alarm", language), [raised]),
        ], 2)  # fmt: skip
        made.add_tools(HoverTool(renderers=[line, ahead, dots], tooltips=[("", "@said")], mode="mouse"))

    def feed(
        self, known: Known, variable: str, sensor: str, about: np.datetime64, days: float, alarm: dict[str, Any] | None
    ) -> tuple[str, pd.DataFrame]:
        """Show one sensor; gives alt text and table."""
        language = self.language
        scale = 100.0 if variable == "load" else 1.0
        held = known.load(sensor) if variable == "load" else known.load("")
        values = readings_of(known, variable, sensor)
        times = np.concatenate([held["time"].to_numpy(), values["time"].to_numpy()])
        if not len(times):
            for source in (self.past, self.next, self.seen):
                source.data = {n: [] for n in source.data}
            self.figure.title.text = ""
            return say("nothing", language), pd.DataFrame()
        end = times.max()
        last = known.last if known.record is not None else end
        start = last - np.timedelta64(round(days * 86400), "s")
        held = held.sel(time=slice(start, None))
        values = values.sel(time=slice(start, None))
        ahead = held["ahead"].to_numpy().astype(bool)
        # the forecast begins where the estimate ends
        joined = ahead.copy()
        if ahead.any() and not ahead.all():
            joined[np.flatnonzero(ahead)[0] - 1] = True
        for source, which in ((self.past, ~ahead), (self.next, joined)):
            part = held.isel(time=thinned(np.flatnonzero(which), DRAWN))
            source.data = {
                "time": part["time"].to_numpy(),
                **{n: scale * part[n].to_numpy() for n in ("load", "low", "high")},
                "said": [
                    f"{moment(t, language)}: {share(m, language)} ({share(a, language)}–{share(b, language)})"
                    for t, m, a, b in zip(*(part[n].to_numpy() for n in ("time", "load", "low", "high")), strict=True)
                ],
            }
        some = np.flatnonzero(np.isfinite(values.to_numpy()))
        told = values.isel(time=thinned(some, DRAWN))
        unit = "%" if variable == "load" else unit_of(variable)
        self.seen.data = {
            "time": told["time"].to_numpy(),
            "value": scale * told.to_numpy(),
            "said": [
                f"{moment(t, language)}: {number(scale * v, language=language, unit=unit)}"
                for t, v in zip(told["time"].to_numpy(), told.to_numpy(), strict=True)
            ],
        }
        name = label(variable, language=language) if variable in words() else plain(variable)
        self.figure.title.text = plain(sensor)
        self.figure.yaxis.axis_label = say("axis_load", language) if variable == "load" else plain(name)
        self._ranges(held, scale * told.to_numpy(), variable, start, end)
        self.about.location, self.about.visible = about, not np.isnat(about)
        for span, key in zip(self.alarm, ("since", "raised"), strict=True):
            span.visible = alarm is not None
            if alarm is not None:
                span.location = alarm[key]
        behind = self._table(held, values, variable, scale, unit)
        return self._alt(known, held, values, variable, name, sensor, about, scale, unit), behind

    def _ranges(self, held: xr.Dataset, drawn: np.ndarray, variable: str, start: Any, end: Any) -> None:
        x, y = self.figure.x_range, self.figure.y_range
        x.start, x.end = start, end
        if variable == "load":
            top = max([20.0, *(100 * held["high"].to_numpy()).tolist(), *drawn.tolist()])
            y.start, y.end = 0.0, min(102.0, 1.08 * top)
        elif len(drawn):
            low, high = float(drawn.min()), float(drawn.max())
            room = 0.08 * (high - low) or max(abs(high) * 0.1, 1.0)
            y.start, y.end = (0.0 if low >= 0 else low - room), high + room

    def _table(self, held: xr.Dataset, values: xr.DataArray, variable: str, scale: float, unit: str) -> pd.DataFrame:
        language = self.language
        frame = pd.DataFrame(index=pd.DatetimeIndex(np.union1d(held["time"].to_numpy(), values["time"].to_numpy())))
        if variable == "load":
            for key in ("load", "low", "high"):
                frame[say(key, language)] = pd.Series(100 * held[key].to_numpy(), index=held["time"].to_numpy())
        reading = pd.Series(scale * values.to_numpy(), index=values["time"].to_numpy())
        frame[f"{say('reading', language)} [{unit}]" if unit else say("reading", language)] = reading
        frame = frame.iloc[::-1]
        frame.insert(0, say("time", language), [moment(t, language, zone=False) for t in frame.index.to_numpy()])
        return frame.reset_index(drop=True)

    def _alt(
        self, known: Known, held: xr.Dataset, values: xr.DataArray, variable: str, name: str, sensor: str,
        about: np.datetime64, scale: float, unit: str,
    ) -> str:  # fmt: skip
        language = self.language
        good = values.isel(time=np.flatnonzero(np.isfinite(values.to_numpy())))
        count = counted(good.sizes["time"], language)
        newest = good["time"].to_numpy()[-1] if good.sizes["time"] else np.datetime64("NaT")
        until = moment(newest, language)
        if variable != "load" or not held.sizes["time"]:
            low, high = (float(scale * f(good)) if good.sizes["time"] else float("nan") for f in (np.min, np.max))
            return say(
                "alt_readings", language, name=name, cell=plain(sensor), count=count, last=until,
                low=number(low, language=language, unit=unit), high=number(high, language=language, unit=unit),
            )  # fmt: skip
        at = int(np.argmin(np.abs(held["time"].to_numpy() - about)))
        one = held.isel(time=at)
        return say(
            "alt_chart", language, cell=plain(sensor), load=share(float(one["load"]), language),
            when=moment(one["time"].to_numpy(), language, hours=known.hours), kind=kind_of(known, about, language),
            low=share(float(one["low"]), language), high=share(float(one["high"]), language), count=count, last=until,
        )  # fmt: skip


class Innovations:
    """What a sensor said beyond the forecast, in the spreads that were expected: the evidence of an alarm."""

    def __init__(self, language: str) -> None:
        from bokeh.models import BoxAnnotation, ColumnDataSource, HoverTool, Range1d, Span

        self.language = language
        self.figure = made = _figure(260, x_axis_type="datetime", x_range=Range1d(0, 1), y_range=Range1d(-5, 5))
        _clocked(made)
        made.xaxis.axis_label = say("axis_time", language)
        made.yaxis.axis_label = say("axis_ratio", language)
        self.source = ColumnDataSource({n: [] for n in ("time", "ratio", "said")})
        made.add_layout(BoxAnnotation(bottom=-2, top=2, fill_color=LINE, fill_alpha=0.15, level="underlay"))
        made.add_layout(Span(location=0, dimension="width", line_color=INK, line_width=1))
        dots = made.scatter("time", "ratio", source=self.source, size=5, color=SEEN)
        self.spans = [Span(dimension="height", line_color=SEEN, line_width=2, line_dash=d) for d in ("dotted", "solid")]
        for span in self.spans:
            span.visible = False
            made.add_layout(span)
        nowhere = [float("nan")] * 2
        band = made.varea(nowhere, nowhere, nowhere, fill_color=LINE, fill_alpha=0.15)
        raised = made.line(nowhere, nowhere, line_color=SEEN, line_width=2, line_dash="dotted")
        _legend(made, [
            (say("line_reading", language), [dots]), (say("line_expected", language), [band]),
            (say("line_alarm", language), [raised]),
        ], 2)  # fmt: skip
        made.add_tools(HoverTool(renderers=[dots], tooltips=[("", "@said")]))

    def feed(self, known: Known, sensor: str, days: float, alarm: dict[str, Any] | None) -> tuple[str, pd.DataFrame]:
        """Show one sensor; gives alt text and table."""
        language = self.language
        found = evidence(known, sensor)
        found = found.isel(time=np.flatnonzero(np.isfinite(found["ratio"].to_numpy())))
        if not found.sizes["time"]:
            self.source.data = {n: [] for n in self.source.data}
            self.figure.title.text = ""
            return say("nothing", language), pd.DataFrame()
        end = known.last
        start = end - np.timedelta64(round(days * 86400), "s")
        found = found.sel(time=slice(start, None))
        ratio = found["ratio"].to_numpy()
        drawn = thinned(np.arange(len(ratio)), DRAWN)
        times = found["time"].to_numpy()
        self.source.data = {
            "time": times[drawn],
            "ratio": ratio[drawn],
            "said": [f"{moment(times[i], language)}: {number(ratio[i], language=language)}" for i in drawn],
        }
        self.figure.title.text = plain(sensor)
        self.figure.x_range.start, self.figure.x_range.end = start, end
        top = max(3.0, 1.1 * float(np.abs(ratio).max())) if len(ratio) else 3.0
        self.figure.y_range.start, self.figure.y_range.end = -top, top
        for span, key in zip(self.spans, ("since", "raised"), strict=True):
            span.visible = alarm is not None
            if alarm is not None:
                span.location = alarm[key]
        behind = pd.DataFrame(
            {
                say("time", language): [moment(t, language, zone=False) for t in times[::-1]],
                say("innovation", language): 100 * found["innovation"].to_numpy()[::-1],
                say("ratio", language): ratio[::-1],
            }
        )
        mean = float(ratio.mean()) if len(ratio) else float("nan")
        beyond = float((np.abs(ratio) > 2).mean()) if len(ratio) else 0.0
        return say(
            "alt_innovations", language, count=counted(len(ratio), language), cell=plain(sensor),
            mean=("+" if mean > 0 else "") + number(mean, language=language, digits=2), outside=share(beyond, language),
        ), behind  # fmt: skip


def readings_of(known: Known, variable: str, sensor: str) -> xr.DataArray:
    """What a sensor said of a variable (time); empty for strangers."""
    if variable in known.readings:
        array = known.readings[variable]
        dim = str(array.dims[1])
        names = [str(n) for n in array[dim].to_numpy().tolist()]
        if sensor in names:
            one: xr.DataArray = array.isel({dim: names.index(sensor)}).drop_vars(dim)
            return one
    return xr.DataArray(np.empty(0), {"time": np.empty(0, "M8[ns]")}, "time")


def unit_of(variable: str) -> str:
    """The unit of a variable, as it is written behind a number."""
    unit = words()[variable].unit if variable in words() else ""
    return "" if unit == "1" else unit
