"""What Operate says in words and tables: alarms, how telemetry comes in, what quality finds. Every name is escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.view._figure import number
from twinkit.view.dashboard.operate_figures import counted, moment, plain, say, share
from twinkit.view.dashboard.operate_state import WATCHED
from twinkit.view.dashboard.page import table
from twinkit.view.dashboard.session import said

if TYPE_CHECKING:
    from twinkit.view.dashboard.operate_state import Figures, Known

__all__ = ["SHOWN", "alarm_words", "alarms", "assumed", "coming", "faults", "span_of"]

SHOWN = 3
"""Alarms that are spelt out; all stand in the table."""


def span_of(seconds: float, language: str) -> str:
    """How long, in the unit that fits."""
    for key, size in (("days_short", 86400), ("hours_short", 3600), ("minutes", 60)):
        if abs(seconds) >= 2 * size or (key == "minutes" and abs(seconds) >= 60):
            return say(key, language, count=counted(round(seconds / size), language))
    return say("seconds", language, count=number(seconds, language=language, digits=2))


def alarm_words(alarm: dict[str, Any], language: str) -> dict[str, str]:
    """Fault, sensor, since and evidence of an alarm, as phrases take them."""
    return {
        "fault": say(alarm["fault"], language),
        "sensor": f" {plain(alarm['sensor'])}" if alarm["sensor"] else "",
        "since": moment(alarm["since"], language),
        "evidence": plain(alarm["evidence"], 300),
    }


def alarms(found: list[dict[str, Any]], language: str, *, instead: str = "") -> str:
    """The newest alarms with their evidence, and a table where there are more; `instead` where nothing is judged."""
    rows = []
    for alarm in found[:SHOWN]:
        ended, told = alarm["cleared"], alarm_words(alarm, language)
        over = say("open", language) if np.isnat(ended) else say("cleared", language, when=moment(ended, language))
        text = say("alarm_row", language, raised=moment(alarm["raised"], language), cleared=over, **told)
        rows.append(
            f"<li><strong>{html.escape(text)}</strong><br>{html.escape(say('evidence', language))}: "
            f'<span dir="ltr" lang="en">{html.escape(told["evidence"])}</span></li>'
        )
    body = f"<ul>{''.join(rows)}</ul>" if rows else _paragraph(instead or say("no_alarms", language))
    if len(found) > SHOWN:
        frame = pd.DataFrame(
            [
                {
                    say("fault", language): say(a["fault"], language),
                    say("sensor", language): plain(a["sensor"]) or "–",
                    say("since", language): moment(a["since"], language),
                    say("raised", language): moment(a["raised"], language),
                    say("ended", language): moment(a["cleared"], language),
                    say("evidence", language): a["evidence"],
                }
                for a in found
            ]
        )
        summary = html.escape(said("table", language=language))
        body += f"<details><summary>{summary}</summary>{_scrolled(frame, language)}</details>"
    return _heading("alarms", language) + body


def assumed(known: Known, language: str, *, noise: float, more: str = "") -> str:
    """What the estimate takes for granted, and what it leaves out."""
    if known.record is None:
        return ""
    people = say("its_people" if known.people else "no_people", language)
    lines = [say("assumed", language, noise=share(noise, language), what=people)]
    if known.left:
        some = {"count": counted(known.left, language), "most": counted(WATCHED, language)}
        lines.append(say("left", language, **some))
    if known.outside:
        lines.append(say("outside", language, count=counted(known.outside, language)))
    return "".join(f'<p class="tk-small">{html.escape(line)}</p>' for line in [*lines, *([more] if more else [])])


def coming(figures: Figures, language: str, *, hours: float, warning: str = "") -> tuple[str, str]:
    """How telemetry comes in: a table, and one line of it with the warning that goes before all."""
    f, none = figures, "–"
    commit = f"{moment(f.committed, language, seconds=True)}, {f.commit[:8]}: {plain(f.message, 80)}"
    rows = {
        "rate": number(60 * f.rate, language=language),
        "received": moment(f.received, language, seconds=True),
        "tells_of": moment(f.tells_of, language, hours=hours),
        "delay": span_of(f.delay, language) if np.isfinite(f.delay) else none,
        "pending": counted(f.pending, language),
        "commit": commit if f.commit else none,
        "count": f"{counted(f.new, language)} / {counted(f.corrected, language)}",
        "rejected": counted(f.rejected, language),
    }
    if f.reasons:
        reasons = list(f.reasons.items())[:5]
        rows["why"] = "; ".join(f"{counted(n, language)} × {plain(reason, 100)}" for reason, n in reasons)
    cells = "".join(
        f'<tr><th scope="row">{html.escape(say(k, language))}</th><td>{html.escape(v)}</td></tr>'
        for k, v in rows.items()
    )
    text = say("coming", language, **{k: rows[k] for k in ("rate", "received", "tells_of", "pending", "rejected")})
    note = f'<div class="tk-alert" role="alert">{_paragraph(warning)}</div>' if warning else ""
    line = f'{note}<p class="tk-small">{html.escape(text)}</p>' if f.new or warning else ""
    return f"{_heading('telemetry', language)}<table><tbody>{cells}</tbody></table>", line


def faults(found: list[dict[str, Any]] | str, language: str) -> str:
    """What quality finds, or why it could not look."""
    head = _heading("quality", language)
    if not found or isinstance(found, str):
        return head + _paragraph(found or say("no_findings", language))
    frame = pd.DataFrame(
        [
            {
                say("finding", language): say(row["flag"], language),
                say("variable", language): row["variable"],
                say("sensor", language): plain(row["sensor"]),
                say("times", language): row["times"],
                say("readings", language): row["readings"],
                say("start", language): moment(row["start"], language),
                say("end", language): moment(row["end"], language),
            }
            for row in found
        ]
    )
    return head + _scrolled(frame, language)


def _heading(key: str, language: str) -> str:
    return f"<h2>{html.escape(say(key, language))}</h2>"


def _paragraph(text: Any) -> str:
    return f"<p>{html.escape(str(text))}</p>"


def _scrolled(frame: pd.DataFrame, language: str) -> str:
    """A table that is wider than a phone, and is scrolled there, by keys too."""
    made = table(frame, language=language)
    return f'<div class="tk-scroll" tabindex="0"><div style="min-width:640px">{made}</div></div>'
