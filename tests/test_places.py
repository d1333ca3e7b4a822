"""argmax and argmin of the CPU: the first of equal values, the first NaN, wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _levels import LEVELS, at_level
from dlx import testing

DTYPES = ["float32", "float64"]
CHUNKS = (2047, 2048, 2049, 5000)  # elements: around the end of a chunk


@pytest.fixture(params=LEVELS, autouse=True)
def level(request):
    with at_level(request.param):
        yield


def draws(rows, n, dtype):
    """Distinct values, ties, both zeros, values that no other one replaces."""
    rng = np.random.default_rng(n)
    yield rng.permutation(rows * n).reshape(rows, n).astype(dtype)
    yield rng.integers(0, 3, (rows, n)).astype(dtype)
    yield rng.choice([0.0, -0.0], (rows, n)).astype(dtype)
    yield np.full((rows, n), -np.inf, dtype)
    yield np.full((rows, n), np.inf, dtype)


def layouts(x):
    """Tensors of x by rows, by columns, by single elements, and by rows with gaps."""
    yield dlx.tensor(x)
    yield dlx.tensor(np.ascontiguousarray(x.T)).T
    yield dlx.tensor(np.repeat(x, 2, 1))[:, ::2]
    yield dlx.tensor(np.concatenate([x, x + 1], 1))[:, : x.shape[1]]


def assert_places(x):
    for op in ("argmax", "argmin"):
        expected = getattr(np, op)(x, axis=1)
        for n, t in enumerate(layouts(x)):
            got = getattr(dlx, op)(t, axis=1).numpy()
            np.testing.assert_array_equal(got, expected, f"{op} {x.shape}, layout {n}")


@pytest.mark.parametrize("way", ["rows", "columns", "states"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_of_equal_values_is_found_in_rows_of_any_length(dtype, way):
    with testing.force("reduce", way):
        for n in range(1, 131):
            for x in draws(19, n, dtype):
                assert_places(x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_of_equal_values_is_found_across_chunks(dtype):
    for n in CHUNKS:
        for x in draws(3, n, dtype):
            assert_places(x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_nan_wins_at_every_place(dtype):
    for n in (1, 2, 5, 8, 17, 33, 64, 70, 100):
        x = np.tile(np.arange(n, dtype=dtype), (n + 1, 1))  # a row without one, too
        x[np.arange(n), np.arange(n)] = np.nan
        x[:n:3, -1] = np.nan
        assert_places(x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", CHUNKS)
def test_the_first_nan_wins_across_chunks(n, dtype):
    for at in (0, 1, n // 2, 2046, n - 1):
        x = np.tile(np.arange(n, dtype=dtype), (2, 1))
        x[0, [at, -1]] = np.nan
        assert_places(x)


@pytest.mark.parametrize("way", ["columns", "states"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 7, 8, 15, 16, 17, 31, 40, 100, 127, 128, 129, 300])
def test_any_number_of_columns(columns, dtype, way):
    with testing.force("reduce", way):
        for rows in (1, 2, 3, 7, 8, 9, 30):
            for x in draws(columns, rows, dtype):
                assert_places(x)
            x[columns // 2, rows // 2] = np.nan
            assert_places(x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_rows_and_equal_columns_of_a_broadcast_view(dtype):
    row = dlx.tensor(np.array([1, 3, 3, 2], dtype))
    assert dlx.argmax(dlx.broadcast_to(row, (50, 4)), axis=1).tolist() == [1] * 50
    assert dlx.argmax(dlx.broadcast_to(row, (50, 4)), axis=0).tolist() == [0] * 4


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers(dtype):
    for n in (1, 2, 31, 32, 33, 100, 256, 257, *CHUNKS):
        rng = np.random.default_rng(n)
        assert_places(rng.integers(0, 100, (5, n)).astype(dtype))
