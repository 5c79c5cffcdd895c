"""Streets of a town that has none on file: a crooked grid over its land, with a main road every few streets."""

from __future__ import annotations

import math

import dask
import numpy as np
import xarray as xr
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError

__all__ = ["streets"]

MAIN = 4
"""Every so many lines are a main road."""
SPEEDS = (50 / 3.6, 80 / 3.6)
"""On a street and on a main road [m/s]."""
LOST = 0.12
"""Share of the grid's streets that are not there; none is lost that joins two parts of the town."""
CROOKED = 0.2
"""Junctions are off the grid by up to this share of its spacing."""
MOST = 20_000
"""Junctions."""
WATER = 1


@contract(reads=["surface/people"], gives=["length", "speed", "lanes"], computes=True)
def streets(twin: xr.DataTree, *, spacing: float, seed: int) -> xr.Dataset:
    """A generated network of streets over the land of a twin, each in both directions.

    Parameters
    ----------
    twin : DataTree
        With a surface; where it has ``clutter``, no junction stands in water.
    spacing : float [m]
        Between two streets.
    seed : int
        Same seed, same streets.

    Returns
    -------
    Dataset (street, junction)
        ``length`` [m], ``speed`` [m/s] and ``lanes`` of each street; ``begin`` and ``end``, the positions of its
        junctions; ``x`` and ``y`` [m] of the junctions.

    Validity
    --------
    A plausible network for trials, not the town's own: distances between places are about 1.2 times the straight
    ones. A real one takes the same form.

    Errors
    ------
    TwinError
        A spacing that leaves fewer than four or more than 20 000 junctions.

    Examples
    --------
    >>> from twinkit.datasets import town
    >>> made = streets(town(sites=3, seed=1), spacing=500, seed=1)
    >>> made.sizes["junction"] > 80, bool((made.length > 100).all())
    (True, True)
    """
    within(spacing, 50, 50_000, name="spacing", unit="m")
    rng = np.random.default_rng([whole_seed(seed), 0x57])
    surface = twin.children["surface"].to_dataset(inherit=False)
    y, x = (surface[d].values.astype(float) for d in ("y", "x"))
    across, down = (int((a[-1] - a[0]) // spacing) + 1 for a in (x, y))
    if not 4 <= across * down <= MOST:
        raise TwinError(
            f"4 to {MOST} junctions",
            found=f"{across * down} at a spacing of {spacing:g} m",
            hint=f"take about {max(x[-1] - x[0], y[-1] - y[0]) / 40:.0f} m",
            where="spacing",
        )
    wet = surface["clutter"].data if "clutter" in surface else np.zeros((1, 1))
    people, wet = dask.compute(surface["people"].transpose("y", "x").data, wet)
    column, row = (a.ravel() for a in np.meshgrid(np.arange(across), np.arange(down)))
    off = spacing * CROOKED * rng.uniform(-1, 1, (2, len(row)))
    jx = x[0] + (x[-1] - x[0] - (across - 1) * spacing) / 2 + column * spacing + off[0]
    jy = y[0] + (y[-1] - y[0] - (down - 1) * spacing) / 2 + row * spacing + off[1]
    px = np.clip(np.rint((jx - x[0]) / (x[1] - x[0])).astype(int), 0, len(x) - 1)
    py = np.clip(np.rint((jy - y[0]) / (y[1] - y[0])).astype(int), 0, len(y) - 1)
    dry = (wet[py, px] != WATER) if wet.shape == people.shape else np.ones(len(row), dtype=bool)

    at = np.arange(len(row)).reshape(down, across)
    begin = np.concatenate([at[:, :-1].ravel(), at[:-1, :].ravel()])
    end = np.concatenate([at[:, 1:].ravel(), at[1:, :].ravel()])
    main = np.concatenate([row.reshape(down, across)[:, :-1].ravel(), column.reshape(down, across)[:-1, :].ravel()])
    main = main % MAIN == MAIN // 2
    stays = dry[begin] & dry[end]
    begin, end, main = begin[stays], end[stays], main[stays]
    # the streets that must stay are a tree of those with the least lot; main roads are never lost
    lot = np.where(main, 1e-6, rng.uniform(1, 2, len(begin)))
    tree = minimum_spanning_tree(coo_matrix((lot, (begin, end)), shape=(at.size, at.size)).tocsr()).tocoo()
    needed = np.isin(begin * at.size + end, tree.row.astype(np.int64) * at.size + tree.col)
    kept = needed | main | (rng.random(len(begin)) >= LOST)
    begin, end, main = begin[kept], end[kept], main[kept]
    _, part = connected_components(coo_matrix((np.ones(len(begin)), (begin, end)), shape=(at.size, at.size)), False)
    largest = part == np.bincount(part[begin], minlength=1).argmax() if len(begin) else np.zeros(at.size, dtype=bool)
    whole = largest[begin]
    begin, end, main = begin[whole], end[whole], main[whole]
    if len(begin) < 3:
        raise TwinError(
            "land for streets", found=f"{len(begin)} streets", hint="take a smaller spacing", where="streets"
        )
    used = np.unique(np.concatenate([begin, end]))
    begin, end = np.searchsorted(used, begin), np.searchsorted(used, end)
    jx, jy = jx[used], jy[used]
    begin, end = np.concatenate([begin, end]), np.concatenate([end, begin])
    main = np.concatenate([main, main])
    attrs = {"provenance": f"generated: seed {seed}, twinkit.mobility.streets, {spacing:g} m"}
    return xr.Dataset(
        {
            "length": ("street", np.hypot(jx[begin] - jx[end], jy[begin] - jy[end]), attrs),
            "speed": ("street", np.where(main, SPEEDS[1], SPEEDS[0]), attrs),
            "lanes": ("street", np.where(main, 2.0, 1.0), attrs),
        },
        {
            "begin": ("street", begin),
            "end": ("street", end),
            "x": ("junction", jx, {"units": "m"}),
            "y": ("junction", jy, {"units": "m"}),
            "street": np.array([f"{b}-{e}" for b, e in zip(begin, end, strict=True)], dtype=object),
        },
        attrs=attrs,
    )


def nearest_junction(network: xr.Dataset, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Position of the junction nearest to each point."""
    from scipy.spatial import cKDTree

    points = np.column_stack([network["x"].values, network["y"].values])
    found = cKDTree(points).query(np.column_stack([x, y]))[1]
    return np.asarray(found, dtype=np.int64)


def free_time(network: xr.Dataset) -> np.ndarray:
    """Seconds on each street when it is empty."""
    time = network["length"].values / network["speed"].values
    if not (np.isfinite(time).all() and (time > 0).all() and len(time)):
        raise TwinError(
            "streets of some length and speed", found="one that takes no time", hint="look at length and speed"
        )
    return np.asarray(np.minimum(time, math.inf), dtype=float)
