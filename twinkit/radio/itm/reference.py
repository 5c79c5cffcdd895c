"""The reference attenuation of Longley-Rice: line of sight, diffraction and troposcatter, and where they meet.

Everything that does not depend on the distance along the curve is taken once a path; what is left of a
diffraction loss are six transcendental functions.

Equations are those of G. A. Hufford, "The ITS Irregular Terrain Model, version 1.2.2: the algorithm" (1995), where
a bare number stands; "ERL" is A. G. Longley and P. L. Rice, ERL 79-ITS 67 (1968); "TN101" is P. L. Rice et al.,
NBS Technical Note 101 (1967); Vogler, Radio Science 68D (1964).
"""

from __future__ import annotations

import cmath
import math

import numba
import numpy as np

__all__ = ["DIFFRACTION", "ERROR_EARTH", "ERROR_GROUND", "ERROR_REFRACTIVITY", "LINE_OF_SIGHT", "TROPOSCATTER"]
__all__ += ["effective_earth", "ground_impedance", "reference_attenuation"]

LINE_OF_SIGHT, DIFFRACTION, TROPOSCATTER = 1, 2, 3
ERROR_REFRACTIVITY, ERROR_EARTH, ERROR_GROUND, ERROR_UNDEFINED = -1, -2, -3, -4

_A_0 = 6370e3  # radius of the earth [m]
_THIRD = 1.0 / 3.0

# 6.13, the frequency gain of troposcatter for a scattering efficiency of 1 to 5
_H_A = np.array([25.0, 80.0, 177.0, 395.0, 705.0])
_H_B = np.array([24.0, 45.0, 68.0, 80.0, 105.0])


@numba.njit(nogil=True, cache=True)
def effective_earth(height: float, refractivity: float) -> tuple[float, float]:
    """Surface refractivity [N-unit] at a height, and the radius [m] of the effective earth (TN101, 4.3, 4.4)."""
    surface = refractivity if height == 0.0 else refractivity * math.exp(-height / 9460.0)
    return surface, 1.0 / (157e-9 * (1.0 - 0.04665 * math.exp(surface / 179.3)))


@numba.njit(nogil=True, cache=True)
def ground_impedance(frequency: float, permittivity: float, conductivity: float, vertical: bool) -> complex:
    """Surface transfer impedance of the ground; frequency in MHz."""
    relative = complex(permittivity, 18000.0 * conductivity / frequency)
    impedance = cmath.sqrt(relative - 1.0)
    return impedance / relative if vertical else impedance


@numba.njit(nogil=True, cache=True)
def roughness(distance: float, irregularity: float) -> float:
    """Terrain irregularity [m] that a path of this length meets (ERL, 3)."""
    return irregularity * (1.0 - 0.8 * math.exp(-distance / 50e3))


@numba.njit(nogil=True, cache=True)
def _deviation(rough: float) -> float:
    """Root mean square deviation [m] of the terrain within the first Fresnel zone (ERL, 3.6a)."""
    return 0.78 * rough * math.exp(-0.5 * math.sqrt(math.sqrt(rough)))


@numba.njit(nogil=True, cache=True)
def _knife(v_squared: float) -> float:
    """Loss [dB] over an ideal knife edge (TN101, III.24)."""
    if v_squared < 5.76:
        return 6.02 + 9.11 * math.sqrt(v_squared) - 1.27 * v_squared
    return 12.953 + 10.0 * math.log10(v_squared)


@numba.njit(nogil=True, cache=True)
def _height_gain(x: float, k: float) -> float:
    """Vogler's height function F(x, K) [dB]."""
    if x < 200.0:
        w = -math.log(k)
        if k < 1e-5 or x * w * w * w > 5495.0:
            return 17.372 * math.log(x) - 117.0 if x > 1.0 else -117.0
        return 2.5e-5 * x * x / k - 8.686 * w - 15.0
    far = 0.05751 * x - 4.343 * math.log(x)
    if x < 2000.0:
        w = 0.0134 * x * math.exp(-0.005 * x)
        far = (1.0 - w) * far + w * (17.372 * math.log(x) - 117.0)
    return far


@numba.njit(nogil=True, cache=True)
def _vogler(radius: float, length: float, cube: float, impedance: float) -> tuple[float, float]:
    """Normalised distance x and parameter K of one arc (Vogler, 2, 6a, 7a); cube is frequency**(1/3), length in m."""
    c = np.cbrt(4.0 / 3.0 * _A_0 / radius)
    k = 0.017778 * c / (cube * impedance)
    return (1.607 - k) * c * c * cube * length / 1000.0, k


@numba.njit(nogil=True, cache=True)
def _scatter(
    distance: float,
    theta_1: float,
    theta_2: float,
    d_1: float,
    d_2: float,
    h_1: float,
    h_2: float,
    radius: float,
    surface: float,
    wave: float,
    theta_los: float,
    gain: float,
) -> tuple[float, float]:
    """Troposcatter loss [dB] and its frequency gain H0 [dB]; `gain` is H0 at the farther distance, -1 there."""
    if gain > 15.0:
        h_0 = gain
    else:
        apart = d_1 - d_2
        ratio = h_2 / h_1
        if apart < 0.0:
            apart, ratio = -apart, 1.0 / ratio
        theta = theta_1 + theta_2 + distance / radius
        r_1, r_2 = 2.0 * wave * theta * h_1, 2.0 * wave * theta * h_2
        if r_1 < 0.2 and r_2 < 0.2:
            return 1001.0, gain  # not defined, so that diffraction is used
        s = (distance - apart) / (distance + apart)
        q = min(max(0.1, ratio / s), 10.0)
        s = max(0.1, s)
        crossing = (distance - apart) * (distance + apart) * theta * 0.25 / distance
        eta = crossing / 1.7556e3
        eta *= 1.0 + (0.031 - surface * 2.32e-3 + surface * surface * 5.67e-6) * math.exp(
            -(min(1.7, crossing / 8e3) ** 6)
        )
        bounded = min(max(eta, 1.0), 5.0)
        i = int(bounded)
        part = bounded - i
        h_00 = 0.0
        for r in (r_1, r_2):
            inverse = 1.0 / (r * r)
            curve = 10.0 * math.log10(1.0 + (_H_A[i - 1] * inverse + _H_B[i - 1]) * inverse)
            if part > 0.0:
                upper = 10.0 * math.log10(1.0 + (_H_A[i] * inverse + _H_B[i]) * inverse)
                curve = (1.0 - part) * curve + part * upper
            h_00 += 0.5 * curve
        extra = min(h_00, 6.0 * (0.6 - math.log10(max(eta, 1.0))) * math.log10(s) * math.log10(q))
        h_0 = max(h_00 + extra, 0.0)
        if eta < 1.0:
            two = math.sqrt(2.0)
            still = ((1.0 + two / r_1) * (1.0 + two / r_2)) ** 2 * (r_1 + r_2) / (r_1 + r_2 + 2.0 * two)
            h_0 = eta * h_0 + (1.0 - eta) * 10.0 * math.log10(still)
        if h_0 > 15.0 and gain >= 0.0:
            h_0 = gain
    angle = distance / radius - theta_los
    td = angle * distance
    if td <= 10e3:
        attenuation = 133.4 + 0.332e-3 * td - 10.0 * math.log10(td)
    elif td <= 70e3:
        attenuation = 104.6 + 0.212e-3 * td - 2.5 * math.log10(td)
    else:
        attenuation = 71.8 + 0.157e-3 * td + 5.0 * math.log10(td)
    square = angle * angle
    attenuation += 10.0 * math.log10(wave * 47.7 * square * square)
    return attenuation - 0.1 * (surface - 301.0) * math.exp(-td / 40e3) + h_0, h_0


@numba.njit(nogil=True, cache=True)
def _sight(
    distance: float,
    h_1: float,
    h_2: float,
    impedance: complex,
    irregularity: float,
    slope: float,
    intercept: float,
    smooth: float,
    frequency: float,
) -> float:
    """Loss [dB] in line of sight: two rays, weighted with the diffraction line extended (4.46 to 4.50)."""
    wave = frequency / 47.7
    total = h_1 + h_2
    sine = total / math.sqrt(distance * distance + total * total)
    deviation = _deviation(roughness(distance, irregularity))
    ray = (sine - impedance) / (sine + impedance) * math.exp(-min(10.0, wave * deviation * sine))
    power = ray.real * ray.real + ray.imag * ray.imag
    if power < 0.25 or power < sine:
        ray = ray * math.sqrt(sine / power)
    phase = wave * 2.0 * h_1 * h_2 / distance
    if phase > math.pi / 2.0:
        phase = math.pi - (math.pi / 2.0) ** 2 / phase
    real, imaginary = math.cos(phase) + ray.real, ray.imag - math.sin(phase)
    two_rays = -10.0 * math.log10(real * real + imaginary * imaginary)
    weight = 1.0 / (1.0 + frequency * irregularity / max(10e3, smooth))
    return weight * two_rays + (1.0 - weight) * (slope * distance + intercept)


@numba.njit(nogil=True, cache=True)
def reference_attenuation(
    distance: float,
    theta_1: float,
    theta_2: float,
    d_1: float,
    d_2: float,
    h_1: float,
    h_2: float,
    mast_1: float,
    mast_2: float,
    irregularity: float,
    radius: float,
    surface: float,
    impedance: complex,
    frequency: float,
    terrain_known: bool,
) -> tuple[float, int, int]:
    """Attenuation [dB] over free space, mode of propagation (or a negative error), and warning flags.

    Angles [radian] and distances [m] are those of the horizons, `h` the effective and `mast` the structural
    heights [m], `frequency` in MHz.
    """
    smooth_1, smooth_2 = math.sqrt(2.0 * h_1 * radius), math.sqrt(2.0 * h_2 * radius)
    smooth = smooth_1 + smooth_2
    horizons = d_1 + d_2
    theta_los = -max(theta_1 + theta_2, -horizons / radius)

    flags = 0
    flags |= 0x0080 * (abs(theta_1) > 0.2) | 0x0100 * (abs(theta_2) > 0.2)
    flags |= 0x0200 * (d_1 < 0.1 * smooth_1) | 0x0400 * (d_2 < 0.1 * smooth_2)
    flags |= 0x0800 * (d_1 > 3.0 * smooth_1) | 0x1000 * (d_2 > 3.0 * smooth_2)
    flags |= 0x4000 * (surface < 250.0)
    flags |= 0x0020 * (distance < abs(h_1 - h_2) / 0.2) | 0x0040 * (distance < 1e3)
    flags |= 0x0008 * (distance > 1000e3) | 0x0010 * (distance > 2000e3)
    if not 150.0 <= surface <= 400.0:
        return np.nan, ERROR_REFRACTIVITY, flags
    if not 4e6 <= radius <= 13333333.0:
        return np.nan, ERROR_EARTH, flags
    if impedance.real <= abs(impedance.imag):
        return np.nan, ERROR_GROUND, flags

    # ---- diffraction: a straight line through two distances far beyond the horizon
    wave = frequency / 47.7
    cube = np.cbrt(frequency)
    reach = np.cbrt(radius * radius) / cube
    magnitude = abs(impedance)
    x_1, k_1 = _vogler(0.5 * d_1 * d_1 / h_1, d_1, cube, magnitude)
    x_2, k_2 = _vogler(0.5 * d_2 * d_2 / h_2, d_2, cube, magnitude)
    gains = _height_gain(x_1, k_1) + _height_gain(x_2, k_2) + 20.0
    deviation = _deviation(roughness(smooth, irregularity))
    clutter = min(15.0, 5.0 * math.log10(1.0 + 1e-5 * mast_1 * mast_2 * frequency * deviation))
    masts = mast_1 * mast_2
    excess = h_1 * h_2 - masts
    low = math.sqrt(1.0 + excess / (masts + 10.0 if terrain_known else masts))
    far = max(smooth, horizons + 5.0 * reach)
    losses = (0.0, 0.0)
    for end in range(2):
        d = far + 10.0 * reach * end
        theta = d / radius - theta_los
        beyond = d - horizons
        common = 0.0795775 * wave * theta * theta * beyond
        edges = _knife(common * d_1 / (beyond + d_1)) + _knife(common * d_2 / (beyond + d_2))
        # the arc between the horizons has the radius beyond/theta, and that times theta is its length
        x_0, _ = _vogler(beyond / theta, beyond, cube, magnitude)
        x_0 += x_1 + x_2
        arc = 0.05751 * x_0 - 10.0 * math.log10(x_0) - gains
        q = (low + (-theta_los * radius + horizons) / d) * min(roughness(d, irregularity) * wave, 6283.2)
        weight = 25.1 / (25.1 + math.sqrt(q))
        loss = weight * arc + (1.0 - weight) * edges + clutter
        losses = (loss, 0.0) if end == 0 else (losses[0], loss)
    slope = (losses[1] - losses[0]) / (10.0 * reach)
    intercept = losses[0] - slope * far
    if not math.isfinite(intercept):
        # a ground that conducts so well that Vogler's parameter leaves its curve
        return np.nan, ERROR_UNDEFINED, flags

    if distance < smooth:
        # ---- line of sight: a curve with a logarithm through three points
        at_smooth = smooth * slope + intercept
        near = 0.04 * frequency * h_1 * h_2
        if intercept >= 0.0:
            near = min(near, 0.5 * horizons)
            middle = near + 0.25 * (horizons - near)
        else:
            middle = max(-intercept / slope, 0.25 * horizons)
        at_middle = _sight(middle, h_1, h_2, impedance, irregularity, slope, intercept, smooth, frequency)
        straight, curved = 0.0, 0.0
        bent = False
        if near < middle:
            at_near = _sight(near, h_1, h_2, impedance, irregularity, slope, intercept, smooth, frequency)
            q = math.log(smooth / near)
            rise = (smooth - near) * (at_middle - at_near) - (middle - near) * (at_smooth - at_near)
            curved = max(0.0, rise / ((smooth - near) * math.log(middle / near) - (middle - near) * q))
            bent = intercept > 0.0 or curved > 0.0
            if bent:
                straight = (at_smooth - at_near - curved * q) / (smooth - near)
                if straight < 0.0:
                    straight = 0.0
                    curved = max(at_smooth - at_near, 0.0) / q
                    if curved == 0.0:
                        straight = slope
        if not bent:
            straight = max(at_smooth - at_middle, 0.0) / (smooth - middle)
            curved = 0.0
            if straight == 0.0:
                straight = slope
        loss = at_smooth + straight * (distance - smooth) + curved * math.log(distance / smooth)
        return max(loss, 0.0), LINE_OF_SIGHT, flags

    # ---- troposcatter: a straight line too, from where it undercuts diffraction
    gain = -1.0
    at_6, gain = _scatter(
        horizons + 400e3, theta_1, theta_2, d_1, d_2, h_1, h_2, radius, surface, wave, theta_los, gain
    )
    at_5, gain = _scatter(
        horizons + 200e3, theta_1, theta_2, d_1, d_2, h_1, h_2, radius, surface, wave, theta_los, gain
    )
    if at_5 < 1000.0:
        scatter_slope = (at_6 - at_5) / 200e3
        crossing = (at_5 - intercept - scatter_slope * (horizons + 200e3)) / (slope - scatter_slope)
        crossing = max(max(smooth, horizons + 1.088 * reach * math.log(frequency)), crossing)
        if distance > crossing:
            loss = scatter_slope * distance + (slope - scatter_slope) * crossing + intercept
            return max(loss, 0.0), TROPOSCATTER, flags
    elif distance > 10e6:
        return max(slope * distance + intercept, 0.0), TROPOSCATTER, flags
    return max(slope * distance + intercept, 0.0), DIFFRACTION, flags
