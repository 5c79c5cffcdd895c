"""The local ensemble transform Kalman filter: the square root update, at every location with what lies near it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numba
import numpy as np

from twinkit.assimilate.localise import _positive, box
from twinkit.assimilate.transform import _at_least_zero, _members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinkit.assimilate.localise import Neighbours

__all__ = ["Local", "letkf"]

BLOCK = 4096
"""Locations in one task of a thread."""


@dataclass(frozen=True)
class Local:
    """A localised update; made by `letkf`."""

    radius: float
    along: tuple[str, ...]
    period: Mapping[str, float] | None = None
    inflation: float = 1.0
    rotate: bool = False
    box: tuple[float, ...] | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", box(self.along, self.period))

    def updated(
        self,
        members: np.ndarray,
        near: Neighbours,
        predicted: np.ndarray,
        observed: np.ndarray,
        noise: np.ndarray,
        turn: np.ndarray | None,
        *,
        where: np.ndarray | None = None,
        threads: int | None = None,
    ) -> np.ndarray:
        """The members after the update.

        Parameters
        ----------
        members : array, (variable, member, location)
        near : Neighbours
            Observations of each location.
        predicted, observed, noise
            As every method takes them; a gap is an infinite `noise`.
        turn : array (member, member) or None
            The rotation, the same everywhere.
        where : array of int, optional
            Which locations of `near` those of `members` are; without it all, in order.
        threads : int, optional
            Without it one for each core. Each location stands alone, so that their number changes no byte.
        """
        _members(predicted)
        scaled, missing = _whitened(predicted, observed, noise)
        rotated = np.zeros((0, 0)) if turn is None else turn
        out = np.empty_like(members)
        locations = members.shape[2]
        where = np.arange(locations) if where is None else where
        begin = range(0, locations, BLOCK)

        def block(start: int) -> None:
            stop = min(start + BLOCK, locations)
            _analysed(
                members, out, where, start, stop, near.start, near.sensor, near.root, scaled, missing, rotated,
                self.inflation,
            )  # fmt: skip

        if len(begin) == 1 or threads == 1:
            for start in begin:
                block(start)
        else:
            with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
                list(pool.map(block, begin))
        return out


def letkf(
    *,
    radius: float,
    along: tuple[str, ...] = ("x", "y"),
    period: Mapping[str, float] | None = None,
    inflation: float = 1.0,
    rotate: bool = False,
) -> Local:
    """The local ensemble transform Kalman filter with Gaspari-Cohn's taper on the observations' precision.

    At each location, with the observations within `radius`, R⁻¹ tapered::

        C = Y R⁻¹ Yᵀ + (N - 1) I,   w = Y R⁻¹ (y - ȳ) C⁻¹,   T = √(N - 1) C^(-1/2),   xᵢ ← x̄ + (w + Tᵢ) A

    Parameters
    ----------
    radius : float [unit of the axes]
        Where an observation's influence ends (see `gaspari_cohn`).
    along : tuple of str
        Coordinates that hold positions: of the state's variables, and of the observations (``seen``'s own, else
        those of the variable that they observe). A variable without them (a parameter that holds everywhere) is
        updated by all observations alike.
    period : dict of str to float, optional
        Length of an axis that closes on itself.
    inflation : float [1]
        Factor on the anomalies after the update.
    rotate : bool
        Turn the anomalies at random, everywhere alike.

    Returns
    -------
    method

    Validity
    --------
    Noise independent between sensors. Work grows with locations × (nearby observations or members, the smaller)³.

    Examples
    --------
    >>> letkf(radius=20e3, inflation=1.04).radius
    20000.0

    References
    ----------
    B. R. Hunt, E. J. Kostelich and I. Szunyogh, Physica D 230 (2007) 112-126, section 2.3.3. Ledger: row
    "lorenz96 letkf 7" of `assimilate.scores`.
    """
    _positive(radius, "radius")
    _at_least_zero(inflation)
    return Local(float(radius), (along,) if isinstance(along, str) else tuple(along), period, float(inflation), rotate)


# ---------------------------------------------------------------- kernels

# Nodes of the quadrature at most: enough for anomalies three thousand times the noise.
MOST = 1024

# cos² at the midpoints of 8, 16, ... 1024 equal parts of a right angle, one after the other
COSINES = np.concatenate([np.cos((np.arange(m) + 0.5) * np.pi / (2 * m)) ** 2 for m in 8 * 2 ** np.arange(8)])


@numba.njit(nogil=True, cache=True)
def _whitened(predicted, observed, noise):  # type: ignore[no-untyped-def]
    """Anomalies (sensor, member) and innovations in units of the noise; zero where a sensor was silent."""
    count, sensors = predicted.shape
    # sensors first, so that one location reads few cache lines
    scaled, missing = np.zeros((sensors, count)), np.zeros(sensors)
    for s in range(sensors):
        if np.isfinite(noise[s]):
            mean = 0.0
            for i in range(count):
                mean += predicted[i, s]
            mean /= count
            for i in range(count):
                scaled[s, i] = (predicted[i, s] - mean) / noise[s]
            missing[s] = (observed[s] - mean) / noise[s]
    return scaled, missing


@numba.njit(nogil=True, cache=True)
def _analysed(members, out, where, begin, end, start, sensor, root, scaled, missing, turn, inflation):  # type: ignore[no-untyped-def]
    """The update at each location of a block, in the smaller of the spaces of observations and of members."""
    variables, count, _ = members.shape
    free = count - 1.0
    most = 1
    for place in range(begin, end):
        most = max(most, start[where[place] + 1] - start[where[place]])
    local, square_of = np.empty((most, count)), np.empty(count * count)
    diagonal_of, beside_of, push_of, along_of = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    new, scratch = np.empty(count), np.empty(count)
    terms = np.empty((2, count * MOST))
    for place in range(begin, end):
        first = start[where[place]]
        heard = start[where[place] + 1] - first
        few = heard < count
        size = heard if few else count
        matrix, push, along = square_of[: size * size].reshape(size, size), push_of[:size], along_of[:size]
        matrix[:], push[:] = 0.0, 0.0
        for k in range(heard):
            taper, row = root[first + k], scaled[sensor[first + k]]
            for i in range(count):
                local[k, i] = taper * row[i]
        if few:
            for k in range(heard):
                push[k] = root[first + k] * missing[sensor[first + k]]
                for m in range(k + 1):
                    for i in range(count):
                        matrix[k, m] += local[k, i] * local[m, i]
                    matrix[m, k] = matrix[k, m]
        else:
            for k in range(heard):
                gap = root[first + k] * missing[sensor[first + k]]
                for i in range(count):
                    push[i] += local[k, i] * gap
            for i in range(count):
                for j in range(i + 1):
                    total = 0.0
                    for k in range(heard):
                        total += local[k, i] * local[k, j]
                    matrix[i, j] = matrix[j, i] = total
        diagonal, beside = diagonal_of[:size], beside_of[:size]
        tridiagonal(matrix, diagonal, beside, scratch)
        _reflected(push, matrix, True)
        _solved(diagonal, beside, push, free, scratch)
        # spread is made up for where observations took it, so that it cannot grow without end elsewhere
        wider = inflation if heard else 1.0
        for v in range(variables):
            mean = 0.0
            for i in range(count):
                mean += members[v, i, place]
            mean /= count
            for i in range(count):
                new[i] = members[v, i, place] - mean
            if few:
                along[:] = 0.0
                for k in range(size):
                    for i in range(count):
                        along[k] += local[k, i] * new[i]
            else:
                along[:] = new
            _reflected(along, matrix, True)
            rise = 0.0
            for k in range(size):
                rise += along[k] * push[k]
            inverse_root(diagonal, beside, along, free, few, terms)
            _reflected(along, matrix, False)
            if few:
                for k in range(size):
                    for i in range(count):
                        new[i] -= local[k, i] * along[k]
            else:
                new[:] = along
            for i in range(count):
                turned = new[i]
                if turn.shape[0]:
                    turned = 0.0
                    for j in range(count):
                        turned += turn[i, j] * new[j]
                out[v, i, place] = mean + rise + wider * turned


@numba.njit(nogil=True, cache=True)
def tridiagonal(matrix, diagonal, beside, product):  # type: ignore[no-untyped-def]
    """A symmetric matrix brought to three diagonals by Householder reflections, which replace its rows.

    Functions of the matrix are wanted times one vector for each variable, so that neither eigenvalues nor
    eigenvectors need be formed. (Golub and Van Loan, Matrix Computations, section 8.3.1.)
    """
    size = len(matrix)
    for k in range(size - 2):
        row = matrix[k]
        length = 0.0
        for i in range(k + 1, size):
            length += row[i] * row[i]
        length = np.sqrt(length)
        beside[k] = 0.0
        if length == 0.0:
            continue  # an empty row is its own reflector: none
        head = row[k + 1]
        to = -length if head > 0 else length
        beside[k] = to
        # unit reflector u in the row that it empties: A ← (I - 2uuᵀ) A (I - 2uuᵀ)
        scale = 1 / np.sqrt(2 * length * (length + abs(head)))
        row[k + 1] = head - to
        for i in range(k + 1, size):
            row[i] *= scale
        inner = 0.0
        for i in range(k + 1, size):
            total = 0.0
            for j in range(k + 1, size):
                total += matrix[i, j] * row[j]
            product[i] = 2 * total
            inner += row[i] * total
        for i in range(k + 1, size):
            product[i] -= 2 * inner * row[i]
        for i in range(k + 1, size):
            for j in range(k + 1, size):
                matrix[i, j] -= row[i] * product[j] + product[i] * row[j]
    for i in range(size):
        diagonal[i] = matrix[i, i]
    if size > 1:
        beside[size - 2] = matrix[size - 2, size - 1]


@numba.njit(nogil=True, cache=True)
def _reflected(vector, reflectors, forward):  # type: ignore[no-untyped-def]
    """A vector, in place, to the basis of the three diagonals, or back."""
    size = len(vector)
    for step in range(size - 2):
        k = step if forward else size - 3 - step
        inner = 0.0
        for i in range(k + 1, size):
            inner += vector[i] * reflectors[k, i]
        for i in range(k + 1, size):
            vector[i] -= 2 * inner * reflectors[k, i]


@numba.njit(nogil=True, cache=True)
def _solved(diagonal, beside, vector, shift, pivot):  # type: ignore[no-untyped-def]
    """(T + shift I)⁻¹ times a vector, in place."""
    size = len(vector)
    for i in range(size):
        pivot[i] = diagonal[i] + shift
        if i:
            ratio = beside[i - 1] / pivot[i - 1]
            pivot[i] -= ratio * beside[i - 1]
            vector[i] -= ratio * vector[i - 1]
    for i in range(size - 1, -1, -1):
        if i < size - 1:
            vector[i] -= beside[i] * vector[i + 1]
        vector[i] /= pivot[i]


@numba.njit(nogil=True, cache=True)
def inverse_root(diagonal, beside, vector, free, few, terms):  # type: ignore[no-untyped-def]
    """A^(-1/2) times a vector, in place, for A = I + T/free; for `few` (I - A^(-1/2)) T⁻¹ times it.

    The midpoint rule on a periodic integrand, which converges geometrically for any spectrum between 1 and
    1 + trace(T)/free = K; with g = √K and m nodes θ between 0 and π/2::

        A^(-1/2) = 2/π ∫ (A + t²)⁻¹ dt ≈ √g/m Σ (cos²θ A + g sin²θ I)⁻¹

    (N. Hale, N. J. Higham and L. N. Trefethen, SIAM J. Numer. Anal. 46 (2008) 2505-2523, method 1.) All terms are
    positive definite, so that nothing cancels, and the nodes are worked on side by side. With T = L Lᵀ each term
    passes through Woodbury's identity to the space of L Lᵀ, where the terms that do not depend on it cancel exactly.
    """
    size = len(vector)
    if size == 0:
        return
    bound = 1.0
    for i in range(size):
        bound += diagonal[i] / free
    bound = max(bound, 1.0)
    middle = np.sqrt(bound)
    low = 1 / np.sqrt(middle)
    fall = 2 * np.log((1 + low) / (1 - low + 1e-17))
    nodes = 8
    # 1e-14, or as many as there are
    while nodes < MOST and nodes * fall < 32:
        nodes *= 2
    cosines = COSINES[nodes - 8 : 2 * nodes - 8]
    pivot, right = terms[0, : size * nodes].reshape(size, nodes), terms[1, : size * nodes].reshape(size, nodes)
    share = 1 / free
    for j in range(nodes):
        pivot[0, j] = 1 / (cosines[j] + middle * (1 - cosines[j]) + share * cosines[j] * diagonal[0])
        right[0, j] = vector[0]
    for i in range(1, size):
        off, own, value = beside[i - 1], diagonal[i], vector[i]
        last, mine, before, now = pivot[i - 1], pivot[i], right[i - 1], right[i]
        for j in range(nodes):
            beta = share * cosines[j]
            ratio = beta * off * last[j]
            mine[j] = 1 / (cosines[j] + middle * (1 - cosines[j]) + beta * (own - off * ratio))
            now[j] = value - ratio * before[j]
    for i in range(size - 1, -1, -1):
        total = 0.0
        now, mine = right[i], pivot[i]
        if i < size - 1:
            off, after = beside[i], right[i + 1]
            for j in range(nodes):
                now[j] -= share * cosines[j] * off * after[j]
        for j in range(nodes):
            now[j] *= mine[j]
            total += now[j] * (share * cosines[j] / (cosines[j] + middle * (1 - cosines[j])) if few else 1.0)
        vector[i] = total * np.sqrt(middle) / nodes
