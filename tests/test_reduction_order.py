"""Reductions of several chunks: the same bits however the elements lie, and on any thread count."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _levels import LEVELS, at_level
from dlx import _core

# (N,C,H,W), summed over all but C: rows of H W elements, whose ends are no ends of chunks of 2048.
SHAPES = [
    (3, 5, 40, 37),
    (9, 2, 16, 16),
    (40, 3, 9, 13),  # chunks of more pieces than a list holds
    (2, 3, 96, 100),  # several chunks within a row
    (1, 2, 64, 64),
]
OPS = ["sum", "mean", "var", "max", "min"]


def images(shape, dtype):
    x = 3 + np.random.default_rng(0).normal(size=shape)
    return (100 * x).astype(dtype) if dtype.startswith("int") else x.astype(dtype)


@pytest.fixture(params=LEVELS)
def level(request):
    with at_level(request.param):
        yield


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", OPS)
def test_images_reduce_to_the_bits_of_dense_rows(op, shape, dtype, level):
    if dtype == "int32" and op in ("mean", "var"):
        pytest.skip("of floats only")
    x = dlx.tensor(images(shape, "float32" if dtype == "bfloat16" else dtype)).astype(dtype)
    rows = dlx.permute_dims(x, (1, 0, 2, 3)).contiguous().reshape((shape[1], -1))
    columns = dlx.permute_dims(x, (0, 2, 3, 1)).contiguous()
    function = getattr(dlx, op)
    expected = function(rows, axis=1).astype("float64").numpy()
    exact = getattr(np, op)(rows.astype("float64").numpy(), axis=1)
    rounding = {"float64": 1e-14, "float32": 1e-6, "bfloat16": 1e-2, "int32": 0}[dtype]
    np.testing.assert_allclose(expected, exact, rtol=rounding)
    for threads in (1, 2, 3):
        before = _core.num_threads()
        _core.set_num_threads(threads)
        try:
            of_images = function(x, axis=(0, 2, 3)).astype("float64").numpy()
            of_columns = function(columns, axis=(0, 1, 2)).astype("float64").numpy()
        finally:
            _core.set_num_threads(before)
        np.testing.assert_array_equal(of_images, expected)
        np.testing.assert_array_equal(of_columns, expected)
