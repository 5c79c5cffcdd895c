"""The regression: every notebook with golden numbers, run again and compared."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from twinkit.cli._places import notebooks
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twinkit.study import Comparison

__all__ = ["regressions", "source_of"]


def source_of(golden: Path) -> Path:
    """The notebook whose numbers a golden file holds.

    ``coverage.json`` and ``coverage.rw-kigali.json`` belong to notebooks/coverage.ipynb, ``03-coverage.json`` to
    lessons/03-coverage/lesson.ipynb.

    Errors
    ------
    TwinError
        There is no such notebook.
    """
    name = golden.name.partition(".")[0]
    root = notebooks().parent
    for path in (root / "notebooks" / f"{name}.ipynb", root / "lessons" / name / "lesson.ipynb"):
        if path.is_file():
            return path
    raise TwinError(
        "a notebook of that name",
        found=f"no notebooks/{name}.ipynb and no lessons/{name}/lesson.ipynb",
        hint="rename the golden file after its notebook, or delete it",
        where=str(golden),
    )


def regressions(
    folder: Path, names: list[str], *, update: bool, research: bool = False
) -> Iterator[tuple[str, Comparison]]:
    """Each golden file beside what its notebook finds now, with the parameters that stand in it.

    With `update` it is written anew; one that a name asks for and that is missing is made from the notebook's defaults.
    With `research` and no names the lessons are left out: `twinkit lesson test` compares theirs with the runs it makes.

    Errors
    ------
    TwinError
        No golden file of a name, a damaged one, a research notebook or lesson that has none, one that fails.
    """
    from twinkit import study
    from twinkit.lesson.golden import RELATIVE, missing

    files = {p.stem: p for p in sorted(folder.glob("*.json"))}
    for name in names:
        if name not in files and update:
            files[name] = folder / f"{name}.json"
            source_of(files[name])
        if name not in files:
            near = close_to(name, files)
            raise TwinError(
                f"golden numbers in {folder}",
                found=f"no {name}.json",
                hint=f"did you mean {near}?" if near else f"make it: twinkit regression {name} --update",
            )
    if not names:
        held = {p.name.partition(".")[0] for p in files.values()}
        bare = [p.name for p in sorted(notebooks().glob("*.ipynb")) if p.stem not in held]
        if bare:
            raise TwinError(
                "golden numbers for every research notebook",
                found=f"none for {', '.join(bare)}",
                hint=f"make them: twinkit regression {bare[0].removesuffix('.ipynb')} --update",
                where=str(folder),
            )
        lessons = notebooks().parent / "lessons"
        lacking = missing(lessons, folder) if lessons.is_dir() else []
        if lacking:
            raise TwinError(
                "golden numbers for every lesson and region",
                found=f"no {', '.join(lacking)}",
                hint=f"make them: twinkit lesson test {lacking[0].partition('.')[0]} --update",
                where=str(folder),
            )
    for name in names or files:
        path, source = files[name], source_of(files[name])
        taught = source.name == "lesson.ipynb"
        if taught and research and not names:
            continue
        if taught and not path.exists():  # its name alone does not give the region's
            raise TwinError(
                "golden numbers to renew",
                found=f"no {path.name}",
                hint=f"make them: twinkit lesson test {source.parent.name} --update",
                where=str(folder),
            )
        given: dict[str, Any] = dict(study.expected(path)["parameters"]) if path.exists() else {}
        # a lesson leaves the learner's report where it stands
        with tempfile.TemporaryDirectory(prefix="twinkit-") as desk:
            done = study.run(source, given, folder=desk if taught else source.parent)
        if update:
            study.keep(done, path, relative=RELATIVE if taught else 1e-6)
        yield name, study.compare(done, path)
