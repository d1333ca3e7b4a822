"""Convolutions, one kernel element at a time."""

from __future__ import annotations

import numpy as np

__all__ = ["conv1d", "conv2d", "conv2d_backward_weight", "conv_transpose1d", "conv_transpose2d"]


def _pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def _sides(padding, kernel, dilation):
    """(above, to the left), (below, to the right)."""
    if padding == "same":
        total = (np.array(kernel) - 1) * _pair(dilation)
        return tuple(total // 2), tuple(total - total // 2)
    sides = (0, 0) if padding == "valid" else _pair(padding)
    return sides, sides


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    if x.ndim == 3:
        return conv2d(x[None], w, b, stride, padding, dilation, groups)[0]
    (K, C, R, S), (s, t), (d, e) = w.shape, _pair(stride), _pair(dilation)
    (top, left), (below, right) = _sides(padding, (R, S), dilation)
    x = np.pad(x, ((0, 0), (0, 0), (top, below), (left, right)))
    P, Q = (x.shape[2] - d * (R - 1) - 1) // s + 1, (x.shape[3] - e * (S - 1) - 1) // t + 1
    y = np.zeros((len(x), K, P, Q), x.dtype) + (0 if b is None else b[:, None, None])
    for k, c in ((k, k // (K // groups) * C) for k in range(K)):
        for r, u in np.ndindex(R, S):
            image = x[:, c : c + C, r * d : r * d + s * P : s, u * e : u * e + t * Q : t]
            y[:, k] += np.einsum("ncpq,c->npq", image[:, :, :P, :Q], w[k, :, r, u])
    return y


def conv_transpose2d(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, output_size=None
):
    if x.ndim == 3:
        sizes = stride, padding, output_padding, groups, dilation, output_size
        return conv_transpose2d(x[None], w, b, *sizes)[0]
    (N, C, P, Q), (_, K, R, S), (s, t), (d, e) = x.shape, w.shape, _pair(stride), _pair(dilation)
    full = np.zeros((N, K * groups, (P + 1) * s + R * d, (Q + 1) * t + S * e), x.dtype)
    for c, k in ((c, c // (C // groups) * K) for c in range(C)):
        for r, u in np.ndindex(R, S):
            at = full[:, k : k + K, r * d : r * d + s * P : s, u * e : u * e + t * Q : t]
            at += np.einsum("npq,k->nkpq", x[:, c], w[c, :, r, u])
    h, v = _pair(padding)
    more = _pair(output_padding)
    size = (P - 1) * s - 2 * h + d * (R - 1) + 1, (Q - 1) * t - 2 * v + e * (S - 1) + 1
    H, W = output_size or (size[0] + more[0], size[1] + more[1])
    return full[:, :, h : h + H, v : v + W] + (0 if b is None else b[:, None, None])


def conv2d_backward_weight(x, dy, kernel_size, stride=1, padding=0, dilation=1, groups=1):
    (R, S), (s, t), (d, e) = _pair(kernel_size), _pair(stride), _pair(dilation)
    (top, left), (below, right) = _sides(padding, (R, S), dilation)
    x = np.pad(x, ((0, 0), (0, 0), (top, below), (left, right)))
    (_, K, P, Q), C = dy.shape, x.shape[1] // groups
    dw = np.zeros((K, C, R, S), x.dtype)
    for k, c in ((k, k // (K // groups) * C) for k in range(K)):
        for r, u in np.ndindex(R, S):
            image = x[:, c : c + C, r * d : r * d + s * P : s, u * e : u * e + t * Q : t]
            dw[k, :, r, u] = np.einsum("ncpq,npq->c", image[:, :, :P, :Q], dy[:, k])
    return dw


def _row(value):
    """An option of one dimension for a row of an image."""
    return value if isinstance(value, str) else (1, *np.atleast_1d(value).tolist())


def _no_rows(value):
    return value if isinstance(value, str) else (0, *np.atleast_1d(value).tolist())


def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    options = _row(stride), _no_rows(padding), _row(dilation), groups
    return conv2d(x[..., None, :], w[:, :, None], b, *options)[..., 0, :]


def conv_transpose1d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    options = _row(stride), _no_rows(padding), _no_rows(output_padding), groups, _row(dilation)
    return conv_transpose2d(x[..., None, :], w[:, :, None], b, *options)[..., 0, :]
