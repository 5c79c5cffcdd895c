"""Digests: what a commit says about itself, so that a later reader can tell whether it still says the same.

Three layers, each the SHA-256 of plain bytes. *Values*: each stored block of an array is hashed as it is in memory
(not as it is compressed), and the rows of blocks along the first dim are chained, so that an append hashes only
what is new. *Content*: the attributes, dims, types and value digests of a node, and of the nodes of the twin.
*Head*: content, message, author and time of a commit together with the head before it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from twinkit.error import TwinError

__all__ = ["Chain", "attributes", "block", "canonical", "head", "of", "original"]

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def canonical(value: Any) -> bytes:
    """The one way in which a JSON value is written here: sorted keys, no blanks, UTF-8.

    >>> canonical({"b": 1, "a": "e"})
    b'{"a":"e","b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def of(value: Any) -> str:
    """SHA-256 of a JSON value in its canonical form, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def head(*, content: str, parent: str, message: str, author: str, when: str, changed: list[str]) -> str:
    """Digest of a whole history up to and including one commit.

    Parameters
    ----------
    content : str
        Digest of the twin's attributes and values.
    parent : str
        Head of the commit before, "" for the first.
    message, author, when : str
        Why, who, and when (UTC, ISO 8601).
    changed : list of str
        Nodes that the commit changed.
    """
    return of(
        {
            "author": author,
            "changed": changed,
            "content": content,
            "message": message,
            "parent": parent,
            "when": when,
        }
    )


def block(values: np.ndarray) -> bytes:
    """Digest of one block of an array: its bytes in C order, or the UTF-8 of its texts with their lengths."""
    if values.dtype.kind in "OT":
        texts = list(map(str, values.ravel().tolist()))
        digest = hashlib.sha256(np.fromiter(map(len, texts), dtype="<i8", count=len(texts)).tobytes())
        digest.update("".join(texts).encode())
        return digest.digest()
    plain = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return hashlib.sha256(plain.reshape(-1).view(np.uint8).data).digest()


class Chain:
    """Digest of an array that can grow along its first dim.

    Whole rows of blocks are chained into `state`; a last row that is not whole is hashed on top, so that an append
    which completes it continues from `state`.

    Parameters
    ----------
    dtype : str
    chunks : tuple of int
        Shape of a block.
    width : tuple of int
        Shape of the array without its first dim.
    state : str, optional
        Where to continue.
    """

    def __init__(self, *, dtype: str, chunks: tuple[int, ...], width: tuple[int, ...], state: str = "") -> None:
        start = of({"chunks": list(chunks), "dtype": dtype, "width": list(width)})
        self.state = state or start
        self.digest = self.state

    def add(self, row: list[bytes], *, whole: bool) -> None:
        """One more row of block digests, in C order. Nothing may follow a row that is not whole."""
        digest = hashlib.sha256(bytes.fromhex(self.state) + hashlib.sha256(b"".join(row)).digest()).hexdigest()
        self.digest = digest
        if whole:
            self.state = digest

    @property
    def kept(self) -> list[str]:
        """What a commit keeps: the digest, and the state to continue from where it is another."""
        return [self.digest] if self.state == self.digest else [self.digest, self.state]


def attributes(given: Mapping[Any, Any], *, where: str) -> dict[str, Any]:
    """The attributes as JSON can hold them; NumPy scalars and arrays become numbers and lists.

    Errors
    ------
    TwinError
        A value that JSON has no word for; names the attribute.

    >>> attributes({"scale": np.float32(1.5), "range": (0, np.inf)}, where="sites")
    {'scale': 1.5, 'range': [0, {'float': 'Infinity'}]}
    """
    return {_key(k, where): _plain(v, f"{where}: attribute '{k}'") for k, v in given.items()}


def original(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as they were given to `attributes`."""
    return {k: _back(v) for k, v in stored.items()}


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise TwinError("attribute names that are text", found=repr(key), hint=f"name it '{key}'", where=where)
    return key


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.datetime64 | np.timedelta64):
        value = str(value)
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise TwinError("whole numbers of 64 bits", found=str(value), hint="write it as text", where=where)
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"float": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        members = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(v, where) for v in members]
    if isinstance(value, Mapping):
        return {_key(k, where): _plain(v, where) for k, v in value.items()}
    raise TwinError(
        "attributes of text, numbers, truth values, lists and dictionaries",
        found=f"a {type(value).__name__}",
        hint="write it as text, or keep it outside the twin",
        where=where,
    )


def _back(value: Any) -> Any:
    if isinstance(value, dict):
        if list(value) == ["float"] and value["float"] in NOT_FINITE:
            return NOT_FINITE[value["float"]]
        return {k: _back(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_back(v) for v in value]
    return value
