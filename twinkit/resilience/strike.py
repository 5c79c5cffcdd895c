"""Which assets a hazard fells, draw by draw, with the same luck for every plan.

The luck of an asset in a draw is a number made from the seed, the asset's id and the draw's number, and from nothing
else. So an asset keeps its luck when another is added, hardened or repaired, whatever the chunk or the worker: two
plans are compared on the same ten thousand storms, and their difference is not noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import contract, whole_seed
from twinkit.error import TwinError
from twinkit.resilience.assets import keys, whole
from twinkit.resilience.footprint import HOUR, check_clock

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CHUNK", "checked_hazard", "luck", "strike", "uniform"]

CHUNK = 250
"""Draws in a chunk."""

MOST = 10_000_000
"""Draws at most: their numbers and the chunks' names alone fill a memory beyond."""


@numba.njit(cache=True, nogil=True, inline="always")
def _mixed(word):  # type: ignore[no-untyped-def]
    """A word of 64 bits whose every bit hangs on every bit of the one given (the finaliser of SplitMix64)."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@numba.njit(cache=True, nogil=True, inline="always")
def uniform(key, stream):  # type: ignore[no-untyped-def]
    """A number from 0 to below 1 for an asset's key and a draw's stream."""
    return (_mixed(key ^ stream) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True, nogil=True)
def stream(seed, draw):  # type: ignore[no-untyped-def]
    """The draw's own word."""
    return _mixed(_mixed(seed) + np.uint64(draw) * np.uint64(0x9E3779B97F4A7C15))


@numba.njit(cache=True, nogil=True)
def _felled(key, seed, draws, chance, hours, out):  # type: ignore[no-untyped-def]
    members, steps, assets = chance.shape
    for i in range(draws.shape[0]):
        word = stream(seed, draws[i])
        m = draws[i] % members
        for a in range(assets):
            u = uniform(key[a], word)
            if u < chance[m, steps - 1, a]:
                low, high = 0, steps - 1
                while low < high:
                    middle = (low + high) // 2
                    if u < chance[m, middle, a]:
                        high = middle
                    else:
                        low = middle + 1
                # felled by two hazards it falls with the first
                if not out[i, a] <= hours[low]:
                    out[i, a] = hours[low]


@numba.njit(cache=True, nogil=True)
def _lucks(key, seed, draws):  # type: ignore[no-untyped-def]
    out = np.empty((draws, key.shape[0]))
    for d in range(draws):
        word = stream(seed, d)
        for a in range(key.shape[0]):
            out[d, a] = uniform(key[a], word)
    return out


def luck(ids: Iterable[str], *, draws: int, seed: int, salt: str = "") -> np.ndarray:
    """The number from 0 to below 1 that decides an asset's fate in each draw: it fails where its probability is above.

    Parameters
    ----------
    ids : str (asset)
        ``"sites/s001"``.
    draws : int
    seed : int
    salt : str, optional
        What the luck is for.

    Returns
    -------
    array (draw, asset)

    Examples
    --------
    >>> alone, among = luck(["sites/a"], draws=3, seed=1), luck(["links/x", "sites/a"], draws=5, seed=1)
    >>> bool((alone[:, 0] == among[:3, 1]).all())
    True
    """
    return _lucks(keys(f"{salt}|{i}" for i in ids), np.uint64(whole_seed(seed)), int(draws))


@contract(reads=["sites/x", "failure"], gives=["fails_at"])
def strike(
    twin: xr.DataTree,
    hazard: xr.Dataset,
    *,
    draws: int,
    seed: int,
    also: Iterable[xr.Dataset] = (),
    chunk: int = CHUNK,
) -> xr.Dataset:
    r"""When each asset fails, in many draws of a hazard.

    .. math:: \text{asset } a \text{ has failed by } t \text{ in draw } d \iff u_{a,d} < P_{m(d),a}(t)

    Parameters
    ----------
    twin : DataTree
        The one that the hazard was made on.
    hazard : Dataset (member, time, asset)
        With ``failure``, the probability of having failed by each time. Draw d takes member d modulo the members.
    draws : int
    seed : int
        Same seed, same luck: for every plan, chunk and number of workers, and draw 3 of 10 is draw 3 of 10 000.
    also : hazards, optional
        Others that strike besides (a flood after the storm, a grid cut), each with luck of its own.
    chunk : int
        Draws in a chunk; memory hangs on it and not on `draws`.

    Returns
    -------
    Dataset (draw, asset)
        ``fails_at`` [h] after ``start``, the first hour of all hazards; NaN for what stands. Lazy.

    Errors
    ------
    TwinError
        Assets that are not the twin's, probabilities outside 0 to 1, uneven hours, no draws.

    Examples
    --------
    See `twinkit.resilience.served`.
    """
    import dask.array as da

    enough = "ten thousand draws know a mean to a part in a hundred, a million to one in a thousand"
    draws = whole(draws, 1, MOST, name="draws", why=enough)
    chunk = whole(chunk, 1, 1_000_000, name="chunk")
    number = np.uint64(whole_seed(seed))
    hazards = [hazard, *also]
    names = _of_twin(twin, hazards)
    start = min(h["time"].values[0] for h in hazards)
    count = da.arange(draws, chunks=min(chunk, draws), dtype=np.int64)
    out: Any = None
    for place, h in enumerate(hazards):
        chance = checked_hazard(h)
        salt = str(h.attrs.get("luck", "")) or (f"{place}" if place else "")
        own = h["luck"].values if "luck" in h.coords else names
        key = keys(f"{salt}|{i}" for i in own)
        hours = ((h["time"].values - start) / HOUR).astype(np.float32)
        felled = da.map_blocks(
            _block,
            count,
            key=key,
            seed=number,
            chance=chance,
            hours=hours,
            new_axis=1,
            chunks=(count.chunks[0], (len(names),)),
            dtype=np.float32,
            meta=np.empty((0, 0), np.float32),
        )
        out = felled if out is None else da.fmin(out, felled)
    coords: dict[str, Any] = {str(k): v for k, v in hazard.coords.items() if v.dims == ("asset",)}
    coords |= {"draw": np.arange(draws), "start": start}
    said = "; ".join(dict.fromkeys(str(h["failure"].attrs.get("provenance", "modelled: a hazard")) for h in hazards))
    attrs = {
        "provenance": said,
        "method": f"{draws} draws, seed {int(number)}, members taken in turn, common luck for every plan",
        "assumptions": "given the member, assets fail independently of each other",
    }
    result = xr.Dataset({"fails_at": (("draw", "asset"), out, attrs)}, coords)
    return result.drop_vars("luck", errors="ignore").assign_attrs(
        generated=str(hazard.attrs.get("generated", "")),
        hazard=" and ".join(str(h.attrs.get("hazard", "a hazard")) for h in hazards),
        seed=int(number),
        misses=str(all(h.attrs.get("misses") == "true" for h in hazards)).lower(),
    )


def checked_hazard(h: Any) -> Any:
    """The probabilities (member, time, asset) as they are drawn from: an array, or what dask makes of one."""
    for dim in ("time", "asset"):
        if dim not in h["failure"].dims:
            raise TwinError(
                "failure over (member, time, asset)",
                found=f"dims {tuple(map(str, h['failure'].dims))}",
                hint="tk.resilience.hazard(twin, function, times=..., kind=...) makes one",
                where="failure",
            )
    check_clock(h["time"].values, where="failure/time")
    array = h["failure"] if "member" in h["failure"].dims else h["failure"].expand_dims("member")
    raw = array.transpose("member", "time", "asset").data
    if hasattr(raw, "dask"):
        import dask

        return dask.delayed(_probabilities)(raw)
    return _probabilities(raw)


def _probabilities(raw: Any) -> np.ndarray:
    chance = np.ascontiguousarray(raw, np.float32)
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise TwinError(
            "probabilities from 0 to 1",
            found="a value that is not a number" if np.isnan(chance).any() else f"{chance.min():g} to {chance.max():g}",
            hint="failure is the probability of having failed by then, not an intensity",
            where="failure",
        )
    # what has failed does not stand up again by itself
    return np.maximum.accumulate(chance, axis=1)


def _block(draws: Any, *, key: Any, seed: Any, chance: Any, hours: Any) -> Any:
    out = np.full((len(draws), len(key)), np.nan, np.float32)
    _felled(key, seed, np.asarray(draws), chance, hours, out)
    return out


def _of_twin(twin: xr.DataTree, hazards: list[xr.Dataset]) -> np.ndarray:
    names = hazards[0]["asset"].values
    known = [
        f"{node}/{i}"
        for node, dim in (("sites", "site"), ("links", "link"), ("feeders", "feeder"))
        if node in twin.children
        for i in np.asarray(twin[node][dim].values)
    ]
    for h in hazards:
        if "failure" not in h or not np.array_equal(h["asset"].values, known):
            strange = sorted(set(map(str, h["asset"].values)) ^ set(known))
            raise TwinError(
                f"a hazard over the twin's {len(known)} assets",
                found=f"{h.sizes['asset']} assets" + (f", '{strange[0]}' in one of the two alone" if strange else ""),
                hint="make the hazard again, on this twin",
                where="asset",
            )
    return np.asarray(names)
