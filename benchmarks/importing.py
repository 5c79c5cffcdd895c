"""What it costs to say `import twinkit`, beside the arrays on which it stands.

Each import is timed in a fresh interpreter, from inside it, so that the interpreter's own start does not count.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks import Row, main

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMED = """
import resource, sys, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
{statement}
print(time.perf_counter() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""

# A learner's first line; then the first stage, with the arrays and kernels that it needs.
WORKS = {
    "import": ("import twinkit", "import xarray", "xarray"),
    "import-coverage": (
        "import twinkit as tk; tk.radio.coverage",
        "import xarray, dask.array, numba, scipy",
        "xarray, dask, numba, scipy",
    ),
}


def fresh(statement: str) -> tuple[float, float]:
    """Seconds and megabytes of a statement in an interpreter of its own."""
    out = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement=statement)], capture_output=True, text=True, check=True
    )
    took, size = map(float, out.stdout.split())
    return took, size


def rows(*, quick: bool) -> Iterator[Row]:
    """Medians over fresh interpreters that take turns; the first round, which fills the disk's cache, is left out."""
    rounds = 5 if quick else 15
    for work, (ours, theirs, name) in WORKS.items():
        pairs = [(fresh(ours), fresh(theirs)) for _ in range(rounds + 1)][1:]
        for unit, which, suffix in (("s", 0, ""), ("MB", 1, "-memory")):
            mine, other = (statistics.median(pair[side][which] for pair in pairs) for side in (0, 1))
            yield Row(work + suffix, mine, other, name, unit, "lower")


if __name__ == "__main__":
    sys.exit(main(rows))
