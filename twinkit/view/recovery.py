"""The recovery curve: people with service after a strike, with what is sure of it and what is not."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.view._figure import Figure, canvas, checked_language, drawn, number, said, written
from twinkit.view._table import column, few, tabled

__all__ = ["recovery_curve"]

# Okabe and Ito's blue; the band is the same colour, lighter
LINE = "#0072B2"


def recovery_curve(
    served: xr.DataArray, *, before: float, level: float = 0.9, title: str = "", language: str = "en"
) -> Figure:
    """Share of the people with service over the days: expected, and between which single events fall.

    Parameters
    ----------
    served : DataArray (draw, time) [people]
        ``people_served``, what `twinkit.resilience.served` gives.
    before : float [people]
        Who had service before: ``served.attrs["people_before"]`` of that Dataset.
    level : float [1]
        Of the band: 0.9 holds nine of ten draws.
    title : str, optional
    language : str
        en, hi, fr or fa.

    Returns
    -------
    Figure

    Errors
    ------
    TwinError
        Not draws over time, nobody served before, or an unknown language.
    """
    checked_language(language)
    if not isinstance(served, xr.DataArray) or set(served.dims) != {"draw", "time"} or not before > 0:
        raise TwinError(
            "people served (draw, time), and how many had service before",
            found=f"{getattr(served, 'dims', type(served).__name__)}, before={before}",
            hint='recovery_curve(out.people_served, before=out.attrs["people_before"])',
        )
    share = np.asarray(served.transpose("draw", "time").values, float) / before
    days = (served["time"].values - served["time"].values[0]) / np.timedelta64(1, "D")
    mean = share.mean(axis=0)
    low, high = np.quantile(share, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    least = int(np.argmin(mean))
    again = np.flatnonzero((mean >= 0.9) & (np.arange(len(mean)) >= least))
    told = {
        "least": number(float(mean[least]), language=language, share=True),
        "low": number(float(low[least]), language=language, share=True),
        "high": number(float(high[least]), language=language, share=True),
        "day": number(float(days[least]), language=language),
        "band": number(100 * level, language=language, unit="%"),
    }
    alt = said("recovery", language=language, **told)
    alt += " " + (
        said("recovery_again", language=language, days=number(float(days[again[0]] - days[least]), language=language))
        if again.size
        else said("recovery_never", language=language)
    )
    made, settings = canvas(7.6, 3.6, language=language)
    with settings:
        axes = made.add_subplot()
        band = said("recovery_band", language=language, band=told["band"])
        axes.fill_between(days, 100 * low, 100 * high, color=LINE, alpha=0.22, linewidth=0, label=band)
        axes.plot(days, 100 * mean, color=LINE, lw=2, label=said("recovery_mean", language=language))
        axes.set_ylim(0, 103)
        axes.set_xlim(0, float(days[-1]))
        axes.set_xlabel(said("recovery_days", language=language))
        axes.set_ylabel(said("recovery_share", language=language))
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda v, _: number(v, language=language))
        axes.legend(loc="lower right", frameon=False)
        if title:
            axes.set_title(written(title), loc="left", fontsize=9.5)
        rows, note = few(len(mean), language=language, keep=(least,))
        texts = {"expected": said("recovery_mean", language=language)} | {
            k: said(f"draws_{k}", language=language, band=told["band"]) for k in ("low", "high")
        }
        columns = {
            key: column(values[rows], language=language, text=texts[key], share=True)
            for key, values in (("expected", mean), ("low", low), ("high", high))
        }
        passed = column(days[rows], language=language, text=said("recovery_days", language=language))
        caption = said("caption_recovery", language=language)
        return drawn(made, alt, language, tabled("day", columns, caption=caption, note=note, index=passed), title)
