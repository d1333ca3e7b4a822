"""Reductions: the same bits however the elements lie, and on any thread count."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _levels import LEVELS, at_level
from dlx import _core, testing

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


ROWS = [*range(1, 41), 127, 128, 129, 255, 256, 257, 511, 513, 2047, 2048, 2049, 5000]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", ["sum", "mean", "var"])
def test_columns_reduce_to_the_bits_of_rows(op, dtype, level):
    function = getattr(dlx, op)
    for n in ROWS:
        for columns in (8, 9, 16, 31, 63, 65, 129, 145) if n < 200 else (8, 17, 63, 65, 130):
            x = images((n, columns + 3), dtype)
            x[n // 2, columns // 2] = -0.0 if n == 1 else 1e4  # several scales, and the sign of 0
            within = dlx.tensor(x)[:, 1 : columns + 1]  # rows with a gap, on no vector's boundary
            rows = dlx.permute_dims(within, (1, 0)).contiguous()
            expected = function(rows, axis=1).numpy().tobytes()
            for of_columns in (within, within.contiguous()):
                for way in ("states", "columns"):
                    with testing.force("reduce", way):
                        result = function(of_columns, axis=0)
                    assert result.numpy().tobytes() == expected, (n, columns, way)
