r"""3GPP TR 38.901 within an office (InH): loss with and without line of sight, its probability, and their mean."""

from __future__ import annotations

import math
from typing import Any

import numba

from twinkit.contract import physics
from twinkit.error import TwinError
from twinkit.radio.elementwise import mapped, over

__all__ = ["inh", "inh_los", "inh_los_probability", "inh_nlos"]

OFFICES = ("mixed", "open")
_VALID = {"distance": (1.0, 150.0), "frequency": (0.5e9, 100e9)}
_WHY = "TR 38.901, Table 7.4.1-1"


@numba.njit(nogil=True, cache=True)
def inh_los_loss(distance: float, frequency: float) -> float:
    """Loss [dB] with line of sight; the kernel of `inh_los`."""
    return 32.4 + 17.3 * math.log10(distance) + 20.0 * math.log10(frequency / 1e9)


@numba.njit(nogil=True, cache=True)
def inh_nlos_loss(distance: float, frequency: float) -> float:
    """Loss [dB] without line of sight; the kernel of `inh_nlos`."""
    loss = 17.30 + 38.3 * math.log10(distance) + 24.9 * math.log10(frequency / 1e9)
    return max(inh_los_loss(distance, frequency), loss)


@numba.njit(nogil=True, cache=True)
def inh_sight(ground_distance: float, is_open: float) -> float:
    """Probability of line of sight; the kernel of `inh_los_probability`."""
    d = ground_distance
    if is_open > 0.5:
        if d <= 5.0:
            return 1.0
        return math.exp(-(d - 5.0) / 70.8) if d <= 49.0 else 0.54 * math.exp(-(d - 49.0) / 211.7)
    if d <= 1.2:
        return 1.0
    return math.exp(-(d - 1.2) / 4.7) if d < 6.5 else 0.32 * math.exp(-(d - 6.5) / 32.6)


@numba.njit(nogil=True, cache=True)
def inh_mean_loss(distance: float, ground_distance: float, frequency: float, is_open: float) -> float:
    """Mean of the two losses [dB]; the kernel of `inh`."""
    p = inh_sight(ground_distance, is_open)
    return p * inh_los_loss(distance, frequency) + (1.0 - p) * inh_nlos_loss(distance, frequency)


_los, _nlos, _sight, _mean = mapped(inh_los_loss), mapped(inh_nlos_loss), mapped(inh_sight), mapped(inh_mean_loss)


def _open(office: str) -> float:
    if office in OFFICES:
        return float(office == "open")
    raise TwinError(
        "an office 'mixed' or 'open'", found=repr(office), hint="open is without partitions", where="office"
    )


@physics(gives="path_loss", valid=_VALID, why=_WHY, distance="m", frequency="Hz")
def inh_los(distance: Any, *, frequency: Any) -> Any:
    r"""Path loss in an office with line of sight.

    .. math:: L = 32.4 + 17.3 \log d + 20 \log f

    with f in GHz and d in m.

    Parameters
    ----------
    distance : float, array or DataArray [m]
        Between the antennas.
    frequency : float, array or DataArray [Hz]

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    1 to 150 m; 0.5 to 100 GHz.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> inh_los([1, 10, 100], frequency=1e9).round(1)
    array([32.4, 49.7, 67. ])

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1.
    """
    return over(_los, distance, frequency)


@physics(gives="path_loss", valid=_VALID, why=_WHY, distance="m", frequency="Hz")
def inh_nlos(distance: Any, *, frequency: Any) -> Any:
    r"""Path loss in an office without line of sight.

    .. math:: L = \max\left(L_{LOS},\ 17.3 + 38.3 \log d + 24.9 \log f\right)

    Parameters, returns, validity and errors as for `inh_los`.

    Examples
    --------
    >>> inh_nlos([1, 10, 100], frequency=1e9).round(1)
    array([32.4, 55.6, 93.9])

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1.
    """
    return over(_nlos, distance, frequency)


@physics(valid={"ground_distance": (0.0, math.inf)}, why="TR 38.901, Table 7.4.2-1", ground_distance="m")
def inh_los_probability(ground_distance: Any, *, office: str) -> Any:
    r"""Probability of line of sight within an office.

    .. math::
        p = \begin{cases} 1 & d \le 1.2 \\ e^{-(d - 1.2)/4.7} & d < 6.5 \\ 0.32\, e^{-(d - 6.5)/32.6} & \text{beyond}
        \end{cases}

    in a mixed office; an open one has 5, 70.8, 49, 0.54 and 211.7 m.

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]
    office : {"mixed", "open"}

    Returns
    -------
    float, array or DataArray [1]

    Validity
    --------
    An antenna at the ceiling, 3 m high.

    Errors
    ------
    TwinError
        A negative distance, or an office of another name.

    Examples
    --------
    >>> inh_los_probability([1, 5, 20], office="mixed").round(3), inh_los_probability(20, office="open")
    (array([1.   , 0.446, 0.211]), 0.80907...)

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.2-1.
    """
    return over(_sight, ground_distance, _open(office))


@physics(
    gives="path_loss",
    valid=_VALID | {"ground_distance": (0.0, 150.0)},
    why=_WHY,
    distance="m",
    ground_distance="m",
    frequency="Hz",
)
def inh(distance: Any, *, ground_distance: Any, frequency: Any, office: str = "mixed") -> Any:
    r"""Mean path loss within an office: both losses [dB] weighted with the probability of line of sight.

    .. math:: L = p L_{LOS} + (1 - p) L_{NLOS}

    Parameters
    ----------
    distance, ground_distance : float, array or DataArray [m]
        Between the antennas, and along the floor.
    frequency : float, array or DataArray [Hz]
    office : {"mixed", "open"}

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    As `inh_los`.

    Errors
    ------
    TwinError
        A value outside its range, an office of another name, or another unit.

    Examples
    --------
    >>> inh([2.5, 20.0], ground_distance=[2.0, 19.9], frequency=3.5e9).round(1)
    array([50.2, 77.5])

    References
    ----------
    3GPP TR 38.901 V17.0.0, Tables 7.4.1-1 and 7.4.2-1.
    """
    return over(_mean, distance, ground_distance, frequency, _open(office))
