"""The fan chart: what is expected over time, with the band in which it may lie, and what was read."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.view._figure import Figure, canvas, checked_language, drawn, number, said, written
from twinkit.view._table import column, few, moment, tabled, together
from twinkit.vocabulary import label, words

__all__ = ["fan_chart"]

# Okabe and Ito's blue for what is believed, vermilion for what was read
LINE, SEEN = "#0072B2", "#D55E00"
HELD = (0.5, 0.9)
"""Shares of the draws or members inside a band; a fan of quantiles has the bands that its quantiles give."""


def fan_chart(
    expected: xr.DataArray,
    *,
    seen: xr.DataArray | None = None,
    title: str = "",
    language: str = "en",
) -> Figure:
    """A forecast or an estimate over time: its middle, the bands about it, and the readings.

    Parameters
    ----------
    expected : DataArray (time and one of quantile, member, draw)
        Quantiles stand in pairs about the median (0.05, 0.5, 0.95); of members and draws the bands hold half and nine
        of ten.
    seen : DataArray (time), optional
        Readings, in the same unit.
    title : str, optional
    language : str
        en, hi, fr or fa.

    Returns
    -------
    Figure

    Errors
    ------
    TwinError
        Not time and one such dim, quantiles without their partner, nothing to draw, or an unknown language.

    Examples
    --------
    >>> time = np.datetime64("2026-03-01", "h") + np.arange(24)
    >>> values = 0.5 + np.array([-0.2, 0.0, 0.2])[:, None] * np.ones(24)
    >>> coords = {"quantile": [0.05, 0.5, 0.95], "time": time.astype("M8[ns]")}
    >>> fan_chart(xr.DataArray(values, coords, ("quantile", "time"), name="load")).alt[:38]
    "Fan chart of share of the cell's radio"
    """
    checked_language(language)
    low, middle, high, shares, time = _bands(expected)
    what = _named(expected, language)
    hours = (time - time[0]) / np.timedelta64(1, "h")
    readings = _readings(seen, time)
    top = int(np.nanargmax(middle))
    held = number(100 * shares[-1], language=language, unit="%")
    alt = said(
        "fan", language=language, what=what, start=moment(time[0], language), end=moment(time[-1], language),
        peak=number(float(middle[top]), language=language), when=moment(time[top], language),
        low=number(float(low[-1][top]), language=language), high=number(float(high[-1][top]), language=language),
        band=held,
    )  # fmt: skip
    if readings is not None:
        at, values = readings
        inside = (values >= np.interp(at, hours, low[-1])) & (values <= np.interp(at, hours, high[-1]))
        alt += " " + said(
            "fan_seen", language=language, count=number(len(values), language=language),
            share=number(float(inside.mean()), language=language, share=True),
        )  # fmt: skip
    made, settings = canvas(7.6, 3.6, language=language)
    with settings:
        axes = made.add_subplot()
        for i in reversed(range(len(shares))):
            text = said("fan_band", language=language, band=number(100 * shares[i], language=language, unit="%"))
            shade = 0.18 + 0.17 * (len(shares) - 1 - i) / max(1, len(shares) - 1)
            axes.fill_between(hours, low[i], high[i], color=LINE, alpha=shade, linewidth=0, label=text)
        axes.plot(hours, middle, color=LINE, lw=1.8, label=said("fan_middle", language=language))
        if readings is not None:
            axes.plot(*readings, ".", ms=4, color=SEEN, label=said("fan_reading", language=language), zorder=4)
        axes.set_xlim(0, max(float(hours[-1]), 1e-9))
        axes.set_xlabel(said("fan_hours", language=language, start=moment(time[0], language)))
        axes.set_ylabel(written(what))
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda v, _: number(v, language=language))
        made.legend(loc="outside lower center", ncols=2, frameon=False)
        if title:
            axes.set_title(written(title), loc="left", fontsize=9.5)
        table = _rows(expected, (low, middle, high, shares, time), readings, what, language)
        return drawn(made, alt, language, table, title)


def _rows(
    expected: xr.DataArray, bands: tuple[Any, ...], readings: tuple[np.ndarray, np.ndarray] | None, what: str,
    language: str,
) -> xr.Dataset:  # fmt: skip
    """The middle and the edges of each band over time, and the readings."""
    low, middle, high, shares, time = bands
    unit = _unit(expected)
    rows, note = few(len(time), language=language, keep=(int(np.nanargmax(middle)),))
    columns = {"middle": column(middle[rows], language=language, text=said("fan_middle", language=language), unit=unit)}
    for i, share in enumerate(shares):
        band = number(100 * share, language=language, unit="%")
        for key, edges in (("low", low), ("high", high)):
            text = said(f"cases_{key}", language=language, band=band)
            columns[f"{key}_{100 * share:.0f}"] = column(edges[i][rows], language=language, text=text, unit=unit)
    when = column(time[rows], language=language, text=said("moment", language=language))
    caption = said("caption_fan", language=language, what=what)
    table = tabled("time", columns, caption=caption, note=note, index=when)
    if readings is None:
        return table
    hours, values = readings
    rows, note = few(len(values), language=language)
    at = time[0] + (hours[rows] * 3.6e12).astype("m8[ns]")
    text = said("fan_reading", language=language)
    columns = {"reading": column(values[rows], language=language, text=text, unit=unit)}
    when = column(at, language=language, text=said("moment", language=language))
    caption = said("caption_readings", language=language, what=what)
    return together(table, tabled("read", columns, caption=caption, note=note, index=when))


def _unit(array: xr.DataArray) -> str:
    name = str(array.name or "")
    return words()[name].unit if name in words() else str(array.attrs.get("units", "1"))


def _bands(expected: Any) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray], list[float], np.ndarray]:
    """Lower edges, middle and upper edges, from the innermost band to the outermost, and the share in each."""
    across = [d for d in getattr(expected, "dims", ()) if d in ("quantile", "member", "draw")]
    if not isinstance(expected, xr.DataArray) or len(across) != 1 or set(expected.dims) != {"time", *across}:
        raise TwinError(
            "values over time and one of quantile, member, draw",
            found=f"dims {tuple(map(str, expected.dims))}" if hasattr(expected, "dims") else type(expected).__name__,
            hint="choose one cell, site or place: expected.sel(cell='...')",
            where="expected",
        )
    if expected.size == 0 or expected["time"].dtype.kind != "M":
        raise TwinError(
            "at least one moment, as datetimes",
            found=f"{expected.sizes['time']} of {expected['time'].dtype}",
            hint="dates belong on the dim time",
            where="expected",
        )
    values = np.asarray(expected.transpose(across[0], "time").values, float)
    time = expected["time"].values.astype("M8[ns]")
    if np.any(np.diff(time) <= np.timedelta64(0, "ns")) or not np.isfinite(values).any():
        raise TwinError(
            "numbers at moments that follow each other",
            found="times that stand still or go back" if np.isfinite(values).any() else "NaN alone",
            hint="expected.sortby('time')",
            where="expected",
        )
    if across[0] != "quantile":
        edges = [((1 - s) / 2, (1 + s) / 2) for s in HELD]
        low, high = ([np.nanquantile(values, e[i], axis=0) for e in edges] for i in (0, 1))
        return low, np.nanmedian(values, axis=0), high, list(HELD), time
    levels = np.asarray(expected["quantile"].values, float)
    order = np.argsort(levels)
    levels, values = levels[order], values[order]
    if len(levels) < 3 or len(levels) % 2 == 0 or not np.allclose(levels + levels[::-1], 1):
        raise TwinError(
            "the median, and quantiles in pairs about it",
            found=", ".join(f"{q:g}" for q in levels) or "none",
            hint="quantile=[0.05, 0.5, 0.95]",
            where="quantile",
        )
    half = len(levels) // 2
    low = [values[half - 1 - i] for i in range(half)]
    high = [values[half + 1 + i] for i in range(half)]
    shares = [float(levels[half + 1 + i] - levels[half - 1 - i]) for i in range(half)]
    return low, values[half], high, shares, time


def _readings(seen: Any, time: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Hours since the start, and the values read by then, in the span of the chart."""
    if seen is None:
        return None
    if not isinstance(seen, xr.DataArray) or seen.dims != ("time",) or seen["time"].dtype.kind != "M":
        raise TwinError(
            "readings over time alone",
            found=f"dims {tuple(map(str, getattr(seen, 'dims', ())))}",
            hint="seen.sel(cell='...')",
            where="seen",
        )
    at, values = seen["time"].values.astype("M8[ns]"), np.asarray(seen.values, float)
    good = np.isfinite(values) & (at >= time[0]) & (at <= time[-1])
    return ((at[good] - time[0]) / np.timedelta64(1, "h"), values[good]) if good.any() else None


def _named(expected: xr.DataArray, language: str) -> str:
    name = str(expected.name or "")
    return label(name, language=language) if name in words() else (name or said("fan_value", language=language))
