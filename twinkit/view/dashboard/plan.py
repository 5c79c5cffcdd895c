"""Plan: move, add, remove and retune sites, and see at once who is covered.

What is shown comes from `plan_state`; here stand the fields and buttons, and the order in which answers arrive: while a
mast is dragged the coarse picture at once, the fine one as soon as nobody asks for another. Trying something out is
open to everybody; keeping it as a branch needs the role planner, and that is asked on the server.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.contract import within
from twinkit.error import TwinError, escaped
from twinkit.radio.ranking import Stopped
from twinkit.view.dashboard import need
from twinkit.view.dashboard.page import page, picture
from twinkit.view.dashboard.plan_branch import Kept, beside, meanwhile
from twinkit.view.dashboard.plan_edits import Edit, fresh_name
from twinkit.view.dashboard.plan_map import PlanMap
from twinkit.view.dashboard.plan_said import Said
from twinkit.view.dashboard.plan_state import Plan, Seen
from twinkit.view.dashboard.plan_worker import Worker
from twinkit.vocabulary import word

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from twinkit.view.dashboard.session import Session

__all__ = ["app"]

log = logging.getLogger("twinkit.dashboard")
STEP = 100.0
"""[m] of an arrow."""
FAR = 30e3
"""[m] beyond which the model over terrain listens to no cell."""
FIELDS = {"height": 1.0, "azimuth": 5.0, "downtilt": 1.0, "transmit_power": 1.0, "frequency": 100.0}
"""What can be tuned, and the step of its field."""
NEAR = 5e-3
"""Two lengths [m] that a field shows alike."""


def _offered() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Path loss models by key: the function, and how `Plan` is to take it."""
    from twinkit import radio

    return {
        "rma": (radio.rma, {}),
        "uma": (radio.uma, {}),
        "p1812": (radio.p1812, {"paths": radio.sweep, "farthest": FAR, "deep": 1}),
        "free": (radio.free_space, {}),
    }


def app(
    session: Session,
    *,
    path_loss: Callable[..., Any] | None = None,
    threshold: float = -105.0,
    pins: xr.DataArray | None = None,
    square: float = 1000.0,
    **choices: Any,
) -> Any:
    """The page of one person.

    Parameters
    ----------
    session : Session
        Where it has a ``register``, citizens' pins come from there.
    path_loss : function, optional
        A model of your own, as `twinkit.radio.coverage` takes it, beside those that can be chosen on the page.
    threshold : float [dBm]
        Covered above it, to begin with.
    pins : DataArray (square, subject), optional
        As `twinkit.participate.wished` takes them, with the side of a `square` [m].
    **choices
        Of `Plan`, for a model of your own: ``paths``, ``near``, ``farthest``, ...

    Returns
    -------
    panel Viewable

    Examples
    --------
    In a notebook, with a model that is set beforehand::

        session = tk.view.dashboard.session.Session("out/shimla.twin", role="planner")
        tk.view.dashboard.plan.app(session, path_loss=partial(tk.radio.longley_rice, climate="desert"))
    """
    models = _offered()
    if path_loss is not None:
        models = {"own": (path_loss, choices), **models}
    asked = _asked(session) if pins is None else (pins, square)
    return _Page(session, models, threshold, asked).whole


def _asked(session: Session) -> tuple[xr.DataArray, float] | None:
    """Citizens' pins by squares: all for a planner, those that may be published for others."""
    register = session.register
    if register is None:
        return None
    try:
        squares = register.squares(fewest=1 if session.may("planner") else None)
    except TwinError as fault:
        session.tell(str(fault), kind="alert")
        return None
    return squares["pins"], float(register.choices["square"])


class _Page:
    def __init__(
        self,
        session: Session,
        models: dict[str, tuple[Any, dict[str, Any]]],
        threshold: float,
        asked: tuple[xr.DataArray, float] | None,
    ) -> None:
        self.session, self.models = session, models
        self.say = Said(session)
        self.pn = need()
        self.where = self.pn.state.curdoc
        self.served = self.where is not None and self.where.session_context is not None
        self.thread = threading.current_thread()
        if self.served:
            from tornado.ioloop import IOLoop

            self.loop = IOLoop.current()
        self.pins = asked
        self.model = next(iter(models))
        function, choices = models[self.model]
        wished = None if asked is None else self._wished(session.twin)
        self.plan = Plan(session.twin, path_loss=function, threshold=threshold, wished=wished, **choices)
        self.kept = None if session.store is None else Kept(session.store)
        self.saved: tuple[Edit, ...] = ()
        # edits that the model is known to take, and what to go back to when it takes none
        self.good: tuple[Edit, ...] | None = None
        self.previous: tuple[str, Plan, tuple[Edit, ...] | None] | None = None
        self.number = 0
        self.seen: Seen | None = None
        self.worker = Worker(self._answer)
        sites = self.plan.sites()
        self.site = sites[0] if sites else ""
        self.filling = self.ready = False
        self.map = PlanMap(self.plan, self._touched, self.say.length, self.say.count)
        self._controls()
        self._pictures()
        self._fill()
        self.whole = page(session, self.say("title"), controls=self.controls, pictures=self.pictures)
        self._shaped()
        self.ready = True
        if self.served:
            self.pn.state.on_session_destroyed(lambda _context: self.worker.end())
            if session.store is not None:
                self.pn.state.add_periodic_callback(self._look, period=5_000)
            # not sooner: a thread that answers before the page is whole would speak to nobody
            self.pn.state.onload(self.ask)
        else:
            self.ask()

    # ---------------------------------------------------------------- fields

    def _controls(self) -> None:
        widgets = self.pn.widgets
        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        models = {self.say(f"model_{k}"): k for k in self.models}
        self.w_model = widgets.Select(label=self.say("model"), options=models, value=self.model, **wide)
        self.w_threshold = widgets.FloatInput(
            label=self.say("threshold"), value=self.plan.threshold, step=1.0, start=-250.0, end=60.0, **wide
        )
        self.w_site = widgets.Select(
            label=self.say("site"), options=self.say.names(self.plan), value=self.site or None, **wide
        )
        self.w_x, self.w_y = (widgets.FloatInput(label=self.say(d), step=STEP, **wide) for d in ("x", "y"))
        arrows = {"west": (-STEP, 0.0), "north": (0.0, STEP), "south": (0.0, -STEP), "east": (STEP, 0.0)}
        self.arrows = [self._button(k, functools.partial(self._step, *by)) for k, by in arrows.items()]
        self.w_cell = widgets.Select(label=self.say("cell"), options={self.say("all_cells"): ""}, value="", **wide)
        self.w_tuned = {k: widgets.FloatInput(label=self.say(k), step=s, **wide) for k, s in FIELDS.items()}
        self.b_add, self.b_remove = self._button("add", self._add), self._button("remove", self._remove)
        self.b_undo, self.b_redo = self._button("undo", self._undo), self._button("redo", self._redo)
        self.w_steps = self.pn.pane.HTML("", **wide)
        # whoever reloads or closes the page with a plan that is not saved is asked first, by the browser
        self.w_unsaved = widgets.Checkbox(label="", visible=False)
        ask = "window.onbeforeunload = cb_obj.active ? event => { event.preventDefault(); return '' } : null"
        self.w_unsaved.jscallback(value=ask)
        self.w_wishes = widgets.Checkbox(label=self.say("wishes"), value=True, visible=self.pins is not None)
        self.w_model.param.watch(lambda e: self._judged(e.new, self.plan.threshold), "value")
        self.w_threshold.param.watch(lambda e: self._judged(self.model, e.new), "value")
        self.w_site.param.watch(lambda e: self._choose(e.new), "value")
        for dim, widget in (("x", self.w_x), ("y", self.w_y)):
            widget.param.watch(functools.partial(self._placed, dim), "value")
        self.w_cell.param.watch(lambda _e: self._fill(), "value")
        for name, widget in self.w_tuned.items():
            widget.param.watch(functools.partial(self._tuned, name), "value")
        self.w_wishes.param.watch(lambda _e: self._show_wishes(), "value")
        pair = functools.partial(self.pn.GridBox, ncols=2, **wide)
        tuned = self.w_tuned
        self.controls = [
            self._head("site_heading"),
            self.w_site,
            pair(self.w_x, self.w_y),
            pair(*self.arrows),
            tuned["height"],
            self.w_cell,
            pair(*(tuned[k] for k in FIELDS if k != "height")),
            self.b_add,
            self.b_remove,
            self._head("steps"),
            pair(self.b_undo, self.b_redo),
            self.w_steps,
            self.w_unsaved,
            *self._saving(),
            *self._comparing(),
            self._head("wishes_heading"),
            self.w_wishes if self.pins is not None else self._quiet(self.say("no_wishes")),
            self._head("judged"),
            self.w_model,
            self.w_threshold,
        ]

    def _saving(self) -> list[Any]:
        widgets = self.pn.widgets
        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        self.w_branch = widgets.TextInput(label=self.say("branch"), placeholder="what-if.plan", **wide)
        self.w_message = widgets.TextInput(label=self.say("message"), **wide)
        self.b_save = self._button("save", self._save, primary=True)
        self.b_save.disabled = not self.session.may("planner")  # `_save` asks again, on the server
        self.b_newest = self._button("newest", self._newest)
        self.b_newest.visible = False
        if self.session.store is None:
            return [self._head("save_heading"), self._quiet(self.say("no_store"))]
        quiet = []
        if not self.session.may("planner"):
            quiet = [self._quiet(self.say.refused("planner"))]
        return [self._head("save_heading"), self.w_branch, self.w_message, *quiet, self.b_save, self.b_newest]

    def _comparing(self) -> list[Any]:
        widgets = self.pn.widgets
        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        options = self._branches()
        self.w_first = widgets.Select(label=self.say("first"), options=options[1:], value="main", **wide)
        self.w_second = widgets.Select(label=self.say("second"), options=options, value=options[0], **wide)
        self.b_compare = self._button("compare", self._compare)
        if self.session.store is None:
            return []
        return [self._head("compare_heading"), self.w_first, self.w_second, self.b_compare]

    def _branches(self) -> list[str]:
        names = ["main"]
        if self.session.store is not None:
            from twinkit import store as stores

            with contextlib.suppress(TwinError):  # the frame says that the store is gone
                names = ["main", *(n for n in stores.branches(self.session.store) if n != "main")]
        return [self.say("this_plan"), *names]

    def _button(self, key: str, act: Callable[[], Any], *, primary: bool = False) -> Any:
        kind = "primary" if primary else "default"
        made = self.pn.widgets.Button(label=self.say(key), color=kind, sizing_mode="stretch_width")
        made.on_click(lambda _event: self.session.act("viewer", act))
        return made

    def _head(self, key: str) -> Any:
        return self.pn.pane.HTML(self.say.head(key), sizing_mode="stretch_width")

    def _quiet(self, text: str) -> Any:
        return self.pn.pane.HTML(self.say.quiet(text), sizing_mode="stretch_width")

    # ---------------------------------------------------------------- pictures

    def _pictures(self) -> None:
        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        self.w_numbers = self.pn.pane.HTML(self.say.quiet(self.say("waiting")), **wide)
        self.picture = picture(self.say("map_heading"), self.map.figure, language=self.session.language, name="plan")
        keys = self.pn.pane.HTML(self.say.keys(pins=self.pins is not None), **wide)
        zoom = [
            self._button(k, functools.partial(self._put, functools.partial(self.map.zoom, by)))
            for k, by in (("nearer", 1.6), ("farther", 1 / 1.6), ("whole", 0.0))
        ]
        self.w_state = self.pn.pane.HTML("", **wide)
        self.picture.view.insert(2, self.pn.Column(keys, self.pn.GridBox(*zoom, ncols=3, **wide), self.w_state, **wide))
        self.compared = picture(self.say("compare_picture"), language=self.session.language, name="compared")
        self.compared.view.visible = False
        self.pictures = [self.w_numbers, self.picture, self.compared]
        self._show_wishes()

    def _shaped(self) -> None:
        """The map keeps the shape of the region, however wide the page is."""
        left, right, bottom, top = self.map.box
        ratio = min(max((right - left) / (top - bottom), 0.4), 3.0)
        self.panes = self.picture.view.select(self.pn.pane.Bokeh)
        for pane in self.panes:
            pane.param.update(sizing_mode="scale_width", aspect_ratio=ratio, max_width=int(min(900, 760 * ratio)))

    def _wished(self, twin: xr.DataTree) -> Any:
        from twinkit.participate.weight import wished

        if self.pins is None:
            return None
        surface = twin.children["surface"].to_dataset(inherit=False)
        return wished(self.pins[0], surface["people"], square=self.pins[1])

    def _with_pins(self) -> bool:
        return self.pins is not None and bool(self.w_wishes.value)

    def _show_wishes(self) -> None:
        shown = self.pins[0] if self.pins is not None and self.w_wishes.value else None
        self._put(functools.partial(self.map.ask_for, shown))
        if self.seen is not None:
            self.w_numbers.object = self.say.numbers(self.seen, pins=self._with_pins())

    # ---------------------------------------------------------------- what a person does

    def _touched(self, told: Any) -> None:
        """Somebody touched a mast on the map; all of it comes from a browser and may be anything."""
        self.session.act("viewer", lambda: self._dragged(told))

    def _dragged(self, told: Any) -> None:
        try:
            phase, site = str(told["phase"][0]), str(told["site"][0])
            x, y, self.number = float(told["x"][0]), float(told["y"][0]), int(told["number"][0])
        except (KeyError, IndexError, TypeError, ValueError, OverflowError):
            raise TwinError("a site and its place", found="something else", hint="drag a mast", where="map") from None
        if phase == "choose":
            if site in self.plan.sites():
                self._choose(site)
            self.ask()
        elif phase in ("move", "end"):
            edit = Edit("move", site, {"x": x, "y": y})
            if phase == "end":
                self.site = site
                self._do(edit)
            else:
                self.plan.now(edit)
                self.ask(edit)

    def _choose(self, site: str) -> None:
        if site and site != self.site:
            self.site = site
            self._fill()

    def _here(self) -> tuple[float, float]:
        """Where the chosen site stands."""
        row = self.plan.now().sites.sel(site=self.site)
        return float(row["x"]), float(row["y"])

    def _step(self, east: float, north: float) -> None:
        x, y = self._here()
        self._do(Edit("move", self.site, {"x": x + east, "y": y + north}))

    def _placed(self, dim: str, event: Any) -> None:
        if self.filling:
            return
        place = dict(zip(("x", "y"), self._here(), strict=True))
        if event.new is None or abs(float(event.new) - place[dim]) > NEAR:
            value = math.nan if event.new is None else event.new
            self._try(Edit("move", self.site, {**place, dim: value}))

    def _tuned(self, name: str, event: Any) -> None:
        if self.filling:
            return
        value = math.nan if event.new is None else float(event.new) * (1e6 if name == "frequency" else 1.0)
        now = self._value(name)
        if now is None or not math.isclose(value, now, rel_tol=1e-9, abs_tol=1e-6):
            cell = "" if name == "height" else str(self.w_cell.value)
            self._try(Edit("tune", self.site, {name: value}, cell=cell))

    def _value(self, name: str) -> float | None:
        """What the chosen site or cell has now, in the vocabulary's unit."""
        tables = self.plan.now()
        if name == "height":
            return float(tables.sites["height"].sel(site=self.site))
        own = np.flatnonzero(tables.cells["site"].values.astype(str) == self.site)
        if self.w_cell.value:
            own = np.array([i for i in own if str(tables.cells["cell"].values[i]) == self.w_cell.value], int)
        return float(tables.cells[name].values[own[0]]) if own.size else None

    def _add(self) -> None:
        x, y = self._here()
        left, right, bottom, top = self.map.box
        aside = [v + (0.06 if v < (a + b) / 2 else -0.06) * (b - a) for v, a, b in ((x, left, right), (y, bottom, top))]
        name = fresh_name(self.plan.now())
        edit = Edit("add", name, {"x": aside[0], "y": aside[1]}, like=self.site)
        self.plan.do(edit)
        self.site = name
        self._after()

    def _remove(self) -> None:
        if len(self.plan.sites()) == 1:
            raise TwinError("a network of at least one site", found="none left", hint="move it instead")
        self._do(Edit("remove", self.site))

    def _undo(self) -> None:
        self.plan.undo()
        self._after()

    def _redo(self) -> None:
        self.plan.redo()
        self._after()

    def _try(self, edit: Edit) -> None:
        """An edit from a field: when it does not work, the field shows again what holds."""
        before = len(self.plan.edits)

        def act() -> None:
            if "frequency" in edit.values:  # the field is in MHz, and so is what is wrong with it
                known = word("frequency")
                low, high = (known.low * 1e-6, known.high * 1e-6)
                within(edit.values["frequency"] * 1e-6, low, high, name="frequency", unit="MHz")
            self._do(edit)

        self.session.act("viewer", act)
        if len(self.plan.edits) == before:
            self._fill()

    def _do(self, edit: Edit) -> None:
        try:
            self.plan.do(edit)
        finally:
            self._after()

    def _after(self) -> None:
        sites = self.plan.sites()
        if self.site not in sites and sites:
            self.site = sites[0]
        self._fill()
        self.ask()

    def _fill(self) -> None:
        """Fields, marks and the list as the plan has them."""
        self.filling = True
        try:
            options = self.say.names(self.plan)
            if self.w_site.options != options:
                self.w_site.options = options
            self.w_site.value = self.site or None
            tables = self.plan.now()
            mine = np.flatnonzero(tables.cells["site"].values.astype(str) == self.site)
            own = [str(c) for c in tables.cells["cell"].values[mine]]
            cells = {self.say("all_cells"): "", **{escaped(c): c for c in own}}
            if self.w_cell.options != cells:
                self.w_cell.options = cells
                self.w_cell.value = ""
            if self.site:
                for widget, value in zip((self.w_x, self.w_y), self._here(), strict=True):
                    widget.value = round(value, 2)
                for name, widget in self.w_tuned.items():
                    scale, now = (1e6 if name == "frequency" else 1.0), self._value(name)
                    widget.value = None if now is None else round(now / scale, 6)
            self._put(functools.partial(self.map.stand, self.plan, self.site))
            self.b_undo.disabled, self.b_redo.disabled = not self.plan.edits, not self.plan.undone
            self.w_unsaved.value = bool(self.plan.edits) and self.plan.edits != self.saved
            self.w_steps.object = self.say.steps(self.plan)
        finally:
            self.filling = False

    def _judged(self, model: str, threshold: Any) -> None:
        """Another model, or another threshold."""

        def act() -> None:
            if model == self.model:
                self.plan.judge(math.nan if threshold is None else float(threshold))
            else:
                function, choices = self.models[model]
                made = Plan(
                    self.plan.base, path_loss=function, threshold=self.plan.threshold,
                    wished=self._wished(self.plan.base), **choices,
                )  # fmt: skip
                for edit in self.plan.edits:
                    made.do(edit)
                made.undone = self.plan.undone
                self.previous = self.model, self.plan, self.good
                self.model, self.plan, self.good = model, made, None
            self.ask()

        if model != self.model or threshold != self.plan.threshold:
            self.session.act("viewer", act)
            self.w_model.value, self.w_threshold.value = self.model, self.plan.threshold

    # ---------------------------------------------------------------- answers

    def ask(self, extra: Edit | None = None) -> None:
        """Have the plan answered, with one more edit that is not remembered."""
        question = (self.plan, extra, self.number)
        if self.served:
            self.worker.ask(question)
        else:
            self._answer(question, lambda: False)

    def _answer(self, question: tuple[Plan, Edit | None, int], newer: Callable[[], bool]) -> None:
        plan, extra, asked = question
        edits = plan.edits
        try:
            small = plan.coarse_every() == plan.fine_every()
            if not small:
                seen = plan.coarse(extra)
                self._put(functools.partial(self._show, plan, edits, seen, asked, last=False))
                if newer():
                    return
            seen = plan.fine(extra, stop=newer)
            self._put(functools.partial(self._show, plan, edits, seen, asked, last=True))
        except Stopped:
            return
        except TwinError as fault:
            self._put(functools.partial(self._refused, plan, extra, fault))
        except Exception:  # a thread of its own: what it raises nobody would hear
            log.exception("a plan on %s was not answered", self.session.store)
            self._put(functools.partial(self.session.tell, self.session.say("failed"), kind="alert"))

    def _put(self, change: Callable[[], None]) -> None:
        """Change the page from anywhere: Panel calls some watchers without the lock that Bokeh's models want."""
        if not (self.served and self.ready):
            change()
            if self.ready:
                from panel.io.notebook import push_notebook

                push_notebook(*self.panes)  # in a cell nobody else tells the browser what became of Bokeh's models
        elif threading.current_thread() is self.thread:
            self.where.add_next_tick_callback(change)
        else:  # the document itself is no place for two threads
            self.loop.add_callback(self.where.add_next_tick_callback, change)

    def _show(self, plan: Plan, edits: tuple[Edit, ...], seen: Seen, asked: int, *, last: bool) -> None:
        if plan is not self.plan:
            return
        self.seen = seen
        self.map.show(seen, asked)
        self.w_numbers.object = self.say.numbers(seen, pins=self._with_pins())
        size = self.say.length(float(plan.axes[1][1] - plan.axes[1][0]) * seen.every)
        text = self.say("fine", size=size) if last else self.say("coarse", every=self.say.count(seen.every))
        self.w_state.object = self.say.quiet(text, "status")
        if last:
            self.good = edits
            self.picture.show(alt=self.say.alt(plan, seen), table=self._table())

    def _refused(self, plan: Plan, extra: Edit | None, fault: TwinError) -> None:
        """The model does not take what the plan says: what was new is taken back, the last edit or the model."""
        if plan is not self.plan:
            return
        good = self.good
        if extra is None and good is not None and plan.edits[: len(good)] == good and len(plan.edits) > len(good):
            plan.undo()
            plan.undone = plan.undone[:-1]
        elif extra is None and good is None and self.previous is not None:
            (self.model, self.plan, self.good), self.previous = self.previous, None
            self.w_model.value = self.model
        else:
            self.session.tell(str(fault), kind="alert")
            return
        self.session.tell(self.say("refused", why=str(fault)), kind="alert")
        self._after()

    def _table(self) -> xr.Dataset:
        """The sites as the plan has them."""
        own = set(self.plan.sites())
        table = self.plan.now().sites
        some = table.isel(site=[i for i, s in enumerate(table["site"].values) if str(s) in own])
        return some[[n for n in ("name", "x", "y", "height") if n in some]]

    # ---------------------------------------------------------------- the store

    def _save(self) -> None:
        self.session.act("planner", self._saved)

    def _saved(self) -> None:
        if self.kept is None:
            raise TwinError("a store", found="a twin that was never saved", hint='tk.save(twin, "town.twin")')
        name, message = self.session.text(self.w_branch.value, most=100), self.session.text(self.w_message.value)
        done = self.kept.save(self.plan, name, message, author=self.session.user or None)
        self.saved = self.plan.edits
        self._fill()
        newer = meanwhile(self.plan, self.kept.store)
        text = self.say("saved", branch=name, head=done.head[:12])
        if newer:
            last = {"who": newer[0].author, "why": newer[0].message[:200]}
            text += " " + self.say("moved_on", count=self.say.count(len(newer)), **last)
        self.session.tell(text)
        self._renamed(second=name)

    def _renamed(self, second: str | None = None) -> None:
        options = self._branches()
        first, was = self.w_first.value, self.w_second.value
        self.w_first.options, self.w_second.options = options[1:], options
        self.w_first.value = first if first in options else "main"
        self.w_second.value = next(n for n in (second, was, options[0]) if n in options)

    def _look(self) -> None:
        self.b_newest.visible = bool(self.plan.edits) and self.session.fresh() == "newer"

    def _newest(self) -> None:
        made, left = self.plan.onto(self.session.reopen())
        wished = self._wished(made.base)
        if wished is not None:
            made.weigh(wished)
        self.plan, self.good, self.previous = made, None, None
        self.b_newest.visible = False
        text = self.say("laid", count=self.say.count(len(made.edits)))
        if left:
            text += " " + self.say("left", count=self.say.count(len(left)), list="; ".join(map(self.say.told, left)))
        self.session.tell(text, kind="alert" if left else "status")
        self._renamed()
        self._after()

    def _compare(self) -> None:
        names: list[str | None] = [self.w_first.value, self.w_second.value]
        if names[1] == self.say("this_plan"):
            names[1] = None
        plan, store = self.plan, self.session.store
        if store is None:
            raise TwinError("a store", found="a twin that was never saved", hint='tk.save(twin, "town.twin")')
        shown = {"first": names[0], "second": names[1] or self.say("this_plan")}
        self.session.tell(self.say("comparing", **shown))

        def work() -> None:
            try:
                table, covered, twins = beside(plan, store, names, this=self.say("this_plan"))
                from twinkit.view import before_after

                figure = before_after(*covered, twin=twins[1], language=self.session.language)
            except TwinError as fault:
                self._put(functools.partial(self._failed, fault))
                return
            self._put(functools.partial(self._beside, table, figure, shown))

        if self.served:
            threading.Thread(target=work, daemon=True, name="compare").start()
        else:
            work()

    def _failed(self, fault: TwinError) -> None:
        if self.session.fresh() != "gone":
            self.session.tell(str(fault), kind="alert")

    def _beside(self, table: xr.Dataset, figure: Any, shown: dict[str, Any]) -> None:
        self.compared.view.visible = True
        self.compared.show(figure, table=table)
        row = table.isel(branch=-1)
        parts = {k: self.say.people(float(row[k])) for k in ("covered", "gained", "lost")}
        parts["share"] = self.say.share(float(row["share"]) / 100.0)
        self.session.tell(self.say("compared", **parts, **shown))
