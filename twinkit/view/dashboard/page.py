"""The frame that all dashboards share: one column on a phone, two on a desk, notices that are read out.

Nothing here loads anything foreign, and nothing that somebody typed becomes HTML. Colours follow the system's light or
dark scheme; pictures lie on white paper in both, because their colours carry meaning.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
from typing import TYPE_CHECKING, Any

from twinkit.error import escaped
from twinkit.view._figure import Figure, number
from twinkit.view._table import markup
from twinkit.view.dashboard.session import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr

    from twinkit.view.dashboard.session import Notice, Session

__all__ = ["Picture", "page", "picture", "table"]

MOST_ROWS = 200
"""Rows of a table on the page; the whole is in the store."""


def page(
    session: Session, title: str, *, controls: Sequence[Any], pictures: Sequence[Any], notices: Sequence[Any] = ()
) -> Any:
    """The whole page of an app.

    Parameters
    ----------
    session : Session
    title : str
        Plain text.
    controls : sequence of Panel widgets
        Beside the pictures on a desk, above them on a phone.
    pictures : sequence of Picture or of what Panel shows
    notices : sequence of what Panel shows
        Above all, for what an app always has to say; `Session.tell` needs nothing here.

    Returns
    -------
    panel Viewable
    """
    from twinkit.view.dashboard._frame import framed

    return framed(session, title, controls=controls, pictures=pictures, notices=notices)


def picture(
    title: str, figure: Any = None, *, alt: str = "", table: Any = None, language: str = "en", name: str = "picture"
) -> Picture:
    """A picture with its heading, alt text, the table behind it, and a way to save it.

    Parameters
    ----------
    title : str
        Plain text; says what the picture shows, with its unit.
    figure : twinkit.view.Figure, Bokeh figure or what else Panel shows
    alt : str
        What the picture says, in words and numbers; a `Figure` brings its own.
    table : Dataset or DataFrame, optional
        The numbers in it.
    language : str
    name : str
        Of the saved file, without its ending.

    Returns
    -------
    Picture
        ``.show(figure, alt=..., table=...)`` replaces what is seen.
    """
    return Picture(title, figure, alt=alt, table=table, language=language, name=name)


class Picture:
    """As `picture` makes it; Panel shows it wherever it stands."""

    def __init__(self, title: str, figure: Any, *, alt: str, table: Any, language: str, name: str) -> None:
        from twinkit.view.dashboard._frame import empty_picture

        self.title, self.language, self.name = title, language, name
        self.figure: Any = None
        self.alt = ""
        self.view, self._image, self._about = empty_picture(self)
        self.show(figure, alt=alt, table=table)

    def __panel__(self) -> Any:
        return self.view

    def show(self, figure: Any = None, *, alt: str = "", table: Any = None) -> None:
        """Put another figure, alt text and table in place; what is left out of `figure` keeps the one that is there."""
        from twinkit.view.dashboard._frame import shown

        if figure is not None:
            self.figure = figure
        self.alt = alt or (self.figure.alt if isinstance(self.figure, Figure) else self.alt)
        shown(self, table)


def table(data: xr.Dataset | pd.DataFrame, *, caption: str = "", language: str = "en") -> str:
    r"""A table as HTML, every word of it escaped, units in the headings, three significant digits.

    Parameters
    ----------
    data : Dataset or DataFrame
        Labels and units of a Dataset go into the headings, as `twinkit.view.markup` writes them.
    caption : str
        Plain text.
    language : str

    Returns
    -------
    str
        For `panel.pane.HTML`.

    Examples
    --------
    >>> import xarray as xr
    >>> made = table(xr.Dataset({"height": ("site", [30.0], {"units": "m"})}, {"site": ["<b>"]}))
    >>> "[m]" in made, "<b>" in made
    (True, False)
    """
    import pandas as pd

    units = {}
    if isinstance(data, pd.DataFrame):
        frame = data
    elif data.data_vars and all(v.ndim == 1 for v in data.data_vars.values()):
        return markup(data, language=language)
    else:
        units = {str(k): str(v.attrs.get("units", "")) for k, v in data.variables.items()}
        frame = data.to_dataframe()
    if not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None):
        frame = frame.reset_index()
    heads = [f"{k} [{units[k]}]" if units.get(k) not in (None, "", "1") else k for k in map(str, frame.columns)]
    heads = [escaped(head[:200]) for head in heads]
    shown = frame.head(MOST_ROWS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(value, language)}</td>" for value in row) + "</tr>"
        for row in shown.itertuples(index=False, name=None)
    )
    said_of = f"<caption>{html.escape(escaped(caption))}</caption>" if caption else ""
    left = ""
    if len(frame) > len(shown):
        counts = {"shown": number(len(shown), language=language), "count": number(len(frame), language=language)}
        left = f"<p>{html.escape(said('rows_left_out', language=language, **counts))}</p>"
    columns = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in heads)
    return f"<table>{said_of}<thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>{left}"


def _cell(value: Any, language: str) -> str:
    if isinstance(value, bool):
        return "✓" if value else "–"
    try:
        finite = float("" if isinstance(value, str | bytes) else value)
    except (TypeError, ValueError):
        return html.escape(escaped(str(value)[:200]))
    return "–" if math.isnan(finite) else html.escape(number(finite, language=language))


def image(figure: Figure) -> str:
    """A PNG with its alt text, as HTML that fits the width."""
    data = base64.b64encode(figure.png).decode("ascii")
    return f'<img alt="{html.escape(figure.alt, quote=True)}" src="data:image/png;base64,{data}">'


def saved(picture: Picture, kind: str) -> io.BytesIO:
    """The picture as a file that needs nothing beside it: a PNG, or a page of HTML with its alt text and table."""
    figure = picture.figure
    if isinstance(figure, Figure):
        return io.BytesIO(figure.png if kind == "png" else figure.page().encode("utf-8"))
    from bokeh.core.json_encoder import serialize_json
    from bokeh.document import Document
    from bokeh.embed import file_html
    from bokeh.model import Model
    from bokeh.resources import INLINE

    if not isinstance(figure, Model):
        import panel as pn

        made_of: Any = pn.panel(figure)
        figure = made_of.get_root()
    if figure.document is not None:
        # A copy: the figure belongs to the page that shows it.
        whole = Document.from_json(json.loads(serialize_json(figure.document.to_json(deferred=False))))
        found: Any = whole.get_model_by_id(figure.id)
        whole.clear()
        figure = found
    alone = Document()
    alone.add_root(figure)
    made = file_html(alone, INLINE, picture.title)
    about = f"<h1>{html.escape(picture.title)}</h1><p>{html.escape(picture.alt)}</p>"
    made = made.replace("<body>", f"<body>{about}", 1)
    # What Panel would fetch from a server is not needed by a figure, and is not there for a file.
    return io.BytesIO(re.sub(r'<script[^>]*\ssrc="[^"]*"[^>]*>\s*</script>', "", made).encode("utf-8"))


def notice_html(notice: Notice | None) -> str:
    """A notice as HTML, its text escaped."""
    return "" if notice is None else f"<p>{html.escape(notice.text)}</p>"
