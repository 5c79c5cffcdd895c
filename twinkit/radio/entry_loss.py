r"""From the street into the room: what walls take, by two models.

`entry_loss` is ITU-R P.2109, a distribution over buildings measured from 80 MHz to 100 GHz. `wall_loss` and
`indoor_loss` are 3GPP TR 38.901, which adds a wall, a way through the rooms and a normal spread.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from scipy.special import ndtri

from twinkit.contract import physics
from twinkit.error import TwinError, close_to
from twinkit.radio.elementwise import mapped, over

__all__ = ["BUILDINGS", "MATERIALS", "WALLS", "entry_loss", "indoor_loss", "wall_loss"]

# r, s, t, u, v, w, x, y, z of Table 1
BUILDINGS = {
    "traditional": (12.64, 3.72, 0.96, 9.6, 2.0, 9.1, -3.0, 4.5, -2.0),
    "thermally efficient": (28.19, -3.00, 8.48, 13.5, 3.8, 27.8, -2.9, 9.4, -2.1),
}
"""Coefficients of ITU-R P.2109, Table 1; the efficient ones have metallised glass and foil in the walls."""

MATERIALS = {"glass": (2.0, 0.2), "coated glass": (23.0, 0.3), "concrete": (5.0, 4.0), "wood": (4.85, 0.12)}
"""Loss [dB] of a pane or wall at f [GHz] as a + b f: TR 38.901, Table 7.4.3-1."""

WALLS = {
    "low": ((0.3, "glass"), (0.7, "concrete"), 4.4),
    "high": ((0.7, "coated glass"), (0.3, "concrete"), 6.5),
}
"""Shares of materials and the spread [dB] of the low-loss and the high-loss building: Table 7.4.3-2."""


def _known(value: str, table: dict[str, Any], name: str) -> Any:
    if value in table:
        return table[value]
    near = close_to(str(value), table)
    raise TwinError(
        f"a {name} among {', '.join(repr(k) for k in table)}",
        found=repr(value),
        hint=f"use {near}" if near else "choose one of them",
        where=name,
    )


@numba.njit(nogil=True, cache=True)
def _entry(
    frequency: float,
    elevation: float,
    deviate: float,
    r: float,
    s: float,
    t: float,
    u: float,
    v: float,
    w: float,
    x: float,
    y: float,
    z: float,
) -> float:
    f = math.log10(frequency / 1e9)
    a = deviate * (u + v * f) + r + s * f + t * f * f + 0.212 * abs(elevation)
    b = deviate * (y + z * f) + w + x * f
    return 10.0 * math.log10(10.0 ** (0.1 * a) + 10.0 ** (0.1 * b) + 10.0**-0.3)


_entered = mapped(_entry)


@physics(
    valid={"frequency": (0.08e9, 100e9), "elevation": (-90.0, 90.0), "probability": (1e-4, 99.9999)},
    why="ITU-R P.2109-1",
    frequency="Hz",
    elevation="degree",
    probability="%",
)
def entry_loss(frequency: Any, *, building: str, elevation: Any = 0.0, probability: Any = 50.0) -> Any:
    r"""Building entry loss that is not exceeded with a probability.

    .. math:: L = 10 \log\left(10^{0.1 A(p)} + 10^{0.1 B(p)} + 10^{0.1 C}\right)

    Parameters
    ----------
    frequency : float, array or DataArray [Hz]
    building : {"traditional", "thermally efficient"}
    elevation : float, array or DataArray [degree]
        Of the path at the façade; level is the least loss.
    probability : float, array or DataArray [%]
        Over buildings and places within them.

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    80 MHz to 100 GHz, no statement about the depth within the building.

    Errors
    ------
    TwinError
        A value outside its range, a building of another name, or another unit.

    Examples
    --------
    Foil and coated glass double the loss in dB:

    >>> entry_loss(np.array([0.7e9, 3.5e9]), building="traditional").round(1)
    array([14.1, 15.7])
    >>> entry_loss(np.array([0.7e9, 3.5e9]), building="thermally efficient").round(1)
    array([31.6, 30.9])

    References
    ----------
    ITU-R P.2109-1 (08/2019), equations (1) to (10).
    """
    return over(_entered, frequency, elevation, over(_deviate, probability), *_known(building, BUILDINGS, "building"))


def _deviate(percent: np.ndarray) -> np.ndarray:
    return ndtri(percent / 100.0)


@physics(valid={"frequency": (0.5e9, 100e9)}, why="TR 38.901, Table 7.4.3-2", frequency="Hz")
def wall_loss(frequency: Any, *, wall: str) -> Any:
    r"""Loss through the outer wall of a building, windows included.

    .. math:: L = 5 - 10 \log \sum_i p_i\, 10^{-L_i / 10}

    Parameters
    ----------
    frequency : float, array or DataArray [Hz]
    wall : {"low", "high"}
        Low: 30 % plain glass and 70 % concrete; high: 70 % coated glass and 30 % concrete.

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    0.5 to 100 GHz.

    Errors
    ------
    TwinError
        A frequency outside the range, or a wall of another name.

    Examples
    --------
    >>> wall_loss([3.5e9, 28e9], wall="low").round(1), wall_loss([3.5e9, 28e9], wall="high").round(1)
    (array([12.7, 17.8]), array([26.8, 37.9]))

    References
    ----------
    3GPP TR 38.901 V17.0.0, section 7.4.3.1, equation (7.4-3).
    """
    *parts, _ = _known(wall, WALLS, "wall")

    def through(hertz: np.ndarray) -> np.ndarray:
        passed = sum(
            share * 10.0 ** (-(MATERIALS[material][0] + MATERIALS[material][1] * hertz / 1e9) / 10.0)
            for share, material in parts
        )
        return 5.0 - 10.0 * np.log10(passed)

    return over(through, frequency)


@physics(
    valid={"frequency": (0.5e9, 100e9), "depth": (0.0, 200.0), "probability": (1e-4, 99.9999)},
    why="TR 38.901, section 7.4.3",
    frequency="Hz",
    depth="m",
    probability="%",
)
def indoor_loss(frequency: Any, *, wall: str, depth: Any, probability: Any = 50.0) -> Any:
    r"""Loss from the street to a room that is not exceeded with a probability: wall, rooms and spread.

    .. math:: L = L_\text{wall} + 0.5\, d_\text{in} + \sigma_P\, \Phi^{-1}(p)

    Parameters
    ----------
    frequency : float, array or DataArray [Hz]
    wall : {"low", "high"}
    depth : float, array or DataArray [m]
        Way within the building; 3GPP draws it as the lesser of two uniform draws up to 25 m (10 m in villages).
    probability : float, array or DataArray [%]
        50 leaves the spread out.

    Returns
    -------
    float, array or DataArray [dB]
        Added to the outdoor path loss, which is taken to the façade.

    Validity
    --------
    0.5 to 100 GHz. In villages (RMa) only walls of low loss.

    Errors
    ------
    TwinError
        A value outside its range, a wall of another name, or another unit.

    Examples
    --------
    >>> indoor_loss(3.5e9, wall="low", depth=np.array([0, 10])).round(1)
    array([12.7, 17.7])

    References
    ----------
    3GPP TR 38.901 V17.0.0, section 7.4.3.1, equation (7.4-2), Tables 7.4.3-1 and 7.4.3-2.
    """
    spread = _known(wall, WALLS, "wall")[-1]
    loss = wall_loss(frequency, wall=wall)
    return over(lambda outer, d, p: outer + 0.5 * d + spread * ndtri(p / 100.0), loss, depth, probability)
