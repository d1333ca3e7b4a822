"""Pooling, window by window: x (..., H, W) or (..., L), windows given for each axis."""

from __future__ import annotations

import numpy as np

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool2d_backward",
    "max_pool1d",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_gather",
    "sum_pool1d",
    "sum_pool2d",
]


def _pair(v):
    return tuple(v) if isinstance(v, (tuple, list)) else (v, v)


def _axis(n, kernel, stride, padding, dilation, ceil_mode):
    """The positions that each window covers, and how far padding reaches below 0 and above n."""
    reach = dilation * (kernel - 1) + 1
    if padding == "same":
        m = -(-n // stride)
        total = max((m - 1) * stride + reach - n, 0)
        before, after = total // 2, total - total // 2
    else:
        before = after = 0 if padding == "valid" else padding
        m = (n + before + after - reach + (stride - 1 if ceil_mode else 0)) // stride + 1
        while ceil_mode and (m - 1) * stride >= n + before:
            m -= 1
    windows = [p * stride - before + dilation * np.arange(kernel) for p in range(m)]
    return [w[w < n + after] for w in windows]


def _windows(x, kernel_size, stride, padding, dilation, ceil_mode):
    """((rows), (columns)): the positions of the windows of both axes, padding among them."""
    stride = kernel_size if stride is None else stride
    options = [_pair(v) for v in (kernel_size, stride, dilation)]
    padding = (padding,) * 2 if isinstance(padding, str) else _pair(padding)
    return [
        _axis(x.shape[i - 2], options[0][i], options[1][i], padding[i], options[2][i], ceil_mode)
        for i in (0, 1)
    ]


def _adaptive(x, output_size):
    """Window i of m covers floor(i n / m) ... ceil((i + 1) n / m) - 1."""
    sizes = [n if m is None else m for m, n in zip(_pair(output_size), x.shape[-2:], strict=True)]
    return [
        [np.arange(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for m, n in zip(sizes, x.shape[-2:], strict=True)
    ]


def _inside(positions, n):
    return positions[(positions >= 0) & (positions < n)]


def _max_over(x, windows):
    """The maxima and where they stand, h W + w; -inf and -1 where the window is empty."""
    (H, W), (rows, columns) = x.shape[-2:], windows
    y = np.full((*x.shape[:-2], len(rows), len(columns)), -np.inf, x.dtype)
    indices = np.full(y.shape, -1)
    flat = x.reshape(*x.shape[:-2], H * W)
    for p, q in np.ndindex(len(rows), len(columns)):
        at = (_inside(rows[p], H)[:, None] * W + _inside(columns[q], W)).ravel()
        if at.size:
            best = _first_largest(flat[..., at])
            indices[..., p, q] = at[best]
            y[..., p, q] = np.take_along_axis(flat, at[best][..., None], -1)[..., 0]
    return y, indices


def _first_largest(values):
    """The first of the maxima along the last axis, or the last NaN."""
    nan = np.isnan(values)
    last = values.shape[-1] - 1 - np.argmax(nan[..., ::-1], -1)
    return np.where(nan.any(-1), last, np.argmax(values, -1))


def max_pool2d(
    x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """y[p, q] = max of x over the window (p, q)."""
    y = _max_over(x, _windows(x, kernel_size, stride, padding, dilation, ceil_mode))
    return y if return_indices else y[0]


def adaptive_max_pool2d(x, output_size, return_indices=False):
    y = _max_over(x, _adaptive(x, output_size))
    return y if return_indices else y[0]


def max_pool2d_backward(dy, indices, x_shape):
    """dx[indices[p, q]] += dy[p, q] in each plane."""
    planes = int(np.prod(x_shape[:-2]))
    dx = np.zeros((planes, x_shape[-2] * x_shape[-1]), dy.dtype)
    for plane, i, g in zip(dx, indices.reshape(planes, -1), dy.reshape(planes, -1), strict=True):
        np.add.at(plane, i, g)
    return dx.reshape(x_shape)


def max_pool2d_gather(x, indices):
    """y[p, q] = x[indices[p, q]] in each plane."""
    flat = x.reshape(*x.shape[:-2], -1), indices.reshape(*indices.shape[:-2], -1)
    return np.take_along_axis(*flat, -1).reshape(indices.shape)


def _matrix(positions, n):
    """(m, n): 1 where window p covers element j, so that a sum over windows is A x Bᵀ."""
    return np.array([[np.sum(w == j) for j in range(n)] for w in positions], float).reshape(-1, n)


def _sum_over(x, windows):
    rows, columns = (_matrix(w, n) for w, n in zip(windows, x.shape[-2:], strict=True))
    return (rows @ x @ columns.T).astype(x.dtype)


def _divisors(x, windows, count_include_pad, divisor_override):
    """(P, Q) numbers of elements, or the one given."""
    if divisor_override is not None:
        return divisor_override
    counts = [
        [len(w if count_include_pad else _inside(w, n)) for w in positions]
        for positions, n in zip(windows, x.shape[-2:], strict=True)
    ]
    return np.outer(*counts).astype(x.dtype)


def avg_pool2d(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    """y[p, q] = sum of x over the window (p, q) / its number of elements."""
    windows = _windows(x, kernel_size, stride, padding, 1, ceil_mode)
    padded = count_include_pad and padding != "same"
    return _sum_over(x, windows) / _divisors(x, windows, padded, divisor_override)


def avg_pool2d_backward(dy, x_shape, kernel_size, stride=None, padding=0, count_include_pad=True):
    """dx = Aᵀ (dy / divisors) B."""
    like = np.broadcast_to(np.zeros((), dy.dtype), x_shape)
    windows = _windows(like, kernel_size, stride, padding, 1, False)
    rows, columns = (_matrix(w, n) for w, n in zip(windows, x_shape[-2:], strict=True))
    return rows.T @ (dy / _divisors(like, windows, count_include_pad, None)) @ columns


def adaptive_avg_pool2d(x, output_size):
    windows = _adaptive(x, output_size)
    return _sum_over(x, windows) / _divisors(x, windows, False, None)


def sum_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False):
    return avg_pool2d(x, kernel_size, stride, padding, ceil_mode, divisor_override=1)


def _one_row(kernel_size, stride, padding):
    """Windows along one axis as those of an image of one row."""
    stride = None if stride is None else (1, stride)
    return (1, kernel_size), stride, padding if isinstance(padding, str) else (0, padding)


def max_pool1d(
    x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    windows = (*_one_row(kernel_size, stride, padding), (1, dilation), ceil_mode)
    y, indices = max_pool2d(x[..., None, :], *windows, return_indices=True)
    return (y[..., 0, :], indices[..., 0, :]) if return_indices else y[..., 0, :]


def adaptive_max_pool1d(x, output_size):
    return adaptive_max_pool2d(x[..., None, :], (1, output_size))[..., 0, :]


def avg_pool1d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    windows = _one_row(kernel_size, stride, padding)
    return avg_pool2d(x[..., None, :], *windows, ceil_mode, count_include_pad)[..., 0, :]


def adaptive_avg_pool1d(x, output_size):
    return adaptive_avg_pool2d(x[..., None, :], (1, output_size))[..., 0, :]


def sum_pool1d(x, kernel_size, stride=None, padding=0, ceil_mode=False):
    windows = _one_row(kernel_size, stride, padding)
    return sum_pool2d(x[..., None, :], *windows, ceil_mode)[..., 0, :]
