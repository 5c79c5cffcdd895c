"""Which alarm began it: causes among alarms from their order in time and their distance in the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError

__all__ = ["AlarmModel", "distances", "earliest", "followers", "learned_alarms", "root_cause"]

ROUNDS = 40
"""Rounds of expectation and maximisation; by then the shares move in the third decimal."""

DOUBT = 1.0
"""Alarms that coincidence is granted for each pair of kinds before it counts as a cause."""

BORROWED = 0.1
"""Share of a site's background that it borrows from all sites: few alarms make a poor rate."""


@dataclass(frozen=True)
class AlarmModel:
    """What `learned_alarms` gives: who causes whom.

    Attributes
    ----------
    effect : DataArray (cause, kind) [1]
        Alarms of a kind that one alarm of the cause brings about, on average, in its whole reach.
    support : DataArray (cause, kind) [1]
        How many alarms of the log are laid to that account.
    background : DataArray (alarm_site, kind) [1/s]
        Alarms that begin by themselves.
    by_distance : array (hop,) [1]
        How the effect shares out among one site at each distance; the first is the site itself, in sum 1.
    lag : float [s]
        Mean time from cause to effect.
    window : float [s]
    """

    effect: xr.DataArray
    support: xr.DataArray
    background: xr.DataArray
    by_distance: np.ndarray
    lag: float
    window: float


def distances(twin: xr.DataTree, *, reach: int) -> tuple[list[str], np.ndarray]:
    """Links between each two sites, on the shortest way; beyond the reach -1.

    Parameters
    ----------
    twin : DataTree
        With ``links/source`` and ``links/target``; sites without a link may stand in ``sites``.
    reach : int
        From 0 to 6 links.

    Returns
    -------
    (list of str, array (site, site) of int)

    Errors
    ------
    TwinError
        A reach out of range.

    Examples
    --------
    >>> from twinkit.network.traffic import square
    >>> names, away = distances(square(), reach=1)
    >>> away[0].tolist()
    [0, 1, -1, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    if isinstance(reach, bool) or not isinstance(reach, int | np.integer) or not 0 <= reach <= 6:
        raise TwinError("a reach of 0 to 6 links", found=repr(reach), hint="give reach=2", where="reach")
    source, target = (twin[f"links/{n}"].to_numpy().tolist() for n in ("source", "target"))
    listed = twin["sites/site"].to_numpy().tolist() if "sites" in twin.children else []
    names = list(dict.fromkeys([*listed, *source, *target]))
    at = {s: k for k, s in enumerate(names)}
    one, two = [at[s] for s in source], [at[s] for s in target]
    graph = coo_matrix((np.ones(len(one)), (one, two)), shape=(len(names), len(names))).tocsr()
    away = dijkstra(graph, directed=False, unweighted=True, limit=float(reach))
    return names, np.where(np.isfinite(away), away, -1).astype(int)


def learned_alarms(
    twin: xr.DataTree, alarms: xr.Dataset, *, reach: int = 2, window: float = 300.0, topology: bool = True
) -> AlarmModel:
    r"""Who causes whom among kinds of alarms: a Hawkes process on the network, by expectation and maximisation.

    .. math:: λ_{k,s}(t) = μ_{k,s} + \sum_{m: t_m < t} α_{k_m k}\, κ_{h(s_m, s)}\, \tfrac1τ e^{-(t - t_m)/τ}

    Each alarm is laid to the account of what may have caused it, by its share in λ; from those shares follow new
    effects α, distances κ, lag τ and backgrounds μ, and so on.

    Parameters
    ----------
    twin : DataTree
        With ``links``.
    alarms : Dataset (alarm)
        ``alarm_kind``, ``alarm_site``, ``alarm_time`` [s], ascending.
    reach : int
        Links over which an alarm may cause another.
    window : float [s]
        Time after which it no longer does.
    topology : bool
        False leaves out the network: every site is as near as every other. A baseline.

    Returns
    -------
    AlarmModel

    Validity
    --------
    Rates that do not change over the day, effects that add up. Alarms of the same second cause each other in no
    direction. What causes two kinds and raises no alarm itself looks like a cause between them.

    Errors
    ------
    TwinError
        Fewer than two alarms, time going backwards, sites that the twin does not have, a window not above 0.

    References
    ----------
    Cai et al. (2022), THPs: topological Hawkes processes for learning causal structure on event sequences, equation
    (4); Veen and Schoenberg (2008), Estimation of space-time branching process models, equations (9) to (12).
    """
    log = _log(twin, alarms, reach, window, topology)
    return _learned(log, _pairs(log, window), window)


def _learned(log: _Log, pairs: _Pairs, window: float) -> AlarmModel:
    kinds, sites = len(log.kinds), len(log.sites)
    span = max(float(log.time[-1] - log.time[0]), 1.0)
    hops = log.room.shape[1]
    count = np.zeros((sites, kinds))
    np.add.at(count, (log.site, log.kind), 1)
    per_kind = np.bincount(log.kind, minlength=kinds)
    background = 0.5 * _shrunk(count, span)
    lag = window / 5
    effect = np.full((kinds, kinds), 0.3 / kinds)
    near = 1.0 / np.maximum(log.room.mean(axis=0), 1e-9) / hops
    code = log.kind[pairs.cause] * kinds + log.kind[pairs.child]
    support: np.ndarray = np.zeros((kinds, kinds))
    for _ in range(ROUNDS):
        own, share = _shares(log, pairs, background, effect, near, lag)
        total = float(share.sum())
        support = np.bincount(code, share, kinds * kinds).astype(float).reshape(kinds, kinds)
        doubted = np.maximum(support - DOUBT, 0)
        # sites that an alarm of each kind could have reached, weighed by distance
        exposed = np.bincount(log.kind, log.room[log.site] @ near, kinds)
        effect = doubted / np.maximum(exposed, 1e-9)[:, None]
        by_hop = np.bincount(pairs.hop, share, hops)
        offspring = effect.sum(axis=1)[log.kind]
        met = (log.room[log.site] * offspring[:, None]).sum(axis=0)
        near = np.divide(by_hop, met, out=np.zeros(hops), where=met > 0)
        near = near / max(near.sum(), 1e-12) if near.sum() > 0 else np.full(hops, 1 / hops)
        exposed = np.bincount(log.kind, log.room[log.site] @ near, kinds)
        effect = doubted / np.maximum(exposed, 1e-9)[:, None]
        if total > 0:
            lag = float(np.clip((share * pairs.lag).sum() / total, window / 100, window / 2))
        begun = np.zeros((sites, kinds))
        np.add.at(begun, (log.site, log.kind), own)
        background = _shrunk(begun, span)
    labels = {"cause": log.kinds, "kind": log.kinds}
    told = np.divide(support, per_kind[:, None], out=np.zeros_like(support), where=per_kind[:, None] > 0)
    said = {"provenance": "modelled: topological Hawkes process", "units": "1"}
    return AlarmModel(
        effect=xr.DataArray(told, labels, ("cause", "kind"), name="effect", attrs=said),
        support=xr.DataArray(support, labels, ("cause", "kind"), name="support", attrs=said),
        background=xr.DataArray(
            background, {"alarm_site": log.sites, "kind": log.kinds}, ("alarm_site", "kind"), attrs={"units": "1/s"}
        ),
        by_distance=near,
        lag=lag,
        window=float(window),
    )


@contract(
    reads=["links/source", "links/target", "alarm_kind", "alarm_site", "alarm_time"],
    gives=["root_alarm", "root_share"],
    computes=True,
)
def root_cause(
    twin: xr.DataTree, alarms: xr.Dataset, *, reach: int = 2, window: float = 300.0, model: AlarmModel | None = None
) -> xr.Dataset:
    """For each alarm the one that began the chain, and the chance that it began by itself.

    Parameters
    ----------
    twin : DataTree
        With ``links``.
    alarms : Dataset (alarm)
        ``alarm_kind``, ``alarm_site``, ``alarm_time`` [s], in ascending order.
    reach : int
        As of `learned_alarms`.
    window : float [s]
        As of `learned_alarms`.
    model : AlarmModel, optional
        Learned on a longer log; left out, on these alarms.

    Returns
    -------
    Dataset (alarm)
        ``root_alarm`` [1]: the position of the first of its chain, an alarm's own where it began by itself.
        ``root_share`` [1]: the chance that it did.

    Validity
    --------
    As `learned_alarms`; kinds that the model has not met count as beginning by themselves.

    Errors
    ------
    TwinError
        As `learned_alarms`.

    Examples
    --------
    >>> from twinkit.network.traffic import square
    >>> twin = square()
    >>> time = np.sort(np.concatenate([np.arange(50) * 2e3, np.arange(50) * 2e3 + 20]))
    >>> alarms = xr.Dataset(
    ...     {"alarm_kind": ("alarm", ["power", "radio"] * 50), "alarm_site": ("alarm", ["a", "b"] * 50),
    ...      "alarm_time": ("alarm", time, {"units": "s"})})
    >>> told = root_cause(twin, alarms, reach=1)
    >>> told.root_alarm.values[:4].tolist()
    [0, 0, 2, 2]
    """
    window = window if model is None else model.window
    log = _log(twin, alarms, reach, window, True)
    pairs = _pairs(log, window)
    model = _learned(log, pairs, window) if model is None else model
    known = model.effect["kind"].to_numpy().tolist()
    at = {k: n for n, k in enumerate(known)}
    to = np.array([at.get(k, -1) for k in log.kinds.tolist()])
    spots = {s: n for n, s in enumerate(model.background["alarm_site"].to_numpy().tolist())}
    place = np.array([spots.get(s, -1) for s in log.sites.tolist()])
    per_kind = model.background.to_numpy()
    floor = max(float(per_kind[per_kind > 0].min()) if (per_kind > 0).any() else 1e-9, 1e-12)
    rate = np.where((place[:, None] >= 0) & (to[None, :] >= 0), per_kind[place][:, to], floor)
    strength = np.where((to[:, None] >= 0) & (to[None, :] >= 0), model.effect.to_numpy()[np.ix_(to, to)], 0.0)
    near = model.by_distance
    if len(near) < log.room.shape[1]:
        near = np.append(near, np.zeros(log.room.shape[1] - len(near)))
    reached = np.maximum((log.room @ near[: log.room.shape[1]]).mean(), 1e-9)
    own, share = _shares(log, pairs, np.maximum(rate, floor), strength / reached, near, model.lag)
    count = len(log.time)
    parent = np.arange(count)
    best = own.copy()
    # the largest single share decides; pairs come ordered by child, so the last of the best stays
    order = np.lexsort((share, pairs.child))
    child, most = pairs.child[order], share[order]
    last = np.flatnonzero(np.append(child[1:] != child[:-1], True)) if len(child) else np.empty(0, int)
    wins = last[most[last] > best[child[last]]]
    parent[child[wins]] = pairs.cause[order][wins]
    root = np.arange(count)
    for n in range(count):
        root[n] = root[parent[n]]  # parents come earlier, so theirs is known
    said = {"provenance": "modelled: topological Hawkes process, the most likely parent of each"}
    return xr.Dataset(
        {"root_alarm": ("alarm", root, dict(said)), "root_share": ("alarm", np.clip(own, 0, 1), dict(said))},
        {n: c for n, c in alarms.coords.items() if c.dims == ("alarm",)},
    )


def followers(alarms: xr.Dataset, *, window: float = 300.0) -> xr.DataArray:
    """How often one kind follows another within the window, over how often it would by chance: a baseline.

    Parameters
    ----------
    alarms : Dataset (alarm)
    window : float [s]

    Returns
    -------
    DataArray (cause, kind) [1]

    Errors
    ------
    TwinError
        As `learned_alarms`.
    """
    kind, _, time = _columns(alarms)
    kinds, code = np.unique(kind.astype(str), return_inverse=True)
    n = len(kinds)
    counted = np.zeros((n, n))
    for back in range(1, len(time)):
        lag = time[back:] - time[:-back]
        close = (lag > 0) & (lag <= window)
        if not (lag <= window).any():
            break
        np.add.at(counted, (code[:-back][close], code[back:][close]), 1)
    each = np.bincount(code, minlength=n)
    chance = np.outer(each, each) * window / max(float(time[-1] - time[0]), 1.0)
    return xr.DataArray(counted / np.maximum(chance, 1e-9), {"cause": kinds, "kind": kinds}, ("cause", "kind"))


def earliest(twin: xr.DataTree, alarms: xr.Dataset, *, reach: int = 2, window: float = 300.0) -> np.ndarray:
    """The first alarm within the window and the reach, taken for the root: what an operator does by hand. A baseline.

    Parameters
    ----------
    twin, alarms, reach, window
        As of `learned_alarms`.

    Returns
    -------
    array (alarm,) of int

    Errors
    ------
    TwinError
        As `learned_alarms`.
    """
    log = _log(twin, alarms, reach, window, True)
    pairs = _pairs(log, window)
    first = np.arange(len(log.time))
    np.minimum.at(first, pairs.child, pairs.cause)
    return first


# ---------------------------------------------------------------- the log as numbers


@dataclass(frozen=True)
class _Log:
    kinds: np.ndarray
    sites: np.ndarray
    kind: np.ndarray
    site: np.ndarray
    time: np.ndarray
    away: np.ndarray
    room: np.ndarray
    """Sites at each distance from each site (site, hop)."""


@dataclass(frozen=True)
class _Pairs:
    cause: np.ndarray
    child: np.ndarray
    hop: np.ndarray
    lag: np.ndarray


def _columns(alarms: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    names = ("alarm_kind", "alarm_site", "alarm_time")
    if not isinstance(alarms, xr.Dataset) or any(n not in alarms for n in names):
        raise TwinError("alarms with " + ", ".join(names), found="other data", hint="see tk.maintain.alarm_log")
    alarms = alarms[list(names)].compute()
    kind, site, time = (alarms[n].to_numpy() for n in names)
    time = time.astype(float)
    if len(time) < 2:
        raise TwinError("two alarms or more", found=f"{len(time)}", hint="take a longer log", where="alarms")
    if not np.isfinite(time).all():
        raise TwinError("a time for every alarm", found="a missing one", hint="drop it", where="alarm_time")
    back = np.flatnonzero(np.diff(time) < 0)
    if len(back):
        raise TwinError(
            "alarms in the order of their time",
            found=f"{time[back[0] + 1]:g} s after {time[back[0]]:g} s",
            hint="alarms.sortby('alarm_time')",
            where="alarm_time",
        )
    return kind, site, time


def _log(twin: xr.DataTree, alarms: xr.Dataset, reach: int, window: float, topology: bool) -> _Log:
    within(window, 0.001, 1e7, name="window", unit="s")
    kind, site, time = _columns(alarms)
    names, away = distances(twin, reach=reach)
    strangers = sorted(set(site.astype(str).tolist()) - set(map(str, names)))
    if strangers:
        raise TwinError(
            "alarms of the twin's sites", found=f"'{strangers[0]}'", hint="add it to sites", where="alarm_site"
        )
    if not topology:
        away = np.zeros_like(away)
    kinds, code = np.unique(kind.astype(str), return_inverse=True)
    at = {str(s): k for k, s in enumerate(names)}
    spot = np.array([at[s] for s in site.astype(str).tolist()])
    hops = 1 if not topology else reach + 1
    room = np.stack([(away == h).sum(axis=1) for h in range(hops)], axis=1).astype(float)
    return _Log(kinds, np.array(names, dtype=object), code, spot, time, away, room)


def _pairs(log: _Log, window: float) -> _Pairs:
    """Alarms and what came before them, within the window and the reach, ordered by the later one."""
    causes, children = [], []
    for back in range(1, len(log.time)):
        lag = log.time[back:] - log.time[:-back]
        if not (lag <= window).any():
            break
        close = np.flatnonzero((lag > 0) & (lag <= window) & (log.away[log.site[:-back], log.site[back:]] >= 0))
        causes.append(close)
        children.append(close + back)
    cause = np.concatenate(causes) if causes else np.empty(0, int)
    child = np.concatenate(children) if children else np.empty(0, int)
    order = np.lexsort((cause, child))
    cause, child = cause[order], child[order]
    hop = log.away[log.site[cause], log.site[child]]
    return _Pairs(cause, child, hop, log.time[child] - log.time[cause])


def _shares(
    log: _Log, pairs: _Pairs, background: np.ndarray, effect: np.ndarray, near: np.ndarray, lag: float
) -> tuple[np.ndarray, np.ndarray]:
    """Chance of each alarm to have begun by itself, and of each pair to be cause and effect."""
    strength = effect[log.kind[pairs.cause], log.kind[pairs.child]] * near[pairs.hop]
    strength = strength * np.exp(-pairs.lag / lag) / lag
    own = background[log.site, log.kind]
    total = own + np.bincount(pairs.child, strength, len(log.time))
    total = np.maximum(total, 1e-300)
    return own / total, strength / total[pairs.child]


def _shrunk(count: np.ndarray, span: float) -> np.ndarray:
    """Rates (site, kind) [1/s], each drawn a little towards the middle of all sites."""
    middle = count.mean(axis=0, keepdims=True)
    return np.asarray(((1 - BORROWED) * count + BORROWED * middle + 1e-3) / span)
