"""Which algorithm the ops' tables choose by shape, where that follows on every machine.

What a row of docs/performance.md rests on would still be right, only slow, by another one.
"""

from __future__ import annotations

import pytest

import dlx
import dlx.nn.functional as F
from _levels import at_level
from dlx import testing


@pytest.fixture(params=("avx2", "avx512"))
def level(request):
    with at_level(request.param):
        yield


def variable(*shape):
    return dlx.tensor(dlx.zeros(shape), requires_grad=True)


# (N, C, H), (K, taps), options: forward, input gradient, weight gradient
CONVOLUTIONS = {
    "wide 3x3": ((8, 64, 28), (64, 3), {"padding": 1}, ("winograd4",) * 3),
    "3x3 of a few channels": ((8, 16, 32), (16, 3), {"padding": 1}, ("winograd4",) * 3),
    "3x3 with stride": (
        (8, 32, 32),
        (32, 3),
        {"stride": 2, "padding": 1},
        ("channels", "channels", "images"),
    ),
    "first layer": ((4, 3, 32), (16, 3), {"padding": 1}, ("direct", "columns", "images")),
    "stem": (
        (2, 3, 64),
        (32, 7),
        {"stride": 2, "padding": 3},
        ("channels", "columns", "lanes_of_dy"),
    ),
    "depthwise": ((8, 64, 28), (64, 3), {"padding": 1, "groups": 64}, ("depthwise",) * 3),
    "dilated": ((8, 32, 32), (32, 3), {"dilation": 2}, ("channels", "channels", "lanes_of_x")),
    "1x1": ((2, 256, 28), (64, 1), {}, ("panels", "matmul", "lanes_of_dy")),
    "as large as the image": ((8, 64, 8), (10, 8), {}, ("matmul",) * 3),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name, level):
    (n, channels, size), (filters, taps), options, expected = CONVOLUTIONS[name]
    x = variable(n, channels, size, size)
    w = variable(filters, channels // options.get("groups", 1), taps, taps)
    y = F.conv2d(x, w, **options)
    forward = testing.latest_algorithm("conv2d")
    y.sum().backward()
    weight = testing.latest_algorithm("conv2d_backward_weight")
    assert (forward, testing.latest_algorithm("conv2d"), weight) == expected


def test_exact_convolutions_leave_out_the_larger_tiles(level):
    x, w = dlx.zeros((8, 64, 28, 28)), dlx.zeros((64, 64, 3, 3))
    before = dlx.get_precision()
    dlx.set_precision("exact")
    try:
        F.conv2d(x, w, padding=1)
    finally:
        dlx.set_precision(before)
    assert testing.latest_algorithm("conv2d") == "winograd2"


@pytest.mark.parametrize(
    ("m", "k", "n", "plain", "transposed"),
    [
        (512, 512, 512, "packed", "packed"),
        (8, 8, 8, "direct", "direct"),
        (64, 784, 10, "direct", "dot"),
        (1, 4096, 512, "direct", "dot"),
        (512, 512, 1, "dot", "dot"),
    ],
)
def test_product(m, k, n, plain, transposed, level):
    dlx.matmul(dlx.zeros((m, k)), dlx.zeros((k, n)))
    assert testing.latest_algorithm("matmul") == plain
    dlx.matmul(dlx.zeros((m, k)), dlx.zeros((n, k)).T)
    assert testing.latest_algorithm("matmul") == transposed


@pytest.mark.parametrize(
    ("window", "stride", "most", "mean"),
    [(2, 2, ("pairs", "pairs"), "pairs"), (3, 2, ("blocks", "gather"), "rows")],
)
def test_pool(window, stride, most, mean, level):
    x = variable(2, 3, 16, 16)
    F.max_pool2d(x, window, stride).sum().backward()
    F.avg_pool2d(x, window, stride).sum().backward()
    took = [testing.latest_algorithm(f"max_pool2d{which}") for which in ("", "_backward")]
    assert tuple(took) == most
    assert testing.latest_algorithm("avg_pool2d") == mean
    assert testing.latest_algorithm("avg_pool2d_backward") == mean


def test_what_no_cache_holds_is_streamed(level):
    for shape, way in [((40, 1 << 20), "streamed"), ((8, 8), "cached")]:
        F.relu(dlx.empty(shape))
        assert testing.latest_algorithm("pointwise") == way


def test_rows_and_columns_of_one_chunk_and_longer_ones(level):
    for shape, axis, way in [
        ((1000, 3), 1, "rows"),
        ((10, 300), 0, "columns"),
        ((3000, 9), 0, "states"),
    ]:
        dlx.zeros(shape).sum(axis)
        assert testing.latest_algorithm("reduce") == way


def test_it_names_the_ops_that_choose():
    with pytest.raises(ValueError, match=r"latest_algorithm: expects one of \[.*'conv2d'.*got 'r'"):
        testing.latest_algorithm("r")
