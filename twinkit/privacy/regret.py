"""Regret: what a decision loses because it was taken on the release and not on the truth.

The measure that counts: a release may change every number and no decision, or few numbers and the one decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Regret", "carried", "corridors", "regret"]


@dataclass(frozen=True)
class Regret:
    """What a decision on a release loses.

    Attributes
    ----------
    share : float
        Loss as a share of what the decision on the truth is worth; below 0 where chance made the release's the better.
    on_truth, on_release : float
        Worth of the two choices, both measured on the truth.
    chosen, wished : object
        The choice on the release, and that on the truth.
    """

    share: float
    on_truth: float
    on_release: float
    chosen: Any
    wished: Any

    def __str__(self) -> str:
        return f"{self.share:.1%} lost: {self.on_release:g} instead of {self.on_truth:g}"

    __repr__ = __str__


def regret(
    truth: xr.DataArray,
    released: xr.DataArray,
    *,
    choose: Callable[[xr.DataArray], Any],
    value: Callable[[xr.DataArray, Any], float],
) -> Regret:
    """What is lost by choosing on a release.

    Equation: 1 - value(truth, choose(released)) / value(truth, choose(truth)).

    Parameters
    ----------
    truth, released : DataArray
    choose : function
        ``choose(flows)`` gives a decision: any function of a table.
    value : function
        ``value(flows, choice)`` says what it is worth; measured on the truth alone.

    Returns
    -------
    Regret

    Errors
    ------
    TwinError
        The decision on the truth is worth nothing, so no share of it can be lost.

    Examples
    --------
    >>> flows = xr.DataArray([5.0, 4.0, 1.0], {"zone": ["a", "b", "c"]}, "zone")
    >>> noisy = flows.copy(data=[5.0, 1.0, 4.0])
    >>> def two_greatest(f):
    ...     return f.sortby(f, ascending=False).zone.values[:2]
    >>> regret(flows, noisy, choose=two_greatest, value=lambda f, zones: float(f.sel(zone=zones).sum()))
    33.3% lost: 6 instead of 9
    """
    for name, function in (("choose", choose), ("value", value)):
        if not callable(function):
            raise TwinError("a function", found=f"a {type(function).__name__}", hint="privacy.carried", where=name)
    wished, chosen = choose(truth), choose(released)
    best, got = float(value(truth, wished)), float(value(truth, chosen))
    if not (np.isfinite(best) and np.isfinite(got) and best > 0):
        raise TwinError(
            "decisions worth more than nothing on the truth",
            found=f"{best:g} for the one on the truth, {got:g} for the one on the release",
            hint="value(flows, choice) gives what is won, such as trips that are carried",
            where="value",
        )
    return Regret(1 - got / best, best, got, chosen, wished)


def corridors(
    flows: xr.DataArray, *, count: int, length: xr.DataArray | None = None, budget: float = np.inf
) -> list[tuple[str, str]]:
    """Which pairs of zones get a service: those with most trips both ways for each metre, until the money is spent.

    Parameters
    ----------
    flows : DataArray, dims origin, destination
        The same labels on both; other dims are summed up.
    count : int
        Services at most.
    length : DataArray, dims origin, destination [m], optional
        Of each service; without it each costs the same.
    budget : float [m]
        Metres of service at most.

    Returns
    -------
    list of (origin, destination)
        Each pair once, the first label before the second in the table.

    Errors
    ------
    TwinError
        No flows between zones.

    Examples
    --------
    >>> zones = ["a", "b", "c"]
    >>> flows = xr.DataArray([[0, 5, 1], [4, 0, 8], [1, 0, 0]], {"origin": zones, "destination": zones},
    ...                      ("origin", "destination"))
    >>> corridors(flows, count=2)
    [('a', 'b'), ('b', 'c')]
    """
    both = _both_ways(flows)
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise TwinError("a whole number from 1", found=repr(count), hint="count=10", where="count")
    zones = flows.origin.to_numpy().tolist()
    first, second = np.triu_indices(len(zones), 1)
    trips = both[first, second]
    cost = np.ones(len(first))
    if length is not None:
        if not {"origin", "destination"} <= set(length.indexes):
            raise TwinError("lengths with origin and destination", found=f"dims {length.dims}", hint="name the zones")
        known = length.reindex(origin=zones, destination=zones).transpose("origin", "destination").values
        cost = np.asarray(known, float)[first, second]
        if not (np.isfinite(cost).all() and (cost > 0).all()):
            hint = "metres between each two zones"
            raise TwinError("lengths above 0", found="others, or none for some zones", hint=hint, where="length")
    if not budget >= 0:
        raise TwinError("metres of 0 or more", found=repr(budget), hint="leave it out", where="budget")
    out: list[tuple[str, str]] = []
    spent = 0.0
    for i in np.argsort(-trips / cost, kind="stable"):
        if len(out) == count or trips[i] <= 0:
            break
        if spent + cost[i] <= budget or length is None:
            spent += cost[i]
            out.append((zones[first[i]], zones[second[i]]))
    return sorted(out, key=lambda pair: [zones.index(z) for z in pair])


def carried(flows: xr.DataArray, chosen: list[tuple[str, str]]) -> float:
    """Trips on the chosen corridors, both ways.

    Parameters
    ----------
    flows : DataArray, dims origin, destination
    chosen : list of (origin, destination)

    Returns
    -------
    float [count]
    """
    both = xr.DataArray(
        _both_ways(flows), dict.fromkeys(("origin", "destination"), flows.origin.values), ("origin", "destination")
    )
    strange = [pair for pair in chosen if not set(pair) <= set(flows.origin.values.tolist())]
    if strange:
        raise TwinError(
            "pairs of zones of the flows", found=repr(strange[0]), hint="flows.reindex(...)", where="chosen"
        )
    return float(sum(float(both.sel(origin=a, destination=b)) for a, b in chosen))


def _both_ways(flows: xr.DataArray) -> np.ndarray:
    if not {"origin", "destination"} <= set(flows.dims):
        raise TwinError("flows with dims origin and destination", found=f"dims {flows.dims}", hint="rename the dims")
    table = flows.sum([d for d in flows.dims if d not in ("origin", "destination")]).transpose("origin", "destination")
    if not np.array_equal(table.origin.values, table.destination.values):
        raise TwinError("the same zones as origins and destinations", found="others", hint="flows.reindex(...)")
    both = np.asarray(table.values + table.values.T, float)
    if not np.isfinite(both).all():
        raise TwinError("flows in numbers", found="some that are none", hint="flows.fillna(0)", where="flows")
    return both
