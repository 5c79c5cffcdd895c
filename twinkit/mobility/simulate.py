"""A day of traffic by SUMO: every trip of a diary on the streets, mesoscopically, with the queues that it makes."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import dask
import numpy as np
import xarray as xr
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from twinkit.contract import contract, whole_seed, within
from twinkit.dynamics import shown
from twinkit.error import TwinError
from twinkit.mobility.diary import DAY
from twinkit.mobility.streets import nearest_junction

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["simulate", "street_counts"]

ON_FOOT = 1.2
"""Whoever begins and ends at one junction walks [m/s]."""
LATEST = 36 * 3600
"""The simulation ends then [s after midnight]; whoever is still on the road has not arrived."""
TICK = 600
"""Seconds of traffic for each step of the bar."""
MOST_SECONDS = 600
VIEWS, SPREAD = 4, 0.1
"""Drivers see the empty streets' times in so many ways, each off by a normal of this size in the logarithm."""


def _program(name: str) -> str:
    found = importlib.util.find_spec("sumo")
    if found is None or not found.origin:
        raise TwinError(
            "SUMO, the traffic simulator",
            found="no module 'sumo'",
            hint="pip install 'twinkit[mobility]'",
            where="simulate",
        )
    folder = Path(found.origin).parent / "bin"
    for file in (folder / name, folder / f"{name}.exe"):
        if file.exists():
            return str(file)
    raise TwinError(f"SUMO's program {name}", found=f"none in {folder}", hint="install eclipse-sumo anew")


def _done(command: Sequence[str], folder: Path, *, steps: int = 0) -> None:
    """Run a program to its end; where it says so many steps, with a bar."""
    late: list[bool] = []
    log = folder / "log.txt"
    with log.open("w+", encoding="utf-8", errors="replace") as said:
        # S603: a program of an installed package, with numbers and names that stand in this file
        running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=said, text=True)  # noqa: S603
        with running:

            def stop() -> None:
                late.append(True)
                running.kill()

            watch = threading.Timer(MOST_SECONDS, stop)
            watch.start()
            try:
                ticks = iter(shown(range(steps)))
                for line in running.stdout or ():
                    if line.startswith("Step #"):
                        next(ticks, None)
                for _ in ticks:
                    pass
            except BaseException:
                running.kill()
                raise
            finally:
                watch.cancel()
    if late:
        raise TwinError(
            f"a simulation in {MOST_SECONDS} s", found="none", hint="take fewer persons", where=Path(command[0]).name
        )
    if running.returncode:
        words = (log.read_text(encoding="utf-8").strip().splitlines() or ["no word"])[0][:300]
        raise TwinError("traffic that SUMO takes", found=words, hint="look at the streets", where=Path(command[0]).name)


def _network(streets: xr.Dataset, lanes: np.ndarray, speed: np.ndarray, length: np.ndarray, folder: Path) -> None:
    """SUMO's network, by netconvert: streets keep their positions as ids."""
    nodes = ET.Element("nodes")
    for i, (x, y) in enumerate(zip(streets["x"].values, streets["y"].values, strict=True)):
        ET.SubElement(nodes, "node", id=str(i), x=f"{x:.2f}", y=f"{y:.2f}")
    edges = ET.Element("edges")
    both = zip(streets["begin"].values, streets["end"].values, strict=True)
    for i, (begin, end) in enumerate(both):
        said = {"from": str(begin), "to": str(end), "numLanes": str(int(lanes[i])), "speed": f"{speed[i]:.4f}"}
        said |= {"length": f"{length[i]:.2f}", "priority": "2" if lanes[i] > 1 else "1"}
        ET.SubElement(edges, "edge", {"id": str(i)} | said)
    ET.ElementTree(nodes).write(folder / "n.xml")
    ET.ElementTree(edges).write(folder / "e.xml")
    files = ["--node-files", "n.xml", "--edge-files", "e.xml", "--output-file", "net.xml"]
    _done([_program("netconvert"), *files, "--xml-validation", "never", "--no-warnings", "true"], folder)


@contract(reads=["length", "speed", "lanes", "departs"], gives=["departs"], computes=True)
def simulate(streets: xr.Dataset, trips: xr.Dataset, *, seed: int, progress: bool = True) -> xr.Dataset:
    """The trips of a day as SUMO drives them: routes, queues, arrivals.

    Parameters
    ----------
    streets : Dataset (street, junction)
        What the function of that name gives, or a network in its form.
    trips : Dataset (trip)
        What `diary` gives. A person sets out when the trip before has ended, or later.
    seed : int
        Same seed, same traffic.
    progress : bool
        Show a progress bar when it takes longer than two seconds.

    Returns
    -------
    Dataset (trip, pass)
        The trips with ``departs`` and ``arrives`` [s after local midnight] (NaN: not by noon of the next day), and of
        each street that somebody left: ``street`` (position), ``trip_of`` (position) and ``left`` [s], in the order of
        trips and of time.

    Validity
    --------
    Everybody drives a car alone, on the way that would be the quickest without traffic as that driver sees it (four
    views, 10 % off a street); who begins and ends at one junction walks. SUMO's mesoscopic model has queues for
    each street and no single vehicles that overtake.

    Errors
    ------
    TwinError
        SUMO is not installed or does not take the traffic; no trips.

    Examples
    --------
    >>> from twinkit.datasets import town
    >>> from twinkit.mobility import diary, streets
    >>> twin = town(sites=3, seed=1)
    >>> done = simulate(streets(twin, spacing=500, seed=1), diary(twin, persons=50, seed=1), seed=1)
    >>> bool((done.arrives > done.departs).all())
    True

    References
    ----------
    Lopez et al., IEEE Intelligent Transportation Systems Conference (2018), p. 2575. Eissfeldt, Vehicle-based modelling
    of traffic (2004), for the mesoscopic queues.
    """
    number = whole_seed(seed) % 2**31
    length, speed, lanes, departs = dask.compute(
        *(streets[n].data for n in ("length", "speed", "lanes")), trips["departs"].data
    )
    departs = np.asarray(departs, dtype=float)
    count = len(departs)
    if not count:
        raise TwinError("trips", found="none", hint="draw more persons", where="trips")
    within(departs, 0, 2 * DAY, name="departs", unit="s")
    fx, fy, tx, ty = (trips[n].values for n in ("from_x", "from_y", "to_x", "to_y"))
    start, stop = nearest_junction(streets, fx, fy), nearest_junction(streets, tx, ty)
    ways = _routes(streets, length / speed, start, stop, number)
    drives = np.array([bool(w) for w in ways])
    on_foot = departs + np.maximum(np.hypot(tx - fx, ty - fy) / ON_FOOT, 60.0)
    arrives = np.where(start == stop, on_foot, np.nan)
    with tempfile.TemporaryDirectory(prefix="twinkit-sumo-") as name:
        folder = Path(name)
        _network(streets, lanes, speed, length, folder)
        which = np.flatnonzero(drives)
        passes = _driven(folder, which, departs, [ways[i] for i in which], number, arrives, progress)
    whose, street, left = passes
    order = np.lexsort([left, whose])
    attrs = {"provenance": f"generated: SUMO, mesoscopic, seed {seed}"}
    kept = {n: c for n, c in trips.coords.items() if c.dims in (("trip",), ("person",))}
    return xr.Dataset(
        {"departs": ("trip", departs, attrs | {"units": "s"})},
        {
            **kept,
            "arrives": ("trip", arrives, attrs | {"units": "s"}),
            "trip_of": ("pass", whose[order]),
            "street": ("pass", street[order]),
            "left": ("pass", left[order], {"units": "s"}),
        },
        attrs=attrs,
    )


def _routes(streets: xr.Dataset, time: np.ndarray, start: np.ndarray, stop: np.ndarray, seed: int) -> list[str]:
    """The quickest way of each trip as its driver sees it: ids of streets, joined by blanks; "" where there is none."""
    begin, end = streets["begin"].values.astype(np.int64), streets["end"].values.astype(np.int64)
    count = streets.sizes["junction"]
    rng = np.random.default_rng([seed, 0x40])
    view = rng.integers(0, VIEWS, len(start))
    out = [""] * len(start)
    for v in range(VIEWS):
        mine = np.flatnonzero(view == v)
        seen = time * np.exp(rng.normal(0.0, SPREAD, len(time)))
        # of two streets between the same junctions the quicker one
        order = np.lexsort([-seen, end, begin])
        of = dict(zip(zip(begin[order].tolist(), end[order].tolist(), strict=True), order.tolist(), strict=True))
        quickest = np.array(list(of.values()), dtype=np.int64)
        graph = coo_matrix((seen[quickest], (begin[quickest], end[quickest])), shape=(count, count)).tocsr()
        for source in np.unique(start[mine]):
            before = dijkstra(graph, indices=int(source), return_predecessors=True)[1]
            for i in mine[start[mine] == source]:
                way: list[str] = []
                at = int(stop[i])
                while at != source and before[at] >= 0:
                    way.append(str(of[int(before[at]), at]))
                    at = int(before[at])
                out[i] = " ".join(reversed(way)) if at == source else ""
    return out


def _driven(
    folder: Path,
    drives: np.ndarray,
    departs: np.ndarray,
    routes: list[str],
    seed: int,
    arrives: np.ndarray,
    progress: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whose trip left which street when; arrivals are written into `arrives`."""
    nothing = np.empty(0, dtype=np.int64)
    if not len(drives):
        return nothing, nothing, np.empty(0)
    with (folder / "t.xml").open("w", encoding="ascii") as file:
        file.write("<routes>\n")
        for n in np.argsort(departs[drives], kind="stable"):
            i = drives[n]
            file.write(f'<vehicle id="{i}" depart="{departs[i]:.0f}"><route edges="{routes[n]}"/></vehicle>\n')
        file.write("</routes>\n")
    command = [_program("sumo"), "--net-file", "net.xml", "--route-files", "t.xml", "--mesosim", "true"]
    command += ["--vehroute-output", "out.xml", "--vehroute-output.exit-times", "true", "--end", str(LATEST)]
    command += ["--seed", str(seed), "--no-warnings", "true", "--xml-validation", "never"]
    if progress:
        command += ["--step-log.period", str(TICK)]
    else:
        command += ["--no-step-log", "true"]
    _done(command, folder, steps=LATEST // TICK if progress else 0)
    whose: list[int] = []
    street: list[str] = []
    left: list[str] = []
    # S314: the file was written by SUMO a moment ago, in a folder of our own
    for _, element in ET.iterparse(folder / "out.xml"):  # noqa: S314
        if element.tag != "vehicle":
            continue
        route = element.findall(".//route")
        if route:
            edges = route[-1].get("edges", "").split()
            times = route[-1].get("exitTimes", "").split()
            at = int(element.get("id", ""))
            whose += [at] * len(edges)
            street += edges
            left += times
            arrives[at] = float(element.get("arrival", "nan"))
        element.clear()
    if len(street) != len(left):
        raise TwinError(
            "a time for each street", found="fewer", hint="install eclipse-sumo 1.20 or later", where="sumo"
        )
    when = np.array(left, dtype=float)
    # -1 stands for a street that was never left
    seen = when >= 0
    return np.array(whose, dtype=np.int64)[seen], np.array(street, dtype=np.int64)[seen], when[seen]


@contract(reads=["length", "departs"], gives=["vehicles"], computes=True)
def street_counts(streets: xr.Dataset, done: xr.Dataset, *, hours: bool = False) -> xr.DataArray:
    """Vehicles that left each street: what a counter at its end would say.

    Parameters
    ----------
    streets : Dataset (street)
    done : Dataset (pass)
        What `simulate` gives.
    hours : bool
        True counts by the hour, local time.

    Returns
    -------
    DataArray (street), or (time, street) [1]
        ``vehicles``; ``time`` is a day of which only the hour counts.

    Errors
    ------
    TwinError
        Passes over streets that are not there.

    Examples
    --------
    See `simulate` and `corrected`.
    """
    count = streets["length"].sizes["street"]
    if "left" not in done.coords:
        raise TwinError("passes of vehicles", found="none", hint="take tk.mobility.simulate", where="done")
    street, left = done["street"].values, done["left"].values
    if len(street) and not 0 <= street.max() < count:
        raise TwinError(
            "passes over these streets", found=f"street {street.max()} of {count}", hint="take its own ones"
        )
    attrs = {"provenance": str(done.attrs.get("provenance", "generated: traffic"))}
    ids = streets["street"].values
    if not hours:
        values = np.bincount(street, minlength=count).astype(float)
        return xr.DataArray(values, {"street": ids}, ("street",), attrs=attrs)
    hour = np.clip(left // 3600, 0, 23).astype(np.int64)
    table = np.bincount(hour * count + street, minlength=24 * count).reshape(24, count).astype(float)
    day = (np.datetime64("2026-03-02T00", "h") + np.arange(24)).astype("datetime64[ns]")
    return xr.DataArray(table, {"time": day, "street": ids}, ("time", "street"), attrs=attrs)
