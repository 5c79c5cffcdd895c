"""The twin under a lesson: a real region's, or a generated town's, small enough for a classroom laptop.

A pack for classrooms carries the twins ready-made, because the maps behind a region weigh 200 MB; they are found
in the folder named by ``TWINKIT_LESSON_DATA``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twinkit.error import TwinError

__all__ = ["TOWN", "ground", "stored_name"]

TOWN = "town"
SMALL = {"radius": 20e3, "resolution": 200.0}
FULL = {"radius": 60e3, "resolution": 200.0}
SMALL_SITES, FULL_SITES = 12, 60


def ground(region: str, *, seed: int, small: bool) -> Any:
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
        From ``TWINKIT_LESSON_DATA`` where that folder holds it, otherwise built.

    Errors
    ------
    TwinError
        Unknown region, or the extra ``geo`` is missing and no ready-made twin stands in for it.
    """
    folder = os.environ.get("TWINKIT_LESSON_DATA")
    if folder:
        stored = Path(folder) / stored_name(region, seed=seed, small=small)
        if stored.is_dir():
            from twinkit import store

            # loaded whole, so that the lesson's twin is the same whether it was built or stored
            return store.open(stored).load()
    from twinkit import datasets

    if region == TOWN:
        return datasets.town(sites=SMALL_SITES if small else FULL_SITES, seed=seed)
    try:
        return datasets.region(region, seed=seed, **(SMALL if small else FULL))
    except TwinError as fault:
        if "geo" not in fault.hint:
            raise
        raise TwinError(
            fault.expected,
            found=fault.found,
            hint=f'{fault.hint}; or open the lesson with region="{TOWN}"',
            where=fault.where,
        ) from None


def stored_name(region: str, *, seed: int, small: bool) -> str:
    """The folder name of a ready-made twin: ``RW-Kigali.1.small.twin``."""
    plain = "".join(c if c.isalnum() else "-" for c in region)
    return f"{plain}.{seed}.{'small' if small else 'full'}.twin"
