"""From a simulated day to records and back: the truth is SUMO's, the records are those of a third of the people."""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError
from twinkit.mobility import (
    common_part,
    corrected,
    diary,
    event_records,
    footprint,
    geh,
    hourly_flows,
    nearest_place,
    night_homes,
    origin_destination,
    partitioned,
    records,
    simulate,
    stays,
    street_counts,
    street_share,
    streets,
    trip_flow,
    trips,
    utc,
)
from twinkit.mobility.counts import assigned

ZONE = "Asia/Kolkata"
DAY = {"date": "2026-03-02", "timezone": ZONE}


@pytest.fixture(scope="module")
def world():
    """A town of 30 sites, 6000 people of it through a Monday, and the records of 30 % of them."""
    # looked for, not imported: its import points PROJ at a database that rasterio cannot read
    if importlib.util.find_spec("sumo") is None:
        pytest.skip("no eclipse-sumo: pip install twinkit[mobility]")
    twin = tk.datasets.town(sites=30, seed=5)
    roads = streets(twin, spacing=600, seed=5)
    done = simulate(roads, diary(twin, persons=6000, seed=5), seed=5)
    server = tk.radio.coverage(twin, path_loss=tk.radio.free_space).server
    seen = event_records(server, done, streets=roads, cells=twin["cells"].cell.values, seed=5, share=0.3, **DAY)
    ids = twin["places"].place.values
    home = np.bincount(nearest_place(twin, done.home_x.values, done.home_y.values), minlength=len(ids))
    people = tk.stamp(xr.DataArray(home.astype(float), {"place": ids}, ("place",)), "population")
    return twin, roads, done, seen, footprint(twin, server), people


def _flow(world, seen, **choices):
    known = {"cells": world[4], "timezone": ZONE, "seed": 1, "draws": 0}
    return origin_destination(seen, world[5], **known | choices)


def test_a_third_of_the_people_tell_where_everybody_goes(world):
    """The reach: common part of commuters at least 0.80, between zones alone as well."""
    twin, _, done, seen, _, _ = world
    truth, flow = trip_flow(twin, done).values, _flow(world, seen).flow.values
    between = ~np.eye(len(truth), dtype=bool)
    assert common_part(flow, truth) >= 0.80
    assert common_part(flow * between, truth * between) >= 0.80


def test_counts_on_a_tenth_of_the_links_carry_to_the_others(world):
    """The reach: GEH below 5 on at least 85 % of the links that were not used, for the whole day's counts."""
    twin, roads, done, seen, _, _ = world
    counts, share = street_counts(roads, done), street_share(twin, roads, seed=1)
    used = np.isin(np.arange(counts.size), np.random.default_rng(1).permutation(counts.size)[: counts.size // 10])
    known = counts.copy(data=np.where(used, counts, np.nan))
    flow = _flow(world, seen).flow
    after = corrected(flow, known, share)
    assert (geh(assigned(share, after), counts.values)[~used] < 5).mean() >= 0.85
    # records that know only half of all trips: here the counts decide
    half = flow * 0.5
    half.attrs = flow.attrs
    before = geh(assigned(share, half), counts.values)[~used]
    repaired = geh(assigned(share, corrected(half, known, share)), counts.values)[~used]
    assert (repaired < 5).mean() >= 0.85
    assert (repaired**2).mean() < 0.7 * (before**2).mean()


def test_counts_mend_an_operator_whose_customers_work_in_the_centre(world):
    """Half of those who work near the middle are subscribers, and 15 % of all others: homes alone cannot tell."""
    twin, roads, done, _, cells, people = world
    work = np.full((done.sizes["person"], 2), np.nan)
    goes = done.purpose.values == "work"
    work[done.who.values[goes]] = np.column_stack([done.to_x.values, done.to_y.values])[goes]
    away = np.hypot(*(work - np.nanmedian(work, axis=0)).T)
    share = np.where(away < np.nanmedian(away), 0.5, 0.15)
    server = tk.radio.coverage(twin, path_loss=tk.radio.free_space).server
    named = twin["cells"].cell.values
    seen = event_records(server, done, streets=roads, cells=named, seed=5, share=share, **DAY)
    flow = origin_destination(seen, people, cells=cells, timezone=ZONE, seed=1, draws=0).flow
    counts, ways, truth = street_counts(roads, done), street_share(twin, roads, seed=1), trip_flow(twin, done)
    used = np.isin(np.arange(counts.size), np.random.default_rng(1).permutation(counts.size)[: counts.size // 10])
    after = corrected(flow, counts.copy(data=np.where(used, counts, np.nan)), ways)

    def matching(table):
        """Of the streets that nobody counted with over 100 vehicles a day."""
        busy = ~used & (counts.values > 100)
        return float((geh(assigned(ways, table), counts.values)[busy] < 5).mean())

    assert matching(after) > matching(flow) + 0.1
    assert common_part(after, truth) > common_part(flow, truth) + 0.005
    # what is left is the streets' share in the flows: the truth itself does hardly better
    assert matching(after) > matching(truth) - 0.05


def test_flows_counts_and_shares_in_another_order_are_the_same(world):
    twin, roads, done, *_ = world
    flow, counts = trip_flow(twin, done), street_counts(roads, done)
    share = street_share(twin, roads, samples=3, seed=1)
    expected = corrected(flow, counts, share, rounds=20)
    turned = corrected(
        flow.isel(origin=slice(None, None, -1)), counts.isel(street=slice(None, None, -1)), share, rounds=20
    )
    xr.testing.assert_allclose(turned.sel(origin=expected.origin), expected)
    strange = flow.assign_coords(origin=[f"x{i}" for i in range(flow.sizes["origin"])])
    with pytest.raises(TwinError, match="one and the same origin"):
        corrected(strange, counts, share)
    with pytest.raises(TwinError, match="counts of 0 or more"):
        corrected(flow, counts.where(counts > 5, np.inf), share)


def test_a_link_that_nobody_counted_matches_nothing():
    assert np.isnan(geh([100.0, 5.0], [np.nan, 5.0])).tolist() == [True, False]
    for wrong in (([1, 2], [1, 2, 3]), ([-1], [1])):
        with pytest.raises(TwinError, match="vehicles of 0 or more"):
            geh(*wrong)


def test_trips_of_subscribers_are_the_flows_before_they_are_expanded(world):
    """One lot for a stay in a cell of several zones: over many lots the flows of `origin_destination`, unexpanded."""
    seen, cells = world[3], world[4]
    went = [trips(seen, cells=cells, timezone=ZONE, seed=s) for s in range(20)]
    xr.testing.assert_identical(went[3], trips(seen, cells=cells, timezone=ZONE, seed=3))
    halts = stays(seen, cells=cells)
    who, at, share = halts.who.values, halts["at"].values, cells.zone_share.values
    after = np.flatnonzero((who[1:] == who[:-1]) & (at[1:] != at[:-1]))
    pair = np.bincount(at[after] * len(share) + at[after + 1], minlength=len(share) ** 2).reshape(len(share), -1)
    expected = share.T @ pair @ share
    np.fill_diagonal(expected, 0)
    ids = list(cells.place.values)
    tables = [
        pd.crosstab(w.origin.values, w.destination.values).reindex(index=ids, columns=ids).fillna(0) for w in went
    ]
    assert all(np.trace(t) == 0 for t in tables)
    assert common_part(np.mean(tables, axis=0), expected) > 0.97
    # local days and hours, as the release wants them
    assert set(went[0].day.values) == {np.datetime64("2026-03-02", "ns")}
    assert 7 < float(went[0].departs.median()) / 3600 < 20
    over = {"origin": ids, "destination": ids}
    choices = {"epsilon": 50.0, "protects": "subscriber-day", "bound": 20, "over": over, "seed": 1}
    safe = tk.privacy.release(went[0], **choices, days=("2026-03-02", "2026-03-02"))
    assert common_part(safe, tables[0]) > 0.9


def test_the_interval_tells_of_who_happened_to_be_a_subscriber(world):
    """It covers what the same method gives for an operator that has everybody; not what no record tells."""
    twin, roads, done, seen, *_ = world
    out = _flow(world, seen, draws=100)
    low, high = (out.flow_interval.sel(end=e).values for e in ("low", "high"))
    server = tk.radio.coverage(twin, path_loss=tk.radio.free_space).server
    cells = twin["cells"].cell.values
    everybody = event_records(server, done, streets=roads, cells=cells, seed=6, share=1.0, **DAY)
    aim = _flow(world, everybody).flow.values
    big = (aim >= 30) & ~np.eye(len(aim), dtype=bool)
    assert big.sum() > 20
    assert ((low <= aim) & (aim <= high))[big].mean() > 0.85
    xr.testing.assert_identical(out, _flow(world, seen, draws=100))


def test_a_simulation_repeats_and_everybody_arrives(world):
    twin, roads, *_ = world
    day = diary(twin, persons=150, seed=2)
    one, two = simulate(roads, day, seed=3), simulate(roads, day, seed=3)
    xr.testing.assert_identical(one, two)
    assert np.isfinite(one.arrives).all()
    assert (one.arrives > one.departs).all()
    counted = street_counts(roads, one)
    assert int(counted.sum()) == one.sizes["pass"]
    assert float(street_counts(roads, one, hours=True).sum()) == float(counted.sum())
    # nobody is faster than the limit on the way
    metres = np.bincount(one.trip_of.values, roads.length.values[one.street.values], one.sizes["trip"])
    drove = metres > 0
    assert (metres[drove] / (one.arrives - one.departs).values[drove]).max() < 80 / 3.6 * 1.3


def test_a_simulator_that_fails_or_never_ends_is_one_error(world, monkeypatch, tmp_path):
    module = sys.modules["twinkit.mobility.simulate"]
    with pytest.raises(TwinError, match="traffic that SUMO takes"):
        module._done([module._program("sumo"), "--net-file", "absent.xml"], tmp_path)
    monkeypatch.setattr(module, "MOST_SECONDS", 0.5)
    with pytest.raises(TwinError, match="a simulation in"):
        module._done([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)


def test_flows_by_the_hour_add_up(world):
    twin, _, done, *_ = world
    hours = trip_flow(twin, done, hours=True)
    np.testing.assert_array_equal(hours.sum("time"), trip_flow(twin, done))
    assert 6 <= int(hours.sum(("origin", "destination")).argmax("time")) <= 19


def test_order_and_duplicates_of_records_change_nothing(world):
    seen = world[3]
    whole = _flow(world, seen).flow
    rng = np.random.default_rng(1)
    mixed = rng.permutation(
        np.concatenate([np.arange(seen.sizes["event"]), rng.integers(0, seen.sizes["event"], 5000)])
    )
    xr.testing.assert_allclose(_flow(world, seen.isel(event=mixed)).flow, whole)


def test_unknown_cells_and_one_with_a_million_events_change_little(world):
    seen, truth = world[3], trip_flow(world[0], world[2]).values
    count = 1_000_000
    names = np.concatenate([seen.subscriber.values, np.full(count, "machine", dtype=object)])
    at = np.random.default_rng(2).integers(0, 86_400, count)
    start = np.datetime64("2026-03-01T18:30", "ns")
    times = np.concatenate([seen.time.values, start + at.astype("timedelta64[s]")])
    cells = np.concatenate([seen.cell.values, np.resize(seen.cell.values[:50], count)])
    cells[: seen.sizes["event"] : 50] = "no such cell"
    dirty = records(names, cells, times, provenance="generated: dirty")
    halts = stays(dirty, cells=world[4])
    assert halts.attrs["unknown"] >= seen.sizes["event"] // 50
    assert common_part(_flow(world, dirty).flow.values, truth) >= 0.80


def test_clocks_an_hour_off_at_some_cells_cost_little(world):
    seen, truth = world[3], trip_flow(world[0], world[2]).values
    wrong = np.isin(seen.cell.values, np.unique(seen.cell.values)[::20])
    times = seen.time.values + np.where(wrong, np.timedelta64(3600, "s"), np.timedelta64(0, "s"))
    off = records(seen.subscriber.values, seen.cell.values, times, provenance="generated: clocks off")
    assert common_part(_flow(world, off).flow.values, truth) >= 0.75


def test_a_zone_where_nobody_lives_gets_no_weight(world):
    people = world[5].copy(data=np.where(np.arange(world[5].size) == 3, 0.0, world[5]))
    out = origin_destination(world[3], people, cells=world[4], timezone=ZONE, seed=1, draws=3)
    assert np.isfinite(out.flow).all()
    assert np.isfinite(out.flow_interval).all()


def test_records_that_cannot_be_used_are_refused(world):
    seen, cells = world[3], world[4]
    none = records(["a"], ["nowhere"], ["2026-03-02"], provenance="generated: none")
    with pytest.raises(TwinError, match="cells that are known"):
        stays(none, cells=cells)
    single = seen.isel(event=slice(0, 1))
    with pytest.raises(TwinError, match="stays in the records"):
        _flow(world, single)
    server = tk.radio.coverage(world[0], path_loss=tk.radio.free_space).server
    named = world[0]["cells"].cell.values
    with pytest.raises(TwinError, match="one share, or one for each"):
        event_records(server, world[2], streets=world[1], cells=named, seed=1, share=[0.1, 0.2], **DAY)
    with pytest.raises(TwinError, match="zone_share"):
        _flow(world, seen, cells=cells.drop_vars("zone_share"))
    with pytest.raises(TwinError, match="cells with an id each"):
        stays(seen, cells=cells.isel(cell=[0, 0, 1]))
    for people in (world[5] * np.nan, world[5] - 1000):
        with pytest.raises(TwinError, match="people of 0 or more"):
            _flow((*world[:5], people.assign_attrs(world[5].attrs)), seen)
    with pytest.raises(TwinError, match="night"):
        night_homes(stays(seen, cells=cells), timezone=ZONE, night=(25, 7))
    with pytest.raises(TwinError, match="IANA"):
        origin_destination(seen, world[5], cells=cells, timezone="Mars/Olympus", seed=1, draws=0)


# ---------------------------------------------------------------- stays, by hand


CELLS = xr.Dataset({"x": ("cell", [0.0, 300.0, 5000.0]), "y": ("cell", np.zeros(3))}, {"cell": list("abc")})


def _stays(cells, minutes, **choices):
    start = np.datetime64("2026-03-02T00:00", "ns")
    times = start + np.asarray(minutes, dtype="timedelta64[m]")
    return stays(records(["u"] * len(cells), list(cells), times, provenance="generated: hand"), cells=CELLS, **choices)


def test_ping_pong_ends_no_stay_and_passing_by_is_none():
    assert _stays("ababab", [0, 10, 20, 30, 40, 50]).at.size == 1
    # five minutes at c lie between two halves of one stay
    halves = _stays("aaccaa", [0, 30, 40, 45, 50, 90])
    assert halves.at.values.tolist() == [0]
    assert (halves.stay_end - halves.stay_begin).values[0] == np.timedelta64(90, "m")
    assert _stays("aaccaa", [0, 30, 40, 70, 80, 120]).at.values.tolist() == [0, 2, 0]


def test_homes_are_where_the_local_night_is_and_clocks_may_change():
    # nine hours at a by night in Kolkata, ten at c by day
    halts = _stays("aacc", [15 * 60, 24 * 60, 26 * 60, 36 * 60])
    assert night_homes(halts, timezone=ZONE).tolist() == [0]
    assert night_homes(halts, timezone="America/Los_Angeles").tolist() == [2]
    for date in ("2026-03-29", "2026-10-25"):
        day = utc(np.arange(0, 86_400, 60.0), date=date, timezone="Europe/Paris")
        assert (np.diff(day) >= np.timedelta64(0)).all() or date == "2026-10-25"
        wall = pd.DatetimeIndex(day).tz_localize("UTC").tz_convert("Europe/Paris")
        assert wall[-1].hour == 23


# ---------------------------------------------------------------- out of core


def _many(subscribers=300, events=60, seed=1):
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(subscribers), events)
    cell = rng.integers(0, 12, (subscribers, 4))[:, :, None].repeat(events // 4, 2).reshape(-1)
    time = np.sort(rng.integers(0, 86_400, (subscribers, events)), axis=1).ravel()
    return {"subscriber": who, "cell": cell, "time": time}


MANY = {"x": np.arange(12) * 2000.0, "y": np.zeros(12), "zone": np.arange(12) // 2}
HOURS = {"start": "1970-01-01", "hours": 24, "zones": 6}


def test_hourly_flows_do_not_depend_on_chunks_order_or_workers(tmp_path):
    whole = _many()
    expected = hourly_flows([whole], **MANY, **HOURS)
    assert expected.sum() > 200
    pieces = [{n: v[i * 6000 : (i + 1) * 6000] for n, v in whole.items()} for i in range(3)]
    for workers in (1, 3):
        np.testing.assert_array_equal(hourly_flows(pieces, **MANY, **HOURS, workers=workers), expected)
    order = np.random.default_rng(1).permutation(len(whole["time"]))
    mixed = {n: np.concatenate([v[order], v[:100]]) for n, v in whole.items()}
    np.testing.assert_array_equal(hourly_flows([mixed], **MANY, **HOURS), expected)
    halves = [{n: v[i::2] for n, v in mixed.items()} for i in range(2)]
    with pytest.raises(TwinError, match="a subscriber in two"):
        hourly_flows(halves, **MANY, **HOURS)
    pytest.importorskip("pyarrow")
    paths = partitioned(halves, tmp_path / "parts", parts=4)
    np.testing.assert_array_equal(hourly_flows(paths, **MANY, **HOURS), expected)
    with pytest.raises(TwinError, match="empty folder"):
        partitioned(halves, tmp_path / "parts", parts=4)


def test_hourly_flows_agree_with_a_loop_in_pandas(tmp_path):
    from benchmarks import mobility as bench

    pytest.importorskip("pyarrow")
    paths = bench.written(tmp_path, 2, 40)
    choices = {"start": "2026-03-02", "hours": 24, "zones": bench.ZONES, "radius": 600.0, "least": 900.0}
    ours = hourly_flows(paths, **bench.town(), **choices)
    np.testing.assert_array_equal(ours, bench.loop(paths, bench.town(), radius=600.0, least=900.0))
    assert ours.sum() > 40


@pytest.mark.parametrize(
    ("chunk", "says"),
    [
        ({"subscriber": np.zeros(2)}, "chunks with"),
        ({"subscriber": np.zeros(2), "cell": np.zeros(2, int), "time": np.zeros(2, int)}, "numbers for subscriber"),
        ("absent.parquet", "Parquet"),
        # one column shorter: compiled code would read beyond its end
        ({"subscriber": np.zeros(4, int), "cell": np.zeros(2, int), "time": np.zeros(4, int)}, "one length"),
        ({n: np.full(2, 1_772_409_600_000) for n in ("subscriber", "cell", "time")}, "seconds since 1970"),
        ({"subscriber": np.zeros(1, int), "cell": np.zeros(1, int), "time": [np.datetime64("NaT", "ns")]}, "each of"),
    ],
)
def test_chunks_in_another_form_are_refused(chunk, says):
    pytest.importorskip("pyarrow")
    with pytest.raises(TwinError, match=says):
        hourly_flows([chunk], **MANY, **HOURS)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"start": "noon"}, "a time in UTC"),
        ({"zones": 20_000, "hours": 100_000}, "at most 2e\\+09 flows"),
        ({"zone": np.arange(12) / 2}, "whole numbers of zones"),
        ({"workers": 0}, "workers"),
    ],
)
def test_choices_of_hourly_flows_that_are_refused(choices, says):
    with pytest.raises(TwinError, match=says):
        hourly_flows([_many()], **MANY | HOURS | choices)
    with pytest.raises(TwinError, match="a list of chunks"):
        hourly_flows(_many(), **MANY, **HOURS)


def test_a_file_of_more_records_than_memory_holds_is_refused_unread(tmp_path, monkeypatch):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(_many(4)), tmp_path / "many.parquet")
    assert hourly_flows([tmp_path / "many.parquet"], **MANY, **HOURS).sum() > 0
    monkeypatch.setattr(sys.modules["twinkit.mobility.hourly"], "MOST_ROWS", 200)
    with pytest.raises(TwinError, match=r"at most 200 records in a file; found 240.*partitioned"):
        hourly_flows([tmp_path / "many.parquet"], **MANY, **HOURS)


def test_unknown_cells_are_left_out_of_hourly_flows():
    whole = _many()
    dirty = {n: np.concatenate([v, v[:50]]) for n, v in whole.items()}
    dirty["cell"][-50:-25], dirty["cell"][-25:] = -7, 99
    np.testing.assert_array_equal(hourly_flows([dirty], **MANY, **HOURS), hourly_flows([whole], **MANY, **HOURS))
