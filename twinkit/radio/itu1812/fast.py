# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba.
"""Arithmetic in single precision that vectorises: logarithm, power of two, arc tangent, and loads that may move.

LLVM turns a loop into vectors only where nothing in it is a call: the C library's log and exp are. These are
polynomials on the bits of a float32, about 2e-7 from the true value; the coefficients are fitted at import by
Chebyshev interpolation, so that no table of digits stands here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["arctangent", "exp2", "fetch", "larger", "log2", "note", "put", "read"]

F = np.float32
I = np.int32  # noqa: E741  the type of a float's bits

# Contraction to fused multiply-add and the sign of zero change no result that anybody reads; reassociation,
# which would, is not allowed here.
CONTRACT = {"contract", "nsz"}


def _fitted(function: Any, low: float, high: float, degree: int) -> tuple[np.float32, ...]:
    """Coefficients from the lowest power up, interpolating at Chebyshev points."""
    polynomial = np.polynomial.chebyshev.Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(F(c) for c in polynomial.convert(kind=np.polynomial.Polynomial).coef)


_ROOT = np.sqrt(0.5)
L0, L1, L2, L3, L4, L5, L6, L7 = _fitted(
    lambda r: np.where(np.abs(r) < 1e-9, 1.0, np.log1p(r) / np.where(r == 0, 1, r)) / np.log(2),
    _ROOT - 1,
    2 * _ROOT - 1,
    7,
)
E0, E1, E2, E3, E4, E5 = _fitted(np.exp2, -0.5, 0.5, 5)
A0, A1, A2, A3, A4, A5, A6 = _fitted(
    lambda q: np.where(q < 1e-9, 1.0, np.arctan(np.sqrt(np.abs(q))) / np.sqrt(np.where(q < 1e-9, 1, q))), 0.0, 1.0, 6
)
ROOT_BITS = I(F(_ROOT).view(np.int32))
MANTISSA = I(0x7FFFFF)
ONE = F(1)
HALF = F(0.5)
SHIFT = I(23)
BIAS = I(127)
LARGEST = F(126)
RIGHT_ANGLE = F(np.pi / 2)
TINY = F(1e-37)


@njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
def log2(x):
    """Logarithm to base two of a positive float32."""
    bits = I(F(x).view(np.int32) - ROOT_BITS)
    exponent = F(I(bits >> SHIFT))
    r = I((bits & MANTISSA) + ROOT_BITS).view(np.float32) - ONE
    s = L6 + r * L7
    s = L5 + r * s
    s = L4 + r * s
    s = L3 + r * s
    s = L2 + r * s
    s = L1 + r * s
    s = L0 + r * s
    return exponent + r * s


@njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
def exp2(x):
    """Two to the power of a float32; beyond 126 the largest or smallest power."""
    x = min(max(x, -LARGEST), LARGEST)
    whole = np.floor(x + HALF)
    r = x - whole
    s = E4 + r * E5
    s = E3 + r * s
    s = E2 + r * s
    s = E1 + r * s
    s = E0 + r * s
    return s * I((I(whole) + BIAS) << SHIFT).view(np.float32)


@njit(fastmath=CONTRACT, error_model="numpy", forceinline=True)
def arctangent(x):
    """Arc tangent of a float32 [rad]."""
    size = abs(x)
    steep = size > ONE
    z = ONE / max(size, TINY) if steep else size
    q = z * z
    s = A5 + q * A6
    s = A4 + q * s
    s = A3 + q * s
    s = A2 + q * s
    s = A1 + q * s
    s = A0 + q * s
    s = z * s
    s = RIGHT_ANGLE - s if steep else s
    return -s if x < F(0) else s


# An indexed read and an indexed write might meet in memory, so LLVM would keep their order and gather nothing. The
# pairs say that they do not meet: what `fetch` reads (terrain, tables, rows), neither `put` nor `note` ever writes;
# what `read` reads (profiles, stacks), `note` never writes. So `put` may fill a profile and `note` may not, and what
# `note` writes (scratch) is read by plain indexing alone. None checks bounds.


def _load(scope: str) -> Any:
    def typed(typing: Any, array: Any, index: Any) -> Any:  # noqa: ARG001  Numba's signature
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            struct = context.make_array(signature.args[0])(context, builder, arguments[0])
            value = builder.load(builder.gep(struct.data, [arguments[1]], inbounds=True))
            value.set_metadata("alias.scope", _scope(builder.module, scope))
            return value

        return array.dtype(array, types.intp), code

    return typed


def _store(*scopes: str) -> Any:
    def typed(typing: Any, array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001  Numba's signature
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            struct = context.make_array(signature.args[0])(context, builder, arguments[0])
            store = builder.store(arguments[2], builder.gep(struct.data, [arguments[1]], inbounds=True))
            store.set_metadata("noalias", _scope(builder.module, *scopes))
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype), code

    return typed


def _scope(module: Any, *names: str) -> Any:
    """The alias scopes of these names in a module of LLVM."""
    import llvmlite.ir as ir

    domain = module.add_metadata([ir.MetaDataString(module, "twinkit")])
    scopes = [module.add_metadata([ir.MetaDataString(module, f"twinkit.{name}"), domain]) for name in names]
    return module.add_metadata(scopes)


fetch = intrinsic(_load("outer"))
put = intrinsic(_store("outer"))
read = intrinsic(_load("inner"))
note = intrinsic(_store("inner", "outer"))


# A running maximum becomes vectors only where the selection itself promises that no operand is NaN; Numba puts
# its fast-math flags on the comparison alone.
@intrinsic
def larger(typing: Any, one: Any, other: Any) -> Any:  # noqa: ARG001  Numba's signature
    """The larger of two numbers of one type, neither of them NaN."""
    if one != other or not isinstance(one, types.Float | types.Integer):
        return None

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001  Numba's signature
        if isinstance(signature.args[0], types.Integer):
            return builder.select(builder.icmp_signed(">", *arguments), *arguments)
        flags = ("nnan", "nsz")
        over = builder.fcmp_ordered(">", arguments[0], arguments[1], flags=flags)
        return builder.select(over, arguments[0], arguments[1], flags=flags)

    return one(one, other), code
