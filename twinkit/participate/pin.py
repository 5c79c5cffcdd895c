"""A pin as a register has it, the words in it, and what its author holds."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["LONGEST", "SUBJECTS", "Happening", "Pin", "Receipt", "digest", "hashed", "said"]

SUBJECTS = ("no signal", "slow", "proposal", "worry")
LONGEST = 600
"""Characters of a pin's words, and of a reason."""


@dataclass(frozen=True)
class Receipt:
    """What a citizen is given for a pin: its number, and the code that alone follows it and takes it back."""

    pin: int
    code: str
    state: str


@dataclass(frozen=True)
class Happening:
    """One step in the life of a pin.

    Attributes
    ----------
    state : str
    by : str
        Who: "citizen", or the name under which an official acts.
    reason : str
    figures : dict of str to float
        What a study found.
    at : datetime, UTC
    """

    state: str
    by: str
    reason: str
    figures: dict[str, float]
    at: dt.datetime


@dataclass(frozen=True)
class Pin:
    """A pin as the register has it; `square` is its column and row in the grid, never a finer place."""

    id: int
    subject: str
    words: str
    square: tuple[int, int]
    state: str
    flag: str
    supports: int
    received: dt.datetime
    reference: str = ""
    happenings: tuple[Happening, ...] = field(default=())


def said(words: Any, *, where: str = "words") -> str:
    r"""Words as they are kept: no control characters, no marks that turn the direction of what follows.

    >>> said("pay \u202egnp.exe\n now")
    'pay gnp.exe now'
    """
    if not isinstance(words, str) or len(words) > 8 * LONGEST:
        raise TwinError(
            f"at most {LONGEST} characters", found="far more, or no text", hint="say it shorter", where=where
        )
    kept = "".join(
        " " if c.isspace() else c for c in unicodedata.normalize("NFC", words)
        if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") or c in "\u200c\u200d"
    )  # fmt: skip
    out = " ".join(kept.split())
    if not 1 <= len(out) <= LONGEST:
        hint = "say it shorter" if out else "say what is wrong"
        raise TwinError(f"1 to {LONGEST} characters", found=f"{len(out)}", hint=hint, where=where)
    return out


def digest(words: str) -> str:
    """Of the letters and digits alone: what is said again with other dots and capitals is the same.

    >>> digest("Slow at night!") == digest("slow, at NIGHT")
    True
    """
    folded = unicodedata.normalize("NFKC", words).casefold()
    return hashed("".join(c for c in folded if c.isalnum()) or folded)


def hashed(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
