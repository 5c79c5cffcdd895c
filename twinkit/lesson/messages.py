"""What the kit says to learners, in the languages of the vocabulary.

`messages.csv` has the vocabulary's language columns; English stands in where a language has no text yet.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources

from twinkit.error import TwinError
from twinkit.vocabulary import LANGUAGES

__all__ = ["RIGHT_TO_LEFT", "checked_language", "say"]

RIGHT_TO_LEFT = frozenset({"fa"})


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """Key to language to text."""
    text = importlib.resources.files("twinkit.lesson").joinpath("messages.csv").read_text(encoding="utf-8")
    return {
        row["key"]: {code: row[code] for code in LANGUAGES if row[code]} for row in csv.DictReader(text.splitlines())
    }


def say(key: str, language: str = "en", **values: object) -> str:
    """One message in a language.

    >>> say("passed", "fr")
    'réussi'
    """
    texts = table()[key]
    return (texts.get(language) or texts["en"]).format(**values)


def checked_language(language: str) -> str:
    """The same language code if the vocabulary has a column for it."""
    if language not in LANGUAGES:
        raise TwinError(
            f"a language among {', '.join(LANGUAGES)}",
            found=f"'{language}'",
            hint="choose one of them; a new language begins with a column in vocabulary.csv",
        )
    return language
