"""What policies cost, met by the same fates: run to failure, visits at fixed intervals, a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from twinkit import learn
from twinkit.contract import whole_seed, within
from twinkit.error import TwinError
from twinkit.maintain.schedule import _by_site, _whole, forced_cost
from twinkit.maintain.tours import positions, tours

if TYPE_CHECKING:
    from twinkit.learn import Estimate

__all__ = ["Visits", "fixed_interval", "policy_cost", "run_to_failure", "saving", "scheduled", "weibull_lives"]


class Visits(NamedTuple):
    """A policy's tours: on which day, to which sites (by position), over which way [m]."""

    name: str
    days: int
    tours: tuple[tuple[int, tuple[int, ...], float], ...]


def run_to_failure(*, days: int) -> Visits:
    """Nobody goes before something has failed.

    >>> run_to_failure(days=30).tours
    ()
    """
    return Visits("run to failure", _whole(days, 1, 3660, "days"), ())


def fixed_interval(
    twin: xr.DataTree,
    *,
    sites: Any,
    base: Any,
    days: int,
    interval: int,
    crews: int,
    speed: float,
    visit_hours: float,
    shift: float,
    most: int = 3,
    near: int = 6,
) -> Visits:
    """Every site in turn, as often as the interval says, whatever its health.

    Parameters
    ----------
    twin : DataTree
    sites : list of str
    base, crews, speed, visit_hours, shift, most, near
        As of `schedule`.
    days : int
    interval : int [d]
        Between two visits of one site.

    Returns
    -------
    Visits
        Neighbours in one tour where that is shorter (savings of Clarke and Wright), tours spread evenly over the
        interval.

    Errors
    ------
    TwinError
        More tours than the crews can make within the interval, and what `schedule` refuses.

    References
    ----------
    Clarke and Wright (1964), Scheduling of vehicles from a central depot, Operations Research 12, p. 571.
    """
    names = list(sites)
    days, interval = _whole(days, 1, 3660, "days"), _whole(interval, 1, 3660, "interval")
    x, y, home = positions(twin, names, base)
    possible = tours(x, y, home, most=most, near=near, speed=speed, visit=visit_hours, shift=shift)
    alone = 2 * np.hypot(x - home[0], y - home[1])
    left, rounds = set(range(len(names))), []
    # the tour that saves most way first, until every site has one
    for tour in sorted(possible, key=lambda t: (t.length - alone[list(t.sites)].sum(), t.sites)):
        if left.issuperset(tour.sites):
            rounds.append(tour)
            left -= set(tour.sites)
    if len(rounds) > interval * _whole(crews, 1, 100, "crews"):
        raise TwinError(
            f"at most {interval * crews} tours in {interval} days", found=f"{len(rounds)}", hint="a longer interval"
        )
    made = []
    for k, tour in enumerate(rounds):
        first = int(k * interval / len(rounds))
        made += [(day, tour.sites, tour.length) for day in range(first, days, interval)]
    return Visits(f"every {interval} days", days, tuple(sorted(made)))


def scheduled(twin: xr.DataTree, plan: xr.Dataset, *, base: Any, days: int, name: str = "schedule") -> Visits:
    """The visits of a plan that `schedule` gave.

    Parameters
    ----------
    twin : DataTree
    plan : Dataset (site)
    base
        As of `schedule`.
    days : int

    Returns
    -------
    Visits

    Errors
    ------
    TwinError
        No plan, or one beyond the days.
    """
    need = [n for n in ("visit_day", "visit_order", "crew") if n not in plan]
    if need:
        raise TwinError("a plan of tk.maintain.schedule", found=f"no '{need[0]}'", hint="pass its result")
    names = plan["site"].to_numpy().tolist()
    x, y, home = positions(twin, names, base)
    day, order, crew = (plan[n].to_numpy() for n in ("visit_day", "visit_order", "crew"))
    days = _whole(days, 1, 3660, "days")
    if np.nanmax(day, initial=0) >= days:
        raise TwinError(f"visits within {days} days", found=f"one on day {int(np.nanmax(day))}", hint="more days")
    made = []
    for d, c in sorted({(int(d), int(c)) for d, c in zip(day, crew, strict=True) if not np.isnan(d)}):
        own = np.flatnonzero((day == d) & (crew == c))
        own = own[np.argsort(order[own])]
        px, py = np.r_[home[0], x[own], home[0]], np.r_[home[1], y[own], home[1]]
        made.append((d, tuple(int(s) for s in own), float(np.hypot(np.diff(px), np.diff(py)).sum())))
    return Visits(name, days, tuple(made))


def weibull_lives(*, draws: int, sites: int, renewals: int, shape: float, scale: float, seed: int) -> np.ndarray:
    r"""Lives of what is new, for the sites that were visited or repaired.

    .. math:: S(t) = e^{-(t/λ)^k}

    Parameters
    ----------
    draws, sites, renewals : int
    shape : float [1]
        k: 1 is chance alone, above 1 things wear.
    scale : float [d]
        λ.
    seed : int

    Returns
    -------
    array (draw, site, renewal) [d]

    Errors
    ------
    TwinError
        A shape or scale not above 0.

    Examples
    --------
    >>> weibull_lives(draws=2, sites=3, renewals=1, shape=3.0, scale=200.0, seed=1).shape
    (2, 3, 1)
    """
    within(shape, 0.1, 50, name="shape", unit="1")
    within(scale, 0.01, 1e6, name="scale", unit="d")
    return np.asarray(scale * np.random.default_rng(whole_seed(seed)).weibull(shape, (draws, sites, renewals)))


def policy_cost(
    twin: xr.DataTree,
    lives: xr.DataArray,
    visits: Visits,
    *,
    renewed: np.ndarray,
    base: Any,
    failure_cost: float | xr.DataArray,
    visit_cost: float,
    travel_cost: float,
) -> xr.Dataset:
    r"""What a policy costs over its days, draw by draw.

    .. math:: K = \sum_\text{tours} (c_\text{travel} L + c_\text{visit} n) + \sum_\text{failures} C_s

    Day by day: crews visit in the morning and make as new what they visit; what then reaches the end of its life
    fails, costs :math:`C_s` (the failure, a visit and a trip for it alone) and is new, too.

    Parameters
    ----------
    twin : DataTree
    lives : DataArray (draw, site) [d]
        Of what stands there now: from `drawn_lives`, or true ones.
    visits : Visits
    renewed : array (draw, site, renewal) [d]
        Lives of what is new, from `weibull_lives`: the k-th renewal of a site takes the k-th, so that all policies
        meet the same fates.
    base, failure_cost, visit_cost, travel_cost
        As of `schedule`.

    Returns
    -------
    Dataset (draw)
        ``policy_cost`` [money], ``failures`` and ``visits`` [1].

    Validity
    --------
    Trips that a failure forces find a crew at once.

    Errors
    ------
    TwinError
        Lives that are missing or negative, shapes that do not fit, too few renewals.

    Examples
    --------
    >>> import twinkit as tk
    >>> twin = tk.datasets.town(sites=3, seed=1)
    >>> names = twin["sites"].site.values[:2]
    >>> lives = xr.DataArray([[2.5, 50.0]], {"site": names}, ("draw", "site"))
    >>> cost = policy_cost(
    ...     twin, lives, run_to_failure(days=10), renewed=np.full((1, 2, 1), 100.0), base=names[0],
    ...     failure_cost=1000.0, visit_cost=100.0, travel_cost=0.0,
    ... )
    >>> cost.policy_cost.item(), cost.failures.item()
    (1100.0, 1.0)
    """
    if not isinstance(lives, xr.DataArray) or set(lives.dims) != {"draw", "site"} or "site" not in lives.coords:
        raise TwinError("lives (draw, site)", found=str(getattr(lives, "dims", type(lives))), hint="see drawn_lives")
    lives = lives.transpose("draw", "site")
    names = lives["site"].to_numpy().tolist()
    left = lives.to_numpy().astype(float).copy()
    new = np.asarray(renewed, dtype=float)
    if new.ndim != 3 or new.shape[:2] != left.shape:
        raise TwinError(f"renewed lives {(*left.shape, 'renewal')}", found=f"{new.shape}", hint="see weibull_lives")
    if not (np.isfinite(left).all() and (left >= 0).all() and np.isfinite(new).all() and (new > 0).all()):
        raise TwinError("lives of 0 or more, and new ones above 0", found="a missing or negative one", hint="mend it")
    x, y, home = positions(twin, names, base)
    forced = forced_cost(
        x, y, home, failure=_by_site(failure_cost, names), visit_cost=visit_cost, travel_cost=travel_cost
    )
    used: np.ndarray = np.zeros(left.shape, dtype=int)
    cost, failed = np.zeros(len(left)), np.zeros(len(left))
    where_draw, where_site = np.arange(left.shape[0])[:, None], np.arange(left.shape[1])[None, :]
    draw, site = np.broadcast_arrays(where_draw, where_site)

    def renew(which: np.ndarray) -> None:
        if used[which].size and used[which].max() >= new.shape[2]:
            raise TwinError("enough renewals", found=f"{new.shape[2]}", hint="draw more of them", where="renewed")
        left[which] = new[draw[which], site[which], used[which]]
        used[which] += 1

    planned = 0
    for day in range(visits.days):
        for stops, length in [t[1:] for t in visits.tours if t[0] == day]:
            cost += travel_cost * length / 1000 + visit_cost * len(stops)
            planned += len(stops)
            which = np.zeros(left.shape, bool)
            which[:, list(stops)] = True
            renew(which)
        left -= 1
        # several in one day, where lives are short
        while (over := left <= 0).any():
            cost += (over * forced).sum(axis=1)
            failed += over.sum(axis=1)
            short = left[over]
            renew(over)
            left[over] += short
    where = {"draw": lives["draw"].to_numpy() if "draw" in lives.coords else np.arange(len(left))}
    data: dict[str, Any] = {
        "policy_cost": ("draw", cost),
        "failures": ("draw", failed),
        "visits": ("draw", np.full(len(left), float(planned))),
    }
    return xr.Dataset(data, where, {"policy": visits.name})


def saving(cost: xr.Dataset, of: xr.Dataset, *, seed: int, draws: int = 2000) -> Estimate:
    r"""The share of another policy's cost that a policy saves, with its interval.

    .. math:: 1 - \bar K / \bar K_\text{other}

    Parameters
    ----------
    cost, of : Dataset (draw)
        From `policy_cost`, over the same draws.
    seed : int
    draws : int
        Of the bootstrap, which draws pairs.

    Returns
    -------
    Estimate [1]
        ``(value, low, high)`` at 95 %; below 0 the policy costs more.

    Errors
    ------
    TwinError
        Other draws, or a policy that costs nothing.

    Examples
    --------
    >>> dear = xr.Dataset({"policy_cost": ("draw", [10.0, 12.0, 8.0])})
    >>> saving(dear / 2, dear, seed=1).value
    0.5
    """
    ours, theirs = cost["policy_cost"], of["policy_cost"]
    if ours.shape != theirs.shape or ours.size < 2:
        raise TwinError(
            "two costs or more over the same draws", found=f"{ours.shape}, {theirs.shape}", hint="pair them"
        )
    if float(theirs.mean()) <= 0:
        raise TwinError("another policy that costs something", found="nothing", hint="is there a cost of failure?")

    def share(a: np.ndarray, b: np.ndarray) -> float:
        return float(1 - a.mean() / b.mean()) if b.mean() > 0 else float("nan")

    return learn.bootstrap(share, ours.to_numpy(), theirs.to_numpy(), draws=draws, seed=seed)
