"""Where the houses stand, read from where receivers do not: features of a path through streets.

Receivers on a regular grid stand outdoors alone, so that the holes between them are houses. Of each path: how much of
it runs through houses, how near to each end, the way around them, and how much of the sky of streets is in sight.
Positions alone are read, no loss of any transmitter, so that a transmitter left out stays left out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from twinkit.contract import whole_seed, within
from twinkit.error import TwinError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["street_features"]

EDGES = (0, 5, 10, 20, 40, 80, 160, 320, 800)
"""Rings [m] from either end of a path."""

ROOFS = (10.0, 15.0, 20.0, 30.0, 40.0)
"""Heights [m] that the houses may have: nobody says which."""

DEARER = (2.0, 4.0, 10.0, 40.0)
"""How many metres of street a metre through a house counts for."""

STEP = 3.0
FREE = 15.0
"""Around the mast [m] houses do not count: it stands on one."""


def street_features(rows: xr.Dataset, *, most: int, seed: int) -> pd.DataFrame:
    r"""Features of paths through streets, of some receivers of each transmitter.

    Parameters
    ----------
    rows : Dataset (sample)
        As `read_streets` gives it: outdoor receivers on a regular grid, whatever its spacing.
    most : int
        Receivers of each transmitter, chosen at random.
    seed : int

    Returns
    -------
    DataFrame
        ``mast``, ``path_loss``, ``log_distance`` and the features: elevation, shares of the path in houses from either
        end and along a fan of directions, diffraction over roofs of several heights (Fresnel's ν), cheapest ways
        through streets, and line of sight nearby.

    Validity
    --------
    Flat ground, and a grid without other holes than houses.

    Errors
    ------
    TwinError
        Receivers that are on no grid.

    Examples
    --------
    >>> from twinkit.radio.measured import generated_streets
    >>> made = street_features(generated_streets(transmitters=2, seed=1), most=50, seed=1)
    >>> len(made), bool(made["share"].between(0, 1).all())
    (100, True)

    References
    ----------
    ITU-R P.526-15, equation (26): ν of a knife edge.
    """
    within(most, 1, 1e9, name="most", unit="1")
    rng = np.random.default_rng(whole_seed(seed))
    x, y = (rows[n].to_numpy().astype(float) for n in ("x", "y"))
    gaps = np.diff(np.unique(np.round(x, 3)))
    step = float(gaps.min()) if len(gaps) else 0.0
    column, row = ((v - v.min()) / step if step > 0 else v for v in (x, y))
    if step < 1 or max(abs(column - np.round(column)).max(), abs(row - np.round(row)).max()) > 0.05:
        raise TwinError("receivers on a regular grid", found=f"steps of {step:g} m", hint="read_streets", where="x, y")
    i, j = np.round(row).astype(int), np.round(column).astype(int)
    outside = np.zeros((i.max() + 1, j.max() + 1), bool)
    outside[i, j] = True
    masts = rows["mast"].to_numpy().astype(str)
    parts = []
    for name in sorted(set(masts)):
        own = np.flatnonzero(masts == name)
        fixed = {n: float(rows[n].to_numpy()[own[0]]) for n in ("transmitter_x", "transmitter_y", "transmitter_height")}
        at = ((fixed["transmitter_y"] - y.min()) / step, (fixed["transmitter_x"] - x.min()) / step)
        chosen = own[np.sort(rng.permutation(len(own))[:most])]
        made = _of_paths(
            outside,
            step,
            at,
            fixed["transmitter_height"],
            i[chosen],
            j[chosen],
            wavelength=2.998e8 / float(rows["frequency"].to_numpy()[own[0]]),
        )
        made |= _of_ways(outside, step, at, (i[own], j[own]), (i[chosen], j[chosen]))
        parts.append(pd.DataFrame(made).assign(mast=name, path_loss=rows["path_loss"].to_numpy()[chosen]))
    return pd.concat(parts, ignore_index=True)


def _of_paths(
    outside: np.ndarray, step: float, at: Any, height: float, i: np.ndarray, j: np.ndarray, *, wavelength: float
) -> dict[str, np.ndarray]:
    """Houses along the straight path, and along others near it."""
    from scipy.ndimage import distance_transform_edt, uniform_filter

    north, east = (at[0] - i) * step, (at[1] - j) * step
    ground = np.maximum(np.hypot(north, east), 1.0)
    towards = np.arctan2(north, east)
    along = (np.arange(256) + 0.5) * STEP

    def houses(turn: float, count: int = 256) -> np.ndarray:
        a = (towards + turn)[:, None]
        rows = np.clip(np.round(i[:, None] + np.sin(a) * along[:count] / step), 0, outside.shape[0] - 1).astype(int)
        columns = np.clip(np.round(j[:, None] + np.cos(a) * along[:count] / step), 0, outside.shape[1] - 1).astype(int)
        return np.asarray(~outside[rows, columns])

    def first(hit: np.ndarray) -> np.ndarray:
        return np.where(hit.any(axis=1), hit.argmax(axis=1) * STEP, 800.0)

    between = along[None] < ground[:, None] - 5
    hit = houses(0.0) & between
    ray = 1.5 + (height - 1.5) * np.minimum(along[None] / ground[:, None], 1.0)
    near = first(hit)
    made = {
        "log_distance": np.log10(np.maximum(np.hypot(ground, height - 1.5), 1.0)),
        "elevation": np.degrees(np.arctan2(height - 1.5, ground)),
        "first": near,
        "ray_at_first": np.where(near < 800, 1.5 + (height - 1.5) * np.minimum(near, ground) / ground, 99.0),
        "share": np.minimum(hit.sum(axis=1) * STEP / ground, 1.0),
        "houses": (np.diff(hit.astype(int), axis=1) == 1).sum(axis=1).astype(float),
        "wall": (distance_transform_edt(outside) * step)[i, j],
    }
    for cells in (5, 11, 21, 41):
        made[f"open {cells}"] = uniform_filter(outside.astype(float), cells)[i, j]
    left = ground[:, None] - along[None]
    for low, high in pairwise(EDGES):
        made[f"near {low}"] = hit[:, (along >= low) & (along < high)].mean(axis=1)
        ring = (left >= low) & (left < high)
        made[f"far {low}"] = (hit & ring).sum(axis=1) / np.maximum(ring.sum(axis=1), 1)
    other = np.maximum(left, 1.0)
    for roof in ROOFS:
        edge = (roof - ray) * np.sqrt(2 * (along[None] + other) / (wavelength * along[None] * other))
        made[f"edge {roof:g}"] = np.where(hit, edge, -10.0).max(axis=1)
        made[f"below {roof:g}"] = (hit & (ray < roof)).sum(axis=1) * STEP
    fan = [houses(np.radians(turn)) & between for turn in (-20, -10, -5, 5, 10, 20)]
    shares, starts = np.array([h.sum(axis=1) * STEP / ground for h in fan]), np.array([first(h) for h in fan])
    made |= {"fan": shares.mean(axis=0), "fan least": shares.min(axis=0), "fan near": shares[2:4].mean(axis=0)}
    made |= {"fan first": starts.max(axis=0), "fan nearest": starts.min(axis=0)}
    view = [np.minimum(first(houses(k * np.pi / 4, 80)), 240.0) for k in range(1, 8)]
    # left and right of the path are alike
    for k in range(3):
        made[f"view {k}"], made[f"wide {k}"] = np.minimum(view[k], view[6 - k]), np.maximum(view[k], view[6 - k])
    made["behind"] = view[3]
    return made


def _of_ways(outside: np.ndarray, step: float, at: Any, own: Any, asked: Any) -> dict[str, np.ndarray]:
    """Cheapest ways from the mast around and through houses, and what is in its sight."""
    from scipy.ndimage import distance_transform_edt, uniform_filter
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    low = [min(int(o.min()), int(np.floor(a))) for o, a in zip(own, at, strict=True)]
    high = [max(int(o.max()), int(np.ceil(a))) + 1 for o, a in zip(own, at, strict=True)]
    high = [min(h, n) for h, n in zip(high, outside.shape, strict=True)]
    street = outside[low[0] : high[0], low[1] : high[1]]
    rows, columns = np.mgrid[0 : street.shape[0], 0 : street.shape[1]]
    ti, tj = at[0] - low[0], at[1] - low[1]
    away = np.hypot(rows - ti, columns - tj) * step
    passable = street | (away < FREE)
    index = np.arange(street.size).reshape(street.shape)
    start = index[min(max(round(ti), 0), street.shape[0] - 1), min(max(round(tj), 0), street.shape[1] - 1)]
    moves = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))

    def ways(dearer: float, sources: Any, *, nearest: bool) -> np.ndarray:
        price = np.where(passable, 1.0, dearer).ravel()
        ends, costs = [], []
        for up, right in moves:
            there = (rows + up < street.shape[0]) & (columns + right >= 0) & (columns + right < street.shape[1])
            a, b = index[there], index[rows[there] + up, columns[there] + right]
            ends.append((a, b))
            costs.append(step * np.hypot(up, right) * (price[a] + price[b]) / 2)
        pairs = tuple(np.concatenate([e[k] for e in ends]) for k in (0, 1))
        graph = coo_matrix((np.concatenate(costs), pairs), shape=(street.size, street.size)).tocsr()
        found = dijkstra(graph, directed=False, indices=sources, min_only=nearest)
        return np.asarray(found).reshape(street.shape)

    here = asked[0] - low[0], asked[1] - low[1]
    ground = np.maximum(away[here], 1.0)
    made: dict[str, np.ndarray] = {}
    for dearer in DEARER:
        cost = ways(dearer, start, nearest=False)[here]
        made |= {f"way {dearer:g}": cost / ground, f"detour {dearer:g}": cost - ground}
    share = np.linspace(0, 1, 160)
    up = np.clip(np.round(rows[..., None] + (ti - rows)[..., None] * share), 0, street.shape[0] - 1).astype(int)
    right = np.clip(np.round(columns[..., None] + (tj - columns)[..., None] * share), 0, street.shape[1] - 1).astype(
        int
    )
    sight = passable[up, right].all(axis=-1)
    made["sight"] = sight[here].astype(float)
    if not sight.any():
        return made
    distance, nearest = distance_transform_edt(~sight, return_indices=True)
    made["to sight"] = (distance * step)[here]
    made["way to sight"] = ways(DEARER[-1], index[sight], nearest=True)[here]
    made["sight from mast"] = away[nearest[0], nearest[1]][here]
    for cells in (5, 11, 21, 41):
        open_share = np.maximum(uniform_filter(street.astype(float), cells), 1e-3)
        made[f"sight {cells}"] = (uniform_filter((sight & street).astype(float), cells) / open_share)[here]
    return made
