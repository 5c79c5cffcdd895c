"""Which crew goes where, and on which day: the cheapest plan, with the proof of how cheap one could be."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.maintain.chance import failed_by
from twinkit.maintain.tours import Tour, positions, tours

__all__ = ["schedule"]

MOST_COLUMNS = 400_000
"""Tours times days that a laptop still solves."""


@contract(
    reads=["sites/x", "sites/y", "remaining_life"],
    gives=["visit_day", "visit_order", "crew", "schedule_cost", "schedule_bound", "schedule_gap"],
    computes=True,
)
def schedule(
    twin: xr.DataTree,
    remaining_life: xr.DataArray,
    *,
    base: Any,
    days: int,
    crews: int,
    failure_cost: float | xr.DataArray,
    visit_cost: float,
    travel_cost: float,
    speed: float,
    visit_hours: float,
    shift: float,
    most: int = 3,
    near: int = 6,
    seconds: float = 60.0,
    gap: float = 1e-4,
) -> xr.Dataset:
    r"""The visits of the crews that cost least in expectation, by mixed-integer programming.

    .. math:: \min \sum_{r,d} x_{rd} \Big(c_\text{travel} L_r + \sum_{s \in r} c_\text{visit}\Big)
       + \sum_s C_s \Big(F_s(D) - \sum_{r \ni s, d} x_{rd} (F_s(D) - F_s(d))\Big)

    over tours r and days d, with each site visited at most once, :math:`\sum_{r \ni s, d} x_{rd} \le 1`, and no more
    tours on a day than crews. F is `failed_by`, and :math:`C_s` the cost of a failure with the trip that it forces.

    Parameters
    ----------
    twin : DataTree
    remaining_life : DataArray (quantile, site) [d]
        From `remaining_life`.
    base : str or (float, float) [m]
        Where all tours begin and end: a site or coordinates.
    days : int
        Of the plan; day 0 is the first morning.
    crews : int
    failure_cost : float or DataArray (site) [money]
        Of one failure: penalty, lost traffic, and what people lose.
    visit_cost : float [money]
        Parts and work of a visit, planned or forced.
    travel_cost : float [money/km]
    speed : float [km/h]
        Along the straight line: less than on the road.
    visit_hours, shift : float [h]
        At one site; of one crew's day with the way.
    most : int
        Sites that one crew visits on one day.
    near : int
        Sites share a tour only where one is among so many nearest of another; more finds more, and takes longer.
    seconds : float [s]
        When to stop with the best plan so far.
    gap : float [1]
        How near to the bound is near enough.

    Returns
    -------
    Dataset (site)
        ``visit_day`` [d] and ``crew`` [1], NaN where no visit pays; ``visit_order`` [1], the place within the tour.
        ``schedule_cost``, ``schedule_bound`` [money]: the expected cost of this plan, and a cost under which no plan of
        these tours can come; ``schedule_gap`` [1], what lies between as a share of the cost.

    Validity
    --------
    Days to weeks: plan again when new readings come. A site that was visited does not fail again within the plan, and
    the chances of sites are their own. Costs are taken as said: whose loss counts is decided there.

    Errors
    ------
    TwinError
        Costs, crews or days out of range; a site out of reach within a shift; a problem too large; no plan in time.

    Examples
    --------
    >>> import twinkit as tk
    >>> twin = tk.datasets.town(sites=4, seed=1)
    >>> names = twin["sites"].site.values
    >>> worn = np.array([[1.0], [3], [9]]), np.array([[40.0], [80], [120]])
    >>> values = np.hstack([worn[0], *[worn[1]] * (len(names) - 2), worn[0] + 1])
    >>> life = xr.DataArray(values, {"quantile": [0.1, 0.5, 0.9], "site": names}, ("quantile", "site"))
    >>> life = tk.stamp(life, "remaining_life")
    >>> plan = schedule(
    ...     twin, life, base=names[0], days=7, crews=1, failure_cost=2000.0, visit_cost=100.0, travel_cost=0.5,
    ...     speed=30.0, visit_hours=2.0, shift=10.0,
    ... )
    >>> np.flatnonzero(plan.visit_day.notnull()).tolist(), float(plan.schedule_gap) < 1e-3
    ([0, 5], True)

    References
    ----------
    Balinski and Quandt (1964), On an integer program for a delivery problem, Operations Research 12, equations (1) to
    (3): tours as columns.
    """
    names = remaining_life["site"].to_numpy().tolist()
    days = _whole(days, 1, 366, "days")
    crews = _whole(crews, 1, 100, "crews")
    for name, value in (("visit_cost", visit_cost), ("travel_cost", travel_cost)):
        within(value, 0, 1e12, name=name, unit="money")
    within(seconds, 0.1, 1e5, name="seconds", unit="s")
    within(gap, 0, 1, name="gap", unit="1")
    x, y, home = positions(twin, names, base)
    forced = forced_cost(
        x, y, home, failure=_by_site(failure_cost, names), visit_cost=visit_cost, travel_cost=travel_cost
    )
    chance = failed_by(remaining_life.compute(), np.arange(days + 1)).to_numpy()
    possible = tours(x, y, home, most=most, near=near, speed=speed, visit=visit_hours, shift=shift)
    never = forced * chance[-1]
    spared = forced * (chance[-1] - chance[:-1])  # (day, site)
    columns = _columns(possible, spared, visit_cost, travel_cost)
    if len(columns) > MOST_COLUMNS:
        raise TwinError(
            f"at most {MOST_COLUMNS} tours times days",
            found=f"{len(columns)}",
            hint="fewer days, a smaller near, or a schedule for each base's own sites",
            where="near",
        )
    chosen, value, bound = _solved(columns, possible, len(names), days, crews, seconds, gap)
    cost, least = float(never.sum()) + value, max(float(never.sum()) + bound, 0.0)
    out = {n: np.full(len(names), np.nan) for n in ("visit_day", "visit_order", "crew")}
    busy = np.zeros(days, int)
    for tour, day in chosen:
        for place, site in enumerate(possible[tour].sites):
            out["visit_day"][site], out["visit_order"][site], out["crew"][site] = day, place + 1, busy[day] + 1
        busy[day] += 1
    short = (cost - least) / cost if cost > 0 else 0.0
    said = {
        "provenance": "modelled: the cheapest plan over enumerated tours",
        "method": f"scipy.optimize.milp (HiGHS), {len(columns)} columns from {len(possible)} tours of at most {most}",
        "assumptions": "straight ways; a visited site does not fail again within the plan; sites fail by themselves",
    }
    data = {n: ("site", v, dict(said)) for n, v in out.items()}
    scalars = {"schedule_cost": cost, "schedule_bound": least, "schedule_gap": max(short, 0.0)}
    return xr.Dataset(data | {n: ((), v, dict(said)) for n, v in scalars.items()}, {"site": names})


def forced_cost(
    x: np.ndarray,
    y: np.ndarray,
    home: tuple[float, float],
    *,
    failure: np.ndarray,
    visit_cost: float,
    travel_cost: float,
) -> np.ndarray:
    """What one failure costs at each site: itself, the visit, and a trip for it alone [money]."""
    way = 2 * np.hypot(x - home[0], y - home[1]) / 1000
    return np.asarray(failure + visit_cost + travel_cost * way)


def _columns(
    possible: list[Tour], spared: np.ndarray, visit_cost: float, travel_cost: float
) -> list[tuple[int, int, float]]:
    """(tour, day, cost less what it spares), for those that pay: the others stand in no cheapest plan."""
    out = []
    for r, tour in enumerate(possible):
        worth = travel_cost * tour.length / 1000 + visit_cost * len(tour.sites) - spared[:, tour.sites].sum(axis=1)
        out += [(r, int(d), float(worth[d])) for d in np.flatnonzero(worth < 0)]
    return out


def _solved(
    columns: list[tuple[int, int, float]],
    possible: list[Tour],
    sites: int,
    days: int,
    crews: int,
    seconds: float,
    gap: float,
) -> tuple[list[tuple[int, int]], float, float]:
    """Chosen (tour, day), the cost beyond never visiting, and the bound on it."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_matrix

    if not columns:
        return [], 0.0, 0.0
    rows, at = [], []
    for c, (r, d, _) in enumerate(columns):
        used = [*possible[r].sites, sites + d]
        rows += used
        at += [c] * len(used)
    limits = coo_matrix((np.ones(len(rows)), (rows, at)), shape=(sites + days, len(columns))).tocsr()
    most = np.concatenate([np.ones(sites), np.full(days, float(crews))])
    answer = milp(
        np.array([c[2] for c in columns]),
        constraints=LinearConstraint(limits, ub=most),
        integrality=np.ones(len(columns)),
        bounds=Bounds(0, 1),
        options={"time_limit": float(seconds), "mip_rel_gap": float(gap)},
    )
    if answer.x is None:
        raise TwinError(
            "a plan in time", found=f"none after {seconds:g} s", hint="give more seconds, or a smaller near"
        )
    taken = [columns[c] for c in np.flatnonzero(answer.x > 0.5)]
    bound = answer.fun if answer.mip_dual_bound is None else float(answer.mip_dual_bound)
    return [(r, d) for r, d, _ in sorted(taken, key=lambda c: (c[1], c[0]))], float(answer.fun), float(bound)


def _by_site(value: Any, names: list[str]) -> np.ndarray:
    """The cost of a failure at each site."""
    if isinstance(value, xr.DataArray):
        missing = [n for n in names if n not in value.indexes.get("site", [])]
        if value.dims != ("site",) or missing:
            found = f"none for '{missing[0]}'" if missing else f"dims {value.dims}"
            raise TwinError("a cost of failure for each site", found=found, hint="one number serves all", where="site")
        value = value.sel(site=names).to_numpy()
    costs = np.broadcast_to(np.asarray(value, dtype=float), (len(names),))
    within(costs, 0, 1e12, name="failure_cost", unit="money")
    return costs


def _whole(value: Any, low: int, high: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise TwinError(f"a whole number from {low} to {high}", found=repr(value), hint=f"give {name}=7", where=name)
    return int(value)
