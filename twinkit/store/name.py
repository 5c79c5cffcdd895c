"""Names of branches and tags: fit for a folder on every system, and for the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twinkit.error import TwinError
from twinkit.store.shown import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["fit", "free"]

_FIT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_RESERVED = {"head", "con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


def fit(name: object, word: str) -> None:
    """Raise where a name is unfit for a branch or a tag (`word`).

    >>> fit("what-if.no-diesel", "branch")
    >>> fit("HEAD", "tag")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: expected a tag name that means nothing else; found 'HEAD'. Try: ... 'my-HEAD'.
    """
    if not isinstance(name, str) or not _FIT.fullmatch(name):
        raise TwinError(
            f"a {word} name of at most 100 letters, digits, dots, hyphens and underscores, no dot or hyphen at its "
            "front and no dot at its end",
            found=quoted(name) if isinstance(name, str) else f"a {type(name).__name__}",
            hint="write it like 'what-if.no-diesel'",
        )
    if name.partition(".")[0].casefold() in _RESERVED:
        raise TwinError(
            f"a {word} name that means nothing else", found=quoted(name), hint=f"choose another one, e.g. 'my-{name}'"
        )


def free(name: str, word: str, references: Iterable[str], *, where: str) -> None:
    """Raise where a branch or a tag has the name already.

    Capitals do not count: some disks see no difference. A branch and a tag of one name could not be told apart.
    """
    taken = {n.partition(".")[2].casefold(): n for n in references}.get(name.casefold())
    if taken is not None:
        kind, _, holder = taken.partition(".")
        hint = f"open it with branch='{holder}', or choose another name" if kind == "branch" else "choose another name"
        raise TwinError(f"a {word} name that is not taken", found=f"the {kind} '{holder}'", hint=hint, where=where)
