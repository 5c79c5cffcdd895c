# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba.
"""A profile for every receiver: the whole of P.1812 over a raster, in single or in double precision."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from twinkit.radio.itu1812 import diffraction, scan, tail
from twinkit.radio.itu1812.path import _terms
from twinkit.radio.itu1812.scan import BLOCK, ORDERLESS
from twinkit.radio.itu1812.tail import LANES, ROWS, losses
from twinkit.radio.terrain import height_at, nearest, sampled

F = np.float32

LEAST = 250.0  # [m] where the Recommendation begins


@njit(cache=True, nogil=True, fastmath=ORDERLESS, error_model="numpy")
def area(
    ground, turned, clutter, width, height, tx, ty, above_t, receivers_x, receivers_y, above_r, pixel, step,
    farthest, numbers, constants, table, inverse, root, ramp, out,
):  # fmt: skip
    """Losses [dB] at every (y, x) of a raster of receivers; NaN nearer than 250 m or beyond `farthest` [m].

    ground, its transpose and clutter are flat (clutter empty where there is none); positions are in pixels of
    `pixel` metres.
    """
    wavelength = diffraction.WAVELENGTH / numbers[0]
    earth = numbers[5]
    with_beta = numbers[2] < 50.0
    with_clutter = clutter.size > 0
    reference = height_at(ground, width, height, tx, ty)
    low = F(reference)
    own = F(above_t)
    most = inverse.size - 2 * BLOCK
    h = np.empty(most + 2 * BLOCK, np.float32)
    g = np.empty(most + 2 * BLOCK, np.float32)
    scratch = np.empty(BLOCK, np.float32)
    rows = np.ones(ROWS * LANES, np.float32)
    results = np.empty(LANES, np.float32)
    where = np.empty(LANES, np.int64)
    lane = 0
    columns = receivers_x.size
    flat = out.reshape(out.size)
    for r in range(receivers_y.size):
        for q in range(columns):
            dx, dy = receivers_x[q] - tx, receivers_y[r] - ty
            distance = pixel * math.sqrt(dx * dx + dy * dy)
            if distance < LEAST or distance > farthest:
                flat[r * columns + q] = np.nan
                continue
            n = math.ceil(distance / step - 1e-9)
            s = 1e-3 * distance / n
            # along the rows of the raster or of its transpose: neighbours in the path are neighbours in memory
            if abs(dx) >= abs(dy):
                sampled(ground, width, height, tx, ty, dx / n, dy / n, (n // 32 + 1) * 32, low, h)
            else:
                sampled(turned, height, width, ty, tx, dy / n, dx / n, (n // 32 + 1) * 32, low, h)
            end = h[n]
            there = end + F(above_r)
            steps = F(n)
            c = F(500.0 * s * s / earth)
            slope = (there - own) / steps
            plain, weighted, highest = scan.sums(h, n, own, slope, ramp)
            scale = F(math.sqrt(0.002 / (wavelength * s)))
            if with_clutter:
                nearest(clutter, width, height, tx, ty, dx / n, dy / n, (n // 32 + 1) * 32, h, g)
                scan.closed(g, n)
            scan.closed(h, n)

            # smooth earth, (85) to (91); the start has height zero
            trapezoid = F(2) * plain + end
            moment = F(6) * weighted + end * (F(3) * steps - F(1))
            square = steps * steps
            start_smooth = (F(2) * trapezoid * steps - moment) / square
            end_smooth = (moment - trapezoid * steps) / square
            start_d, end_d = start_smooth, end_smooth
            start_a, end_a = min(start_smooth, F(0)), min(end_smooth, end)
            incline = (end_a - start_a) / steps

            ahead, first, behind, last, one, other = scan.both(h, n, own, there, c, inverse, ramp, scratch)
            if highest > F(0):
                one -= slope
                other += slope
                start_d -= highest * one / (one + other)
                end_d -= highest * other / (one + other)
            direct = slope - c * steps
            if ahead > direct:
                parameter = scan.edge(ahead + c * steps, behind + c * steps, own, there, steps, scale)
                rough = scan.ridge(h, first, last, start_a, incline, ramp)
            else:
                best, first = scan.in_sight(h, n, own, there, c, root, ramp, scratch)
                last = first
                ahead, behind = direct, -slope - c * steps
                parameter = best * scale * math.sqrt(steps)
                rough = h[first] - (start_a + incline * F(first))
            if with_clutter:
                parameter = scan.bullington(g, n, own, there, c, inverse, root, ramp, scale, scratch)
            if with_beta:
                flatter = F(500.0 * s * s / (3.0 * 6371.0))
                hard = g if with_clutter else h
                rows[tail.PARAMETER_BETA * LANES + lane] = scan.bullington(
                    hard, n, own, there, flatter, inverse, root, ramp, scale, scratch
                )
            per_metre = F(1e-3 / s)
            rows[tail.DISTANCE * LANES + lane] = F(1e-3 * distance)
            rows[tail.STEPS * LANES + lane] = steps
            rows[tail.RISE * LANES + lane] = there - own
            rows[tail.PARAMETER * LANES + lane] = parameter
            rows[tail.ABOVE_T * LANES + lane] = own - min(start_d, F(0))
            rows[tail.ABOVE_R * LANES + lane] = there - min(end_d, end)
            rows[tail.TANGENT_T * LANES + lane] = ahead * per_metre
            rows[tail.TANGENT_R * LANES + lane] = behind * per_metre
            rows[tail.HORIZON_T * LANES + lane] = F(s) * F(first)
            rows[tail.HORIZON_R * LANES + lane] = F(s) * F(n - last)
            rows[tail.DUCT_T * LANES + lane] = own - start_a
            rows[tail.DUCT_R * LANES + lane] = there - end_a
            rows[tail.ROUGH * LANES + lane] = rough
            where[lane] = r * columns + q
            lane += 1
            if lane == LANES:
                losses(rows, table, constants, with_beta, results)
                for k in range(LANES):
                    flat[where[k]] = results[k]
                lane = 0
    if lane > 0:
        losses(rows, table, constants, with_beta, results)
        for k in range(lane):
            flat[where[k]] = results[k]


@njit(cache=True, nogil=True)
def area_precise(
    ground, clutter, zone, width, height, tx, ty, above_t, receivers_x, receivers_y, above_r, pixel, step,
    farthest, numbers, out,
):  # fmt: skip
    """The same in float64 through the kernel of `p1812`, with zones (1, 3, 4; one element for all)."""
    reference = height_at(ground, width, height, tx, ty)
    columns = receivers_x.size
    values = np.empty(64)
    for r in range(receivers_y.size):
        for q in range(columns):
            dx, dy = receivers_x[q] - tx, receivers_y[r] - ty
            distance = pixel * math.sqrt(dx * dx + dy * dy)
            if distance < LEAST or distance > farthest:
                out[r, q] = np.nan
                continue
            n = math.ceil(distance / step - 1e-9)
            d = np.empty(n + 1)
            h = np.empty(n + 1)
            g = np.empty(n + 1)
            z = np.full(n + 1, zone[0])
            for k in range(n + 1):
                x, y = tx + dx * k / n, ty + dy * k / n
                d[k] = 1e-3 * distance * k / n
                h[k] = height_at(ground, width, height, x, y) if k > 0 else reference
                g[k] = h[k]
                i = min(max(math.floor(x + 0.5), 0), width - 1)
                j = min(max(math.floor(y + 0.5), 0), height - 1)
                if clutter.size > 0 and 0 < k < n:
                    g[k] += clutter[j * width + i]
                if zone.size > 1:
                    z[k] = zone[j * width + i]
            _terms(
                d, h, g, z, above_t, above_r, numbers[1], numbers[0], numbers[2], 50.0, 0.0, numbers[4] != 0.0,
                157.0 - 157.0 * 6371.0 / numbers[5], numbers[6], 500.0, 500.0, values,
            )  # fmt: skip
            half, sight = values[tail.HALF], values[tail.SIGHT]
            out[r, q] = max(sight, half + (0.0 if z[n] == 1 else numbers[3]))
