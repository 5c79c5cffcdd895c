"""Where to build next: candidate sites, the people whom each would add, and a choice with its guarantee."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError
from twinkit.radio.best_server import ANTENNAS, Model, Network, model_of, network, strongest
from twinkit.radio.coverage import READS, at_most, check_axes, coverage, ground_at_masts
from twinkit.twin import extend, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["built", "candidates", "choose", "gain"]

SECTORS = (0.0, 120.0, 240.0)
"""Azimuths [degree] of a new site whose antenna is directional; "omni" stands alone."""

# A block of the answer is this many candidates by this many pixels: 16 MB of truths.
MOST_CANDIDATES, MOST_PIXELS = 64, 262_144
# Columns of a square within a strip of the surface; few candidates matter to it.
SQUARE = 256

SITE = ("x", "y", "height", "frequency", "bandwidth", "transmit_power", "downtilt", "antenna")


@contract(reads=["surface/ground_height", "surface/x", "surface/y"], gives=list(SITE))
def candidates(
    twin: xr.DataTree,
    *,
    spacing: float,
    height: float = 30.0,
    frequency: float = 800e6,
    bandwidth: float = 10e6,
    transmit_power: float = 46.0,
    downtilt: float = 2.0,
    antenna: str = "sector",
) -> xr.Dataset:
    """A square grid of places where a site could stand, all of one make.

    Parameters
    ----------
    twin : DataTree
        With surface.
    spacing : float [m]
        Between neighbours; the grid stands centred on the surface.
    height : float [m]
        Of the mast above ground.
    frequency, bandwidth : float [Hz]
    transmit_power : float [dBm]
        At each antenna port, over the whole bandwidth.
    downtilt : float [degree]
    antenna : str
        "omni" for one cell; any other name for three, looking at 0, 120 and 240 degree.

    Returns
    -------
    Dataset (candidate)
        Position and make. A table of your own with the same variables does as well: real plots of land, or masts
        of several makes.

    Errors
    ------
    TwinError
        A spacing that is not positive, or a surface that is not evenly spaced.

    Examples
    --------
    >>> from twinkit import assemble
    >>> surface = xr.Dataset(
    ...     {"ground_height": (("y", "x"), np.zeros((3, 5)))}, {"y": [0.0, 1e3, 2e3], "x": np.arange(5) * 1e3}
    ... )
    >>> spots = candidates(assemble({"surface": surface}, title="plain", crs="EPSG:32643"), spacing=2000)
    >>> list(zip(spots.x.values.tolist(), spots.y.values.tolist()))
    [(0.0, 0.0), (2000.0, 0.0), (4000.0, 0.0), (0.0, 2000.0), (2000.0, 2000.0), (4000.0, 2000.0)]
    """
    within(spacing, 1.0, 1e7, name="spacing", unit="m")
    within(height, 1.0, 400.0, name="height", unit="m")
    surface = twin.children["surface"].to_dataset(inherit=False)
    check_axes(surface)
    lines = []
    for dim in ("y", "x"):
        first, last = surface[dim].values[[0, -1]].astype(float)
        count = math.floor((last - first) / spacing) + 1
        lines.append((first + last) / 2 + spacing * (np.arange(count) - (count - 1) / 2))
    y, x = (a.ravel() for a in np.meshgrid(*lines, indexing="ij"))
    make = {"height": height, "frequency": frequency, "bandwidth": bandwidth}
    make |= {"transmit_power": transmit_power, "downtilt": downtilt}
    said = {"provenance": f"generated: a grid every {spacing:g} m"}
    said["assumptions"] = (
        f"every mast {height:g} m high; {frequency:g} Hz, {bandwidth:g} Hz wide, {transmit_power:g} dBm at each port;"
        f" antenna {antenna}, downtilt {downtilt:g} degree"
    )
    columns = {"x": x, "y": y, **{k: np.full(len(x), float(v)) for k, v in make.items()}}
    columns["antenna"] = np.full(len(x), antenna, dtype=object)
    digits = len(str(len(x)))
    return xr.Dataset(
        {k: ("candidate", v, dict(said)) for k, v in columns.items()},
        coords={"candidate": np.array([f"c{i:0{digits}d}" for i in range(1, len(x) + 1)], dtype=object)},
    )


@contract(
    reads=[*READS, "surface/people", *SITE],
    gives=["adds", "people_gained", "people"],
)
def gain(
    twin: xr.DataTree,
    candidates: xr.Dataset,
    *,
    path_loss: Callable[..., Any],
    threshold: float,
    receiver_height: float = 1.5,
    subcarrier_spacing: float = 15e3,
    antennas: Mapping[str, Callable[..., Any]] | None = None,
) -> xr.Dataset:
    """Which people each candidate would reach whom no cell of the twin reaches now.

    Parameters
    ----------
    twin : DataTree
        As for `coverage`, with people.
    candidates : Dataset (candidate)
        What the function of that name gives.
    path_loss, receiver_height, subcarrier_spacing, antennas
        As for `coverage`: the twin and the candidates are judged alike.
    threshold : float [dBm]
        A pixel is reached where rsrp is above it.

    Returns
    -------
    Dataset (candidate, pixel)
        ``adds``: true where people live whom the candidate would be the first to reach; ``people_gained``
        (candidate) [people], their sum; ``people`` (pixel). Pixels are those of the surface, row after row from the
        south. Always lazy: candidates times pixels seldom fit into memory, and `choose` reads them in one pass. The
        candidates' own variables come along.

    Errors
    ------
    TwinError
        As for `coverage`.

    Examples
    --------
    See `choose`.
    """
    import dask
    import dask.array as da

    within(threshold, -250, 60, name="threshold", unit="dBm")
    surface = twin.children["surface"].to_dataset(inherit=False)
    model = model_of(path_loss, receiver_height)
    choices: dict[str, Any] = {"subcarrier_spacing": subcarrier_spacing, "antennas": antennas}
    now = coverage(twin, path_loss=path_loss, receiver_height=receiver_height, **choices).rsrp
    y, x = (surface[d].values.astype(float) for d in ("y", "x"))

    # strips of whole rows, so that a block of pixels is a block of the flattened surface
    rows = max(1, MOST_PIXELS // len(x))
    strips = (at_most((len(y),), rows), (len(x),))

    def strip(array: xr.DataArray) -> Any:
        raw = array.transpose("y", "x").data
        return (raw if hasattr(raw, "dask") else da.from_array(raw, chunks=strips)).rechunk(strips)

    ground, people, level = strip(surface["ground_height"]), strip(surface["people"]), strip(now)
    flat = [a.reshape(-1)[None, :] for a in (ground, people, level)]
    count = candidates.sizes["candidate"]
    columns = {k: candidates[k].data for k in SITE}
    made = dask.delayed(_one_by_one, pure=True)(
        **columns,
        ids=candidates["candidate"].values if "candidate" in candidates.coords else np.arange(count),
        ground=ground_at_masts(ground, y, x, columns["y"], columns["x"]),
        patterns={**ANTENNAS, **(antennas or {})},
        subcarrier_spacing=subcarrier_spacing,
    )
    number = da.arange(count, chunks=min(MOST_CANDIDATES, max(1, count)))[:, None]
    pixel = da.arange(len(y) * len(x), chunks=(flat[0].chunks[1],))[None, :]
    adds = da.map_blocks(
        _added,
        number,
        pixel,
        *flat,
        masts=made,
        model=model,
        threshold=threshold,
        axes=(y, x),
        chunks=(number.chunks[0], pixel.chunks[1]),
        dtype=bool,
        meta=np.empty((0, 0), bool),
    )
    said = {"provenance": now.attrs["provenance"].replace("coverage", "gain"), "assumptions": now.attrs["assumptions"]}
    said["assumptions"] += f"; reached above {threshold:g} dBm; a directional antenna stands for three sectors"
    out = candidates.assign(
        adds=(("candidate", "pixel"), adds, said),
        people=("pixel", flat[1][0], {k: v for k, v in surface["people"].attrs.items() if k == "provenance"}),
    )
    gained = (out["adds"] * out["people"].fillna(0.0)).sum("pixel", dtype=float)
    return out.assign(people_gained=gained.assign_attrs(said))


@contract(reads=["adds", "people", *SITE], gives=["people_gained", "people_bound", *SITE], computes=True)
def choose(gain: xr.Dataset, *, budget: int) -> xr.Dataset:
    r"""The candidates to build, one after the other, each where it adds most to those before it.

    .. math:: f(S_{greedy}) \ge \left(1 - (1 - 1/k)^k\right) \max_{|S| \le k} f(S) \ge 0.632\, \max f

    The people reached are a monotone submodular function of the set of sites: the greedy choice reaches at least
    this share of what the best choice of k sites would. Mostly it reaches far more, and the data say how much:
    no choice of k sites gains more than the greedy set's gain plus the k largest gains that remain beside it
    (the same holds for every prefix of the set; the least of these is ``people_bound``).

    Parameters
    ----------
    gain : Dataset (candidate, pixel)
        What the function of that name gives, or your own ``adds`` and ``people`` with the sites' make.
    budget : int
        How many sites.

    Returns
    -------
    Dataset (candidate)
        The chosen candidates in order; ``people_gained`` [people] is what each adds to those before it;
        ``people_bound`` [people], without dims, is what no choice of `budget` sites can exceed. Fewer than `budget`
        where no other candidate adds anybody.

    Errors
    ------
    TwinError
        A budget below 1, or no candidate.

    Examples
    --------
    Alone, the middle candidate adds four people and the right one three; after the left one, two and three:

    >>> from twinkit import stamp
    >>> adds = np.array([[1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 1]], bool)
    >>> make = dict.fromkeys(SITE, ("candidate", [0.0] * 3)) | {"antenna": ("candidate", ["omni"] * 3)}
    >>> known = xr.Dataset(
    ...     {"adds": (("candidate", "pixel"), adds), "people": ("pixel", [4.0, 1, 1, 2, 2, 1]), **make},
    ...     {"candidate": ["left", "middle", "right"]},
    ... ).map(lambda array: stamp(array, array.name))
    >>> chosen = choose(known, budget=2)
    >>> chosen.candidate.values.tolist(), chosen.people_gained.values.tolist(), float(chosen.people_bound)
    (['left', 'right'], [6.0, 3.0], 10.0)

    References
    ----------
    Nemhauser, Wolsey and Fisher (1978), doi:10.1007/BF01588971; Leskovec et al. (2007),
    doi:10.1145/1281192.1281239, for lazy evaluation and the bound from the data.
    """
    within(budget, 1, math.inf, name="budget", unit="1", why="a number of sites")
    if budget != int(budget):
        raise TwinError("a whole number of sites", found=f"{budget}", hint="round it", where="budget")
    if gain.sizes["candidate"] == 0:
        raise TwinError("candidates", found="none", hint="take a smaller spacing", where="candidate")
    table, sets, weights = _read_once(gain)
    order, steps, bound = _greedy(sets, weights, int(budget))
    out = table.isel(candidate=order)
    total = sum(steps)
    method = (
        f"greedy choice of {len(order)} among {len(sets)}; at least {1 - (1 - 1 / budget) ** budget:.1%} of the best"
        f" choice by theory, {total / bound if bound else 1:.1%} by the bound from these data"
    )
    said = {"provenance": gain["adds"].attrs.get("provenance", "modelled: choice"), "method": method}
    said |= {k: v for k, v in gain["adds"].attrs.items() if k == "assumptions"}
    return out.assign(people_gained=("candidate", np.array(steps, float), said), people_bound=((), bound, dict(said)))


def built(twin: xr.DataTree, chosen: xr.Dataset) -> xr.DataTree:
    """The twin in which the chosen sites stand: the network as it would be.

    Parameters
    ----------
    twin : DataTree
    chosen : Dataset (candidate)
        What `choose` gives, or candidates.

    Returns
    -------
    DataTree
        With sites ``new-<candidate>`` and their cells; variables of sites and cells that a candidate does not have
        are empty text or NaN there.

    Errors
    ------
    TwinError
        A site of that name stands already.

    Examples
    --------
    >>> from twinkit import assemble
    >>> surface = xr.Dataset({"ground_height": (("y", "x"), np.zeros((2, 2)))}, {"y": [0.0, 1e3], "x": [0.0, 1e3]})
    >>> twin = assemble({"surface": surface}, title="plain", crs="EPSG:32643")
    >>> twin = built(twin, candidates(twin, spacing=1500))
    >>> twin["cells"].azimuth.values.tolist()
    [0.0, 120.0, 240.0]
    """
    make = chosen[list(SITE)].compute()
    ids = [f"new-{c}" for c in make["candidate"].values]
    if not ids:  # nobody is left to be reached
        return validate(extend(twin))
    per_site = {k: make[k].values for k in ("x", "y", "height")} | {"kind": np.full(len(ids), "macro", dtype=object)}
    per_site |= _positions(twin, make)
    owners, azimuths = [], []
    for i, antenna in enumerate(make["antenna"].values):
        for azimuth in _azimuths(antenna):
            owners.append(i)
            azimuths.append(azimuth)
    per_cell = {k: make[k].values[owners] for k in ("frequency", "bandwidth", "transmit_power", "downtilt", "antenna")}
    per_cell |= {"site": np.array(ids, dtype=object)[owners], "azimuth": np.array(azimuths)}
    turn = [owners[:n].count(owner) for n, owner in enumerate(owners)]
    names = [f"{ids[owner]}-{t + 1}" for owner, t in zip(owners, turn, strict=True)]
    nodes = {"sites": _joined(twin, "sites", "site", ids, per_site)}
    nodes["cells"] = _joined(twin, "cells", "cell", names, per_cell)
    return validate(extend(twin, **nodes))


# ---------------------------------------------------------------- what a candidate adds


def _azimuths(antenna: str) -> tuple[float, ...]:
    return (0.0,) if str(antenna) == "omni" else SECTORS


def _one_by_one(
    *,
    x: Any,
    y: Any,
    height: Any,
    frequency: Any,
    bandwidth: Any,
    transmit_power: Any,
    downtilt: Any,
    antenna: Any,
    ids: Any,
    ground: Any,
    patterns: Mapping[str, Callable[..., Any]],
    subcarrier_spacing: float,
) -> list[Network]:
    """A network of one mast for each candidate."""
    sectors = [_azimuths(a) for a in antenna]
    owner = np.repeat(np.arange(len(ids)), [len(s) for s in sectors])
    whole = network(
        site=ids,
        site_x=x,
        site_y=y,
        site_height=height,
        site_ground=ground,
        cell=np.asarray(ids)[owner],
        cell_site=np.asarray(ids)[owner],
        azimuth=np.concatenate([*sectors, ()]),
        downtilt=np.asarray(downtilt)[owner],
        frequency=np.asarray(frequency)[owner],
        bandwidth=np.asarray(bandwidth)[owner],
        transmit_power=np.asarray(transmit_power)[owner],
        antenna=np.asarray(antenna, dtype=object)[owner],
        patterns=patterns,
        subcarrier_spacing=subcarrier_spacing,
    )
    out = []
    for i in range(len(ids)):
        cells = np.flatnonzero(owner == i)
        names = ("azimuth", "downtilt", "frequency", "power", "antenna")
        mine = {k: getattr(whole, k)[cells] for k in names} | {"cell_site": np.zeros(len(cells), np.intp)}
        out.append(replace(whole, **mine, **{k: getattr(whole, k)[[i]] for k in ("x", "y", "height", "ground")}))
    return out


def _added(
    number: np.ndarray,
    pixel: np.ndarray,
    ground: np.ndarray,
    people: np.ndarray,
    level: np.ndarray,
    *,
    masts: list[Network],
    model: Model,
    threshold: float,
    axes: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """One block of `adds`: only pixels in which people live who are not reached now are looked at."""
    out = np.zeros((number.shape[0], pixel.shape[1]), bool)
    # a level that is unknown reaches nobody, hence the negation
    waiting = np.flatnonzero((people[0] > 0) & ~(level[0] > threshold) & np.isfinite(ground[0]))
    row, column = np.divmod(pixel[0, waiting], len(axes[1]))
    for part in _squares(row, column):
        here, y, x = waiting[part], axes[0][row[part]], axes[1][column[part]]
        heights = ground[0, here].astype(float)
        for i, n in enumerate(number[:, 0]):
            reached = strongest(masts[n], model, heights, y, x, floor=threshold)[1] >= 0
            if reached.any():
                out[i, here] = reached
    return out


def _squares(row: np.ndarray, column: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of the pixels of each square that has any."""
    key = (row // SQUARE) * (2**32) + column // SQUARE
    order = np.argsort(key, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(key[order])) + 1) if len(order) else ()


# ---------------------------------------------------------------- the greedy choice


def _read_once(gain: xr.Dataset) -> tuple[xr.Dataset, list[list[np.ndarray]], list[np.ndarray]]:
    """The candidates' table, the set of pixels that each adds (by blocks of pixels) and the people in them.

    A set is a list of positions (int32) or, where that is shorter, a row of packed bits (uint8): never more than a
    bit for each candidate and pixel.
    """
    import dask
    import dask.array as da

    adds, people = gain["adds"].transpose("candidate", "pixel").data, gain["people"].data
    if not hasattr(adds, "dask"):
        adds = da.from_array(adds, chunks=(MOST_CANDIDATES, MOST_PIXELS))
    people = (people if hasattr(people, "dask") else da.from_array(people)).rechunk((adds.chunks[1],))
    packed = da.map_blocks(
        _packed, adds, people[None, :], dtype=object, chunks=(adds.chunks[0], (1,) * adds.numblocks[1])
    )
    table, sets, weights = dask.compute(gain[list(SITE)], packed, people)
    weights = np.nan_to_num(np.asarray(weights, float))
    edges = np.cumsum((0, *adds.chunks[1]))
    return table, [list(r) for r in sets], [weights[a:b] for a, b in itertools.pairwise(edges)]


def _packed(adds: np.ndarray, people: np.ndarray) -> np.ndarray:
    out = np.empty((adds.shape[0], 1), object)
    lived = people[0] > 0
    for i, row in enumerate(adds):
        at = np.flatnonzero(row & lived)
        out[i, 0] = np.packbits(row & lived) if 32 * at.size > row.size else at.astype(np.int32)
    return out


def _positions_of(packed: np.ndarray, size: int) -> np.ndarray:
    return np.flatnonzero(np.unpackbits(packed, count=size)) if packed.dtype == np.uint8 else packed


def _greedy(
    sets: list[list[np.ndarray]], weights: list[np.ndarray], budget: int
) -> tuple[list[int], list[float], float]:
    """Chosen rows, what each adds, and the bound; a gain is computed anew only when it comes to the top.

    Gains only fall as the set grows, so an old one bounds the new one from above.
    """
    left = [w.copy() for w in weights]

    def worth(row: int) -> float:
        return float(sum(w[_positions_of(s, len(w))].sum() for s, w in zip(sets[row], left, strict=True)))

    # ties go to the first candidate, whatever the order of evaluation
    heap = [(-worth(row), row, 0) for row in range(len(sets))]
    heapq.heapify(heap)
    chosen: list[int] = []
    steps: list[float] = []
    bound = -sum(g for g, _, _ in heapq.nsmallest(budget, heap))
    while heap and len(chosen) < budget:
        old, row, seen = heapq.heappop(heap)
        if seen < len(chosen):
            heapq.heappush(heap, (-worth(row), row, len(chosen)))
            continue
        if old >= 0.0:
            break
        chosen.append(row)
        steps.append(-old)
        for s, w in zip(sets[row], left, strict=True):
            w[_positions_of(s, len(w))] = 0.0
        bound = min(bound, sum(steps) - sum(g for g, _, _ in heapq.nsmallest(budget, heap)))
    # the same at the end with exact gains, which is the sharpest
    rest = heapq.nlargest(budget, (worth(row) for _, row, _ in heap))
    return chosen, steps, max(sum(steps), min(bound, sum(steps) + sum(rest)))


# ---------------------------------------------------------------- building


def _joined(twin: xr.DataTree, node: str, dim: str, ids: list[str], columns: Mapping[str, np.ndarray]) -> xr.Dataset:
    """The node with rows appended; what they do not have is empty text or NaN."""
    index = np.array(ids, dtype=object)
    if node not in twin.children:
        planned = {k: (dim, v, {"provenance": "generated: planned"}) for k, v in columns.items()}
        return xr.Dataset(planned, {dim: index})
    old = twin.children[node].to_dataset(inherit=False)
    twice = sorted(set(map(str, old[dim].values)) & set(ids))
    if twice:
        raise TwinError(
            f"new ids in {node}", found=f"'{twice[0]}', which stands already", hint="build the plan once", where=node
        )
    rows: dict[Any, Any] = {}
    for name, array in old.variables.items():
        if array.dims != (dim,) or name == dim:
            continue
        if name in columns:
            rows[name] = (dim, columns[str(name)])
        else:
            text = array.dtype.kind not in "fiubmM"
            rows[name] = (dim, np.full(len(ids), "", object) if text else np.full(len(ids), np.nan))
    # variables over other dims (readings in time) cannot be planned, and stay as they are
    kept = old.drop_vars([n for n, a in old.variables.items() if dim in a.dims and a.dims != (dim,)])
    new = xr.Dataset(rows, {dim: index}).set_coords([c for c in kept.coords if c in rows])
    # a stored twin's columns are lazy, and dask cannot guess a block size for texts beside them
    new = new.assign({n: new[n].chunk({dim: -1}) for n in rows if old[n].chunks is not None})
    out = xr.concat([kept, new], dim=dim, data_vars="minimal", coords="minimal", compat="override", join="outer")
    for name in rows:
        origin = old[name].attrs.get("provenance", "unknown")
        out[name].attrs = {**old[name].attrs, "provenance": f"{origin}; sites {ids[0]} to {ids[-1]} generated: planned"}
    return out


def _positions(twin: xr.DataTree, make: xr.Dataset) -> dict[str, np.ndarray]:
    import pyproj

    back = pyproj.Transformer.from_crs(twin.attrs["crs"], "EPSG:4326", always_xy=True)
    longitude, latitude = back.transform(make["x"].values, make["y"].values)
    return {"longitude": longitude, "latitude": latitude}
