"""The twin: a plain `xarray.DataTree`, two levels deep, and what keeps it whole.

Root: attributes only. Nodes are siblings, so that no child must align with a parent's index. Every
function here takes a twin and gives a new one, or says what is wrong with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import explain, stamp
from twinkit.error import TwinError, close_to
from twinkit.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["assemble", "axis", "explain", "extend", "tiles", "validate"]

# (node, variable) → the node and index in which each of its values must be found
REFERENCES = {
    ("cells", "site"): ("sites", "site"),
    ("links", "source"): ("sites", "site"),
    ("links", "target"): ("sites", "site"),
}


def assemble(nodes: Mapping[str, xr.Dataset], /, *, title: str, crs: str, **attributes: Any) -> xr.DataTree:
    """A twin from its nodes: every known variable is stamped, and the whole is validated.

    Parameters
    ----------
    nodes : dict of str to Dataset
        ``sites``, ``cells``, ``links``, ``places``, ``surface``, ``telemetry`` or a name of your own. Values are
        in the vocabulary's units; a variable that states another unit is refused.
    title : str
    crs : str
        What pyproj understands and whose axes are metres, e.g. ``"EPSG:32643"``.
    **attributes : str, int or float
        The rest of the root: place, seed, licence, sources, version.

    Returns
    -------
    DataTree

    Errors
    ------
    TwinError
        As `validate`.

    Examples
    --------
    >>> sites = xr.Dataset({"x": ("site", [0.0]), "y": ("site", [0.0])}, {"site": ["a"]})
    >>> assemble({"sites": sites}, title="one mast", crs="EPSG:32643")["sites/x"].attrs["units"]
    'm'
    """
    tree = xr.DataTree(xr.Dataset(attrs={"title": title, "crs": crs, **attributes}))
    return validate(extend(tree, **nodes))


def extend(twin: xr.DataTree, /, **nodes: xr.Dataset | xr.DataArray) -> xr.DataTree:
    """A new twin with nodes added, or with variables added to or replaced in the nodes it has.

    Parameters
    ----------
    twin : DataTree
    **nodes : Dataset or named DataArray
        ``extend(twin, coverage=coverage)``. A node whose index differs from the new one's replaces the old node
        whole; otherwise the new variables join the old.

    Returns
    -------
    DataTree
        Shares the arrays of `twin`, which stays as it was.

    Errors
    ------
    TwinError
        Not a labelled array, a DataArray without a name, a name with a slash, or a variable in another unit than the
        vocabulary's.

    Examples
    --------
    >>> one = assemble({}, title="empty", crs="EPSG:32643")
    >>> two = extend(one, sites=xr.Dataset({"height": ("site", [30.0])}, {"site": ["a"]}))
    >>> list(one.children), list(two.children)
    ([], ['sites'])
    """
    _is_twin(twin)
    whole = {name: child.to_dataset(inherit=False) for name, child in twin.children.items()}
    for node, new in nodes.items():
        if isinstance(new, xr.DataArray) and new.name is not None:
            new = new.to_dataset()
        if not isinstance(new, xr.Dataset):
            raise TwinError(
                "a Dataset or a named DataArray",
                found=f"a {type(new).__name__}{' without a name' if isinstance(new, xr.DataArray) else ''}",
                hint="name it: array.rename('load'), or give a Dataset",
                where=node,
            )
        for name in [*new.variables, *new.dims]:
            if "/" in str(name):
                raise TwinError(
                    "a variable or dim name without '/'",
                    found=f"'{name}'",
                    hint="a slash stands between node and variable: rename it",
                    where=node,
                )
        new = _stamped(new, node)
        old = whole.get(node)
        if old is None or not _same_index(old, new):
            whole[node] = new
        else:
            whole[node] = old.assign_coords(new.coords).assign(new.data_vars).assign_attrs(new.attrs)
    root = xr.Dataset(attrs=dict(twin.attrs))
    return xr.DataTree.from_dict({"/": root, **whole}, name=twin.name)


def validate(twin: xr.DataTree) -> xr.DataTree:
    """The same twin, unchanged, if it is one; else the first thing that is wrong with it.

    Checked: two levels, attributes only at the root, a projected CRS in metres, unique ids, references between
    nodes (a cell's site exists), and for each known variable its dims, unit and plausible range. Values on disk
    or in a dask graph are not read for the range.

    Errors
    ------
    TwinError
        Names node, variable and first offending id.

    Examples
    --------
    >>> sites = xr.Dataset({"height": ("site", [-3.0])}, {"site": ["a"]})
    >>> assemble({"sites": sites}, title="", crs="EPSG:32643")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: sites/height: expected height from 0 to 400 m; found -3 at site 'a'. Try: ...
    """
    _is_twin(twin)
    root = twin.to_dataset(inherit=False)
    if root.variables:
        raise TwinError(
            "attributes only at the root",
            found=", ".join(map(str, root.variables)),
            hint="move them into a node; children would have to align with them",
            where="/",
        )
    for node, child in twin.children.items():
        if child.children:
            raise TwinError(
                "a tree two levels deep",
                found=f"nodes below '{node}': {', '.join(child.children)}",
                hint="make them siblings; what varies is a dim",
                where=node,
            )
        _check_node(node, child.to_dataset(inherit=False))
    _check_crs(twin.attrs.get("crs"))
    for (node, name), (other, index) in REFERENCES.items():
        if node in twin.children and name in twin[node].data_vars:
            known: Any = _node(twin, other)[index].values if other in twin.children else []
            _check_reference(_node(twin, node)[name], known, f"{node}/{name}", other)
    return twin


def axis(array: xr.DataArray, *, chunk: int = 512) -> xr.DataArray:
    """A dask-backed copy of an index coordinate, on the same dim.

    xarray never chunks index coordinates: ``(sites.x - surface.x)**2`` builds one block of sites × y × x while it
    looks lazy. On a lent axis the same expression stays in tiles.

    Parameters
    ----------
    array : DataArray, 1-D
        An index coordinate, e.g. ``twin["surface"].x`` [m].
    chunk : int
        Values in a chunk.

    Returns
    -------
    DataArray
        Same dim, values and attributes, without the index.

    Examples
    --------
    >>> axis(xr.DataArray(np.arange(1000.0), dims="x")).chunks
    ((512, 488),)
    """
    import dask.array as da

    if array.ndim != 1:
        raise TwinError("one axis", found=f"dims {tuple(array.dims)}", hint="lend y and x one by one")
    values = da.from_array(np.asarray(array.values), chunks=chunk)
    return xr.DataArray(values, dims=array.dims, name=f"{array.name or array.dims[0]}_axis", attrs=array.attrs)


def tiles(surface: xr.Dataset | xr.DataArray, *, size: int = 512) -> Iterator[dict[str, slice]]:
    """The y, x windows that cover a surface, row by row, for `isel`.

    Parameters
    ----------
    surface : Dataset or DataArray with dims y, x
    size : int
        Pixels along an edge of a tile; the last ones may be smaller.

    Examples
    --------
    >>> list(tiles(xr.DataArray(np.zeros((3, 2)), dims=("y", "x")), size=2))
    [{'y': slice(0, 2, None), 'x': slice(0, 2, None)}, {'y': slice(2, 3, None), 'x': slice(0, 2, None)}]
    """
    if size < 1:
        raise TwinError("a tile of at least one pixel", found=str(size), hint="leave size out")
    if not {"y", "x"} <= set(surface.dims):
        raise TwinError(
            "dims y and x", found=f"dims {tuple(surface.dims)}", hint="give the surface, e.g. twin['surface']"
        )
    rows, columns = surface.sizes["y"], surface.sizes["x"]
    for top in range(0, rows, size):
        for left in range(0, columns, size):
            yield {"y": slice(top, min(top + size, rows)), "x": slice(left, min(left + size, columns))}


# ---------------------------------------------------------------- parts of the checks


def _is_twin(twin: object) -> None:
    if not isinstance(twin, xr.DataTree):
        raise TwinError(
            "a twin (an xarray.DataTree)",
            found=f"a {type(twin).__name__}",
            hint="tk.open(path), tk.datasets.region(...) or tk.assemble(...) give one",
        )


def _node(twin: xr.DataTree, name: str) -> xr.Dataset:
    return twin.children[name].to_dataset(inherit=False)


def _same_index(old: xr.Dataset, new: xr.Dataset) -> bool:
    return all(
        old.sizes.get(d, n) == n
        and (d not in old.indexes or d not in new.indexes or old.indexes[d].equals(new.indexes[d]))
        for d, n in new.sizes.items()
    )


def _stamped(ds: xr.Dataset, node: str) -> xr.Dataset:
    out = ds.copy()
    known = words()
    for name in ds.variables:
        w = known.get(str(name))
        if w is None:
            continue
        unit = ds[name].attrs.get("units", w.unit)
        if unit != w.unit:
            raise TwinError(str(w), found=f"unit '{unit}'", hint=f"convert it to {w.unit}", where=f"{node}/{name}")
        attrs = dict(ds[name].attrs)
        out[name].attrs = attrs | stamp(ds[name].reset_coords(drop=True), str(name)).attrs
    return out


def _check_node(node: str, ds: xr.Dataset) -> None:
    for dim, index in ds.indexes.items():
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise TwinError(
                f"unique {dim} ids",
                found=f"'{twice}' more than once",
                hint="make the ids unique",
                where=f"{node}/{dim}",
            )
    known = words()
    for name, array in ds.variables.items():
        w = known.get(str(name))
        if w is None:
            continue
        where = f"{node}/{name}"
        if not w.fits(array.dims):
            raise TwinError(str(w), found=f"dims {array.dims}", hint="rename or reduce the dims", where=where)
        if w.kind != "number":
            continue
        if array.attrs.get("units", w.unit) != w.unit:
            raise TwinError(str(w), found=f"unit '{array.attrs['units']}'", hint=f"convert it to {w.unit}", where=where)
        if array.dtype.kind not in "fiub":
            raise TwinError(str(w), found=f"{array.dtype} values", hint="convert them to numbers", where=where)
        if not isinstance(array._data, np.ndarray):
            continue  # on disk or in a graph: not read for a check
        values = array.values
        if values.size and w.low <= values.min() and values.max() <= w.high and np.isfinite(values.max()):
            continue  # no NaN either, and no array was made to find out: readings come by the million
        # NaN is no fault: a gap in the data is a fact, and the stages that cannot bear it say so
        bad = np.flatnonzero((values < w.low) | (values > w.high) | np.isinf(values))
        if bad.size:
            at = np.unravel_index(bad[0], values.shape)
            spot = ", ".join(f"{d} '{ds[d].values[i]}'" for d, i in zip(array.dims, at, strict=True))
            raise TwinError(
                f"{name} from {w.low:g} to {w.high:g} {w.unit}",
                found=f"{values[at]:g} at {spot}",
                hint="check the unit and the sign",
                where=where,
            )


def _check_crs(crs: object) -> None:
    import pyproj

    try:
        system = pyproj.CRS.from_user_input(crs)
    except (pyproj.exceptions.CRSError, TypeError):
        raise TwinError(
            "a CRS at the root", found=repr(crs), hint="state the projected CRS, e.g. crs='EPSG:32643'", where="crs"
        ) from None
    if not system.is_projected or system.axis_info[0].unit_name != "metre":
        raise TwinError(
            "a projected CRS in metres",
            found=f"{system.name} in {system.axis_info[0].unit_name}",
            hint="use a UTM zone; longitude and latitude stand at the edges only",
            where="crs",
        )


def _check_reference(array: xr.DataArray, known: Any, where: str, other: str) -> None:
    strangers = sorted(set(map(str, array.values)) - set(map(str, known)))
    if strangers:
        near = close_to(strangers[0], known)
        raise TwinError(
            f"ids of {other}",
            found=f"'{strangers[0]}'" + (f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""),
            hint=f"did you mean {near}?" if near else f"add it to {other}, or drop it here",
            where=where,
        )
