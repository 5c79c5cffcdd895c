"""Blocks of values on their way to the disk: each computed once, written, and hashed in the same pass."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.store import array, digest, record

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["values_digest", "write"]


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
    jobs: list[tuple[int, tuple[slice, ...]]] = []
    for number, (p, _, _, _) in enumerate(targets):
        jobs += [(number, region) for row in array.blocks(p.shape, p.chunks) for region in row]

    def put(number: int, region: tuple[slice, ...], values: Any) -> bytes:
        _, target, start, _ = targets[number]
        values = np.asarray(values)
        place = (slice(region[0].start + start, region[0].stop + start), *region[1:]) if region else region
        target[place or ...] = values
        return digest.block(values)

    # What is in memory is written an array at a time, and hashed beside.
    pool = record.workers(os.getpid())
    writing = [pool.submit(_whole, p, target, start) for p, target, start, _ in targets if not p.lazy]
    eager = [(i, n, region) for i, (n, region) in enumerate(jobs) if not targets[n][0].lazy]
    hashed = pool.map(lambda job: digest.block(np.asarray(targets[job[1]][0].data[job[2]])), eager)
    found = {(i, n): d for (i, n, _), d in zip(eager, hashed, strict=True)}
    for written in writing:
        written.result()
    found |= _lazily(targets, [(i, j) for i, j in enumerate(jobs) if targets[j[0]][0].lazy], put)

    ordered = iter([found[i, j[0]] for i, j in enumerate(jobs)])
    kept = []
    for p, _, _, state in targets:
        chain = p.chain(state)
        for row in array.blocks(p.shape, p.chunks):
            whole = not p.shape or row[0][0].stop - row[0][0].start == p.chunks[0]
            chain.add([next(ordered) for _ in row], whole=whole)
        kept.append(chain.kept)
    return kept


def _whole(p: array.Plan, target: Any, start: int) -> None:
    if not p.shape:
        target[...] = p.data
    elif start and target.shape[0] == start:
        target.append(p.data)  # it grows by what is appended
    elif p.shape[0]:
        target[start:] = p.data


def _lazily(targets: Sequence[Any], jobs: list[tuple[int, Any]], put: Any) -> dict[tuple[int, int], bytes]:
    """All lazy blocks in one computation, so that what they share is computed once."""
    import dask

    if not jobs:
        return {}
    sources: dict[int, Any] = {}
    for _, (number, _) in jobs:
        if number not in sources:
            p = targets[number][0]
            blocks = p.data.rechunk(p.chunks) if p.shape else p.data
            sources[number] = iter(blocks.to_delayed(optimize_graph=True).ravel())
    values = [next(sources[number]) for _, (number, _) in jobs]
    client = _client()
    if client is None:
        tasks = [dask.delayed(put, pure=False)(n, region, v) for (_, (n, region)), v in zip(jobs, values, strict=True)]
        done = dask.compute(*tasks, scheduler="threads")
        return {(i, n): d for (i, (n, _)), d in zip(jobs, done, strict=True)}
    # Workers compute, this process alone writes: each block is let go as soon as it is on the disk.
    import distributed

    futures = client.compute(values)
    order = {f.key: job for f, job in zip(futures, jobs, strict=True)}
    found = {}
    waiting = distributed.as_completed(futures)
    del futures
    for future in waiting:
        i, (n, region) = order[future.key]
        found[i, n] = put(n, region, future.result())
        future.release()
    return found


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
