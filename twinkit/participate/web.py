"""The citizens' pages: server-rendered HTML without a script, for a cheap phone on a thin line.

Nothing foreign is loaded, nothing that a citizen wrote is ever HTML, every form carries a token that only this
server can have made, and what an official does is checked against the register at the moment in which it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from twinkit.error import TwinError
from twinkit.participate.database import Unanswered
from twinkit.participate.desk import Desk
from twinkit.participate.grid import ACROSS, Grid, short
from twinkit.participate.guard import Guard
from twinkit.participate.pin import LONGEST, SUBJECTS
from twinkit.participate.register import SHOWN
from twinkit.participate.visit import Visit, style

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable

    import xarray as xr

    from twinkit.participate.pin import Pin
    from twinkit.participate.register import Register

__all__ = ["site"]

A_PAGE = 6
"""Proposals on a page: it stays below 100 kB when each holds as much as it can."""
SUGGESTED = 120
"""Names that the search offers."""
TIDY = 6 * 3600
"""[s] between two rounds in which what is too old is deleted."""


def _need() -> Any:
    try:
        import fastapi
        import jinja2
        import python_multipart  # noqa: F401  (forms cannot be read without it)
    except ImportError as fault:
        raise TwinError(
            "FastAPI, Jinja and python-multipart, which serve the pages",
            found=f"no module '{fault.name}'",
            hint="pip install 'twinkit[participate]'",
        ) from None
    return fastapi, jinja2


def site(
    register: Register,
    twin: xr.DataTree,
    *,
    store: str | os.PathLike[str] | None = None,
    path_loss: Callable[..., Any] | None = None,
    secure: bool = False,
) -> Any:
    """The pages of a register, as an ASGI application.

    While it is served it deletes every six hours what is older than the register keeps.

    Parameters
    ----------
    register : Register
    twin : DataTree
        Its places are the names on the map, its people the shades.
    store : path, optional
        Where a planner's studies become branches; needs `path_loss`.
    path_loss : function, optional
        As for `twinkit.radio.coverage`.
    secure : bool
        Cookies over TLS alone: set it where a proxy in front speaks TLS.

    Returns
    -------
    FastAPI
        For uvicorn; behind a path prefix with ``root_path``.

    Errors
    ------
    TwinError
        An extra that is not installed.
    """
    fastapi, jinja2 = _need()
    from starlette.middleware.gzip import GZipMiddleware

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("twinkit.participate", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages = Pages(register, twin, environment, fastapi, store=store, path_loss=path_loss, secure=secure)
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=pages.tidied)
    # Outermost last. A page that repeats what its address says holds no token, so that its packed size tells nothing.
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.add_middleware(Guard, too_large=pages.too_large, secure=secure)
    for path, methods, answer in pages.routes():
        app.add_api_route(path, answer, methods=methods, response_class=fastapi.responses.HTMLResponse)
    app.add_exception_handler(404, pages.missing)
    app.add_exception_handler(405, pages.missing)
    return app


class Pages:
    """What each address answers."""

    def __init__(
        self,
        register: Register,
        twin: xr.DataTree,
        environment: Any,
        fastapi: Any,
        *,
        store: Any,
        path_loss: Any,
        secure: bool,
    ) -> None:
        self.register, self.store, self.path_loss, self.secure = register, store, path_loss, secure
        self.environment, self.web = environment, fastapi
        self.title = str(twin.attrs.get("title", "") or register.choices["place"])
        self.grid = Grid(register.choices, twin)
        self.office = Desk(self)

    def routes(self) -> list[tuple[str, list[str], Callable[..., Awaitable[Any]]]]:
        """Address, methods and answer of each page."""
        office = self.office
        return [
            ("/", ["GET", "HEAD"], self._get(self.map)),
            ("/style.css", ["GET", "HEAD"], self._get(self.style)),
            ("/pin", ["GET"], self._get(self.form)),
            ("/pin", ["POST"], self._post(self.receive)),
            ("/proposals", ["GET"], self._get(self.proposals)),
            ("/changed", ["GET"], self._get(self.changed)),
            ("/support", ["POST"], self._post(self.support)),
            ("/follow", ["GET"], self._get(self.ask)),
            ("/follow", ["POST"], self._post(self.follow)),
            ("/withdraw", ["POST"], self._post(self.withdraw)),
            ("/sign-in", ["POST"], self._post(office.sign_in)),
            ("/sign-out", ["POST"], self._post(office.sign_out)),
            ("/desk", ["GET"], self._get(office.desk)),
            ("/desk/demand.csv", ["GET"], self._get(office.table)),
            ("/desk/demand", ["POST"], self._post(office.weigh)),
            ("/desk/{number}", ["POST"], self._post(office.act)),
        ]

    @contextlib.asynccontextmanager
    async def tidied(self, _: Any) -> AsyncIterator[None]:
        """While the pages are served, what is too old is deleted now and then."""

        async def tidy() -> None:
            from starlette.concurrency import run_in_threadpool

            while True:
                with contextlib.suppress(TwinError):  # a database that is away for a while is asked again later
                    await run_in_threadpool(self.register.expire)
                await asyncio.sleep(TIDY)

        task = asyncio.create_task(tidy())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # ---------------------------------------------------------------- the two kinds of visit

    def _get(self, answer: Callable[[Visit], Any]) -> Callable[..., Awaitable[Any]]:
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request

        async def asked(request: Request) -> Any:
            return await run_in_threadpool(self._answered, answer, Visit(self, request, {}))

        asked.__annotations__["request"] = Request
        return asked

    def _post(self, answer: Callable[[Visit], Any]) -> Callable[..., Awaitable[Any]]:
        from starlette.concurrency import run_in_threadpool
        from starlette.exceptions import HTTPException
        from starlette.requests import Request

        async def sent(request: Request) -> Any:
            try:
                form = await request.form(max_files=0, max_fields=20)
                fields = {k: v for k, v in form.items() if isinstance(v, str)}
            except HTTPException as fault:
                if fault.status_code == 413:
                    raise
                fields = {}
            visit = Visit(self, request, fields)
            if not visit.ours():
                message = visit.say("sorry_form")
                if answer == self.receive and not visit.foreign():
                    # What somebody wrote here is given back in a new form; what another site sent is not shown.
                    return await run_in_threadpool(self._again, visit, message, 403)
                return await run_in_threadpool(visit.sorry, message, 403)
            return await run_in_threadpool(self._answered, answer, visit)

        sent.__annotations__["request"] = Request
        return sent

    def _answered(self, answer: Callable[[Visit], Any], visit: Visit) -> Any:
        try:
            return answer(visit)
        except TwinError as fault:
            gone = isinstance(fault, Unanswered)
            return visit.sorry(visit.regret(fault), 503 if gone else 422)

    async def missing(self, request: Any, _: Any) -> Any:
        """No such page."""
        from starlette.concurrency import run_in_threadpool

        visit = Visit(self, request, {})
        return await run_in_threadpool(visit.sorry, visit.say("sorry_page"), 404)

    def too_large(self, scope: Any) -> Any:
        """What a form answers that holds more than any form can."""
        from starlette.requests import Request

        visit = Visit(self, Request(scope), {})
        return visit.sorry(visit.say("sorry_words", most=visit.number(LONGEST)), 413)

    # ---------------------------------------------------------------- everybody's pages

    def style(self, visit: Visit) -> Any:
        """The sheet of styles; its address changes with it, so that a browser asks once."""
        age = "max-age=31536000, immutable" if visit.query("v") == style()[1] else "max-age=3600"
        return self.web.Response(style()[0], media_type="text/css", headers={"cache-control": age})

    def map(self, visit: Visit) -> Any:
        """Squares with their pins; each leads to its form, or closer."""
        near = visit.query("near")
        found = self.grid.found(near)
        corner = self.grid.around(found[0][1]) if found else visit.numbers("zoom", 2)
        drawn = self.drawn(visit, corner, fewest=None)
        return visit.page(
            "map.html", "/", near=near, found=found, lost=bool(near.strip()) and not found,
            names_known=[p[0] for p in self.grid.places[:SUGGESTED]],
            fewest=visit.number(self.register.choices["fewest"]), **drawn,
        )  # fmt: skip

    def drawn(self, visit: Visit, corner: tuple[int, ...] | None, *, fewest: int | None) -> dict[str, Any]:
        """What a picture of the squares and the table behind it need."""
        grid = self.grid
        view = grid.view(corner)
        table = [(square, row, sum(row)) for square, row in self.register.counted(fewest=fewest).items()]
        cells = grid.cells(view, {square: total for square, _, total in table})
        for cell in cells:
            column, row = cell["square"]
            middle = (min(column + view.step // 2, grid.columns - 1), min(row + view.step // 2, grid.rows - 1))
            near = grid.near(middle)
            cell["label"] = visit.say(
                "square_alt" if near else "square_alone", square=grid.name(cell["square"]), near=near,
                pins=visit.number(cell["pins"]),
            )  # fmt: skip
            cell["pins"] = visit.digits(short(cell["pins"])) if cell["pins"] else ""
        zoomed = view.step == 1 and max(grid.columns, grid.rows) > ACROSS
        steps = {"north": (0, 6), "south": (0, -6), "west": (-6, 0), "east": (6, 0)} if zoomed else {}
        limits = max(0, grid.columns - ACROSS), max(0, grid.rows - ACROSS)
        ways = {
            way: f"{min(max(view.first + x, 0), limits[0])},{min(max(view.down + y, 0), limits[1])}"
            for way, (x, y) in steps.items()
        }
        here = f"{view.first},{view.down}"
        length, share = grid.scale(view)
        seen = [row for row in table if self._in(view, row[0])]
        return {
            "cells": cells, "view": view, "names": grid.names(view, self._circles(cells)), "zoomed": zoomed,
            "ways": {way: to for way, to in ways.items() if to != here}, "scale": visit.length(length), "share": share,
            "table": sorted(seen, key=lambda row: -row[2])[:40], "side": visit.length(grid.side),
            "subjects": SUBJECTS,
            "alt": visit.say(
                "map_alt", place=self.title, squares=visit.number(len(seen)),
                pins=visit.number(sum(row[2] for row in seen)),
            ),
        }  # fmt: skip

    @staticmethod
    def _circles(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"cx": c["cx"], "cy": c["cy"], "r": c["r"], "pins": bool(c["pins"])} for c in cells]

    @staticmethod
    def _in(view: Any, square: tuple[int, int]) -> bool:
        return bool(view.first <= square[0] < view.first + view.wide and view.down <= square[1] < view.down + view.high)

    def shown_squares(self) -> set[tuple[int, int]]:
        """Squares in which enough pins lie to be shown."""
        return set(self.register.counted())

    def form(self, visit: Visit) -> Any:
        """The form of a pin in a square."""
        return self._form(visit, self.grid.square(visit.query("square")))

    def _form(self, visit: Visit, square: tuple[int, int], *, message: str = "", status: int = 200) -> Any:
        others: list[tuple[str, int]] = []
        with contextlib.suppress(TwinError):  # a register that does not answer must not lose what was written
            row = self.register.counted(square=square).get(square, ())
            others = [(subject, n) for subject, n in zip(SUBJECTS, row, strict=False) if n]
        return visit.page(
            "pin.html", "/", status=status, square=square, back="{},{}".format(*self.grid.around(square)),
            key=visit.field("key")[:64] or secrets.token_hex(16), subjects=SUBJECTS, message=message,
            words=visit.field("words")[:4800], chosen=visit.field("subject"), others=others,
            moderated=self.register.choices["moderated"], side=visit.length(self.grid.side),
        )  # fmt: skip

    def _again(self, visit: Visit, message: str, status: int) -> Any:
        """The form once more, with what was written and what is wrong with it."""
        try:
            square = self.grid.square(visit.field("square"))
        except TwinError as fault:
            return visit.sorry(visit.regret(fault), 422)
        return self._form(visit, square, message=message, status=status)

    def receive(self, visit: Visit) -> Any:
        """A form that was sent: the pin is on the disk before this answers."""
        square = self.grid.square(visit.field("square"))
        _, right, _, high = self.register.choices["bounds"]
        x, y = self.register._middle(square)
        try:
            receipt = self.register.receive(
                visit.field("subject"), visit.field("words"), x=min(x, right), y=min(y, high), source=visit.source,
                key=f"{visit.visitor} {visit.field('key')}",
            )  # fmt: skip
        except TwinError as fault:
            if fault.where == "key":  # its pin was deleted: what is sent again needs a form of its own
                visit.fields = {k: v for k, v in visit.fields.items() if k != "key"}
            return self._again(visit, visit.regret(fault), 503 if isinstance(fault, Unanswered) else 422)
        return visit.page("thanks.html", "", code=receipt.code, waits=receipt.state == "waiting")

    def proposals(self, visit: Visit) -> Any:
        """What others propose, to be supported."""
        state = visit.query("state") if visit.query("state") in SHOWN else ""
        states = (state,) if state else SHOWN
        pins, more, page = self.paged(visit, lambda **some: self.register.proposals(states=states, **some))
        mine = self.register.supported(visit.visitor) if visit.known else set()
        return visit.page(
            "proposals.html", "/proposals", pins=pins, more=more, page=page, state=state, states=SHOWN, mine=mine,
            shown=self.shown_squares(), official=False,
        )  # fmt: skip

    def paged(self, visit: Visit, some: Callable[..., list[Pin]], size: int = A_PAGE) -> tuple[list[Pin], bool, int]:
        """Pins of one page, whether more follow, and the page's number from 1."""
        asked = visit.query("page")
        page = min(max(int(asked), 1), 10_000) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1
        found = some(most=size + 1, skip=(page - 1) * size)
        return found[:size], len(found) > size, page

    def changed(self, visit: Visit) -> Any:
        """What changed because of whom."""
        pins, more, page = self.paged(visit, lambda **some: self.register.proposals(states=("accepted",), **some))
        counts = self.register.counts()
        told = sum(counts[s] for s in SHOWN)
        return visit.page(
            "changed.html", "/changed", pins=pins, more=more, page=page, shown=self.shown_squares(), official=False,
            sums=[
                ("sum_pins", told), ("sum_studied", sum(counts[s] for s in ("studied", "accepted", "rejected"))),
                ("sum_accepted", counts["accepted"]), ("sum_rejected", counts["rejected"]),
            ],
            deleted=visit.number(counts["deleted"]), taken=visit.number(counts["taken back"]),
        )  # fmt: skip

    def support(self, visit: Visit) -> Any:
        """One support more, or one less."""
        number = visit.number_of(visit.field("pin"))
        self.register.support(number, person=visit.visitor, source=visit.source, on=visit.field("on") != "no")
        back = {"state": visit.field("state"), "page": visit.field("page")}
        kept = {k: v for k, v in back.items() if v.isascii() and v.isalnum() and len(v) < 12}
        return visit.to(f"/proposals?{urlencode(kept)}#pin-{number}" if kept else f"/proposals#pin-{number}")

    def ask(self, visit: Visit) -> Any:
        """The form for a code."""
        return visit.page("follow.html", "/follow", pin=None, code="", message="")

    def follow(self, visit: Visit) -> Any:
        """What became of one's own pin."""
        code = visit.field("code")
        try:
            pin = self.register.follow(code)
        except TwinError as fault:
            if fault.where != "code":
                raise
            return visit.page("follow.html", "/follow", status=422, pin=None, code="", message=visit.regret(fault))
        return visit.page("follow.html", "/follow", pin=pin, code=code, message="", shown={pin.square}, official=False)

    def withdraw(self, visit: Visit) -> Any:
        """One's own pin, taken back."""
        self.register.withdraw(visit.field("code"))
        return visit.page("said.html", "", heading="withdrawn_head", message=visit.say("withdrawn"))
