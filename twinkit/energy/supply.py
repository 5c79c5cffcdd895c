"""Supply of sites from grid, sun, battery and diesel: the cheapest hours as a linear programme."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.energy.hours import period, same_hours
from twinkit.error import TwinError

__all__ = ["EQUIPMENT", "dispatch", "equipment"]

EQUIPMENT = ("grid_power", "solar_power", "diesel_power", "battery_power", "battery_energy")

FLOWS = ("from_grid", "from_solar", "from_diesel", "from_battery", "to_battery", "unserved", "stored")

VARIABLES = 8_000
"""Of one programme. Sites do not touch one another: many small programmes take less time than one of them all, and one
call for each site takes longer in Python than in the solver."""

SCALE = 1000.0
"""W in a kW: the solver's tolerances are absolute and made for numbers near one."""

GAP = 1e-6
"""An optimum is believed when its dual certifies it this closely."""


@contract(reads=["power", "sites/power_source"], gives=EQUIPMENT, computes=True)
def equipment(
    power: xr.DataArray,
    twin: xr.DataTree,
    *,
    battery_hours: float,
    solar_ratio: float,
    reserve: float,
) -> xr.Dataset:
    """Equipment that each site would have by the words of its power source: a generated layer where none is known.

    Parameters
    ----------
    power : DataArray (time, site) [W]
    twin : DataTree
        ``sites/power_source`` says which of grid, solar, diesel and battery a site has ("grid and battery").
    battery_hours : float [h]
        How long a full battery carries the mean power; it charges and discharges at 1.5 times the largest power.
    solar_ratio : float [1]
        Rated power of panels over the site's mean power.
    reserve : float [1]
        Rated power of grid and diesel over the site's largest power; the battery is charged from what is over.

    Returns
    -------
    Dataset (site)
        ``grid_power``, ``solar_power``, ``diesel_power``, ``battery_power`` [W] and ``battery_energy`` [Wh].

    Errors
    ------
    TwinError
        Sites that are not those of the twin, a source with none of the four words, or a negative size.

    Examples
    --------
    >>> from twinkit import assemble, stamp
    >>> sites = xr.Dataset({"power_source": ("site", ["grid and battery"])}, {"site": ["a"]})
    >>> twin = assemble({"sites": sites}, title="", crs="EPSG:32643")
    >>> drawn = stamp(xr.DataArray([[400.0], [600.0]], {"site": ["a"]}, ("time", "site")), "power")
    >>> has = equipment(drawn, twin, battery_hours=6, solar_ratio=4, reserve=2)
    >>> float(has.battery_energy[0]), float(has.diesel_power[0])
    (3000.0, 0.0)
    """
    within(battery_hours, 0.0, 1000.0, name="battery_hours", unit="h")
    within(solar_ratio, 0.0, 1000.0, name="solar_ratio", unit="1")
    within(reserve, 1.0, 100.0, name="reserve", unit="1")
    sites = twin.children["sites"].to_dataset(inherit=False)
    _same_sites(power, sites["site"], "power")
    # an hour that is unknown makes the size unknown: it is refused below
    mean, most = (getattr(power, how)("time", skipna=False) for how in ("mean", "max"))
    joined = xr.Dataset({"mean": mean, "most": most, "source": sites["power_source"].reset_coords(drop=True)}).compute()
    # "off-grid solar" names the grid that it has not
    words = [re.sub(r"\b(off|no|without)[ -]*grid\b", "", str(s).lower()) for s in joined["source"].values]
    has = {w: np.array([w in s for s in words]) for w in ("grid", "solar", "diesel", "battery")}
    none = ~np.any(list(has.values()), axis=0)
    if none.any():
        at = int(np.flatnonzero(none)[0])
        raise TwinError(
            "a power source that names grid, solar, diesel or battery",
            found=f"'{joined['source'].values[at]}' at site '{sites['site'].values[at]}'",
            hint="write it like 'grid and battery'",
            where="sites/power_source",
        )
    usual, peak = joined["mean"].to_numpy(), joined["most"].to_numpy()
    within(peak, 0.0, 1e8, name="power", unit="W")
    sizes = {
        "grid_power": has["grid"] * reserve * peak,
        "solar_power": has["solar"] * solar_ratio * usual,
        "diesel_power": has["diesel"] * reserve * peak,
        "battery_power": has["battery"] * 1.5 * peak,
        "battery_energy": has["battery"] * battery_hours * usual,
    }
    attrs = {
        "provenance": "generated: sized by the words of the power source, twinkit.energy.equipment",
        "assumptions": f"batteries for {battery_hours:g} h of the mean power; panels {solar_ratio:g} times it; grid and"
        f" diesel {reserve:g} times the largest power",
    }
    return xr.Dataset({n: ("site", v, attrs) for n, v in sizes.items()}, {"site": sites["site"]})


@contract(
    reads=["power", "grid_up", "solar_yield", *EQUIPMENT],
    gives=[*FLOWS, "supply_cost"],
    computes=True,
)
def dispatch(
    power: xr.DataArray,
    equipment: xr.Dataset,
    grid_up: xr.DataArray,
    solar_yield: xr.DataArray,
    *,
    grid_cost: float | xr.DataArray,
    diesel_cost: float,
    unserved_cost: float,
    charging: float,
    discharging: float,
    standing_loss: float,
    start: float | None,
    diesel_most: float | None = None,
) -> xr.Dataset:
    r"""The cheapest supply of every site, hour by hour, with all hours known in advance.

    .. math:: \min \sum_t \Delta t\,(c_g g_t + c_d d_t + c_u u_t) \quad \text{with}\quad
        g_t + d_t + p_t + x_t - y_t + u_t = P_t,

    .. math:: e_t = (1 - \sigma)^{\Delta t} e_{t-1} + \eta_y y_t \Delta t - x_t \Delta t / \eta_x,

    grid g at most its power times the share of the period in which it is up, sun p at most the yield, diesel d,
    battery out x and in y at most their powers, 0 ≤ e ≤ the battery, and u the power that is not served.

    Parameters
    ----------
    power : DataArray (time, site) [W]
    equipment : Dataset (site)
        ``grid_power``, ``solar_power``, ``diesel_power``, ``battery_power`` [W], ``battery_energy`` [Wh].
    grid_up : DataArray (time) or (time, site) [1]
    solar_yield : DataArray (time, site) [1]
    grid_cost : float or DataArray (time) [currency/kWh]
    diesel_cost, unserved_cost : float [currency/kWh]
        Fuel price over what a litre yields (some 3.3 kWh); what a kWh not served costs. With 0 for the grid and a
        penalty far above the diesel, the least fuel is found.
    charging, discharging : float [1]
        Efficiencies η of the battery's two ways.
    standing_loss : float [1]
        Share σ of its energy that the battery loses in an hour.
    start : float [1], optional
        Share of the battery that is full at the start; None asks that it ends as it began.
    diesel_most : float [Wh], optional
        That a site's tank holds over all hours.

    Returns
    -------
    Dataset
        (time, site) ``from_grid``, ``from_solar``, ``from_diesel``, ``from_battery``, ``to_battery``, ``unserved`` [W]
        and ``stored`` [Wh] at the end of the period; (site) ``supply_cost`` [currency]. Attribute ``gap``: how far, at
        most, any block of sites is from the optimum, by its dual.

    Validity
    --------
    It knows the outages and clouds to come: a bound that no operator reaches. A generator's least load and its start
    are no part of a linear programme, nor is a battery's age. Of several equally cheap supplies one is given.

    Errors
    ------
    TwinError
        Times that differ between the arrays, unknown values, a negative battery, power or price, an efficiency outside
        0 to 1, sites that differ.

    Examples
    --------
    The grid is away for the second hour, and the battery bridges half of it:

    >>> from twinkit import stamp
    >>> axes = {"time": np.array(["2026-03-02T00", "2026-03-02T01"], "datetime64[ns]"), "site": ["a"]}
    >>> def hourly(values, name):
    ...     return stamp(xr.DataArray(np.reshape(values, (2, 1)), axes, ("time", "site")), name)
    >>> def size(value, name):
    ...     return stamp(xr.DataArray([value], {"site": ["a"]}, "site"), name)
    >>> has = xr.Dataset({n: size(v, n) for n, v in zip(EQUIPMENT, (3e3, 0.0, 0.0, 1e3, 500.0))})
    >>> prices = {"grid_cost": 0.1, "diesel_cost": 0.4, "unserved_cost": 10.0}
    >>> battery = {"charging": 1.0, "discharging": 1.0, "standing_loss": 0.0, "start": 0.0}
    >>> series = hourly([1e3, 1e3], "power"), hourly([1.0, 0.0], "grid_up"), hourly([0.0, 0.0], "solar_yield")
    >>> found = dispatch(series[0], has, *series[1:], **prices, **battery)
    >>> found.unserved.values.ravel().round(), float(found.supply_cost[0].round(2))
    (array([  0., 500.]), 5.15)

    References
    ----------
    The storage balance is that of PyPSA's storage unit: T. Brown, J. Hörsch, D. Schlachtberger, PyPSA: Python for power
    system analysis, Journal of Open Research Software 6, 2018, equation (8), doi:10.5334/jors.188.
    """
    dt = period(power, "power") / 3600.0
    same_hours(power, grid_up, "grid_up")
    same_hours(power, solar_yield, "solar_yield")
    for value, low, high, name, unit in (
        (diesel_cost, 0.0, 1e9, "diesel_cost", "1/kWh"),
        (unserved_cost, 0.0, 1e12, "unserved_cost", "1/kWh"),
        (charging, 1e-3, 1.0, "charging", "1"),
        (discharging, 1e-3, 1.0, "discharging", "1"),
        (standing_loss, 0.0, 1.0, "standing_loss", "1"),
        *(() if start is None else ((start, 0.0, 1.0, "start", "1"),)),
        *(() if diesel_most is None else ((diesel_most, 0.0, 1e12, "diesel_most", "Wh"),)),
    ):
        within(value, low, high, name=name, unit=unit)
    parts = {"power": power, "grid_up": grid_up, "solar_yield": solar_yield}
    _same_sites(power, equipment["grid_power"], "equipment")
    for name in ("grid_up", "solar_yield"):
        if "site" in parts[name].dims:
            _same_sites(power, parts[name], name)
    joined = xr.Dataset(
        {n: a.reset_coords(drop=True) for n, a in parts.items()} | {n: equipment[n] for n in EQUIPMENT}
    ).compute()
    priced = _prices(grid_cost, power)
    hours, count = power.sizes["time"], power.sizes["site"]
    filled = {n: _hourly(joined[n], hours, count) for n in parts}
    within(filled["power"], 0.0, 1e9, name="power", unit="W")
    within(filled["grid_up"], 0.0, 1.0, name="grid_up", unit="1")
    within(filled["solar_yield"], 0.0, 1.5, name="solar_yield", unit="1")
    has = {n: np.asarray(joined[n].values, float) for n in EQUIPMENT}
    for n, sizes in has.items():
        within(sizes, 0.0, 1e9, name=n, unit="Wh" if n == "battery_energy" else "W")
    battery = {"charging": charging, "discharging": discharging, "kept": (1.0 - standing_loss) ** dt, "start": start}
    flows, cost, gap = _solved(filled, has, (priced, diesel_cost, unserved_cost), battery, dt, diesel_most)
    attrs = {
        "provenance": "modelled: least cost with perfect foresight, twinkit.energy.dispatch",
        "assumptions": f"battery efficiency {charging:g} in and {discharging:g} out, {standing_loss:g} an hour lost; "
        + ("it ends as it began" if start is None else f"{start:.0%} full at the start")
        + f"; diesel {diesel_cost:g}, not served {unserved_cost:g} a kWh; all hours known in advance",
        "method": "linear programme, HiGHS",
    }
    data: dict[str, Any] = {n: (("time", "site"), flows[n], attrs) for n in FLOWS}
    data["supply_cost"] = ("site", cost, attrs)
    coords = {"time": power["time"], "site": power["site"]} if "site" in power.coords else {"time": power["time"]}
    return xr.Dataset(data, coords, {"gap": gap})


# ---------------------------------------------------------------- the programme


def _solved(
    given: dict[str, np.ndarray],
    has: dict[str, np.ndarray],
    prices: tuple[np.ndarray, float, float],
    battery: dict[str, Any],
    dt: float,
    tank: float | None,
) -> tuple[dict[str, np.ndarray], np.ndarray, float]:
    """Flows (time, site) [W], cost (site) and the largest gap of all blocks of sites."""
    hours, count = given["power"].shape
    flows = {n: np.zeros((hours, count)) for n in FLOWS}
    cost, worst = np.zeros(count), 0.0
    price = np.concatenate([dt * prices[0], np.zeros(hours), *(np.full(hours, dt * p) for p in prices[1:])])
    price = np.concatenate([price, np.zeros(3 * hours)])
    at_once = max(1, VARIABLES // (7 * hours))
    for first in range(0, count, at_once):
        some = slice(first, min(first + at_once, count))
        x, gap = _block(
            {n: v[:, some] / (SCALE if n == "power" else 1.0) for n, v in given.items()},
            {n: v[some] / SCALE for n, v in has.items()},
            price,
            battery,
            dt,
            None if tank is None else tank / SCALE,
        )
        worst = max(worst, gap)
        cost[some] = x.reshape(x.shape[0], -1) @ price
        for k, name in enumerate(("from_grid", "from_solar", "from_diesel", "unserved")):
            flows[name][:, some] = x[:, k].T * SCALE
        for k, name in enumerate(("from_battery", "to_battery", "stored"), start=4):
            flows[name][:, some] = x[:, k].T * SCALE
    return flows, cost, worst


def _block(
    given: dict[str, np.ndarray],
    has: dict[str, np.ndarray],
    price: np.ndarray,
    battery: dict[str, Any],
    dt: float,
    tank: float | None,
) -> tuple[np.ndarray, float]:
    """Some sites in kW and kWh: variables (site, 7, time) in the order grid, sun, diesel, unserved, out, in, stored."""
    from scipy import sparse
    from scipy.optimize import linprog

    hours, count = given["power"].shape
    one, none = sparse.identity(hours, format="csr"), sparse.csr_matrix((hours, hours))
    before = sparse.eye(hours, k=-1, format="lil")
    if battery["start"] is None:
        before[0, hours - 1] = 1.0
    stored = one - battery["kept"] * before.tocsr()
    rows = sparse.bmat(
        [
            [one, one, one, one, one, -one, none],
            [none, none, none, none, one * (dt / battery["discharging"]), one * (-dt * battery["charging"]), stored],
        ],
        format="csr",
    )
    equal = sparse.kron(sparse.identity(count), rows, format="csr")
    right = np.zeros((count, 2, hours))
    right[:, 0] = given["power"].T
    if battery["start"] is not None:
        right[:, 1, 0] = battery["kept"] * battery["start"] * has["battery_energy"]
    high = np.empty((count, 7, hours))
    high[:, 0] = (given["grid_up"] * has["grid_power"]).T
    high[:, 1] = (given["solar_yield"] * has["solar_power"]).T
    high[:, 2] = has["diesel_power"][:, None]
    high[:, 3] = given["power"].T
    high[:, 4] = high[:, 5] = has["battery_power"][:, None]
    high[:, 6] = has["battery_energy"][:, None]
    below: dict[str, Any] = {}
    if tank is not None:
        row = sparse.csr_matrix(np.concatenate([np.zeros(2 * hours), np.full(hours, dt), np.zeros(4 * hours)]))
        below = {"A_ub": sparse.kron(sparse.identity(count), row, format="csr"), "b_ub": np.full(count, tank)}
    bounds = np.stack([np.zeros(high.size), high.ravel()], axis=1)
    costs = np.tile(price, count)
    found = linprog(costs, A_eq=equal, b_eq=right.ravel(), bounds=bounds, method="highs", **below)
    if found.status != 0:
        raise TwinError(
            "a supply that the solver finds",
            found=f"HiGHS: {found.message.splitlines()[0]}",
            hint="look for sizes or prices that lie many powers of ten apart",
            where="dispatch",
        )
    dual = float(found.eqlin.marginals @ right.ravel() + found.upper.marginals @ high.ravel())
    if tank is not None:
        dual += float(found.ineqlin.marginals.sum() * tank)
    gap = abs(found.fun - dual) / max(1.0, abs(found.fun))
    if gap > GAP:
        raise TwinError(
            f"an optimum that its dual certifies to {GAP:g}",
            found=f"a gap of {gap:.1e}",
            hint="look for sizes or prices that lie many powers of ten apart",
            where="dispatch",
        )
    return np.asarray(found.x).reshape(count, 7, hours), gap


# ---------------------------------------------------------------- checks


def _hourly(array: xr.DataArray, hours: int, count: int) -> np.ndarray:
    """Values (time, site), the same for all sites where they have no dim of their own."""
    own = array.transpose("time", "site", missing_dims="ignore").to_numpy()
    return np.broadcast_to(own.reshape(hours, -1), (hours, count))


def _prices(grid_cost: Any, power: xr.DataArray) -> np.ndarray:
    hours = power.sizes["time"]
    if isinstance(grid_cost, xr.DataArray):
        if grid_cost.dims != ("time",):
            raise TwinError(
                "a grid price over time", found=f"dims {grid_cost.dims}", hint="one price for all sites",
                where="grid_cost",
            )  # fmt: skip
        same_hours(power, grid_cost, "grid_cost")
        grid_cost = grid_cost.to_numpy()
    within(grid_cost, 0.0, 1e9, name="grid_cost", unit="1/kWh")
    return np.broadcast_to(np.asarray(grid_cost, float), (hours,))


def _same_sites(array: xr.DataArray, other: xr.DataArray, name: str) -> None:
    for a in (array, other):
        if "site" not in a.dims:
            raise TwinError(
                f"{name} with dim site",
                found=f"dims {tuple(a.dims)}",
                hint="sum cells over their sites: site_power(power, twin, overhead=...)",
                where=name,
            )
    ids = [a.indexes.get("site") for a in (array, other)]
    same = array.sizes["site"] == other.sizes["site"]
    if same and ids[0] is not None and ids[1] is not None:
        same = ids[0].equals(ids[1])
    if not same or array.sizes["site"] == 0:
        raise TwinError(
            f"{name} of the same sites, in the same order",
            found=f"{other.sizes['site']} against {array.sizes['site']}, or other ids",
            hint="array.reindex(site=twin['sites'].site)",
            where=name,
        )
