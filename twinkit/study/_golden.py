"""Golden numbers: what a notebook found when somebody last looked, and what it finds now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.study._results import _line, decoded, encoded, recorded
from twinkit.study._run import Run, kept

__all__ = ["Change", "Comparison", "compare", "expected", "keep"]

HOW = '{"notebook": "x.ipynb", "results": {"share": {"value": 0.87, "absolute": 0.005}}}'


@dataclass(frozen=True)
class Change:
    """One result beside its golden value; `verdict` is same, changed, missing or new."""

    name: str
    old: Any
    new: Any
    tolerance: str
    verdict: str

    def __str__(self) -> str:
        if self.verdict == "missing":
            return f"{self.name}: was {_line(self.old)}, is not recorded any more"
        if self.verdict == "new":
            return f"{self.name}: {_line(self.new)}, has no golden value yet"
        return f"{self.name}: was {_precise(self.old)}, is {_precise(self.new)} ({self.tolerance}): {self.verdict}"


@dataclass(frozen=True)
class Comparison:
    """All results of one notebook beside the golden ones; true where nothing changed and nothing is missing."""

    notebook: str
    changes: tuple[Change, ...]

    @property
    def ok(self) -> bool:
        return all(c.verdict in {"same", "new"} for c in self.changes)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        told = [c for c in self.changes if c.verdict != "same"]
        same = len(self.changes) - len(told)
        lines = [f"{self.notebook}: {same} of {len(self.changes)} results as they were"]
        return "\n".join(lines + [f"  {c}" for c in told])

    def require(self) -> None:
        """Raise where a number changed or is missing.

        Errors
        ------
        TwinError
            Names the notebook, and each result with its old and its new value.
        """
        if not self.ok:
            bad = [str(c) for c in self.changes if c.verdict in {"changed", "missing"}]
            raise TwinError(
                "the golden results",
                found="; ".join(bad),
                hint="find out why; when the new values are right, keep them: twinkit compare ... --update",
                where=self.notebook,
            )


def compare(
    results: Run | Mapping[str, Any] | str | Path, golden: Mapping[str, Any] | str | Path, *, notebook: str = ""
) -> Comparison:
    """Results beside golden numbers, each with its own tolerance.

    Parameters
    ----------
    results : Run, dict, or path of an executed notebook or of the JSON file beside it
    golden : path of a JSON file, or what stands in one
        ``{"notebook": ..., "parameters": {...}, "results": {name: {"value": ..., "absolute": 0.01}}}``: a value may
        differ by ``absolute`` in its own unit, or by ``relative`` as a fraction of the golden value; without either it
        must be the same. Of an array every element must hold, and its dims and coordinates must be the same.
    notebook : str, optional
        Name for the report, where neither side knows it.

    Returns
    -------
    Comparison
        Prints as a report; `Comparison.ok` is the verdict, `Comparison.require` raises.

    Errors
    ------
    TwinError
        The golden file is missing or damaged, or it belongs to another notebook.

    Examples
    --------
    >>> compare({"share": 0.874}, {"results": {"share": {"value": 0.87, "absolute": 0.001}}}, notebook="x.ipynb")
    x.ipynb: 0 of 1 results as they were
      share: was 0.87, is 0.874 (± 0.001): changed
    """
    kept_numbers = _golden(golden)
    values: Mapping[str, Any]
    parameters: Mapping[str, Any] = {}
    if isinstance(results, Run):
        values, name, parameters = results.results, results.notebook, results.parameters
    elif isinstance(results, Mapping):
        values, name = results, notebook
    else:
        values, name, parameters = _from_file(Path(results))
    other = kept_numbers.get("notebook")
    if other and name and other != name:
        raise TwinError(
            f"golden numbers of {name}",
            found=f"those of {other}",
            hint="give the golden file of this notebook",
            where=str(golden) if not isinstance(golden, Mapping) else "golden",
        )
    changes = [
        Change(f"parameter {p}", old, parameters[p], "± 0", "changed")
        for p, old in kept_numbers.get("parameters", {}).items()
        if p in parameters and parameters[p] != old
    ]
    for key, entry in kept_numbers["results"].items():
        old = decoded(entry["value"])
        if key not in values:
            changes.append(Change(key, old, None, "", "missing"))
            continue
        new = decoded(encoded(values[key], name=key))
        changes.append(Change(key, old, new, _allowed(entry), "same" if _same(old, new, entry) else "changed"))
    fresh = {k: v for k, v in values.items() if k not in kept_numbers["results"] and not isinstance(v, dict)}
    changes += [Change(k, None, v, "", "new") for k, v in fresh.items()]
    return Comparison(name or other or notebook or "notebook", tuple(changes))


def expected(golden: str | Path) -> dict[str, Any]:
    """What a golden file holds: ``notebook``, ``parameters`` and ``results``, each with value and tolerance.

    Parameters
    ----------
    golden : path of the JSON file

    Errors
    ------
    TwinError
        The file is missing or damaged.
    """
    whole = _golden(golden)
    return {"notebook": whole.get("notebook", ""), "parameters": whole.get("parameters", {}), **whole}


def keep(
    results: Run,
    golden: str | Path,
    *,
    absolute: Mapping[str, float] | None = None,
    relative: Mapping[str, float] | float = 1e-6,
) -> Path:
    """Keep the results of a run as golden numbers.

    Parameters
    ----------
    results : Run
    golden : path of the JSON file
        Where it exists, the tolerances in it stay as they are.
    absolute : dict, optional
        Result name to the difference allowed, in the result's unit.
    relative : dict or float
        The same as a fraction; one number holds for every floating number that has no other tolerance.

    Returns
    -------
    Path

    Errors
    ------
    TwinError
        The file exists and is damaged.
    """
    path = Path(golden)
    before = _golden(path)["results"] if path.exists() else {}
    entries: dict[str, Any] = {}
    for name, value in results.results.items():
        if isinstance(value, dict):
            continue  # the identity of a twin is no number
        entry: dict[str, Any] = {"value": encoded(value, name=name)}
        known = {k: v for k, v in before.get(name, {}).items() if k in {"absolute", "relative"}}
        if absolute and name in absolute:
            entry["absolute"] = absolute[name]
        elif isinstance(relative, Mapping) and name in relative:
            entry["relative"] = relative[name]
        elif known:
            entry |= known
        elif not isinstance(relative, Mapping) and _floating(value):
            entry["relative"] = relative
        entries[name] = entry
    whole = {"notebook": results.notebook, "parameters": results.parameters, "results": entries}
    kept(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return path


# ---------------------------------------------------------------- parts


def _golden(golden: Mapping[str, Any] | str | Path) -> Mapping[str, Any]:
    where = "golden" if isinstance(golden, Mapping) else str(golden)
    whole: Any = golden
    if not isinstance(golden, Mapping):
        path = Path(golden)
        if not path.is_file():
            raise TwinError(
                "a file with golden numbers",
                found="no such file",
                hint="make it from a run that you have checked: tk.study.keep(run, path)",
                where=where,
            )
        try:
            whole = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as fault:
            raise TwinError(
                "a file with golden numbers (JSON)",
                found=f"what JSON cannot read ({fault})",
                hint="take it from version control again",
                where=where,
            ) from None
    entries = whole.get("results") if isinstance(whole, Mapping) else None
    if not isinstance(entries, Mapping):
        raise TwinError("golden numbers under 'results'", found="none", hint=f"write it like {HOW}", where=where)
    for name, entry in entries.items():
        tolerances = [entry.get(k, 0) for k in ("absolute", "relative")] if isinstance(entry, Mapping) else [None]
        good = all(isinstance(t, int | float) and not isinstance(t, bool) and t >= 0 for t in tolerances)
        if not good or "value" not in entry:
            raise TwinError(
                "a value and its tolerance",
                found=repr(entry)[:80],
                hint=f"write it like {HOW}",
                where=f"{where}: {name}",
            )
        try:
            decoded(entry["value"])
        except (KeyError, TypeError, ValueError) as fault:
            raise TwinError(
                "a value as tk.study.keep writes it",
                found=f"a damaged one ({fault})",
                hint="take the file from version control again",
                where=f"{where}: {name}",
            ) from None
    return whole  # type: ignore[no-any-return]


def _from_file(path: Path) -> tuple[dict[str, Any], str, Mapping[str, Any]]:
    values = recorded(path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    if "cells" in whole:
        # the folder of an executed copy does not say whose lesson it is
        return values, "" if path.name == "lesson.ipynb" else path.name, {}
    return values, str(whole.get("notebook", path.name)), whole.get("parameters", {})


def _same(old: Any, new: Any, entry: Mapping[str, Any]) -> bool:
    absolute, relative = entry.get("absolute", 0.0), entry.get("relative", 0.0)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(o, n, entry) for o, n in zip(old, new, strict=True))
    if isinstance(old, xr.DataArray) or isinstance(new, xr.DataArray):
        if not (isinstance(old, xr.DataArray) and isinstance(new, xr.DataArray)):
            return False
        if old.dims != new.dims or old.attrs.get("units") != new.attrs.get("units"):
            return False
        coords = {*old.coords, *new.coords}
        if not all(c in old.coords and c in new.coords and old[c].equals(new[c]) for c in coords):
            return False
        old, new = old.values, new.values
    a, b = np.asarray(old), np.asarray(new)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "iuf" and b.dtype.kind in "iuf":
        was, now = np.atleast_1d(a).astype(float), np.atleast_1d(b).astype(float)
        finite = np.isfinite(was) & np.isfinite(now)
        if not np.array_equal(was[~finite], now[~finite], equal_nan=True):
            return False
        was, now = was[finite], now[finite]
        return bool(np.all(np.abs(now - was) <= np.maximum(absolute, relative * np.abs(was))))
    return bool(np.all(a == b)) and (a.dtype.kind == "b") == (b.dtype.kind == "b")


def _allowed(entry: Mapping[str, Any]) -> str:
    if "absolute" in entry:
        return f"± {entry['absolute']:g}"
    if "relative" in entry:
        return f"± {100 * entry['relative']:g} %"
    return "± 0"


def _precise(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, xr.DataArray | np.ndarray) and value.size <= 12:
        return str(np.asarray(value).tolist())
    return _line(value)


def _floating(value: Any) -> bool:
    if isinstance(value, list):
        return any(_floating(v) for v in value)
    if isinstance(value, xr.DataArray | np.ndarray):
        return value.dtype.kind == "f"
    return isinstance(value, float)
