"""Contracts: what a stage reads, what it gives, and the check at the door.

Two decorators for the two tiers. `physics` guards a pure function of quantities; `contract` guards a
stage on a twin or on stamped arrays, stamps what it gives and registers it, so that `explain` can say who
gives a variable and who reads it. `check` is the one test that every stage passes, ours and a learner's.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import xarray as xr

from twinkit.error import TwinError, close_to
from twinkit.vocabulary import Word, label, word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType

__all__ = ["Explanation", "Stage", "check", "contract", "explain", "physics", "stages", "stamp", "whole_seed", "within"]

P = ParamSpec("P")
R = TypeVar("R")

# The only attributes that survive a stamp: xarray carries attributes through arithmetic, so every other
# one may describe an array that this one no longer is.
KEPT = ("provenance", "assumptions", "method", "validity", "flag_values", "flag_meanings")

_registry: dict[str, Stage] = {}


# ---------------------------------------------------------------- stamps and checks of one array


def stamp(array: xr.DataArray, name: str, *, given_by: str = "") -> xr.DataArray:
    """The same values under a name of the vocabulary, with its unit and meaning.

    Parameters
    ----------
    array : DataArray, any shape
        Values in the vocabulary's unit; dims must fit the word (free dims such as ``draw`` may stand beside).
    name : str
        A word of the vocabulary.
    given_by : str, optional
        Dotted name of the function that gives it.

    Errors
    ------
    TwinError
        Unknown name, or dims that the word does not have.

    Examples
    --------
    >>> stamp(xr.DataArray([3.0], dims="site"), "height").attrs["units"]
    'm'
    """
    w = word(name)
    if not w.fits(array.dims):
        raise TwinError(str(w), found=f"dims {tuple(array.dims)}", hint="rename or reduce the dims", where=name)
    attrs = {k: array.attrs[k] for k in KEPT if k in array.attrs}
    attrs |= {"units": w.unit, "long_name": w.meaning.get("en", name)}
    if given_by:
        attrs["given_by"] = given_by
    out = array.rename(name)
    out.attrs = attrs
    return out


def _fault(array: xr.DataArray, w: Word) -> tuple[str, str] | None:
    """What is wrong with the array for this word, and the remedy; None when nothing is. Reads no values."""
    if not w.fits(array.dims):
        return f"dims {tuple(map(str, array.dims))}", "rename or reduce the dims"
    unit = array.attrs.get("units")
    if w.kind != "number":
        return None
    if unit is None:
        return "no unit", f"if the values are in {w.unit}, stamp them: tk.stamp(array, '{w.name}')"
    if unit != w.unit:
        return f"unit '{unit}'", f"convert the values to {w.unit}, then tk.stamp(array, '{w.name}')"
    return None


def within(value: Any, low: float, high: float, *, name: str, unit: str, why: str = "") -> None:
    """Raise unless every value lies in [low, high]. Lazy arrays are left to the block that computes them.

    Parameters
    ----------
    value : float, array or DataArray
    low, high : float [unit]
    name, unit : str
        For the message.
    why : str, optional
        Who sets the range ("ITU-R P.1812-8, section 1").

    Errors
    ------
    TwinError
        A value is outside the range or not a number.
    """
    if isinstance(value, float | int) and low <= value <= high:
        return
    raw = value.data if isinstance(value, xr.DataArray) else value
    if hasattr(raw, "dask"):
        return
    array = np.asarray(raw)
    if array.dtype.kind not in "fiub":
        raise TwinError(f"{name} from {low:g} to {high:g} {unit}", found=repr(value), hint="give a number", where=name)
    if array.size == 0:
        return
    lowest, highest = float(np.min(array)), float(np.max(array))
    if low <= lowest and highest <= high:
        return
    outside = lowest if lowest < low else highest
    found = "a value that is not a number" if math.isnan(lowest) else f"{outside:g} {unit}"
    said = f" ({why})" if why else ""
    raise TwinError(
        f"{name} from {low:g} to {high:g} {unit}{said}",
        found=found,
        hint=f"check the unit: {unit} is asked",
        where=name,
    )


def whole_seed(seed: object, *, bits: int = 63) -> int:
    """The seed, if it is a whole number from 0 of so many bits: one rule, so that one seed serves every stage.

    Errors
    ------
    TwinError
        It is none; True and 1.0 are none either.

    Examples
    --------
    >>> whole_seed(1)
    1
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**bits:
        raise TwinError(
            f"a seed of 0 or more, a whole number below 2^{bits}", found=repr(seed), hint="take seed=1", where="seed"
        )
    return int(seed)


# ---------------------------------------------------------------- tier 1: physics


def physics(
    *,
    gives: str = "",
    valid: Mapping[str, tuple[float, float]] | None = None,
    why: str = "",
    grows_with: str = "",
    **units: str,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Guard a pure function of quantities: units are checked where an argument states one, and stamped on the result.

    Parameters
    ----------
    gives : str
        Vocabulary name of the result, stamped where the result is a DataArray.
    valid : dict of str to (low, high), optional
        Parameter name to the range in which the model holds, in the parameter's unit. Lazy arguments are checked
        block by block as they are computed. The function carries the table as ``function.valid``, so that a stage
        can leave out the pixels for which the model has no answer.
    why : str, optional
        Who sets the ranges, for the message and for maps.
    grows_with : str, optional
        A parameter with which the result never falls, all others fixed. It is a promise: `coverage` leaves out what
        it can prove with it.
    **units : str
        Parameter name to the unit in which the function takes it.

    Errors
    ------
    TwinError
        An argument states another unit, or lies outside its range.

    Examples
    --------
    >>> @physics(gives="path_loss", valid={"distance": (1.0, 1e5)}, distance="m")
    ... def my_loss(distance):
    ...     return 20 * np.log10(distance)
    >>> my_loss(xr.DataArray([10.0], dims="distance", attrs={"units": "km"}))
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: distance: expected distance in m; found unit 'km'. Try: convert it to m.
    >>> my_loss(0.5)
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: distance: expected distance from 1 to 100000 m; found 0.5 m. Try: check the unit...
    """
    ranges = dict(valid or {})

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        unknown = (set(units) | set(ranges) | ({grows_with} - {""})) - set(signature.parameters)
        if unknown:
            raise TwinError(
                f"parameters of {function.__name__}", found=", ".join(sorted(unknown)), hint="name its own parameters"
            )

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            for name, value in bound.arguments.items():
                if isinstance(value, xr.DataArray) and name in units:
                    unit = value.attrs.get("units", units[name])
                    if unit != units[name]:
                        raise TwinError(
                            f"{name} in {units[name]}",
                            found=f"unit '{unit}'",
                            hint=f"convert it to {units[name]}",
                            where=name,
                        )
                if name in ranges:
                    bound.arguments[name] = _ranged(value, ranges[name], name, units.get(name, "1"), why)
            result = function(*bound.args, **bound.kwargs)
            if isinstance(result, xr.DataArray) and gives:
                w = word(gives)
                # a physics function is elementwise, so it may have any dims: only name and unit are stamped
                renamed = result.rename(gives)
                renamed.attrs = {"units": w.unit, "long_name": w.meaning.get("en", gives)}
                return renamed  # type: ignore[return-value]
            return result

        guarded.valid = ranges  # type: ignore[attr-defined]
        guarded.why = why  # type: ignore[attr-defined]
        guarded.grows_with = grows_with  # type: ignore[attr-defined]
        return guarded

    return decorate


def _ranged(value: Any, limits: tuple[float, float], name: str, unit: str, why: str) -> Any:
    """The value, checked now, or, where it is lazy, checked when its blocks are computed."""
    raw = value.data if isinstance(value, xr.DataArray) else value
    if not hasattr(raw, "dask"):
        within(raw, *limits, name=name, unit=unit, why=why)
        return value

    def checked(block: Any) -> Any:
        within(block, *limits, name=name, unit=unit, why=why)
        return block

    guarded = raw.map_blocks(checked, dtype=raw.dtype, meta=raw._meta)
    return value.copy(data=guarded) if isinstance(value, xr.DataArray) else guarded


# ---------------------------------------------------------------- tier 2: stages


@dataclass(frozen=True)
class Stage:
    """A registered stage: its name, what it reads and gives, and whether it computes."""

    name: str
    function: Callable[..., Any]
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    computes: bool

    @property
    def meaning(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]

    def admit(self, data: tuple[Any, ...]) -> None:
        """The check at the door: everything that the stage reads is there, in the right unit and dims."""
        tree = next((d for d in data if isinstance(d, xr.DataTree)), None)
        loose = [d for d in data if isinstance(d, xr.DataArray | xr.Dataset)]
        for need in self.reads:
            w = word(need.rpartition("/")[2])
            array = _in_tree(tree, need, self.name) if "/" in need else _in_arrays(loose, need, self.name)
            fault = _fault(array, w)
            if fault:
                found, hint = fault
                raise TwinError(str(w), found=found, hint=hint, where=f"{need} (read by {self.name})")

    def stamped(self, result: Any) -> Any:
        """What the stage gives, each variable under its name, unit and meaning."""
        if isinstance(result, xr.DataArray) and len(self.gives) == 1:
            return stamp(result, self.gives[0], given_by=self.name)
        if isinstance(result, xr.Dataset):
            missing = [g for g in self.gives if g not in result]
            if not missing:
                return result.assign({g: stamp(result[g], g, given_by=self.name) for g in self.gives})
            raise TwinError(
                f"{self.name} to give {', '.join(self.gives)}",
                found=f"no {', '.join(missing)}",
                hint="return them, or correct gives=[...]",
            )
        raise TwinError(
            f"{self.name} to give {'one DataArray' if len(self.gives) == 1 else 'a Dataset'}",
            found=f"a {type(result).__name__}",
            hint="return labelled arrays",
        )


def _in_tree(tree: xr.DataTree | None, need: str, stage: str) -> xr.DataArray:
    node, _, name = need.rpartition("/")
    if tree is None:
        raise TwinError(
            f"a twin with {need}", found="no twin among the arguments", hint="give the twin first", where=stage
        )
    if node not in tree.children:
        near = close_to(node, tree.children)
        raise TwinError(
            f"a twin with {need}, which {stage} reads",
            found=f"no node '{node}' (there are: {', '.join(tree.children) or 'none'})",
            hint=f"did you mean {near}?" if near else f"add it: tk.extend(twin, {node}=...)",
            where=need,
        )
    # a Dataset view: DataTree item access would also find coordinates inherited from above
    there = tree.children[node].to_dataset(inherit=False)
    if name not in there.variables:
        near = close_to(name, there.variables)
        raise TwinError(
            f"a twin with {need}, which {stage} reads",
            found=f"no '{name}' in '{node}' (there are: {', '.join(map(str, there.variables))})",
            hint=f"did you mean {near}?" if near else f"add it: tk.extend(twin, {node}=...)",
            where=need,
        )
    return there[name]


def _in_arrays(arrays: list[Any], need: str, stage: str) -> xr.DataArray:
    for a in arrays:
        if isinstance(a, xr.Dataset) and need in a.variables:
            return a[need]
        if isinstance(a, xr.DataArray) and a.name == need:
            return a
    names = [str(a.name) if isinstance(a, xr.DataArray) else "(" + ", ".join(map(str, a)) + ")" for a in arrays]
    raise TwinError(
        f"an array named '{need}', which {stage} reads",
        found=", ".join(names) or "no labelled array",
        hint=f"pass it in the order in which data flows, or name it: tk.stamp(array, '{need}')",
        where=need,
    )


def contract(
    *, reads: Iterable[str] = (), gives: Iterable[str] = (), computes: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare what a stage reads and gives; the inputs are checked, the outputs stamped, the stage registered.

    Parameters
    ----------
    reads : list of str
        ``"node/variable"`` of the twin, or the bare name of a stamped array among the arguments.
    gives : list of str
        Names of the vocabulary; one name for a DataArray, several for a Dataset.
    computes : bool
        True for a stage that solves or fits: it may read its data once. All others stay lazy.

    Errors
    ------
    TwinError
        At once, when a name is not in the vocabulary, a choice is not keyword-only, or ``**kwargs`` is taken.

    Examples
    --------
    >>> @contract(reads=["sites/height"], gives=["height"])
    ... def taller(twin, *, by):
    ...     return twin["sites/height"] + by
    >>> tree = xr.DataTree(children={"sites": xr.DataTree()})
    >>> taller(tree, by=3)
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: sites/height: expected a twin with sites/height, which ...
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        for p in inspect.signature(function).parameters.values():
            if p.kind is p.VAR_KEYWORD or (p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty):
                raise TwinError(
                    "data as positional parameters without default, choices as keyword-only ones",
                    found=f"'{p}' in {function.__qualname__}",
                    hint="put a * before the choices and name each of them",
                )
        name = f"{function.__module__}.{function.__qualname__}"
        stage = Stage(name, function, tuple(reads), tuple(gives), computes)
        for needed in (*stage.reads, *stage.gives):
            word(needed.rpartition("/")[2])

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            stage.admit((*args, *kwargs.values()))
            return stage.stamped(function(*args, **kwargs))

        guarded.stage = stage  # type: ignore[attr-defined]
        _registry[name] = stage
        return guarded

    return decorate


# ---------------------------------------------------------------- who gives what

# Entry points and pictures register no stage, and importing them would load panel or papermill.
NO_STAGES = {"view", "study", "lesson", "cli", "participate.tables", "__main__"}


def stages() -> dict[str, Stage]:
    """Every stage of twinkit and of this session by dotted name, after importing every stage module."""
    for module in _stage_modules(sys.modules["twinkit"]):
        importlib.import_module(module)
    return dict(sorted(_registry.items()))


def _stage_modules(package: ModuleType) -> Iterator[str]:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if NO_STAGES & {module.name.split(".")[1], module.name.partition(".")[2]}:
            continue
        yield module.name
        if module.ispkg:
            yield from _stage_modules(importlib.import_module(module.name))


@dataclass(frozen=True)
class Explanation:
    """What a variable means, who gives it and who reads it; prints as text."""

    word: Word
    given_by: tuple[str, ...]
    read_by: tuple[str, ...]

    def __repr__(self) -> str:
        w = self.word
        lines = [f"{w.name}: {label(w.name)}"]
        lines.append("dims      " + " or ".join("(" + ", ".join(d) + ")" for d in w.dims))
        if math.isfinite(w.low) or math.isfinite(w.high):
            lines.append(f"range     {w.low:g} to {w.high:g} {w.unit}")
        if not math.isnan(w.period):
            lines.append(f"period    {w.period:g} s")
        lines.append("given by  " + (", ".join(self.given_by) or "data (no stage gives it)"))
        lines.append("read by   " + (", ".join(self.read_by) or "no stage"))
        return "\n".join(lines)


def explain(name: str) -> Explanation:
    """Say what a variable means, which stages give it and which read it.

    Errors
    ------
    TwinError
        The name is not in the vocabulary; close ones are offered.

    Examples
    --------
    >>> explain("population").word.unit
    'people'
    """
    w = word(name.rpartition("/")[2])
    known = stages().values()
    return Explanation(
        w,
        given_by=tuple(s.name for s in known if w.name in s.gives),
        read_by=tuple(s.name for s in known if w.name in {r.rpartition("/")[2] for r in s.reads}),
    )


# The one test of every stage reads what stands above.
from twinkit.contract.promises import check  # noqa: E402
