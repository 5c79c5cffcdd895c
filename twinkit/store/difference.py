"""Diff: what changed between two twins, said once for each node and variable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError, escaped
from twinkit.store import array, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Change", "Difference", "diff"]


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes
    ----------
    where : str
        ``"sites/height"``, or a node.
    what : {"added", "removed", "values", "attributes", "ids", "type"}
    text : str
        The difference in words.
    count, of : int
        Values that differ, among those compared.
    largest : float
        Largest difference [unit of the variable]; NaN where there is none to take.
    """

    where: str
    what: str
    text: str
    count: int = 0
    of: int = 0
    largest: float = float("nan")


@dataclass(frozen=True)
class Difference:
    """What differs between two twins; prints as a table and is true if anything does."""

    changes: list[Change] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        if not self.changes:
            return "no difference"
        rows = [("where", "what", "how"), *((escaped(c.where), c.what, escaped(c.text)) for c in self.changes)]
        widths = [max(len(r[i]) for r in rows) for i in range(2)]
        return "\n".join(f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c}" for a, b, c in rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        cells = "".join(
            f"<tr><td>{escape(escaped(c.where))}</td><td>{c.what}</td><td>{escape(escaped(c.text))}</td></tr>"
            for c in self.changes
        )
        return f"<table><thead><tr><th>where</th><th>what</th><th>how</th></tr></thead><tbody>{cells}</tbody></table>"


def diff(before: xr.DataTree, after: xr.DataTree) -> Difference:
    """What changed from one twin to another: nodes, variables, ids, values and attributes.

    Variables that two commits of a store share are recognised without reading them. Where ids were added or removed,
    the values of those that stayed are compared.

    Parameters
    ----------
    before, after : DataTree
        Twins, from the same store or not.

    Returns
    -------
    Difference
        Prints as a table; `changes` holds the rows.

    Errors
    ------
    TwinError
        Not two twins.

    Examples
    --------
    >>> import twinkit as tk
    >>> sites = xr.Dataset({"height": ("site", [30.0, 40.0])}, {"site": ["a", "b"]})
    >>> one = tk.assemble({"sites": sites}, title="two masts", crs="EPSG:32643")
    >>> print(diff(one, tk.extend(one, sites=sites.assign(height=("site", [30.0, 45.0])))))
    where         what    how
    sites/height  values  1 of 2 differ, by up to 5 m
    """
    for twin in (before, after):
        if not isinstance(twin, xr.DataTree):
            raise TwinError(
                "two twins (xarray.DataTree)",
                found=f"a {type(twin).__name__}",
                hint="tk.diff(tk.open(path, as_of='2026-03-01'), tk.open(path))",
            )
    changes = _attributes("/", before.attrs, after.attrs)
    pairs: list[tuple[str, xr.DataArray, xr.DataArray]] = []
    for node in dict.fromkeys([*before.children, *after.children]):
        if node not in after.children or node not in before.children:
            there, what = (after, "added") if node in after.children else (before, "removed")
            changes.append(Change(node, what, _size(there.children[node].to_dataset(inherit=False))))
            continue
        a, b = (twin.children[node].to_dataset(inherit=False) for twin in (before, after))
        changes += _attributes(node, a.attrs, b.attrs)
        moved, a, b = _aligned(node, a, b)
        changes += moved
        for name in dict.fromkeys([*a.variables, *b.variables]):
            where = f"{node}/{name}"
            if name not in b.variables or name not in a.variables:
                v, what = (b[name], "added") if name in b.variables else (a[name], "removed")
                changes.append(Change(where, what, f"{v.dtype} {_dims(v)}"))
                continue
            changes += _attributes(where, a[name].attrs, b[name].attrs)
            pairs.append((where, a[name], b[name]))
    return Difference(changes + _values(pairs))


def _dims(v: xr.DataArray) -> str:
    return "(" + ", ".join(f"{d}: {n}" for d, n in v.sizes.items()) + ")"


def _size(ds: xr.Dataset) -> str:
    dims = ", ".join(f"{d}: {n}" for d, n in ds.sizes.items())
    return f"{len(ds.data_vars)} variables ({dims})"


def _attributes(where: str, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[Change]:
    a, b = (digest.attributes(x, where=where) for x in (before, after))
    parts = [
        f"{k}: {_told(a[k]) if k in a else 'none'} → {_told(b[k]) if k in b else 'none'}"
        for k in dict.fromkeys([*a, *b])
        if a.get(k) != b.get(k) or (k in a) != (k in b)
    ]
    return [Change(where, "attributes", "; ".join(parts), len(parts))] if parts else []


def _told(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _aligned(node: str, a: xr.Dataset, b: xr.Dataset) -> tuple[list[Change], xr.Dataset, xr.Dataset]:
    """The ids that came and went, and both datasets on the ids that stayed."""
    changes = []
    for dim in dict.fromkeys([*a.dims, *b.dims]):
        if dim not in a.indexes or dim not in b.indexes:
            continue
        old, new = a.indexes[dim], b.indexes[dim]
        if old.equals(new):
            continue
        if not (old.is_unique and new.is_unique):
            continue
        came, went = new.difference(old, sort=False), old.difference(new, sort=False)
        parts = [_listed("added", came), _listed("removed", went)]
        if not len(came) and not len(went):
            parts = ["in another order"]
        changes.append(Change(f"{node}/{dim}", "ids", "; ".join(p for p in parts if p), len(came) + len(went)))
        kept = old.intersection(new, sort=False)
        a, b = (
            ds if ds.indexes[dim].equals(kept) else ds.isel({dim: ds.indexes[dim].get_indexer(kept)}) for ds in (a, b)
        )
    return changes, a, b


def _listed(word: str, ids: Any) -> str:
    if not len(ids):
        return ""
    some = ", ".join(map(str, ids[:3]))
    return f"{len(ids)} {word} ({some}{', ...' if len(ids) > 3 else ''})"


def _values(pairs: list[tuple[str, xr.DataArray, xr.DataArray]]) -> list[Change]:
    """Compare values, all lazy ones in one computation."""
    import dask

    changes, wanted = [], []
    for where, a, b in pairs:
        same = array.digest_of(a.variable._data)
        if same and same == array.digest_of(b.variable._data):
            continue
        if a.dims != b.dims or a.shape != b.shape:
            changes.append(Change(where, "type", f"{_dims(a)} → {_dims(b)}"))
            continue
        kinds = {k if (k := v.dtype.kind) not in "fiu" else "number" for v in (a, b)} - {"O", "U", "T"}
        if len(kinds) > 1 or (kinds and kinds == {"number"} and {a.dtype.kind, b.dtype.kind} & set("OUT")):
            changes.append(Change(where, "type", f"{a.dtype} → {b.dtype}"))
            continue
        if a.dtype != b.dtype and a.dtype.kind not in "OUT":
            changes.append(Change(where, "type", f"{a.dtype} → {b.dtype}"))
        wanted.append((where, a, _compared(a, b)))
    for (where, a, _), found in zip(wanted, dask.compute(*(w[2] for w in wanted)), strict=True):
        count, largest = int(found[0]), float(found[1])
        if count:
            by = "" if np.isnan(largest) else f", by up to {_amount(a, largest)}"
            verb = "differs" if count == 1 and a.size == 1 else "differ"
            changes.append(Change(where, "values", f"{count:,} of {a.size:,} {verb}{by}", count, a.size, largest))
    return changes


def _amount(a: xr.DataArray, largest: float) -> str:
    if a.dtype.kind in "mM":
        return f"{largest / 1e9:g} s"
    unit = a.attrs.get("units", "1")
    return f"{largest:g}" + ("" if unit == "1" else f" {unit}")


def _compared(a: xr.DataArray, b: xr.DataArray) -> tuple[Any, Any]:
    """How many values differ, and by how much at most; lazy where one of the two is."""
    x: Any = a.variable._data
    y: Any = b.variable._data
    if not hasattr(x, "dask") and not hasattr(y, "dask"):
        return _block_difference(np.asarray(a.values), np.asarray(b.values))
    import dask
    import dask.array as da

    x = x if hasattr(x, "dask") else da.from_array(np.asarray(a.values), chunks=y.chunks)
    y = y if hasattr(y, "dask") else da.from_array(np.asarray(b.values), chunks=x.chunks)
    y = y.rechunk(x.chunks)
    parts = [
        dask.delayed(_block_difference)(i, j)
        for i, j in zip(x.to_delayed().ravel(), y.to_delayed().ravel(), strict=True)
    ]
    total = dask.delayed(lambda ps: (sum(p[0] for p in ps), _most([p[1] for p in ps])))(parts)
    return total[0], total[1]


def _most(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return max(known) if known else float("nan")


def _block_difference(x: np.ndarray, y: np.ndarray) -> tuple[int, float]:
    if x.dtype.kind in "OUTb" or y.dtype.kind in "OUTb":
        return int(np.count_nonzero(x != y)), float("nan")
    gone = np.isnan(x) if x.dtype.kind == "f" else np.isnat(x) if x.dtype.kind in "mM" else np.zeros(x.shape, bool)
    lost = np.isnan(y) if y.dtype.kind == "f" else np.isnat(y) if y.dtype.kind in "mM" else np.zeros(y.shape, bool)
    other = (x != y) & ~(gone & lost)
    both = other & ~gone & ~lost
    if not both.any():
        return int(other.sum()), float("nan")
    if x.dtype.kind in "mM":
        step = np.abs((y[both] - x[both]).astype("m8[ns]").astype("i8")).max()
    else:
        step = np.abs(y[both].astype(float) - x[both].astype(float)).max()
    return int(other.sum()), float(step)
