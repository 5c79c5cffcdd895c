"""The table behind a picture: numbers with labels and units, few enough to be read, and as HTML that does nothing."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError, escaped
from twinkit.view._figure import PERSIAN, checked_language, number, said
from twinkit.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST", "column", "dated", "few", "markup", "moment", "part", "tabled", "together"]

MOST = 100
"""Rows of a table at most: what nobody reads to its end is no table."""
SIGNIFICANT = 4
"""Digits of a number in a table: one more than in a sentence."""


def column(
    values: Any, name: str = "", *, language: str, text: str = "", unit: str = "", share: bool = False
) -> xr.Variable:
    """One column without its dim: values with the label and unit of the vocabulary, or with those given.

    A share is a number from 0 to 1 that people read as percent.
    """
    known = words().get(name)
    if known is not None:
        text = text or known.meaning.get(language) or known.meaning.get("en", name)
        unit = unit or known.unit
    attrs = {"long_name": text or name, "units": unit or "1"}
    if share:
        attrs["shown"] = "percent"
    values = np.asarray(values)
    if values.dtype.kind in "USO":
        values = np.array([escaped(v) for v in values], dtype=object)
    return xr.Variable(("row",), values, attrs)


def tabled(
    dim: str,
    columns: Mapping[str, xr.Variable],
    *,
    caption: str,
    note: str = "",
    index: xr.Variable | None = None,
) -> xr.Dataset:
    """Columns side by side as a Dataset over one dim, whose coordinate carries caption and note."""
    made = {name: (dim, c.values, c.attrs) for name, c in columns.items()}
    rows = len(next(iter(columns.values())).values)
    own = index.values if index is not None else np.arange(1, rows + 1)
    attrs = {**(index.attrs if index is not None else {}), "caption": caption, **({"note": note} if note else {})}
    return xr.Dataset(made, {dim: (dim, own, attrs)})


def together(*tables: xr.Dataset | None) -> xr.Dataset:
    """Tables over different dims as one Dataset; what is None is left out."""
    there = [t for t in tables if t is not None]
    variables = {n: v for t in there for n, v in t.data_vars.items()}
    return xr.Dataset(variables, {n: c for t in there for n, c in t.coords.items()})


def few(count: int, *, language: str, keep: tuple[int, ...] = ()) -> tuple[np.ndarray, str]:
    """Which of many rows in their order stand in the table, those of `keep` among them; and the sentence about it."""
    if count <= MOST:
        return np.arange(count), ""
    chosen = np.union1d(np.linspace(0, count - 1, MOST - len(keep)).astype(int), np.array(keep, dtype=int))
    return chosen, part(len(chosen), count, language)


def part(shown: int, count: int, language: str) -> str:
    """That some of the rows are shown, and how many there are; nothing where all are."""
    if shown >= count:
        return ""
    return said("table_part", language=language, **{k: number(v, language=language, digits=9) for k, v in
                                                    (("shown", shown), ("count", count))})  # fmt: skip


def moment(time: np.datetime64, language: str) -> str:
    """A moment for people, to the minute [UTC]."""
    return dated(str(time.astype("M8[m]")).replace("T", " "), language)


def dated(text: str, language: str) -> str:
    """A date that is written already, in the digits of the language."""
    # after Persian letters a hyphen parts numbers, and the day would stand where the year is; a slash joins them
    return text.replace("-", "/").translate(PERSIAN) if language == "fa" else text


def markup(table: xr.Dataset, *, language: str = "en") -> str:
    """A table as HTML: one `table` for each dim, every text escaped, headers with their scope.

    Parameters
    ----------
    table : Dataset
        Variables of one dim each. ``long_name`` and ``units`` head the columns, without them the vocabulary does;
        ``name`` heads the rows where it is there, else the dim's own coordinate; the coordinate's ``caption`` and
        ``note`` stand above and below. Of more than a hundred rows the first hundred are shown, and said to be.
    language : str
        en, hi, fr or fa: of the numbers, and of labels from the vocabulary.

    Returns
    -------
    str

    Errors
    ------
    TwinError
        Not a Dataset, a variable of several dims, or an unknown language.

    Examples
    --------
    >>> served = xr.Dataset({"name": ("place", ["<b>"]), "served": ("place", [0.5])})
    >>> print(markup(served))
    <table>
    <thead><tr><th scope="col">name of the place</th><th scope="col">share of ... served</th></tr></thead>
    <tbody>
    <tr><th scope="row"><bdi>&lt;b&gt;</bdi></th><td class="number">0.5</td></tr>
    </tbody>
    </table>
    """
    checked_language(language)
    wide = [n for n, v in table.data_vars.items() if v.ndim != 1] if isinstance(table, xr.Dataset) else [""]
    if wide:
        raise TwinError(
            "a Dataset whose variables have one dim each",
            found=f"'{wide[0]}' with dims {table[wide[0]].dims}" if wide[0] else f"a {type(table).__name__}",
            hint="figure.table is one; choose one of the other dims: table.isel(draw=0)",
            where="table",
        )
    dims = dict.fromkeys(str(v.dims[0]) for v in table.data_vars.values())
    return "\n".join(_one(table, dim, language) for dim in dims)


def _one(table: xr.Dataset, dim: str, language: str) -> str:
    columns = {str(n): v for n, v in table.data_vars.items() if v.dims == (dim,)}
    rows = min(table.sizes[dim], MOST)
    attrs = table[dim].attrs if dim in table.coords else {}
    head = columns.pop("name", table[dim] if dim in table.coords else None)
    if head is None:
        head = xr.DataArray(np.arange(1, rows + 1), dims=dim, name=dim)
    heads = "".join(f'<th scope="col">{_header(c, language)}</th>' for c in [head, *columns.values()])
    lines = []
    for i in range(rows):
        cells = "".join(_cell(c, i, language) for c in columns.values())
        lines.append(f'<tr><th scope="row">{_shown(head, i, language)[0]}</th>{cells}</tr>')
    caption = f"<caption>{html.escape(str(attrs['caption']))}</caption>\n" if attrs.get("caption") else ""
    notes = [str(attrs.get("note", "")), part(rows, table.sizes[dim], language)]
    below = "".join(f"\n<p>{html.escape(n)}</p>" for n in notes if n)
    body = "\n".join(lines)
    return f"<table>\n{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>{below}"


def _header(array: xr.DataArray, language: str) -> str:
    known = words().get(str(array.name))
    if "long_name" in array.attrs:
        text, unit = str(array.attrs["long_name"]), str(array.attrs.get("units", "1"))
    elif known is not None:
        text, unit = known.meaning.get(language) or known.meaning.get("en", ""), known.unit
    else:
        text, unit = str(array.name), str(array.attrs.get("units", "1"))
    if array.attrs.get("shown") == "percent":
        unit = "1"  # each cell says it
    return html.escape(escaped(text if unit == "1" else f"{text} [{unit}]"))


def _cell(array: xr.DataArray, row: int, language: str) -> str:
    text, numeric = _shown(array, row, language)
    return f'<td class="number">{text}</td>' if numeric else f"<td>{text}</td>"


def _shown(array: xr.DataArray, row: int, language: str) -> tuple[str, bool]:
    """One value as escaped HTML, and whether it is a number."""
    value = array.values[row]
    kind = array.dtype.kind
    if kind == "M":
        return said("unknown_value", language=language) if np.isnat(value) else moment(value, language), False
    if kind == "b":
        return said("yes" if value else "no", language=language), False
    if kind in "iuf":
        if np.isnan(float(value)):
            return said("unknown_value", language=language), True
        share = array.attrs.get("shown") == "percent"
        if array.attrs.get("units") == "people":
            value = round(float(value))  # nobody is half there
        text = html.escape(number(float(value), language=language, share=share, digits=SIGNIFICANT))
        # from right to left the sign would stand behind the number
        return (f'<bdi dir="ltr">{text}</bdi>' if language == "fa" else text), True
    # names come in any script and direction: each stands on its own, whatever stands beside it
    return f"<bdi>{html.escape(escaped(value))}</bdi>", False
