"""Maps: one layer, coverage, and coverage before and after."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError, escaped
from twinkit.view._figure import Figure, canvas, checked_language, drawn, number, said, written
from twinkit.view._furnish import COVERED, GREY, NEW, Ground, furnish, ground_of, legend, titled
from twinkit.view._map_table import of_classes, of_numbers, of_truths, served_at
from twinkit.view._raster import Raster, thinned
from twinkit.vocabulary import label, words

__all__ = ["before_after", "coverage", "map_of"]

CLASSES = ("#BBBBBB", "#0072B2", "#F3E9BE", "#E69F00", "#009E73", "#882255")
SPAN_OF_PEOPLE = 1e4
"""A map of people shows four powers of ten: below the smallest nobody is seen."""


def map_of(
    layer: xr.DataArray,
    *,
    twin: xr.DataTree | None = None,
    new: xr.Dataset | None = None,
    threshold: float | None = None,
    title: str = "",
    labels: int = 8,
    language: str = "en",
) -> Figure:
    """A map of one layer, with its unit, a scale bar, and the twin's masts and places.

    Parameters
    ----------
    layer : DataArray (y, x)
        Numbers are drawn in colours that every colour vision tells apart, people as people/km² by powers of ten,
        classes (``clutter``) and truths with a legend. Lazy arrays are computed a block at a time and thinned.
    twin : DataTree, optional
        Its sites are marked, its largest places named, its ground shades a map of truths.
    new : Dataset with x, y, optional
        Sites to be built, marked with numbers in their order.
    threshold : float, optional
        In the layer's unit: what lies at or below it is drawn grey.
    title : str, optional
    labels : int
        Places named at most; those that would hide another are left out.
    language : str
        en, hi, fr or fa.

    Returns
    -------
    Figure

    Errors
    ------
    TwinError
        Not a map, an unknown language, or matplotlib is not installed.

    Examples
    --------
    >>> people = xr.DataArray([[0.0, 40.0]], dims=("y", "x"), coords={"y": [0.0], "x": [0.0, 1e3]}, name="people")
    >>> map_of(people).alt[:64]
    'Map of people who live there [people/km²], 2 by 1 km. Values fro'
    """
    checked_language(language)
    if isinstance(layer, xr.DataArray) and layer.dtype.kind == "b":
        return coverage(layer, twin=twin, new=new, title=title, labels=labels, language=language)
    name = str(layer.name) if isinstance(layer, xr.DataArray) else ""
    classes = name == "clutter" or (isinstance(layer, xr.DataArray) and "flag_meanings" in layer.attrs)
    own = [] if name == "people" or (everybody := _people(twin, layer)) is None else [everybody]
    raster, *more = thinned(layer, *own, means=(not classes, *[True] * len(own)))
    living = more[0] if more else raster if name == "people" else None
    # means of the pixels that became one; people are a sum
    people = living.values * living.factor**2 if living is not None else None
    ground = ground_of(twin, raster, relief=threshold is not None)
    what = _what(layer, language)
    alt = [_said_map(raster, what, language)]
    made, settings = canvas(*_size(raster, 1), language=language)
    with settings:
        axes = made.add_subplot()
        table: xr.Dataset | None
        if classes:
            told, table = _draw_classes(made, axes, raster, layer, (ground, people), language)
        else:
            told, table = _draw_numbers(made, axes, raster, layer, what, (threshold, ground, people), language)
        alt += told + furnish(axes, raster, ground, new, labels, language)
        titled(axes, title, language)
        return drawn(made, " ".join(alt), language, table, title)


def coverage(
    covered: xr.DataArray,
    *,
    twin: xr.DataTree | None = None,
    new: xr.Dataset | None = None,
    title: str = "",
    labels: int = 8,
    language: str = "en",
) -> Figure:
    """A map of where something is true, over the shape of the ground.

    Parameters
    ----------
    covered : DataArray (y, x), truth
        ``coverage.rsrp > -105``.
    twin, new, title, labels, language
        As for `map_of`. With people in the twin the alt text and the legend count people, not pixels.

    Returns
    -------
    Figure

    Errors
    ------
    TwinError
        As `map_of`; not truths.
    """
    checked_language(language)
    people = _people(twin, covered)
    raster, counts = _counted([_truth(covered)], people)
    ground = ground_of(twin, raster[0], relief=True)
    made, settings = canvas(*_size(raster[0], 1), language=language)
    size = {
        k: number(v / 1e3, language=language) for k, v in (("width", raster[0].width), ("height", raster[0].height))
    }
    if people is None:
        alt = [_said_map(raster[0], said("covered", language=language), language)]
        alt.append(said("area", language=language, share=number(counts[0], language=language, share=True)))
    else:
        everybody = counts[-1]
        share = number(counts[0] / everybody if everybody else math.nan, language=language, share=True)
        alt = [said("coverage", language=language, share=share, people=number(everybody, language=language), **size)]
    with settings:
        axes = made.add_subplot()
        _draw_truths(axes, raster[0], [(raster[0].values, COVERED)], ground)
        alt += furnish(axes, raster[0], ground, new, labels, language)
        legend(axes, ["covered", "not_covered"], ground, new, language)
        titled(axes, title, language)
        keys = [said(k, language=language) for k in ("covered", "not_covered")]
        area = float(np.nanmean(raster[0].values))
        numbers = None if people is None else dict(zip(keys, (counts[0], counts[-1] - counts[0]), strict=True))
        served = {"served": found} if people is not None and (found := served_at(twin, covered)) is not None else {}
        table = of_truths(dict(zip(keys, (area, 1 - area), strict=True)), numbers, counts[-1], ground, served, language)
        return drawn(made, " ".join(alt), language, table, title)


def before_after(
    before: xr.DataArray,
    after: xr.DataArray,
    *,
    twin: xr.DataTree | None = None,
    new: xr.Dataset | None = None,
    labels: int = 6,
    language: str = "en",
) -> Figure:
    """Where something is true before and after a change: two maps of one scale, the gain in a colour of its own.

    Parameters
    ----------
    before, after : DataArray (y, x), truth
        ``coverage.rsrp > -105`` of the twin as it is and of the twin with the new sites.
    twin, new, labels, language
        As for `map_of`. With people in the twin, people are counted.

    Returns
    -------
    Figure

    Errors
    ------
    TwinError
        As `map_of`; not truths, or on different grids.
    """
    checked_language(language)
    people = _people(twin, before)
    rasters, counts = _counted([_truth(before), _truth(after)], people)
    first, second = rasters
    ground = ground_of(twin, first, relief=True)
    size = _kilometres(first, language)
    everybody = counts[-1] if people is not None else 1.0
    share = [number(c / everybody if everybody else math.nan, language=language, share=True) for c in counts[:2]]
    if people is None:
        alt = [said("before_after_area", language=language, before=share[0], after=share[1], **size)]
    else:
        more = {"people": everybody, "gained": counts[1] - counts[0], "left": everybody - counts[1]}
        told = {k: number(v, language=language) for k, v in more.items()}
        alt = [said("before_after", language=language, before=share[0], after=share[1], **size, **told)]
    made, settings = canvas(*_size(first, 2), language=language)
    gained = np.clip(second.values - first.values, 0, 1)
    with settings:
        left, right = made.subplots(1, 2)
        _draw_truths(left, first, [(first.values, COVERED)], ground)
        furnish(left, first, ground, None, labels, language)
        titled(left, f"{said('before', language=language)}: {share[0]}", language)
        _draw_truths(right, first, [(np.minimum(first.values, second.values), COVERED), (gained, NEW)], ground)
        alt += furnish(right, first, ground, new, labels, language)
        titled(right, f"{said('after', language=language)}: {share[1]}", language)
        legend(right, ["covered", "newly_covered", "not_covered"], ground, new, language)
        table = _change(twin, (before, after), rasters, counts if people is not None else None, ground, language)
        return drawn(made, " ".join(alt), language, table)


def _change(
    twin: xr.DataTree | None,
    truths: tuple[xr.DataArray, xr.DataArray],
    rasters: list[Raster],
    counts: list[float] | None,
    ground: Ground,
    language: str,
) -> xr.Dataset:
    """Covered before and after, of the area, of the people, and of each of the largest places."""
    keys = [f"{said('covered', language=language)}: {said(k, language=language)}" for k in ("before", "after")]
    area = {k: float(np.nanmean(r.values)) for k, r in zip(keys, rasters, strict=True)}
    if counts is None:
        return of_truths(area, None, 0.0, ground, {}, language)
    found = [served_at(twin, t) for t in truths]
    served = {k: f for k, f in zip(("served_before", "served_after"), found, strict=True) if f is not None}
    return of_truths(area, dict(zip(keys, counts[:2], strict=True)), counts[-1], ground, served, language)


# ---------------------------------------------------------------- numbers about maps


def _truth(array: xr.DataArray) -> xr.DataArray:
    if not isinstance(array, xr.DataArray) or array.dtype.kind != "b":
        raise TwinError(
            "a map of truths",
            found=f"{array.dtype} values" if isinstance(array, xr.DataArray) else f"a {type(array).__name__}",
            hint="compare it with a threshold: coverage.rsrp > -105",
        )
    return array


def _people(twin: xr.DataTree | None, like: xr.DataArray) -> xr.DataArray | None:
    if twin is None or "surface" not in twin.children or "people" not in twin.children["surface"].data_vars:
        return None
    people = twin.children["surface"].to_dataset(inherit=False)["people"]
    return people if isinstance(like, xr.DataArray) and dict(people.sizes) == dict(like.sizes) else None


def _counted(truths: list[xr.DataArray], people: xr.DataArray | None) -> tuple[list[Raster], list[float]]:
    """Pictures of the truths, and how many people each holds with everybody last, or their share of the area."""
    import dask

    rasters = thinned(*(t.astype(np.float32) for t in truths))
    if people is None:
        sums: list[Any] = [t.mean() for t in truths]
    else:
        known = people.fillna(0.0).astype(float)
        sums = [known.where(t.transpose(*people.dims), 0.0).sum() for t in truths] + [known.sum()]
    return rasters, [float(s) for s in dask.compute(*sums)]


def _what(layer: xr.DataArray, language: str) -> str:
    name = str(layer.name)
    if name == "people":
        return said("density", language=language)
    if name in words():
        # of classes the legend tells the rest
        return label(name, language=language).partition(":")[0]
    meaning, unit = escaped(layer.attrs.get("long_name") or name), escaped(layer.attrs.get("units", "1"))
    return meaning if unit == "1" else f"{meaning} [{unit}]"


def _said_map(raster: Raster, what: str, language: str) -> str:
    return said("map", language=language, what=what, **_kilometres(raster, language))


def _kilometres(raster: Raster, language: str) -> dict[str, str]:
    """Width and height of a map, as text [km]."""
    return {k: number(getattr(raster, k) / 1e3, language=language) for k in ("width", "height")}


def _direction(values: np.ndarray, language: str) -> str:
    """In which part of the map the largest value lies."""
    row, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    up, right = (row + 0.5) / values.shape[0], (column + 0.5) / values.shape[1]
    where = ("n" if up > 2 / 3 else "s" if up < 1 / 3 else "") + (
        "e" if right > 2 / 3 else "w" if right < 1 / 3 else ""
    )
    return said(f"where_{where or 'middle'}", language=language)


# ---------------------------------------------------------------- drawing


def _size(raster: Raster, panels: int) -> tuple[float, float]:
    """Inches of a figure whose maps keep their shape, however long or flat the region is."""
    ratio = min(max(raster.height / raster.width, 0.35), 2.2)
    if panels == 1:
        width = 7.6 if ratio <= 1.1 else 8.3 / ratio
        return width, (width - 1.3) * ratio + 0.6
    return 10.6, 5.2 * ratio + 0.75


def _draw_numbers(
    made: Any,
    axes: Any,
    raster: Raster,
    layer: xr.DataArray,
    what: str,
    around: tuple[float | None, Ground, np.ndarray | None],
    language: str,
) -> tuple[list[str], xr.Dataset | None]:
    from matplotlib.colors import LogNorm, Normalize, to_rgb
    from matplotlib.patches import Patch

    threshold, ground, people = around
    relief = ground.relief
    values = raster.values.astype(float)
    if str(layer.name) == "people":
        pixel = abs(float(layer.x[1] - layer.x[0])) if layer.sizes["x"] > 1 else raster.width
        values = values / (pixel / 1e3) ** 2
    unit = what.rpartition("[")[2].rstrip("]") if what.endswith("]") else ""
    good = np.isfinite(values)
    if not good.any():
        axes.imshow(np.full((1, 1), 0.85), cmap="gray", vmin=0, vmax=1, extent=raster.extent)
        return [said("empty", language=language)], None
    low, high, median = (float(f(values[good])) for f in (np.min, np.max, np.median))
    told = {k: number(v, language=language) for k, v in (("low", low), ("high", high), ("median", median))}
    alt = [said("range", language=language, where=_direction(values, language), **told)]
    norm: Any
    colours = "cividis"
    if str(layer.name) == "people":
        top = max(high, 1.0)
        norm, colours = LogNorm(vmin=top / SPAN_OF_PEOPLE, vmax=top), "viridis"
        shown = np.where(values > top / SPAN_OF_PEOPLE, values, np.nan)
    else:
        bottom, top = (float(np.percentile(values[good], p)) for p in (1, 99))
        if threshold is not None:
            bottom = threshold
        norm = Normalize(vmin=bottom, vmax=max(top, bottom + 1e-9))
        shown = values
    if threshold is not None:
        # where no cell has an answer nothing is received either
        grey = ~(values > threshold)
        picture = np.ones((*values.shape, 3)) * to_rgb(GREY)
        if relief is not None:
            picture *= relief[..., None]
        axes.imshow(np.clip(picture, 0, 1), origin="lower", extent=raster.extent, interpolation="nearest", zorder=0)
        limit = number(threshold, language=language, unit=unit)
        share = number(float(grey.mean()), language=language, share=True)
        alt.append(said("below" if good.all() else "below_or_unknown", language=language, share=share, threshold=limit))
        shown = np.where(grey, np.nan, shown)
        text = said("none_below", language=language, threshold=limit)
        made.legend(handles=[Patch(color=GREY, label=text)], loc="outside lower center", frameon=False)
    elif not good.all():
        share = number(float((~good).mean()), language=language, share=True)
        alt.append(said("unknown", language=language, share=share))
    axes.set_facecolor("#440154" if colours == "viridis" else "white")
    picture = axes.imshow(
        shown, origin="lower", extent=raster.extent, cmap=colours, norm=norm, interpolation="nearest", zorder=1
    )
    extend = "neither" if str(layer.name) == "people" else "both" if threshold is None else "max"
    bar = made.colorbar(picture, ax=axes, shrink=0.82, pad=0.02, extend=extend, aspect=28)
    bar.set_label(written(what))
    bar.ax.yaxis.set_major_formatter(lambda v, _: number(v, language=language))
    bar.ax.yaxis.set_minor_formatter(lambda *_: "")
    about = (str(layer.name or ""), what, unit)
    return alt, of_numbers(values, raster, ground, people, threshold=threshold, about=about, language=language)


def _draw_classes(
    made: Any,
    axes: Any,
    raster: Raster,
    layer: xr.DataArray,
    around: tuple[Ground, np.ndarray | None],
    language: str,
) -> tuple[list[str], xr.Dataset]:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    there = [int(c) for c in np.unique(raster.values[np.isfinite(raster.values.astype(float))])]
    position = np.searchsorted(there, np.nan_to_num(raster.values.astype(float), nan=there[0]))
    colours = [CLASSES[c % len(CLASSES)] for c in there]
    axes.imshow(
        position,
        origin="lower",
        extent=raster.extent,
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(there) - 0.5,
        interpolation="nearest",
    )
    meanings = str(layer.attrs.get("flag_meanings", "")).split()
    values = [int(v) for v in np.atleast_1d(layer.attrs.get("flag_values", range(len(meanings))))]
    flags = {v: escaped(m.replace("_", " ")) for v, m in zip(values, meanings, strict=False)}
    names, alt = [], []
    for c in there:
        own = layer.name == "clutter" and 0 <= c <= 5
        names.append(said(f"clutter_{c}", language=language) if own else flags.get(c, str(c)))
        share = number(float((raster.values == c).mean()), language=language, share=True)
        alt.append(said("class", language=language, name=names[-1], share=share))
    patches = [Patch(color=k, label=written(n)) for k, n in zip(colours, names, strict=True)]
    made.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 4), frameon=False)
    return alt, of_classes(raster, there, names, *around, language)


def _draw_truths(axes: Any, raster: Raster, parts: list[tuple[np.ndarray, str]], ground: Ground) -> None:
    """Shares of each pixel in their colours over grey, darkened where the ground lies in shade."""
    from matplotlib.colors import to_rgb

    picture = np.empty((*raster.values.shape, 3))
    picture[:] = to_rgb(GREY)
    for share, colour in parts:
        weight = np.nan_to_num(share)[..., None]
        picture = picture * (1 - weight) + np.array(to_rgb(colour)) * weight
    if ground.relief is not None:
        picture *= ground.relief[..., None]
    axes.imshow(np.clip(picture, 0, 1), origin="lower", extent=raster.extent, interpolation="nearest")
