"""Telemetry that sensors could have sent: load, traffic, users, energy and temperature from the twin's own model.

The load is `network.step`'s, run over the region's days and weeks; all else follows from it and from a generated
weather. `Fault` spoils readings at a known place and time, so that whoever looks for faults can be held to the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import dynamics, network
from twinkit.contract import contract, physics, within
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DEMAND", "EFFICIENCY", "FAULTS", "Fault", "generate", "peak_load", "spoil", "weather"]

PERIOD = 900
"""[s] between two readings; those of energy come once an hour."""

DEMAND = 3000.0
"""[bit/s] One inhabitant's part in the busiest hour: some 2 GB a month, a third of it with this operator."""

EFFICIENCY = 1.8
"""[bit/s/Hz] What a cell carries on the average over its users."""

CONNECTED = 0.06
"""[1] Share of the inhabitants who are connected at once in the busiest hour."""

IDLE, SLOPE = 130.0, 4.7
"""[W] A macro transceiver without traffic, and [1] what each radiated watt takes on top."""

RAINY = 0.04
"""[1] Share of the time in which it rains."""

COOLED_FROM, COOLING = 25.0, 0.012
"""[degC] Air from which a cabinet is cooled, and [1/K] what that adds to its energy."""


# ---------------------------------------------------------------- how busy


@contract(
    reads=["sites/x", "sites/y", "cells/site", "cells/azimuth", "cells/bandwidth", "surface/people"],
    gives=["peak_load"],
    computes=True,
)
def peak_load(twin: xr.DataTree) -> xr.DataArray:
    r"""The load of each cell in the week's busiest hour, from the people around it.

    .. math:: l = 1 - e^{-P D / (B η)}

    with P the people of the pixels whose nearest site is the cell's and who stand on the cell's side of it, D =
    `DEMAND`, B the bandwidth and η = `EFFICIENCY`. What a cell cannot carry waits or goes elsewhere, so no load
    reaches 1.

    Parameters
    ----------
    twin : DataTree

    Returns
    -------
    peak_load : DataArray (cell) [1]
        From 0.02 to 0.98.

    Validity
    --------
    Nearest site by distance, nearest cell by azimuth: no terrain, no shadow. A cell among other carriers of the
    same direction takes an equal part of the people.

    Errors
    ------
    TwinError
        A part of the twin that is named above is missing or in another unit.

    Examples
    --------
    >>> import twinkit as tk
    >>> peak = peak_load(tk.datasets.town(sites=6, seed=1))
    >>> bool((peak > 0).all() and (peak < 1).all())
    True
    """
    cells, sites, surface = (twin[n].to_dataset() for n in ("cells", "sites", "surface"))
    wanted = xr.merge(
        [cells[["site", "azimuth", "bandwidth"]], surface[["people"]]], join="outer", compat="override"
    ).compute()
    served = _people_by_cell(wanted, sites[["x", "y"]].compute())
    load = 1 - np.exp(-served * DEMAND / (wanted["bandwidth"].to_numpy() * EFFICIENCY))
    return xr.DataArray(
        load.clip(0.02, 0.98),
        {"cell": cells["cell"].to_numpy()},
        "cell",
        name="peak_load",
        attrs={"provenance": "modelled: people of the nearest pixels times a demand a head"},
    )


def _people_by_cell(cells: xr.Dataset, sites: xr.Dataset) -> np.ndarray:
    """People of the pixels that each cell stands nearest to."""
    from scipy.spatial import cKDTree

    place = {s: i for i, s in enumerate(sites["site"].to_numpy().tolist())}
    owner = np.array([place[s] for s in cells["site"].to_numpy().tolist()], dtype=int)
    azimuth = cells["azimuth"].to_numpy().astype(float)
    people = np.nan_to_num(cells["people"].transpose("y", "x").to_numpy().astype(float)).ravel()
    y, x = (a.ravel() for a in np.meshgrid(cells["y"].to_numpy(), cells["x"].to_numpy(), indexing="ij"))
    some = people > 0
    people, y, x = people[some], y[some], x[some]
    # a sector is a direction of a site; its carriers share the people
    sector, index = np.unique(np.stack([owner, np.round(azimuth)]), axis=1, return_inverse=True)
    index = np.asarray(index).reshape(-1)
    of_site, toward = sector[0].astype(int), sector[1]
    masts, first, count = np.unique(of_site, return_index=True, return_counts=True)
    spot = np.stack([sites["x"].to_numpy(), sites["y"].to_numpy()], axis=1)[masts]
    _, near = cKDTree(spot).query(np.stack([x, y], axis=1))
    bearing = np.degrees(np.arctan2(x - spot[near, 0], y - spot[near, 1]))
    best, apart = np.zeros(len(x), int), np.full(len(x), np.inf)
    for k in range(int(count.max()) if len(count) else 0):
        candidate = first[near] + np.minimum(k, count[near] - 1)
        off = np.abs((bearing - toward[candidate] + 180) % 360 - 180)
        best, apart = np.where(off < apart, candidate, best), np.minimum(off, apart)
    served = np.bincount(best, people, minlength=len(toward))
    return np.asarray(served[index] / np.bincount(index, minlength=len(toward))[index])


# ---------------------------------------------------------------- weather


@physics(valid={"latitude": (-90.0, 90.0), "height": (-500.0, 9000.0)}, latitude="degree", height="m")
def climate(latitude: Any, height: Any, day: Any) -> Any:
    r"""The mean temperature of the air on a day of the year.

    .. math:: T = 27.5 - 24 \sin^2 φ - 20 \sin^4 φ - 0.0065 h - 14 \sin φ \cos(2π (d - 20)/365.25)

    Parameters
    ----------
    latitude : float or array [degree]
    height : float or array [m]
        Above mean sea level.
    day : float or array
        Of the year.

    Returns
    -------
    float or array [degC]

    Validity
    --------
    A zonal mean to some 6 K: no sea, no monsoon. Measured normals beat it everywhere.

    Errors
    ------
    TwinError
        Latitude or height out of range.

    Examples
    --------
    >>> round(float(climate(-2.0, 1500.0, 60)), 1)
    18.1
    """
    s = np.sin(np.radians(latitude))
    return 27.5 - 24 * s**2 - 20 * s**4 - 0.0065 * height - 14 * s * np.cos(2 * np.pi * (day - 20) / 365.25)


def weather(
    times: Any, *, latitude: float, height: float, rain_rate: float, hours: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    r"""Temperature of the air and rain of one region: the day's course, days that are warmer or colder, showers.

    Rain hangs on a hidden Gaussian z that forgets within an hour; it rains where z exceeds what `RAINY` of the time
    exceeds, and the share of time in which a rate is exceeded falls as

    .. math:: P(R > r) = P_0\ (P_{0.01}/P_0)^{\sqrt{r / R_{0.01}}}

    Parameters
    ----------
    times : array of datetime64 (n,)
        UTC, evenly spaced.
    latitude, height : float [degree], [m]
    rain_rate : float [mm/h]
        Exceeded for 0.01 % of the time.
    hours : float [h]
        Local time minus UTC.
    seed : int

    Returns
    -------
    air, rain : array (n,) [degC], [mm/h]

    Validity
    --------
    One weather for the whole region, and a climate without seasons of rain.

    Errors
    ------
    TwinError
        As `climate`; fewer than two times.

    Examples
    --------
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(96) * np.timedelta64(900, "s")
    >>> air, rain = weather(times, latitude=-2, height=1500, rain_rate=60, hours=2, seed=1)
    >>> air.shape == rain.shape, bool(air[56] > air[12])
    (True, True)
    """
    from scipy.signal import lfilter
    from scipy.special import log_ndtr, ndtri

    within(rain_rate, 0.1, 300, name="rain_rate", unit="mm/h")
    times = np.asarray(times, "datetime64[ns]")
    if len(times) < 2:
        raise TwinError("at least two times", found=f"{len(times)}", hint="give a day", where="times")
    step = float((times[1] - times[0]) / np.timedelta64(1, "s"))
    warm, wet = dynamics.generators(seed, 2)

    def wandering(rng: np.random.Generator, memory: float) -> np.ndarray:
        kept = np.exp(-step / memory)
        noise = rng.standard_normal(len(times)) * np.sqrt(1 - kept**2)
        noise[0] /= np.sqrt(1 - kept**2)
        return np.asarray(lfilter([1.0], [1.0, -kept], noise))

    year = times.astype("datetime64[Y]").astype("datetime64[ns]")
    day = (times - year) / np.timedelta64(1, "D") + 1
    local = np.mod((times - times.astype("datetime64[D]")) / np.timedelta64(1, "h") + hours, 24)
    hidden = wandering(wet, 3600.0)
    rarity = log_ndtr(-hidden) - np.log(RAINY)  # of exceeding this much, given that it rains
    rain = np.where(
        hidden > -ndtri(RAINY), rain_rate * (np.minimum(rarity, 0) / (np.log(1e-4) - np.log(RAINY))) ** 2, 0
    )
    air = climate(latitude, height, day) + 5 * np.cos(2 * np.pi * (local - 14.5) / 24) + 2.5 * wandering(warm, 2e5)
    return air - np.minimum(rain, 10) * 0.3, np.minimum(rain, 300.0)


# ---------------------------------------------------------------- faults

FAULTS = {
    "outage": "the cell stands still: load, traffic and users are 0",
    "stuck": "the sensor repeats the value that it had when it began",
    "bias": "`size` is added to every reading",
    "drift": "what is added grows from 0 to `size`",
    "spike": "`size` is added to one reading in sixteen",
    "clock": "readings bear the time of `size` seconds later",
    "unit": "readings are multiplied by `size`",
    "gap": "no readings",
}
"""What a sensor, or its cell, can suffer."""


@dataclass(frozen=True)
class Fault:
    """A fault at a known place and time.

    Attributes
    ----------
    kind : str
        One of `FAULTS`.
    sensor : str
        Id of the cell or site.
    start, end : datetime64 or str
        UTC; from `start` on, and before `end`.
    variable : str
        Which of the sensor's readings; an outage takes all that a cell says.
    size : float
        As `FAULTS` says, in the variable's unit, as a factor or in seconds.
    """

    kind: str
    sensor: str
    start: Any
    end: Any
    variable: str = "load"
    size: float = 0.0


def spoil(telemetry: xr.Dataset, faults: Sequence[Fault]) -> xr.Dataset:
    """The telemetry as it would have come in with these faults.

    Parameters
    ----------
    telemetry : Dataset (time, cell or site)
    faults : sequence of Fault
        One after the other.

    Returns
    -------
    Dataset like `telemetry`

    Errors
    ------
    TwinError
        A fault of an unknown kind, sensor, variable, without a time in the telemetry, or without the size it needs.

    Examples
    --------
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(4) * np.timedelta64(900, "s")
    >>> said = xr.Dataset({"load": (("time", "cell"), [[0.1], [0.2], [0.3], [0.4]])}, {"time": times, "cell": ["a"]})
    >>> spoil(said, [Fault("stuck", "a", "2026-03-02T00:15", "2026-03-02T00:45")])["load"].values.ravel().tolist()
    [0.1, 0.2, 0.2, 0.4]
    """
    out = telemetry.copy(deep=True)
    times = out["time"].to_numpy()
    for number, fault in enumerate(faults):
        where = f"faults[{number}]"
        _check_fault(out, fault, where)
        start, end = (np.datetime64(t, "ns") for t in (fault.start, fault.end))
        span = (times >= start) & (times < end)
        if not span.any():
            raise TwinError(
                f"a fault between {times[0]} and {times[-1]}",
                found=f"{start} to {end}",
                hint="give start and end in UTC",
                where=where,
            )
        names = [n for n in ("load", "traffic", "users") if n in out] if fault.kind == "outage" else [fault.variable]
        for name in names:
            array = out[name]
            dim = next(d for d in array.dims if d != "time")
            column = out.indexes[dim].get_loc(fault.sensor)
            values = array.transpose("time", dim).data
            values[:, column] = _spoilt(values[:, column], times, span, fault)
    return out


def _check_fault(telemetry: xr.Dataset, fault: Fault, where: str) -> None:
    def refused(what: str, found: object, known: Any) -> TwinError:
        near = close_to(str(found), known)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(map(str, list(known)[:8]))}"
        return TwinError(f"a {what} of the telemetry", found=f"'{found}'", hint=hint, where=where)

    if fault.kind not in FAULTS:
        raise refused("kind among FAULTS, not", fault.kind, FAULTS)
    if fault.variable not in telemetry.data_vars or "time" not in telemetry[fault.variable].dims:
        raise refused("variable", fault.variable, [n for n, v in telemetry.data_vars.items() if "time" in v.dims])
    others = [d for d in telemetry[fault.variable].dims if d != "time"]
    if len(others) != 1 or fault.sensor not in telemetry.indexes[others[0]]:
        raise refused("sensor", fault.sensor, telemetry.indexes[others[0]] if others else [])
    if fault.kind in ("bias", "drift", "spike", "clock", "unit") and not (np.isfinite(fault.size) and fault.size):
        raise TwinError("a size", found=repr(fault.size), hint=f"{fault.kind}: {FAULTS[fault.kind]}", where=where)


def _spoilt(values: np.ndarray, times: np.ndarray, span: np.ndarray, fault: Fault) -> np.ndarray:
    out = values.copy()
    count = int(span.sum())
    if fault.kind == "outage":
        out[span & ~np.isnan(values)] = 0
    elif fault.kind == "gap":
        out[span] = np.nan
    elif fault.kind == "stuck":
        said = np.flatnonzero(span & ~np.isnan(values))
        out[said] = values[said[:1]]
    elif fault.kind == "bias":
        out[span] += fault.size
    elif fault.kind == "drift":
        out[span] += fault.size * np.arange(1, count + 1) / count
    elif fault.kind == "spike":
        out[np.flatnonzero(span & ~np.isnan(values))[::16]] += fault.size
    elif fault.kind == "unit":
        out[span] *= fault.size
    else:
        # Taken in the span, stamped later: what has another reading's stamp takes its place, as it would in a store.
        out[span] = np.nan
        shift = np.timedelta64(round(fault.size * 1e9), "ns")
        at = np.searchsorted(times, times[span] + shift)
        fits = (at < len(times)) & (times[np.minimum(at, len(times) - 1)] == times[span] + shift)
        out[at[fits]] = values[span][fits]
    return out


# ---------------------------------------------------------------- all readings


@contract(
    reads=["sites/x", "sites/y", "cells/site", "cells/azimuth", "cells/bandwidth", "cells/transmit_power"],
    gives=["load", "traffic", "users", "energy", "temperature", "air_temperature", "rain"],
    computes=True,
)
def generate(
    twin: xr.DataTree,
    *,
    start: Any,
    days: float,
    seed: int,
    faults: Sequence[Fault] = (),
    peak: xr.DataArray | None = None,
    hours: float | None = None,
) -> xr.Dataset:
    r"""Telemetry of a twin's cells and sites, every quarter of an hour, as its sensors could have sent it.

    The load is that of `network.step` about its daily and weekly course. From it, with l the load::

        traffic = l B η            users ~ Poisson(0.06 P l / l_peak)          energy = Σ (P_idle + 4.7 l P_out) (1 + c)
        temperature = air + 8 K + 12 K × mean load of the site + a sensor's wander of 0.4 K

    with c the share that cooling adds where the air is warm.

    Parameters
    ----------
    twin : DataTree
        Where it has ``surface/people``, the peak load is `peak_load`; ``sites/latitude``, ``surface/ground_height``
        and ``surface/rain_rate`` make the weather the region's own.
    start : datetime64 or str
        UTC, on a full hour.
    days : float
    seed : int
        Same seed, same bytes.
    faults : sequence of Fault
        Put in with `spoil` after all is drawn: the readings before, between and beside are the same without them.
    peak : DataArray (cell) [1], optional
        In place of `peak_load`.
    hours : float [h], optional
        Local time minus UTC; left out, the sun's, from the sites' longitude.

    Returns
    -------
    Dataset (time, cell or site)
        ``load`` [1], ``traffic`` [bit/s], ``users`` [1] on cells; ``energy`` [Wh] of the hour that ends, between full
        hours NaN; ``temperature`` [degC] of the equipment, ``air_temperature`` [degC] and ``rain`` [mm/h] on the sites
        that carry cells.

    Validity
    --------
    Cells wander each by itself; an outage sends nobody to the neighbours. The power model is that of a macro base
    station in EARTH, with one transceiver a cell.

    Errors
    ------
    TwinError
        A start that is none, days beyond 1/4 to 3700, a fault that does not fit.

    Examples
    --------
    >>> import twinkit as tk
    >>> said = generate(tk.datasets.town(sites=6, seed=1), start="2026-03-02", days=2, seed=1)
    >>> dict(said["load"].sizes)["time"], bool((said["load"].isel(time=80) > said["load"].isel(time=16)).mean() > 0.9)
    (192, True)

    References
    ----------
    G. Auer et al., *How much energy is needed to run a wireless network?*, IEEE Wireless Communications 18(5), 2011,
    Table 2 (130 W and 4.7 for a macro). ITU-R P.837 for the rain rate at 0.01 %.
    """
    clock = _times(start, days)
    cells, sites = twin["cells"].to_dataset(), twin["sites"].to_dataset()
    cells, spots = (
        cells[["site", "azimuth", "bandwidth", "transmit_power"]].compute(),
        sites.drop_vars("name", errors="ignore"),
    )
    spots = spots[[n for n in ("x", "y", "longitude", "latitude") if n in spots]].compute()
    ground = twin["surface"].to_dataset() if "surface" in twin.children else xr.Dataset()
    ground = ground[[n for n in ("people", "ground_height", "rain_rate") if n in ground]].compute()
    draws = dynamics.generators(seed, 4)
    people = _people_by_cell(cells.merge(ground[["people"]]), spots) if "people" in ground else None
    if peak is None:
        peak = _peak(cells, people, draws[0])
    elif not isinstance(peak, xr.DataArray) or not peak.indexes.get("cell", cells.indexes["cell"][:0]).equals(
        cells.indexes["cell"]
    ):
        raise TwinError(
            "the peak load on the twin's cells", found=f"{type(peak).__name__}", hint="leave it out", where="peak"
        )
    if hours is None:
        hours = float(np.round(spots["longitude"].mean() / 7.5) / 2) if "longitude" in spots else 0.0
    before = clock[0] - 3 * np.timedelta64(PERIOD, "s")
    whole = np.concatenate([before + np.arange(3) * np.timedelta64(PERIOD, "s"), clock])
    typical = network.demand(peak, hours=hours)
    state = typical(before).to_dataset(name="load").assign_coords(time=before)
    run = dynamics.simulate(
        network.step, state, times=whole, forcing=typical, seed=int(draws[1].integers(2**62)), progress=False
    )
    load = run["load"].transpose("time", "cell").to_numpy()
    below = ground.drop_vars("people", errors="ignore")
    if below.data_vars:
        below = below.sel(x=spots["x"], y=spots["y"], method="nearest")
    middle = {str(n): float(v.mean()) for n, v in [*spots.items(), *below.items()]}
    air, rain = weather(
        whole,
        latitude=middle.get("latitude", 0.0),
        height=middle.get("ground_height", 0.0),
        rain_rate=float(np.clip(middle.get("rain_rate", 50.0), 0.1, 300)),
        hours=hours,
        seed=int(draws[2].integers(2**62)),
    )
    out = _readings(cells, spots, load, peak.to_numpy(), people, air, rain, draws[3])
    out = out.isel(time=slice(3, None)).assign_coords(time=clock)
    full_hour = (clock - clock.astype("datetime64[h]")) == np.timedelta64(0, "ns")
    out["energy"] = out["energy"].where(xr.DataArray(full_hour, dims="time"))
    said = f"generated: network.step about its weekly course, seed {seed}" + (
        f", {len(faults)} faults" if faults else ""
    )
    for array in out.data_vars.values():
        array.attrs = {"provenance": said}
    return spoil(out, faults) if faults else out


def _times(start: Any, days: float) -> np.ndarray:
    within(days, 0.25, 3700, name="days", unit="d")
    try:
        first = np.datetime64(start, "ns")
    except (ValueError, TypeError):
        first = np.datetime64("NaT", "ns")
    if np.isnat(first) or first != first.astype("datetime64[h]"):
        raise TwinError(
            "a start on a full hour, UTC", found=repr(start), hint="write start='2026-03-02'", where="start"
        )
    return first + np.arange(round(days * 86400 / PERIOD)) * np.timedelta64(PERIOD, "s")


def _peak(cells: xr.Dataset, people: np.ndarray | None, rng: np.random.Generator) -> xr.DataArray:
    if people is None:
        load = rng.beta(3.0, 2.0, cells.sizes["cell"])
    else:
        load = 1 - np.exp(-people * DEMAND / (cells["bandwidth"].to_numpy() * EFFICIENCY))
    return xr.DataArray(np.clip(load, 0.02, 0.98), {"cell": cells["cell"].to_numpy()}, "cell")


def _readings(
    cells: xr.Dataset,
    sites: xr.Dataset,
    load: np.ndarray,
    peak: np.ndarray,
    people: np.ndarray | None,
    air: np.ndarray,
    rain: np.ndarray,
    rng: np.random.Generator,
) -> xr.Dataset:
    """All variables from the load, three readings before the first included, so that its hour has its energy."""
    from scipy.signal import lfilter
    from scipy.sparse import coo_matrix

    carrying = [s for s in sites["site"].to_numpy().tolist() if s in set(cells["site"].to_numpy().tolist())]
    place = {s: i for i, s in enumerate(carrying)}
    owner = np.array([place[s] for s in cells["site"].to_numpy().tolist()], dtype=int)
    count = np.bincount(owner, minlength=len(carrying))
    onto = coo_matrix((np.ones(len(owner)), (np.arange(len(owner)), owner))).tocsr()
    bandwidth = cells["bandwidth"].to_numpy()
    head = 400.0 * peak if people is None else np.maximum(people * CONNECTED, 1.0)
    users = rng.poisson(head * load / peak).astype(float)
    radiated = 10 ** (cells["transmit_power"].to_numpy() / 10 - 3)
    power = (IDLE + SLOPE * load * radiated) @ onto
    cooled = 1 + COOLING * np.maximum(air - COOLED_FROM, 0)[:, None]
    hourly = np.cumsum(power * cooled, axis=0)
    energy = np.full_like(hourly, np.nan)
    energy[3:] = (hourly[3:] - np.concatenate([np.zeros((1, len(carrying))), hourly[:-4]])) / 4
    energy *= 1 + 0.003 * rng.standard_normal(energy.shape)  # the meter
    kept = np.exp(-PERIOD / 7200.0)
    wander = lfilter([np.sqrt(1 - kept**2)], [1.0, -kept], rng.standard_normal(energy.shape), axis=0)
    temperature = air[:, None] + 8 + 12 * (load @ onto) / count + 0.4 * wander
    # each site's own valley: a fixed offset of the air, and a thermometer that reads to a tenth
    local = air[:, None] + rng.normal(0, 0.8, len(carrying)) + 0.15 * rng.standard_normal(energy.shape)
    on_site, on_cell = ("time", "site"), ("time", "cell")
    return xr.Dataset(
        {
            "load": (on_cell, load),
            "traffic": (on_cell, load * bandwidth * EFFICIENCY),
            "users": (on_cell, users),
            "energy": (on_site, energy),
            "temperature": (on_site, np.round(temperature, 2)),
            "air_temperature": (on_site, np.round(local, 2)),
            "rain": (on_site, np.repeat(rain[:, None], len(carrying), axis=1)),
        },
        {"cell": cells["cell"].to_numpy(), "site": np.array(carrying, dtype=object)},
    )
