"""What is left after a release: measures against scipy, and the town of fifty thousand subscribers."""

import functools

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import spatial, stats

import twinkit as tk
from twinkit import TwinError, privacy

PAIR = ("origin", "destination")


@pytest.fixture
def two():
    rng = np.random.default_rng(1)
    return rng.poisson(4, 40).astype(float), rng.poisson(5, 40).astype(float)


def test_jensen_shannon_is_scipys_distance_squared(two):
    assert privacy.jensen_shannon(*two) == pytest.approx(spatial.distance.jensenshannon(*two, base=2) ** 2, rel=1e-12)
    assert privacy.jensen_shannon(two[0], 3 * two[0]) == pytest.approx(0, abs=1e-15)


def test_common_part_is_one_less_the_bray_curtis_distance(two):
    assert privacy.common_part(*two) == pytest.approx(1 - spatial.distance.braycurtis(*two), rel=1e-12)


def test_symmetric_error_is_twice_the_mean_canberra_distance(two):
    filled = (two[0] + two[1] > 0).sum()
    assert privacy.symmetric_error(*two) == pytest.approx(2 * spatial.distance.canberra(*two) / filled, rel=1e-12)
    assert privacy.symmetric_error([0, 0], [0, 0]) == 0


def test_earth_mover_on_a_line_is_scipys(two):
    x = np.sort(np.random.default_rng(2).uniform(0, 9e3, 40))
    expected = stats.wasserstein_distance(x, x, *two)
    assert privacy.earth_mover(*two, distance=np.abs(x[:, None] - x)) == pytest.approx(expected, rel=1e-9)


def test_earth_mover_in_the_plane_is_scipys(two):
    x, y = np.random.default_rng(3).uniform(0, 9e3, (2, 12))
    a, b = two[0][:12], two[1][:12]
    expected = stats.wasserstein_distance_nd(np.c_[x, y], np.c_[x, y], a, b)
    found = privacy.earth_mover(a, b, distance=np.hypot(x[:, None] - x, y[:, None] - y))
    assert found == pytest.approx(expected, rel=1e-6)


def test_recall_of_the_greatest():
    truth = [10, 9, 8, 1, 0]
    assert privacy.top_recall(truth, [10, 0, 9, 1, 0], count=2) == 0.5
    assert privacy.top_recall(truth, [0, 0, 0, 5, 4], count=2) == 0
    assert privacy.top_recall(truth, truth, count=5) == 1


def test_ties_flatter_no_release():
    # who is second is open: the first alone is asked for
    assert privacy.top_recall([10, 9, 9, 1, 0], [10, 0, 0, 1, 0], count=2) == 1
    assert privacy.top_recall([10, 9, 9, 1, 0], [0, 9, 9, 1, 0], count=2) == 0
    # lots decide in the release, wherever the true cells stand in the table
    for truth in ([5, 4, 0, 0, 0], [0, 0, 0, 4, 5]):
        assert privacy.top_recall(truth, [1, 1, 1, 1, 1], count=2) == pytest.approx(2 / 5)
        assert privacy.top_recall(truth, [0, 0, 0, 0, 0], count=2) == pytest.approx(2 / 5)
    with pytest.raises(TwinError, match="some cells greater than the others"):
        privacy.top_recall([3, 3, 3, 0], [1, 2, 3, 4], count=2)


def test_recall_is_the_mean_over_all_ways_to_break_ties():
    """Against lots that are drawn: cells in any order, then as a plain sort finds them."""
    rng = np.random.default_rng(1)
    truth, released = rng.poisson(3, 60), rng.poisson(2, 60)
    clear = int((truth > np.sort(truth)[::-1][20]).sum())
    top = set(np.argsort(-truth, kind="stable")[:clear])
    drawn = []
    for _ in range(4000):
        order = rng.permutation(60)
        drawn.append(len(top & set(order[np.argsort(-released[order], kind="stable")[:clear]])) / clear)
    assert 0 < clear < 20
    assert privacy.top_recall(truth, released, count=20) == pytest.approx(np.mean(drawn), abs=0.006)
    # the truth has all of it, and a table that says nothing what chance gives
    assert privacy.top_recall(truth, truth, count=20) == 1
    assert privacy.top_recall(truth, np.zeros(60), count=20) == pytest.approx(clear / 60)


def test_tables_that_cannot_be_compared():
    a = xr.DataArray([[1, 2], [3, 4]], {"origin": ["a", "b"], "destination": ["a", "b"]}, PAIR)
    assert privacy.common_part(a, a.transpose()) == 1
    with pytest.raises(TwinError, match="the same cells"):
        privacy.common_part(a, a.assign_coords(origin=["a", "c"]))
    with pytest.raises(TwinError, match="two tables with dims"):
        privacy.common_part(a, a.sum("origin"))
    for bad in ([-1, 2], [np.nan, 1], [], "text", [1, 2, 3]):
        with pytest.raises(TwinError):
            privacy.common_part([1, 2], bad)
    with pytest.raises(TwinError, match="an empty one"):
        privacy.jensen_shannon([0, 0], [1, 2])
    with pytest.raises(TwinError, match="distances of 2 by 2"):
        privacy.earth_mover([1, 2], [2, 1], distance=np.ones((2, 2)))
    with pytest.raises(TwinError, match="a count from 1 to 2"):
        privacy.top_recall([1, 2], [1, 2], count=3)


# ---------------------------------------------------------------- decisions


def test_corridors_within_their_length():
    zones = ["a", "b", "c"]
    coords = dict.fromkeys(PAIR, zones)
    flows = xr.DataArray([[9, 5, 1], [4, 9, 8], [3, 0, 9]], coords, PAIR)
    length = xr.DataArray([[0, 1, 9], [1, 0, 4], [9, 4, 0]], coords, PAIR) * 1e3
    assert privacy.corridors(flows, count=1) == [("a", "b")]
    assert privacy.corridors(flows, count=3, length=length, budget=5e3) == [("a", "b"), ("b", "c")]
    assert privacy.corridors(flows, count=3, length=length, budget=4.5e3) == [("a", "b")]
    assert privacy.carried(flows, [("a", "b"), ("b", "c")]) == 17
    with pytest.raises(TwinError, match="dims origin and destination"):
        privacy.corridors(flows.rename(origin="from"), count=1)
    with pytest.raises(TwinError, match="the same zones"):
        privacy.corridors(flows.isel(origin=[0, 1]), count=1)


def test_regret_of_a_decision_worth_nothing():
    flows = xr.DataArray([0.0, 0.0], {"zone": ["a", "b"]}, "zone")
    with pytest.raises(TwinError, match="worth more than nothing"):
        privacy.regret(flows, flows, choose=lambda f: "a", value=lambda f, zone: float(f.sel(zone=zone)))


@pytest.fixture(scope="module")
def town():
    """A hundred zones, fifty thousand subscribers, one working day; trips that leave their zone."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(0, 6e3, (2, 100))
    people = 1e4 * np.exp(rng.normal(0, 1, 100)) * np.exp(-np.hypot(x, y) / 6e3)
    zone = [f"z{i}" for i in range(100)]
    zones = xr.Dataset({"x": ("zone", x), "y": ("zone", y), "people": ("zone", people)}, {"zone": zone})
    records = privacy.diaries(
        zones, subscribers=50_000, days=1, first_day="2026-03-02", reach=4e3, working=0.7, errands=0.5, seed=1
    )
    records = records[records.origin != records.destination]
    over = dict.fromkeys(PAIR, zone)
    counts = records.groupby(list(PAIR)).size().to_xarray().reindex(over, fill_value=0).fillna(0)
    return records, over, counts


def test_at_epsilon_1_the_town_keeps_its_greatest_flows_and_its_decision(town):
    records, over, truth = town
    for seed in range(5):
        safe = privacy.release(records, epsilon=1.0, protects="subscriber-day", bound=4, over=over, seed=seed)
        assert privacy.top_recall(truth, safe, count=100) >= 0.9
        for count in (10, 50):
            lost = privacy.regret(
                truth, safe, choose=functools.partial(privacy.corridors, count=count), value=privacy.carried
            )
            assert 0 <= lost.share <= 0.05


def test_so_does_the_town_of_mobility():
    twin = tk.datasets.town(sites=100, seed=1)
    trips = tk.mobility.diary(twin, persons=50_000, seed=1)
    names = twin["sites"].site.values
    masts = spatial.cKDTree(np.c_[twin["sites/x"].values, twin["sites/y"].values])
    ends = {d: (trips[f"{e}_x"].values, trips[f"{e}_y"].values) for d, e in zip(PAIR, ("from", "to"), strict=True)}
    zones = {d: names[masts.query(np.c_[x, y])[1]] for d, (x, y) in ends.items()}
    records = pd.DataFrame({"subscriber": trips.who.values, "day": np.datetime64("2026-03-02", "ns")} | zones)
    records = records[records.origin != records.destination]
    over = dict.fromkeys(PAIR, names)
    truth = records.groupby(list(PAIR)).size().to_xarray().reindex(over, fill_value=0).fillna(0)
    safe = privacy.release(records, epsilon=1.0, protects="subscriber-day", bound=4, over=over, seed=1)
    assert privacy.top_recall(truth, safe, count=100) >= 0.9
    choose = functools.partial(privacy.corridors, count=10)
    assert privacy.regret(truth, safe, choose=choose, value=privacy.carried).share <= 0.05


def test_a_smaller_epsilon_leaves_less(town):
    records, over, truth = town
    left = [
        privacy.common_part(
            truth, privacy.release(records, epsilon=e, protects="subscriber-day", bound=4, over=over, seed=1)
        )
        for e in (0.01, 0.1, 1.0, 10.0)
    ]
    assert left == sorted(left)
    assert left[0] < 0.5 < 0.9 < left[-1]


def test_the_made_town_follows_its_gravity(town):
    records, _, truth = town
    # who leaves home in the morning comes back: flows out and in of a zone are alike over the day
    out, back = truth.sum("destination").values, truth.sum("origin").values
    np.testing.assert_allclose(out, back, rtol=0.02, atol=30)
    assert records.hour.between(0, 23).all()
