"""The tables behind maps: values and classes by their share of the area and of the people, and the largest places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError
from twinkit.view._figure import said
from twinkit.view._table import column, part, tabled, together
from twinkit.vocabulary import words

if TYPE_CHECKING:
    import xarray as xr

    from twinkit.view._furnish import Ground
    from twinkit.view._raster import Raster

__all__ = ["edges_of", "of_classes", "of_numbers", "of_truths", "served_at"]

PLACES = 30
"""Places of a table at most, the largest ones."""
BINS = 7


def edges_of(values: np.ndarray, *, threshold: float | None = None, powers: bool = False) -> np.ndarray:
    """Round edges of at most about seven classes that hold all finite values; the threshold is one of them.

    >>> edges_of(np.array([-131.0, -70.0]), threshold=-105)
    array([-131., -130., -120., -110., -105., -100.,  -90.,  -80.,  -70.])
    >>> edges_of(np.array([0.0, 300.0]), powers=True)
    array([  0.,   1.,  10., 100., 300.])
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if powers:
        top = math.floor(math.log10(high)) if high > 0 else 0
        inner = [10.0**p for p in range(top - 2, top + 1)]
    else:
        wish = (high - low) / BINS
        power = 10.0 ** math.floor(math.log10(wish)) if wish > 0 else 1.0
        step = next((m * power for m in (1, 2, 5, 10) if m * power >= wish), 1.0)
        inner = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)] if wish > 0 else []
    if threshold is not None:
        inner.append(threshold)
    return np.array([low, *sorted({e for e in inner if low < e < high}), high])


def of_numbers(
    values: np.ndarray,
    raster: Raster,
    ground: Ground,
    people: np.ndarray | None,
    *,
    threshold: float | None,
    about: tuple[str, str, str],
    language: str,
) -> xr.Dataset | None:
    """Values in classes and at the largest places; `about` is the layer's name, its label with unit, and its unit."""
    good = np.isfinite(values)
    if not good.any():
        return None
    name, what, unit = about
    edges = edges_of(values, threshold=threshold, powers=name == "people")
    # a value on an edge belongs below it, as what lies at a threshold is drawn grey
    place = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
    place = np.where(good, place, len(edges) - 1)
    lost = [] if good.all() else [math.nan]
    text = what.removesuffix(f" [{unit}]")
    columns = {"to": column([*edges[1:], *lost], language=language, unit=unit, text=_said("value_to", text, language))}
    columns |= _shares(place, len(edges) - 1 + len(lost), people, language)
    index = column([*edges[:-1], *lost], language=language, unit=unit, text=_said("value_from", text, language))
    table = tabled("class", columns, caption=said("caption_values", language=language), index=index)
    at = _values_at(ground, raster, values)
    # density is no word of the vocabulary: its label is the map's own
    known = words()[name].unit == unit if name in words() else False
    own = column(at, name if known else "", language=language, unit=unit, text="" if known else text)
    return together(table, _places(ground, {name if known else "value": own}, "caption_places", language))


def of_classes(
    raster: Raster, there: list[int], names: list[str], ground: Ground, people: np.ndarray | None, language: str
) -> xr.Dataset:
    place = np.full(raster.values.shape, len(there))
    for i, c in enumerate(there):
        place[raster.values == c] = i
    index = column(names, language=language, text=said("class_kind", language=language))
    shares = _shares(place, len(there), people, language)
    table = tabled("class", shares, caption=said("caption_values", language=language), index=index)
    codes = _values_at(ground, raster, raster.values)
    unknown = said("unknown_value", language=language)
    called = [names[there.index(int(c))] if np.isfinite(c) and int(c) in there else unknown for c in codes]
    own = column(np.array(called, dtype=object), language=language, text=said("class_kind", language=language))
    return together(table, _places(ground, {"class_at": own}, "caption_places", language))


def of_truths(
    area: dict[str, float],
    counts: dict[str, float] | None,
    everybody: float,
    ground: Ground,
    served: dict[str, np.ndarray],
    language: str,
) -> xr.Dataset:
    """What is true of which share of the area and of how many people, and the share of each of the largest places."""
    columns = {
        "area_share": column(
            list(area.values()), language=language, text=said("share_area", language=language), share=True
        )
    }
    if counts is not None:
        numbers = np.array([counts[k] for k in area])
        share = numbers / everybody if everybody else numbers * math.nan
        columns["people_share"] = column(
            share, language=language, text=said("share_people", language=language), share=True
        )
        text = said("people_in", language=language)
        columns["people_in"] = column(numbers, language=language, text=text, unit="people")
    caption = said("caption_coverage", language=language)
    index = column(list(area), language=language, text=said("class_kind", language=language))
    table = tabled("class", columns, caption=caption, index=index)
    own = {
        key: column(
            values,
            "served" if key == "served" else "",
            language=language,
            text="" if key == "served" else said(key, language=language),
            share=True,
        )
        for key, values in served.items()
    }
    return together(table, _places(ground, own, "caption_served", language)) if own else table


def served_at(twin: Any, truth: xr.DataArray) -> np.ndarray | None:
    """Share of the people of every place for whom it is true; None where the twin cannot tell."""
    from twinkit import city

    try:
        return np.asarray(city.served(twin, truth).values, dtype=float)
    except (TwinError, KeyError):  # no people, no population, places off the map: a map is drawn all the same
        return None


def _said(key: str, what: str, language: str) -> str:
    return said(key, language=language, what=what)


def _shares(place: np.ndarray, count: int, people: np.ndarray | None, language: str) -> dict[str, xr.Variable]:
    """Share of the area in each class, and people with their share where they are known."""
    area = np.bincount(place.ravel(), minlength=count)[:count] / place.size
    columns = {"area_share": column(area, language=language, text=said("share_area", language=language), share=True)}
    if people is not None:
        living = np.nan_to_num(people.astype(float))
        numbers = np.bincount(place.ravel(), weights=living.ravel(), minlength=count)[:count]
        text = said("share_people", language=language)
        columns["people_share"] = column(numbers / (living.sum() or math.nan), language=language, text=text, share=True)
        text = said("people_in", language=language)
        columns["people_in"] = column(numbers, language=language, text=text, unit="people")
    return columns


def _values_at(ground: Ground, raster: Raster, values: np.ndarray) -> np.ndarray:
    """The value of the pixel in which each place lies; NaN off the map."""
    at = np.full(len(ground.names), np.nan)
    left, right, bottom, top = raster.extent
    rows, columns = values.shape
    with np.errstate(invalid="ignore"):
        x = np.floor((ground.at[:, 0] - left) / (right - left) * columns)
        y = np.floor((ground.at[:, 1] - bottom) / (top - bottom) * rows)
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    at[inside] = values[y[inside].astype(int), x[inside].astype(int)]
    return at


def _places(ground: Ground, columns: dict[str, xr.Variable], caption: str, language: str) -> xr.Dataset | None:
    """The largest places with what was found there; None where the twin has none."""
    if not ground.names:
        return None
    order = np.argsort(-np.nan_to_num(ground.weight), kind="stable")[:PLACES]
    made = {
        "name": column([ground.names[i] for i in order], "name", language=language),
        "population": column(ground.weight[order], "population", language=language),
    }
    if not ground.counted:
        del made["population"]
    made |= {k: type(c)(c.dims, c.values[order], c.attrs) for k, c in columns.items()}
    note = part(len(order), len(ground.names), language)
    return tabled("place", made, caption=said(caption, language=language), note=note)
