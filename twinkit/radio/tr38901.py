r"""3GPP TR 38.901: path loss outdoors in the urban macro, urban micro and rural macro scenarios.

Each scenario has the loss with line of sight (``uma_los``), without (``uma_nlos``), the probability of line of
sight (``uma_los_probability``), and the mean of the two losses in dB under that probability (``uma``). Shadowing
is apart. The scalar kernels, ``uma_los_loss`` and so on, are compiled and may be called by other kernels.

The table fixes the base station at 25 m (UMa) and 10 m (UMi). Other heights enter the equations through the
distance and the breakpoint alone; the range in which they are accepted here is stated with each function, and
a map that uses them says so.
"""

from __future__ import annotations

import math
from typing import Any

import numba

from twinkit.contract import physics
from twinkit.radio.elementwise import mapped, over

__all__ = [
    "rma",
    "rma_los",
    "rma_los_probability",
    "rma_nlos",
    "uma",
    "uma_los",
    "uma_los_probability",
    "uma_nlos",
    "umi",
    "umi_los",
    "umi_los_probability",
    "umi_nlos",
]

SPEED_OF_LIGHT = 3.0e8
"""As the report rounds it, Table 7.4.1-1, Note 1 [m/s]."""

ENVIRONMENT_HEIGHT = 1.0
"""Effective environment height for a receiver below 13 m, Note 1 [m]."""

TABLE = "TR 38.901, Table 7.4.1-1"
METRES = {"ground_distance": "m", "transmitter_height": "m", "receiver_height": "m"}
UMA = {"frequency": (0.5e9, 100e9), "transmitter_height": (10.0, 150.0), "receiver_height": (1.5, 13.0)}
UMI = {"frequency": (0.5e9, 100e9), "transmitter_height": (3.0, 25.0), "receiver_height": (1.5, 22.5)}
RMA = {"frequency": (0.5e9, 30e9), "transmitter_height": (10.0, 150.0), "receiver_height": (1.0, 10.0)}
RMA |= {"building_height": (5.0, 50.0), "street_width": (5.0, 50.0)}
TO_5_KM = {"ground_distance": (10.0, 5_000.0)}
TO_10_KM = {"ground_distance": (10.0, 10_000.0)}


# ---------------------------------------------------------------- kernels: metres and hertz in, dB out


@numba.njit(cache=True, nogil=True)
def breakpoint_distance(frequency: float, transmitter_height: float, receiver_height: float) -> float:
    """d'_BP of UMa and UMi [m], Note 1."""
    above = (transmitter_height - ENVIRONMENT_HEIGHT) * (receiver_height - ENVIRONMENT_HEIGHT)
    return 4.0 * above * frequency / SPEED_OF_LIGHT


@numba.njit(cache=True, nogil=True)
def uma_los_loss(ground_distance: float, frequency: float, transmitter_height: float, receiver_height: float) -> float:
    """Loss [dB] of UMa with line of sight: PL1 and PL2."""
    drop = transmitter_height - receiver_height
    squared = ground_distance * ground_distance + drop * drop
    bend = breakpoint_distance(frequency, transmitter_height, receiver_height)
    base = 28.0 + 20.0 * math.log10(frequency * 1e-9)
    if ground_distance <= bend:
        return base + 11.0 * math.log10(squared)
    return base + 20.0 * math.log10(squared) - 9.0 * math.log10(bend * bend + drop * drop)


@numba.njit(cache=True, nogil=True)
def uma_nlos_loss(ground_distance: float, frequency: float, transmitter_height: float, receiver_height: float) -> float:
    """Loss [dB] of UMa without line of sight."""
    drop = transmitter_height - receiver_height
    squared = ground_distance * ground_distance + drop * drop
    blocked = 13.54 + 19.54 * math.log10(squared) + 20.0 * math.log10(frequency * 1e-9) - 0.6 * (receiver_height - 1.5)
    return max(uma_los_loss(ground_distance, frequency, transmitter_height, receiver_height), blocked)


@numba.njit(cache=True, nogil=True)
def uma_sight(ground_distance: float, receiver_height: float) -> float:
    """Probability of line of sight in UMa."""
    if ground_distance <= 18.0:
        return 1.0
    near = 18.0 / ground_distance
    chance = near + math.exp(-ground_distance / 63.0) * (1.0 - near)
    if receiver_height > 13.0:
        lift = ((receiver_height - 13.0) / 10.0) ** 1.5
        chance *= 1.0 + lift * 1.25 * (ground_distance / 100.0) ** 3 * math.exp(-ground_distance / 150.0)
    return chance


@numba.njit(cache=True, nogil=True)
def uma_mean_loss(ground_distance: float, frequency: float, transmitter_height: float, receiver_height: float) -> float:
    """Mean loss [dB] of UMa over the probability of line of sight."""
    sight = uma_sight(ground_distance, receiver_height)
    seen = uma_los_loss(ground_distance, frequency, transmitter_height, receiver_height)
    unseen = uma_nlos_loss(ground_distance, frequency, transmitter_height, receiver_height)
    return sight * seen + (1.0 - sight) * unseen


@numba.njit(cache=True, nogil=True)
def umi_los_loss(ground_distance: float, frequency: float, transmitter_height: float, receiver_height: float) -> float:
    """Loss [dB] of UMi with line of sight: PL1 and PL2."""
    drop = transmitter_height - receiver_height
    squared = ground_distance * ground_distance + drop * drop
    bend = breakpoint_distance(frequency, transmitter_height, receiver_height)
    base = 32.4 + 20.0 * math.log10(frequency * 1e-9)
    if ground_distance <= bend:
        return base + 10.5 * math.log10(squared)
    return base + 20.0 * math.log10(squared) - 9.5 * math.log10(bend * bend + drop * drop)


@numba.njit(cache=True, nogil=True)
def umi_nlos_loss(ground_distance: float, frequency: float, transmitter_height: float, receiver_height: float) -> float:
    """Loss [dB] of UMi without line of sight."""
    drop = transmitter_height - receiver_height
    squared = ground_distance * ground_distance + drop * drop
    blocked = 22.4 + 17.65 * math.log10(squared) + 21.3 * math.log10(frequency * 1e-9) - 0.3 * (receiver_height - 1.5)
    return max(umi_los_loss(ground_distance, frequency, transmitter_height, receiver_height), blocked)


@numba.njit(cache=True, nogil=True)
def umi_sight(ground_distance: float) -> float:
    """Probability of line of sight in UMi."""
    if ground_distance <= 18.0:
        return 1.0
    near = 18.0 / ground_distance
    return near + math.exp(-ground_distance / 36.0) * (1.0 - near)


@numba.njit(cache=True, nogil=True)
def umi_mean_loss(ground_distance: float, frequency: float, transmitter_height: float, receiver_height: float) -> float:
    """Mean loss [dB] of UMi over the probability of line of sight."""
    sight = umi_sight(ground_distance)
    seen = umi_los_loss(ground_distance, frequency, transmitter_height, receiver_height)
    unseen = umi_nlos_loss(ground_distance, frequency, transmitter_height, receiver_height)
    return sight * seen + (1.0 - sight) * unseen


@numba.njit(cache=True, nogil=True)
def _rma_near(distance: float, frequency: float, building_height: float) -> float:
    """PL1 of RMa [dB] at a straight-line distance [m]."""
    rough = building_height**1.72
    return (
        20.0 * math.log10(40.0 * math.pi * distance * frequency * 1e-9 / 3.0)
        + min(0.03 * rough, 10.0) * math.log10(distance)
        - min(0.044 * rough, 14.77)
        + 0.002 * math.log10(building_height) * distance
    )


@numba.njit(cache=True, nogil=True)
def rma_los_loss(
    ground_distance: float, frequency: float, transmitter_height: float, receiver_height: float, building_height: float
) -> float:
    """Loss [dB] of RMa with line of sight: PL1 and PL2.

    PL1(d_BP) is read as PL1 where the ground distance is d_BP, as other codes do; the slant distance equal to d_BP
    would differ by some hundredths of a dB at most.
    """
    drop = transmitter_height - receiver_height
    distance = math.hypot(ground_distance, drop)
    bend = 2.0 * math.pi * transmitter_height * receiver_height * frequency / SPEED_OF_LIGHT
    if ground_distance <= bend:
        return _rma_near(distance, frequency, building_height)
    at_bend = _rma_near(math.hypot(bend, drop), frequency, building_height)
    return at_bend + 40.0 * math.log10(distance / bend)


@numba.njit(cache=True, nogil=True)
def rma_nlos_loss(
    ground_distance: float,
    frequency: float,
    transmitter_height: float,
    receiver_height: float,
    building_height: float,
    street_width: float,
) -> float:
    """Loss [dB] of RMa without line of sight."""
    distance = math.hypot(ground_distance, transmitter_height - receiver_height)
    blocked = (
        161.04
        - 7.1 * math.log10(street_width)
        + 7.5 * math.log10(building_height)
        - (24.37 - 3.7 * (building_height / transmitter_height) ** 2) * math.log10(transmitter_height)
        + (43.42 - 3.1 * math.log10(transmitter_height)) * (math.log10(distance) - 3.0)
        + 20.0 * math.log10(frequency * 1e-9)
        - (3.2 * math.log10(11.75 * receiver_height) ** 2 - 4.97)
    )
    seen = rma_los_loss(ground_distance, frequency, transmitter_height, receiver_height, building_height)
    return max(seen, blocked)


@numba.njit(cache=True, nogil=True)
def rma_sight(ground_distance: float) -> float:
    """Probability of line of sight in RMa."""
    return 1.0 if ground_distance <= 10.0 else math.exp(-(ground_distance - 10.0) / 1000.0)


@numba.njit(cache=True, nogil=True)
def rma_mean_loss(
    ground_distance: float,
    frequency: float,
    transmitter_height: float,
    receiver_height: float,
    building_height: float,
    street_width: float,
) -> float:
    """Mean loss [dB] of RMa over the probability of line of sight."""
    sight = rma_sight(ground_distance)
    seen = rma_los_loss(ground_distance, frequency, transmitter_height, receiver_height, building_height)
    unseen = rma_nlos_loss(
        ground_distance, frequency, transmitter_height, receiver_height, building_height, street_width
    )
    return sight * seen + (1.0 - sight) * unseen


_uma_los, _uma_nlos, _uma = mapped(uma_los_loss), mapped(uma_nlos_loss), mapped(uma_mean_loss)
_umi_los, _umi_nlos, _umi = mapped(umi_los_loss), mapped(umi_nlos_loss), mapped(umi_mean_loss)
_rma_los, _rma_nlos, _rma = mapped(rma_los_loss), mapped(rma_nlos_loss), mapped(rma_mean_loss)
_uma_sight, _umi_sight, _rma_sight = mapped(uma_sight), mapped(umi_sight), mapped(rma_sight)


# ---------------------------------------------------------------- urban macro


@physics(gives="path_loss", valid=TO_5_KM | UMA, why=TABLE, grows_with="ground_distance", frequency="Hz", **METRES)
def uma_los(ground_distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any) -> Any:
    r"""Path loss in the urban macro scenario with line of sight.

    .. math::
        L = \begin{cases}
        28 + 22 \log d + 20 \log f & d_{2D} \le d'_{BP} \\
        28 + 40 \log d + 20 \log f - 9 \log\left(d'^2_{BP} + (h_t - h_r)^2\right) & d_{2D} > d'_{BP}
        \end{cases},\quad d'_{BP} = 4 (h_t - 1)(h_r - 1) f / c

    with f in GHz and the straight-line distance d over flat ground in m.

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]
    frequency : float, array or DataArray [Hz]
    transmitter_height, receiver_height : float, array or DataArray [m]
        Above ground.

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    10 m to 5 km; 0.5 to 100 GHz; receiver from 1.5 to 13 m (above it the environment height is random).
    The table's base station stands at 25 m; 10 to 150 m is accepted.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    The breakpoint at 3.5 GHz is 560 m: doubling the distance costs 6.6 dB before it and 12 dB beyond.

    >>> near = uma_los([200, 400], frequency=3.5e9, transmitter_height=25, receiver_height=1.5)
    >>> far = uma_los([2000, 4000], frequency=3.5e9, transmitter_height=25, receiver_height=1.5)
    >>> near.round(1), far.round(1)
    (array([89.6, 96.1]), array([121.4, 133.5]))

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1. Rows of tests/published.csv: twinkit.radio.uma_los.
    """
    return over(_uma_los, ground_distance, frequency, transmitter_height, receiver_height)


@physics(gives="path_loss", valid=TO_5_KM | UMA, why=TABLE, grows_with="ground_distance", frequency="Hz", **METRES)
def uma_nlos(ground_distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any) -> Any:
    r"""Path loss in the urban macro scenario without line of sight.

    .. math:: L = \max\left(L_{LOS},\ 13.54 + 39.08 \log d + 20 \log f - 0.6 (h_r - 1.5)\right)

    Parameters, returns, validity and errors as for `uma_los`.

    Examples
    --------
    >>> round(uma_nlos(1000, frequency=1e9, transmitter_height=25, receiver_height=1.5), 2)
    130.78

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1. Rows of tests/published.csv: twinkit.radio.uma_nlos.
    """
    return over(_uma_nlos, ground_distance, frequency, transmitter_height, receiver_height)


@physics(
    valid={"ground_distance": (0.0, math.inf), "receiver_height": (0.0, 23.0)},
    why="TR 38.901, Table 7.4.2-1",
    ground_distance="m",
    receiver_height="m",
)
def uma_los_probability(ground_distance: Any, *, receiver_height: Any) -> Any:
    r"""Probability of line of sight in the urban macro scenario.

    .. math::
        p = \left(\tfrac{18}{d} + e^{-d/63} (1 - \tfrac{18}{d})\right)
            \left(1 + C' \tfrac{5}{4} (\tfrac{d}{100})^3 e^{-d/150}\right),\quad
        C' = \left(\max(h_r - 13, 0)/10\right)^{1.5},\qquad p = 1\ (d \le 18)

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]
    receiver_height : float, array or DataArray [m]

    Returns
    -------
    float, array or DataArray [1]

    Validity
    --------
    Outdoor receivers up to 23 m.

    Errors
    ------
    TwinError
        A negative distance, or a receiver above 23 m.

    Examples
    --------
    >>> uma_los_probability([10, 100, 1000], receiver_height=1.5).round(3)
    array([1.   , 0.348, 0.018])

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.2-1.
    """
    return over(_uma_sight, ground_distance, receiver_height)


@physics(gives="path_loss", valid=TO_5_KM | UMA, why=TABLE, grows_with="ground_distance", frequency="Hz", **METRES)
def uma(ground_distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any) -> Any:
    r"""Mean path loss in the urban macro scenario, in dB, over the probability of line of sight.

    .. math:: L = p\, L_{LOS} + (1 - p)\, L_{NLOS}

    It is the mean of the decibels, the level about which the losses of many receivers at this distance scatter;
    the mean of the powers would be higher. Shadowing is not in it.

    Parameters, returns, validity and errors as for `uma_los`.

    Examples
    --------
    >>> round(uma(1000, frequency=3.5e9, transmitter_height=25, receiver_height=1.5), 2)
    141.09

    References
    ----------
    3GPP TR 38.901 V17.0.0, Tables 7.4.1-1 and 7.4.2-1. Rows of tests/published.csv: twinkit.radio.uma.
    """
    return over(_uma, ground_distance, frequency, transmitter_height, receiver_height)


# ---------------------------------------------------------------- urban micro, street canyon


@physics(gives="path_loss", valid=TO_5_KM | UMI, why=TABLE, grows_with="ground_distance", frequency="Hz", **METRES)
def umi_los(ground_distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any) -> Any:
    r"""Path loss in the urban micro scenario (street canyon) with line of sight.

    .. math::
        L = \begin{cases}
        32.4 + 21 \log d + 20 \log f & d_{2D} \le d'_{BP} \\
        32.4 + 40 \log d + 20 \log f - 9.5 \log\left(d'^2_{BP} + (h_t - h_r)^2\right) & d_{2D} > d'_{BP}
        \end{cases},\quad d'_{BP} = 4 (h_t - 1)(h_r - 1) f / c

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]
    frequency : float, array or DataArray [Hz]
    transmitter_height, receiver_height : float, array or DataArray [m]
        Above ground.

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    10 m to 5 km; 0.5 to 100 GHz; receiver from 1.5 to 22.5 m. The table's base station stands at 10 m, below the
    roofs; 3 to 25 m is accepted.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> round(umi_los(20, frequency=1e9, transmitter_height=10, receiver_height=1.5), 2)
    60.48

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1. Rows of tests/published.csv: twinkit.radio.umi_los.
    """
    return over(_umi_los, ground_distance, frequency, transmitter_height, receiver_height)


@physics(gives="path_loss", valid=TO_5_KM | UMI, why=TABLE, grows_with="ground_distance", frequency="Hz", **METRES)
def umi_nlos(ground_distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any) -> Any:
    r"""Path loss in the urban micro scenario (street canyon) without line of sight.

    .. math:: L = \max\left(L_{LOS},\ 22.4 + 35.3 \log d + 21.3 \log f - 0.3 (h_r - 1.5)\right)

    Parameters, returns, validity and errors as for `umi_los`.

    Examples
    --------
    >>> round(umi_nlos(1000, frequency=1e9, transmitter_height=10, receiver_height=1.5), 2)
    128.3

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1. Rows of tests/published.csv: twinkit.radio.umi_nlos.
    """
    return over(_umi_nlos, ground_distance, frequency, transmitter_height, receiver_height)


@physics(valid={"ground_distance": (0.0, math.inf)}, why="TR 38.901, Table 7.4.2-1", ground_distance="m")
def umi_los_probability(ground_distance: Any) -> Any:
    r"""Probability of line of sight in the urban micro scenario (street canyon).

    .. math:: p = \tfrac{18}{d} + e^{-d/36} (1 - \tfrac{18}{d}),\qquad p = 1\ (d \le 18)

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]

    Returns
    -------
    float, array or DataArray [1]

    Errors
    ------
    TwinError
        A negative distance.

    Examples
    --------
    >>> umi_los_probability([10, 100, 1000]).round(3)
    array([1.   , 0.231, 0.018])

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.2-1.
    """
    return over(_umi_sight, ground_distance)


@physics(gives="path_loss", valid=TO_5_KM | UMI, why=TABLE, grows_with="ground_distance", frequency="Hz", **METRES)
def umi(ground_distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any) -> Any:
    r"""Mean path loss in the urban micro scenario, in dB, over the probability of line of sight.

    .. math:: L = p\, L_{LOS} + (1 - p)\, L_{NLOS}

    Parameters, returns, validity and errors as for `umi_los`; what is averaged, as for `uma`.

    Examples
    --------
    >>> round(umi(200, frequency=3.5e9, transmitter_height=10, receiver_height=1.5), 2)
    113.02

    References
    ----------
    3GPP TR 38.901 V17.0.0, Tables 7.4.1-1 and 7.4.2-1. Rows of tests/published.csv: twinkit.radio.umi.
    """
    return over(_umi, ground_distance, frequency, transmitter_height, receiver_height)


# ---------------------------------------------------------------- rural macro


@physics(
    gives="path_loss",
    valid=TO_10_KM | {k: v for k, v in RMA.items() if k != "street_width"},
    why=TABLE,
    grows_with="ground_distance",
    frequency="Hz",
    building_height="m",
    **METRES,
)
def rma_los(
    ground_distance: Any, *, frequency: Any, transmitter_height: Any, receiver_height: Any, building_height: Any = 5.0
) -> Any:
    r"""Path loss in the rural macro scenario with line of sight.

    .. math::
        L_1(d) &= 20 \log(40 \pi d f / 3) + \min(0.03 h^{1.72}, 10) \log d - \min(0.044 h^{1.72}, 14.77)
            + 0.002\, d \log h \\
        L &= \begin{cases} L_1(d) & d_{2D} \le d_{BP} \\ L_1(d_{BP}) + 40 \log(d / d_{BP}) & d_{2D} > d_{BP}
            \end{cases},\quad d_{BP} = 2 \pi h_t h_r f / c

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]
    frequency : float, array or DataArray [Hz]
    transmitter_height, receiver_height : float, array or DataArray [m]
        Above ground.
    building_height : float, array or DataArray [m]
        Mean height of buildings; 5 m is the table's own default.

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    10 m to 10 km; 0.5 to 30 GHz; base station from 10 to 150 m, receiver from 1 to 10 m, buildings from 5 to 50 m.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> round(rma_los(1000, frequency=1e9, transmitter_height=35, receiver_height=1.5), 2)
    94.58

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1. Rows of tests/published.csv: twinkit.radio.rma_los.
    """
    return over(_rma_los, ground_distance, frequency, transmitter_height, receiver_height, building_height)


@physics(
    gives="path_loss",
    valid=TO_5_KM | RMA,
    why=TABLE,
    grows_with="ground_distance",
    frequency="Hz",
    building_height="m",
    street_width="m",
    **METRES,
)
def rma_nlos(
    ground_distance: Any,
    *,
    frequency: Any,
    transmitter_height: Any,
    receiver_height: Any,
    building_height: Any = 5.0,
    street_width: Any = 20.0,
) -> Any:
    r"""Path loss in the rural macro scenario without line of sight.

    .. math::
        L = \max\big(L_{LOS},\ &161.04 - 7.1 \log W + 7.5 \log h - (24.37 - 3.7 (h/h_t)^2) \log h_t \\
            &+ (43.42 - 3.1 \log h_t)(\log d - 3) + 20 \log f - (3.2 (\log 11.75 h_r)^2 - 4.97)\big)

    Parameters
    ----------
    ground_distance, frequency, transmitter_height, receiver_height, building_height
        As for `rma_los`.
    street_width : float, array or DataArray [m]
        Mean width of streets; 20 m is the table's own default.

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    As for `rma_los`, but to 5 km; streets from 5 to 50 m.

    Errors
    ------
    TwinError
        A value outside its range, or in another unit.

    Examples
    --------
    >>> round(rma_nlos(1000, frequency=1e9, transmitter_height=35, receiver_height=1.5), 2)
    119.54

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.1-1. Rows of tests/published.csv: twinkit.radio.rma_nlos.
    """
    return over(
        _rma_nlos, ground_distance, frequency, transmitter_height, receiver_height, building_height, street_width
    )


@physics(valid={"ground_distance": (0.0, math.inf)}, why="TR 38.901, Table 7.4.2-1", ground_distance="m")
def rma_los_probability(ground_distance: Any) -> Any:
    r"""Probability of line of sight in the rural macro scenario.

    .. math:: p = e^{-(d - 10)/1000},\qquad p = 1\ (d \le 10)

    Parameters
    ----------
    ground_distance : float, array or DataArray [m]

    Returns
    -------
    float, array or DataArray [1]

    Errors
    ------
    TwinError
        A negative distance.

    Examples
    --------
    >>> rma_los_probability([10, 1010]).round(3)
    array([1.   , 0.368])

    References
    ----------
    3GPP TR 38.901 V17.0.0, Table 7.4.2-1.
    """
    return over(_rma_sight, ground_distance)


@physics(
    gives="path_loss",
    valid=TO_5_KM | RMA,
    why=TABLE,
    grows_with="ground_distance",
    frequency="Hz",
    building_height="m",
    street_width="m",
    **METRES,
)
def rma(
    ground_distance: Any,
    *,
    frequency: Any,
    transmitter_height: Any,
    receiver_height: Any,
    building_height: Any = 5.0,
    street_width: Any = 20.0,
) -> Any:
    r"""Mean path loss in the rural macro scenario, in dB, over the probability of line of sight.

    .. math:: L = p\, L_{LOS} + (1 - p)\, L_{NLOS}

    Parameters, returns, validity and errors as for `rma_nlos`; what is averaged, as for `uma`.

    Examples
    --------
    >>> round(rma(1000, frequency=7e8, transmitter_height=35, receiver_height=1.5), 2)
    107.88

    References
    ----------
    3GPP TR 38.901 V17.0.0, Tables 7.4.1-1 and 7.4.2-1. Rows of tests/published.csv: twinkit.radio.rma.
    """
    return over(_rma, ground_distance, frequency, transmitter_height, receiver_height, building_height, street_width)
