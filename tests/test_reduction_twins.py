"""Reductions, scans and rows that several warps or blocks share agree with the CPU's."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _check import EPS, to_numpy
from dlx import _core
from dlx.nn import functional as F

DTYPES = ("float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool")
FLOATS = DTYPES[:2]


def drawn(shape, dtype):
    """From 1 to 2, or integers with many ties; the same in every run."""
    rng = np.random.default_rng(5)
    x = rng.uniform(1, 2, shape) if dtype in EPS else rng.integers(0, 100, shape)
    return dlx.astype(dlx.tensor(x), dtype)


def assert_agree(function, inputs, device, dtype, tolerance=4):
    """Integers to the bit, floats within so many eps: both round, in different orders."""
    expected = function(*inputs)
    got = function(*[x.to(device) for x in inputs])
    many = (list, tuple)
    for y, want in zip(
        got if isinstance(got, many) else [got],
        expected if isinstance(expected, many) else [expected],
        strict=True,
    ):
        assert (y.shape, y.dtype) == (want.shape, want.dtype)
        if str(y.dtype) in EPS:
            bound = tolerance * EPS[dtype]
            np.testing.assert_allclose(to_numpy(y), to_numpy(want), bound, bound)
        else:
            np.testing.assert_array_equal(to_numpy(y), to_numpy(want))


# Rows that a block takes, that two blocks take; columns likewise; short rows.
REDUCED = [((3, 2050), 1), ((2, 9001), 1), ((9001, 2), 0), ((2051, 33), 0), ((70, 5), 1)]
OPS = ("sum", "mean", "max", "min", "var", "argmax", "argmin")
TAKEN = [("sum", "bool")]
TAKEN += [(op, t) for op in OPS for t in DTYPES[:-1] if t in EPS or op not in ("mean", "var")]


@pytest.mark.parametrize(("shape", "axis"), REDUCED)
@pytest.mark.parametrize(("op", "dtype"), TAKEN)
def test_a_reduction_agrees_with_the_cpu(op, dtype, shape, axis, device):
    x = drawn(shape, dtype)
    assert_agree(lambda x: getattr(dlx, op)(x, axis=axis), [x], device, dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("op", OPS)
def test_what_is_not_finite_comes_through_as_on_the_cpu(op, value, device):
    x = np.ones((3, 9001))
    x[0, 7], x[1, 8999], x[2, 4000], x[2, 4001] = value, value, value, -value
    assert_agree(lambda x: getattr(dlx, op)(x, axis=1), [dlx.tensor(x)], device, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize(("shape", "axis"), [((2, 5000), 1), ((700, 3), 0)])
def test_a_cumsum_of_several_pieces_agrees_with_the_cpu(shape, axis, dtype, device):
    x = drawn(shape, dtype)  # the CPU adds one after the other
    assert_agree(lambda x: dlx.cumsum(x, axis=axis), [x], device, dtype, tolerance=shape[axis])


@pytest.mark.parametrize("n", [0, 1, 2048, 9001])
def test_positions_agree_with_the_cpu(n, device):
    mask = dlx.tensor(np.arange(n) ** 2 % 7 < 2)
    assert_agree(_core.nonzero, [mask], device, "bool")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "axis"), [((3, 2050), 1), ((2050, 3), 0), ((300, 2, 40), 1)])
@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp"])
def test_a_softmax_and_its_gradient_agree_with_the_cpu(op, shape, axis, dtype, device):
    function = getattr(dlx, op)

    def both(x):
        y = function(x, axis=axis)
        return y, dlx.grad(lambda x: dlx.sum(dlx.multiply(function(x, axis=axis), y)))(x)

    # e^y sum dy is ten times as large as the difference that it is in.
    assert_agree(both, [drawn(shape, dtype)], device, dtype, tolerance=64)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["softmax", "log_softmax", "logsumexp"])
def test_a_softmax_of_what_is_not_finite_is_the_cpus(op, axis, value, device):
    x = np.zeros((40, 40))
    x[:, 3], x[5, :], x[7, 9] = value, value, -value
    assert_agree(lambda x: getattr(dlx, op)(x, axis=axis), [dlx.tensor(x)], device, "float64")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(4100, 2), (3, 2050), (70, 40)])
def test_a_layer_norm_and_its_gradients_agree_with_the_cpu(shape, dtype, device):
    x, weight, bias = drawn(shape, dtype), drawn(shape[1:], dtype), drawn(shape[1:], dtype)

    def both(x, weight, bias):
        def total(x, weight, bias):
            y = F.layer_norm(x, shape[1:], weight, bias)
            return dlx.mean(dlx.multiply(y, y))

        y = F.layer_norm(x, shape[1:], weight, bias)
        return y, *dlx.grad(total, (0, 1, 2))(x, weight, bias)

    # Where D is 2, x - mean may be small beside the rounding of x.
    assert_agree(both, [x, weight, bias], device, dtype, tolerance=512)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(2, 4, 5000), (40, 6, 30), (3, 70, 9)])
def test_a_group_norm_and_its_gradients_agree_with_the_cpu(shape, dtype, device):
    x, weight, bias = drawn(shape, dtype), drawn(shape[1:2], dtype), drawn(shape[1:2], dtype)

    def both(x, weight, bias):
        def total(x, weight, bias):
            y = F.group_norm(x, 2, weight, bias)
            return dlx.mean(dlx.multiply(y, y))

        y = F.group_norm(x, 2, weight, bias)
        return y, *dlx.grad(total, (0, 1, 2))(x, weight, bias)

    assert_agree(both, [x, weight, bias], device, dtype, tolerance=64)
