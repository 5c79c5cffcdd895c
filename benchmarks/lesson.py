"""Lessons on a classroom laptop: opening one and checking the first answer, and running each from end to end.

There is no other kit to race: the peer is the goal that the lessons are held to. Each figure is a process of its own,
started warm (the files were read once before), offline, with ``small=True`` and a kernel that starts with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import Row, main

if TYPE_CHECKING:
    from collections.abc import Iterator

LESSONS = Path(__file__).resolve().parent.parent / "lessons"
FIRST_CHECK, RUN, MEMORY = 3.0, 60.0, 1000.0  # s, s, MB

OPEN = """
import twinkit as tk
lesson = tk.lesson.open("01-twin", region="RW:Kigali", small=True)
assert lesson.check("highest", "s001").state in ("passed", "not yet")
"""


def first_check(*, rounds: int) -> float:
    """Seconds from starting Python to the first verdict: the median of some rounds after one to warm up."""
    taken = []
    environment = os.environ | {"TWINKIT_LESSONS": str(LESSONS)}
    for _ in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", OPEN], env=environment, check=True)
        taken.append(time.perf_counter() - started)
    return sorted(taken[1:])[rounds // 2]


def run(folder: Path) -> tuple[float, float]:
    """Seconds and megabytes of one lesson's reference, from the start of the kernel to its end."""
    from twinkit.lesson.trial import executed

    notebook = json.loads((folder / "lesson.ipynb").read_text(encoding="utf-8"))
    outcome = executed(notebook, name=folder.name, place=folder.parent, small=True)
    if outcome.error:
        raise RuntimeError(f"{folder.name}: {outcome.error}")
    return outcome.seconds, outcome.peak_memory / 1e6


def rows(*, quick: bool) -> Iterator[Row]:
    """The first check, then each lesson; `quick` takes the first two lessons."""
    from twinkit.lesson.notebook import lessons_in

    yield Row("first-check", first_check(rounds=3 if quick else 7), FIRST_CHECK, "goal", "s", "lower")
    for folder in lessons_in(LESSONS)[: 2 if quick else None]:
        seconds, megabytes = run(folder)
        yield Row(f"run-{folder.name}", seconds, RUN, "goal", "s", "lower")
        yield Row(f"memory-{folder.name}", megabytes, MEMORY, "goal", "MB", "lower")


if __name__ == "__main__":
    main(rows)
