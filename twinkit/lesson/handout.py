"""Copies of lessons into a learner's folder, made by a process that has the learner's rights and no more.

The hub starts this file by its path, as the learner. A hub that copied as root would follow whatever links the learner
has planted; here a link leads only where the learner may write anyway. The standard library is enough for it, so that
it starts at once.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

__all__ = ["handed_out"]


def handed_out(lessons: Path, target: Path) -> list[str]:
    """Copy each lesson that is not there yet; what is there already is the learner's work and stays.

    Parameters
    ----------
    lessons : Path
        The folder of copies to hand out.
    target : Path
        The learner's folder of lessons; made if there is none.

    Returns
    -------
    list of str
        The lessons copied. One whose name a link has taken is left alone, wherever it leads.

    Errors
    ------
    OSError
        The target is a link or a file, or may not be written.
    """
    if target.is_symlink():
        raise OSError(f"{target} is a link; lessons go into a folder only")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = []
    for lesson in sorted(lessons.iterdir()):
        new = target / lesson.name
        if new.is_symlink() or new.exists():
            continue
        # whole or not at all: half a lesson would stay for good
        scratch = Path(tempfile.mkdtemp(prefix=".handout-", dir=target))
        try:
            shutil.copytree(lesson, scratch / lesson.name)
            (scratch / lesson.name).rename(new)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        made.append(lesson.name)
    return made


if __name__ == "__main__":
    try:
        handed_out(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as fault:
        sys.exit(str(fault))
