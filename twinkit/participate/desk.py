"""The officials' pages: who waits, what is proposed, what is reported, and where people ask for something."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.participate import officials
from twinkit.participate.database import Unanswered

if TYPE_CHECKING:
    from twinkit.participate.visit import Visit

__all__ = ["Desk"]

PARTS = {"waiting": "moderate", "proposals": "plan", "reports": "plan", "demand": "look", "pin": "moderate"}
"""Parts of the desk, and what one must be allowed to do to see them."""
NEEDED = {"show": "moderate", "hide": "moderate", "delete": "moderate"}
"""What a deed needs; all others need `plan`."""


class Desk:
    """What officials see and do; each deed is checked against the register when it is done."""

    def __init__(self, pages: Any) -> None:
        self.pages = pages

    def _who(self, visit: Visit) -> tuple[str, str] | None:
        return officials.passed(self.pages.register, visit.cookie("desk"))

    def desk(self, visit: Visit, *, message: str = "", status: int = 200) -> Any:
        """The part of the desk that was asked for, or the first that the role allows."""
        register = self.pages.register
        who = self._who(visit)
        if who is None:
            return visit.page("sign.html", "/desk", message=message, status=status)
        may = officials.MAY[who[1]]
        parts = [part for part, needed in PARTS.items() if needed in may]
        asked = visit.query("part") or visit.field("part")
        part = asked if asked in parts else parts[0]
        pins, more, page, drawn = [], False, 1, {}
        if part == "demand":
            drawn = self.pages.drawn(visit, visit.numbers("zoom", 2), fewest=1)
        elif part == "pin":
            number = visit.query("pin") or visit.field("pin")
            if number:
                try:
                    pins = [register.pin(visit.number_of(number))]
                except TwinError as fault:
                    message, status = visit.regret(fault), 422
        else:
            some = {
                "waiting": register.waiting,
                "reports": register.reports,
                "proposals": lambda **which: register.proposals(states=("received", "studied"), **which),
            }[part]
            pins, more, page = self.pages.paged(visit, some)
        counts = register.counts()
        return visit.page(
            "desk.html", "/desk", status=status, message=message, name=who[0], role=who[1], may=may, parts=parts,
            part=part, pins=pins, more=more, page=page, counts=counts, shown=self.pages.shown_squares(), official=True,
            studies=self.pages.store is not None and self.pages.path_loss is not None, drawn=drawn,
            people=self.pages.grid.people,
        )  # fmt: skip

    def sign_in(self, visit: Visit) -> Any:
        """A pass for eight hours, for a name and its password."""
        name, register = visit.field("name"), self.pages.register
        if not officials.known(register, name, visit.field("password"), source=visit.source):
            return visit.page("sign.html", "/desk", status=403, message=visit.say("sorry_sign"))
        answer = visit.to("/desk")
        visit.keep(answer, "desk", officials.pass_for(register, name), hours=8)
        return answer

    def sign_out(self, visit: Visit) -> Any:
        """The passes of an official end, that of this browser and all others."""
        who = self._who(visit)
        if who is not None:
            officials.leave(self.pages.register, who[0])
        answer = visit.to("/")
        visit.keep(answer, "desk", "", hours=0)
        return answer

    def act(self, visit: Visit) -> Any:
        """A deed on a pin: show, hide, delete, study, studied, accepted, rejected."""
        register, who, deed = self.pages.register, self._who(visit), visit.field("act")
        if who is None or NEEDED.get(deed, "plan") not in officials.MAY[who[1]]:
            return visit.sorry(visit.say("sorry_role"), 403)
        by, reason = who[0], visit.field("reason")
        try:
            number = visit.number_of(visit.request.path_params["number"])
            if deed in ("show", "hide"):
                register.moderate(number, show=deed == "show", by=by, reason=reason)
            elif deed == "delete":
                register.delete(number, by=by, reason=reason)
            elif deed == "study" and self.pages.store is not None and self.pages.path_loss is not None:
                from twinkit.participate.study import study

                study(register, self.pages.store, number, path_loss=self.pages.path_loss, by=by)
            else:
                register.advance(number, deed, by=by, reason=reason, figures=_figures(visit.field("figures")))
        except TwinError as fault:
            if isinstance(fault, Unanswered):
                raise
            return self.desk(visit, message=visit.regret(fault), status=422)
        part, page = visit.field("part"), visit.field("page")
        to = f"?part={part}" if part in PARTS and part != "pin" else ""
        return visit.to(f"/desk{to}{f'&page={page}' if to and page.isascii() and page.isdigit() else ''}")

    def weigh(self, visit: Visit) -> Any:
        """What citizens ask for, as a layer on a branch of the store."""
        who = self._who(visit)
        if who is None or "plan" not in officials.MAY[who[1]]:
            return visit.sorry(visit.say("sorry_role"), 403)
        if self.pages.store is None:
            raise TwinError("a store", found="none", hint="serve the pages of a stored twin")
        from twinkit.participate.study import weigh

        try:
            weigh(self.pages.register, self.pages.store, by=who[0])
        except TwinError as fault:
            if isinstance(fault, Unanswered):
                raise
            return self.desk(visit, message=visit.regret(fault), status=422)
        return self.desk(visit, message=visit.say("weighed"))

    def table(self, visit: Visit) -> Any:
        """The squares with their pins as CSV, for officials."""
        if self._who(visit) is None:
            return visit.sorry(visit.say("sorry_role"), 403)
        counts, grid = self.pages.register.squares(fewest=1), self.pages.grid
        subjects = [str(s) for s in counts.subject.values]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["square", "x [m]", "y [m]", "people", *subjects, "pins"])
        for index, name in enumerate(counts.square.values):
            column, row = map(int, str(name).split(","))
            people = "" if grid.people is None else round(float(grid.people[row, column]))
            pins = [int(n) for n in counts.pins.values[index]]
            at = float(counts.x[index]), float(counts.y[index])
            writer.writerow([grid.name((column, row)), *at, people, *pins, sum(pins)])
        headers = {"content-disposition": 'attachment; filename="demand.csv"'}
        return self.pages.web.Response(stream.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _figures(text: str) -> dict[str, float]:
    out = {}
    for line in filter(None, (part.strip() for part in text.splitlines()[:8])):
        name, _, value = line.rpartition("=")
        try:
            out[name.strip()[:60] or "figure"] = float(value.replace(",", ""))
        except ValueError:
            raise TwinError("figures as 'people gained = 1200'", found="other words", hint="one in a line") from None
    return out
