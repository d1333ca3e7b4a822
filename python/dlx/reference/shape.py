"""Movement of elements without arithmetic, in row-major order."""

from __future__ import annotations

import numpy as np

__all__ = [
    "broadcast_to",
    "concat",
    "copy",
    "cumsum",
    "cumulative_sum",
    "expand_dims",
    "flip",
    "move",
    "pad",
    "permute_dims",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "tril",
    "triu",
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


def move(x):
    """The same values on another device."""
    return np.array(x, order="C")


def flip(x, axis=None):
    return np.flip(x, axis)


def roll(x, shift, axis=None):
    """y[(i + shift) mod n] = x[i]."""
    return np.roll(x, shift, axis)


def tile(x, repetitions):
    return np.tile(x, repetitions)


def tril(x, k=0):
    return np.tril(x, k)


def triu(x, k=0):
    return np.triu(x, k)


def pad(x, pad_width, mode="constant", value=0):
    """Each axis's positions ... -1, 0, 1 ... n + after, and where in x they come from."""
    width = np.broadcast_to(np.asarray(pad_width, np.int64).reshape(-1, 2), (x.ndim, 2))
    for axis, (before, after) in enumerate(width.tolist()):
        n = x.shape[axis]
        i = np.arange(-before, n + after)
        source = {
            "constant": i,
            "reflect": n - 1 - np.abs(n - 1 - np.abs(i)),
            "replicate": np.clip(i, 0, max(n - 1, 0)),
            "circular": i % max(n, 1),
        }[mode]
        inside = ((source >= 0) & (source < n)).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
        x = np.append(x, np.zeros_like(x, shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :])), axis)
        x = np.where(inside, np.take(x, np.clip(source, 0, n), axis), np.asarray(value, x.dtype))
    return x


def cumsum(x, axis=None, reverse=False):
    """y[i] = x[0] + ... + x[i]; in reverse, x[i] + ... + x[n - 1]. Not floats: in int64."""
    x = x if x.dtype.kind == "f" else x.astype(np.int64)
    axis = 0 if axis is None else axis
    return np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse else np.cumsum(x, axis)


def cumulative_sum(x, axis=None, include_initial=False):
    """A zero in front of the running sums, if asked for."""
    y = np.moveaxis(cumsum(x, axis), axis or 0, 0)
    first = np.zeros((1, *y.shape[1:]), y.dtype)
    return np.moveaxis(np.concatenate([first, y] if include_initial else [y]), 0, axis or 0)
