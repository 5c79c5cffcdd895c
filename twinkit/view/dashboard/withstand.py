"""Withstand: two plans under the same hazard with the same luck, for the person who has to choose one.

What is shown comes from `withstand_state`; here stand the fields, the buttons and the order in which answers arrive:
some hundred draws at once, then as many as were asked for, each shown when it is there. Looking changes nothing and is
open to everybody; only a plan that is saved as a branch needs the role planner, and that is asked on the server.
"""

from __future__ import annotations

import functools
import html
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, escaped
from twinkit.view._figure import number
from twinkit.view.dashboard import need
from twinkit.view.dashboard import withstand_answer as answers
from twinkit.view.dashboard.page import page, picture
from twinkit.view.dashboard.withstand_hazard import CATEGORIES, KINDS, Field, category, chosen, fields, unfit
from twinkit.view.dashboard.withstand_map import hazard_map
from twinkit.view.dashboard.withstand_picture import (
    Drawn,
    critical_bars,
    difference_band,
    people_curves,
    reach_bars,
    say,
)
from twinkit.view.dashboard.withstand_plan import DIESEL, Plan, plan, remembered
from twinkit.view.dashboard.withstand_plan import FIELDS as PLAN_FIELDS
from twinkit.view.dashboard.withstand_state import Withstand

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.view.dashboard.session import Session
    from twinkit.view.dashboard.withstand_hazard import Chosen

__all__ = ["app", "headline"]

LOOK = {f.key: f for f in answers.FIELDS}
FIRST_BATTERY = 24.0
"""[h] that plan B begins with, so that the page opens on a comparison."""
REACHED = 1_000
"""Draws at most for the warning's reach."""
WIDE: dict[str, Any] = {"sizing_mode": "stretch_width"}
FOLD = """
.card-header, .card-button { color: var(--tk-ink); }
.card-button svg { width: 18px; height: 18px; stroke: currentColor; fill: none; }
"""
SHEET = """
.wi-headline { font-size: 21px; font-weight: 650; line-height: 1.3; margin: 2px 0 8px; }
.wi-quiet { font-size: 14px; color: var(--tk-soft); }
progress { width: 100%; height: 14px; accent-color: var(--tk-act); }
"""


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Two at a time for all pages: more would only wait for each other."""
    return ThreadPoolExecutor(2, thread_name_prefix="withstand")


def app(session: Session) -> Any:
    """The page of one person.

    Parameters
    ----------
    session : Session

    Returns
    -------
    panel Viewable
    """
    return _Page(session).whole


def headline(found: answers.Comparison, *, misses: bool, language: str, storm: bool = True) -> str:
    """The one sentence: how many people more are served with the second plan, and how sure that is.

    Parameters
    ----------
    found : Comparison
    misses : bool
        The hazard fells nothing.
    language : str
    storm : bool
        Hours count from landfall; else from the strike.
    """
    when = {"hours": number(found.hours, language=language), "event": _event(storm, language)}
    if misses:
        return say("head_misses", language)
    if found.verdict == "same":
        return say("head_same", language, **when)
    ends = (found.more, found.low, found.high)
    if found.verdict == "fewer":
        ends = (-found.more, -found.high, -found.low)
    told = dict(zip(("more", "low", "high"), (_people(v, language) for v in ends), strict=True))
    return say(f"head_{found.verdict}", language, **when, **told)


def _event(storm: bool, language: str) -> str:
    """What the hours are counted from."""
    return say("e_landfall" if storm else "e_strike", language)


def _people(value: float, language: str) -> str:
    return number(float(round(value)), language=language)


@dataclass(frozen=True)
class _Asked:
    """What was asked when the button was pressed."""

    question: answers.Question
    hours: float
    first: Plan
    second: Plan
    draws: int

    @property
    def storm(self) -> bool:
        """Whether the hazard comes ashore; else it strikes."""
        return self.question.hazard.kind in ("cyclone", "track")


class _Page:
    def __init__(self, session: Session) -> None:
        self.session, self.language = session, session.language
        self.state = Withstand(session.store, twin=session.twin if session.store is None else None)
        self.pn = need()
        self.where = self.pn.state.curdoc
        self.served = self.where is not None and self.where.session_context is not None
        self.stop = threading.Event()
        self.asked: _Asked | None = None
        self.critical: list[str] = []
        self.lines = [say("waiting", self.language)]
        twin = answers.gridded(self.state.twin("main"), LOOK["spacing"].default)
        self.begin = self.state.begin("main")
        self._controls(twin)
        self._pictures()
        title = session.say("withstand")
        self.whole = page(session, title, controls=self.controls, pictures=self.pictures, notices=self.notices)
        if self.served:
            self.pn.state.onload(self.compare)
            self.pn.state.on_session_destroyed(lambda _context: self.stop.set())
        else:
            self.compare()

    # ---------------------------------------------------------------- fields

    def _controls(self, twin: Any) -> None:
        widgets = self.pn.widgets
        self.hazard = _HazardForm(self, twin, "kind")
        self.also = _HazardForm(self, twin, "also", optional=True)
        branches = list(self.state.branches())
        self.first = _PlanForm(self, branches, {})
        self.second = _PlanForm(self, branches, {"at": ", ".join(self.begin), "battery": FIRST_BATTERY})
        self.look = {k: _widget(f, self.language) for k, f in LOOK.items()}
        steps = {number(n, language=self.language): n for n in answers.STEPS}
        self.draws = widgets.Select(label=say("f_draws", self.language), options=steps, value=answers.STEPS[1], **WIDE)
        # not a lone checkbox: its label would not belong to it
        self.grid = widgets.CheckBoxGroup(options={say("f_generated", self.language): "generated"}, value=["generated"])
        self.button = widgets.Button(label=say("compare", self.language), color="primary")
        self.halt = widgets.Button(label=say("stop", self.language), disabled=True)
        self.take = widgets.Button(label=say("take", self.language), disabled=True)
        self.button.on_click(lambda _event: self.compare())
        self.halt.on_click(lambda _event: self.stop.set())
        self.take.on_click(lambda _event: self._take())
        self.grid.param.watch(lambda _event: self._grid(), "value")
        self.controls = [
            self._fold("hazard", [self.hazard.view, self.also.view]),
            self._fold("plan_a", list(self.first.widgets.values()), shut=True),
            self._fold("plan_b", [*self.second.widgets.values(), self.take]),
            self._fold("look", [*self.look.values(), self.grid, self.draws], shut=True),
            self.button,
            self.halt,
            *self._saving(),
        ]
        watched = [*self.first.widgets.values(), *self.second.widgets.values(), *self.look.values(), self.draws]
        for widget in [*watched, self.grid]:
            widget.param.watch(self.changed, "value")

    def _saving(self) -> list[Any]:
        widgets, language = self.pn.widgets, self.language
        if self.session.store is None:
            return []
        self.which = widgets.Select(label=say("which", language), options={"A": "A", "B": "B"}, value="B", **WIDE)
        self.name = widgets.TextInput(label=say("name", language), placeholder="what-if.plan-b", **WIDE)
        self.message = widgets.TextInput(label=say("message", language), **WIDE)
        self.keep = widgets.Button(label=say("save", language), disabled=not self.session.may("planner"))
        self.keep.on_click(lambda _event: self._save())
        quiet = [] if self.session.may("planner") else [self._quiet(say("planner_only", language))]
        return [self._fold("saving", [self.which, self.name, self.message, self.keep, *quiet], shut=True)]

    def _fold(self, key: str, parts: list[Any], *, shut: bool = False) -> Any:
        """A group of fields that opens and shuts by its heading."""
        head = self.pn.pane.HTML(f"<h2>{html.escape(say(key, self.language))}</h2>")
        return self.pn.Card(*parts, header=head, collapsed=shut, stylesheets=[FOLD], **WIDE)

    def _quiet(self, text: str) -> Any:
        made = f'<p class="tk-small">{html.escape(text)}</p>' if text else ""
        return self.pn.pane.HTML(made, sizing_mode="stretch_width", visible=bool(text))

    def _pictures(self) -> None:
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": [SHEET]}
        self.told = self.pn.pane.HTML(self._told(self.lines), **wide)
        self.progress = self.pn.pane.HTML("", **wide)
        self.about = self.pn.pane.HTML("", **wide)
        names = ("curve", "difference", "map", "critical", "reach")
        self.shown = {
            n: picture(say(f"pic_{n}", self.language), language=self.language, name=f"withstand-{n}") for n in names
        }
        card = self.pn.Column(self.told, self.progress, css_classes=["tk-card"], sizing_mode="stretch_width")
        self.notices = [card]
        self.pictures = [*self.shown.values(), self.about]

    def _told(self, lines: list[str], *, stale: bool = False) -> str:
        """The headline and what belongs to it, escaped; a screen reader says it when it changes."""
        first, *rest = [html.escape(line) for line in lines]
        more = "".join(f"<p>{line}</p>" for line in rest)
        old = f'<p class="wi-quiet">{html.escape(say("stale", self.language))}</p>' if stale else ""
        about = html.escape(say("answer", self.language))
        made = f'<div role="status">{old}<p class="wi-headline">{first}</p>{more}</div>'
        return f'<section aria-label="{about}">{made}</section>'

    def changed(self, *_events: Any) -> None:
        """A choice is another than the answers on the page are for."""
        if self.asked is not None and 'class="wi-quiet"' not in self.told.object:
            self.told.object = self._told(self.lines, stale=True)

    def _grid(self) -> None:
        """The grid was taken away or given: what can be asked is another."""

        def renew() -> None:
            spacing = self._number("spacing") if self.grid.value else 0.0
            twin = answers.gridded(self.state.twin("main"), spacing)
            self.hazard.renew(twin)
            self.also.renew(twin)

        self.session.act("viewer", renew)

    def _number(self, key: str) -> float:
        field = LOOK[key]
        return float(field.checked(_read(self.look[key], field)))

    # ---------------------------------------------------------------- acts

    def compare(self) -> None:
        """Ask what the fields say; an answer that is still under way is given up."""
        asked = self.session.act("viewer", self._question)
        if asked is None:
            return
        self.stop.set()
        self.stop = stop = threading.Event()
        self.asked = asked
        self.halt.disabled = False
        if self.served:
            _pool().submit(self._work, asked, stop)
        else:
            self._work(asked, stop)

    def _question(self) -> _Asked:
        first, second = self.first.plan(), self.second.plan()
        spacing = self._number("spacing") if self.grid.value else 0.0
        self._branches()
        twin = answers.gridded(self.state.twin(first.branch), spacing)
        for other in {second.branch} - {first.branch}:
            self.state.head(other)
        hazard = self.hazard.chosen(twin)
        if hazard is None:
            raise TwinError("a hazard", found="none", hint="choose one", where="hazard")
        values = {k: _read(w, LOOK[k]) for k, w in self.look.items()}
        also = self.also.chosen(twin)
        question, hours = answers.question(hazard, values, also=also, generated=bool(self.grid.value))
        return _Asked(question, hours, first, second, int(self.draws.value))

    def _branches(self) -> None:
        """The branches of now; one that vanished stays chosen, so that it can be named."""
        known = list(self.state.branches())
        for form in (self.first, self.second):
            select = form.widgets["branch"]
            options = list(dict.fromkeys([*known, select.value]))
            if options != select.options:
                select.options = options

    def _take(self) -> None:
        self.second.widgets["at"].value = ", ".join(self.critical)

    def _save(self) -> None:
        def save() -> str:
            form = self.first if self.which.value == "A" else self.second
            name = self.session.text(self.name.value, most=100)
            self.state.save(
                form.plan(), name, message=self.session.text(self.message.value), author=self.session.user or None
            )
            return name

        name = self.session.act("planner", save)
        if name is not None:
            self.session.tell(say("saved", self.language, plan=self.which.value, name=name))
            self.session.act("viewer", self._branches)

    # ---------------------------------------------------------------- answers

    def _work(self, asked: _Asked, stop: threading.Event) -> None:
        """All answers to one question, coarse first; in a thread of its own where the page is served."""

        def work() -> bool:
            done = 0
            try:
                for draws in [n for n in answers.STEPS if n <= asked.draws]:
                    first, second = (
                        self.state.answer(
                            asked.question, plan, draws=draws, stop=stop.is_set, report=self._report(name, stop)
                        )
                        for name, plan in (("A", asked.first), ("B", asked.second))
                    )
                    self._publish(stop, self._curves(asked, first, second))
                    if done == 0:
                        found = self.state.ranked(asked.question, asked.first, stop=stop.is_set)
                    self._publish(stop, self._places(asked, first, second, found))
                    self._publish(stop, self._reach(asked, min(draws, REACHED)))
                    done = draws
            except answers.Stopped:
                self._end(stop, say("stopped", self.language, draws=number(done, language=self.language)))
                return True
            self._end(stop, say("ready", self.language, draws=number(done, language=self.language)))
            return True

        if self.session.act("viewer", work) is None:
            self._end(stop, "")

    def _publish(self, stop: threading.Event, put: Callable[[], None]) -> None:
        """Change the page, from whatever thread; not for a question that was given up."""
        if stop.is_set():
            raise answers.Stopped
        self._on_page(lambda: None if stop is not self.stop else put())

    def _on_page(self, put: Callable[[], Any]) -> None:
        if self.served:
            self.where.add_next_tick_callback(put)
        else:
            put()

    def _report(self, name: str, stop: threading.Event) -> Callable[[int, int], None]:
        def report(done: int, draws: int) -> None:
            counts = {"done": number(done, language=self.language), "draws": number(draws, language=self.language)}
            text = html.escape(say("drawing", self.language, plan=name, **counts))
            bar = f'<progress max="{draws}" value="{done}" aria-label="{text}"></progress>'
            self._on_page(lambda: self._progress(stop, f'{bar}<p class="wi-quiet">{text}</p>'))

        return report

    def _progress(self, stop: threading.Event, made: str) -> None:
        if stop is self.stop:
            self.progress.object = made

    def _end(self, stop: threading.Event, text: str) -> None:
        def put() -> None:
            if stop is self.stop:
                self.progress.object = f'<p class="wi-quiet">{html.escape(text)}</p>' if text else ""
                self.halt.disabled = True

        self._on_page(put)

    def _curves(self, asked: _Asked, first: answers.Answer, second: answers.Answer) -> Callable[[], None]:
        found = answers.compared(first, second, hours=asked.hours)
        lines = self._lines(asked, found, first, misses=first.misses and second.misses)
        curves = answers.curve(first), answers.curve(second)
        both = people_curves(
            curves[0],
            curves[1],
            (first, second),
            hours=asked.hours,
            event=_event(asked.storm, self.language),
            language=self.language,
        )
        gap = difference_band(
            answers.difference(first, second),
            first.moment,
            hours=asked.hours,
            event=_event(asked.storm, self.language),
            language=self.language,
        )
        about = self._about(asked, first)

        def put() -> None:
            self.lines = lines
            self.told.object = self._told(lines)
            self.about.object = about
            self._show("curve", both)
            self._show("difference", gap)

        return put

    def _lines(self, asked: _Asked, found: answers.Comparison, first: answers.Answer, *, misses: bool) -> list[str]:
        language = self.language
        lines = [headline(found, misses=misses, language=language, storm=asked.storm)]
        counts = {
            "a": found.first[0], "a_low": found.first[1], "a_high": found.first[2],
            "b": found.second[0], "b_low": found.second[1], "b_high": found.second[2], "before": first.people_before,
        }  # fmt: skip
        lines.append(say("head_ends", language, **{k: _people(max(v, 0.0), language) for k, v in counts.items()}))
        lines.append(say("head_about", language, draws=number(found.draws, language=language)))
        if misses:
            return lines
        saved = {"more": found.hours_more, "low": found.hours_low, "high": found.hours_high}
        told = {k: _people(v, language) for k, v in saved.items()}
        whole = say("head_hours", language, days=number(asked.question.days, language=language), **told)
        if found.verdict == "same":
            return [*lines, whole]
        shares = {k: number(getattr(found, k), language=language, share=True) for k in ("better", "worse")}
        single = {"low": _people(found.single_low, language), "high": _people(found.single_high, language)}
        lines.append(say("head_single", language, **single, **shares))
        return [*lines, whole]

    def _about(self, asked: _Asked, first: answers.Answer) -> str:
        """What the answer rests on, behind a summary."""
        hazard = asked.question.hazard
        lines = [say("layers", self.language, layers=first.generated)] if first.generated else []
        near = dict(hazard.values).get("latitude")
        if hazard.kind == "cyclone" and near is not None and abs(near) < 5:
            lines.append(say("equator", self.language))
        lines += [say("assumed", self.language, text=escaped(first.assumptions)), say("limits", self.language)]
        text = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        return f"<details><summary>{html.escape(say('about', self.language))}</summary>{text}</details>"

    def _places(self, asked: _Asked, first: answers.Answer, second: answers.Answer, found: Any) -> Callable[[], None]:
        scene = self.state.scene(asked.question, asked.first)
        sites = scene.twin.children["sites"].to_dataset(inherit=False)
        ids = [str(s) for s in sites["site"].to_numpy()]
        names = dict(zip(ids, map(str, sites["name"].to_numpy()), strict=True)) if "name" in sites else {}
        drawn = hazard_map(scene, (first, second), found, language=self.language)
        bars = critical_bars(found, names, language=self.language)
        critical = list(dict.fromkeys(str(s) for s in found["site"].to_numpy()))

        def put() -> None:
            self.critical = critical
            self.take.disabled = not critical
            self._show("map", drawn)
            self._show("critical", bars)

        return put

    def _reach(self, asked: _Asked, draws: int) -> Callable[[], None]:
        one, two = (self.state.reached(asked.question, p, draws=draws) for p in (asked.first, asked.second))
        later = answers.LATER
        event = _event(asked.storm, self.language)
        drawn = reach_bars(one, two, warning=asked.question.warning, later=later, event=event, language=self.language)
        return lambda: self._show("reach", drawn)

    def _show(self, name: str, drawn: Drawn) -> None:
        self.shown[name].show(drawn.figure, alt=drawn.alt, table=drawn.table)


class _HazardForm:
    """The kind of a hazard and its fields; what the twin cannot answer is there, shut, with the reason."""

    def __init__(self, page: _Page, twin: Any, key: str, *, optional: bool = False) -> None:
        self.page, self.language, self.optional = page, page.language, optional
        pn = page.pn
        self.labels = {"": say("nothing", self.language)} if optional else {}
        self.labels |= {k: say(f"k_{k}", self.language) for k in KINDS}
        # a list and no dict: Panel shuts an option by the text that stands in the page
        self.kind = pn.widgets.Select(label=say(key, self.language), options=list(self.labels.values()), **WIDE)
        self.reason = pn.pane.HTML("", sizing_mode="stretch_width")
        self.fields = pn.Column(sizing_mode="stretch_width")
        self.view = pn.Column(self.kind, self.reason, self.fields, sizing_mode="stretch_width")
        self.widgets: dict[str, Any] = {}
        self.known: tuple[Field, ...] = ()
        self.twin: Any = None
        self.renew(twin)
        self.kind.param.watch(lambda _event: self._ask(), "value")
        self.kind.param.watch(page.changed, "value")

    @property
    def asked(self) -> str:
        """The kind that is chosen; "" for none."""
        return next((k for k, label in self.labels.items() if label == self.kind.value), "")

    def choose(self, kind: str) -> None:
        """Choose a kind."""
        self.kind.value = self.labels[kind]

    def renew(self, twin: Any) -> None:
        """Take another twin: what it lacks is shut; what was typed for what it has stays."""
        before, self.twin = self.asked, twin
        missing = unfit(twin)
        if self.asked in missing:
            self.kind.disabled_options = []
            self.kind.value = next(iter(self.labels.values()))
        self.kind.disabled_options = [self.labels[k] for k in missing]
        lines = [] if self.optional else [self._why(k, v) for k, v in missing.items()]
        self.reason.object = "".join(f'<p class="tk-small">{html.escape(line)}</p>' for line in lines)
        self.reason.visible = bool(lines)
        if self.asked != before or not self.known:
            self._ask()

    def _why(self, kind: str, missing: str) -> str:
        said_of = say("needs_grid", self.language) if kind == "blackout" else missing
        return say("unfit", self.language, kind=say(f"k_{kind}", self.language), missing=said_of)

    def _ask(self) -> None:
        """The fields of the kind that is chosen."""
        self.widgets, self.known = {}, ()
        parts: list[Any] = []
        if self.asked:
            self.known = fields(self.twin, self.asked)
            self.widgets = {f.key: _widget(f, self.language) for f in self.known}
            parts = list(self.widgets.values())
        if self.asked == "cyclone":
            parts.insert(0, self._category())
        for widget in self.widgets.values():
            widget.param.watch(self.page.changed, "value")
        self.fields[:] = parts

    def _category(self) -> Any:
        """The class of the storm, which fills in a wind; a wind that is typed names its class."""
        wind = self.widgets["wind"]
        options = {say(f"c_{name}", self.language): name for name in ("", *CATEGORIES)}
        made = self.page.pn.widgets.Select(
            label=say("category", self.language), options=options, value=category(self.known[0].default), **WIDE
        )

        def typed_wind() -> float:
            found = _read(wind, self.known[0])
            return found if isinstance(found, float) and found == found else 0.0

        def chosen_class(event: Any) -> None:
            if event.new and category(typed_wind()) != event.new:
                wind.value = _written(round(CATEGORIES[event.new][1], 1), self.known[0])

        def typed(_event: Any) -> None:
            made.value = category(typed_wind())

        made.param.watch(chosen_class, "value")
        wind.param.watch(typed, "value")
        return made

    def chosen(self, twin: Any) -> Chosen | None:
        """The hazard as the fields say it, checked."""
        if not self.asked:
            return None
        values = {f.key: _read(self.widgets[f.key], f) for f in self.known}
        return chosen(twin, self.asked, values)


class _PlanForm:
    """The fields of one plan."""

    def __init__(self, page: _Page, branches: list[str], begins: dict[str, Any]) -> None:
        self.page, language = page, page.language
        widgets = page.pn.widgets
        branch = branches.index("main") if "main" in branches else 0
        self.known = {f.key: f for f in PLAN_FIELDS}
        numbers = {k: _widget(f, language, begins.get(k)) for k, f in self.known.items()}
        hours = number(DIESEL, language=language)
        self.widgets = {
            "branch": widgets.Select(label=say("f_branch", language), options=branches, value=branches[branch], **WIDE),
            "at": widgets.TextInput(label=say("f_at", language), value=begins.get("at", ""), max_length=5000, **WIDE),
            "battery": numbers.pop("battery"),
            "equipment": widgets.CheckBoxGroup(
                options={
                    say("f_diesel", language, hours=hours): "diesel",
                    say("f_second_fibre", language): "second_fibre",
                }
            ),
            **numbers,
        }
        self.widgets["branch"].param.watch(lambda _event: self._remembered(), "value")

    def _remembered(self) -> None:
        """A branch that was saved with crews brings them along."""

        def fill() -> None:
            for key, value in remembered(self.page.state.twin(self.widgets["branch"].value)).items():
                field = self.known[key]
                self.widgets[key].value = _written(value, field) if field.kind == "number" else value

        self.page.session.act("viewer", fill)

    def plan(self) -> Plan:
        """The plan as the fields say it, checked."""
        values = {k: _read(self.widgets[k], f) for k, f in self.known.items()}
        values |= {k: self.widgets[k].value for k in ("branch", "at")}
        return plan(values | dict.fromkeys(self.widgets["equipment"].value, True))


def _widget(field: Field, language: str, value: Any = None) -> Any:
    """The widget of a field; it takes any text, so that what is wrong is said and not silently changed."""
    pn = need()
    label = say(f"f_{field.key}", language)
    start = field.default if value is None else value
    if field.kind == "options":
        try:
            options = {say(f"o_{o}", language): o for o in field.options}
        except KeyError:  # makes of sites, in the twin's own words
            options = {escaped(o): o for o in field.options}
        return pn.widgets.Select(label=label, options=options, value=start, **WIDE)
    if field.kind == "text":
        if "\n" in field.default:
            return pn.widgets.TextAreaInput(label=label, value=start, rows=5, max_length=20_000, **WIDE)
        return pn.widgets.TextInput(label=label, value=start, max_length=5_000, **WIDE)
    named = f"{label} [{field.unit}]" if field.unit else label
    return pn.widgets.TextInput(label=named, value=_written(start, field), max_length=40, **WIDE)


def _written(value: float, field: Field) -> str:
    """A value in SI as it stands in its widget."""
    shown = round(float(value) / field.scale, 4)
    return f"{shown:.0f}" if shown == int(shown) else str(shown)


def _read(widget: Any, field: Field) -> Any:
    """What a widget holds, in SI; text that is no number stays what it is."""
    value = widget.value
    if field.kind != "number":
        return value
    text = str(value).strip()
    if "," in text and "." not in text:  # as it is written in French
        text = text.replace(",", ".")
    try:
        return float(text) * field.scale if field.scale != 1.0 else float(text)
    except ValueError:
        return value
