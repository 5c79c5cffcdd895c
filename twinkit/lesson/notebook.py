"""A lesson folder: found, read, and held to its format. Plain JSON only, so that opening a lesson stays quick.

::

    lessons/01-twin/lesson.ipynb   the reference, with answers, outputs stripped, a word as id for every cell
                    exercises.py   the exercises: expected answers and misconceptions as functions of the twin
                    trainer.md     what the trainer needs
                    hi.md, fr.md   translations of the prose

What the kit knows of a lesson stands in the notebook's metadata (the card), and what it knows of a cell in the
cell's: ``{"twinkit": {"part": "exercise", "exercise": "people", "role": "answer"}}``.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, close_to
from twinkit.lesson.exercise import Exercise
from twinkit.lesson.messages import RIGHT_TO_LEFT
from twinkit.vocabulary import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PARTS",
    "Card",
    "Cell",
    "LessonFolder",
    "card",
    "card_text",
    "find_folder",
    "lessons_in",
    "read",
    "read_exercises",
]

PARTS = (
    "title",
    "card",
    "question",
    "parameters",
    "predict",
    "shown",
    "exercise",
    "own-model",
    "decide",
    "limits",
    "keypoints",
    "sources",
)
"""The parts of a lesson in their order; `shown` and `exercise` alternate."""

ROLES = ("task", "answer", "check", "predict")
FILES = ("lesson.ipynb", "exercises.py", "trainer.md")
NAME = re.compile(r"\d\d-[a-z][a-z-]*")
# needs and objectives are lists of pairs: Jupyter sorts the keys of metadata, and their order has a meaning
CARD_FIELDS = {"title": str, "minutes": int, "memory": int, "needs": list, "gives": list, "objectives": list}


@dataclass(frozen=True)
class Card:
    """What a lesson asks and promises.

    Attributes
    ----------
    title : str
    minutes : int
        For a learner, exercises included.
    memory : int [MB]
        Peak of the kernel with ``small=True``.
    needs : dict of str to str
        Concept to the lesson that gives it; "" for what is known before the course.
    gives : tuple of str
        Concepts that later lessons may need.
    objectives : dict of str to str
        Id to "After this lesson you can ...".
    goals : tuple of str
        Words under which `twinkit lesson path --goal` finds it, beside its name and concepts.
    regions : tuple of str
        Where it is tested; the first is the learner's default.
    """

    title: str
    minutes: int
    memory: int
    needs: dict[str, str]
    gives: tuple[str, ...]
    objectives: dict[str, str]
    goals: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One cell: id, kind ("markdown" or "code"), source, part, exercise and role."""

    id: str
    kind: str
    source: str
    part: str = ""
    exercise: str = ""
    role: str = ""
    metadata: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class LessonFolder:
    """A whole lesson as read from disk."""

    folder: Path
    card: Card
    cells: tuple[Cell, ...]
    exercises: dict[str, Exercise]
    trainer: str
    languages: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder's name, ``01-twin``."""
        return self.folder.name

    def cell(self, name: str) -> Cell:
        """The cell of that id."""
        return next(c for c in self.cells if c.id == name)

    def cells_of(self, exercise: str, role: str) -> list[Cell]:
        """The cells in which an exercise plays that role."""
        return [c for c in self.cells if c.exercise == exercise and c.role == role]


# ---------------------------------------------------------------- where lessons are


def _places() -> Iterator[Path]:
    here = Path.cwd()
    if os.environ.get("TWINKIT_LESSONS"):
        yield Path(os.environ["TWINKIT_LESSONS"])
    for folder in (here, *here.parents):
        yield folder
        yield folder / "lessons"
    # a clone in which twinkit is installed in place
    yield Path(__file__).resolve().parents[2] / "lessons"


def find_folder(name: str | Path) -> Path:
    """The folder of a lesson, by name or path.

    Looked up: the path itself, the current folder, ``TWINKIT_LESSONS``, the folders above with their ``lessons``,
    and the clone that twinkit is installed from.

    Errors
    ------
    TwinError
        None of that name; close ones are offered.
    """
    given = Path(name)
    if (given / "exercises.py").is_file():
        return given.resolve()
    # autograding runs in .../autograded/student/01-twin, where the lesson lies beside its notebook
    if Path.cwd().name == str(name) and Path("exercises.py").is_file():
        return Path.cwd()
    known: dict[str, Path] = {}
    for place in _places():
        if (place / str(name) / "exercises.py").is_file():
            return (place / str(name)).resolve()
        for folder in lessons_in(place, strict=False):
            known.setdefault(folder.name, folder)
    near = close_to(str(name), known)
    raise TwinError(
        "the name or folder of a lesson",
        found=f"'{name}'",
        hint=f"did you mean {near}?"
        if near
        else "name a folder that holds lesson.ipynb and exercises.py"
        + (f"; there are: {', '.join(sorted(known))}" if known else ", or set TWINKIT_LESSONS"),
    )


def lessons_in(place: str | Path = "lessons", *, strict: bool = True) -> list[Path]:
    """The lesson folders in a place, in teaching order."""
    place = Path(place)
    found = [p for p in sorted(place.glob("[0-9][0-9]-*")) if p.is_dir() and NAME.fullmatch(p.name)]
    if strict and not found:
        raise TwinError(
            "a folder with lessons (NN-word)",
            found="none" if place.is_dir() else "no such folder",
            hint="run it in the clone, or name the folder: --lessons PATH",
            where=str(place),
        )
    return found


# ---------------------------------------------------------------- reading


def read_json(path: Path, what: str = "a notebook") -> Any:
    """The JSON of a file; one message when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TwinError(what, found="no such file", hint="restore it from the repository", where=str(path)) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as fault:
        line = f", line {fault.lineno}" if isinstance(fault, json.JSONDecodeError) else ""
        raise TwinError(
            f"{what} (JSON)",
            found=f"a file that is damaged{line}",
            hint="restore it from the repository or a fresh copy",
            where=str(path),
        ) from None


def card(folder: Path) -> Card:
    """The card of a lesson, from its notebook's metadata.

    Errors
    ------
    TwinError
        A missing or damaged notebook, a missing field or one of the wrong type.
    """
    path = folder / "lesson.ipynb"
    return card_of(read_json(path), where=str(path))


def card_of(raw: Any, *, where: str) -> Card:
    """The card in the metadata of a notebook's JSON."""
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    about = (metadata or {}).get("twinkit", {}).get("lesson")
    if not isinstance(about, dict):
        raise TwinError(
            "a card in the notebook's metadata (twinkit → lesson)",
            found="none",
            hint="start from twinkit lesson new, or copy the metadata of lessons/01-twin",
            where=where,
        )
    for name, kind in CARD_FIELDS.items():
        if not isinstance(about.get(name), kind) or (kind is int and about[name] <= 0):
            raise TwinError(
                f"'{name}' on the card ({kind.__name__})",
                found=repr(about.get(name)),
                hint="complete the notebook's metadata (twinkit → lesson)",
                where=where,
            )
    unknown = set(about) - set(CARD_FIELDS) - {"goals", "regions"}
    if unknown:
        raise TwinError(
            "fields that a card has",
            found=", ".join(sorted(unknown)),
            hint=f"use {close_to(min(unknown), CARD_FIELDS) or 'those of lessons/01-twin'}",
            where=where,
        )
    lists = {k: tuple(map(str, about.get(k, ()))) for k in ("gives", "goals", "regions")}
    pairs = {k: _pairs(about[k], k, where) for k in ("needs", "objectives")}
    return Card(about["title"], about["minutes"], about["memory"], **pairs, **lists)  # type: ignore[arg-type]


def _pairs(rows: list[Any], name: str, where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        if not (isinstance(row, list) and len(row) == 2 and all(isinstance(v, str) for v in row)) or row[0] in found:
            raise TwinError(
                f"'{name}' on the card as pairs of text, each first word once",
                found=repr(row),
                hint='write [["units", "find the unit of any variable"], ...], or [["labels", "01-twin"], ...]',
                where=where,
            )
        found[row[0]] = row[1]
    return found


def card_text(about: Card) -> str:
    """The card as the learner sees it (Markdown)."""
    rows = [
        f"| {concept} | {f'lesson [{source}](../{source}/lesson.ipynb)' if source else 'before the course'} |"
        for concept, source in about.needs.items()
    ]
    goals = [f"{i}. {text}" for i, text in enumerate(about.objectives.values(), start=1)]
    return "\n".join(
        [
            f"**{about.minutes} minutes** · {about.memory} MB of memory · needs no internet",
            "",
            "After this lesson you can",
            "",
            *goals,
            "",
            "| you need | from |",
            "|---|---|",
            *rows,
        ]
    )


def read_exercises(folder: Path) -> dict[str, Exercise]:
    """The exercises of a lesson by name, in the order of ``exercises.py``.

    Errors
    ------
    TwinError
        No such file, a syntax error with its line, an error while it is read, no exercise, one name twice.
    """
    path = folder / "exercises.py"
    try:
        source = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise TwinError("exercises.py", found="no such file", hint="restore it", where=str(path)) from None
    try:
        ast.parse(source)
    except SyntaxError as fault:
        raise TwinError(
            "exercises in Python",
            found=f"a syntax error: {fault.msg}",
            hint="mend that line",
            where=f"{path}, line {fault.lineno}",
        ) from None
    spec = importlib.util.spec_from_file_location(f"_twinkit_exercises_{folder.name.replace('-', '_')}", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018, S101 - a .py path always has a loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except TwinError as fault:
        raise TwinError(fault.expected, found=fault.found, hint=fault.hint, where=f"{path}, {fault.where}") from None
    except Exception as fault:
        raise TwinError(
            "exercises that can be read",
            found=f"{type(fault).__name__}: {fault}",
            hint="run the file by itself: python exercises.py",
            where=str(path),
        ) from fault
    found: dict[str, Exercise] = {}
    for value in vars(module).values():
        if isinstance(value, Exercise):
            if value.name in found and found[value.name] is not value:
                raise TwinError("one exercise a name", found=f"'{value.name}' twice", hint="rename", where=str(path))
            found[value.name] = value
    if not found:
        raise TwinError("at least one exercise", found="none", hint="decorate a function: @exercise", where=str(path))
    return found


def cells_of(raw: Any, *, where: str) -> tuple[Cell, ...]:
    """The cells of a notebook's JSON; every one needs an id of its own."""
    cells = raw.get("cells") if isinstance(raw, dict) else None
    if not isinstance(cells, list) or not cells:
        raise TwinError("a notebook with cells", found="none", hint="restore it from a fresh copy", where=where)
    made: list[Cell] = []
    seen: set[str] = set()
    for position, one in enumerate(cells, start=1):
        name = one.get("id", "")
        if not name:
            raise TwinError("an id for every cell", found=f"none in cell {position}", hint="name it", where=where)
        if name in seen:
            raise TwinError(
                "an id of its own for every cell",
                found=f"'{name}' twice",
                hint=f"rename cell {position}: translations and answers are keyed by the id",
                where=where,
            )
        seen.add(name)
        about = one.get("metadata", {}).get("twinkit", {})
        source = one["source"] if isinstance(one.get("source"), str) else "".join(one.get("source", []))
        made.append(
            Cell(
                name,
                one.get("cell_type", ""),
                source,
                about.get("part", ""),
                about.get("exercise", ""),
                about.get("role", ""),
                one.get("metadata", {}),
            )
        )
    return tuple(made)


def read(folder: str | Path) -> LessonFolder:
    """A whole lesson, held to the format.

    Errors
    ------
    TwinError
        The first thing wrong: a missing or damaged file, a duplicate cell id, a part missing or out of order, an
        exercise without an objective or cells, an objective without an exercise, a stale card, outputs not stripped.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise TwinError("a lesson folder", found="no such folder", hint="name lessons/NN-word", where=str(folder))
    if not NAME.fullmatch(folder.name):
        raise TwinError("a name like 04-radio", found=f"'{folder.name}'", hint="rename the folder", where=str(folder))
    for name in FILES:
        if not (folder / name).is_file():
            raise TwinError(
                f"a lesson folder with {', '.join(FILES)}",
                found=f"no {name}",
                hint=f"add {name}; lessons/01-twin shows how",
                where=str(folder),
            )
    path = folder / "lesson.ipynb"
    raw = read_json(path)
    about = card_of(raw, where=str(path))
    cells = cells_of(raw, where=str(path))
    made = LessonFolder(
        folder,
        about,
        cells,
        read_exercises(folder),
        (folder / "trainer.md").read_text(encoding="utf-8"),
        tuple(code for code in LANGUAGES if code != "en" and (folder / f"{code}.md").is_file()),
    )
    _check_parts(made, str(path))
    _check_exercises(made, str(path))
    for one in raw["cells"]:
        if one.get("outputs") or one.get("execution_count"):
            raise TwinError(
                "outputs stripped",
                found=f"outputs in cell '{one['id']}'",
                hint="nbstripout lesson.ipynb",
                where=str(path),
            )
    if made.cell("card").source.strip() != card_text(about).strip():
        raise TwinError(
            "a card rendered from the metadata",
            found="another text in cell 'card'",
            hint=f"twinkit lesson card {folder.name} writes it anew",
            where=str(path),
        )
    return made


def _check_parts(made: LessonFolder, where: str) -> None:
    order = {part: i for i, part in enumerate(PARTS)}
    order["shown"] = order["exercise"]  # they alternate
    last = 0
    for cell in made.cells:
        if cell.part not in PARTS:
            near = close_to(cell.part, PARTS)
            raise TwinError(
                "every cell in a part of the lesson",
                found=f"'{cell.part}' at cell '{cell.id}'",
                hint=f"did you mean {near}?" if near else f"parts are: {', '.join(PARTS)}",
                where=where,
            )
        if order[cell.part] < last:
            raise TwinError(
                f"parts in this order: {', '.join(PARTS)}",
                found=f"'{cell.part}' at cell '{cell.id}' too late",
                hint="move the cell",
                where=where,
            )
        last = order[cell.part]
    for part in PARTS:
        if not any(c.part == part for c in made.cells):
            raise TwinError(
                f"a part '{part}'", found="no cell of it", hint="add one; see lessons/README.md", where=where
            )
    if "card" not in {c.id for c in made.cells}:
        raise TwinError("a cell with the id 'card'", found="none", hint="name it", where=where)
    parameters = [c for c in made.cells if "parameters" in c.metadata.get("tags", [])]
    if len(parameters) != 1:
        raise TwinError(
            "one cell tagged 'parameters'",
            found=str(len(parameters)),
            hint="tag the cell with region, seed, small",
            where=where,
        )
    for name in ("region", "seed", "small", "language"):
        if not re.search(rf"^{name} *=", parameters[0].source, re.MULTILINE):
            raise TwinError(
                "parameters region, seed, small, language", found=f"no {name}", hint=f"add {name} = ...", where=where
            )


def _check_exercises(made: LessonFolder, where: str) -> None:
    for name, exercise in made.exercises.items():
        if exercise.objective not in made.card.objectives:
            near = close_to(exercise.objective, made.card.objectives)
            raise TwinError(
                f"an objective of the card for exercise '{name}'",
                found=f"'{exercise.objective}'",
                hint=f"did you mean {near}?" if near else "add it to the card, or name one that is there",
                where=where,
            )
        for role in ("task", "answer", "check"):
            count = len(made.cells_of(name, role))
            if count != 1:
                raise TwinError(
                    f"one {role} cell for exercise '{name}'",
                    found=str(count) if count else "none",
                    hint=f'mark it: {{"exercise": "{name}", "role": "{role}"}}',
                    where=where,
                )
        _check_answer(name, made.cells_of(name, "answer")[0], made.cells_of(name, "check")[0], where)
    for objective in made.card.objectives:
        if not any(e.objective == objective for e in made.exercises.values()):
            raise TwinError(
                f"an exercise for objective '{objective}'", found="none", hint="add one, or drop it", where=where
            )
    known = set(made.exercises)
    for cell in made.cells:
        if cell.exercise and cell.exercise not in known:
            raise TwinError(
                "an exercise of exercises.py",
                found=f"'{cell.exercise}' at cell '{cell.id}'",
                hint=f"did you mean {close_to(cell.exercise, known)}?" if close_to(cell.exercise, known) else "add it",
                where=where,
            )
        if cell.exercise and cell.role not in ROLES:
            raise TwinError(
                f"a role among {', '.join(ROLES)}",
                found=f"'{cell.role}' at cell '{cell.id}'",
                hint="set it",
                where=where,
            )
    shown = False
    for cell in made.cells:
        if cell.part == "shown":
            shown = True
        if cell.part == "exercise" and cell.role == "task":
            if not shown:
                raise TwinError(
                    "a shown example before each exercise",
                    found=f"none before '{cell.id}'",
                    hint="add one",
                    where=where,
                )
            shown = False


def _check_answer(name: str, answer: Cell, check: Cell, where: str) -> None:
    """``people = ...`` above BEGIN SOLUTION, and a check cell whose last line evaluates to points."""
    lines = [line.strip() for line in answer.source.splitlines()]
    begin = next((i for i, line in enumerate(lines) if "BEGIN SOLUTION" in line), None)
    end = next((i for i, line in enumerate(lines) if "END SOLUTION" in line), None)
    variable = name.replace("-", "_")
    if begin is None or end is None or end < begin or f"{variable} = ..." not in lines[:begin]:
        raise TwinError(
            f"'{variable} = ...' above ### BEGIN SOLUTION, and ### END SOLUTION below the answer",
            found=f"cell '{answer.id}' without",
            hint="the untouched copy must raise nothing",
            where=where,
        )
    if check.source.strip().splitlines()[-1].strip() != f'lesson.check("{name}", {variable})':
        raise TwinError(
            f'a check cell that ends with lesson.check("{name}", {variable})',
            found=f"another last line in cell '{check.id}'",
            hint="nbgrader reads the last line's value as credit",
            where=where,
        )


def in_language(text: str, language: str) -> str:
    """Markdown marked with its language; from right to left as HTML.

    Jupyter's stylesheet pins paragraphs to the left whatever their direction, so that each needs a style of its own;
    its sanitizer keeps `dir`, `lang` and `text-align`.
    """
    if language not in RIGHT_TO_LEFT:
        return f'<div lang="{language}">\n\n{text.strip()}\n\n</div>'
    try:
        import mistune
    except ImportError:
        raise TwinError(
            "mistune, to set text from right to left",
            found="no module 'mistune'",
            hint='install the extra: pip install "twinkit[course]"',
        ) from None
    page = str(mistune.create_markdown(escape=False, plugins=["table"])(text.strip()))
    page = page.replace("<p>", '<p style="text-align: right">')
    # no empty line may end the HTML block, or Markdown would begin again inside it
    page = re.sub(r"\n\s*\n", "\n", page).strip()
    return f'<div dir="rtl" lang="{language}">\n{page}\n</div>'
