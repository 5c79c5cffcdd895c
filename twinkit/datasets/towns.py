"""A town that nobody lives in, generated without any data: for first lessons, tests, and thin lines."""

from __future__ import annotations

import numpy as np
import xarray as xr

from twinkit.contract import whole_seed
from twinkit.datasets import network, people, relief
from twinkit.datasets.chance import generator
from twinkit.datasets.frame import Frame, given
from twinkit.error import TwinError

__all__ = ["town"]

# On the equator in the Gulf of Guinea: nobody takes it for a real town.
CRS = "EPSG:32631"
MIDDLE = (500_000.0, 0.0)
AREA = 6.0e6
"""Land for each radio site [m²]."""
SYLLABLES = ("ka", "mo", "ri", "sa", "lu", "te", "na", "vi", "do", "pa", "le", "shi", "ta", "ro", "mi", "bu")


def town(*, sites: int, seed: int, resolution: float = 50.0) -> xr.DataTree:
    """A generated twin of a town among hills with villages around it; needs no data and no extra.

    Parameters
    ----------
    sites : int
        Radio sites, 3 to 400. One exchange and one data centre stand beside them.
    seed : int
        Same seed, same bytes.
    resolution : float [m]
        Edge of a pixel.

    Returns
    -------
    DataTree
        sites, cells, links, places, surface: the same variables as `region`, but for the rain rate.

    Errors
    ------
    TwinError
        Too few or too many sites, no seed, pixels too fine.

    Examples
    --------
    >>> twin = town(sites=12, seed=1)
    >>> int((twin["sites/kind"] != "exchange").sum()), float(twin["surface/people"].sum().round())
    (13, 36000.0)
    """
    from twinkit import __version__
    from twinkit.twin import assemble

    if isinstance(sites, bool) or not isinstance(sites, int | np.integer) or not 3 <= sites <= 400:
        raise TwinError("a number of sites from 3 to 400", found=repr(sites), hint="town(sites=12, seed=1)")
    seed = whole_seed(seed)
    side = max(np.sqrt(AREA * sites), 5000.0)
    if not 5 <= resolution <= 500:
        raise TwinError("a resolution from 5 to 500 m", found=f"{resolution:g} m", hint="leave it out for 50 m")
    pixels = int(np.ceil(side / resolution))
    half = pixels // 2 * resolution
    frame = Frame(CRS, MIDDLE[0] - half, MIDDLE[1] - half, pixels, pixels, float(resolution))
    says = f"generated: seed {seed}, twinkit.datasets.town"
    key = f"town:{sites}"

    ground = _ground(frame, generator(seed, key, "relief"))
    water = ground < np.quantile(ground, 0.02)
    fit = people.suitability(ground, water, resolution=resolution)
    places = _places(frame, fit, 3000.0 * sites, generator(seed, key, "places"))
    rng = generator(seed, key, "people")
    x, y, population, name = places
    living = people.town_people(frame, x, y, population, fit, rng=rng).astype(np.float32)
    cover = relief.clutter(
        living, water, np.full(frame.shape, 0.2), resolution=resolution, rng=generator(seed, key, "clutter")
    )
    rng = generator(seed, key, "network")
    made = network.from_people(
        frame, living, ground, x=x, y=y, population=population, name=name, rng=rng, count=int(sites)
    )
    ids = network.numbered(len(made))
    longitude, latitude = frame.degrees(x, y)
    place = xr.Dataset(
        {
            "place": given("place", [f"p{i + 1}" for i in range(len(x))], says),
            "name": given("place", name, says),
            "x": given("place", x, says),
            "y": given("place", y, says),
            "longitude": given("place", longitude, says),
            "latitude": given("place", latitude, says),
            "population": given("place", population, says),
        }
    ).set_coords("place")
    yx = ("y", "x")
    surface = xr.Dataset(
        {
            "ground_height": given(yx, ground.astype(np.float32), says),
            "clutter_height": given(yx, relief.HEIGHTS[cover], says),
            "clutter": given(yx, cover, says, **relief.FLAGS),
            "people": given(yx, living, says),
        },
        coords={"y": given("y", frame.y, says), "x": given("x", frame.x, says)},
    )
    return assemble(
        {
            "sites": network.node(frame, made, ids, provenance=says),
            "cells": network.cells(made, ids, provenance=says, rng=rng),
            "links": network.backhaul(made, ids, provenance=says),
            "places": place,
            "surface": surface,
        },
        title=f"{name[0]}, a generated town",
        crs=CRS,
        place=key,
        seed=seed,
        licence="CC0-1.0",
        sources="generated",
        version=__version__,
    )


def _ground(frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Hills of 40 m standard deviation around a plain at 200 m, with ridges at the edge of the town."""
    side = frame.columns * frame.resolution
    hills = relief.fractal(frame.shape, resolution=frame.resolution, longest=side, hurst=0.9, rng=rng)
    away = np.hypot(frame.x[None, :] - MIDDLE[0], frame.y[:, None] - MIDDLE[1]) / (side / 2)
    return np.asarray(200.0 + 40.0 * hills * np.clip(0.3 + away, 0.3, 1.3) + 50.0 * np.clip(away - 0.4, 0, None) ** 2)


def _places(
    frame: Frame, fit: np.ndarray, total: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The town in the middle with 60 % of the people, and villages by Zipf's law where it is good to settle."""
    villages = int(np.clip(total / 4000, 3, 40))
    rank = np.arange(1, villages + 1)
    population = np.concatenate([[0.6 * total], 0.4 * total * (1 / rank) / (1 / rank).sum()])
    population = np.maximum(np.rint(population), 1)
    population[0] += np.rint(total) - population.sum()
    px, py = np.meshgrid(frame.x, frame.y)
    weight = fit.copy()
    margin = 0.06 * frame.columns * frame.resolution
    weight[(px < frame.x[0] + margin) | (px > frame.x[-1] - margin)] = 0
    weight[(py < frame.y[0] + margin) | (py > frame.y[-1] - margin)] = 0
    middle = np.exp(-(((px - MIDDLE[0]) ** 2 + (py - MIDDLE[1]) ** 2) / (0.1 * frame.columns * frame.resolution) ** 2))
    at = int(np.argmax(fit * middle))
    x, y = [px.flat[at]], [py.flat[at]]
    apart = 0.5 * frame.columns * frame.resolution / np.sqrt(villages + 1)
    for _ in range(villages):
        weight = weight * (1 - np.exp(-(((px - x[-1]) ** 2 + (py - y[-1]) ** 2) / apart**2)))
        cumulative = np.cumsum(weight.ravel())
        at = min(int(np.searchsorted(cumulative, rng.random() * cumulative[-1])), weight.size - 1)
        x.append(px.flat[at])
        y.append(py.flat[at])
    names: list[str] = []
    while len(names) < villages + 1:
        new = "".join(rng.choice(SYLLABLES, size=int(rng.integers(2, 4)))).capitalize()
        if new not in names:
            names.append(new)
    return np.array(x), np.array(y), population, np.array(names, dtype=object)
