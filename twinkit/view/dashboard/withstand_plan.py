"""A plan against a hazard: a branch of the store, what is bought for it, and how crews work; as a twin and on paper.

Batteries, diesel sets and fibres are changes of the twin, so a plan can be saved as a branch. Crews are no part of a
network: they stand in the branch's attributes, and whoever opens the branch next starts with them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import resilience
from twinkit.error import TwinError
from twinkit.resilience.assets import positions, web
from twinkit.view.dashboard.withstand_hazard import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIESEL", "FIELDS", "RULES", "Plan", "dependent", "invested", "kept", "plan", "remembered", "rule"]

RULES = ("most people first", "quickest first", "first come")
DIESEL = resilience.AUTONOMY["grid and diesel"]
"""[h] that a site with a diesel set runs without the grid, as twinkit assumes it."""
ATTRIBUTE = "withstand_crews"
FIELDS = (
    Field("battery", 0.0, 0.0, 1000.0, "h"),
    Field("crews", 5, 0, 1000, whole=True),
    Field("grid_crews", 5, 0, 1000, whole=True),
    Field("begins", 24.0, 0.0, 1000.0, "h"),
    Field("rule", RULES[0], options=RULES),
)
MOST_SITES = 200
"""Sites that one plan equips."""


@dataclass(frozen=True)
class Plan:
    """A branch, what is bought at the sites `at`, and who repairs.

    Attributes
    ----------
    branch : str
    at : tuple of str
        Sites that get the batteries, the diesel sets and the second fibres.
    battery : float [h]
        Hours of battery more at each of them.
    diesel, second_fibre : bool
    crews, grid_crews : int
        Of the operator, for sites and links, and of the utility, for feeders.
    begins : float [h]
        After landfall, when crews set out.
    rule : str
        One of `RULES`.
    """

    branch: str = "main"
    at: tuple[str, ...] = ()
    battery: float = 0.0
    diesel: bool = False
    second_fibre: bool = False
    crews: int = 5
    grid_crews: int = 5
    begins: float = 24.0
    rule: str = RULES[0]


def plan(values: Mapping[str, Any]) -> Plan:
    """A plan whose numbers are within their limits; what is not given takes its default.

    Parameters
    ----------
    values : dict of str to value
        By the names of `Plan`; `at` may be a text with commas or blanks between the ids.

    Errors
    ------
    TwinError
        An unknown field, or a value out of its limits.

    Examples
    --------
    >>> plan({"crews": -3})
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: crews: expected a whole number from 0 to 1000; found -3. Try: 5, for example.
    """
    known = {f.name for f in dataclasses.fields(Plan)}
    strange = sorted(set(values) - known)
    if strange:
        raise TwinError(
            f"fields {', '.join(sorted(known))}", found=f"'{strange[0]}'", hint="leave it out", where="plan"
        )
    made: dict[str, Any] = {f.key: f.checked(values.get(f.key, f.default)) for f in FIELDS}
    at = values.get("at", ())
    ids = tuple(dict.fromkeys(str(at).replace(",", " ").split() if isinstance(at, str) else map(str, at)))
    if len(ids) > MOST_SITES:
        raise TwinError(
            f"at most {MOST_SITES} sites to equip", found=f"{len(ids)}", hint="name the most critical", where="at"
        )
    made |= {k: bool(values.get(k, False)) for k in ("diesel", "second_fibre")}
    return Plan(branch=str(values.get("branch", "main")), at=ids, **made)


def dependent(twin: xr.DataTree, *, catchment: xr.Dataset, count: int = 10) -> tuple[str, ...]:
    """The sites without which most people lose service, before any hazard is chosen: where a plan may begin.

    Parameters
    ----------
    twin : DataTree
    catchment : Dataset
        As `twinkit.resilience.catchment` gives it.
    count : int

    Returns
    -------
    tuple of str
        Radio sites first by people who depend on them alone, then by people who may use them.
    """
    names = np.array([str(s) for s in np.asarray(twin["sites"]["site"].to_numpy())], dtype=object)
    alone = resilience.depending(twin, catchment=catchment, ids=[f"sites/{n}" for n in names]).values
    near = np.zeros(len(names))
    choice = np.asarray(catchment["sites"].transpose("pixel", "choice").values)
    people = np.asarray(catchment["people"].values, float)
    for column in choice.T:
        np.add.at(near, column[column >= 0], people[column >= 0])
    order = np.lexsort((np.arange(len(names)), -near, -alone))
    return tuple(str(names[i]) for i in order if near[i] > 0)[:count]


def invested(twin: xr.DataTree, plan: Plan) -> xr.DataTree:
    """The twin of a plan's branch with what the plan buys.

    Parameters
    ----------
    twin : DataTree
    plan : Plan

    Returns
    -------
    DataTree
        ``sites/autonomy`` and ``sites/power_source`` for batteries and diesel sets, more ``links`` for fibres, each
        with a provenance that says so. The same twin where nothing is bought.

    Errors
    ------
    TwinError
        A site that is not there, or something to buy and no site to put it.
    """
    buys = plan.battery > 0 or plan.diesel or plan.second_fibre
    if not buys:
        return twin
    if not plan.at:
        raise TwinError(
            "sites that get what is bought", found="none", hint="name them, or take the most critical", where="at"
        )
    from twinkit.twin import extend

    sites = twin.children["sites"].to_dataset(inherit=False)
    names = np.array([str(s) for s in sites["site"].values], dtype=object)
    at = positions(np.array(plan.at, dtype=object), names, what="sites", where="at")
    out = twin
    if plan.battery > 0 or plan.diesel:
        hours = resilience.autonomy_of(twin).copy()
        if plan.diesel:
            hours[at] = np.maximum(hours[at], DIESEL)
        hours[at] += plan.battery
        says = {"units": "h", "provenance": f"modelled: {_bought(plan)} at {len(at)} sites of a plan"}
        # a million hours stand for a site that needs no grid: an infinite number is not stored
        new = xr.DataArray(np.minimum(hours, 1e6), dims="site", name="autonomy", attrs=says)
        out = extend(out, sites=new)
        if plan.diesel and "power_source" in sites:
            power = np.array([str(v) for v in sites["power_source"].values], dtype=object)
            grid = [i for i in at if power[i] in ("grid", "grid and battery")]
            power[grid] = "grid and diesel"
            attrs = {**sites["power_source"].attrs, "provenance": says["provenance"]}
            out = extend(out, sites=xr.DataArray(power, dims="site", name="power_source", attrs=attrs))
    return _with_fibres(out, [int(i) for i in at]) if plan.second_fibre else out


def rule(plan: Plan, twin: xr.DataTree, *, catchment: xr.Dataset) -> Any:
    """The rule by which crews choose, as `twinkit.resilience.recovery` takes it."""
    if plan.rule == RULES[0]:
        return resilience.most_people(twin, catchment=catchment)
    return resilience.quickest if plan.rule == RULES[1] else resilience.first_come


def kept(plan: Plan, twin: xr.DataTree) -> xr.DataTree:
    """The twin of a plan as it is saved: with the crews in its attributes.

    Parameters
    ----------
    plan : Plan
    twin : DataTree
        Of the plan's branch, as it stands in the store.
    """
    made = invested(twin, plan).copy()
    crews = {k: getattr(plan, k) for k in ("crews", "grid_crews", "begins", "rule")}
    made.attrs = {**made.attrs, ATTRIBUTE: json.dumps(crews)}
    return made


def remembered(twin: xr.DataTree) -> dict[str, Any]:
    """Crews that a branch was saved with; nothing where there are none or they are not what a plan can hold."""
    try:
        said = json.loads(str(twin.attrs.get(ATTRIBUTE, "{}")))
        return {f.key: f.checked(said[f.key]) for f in FIELDS if f.key in said}
    except (ValueError, TypeError, AttributeError):
        return {}


def _bought(plan: Plan) -> str:
    parts = [f"{plan.battery:g} h of battery more"] if plan.battery > 0 else []
    return " and ".join([*parts, *(["a diesel set"] if plan.diesel else [])])


# ---------------------------------------------------------------- a second way


def _with_fibres(twin: xr.DataTree, at: list[int]) -> xr.DataTree:
    """A fibre from each site to the nearest one whose way to the core shares nothing with the site's own."""
    from twinkit.twin import extend

    links = twin.children["links"].to_dataset(inherit=False)
    sites = twin.children["sites"].to_dataset(inherit=False)
    names = [str(s) for s in sites["site"].values]
    x, y = (np.asarray(sites[d].values, float) for d in ("x", "y"))
    ends = second_ways(twin, at)
    if not ends:
        return twin
    known = {str(v) for v in links["link"].values}
    ids = [_free(f"second-{names[a]}", known) for a, _ in ends]
    says = "modelled: a second fibre of a plan, on the straight line"
    new: dict[str, Any] = {}
    capacity = _capacity(links, names, [a for a, _ in ends])
    for name, array in links.data_vars.items():
        if array.dims != ("link",):
            continue
        text = array.dtype.kind in "OUT"
        own: Any = np.full(len(ends), "" if text else np.nan, dtype=object if text else float)
        if name in ("source", "target"):
            own = np.array([names[e[0 if name == "source" else 1]] for e in ends], dtype=object)
        elif name == "medium":
            own[:] = "fibre"
        elif name == "capacity":
            own = capacity
        elif name == "length":
            own = np.array([math.hypot(x[a] - x[b], y[a] - y[b]) for a, b in ends])
        attrs = {**array.attrs, "provenance": f"{array.attrs.get('provenance', 'given')}; {says}"}
        new[str(name)] = ("link", np.concatenate([np.asarray(array.values), own]), attrs)
    table = xr.Dataset(new, {"link": np.array([*map(str, links["link"].values), *ids], dtype=object)}, links.attrs)
    return extend(twin, links=table)


def second_ways(twin: xr.DataTree, at: list[int]) -> list[tuple[int, int]]:
    """For each site the nearest one that reaches the core without any site or link of its present way.

    Where there is none, the core site itself: a second fibre beside the first, whose luck is its own.

    Parameters
    ----------
    twin : DataTree
    at : list of int
        Positions of sites; sites of the core need none and are left out.

    Returns
    -------
    list of (position of the site, position of the other end)
    """
    import networkx as nx

    net = web(twin, feeds=False)
    sites = twin.children["sites"].to_dataset(inherit=False)
    x, y = (np.asarray(sites[d].values, float) for d in ("x", "y"))
    graph: Any = nx.Graph()
    graph.add_nodes_from(range(net.sites))
    for i in range(net.sites):
        graph.add_edges_from((i, int(j)) for j in net.neighbour[net.start[i] : net.start[i + 1]])
    core = {int(c) for c in net.core}
    out = []
    for site in at:
        if site in core:
            continue
        ways = nx.single_source_shortest_path(graph, site)
        own = min((w for c, w in ways.items() if c in core), key=len, default=[site])
        rest = graph.copy()
        rest.remove_nodes_from(n for n in own if n not in core)
        fit = {n for c in core for n in nx.node_connected_component(rest, c)} - set(graph[site]) - {site}
        fit = fit or core
        out.append((site, min(fit, key=lambda n: (math.hypot(x[n] - x[site], y[n] - y[site]), n))))
    return out


def _capacity(links: xr.Dataset, names: list[str], at: list[int]) -> np.ndarray:
    """As much as the best link that a site has now."""
    if "capacity" not in links:
        return np.full(len(at), np.nan)
    source, target = (np.array([str(v) for v in links[n].values]) for n in ("source", "target"))
    values = np.asarray(links["capacity"].values, float)
    return np.array([np.max(values[(source == names[i]) | (target == names[i])], initial=0.0) for i in at])


def _free(name: str, known: set[str]) -> str:
    """A name that no link has yet."""
    out, number = name, 2
    while out in known:
        out, number = f"{name}-{number}", number + 1
    known.add(out)
    return out
