"""Where things lie and what they are called: notebooks, regions, and the stores that regions are saved in."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import twinkit
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["notebook", "notebooks", "region_of", "same_region", "silent", "slug", "spoken", "store_name"]


def notebooks() -> Path:
    """The folder of the research notebooks."""
    package = Path(twinkit.__file__).resolve().parent
    for folder in (package.parent / "notebooks", package / "notebooks"):
        if (folder / "coverage.ipynb").is_file():
            return folder
    raise TwinError(
        "the folder of notebooks",
        found="none beside the package or in it",
        hint="install twinkit again, or run from a checkout",
        where=str(package),
    )


def notebook(name: str) -> Path:
    """A notebook by its path, or by the bare name of one of twinkit's own."""
    path = Path(name)
    if path.suffix == ".ipynb" or path.exists():
        return path
    own = notebooks() / f"{name}.ipynb"
    if not own.is_file():
        near = close_to(name, [p.stem for p in notebooks().glob("*.ipynb")])
        raise TwinError(
            "a notebook: a path, or the name of one of twinkit's",
            found=f"'{name}'",
            hint=f"did you mean {near}?" if near else "give the path of an .ipynb file",
        )
    return own


def region_of(name: str, **choices: Any) -> xr.DataTree:
    """`twinkit.datasets.region`; a bare name of a settlement is offered with its country.

    Errors
    ------
    TwinError
        As `twinkit.datasets.region`.
    """
    import twinkit as tk

    try:
        return tk.datasets.region(name, **choices)
    except TwinError as fault:
        found = "" if ":" in name or "," in name else _with_country(name)
        if not found:
            raise
        raise TwinError(fault.expected, found=fault.found, hint=f"did you mean {found}?", where=fault.where) from None


def _with_country(name: str) -> str:
    """The largest settlement of a name, as region takes it; "" where GeoNames lists none."""
    from twinkit.datasets import gazetteer

    every, asked = gazetteer.settlements(), gazetteer.fold(name)
    named = [i for i, own in enumerate(every.name) if gazetteer.fold(own) == asked] if asked else []
    if not named:
        return ""
    largest = max(named, key=lambda i: every.population[i])
    code = str(every.country[largest])
    with contextlib.suppress(TwinError):
        return f"'{code}:{every.name[largest]}' ({gazetteer.country(code).name})"
    return f"'{code}:{every.name[largest]}'"


def store_name(twin: xr.DataTree) -> str:
    """The name of a twin's store where none is given: places, first-level codes and boxes each have their own.

    >>> import xarray as xr
    >>> def called(title, place):
    ...     return store_name(xr.DataTree(xr.Dataset(attrs={"title": title, "place": place})))
    >>> called("Shimla, India", "IN:Shimla"), called("India, first-level code 11", "IN:11")
    ('shimla', 'india-11')
    >>> called("Box -10.5,0.1,10.6,0.7", "-10.5,0.1,10.6,0.7")
    'box-10.5w-0.1n-10.6e-0.7n'
    """
    title, place = str(twin.attrs.get("title", "")), str(twin.attrs.get("place", ""))
    edges = place.split(",")
    if len(edges) == 4:
        with contextlib.suppress(ValueError):
            signed = zip(map(float, edges), ("ew", "ns") * 2, strict=True)
            return "-".join(["box", *(f"{abs(v):g}{sides[v < 0]}" for v, sides in signed)])
    first, _, rest = title.partition(", ")
    return slug(f"{first} {place.partition(':')[2]}" if rest.startswith("first-level code") else first)


def slug(name: str) -> str:
    """A name as a file may bear it.

    >>> slug("Ville de Montréal"), slug("深圳"), slug("तेहरान")
    ('ville-de-montreal', '深圳', 'तेहरान')
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not 0x300 <= ord(c) < 0x370)
    plain = unicodedata.normalize("NFC", plain)
    kept_letters = "".join(c if c.isalnum() or unicodedata.category(c).startswith("M") else "-" for c in plain.lower())
    return re.sub(r"-+", "-", kept_letters).strip("-") or "region"


def spoken(twin: xr.DataTree) -> str:
    """What a twin is in one line: title, place, half its sides, seed."""
    title, place = str(twin.attrs.get("title", "a twin")), str(twin.attrs.get("place", ""))
    named = f"{title} ({place})" if place and place not in title else title
    width, height = (extent / 2e3 for extent in _extent(twin)[2:])
    size = f"radius {width:.0f} km" if f"{width:.0f}" == f"{height:.0f}" else f"{2 * width:.0f} by {2 * height:.0f} km"
    return f"{named}, {size}, seed {twin.attrs.get('seed', 'unknown')}"


def _extent(twin: xr.DataTree) -> tuple[float, float, float, float]:
    """West and south edge, width and height of the surface [m]."""
    import numpy as np

    if "surface" not in twin.children:
        return (0.0, 0.0, 0.0, 0.0)
    edges = []
    for dim in ("x", "y"):
        values = np.asarray(twin["surface"][dim].values, dtype=float)
        step = (values[-1] - values[0]) / max(len(values) - 1, 1)
        edges.append((values[0] - step / 2, values[-1] - values[0] + step))
    return (edges[0][0], edges[1][0], edges[0][1], edges[1][1])


def same_region(path: Path, twin: xr.DataTree, *, option: str, place_alone: bool = False) -> None:
    """Raise where a store exists and holds another region, radius or seed: its next commit would be another twin.

    Errors
    ------
    TwinError
        Says what the store holds.
    """
    import twinkit as tk

    if not path.is_dir() or not any(path.iterdir()):
        return
    held = tk.open(path)
    same = held.attrs.get("place") == twin.attrs.get("place") and held.attrs.get("title") == twin.attrs.get("title")
    if not place_alone:
        same = same and held.attrs.get("seed") == twin.attrs.get("seed")
        same = same and all(abs(a - b) < 1.0 for a, b in zip(_extent(held), _extent(twin), strict=True))
    if not same:
        raise TwinError(
            f"a new store, or one that holds {spoken(twin)}",
            found=f"the store exists and holds {spoken(held)}",
            hint=f"choose {option}",
            where=str(path),
        )


def silent(twin: xr.DataTree, node: str) -> str:
    """Of the sites, how many have no cells, in brackets; "" of any other node, or where each has.

    An exchange and a data centre are sites like the masts: who counts 241 in one place and 239 in another should
    read why.
    """
    if node != "sites" or not {"sites", "cells"} <= set(twin.children) or "site" not in twin["cells"]:
        return ""
    import numpy as np

    every = twin["sites"].sizes.get("site", 0)
    bearing = len(set(map(str, np.asarray(twin["cells"]["site"].values))))
    return f" ({bearing:,} with cells; the others are exchange and data centre)" if bearing < every else ""
