"""Cell sleep: which cells others can stand in for at a quiet hour, and what it costs the people they serve."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.energy.cell import _same_cells
from twinkit.energy.hours import period
from twinkit.error import TwinError
from twinkit.radio.best_server import Model, Network, levels
from twinkit.radio.coverage import model_for
from twinkit.radio.service import noise_power, rate
from twinkit.radio.tiling import READS, answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["sleep"]

LAYERS = ("surface/clutter_height", "surface/zone")
"""What models over terrain read, where it is there."""


@dataclass(frozen=True)
class _Choices:
    """For every pixel where somebody lives, the cells that it hears, the loudest first."""

    cell: np.ndarray  # (pixel, rank), -1 for none
    rate: np.ndarray  # (pixel, rank) [bit/s], 0 where nothing gets through
    people: np.ndarray  # (pixel)
    of: list[np.ndarray]  # pixels of each cell
    own: list[np.ndarray]  # its rank there
    share: list[np.ndarray]  # part of its load that comes from there


@contract(
    reads=[*READS, "surface/people", "load"],
    gives=["asleep", "load", "people_lost", "people_slowed"],
    computes=True,
)
def sleep(
    twin: xr.DataTree,
    load: xr.DataArray,
    *,
    path_loss: Callable[..., Any],
    threshold: float,
    ceiling: float,
    most_lost: float,
    least_rate: float,
    noise_figure: float,
    interference: float,
    efficiency: float,
    overhead: float,
    wake_delay: float,
    may: xr.DataArray | None = None,
    ranks: int = 4,
    paths: Callable[..., Any] | None = None,
    near: Callable[..., Any] | None = None,
    entry: Callable[..., Any] | None = None,
    farthest: float | None = None,
    receiver_height: float = 1.5,
    subcarrier_spacing: float = 15e3,
    antennas: Mapping[str, Callable[..., Any]] | None = None,
) -> xr.Dataset:
    r"""Which cells sleep in which hour, where their load goes, and who pays for it.

    Every hour by itself, cells are tried from the least loaded on. Its people go to the loudest cell that they hear
    and that is awake; the bits stay the same, so that load grows where the new cell carries fewer of them:

    .. math:: \rho_k' = \rho_k + \sum_{i \to k} \rho_c\, w_i\, \frac{R_{ic}}{R_{ik}}, \qquad
        w_i = \frac{n_i / R_{ic}}{\sum_j n_j / R_{jc}}

    It sleeps if no cell then carries more than `ceiling`, and at most the share `most_lost` of its people hears no
    other. A cell that has taken people in stays awake. Who is left with less than `least_rate` is counted by the rate
    of a shared channel, R (1 - ρ), before and after.

    Parameters
    ----------
    twin : DataTree
    load : DataArray (time, cell) [1]
    path_loss, paths, near, entry, farthest, receiver_height, subcarrier_spacing, antennas
        As for `coverage`.
    threshold : float [dBm]
        RSRP below which nobody is served.
    ceiling : float [1]
        Largest load that a cell may come to by taking others' people in; a cell that is fuller already takes none.
    most_lost : float [1]
        Share of a cell's people who may be left without any: 0 for none.
    least_rate : float [bit/s]
    noise_figure : float [dB]
        Of the receiver, as for `service`.
    interference : float [dB]
        How far other cells lift the noise; the same before and after, although sleepers disturb nobody.
    efficiency, overhead : float [1]
        As for `rate`.
    wake_delay : float [s]
        From the order to service; the cell draws power meanwhile, so it is ordered so much before its hour.
    may : DataArray (cell) truth, optional
        Which cells may sleep; all, if left out.
    ranks : int
        Cells that a pixel remembers; people whose first so many all sleep count as lost.

    Returns
    -------
    Dataset
        (time, cell) ``asleep``: share of the period asleep, and ``load`` after; (time) ``people_lost`` and
        ``people_slowed``.

    Validity
    --------
    Demand follows people within a cell. Hours do not know one another: nothing keeps a cell from waking for one.
    It is a greedy choice, not the least energy of all.

    Errors
    ------
    TwinError
        As `coverage` and `rate`; a load or ceiling outside 0 to 1, cells that are not those of the twin, uneven times.

    Examples
    --------
    Of two cells on one mast the one with less to do sleeps, and the other takes its load:

    >>> from twinkit import assemble, stamp
    >>> make = {"azimuth": 0.0, "downtilt": 0.0, "bandwidth": 1e7, "transmit_power": 46.0}
    >>> cells = {k: ("cell", [v, v]) for k, v in make.items()} | {"antenna": ("cell", ["omni"] * 2)}
    >>> cells |= {"frequency": ("cell", [8e8, 1.8e9]), "site": ("cell", ["m", "m"])}
    >>> sites = xr.Dataset({"x": ("site", [0.0]), "y": ("site", [0.0]), "height": ("site", [30.0])}, {"site": ["m"]})
    >>> ground = {"ground_height": (("y", "x"), np.zeros((1, 3))), "people": (("y", "x"), [[5.0, 1.0, 2.0]])}
    >>> nodes = {"sites": sites, "cells": xr.Dataset(cells, {"cell": ["low", "high"]})}
    >>> nodes["surface"] = xr.Dataset(ground, {"y": [0.0], "x": [-500.0, 0.0, 500.0]})
    >>> twin = assemble(nodes, title="two layers", crs="EPSG:32643")
    >>> def mine(distance, *, frequency):
    ...     return 20 * np.log10(distance) + 20 * np.log10(frequency) - 147.55
    >>> times = np.array(["2026-03-02T02", "2026-03-02T03"], "datetime64[ns]")
    >>> axes = {"time": times, "cell": ["low", "high"]}
    >>> quiet = stamp(xr.DataArray([[0.2, 0.1], [0.9, 0.5]], axes, ("time", "cell")), "load")
    >>> radio = {"noise_figure": 9, "interference": 3, "efficiency": 0.6, "overhead": 0.14, "least_rate": 1e6}
    >>> found = sleep(
    ...     twin, quiet, path_loss=mine, threshold=-105, ceiling=0.6, most_lost=0, wake_delay=0, **radio
    ... )
    >>> found.asleep.values.tolist(), float(found.people_lost.sum()), found["load"].values.round(2).tolist()
    ([[0.0, 1.0], [0.0, 0.0]], 0.0, [[0.3, 0.0], [0.9, 0.5]])
    """
    for value, low, high, name, unit in (
        (threshold, -200.0, 60.0, "threshold", "dBm"),
        (ceiling, 0.0, 1.0, "ceiling", "1"),
        (most_lost, 0.0, 1.0, "most_lost", "1"),
        (least_rate, 0.0, 1e12, "least_rate", "bit/s"),
        (noise_figure, 0.0, 40.0, "noise_figure", "dB"),
        (interference, 0.0, 60.0, "interference", "dB"),
        (ranks, 2, 16, "ranks", "1"),
        (receiver_height, 0.1, 400.0, "receiver_height", "m"),
    ):
        within(value, low, high, name=name, unit=unit)
    rate(0.0, bandwidth=1e7, efficiency=efficiency, overhead=overhead)
    dt = period(load, "load")
    within(wake_delay, 0.0, dt, name="wake_delay", unit="s", why="a period")
    _same_cells(load, twin.children["cells"].to_dataset(inherit=False), "load")
    twin, load = _read(twin, load)
    cells, people = twin.children["cells"].to_dataset(inherit=False), twin["surface/people"].transpose("y", "x")
    tired = np.ones(cells.sizes["cell"], bool) if may is None else _truth(may, cells)
    model = model_for(
        twin, path_loss, receiver_height=receiver_height, entry=entry, paths=paths, near=near, farthest=farthest
    )
    record = np.dtype([*((f"cell{k}", np.int32) for k in range(ranks)), *((f"level{k}", "f4") for k in range(ranks))])
    found = answers(
        twin,
        model=model,
        antennas=antennas,
        subcarrier_spacing=subcarrier_spacing,
        ask=functools.partial(_heard, threshold=threshold, record=record),
        record=record,
    )
    given = load.transpose("time", "cell").to_numpy().astype(float)
    within(given, 0.0, 1.0, name="load", unit="1")
    noise = noise_power(subcarrier_spacing, noise_figure=noise_figure) + interference
    carried = functools.partial(rate, efficiency=efficiency, overhead=overhead)
    choices = _choices(found, people.to_numpy().astype(float), cells["bandwidth"].to_numpy(), noise, carried, ranks)
    slept, after = np.zeros(given.shape), given.copy()
    lost, slowed = np.zeros(len(given)), np.zeros(len(given))
    for hour, now in enumerate(given):
        awake, after[hour] = _night(now, choices, tired, ceiling, most_lost)
        slept[hour] = ~awake
        lost[hour], slowed[hour] = _toll(now, after[hour], awake, choices, least_rate)
    # the last period asleep gives up what waking takes
    wakes = (slept[:-1] > 0) & (slept[1:] == 0)
    slept[:-1][wakes] -= wake_delay / dt
    attrs = {
        "provenance": "modelled: greedy cell sleep, twinkit.energy.sleep",
        "assumptions": f"ceiling {ceiling:g}, at most {most_lost:g} of a cell's people lost below {threshold:g} dBm,"
        f" noise figure {noise_figure:g} dB, interference {interference:g} dB, {ranks} cells remembered, wake-up"
        f" {wake_delay:g} s; slow is less than {least_rate:g} bit/s; demand within a cell follows people",
    }
    dims = ("time", "cell")
    data: dict[str, Any] = {"asleep": (dims, slept, attrs), "load": (dims, after, attrs)}
    data |= {"people_lost": ("time", lost, attrs), "people_slowed": ("time", slowed, attrs)}
    return xr.Dataset(data, {d: load[d] for d in dims if d in load.coords})


# ---------------------------------------------------------------- who hears whom


def _heard(
    network: Network,
    model: Model,
    ground: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    *,
    threshold: float,
    record: np.dtype[Any],
) -> np.ndarray:
    """The loudest cells at some pixels, by rank; -1 where fewer reach the threshold."""
    ranks = len(record.names or ()) // 2
    cell = np.full((ranks, ground.size), -1, np.int32)
    level = np.full((ranks, ground.size), -np.inf, np.float32)
    weakest = np.full(ground.size, threshold, np.float32)
    for which, some, here in levels(network, model, ground, y, x, weakest=weakest):
        at = np.arange(ground.size) if some is None else some
        # of two alike the first in the twin, whatever the order in which masts are looked at
        last = level[-1, at]
        better = (here >= threshold) & ((here > last) | ((here == last) & (which < cell[-1, at])))
        at, new = at[better], here[better]
        if not at.size:
            continue
        cell[-1, at], level[-1, at] = which, new
        for k in range(ranks - 1, 0, -1):
            up = (level[k, at] > level[k - 1, at]) | (
                (level[k, at] == level[k - 1, at]) & (cell[k, at] < cell[k - 1, at])
            )
            swap = at[up]
            for array in (cell, level):
                array[k - 1, swap], array[k, swap] = array[k, swap], array[k - 1, swap].copy()
        weakest[at] = np.maximum(threshold, level[-1, at])
    out = np.empty(ground.size, record)
    for k in range(ranks):
        out[f"cell{k}"], out[f"level{k}"] = cell[k], level[k]
    return out


def _read(twin: xr.DataTree, load: xr.DataArray) -> tuple[xr.DataTree, xr.DataArray]:
    """Everything that is lazy, in one pass."""
    import dask

    nodes = {n: twin.children[n].to_dataset(inherit=False) for n in ("sites", "cells", "surface")}
    wanted = {n: [v.partition("/")[2] for v in (*READS, "surface/people", *LAYERS) if v.startswith(n)] for n in nodes}
    parts = {n: ds[[v for v in wanted[n] if v in ds]] for n, ds in nodes.items()}
    parts, load = dask.compute(parts, load)
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=dict(twin.attrs)), **parts}), load


def _choices(
    heard: dict[str, np.ndarray],
    people: np.ndarray,
    bandwidth: np.ndarray,
    noise: float,
    carried: Callable[..., Any],
    ranks: int,
) -> _Choices:
    known = np.nan_to_num(people.ravel()) > 0
    cell = np.stack([heard[f"cell{k}"].ravel()[known] for k in range(ranks)], axis=1)
    level = np.stack([heard[f"level{k}"].ravel()[known] for k in range(ranks)], axis=1).astype(float)
    there = cell >= 0
    rates = carried(np.where(there, level, -200.0) - noise, bandwidth=bandwidth[np.where(there, cell, 0)])
    rates = np.where(there, rates, 0.0)
    lives = people.ravel()[known]
    of, own, share = [], [], []
    for pixels, rank in _homes(cell, rates > 0, len(bandwidth)):
        asked = lives[pixels] / rates[pixels, rank]
        of.append(pixels)
        own.append(rank)
        share.append(asked / asked.sum() if pixels.size else asked)
    return _Choices(cell, rates, lives, of, own, share)


def _homes(cell: np.ndarray, gets: np.ndarray, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixels of each cell and its rank there: those that hear it best, or, where none does, all that hear it.

    A layer for capacity is seldom the loudest, and has its load all the same.
    """
    pixel, rank = np.nonzero((cell >= 0) & gets)
    which = cell[pixel, rank]
    best = rank == 0
    has = np.zeros(count, bool)
    has[which[best]] = True
    keep = best | ~has[which]
    pixel, rank, which = pixel[keep], rank[keep], which[keep]
    order = np.argsort(which, kind="stable")
    pixel, rank = pixel[order], rank[order]
    edges = np.searchsorted(which[order], np.arange(count + 1))
    for c in range(count):
        yield pixel[edges[c] : edges[c + 1]], rank[edges[c] : edges[c + 1]]


# ---------------------------------------------------------------- one hour


def _night(
    load: np.ndarray, choices: _Choices, may: np.ndarray, ceiling: float, most_lost: float
) -> tuple[np.ndarray, np.ndarray]:
    """Who stays awake in one hour, and what all then carry."""
    awake, now = np.ones(len(load), bool), load.copy()
    host = np.zeros(len(load), bool)
    for c in np.argsort(load, kind="stable"):
        pixels = choices.of[c]
        # a cell that nobody hears has its load from somewhere that the twin does not know: let it be
        if not may[c] or host[c] or not pixels.size:
            continue
        rank = _next(choices, pixels, awake, but=int(c))
        found = rank >= 0
        lives = choices.people[pixels]
        if lives[~found].sum() > most_lost * lives.sum():
            continue
        moved, old, new = pixels[found], choices.own[c][found], rank[found]
        to = choices.cell[moved, new]
        ratio = choices.rate[moved, old] / choices.rate[moved, new]
        more = np.bincount(to, load[c] * choices.share[c][found] * ratio, len(load))
        takes = np.zeros(len(load), bool)
        takes[to] = True
        if np.any(now[takes] + more[takes] > ceiling):
            continue
        now += more
        now[c] = 0.0
        awake[c] = False
        host |= takes
    return awake, now


def _next(choices: _Choices, pixels: np.ndarray, awake: np.ndarray, *, but: int) -> np.ndarray:
    """Rank of the loudest other cell that is awake and carries anything; -1 where there is none."""
    cell = choices.cell[pixels]
    free = (cell >= 0) & (cell != but) & (choices.rate[pixels] > 0) & awake[np.where(cell >= 0, cell, 0)]
    return np.where(free.any(axis=1), free.argmax(axis=1), -1)


def _toll(
    before: np.ndarray, after: np.ndarray, awake: np.ndarray, choices: _Choices, least: float
) -> tuple[float, float]:
    """People without a cell, and people who fall below the least rate, who had both before."""
    served = np.flatnonzero(choices.rate[:, 0] > 0)
    rank = _next(choices, served, awake, but=-1)
    gone = rank < 0
    now = choices.cell[served, rank]
    had = choices.rate[served, 0] * (1 - before[choices.cell[served, 0]])
    has = np.where(gone, 0.0, choices.rate[served, rank] * (1 - after[now]))
    people = choices.people[served]
    return float(people[gone].sum()), float(people[(had >= least) & (has < least) & ~gone].sum())


def _truth(may: xr.DataArray, cells: xr.Dataset) -> np.ndarray:
    _same_cells(may, cells, "may")
    if may.dtype != bool or may.dims != ("cell",):
        raise TwinError(
            "a truth for every cell",
            found=f"{may.dtype} values with dims {may.dims}",
            hint='compare first: twin["cells/frequency"] > 1e9',
            where="may",
        )
    return may.to_numpy()
