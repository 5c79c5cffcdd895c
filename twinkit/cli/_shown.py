"""What the command line says: text that a terminal shows and does not obey, and hints that are commands."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import typer

from twinkit.error import TwinError, escaped

__all__ = ["called", "in_commands", "say", "shown"]


def shown(text: object, *, line: bool = False) -> str:
    r"""Text with each control character as its escape; `line` also keeps it on one line.

    >>> shown("a\x1b[2Jb\nc"), shown("a\nb", line=True)
    ('a\\x1b[2Jb\nc', 'a\\nb')
    """
    return escaped(text, keeping="" if line else "\n\t")


def say(text: object, *, err: bool = False) -> None:
    """Print for people: the one way in which a command writes what may come from a store, a file or a user."""
    typer.echo(shown(text), err=err)


# How the library puts it → how somebody at the command line does it.
COMMANDS = (
    (r"print\(tk\.datasets\.registry\(\)\)", "twinkit data"),
    (r"\btk\.datasets\.town\([^)]*\)", "twinkit new town"),
    (r"\btk\.verify\(path\)", "twinkit history PATH --verify"),
    (r"\btk\.history\(path\)", "twinkit history PATH"),
    (r"\btk\.study\.run\(notebook, out='out'\)", "twinkit run NOTEBOOK"),
    (r"\bmake it from a run that you have checked: tk\.study\.keep\(run, path\)", "twinkit regression NAME --update"),
    (r"\btk\.save\(twin, path, message=\.\.\.\) makes one", "twinkit new makes one"),
)


def in_commands(fault: TwinError) -> TwinError:
    """The error with a hint that is typed at the command line, where there is a command for it."""
    hint = fault.hint
    for python, typed in COMMANDS:
        hint = re.sub(python, typed, hint)
    return TwinError(fault.expected, found=fault.found, hint=hint, where=fault.where)


def called(program: str = "twinkit") -> str:
    """How twinkit, or its Python, is called in this shell: by its name where that is on PATH, else by its path."""
    own = Path(sys.executable).parent / (f"{program}.exe" if os.name == "nt" else program)
    on_path = shutil.which(program)
    if on_path and Path(on_path).parent.resolve() == own.parent.resolve():
        return program
    if own.is_file():
        return _typed(own)
    return program if on_path or program != "twinkit" else f"{_typed(Path(sys.executable))} -m twinkit"


def _typed(path: Path) -> str:
    here = Path.cwd()
    text = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f'"{text}"' if " " in text else text
