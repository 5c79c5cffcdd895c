"""Damage, the cascade and crews: against enumeration, closed forms and a plain loop over graphs."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from twinkit import TwinError, assemble, extend
from twinkit import resilience as r


def network(ends, *, sites, people=None, feeders=None, autonomy=None, core="s0"):
    """A twin of sites in a row, ten km apart, each with its own people; `core` is the exchange."""
    names = np.array([f"s{i}" for i in range(sites)], dtype=object)
    x = 1e4 * np.arange(sites)
    table = xr.Dataset(
        {
            "x": ("site", x),
            "y": ("site", np.zeros(sites)),
            "kind": ("site", np.where(names == core, "exchange", "macro").astype(object)),
            "autonomy": ("site", np.full(sites, 1e6) if autonomy is None else np.asarray(autonomy, float)),
        },
        {"site": names},
    )
    a, b = zip(*ends, strict=True)
    links = xr.Dataset(
        {"source": ("link", names[list(a)]), "target": ("link", names[list(b)])},
        {"link": np.array([f"l{i}" for i in range(len(a))], dtype=object)},
    )
    cells = xr.Dataset({"site": ("cell", names)}, {"cell": np.array([f"c{i}" for i in range(sites)], dtype=object)})
    crowd = np.full(sites, 10.0) if people is None else np.asarray(people, float)
    surface = xr.Dataset({"people": (("y", "x"), crowd[None])}, {"y": [0.0], "x": x})
    twin = assemble({"sites": table, "links": links, "cells": cells, "surface": surface}, title="row", crs="EPSG:32643")
    if feeders is not None:
        ids = np.array(sorted(set(feeders)), dtype=object)
        place = np.zeros(len(ids))
        grid = xr.Dataset(coords={"feeder": ids, "x": ("feeder", place), "y": ("feeder", place)})
        twin = extend(
            twin, feeders=grid, sites=xr.DataArray(np.array(feeders, dtype=object), dims="site", name="feeder")
        )
    return twin


def hazard(twin, chance, *, hours=1):
    """The same probability from the first hour on: a number, or one for each asset."""
    made = r.assets(twin)
    table = np.broadcast_to(np.asarray(chance, np.float32), (1, hours, made.sizes["asset"]))
    coords = {k: ("asset", made[k].values) for k in ("asset", "node", "kind")}
    times = pd.date_range("2020-01-01", periods=hours, freq="h", unit="ns")
    return xr.Dataset(
        {"failure": (("member", "time", "asset"), table.copy(), {"units": "1"})}, {**coords, "time": times}
    )


def lost(twin, hit, **how):
    return r.served(twin, hit, catchment=r.catchment(twin, reach=1.0, most=1), **{"hours": 1.0, **how})


# ---------------------------------------------------------------- luck


def test_luck_is_even_and_independent_between_assets_draws_and_seeds():
    u = r.luck([f"sites/{i}" for i in range(50)], draws=4000, seed=3)
    assert 0 <= u.min() <= u.max() < 1
    assert abs(u.mean() - 0.5) < 3 * np.sqrt(1 / 12 / u.size)
    counts = np.histogram(u, 100, (0, 1))[0]
    assert (((counts - u.size / 100) ** 2) / (u.size / 100)).sum() < 150  # 99 degrees of freedom: 1 in 1000
    together = np.corrcoef(u.T) - np.eye(50)
    assert np.abs(together).max() < 5 / np.sqrt(4000)
    assert np.abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 4 / np.sqrt(4000)
    other = r.luck([f"sites/{i}" for i in range(50)], draws=4000, seed=4)
    assert abs(np.corrcoef(u.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(u.size)


def test_luck_stays_when_the_plan_the_chunk_or_the_number_of_draws_changes():
    small = network([(0, 1)], sites=2)
    large = network([(0, 1), (1, 2), (2, 3)], sites=4)
    a = r.strike(small, hazard(small, 0.4), draws=40, seed=5).fails_at
    b = r.strike(large, hazard(large, 0.4), draws=90, seed=5, chunk=7).fails_at
    for asset in ("sites/s0", "sites/s1", "links/l0"):
        np.testing.assert_array_equal(a.sel(asset=asset).values, b.sel(asset=asset).values[:40])


def test_a_higher_probability_fells_the_same_and_more():
    twin = network([(0, 1), (1, 2)], sites=3)
    few = np.isfinite(r.strike(twin, hazard(twin, 0.2), draws=500, seed=1).fails_at.values)
    many = np.isfinite(r.strike(twin, hazard(twin, 0.5), draws=500, seed=1).fails_at.values)
    assert (many | ~few).all()
    assert abs(few.mean() - 0.2) < 0.03
    assert abs(many.mean() - 0.5) < 0.03


def test_the_hour_of_failure_follows_the_growing_probability():
    twin = network([(0, 1)], sites=2)
    h = hazard(twin, 0.0, hours=4)
    h["failure"][0, :, 1] = [0.1, 0.4, 0.4, 0.9]
    when = r.strike(twin, h, draws=8000, seed=2).fails_at.values[:, 1]
    share = [(when == k).mean() for k in range(4)] + [np.isnan(when).mean()]
    np.testing.assert_allclose(share, [0.1, 0.3, 0.0, 0.5, 0.1], atol=0.02)


def test_a_common_mode_fells_all_of_a_group_or_none():
    twin = network([(0, 1), (1, 2), (2, 3)], sites=4)
    vendor = xr.DataArray(["", "red", "red", "blue"], dims="site", name="vendor")
    fault = r.common_mode(twin, vendor, time="2020-01-01", probability=0.3)
    down = np.isfinite(r.strike(twin, fault, draws=3000, seed=1).fails_at.values[:, :4])
    assert not down[:, 0].any()
    np.testing.assert_array_equal(down[:, 1], down[:, 2])
    assert abs(down[:, 1].mean() - 0.3) < 0.03
    assert 0.05 < (down[:, 1] & down[:, 3]).mean() < 0.13  # two vendors: independent


# ---------------------------------------------------------------- the cascade


@pytest.mark.parametrize(
    "ends", [[(0, 1), (1, 2), (0, 2)], [(0, 1), (1, 2), (2, 3), (3, 0)], [(0, 1), (0, 1), (1, 2)], [(0, 1), (2, 3)]]
)
def test_people_lost_are_those_of_an_enumeration_of_all_states(ends):
    sites = 1 + max(max(e) for e in ends)
    people = 7.0 + 3 * np.arange(sites)
    twin = network(ends, sites=sites, people=people)
    count = sites + len(ends)
    rng = np.random.default_rng(len(ends))
    chance = rng.uniform(0.05, 0.6, count)
    chance[0] = 0.1
    states = np.array(list(itertools.product([False, True], repeat=count)))
    weight = np.prod(np.where(states, chance, 1 - chance), axis=1)

    def reached(down):
        graph = nx.Graph()
        graph.add_nodes_from(i for i in range(sites) if not down[i])
        graph.add_edges_from((a, b) for e, (a, b) in enumerate(ends) if not (down[sites + e] or down[a] or down[b]))
        return people[list(nx.node_connected_component(graph, 0))].sum() if not down[0] else 0.0

    whole = reached(np.zeros(count, bool))
    gone = np.array([whole - reached(s) for s in states])
    # every state once, through the kernel
    hit = r.strike(twin, hazard(twin, 0.0), draws=len(states), seed=1).compute()
    hit["fails_at"] = hit.fails_at.copy(data=np.where(states, 0.0, np.nan).astype("f4"))
    got = lost(twin, hit).people_hours_lost.values
    np.testing.assert_allclose(got, gone)
    # and by chance
    drawn = lost(twin, r.strike(twin, hazard(twin, chance), draws=20_000, seed=1)).people_hours_lost.values
    expected = (weight * gone).sum()
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / np.sqrt(len(drawn))


def test_two_sites_by_hand():
    """E[loss] of an exchange and a mast behind it: n0 p0 + n1 (1 - (1-p0)(1-p1)(1-pl)), for every hour."""
    p0, p1, pl, n0, n1, hours = 0.1, 0.3, 0.2, 400.0, 1000.0, 24.0
    twin = network([(0, 1)], sites=2, people=[n0, n1])
    out = lost(twin, r.strike(twin, hazard(twin, [p0, p1, pl]), draws=40_000, seed=7), hours=hours)
    expected = hours * (n0 * p0 + n1 * (1 - (1 - p0) * (1 - p1) * (1 - pl)))
    found = r.interval(out.people_hours_lost, level=0.999).compute()
    assert found.expected_low < expected < found.expected_high
    assert abs(float(found.expected) / expected - 1) < 0.02


def test_a_battery_holds_for_its_hours_and_is_full_again_with_the_grid():
    twin = network([(0, 1)], sites=2, people=[0, 1.0], feeders=["g", "f"], autonomy=[1e6, 3.5])
    hit = r.strike(twin, hazard(twin, 0.0), draws=1, seed=1).compute()
    fails = np.full((1, 5), np.nan, "f4")
    back = np.full((1, 5), np.inf, "f4")
    fails[0, 3], back[0, 3] = 2.0, 70.0  # feeder f, in the order of ids: f, g
    hit = hit.assign(fails_at=hit.fails_at.copy(data=fails), repaired_at=hit.fails_at.copy(data=back))
    assert hit.asset.values.tolist()[3:] == ["feeders/f", "feeders/g"]
    up = lost(twin, hit, hours=130.0).people_served.values[0]
    expected = np.ones(130)
    expected[2 + 3 : 70] = 0.0
    np.testing.assert_array_equal(up, expected)


def test_a_dead_substation_takes_its_feeders_with_it():
    twin = r.electrified(network([(0, 1)], sites=2, people=[0, 1.0], autonomy=[1e6, 2.0]), spacing=9e3, group=9)
    top = [a for a in r.assets(twin).asset.values if a.startswith("feeders/u")]
    out = lost(twin, r.strike(twin, r.cut(twin, time="2020-01-01", ids=top), draws=1, seed=1), hours=5.0)
    np.testing.assert_array_equal(out.people_served.values[0], [1, 1, 0, 0, 0])


@pytest.mark.parametrize("hours", [40, 64, 150])
def test_a_plain_loop_over_graphs_finds_the_same_hours(hours):
    rng = np.random.default_rng(hours)
    sites, feeders = 40, 6
    ends = [(int(rng.integers(0, i)), i) for i in range(1, sites)]
    ends += [tuple(rng.choice(sites, 2, replace=False)) for _ in range(20)]
    fed = [f"f{rng.integers(0, feeders)}" for _ in range(sites)]
    twin = network(ends, sites=sites, people=rng.uniform(1, 9, sites), feeders=fed, autonomy=rng.integers(0, 9, sites))
    assets = r.assets(twin).asset.values
    draws = 3
    fails = np.where(rng.random((draws, len(assets))) < 0.3, rng.uniform(0, hours, (draws, len(assets))), np.nan)
    fails[:, 0] = np.nan
    back = fails + rng.exponential(hours / 3, fails.shape)
    hit = r.strike(twin, hazard(twin, 0.0), draws=draws, seed=1).compute()
    hit = hit.assign(
        fails_at=hit.fails_at.copy(data=fails.astype("f4")), repaired_at=hit.fails_at.copy(data=back.astype("f4"))
    )
    fails, back = hit.fails_at.values, hit.repaired_at.values
    got = lost(twin, hit, hours=float(hours))
    people, autonomy = twin["surface/people"].values[0], twin["sites/autonomy"].values
    at = {a: i for i, a in enumerate(assets)}
    for d in range(draws):
        up = np.array([[not (fails[d, a] <= k < back[d, a]) for k in range(hours)] for a in range(len(assets))])
        for k in range(hours):
            works = []
            for i in range(sites):
                grid = up[at[f"feeders/{fed[i]}"]]
                first = max(k - int(autonomy[i]), 0)
                works.append(up[i, k] and (grid[first : k + 1].any() or k - int(autonomy[i]) < 0))
            graph = nx.Graph()
            graph.add_nodes_from(i for i in range(sites) if works[i])
            graph.add_edges_from((a, b) for e, (a, b) in enumerate(ends) if up[sites + e, k] and works[a] and works[b])
            reach = nx.node_connected_component(graph, 0) if works[0] else set()
            assert got.people_served.values[d, k] == pytest.approx(people[list(reach)].sum(), abs=1e-3), (d, k)
    dark = (people.sum() - got.people_served.values).sum(axis=1)
    np.testing.assert_allclose(got.people_hours_lost.values, dark, rtol=1e-5)
    np.testing.assert_allclose(got.hours_dark.values @ people, dark, rtol=1e-5)


def test_a_neighbour_takes_over_where_people_have_a_choice():
    twin = network([(0, 1), (0, 2)], sites=3, people=[0, 5, 0])
    hit = r.strike(twin, r.cut(twin, time="2020-01-01", ids=["s1"]), draws=1, seed=1)
    alone = r.served(twin, hit, catchment=r.catchment(twin, reach=1.0, most=1), hours=1.0)
    helped = r.served(twin, hit, catchment=r.catchment(twin, reach=2e4, most=3), hours=1.0)
    assert float(alone.people_served.values.sum()) == 0
    assert float(helped.people_served.values.sum()) == 5


def test_people_rely_on_the_site_of_their_best_cell_where_a_coverage_is_given():
    twin = network([(0, 1), (0, 2)], sites=3, people=[4, 5, 6])
    server = xr.DataArray([[2, 2, -1]], dims=("y", "x"), name="server")
    some = r.catchment(twin, server=server)
    assert some.sites.values.tolist() == [[2]]
    assert some.people.values.tolist() == [9]
    assert some.attrs["people_without"] == 6
    there = xr.DataArray([[True, False, True]], dims=("y", "x"))
    assert r.catchment(twin, server=server, where=there).people.values.tolist() == [4]
    with pytest.raises(TwinError, match="3 cells"):
        r.catchment(twin, server=server + 7)
    with pytest.raises(TwinError, match="1 by 3 pixels"):
        r.catchment(twin, server=server.isel(x=slice(0, 2)))


def test_who_was_cut_off_before_is_nobodys_loss_and_is_told():
    twin = network([(0, 1), (2, 3)], sites=4, people=[1, 2, 4, 8])
    out = lost(twin, r.strike(twin, hazard(twin, 1.0), draws=2, seed=1))
    assert out.attrs["people_before"] == 3
    assert out.attrs["people_cut_off"] == 12
    assert (out.people_hours_lost == 3).all()


def test_two_workers_give_the_bytes_of_one(workers):
    twin = network([(i, i + 1) for i in range(9)], sites=10, feeders=["a", "b"] * 5, autonomy=[4.0] * 10)
    hit = r.strike(twin, hazard(twin, 0.2, hours=3), draws=300, seed=1, chunk=50)
    mended = r.recovery(hit, crews=2, grid_crews=1, begins=5.0)
    out = lost(twin, mended, hours=100.0)
    here, there = out.compute(scheduler="synchronous"), out.compute(scheduler=workers)
    assert here.people_hours_lost.values.tobytes() == there.people_hours_lost.values.tobytes()
    assert here.people_served.values.tobytes() == there.people_served.values.tobytes()
    again = lost(twin, r.recovery(r.strike(twin, hazard(twin, 0.2, hours=3), draws=300, seed=1, chunk=300),
                                  crews=2, grid_crews=1, begins=5.0), hours=100.0)  # fmt: skip
    assert again.people_hours_lost.values.tobytes() == here.people_hours_lost.values.tobytes()


def test_nothing_is_computed_before_it_is_asked_for_and_memory_stays_flat():
    twin = network([(0, 1)], sites=2)
    out = lost(twin, r.strike(twin, hazard(twin, 0.2), draws=2_000_000, seed=1, chunk=1000))
    assert out.people_hours_lost.chunks[0][0] == 1000
    assert out.people_hours_lost.isel(draw=slice(0, 1000)).values.shape == (1000,)


# ---------------------------------------------------------------- crews


def test_one_crew_works_down_the_list_and_two_in_half_the_time():
    twin = network([(i, i + 1) for i in range(7)], sites=8)
    hit = r.strike(twin, r.cut(twin, time="2020-01-01", node="sites"), draws=4, seed=1)
    sure = dict.fromkeys(r.REPAIR, (10.0, 0.0))
    one = r.recovery(hit, crews=1, grid_crews=0, begins=5.0, rule=r.first_come, repair=sure).repaired_at.values
    np.testing.assert_allclose(one[:, :8], np.broadcast_to(5 + 10 * np.arange(1, 9), (4, 8)))
    assert np.isinf(one[:, 8:]).all()
    two = r.recovery(hit, crews=2, grid_crews=0, begins=5.0, rule=r.first_come, repair=sure).repaired_at.values
    np.testing.assert_allclose(two[:, :8].max(axis=1), 45.0)


def test_hours_of_work_scatter_about_the_median_as_said():
    twin = network([(0, 1)], sites=2)
    hit = r.strike(twin, r.cut(twin, time="2020-01-01", ids=["s1"]), draws=20_000, seed=1)
    work = r.recovery(hit, crews=1, grid_crews=0, begins=0.0).repaired_at.values[:, 1]
    median, spread = r.REPAIR["macro"]
    assert abs(np.log(work).mean() - np.log(median)) < 4 * spread / np.sqrt(len(work))
    assert abs(np.log(work).std() - spread) < 0.02


def test_a_feeder_carries_as_many_people_however_long_their_batteries_last():
    row = {"sites": 3, "people": [0.0, 5.0, 90.0], "feeders": ["f0", "f1", "f2"]}
    found = []
    for hours in ([0.0, 0.0, 0.0], [1e6, 24.0, 6.0]):
        twin = network([(0, 1), (0, 2)], **row, autonomy=[1e6, *hours[1:]])
        people = r.depending(twin, catchment=r.catchment(twin, reach=1.0, most=1))
        found.append(people.sel(asset=["feeders/f0", "feeders/f1", "feeders/f2"]).values.tolist())
    assert found == [[0.0, 5.0, 90.0]] * 2


def test_most_people_first_serves_more_than_the_reverse():
    twin = network([(0, i) for i in range(1, 8)], sites=8, people=[0, 1, 2, 4, 8, 16, 32, 64])
    hit = r.strike(twin, hazard(twin, [0.0] + [0.7] * 7 + [0.0] * 7), draws=400, seed=1)
    some = r.catchment(twin, reach=1.0, most=1)
    rule = r.most_people(twin, catchment=some)
    gone = []
    for order in (rule, lambda asset: -rule(asset)):
        mended = r.recovery(hit, crews=1, grid_crews=0, begins=0.0, rule=order)
        gone.append(float(r.served(twin, mended, catchment=some, hours=400.0).people_hours_lost.mean()))
    assert gone[0] < 0.7 * gone[1]


# ---------------------------------------------------------------- what to harden


def test_the_people_who_depend_on_one_asset():
    twin = network([(0, 1), (1, 2), (0, 3), (3, 4), (4, 0)], sites=5, people=[1, 2, 4, 8, 16])
    found = r.depending(twin, catchment=r.catchment(twin, reach=1.0, most=1))
    expected = [31, 6, 4, 8, 16, 6, 4, 0, 0, 0]
    np.testing.assert_array_equal(found.values, expected)


def test_what_hardening_saves_is_the_difference_of_two_whole_runs():
    twin = network(
        [(0, 1), (1, 2), (0, 3)], sites=4, people=[1, 20, 40, 30], feeders=["f"] * 4, autonomy=[9e9, 2, 2, 2]
    )
    chance = hazard(twin, [0, 0.3, 0.2, 0.3, 0.1, 0.2, 0.3, 0.5])
    hit = r.strike(twin, chance, draws=300, seed=3)
    some = r.catchment(twin, reach=1.0, most=1)

    def crews(hit):
        return r.recovery(hit, crews=1, grid_crews=1, begins=1.0)

    found = r.critical(twin, hit, catchment=some, hours=90.0, candidates=99, battery=20.0, crews=crews)
    whole = r.served(twin, crews(hit), catchment=some, hours=90.0).people_hours_lost
    for asset in ("sites/s1", "links/l2"):
        safe = chance.copy(deep=True)
        safe["failure"].loc[{"asset": asset}] = 0.0
        better = r.served(twin, crews(r.strike(twin, safe, draws=300, seed=3)), catchment=some, hours=90.0)
        saved = float((whole - better.people_hours_lost).mean())
        assert float(found.people_hours_saved.sel(asset=asset)) == pytest.approx(saved, rel=1e-6)
    longer = twin["sites/autonomy"].copy(data=[9e9, 2, 22, 2])
    more = r.served(extend(twin, sites=longer), crews(hit), catchment=some, hours=90.0).people_hours_lost
    saved = float((whole - more).mean())
    assert float(found.people_hours_saved.sel(asset="battery/s2")) == pytest.approx(saved, rel=1e-6)
    assert (np.diff(found.people_hours_saved.values) <= 0).all()
    assert (found.low <= found.people_hours_saved).all()
    assert (found.people_hours_saved <= found.high).all()


# ---------------------------------------------------------------- warnings


def test_a_warning_reaches_all_before_and_those_with_a_cell_after():
    twin = network([(0, 1), (1, 2)], sites=3, people=[5, 7, 11])
    import pyproj

    to = pyproj.Transformer.from_crs(twin.attrs["crs"], "EPSG:4326", always_xy=True)
    polygon = [to.transform(x, y) for x, y in ((5e3, -5e3), (3e4, -5e3), (3e4, 5e3), (5e3, 5e3))]
    hit = r.strike(twin, r.cut(twin, time="2020-01-01T06:00", ids=["s2"]), draws=2, seed=1)
    before = r.warning_reach(twin, hit, polygon=polygon, time="2020-01-01T05:00", reach=1.0, most=1)
    after = r.warning_reach(twin, hit, polygon=polygon, time="2020-01-01T07:30", reach=1.0, most=1)
    assert before.values.tolist() == [18, 18]
    assert after.values.tolist() == [7, 7]
    assert float(after.people_inside) == 18
    assert float(after.people_before) == 18


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda t: extend(t, sites=t["sites/autonomy"].copy(data=[1.0, -2.0])), "'s1'"),
        (lambda t: extend(t, links=xr.DataArray(["s1"], dims="link", name="source")), "to itself"),
        (lambda t: extend(t, links=xr.DataArray([0.0], dims="link", name="capacity")), "capacities above 0"),
        (lambda t: extend(t, links=xr.DataArray(["nowhere"], dims="link", name="source")), "nowhere"),
        (lambda t: extend(t, sites=xr.DataArray(["macro", "macro"], dims="site", name="kind")), "network begins"),
    ],
)
def test_a_network_that_cannot_be_is_refused_with_its_name(spoil, word):
    twin = network([(0, 1)], sites=2)
    hit = r.strike(twin, hazard(twin, 0.2), draws=4, seed=1)
    some = r.catchment(twin, reach=1.0, most=1)
    with pytest.raises(TwinError, match=word):
        r.served(spoil(twin), hit, catchment=some, hours=1.0)


def test_feeders_in_a_ring_are_refused():
    twin = network([(0, 1)], sites=2, feeders=["a", "b"])
    ring = twin["feeders"].to_dataset().assign_coords(parent=("feeder", np.array(["b", "a"], dtype=object)))
    hit = r.strike(twin, hazard(twin, 0.2), draws=4, seed=1)
    with pytest.raises(TwinError, match="ring"):
        r.served(extend(twin, feeders=ring), hit, catchment=r.catchment(twin, reach=1.0), hours=1.0)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda t, h: r.strike(t, h, draws=0, seed=1), "draws"),
        (lambda t, h: r.strike(t, h, draws=2.5, seed=1), "a whole number of draws"),
        (lambda t, h: r.strike(t, h, draws=10**9, seed=1), "a part in a hundred"),
        (lambda t, h: r.strike(t, h, draws=3, seed=1, chunk=0), "chunk"),
        (lambda t, h: r.strike(t, h, draws=3, seed=-1), "seed"),
        (lambda t, h: r.strike(t, h.assign(failure=h.failure * 9), draws=3, seed=1), "no unit|0 to 1"),
        (lambda t, h: r.strike(network([(0, 1), (1, 2)], sites=3), h, draws=3, seed=1), "assets"),
        (lambda t, h: r.recovery(r.strike(t, h, draws=3, seed=1), crews=-1, grid_crews=1, begins=0.0), "crews"),
        (
            lambda t, h: r.recovery(r.strike(t, h, draws=3, seed=1), crews=1, grid_crews=1, begins=0.0, repair={}),
            "kind",
        ),
        (lambda t, h: r.cut(t, time="2020-01-01", ids=["s9"]), "s9"),
        (lambda t, h: r.cut(t, time="2020-01-01T00:00+05:30", ids=["s1"]), "without a zone"),
        (lambda t, h: r.cut(t, time="2020-01-01", node="feeders"), "electrified"),
        (lambda t, h: r.most_central(t, count=9), "count"),
    ],
)
def test_bad_choices_are_refused(call, word):
    twin = network([(0, 1)], sites=2)
    with pytest.raises(TwinError, match=word):
        call(twin, hazard(twin, 0.2))
