"""Randomness that repeats: one independent stream for each seed, place and layer."""

from __future__ import annotations

import zlib

import numpy as np

from twinkit.error import TwinError

__all__ = ["generator", "whole_seed"]


def whole_seed(seed: object) -> int:
    """The seed, if it is a whole number from 0.

    >>> whole_seed(1)
    1
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise TwinError("a seed: a whole number from 0", found=repr(seed), hint="seed=1", where="seed")
    return int(seed)


def generator(seed: int, place: str, layer: str) -> np.random.Generator:
    """The stream of one layer of one place, so that another layer's draws never shift it."""
    return np.random.default_rng([seed, zlib.crc32(place.encode()), zlib.crc32(layer.encode())])
