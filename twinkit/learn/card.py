"""Model cards: what a model learned from, how well it does, where it fails and whom it could harm.

A card is two files in ``twinkit/learn/cards``: ``NAME.toml``, the words, written by a person, and ``NAME.json``, the
numbers, written by ``python -m twinkit.learn NAME``, which also writes the page ``docs/cards/NAME.md``. The card
names the function that recomputes its numbers; `tests/test_learn_cards.py` calls it for every card and fails when a
number differs.
"""

from __future__ import annotations

import importlib
import importlib.resources
import json
import math
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, close_to
from twinkit.learn.score import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Card", "card", "cards", "recomputed", "rendered", "update"]

TEXTS = ("title", "use", "data", "licence", "split", "model", "fails", "harm", "recompute")
"""What each card must say."""

SOURCES = ("measured", "generated")


@dataclass(frozen=True)
class Card:
    """One model's card.

    Attributes
    ----------
    name, title, use : str
        Its file's name; what it predicts; what it is for.
    data, licence, split, model : str
        What it learned from and under which licence; which split its scores come from; what it is.
    fails, harm : str
        Where it is wrong; who could be harmed by trusting it, and what to do about it.
    recompute : str
        Dotted name of ``function(folder) -> dict``: from the folder of real data, or, with None, from a small
        generated set, it gives the card's numbers.
    files : tuple of str
        Real files that it reads, relative to that folder.
    seconds : float [s]
        About how long the numbers from real files take; above 20, they are checked in the slow suite.
    tolerance : float [1]
        How far a recomputed number may lie from the card's, as a share of it.
    units : dict of str to str
    baselines : tuple of str
        Names of the numbers that are a baseline's.
    numbers : dict
        ``numbers["measured"]["rmse"]`` is an `Estimate` or a float; also ``"generated"``.
    """

    name: str
    title: str
    use: str
    data: str
    licence: str
    split: str
    model: str
    fails: str
    harm: str
    recompute: str
    files: tuple[str, ...] = ()
    seconds: float = 10.0
    tolerance: float = 0.02
    units: Mapping[str, str] = field(default_factory=dict)
    baselines: tuple[str, ...] = ()
    numbers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return rendered(self)

    def _repr_markdown_(self) -> str:
        return rendered(self)


def _folder() -> Path:
    return Path(str(importlib.resources.files("twinkit").joinpath("learn", "cards")))


def cards() -> list[str]:
    """Names of the cards that are there.

    >>> isinstance(cards(), list)
    True
    """
    return sorted(p.stem for p in _folder().glob("*.toml"))


def card(name: str) -> Card:
    """The card of one model; print it, or let a notebook show it.

    Parameters
    ----------
    name : str
        One of `cards`.

    Returns
    -------
    Card

    Errors
    ------
    TwinError
        No such card, or one that leaves out what each must say.

    Examples
    --------
    >>> card("no_such_model")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: expected the name of a card; found 'no_such_model'. Try: ...
    """
    if name not in cards():
        near = close_to(name, cards())
        raise TwinError("the name of a card", found=f"'{name}'", hint=f"use {near}" if near else "see tk.learn.cards()")
    return read(_folder() / f"{name}.toml")


def read(path: Path) -> Card:
    """The card in a TOML file, with the numbers of the JSON file beside it.

    Errors
    ------
    TwinError
        No TOML, a text that is missing or empty, or a field that no card has.
    """
    try:
        words = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as wrong:
        raise TwinError("a card in TOML", found=str(wrong), hint="copy another card", where=path.name) from None
    known = set(Card.__dataclass_fields__) - {"name", "numbers"}
    missing = [t for t in TEXTS if not str(words.get(t, "")).strip()]
    strange = sorted(set(words) - known)
    if missing or strange:
        raise TwinError(
            f"a card that says {', '.join(TEXTS)}",
            found=f"no {', '.join(missing)}" if missing else f"'{strange[0]}'",
            hint="say where it fails and who could be harmed too" if missing else "correct the field's name",
            where=path.name,
        )
    beside = path.with_suffix(".json")
    numbers = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    for source in numbers.values():
        source.update({k: Estimate(*v) if isinstance(v, list) else v for k, v in source.items()})
    texts: dict[str, Any] = {t: " ".join(str(words[t]).split()) for t in TEXTS}
    rest: dict[str, Any] = {
        "files": tuple(words.get("files", ())),
        "seconds": float(words.get("seconds", 10.0)),
        "tolerance": float(words.get("tolerance", 0.02)),
        "units": dict(words.get("units", {})),
        "baselines": tuple(words.get("baselines", ())),
    }
    return Card(path.stem, **texts, **rest, numbers=numbers)


def recomputed(name: str | Card, *, folder: str | Path | None = None) -> dict[str, Any]:
    """The card's numbers, computed again.

    Parameters
    ----------
    name : str or Card
    folder : path, optional
        Where the real files lie; the small generated set when left out.

    Returns
    -------
    dict of str to float or Estimate

    Errors
    ------
    TwinError
        A file is absent, or the function gives something else than numbers.
    """
    one = name if isinstance(name, Card) else card(name)
    where = None if folder is None else Path(folder)
    if where is not None:
        absent = [f for f in one.files if not (where / f).exists()]
        if absent:
            raise TwinError(f"the files of card '{one.name}'", found=f"no {absent[0]}", hint="leave folder out")
    module, _, function = one.recompute.rpartition(".")
    found = getattr(importlib.import_module(module), function)(where)
    for key, value in found.items():
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(v, int | float) or hasattr(v, "dtype") for v in parts):
            raise TwinError("numbers or Estimates", found=f"{key}: {value!r}", hint="give floats", where=one.recompute)
    plain = {k: Estimate(*map(float, v)) if isinstance(v, tuple) else float(v) for k, v in found.items()}
    strange = [k for k, v in plain.items() if not math.isfinite(v if isinstance(v, float) else v.value)]
    if strange:
        raise TwinError("finite numbers", found=f"{strange[0]} is none", hint="see its data", where=one.recompute)
    return plain


def differences(one: Card, found: Mapping[str, Any], *, source: str) -> list[str]:
    """What a recomputation says otherwise than the card; empty when they agree."""
    kept = one.numbers.get(source, {})
    told = [f"{k}: on the card alone" for k in kept if k not in found]
    for key, value in found.items():
        if key not in kept:
            told.append(f"{key}: not on the card")
            continue
        old, new = (v if isinstance(v, tuple) else (v,) for v in (kept[key], value))
        if len(old) != len(new) or any(abs(a - b) > one.tolerance * max(abs(a), 1e-9) for a, b in zip(old, new)):  # noqa: B905 - lengths are compared first
            told.append(f"{key}: {_said(kept[key])} on the card, {_said(value)} now")
    return told


def update(name: str, *, folder: str | Path | None = None, source: str = "") -> Card:
    """Write the card's numbers anew, `twinkit/learn/cards/NAME.json`, and in a checkout its page, `docs/cards/NAME.md`.

    Parameters
    ----------
    name : str
    folder : path, optional
        Where the real files lie; TWINKIT_TESTDATA where that is set. Without one, only the generated set's numbers.
    source : {"measured", "generated"}, optional
        Only these.

    Returns
    -------
    Card
    """
    one = card(name)
    real = folder or os.environ.get("TWINKIT_TESTDATA")
    numbers = {k: dict(v) for k, v in one.numbers.items()}
    if source in ("", "generated"):
        numbers["generated"] = recomputed(one)
    if source in ("", "measured") and real and one.files:
        numbers["measured"] = recomputed(one, folder=real)
    rounded = {s: {k: _rounded(v) for k, v in numbers[s].items()} for s in SOURCES if s in numbers}
    text = json.dumps(rounded, indent=1, ensure_ascii=False) + "\n"
    (_folder() / f"{name}.json").write_text(text, encoding="utf-8")
    made = card(name)
    pages = _folder().parents[2] / "docs"
    if pages.is_dir():  # in a checkout: the page of the docs too
        (pages / "cards").mkdir(exist_ok=True)
        (pages / "cards" / f"{name}.md").write_text(rendered(made), encoding="utf-8")
    return made


def rendered(one: Card) -> str:
    """The card as Markdown: its words, and a table of its numbers with the baselines marked."""
    parts = [f"# {one.title}", "", one.use, ""]
    names = {"data": "Data", "licence": "Licence", "split": "Split", "model": "Model"}
    names |= {"fails": "Where it fails", "harm": "Who could be harmed"}
    for key, head in names.items():
        parts += [f"**{head}.** {getattr(one, key)}", ""]
    sources = [s for s in SOURCES if one.numbers.get(s)]
    if sources:
        heads = {"measured": "on the real data", "generated": "on the generated set"}
        parts += ["| score | " + " | ".join(heads[s] for s in sources) + " |", "|---|" + "---|" * len(sources)]
        for key in dict.fromkeys(k for s in sources for k in one.numbers[s]):
            label = key.replace("_", " ") + (f" [{one.units[key]}]" if key in one.units else "")
            label += " (baseline)" if key in one.baselines else ""
            cells = [_said(one.numbers[s][key]) if key in one.numbers[s] else "" for s in sources]
            parts.append(f"| {label} | " + " | ".join(cells) + " |")
        parts.append("")
    parts.append(f"Recomputed by `{one.recompute}`; brackets hold 95 % intervals.")
    return "\n".join(parts) + "\n"


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.3g} [{value[1]:.3g}, {value[2]:.3g}]"
    return f"{value:.3g}"


def _rounded(value: Any) -> Any:
    return [float(f"{v:.5g}") for v in value] if isinstance(value, tuple) else float(f"{value:.5g}")


def _main(words: list[str]) -> None:
    """``python -m twinkit.learn NAME [measured or generated]``: the card's numbers anew, and its page."""
    if not words or words[0].startswith("-") or len(words) > 2:
        print(f"{_main.__doc__}\nNAME is one of {', '.join(cards())}.")
        return
    source = words[1] if len(words) > 1 else ""
    if source not in ("", *SOURCES):
        raise TwinError(f"{' or '.join(SOURCES)}", found=f"'{source}'", hint="leave it out for both")
    print(update(words[0], source=source))
