"""Splits: nothing tested was learned, whatever the question; the split that does not fit is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinkit import TwinError
from twinkit.learn import block, by_block, by_group, cut_rows, rolling_origin, shuffled

HOURS = np.arange("2026-03-01", "2026-03-11", dtype="datetime64[h]")


def test_rolling_origin_never_learns_from_what_comes_after():
    two = np.repeat(HOURS, 3)  # three series
    folds = rolling_origin(two, origins=HOURS[100::30], horizon="24h", gap="6h", window="48h")
    for fold in folds:
        assert two[fold.train].max() < two[fold.test].min() - np.timedelta64(5, "h")
        assert two[fold.train].min() >= two[fold.test].min() - np.timedelta64(54, "h")
        assert len(fold.test) <= 72
        assert len(fold.train) == 144


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time": HOURS[::-1]}, "time that goes forward"),
        ({"time": np.arange(5)}, "one datetime64 for each row"),
        ({"time": np.r_[HOURS, np.datetime64("NaT")]}, "a moment in every row"),
        ({"origins": ["2026-02-01"]}, "nothing before"),
        ({"origins": ["2027-02-01"]}, "nothing after"),
        ({"horizon": "0h"}, "a horizon above 0"),
        ({"horizon": "soon"}, "a span of time"),
    ],
)
def test_rolling_origin_refuses(change, said):
    given = {"time": HOURS, "origins": ["2026-03-05"], "horizon": "24h"} | change
    with pytest.raises(TwinError, match=said):
        rolling_origin(given.pop("time"), **given)


@given(st.lists(st.integers(0, 12), min_size=5, max_size=80), st.integers(2, 5), st.integers(0, 9))
def test_no_group_on_both_sides_and_each_row_tested_once(labels, folds, seed):
    groups = np.array(labels)
    if len(set(labels)) < folds:
        with pytest.raises(TwinError):
            by_group(groups, folds=folds, seed=seed)
        return
    made = by_group(groups, folds=folds, seed=seed)
    assert sorted(np.concatenate([f.test for f in made])) == list(range(len(groups)))
    for fold in made:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert len(fold.train) + len(fold.test) == len(groups)
    sizes = [len(set(groups[f.test])) for f in made]
    assert max(sizes) - min(sizes) <= 1


def test_the_same_seed_gives_the_same_folds():
    a, b, c = (by_group(np.arange(40) // 4, folds=3, seed=s) for s in (1, 1, 2))
    assert all((x.test == y.test).all() for x, y in zip(a, b, strict=True))
    assert any(len(x.test) != len(y.test) or (x.test != y.test).any() for x, y in zip(a, c, strict=True))


@pytest.mark.parametrize(
    ("groups", "folds", "said"),
    [
        (["a"] * 5, None, "a single group"),
        (["a", None, "b"], None, "a missing label"),
        ([1.0, np.nan], None, "a missing label"),
        (["a", "b"], 3, "folds from 2 to 2"),
        (["a", "b"], True, "folds from 2 to 2"),
        ([], None, "one group for each row"),
    ],
)
def test_by_group_refuses(groups, folds, said):
    with pytest.raises(TwinError, match=said):
        by_group(groups, folds=folds)


def test_blocks_keep_neighbours_together_and_a_margin_keeps_them_apart():
    x, y = np.random.default_rng(1).uniform(-2000, 2000, (2, 800))
    labels = block(x, y, size=300.0)
    folds = by_block(x, y, size=300.0, folds=4, margin=100.0, seed=1)
    for fold in folds:
        assert not set(labels[fold.train]) & set(labels[fold.test])
        apart = np.hypot(x[fold.train][:, None] - x[fold.test], y[fold.train][:, None] - y[fold.test])
        assert apart.min() >= 100.0
    assert sum(len(f.test) for f in folds) == 800


def test_blocks_dealt_by_mast_test_every_mast_in_every_fold():
    rng = np.random.default_rng(1)
    mast = rng.integers(0, 2, 600)
    x, y = rng.uniform(0, 1500, (2, 600)) + 5000 * mast
    for fold in by_block(x, y, size=300.0, folds=5, groups=mast, seed=1):
        assert set(mast[fold.test]) == {0, 1}
        assert set(mast[fold.train]) == {0, 1}


@pytest.mark.parametrize(
    ("x", "choices", "said"),
    [
        ([0.0, np.nan], {"size": 1.0}, "a position in every row"),
        ([0.0, 1.0], {"size": 0.0}, "a size above 0"),
        ([0.0, 1.0], {"size": 1e6}, "a single group"),
        ([0.0, 400.0], {"size": 300.0, "margin": 1e4}, "none beyond the margin"),
        ([0.0, 400.0], {"size": 300.0, "groups": ["a"]}, "one group for each row"),
    ],
)
def test_by_block_refuses(x, choices, said):
    with pytest.raises(TwinError, match=said):
        by_block(x, [0.0, 0.0], folds=2, **choices)


def test_an_origin_that_is_no_moment_is_refused():
    with pytest.raises(TwinError, match=r"origins: expected moments; found \['yesterday'\]"):
        rolling_origin(HOURS, origins=["yesterday"], horizon="24h")


def test_a_random_split_is_refused_with_the_reason():
    assert sum(len(f.test) for f in shuffled(20, folds=4, seed=1, groups=range(20))) == 20
    with pytest.raises(TwinError, match=r"how well the group is remembered.*by_group"):
        shuffled(20, folds=4, seed=1, groups=np.arange(20) // 2)
    with pytest.raises(TwinError, match=r"the hour after the one.*rolling_origin"):
        shuffled(20, folds=4, seed=1, time=HOURS[:20])


def test_rows_to_calibrate_on_share_no_group_with_those_to_fit_on():
    groups = np.repeat(np.arange(20), 5)
    fold = by_group(groups, folds=5, seed=1)[0]
    fit, calibrate = cut_rows(fold, share=0.25, groups=groups, seed=1)
    assert not set(groups[fit]) & set(groups[calibrate])
    assert sorted([*fit, *calibrate]) == fold.train.tolist()
    assert len(set(groups[calibrate])) == 4
    with pytest.raises(TwinError, match="a share between 0 and 1"):
        cut_rows(fold, share=1.0, groups=groups)
