"""Diffraction over terrain, ITU-R P.526 as P.1812 uses it: knife edge, Bullington, spherical earth, delta method.

Kernels on numbers: distances in km, heights in m, frequency in GHz, loss in dB, as the Recommendation writes them.
"""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# Kernels take their types from the caller: the same source serves float32 and float64.

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = [
    "bullington",
    "bullington_smooth",
    "delta_bullington",
    "knife_edge",
    "multiple_edge",
    "spherical_earth",
    "spherical_geometry",
]

# The Recommendation's own rounding of the speed of light [m GHz]; with 0.299792458 the last digits differ.
WAVELENGTH = 0.2998
# Permittivity and conductivity [S/m] of land and sea, section 4.3.3.
LAND = (22.0, 0.003)
SEA = (80.0, 5.0)


@njit(cache=True, inline="always")
def knife_edge(parameter):
    """Loss [dB] of one edge for the diffraction parameter, equation (12); none below -0.78."""
    if parameter <= -0.78:
        return 0.0
    v = parameter - 0.1
    return 6.9 + 20.0 * math.log10(math.sqrt(v * v + 1.0) + v)


@njit(cache=True, inline="always")
def multiple_edge(edge, distance):
    """Bullington's loss [dB] from the loss of the equivalent edge, equation (21)."""
    return edge + (1.0 - math.exp(-edge / 6.0)) * (10.0 + 0.02 * distance)


@njit(cache=True)
def bullington(d, g, transmitter, receiver, earth, frequency):
    """Diffraction parameter of the equivalent edge, equations (13) to (20).

    d [km] and g [m] are the profile with its clutter, the ends included; transmitter and receiver are
    altitudes [m], earth the effective radius [km], frequency in GHz.
    """
    n = d.size
    total = d[n - 1]
    half = 500.0 / earth
    wavelength = WAVELENGTH / frequency
    highest = -np.inf
    for i in range(1, n - 1):
        highest = max(highest, (g[i] + half * d[i] * (total - d[i]) - transmitter) / d[i])
    if highest < (receiver - transmitter) / total:
        parameter = -np.inf
        for i in range(1, n - 1):
            rest = total - d[i]
            clear = g[i] + half * d[i] * rest - (transmitter * rest + receiver * d[i]) / total
            parameter = max(parameter, clear * math.sqrt(0.002 * total / (wavelength * d[i] * rest)))
        return parameter
    back = -np.inf
    for i in range(1, n - 1):
        rest = total - d[i]
        back = max(back, (g[i] + half * d[i] * rest - receiver) / rest)
    return equivalent_edge(highest, back, transmitter, receiver, total, wavelength)


@njit(cache=True, inline="always")
def equivalent_edge(forward, back, transmitter, receiver, total, wavelength):
    """Parameter of the edge where the two horizon lines meet, equations (18) to (20); slopes in m/km."""
    if not forward + back > 0.0:
        return 0.0  # the ray grazes the ground without an angle
    at = (receiver - transmitter + back * total) / (forward + back)
    rest = total - at
    clear = transmitter + forward * at - (transmitter * rest + receiver * at) / total
    return clear * math.sqrt(0.002 * total / (wavelength * at * rest))


@njit(cache=True)
def bullington_smooth(d, transmitter, receiver, earth, frequency):
    """The same for a smooth earth at the profile's own points, section 4.3.4: all heights zero."""
    n = d.size
    total = d[n - 1]
    half = 500.0 / earth
    wavelength = WAVELENGTH / frequency
    highest = -np.inf
    for i in range(1, n - 1):
        highest = max(highest, half * (total - d[i]) - transmitter / d[i])
    if highest < (receiver - transmitter) / total:
        parameter = -np.inf
        for i in range(1, n - 1):
            rest = total - d[i]
            clear = half * d[i] * rest - (transmitter * rest + receiver * d[i]) / total
            parameter = max(parameter, clear * math.sqrt(0.002 * total / (wavelength * d[i] * rest)))
        return parameter
    back = -np.inf
    for i in range(1, n - 1):
        back = max(back, half * d[i] - receiver / (total - d[i]))
    return equivalent_edge(highest, back, transmitter, receiver, total, wavelength)


@njit(cache=True)
def first_term(distance, transmitter, receiver, earth, frequency, vertical, permittivity, conductivity):
    """First term of the residue series over one kind of ground [dB], equations (29) to (36)."""
    loss = 18.0 * conductivity / frequency
    admittance = 0.036 * (earth * frequency) ** (-1.0 / 3.0) * ((permittivity - 1.0) ** 2 + loss**2) ** -0.25
    if vertical:
        admittance *= math.sqrt(permittivity**2 + loss**2)
    k2 = admittance * admittance
    beta = (1.0 + 1.6 * k2 + 0.67 * k2 * k2) / (1.0 + 4.5 * k2 + 1.53 * k2 * k2)
    x = 21.88 * beta * (frequency / earth**2) ** (1.0 / 3.0) * distance
    far = 11.0 + 10.0 * math.log10(x) - 17.6 * x if x >= 1.6 else -20.0 * math.log10(x) - 5.6488 * x**1.425
    scale = 0.9575 * beta * beta * (frequency * frequency / earth) ** (1.0 / 3.0)
    least = 2.0 + 20.0 * math.log10(admittance)
    return -far - height_gain(scale * transmitter, least) - height_gain(scale * receiver, least)


@njit(cache=True, inline="always")
def height_gain(b, least):
    """Height gain [dB] of a normalised height, equation (35), not below its limit."""
    if b > 2.0:
        gain = 17.6 * math.sqrt(b - 1.1) - 5.0 * math.log10(b - 1.1) - 8.0
    else:
        gain = 20.0 * math.log10(b + 0.1 * b * b * b)
    return max(gain, least)


@njit(cache=True)
def spherical_geometry(distance, transmitter, receiver, earth):
    """Distance [km] from the transmitter to the least clearance over a smooth earth, and that clearance [m].

    Equations (23) and (24). The same point makes the diffraction parameter largest: with u = 1 - 2 d1/d its
    derivative vanishes where u^3 - u (m + 1)/m + c/m = 0, the cubic that (24c) solves.
    """
    c = (transmitter - receiver) / (transmitter + receiver)
    m = 250.0 * distance * distance / (earth * (transmitter + receiver))
    # rounding may push the argument past 1 where the path is at the limit of sight
    argument = min(1.0, max(-1.0, 1.5 * c * math.sqrt(3.0 * m / (m + 1.0) ** 3)))
    b = 2.0 * math.sqrt((m + 1.0) / (3.0 * m)) * math.cos(math.pi / 3.0 + math.acos(argument) / 3.0)
    first = 0.5 * distance * (1.0 + b)
    second = distance - first
    clear = (transmitter - 500.0 * first * first / earth) * second + (
        receiver - 500.0 * second * second / earth
    ) * first
    return first, clear / distance


@njit(cache=True)
def spherical_earth(distance, transmitter, receiver, earth, frequency, sea, vertical):
    """Diffraction loss [dB] of a smooth earth for effective heights [m] above it, equations (22) to (28).

    `sea` is the fraction of the path over sea.
    """
    sight = math.sqrt(2.0 * earth) * (math.sqrt(0.001 * transmitter) + math.sqrt(0.001 * receiver))
    share = 1.0
    radius = earth
    if distance < sight:
        first, clear = spherical_geometry(distance, transmitter, receiver, earth)
        needed = 17.456 * math.sqrt(first * (distance - first) * WAVELENGTH / frequency / distance)
        if clear > needed:
            return 0.0
        share = 1.0 - clear / needed
        radius = 500.0 * (distance / (math.sqrt(transmitter) + math.sqrt(receiver))) ** 2
    loss = 0.0
    if sea < 1.0:
        loss += (1.0 - sea) * first_term(distance, transmitter, receiver, radius, frequency, vertical, LAND[0], LAND[1])
    if sea > 0.0:
        loss += sea * first_term(distance, transmitter, receiver, radius, frequency, vertical, SEA[0], SEA[1])
    if distance < sight:
        return share * max(loss, 0.0)
    return loss


@njit(cache=True)
def delta_bullington(d, g, transmitter, receiver, above_t, above_r, earth, frequency, sea, vertical):
    """Delta-Bullington loss [dB] with its three parts, equation (39): (loss, actual, smooth, spherical).

    above_t and above_r [m] are the antennas' heights above the smooth surface of the diffraction model.
    """
    total = d[d.size - 1]
    actual = multiple_edge(knife_edge(bullington(d, g, transmitter, receiver, earth, frequency)), total)
    smooth = multiple_edge(knife_edge(bullington_smooth(d, above_t, above_r, earth, frequency)), total)
    sphere = spherical_earth(total, above_t, above_r, earth, frequency, sea, vertical)
    return actual + max(sphere - smooth, 0.0), actual, smooth, sphere
