"""What a release costs, and what several cost together: pure, approximate and zero-concentrated differential privacy.

Three currencies are kept side by side, because none is the best for all releases: the sum of epsilons, the sum of
deltas, and rho of zero-concentrated privacy, which grows with the number of releases where epsilon by noise of a few
releases would grow with its square root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Cost", "composed", "concentrated_epsilon", "positive", "promised", "shared", "total"]

LEAST, MOST = 1e-6, 100.0
"""Epsilons that a release may promise: below, noise drowns a country; above, e^epsilon is no promise at all."""


def positive(value: object, name: str, *, zero: bool = False, below: float = math.inf) -> float:
    """A finite number above zero, as a float.

    Errors
    ------
    TwinError
        It is none: zero (unless `zero`), negative, infinite, not a number, True, text.

    Examples
    --------
    >>> positive(1, "epsilon")
    1.0
    >>> positive(float("inf"), "epsilon")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: epsilon: expected a finite number above 0; found inf. Try: epsilon=1.0 is a usual ...
    """
    try:
        number = float(value) if not isinstance(value, bool | str) else math.nan  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not ((number > 0 or (zero and number == 0)) and number < below):
        least = "of 0 or more" if zero else "above 0"
        most = "" if math.isinf(below) else f" and below {below:g}"
        hint = "epsilon=1.0 is a usual beginning" if name == "epsilon" else f"give {name} as a plain number"
        raise TwinError(f"a finite number {least}{most}", found=repr(value), hint=hint, where=name)
    return number


def promised(value: object) -> float:
    """An epsilon that a release may promise.

    >>> promised(1)
    1.0
    """
    epsilon = positive(value, "epsilon")
    if not LEAST <= epsilon <= MOST:
        hint = "0.1 to 3 are usual; above 10 it hardly protects, and below 0.001 noise is all that is left"
        raise TwinError(f"an epsilon from {LEAST:g} to {MOST:g}", found=f"{epsilon:g}", hint=hint, where="epsilon")
    return epsilon


def total(values: Iterable[float]) -> float:
    """The sum of numbers as they print, rounded up: three times 0.1 is 0.3, and 1 + 1e-17 is more than 1.

    So no number of small releases can hide in rounding, and what people write down adds up as they expect.

    Examples
    --------
    >>> total([0.1] * 3), sum([0.1] * 3)
    (0.3, 0.30000000000000004)
    >>> total([1.0, 1e-17]) > 1
    True
    """
    numbers = [float(v) for v in values]
    if any(math.isinf(n) for n in numbers):
        return math.inf
    exact = sum((Fraction(repr(n)) for n in numbers), Fraction())
    near = float(exact)
    return near if Fraction(repr(near)) >= exact else math.nextafter(near, math.inf)


def shared(whole: float, weights: Iterable[float]) -> list[float]:
    """Parts of a whole by weights whose `total` is never above it.

    >>> shared(1.0, [7, 1.5, 1.5])
    [0.7, 0.15, 0.15]
    """
    known = list(weights)
    parts = [whole * w / math.fsum(known) for w in known]
    while total(parts) > whole:
        parts[0] = math.nextafter(parts[0], 0.0)
    return parts


@dataclass(frozen=True)
class Cost:
    """The privacy that one release spends of each unit that it protects.

    Attributes
    ----------
    epsilon, delta : float
        It is (epsilon, delta)-differentially private.
    rho : float
        It is `aside`-approximately rho-zero-concentrated differentially private.
    aside : float
        Chance with which the promise of rho fails altogether; 0 for noise alone.
    """

    epsilon: float
    delta: float = 0.0
    rho: float = math.inf
    aside: float = 0.0

    def __post_init__(self) -> None:
        # a cost below zero would give back what others spent
        for name in ("epsilon", "delta", "rho", "aside"):
            value = getattr(self, name)
            if not value >= 0:
                raise TwinError("a cost of 0 or more", found=f"{name}={value!r}", hint="see privacy.Cost", where=name)

    @classmethod
    def pure(cls, epsilon: float, delta: float = 0.0) -> Cost:
        """The cost of an (epsilon, delta) mechanism, of which no more is known.

        References: M. Bun, T. Steinke, Concentrated Differential Privacy, 2016, Proposition 1.4 (rho = epsilon^2/2).
        """
        return cls(epsilon, delta, epsilon**2 / 2, delta)

    def for_group(self, size: int) -> Cost:
        """What `size` units together lose: all days of one subscriber, where each day is protected.

        Equation: epsilon k, delta k exp((k - 1) epsilon), rho k^2.

        Examples
        --------
        >>> Cost.pure(0.5).for_group(7).epsilon
        3.5
        """
        if size == 1:
            return self

        def grown(delta: float) -> float:
            if delta == 0:
                return 0.0
            exponent = (size - 1) * self.epsilon + math.log(size * delta)
            return math.exp(exponent) if exponent < 0 else 1.0

        return Cost(self.epsilon * size, grown(self.delta), self.rho * size**2, grown(self.aside))


def concentrated_epsilon(rho: float, delta: float) -> float:
    """Epsilon of (epsilon, delta)-privacy that rho-zero-concentrated privacy gives.

    Equation: epsilon = min over a > 1 of a rho + (log(1/delta) + (a - 1) log(1 - 1/a) - log a) / (a - 1).

    Parameters
    ----------
    rho : float [1]
    delta : float [1], above 0 and below 1

    Returns
    -------
    float [1]

    Examples
    --------
    >>> round(concentrated_epsilon(0.1, 1e-6), 4)
    2.1419

    References
    ----------
    C. Canonne, G. Kamath, T. Steinke, The Discrete Gaussian for Differential Privacy, 2020, Proposition 12.
    """
    from scipy.optimize import minimize_scalar

    rho, delta = positive(rho, "rho", zero=True), positive(delta, "delta", below=1.0)
    if rho == 0:
        return 0.0
    rho = max(rho, 1e-300)  # the bound grows with rho, and a quotient by less is infinite

    def at(logarithm: float) -> float:
        less = math.exp(logarithm)  # a - 1
        a = 1 + less
        return a * rho + (-math.log(delta) - math.log(a)) / less + math.log(less / a)

    # near a = 1 + sqrt(log(1/delta)/rho) lies the least of the simpler bound; the search goes far beyond on each side
    middle = math.log(math.sqrt(-math.log(delta) / rho))
    found = minimize_scalar(at, bounds=(middle - 12, middle + 6), method="bounded", options={"xatol": 1e-10})
    return max(0.0, float(found.fun))


def composed(costs: Iterable[Cost], *, delta: float = 0.0) -> float:
    """The least epsilon that all these releases together are sure to keep, at a given delta.

    The smaller one of two sums: epsilons (if their deltas stay within `delta`), and rhos, turned into epsilon with
    what the failures leave of `delta`.

    Parameters
    ----------
    costs : Cost, several
    delta : float [1], 0 or more

    Returns
    -------
    float [1]
        Infinite where no bound holds at this delta.

    Examples
    --------
    >>> composed([Cost.pure(0.5), Cost.pure(0.25)])
    0.75
    >>> round(composed([Cost.pure(0.1)] * 100, delta=1e-6), 2)
    5.22

    References
    ----------
    C. Dwork, A. Roth, The Algorithmic Foundations of Differential Privacy, 2014, Theorem 3.16 (sums).
    M. Bun, T. Steinke, Concentrated Differential Privacy, 2016, Lemma 2.3 (rho) and Section 8 (with failures).
    """
    known, delta = list(costs), positive(delta, "delta", zero=True, below=1.0)
    if not known:
        return 0.0
    sums = total(c.epsilon for c in known) if total(c.delta for c in known) <= delta else math.inf
    left = delta - total(c.aside for c in known)
    rho = total(c.rho for c in known)
    if left <= 0 or math.isinf(rho):
        return sums
    return min(sums, concentrated_epsilon(rho, min(left, 0.999999)))
