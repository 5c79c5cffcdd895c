"""Whole rows of stored blocks, decoded straight into the array that is handed out.

Zarr decodes a block into one array and copies it into another. For readings, where a block is megabytes of noise,
the second half costs as much as the first, and a mean over time feels it. This reads what `array.create` writes for
them, and nothing else: for every other array or selection it says None, and Zarr reads.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import numpy as np

__all__ = ["read"]


def read(array: Any, key: Any) -> np.ndarray | None:
    """The values of a selection that is made of whole rows of blocks; None where it is not, or a block is missing."""
    rows = _rows(array, key)
    if rows is None or not _known(array):
        return None
    from numcodecs import blosc
    from zarr.core.sync import sync

    start, stop = rows
    step = array.chunks[0]
    out = np.empty((stop - start, *array.shape[1:]), array.dtype)
    for number, packed in enumerate(sync(_fetched(array, range(start // step, -(-stop // step))))):
        if packed is None:
            return None
        part = out[number * step : (number + 1) * step]
        if len(part) == step:
            blosc.decompress(packed.as_numpy_array(), part)
        else:
            # The last block is stored in full, beyond the end of the array.
            full = np.empty(array.chunks, array.dtype)
            blosc.decompress(packed.as_numpy_array(), full)
            part[...] = full[: len(part)]
    return out


async def _fetched(array: Any, rows: range) -> list[Any]:
    from zarr.core.buffer import default_buffer_prototype

    beside = (0,) * (array.ndim - 1)
    keys = [array.metadata.encode_chunk_key((row, *beside)) for row in rows]
    prototype = default_buffer_prototype()
    return await asyncio.gather(*((array.store_path / key).get(prototype) for key in keys))


def _rows(array: Any, key: Any) -> tuple[int, int] | None:
    """First and last position along the first dim, if the selection is whole rows of blocks as wide as the array."""
    keys = key if isinstance(key, tuple) else (key,)
    if not array.ndim or len(keys) != array.ndim or not all(isinstance(k, slice) for k in keys):
        return None
    if tuple(array.chunks[1:]) != tuple(array.shape[1:]):
        return None
    if any(k.indices(n) != (0, n, 1) for k, n in zip(keys[1:], array.shape[1:], strict=True)):
        return None
    start, stop, step = keys[0].indices(array.shape[0])
    whole = start % array.chunks[0] == 0 and (stop % array.chunks[0] == 0 or stop == array.shape[0])
    return (start, stop) if step == 1 and start < stop and whole else None


def _known(array: Any) -> bool:
    """Whether the blocks are encoded as `array.create` does it for readings."""
    codecs = [c.to_dict() for c in getattr(array.metadata, "codecs", ())]
    return (
        sys.byteorder == "little"
        and [c["name"] for c in codecs] == ["bytes", "blosc"]
        and codecs[0].get("configuration", {}).get("endian", "little") == "little"
    )
