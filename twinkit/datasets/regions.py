"""A region of the real world as a twin: measured where data exist, modelled or generated where they do not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import whole_seed
from twinkit.datasets import climate, gazetteer, network, people, relief
from twinkit.datasets.chance import generator
from twinkit.datasets.frame import Frame, around, given, within_box
from twinkit.error import TwinError

__all__ = ["region"]

LICENCE = "GeoNames: CC BY 4.0. ITU-R maps: as published with the Recommendations. Generated layers: CC0."


def region(
    place: str | tuple[float, float, float, float],
    *,
    radius: float = 60e3,
    seed: int,
    resolution: float = 200.0,
    towers: str | Path | None = None,
    terrain: str | Path | list[str | Path] | None = None,
) -> xr.DataTree:
    """The twin of a region: settlements, people, ground, rain, and a network that could stand there.

    Measured: settlements and populations (GeoNames), topography and rain (maps of the ITU-R). Modelled: the people
    that GeoNames does not list (`twinkit.datasets.people` says how), land cover. Generated from the seed: relief
    finer than 1/12 degree, and the network. Each variable says which in its attribute `provenance`.

    Parameters
    ----------
    place : str or (west, south, east, north) [degree]
        ``"IN:Shimla"`` (ISO code of the country, and a name in any script, or a GeoNames id), ``"IN:11"`` (a
        first-level code of GeoNames), or a bounding box, also as text ``"76.5,30.5,77.9,31.7"``.
    radius : float [m]
        Half the side of the square around a place. A box and a first-level code have their own extent.
    seed : int
        Same seed, same bytes.
    resolution : float [m]
        Edge of a pixel.
    towers : path, optional
        A tower register (see `twinkit.datasets.towers`) whose sites and cells replace the generated ones.
    terrain : path or list of paths, optional
        Elevation tiles (see `twinkit.datasets.elevation`) that replace the ground height.

    Returns
    -------
    DataTree
        sites, cells, links, places, surface (ground_height, clutter_height, clutter, people, rain_rate).

    Errors
    ------
    TwinError
        Unknown country or place, with close ones offered; a box that is none; too many pixels; a missing extra.

    Examples
    --------
    >>> twin = region("RW:Kigali", radius=10e3, seed=1)
    >>> twin.attrs["title"], sorted(twin.children)
    ('Kigali, Rwanda', ['cells', 'links', 'places', 'sites', 'surface'])
    """
    from twinkit import __version__
    from twinkit.twin import assemble

    seed = whole_seed(seed)
    ask = _asked(place, radius=radius, resolution=resolution)
    frame = ask.frame

    ground, water, ground_says = _ground(frame, generator(seed, ask.key, "relief"))
    if terrain is not None:
        from twinkit.datasets import elevation

        ground, ground_says, water = elevation.onto(terrain, frame, instead_of=ground, water=water)
    living = _living(frame, ground, water, generator(seed, ask.key, "people"))
    if not living.pixels.sum() > 0:
        raise TwinError(
            "a region where people live",
            found=f"nobody in {ask.key}",
            hint="check that longitude stands before latitude, or choose a larger box",
            where=ask.key,
        )
    rain = _on_grid(frame, climate.rain_rate)
    wooded = np.clip((rain - 25.0) / 100.0, 0.0, 0.5)
    cover = relief.clutter(
        living.pixels, water, wooded, resolution=frame.resolution, rng=generator(seed, ask.key, "clutter")
    )

    says = f"generated: seed {seed}, from the people of the region"
    rng = generator(seed, ask.key, "network")
    if towers is None:
        made = network.from_people(
            frame,
            living.pixels,
            ground,
            x=living.x,
            y=living.y,
            population=living.population,
            name=living.places.name,
            rng=rng,
        )
        ids = network.numbered(len(made))
        sites = network.node(frame, made, ids, provenance=says)
        cells = network.cells(made, ids, provenance=says, rng=rng)
        links = network.backhaul(made, ids, provenance=says)
    else:
        from twinkit.datasets import towers as register

        sites, cells, links = register.onto(towers, frame, seed=seed, rng=rng)

    measured = f"measured: {gazetteer.SOURCE}"
    places = xr.Dataset(
        {
            "place": given("place", [str(i) for i in living.places.id], measured),
            "name": given("place", living.places.name, measured),
            "x": given("place", living.x, measured + ", projected"),
            "y": given("place", living.y, measured + ", projected"),
            "longitude": given("place", living.places.longitude, measured),
            "latitude": given("place", living.places.latitude, measured),
            "population": given("place", living.population, measured),
        }
    ).set_coords("place")
    surface = _surface(frame, ground, ground_says, cover, living, rain, seed)
    return assemble(
        {"sites": sites, "cells": cells, "links": links, "places": places, "surface": surface},
        title=ask.title,
        crs=frame.crs,
        place=ask.key,
        choice=ask.choice,
        seed=seed,
        licence=LICENCE,
        sources=_sources(towers, terrain),
        version=__version__,
        people_listed=round(living.listed),
        people_unlisted=round(living.unlisted),
        people_note=living.note,
    )


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True)
class _Asked:
    key: str
    title: str
    choice: str
    frame: Frame


_BOX = re.compile(r"\s*(-?[\d.]+)\s*[, ]\s*(-?[\d.]+)\s*[, ]\s*(-?[\d.]+)\s*[, ]\s*(-?[\d.]+)\s*")


def _asked(place: Any, *, radius: float, resolution: float) -> _Asked:
    if isinstance(place, str):
        match = _BOX.fullmatch(place)
        if match is None:
            return _named(place, radius=radius, resolution=resolution)
        try:
            place = tuple(float(g) for g in match.groups())
        except ValueError:
            place = ()
    try:
        west, south, east, north = (float(v) for v in place)
    except (TypeError, ValueError):
        raise TwinError(
            "a place 'IN:Shimla', a first-level code 'IN:11' or a box (west, south, east, north)",
            found=repr(place)[:60],
            hint="region('IN:Shimla', seed=1)",
        ) from None
    key = f"{west:g},{south:g},{east:g},{north:g}"
    return _Asked(key, f"Box {key}", "a bounding box", within_box(west, south, east, north, resolution=resolution))


def _named(place: str, *, radius: float, resolution: float) -> _Asked:
    code, colon, name = place.partition(":")
    code, name = code.strip(), name.strip()
    nation = gazetteer.country(code)
    if not colon or not name:
        raise TwinError(
            "a place within a country",
            found=f"'{place}', all of {nation.name}",
            hint=f"name a place or a first-level code: '{nation.code}:{_largest(nation)}'",
        )
    inside = gazetteer.division(nation, name)
    if inside is not None:
        # a margin of a tenth of a degree: people live around the outermost settlement too
        turned = _unwrapped(inside.longitude)
        west, east = turned.min() - 0.1, turned.max() + 0.1
        south, north = inside.latitude.min() - 0.1, inside.latitude.max() + 0.1
        frame = within_box(_turn(west), max(south, -85), _turn(east), min(north, 85), resolution=resolution)
        key = f"{nation.code}:{name.upper()}"
        return _Asked(key, f"{nation.name}, first-level code {name.upper()}", "a first-level code of GeoNames", frame)
    found, choice = gazetteer.settlement(nation, name)
    frame = around(float(found.longitude[0]), float(found.latitude[0]), radius=radius, resolution=resolution)
    own = str(found.name[0])
    return _Asked(f"{nation.code}:{own}", f"{own}, {nation.name}", f"GeoNames {found.id[0]}, {choice}", frame)


def _turn(longitude: float) -> float:
    return float((longitude + 180) % 360 - 180)


def _unwrapped(longitude: np.ndarray) -> np.ndarray:
    """Longitudes without a jump at the date line."""
    return longitude if np.ptp(longitude) <= 180 else np.where(longitude < 0, longitude + 360, longitude)


def _largest(nation: gazetteer.Country) -> str:
    every = gazetteer.settlements()
    mine = np.flatnonzero(every.country == nation.code)
    return str(every.name[mine[np.argmax(every.population[mine])]]) if mine.size else "NAME"


# ---------------------------------------------------------------- the layers


def _on_grid(frame: Frame, function: Any, *, spacing: float = 2000.0) -> np.ndarray:
    """A smooth world map on the frame's pixels: asked every 2 km, linear in between."""
    wide = frame.coarse(spacing, margin=spacing)
    longitude, latitude = wide.degrees(*np.meshgrid(wide.x, wide.y))
    return people.resampled(function(longitude, latitude), wide, frame)


def _ground(frame: Frame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    wide = frame.coarse(2000.0, margin=30_000.0)
    longitude, latitude = wide.degrees(*np.meshgrid(wide.x, wide.y))
    mapped = climate.topography(longitude, latitude)
    uneven = relief.local_relief(mapped, cells=round(1.5 * relief.MAP_CELL / wide.resolution))
    smooth = people.resampled(mapped, wide, frame)
    share = people.resampled(climate.sea(longitude, latitude), wide, frame)
    coast = relief.fractal(frame.shape, resolution=frame.resolution, longest=relief.MAP_CELL, hurst=0.7, rng=rng)
    water = share + 0.15 * coast * (share > 0.05) * (share < 0.95) > 0.55
    roughness = people.resampled(uneven, wide, frame)
    ground = relief.finer(smooth, roughness, resolution=frame.resolution, rng=rng)
    # a coast that generated relief would drown stays dry
    ground = np.where(water, 0.0, np.where(smooth > 0, np.maximum(ground, 0.3), ground))
    rough = np.median(roughness) * (1 / 3) ** relief.HURST
    says = (
        f"measured: {climate.TOPOGRAPHY_SOURCE}; generated: relief shorter than {relief.MAP_CELL / 1000:.0f} km, "
        f"self-affine (H = {relief.HURST}, standard deviation {rough:.0f} m in the median) and cut by rivers"
    )
    return ground, water, says


@dataclass(frozen=True)
class _Living:
    pixels: np.ndarray
    places: gazetteer.Settlements
    x: np.ndarray
    y: np.ndarray
    population: np.ndarray
    listed: float
    unlisted: float
    note: str


def _living(frame: Frame, ground: np.ndarray, water: np.ndarray, rng: np.random.Generator) -> _Living:
    every = gazetteer.settlements()
    near = _near(frame, every)
    x, y = frame.metres(every.longitude[near], every.latitude[near])
    wide = frame.coarse(people.COARSE, margin=2 * people.REACH * people.WIDEST)
    land = 1 - _on_wide(wide, climate.sea)
    coarse = np.zeros(wide.shape)
    notes = []
    scale = np.ones(len(near))
    for code in sorted(set(every.country[near])):
        nation = gazetteer.countries().get(code)
        mine = np.flatnonzero(every.country == code)
        listed = every.population[mine].sum()
        total = nation.people if nation else 0.0
        here = np.flatnonzero(every.country[near] == code)
        if 0 < total < listed:
            # GeoNames lists sections of cities beside their city; the country's total is held
            scale[here] = total / listed
            notes.append(f"{code}: listed people exceed the country's total, scaled by {total / listed:.2f}")
            continue
        share, width = people.drawn(
            every.longitude[mine], every.latitude[mine], every.population[mine], unlisted=max(total - listed, 0.0)
        )
        of = np.searchsorted(mine, near[here])  # both ascend
        coarse += people.unlisted_share(frame, x[here], y[here], share[of], width[of], land, wide)
    inside = np.flatnonzero(frame.holds(x, y))
    missing = int((every.population[near[inside]] <= 0).sum())
    if missing:
        notes.append(f"{missing} listed places without a population are left out")
    inside = inside[every.population[near[inside]] > 0]
    chosen = every[near[inside]]
    fit = people.suitability(ground, water, resolution=frame.resolution)
    towns = people.town_people(frame, x[inside], y[inside], chosen.population * scale[inside], fit, rng=rng)
    villages = people.village_people(frame, coarse, wide, fit, rng=rng)
    pixels = (towns + villages).astype(np.float32)
    return _Living(
        pixels,
        chosen,
        x[inside],
        y[inside],
        chosen.population,
        float(towns.sum()),
        float(villages.sum()),
        "; ".join(notes),
    )


def _on_wide(wide: Frame, function: Any) -> np.ndarray:
    longitude, latitude = wide.degrees(*np.meshgrid(wide.x, wide.y))
    return np.asarray(function(longitude, latitude))


def _near(frame: Frame, every: gazetteer.Settlements) -> np.ndarray:
    """Positions of the settlements within reach of the frame, by great circle."""
    longitude, latitude = frame.degrees(
        frame.west + frame.columns * frame.resolution / 2, frame.south + frame.rows * frame.resolution / 2
    )
    reach = np.hypot(frame.columns, frame.rows) * frame.resolution / 2 + people.REACH * people.WIDEST
    phi, middle = np.radians(every.latitude), np.radians(latitude)
    cosine = np.sin(phi) * np.sin(middle) + np.cos(phi) * np.cos(middle) * np.cos(
        np.radians(every.longitude - longitude)
    )
    return np.flatnonzero(6.371e6 * np.arccos(np.clip(cosine, -1, 1)) < reach)


def _surface(
    frame: Frame, ground: np.ndarray, ground_says: str, cover: np.ndarray, living: _Living, rain: np.ndarray, seed: int
) -> xr.Dataset:
    spread = (
        f"measured: {gazetteer.SOURCE}, spread over each town; modelled: the people GeoNames does not list, "
        f"{living.unlisted:.0f} of {living.listed + living.unlisted:.0f}, in villages around the listed places"
    )
    pixels = f"pixel centres in metres of {frame.crs}"
    yx = ("y", "x")
    return xr.Dataset(
        {
            "ground_height": given(yx, ground.astype(np.float32), ground_says),
            "clutter_height": given(
                yx, relief.HEIGHTS[cover], "modelled: by clutter class, ITU-R P.1812 default heights"
            ),
            "clutter": given(
                yx,
                cover,
                f"modelled: from the density of people; woods generated, seed {seed}, their share from the rain rate",
                **relief.FLAGS,
            ),
            "people": given(yx, living.pixels, spread),
            "rain_rate": given(yx, rain.astype(np.float32), f"measured: {climate.RAIN_SOURCE}"),
        },
        coords={"y": given("y", frame.y, f"generated: {pixels}"), "x": given("x", frame.x, f"generated: {pixels}")},
    )


def _sources(towers: Any, terrain: Any) -> str:
    used = [gazetteer.SOURCE, climate.TOPOGRAPHY_SOURCE, climate.RAIN_SOURCE]
    if towers is not None:
        used.append(f"tower register {Path(towers).name}")
    if terrain is not None:
        files = terrain if isinstance(terrain, list | tuple) else [terrain]
        used.append("elevation " + ", ".join(Path(f).name for f in files))
    return "; ".join(used)
