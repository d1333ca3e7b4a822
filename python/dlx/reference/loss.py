"""Losses. x: (C,), (N, C) or (N, C, ...); class targets: x's shape without C."""

from __future__ import annotations

import numpy as np

from dlx.reference.norm import log_softmax

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "mse_loss",
    "mse_loss_backward",
    "nll_loss",
    "nll_loss_backward",
]


def _reduce(loss, reduction, divisor):
    if reduction == "none":
        return loss
    return np.sum(loss) / (divisor if reduction == "mean" else 1)


def _coefficients(x, target, weight, ignore_index, label_smoothing):
    """q[..., c]: the loss of a row is -sum_c q_c log softmax(x)_c; and the weight of each row."""
    classes = x.shape[-1]
    weight = np.ones(classes, x.dtype) if weight is None else weight
    kept = target != ignore_index
    one_hot = np.arange(classes) == np.where(kept, target, 0)[..., None]
    q = ((1 - label_smoothing) * one_hot + label_smoothing / classes) * weight * kept[..., None]
    return q.astype(x.dtype), np.sum(one_hot * weight, axis=-1) * kept


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """-sum_c q_c log p_c with q = (1 - s) one_hot(target) + s/C, each class times its weight; the
    mean divides by the weights of the targets that count (PyTorch's definition)."""
    x = np.moveaxis(x, min(1, x.ndim - 1), -1)
    q, row_weight = _coefficients(x, target, weight, ignore_index, label_smoothing)
    loss = -np.sum(q * log_softmax(x, -1), axis=-1)
    return _reduce(loss, reduction, np.sum(row_weight))


def cross_entropy_backward(
    dy, x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """dx = dy (p sum_c q_c - q), dy divided as the loss was."""
    axis = min(1, x.ndim - 1)
    x = np.moveaxis(x, axis, -1)
    q, row_weight = _coefficients(x, target, weight, ignore_index, label_smoothing)
    p = np.exp(log_softmax(x, -1))
    scale = np.asarray(dy)[..., None] / (np.sum(row_weight) if reduction == "mean" else 1)
    return np.moveaxis(scale * (p * np.sum(q, axis=-1, keepdims=True) - q), -1, axis)


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean"):
    """-weight[t] x_t, divided as cross_entropy is."""
    x = np.moveaxis(x, min(1, x.ndim - 1), -1)
    q, row_weight = _coefficients(x, target, weight, ignore_index, 0.0)
    return _reduce(-np.sum(q * x, axis=-1), reduction, np.sum(row_weight))


def nll_loss_backward(dy, x, target, weight=None, ignore_index=-100, reduction="mean"):
    """dx = -dy weight[t] at the label, dy divided as the loss was."""
    axis = min(1, x.ndim - 1)
    q, row_weight = _coefficients(np.moveaxis(x, axis, -1), target, weight, ignore_index, 0.0)
    scale = np.asarray(dy)[..., None] / (np.sum(row_weight) if reduction == "mean" else 1)
    return np.moveaxis(-scale * q, -1, axis)


def mse_loss(x, target, reduction="mean"):
    return _reduce((x - target) ** 2, reduction, x.size)


def mse_loss_backward(dy, x, target, reduction="mean"):
    """dx = 2 dy (x - target) / (n if the mean was taken)."""
    return 2 * dy * (x - target) / (x.size if reduction == "mean" else 1)
