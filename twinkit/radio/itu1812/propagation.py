"""Every other part of P.1812: sight, troposcatter, ducting, and how they combine.

Kernels on numbers: distances in km, heights in m, angles in mrad, frequency in GHz, loss in dB, time in %.
"""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# Kernels take their types from the caller: the same source serves float32 and float64.

from __future__ import annotations

import math

from numba import njit

__all__ = [
    "anomalous_percentage",
    "combined",
    "ducting",
    "enhancement",
    "free_space",
    "inverse_normal",
    "longest_land_exponent",
    "troposcatter",
]


@njit(cache=True)
def inverse_normal(share):
    """Point of the standard normal distribution that a share of it exceeds, equations (96) and (97)."""
    x = min(max(share, 1e-6), 0.999999)
    tail = min(x, 1.0 - x)
    t = math.sqrt(-2.0 * math.log(tail))
    c = ((0.010328 * t + 0.802853) * t + 2.515516698) / (((0.001308 * t + 0.189269) * t + 1.432788) * t + 1.0)
    return t - c if x <= 0.5 else c - t


@njit(cache=True, inline="always")
def longest_land_exponent(inland):
    """The tau of equation (3) for the longest inland section [km]."""
    return 1.0 - math.exp(-4.12e-4 * inland**2.41)


@njit(cache=True)
def anomalous_percentage(latitude, land, inland):
    """beta_0 [%]: time with a lapse above 100 N-units/km in the lowest 100 m, equations (2) to (5).

    latitude [degree] of the path's centre, land and inland [km] the longest sections of that kind.
    """
    tau = longest_land_exponent(inland)
    mu1 = min((10.0 ** (-land / (16.0 - 6.6 * tau)) + 10.0 ** (-5.0 * (0.496 + 0.354 * tau))) ** 0.2, 1.0)
    north = abs(latitude)
    if north <= 70.0:
        return 10.0 ** (-0.015 * north + 1.67) * mu1 * mu1 ** (-0.935 + 0.0176 * north)
    return 4.17 * mu1 * mu1**0.3


@njit(cache=True, inline="always")
def free_space(distance, transmitter, receiver, frequency):
    """Loss [dB] of free space between altitudes [m], equation (8)."""
    rise = (transmitter - receiver) / 1000.0
    return 92.4 + 20.0 * math.log10(frequency) + 10.0 * math.log10(distance * distance + rise * rise)


@njit(cache=True, inline="always")
def enhancement(to_horizons, percentage):
    """Multipath and focusing [dB] for a time percentage, equation (9); to_horizons [km] is d_lt + d_lr."""
    return 2.6 * (1.0 - math.exp(-0.1 * to_horizons)) * math.log10(percentage / 50.0)


@njit(cache=True)
def troposcatter(distance, angle, frequency, percentage, refractivity):
    """Loss [dB] by troposcatter, equations (44) and (45); angle [mrad] is the path's, refractivity N_0."""
    band = 25.0 * math.log10(frequency) - 2.5 * math.log10(frequency / 2.0) ** 2
    rare = 10.125 * math.log10(50.0 / percentage) ** 0.7
    return 190.1 + band + 20.0 * math.log10(distance) + 0.573 * angle - 0.15 * refractivity - rare


@njit(cache=True, inline="always")
def shielding(angle, horizon, frequency):
    """Site shielding [dB], equation (48), for a horizon angle [mrad] and distance [km]."""
    over = angle - 0.1 * horizon
    if over <= 0.0:
        return 0.0
    edge = 1.0 + 0.361 * over * math.sqrt(frequency * horizon)
    return 20.0 * math.log10(edge) + 0.264 * over * frequency ** (1.0 / 3.0)


@njit(cache=True, inline="always")
def coupling(coast, horizon, altitude, sea):
    """Coupling [dB] to ducts over sea, equation (49), from the distance to the coast [km]."""
    if coast > 5.0 or coast > horizon or sea < 0.75:
        return 0.0
    return -3.0 * math.exp(-0.25 * coast * coast) * (1.0 + math.tanh(0.07 * (50.0 - altitude)))


@njit(cache=True)
def ducting(
    distance, horizon_t, horizon_r, angle_t, angle_r, coast_t, coast_r, altitude_t, altitude_r,
    effective_t, effective_r, roughness, inland, sea, earth, frequency, percentage, beta_0,
):  # fmt: skip
    """Loss [dB] in ducts and by layer reflection, equations (46) to (56)."""
    wave = 0.0
    if frequency < 0.5:
        wave = 45.375 - 137.0 * frequency + 92.5 * frequency * frequency
    fixed = 102.45 + 20.0 * math.log10(frequency) + 20.0 * math.log10(horizon_t + horizon_r) + wave
    fixed += shielding(angle_t, horizon_t, frequency) + shielding(angle_r, horizon_r, frequency)
    fixed += coupling(coast_t, horizon_t, altitude_t, sea) + coupling(coast_r, horizon_r, altitude_r, sea)

    angle = 1e3 * distance / earth + min(angle_t, 0.1 * horizon_t) + min(angle_r, 0.1 * horizon_r)
    mu3 = 1.0
    if roughness > 10.0:
        middle = min(distance - horizon_t - horizon_r, 40.0)
        mu3 = math.exp(-4.6e-5 * (roughness - 10.0) * (43.0 + 6.0 * middle))
    alpha = max(-0.6 - 3.5e-9 * distance**3.1 * longest_land_exponent(inland), -3.4)
    heights = math.sqrt(effective_t) + math.sqrt(effective_r)
    mu2 = min((500.0 / earth * distance * distance / (heights * heights)) ** alpha, 1.0)
    # mu3 of very rough ground underflows to zero, where log10 would give no number
    beta = max(beta_0 * mu2 * mu3, 1e-300)
    log = math.log10(beta)
    gamma = 1.076 / (2.0058 - log) ** 1.012 * math.exp(-(9.51 - 4.8 * log + 0.198 * log * log) * 1e-6 * distance**1.13)
    time = -12.0 + (1.2 + 3.7e-3 * distance) * math.log10(percentage / beta) + 12.0 * (percentage / beta) ** gamma
    return fixed + 5e-5 * earth * frequency ** (1.0 / 3.0) * angle + time


@njit(cache=True, inline="always")
def softer(a, b):
    """Smooth maximum of two losses [dB], equation (60), written so that no exponential overflows."""
    high = max(a, b)
    return high + 2.5 * math.log(1.0 + math.exp((min(a, b) - high) / 2.5))


@njit(cache=True)
def combined(distance, angle, sight_p, sight_beta, free, loss_p, loss_50, duct, scatter, sea, interpolation, anomalous):
    """Loss [dB] for half of the locations, section 4.6, from its parts; the intermediates beside it.

    Equations (57) to (63). `anomalous` says that the percentage is below beta_0.
    Returns (loss, angle factor, distance factor, least with sight, least with ducts, with enhancement, modified).
    """
    angle_factor = 1.0 - 0.5 * (1.0 + math.tanh(3.0 * 0.8 * (angle - 0.3) / 0.3))
    distance_factor = 1.0 - 0.5 * (1.0 + math.tanh(3.0 * 0.5 * (distance - 20.0) / 20.0))
    median = free + loss_50
    diffracted = sight_p + loss_p
    if anomalous:
        least = sight_p + (1.0 - sea) * loss_p
    else:
        least = median + (sight_beta + (1.0 - sea) * loss_p - median) * interpolation
    ducts = softer(duct, sight_p)
    enhanced = diffracted
    if ducts <= diffracted:
        enhanced = ducts + (diffracted - ducts) * distance_factor
    modified = enhanced + (least - enhanced) * angle_factor
    # powers of the difference: 10**(-0.2 L) itself underflows at 1500 dB
    low = min(scatter, modified)
    loss = low - 5.0 * math.log10(1.0 + 10.0 ** (-0.2 * (max(scatter, modified) - low)))
    return loss, angle_factor, distance_factor, least, ducts, enhanced, modified
