"""Large results on their way into a store: computed and committed piece by piece, and taken up where they stopped."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from twinkit import store
from twinkit.error import TwinError
from twinkit.store import digest, repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["fill"]

MADE_FROM = "made_from"


def fill(
    path: store.Path,
    node: str,
    data: xr.Dataset,
    *,
    message: str,
    dim: str = "y",
    of: Sequence[str] | None = None,
    branch: str = "main",
    author: str | None = None,
    progress: bool = True,
) -> store.Commit:
    """Commit a lazy result to a new node of a store piece by piece; a second call goes on where the first stopped.

    A piece is one row of the result's chunks along `dim`: no more than one is held in memory, and one that was cut
    short leaves no trace. Each piece is one commit.

    Parameters
    ----------
    path : str or Path
        Folder or address of an existing store.
    node : str
        ``"coverage"``, for example: new, or begun by an earlier call.
    data : Dataset
        Lazy; every variable has `dim` as its first dim.
    message : str
        Each commit adds how far it got.
    dim : str
        Along which it grows; its values ascend.
    of : list of str, optional
        Nodes from which `data` was made. If one of them changed since the first piece, going on is refused. Left
        out, all other nodes.
    branch : str
    author : str, optional
    progress : bool
        A bar on the standard error.

    Returns
    -------
    Commit
        The last one, also when nothing was left to do.

    Errors
    ------
    TwinError
        A node that holds something else, or was made from other nodes than stand there now; and as `append`. Of two
        that fill one node at an address at once, whoever comes second with a piece raises, and may be called again.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> _ = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> rows = xr.DataArray(np.arange(12.0).reshape(6, 2), {"y": np.arange(6.0)}, ("y", "x"), name="depth")
    >>> done = fill(path, "result", rows.to_dataset().chunk(y=2), message="depths", progress=False)
    >>> [c.message for c in tk.history(path)][:3]
    ['depths (6 of 6 along y)', 'depths (4 of 6 along y)', 'depths (2 of 6 along y)']
    """
    if not isinstance(data, xr.Dataset) or dim not in data.indexes:
        raise TwinError(
            f"a Dataset with values along '{dim}'", found=type(data).__name__, hint=f"give it a coordinate {dim}",
            where=node,
        )  # fmt: skip
    late = [str(n) for n, v in data.data_vars.items() if not v.dims or v.dims[0] != dim]
    if late:
        raise TwinError(
            f"'{dim}' first in every variable", found=late[0], hint=f"data.transpose('{dim}', ...)", where=node
        )
    source = _digest_of(path, branch, node, of)
    begun = store.open(path, branch=branch)
    whole = data.assign_attrs({MADE_FROM: source})
    done = _stored(begun, node, whole, dim) if node in begun.children else 0
    total = data.sizes[dim]
    last = store.history(path, branch=branch)[0]
    bar = _Bar(node, done, total) if progress else None
    for start, stop in _pieces(data, dim, done):
        piece = whole.isel({dim: slice(start, stop)}).compute()
        said = f"{message} ({stop} of {total} along {dim})"
        last = store.append(path, node, piece, message=said, dim=dim, branch=branch, author=author)
        if bar:
            bar.show(stop)
    return last


def _digest_of(path: store.Path, branch: str, node: str, of: Sequence[str] | None) -> str:
    """One digest of the nodes from which a result is made, as they are stored now."""
    root = repository.located(path, anywhere=True)
    repo = repository.reader(root)
    with repository.engine(root):
        nodes = repo.lookup_snapshot(repository.snapshot(repo, root, branch=branch)).metadata["nodes"]
    names = set(nodes) - {"/", node} if of is None else set(of)
    if not names <= set(nodes):
        raise TwinError(
            f"nodes among {', '.join(n for n in nodes if n != '/')}",
            found=", ".join(sorted(names - set(nodes))),
            hint="name those from which the result is made",
            where="of",
        )
    return digest.of({n: nodes[n] for n in sorted(names)})


def _stored(twin: xr.DataTree, node: str, data: xr.Dataset, dim: str) -> int:
    """How much of `data` a node holds already.

    Errors
    ------
    TwinError
        It holds something else.
    """
    held = twin.children[node].to_dataset(inherit=False)

    def other(what: str, hint: str) -> TwinError:
        return TwinError("the beginning of the same result", found=what, hint=hint, where=node)

    if MADE_FROM not in held.attrs or dim not in held.indexes:
        raise other("a node that was saved whole", "choose another name for the result")
    if held.attrs[MADE_FROM] != data.attrs[MADE_FROM]:
        raise other("one made from nodes that have changed since", "fill a new node, or another branch")
    count = held.sizes[dim]
    if count > data.sizes[dim] or not np.array_equal(held[dim].values, data[dim].values[:count]):
        raise other(f"other values of '{dim}'", "choose another name for the result")
    if set(held.data_vars) != set(data.data_vars):
        raise other(f"the variables {', '.join(map(str, held.data_vars))}", "choose another name for the result")
    for name, array in data.data_vars.items():
        if digest.attributes(array.attrs, where=node) != digest.attributes(held[name].attrs, where=node):
            changed = [k for k in {*array.attrs, *held[name].attrs} if array.attrs.get(k) != held[name].attrs.get(k)]
            raise other(f"{name} with other {', '.join(sorted(changed))}", "choose another name for the result")
    return count


def _pieces(data: xr.Dataset, dim: str, done: int) -> Iterator[tuple[int, int]]:
    """From where to where the pieces go that are still to do: the rows of chunks."""
    edges = np.cumsum(data.chunksizes.get(dim, (data.sizes[dim],)))
    for stop in edges[edges > done]:
        yield done, int(stop)
        done = int(stop)


class _Bar:
    """How far it is and how long it will still take, on one line."""

    def __init__(self, name: str, start: int, total: int) -> None:
        self.name, self.start, self.total, self.began = name, start, total, time.monotonic()
        self.show(start)

    def show(self, done: int) -> None:
        width = 40
        full = width * done // max(self.total, 1)
        spent = time.monotonic() - self.began
        gained = done - self.start
        left = f", {spent / gained * (self.total - done):.0f} s left" if gained else ""
        end = "\n" if done == self.total else ""
        bar = f"[{'#' * full}{'.' * (width - full)}] {done / max(self.total, 1):.0%}"
        print(f"\r{self.name} {bar}, {spent:.0f} s{left}   ", end=end, file=sys.stderr, flush=True)
