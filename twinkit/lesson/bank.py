"""A bank of wrong answers for an exercise: each must be rejected, and a known slip must be named.

Every general slip applied to the right answer, every recorded misconception, twice the tolerance off, NaN, other
dims, other types, and the right answer of another region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.lesson.exercise import as_values, close, compare, kind_of
from twinkit.lesson.slips import wrong_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twinkit.lesson.exercise import Exercise

__all__ = ["Wrong", "answers"]


@dataclass(frozen=True)
class Wrong:
    """One wrong answer: what it is, the answer, and the slip or misconception that the diagnosis must name."""

    what: str
    answer: Any
    name: str = ""


def answers(exercise: Exercise, twin: Any, others: Mapping[str, Any]) -> Iterator[Wrong]:
    """The wrong answers of an exercise on a twin.

    Parameters
    ----------
    exercise : Exercise
    twin : DataTree
    others : dict of str to DataTree
        Other regions' twins by region.
    """
    expected = exercise.answer(twin)
    asked = _asking(exercise, twin)
    for misconception in exercise.misconceptions.values():
        value = exercise.answer(twin, misconception.wrong)
        if value is not None and compare(exercise, value, expected) is not None:
            own = misconception.wrong(twin)
            yield Wrong(f"misconception {misconception.name}", own, misconception.name)
    for name, value in wrong_answers(exercise, twin, expected).items():
        filled = np.where(np.isnan(np.asarray(value, float)), 0.0, value) if np.ndim(value) else value
        yield Wrong(f"slip {name}", asked(_like(filled, expected)), name)
    for what, value in _near(exercise, expected):
        yield Wrong(what, asked(value))
    for what, value in _bad_types(expected, function=exercise.probe is not None):
        yield Wrong(what, value)
    if not exercise.same_everywhere:
        for region, other in others.items():
            yield Wrong(f"the answer of {region}", _of_region(exercise, other))


def _asking(exercise: Exercise, twin: Any) -> Any:
    """Turns values into what is asked: themselves, or a function that gives them probe after probe."""
    if exercise.probe is None:
        return lambda value: value
    count = len(list(exercise.probe(twin)))

    def wrapped(value: Any) -> Any:
        calls = iter(range(10**9))

        def function(**_: Any) -> Any:
            if count == 1:
                return value
            position = next(calls) % count
            return value.isel(probe=position) if isinstance(value, xr.DataArray) else value[position]

        return function

    return wrapped


def _of_region(exercise: Exercise, other: Any) -> Any:
    """The right answer of another region, as somebody would copy it."""
    value = exercise.answer(other)
    if exercise.probe is None:
        return value

    # copied numbers, whatever the function is asked
    def function(**_: Any) -> Any:
        return as_values(value)

    return function


def _like(values: Any, expected: Any) -> Any:
    """Wrong values in the form of the right ones: labelled where those are, plain where the shape is another."""
    if isinstance(expected, xr.DataArray) and np.shape(values) == expected.shape:
        return expected.copy(data=np.asarray(values))
    return np.asarray(values)[()] if np.ndim(values) == 0 else np.asarray(values)


def _near(exercise: Exercise, expected: Any) -> Iterator[tuple[str, Any]]:
    kind = kind_of(expected)
    if kind == "number":
        value = as_values(expected)[()].item()
        step = 2 * (exercise.absolute + exercise.tolerance * abs(value))
        # an exact answer has no tolerance to double
        step = step or (1 if isinstance(value, int) else max(1e-6 * abs(value), 1e-6))
        yield "twice the tolerance too high", value + step
        yield "twice the tolerance too low", value - step
        yield "NaN", math.nan
        yield "infinity", math.inf
        yield "an array for a number", xr.DataArray([value, value], dims="site")
    elif kind == "array":
        values = as_values(expected).astype(float)
        good = np.argwhere(np.isfinite(values))
        one = tuple(good[np.argmax(np.abs(values[tuple(good.T)]))])
        off = values.copy()
        off[one] += 2 * (exercise.absolute + max(exercise.tolerance, 1e-6) * abs(off[one])) or 1e-6
        yield "one value twice the tolerance off", _like(off, expected)
        gap = values.copy()
        gap[one] = math.nan
        yield "a NaN", _like(gap, expected)
        yield "one value missing", _like(values, expected)[..., :-1]
        if isinstance(expected, xr.DataArray) and exercise.probe is None:
            yield "other dims", expected.rename({expected.dims[0]: "elsewhere"})
        if exercise.probe is None:
            yield "a number for an array", float(np.nanmean(values))
        if values.ndim == 2 and values.shape[0] == values.shape[1] and not close(exercise, values.T, values):
            yield "swapped axes, unlabelled", values.T
    elif kind == "text":
        yield "another text", f"{expected} and more"
        yield "an empty text", ""
    elif kind == "truth":
        yield "the opposite", not bool(as_values(expected))
    elif kind == "ids":
        ids = list(expected)
        yield "an id too many", [*ids, "nobody"]
        yield "none", []
        if len(ids) > 1:
            yield "an id too few", ids[1:]
        if len(ids) > 1 and isinstance(expected, list | tuple):
            yield "another order", ids[::-1]


def _bad_types(expected: Any, *, function: bool) -> Iterator[tuple[str, Any]]:
    yield "None", None
    yield "a dict", {}
    yield "an object", object()
    if function:
        yield "a number for a function", 1.0
        yield "a function that stops", _stops
        yield "a function of nothing", _takes_nothing
        return
    kind = kind_of(expected)
    if kind in ("number", "array"):
        yield "a text for a number", "five"
        yield "texts for numbers", ["a", "b"]
        yield "True for a number", True
        yield "a function", _takes_nothing
    if kind in ("text", "ids", "truth"):
        yield "a number", 17
    if kind == "ids":
        yield "a text for ids", "s001"


def _stops(**_: Any) -> Any:
    raise ZeroDivisionError("division by zero")


def _takes_nothing() -> float:
    return 0.0
