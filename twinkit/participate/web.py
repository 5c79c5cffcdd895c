"""The citizens' pages: server-rendered HTML without a script, for a cheap phone on a thin line.

Nothing foreign is loaded, nothing that a citizen wrote is ever HTML, every form carries a token that only this
server can have made, and what an official does is checked against the register at the moment in which it is done.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import math
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import numpy as np

from twinkit.error import TwinError
from twinkit.participate import officials
from twinkit.participate.pin import LONGEST

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Mapping

    import xarray as xr

    from twinkit.participate.register import Register

__all__ = ["site"]

LARGEST = 32 * 1024
"""Bytes of a form."""
ACROSS = 12
"""Squares across the map: each is a link, and a page stays small."""
LINES = 28
"""Heights of a name that the map is wide."""
LANGUAGES = (("en", "English"), ("hi", "हिन्दी"), ("fr", "Français"), ("fa", "فارسی"))
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # With no referrer at all a browser sends no origin either, and a form cannot be told from a forged one.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@functools.cache
def _phrases() -> dict[str, dict[str, str]]:
    text = importlib.resources.files("twinkit.participate").joinpath("words.csv").read_text(encoding="utf-8")
    return {row.pop("key"): row for row in csv.DictReader(text.splitlines())}


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

    Parameters
    ----------
    register : Register
    twin : DataTree
        Its places are the names on the map.
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
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("twinkit.participate", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages = _Pages(register, twin, environment, fastapi, store=store, path_loss=path_loss, secure=secure)
    app.add_middleware(_Guard)
    for path, methods, answer in pages.routes():
        app.add_api_route(path, answer, methods=methods, response_class=fastapi.responses.HTMLResponse)
    app.add_exception_handler(404, pages.missing)
    app.add_exception_handler(405, pages.missing)
    return app


class _Guard:
    """Headers on every answer, and no body beyond what a form can hold."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from starlette.exceptions import HTTPException
        from starlette.responses import PlainTextResponse

        seen, begun = 0, False

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LARGEST:
                raise HTTPException(413)
            return message

        async def headed(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                held = {k.lower() for k, _ in message["headers"]}
                new = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in held]
                message = {**message, "headers": [*message["headers"], *new]}
            await send(message)

        told = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = PlainTextResponse("too large", status_code=413)
        if not told.isdigit() or int(told) > LARGEST:
            await too_large(scope, receive, headed)
            return
        try:
            await self.app(scope, counted, headed)
        except HTTPException:
            if not begun:
                await too_large(scope, receive, headed)


class _Pages:
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
        self.names: list[tuple[str, float, float]] = []
        if "places" in twin.children:
            places = twin.children["places"].to_dataset(inherit=False)
            order = np.argsort(-places["population"].values) if "population" in places else range(places.sizes["place"])
            self.names = [
                (str(places["name"].values[i]), float(places["x"].values[i]), float(places["y"].values[i]))
                for i in order
            ]

    def routes(self) -> list[tuple[str, list[str], Callable[..., Awaitable[Any]]]]:
        from starlette.requests import Request  # noqa: F401

        return [
            ("/", ["GET"], self._get(self.map)),
            ("/style.css", ["GET"], self._get(self.style)),
            ("/pin", ["GET"], self._get(self.form)),
            ("/pin", ["POST"], self._post(self.receive)),
            ("/proposals", ["GET"], self._get(self.proposals)),
            ("/changed", ["GET"], self._get(self.changed)),
            ("/support", ["POST"], self._post(self.support)),
            ("/follow", ["GET"], self._get(self.ask)),
            ("/follow", ["POST"], self._post(self.follow)),
            ("/withdraw", ["POST"], self._post(self.withdraw)),
            ("/sign-in", ["POST"], self._post(self.sign_in)),
            ("/sign-out", ["POST"], self._post(self.sign_out)),
            ("/desk", ["GET"], self._get(self.desk)),
            ("/desk/{number}", ["POST"], self._post(self.act)),
        ]

    # ---------------------------------------------------------------- the two kinds of visit

    def _get(self, answer: Callable[[_Visit], Any]) -> Callable[..., Awaitable[Any]]:
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request

        async def asked(request: Request) -> Any:
            visit = _Visit(self, request, {})
            return await run_in_threadpool(self._answered, answer, visit)

        asked.__annotations__["request"] = Request
        return asked

    def _post(self, answer: Callable[[_Visit], Any]) -> Callable[..., Awaitable[Any]]:
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
            visit = _Visit(self, request, fields)
            if not visit.ours():
                return visit.sorry(
                    "this form was not made here, or is older than a day: go back and send it again", 403
                )
            return await run_in_threadpool(self._answered, answer, visit)

        sent.__annotations__["request"] = Request
        return sent

    def _answered(self, answer: Callable[[_Visit], Any], visit: _Visit) -> Any:
        try:
            return answer(visit)
        except TwinError as fault:
            gone = fault.expected == "a database that answers"
            said = (
                "the register does not answer; what you sent was not kept"
                if gone
                else f"{fault.expected}; {fault.hint}"
            )
            return visit.sorry(said, 503 if gone else 422)

    async def missing(self, request: Any, _: Any) -> Any:
        from starlette.concurrency import run_in_threadpool

        visit = _Visit(self, request, {})
        return await run_in_threadpool(visit.sorry, "no such page", 404)

    # ---------------------------------------------------------------- everybody's pages

    def style(self, _: _Visit) -> Any:
        text = importlib.resources.files("twinkit.participate").joinpath("pages", "style.css").read_text("utf-8")
        return self.web.Response(text, media_type="text/css", headers={"cache-control": "max-age=3600"})

    def map(self, visit: _Visit) -> Any:
        left, right, low, high = self.register.choices["bounds"]
        side = self.register.choices["square"]
        columns, rows = math.ceil((right - left) / side), math.ceil((high - low) / side)
        near = visit.query("near")
        found = self._place(near)
        zoom = visit.numbers("zoom", 2)
        step = max(1, math.ceil(max(columns, rows) / ACROSS))
        first, down, wide, high_ = 0, 0, columns, rows
        if found is not None or zoom is not None or step == 1:
            if found is not None:
                column, row = self.register._square(*found)
                zoom = (column - ACROSS // 2, row - ACROSS // 2)
            if zoom is not None:
                first = int(np.clip(zoom[0], 0, max(0, columns - ACROSS)))
                down = int(np.clip(zoom[1], 0, max(0, rows - ACROSS)))
            wide, high_, step = min(ACROSS, columns), min(ACROSS, rows), 1
        counts = self.register.squares()
        held = {
            tuple(map(int, str(s).split(","))): int(n)
            for s, n in zip(counts.square.values, counts.pins.sum("subject").values, strict=True)
        }
        cells = []
        for row in range(down, down + high_, step):
            for column in range(first, first + wide, step):
                many = sum(
                    held.get((c, r), 0) for c in range(column, column + step) for r in range(row, row + step)
                ) if step > 1 else held.get((column, row), 0)  # fmt: skip
                width, height = min(step, first + wide - column), min(step, down + high_ - row)
                x, y = column - first, high_ - (row - down) - height
                to = {"square": f"{column},{row}"} if step == 1 else {"zoom": f"{column},{row}"}
                cells.append({
                    "to": f"pin?{urlencode(to)}" if step == 1 else f"?{urlencode(to)}",
                    "label": visit.say("square_alt", square=f"{column},{row}", pins=visit.number(many)),
                    "x": x, "y": y, "w": width, "h": height, "pins": visit.number(many) if many else "",
                    "cx": x + width / 2, "cy": y + height / 2, "r": round(0.38 * min(width, height), 3),
                })  # fmt: skip
        names = [
            {"name": name, "x": round((x - left) / side - first, 3), "y": round(high_ - ((y - low) / side - down), 3)}
            for name, x, y in self._inside(first, down, wide, high_)
        ]
        return visit.page(
            "map.html", "/", cells=cells, names=names, wide=wide, high=high_, dot=round(wide / 150, 3),
            text=round(wide / LINES, 3), near=near, lost=bool(near) and found is None,
            zoomed=step == 1 and columns > ACROSS, side=self._side(visit),
            fewest=visit.number(self.register.choices["fewest"]),
            alt=visit.say(
                "map_alt", place=self.register.choices["place"], squares=visit.number(len(held)),
                pins=visit.number(sum(held.values())),
            ),
        )  # fmt: skip

    def _side(self, visit: _Visit) -> str:
        side = self.register.choices["square"]
        return f"{visit.number(side / 1000)} km" if side >= 1000 else f"{visit.number(side)} m"

    def _place(self, near: str) -> tuple[float, float] | None:
        wanted = near.casefold().strip()
        if not wanted:
            return None
        by = [(n.casefold(), x, y) for n, x, y in self.names]
        for fits in (lambda n: n == wanted, lambda n: n.startswith(wanted), lambda n: wanted in n):
            for name, x, y in by:
                if fits(name) and self._holds(x, y):
                    return x, y
        return None

    def _holds(self, x: float, y: float) -> bool:
        left, right, low, high = self.register.choices["bounds"]
        return left <= x <= right and low <= y <= high

    def _inside(self, first: int, down: int, wide: int, high: int, most: int = 12) -> list[tuple[str, float, float]]:
        """The largest places of a part of the map that do not lie on one another's names."""
        left, _, low, _ = self.register.choices["bounds"]
        side = self.register.choices["square"]
        kept: list[tuple[str, float, float]] = []
        letter = 0.55 / LINES * wide * side  # how wide a letter is, in metres
        for name, x, y in self.names:
            name = name if len(name) <= 20 else f"{name[:19]}…"
            column, row = (x - left) / side - first, (y - low) / side - down
            ends = column + len(name) * letter / side
            if not (column >= 0 and ends < wide and 0.06 * high < row < 0.97 * high):
                continue
            if all(
                abs(y - v) > 0.06 * high * side or x > u + len(n) * letter or u > x + len(name) * letter
                for n, u, v in kept
            ):
                kept.append((name, x, y))
            if len(kept) == most:
                break
        return kept

    def form(self, visit: _Visit) -> Any:
        from twinkit.participate import tables

        square = self._wanted(visit.query("square"))
        return visit.page(
            "pin.html", "/", square=f"{square[0]},{square[1]}", near=self._nearest(square), key=secrets.token_hex(16),
            subjects=tables.SUBJECTS, most=LONGEST,
        )  # fmt: skip

    def _wanted(self, text: str) -> tuple[int, int]:
        column, comma, row = text.partition(",")
        left, right, low, high = self.register.choices["bounds"]
        side = self.register.choices["square"]
        if comma and column.isascii() and row.isascii() and column.isdigit() and row.isdigit() and len(text) < 16:
            square = int(column), int(row)
            if square[0] < math.ceil((right - left) / side) and square[1] < math.ceil((high - low) / side):
                return square
        raise TwinError("a square of the map", found="another", hint="go back to the map and choose one")

    def _nearest(self, square: tuple[int, int]) -> str:
        x, y = self.register._middle(square)
        return min(self.names, key=lambda p: math.hypot(p[1] - x, p[2] - y))[0] if self.names else "?"

    def receive(self, visit: _Visit) -> Any:
        square = self._wanted(visit.field("square"))
        _, right, _, high = self.register.choices["bounds"]
        x, y = self.register._middle(square)
        receipt = self.register.receive(
            visit.field("subject"), visit.field("words"), x=min(x, right), y=min(y, high), source=visit.source,
            key=f"{visit.visitor} {visit.field('key')}",
        )  # fmt: skip
        return visit.page("said.html", "", heading="thanks", code=receipt.code, message="")

    def proposals(self, visit: _Visit) -> Any:
        return visit.page("proposals.html", "/proposals", heading="proposals", pins=self.register.proposals(most=50))

    def changed(self, visit: _Visit) -> Any:
        pins = [p for p in self.register.proposals(most=500) if p.state == "accepted"]
        return visit.page("proposals.html", "/changed", heading="changed", pins=pins[:50])

    def support(self, visit: _Visit) -> Any:
        number = visit.number_of(visit.field("pin"))
        self.register.support(number, person=visit.visitor, source=visit.source)
        return visit.to("/proposals")

    def ask(self, visit: _Visit) -> Any:
        return visit.page("follow.html", "/follow", pin=None, code="")

    def follow(self, visit: _Visit) -> Any:
        code = visit.field("code")
        return visit.page("follow.html", "/follow", pin=self.register.follow(code), code=code)

    def withdraw(self, visit: _Visit) -> Any:
        self.register.withdraw(visit.field("code"))
        return visit.page("said.html", "", heading="withdrawn", code="", message="")

    # ---------------------------------------------------------------- officials

    def desk(self, visit: _Visit) -> Any:
        who = officials.passed(self.register, visit.cookie("desk"))
        if who is None:
            return visit.page("sign.html", "/desk", message="")
        may = officials.MAY[who[1]]
        waiting = self.register.waiting() if "moderate" in may else []
        still = [p for p in self.register.proposals(most=100) if p.state in ("received", "studied")]
        return visit.page(
            "desk.html", "/desk", name=f"{who[0]} ({who[1]})", moderates="moderate" in may, plans="plan" in may,
            waiting=waiting, open=still if "plan" in may else [], store=self.store is not None, most=LONGEST,
        )  # fmt: skip

    def sign_in(self, visit: _Visit) -> Any:
        name = visit.field("name")
        if not officials.known(self.register, name, visit.field("password"), source=visit.source):
            return visit.page("sign.html", "/desk", status=403, message=visit.say("sorry"))
        answer = visit.to("/desk")
        visit.keep(answer, "desk", officials.pass_for(self.register, name), hours=8)
        return answer

    def sign_out(self, visit: _Visit) -> Any:
        answer = visit.to("/")
        visit.keep(answer, "desk", "", hours=0)
        return answer

    def act(self, visit: _Visit) -> Any:
        who = officials.passed(self.register, visit.cookie("desk"))
        deed = visit.field("act")
        needed = "moderate" if deed in ("show", "hide") else "plan"
        if who is None or needed not in officials.MAY[who[1]]:
            return visit.sorry("only somebody whose role allows it may do this: sign in", 403)
        number, by, reason = visit.number_of(visit.request.path_params["number"]), who[0], visit.field("reason")
        if needed == "moderate":
            self.register.moderate(number, show=deed == "show", by=by, reason=reason)
        elif deed == "study" and self.store is not None and self.path_loss is not None:
            from twinkit.participate.study import study

            study(self.register, self.store, number, path_loss=self.path_loss, by=by)
        else:
            self.register.advance(number, deed, by=by, reason=reason, figures=_figures(visit.field("figures")))
        return visit.to("/desk")


def _figures(text: str) -> dict[str, float]:
    out = {}
    for line in filter(None, (part.strip() for part in text.splitlines()[:20])):
        name, _, value = line.rpartition("=")
        try:
            out[name.strip()[:80] or "figure"] = float(value.replace(",", ""))
        except ValueError:
            raise TwinError("figures as 'people gained = 1200'", found="other words", hint="one in a line") from None
    return out


class _Visit:
    """One request: who asks in which language, and how to answer."""

    def __init__(self, pages: _Pages, request: Any, fields: Mapping[str, str]) -> None:
        self.pages, self.request, self.fields = pages, request, fields
        asked = self.query("language") or self.cookie("language")
        codes = [c for c, _ in LANGUAGES]
        told = [p.partition(";")[0].strip()[:2] for p in request.headers.get("accept-language", "")[:200].split(",")]
        self.language = asked if asked in codes else next((c for c in told if c in codes), "en")
        held = self.cookie("visitor")
        self.visitor = held if len(held) == 32 and held.isalnum() else secrets.token_hex(16)
        self.new = self.visitor != held
        self.source = request.client.host if request.client else "nowhere"

    def query(self, name: str) -> str:
        return str(self.request.query_params.get(name, ""))[:200]

    def cookie(self, name: str) -> str:
        return str(self.request.cookies.get(f"twinkit-{name}", ""))[:600]

    def field(self, name: str) -> str:
        return self.fields.get(name, "")

    def numbers(self, name: str, count: int) -> tuple[int, ...] | None:
        parts = self.query(name).split(",")
        fit = len(parts) == count and all(p.isascii() and p.isdigit() and len(p) < 7 for p in parts)
        return tuple(map(int, parts)) if fit else None

    def number_of(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise TwinError("the number of a pin", found="another", hint="go back and try again")
        return int(text)

    def say(self, key: str, **parts: Any) -> str:
        row = _phrases()[key]
        return (row.get(self.language) or row["en"]).format(**parts)

    def number(self, value: float) -> str:
        text = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.3g}"
        if self.language == "fr":
            text = text.replace(",", "\u202f").replace(".", ",")
        return text.translate(str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫")) if self.language == "fa" else text

    # ---------------------------------------------------------------- who sent it

    def token(self) -> str:
        return self.pages.register._keyed(f"form {self.visitor}")

    def ours(self) -> bool:
        """Whether a form was made here for this browser, and sent from here."""
        import hmac

        origin = self.request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != self.request.headers.get("host", ""):
            return False
        if self.request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        return not self.new and hmac.compare_digest(self.token(), self.field("token"))

    # ---------------------------------------------------------------- answers

    def page(self, page: str, here: str, *, status: int = 200, **parts: Any) -> Any:
        kept = {k: str(v)[:100] for k, v in self.request.query_params.items() if k in ("square", "zoom", "near")}
        text = self.pages.environment.get_template(page).render(
            say=self.say, number=self.number, language=self.language, languages=LANGUAGES,
            root=self.request.scope.get("root_path", ""), here=here, place=self.pages.register.choices["place"],
            days=self.number(self.pages.register.choices["keep"]), token=self.token(),
            other=lambda code: urlencode({**kept, "language": code}), **parts,
        )  # fmt: skip
        answer = self.pages.web.responses.HTMLResponse(text, status_code=status)
        if self.new:
            self.keep(answer, "visitor", self.visitor, hours=24 * 365)
        if self.query("language") == self.language:
            self.keep(answer, "language", self.language, hours=24 * 365)
        return answer

    def sorry(self, message: str, status: int) -> Any:
        return self.page("said.html", "", status=status, heading="sorry", code="", message=message)

    def to(self, path: str) -> Any:
        root = self.request.scope.get("root_path", "")
        return self.pages.web.responses.RedirectResponse(f"{root}{path}", status_code=303)

    def keep(self, answer: Any, name: str, value: str, *, hours: int) -> None:
        answer.set_cookie(
            f"twinkit-{name}", value, max_age=3600 * hours, httponly=True, samesite="strict", secure=self.pages.secure,
            path=self.request.scope.get("root_path", "") or "/",
        )  # fmt: skip
