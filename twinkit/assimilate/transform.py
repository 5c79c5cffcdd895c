"""Ensemble Kalman updates: each is a matrix of weights, new member × old member.

Whatever the method, an updated member is a mixture of the forecast members. A method is therefore a function
``method(predicted, observed, noise, rng) -> weights`` with

- ``predicted`` (member, sensor): what the sensors would read in each member;
- ``observed`` (sensor,): what they read; without gaps (those are left out before);
- ``noise`` (sensor,): standard deviation of their noise, independent between sensors;
- ``weights`` (member, member): row i makes the new member i; each row sums to one. Dense or `scipy.sparse`.

A function of your own with these four parameters is a method like those below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

    Method = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], Any]

__all__ = ["finite_size", "perturbed", "square_root"]


def perturbed(*, inflation: float = 1.0) -> Method:
    """The stochastic ensemble Kalman filter: every member meets its own perturbed observation.

    ::

        xᵢ ← xᵢ + K (y + εᵢ - H xᵢ),   K = Aᵀ Y (Yᵀ Y + (N - 1) R)⁻¹,   εᵢ ~ N(0, R), Σ εᵢ = 0

    Parameters
    ----------
    inflation : float [1]
        Factor on the anomalies after the update; above 1 makes up for sampling error.

    Returns
    -------
    method

    Examples
    --------
    >>> prior = np.random.default_rng(0).normal(size=(500, 1))
    >>> weights = perturbed()(prior, np.array([1.0]), np.array([1.0]), np.random.default_rng(1))
    >>> posterior = weights @ prior
    >>> bool(abs(posterior.mean() - 0.5) < 0.1 and abs(posterior.var() - 0.5) < 0.1)
    True

    References
    ----------
    G. Burgers, P. J. van Leeuwen and G. Evensen, Mon. Weather Rev. 126 (1998) 1719-1724;
    P. Sakov and P. R. Oke, Tellus A 60 (2008) 361-371, table 1. Ledger: row "lorenz96 perturbed 40" of
    `assimilate.scores`.
    """
    _at_least_zero(inflation)

    def weights(predicted: np.ndarray, observed: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = _members(predicted)
        mean = predicted.mean(0)
        scaled = (predicted - mean) / noise
        errors = rng.standard_normal(predicted.shape)
        errors -= errors.mean(0)
        missing = (observed - predicted) / noise + errors
        # Woodbury: solve in the smaller of the two spaces
        if len(observed) < count:
            inner = scaled.T @ scaled
            inner[np.diag_indices_from(inner)] += count - 1
            move = missing @ np.linalg.solve(inner, scaled.T)
        else:
            inner = scaled @ scaled.T
            inner[np.diag_indices_from(inner)] += count - 1
            move = np.linalg.solve(inner, scaled @ missing.T).T
        # move acts on anomalies, whose mean is zero
        out = np.eye(count) + move - move.mean(1, keepdims=True)
        return _inflated(out, inflation)

    return weights


def square_root(*, inflation: float = 1.0, rotate: bool = False) -> Method:
    """The deterministic ensemble Kalman filter with the symmetric square root (ETKF).

    ::

        w = Y R⁻¹ (y - ȳ) (Y R⁻¹ Yᵀ + (N - 1) I)⁻¹,   T = √(N - 1) (Y R⁻¹ Yᵀ + (N - 1) I)^(-1/2)
        xᵢ ← x̄ + (w + Tᵢ) A

    Parameters
    ----------
    inflation : float [1]
        Factor on the anomalies after the update.
    rotate : bool
        Turn the anomalies at random, mean and covariance kept; without it a small ensemble of a nonlinear model
        drifts into one outlier and a cluster.

    Returns
    -------
    method

    Examples
    --------
    >>> prior = np.random.default_rng(0).normal(size=(9, 1))
    >>> prior = (prior - prior.mean()) / prior.std(ddof=1)
    >>> posterior = square_root()(prior, np.array([1.0]), np.array([1.0]), np.random.default_rng(1)) @ prior
    >>> round(float(posterior.mean()), 6), round(float(posterior.var(ddof=1)), 6)
    (0.5, 0.5)

    References
    ----------
    C. H. Bishop, B. J. Etherton and S. J. Majumdar, Mon. Weather Rev. 129 (2001) 420-436;
    B. R. Hunt, E. J. Kostelich and I. Szunyogh, Physica D 230 (2007) 112-126, equations 20-24;
    P. Sakov and P. R. Oke, Mon. Weather Rev. 136 (2008) 1042-1053 (rotations).
    """
    _at_least_zero(inflation)

    def weights(predicted: np.ndarray, observed: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _transformed(
            predicted, observed, noise, 1.0, inflation, rotation(len(predicted), rng) if rotate else None
        )

    return weights


def finite_size(*, rotate: bool = True, trust: float = 1.0) -> Method:
    """The finite-size ensemble Kalman filter (EnKF-N): it finds the inflation that the ensemble's size calls for.

    Mean and covariance of the forecast are themselves uncertain. Integrated over that uncertainty, the prior is
    inflated by the factor λ that minimises, with σ the singular values of Y R^(-1/2) and δ the innovation in their
    basis::

        D(λ) = Σ δ² / (λ² σ² + N - 1) + ε/λ² + c ln λ²,   ε = (N + 1)/N,   c = N/(N - 1)

    with both coefficients corrected so that the mode is right where observations say little.

    Parameters
    ----------
    rotate : bool
        As for `square_root`.
    trust : float [1]
        Weight of the hyperprior; 2 suits weakly nonlinear models.

    Returns
    -------
    method

    Examples
    --------
    An innovation that the spread cannot explain widens it; an agreeable one does not.

    >>> prior = np.random.default_rng(0).normal(size=(10, 3)) * 0.1
    >>> update = finite_size(rotate=False)
    >>> wide = update(prior, np.full(3, 2.0), np.full(3, 0.1), np.random.default_rng(0)) @ prior
    >>> narrow = update(prior, np.full(3, 0.0), np.full(3, 0.1), np.random.default_rng(0)) @ prior
    >>> bool(wide.std() > 1.2 * narrow.std())
    True

    References
    ----------
    M. Bocquet, Nonlinear Process. Geophys. 18 (2011) 735-750; M. Bocquet and P. Sakov, ibid. 19 (2012) 383-399
    (dual form); M. Bocquet, P. N. Raanes and A. Hannart, ibid. 22 (2015) 645-662 (ε, c and their correction,
    equation 36).
    """
    if not trust > 0:
        raise TwinError("a positive trust", found=repr(trust), hint="leave it out, or give 2", where="trust")

    def weights(predicted: np.ndarray, observed: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = _members(predicted)
        mean = predicted.mean(0)
        scaled = (predicted - mean) / noise
        _, sigma, right = np.linalg.svd(scaled, full_matrices=False)
        delta = right @ ((observed - mean) / noise)
        epsilon, c = (count + 1) / count, count / (count - 1)
        squares = np.zeros(count)
        squares[: len(sigma)] = sigma**2
        # how much of the prior the observations leave: 1 where they say nothing
        left = float(np.mean((count - 1) / (squares + count - 1)))
        correction = np.sqrt((epsilon / c) ** left)
        factor = _prior_inflation(sigma**2, delta**2, trust * epsilon / correction, trust * c * correction, count - 1)
        return _transformed(predicted, observed, noise, factor, 1.0, rotation(count, rng) if rotate else None)

    return weights


def rotation(count: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal matrix (member, member) that keeps the mean: each row and column sums to one.

    >>> turn = rotation(4, np.random.default_rng(0))
    >>> bool(np.allclose(turn @ turn.T, np.eye(4)) and np.allclose(turn.sum(0), 1))
    True
    """
    return _turned(rng.standard_normal((count - 1, count - 1)))


@numba.njit(nogil=True, cache=True)
def _turned(draws):  # type: ignore[no-untyped-def]
    count = len(draws) + 1
    # Haar measure on the orthogonal group of the space beside the vector of ones
    inner, upper = np.linalg.qr(draws)
    whole = np.zeros((count, count))
    whole[0, 0] = 1.0
    for i in range(count - 1):
        for j in range(count - 1):
            whole[i + 1, j + 1] = inner[i, j] if upper[j, j] > 0 else -inner[i, j]
    # a basis whose first vector is (1, ..., 1)/√N: one Householder reflection of the unit basis, on both sides
    mirror = np.full(count, 1 / np.sqrt(count))
    mirror[0] -= 1.0
    scale = 2 / (mirror @ mirror)
    whole -= scale * np.outer(mirror, mirror @ whole)
    whole -= scale * np.outer(whole @ mirror, mirror)
    return whole


def _transformed(
    predicted: np.ndarray,
    observed: np.ndarray,
    noise: np.ndarray,
    before: float,
    after: float,
    turn: np.ndarray | None,
) -> np.ndarray:
    """The weights of the symmetric square root, anomalies inflated before and after."""
    count = _members(predicted)
    mean = predicted.mean(0)
    scaled = before * (predicted - mean) / noise
    missing = (observed - mean) / noise
    if len(observed) < count:
        # the few directions that the observations see; all others stay as they are
        vectors, sigma, _ = np.linalg.svd(scaled, full_matrices=False)
        squares = sigma**2
        root = np.eye(count) + (vectors * (np.sqrt((count - 1) / (squares + count - 1)) - 1)) @ vectors.T
    else:
        squares, vectors = np.linalg.eigh(scaled @ scaled.T)
        squares = np.maximum(squares, 0.0)
        root = (vectors * np.sqrt((count - 1) / (squares + count - 1))) @ vectors.T
    shift = (vectors / (squares + count - 1)) @ (vectors.T @ (scaled @ missing))
    if turn is not None:
        root = turn @ root
    out = before * (shift + after * root)
    out += (1 - out.sum(1, keepdims=True)) / count
    return out


@numba.njit(nogil=True, cache=True)
def _dual(logarithm, squares, deltas, epsilon, c, freedom):  # type: ignore[no-untyped-def]
    inflated = np.exp(2 * logarithm)
    out = epsilon / inflated + c * 2 * logarithm
    for k in range(len(squares)):
        out += deltas[k] / (inflated * squares[k] + freedom)
    return out


@numba.njit(nogil=True, cache=True)
def _prior_inflation(squares, deltas, epsilon, c, freedom):  # type: ignore[no-untyped-def]
    """λ at the lowest point of the dual: a scan, because there may be two valleys, then golden section."""
    low, high, steps = -3.0, 6.0, 90
    best, at = np.inf, 0.0
    width = (high - low) / steps
    for k in range(steps + 1):
        here = low + k * width
        value = _dual(here, squares, deltas, epsilon, c, freedom)
        if value < best:
            best, at = value, here
    a, b = at - width, at + width
    golden = (np.sqrt(5.0) - 1) / 2
    x, y = b - golden * (b - a), a + golden * (b - a)
    fx, fy = _dual(x, squares, deltas, epsilon, c, freedom), _dual(y, squares, deltas, epsilon, c, freedom)
    while b - a > 1e-6:
        if fx < fy:
            b, y, fy = y, x, fx
            x = b - golden * (b - a)
            fx = _dual(x, squares, deltas, epsilon, c, freedom)
        else:
            a, x, fx = x, y, fy
            y = a + golden * (b - a)
            fy = _dual(y, squares, deltas, epsilon, c, freedom)
    return np.exp((a + b) / 2)


def _inflated(weights: np.ndarray, factor: float) -> np.ndarray:
    """The same new mean, the new anomalies times a factor."""
    if factor == 1.0:
        return weights
    mean = weights.mean(0)
    return mean + factor * (weights - mean)


def _members(predicted: np.ndarray) -> int:
    if len(predicted) < 2:
        raise TwinError("at least two members", found=str(len(predicted)), hint="draw more: assimilate.ensemble(...)")
    return len(predicted)


def _at_least_zero(inflation: float) -> None:
    if not (np.isfinite(inflation) and inflation > 0):
        raise TwinError(
            "a positive inflation", found=repr(inflation), hint="1 for none, 1.02 for a little", where="inflation"
        )
