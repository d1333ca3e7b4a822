"""Normalisation: softmax along one axis, batch norm over all but one, layer norm over the last."""

from __future__ import annotations

import numpy as np

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_update",
    "group_norm",
    "group_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "logsumexp_backward",
    "softmax",
    "softmax_backward",
]


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


def _per_channel(p, x):
    return np.reshape(p, (1, -1) + (1,) * (x.ndim - 2))


def batch_norm(x, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) weight + bias, of each channel over N and the last axes."""
    axes = (0, *range(2, x.ndim))
    if x.size == 0:
        return x.copy()
    return batch_norm_inference(x, np.mean(x, axes), np.var(x, axes), weight, bias, eps)


def batch_norm_inference(x, running_mean, running_var, weight=None, bias=None, eps=1e-5):
    """The same with a given mean and variance of each channel."""
    y = (x - _per_channel(running_mean, x)) / np.sqrt(_per_channel(running_var, x) + eps)
    y = y if weight is None else y * _per_channel(weight, x)
    return y if bias is None else y + _per_channel(bias, x)


def batch_norm_backward(dy, x, weight=None, eps=1e-5):
    """dx, from y = z weight + bias with z = (x - mean) / sqrt(var + eps): the projection of
    dz = dy weight onto what neither mean nor variance takes away, over sqrt(var + eps)."""
    axes = (0, *range(2, x.ndim))
    z = batch_norm(x, eps=eps)
    dz = dy if weight is None else dy * _per_channel(weight, x)
    dz = dz - np.mean(dz, axes, keepdims=True) - z * np.mean(dz * z, axes, keepdims=True)
    return dz / np.sqrt(np.var(x, axes, keepdims=True) + eps)


def batch_norm_update(x, running_mean, running_var, momentum=0.1):
    """Running mean and variance after a batch, one below the other; the variance is unbiased."""
    axes = (0, *range(2, x.ndim))
    batch = np.stack([np.mean(x, axes), np.var(x, axes, ddof=1)])
    return (1 - momentum) * np.stack([running_mean, running_var]) + momentum * batch


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) weight + bias over the last axes, of shape normalized_shape."""
    axes = tuple(range(-len(normalized_shape), 0))
    mean, var = np.mean(x, axes, keepdims=True), np.var(x, axes, keepdims=True)
    y = (x - mean) / np.sqrt(var + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def layer_norm_backward(dy, x, normalized_shape, weight=None, eps=1e-5):
    """dx: as batch_norm_backward, over the last axes."""
    axes = tuple(range(-len(normalized_shape), 0))
    z = layer_norm(x, normalized_shape, eps=eps)
    dz = dy if weight is None else dy * weight
    dz = dz - np.mean(dz, axes, keepdims=True) - z * np.mean(dz * z, axes, keepdims=True)
    return dz / np.sqrt(np.var(x, axes, keepdims=True) + eps)


def logsumexp(x, axis=None, keepdims=False):
    """log sum_i e^x_i; subtracting the maximum before and adding it after keeps the range."""
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isinf(top), 0, top)
    with np.errstate(divide="ignore"):
        y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis)


def logsumexp_backward(dy, x, y, axis):
    """dx_i = dy e^(x_i - y)."""
    return np.expand_dims(dy, axis) * np.exp(x - np.expand_dims(y, axis))


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) weight + bias over num_groups groups of channels, by sample."""
    groups = np.reshape(x, (x.shape[0], num_groups, int(np.prod(x.shape[1:])) // num_groups))
    mean, var = np.mean(groups, 2, keepdims=True), np.var(groups, 2, keepdims=True)
    y = np.reshape((groups - mean) / np.sqrt(var + eps), x.shape)
    y = y if weight is None else y * _per_channel(weight, x)
    return y if bias is None else y + _per_channel(bias, x)


def group_norm_backward(dy, x, num_groups, weight=None, eps=1e-5):
    """dx: as layer_norm_backward, over num_groups groups of channels of each sample."""
    groups = np.reshape(x, (x.shape[0], num_groups, int(np.prod(x.shape[1:])) // num_groups))
    dz = np.reshape(dy if weight is None else dy * _per_channel(weight, x), groups.shape)
    return np.reshape(layer_norm_backward(dz, groups, groups.shape[2:], eps=eps), x.shape)
