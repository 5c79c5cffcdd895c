"""From quantiles of the remaining life to the chance of a failure until a day, and back to lives that could be."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import whole_seed
from twinkit.error import TwinError

__all__ = ["drawn_lives", "failed_by"]


def failed_by(remaining_life: xr.DataArray, days: Any) -> xr.DataArray:
    r"""The chance that each site has failed by a day, from the quantiles of its remaining life.

    .. math:: F(v_i) = q_i, \qquad F(t) = q_1 t / v_1 \ (t < v_1), \qquad
       1 - F(t) = (1 - q_n)\, e^{-(t - v_n)/τ} \ (t > v_n)

    straight between the quantiles, with τ such that the tail goes on as the last two quantiles begin it.

    Parameters
    ----------
    remaining_life : DataArray (quantile, site) [d]
    days : float or array [d]
        From now on.

    Returns
    -------
    DataArray (day, site) [1]
        Without ``day`` where `days` is one number.

    Validity
    --------
    As good as the quantiles; between and beyond them it is an interpolation. Where the last quantiles are one number,
    the longest life that the model can tell, everything beyond is even over the same time again.

    Errors
    ------
    TwinError
        Fewer than two quantiles, quantiles that cross, missing or negative lives, a negative or missing day.

    Examples
    --------
    >>> life = xr.DataArray([[10.0], [30.0]], {"quantile": [0.1, 0.5], "site": ["a"]}, ("quantile", "site"))
    >>> failed_by(life, [0, 5, 10, 20]).values.ravel().round(3).tolist()
    [0.0, 0.05, 0.1, 0.3]
    """
    level, life = _checked(remaining_life)
    asked = np.asarray(days, dtype=float)
    if asked.ndim > 1 or not (asked >= 0).all():
        raise TwinError("days from now on, 0 or more", found=repr(days), hint="give range(14)", where="days")
    t = np.atleast_1d(asked)
    chance = np.empty((len(t), life.shape[1]))
    for s in range(life.shape[1]):
        tail = _tail(level, life[:, s])
        # where quantiles share one value, the step up to the highest of them is taken beyond it
        value, first = np.unique(life[:, s], return_index=True)
        inner = np.interp(t, np.concatenate([[0.0], value]), np.concatenate([[0.0], level[first]]))
        beyond = t > life[-1, s]
        base = level[first[-1]]
        chance[:, s] = np.where(beyond, 1 - (1 - base) * np.exp(-(t - life[-1, s]) / tail), inner)
    out = xr.DataArray(
        chance, {"day": t, "site": remaining_life["site"].to_numpy()}, ("day", "site"), name="failure_probability"
    )
    out.attrs = {"units": "1", "long_name": "chance of having failed"}
    return out.isel(day=0, drop=True) if asked.ndim == 0 else out


def drawn_lives(remaining_life: xr.DataArray, *, draws: int, seed: int) -> xr.DataArray:
    r"""Lives drawn from the quantiles, by turning `failed_by` round: t = F⁻¹(u).

    Parameters
    ----------
    remaining_life : DataArray (quantile, site) [d]
    draws : int
    seed : int
        Same seed, same draws: let every policy meet the same, and only their difference is left.

    Returns
    -------
    DataArray (draw, site) [d]

    Errors
    ------
    TwinError
        As `failed_by`; no draws.

    Examples
    --------
    >>> life = xr.DataArray([[10.0], [30.0]], {"quantile": [0.1, 0.5], "site": ["a"]}, ("quantile", "site"))
    >>> lives = drawn_lives(life, draws=4000, seed=1)
    >>> bool(abs((lives < 30).mean() - 0.5) < 0.03)
    True
    """
    level, life = _checked(remaining_life)
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 1:
        raise TwinError("one draw or more", found=repr(draws), hint="give draws=1000", where="draws")
    u = np.random.default_rng(whole_seed(seed)).random((int(draws), life.shape[1]))
    out = np.empty_like(u)
    for s in range(life.shape[1]):
        value, first = np.unique(life[:, s], return_index=True)
        base = level[first[-1]]
        inner = np.interp(u[:, s], np.concatenate([[0.0], level[first]]), np.concatenate([[0.0], value]))
        beyond = u[:, s] > base
        tail = life[-1, s] - _tail(level, life[:, s]) * np.log((1 - u[:, s]) / (1 - base))
        out[:, s] = np.where(beyond, tail, inner)
    where = {"draw": np.arange(int(draws)), "site": remaining_life["site"].to_numpy()}
    return xr.DataArray(out, where, ("draw", "site"), name="life", attrs={"units": "d"})


def _tail(level: np.ndarray, life: np.ndarray) -> float:
    """Mean time [d] in which the chance to live on falls to 1/e beyond the last quantile."""
    step = life[-1] - life[-2]
    if step <= 0:
        return float(max(life[-1], 1.0))
    return float(step / np.log((1 - level[-2]) / (1 - level[-1])))


def _checked(remaining_life: Any) -> tuple[np.ndarray, np.ndarray]:
    """Levels, and lives (quantile, site)."""
    good = isinstance(remaining_life, xr.DataArray) and set(remaining_life.dims) == {"quantile", "site"}
    if not good or remaining_life.sizes["quantile"] < 2 or not remaining_life.sizes["site"]:
        found = (
            tuple(remaining_life.dims) if isinstance(remaining_life, xr.DataArray) else type(remaining_life).__name__
        )
        raise TwinError(
            "lives (quantile, site) with two quantiles or more",
            found=str(found),
            hint="tk.maintain.remaining_life(health, quantile=[0.1, 0.5, 0.9])",
            where="remaining_life",
        )
    life = remaining_life.transpose("quantile", "site").to_numpy().astype(float)
    level = remaining_life["quantile"].to_numpy().astype(float)
    if not ((level > 0) & (level < 1)).all() or (np.diff(level) <= 0).any():
        raise TwinError("ascending quantiles between 0 and 1", found=str(level), hint="sort them", where="quantile")
    if not np.isfinite(life).all() or (life < 0).any():
        at = remaining_life["site"].to_numpy()[~(np.isfinite(life) & (life >= 0)).all(axis=0)][0]
        raise TwinError(
            "a life of 0 or more at every site",
            found=f"a missing or negative one at '{at}'",
            hint="drop the site, or learn more about it",
            where="remaining_life",
        )
    if (np.diff(life, axis=0) < 0).any():
        raise TwinError("quantiles that ascend", found="lives that cross", hint="sort them", where="remaining_life")
    return level, life
