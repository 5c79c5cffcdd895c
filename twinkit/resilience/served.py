"""People with service, hour by hour and draw by draw; and how sure an average over draws is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.resilience.assets import AUTONOMY, CORE, generated, positions, web
from twinkit.resilience.cascade import Web, service
from twinkit.resilience.strike import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["catchment", "depending", "interval", "most_people", "served"]

LONGEST = 1e5
"""[h] that `served` looks at, at most."""


@contract(reads=["sites/x", "sites/y", "cells/site", "surface/people"], gives=["people"], computes=True)
def catchment(
    twin: xr.DataTree,
    *,
    server: xr.DataArray | None = None,
    reach: float = 5_000.0,
    most: int = 3,
    where: xr.DataArray | None = None,
) -> xr.Dataset:
    """Which sites people rely on: those who rely on the same ones are one group.

    Parameters
    ----------
    twin : DataTree
        With ``sites``, ``cells`` and ``surface/people``.
    server : DataArray (y, x), optional
        What `twinkit.radio.coverage` gives under that name: the best cell of each pixel. People then rely on its site
        alone. Without it they rely on the nearest sites with cells.
    reach : float [m]
        Sites farther than this are of no use.
    most : int
        So many of the nearest sites at most; while one of them works, they are served.
    where : DataArray (y, x), truth, optional
        Only people there count.

    Returns
    -------
    Dataset (pixel, choice)
        ``people`` of each group (dim ``pixel``) and ``sites`` (pixel, choice), positions among the twin's sites, -1
        where there are fewer. ``attrs``: ``people_without``, those whom no site reaches on the best of days.

    Validity
    --------
    Distance instead of a map of the radio field, unless `server` is given. A neighbour that takes over is as good as
    the lost site here: nobody is turned away by a full cell.

    Errors
    ------
    TwinError
        No people, a map on another grid, a cell without its site, or a reach that is not positive.

    Examples
    --------
    See `twinkit.resilience.served`.
    """
    within(reach, 1.0, 1e6, name="reach", unit="m")
    within(most, 1, 16, name="most", unit="sites")
    sites, surface = (twin.children[n].to_dataset(inherit=False) for n in ("sites", "surface"))
    place = sites[["x", "y"]].compute()
    names = np.array([str(s) for s in sites["site"].to_numpy()], dtype=object)
    owner = positions(
        np.array([str(s) for s in np.asarray(twin["cells/site"].to_numpy())], dtype=object),
        names,
        what="sites",
        where="cells/site",
    )
    people = np.nan_to_num(np.asarray(surface["people"].transpose("y", "x").compute().to_numpy(), float))
    if where is not None:
        people = np.where(_like(where, surface, "where"), people, 0.0)
    rows, columns = np.nonzero(people > 0)
    count = people[rows, columns]
    if server is not None:
        best = np.nan_to_num(_like(server, surface, "server"), nan=-1)[rows, columns].astype(int)
        if best.max(initial=-1) >= len(owner):
            raise TwinError(
                f"positions among {len(owner)} cells",
                found=f"{best.max()}",
                hint="make the coverage on this twin",
                where="server",
            )
        near = np.where(best >= 0, owner[np.maximum(best, 0)], -1)[:, None]
        says = "the best server of each pixel"
    else:
        near = _nearest(place, np.unique(owner), surface, rows, columns, reach, int(most))
        says = f"up to {int(most)} nearest sites within {reach / 1e3:g} km; a neighbour takes over in full"
    choices, which = np.unique(np.sort(near, axis=1)[:, ::-1], axis=0, return_inverse=True)
    sums = np.bincount(which.ravel(), count, len(choices)) if len(choices) else np.zeros(0)
    some = (choices >= 0).any(axis=1) if len(choices) else np.zeros(0, bool)
    attrs = {
        "provenance": f"modelled: people on {says}; {surface['people'].attrs.get('provenance', 'people given')}",
        "assumptions": says,
    }
    return xr.Dataset(
        {"people": ("pixel", sums[some], attrs)},
        {"sites": (("pixel", "choice"), choices[some].astype(np.int64))},
        attrs={"people_without": float(sums[~some].sum()), "people_in_all": float(count.sum())},
    )


@contract(
    reads=["sites/kind", "links/source", "links/target", "fails_at", "people"],
    gives=["people_served", "people_hours_lost", "hours_dark"],
    computes=True,
)
def served(
    twin: xr.DataTree,
    hit: xr.Dataset,
    *,
    catchment: xr.Dataset,
    hours: float,
    step: float = 1.0,
    core: Iterable[str] = CORE,
    autonomy: Mapping[str, float] = AUTONOMY,
    chunk: int = CHUNK,
) -> xr.Dataset:
    """People with service over time, people-hours lost, and hours that each site is dark: the cascade of every draw.

    A site works while it stands, has power (its feeder and all feeders above, or hours left of its own) and is
    joined to the core over links and sites that work. Its people have service while one of the sites that they rely
    on works.

    Parameters
    ----------
    twin : DataTree
        ``sites`` with kind, and if there are power_source, autonomy [h] and feeder; ``links``; ``feeders`` if there
        are.
    hit : Dataset (draw, asset)
        What `strike` gives, or `recovery`; without ``repaired_at`` nothing is repaired.
    catchment : Dataset (pixel, choice)
        What `catchment` gives.
    hours : float [h]
        How long to look, from the hazard's first hour on.
    step : float [h]
    core : kinds or ids of sites
        Where the rest of the world begins.
    autonomy : dict of str to float [h]
        Hours without the grid by power source, where the twin has no ``sites/autonomy``; rounded down to steps.
    chunk : int
        Draws in a chunk, where `hit` has none.

    Returns
    -------
    Dataset
        ``people_served`` (draw, time) [people], ``people_hours_lost`` (draw) [people h], against the same network with
        nothing broken, and ``hours_dark`` (draw, site) [h]. Lazy in the draws. ``attrs``: people_before, who have
        service with nothing broken; generated, the layers that are nobody's measurement.

    Validity
    --------
    A battery is full when the storm comes and full again as soon as the grid is back. Capacity is not looked at: who is
    connected is served.

    Errors
    ------
    TwinError
        A hit on another twin, negative autonomy, no core, or hours that are not positive.

    Examples
    --------
    Two sites in a row and a hazard that fells the first in half of the draws:

    >>> from twinkit import assemble
    >>> from twinkit.resilience.strike import strike
    >>> sites = xr.Dataset(
    ...     {"x": ("site", [0.0, 9e3]), "y": ("site", [0.0, 0.0]), "kind": ("site", ["exchange", "macro"])},
    ...     {"site": ["a", "b"]},
    ... )
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> cells = xr.Dataset({"site": ("cell", ["b"])}, {"cell": ["b1"]})
    >>> surface = xr.Dataset({"people": (("y", "x"), [[100.0]])}, {"y": [0.0], "x": [9e3]})
    >>> nodes = {"sites": sites, "links": links, "cells": cells, "surface": surface}
    >>> twin = assemble(nodes, title="two", crs="EPSG:32643")
    >>> times = pd.DatetimeIndex(["2020-01-01"])
    >>> kinds = {"node": ("asset", ["sites", "sites", "links"]), "kind": ("asset", ["exchange", "macro", "fibre"])}
    >>> gale = xr.Dataset(
    ...     {"failure": (("member", "time", "asset"), [[[0.0, 0.0, 0.5]]], {"units": "1"})},
    ...     {"time": times, "asset": ["sites/a", "sites/b", "links/ab"], **kinds},
    ... )
    >>> hit = strike(twin, gale, draws=2000, seed=1)
    >>> out = served(twin, hit, catchment=catchment(twin), hours=10.0)
    >>> round(float(out.people_hours_lost.mean()) / 1000, 1)
    0.5
    """
    import dask.array as da

    within(step, 1e-3, 168.0, name="step", unit="h")
    within(hours, step, LONGEST, name="hours", unit="h")
    net = web(twin, core=core, autonomy=autonomy)
    fails = hit["fails_at"].transpose("draw", "asset")
    _check_hit(twin, fails, net)
    known = catchment.compute()
    people, group, choice = flat(known)
    steps = round(float(hours) / float(step))
    raw = _lazy(fails.data, int(chunk))
    back = _lazy(hit["repaired_at"].transpose("draw", "asset").data, int(chunk)) if "repaired_at" in hit else None
    width = 1 + steps + net.sites
    columns = da.map_blocks(
        _block,
        raw,
        *([] if back is None else [back.rechunk(raw.chunks)]),
        web=net,
        people=people,
        group=group,
        choice=choice,
        step=float(step),
        steps=steps,
        chunks=(raw.chunks[0], (width,)),
        dtype=float,
        meta=np.empty((0, 0)),
    )
    start = pd.Timestamp(hit["start"].to_numpy().item()) if "start" in hit.coords else pd.Timestamp(0)
    times = start.as_unit("ns") + pd.to_timedelta(np.arange(steps) * float(step), unit="h")
    before = _before(net, people, group, choice)
    attrs = {
        "provenance": f"{fails.attrs.get('provenance', 'modelled: damage given')}; "
        f"{known['people'].attrs.get('provenance', 'modelled: people given')}",
        "assumptions": "batteries full at the start and full again as soon as the grid is back; "
        f"hours without grid {'from the twin' if 'autonomy' in twin['sites'] else 'assumed by power source'}; "
        f"{known['people'].attrs.get('assumptions', '')}",
        "method": str(fails.attrs.get("method", "")),
    }
    out = xr.Dataset(
        {
            "people_served": (("draw", "time"), columns[:, 1 : 1 + steps], attrs),
            "people_hours_lost": ("draw", columns[:, 0], attrs),
            "hours_dark": (("draw", "site"), columns[:, 1 + steps :], attrs),
        },
        {"draw": hit["draw"].to_numpy(), "time": times.as_unit("ns"), "site": twin["sites"]["site"].to_numpy()},
    )
    return out.assign_attrs(
        people_before=before,
        people_cut_off=float(people.sum() - before),
        people_without=float(known.attrs.get("people_without", 0.0)),
        generated=generated(twin),
        hazard=str(hit.attrs.get("hazard", "")),
        misses=str(hit.attrs.get("misses", "")),
    )


def interval(array: xr.DataArray, *, level: float = 0.9, members: int = 1) -> xr.Dataset:
    r"""Mean over draws with the interval of the mean, and the range in which single draws fall.

    .. math:: \bar x \pm z \sqrt{\frac{1}{M (M - 1)} \sum_m (\bar x_m - \bar x)^2}

    Parameters
    ----------
    array : DataArray (draw, ...)
        Such as ``served.people_hours_lost``.
    level : float [1]
        Of both, 0.9 for nine cases of ten.
    members : int
        Draws that share a member of the hazard are not independent: so many members were taken in turn, and the
        interval is that of their means. 1: every draw stands for itself.

    Returns
    -------
    Dataset
        ``expected``, ``expected_low``, ``expected_high`` (how well the average is known) and ``low``, ``high`` (between
        which a single event falls). Lazy.

    Errors
    ------
    TwinError
        Fewer than two draws or members to average, or a level that is none.

    Examples
    --------
    >>> draws = xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="draw")
    >>> got = interval(draws)
    >>> float(got.expected), round(float(got.expected_high), 2)
    (2.5, 3.56)
    """
    from scipy.stats import norm

    within(level, 0.01, 0.9999, name="level", unit="1")
    count = array.sizes.get("draw", 0)
    bundles = int(members) if members > 1 else count
    if bundles < 2 or count < bundles:
        raise TwinError(
            "two draws of each member, or more",
            found=f"{count} draws of {members} members",
            hint="draws=1000, members=20",
            where="draws",
        )
    means = array
    if members > 1:
        means = array.isel(draw=slice(0, count - count % bundles))
        means = means.coarsen(draw=bundles).construct(draw=("round", "draw")).mean("round")
    mean = array.mean("draw")
    error = means.std("draw", ddof=1) / np.sqrt(bundles) * float(norm.ppf(0.5 + level / 2))
    # a quantile needs all draws of one place at once
    whole = array.chunk({"draw": -1}) if array.chunks else array
    sides = whole.quantile([0.5 - level / 2, 0.5 + level / 2], dim="draw")
    out = {
        "expected": mean,
        "expected_low": mean - error,
        "expected_high": mean + error,
        "low": sides.isel(quantile=0, drop=True),
        "high": sides.isel(quantile=1, drop=True),
    }
    return xr.Dataset({k: v.drop_vars("quantile", errors="ignore") for k, v in out.items()}, attrs=dict(array.attrs))


def depending(
    twin: xr.DataTree, *, catchment: xr.Dataset, core: Iterable[str] = CORE, ids: Iterable[str] | None = None
) -> xr.DataArray:
    """People who lose service when one asset alone is gone: the single points of failure are those above zero.

    Parameters
    ----------
    twin : DataTree
    catchment : Dataset
        What `catchment` gives.
    core : kinds or ids of sites
    ids : list of assets, optional

    Returns
    -------
    DataArray (asset) [people]
        A feeder counts with all batteries empty.

    Errors
    ------
    TwinError
        As `served`.
    """
    from twinkit.resilience.assets import assets

    made = assets(twin)
    net = web(twin, core=core, autonomy={"": 0.0, "diesel": np.inf, "solar and battery": np.inf})
    # all batteries are empty, also those whose hours the twin knows; who outlasts every hour needs no grid
    net = dataclasses.replace(net, autonomy=np.where(net.autonomy >= LONGEST, np.inf, 0.0))
    chosen = made["asset"].to_numpy() if ids is None else np.asarray(list(ids), dtype=object)
    at = positions(chosen, made["asset"].to_numpy(), what="assets", where="ids")
    people, group, choice = flat(catchment.compute())
    lost = np.empty(len(at))
    for first in range(0, len(at), 200):
        some = at[first : first + 200]
        fails = np.full((len(some), made.sizes["asset"]), np.nan, np.float32)
        fails[np.arange(len(some)), some] = 0.0
        back = np.full_like(fails, np.inf)
        _, _, lost[first : first + 200] = service(
            fails, back, net, people=people, group=group, choice=choice, step=1.0, steps=1
        )
    return xr.DataArray(lost, {"asset": chosen}, ("asset",), name="depending", attrs={"units": "people"})


def most_people(twin: xr.DataTree, *, catchment: xr.Dataset, core: Iterable[str] = CORE) -> Callable[..., np.ndarray]:
    """A rule for `recovery`: what most people depend on is mended first.

    Parameters
    ----------
    twin, catchment, core
        As for `depending`.

    Returns
    -------
    function(asset) -> array
    """
    people = depending(twin, catchment=catchment, core=core)

    def most_people_first(asset: xr.Dataset) -> np.ndarray:
        return -np.asarray(people.sel(asset=asset["asset"].to_numpy()).to_numpy())

    return most_people_first


# ---------------------------------------------------------------- parts


def flat(known: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A catchment as people, where each group's choices start, and the choices."""
    if "sites" not in known.variables or "people" not in known:
        raise TwinError(
            "a catchment with people and sites",
            found=f"{', '.join(map(str, known))}",
            hint="tk.resilience.catchment(twin) gives one",
            where="catchment",
        )
    sites = np.asarray(known["sites"].transpose("pixel", "choice").to_numpy())
    there = sites >= 0
    group = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return np.asarray(known["people"].to_numpy(), float), group, sites[there].astype(np.int64)


def _block(fails: Any, back: Any = None, *, web: Web, step: float, steps: int, **groups: Any) -> Any:
    fails = np.asarray(fails)
    back = np.full_like(fails, np.inf) if back is None else np.asarray(back)
    people, dark, lost = service(fails, back, web, step=step, steps=steps, **groups)
    return np.concatenate([lost[:, None], people, dark], axis=1)


def _lazy(data: Any, chunk: int) -> Any:
    import dask.array as da

    raw = data if hasattr(data, "dask") else da.from_array(np.asarray(data), chunks=(chunk, -1))
    return raw.rechunk({1: -1})


def _before(net: Web, people: np.ndarray, group: np.ndarray, choice: np.ndarray) -> float:
    whole = np.full((1, net.sites + max(net.links, 0) + len(net.parent)), np.nan, np.float32)
    return float(service(whole, whole, net, people=people, group=group, choice=choice, step=1.0, steps=1)[0][0, 0])


def _check_hit(twin: xr.DataTree, fails: xr.DataArray, net: Web) -> None:
    links = twin.children["links"].to_dataset(inherit=False).sizes.get("link", 0)
    count = net.sites + links + len(net.parent)
    first = f"sites/{np.asarray(twin['sites']['site'].to_numpy())[0]}"
    if fails.sizes["asset"] != count or str(fails["asset"].to_numpy()[0]) != first:
        raise TwinError(
            f"a hit on the twin's {count} assets",
            found=f"{fails.sizes['asset']} assets that begin with '{fails['asset'].to_numpy()[0]}'",
            hint="strike the same twin that is asked here",
            where="hit",
        )


def _like(array: xr.DataArray, surface: xr.Dataset, where: str) -> np.ndarray:
    shape = tuple(surface.sizes[d] for d in ("y", "x"))
    if not isinstance(array, xr.DataArray) or {"y", "x"} != set(array.dims):
        raise TwinError("a map (y, x)", found=f"{getattr(array, 'dims', type(array).__name__)}", hint="", where=where)
    values = array.transpose("y", "x").compute().to_numpy()
    if values.shape != shape:
        raise TwinError(
            f"a map of {shape[0]} by {shape[1]} pixels, as the surface",
            found=f"{values.shape[0]} by {values.shape[1]}",
            hint="make it on this twin",
            where=where,
        )
    return np.asarray(values)


def _nearest(
    place: xr.Dataset, owners: np.ndarray, surface: xr.Dataset, rows: Any, columns: Any, reach: float, most: int
) -> np.ndarray:
    from scipy.spatial import cKDTree

    if not len(owners) or not len(rows):
        return np.full((len(rows), 1), -1)
    tree = cKDTree(np.c_[place["x"].to_numpy()[owners], place["y"].to_numpy()[owners]])
    points = np.c_[surface["x"].to_numpy()[columns], surface["y"].to_numpy()[rows]]
    most = min(most, len(owners))
    _, found = tree.query(points, k=most, distance_upper_bound=reach)
    found = found.reshape(len(points), most)
    return np.where(found < len(owners), owners[np.minimum(found, len(owners) - 1)], -1)
