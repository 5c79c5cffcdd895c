"""Closed forms of queues: against each other, against balance equations solved by hand, and in their limits."""

import itertools

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, contract
from twinkit.network import burst, queueing
from twinkit.network.hops import Bursts, Packets

MIX = Packets.of({300: 1, 1500: 1})


def birth_and_death(load, places):
    """Stationary chances of M/M/1/K, from its generator."""
    up, down = np.full(places, load), np.ones(places)
    rates = np.diag(up, 1) + np.diag(down, -1)
    rates -= np.diag(rates.sum(1))
    return np.linalg.lstsq(np.vstack([rates.T, np.ones(places + 1)]), np.eye(places + 2)[-1], rcond=None)[0]


# ---------------------------------------------------------------- one server


@pytest.mark.parametrize("load", [0.0, 0.3, 0.95, 1.0, 1.0000001, 1.4, 20.0])
def test_mm1k_is_what_its_balance_equations_give(load):
    chances = birth_and_death(load, 7)
    assert queueing.loss_mm1k(load, service_time=1.0, places=7) == pytest.approx(chances[-1], rel=1e-6, abs=1e-12)
    if load:
        waiting = chances @ np.arange(8) / (load * (1 - chances[-1])) - 1
        assert queueing.waiting_mm1k(load, service_time=1.0, places=7) == pytest.approx(waiting, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("load", [0.2, 0.8, 1.0, 3.0])
def test_one_place_loses_as_erlang_says_whatever_the_sizes(load):
    assert queueing.loss_mg1k(load, places=1, sizes=[1, 5, 9], weights=[3, 2, 1]) == pytest.approx(load / (1 + load))
    assert queueing.waiting_mg1k(load, places=1) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.8])
def test_a_buffer_that_never_fills_is_none(load):
    lost, waiting = queueing.embedded(load, places=200, sizes=MIX.bits, weights=MIX.share)
    exact = queueing.waiting_mg1(load, service_time=1.0, service_variability=4 / 9)
    assert float(lost) < 1e-9
    assert float(waiting) == pytest.approx(exact, rel=1e-6)


def test_an_overloaded_buffer_is_full_and_passes_one_load():
    lost, waiting = queueing.embedded(5.0, places=64, sizes=[1.0], weights=[1.0])
    assert float(lost) == pytest.approx(0.8, abs=1e-9)
    assert 62 < float(waiting) < 63


def test_two_constant_places_by_hand():
    """M/D/1/2: departures leave 0 with chance e^-ρ, so P = 1 - 1 / (e^-ρ + ρ)."""
    load = np.array([0.4, 1.0, 2.5])
    np.testing.assert_allclose(queueing.loss_mg1k(load, places=2), 1 - 1 / (np.exp(-load) + load), rtol=1e-12)


def test_bounds_and_approximations_keep_their_order():
    load, arrival, service = np.meshgrid([0.1, 0.5, 0.9], [0.1, 0.5, 1.0, 2.0], [0.0, 0.5, 2.0], indexing="ij")
    given = {"service_time": 1.0, "arrival_variability": arrival, "service_variability": service}
    bound, gg1, marchal = (
        f(load, **given) for f in (queueing.waiting_bound, queueing.waiting_gg1, queueing.waiting_marchal)
    )
    assert (gg1 <= bound * (1 + 1e-12)).all()
    assert (marchal <= bound * (1 + 1e-12)).all()
    poisson = arrival == 1
    exact = queueing.waiting_mg1(load, service_time=1.0, service_variability=service)
    for found in (gg1, marchal):
        np.testing.assert_allclose(found[poisson], exact[poisson], rtol=1e-12)
    # in heavy traffic all are one
    heavy = {"service_time": 1.0, "arrival_variability": 0.5, "service_variability": 0.5}
    assert queueing.waiting_gg1(0.9999, **heavy) == pytest.approx(queueing.waiting_bound(0.9999, **heavy), rel=1e-3)


def test_nothing_waits_where_nothing_arrives():
    given = {"service_time": 1.0, "arrival_variability": 1.0, "service_variability": 1.0}
    for f in (queueing.waiting_bound, queueing.waiting_gg1, queueing.waiting_marchal):
        assert float(f(0.0, **given)) == 0
    assert queueing.waiting_mm1k(0.0, service_time=1.0, places=3) == 0


# ---------------------------------------------------------------- Erlang


def test_erlang_b_is_the_share_of_a_cut_poisson_distribution():
    traffic = np.array([0.0, 0.5, 3.0, 12.0])
    terms = np.cumprod([traffic / n if n else np.ones(4) for n in range(9)], axis=0)
    np.testing.assert_allclose(queueing.erlang_b(traffic, servers=8), terms[-1] / terms.sum(0), rtol=1e-12)
    np.testing.assert_allclose(
        queueing.erlang_b(3.0, servers=np.array([0, 1, 8])), [1, 0.75, terms[-1, 2] / terms[:, 2].sum()]
    )


def test_one_line_waits_as_mm1_does():
    assert queueing.erlang_c(0.7, servers=1) == pytest.approx(0.7)
    assert queueing.waiting_mmc(0.7, service_time=1.0, servers=1) == pytest.approx(
        queueing.waiting_mm1(0.7, service_time=1.0)
    )


def test_more_servers_never_wait_longer():
    waits = [queueing.waiting_mmc(0.9 * n, service_time=1.0, servers=n) for n in range(1, 30)]
    assert all(a > b for a, b in itertools.pairwise(waits))


# ---------------------------------------------------------------- labelled, lazy, refused


def test_labels_and_units_go_through():
    rate = xr.DataArray([0.2, 0.5], {"link": ["a", "b"]}, "link", attrs={"units": "1/s"})
    found = queueing.waiting_mg1(rate, service_time=1.0, service_variability=0.0)
    assert found.name == "waiting_time"
    assert found.attrs["units"] == "s"
    assert found.dims == ("link",)
    assert queueing.loss_mm1k(rate, service_time=1.0, places=3).dims == ("link",)
    lost = queueing.erlang_b(rate.drop_attrs(), servers=2)
    assert lost.attrs["units"] == "1"
    with pytest.raises(TwinError, match="arrival_rate in 1/s"):
        queueing.waiting_mm1(rate.assign_attrs(units="1/min"), service_time=1.0)


def test_lazy_stays_lazy():
    lazy = xr.DataArray(da.from_array(np.array([0.2, 0.5]), chunks=1), dims="link")
    found = queueing.waiting_md1(lazy, service_time=1.0)
    assert found.chunks
    np.testing.assert_allclose(found, [0.125, 0.5])


def test_too_much_is_told_with_place_and_size():
    rate = xr.DataArray([0.2, 1.3, 1.1], {"link": ["a", "b", "c"]}, "link")
    with pytest.raises(TwinError, match=r"1\.3 at link 'b': 0\.3 too much, and 1 more"):
        queueing.waiting_mm1(rate, service_time=1.0)
    with pytest.raises(TwinError, match="too much"):
        queueing.erlang_c(3.0, servers=3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: queueing.waiting_mm1(-1.0, service_time=1.0),
        lambda: queueing.waiting_mm1(np.nan, service_time=1.0),
        lambda: queueing.waiting_mg1(0.5, service_time=1.0, service_variability=-1.0),
        lambda: queueing.waiting_gg1(0.5, service_time=1.0, arrival_variability=-1, service_variability=0),
        lambda: queueing.erlang_b(-1.0, servers=2),
        lambda: queueing.erlang_b(1.0, servers=2.5),
        lambda: queueing.erlang_c(1.0, servers=0),
        lambda: queueing.loss_mm1k(1.0, service_time=1.0, places=0),
        lambda: queueing.loss_mg1k(1.0, places=2, sizes=[1, 2], weights=[1]),
        lambda: queueing.loss_mg1k("much", places=2),
    ],
)
def test_bad_input_is_one_message(call):
    with pytest.raises(TwinError):
        call()


# ---------------------------------------------------------------- bursts


def first_of(*counts):
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_rates_that_last_are_the_mean_over_all_combinations(share):
    peaks = np.array([0.5, 0.31, 0.2, 0.12, 0.07])
    bursts = Bursts(share, 1 - share)
    waiting, lost = burst.frozen(peaks * share, first_of(5), packets=MIX, places=20, bursts=bursts)
    for i in range(5):
        top = through = 0.0
        for on in itertools.product([0, 1], repeat=5):
            if on[i]:
                chance = np.prod([share if o else 1 - share for k, o in enumerate(on) if k != i])
                gone, slow = queueing.embedded(peaks @ on, places=20, sizes=MIX.bits, weights=MIX.share)
                top += chance * (1 - gone) * slow
                through += chance * (1 - gone)
        assert waiting[i] == pytest.approx(top / through, rel=0.01)
        assert lost[i] == pytest.approx(1 - through, rel=0.02)


@pytest.mark.parametrize(("on", "off", "peak"), [(1.0, 1.0, 1.4), (0.5, 2.0, 3.0)])
def test_one_source_and_small_packets_are_the_fluid_queue(on, off, peak):
    """P(V > x | on) = exp(-z x) with z = 1 / (on (r - 1)) - 1 / off: Anick, Mitra and Sondhi, one source."""
    bursts = Bursts(on, off)
    decay = 1 / (on * (peak - 1)) - 1 / off
    found = burst.modulated(
        np.array([peak * bursts.share]), first_of(1), packets=MIX, service=np.array([1e-6]), bursts=bursts
    )
    assert found[0] == pytest.approx(1 / decay, rel=1e-3)


def test_a_line_that_never_fills_waits_as_rates_that_last():
    load = np.array([0.05, 0.1, 0.1, 0.02, 0.08, 0.06, 0.06])
    bursts = Bursts(1.0, 1.0)
    service = np.array([1e-4, 1e-4, 1e-4])
    moved = burst.modulated(load, first_of(3, 0, 4), packets=MIX, service=service, bursts=bursts)
    still, lost = burst.frozen(load, first_of(3, 0, 4), packets=MIX, places=100, bursts=bursts)
    np.testing.assert_allclose(moved, still * 1e-4, rtol=0.04)
    assert lost.max() < 1e-9


def test_slower_sources_make_longer_queues():
    load, first, service = np.full(6, 0.12), first_of(6), np.array([1e-3])
    waits = [
        burst.modulated(load, first, packets=MIX, service=service, bursts=Bursts(t, t))[0]
        for t in (0.01, 0.1, 1.0, 10.0)
    ]
    assert all(a < b for a, b in itertools.pairwise(waits))
    # and never less than Poisson sources would
    assert waits[0] > queueing.waiting_mg1(720.0, service_time=1e-3, service_variability=4 / 9)


def test_many_sources_are_as_good_as_the_most_that_are_followed():
    """Above STATES the equal sources keep the variance: the answer moves on smoothly."""
    found = []
    for count in (20, 24, 25, 30):
        load = np.full(count, 0.7 / count)
        found.append(
            burst.modulated(load, first_of(count), packets=MIX, service=np.array([1e-3]), bursts=Bursts(1, 1))[0]
        )
    assert all(a > b for a, b in itertools.pairwise(found))
    assert found[2] == pytest.approx(found[1], rel=0.1)


def test_every_word_of_delay_is_given_by_both_roads():
    told = contract.explain("delay")
    assert set(told.given_by) >= {"twinkit.network.delay.delay", "twinkit.network.delay.packet_delay"}


def test_a_finite_queue_far_beyond_full_loses_all_but_what_it_serves():
    load = np.array([50.0, 299.0, 301.0, 1e4, 1e308])
    lost, waiting = queueing.embedded(load, places=10, sizes=(300, 1500), weights=(1, 1))
    np.testing.assert_allclose(lost, 1 - 1 / np.minimum(load, 1e9), rtol=1e-9)
    # who gets in finds nine others, one of them in service: waiting grows to its limit and leaps nowhere
    assert (np.diff(waiting) > 0).all()
    assert abs(waiting[2] - waiting[1]) < 1e-3
    assert waiting[-1] == pytest.approx(9.0, abs=1e-6)
