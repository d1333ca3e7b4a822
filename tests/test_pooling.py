"""Pooling and resampling: what the table of cases does not say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import dlx
from dlx import nn

F = nn.functional
INFINITY = math.inf


def tensor(values, **more):
    return dlx.tensor(np.asarray(values, np.float64), **more)


# ------------------------------------------------------------------------------------- maximum


@pytest.mark.parametrize("width", [4, 37])
def test_the_first_of_equals_is_the_maximum_and_takes_the_gradient(width):
    x = dlx.ones((1, 2, width)).reshape(1, 1, 2, width)
    x = dlx.tensor(x, requires_grad=True)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert indices.tolist() == [[[list(range(0, width - 1, 2))]]]
    dlx.sum(y).backward()
    expected = np.zeros((1, 1, 2, width))
    expected[0, 0, 0, 0 : width - 1 : 2] = 1
    assert np.array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_nan_infinities_and_equals_as_pytorch(dtype, stride):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.choice([math.nan, -INFINITY, INFINITY, 0.0, 1.0], (2, 3, 9, 41)).astype(dtype)
    x[0, 0] = -INFINITY
    y, indices = F.max_pool2d(dlx.tensor(x), 3, stride, 1, return_indices=True)
    theirs = torch.nn.functional.max_pool2d(torch.tensor(x), 3, stride, 1, return_indices=True)
    assert np.array_equal(y.numpy(), theirs[0].numpy(), equal_nan=True)
    assert np.array_equal(indices.numpy(), theirs[1].numpy())


def test_a_window_without_an_element_is_minus_infinity_and_has_no_gradient():
    x = dlx.tensor(np.ones((1, 1, 1, 9)), requires_grad=True)
    y, indices = F.max_pool2d(x, (1, 2), 1, (0, 1), (1, 10), return_indices=True)
    assert (y.tolist(), indices.tolist()) == ([[[[-INFINITY]]]], [[[[-1]]]])
    y.backward(dlx.ones_like(y))
    assert not x.grad.numpy().any()
    assert dlx.jvp(lambda x: F.max_pool2d(x, (1, 2), 1, (0, 1), (1, 10)), (x,), (x,))[1].item() == 0


def test_indices_point_at_the_maxima():
    x = dlx.tensor(np.random.default_rng(0).normal(size=(2, 3, 6, 8)))
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    flat = np.take_along_axis(x.numpy().reshape(2, 3, -1), indices.numpy().reshape(2, 3, -1), -1)
    assert np.array_equal(flat.reshape(y.shape), y.numpy())


def test_indices_of_one_axis_count_along_it():
    _, indices = F.max_pool1d(tensor([[1, 3, 2, 2, 5, 4]]), 2, return_indices=True)
    assert indices.tolist() == [[1, 2, 4]]


# ------------------------------------------------------------------------------- average and sum


def test_count_include_pad():
    x = dlx.ones((1, 1, 2, 2))
    assert F.avg_pool2d(x, 2, padding=1).tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
    assert F.avg_pool2d(x, 2, padding=1, count_include_pad=False).tolist() == [[[[1, 1], [1, 1]]]]
    assert F.avg_pool2d(x, 2, 1, "same").tolist() == [[[[1, 1], [1, 1]]]]
    assert F.sum_pool2d(x, 2, 1, "same").tolist() == [[[[4, 2], [2, 1]]]]


def test_same_pads_below_and_to_the_right_first():
    x = tensor([[[0, 1, 2, 3]]])
    assert F.max_pool1d(x, 2, 1, "same").tolist() == [[[1, 2, 3, 3]]]
    assert F.max_pool1d(x, 3, 2, "same").tolist() == [[[2, 3]]]


def test_long_sums_keep_their_digits():
    """A float32 running sum of 2^20 terms of 1 + 2^-20 would lose the small part."""
    x = dlx.full((1, 1, 1024, 1024), 1 + 2.0**-20)
    for y in (F.avg_pool2d(x, 1024), F.adaptive_avg_pool2d(x, 1)):
        assert abs(y.item() - (1 + 2.0**-20)) <= 2.0**-23
    for y in (nn.GlobalAvgPool2d()(x), F.sum_pool2d(x, 1024) / 2**20):
        assert abs(y.item() - (1 + 2.0**-20)) <= 2.0**-23


# --------------------------------------------------------------------------- second derivatives


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.adaptive_max_pool2d(x, (2, 3)),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: F.sum_pool2d(x, 2, 1, "same"),
        lambda x: F.interpolate(x, size=(7, 4)),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
        lambda x: F.interpolate(x, size=(3, 9), mode="bilinear", align_corners=True),
    ],
)
def test_what_is_made_of_it_differentiates_twice(function):
    """The Hessian of sum(exp(A x)) is A^T diag(exp(A x)) A, A being the op's own matrix."""
    x = np.random.default_rng(0).permutation(30).reshape(1, 1, 5, 6) / 15.0
    h = dlx.hessian(lambda x: dlx.sum(dlx.exp(function(x))))(tensor(x)).numpy().reshape(30, 30)
    basis = [function(tensor(x) + 1e-3 * tensor(e.reshape(x.shape))) for e in np.eye(30)]
    y = function(tensor(x)).numpy().ravel()
    a = np.stack([(b.numpy().ravel() - y) / 1e-3 for b in basis], axis=1)
    np.testing.assert_allclose(h, a.T @ np.diag(np.exp(y)) @ a, atol=1e-9)


# ----------------------------------------------------------------------------------- resampling


def test_nearest_sizes_as_pytorch():
    """Also where the float32 product falls short of an integer."""
    torch = pytest.importorskip("torch")
    for n, m in itertools.product(range(1, 40), range(1, 80, 3)):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, n)
        expected = torch.nn.functional.interpolate(torch.tensor(x), size=m).numpy()
        assert np.array_equal(F.interpolate(dlx.tensor(x), size=m).numpy(), expected), (n, m)


def test_modes_and_factors_as_pytorch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 9))
    for options in (
        {"size": (5, 4), "mode": "area"},
        {"scale_factor": 1.45, "mode": "bilinear", "recompute_scale_factor": True},
        {"scale_factor": (1.45, 0.7), "mode": "bilinear", "align_corners": False},
        {"scale_factor": 1.45, "recompute_scale_factor": True},
        {"scale_factor": (1.1, 2.1)},  # a size that stays, one that doubles
        {"scale_factor": (1.1, 2.1), "mode": "bilinear"},
    ):
        expected = torch.nn.functional.interpolate(torch.tensor(x), **options).numpy()
        y = F.interpolate(dlx.tensor(x), **options).numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14, err_msg=str(options))


def test_aligned_corners_keep_the_corners():
    x = tensor(np.arange(12.0).reshape(1, 1, 3, 4))
    y = F.interpolate(x, size=(8, 5), mode="bilinear", align_corners=True)
    assert (y[0, 0, 0, 0].item(), y[0, 0, -1, -1].item()) == (0, 11)
    assert F.interpolate(x, size=(3, 4), mode="bilinear").tolist() == x.tolist()


# ------------------------------------------------------------------------------------ recording


class Step:
    """One step of SGD on pooling and resampling layers, from seed 0."""

    def __init__(self):
        dlx.seed(0)
        layers = [nn.Conv2d(2, 3, 3), nn.MaxPool2d(3, 2, 1), nn.Upsample(scale_factor=1.5)]
        layers += [nn.AvgPool2d(2, 1, "same"), nn.Upsample(7, mode="bilinear")]
        layers += [nn.AdaptiveMaxPool2d(4), nn.SumPool2d(2), nn.GlobalAvgPool2d()]
        self.model = nn.Sequential(*layers)
        self.optimizer = dlx.optim.SGD(self.model.parameters(), lr=0.1)
        self.x = dlx.tensor(np.random.default_rng(0).normal(size=(2, 2, 14, 15)).astype("f4"))

    def __call__(self):
        self.optimizer.zero_grad()
        dlx.sum(self.model(self.x) ** 2).backward()
        self.optimizer.step()


def test_a_recorded_step_replays_bit_for_bit():
    eager, recorded = Step(), Step()
    for _ in range(5):
        eager()
    step = dlx.jit(recorded.__call__)
    for _ in range(5):
        step()
    assert step.cache_info().replays == 2
    text = str(step.program)
    for op in ("max_pool2d", "avg_pool2d", "upsample_bilinear2d"):
        assert f" {op}_backward " in text
    hashes = [dlx.testing.weight_hash(step.model) for step in (eager, recorded)]
    assert hashes[0] == hashes[1]


# -------------------------------------------------------------------------------------- layers

LAYERS = [
    (nn.MaxPool2d(2), (2, 3, 5, 6), (2, 3, 2, 3)),
    (nn.MaxPool2d(3, 2, 1), (3, 5, 6), (3, 3, 3)),
    (nn.MaxPool2d((2, 3), stride=(1, 2), ceil_mode=True), (1, 3, 5, 6), (1, 3, 4, 3)),
    (nn.MaxPool1d(2), (2, 3, 5), (2, 3, 2)),
    (nn.MaxPool2d(3, 2, "same"), (1, 1, 5, 6), (1, 1, 3, 3)),
    (nn.AvgPool2d(2, 1), (2, 3, 5, 6), (2, 3, 4, 5)),
    (nn.AvgPool2d(2, count_include_pad=False, divisor_override=3), (2, 3, 5, 6), (2, 3, 2, 3)),
    (nn.AvgPool1d(2), (2, 3, 5), (2, 3, 2)),
    (nn.SumPool2d(2), (2, 3, 5, 6), (2, 3, 2, 3)),
    (nn.SumPool1d(2, padding=1), (2, 3, 5), (2, 3, 3)),
    (nn.AdaptiveAvgPool2d((None, 2)), (2, 3, 5, 6), (2, 3, 5, 2)),
    (nn.AdaptiveAvgPool1d(4), (2, 3, 6), (2, 3, 4)),
    (nn.AdaptiveMaxPool2d(1), (2, 3, 5, 6), (2, 3, 1, 1)),
    (nn.AdaptiveMaxPool1d(4), (2, 3, 6), (2, 3, 4)),
    (nn.GlobalAvgPool2d(), (2, 3, 5, 6), (2, 3)),
    (nn.GlobalAvgPool2d(keepdims=True), (2, 3, 5, 6), (2, 3, 1, 1)),
    (nn.GlobalMaxPool2d(), (3, 5, 6), (3,)),
    (nn.Upsample(scale_factor=2), (2, 3, 5, 6), (2, 3, 10, 12)),
    (nn.Upsample((3, 4), mode="bilinear", align_corners=True), (2, 3, 5, 6), (2, 3, 3, 4)),
    (nn.Upsample(7, mode="linear"), (2, 3, 5), (2, 3, 7)),
]


@pytest.mark.parametrize(("layer", "x", "y"), LAYERS, ids=lambda v: repr(v).split("  #")[0])
def test_layer(layer, x, y, tmp_path):
    """Its shape; saved and loaded it is the same layer."""
    x = dlx.tensor(np.random.default_rng(0).normal(size=x).astype(np.float32))
    result = layer(x)
    assert result.shape == y
    dlx.save(layer, tmp_path / "layer.dlx")
    again = dlx.load(tmp_path / "layer.dlx")
    assert repr(again) == repr(layer)
    assert np.array_equal(again(x).numpy(), result.numpy())


def test_a_layer_may_return_indices():
    x = dlx.tensor(np.random.default_rng(0).normal(size=(2, 3, 6, 8)))
    for layer in (nn.MaxPool2d(2, return_indices=True), nn.AdaptiveMaxPool2d(2, True)):
        y, indices = layer(x)
        assert y.shape == indices.shape
        assert indices.dtype == dlx.int64


def test_layers_show_as_pytorch():
    torch = pytest.importorskip("torch")
    for made in (
        "MaxPool2d(2)",
        "MaxPool2d((2, 3), 1, padding=(1, 0), dilation=2, ceil_mode=True)",
        "MaxPool1d(3, 2)",
        "AvgPool2d(2, (1, 2))",
        "AdaptiveAvgPool2d((None, 7))",
        "AdaptiveMaxPool1d(5)",
        "Upsample(scale_factor=2.0)",
        "Upsample((3, 4), mode='bilinear')",
    ):
        ours, theirs = (eval(f"nn.{made}", {"nn": library}) for library in (nn, torch.nn))
        assert repr(ours).split("  #")[0] == repr(theirs), made
