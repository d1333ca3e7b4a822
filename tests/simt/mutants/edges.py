"""Items that stand where a kernel changes its way: views that start or step so that wide accesses
do not fit, long sums in pieces, several chunks, positions that are all wrong.
"""

from __future__ import annotations

import ctypes

import numpy as np

import dlx
from dlx import _core, nn
from simt.mutants.beyond import drawn, error_of, item

f = nn.functional


def given(device, *shape, dtype="float32", seed=1):
    return dlx.tensor(drawn("cpu", *shape, dtype=dtype, seed=seed).numpy(), device=device,
                      requires_grad=True)  # fmt: skip


def differentiated(y, *inputs):
    """y and the gradients of sum(y * something)."""
    (y * drawn(y.device, *y.shape, dtype=str(y.dtype).split(".")[-1], seed=9)).sum().backward()
    return [y.detach(), *(x.grad for x in inputs)]


@item
def running_sums(device):
    found = []
    for shape, axis in (((3, 5001), 1), ((2, 700, 3), 1), ((40_000,), 0), ((1, 300, 1), 1)):
        x = given(device, *shape, dtype="float64")
        found += differentiated(dlx.cumsum(x, axis=axis), x)
        integers = dlx.astype(drawn(device, *shape) * 100, dlx.int64)
        found.append(dlx.cumsum(integers, axis=axis))
    return found


@item
def positions_of_many(device):
    return [dlx._core.nonzero(drawn(device, n, seed=n) > 0.5) for n in (2048, 16_384, 9001, 1)]


@item
def no_positions(device):
    none = dlx.zeros((0,), dtype="bool", device=device)
    return [
        dlx._core.nonzero(none),
        dlx._core.nonzero(dlx.zeros((5,), dtype="bool", device=device)),
    ]


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
def reductions_of_bytes(device):
    x = dlx.astype(drawn(device, 5, 1100) * 50, dlx.uint8)
    return [dlx.sum(x, axis=1), dlx.sum(x[:, 1:1089], axis=1), dlx.max(x, axis=1), dlx.sum(x)]


@item
def extremes_with_nan(device):
    a = np.random.default_rng(3).normal(size=(6, 300))
    a[0, [7, 100]] = a[1, 299] = a[2, 0] = np.nan
    a[3, [5, 200, 77]] = 9
    a[4] = np.nan
    found = []
    for dtype in ("float32", "float64"):
        x = dlx.tensor(a.astype(dtype), device=device)
        found += [dlx.argmax(x, axis=1), dlx.argmin(x, axis=1), dlx.max(x, axis=1), dlx.argmax(x)]
        found += [dlx.argmax(x.T, axis=0), dlx.min(x, axis=0)]
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
def products_of_cut_depth_of_doubles(device):
    a, b = drawn(device, 3, 1001, dtype="float64"), drawn(device, 1001, 4, dtype="float64", seed=2)
    batch = drawn(device, 3, 2, 700, dtype="float64")
    return [
        a @ b,
        a[:, :1000] @ b[:1000],
        batch @ drawn(device, 3, 700, 5, dtype="float64", seed=2),
    ]


@item
def errors_at_many_places(device):
    bad = np.arange(3000) + 4
    bad[:7] = [0, 1, 2, 3, 0, 1, 2]
    i = dlx.tensor(bad, device=device)
    x = drawn(device, 4, 2)
    return [
        error_of(lambda: f.one_hot(i, 4)),
        error_of(lambda: dlx.take(x, i, axis=0)),
        error_of(lambda: _core.scatter_add(drawn(device, 3000, 2), i, 0, 4)),
        error_of(lambda: x[i, i]),
        error_of(
            lambda: x[dlx.tensor([0, 3, 1], device=device), dlx.tensor([1, 1, 2], device=device)]
        ),
        error_of(lambda: f.one_hot(i[:7], 0)),
    ]


@item
def assignments_out_of_range(device):
    x, v = drawn(device, 5, 4), drawn(device, 3, 4, seed=2)
    found = []
    for places in ([0, 5, 1], [-6, 0, 1], [4, -5, 4]):
        y = dlx.tensor(x.numpy() if device == "cpu" else x.cpu().numpy(), device=device)

        def assign(y=y, places=places):
            y[dlx.tensor(places, device=device)] = v
            return y

        found += [error_of(assign), y]
    return found


@item
def rows_taken_of_views(device):
    found = []
    i = dlx.tensor([3, 0, 0, 4, -1], device=device)
    for width in (72, 70):
        for x in views(drawn(device, 5, 6, width)):
            found += [dlx.take(x, i, axis=1), dlx.take(x[:, :3], i[1:3], axis=0)]
            found += [x[i], dlx.take(x, i, axis=2)]
    return found


@item
def random_numbers(device):
    found = []
    for n in (0, 1, 5, 1030):
        for dtype in (dlx.int32, dlx.int64):
            found.append(dlx.random.randint(-3, 100, (n,), dtype=dtype, device=device))
        found += [dlx.random.uniform((n,), device=device), dlx.random.normal((n,), device=device)]
        found.append(dlx.random.permutation(n, device=device))
    found.append(dlx.random.permutation(5000, device=device))
    return found


@item
def to_another_device(device):
    there = "cuda:1" if device != "cpu" else "cpu"
    x = drawn(device, 1000).to(there)
    return [(x + x).cpu(), x.to(device) * 2]


@item
def indices_divided(device):
    """cuda/core/divide.h beyond 32 bits, which no array here has: by the function itself."""
    pairs = [(7, 3), (2**32 - 1, 7), (2**32, 7), (2**40 + 5, 2**33), (5, 2**35), (2**62, 3)]
    if device == "cpu":
        return [np.array([n // d, n % d]) for n, d in pairs]
    divide = ctypes.CDLL(_core.__file__).dlx_divide
    divide.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    found = []
    for n, d in pairs:
        both = np.zeros(2, np.int64)
        divide(n, d, both.ctypes.data)
        found.append(both)
    return found
