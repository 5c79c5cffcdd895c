"""Right, wrong, and why: comparison, the general slips, and the diagnosis that names them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from twinkit.error import TwinError
from twinkit.lesson.exercise import compare, exercise
from twinkit.lesson.slips import SLIPS, diagnose, wrong_answers

HINTS = ["where", "which step", "almost"]


def made(value, **about):
    """An exercise whose right answer is `value`."""

    @exercise("thing", objective="any", hints=HINTS, **about)
    def thing(twin):
        return value

    return thing


def named(one, answer, expected):
    return {d.name for d in diagnose(one, None, answer, expected)}


MAP = xr.DataArray(np.arange(12.0).reshape(3, 4) + 1, dims=("y", "x"), coords={"y": [0.0, 1, 2], "x": [0.0, 1, 2, 3]})
SQUARE = xr.DataArray(np.arange(9.0).reshape(3, 3) + 1, dims=("y", "x"))
HOURS = xr.DataArray(np.array([1.0, 5.0, 2.0, 8.0, 3.0]), dims="time")


# ---------------------------------------------------------------- right


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        (5.0, 5),
        (5.0, np.float32(5)),
        (5.0, xr.DataArray(5.0)),
        (5.0, xr.DataArray(5.0).chunk()),
        (3, 3.0),
        ("Kigali", " kigali "),
        (True, np.True_),
        (True, xr.DataArray(True)),
        ({"a", "b"}, ["b", "a"]),
        ({"a", "b"}, xr.DataArray(["a", "b"], dims="site")),
        (["a", "b"], ("a", "b")),
        (MAP, MAP.transpose("x", "y")),
        (MAP, MAP[::-1]),
        (MAP, MAP.values),
        (MAP, MAP.chunk({"y": 1})),
        (MAP.where(MAP > 3), MAP.where(MAP > 3)),
    ],
)
def test_a_right_answer_passes_in_every_form(expected, answer):
    assert compare(made(expected), answer, expected) is None


def test_the_tolerance_is_what_it_says():
    one = made(100.0, tolerance=0.01, absolute=0.5)
    assert compare(one, 101.4, 100.0) is None
    assert compare(one, 101.6, 100.0) is not None
    exact = made(7, tolerance=0)
    assert compare(exact, 8, 7) is not None


# ---------------------------------------------------------------- plainly wrong


@pytest.mark.parametrize(
    ("expected", "answer", "said"),
    [
        (5.0, "5", "one number"),
        (5.0, None, "None"),
        (5.0, True, "True"),
        (5.0, math.nan, "not a number"),
        (5.0, math.inf, "not a number"),
        (5.0, HOURS, "shape"),
        (5.0, {}, "dict"),
        (5.0, object(), "object"),
        (5.0, 1 + 2j, "one number"),
        (5.0, len, "builtin"),
        (MAP, 5.0, "shape"),
        (MAP, MAP.rename(x="site"), "shape"),
        (MAP, MAP[:, :3], "shape"),
        (MAP, MAP.where(MAP > 3), "3 of the values"),
        (MAP, xr.Dataset(), "Dataset"),
        ("Kigali", 5, "text"),
        (True, 1, "True / False"),
        ({"a"}, "a", "['a', 'b']"),
        ({"a", "b"}, ["a"], "1 that belong are missing"),
        ({"a", "b"}, ["a", "b", "c"], "1 do not belong"),
        ({"a", "b"}, ["a", "b", "b"], "more than once"),
        (["a", "b"], ["b", "a"], "order"),
    ],
)
def test_a_plainly_wrong_answer_is_told_in_words(expected, answer, said):
    fault = compare(made(expected), answer, expected)
    assert fault is not None
    assert said in fault.text


def test_an_expected_answer_of_no_kind_is_the_authors_fault():
    with pytest.raises(TwinError, match="expected answer that is a number"):
        compare(made({}), 5, {})


# ---------------------------------------------------------------- slips


@pytest.mark.parametrize(
    ("unit", "right", "wrong", "names"),
    [
        ("m", 1500.0, 1.5, {"thousand-down"}),
        ("Hz", 2.6e9, 2.6e3, {"million-down"}),
        ("dB", 112.45, 52.45, {"thousand-20log-down", "million-10log-down"}),
        ("dB", 112.45, 172.45, {"thousand-20log-up", "million-10log-up"}),
        ("dB", 112.45, -7.55, {"million-20log-down"}),
        ("dB", 112.45, 82.45, {"thousand-10log-down"}),
        ("dBm", 46.0, 16.0, {"thousand-10log-down", "dbm-as-dbw"}),
        ("dBW", 16.0, 46.0, {"thousand-10log-up", "dbw-as-dbm"}),
        ("dB", 50.0, 100.0, {"twenty-for-ten"}),
        ("dB", 50.0, 25.0, {"ten-for-twenty"}),
        ("dB", 50.0, 50.0 * math.log(10), {"ln-for-log10"}),
        ("dB", 50.0, 50.0 / math.log(10), {"log10-for-ln"}),
        ("degree", 30.0, math.radians(30.0), {"degree-as-radian"}),
        ("radian", 1.0, math.degrees(1.0), {"radian-as-degree"}),
        ("m", 12.5, -12.5, {"sign"}),
        ("dB", 13.0, 10**1.3, {"linear-decibel"}),
        ("W", 20.0, 10 * math.log10(20.0), {"linear-decibel"}),
        ("1", 0.87, 87.0, {"percent-up"}),
        ("1", 0.87, 0.0087, {"percent-down"}),
        ("1", 7, 8, {"one-late"}),
        ("1", 7, 6, {"one-early"}),
    ],
)
def test_a_slip_is_named_and_where_two_give_one_number_both_are(unit, right, wrong, names):
    assert named(made(right, unit=unit), wrong, right) == names


def test_swapped_axes_are_named_labelled_or_not():
    one = made(SQUARE, unit="m")
    assert named(one, SQUARE.values.T, SQUARE) == {"transposed"}
    assert named(one, SQUARE.copy(data=SQUARE.values.T), SQUARE) == {"transposed"}
    # another shape cannot be the right one, and is named as well
    assert named(made(MAP, unit="m"), MAP.values.T, MAP) == {"transposed"}


@pytest.mark.parametrize("edge", [math.nan, 0.0, 99.0])
def test_one_step_late_is_named_whatever_stands_at_the_edge(edge):
    late, early = HOURS.shift(time=1, fill_value=edge), HOURS.shift(time=-1, fill_value=edge)
    one = made(HOURS, unit="Wh")
    assert named(one, late, HOURS) == {"one-late"}
    assert named(one, early, HOURS) == {"one-early"}


def test_pixels_for_people_are_named():
    near, people = xr.DataArray([True, False, False, False], dims="x"), xr.DataArray([90.0, 5, 3, 2], dims="x")
    one = made(0.9, weights=lambda twin: (near, people))
    assert named(one, 0.25, 0.9) == {"pixel-person"}


@given(
    st.floats(0.01, 1e6, allow_nan=False),
    st.sampled_from(["1", "m", "dB", "dBm", "W", "degree", "people"]),
    st.sampled_from([1e-3, 1e-6]),
)
def test_every_slip_applied_to_any_answer_is_rejected_and_named(value, unit, tolerance):
    one = made(value, unit=unit, tolerance=tolerance)
    for name, wrong in wrong_answers(one, None, value).items():
        if not np.isfinite(wrong).all():
            continue  # 10 ** (1e6 / 10): nobody hands in infinity, and compare says so if they do
        assert compare(one, wrong[()], value) is not None
        assert name in named(one, wrong[()], value)


def test_a_slip_that_changes_nothing_is_no_slip():
    assert "sign" not in wrong_answers(made(0.0), None, 0.0)
    assert "transposed" not in wrong_answers(made(SQUARE * 0 + 1), None, SQUARE * 0 + 1)
    assert wrong_answers(made("Kigali"), None, "Kigali") == {}


def test_each_slip_can_happen_to_something():
    weighed = made(0.9, weights=lambda twin: (np.array([1.0, 0]), np.array([9.0, 1])))
    seen = set()
    for one, value in [
        *((made(40.0, unit=u), 40.0) for u in ("1", "dBm", "dBW", "degree", "radian", "m")),
        (made(SQUARE, unit="m"), SQUARE),
        (made(HOURS, unit="Wh"), HOURS),
        (weighed, 0.9),
    ]:
        seen |= set(wrong_answers(one, None, value))
    assert seen == {s.name for s in SLIPS}


# ---------------------------------------------------------------- misconceptions


def test_a_misconception_and_a_slip_that_give_one_number_are_both_named():
    one = made(2.0, unit="m")

    @one.misconception("You forgot the sign of the slope.")
    def downhill(twin):
        return -2.0

    found = diagnose(one, None, -2.0, 2.0)
    assert [d.name for d in found] == ["downhill", "sign"]
    assert found[0].own


def test_a_misconception_that_does_not_show_on_this_twin_is_not_named():
    one = made(2.0)

    @one.misconception("You took the other one, which here is the same.")
    def other(twin):
        return 2.0

    @one.misconception("You took what this twin does not have.")
    def absent(twin):
        return None

    assert diagnose(one, None, 5.0, 2.0) == []


def test_a_misconception_that_fails_is_the_authors_fault():
    one = made(2.0)

    @one.misconception("You divided by nothing.")
    def nothing(twin):
        return 1 / 0

    with pytest.raises(TwinError, match=r"exercises.py"):
        diagnose(one, None, 5.0, 2.0)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"name": "Free Space"}, "free-space"),
        ({"name": "free_space"}, "free-space"),
        ({"hints": ["only one"]}, "3 hints"),
        ({"hints": ["a", "", "c"]}, "3 hints"),
        ({"objective": ""}, "objective"),
        ({"tolerance": -1.0}, "zero or more"),
        ({"tolerance": math.nan}, "zero or more"),
    ],
)
def test_an_exercise_that_is_none_is_refused(about, said):
    whole = {"name": "thing", "objective": "any", "hints": HINTS} | about
    with pytest.raises(TwinError, match=said):
        exercise(whole.pop("name"), **whole)(lambda twin: 1)


def test_two_misconceptions_of_one_name_are_refused():
    one = made(2.0)

    def twice(twin):
        return 1.0

    one.misconception("first")(twice)
    with pytest.raises(TwinError, match="twice"):
        one.misconception("second")(twice)
    with pytest.raises(TwinError, match="empty text"):
        one.misconception("  ")(lambda twin: 1.0)
