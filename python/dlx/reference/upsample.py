"""Resampling as a product with one matrix for each axis: A x Bᵀ."""

from __future__ import annotations

import numpy as np

__all__ = [
    "interpolate",
    "upsample_bilinear2d",
    "upsample_bilinear2d_backward",
    "upsample_linear1d",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_nearest2d_backward",
]


def _numbers(value, axes):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def _sizes(extents, size, scale_factor):
    """Per axis: extent, new extent, pixels of x for one of y."""
    if size is None:
        scales = _numbers(scale_factor, len(extents))
        return [(n, int(n * s), 1 / s) for n, s in zip(extents, scales, strict=True)]
    sizes = _numbers(size, len(extents))
    return [(n, m, n / m) for n, m in zip(extents, sizes, strict=True)]


def _nearest(n, m, step):
    """(m, n): row p has its 1 at floor(p step), a product of float32 numbers."""
    step = n / m if m in (n, 2 * n) else step
    a = np.zeros((m, n))
    at = np.floor(np.arange(m, dtype=np.float32) * np.float32(step)).astype(int)
    a[np.arange(m), np.minimum(at, n - 1)] = 1
    return a


def _linear(n, m, step, align_corners):
    """(m, n): row p holds the weights max(0, 1 - |j - at|) of the pixels j around `at`."""
    step = 1 if m == n else step
    at = np.arange(m) * ((n - 1) / max(m - 1, 1))
    if not align_corners:
        at = np.clip((np.arange(m) + 0.5) * step - 0.5, 0, n - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(n)))


def _matrices(extents, size, scale_factor, linear, align_corners):
    axes = _sizes(extents, size, scale_factor)
    return [_linear(*a, align_corners) if linear else _nearest(*a) for a in axes]


def upsample_nearest2d(x, size=None, scale_factor=None):
    rows, columns = _matrices(x.shape[2:], size, scale_factor, False, False)
    return (rows @ x @ columns.T).astype(x.dtype)


def upsample_bilinear2d(x, size=None, scale_factor=None, align_corners=False):
    rows, columns = _matrices(x.shape[2:], size, scale_factor, True, align_corners)
    return (rows @ x @ columns.T).astype(x.dtype)


def upsample_nearest2d_backward(dy, extents):
    """dx = Aᵀ dy B."""
    rows, columns = _matrices(extents, dy.shape[2:], None, False, False)
    return rows.T @ dy @ columns


def upsample_bilinear2d_backward(dy, extents, align_corners=False):
    rows, columns = _matrices(extents, dy.shape[2:], None, True, align_corners)
    return rows.T @ dy @ columns


def upsample_nearest1d(x, size=None, scale_factor=None):
    (columns,) = _matrices(x.shape[2:], size, scale_factor, False, False)
    return (x @ columns.T).astype(x.dtype)


def upsample_linear1d(x, size=None, scale_factor=None, align_corners=False):
    (columns,) = _matrices(x.shape[2:], size, scale_factor, True, align_corners)
    return (x @ columns.T).astype(x.dtype)


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    if mode == "nearest":
        twin = upsample_nearest1d if x.ndim == 3 else upsample_nearest2d
        return twin(x, size, scale_factor)
    twin = upsample_linear1d if x.ndim == 3 else upsample_bilinear2d
    return twin(x, size, scale_factor, bool(align_corners))
