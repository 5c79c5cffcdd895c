"""Randomness that repeats: one independent stream for each seed, place and layer."""

from __future__ import annotations

import zlib

import numpy as np

__all__ = ["generator"]


def generator(seed: int, place: str, layer: str) -> np.random.Generator:
    """The stream of one layer of one place, so that another layer's draws never shift it."""
    return np.random.default_rng([seed, zlib.crc32(place.encode()), zlib.crc32(layer.encode())])
