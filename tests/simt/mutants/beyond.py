"""Inputs that the table of cases has no rows for, as functions of a device whose results are
compared with the CPU's: many elements, unaligned views, empty arrays, errors.
"""

from __future__ import annotations

import numpy as np

import dlx
from dlx import nn, optim

BEYOND = []


def item(function):
    BEYOND.append(function)
    return function


def drawn(device, *shape, dtype="float32", seed=1):
    array = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    return dlx.tensor(array, device=device)


def error_of(call):
    """The type and the text of what it raises, without the place where a GPU's was found."""
    try:
        result = call()
        for y in result if isinstance(result, tuple) else (result,):
            y.cpu()
    except Exception as e:
        return f"{type(e).__name__}: {e}".split("; found on")[0]
    return "no error"


MANY = 132 * 16 * 256 + 777  # more than a grid of the largest size has threads


@item
def many_pointwise(device):
    x = drawn(device, MANY)
    return [x + x, dlx.astype(x, dlx.float16)[::5003], (x[::-1] * 2)[::997]]


@item
def many_copied(device):
    x = drawn(device, 2, MANY // 2)
    return [x.T.contiguous()[::1009], dlx.full((MANY,), 3.0, device=device)[::1009]]


@item
def unaligned(device):
    x, y = drawn(device, 1030), drawn(device, 1030, seed=2)
    return [x[1:] + y[1:], x[:-1] * y[1:], x[3:1027] - y[2:1026], dlx.exp(x[5:])]


@item
def empty(device):
    x = dlx.zeros((0, 3), device=device)
    y = dlx.zeros((3, 0), device=device)
    return [
        x + 1,
        dlx.sum(x),
        dlx.sum(y, axis=1),
        y @ x,
        x.T.contiguous(),
        dlx.astype(x, dlx.int32),
    ]


@item
def empty_batches_of_pools(device):
    f, x = nn.functional, dlx.tensor(dlx.zeros((0, 2, 4, 4), device=device), requires_grad=True)
    found = []
    for y in (f.max_pool2d(x, 2), f.avg_pool2d(x, 2), f.interpolate(x, scale_factor=2)):
        x.grad = None
        dlx.sum(y).backward()
        found += [y.detach(), x.grad]
    return found


@item
def sums_of_many(device):
    x = drawn(device, 3, 70_001)
    return [dlx.sum(x, axis=1), dlx.mean(x), dlx.max(x, axis=1), dlx.argmax(x, axis=1)]


@item
def sums_over_long_columns(device):
    x = drawn(device, 4099, 5)
    return [dlx.sum(x, axis=0), dlx.max(x, axis=0), dlx.var(x, axis=0)]


def product_sizes(device, sizes, dtype):
    found = []
    for m, n, k in sizes:
        a, b = drawn(device, m, k, dtype=dtype), drawn(device, k, n, dtype=dtype, seed=2)
        at, bt = a.T.contiguous().T, b.T.contiguous().T
        found += [a @ b, at @ b, a @ bt, at @ bt]
    return found


@item
def products_float32(device):
    sizes = [(1, 1, 1), (65, 63, 17), (64, 64, 64), (129, 5, 33), (7, 130, 65)]
    return product_sizes(device, sizes, "float32")


@item
def products_float64(device):
    return product_sizes(device, [(65, 63, 17), (3, 129, 40), (64, 64, 16)], "float64")


@item
def products_of_large_tiles(device):
    found = []
    for dtype in ("float32", "float64", "bfloat16"):
        a, b = drawn(device, 9 * 128 - 3, 9), drawn(device, 9, 8 * 128 - 5, seed=2)
        y = dlx.astype(a, getattr(dlx, dtype)) @ dlx.astype(b, getattr(dlx, dtype))
        found.append(dlx.astype(y, dlx.float32)[::37])
    return found


@item
def products_of_cut_depth(device):
    """Few tiles of a long sum: its pieces, and their sum."""
    a, b = drawn(device, 5, 4099), drawn(device, 4099, 6, seed=2)
    return [a @ b, a[:, 1:] @ b[1:], drawn(device, 5, 4096) @ drawn(device, 4096, 8, seed=3)]


@item
def products_of_unaligned_views(device):
    a, b = drawn(device, 2, 37, 41), drawn(device, 2, 41, 45, seed=2)
    return [
        a[:, 1:, 1:] @ b[:, 1:, 1:],
        a[:, :32, 4:36] @ b[:, 4:36, 8:40],
        a[1, 1:33, 1:] @ b[1, 1:, 1:33],
    ]


@item
def products_of_batches(device):
    a, b = drawn(device, 3, 2, 17, 19), drawn(device, 3, 1, 19, 23, seed=2)
    return [a @ b, a[0] @ b, drawn(device, 5, 33) @ drawn(device, 33, seed=3)]


BAD = ([0, 7, 2], [0, -6, 2], [9, 0, 1])
REFUSED = {
    "take": lambda x, i: dlx.take(x, i, axis=0),
    "getitem": lambda x, i: x[i],
    "embedding": lambda x, i: nn.functional.embedding(i, x),
    "one_hot": lambda x, i: nn.functional.one_hot(i, 3),
    "cross_entropy": lambda x, i: nn.functional.cross_entropy(x[:3], i),
    "nll_loss": lambda x, i: nn.functional.nll_loss(x[:3], i),
    "scatter_add": lambda x, i: dlx._core.scatter_add(x[:3], i, 0, 4),
}


def refused(name):
    def errors(device):
        x = drawn(device, 5, 4)
        places = [dlx.tensor(np.array(bad), device=device) for bad in BAD]
        return [error_of(lambda i=i: REFUSED[name](x, i)) for i in places]

    errors.__name__ = f"errors_of_{name}"
    return errors


for name in REFUSED:
    item(refused(name))


@item
def works_after_an_error(device):
    x = drawn(device, 5, 4)
    error_of(lambda: dlx.take(x, dlx.tensor(np.array([9]), device=device), axis=0))
    return [dlx.take(x, dlx.tensor(np.array([4, 0]), device=device), axis=0), x + x]


def many_indices(device, count, limit):
    return dlx.tensor(np.random.default_rng(4).integers(0, limit, count), device=device)


@item
def many_positions(device):
    x = drawn(device, 3001) > 0.3
    y = drawn(device, 3001)
    return [
        dlx._core.nonzero(x),
        y[x],
        dlx._core.nonzero(drawn(device, 70, 30) > 0),
    ]


@item
def gradients_of_many_indices(device):
    found = []
    for count, rows, columns in ((3001, 50, 3), (700, 2000, 1), (5, 3, 4)):
        x = dlx.tensor(drawn("cpu", rows, columns).numpy(), device=device, requires_grad=True)
        y = dlx.take(x, many_indices(device, count, rows), axis=0)
        (y * drawn(device, count, columns, seed=5)).sum().backward()
        found.append(x.grad)
    return found


@item
def dropout_of_many(device):
    x = dlx.ones((MANY // 8,), device=device)
    return [nn.functional.dropout(x, 0.3, training=True)]


@item
def softmax_of_rows(device):
    found = []
    for n in (1, 31, 33, 257, 1025):
        x = dlx.tensor(drawn("cpu", 3, n).numpy(), device=device, requires_grad=True)
        y = dlx.softmax(x, axis=1)
        dlx.sum(y * y).backward()
        found += [y.detach(), x.grad]
    return found


@item
def layer_norm_of_rows(device):
    found = []
    for n in (3, 33, 257, 1030):
        x = dlx.tensor(drawn("cpu", 5, n).numpy(), device=device, requires_grad=True)
        y = nn.functional.layer_norm(x, (n,))
        dlx.sum(y * y * y).backward()
        found += [y.detach(), x.grad]
    return found


def trained(device, make, shape, classes=4):
    dlx.seed(3)
    model = make().to(device)
    step = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = drawn(device, *shape)
    y = dlx.tensor(np.arange(shape[0]) % classes, device=device)
    losses = []
    for _ in range(2):
        step.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        step.step()
        losses.append(loss.item())
    return [losses, *(p.detach() for p in model.parameters())]


@item
def a_network_of_images(device):
    def make():
        return nn.Sequential(
            nn.Conv2d(2, 5, 3, padding=1, bias=False),
            nn.BatchNorm2d(5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(5 * 4 * 5, 4),
        )

    return trained(device, make, (6, 2, 8, 10))
