"""Which layers of a twin are measured, which modelled and which generated."""

from __future__ import annotations

import html
from dataclasses import dataclass

import xarray as xr

from twinkit.error import TwinError
from twinkit.view._figure import checked_language
from twinkit.vocabulary import label, words

__all__ = ["Layers", "layers"]

KINDS = ("measured", "modelled", "generated")


@dataclass(frozen=True)
class Layers:
    """The layers of a twin with what they mean and where they come from; prints as text, shows as a table."""

    rows: tuple[tuple[str, str, str, str], ...]
    """Node and variable names, meaning, kind (measured, modelled, generated), source."""

    def __repr__(self) -> str:
        wide = max((len(r[0]) for r in self.rows), default=0)
        return "\n".join(f"{name:{wide}}  {kind:10} {source}" for name, _, kind, source in self.rows)

    def _repr_html_(self) -> str:
        lines = [
            f"<tr><td><code>{html.escape(name)}</code>{f'<br>{html.escape(meaning)}' if meaning else ''}</td>"
            f"<td><b>{html.escape(kind)}</b></td><td>{html.escape(source)}</td></tr>"
            for name, meaning, kind, source in self.rows
        ]
        head = "<tr><th>layer</th><th>kind</th><th>from</th></tr>"
        return f'<table class="layers"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table>'

    def of(self, kind: str) -> list[str]:
        """Names of the layers of one kind."""
        return [name for name, _, own, _ in self.rows if kind in own]


def layers(twin: xr.DataTree, *, language: str = "en") -> Layers:
    """What every layer of a twin is made of, said so that nobody takes a generated layer for a measured one.

    Parameters
    ----------
    twin : DataTree
        Its variables carry ``provenance``.
    language : str
        For the meanings.

    Returns
    -------
    Layers
        Neighbouring variables of one node and one origin stand in one row. A layer of several parts has several
        kinds, joined by "+".

    Errors
    ------
    TwinError
        Not a twin, or an unknown language.
    """
    checked_language(language)
    if not isinstance(twin, xr.DataTree):
        raise TwinError("a twin", found=f"a {type(twin).__name__}", hint="tk.open(path) gives one")
    known = words()
    grouped: dict[tuple[str, str], list[str]] = {}
    for node, child in twin.children.items():
        for name, array in child.to_dataset(inherit=False).data_vars.items():
            origin = str(array.attrs.get("provenance", "unknown: the layer does not say"))
            grouped.setdefault((node, origin), []).append(str(name))
    rows = []
    for (node, origin), names in grouped.items():
        parts = [p.strip().partition(":") for p in origin.split(";")]
        kinds = list(dict.fromkeys(kind for kind, colon, _ in parts if colon and kind in KINDS))
        meaning = label(names[0], language=language) if len(names) == 1 and names[0] in known else ""
        whole = f"{node}/{names[0]}" if len(names) == 1 else f"{node}: {', '.join(names)}"
        source = origin.removeprefix(f"{kinds[0]}:").strip() if len(kinds) == 1 else origin
        rows.append((whole, meaning, " + ".join(kinds) or "unknown", source))
    return Layers(tuple(rows))
