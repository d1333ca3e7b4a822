"""Kernels that only many blocks, long rows, long strides or memory that is not aligned need agree
with the CPU's."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn
from dlx.nn import functional as F
from dlx.ops.index import scatter_add
from test_reduction_twins import assert_agree

FLOATS = ("float32", "float64")
HALVES = ("bfloat16", "float16")


def drawn(*shape, dtype):
    return dlx.tensor(np.random.default_rng(3).normal(size=shape)).astype(dtype)


def with_gradients(function):
    """The result of function(*inputs) and the gradients of the inputs."""

    def run(*inputs):
        inputs = [dlx.tensor(x, requires_grad=True) for x in inputs]
        y = function(*inputs)
        y.backward(dlx.ones_like(y))
        return [y.detach(), *[x.grad for x in inputs]]

    return run


@pytest.mark.parametrize("dtype", FLOATS + HALVES)
def test_products_enough_for_large_tiles(dtype, device):
    a, b = drawn(66, 33, 6, dtype=dtype), drawn(66, 6, 35, dtype=dtype)
    assert_agree(dlx.matmul, [a, b], device, dtype, tolerance=16)


GROUPS = 66


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("convolve", [F.conv2d, F.conv_transpose2d])
def test_convolutions_enough_for_large_tiles(convolve, dtype, device):
    per_group = (33, 9) if convolve is F.conv2d else (8, 33)  # rows and columns beyond a small tile
    inputs = per_group[1] if convolve is F.conv2d else per_group[0]
    x = drawn(1, GROUPS * inputs, 6, 8, dtype=dtype)
    w = drawn(GROUPS * per_group[0], per_group[1], 2, 2, dtype=dtype)
    run = with_gradients(lambda x, w: convolve(x, w, groups=GROUPS))
    assert_agree(run, [x, w], device, dtype, tolerance=64)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("convolve", [F.conv2d, F.conv_transpose2d])
def test_strides_so_long_that_offsets_have_64_bits(convolve, dtype, device):
    stride = 24_000
    x = drawn(1, 2, 1, stride + 1 if convolve is F.conv2d else 2, dtype=dtype)
    w = drawn(*((1, 2) if convolve is F.conv2d else (2, 1)), 1, 1, dtype=dtype)
    run = with_gradients(lambda x, w: convolve(x, w, stride=(1, stride)))
    assert_agree(run, [x, w], device, dtype, tolerance=16)


LOSSES = {
    "mse_loss": F.mse_loss,
    "l1_loss": F.l1_loss,
    "smooth_l1_loss": F.smooth_l1_loss,
    "huber_loss": F.huber_loss,
    "kl_div": lambda x, y: F.kl_div(x, dlx.sigmoid(y)),
    "binary_cross_entropy": lambda x, y: F.binary_cross_entropy(dlx.sigmoid(x), dlx.sigmoid(y)),
    "with_logits": lambda x, y: F.binary_cross_entropy_with_logits(x, dlx.sigmoid(y)),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_several_blocks_add_up(name, dtype, device):
    x, y = drawn(2, 9001, dtype=dtype)
    assert_agree(with_gradients(lambda x: LOSSES[name](x, y.to(x.device))), [x], device, dtype, 16)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_losses_of_labels_that_several_blocks_add_up(loss, dtype, device):
    x = drawn(9001, 3, dtype=dtype)
    labels = np.arange(9001) % 3
    run = with_gradients(lambda x: loss(x, dlx.tensor(labels, device=x.device)))
    assert_agree(run, [x], device, dtype, tolerance=16)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_rows_that_are_not_aligned(training, dtype, device):
    def normalize(x):
        x = x[1:]
        layer = nn.BatchNorm1d(5, dtype=x.dtype, device=x.device).train(training)
        return layer(x)

    assert_agree(with_gradients(normalize), [drawn(33, 5, dtype=dtype)], device, dtype, 64)


@pytest.mark.parametrize("dtype", FLOATS)
def test_group_norm_of_samples_that_are_not_aligned(dtype, device):
    run = with_gradients(lambda x: F.group_norm(x[1:], 3) ** 2)
    assert_agree(run, [drawn(3, 3, 9, dtype=dtype)], device, dtype, 64)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers_add_up_by_index(dtype, device):
    g, at = dlx.arange(24).reshape((8, 3)).astype(dtype), dlx.tensor([1, 0, 1, 4, 1, 4, 0, 0])
    assert_agree(lambda g, at: scatter_add(g, at, 0, 5), [g, at], device, dtype)


def test_normal_numbers_of_half_precision_are_those_of_the_cpu(device):
    for dtype in HALVES:
        dlx.seed(1)
        expected = dlx.random.normal((1001,), dtype=dtype, device="cpu").tolist()
        dlx.seed(1)
        assert dlx.random.normal((1001,), dtype=dtype, device=device).tolist() == expected


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "int32", "float64"])
def test_a_fill_leaves_out_what_lies_between(dtype, device):
    assert dlx.eye(37, dtype=dtype, device=device).tolist() == np.eye(37).tolist()
