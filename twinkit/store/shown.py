"""Text of a store as it is shown: a terminal prints what somebody wrote into a message, and does not obey it."""

from __future__ import annotations

import re

__all__ = ["quoted", "shown"]

# Control characters, line ends and tabs among them, and the marks that turn the direction of the text around them.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: object) -> str:
    r"""Text on one line, with each character that a terminal would obey as its escape.

    >>> shown("a\x1b[2Jb\nc")
    'a\\x1b[2Jb\\nc'
    """
    return _OBEYED.sub(lambda sign: sign[0].encode("unicode_escape").decode("ascii"), str(text))


def quoted(name: object, *, most: int = 60) -> str:
    """A name as an error quotes it: in quotation marks, and in short where it is long.

    >>> quoted("x" * 5000, most=5)
    "'xxxxx...' (5000 characters)"
    """
    text = str(name)
    return f"'{shown(text)}'" if len(text) <= most else f"'{shown(text[:most])}...' ({len(text)} characters)"
