r"""What buildings and trees about an antenna add to the loss of a path that was predicted above them.

Three models of ITU-R P.2108, which exclude each other: `height_gain` knows the class and the height of the clutter
at the antenna, `terrestrial` and `earth_space` only that the antenna stands in a town, and give a distribution.
The classes are those of the twin: 1 water, 2 open, 3 suburban, 4 urban or forest, 5 dense urban.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from scipy.special import ndtri

from twinkit.contract import physics
from twinkit.radio.elementwise import mapped, over

__all__ = ["REPRESENTATIVE_HEIGHT", "clutter_above", "earth_space_clutter", "height_gain", "terrestrial_clutter"]

REPRESENTATIVE_HEIGHT = (0.0, 10.0, 10.0, 10.0, 15.0, 20.0)
"""Clutter height [m] of each class where none is known (Table 3); class 0 is unknown and adds nothing."""

_HEIGHTS = np.array(REPRESENTATIVE_HEIGHT)
WHY = "ITU-R P.2108-1"


@numba.njit(nogil=True, cache=True)
def height_gain(frequency: float, height: float, clutter: float, clutter_height: float, street_width: float) -> float:
    """Loss [dB] of an antenna `height` above ground within clutter; the kernel of `clutter_above`.

    `clutter_height` of NaN takes the representative height of the class.
    """
    kind = int(clutter)
    if kind <= 0:
        return 0.0
    top = _HEIGHTS[kind] if math.isnan(clutter_height) else clutter_height
    if height >= top:
        return 0.0
    f = frequency / 1e9
    if kind <= 2:
        return -(21.8 + 6.2 * math.log10(f)) * math.log10(height / top)
    gap = top - height
    v = 0.342 * math.sqrt(f * gap * math.degrees(math.atan(gap / street_width))) - 0.1
    return 6.9 + 20.0 * math.log10(math.sqrt(v * v + 1.0) + v) - 6.03


_height_gain = mapped(height_gain)


@physics(
    valid={"frequency": (0.03e9, 3e9), "height": (0.1, 3000.0), "clutter": (0.0, 5.0), "street_width": (1.0, 500.0)},
    why=WHY,
    frequency="Hz",
    height="m",
    clutter="1",
    clutter_height="m",
    street_width="m",
)
def clutter_above(
    height: Any, *, frequency: Any, clutter: Any, clutter_height: Any = np.nan, street_width: Any = 27.0
) -> Any:
    r"""Loss that clutter of a known class and height adds at one antenna.

    .. math::
        A = \begin{cases} J(\nu) - 6.03,\ \nu = 0.342 \sqrt{f\, \Delta h\, \theta} & \text{suburban to dense urban} \\
        -(21.8 + 6.2 \log f) \log(h / R) & \text{water and open} \end{cases}

    Parameters
    ----------
    height : float, array or DataArray [m]
        Of the antenna above ground.
    frequency : float, array or DataArray [Hz]
    clutter : int, array or DataArray
        Class 0 to 5 of the twin's surface; 0, unknown, adds nothing.
    clutter_height : float, array or DataArray [m], optional
        Representative height R; where it is NaN, that of the class (10, 10, 10, 15, 20 m).
    street_width : float, array or DataArray [m]

    Returns
    -------
    float, array or DataArray [dB]
        0 for an antenna above its clutter. Add it to a loss that was predicted to the top of the clutter.

    Validity
    --------
    0.03 to 3 GHz; either end of a path.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> clutter_above(1.5, frequency=2.6e9, clutter=np.array([2, 3, 4, 5])).round(1)
    array([20.1, 23.4, 27.2, 29.7])

    References
    ----------
    ITU-R P.2108-1 (09/2021), section 3.1, equations (1) and (2).
    """
    return over(_height_gain, frequency, height, clutter, clutter_height, street_width)


@numba.njit(nogil=True, cache=True)
def _town(frequency: float, distance: float, deviate: float) -> float:
    f = math.log10(frequency / 1e9)
    far = -2.0 * math.log10(10.0 ** (-5.0 * f - 12.5) + 10.0**-16.5)
    near = 32.98 + 23.9 * math.log10(min(distance, 2000.0) / 1000.0) + 3.0 * f
    a, b = 10.0 ** (-0.2 * far), 10.0 ** (-0.2 * near)
    return -5.0 * math.log10(a + b) + math.sqrt((16.0 * a + 36.0 * b) / (a + b)) * deviate


_terrestrial = mapped(_town)
_SHARE = {"location": (0.001, 99.999)}


@physics(
    valid=_SHARE | {"frequency": (0.5e9, 67e9), "distance": (250.0, math.inf)},
    why=WHY,
    distance="m",
    frequency="Hz",
    location="%",
)
def terrestrial_clutter(distance: Any, *, frequency: Any, location: Any = 50.0) -> Any:
    r"""Loss that a town adds at one end of a path over land, not exceeded at a share of its locations.

    .. math:: L = -5 \log\left(10^{-0.2 L_l} + 10^{-0.2 L_s}\right) - \sigma\, Q^{-1}(p)

    Parameters
    ----------
    distance : float, array or DataArray [m]
        Between the terminals; the loss no longer grows beyond 2 km.
    frequency : float, array or DataArray [Hz]
    location : float, array or DataArray [%]

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    0.5 to 67 GHz; urban and suburban; the antenna well below the roofs. 250 m or more for a correction at one end,
    1 km at both.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> terrestrial_clutter([250, 1000, 5000], frequency=4e9).round(1)
    array([20.4, 30.6, 30.9])

    References
    ----------
    ITU-R P.2108-1 (09/2021), section 3.2, equations (3) to (6).
    """
    return over(_terrestrial, frequency, distance, over(_deviate, location))


@numba.njit(nogil=True, cache=True)
def _upwards(frequency: float, elevation: float, share: float, deviate: float) -> float:
    k = 93.0 * (frequency / 1e9) ** 0.175
    angle = 0.05 * (1.0 - elevation / 90.0) + math.pi * elevation / 180.0
    # the cotangent of a right angle rounds to something below zero, of which no power can be taken
    base = max(-k * math.log1p(-share / 100.0) / math.tan(angle), 0.0)
    return base ** (0.5 * (90.0 - elevation) / 90.0) - 1.0 + 0.6 * deviate


_earth_space = mapped(_upwards)


@physics(
    valid=_SHARE | {"frequency": (10e9, 100e9), "elevation": (0.0, 90.0)},
    why=WHY,
    elevation="degree",
    frequency="Hz",
    location="%",
)
def earth_space_clutter(elevation: Any, *, frequency: Any, location: Any = 50.0) -> Any:
    r"""Loss that a town adds on a path to a satellite or an aircraft, not exceeded at a share of its locations.

    .. math::
        L = \left(-K \ln(1 - p)\, \cot\left(A (1 - \tfrac{\theta}{90}) + \tfrac{\pi\theta}{180}\right)\right)
            ^{0.5 (90 - \theta)/90} - 1 - 0.6\, Q^{-1}(p)

    Parameters
    ----------
    elevation : float, array or DataArray [degree]
        Of the platform above the horizon.
    frequency : float, array or DataArray [Hz]
    location : float, array or DataArray [%]

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    10 to 100 GHz.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> earth_space_clutter([0, 20, 90], frequency=30e9).round(1)
    array([47.3,  8. ,  0. ])

    References
    ----------
    ITU-R P.2108-1 (09/2021), section 3.3, equation (7).
    """
    return over(_earth_space, frequency, elevation, location, over(_deviate, location))


def _deviate(percent: np.ndarray) -> np.ndarray:
    """-Q^-1(p): the standard normal deviate that is not exceeded at this share of the locations."""
    return ndtri(percent / 100.0)
