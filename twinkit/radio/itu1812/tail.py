# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba.
"""From what a profile says of a path (thirteen numbers) to its loss: the part of P.1812 that looks at no terrain.

Two ways. `loss_of` is the Recommendation in float64 through the same functions as `p1812`. `losses` is written
without branches in float32, so that a loop over receivers becomes vectors; it holds for paths over land of one
kind, where everything that depends on distance alone comes from a table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from twinkit.radio.itu1812 import diffraction, propagation
from twinkit.radio.itu1812.fast import CONTRACT, arctangent, exp2, fetch, log2, put

__all__ = ["LANES", "ROWS", "Choice", "loss_of", "losses", "smooth_parameter"]

F = np.float32

LANES = 256
"""Receivers that one call of `losses` takes: rows of constant length keep the trip count fixed."""

# Rows of the buffer between profile and loss. Lengths in km, heights in m, angles as tangents.
DISTANCE, STEPS, RISE, PARAMETER, PARAMETER_BETA, ABOVE_T, ABOVE_R = 0, 1, 2, 3, 4, 5, 6
TANGENT_T, TANGENT_R, HORIZON_T, HORIZON_R, DUCT_T, DUCT_R, ROUGH = 7, 8, 9, 10, 11, 12, 13
ROWS = 14

# Columns of the table of what depends on distance alone.
FACTOR, LOG_BETA, ALPHA, NEAR, SPREAD = 0, 1, 2, 3, 4
COLUMNS = 8
HALF, SIGHT = 49, 30
TABLE_STEP = 0.05


@dataclass(frozen=True)
class Choice:
    """The numbers that all receivers of one run share; km, GHz, %."""

    frequency: float
    latitude: float
    time_percentage: float = 50.0
    location_margin: float = 0.0
    vertical: bool = True
    gradient: float = 39.25
    refractivity: float = 325.0
    inland: bool = True

    @property
    def earth(self) -> float:
        """Median effective radius [km]."""
        return 6371.0 * 157.0 / (157.0 - self.gradient)

    def numbers(self) -> np.ndarray:
        """For `loss_of`, in its order."""
        return np.array(
            [
                self.frequency, self.latitude, self.time_percentage, self.location_margin, float(self.vertical),
                self.earth, self.refractivity,
            ]
        )  # fmt: skip

    def constants(self) -> np.ndarray:
        """For `losses`, in its order."""
        f, p = self.frequency, self.time_percentage
        permittivity, conductivity = diffraction.LAND
        loss = 18.0 * conductivity / f
        admittance = 0.036 * f ** (-1 / 3) * ((permittivity - 1) ** 2 + loss**2) ** -0.25
        if self.vertical:
            admittance *= math.sqrt(permittivity**2 + loss**2)
        wave = 45.375 - 137.0 * f + 92.5 * f * f if f < 0.5 else 0.0
        band = 25.0 * math.log10(f) - 2.5 * math.log10(f / 2.0) ** 2
        scatter = 190.1 + band - 0.15 * self.refractivity - 10.125 * math.log10(50.0 / p) ** 0.7
        return np.array(
            [
                self.earth, 3.0 * 6371.0, diffraction.WAVELENGTH / f, 92.4 + 20.0 * math.log10(f),
                2.6 * math.log10(p / 50.0), admittance, math.log2(admittance), 21.88 * f ** (1 / 3),
                0.9575 * f ** (2 / 3), 102.45 + 20.0 * math.log10(f) + wave, f, f ** (1 / 3),
                math.log2(500.0 / self.earth), math.log2(p), scatter, self.location_margin,
                5e-5 * self.earth * f ** (1 / 3),
            ],
            dtype=np.float32,
        )  # fmt: skip

    def table(self, farthest: float) -> np.ndarray:
        """What depends on distance alone, every 50 m up to `farthest` [km]: flat float32, eight columns a row."""
        out = np.zeros((int(farthest / TABLE_STEP) + 3, COLUMNS))
        _tabulate(out, self.latitude, self.time_percentage, self.inland)
        return out.astype(np.float32).ravel()


@njit(cache=True)
def _tabulate(out, latitude, percentage, inland):
    for k in range(out.shape[0]):
        d = max(k * TABLE_STEP, 1e-3)
        beta_0 = propagation.anomalous_percentage(latitude, d, d if inland else 0.0)
        out[k, FACTOR] = 1.0
        if percentage > beta_0:
            share = propagation.inverse_normal(beta_0 / 100.0)
            out[k, FACTOR] = propagation.inverse_normal(percentage / 100.0) / share
        out[k, LOG_BETA] = math.log2(beta_0)
        tau = propagation.longest_land_exponent(d if inland else 0.0)
        out[k, ALPHA] = max(-0.6 - 3.5e-9 * d**3.1 * tau, -3.4)
        out[k, NEAR] = 1.0 - 0.5 * (1.0 + math.tanh(1.5 * (d - 20.0) / 20.0))
        out[k, SPREAD] = 1e-6 * d**1.13


# ---------------------------------------------------------------- the Recommendation, float64


@njit(cache=True)
def smooth_parameter(steps, step, above_t, above_r, earth, wavelength):
    """Diffraction parameter of a smooth earth at equal steps [km], as `diffraction.bullington_smooth` finds it.

    All maxima have a closed form, and the best of the two points beside it is the best of all: in sight the
    cubic of the spherical earth, beyond the horizon sqrt(height / curvature).
    """
    total = steps * step
    curve = 500.0 * step * step / earth
    at = min(max(math.floor(math.sqrt(above_t / curve)), 1.0), steps - 1.0)
    then = min(at + 1.0, steps - 1.0)
    forward = max(curve * (steps - at) - above_t / at, curve * (steps - then) - above_t / then)
    if forward < (above_r - above_t) / steps:
        first, _ = diffraction.spherical_geometry(total, above_t, above_r, earth)
        at = min(max(math.floor(first / step), 1.0), steps - 1.0)
        best = -np.inf
        for k in range(2):
            i = min(at + k, steps - 1.0)
            rest = steps - i
            clear = curve * i * rest - (above_t * rest + above_r * i) / steps
            best = max(best, clear * math.sqrt(0.002 * steps / (wavelength * step * i * rest)))
        return best
    at = min(max(math.floor(math.sqrt(above_r / curve)), 1.0), steps - 1.0)
    then = min(at + 1.0, steps - 1.0)
    back = max(curve * (steps - at) - above_r / at, curve * (steps - then) - above_r / then)
    return diffraction.equivalent_edge(forward / step, back / step, above_t, above_r, total, wavelength)


@njit(cache=True)
def _delta(parameter, distance, steps, above_t, above_r, earth, frequency, sea, vertical):
    actual = diffraction.multiple_edge(diffraction.knife_edge(parameter), distance)
    smooth = smooth_parameter(steps, distance / steps, above_t, above_r, earth, diffraction.WAVELENGTH / frequency)
    smooth = diffraction.multiple_edge(diffraction.knife_edge(smooth), distance)
    sphere = diffraction.spherical_earth(distance, above_t, above_r, earth, frequency, sea, vertical)
    return actual + max(sphere - smooth, 0.0)


@njit(cache=True)
def loss_of(row, numbers, sea, land, inland, coast_t, coast_r, altitude_t, altitude_r, at_sea):
    """Loss [dB] of one path from its row, the numbers of the run, and what its zones say (km)."""
    frequency, latitude, percentage, margin = numbers[0], numbers[1], numbers[2], numbers[3]
    vertical, earth, refractivity = numbers[4] != 0.0, numbers[5], numbers[6]
    distance, steps = row[DISTANCE], row[STEPS]
    above_t, above_r = row[ABOVE_T], row[ABOVE_R]
    beta_0 = propagation.anomalous_percentage(latitude, land, inland)
    factor = 1.0
    if percentage > beta_0:
        factor = propagation.inverse_normal(percentage / 100.0) / propagation.inverse_normal(beta_0 / 100.0)
    free = 92.4 + 20.0 * math.log10(frequency) + 10.0 * math.log10(distance * distance + 1e-6 * row[RISE] * row[RISE])
    to_horizons = row[HORIZON_T] + row[HORIZON_R]
    sight_p = free + propagation.enhancement(to_horizons, percentage)
    sight_beta = free + propagation.enhancement(to_horizons, beta_0)
    loss_50 = _delta(row[PARAMETER], distance, steps, above_t, above_r, earth, frequency, sea, vertical)
    loss_p = loss_50
    if percentage < 50.0:
        beta_earth = 3.0 * 6371.0
        loss_b = _delta(row[PARAMETER_BETA], distance, steps, above_t, above_r, beta_earth, frequency, sea, vertical)
        loss_p = loss_50 + factor * (loss_b - loss_50)
    angle_t, angle_r = 1e3 * math.atan(row[TANGENT_T]), 1e3 * math.atan(row[TANGENT_R])
    angle = 1e3 * distance / earth + angle_t + angle_r
    duct = propagation.ducting(
        distance, row[HORIZON_T], row[HORIZON_R], angle_t, angle_r, coast_t, coast_r, altitude_t, altitude_r,
        row[DUCT_T], row[DUCT_R], row[ROUGH], inland, sea, earth, frequency, percentage, beta_0,
    )  # fmt: skip
    scatter = propagation.troposcatter(distance, angle, frequency, percentage, refractivity)
    half, _, _, _, _, _, _ = propagation.combined(
        distance, angle, sight_p, sight_beta, free, loss_p, loss_50, duct, scatter, sea, factor, percentage < beta_0
    )
    return max(sight_p, half + (0.0 if at_sea else margin))


# ---------------------------------------------------------------- vectors, float32

DECIBEL = F(10.0 * math.log10(2.0))  # of a power, for a doubling
LOG10_2 = F(math.log10(2.0))
LOG2_E = F(math.log2(math.e))


@njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _edges(parameter, distance):
    """Knife edge and Bullington's correction, equations (12) and (21)."""
    v = max(parameter, F(-1)) - F(0.1)
    edge = F(6.9) + F(2) * DECIBEL * log2(math.sqrt(v * v + F(1)) + v)
    edge = edge if parameter > F(-0.78) else F(0)
    return edge + (F(1) - exp2(edge * (-LOG2_E / F(6)))) * (F(10) + F(0.02) * distance)


@njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _gain(b, least):
    """Height gain, equation (35)."""
    high = b > F(2)
    over = max(b - F(1.1), F(0.5))
    inside = over if high else b + F(0.1) * b * b * b
    log = DECIBEL * log2(inside)
    gain = F(17.6) * math.sqrt(over) - F(0.5) * log - F(8) if high else F(2) * log
    return max(gain, least)


@njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _smooth_excess(distance, steps, above_t, above_r, earth, wavelength, admittance, log_admittance, reach, height):
    """Spherical-earth loss beyond the smooth Bullington loss, not below zero: the delta of equation (39)."""
    root_t, root_r = math.sqrt(above_t), math.sqrt(above_r)
    roots = root_t + root_r
    together = above_t + above_r
    sight = distance * distance < F(0.002) * earth * roots * roots
    step = distance / steps

    # the cubic of (24) by Newton from the side where it is convex
    m = F(250) * distance * distance / (earth * together)
    c = (above_t - above_r) / together
    t = c / (m + F(1))
    for _ in range(4):
        square = t * t
        t = t - (m * t * square - (m + F(1)) * t + c) / min(F(3) * m * square - (m + F(1)), F(-1e-3))
    t = min(max(t, F(-0.9999)), F(0.9999))
    first = F(0.5) * distance * (F(1) + t)
    second = distance - first
    bend = F(500) / earth
    clear = ((above_t - bend * first * first) * second + (above_r - bend * second * second) * first) / distance
    needed = F(17.456) * math.sqrt(first * second * wavelength / distance)
    share = max(F(1) - clear / needed, F(0)) if sight else F(1)

    # smooth Bullington in sight: the better of the two samples beside the same point
    at = min(max(np.floor(F(0.5) * (F(1) + t) * steps), F(1)), steps - F(1))
    then = min(at + F(1), steps - F(1))
    curve = bend * step * step
    scale = F(0.002) * steps / (wavelength * step)
    rest = steps - at
    one = (curve * at * rest - (above_t * rest + above_r * at) / steps) * math.sqrt(scale / (at * rest))
    rest = steps - then
    other = (curve * then * rest - (above_t * rest + above_r * then) / steps) * math.sqrt(scale / (then * rest))
    # and beyond the horizon, where both tangents touch the curve
    root_bend = math.sqrt(bend)
    forward = bend * distance - F(2) * root_bend * root_t
    back = bend * distance - F(2) * root_bend * root_r
    edge = (above_r - above_t + back * distance) / (forward + back)
    left = distance - edge
    over = above_t + forward * edge - (above_t * left + above_r * edge) / distance
    beyond = over * math.sqrt(F(0.002) * distance / (wavelength * max(edge * left, F(1e-6))))
    smooth = _edges(max(one, other) if sight else beyond, distance)

    # first term of the residue series, (29) to (36), on the earth that just gives sight where there is sight
    radius = F(500) * distance * distance / (roots * roots) if sight else earth
    log_radius = log2(radius) * F(1 / 3)
    shrink = exp2(-log_radius)
    k = admittance * shrink
    k2 = k * k
    beta = (F(1) + F(1.6) * k2 + F(0.67) * k2 * k2) / (F(1) + F(4.5) * k2 + F(1.53) * k2 * k2)
    x = reach * beta * shrink * shrink * distance
    log_x = log2(x)
    near = F(-2) * DECIBEL * log_x - F(5.6488) * exp2(F(1.425) * log_x)
    far = F(11) + DECIBEL * log_x - F(17.6) * x
    fall = far if x >= F(1.6) else near
    least = F(2) + F(2) * DECIBEL * (log_admittance - log_radius)
    scaled = height * beta * beta * shrink
    term = -fall - _gain(scaled * above_t, least) - _gain(scaled * above_r, least)
    sphere = share * max(term, F(0)) if sight else term
    return max(sphere - smooth, F(0))


@njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
def _shield(angle, horizon, frequency, root3):
    """Site shielding, equation (48)."""
    over = max(angle - F(0.1) * horizon, F(0))
    return F(2) * DECIBEL * log2(F(1) + F(0.361) * over * math.sqrt(frequency * horizon)) + F(0.264) * over * root3


@njit(fastmath=CONTRACT, error_model="numpy", cache=True, nogil=True)
def losses(rows, table, constants, with_beta, out):
    """Losses [dB] of LANES receivers at once from the rows of a flat buffer; out is float32.

    Every row must be filled, in unused lanes with anything finite and plausible.
    """
    earth, beta_earth, wavelength, free_0 = constants[0], constants[1], constants[2], constants[3]
    spread_p, admittance, log_admittance, reach = constants[4], constants[5], constants[6], constants[7]
    height, fixed_0, frequency, root3 = constants[8], constants[9], constants[10], constants[11]
    log_bend, log_p, scatter_0, margin, gamma_d = (
        constants[12],
        constants[13],
        constants[14],
        constants[15],
        constants[16],
    )
    for j in range(LANES):
        distance = fetch(rows, DISTANCE * LANES + j)
        steps = fetch(rows, STEPS * LANES + j)
        rise = fetch(rows, RISE * LANES + j)
        above_t = fetch(rows, ABOVE_T * LANES + j)
        above_r = fetch(rows, ABOVE_R * LANES + j)
        horizon_t = fetch(rows, HORIZON_T * LANES + j)
        horizon_r = fetch(rows, HORIZON_R * LANES + j)
        tangent_t = fetch(rows, TANGENT_T * LANES + j)
        tangent_r = fetch(rows, TANGENT_R * LANES + j)
        duct_t = fetch(rows, DUCT_T * LANES + j)
        duct_r = fetch(rows, DUCT_R * LANES + j)
        rough = fetch(rows, ROUGH * LANES + j)

        cell = distance * F(1 / TABLE_STEP)
        whole = np.int32(cell)
        part = cell - F(whole)
        low = np.int64(whole) * COLUMNS
        factor = fetch(table, low + FACTOR)
        factor = factor + part * (fetch(table, low + COLUMNS + FACTOR) - factor)
        log_beta_0 = fetch(table, low + LOG_BETA)
        log_beta_0 = log_beta_0 + part * (fetch(table, low + COLUMNS + LOG_BETA) - log_beta_0)
        alpha = fetch(table, low + ALPHA)
        alpha = alpha + part * (fetch(table, low + COLUMNS + ALPHA) - alpha)
        near = fetch(table, low + NEAR)
        near = near + part * (fetch(table, low + COLUMNS + NEAR) - near)
        spread = fetch(table, low + SPREAD)
        spread = spread + part * (fetch(table, low + COLUMNS + SPREAD) - spread)

        log_d = log2(distance)
        free = free_0 + DECIBEL * log2(distance * distance + F(1e-6) * rise * rise)
        horizon = horizon_t + horizon_r
        focus = F(1) - exp2(F(-0.1) * LOG2_E * horizon)
        sight_p = free + spread_p * focus
        sight_beta = free + F(2.6) * LOG10_2 * (log_beta_0 - F(math.log2(50.0))) * focus

        loss_50 = _edges(fetch(rows, PARAMETER * LANES + j), distance) + _smooth_excess(
            distance, steps, above_t, above_r, earth, wavelength, admittance, log_admittance, reach, height
        )
        loss_p = loss_50
        if with_beta:
            loss_b = _edges(fetch(rows, PARAMETER_BETA * LANES + j), distance) + _smooth_excess(
                distance, steps, above_t, above_r, beta_earth, wavelength, admittance, log_admittance, reach, height
            )
            loss_p = loss_50 + factor * (loss_b - loss_50)

        angle_t, angle_r = F(1e3) * arctangent(tangent_t), F(1e3) * arctangent(tangent_r)
        angle = F(1e3) * distance / earth + angle_t + angle_r
        fixed = fixed_0 + F(2) * DECIBEL * log2(horizon)
        fixed += _shield(angle_t, horizon_t, frequency, root3) + _shield(angle_r, horizon_r, frequency, root3)
        bent = F(1e3) * distance / earth + min(angle_t, F(0.1) * horizon_t) + min(angle_r, F(0.1) * horizon_r)
        middle = min(distance - horizon, F(40))
        log_mu3 = F(-4.6e-5) * LOG2_E * max(rough - F(10), F(0)) * (F(43) + F(6) * middle)
        log_mu2 = alpha * (log_bend + F(2) * log_d - F(2) * log2(math.sqrt(duct_t) + math.sqrt(duct_r)))
        log_beta = max(log_beta_0 + min(log_mu2, F(0)) + log_mu3, F(-900))
        ten = LOG10_2 * log_beta
        drop = (F(9.51) - F(4.8) * ten + F(0.198) * ten * ten) * spread
        gamma = F(1.076) * exp2(F(-1.012) * log2(F(2.0058) - ten) - LOG2_E * drop)
        rare = log_p - log_beta
        time = F(-12) + (F(1.2) + F(3.7e-3) * distance) * LOG10_2 * rare + F(12) * exp2(gamma * rare)
        duct = fixed + gamma_d * bent + time

        toward = F(1) / (F(1) + exp2(F(16) * LOG2_E * (angle - F(0.3))))
        median = free + loss_50
        diffracted = sight_p + loss_p
        least = median + (sight_beta + loss_p - median) * factor
        least = diffracted if log_p < log_beta_0 else least
        high = max(duct, sight_p)
        ducts = high + F(2.5) / LOG2_E * log2(F(1) + exp2((min(duct, sight_p) - high) * (LOG2_E / F(2.5))))
        enhanced = ducts + (diffracted - ducts) * near if ducts <= diffracted else diffracted
        modified = enhanced + (least - enhanced) * toward
        scatter = scatter_0 + F(2) * DECIBEL * log_d + F(0.573) * angle
        low_loss = min(scatter, modified)
        apart = max(scatter, modified) - low_loss
        half = low_loss - F(5) * LOG10_2 * log2(F(1) + exp2(apart * F(-0.2 * math.log2(10.0))))
        put(out, j, max(sight_p, half + margin))
