"""The one error that a user of twinkit meets: what was expected, what was found, what to try next.

It stands left of every other module, so that all of them can raise it.
"""

from __future__ import annotations

import re

__all__ = ["OBEYED", "TwinError", "close_to", "escaped"]

# Control characters, line ends and tabs among them, and the marks that turn the direction of the text around them:
# a name in a store could clear the screen with the first, and write one thing and mean another with the second.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: object, *, keeping: str = "") -> str:
    r"""Text with each character that a terminal would obey as its escape, but for those of `keeping`.

    >>> escaped("a\x1b[2Jb\nc"), escaped("a\nb", keeping="\n")
    ('a\\x1b[2Jb\\nc', 'a\nb')
    """
    return OBEYED.sub(lambda c: c[0] if c[0] in keeping else c[0].encode("unicode_escape").decode("ascii"), str(text))


class TwinError(ValueError):
    r"""Bad input, said once and in full.

    The message shows what a terminal would obey as its escape; the attributes keep what was given.

    Parameters
    ----------
    expected : str
        What the function needs, in the words of the docs ("an azimuth between 0 and 360 degree").
    found : str
        What it met instead ("-12 degree at cell 'a3'").
    hint : str
        The next thing to try, as an instruction.
    where : str, optional
        File with line or column, variable or parameter, where there is one.

    Examples
    --------
    >>> raise TwinError("a file with heights", found="an empty file", hint="download it again", where="N00E010.hgt")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: N00E010.hgt: expected a file with heights; found an empty file. Try: download it again.
    >>> print(TwinError("a name", found="\x1b[2Jsite", hint="rename it"))
    expected a name; found \x1b[2Jsite. Try: rename it.
    """

    def __init__(self, expected: str, *, found: str, hint: str, where: str = "") -> None:
        self.expected, self.found, self.hint, self.where = expected, found, hint, where
        place = f"{where}: " if where else ""
        # a name out of a file may hold what a terminal or a notebook obeys
        super().__init__(
            escaped(f"{place}expected {expected}; found {_ended(found)} Try: {_ended(hint)}", keeping="\n\t")
        )

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call __init__ with the rendered message alone, so that an error raised
        # in a dask worker could not come home.
        return _rebuilt, (self.expected, self.found, self.hint, self.where)


def _ended(sentence: str) -> str:
    """The sentence with one mark at its end: a question keeps its own, and dots that leave out keep theirs."""
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def _rebuilt(expected: str, found: str, hint: str, where: str) -> TwinError:
    return TwinError(expected, found=found, hint=hint, where=where)


def close_to(word: str, known: object, *, most: int = 3) -> str:
    """The known words nearest to `word`, ready for a hint: "'Shimla' or 'Shimoga'"; "" when none is near.

    >>> close_to("rsrq", ["rsrp", "height"])
    "'rsrp'"
    """
    import difflib

    words = [str(k) for k in known]  # type: ignore[attr-defined]
    folded = {w.casefold(): w for w in words}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=most, cutoff=0.6)
    return " or ".join(f"'{folded[n]}'" for n in near)
