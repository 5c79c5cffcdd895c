"""The slips that happen to everybody, and the diagnosis that names them.

A slip is a map from the right answer to the wrong number that it produces. Given an answer, `diagnose` applies
every slip and every misconception of the exercise to the right answer and names all that land on it: where two
slips give one number, both are named, because the number cannot tell which was made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.lesson.exercise import Exercise, as_values, close, kind_of
from twinkit.lesson.messages import say

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SLIPS", "Diagnosis", "Slip", "diagnose", "wrong_answers"]

# e.g. a power [W] of 2e-3 is "2 mW": only these quantities are ever written both ways
LINEAR_UNITS = frozenset({"1", "W", "mW"})
ANGLES = frozenset({"degree", "radian"})


@dataclass(frozen=True)
class Diagnosis:
    """What probably happened: the name of a slip or misconception, and the sentence for the learner."""

    name: str
    text: str
    own: bool = False


@dataclass(frozen=True)
class Right:
    """The right answer as a slip sees it: values, dims, unit, and the exercise with its twin."""

    values: np.ndarray
    dims: tuple[str, ...]
    unit: str
    exercise: Exercise
    twin: Any

    @property
    def decibels(self) -> bool:
        return self.unit.startswith("dB")


@dataclass(frozen=True)
class Slip:
    """A general slip: its name, the key of its message, and the wrong values it makes of the right ones.

    `wrong` gives None where the slip cannot happen to this quantity; NaN in what it gives stands for any value.
    """

    name: str
    message: str
    wrong: Callable[[Right], np.ndarray | None]


def _times(factor: float, *, decibels: bool, units: frozenset[str] | None = None) -> Callable[[Right], Any]:
    def wrong(right: Right) -> np.ndarray | None:
        if right.decibels != decibels or (units is not None and right.unit not in units):
            return None
        # an angle has no prefix: nobody writes kilodegrees
        if units is None and right.unit in ANGLES:
            return None
        return right.values * factor

    return wrong


def _plus(shift: float, *, units: frozenset[str] | None = None) -> Callable[[Right], Any]:
    def wrong(right: Right) -> np.ndarray | None:
        if not right.decibels or (units is not None and right.unit not in units):
            return None
        return right.values + shift

    return wrong


def _angle(factor: float) -> Callable[[Right], Any]:
    return lambda right: right.values * factor if right.unit in ANGLES else None


def _transposed(right: Right) -> np.ndarray | None:
    return np.swapaxes(right.values, -1, -2) if right.values.ndim >= 2 else None


def _shifted(step: int) -> Callable[[Right], Any]:
    def wrong(right: Right) -> np.ndarray | None:
        if right.exercise.sequence not in right.dims:
            # a position or a count: one step late is the neighbour
            whole = right.values.ndim == 0 and right.values.dtype.kind in "iu"
            return right.values + step if whole and right.unit == "1" else None
        axis = right.dims.index(right.exercise.sequence)
        if right.values.shape[axis] < 3:
            return None
        moved = np.roll(right.values.astype(float), step, axis=axis)
        edge: list[Any] = [slice(None)] * moved.ndim
        edge[axis] = 0 if step > 0 else -1
        # what a shift puts at the edge is up to the learner's code: NaN, a repeat, the other end
        moved[tuple(edge)] = np.nan
        return moved

    return wrong


def _linear(right: Right) -> np.ndarray | None:
    if right.decibels:
        with np.errstate(over="ignore"):
            return 10.0 ** (right.values / 10)
    if right.unit in LINEAR_UNITS and right.values.dtype.kind == "f" and bool(np.all(right.values > 0)):
        return 10 * np.log10(right.values)
    return None


def _unweighted(right: Right) -> np.ndarray | None:
    if right.exercise.weights is None:
        return None
    values, _ = right.exercise.weights(right.twin)
    return np.asarray(as_values(values).astype(float).mean())


SLIPS: tuple[Slip, ...] = (
    Slip("thousand-up", "slip-thousand", _times(1e3, decibels=False)),
    Slip("thousand-down", "slip-thousand", _times(1e-3, decibels=False)),
    Slip("million-up", "slip-million", _times(1e6, decibels=False)),
    Slip("million-down", "slip-million", _times(1e-6, decibels=False)),
    Slip("thousand-20log-up", "slip-thousand-20log", _plus(60)),
    Slip("thousand-20log-down", "slip-thousand-20log", _plus(-60)),
    Slip("million-20log-up", "slip-million-20log", _plus(120)),
    Slip("million-20log-down", "slip-million-20log", _plus(-120)),
    Slip("thousand-10log-up", "slip-thousand-10log", _plus(30)),
    Slip("thousand-10log-down", "slip-thousand-10log", _plus(-30)),
    Slip("million-10log-up", "slip-million-10log", _plus(60)),
    Slip("million-10log-down", "slip-million-10log", _plus(-60)),
    Slip("dbm-as-dbw", "slip-dbm-dbw", _plus(-30, units=frozenset({"dBm", "dBW"}))),
    Slip("dbw-as-dbm", "slip-dbm-dbw", _plus(30, units=frozenset({"dBm", "dBW"}))),
    Slip("twenty-for-ten", "slip-ten-twenty", _times(2, decibels=True)),
    Slip("ten-for-twenty", "slip-ten-twenty", _times(0.5, decibels=True)),
    Slip("ln-for-log10", "slip-ln-log10", _times(math.log(10), decibels=True)),
    Slip("log10-for-ln", "slip-ln-log10", _times(1 / math.log(10), decibels=True)),
    Slip("degree-as-radian", "slip-degree-radian", _angle(math.pi / 180)),
    Slip("radian-as-degree", "slip-degree-radian", _angle(180 / math.pi)),
    Slip("sign", "slip-sign", lambda right: -right.values),
    Slip("transposed", "slip-transposed", _transposed),
    Slip("one-late", "slip-late", _shifted(1)),
    Slip("one-early", "slip-late", _shifted(-1)),
    Slip("linear-decibel", "slip-linear-decibel", _linear),
    Slip("pixel-person", "slip-pixel-person", _unweighted),
    Slip("percent-up", "slip-percent", _times(100, decibels=False, units=frozenset({"1", "%"}))),
    Slip("percent-down", "slip-percent", _times(0.01, decibels=False, units=frozenset({"1", "%"}))),
)
"""Powers of 1000, dBm/dBW, 10 log/20 log, ln/log10, degrees/radians, sign, transposed axes, one step late,
linear/dB, per pixel/per person, share/percentage."""


def right_answer(exercise: Exercise, twin: Any, expected: Any) -> Right:
    """The right answer in the form that slips take."""
    values = as_values(expected)
    if values.dtype.kind in "iu" and exercise.unit != "1":
        values = values.astype(float)
    dims = tuple(map(str, expected.dims)) if isinstance(expected, xr.DataArray) else ()
    return Right(values, dims, exercise.unit, exercise, twin)


def wrong_answers(exercise: Exercise, twin: Any, expected: Any) -> dict[str, np.ndarray]:
    """Slip name to the wrong values that it makes of the right answer; those that change nothing are left out.

    Parameters
    ----------
    exercise : Exercise
    twin : DataTree
    expected : number or array
        The right answer; other kinds have no general slips.
    """
    if kind_of(expected) not in ("number", "array"):
        return {}
    right = right_answer(exercise, twin, expected)
    goal = right.values.astype(float)
    found = {}
    for slip in SLIPS:
        wrong = slip.wrong(right)
        if wrong is None or (wrong.shape == goal.shape and close(exercise, goal, np.asarray(wrong, dtype=float))):
            continue
        found[slip.name] = wrong
    return found


def diagnose(
    exercise: Exercise,
    twin: Any,
    answer: Any,
    expected: Any,
    *,
    language: str = "en",
    texts: dict[str, str] | None = None,
) -> list[Diagnosis]:
    """Everything that leads from the right answer to this one: the exercise's misconceptions, then general slips.

    Parameters
    ----------
    exercise : Exercise
    twin : DataTree
    answer : what the learner gave; already known to be wrong
    expected : the right answer
    language : str
    texts : dict of str to str, optional
        Translated texts of the misconceptions by name.

    Returns
    -------
    list of Diagnosis
        Empty when nothing known leads there.
    """
    from twinkit.lesson.exercise import compare

    found = []
    for misconception in exercise.misconceptions.values():
        wrong = exercise.answer(twin, misconception.wrong)
        if wrong is None or compare(exercise, wrong, expected) is None:
            continue  # on this twin the mistake does not show, so it cannot be told from the right answer
        if compare(exercise, answer, wrong) is None:
            text = (texts or {}).get(misconception.name, misconception.text)
            found.append(Diagnosis(misconception.name, text, own=True))
    if kind_of(expected) in ("number", "array"):
        values = _plain(answer, expected)
        if values is not None:
            by_name = {s.name: s for s in SLIPS}
            for name, wrong in wrong_answers(exercise, twin, expected).items():
                if close(exercise, values, np.asarray(wrong, dtype=float)):
                    found.append(Diagnosis(name, say(by_name[name].message, language)))
    return found


def _plain(answer: Any, expected: Any) -> np.ndarray | None:
    """The answer's values in the order of the expected dims; None when they are no numbers at all."""
    labelled = isinstance(answer, xr.DataArray) and isinstance(expected, xr.DataArray)
    if labelled and set(answer.dims) == set(expected.dims):
        answer = answer.transpose(*expected.dims)
    try:
        return as_values(answer).astype(float)
    except (TypeError, ValueError):
        return None
