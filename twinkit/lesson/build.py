"""Learner copies from the reference: nbgrader's own preprocessors strip the answers, and its metadata goes along.

`course` lays out an nbgrader course (source folders and ``nbgrader_config.py``), so that an institution releases,
collects and autogrades with nbgrader itself; `copies` writes the same notebooks for self-study, where no server is
needed. `read_copy` reads what a learner hands in.
"""

from __future__ import annotations

import ast
import copy
import json
import shutil
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.lesson.messages import checked_language, say
from twinkit.lesson.notebook import cells_of, in_language, read, read_json
from twinkit.lesson.translate import Translation, digest, read_translation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from twinkit.lesson.notebook import LessonFolder

__all__ = ["STUB", "copies", "course", "learner_notebook", "read_copy", "release_notebook"]

STUB = "# your answer here"
"""What stands where the answer stood. A comment: the untouched copy must raise nothing."""

CONFIG = '''"""nbgrader's configuration for this course, written by `twinkit lesson build --nbgrader`."""

import os
import sys

c = get_config()  # noqa: F821 - nbgrader gives it
# nbgrader calls alembic by its bare name, also when its environment was not activated.
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
c.CourseDirectory.course_id = {course!r}
# A comment instead of "raise NotImplementedError": an untouched copy runs to its end and earns nothing.
c.ClearSolutions.code_stub = {{"python": {stub!r}}}
c.Execute.timeout = 300
# Learners work on the region of their notebook; autograding runs on this one, which no answer was typed in for.
os.environ["TWINKIT_GRADING_REGION"] = {region!r}
'''


def release_notebook(lesson: LessonFolder, *, language: str = "en") -> dict[str, Any]:
    """The reference with nbgrader's cell metadata: what nbgrader calls the source version.

    Parameters
    ----------
    lesson : LessonFolder
    language : str
        Prose in this language where a fresh translation has it, in English elsewhere.

    Returns
    -------
    dict
        A notebook as JSON, answers included.
    """
    raw = copy.deepcopy(read_json(lesson.folder / "lesson.ipynb"))
    _translated(raw, lesson, language)
    for cell, made in zip(raw["cells"], cells_of(raw, where=lesson.name), strict=True):
        if made.role == "check":
            points = lesson.exercises[made.exercise].points
            _mark(cell, grade=True, solution=False, locked=True, points=points)
        elif made.role in ("answer", "predict"):
            _mark(cell, grade=False, solution=True, locked=False)
        elif made.id == "open":
            # autograding puts this cell back, whatever the learner made of it
            _mark(cell, grade=False, solution=False, locked=True)
    return raw  # type: ignore[no-any-return]


def _mark(cell: dict[str, Any], **about: Any) -> None:
    cell["metadata"]["nbgrader"] = {
        "schema_version": 3,
        "grade_id": cell["id"],
        "cell_type": cell["cell_type"],
        "task": False,
        **about,
    }


def _translated(raw: dict[str, Any], lesson: LessonFolder, language: str) -> None:
    if checked_language(language) == "en":
        return
    # a lesson without this language stays English, while its checks still speak the language
    known = language in lesson.languages
    entries = read_translation(lesson.folder, language) if known else Translation(language, False, {}, {})
    for cell in raw["cells"]:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        if cell["cell_type"] == "markdown" and cell["id"] in entries.cells:
            of, text = entries.cells[cell["id"]]
            if of == digest(source):
                if cell["id"] == "title" and not entries.reviewed:
                    text = f"{text}\n\n*{say('unreviewed', language)}*"
                cell["source"] = in_language(text, language)
        elif "parameters" in cell["metadata"].get("tags", []):
            cell["source"] = source.replace('language = "en"', f'language = "{language}"')


def learner_notebook(lesson: LessonFolder, *, language: str = "en") -> dict[str, Any]:
    """What a learner gets: the answers taken out by nbgrader's own preprocessors, outputs cleared.

    Errors
    ------
    TwinError
        The extra ``course`` is missing.
    """
    try:
        import nbformat
        from nbgrader.preprocessors import (
            CheckCellMetadata,
            ClearHiddenTests,
            ClearOutput,
            ClearSolutions,
            ComputeChecksums,
            LockCells,
        )
        from traitlets.config import Config
    except ImportError as fault:
        raise TwinError(
            "nbgrader, whose preprocessors take the answers out",
            found=f"no module '{fault.name}'",
            hint='install the extra: pip install "twinkit[course]"',
        ) from None
    # through text, because only reading joins the lines of a cell
    notebook = nbformat.reads(json.dumps(release_notebook(lesson, language=language)), as_version=4)
    config = Config()
    config.ClearSolutions.code_stub = {"python": STUB}
    resources: dict[str, Any] = {}
    # the order in which nbgrader's generate_assignment runs them, without its database
    steps = (LockCells, ClearSolutions, ClearOutput, CheckCellMetadata, ClearHiddenTests, ComputeChecksums)
    for step in steps:
        notebook, resources = step(config=config).preprocess(notebook, resources)
    return json.loads(nbformat.writes(notebook))  # type: ignore[no-any-return]


def copies(lessons: Iterable[Path], out: Path, *, language: str = "en") -> list[Path]:
    """Learner copies for self-study: ``out/NN-word/lesson.ipynb`` with the exercises beside it.

    Parameters
    ----------
    lessons : folders
    out : folder
        A notebook that is there already is not overwritten: it may hold a learner's work.
    language : str

    Returns
    -------
    list of Path
        The notebooks written.

    Errors
    ------
    TwinError
        A lesson that is not whole, or a copy that is there already.
    """
    written = []
    for folder in lessons:
        lesson = read(folder)
        target = out / lesson.name
        if (target / "lesson.ipynb").exists():
            raise TwinError(
                "a folder without an older copy",
                found=str(target / "lesson.ipynb"),
                hint="choose another --out, or move it away: it may hold somebody's work",
            )
        notebook = learner_notebook(lesson, language=language)
        target.mkdir(parents=True, exist_ok=True)
        _beside(lesson, target)
        _write(notebook, target / "lesson.ipynb")
        written.append(target / "lesson.ipynb")
    return written


def course(lessons: Iterable[Path], out: Path, *, region: str, name: str = "twinkit", language: str = "en") -> Path:
    """An nbgrader course: ``source/NN-word`` for every lesson, and the configuration.

    Parameters
    ----------
    lessons : folders
    out : folder
        Sources and configuration in it are renewed; released, submitted and graded work is left alone.
    region : str
        On which autograding runs: one that learners do not work on.
    name : str
        The course's id.

    Returns
    -------
    Path
        The folder, in which ``nbgrader generate_assignment NN-word`` works.
    """
    out.mkdir(parents=True, exist_ok=True)
    for folder in lessons:
        lesson = read(folder)
        if region in lesson.card.regions[:1]:
            other = next((r for r in lesson.card.regions if r != region), "IR:Tabriz")
            raise TwinError(
                "a region for autograding that learners do not start on",
                found=f"'{region}', the default of {lesson.name}",
                hint=f"choose another, e.g. --region {other}",
            )
        target = out / "source" / lesson.name
        target.mkdir(parents=True, exist_ok=True)
        _beside(lesson, target)
        _write(release_notebook(lesson, language=language), target / "lesson.ipynb")
    config = CONFIG.format(course=name, stub=STUB, region=region)
    (out / "nbgrader_config.py").write_text(config, encoding="utf-8")
    return out


def _beside(lesson: LessonFolder, target: Path) -> None:
    """What the notebook needs beside it: the exercises, and the translated hints."""
    shutil.copyfile(lesson.folder / "exercises.py", target / "exercises.py")
    for language in lesson.languages:
        shutil.copyfile(lesson.folder / f"{language}.md", target / f"{language}.md")


def _write(notebook: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- what comes back


def read_copy(path: Path, lesson: LessonFolder) -> dict[str, Any]:
    """A learner's notebook, if it can still be checked.

    Errors
    ------
    TwinError
        A damaged file, cells of an exercise that are gone, or a syntax error, with cell and line.
    """
    raw = read_json(path, "a learner's notebook")
    cells = cells_of(raw, where=str(path))
    there = {c.id for c in cells}
    kept = {c.id for c in lesson.cells if c.role in ("answer", "check") or c.id in ("parameters", "open")}
    gone = [c.id for c in lesson.cells if c.id in kept - there]
    if gone:
        raise TwinError(
            "every answer and check cell of the lesson",
            found=f"no cell '{gone[0]}'" + (f" and {len(gone) - 1} more gone" if len(gone) > 1 else ""),
            hint="copy the cells back from a fresh copy: twinkit lesson build " + lesson.name,
            where=str(path),
        )
    for cell in cells:
        if cell.kind != "code":
            continue
        try:
            ast.parse(plain_python(cell.source))
        except SyntaxError as fault:
            raise TwinError(
                "code that Python can read",
                found=f"{fault.msg} in line {fault.lineno}",
                hint="open the notebook, mend that line, and run the cell",
                where=f"{path}, cell '{cell.id}'",
            ) from None
    return raw  # type: ignore[no-any-return]


def plain_python(source: str) -> str:
    """A cell without what only IPython understands (%magics, !commands, help?)."""
    lines = []
    for line in source.splitlines():
        bare = line.strip()
        if bare.startswith("%%"):
            return ""
        lines.append("pass" if bare.startswith(("%", "!", "?")) or bare.endswith("?") else line)
    return "\n".join(lines)
