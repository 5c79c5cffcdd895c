"""Crews repair what is broken: who goes where in which order, and when each asset works again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError
from twinkit.resilience.assets import keys
from twinkit.resilience.strike import stream, uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["REPAIR", "first_come", "quickest", "recovery"]

REPAIR: Mapping[str, tuple[float, float]] = {
    "macro": (36.0, 0.6),
    "small cell": (6.0, 0.6),
    "exchange": (24.0, 0.6),
    "data centre": (24.0, 0.6),
    "microwave": (8.0, 0.6),
    "fibre": (10.0, 0.6),
    "satellite": (6.0, 0.6),
    "feeder": (30.0, 0.7),
    "substation": (72.0, 0.7),
}
"""Median hours of a crew's work on each kind of asset, and the standard deviation of its logarithm: assumed. (A mast is
replaced by one on wheels, not rebuilt.)"""


def first_come(asset: xr.Dataset) -> np.ndarray:
    """The order of the list: no rule at all."""
    return np.arange(asset.sizes["asset"], dtype=float)


def quickest(asset: xr.Dataset) -> np.ndarray:
    """What is mended soonest comes first."""
    return np.array([REPAIR.get(str(k), (24.0, 0.6))[0] for k in asset["kind"].values])


@numba.njit(cache=True, nogil=True)
def _mended(fails, order, team, crews, begins, key, seed, draws, median, spread, out):  # type: ignore[no-untyped-def]
    most = crews.max()
    free = np.empty((crews.shape[0], most))
    for i in range(fails.shape[0]):
        word = stream(seed, draws[i])
        free[:] = begins
        for k in range(order.shape[0]):
            a = order[k]
            when = fails[i, a]
            out[i, a] = np.inf
            if np.isnan(when):
                continue
            t = team[a]
            if crews[t] == 0:
                continue
            best = 0
            for c in range(1, crews[t]):
                if free[t, c] < free[t, best]:
                    best = c
            u = 1.0 - uniform(key[a], word)
            v = uniform(key[a] + np.uint64(1), word)
            normal = np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v)
            done = max(free[t, best], when) + median[a] * np.exp(spread[a] * normal)
            free[t, best] = done
            out[i, a] = done


@contract(reads=["fails_at"], gives=["fails_at", "repaired_at"])
def recovery(
    hit: xr.Dataset,
    *,
    crews: int,
    grid_crews: int,
    begins: float,
    rule: Callable[[xr.Dataset], Any] = quickest,
    repair: Mapping[str, tuple[float, float]] = REPAIR,
) -> xr.Dataset:
    """When each broken asset works again, with so many crews.

    The operator's crews mend sites and links, the utility's the feeders. A crew that is free takes the broken asset
    that stands first by the rule, works until it is mended (hours drawn about the kind's median) and takes the next.

    Parameters
    ----------
    hit : Dataset (draw, asset)
        What `strike` gives.
    crews, grid_crews : int
        Of the operator and of the utility; 0 for none.
    begins : float [h]
        After ``start``: when the roads are open.
    rule : function(asset) -> array (asset)
        Takes a Dataset with coordinates ``asset``, ``node`` and ``kind``; the smallest number comes first. `quickest`,
        `first_come`, `twinkit.resilience.most_people`, or yours.
    repair : dict of str to (float [h], float)
        Kind of asset to median and standard deviation of the logarithm.

    Returns
    -------
    Dataset (draw, asset)
        ``fails_at`` and ``repaired_at`` [h]; infinite where nobody comes or nothing broke. Lazy.

    Validity
    --------
    A crew's way between two places counts as part of the work. Spares are at hand.

    Errors
    ------
    TwinError
        Negative crews, a kind without a time of repair, or a rule that gives no number for each asset.

    Examples
    --------
    See `twinkit.resilience.served`.
    """
    import dask.array as da

    for name, number in (("crews", crews), ("grid_crews", grid_crews)):
        within(number, 0, 1e6, name=name, unit="crews")
    within(begins, 0.0, 1e5, name="begins", unit="h")
    asset = xr.Dataset(coords={k: hit[k] for k in ("asset", "node", "kind")})
    kinds = [str(k) for k in asset["kind"].values]
    missing = [k for k in dict.fromkeys(kinds) if k not in repair]
    if missing:
        raise TwinError(
            f"a time of repair for every kind ({', '.join(repair)})",
            found=f"none for '{missing[0]}'",
            hint=f"repair={{**tk.resilience.REPAIR, '{missing[0]}': (12.0, 0.6)}}",
            where="repair",
        )
    rank = np.asarray(rule(asset), float)
    if rank.shape != (len(kinds),) or np.isnan(rank).any():
        raise TwinError(
            f"a number for each of {len(kinds)} assets",
            found=f"shape {rank.shape}" if rank.shape != (len(kinds),) else "one that is not a number",
            hint="rule=lambda asset: numpy.arange(asset.sizes['asset'])",
            where="rule",
        )
    fails = hit["fails_at"].transpose("draw", "asset")
    raw = fails.data if hasattr(fails.data, "dask") else da.from_array(np.asarray(fails.data), chunks=(-1, -1))
    raw = raw.rechunk({1: -1})
    draws = da.from_array(np.asarray(hit["draw"].values, np.int64), chunks=(raw.chunks[0],))
    seed = np.uint64(whole_seed(int(hit.attrs.get("seed", 0))))
    mended = da.map_blocks(
        _block,
        raw,
        draws[:, None],
        order=np.argsort(rank, kind="stable"),
        team=(asset["node"].values == "feeders").astype(np.int64),
        crews=np.array([int(crews), int(grid_crews)]),
        begins=float(begins),
        key=keys(f"repair|{i}" for i in asset["asset"].values),
        seed=seed,
        median=np.array([repair[k][0] for k in kinds], float),
        spread=np.array([repair[k][1] for k in kinds], float),
        chunks=raw.chunks,
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
    )
    attrs = {
        "provenance": "modelled: crews at work",
        "assumptions": f"{int(crews)} crews of the operator and {int(grid_crews)} of the utility, from hour {begins:g};"
        f" order by {getattr(rule, '__name__', 'a rule')}; hours of work assumed",
    }
    return hit.assign(repaired_at=(("draw", "asset"), mended, attrs))


def _block(fails: Any, draws: Any, *, order: Any, **how: Any) -> Any:
    out = np.empty(fails.shape, np.float32)
    _mended(
        np.ascontiguousarray(fails, np.float32),
        order,
        how["team"],
        how["crews"],
        how["begins"],
        how["key"],
        how["seed"],
        np.asarray(draws).ravel(),
        how["median"],
        how["spread"],
        out,
    )
    return out
