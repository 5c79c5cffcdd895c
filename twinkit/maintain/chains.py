"""Alarms made from known causes, so that whoever looks for roots can be held to the truth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twinkit.contract import whole_seed, within
from twinkit.error import TwinError
from twinkit.maintain.alarms import distances

__all__ = ["chains"]


def chains(
    twin: xr.DataTree, *, kinds: int, days: float, seed: int, per_day: float = 1.5, lost: float = 0.05
) -> xr.Dataset:
    """Chains of alarms over a network: some begin by themselves, others follow, some never arrive.

    Kinds stand in an order, and causes come before effects in it; each kind has up to two effects, each with a chance
    of its own, at the same site or at a linked one. Lags are log-normal about 25 s, stamps are whole seconds: neither
    is what `learned_alarms` assumes.

    Parameters
    ----------
    twin : DataTree
        With ``links``.
    kinds : int
        From 2.
    days : float
    seed : int
    per_day : float [1]
        Alarms a day and site that begin by themselves.
    lost : float [1]
        Share that never arrives; what it caused does.

    Returns
    -------
    Dataset (alarm)
        ``alarm_kind``, ``alarm_site``, ``alarm_time`` [s]; the truth in ``true_root`` (alarm), the position of the
        first of the chain that arrived, and ``true_effect`` (cause, kind) [1], the chance that one brings about
        the other.

    Errors
    ------
    TwinError
        Numbers out of range, no alarms.

    Examples
    --------
    >>> from twinkit.network.traffic import square
    >>> made = chains(square(), kinds=4, days=20, seed=1)
    >>> bool((made.true_root <= np.arange(made.sizes["alarm"])).all()), bool(made.true_effect.max() <= 1)
    (True, True)
    """
    if isinstance(kinds, bool) or not isinstance(kinds, int | np.integer) or not 2 <= kinds <= 500:
        raise TwinError("2 to 500 kinds", found=repr(kinds), hint="give kinds=20", where="kinds")
    within(days, 0.01, 3660, name="days", unit="d")
    within(per_day, 1e-6, 1e4, name="per_day", unit="1/d")
    within(lost, 0, 0.9, name="lost", unit="1")
    rng = np.random.default_rng(whole_seed(seed))
    names, away = distances(twin, reach=1)
    linked = [np.flatnonzero(row == 1) for row in away]
    effect = np.zeros((kinds, kinds))
    for cause in range(kinds - 1):
        count = min(int(rng.integers(0, 3)), kinds - 1 - cause)
        effect[cause, cause + 1 + rng.choice(kinds - 1 - cause, count, replace=False)] = rng.uniform(0.3, 0.9, count)
    # some sites and some kinds are busier than others
    rate = np.outer(rng.lognormal(0, 0.6, len(names)), rng.lognormal(0, 0.6, kinds))
    begun = rng.poisson(rate / rate.sum() * per_day * len(names) * days)
    site, kind = np.repeat(np.indices(begun.shape).reshape(2, -1), begun.ravel(), axis=1)
    found = [
        (float(t), int(s), int(k), -1)
        for t, s, k in zip(rng.uniform(0, days * 86400, len(site)), site, kind, strict=True)
    ]
    at = 0
    while at < len(found):
        time, s, k, _ = found[at]
        for follows in np.flatnonzero(effect[k]):
            if rng.random() < effect[k, follows]:
                near = linked[s]
                spot = int(rng.choice(near)) if len(near) and rng.random() < 0.6 else s
                found.append((time + float(rng.lognormal(np.log(20.0), 0.7)), spot, int(follows), at))
        at += 1
    if len(found) < 2:
        raise TwinError("two alarms or more", found=f"{len(found)}", hint="more days", where="days")
    came = rng.random(len(found)) >= lost
    parent = np.array([f[3] for f in found])
    first = np.arange(len(found))
    for n in range(len(found)):
        # parents stand before their children in the list; a lost one hands its own root on
        if parent[n] >= 0 and (came[parent[n]] or first[parent[n]] != parent[n]):
            first[n] = first[parent[n]]
    stamp = np.floor([f[0] for f in found])
    order = np.lexsort((np.arange(len(found)), stamp))
    order = order[came[order]]
    place = np.full(len(found), -1)
    place[order] = np.arange(len(order))
    words = np.array([f"k{k:02d}" for k in range(kinds)], dtype=object)
    said = {"provenance": f"generated: chains of known causes, seed {seed}"}
    return xr.Dataset(
        {
            "alarm_kind": ("alarm", words[[found[n][2] for n in order]], dict(said)),
            "alarm_site": ("alarm", np.array(names, dtype=object)[[found[n][1] for n in order]], dict(said)),
            "alarm_time": ("alarm", stamp[order], said | {"units": "s"}),
            "true_root": ("alarm", place[first[order]], dict(said)),
            "true_effect": (("cause", "kind"), effect, dict(said)),
        },
        {"cause": words, "kind": words},
    )
