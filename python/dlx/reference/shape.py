"""Movement of elements without arithmetic, in row-major order."""

from __future__ import annotations

import numpy as np

__all__ = [
    "broadcast_to",
    "concat",
    "copy",
    "expand_dims",
    "permute_dims",
    "reshape",
    "squeeze",
    "stack",
]


def reshape(x, shape):
    return np.ascontiguousarray(x).reshape(shape)


def permute_dims(x, axes):
    """y.shape[d] = x.shape[axes[d]]."""
    return np.transpose(x, axes)


def squeeze(x, axis):
    return np.squeeze(x, axis)


def expand_dims(x, axis=0):
    return np.expand_dims(x, axis)


def broadcast_to(x, shape):
    return np.broadcast_to(x, shape)


def concat(arrays, axis=0):
    """axis None: of the flattened arrays."""
    return np.concatenate(arrays, axis=axis)


def stack(arrays, axis=0):
    return np.stack(arrays, axis=axis)


def copy(x):
    """The same values in dense row-major memory."""
    return np.array(x, order="C")
