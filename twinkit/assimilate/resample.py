"""The bootstrap particle filter: members are kept or dropped by how well they explain the readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.assimilate.transform import _members
from twinkit.error import TwinError

if TYPE_CHECKING:
    from twinkit.assimilate.transform import Method

__all__ = ["likelihood", "particle", "survivors"]


def particle(*, jitter: float = 0.0) -> Method:
    """Bayes' rule without a Gaussian forecast: members are resampled by the likelihood of the readings.

    ::

        wᵢ ∝ exp(-½ Σ ((y - H xᵢ) / σ)²),   x'ᵢ = x_{a(i)} + h (x_b - x_c)/√2

    with a(i) drawn systematically by w, and b, c at random among the survivors.

    Parameters
    ----------
    jitter : float [1]
        Bandwidth h in spreads of the survivors. Without noise in the model copies stay copies: a model without
        noise needs some (0.1 to 0.5).

    Returns
    -------
    method

    Validity
    --------
    Any forecast distribution; the members needed grow exponentially with what the readings say. In more than about
    ten directions use the Kalman methods. ``jitter`` widens the posterior variance by the factor 1 + h².

    Examples
    --------
    >>> prior = np.random.default_rng(0).normal(size=(4000, 1))
    >>> posterior = particle()(prior, np.array([1.0]), np.array([1.0]), np.random.default_rng(1)) @ prior
    >>> bool(abs(posterior.mean() - 0.5) < 0.05 and abs(posterior.var() - 0.5) < 0.05)
    True

    References
    ----------
    N. J. Gordon, D. J. Salmond and A. F. M. Smith, IEE Proc. F 140 (1993) 107-113; G. Kitagawa, J. Comput. Graph.
    Stat. 5 (1996) 1-25 (systematic resampling).
    """
    if not (np.isfinite(jitter) and jitter >= 0):
        raise TwinError("a jitter of zero or more", found=repr(jitter), hint="0.2 is a good start", where="jitter")

    def weights(predicted: np.ndarray, observed: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> Any:
        from scipy.sparse import csr_array

        count = _members(predicted)
        kept = survivors(likelihood(predicted, observed, noise), rng.random())
        rows = np.arange(count)
        if jitter == 0.0:
            return csr_array((np.ones(count), (rows, kept)), shape=(count, count))
        one, two = kept[rng.integers(count, size=count)], kept[rng.integers(count, size=count)]
        step = np.full(count, jitter / np.sqrt(2))
        data = np.concatenate([np.ones(count), step, -step])
        return csr_array((data, (np.tile(rows, 3), np.concatenate([kept, one, two]))), shape=(count, count))

    return weights


def likelihood(predicted: np.ndarray, observed: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The weight of each member, which sum to one; Gaussian noise, independent between sensors.

    >>> likelihood(np.array([[0.0], [1.0]]), np.array([1.0]), np.array([1.0])).round(3)
    array([0.378, 0.622])
    """
    log = -0.5 * (((observed - predicted) / noise) ** 2).sum(1)
    weight = np.exp(log - log.max())
    return weight / weight.sum()


def survivors(weight: np.ndarray, start: float) -> np.ndarray:
    """Systematic resampling: equally spaced marks on the line of weights; which member each falls on.

    Parameters
    ----------
    weight : array (member,), sums to one
    start : float in [0, 1)
        Where the first mark stands within its interval.

    >>> survivors(np.array([0.5, 0.0, 0.5]), 0.5)
    array([0, 2, 2])
    """
    marks = (np.arange(len(weight)) + start) / len(weight)
    line = np.cumsum(weight)
    line[-1] = 1.0  # rounding must not leave the last mark beyond the end
    return np.searchsorted(line, marks, side="right").clip(max=len(weight) - 1)
