"""Every variable's name, once: its dims, unit, plausible range, sampling period and meaning.

`vocabulary.csv` is schema, documentation and translation at the same time. Checks, stamps, plot labels,
error messages and the glossary all read it here; nobody writes a unit anywhere else.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import math
from dataclasses import dataclass, field

from twinkit.error import TwinError, close_to

__all__ = ["FREE_DIMS", "LANGUAGES", "Word", "define", "glossary", "label", "word", "words"]

LANGUAGES = ("en", "hi", "fr", "fa")
"""Languages that have a column in vocabulary.csv."""

FREE_DIMS = frozenset({"scenario", "draw", "member", "quantile", "year", "time"})
"""Dims that any variable may carry beside its own: what varies is a dim, not a branch of the tree."""

KINDS = ("number", "text", "truth")


@dataclass(frozen=True)
class Word:
    """One row of the vocabulary.

    Attributes
    ----------
    name : str
    dims : tuple of tuple of str
        The alternatives that the variable may have, e.g. ``(("y", "x"), ("cell",))``.
    unit : str
        UDUNITS notation; "1" for ratios, indices and text.
    kind : {"number", "text", "truth"}
    low, high : float
        Plausible range in `unit`; infinite where none is stated.
    period : float
        Sampling period [s]; NaN where the variable is not a reading.
    meaning : dict
        Language code to one line of text.
    """

    name: str
    dims: tuple[tuple[str, ...], ...]
    unit: str
    kind: str = "number"
    low: float = -math.inf
    high: float = math.inf
    period: float = math.nan
    meaning: dict[str, str] = field(default_factory=dict, compare=False)

    def fits(self, dims: object) -> bool:
        """Whether a variable with these dims may bear this name (free dims do not count)."""
        own = {str(d) for d in dims}  # type: ignore[attr-defined]
        return any(set(a) <= own and own - set(a) <= FREE_DIMS for a in self.dims)

    def __str__(self) -> str:
        either = " or ".join("(" + ", ".join(d) + ")" for d in self.dims)
        return f"{self.name} {either} [{self.unit}]: {self.meaning.get('en', '')}"


@functools.cache
def _table() -> dict[str, Word]:
    text = importlib.resources.files("twinkit").joinpath("vocabulary.csv").read_text(encoding="utf-8")
    table: dict[str, Word] = {}
    for row in csv.DictReader(text.splitlines()):
        table[row["name"]] = Word(
            name=row["name"],
            dims=tuple(tuple(alternative.split()) for alternative in row["dims"].split("|")),
            unit=row["unit"],
            kind=row["kind"],
            low=float(row["low"] or -math.inf),
            high=float(row["high"] or math.inf),
            period=float(row["period"] or math.nan),
            meaning={code: row[code] for code in LANGUAGES if row[code]},
        )
    return table


def words() -> dict[str, Word]:
    """All words by name, in the order of the glossary."""
    return dict(_table())


def word(name: str) -> Word:
    """The row of one variable.

    Errors
    ------
    TwinError
        The name is not in the vocabulary; close ones are offered.

    Examples
    --------
    >>> word("rsrp").unit
    'dBm'
    """
    try:
        return _table()[name]
    except KeyError:
        near = close_to(name, _table())
        raise TwinError(
            "a name of the vocabulary",
            found=f"'{name}'",
            hint=f"use {near}" if near else "see tk.vocabulary.glossary(), or add yours with tk.vocabulary.define",
        ) from None


def define(
    name: str,
    *,
    dims: str,
    unit: str,
    meaning: str,
    kind: str = "number",
    low: float = -math.inf,
    high: float = math.inf,
    period: float = math.nan,
) -> Word:
    """Add a variable of your own for this session, so that contracts, stamps and labels know it.

    Parameters
    ----------
    name : str
        A whole word in lower case (``"noise_figure"``), not yet taken.
    dims : str
        Dims separated by spaces, alternatives by ``|`` (``"y x | cell"``).
    unit : str
        UDUNITS notation, "1" for none.
    meaning : str
        One line in English.

    Errors
    ------
    TwinError
        The name is taken with another definition, is no identifier, or the kind is unknown.

    Examples
    --------
    >>> define("noise_figure", dims="cell", unit="dB", meaning="receiver noise figure", low=0, high=30).unit
    'dB'
    """
    if not name.isidentifier() or name != name.lower():
        raise TwinError("a lower-case identifier as name", found=f"'{name}'", hint="write it like 'noise_figure'")
    if kind not in KINDS:
        raise TwinError(f"a kind among {', '.join(KINDS)}", found=f"'{kind}'", hint="leave it out for numbers")
    alternatives = tuple(tuple(a.split()) for a in dims.split("|"))
    new = Word(name, alternatives, unit, kind, float(low), float(high), float(period), {"en": meaning})
    old = _table().get(name)
    # repr, because a NaN period would make two equal rows differ
    if old is not None and (repr(old) if old.meaning == new.meaning else "") != repr(new):
        raise TwinError("a name that is not taken", found=f"'{name}' is already {old}", hint="choose another name")
    _table()[name] = new
    return new


def label(name: str, *, language: str = "en") -> str:
    """The text beside an axis or a colour bar: meaning and unit in `language`, English where it is missing.

    >>> label("load", language="fr")
    'charge de la cellule'
    >>> label("rsrp")
    'reference signal received power of the best server [dBm]'
    """
    if language not in LANGUAGES:
        raise TwinError(
            f"a language among {', '.join(LANGUAGES)}",
            found=f"'{language}'",
            hint="choose one of them, or add a column to vocabulary.csv",
        )
    w = word(name)
    meaning = w.meaning.get(language) or w.meaning.get("en", name)
    return meaning if w.unit == "1" else f"{meaning} [{w.unit}]"


def glossary(*, language: str = "en") -> str:
    """The vocabulary as a Markdown table in `language`."""
    lines = ["| name | dims | unit | meaning |", "|---|---|---|---|"]
    for w in _table().values():
        dims = " or ".join(", ".join(d) for d in w.dims)
        lines.append(f"| `{w.name}` | {dims} | {w.unit} | {w.meaning.get(language) or w.meaning['en']} |")
    return "\n".join(lines)
