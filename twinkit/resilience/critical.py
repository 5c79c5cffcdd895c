"""Which single site, link or battery would have saved most: the same draws again, with that one made safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError
from twinkit.resilience.assets import AUTONOMY, CORE, generated, positions, web
from twinkit.resilience.cascade import service
from twinkit.resilience.served import _check_hit, depending, flat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["critical"]


@contract(
    reads=["sites/x", "sites/y", "sites/kind", "links/source", "links/target", "fails_at", "people"],
    gives=["people_hours_saved"],
    computes=True,
)
def critical(
    twin: xr.DataTree,
    hit: xr.Dataset,
    *,
    catchment: xr.Dataset,
    hours: float,
    step: float = 1.0,
    crews: Callable[[xr.Dataset], xr.Dataset] | None = None,
    candidates: Iterable[str] | int = 60,
    nodes: Iterable[str] = ("sites", "links"),
    battery: float = 0.0,
    core: Iterable[str] = CORE,
    autonomy: Mapping[str, float] = AUTONOMY,
    level: float = 0.9,
    members: int = 1,
) -> xr.Dataset:
    r"""Expected people-hours that each single investment saves, with its interval.

    .. math:: \Delta_a = \frac{1}{D} \sum_d \left( L_d - L_d^{(a)} \right)

    with L the loss of a draw as it is, and L^(a) its loss with `a` safe, on the same luck: the difference has far less
    noise than either loss.

    Parameters
    ----------
    twin : DataTree
    hit : Dataset (draw, asset)
        What `strike` gives; some hundred draws are enough for a ranking.
    catchment : Dataset
        What `catchment` gives.
    hours, step : float [h]
        As for `served`.
    crews : function(hit) -> Dataset, optional
        How damage is repaired: ``lambda hit: recovery(hit, crews=5, ...)``; without it nothing is.
    candidates : int or list of assets
        How many are looked at (those with most people depending on them times the share of draws in which they fail),
        or which.
    nodes : list of str
        Among what to look: "sites", "links", "feeders".
    battery : float [h]
        Hours of autonomy added to one site at a time; 0 asks for no battery. A site so asked for stands in the
        result as ``"battery/s001"``.
    core, autonomy
        As for `served`.
    level : float [1]
        Of the interval.
    members : int
        Of the hazard, as for `interval`.

    Returns
    -------
    Dataset (asset)
        ``people_hours_saved`` [people h], the most first, with ``low`` and ``high`` (interval of the mean) and
        ``share`` of the loss. Computed.

    Validity
    --------
    One at a time: what two of them save together is not the sum. An asset made safe never fails; no cost stands
    against it here. A candidate that was not looked at may save something too.

    Errors
    ------
    TwinError
        A candidate that is not there, negative battery hours, or a hit on another twin.

    Examples
    --------
    See ``docs/resilience.md``.
    """
    from scipy.stats import norm

    within(battery, 0.0, 1e5, name="battery", unit="h")
    within(hours, step, 1e5, name="hours", unit="h")
    within(level, 0.01, 0.9999, name="level", unit="1")
    net = web(twin, core=core, autonomy=autonomy)
    lost = hit.compute()
    fails = lost["fails_at"].transpose("draw", "asset")
    _check_hit(twin, fails, net)
    whole_seed(int(hit.attrs.get("seed", 0)))
    names = np.asarray(fails["asset"].values, dtype=object)
    known = catchment.compute()
    people, group, choice = flat(known)
    walk: dict[str, Any] = {"people": people, "group": group, "choice": choice, "step": float(step)}
    walk["steps"] = round(float(hours) / float(step))

    def loss(table: np.ndarray, rows: np.ndarray, over: Any) -> np.ndarray:
        """Loss of the draws `rows` with these failures, after the crews have been sent anew."""
        some = xr.Dataset(
            {"fails_at": (("draw", "asset"), table[rows], fails.attrs)},
            {**{k: v for k, v in lost.coords.items() if v.dims == ("asset",)}, "draw": lost["draw"].values[rows]},
            lost.attrs,
        )
        back = np.full(some["fails_at"].shape, np.inf, np.float32)
        if crews is not None:
            mended = crews(some.assign_coords({k: v for k, v in lost.coords.items() if not v.dims}))
            back = mended["repaired_at"].transpose("draw", "asset").compute().values
        return service(some["fails_at"].values, back, over, **walk)[2]

    table = np.asarray(fails.values, np.float32)
    every = np.arange(len(table))
    as_it_is = loss(table, every, net)
    rows_of: list[tuple[str, np.ndarray]] = []
    chosen = _candidates(twin, lost, known, candidates, tuple(nodes), core, names)
    for name in chosen:
        at = int(positions(np.array([name], dtype=object), names, what="assets", where="candidates")[0])
        hurt = every[np.isfinite(table[:, at])]
        saved = np.zeros(len(table))
        if len(hurt):
            better = table.copy()
            better[:, at] = np.nan
            saved[hurt] = as_it_is[hurt] - loss(better, hurt, net)
        rows_of.append((name, saved))
    if battery > 0:
        for name in chosen:
            if not name.startswith("sites/"):
                continue
            at = int(np.flatnonzero(names == name)[0])
            longer = net.autonomy.copy()
            longer[at] += battery
            more = type(net)(**{**net.__dict__, "autonomy": longer})
            feeder = _above(net, at)
            hurt = every[np.isfinite(table[:, feeder]).any(axis=1)] if len(feeder) else every[:0]
            saved = np.zeros(len(table))
            if len(hurt):
                saved[hurt] = as_it_is[hurt] - loss(table, hurt, more)
            rows_of.append((f"battery/{name.partition('/')[2]}", saved))
    gains = np.array([s for _, s in rows_of]).reshape(len(rows_of), len(table))
    mean, error = _sure(gains, members, float(norm.ppf(0.5 + level / 2)))
    order = np.argsort(-mean, kind="stable")
    attrs = {
        "provenance": str(fails.attrs.get("provenance", "modelled: damage given")),
        "method": f"{len(table)} draws with common luck; {len(rows_of)} investments looked at, one at a time",
    }
    total = float(as_it_is.mean())
    return xr.Dataset(
        {
            "people_hours_saved": ("asset", mean[order], attrs),
            "low": ("asset", (mean - error)[order]),
            "high": ("asset", (mean + error)[order]),
            "share": ("asset", mean[order] / total if total > 0 else np.zeros(len(order))),
        },
        {"asset": np.array([rows_of[i][0] for i in order], dtype=object)},
        {"generated": generated(twin), "people_hours_lost": total, "hazard": str(hit.attrs.get("hazard", ""))},
    )


def _candidates(
    twin: xr.DataTree, lost: xr.Dataset, known: xr.Dataset, asked: Any, nodes: tuple[str, ...], core: Any, names: Any
) -> list[str]:
    if not isinstance(asked, int | np.integer):
        return [i if "/" in i else f"sites/{i}" for i in map(str, asked)]
    within(int(asked), 1, 1e6, name="candidates", unit="assets")
    where = np.array([n.partition("/")[0] for n in names])
    if not np.isin(where, nodes).any():
        raise TwinError(
            f"nodes among {', '.join(dict.fromkeys(where))}", found=", ".join(nodes), hint="nodes=['sites', 'links']",
            where="nodes",
        )  # fmt: skip
    share = np.isfinite(lost["fails_at"].transpose("draw", "asset").values).mean(axis=0)
    some = np.flatnonzero(np.isin(where, nodes) & (share > 0))
    weight = depending(twin, catchment=known, core=core, ids=names[some]).values * share[some] if len(some) else share
    # where nobody depends on one alone, the share of draws decides
    order = np.lexsort((-share[some], -weight)) if len(some) else np.zeros(0, int)
    return [str(names[some[i]]) for i in order[: int(asked)]]


def _above(net: Any, site: int) -> np.ndarray:
    """Positions among assets of the feeders over a site."""
    found, now = [], int(net.feeder[site])
    first = net.sites + net.links
    while now >= 0:
        found.append(first + now)
        now = int(net.parent[now])
    return np.array(found, int)


def _sure(saved: np.ndarray, members: int, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean over draws, and half the width of its interval."""
    count = saved.shape[1]
    if members > 1 and count >= 2 * members:
        whole = count - count % members
        means = saved[:, :whole].reshape(len(saved), -1, members).mean(axis=1)
    else:
        means = saved
    error = means.std(axis=1, ddof=1) / np.sqrt(means.shape[1]) if means.shape[1] > 1 else np.full(len(saved), np.nan)
    return saved.mean(axis=1), z * error
