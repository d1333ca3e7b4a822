"""Pointwise ops with broadcasting: y[i] = f(x1[i], x2[i]). Shapes follow NumPy's rules."""

from __future__ import annotations

import numpy as np

__all__ = [
    "abs",
    "add",
    "cast",
    "ceil",
    "clip",
    "cos",
    "divide",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "pow",
    "reciprocal",
    "relu",
    "relu_backward",
    "remainder",
    "round",
    "rsqrt",
    "sigmoid",
    "sigmoid_backward",
    "sign",
    "sin",
    "sqrt",
    "square",
    "subtract",
    "tanh",
    "tanh_backward",
    "trunc",
    "where",
]


def add(x1, x2):
    return x1 + x2


def subtract(x1, x2):
    return x1 - x2


def multiply(x1, x2):
    return x1 * x2


def divide(x1, x2):
    """True division: integers give floating numbers."""
    return np.true_divide(x1, x2)


def pow(x1, x2):
    return x1**x2


def negative(x):
    return -x


def abs(x):
    return np.abs(x)


def sign(x):
    """-1, 0 or 1; a NaN stays one."""
    return np.where(np.isnan(x), x, (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype))


def exp(x):
    return np.exp(x)


def log(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


def sqrt(x):
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def log1p(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log1p(x)


def expm1(x):
    return np.expm1(x)


def rsqrt(x):
    return 1 / np.sqrt(x)


def reciprocal(x):
    return 1 / x


def square(x):
    return x * x


def sin(x):
    return np.sin(x)


def cos(x):
    return np.cos(x)


def erf(x):
    """2/sqrt(pi) e^(-x^2) times the sum over n of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1)), all of one
    sign (Abramowitz and Stegun 7.1.6); 1 from 6 on."""
    x = np.clip(x, -6, 6)
    term = total = x
    for n in range(1, 200):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    return 2 / np.sqrt(np.pi) * np.exp(-x * x) * total


def floor(x):
    return np.floor(x).astype(x.dtype)


def ceil(x):
    return np.ceil(x).astype(x.dtype)


def trunc(x):
    return np.trunc(x).astype(x.dtype)


def round(x):
    """Halves to even."""
    return np.round(x)


def remainder(x1, x2):
    """x1 - x2 floor(x1 / x2); an integer modulo 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.remainder(x1, x2)


def floor_divide(x1, x2):
    """floor(x1 / x2); an integer by 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.floor_divide(x1, x2)


def tanh(x):
    return np.tanh(x)


def tanh_backward(dy, y):
    return dy * (1 - y * y)


def sigmoid(x):
    """1 / (1 + e^-x), with the exponent never positive so that it cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1).astype(e.dtype) / (1 + e)


def sigmoid_backward(dy, y):
    return dy * y * (1 - y)


def relu(x):
    """max(x, 0); a NaN stays one."""
    return np.where(x <= 0, np.zeros((), x.dtype), x)


def relu_backward(dy, y):
    """The derivative at 0 is taken to be 0."""
    return np.where(y <= 0, np.zeros((), dy.dtype), dy)


def maximum(x1, x2):
    """The larger one; NaN if either is."""
    return np.maximum(x1, x2)


def minimum(x1, x2):
    """The smaller one; NaN if either is."""
    return np.minimum(x1, x2)


def clip(x, min=None, max=None):
    """minimum(maximum(x, min), max): where min > max, the answer is max."""
    if min is not None:
        x = np.maximum(x, np.asarray(min, x.dtype))
    if max is not None:
        x = np.minimum(x, np.asarray(max, x.dtype))
    return x


def where(condition, x1, x2):
    return np.where(condition, x1, x2)


def equal(x1, x2):
    return x1 == x2


def not_equal(x1, x2):
    return x1 != x2


def less(x1, x2):
    return x1 < x2


def less_equal(x1, x2):
    return x1 <= x2


def greater(x1, x2):
    return x1 > x2


def greater_equal(x1, x2):
    return x1 >= x2


def logical_and(x1, x2):
    return (x1 != 0) & (x2 != 0)


def logical_or(x1, x2):
    return (x1 != 0) | (x2 != 0)


def logical_not(x):
    return x == 0


def isfinite(x):
    """Neither infinite nor NaN."""
    return np.isfinite(x)


def isinf(x):
    return np.isinf(x)


def isnan(x):
    return np.isnan(x)


def cast(x, dtype):
    """The same values in another dtype, rounded to nearest even; floats to integers truncate.

    NumPy has no bfloat16, so its values come back as float32: the upper 16 bits of a float32, after
    adding half a unit in the last place (minus one where the kept part is even).
    """
    if dtype != "bfloat16":
        return x.astype(dtype)
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).reshape(x.shape)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), np.float32(np.nan), rounded.astype(np.uint32).view(np.float32))
