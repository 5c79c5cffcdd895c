"""A name that somebody wrote, as an error of the store quotes it."""

from __future__ import annotations

from twinkit.error import escaped

__all__ = ["quoted"]


def quoted(name: object, *, most: int = 60) -> str:
    """A name as an error quotes it: in quotation marks, and in short where it is long.

    >>> quoted("x" * 5000, most=5)
    "'xxxxx...' (5000 characters)"
    """
    text = str(name)
    return f"'{escaped(text)}'" if len(text) <= most else f"'{escaped(text[:most])}...' ({len(text)} characters)"
