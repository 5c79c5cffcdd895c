"""All benchmarks, one after the other, each in a process of its own; their tables go to docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pathlib
import pkgutil
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import benchmarks

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def modules() -> list[str]:
    """The modules with benchmarks, in the order of the alphabet."""
    return sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))


def measured(name: str, *, quick: bool) -> list[dict[str, Any]]:
    """The rows of one module, from a fresh process, so that no module warms or burdens the next."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=PAGE.parent.parent, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def page(found: dict[str, list[dict[str, Any]]], *, quick: bool) -> str:
    """The tables as a page of the docs, each under the command that repeats it."""
    option = " --quick" if quick else ""
    parts = [
        "# Benchmarks\n",
        (
            f"Measured on {os.cpu_count()} cores with Python {platform.python_version()}; figures differ between "
            "machines, ratios less so. *ratio* is the figure of twinkit over that of the peer: above 1 is better for "
            f"rates, below 1 for times and sizes. `python -m benchmarks{option}` measures all anew and writes this "
            "page.\n"
        ),
    ]
    for name, rows in found.items():
        text = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip()
        parts += [
            f"## {name}\n",
            text + "\n",
            f"```\npython -m benchmarks.{name}{option}\n```\n",
            benchmarks.table(rows) + "\n",
        ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all modules, print their tables and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller works, each module in under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--page", type=pathlib.Path, default=PAGE, help="where the tables are written")
    given = parser.parse_args(arguments)
    found, failed = {}, []
    for name in modules():
        try:
            found[name] = measured(name, quick=given.quick)
        except subprocess.CalledProcessError:
            failed.append(name)
            continue
        if given.json:
            print("\n".join(json.dumps(row) for row in found[name]), flush=True)
        else:
            print(f"benchmarks.{name}\n{benchmarks.table(found[name])}\n", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}; {given.page.name} was not written", file=sys.stderr)
        return 1
    given.page.parent.mkdir(parents=True, exist_ok=True)
    given.page.write_text(page(found, quick=given.quick), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
