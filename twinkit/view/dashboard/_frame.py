"""The frame in Panel's terms; `page` is what the apps call."""

from __future__ import annotations

import functools
import html
import importlib.resources
from typing import TYPE_CHECKING, Any

from twinkit.view._figure import Figure
from twinkit.view.dashboard import need
from twinkit.view.dashboard.session import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twinkit.view.dashboard.page import Picture
    from twinkit.view.dashboard.session import Notice, Session

__all__ = ["empty_picture", "framed", "shown"]

EVERY = 5_000
"""Milliseconds between two looks at the store."""


@functools.cache
def _sheet() -> str:
    return importlib.resources.files("twinkit.view.dashboard").joinpath("frame.css").read_text(encoding="utf-8")


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
    wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
    if pn.state.curdoc is not None:
        pn.config.design = _design()  # of this page alone
    rtl = ["tk-rtl"] if session.language == "fa" else []
    role = session.say(session.role)
    who = session.say("signed_in", user=session.user, role=role) if session.user else session.say("here")
    place = str(session.twin.attrs.get("place") or session.twin.attrs.get("title") or "")
    head = pn.pane.HTML(
        f"<header><h1>{html.escape(title)}</h1>"
        f'<span class="tk-small">{html.escape(place[:120])}</span>'
        f'<span class="tk-small">{html.escape(who)}</span></header>',
        **wide,
    )
    status, alert = pn.pane.HTML(_told(None, "status"), **wide), pn.pane.HTML(_told(None, "alert"), **wide)
    renew = pn.widgets.Button(name=session.say("reload"), visible=False, button_type="primary")
    where = pn.state.curdoc

    def told(notice: Notice) -> None:
        def put() -> None:
            pane = alert if notice.kind == "alert" else status
            pane.object = _told(notice, notice.kind)

        if where is not None and where.session_context is not None and pn.state.curdoc is not where:
            where.add_next_tick_callback(put)  # said by a thread of the app
        else:
            put()

    session.listen(told)

    def look() -> None:
        renew.visible = session.fresh() == "newer" and where is not None and where.session_context is not None

    renew.js_on_click(code="window.location.reload()")
    if session.store is not None and where is not None and where.session_context is not None:
        pn.state.add_periodic_callback(look, period=EVERY)
    body = pn.Column(
        pn.Column(*controls, css_classes=["tk-card"], **wide),
        pn.Column(*pictures, **wide),
        css_classes=["tk-body"],
        **wide,
    )
    whole = pn.Column(head, status, alert, renew, *notices, body, css_classes=["tk-page", *rtl], margin=0, **wide)
    for part in whole.select():
        if not isinstance(part, pn.pane.Bokeh):  # which would hand the design on to the figure
            part.design = _design()  # what the app made before it had a page, too
    return whole


def _told(notice: Notice | None, kind: str) -> str:
    from twinkit.view.dashboard.page import notice_html

    return f'<div class="tk-{kind}" role="{kind}">{notice_html(notice)}</div>'


def empty_picture(picture: Picture) -> tuple[Any, Any, Any]:
    """The card of a picture: heading, place of the image, and what stands below it."""
    pn = need()
    wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
    head = pn.pane.HTML(f"<h2>{html.escape(picture.title)}</h2>", **wide)
    image, about = pn.Column(css_classes=["tk-paper"], **wide), pn.pane.HTML("", **wide)
    parts = [head, image, about]

    def file() -> Any:
        from twinkit.view.dashboard.page import saved

        return saved(picture.figure, picture.title)

    if picture.figure is None or not isinstance(picture.figure, Figure):
        said_of = said("download_html", language=picture.language)
        parts.append(pn.widgets.FileDownload(callback=file, filename=f"{picture.name}.html", label=said_of, auto=True))
    return pn.Column(*parts, css_classes=["tk-card"], **wide), image, about


def shown(picture: Picture, behind: Any) -> None:
    """Put the picture's figure, alt text and table in place."""
    from twinkit.view.dashboard.page import image, table

    pn = need()
    figure = picture.figure
    if isinstance(figure, Figure):
        picture._image[:] = [pn.pane.HTML(image(figure), design=_design(), sizing_mode="stretch_width")]
    elif figure is not None and (not len(picture._image) or getattr(picture._image[0], "object", None) is not figure):
        picture._image[:] = [pn.panel(figure, sizing_mode="stretch_width")]
    text = f"<p>{html.escape(picture.alt)}</p>" if picture.alt and not isinstance(figure, Figure) else ""
    if behind is not None:
        summary = html.escape(said("table", language=picture.language))
        made = table(behind, language=picture.language)
        text += f'<details><summary>{summary}</summary><div class="tk-scroll" tabindex="0">{made}</div></details>'
    picture._about.object = text
