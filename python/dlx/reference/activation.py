"""Activations: y[i] = f(x[i]), with PyTorch's arguments."""

from __future__ import annotations

import numpy as np

from dlx.reference.elementwise import erf, sigmoid
from dlx.reference.norm import softmax

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "gelu_tanh",
    "gelu_tanh_backward",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "leaky_relu",
    "leaky_relu_backward",
    "logsigmoid",
    "logsigmoid_backward",
    "mish",
    "pass_above",
    "pass_below",
    "prelu",
    "relu6",
    "selu",
    "silu",
    "silu_backward",
    "softmin",
    "softplus",
    "softplus_backward",
    "softsign",
]


def leaky_relu(x, negative_slope=0.01):
    return np.where(x > 0, x, x * np.asarray(negative_slope, x.dtype))


def leaky_relu_backward(dy, x, negative_slope=0.01):
    """The derivative at 0 is taken to be negative_slope."""
    return np.where(x > 0, dy, dy * np.asarray(negative_slope, dy.dtype))


def prelu(x, weight):
    """leaky_relu with a slope for each channel of x: (N, C, ...), or one for all."""
    along = (-1,) + (1,) * (x.ndim - 2) if x.ndim > 1 else (1,) * x.ndim
    return leaky_relu(x, weight.reshape(along))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward(dy, x, alpha=1.0):
    return np.where(x > 0, dy, dy * alpha * np.exp(np.minimum(x, 0)))


def selu(x):
    """Scale and alpha for which a standard normal x gives mean 0 and variance 1."""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def gelu(x, approximate="none"):
    """x times the probability that a standard normal number is below x."""
    return gelu_tanh(x) if approximate == "tanh" else 0.5 * x * (1 + erf(x / np.sqrt(2.0)))


def gelu_backward(dy, x):
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return dy * (0.5 * (1 + erf(x / np.sqrt(2.0))) + x * density)


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_backward(dy, x):
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    slope = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)


def silu(x):
    return x * sigmoid(x)


def silu_backward(dy, x):
    return dy * sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def mish(x):
    return x * np.tanh(softplus(x))


def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + e^z) / beta = (max(z, 0) + log(1 + e^-|z|)) / beta, z = beta x; x above threshold."""
    z = beta * x
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


def softplus_backward(dy, z, threshold=20.0):
    return np.where(z > threshold, dy, dy * sigmoid(z))


def logsigmoid(x):
    return -softplus(-x, threshold=np.inf)


def logsigmoid_backward(dy, x):
    return dy * sigmoid(-x)


def hardtanh(x, min_val=-1.0, max_val=1.0):
    return np.clip(x, min_val, max_val)


def pass_above(dy, x, low):
    """What of dy a lower limit lets through."""
    return np.where(x > low, dy, 0)


def pass_below(dy, x, high):
    return np.where(x < high, dy, 0)


def relu6(x):
    return np.clip(x, 0, 6)


def hardsigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def hardsigmoid_backward(dy, x):
    return dy * np.where(np.abs(x) < 3, 1 / 6, 0)


def hardswish(x):
    return x * np.clip(x + 3, 0, 6) / 6


def hardswish_backward(dy, x):
    return dy * np.where(x >= 3, 1, np.where(x <= -3, 0, x / 3 + 0.5))


def softsign(x):
    return x / (1 + np.abs(x))


def softmin(x, dim):
    return softmax(-x, dim)
