"""The handlers of the server: Panel's own with the door in front, and the plain pages around them."""

from __future__ import annotations

import functools
import importlib.resources
import logging
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from bokeh.application.handlers.handler import Handler
from bokeh.server.util import check_allowlist
from bokeh.util.token import get_token_payload
from panel.auth import BasicAuthProvider, BasicLoginHandler, LogoutHandler, OAuthProvider
from panel.io.server import DocHandler, RootHandler, WSHandler
from tornado.web import HTTPError, OutputTransform, RequestHandler

from twinkit.error import TwinError, escaped
from twinkit.view.dashboard._door import PASS
from twinkit.view.dashboard.session import said
from twinkit.vocabulary import LANGUAGES

if TYPE_CHECKING:
    from twinkit.view.dashboard._door import Door

__all__ = [
    "Closed",
    "Headers",
    "Index",
    "OAuth",
    "Page",
    "Passwords",
    "Script",
    "Socket",
    "Visits",
    "chosen",
    "guarded",
    "plain",
]

log = logging.getLogger("twinkit.dashboard")
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' {sockets}; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
PLAIN = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@functools.cache
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: importlib.resources.files("twinkit.view.dashboard").joinpath(name).read_text(encoding="utf-8")
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )


def chosen(request: Any) -> str:
    """The language of a request: what it asks for, what the browser says, or English."""
    asked = request.arguments.get("language", [b""])[0]
    told = [asked.decode("utf-8", "replace")] if isinstance(asked, bytes) else [str(asked)]
    told += [p.partition(";")[0].strip()[:2] for p in str(request.headers.get("Accept-Language", ""))[:200].split(",")]
    return next((code for code in told if code in LANGUAGES), "en")


def plain(language: str, *, title: str, **parts: Any) -> str:
    """A page without a script: index, sign-in, and what went wrong."""
    given = {"alert": "", "text": "", "apps": [], "form": "", "token": "", "next": "", "links": [], "note": ""}
    return str(
        _environment()
        .get_template("plain.html")
        .render(language=language, title=title, say=lambda key: said(key, language=language), **{**given, **parts})
    )


class Headers(OutputTransform):
    """Strict headers on every answer; scripts of a page carry a mark that only this answer knows."""

    def __init__(self, request: Any) -> None:
        self.host = request.host
        self.tls = request.protocol == "https"

    def transform_first_chunk(self, status_code: int, headers: Any, chunk: bytes, finishing: bool) -> Any:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.pop("Server", None)
        headers.pop("Access-Control-Allow-Origin", None)
        if self.tls:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if "Content-Security-Policy" not in headers:
            nonce = secrets.token_urlsafe(16)
            # Some browsers do not count a socket of the same host as 'self'.
            sockets = f"{'wss' if self.tls else 'ws'}://{self.host}"
            headers["Content-Security-Policy"] = POLICY.format(nonce=nonce, sockets=sockets)
            if finishing and headers.get("Content-Type", "").startswith("text/html"):
                # The page holds no text of anybody's as it is: titles are escaped, all else comes by the socket.
                mark = f'<script nonce="{nonce}"'.encode()
                chunk = chunk.replace(b'<script type="text/javascript"', mark).replace(b"<script>", mark + b">")
                if "Content-Length" in headers:
                    headers["Content-Length"] = str(len(chunk))
        return status_code, headers, chunk


# ---------------------------------------------------------------- Panel's handlers, with the door in front


class _Guarded:
    """What each request has to show before a handler of Panel sees it."""

    door: Door
    origins: set[str]
    application: Any
    request: Any

    def refused(self) -> tuple[int, str] | None:
        """A status and why, for a request under a foreign name or from somebody without a role."""
        language = chosen(self.request)
        if not check_allowlist(self.request.host.lower(), sorted(self.origins)):
            return 421, said("not_here", language=language)
        nobody = self.door.unknown(self.request)
        return (403, said("no_role", language=language, user=escaped(nobody[:80]))) if nobody else None

    def answer(self, status: int, title: str) -> None:
        """Finish with a plain page instead."""
        out = {"to": "./logout", "text": said("sign_out", language=chosen(self.request))}
        self.set_status(status)  # type: ignore[attr-defined]
        self.set_header("Content-Security-Policy", PLAIN)  # type: ignore[attr-defined]
        self.finish(plain(chosen(self.request), title=title, links=[out] if status == 403 else []))  # type: ignore[attr-defined]


class Page(_Guarded, DocHandler):
    """The page of an app."""

    async def prepare(self) -> None:
        full = (503, said("full", language=chosen(self.request))) if self.door.full() else None
        refused = self.refused() or full
        if refused is not None:
            self.answer(*refused)
            return
        # A page is opened by fetching it, never by naming the session or the token of another one.
        for name in ("bokeh-session-id", "bokeh-token"):
            self.request.arguments.pop(name, None)
        self.request.headers.pop("Bokeh-Session-Id", None)
        await super().prepare()


class Socket(_Guarded, WSHandler):
    """The websocket of a page: from an allowed origin, and from the browser that fetched the page."""

    visit = ""

    async def prepare(self) -> None:
        refused = self.refused()
        if refused is not None:
            raise HTTPError(refused[0])
        await super().prepare()

    def check_origin(self, origin: str) -> bool:
        host = urlsplit(origin).netloc.lower()
        if check_allowlist(host, sorted(self.origins)):
            return True
        log.warning("a websocket from %.80s was refused; --allow-origin %.80s would let it in", origin, host)
        return False

    async def _async_open(self, token: str) -> None:
        self.visit = str(get_token_payload(token).get("visit", ""))
        if not self.door.same(self.visit, self.request):
            log.warning("a websocket was refused: its token is another browser's, or its visitor left")
            self.close(1008, "not yours")
            return
        self.door.sockets.add(self)
        await super()._async_open(token)

    async def on_message(self, fragment: Any) -> None:
        # What arrives before the door has opened, or after the page was closed, is nobody's.
        if getattr(self.connection, "_session", None) is not None:
            await super().on_message(fragment)

    def on_close(self) -> None:
        self.door.sockets.discard(self)
        super().on_close()


class Index(_Guarded, RootHandler):
    """What stands at the top: a page for each app, or the one app."""

    title = ""
    note = ""

    async def prepare(self) -> None:
        refused = self.refused()
        if refused is not None:
            self.answer(*refused)
            return
        await super().prepare()

    async def get(self) -> None:
        prefix = self.application.prefix
        if prefix and self.request.path == prefix:
            self.redirect(f"{prefix}/")
            return
        if not self.current_user:
            # A provider's answer may come here: it goes along.
            self.redirect(f"{self.get_login_url()}?{urlencode({'next': self.request.uri})}")
            return
        names = [path.strip("/") for path in self.applications]
        language = chosen(self.request)
        query = f"?language={language}" if "language" in self.request.arguments else ""
        if len(names) == 1:
            self.redirect(f"./{names[0]}{query}")
            return
        apps = [
            {"to": f"./{n}{query}", "title": _word(n, language), "about": _word(f"about_{n}", language)} for n in names
        ]
        self.set_header("Content-Security-Policy", PLAIN)
        note = said(self.note, language=language) if self.note else ""
        self.finish(plain(language, title=self.title or said("dashboards", language=language), apps=apps, note=note))


def _word(key: str, language: str) -> str:
    try:
        return said(key, language=language)
    except KeyError:
        return "" if key.startswith("about_") else key


class Closed(RequestHandler):
    """What Bokeh offers and nobody here needs: a script for foreign pages, and the server's metadata."""

    def prepare(self) -> None:
        self.set_status(404)
        self.set_header("Content-Security-Policy", PLAIN)
        language = chosen(self.request)
        self.finish(plain(language, title=said("no_page", language=language)))


class Script(RequestHandler):
    """The frame's own script."""

    def get(self) -> None:
        """Send it."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", "max-age=3600")
        self.finish(importlib.resources.files("twinkit.view.dashboard").joinpath("frame.js").read_bytes())


class Visits(Handler):
    """Notes each page that is fetched, and forgets it when it is closed."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    def modify_document(self, doc: Any) -> None:
        """Nothing: the app fills the page."""

    def process_request(self, request: Any) -> dict[str, Any]:
        """What goes into the page's signed token."""
        return {"visit": self.door.begin(request), "language": chosen(request)}

    async def on_session_destroyed(self, session_context: Any) -> None:
        """Forget the page."""
        self.door.end(str(session_context.token_payload.get("visit", "")))


def guarded(tornado_app: Any, door: Door, origins: set[str], *, title: str, note: str) -> None:
    """Put the door in front of the handlers of one server, whatever other servers the process runs."""
    held: dict[str, Any] = {"door": door, "origins": origins}
    kinds = {
        DocHandler: type("Page", (Page,), held),
        WSHandler: type("Socket", (Socket,), held),
        RootHandler: type("Index", (Index,), held | {"title": title, "note": note}),
    }
    for rule in tornado_app.wildcard_router.rules:
        target = rule.target
        if target in kinds:
            rule.target = kinds[target]
        elif isinstance(target, type) and target.__name__ in ("AutoloadJsHandler", "MetadataHandler"):
            rule.target, rule.target_kwargs = Closed, {}
    tornado_app.transforms.append(Headers)
    tornado_app.settings["default_handler_class"] = Closed


# ---------------------------------------------------------------- sign-in


class _Flags:
    """Cookies that no script reads, no foreign form sends, and with TLS in front no plain line carries."""

    secure = False
    samesite = "Strict"

    def set_cookie(self, name: str, value: Any, *given: Any, **flags: Any) -> None:
        flags["httponly"] = True
        flags.setdefault("samesite", self.samesite)
        if self.secure:
            flags["secure"] = True
        super().set_cookie(name, value, *given, **flags)  # type: ignore[misc]


class _Answered(_Flags):
    """A provider's answer: what goes wrong is a plain page, and a state that cannot be read is a forged one."""

    def get_state_cookie(self) -> Any:
        try:
            return super().get_state_cookie()  # type: ignore[misc]
        except (ValueError, AttributeError):
            return None

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_status(401 if status_code == 401 else 403)  # type: ignore[attr-defined]
        self.set_header("Content-Security-Policy", PLAIN)  # type: ignore[attr-defined]
        language = chosen(self.request)  # type: ignore[attr-defined]
        here = [{"to": "./login", "text": said("sign_in", language=language)}]
        self.finish(plain(language, title=said("stale_form", language=language), links=here))  # type: ignore[attr-defined]


class _Form(_Flags, RequestHandler):
    """A form that was made here, for this browser, and is sent from here."""

    door: Door
    origins: set[str]

    def prepare(self) -> None:
        self.set_header("Content-Security-Policy", PLAIN)
        self.set_header("Cache-Control", "no-store")
        self.language = chosen(self.request)
        if not check_allowlist(self.request.host.lower(), sorted(self.origins)):
            self.answer(421, title=said("not_here", language=self.language))

    def answer(self, status: int, **parts: Any) -> None:
        """Finish with a plain page."""
        self.set_status(status)
        self.finish(plain(self.language, **parts))

    def ours(self) -> bool:
        """Whether a form was made and sent here; where not, the answer is given."""
        origin = self.request.headers.get("Origin")
        foreign = origin is not None and not check_allowlist(urlsplit(origin).netloc.lower(), sorted(self.origins))
        if not foreign and self.request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none"):
            try:
                self.check_xsrf_cookie()
            except HTTPError:
                pass
            else:
                return True
        here = [{"to": "./login", "text": said("sign_in", language=self.language)}]
        self.answer(403, title=said("stale_form", language=self.language), links=here)
        return False

    def _next(self) -> str:
        """Where to go after it: a page of this server, named from here."""
        name = self.get_argument("next", "").rpartition("/")[2].partition("?")[0]
        return name if name.isidentifier() and len(name) < 40 else ""


class Login(_Form, BasicLoginHandler):
    """Name and password of one of the register's officials."""

    def get(self) -> None:
        """The form."""
        self._form(200, "")

    def _form(self, status: int, alert: str) -> None:
        self.answer(
            status, title=said("sign_in", language=self.language), alert=alert, form="in", next=self._next(),
            token=self.xsrf_form_html(),
        )  # fmt: skip

    def post(self) -> Any:
        """Check them; ten tries in an hour from one address."""
        return self._post()

    async def _post(self) -> None:
        from tornado.ioloop import IOLoop

        from twinkit.participate import officials

        if not self.ours():
            return
        name, password = self.get_argument("username", "")[:80], self.get_argument("password", "", strip=False)[:200]
        register: Any = self.door.register
        source = self.request.remote_ip or ""
        try:
            known = await IOLoop.current().run_in_executor(
                None, lambda: officials.known(register, name, password, source=source)
            )
        except TwinError:
            self._form(429, said("too_often", language=self.language))
            return
        if not known:
            self._form(403, said("wrong", language=self.language))
            return
        # No path: the browser takes that of this page, which a proxy may have put below its own.
        self.set_cookie(PASS, officials.pass_for(register, name), max_age=8 * 3600, path=None)
        self.redirect(f"./{self._next()}")


class Logout(_Form, LogoutHandler):
    """Signing out: asked first, then done."""

    def get(self) -> None:
        """The question."""
        self.answer(200, title=said("sign_out", language=self.language), form="out", token=self.xsrf_form_html())

    def post(self) -> None:
        """Do it: no page of this person goes on."""
        if not self.ours():
            return
        self.door.leave(self.request)
        for name in (PASS, "user", "id_token", "access_token", "refresh_token", "oauth_expiry"):
            self.clear_cookie(name)
        self.set_cookie(PASS, "", max_age=0, path=None)
        here = [{"to": "./login", "text": said("sign_in", language=self.language)}]
        self.answer(200, title=said("signed_out", language=self.language), links=here)


class Passwords(BasicAuthProvider):
    """Panel's password back end, with the register's officials behind it."""

    def __init__(self, door: Door, origins: set[str], *, secure: bool) -> None:
        self._held: dict[str, Any] = {"door": door, "origins": origins, "secure": secure}
        super().__init__()

    @property
    def get_user(self) -> Any:
        return lambda handler: self._held["door"].user(handler.request)

    @property
    def login_handler(self) -> Any:
        return type("Login", (Login,), self._held)

    @property
    def logout_handler(self) -> Any:
        return type("Logout", (Logout,), self._held)


class OAuth(OAuthProvider):
    """Panel's OAuth back end: who signed in elsewhere has the role that the register gives the name."""

    def __init__(self, door: Door, origins: set[str], *, secure: bool) -> None:
        self._held: dict[str, Any] = {"door": door, "origins": origins, "secure": secure}
        super().__init__()

    @property
    def get_user_async(self) -> Any:
        known = super().get_user_async

        async def user(handler: Any) -> str | None:
            # Panel looks after the provider's tokens; the door asks whether the name has a role here.
            name = await known(handler)
            door = self._held["door"]
            return door.user(handler.request) if name is not None else ("guest" if door.guests else None)

        return user

    @property
    def login_handler(self) -> Any:
        # Lax: the answer comes from the provider's site, and the state's cookie must come with it.
        return type("Login", (_Answered, super().login_handler), {"secure": self._held["secure"], "samesite": "Lax"})

    @property
    def logout_handler(self) -> Any:
        return type("Logout", (Logout,), self._held)
