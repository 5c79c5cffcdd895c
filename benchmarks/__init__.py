"""Claims of speed, one module each, in one language.

``python -m benchmarks.store`` prints a table work | twinkit | peer | unit | ratio; ``--json`` gives one object a row,
``--quick`` does it in under a minute. ``python -m benchmarks`` runs every module and writes docs/benchmarks.md.

A module has a function ``rows(*, quick: bool)`` that gives `Row` objects, and ends with ``main(rows)``.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Row", "main", "seconds", "table"]

HEADS = ("work", "twinkit", "peer", "unit", "ratio")


@dataclass(frozen=True)
class Row:
    """One work, done by twinkit and by a peer.

    Attributes
    ----------
    work : str
        What was done, in one or two words; the same word in every run.
    twinkit, peer : float [unit]
        NaN for a peer that there is none of, or that is not installed.
    peer_name : str
    unit : str
        "s", "values/s", "MB".
    better : {"higher", "lower"}
        Whether a rate or a cost.
    """

    work: str
    twinkit: float
    peer: float
    peer_name: str
    unit: str
    better: str

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower"):
            raise ValueError(f"better is 'higher' or 'lower', not {self.better!r}")

    @property
    def ratio(self) -> float:
        """The figure of twinkit over that of the peer: above 1 is better for rates, below 1 for costs."""
        return self.twinkit / self.peer if self.peer else math.nan

    def as_dict(self) -> dict[str, Any]:
        """The row for ``--json``; what is not known is null."""
        values = {"twinkit": self.twinkit, "peer": self.peer, "ratio": self.ratio}
        known = {k: None if math.isnan(v) else v for k, v in values.items()}
        return {
            "work": self.work,
            "twinkit": known["twinkit"],
            "peer": known["peer"],
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": known["ratio"],
            "better": self.better,
        }


def seconds(*works: Callable[[int], Any], rounds: int, warm: int = 1) -> list[float]:
    """Median time of each work, side by side.

    The works take turns, and who begins changes with every round, so that another load on the machine, a warm
    cache or a tired one meets all of them alike.

    Parameters
    ----------
    *works : function of int
        Each is called with the number of the round, from 0.
    rounds : int
        Rounds that count.
    warm : int
        Rounds before them that do not.

    Returns
    -------
    list of float
        Median [s], in the order of the works.
    """
    found: list[list[float]] = [[] for _ in works]
    for number in range(warm + rounds):
        for place in range(len(works)):
            which = (place + number) % len(works)
            start = time.perf_counter()
            works[which](number)
            if number >= warm:
                found[which].append(time.perf_counter() - start)
    return [statistics.median(times) for times in found]


def _figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Rows, as `Row.as_dict` gives them, as a table that is also Markdown."""
    lines = [HEADS, tuple("-" * len(h) for h in HEADS)]
    for r in rows:
        peer = f"{_figure(r['peer'])} ({r['peer_name']})" if r["peer_name"] else _figure(r["peer"])
        lines.append((r["work"], _figure(r["twinkit"]), peer, r["unit"], _figure(r["ratio"])))
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    filled = [
        [t.ljust(w, "-" if number == 1 else " ") for t, w in zip(line, widths, strict=True)]
        for number, line in enumerate(lines)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in filled)


def main(rows: Callable[..., Iterable[Row]], arguments: Sequence[str] | None = None) -> int:
    """Run one module of benchmarks from the command line."""
    parser = argparse.ArgumentParser(
        description=(sys.modules[rows.__module__].__doc__ or "").strip().partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="smaller works, in under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    given = parser.parse_args(arguments)
    found = [r.as_dict() for r in rows(quick=given.quick)]
    print("\n".join(json.dumps(r) for r in found) if given.json else table(found))
    return 0
