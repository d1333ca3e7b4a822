"""Losses of pairs: f(x, t) element by element, reduced. x, t: one shape."""

from __future__ import annotations

import numpy as np

from dlx.reference.elementwise import sigmoid
from dlx.reference.loss import _reduce

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "huber_loss",
    "huber_loss_backward",
    "kl_div",
    "kl_div_backward",
    "l1_loss",
    "l1_loss_backward",
    "smooth_l1_loss",
    "smooth_l1_loss_backward",
]


def _slope(dy, slope, reduction):
    return dy * slope / (slope.size if reduction == "mean" else 1)


def l1_loss(x, t, reduction="mean"):
    return _reduce(np.abs(x - t), reduction, x.size)


def l1_loss_backward(dy, x, t, reduction="mean"):
    return _slope(dy, np.sign(x - t), reduction)


def smooth_l1_loss(x, t, reduction="mean", beta=1.0):
    if beta == 0:
        return l1_loss(x, t, reduction)
    return huber_loss(x, t, reduction, beta) / beta


def smooth_l1_loss_backward(dy, x, t, reduction="mean", beta=1.0):
    return huber_loss_backward(dy, x, t, reduction, beta) / beta


def huber_loss(x, t, reduction="mean", delta=1.0):
    """A parabola, from |x - t| = delta on continued by its tangents."""
    d = np.abs(x - t)
    return _reduce(np.where(d < delta, 0.5 * d**2, delta * (d - 0.5 * delta)), reduction, x.size)


def huber_loss_backward(dy, x, t, reduction="mean", delta=1.0):
    return _slope(dy, np.clip(x - t, -delta, delta), reduction)


def _log(x):
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(x), -100)


def binary_cross_entropy(x, t, weight=1.0, reduction="mean"):
    """-(t log x + (1 - t) log(1 - x)), each logarithm at least -100."""
    return _reduce(-weight * (t * _log(x) + (1 - t) * _log(1 - x)), reduction, x.size)


def binary_cross_entropy_backward(dy, x, t, weight=1.0, reduction="mean"):
    return _slope(dy, weight * (x - t) / np.maximum((1 - x) * x, 1e-12), reduction)


def _log_sigmoid(x):
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def binary_cross_entropy_with_logits(x, t, weight=1.0, reduction="mean", pos_weight=1.0):
    """-(pos_weight t log s + (1 - t) log(1 - s)), s = sigmoid(x), 1 - s = sigmoid(-x)."""
    loss = pos_weight * t * _log_sigmoid(x) + (1 - t) * _log_sigmoid(-x)
    return _reduce(-weight * loss, reduction, x.size)


def binary_cross_entropy_with_logits_backward(
    dy, x, t, weight=1.0, reduction="mean", pos_weight=1.0
):
    slope = (1 - t) * sigmoid(x) - pos_weight * t * sigmoid(-x)
    return _slope(dy, weight * slope, reduction)


def kl_div(x, t, reduction="mean", log_target=False):
    """t (log t - x), 0 where t is 0; the batch's mean is that of its rows."""
    t, log_t = (np.exp(t), t) if log_target else (t, np.log(np.where(t > 0, t, 1)))
    if reduction == "batchmean":
        return np.sum(t * (log_t - x)) / x.shape[0]
    return _reduce(t * (log_t - x), reduction, x.size)


def kl_div_backward(dy, x, t, reduction="mean"):
    return _slope(dy, -t, reduction)
