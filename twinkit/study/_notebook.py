"""A notebook as source: its parameters, and whether the values given are ones that it takes."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Source", "admitted", "parameters", "read", "resolve"]

TAG = "parameters"
WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}
LESSON = "lesson.ipynb"


class _Unknown:
    """A default whose value only the kernel knows, such as ``Path.home()``: any value may replace it."""

    def __repr__(self) -> str:
        return "(computed in the notebook)"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Source:
    """A notebook that was read: where from, its JSON text, its parameters with their defaults."""

    path: Path
    text: str
    parameters: dict[str, Any]
    types: dict[str, type]
    tagged: bool

    @property
    def name(self) -> str:
        # every lesson's notebook is called so: its folder says which one it is
        return f"{self.path.resolve().parent.name}/{LESSON}" if self.path.name == LESSON else self.path.name

    @property
    def digest(self) -> str:
        """sha256 of what the notebook does: its code cells, whatever its prose and outputs."""
        cells = [_joined(c["source"]) for c in json.loads(self.text)["cells"] if c["cell_type"] == "code"]
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def read(notebook: str | Path) -> Source:
    """Read a notebook and its parameters cell without running it.

    Errors
    ------
    TwinError
        No such file, not a notebook, or a parameters cell that is no valid Python.
    """
    path = Path(notebook)
    if not path.is_file():
        near = close_to(path.name, [p.name for p in path.parent.glob("*.ipynb")]) if path.parent.is_dir() else ""
        raise TwinError(
            "the path of a notebook",
            found="a folder" if path.is_dir() else "no such file",
            hint=f"did you mean {near}?" if near else "give the path of an .ipynb file",
            where=str(notebook),
        )
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        cells = whole["cells"]
        sources = [(c["cell_type"], _joined(c["source"]), c.get("metadata", {}).get("tags", [])) for c in cells]
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise TwinError(
            "a Jupyter notebook (nbformat 4)",
            found=f"another content ({type(fault).__name__}: {fault})",
            hint="open it in JupyterLab and save it again, or take it from version control",
            where=str(path),
        ) from None
    tagged = [text for kind, text, tags in sources if kind == "code" and TAG in tags]
    defaults, types = _defaults(tagged[0], path) if tagged else ({}, {})
    return Source(path, json.dumps(whole), defaults, types, bool(tagged))


def parameters(notebook: str | Path) -> dict[str, Any]:
    """The parameters of a notebook and their defaults, without running it.

    Parameters
    ----------
    notebook : path

    Returns
    -------
    dict
        Name to default, in the order of the cell tagged ``parameters``; empty where there is none.

    Errors
    ------
    TwinError
        No such file, not a notebook, or a parameters cell that is no valid Python.
    """
    return dict(read(notebook).parameters)


def admitted(source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values as the notebook takes them; strict in name and type, before anything runs.

    Errors
    ------
    TwinError
        A name that the parameters cell does not set (close ones are offered), or a value of another type.
    """
    if given and not source.tagged:
        raise TwinError(
            f"a cell tagged '{TAG}' that takes {', '.join(map(repr, given))}",
            found="no such cell",
            hint=f"tag the cell that holds the choices: in JupyterLab, Property Inspector, add the tag '{TAG}'",
            where=source.name,
        )
    for name in given:
        if name not in source.parameters:
            near = close_to(name, source.parameters)
            there = ", ".join(source.parameters) or "none"
            raise TwinError(
                f"a parameter of {source.name}",
                found=f"'{name}' (its parameters are: {there})",
                hint=f"did you mean {near}?" if near else "use one of them, or add it to the parameters cell",
                where=f"parameter '{name}'",
            )
    return {name: _taken(source, name, value) for name, value in given.items()}


def resolve(path: str) -> Callable[..., Any]:
    """The function that a dotted path names: the one place where a model may be given as text.

    Parameters
    ----------
    path : str
        Module and function, e.g. ``"twinkit.radio.free_space"`` or ``"my_models.loss"`` (``tk.`` stands for
        ``twinkit.``).

    Returns
    -------
    callable

    Errors
    ------
    TwinError
        No such module or function (close ones are offered), or what it names is no function.

    Examples
    --------
    >>> resolve("math.sqr")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: math.sqr: expected a function of math; found no 'sqr' in it. Try: ... 'sqrt'...
    """
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise TwinError(
            "a dotted path to a function", found=repr(path), hint="write it like 'twinkit.radio.free_space'"
        )
    parts = path.split(".")
    if parts[0] == "tk":
        parts[0] = "twinkit"
    found: Any = None
    rest: list[str] = []
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            found, rest = importlib.import_module(module), parts[cut:]
            break
        except ModuleNotFoundError as fault:
            if fault.name is None or not (module == fault.name or module.startswith(fault.name + ".")):
                raise TwinError(
                    "a module that can be imported",
                    found=f"no module '{fault.name}', which {module} needs",
                    hint=f"install it: pip install {fault.name}",
                    where=path,
                ) from None
    if not rest:
        raise TwinError(
            "a dotted path to a function",
            found=f"no module '{parts[0]}'",
            hint="check the spelling, and run from the folder that holds the module",
            where=path,
        )
    held = ".".join(parts[: len(parts) - len(rest)])
    for name in rest:
        try:
            found = getattr(found, name)
        except AttributeError:
            near = close_to(name, [n for n in dir(found) if not n.startswith("_")])
            raise TwinError(
                f"a function of {held}",
                found=f"no '{name}' in it",
                hint=f"did you mean {near}?" if near else f"see dir({held})",
                where=path,
            ) from None
        held = f"{held}.{name}"
    if not callable(found):
        raise TwinError("a function", found=f"a {type(found).__name__}", hint="name a function", where=path)
    return found  # type: ignore[no-any-return]


# ---------------------------------------------------------------- parts


def _joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _defaults(text: str, path: Path) -> tuple[dict[str, Any], dict[str, type]]:
    """Names that the parameters cell sets, with the values that can be known without running it."""
    try:
        body = ast.parse(text).body
    except SyntaxError as fault:
        raise TwinError(
            "a parameters cell in plain Python",
            found=f"line {fault.lineno}: {fault.msg}",
            hint="keep it to lines like: radius = 60_000",
            where=str(path),
        ) from None
    values: dict[str, Any] = {}
    types: dict[str, type] = {}
    named = {t.__name__: t for t in WORDS}
    for line in body:
        if isinstance(line, ast.Assign):
            names = [t.id for t in line.targets if isinstance(t, ast.Name)]
        elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
            names = [line.target.id]
        else:
            continue
        for name in names:
            values[name] = _known(line.value)
            if isinstance(line, ast.AnnAssign) and isinstance(line.annotation, ast.Name):
                types[name] = named.get(line.annotation.id, type(values[name]))
            else:
                types[name] = type(values[name])
    return values, types


def _known(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node)  # type: ignore[arg-type]
    except (ValueError, TypeError, SyntaxError):
        return UNKNOWN


def _taken(source: Source, name: str, value: Any) -> Any:
    """One value, as JSON and papermill can carry it and as the notebook's default asks for it."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Path):
        value = str(value)
    if callable(value):
        value = _dotted(value, name)
    wanted = source.types[name]
    if isinstance(value, tuple):
        value = list(value)
    if wanted is tuple:
        wanted = list
    if wanted in WORDS and value is not None:
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if wanted is int and isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)  # 60e3 is a fine way to write 60000
        if type(value) is not wanted:
            raise _other_type(source, name, value, wanted)
    if value is None and wanted in WORDS:
        raise _other_type(source, name, value, wanted)
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        raise TwinError(
            "a number, text, truth, list or mapping",
            found=f"a {type(value).__name__}",
            hint="give a model by its dotted path, e.g. 'twinkit.radio.free_space'",
            where=f"parameter '{name}' of {source.name}",
        ) from None
    return value


def _other_type(source: Source, name: str, value: Any, wanted: type) -> TwinError:
    default = source.parameters[name]
    return TwinError(
        f"{WORDS[wanted]} (its default is {default!r})",
        found=f"{value!r}, a {type(value).__name__}" if value is not None else "None",
        hint=f"write it like {name}={default!r}",
        where=f"parameter '{name}' of {source.name}",
    )


def _dotted(function: Callable[..., Any], name: str) -> str:
    path = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    try:
        same = resolve(path) is function
    except TwinError:
        same = False
    if not same or path.startswith("__main__."):
        raise TwinError(
            "a function that a notebook can import",
            found=f"'{path}', which lives in this session alone",
            hint="put it in a module (mine.py) and give its dotted path, 'mine.loss'",
            where=f"parameter '{name}'",
        )
    return path
