"""Reading by position, and adding back to where something was read."""

from __future__ import annotations

import numpy as np

__all__ = [
    "count_nonzero",
    "embedding",
    "getitem",
    "nonzero",
    "one_hot",
    "ravel_index",
    "scatter",
    "scatter_add",
    "setitem",
    "take",
]


def take(x, indices, axis=None):
    """y[..., i, ...] = x[..., indices[i], ...]; axis None: x must have one dimension."""
    if axis is None and x.ndim != 1:
        raise ValueError("take: axis is needed")
    indices = np.asarray(indices)
    axis = (axis or 0) % x.ndim
    where = (slice(None),) * axis + (indices,)
    return x[where]


def scatter(y, indices, v, axis=0):
    """y with y[..., indices[i], ...] = v[..., i, ...], in rising order of i."""
    y = np.moveaxis(np.array(y), axis, 0)
    for i, row in zip(indices.reshape(-1), np.moveaxis(v, axis, 0), strict=True):
        y[i] = row
    return np.moveaxis(y, 0, axis)


def scatter_add(g, indices, axis, extent):
    """The transpose of take: g's elements, each added where take read it; the axis has `extent`."""
    axes = range(axis, axis + indices.ndim)
    g = np.moveaxis(g, axes, range(indices.ndim))
    y = np.zeros((extent, *g.shape[indices.ndim :]), g.dtype)
    np.add.at(y, indices, g)
    return np.moveaxis(y, 0, axis)


def count_nonzero(mask):
    return np.sum(mask != 0)


def nonzero(mask):
    """The positions of the true elements in the flat row-major array."""
    return np.arange(mask.size)[mask.reshape(-1)]


def ravel_index(indices, limits):
    """Positions along several axes as one in the axes merged; negative ones count from the end."""
    position = np.zeros((), np.int64)
    for index, limit in zip(indices, limits, strict=True):
        position = position * limit + np.where(index < 0, index + limit, index)
    return position


def getitem(x, index):
    """NumPy's basic and advanced indexing."""
    return x[index]


def setitem(x, index, value):
    """x with x[index] = value."""
    y = np.array(x)
    y[index] = value
    return y


def embedding(input, weight, padding_idx=None):
    """Rows of a table; padding_idx is about the gradient."""
    return weight[input]


def one_hot(labels, num_classes, dtype="float32"):
    """1 where the last axis counts the label, else 0."""
    return (labels[..., None] == np.arange(num_classes)).astype(dtype)
