"""What the planner's page says: words and numbers, as text and as HTML in which everything is escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from twinkit.error import escaped
from twinkit.view._figure import number
from twinkit.view._furnish import MARK, distance
from twinkit.view.dashboard.plan_map import COLOURS
from twinkit.view.dashboard.session import phrases

if TYPE_CHECKING:
    from twinkit.view.dashboard.plan_edits import Edit
    from twinkit.view.dashboard.plan_state import Plan, Seen
    from twinkit.view.dashboard.session import Session

__all__ = ["Said"]

say = phrases("words_plan.csv")
MOST_STEPS = 12
SMALL = "font-size:14px;color:var(--tk-soft)"


class Said:
    """The words of one page in its language."""

    def __init__(self, session: Session) -> None:
        self.session, self.language = session, session.language

    def __call__(self, key: str, **parts: Any) -> str:
        """A phrase of the app."""
        return say(key, self.language, **parts)

    def count(self, value: float, unit: str = "") -> str:
        """A number in three digits."""
        return number(value, language=self.language, unit=unit)

    def people(self, value: float) -> str:
        """A number of people, of whom there are no parts."""
        return self.count(float(round(value)))

    def share(self, value: float) -> str:
        """A share as per cent."""
        return number(value, language=self.language, share=True)

    def length(self, metres: float) -> str:
        """A length with its unit."""
        return distance(metres, self.language)

    def refused(self, needed: str) -> str:
        """That this needs another role."""
        parts = {"needed": self.session.say(needed), "role": self.session.say(self.session.role)}
        return self.session.say("forbidden", **parts)

    # ------------------------------------------------------------ HTML

    def head(self, key: str) -> str:
        """A heading."""
        return f"<h2>{html.escape(self(key))}</h2>"

    @staticmethod
    def quiet(text: str, role: str = "") -> str:
        """A line in small print; with the role "status" it is read out."""
        heard = f' role="{role}"' if role else ""
        return f'<p class="tk-small"{heard}>{html.escape(text)}</p>'

    def keys(self, *, pins: bool) -> str:
        """The legend of the map."""
        square = '<rect width="16" height="16" rx="2" fill="{}" stroke="#7a848e"/>'
        triangle = '<path d="M8 2 15 14H1Z" fill="{}" stroke="#ffffff"/>'
        names = ("nowhere", "kept", "gained", "lost")
        rows = [(square.format(c), n) for c, n in zip(COLOURS, names, strict=True)]
        rows += [(triangle.format("#000000"), "mast"), (triangle.format(MARK), "touched")]
        if pins:
            rows.append(('<circle cx="8" cy="8" r="6" fill="none" stroke="#1b1f23" stroke-width="2"/>', "pin"))
        style = "display:flex;flex-wrap:wrap;gap:2px 16px;list-style:none;margin:6px 0;padding:0;font-size:14px"
        drawn = '<svg width="16" height="16" aria-hidden="true" style="vertical-align:-2px;background:#fff">{}</svg>'
        items = "".join(f"<li>{drawn.format(d)} {html.escape(self(n))}</li>" for d, n in rows)
        return f'<ul style="{style}">{items}</ul>'

    def numbers(self, seen: Seen, *, pins: bool) -> str:
        """People covered, gained and lost, and citizens' pins."""
        people = seen.people
        everybody = self("share", people=self.people(people.everybody))
        rows = [
            ("people_covered", self.people(people.covered), f"{self.share(people.share)} {everybody}"),
            ("people_gained", f"+{self.people(people.gained)}" if people.gained >= 0.5 else self.count(0.0), ""),
            ("people_lost", f"−{self.people(people.lost)}" if people.lost >= 0.5 else self.count(0.0), ""),
        ]
        if pins:
            wished = seen.wished
            # a square's pins lie evenly over its pixels, so that sums of them need not be whole
            of = self("wishes_of", count=self.people(wished.everybody), gained=self.people(wished.gained))
            rows.append(("wishes_met", self.people(wished.covered), of))
        cells = "".join(
            f'<div style="min-width:120px"><dt style="{SMALL}">{html.escape(self(key))}</dt>'
            f'<dd style="margin:0"><b style="font-size:24px" data-number="{key}">{html.escape(value)}</b> '
            f'<span style="{SMALL}">{html.escape(more)}</span></dd></div>'
            for key, value, more in rows
        )
        return f'<dl style="display:flex;flex-wrap:wrap;gap:6px 28px;margin:0 0 6px">{cells}</dl>'

    def steps(self, plan: Plan) -> str:
        """The list of edits, the newest last."""
        if not plan.edits:
            return self.quiet(self("nothing"))
        rows = "".join(f"<li>{html.escape(self.told(e))}</li>" for e in plan.edits[-MOST_STEPS:])
        start = max(1, len(plan.edits) - MOST_STEPS + 1)
        return f'<ol start="{start}" style="margin:4px 0;padding-inline-start:28px;font-size:14px">{rows}</ol>'

    # ------------------------------------------------------------ text

    def told(self, edit: Edit) -> str:
        """One edit in a line."""
        parts: dict[str, Any] = {"site": escaped(edit.cell or edit.site), "like": escaped(edit.like)}
        parts |= {d: f"{edit.values[d]:.0f}" for d in ("x", "y") if d in edit.values}
        if edit.kind == "tune":
            ((name, value),) = edit.values.items()
            what, _, unit = self(name).rpartition(" [")
            scale = 1e-6 if name == "frequency" else 1.0
            parts |= {"what": what, "value": f"{value * scale:g} {unit.rstrip(']')}"}
        return self(f"did_{edit.kind}", **parts)

    def alt(self, plan: Plan, seen: Seen) -> str:
        """What the map shows."""
        left, right, bottom, top = plan.tables.box
        people = seen.people
        told = {k: self.people(getattr(people, k)) for k in ("covered", "gained", "lost")}
        return self(
            "alt",
            width=self.count((right - left) / 1e3),
            height=self.count((top - bottom) / 1e3),
            sites=self.count(len(plan.sites())),
            people=self.people(people.everybody),
            share=self.share(people.share),
            **told,
        )

    def names(self, plan: Plan) -> dict[str, str]:
        """What each site is called in a list → its id."""
        table = plan.now().sites
        names: dict[str, str] = {}
        if "name" in table:
            names = dict(zip(map(str, table["site"].values), map(str, table["name"].values), strict=True))
        both = {s: s if names.get(s, "") in ("", s) else f"{s} · {names[s]}" for s in plan.sites()}
        return {escaped(text[:80]): s for s, text in both.items()}
