"""Linear programmes held against networkx, against a second formulation over paths, and against their own dual."""

import itertools

import networkx as nx
import numpy as np
import pytest
import xarray as xr
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, hstack

from twinkit import TwinError, assemble, extend, network
from twinkit.network.traffic import square

INSTANCES = ["india35", "polska", "abilene", "germany50"]


def made(ends, capacity, demands):
    """A twin of links (a, b) with their capacities and demands (a, b, size)."""
    ids = np.array(sorted({v for e in ends for v in e} | {v for d in demands for v in d[:2]}), dtype=object)
    links = xr.Dataset(
        {
            "source": ("link", np.array([a for a, _ in ends], dtype=object)),
            "target": ("link", np.array([b for _, b in ends], dtype=object)),
            "capacity": ("link", np.array(capacity, float)),
        },
        {"link": np.array([f"l{i}" for i in range(len(ends))], dtype=object)},
    )
    demand = xr.Dataset(
        {
            "origin": ("demand", np.array([d[0] for d in demands], dtype=object)),
            "destination": ("demand", np.array([d[1] for d in demands], dtype=object)),
            "offered": ("demand", np.array([d[2] for d in demands], float)),
        },
        {"demand": np.array([f"d{i}" for i in range(len(demands))], dtype=object)},
    )
    nodes = {"sites": xr.Dataset(coords={"site": ids}), "links": links, "demands": demand}
    return assemble(nodes, title="made", crs="EPSG:32643")


def random_network(seed):
    rng = np.random.default_rng(seed)
    ring = nx.connected_watts_strogatz_graph(9, 4, 0.5, seed=seed)
    ends = [(f"s{a}", f"s{b}") for a, b in ring.edges] + [("s0", "s1"), ("s0", "s1")]
    pairs = [p for p in itertools.permutations(range(9), 2) if rng.random() < 0.2]
    return made(
        ends,
        rng.integers(1, 9, len(ends)) * 1e9,
        [(f"s{a}", f"s{b}", float(rng.integers(1, 9)) * 1e8) for a, b in pairs],
    )


def conserved(twin, found):
    """Largest amount [bit/s] by which any demand is not conserved at any site."""
    net = network.index(twin)
    place = {v: i for i, v in enumerate(net.link)}
    link = np.array([place[v] for v in found.over.values])
    back = found.way.values == "backward"
    tail, head = np.where(back, net.target[link], net.source[link]), np.where(back, net.source[link], net.target[link])
    order = {v: i for i, v in enumerate(found.demand.values)}
    demand = np.array([order[v] for v in found.serves.values])
    out = np.zeros((len(order), len(net.site)))
    np.add.at(out, (demand, tail), found.split.values)
    np.add.at(out, (demand, head), -found.split.values)
    ends = [net.position(twin[f"demands/{n}"].values, where="") for n in ("origin", "destination")]
    moving = found.reachable.values & (ends[0] != ends[1])
    rows = np.flatnonzero(moving)
    out[rows, ends[0][rows]] -= 1
    out[rows, ends[1][rows]] += 1
    return np.abs(out).max()


def by_paths(twin):
    """The same optimum from another programme: a variable for each simple path of each demand, in no special order."""
    graph = network.graph(twin)
    directed = nx.MultiDiGraph()
    for u, v, key, told in graph.edges(keys=True, data=True):
        if told["capacity"] > 0 and u != v:
            directed.add_edge(u, v, (key, "forward"), capacity=told["capacity"])
            directed.add_edge(v, u, (key, "backward"), capacity=told["capacity"])
    arcs = {k: (i, told["capacity"]) for i, (_, _, k, told) in enumerate(directed.edges(keys=True, data=True))}
    rows, of = [], []
    asked = list(zip(*(twin[f"demands/{n}"].values for n in ("origin", "destination", "offered")), strict=True))
    for k, (a, b, _) in enumerate(asked):
        for path in nx.all_simple_edge_paths(directed, a, b):
            rows.append([arcs[e[2]][0] for e in path])
            of.append(k)
    count = len(rows)
    arc, path = np.concatenate(rows), np.repeat(np.arange(count), [len(r) for r in rows])
    use = csr_matrix((np.ones(len(arc)), (arc, path)), shape=(len(arcs), count))
    use = hstack([use, csr_matrix([[-c / 1e9] for _, c in arcs.values()])])
    serve = csr_matrix((np.ones(count), (of, np.arange(count))), shape=(len(asked), count + 1))
    cost = np.zeros(len(rows) + 1)
    cost[-1] = 1
    done = linprog(cost, use, np.zeros(len(arcs)), serve, [d / 1e9 for *_, d in asked], method="highs-ipm")
    return 1 / done.fun


@pytest.mark.parametrize("seed", range(4))
def test_a_second_programme_over_all_simple_paths_has_the_same_optimum(seed):
    twin = random_network(seed)
    found = network.concurrent_flow(twin)
    assert float(found.concurrent_scale) == pytest.approx(by_paths(twin), rel=1e-6)
    assert float(found.concurrent_bound) == pytest.approx(float(found.concurrent_scale), rel=1e-6)
    assert conserved(twin, found) < 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_one_demand_alone_is_networkx_maximum_flow(seed):
    whole = random_network(seed)
    one = extend(whole, demands=whole["demands"].to_dataset().isel(demand=[0]))
    directed = nx.DiGraph()
    for u, v, told in network.graph(one).edges(data=True):
        for a, b in ((u, v), (v, u)):
            size = directed.edges[a, b]["capacity"] if directed.has_edge(a, b) else 0
            directed.add_edge(a, b, capacity=size + told["capacity"])
    ends = [one[f"demands/{n}"].values[0] for n in ("origin", "destination")]
    flow = nx.maximum_flow_value(directed, *ends)
    scale = float(network.concurrent_flow(one).concurrent_scale)
    assert scale * float(one["demands/offered"][0]) == pytest.approx(flow, rel=1e-6)


@pytest.mark.parametrize("name", INSTANCES)
def test_the_optimum_of_an_instance_of_sndlib_is_certified(name, testdata):
    twin = network.sndlib(testdata(f"sndlib/native/{name}/{name}.txt"))
    found = network.concurrent_flow(twin)
    # primal: what the legs carry, added up again by the other function, and every demand conserved at every site
    load = network.link_load(twin, found).link_load
    assert float(load.max()) * float(found.concurrent_scale) == pytest.approx(1, rel=1e-9)
    assert conserved(twin, found) < 1e-9
    # dual: the same prices through networkx
    priced = nx.DiGraph()
    cost = found.link_price / twin["links/capacity"]
    for a, b, k in zip(*(twin[f"links/{n}"].values for n in ("source", "target", "link")), strict=True):
        priced.add_edge(a, b, weight=float(cost.sel(link=k, direction="forward")))
        priced.add_edge(b, a, weight=float(cost.sel(link=k, direction="backward")))
    away = dict(nx.all_pairs_dijkstra_path_length(priced))
    asked = zip(*(twin[f"demands/{n}"].values for n in ("origin", "destination", "offered")), strict=True)
    bound = float(found.link_price.sum()) / sum(d * away[a][b] for a, b, d in asked)
    assert bound == pytest.approx(float(found.concurrent_scale), rel=1e-6)
    # no routing of ours is better
    shortest = network.link_load(twin, network.routing(twin)).link_load
    assert float(shortest.max()) >= float(load.max()) * (1 - 1e-9)


@pytest.mark.parametrize("name", ["abilene", "polska"])
def test_the_optimum_of_an_instance_is_that_of_all_its_paths(name, testdata):
    twin = network.sndlib(testdata(f"sndlib/native/{name}/{name}.txt"))
    assert float(network.concurrent_flow(twin).concurrent_scale) == pytest.approx(by_paths(twin), rel=1e-6)


@pytest.mark.parametrize("level", [0.3, 0.5, 0.7])
def test_demands_can_be_scaled_to_a_level(level):
    twin = random_network(1)
    at = extend(twin, demands=network.offered_at(twin, load=level))
    assert float(network.concurrent_flow(at).link_load.max()) == pytest.approx(level, rel=1e-6)


def test_demand_over_capacity_is_answered_by_how_much_and_where():
    twin = made([("a", "b"), ("b", "c")], [1e9, 4e9], [("a", "c", 3e9)])
    found = network.concurrent_flow(twin)
    assert float(found.concurrent_scale) == pytest.approx(1 / 3)
    assert found.link_load.sel(direction="forward").values == pytest.approx([3.0, 0.75])
    assert found.link_price.sel(direction="forward").values == pytest.approx([1.0, 0.0])
    assert "only 33.3% of each demand fits" in found.summary
    assert found.summary.endswith("the tightest place is l0")


def test_islands_links_to_oneself_dead_and_parallel_links():
    ends = [("a", "b"), ("a", "b"), ("b", "b"), ("b", "c"), ("x", "y")]
    twin = made(ends, [1e9, 2e9, 9e9, 0.0, 1e9], [("a", "b", 1e9), ("a", "x", 1e9), ("b", "c", 5e8), ("a", "a", 7e9)])
    found = network.concurrent_flow(twin)
    assert found.reachable.values.tolist() == [True, False, False, True]
    assert float(found.concurrent_scale) == pytest.approx(3.0)
    assert "1.5 Gbit/s of them have no route at all" in found.summary
    assert found.link_traffic.sel(link=["l2", "l3", "l4"]).sum() == 0
    nothing = network.concurrent_flow(made([("a", "b")], [1e9], [("a", "b", 0.0)]))
    assert np.isinf(nothing.concurrent_scale)
    assert nothing.sizes["leg"] == 0


def test_a_link_out_of_service_carries_nothing():
    twin = square()
    found = network.concurrent_flow(twin, usable=twin["links/link"] != "ab")
    assert float(found.concurrent_scale) == pytest.approx(1.0)
    assert set(found.over.values) == {"cd", "da"}


def test_among_equals_the_least_of_the_weight_is_taken():
    ends = [("a", "b"), ("b", "d"), ("a", "c"), ("c", "d"), ("a", "d")]
    twin = made(ends, [1e9, 1e9, 1e9, 1e9, 1e7], [("a", "d", 1e9)])
    length = xr.DataArray([1.0, 1.0, 9.0, 9.0, 1.0], {"link": twin["links/link"].values}, ("link",))
    assert float(network.concurrent_flow(twin, weight=length).concurrent_scale) == pytest.approx(2.01)
    narrow = made([*ends[:2], ("b", "d"), *ends[2:4]], [1e9, 1e9, 1e9, 1e9, 1e9], [("a", "b", 1e9), ("b", "d", 1e8)])
    found = network.concurrent_flow(narrow)
    hops = float((found.link_traffic.sum()) / 1e9)
    assert hops < 2.2, "no circles beside the way"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: extend(t, links=t["links/capacity"] * np.nan), "the capacity of each link in service; found none"),
        (lambda t: extend(t, links=t["links/capacity"] * -1), "a capacity of 0 or more"),
        (lambda t: extend(t, demands=t["demands/offered"] * -1), "demands of 0 or more"),
        (lambda t: extend(t, demands=t["demands/offered"] * np.nan), "demands of 0 or more"),
        (lambda t: extend(t, demands=t["demands/offered"].expand_dims(time=2)), "demands of one moment"),
        (lambda t: extend(t, demands=t["demands/origin"].copy(data=["z"])), "found 'z'"),
    ],
)
def test_what_makes_no_programme_is_refused(call, says):
    with pytest.raises(TwinError, match=says):
        network.concurrent_flow(call(square()))


def test_lists_of_other_lengths_and_nothing_to_scale_are_refused():
    with pytest.raises(TwinError, match="each of one length"):
        network.fitting([0], [1], [], origin=[0], destination=[1], offered=[1.0])
    with pytest.raises(TwinError, match="a demand that can be routed"):
        network.offered_at(made([("a", "b")], [1e9], [("a", "c", 1.0)]), load=0.5)
