"""Optimal interpolation: readings against the climate, without a model. The yardstick that every filter must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.assimilate.observation import View, readings
from twinkit.error import TwinError

if TYPE_CHECKING:
    from twinkit.assimilate.observation import Observe

__all__ = ["interpolated"]


def interpolated(
    climate: xr.Dataset, seen: xr.DataArray | xr.Dataset, *, noise: Any, observe: Observe | None = None
) -> xr.Dataset:
    """At each time the climate's mean, drawn towards the readings by the climate's covariance.

    ::

        x = x̄ + B Hᵀ (H B Hᵀ + R)⁻¹ (y - H x̄),   B = cov(climate)

    Parameters
    ----------
    climate : Dataset with dim time
        States of other times, enough to estimate a covariance from.
    seen, noise, observe
        As for `estimate`; `observe` sees the climate's states as members.

    Returns
    -------
    Dataset (time, ...)
        Each variable and its ``_spread``.

    Validity
    --------
    The covariance of n values needs several times n states that are far enough apart in time.

    Errors
    ------
    TwinError
        A climate of fewer than two states, or readings that match nothing in it.

    Examples
    --------
    >>> climate = xr.Dataset({"load": (("time", "cell"), [[0.2, 0.2], [0.4, 0.4], [0.6, 0.6]])}, {"cell": ["a", "b"]})
    >>> seen = xr.DataArray([0.6], {"cell": ["a"]}, "cell", name="load")
    >>> interpolated(climate, seen, noise=0.2)["load"].values
    array([[0.5, 0.5]])

    References
    ----------
    L. S. Gandin, Objective analysis of meteorological fields (1963; English 1965).
    """
    if not isinstance(climate, xr.Dataset) or climate.sizes.get("time", 0) < 2:
        raise TwinError(
            "a climate: a Dataset with many states on time",
            found=f"{climate.sizes.get('time', 0)} states" if isinstance(climate, xr.Dataset) else
            f"a {type(climate).__name__}", hint="run the model for a while: dynamics.simulate(...)", where="climate",
        )  # fmt: skip
    members = climate.drop_vars("time", errors="ignore").rename(time="member")
    series = readings(seen, noise)
    predicted = View(members, series, observe).predicted(members)
    free = len(predicted) - 1
    middle = predicted.mean(0)
    scaled = predicted - middle
    total = scaled.T @ scaled / free
    moving = [str(n) for n, v in members.data_vars.items() if "member" in v.dims]
    rows = {n: members[n].transpose("member", ...).to_numpy().reshape(free + 1, -1) for n in moving}
    means = {n: r.mean(0) for n, r in rows.items()}
    cross = {n: (r - means[n]).T @ scaled / free for n, r in rows.items()}
    variance = {n: r.var(0, ddof=1) for n, r in rows.items()}
    new = {n: np.empty((len(series.times), r.shape[1])) for n, r in rows.items()}
    doubt = {n: np.empty_like(v) for n, v in new.items()}
    # one solution serves all times at which the same sensors spoke with the same noise
    heard = np.isfinite(series.read)
    kinds, which = np.unique(np.where(heard, series.noise, 0.0), axis=0, return_inverse=True)
    for kind, sigma in enumerate(kinds):
        at, spoke = np.flatnonzero(which.reshape(-1) == kind), sigma > 0
        inner = total[np.ix_(spoke, spoke)] + np.diag(sigma[spoke] ** 2)
        gaps = series.read[np.ix_(at, spoke)] - middle[spoke]
        for n in moving:
            gain = np.linalg.solve(inner, cross[n][:, spoke].T).T
            new[n][at] = means[n] + gaps @ gain.T
            doubt[n][at] = np.sqrt(np.maximum(variance[n] - (gain * cross[n][:, spoke]).sum(1), 0.0))
    coords = {c: v for c, v in members.coords.items() if "member" not in v.dims}
    out = xr.Dataset(coords={**coords, "time": series.times})
    for n in moving:
        like = members[n].transpose("member", ...)
        for key, values in ((n, new[n]), (f"{n}_spread", doubt[n])):
            out[key] = (("time", *like.dims[1:]), values.reshape(-1, *like.shape[1:]), like.attrs)
    return out
