"""Text from a twin on its way into Markdown or HTML: shown as it is, never obeyed."""

from __future__ import annotations

import re

__all__ = ["plain"]


def plain(text: object) -> str:
    r"""Text that Markdown, a Markdown table and HTML all show as it is.

    A name in a twin may hold anything: `<script>`, `|`, a line break, a link. Every punctuation mark that one of the
    three could take for markup becomes a character reference, every run of blanks and control characters one space.

    Parameters
    ----------
    text : object
        Taken as `str` gives it.

    Returns
    -------
    str

    Examples
    --------
    >>> plain("<b>Saint-Denis | a\nb</b>")
    '&#60;b&#62;Saint-Denis &#124; a b&#60;&#47;b&#62;'
    >>> plain("St. Mary, 12 (north)")
    'St. Mary, 12 (north)'
    """
    # categories Cc and the marks that turn the direction of the text around them
    line = re.sub("[\\s\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]+", " ", str(text)).strip()
    safe = re.sub(r"[^\w\s,.()%-]", lambda mark: f"&#{ord(mark[0])};" if mark[0].isascii() else mark[0], line)
    # \w holds the underscore, which Markdown obeys; and www. becomes a link where a dialect has such links
    return safe.replace("_", "&#95;").replace("www.", "www&#46;")
