"""Readings as columns: what sensors said, packed for the journal and found again without a loop.

A reading is known by variable, sensor and time; the same value again is a duplicate, another one a correction. Each
carries the moment at which it was received, in whole milliseconds: fine enough to order what people ask about, and
coarse enough that a million of them squeeze to little.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit import vocabulary
from twinkit.error import TwinError
from twinkit.store import digest
from twinkit.store.shown import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "MEASURED",
    "Columns",
    "Grid",
    "dims_of",
    "fit_provenance",
    "given",
    "joined",
    "newest",
    "pack",
    "period",
    "repeated",
    "together",
    "unpack",
]

COLUMNS = {"variable": "<u2", "sensor": "<u4", "time": "<i8", "value": "<f8", "received": "<i8"}
"""A column and its type in the journal."""

MEASURED = "measured: received through the journal"
"""Where readings come from, if nobody says otherwise."""


@dataclass(frozen=True)
class Columns:
    """Readings whose variable and sensor are numbers: positions in lists that the holder keeps.

    Attributes
    ----------
    variable, sensor : array of int
    time : array of int64 [ns since 1970]
    value : array of float64
    received : array of int64 [ms since 1970]
    """

    variable: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    value: np.ndarray
    received: np.ndarray

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, which: Any) -> Columns:
        return Columns(*(getattr(self, name)[which] for name in COLUMNS))


def joined(parts: Sequence[Columns]) -> Columns:
    """Readings one after the other."""
    if len(parts) == 1:
        return parts[0]
    empty = [np.empty(0, dtype) for dtype in COLUMNS.values()]
    return Columns(*(np.concatenate([e, *(getattr(p, n) for p in parts)]) for n, e in zip(COLUMNS, empty, strict=True)))


def period(variable: str) -> int:
    """How far the readings of a variable stand apart [ns].

    Errors
    ------
    TwinError
        No word of the vocabulary, or one that is no reading.

    >>> period("load") // 10**9
    900
    """
    seconds = vocabulary.word(variable).period
    if not math.isfinite(seconds):
        raise TwinError(
            "a variable with a sampling period in the vocabulary",
            found=f"'{variable}', which has none",
            hint="record readings such as 'load', or tk.vocabulary.define(..., period=60)",
            where="variable",
        )
    return round(seconds * 1e9)


def dims_of(variable: str) -> list[str]:
    """What kinds of sensor a variable may be read at: "cell", "site"; in the order of the vocabulary."""
    return [d for alternative in vocabulary.word(variable).dims for d in alternative if d != "time"]


def given(readings: Mapping[str, Any]) -> dict[str, Any]:
    """The four columns as they were given, checked for all that needs no twin.

    Returns
    -------
    dict
        ``variable`` and ``sensor`` as (codes, names), ``time`` [ns] and ``value``.

    Errors
    ------
    TwinError
        A column that is missing, of another length or type; a time or value that is none.
    """
    import pandas as pd

    try:
        missing = [name for name in ("variable", "sensor", "time", "value") if name not in readings]
    except TypeError:
        raise TwinError(
            "readings as columns",
            found=f"a {type(readings).__name__}",
            hint="give {'variable': ..., 'sensor': ..., 'time': ..., 'value': ...}",
            where="readings",
        ) from None
    if missing:
        raise TwinError(
            "the columns variable, sensor, time and value", found=f"no {missing[0]}", hint="add it", where="readings"
        )
    columns = {name: readings[name] for name in ("variable", "sensor", "time", "value")}
    lengths = {n: len(c) for n, c in columns.items() if not isinstance(c, str) and np.ndim(c)}
    length = max(lengths.values(), default=1)
    if any(n != length for n in lengths.values()):
        raise TwinError(
            "columns of one length",
            found=", ".join(f"{n}: {c}" for n, c in lengths.items()),
            hint="one value for all is given as it is, without a list",
            where="readings",
        )
    out: dict[str, Any] = {}
    for name in ("variable", "sensor"):
        column = columns[name]
        if name not in lengths:
            codes, names = np.zeros(length, "i8"), [column if isinstance(column, str) else np.asarray(column).item()]
        else:
            codes, unique = pd.factorize(np.asarray(column, dtype=object))
            names = list(unique)
            if len(codes) and codes.min() < 0:
                names.append(None)
        odd = [n for n in names if not isinstance(n, str)]
        if odd:
            raise TwinError(f"the {name} as text", found=repr(odd[0]), hint="convert ids with str", where=name)
        out[name] = (codes, names)
    try:
        said = np.asarray(columns["time"])
        stamps = said.astype("M8[ns]")
        time = stamps.view("i8")
        value = np.asarray(columns["value"], dtype="f8")
    except (ValueError, TypeError, OverflowError) as fault:
        raise TwinError(
            "times as datetime64 and values as numbers", found=str(fault)[:120], hint="convert them", where="readings"
        ) from None
    if said.dtype.kind == "M" and (stamps.astype(said.dtype) != said)[~np.isnat(said)].any():
        # beyond, numpy comes out at another year and says nothing
        raise TwinError(
            "times between the years 1678 and 2262", found="others", hint="leave the reading out", where="time"
        )
    out["time"] = np.broadcast_to(time, length)
    out["value"] = np.broadcast_to(value, length)
    if not np.isfinite(out["value"]).all():
        at = int(np.flatnonzero(~np.isfinite(out["value"]))[0])
        raise TwinError(
            "values that are numbers",
            found=f"{out['value'][at]} at reading {at}",
            hint="leave out what was not read: a gap is no reading",
            where="value",
        )
    if (out["time"] == np.iinfo("i8").min).any():
        raise TwinError("a time for every reading", found="none (NaT)", hint="leave the reading out", where="time")
    return out


def snapped(time: np.ndarray, step: int) -> np.ndarray:
    """Times at the nearest multiple of a period [ns]; halfway goes to the later one.

    >>> int(snapped(np.array([1_400]), 900)[0])
    1800
    """
    out: np.ndarray = (time + step // 2) // step * step
    return out


def repeated(*parts: np.ndarray) -> np.ndarray:
    """Where a key occurs that occurred before; the parts of the key are whole numbers from 0.

    >>> repeated(np.array([0, 1, 0]), np.array([5, 5, 5])).tolist()
    [False, False, True]
    """
    size = 1
    slot = np.zeros(len(parts[0]), "i8")
    for part in parts:
        width = int(part.max()) + 1 if len(part) else 1
        slot = slot * width + part
        size *= width
    count = len(slot)
    if size <= max(16 * count, 2**16):
        # A board with a place for every key: the first one to come keeps it.
        board = np.empty(size, "i8")
        board[slot[::-1]] = np.arange(count)[::-1]
        return board[slot] != np.arange(count)  # type: ignore[no-any-return]
    out = np.ones(count, bool)
    out[np.unique(slot, return_index=True)[1]] = False
    return out


def newest(readings: Columns) -> np.ndarray:
    """Where the reading stands that was received last of its key."""
    import pandas as pd

    if not len(readings) or not repeated(readings.variable, readings.sensor, pd.factorize(readings.time)[0]).any():
        return np.ones(len(readings), bool)
    order = np.lexsort((readings.received, readings.sensor, readings.time, readings.variable))
    s = readings[order]
    last = np.ones(len(order), bool)
    same = (np.diff(s.variable) == 0) & (np.diff(s.time) == 0) & (np.diff(s.sensor.astype("i8")) == 0)
    last[:-1] = ~same
    out = np.zeros(len(order), bool)
    out[order[last]] = True
    return out


# ---------------------------------------------------------------- on disk


def fit_provenance(text: str) -> str:
    """A provenance as it was given.

    Errors
    ------
    TwinError
        One that does not begin with measured, modelled or generated.
    """
    kinds = [part.partition(":")[0] for part in text.split("; ")] if isinstance(text, str) else []
    if not kinds or not set(kinds) <= {"measured", "modelled", "generated"}:
        raise TwinError(
            "where the readings come from",
            found=quoted(text),
            hint="begin with measured, modelled or generated: 'generated: telemetry.generate, seed 1'",
            where="provenance",
        )
    return text


def together(*provenance: str) -> str:
    """Where readings come from that came from several places: each said once.

    >>> together("measured: a", "generated: b", "measured: a; generated: c")
    'measured: a; generated: b; generated: c'
    """
    return "; ".join(dict.fromkeys(p for said in provenance for p in said.split("; ") if p))


def pack(
    readings: Columns, variables: Sequence[str], sensors: Sequence[tuple[str, str]], told: Sequence[str] = ()
) -> bytes:
    """Readings as bytes that need nothing else to be understood.

    Parameters
    ----------
    readings : Columns
        Its numbers are positions in the two lists.
    variables : list of str
    sensors : list of (dim, id)
    told : list of str
        Where the readings of each variable come from; left out, `MEASURED`.
    """
    parts = []
    for name, dtype in COLUMNS.items():
        column = np.ascontiguousarray(getattr(readings, name), dtype)
        if name in ("time", "received") and len(column):
            # What is the same throughout, and most is, needs no more than its first value.
            parts.append(column[:1].tobytes() if (column == column[0]).all() else _squeezed(column))
        else:
            parts.append(_squeezed(column) if len(column) else b"")
    dims = list(dict.fromkeys(d for d, _ in sensors))
    several = {"dim": [dims.index(d) for d, _ in sensors]} if len(dims) > 1 else {}
    head = digest.canonical(
        {
            **several,
            "count": len(readings),
            "parts": [len(p) for p in parts],
            "dims": dims,
            "sensors": [i for _, i in sensors],
            "variables": list(variables),
            **({"told": list(told)} if any(t != MEASURED for t in told) else {}),
        }
    )
    return struct.pack("<I", len(head)) + head + b"".join(parts)


def _squeezed(column: np.ndarray) -> bytes:
    from numcodecs import blosc

    # Its threads take a hundred times as long as the work where another program holds the cores.
    before, blosc.use_threads = blosc.use_threads, False
    try:
        return bytes(blosc.compress(column, b"lz4", 5, 1))
    finally:
        blosc.use_threads = before


def unpack(data: bytes) -> tuple[Columns, list[str], list[tuple[str, str]], list[str]]:
    """What `pack` was given."""
    try:
        return _unpacked(data)
    except (struct.error, ValueError, KeyError, IndexError, TypeError, RuntimeError, RecursionError) as fault:
        raise TwinError(
            "readings as the journal wrote them",
            found=str(fault) or type(fault).__name__,
            hint="tk.verify(path) names all that is wrong; restore the store from a copy",
            where="journal",
        ) from None


def _unpacked(data: bytes) -> tuple[Columns, list[str], list[tuple[str, str]], list[str]]:
    from numcodecs import blosc

    (size,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + size])
    at, columns = 4 + size, []
    for (name, dtype), length in zip(COLUMNS.items(), head["parts"], strict=True):
        part = data[at : at + length]
        at += length
        if not length:
            column = np.empty(0, dtype)
        elif name in ("time", "received") and length == 8:
            column = np.broadcast_to(np.frombuffer(part, dtype), head["count"])
        else:
            column = np.frombuffer(blosc.decompress(part), dtype)
        columns.append(column)
    dims, names = head["dims"], head["sensors"]
    which = head.get("dim") or [0] * len(names)
    sensors = [(dims[d], i) for d, i in zip(which, names, strict=True)]
    variables = list(head["variables"])
    return Columns(*columns), variables, sensors, list(head.get("told") or [MEASURED] * len(variables))


# ---------------------------------------------------------------- in memory


class Grid:
    """The newest readings of one variable in memory: a row for each time, a column for each sensor.

    Rows stand in sheets of zeros, which the system hands out as they are touched: a sensor that reads often among
    ten thousand that do not costs the pages that it touches.
    """

    ROWS = 64

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: dict[int, int] = {}
        self.sheets: list[tuple[np.ndarray, np.ndarray]] = []

    def row(self, times: np.ndarray) -> np.ndarray:
        """The row of each time; new ones are made."""
        for t in times.tolist():
            self.rows.setdefault(t, len(self.rows))
        while len(self.sheets) * self.ROWS < len(self.rows):
            shape = (self.ROWS, self.width)
            self.sheets.append((np.zeros(shape), np.zeros(shape, "i8")))
        return np.fromiter((self.rows[t] for t in times.tolist()), "i8", len(times))

    def _each(self, row: np.ndarray) -> Any:
        sheet = row // self.ROWS
        first = int(sheet[0]) if len(sheet) else 0
        if (sheet == first).all():
            return [(first, slice(None))]
        return [(int(s), np.flatnonzero(sheet == s)) for s in np.unique(sheet)]

    def at(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and stamp of readings; the stamp is 0 where there is none."""
        value, received = np.empty(len(row)), np.zeros(len(row), "i8")
        for number, which in self._each(row):
            if number < len(self.sheets):
                values, stamps = self.sheets[number]
                place = (row[which] % self.ROWS, column[which])
                value[which], received[which] = values[place], stamps[place]
        return value, received

    def put(self, row: np.ndarray, column: np.ndarray, value: np.ndarray, received: Any) -> None:
        """Set readings; keys are not repeated."""
        stamp = np.broadcast_to(received, len(row))
        for number, which in self._each(row):
            if number < len(self.sheets):
                values, stamps = self.sheets[number]
                place = (row[which] % self.ROWS, column[which])
                values[place], stamps[place] = value[which], stamp[which]
