"""Single points of failure against networkx and against taking each link and site out in turn."""

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, extend, network
from twinkit.network.traffic import square


def some(seed, sites=14, links=17, demands=40):
    """A random network with parallel links, links to oneself, islands and dead links, its people and its core."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"s{i}" for i in range(sites)], dtype=object)
    ends = rng.integers(0, sites, (2, links))
    ends[:, -1] = ends[:, 0]  # one twice
    node = xr.Dataset({"x": ("site", rng.uniform(0, 1e4, sites)), "y": ("site", rng.uniform(0, 1e4, sites))})
    link = xr.Dataset(
        {
            "source": ("link", ids[ends[0]]),
            "target": ("link", ids[ends[1]]),
            "capacity": ("link", np.where(rng.random(links) < 0.1, 0.0, 1e9)),
        },
        {"link": np.array([f"l{i}" for i in range(links)], dtype=object)},
    )
    pairs = rng.integers(0, sites, (2, demands))
    demand = xr.Dataset(
        {
            "origin": ("demand", ids[pairs[0]]),
            "destination": ("demand", ids[pairs[1]]),
            "offered": ("demand", rng.uniform(0, 1e8, demands)),
        },
        {"demand": np.array([f"d{i}" for i in range(demands)], dtype=object)},
    )
    nodes = {"sites": node.assign_coords(site=ids), "links": link, "demands": demand}
    people = xr.DataArray(rng.integers(0, 1000, sites).astype(float), {"site": ids}, ("site",))
    return assemble(nodes, title="some", crs="EPSG:32643"), people, list(ids[rng.integers(0, sites, 2)])


def usable_graph(twin):
    made = network.graph(twin)
    made.remove_edges_from([e for e in made.edges(keys=True) if made.edges[e]["capacity"] == 0 or e[0] == e[1]])
    return made


def state(made, twin, people, core):
    """Demand that has a way [bit/s], and people who have a way to the core."""
    part = {v: i for i, c in enumerate(nx.connected_components(made)) for v in c}
    asked = zip(*(twin[f"demands/{n}"].values for n in ("origin", "destination", "offered")), strict=True)
    way = sum(d for a, b, d in asked if a in part and part[a] == part.get(b))
    served = {part[c] for c in core if c in part}
    return way, sum(float(people.sel(site=v)) for v in part if part[v] in served)


@pytest.mark.parametrize("seed", range(12))
def test_each_link_and_site_out_in_turn(seed):
    twin, people, core = some(seed)
    links = network.weak_links(twin, people=people, core=core)
    sites = network.weak_sites(twin, people=people, core=core)
    made = usable_graph(twin)
    way, served = state(made, twin, people, core)
    simple = nx.Graph(made)
    single = {frozenset(e) for e in nx.bridges(simple)}
    for u, v, key in list(network.graph(twin).edges(keys=True)):
        without = made.copy()
        if without.has_edge(u, v, key):
            without.remove_edge(u, v, key)
        left = state(without, twin, people, core)
        assert float(links.demand_lost.sel(link=key)) == pytest.approx(way - left[0], abs=1)
        assert float(links.people_cut.sel(link=key)) == pytest.approx(served - left[1])
        bridge = made.has_edge(u, v, key) and frozenset((u, v)) in single and made.number_of_edges(u, v) == 1
        assert bool(links.bridge.sel(link=key)) == bridge
    assert set(sites.site.values[sites.cut_site.values]) == set(nx.articulation_points(simple))
    for site in twin["sites"].site.values:
        without = made.copy()
        without.remove_node(site)
        left = state(without, twin, people, core)
        assert float(sites.demand_lost.sel(site=site)) == pytest.approx(way - left[0], abs=1)
        assert float(sites.people_cut.sel(site=site)) == pytest.approx(served - left[1])


def test_the_random_networks_are_not_all_alike():
    found = [network.weak_links(t, people=p, core=c) for t, p, c in map(some, range(12))]
    assert sum(int(f.bridge.sum()) for f in found) > 20
    assert sum(int((~f.bridge).sum()) for f in found) > 20
    assert any((f.people_cut > 0).any() for f in found)


def test_people_are_unknown_where_nobody_says_who_or_where_the_core_is():
    assert network.weak_links(square()).people_cut.isnull().all()
    people = xr.DataArray([1.0, 2.0, 3.0, 4.0], {"site": list("abcd")}, ("site",))
    assert network.weak_sites(square(), people=people).people_cut.isnull().all()
    alone = network.weak_sites(square(), people=people, core="a").people_cut
    assert alone.values.tolist() == [10.0, 2.0, 3.0, 4.0]


def test_a_long_chain_is_no_matter_of_recursion():
    count = 5000
    ids = np.array([f"s{i}" for i in range(count)], dtype=object)
    links = xr.Dataset(
        {"source": ("link", ids[:-1]), "target": ("link", ids[1:]), "capacity": ("link", np.ones(count - 1))}
    )
    demands = {"origin": ("demand", ids[:1]), "destination": ("demand", ids[-1:]), "offered": ("demand", [5.0])}
    nodes = {
        "sites": xr.Dataset(coords={"site": ids}),
        "links": links.assign_coords(link=np.arange(count - 1).astype(str).astype(object)),
        "demands": xr.Dataset(demands, {"demand": ["all"]}),
    }
    twin = assemble(nodes, title="chain", crs="EPSG:32643")
    assert (network.weak_links(twin).demand_lost == 5).all()
    people = xr.DataArray(np.ones(count), {"site": ids}, ("site",))
    cut = network.weak_links(twin, people=people, core="s0").people_cut.values
    assert np.array_equal(cut, np.arange(count - 1, 0, -1))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t, p: network.weak_links(t, people=p, core="zz"), "a site of the twin; found 'zz'"),
        (lambda t, p: network.weak_links(t, people=-p, core="a"), "0 or more for each site"),
        (lambda t, p: network.weak_sites(t, people=p.isel(site=[0]), core="a"), "0 or more for each site"),
        (
            lambda t, p: network.weak_sites(extend(t, demands=t["demands/offered"].expand_dims(time=2))),
            "demands of one moment",
        ),
        (lambda t, p: network.weak_links(extend(t, demands=t["demands/offered"] * -1)), "demands of 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(call, says):
    people = xr.DataArray([1.0, 2.0, 3.0, 4.0], {"site": list("abcd")}, ("site",))
    with pytest.raises(TwinError, match=says):
        call(square(), people)
