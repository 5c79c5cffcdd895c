"""The golden numbers of lessons: one file a lesson and region, held against the runs that the trial makes anyway."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from twinkit.lesson import REGIONS
from twinkit.lesson.notebook import card, lessons_in

if TYPE_CHECKING:
    from pathlib import Path

    from twinkit.study import Comparison

__all__ = ["RELATIVE", "file_of", "held", "missing", "places_of"]

RELATIVE = 1e-4
"""What a number may move by where its file says nothing else: another build of the same mathematics, no other sum."""


def file_of(folder: Path, lesson: str, region: str) -> Path:
    """Where the numbers of a lesson on a region are kept.

    >>> from pathlib import Path
    >>> file_of(Path("golden"), "03-coverage", "RW:Kigali").name
    '03-coverage.rw-kigali.json'
    """
    return folder / f"{lesson}.{re.sub(r'[^0-9a-z]+', '-', region.lower())}.json"


def places_of(folder: Path) -> list[str]:
    """The regions on which a lesson is tested: the card's, and at least `twinkit.lesson.REGIONS`."""
    return list(dict.fromkeys([*card(folder).regions, *REGIONS]))


def missing(lessons: Path, golden: Path) -> list[str]:
    """The files that a folder of golden numbers lacks for a folder of lessons."""
    wanted = [file_of(golden, folder.name, region) for folder in lessons_in(lessons) for region in places_of(folder)]
    return [path.name for path in wanted if not path.is_file()]


def held(folder: Path, outcome: Any, given: dict[str, Any], path: Path, *, update: bool = False) -> Comparison:
    """What a finished run of a lesson found, beside its golden numbers.

    Parameters
    ----------
    folder : Path
        The lesson.
    outcome
        As `twinkit.lesson.trial.executed` gives it, without an error.
    given : dict
        The parameters of that run.
    path : Path
        The golden file.
    update : bool
        Write it anew, with the tolerances of before, and then compare.

    Errors
    ------
    TwinError
        The golden file is missing or damaged, or it belongs to another lesson.
    """
    from twinkit import study
    from twinkit.study._notebook import read
    from twinkit.study._run import made, written

    run = made(json.loads(json.dumps(written(read(folder / "lesson.ipynb"), given, outcome, {}, ""))), None)
    if update:
        study.keep(run, path, relative=RELATIVE)
    return study.compare(run, path)
