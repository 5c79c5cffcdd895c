"""What a notebook found, as JSON inside the notebook itself.

One call of `record` makes one display of our own MIME type. The executed notebook so carries its results with
dims and units, and `recorded` reads them back without running anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["MIME", "decoded", "encoded", "found_in", "record", "recorded"]

MIME = "application/vnd.twinkit.results+json"
MOST = 10_000
"""Values in one recorded array: results are for people and golden files, maps belong in a store."""

# JSON has no NaN, and a notebook that holds one no longer opens everywhere
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def record(**results: Any) -> None:
    """Record results in the notebook that runs, under their names.

    Parameters
    ----------
    **results : float, int, bool, str, None, datetime64, list of these, small array, DataArray or twin
        A DataArray keeps its dims, coordinates, units and meaning. An array holds at most 10 000 values. Of a twin its
        identity is kept (title, place, seed, version, and the commit it was opened at), not its values.

    Errors
    ------
    TwinError
        A value that JSON cannot hold, or an array that belongs in a store; names the result.

    Examples
    --------
    >>> record(people_covered=1_204_332, share=0.87)
    people_covered = 1204332
    share = 0.87
    """
    from IPython.display import display

    values = {name: encoded(value, name=name) for name, value in results.items()}
    text = "\n".join(f"{name} = {_line(decoded(v))}" for name, v in values.items())
    if _in_notebook():
        display({MIME: {"version": 1, "results": values}, "text/plain": text}, raw=True)
    else:
        print(text)


def recorded(path: str | Path) -> dict[str, Any]:
    """The results recorded in an executed notebook, or in the JSON file that `run` left beside it.

    Parameters
    ----------
    path : path of a .ipynb or .json file

    Returns
    -------
    dict
        Name to number, text, list, array or DataArray; where a notebook records a name twice, the later one counts.

    Errors
    ------
    TwinError
        No such file, not a notebook, or nothing recorded in it.
    """
    path = Path(path)
    whole = _json(path)
    if isinstance(whole, dict) and "cells" in whole:
        values = found_in(whole)
        if not values:
            raise TwinError(
                "an executed notebook with recorded results",
                found="none",
                hint="run it with tk.study.run, and let a cell call tk.study.record(name=value)",
                where=str(path),
            )
    elif isinstance(whole, dict) and isinstance(whole.get("results"), dict):
        values = whole["results"]
    else:
        raise TwinError(
            "a notebook, or the JSON file that tk.study.run writes",
            found="JSON of another kind",
            hint="name the executed .ipynb",
            where=str(path),
        )
    try:
        return {name: decoded(v) for name, v in values.items()}
    except (KeyError, TypeError, ValueError) as fault:
        raise TwinError(
            "results as tk.study.record writes them",
            found=f"a damaged entry ({fault})",
            hint="run the notebook again",
            where=str(path),
        ) from None


def found_in(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The encoded results in the outputs of a notebook given as JSON, in the order of its cells."""
    values: dict[str, Any] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            bundle = output.get("data", {}).get(MIME)
            if isinstance(bundle, Mapping):
                values |= bundle["results"]
    return values


# ---------------------------------------------------------------- values to JSON and back


def encoded(value: Any, *, name: str) -> Any:
    """A value as JSON: plain where JSON has the type, else a mapping with ``kind``."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _not_finite(value)
    if isinstance(value, xr.DataArray):
        return _labelled(value, name)
    if isinstance(value, xr.DataTree):
        identity = {k: encoded(v, name=name) for k, v in value.attrs.items() if isinstance(v, str | int | float)}
        # where it was opened from a store, the commit says which of its states this is
        identity |= {k: v for k, v in value.encoding.items() if k in {"commit", "head"}}
        return {"kind": "twin", "attrs": identity}
    if isinstance(value, np.generic):
        return encoded(value.item(), name=name) if value.dtype.kind in "fiubU" else _array(np.asarray(value), name)
    if isinstance(value, np.ndarray):
        return _array(value, name)
    if isinstance(value, list | tuple):
        return {"kind": "list", "values": [encoded(v, name=name) for v in value]}
    raise TwinError(
        "a number, text, a list of them, an array or a DataArray",
        found=f"a {type(value).__name__}",
        hint="record its parts one by one" if isinstance(value, xr.Dataset | Mapping) else "turn it into one of them",
        where=f"result '{name}'",
    )


def decoded(value: Any) -> Any:
    """The inverse of `encoded`."""
    if not isinstance(value, Mapping):
        return value
    kind = value["kind"]
    if kind == "number":
        return NOT_FINITE[value["value"]]
    if kind == "list":
        return [decoded(v) for v in value["values"]]
    if kind == "twin":
        return {k: decoded(v) for k, v in value["attrs"].items()}
    if kind == "array":
        return _values(value)
    if kind == "labelled":
        coords = {k: (tuple(c["dims"]), _values(c), c["attrs"]) for k, c in value["coords"].items()}
        array = xr.DataArray(_values(value), dims=value["dims"], coords=coords, attrs=value["attrs"])
        return array.rename(value["name"])
    raise ValueError(f"kind '{kind}'")


def _not_finite(value: float) -> dict[str, str]:
    return {"kind": "number", "value": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}


def _array(array: np.ndarray, name: str) -> dict[str, Any]:
    if array.size > MOST:
        raise TwinError(
            f"an array of at most {MOST} values",
            found=f"{array.size} values",
            hint="record a summary of it, and save the whole in a store: tk.save(tk.extend(twin, ...), path, ...)",
            where=f"result '{name}'",
        )
    kind = array.dtype.kind
    flat: list[Any]
    if kind in "fiub":
        flat = array.ravel().tolist()
        if kind == "f":
            flat = [v if math.isfinite(v) else _not_finite(v)["value"] for v in flat]
    elif kind in "mM":
        array = array.astype(f"{kind}8[ns]")
        flat = array.astype("int64").ravel().tolist()
    elif kind in "UTO" and all(isinstance(v, str) for v in array.ravel().tolist()):
        flat = array.ravel().tolist()
        return {"kind": "array", "dtype": "str", "shape": list(array.shape), "values": flat}
    else:
        raise TwinError(
            "an array of numbers, texts or times",
            found=f"{array.dtype} values",
            hint="convert it",
            where=f"result '{name}'",
        )
    return {"kind": "array", "dtype": str(array.dtype), "shape": list(array.shape), "values": flat}


def _values(value: Mapping[str, Any]) -> np.ndarray:
    flat = value["values"]
    if value["dtype"] == "str":
        return np.asarray(flat, dtype=object).reshape(value["shape"])
    dtype = np.dtype(value["dtype"])
    if dtype.kind == "f":
        flat = [NOT_FINITE[v] if isinstance(v, str) else v for v in flat]
    if dtype.kind in "mM":
        return np.asarray(flat, dtype="int64").astype(dtype).reshape(value["shape"])
    return np.asarray(flat, dtype=dtype).reshape(value["shape"])


def _labelled(array: xr.DataArray, name: str) -> dict[str, Any]:
    if array.size > MOST:
        _array(np.broadcast_to(np.zeros(1), array.shape), name)  # refuse before a lazy map is computed
    coords = {
        str(k): {**_array(np.asarray(c.values), name), "dims": list(map(str, c.dims)), "attrs": _attrs(c.attrs)}
        for k, c in array.coords.items()
    }
    return {
        **_array(np.asarray(array.values), name),
        "kind": "labelled",
        "name": None if array.name is None else str(array.name),
        "dims": list(map(str, array.dims)),
        "coords": coords,
        "attrs": _attrs(array.attrs),
    }


def _attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(k): v for k, v in attrs.items() if isinstance(v, str | int) or (isinstance(v, float) and math.isfinite(v))
    }


# ---------------------------------------------------------------- small parts


def _in_notebook() -> bool:
    from IPython import get_ipython

    shell = get_ipython()  # type: ignore[no-untyped-call]
    return shell is not None and hasattr(shell, "kernel")


def _line(value: Any) -> str:
    """One line of text about a decoded value."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, xr.DataArray):
        unit = value.attrs.get("units", "1")
        if value.ndim == 0:
            return f"{_line(value.values.item())}{'' if unit == '1' else ' ' + unit}"
        shape = ", ".join(f"{d}: {n}" for d, n in value.sizes.items())
        return f"({shape}){'' if unit == '1' else ' [' + unit + ']'}"
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    text = str(value)
    return text if len(text) <= 70 else text[:67] + "..."


def _json(path: Path) -> Any:
    if not path.is_file():
        raise TwinError(
            "an executed notebook or a results file",
            found="no such file" if not path.exists() else "a folder",
            hint="run the notebook first: tk.study.run(notebook, out='out')",
            where=str(path),
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as fault:
        raise TwinError(
            "a notebook or a results file (JSON)",
            found=f"what JSON cannot read ({fault})",
            hint="run the notebook again",
            where=str(path),
        ) from None
