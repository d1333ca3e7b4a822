"""Every row of csrc/ops/pointwise.h, and every cast, gives the CPU's bits on every device."""

from __future__ import annotations

import itertools
import pathlib
import re

import numpy as np
import pytest

import dlx
from _check import EPS, to_numpy
from dlx import _core

HEADER = pathlib.Path(__file__).parents[1] / "csrc/ops/pointwise.h"
ROWS = re.findall(r': Row<"(\w+)"', HEADER.read_text()) if HEADER.exists() else []
DTYPES = ("float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool")
# AVX-512 divides by its own reciprocal, or has a formula of its own (ops/vector_math.h).
OWN_ON_AVX512 = {"tanh", "gelu_tanh", "gelu_tanh_backward", "exp", "sigmoid", "silu", "gelu"}
SHAPE = (5, 13)  # 65 elements: 16-byte accesses and a rest


def operands(row, dtype, count):
    """Positive and negative, some zero, NaN and infinite; the same in every run."""
    rng = np.random.default_rng(len(row))
    for k in range(count):
        x = rng.normal(scale=2.0, size=SHAPE)
        if dtype in DTYPES[:4]:
            x.flat[:4] = 0.0, np.nan, np.inf, -np.inf
        elif dtype == "uint8":
            x = np.abs(5 * x)
        elif row == "pow":
            x = np.abs(x)  # integers have no negative powers
        selects = row.startswith("where") and k == 0
        yield dlx.astype(dlx.tensor(x), "bool" if selects or dtype == "bool" else dtype)


def layouts(tensors):
    """Dense; transposed, sliced and broadcast."""
    yield tensors
    yield [x.T for x in tensors]
    yield [x[:, ::2] if k == 0 else x[:1, ::2] for k, x in enumerate(tensors)]


def run(function, tensors, device):
    """The results by layout; None where the row does not take these operands."""
    try:
        moved = [x.to(device) for x in tensors]
        return [to_numpy(function(*given)) for given in layouts(moved)]
    except (TypeError, ValueError):
        return None


@pytest.mark.parametrize("row", ROWS or [None])
def test_a_row_gives_the_bits_of_the_cpu(row, device):
    function = getattr(_core, row)
    taken = []
    for dtype, count in itertools.product(DTYPES, (1, 2, 3)):
        tensors = list(operands(row, dtype, count))
        expected = run(function, tensors, "cpu")
        if expected is None:
            continue
        taken.append(dtype)
        for got, want in zip(run(function, tensors, device), expected, strict=True):
            if row in OWN_ON_AVX512:
                eps = EPS.get(dtype, EPS["float32"])  # of whole numbers: they become float32
                np.testing.assert_allclose(got, want, 4 * eps, 4 * eps, err_msg=dtype)
                continue
            np.testing.assert_array_equal(got, want, f"{row} of {dtype}")
            signs = [np.signbit(np.where(np.isnan(y), 1, y)) for y in (got, want)]
            np.testing.assert_array_equal(*signs, f"{row} of {dtype}")
    assert taken


@pytest.mark.parametrize("to", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cast_gives_the_bits_of_the_cpu(dtype, to, device):
    x = next(operands("cast", dtype, 1))
    if to in DTYPES[4:]:
        x = dlx.astype(dlx.tensor(np.arange(-3, 62).clip(0 if "u" in to + dtype else -3)), dtype)
    np.testing.assert_array_equal(
        to_numpy(dlx.astype(x.to(device), to)), to_numpy(dlx.astype(x, to))
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_filling_and_copying_are_exact(dtype, device):
    full = dlx.full(SHAPE, 1, dtype=dtype, device=device)
    assert str(full.dtype) == dtype
    np.testing.assert_array_equal(to_numpy(full), np.ones(SHAPE))
    x = dlx.astype(dlx.tensor(np.arange(65).reshape(SHAPE) % 7), dtype)
    np.testing.assert_array_equal(
        to_numpy(dlx.reshape(x.to(device).T, (-1,))), to_numpy(x).T.reshape(-1)
    )
