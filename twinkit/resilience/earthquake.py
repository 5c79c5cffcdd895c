"""Earthquake: shaking at every asset by a published law, with what single earthquakes differ in as members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.contract import contract, physics, whole_seed, within
from twinkit.error import TwinError
from twinkit.resilience.assets import assets, whole
from twinkit.resilience.cyclone import EARTH, _degrees
from twinkit.resilience.footprint import clock, footprint
from twinkit.resilience.fragility import GRAVITY
from twinkit.resilience.strike import luck

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from twinkit.resilience.fragility import Curve

__all__ = ["earthquake", "peak_acceleration"]

BETWEEN, INSIDE = 0.260, 0.502
"""Standard deviations of ln(acceleration) between earthquakes and inside one: Boore and Atkinson (2008), Table 8."""
FAULTS = {"unspecified": -0.53804, "strike-slip": -0.50350, "normal": -0.75472, "reverse": -0.50970}


@physics(
    valid={"magnitude": (5.0, 8.0), "distance": (0.0, 200e3), "shear_velocity": (180.0, 1300.0)},
    distance="m",
    shear_velocity="m/s",
    why="Boore and Atkinson (2008)",
)
def peak_acceleration(distance: Any, *, magnitude: Any, shear_velocity: Any = 760.0, fault: str = "unspecified") -> Any:
    r"""Median peak ground acceleration of a shallow earthquake in an active region.

    .. math:: \ln Y = F_M(M) + F_D(R_{JB}, M) + F_S(V_{S30}, R_{JB}, M)

    Parameters
    ----------
    distance : float or array [m]
        To the projection of the rupture onto the ground (Joyner and Boore).
    magnitude : float or array [1]
        Moment magnitude.
    shear_velocity : float or array [m/s]
        Mean of the uppermost 30 m: 760 rock, 360 firm, 180 soft ground.
    fault : {"unspecified", "strike-slip", "normal", "reverse"}

    Returns
    -------
    float or array [m/s²]

    Validity
    --------
    Active shallow crust, magnitude 5 to 8, up to 200 km; for the Himalaya, and not for the shield of peninsular India,
    where shaking carries farther.

    Errors
    ------
    TwinError
        An argument out of its range, or an unknown fault.

    Examples
    --------
    >>> round(float(peak_acceleration(20e3, magnitude=7.0)) / 9.80665, 3)
    0.159

    References
    ----------
    D. M. Boore and G. M. Atkinson, Ground-Motion Prediction Equations for the Average Horizontal Component of PGA, PGV,
    and 5%-Damped PSA, Earthquake Spectra 24, 2008, doi:10.1193/1.2830434, equations 1 to 13, Tables 3 to 8.
    """
    if fault not in FAULTS:
        raise TwinError(f"a fault among {', '.join(FAULTS)}", found=f"'{fault}'", hint="leave it out", where="fault")
    m, far = np.asarray(magnitude, float), np.asarray(distance, float) / 1e3
    reach = np.sqrt(far**2 + 1.35**2)
    way = (-0.66050 + 0.11970 * (m - 4.5)) * np.log(reach) - 0.01151 * (reach - 1.0)
    over = m - 6.75
    size = np.where(over <= 0, 0.28805 * over - 0.10164 * over**2, 0.0)
    rock = np.exp(FAULTS[fault] + size + way)
    ground = np.asarray(shear_velocity, float)
    out = rock * np.exp(-0.360 * np.log(ground / 760.0) + _soft(rock, ground))
    return out * GRAVITY


def _soft(rock: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The part of the ground's answer that hangs on how strongly it is shaken (equations 8 to 13)."""
    one, two, three = -0.640, -0.14, 0.0
    slope = np.where(
        ground <= 180.0,
        one,
        np.where(
            ground <= 300.0,
            (one - two) * np.log(ground / 300.0) / np.log(180.0 / 300.0) + two,
            np.where(ground < 760.0, (two - three) * np.log(ground / 760.0) / np.log(300.0 / 760.0) + three, three),
        ),
    )
    low, first, second = 0.06, 0.03, 0.09
    width = np.log(second / first)
    rise = slope * np.log(second / low)
    square = (3 * rise - slope * width) / width**2
    cube = -(2 * rise - slope * width) / width**3
    away = np.log(np.maximum(rock, 1e-12) / first)
    middle = slope * np.log(low / 0.1) + square * away**2 + cube * away**3
    strong = slope * np.log(np.maximum(rock, 1e-12) / 0.1)
    return np.where(rock <= first, slope * np.log(low / 0.1), np.where(rock <= second, middle, strong))


@contract(reads=["sites/x", "sites/y", "links/source", "links/target"], gives=["shaking", "failure"], computes=True)
def earthquake(
    twin: xr.DataTree,
    *,
    longitude: float,
    latitude: float,
    magnitude: float,
    time: Any,
    length: float = 0.0,
    strike_angle: float = 0.0,
    shear_velocity: float = 360.0,
    fault: str = "unspecified",
    members: int = 20,
    seed: int = 0,
    fragility: Mapping[str, Curve] | None = None,
) -> xr.Dataset:
    """Shaking and probability of failure at every asset of one earthquake.

    Parameters
    ----------
    twin : DataTree
    longitude, latitude : float [degree]
        Middle of the rupture's projection onto the ground.
    magnitude : float [1]
    time : datetime64
        UTC.
    length : float [m]
        Of the rupture along `strike_angle` [degree from north]; 0 for a point.
    shear_velocity : float [m/s]
        Of the uppermost 30 m, everywhere.
    fault : str
        As for `peak_acceleration`.
    members : int
        Earthquakes of this magnitude that differ as earthquakes do; 1 for the median.
    seed : int
    fragility : dict of str to Curve, optional

    Returns
    -------
    Dataset (member, time, asset)
        ``shaking`` [m/s²] and ``failure`` [1]; what differs from place to place inside one earthquake is drawn per
        asset and member, by the asset's id: two plans feel the same earthquakes.

    Validity
    --------
    As `peak_acceleration`; places beyond 200 km get the value of 200 km, and magnitude is held to its range. No
    liquefaction, no landslide, no aftershock. Neighbouring places differ independently here, in truth they do not.

    Errors
    ------
    TwinError
        A magnitude out of range, a place that is none, or a time with a zone.

    Examples
    --------
    >>> import xarray as xr
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 9e4]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> twin = assemble({"sites": sites, "links": links}, title="two", crs="+proj=tmerc +lat_0=31 +lon_0=77 +units=m")
    >>> quake = earthquake(twin, longitude=77, latitude=31, magnitude=6.5, time="2020-01-01", members=1)
    >>> (quake.shaking.squeeze().astype(float) / 9.80665).values.round(2).tolist()
    [0.52, 0.04, 0.52]
    """
    from scipy.special import ndtri

    within(magnitude, 5.0, 8.0, name="magnitude", unit="1", why="Boore and Atkinson (2008)")
    within(longitude, -180.0, 360.0, name="longitude", unit="degree")
    within(latitude, -90.0, 90.0, name="latitude", unit="degree")
    within(length, 0.0, 1e6, name="length", unit="m")
    members = whole(members, 1, 10_000, name="members")
    index = clock(np.atleast_1d(np.asarray(time)), where="time")
    made = assets(twin)
    lon, lat = _degrees(twin, made["x"].values, made["y"].values)
    east = EARTH * np.cos(np.radians(latitude)) * np.radians((lon - longitude + 180) % 360 - 180)
    north = EARTH * np.radians(lat - latitude)
    angle = np.radians(strike_angle)
    along = east * np.sin(angle) + north * np.cos(angle)
    aside = east * np.cos(angle) - north * np.sin(angle)
    far = np.hypot(np.maximum(np.abs(along) - length / 2, 0.0), aside).min(axis=1)
    median = peak_acceleration(np.minimum(far, 200e3), magnitude=magnitude, shear_velocity=shear_velocity, fault=fault)
    rng = np.random.default_rng(np.random.SeedSequence([whole_seed(seed), 2008]))
    between = rng.standard_normal((members, 1)) if members > 1 else np.zeros((1, 1))
    # by the asset's id, as in `strike`: a site that a plan adds leaves the shaking of all others as it was
    chance = luck(made["asset"].values, draws=members, seed=whole_seed(seed), salt="shaking")
    inside = ndtri(np.clip(chance, 1e-15, None)) if members > 1 else np.zeros((1, len(far)))
    worst = median * np.exp(BETWEEN * between + INSIDE * inside)
    says = {
        "model": f"shaking by Boore and Atkinson (2008), magnitude {magnitude:g}",
        "assumptions": f"shear velocity {shear_velocity:g} m/s everywhere; fault {fault}; "
        + (f"{members:g} members, seed {seed}" if members > 1 else "the median"),
    }
    return footprint("shaking", worst[:, None, :], made, index, table=fragility, says=says)
