"""The beginning of a lesson: a folder in the right format, with one exercise that works, to be filled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.lesson.notebook import NAME, card_of, card_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["begin"]

EXERCISES = '''"""Exercises of {name}: every answer is a function of the twin in front of the learner."""

from twinkit.lesson import exercise


@exercise(
    "people",
    objective="count",
    unit="people",
    tolerance=0.005,
    hints=["Which layer holds people?", "How do you put pixels together?", 'float(twin["surface/people"].sum())'],
)
def people(twin):
    # every pixel holds people, so the region's people are the sum over all pixels
    return float(twin["surface/people"].sum())


@people.misconception("That is the mean of a pixel. The people of the region are the sum over all pixels.")
def mean_of_a_pixel(twin):
    return float(twin["surface/people"].mean())
'''

TRAINER = """# Trainer's notes: {name}

**Who**: ... **Time**: ... minutes.

| minutes | what happens | what you do |
|---|---|---|
| 0 - 10 | ... | ... |

## What goes wrong, and what to say

## Without internet
"""

ANSWER = 'people = ...\n### BEGIN SOLUTION\npeople = float(twin["surface/people"].sum())\n### END SOLUTION'
GUESS = 'guess = ...\n### BEGIN SOLUTION\nguess = 1000\n### END SOLUTION\nlesson.predict("people", guess)'


def begin(name: str, place: Path) -> Path:
    """A new lesson folder.

    Parameters
    ----------
    name : str
        ``"NN-word"``; the numbers are those of the course plan, so that links never move.
    place : Path
        The folder of lessons.

    Returns
    -------
    Path

    Errors
    ------
    TwinError
        Not NN-word, or there is one already.
    """
    if not NAME.fullmatch(name):
        raise TwinError("a name like 04-radio", found=f"'{name}'", hint="two digits, a hyphen, a word")
    folder = place / name
    if folder.exists():
        raise TwinError("a lesson that is not there yet", found=str(folder), hint="open it, or choose another name")
    folder.mkdir(parents=True)
    (folder / "exercises.py").write_text(EXERCISES.format(name=name), encoding="utf-8")
    (folder / "trainer.md").write_text(TRAINER.format(name=name), encoding="utf-8")
    notebook = json.dumps(_notebook(name), indent=1, ensure_ascii=False) + "\n"
    (folder / "lesson.ipynb").write_text(notebook, encoding="utf-8")
    return folder


def _notebook(name: str) -> dict[str, Any]:
    word = name.partition("-")[2]
    about = {
        "title": word.capitalize(),
        "minutes": 15,
        "memory": 700,
        "needs": [["reading a line of Python", ""]],
        "gives": [],
        "objectives": [["count", "..."]],
        "goals": [],
        "regions": ["RW:Kigali", "IN:Shimla", "IR:Tabriz"],
    }
    opening = (
        f'import twinkit as tk\n\nlesson = tk.lesson.open("{name}", region=region, seed=seed, small=small, '
        "language=language)\ntwin = lesson.twin\nlesson"
    )
    cells = [
        _cell("title", "title", f"# {name[:2]} · {word.capitalize()}"),
        _cell("card", "card", ""),
        _cell("question", "question", "## The question\n\nA mayor asks: ..."),
        _cell("parameters", "parameters", 'region = "RW:Kigali"\nseed = 1\nsmall = True\nlanguage = "en"', code=True),
        _cell("open", "parameters", opening, code=True),
        _cell("predict-task", "predict", "## Predict first\n\n..."),
        _cell("predict-answer", "predict", GUESS, code=True, exercise="people", role="predict"),
        _cell("people-shown", "shown", "## A shown example\n\n..."),
        _cell("people-look", "shown", 'twin["surface/people"]', code=True),
        _cell("people-task", "exercise", "### Your turn\n\n...", exercise="people", role="task"),
        _cell("people-answer", "exercise", ANSWER, code=True, exercise="people", role="answer"),
        _cell("people-check", "exercise", 'lesson.check("people", people)', code=True, exercise="people", role="check"),
        _cell("own-model", "own-model", "## Put your own model in\n\n..."),
        _cell("decide", "decide", "## Decide, although you are not certain\n\n..."),
        _cell("limits", "limits", "## Limits, and who could be harmed\n\n..."),
        _cell("keypoints", "keypoints", "## Keypoints\n\n- ..."),
        _cell("report", "keypoints", "lesson.report()", code=True),
        _cell("sources", "sources", "## Sources\n\n- ..."),
    ]
    made = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "twinkit": {"lesson": about},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    cells[1]["source"] = card_text(card_of(made, where=name)).splitlines(keepends=True)
    cells[3]["metadata"]["tags"] = ["parameters"]
    return made


def _cell(name: str, part: str, source: str, *, code: bool = False, **about: str) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code" if code else "markdown",
        "id": name,
        "metadata": {"twinkit": {"part": part, **about}},
        "source": source.splitlines(keepends=True),
    }
    return cell | ({"execution_count": None, "outputs": []} if code else {})
