"""A network that could stand in a region: sites, cells and backhaul, generated from where people live.

It is one operator's, and it is unfinished on purpose: towns are served, rural masts stop where they stop paying,
so that a planner has something to do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import cKDTree

from twinkit.datasets.frame import Frame, given

__all__ = ["Sites", "backhaul", "cells", "from_people", "node"]

RURAL_REACH = 4500.0
"""Distance [m] within which a rural mast counts people as its own when masts are placed."""
RURAL_UNSERVED = 0.25
"""Masts are added until only this share of the people outside towns lives beyond their reach."""
TOWN_REACH = 2500.0
"""Distance [m] within which a town's site leaves no work for a mast."""
RURAL_PAYS = 2500.0
"""A rural mast with fewer people than this within its reach is not built."""
MOST_SITES = 400
"""A network that a classroom machine computes in minutes."""

SECTORS = 3


@dataclass(frozen=True)
class Sites:
    """Sites as columns; `tier` is rural, town, city or small for radio sites, core for the others."""

    x: np.ndarray
    y: np.ndarray
    height: np.ndarray
    kind: np.ndarray
    tier: np.ndarray
    name: np.ndarray
    power_source: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


# Per tier: carriers [Hz] to draw from, bandwidth [Hz], power [dBm], downtilt [degree], mast heights [m]. No mast is
# lower than 10 m, where the 3GPP models begin.
TIERS: dict[str, tuple[tuple[float, ...], float, float, tuple[float, ...], tuple[float, ...]]] = {
    "rural": ((700e6, 900e6), 10e6, 46.0, (1.0, 2.0, 3.0), (35.0, 40.0, 45.0, 50.0)),
    "town": ((1800e6, 2100e6), 20e6, 46.0, (3.0, 4.0, 5.0), (25.0, 30.0, 35.0)),
    "city": ((1800e6, 2100e6), 20e6, 46.0, (5.0, 6.0, 8.0), (20.0, 25.0, 30.0)),
    "small": ((3500e6,), 80e6, 37.0, (8.0, 10.0), (10.0, 11.0, 12.0)),
}


def macros(population: np.ndarray) -> np.ndarray:
    """Macro sites of one operator in a town: one for each 10 000 people, to the power 0.75, at least one from 2000.

    >>> macros(np.array([900.0, 5000.0, 170_000.0, 7_000_000.0]))
    array([  0,   1,   8, 136])
    """
    count = np.rint((np.asarray(population, float) / 10_000.0) ** 0.75)
    return np.where(population >= 2000, np.maximum(count, 1), 0).astype(np.int64)


def from_people(
    frame: Frame,
    people: np.ndarray,
    height: np.ndarray,
    *,
    x: np.ndarray,
    y: np.ndarray,
    population: np.ndarray,
    name: np.ndarray,
    rng: np.random.Generator,
    count: int | None = None,
) -> Sites:
    """Sites for the people of a region.

    Towns get macro sites by their size, spread over their people; cities of 200 000 small cells at their busiest
    pixels; the land between gets masts, the one that reaches most people first, each on the highest ground within
    a fifth of its reach. One exchange and one data centre stand in the largest place.

    Parameters
    ----------
    frame : Frame
    people, height : array (y, x) [people per pixel], [m]
    x, y, population, name : array (place,)
    rng : Generator
    count : int, optional
        Exactly so many radio sites (at least 3), whatever the people ask for.
    """
    macro, small, rural = _counts(population, count)
    placed: list[tuple[float, float, str, str]] = []
    for i in np.argsort(-population, kind="stable"):
        spot = (x[i], y[i], population[i])
        tier = "city" if population[i] >= 1e5 else "town"
        for k, (sx, sy) in enumerate(_within_town(frame, people, *spot, int(macro[i]), rng)):
            placed.append((sx, sy, tier, f"{name[i]} {k + 1}" if macro[i] > 1 else str(name[i])))
        for k, (sx, sy) in enumerate(_within_town(frame, people, *spot, int(small[i]), rng, core=True)):
            placed.append((sx, sy, "small", f"{name[i]} street {k + 1}"))
    left = people.astype(float)
    for sx, sy, _, _ in placed:
        _serve(frame, left, sx, sy, TOWN_REACH)
    reach = RURAL_REACH if count is None else min(RURAL_REACH, frame.columns * frame.resolution / 8)
    for sx, sy in _rural(frame, left, height, reach=reach, most=rural, needed=count is not None):
        placed.append((sx, sy, "rural", f"near {_nearest(x, y, name, sx, sy)}"))
    if not placed:  # an island of a few hundred people: one mast all the same
        row, column = np.unravel_index(int(np.argmax(people)), people.shape)
        sx, sy = float(frame.x[column]), float(frame.y[row])
        placed.append((sx, sy, "rural", f"near {_nearest(x, y, name, sx, sy)}"))
    return _columns(frame, placed, x, y, population, name, rng)


def _counts(population: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Macro sites and small cells of each place, and the most masts between them."""
    macro = macros(population)
    small = np.where(population >= 2e5, np.rint(macro * 0.4), 0).astype(np.int64)
    total = int(macro.sum() + small.sum())
    if count is None:
        if total > MOST_SITES * 0.75:  # a megacity is thinned, or its sites alone would fill the machine
            shrink = MOST_SITES * 0.75 / total
            small = np.floor(small * shrink).astype(np.int64)
            macro = np.where(macro > 0, np.maximum(np.floor(macro * shrink), 1), 0).astype(np.int64)
        return macro, small, max(MOST_SITES - int(macro.sum() + small.sum()), 0)
    rural, few = max(count // 4, 1), count // 8
    rest = count - rural - few
    largest = int(np.argmax(population))
    small = np.zeros(len(population), dtype=np.int64)
    small[largest] = few
    share = population**0.75
    macro = np.floor(rest * share / share.sum()).astype(np.int64)
    macro[largest] += rest - macro.sum()
    return macro, small, rural


def _columns(
    frame: Frame,
    placed: list[tuple[float, float, str, str]],
    x: np.ndarray,
    y: np.ndarray,
    population: np.ndarray,
    name: np.ndarray,
    rng: np.random.Generator,
) -> Sites:
    """All sites as columns; exchange and data centre come first, in the largest place."""
    if len(x):
        largest = int(np.argmax(population))
        cx, cy, town = float(x[largest]), float(y[largest]), str(name[largest])
    else:
        cx, cy, town = float(np.mean(frame.x)), float(np.mean(frame.y)), "Region"
    tiers = [tier for _, _, tier, _ in placed]
    kinds = ["small cell" if t == "small" else "macro" for t in tiers]
    heights = [float(rng.choice(TIERS[t][4])) for t in tiers]
    powers = [_power(t, rng) for t in tiers]
    return Sites(
        x=np.array([cx, cx + 150.0, *(p[0] for p in placed)]),
        y=np.array([cy, cy + 150.0, *(p[1] for p in placed)]),
        height=np.array([15.0, 10.0, *heights]),
        kind=np.array(["exchange", "data centre", *kinds], dtype=object),
        tier=np.array(["core", "core", *tiers], dtype=object),
        name=np.array([f"{town} exchange", f"{town} data centre", *(p[3] for p in placed)], dtype=object),
        power_source=np.array(["grid and diesel", "grid and diesel", *powers], dtype=object),
    )


def _within_town(
    frame: Frame,
    people: np.ndarray,
    x: float,
    y: float,
    population: float,
    count: int,
    rng: np.random.Generator,
    *,
    core: bool = False,
) -> list[tuple[float, float]]:
    """Spots among a town's people, drawn one by one where most are not yet near another spot."""
    if count == 0:
        return []
    reach = max(1.3 * np.sqrt(population / (np.pi * 4000.0 * (population / 1e5) ** 0.15)) * 1000, 2 * frame.resolution)
    if core:
        reach *= 0.4
    column, row = (int(v) for v in frame.pixel(x, y))
    half = int(np.ceil(reach / frame.resolution))
    columns, rows = slice(max(column - half, 0), column + half + 1), slice(max(row - half, 0), row + half + 1)
    px, py = np.meshgrid(frame.x[columns], frame.y[rows])
    weight = people[rows, columns] * (np.hypot(px - x, py - y) <= reach)
    apart = 0.6 * reach / np.sqrt(count)
    spots = []
    for k in range(count):
        total = weight.sum()
        if k == 0 and not core:
            sx, sy = x, y
        elif total > 0:
            at = min(int(np.searchsorted(np.cumsum(weight.ravel()), rng.random() * total)), weight.size - 1)
            sx, sy = float(px.flat[at]), float(py.flat[at])
        else:
            sx, sy = x + rng.normal(0, reach / 2), y + rng.normal(0, reach / 2)
        # not on the pixel's centre: real sites stand on no grid
        jitter = rng.uniform(-0.3, 0.3, 2) * frame.resolution
        sx, sy = _inside(frame, sx + jitter[0], sy + jitter[1])
        spots.append((sx, sy))
        weight = weight * (1 - np.exp(-(((px - sx) ** 2 + (py - sy) ** 2) / apart**2)))
    return spots


def _inside(frame: Frame, x: float, y: float) -> tuple[float, float]:
    return float(np.clip(x, frame.x[0], frame.x[-1])), float(np.clip(y, frame.y[0], frame.y[-1]))


def _serve(frame: Frame, left: np.ndarray, x: float, y: float, reach: float) -> float:
    """Take the people within `reach` of a spot out of `left`, in place, and say how many they were."""
    column, row = (int(v) for v in frame.pixel(x, y))
    half = int(np.ceil(reach / frame.resolution))
    columns, rows = slice(max(column - half, 0), column + half + 1), slice(max(row - half, 0), row + half + 1)
    disc = np.hypot(frame.x[columns][None, :] - x, frame.y[rows][:, None] - y) <= reach
    window = left[rows, columns]
    served = float(window[disc].sum())
    window[disc] = 0.0
    return served


def _rural(
    frame: Frame, left: np.ndarray, height: np.ndarray, *, reach: float, most: int, needed: bool
) -> list[tuple[float, float]]:
    """Masts by greedy choice on the people whom no town's site serves; all `most` of them where they are needed."""
    step = max(round(reach / 5 / frame.resolution), 1)
    radius = max(round(reach / (frame.resolution * step)), 1)
    coarse = _blocks(left, step)
    ball = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius + 0.2
    # people within reach of every block; a mast changes them only within two radii, so a margin of three is redone
    padded = np.pad(coarse, 3 * radius)
    within = ndimage.convolve(padded, ball.astype(float), mode="constant")
    within[: 3 * radius] = within[-3 * radius :] = within[:, : 3 * radius] = within[:, -3 * radius :] = -1.0
    unserved = RURAL_UNSERVED * coarse.sum()
    spots: list[tuple[float, float]] = []
    while len(spots) < most and (needed or padded.sum() > unserved):
        row, column = (int(v) for v in np.unravel_index(int(np.argmax(within)), within.shape))
        if within[row, column] < RURAL_PAYS and not needed:
            break
        padded[_window(row, radius), _window(column, radius)][ball] = 0.0
        again = (_window(row, 3 * radius), _window(column, 3 * radius))
        fresh = ndimage.convolve(padded[again], ball.astype(float), mode="constant")[radius:-radius, radius:-radius]
        inner = within[_window(row, 2 * radius), _window(column, 2 * radius)]
        inner[inner >= 0] = fresh[inner >= 0]
        within[row, column] = 0.0
        block = (row - 3 * radius, column - 3 * radius)
        spots.append(_summit(frame, height, *(b * step + step // 2 for b in block), within=reach / 5))
    return spots


def _window(middle: int, half: int) -> slice:
    return slice(middle - half, middle + half + 1)


def _summit(frame: Frame, height: np.ndarray, row: int, column: int, *, within: float) -> tuple[float, float]:
    """The highest pixel nearby: where a mast is built."""
    half = round(within / frame.resolution)
    row, column = min(row, frame.rows - 1), min(column, frame.columns - 1)
    top, left = max(row - half, 0), max(column - half, 0)
    window = height[top : row + half + 1, left : column + half + 1]
    r, c = np.unravel_index(int(np.argmax(window)), window.shape)
    return float(frame.x[left + int(c)]), float(frame.y[top + int(r)])


def _blocks(array: np.ndarray, step: int) -> np.ndarray:
    rows, columns = -(-array.shape[0] // step), -(-array.shape[1] // step)
    padded = np.zeros((rows * step, columns * step))
    padded[: array.shape[0], : array.shape[1]] = array
    return padded.reshape(rows, step, columns, step).sum(axis=(1, 3))


def _nearest(x: np.ndarray, y: np.ndarray, name: np.ndarray, sx: float, sy: float) -> str:
    return str(name[int(np.argmin(np.hypot(x - sx, y - sy)))]) if len(x) else "nowhere"


def _power(tier: str, rng: np.random.Generator) -> str:
    if tier == "rural":
        return str(rng.choice(["grid and diesel", "diesel", "solar and battery"], p=[0.6, 0.2, 0.2]))
    return "grid" if tier == "small" else "grid and battery"


# ---------------------------------------------------------------- cells and links


def cells(sites: Sites, ids: np.ndarray, *, provenance: str, rng: np.random.Generator) -> xr.Dataset:
    """Cells of the radio sites: three sectors on a macro site, one omnidirectional cell on a small one."""
    rows: list[tuple[str, str, float, float, float, float, float, str]] = []
    for i in range(len(sites)):
        if sites.tier[i] == "core":
            continue
        carriers, bandwidth, power, tilts, _ = TIERS[sites.tier[i]]
        carrier, tilt = float(rng.choice(carriers)), float(rng.choice(tilts))
        first = float(rng.integers(0, 120))
        sectors = 1 if sites.tier[i] == "small" else SECTORS
        for k in range(sectors):
            azimuth = 0.0 if sectors == 1 else (first + 120.0 * k) % 360.0
            pattern = "omni" if sectors == 1 else "sector"
            tilt_here = 0.0 if sectors == 1 else tilt
            rows.append((f"{ids[i]}{'abc'[k]}", ids[i], azimuth, tilt_here, carrier, bandwidth, power, pattern))
    names = ("cell", "site", "azimuth", "downtilt", "frequency", "bandwidth", "transmit_power", "antenna")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    text = {"cell", "site", "antenna"}
    made = {n: given("cell", np.array(v, dtype=object if n in text else float), provenance) for n, v in columns.items()}
    return xr.Dataset(made).set_coords("cell")


def backhaul(sites: Sites, ids: np.ndarray, *, provenance: str) -> xr.Dataset:
    """Links as a tree to the exchange (the first site): the shortest that joins all sites, fibre counted cheap.

    Fibre joins sites in towns up to 8 km apart (its route is 1.3 times the straight line) and the data centre;
    microwave joins the rest up to 45 km, satellite what is farther.
    """
    n = len(sites)
    names = ("link", "source", "target", "medium", "capacity", "length")
    if n < 2:
        return xr.Dataset(
            {k: given("link", np.array([], dtype=object), provenance) for k in names[:4]}
            | {k: given("link", np.zeros(0), provenance) for k in names[4:]}
        ).set_coords("link")
    points = np.column_stack([sites.x, sites.y])
    near = min(n, 13)
    distance, other = cKDTree(points).query(points, k=near)
    source = np.repeat(np.arange(n), near)
    target, length = other.ravel(), distance.ravel()
    # every site also knows the exchange, so that the graph is connected whatever the neighbours
    source, target = np.concatenate([source, np.arange(1, n)]), np.concatenate([target, np.zeros(n - 1, int)])
    length = np.concatenate([length, np.hypot(sites.x[1:] - sites.x[0], sites.y[1:] - sites.y[0])])
    keep = source != target
    source, target, length = source[keep], target[keep], np.maximum(length[keep], 1.0)
    urban = sites.tier != "rural"
    fibre = urban[source] & urban[target] & (length <= 8000)
    cost = np.where(fibre, 0.5, 1.0) * length * np.where(length > 45_000, 5.0, 1.0)
    core = sites.tier == "core"
    cost = np.where(core[source] & core[target], 1.0, cost)  # the data centre hangs on the exchange itself
    low, high = np.minimum(source, target), np.maximum(source, target)
    _, first = np.unique(low.astype(np.int64) * n + high, return_index=True)
    tree = minimum_spanning_tree(coo_matrix((cost[first], (low[first], high[first])), shape=(n, n)))
    order, parent = breadth_first_order(tree, 0, directed=False)
    child = order[1:]
    up = parent[child]
    straight = np.hypot(sites.x[child] - sites.x[up], sites.y[child] - sites.y[up])
    is_fibre = urban[child] & urban[up] & (straight <= 8000)
    medium = np.where(is_fibre, "fibre", np.where(straight <= 45_000, "microwave", "satellite"))
    trunk = core[child] | core[up]
    capacity = np.select(
        [is_fibre & trunk, is_fibre, medium == "satellite", straight > 20_000], [100e9, 10e9, 1e8, 4e8], default=1e9
    )
    rank = np.argsort(child, kind="stable")
    values = (
        [f"l{i + 1:03d}" for i in range(len(rank))],
        ids[child[rank]],
        ids[up[rank]],
        medium[rank],
        capacity[rank],
        (straight * np.where(is_fibre, 1.3, 1.0))[rank],
    )
    made = {
        k: given("link", np.array(v, dtype=object if k in names[:4] else float), provenance)
        for k, v in zip(names, values, strict=True)
    }
    return xr.Dataset(made).set_coords("link")


def node(frame: Frame, sites: Sites, ids: np.ndarray, *, provenance: str) -> xr.Dataset:
    """The twin's node of sites."""
    longitude, latitude = frame.degrees(sites.x, sites.y)
    columns = {
        "site": ids,
        "x": sites.x,
        "y": sites.y,
        "longitude": longitude,
        "latitude": latitude,
        "height": sites.height,
        "kind": sites.kind,
        "power_source": sites.power_source,
        "name": sites.name,
    }
    return xr.Dataset({k: given("site", v, provenance) for k, v in columns.items()}).set_coords("site")


def numbered(count: int) -> np.ndarray:
    """Ids of `count` sites: s001, s002, ..."""
    digits = max(3, len(str(count)))
    return np.array([f"s{i + 1:0{digits}d}" for i in range(count)], dtype=object)
