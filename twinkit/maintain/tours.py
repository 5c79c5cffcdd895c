"""A day's work of one crew: from the base to a few sites and back, by the shortest way."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twinkit.contract import within
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Tour", "place_of", "tours"]


class Tour(NamedTuple):
    """Sites by position, in the order of the visits, and the way [m] from the base to them and back."""

    sites: tuple[int, ...]
    length: float


def place_of(base: Any, x: np.ndarray, y: np.ndarray, names: list[str]) -> tuple[float, float]:
    """Where the crews start: at a site, or at coordinates (x, y) [m]."""
    if isinstance(base, str):
        if base not in names:
            near = close_to(base, names)
            hint = f"did you mean {near}?" if near else "name a site, or give (x, y) in metres"
            raise TwinError("a base at one of the sites", found=f"'{base}'", hint=hint, where="base")
        return float(x[names.index(base)]), float(y[names.index(base)])
    place = np.asarray(base, dtype=float) if np.shape(base) == (2,) else np.array([np.nan])
    if not np.isfinite(place).all():
        raise TwinError("a base: a site or (x, y) [m]", found=repr(base), hint="base='s0'", where="base")
    return float(place[0]), float(place[1])


def tours(
    x: np.ndarray,
    y: np.ndarray,
    base: tuple[float, float],
    *,
    most: int,
    near: int,
    speed: float,
    visit: float,
    shift: float,
) -> list[Tour]:
    """Every tour of up to `most` sites that fits into a shift, each by its shortest order.

    Parameters
    ----------
    x, y : array (site,) [m]
    base : (float, float) [m]
    most : int
        Sites in one day.
    near : int
        Sites stand in one tour only where each is among another's so many nearest.
    speed : float [km/h]
        Along the straight line: take less than on the road.
    visit, shift : float [h]

    Returns
    -------
    list of Tour

    Validity
    --------
    Straight lines. All tours there are, where `near` is the number of sites.

    Errors
    ------
    TwinError
        A site that no crew reaches within a shift.

    Examples
    --------
    >>> x, y = np.array([3e3, 3e3]), np.array([0.0, 4e3])
    >>> found = tours(x, y, (0.0, 0.0), most=2, near=1, speed=40, visit=1, shift=8)
    >>> [(t.sites, t.length) for t in found]
    [((0,), 6000.0), ((1,), 10000.0), ((0, 1), 12000.0)]
    """
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or not 1 <= most <= 5:
        raise TwinError("1 to 5 sites in one day", found=repr(most), hint="give most=3", where="most")
    within(speed, 1, 200, name="speed", unit="km/h")
    within(shift, 0.1, 24, name="shift", unit="h")
    within(visit, 0, 24, name="visit", unit="h")
    points = np.column_stack([np.append(x, base[0]), np.append(y, base[1])])
    away = np.hypot(*(points[:, None] - points[None]).T)
    count = len(x)
    hours = 2 * away[count, :count] / 1000 / speed + visit
    far = np.flatnonzero(hours > shift)
    if len(far):
        raise TwinError(
            f"sites within a shift of {shift:g} h",
            found=f"{len(far)} of {count} beyond it; the visit of number {far[0]} takes {hours[far[0]]:.1f} h",
            hint="a longer shift, a base in the middle, or a schedule for each base's own sites",
            where="shift",
        )
    ranked = np.argsort(away[:count, :count], axis=1, kind="stable")[:, 1 : near + 1]
    grown: set[frozenset[int]] = {frozenset([s]) for s in range(count)}
    every, found = set(grown), []
    for _ in range(most - 1):
        grown = {g | {int(n)} for g in grown for s in g for n in ranked[s] if int(n) not in g}
        every |= grown
    for group in sorted(every, key=lambda g: (len(g), sorted(g))):
        order, length = _shortest(sorted(group), away, count)
        if length / 1000 / speed + visit * len(group) <= shift + 1e-9:
            found.append(Tour(order, length))
    return found


def _shortest(group: list[int], away: np.ndarray, home: int) -> tuple[tuple[int, ...], float]:
    """The best of all orders; with five sites there are no more than sixty."""
    best, least = tuple(group), np.inf
    for order in itertools.permutations(group):
        if order[0] > order[-1]:
            continue  # the same way, walked backwards
        stops = (home, *order, home)
        length = sum(away[a, b] for a, b in itertools.pairwise(stops))
        if length < least - 1e-9:
            best, least = order, length
    return best, float(least)


def positions(twin: xr.DataTree, names: Any, base: Any) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Where the sites are [m], in the order of the names, and where the crews start."""
    spots = twin["sites"].to_dataset()[["x", "y"]].compute()
    known = spots.indexes["site"]
    x, y = spots["x"].to_numpy().astype(float), spots["y"].to_numpy().astype(float)
    home = place_of(base, x, y, [str(s) for s in known])
    strangers = [s for s in names if s not in known]
    if strangers:
        raise TwinError("sites of the twin", found=f"'{strangers[0]}'", hint="use the same twin", where="site")
    spots = spots.sel(site=list(names))
    return spots["x"].to_numpy().astype(float), spots["y"].to_numpy().astype(float), home
