"""What the command line says: text that a terminal shows and does not obey, and hints that are commands."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import typer

from twinkit.error import TwinError

__all__ = ["called", "in_commands", "say", "shown"]

# Control characters but the line end and the tab, and the marks that turn the direction of the text around them:
# a name in a store could clear the screen with the first and write one thing and mean another with the second.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]")


def shown(text: object, *, line: bool = False) -> str:
    r"""Text with each control character as its escape; `line` also keeps it on one line.

    >>> shown("a\x1b[2Jb\nc"), shown("a\nb", line=True)
    ('a\\x1b[2Jb\nc', 'a\\nb')
    """
    safe = OBEYED.sub(lambda sign: sign[0].encode("unicode_escape").decode("ascii"), str(text))
    return safe.replace("\n", r"\n") if line else safe


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
