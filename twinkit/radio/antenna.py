r"""Antenna gain in a direction: isotropic, 3GPP element and sector, ITU-R F.1336 sector.

Every pattern takes the same two angles and follows the same signs:

- ``azimuth`` [degree] is measured from the boresight, clockwise when seen from above (positive to the right of
  the antenna). A bearing from north becomes one by subtracting the cell's azimuth; any multiple of 360 may stay in it.
- ``elevation`` [degree] is measured from the horizon at the antenna, positive upwards: a receiver on the ground
  that stands below the mast has a negative elevation, atan2(receiver - antenna height, ground distance).
- ``downtilt`` [degree] is positive downwards: the beam points to elevation = -downtilt.

Each public function maps a scalar kernel that other kernels may call: ``element_gain``, ``sector_gain`` and
``f1336_gain`` are compiled by Numba, release the GIL and take all parameters by position.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from twinkit.contract import physics, within
from twinkit.error import TwinError
from twinkit.radio.elementwise import mapped, over

__all__ = ["element", "element_gain", "f1336", "f1336_gain", "isotropic", "sector", "sector_gain"]


_TILTED = {"elevation": (-90.0, 90.0), "downtilt": (-90.0, 90.0)}
_BEAMS = {"horizontal_beamwidth": (0.01, 360.0), "vertical_beamwidth": (0.01, 360.0)}


@numba.njit(cache=True, nogil=True)
def wrapped(azimuth: float) -> float:
    """An angle brought to [-180, 180) degree."""
    return azimuth - 360.0 * math.floor((azimuth + 180.0) / 360.0)


@numba.njit(cache=True, nogil=True)
def tilted(azimuth: float, elevation: float, downtilt: float) -> tuple[float, float]:
    """Azimuth and elevation [degree] as an antenna sees them that is turned down as a whole by `downtilt`.

    ITU-R F.1336-5, equations (3b) and (3c). The azimuth comes from atan2, so that it keeps its sign and its
    precision near 0 and 180 degree, where an arc cosine loses both.
    """
    if downtilt == 0.0:
        return azimuth, elevation
    a, e, t = math.radians(azimuth), math.radians(elevation), math.radians(downtilt)
    ahead, aside, up = math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)
    forward = ahead * math.cos(t) - up * math.sin(t)
    above = ahead * math.sin(t) + up * math.cos(t)
    return math.degrees(math.atan2(aside, forward)), math.degrees(math.atan2(above, math.hypot(forward, aside)))


# ---------------------------------------------------------------- isotropic


@physics(gives="gain", azimuth="degree", elevation="degree")
def isotropic(azimuth: Any, elevation: Any) -> Any:
    r"""Gain of the isotropic antenna: 0 dBi everywhere.

    .. math:: G(\varphi, \theta) = 0\ \text{dBi}

    Parameters
    ----------
    azimuth, elevation : float, array or DataArray [degree]
        Direction off boresight, for its shape alone.

    Returns
    -------
    float, array or DataArray [dBi]

    Validity
    --------
    Every direction.

    Errors
    ------
    TwinError
        An angle in another unit than degree.

    Examples
    --------
    >>> isotropic([0, 120], -3)
    array([0., 0.])

    References
    ----------
    ITU-R P.341-7, section 1: the reference of dBi.
    """
    return over(lambda a, e: np.zeros(np.broadcast_shapes(a.shape, e.shape)), azimuth, elevation)


# ---------------------------------------------------------------- 3GPP


@numba.njit(cache=True, nogil=True)
def element_gain(azimuth: float, elevation: float, downtilt: float) -> float:
    """Gain [dBi] of the 3GPP element in one direction; the kernel of `element`."""
    a, e = tilted(azimuth, elevation, downtilt)
    across = 12.0 * (wrapped(a) / 65.0) ** 2
    along = 12.0 * (e / 65.0) ** 2
    return 8.0 - min(min(across, 30.0) + min(along, 30.0), 30.0)


_element = mapped(element_gain)


@physics(gives="gain", valid=_TILTED, azimuth="degree", elevation="degree", downtilt="degree")
def element(azimuth: Any, elevation: Any, *, downtilt: Any = 0.0) -> Any:
    r"""Gain of one element of a 3GPP base station array, turned down mechanically.

    .. math::
        G = 8 - \min\left(\min\left(12 (\varphi/65°)^2, 30\right) + \min\left(12 (\theta/65°)^2, 30\right), 30\right)

    Parameters
    ----------
    azimuth : float, array or DataArray [degree]
        Off boresight, clockwise positive.
    elevation : float, array or DataArray [degree]
        Above the horizon.
    downtilt : float, array or DataArray [degree]
        The whole antenna is turned down by it; the angles are rotated, not subtracted.

    Returns
    -------
    float, array or DataArray [dBi], -22 to 8

    Validity
    --------
    0.5 to 100 GHz; a macro or micro base station.

    Errors
    ------
    TwinError
        Elevation or downtilt outside -90 to 90 degree, or an angle in another unit.

    Examples
    --------
    Half the beam width off boresight is 3 dB down, to both sides; behind it 30 dB.

    >>> element([0, 32.5, -32.5, 180], 0)
    array([  8.,   5.,   5., -22.])

    Tilted by 10 degree, the beam meets a receiver 10 degree below the horizon.

    >>> round(element(0, -10, downtilt=10), 6)
    8.0

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.3-1; rotation: section 7.1.
    """
    return over(_element, azimuth, elevation, downtilt)


@numba.njit(cache=True, nogil=True)
def sector_gain(
    azimuth: float,
    elevation: float,
    downtilt: float,
    gain: float,
    horizontal_beamwidth: float,
    vertical_beamwidth: float,
    front_to_back: float,
    side_lobe: float,
) -> float:
    """Gain [dBi] of the 3GPP sector in one direction; the kernel of `sector`."""
    across = 12.0 * (wrapped(azimuth) / horizontal_beamwidth) ** 2
    along = 12.0 * ((elevation + downtilt) / vertical_beamwidth) ** 2
    return gain - min(min(across, front_to_back) + min(along, side_lobe), front_to_back)


_sector = mapped(sector_gain)


@physics(
    gives="gain",
    valid=_TILTED | _BEAMS | {"front_to_back": (0.0, 100.0), "side_lobe": (0.0, 100.0), "gain": (-30.0, 60.0)},
    azimuth="degree",
    elevation="degree",
    downtilt="degree",
    gain="dBi",
    horizontal_beamwidth="degree",
    vertical_beamwidth="degree",
)
def sector(
    azimuth: Any,
    elevation: Any,
    *,
    downtilt: Any = 0.0,
    gain: Any = 15.0,
    horizontal_beamwidth: Any = 65.0,
    vertical_beamwidth: Any = 10.0,
    front_to_back: Any = 25.0,
    side_lobe: Any = 20.0,
) -> Any:
    r"""Gain of the 3GPP three-sector base station antenna, turned down electrically.

    .. math::
        G = G_0 - \min\left(\min\left(12 \frac{\varphi^2}{\varphi_3^2}, A\right)
            + \min\left(12 \frac{(\theta + t)^2}{\theta_3^2}, S\right), A\right)

    Parameters
    ----------
    azimuth : float, array or DataArray [degree]
        Off boresight, clockwise positive.
    elevation : float, array or DataArray [degree]
        Above the horizon.
    downtilt : float, array or DataArray [degree]
        Electrical: the vertical cut is shifted by it at every azimuth.
    gain : float, array or DataArray [dBi]
        At the maximum. 15 dBi is 3GPP's macro antenna less its feeder (TR 36.942, Table 4.2).
    horizontal_beamwidth, vertical_beamwidth : float [degree]
        Between the points 3 dB below the maximum (65: TR 36.942; 10: TR 36.814).
    front_to_back, side_lobe : float [dB]
        Floors of the horizontal and of the vertical cut (25 and 20: TR 36.814).

    Returns
    -------
    float, array or DataArray [dBi], `gain` - `front_to_back` to `gain`

    Validity
    --------
    A model of the main beam; nulls between side lobes are filled, as the floors say.

    Errors
    ------
    TwinError
        Elevation or downtilt outside -90 to 90 degree, a beam width that is not positive, a negative floor,
        or an angle in another unit.

    Examples
    --------
    Signs: with the beam tilted 6 degree below the horizon, a receiver 6 degree below it gets the full gain,
    one on the horizon 12 (6/10)² = 4.32 dB less, and right and left of the boresight are alike.

    >>> sector(0, [-6, 0], downtilt=6).round(2)
    array([15.  , 10.68])
    >>> sector([-32.5, 32.5, 327.5], -6, downtilt=6)
    array([12., 12., 12.])

    References
    ----------
    3GPP TR 36.814 V9.2.0, Table A.2.1.1-2; TR 36.942 V17.0.0, section 4.2.1.
    """
    return over(
        _sector,
        azimuth,
        elevation,
        downtilt,
        gain,
        horizontal_beamwidth,
        vertical_beamwidth,
        front_to_back,
        side_lobe,
    )


# ---------------------------------------------------------------- ITU-R F.1336


@numba.njit(cache=True, nogil=True)
def _horizontal(x: float, k_h: float, floor: float) -> float:
    """Relative gain [dB] across, equations (2b2) and (2c2)."""
    if x <= 0.5:
        return max(-12.0 * x * x, floor)
    return max(-12.0 * x ** (2.0 - k_h) - 3.0 * (1.0 - 0.5**-k_h), floor)


@numba.njit(cache=True, nogil=True)
def f1336_gain(
    azimuth: float,
    elevation: float,
    mechanical_downtilt: float,
    electrical_downtilt: float,
    gain: float,
    horizontal_beamwidth: float,
    vertical_beamwidth: float,
    k: float,
    k_h: float,
    k_v: float,
    average: float,
) -> float:
    """Gain [dBi] of the F.1336 sector in one direction; the kernel of `f1336`.

    `average` is 0 for peak and 1 for average side lobes, `k` then stands for k_p or k_a.
    """
    a, e = tilted(azimuth, elevation, mechanical_downtilt)
    if electrical_downtilt != 0.0:
        e += electrical_downtilt
        e *= 90.0 / (90.0 + math.copysign(1.0, e) * electrical_downtilt)
    plateau = -12.0 - 3.0 * average
    floor = plateau + 10.0 * math.log10(1.0 + 8.0 * k) - 15.0 * math.log10(180.0 / vertical_beamwidth)

    # across
    x_h = abs(wrapped(a)) / horizontal_beamwidth
    across = _horizontal(x_h, k_h, floor)
    behind = _horizontal(180.0 / horizontal_beamwidth, k_h, floor)
    share = (across - behind) / -behind

    # along
    x_v = abs(e) / vertical_beamwidth
    edge = 90.0 / vertical_beamwidth
    x_k = math.sqrt(1.33 - 0.33 * k_v) if average > 0.5 else math.sqrt(1.0 - 0.36 * k_v)
    if x_v < x_k:
        along = -12.0 * x_v * x_v
    elif x_v < 4.0:
        along = plateau + 10.0 * math.log10(x_v**-1.5 + k_v)
    elif x_v < edge:
        # a straight line in log x from the lobe at 4 down to the floor at 90 degree (C and lambda of the text)
        start = plateau + 10.0 * math.log10(0.125 + k_v)
        along = start + (floor - start) * math.log10(x_v / 4.0) / math.log10(edge / 4.0)
    else:
        along = floor
    return gain + across + share * along


_f1336 = mapped(f1336_gain)


@physics(
    gives="gain",
    valid={
        "elevation": (-90.0, 90.0),
        "mechanical_downtilt": (-90.0, 90.0),
        "electrical_downtilt": (-89.0, 89.0),
        "gain": (0.0, 60.0),
        "horizontal_beamwidth": (0.01, 360.0),
        "k": (0.0, 1.0),
        "k_h": (0.0, 1.0),
        "k_v": (0.0, 1.0),
    },
    why="ITU-R F.1336-5",
    azimuth="degree",
    elevation="degree",
    mechanical_downtilt="degree",
    electrical_downtilt="degree",
    gain="dBi",
    horizontal_beamwidth="degree",
)
def f1336(
    azimuth: Any,
    elevation: Any,
    *,
    gain: Any,
    horizontal_beamwidth: Any,
    vertical_beamwidth: Any = None,
    side_lobes: str,
    k: Any = 0.7,
    k_h: Any = 0.8,
    k_v: Any = 0.7,
    mechanical_downtilt: Any = 0.0,
    electrical_downtilt: Any = 0.0,
) -> Any:
    r"""Gain of the ITU-R reference sector for sharing studies, with peak or average side lobes.

    .. math::
        G(\varphi, \theta) = G_0 + G_{hr}(x_h) + R\, G_{vr}(x_v),\quad
        R = \frac{G_{hr}(x_h) - G_{hr}(180°/\varphi_3)}{G_{hr}(0) - G_{hr}(180°/\varphi_3)},\quad
        x_h = |\varphi|/\varphi_3,\ x_v = |\theta|/\theta_3

    Parameters
    ----------
    azimuth : float, array or DataArray [degree]
        Off boresight, clockwise positive.
    elevation : float, array or DataArray [degree]
        Above the horizon.
    gain : float [dBi]
        At the maximum, G0.
    horizontal_beamwidth : float [degree]
        Between the points 3 dB below the maximum.
    vertical_beamwidth : float [degree], optional
        From the gain where it is not given: 31000 / (10^(G0/10) horizontal_beamwidth), equation (3a).
    side_lobes : {"peak", "average"}
        An envelope (recommends 3.1.1) or a mean for many interferers (recommends 3.1.2).
    k, k_h, k_v : float
        Relative minimum gain (k_p or k_a) and the leakage across and along: 0.7, 0.8, 0.7 for typical antennas;
        0.7, 0.7, 0.3 for those with improved side lobes.
    mechanical_downtilt, electrical_downtilt : float, array or DataArray [degree]
        The one rotates the antenna, the other squeezes the vertical cut.

    Returns
    -------
    float, array or DataArray [dBi]

    Validity
    --------
    400 MHz to 6 GHz; a vertical beam width below 22.5 degree.

    Errors
    ------
    TwinError
        A parameter outside its range, side lobes of another name, or an angle in another unit.

    Examples
    --------
    >>> f1336([0, 32.5, 180], 0, gain=18, horizontal_beamwidth=65, side_lobes="peak").round(2)
    array([18.  , 15.  , -6.46])

    References
    ----------
    ITU-R F.1336-5 (01/2019), recommends 3.1.1, 3.1.2, 3.3, 3.4 and 3.5.
    """
    if side_lobes not in ("peak", "average"):
        raise TwinError(
            "side_lobes 'peak' or 'average'",
            found=f"'{side_lobes}'",
            hint="take 'peak' for one interferer and 'average' for many",
            where="side_lobes",
        )
    if vertical_beamwidth is None:
        within(horizontal_beamwidth, 1, 120, name="horizontal_beamwidth", unit="degree", why="ITU-R F.1336-5, (3a)")
        vertical_beamwidth = 31000.0 * 10.0 ** (-0.1 * gain) / horizontal_beamwidth
    within(vertical_beamwidth, 0.01, 22.49, name="vertical_beamwidth", unit="degree", why="ITU-R F.1336-5, 3.1")
    return over(
        _f1336,
        azimuth,
        elevation,
        mechanical_downtilt,
        electrical_downtilt,
        gain,
        horizontal_beamwidth,
        vertical_beamwidth,
        k,
        k_h,
        k_v,
        float(side_lobes == "average"),
    )
