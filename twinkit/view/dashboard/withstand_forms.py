"""The forms of the Withstand app: a hazard with its fields, a plan with its own, and how text becomes numbers in SI."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from twinkit.error import escaped
from twinkit.view._figure import number
from twinkit.view.dashboard import need
from twinkit.view.dashboard.withstand_hazard import CATEGORIES, KINDS, Field, category, chosen, fields, first, unfit
from twinkit.view.dashboard.withstand_picture import say
from twinkit.view.dashboard.withstand_plan import DIESEL, Plan, plan, remembered
from twinkit.view.dashboard.withstand_plan import FIELDS as PLAN_FIELDS

if TYPE_CHECKING:
    from twinkit.view.dashboard.withstand import Page
    from twinkit.view.dashboard.withstand_hazard import Chosen

__all__ = ["WIDE", "HazardForm", "PlanForm", "read", "widget_of"]

WIDE: dict[str, Any] = {"sizing_mode": "stretch_width"}


class HazardForm:
    """The kind of a hazard and its fields; what the twin cannot answer is there, shut, with the reason."""

    def __init__(self, page: Page, twin: Any, key: str, *, optional: bool = False) -> None:
        self.page, self.language, self.say, self.optional = page, page.language, page.say, optional
        pn = page.pn
        self.labels = {"": self.say("nothing")} if optional else {}
        self.labels |= {k: self.say(f"k_{k}") for k in KINDS}
        # a list and no dict: Panel shuts an option by the text that stands in the page
        self.kind = pn.widgets.Select(label=self.say(key), options=list(self.labels.values()), **WIDE)
        self.reason = pn.pane.HTML("", sizing_mode="stretch_width")
        self.fields = pn.Column(sizing_mode="stretch_width")
        self.view = pn.Column(self.kind, self.reason, self.fields, sizing_mode="stretch_width")
        self.widgets: dict[str, Any] = {}
        self.known: tuple[Field, ...] = ()
        self.twin: Any = None
        if not optional:
            self.choose(first(twin))
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
            self.choose("" if self.optional else first(twin))
        self.kind.disabled_options = [self.labels[k] for k in missing]
        lines = [] if self.optional else [self._why(k, v) for k, v in missing.items()]
        self.reason.object = "".join(f'<p class="tk-small">{html.escape(line)}</p>' for line in lines)
        self.reason.visible = bool(lines)
        if self.asked != before or not self.known:
            self._ask()

    def _why(self, kind: str, missing: str) -> str:
        said_of = self.say("needs_grid") if kind == "blackout" else missing
        return self.say("unfit", kind=self.say(f"k_{kind}"), missing=said_of)

    def _ask(self) -> None:
        """The fields of the kind that is chosen."""
        self.widgets, self.known = {}, ()
        parts: list[Any] = []
        if self.asked:
            self.known = fields(self.twin, self.asked)
            self.widgets = {f.key: widget_of(f, self.language) for f in self.known}
            parts = list(self.widgets.values())
        if self.asked == "cyclone":
            parts.insert(0, self._category())
        for widget in self.widgets.values():
            widget.param.watch(self.page.changed, "value")
        self.fields[:] = parts

    def _category(self) -> Any:
        """The class of the storm, which fills in a wind; a wind that is typed names its class."""
        wind = self.widgets["wind"]
        options = {self.say(f"c_{name}"): name for name in ("", *CATEGORIES)}
        made = self.page.pn.widgets.Select(
            label=self.say("category"), options=options, value=category(self.known[0].default), **WIDE
        )

        def typed_wind() -> float:
            found = read(wind, self.known[0])
            return found if isinstance(found, float) and found == found else 0.0

        def chosen_class(event: Any) -> None:
            if event.new and category(typed_wind()) != event.new:
                wind.value = written(round(CATEGORIES[event.new][1], 1), self.known[0])

        def typed(_event: Any) -> None:
            made.value = category(typed_wind())

        made.param.watch(chosen_class, "value")
        wind.param.watch(typed, "value")
        return made

    def chosen(self, twin: Any) -> Chosen | None:
        """The hazard as the fields say it, checked."""
        if not self.asked:
            return None
        values = {f.key: read(self.widgets[f.key], f) for f in self.known}
        return chosen(twin, self.asked, values)


class PlanForm:
    """The fields of one plan."""

    def __init__(self, page: Page, branches: list[str], begins: dict[str, Any]) -> None:
        self.page, language = page, page.language
        widgets = page.pn.widgets
        branch = branches.index("main") if "main" in branches else 0
        self.known = {f.key: f for f in PLAN_FIELDS}
        numbers = {k: widget_of(f, language, begins.get(k)) for k, f in self.known.items()}
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
                self.widgets[key].value = written(value, field) if field.kind == "number" else value

        self.page.session.act("viewer", fill)

    def plan(self) -> Plan:
        """The plan as the fields say it, checked."""
        values = {k: read(self.widgets[k], f) for k, f in self.known.items()}
        values |= {k: self.widgets[k].value for k in ("branch", "at")}
        return plan(values | dict.fromkeys(self.widgets["equipment"].value, True))


def widget_of(field: Field, language: str, value: Any = None) -> Any:
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
    return pn.widgets.TextInput(label=named, value=written(start, field), max_length=40, **WIDE)


def written(value: float, field: Field) -> str:
    """A value in SI as it stands in its widget."""
    shown = round(float(value) / field.scale, 4)
    return f"{shown:.0f}" if shown == int(shown) else str(shown)


def read(widget: Any, field: Field) -> Any:
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
