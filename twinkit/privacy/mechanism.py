"""Mechanisms: the noise that a count gets before anybody may see it, from OpenDP, with OpenDP's own word on its cost.

A mechanism is a function that you pass: it takes what one unit can change and the privacy asked for, and gives a
`Noise`, which knows its cost before it is drawn. OpenDP draws from the operating system's cryptographic generator and
takes no seed; with a generator of NumPy the same distribution is drawn again and again, for tests and lessons alone.
"""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError
from twinkit.privacy.account import Cost, positive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Bound", "Noise", "gaussian", "geometric", "laplace", "thresholded"]


@dataclass(frozen=True)
class Bound:
    """The most that one protected unit can change in a table of counts.

    Attributes
    ----------
    total : int
        Sum over all cells (the L1 sensitivity).
    each : int
        In one cell (the L-infinity sensitivity).
    """

    total: int
    each: int

    def __post_init__(self) -> None:
        for name, value, hint in (
            ("bound", self.total, "bound=4 lets each unit add four counts"),
            ("each", self.each, "each=1 counts a unit once in a cell"),
        ):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= 2**31:
                raise TwinError("a whole number from 1 to 2^31", found=repr(value), hint=hint, where=name)
        if self.each > self.total:
            raise TwinError(
                f"each of at most bound={self.total}", found=f"{self.each}", hint="lower each", where="each"
            )

    @property
    def euclidean(self) -> float:
        """The L2 sensitivity: total spread over cells of `each` [1].

        >>> Bound(4, 1).euclidean, Bound(4, 4).euclidean
        (2.0, 4.0)
        """
        return math.sqrt(self.total * self.each)


@dataclass(frozen=True)
class Noise:
    """Noise that is ready to be drawn.

    Attributes
    ----------
    name : str
    scale : float
        Scale parameter of the distribution, in counts.
    deviation : float
        Standard deviation of one cell, in counts.
    cost : Cost
    draw : function
        ``draw(values, generator)`` gives the noisy values; without a generator from OpenDP.
    """

    name: str
    scale: float
    deviation: float
    cost: Cost
    draw: Callable[[np.ndarray, np.random.Generator | None], np.ndarray]


@functools.cache
def prelude() -> Any:
    """OpenDP, ready to use; it is imported where it is needed."""
    try:
        import opendp.prelude as dp
    except ImportError:
        raise TwinError(
            "the library OpenDP", found="none installed", hint="pip install 'twinkit[privacy]'", where="opendp"
        ) from None
    dp.enable_features("contrib")
    return dp


@contextlib.contextmanager
def asked() -> Iterator[Any]:
    """OpenDP for one question; what it raises becomes one TwinError."""
    dp = prelude()
    try:
        yield dp
    except (dp.OpenDPException, TypeError, ValueError, OverflowError) as fault:
        text = " ".join(str(fault).split())[:120] or type(fault).__name__
        hint = "take an epsilon from 0.001 to 100, a delta from 1e-15 to 0.1, and a bound of at most a million"
        raise TwinError("a privacy that OpenDP can keep", found=text, hint=hint) from None


def whole(dp: Any, metric: Any) -> tuple[Any, Any]:
    """The space of tables of whole numbers."""
    return dp.vector_domain(dp.atom_domain(T="i64")), metric


def _no_delta(delta: float, name: str) -> None:
    if delta:
        raise TwinError(
            f"delta=0 with {name} noise on known cells", found=f"{delta!r}", hint="leave delta out", where="delta"
        )


def laplace(bound: Bound, *, epsilon: float, delta: float = 0.0) -> Noise:
    """Laplace noise: pure epsilon-privacy, on values that need not be whole.

    Equation: p(x) = exp(-|x| / s) / (2 s), s = total / epsilon.

    Parameters
    ----------
    bound : Bound
    epsilon : float [1]
    delta : float [1]
        Must be 0.

    Returns
    -------
    Noise

    Errors
    ------
    TwinError
        Epsilon is no finite number above 0, or delta is given.

    Examples
    --------
    >>> laplace(Bound(4, 4), epsilon=0.5).scale
    8.0

    References
    ----------
    C. Dwork, A. Roth, The Algorithmic Foundations of Differential Privacy, 2014, Definition 3.3 and Theorem 3.6.
    """
    _no_delta(delta, "Laplace")
    return _laplace(bound, positive(epsilon, "epsilon"))


@functools.cache
def _laplace(bound: Bound, epsilon: float) -> Noise:
    with asked() as dp:
        space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.l1_distance(T=float)
        scale = dp.binary_search_param(
            lambda s: dp.m.make_laplace(*space, s), d_in=float(bound.total), d_out=epsilon, T=float
        )
        made = dp.m.make_laplace(*space, scale)
        cost = Cost.pure(float(made.map(float(bound.total))))

    def draw(values: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        if generator is not None:
            return values + generator.laplace(0.0, scale, values.shape)
        return _drawn(made, values.astype(float), float)

    return Noise("laplace", scale, scale * math.sqrt(2), cost, draw)


def geometric(bound: Bound, *, epsilon: float, delta: float = 0.0) -> Noise:
    """Two-sided geometric noise, Laplace's brother on whole numbers: pure epsilon-privacy, counts stay whole.

    Equation: P(x) = (1 - a) / (1 + a) a^|x|, a = exp(-epsilon / total).

    Parameters
    ----------
    bound, epsilon, delta
        As for `laplace`.

    Returns
    -------
    Noise

    Errors
    ------
    TwinError
        As `laplace`.

    Examples
    --------
    >>> geometric(Bound(2, 1), epsilon=1.0).cost.epsilon
    1.0

    References
    ----------
    A. Ghosh, T. Roughgarden, M. Sundararajan, Universally Utility-Maximizing Privacy Mechanisms, 2009, Definition 2.2.
    """
    _no_delta(delta, "geometric")
    return _geometric(bound, positive(epsilon, "epsilon"))


@functools.cache
def _geometric(bound: Bound, epsilon: float) -> Noise:
    with asked() as dp:
        space = whole(dp, dp.l1_distance(T="i64"))
        scale = dp.binary_search_param(
            lambda s: dp.m.make_geometric(*space, s), d_in=bound.total, d_out=epsilon, T=float
        )
        made = dp.m.make_geometric(*space, scale)
        cost = Cost.pure(float(made.map(bound.total)))
    a = math.exp(-1 / scale)

    def draw(values: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        if generator is not None:
            return values + two_sided(generator, scale, values.shape)
        return _drawn(made, values.astype(np.int64), int)

    return Noise("geometric", scale, math.sqrt(2 * a) / (1 - a), cost, draw)


def gaussian(bound: Bound, *, epsilon: float, delta: float) -> Noise:
    """Discrete Gaussian noise: (epsilon, delta)-privacy, and zero-concentrated, so that many releases add up gently.

    Equation: P(x) ~ exp(-x^2 / (2 s^2)), rho = total each / (2 s^2).

    Parameters
    ----------
    bound : Bound
    epsilon : float [1]
    delta : float [1], above 0
        Well below one divided by the number of subscribers.

    Returns
    -------
    Noise

    Errors
    ------
    TwinError
        Epsilon or delta is out of range.

    Examples
    --------
    >>> noise = gaussian(Bound(4, 1), epsilon=1.0, delta=1e-6)
    >>> round(noise.scale, 2), round(noise.cost.rho, 4)
    (9.06, 0.0244)

    References
    ----------
    C. Canonne, G. Kamath, T. Steinke, The Discrete Gaussian for Differential Privacy, 2020, Theorem 4.
    """
    return _gaussian(bound, positive(epsilon, "epsilon"), positive(delta, "delta", below=1.0))


@functools.cache
def _gaussian(bound: Bound, epsilon: float, delta: float) -> Noise:
    with asked() as dp:
        space = whole(dp, dp.l2_distance(T=float))

        def approximate(scale: float) -> Any:
            return dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale)), delta)

        scale = dp.binary_search_param(approximate, d_in=bound.euclidean, d_out=(epsilon, delta), T=float)
        made = dp.m.make_gaussian(*space, scale)
        kept, _ = approximate(scale).map(bound.euclidean)
        cost = Cost(float(kept), delta, float(made.map(bound.euclidean)), 0.0)

    def draw(values: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        if generator is not None:
            return values + rounded_normal(generator, scale, values.shape)
        return _drawn(made, values.astype(np.int64), int)

    return Noise("gaussian", scale, scale, cost, draw)


def thresholded(
    bound: Bound, *, epsilon: float, delta: float
) -> tuple[float, int, Cost, Callable[..., dict[str, int]]]:
    """Geometric noise on cells that nobody lists beforehand: only those that come out above a threshold are named.

    Parameters
    ----------
    bound : Bound
    epsilon, delta : float [1]

    Returns
    -------
    scale : float
    threshold : int
        The least one that keeps the chance of naming a cell of a single unit below delta.
    cost : Cost
    draw : function
        ``draw(counts, generator)`` with a dict of counts gives one with noise, without the cells below the threshold.

    References
    ----------
    R. Rogers, A Unifying Privacy Analysis Framework for Unknown Domain Algorithms in Differential Privacy, 2023.
    """
    epsilon, delta = positive(epsilon, "epsilon"), positive(delta, "delta", below=1.0)
    touched = (min(bound.total, 2**31 - 1), bound.total, bound.each)
    with asked() as dp:
        space = (
            dp.map_domain(dp.atom_domain(T=str), dp.atom_domain(T="i64")),
            dp.l01inf_distance(dp.absolute_distance(T="i64")),
        )
        simple = whole(dp, dp.l1_distance(T="i64"))
        scale = dp.binary_search_param(
            lambda s: dp.m.make_geometric(*simple, s), d_in=bound.total, d_out=epsilon, T=float
        )
        threshold = dp.binary_search_param(
            lambda t: dp.m.make_laplace_threshold(*space, scale, t),
            d_in=touched,
            d_out=(epsilon, delta),
            T=int,
            bounds=(bound.each, 2**31 - 1),
        )
        made = dp.m.make_laplace_threshold(*space, scale, threshold)
        kept, failed = made.map(touched)

    def draw(counts: dict[str, int], generator: np.random.Generator | None) -> dict[str, int]:
        if generator is None:
            with asked():
                return dict(made(counts))
        noise = two_sided(generator, scale, (len(counts),))
        noisy = {k: v + int(n) for (k, v), n in zip(counts.items(), noise, strict=True)}
        return {k: v for k, v in noisy.items() if v >= threshold}

    return scale, int(threshold), Cost.pure(float(kept), float(failed)), draw


def _drawn(made: Any, values: np.ndarray, kind: Callable[[Any], Any]) -> np.ndarray:
    """The values with noise from OpenDP, which wants plain lists."""
    with asked():
        return np.asarray(made([kind(v) for v in values.ravel().tolist()])).reshape(values.shape)


def two_sided(generator: np.random.Generator, scale: float, shape: tuple[int, ...]) -> np.ndarray:
    """Two-sided geometric numbers: the difference of two geometric ones."""
    p = -math.expm1(-1 / scale)
    return generator.geometric(p, shape) - generator.geometric(p, shape)


def rounded_normal(generator: np.random.Generator, scale: float, shape: tuple[int, ...]) -> np.ndarray:
    """Discrete Gaussian numbers by rejection from two-sided geometric ones.

    References: Canonne, Kamath, Steinke (2020), Algorithm 3.
    """
    out = np.empty(math.prod(shape), np.int64)
    rough = math.floor(scale) + 1
    todo = np.arange(out.size)
    while todo.size:
        tried = two_sided(generator, rough, (todo.size,))
        chance = np.exp(-((np.abs(tried) - scale**2 / rough) ** 2) / (2 * scale**2))
        fits = generator.random(todo.size) < chance
        out[todo[fits]] = tried[fits]
        todo = todo[~fits]
    return out.reshape(shape)
