"""Translations: prose only, keyed by cell id, each entry with the hash of the text that it translates.

::

    ---
    language: fr
    reviewed: no
    ---

    <!-- cell: question, of: 3f2a9c01d2e4 -->
    ## La question d'un maire

    <!-- text: people.hint.1, of: 9d41c2aa07b3 -->
    Quelle variable du twin porte des habitants ?

A cell whose English changed since is stale: the learner gets the English cell, and the test says which to redo.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twinkit.error import TwinError
from twinkit.lesson.messages import checked_language
from twinkit.lesson.notebook import LessonFolder, read_exercises

if TYPE_CHECKING:
    from pathlib import Path

    from twinkit.lesson.exercise import Exercise

__all__ = ["Translation", "digest", "exercise_texts", "missing", "prose", "read_translation", "stale", "template"]

ENTRY = re.compile(r"<!-- *(cell|text): *([\w.-]+), *of: *([0-9a-f]{12}) *-->[ \t]*\n")
HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclass(frozen=True)
class Translation:
    """One LANG.md: language, whether a native speaker has reviewed it, and entries (digest of the English, text)."""

    language: str
    reviewed: bool
    cells: dict[str, tuple[str, str]]
    texts: dict[str, tuple[str, str]]


def digest(text: str) -> str:
    r"""The content hash by which a translated cell is known to be fresh.

    >>> digest("people") == digest("people\n")
    True
    """
    return hashlib.sha256(text.strip().encode()).hexdigest()[:12]


def prose(lesson: LessonFolder) -> dict[str, str]:
    """Cell id to English prose: what a translation may hold."""
    return {c.id: c.source for c in lesson.cells if c.kind == "markdown"}


def exercise_prose(exercises: dict[str, Exercise]) -> dict[str, str]:
    """Key to English text of the hints and misconceptions."""
    found: dict[str, str] = {}
    for name, one in exercises.items():
        found |= {f"{name}.hint.{i}": text for i, text in enumerate(one.hints, start=1)}
        found |= {f"{name}.misconception.{m.name}": m.text for m in one.misconceptions.values()}
    return found


def read_translation(folder: Path, language: str) -> Translation:
    """One language of a lesson.

    Errors
    ------
    TwinError
        No such file, no head, another language in the head, an entry without text, an entry twice.
    """
    checked_language(language)
    path = folder / f"{language}.md"
    try:
        whole = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TwinError(
            f"a translation {language}.md",
            found="no such file",
            hint=f"begin one: twinkit lesson translate {folder.name} --language {language}",
            where=str(folder),
        ) from None
    except UnicodeDecodeError:
        raise TwinError("a text in UTF-8", found="other bytes", hint="save it as UTF-8", where=str(path)) from None
    head = HEAD.match(whole)
    said = dict(re.findall(r"^(\w+): *(\S+) *$", head.group(1), re.MULTILINE)) if head else {}
    if said.get("language") != language or said.get("reviewed") not in ("yes", "no"):
        raise TwinError(
            f"a head with 'language: {language}' and 'reviewed: no' (or yes)",
            found=f"'{head.group(1)}'" if head else "none",
            hint="put it between two lines of ---",
            where=str(path),
        )
    body = whole[head.end() :] if head else whole
    marks = list(ENTRY.finditer(body))
    kinds: dict[str, dict[str, tuple[str, str]]] = {"cell": {}, "text": {}}
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        kind, name, of = mark.groups()
        text = body[mark.end() : after.start() if after else None].strip()
        if not text or name in kinds[kind]:
            raise TwinError(
                "one text for each entry",
                found=f"'{name}' " + ("twice" if text else "without text"),
                hint="remove it",
                where=str(path),
            )
        kinds[kind][name] = (of, text)
    return Translation(language, said["reviewed"] == "yes", kinds["cell"], kinds["text"])


def check(lesson: LessonFolder, translation: Translation) -> None:
    """Raise when an entry translates a cell or text that is gone."""
    here = {"cell": prose(lesson), "text": exercise_prose(lesson.exercises)}
    for kind, entries in (("cell", translation.cells), ("text", translation.texts)):
        for name in entries:
            if name not in here[kind]:
                raise TwinError(
                    f"a {kind} of the lesson for every entry",
                    found=f"'{name}', which is gone",
                    hint="remove the entry, or give the cell its old id back",
                    where=str(lesson.folder / f"{translation.language}.md"),
                )


def stale(lesson: LessonFolder, translation: Translation) -> list[str]:
    """The entries whose English has changed since."""
    english = {**exercise_prose(lesson.exercises), **prose(lesson)}
    entries = {**translation.texts, **translation.cells}
    return [name for name, (of, _) in entries.items() if name in english and digest(english[name]) != of]


def missing(lesson: LessonFolder, translation: Translation) -> list[str]:
    """The prose that has no entry yet."""
    return [n for n in prose(lesson) if n not in translation.cells] + [
        n for n in exercise_prose(lesson.exercises) if n not in translation.texts
    ]


def exercise_texts(folder: Path, language: str) -> dict[str, str]:
    """Fresh translations of hints and misconceptions; {} where the lesson has none in this language."""
    if not (folder / f"{language}.md").is_file():
        return {}
    english = exercise_prose(read_exercises(folder))
    entries = read_translation(folder, language).texts
    return {k: text for k, (of, text) in entries.items() if k in english and digest(english[k]) == of}


def template(lesson: LessonFolder, language: str, *, old: Translation | None = None) -> str:
    """A LANG.md to work on: every entry of the lesson, the old text where there is one, else the English.

    Stale entries keep the old hash, so that they stay reported until the translator renews both.
    """
    lines = ["---", f"language: {language}", f"reviewed: {'yes' if old and old.reviewed else 'no'}", "---", ""]
    for kind, english, known in (
        ("cell", prose(lesson), old.cells if old else {}),
        ("text", exercise_prose(lesson.exercises), old.texts if old else {}),
    ):
        for name, text in english.items():
            of, own = known.get(name, (digest(text), text))
            lines += [f"<!-- {kind}: {name}, of: {of} -->", own.strip(), ""]
    return "\n".join(lines)
