"""People of a town and what they do on a working day: homes, work, errands, and the trips between them."""

from __future__ import annotations

import math
from typing import Any

import dask
import numpy as np
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError

__all__ = ["diary", "nearest_place", "trip_flow"]

DAY = 86_400.0
CANDIDATES = 64
"""Spots among which a person chooses, drawn by what they offer; the choice is by distance."""
DETOUR, PACE = 1.3, 9.0
"""By which a person plans: streets over the straight line, and metres a second."""
PURPOSES = ("work", "errand", "home")


def _spots(
    people: np.ndarray, power: float, x: np.ndarray, y: np.ndarray, size: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points drawn where people live, by a power of how many do; anywhere within the pixel."""
    weight = np.cumsum(np.where(people > 0, people, 0.0).astype(float).ravel() ** power)
    at = np.minimum(np.searchsorted(weight, rng.random(size) * weight[-1], side="right"), weight.size - 1)
    row, column = np.divmod(at, len(x))
    step = x[1] - x[0], y[1] - y[0]
    off = rng.uniform(-0.5, 0.5, (2, *size))
    return x[column] + off[0] * step[0], y[row] + off[1] * step[1]


def _chosen(
    x: np.ndarray, y: np.ndarray, spots: tuple[np.ndarray, np.ndarray], reach: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One of several spots for each person: a logit of the distance, with `reach` metres as its scale."""
    away = np.hypot(spots[0] - x[:, None], spots[1] - y[:, None]) / reach
    pick = np.argmax(rng.gumbel(size=away.shape) - away, axis=1)
    rows = np.arange(len(x))
    return spots[0][rows, pick], spots[1][rows, pick]


@contract(reads=["surface/people"], gives=["departs"], computes=True)
def diary(
    twin: xr.DataTree,
    *,
    persons: int,
    seed: int,
    employed: float = 0.45,
    errands: float = 0.7,
    reach: float = 4000.0,
) -> xr.Dataset:
    """A working day of people drawn from the town: who goes from where to where, when and what for.

    Homes are drawn where people live. The employed go to work in the morning, and some run an errand on the way back;
    others run errands during the day. Work clusters where many live (power 1.3), errands more so (1.5); both are
    chosen by a logit of the distance.

    Parameters
    ----------
    twin : DataTree
        With a surface.
    persons : int
        People to draw; each stands for the town's people over `persons`.
    seed : int
    employed, errands : float
        Share who work, and share of the others who leave home at least once.
    reach : float [m]
        Scale of distance to work; half of it to an errand.

    Returns
    -------
    Dataset (trip, person)
        Of each trip ``departs`` [s after local midnight], ``who`` (position of the person), ``purpose`` (work, errand,
        home), ``from_x``, ``from_y``, ``to_x``, ``to_y`` [m]; of each person ``home_x``, ``home_y`` [m]. Trips stand in
        the order of persons and of time.

    Errors
    ------
    TwinError
        Nobody lives there, too few or too many persons, shares outside 0 to 1.

    Examples
    --------
    >>> from twinkit.datasets import town
    >>> day = diary(town(sites=3, seed=1), persons=1000, seed=1)
    >>> 1200 < day.sizes["trip"] < 2600, float(day.departs.min()) > 0
    (True, True)
    """
    within(persons, 1, 5e6, name="persons", unit="1")
    within(employed, 0, 1, name="employed", unit="1")
    within(errands, 0, 1, name="errands", unit="1")
    within(reach, 100, 1e6, name="reach", unit="m")
    rng = np.random.default_rng([whole_seed(seed), 0xD1])
    surface = twin.children["surface"].to_dataset(inherit=False)
    y, x = (surface[d].values.astype(float) for d in ("y", "x"))
    (people,) = dask.compute(surface["people"].transpose("y", "x").data)
    people = np.nan_to_num(np.asarray(people, dtype=float))
    if not people.sum() > 0:
        raise TwinError("a map of people", found="nobody on it", hint="look at surface/people", where="surface/people")
    count = int(persons)
    home = _spots(people, 1.0, x, y, (count,), rng)
    works = rng.random(count) < employed
    shops = np.where(works, rng.random(count) < 0.35, rng.random(count) < errands)
    job = _chosen(*home, _spots(people, 1.3, x, y, (count, CANDIDATES), rng), reach, rng)
    base = tuple(np.where(works & (rng.random(count) < 0.5), j, h) for j, h in zip(job, home, strict=True))
    shop = _chosen(base[0], base[1], _spots(people, 1.5, x, y, (count, CANDIDATES), rng), reach / 2, rng)

    def takes(a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> np.ndarray:
        return DETOUR * np.hypot(a[0] - b[0], a[1] - b[1]) / PACE

    to_work = np.clip(rng.normal(8.25 * 3600, 2700, count), 4 * 3600, 13 * 3600)
    from_work = to_work + takes(home, job) + np.clip(rng.normal(8.5 * 3600, 3600, count), 3 * 3600, 11 * 3600)
    idle = np.clip(rng.normal(13 * 3600, 3 * 3600, count), 8 * 3600, 19 * 3600)
    to_shop = np.where(works, from_work, idle)
    from_shop = to_shop + takes(job, shop) + np.clip(rng.lognormal(math.log(2700), 0.5, count), 900, 3 * 3600)
    who = np.arange(count)
    # place by place: leave home, go on, come back
    legs = [
        (works, "work", to_work, home, job),
        (works & shops, "errand", to_shop, job, shop),
        (~works & shops, "errand", to_shop, home, shop),
        (shops, "home", from_shop, shop, home),
        (works & ~shops, "home", from_work, job, home),
    ]
    trip = {
        "who": np.concatenate([who[m] for m, *_ in legs]),
        "departs": np.concatenate([t[m] for m, _, t, *_ in legs]),
        "purpose": np.concatenate([np.full(int(m.sum()), p, dtype=object) for m, p, *_ in legs]),
    }
    for name, end, axis in (("from_x", 3, 0), ("from_y", 3, 1), ("to_x", 4, 0), ("to_y", 4, 1)):
        trip[name] = np.concatenate([leg[end][axis][leg[0]] for leg in legs])  # type: ignore[index]
    trip["departs"] = np.floor(trip["departs"])
    order = np.lexsort([trip["departs"], trip["who"]])
    attrs = {"provenance": f"generated: seed {seed}, twinkit.mobility.diary"}
    units = {"departs": "s"} | dict.fromkeys(("from_x", "from_y", "to_x", "to_y"), "m")
    data = {n: ("trip", v[order], attrs | ({"units": units[n]} if n in units else {})) for n, v in trip.items()}
    homes = {f"home_{n}": ("person", h, attrs | {"units": "m"}) for n, h in zip("xy", home, strict=True)}
    # what belongs to a trip beside its time are coordinates: they go where the trip goes
    return xr.Dataset(data | homes, attrs=attrs).set_coords([n for n in (*trip, *homes) if n != "departs"])


def nearest_place(twin: xr.DataTree, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Position of the place nearest to each point: a place's zone is all that is nearer to it than to others.

    Examples
    --------
    >>> from twinkit.datasets import town
    >>> twin = town(sites=3, seed=1)
    >>> nearest_place(twin, twin["places/x"].values, twin["places/y"].values)[:3]
    array([0, 1, 2])
    """
    from scipy.spatial import cKDTree

    places = twin.children["places"].to_dataset(inherit=False)
    points = np.column_stack([np.asarray(places[n].values, dtype=float) for n in ("x", "y")])
    if not len(points):
        raise TwinError("a twin with places", found="none", hint="add them: tk.extend(twin, places=...)")
    return np.asarray(cKDTree(points).query(np.stack([x, y], axis=-1))[1], dtype=np.int64)


@contract(reads=["places/x", "places/y", "departs"], gives=["flow"], computes=True)
def trip_flow(twin: xr.DataTree, trips: xr.Dataset, *, hours: bool = False) -> xr.DataArray:
    """Trips counted between the zones of a twin's places.

    Parameters
    ----------
    twin : DataTree
        With places.
    trips : Dataset (trip)
        What `diary` or `simulate` gives; of the latter only those who arrived count.
    hours : bool
        True counts by the hour of departure, local time.

    Returns
    -------
    DataArray (origin, destination), or (time, origin, destination) [people]
        ``flow``; trips within a place stand on the diagonal. ``time`` is a day of which only the hour counts.

    Errors
    ------
    TwinError
        A variable is missing or in another unit.

    Examples
    --------
    >>> from twinkit.datasets import town
    >>> twin = town(sites=3, seed=1)
    >>> day = diary(twin, persons=500, seed=1)
    >>> int(trip_flow(twin, day).sum()) == day.sizes["trip"]
    True
    """
    from twinkit.mobility.form import flow_matrix

    ids = twin.children["places"].to_dataset(inherit=False)["place"].values
    count = len(ids)
    names = ("from_x", "from_y", "to_x", "to_y")
    absent = [n for n in names if n not in trips.coords and n not in trips]
    if absent:
        raise TwinError(
            f"trips with {', '.join(names)}", found=f"no {', '.join(absent)}", hint="take tk.mobility.diary"
        )
    (departs,) = dask.compute(trips["departs"].data)
    done = np.isfinite(trips["arrives"].values) if "arrives" in trips else np.ones(len(departs), dtype=bool)
    fx, fy, tx, ty = (trips[n].values[done] for n in names)
    # all ends at once: the places are read once
    near = nearest_place(twin, np.concatenate([fx, tx]), np.concatenate([fy, ty]))
    pair = near[: len(fx)] * count + near[len(fx) :]
    said: dict[str, Any] = {
        "origin": ids,
        "destination": ids,
        "provenance": str(trips.attrs.get("provenance", "generated: trips")),
    }
    if not hours:
        return flow_matrix(np.bincount(pair, minlength=count**2).reshape(count, count), **said)
    hour = np.clip(departs[done] // 3600, 0, 23).astype(np.int64)
    table = np.bincount(hour * count**2 + pair, minlength=24 * count**2).reshape(24, count, count)
    day = np.datetime64("2026-03-02T00", "h") + np.arange(24)
    return flow_matrix(table, time=day.astype("datetime64[ns]"), **said)
