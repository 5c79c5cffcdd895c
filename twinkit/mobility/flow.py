"""Models of flows between places: gravity, radiation, and both balanced to known margins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import dask
import numpy as np

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.mobility.form import flow_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

__all__ = ["balanced", "distances", "flows", "gravity", "radiation"]


def _square(distance: Any, count: int) -> np.ndarray:
    d = np.asarray(distance, dtype=float)
    if d.shape != (count, count) or not (np.isfinite(d).all() and (d >= 0).all()):
        raise TwinError(
            f"{count} x {count} distances of 0 m or more, one for each two places",
            found=f"shape {d.shape}" if d.shape != (count, count) else "some below 0 or not a number",
            hint="take tk.mobility.distances(twin)",
            where="distance",
        )
    return d


def _amounts(values: Any, name: str) -> np.ndarray:
    out = np.atleast_1d(np.asarray(values, dtype=float))
    if out.ndim != 1 or not (np.isfinite(out).all() and (out >= 0).all()):
        raise TwinError(
            f"{name} of 0 or more, one a place",
            found="some below 0 or not a number" if out.ndim == 1 else f"shape {out.shape}",
            hint="set unknown ones to 0",
            where=name,
        )
    return out


def gravity(
    population: Any,
    distance: Any,
    *,
    total: float,
    exponent: float,
    origin_exponent: float = 1.0,
    destination_exponent: float = 1.0,
) -> np.ndarray:
    r"""People who go from each place to each other one, by the law of gravity.

    .. math:: T_{ij} = k\, m_i^{\alpha} m_j^{\beta} d_{ij}^{-\gamma}, \qquad \sum_{i \ne j} T_{ij} = T

    Parameters
    ----------
    population : array (place,) [people]
    distance : array (place, place) [m]
        Two places at one spot exchange nobody: the law has no answer there.
    total : float [people]
        All who go.
    exponent : float
        How fast flows fall with distance; 2 in Zipf's law.
    origin_exponent, destination_exponent : float

    Returns
    -------
    array (origin, destination) [people]
        0 on the diagonal.

    Errors
    ------
    TwinError
        Negative numbers, another shape, or nobody to go.

    Examples
    --------
    Twice as far is a quarter of the people:

    >>> gravity([100, 100, 100], [[0, 1, 2], [1, 0, 1], [2, 1, 0]], total=900, exponent=2).round(6)
    array([[  0., 200.,  50.],
           [200.,   0., 200.],
           [ 50., 200.,   0.]])

    References
    ----------
    Zipf, American Sociological Review 11 (1946), p. 677: the P1 P2 / D hypothesis.
    """
    mass = _amounts(population, "population")
    d = _square(distance, len(mass))
    within(total, 0, math.inf, name="total", unit="people")
    within(exponent, 0, 20, name="exponent", unit="1")
    with np.errstate(divide="ignore", invalid="ignore"):
        # scaled by the largest, so that no power overflows
        fall = np.where(d > 0, (d / max(d.max(), 1e-300)) ** -exponent, 0.0)
        top = max(mass.max(initial=0.0), 1e-300)
        out = np.where(mass > 0, (mass / top) ** origin_exponent, 0.0)
        into = np.where(mass > 0, (mass / top) ** destination_exponent, 0.0)
    weight = out[:, None] * into[None, :] * fall
    np.fill_diagonal(weight, 0.0)
    whole = float(weight.sum())
    if not whole > 0:
        raise TwinError(
            "two places with people, apart from each other",
            found="none",
            hint="look at the populations",
            where="gravity",
        )
    return weight * (total / whole)


def radiation(population: Any, distance: Any, *, leaving: Any, finite: bool = False) -> np.ndarray:
    r"""People who go from each place to each other one, by the radiation model, which has no free parameter.

    .. math:: T_{ij} = T_i \frac{m_i n_j}{(m_i + s_{ij})(m_i + n_j + s_{ij})}

    where :math:`s_{ij}` is the population nearer to i than j is, without i and j.

    Parameters
    ----------
    population : array (place,) [people]
    distance : array (place, place) [m]
        Places at exactly one distance from i stand outside each other's circle.
    leaving : float, or array (place,) [people]
        All who leave each place.
    finite : bool
        True divides by :math:`1 - m_i / \sum m`, so that all who leave arrive in the system, however small it is.

    Returns
    -------
    array (origin, destination) [people]
        0 on the diagonal.

    Errors
    ------
    TwinError
        Negative numbers or another shape.

    Examples
    --------
    Three villages alike on a road: from its end one of two finds work next door, one of six beyond.

    >>> radiation([100, 100, 100], [[0, 1, 2], [1, 0, 1], [2, 1, 0]], leaving=600)[0].round(6)
    array([  0., 300., 100.])

    References
    ----------
    Simini, Gonzalez, Maritan and Barabasi, Nature 484 (2012), equation (2). Masucci, Serras, Johansson and Batty,
    Physical Review E 88 (2013), equation (3), for the finite system.
    """
    mass = _amounts(population, "population")
    count = len(mass)
    d = _square(distance, count)
    out = _amounts(leaving, "leaving")
    if len(out) not in (1, count):
        raise TwinError(f"one number, or one for each of {count} places", found=f"{len(out)}", hint="as population")
    out = np.broadcast_to(out, mass.shape)
    flow = np.zeros((count, count))
    for i in range(count):
        others = np.delete(np.arange(count), i)
        order = others[np.argsort(d[i, others], kind="stable")]
        cumulated = np.concatenate([[0.0], np.cumsum(mass[order])])
        between = cumulated[np.searchsorted(d[i, order], d[i, order], side="left")]
        n = mass[order]
        bottom = (mass[i] + between) * (mass[i] + n + between)
        flow[i, order] = out[i] * np.divide(mass[i] * n, bottom, out=np.zeros_like(n), where=bottom > 0)
    if finite and mass.sum() > 0:
        rest = 1 - mass / mass.sum()
        flow = np.divide(flow, rest[:, None], out=np.zeros_like(flow), where=rest[:, None] > 0)
    return flow


def balanced(flow: Any, *, leaving: Any, arriving: Any, tolerance: float = 1e-12, rounds: int = 20_000) -> np.ndarray:
    r"""The flows nearest to given ones (in relative entropy) whose margins are those that are known: Furness's method.

    .. math:: T_{ij} = a_i b_j t_{ij}, \qquad \sum_j T_{ij} = O_i, \quad \sum_i T_{ij} = D_j

    Parameters
    ----------
    flow : array (origin, destination) [people]
        A model or an old survey; what is 0 stays 0.
    leaving, arriving : array (place,) [people]
        The margins O and D; their totals are the same.
    tolerance : float
        Rounds end when every margin is met to this share of itself.
    rounds : int
        At most.

    Returns
    -------
    array (origin, destination) [people]

    Errors
    ------
    TwinError
        Totals that differ by more than 1e-9 of themselves, a margin that the pattern of zeros cannot meet, negative
        numbers, other shapes.

    Examples
    --------
    >>> balanced([[1, 1], [1, 3]], leaving=[40, 60], arriving=[30, 70]).sum(axis=0).round(9)
    array([30., 70.])

    References
    ----------
    Furness, Traffic Engineering and Control 7 (1965), p. 458. Deming and Stephan, Annals of Mathematical Statistics
    11 (1940), p. 427. Wilson, Transportation Research 1 (1967), equations (12) to (14).
    """
    t = np.array(flow, dtype=float)
    rows, columns = _amounts(leaving, "leaving"), _amounts(arriving, "arriving")
    if t.shape != (len(rows), len(columns)) or not (np.isfinite(t).all() and (t >= 0).all()):
        raise TwinError(
            f"flows of 0 or more, {len(rows)} x {len(columns)}",
            found=f"shape {t.shape}" if t.ndim != 2 or t.shape != (len(rows), len(columns)) else "some below 0 or NaN",
            hint="give one row for each of leaving and one column for each of arriving",
            where="flow",
        )
    if abs(rows.sum() - columns.sum()) > 1e-9 * max(rows.sum(), columns.sum()):
        raise TwinError(
            "as many who arrive as leave",
            found=f"{rows.sum():.10g} leaving and {columns.sum():.10g} arriving",
            hint="scale one of them: arriving * leaving.sum() / arriving.sum()",
            where="arriving",
        )
    gap = math.inf
    for _ in range(rounds):
        for axis, margin in ((1, rows), (0, columns)):
            now = t.sum(axis=axis)
            if (now[margin > 0] == 0).any():
                raise _no_way(int(np.flatnonzero((now == 0) & (margin > 0))[0]), ("arriving", "leaving")[axis])
            factor = np.divide(margin, now, out=np.zeros_like(now), where=now > 0)
            t *= factor[:, None] if axis else factor[None, :]
        now = t.sum(axis=1)
        gap = float(np.max(np.abs(now - rows) / np.where(rows > 0, rows, 1.0), initial=0.0))
        if gap <= tolerance:
            return t
    raise TwinError(
        f"margins that can be met to {tolerance:g}",
        found=f"a gap of {gap:.2g} after {rounds} rounds",
        hint="zeros in the flows forbid it: put a small number where people may go",
        where="flow",
    )


def _no_way(which: int, where: str) -> TwinError:
    return TwinError(
        "a way for everybody who leaves or arrives",
        found=f"people at position {which} and no flow above 0 there",
        hint="put a small number into that row or column of the flows",
        where=where,
    )


def distances(twin: xr.DataTree) -> np.ndarray:
    """Straight distances [m] between the places of a twin, (place, place).

    Examples
    --------
    >>> from twinkit.datasets import town
    >>> d = distances(town(sites=3, seed=1))
    >>> d.shape[0] == d.shape[1], float(d[0, 0]), bool((d == d.T).all())
    (True, 0.0, True)
    """
    places = twin.children["places"].to_dataset(inherit=False)
    x, y = (np.asarray(places[n].values, dtype=float) for n in ("x", "y"))
    return np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])


@contract(reads=["places/x", "places/y", "places/population"], gives=["flow"], computes=True)
def flows(twin: xr.DataTree, *, model: Callable[..., Any], leaving: Any = None, arriving: Any = None) -> xr.DataArray:
    """Flows between the places of a twin by a model, balanced to margins where they are known.

    Parameters
    ----------
    twin : DataTree
        With places.
    model : function
        Gives people (origin, destination) from ``population`` [people] and ``distance`` [m]:
        ``functools.partial(tk.mobility.gravity, total=5000, exponent=2)``, `radiation` with ``leaving`` set, or yours.
    leaving, arriving : array (place) [people], optional
        Both or none; see `balanced`.

    Returns
    -------
    DataArray (origin, destination) [people]
        ``flow``.

    Errors
    ------
    TwinError
        A variable is missing or in another unit, the model gives another shape, or the margins cannot be met.

    Examples
    --------
    >>> import functools
    >>> from twinkit.datasets import town
    >>> flow = flows(town(sites=3, seed=1), model=functools.partial(gravity, total=5000, exponent=2))
    >>> round(float(flow.sum()), 6)
    5000.0
    """
    places = twin.children["places"].to_dataset(inherit=False)
    if (leaving is None) != (arriving is None):
        raise TwinError("both margins or none", found="one", hint="give leaving and arriving", where="flows")
    if not callable(model):
        raise TwinError(
            "a function", found=f"a {type(model).__name__}", hint="model=tk.mobility.gravity itself", where="model"
        )
    ids = places["place"].values
    x, y, population = dask.compute(*(places[n].data for n in ("x", "y", "population")))
    distance = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
    people = np.asarray(model(np.asarray(population, dtype=float), distance))
    name = getattr(getattr(model, "func", model), "__name__", "a model")
    if leaving is not None:
        people = balanced(people, leaving=leaving, arriving=arriving)
        name += ", balanced to margins"
    return flow_matrix(people, origin=ids, destination=ids, provenance=f"modelled: {name}")
