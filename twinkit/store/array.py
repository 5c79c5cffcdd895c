"""Arrays on disk: how a labelled variable becomes a Zarr array, and how it comes back.

Four kinds of values are stored: numbers (and truth values) as they are, text as variable-length UTF-8, times as
nanoseconds since 1970 (UTC), durations as nanoseconds. The attributes that say so follow the CF conventions, so
that plain xarray reads the same arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.store import digest, rows

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = [
    "DENSE",
    "Plan",
    "Raw",
    "Stored",
    "blocks",
    "create",
    "digest_of",
    "explained",
    "grid",
    "plan",
    "unexplained",
    "variable",
]

OURS = "twinkit"
"""Attribute of a Zarr array or group that belongs to the store, not to the user."""

BLOCK = 8 * 2**20
"""Most bytes in a stored block: few files in a commit, and a block or two fit a core's cache and a thin line."""

SMALL = 2**16
"""Fewest bytes in a stored block of an array that grows along time, or a year of readings becomes a heap of crumbs."""

TILE = 512
"""Edge of a stored block of a map: the tile in which the stages work."""

DENSE = {"write_empty_chunks": True}
"""Blocks are not searched for emptiness before they are written: it takes longer than to write them."""

ON_DISK = {
    "time": {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian"},
    "duration": {"units": "nanoseconds", "dtype": "timedelta64[ns]"},
}
IN_MEMORY = {"time": np.dtype("M8[ns]"), "duration": np.dtype("m8[ns]"), "text": np.dtype(object)}


@dataclass
class Plan:
    """A variable ready to be written: values in their form on disk, attributes in JSON.

    `known` is the digest of the values where they are just as a store gave them, else "".
    """

    name: str
    kind: str
    dims: tuple[str, ...]
    data: Any
    attrs: dict[str, Any]
    coordinate: bool
    known: str = ""
    chunks: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> str:
        """What the digest says of the type: the kind where the bytes alone would not tell."""
        return str(self.data.dtype) if self.kind == "number" else self.kind

    @property
    def lazy(self) -> bool:
        """Whether the values are still to be computed."""
        return hasattr(self.data, "dask")

    def chain(self, state: str = "") -> digest.Chain:
        """An empty digest for values of this form, or one to continue."""
        return digest.Chain(dtype=self.dtype, chunks=self.chunks, width=self.shape[1:], state=state)


def plan(name: Hashable, array: xr.DataArray, *, where: str, coordinate: bool) -> Plan:
    """The variable in its form on disk.

    Errors
    ------
    TwinError
        A type that cannot be stored; text that is missing somewhere.
    """
    if (
        not isinstance(name, str)
        or not name
        or "/" in name
        or name.startswith("__")
        or name in (".", "..", "zarr.json")
    ):
        raise TwinError("a name without '/'", found=repr(name), hint="rename the variable", where=where)
    if not all(isinstance(d, str) for d in array.dims):
        raise TwinError("dims that are text", found=str(array.dims), hint="rename the dims", where=where)
    data = array.variable._data if hasattr(array.variable._data, "dask") else np.asarray(array.values)
    kind, data = _form(data, where, array)
    attrs = digest.attributes(array.attrs, where=where)
    out = Plan(name, kind, tuple(map(str, array.dims)), data, attrs, coordinate, digest_of(array.variable._data))
    out.chunks = _chunks(out.dims, out.shape, 16 if kind == "text" else out.data.dtype.itemsize)
    return out


def _form(data: Any, where: str, array: xr.DataArray) -> tuple[str, Any]:
    """Kind, and the values in their form on disk; lazy values stay lazy."""
    dtype = data.dtype
    lazy = hasattr(data, "dask")
    if dtype.kind == "M":
        return "time", _each(data, _nanoseconds("M8[ns]"), np.dtype("i8"))
    if dtype.kind == "m":
        return "duration", _each(data, _nanoseconds("m8[ns]"), np.dtype("i8"))
    if dtype.kind in "fiubc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8):
        return "number", data if dtype.isnative else _each(data, _native, dtype.newbyteorder("="))
    if dtype.kind in "UT":
        return "text", _each(data, _objects, np.dtype(object))
    if dtype.kind == "O":
        if lazy:
            return "text", _each(data, _texts, np.dtype(object))
        first = next((v for v in data.ravel() if v is not None), None)
        if hasattr(first, "utctimetuple"):
            return "time", _instants(data, where)
        return "text", _texts(data, array, where)
    raise TwinError(
        "numbers, truth values, text or times",
        found=f"values of type {dtype}",
        hint="convert them, e.g. array.astype(float)",
        where=where,
    )


def _each(data: Any, change: Any, dtype: np.dtype) -> Any:
    return (
        data.map_blocks(change, dtype=dtype, meta=np.empty((0,) * data.ndim, dtype))
        if hasattr(data, "dask")
        else change(data)
    )


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="))


def _objects(values: np.ndarray) -> np.ndarray:
    return values.astype(object)


def _nanoseconds(dtype: str) -> Any:
    def change(values: np.ndarray) -> np.ndarray:
        return (
            values.astype(dtype).view("i8") if values.ndim else values.astype(dtype).reshape(1).view("i8").reshape(())
        )

    return change


def _instants(values: np.ndarray, where: str) -> np.ndarray:
    """Moments with or without a time zone as UTC; without one they are UTC already."""
    import pandas as pd

    try:
        moments = pd.to_datetime(values.ravel(), utc=True).tz_localize(None)
    except (ValueError, TypeError) as fault:
        raise TwinError(
            "moments in time", found=str(fault), hint="use np.datetime64 or pandas.Timestamp", where=where
        ) from None
    return moments.to_numpy().astype("M8[ns]").view("i8").reshape(values.shape)


def _texts(values: np.ndarray, array: xr.DataArray | None = None, where: str = "") -> np.ndarray:
    if set(map(type, values.ravel().tolist())) <= {str}:
        return values
    for position, value in enumerate(values.ravel()):
        if not isinstance(value, str):
            spot = ""
            if array is not None and array.ndim == 1:
                spot = f" at {array.dims[0]} '{array[array.dims[0]].to_numpy()[position]}'"
            raise TwinError(
                "text everywhere",
                found=f"{value!r} ({type(value).__name__}){spot}",
                hint="fill gaps with '' and convert ids with .astype(str)",
                where=where,
            )
    return values


def _chunks(dims: tuple[str, ...], shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Shape of a stored block, chosen by hand.

    Maps are stored in tiles. Everything else keeps its last dims whole, so that a mean over time, the first dim,
    reads each block once and in order; the first dim is cut where a block would grow past `BLOCK`, at a divisor of
    its length where there is one, so that the next append starts a new block and rewrites none.
    """
    room = max(1, BLOCK // itemsize)
    chunks = [1] * len(shape)
    fixed = [i for i, d in enumerate(dims) if d in ("y", "x")] if {"y", "x"} <= set(dims) else []
    for i in fixed:
        chunks[i] = max(1, min(shape[i], TILE))
    for i in reversed(range(len(shape))):
        if i in fixed:
            continue
        fit = max(1, room // math.prod(chunks))
        if shape[i] <= fit:
            chunks[i] = max(1, shape[i])
            continue
        divisor = next((d for d in range(fit, fit // 2, -1) if shape[i] % d == 0), 0) if fit > 1 else 1
        chunks[i] = divisor or 2 ** (fit.bit_length() - 1)
        break
    if dims[:1] == ("time",) and chunks[0] == shape[0]:
        chunks[0] *= max(1, SMALL // (math.prod(chunks) * itemsize))
    return tuple(chunks)


# ---------------------------------------------------------------- to Zarr and back


def create(group: Any, p: Plan) -> Any:
    """An empty Zarr array for the variable; what stood under its name is replaced."""
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    # The shuffle puts equal bytes of neighbouring values side by side.
    squeeze: list[Any] = [BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=p.data.dtype.itemsize)]
    if p.kind == "number" and p.dims[:1] == ("time",) and p.data.dtype.kind == "i":
        # Stamps and counters along time: read seldom, and much alike.
        squeeze = [BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=p.data.dtype.itemsize)]
    if p.kind == "text":
        squeeze = [ZstdCodec(level=1)]
    if p.dims[:1] != ("time",):
        # A flipped byte is then an error on reading, not a wrong number. Readings go without: the checksum takes a
        # fifth of the speed at which they are appended and averaged, and `verify` covers them like all else.
        squeeze.append(Crc32cCodec())
    return group.create_array(
        p.name,
        shape=p.shape,
        chunks=p.chunks or "auto",
        dtype=np.dtypes.StringDType() if p.kind == "text" else p.data.dtype,
        compressors=squeeze,
        dimension_names=p.dims,
        attributes=explained(p),
        overwrite=True,
        config=DENSE,
    )


def explained(p: Plan) -> dict[str, Any]:
    """The attributes on disk: the user's, those that the CF conventions need, and the store's own mark."""
    ours: dict[str, Any] = {"kind": p.kind, "coordinate": p.coordinate}
    cf = ON_DISK.get(p.kind, {})
    covered = {k: p.attrs[k] for k in cf if k in p.attrs}
    if covered:
        ours["covered"] = covered  # the user's words that the CF ones stand in front of
    return {**p.attrs, **cf, OURS: ours}


def unexplained(stored: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The user's attributes in JSON, and the store's mark."""
    ours = dict(stored.get(OURS, {}))
    cf = ON_DISK.get(ours.get("kind", "number"), {})
    user = {k: v for k, v in stored.items() if k != OURS and k not in cf}
    return user | ours.get("covered", {}), ours


class Raw:
    """One stored array in its form on disk; what cannot be read is one TwinError."""

    def __init__(self, array: Any, where: str) -> None:
        self.array, self.where = array, where
        self.shape, self.ndim, self.dtype = tuple(array.shape), array.ndim, array.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            values = rows.read(self.array, key)
            return np.asarray(self.array[key]) if values is None else values
        except Exception as fault:  # noqa: BLE001 - the engine, Zarr and its codecs each raise their own
            raise TwinError(
                "stored values that can be read",
                found=str(fault).strip().partition("\n")[0][:200],
                hint="tk.verify(path) names the damaged file; restore it from a copy of the store",
                where=self.where,
            ) from None


class Stored:
    """One stored array as NumPy sees it: sliced, it reads the blocks it needs and gives values, not encodings."""

    def __init__(self, array: Any, kind: str, where: str) -> None:
        self.raw, self.kind = Raw(array, where), kind
        self.shape, self.ndim = self.raw.shape, self.raw.ndim
        self.dtype = IN_MEMORY.get(kind) or np.dtype(array.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        values = self.raw[key]
        if self.kind == "text":
            return values.astype(object)
        return (
            values.view(self.dtype) if self.kind in ON_DISK and values.ndim else values.astype(self.dtype, copy=False)
        )


def variable(array: Any, *, values: str, where: str) -> tuple[xr.Variable, bool]:
    """The lazy variable of a stored array, and whether it is a coordinate.

    Its dask name is made from the digest of its values: equal names, equal values, whichever commit they were read
    from, so that `save` and `diff` need not read what did not change.
    """
    import dask.array as da

    user, ours = unexplained(dict(array.attrs))
    stored = Stored(array, ours.get("kind", "number"), where)
    dims = tuple(array.metadata.dimension_names or ())
    attrs = digest.original(user)
    if array.ndim == 1 and dims == (where.rpartition("/")[2],):
        return xr.Variable(dims, stored[:], attrs), True  # an index: xarray holds it in memory anyway
    name = f"{where.rpartition('/')[2]}-twinkit-{values}"
    chunks = _together(dims, tuple(map(int, array.chunks)), stored.dtype.itemsize)
    lazy = da.from_array(
        stored, chunks=chunks or -1, name=name, asarray=False, meta=np.empty((0,) * array.ndim, stored.dtype)
    )
    return xr.Variable(dims, lazy, attrs), bool(ours.get("coordinate"))


def _together(dims: tuple[str, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Blocks as they are read: small ones along time many at once, because each task of dask costs a millisecond."""
    if dims[:1] != ("time",):
        return chunks
    return (chunks[0] * max(1, BLOCK // (math.prod(chunks) * itemsize)), *chunks[1:])


def digest_of(data: Any) -> str:
    """The value digest that the name of a lazy array carries; "" when it is not just as it was opened."""
    name = str(getattr(data, "name", ""))
    return name.rpartition("-twinkit-")[2] if "-twinkit-" in name else ""


def grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    """How many stored blocks an array has along each dim."""
    return tuple(-(-n // c) for n, c in zip(shape, chunks, strict=True))


def blocks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> list[list[tuple[slice, ...]]]:
    """The regions of an array's stored blocks, in C order, row by row along the first dim."""
    if not shape:
        return [[()]]
    starts = [range(0, n, c) for n, c in zip(shape, chunks, strict=True)]
    rows: list[list[tuple[slice, ...]]] = []
    for top in starts[0]:
        row: list[tuple[slice, ...]] = [(slice(top, min(top + chunks[0], shape[0])),)]
        for size, step, along in zip(shape[1:], chunks[1:], starts[1:], strict=True):
            row = [(*r, slice(s, min(s + step, size))) for r in row for s in along]
        rows.append(row)
    return rows
