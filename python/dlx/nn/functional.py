"""Layers as functions, with PyTorch's names, argument order and defaults."""

from __future__ import annotations

from dlx.ops import elementwise, loss
from dlx.ops import random as random_ops
from dlx.ops._prepare import FLOATING, prepare
from dlx.ops.linear import linear as linear_op
from dlx.ops.loss import cross_entropy, mse_loss

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._tensor import Tensor

__all__ = [
    "cross_entropy",
    "dropout",
    "linear",
    "log_softmax",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def linear(input, weight, bias=None) -> Tensor:
    """y = x Wᵀ + b.

    input: (..., I), weight: (O, I), bias: (O,) or None; all of one dtype, float32 or float64.
    Returns (..., O). Raises ValueError on shapes that do not fit, TypeError on mixed dtypes.
    """
    if bias is None:
        input, weight = prepare("linear", input, weight, dtypes=FLOATING)
    else:
        input, weight, bias = prepare("linear", input, weight, bias, dtypes=FLOATING)
    shape, expected = input.shape, weight.shape
    if len(expected) != 2:
        raise ValueError(f"linear: weight must have shape (out, in), got {expected}")
    if not shape or shape[-1] != expected[1]:
        got = shape[-1] if shape else "none"
        raise ValueError(
            f"linear: expected {expected[1]} input features, got {got}; x={shape} weight={expected}"
        )
    if bias is not None and bias.shape != expected[:1]:
        raise ValueError(f"linear: bias must have shape {expected[:1]}, got {bias.shape}")
    return linear_op(input, weight, bias)


def relu(input, inplace=False) -> Tensor:
    """max(x, 0). input: any shape; inplace changes nothing (see nn.ReLU)."""
    return elementwise.relu(input)


def tanh(input) -> Tensor:
    """The hyperbolic tangent. input: any shape."""
    return elementwise.tanh(input)


def sigmoid(input) -> Tensor:
    """1 / (1 + exp(-x)). input: any shape."""
    return elementwise.sigmoid(input)


def softmax(input, dim) -> Tensor:
    """exp(x) / sum(exp(x)) along dim. input: any shape, float; see dlx.softmax."""
    return loss.softmax(input, dim)


def log_softmax(input, dim) -> Tensor:
    """x - log(sum(exp(x))) along dim. input: any shape, float; see dlx.log_softmax."""
    return loss.log_softmax(input, dim)


def dropout(input, p=0.5, training=True, inplace=False) -> Tensor:
    """Zero each element with probability p, scale the rest by 1 / (1 - p); input's values unless
    training. input: any shape, float; inplace changes nothing (see nn.ReLU).
    """
    return random_ops.dropout(input, p, training)
