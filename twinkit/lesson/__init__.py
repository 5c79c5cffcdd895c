"""The lesson kit: notebooks with structure and with checks that understand what went wrong.

A lesson is a folder (``lessons/01-twin``) with a reference notebook, its exercises, notes for the trainer and
translations. Learners open it on the twin of any region; the expected answers are computed from that twin.

Examples
--------
>>> import twinkit as tk
>>> lesson = tk.lesson.open("01-twin", region="RW:Kigali", seed=1, small=True)    # doctest: +SKIP
>>> lesson.check("people", 8000)                                                  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twinkit.lesson.desk import Lesson, Note, Verdict, short_errors
from twinkit.lesson.exercise import Exercise, exercise
from twinkit.lesson.messages import checked_language

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Exercise", "Lesson", "Note", "Verdict", "exercise", "open"]

REGIONS = ("IN:Shimla", "RW:Kigali", "IR:Tabriz")
"""Where every lesson is tested: three countries, hills and plain, dense and sparse."""


def open(name: str | Path, *, region: str = "", seed: int = 1, small: bool = True, language: str = "en") -> Lesson:
    """Open a lesson on the twin of a region.

    Parameters
    ----------
    name : str or path
        A lesson's name (``"01-twin"``) or its folder.
    region : str
        ``"RW:Kigali"``, or ``"town"`` for a generated one; the lesson's first region by default.
    seed : int
        Of everything generated.
    small : bool
        True for a twin that a classroom laptop handles in seconds.
    language : str
        Of checks and hints: a language of the vocabulary.

    Returns
    -------
    Lesson

    Errors
    ------
    TwinError
        No such lesson, region or language; a lesson folder that is not whole.

    Examples
    --------
    >>> open("no-such-lesson")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: expected the name or folder of a lesson; found 'no-such-lesson'. Try: ...
    """
    from twinkit.lesson.ground import ground
    from twinkit.lesson.notebook import card, find_folder, read_exercises

    checked_language(language)
    short_errors()
    folder = find_folder(name)
    exercises = read_exercises(folder)
    about = card(folder)
    region = region or next(iter(about.regions), REGIONS[0])
    if os.environ.get("NBGRADER_EXECUTION") == "autograde" and os.environ.get("TWINKIT_GRADING_REGION"):
        # an answer that was typed in as a number does not travel; one that was computed does
        region = os.environ["TWINKIT_GRADING_REGION"]
    texts: dict[str, str] = {}
    if language != "en":
        from twinkit.lesson.translate import exercise_texts

        texts = exercise_texts(folder, language)
    return Lesson(
        name=folder.name,
        title=about.title,
        twin=ground(region, seed=seed, small=small),
        exercises=exercises,
        region=region,
        seed=seed,
        small=small,
        language=language,
        texts=texts,
    )


def __dir__() -> list[str]:
    return sorted(__all__)
