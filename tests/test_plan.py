"""Candidates, gains and choices: against exhaustive search, against coverage itself, and within the bound."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkit import TwinError, city, plan, radio, stamp, store

MODEL = {"path_loss": radio.rma_los, "threshold": -85.0}


@pytest.fixture(scope="module")
def twin(small_twin):
    return small_twin(sites=2, pixels=48, step=500.0)


@pytest.fixture(scope="module")
def gain(twin):
    return plan.gain(twin, plan.candidates(twin, spacing=6000.0), **MODEL)


def test_candidates_stand_on_a_centred_grid(twin):
    spots = plan.candidates(twin, spacing=6000.0, height=25.0)
    x = np.unique(spots.x)
    np.testing.assert_allclose(np.diff(x), 6000)
    axis = twin["surface/x"].values
    assert x[0] - axis[0] == pytest.approx(axis[-1] - x[-1])
    assert x[0] - axis[0] < 6000
    assert spots.sizes["candidate"] == 16
    assert len(set(spots.candidate.values)) == 16
    assert (spots.height == 25).all()
    assert spots.height.attrs["units"] == "m"
    assert spots.x.attrs["provenance"] == "generated: a grid every 6000 m"


def test_a_spacing_larger_than_the_map_leaves_its_middle(twin):
    spots = plan.candidates(twin, spacing=1e6)
    assert spots.sizes["candidate"] == 1
    assert spots.x.item() == twin["surface/x"].values[[0, -1]].mean()
    with pytest.raises(TwinError, match="spacing"):
        plan.candidates(twin, spacing=0)


def test_gain_is_lazy_and_what_coverage_says(twin, gain):
    assert gain.adds.chunks
    now = radio.coverage(twin, path_loss=MODEL["path_loss"]).rsrp > MODEL["threshold"]
    lived = twin["surface/people"] > 0
    for one in (0, 5, 15):
        then = plan.built(twin, gain.isel(candidate=[one]))
        reached = radio.coverage(then, path_loss=MODEL["path_loss"]).rsrp > MODEL["threshold"]
        new = (reached & ~now & lived).values.ravel()
        np.testing.assert_array_equal(gain.adds.isel(candidate=one).values, new)
        assert float(gain.people_gained.isel(candidate=one)) == pytest.approx(
            float(twin["surface/people"].values.ravel()[new].sum(dtype=float))
        )
    assert float(gain.people_gained.max()) > 0
    assert float(city.share(now, of=twin["surface/people"])) > 0


def test_gain_is_the_same_from_a_lazy_twin(twin, gain):
    lazy = twin.map_over_datasets(lambda ds: ds.chunk({d: 17 for d in ("y", "x") if d in ds.dims}))
    other = plan.gain(lazy, plan.candidates(lazy, spacing=6000.0), **MODEL)
    np.testing.assert_array_equal(other.adds.values, gain.adds.values)


def test_what_is_chosen_adds_up_to_what_is_built(twin, gain):
    chosen = plan.choose(gain, budget=4)
    people = twin["surface/people"]
    before, after = (
        city.people_total(people, where=radio.coverage(t, path_loss=MODEL["path_loss"]).rsrp > MODEL["threshold"])
        for t in (twin, plan.built(twin, chosen))
    )
    assert chosen.sizes["candidate"] == 4
    assert float(after - before) == pytest.approx(float(chosen.people_gained.sum()), rel=1e-9)
    assert (np.diff(chosen.people_gained) <= 0).all(), "each adds no more than the one before"
    assert float(chosen.people_gained.sum()) <= float(chosen.people_bound)
    assert "by the bound from these data" in chosen.people_gained.attrs["method"]


# ---------------------------------------------------------------- the choice, against all choices


def table(adds, people):
    """A gain of one's own: rows of truths and the people of the pixels."""
    adds = np.asarray(adds, bool)
    make = dict.fromkeys(plan.SITE, ("candidate", np.zeros(len(adds))))
    make["antenna"] = ("candidate", np.full(len(adds), "omni", dtype=object))
    ds = xr.Dataset({"adds": (("candidate", "pixel"), adds), "people": ("pixel", np.asarray(people, float)), **make})
    return ds.map(lambda array: stamp(array, array.name)).assign_coords(candidate=np.arange(len(adds)))


def best(adds, people, budget):
    sets = [np.flatnonzero(row) for row in adds]
    unions = (np.unique(np.concatenate(c)) for c in itertools.combinations(sets, min(budget, len(sets))))
    return max(people[u.astype(int)].sum() for u in unions)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda rows: st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=rows, max_size=rows)
    ),
    st.lists(st.integers(0, 50), min_size=9, max_size=9),
    st.integers(1, 4),
)
def test_the_guarantee_and_the_bound_hold(rows, people, budget):
    adds, people = np.array(rows, bool), np.array(people, float)
    chosen = plan.choose(table(adds, people), budget=budget)
    got, optimum = float(chosen.people_gained.sum()), best(adds, people, budget)
    assert got <= optimum + 1e-9
    assert optimum <= float(chosen.people_bound) + 1e-9
    assert got >= (1 - (1 - 1 / budget) ** budget) * optimum - 1e-9
    # the order is that of plain greedy: nothing left would have added more at its step
    reached = np.zeros(9, bool)
    for one, added in zip(chosen.candidate.values, chosen.people_gained.values, strict=True):
        worth = [(people * (row & ~reached)).sum() for row in adds]
        assert added == max(worth)
        reached |= adds[one]


def test_greedy_may_miss_the_best_and_the_bound_says_so():
    # the textbook trap: the large middle set first spoils the two halves
    adds = [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 0]]
    people = np.array([2.0, 3, 3, 3, 3, 2])
    chosen = plan.choose(table(adds, people), budget=2)
    assert chosen.people_gained.values.tolist() == [12.0, 2.0]
    assert best(np.array(adds), people, 2) == 16.0 <= float(chosen.people_bound)


def test_fewer_are_chosen_where_no_other_adds_anybody():
    chosen = plan.choose(table([[1, 1, 0], [1, 0, 0], [0, 1, 0]], [1, 1, 5]), budget=3)
    assert chosen.sizes["candidate"] == 1
    assert float(chosen.people_bound) == 2.0
    nobody = plan.choose(table([[1, 1, 0]], [0, 0, 0]), budget=2)
    assert nobody.sizes["candidate"] == 0


def test_dense_and_sparse_sets_choose_alike():
    rng = np.random.default_rng(1)
    people = rng.gamma(0.3, 10, 2000)
    dense = rng.random((12, 2000)) < 0.3
    sparse = dense & (rng.random(2000) < 0.05)
    for adds in (dense, sparse):
        plain = table(adds, people)
        chosen = plan.choose(plain.chunk(candidate=5, pixel=300), budget=4)
        reached = np.zeros(2000, bool)
        for step in chosen.people_gained.values:
            worth = (adds & ~reached) @ people
            assert step == pytest.approx(worth.max())
            reached |= adds[worth.argmax()]


def test_equal_candidates_are_taken_in_their_order():
    chosen = plan.choose(table(np.eye(4), [1, 1, 1, 1]).assign_coords(candidate=list("abcd")), budget=3)
    assert chosen.candidate.values.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("budget", "said"), [(0, "budget from 1"), (1.5, "a whole number of sites"), ("two", "'two'")])
def test_a_bad_budget_is_refused(budget, said):
    with pytest.raises(TwinError, match=said):
        plan.choose(table(np.eye(2), [1, 1]), budget=budget)


def test_no_candidate_is_an_error():
    with pytest.raises(TwinError, match="smaller spacing"):
        plan.choose(table(np.zeros((0, 3)), [1, 1, 1]), budget=1)


# ---------------------------------------------------------------- building


def test_a_stored_twin_is_built_on_and_stays_lazy(twin, gain, tmp_path):
    chosen = plan.choose(gain, budget=2)
    store.save(twin, tmp_path / "t.twin", message="the beginning")
    out = plan.built(store.open(tmp_path / "t.twin"), chosen)
    assert out["cells/antenna"].chunks is not None
    wanted = plan.built(twin, chosen)
    for node in ("sites", "cells"):
        xr.testing.assert_equal(out[node].to_dataset().compute(), wanted[node].to_dataset())


def test_built_keeps_the_old_network_and_marks_the_new(twin, gain):
    chosen = plan.choose(gain, budget=2)
    then = plan.built(twin, chosen)
    assert then["sites"].sizes["site"] == 4
    assert then["cells"].sizes["cell"] == twin["cells"].sizes["cell"] + 6
    old = then["sites"].to_dataset().sel(site=twin["sites/site"].values)
    np.testing.assert_array_equal(old.x, twin["sites/x"])
    new = then["sites"].to_dataset().isel(site=slice(2, None))
    assert new.site.values.tolist() == [f"new-{c}" for c in chosen.candidate.values]
    assert "generated: planned" in then["sites/x"].attrs["provenance"]
    assert twin["sites"].sizes["site"] == 2, "the twin before is as it was"
    with pytest.raises(TwinError, match="stands already"):
        plan.built(then, chosen)


def test_an_omni_candidate_is_one_cell(twin):
    spots = plan.candidates(twin, spacing=1e6, antenna="omni")
    assert plan.built(twin, spots)["cells"].sizes["cell"] == twin["cells"].sizes["cell"] + 1


def test_candidates_of_ones_own_of_several_makes(twin):
    spots = plan.candidates(twin, spacing=12_000.0)
    mixed = spots.assign(height=("candidate", [15.0, 30.0, 45.0, 60.0], {"units": "m"}))
    got = plan.gain(twin, mixed, **MODEL)
    assert got.adds.sizes["candidate"] == 4
    assert got.people_gained.compute().notnull().all()
