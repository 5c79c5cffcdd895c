"""A sweep as a small table: what fits a terminal, and a word about what does not."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["table_of"]

WIDEST, LONGEST = 24, 20
"""Letters of a column, and runs that are shown."""


def table_of(result: xr.Dataset, *, width: int | None = None) -> str:
    """One line for each run: its parameters, then each result that is a single value.

    Parameters
    ----------
    result : Dataset
        As `twinkit.study.sweep` gives it.
    width : int, optional
        Letters in a line; by default those of the terminal.

    Examples
    --------
    >>> import xarray as xr
    >>> share = xr.DataArray([0.5, 0.75], dims="seed", coords={"seed": [1, 2]})
    >>> print(table_of(xr.Dataset({"share": share, "map": share.expand_dims(x=3)}), width=60))
    seed  share
       1    0.5
       2   0.75
    Not shown: map
    """
    axes = tuple(result["error"].dims) if "error" in result else next(iter(result.data_vars.values())).dims
    given = [str(n) for n in result.coords if result[n].dims and set(result[n].dims) <= set(axes)]
    single = [str(n) for n, array in result.data_vars.items() if array.dims == axes and n != "error"]
    failed = [str(n) for n in ("error",) if n in result and (result[n] != "").any()]
    rows = [
        [_said(result[name].isel({d: i for d, i in at.items() if d in result[name].dims}).item()) for name in columns]
        for columns in [[*given, *failed, *single]]
        for at in itertools.islice(_positions(result, axes), LONGEST)
    ]
    names = [*given, *failed, *single]
    columns = [[name[:WIDEST], *(row[i] for row in rows)] for i, name in enumerate(names)]
    widths = [max(map(len, column)) for column in columns]
    line, fitting = width or shutil.get_terminal_size().columns, 0
    while fitting < len(names) and sum(widths[: fitting + 1]) + 2 * fitting <= line:
        fitting += 1
    fitting = max(fitting, min(len(given) + 1, len(names)))
    lines = [
        "  ".join(cell.rjust(w) for cell, w in zip(row[:fitting], widths[:fitting], strict=True))
        for row in zip(*columns, strict=True)
    ]
    runs = 1
    for d in axes:
        runs *= result.sizes[d]
    if runs > LONGEST:
        lines.append(f"and {runs - LONGEST} more runs")
    left = names[fitting:] + [str(n) for n in result.data_vars if n not in {*names, "error"}]
    return "\n".join([*lines, f"Not shown: {', '.join(left)}"] if left else lines)


def _positions(result: xr.Dataset, axes: tuple[Any, ...]) -> Any:
    for at in itertools.product(*(range(result.sizes[d]) for d in axes)):
        yield dict(zip(axes, at, strict=True))


def _said(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value).replace("\n", " ")
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
