"""Flows of everybody from the records of some: expanded to the people who live there, with an interval."""

from __future__ import annotations

import math

import dask
import numpy as np
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError
from twinkit.mobility.diary import nearest_place
from twinkit.mobility.form import flow_matrix
from twinkit.mobility.stay import local, night_homes, stays

__all__ = ["footprint", "origin_destination", "trips"]


@contract(reads=["surface/people", "places/x", "places/y", "server"], gives=["cell_people"], computes=True)
def footprint(twin: xr.DataTree, server: xr.DataArray) -> xr.Dataset:
    """What a serving cell says about where its people are: a mean position, and a share for each place's zone.

    Parameters
    ----------
    twin : DataTree
        With surface, places and cells.
    server : DataArray (y, x)
        As `tk.radio.coverage` gives it.

    Returns
    -------
    Dataset (cell, place)
        ``x``, ``y`` [m]: the mean of the pixels that the cell serves, by people, and by area where nobody lives there;
        NaN for a cell that serves none. ``cell_people`` [people]: who live in the place's zone and are served by the
        cell. ``zone_share`` (cell, place): the share of the cell's people who are in the place's zone.

    Errors
    ------
    TwinError
        A variable is missing, the grids differ.

    Examples
    --------
    >>> from twinkit import datasets, radio
    >>> twin = datasets.town(sites=3, seed=1)
    >>> seen = footprint(twin, radio.coverage(twin, path_loss=radio.free_space).server)
    >>> bool(np.isclose(float(seen.cell_people.sum()), float(twin["surface/people"].sum())))
    True
    """
    surface = twin.children["surface"].to_dataset(inherit=False)
    places = twin.children["places"].to_dataset(inherit=False)
    if server.transpose("y", "x").shape != surface["people"].transpose("y", "x").shape:
        raise TwinError("a map on the twin's surface", found=f"shape {server.shape}", hint="take its own coverage")
    cells = twin.children["cells"].to_dataset(inherit=False) if "cells" in twin.children else None
    served, people = dask.compute(server.transpose("y", "x").data, surface["people"].transpose("y", "x").data)
    flat = np.asarray(served).ravel().astype(np.int64)
    ids = cells["cell"].values if cells is not None else np.array([str(i) for i in range(flat.max() + 1)], dtype=object)
    count, zones = len(ids), places.sizes["place"]
    if flat.max(initial=-1) >= count:
        raise TwinError(
            "a map of the twin's cells", found=f"cell {flat.max()} of {count}", hint="take its own coverage"
        )
    px, py = np.meshgrid(surface["x"].values.astype(float), surface["y"].values.astype(float))
    known = flat >= 0
    cell, x, y = flat[known], px.ravel()[known], py.ravel()[known]
    # a little for each pixel, so that a cell over empty land has a middle, too
    lived = np.nan_to_num(np.asarray(people, dtype=float)).ravel()[known]
    weight = lived + 1e-9 * max(float(lived.max(initial=0.0)), 1e-300)
    total = np.bincount(cell, weight, count)
    zone = nearest_place(twin, x, y)
    by = np.bincount(cell * zones + zone, lived, count * zones).reshape(count, zones)
    share = np.bincount(cell * zones + zone, weight, count * zones).reshape(count, zones)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = {n: np.bincount(cell, weight * v, count) / total for n, v in (("x", x), ("y", y))}
        share = np.nan_to_num(share / total[:, None])
    attrs = {"provenance": "modelled: people by serving cell", "assumptions": "a place's zone is nearest to it"}
    return xr.Dataset(
        {"cell_people": (("cell", "place"), by, attrs)},
        {
            "cell": ids,
            "place": places["place"].values,
            "x": ("cell", middle["x"], attrs | {"units": "m"}),
            "y": ("cell", middle["y"], attrs | {"units": "m"}),
            "zone_share": (("cell", "place"), share, attrs | {"units": "1"}),
        },
    )


@contract(reads=["subscriber", "cell", "population"], gives=["flow", "flow_interval"], computes=True)
def origin_destination(
    records: xr.Dataset,
    population: xr.DataArray,
    *,
    cells: xr.Dataset,
    timezone: str,
    seed: int,
    draws: int = 200,
    level: float = 0.95,
    radius: float = 600.0,
    least: float = 900.0,
) -> xr.Dataset:
    """Trips of everybody between places, from the records of an operator's subscribers.

    Records become stays, two stays one after the other a trip, nights a home. Each subscriber stands for as many as
    live in the home's zone for one subscriber there. A stay in a cell that reaches over several zones counts in each by
    the people whom the cell serves there.

    Parameters
    ----------
    records : Dataset (event)
    population : DataArray (place) [people]
        Who live in each place's zone.
    cells : Dataset
        What `footprint` gives.
    timezone : str
        IANA zone of the town's clocks.
    seed : int
        Of the interval.
    draws : int
        Bootstrap samples of subscribers; 0 leaves the interval open.
    level : float
        Of the interval.
    radius : float [m]
    least : float [s]
        See `stays`.

    Returns
    -------
    Dataset
        ``flow`` (origin, destination) [people] and ``flow_interval`` (origin, destination, end): low and high.

    Validity
    --------
    The interval tells of who happened to be a subscriber alone. What the method itself adds is not in it: trips that
    nobody recorded, cells that reach over a border between zones. In a simulated town of 6000 people (operator's share
    30 %) intervals at 95 % held the flows that everybody's records would give, and less than half of the true flows of
    30 people and more. Counts correct some of that: `corrected`. Trips within one spot are not seen.

    Errors
    ------
    TwinError
        No known cell, no stay, other places than those of `cells`, no such zone.

    Examples
    --------
    See lesson 14-mobility.
    """
    within(draws, 0, 100_000, name="draws", unit="1")
    within(level, 0.01, 0.9999, name="level", unit="1")
    halts = stays.__wrapped__(records, cells=cells, radius=radius, least=least)  # type: ignore[attr-defined]
    (people,) = dask.compute(population.data)
    if [str(p) for p in population["place"].values] != [str(p) for p in cells["place"].values]:
        raise TwinError("the population of the places of the cells", found="other places", hint="take one twin's")
    if "zone_share" not in cells.variables:
        raise TwinError("cells with zone_share", found="none", hint="take tk.mobility.footprint", where="cells")
    if not (np.asarray(people, dtype=float) >= 0).all():
        raise TwinError(
            "people of 0 or more in each place", found="fewer, or not a number", hint="fillna(0)", where="population"
        )
    home = night_homes(halts, timezone=timezone)
    share = cells["zone_share"].values
    count, zones = share.shape
    known = home >= 0
    if not known.any():
        raise TwinError(
            "stays in the records", found="none", hint="take a shorter least, or more records", where="records"
        )
    lives = np.zeros((len(home), zones))
    lives[known] = share[home[known]]
    people = np.asarray(people, dtype=float)
    who, at = halts["who"].values, halts["at"].values
    trips = np.flatnonzero((who[1:] == who[:-1]) & (at[1:] != at[:-1])) if len(who) > 1 else np.empty(0, dtype=np.int64)
    whose, pair = who[trips], at[trips] * count + at[trips + 1]

    def expanded(times: np.ndarray) -> np.ndarray:
        here = times @ lives
        each = np.divide(people, here, out=np.zeros(zones), where=here > 0)
        weight = times * (lives @ each)
        cell_flow = np.bincount(pair, weight[whose], count * count).reshape(count, count)
        return np.asarray(share.T @ cell_flow @ share)

    flow = expanded(np.ones(len(home)))
    low, high = np.full(flow.shape, math.nan), np.full(flow.shape, math.nan)
    if draws:
        rng = np.random.default_rng([whole_seed(seed), 0x0D])
        drawn = np.stack(
            [expanded(rng.multinomial(len(home), np.full(len(home), 1 / len(home)))) for _ in range(int(draws))]
        )
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    ids = cells["place"].values
    said = f"modelled: trips of {int(known.sum())} subscribers, expanded to {people.sum():.0f} people"
    attrs = {"provenance": said, "assumptions": f"interval of {level:g} by bootstrap over subscribers"}
    axes = {"origin": ids, "destination": ids}
    matrix = flow_matrix(flow, provenance=said, **axes)
    bounds = xr.DataArray(
        np.stack([low, high], -1),
        {**matrix.coords, "end": np.array(["low", "high"], dtype=object)},
        ("origin", "destination", "end"),
        attrs=attrs,
    )
    return xr.Dataset({"flow": matrix, "flow_interval": bounds})


@contract(reads=["subscriber", "cell"], gives=["departs"], computes=True)
def trips(
    records: xr.Dataset,
    *,
    cells: xr.Dataset,
    timezone: str,
    seed: int,
    radius: float = 600.0,
    least: float = 900.0,
) -> xr.Dataset:
    """Trips of the subscribers themselves, one by one, as `tk.privacy.release` takes them: never to be shown.

    As in `origin_destination`, two stays one after the other are a trip. Here each stay lies in one zone: where a cell
    reaches over several, a lot decides by the people whom it serves there, one lot for all of a subscriber's stays in
    the cell.

    Parameters
    ----------
    records : Dataset (event)
    cells : Dataset
        What `footprint` gives.
    timezone : str
        IANA zone of the town's clocks: days are local.
    seed : int
        Of the lots.
    radius : float [m]
    least : float [s]
        See `stays`.

    Returns
    -------
    Dataset (trip)
        ``departs`` [s after local midnight], ``subscriber``, ``day``, ``origin`` and ``destination`` (ids of places).
        Those within a zone are left out.

    Errors
    ------
    TwinError
        As `stays`; no such zone of time.

    Examples
    --------
    >>> from twinkit.mobility import records
    >>> spots = {"x": ("cell", [0.0, 5000.0]), "y": ("cell", [0.0, 0.0]), "zone_share": (("cell", "place"), np.eye(2))}
    >>> cells = xr.Dataset(spots, {"cell": ["a", "b"], "place": ["home", "work"]})
    >>> hours = ["2026-03-02T20:00", "2026-03-03T02:30", "2026-03-03T03:00", "2026-03-03T09:00"]
    >>> seen = records(["u"] * 4, ["a", "a", "b", "b"], hours, provenance="generated: by hand")
    >>> went = trips(seen, cells=cells, timezone="Asia/Kolkata", seed=1)
    >>> str(went.day.values[0])[:10], float(went.departs[0]) / 3600, went.destination.values
    ('2026-03-03', 8.0, array(['work'], dtype=object))
    """
    if "zone_share" not in cells.variables:
        raise TwinError("cells with zone_share", found="none", hint="take tk.mobility.footprint", where="cells")
    halts = stays.__wrapped__(records, cells=cells, radius=radius, least=least)  # type: ignore[attr-defined]
    who, cell = halts["who"].to_numpy(), halts["at"].to_numpy()
    whole = np.cumsum(cells["zone_share"].transpose("cell", "place").to_numpy(), axis=1)
    both, same = np.unique(who * len(whole) + cell, return_inverse=True)
    lot = np.random.default_rng([whole_seed(seed), 0x72]).random(len(both))[same]
    zone = (lot[:, None] * whole[cell, -1:] > whole[cell]).sum(axis=1)
    goes = np.flatnonzero((who[1:] == who[:-1]) & (zone[1:] != zone[:-1]))
    left = local(halts["stay_end"].to_numpy()[goes], timezone)
    day = left.astype("datetime64[D]")
    ids = np.asarray(cells["place"].to_numpy(), dtype=object)
    attrs = {"provenance": str(records.attrs.get("provenance", "measured: records"))}
    return xr.Dataset(
        {"departs": ("trip", (left - day) / np.timedelta64(1, "s"), attrs)},
        {
            "subscriber": ("trip", halts["subscriber"].to_numpy()[who[goes]]),
            "day": ("trip", day.astype("datetime64[ns]")),
            "origin": ("trip", ids[zone[goes]]),
            "destination": ("trip", ids[zone[goes + 1]]),
        },
        attrs=attrs | {"assumptions": "a subscriber's stays in one cell lie in one zone, drawn by lot"},
    )
