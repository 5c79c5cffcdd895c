"""One exercise: what is asked, how the right answer follows from the twin, and how people go wrong.

The expected answer is a function of the twin in front of the learner and is never stored, so that a lesson
travels to any region. `compare` says whether an answer is right, and if its type or shape is already wrong.
"""

from __future__ import annotations

import inspect
import numbers
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError, close_to
from twinkit.lesson.messages import say

__all__ = ["Exercise", "Fault", "Misconception", "as_values", "compare", "exercise"]

HINTS = 3


@dataclass(frozen=True)
class Fault:
    """Why an answer is not right, before any diagnosis: a sentence for the learner."""

    text: str


@dataclass(frozen=True)
class Misconception:
    """A known way to go wrong: its name, what to tell the learner, and the answer that it leads to."""

    name: str
    text: str
    wrong: Callable[..., Any]


@dataclass
class Exercise:
    """What `exercise` makes of a function; see there."""

    name: str
    objective: str
    expected: Callable[..., Any]
    unit: str = "1"
    tolerance: float = 1e-3
    absolute: float = 0.0
    hints: tuple[str, ...] = ()
    minutes: float = 4.0
    points: float = 1.0
    same_everywhere: str = ""
    sequence: str = "time"
    weights: Callable[..., tuple[Any, Any]] | None = None
    probe: Callable[..., Iterable[Mapping[str, Any]]] | None = None
    contract: Callable[..., Any] | None = None
    misconceptions: dict[str, Misconception] = field(default_factory=dict)
    _known: dict[tuple[int, str], tuple[Any, Any]] = field(default_factory=dict, repr=False)

    def __call__(self, twin: Any) -> Any:
        """The right answer on this twin; see `answer`."""
        return self.answer(twin)

    def misconception(self, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Record a known way to go wrong: decorate the function of the twin that gives the wrong answer.

        Parameters
        ----------
        text : str
            The diagnosis, said to the learner: what was probably done, and why it is something else.

        Errors
        ------
        TwinError
            The name is taken, or the text is empty.
        """

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            if function.__name__ in self.misconceptions or not text.strip():
                raise TwinError(
                    "a misconception with a name of its own and a text",
                    found=f"'{function.__name__}' twice" if text.strip() else "an empty text",
                    hint="name the function after the mistake, and say what was done and what was asked",
                    where=f"exercise '{self.name}'",
                )
            self.misconceptions[function.__name__] = Misconception(function.__name__, text.strip(), function)
            return function

        return decorate

    def answer(self, twin: Any, function: Callable[..., Any] | None = None) -> Any:
        """The right answer on this twin (or what `function`, a misconception, gives), as plain values.

        A function asked of the learner comes back as its results on the exercise's probes. Computed once a twin:
        a check asks for the same answers at every attempt.

        Errors
        ------
        TwinError
            The function fails on this twin: the exercise is at fault, not the learner.
        """
        function = function or self.expected
        key = (id(twin), function.__name__)
        if key not in self._known:
            try:
                value = function(twin)
                if self.probe and callable(value):
                    value = self.probed(twin, value)
            except TwinError:
                raise
            except Exception as fault:
                raise TwinError(
                    f"'{function.__name__}' to work on this twin",
                    found=f"{type(fault).__name__}: {fault}",
                    hint="mend it in exercises.py; a mistake that cannot show on a twin gives None there",
                    where=f"exercise '{self.name}'",
                ) from fault
            # the twin is kept beside the value, so that no other twin can take its id
            self._known[key] = (twin, value)
        return self._known[key][1]

    def probed(self, twin: Any, function: Callable[..., Any]) -> Any:
        """What a learner's function gives on the probes, stacked along `probe` where they are numbers or arrays."""
        if self.probe is None:
            raise TwinError("an exercise with probes", found=f"'{self.name}' without", hint="give probe=...")
        # attributes differ between two correct functions (a stamp, or none); the values are what is asked
        results = [_bare(function(**arguments)) for arguments in self.probe(twin)]
        return results[0] if len(results) == 1 else xr.concat(results, dim="probe", coords="minimal", compat="override")

    @property
    def solution(self) -> str:
        """The way to the answer as text: the explanation, then the code that computes it."""
        try:
            source = textwrap.dedent(inspect.getsource(self.expected))
        except OSError:  # the file is gone since it was read
            source = ""
        lines = source.splitlines()
        start = next((i for i, line in enumerate(lines) if line.startswith("def ")), 0)
        return "\n".join(lines[start:])


def exercise(
    name: str,
    *,
    objective: str,
    hints: Iterable[str],
    unit: str = "1",
    tolerance: float = 1e-3,
    absolute: float = 0.0,
    minutes: float = 4.0,
    points: float = 1.0,
    same_everywhere: str = "",
    sequence: str = "time",
    weights: Callable[..., tuple[Any, Any]] | None = None,
    probe: Callable[..., Iterable[Mapping[str, Any]]] | None = None,
    contract: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Exercise]:
    """Make an exercise of the function that computes the right answer from the twin.

    An answer is accepted when it lies within ``absolute + tolerance * abs(expected)`` of the expected one.

    Parameters
    ----------
    name : str
        Lower-case words joined by hyphens (``"free-space"``); the answer's variable is the same with underscores.
    objective : str
        Id of the objective on the lesson's card that this exercise checks.
    hints : three str
        First where to look, then which step, then almost the code.
    unit : str
        Unit of the answer; it decides which slips can happen to it. "1" for text, ids, counts and ratios.
    tolerance : float [1]
        Relative tolerance.
    absolute : float [unit]
        Absolute tolerance, added to the relative one.
    minutes : float
        What a learner needs, with one wrong attempt.
    points : float
        Credit in nbgrader.
    same_everywhere : str
        Why the answer is the same in every region, where it is; "" asks that another region's answer be rejected.
    sequence : str
        The dim along which an answer can be one step late.
    weights : function of the twin → (values, weights), optional
        For an answer that is a weighted mean (people, not pixels): lets the kit know the unweighted one.
    probe : function of the twin → list of keyword arguments, optional
        For an answer that is a function: the calls on which it is compared.
    contract : function of (twin, answer), optional
        A further test that the answer must pass; its TwinError is the learner's diagnosis.

    Errors
    ------
    TwinError
        Not three hints, no objective, a name that is no name, or a tolerance below zero.

    Examples
    --------
    >>> @exercise("people", objective="count", unit="people", hints=["where?", "which sum?", "surface/people"])
    ... def people(twin):
    ...     return float(twin["surface/people"].sum())
    >>> @people.misconception("You added the settlements of `places` only.")
    ... def places_only(twin):
    ...     return float(twin["places/population"].sum())
    >>> people.name, list(people.misconceptions)
    ('people', ['places_only'])
    """

    def decorate(function: Callable[..., Any]) -> Exercise:
        where = f"exercise '{name}'"
        steps = tuple(h.strip() for h in hints)
        if not name.replace("-", "_").isidentifier() or name != name.lower() or "_" in name:
            raise TwinError("a name like 'free-space'", found=f"'{name}'", hint="lower case, hyphens", where=where)
        if not objective:
            raise TwinError("an objective", found="none", hint="name one of the card's objectives", where=where)
        if len(steps) != HINTS or not all(steps):
            raise TwinError(f"{HINTS} hints", found=str(len(steps)), hint="where, which step, almost", where=where)
        if min(tolerance, absolute) < 0 or not np.isfinite(tolerance + absolute):
            raise TwinError("a tolerance of zero or more", found=f"{tolerance}", hint="leave it out", where=where)
        return Exercise(
            name,
            objective,
            function,
            unit=unit,
            tolerance=tolerance,
            absolute=absolute,
            hints=steps,
            minutes=minutes,
            points=points,
            same_everywhere=same_everywhere,
            sequence=sequence,
            weights=weights,
            probe=probe,
            contract=contract,
        )

    return decorate


# ---------------------------------------------------------------- is it right?


def kind_of(value: Any) -> str:
    """The kind of an expected answer: truth, number, text, ids, array."""
    if isinstance(value, bool | np.bool_):
        return "truth"
    if isinstance(value, str):
        return "text"
    if isinstance(value, set | frozenset | list | tuple) and all(isinstance(v, str) for v in value):
        return "ids"
    if isinstance(value, numbers.Number | np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return "number"
    if isinstance(value, xr.DataArray):
        return "array" if value.ndim else ("truth" if value.dtype == bool else "number")
    if isinstance(value, np.ndarray | list | tuple):
        return "array"
    raise TwinError(
        "an expected answer that is a number, an array, text, ids, true or false, or a function with probes",
        found=f"a {type(value).__name__}",
        hint="reduce it to what is asked of the learner",
        where="exercises.py",
    )


def as_values(value: Any) -> np.ndarray:
    """The plain values of a number or array, computed where they were lazy."""
    if isinstance(value, xr.DataArray):
        value = value.values
    elif hasattr(value, "compute"):
        value = value.compute()
    return np.asarray(value)


def compare(exercise: Exercise, answer: Any, expected: Any, *, language: str = "en") -> Fault | None:
    """None when the answer is right; otherwise a `Fault` that says what is plainly wrong with it, or ``Fault("")``
    when only the value is.

    Errors
    ------
    TwinError
        The expected answer itself is of a kind that cannot be compared.
    """
    kind = kind_of(expected)
    if kind == "text":
        return _compare_text(answer, str(expected), language)
    if kind == "truth":
        if isinstance(answer, xr.DataArray) and answer.ndim == 0:
            answer = answer.values[()]
        if not isinstance(answer, bool | np.bool_):
            return Fault(say("wrong-type", language, wanted="True / False", found=described(answer)))
        return None if bool(answer) == bool(expected) else Fault("")
    if kind == "ids":
        return _compare_ids(answer, expected, language)
    return _compare_numbers(exercise, answer, expected, language)


def _compare_text(answer: Any, expected: str, language: str) -> Fault | None:
    if isinstance(answer, xr.DataArray) and answer.ndim == 0:
        answer = answer.values[()]
    if not isinstance(answer, str):
        return Fault(say("wrong-type", language, wanted="'text'", found=described(answer)))
    return None if answer.strip().casefold() == expected.strip().casefold() else Fault("")


def _compare_ids(answer: Any, expected: Any, language: str) -> Fault | None:
    if isinstance(answer, xr.DataArray | np.ndarray):
        answer = [str(a) for a in np.asarray(answer).ravel()]
    if isinstance(answer, str) or not isinstance(answer, set | frozenset | list | tuple):
        return Fault(say("wrong-type", language, wanted="['a', 'b']", found=described(answer)))
    given = [str(a).strip() for a in answer]
    ordered = isinstance(expected, list | tuple)
    if (given == list(expected)) if ordered else (len(set(given)) == len(given) and set(given) == set(expected)):
        return None
    missing, extra = len(set(expected) - set(given)), len(set(given) - set(expected))
    if not missing and not extra:
        return Fault(say("wrong-order", language) if ordered else say("repeated", language))
    return Fault(say("ids", language, missing=missing, extra=extra))


def _compare_numbers(exercise: Exercise, answer: Any, expected: Any, language: str) -> Fault | None:
    wanted_dims = tuple(map(str, expected.dims)) if isinstance(expected, xr.DataArray) else ()
    goal = as_values(expected).astype(float)
    shape = f"({', '.join(wanted_dims)})" if wanted_dims else str(goal.shape)
    wanted = say("one-number", language) if goal.ndim == 0 else say("an-array", language, shape=shape)
    if isinstance(answer, bool | np.bool_ | str) or answer is None or callable(answer):
        return Fault(say("wrong-type", language, wanted=wanted, found=described(answer)))
    if isinstance(answer, xr.Dataset | xr.DataTree | Mapping | set):
        return Fault(say("wrong-type", language, wanted=wanted, found=described(answer)))
    if isinstance(answer, xr.DataArray) and wanted_dims:
        if set(map(str, answer.dims)) != set(wanted_dims):
            return Fault(say("wrong-dims", language, wanted=shape, found=described(answer)))
        answer = _like(answer.transpose(*wanted_dims), expected)
    values = as_values(answer)
    if values.dtype.kind not in "fiubc" or values.dtype == bool or values.dtype.kind == "c":
        return Fault(say("wrong-type", language, wanted=wanted, found=described(answer)))
    if values.shape != goal.shape:
        return Fault(say("wrong-dims", language, wanted=shape, found=described(answer)))
    values = values.astype(float)
    gaps = np.isnan(goal)
    if np.isnan(values[~gaps]).any() or (gaps.any() and not np.isnan(values[gaps]).all()):
        return Fault(say("not-a-number", language, count=int(np.isnan(values[~gaps]).sum())))
    if np.isinf(values[~gaps]).any() and not np.isinf(goal[~gaps]).any():
        return Fault(say("not-a-number", language, count=int(np.isinf(values).sum())))
    return None if close(exercise, values, goal) else Fault("")


def _like(answer: xr.DataArray, expected: xr.DataArray) -> xr.DataArray:
    """The answer in the order of the expected one's labels, where both have the same labels."""
    for dim in expected.dims:
        if dim in expected.indexes and dim in answer.indexes:
            own, other = answer.indexes[dim], expected.indexes[dim]
            if not own.equals(other) and own.is_unique and len(own) == len(other) and set(own) == set(other):
                answer = answer.reindex({dim: other})
    return answer


def close(exercise: Exercise, values: np.ndarray, goal: np.ndarray) -> bool:
    """Whether two arrays of one shape agree within the exercise's tolerance; NaN in `goal` stands for anything."""
    if values.shape != goal.shape:
        return False
    known = ~np.isnan(goal)
    # a grain of rounding beside the tolerance: float32 sums of a map differ in their last digits
    allowed = exercise.absolute + np.maximum(exercise.tolerance, 1e-9) * np.abs(goal[known])
    with np.errstate(invalid="ignore"):
        return bool(np.all((values[known] == goal[known]) | (np.abs(values[known] - goal[known]) <= allowed)))


def described(answer: Any) -> str:
    """What an answer is, in a few words for the learner."""
    if isinstance(answer, xr.DataArray):
        return f"DataArray ({', '.join(f'{d}: {n}' for d, n in answer.sizes.items())})"
    if isinstance(answer, np.ndarray):
        return f"array {answer.shape}"
    if isinstance(answer, str):
        return f"'{answer[:40]}'"
    if isinstance(answer, bool | numbers.Number):
        return repr(answer)
    if answer is None:
        return "None"
    return type(answer).__name__


def _bare(value: Any) -> xr.DataArray:
    if isinstance(value, xr.Dataset):
        # a state, as a step of dynamics gives it: its variables side by side, in whatever order they stand
        value = value[sorted(map(str, value.data_vars))].reset_coords(drop=True).to_array("state_variable")
    array = value if isinstance(value, xr.DataArray) else xr.DataArray(value)
    return array.drop_attrs().rename(None)


def find(exercises: Mapping[str, Exercise], name: object, *, where: str) -> Exercise:
    """The exercise of that name; close ones are offered."""
    if isinstance(name, str) and name in exercises:
        return exercises[name]
    near = close_to(str(name), exercises)
    raise TwinError(
        f"an exercise of {where}",
        found=f"'{name}'",
        hint=f"did you mean {near}?" if near else f"there are: {', '.join(exercises)}",
    )
