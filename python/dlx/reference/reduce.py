"""Reductions over axis = None (all), an int or a tuple; keepdims leaves extents of 1."""

from __future__ import annotations

import numpy as np

__all__ = ["argmax", "argmin", "max", "mean", "min", "std", "sum", "var"]


def sum(x, axis=None, keepdims=False):
    """Integers and bools add up in int64."""
    dtype = None if np.issubdtype(x.dtype, np.floating) else np.int64
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=dtype)


def _count(x, axis):
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return int(np.prod([x.shape[a] for a in axes], dtype=np.int64))


def mean(x, axis=None, keepdims=False):
    return np.divide(np.sum(x, axis=axis, keepdims=keepdims), np.asarray(_count(x, axis), x.dtype))


def var(x, axis=None, correction=0.0, keepdims=False):
    """sum((x - mean)^2) / (n - correction)."""
    centred = x - mean(x, axis, keepdims=True)
    divisor = np.asarray(_count(x, axis) - correction, x.dtype)
    return np.divide(np.sum(centred**2, axis=axis, keepdims=keepdims), divisor)


def std(x, axis=None, correction=0.0, keepdims=False):
    return np.sqrt(var(x, axis, correction, keepdims))


def max(x, axis=None, keepdims=False):
    return np.max(x, axis=axis, keepdims=keepdims)


def min(x, axis=None, keepdims=False):
    return np.min(x, axis=axis, keepdims=keepdims)


def argmax(x, axis=None, keepdims=False):
    """The first index of the largest value; over all axes (None) of the flat row-major array."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


def argmin(x, axis=None, keepdims=False):
    """The first index of the smallest value; over all axes (None) of the flat row-major array."""
    return np.argmin(x, axis=axis, keepdims=keepdims)
