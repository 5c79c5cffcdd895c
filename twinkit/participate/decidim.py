"""Proposals as a CSV file of Decidim's open data, out and in.

Decidim writes nested fields with slashes (``title/en``), a language after the last one, and a semicolon between
columns (its exporter and ``ProposalSerializer``; github.com/decidim/decidim).
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, escaped
from twinkit.participate import rows as _rows_of
from twinkit.participate.pin import LONGEST, digest, hashed
from twinkit.participate.pin import said as kept

if TYPE_CHECKING:
    from twinkit.participate.register import Pin, Register

__all__ = ["export", "take_in"]

LARGEST = 50 * 2**20
"""[bytes] of a file that is taken in."""
MOST = 100_000
"""Rows of a file that is taken in."""
STATES = {"received": "not_answered", "studied": "evaluating", "accepted": "accepted", "rejected": "rejected"}
FROM = {v: k for k, v in STATES.items()} | {"": "received", "validating": "received", "published": "received"}


def export(register: Register, path: str | Path, *, language: str = "en", url: str = "") -> Path:
    """Write the proposals that are shown as a CSV file that Decidim's tools read.

    Parameters
    ----------
    register : Register
    path : path that ends in .csv
    language : str
        Code under which the words are filed: ``title/en``.
    url : str
        Address of the register's pages, for the column ``url``.

    Returns
    -------
    Path

    Places are the middles of squares that may be shown; a proposal alone in its square has none. Words that a
    spreadsheet would obey are written with an apostrophe before them.

    Errors
    ------
    TwinError
        Another ending, a folder that cannot be written, a code that is no language.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise TwinError("a path that ends in .csv", found=str(path), hint="export(register, 'proposals.csv')")
    if not (2 <= len(language) <= 8 and language.replace("-", "").isalpha()):
        raise TwinError("a language's code", found=escaped(language[:20]), hint="'en', 'hi', 'fr'", where="language")
    shown = {str(s) for s in register.squares()["square"].values}
    stream = io.StringIO()
    fields = list(_row(None, register, shown, language, url))
    writer = csv.DictWriter(stream, fields, delimiter=";", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(pin, register, shown, language, url) for pin in register.proposals(most=MOST))
    try:
        path.write_text(stream.getvalue(), encoding="utf-8")
    except OSError as fault:
        raise TwinError(
            "a folder that can be written", found=fault.strerror or str(fault), hint="choose another", where=str(path)
        ) from None
    return path


def _row(pin: Pin | None, register: Register, shown: set[str], language: str, url: str) -> dict[str, Any]:
    where: tuple[Any, Any] = ("", "")
    if pin is not None and f"{pin.square[0]},{pin.square[1]}" in shown:
        where = _degrees(register, pin.square)
    words = pin.words if pin else ""
    answer = next((h.reason for h in reversed(pin.happenings) if h.reason), "") if pin else ""
    return {
        "id": pin.id if pin else "",
        "participatory_space/id": register.choices["place"],
        "participatory_space/url": url,
        "component/id": "pins",
        f"title/{language}": _safe(words if len(words) <= 80 else f"{words[:79].rsplit(' ', 1)[0]}…"),
        f"body/{language}": _safe(words),
        "address": "",
        "latitude": where[1],
        "longitude": where[0],
        "state": STATES[pin.state] if pin else "",
        "reference": (pin.reference or f"twinkit-{pin.id}") if pin else "",
        f"answer/{language}": _safe(answer),
        "supports": pin.supports if pin else "",
        "endorsements/total_count": pin.supports if pin else "",
        "published_at": pin.received.isoformat() if pin else "",
        "url": f"{url.rstrip('/')}/{pin.id}" if url and pin else "",
    }


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in tuple("=+-@") else text


def _degrees(register: Register, square: tuple[int, int]) -> tuple[float, float]:
    from pyproj import Transformer

    to = Transformer.from_crs(register.choices["crs"], "EPSG:4326", always_xy=True)
    longitude, latitude = to.transform(*register._middle(square))
    return round(longitude, 5), round(latitude, 5)


def take_in(register: Register, path: str | Path, *, language: str = "en", by: str) -> dict[str, int]:
    """Take the proposals of a CSV file of Decidim into a register; taken in twice they are there once.

    Those that a register of this kind does not show (withdrawn ones) stay out; what has no place in the region, or no
    words, is counted and left. Supports are not taken over: nobody can say by whom they are.

    Parameters
    ----------
    register : Register
    path : path
    language : str
        Which of the file's languages; where a row lacks it, the first one that it has.
    by : str
        Who takes them in and answers for it.

    Returns
    -------
    dict
        How many were ``new``, ``known`` from before, ``deleted`` here before, ``outside`` of the region or without a
        place, and ``unfit``.

    Errors
    ------
    TwinError
        No file, one that is too large or no such CSV.
    """
    rows = _rows(Path(path))
    out = dict.fromkeys(("new", "known", "deleted", "outside", "unfit"), 0)
    from pyproj import Transformer

    to = Transformer.from_crs("EPSG:4326", register.choices["crs"], always_xy=True)
    for row in rows:
        title, body = (_in_language(row, field, language) for field in ("title", "body"))
        said = body if not title or body.startswith(title.rstrip("…")) else f"{title}. {body}"
        reference = (row.get("reference") or row.get("id") or "").strip()[:80]
        state = FROM.get((row.get("state") or "").strip())
        if not said.strip() or not reference or state is None:
            out["unfit"] += 1
            continue
        try:
            x, y = to.transform(float(row["longitude"] or "nan"), float(row["latitude"] or "nan"))
            register._square(x, y)
        except (ValueError, TwinError):
            out["outside"] += 1
            continue
        if not (math.isfinite(x) and math.isfinite(y)):
            out["outside"] += 1
            continue
        reason = _in_language(row, "answer", language)
        out[_taken(register, said, (x, y), state, reason, f"decidim {reference}"[:80], by)] += 1
    return out


def _taken(
    register: Register, said: str, at: tuple[float, float], state: str, reason: str, reference: str, by: str
) -> str:
    import sqlalchemy as sql

    from twinkit.participate import tables

    try:
        words = kept(_plain(said))
        reason = kept(_plain(reason)) if reason.strip() else ""
    except TwinError:
        return "unfit"
    with register._change("take in") as (connection, now):
        if connection.execute(sql.select(tables.pin.c.id).where(tables.pin.c.reference == reference)).first():
            return "known"
        if connection.execute(sql.select(tables.spent.c.at).where(tables.spent.c.key == hashed(reference))).first():
            return "deleted"
        number = register._insert(
            connection, subject="proposal", words=words, digest=digest(words),
            place=register._square(*at), state=state, flag="imported", now=now, reference=reference,
        )  # fmt: skip
        _rows_of.happened(connection, number, state, by, reason, now=now)
    return "new"


def _plain(text: str) -> str:
    """At most as many characters as a pin has, with the apostrophe away that a spreadsheet was told by."""
    text = text[1:] if text[:1] == "'" and text[1:2] in tuple("=+-@") else text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _in_language(row: dict[str, str], field: str, language: str) -> str:
    """What a row says in a language, or in the first that it has (``machine_translations`` last)."""
    own = (row.get(f"{field}/{language}") or "").strip()
    others = (str(v).strip() for k, v in row.items() if k and k.startswith(f"{field}/") and v)
    return own or next((v for v in others if v), (row.get(field) or "").strip())


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > LARGEST:
            raise TwinError(
                f"a file of at most {LARGEST // 2**20} MB", found="a larger one", hint="split it", where=str(path)
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise TwinError("a file", found=fault.strerror or str(fault), hint="check the path", where=str(path)) from None
    except UnicodeDecodeError:
        raise _no_csv(path, "other bytes than UTF-8") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") >= first.count(",") else ",")
    try:
        names = set(reader.fieldnames or ())
        if not {"latitude", "longitude", "id"} <= names or not any(n.startswith(("body", "title")) for n in names if n):
            raise _no_csv(path, f"columns {escaped(', '.join(map(str, list(names)[:6])))}")
        rows: list[dict[str, str]] = []
        for row in reader:
            if None in row or len(rows) >= MOST:
                raise _no_csv(path, "a row with more fields than the first" if None in row else f"over {MOST} rows")
            rows.append(row)
    except csv.Error as fault:
        raise _no_csv(path, str(fault)) from None
    return rows


def _no_csv(path: Path, found: str) -> TwinError:
    return TwinError(
        "Decidim's proposals as CSV: id, title/LANGUAGE, body/LANGUAGE, latitude, longitude, state",
        found=found,
        hint="the open data page of a Decidim site offers one",
        where=str(path),
    )
