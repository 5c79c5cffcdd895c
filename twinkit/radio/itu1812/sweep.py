# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba.
"""P.1812 over a raster along radials: what one receiver's path says is carried to the next.

Along one radial the ground is sampled once. All that P.1812 seeks in a profile beyond two sums are maxima of
slopes and of heights over a line, from points outside the profile: they lie on the upper convex hull of the
flattened ground h - c i^2, which grows like a stack. Less curvature takes vertices away and adds none, so that the
hull for the median earth also serves the earth of beta_0 and straight lines. Ten to thirty vertices are what is
left of a thousand points. In line of sight the largest diffraction parameter is no such maximum; there the points
are compared without root and division until one of a block may win.

A receiver lies beside its radial: the last NEAR samples before it, where errors count most, come from its own path.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from twinkit.radio.itu1812 import diffraction, tail
from twinkit.radio.itu1812.fast import CONTRACT, arctangent, fetch, larger, note, put, read
from twinkit.radio.itu1812.scan import BLOCK, LOW, ORDERLESS, edge
from twinkit.radio.itu1812.tail import LANES, ROWS, loss_of, losses
from twinkit.radio.terrain import height_at, nearest, sampled

NEAR = 8
SHORT = 16  # paths of at most so many steps are sampled on their own
WIDTH = 32  # the stack is padded to a multiple of this

F = np.float32
LEAST = 250.0
HALF_TURN = F(math.pi)


@njit(cache=True, nogil=True, fastmath=CONTRACT, error_model="numpy")
def placed(receivers_x, y, tx, ty, pixel, step, radials, farthest, key, ring):
    """Radial and ring (whole steps) of the receivers of one row; ring -1 nearer than 250 m or beyond `farthest`."""
    turn = F(radials / (2.0 * math.pi))
    dy = y - ty
    for q in range(receivers_x.size):
        dx = fetch(receivers_x, q) - tx
        distance = pixel * math.sqrt(dx * dx + dy * dy)
        inside = (distance >= LEAST) & (distance <= farthest)
        put(ring, q, np.int32(distance / step) if inside else np.int32(-1))
        wide, high = F(abs(dx)), F(abs(dy))
        angle = arctangent(min(wide, high) / max(max(wide, high), F(1e-9)))
        angle = HALF_TURN * F(0.5) - angle if high > wide else angle
        angle = HALF_TURN - angle if dx < 0.0 else angle
        angle = -angle if dy < 0.0 else angle
        nearest_radial = np.int32(np.floor(angle * turn + F(0.5)))
        nearest_radial = nearest_radial + np.int32(radials) if nearest_radial < 0 else nearest_radial
        put(key, q, nearest_radial if nearest_radial < np.int32(radials) else np.int32(0))


@njit(cache=True, nogil=True, error_model="numpy")
def ordered(receivers_x, receivers_y, tx, ty, pixel, step, radials, farthest, start, order):
    """Receivers by radial and, within a radial, by distance.

    start (radials + 1) gets where each radial begins in `order`, which gets flat indices; receivers nearer than
    250 m or beyond `farthest` [m] are left out. Returns how many there are. Two counting sorts, the last key first.
    """
    columns = receivers_x.size
    count = columns * receivers_y.size
    key = np.empty(count, np.int32)
    ring = np.empty(count, np.int32)
    for r in range(receivers_y.size):
        a, b = r * columns, (r + 1) * columns
        placed(receivers_x, receivers_y[r], tx, ty, pixel, step, radials, farthest, key[a:b], ring[a:b])
    most = 0
    for at in range(count):
        most = max(most, ring[at])
    begin = np.zeros(most + 3, np.int64)
    for at in range(count):
        begin[ring[at] + 2] += 1
    for k in range(most + 2):
        begin[k + 1] += begin[k]
    out_of_range = begin[1]
    total = count - out_of_range
    by_ring = np.empty(count, np.int32)
    for at in range(count):
        k = ring[at] + 1
        by_ring[begin[k]] = at
        begin[k] += 1
    start[:] = 0
    for i in range(out_of_range, count):
        start[key[by_ring[i]] + 1] += 1
    for k in range(radials):
        start[k + 1] += start[k]
    fill = start.copy()
    for i in range(out_of_range, count):
        at = by_ring[i]
        order[fill[key[at]]] = at
        fill[key[at]] += 1
    return total


@njit(error_model="numpy", forceinline=True)
def pushed(position, height, inverse, size, at, value, c):
    """Size of the stack after one more point: those below the line from their neighbour to it are dropped."""
    flat = value - c * at * at
    while size >= 2:
        i, j = np.float64(position[size - 2]), np.float64(position[size - 1])
        a = np.float64(height[size - 2]) - c * i * i
        b = np.float64(height[size - 1]) - c * j * j
        if (b - a) * (at - i) > (flat - a) * (j - i):
            break
        size -= 1
    position[size] = at
    height[size] = value
    inverse[size] = 1.0 / at
    return size + 1


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def closed(position, height, inverse, size):
    """Pad the stack with points that win nothing; its padded length."""
    for k in range(WIDTH):
        position[size + k] = 0
        height[size + k] = LOW
        inverse[size + k] = 1
    return ((size + WIDTH - 1) >> 5) << 5


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def extremes(position, height, inverse, size, x, own, there, c, scratch_f, scratch_b):
    """Steepest slopes from both ends with where they are, straight slopes, and the highest over the chord."""
    kind = height.dtype.type
    best_f = best_b = one = other = highest = kind(-1e30)
    chord = (there - own) / x
    for k in range(size):
        h, at = read(height, k), read(position, k)
        rest = x - at
        slope_f = (h - own) * read(inverse, k)
        slope_b = (h - there) / rest
        one = larger(one, slope_f)
        other = larger(other, slope_b)
        highest = larger(highest, h - own - chord * at)
        slope_f -= c * at
        slope_b -= c * rest
        note(scratch_f, k, slope_f)
        note(scratch_b, k, slope_b)
        best_f = larger(best_f, slope_f)
        best_b = larger(best_b, slope_b)
    first = last = kind(-1e30)
    for k in range(size):
        at = read(position, k)
        first = larger(first, -at if scratch_f[k] == best_f else kind(-1e30))
        last = larger(last, at if scratch_b[k] == best_b else kind(-1e30))
    return best_f, -first, best_b, last, one, other, highest


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def slopes(position, height, inverse, size, x, own, there, c):
    """Steepest slopes from both ends."""
    kind = height.dtype.type
    best_f = best_b = kind(-1e30)
    for k in range(size):
        h, at = read(height, k), read(position, k)
        rest = x - at
        best_f = larger(best_f, (h - own) * read(inverse, k) - c * at)
        best_b = larger(best_b, (h - there) / rest - c * rest)
    return best_f, best_b


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def ridge(position, height, size, first, last, start_height, incline):
    """Highest vertex over a straight surface between two positions."""
    kind = height.dtype.type
    highest = kind(-1e30)
    for k in range(size):
        at = read(position, k)
        over = read(height, k) - incline * at
        highest = larger(highest, over if (at >= first) & (at <= last) else kind(-1e30))
    return highest - start_height


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def in_sight(h, most, near_x, near_h, count, x, own, there, c, ramp):
    """Largest height over the ray by sqrt(i (x - i)), which is negative in sight, its place and its ground.

    Of two negative ratios the larger has the smaller square, so that over^2 < best i (x - i) decides.
    """
    kind = h.dtype.type
    bulge = c * x - (there - own) / x
    best = kind(1e30)
    at = kind(1)
    ground = kind(0)
    # from the receiver back to the start, so that the last of equals stays
    for k in range(count):
        u = near_x[k]
        over = near_h[k] - own + (bulge - c * u) * u
        square = over * over / (u * (x - u))
        if square < best:
            best = square
            at = u
            ground = near_h[k]
    top = (most // BLOCK) * BLOCK
    for start in range(top, -1, -BLOCK):
        gain = kind(-1e30)
        for k in range(start, start + BLOCK):
            u = read(ramp, BLOCK + k)
            over = read(h, k) - own + (bulge - c * u) * u
            gain = larger(gain, best * u * (x - u) - over * over)
        if gain > kind(0):
            for k in range(min(start + BLOCK - 1, most), max(start, 1) - 1, -1):
                u = read(ramp, BLOCK + k)
                over = h[k] - own + (bulge - c * u) * u
                square = over * over / (u * (x - u))
                if square < best:
                    best = square
                    at = u
                    ground = h[k]
    return -math.sqrt(best), at, ground


@njit(fastmath=ORDERLESS, error_model="numpy", forceinline=True)
def parameter_of(stack_x, stack_h, stack_i, size, g, most, near_x, near_g, count, x, own, there, c, ramp, scale):
    """Parameter of Bullington's edge for the earth of c from the stack, or from all points in sight."""
    ahead, behind = slopes(stack_x, stack_h, stack_i, size, x, own, there, c)
    if ahead > (there - own) / x - c * x:
        return edge(ahead + c * x, behind + c * x, own, there, x, scale)
    best, _, _ = in_sight(g, most, near_x, near_g, count, x, own, there, c, ramp)
    return best * scale * math.sqrt(x)


def flushed(rows, count, where, numbers, table, constants, inland, results, flat):
    """Losses of the lanes that are filled, into their places."""
    raise NotImplementedError


@overload(flushed)
def _flushed(rows, count, where, numbers, table, constants, inland, results, flat):  # noqa: ARG001  one signature for both
    if rows.dtype == types.float32:

        def single(rows, count, where, numbers, table, constants, inland, results, flat):  # noqa: ARG001  one signature for both
            losses(rows, table, constants, numbers[2] < 50.0, results)
            for k in range(count):
                flat[where[k]] = results[k]

        return single

    def precise(rows, count, where, numbers, table, constants, inland, results, flat):  # noqa: ARG001  one signature for both
        row = np.empty(ROWS)
        for k in range(count):
            for i in range(ROWS):
                row[i] = rows[i * LANES + k]
            land = row[tail.DISTANCE]
            flat[where[k]] = loss_of(row, numbers, 0.0, land, land if inland else 0.0, 500.0, 500.0, 0.0, 0.0, False)

    return precise


@njit(cache=True, nogil=True, fastmath=ORDERLESS, error_model="numpy")
def area(
    ground, turned, clutter, width, height, tx, ty, above_t, receivers_x, receivers_y, above_r, pixel, step,
    radials, begin, until, start, order, numbers, inland, constants, table, ramp, out,
):  # fmt: skip
    """Losses [dB] of the receivers on the radials from `begin` to `until`; the ground's type is the precision."""
    kind = ground.dtype.type
    wavelength = diffraction.WAVELENGTH / numbers[0]
    with_beta = numbers[2] < 50.0
    with_clutter = clutter.size > 0
    reference = height_at(ground, width, height, tx, ty)
    low, own, up = kind(reference), kind(above_t), kind(above_r)
    s = 1e-3 * step
    stride = step / pixel
    bend = 500.0 * s * s / numbers[5]
    c, flatter = kind(bend), kind(500.0 * s * s / (3.0 * 6371.0))
    per_metre = kind(1.0 / step)
    scale = kind(math.sqrt(0.002 / (wavelength * s)))
    most = ramp.size - 2 * BLOCK
    # blocks are read to their end, so that what lies beyond the samples must at least be numbers
    h = np.zeros(most + 2 * BLOCK, ground.dtype)
    g = np.zeros(most + 2 * BLOCK, ground.dtype)
    plain = np.zeros(most + 2 * BLOCK)
    weighted = np.zeros(most + 2 * BLOCK)
    stack_x = np.empty(most + 2 * BLOCK, ground.dtype)
    stack_h = np.empty(most + 2 * BLOCK, ground.dtype)
    stack_i = np.empty(most + 2 * BLOCK, ground.dtype)
    cover_x = np.empty(most + 2 * BLOCK, ground.dtype)
    cover_h = np.empty(most + 2 * BLOCK, ground.dtype)
    cover_i = np.empty(most + 2 * BLOCK, ground.dtype)
    scratch_f = np.empty(most + 2 * BLOCK, ground.dtype)
    scratch_b = np.empty(most + 2 * BLOCK, ground.dtype)
    own_h = np.empty(BLOCK, ground.dtype)
    own_g = np.empty(BLOCK, ground.dtype)
    near_x = np.empty(BLOCK, ground.dtype)
    near_h = np.empty(BLOCK, ground.dtype)
    near_g = np.empty(BLOCK, ground.dtype)
    rows = np.ones(ROWS * LANES, ground.dtype)
    results = np.empty(LANES, np.float32)
    where = np.empty(LANES, np.int64)
    lane = 0
    columns = receivers_x.size
    flat = out.reshape(out.size)
    for radial in range(begin, until):
        if start[radial] == start[radial + 1]:
            continue
        azimuth = 2.0 * math.pi * radial / radials
        way_x, way_y = math.cos(azimuth) * stride, math.sin(azimuth) * stride
        farthest = order[start[radial + 1] - 1]
        dx, dy = receivers_x[farthest % columns] - tx, receivers_y[farthest // columns] - ty
        # one more ring than the last receiver's own: within a ring they are in no order
        count = min(int(pixel * math.sqrt(dx * dx + dy * dy) / step) + 3, most)
        if abs(way_x) >= abs(way_y):
            sampled(ground, width, height, tx, ty, way_x, way_y, (count // 32 + 1) * 32, low, h)
        else:
            sampled(turned, height, width, ty, tx, way_y, way_x, (count // 32 + 1) * 32, low, h)
        if with_clutter:
            nearest(clutter, width, height, tx, ty, way_x, way_y, (count // 32 + 1) * 32, h, g)
        total = 0.0
        moment = 0.0
        for k in range(1, count):
            total += h[k]
            moment += k * h[k]
            plain[k] = total
            weighted[k] = moment
        size = 0
        cover = 0
        done = 0
        for turn in range(start[radial], start[radial + 1]):
            at = order[turn]
            q, r = at % columns, at // columns
            dx, dy = receivers_x[q] - tx, receivers_y[r] - ty
            pixels = math.sqrt(dx * dx + dy * dy)
            distance = pixel * pixels
            length = distance / step
            x = kind(length)
            ring = math.ceil(length - 1e-9)
            near = NEAR if ring > SHORT else ring - 1
            m = ring - 1 - near
            while done < m:
                done += 1
                size = pushed(stack_x, stack_h, stack_i, size, np.float64(done), np.float64(h[done]), bend)
                if with_clutter:
                    cover = pushed(cover_x, cover_h, cover_i, cover, np.float64(done), np.float64(g[done]), bend)
            # the path's own samples, from the receiver back
            back_x, back_y = -dx / pixels * stride, -dy / pixels * stride
            if abs(dx) >= abs(dy):
                sampled(ground, width, height, receivers_x[q], receivers_y[r], back_x, back_y, 16, low, own_h)
            else:
                sampled(turned, height, width, receivers_y[r], receivers_x[q], back_y, back_x, 16, low, own_h)
            end = own_h[0]
            there = end + up
            for k in range(16):
                near_x[k] = x - kind(k + 1)
                near_h[k] = own_h[k + 1]
            for k in range(near):
                place = x - kind(near - k)
                stack_x[size + k] = place
                stack_h[size + k] = own_h[near - k]
                stack_i[size + k] = kind(1) / place
            filled = closed(stack_x, stack_h, stack_i, size + near)

            # smooth earth, (85) to (91): prefix sums, the gap between radial and own samples, the own samples
            first_x = length - near
            double = 0.0
            six = 0.0
            for k in range(1, near):
                double += own_h[k]
                six += own_h[k] * (length - k)
            first_h = np.float64(own_h[near])
            if m > 0:
                before = np.float64(h[m])
                v1 = 2.0 * plain[m - 1] + before
                v2 = 6.0 * weighted[m - 1] + before * (3.0 * m - 1.0)
            else:
                before = 0.0
                v1 = v2 = 0.0
            gap = first_x - m
            v1 += gap * (first_h + before) + 2.0 * double + first_h + end
            v2 += gap * (first_h * (2.0 * first_x + m) + before * (first_x + 2.0 * m))
            v2 += 6.0 * six + first_h * (3.0 * first_x + 1.0) + end * (3.0 * length - 1.0)
            start_smooth = kind((2.0 * v1 * length - v2) / (length * length))
            end_smooth = kind((v2 - v1 * length) / (length * length))
            start_d, end_d = start_smooth, end_smooth
            start_a, end_a = min(start_smooth, kind(0)), min(end_smooth, end)
            incline = (end_a - start_a) / x
            chord = (there - own) / x

            ahead, first, behind, last, one, other, highest = extremes(
                stack_x, stack_h, stack_i, filled, x, own, there, c, scratch_f, scratch_b
            )
            if highest > kind(0):
                one -= chord
                other += chord
                start_d -= highest * one / (one + other)
                end_d -= highest * other / (one + other)
            direct = chord - c * x
            if ahead > direct:
                parameter = edge(ahead + c * x, behind + c * x, own, there, x, scale)
                rough = ridge(stack_x, stack_h, filled, first, last, start_a, incline)
            else:
                best, first, over = in_sight(h, m, near_x, near_h, near, x, own, there, c, ramp)
                last = first
                ahead, behind = direct, -chord - c * x
                parameter = best * scale * math.sqrt(x)
                rough = over - (start_a + incline * first)
            if with_clutter:
                nearest(clutter, width, height, receivers_x[q], receivers_y[r], back_x, back_y, 16, own_h, own_g)
                for k in range(near):
                    place = x - kind(near - k)
                    cover_x[cover + k] = place
                    cover_h[cover + k] = own_g[near - k]
                    cover_i[cover + k] = kind(1) / place
                    near_g[k] = own_g[k + 1]
                wide = closed(cover_x, cover_h, cover_i, cover + near)
                parameter = parameter_of(
                    cover_x, cover_h, cover_i, wide, g, m, near_x, near_g, near, x, own, there, c, ramp, scale
                )
                if with_beta:
                    rows[tail.PARAMETER_BETA * LANES + lane] = parameter_of(
                        cover_x, cover_h, cover_i, wide, g, m, near_x, near_g, near, x, own, there, flatter, ramp, scale
                    )
            elif with_beta:
                rows[tail.PARAMETER_BETA * LANES + lane] = parameter_of(
                    stack_x, stack_h, stack_i, filled, h, m, near_x, near_h, near, x, own, there, flatter, ramp, scale
                )
            rows[tail.DISTANCE * LANES + lane] = kind(1e-3 * distance)
            rows[tail.STEPS * LANES + lane] = x
            rows[tail.RISE * LANES + lane] = there - own
            rows[tail.PARAMETER * LANES + lane] = parameter
            rows[tail.ABOVE_T * LANES + lane] = own - min(start_d, kind(0))
            rows[tail.ABOVE_R * LANES + lane] = there - min(end_d, end)
            rows[tail.TANGENT_T * LANES + lane] = ahead * per_metre
            rows[tail.TANGENT_R * LANES + lane] = behind * per_metre
            rows[tail.HORIZON_T * LANES + lane] = kind(s) * first
            rows[tail.HORIZON_R * LANES + lane] = kind(s) * (x - last)
            rows[tail.DUCT_T * LANES + lane] = own - start_a
            rows[tail.DUCT_R * LANES + lane] = there - end_a
            rows[tail.ROUGH * LANES + lane] = rough
            where[lane] = at
            lane += 1
            if lane == LANES:
                flushed(rows, lane, where, numbers, table, constants, inland, results, flat)
                lane = 0
    if lane > 0:
        flushed(rows, lane, where, numbers, table, constants, inland, results, flat)
