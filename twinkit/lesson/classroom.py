"""What the trainer learns: a class report from handed-in files, and a grade by running a copy on another region."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinkit.error import TwinError
from twinkit.lesson.build import read_copy
from twinkit.lesson.desk import NOT_ATTEMPTED, NOT_YET, PASSED
from twinkit.lesson.notebook import card, read, read_exercises, read_json
from twinkit.lesson.slips import SLIPS
from twinkit.lesson.trial import checks_of, executed, verdicts

__all__ = ["ClassReport", "Grade", "class_report", "graded"]

STATES = (PASSED, NOT_YET, NOT_ATTEMPTED)
MOST_BYTES = 200_000
"""A report of a lesson is a few kilobytes; more is another file."""


@dataclass
class ClassReport:
    """Which objectives a class passed, and which slips were commonest.

    Attributes
    ----------
    reports : int
    objectives : dict of (lesson, objective) to Counter of states
        An objective counts as passed where all its exercises are.
    slips : Counter of (lesson, exercise, slip)
        How many of the reports show the slip, once each.
    hints : Counter of (lesson, exercise)
        Reports that used a hint or the solution.
    unread : dict of str to str
        File name to why it was left out.
    """

    reports: int = 0
    objectives: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    slips: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    hints: Counter[tuple[str, str]] = field(default_factory=Counter)
    unread: dict[str, str] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    slip_texts: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.reports} reports", "", "objectives (passed / not yet / not attempted)"]
        for (lesson, objective), states in self.objectives.items():
            counts = " / ".join(f"{states[s]}" for s in STATES)
            lines.append(f"  {lesson}  {counts:>12}  {self.texts.get((lesson, objective), objective)}")
        if self.slips:
            lines += ["", "commonest slips (reports that show them)"]
            for key, count in self.slips.most_common(10):
                lines.append(f"  {count:3}  {key[0]} {key[1]}: {self.slip_texts.get(key, key[2])}")
        if self.hints:
            lines += ["", "hints or solution asked for"]
            lines += [f"  {count:3}  {lesson} {name}" for (lesson, name), count in self.hints.most_common(10)]
        lines += [f"left out {name}: {why}" for name, why in self.unread.items()]
        return "\n".join(lines)


def class_report(folder: str | Path, lessons: str | Path = "lessons") -> ClassReport:
    """Read every report in a folder; nothing but counts comes out.

    Parameters
    ----------
    folder : path
        Holds ``*.json`` files written by `lesson.report()`, also in folders below.
    lessons : path
        For the texts of objectives and misconceptions; without it their ids are printed.

    Errors
    ------
    TwinError
        No such folder, or not one report in it. A file that is no report is listed and left out.
    """
    folder = Path(folder)
    files = sorted(folder.rglob("*.json")) if folder.is_dir() else []
    made = ClassReport()
    for path in files:
        try:
            content = _report(path)
        except TwinError as fault:
            made.unread[path.name] = fault.found
            continue
        made.reports += 1
        _count(made, content)
    if not made.reports:
        raise TwinError(
            "a folder with reports (report-NN-word.json)",
            found="none" if folder.is_dir() else "no such folder",
            hint="learners write one with lesson.report() and hand it in",
            where=str(folder),
        )
    _explain(made, Path(lessons))
    return made


def _report(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MOST_BYTES:
        raise TwinError("a report", found="a file that is too large for one", hint="take it out", where=str(path))
    content = read_json(path, "a report")
    exercises = content.get("exercises") if isinstance(content, dict) else None
    whole = (
        isinstance(exercises, dict) and isinstance(content.get("lesson"), str) and content.get("twinkit") == "report"
    )
    for one in exercises.values() if whole and exercises else ():
        whole = whole and isinstance(one, dict) and one.get("state") in STATES and isinstance(one.get("slips"), dict)
        whole = whole and isinstance(one.get("objective"), str)
    if not whole:
        raise TwinError("a report", found="another JSON file", hint="take it out of the folder", where=str(path))
    return content  # type: ignore[no-any-return]


def _count(made: ClassReport, content: dict[str, Any]) -> None:
    lesson = content["lesson"]
    by_objective: dict[str, list[str]] = {}
    for name, one in content["exercises"].items():
        by_objective.setdefault(one["objective"], []).append(one["state"])
        made.slips.update((lesson, name, str(slip)) for slip in one["slips"])
        if one.get("hints") or one.get("solution"):
            made.hints[lesson, name] += 1
    for objective, states in by_objective.items():
        # an objective is as far as its weakest exercise; untouched throughout is not attempted
        if all(s == PASSED for s in states):
            state = PASSED
        else:
            state = NOT_ATTEMPTED if all(s == NOT_ATTEMPTED for s in states) else NOT_YET
        made.objectives.setdefault((lesson, objective), Counter())[state] += 1


def _explain(made: ClassReport, lessons: Path) -> None:
    from twinkit.lesson.messages import say

    general = {s.name: say(s.message) for s in SLIPS}
    exercises: dict[str, Any] = {}
    for lesson, objective in made.objectives:
        if (lessons / lesson / "exercises.py").is_file():
            made.texts[lesson, objective] = card(lessons / lesson).objectives.get(objective, objective)
            exercises.setdefault(lesson, read_exercises(lessons / lesson))
    for key in made.slips:
        lesson, name, slip = key
        own = exercises.get(lesson, {}).get(name)
        known = own.misconceptions.get(slip) if own else None
        made.slip_texts[key] = known.text if known else general.get(slip, slip)


@dataclass(frozen=True)
class Grade:
    """What a learner's copy passes on a region: exercise to state, and the points."""

    name: str
    region: str
    states: dict[str, str]
    points: float
    of: float
    stopped: str = ""

    def __repr__(self) -> str:
        told = ", ".join(f"{e}: {s}" for e, s in self.states.items())
        stopped = f"; stopped: {self.stopped}" if self.stopped else ""
        return f"{self.name} ({self.region}): {self.points:g} of {self.of:g} points; {told}{stopped}"


def graded(path: str | Path, lesson: str | Path, *, region: str) -> Grade:
    """Run a learner's notebook, offline, on a region that the learner has not worked on.

    The cells that open and check are put back as they were, results that were saved are cleared, and only what the
    check cells return counts, up to an exercise's points. The notebook is still a program that runs in your account
    and can do what you can, and an answer that rewrites the checks while it runs can pass them: grade where nothing
    is lost, and read a copy that surprises you.

    Parameters
    ----------
    path : the learner's notebook
    lesson : the lesson's folder
    region : str

    Errors
    ------
    TwinError
        A damaged notebook, deleted cells, or a syntax error, with cell and line.
    """
    path, made = Path(path), read(lesson)
    raw = read_copy(path, made)
    locked = {c.id: c for c in made.cells if c.role == "check" or c.id in ("parameters", "open")}
    for cell in raw["cells"]:
        if cell["id"] in locked:
            kept = locked[cell["id"]]
            cell["cell_type"], cell["source"], cell["metadata"] = kept.kind, kept.source, kept.metadata
        if cell.get("cell_type") == "code":
            # a run that stops early would leave what the learner saved
            cell["outputs"], cell["execution_count"] = [], None
    outcome = executed(raw, name=path.name, place=made.folder.parent, region=region)
    found = verdicts(outcome.notebook, checks_of(made))
    states = {name: _state(found.get(name)) for name in made.exercises}
    points = sum(_points(found[name], e.points) for name, e in made.exercises.items() if name in found)
    return Grade(path.name, region, states, points, sum(e.points for e in made.exercises.values()), outcome.error)


def _state(verdict: dict[str, Any] | None) -> str:
    said = verdict.get("state") if verdict else NOT_ATTEMPTED
    return said if said in STATES else NOT_YET


def _points(verdict: dict[str, Any], most: float) -> float:
    """What a verdict earns: nothing unless it passed, and never more than the exercise is worth."""
    said = verdict.get("points")
    if _state(verdict) != PASSED or isinstance(said, bool) or not isinstance(said, (int, float)):
        return 0.0
    return 0.0 if isinstance(said, float) and math.isnan(said) else float(min(max(said, 0.0), most))
