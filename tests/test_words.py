"""Every phrase that stands in a table of words is said somewhere, so that nobody translates one that is never read."""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path

import pytest

from twinkit.assimilate.trust import FAULTS
from twinkit.telemetry.quality import FLAGS

PACKAGE = Path(__file__).resolve().parent.parent / "twinkit"
FILES = sorted(f for folder in ("view", "participate") for f in (PACKAGE / folder).rglob("words*.csv"))
SOURCES = {".py", ".html", ".js"}
# keys that the code has as values: kinds of alarms and of doubtful readings, corners of a map
VALUES = {
    "view/dashboard/words_operate.csv": {*FAULTS, *FLAGS},
    "view/words.csv": {"where_ne", "where_nw", "where_se", "where_sw"},
}


def sources(folder: Path) -> list[str]:
    return [f.read_text(encoding="utf-8") for f in sorted(folder.rglob("*")) if f.suffix in SOURCES]


@functools.cache
def named(folder: Path) -> set[str]:
    """What stands between quotation marks in a folder."""
    # looking ahead, because a mark may end one text or begin the next
    found = (re.findall(r"""(?=(["'])([^"'\n]*)\1)""", text) for text in sources(folder))
    return {text for some in found for _, text in some}


@functools.cache
def beginnings(folder: Path) -> tuple[str, ...]:
    """What keys begin with that are put together: ``f"did_{kind}"`` in code, ``"part_" + one`` on a page."""
    put = re.compile(r"""f["']([a-z]+[_ ])\{[^}]*\}["']|["']([a-z]+[_ ])["'] *[+~]""")
    return tuple({a or b for text in sources(folder) for a, b in put.findall(text)})


def said(key: str, folder: Path) -> bool:
    if key in named(folder):
        return True
    rest = [key.removeprefix(b) for b in beginnings(folder) if key.startswith(b)]
    # the names of kinds, faults and choices come from the modules that know them
    return any(r in named(PACKAGE) or r.isdigit() for r in rest)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_every_phrase_is_said(file):
    keys = {row["key"] for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())}
    known = VALUES.get(file.relative_to(PACKAGE).as_posix(), set())
    assert not sorted(k for k in keys - known if not said(k, file.parent))


def test_a_phrase_that_nobody_says_is_found():
    folder = PACKAGE / "view" / "dashboard"
    assert said("about_plan", folder)
    assert not said("about_a_phrase", folder)
    assert not said("a phrase of nobody", folder)
