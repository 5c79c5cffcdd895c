"""How much the loss of Longley-Rice varies in time, over locations and between situations, in seven climates.

Equations: G. A. Hufford, "The ITS Irregular Terrain Model, version 1.2.2: the algorithm" (1995), section 5.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from twinkit.radio.itm.reference import roughness

__all__ = ["CLIMATES", "MODES", "deviate", "loss_exceeded"]

CLIMATES = (
    "equatorial",
    "continental subtropical",
    "maritime subtropical",
    "desert",
    "continental temperate",
    "maritime temperate over land",
    "maritime temperate over sea",
)
"""The radio climates, in the order of the tables."""

MODES = ("single message", "accidental", "mobile", "broadcast")
"""Which variations are summed before a quantile is taken."""

# One row a climate: c1, c2, x1, x2, x3 of the median, of the deviation below it and of the deviation above it;
# then C_d, z_d (Table 5.1), and the frequency factors below and above.
_MEDIAN = np.array(
    [
        [-9.67, 12.7, 144.9e3, 190.3e3, 133.8e3],
        [-0.62, 9.19, 228.9e3, 205.2e3, 143.6e3],
        [1.26, 15.5, 262.6e3, 185.2e3, 99.8e3],
        [-9.21, 9.05, 84.1e3, 101.1e3, 98.6e3],
        [-0.62, 9.19, 228.9e3, 205.2e3, 143.6e3],
        [-0.39, 2.86, 141.7e3, 315.9e3, 167.4e3],
        [3.15, 857.9, 2222.0e3, 164.8e3, 116.3e3],
    ]
)
_BELOW = np.array(
    [
        [2.13, 159.5, 762.2e3, 123.6e3, 94.5e3],
        [2.66, 7.67, 100.4e3, 172.5e3, 136.4e3],
        [6.11, 6.65, 138.2e3, 242.2e3, 178.6e3],
        [1.98, 13.11, 139.1e3, 132.7e3, 193.5e3],
        [2.68, 7.16, 93.7e3, 186.8e3, 133.5e3],
        [6.86, 10.38, 187.8e3, 169.6e3, 108.9e3],
        [8.51, 169.8, 609.8e3, 119.9e3, 106.6e3],
    ]
)
_ABOVE = np.array(
    [
        [2.11, 102.3, 636.9e3, 134.8e3, 95.6e3],
        [6.87, 15.53, 138.7e3, 143.7e3, 98.6e3],
        [10.08, 9.60, 165.3e3, 225.7e3, 129.7e3],
        [3.68, 159.3, 464.4e3, 93.1e3, 94.2e3],
        [4.75, 8.12, 93.2e3, 135.9e3, 113.4e3],
        [8.58, 13.97, 216.0e3, 152.0e3, 122.7e3],
        [8.43, 8.19, 136.2e3, 188.5e3, 122.9e3],
    ]
)
_DUCT = np.array(
    [[1.224, 1.282], [0.801, 2.161], [1.380, 1.282], [1.000, 20.0], [1.224, 1.282], [1.518, 1.282], [1.518, 1.282]]
)
_BELOW_FREQUENCY = np.array([[1.0, 0.0, 0.0]] * 4 + [[0.92, 0.25, 1.77]] + [[1.0, 0.0, 0.0]] * 2)
_ABOVE_FREQUENCY = np.array(
    [[1.0, 0.0, 0.0], [0.93, 0.31, 2.0], [1.0, 0.0, 0.0], [0.93, 0.19, 1.79], [0.93, 0.31, 2.0]] + [[1.0, 0.0, 0.0]] * 2
)


@numba.njit(nogil=True, cache=True)
def deviate(share: float) -> float:
    """The standard normal deviate that this share of the time exceeds (Abramowitz and Stegun, 26.2.23).

    The rational approximation, good to 4.5e-4, is part of the model.
    """
    tail = min(share, 1.0 - share)
    t = math.sqrt(-2.0 * math.log(tail))
    top = (0.010328 * t + 0.802853) * t + 2.515516
    bottom = ((0.001308 * t + 0.189269) * t + 1.432788) * t + 1.0
    z = t - top / bottom
    return -z if share > 0.5 else z


@numba.njit(nogil=True, cache=True)
def _curve(row: np.ndarray, distance: float) -> float:
    """A fitted curve over the effective distance (TN101, III.69 and III.70)."""
    bump = (distance - row[3]) / row[4]
    square = (distance / row[2]) ** 2
    return (row[0] + row[1] / (1.0 + bump * bump)) * square / (1.0 + square)


@numba.njit(nogil=True, cache=True)
def loss_exceeded(
    reference: float,
    distance: float,
    h_1: float,
    h_2: float,
    irregularity: float,
    frequency: float,
    z_time: float,
    z_location: float,
    z_situation: float,
    climate: int,
    mode: int,
    location_varies: bool,
    situation_varies: bool,
) -> tuple[float, int]:
    """Attenuation [dB] over free space at the asked quantiles, and warning flags; frequency in MHz."""
    wave = frequency / 47.7
    # 5.3: the distance that would give the same scatter
    limit = math.sqrt(18000e3 * h_1) + math.sqrt(18000e3 * h_2) + np.cbrt(575.7e12 / wave)
    effective = 130e3 * distance / limit if distance < limit else 130e3 + distance - limit

    sigma_s = 5.0 + 3.0 * math.exp(-effective / 100e3) if situation_varies else 0.0
    if mode == 0:
        z_time = z_location = z_situation
    elif mode == 1:
        z_location = z_situation
    elif mode == 2:
        z_location = z_time
    flags = 0x2000 * (max(abs(z_time), abs(z_location), abs(z_situation)) > 3.10)

    sigma_l = 0.0
    if location_varies:
        rough = wave * roughness(distance, irregularity)
        sigma_l = 10.0 * rough / (rough + 13.0)
    y_l = sigma_l * z_location

    q = math.log(0.133 * wave)
    if z_time < 0.0:
        row = _BELOW_FREQUENCY[climate]
        sigma_t = _curve(_BELOW[climate], effective) * (row[0] + row[1] / ((row[2] * q) ** 2 + 1.0))
    else:
        row = _ABOVE_FREQUENCY[climate]
        sigma_t = _curve(_ABOVE[climate], effective) * (row[0] + row[1] / ((row[2] * q) ** 2 + 1.0))
        c_d, z_d = _DUCT[climate]
        if z_time > z_d:
            sigma_t *= c_d + (1.0 - c_d) * z_d / z_time
    y_t = sigma_t * z_time

    # 5.11
    square = z_situation * z_situation
    rest = sigma_s * sigma_s + y_t * y_t / (7.8 + square) + y_l * y_l / (24.0 + square)
    if mode == 0:
        known = 0.0
        rest += sigma_t * sigma_t + sigma_l * sigma_l
    elif mode == 1:
        known = y_t
        rest += sigma_l * sigma_l
    elif mode == 2:
        known = math.sqrt(sigma_t * sigma_t + sigma_l * sigma_l) * z_time
    else:
        known = y_t + y_l
    loss = reference - _curve(_MEDIAN[climate], effective) - known - math.sqrt(rest) * z_situation
    if loss < 0.0:
        loss *= (29.0 - loss) / (29.0 - 10.0 * loss)
    return loss, flags
