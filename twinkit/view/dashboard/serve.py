"""Serving the dashboards: on this computer, on a local network, behind a proxy that speaks TLS.

``twinkit dashboard town.twin`` is `serve`. It binds to loopback unless it is told otherwise; there, without a register,
whoever sits at the computer may do everything. With a register, officials sign in with their passwords or through an
OAuth provider, and each act is checked against the register at the moment in which it is done.
"""

from __future__ import annotations

import functools
import importlib.resources
import ipaddress
import logging
import secrets
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, close_to, escaped
from twinkit.view.dashboard import APPS, app_of, need
from twinkit.view.dashboard._door import Door
from twinkit.view.dashboard.session import Session, said

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

__all__ = ["LARGEST", "serve", "server"]

LARGEST = 2_000_000
"""Bytes of one message from a page."""
TOKEN = 120
"""Seconds in which a fetched page has to open its socket."""
LOGGED = 2_000
"""Characters of one message, or one traceback, in the log: what a browser sends may stand there, not all of it."""
log = logging.getLogger("twinkit.dashboard")


def server(
    store: str | os.PathLike[str],
    *,
    app: str | None = None,
    language: str | None = None,
    host: str = "127.0.0.1",
    port: int = 5006,
    prefix: str = "",
    origins: Sequence[str] = (),
    register: str | None = None,
    oauth: str | None = None,
    guests: bool = False,
    secure: bool = False,
) -> Any:
    """A server of the dashboards, not yet started.

    Parameters
    ----------
    store : path
        A stored twin.
    app : str, optional
        plan, operate or withstand, or the dotted path of an app of yours; left out, all three.
    language : str, optional
        For everybody; left out, what each browser asks for.
    host : str
        Address to listen on.
    port : int
        0 for any that is free.
    prefix : str
        Path under which a proxy hands requests on unchanged, as ``/twin``. A proxy that takes its own path away, as
        jupyter-server-proxy does, needs none.
    origins : sequence of str
        Hosts, with their ports, under which browsers know the server beside its own: ``twin.example.org``.
    register : path or URL, optional
        Of `twinkit.participate`; its officials sign in.
    oauth : str, optional
        github, google, azure, ...: sign-in through Panel's OAuth back end, which reads ``PANEL_OAUTH_KEY``,
        ``PANEL_OAUTH_SECRET`` and their like from the environment. Roles come from the register.
    guests : bool
        Whoever is not signed in, or has no role, may look.
    secure : bool
        A proxy in front speaks TLS: cookies over TLS alone, and the proxy's word on addresses is taken.

    Returns
    -------
    panel.io.server.Server

    Errors
    ------
    TwinError
        A store that does not open, an unknown app, a port that is taken, choices that contradict each other.
    """
    pn = need()
    store = Path(store)
    apps = {name.rpartition(".")[0].rpartition(".")[2] or name: app_of(name) for name in ([app] if app else APPS)}
    first = Session(store, language=language or "en")
    title = escaped(str(first.twin.attrs.get("title") or first.twin.attrs.get("place") or store.stem)[:120])
    _checked(host, prefix=prefix, origins=origins, register=register, oauth=oauth, guests=guests)
    door = _door(first, host, register=register, oauth=oauth, guests=guests, secure=secure)

    from bokeh.application.handlers.function import FunctionHandler
    from panel.auth import AUTH_PROVIDERS
    from panel.io.application import Application

    from twinkit.view.dashboard import _handlers as handlers

    if oauth is not None and oauth not in AUTH_PROVIDERS:
        near = close_to(oauth, AUTH_PROVIDERS)
        hint = f"did you mean {near}?" if near else "choose one of them"
        raise TwinError(f"one of {', '.join(sorted(AUTH_PROVIDERS))}", found=escaped(oauth[:40]), hint=hint)
    made = {}
    for name, function in apps.items():
        opened = functools.partial(_opened, function, name, store, door, tuple(apps), language, title)
        made[f"/{name}"] = Application(FunctionHandler(opened), handlers.Visits(door))
    choices: dict[str, Any] = {}
    known: set[str] = set(map(str.lower, origins))
    if door.kind == "oauth":
        pn.config.cookie_secret = pn.config.cookie_secret or secrets.token_hex(32)
        pn.config.oauth_provider = oauth
        choices["cookie_secret"] = pn.config.cookie_secret
    elif door.kind == "password":
        choices["cookie_secret"] = secrets.token_hex(32)
    # Filled below, when the port is known.
    names: set[str] = set()
    if door.kind != "open":
        provider = handlers.OAuth if door.kind == "oauth" else handlers.Passwords
        choices["auth_provider"] = provider(door, names, secure=secure)
    try:
        running = pn.io.server.Server(
            made,
            port=port,
            address=host,
            prefix=prefix,
            io_loop=_loop(),
            allow_websocket_origin=["127.0.0.1"],  # what decides is `Socket.check_origin`
            use_xheaders=secure,
            sign_sessions=True,
            secret_key=secrets.token_bytes(32),
            session_token_expiration=TOKEN,
            unused_session_lifetime_milliseconds=20_000,
            check_unused_sessions_milliseconds=5_000,
            websocket_max_message_size=LARGEST,
            websocket_compression_level=3,
            include_headers=[],
            include_cookies=[],
            xsrf_cookie_name="twinkit-form",
            xsrf_cookie_kwargs={"httponly": True, "samesite": "Strict", "secure": secure, "path": None},
            extra_patterns=[(r"/frame\.js", handlers.Script)],
            index=None,
            ico_path=str(pn.io.resources.DIST_DIR / "images" / "favicon.ico"),
            **choices,
        )
    except OSError as fault:
        raise TwinError(
            "an address and port to listen on",
            found=f"{host}:{port}: {fault.strerror or fault}",
            hint="choose another port with --port, or stop what holds this one",
            where="--port",
        ) from None
    held = {f"{h}:{running.port}" for h in {host, "127.0.0.1", "localhost"} if h not in ("0.0.0.0", "::")}  # noqa: S104
    names |= known | held | ({"[::1]:" + str(running.port)} if host == "::1" else set())
    note = "" if door.kind != "open" else "here" if door.everybody == "administrator" else "only_look"
    handlers.guarded(running._tornado, door, names, title=title, note=note)
    running.twinkit_door = door
    return running


def serve(store: str | os.PathLike[str], *, say: Callable[[str], None] = print, **choices: Any) -> None:
    """Serve until SIGINT or SIGTERM; `choices` are those of `server`.

    Parameters
    ----------
    store : path
    say : callable
        Takes the lines that say where it is and who may do what.
    **choices
        As `server`.

    Errors
    ------
    TwinError
        As `server`.
    """
    import signal

    from tornado.ioloop import PeriodicCallback

    logging.getLogger("bokeh").setLevel(logging.WARNING)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)  # a list of addresses and pages is nobody's business
    running = server(store, **choices)
    door = running.twinkit_door
    host = choices.get("host", "127.0.0.1")
    shown = f"[{host}]" if ":" in host else host
    say(f"http://{shown}:{running.port}{running.prefix}/   (Ctrl-C ends it)")
    if door.kind != "open":
        say("officials of the register sign in; each act is checked against their role")
    elif door.everybody == "administrator":
        say("open on this computer alone: whoever sits at it may do everything; --register asks people to sign in")
    else:
        say("nobody signs in, so everybody only looks; --register lets officials sign in and act")
    if not _loopback(host) and not choices.get("secure"):
        say("this address is open to others without TLS: put a proxy with TLS in front, and say --secure")
    loop = running.io_loop
    ask = loop.add_callback_from_signal if hasattr(loop, "add_callback_from_signal") else loop.add_callback
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: ask(loop.stop))
    loop.asyncio_loop.set_exception_handler(_unheard)
    made = logging.getLogRecordFactory()
    logging.setLogRecordFactory(functools.partial(_short, made))
    running.start()
    PeriodicCallback(door.sweep, 3_000).start()
    try:
        loop.start()
    finally:
        logging.setLogRecordFactory(made)
        running.stop()
        if door.register is not None:
            door.register.close()


# ---------------------------------------------------------------- its parts


def _unheard(loop: Any, context: dict[str, Any]) -> None:
    """What goes wrong in nobody's hearing is logged, but for a page that was closed while something was on its way."""
    from tornado.websocket import WebSocketClosedError

    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def _short(made: Callable[..., logging.LogRecord], *given: Any, **more: Any) -> logging.LogRecord:
    """A record that a forged message cannot make as long as itself, and that a terminal does not obey."""
    record = made(*given, **more)
    try:
        record.msg, record.args = _clipped(record.getMessage()), ()
    except (TypeError, ValueError):
        return record  # its parts do not fit: the log says so
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = _clipped("".join(traceback.format_exception(*record.exc_info)).rstrip())
    return record


def _clipped(text: str) -> str:
    if len(text) > LOGGED:
        text = f"{text[: LOGGED // 2]} [...] {text[-LOGGED // 2 :]}"
    return escaped(text, keeping="\n\t")


def _loop() -> Any:
    from tornado.ioloop import IOLoop

    return IOLoop.current()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(
    host: str, *, prefix: str, origins: Sequence[str], register: str | None, oauth: str | None, guests: bool
) -> None:
    if prefix and (not prefix.startswith("/") or prefix.endswith("/") or not prefix.isprintable()):
        raise TwinError("a path as /twin", found=escaped(prefix[:80]), hint="--prefix /twin", where="--prefix")
    for origin in origins:
        if "/" in origin or not origin.strip() or not origin.isprintable():
            raise TwinError(
                "a host, with its port where it has one",
                found=f"'{escaped(origin[:80])}'",
                hint="--allow-origin twin.example.org",
                where="--allow-origin",
            )
        if "*" in origin and register is None:
            raise TwinError(
                "a host that is named",
                found=f"'{escaped(origin[:80])}', and nobody signs in",
                hint="name each host: with a wildcard any page in your browser could act here",
                where="--allow-origin",
            )
    if oauth is not None and register is None:
        raise TwinError(
            "a register, which says who has which role",
            found="--oauth-provider without one",
            hint="twinkit participate STORE --official asha@example.org:planner, then --register STORE.pins.db",
            where="--register",
        )
    if guests and register is None:
        raise TwinError("--guests with --register", found="no register", hint="leave it out", where="--guests")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not host or not host.replace(".", "").replace("-", "").isalnum():
            raise TwinError(
                "an address", found=f"'{escaped(host[:80])}'", hint="127.0.0.1, or 0.0.0.0 for a local network"
            ) from None


def _door(session: Session, host: str, *, register: str | None, oauth: str | None, guests: bool, secure: bool) -> Door:
    if register is None:
        # With a proxy in front others come through loopback, too.
        alone = _loopback(host) and not secure
        return Door(None, kind="open", everybody="administrator" if alone else "viewer")
    from twinkit import participate

    if "://" not in register and not Path(register).is_file():
        raise TwinError(
            "a register of twinkit participate",
            found=f"no file {escaped(register[:200])}",
            hint="twinkit participate STORE --official Asha:planner makes STORE.pins.db",
            where="--register",
        )
    held = participate.register(register, twin=session.twin)
    return Door(held, kind="password" if oauth is None else "oauth", guests=guests)


@functools.cache
def _template() -> Any:
    import jinja2

    text = importlib.resources.files("twinkit.view.dashboard").joinpath("page.html").read_text(encoding="utf-8")
    return jinja2.Environment(undefined=jinja2.Undefined, autoescape=False).from_string(text)  # noqa: S701  (Bokeh's tags are HTML; what is text is escaped in it)


def _opened(
    function: Any,
    name: str,
    store: Path,
    door: Door,
    apps: tuple[str, ...],
    language: str | None,
    title: str,
    doc: Any,
) -> None:
    """Fill one page: the app on its session, or what went wrong in a sentence."""
    pn = need()
    from panel.io.state import set_curdoc, state

    told = doc.session_context.token_payload if doc.session_context is not None else {}
    key = str(told.get("visit", ""))
    speaks = language or str(told.get("language", "en"))
    doc.template = _template()
    doc.template_variables.update(
        language=speaks,
        direction="rtl" if speaks == "fa" else "ltr",
        skip=said("skip", language=speaks),
        lost=said("lost", language=speaks),
        again=said("again", language=speaks),
        noscript=said("noscript", language=speaks),
    )
    lost = "const e = document.getElementById('lost'); if (e !== null) e.hidden = false"
    with set_curdoc(doc):
        from bokeh.models import CustomJS

        doc.js_on_event("connection_lost", CustomJS(code=lost))
        doc.on_event("document_ready", functools.partial(state._schedule_on_load, doc))
        session = Session(
            store,
            language=speaks,
            user=door.name(key),
            role=door.role(key) or "viewer",
            asked=functools.partial(door.role, key),
        )
        session.apps, session.app, session.signs_in = apps, name, door.kind != "open"
        session.register = door.register
        try:
            view = function(session)
        except TwinError as fault:
            view = _sorry(said("cannot_open", language=speaks, why=str(fault)))
        except Exception:  # an app of somebody's own: the log has the traceback, the page a sentence
            log.exception("the page %s of %s did not open", name, store)
            view = _sorry(said("failed", language=speaks))
        heading = said(name, language=speaks) if name in APPS else name
        pn.panel(view).server_doc(doc, title=f"{heading} · {title}", location=False)


def _sorry(text: str) -> Any:
    from twinkit.view.dashboard._frame import sorry

    return sorry(text)
