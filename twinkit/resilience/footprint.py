"""From an intensity at every asset and hour to the probability of having failed by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract
from twinkit.error import TwinError
from twinkit.resilience.fragility import CURVES, curves, fragility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinkit.resilience.fragility import Curve

__all__ = ["HOUR", "check_clock", "clock", "footprint", "hazard"]

HOUR = np.timedelta64(3_600_000_000_000, "ns")


def clock(times: Any, *, where: str = "time") -> pd.DatetimeIndex:
    """Times as UTC without zone, ascending.

    Errors
    ------
    TwinError
        A time with a zone, no time, or times that do not ascend.

    Examples
    --------
    >>> clock(["2019-05-03T08:00+05:30"])
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: time: expected times in UTC without a zone; found UTC+05:30. Try: ...
    """
    try:
        raw = times if isinstance(times, pd.Index) else np.asarray(times)
        written = raw.dtype.kind in "OUST"
        read = pd.to_datetime(raw, format="ISO8601") if written else pd.to_datetime(raw)
        index = pd.DatetimeIndex(read).as_unit("ns")
    except (TypeError, ValueError, OverflowError) as e:
        found = f"{e}".splitlines()[0][:80]
        raise TwinError("times", found=found, hint="write them like '2019-05-03T03:00'", where=where) from None
    if index.tz is not None:
        raise TwinError(
            "times in UTC without a zone",
            found=f"{index.tz}",
            hint="times.tz_convert('UTC').tz_localize(None); five hours and a half move the storm by a hundred km",
            where=where,
        )
    if len(index) == 0 or index.hasnans or not index.is_monotonic_increasing or not index.is_unique:
        raise TwinError(
            "times that ascend",
            found="none" if len(index) == 0 else "times that stand, go back or are missing",
            hint="sort them and drop what comes twice",
            where=where,
        )
    return index.rename("time")


def check_clock(times: Any, *, where: str = "time") -> float:
    """Hours between the times, which must be even.

    Errors
    ------
    TwinError
        As `clock`; steps of different length.
    """
    index = clock(times, where=where)
    if len(index) == 1:
        return 1.0
    steps = np.diff(index.to_numpy())
    if (steps != steps[0]).any():
        raise TwinError(
            "times in even steps",
            found=f"steps of {steps.min() / HOUR:g} and {steps.max() / HOUR:g} h",
            hint="hazard.interp(time=pandas.date_range(...))",
            where=where,
        )
    return float(steps[0] / HOUR)


def footprint(
    name: str,
    intensity: np.ndarray,
    made: xr.Dataset,
    times: pd.DatetimeIndex,
    *,
    table: Mapping[str, Curve] | None,
    says: Mapping[str, str],
) -> xr.Dataset:
    """Intensity and probability of failure as one Dataset, stamped with where they come from."""
    median, dispersion = curves(name, made["kind"].to_numpy(), table=table)
    chance = np.empty(intensity.shape, np.float32)
    for member in range(len(intensity)):
        worst = np.maximum.accumulate(intensity[member], axis=0)
        chance[member] = fragility(worst, median=median, dispersion=dispersion)
    used = {**CURVES[name], **(table or {})}
    sources = "; ".join(dict.fromkeys(f"{k}: {used[k].source}" for k in dict.fromkeys(made["kind"].to_numpy())))
    dims = ("member", "time", "asset")
    attrs = {"provenance": f"modelled: {says['model']}", "assumptions": says.get("assumptions", "")}
    highest = float(intensity.max()) if intensity.size else 0.0
    out = xr.Dataset(
        {
            name: (dims, intensity.astype(np.float32), attrs),
            "failure": (dims, chance, {**attrs, "provenance": f"{attrs['provenance']}; fragility: {sources}"}),
        },
        {
            "time": ("time", times),
            "asset": made["asset"].to_numpy(),
            "node": ("asset", made["node"].to_numpy()),
            "kind": ("asset", made["kind"].to_numpy()),
        },
        {"generated": made.attrs["generated"], "hazard": says["model"], "highest": highest},
    )
    return out.assign_attrs(misses=str(bool(chance.size == 0 or float(chance.max()) < 1e-3)).lower())


@contract(reads=["sites/x", "sites/y", "links/source", "links/target"], gives=["failure"], computes=True)
def hazard(
    twin: xr.DataTree,
    intensity: Any,
    *,
    times: Any,
    kind: str,
    fragility: Mapping[str, Curve] | None = None,
) -> xr.Dataset:
    """A hazard of your own: a function of place and time, evaluated at everything that can fail.

    Parameters
    ----------
    twin : DataTree
    intensity : function(x, y, time) -> array (asset, along)
        With x and y [m] in the twin's CRS and one time; in m/s of gust, m of depth or m/s² of shaking.
    times : array of datetime64
        In UTC, in even steps.
    kind : {"wind_gust", "flood_depth", "shaking"}
        Which curves it meets.
    fragility : dict of str to Curve, optional
        Kind of asset to the curve that replaces the one of `CURVES`.

    Returns
    -------
    Dataset (member, time, asset)
        ``failure``: probability that the asset has failed by then; beside it the intensity, the worst along a link.

    Errors
    ------
    TwinError
        An unknown kind, times with a zone or uneven, or an intensity that is not a number.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 9e3]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> twin = assemble({"sites": sites, "links": links}, title="two", crs="EPSG:32643")
    >>> gale = hazard(twin, lambda x, y, time: 40.0 + x / 300, times=["2020-01-01"], kind="wind_gust")
    >>> gale.failure.squeeze().to_numpy().astype(float).round(2).tolist()
    [0.11, 0.74, 0.5]
    """
    from twinkit.resilience.assets import assets

    if kind not in CURVES:
        raise TwinError(f"a kind of hazard among {', '.join(CURVES)}", found=f"'{kind}'", hint="kind='wind_gust'")
    index = clock(times, where="times")
    check_clock(index, where="times")
    made = assets(twin)
    x, y = made["x"].to_numpy(), made["y"].to_numpy()
    if not callable(intensity):
        raise TwinError(
            "a function of x, y and time", found=f"a {type(intensity).__name__}",
            hint="lambda x, y, time: 30.0 + 0.0 * x", where="intensity",
        )  # fmt: skip
    worst = np.stack([_worst(intensity(x, y, t), x.shape) for t in index])
    if not np.isfinite(worst).all():
        raise TwinError(
            "an intensity at every asset",
            found="a value that is not finite",
            hint="let the function give 0 where nothing happens",
            where="intensity",
        )
    says = {"model": f"{kind} from {getattr(intensity, '__name__', 'a function')}"}
    return footprint(kind, worst[None], made, index, table=fragility, says=says)


def _worst(given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What a function of the user's gave for one time, the worst along each asset."""
    try:
        return np.asarray(np.max(np.broadcast_to(np.asarray(given, float), shape), axis=1))
    except (TypeError, ValueError):
        raise TwinError(
            f"a number for each of {shape[0]} assets by {shape[1]} points, or one for all",
            found=f"{np.shape(given)}" if np.ndim(given) else repr(given)[:80],
            hint="return an array of the shape of x", where="intensity",
        ) from None  # fmt: skip
