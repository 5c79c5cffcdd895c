"""Wind of a cyclone around its centre: Holland's profile, and what fills in where a track does not say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinkit.contract import physics

__all__ = ["coriolis", "holland", "holland_shape", "maximum_wind_radius", "peak_wind", "pressure_drop"]

DENSITY = 1.15
"""Air density [kg/m³], as in Holland (1980)."""
KNOT = 1852 / 3600
"""[m/s]"""


def coriolis(latitude: Any) -> Any:
    """Coriolis parameter without its sign [1/s].

    >>> round(float(coriolis(20.0)) * 1e5, 2)
    4.99
    """
    return np.abs(2 * 7.292115e-5 * np.sin(np.radians(latitude)))


@physics(
    valid={"distance": (0.0, 2e7), "radius": (1e3, 5e5), "shape": (0.1, 5.0), "latitude": (-90.0, 90.0)},
    distance="m",
    radius="m",
    pressure_drop="Pa",
    latitude="degree",
    why="Holland (1980)",
)
def holland(distance: Any, *, radius: Any, shape: Any, pressure_drop: Any, latitude: Any) -> Any:
    r"""Gradient wind around the centre of a cyclone.

    .. math:: V = \sqrt{\frac{B}{\rho} x (p_n - p_c)\, e^{-x} + \frac{r^2 f^2}{4}} - \frac{r f}{2}, \quad x = (R/r)^B

    Parameters
    ----------
    distance : float or array [m]
        From the centre, r.
    radius : float or array [m]
        Of maximum wind, R.
    shape : float or array [1]
        Holland's B.
    pressure_drop : float or array [Pa]
        Ambient less central pressure.
    latitude : float or array [degree]

    Returns
    -------
    float or array [m/s]
        0 at the centre.

    Validity
    --------
    A storm without neighbours over the sea, above the layer that the ground slows. Far out Holland's wind dies too
    fast in some storms and too slowly in others.

    Errors
    ------
    TwinError
        An argument out of its range.

    Examples
    --------
    >>> round(float(holland(30e3, radius=30e3, shape=1.5, pressure_drop=5000.0, latitude=20.0)), 1)
    48.2

    References
    ----------
    G. J. Holland, An Analytic Model of the Wind and Pressure Profiles in Hurricanes, Monthly Weather Review 108, 1980,
    doi:10.1175/1520-0493(1980)108<1212:AAMOTW>2.0.CO;2, equation 5.
    """
    far = np.maximum(distance, 1.0)
    turn = far * coriolis(latitude) / 2
    with np.errstate(over="ignore", under="ignore"):
        inner = (radius / far) ** shape
        push = shape / DENSITY * pressure_drop * inner * np.exp(-inner)
    return np.sqrt(push + turn**2) - turn


def peak_wind(*, shape: Any, pressure_drop: Any) -> Any:
    r"""Largest wind of Holland's profile without the turning of the earth.

    .. math:: V_m = \sqrt{\frac{B}{\rho e}(p_n - p_c)}

    Parameters
    ----------
    shape : float or array [1]
    pressure_drop : float or array [Pa]

    Returns
    -------
    float or array [m/s]

    Examples
    --------
    >>> round(float(peak_wind(shape=1.5, pressure_drop=5000.0)), 1)
    49.0

    References
    ----------
    Holland (1980), equation 7.
    """
    return np.sqrt(np.asarray(shape) * pressure_drop / (DENSITY * math.e))


def holland_shape(radius: Any, *, latitude: Any) -> Any:
    r"""Holland's B where no pressure profile was measured.

    .. math:: B = 1.881093 - 0.010917\,|\phi| - 0.005567\,R_{km}, \quad 0.8 \le B \le 2.2

    Parameters
    ----------
    radius : float or array [m]
        Of maximum wind.
    latitude : float or array [degree]

    Returns
    -------
    float or array [1]

    Validity
    --------
    Fitted to Atlantic hurricanes.

    Examples
    --------
    >>> round(float(holland_shape(30e3, latitude=20.0)), 3)
    1.496

    References
    ----------
    M. Powell et al., State of Florida hurricane loss projection model: Atmospheric science component, Journal of Wind
    Engineering and Industrial Aerodynamics 93, 2005, doi:10.1016/j.jweia.2005.05.008.
    """
    return np.clip(1.881093 - 0.010917 * np.abs(latitude) - 0.005567 * np.asarray(radius) / 1e3, 0.8, 2.2)


@physics(valid={"wind": (0.0, 120.0), "latitude": (-90.0, 90.0)}, wind="m/s", latitude="degree")
def maximum_wind_radius(wind: Any, *, latitude: Any) -> Any:
    r"""Radius of maximum wind where a track does not give it.

    .. math:: R = 46.4\, e^{-0.0155 V_m + 0.0169 |\phi|} \text{ km}

    Parameters
    ----------
    wind : float or array [m/s]
        Largest wind of the storm.
    latitude : float or array [degree]

    Returns
    -------
    float or array [m]

    Validity
    --------
    Fitted to Atlantic and eastern Pacific storms and to the wind at flight level, a tenth above that near the sea: with
    the latter the radius comes out some 8 % too large at 50 m/s. Single storms scatter by half of it and more.

    Errors
    ------
    TwinError
        An argument out of its range.

    Examples
    --------
    >>> round(float(maximum_wind_radius(50.0, latitude=20.0)) / 1e3, 1)
    30.0

    References
    ----------
    H. E. Willoughby, R. W. R. Darling and M. E. Rahn, Parametric Representation of the Primary Hurricane Vortex, Part
    II, Monthly Weather Review 134, 2006, doi:10.1175/MWR3106.1, equation 7a.
    """
    return 46.4e3 * np.exp(-0.0155 * np.asarray(wind) + 0.0169 * np.abs(latitude))


@physics(valid={"wind": (0.0, 120.0)}, wind="m/s")
def pressure_drop(wind: Any) -> Any:
    r"""Ambient less central pressure where a track gives only the wind: the relation that IMD uses.

    .. math:: V_{kt} = 14.2 \sqrt{(p_n - p_c)_{hPa}}

    Parameters
    ----------
    wind : float or array [m/s]
        Largest wind of 3 minutes.

    Returns
    -------
    float or array [Pa]

    Validity
    --------
    North Indian Ocean; a fit to ships, aircraft and coastal stations of before 1976.

    Errors
    ------
    TwinError
        A wind out of its range.

    Examples
    --------
    >>> round(float(pressure_drop(115 * KNOT)) / 100)
    66

    References
    ----------
    D. K. Mishra and G. R. Gupta, Estimation of maximum wind speeds in tropical cyclones occurring in Indian seas,
    Indian Journal of Meteorology, Hydrology and Geophysics 27, 1976.
    """
    return (np.asarray(wind) / KNOT / 14.2) ** 2 * 100.0
