"""Winograd's convolutions: how exact they are, and the switch that leaves out the least exact."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _check import EPS, assert_winograd
from dlx import testing

# N, C, K, H, W, padding: few and many channels, tiles whole and cut, images of less than a tile
SHAPES = [
    (8, 4, 6, 13, 10, 1),
    (4, 16, 16, 32, 32, 1),
    (2, 64, 48, 28, 30, 1),
    (2, 64, 64, 14, 14, 0),
    (1, 256, 32, 14, 15, 1),
    (1, 1024, 8, 9, 9, 1),
    (16, 24, 40, 3, 5, 2),
]


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def positive(rng, *shape):
    return rng.uniform(size=shape).astype(np.float32)


def results(arrays, padding, dtype):
    """conv2d, its input gradient and its weight gradient."""
    x, w, dy = (dlx.tensor(a.astype(dtype)) for a in arrays)
    return [
        np.asarray(dlx.conv2d(x, w, padding=padding).numpy(), np.float64),
        np.asarray(dlx.conv_transpose2d(dy, w, padding=padding).numpy(), np.float64),
        np.asarray(dlx.conv2d_backward_weight(x, dy, 3, padding=padding).numpy(), np.float64),
    ]


@pytest.fixture(params=SHAPES, ids=lambda s: "x".join(map(str, s)))
def problem(request):
    """draw -> arrays, exact results by the plain algorithm, sums of |terms|; and the padding."""
    n, c, k, h, w, padding = request.param

    def solve(draw):
        rng = np.random.default_rng(0)
        size = h + 2 * padding - 2, w + 2 * padding - 2
        arrays = draw(rng, n, c, h, w), draw(rng, k, c, 3, 3), draw(rng, n, k, *size)
        with testing.force("conv2d", "panels"):
            exact = results(arrays, padding, "float64")
            return arrays, exact, results([abs(a) for a in arrays], padding, "float64")

    return solve, padding


@pytest.mark.parametrize("draw", [normal, positive])
def test_four_by_four_tiles_keep_the_bound(problem, draw):
    solve, padding = problem
    arrays, exact, terms = solve(draw)
    with (
        testing.force("conv2d", "winograd4") as taken,
        testing.force("conv2d_backward_weight", "winograd4") as taken_by_weights,
    ):
        found = results(arrays, padding, "float32")
    assert taken[0] > 0 and taken_by_weights[0] > 0
    for actual, expected, sums in zip(found, exact, terms, strict=True):
        assert_winograd(actual, expected, sums, "float32", "F(4x4)")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_by_two_tiles_are_as_exact_as_plain_sums(problem, dtype):
    solve, padding = problem
    arrays, exact, terms = solve(normal)
    error = {}
    for algorithm in ("panels", "winograd2"):
        with testing.force("conv2d", algorithm):
            found = results(arrays, padding, dtype)[:2]
        error[algorithm] = [abs(y - z) for y, z in zip(found, exact, strict=False)]
    for y, plain, sums in zip(error["winograd2"], error["panels"], terms, strict=False):
        assert np.max(y) <= 4 * EPS[dtype] * np.max(sums)
        noise = EPS[dtype] * np.sqrt(np.mean(sums**2))
        assert np.sqrt(np.mean(y**2)) <= 2 * np.sqrt(np.mean(plain**2)) + noise


@pytest.fixture
def precision():
    yield
    dlx.set_precision("fp32")


def test_exact_precision_leaves_four_by_four_tiles_out(precision):
    rng = np.random.default_rng(0)
    arrays = normal(rng, 2, 32, 20, 20), normal(rng, 32, 32, 3, 3), normal(rng, 2, 32, 20, 20)
    assert dlx.get_precision() == "fp32"
    default = results(arrays, 1, "float32")
    with testing.force("conv2d", "winograd4"):
        four = results(arrays, 1, "float32")
    dlx.set_precision("exact")
    assert dlx.get_precision() == "exact"
    exact = results(arrays, 1, "float32")
    with testing.force("conv2d", "winograd4") as taken:
        forced = results(arrays, 1, "float32")
    assert taken[0] == 0
    with testing.force("conv2d_backward_weight", "winograd4") as taken:
        results(arrays, 1, "float32")
    assert taken[0] == 0
    with testing.force("conv2d", "winograd2"):
        two = results(arrays, 1, "float32")
    for i in (0, 1):
        np.testing.assert_array_equal(default[i], four[i])
        np.testing.assert_array_equal(exact[i], two[i])
        np.testing.assert_array_equal(exact[i], forced[i])
        assert not np.array_equal(exact[i], four[i])


@pytest.mark.parametrize("name", ["tf32", "bf16", "double", "", None, 1])
def test_precision_names_what_there_is(name):
    with pytest.raises(ValueError, match=r"set_precision: .*'exact'.*'fp32'") as error:
        dlx.set_precision(name)
    assert ("CUDA" in str(error.value)) == (name in ("tf32", "bf16"))
    assert dlx.get_precision() == "fp32"


def test_a_tile_never_reads_beyond_its_image():
    """What lies around the images is infinite or another image: zeros are read there."""
    x = np.full((3, 4, 7, 6), np.inf, np.float32)
    x[1] = 1
    w = dlx.ones((5, 4, 3, 3))
    for algorithm in ("winograd2", "winograd4"):
        with testing.force("conv2d", algorithm):
            y = dlx.conv2d(dlx.tensor(x), w, padding=1).numpy()
        np.testing.assert_allclose(y[1, :, 1:-1, 1:-1], 36, rtol=1e-5)
        np.testing.assert_allclose(y[1, :, 0, 0], 16, rtol=1e-5)
