"""HTML that shows and does nothing: the elements a report needs, none that acts, and nothing fetched from elsewhere."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

__all__ = ["sanitised"]

TEXT = {
    "a",
    "abbr",
    "b",
    "br",
    "code",
    "del",
    "em",
    "i",
    "img",
    "ins",
    "kbd",
    "mark",
    "q",
    "s",
    "samp",
    "small",
    "span",
}
TEXT |= {"strong", "sub", "sup", "u", "var"}
BLOCKS = {"blockquote", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6"}
BLOCKS |= {"hr", "li", "ol", "p", "pre", "summary", "ul"}
TABLES = {"caption", "col", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
SHOWN = frozenset(TEXT | BLOCKS | TABLES)
VOID = frozenset({"br", "col", "hr", "img"})
SILENT = frozenset({"script", "style", "template", "noscript", "iframe", "object"})
"""Elements that go with all that stands in them."""
ACTING = frozenset(
    {"button", "canvas", "embed", "form", "iframe", "input", "math", "object", "script", "select", "svg"}
)
"""Elements without which a form of the output is not what it was meant to be."""
KEPT = frozenset({"alt", "colspan", "dir", "lang", "rowspan", "scope", "span", "start", "title"})
PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*")
LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
ALIGNED = re.compile(r"\s*text-align\s*:\s*(left|right|center|start|end)\s*;?\s*", re.IGNORECASE)


def sanitised(markup: str) -> tuple[str, bool]:
    """Markup rewritten from a list of elements and attributes that are shown; whether something that acts was lost.

    What is not on the list is left out, its text stays; every element is closed where it was opened, so that none
    reaches beyond its output. Pictures stand in the page itself, links lead where they say.

    >>> sanitised('<b onclick="x()">5 < 6</b></div><script>alert(1)</script><img src=x onerror=alert(2)>')
    ('<b>5 &lt; 6</b>', True)
    """
    parser = _Rewriter()
    parser.feed(markup)
    parser.close()
    return parser.text(), parser.lost


class _Rewriter(HTMLParser):
    """Writes anew what it reads; nothing of the source is copied without its marks being escaped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.open: list[str] = []
        self.silent: list[str] = []
        self.lost = False

    def text(self) -> str:
        return "".join([*self.parts, *(f"</{tag}>" for tag in reversed(self.open))])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.lost |= tag in ACTING
        if self.silent or tag in SILENT:
            if tag in SILENT:
                self.silent.append(tag)
            return
        if tag not in SHOWN:
            return
        own = _attributes(tag, {name: value or "" for name, value in reversed(attrs)})
        if tag == "img" and "src" not in own:
            return
        written = "".join(f' {name}="{html.escape(value, quote=True)}"' for name, value in own.items())
        self.parts.append(f"<{tag}{written}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.silent:
            if tag == self.silent[-1]:
                self.silent.pop()
        elif tag in self.open:
            while True:
                last = self.open.pop()
                self.parts.append(f"</{last}>")
                if last == tag:
                    break

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(html.escape(data, quote=False))


def _attributes(tag: str, given: dict[str, str]) -> dict[str, str]:
    own = {name: value for name, value in given.items() if name in KEPT}
    if tag == "a" and LINK.match(given.get("href", "")):
        own["href"] = given["href"]
    if tag == "img" and PICTURE.fullmatch(given.get("src", "")):
        own["src"] = given["src"]
    if ALIGNED.fullmatch(given.get("style", "")):
        own["style"] = given["style"].strip()
    return own
