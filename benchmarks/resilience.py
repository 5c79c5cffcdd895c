"""Ten thousand draws of a cyclone on 5 000 sites and 8 000 links, through damage and cascade, against a networkx loop.

Every draw: which assets fall and when, which sites have power (feeders, batteries) and a way to the core in each of 64
hours, and how many people have service. The loop of the peer does the same with a graph for each hour, on fewer draws;
its answers are checked to be the same. Figures are draws a second, and megabytes for four times the draws over once.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from benchmarks import Row, main

if TYPE_CHECKING:
    from collections.abc import Iterator

HOURS = 64


def made(sites: int, links: int, *, seed: int = 1) -> Any:
    """A coast of 300 by 300 km: a tree of links to the nearest, more of them between neighbours, and a grid."""
    from scipy.spatial import cKDTree

    from twinkit import assemble
    from twinkit.resilience import electrified

    rng = np.random.default_rng(seed)
    spots = rng.uniform(0, 3e5, (sites, 2))
    spots = spots[np.argsort(spots[:, 0])]
    near = cKDTree(spots).query(spots, k=12)[1]
    ends = {(min(i, min(n for n in near[i] if n != i)), i) for i in range(1, sites)}
    ends = {(a if a < b else max(b - 1, 0), b) for a, b in ends}
    while len(ends) < links:
        a = int(rng.integers(sites))
        b = int(near[a][rng.integers(1, 12)])
        ends.add((min(a, b), max(a, b)))
    pairs = np.array(sorted(ends))
    names = np.array([f"s{i:05d}" for i in range(sites)], dtype=object)
    nodes = {
        "sites": xr.Dataset(
            {
                "x": ("site", spots[:, 0]),
                "y": ("site", spots[:, 1]),
                "kind": ("site", np.where(np.arange(sites) % 500 == 0, "exchange", "macro").astype(object)),
                "autonomy": ("site", rng.integers(0, 24, sites).astype(float)),
            },
            {"site": names},
        ),
        "links": xr.Dataset(
            {
                "source": ("link", names[pairs[:, 0]]),
                "target": ("link", names[pairs[:, 1]]),
                "medium": ("link", np.where(rng.random(len(pairs)) < 0.5, "fibre", "microwave").astype(object)),
            },
            {"link": np.array([f"l{i:05d}" for i in range(len(pairs))], dtype=object)},
        ),
    }
    twin = assemble(nodes, title="coast", crs="+proj=tmerc +lat_0=19 +lon_0=85 +units=m")
    return electrified(twin, spacing=10e3), rng.uniform(100, 5000, sites)


def loop(fails: np.ndarray, twin: Any, people: np.ndarray) -> np.ndarray:
    """People served in each hour, draw by draw and hour by hour with networkx."""
    import networkx as nx

    sites, links = twin["sites"].to_dataset(), twin["links"].to_dataset()
    count = sites.sizes["site"]
    place = {n: i for i, n in enumerate(sites.site.values)}
    ends = [(place[a], place[b]) for a, b in zip(links.source.values, links.target.values, strict=True)]
    feeders = twin["feeders"].to_dataset()
    where = {n: i for i, n in enumerate(feeders.feeder.values)}
    parent = [where.get(p, -1) for p in feeders.parent.values]
    of = [where[f] for f in sites.feeder.values]
    battery = sites.autonomy.values
    core = [i for i, k in enumerate(sites.kind.values) if k == "exchange"]
    whole = nx.Graph(ends)
    out = np.zeros((len(fails), HOURS))
    for d, row in enumerate(fails):
        when = np.where(np.isnan(row), np.inf, row)
        grid = when[count + len(ends) :].copy()
        grid = np.array([min(grid[f], grid[parent[f]] if parent[f] >= 0 else np.inf) for f in range(len(grid))])
        dead = np.array([min(when[i], np.ceil(grid[of[i]]) + battery[i]) for i in range(count)])
        cut = when[count : count + len(ends)]
        for hour in range(HOURS):
            graph = whole.copy()
            graph.remove_nodes_from(np.flatnonzero(dead <= hour).tolist())
            graph.remove_edges_from([ends[e] for e in np.flatnonzero(cut <= hour)])
            reached: set[int] = set()
            for c in core:
                if c in graph and c not in reached:
                    reached |= nx.node_connected_component(graph, c)
            out[d, hour] = people[sorted(reached)].sum()
    return out


def rows(*, quick: bool) -> Iterator[Row]:
    from twinkit import resilience as r

    sites, links, draws = (500, 800, 1000) if quick else (5000, 8000, 10_000)
    twin, people = made(sites, links)
    track = r.track(
        ["2019-05-02T18", "2019-05-03T06", "2019-05-03T18"], [84.9, 86.3, 87.6], [18.0, 20.2, 22.4], wind=[58, 45, 30]
    )
    storm = r.cyclone(twin, track, members=20, seed=1)
    groups = xr.Dataset(
        {"people": ("pixel", people, {"units": "people"})},
        {"sites": (("pixel", "choice"), np.arange(sites)[:, None])},
    )

    def ours(count: int) -> xr.Dataset:
        hit = r.strike(twin, storm, draws=count, seed=1)
        out = r.served(twin, hit, catchment=groups, hours=float(HOURS))
        return out.mean("draw").compute(num_workers=2)

    ours(100)  # compiles
    start = time.perf_counter()
    ours(draws)
    speed = draws / (time.perf_counter() - start)
    few = 1 if quick else 2
    hit = r.strike(twin, storm, draws=few, seed=1).compute()
    start = time.perf_counter()
    theirs = loop(hit.fails_at.values, twin, people)
    slow = few / (time.perf_counter() - start)
    same = r.served(twin, hit, catchment=groups, hours=float(HOURS)).people_served.values
    if not np.allclose(same, theirs, rtol=1e-4):
        raise AssertionError("the loop finds other numbers")
    yield Row("strike", speed, slow, "networkx loop", "draws/s", "higher")
    tops = []
    for count in (draws // 4, draws):
        tracemalloc.start()
        ours(count)
        tops.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    yield Row("strike-memory", tops[1], tops[0], "a quarter of the draws", "MB", "lower")


if __name__ == "__main__":
    raise SystemExit(main(rows))
