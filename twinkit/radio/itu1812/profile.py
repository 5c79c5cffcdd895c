"""The path: terrain, clutter and zones along it, and what P.1812 derives from them.

`profile` checks and labels a path; the kernels find horizons, smooth-earth heights and lengths over land,
in km and m as the Recommendation writes them.
"""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba; the public functions state theirs.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numba import njit

from twinkit.error import TwinError

__all__ = ["COASTAL", "INLAND", "SEA_ZONE", "horizons", "path_centre", "profile", "smooth_heights", "zone_lengths"]

SEA_ZONE, COASTAL, INLAND = 1, 3, 4
"""Codes of the radio-climatic zones, Table 2 of the Recommendation."""

LEAST_POINTS = 5
LEAST_LENGTH, MOST_LENGTH = 250.0, 3.0e6
EARTH = 6371.0

Numbers = Sequence[float] | np.ndarray | xr.DataArray


def profile(
    distance: Numbers, ground_height: Numbers, *, clutter_height: Numbers | None = None, zone: Any = INLAND
) -> xr.Dataset:
    """A path as P.1812 reads it: heights of ground and clutter, and the zone, along the distance.

    Parameters
    ----------
    distance : array (n,) [m]
        From the transmitter, strictly increasing from zero, at least five points, 250 m to 3000 km in all.
    ground_height : array (n,) [m]
        Above sea level.
    clutter_height : array (n,) [m], optional
        Representative height of buildings and trees; none where left out. At both ends it counts for nothing.
    zone : array (n,) of int, or one for all
        1 sea, 3 coastal land, 4 inland.

    Returns
    -------
    Dataset with dim `distance` and the variables ground_height, clutter_height, zone.

    Errors
    ------
    TwinError
        Distances out of order, repeated or not from zero; values that are no number; lengths that differ;
        too few points; a length outside the Recommendation; a zone that does not exist.

    Examples
    --------
    >>> profile([0, 100, 200, 300, 400], [10, 12, 15, 11, 9]).sizes["distance"]
    5
    >>> profile([0, 100, 100, 300, 400], [10, 12, 15, 11, 9])
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: distance: expected distances that increase from point to point; ...

    References
    ----------
    ITU-R P.1812-8, sections 3.2 and 3.4.
    """
    d = _numbers(distance, "distance")
    n = d.size
    if n < LEAST_POINTS:
        raise TwinError(
            f"a profile of at least {LEAST_POINTS} points",
            found=f"{n}",
            hint="sample the terrain more densely",
            where="distance",
        )
    if d[0] != 0.0:
        raise TwinError(
            "distances from the transmitter, the first of them 0 m",
            found=f"{d[0]:g} m at the start",
            hint="subtract the first distance",
            where="distance",
        )
    step = np.diff(d)
    if not (step > 0).all():
        at = int(np.flatnonzero(~(step > 0))[0])
        raise TwinError(
            "distances that increase from point to point",
            found=f"{d[at]:g} m then {d[at + 1]:g} m at point {at + 1}",
            hint="sort the points and drop repeated ones",
            where="distance",
        )
    if not LEAST_LENGTH <= d[-1] <= MOST_LENGTH:
        raise TwinError(
            "a path of 250 m to 3000 km (ITU-R P.1812-8, section 1)",
            found=f"{d[-1]:g} m",
            hint="use another model nearer than 250 m; check that distances are in m",
            where="distance",
        )
    h = _along(ground_height, "ground_height", n)
    _plausible(h, -500.0, 9000.0, "ground_height", d)
    r = np.zeros(n) if clutter_height is None else _along(clutter_height, "clutter_height", n)
    _plausible(r, 0.0, 500.0, "clutter_height", d)
    z = np.broadcast_to(np.asarray(zone), n) if np.ndim(zone) == 0 else np.asarray(zone)
    if z.shape != (n,) or not np.isin(z, (SEA_ZONE, COASTAL, INLAND)).all():
        raise TwinError(
            "a zone of 1 (sea), 3 (coastal land) or 4 (inland) at each point",
            found=f"shape {z.shape}" if z.shape != (n,) else f"{np.setdiff1d(z, (1, 3, 4))[0]}",
            hint="translate other codes first: P.452 numbers its zones differently",
            where="zone",
        )
    out = xr.Dataset(
        {
            "ground_height": ("distance", h, {"units": "m"}),
            "clutter_height": ("distance", r, {"units": "m"}),
            "zone": (
                "distance",
                z.astype(np.int8),
                {"units": "1", "flag_values": [1, 3, 4], "flag_meanings": "sea coastal inland"},
            ),
        },
        coords={"distance": ("distance", d, {"units": "m"})},
    )
    out.attrs["profile"] = "checked"
    return out


def _numbers(values: Any, name: str) -> np.ndarray:
    if isinstance(values, xr.DataArray):
        unit = values.attrs.get("units", "m")
        if unit != "m":
            raise TwinError(f"{name} in m", found=f"unit '{unit}'", hint="convert it to m", where=name)
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TwinError("numbers", found=f"{values!r:.60}", hint="convert the values to float", where=name) from None
    if array.ndim != 1:
        raise TwinError("one value for each point", found=f"shape {array.shape}", hint="pass a flat array", where=name)
    bad = ~np.isfinite(array)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise TwinError(
            "a number at every point", found=f"{array[at]} at point {at}", hint="fill voids first", where=name
        )
    return array


def _along(values: Any, name: str, n: int) -> np.ndarray:
    array = _numbers(values, name)
    if array.size != n:
        raise TwinError(
            f"{n} values, one for each distance", found=f"{array.size}", hint="sample both together", where=name
        )
    return array


def _plausible(values: np.ndarray, low: float, high: float, name: str, d: np.ndarray) -> None:
    outside = (values < low) | (values > high)
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise TwinError(
            f"{name} between {low:g} and {high:g} m",
            found=f"{values[at]:g} m at {d[at]:g} m",
            hint="fill voids (often -32768 or -9999) first",
            where=name,
        )


def path_centre(
    transmitter: tuple[float, float], receiver: tuple[float, float], *, distance: float | None = None
) -> tuple[float, float]:
    """Longitude and latitude [degree] half way along the great circle.

    Parameters
    ----------
    transmitter, receiver : (longitude, latitude) [degree]
    distance : float [m], optional
        Length of the profile, where it should be halved in place of the great circle.

    Returns
    -------
    (longitude, latitude) [degree]

    Errors
    ------
    TwinError
        A latitude outside -90 to 90 degree or a longitude outside -360 to 360 degree.

    Examples
    --------
    >>> longitude, latitude = path_centre((0.0, 60.0), (90.0, 60.0))
    >>> round(longitude, 6), round(latitude, 2)
    (45.0, 67.79)

    References
    ----------
    ITU-R P.2001-4, Attachment H, equations (H.2.1) to (H.3.5).
    """
    for name, (longitude, latitude) in (("transmitter", transmitter), ("receiver", receiver)):
        if not (abs(longitude) <= 360.0 and abs(latitude) <= 90.0):
            raise TwinError(
                "longitude and latitude in degree, in this order",
                found=f"({longitude}, {latitude})",
                hint="check the order, and convert projected coordinates first",
                where=name,
            )
    north_t, north_r = math.radians(transmitter[1]), math.radians(receiver[1])
    turn = math.radians(receiver[0] - transmitter[0])
    cosine = math.sin(north_t) * math.sin(north_r) + math.cos(north_t) * math.cos(north_r) * math.cos(turn)
    full = math.acos(min(1.0, max(-1.0, cosine)))
    half = 0.5 * full if distance is None else 0.5 * distance / 1000.0 / EARTH
    bearing = math.atan2(
        math.cos(north_t) * math.cos(north_r) * math.sin(turn), math.sin(north_r) - cosine * math.sin(north_t)
    )
    sine = math.sin(north_t) * math.cos(half) + math.cos(north_t) * math.sin(half) * math.cos(bearing)
    east = math.atan2(math.cos(north_t) * math.sin(half) * math.sin(bearing), math.cos(half) - sine * math.sin(north_t))
    return transmitter[0] + math.degrees(east), math.degrees(math.asin(min(1.0, max(-1.0, sine))))


# ---------------------------------------------------------------- kernels: km and m


@njit(cache=True)
def zone_lengths(d, zone):
    """Fraction over sea, longest section of land, longest of inland [km]: each point owns half of its two gaps.

    Sections 3.2 and 3.6.
    """
    n = d.size
    sea = 0.0
    land = inland = longest_land = longest_inland = 0.0
    for i in range(n):
        own = 0.5 * (d[min(i + 1, n - 1)] - d[max(i - 1, 0)])
        if zone[i] == 1:
            sea += own
            land = inland = 0.0
        elif zone[i] == 3:
            land += own
            inland = 0.0
        else:
            land += own
            inland += own
        longest_land = max(longest_land, land)
        longest_inland = max(longest_inland, inland)
    return sea / d[n - 1], longest_land, longest_inland


@njit(cache=True)
def horizons(d, h, transmitter, receiver, earth, wavelength):
    """Horizon points of both antennas and their angles, Attachment 1, sections 4.1 to 4.4.

    Returns (first, last, angle of the transmitter, of the receiver [mrad], beyond): `first` and `last` are
    indices into the profile; in sight of each other both are the point of the largest diffraction parameter.
    """
    n = d.size
    total = d[n - 1]
    # slopes in m/km; the arc tangent is monotone and waits until the maximum is known
    forward = -np.inf
    first = 1
    for i in range(1, n - 1):
        slope = (h[i] - transmitter) / d[i] - 500.0 * d[i] / earth
        if slope > forward:
            forward = slope
            first = i
    direct = (receiver - transmitter) / total - 500.0 * total / earth
    if forward > direct:
        back = -np.inf
        last = n - 2
        for i in range(n - 2, 0, -1):
            rest = total - d[i]
            slope = (h[i] - receiver) / rest - 500.0 * rest / earth
            if slope > back:
                back = slope
                last = i
        return first, last, 1e3 * math.atan(1e-3 * forward), 1e3 * math.atan(1e-3 * back), True
    largest = -np.inf
    for i in range(1, n - 1):
        rest = total - d[i]
        clear = h[i] + 500.0 / earth * d[i] * rest - (transmitter * rest + receiver * d[i]) / total
        parameter = clear * math.sqrt(0.002 * total / (wavelength * d[i] * rest))
        if parameter >= largest:
            largest = parameter
            first = i
    back = (transmitter - receiver) / total - 500.0 * total / earth
    return first, first, 1e3 * math.atan(1e-3 * direct), 1e3 * math.atan(1e-3 * back), False


@njit(cache=True)
def smooth_heights(d, h, transmitter, receiver):
    """Smooth-earth heights [m] at both ends by least squares, and those of the diffraction model.

    Equations (85) to (91): (start, end, start for diffraction, end for diffraction).
    """
    n = d.size
    total = d[n - 1]
    v1 = v2 = 0.0
    for i in range(1, n):
        step = d[i] - d[i - 1]
        v1 += step * (h[i] + h[i - 1])
        v2 += step * (h[i] * (2.0 * d[i] + d[i - 1]) + h[i - 1] * (d[i] + 2.0 * d[i - 1]))
    start = (2.0 * v1 * total - v2) / (total * total)
    end = (v2 - v1 * total) / (total * total)
    highest = forward = back = -np.inf
    for i in range(1, n - 1):
        rest = total - d[i]
        over = h[i] - (transmitter * rest + receiver * d[i]) / total
        highest = max(highest, over)
        forward = max(forward, over / d[i])
        back = max(back, over / rest)
    start_d, end_d = start, end
    if highest > 0.0:
        start_d -= highest * forward / (forward + back)
        end_d -= highest * back / (forward + back)
    return start, end, min(start_d, h[0]), min(end_d, h[n - 1])


@njit(cache=True)
def roughness(d, h, start, end, first, last):
    """Largest height [m] of the ground above the smooth surface between the horizons, equation (93)."""
    slope = (end - start) / d[d.size - 1]
    highest = -np.inf
    for i in range(first, last + 1):
        highest = max(highest, h[i] - (start + slope * d[i]))
    return highest
