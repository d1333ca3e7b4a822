"""Activations, with PyTorch's names and arguments. Those with a row of their own in
csrc/ops/pointwise.h have a fused gradient too; the others are formulas of rows.

input: any shape; integers become float32. inplace changes nothing (see nn.ReLU)."""

from __future__ import annotations

from math import pi, sqrt

from dlx import _core
from dlx.ops._prepare import prepare
from dlx.ops.creation import ones_like
from dlx.ops.elementwise import (
    _op,
    abs,
    divide,
    erf,
    exp,
    logical_and,
    minimum,
    multiply,
    negative,
    sigmoid,
    tanh,
    where,
)
from dlx.ops.loss import softmax
from dlx.ops.shape import reshape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu6",
    "selu",
    "silu",
    "softmin",
    "softplus",
    "softsign",
]


def _number(op, name, value):
    if not isinstance(value, (int, float)):
        raise TypeError(f"{op}: expected a number as {name}, got {type(value).__name__}")
    return value


# -------------------------------------------------------------------------------- leaky ReLU


def leaky_relu(input, negative_slope=0.01, inplace=False) -> Tensor:
    """x above 0, negative_slope x elsewhere. Its derivative at the kink x = 0 is negative_slope, as
    PyTorch's (Maas et al. 2013)."""
    return _leaky_relu(input, _number("leaky_relu", "negative_slope", negative_slope))


_leaky_relu = _op(
    "leaky_relu",
    "x1 above 0, x1 x2 elsewhere",
    lambda x1, x2: where(x1 > 0, ones_like(x1), x2),
    lambda x1: where(x1 > 0, 0, x1),
    fused=_core.leaky_relu_backward,
    of=("x1", "x2"),
)


def prelu(input, weight) -> Tensor:
    """x above 0, weight x elsewhere (He et al. 2015): leaky_relu with a slope to learn.

    input: (N, C, ...); weight: (C,), or (1,) for any input. One floating dtype."""
    input, weight = prepare("prelu", input, weight)
    if weight.ndim != 1 or (weight.shape[0] != 1 and weight.shape != input.shape[1:2]):
        raise ValueError(
            f"prelu: expected a weight of shape (1,), or (C,) for an input (N, C, ...); "
            f"input={input.shape} weight={weight.shape}"
        )
    if weight.shape[0] != 1:
        weight = reshape(weight, (-1,) + (1,) * (input.ndim - 2))
    elif input.ndim == 0:
        weight = reshape(weight, ())
    return _leaky_relu(input, weight)


# -------------------------------------------------------------------------------- exponential


def elu(input, alpha=1.0, inplace=False) -> Tensor:
    """x above 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016). Its derivative at x = 0 is alpha,
    a kink unless alpha is 1."""
    return _elu(input, _number("elu", "alpha", alpha))


_elu = _op(
    "elu",
    "x1 above 0, x2 (e^x1 - 1) elsewhere",
    lambda x1, x2: where(x1 > 0, ones_like(x1), x2 * exp(minimum(x1, 0))),
    None,
    fused=_core.elu_backward,
    of=("x1", "x2"),
)

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(input, inplace=False) -> Tensor:
    """1.0507 elu(x, 1.6733): layers keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return multiply(_elu(input, _SELU_ALPHA), _SELU_SCALE)


# -------------------------------------------------------------------------------- gelu and silu


def gelu(input, approximate="none") -> Tensor:
    """x P(X < x) of a standard normal X: x (1 + erf(x / sqrt(2))) / 2 (Hendrycks and Gimpel 2016).

    approximate: "tanh" takes their x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        return _gelu_tanh(input)
    raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")


def _gelu_slope(x):
    return 0.5 * (1 + erf(x * sqrt(0.5))) + x * exp(x * x * -0.5) * (1 / sqrt(2 * pi))


_LINEAR, _CUBIC = sqrt(2 / pi), 0.044715 * sqrt(2 / pi)


def _gelu_tanh_slope(x):
    z = x * x
    t = tanh(x * (_LINEAR + _CUBIC * z))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (_LINEAR + 3 * _CUBIC * z)


_gelu = _op(
    "gelu", "x (1 + erf(x / sqrt(2))) / 2", _gelu_slope, fused=_core.gelu_backward, of=("x",)
)
_gelu_tanh = _op(
    "gelu_tanh",
    "x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2",
    _gelu_tanh_slope,
    fused=_core.gelu_tanh_backward,
    of=("x",),
)


def silu(input, inplace=False) -> Tensor:
    """x sigmoid(x), also called swish (Elfwing et al. 2018)."""
    return _silu(input)


def _silu_slope(x):
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


_silu = _op("silu", "x sigmoid(x)", _silu_slope, fused=_core.silu_backward, of=("x",))


def mish(input, inplace=False) -> Tensor:
    """x tanh(softplus(x)) (Misra 2020)."""
    return multiply(input, tanh(_softplus(input, 1, 20)))


# -------------------------------------------------------------------------------- softplus


def softplus(input, beta=1.0, threshold=20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta without overflow; x itself where beta x > threshold, as PyTorch.

    It is computed as (max(z, 0) + log(1 + e^-|z|)) / beta with z = beta x."""
    beta, threshold = _number("softplus", "beta", beta), _number("softplus", "threshold", threshold)
    return _softplus(input, beta, threshold)


def _softplus_backward(g, x, beta, threshold):
    return _core.softplus_backward(g, x if beta == 1 else x * beta, threshold)


def _softplus_slope(x1, x2, x3):
    z = x1 * x2
    return where(z > x3, ones_like(z), sigmoid(z))


_softplus = _op(
    "softplus",
    "log(1 + e^(x1 x2)) / x2; x1 where x1 x2 > x3",
    _softplus_slope,
    None,
    None,
    fused=_softplus_backward,
    of=("x1", "x2", "x3"),
)


def logsigmoid(input) -> Tensor:
    """log(1 / (1 + e^-x)) without overflow: -softplus(-x)."""
    return _logsigmoid(input)


_logsigmoid = _op(
    "logsigmoid",
    "-log(1 + e^-x)",
    lambda x: sigmoid(negative(x)),
    fused=_core.logsigmoid_backward,
    of=("x",),
)


# -------------------------------------------------------------------------------- piecewise linear


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False) -> Tensor:
    """x limited to [min_val, max_val]. Its derivative at these kinks is 0, as PyTorch's, where that
    of dlx.clip is 1. Raises ValueError unless min_val < max_val."""
    low, high = _number("hardtanh", "min_val", min_val), _number("hardtanh", "max_val", max_val)
    if not low < high:
        raise ValueError(f"hardtanh: expected min_val < max_val, got {low} and {high}")
    return _hardtanh(input, low, high)


def _hardtanh_backward(g, x, low, high):
    return _core.pass_below(_core.pass_above(g, x, low), x, high)


_hardtanh = _op(
    "hardtanh",
    "x1 limited to [x2, x3]",
    lambda x1, x2, x3: where(logical_and(x1 > x2, x1 < x3), 1.0, 0.0),
    None,
    None,
    fused=_hardtanh_backward,
    of=("x1", "x2", "x3"),
)


def relu6(input, inplace=False) -> Tensor:
    """min(max(x, 0), 6). Its derivative at these kinks is 0."""
    return _hardtanh(input, 0, 6)


def hardsigmoid(input, inplace=False) -> Tensor:
    """relu6(x + 3) / 6. Its derivative at the kinks x = -3 and 3 is 0."""
    return _hardsigmoid(input)


_hardsigmoid = _op(
    "hardsigmoid",
    "x + 3 limited to [0, 6], over 6",
    lambda x: where(logical_and(x > -3, x < 3), ones_like(x), 0.0) / 6,
    fused=_core.hardsigmoid_backward,
    of=("x",),
)


def hardswish(input, inplace=False) -> Tensor:
    """x relu6(x + 3) / 6 (Howard et al. 2019). Its derivative at the kinks is 0 and 1."""
    return _hardswish(input)


_hardswish = _op(
    "hardswish",
    "x times x + 3 limited to [0, 6], over 6",
    lambda x: where(x >= 3, 1, where(x <= -3, 0, x * (1 / 3) + 0.5)),
    fused=_core.hardswish_backward,
    of=("x",),
)


# -------------------------------------------------------------------------------- others


def softsign(input) -> Tensor:
    """x / (1 + |x|)."""
    return divide(input, 1.0 + abs(input))


def softmin(input, dim) -> Tensor:
    """softmax(-x) along dim."""
    return softmax(negative(input), dim)
