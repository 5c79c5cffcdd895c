"""The packet simulator against a slow twin of itself, against truths that are exact, and against SimPy."""

import heapq
import itertools
import math

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, extend, network
from twinkit.network import queueing
from twinkit.network.delay import delay, estimated, packet_delay
from twinkit.network.hops import Bursts, Packets, along, paths
from twinkit.network.packet import counted_delay, drawn_from, half_width, simulated
from twinkit.network.traffic import square

MIX = {300: 1, 1500: 1}
# Four points that have the moments of an exponential size up to the seventh (Gauss and Laguerre).
EXPONENTIAL = dict(
    zip(*(1000 * a if i == 0 else a for i, a in enumerate(np.polynomial.laguerre.laggauss(4))), strict=True)
)


def small():
    """Six paths over four arcs, some of which meet, and circle."""
    arcs = [[0, 1], [1, 2], [2, 3, 0], [3], [0, 2], [1, 3]]
    return paths(
        arcs, np.array([3, 2, 2.5, 1, 2, 1]) * 1e6, capacity=np.array([9, 7, 8, 6]) * 1e6, propagation=[0, 0.02, 3, 0]
    )


# ---------------------------------------------------------------- a slow twin


class Draws:
    """SplitMix64 in whole numbers of Python."""

    def __init__(self, state):
        self.state = int(state)

    def __call__(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return ((z ^ (z >> 31)) >> 11) / 2.0**53


def slowly(given, sizes, *, duration, warm, seed, places, bursts, batches):
    """The same simulation with a heap of all events and a list of each queue; counts and summed delays."""
    packets = Packets.of(sizes)
    rate = given.rate / packets.mean
    draw = Draws(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    count = len(rate)
    lit, turn = [True] * count, [math.inf] * count
    if bursts:
        for p in range(count):
            lit[p] = draw() * (bursts.on + bursts.off) < bursts.on
            turn[p] = -math.log(1 - draw()) * (bursts.on if lit[p] else bursts.off)
    chance, other = drawn_from(rate)
    gap = (bursts.share if bursts else 1.0) / rate.sum()
    heap, number, born, end = [], 0, -math.log(1 - draw()) * gap, warm + duration
    while born < end + 60:
        time, born = born, born - math.log(1 - draw()) * gap
        where = draw() * count
        p = int(where)
        p = int(other[p]) if where - p >= chance[p] else p
        while turn[p] <= time:
            lit[p] = not lit[p]
            turn[p] -= math.log(1 - draw()) * (bursts.on if lit[p] else bursts.off)
        if lit[p]:
            size = (
                int(np.searchsorted(np.cumsum(packets.share)[:-1], draw(), side="right"))
                if len(packets.bits) > 1
                else 0
            )
            heap.append((time, number, p, 0, size, time))
            number += 1
    heapq.heapify(heap)
    free, queue = np.zeros(len(given.capacity)), [[] for _ in given.capacity]
    came, lost, summed = np.zeros((batches, count), int), np.zeros((batches, count), int), np.zeros((batches, count))
    while heap:
        time, number_, p, hop, size, sent = heapq.heappop(heap)
        counts, batch = warm <= sent < end, min(int((sent - warm) * batches / duration), batches - 1)
        arc = given.arc[given.start[p] + hop]
        queue[arc] = [t for t in queue[arc] if t > time]
        if places is not None and len(queue[arc]) >= places:
            lost[batch, p] += counts
            continue
        leaves = max(time, free[arc]) + packets.bits[size] / given.capacity[arc]
        queue[arc].append(leaves)
        free[arc] = leaves
        there = leaves + given.propagation[arc]
        if given.start[p] + hop + 1 == given.start[p + 1]:
            if counts:
                came[batch, p] += 1
                summed[batch, p] += there - sent
        else:
            heapq.heappush(heap, (there, number_, p, hop + 1, size, sent))
    return came, lost, summed


@pytest.mark.parametrize("places", [None, 3])
@pytest.mark.parametrize("bursts", [None, Bursts(0.3, 0.5)])
def test_every_packet_is_where_a_slow_simulation_has_it(places, bursts):
    choices = {"duration": 4.0, "seed": 7, "places": places, "bursts": bursts, "batches": 4}
    quick = simulated(small(), packet_sizes=MIX, warm_up=1.0, **choices)
    came, lost, summed = slowly(small(), MIX, warm=1.0, **choices)
    assert came.sum() > 2000
    assert (lost.sum() > 20) == (places is not None)
    np.testing.assert_array_equal(quick.path_packets, came)
    np.testing.assert_array_equal(quick.path_lost, lost)
    np.testing.assert_allclose(quick.path_time, summed, rtol=1e-12)


def test_the_same_seed_gives_the_same_bytes():
    one, two, three = (simulated(small(), packet_sizes=MIX, duration=3, seed=s, places=9) for s in (1, 1, 2))
    for name in ("hop_packets", "hop_lost", "hop_time", "path_packets", "path_time", "path_lost"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
    assert one.path_time.tobytes() != three.path_time.tobytes()


def test_a_queue_that_outgrows_the_first_pool_loses_nothing():
    narrow = paths([[0, 1]], [8e6], capacity=[8e6, 1e6])
    found = simulated(narrow, packet_sizes={125: 1}, duration=2, warm_up=0, seed=1, places=9_000_000)
    assert found.path_lost.sum() == 0
    # seven eighths of 16 000 packets wait; the last of them for 14 s
    assert found.delay[0] == pytest.approx(7, rel=0.05)
    assert found.path_packets.sum() == pytest.approx(16_000, rel=0.05)


# ---------------------------------------------------------------- truths


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
@pytest.mark.parametrize(("sizes", "variability"), [({1000: 1}, 0.0), (MIX, 4 / 9), (EXPONENTIAL, 1.0)])
def test_one_queue_waits_as_the_formula_says(load, sizes, variability):
    mean = Packets.of(sizes).mean
    record = simulated(paths([[0]], [load * 1e6], capacity=[1e6]), packet_sizes=sizes, duration=6000, seed=3)
    service = mean / 1e6
    exact = service + queueing.waiting_mg1(load / service, service_time=service, service_variability=variability)
    low, high = record.interval(0.999)[0]
    assert low < exact < high
    assert high - low < 0.15 * exact


def test_a_finite_buffer_loses_as_the_formula_says():
    record = simulated(paths([[0]], [9e5], capacity=[1e6]), packet_sizes=MIX, duration=4000, seed=1, places=6)
    lost, waiting = queueing.embedded(0.9, places=6, sizes=[300, 1500], weights=[1, 1])
    assert record.loss[0] == pytest.approx(float(lost), rel=0.02)
    assert record.delay[0] == pytest.approx(7.2e-3 * (1 + float(waiting)), rel=0.01)


@pytest.mark.parametrize(("first", "second"), [(2e6, 1e6), (1e6, 2e6), (1e6, 1e6)])
def test_two_lines_in_a_row_wait_only_where_the_slower_is(first, second):
    """Packets of one size: the order of the lines changes nothing (Avi-Itzhak 1965, Friedman 1965)."""
    found = counted_delay([[0, 1]], [7e5], capacity=[first, second], packet_sizes={1000: 1}, duration=8000, seed=2)
    slower = 8e3 / min(first, second)
    exact = 8e3 / first + 8e3 / second + queueing.waiting_md1(7e5 / 8e3, service_time=slower)
    assert found[0] == pytest.approx(exact, rel=0.01)


def test_what_is_sent_arrives_or_is_lost():
    found = simulated(small().scaled(1.5), packet_sizes=MIX, duration=40, warm_up=5, seed=1, places=4)
    assert found.loss.max() > 0.05
    # whatever a hop takes on comes to the next one, but for those under way
    of = small().path
    for path in range(6):
        hops = np.flatnonzero(of == path)
        for here, there in itertools.pairwise(hops):
            on = found.hop_packets[:, there].sum() + found.hop_lost[:, there].sum()
            assert on == pytest.approx(found.hop_packets[:, here].sum(), rel=0.06)


def test_on_off_sources_send_the_mean_and_in_bursts():
    one = paths([[0]], [2e6], capacity=[1e9])
    steady, bursty = (
        simulated(one, packet_sizes={125: 1}, duration=200, seed=1, batches=2000, bursts=b)
        for b in (None, Bursts(1, 3))
    )
    for record in (steady, bursty):
        assert record.path_packets.sum() / 200 == pytest.approx(2000, rel=0.2)
    counts = bursty.path_packets[:, 0]
    # packets of 0.1 s: on a quarter of the time, four times the mean
    assert np.mean(counts < 100) == pytest.approx(0.75, abs=0.1)
    assert np.median(counts[counts > 500]) == pytest.approx(800, rel=0.05)
    assert counts.var() > 100 * steady.path_packets[:, 0].var()


def test_intervals_hold_what_they_promise():
    exact = 8e-3 + queueing.waiting_md1(50.0, service_time=8e-3)
    one = paths([[0]], [4e5], capacity=[1e6])
    inside = 0
    for seed in range(200):
        low, high = simulated(one, packet_sizes={1000: 1}, duration=100, seed=seed).interval()[0]
        inside += low < exact < high
    assert 180 <= inside <= 198


def test_the_interval_of_a_ratio():
    width = half_width(np.array([[2.0], [4.0], [6.0]]), np.array([[1], [2], [3]]))
    assert width[0] == pytest.approx(0)
    assert np.isnan(half_width(np.zeros((3, 1)), np.zeros((3, 1)))[0])


def test_simpy_agrees():
    simpy = pytest.importorskip("simpy")
    given, packets, rng = small(), Packets.of(MIX), np.random.default_rng(5)
    world, times, lost = simpy.Environment(), [[] for _ in given.rate], np.zeros(len(given.rate))
    lines, inside = [simpy.Resource(world) for _ in given.capacity], np.zeros(len(given.capacity), int)

    def packet(path, bits):
        sent = world.now
        for arc in given.arc[given.start[path] : given.start[path + 1]]:
            if inside[arc] >= 5:
                lost[path] += 1
                return
            inside[arc] += 1
            with lines[arc].request() as turn:
                yield turn
                yield world.timeout(bits / given.capacity[arc])
            inside[arc] -= 1
            yield world.timeout(given.propagation[arc])
        times[path].append(world.now - sent)

    def source(path):
        while True:
            yield world.timeout(rng.exponential(packets.mean / given.rate[path]))
            world.process(packet(path, rng.choice(packets.bits)))

    for path in range(len(given.rate)):
        world.process(source(path))
    world.run(until=60)
    record = simulated(given, packet_sizes=MIX, duration=600, seed=1, places=5)
    for path, seen in enumerate(times):
        error = np.std(seen) / np.sqrt(len(seen)) * 3  # neighbours in a queue are alike
        assert abs(np.mean(seen) - record.delay[path]) < 3 * error + np.ptp(record.interval()[path])
        assert lost[path] / (lost[path] + len(seen)) == pytest.approx(record.loss[path], abs=0.012)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packet_sizes": {}}, "packet sizes"),
        ({"packet_sizes": {0: 1}}, "packet sizes"),
        ({"packet_sizes": 1000}, "packet sizes"),
        ({"duration": 0}, "duration"),
        ({"duration": 1e9}, "packet-hops"),
        ({"places": 0}, "places"),
        ({"places": 2.5}, "a whole number of places"),
        ({"bursts": "often"}, "sources that are on and off"),
        ({"seed": -1}, "seed"),
        ({"batches": 1}, "batches"),
    ],
)
def test_bad_choices_are_refused(change, message):
    with pytest.raises(TwinError, match=message):
        simulated(small(), **({"packet_sizes": MIX, "duration": 1, "seed": 1} | change))


def test_an_overload_is_told_with_its_place_and_size():
    with pytest.raises(TwinError, match=r"1\.25 at link 'arc 0': 0\.25 too much"):
        simulated(paths([[0]], [1.25e6], capacity=[1e6]), packet_sizes=MIX, duration=1, seed=1)
    # a finite buffer has an answer
    assert (
        simulated(paths([[0]], [1.25e6], capacity=[1e6]), packet_sizes=MIX, duration=99, seed=1, places=9).loss > 0.19
    )


@pytest.mark.parametrize(
    ("arcs", "rate", "capacity", "message"),
    [
        ([[0, 0]], [1.0], [1e6], "twice"),
        ([[]], [1.0], [1e6], "paths with arcs"),
        ([[2]], [1.0], [1e6], "arcs from 0 to 0"),
        ([[0]], [1.0], [0.0], "a capacity"),
        ([[0]], [-1.0], [1e6], "rate"),
        ([[0]], [1.0, 2.0], [1e6], "a rate for each path"),
        ([[0]], [1.0], [-1e6], "capacity"),
    ],
)
def test_bad_paths_are_refused(arcs, rate, capacity, message):
    with pytest.raises(TwinError, match=message):
        paths(arcs, rate, capacity=capacity)


def test_bursts_take_time():
    with pytest.raises(TwinError, match="on"):
        Bursts(0.0, 1.0)


# ---------------------------------------------------------------- stages


def test_traffic_that_is_split_becomes_paths_that_carry_it_all():
    found = along(square(), network.routing(square()), speed=2e8)
    load = network.link_load(square(), network.routing(square())).link_load
    np.testing.assert_allclose(found.load, load.transpose("direction", "link").values.ravel())
    np.testing.assert_allclose(found.propagation, 5000 / 2e8)


def test_both_roads_lead_to_one_number():
    twin = square()
    half = twin["demands/offered"] * 0.5
    twin = extend(twin, demands=twin["demands"].to_dataset().assign(offered=half))
    routing = network.routing(twin, equal_cost=False)
    choices = {"packet_sizes": MIX, "speed": 2e8}
    told = delay(twin, routing, **choices)
    seen = packet_delay(twin, routing, duration=4, seed=1, **choices)
    assert float(told.delay[0] / seen.delay[0]) == pytest.approx(1, abs=0.12)
    busy = seen.link_delay.notnull()
    assert int(busy.sum()) == 2
    np.testing.assert_allclose(told.link_delay.where(busy).max(), seen.link_delay.max(), rtol=0.01)
    low, high = seen.delay_interval.isel(demand=0).values
    assert low < float(seen.delay[0]) < high
    assert "Poisson" in seen.delay.attrs["assumptions"]


def test_cases_go_through_as_a_dim():
    twin = square()
    more = twin["demands/offered"] * xr.DataArray([0.1, 1.0], {"scenario": ["night", "day"]}, "scenario")
    more.attrs = twin["demands/offered"].attrs
    both = extend(twin, demands=twin["demands"].to_dataset().assign(offered=more))
    routing = network.routing(twin)
    found = delay(both, routing, packet_sizes=MIX, speed=np.inf)
    assert found.delay.dims == ("scenario", "demand")
    assert found.link_delay.dims == ("scenario", "link", "direction")
    alone = delay(twin, routing, packet_sizes=MIX, speed=np.inf)
    np.testing.assert_allclose(found.delay.sel(scenario="day"), alone.delay)
    assert float(found.delay.sel(scenario="night")[0]) < float(alone.delay[0])
    seen = packet_delay(both, routing, packet_sizes=MIX, speed=np.inf, duration=0.5, seed=1)
    assert seen.delay_interval.dims == ("scenario", "demand", "end")


def test_where_nothing_moves_both_roads_say_so():
    twin = square()
    routing = network.routing(twin)
    choices = {"packet_sizes": MIX, "speed": 2e8}
    none = twin["demands"].to_dataset().isel(demand=[])
    silent = assemble(
        {n: twin[n].to_dataset() for n in ("sites", "links")} | {"demands": none}, title="", crs="EPSG:32643"
    )
    far = twin["links"].to_dataset().isel(link=[1])
    parted = assemble(
        {n: twin[n].to_dataset() for n in ("sites", "demands")} | {"links": far}, title="", crs="EPSG:32643"
    )
    for case, count in ((silent, 0), (parted, 1)):
        way = network.routing(case)
        for found in (
            network.delay(case, way, **choices),
            network.packet_delay(case, way, duration=1, seed=1, **choices),
        ):
            assert found.delay.shape == (count,)
            assert np.isnan(found.delay).all()
            assert (np.nan_to_num(found.link_loss) == 0).all()
    # a link as good as closed loses nearly all, and the recursion does not overflow
    links = twin["links"].to_dataset()
    narrow = extend(twin, links=links.assign(capacity=links.capacity * 1e-300))
    assert float(network.delay(narrow, routing, places=10, **choices).loss[0]) > 0.999


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("split", -1.0, "shares of a demand"),
        ("split", np.nan, "shares of a demand"),
        ("split", 10.0, "shares of a demand"),
        ("way", "sideways", "forward or backward"),
    ],
)
def test_a_routing_changed_by_hand_is_refused(name, values, says):
    routing = network.routing(square())
    wrong = np.full(routing.sizes["leg"], values, dtype=object if isinstance(values, str) else float)
    changed = routing.assign({name: routing[name].copy(data=wrong)})
    with pytest.raises(TwinError, match=says):
        network.delay(square(), changed, packet_sizes=MIX, speed=2e8)


def test_a_demand_without_a_route_has_no_delay_and_an_overload_a_name():
    sites = xr.Dataset({"x": ("site", [0.0, 1, 2]), "y": ("site", [0.0, 0, 0])}, {"site": ["a", "b", "c"]})
    links = {"source": ("link", ["a", "b"]), "target": ("link", ["b", "b"]), "capacity": ("link", [1e6, 1e6])}
    asked = {"origin": ("demand", ["a", "a"]), "destination": ("demand", ["b", "c"]), "offered": ("demand", [5e5, 5e5])}
    nodes = {
        "sites": sites,
        "links": xr.Dataset(links, {"link": ["ab", "loop"]}),
        "demands": xr.Dataset(asked, {"demand": ["near", "cut"]}),
    }
    twin = assemble(nodes, title="", crs="EPSG:32643")
    routing = network.routing(twin)
    found = delay(twin, routing, packet_sizes=MIX, speed=2e8)
    assert np.isfinite(found.delay.sel(demand="near"))
    assert np.isnan(found.delay.sel(demand="cut"))
    full = extend(twin, demands=twin["demands"].to_dataset().assign(offered=twin["demands/offered"] * 3))
    for stage, more in ((delay, {}), (packet_delay, {"duration": 1, "seed": 1})):
        with pytest.raises(TwinError, match=r"1\.5 at link 'ab': 0\.5 too much"):
            stage(full, routing, packet_sizes=MIX, speed=2e8, **more)
    lost = delay(full, routing, packet_sizes=MIX, speed=2e8, places=20).loss
    assert float(lost.sel(demand="near")) == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("bursts", [None, Bursts(1, 1)])
def test_polska_by_formulas_and_by_packets(bursts, testdata):
    """A small sample of the table of docs/delay.md."""
    twin = network.sndlib(testdata("sndlib/native/polska/polska.txt"))
    routing = network.routing(twin, equal_cost=False)
    whole = along(twin, routing, speed=np.inf)
    given = whole.scaled(0.5 / whole.load.max())
    choices = {"packet_sizes": MIX, "places": 64, "bursts": bursts}
    seen = simulated(given, duration=60 if bursts else 10, warm_up=1, seed=1, **choices)
    off = np.abs(estimated(given, **choices).delay / seen.delay - 1)
    assert np.median(off) < 0.04


def test_behind_a_queue_that_held_a_burst_back_only_its_packets_wait():
    bursts = Bursts(1.0, 1.0)
    choices = {"packet_sizes": MIX, "bursts": bursts}
    rate = np.full(6, 1e5)
    alone = estimated(paths([[0]] * 6, rate, capacity=[1e6]), **choices).hop_delay[0]
    calm = estimated(paths([[0]], [6e5], capacity=[1e6]), packet_sizes=MIX).hop_delay[0]
    same = estimated(paths([[0, 1]] * 6, rate, capacity=[1e6, 1e6]), **choices).hop_delay
    # two of one width in a row: the burst stands in the first, and the second sees arrivals that it can carry
    np.testing.assert_allclose(same[::2], alone, rtol=1e-9)
    np.testing.assert_allclose(same[1::2], calm, rtol=1e-3)
    # from wide to narrow: what would stand in the narrow one alone is shared between the two
    wide, narrow = estimated(paths([[0, 1]] * 6, rate, capacity=[1.1e6, 1e6]), **choices).hop_delay[:2]
    passing = estimated(paths([[0]], [6e5], capacity=[1.1e6]), packet_sizes=MIX).hop_delay[0]
    assert wide + narrow == pytest.approx(alone + passing, rel=1e-3)
    # and the packets say so, but for what packets of one line do not queue again; two full bursts would be half as much
    # again
    seen = simulated(paths([[0, 1]] * 6, rate, capacity=[1e6, 1e6]), duration=1e4, warm_up=100, seed=1, **choices)
    assert seen.delay.mean() == pytest.approx(same[:2].sum(), rel=0.18)
