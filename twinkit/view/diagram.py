"""The diagram of a network: sites where they stand, links in the colour of what they carry or risk."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError, escaped
from twinkit.view._figure import Figure, canvas, checked_language, drawn, number, said, written
from twinkit.view._table import MOST, column, part, tabled
from twinkit.vocabulary import label, words

__all__ = ["network_diagram"]

NAMED = 8
"""Links with the largest values whose ends are named."""


def network_diagram(
    twin: xr.DataTree, values: xr.DataArray | None = None, *, title: str = "", language: str = "en"
) -> Figure:
    """Sites and links of a twin, each link in the colour and width of its value; the largest are named.

    Sites without a place on the map stand on a circle about the others, so that no link is lost.

    Parameters
    ----------
    twin : DataTree
        ``sites`` with x and y [m] and ``links`` with source and target; hundreds of links are readable.
    values : DataArray (link), optional
        Load, capacity, people cut off: what `network` and `resilience` give. Left out, the links are grey.
    title : str, optional
    language : str
        en, hi, fr or fa.

    Returns
    -------
    Figure

    Errors
    ------
    TwinError
        No sites or links, a link to a site that is not there, values of other links, or an unknown language.

    Examples
    --------
    >>> import twinkit as tk
    >>> sites = xr.Dataset({"x": ("site", [0.0, 9e3]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> ends = {"source": ("link", ["a"]), "target": ("link", ["b"])}
    >>> twin = tk.assemble({"sites": sites, "links": xr.Dataset(ends, {"link": ["ab"]})}, title="two", crs="EPSG:32643")
    >>> network_diagram(twin).alt
    'Diagram of a network of 2 sites and 1 links.'
    """
    checked_language(language)
    at, ends, ids = _parts(twin)
    amounts = _amounts(values, ids)
    alt = said(
        "network",
        language=language,
        sites=number(len(at), language=language),
        links=number(len(ids), language=language),
    )
    names = [str(n) for n in twin.children["sites"]["site"].to_numpy()]
    what = ""
    order = np.empty(0, int)
    if amounts is not None and np.isfinite(amounts).any():
        name = str(values.name or "") if values is not None else ""
        what = label(name, language=language) if name in words() else (name or said("fan_value", language=language))
        order = np.argsort(np.where(np.isfinite(amounts), -amounts, np.inf), kind="stable")[:NAMED]
        order = order[np.isfinite(amounts[order])]
        most = order[0]
        alt += " " + said(
            "network_values", language=language, what=what,
            low=number(float(np.nanmin(amounts)), language=language),
            high=number(float(np.nanmax(amounts)), language=language),
            link=escaped(ids[most]), source=escaped(names[ends[most, 0]]), target=escaped(names[ends[most, 1]]),
        )  # fmt: skip
    made, settings = canvas(7.2, 5.4, language=language)
    with settings:
        from matplotlib.collections import LineCollection

        axes = made.add_subplot()
        if amounts is None or not what:
            axes.add_collection(LineCollection(list(at[ends]), colors="0.55", linewidths=1.2))
        else:
            known = np.isfinite(amounts)
            if not known.all():
                lost = at[ends[~known]]
                axes.add_collection(LineCollection(list(lost), colors="0.75", linewidths=1.0, linestyles="dotted"))
            # what is large lies above what is small
            rank = np.flatnonzero(known)[np.argsort(amounts[known], kind="stable")]
            shown = amounts[rank]
            # thickness says again what colour says, for those who see none; the thinnest still shows
            share = (shown - shown[0]) / (shown[-1] - shown[0]) if shown[-1] > shown[0] else np.ones(len(shown))
            drawn_links = LineCollection(list(at[ends[rank]]), cmap="cividis_r", linewidths=list(1.0 + 4.0 * share))
            drawn_links.set_array(shown)
            drawn_links.set_zorder(2)
            axes.add_collection(drawn_links)
            bar = made.colorbar(drawn_links, ax=axes, shrink=0.75, pad=0.02)
            bar.set_label(written(what))
            bar.ax.yaxis.set_major_formatter(lambda v, _: number(v, language=language))
        size = float(np.clip(2400 / max(1, len(at)), 6.0, 42.0))
        axes.scatter(*at.T, s=size, c="white", edgecolors="black", linewidths=0.9, zorder=4)
        _named(axes, at, [names[i] for i in dict.fromkeys(ends[order].ravel().tolist())], names)
        axes.set_aspect("equal")
        axes.margins(0.08)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        if title:
            axes.set_title(written(title), loc="right" if language == "fa" else "left", fontsize=9.5)
        table = _rows(values if what else None, amounts, (names, ends, ids), language)
        return drawn(made, alt, language, table, title)


def _rows(
    values: xr.DataArray | None, amounts: np.ndarray | None, parts: tuple[list[str], np.ndarray, list[str]],
    language: str,
) -> xr.Dataset:  # fmt: skip
    """The links with their ends and what they carry, the largest first; links without a value come last."""
    names, ends, ids = parts
    order = np.arange(len(ids))
    if values is not None and amounts is not None:
        order = np.argsort(np.where(np.isfinite(amounts), -amounts, np.inf), kind="stable")
    order = order[:MOST]
    columns = {
        key: column([names[ends[i, side]] for i in order], key, language=language)
        for side, key in enumerate(("source", "target"))
    }
    if values is not None and amounts is not None:
        name = str(values.name or "") or "value"
        text = "" if name in words() else str(values.attrs.get("long_name") or name)
        unit = str(values.attrs.get("units", "1"))
        columns[name] = column(amounts[order], name, language=language, text=text, unit=unit)
    caption = said("caption_links" if values is None else "caption_links_first", language=language)
    note = part(len(order), len(ids), language)
    return tabled(
        "link", columns, caption=caption, note=note, index=column([ids[i] for i in order], "link", language=language)
    )


def _named(axes: Any, at: np.ndarray, wanted: list[str], names: list[str]) -> None:
    """Ids beside the ends of the largest links, each where it hides no other; those without room are left out."""
    from matplotlib.patheffects import withStroke

    axes.autoscale_view()
    axes.figure.draw_without_rendering()
    renderer = axes.figure.canvas.get_renderer()
    taken: list[Any] = []
    for name in wanted:
        for dx, dy, across, along in ((5, 3, "left", "bottom"), (-5, -3, "right", "top"), (5, -3, "left", "top")):
            text = axes.annotate(
                written(escaped(name)), at[names.index(name)], xytext=(dx, dy), textcoords="offset points", ha=across,
                va=along, fontsize=8, zorder=6,
            )  # fmt: skip
            text.set_path_effects([withStroke(linewidth=2.4, foreground="white")])
            box = text.get_window_extent(renderer).padded(1.0).extents
            if not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                taken.append(box)
                break
            text.remove()


def _parts(twin: Any) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Where the sites stand, the positions of the ends of each link, and the links' ids."""
    if not isinstance(twin, xr.DataTree) or not {"sites", "links"} <= set(twin.children):
        raise TwinError(
            "a twin with sites and links",
            found=", ".join(map(str, getattr(twin, "children", {}))) or type(twin).__name__,
            hint="tk.network.sndlib(path), tk.network.graphml(path) or tk.datasets.region(...) give one",
        )
    sites, links = (twin.children[n].to_dataset(inherit=False) for n in ("sites", "links"))
    place = {str(n): i for i, n in enumerate(sites["site"].values)}
    ends = np.array([[place.get(str(n), -1) for n in links[e].values] for e in ("source", "target")]).T.reshape(-1, 2)
    ids = [str(n) for n in links["link"].values]
    if not ids or (ends < 0).any():
        lost = [i for i, e in zip(ids, ends, strict=True) if (e < 0).any()]
        raise TwinError(
            "links between sites of the twin",
            found=f"link {escaped(lost[0])} to a site that is not there" if lost else "no link",
            hint="tk.validate(twin) names what is wrong",
        )
    at = np.full((len(place), 2), np.nan)
    for axis, name in enumerate(("x", "y")):
        if name in sites:
            at[:, axis] = np.asarray(sites[name].values, float)
    lost_sites = ~np.isfinite(at).all(axis=1)
    if lost_sites.any():
        middle = np.nanmean(at[~lost_sites], axis=0) if (~lost_sites).any() else np.zeros(2)
        reach = np.nanmax(np.abs(at[~lost_sites] - middle)) if (~lost_sites).any() else 1.0
        turn = 2 * np.pi * np.arange(int(lost_sites.sum())) / int(lost_sites.sum())
        at[lost_sites] = middle + 1.25 * max(reach, 1.0) * np.column_stack([np.cos(turn), np.sin(turn)])
    return at, ends, ids


def _amounts(values: Any, ids: list[str]) -> np.ndarray | None:
    if values is None:
        return None
    if (
        not isinstance(values, xr.DataArray)
        or values.dims != ("link",)
        or set(ids) != set(map(str, values.link.values))
    ):
        raise TwinError(
            "one value for each link of the twin",
            found=f"dims {tuple(map(str, values.dims))}" if isinstance(values, xr.DataArray) else type(values).__name__,
            hint="choose one time, scenario or draw: values.isel(time=0)",
            where="values",
        )
    return np.asarray(values.sel(link=ids).values, float)
