"""Pictures of the Withstand app: each a Bokeh figure that a phone can read, its alt text, and the table behind it.

Bokeh and not an image, because letters keep their size on a narrow screen. Two plans differ in colour and in dash, and
colours are those that every colour vision tells apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.error import escaped
from twinkit.view._figure import number
from twinkit.view.dashboard.session import phrases

if TYPE_CHECKING:
    import xarray as xr

    from twinkit.view.dashboard.withstand_answer import Answer, Reach

__all__ = [
    "BLUE",
    "DEEP",
    "TEXT",
    "Drawn",
    "critical_bars",
    "difference_band",
    "digits",
    "legend_below",
    "people_curves",
    "plain_text",
    "reach_bars",
    "say",
]

say = phrases("words_withstand.csv")
BLUE, ORANGE, DEEP, GREY = "#0072B2", "#B34700", "#7A2E00", "#5F6B76"
DASHES = {"a": "solid", "b": "dashed"}
COLOURS = {"a": BLUE, "b": ORANGE}
TEXT = "13px"
ROWS = 100
"""Rows of a table over time: beyond, every second or third hour is shown."""


@dataclass(frozen=True)
class Drawn:
    """A figure, what it says in words, and the numbers in it."""

    figure: Any
    alt: str
    table: pd.DataFrame


def plain_text(text: object, most: int = 40) -> str:
    """Text from a store as it is drawn: nothing that a screen obeys, no formula, not too long."""
    whole = escaped(text).replace("$", "＄")
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def _days(time: np.ndarray, moment: np.datetime64) -> np.ndarray:
    return np.asarray((time - moment) / np.timedelta64(1, "D"), float)


# ---------------------------------------------------------------- over time


def people_curves(
    first: xr.Dataset, second: xr.Dataset, answers: tuple[Answer, Answer], *, hours: float, event: str, language: str
) -> Drawn:
    """People served over time under two plans, each with the band that holds nine of ten events.

    Parameters
    ----------
    first, second : Dataset (time)
        As `withstand_answer.curve` gives them.
    answers : tuple of Answer
        That they come from.
    hours : float [h]
        After landfall, marked.
    event : str
        What the hours are counted from, in words.
    language : str
    """
    moment = answers[0].moment
    made = _axes(say("axis_days", language, event=event), say("axis_people", language), language)
    legend: list[tuple[str, list[Any]]] = []
    told: dict[str, str] = {}
    for key, plan, known, answer in (("a", "plan_a", first, answers[0]), ("b", "plan_b", second, answers[1])):
        days, colour = _days(known["time"].to_numpy(), moment), COLOURS[key]
        mean, low, high = (np.clip(known[n].to_numpy(), 0.0, None) for n in ("expected", "low", "high"))
        band = made.varea(x=days, y1=low, y2=high, fill_color=colour, fill_alpha=0.16)
        line = made.line(days, mean, color=colour, line_width=2.5, line_dash=DASHES[key])
        legend.append((f"{say(plan, language)}: {say('l_mean', language)}", [line]))
        legend.append((f"{say(plan, language)}: {say('l_single', language)}", [band]))
        least = int(np.argmin(mean))
        told |= {
            key: number(round(float(mean[least])), language=language),
            f"{key}_day": number(round(float(days[least]), 1), language=language),
            f"{key}_low": number(round(float(low[least])), language=language),
            f"{key}_high": number(round(float(high[least])), language=language),
        }
        span = days
        before = answer.people_before
    made.y_range.start = 0
    made.x_range.start, made.x_range.end = float(span[0]), float(span[-1])
    legend_below(made, [*legend, *_marked(made, hours, language)])
    alt = say(
        "alt_curve", language, days=number(math.ceil(float(span[-1])), language=language),
        before=number(round(before), language=language), **told,
    )  # fmt: skip
    columns = {}
    for name, known in (("t_a", first), ("t_b", second)):
        plan = say(name, language)
        for part in ("expected", "low", "high"):
            label = {"expected": "l_mean", "low": "t_low", "high": "t_high"}[part]
            columns[f"{plan}, {say(label, language)} [people]"] = known[part].to_series().clip(lower=0).round()
    return Drawn(made, alt, _over_time(columns, moment, event, language))


def difference_band(gap: xr.Dataset, moment: np.datetime64, *, hours: float, event: str, language: str) -> Drawn:
    """People served more by the second plan over time: the mean with its interval, and single events.

    Parameters
    ----------
    gap : Dataset (time)
        As `withstand_answer.difference` gives it.
    moment : datetime64
        Of landfall.
    hours : float [h]
    event, language : str
    """
    days = _days(gap["time"].to_numpy(), moment)
    made = _axes(say("axis_days", language, event=event), say("axis_more", language), language)
    parts = {n: gap[n].to_numpy() for n in ("expected", "expected_low", "expected_high", "low", "high")}
    wide = made.varea(x=days, y1=parts["low"], y2=parts["high"], fill_color=GREY, fill_alpha=0.15)
    sure = made.varea(x=days, y1=parts["expected_low"], y2=parts["expected_high"], fill_color=ORANGE, fill_alpha=0.4)
    line = made.line(days, parts["expected"], color=DEEP, line_width=2.5)
    made.line([days[0], days[-1]], [0, 0], color="black", line_width=1)
    made.x_range.start, made.x_range.end = float(days[0]), float(days[-1])
    names = (("l_mean", line), ("l_sure", sure), ("l_single", wide))
    marks = _marked(made, hours, language)
    legend_below(made, [*((say(k, language), [r]) for k, r in names), *marks])
    top = int(np.argmax(np.abs(parts["expected"])))
    told = {
        "day": number(round(float(days[top]), 1), language=language),
        "more": number(round(float(parts["expected"][top])), language=language),
        "low": number(round(float(parts["expected_low"][top])), language=language),
        "high": number(round(float(parts["expected_high"][top])), language=language),
    }
    more = say("t_more", language)
    labels = {
        "expected": say("l_mean", language),
        "expected_low": f"{say('l_sure', language)}, <",
        "expected_high": f"{say('l_sure', language)}, >",
        "low": say("t_low", language),
        "high": say("t_high", language),
    }
    columns = {f"{more}, {labels[n]} [people]": gap[n].to_series().round() for n in labels}
    return Drawn(made, say("alt_difference", language, **told), _over_time(columns, moment, event, language))


def _over_time(columns: dict[str, pd.Series], moment: np.datetime64, event: str, language: str) -> pd.DataFrame:
    """Columns over time, by hours after landfall, thinned to what a person scrolls through."""
    table = pd.DataFrame(columns)
    hours = np.round((table.index.to_numpy() - moment) / np.timedelta64(1, "h")).astype(int)
    table.insert(0, f"{say('t_hours', language, event=event)} [h]", hours)
    every = max(1, -(-len(table) // ROWS))
    return table[hours % every == 0].reset_index(drop=True)


# ---------------------------------------------------------------- bars


def critical_bars(found: xr.Dataset, names: dict[str, str], *, language: str) -> Drawn:
    """The most critical sites with the intervals of what each would save, and whether their order is sure.

    Parameters
    ----------
    found : Dataset (asset)
        As `withstand_answer.ranking` gives it.
    names : dict of str to str
        Site to its name.
    language : str
    """
    count = found.sizes["asset"]
    saved, low, high = (found[n].to_numpy().astype(float) for n in ("people_hours_saved", "low", "high"))
    sites = [str(s) for s in found["site"].to_numpy()]
    battery = found["battery"].to_numpy().astype(bool)
    what = [say("w_battery" if b else "w_safe", language) for b in battery]
    rows = [f"{number(i, language=language)}. {plain_text(s, 12)}" for i, s in enumerate(sites, 1)]
    if not count:
        return Drawn(_blank(), say("alt_none", language), pd.DataFrame())
    made = _axes(
        f"{say('axis_saved', language)} [people h]", "", language, rows=list(reversed(rows)),
        height=110 + 30 * count + 50,
    )  # fmt: skip
    legend = []
    for kind, colour, key in ((False, BLUE, "w_safe"), (True, ORANGE, "w_battery")):
        own = np.flatnonzero(battery == kind)
        if own.size:
            bars = made.hbar(y=[rows[i] for i in own], right=saved[own], height=0.6, color=colour, fill_alpha=0.75)
            legend.append((say(key, language), [bars]))
    made.segment(x0=np.maximum(low, 0.0), x1=high, y0=rows, y1=rows, color="black", line_width=2)
    legend.append((say("l_sure", language), [made.renderers[-1]]))
    made.x_range.start = 0
    legend_below(made, legend)
    unsure = found["unsure"].to_numpy().astype(bool)
    pairs = int(unsure[:-1].sum())
    told = {
        "site": plain_text(_titled(sites[0], names)),
        "what": what[0],
        "saved": number(saved[0], language=language),
        "low": number(low[0], language=language),
        "high": number(high[0], language=language),
    }
    alt = [say("alt_critical", language, **told)]
    neighbours = {"pairs": number(pairs, language=language), "count": number(max(count - 1, 0), language=language)}
    alt.append(say("alt_unsure", language, **neighbours) if pairs else say("alt_sure", language))
    table = pd.DataFrame(
        {
            say("t_rank", language): np.arange(1, count + 1),
            say("t_site", language): sites,
            say("t_name", language): [plain_text(names.get(s, "")) for s in sites],
            say("t_what", language): what,
            f"{say('t_saved', language)} [people h]": saved,
            f"{say('l_sure', language)}, <": low,
            f"{say('l_sure', language)}, >": high,
            f"{say('t_share', language)} [%]": 100 * found["share"].to_numpy().astype(float),
            say("t_unsure", language): [bool(u) for u in unsure],
        }
    )
    return Drawn(made, " ".join(alt), table)


def reach_bars(first: Reach, second: Reach, *, warning: float, later: float, event: str, language: str) -> Drawn:
    """People whom the alert finds under two plans, before landfall and after it.

    Parameters
    ----------
    first, second : Reach
    warning, later : float [h]
        Before landfall, and after it.
    event, language : str
    """
    rows: list[tuple[str, tuple[float, float, float], str]] = [
        (say("r_inside", language), (first.inside,) * 3, GREY),
        (say("r_before", language), (first.before,) * 3, GREY),
    ]
    for key, hours in (("sent", warning), ("later", later)):
        for plan, reach in (("A", first), ("B", second)):
            name = say(f"r_{key}", language, hours=number(hours, language=language), plan=plan, event=event)
            rows.append((name, getattr(reach, key), COLOURS[plan.lower()]))
    labels = [r[0] for r in rows]
    values = np.clip(np.array([r[1] for r in rows]), 0.0, None)
    made = _axes(f"{say('t_people', language)} [people]", "", language, rows=list(reversed(labels)), height=330)
    # names of bars above them: beside them they would leave a phone no room for the bars
    made.yaxis.visible = False
    from bokeh.transform import dodge

    made.hbar(
        y=dodge("y", -0.18, range=made.y_range), right="right", height=0.34, color="color", fill_alpha=0.75,
        source={"y": labels, "right": values[:, 0], "color": [r[2] for r in rows]},
    )  # fmt: skip
    made.segment(
        x0="low", x1="high", y0=dodge("y", -0.18, range=made.y_range), y1=dodge("y", -0.18, range=made.y_range),
        color="black", line_width=2, source={"y": labels, "low": values[:, 1], "high": values[:, 2]},
    )  # fmt: skip
    said_of = [f"{n}: {number(round(v), language=language)}" for n, v in zip(labels, values[:, 0], strict=True)]
    made.text(
        x=0, y=dodge("y", 0.2, range=made.y_range), text="text", text_font_size=TEXT, text_baseline="middle",
        text_align="left", x_offset=4, source={"y": labels, "text": said_of},
    )  # fmt: skip
    made.x_range.start, made.x_range.end = 0, max(float(first.inside), 1.0) * 1.02
    told = {
        "inside": number(round(first.inside), language=language),
        "hours": number(warning, language=language),
        "sent": number(round(first.sent[0]), language=language),
        "later_a": number(round(first.later[0]), language=language),
        "later_b": number(round(second.later[0]), language=language),
    }
    table = pd.DataFrame(
        {
            say("t_when", language): labels,
            f"{say('t_people', language)} [people]": values[:, 0].round(),
            say("t_low", language): values[:, 1].round(),
            say("t_high", language): values[:, 2].round(),
        }
    )
    return Drawn(made, say("alt_reach", language, event=event, **told), table)


# ---------------------------------------------------------------- frames


def _axes(across: str, up: str, language: str, *, rows: list[str] | None = None, height: int = 400) -> Any:
    """A figure with axes that a phone can read; nothing on it catches a finger that scrolls."""
    from bokeh.plotting import figure

    made: Any
    given: dict[str, Any] = {"y_range": rows} if rows is not None else {}
    made = figure(
        height=height, sizing_mode="stretch_width", toolbar_location=None, tools="", x_axis_label=across,
        y_axis_label=up or None, background_fill_color="white", border_fill_color="white", outline_line_color=None,
        min_border_right=14, **given,
    )  # fmt: skip
    made.xaxis.formatter = digits(language)
    made.xaxis.ticker.desired_num_ticks = 5 if rows is None else 3
    if rows is None:
        made.yaxis.formatter = digits(language)
    for axis in made.axis:
        axis.major_label_text_font_size = axis.axis_label_text_font_size = TEXT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_color = axis.major_label_text_color = "#1b1f23"
    made.grid.grid_line_color = "#e3e6e9"
    return made


def _blank() -> Any:
    """Nothing to draw."""
    made = _axes("", "", "en", height=60)
    made.axis.visible = made.grid.visible = False
    made.scatter([0], [0], alpha=0)
    return made


def _marked(made: Any, hours: float, language: str) -> list[tuple[str, list[Any]]]:
    """Landfall and the hour that was asked for, and their rows of the legend."""
    from bokeh.models.annotations import Span

    rows = []
    for at, dash, colour, key in ((0.0, "solid", GREY, "l_landfall"), (hours / 24, "dotted", "black", "l_asked")):
        made.add_layout(Span(location=at, dimension="height", line_color=colour, line_width=2, line_dash=dash))
        rows.append(
            (say(key, language), [made.line([np.nan] * 2, [np.nan] * 2, color=colour, line_width=2, line_dash=dash)])
        )
    return rows


def legend_below(made: Any, items: list[tuple[str, list[Any]]]) -> None:
    """The legend below, in one column: beside the picture it would take a phone's width."""
    from bokeh.models.annotations import Legend

    style: Any = {"padding": 2, "spacing": 1, "margin": 4, "border_line_color": None, "background_fill_alpha": 0}
    text: Any = {"label_text_font_size": TEXT, "label_text_color": "#1b1f23"}
    legend = Legend(items=items, location="left", orientation="vertical", glyph_height=16, **style, **text)
    made.add_layout(legend, "below")


def digits(language: str) -> Any:
    """Numbers of the axes in the language's own writing; millions as such, or they would run into each other."""
    from bokeh.models import CustomJSTickFormatter

    place = {"fr": "fr", "fa": "fa"}.get(language, "en")
    how = "{maximumFractionDigits: 3, notation: Math.abs(tick) >= 1e6 ? 'compact' : 'standard'}"
    return CustomJSTickFormatter(code=f"return new Intl.NumberFormat('{place}', {how}).format(tick)")


def _titled(site: str, names: dict[str, str]) -> str:
    return f"{site}, {names[site]}" if names.get(site) else site
