r"""Rain: what a metre of it costs.

The coefficients of ITU-R P.838 are a formula of frequency, polarisation and elevation; they hold for arrays of all
three. How much falls where, the maps of ITU-R P.837 know: `twinkit.datasets.climate.rain_rate`.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from twinkit.contract import physics
from twinkit.error import TwinError
from twinkit.radio.elementwise import mapped, over

__all__ = [
    "rain_attenuation_per_metre",
    "rain_coefficients",
    "rain_exponent",
    "rain_factor",
    "tilt_of",
]

# Tables 1 to 4: a, b, c of each bump over log frequency, then slope and offset in the last row.
_K_H = np.array(
    [
        [-5.33980, -0.10008, 1.13098],
        [-0.35351, 1.26970, 0.45400],
        [-0.23789, 0.86036, 0.15354],
        [-0.94158, 0.64552, 0.16817],
        [-0.18961, 0.71147, 0.0],
    ]
)
_K_V = np.array(
    [
        [-3.80595, 0.56934, 0.81061],
        [-3.44965, -0.22911, 0.51059],
        [-0.39902, 0.73042, 0.11899],
        [0.50167, 1.07319, 0.27195],
        [-0.16398, 0.63297, 0.0],
    ]
)
_ALPHA_H = np.array(
    [
        [-0.14318, 1.82442, -0.55187],
        [0.29591, 0.77564, 0.19822],
        [0.32177, 0.63773, 0.13164],
        [-5.37610, -0.96230, 1.47828],
        [16.1721, -3.29980, 3.43990],
        [0.67849, -1.95537, 0.0],
    ]
)
_ALPHA_V = np.array(
    [
        [-0.07771, 2.33840, -0.76284],
        [0.56727, 0.95545, 0.54039],
        [-0.20238, 1.14520, 0.26809],
        [-48.2991, 0.791669, 0.116226],
        [48.5833, 0.791459, 0.116479],
        [-0.053739, 0.83433, 0.0],
    ]
)

TILT = {"horizontal": 0.0, "vertical": 90.0, "circular": 45.0}
VALID = {"frequency": (1e9, 1000e9), "elevation": (-90.0, 90.0), "tilt": (0.0, 90.0)}


def tilt_of(polarisation: str) -> float:
    """Tilt [degree] of the polarisation from the horizon: 0 horizontal, 90 vertical, 45 circular.

    >>> tilt_of("vertical")
    90.0
    """
    try:
        return TILT[polarisation]
    except (KeyError, TypeError):
        raise TwinError(
            f"a polarisation among {', '.join(TILT)}",
            found=repr(polarisation),
            hint="choose one of them",
            where="polarisation",
        ) from None


@numba.njit(nogil=True, cache=True)
def _bumps(table: np.ndarray, log: float) -> float:
    last = table.shape[0] - 1
    total = table[last, 0] * log + table[last, 1]
    for j in range(last):
        total += table[j, 0] * math.exp(-(((log - table[j, 1]) / table[j, 2]) ** 2))
    return total


@numba.njit(nogil=True, cache=True)
def rain_factor(frequency: float, elevation: float, tilt: float) -> float:
    """The factor k of P.838 [dB/km over (mm/h)^alpha]; equation (4)."""
    log = math.log10(frequency / 1e9)
    k_h, k_v = 10.0 ** _bumps(_K_H, log), 10.0 ** _bumps(_K_V, log)
    turn = math.cos(math.radians(elevation)) ** 2 * math.cos(2.0 * math.radians(tilt))
    return 0.5 * (k_h + k_v + (k_h - k_v) * turn)


@numba.njit(nogil=True, cache=True)
def rain_exponent(frequency: float, elevation: float, tilt: float) -> float:
    """The exponent alpha of P.838 [1]; equation (5)."""
    log = math.log10(frequency / 1e9)
    k_h, k_v = 10.0 ** _bumps(_K_H, log), 10.0 ** _bumps(_K_V, log)
    a_h, a_v = _bumps(_ALPHA_H, log), _bumps(_ALPHA_V, log)
    turn = math.cos(math.radians(elevation)) ** 2 * math.cos(2.0 * math.radians(tilt))
    return (k_h * a_h + k_v * a_v + (k_h * a_h - k_v * a_v) * turn) / (k_h + k_v + (k_h - k_v) * turn)


@numba.njit(nogil=True, cache=True)
def _specific(rate: float, frequency: float, elevation: float, tilt: float) -> float:
    if rate <= 0.0:
        return 0.0
    return rain_factor(frequency, elevation, tilt) * rate ** rain_exponent(frequency, elevation, tilt) / 1000.0


_factor, _exponent, _loss = mapped(rain_factor), mapped(rain_exponent), mapped(_specific)


@physics(valid=VALID, why="ITU-R P.838-3", frequency="Hz", elevation="degree", tilt="degree")
def rain_coefficients(frequency: Any, *, elevation: Any = 0.0, tilt: Any) -> tuple[Any, Any]:
    r"""Factor and exponent of the power law between rain rate and attenuation.

    .. math:: k = \tfrac{1}{2}\left(k_H + k_V + (k_H - k_V) \cos^2\theta \cos 2\tau\right)

    Parameters
    ----------
    frequency : float, array or DataArray [Hz]
    elevation : float, array or DataArray [degree]
        Of the path; 0 for a link over land.
    tilt : float, array or DataArray [degree]
        Of the polarisation: 0 horizontal, 90 vertical, 45 circular.

    Returns
    -------
    tuple of float, array or DataArray
        k [dB/km for 1 mm/h] and alpha [1].

    Validity
    --------
    1 to 1000 GHz.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> k, alpha = rain_coefficients([10e9, 38e9], tilt=90)
    >>> k.round(5), alpha.round(4)
    (array([0.01129, 0.3844 ]), array([1.2156, 0.8552]))

    References
    ----------
    ITU-R P.838-3 (03/2005), equations (2) to (5).
    """
    return over(_factor, frequency, elevation, tilt), over(_exponent, frequency, elevation, tilt)


@physics(
    valid=VALID | {"rain_rate": (0.0, 500.0)},
    why="ITU-R P.838-3",
    rain_rate="mm/h",
    frequency="Hz",
    elevation="degree",
    tilt="degree",
)
def rain_attenuation_per_metre(rain_rate: Any, *, frequency: Any, elevation: Any = 0.0, tilt: Any) -> Any:
    r"""Attenuation by a metre of rain.

    .. math:: \gamma = k R^\alpha

    Parameters
    ----------
    rain_rate : float, array or DataArray [mm/h]
    frequency : float, array or DataArray [Hz]
    elevation : float, array or DataArray [degree]
        Of the path; 0 for a link over land.
    tilt : float, array or DataArray [degree]
        Of the polarisation: 0 horizontal, 90 vertical, 45 circular.

    Returns
    -------
    float, array or DataArray [dB/m]

    Validity
    --------
    1 to 1000 GHz.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    A tropical downpour costs 20 dB a kilometre at 38 GHz and 3 dB at 10 GHz:

    >>> (1000 * rain_attenuation_per_metre(100, frequency=np.array([10e9, 38e9]), tilt=90)).round(1)
    array([ 3. , 19.7])

    References
    ----------
    ITU-R P.838-3 (03/2005), equation (1).
    """
    return over(_loss, rain_rate, frequency, elevation, tilt)
