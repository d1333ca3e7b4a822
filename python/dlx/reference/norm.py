"""Normalisation along one axis."""

from __future__ import annotations

import numpy as np

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


def softmax(x, axis=-1):
    """e^x_i / sum_j e^x_j; subtracting the maximum changes nothing but the range."""
    if x.size == 0:
        return x.copy()
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def softmax_backward(dy, y, axis=-1):
    """dx_i = y_i (dy_i - sum_j dy_j y_j)."""
    return y * (dy - np.sum(dy * y, axis=axis, keepdims=True))


def log_softmax(x, axis=-1):
    """x_i - log sum_j e^x_j."""
    if x.size == 0:
        return x.copy()
    z = x - np.max(x, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


def log_softmax_backward(dy, y, axis=-1):
    """dx_i = dy_i - e^y_i sum_j dy_j."""
    return dy - np.exp(y) * np.sum(dy, axis=axis, keepdims=True)
