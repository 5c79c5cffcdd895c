"""A picture as one HTML file: picture, description and table, for light and dark, without script or request."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from typing import TYPE_CHECKING

from twinkit.error import escaped
from twinkit.view._figure import said
from twinkit.view._table import markup

if TYPE_CHECKING:
    from twinkit.view._figure import Figure

__all__ = ["page"]

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #4d5966; --line: #d4dbe3; --paper: #fff; --ground: #f5f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf2; --soft: #b3bfcb; --line: #3a4552; --paper: #171d24; --ground: #0f1419; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 system-ui, "Segoe UI", "Noto Sans",
  "Noto Sans Devanagari", "Noto Naskh Arabic", sans-serif; }
main { max-width: 60rem; margin: 0 auto; background: var(--paper); padding: 2rem clamp(1rem, 4vw, 3rem) 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
figure { margin: 0; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; padding: .4rem; background: #fff;
  border-radius: .4rem; }
figcaption { margin: 1rem 0 1.5rem; color: var(--soft); }
.table { overflow-x: auto; margin: 1rem 0 2rem; }
.table:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
table { border-collapse: collapse; font-size: .95rem; min-width: 60%; margin-top: 1.5rem; }
caption { text-align: start; font-weight: 600; padding: .3rem 0; }
th, td { text-align: start; padding: .35rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); }
.number { text-align: end; font-variant-numeric: tabular-nums; }
@media print { body, main { background: #fff; color: #000; padding: 0; } }
"""


def page(figure: Figure) -> str:
    """The whole file.

    All that acts or fetches is forbidden by the page itself, so that a text that slipped through would do nothing.
    """
    mark = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{mark}'; base-uri 'none'; form-action 'none'"
    direction = "rtl" if figure.language == "fa" else "ltr"
    alt = html.escape(escaped(figure.alt), quote=True)
    # without a title of its own the description begins with one
    title = html.escape(escaped(figure.title or re.split(r"\s*[:.।](?=\s|$)", figure.alt, maxsplit=1)[0]), quote=True)
    data = base64.b64encode(figure.png).decode("ascii")
    parts = [
        "<!doctype html>",
        f'<html lang="{html.escape(figure.language)}" dir="{direction}">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        f'<h1 dir="auto">{title}</h1>',
        # the picture says its alt text; whoever hears that need not hear the same words again below it
        f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">',
        f'<figcaption aria-hidden="true">{alt}</figcaption></figure>',
    ]
    if figure.table is not None and figure.table.data_vars:
        numbers = said("table", language=figure.language)
        parts.append(
            f'<div class="table" tabindex="0" role="region" aria-label="{html.escape(numbers)}">\n'
            f"{markup(figure.table, language=figure.language)}\n</div>"
        )
    return "\n".join([*parts, "</main>", "</body>", "</html>", ""])
