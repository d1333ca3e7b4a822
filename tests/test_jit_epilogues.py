"""What a launch of a replay takes over from the pointwise launches behind it, and the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _levels import LEVELS, at_level
from dlx.nn import functional as F
from test_jit_fusion import CALLS, results


@pytest.fixture(autouse=True)
def _device(device):
    with dlx.device(device):
        yield


def odd_numbers(call, *shape, dtype="float32", scale=1.0):
    """Normal ones, and everything that a comparison with 0 may get wrong."""
    x = np.random.default_rng([call, *shape]).normal(size=shape) * scale
    flat = x.reshape(-1)
    for i, odd in enumerate([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-44, -1e-44]):
        flat[(i + 1) * flat.size // 9] = odd
    return dlx.tensor(x.astype(np.float32)).astype(dtype)


def joined(function, make_inputs, monkeypatch):
    """The ops of the program, whose replays have the bits of eager calls."""
    eager, _ = results(function, make_inputs, "off", monkeypatch)
    for mode in ("nofuse", "strict"):
        found, jitted = results(function, make_inputs, mode, monkeypatch)
        assert jitted.cache_info().replays == CALLS - 3
        assert found == eager, jitted.program
    return ops_of(jitted.program)


def ops_of(program):
    return [call.op for call in program._view().calls]


# x, w, options
CONVOLUTIONS = [
    ((2, 3, 9, 11), (5, 3, 3, 3), {"padding": 1}),
    ((2, 4, 10, 9), (6, 2, 3, 2), {"stride": (2, 1), "dilation": (1, 2), "groups": 2}),
    ((3, 7, 8, 8), (33, 7, 5, 5), {"padding": 2}),
    ((1, 330, 6, 6), (5, 330, 3, 3), {"padding": 1}),  # sums of several passes
    ((2, 6, 12, 13), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    ((2, 6, 12, 13), (6, 1, 5, 5), {"groups": 6, "padding": 2, "dilation": 2}),
    ((2, 24, 5, 6), (48, 24, 1, 1), {}),
    ((4, 6, 5, 5), (10, 3, 5, 5), {"groups": 2}),  # a kernel as large as the image
    ((2, 3, 17, 17), (4, 3, 2, 2), {"stride": 5}),
]
TRANSPOSED = [
    ((2, 5, 6, 7), (5, 3, 3, 3), {"padding": 1}),
    ((2, 4, 5, 5), (4, 3, 4, 4), {"stride": 2, "padding": 1, "groups": 2}),
    ((2, 6, 4, 5), (6, 20, 3, 3), {"stride": 3, "output_padding": 1}),
    ((2, 5, 4, 4), (5, 2, 2, 2), {"stride": 3, "dilation": 2}),  # pixels that see nothing
    ((1, 330, 5, 5), (330, 4, 3, 3), {"padding": 1}),
    ((2, 6, 9, 9), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    ((2, 24, 5, 6), (24, 48, 1, 1), {}),
    ((4, 10, 1, 1), (10, 3, 5, 5), {"groups": 2}),
]
CONV_CASES = [("conv2d", *c) for c in CONVOLUTIONS] + [("conv_transpose2d", *c) for c in TRANSPOSED]


def check_convolution(op, x, w, options, bias, dtype, monkeypatch):
    channels = w[0] if op == "conv2d" else w[1] * options.get("groups", 1)

    def make(call):
        inputs = [odd_numbers(call, *x, dtype=dtype), odd_numbers(call + 10, *w, dtype=dtype)]
        return inputs + ([odd_numbers(call + 20, channels, dtype=dtype)] if bias else [])

    def function(x, w, b=None):
        return dlx.relu(getattr(dlx, op)(x, w, b, **options))

    assert joined(function, make, monkeypatch) == [f"{op} + relu"]


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "x", "w", "options"), CONV_CASES)
def test_relu_after_a_convolution(op, x, w, options, dtype, bias, monkeypatch):
    check_convolution(op, x, w, options, bias, dtype, monkeypatch)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("algorithm", dlx.testing.algorithms()["conv2d"])
def test_relu_after_a_convolution_by_each_algorithm(algorithm, level, monkeypatch):
    with dlx.device("cpu"), at_level(level), dlx.testing.force("conv2d", algorithm) as taken:
        for i, case in enumerate(CONV_CASES):
            for dtype in ("float32", "float64"):
                check_convolution(*case, bool(i % 2), dtype, monkeypatch)
    assert taken[0] > 0


# x, options
POOLS = [
    ((3, 4, 10, 14), {"kernel_size": 2}),
    ((3, 4, 11, 35), {"kernel_size": (1, 2)}),
    ((2, 3, 11, 70), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 3, 9, 13), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((2, 2, 9, 12), {"kernel_size": (3, 4), "stride": 3, "padding": (1, 2)}),
    ((2, 2, 12, 13), {"kernel_size": 2, "stride": 2, "dilation": 2}),
    ((2, 2, 33, 35), {"kernel_size": 17, "stride": 16}),  # places are no bytes
]


def gradient_of_pooled_relu(options):
    def function(x, g):
        x = x.detach()
        x.requires_grad = True
        F.max_pool2d(dlx.relu(x), **options).backward(g)
        return x.grad

    return function


def check_pool(x, options, dtype, monkeypatch):
    shape = F.max_pool2d(dlx.zeros(x), **options).shape

    def make(call):
        return odd_numbers(call, *x, dtype=dtype), odd_numbers(call + 10, *shape, dtype=dtype)

    found = joined(gradient_of_pooled_relu(options), make, monkeypatch)
    assert found == ["relu", "max_pool2d", "max_pool2d_backward + relu_backward"]


def test_what_was_pooled_is_not_kept_for_the_gradient_of_relu(monkeypatch):
    x, options = POOLS[0]
    y = F.max_pool2d(dlx.zeros(x), **options).shape
    make = lambda call: (odd_numbers(call, *x), odd_numbers(call + 10, *y))  # noqa: E731
    _, jitted = results(gradient_of_pooled_relu(options), make, "strict", monkeypatch)
    last = {block.maker: block.last for block in jitted.program._view().blocks}
    assert last[0] == 1  # the result of relu, launch 0


def test_two_gradients_meet_before_that_of_relu(monkeypatch):
    def function(x, g, h):
        x = x.detach()
        x.requires_grad = True
        y = dlx.relu(x)
        a, b = F.max_pool2d(y, 2), F.max_pool2d(y, 3, stride=2)
        ((a * g).sum() + (b * h).sum()).backward()
        return x.grad

    def make(call):
        return [odd_numbers(call, 3, 2, n, n) for n in (11, 5, 5)]

    assert "max_pool2d_backward + relu_backward" not in joined(function, make, monkeypatch)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("x", "options"), POOLS)
def test_the_gradient_of_relu_after_that_of_max_pool2d(x, options, dtype, monkeypatch):
    check_pool(x, options, dtype, monkeypatch)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("algorithm", dlx.testing.algorithms()["max_pool2d_backward"])
def test_the_gradient_of_relu_by_each_algorithm(algorithm, level, monkeypatch):
    force = dlx.testing.force("max_pool2d_backward", algorithm)
    with dlx.device("cpu"), at_level(level), force as taken:
        for case in POOLS:
            for dtype in ("float32", "float64"):
                check_pool(*case, dtype, monkeypatch)
    assert taken[0] > 0


def test_the_nan_trap_names_the_convolution_and_relu_keeps_its_nan(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")
    f = dlx.jit(lambda x, w: dlx.relu(dlx.conv2d(x, w)))
    w = dlx.tensor(np.array([1, -1], np.float32).reshape(1, 2, 1, 1))
    for _ in range(4):
        f(dlx.ones((1, 2, 3, 3)), w)
    assert ops_of(f.program) == ["conv2d + relu"]
    infinite = dlx.full((1, 2, 3, 3), np.inf)
    assert np.isnan(f(infinite, w).cpu().numpy()).all()
    with dlx.debug.nan_trap(), pytest.raises(FloatingPointError, match=r"conv2d.*made 9 NaN"):
        f(infinite, w)
