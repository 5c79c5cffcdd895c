"""Tower registers: OpenCelliD and files like it, as cells and as the sites and cells of a twin.

Read are CSV (also compressed with gzip, with any of `,` `;` tab or `|`, and OpenCelliD's own files without a header)
and GeoJSON points. Columns are known by the names that registers use for them:

============  ==================================================
longitude     lon, long, longitude, lng
latitude      lat, latitude
radio         radio, technology, tech, deployment_type
mcc, mnc      mcc; mnc, net
area          lac, tac, area
identity      cid, ci, cell, cellid, cell_id
range         range [m]
samples       samples
operator      operator, carrier, provider
name          name, site_name, city_name
============  ==================================================

What is wrong in some rows is dropped and counted in the attribute `dropped`; what is wrong in many is refused.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twinkit.datasets.frame import Frame

__all__ = ["onto", "read"]

COLUMNS = {
    "longitude": ("lon", "long", "longitude", "lng"),
    "latitude": ("lat", "latitude"),
    "radio": ("radio", "technology", "tech", "deployment_type"),
    "mcc": ("mcc",),
    "mnc": ("mnc", "net"),
    "area": ("lac", "tac", "area"),
    "identity": ("cid", "ci", "cell", "cellid", "cell_id"),
    "range": ("range",),
    "samples": ("samples",),
    "operator": ("operator", "carrier", "provider"),
    "name": ("name", "site_name", "city_name"),
}
OPENCELLID = ("radio", "mcc", "net", "area", "cell", "unit", "lon", "lat", "range", "samples", "changeable", "created")
"""Leading columns of the files that OpenCelliD itself hands out, without a header."""
RADIOS = {"GSM": "GSM", "CDMA": "CDMA", "UMTS": "UMTS", "WCDMA": "UMTS", "3G": "UMTS", "LTE": "LTE", "4G": "LTE"} | {
    "NR": "NR",
    "5G": "NR",
    "5G NR": "NR",
    "5G NSA": "NR",
    "2G": "GSM",
}
SENTINELS = {
    "area": frozenset({0, 65534, 65535, 2147483647}),
    "identity": frozenset({0, 65535, 268435455, 2147483647, 4294967295}),
}
"""Numbers that phones report when they know none: 2^16 - 1 and - 2, 2^28 - 1, 2^31 - 1, 2^32 - 1."""

TOLERATED = 0.05
"""Share of rows that may be without a position; with more the file is another thing than its header says."""
LONGEST = 4 << 30
"""Bytes of text that are read: more is a bomb in a small archive."""
LONGEST_GEOJSON = 256 << 20
"""Letters of GeoJSON, which is parsed in one piece and takes several times its length of memory."""
ABROAD = 25_000.0
"""A point is outside a country where the nearest settlement is another country's and its own are so far away [m]."""


@dataclass
class _Rows:
    """Columns as they are read, and what was left out."""

    numbers: dict[str, list[float]] = field(
        default_factory=lambda: {
            k: [] for k in ("longitude", "latitude", "mcc", "mnc", "area", "identity", "range", "samples")
        }
    )
    texts: dict[str, list[str]] = field(default_factory=lambda: {k: [] for k in ("radio", "operator", "name")})
    count: int = 0
    bad: int = 0
    turned: int = 0
    first: str = ""
    columns: frozenset[str] = frozenset()

    def add(self, row: dict[str, Any], where: str) -> None:
        self.count += 1
        position = {name: _number(row.get(name)) for name in ("longitude", "latitude")}
        for name, most in (("longitude", 180.0), ("latitude", 90.0)):
            if not -most <= position[name] <= most:  # NaN too
                self.bad += 1
                self.first = self.first or f"{where}, column {name}: {_cut(repr(str(row.get(name))[:40]))}"
                self.turned += 90 < abs(position["latitude"]) <= 180 and abs(position["longitude"]) <= 90
                return
        for name, column in self.numbers.items():
            column.append(position[name] if name in position else _number(row.get(name)))
        for name, texts in self.texts.items():
            texts.append(str(row.get(name) or "").strip())


def _cut(text: str) -> str:
    """At most 80 letters of what a file holds: of garbage that is enough."""
    return text if len(text) <= 80 else f"{text[:77]}..."


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def read(path: str | Path, *, country: str | None = None) -> xr.Dataset:
    r"""The cells of a tower register.

    Parameters
    ----------
    path : path
        CSV, CSV.gz or GeoJSON; the content decides, not the name.
    country : str, optional
        ISO code: points outside the country are dropped and counted (needs the extra ``geo``).

    Returns
    -------
    Dataset
        dims cell: longitude, latitude [degree], radio (GSM, CDMA, UMTS, LTE, NR or ""), mcc, mnc, area, identity
        (NaN where missing or a sentinel), range [m], samples, operator, name. One row for each cell: of several
        rows with one identity the one with most samples is kept. Attributes say what was dropped.

    Errors
    ------
    TwinError
        Empty, truncated, of another type, without the needed columns, with swapped longitude and latitude, or with
        more than 5 % of the rows unreadable; it names file, line and column.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name) / "towers.csv"
    >>> _ = file.write_text("radio,mcc,net,area,cell,lon,lat\nLTE,404,45,7,268435455,77.17,31.10\n")
    >>> cells = read(file)
    >>> str(cells.radio.item()), cells.attrs["dropped"], cells.attrs["sentinels"]
    ('LTE', 'none', 1)
    >>> folder.cleanup()
    """
    file = Path(path)
    rows = _Rows()
    with _text(file) as text:
        start = text.read(1)
        while start and start.isspace():
            start = text.read(1)
        if not start:
            raise TwinError("a tower register", found="an empty file", hint="download it again", where=str(file))
        if start == "{":
            whole = start + text.read(LONGEST_GEOJSON)
            if len(whole) > LONGEST_GEOJSON:
                raise TwinError(
                    f"at most {LONGEST_GEOJSON >> 20} MB of GeoJSON",
                    found="more",
                    hint="save it as CSV, which is read line by line, or cut it to a region",
                    where=str(file),
                )
            _read_geojson(whole, file, rows)
        else:
            _read_csv(_lines(start, text), file, rows)
    _judge(rows, file)
    return _cells(rows, file, country)


# ---------------------------------------------------------------- bytes to rows

OTHERS = {b"PK": "a zip archive", b"II*": "a TIFF", b"MM\0*": "a TIFF", b"%PDF": "a PDF", b"\x89PNG": "a picture"} | {
    b"\x89HDF": "an HDF5 file",
    b"SQLite": "an SQLite database",
    b"PAR1": "a Parquet file",
    b"<": "a web page or XML",
}


@contextlib.contextmanager
def _text(file: Path) -> Iterator[IO[str]]:
    try:
        with file.open("rb") as raw:
            head = raw.read(8)
            raw.seek(0)
            for magic, what in OTHERS.items():
                if head.startswith(magic):
                    raise TwinError(
                        "a tower register (CSV or GeoJSON)",
                        found=what,
                        hint="unpack or export it as CSV",
                        where=str(file),
                    )
            stream: Any = gzip.GzipFile(fileobj=raw) if head.startswith(b"\x1f\x8b") else raw
            if _sixteen(stream.peek(64)[:64]):
                raise TwinError("text in UTF-8", found="UTF-16", hint="save it as UTF-8", where=str(file))
            # names in other encodings must not stop a file whose numbers are plain
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    except FileNotFoundError:
        raise TwinError("a tower register", found="no such file", hint="check the path", where=str(file)) from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise TwinError(
            "a whole gzip file", found="a truncated or damaged one", hint="download it again", where=str(file)
        ) from None
    except OSError as error:
        raise TwinError(
            "a readable file", found=error.strerror or str(error), hint="check it", where=str(file)
        ) from None


def _sixteen(head: bytes) -> bool:
    """Whether these are the first bytes of UTF-16, as spreadsheets write "Unicode text": half of them are zero."""
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    plain = head.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    zeros = max(plain[0::2].count(0), plain[1::2].count(0))
    others = min(plain[0::2].count(0), plain[1::2].count(0))
    return len(plain) >= 8 and others == 0 and (marked or zeros == len(plain) // 2)


def _lines(start: str, text: IO[str]) -> Iterator[str]:
    first, length = True, 0
    # a line of a binary file may be the whole file: it is cut, and then has no columns
    while line := text.readline(1 << 16):
        length += len(line)
        if length > LONGEST:
            raise TwinError(f"at most {LONGEST >> 30} GB of text", found="more", hint="cut the register to a country")
        yield start + line if first else line
        first = False
    if first:
        yield start


def _read_csv(lines: Iterator[str], file: Path, rows: _Rows) -> None:
    first = next(lines)
    delimiter = max(",;\t|", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    names = [h.strip().strip('"').casefold() for h in header]
    headless = len(header) >= 10 and names[0].upper() in RADIOS
    if headless:
        names = list(OPENCELLID)
    where = _placed(names, file)
    rows.columns = frozenset(where)
    needed = max(where["longitude"], where["latitude"])
    width = len(header)
    last: list[str] = []
    ended = first.endswith(("\n", "\r"))
    # lines of the file: the reader's own count is of pieces, into which _lines cuts what is long
    number = 1
    last_line = 0 if headless else 1

    def watched() -> Iterator[str]:
        nonlocal ended, number
        if headless:
            yield first
        for line in lines:
            number += ended
            ended = line.endswith(("\n", "\r"))
            yield line

    reader = csv.reader(watched(), delimiter=delimiter)
    try:
        for last in reader:
            last_line = number
            if last:
                rows.add({k: last[i] if i < len(last) else None for k, i in where.items()}, f"line {last_line}")
    except csv.Error as error:
        endless = "field limit" in str(error)
        raise TwinError(
            "CSV",
            found=f"a field of more than {csv.field_size_limit()} letters" if endless else _cut(str(error)),
            hint="look for a quote that is never closed" if endless else "save it again as CSV in UTF-8",
            # where the row begins: a quote left open swallows the lines below it
            where=f"{file}, line {last_line + 1}",
        ) from None
    if not ended and last and len(last) < min(width, needed + 1):
        raise TwinError(
            f"{width} columns",
            found=f"a last line that ends after {len(last)}: the file is truncated",
            hint="download it again",
            where=f"{file}, line {last_line}",
        )


def _placed(names: list[str], file: Path) -> dict[str, int]:
    """Which column holds what."""
    out = {}
    for ours, theirs in COLUMNS.items():
        found = [names.index(t) for t in theirs if t in names]
        if found:
            out[ours] = found[0]
    for needed in ("longitude", "latitude"):
        if needed not in out:
            shown = ", ".join(n[:20] for n in names[:12])
            near = close_to(COLUMNS[needed][0], names) or close_to(needed, names)
            raise TwinError(
                f"a column for {needed} ({', '.join(COLUMNS[needed])})",
                found=_cut(f"columns {shown!r}"),
                hint=f"rename {near} to {needed}" if near else "is it a tower register? give it a header",
                where=f"{file}, line 1",
            )
    return out


def _read_geojson(text: str, file: Path, rows: _Rows) -> None:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise TwinError(
            "GeoJSON",
            found=f"{error.msg}{': the file is truncated' if error.pos >= len(text.rstrip()) - 1 else ''}",
            hint="download it again",
            where=f"{file}, line {error.lineno}, column {error.colno}",
        ) from None
    except (RecursionError, ValueError):
        raise TwinError("GeoJSON", found="JSON that no register has", hint="check the file", where=str(file)) from None
    features = data.get("features")
    if data.get("type") != "FeatureCollection" or not isinstance(features, list):
        raise TwinError(
            "a GeoJSON FeatureCollection",
            found=_cut(f"type {str(data.get('type'))[:40]!r}"),
            hint="check the file",
            where=str(file),
        )
    lowered = {t: ours for ours, theirs in COLUMNS.items() for t in theirs}
    seen: set[str] = {"longitude", "latitude"}
    for number, feature in enumerate(features, 1):
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind != "Point":
            raise TwinError(
                "points",
                found=_cut(f"a feature of type {str(kind)[:40]!r}"),
                hint="towers are points; areas are another file",
                where=f"{file}, feature {number}",
            )
        properties = feature.get("properties")
        row: dict[str, Any] = {}
        if isinstance(properties, dict):
            row = {lowered[k.casefold()]: v for k, v in properties.items() if k.casefold() in lowered}
        coordinates = geometry.get("coordinates")  # type: ignore[union-attr]
        if isinstance(coordinates, list) and len(coordinates) >= 2:
            row |= {"longitude": coordinates[0], "latitude": coordinates[1]}
        else:
            row |= {"longitude": None, "latitude": None}
        seen |= set(row)
        rows.add(row, f"feature {number}")
    rows.columns = frozenset(seen)


# ---------------------------------------------------------------- rows to cells


def _judge(rows: _Rows, file: Path) -> None:
    if rows.count == 0:
        raise TwinError("rows below the header", found="none", hint="download it again", where=str(file))
    if rows.bad > TOLERATED * rows.count:
        if rows.turned > 0.9 * rows.bad:
            raise _swapped(file, f"latitudes beyond 90 degree beside small longitudes, first at {rows.first}")
        many = f"{rows.bad} of {rows.count} rows without a position in degrees (first: {rows.first})"
        raise TwinError(
            "longitude from -180 to 180 and latitude from -90 to 90",
            found=many,
            hint="check that the columns are in degrees and that longitude and latitude are not swapped",
            where=str(file),
        )


def _cells(rows: _Rows, file: Path, country: str | None) -> xr.Dataset:
    numbers = {k: np.array(v, dtype=float) for k, v in rows.numbers.items()}
    texts = {k: np.array(v, dtype=object) for k, v in rows.texts.items()}
    texts["radio"] = np.array([RADIOS.get(r.upper(), "") for r in texts["radio"]], dtype=object)
    dropped = [f"{rows.bad} without a position (first: {rows.first})"] if rows.bad else []

    keep = np.ones(len(numbers["longitude"]), dtype=bool)
    nowhere = (numbers["longitude"] == 0) & (numbers["latitude"] == 0)
    if nowhere.any():
        dropped.append(f"{nowhere.sum()} at 0, 0")
        keep &= ~nowhere
    if country is not None and keep.any():
        outside = _abroad(numbers["longitude"], numbers["latitude"], country)
        if (outside & keep).sum() > 0.5 * keep.sum():
            turned = np.abs(numbers["longitude"]) <= 90
            swapped = turned & ~_abroad(numbers["latitude"], np.where(turned, numbers["longitude"], 0.0), country)
            if (swapped & keep).sum() > 0.5 * keep.sum():
                raise _swapped(file, f"most points lie in {country} only when the two are exchanged")
        if (outside & keep).any():
            dropped.append(f"{(outside & keep).sum()} outside {country}")
            keep &= ~outside

    sentinels = np.zeros(len(keep), dtype=bool)
    for name, values in SENTINELS.items():
        known = np.isin(numbers[name], list(values))
        sentinels |= known
        numbers[name] = np.where(known, np.nan, numbers[name])
    kept = np.flatnonzero(keep)
    first = _distinct(kept, numbers, texts["radio"])
    if len(first) < len(kept):
        dropped.append(f"{len(kept) - len(first)} rows of cells that another row tells of")

    says = f"measured: register {file.name}"
    units = {"longitude": "degree", "latitude": "degree", "range": "m"}
    made: dict[str, Any] = {}
    for name, column in {**numbers, **texts}.items():
        if name in rows.columns:
            attrs = {"provenance": says} | ({"units": units[name]} if name in units else {})
            made[name] = ("cell", column[first], attrs)
    return xr.Dataset(
        made,
        attrs={
            "file": file.name,
            "rows": rows.count,
            "dropped": "; ".join(dropped) or "none",
            "sentinels": int(sentinels[kept].sum()),
        },
    )


def _swapped(file: Path, why: str) -> TwinError:
    return TwinError(
        "longitude and latitude in their own columns",
        found=f"the two swapped: {why}",
        hint="exchange the names of the two columns",
        where=str(file),
    )


def _distinct(kept: np.ndarray, numbers: dict[str, np.ndarray], radio: np.ndarray) -> np.ndarray:
    """One row for each identity, that with most samples; rows without an identity stand for themselves."""
    identity = np.column_stack([numbers[k][kept] for k in ("mcc", "mnc", "area", "identity")])
    _, code = np.unique(radio[kept].astype(str), return_inverse=True)
    known = np.isfinite(identity).all(axis=1)
    samples = np.nan_to_num(numbers["samples"][kept])
    order = np.lexsort((np.arange(len(kept)), -samples, *identity.T, code))
    key = np.column_stack([code, identity])[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (key[1:] != key[:-1]).any(axis=1) | ~known[order][1:]
    return np.sort(kept[order[new]])


def _abroad(longitude: np.ndarray, latitude: np.ndarray, code: str) -> np.ndarray:
    """Which points are nearer to another country's settlement and far from all of this one's."""
    from scipy.spatial import cKDTree

    from twinkit.datasets import gazetteer

    every = gazetteer.settlements()
    mine = every.country == gazetteer.country(code).code

    def unit(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        theta, phi = np.radians(lon), np.radians(lat)
        return np.column_stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)])

    here = unit(longitude, latitude)
    own = cKDTree(unit(every.longitude[mine], every.latitude[mine])).query(here)[0] * 6.371e6
    other = cKDTree(unit(every.longitude[~mine], every.latitude[~mine])).query(here)[0] * 6.371e6
    return np.asarray((own > ABROAD) & (other < own) | (own > 12 * ABROAD))


# ---------------------------------------------------------------- cells to a twin

# What a register does not say and a radio needs; typical of the generation, and labelled so.
TYPICAL = {
    "GSM": (900e6, 10e6, 43.0),
    "CDMA": (850e6, 5e6, 43.0),
    "UMTS": (2100e6, 5e6, 43.0),
    "LTE": (1800e6, 20e6, 46.0),
    "NR": (3500e6, 80e6, 47.0),
    "": (1800e6, 20e6, 46.0),
}
TOGETHER = 100.0
"""Sites whose positions fall into one square of this edge [m] are one."""
SCATTER = 3000.0
"""A number's cells farther apart than this [m] do not share a mast, whatever the number says."""


def _stand(cells: xr.Dataset, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The site of each cell, and the sites' positions: registers list cells, at positions that phones estimated.

    Cells of one node share a mast: LTE identities hold the node above their lowest 8 bits (3GPP TS 36.413), GSM and
    UMTS operators mostly count sectors in the last digit. What then lies in one square of 100 m is one site.
    """
    count = len(x)
    column = {k: cells[k].values if k in cells else np.full(count, np.nan) for k in ("mcc", "mnc", "area", "identity")}
    radio = cells.radio.values.astype(str) if "radio" in cells else np.full(count, "")
    divisor = np.where(radio == "LTE", 256.0, np.where(radio == "NR", 16384.0, 10.0))
    # an LTE node may span tracking areas
    area = np.where(np.isin(radio, ["LTE", "NR"]), 0.0, column["area"])
    key = np.column_stack([column["mcc"], column["mnc"], area, np.floor(column["identity"] / divisor)])
    lone = ~np.isfinite(key).all(axis=1)
    key = np.column_stack(
        [np.unique(radio, return_inverse=True)[1], np.where(lone[:, None], 0, key), lone * (1 + np.arange(count))]
    )
    _, node = np.unique(key, axis=0, return_inverse=True)
    nx, ny = _means(node.ravel(), x, y)
    node = node.ravel()
    apart = np.hypot(x - nx[node], y - ny[node]) > SCATTER / 2
    px, py = np.where(apart, x, nx[node]), np.where(apart, y, ny[node])
    squares = np.floor(np.column_stack([px, py]) / TOGETHER).astype(np.int64)
    _, site = np.unique(squares, axis=0, return_inverse=True)
    site = site.ravel()
    return site, *_means(site, px, py)


def _means(group: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = np.bincount(group)
    x, y = (np.bincount(group, weights=c) / size for c in columns)
    return x, y


def onto(
    path: str | Path, frame: Frame, *, seed: int, rng: np.random.Generator, country: str | None = None
) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """Sites, cells and links of a twin from a register: positions and radio measured, the rest typical or generated.

    Parameters
    ----------
    path : path
    frame : Frame
        Cells outside it are left out.
    seed, rng : int, Generator
        For azimuths and backhaul.
    country : str, optional
        As in `read`.

    Returns
    -------
    sites, cells, links : Dataset

    Errors
    ------
    TwinError
        As `read`; or no cell of the register lies in the frame.
    """
    from twinkit.datasets import network
    from twinkit.datasets.frame import given

    register = read(path, country=country)
    longitude, latitude = register.longitude.values, register.latitude.values
    x, y = frame.metres(longitude, latitude)
    inside = np.flatnonzero(frame.holds(x, y))
    if inside.size == 0:
        plausible = np.abs(longitude) <= 90
        if frame.holds(*frame.metres(latitude[plausible], longitude[plausible])).any():
            raise _swapped(Path(path), "its points lie in the region only when the two are exchanged")
        raise TwinError(
            "cells in the region",
            found=f"none of {register.sizes['cell']} (they lie from {longitude.min():.2f} to {longitude.max():.2f} "
            f"degree east and {latitude.min():.2f} to {latitude.max():.2f} degree north)",
            hint="choose another region or register",
            where=str(path),
        )
    left = register.sizes["cell"] - inside.size
    site, sx, sy = _stand(register.isel(cell=inside), x[inside], y[inside])
    count = len(sx)
    many = np.bincount(site, minlength=count)
    radio = register.radio.values[inside] if "radio" in register else np.full(inside.size, "", dtype=object)
    name = register["name"].values[inside] if "name" in register else np.full(inside.size, "", dtype=object)
    first = np.zeros(count, dtype=int)
    first[site[::-1]] = np.arange(inside.size)[::-1]

    # the exchange stands where most cells are
    centre = int(np.argmax(many))
    core = 2
    ids = network.numbered(count + core)
    sites = network.Sites(
        x=np.concatenate([[sx[centre], sx[centre] + 150.0], sx]),
        y=np.concatenate([[sy[centre], sy[centre] + 150.0], sy]),
        height=np.concatenate([[15.0, 10.0], np.full(count, 30.0)]),
        kind=np.array(["exchange", "data centre"] + ["macro"] * count, dtype=object),
        tier=np.array(["core", "core"] + ["town" if n >= 6 else "rural" for n in many], dtype=object),
        name=np.array(["exchange", "data centre"] + [str(n) or "from the register" for n in name[first]], dtype=object),
        power_source=np.array(["grid and diesel"] * 2 + ["grid and battery"] * count, dtype=object),
    )
    file = Path(path).name
    says = f"measured: register {file} ({left} cells outside the region, dropped: {register.attrs['dropped']})"
    typical = f"modelled: typical, the register {file} does not say"
    node = network.node(frame, sites, ids, provenance=says)
    for unknown in ("height", "kind", "power_source"):
        node[unknown].attrs["provenance"] = typical

    rows: list[tuple[Any, ...]] = []
    labels: dict[tuple[int, str], int] = {}
    for s, r in zip(site, radio, strict=True):
        labels[int(s), str(r)] = labels.get((int(s), str(r)), 0) + 1
    for (at, r), n in sorted(labels.items()):
        frequency, bandwidth, power = TYPICAL[r]
        start = float(rng.integers(0, 120))
        sectors = 3 if n >= 3 else 1
        for k in range(sectors):
            tail = f"{r.lower() or 'cell'}{'abc'[k] if sectors > 1 else ''}"
            azimuth, tilt, pattern = ((start + 120.0 * k) % 360, 3.0, "sector") if sectors > 1 else (0.0, 0.0, "omni")
            rows.append(
                (f"{ids[at + core]}-{tail}", ids[at + core], azimuth, tilt, frequency, bandwidth, power, pattern)
            )
    fields = ("cell", "site", "azimuth", "downtilt", "frequency", "bandwidth", "transmit_power", "antenna")
    cells = xr.Dataset(
        {
            k: given("cell", np.array(v, dtype=object if isinstance(v[0], str) else float), typical)
            for k, v in zip(fields, zip(*rows, strict=True), strict=True)
        }
    ).set_coords("cell")
    cells["site"].attrs["provenance"] = says
    cells["azimuth"].attrs["provenance"] = f"generated: seed {seed}; three sectors where the register has three cells"
    links = network.backhaul(sites, ids, provenance=f"generated: seed {seed}, a tree over the register's sites")
    return node, cells, links
