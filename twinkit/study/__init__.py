"""The study: one notebook as lesson, regression test and instrument.

A notebook asks one question, takes its choices from one cell tagged ``parameters`` and records its results. Here it
is run strictly, swept over a grid, and compared with golden numbers.

Examples
--------
>>> from twinkit import study
>>> study.resolve("math.sqrt")(9.0)
3.0
"""

from __future__ import annotations

from twinkit.study._golden import Change, Comparison, compare, expected, keep
from twinkit.study._notebook import parameters, resolve
from twinkit.study._report import report
from twinkit.study._results import MIME, record, recorded
from twinkit.study._run import Run, run
from twinkit.study._sweep import sweep

__all__ = [
    "MIME",
    "Change",
    "Comparison",
    "Run",
    "compare",
    "expected",
    "keep",
    "parameters",
    "record",
    "recorded",
    "report",
    "resolve",
    "run",
    "sweep",
]
