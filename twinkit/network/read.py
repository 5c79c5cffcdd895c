"""What the readers of network files share: bytes with a limit, XML without traps, archives, and the twin they make.

A file from elsewhere is never trusted: XML that declares entities is refused before it is parsed (a "billion laughs"
of nested entities needs a document type), archives are read in memory and never unpacked to a disk.
"""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

import numpy as np

from twinkit.error import OBEYED, TwinError, escaped
from twinkit.twin import assemble

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

__all__ = ["members"]

LARGEST = 64 * 2**20
"""[byte] The largest file, or member of an archive, that is read: the largest of the public ones has 2 MB."""

MOST_MEMBERS = 10_000
MOST_TOTAL = 1024 * 2**20
"""[byte] What all members of an archive may come to: a small archive may unpack to a disk full."""

DEEPEST = 64
"""Elements within elements: a parser's stack is not for the file to choose."""

EARTH = 6_371_008.8
"""[m] Mean radius of the earth."""


def content(file: Any) -> tuple[bytes, str]:
    """The bytes of a path or an open file, and its name."""
    if isinstance(file, bytes):
        raw, name = file, "bytes"
    elif hasattr(file, "read"):
        raw, name = file.read(LARGEST + 1), str(getattr(file, "name", "file"))
        raw = raw.encode() if isinstance(raw, str) else raw
    else:
        try:
            path = Path(file)
            with path.open("rb") as opened:
                raw, name = opened.read(LARGEST + 1), path.name
        except TypeError:
            raise TwinError(
                "a path, an open file or bytes", found=f"a {type(file).__name__}", hint="check the path", where="file"
            ) from None
        except (OSError, ValueError) as fault:
            raise TwinError(
                "a file that can be read", found=getattr(fault, "strerror", "") or str(fault), hint="check the path",
                where=escaped(file),
            ) from None  # fmt: skip
    if len(raw) > LARGEST:
        raise TwinError(
            f"a file of at most {LARGEST // 2**20} MB", found="a larger one", hint="is it a network?", where=name
        )
    return raw, name


def xml(raw: bytes, name: str) -> ET.Element:
    """The root of an XML document without a document type; tags and attributes without their namespace."""
    depth = 0

    def refuse(*_: Any) -> None:
        raise TwinError(
            "XML without a document type", found="one, which may declare entities",
            hint="remove <!DOCTYPE ...>: no network file needs it", where=name,
        )  # fmt: skip

    def deeper(*_: Any) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise TwinError(
                f"at most {DEEPEST} elements within each other", found="more", hint="is it a network?", where=name
            )

    def back(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = guard.EntityDeclHandler = refuse
    guard.StartElementHandler, guard.EndElementHandler = deeper, back
    try:
        guard.Parse(raw, True)
        root = ET.fromstring(raw)  # noqa: S314 - what could do harm needs a document type, refused above
    except (expat.ExpatError, ET.ParseError, LookupError, ValueError) as fault:
        if isinstance(fault, TwinError):
            raise
        raise TwinError("well-formed XML", found=str(fault), hint="download the file again", where=name) from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def members(archive: Any, *, ending: str = ".graphml") -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file of a tar archive with this ending, in the order of the archive.

    Parameters
    ----------
    archive : path
        ``.tar``, also compressed.
    ending : str

    Returns
    -------
    iterator of (str, bytes)
        The name without folder and ending. Nothing is unpacked to a disk.

    Errors
    ------
    TwinError
        No archive or one cut short; a member that is a link or a device or whose name leads out of the archive; more
        members, larger ones, or a larger sum than a library of networks has.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.graphml").write_text("<graphml/>")
    >>> with tarfile.open(folder / "all.tar.gz", "w:gz") as tar:
    ...     tar.add(folder / "a.graphml", arcname="zoo/a.graphml")
    >>> [(name, len(raw)) for name, raw in members(folder / "all.tar.gz")]
    [('a', 10)]
    """
    where, total = Path(archive).name, 0
    try:
        # as a stream: a member is known by its header before any of it is decompressed
        with tarfile.open(archive, "r|*") as tar:
            for count, member in enumerate(tar):
                path = PurePosixPath(member.name)
                if count >= MOST_MEMBERS:
                    raise _hostile(f"at most {MOST_MEMBERS} members", "more", where)
                if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
                    raise _hostile("members with names inside the archive", repr(member.name), where)
                if member.isdir():
                    continue
                if not member.isreg():
                    raise _hostile("files only", f"'{member.name}', which is a link or a device", where)
                total += member.size
                if member.size > LARGEST or total > MOST_TOTAL:
                    found = f"{member.size} byte in '{member.name}', {total} so far"
                    raise _hostile(f"members of at most {LARGEST} byte, {MOST_TOTAL} together", found, where)
                if path.name.endswith(ending):
                    opened = tar.extractfile(member)
                    yield path.name.removesuffix(ending), opened.read() if opened else b""
    except (tarfile.TarError, OSError, EOFError, zlib.error) as fault:
        if isinstance(fault, TwinError):
            raise
        raise TwinError("a tar archive", found=str(fault), hint="download it again", where=where) from None


def _hostile(expected: str, found: str, where: str) -> TwinError:
    return TwinError(expected, found=found, hint="do not open this archive: it is made to do harm", where=where)


def number(text: Any, *, what: str, where: str) -> float:
    """A finite number from a file, or NaN where none stands there."""
    if text is None or str(text).strip() in ("", "None", "NaN", "nan"):
        return np.nan
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = np.inf
    if not np.isfinite(value):
        raise TwinError(f"a number as {what}", found=repr(text)[:80], hint="correct the file", where=where)
    return value


def text(value: Any) -> str:
    """A text from a file, "" where none stands there or where a tool wrote the word None for it."""
    plain = "" if value is None else str(value).strip()
    return "" if plain in ("None", "none", "nan", "NaN") else plain


def unique(ids: list[str], what: str, where: str) -> np.ndarray:
    """The ids as an array, if none is empty or stands twice."""
    seen: set[str] = set()
    for i in ids:
        if OBEYED.search(i):
            raise TwinError(
                "ids without control characters", found=f"'{escaped(i)}'", hint="correct the file", where=where
            )
        if not i or i in seen:
            raise TwinError(
                f"a different id for each {what}", found=f"'{i}' twice" if i else "an empty one",
                hint="correct the file", where=where,
            )  # fmt: skip
        seen.add(i)
    return np.array(ids, dtype=object)


def great_circle(longitude: np.ndarray, latitude: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance [m] over a round earth between sites a and b, NaN where one of them lies nobody knows where."""
    east, north = np.radians(longitude), np.radians(latitude)
    half = np.sin((north[b] - north[a]) / 2) ** 2
    half = half + np.cos(north[a]) * np.cos(north[b]) * np.sin((east[b] - east[a]) / 2) ** 2
    length: np.ndarray = 2 * EARTH * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return length


def laid_out(sites: xr.Dataset, links: xr.Dataset, *, title: str, source: str, **nodes: Any) -> xr.DataTree:
    """The twin of a network file: x, y in metres about its middle, and straight lines where no length is known."""
    import pyproj

    crs = "+proj=aeqd +lat_0=0 +lon_0=0 +datum=WGS84 +units=m"
    if "longitude" in sites:
        longitude, latitude = sites.longitude.values, sites.latitude.values
        known = np.isfinite(longitude) & np.isfinite(latitude)
        off = np.flatnonzero(known & ~((np.abs(longitude) <= 360) & (np.abs(latitude) <= 90)))
        if off.size:
            raise TwinError(
                "places on the globe, in degrees",
                found=f"{longitude[off[0]]:g}, {latitude[off[0]]:g} at '{sites.site.values[off[0]]}'",
                hint="correct the file; for a drawing of SNDlib: geographic=False", where=source,
            )  # fmt: skip
        if known.any():
            # the mean of directions, so that a network across 180 degree has its middle where it is
            east, north = np.radians(longitude[known]), np.radians(latitude[known])
            middle = np.degrees(np.arctan2(np.sin(east).mean(), np.cos(east).mean())), np.degrees(north.mean())
            crs = f"+proj=aeqd +lat_0={middle[1]:.4f} +lon_0={middle[0]:.4f} +datum=WGS84 +units=m"
            onto = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
            x, y = (np.full(len(known), np.nan) for _ in range(2))
            x[known], y[known] = onto.transform(longitude[known], latitude[known])
            where = {"provenance": f"measured: {source}", "assumptions": "projected about the middle of the network"}
            sites = sites.assign(x=("site", x, where), y=("site", y, where))
        place = {s: i for i, s in enumerate(sites.site.values)}
        a, b = (np.array([place[e] for e in links[n].values], dtype=int) for n in ("source", "target"))
        straight = great_circle(longitude, latitude, a, b)
    else:
        straight = np.full(links.sizes["link"], np.nan)
    said = {"provenance": "modelled: great circle between the ends", "assumptions": "no detour; NaN where unknown"}
    links = links.assign(length=("link", straight, said))
    return assemble({"sites": sites, "links": links, **nodes}, title=title, crs=crs, sources=source)
