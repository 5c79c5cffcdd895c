"""A picture with its description, in a language whose letters the font holds."""

from __future__ import annotations

import base64
import csv
import functools
import html
import importlib.resources
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.vocabulary import LANGUAGES

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Figure", "canvas", "checked_language", "drawn", "font", "number", "said", "written"]

# Language → the file that holds its script; the others are written in matplotlib's own font.
LATIN = "DejaVu Sans"
FONTS = {"hi": "devanagari.ttf", "fa": "arabic.ttf"}
PERSIAN = str.maketrans("0123456789,.%", "۰۱۲۳۴۵۶۷۸۹٬٫٪")


@dataclass(frozen=True)
class Figure:
    """A PNG, the alt text that says what it shows, and the table of the numbers behind it.

    In a notebook it is shown as HTML with the alt text, which JupyterLab and nbconvert drop from a plain image, and
    the table folded away below it.

    Attributes
    ----------
    png : bytes
    alt : str
        One paragraph written from the numbers in the picture.
    language : str
    table : Dataset or None
        A hundred rows at most for each dim, every variable over one dim with ``long_name`` and ``units``; shares are
        numbers from 0 to 1. Each dim's coordinate says in ``caption`` what its rows are, and in ``note`` what was left
        out. ``figure.table[["name", "served"]].to_dataframe()`` gives it to pandas.
    title : str
    """

    png: bytes
    alt: str
    language: str = "en"
    table: xr.Dataset | None = field(default=None, compare=False)
    title: str = ""

    def save(self, path: str | Path) -> Path:
        """Write the picture: the PNG with the alt text in its description field, or a page of HTML.

        The page is one file with the picture, its alt text and its table, for light and dark; it holds no script and
        asks for nothing from elsewhere.

        Parameters
        ----------
        path : path that ends in .png or .html

        Errors
        ------
        TwinError
            Another ending, or a folder that cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in (".png", ".html"):
            raise TwinError(
                "a path that ends in .png or .html", found=str(path), hint="figure.save('map.png')", where="path"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.png if path.suffix.lower() == ".png" else self.page().encode("utf-8"))
        except OSError as fault:
            raise TwinError(
                "a folder that can be written", found=str(fault), hint="choose another folder", where=str(path)
            ) from None
        return path

    def page(self) -> str:
        """The page of HTML that ``save("map.html")`` writes, as text."""
        from twinkit.view._page import page

        return page(self)

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        from twinkit.view._table import markup

        data = base64.b64encode(self.png).decode("ascii")
        alt = html.escape(self.alt, quote=True)
        spoken = f'lang="{self.language}"' + (' dir="rtl"' if self.language == "fa" else "")
        image = f'<img alt="{alt}" {spoken} src="data:image/png;base64,{data}" style="max-width: 100%; height: auto">'
        if self.table is None or not self.table.data_vars:
            return image
        numbers = f"<summary>{said('table', language=self.language)}</summary>"
        return f"{image}\n<details {spoken}>{numbers}\n{markup(self.table, language=self.language)}\n</details>"


def font(language: str) -> list[str]:
    """Font families for figures in a language, in order of preference, registered with matplotlib.

    Parameters
    ----------
    language : str
        A column of the vocabulary: en, hi, fr or fa.

    Errors
    ------
    TwinError
        An unknown language, or matplotlib is not installed.

    Examples
    --------
    >>> font("fa")
    ['Twinkit Arabic', 'DejaVu Sans', 'Twinkit Devanagari']
    """
    checked_language(language)
    try:
        from matplotlib import font_manager
    except ImportError:
        raise TwinError(
            "matplotlib, to draw", found="no module 'matplotlib'", hint='install the extra: pip install "twinkit[view]"'
        ) from None
    own = {code: _registered(name, font_manager) for code, name in FONTS.items()}
    # names of places come in any script, whatever the language of the figure
    first = [own["fa"], LATIN] if language == "fa" else [LATIN]
    return first + [family for family in own.values() if family not in first]


@functools.cache
def _letters(*families: str) -> frozenset[int]:
    """Every letter that one of the fonts holds."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    return frozenset(
        code for family in families or font("en") for code in FT2Font(font_manager.findfont(family)).get_charmap()
    )


def latin(text: str) -> bool:
    """Whether matplotlib's own font, which is there in bold, holds all letters of a text."""
    return all(ord(c) in _letters(LATIN) for c in text)


def written(text: str) -> str:
    """The text with ? for each letter that no font holds: a figure with a gap is better than one with boxes.

    A dollar is a dollar: between two of them matplotlib would read a formula.

    >>> written("Rāmpur शिमला 深圳")
    'Rāmpur शिमला ??'
    """
    return "".join(c if ord(c) in _letters() else "?" for c in text).replace("$", r"\$")


@functools.cache
def _registered(name: str, font_manager: Any) -> str:
    with importlib.resources.as_file(importlib.resources.files("twinkit") / "fonts" / name) as path:
        font_manager.fontManager.addfont(str(path))
        return str(font_manager.FontProperties(fname=str(path)).get_name())


def checked_language(language: str) -> str:
    if language not in LANGUAGES:
        raise TwinError(
            f"a language among {', '.join(LANGUAGES)}",
            found=repr(language),
            hint="choose one of them",
            where="language",
        )
    return language


@functools.cache
def _phrases() -> dict[str, dict[str, str]]:
    text = importlib.resources.files("twinkit.view").joinpath("words.csv").read_text(encoding="utf-8")
    return {row.pop("key"): row for row in csv.DictReader(text.splitlines())}


def said(key: str, *, language: str, **parts: Any) -> str:
    """A phrase in a language, with its parts filled in."""
    row = _phrases()[key]
    return (row.get(language) or row["en"]).format(**parts)


def number(value: float, *, language: str, unit: str = "", share: bool = False, digits: int = 3) -> str:
    """A number for people: a few significant digits, thousands apart, in the language's digits.

    >>> number(1234567.0, language="en"), number(0.8712, language="fr", share=True), number(-105.0, language="en")
    ('1,230,000', '87,1 %', '-105')
    """
    if math.isnan(value):
        text = "NaN"
    elif share:
        # what is not all is never said to be all, nor what is something nothing
        edge = "<0.1" if 0 < value < 0.0005 else ">99.9" if 0.9995 <= value < 1 else ""
        text = edge or (f"{100 * value:.1f}" if 0 < value < 1 else f"{100 * value:.0f}")
    else:
        rounded = float(f"{value:.{digits}g}")
        whole = math.isinf(rounded) or abs(rounded) >= 10 ** (digits - 1) or rounded == int(rounded)
        text = f"{rounded:,.0f}" if whole else f"{rounded:,.{digits}g}"
    if language == "fr":
        text = text.replace(",", "\u202f").replace(".", ",")
    if share:
        text += " %" if language == "fr" else "%"
    if unit and unit != "1":
        text += f" {unit}"
    return text.translate(PERSIAN) if language == "fa" else text


def canvas(width: float, height: float, *, language: str) -> tuple[Any, Any]:
    """A matplotlib figure without a window, and the rc settings that hold while drawing on it."""
    families = font(language)
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    settings: Any = {"font.family": families, "axes.unicode_minus": False, "font.size": 9.5}
    with mpl.rc_context(settings):
        # no pyplot: it keeps figures alive and asks the machine for a window
        made = Canvas(figsize=(width, height), dpi=120, layout="constrained")
        FigureCanvasAgg(made)
    return made, mpl.rc_context(settings)


def drawn(made: Any, alt: str, language: str, table: xr.Dataset | None = None, title: str = "") -> Figure:
    """The finished picture."""
    stream = io.BytesIO()
    about = {"Description": alt, "Software": "twinkit"}
    made.savefig(stream, format="png", metadata=about, facecolor="white", bbox_inches="tight", pad_inches=0.1)
    return Figure(stream.getvalue(), alt, language, table, title)
