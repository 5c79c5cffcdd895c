"""What the Withstand app knows, without a page: it says what the stages of `twinkit.resilience` say, and no more."""

import csv
import dataclasses
import importlib.resources
import string

import networkx as nx
import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import resilience as r
from twinkit.error import TwinError
from twinkit.view._figure import number
from twinkit.view.dashboard import withstand_answer as answers
from twinkit.view.dashboard import withstand_hazard as hazards
from twinkit.view.dashboard import withstand_plan as plans
from twinkit.view.dashboard import withstand_state as state
from twinkit.view.dashboard.session import Session, said
from twinkit.view.dashboard.withstand import Page, headline

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # Panel's, of what goes with its 2.0

DAYS = 3.0
TIME = "2026-05-01T00:00"


@pytest.fixture(scope="module")
def lit(town):
    return r.electrified(town, spacing=8000.0)


@pytest.fixture(scope="module")
def island():
    """Four sites in a row on ground that rises from the sea, a core at one end, one maker for two of them."""
    x, y = np.arange(500.0, 8500.0, 100.0), np.arange(0.0, 2000.0, 100.0)
    names = np.array(["core", "low", "mid", "high"], dtype=object)
    place = {"x": ("site", np.array([7900.0, 800.0, 2500.0, 5000.0])), "y": ("site", np.full(4, 1000.0))}
    makers = {"operator": ("site", np.array(["", "blue", "blue", "red"], dtype=object))}
    kinds = {"kind": ("site", np.array(["exchange", "macro", "macro", "macro"], dtype=object))}
    power = {"power_source": ("site", np.array(["diesel", "grid", "grid", "grid"], dtype=object))}
    ends = {"source": ("link", names[1:]), "target": ("link", np.array(["mid", "high", "core"], dtype=object))}
    medium = {"medium": ("link", np.full(3, "fibre", dtype=object)), "capacity": ("link", np.full(3, 1e9))}
    people = np.full((len(y), len(x)), 1.0)
    surface = {
        "people": (("y", "x"), people),
        "ground_height": (("y", "x"), np.broadcast_to(x / 500.0, people.shape).copy()),
        "flood_depth": (("y", "x"), np.broadcast_to(np.where(x < 1500, 3.0, 0.0), people.shape).copy()),
    }
    return tk.assemble(
        {
            "sites": xr.Dataset({**place, **makers, **kinds, **power}, {"site": names}),
            "cells": xr.Dataset({"site": ("cell", names[1:])}, {"cell": ["a", "b", "c"]}),
            "links": xr.Dataset({**ends, **medium}, {"link": ["l1", "l2", "l3"]}),
            "surface": xr.Dataset(surface, {"y": y, "x": x}),
        },
        title="an island", crs="+proj=tmerc +lat_0=20 +lon_0=86 +units=m",
    )  # fmt: skip


def asked(twin, kind, values=None, **look):
    """A question about a hazard, with the days and the seed of these tests."""
    return answers.question(hazards.chosen(twin, kind, values or {}), {"days": DAYS, "seed": 3, **look})


def some(found):
    """A store of one twin in memory whose answers no other test sees."""
    return state.Withstand(twin=found, memory=state.Memory())


# ---------------------------------------------------------------- the same as the stages


def direct(kind, twin):
    """The hazard made by hand, its first hour and the hour of landfall."""
    moment = np.datetime64(TIME, "ns")
    if kind == "cyclone":
        times = ["2026-04-29T00:00", TIME, "2026-05-02T00:00"]
        up = np.degrees(5.0 * 3600 * np.array([-48.0, 0.0, 24.0]) / 6.371e6)
        way = r.track(times, [3.0] * 3, up, wind=[45.0] * 3, name="a scenario")
        return r.cyclone(twin, way, members=20, seed=3), moment
    if kind == "track":
        way = r.track(["2026-04-30T12:00", TIME], [3.0, 3.0], [-2.0, 0.0], wind=[50.0, 50.0], name="a track as typed")
        return r.cyclone(twin, way, members=20, seed=3), moment
    if kind == "earthquake":
        quake = r.earthquake(twin, longitude=3.0, latitude=0.0, magnitude=7.0, time=TIME, members=20, seed=3)
        return quake, moment
    if kind == "blackout":
        return r.cut(twin, time=TIME, node="feeders", probability=0.5), moment
    if kind == "cut":
        return r.cut(twin, time=TIME, ids=[*r.most_central(twin, count=2), "links/l005"]), moment
    if kind == "common_mode":
        group = twin["sites"].to_dataset()["power_source"]
        return r.common_mode(twin, group, time=TIME, probability={"grid and battery": 0.5}), moment
    water = r.flood_level(twin["surface"].to_dataset()["ground_height"], level=178.0, sea=True)
    return r.flood(twin, water, times=[TIME]), moment


CHOICES = {
    "cyclone": {"wind": 45.0, "longitude": 3.0, "latitude": 0.0},
    "track": {"fixes": "2026-04-30T12:00 3 -2 50\n2026-05-01T00:00, 3, 0, 50"},
    "earthquake": {"magnitude": 7.0, "longitude": 3.0, "latitude": 0.0},
    "blackout": {"probability": 0.5},
    "cut": {"central": 2, "ids": "links/l005"},
    "common_mode": {"group": "power_source=grid and battery", "probability": 0.5},
    "flood": {"level": 178.0, "flows": "in from the edge"},
}


@pytest.mark.parametrize("kind", CHOICES)
def test_an_answer_is_what_the_stages_give_with_the_same_seed(town, lit, kind):
    question, hours = asked(lit, kind, CHOICES[kind])
    here = some(town)
    more = {"at": "s003 s007", "battery": 24.0}
    first = here.answer(question, plans.plan({}), draws=200)
    second = here.answer(question, plans.plan(more), draws=200)
    hazard, moment = direct(kind, lit)
    groups = r.catchment(lit)
    before = max(float((moment - hazard.time.values[0]) / np.timedelta64(1, "h")), 0.0)
    hit = r.strike(lit, hazard, draws=200, seed=3)
    rule = r.most_people(lit, catchment=groups)
    mended = r.recovery(hit, crews=5, grid_crews=5, begins=before + 24.0, rule=rule)
    names = lit["sites"].site.values
    longer = r.autonomy_of(lit) + np.where(np.isin(names, ["s003", "s007"]), 24.0, 0.0)
    with_battery = tk.extend(lit, sites=xr.DataArray(np.minimum(longer, 1e6), dims="site", name="autonomy"))
    found = [r.served(t, mended, catchment=groups, hours=before + 24 * DAYS).compute() for t in (lit, with_battery)]
    for answer, out in zip((first, second), found, strict=True):
        np.testing.assert_array_equal(answer.people_served.values, out.people_served.values.astype(np.float32))
        np.testing.assert_array_equal(answer.people_hours_lost.values, out.people_hours_lost.values)
        np.testing.assert_array_equal(answer.people_served.time.values, out.time.values)
        assert answer.people_before == out.attrs["people_before"]
    members = hazard.sizes["member"]
    gap = (found[1].people_served - found[0].people_served).sel(time=moment + np.timedelta64(24, "h"))
    known = r.interval(gap, members=members)
    said_of = answers.compared(first, second, hours=hours)
    assert said_of.more == pytest.approx(float(known.expected), rel=1e-6, abs=1e-3)
    assert said_of.low == pytest.approx(float(known.expected_low), rel=1e-5, abs=1e-2)
    assert said_of.single_high == pytest.approx(float(known.high), rel=1e-6, abs=1e-3)
    lost = r.interval(found[0].people_hours_lost - found[1].people_hours_lost, members=members)
    assert said_of.hours_more == pytest.approx(float(lost.expected), rel=1e-9, abs=1e-6)
    assert (first.misses, said_of.draws) == (hazard.attrs["misses"] == "true", 200)


def test_a_finer_answer_goes_on_where_the_coarse_one_ended(town, lit):
    question, _ = asked(lit, "cyclone")
    plan = plans.plan({})
    slowly, at_once = some(town), some(town)
    coarse = slowly.answer(question, plan, draws=200)
    seen = []
    fine = slowly.answer(question, plan, draws=700, report=lambda done, draws: seen.append((done, draws)))
    whole = at_once.answer(question, plan, draws=700)
    for name in ("people_served", "people_hours_lost", "hours_dark"):
        xr.testing.assert_equal(getattr(fine, name), getattr(whole, name))
        xr.testing.assert_equal(getattr(fine.first(200), name), getattr(coarse, name))
    assert seen == [(450, 700), (700, 700)]


def test_an_answer_is_kept_under_commit_hazard_plan_and_seed(town, lit, town_store, monkeypatch):
    here = state.Withstand(town_store, memory=state.Memory())
    question, _ = asked(lit, "blackout")
    first = here.answer(question, plans.plan({}), draws=200)
    drawn, strike = [], r.strike
    monkeypatch.setattr(
        answers.resilience, "strike", lambda *given, **how: drawn.append(how["seed"]) or strike(*given, **how)
    )
    again = here.answer(dataclasses.replace(question, warning=3.0), plans.plan({}), draws=200)
    xr.testing.assert_equal(first.people_served, again.people_served)
    assert drawn == []
    here.answer(dataclasses.replace(question, seed=4), plans.plan({}), draws=200)
    here.answer(question, plans.plan({"crews": 7}), draws=200)
    assert drawn == [4, 3]
    tk.save(tk.extend(town, sites=town["sites/height"] + 1.0), town_store, message="higher")
    here.answer(question, plans.plan({}), draws=200)
    assert drawn == [4, 3, 3]


def test_what_is_kept_has_a_limit():
    kept = state.Memory(most=1000.0)
    thing = dataclasses.make_dataclass("Thing", ["bytes"])
    for name in "abc":
        kept.put(name, thing(400))
        kept.get("a")
    assert [kept.get(n) is not None for n in "abc"] == [True, False, True]


def test_an_answer_that_nobody_wants_any_more_is_given_up(town, lit):
    here = some(town)
    question, _ = asked(lit, "cyclone")
    plan = plans.plan({})
    here.answer(question, plan, draws=200)
    calls = []
    with pytest.raises(answers.Stopped):
        here.answer(question, plan, draws=10_000, stop=lambda: len(calls) > 1, report=lambda *at: calls.append(at))
    assert calls == [(450, 10_000), (700, 10_000)]
    with pytest.raises(answers.Stopped):
        here.ranked(question, plan, stop=lambda: True)


def test_two_plans_have_the_same_luck_in_every_draw(town, lit):
    here = some(town)
    question, hours = asked(lit, "earthquake", {"magnitude": 6.5})
    answer = here.answer(question, plans.plan({}), draws=200)
    same = answers.compared(
        answer, here.answer(question, plans.plan({"rule": "most people first"}), draws=200), hours=hours
    )
    assert (same.verdict, same.more, same.low, same.high, same.better, same.worse) == ("same", 0, 0, 0, 0, 0)
    # more batteries cannot take service from anybody, in no draw
    better = here.answer(question, plans.plan({"at": here.begin(), "battery": 48.0}), draws=200)
    assert bool((better.people_served >= answer.people_served - 1e-2).all())
    found = answers.compared(answer, better, hours=hours)
    assert found.verdict == "more"
    assert found.worse == 0.0
    # and the interval is narrower than that of two plans with luck of their own
    widths = []
    for one in (answer, better):
        ends = r.interval(one.people_served.astype(float), members=20)
        at = ends.sel(time=answer.moment + np.timedelta64(24, "h"))
        widths.append(float(at.expected_high - at.expected_low))
    assert found.high - found.low < 0.9 * np.hypot(*widths)


def test_a_part_of_a_person_is_nobody(town, lit):
    question, hours = asked(lit, "earthquake", {"magnitude": 6.5})
    answer = some(town).answer(question, plans.plan({}), draws=200)
    served = answer.people_served.astype(float)
    for more, verdict, share in ((0.3, "same", 0.0), (-0.3, "same", 0.0), (0.7, "more", 1.0), (-0.7, "fewer", 0.0)):
        found = answers.compared(
            dataclasses.replace(answer, people_served=served),
            dataclasses.replace(answer, people_served=served + more),
            hours=hours,
        )
        assert (found.verdict, found.better) == (verdict, share), more


def test_the_critical_sites_are_those_of_the_stage(town, lit):
    here = some(town)
    question, _ = asked(lit, "cyclone", {"wind": 45.0})
    plan = plans.plan({})
    found = here.ranked(question, plan)
    scene = here.scene(question, plan)
    ids = [f"sites/{s}" for s in lit["sites"].site.values]
    known = r.critical(
        lit, scene.hit(200), catchment=r.catchment(lit), hours=scene.hours, step=1.0, crews=scene.mended,
        candidates=ids, battery=24.0, members=20,
    ).set_index(asset="asset")  # fmt: skip
    known = known.isel(asset=known.people_hours_saved.values > 0)
    assert found.asset.values.tolist() == known.asset.values[:10].tolist()
    for name in ("people_hours_saved", "low", "high"):
        np.testing.assert_allclose(found[name].values, known[name].values[:10])
    for at in range(9):
        assert bool(found.unsure[at]) == bool(known.low[at] <= known.high[at + 1])
    nothing, _ = asked(lit, "cyclone", {"wind": 5.0})
    assert here.ranked(nothing, plan).sizes["asset"] == 0


def test_the_reach_is_that_of_the_stage(town, lit):
    here = some(town)
    question, _ = asked(lit, "cyclone", {"wind": 45.0}, warning=6.0, radius=2500.0)
    plan = plans.plan({})
    found = here.reached(question, plan, draws=200)
    scene = here.scene(question, plan)
    mended = scene.mended(scene.hit(200))
    for hours, ends in ((-6, found.sent), (24, found.later)):
        when = scene.moment + np.timedelta64(hours, "h")
        known = r.warning_reach(lit, mended, polygon=list(found.polygon), time=when)
        whole = r.interval(known.drop_vars(("people_inside", "people_before")), members=20)
        assert ends == pytest.approx(tuple(float(whole[n]) for n in ("expected", "low", "high")))
        assert (found.inside, found.before) == (float(known.people_inside), float(known.people_before))
    everybody = float(town["surface/people"].sum())
    assert 0 < found.inside < everybody
    all_of_them, _ = asked(lit, "cyclone", {"wind": 45.0})
    assert here.reached(all_of_them, plan, draws=200).inside == pytest.approx(everybody)
    # the circle is one: its corners lie as far from the middle as asked
    east, north = np.array(found.polygon).T - np.array([[3.0], [0.0]])
    np.testing.assert_allclose(np.hypot(east, north) * np.radians(1) * 6.371e6, 2500.0, rtol=1e-3)
    nobody, _ = asked(lit, "cyclone", {"longitude": 30.0}, radius=1000.0)
    with pytest.raises(TwinError, match="people live"):
        here.reached(nobody, plan, draws=200)


# ---------------------------------------------------------------- hazards


def test_what_a_twin_lacks_shuts_a_hazard_and_says_why(town, lit, island, small_twin):
    assert hazards.unfit(town) == {"flood_map": "surface/flood_depth", "blackout": "feeders"}
    assert hazards.unfit(lit) == {"flood_map": "surface/flood_depth"}
    assert hazards.unfit(r.electrified(island)) == {}
    assert hazards.lacking(town) == hazards.lacking(island) == ""
    assert hazards.lacking(small_twin()) == "links/source"
    bare = xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=town.attrs), **{n: town[n].to_dataset() for n in town.children}}
    )
    bare["surface"] = xr.DataTree(town["surface"].to_dataset().drop_vars("ground_height"))
    bare["sites"] = xr.DataTree(town["sites"].to_dataset().drop_vars(["kind", "power_source"]))
    assert hazards.unfit(bare).keys() == {"flood", "flood_map", "blackout", "common_mode"}
    with pytest.raises(TwinError, match=r"feeders.*let the grid be generated"):
        hazards.chosen(town, "blackout", {})
    with pytest.raises(TwinError, match="links/source"):
        some(small_twin()).twin()
    headless = tk.extend(town, sites=town["sites/kind"].where(town["sites/kind"] != "exchange", "macro"))
    headless = tk.extend(headless, sites=headless["sites/kind"].where(headless["sites/kind"] != "data centre", "macro"))
    assert "network begins" in hazards.lacking(headless)


def test_water_from_the_edge_and_water_of_a_map_reach_the_low_site_alone(island):
    twin = r.electrified(island)
    for kind, values in (("flood", {"level": 3.0, "flows": "in from the edge"}), ("flood_map", {})):
        made = hazards.chosen(twin, kind, values)
        event = hazards.struck(twin, made, seed=1)
        chance = event.hazards[0].failure.squeeze().sel(asset=["sites/low", "sites/mid", "sites/high"])
        assert chance.values[0] > 0.5
        assert chance.values[1:].max() == 0.0
        assert float(hazards.footprint(twin, made).max()) == pytest.approx(
            {"flood": 2.0, "flood_map": 3.0}[kind], abs=0.1
        )


def test_the_footprint_is_the_hazard_at_the_sites(town, lit):
    for kind, name in (("cyclone", "wind_gust"), ("earthquake", "shaking")):
        made = hazards.chosen(lit, kind, {"longitude": 3.02, "latitude": 0.01})
        layer = hazards.footprint(lit, made, pixels=80)
        at_sites = hazards.struck(lit, made, seed=1, members=1, step=0.25).hazards[0][name].max(("member", "time"))
        sites = lit["sites"].to_dataset()
        near = layer.interp(x=sites.x, y=sites.y, kwargs={"fill_value": None})
        np.testing.assert_allclose(near.values, at_sites.values[: sites.sizes["site"]], rtol=0.03)
        assert layer.attrs["units"] == {"wind_gust": "m/s", "shaking": "m/s^2"}[name]
    assert hazards.footprint(lit, hazards.chosen(lit, "blackout", {})) is None


@pytest.mark.parametrize(
    ("kind", "values", "where"),
    [
        ("earthquake", {"magnitude": 99}, "magnitude: .*5 to 8; found 99"),
        ("earthquake", {"magnitude": float("nan")}, "magnitude: .*found 'nan'"),
        ("earthquake", {"magnitude": "<script>"}, "magnitude"),
        ("earthquake", {"magnitude": ""}, "magnitude: .*found nothing"),
        ("earthquake", {"latitude": 91.0}, "latitude"),
        ("earthquake", {"fault": "mine"}, "fault"),
        ("cyclone", {"wind": float("inf")}, "wind"),
        ("cyclone", {"time": "yesterday"}, "time"),
        ("cyclone", {"time": "2026-05-01T00:00+05:30"}, "time: .*zone"),
        ("cyclone", {"time": "9" * 5000}, "time"),
        ("cyclone", {"winds": 3}, "winds"),
        ("flood", {"level": 1e9}, "level"),
        ("blackout", {"probability": -0.1}, "probability: .*0 to 100 %; found -10 %"),
        ("cut", {"central": 2.5}, "central: .*whole"),
        ("cut", {"central": 0}, "sites or links to cut"),
        ("cut", {"ids": "s999"}, "ids: .*s999"),
        ("common_mode", {"group": "nobody"}, "group"),
        ("track", {"fixes": "one line"}, "2 to 200 lines"),
        ("track", {"fixes": "2026-05-01T00:00 3 0 50\n2026-05-01T06:00 3 north 50"}, "line 2"),
        ("track", {"fixes": "2026-05-01T00:00 3 0 50\n2026-05-01T00:00 3 1 50"}, "ascend"),
        ("track", {"fixes": "x\n" * 100_000}, "2 to 200 lines"),
        ("volcano", {}, "volcano"),
    ],
)  # fmt: skip
def test_a_hazard_that_cannot_be_is_one_clear_error(lit, kind, values, where):
    with pytest.raises(TwinError, match=where) as fault:
        hazards.struck(lit, hazards.chosen(lit, kind, values), seed=1)
    assert len(str(fault.value)) < 700


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"crews": -3}, "crews: .*found -3"),
        ({"crews": 1.5}, "crews: .*whole"),
        ({"grid_crews": float("nan")}, "grid_crews"),
        ({"battery": 1e300}, "battery"),
        ({"battery": "a lot"}, "battery: .*'a lot'"),
        ({"begins": None}, "begins"),
        ({"rule": "mine"}, "rule"),
        ({"at": "s " * 3 + " ".join(f"s{i}" for i in range(300))}, "at most 200 sites"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_plan_that_cannot_be_is_one_clear_error(values, where):
    with pytest.raises(TwinError, match=where):
        plans.plan(values)


def test_sites_are_named_when_something_is_bought_for_them(town):
    with pytest.raises(TwinError, match=r"at: .*none"):
        plans.invested(town, plans.plan({"battery": 3.0}))
    with pytest.raises(TwinError, match=r"at: .*s099"):
        plans.invested(town, plans.plan({"battery": 3.0, "at": "s099"}))
    for look, where in (({"hours": 72.0}, "hours: "), ({"seed": -1}, "seed"), ({"warning": np.nan}, "warning")):
        with pytest.raises(TwinError, match=where):
            asked(town, "cyclone", **look)


def test_a_page_begins_with_what_happens_there(town, opened):
    """No cyclone forms on the equator, where a town lies that is nowhere in particular."""
    assert hazards.middle(town)[1] == pytest.approx(0.0, abs=1.0)
    page = opened("viewer")
    assert (page.hazard.asked, page.also.asked) == ("earthquake", "")
    assert page.asked.question.hazard.kind == "earthquake"
    for north, kind in ((0.0, "earthquake"), (400e3, "earthquake"), (600e3, "cyclone"), (4000e3, "cyclone")):
        there = town.copy()
        moved = (
            town["surface"].to_dataset().assign_coords(y=town["surface/y"] - float(town["surface/y"].mean()) + north)
        )
        there["surface"] = xr.DataTree(moved)
        assert hazards.first(there) == kind, north


def test_no_warning_goes_before_what_nobody_foresees(lit, opened):
    for kind in ("cyclone", "earthquake"):
        question, _ = asked(lit, kind, warning=6.0)
        assert question.warning == (6.0 if kind == "cyclone" else 0.0)
    page = opened("viewer")
    assert not page.look["warning"].visible
    page.hazard.choose("cyclone")
    assert page.look["warning"].visible


def test_the_class_of_a_storm_is_that_of_its_wind():
    for name, (least, typical) in hazards.CATEGORIES.items():
        assert hazards.category(least) == hazards.category(typical) == name
    assert hazards.category(33 * 0.5144) == ""


# ---------------------------------------------------------------- plans


def test_a_plan_buys_what_it_says(town):
    made = plans.invested(town, plans.plan({"at": "s003,s005", "battery": 5.0, "diesel": True}))
    before, after = r.autonomy_of(town), r.autonomy_of(made)
    at = np.isin(town["sites"].site.values, ["s003", "s005"])
    np.testing.assert_array_equal(after[~at], np.minimum(before[~at], 1e6))
    np.testing.assert_array_equal(after[at], np.minimum(np.maximum(before[at], 48.0) + 5.0, 1e6))
    assert set(made["sites/power_source"].values[at]) <= {"grid and diesel", "diesel", "solar and battery"}
    assert "plan" in made["sites/autonomy"].attrs["provenance"]
    assert plans.invested(town, plans.plan({"crews": 50})) is town
    assert "autonomy" not in town["sites"]


def test_a_second_fibre_is_a_way_that_shares_nothing_with_the_first(town):
    made = plans.invested(town, plans.plan({"at": "s012 s013 s009", "second_fibre": True}))
    links = made["links"].to_dataset()
    assert links.sizes["link"] == town["links"].sizes["link"] + 3
    names = town["sites"].site.values.tolist()
    core = names[town["sites/kind"].values.tolist().index("exchange")]
    before = nx.Graph(zip(town["links/source"].values, town["links/target"].values, strict=True))
    after = nx.Graph(zip(links.source.values, links.target.values, strict=True))
    for site in ("s012", "s013", "s009"):
        way = nx.shortest_path(before, site, core)
        without = after.copy()
        without.remove_nodes_from(way[1:-1])
        if len(way) == 2:
            without.remove_edges_from([way])
        assert nx.has_path(without, site, core), way
    one = links.sel(link="second-s012")
    a, b = (made["sites"].to_dataset().sel(site=str(one[e].values)) for e in ("source", "target"))
    assert float(one.length) == pytest.approx(float(np.hypot(a.x - b.x, a.y - b.y)))
    assert str(one.medium.values) == "fibre"
    tk.validate(made)
    again = plans.invested(made, plans.plan({"at": "s012", "second_fibre": True}))
    assert len(set(again["links"].link.values)) == links.sizes["link"] + 1


def test_a_fault_of_a_make_that_a_plan_did_away_with_finds_nobody(island):
    question, hours = asked(island, "common_mode", {"group": "power_source=grid"})
    here = some(island)
    first = here.answer(question, plans.plan({}), draws=200)
    second = here.answer(question, plans.plan({"at": "low mid high", "diesel": True}), draws=200)
    assert (first.misses, second.misses) == (False, True)
    assert answers.compared(first, second, hours=0.0).verdict == "more"
    assert hours == 24.0


def test_a_fleet_of_one_maker_falls_together(island):
    question, _ = asked(island, "common_mode", {"group": "operator=blue", "probability": 0.5})
    scene = some(island).scene(question, plans.plan({}))
    fails = np.isfinite(scene.hit(200).fails_at.sel(asset=["sites/low", "sites/mid", "sites/high"]).compute().values)
    np.testing.assert_array_equal(fails[:, 0], fails[:, 1])
    assert 60 < fails[:, 0].sum() < 140
    assert not fails[:, 2].any()


def test_two_hazards_strike_more_than_one(town, lit):
    here = some(town)
    one, _ = asked(lit, "earthquake", {"magnitude": 6.0})
    dark = hazards.chosen(lit, "blackout", {})
    both = dataclasses.replace(one, also=dark)
    alone, together = (here.answer(q, plans.plan({}), draws=200) for q in (one, both))
    assert bool((together.people_hours_lost >= alone.people_hours_lost - 1e-6).all())
    assert float(together.people_hours_lost.mean()) > float(alone.people_hours_lost.mean())
    assert (together.members, here.scene(both, plans.plan({})).members) == (20, 20)


def test_a_plan_becomes_a_branch_and_its_crews_come_back(town_store, full_disk):
    here = state.Withstand(town_store, memory=state.Memory())
    plan = plans.plan({"at": here.begin()[:3], "battery": 12.0, "crews": 9, "begins": 6.0, "rule": "quickest first"})
    with pytest.raises(TwinError, match="message"):
        here.save(plan, "more", message="  ")
    assert sorted(here.branches()) == ["main"]
    with full_disk(), pytest.raises(TwinError, match="room on the disk"):
        here.save(plan, "more", message="three days more", author="Asha")
    assert set(tk.store.branches(town_store)) == {"main"}
    done = here.save(plan, "more", message="three days more", author="Asha")
    assert (done.author, done.message) == ("Asha", "three days more")
    saved = here.twin("more")
    assert plans.remembered(saved) == {"crews": 9, "grid_crews": 5, "begins": 6.0, "rule": "quickest first"}
    question, hours = asked(here.twin(), "cyclone")
    by_hand = here.answer(question, plan, draws=200)
    from_branch = here.answer(question, plans.plan({"branch": "more", **plans.remembered(saved)}), draws=200)
    np.testing.assert_array_equal(by_hand.people_served.values, from_branch.people_served.values)
    assert answers.compared(by_hand, from_branch, hours=hours).verdict == "same"
    with pytest.raises(TwinError, match="more"):
        here.save(plan, "more", message="once more")
    assert plans.remembered(here.twin("main")) == {}
    for said_of in ("{", "[]", '{"crews": -1}', "7"):
        odd = saved.copy()
        odd.attrs = {**saved.attrs, plans.ATTRIBUTE: said_of}
        assert plans.remembered(odd) == {}
    with pytest.raises(TwinError, match="memory"):
        state.Withstand(twin=saved).save(plan, "more", message="why")


def test_a_branch_that_is_not_there_is_named(town_store):
    here = state.Withstand(town_store, memory=state.Memory())
    question, _ = asked(here.twin(), "cyclone")
    with pytest.raises(TwinError, match=r"branch: .*'mian', or no longer.*'main'"):
        here.answer(question, plans.plan({"branch": "mian"}), draws=200)


# ---------------------------------------------------------------- words


def comparison(**values):
    made = dict.fromkeys([f.name for f in dataclasses.fields(answers.Comparison)], 0.0)
    return answers.Comparison(**{**made, "hours": 24.0, "first": (0.0,) * 3, "second": (0.0,) * 3, **values})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"more": 12_300.0, "low": 9_000.0, "high": 15_000.0},
         "With plan B, 12,300 [9,000, 15,000] more people are served 24 hours after landfall."),
        ({"more": -500.0, "low": -700.0, "high": -300.0},
         "With plan B, 500 [300, 700] fewer people are served 24 hours after landfall."),
        ({"more": 80.0, "low": -10.0, "high": 170.0},
         "Nobody can say yet which plan serves more people 24 hours after landfall: plan B 80 [-10, 170]."),
        ({}, "Both plans serve the same people 24 hours after landfall."),
    ],
)  # fmt: skip
def test_the_headline_says_what_the_interval_allows(values, text):
    assert headline(comparison(**values), misses=False, language="en") == text
    there = headline(comparison(**values), misses=False, language="en", storm=False)
    assert there == text.replace("after landfall", "after the strike")
    assert "nobody loses service" in headline(comparison(**values), misses=True, language="en")


def test_every_phrase_stands_in_every_language_with_the_same_parts():
    text = importlib.resources.files("twinkit.view.dashboard").joinpath("words_withstand.csv").read_text("utf-8")
    parts = string.Formatter()
    for row in csv.DictReader(text.splitlines()):
        key = row.pop("key")
        assert all(row[code] for code in ("en", "hi", "fr", "fa")), key
        wanted = [sorted({name for _, name, _, _ in parts.parse(t) if name}) for t in row.values()]
        assert all(w == wanted[0] for w in wanted), key
        assert said(key, language="fa", file="words_withstand.csv", **dict.fromkeys(wanted[0], "1"))


# ---------------------------------------------------------------- the page without a browser


@pytest.fixture
def opened(shared_town):
    """A page of a person with a role, answered at once; what is asked of it later is asked coarsely."""
    pytest.importorskip("panel")

    def made(role, store=shared_town, **how):
        page = Page(Session(store, role=role, user="Ravi", **how))
        page.draws.value = answers.STEPS[0]
        return page

    return made


def test_the_page_says_the_numbers_of_the_state(opened):
    page = opened("viewer")
    asked_of = page.asked
    first, second = (page.state.answer(asked_of.question, p, draws=1000) for p in (asked_of.first, asked_of.second))
    assert asked_of.draws == 1000
    found = answers.compared(first, second, hours=asked_of.hours)
    assert headline(found, misses=False, language="en", storm=False) in page.told.object
    table = page.state.ranked(asked_of.question, asked_of.first)
    assert page.shown["critical"].alt.startswith(
        f"People-hours that one investment saves. First: {table.site.values[0]}"
    )
    assert page.session.notices == []
    assert asked_of.second.at == page.state.begin("main")
    page.second.widgets["crews"].value = "7"
    assert "choices have changed" in page.told.object
    page.compare()
    assert "choices have changed" not in page.told.object
    assert page.asked.second.crews == 7


def test_looking_changes_nothing_and_saving_needs_the_role_on_the_server(opened, town_store):
    page = opened("viewer", town_store)
    page._take()
    page.compare()
    page.keep.disabled = False  # as a forged message would
    page.name.value, page.message.value = "mine", "because"
    page._save()
    assert page.session.notices[-1].kind == "alert"
    assert sorted(tk.store.branches(town_store)) == ["main"]
    assert len(tk.history(town_store)) == 1
    planner = opened("planner", town_store)
    planner.name.value, planner.message.value = "what-if.b", "ten sites get a day more"
    planner._save()
    assert "what-if.b" in planner.session.notices[-1].text
    assert tk.history(town_store, branch="what-if.b")[0].author == "Ravi"
    assert "what-if.b" in planner.first.widgets["branch"].options


def test_hostile_choices_are_one_message_and_the_answers_stay(opened):
    page = opened("planner")
    before = page.told.object
    page.hazard.choose("cyclone")
    for widget, value in (
        (page.second.widgets["crews"], "-4"),
        (page.second.widgets["battery"], "NaN"),
        (page.hazard.widgets["wind"], "<script>alert(1)</script>"),
        (page.look["seed"], "1e400"),
        (page.second.widgets["at"], "<b>s999</b>\u202e"),
    ):
        old, widget.value = widget.value, value
        count = len(page.session.notices)
        page.compare()
        assert len(page.session.notices) == count + 1, value
        assert page.session.standing.kind == "alert"
        widget.value = old
    assert page.lines[0] in before
    page.compare()
    assert page.session.standing is None
    page.name.value, page.message.value = "../out", "why"
    page._save()
    assert page.session.notices[-1].kind == "alert"


def test_the_fields_follow_the_hazard_and_the_grid(opened):
    page = opened("viewer")
    assert "surface/flood_depth" in page.hazard.reason.object
    assert page.hazard.kind.disabled_options == ["Flood as the twin's map has it"]
    page.hazard.choose("blackout")
    page.compare()
    assert page.session.notices == []
    page.grid.value = []
    assert page.hazard.kind.disabled_options == ["Flood as the twin's map has it", "Power cut"]
    assert page.hazard.asked == "earthquake"
    assert "let them be generated" in page.hazard.reason.object
    page.hazard.choose("cyclone")
    wind = page.hazard.widgets["wind"]
    made = page.hazard.fields[0]
    made.value = "super"
    assert float(wind.value) == pytest.approx(64.3)
    wind.value = "20"
    assert made.value == "cyclonic storm"
    for kind in ("earthquake", "cut", "common_mode", "track"):
        page.hazard.choose(kind)
        page.compare()
    assert page.session.notices == []


@pytest.mark.parametrize("language", ["hi", "fr", "fa"])
def test_the_page_speaks(opened, language):
    page = opened("viewer", language=language)
    assert page.session.notices == []
    assert page.lines[0] != ""
    assert all(p.alt for p in page.shown.values())
    assert page.shown["map"].alt.count(masts_of(language)) == 1
    assert page.shown["map"].alt.count(number(14, language=language)) == 1, "an exchange and a data centre fail, too"


def masts_of(language):
    """What all apps say of a town of twelve sites, in the words that they share."""
    count = number(12, language=language)
    said = {
        "en": "{} sites with cells", "hi": "सेल वाली {} साइटें", "fr": "{} sites à cellules", "fa": "{} سایت دارای سلول"
    }  # fmt: skip
    return said[language].format(count)


@pytest.mark.parametrize("language", ["en", "hi", "fr", "fa"])
def test_all_apps_count_the_same_sites_and_say_which(town, language):
    pytest.importorskip("panel")
    from twinkit.view.dashboard import operate, plan

    session = Session(twin=town, role="viewer", language=language)
    asked = plan._Page(session, plan._offered(), -105.0, None)
    assert masts_of(language) in asked.picture.alt
    looked = operate._Operate(session).map_picture.alt
    assert masts_of(language).replace("साइटें", "साइटों") in looked


def test_a_cell_of_a_notebook_shows_the_same_on_a_twin_that_was_never_saved(town):
    pytest.importorskip("panel")
    page = Page(Session(twin=town, role="administrator"))
    assert page.session.notices == []
    assert page.lines[0].startswith("With plan B, ")
    assert not hasattr(page, "keep")
    assert tk.view.dashboard(town, app="withstand") is not None
