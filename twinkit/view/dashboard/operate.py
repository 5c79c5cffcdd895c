"""Operate: tonight's load as it comes in, what is believed of it, what is wrong, and what was known when.

    twinkit dashboard town.twin --app operate
    tk.view.dashboard("town.twin", app="operate")

The page looks at the store every two seconds. It holds no numbers of its own: all of them come from `operate_state`.
"""

from __future__ import annotations

import functools
import html
import time as clock
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.error import TwinError
from twinkit.view.dashboard import need
from twinkit.view.dashboard import operate_told as told
from twinkit.view.dashboard.operate_figures import Fan, Innovations, Map, counted, moment, plain, say
from twinkit.view.dashboard.operate_parts import pulse, track
from twinkit.view.dashboard.operate_state import WINDOW, Known, Watch, findings_of, stale, watching
from twinkit.view.dashboard.page import page, picture
from twinkit.vocabulary import label, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.view.dashboard.session import Session

__all__ = ["app"]

EVERY = 2000
"""[ms] Between two looks at the store."""
FINDINGS = 15.0
"""[s] Between two searches for faults in readings that keep coming."""
NOW: np.datetime64 = np.datetime64("NaT", "ns")


def app(session: Session) -> Any:
    """The page of an operator.

    Parameters
    ----------
    session : Session

    Returns
    -------
    panel Viewable
    """
    return _Operate(session).view


class _Operate:
    def __init__(self, session: Session) -> None:
        self.session, self.language = session, session.language
        self.say = functools.partial(say, language=self.language)
        session.follows = True  # a commit every few seconds is no news here: the page shows it
        self.watch = watching(session.store) if session.store is not None else Watch(twin=session.twin)
        self.known = Known()
        self.known_at: np.datetime64 = NOW
        self.about: np.datetime64 = NOW
        self.drawn: Any = None
        self.version = -1
        self.trouble, self.faltered = "", False
        self.paused = self.setting = self.alone = False
        self.told: set[tuple[str, str, str]] = set()
        self.looked_for_faults = -FINDINGS
        self.findings_of: Any = None
        self.doc: Any = None
        self.due = False
        self._build()
        self._look(first=True)
        where = need().state.curdoc
        if where is not None and where.session_context is not None:
            self.doc = where  # from here on it belongs to a browser, too

    # ---------------------------------------------------------------- the page

    def _build(self) -> None:
        pn = need()
        say, wide = self.say, {"sizing_mode": "stretch_width"}
        self.pulse = pulse(say("silent", count="{count}"))
        self.pause = pn.widgets.Button(label=say("pause"), on_click=self._pause, **wide)
        self.coming, self.short = pn.pane.HTML("", **wide), pn.pane.HTML("", **wide)
        self.known_track, self.about_track = track(say("known_at")), track(say("about"))
        self.known_typed = pn.widgets.TextInput(label=say("known_typed"), **wide)
        self.about_typed = pn.widgets.TextInput(label=say("about_typed"), **wide)
        self.variable = pn.widgets.Select(label=say("variable"), options=["load"], **wide)
        self.site = pn.widgets.Select(label=say("site"), options={say("every_site"): ""}, value="", **wide)
        self.cell = pn.widgets.Select(label=say("cell"), options={}, **wide)
        self.span = pn.widgets.Select(
            label=say("span"),
            options={
                say("hours", count=self._n(12)): 0.5,
                say("days", count=self._n(2)): 2.0,
                say("days", count=self._n(WINDOW)): float(WINDOW),
            },
            value=2.0,
            **wide,
        )
        self.place = Map(self.language, self._tapped)
        self.fan, self.innovations = Fan(self.language), Innovations(self.language)
        self.map_picture = picture(say("map"), self.place.figure, language=self.language, name="sites")
        self.fan_picture = picture(say("chart"), self.fan.figure, language=self.language, name="load")
        self.gap_picture = picture(
            say("innovations"), self.innovations.figure, language=self.language, name="innovations"
        )
        self.assumed = pn.pane.HTML("", **wide)
        self.alarms, self.faults = pn.pane.HTML("", **wide), pn.pane.HTML("", **wide)
        self.buttons = pn.FlexBox(**wide)
        self.banner, self.back = (
            pn.pane.HTML("", **wide),
            pn.widgets.Button(label=say("back_to_now"), color="primary", visible=False, on_click=self._back),
        )
        steps = {
            name: self._steps(name, kind) for name, kind in (("known", self.known_track), ("about", self.about_track))
        }
        card: dict[str, Any] = {"css_classes": ["tk-card"], **wide}
        self.known_part = pn.Column(self.known_track, steps["known"], self.known_typed, **wide)
        self.view = page(
            self.session,
            self.session.say("operate"),
            controls=[
                self.pulse, self.pause, self.known_part, self.about_track, steps["about"], self.about_typed,
                self.site, self.cell, self.variable, self.span,
            ],
            pictures=[
                self.map_picture, self.fan_picture, self.assumed, self.gap_picture,
                pn.Column(self.coming, **card), pn.Column(self.faults, **card),
            ],
            notices=[
                self.banner, self.back, pn.Column(self.alarms, self.buttons, self.short, **card),
            ],
        )  # fmt: skip
        self.known_track.param.watch(lambda _: self._moved(), "value")
        self.about_track.param.watch(lambda _: self._chosen(self._about_moved), "value")
        self.known_typed.param.watch(lambda e: self._typed(e.new, "known"), "value")
        self.about_typed.param.watch(lambda e: self._typed(e.new, "about"), "value")
        self.site.param.watch(lambda _: self._chosen(self._sited), "value")
        for widget in (self.variable, self.cell, self.span):
            widget.param.watch(lambda _: self._chosen(self._draw), "value")
        where = pn.state.curdoc
        if self.session.store is not None and where is not None and where.session_context is not None:
            pn.state.add_periodic_callback(self._tick, period=EVERY)
        else:  # in a notebook cell, which may be gone when the next look is due
            self.pulse.paused = True
            self.pause.label = say("look_again")
            self.pause.visible = self.session.store is not None
            self.alone = True

    def _steps(self, name: str, bar: Any) -> Any:
        pn = need()

        def by(step: int) -> Any:
            def moved(_: Any) -> None:
                bar.value = min(max(bar.value + step, 0), bar.end)

            return moved

        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}
        names = {"earlier": -1, "later": 1, "newest": 1_000_000}
        what = self.say("known_at" if name == "known" else "about")
        made = [
            pn.widgets.Button(label=self.say(k), on_click=by(s), description=what, **wide) for k, s in names.items()
        ]
        return pn.Row(*made, sizing_mode="stretch_width")

    def _n(self, value: float) -> str:
        return counted(value, self.language)

    def _when(self, at: np.datetime64, *, seconds: bool = False, local: bool = True) -> str:
        return moment(at, self.language, hours=self.known.hours if local else 0.0, seconds=seconds)

    # ---------------------------------------------------------------- looking

    def _tick(self) -> None:
        if not self.paused:
            self._look()

    def _look(self, *, first: bool = False) -> None:
        """See what came, and show it; what goes wrong is said once, and all that is shown stays."""
        try:
            self.watch.look()
        except TwinError as fault:
            self._trouble(str(fault))
        except Exception as fault:  # noqa: BLE001 - a tick that raises would end all others
            self._trouble(f"{type(fault).__name__}: {fault}")
        else:
            if self.trouble:
                self.session.calm()
            self.trouble, self.faltered = "", False
            self.session.fresh()
        if first:
            self._renew()
        elif self.version != self.watch.version:
            self.session.act("viewer", self._renew, by_itself=True)
        if not self.faltered:
            self.pulse.text = self.say("looked", when=self._when(self.watch.looked, seconds=True, local=False))
            self.pulse.beat += 1
        self._stale()
        self._faults()

    def _trouble(self, text: str) -> None:
        # a journal that is opened or closed in this very moment is no trouble: the next look will tell
        if self.session.fresh() != "gone" and text != self.trouble and self.faltered:
            self.session.tell(text, kind="alert")
            self.trouble = text
        self.faltered = True
        self.pulse.beat += 1  # the server is there; it is the store that is not

    def _renew(self) -> None:
        """All parts anew, because the store told something new."""
        self.version = self.watch.version
        if np.isnat(self.known_at):
            self.known = self.watch.now
        self._announce()
        self._bars()
        self._choices()
        self._draw()

    def _announce(self) -> None:
        """Alarms that were not there at the last look are read out."""
        new = [a for a in self.watch.now.alarms if _name(a) not in self.told]
        first = not self.told and self.drawn is None
        self.told |= {_name(a) for a in new}
        for alarm in reversed(new):
            if not first and np.isnat(alarm["cleared"]):
                text = self.say("alarm_new", **told.alarm_words(alarm, self.language))
                self.session.tell(text, kind="alert", stays=True)

    def _stale(self) -> None:
        passed = stale(self.watch.figures, np.datetime64("now", "ns"))
        due = float(words()["load"].period)
        # since when, not for how long: what is read out must not change with each look
        since = self._when(self.watch.figures.received, local=False)
        self._coming(self.say("stale", since=since, period=told.span_of(due, self.language)) if passed else "")

    def _pause(self, _: Any = None) -> None:
        if self.alone:
            self._look()
            return
        self.paused = self.pulse.paused = not self.paused
        self.pause.label = self.say("resume" if self.paused else "pause")
        if self.paused:
            self.pulse.text = self.say("paused")
        else:
            self._look()

    # ---------------------------------------------------------------- when

    def _bars(self) -> None:
        """The two sliders, over the moments that there are now; where somebody looks at, they stay."""
        self.setting = True
        try:
            self.moments = self.watch.moments
            self.known_part.visible = self.session.store is not None
            place = len(self.moments)
            if not np.isnat(self.known_at):
                place = max(int(np.searchsorted(self.moments, self.known_at, side="right")) - 1, 0)
            self.known_track.end = len(self.moments)
            self.known_track.value = place
            self.known_track.text = (
                self.say("now") if np.isnat(self.known_at) else self._when(self.known_at, seconds=True)
            )
            self.times = self.known.times
            at = self._about()
            self.about_track.end = max(len(self.times) - 1, 0)
            self.about_track.value = int(np.argmin(np.abs(self.times - at))) if len(self.times) else 0
            kind = "estimate_of" if at <= self.known.last else "forecast_of"
            self.about_track.text = f"{self._when(at)}, {self.say(kind)}" if len(self.times) else "–"
        finally:
            self.setting = False
        past = not np.isnat(self.known_at)
        text = self.say("past", when=self._when(self.known_at, seconds=True)) if past else ""
        if past and self.known.record is None:
            text += " " + self.say("none_then", when=self._when(self.known_at, seconds=True))
        self.banner.object = f'<div class="tk-status" role="status"><p>{html.escape(text)}</p></div>' if text else ""
        self.back.visible = past

    def _about(self) -> np.datetime64:
        """The moment looked at: of those that something is believed of, the nearest to the one chosen."""
        times = self.known.times
        if np.isnat(self.about) or not len(times):
            return self.known.last
        nearest: np.datetime64 = times[int(np.argmin(np.abs(times - self.about)))]
        return nearest

    def _moved(self) -> None:
        if not self.setting:
            place = min(max(int(self.known_track.value), 0), len(self.moments))
            self._go(self.moments[place] if place < len(self.moments) else NOW)

    def _about_moved(self) -> None:
        if len(self.times):
            place = min(max(int(self.about_track.value), 0), len(self.times) - 1)
            chosen = self.times[place]
            # at its newest reading the page goes along with what comes
            self.about = NOW if chosen == self.known.last or place + 1 == len(self.times) else chosen
            self._bars()
            self._draw()

    def _go(self, at: np.datetime64) -> None:
        """Show what was known at a moment."""
        known = self.session.act("viewer", lambda: self.watch.known(at))
        if known is not None:
            self.known, self.known_at = known, at
            self._choices()
            self._draw()
        self._bars()

    def _back(self, _: Any = None) -> None:
        self.about = NOW
        self._go(NOW)

    def _typed(self, text: str, which: str) -> None:
        if self.setting or not str(text).strip():
            return

        def read() -> np.datetime64:
            given = self.session.text(text, most=60)
            try:
                stamp = pd.Timestamp(given)
                stamp = stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp
                return np.datetime64(stamp, "ns")
            except (ValueError, TypeError, OverflowError):
                raise TwinError(self.say("moment"), found=repr(given), hint="2026-03-01 12:00") from None

        at = self.session.act("viewer", read)
        if at is None or np.isnat(at):
            return
        if which == "known":
            self._go(NOW if at >= np.datetime64("now", "ns") else at)
        else:
            self.about = at
            self._bars()
            self._draw()

    # ---------------------------------------------------------------- what

    def _choices(self) -> None:
        """Quantities, sites and cells that are heard; what is chosen stays chosen while it is there."""
        self.setting = True
        try:
            readings = self.known.readings
            names = [str(n) for n in readings.data_vars] or ["load"]
            names.sort(key=lambda n: n != "load")
            options = {self._named(n): n for n in names}
            if options != self.variable.options:
                self.variable.param.update(
                    options=options, value=self.variable.value if self.variable.value in names else names[0]
                )
            owner = self.watch.places[1]
            variable = self.variable.value
            sensors: list[str] = []
            if variable in readings:
                dim = str(readings[variable].dims[1])
                sensors = [str(n) for n in readings[dim].to_numpy().tolist()]
            options = {self.say("every_site"): "", **_options(sorted({owner.get(n, n) for n in sensors}))}
            if options != self.site.options:
                chosen = self.site.value if self.site.value in options.values() else ""
                self.site.param.update(options=options, value=chosen)
            mine = [n for n in sensors if not self.site.value or owner.get(n, n) == self.site.value]
            options = _options(mine)
            if options != self.cell.options:
                chosen = self.cell.value if self.cell.value in mine else self._worth(mine)
                self.cell.param.update(options=options, value=chosen)
        finally:
            self.setting = False

    def _named(self, variable: str) -> str:
        if variable == "load":
            return self.say("axis_load")
        return label(variable, language=self.language) if variable in words() else plain(variable)

    def _worth(self, sensors: list[str]) -> str | None:
        """The sensor that is shown first: one with an alarm, else the busiest."""
        for alarm in self.known.alarms:
            if alarm["sensor"] in sensors:
                return str(alarm["sensor"])
        then = self.known.at_time(self._about()) if self.known.record is not None else None
        if then is not None:
            load = {str(c): float(v) for c, v in zip(then["cell"].to_numpy(), then["load"].to_numpy(), strict=True)}
            heard = [s for s in sensors if s in load]
            if heard:
                return max(heard, key=lambda s: load[s])
        return sensors[0] if sensors else None

    def _chosen(self, change: Callable[[], None]) -> None:
        """Somebody chose something, and not the page itself."""
        if not self.setting:
            self.session.act("viewer", change)

    def _sited(self) -> None:
        self._choices()
        self._draw()

    def _tapped(self, site: str) -> None:
        if site in self.site.options.values():
            self.site.value = site

    def _show(self, alarm: dict[str, Any]) -> None:
        """Go to the sensor of an alarm."""
        self.setting = True
        self.variable.value, self.site.value = "load", ""
        self.setting = False
        self._choices()
        if alarm["sensor"] in self.cell.options.values():
            self.cell.value = alarm["sensor"]
        self._draw()

    # ---------------------------------------------------------------- drawing

    def _draw(self) -> None:
        """Put all pictures in place; nothing where nothing changed."""
        if self.setting:
            return
        about, sensor, variable = self._about(), str(self.cell.value or ""), str(self.variable.value or "")
        state = (self.version, str(self.known_at), str(about), sensor, variable, self.site.value, self.span.value)
        if state == self.drawn:
            return
        if self.drawn is not None and self.drawn[4] != variable:
            self._choices()
        self.drawn = state
        if self.doc is None:
            self._paint()
        elif not self.due:
            # Panel tells of a choice without the document's lock, and figures may not be changed without it
            self.due = True
            self.doc.add_next_tick_callback(self._painted)
        self._alarms()
        self._assumed()

    def _painted(self) -> None:
        self.session.act("viewer", self._paint, by_itself=True)

    def _paint(self) -> None:
        """The figures of what is chosen now."""
        self.due = False
        about, sensor, variable = self._about(), str(self.cell.value or ""), str(self.variable.value or "")
        known, days = self.known, float(self.span.value)
        site = self.watch.places[1].get(sensor, sensor)
        alarm = next((a for a in known.alarms if a["sensor"] == sensor), None) if variable == "load" else None
        alt, behind = self.place.feed(self.watch, known, about, site)
        self.map_picture.show(alt=alt, table=behind)
        alt, behind = self.fan.feed(known, variable, sensor, about, days, alarm)
        self.fan_picture.show(alt=alt, table=behind if len(behind) else None)
        self.fan_picture.view.visible = bool(len(behind))
        alt, behind = self.innovations.feed(known, sensor if variable == "load" else "", days, alarm)
        self.gap_picture.show(alt=alt, table=behind if len(behind) else None)
        self.gap_picture.view.visible = bool(len(behind))  # axes without anything on them say nothing

    def _alarms(self) -> None:
        found = self.known.alarms
        made = told.alarms(found, self.language, instead=self._empty() if self.known.record is None else "")
        if made == self.alarms.object:
            return
        self.alarms.object = made
        button = need().widgets.Button
        self.buttons[:] = [
            button(label=self.say("show_sensor", sensor=plain(a["sensor"], 30)), on_click=lambda _, a=a: self._show(a))
            for a in found[: told.SHOWN]
            if a["sensor"]
        ]

    def _empty(self) -> str:
        """What to do where there is nothing to believe."""
        if not np.isnat(self.known_at):
            return self.say("none_then", when=self._when(self.known_at, seconds=True))
        if self.known.readings.data_vars:
            return self.say("no_load")
        if self.session.store is None:
            return self.say("memory")
        return self.say("none_yet", store=plain(self.session.store.name))

    def _assumed(self) -> None:
        more = self.say("memory") if self.session.store is None else ""
        self.assumed.object = told.assumed(self.known, self.language, noise=self.watch.noise, more=more)

    def _coming(self, warning: str) -> None:
        """How telemetry comes in."""
        if self.session.store is None:
            return
        whole, line = told.coming(self.watch.figures, self.language, hours=self.known.hours, warning=warning)
        if whole != self.coming.object:
            self.coming.object = whole
        if line != self.short.object:
            self.short.object = line

    def _faults(self) -> None:
        """What quality finds; not at each look, because it goes through all readings."""
        readings = self.known.readings
        if readings is self.findings_of:
            return
        soon = clock.monotonic() - self.looked_for_faults < FINDINGS
        if soon and np.isnat(self.known_at):
            return
        self.looked_for_faults, self.findings_of = clock.monotonic(), readings
        found: list[dict[str, Any]] | str
        try:
            found = findings_of(readings) if readings.data_vars else self.say("nothing")
        except TwinError as fault:
            found = str(fault)
        self.faults.object = told.faults(found, self.language)


def _name(alarm: dict[str, Any]) -> tuple[str, str, str]:
    return alarm["fault"], alarm["sensor"], str(alarm["raised"])


def _options(names: list[str]) -> dict[str, str]:
    """What is shown of names → the names; two that look alike get a number."""
    out: dict[str, str] = {}
    for name in names:
        shown = plain(name)
        same = 2
        while shown in out:
            shown, same = f"{plain(name)} ({same})", same + 1
        out[shown] = name
    return out
