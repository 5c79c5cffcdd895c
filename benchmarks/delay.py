"""Delay in networks: packet-hops a second of the simulator, and the formulas on all pairs of 300 sites.

The peers are the same network in SimPy, and a plain loop over pairs and hops that gives the same delays. ``python -m
benchmarks.delay --errors FOLDER`` makes the table of docs/delay.md from the SNDlib files in a folder.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Row, main, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = {300: 1, 1500: 1}


def generated(sites: int, *, seed: int) -> Any:
    """A twin of so many sites in the plane, each linked to those near it, all pairs asking for the same."""
    import xarray as xr
    from scipy.spatial import cKDTree

    import twinkit as tk

    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 1e5, (2, sites))
    _, near = cKDTree(np.stack([x, y], -1)).query(np.stack([x, y], -1), k=4)
    pairs = {(min(a, b), max(a, b)) for a, row in enumerate(near) for b in row[1:]} | {
        (a, a + 1) for a in range(sites - 1)
    }
    name = np.array([f"s{i}" for i in range(sites)], dtype=object)
    ends = np.array(sorted(pairs)).T
    away = np.hypot(x[ends[0]] - x[ends[1]], y[ends[0]] - y[ends[1]])
    links = {
        "source": ("link", name[ends[0]]), "target": ("link", name[ends[1]]),
        "capacity": ("link", np.full(len(ends[0]), 1e10)), "length": ("link", away),
    }  # fmt: skip
    one, other = (~np.eye(sites, dtype=bool)).nonzero()
    asked = {
        "origin": ("demand", name[one]), "destination": ("demand", name[other]),
        "offered": ("demand", np.full(len(one), 1e6)),
    }  # fmt: skip
    nodes = {
        "sites": xr.Dataset({"x": ("site", x), "y": ("site", y)}, {"site": name}),
        "links": xr.Dataset(links, {"link": [f"l{i}" for i in range(len(ends[0]))]}),
        "demands": xr.Dataset(asked, {"demand": [f"d{i}" for i in range(len(one))]}),
    }
    return tk.assemble(nodes, title="generated", crs="EPSG:32643")


def filled(twin: Any, routing: Any, level: float) -> Any:
    """The twin with its demands scaled until its fullest link is at a utilisation of `level`."""
    import twinkit as tk

    load = tk.network.link_load(twin, routing).link_load
    return tk.extend(
        twin, demands=twin["demands"].to_dataset().assign(offered=twin["demands/offered"] * (level / load.max()))
    )


def in_simpy(paths: Any, *, duration: float, seed: int) -> int:
    """The same network in SimPy: a process a source and a packet, a resource an arc. Packet-hops done."""
    import simpy

    from twinkit.network.hops import Packets

    packets = Packets.of(SIZES)
    world, rng, done = simpy.Environment(), np.random.default_rng(seed), 0
    lines = [simpy.Resource(world) for _ in paths.capacity]

    def packet(path: int, bits: float) -> Any:
        nonlocal done
        for arc in paths.arc[paths.start[path] : paths.start[path + 1]]:
            with lines[arc].request() as turn:
                yield turn
                yield world.timeout(bits / paths.capacity[arc])
            done += 1

    def source(path: int) -> Any:
        gap = packets.mean / paths.rate[path]
        while True:
            yield world.timeout(rng.exponential(gap))
            world.process(packet(path, rng.choice(packets.bits, p=packets.share)))

    for path in range(len(paths.rate)):
        world.process(source(path))
    world.run(until=duration)
    return done


def in_a_loop(paths: Any) -> np.ndarray:
    """Delay of each path by a plain loop over its hops."""
    from twinkit.network.hops import Packets

    packets = Packets.of(SIZES)
    load = dict.fromkeys(range(len(paths.capacity)), 0.0)
    for path, rate in enumerate(paths.rate):
        for arc in paths.arc[paths.start[path] : paths.start[path + 1]]:
            load[arc] += rate / paths.capacity[arc]
    out = np.zeros(len(paths.rate))
    for path in range(len(paths.rate)):
        for arc in paths.arc[paths.start[path] : paths.start[path + 1]]:
            service = packets.mean / paths.capacity[arc]
            wait = load[arc] * service * (1 + packets.variability) / (2 * (1 - load[arc]))
            out[path] += wait + service + paths.propagation[arc]
    return out


def rows(*, quick: bool) -> Iterator[Row]:
    import twinkit as tk
    from twinkit.network.hops import along
    from twinkit.network.packet import simulated

    twin = generated(30, seed=1)
    routing = tk.network.routing(twin, equal_cost=False)
    paths = along(filled(twin, routing, 0.7), routing, speed=np.inf)
    hops = float(paths.rate @ np.diff(paths.start)) / 7200
    much, little = (2e6, 1e4) if quick else (2e7, 1e5)
    simulated(paths, packet_sizes=SIZES, duration=1e4 / hops, seed=1)  # compiles
    done = {"twinkit": 0, "simpy": 0}

    def ours(number: int) -> None:
        done["twinkit"] = simulated(paths, packet_sizes=SIZES, duration=much / hops, seed=number).events

    def theirs(number: int) -> None:
        done["simpy"] = in_simpy(paths, duration=little / hops, seed=number)

    one, two = seconds(ours, theirs, rounds=3)
    yield Row("packet-hops", done["twinkit"] / one, done["simpy"] / two, "simpy", "packet-hops/s", "higher")

    twin = generated(300, seed=1)
    routing = tk.network.routing(twin, equal_cost=False)
    twin = filled(twin, routing, 0.7)
    paths = along(twin, routing, speed=2e8)
    found: dict[str, Any] = {}

    def stage(_: int) -> None:
        found["ours"] = tk.network.delay(twin, routing, packet_sizes=SIZES, speed=2e8).delay.values

    def loop(_: int) -> None:
        found["loop"] = in_a_loop(paths)

    one, two = seconds(stage, loop, rounds=1 if quick else 3)
    np.testing.assert_allclose(found["ours"], found["loop"], rtol=1e-9)
    yield Row("delay-300", one, two, "Python loop", "s", "lower")


# ---------------------------------------------------------------- the table of errors

NETWORKS = ("polska", "abilene", "india35")
LEVELS = (0.3, 0.5, 0.7)
SOURCES = {
    # what sends, packets an arc has room for, how much narrower the links are, packet-hops of a run
    "Poisson": (None, None, 1.0, 4e7),
    "on-off, room for 64": ((1.0, 1.0), 64, 1.0, 1e8),
    "on-off, links of 1/100": ((1.0, 1.0), None, 100.0, 6e7),
}


def shortest(twin: Any, usable: Any = None) -> Any:
    """Each demand on one route of the fewest hops."""
    import twinkit as tk

    return tk.network.routing(twin, usable=usable, equal_cost=False)


def spread(twin: Any, usable: Any = None) -> Any:
    """Demands split so that the fullest link is as little full as can be."""
    import twinkit as tk

    return tk.network.concurrent_flow(twin, usable=usable)


ROUTES = {"shortest": shortest, "spread": spread}


def errors(folder: Path, *, routes: str, share: float = 1.0) -> Iterator[dict[str, Any]]:
    """Each cell: sources, network, level, intact or with a random link failed; formulas against packets."""
    import twinkit as tk
    from twinkit.network.delay import estimated
    from twinkit.network.hops import Bursts, along
    from twinkit.network.packet import simulated

    for what, (times, places, narrower, hops) in SOURCES.items():
        bursts = None if times is None else Bursts(*times)
        for name in NETWORKS:
            whole = tk.network.sndlib(folder / "native" / name / f"{name}.txt")
            links = whole["links"].to_dataset()
            whole = tk.extend(whole, links=links.assign(capacity=links.capacity / narrower))
            routing = ROUTES[routes](whole)
            for level in LEVELS:
                twin = filled(whole, routing, level)
                for failed in (False, True):
                    lost = None
                    taken = routing
                    if failed:
                        lost, taken = broken(twin, ROUTES[routes], seed=1, below=0.95 if places is None else np.inf)
                    paths = along(twin, taken, speed=np.inf)
                    rate = float(paths.rate @ np.diff(paths.start)) / 7200
                    duration = hops * share / rate
                    began = time.perf_counter()
                    counted = simulated(
                        paths, packet_sizes=SIZES, duration=duration, warm_up=min(20.0, duration / 5), seed=1,
                        places=places, bursts=bursts,
                    )  # fmt: skip
                    middle = time.perf_counter()
                    told = estimated(paths, packet_sizes=SIZES, places=places, bursts=bursts)
                    ended = time.perf_counter()
                    off = np.abs(told.delay / counted.delay - 1)
                    noise = np.diff(counted.interval())[:, 0] / 2 / 1.96 / counted.delay
                    yield {
                        "routes": routes, "sources": what, "network": name, "utilisation": level, "failed": lost or "",
                        "highest": float(paths.load.max()), "error": float(np.nanmedian(off)),
                        "error_90": float(np.nanquantile(off, 0.9)), "noise": float(np.nanmedian(noise)),
                        "loss": float(np.nansum(counted.loss * counted.packets) / counted.packets.sum()),
                        "loss_formula": float(np.nansum(told.loss * counted.packets) / counted.packets.sum()),
                        "seconds": duration, "simulated_in": middle - began, "formula_in": ended - middle,
                    }  # fmt: skip


def broken(twin: Any, routes: Any, *, seed: int, below: float) -> tuple[str, Any]:
    """The first link of a random order whose failure cuts nobody off and, rerouted, fills no link to `below`."""
    import twinkit as tk

    names = twin["links"].link.values
    for lost in np.random.default_rng(seed).permutation(names):
        routing = routes(twin, twin["links"].link != lost)
        if bool(routing.reachable.all()) and float(tk.network.link_load(twin, routing).link_load.max()) < below:
            return str(lost), routing
    raise SystemExit("no link of this network can fail")


def told(cells: list[dict[str, Any]]) -> str:
    """The cells as a table."""
    heads = (
        "routes", "sources", "network", "failed link", "highest utilisation", "median error", "nine of ten below",
        "noise", "loss: packets", "loss: formulas",
    )  # fmt: skip
    lines = [heads, tuple("---" for _ in heads)]
    lines += [
        (
            c["routes"], c["sources"], c["network"], c["failed"] or "none", f"{c['highest']:.2f}",
            f"{c['error']:.1%}", f"{c['error_90']:.1%}", f"{c['noise']:.2%}", f"{c['loss']:.2g}",
            f"{c['loss_formula']:.2g}",
        )
        for c in cells
    ]  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    if "--errors" in sys.argv:
        given = sys.argv[sys.argv.index("--errors") + 1 :]
        if not given:
            raise SystemExit("python -m benchmarks.delay --errors FOLDER: the folder with native/polska/polska.txt")
        cells: list[dict[str, Any]] = []
        for routes in [r for r in ROUTES if r in given] or list(ROUTES):
            for cell in errors(Path(given[0]), routes=routes, share=0.02 if "--quick" in given else 1.0):
                cells.append(cell)
                print(cell, file=sys.stderr, flush=True)
        print(told(cells))
    else:
        raise SystemExit(main(rows))
