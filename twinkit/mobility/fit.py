"""Flow models fitted to what was counted, with what the fit does not know."""

from __future__ import annotations

import math
from typing import Any

import dask
import numpy as np
import xarray as xr

from twinkit.contract import contract
from twinkit.error import TwinError
from twinkit.mobility.flow import balanced

__all__ = ["fit_balanced", "fit_gravity", "poisson_fit"]

READS = ["places/x", "places/y", "places/population", "flow"]
CONSTRAINED = ("exponent",)


def poisson_fit(columns: Any, counts: Any, *, rounds: int = 100) -> tuple[np.ndarray, np.ndarray, float]:
    r"""A Poisson regression with the logarithm as link, by Newton's method.

    .. math:: \log E(n) = X \theta, \qquad cov(\hat\theta) = \phi\, (X^T \hat\mu X)^{-1}

    Parameters
    ----------
    columns : array (count, coefficient)
        With a column of ones, where a constant is wanted.
    counts : array (count,)
        0 or more.

    Returns
    -------
    coefficients : array (coefficient,)
    covariance : array (coefficient, coefficient)
        With the dispersion in it.
    dispersion : float
        Pearson's chi square for each degree of freedom; 1 for counts of independent people, more where they go
        together. Below 1 it counts as 1.

    Errors
    ------
    TwinError
        Too few counts, columns that say the same, nobody counted.

    Examples
    --------
    >>> x = np.column_stack([np.ones(4), np.log([1, 2, 4, 8])])
    >>> poisson_fit(x, [64, 16, 4, 1])[0].round(6)
    array([ 4.158883, -2.      ])

    References
    ----------
    McCullagh and Nelder, Generalized Linear Models (1989), sections 2.5 and 6.2. Santos Silva and Tenreyro, Review
    of Economics and Statistics 88 (2006), equation (9), on why flows are fitted so and not by their logarithms.
    """
    x, n = np.asarray(columns, dtype=float), np.asarray(counts, dtype=float)
    if len(n) <= x.shape[1] or not n.sum() > 0:
        raise TwinError(
            f"more than {x.shape[1]} counts, not all 0", found=f"{len(n)} with a sum of {n.sum():g}", hint="count more"
        )
    scale = np.maximum(np.abs(x).max(axis=0), 1e-300)
    z = x / scale
    if np.linalg.matrix_rank(z) < z.shape[1]:
        raise TwinError(
            "places that differ in population and distance",
            found="columns that say the same",
            hint="take more places, or set an exponent",
            where="poisson_fit",
        )
    theta = np.linalg.lstsq(z, np.log(n + 0.5 * n.mean()), rcond=None)[0]
    last = math.inf
    for _ in range(rounds):
        mu = np.exp(np.clip(z @ theta, -700, 700))
        information = z.T @ (mu[:, None] * z)
        move = np.linalg.solve(information, z.T @ (n - mu))
        # no step of more than e^5 in any count, so that a bad start cannot overflow
        theta = theta + move * min(1.0, 5.0 / max(float(np.abs(z @ move).max()), 1e-300))
        last = float(np.abs(move).max() / (1 + np.abs(theta).max()))
        if last < 1e-13:
            break
    if not last < 1e-8:
        raise TwinError("counts that the model can follow", found="no end of the fit", hint="look for outliers")
    mu = np.exp(z @ theta)
    dispersion = max(1.0, float(((n - mu) ** 2 / np.maximum(mu, 1e-300)).sum() / (len(n) - len(theta))))
    covariance = dispersion * np.linalg.inv(z.T @ (mu[:, None] * z))
    return theta / scale, covariance / np.outer(scale, scale), dispersion


def _pairs(twin: xr.DataTree, flow: xr.DataArray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Population, distance, counts, and which pairs count: of two places apart from each other."""
    places = twin.children["places"].to_dataset(inherit=False)
    data = (places[n].data for n in ("x", "y", "population"))
    x, y, population, counted = dask.compute(*data, flow.transpose("origin", "destination").data)
    ids = [str(i) for i in places["place"].values]
    for dim in ("origin", "destination"):
        if [str(i) for i in flow[dim].values] != ids:
            raise TwinError(
                f"the places of the twin as {dim}",
                found="other ids, or another order",
                hint="flow.reindex(origin=twin['places'].place.values, destination=..., fill_value=0)",
                where=dim,
            )
    distance = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
    n = np.asarray(population, dtype=float)
    lived = n > 0
    return n, distance, np.asarray(counted, dtype=float), lived[:, None] & lived[None, :] & (distance > 0)


def _fitted(
    names: tuple[str, ...], value: np.ndarray, covariance: np.ndarray, dispersion: float, flow: np.ndarray, ids: Any
) -> xr.Dataset:
    error = np.sqrt(np.diag(covariance))
    attrs = {"provenance": "modelled: Poisson regression", "assumptions": f"dispersion {dispersion:.3g}"}
    return xr.Dataset(
        {
            "estimate": ("coefficient", value, attrs),
            "standard_error": ("coefficient", error, attrs),
            "flow": (("origin", "destination"), flow, attrs),
            "dispersion": ((), dispersion),
        },
        {"coefficient": np.array(names, dtype=object), "origin": ids, "destination": ids},
    )


@contract(reads=READS, gives=["estimate", "standard_error", "flow"], computes=True)
def fit_gravity(twin: xr.DataTree, flow: xr.DataArray) -> xr.Dataset:
    r"""The law of gravity fitted to counted flows by Poisson regression.

    .. math:: \log E(T_{ij}) = k + \alpha \log m_i + \beta \log m_j - \gamma \log d_{ij}

    Parameters
    ----------
    twin : DataTree
        With places.
    flow : DataArray (origin, destination) [people]
        Counted; pairs of a place with itself and of places where nobody lives are left out.

    Returns
    -------
    Dataset
        ``estimate`` and ``standard_error`` (coefficient: constant, origin_exponent, destination_exponent, exponent),
        ``flow`` as fitted, and the ``dispersion``. A coefficient lies within 1.96 standard errors at 95 %.

    Validity
    --------
    The errors hold where flows scatter around the law independently; they grow with the dispersion.

    Errors
    ------
    TwinError
        Other places, too few of them, nobody counted.

    Examples
    --------
    >>> import functools
    >>> from twinkit.datasets import town
    >>> from twinkit.mobility import flows, gravity
    >>> twin = town(sites=12, seed=1)
    >>> made = flows(twin, model=functools.partial(gravity, total=1e5, exponent=1.7))
    >>> float(fit_gravity(twin, made).estimate.sel(coefficient="exponent").round(6))
    1.7
    """
    population, distance, counted, pairs = _pairs(twin, flow)
    log = np.log(np.where(population > 0, population, 1.0))
    d = np.log(np.where(distance > 0, distance, 1.0))
    shape = distance.shape
    parts = [np.ones(shape), np.broadcast_to(log[:, None], shape), np.broadcast_to(log[None, :], shape), -d]
    columns = np.stack(parts, axis=-1)
    value, covariance, dispersion = poisson_fit(columns[pairs], counted[pairs])
    fitted = np.where(pairs, np.exp(columns @ value), 0.0)
    names = ("constant", "origin_exponent", "destination_exponent", "exponent")
    return _fitted(names, value, covariance, dispersion, fitted, flow["origin"].values)


@contract(reads=READS, gives=["estimate", "standard_error", "flow"], computes=True)
def fit_balanced(twin: xr.DataTree, flow: xr.DataArray) -> xr.Dataset:
    r"""The doubly constrained law of gravity fitted to counted flows: their margins are met, the exponent is learnt.

    .. math:: E(T_{ij}) = a_i\, b_j\, d_{ij}^{-\gamma}

    Parameters
    ----------
    twin : DataTree
        With places.
    flow : DataArray (origin, destination) [people]
        Counted; pairs of a place with itself and of places where nobody lives are left out.

    Returns
    -------
    Dataset
        As of `fit_gravity`, with the one coefficient ``exponent``.

    Errors
    ------
    TwinError
        Other places, too few of them, nobody counted.

    Examples
    --------
    >>> import functools
    >>> from twinkit.datasets import town
    >>> from twinkit.mobility import flows, gravity
    >>> twin = town(sites=12, seed=1)
    >>> made = flows(twin, model=functools.partial(gravity, total=1e5, exponent=1.7))
    >>> float(fit_balanced(twin, made).estimate.sel(coefficient="exponent").round(6))
    1.7

    References
    ----------
    Wilson, Transportation Research 1 (1967). That its likelihood is the Poisson regression's with a constant for each
    origin and destination: Flowerdew and Aitkin, Journal of Regional Science 22 (1982), p. 191.
    """
    _, distance, counted, pairs = _pairs(twin, flow)
    n = np.where(pairs, counted, 0.0)
    rows, columns = n.sum(axis=1), n.sum(axis=0)
    free = int((n.sum(axis=1) > 0).sum() + (n.sum(axis=0) > 0).sum())
    used = pairs & (rows[:, None] > 0) & (columns[None, :] > 0)
    if not n.sum() > 0 or used.sum() <= free:
        raise TwinError(
            "people counted between more than three places",
            found=f"{used.sum()} pairs",
            hint="count more",
            where="flow",
        )
    log = np.log(np.where(distance > 0, distance, 1.0))
    log -= log[used].mean()
    gamma, move, spread = 0.0, math.inf, 0.0
    fitted = n
    for _ in range(60):
        fitted = balanced(np.where(used, np.exp(-gamma * log), 0.0), leaving=rows, arriving=columns, tolerance=1e-11)
        rest = _without_margins(log, fitted)
        spread = float((fitted * rest**2).sum())
        if not spread > 1e-12 * fitted.sum():
            raise TwinError("distances that differ", found="none beyond the margins", hint="take more places")
        move = float(((fitted - n) * rest).sum() / spread)
        gamma += float(np.clip(move, -1, 1))
        if abs(move) < 1e-10:
            break
    pearson = ((n - fitted)[used] ** 2 / np.maximum(fitted[used], 1e-300)).sum()
    dispersion = max(1.0, float(pearson / (used.sum() - free)))
    error = np.array([[dispersion / spread]])
    return _fitted(CONSTRAINED, np.array([gamma]), error, dispersion, fitted, flow["origin"].values)


def _without_margins(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What is left of values when the best sum of a row's and a column's number is taken off."""
    rest = values.copy()
    rows, columns = np.maximum(weight.sum(axis=1), 1e-300), np.maximum(weight.sum(axis=0), 1e-300)
    for _ in range(2000):
        a = (weight * rest).sum(axis=1) / rows
        rest = rest - a[:, None]
        b = (weight * rest).sum(axis=0) / columns
        rest = rest - b[None, :]
        if max(np.abs(a).max(), np.abs(b).max()) < 1e-12:
            break
    return rest
