"""Routes, their splits and what they load: held against networkx and against another code's link loads."""

import importlib.resources
import itertools
import json

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, dynamics, extend, network
from twinkit.network.traffic import square


def random_network(seed, sites=10, links=20):
    """Links of few different lengths, so that many routes are equally long; parallel ones and an island among them."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"s{i}" for i in range(sites)], dtype=object)
    ends = rng.integers(0, sites - 1, (2, links))
    ends[:, -1] = ends[:, 0]
    link = xr.Dataset(
        {
            "source": ("link", ids[ends[0]]),
            "target": ("link", ids[ends[1]]),
            "capacity": ("link", rng.integers(1, 5, links) * 1e9),
            "length": ("link", rng.integers(1, 4, links) * 1e3),
        },
        {"link": np.array([f"l{i}" for i in range(links)], dtype=object)},
    )
    pairs = list(itertools.permutations(range(sites), 2))
    demand = xr.Dataset(
        {
            "origin": ("demand", ids[[a for a, _ in pairs]]),
            "destination": ("demand", ids[[b for _, b in pairs]]),
            "offered": ("demand", rng.uniform(1e6, 1e8, len(pairs))),
        },
        {"demand": np.arange(len(pairs)).astype(str).astype(object)},
    )
    nodes = {"sites": xr.Dataset(coords={"site": ids}), "links": link, "demands": demand}
    return assemble(nodes, title="random", crs="EPSG:32643")


def simple(twin):
    """The shortest of parallel links, for the parts of networkx that know no multigraph."""
    out = nx.Graph()
    out.add_nodes_from(twin["sites"].site.values)
    for u, v, told in network.graph(twin).edges(data=True):
        if u != v and not (out.has_edge(u, v) and out.edges[u, v]["length"] <= told["length"]):
            out.add_edge(u, v, length=told["length"])
    return out


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weight", ["length", None])
def test_each_leg_lies_on_a_shortest_route_and_each_demand_arrives(seed, weight):
    twin = random_network(seed)
    made = simple(twin)
    found = network.routing(twin, weight=None if weight is None else twin["links/length"])
    away = dict(nx.all_pairs_dijkstra_path_length(made, weight=weight or (lambda *_: 1)))
    links = twin["links"].to_dataset()
    size = {
        d: (o, t)
        for d, o, t in zip(*(twin[f"demands/{n}"].values for n in ("demand", "origin", "destination")), strict=True)
    }
    mean = dict.fromkeys(size, 0.0)
    for serves, over, way, split in zip(*(found[n].values for n in ("serves", "over", "way", "split")), strict=True):
        link = links.sel(link=over)
        a, b = (str(link[n].values) for n in (("source", "target") if way == "forward" else ("target", "source")))
        cost = float(link.length) if weight else 1.0
        start, end = size[serves]
        assert away[start][a] + cost + away[b][end] == pytest.approx(away[start][end])
        mean[serves] += split * cost
    for demand, (start, end) in size.items():
        reached = end in away[start]
        assert bool(found.reachable.sel(demand=demand)) == reached
        if reached:
            assert mean[demand] == pytest.approx(away[start][end])


@pytest.mark.parametrize("equal_cost", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_few_starts_few_ends_and_small_blocks_give_the_same_routes(seed, equal_cost, monkeypatch):
    twin = random_network(seed)

    def legs(found):
        return sorted(zip(*(found[n].values for n in ("serves", "over", "way", "split")), strict=True))

    for end in ("origin", "destination"):
        demands = twin["demands"].to_dataset()
        one = extend(twin, demands=demands.isel(demand=np.flatnonzero(demands[end].values == "s1")))
        alone = legs(network.routing(one, weight=twin["links/length"], equal_cost=equal_cost))
        mine = set(one["demands"].demand.values)
        all_of_them = legs(network.routing(twin, weight=twin["links/length"], equal_cost=equal_cost))
        assert alone
        assert [a[:3] for a in alone] == [a[:3] for a in all_of_them if a[0] in mine]
        assert [a[3] for a in alone] == pytest.approx([a[3] for a in all_of_them if a[0] in mine])
    monkeypatch.setattr("twinkit.network.route.BLOCK", 2)
    assert legs(network.routing(twin, weight=twin["links/length"], equal_cost=equal_cost)) == all_of_them


def test_traffic_is_split_at_each_site_and_not_among_whole_routes():
    # a to d: over b, and over c from which two links lead on; half goes over b although one route of three does
    ids = np.array(list("abcd"), dtype=object)
    links = xr.Dataset(
        {
            "source": ("link", ids[[0, 0, 1, 2, 2]]),
            "target": ("link", ids[[1, 2, 3, 3, 3]]),
            "capacity": ("link", np.full(5, 1e9)),
        },
        {"link": list("vwxyz")},
    )
    demands = {"origin": ("demand", ["a"]), "destination": ("demand", ["d"]), "offered": ("demand", [4e8])}
    nodes = {
        "sites": xr.Dataset(coords={"site": ids}),
        "links": links,
        "demands": xr.Dataset(demands, {"demand": ["k"]}),
    }
    twin = assemble(nodes, title="split", crs="EPSG:32643")
    load = network.link_load(twin, network.routing(twin)).link_load.sel(direction="forward")
    assert load.values == pytest.approx([0.2, 0.2, 0.2, 0.1, 0.1])
    one = network.routing(twin, equal_cost=False)
    assert one.split.values.tolist() == [1.0, 1.0]
    assert one.over.values.tolist() == ["v", "x"]


@pytest.mark.parametrize(
    ("name", "both_ways"),
    [("india35", None), ("polska", None), ("germany50", None), ("nobel-eu", None), ("abilene", True), ("geant", True)],
)
def test_loads_of_equal_cost_routes_are_those_of_topohub(name, both_ways, testdata):
    pytest.importorskip("topohub")
    # its own reader leaves the file open
    theirs = json.loads(importlib.resources.files("topohub").joinpath(f"data/sndlib/{name}.json").read_text("utf-8"))
    twin = network.sndlib(testdata(f"sndlib/native/{name}/{name}.txt"), both_ways=both_ways)
    traffic = network.link_load(twin, network.routing(twin)).link_traffic
    percent = 100 * traffic / traffic.max()
    ours = {}
    for link, a, b in zip(*(twin[f"links/{n}"].values for n in ("link", "source", "target")), strict=True):
        ours[a, b], ours[b, a] = (float(percent.sel(link=link, direction=d)) for d in network.DIRECTIONS)
    called = {v["id"]: v["name"] for v in theirs["nodes"]}
    assert len(theirs["edges"]) == len(ours) / 2
    for edge in theirs["edges"]:
        a, b = called[edge["source"]], called[edge["target"]]
        # theirs are rounded to a hundredth
        assert ours[a, b] == pytest.approx(edge["ecmp_fwd"]["org"], abs=0.0051)
        assert ours[b, a] == pytest.approx(edge["ecmp_bwd"]["org"], abs=0.0051)


@pytest.mark.parametrize("seed", range(4))
def test_next_best_routes_are_networkx_in_weight_and_order(seed):
    twin = random_network(seed)
    # the first of parallel links alone: networkx counts none
    keep, made = [], nx.Graph()
    for u, v, key, told in network.graph(twin).edges(keys=True, data=True):
        if u != v and not made.has_edge(u, v):
            made.add_edge(u, v, length=told["length"])
            keep.append(key)
    only = twin["links/link"].isin(keep)
    found = network.routes(twin, origin="s0", destination="s1", most=30, weight=twin["links/length"], usable=only)
    if "s0" not in made or "s1" not in made or not nx.has_path(made, "s0", "s1"):
        assert found.sizes["route"] == 0
        return
    theirs = list(itertools.islice(nx.shortest_simple_paths(made, "s0", "s1", weight="length"), 30))
    weights = [nx.path_weight(made, p, "length") for p in theirs]
    assert found.weight.values.tolist() == weights
    assert len({tuple(r) for r in found.link.values}) == len(theirs)
    for row, hops, capacity in zip(found.link.values, found.hops.values, found.capacity.values, strict=True):
        used = [k for k in row if k]
        assert len(used) == hops
        assert capacity == min(float(twin["links/capacity"].sel(link=k)) for k in used)


def test_parallel_links_make_different_routes():
    found = network.routes(random_network(0), origin="s0", destination="s1", most=99)
    assert len({tuple(r) for r in found.link.values}) == found.sizes["route"]


def test_load_keeps_free_dims_and_is_linear():
    twin = square()
    times = extend(
        twin, demands=(twin["demands/offered"] * xr.DataArray([0.0, 1.0, 3.0], dims="time")).rename("offered")
    )
    found = network.link_load(times, network.routing(twin))
    assert found.link_load.dims == ("time", "link", "direction")
    assert found.link_load.sel(link="ab", direction="forward").values.tolist() == [0.0, 0.5, 1.5]


def test_unknown_and_no_capacity_show_in_the_load():
    twin = square()
    size = twin["links/capacity"].copy(data=[np.nan, 1e9, 1e9, 1e9])
    load = network.link_load(extend(twin, links=size), network.routing(twin)).link_load
    assert load.sel(link="ab").isnull().all()
    dead = extend(twin, links=twin["links/capacity"].copy(data=[0.0, 1e9, 1e9, 1e9]))
    assert set(network.routing(dead).over.values) == {"cd", "da"}
    assert np.isinf(network.link_load(dead, network.routing(twin)).link_load.sel(link="ab", direction="forward"))
    assert float(network.link_load(dead, network.routing(twin)).link_load.sel(link="ab", direction="backward")) == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: network.routing(t, weight=t["links/length"] * 0), "a positive weight for each link in service"),
        (lambda t: network.routing(t, weight=t["links/length"] * np.nan), "found nan at 'ab' and 3 more"),
        (lambda t: network.routing(t, weight=t["links/length"].expand_dims(time=1)), "a DataArray on link"),
        (lambda t: network.routes(t, origin="a", destination="zz", most=1), "a site of the twin; found 'zz'"),
        (lambda t: network.routes(t, origin="a", destination="a", most=1), "two different sites"),
        (lambda t: network.routes(t, origin="a", destination="b", most=0), "most from 1"),
        (lambda t: network.link_load(t, network.routing(t).assign(over=("leg", ["no"] * 4))), "a link of the twin"),
        (lambda t: network.link_load(t, network.routing(t).assign(way=("leg", ["up"] * 4))), "a direction"),
        (lambda t: network.link_load(t, network.routing(t).assign(serves=("leg", ["no"] * 4))), "a demand of the twin"),
        (lambda t: network.link_load(extend(t, demands=-t["demands/offered"]), network.routing(t)), "0 or more"),
    ],
)
def test_what_makes_no_route_is_refused(call, says):
    with pytest.raises(TwinError, match=says):
        call(square())


# ---------------------------------------------------------------- demands


def test_gravity_adds_up_and_follows_mass_and_distance(small_twin):
    twin = small_twin(sites=5, pixels=30)
    people = network.catchment(twin)
    assert float(people.sum()) == pytest.approx(float(twin["surface/people"].sum()))
    found = network.gravity(twin, people, total=5e9, exponent=2.0)
    assert float(found.offered.sum()) == pytest.approx(5e9)
    x, y, mass = twin["sites/x"], twin["sites/y"], people
    pull = {}
    for d, a, b, size in zip(*(found[n].values for n in ("demand", "origin", "destination", "offered")), strict=True):
        apart = max(1e3, float(np.hypot(x.sel(site=a) - x.sel(site=b), y.sel(site=a) - y.sel(site=b))))
        pull[d] = size * apart**2 / float(mass.sel(site=a) * mass.sel(site=b))
    assert max(pull.values()) == pytest.approx(min(pull.values()))


def test_backhauled_keeps_time_and_leaves_out_who_asks_for_nothing(small_twin):
    twin = small_twin(sites=3)
    ask = xr.DataArray([[1.0, 2.0], [0.0, 0.0], [5.0, 6.0]], {"site": ["s0", "s1", "s2"]}, ("site", "time"))
    found = network.backhauled(twin, ask, core="s0")
    assert found.destination.values.tolist() == ["s2"]
    assert found.offered.dims == ("demand", "time")
    assert found.offered.values.tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t, p: network.gravity(t, p * -1, total=1e9, exponent=0), "0 or more for each site"),
        (lambda t, p: network.gravity(t, p * 0, total=1e9, exponent=0), "two sites with mass"),
        (lambda t, p: network.gravity(t, p, total=-1, exponent=0), "total from 0"),
        (lambda t, p: network.gravity(t, p, total=1, exponent=-2), "exponent from 0"),
        (lambda t, p: network.gravity(t, [1, 2], total=1, exponent=0), "a DataArray on site"),
        (lambda t, p: network.backhauled(t, p, core="zz"), "found 'zz'"),
        (lambda t, p: network.backhauled(t, p * np.nan, core="s0"), "0 or more for each site"),
        (lambda t, p: network.catchment(extend(t, sites=t["sites/x"] * np.nan)), "a site that is nowhere"),
        (
            lambda t, p: network.catchment(extend(t, sites=t["sites/kind"].copy(data=["exchange"] * 3))),
            "radio sites with x and y; found none",
        ),
    ],
)
def test_what_makes_no_demand_is_refused(call, says, small_twin):
    twin = small_twin(sites=3)
    with pytest.raises(TwinError, match=says):
        call(twin, network.catchment(twin))


# ---------------------------------------------------------------- from cells to links


@pytest.fixture
def carried(small_twin):
    """A small twin on a ring, its cells' traffic from s0, and the model that carries it."""
    twin = small_twin(sites=4)
    ids = twin["sites"].site.values
    links = {"source": ("link", ids), "target": ("link", np.roll(ids, -1)), "capacity": ("link", np.full(4, 2e9))}
    twin = extend(twin, links=xr.Dataset(links, {"link": np.array(list("abcd"), dtype=object)}))
    rate = xr.full_like(twin["cells/bandwidth"], 3e8)
    home = twin["cells/site"].values
    ask = xr.DataArray([3e8 * (home == i).sum() for i in ids], {"site": ids}, ("site",))
    twin = extend(twin, demands=network.backhauled(twin, ask, core="s0"))
    return twin, network.carrying(twin, network.routing(twin), full_rate=rate), rate


def start(twin, load=0.4):
    cells = twin["cells"].cell.values
    state = xr.Dataset({"load": ("cell", np.full(len(cells), load))}, {"cell": cells})
    return state.assign_coords(time=np.datetime64("2026-03-02T12:00", "ns"))


def test_links_follow_their_cells_as_link_load_says(carried):
    twin, model, _ = carried
    run = dynamics.simulate(
        model, model.loaded(start(twin)), steps=8, dt=900, forcing=lambda time: xr.DataArray(0.6), seed=1
    )
    assert run.link_load.dims == ("time", "link")
    load = run["load"].isel(time=-1)
    site = load.groupby(twin["cells/site"]).sum() * 3e8
    then = extend(twin, demands=network.backhauled(twin, site.reindex(site=twin["sites"].site.values), core="s0"))
    other = network.link_load(then, network.routing(then)).link_load.max("direction")
    assert run.link_load.isel(time=-1).values == pytest.approx(other.values)
    assert "s0" not in then["demands/destination"].values


def test_a_member_dim_goes_through_and_the_cells_are_those_of_the_cell_model(carried):
    twin, model, _ = carried
    state = model.loaded(start(twin).expand_dims(member=3))
    here, there = np.random.default_rng(1), np.random.default_rng(1)
    forcing = xr.DataArray(np.full(12, 0.6), dims="cell")
    new = model(state, 900.0, forcing, here)
    assert new["load"].identical(network.step(state, 900.0, forcing, there)["load"])
    assert new.link_load.dims == ("member", "link")
    one = model.loaded(new[["load"]].isel(member=1))
    assert one.link_load.values == pytest.approx(new.link_load.isel(member=1).values)
    assert model.loaded(state.astype("f4")).link_load.dtype == np.float32


def test_seen_links_correct_unseen_cells(carried):
    from twinkit import assimilate

    twin, model, _ = carried
    begin = assimilate.ensemble(model.loaded(start(twin)), members=60, spread={"load": 0.1, "link_load": 0.0}, seed=1)
    truth = model.loaded(start(twin, 0.7))
    prior = model.loaded(begin.drop_vars("link_load"))
    seen = truth[["link_load"]]
    after = assimilate.update(prior, seen, noise=0.01, seed=1)
    far = twin["cells/site"].values != "s0"
    before = np.abs(prior["load"].mean("member") - 0.7).values[far].mean()
    assert np.abs(after["load"].mean("member") - 0.7).values[far].mean() < 0.7 * before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t, m, r: m(start(t), 900.0, xr.DataArray(0.5), None), "'load' and 'link_load'"),
        (lambda t, m, r: m.loaded(xr.Dataset()), "'load' on cell"),
        (lambda t, m, r: m.loaded(start(t).isel(cell=slice(None, None, -1))), "cells of the model in their order"),
        (lambda t, m, r: m.loaded(start(t).isel(cell=[0])), "12 cells"),
        (
            lambda t, m, r: network.carrying(
                extend(t, demands=t["demands"].to_dataset().isel(demand=[0])), network.routing(t), full_rate=r
            ),
            "a demand to the site of each cell",
        ),
        (
            lambda t, m, r: network.carrying(
                t, network.routing(t, usable=~t["links/link"].isin(["a", "b"])), full_rate=r
            ),
            "a route to the site of each cell; found none to 's1'",
        ),
        (
            lambda t, m, r: network.carrying(
                extend(t, links=t["links/capacity"] * np.nan), network.routing(t), full_rate=r
            ),
            "a capacity above 0",
        ),
        (lambda t, m, r: network.carrying(t, network.routing(t), full_rate=-r), "0 or more"),
    ],
)
def test_a_model_that_cannot_carry_is_refused(call, says, carried):
    with pytest.raises(TwinError, match=says):
        call(*carried)
