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
from twinkit.view.dashboard.withstand_forms import WIDE, HazardForm, PlanForm, read, widget_of
from twinkit.view.dashboard.withstand_hazard import CALM, FORESEEN
from twinkit.view.dashboard.withstand_map import hazard_map
from twinkit.view.dashboard.withstand_picture import (
    Drawn,
    critical_bars,
    difference_band,
    people_curves,
    reach_bars,
    say,
)
from twinkit.view.dashboard.withstand_state import Withstand

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.view.dashboard.session import Session
    from twinkit.view.dashboard.withstand_plan import Plan

__all__ = ["app", "headline"]

LOOK = {f.key: f for f in answers.FIELDS}
FIRST_BATTERY = 24.0
"""[h] that plan B begins with, so that the page opens on a comparison."""
REACHED = 1_000
"""Draws at most for the warning's reach."""
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
    return Page(session).whole


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


class Page:
    """One person's page: its fields, its answers, and the thread that finds them."""

    def __init__(self, session: Session) -> None:
        self.session, self.language = session, session.language
        self.say = functools.partial(say, language=self.language)
        self.state = Withstand(session.store, twin=session.twin if session.store is None else None)
        self.pn = need()
        self.where = self.pn.state.curdoc
        self.served = self.where is not None and self.where.session_context is not None
        self.stop = threading.Event()
        self.asked: _Asked | None = None
        self.critical: list[str] = []
        self.lines = [self.say("waiting")]
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
        self.hazard = HazardForm(self, twin, "kind")
        self.also = HazardForm(self, twin, "also", optional=True)
        branches = list(self.state.branches())
        self.first = PlanForm(self, branches, {})
        self.second = PlanForm(self, branches, {"at": ", ".join(self.begin), "battery": FIRST_BATTERY})
        self.look = {k: widget_of(f, self.language) for k, f in LOOK.items()}
        steps = {number(n, language=self.language): n for n in answers.STEPS}
        self.draws = widgets.Select(label=self.say("f_draws"), options=steps, value=answers.STEPS[1], **WIDE)
        # not a lone checkbox: its label would not belong to it
        self.grid = widgets.CheckBoxGroup(options={self.say("f_generated"): "generated"}, value=["generated"])
        self.button = widgets.Button(label=self.say("compare"), color="primary")
        self.halt = widgets.Button(label=self.say("stop"), disabled=True)
        self.take = widgets.Button(label=self.say("take"), disabled=True)
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
        self._foreseen()
        self.hazard.kind.param.watch(lambda _event: self._foreseen(), "value")
        watched = [*self.first.widgets.values(), *self.second.widgets.values(), *self.look.values(), self.draws]
        for widget in [*watched, self.grid]:
            widget.param.watch(self.changed, "value")

    def _saving(self) -> list[Any]:
        widgets = self.pn.widgets
        if self.session.store is None:
            return []
        self.which = widgets.Select(label=self.say("which"), options={"A": "A", "B": "B"}, value="B", **WIDE)
        self.name = widgets.TextInput(label=self.say("name"), placeholder="what-if.plan-b", **WIDE)
        self.message = widgets.TextInput(label=self.say("message"), **WIDE)
        self.keep = widgets.Button(label=self.say("save"), disabled=not self.session.may("planner"))
        self.keep.on_click(lambda _event: self._save())
        quiet = [] if self.session.may("planner") else [self._quiet(self.say("planner_only"))]
        return [self._fold("saving", [self.which, self.name, self.message, self.keep, *quiet], shut=True)]

    def _fold(self, key: str, parts: list[Any], *, shut: bool = False) -> Any:
        """A group of fields that opens and shuts by its heading."""
        head = self.pn.pane.HTML(f"<h2>{html.escape(self.say(key))}</h2>")
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
        self.shown = {n: picture(self.say(f"pic_{n}"), language=self.language, name=f"withstand-{n}") for n in names}
        card = self.pn.Column(self.told, self.progress, css_classes=["tk-card"], sizing_mode="stretch_width")
        self.notices = [card]
        self.pictures = [*self.shown.values(), self.about]

    def _told(self, lines: list[str], *, stale: bool = False) -> str:
        """The headline and what belongs to it, escaped; a screen reader says it when it changes."""
        first, *rest = [html.escape(line) for line in lines]
        more = "".join(f"<p>{line}</p>" for line in rest)
        old = f'<p class="wi-quiet">{html.escape(self.say("stale"))}</p>' if stale else ""
        about = html.escape(self.say("answer"))
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

    def _foreseen(self) -> None:
        """Ask for the hours of a warning only where there can be one."""
        self.look["warning"].visible = self.hazard.asked in FORESEEN

    def _number(self, key: str) -> float:
        field = LOOK[key]
        return float(field.checked(read(self.look[key], field)))

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
        values = {k: read(w, LOOK[k]) for k, w in self.look.items()}
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
            self.session.tell(self.say("saved", plan=self.which.value, name=name))
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
                self._end(stop, self.say("stopped", draws=number(done, language=self.language)))
                return True
            self._end(stop, self.say("ready", draws=number(done, language=self.language)))
            return True

        if self.session.act("viewer", work, by_itself=True) is None:
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
            text = html.escape(self.say("drawing", plan=name, **counts))
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
        lines.append(self.say("head_ends", **{k: _people(max(v, 0.0), language) for k, v in counts.items()}))
        lines.append(self.say("head_about", draws=number(found.draws, language=language)))
        if misses:
            return lines
        saved = {"more": found.hours_more, "low": found.hours_low, "high": found.hours_high}
        told = {k: _people(v, language) for k, v in saved.items()}
        whole = self.say("head_hours", days=number(asked.question.days, language=language), **told)
        if found.verdict == "same":
            return [*lines, whole]
        shares = {k: number(getattr(found, k), language=language, share=True) for k in ("better", "worse")}
        single = {"low": _people(found.single_low, language), "high": _people(found.single_high, language)}
        lines.append(self.say("head_single", **single, **shares))
        return [*lines, whole]

    def _about(self, asked: _Asked, first: answers.Answer) -> str:
        """What the answer rests on, behind a summary."""
        hazard = asked.question.hazard
        lines = [self.say("layers", layers=first.generated)] if first.generated else []
        near = dict(hazard.values).get("latitude")
        if hazard.kind == "cyclone" and near is not None and abs(near) < CALM:
            lines.append(self.say("equator"))
        lines += [self.say("assumed", text=escaped(first.assumptions)), self.say("limits")]
        text = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        return f"<details><summary>{html.escape(self.say('about'))}</summary>{text}</details>"

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
