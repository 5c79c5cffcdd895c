"""An executed notebook as one page for people: the text and the pictures first, the code folded away."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.study._run import kept
from twinkit.study._sanitised import sanitised

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["report"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The second wall: were something that acts to get into the page, the browser would not let it act."""

STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5b6776; --line: #dde3ea; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7f9; color: var(--ink); font: 17px/1.6 system-ui, "Segoe UI", "Noto Sans",
  "Noto Sans Devanagari", "Noto Naskh Arabic", sans-serif; }
main { max-width: 60rem; margin: 0 auto; background: #fff; padding: 2.5rem clamp(1rem, 5vw, 4rem) 4rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 1rem; }
.subject { margin: 0 0 .3rem; color: var(--accent); font-weight: 600; letter-spacing: .02em; }
h2 { margin: 3rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.45rem; }
h3 { margin: 2rem 0 .4rem; font-size: 1.1rem; }
a { color: var(--accent); }
blockquote { margin: 1.2rem 0; padding: .8rem 1.2rem; border-inline-start: 5px solid var(--accent); background: #eef6fb;
  font-size: 1.08rem; }
blockquote p { margin: 0; }
img { display: block; margin: 1rem auto; max-width: 100%; height: auto; }
.table { overflow-x: auto; margin: 1rem 0; }
.table caption { text-align: start; font-weight: 600; }
table { border-collapse: collapse; font-size: .88rem; width: 100%; }
th, td { text-align: start; padding: .4rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1.5rem 0; }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem 1rem; }
.card b { display: block; font-size: 1.5rem; line-height: 1.25; }
.card span { color: var(--soft); font-size: .88rem; }
details { margin: .4rem 0; font-size: .82rem; }
summary { cursor: pointer; color: var(--soft); width: max-content; }
pre { overflow-x: auto; background: #f5f7f9; border: 1px solid var(--line); border-radius: .4rem; padding: .7rem 1rem;
  font: .82rem/1.5 ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace; direction: ltr; text-align: left; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .85rem; }
@media print { body { background: #fff; font-size: 11pt; } main { padding: 0; } details:not([lang]) { display: none; } }
"""


def report(
    executed: str | Path,
    page: str | Path,
    *,
    subject: str = "",
    cards: Mapping[str, str] | None = None,
    notes: str = "",
    language: str = "en",
) -> Path:
    """An executed notebook as one HTML page that needs nothing else: no script, no network, no other file.

    What cells show may hold names from a twin of anybody's. So it is rewritten from a list of elements that do
    nothing, and the page forbids scripts and all that lies elsewhere.

    Parameters
    ----------
    executed : path of an executed notebook
    page : path of the .html to write
    subject : str, optional
        What the page is about, above the title: a region.
    cards : dict, optional
        What a number means to the number as text, shown large under the title.
    notes : str, optional
        At the foot of the page: commit, versions.
    language : str
        Of the page; Persian is set from right to left.

    Returns
    -------
    Path

    Errors
    ------
    TwinError
        Not a notebook, or a place that cannot be written.
    """
    try:
        notebook = json.loads(Path(executed).read_text(encoding="utf-8"))
        cells = notebook["cells"]
        body = "\n".join(_cell(c) for c in cells)
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise TwinError(
            "an executed notebook",
            found=f"another content ({type(fault).__name__}: {fault})",
            hint="run it first: tk.study.run(notebook, out='out')",
            where=str(executed),
        ) from None
    found = re.search(r"<h1[^>]*>(.*?)</h1>", body, flags=re.DOTALL)
    title = re.sub(r"<[^>]+>", "", found[1]).strip() if found else Path(executed).stem
    if found:
        above = f'<p class="subject">{html.escape(subject)}</p>' if subject else ""
        boxes = "".join(
            f'<div class="card"><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>'
            for k, v in (cards or {}).items()
        )
        below = f'<div class="cards">{boxes}</div>' if boxes else ""
        body = body[: found.start()] + above + found[0] + below + body[found.end() :]
    whole = f"{html.escape(subject)}: {title}" if subject else title
    direction = "rtl" if language == "fa" else "ltr"
    head = (
        f'<!doctype html>\n<html lang="{html.escape(language)}" dir="{direction}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{whole}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )
    page = Path(page)
    try:
        kept(page, head + body + _foot(notebook, notes) + "\n</main>\n</body>\n</html>\n")
    except OSError as fault:
        raise TwinError(
            "a place that can be written", found=str(fault), hint="choose another folder", where=str(page)
        ) from None
    return page


def _cell(cell: Mapping[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return _markdown(source, markup=True)
    if cell["cell_type"] != "code" or not source.strip():
        return ""
    name = "parameters" if "injected-parameters" in cell.get("metadata", {}).get("tags", []) else "code"
    code = f"<details><summary>{name}</summary><pre><code>{html.escape(source)}</code></pre></details>"
    return "\n".join([*filter(None, (_output(o) for o in cell.get("outputs", []))), code])


def _output(output: Mapping[str, Any]) -> str:
    """The richest form of an output that needs no script; recorded results are for machines and stay out."""
    from twinkit.study._results import MIME

    if output["output_type"] == "stream":
        text = "".join(output["text"])
        return f"<pre>{html.escape(text)}</pre>" if output.get("name") == "stdout" and text.strip() else ""
    if output["output_type"] == "error":
        return f"<pre>{html.escape(output['ename'])}: {html.escape(output['evalue'])}</pre>"
    bundle = {mime: "".join(v) if isinstance(v, list) else v for mime, v in output.get("data", {}).items()}
    if MIME in bundle:
        return ""
    if "text/html" in bundle:
        shown, lost = sanitised(bundle["text/html"])
        if not lost or "text/plain" not in bundle:
            return f'<div class="table">{shown}</div>'
    if "text/markdown" in bundle:
        return _markdown(bundle["text/markdown"], markup=False)
    alt = html.escape(bundle.get("text/plain", "figure without a description"), quote=True)
    if "image/png" in bundle:
        return f'<img alt="{alt}" src="data:image/png;base64,{html.escape(bundle["image/png"].strip(), quote=True)}">'
    if "image/svg+xml" in bundle:
        # as a picture: scripts in it stay dead, which they would not as a part of the page
        data = base64.b64encode(bundle["image/svg+xml"].encode()).decode("ascii")
        return f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
    return f"<pre>{html.escape(bundle.get('text/plain', ''))}</pre>"


def _markdown(text: str, *, markup: bool) -> str:
    """Markdown as HTML; markup in it is shown as text, except in the notebook's own words."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"typographer": True, "html": markup}).enable("table").render(text)
    return sanitised(made)[0]


def _foot(notebook: Mapping[str, Any], notes: str) -> str:
    said = notebook.get("metadata", {}).get("papermill", {})
    when, taken = str(said.get("end_time", ""))[:19].replace("T", " "), said.get("duration")
    lasted = f" in {taken:.0f} s" if isinstance(taken, int | float) else ""
    line = f"Computed by twinkit{f' on {when} UTC' if when else ''}{lasted}. The code is folded above."
    return f"<footer>{line}{f'<br>{html.escape(notes)}' if notes else ''}</footer>"
