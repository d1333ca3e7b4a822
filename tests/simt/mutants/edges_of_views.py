"""As edges.py, of views: those that start or step so that wide accesses do not fit."""

from __future__ import annotations

import dlx
from dlx import nn
from simt.mutants.beyond import drawn, item

f = nn.functional


@item
def copies_of_views(device):
    """Wide where rows, starts and strides are."""
    found = []
    for dtype in ("float32", "float64"):
        for width in (72, 70, 71):
            for x in views(drawn(device, 4, 6, width, dtype=dtype)):
                y = dlx.zeros(x.shape, dtype=dtype, device=device)
                y[...] = x
                z = dlx.zeros((4, 6, width + 1), dtype=dtype, device=device)
                z[:, :, 1 : x.shape[2] + 1] = x
                found += [x.contiguous(), y, z, dlx.concat([x, x[:, :2]], axis=1)]
        x = drawn(device, 6, 5, 8, dtype=dtype)
        found += [dlx.permute_dims(x, (1, 0, 2)).contiguous(), x[::2].contiguous()]
        y = dlx.zeros((3, 385), dtype=dtype, device=device)
        y[:, :384] = drawn(device, 3, 384, dtype=dtype)
        found += [
            y,
            y[:, :384].contiguous(),
            drawn(device, 3, 385, dtype=dtype)[:, 1:].contiguous(),
        ]
    a = drawn(device, 4, 6, 256)
    found.append(a[:, :, :128].contiguous())
    for rows, columns in ((0, 64), (0, 63), (1, 65), (4, 68)):
        for start in (0, 1):
            y = dlx.zeros((4, 6, 72), device=device)
            y[:, :, rows:columns] = a[:, :, start : start + columns - rows]
            found.append(y)
    return found


@item
def fills_of_views(device):
    found = []
    for dtype in ("float32", "float64", "uint8"):
        for n, start, step in ((70, 0, 1), (70, 1, 1), (64, 0, 2), (3, 0, 1)):
            x = dlx.zeros((n,), dtype=dtype, device=device)
            x[start::step] = 3
            found += [x, dlx.arange(n, dtype=dtype, device=device)]
    return found


@item
def pointwise_of_views(device):
    found = []
    base = drawn(device, 5, 72)
    for x in views(base):
        t = drawn(device, *x.shape, seed=2)
        found += [x + t, t * x, x + 2, 3 - x, dlx.where(x > 0, t, x), dlx.clip(x, -0.5, 0.5)]
        found += [dlx.astype(x, dlx.float16), dlx.astype(x, dlx.float64), x[0] + t, t[:, :1] * x]
    bytes_ = dlx.astype(base * 40 + 100, dlx.uint8)
    found += [bytes_ + 3, bytes_ * 2, bytes_ > 90, dlx.astype(bytes_, dlx.int64) - 7]
    flat = drawn(device, 361)
    for n in (1, 3, 4, 5, 64, 67, 360):
        for start in (0, 1):
            x = flat[start : start + n]
            found += [x + 1, x * x, dlx.astype(x, dlx.bfloat16), dlx.astype(x, dlx.int32), x > 0]
            y = drawn(device, n, seed=3)
            y += x
            found.append(y)
    return found


@item
def one_array_not_aligned(device):
    """Of the arrays of a loss."""
    x, t, w = (dlx.abs(drawn(device, 41, seed=s)) / 5 for s in (1, 2, 3))
    found = []
    for a, b, c in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)):
        arrays = [y[k : k + 40] for y, k in ((x, a), (t, b), (w, c))]
        for r in ("none", "mean"):
            found.append(f.binary_cross_entropy(*arrays, reduction=r))
            found.append(f.mse_loss(*arrays[:2], reduction=r))
    return found


def views(x):
    """Of (..., 72): what keeps wide accesses from it is one thing at a time."""
    return [x[..., :64], x[..., 1:65], x[..., 4:67], x[..., ::2], x[..., 1::3], x[..., ::-1]]


@item
def reductions_of_views(device):
    found = []
    for width in (72, 70):
        for x in views(drawn(device, 4, 6, width)):
            found += [dlx.sum(x, axis=2), dlx.sum(x), dlx.max(x, axis=(1, 2)), dlx.var(x, axis=0)]
            found += [dlx.sum(x, axis=(0, 2)), dlx.argmax(x, axis=2), dlx.mean(x, axis=(0, 1))]
    x = drawn(device, 7, 5, 72)
    found += [dlx.sum(x[1:, :, :64], axis=(0, 2)), dlx.sum(x[:, 1:4, 4:68])]
    return found


@item
def products_of_views(device):
    """Each keeps one thing from being wide: the start, the extent, the stride, the batch."""
    left = drawn(device, 36, 40)
    batches = dlx.permute_dims(drawn(device, 36, 4, 9), (1, 0, 2))[:, :, :8]
    found = []
    for a in (left[:, 1:33], left[:, :30], left[1:, :32], drawn(device, 36, 38)[:, :32],
              left[:, ::2], left[:32, 4:36], batches):  # fmt: skip
        at = a.mT
        b = drawn(device, a.shape[-1], 32, seed=2)
        bt = drawn(device, 32, a.shape[-1], seed=2).T
        found += [a @ b, a @ bt, b.mT @ at, bt.mT @ at]
        c = drawn(device, 32, a.shape[-2], seed=3)
        found += [c @ a, at @ c.T]
    return found


@item
def rows_taken_of_views(device):
    found = []
    i = dlx.tensor([3, 0, 0, 4, -1], device=device)
    for width in (72, 70):
        for x in views(drawn(device, 5, 6, width)):
            found += [dlx.take(x, i, axis=1), dlx.take(x[:, :3], i[1:3], axis=0)]
            found += [x[i], dlx.take(x, i, axis=2)]
    for width in (385, 384, 388):  # how far apart the batches are need not be wide
        x = drawn(device, 3, width)[:, :384].reshape((3, 6, 64))
        found += [dlx.take(x, i, axis=1), dlx.take(x, i[1:3], axis=0)]
    return found
