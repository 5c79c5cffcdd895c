"""The check at the door, the stamp on the way out, and `check`, which must catch every broken promise."""

import functools
import pickle

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, contract, explain, stamp
from twinkit.contract import check, physics, stages, whole_seed, within
from twinkit.contract import contract as stage


@pytest.fixture
def twin():
    sites = xr.Dataset(
        {"x": ("site", [0.0, 5.0, 9.0]), "y": ("site", [0.0, 0.0, 1.0]), "height": ("site", [30.0, 20.0, 25.0])},
        {"site": ["a", "b", "c"]},
    )
    return assemble({"sites": sites}, title="three masts", crs="EPSG:32643")


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    # what a test registers must not look like a stage of twinkit to the tests after it
    monkeypatch.setattr(contract, "_registry", dict(contract._registry))


def good(**promises):
    @stage(**{"reads": ["sites/height"], "gives": ["height"], **promises})
    def taller(twin, *, by=2.0):
        return twin["sites/height"] + by

    return taller


def test_a_good_stage_keeps_every_promise(twin):
    kept = check(good(), twin)
    assert "stays lazy" in kept
    assert "changes nothing in place" in kept
    assert "refuses sites/height missing" in kept
    assert "refuses sites/height in another unit" in kept


def test_what_comes_back_is_stamped_and_old_attributes_are_gone(twin):
    twin["sites/height"].attrs["comment"] = "from a survey"
    out = good()(twin)
    assert out.name == "height"
    assert out.attrs["units"] == "m"
    assert out.attrs["given_by"].endswith("taller")
    assert "comment" not in out.attrs


@pytest.mark.parametrize("what", ["missing node", "missing variable", "unit", "dims"])
def test_the_door(twin, what):
    height = twin["sites"].to_dataset().height
    broken = {
        "missing node": lambda: xr.DataTree(),
        "missing variable": lambda: xr.DataTree.from_dict({"sites": xr.Dataset({"heigth": height})}),
        "unit": lambda: xr.DataTree.from_dict({"sites": xr.Dataset({"height": height.assign_attrs(units="ft")})}),
        "dims": lambda: xr.DataTree.from_dict({"sites": xr.Dataset({"height": height.rename(site="mast")})}),
    }[what]()
    said = {
        "missing node": "no node 'sites'",
        "missing variable": "did you mean 'heigth'",
        "unit": "unit 'ft'",
        "dims": "mast",
    }
    with pytest.raises(TwinError, match=said[what]):
        good()(broken)


def test_keyword_data_is_checked_too():
    @stage(reads=["people"], gives=["people_total"])
    def everybody(*, of):
        return of.sum()

    with pytest.raises(TwinError, match="an array named 'people'"):
        everybody(of=xr.DataArray([1.0], dims="pixel"))
    assert float(everybody(of=stamp(xr.DataArray([1.0, 2.0], dims="pixel"), "people"))) == 3


# ---------------------------------------------------------------- broken promises, one by one


def caught(broken, twin, said, **choices):
    with pytest.raises(TwinError, match=said):
        check(broken, twin, **choices)


def test_a_change_in_place_is_caught(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def raises(twin):
        twin["sites/height"].data[...] += 1
        return twin["sites/height"] * 1

    caught(raises, twin, "the same answer twice|changed in place")


def test_a_change_in_place_that_happens_once_is_caught(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def clips(twin):
        np.clip(twin["sites/height"].values, 22, None, out=twin["sites/height"].values)
        return twin["sites/height"] * 1

    caught(clips, twin, "an input changed in place")


def test_an_attribute_or_node_left_behind_is_caught(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def marks(twin):
        twin.attrs["seen"] = True
        return twin["sites/height"] * 1

    @stage(reads=["sites/height"], gives=["height"])
    def adds(twin):
        twin["scratch"] = xr.DataTree()
        return twin["sites/height"] * 1

    caught(marks, twin.copy(deep=True), "an input changed in place")
    caught(adds, twin.copy(deep=True), "an input changed in place")


def test_eager_computation_is_caught(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def eager(twin):
        return twin["sites/height"].compute()

    @stage(reads=["sites/height"], gives=["height"])
    def peeks(twin):
        if float(twin["sites/height"].max()) < 0:
            return -twin["sites/height"]
        return twin["sites/height"] * 1

    caught(eager, twin, "expected a lazy result")
    caught(peeks, twin, "expected a lazy result")


def test_reading_twice_is_caught_where_reading_once_is_allowed(twin):
    @stage(reads=["sites/height"], gives=["height"], computes=True)
    def twice(twin):
        top = float(twin["sites/height"].max())
        return (twin["sites/height"] / top * 30).compute()

    @stage(reads=["sites/height"], gives=["height"], computes=True)
    def once(twin):
        height = twin["sites/height"].compute()
        return height / float(height.max()) * 30

    caught(twice, twin, "a block read 2 times")
    assert "reads its data once" in check(once, twin)


def test_a_missing_stamp_is_caught(twin):
    def forgets(function):
        @functools.wraps(function)
        def outer(*args, **kwargs):
            return function(*args, **kwargs).drop_attrs()

        return outer

    caught(forgets(good()), twin, "stamped with units 'm'")


def test_a_missing_variable_in_the_result_is_caught(twin):
    @stage(reads=["sites/height"], gives=["height", "gain"])
    def half(twin):
        return twin["sites"].to_dataset()[["height"]]

    caught(half, twin, "found no gain")


def test_a_read_that_is_not_declared_is_caught(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def also_x(twin):
        return twin["sites/height"] + twin["sites/x"]

    caught(also_x, twin, "an answer from what is declared alone")


def test_a_stage_that_looks_past_the_door_is_caught(twin):
    inner = good()

    def past_the_door(twin):
        return inner.__wrapped__(twin).rename("height").assign_attrs(units="m", given_by=inner.stage.name)

    past_the_door.stage = inner.stage
    caught(past_the_door, twin, "a TwinError when sites/height is missing; found a KeyError")


def test_randomness_without_a_seed_is_caught(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def noisy(twin):
        return twin["sites/height"] + np.random.default_rng().normal(size=3)

    caught(noisy, twin, "the same answer twice")


def test_other_numbers_from_lazy_data_are_caught(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def depends(twin):
        height = twin["sites/height"]
        return height + (1.0 if height.chunks else 0.0)

    caught(depends, twin, "other numbers")


def test_a_plain_function_is_no_stage(twin):
    caught(lambda twin: twin, twin, "without a contract")


# ---------------------------------------------------------------- declaring


def test_a_contract_refuses_what_it_cannot_keep():
    with pytest.raises(TwinError, match="use 'height'"):
        stage(reads=["sites/heigth"])(lambda twin: twin)
    with pytest.raises(TwinError, match="keyword-only"):

        @stage(gives=["height"])
        def _loose(twin, by=1.0):
            return twin

    with pytest.raises(TwinError, match="keyword-only"):

        @stage(gives=["height"])
        def _open(twin, **choices):
            return twin


def test_a_result_of_another_type_is_refused(twin):
    @stage(reads=["sites/height"], gives=["height"])
    def bare(twin):
        return twin["sites/height"].values

    with pytest.raises(TwinError, match="a ndarray"):
        bare(twin)


def test_explain_knows_givers_and_readers_in_packages_too():
    said = explain("rsrp")
    assert "twinkit.radio.coverage.coverage" in said.given_by
    assert "rsrp" in repr(said)
    assert "twinkit.city.served" in explain("people").read_by
    assert {s.rpartition(".")[0] for s in stages()} >= {"twinkit.city", "twinkit.plan", "twinkit.radio.coverage"}


# ---------------------------------------------------------------- physics and ranges


@physics(gives="path_loss", valid={"distance": (1.0, 1e4)}, why="a trial", grows_with="distance", distance="m")
def loss(distance):
    return 20 * np.log10(distance)


def test_physics_stamps_labelled_arrays_alone():
    assert loss(10.0) == 20.0
    out = loss(xr.DataArray([10.0, 100.0], dims="distance", attrs={"units": "m", "comment": "taped"}))
    assert out.name == "path_loss"
    assert out.attrs == {"units": "dB", "long_name": "basic transmission loss"}


def test_physics_says_its_range():
    assert loss.valid == {"distance": (1.0, 1e4)}
    with pytest.raises(TwinError, match=r"distance from 1 to 10000 m \(a trial\); found 0.5 m"):
        loss(np.array([0.5, 2.0]))
    with pytest.raises(TwinError, match="not a number"):
        loss(np.array([np.nan]))
    with pytest.raises(TwinError, match="'ten'"):
        loss("ten")


def test_a_lazy_argument_is_checked_when_it_is_computed():
    fine = xr.DataArray(np.array([1.0, 10.0]), dims="distance").chunk(1)
    assert loss(fine).chunks == ((1, 1),)
    assert loss(fine).values.tolist() == [0.0, 20.0]
    with pytest.raises(TwinError, match=r"0\.1 m"):
        loss(fine / 10).compute()


def test_physics_refuses_a_parameter_that_is_not_there():
    with pytest.raises(TwinError, match="parameters of <lambda>"):
        physics(length="m")(lambda distance: distance)


def test_within_takes_the_edges_and_empty_arrays():
    within([0, 1], 0, 1, name="share", unit="1")
    within([], 0, 1, name="share", unit="1")
    with pytest.raises(TwinError, match="found inf"):
        within(np.inf, 0, 1, name="share", unit="1")


def test_an_error_comes_home_from_another_process():
    error = TwinError("a", found="b", hint="c", where="d")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.hint) == (str(error), "c")


@pytest.mark.parametrize("seed", [True, False, np.True_, 1.0, "1", None, -1, 2**128])
def test_what_is_no_seed_is_refused_by_every_stage_that_draws(seed):
    from twinkit.assimilate import forecast
    from twinkit.datasets import town
    from twinkit.dynamics import simulate

    start = xr.Dataset({"level": ("tank", [1.0])}, {"time": np.datetime64("2026-03-01", "ns")})

    def step(state, dt, forcing, rng):
        return state

    for call in (
        lambda: whole_seed(seed),
        lambda: town(sites=3, seed=seed),
        lambda: simulate(step, start.drop_vars("time"), steps=1, dt=1.0, seed=seed),
        lambda: forecast(start, step, until=np.datetime64("2026-03-02"), dt=3600.0, seed=seed),
    ):
        with pytest.raises(TwinError, match="a seed of 0 or more"):
            call()
    with pytest.raises(TwinError, match="whole number below"):
        whole_seed(2**63)
    assert [whole_seed(s) for s in (0, np.int64(7), 2**63 - 1)] == [0, 7, 2**63 - 1]
