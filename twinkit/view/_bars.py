"""The places that are served worst, as bars."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.view._figure import Figure, canvas, checked_language, drawn, number, said, written
from twinkit.view._table import MOST, column, part, tabled

__all__ = ["worst_served"]


def worst_served(table: xr.Dataset, *, title: str = "", language: str = "en") -> Figure:
    """Bars of the places with the least share of their people served.

    Parameters
    ----------
    table : Dataset (place)
        ``served``, ``population`` and ``name``: what `twinkit.city.worst_served` gives.
    title : str, optional
    language : str

    Returns
    -------
    Figure

    Errors
    ------
    TwinError
        The table lacks a variable, is empty, or the language is unknown.
    """
    checked_language(language)
    missing = [n for n in ("served", "population", "name") if not isinstance(table, xr.Dataset) or n not in table]
    if missing or table.sizes.get("place", 0) == 0:
        raise TwinError(
            "a table of places with served, population and name",
            found=f"no {', '.join(missing)}" if missing else "no place",
            hint="tk.city.worst_served(twin, tk.city.served(twin, covered)) gives one",
        )
    table = table.compute()
    names = [str(n) for n in table["name"].values]
    share = table["served"].values.astype(float)
    people = table["population"].values.astype(float)
    shares = [number(s, language=language, share=True) for s in share]
    crowds = [number(p, language=language) for p in people]
    named = [
        said("bar", language=language, name=n, share=s, people=p) for n, s, p in zip(names, shares, crowds, strict=True)
    ]
    between = "، " if language == "fa" else ", "
    alt = said("bars", language=language, count=number(len(names), language=language), list=between.join(named))
    made, settings = canvas(7.2, 1.0 + 0.34 * len(names), language=language)
    with settings:
        axes = made.add_subplot()
        at = np.arange(len(names))
        axes.barh(at, 100 * np.nan_to_num(share), color="#0072B2", height=0.62)
        axes.set_yticks(at, [f"{written(n)}  ({p})" for n, p in zip(names, crowds, strict=True)])
        axes.invert_yaxis()
        axes.set_xlim(0, 108)
        axes.set_xticks(range(0, 101, 20))
        for row, s, text in zip(at, share, shares, strict=True):
            axes.annotate(
                text,
                (100 * s, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color="0.2",
            )
        axes.set_xlabel(said("share_served", language=language))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(lambda v, _: number(v, language=language))
        heading = said("bars_heading", language=language)
        axes.set_title(f"{written(title)}\n{heading}" if title else heading, loc="left", fontsize=9.5)
        return drawn(made, alt, language, _rows(names, people, share, language), title)


def _rows(names: list[str], people: np.ndarray, share: np.ndarray, language: str) -> xr.Dataset:
    columns = {
        "name": column(names[:MOST], "name", language=language),
        "population": column(people[:MOST], "population", language=language),
        "served": column(share[:MOST], "served", language=language, share=True),
    }
    note = part(min(len(names), MOST), len(names), language)
    return tabled("place", columns, caption=said("caption_worst", language=language), note=note)
