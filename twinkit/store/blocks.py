"""Blocks of values on their way to the disk: each computed once, written, and hashed in the same pass."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError
from twinkit.store import array, digest, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Theirs", "given_back", "values_digest", "write"]


class Theirs(Exception):  # noqa: N818 - never raised at a user: `given_back` unwraps it
    """An error of the user's own lazy computation, on its way out past those of the store."""


@contextlib.contextmanager
def _theirs() -> Iterator[None]:
    try:
        yield
    except TwinError:
        raise
    except Exception as fault:
        raise Theirs from fault


@contextlib.contextmanager
def given_back() -> Iterator[None]:
    """Raise a user's error as the user's code raised it."""
    try:
        yield
    except Theirs as fault:
        cause = fault.__cause__
    else:
        return
    if cause is not None:
        raise cause


def write(targets: Sequence[tuple[array.Plan, Any, int, str]]) -> list[list[str]]:
    """Write arrays block by block, every value computed once, and give their digests.

    Parameters
    ----------
    targets : list of (Plan, Zarr array, int, str)
        What to write, where, from which position along the first dim (the start of a stored block), and the state of
        the digest there, "" at the beginning.

    Returns
    -------
    list of list of str
        For each target what `digest.Chain.kept` gives.
    """
    leaves = [np.empty(array.grid(p.shape, p.chunks), dtype=object) for p, _, _, _ in targets]
    # What is in memory is written an array at a time, and hashed beside.
    pool = record.workers(os.getpid())
    writing = [pool.submit(_whole, p, target, start) for p, target, start, _ in targets if not p.lazy]
    for (p, _, _, _), found in zip(targets, leaves, strict=True):
        if not p.lazy:
            regions = [region for row in array.blocks(p.shape, p.chunks) for region in row]
            found.ravel()[:] = list(pool.map(lambda region, p=p: digest.block(np.asarray(p.data[region])), regions))
    for written in writing:
        written.result()
    lazy = [number for number, (p, _, _, _) in enumerate(targets) if p.lazy]
    if lazy:
        computed = (_here if _client() is None else _on_workers)([targets[number] for number in lazy])
        for number, found in zip(lazy, computed, strict=True):
            leaves[number] = found

    kept = []
    for (p, _, _, state), found in zip(targets, leaves, strict=True):
        chain = p.chain(state)
        rows = [found[i : i + 1].ravel() for i in range(len(found))] if p.shape else [found.ravel()]
        for row, digests in zip(array.blocks(p.shape, p.chunks), rows, strict=True):
            whole = not p.shape or row[0][0].stop - row[0][0].start == p.chunks[0]
            chain.add(list(digests), whole=whole)
        kept.append(chain.kept)
    return kept


def _whole(p: array.Plan, target: Any, start: int) -> None:
    if not p.shape:
        target[...] = p.data
    elif start and target.shape[0] == start:
        target.append(p.data)  # it grows by what is appended
    elif p.shape[0]:
        target[start:] = p.data


def _put(values: Any, target: Any, start: int, place: list[tuple[int, int]]) -> bytes:
    """Write one block and give its digest."""
    from twinkit.store.repository import engine

    values = np.asarray(values)
    region = tuple(slice(a + (start if i == 0 else 0), b + (start if i == 0 else 0)) for i, (a, b) in enumerate(place))
    with engine(target.path):
        target[region or ...] = values
    return digest.block(values)


def _here(targets: Sequence[tuple[array.Plan, Any, int, str]]) -> list[np.ndarray]:
    """All lazy blocks in one computation, so that what they share is computed once."""
    import dask

    def put(block: Any, target: Any, start: int, block_info: Any = None) -> np.ndarray:
        out = np.empty((1,) * np.ndim(block), dtype=object)
        out[...] = _put(block, target, start, block_info[0]["array-location"])
        return out

    written = [
        _cut(p).map_blocks(put, target=target, start=start, chunks=(1,) * len(p.shape), dtype=object, meta=_nothing(p))
        for p, target, start, _ in targets
    ]
    with _theirs():
        return list(dask.compute(*written, scheduler="threads"))


def _on_workers(targets: Sequence[tuple[array.Plan, Any, int, str]]) -> list[np.ndarray]:
    """Workers compute, this process alone writes: each block is let go as soon as it is on the disk."""
    import distributed

    jobs: dict[str, tuple[int, int, Any]] = {}
    futures = []
    leaves = []
    for number, (p, _, _, _) in enumerate(targets):
        regions = [region for row in array.blocks(p.shape, p.chunks) for region in row]
        blocks = _client().compute(list(_cut(p).to_delayed(optimize_graph=False).ravel()))
        jobs |= {f.key: (number, i, region) for i, (f, region) in enumerate(zip(blocks, regions, strict=True))}
        futures += blocks
        leaves.append(np.empty(array.grid(p.shape, p.chunks), dtype=object))
    waiting = distributed.as_completed(futures)
    del futures, blocks
    with _theirs():
        for future in waiting:
            number, i, region = jobs[future.key]
            _, target, start, _ = targets[number]
            leaves[number].ravel()[i] = _put(future.result(), target, start, [(s.start, s.stop) for s in region])
            future.release()
    return leaves


def _cut(p: array.Plan) -> Any:
    return p.data.rechunk(p.chunks) if p.shape else p.data


def _nothing(p: array.Plan) -> np.ndarray:
    return np.empty((0,) * len(p.shape), dtype=object)


def _client() -> Any:
    """The distributed client that dask would compute with; None where it is this process."""
    from dask.base import get_scheduler

    owner = getattr(get_scheduler(), "__self__", None)
    return owner if hasattr(owner, "scheduler_info") else None


def values_digest(p: array.Plan) -> list[str]:
    """Digest of values in memory, without writing them."""
    chain = p.chain()
    for row in array.blocks(p.shape, p.chunks):
        whole = not p.shape or row[0][0].stop - row[0][0].start == p.chunks[0]
        chain.add([digest.block(np.asarray(p.data[region])) for region in row], whole=whole)
    return chain.kept
