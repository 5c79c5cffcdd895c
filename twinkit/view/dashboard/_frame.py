"""The frame in Panel's terms; `page` is what the apps call."""

from __future__ import annotations

import functools
import html
import importlib.resources
from typing import TYPE_CHECKING, Any

from twinkit.error import escaped
from twinkit.view._figure import Figure
from twinkit.view.dashboard import APPS, need
from twinkit.view.dashboard.session import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twinkit.view.dashboard.page import Picture
    from twinkit.view.dashboard.session import Notice, Session

__all__ = ["empty_picture", "framed", "shown", "sorry"]

EVERY = 5_000
"""Milliseconds between two looks at the store."""


@functools.cache
def _sheet() -> str:
    return importlib.resources.files("twinkit.view.dashboard").joinpath("frame.css").read_text(encoding="utf-8")


@functools.cache
def _script() -> str:
    return importlib.resources.files("twinkit.view.dashboard").joinpath("frame.js").read_text(encoding="utf-8")


@functools.cache
def _design() -> Any:
    """A Panel design that fetches no sheet of its own: each component gets ours, inline."""
    need()
    from panel.theme.base import Design, Inherit, Theme
    from panel.viewable import Viewable

    class Plain(Theme):
        base_css: Any = None
        css: Any = None

    class Calm(Design):
        modifiers = {Viewable: {"stylesheets": [Inherit, _sheet()]}}  # noqa: RUF012  (Panel reads it from the class)
        _themes = {"default": Plain, "dark": Plain}  # noqa: RUF012

    return Calm


def framed(
    session: Session, title: str, *, controls: Sequence[Any], pictures: Sequence[Any], notices: Sequence[Any]
) -> Any:
    """As `page.page`."""
    pn = need()
    doc = pn.state.curdoc
    served = doc is not None and doc.session_context is not None
    if served:
        pn.config.design = _design()  # of this page alone
    wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
    head = pn.pane.HTML(_head(session, title), margin=(0, 0, 8, 0), **wide)
    status, alert = (pn.pane.HTML(_told(None, kind), margin=0, **wide) for kind in ("status", "alert"))
    renew = pn.widgets.Button(label=session.say("reload"), visible=False, color="primary")
    renew.js_on_click(code="window.location.reload()")
    _announced(session, status, alert, doc if served else None)
    if served and session.store is not None:

        def look() -> None:
            renew.visible = session.fresh() == "newer"

        pn.state.add_periodic_callback(look, period=EVERY)
    land = _landmark()
    body = pn.Column(
        land(*controls, css_classes=["tk-card"], margin=0, aria=_region("form", session.say("controls")), **wide),
        land(*pictures, css_classes=["tk-gap"], margin=0, aria=_region("main", session.say("pictures")), **wide),
        css_classes=["tk-body"],
        margin=0,
        **wide,
    )  # fmt: skip
    if not served:  # a notebook has no page of ours around it
        body.append(pn.pane.HTML(f"<script>{_script()}</script>", css_classes=["tk-none"], margin=0))
    rtl = ["tk-rtl"] if session.language == "fa" else []
    whole = land(
        head, status, alert, renew, *notices, body, css_classes=["tk-page", *rtl], margin=0,
        aria={"lang": session.language, "dir": "rtl" if rtl else "ltr"}, **wide,
    )  # fmt: skip
    for part in whole.select():
        if not isinstance(part, pn.pane.Bokeh):  # which would hand the design on to the figure
            part.design = _design()  # what the app made before it had a page, too
            if not served:
                _inlined(part)
    return whole


def sorry(text: str) -> Any:
    """A page that says in one sentence why there is no other."""
    pn = need()
    words = pn.pane.HTML(f'<div class="tk-alert" role="alert"><p>{html.escape(text)}</p></div>', design=_design())
    return _landmark()(words, css_classes=["tk-page"], design=_design(), margin=0, aria={"role": "main"})


def _head(session: Session, title: str) -> str:
    """Title, place, the way to the other apps, and who one is here."""
    place = str(session.twin.attrs.get("title") or session.twin.attrs.get("place") or "")[:120]
    role = session.say(session.role)
    if session.user:
        who = session.say("signed_in", user=escaped(session.user[:80]), role=role)
    elif session.signs_in:
        who = session.say("guest")
    elif session.store is None:
        who = session.say("memory")
    elif not session.apps:  # in a notebook
        who = role
    else:
        who = session.say("here" if session.may("administrator") else "only_look")
    links = "".join(
        f'<a href="./{n}?language={session.language}"{_here(n, session)}>{html.escape(_title(n, session))}</a>'
        for n in session.apps
        if len(session.apps) > 1
    )
    if session.signs_in:
        to = ("./logout", "sign_out") if session.user else ("./login", "sign_in")
        links += f'<a href="{to[0]}?language={session.language}">{html.escape(session.say(to[1]))}</a>'
    return (
        f'<header class="tk-head"><h1>{html.escape(title)}</h1>'
        f'<span class="tk-small">{html.escape(escaped(place))}</span>'
        + (f'<nav aria-label="{html.escape(session.say("dashboards"))}">{links}</nav>' if links else "")
        + f'<span class="tk-small">{html.escape(who)}</span></header>'
    )


def _here(name: str, session: Session) -> str:
    return ' aria-current="page"' if name == session.app else ""


def _title(name: str, session: Session) -> str:
    return session.say(name) if name in APPS else name


@functools.cache
def _landmark() -> Any:
    """A column that says to a screen reader what it is."""
    pn = need()
    import param

    class Landmark(pn.Column):  # type: ignore[name-defined]
        aria = param.Dict(default={})
        _rename = {"aria": "html_attributes"}  # noqa: RUF012  (Panel reads it from the class)

    return Landmark


def _inlined(part: Any) -> None:
    """A part of a notebook's page fetches no sheet from elsewhere, also when it changes later.

    Panel reads its sheets from the package when it shows a page in a notebook, but names their addresses again in what
    it sends at a change.
    """
    from bokeh.models.css import ImportedStyleSheet, InlineStyleSheet
    from panel.io.resources import CDN_DIST, DIST_DIR, LOCAL_DIST

    def read(sheet: Any) -> Any:
        if not isinstance(sheet, ImportedStyleSheet):
            return sheet
        path = DIST_DIR / sheet.url.partition("?")[0].removeprefix(CDN_DIST).removeprefix(LOCAL_DIST)
        return InlineStyleSheet(css=path.read_text(encoding="utf-8")) if path.is_file() else sheet

    changed = part._process_param_change

    def changed_here(given: Any) -> Any:
        made = changed(given)
        return made | {"stylesheets": [read(s) for s in made["stylesheets"]]} if "stylesheets" in made else made

    part._process_param_change = changed_here


def _region(role: str, label: str) -> dict[str, str]:
    return {"role": role, "aria-label": label}


def _announced(session: Session, status: Any, alert: Any, doc: Any) -> None:
    """The notice that stands goes into its live region; said by a thread, it waits for the page's turn."""
    pn = need()

    def told(_notice: Notice | None) -> None:
        def put() -> None:
            now = session.standing  # of several that waited, the newest
            for region, kind in ((status, "status"), (alert, "alert")):
                region.object = _told(now if now is not None and now.kind == kind else None, kind)

        if doc is not None and pn.state.curdoc is not doc:
            doc.add_next_tick_callback(put)
        else:
            put()

    session.listen(told)


def _told(notice: Notice | None, kind: str) -> str:
    from twinkit.view.dashboard.page import notice_html

    return f'<div class="tk-{kind}" role="{kind}">{notice_html(notice)}</div>'


def empty_picture(picture: Picture) -> tuple[Any, Any, Any]:
    """The card of a picture: heading, place of the image, and what stands below it."""
    pn = need()
    wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
    head = pn.pane.HTML(f"<h2>{html.escape(picture.title)}</h2>", **wide)
    image, about = pn.Column(css_classes=["tk-paper"], **wide), pn.pane.HTML("", **wide)
    # Made when they are asked for: a picture that changes while one drags is sent once, not thrice.
    buttons = pn.FlexBox(
        *(
            pn.widgets.FileDownload(
                callback=functools.partial(_file, picture, kind),
                filename=f"{picture.name}.{kind}",
                label=said(f"download_{kind}", language=picture.language),
                visible=kind == "html",
            )
            for kind in ("png", "html")
        ),
        margin=0,
    )
    return pn.Column(head, image, about, buttons, css_classes=["tk-card"], **wide), image, about


def _file(picture: Picture, kind: str) -> Any:
    from twinkit.view.dashboard.page import saved

    return saved(picture, kind)


def shown(picture: Picture, behind: Any) -> None:
    """Put the picture's figure, alt text and table in place."""
    from twinkit.view.dashboard.page import image, table

    pn = need()
    figure = picture.figure
    still = isinstance(figure, Figure)
    picture.view[-1][0].visible = still
    if still:
        made = image(figure)
        if len(picture._image) and isinstance(picture._image[0], pn.pane.HTML):
            picture._image[0].object = made
        else:
            picture._image[:] = [pn.pane.HTML(made, design=_design(), sizing_mode="stretch_width")]
    elif figure is not None and (not len(picture._image) or getattr(picture._image[0], "object", None) is not figure):
        picture._image[:] = [pn.panel(figure, sizing_mode="stretch_width")]
    text = f"<p>{html.escape(picture.alt)}</p>" if picture.alt and not still else ""
    if behind is None and still:
        behind = figure.table
    if behind is not None:
        summary = html.escape(said("table", language=picture.language))
        made = table(behind, language=picture.language)
        text += f'<details><summary>{summary}</summary><div class="tk-scroll" tabindex="0">{made}</div></details>'
    picture._about.object = text
