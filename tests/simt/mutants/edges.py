"""Items that stand where a kernel changes its way: long sums in pieces, several chunks, positions
that are all wrong, more of everything than a grid has threads.
"""

from __future__ import annotations

import ctypes
import math

import numpy as np

import dlx
from dlx import _core, nn
from simt.mutants.beyond import drawn, error_of, item, many_indices

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


@item
def no_indices(device):
    i = dlx.zeros((0,), dtype="int64", device=device)
    x, y = drawn(device, 4, 3), drawn(device, 4, 3)
    y[i] = dlx.zeros((0, 3), device=device)
    three = dlx.tensor([1, 0, 3], device=device)
    return [
        x[i, i],
        dlx.take(x, i, axis=1),
        _core.scatter_add(drawn(device, 3, 0), three, 0, 4),
        _core.scatter_add(drawn(device, 0, 2), i, 0, 4),
        y,
    ]


@item
def many_rows(device):
    """More than a grid of the largest size has teams."""
    i = many_indices(device, 150_000, 10)
    x = drawn(device, 10, 3)
    y = drawn(device, 10, 3)
    y[i] = drawn(device, 150_000, 3)
    return [dlx.take(x, i, axis=0)[::331], y]


@item
def many_positions_sorted(device):
    """More counts than a block scans at once."""
    i = many_indices(device, 67_000, 16)
    return [_core.scatter_add(drawn(device, 67_000, 1), i, 0, 16)]


@item
def sums_that_cancel(device):
    """In float64 what rounding takes is kept: large terms leave the small ones behind."""
    rng = np.random.default_rng(8)
    found = []
    for n in (700, 9000):
        large = rng.normal(size=n) * 1e14
        a = np.concatenate([large, rng.normal(size=n), -large[rng.permutation(n)]])
        if device == "cpu":  # which keeps less
            one = math.fsum(a)
            found += [np.array([one, one]), np.array([one])]
        else:
            x = dlx.tensor(np.stack([a, a[::-1]]), device=device)
            found += [dlx.sum(x, axis=1), dlx.sum(x.T[:, :1], axis=0)]
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
    for places in ([0, 5, 1], [-6, 0, 1], [4, -5, 4], [0, 999, 1], [-999, 0, 1]):
        y = dlx.tensor(x.numpy() if device == "cpu" else x.cpu().numpy(), device=device)

        def assign(y=y, places=places):
            y[dlx.tensor(places, device=device)] = v
            return y

        found += [error_of(assign), y]
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


@item
def places_from_elsewhere(device):
    """Maxima at places that max_pool2d did not find: outside there are zeros."""
    places = dlx.tensor(np.array([[[[0, -1], [16, 99]]]]), device=device)
    x = drawn(device, 1, 1, 4, 4)
    return [_core.max_pool2d_gather(x, places, (2, 2), (2, 2), (0, 0), (1, 1), 0)]


@item
def workspaces(device):
    """How many arrays an op allocates: its results, and no workspace where it needs none."""
    counts = [1] * 10 + [4, 4, 4]
    if device == "cpu":
        return [counts]
    x, weight = drawn(device, 4, 12), drawn(device, 12)
    labels = dlx.tensor([0, 1, 2, 1], device=device)
    images, w = drawn(device, 1, 16, 6, 6), drawn(device, 16, 16, 3, 3)
    found = []
    for op in (
        lambda: dlx.sum(x, axis=1),
        lambda: dlx.max(x, axis=0),
        lambda: dlx.argmax(x, axis=1),
        lambda: dlx.mean(x),
        lambda: x @ x.T,
        lambda: f.linear(x, x),
        lambda: f.conv2d(images, w),
        lambda: dlx.cumsum(x, axis=1),
        lambda: dlx.cumsum(x, axis=0),
        lambda: f.mse_loss(x, x),
        lambda: f.cross_entropy(x, labels),
        lambda: f.cross_entropy(x, labels, weight=weight),
        lambda: f.cross_entropy(x, labels, reduction="none"),
    ):
        before = dlx.cuda.memory_stats(device)["allocations"]
        op()
        found.append(dlx.cuda.memory_stats(device)["allocations"] - before)
    return [found]
