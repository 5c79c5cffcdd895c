"""Two parts of Operate that Panel lacks: a slider that says its moment, and a clock that notices when nobody answers.

Both are the browser's own elements with a few lines of script. What they show is put in as text, never as HTML.
"""

from __future__ import annotations

import functools
from typing import Any

from twinkit.view.dashboard import need

__all__ = ["pulse", "track"]

LOST = (
    ".tk-lost { padding: 8px 12px; border-inline-start: 4px solid var(--tk-alert); color: var(--tk-alert);"
    " background: var(--tk-alert-ground); }"
)
SILENT = 15
"""[s] Without a word from the server after which the page says so."""


@functools.cache
def _parts() -> tuple[Any, Any]:
    need()
    import param
    from panel.reactive import ReactiveHTML

    class Track(ReactiveHTML):  # type: ignore[misc]
        """A range with a label and, for eyes and screen readers, what its place means."""

        label = param.String("")
        text = param.String("")
        value = param.Integer(0)
        end = param.Integer(0)

        _template = (
            '<label id="whole" style="display:block"><span id="name"></span>'
            '<input id="range" type="range" min="0" max="0" step="1" style="width:100%;min-height:28px;margin:0"'
            " oninput=\"${script('moved')}\"></input></label>"
            '<div id="told" style="font-size:14px;overflow-wrap:anywhere"></div>'
        )
        _scripts = {  # noqa: RUF012 - Panel reads it from the class
            "render": "name.textContent = data.label; self.end(); self.text()",
            # a hand that drags or a key that is held asks once, when it rests
            "moved": (
                "clearTimeout(state.wait); state.wait = setTimeout(() => { data.value = parseInt(range.value) }, 120)"
            ),
            "value": "if (parseInt(range.value) !== data.value) range.value = data.value",
            "end": "range.max = data.end; range.value = data.value",
            "text": "told.textContent = data.text; range.setAttribute('aria-valuetext', data.text)",
        }

    class Pulse(ReactiveHTML):  # type: ignore[misc]
        """When the server last looked, and that it has not been heard of for too long."""

        text = param.String("")
        beat = param.Integer(0)
        silent = param.String("", doc="With {count} where the seconds belong.")
        paused = param.Boolean(False)

        _template = '<div id="told" style="font-size:14px"></div><div id="lost" role="alert"></div>'
        _scripts = {  # noqa: RUF012 - Panel reads it from the class
            "render": (
                "told.textContent = data.text; state.last = Date.now();"
                "state.timer = setInterval(() => self.watch(), 3000)"
            ),
            "watch": (
                "const gone = Math.round((Date.now() - state.last) / 1000);"
                f"const quiet = gone > {SILENT} && !data.paused;"
                "const text = quiet ? data.silent.replace('{count}', 10 * Math.floor(gone / 10)) : '';"
                "if (lost.textContent !== text) { lost.textContent = text; lost.className = quiet ? 'tk-lost' : '' }"
            ),
            "beat": "state.last = Date.now(); self.watch()",
            "text": "told.textContent = data.text; state.last = Date.now(); self.watch()",
            "remove": "clearInterval(state.timer)",
        }
        _stylesheets = [LOST]  # noqa: RUF012 - Panel reads it from the class

    return Track, Pulse


def track(label: str) -> Any:
    """A slider over moments: ``value`` from 0 to ``end``, and ``text`` for what it means."""
    return _parts()[0](label=label, sizing_mode="stretch_width", margin=(5, 10, 0, 10))


def pulse(silent: str) -> Any:
    """The line that says when the store was last looked at; `silent` is what it says when the server is not heard."""
    return _parts()[1](silent=silent, sizing_mode="stretch_width", margin=(5, 10))
