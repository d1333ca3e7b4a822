"""x ** e of float32: to 2 units in the last place on every instruction set; special numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dlx
from _levels import LEVELS, at_level

INF, NAN = math.inf, math.nan
SHORT = [-2, -1, -0.5, 0.5, 1, 2, 3, 4]  # exponents that products and roots serve


def check_powers(x, e, y):
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), e.astype(np.float64))
        expected = exact.astype(np.float32)
    usual = np.isfinite(expected)
    np.testing.assert_array_equal(y[~usual], expected[~usual])
    units = np.spacing(np.abs(expected[usual])).astype(np.float64)
    error = np.abs(y[usual] - exact[usual]) / units
    assert error.max() <= 2, (x[usual][error.argmax()], e[usual][error.argmax()], error.max())
    np.testing.assert_array_equal(np.signbit(y[usual]), np.signbit(expected[usual]))


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("exponent", [*SHORT, 0, -3, 5, 1.5, -2.5, 0.1, 17, 1 / 3])
def test_powers_to_a_number_over_all_magnitudes(exponent, isa):
    x = np.arange(1, 2**32, 40009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.append(x[~np.isnan(x)], np.linspace(-2, 2, 4001, dtype=np.float32))
    with at_level(isa):
        y = (dlx.tensor(x) ** exponent).numpy()
    check_powers(x, np.full_like(x, exponent), y)


@pytest.mark.parametrize("isa", LEVELS)
def test_powers_of_special_numbers_and_by_arrays(isa):
    special = [0.0, -0.0, 1, -1, INF, -INF, NAN, 1e-40, -1e-40, 3e38, -3e38, 1.5, -2.5, 1e30, 2**24]
    x, e = (m.ravel() for m in np.meshgrid(np.float32(special), np.float32(special + SHORT)))
    rng = np.random.default_rng(0)
    x = np.append(x, np.exp2(rng.uniform(-140, 128, 20000)).astype(np.float32))
    e = np.append(e, rng.uniform(-150, 150, 20000) / np.log2(x[-20000:])).astype(np.float32)
    near_one = (1 + rng.uniform(-1e-4, 1e-4, 5000)).astype(np.float32)
    x, e = np.append(x, near_one), np.append(e, rng.uniform(-1e6, 1e6, 5000).astype(np.float32))
    with at_level(isa):
        y = (dlx.tensor(x) ** dlx.tensor(e)).numpy()
        alone = [(dlx.tensor([p]) ** dlx.tensor([q])).item() for p, q in zip(x[::43], e[::43])]
        numbers = [(dlx.tensor([p]) ** float(q)).item() for p, q in zip(x[::43], e[::43])]
    check_powers(x, e, y)
    np.testing.assert_array_equal(np.float32(alone), y[::43])
    np.testing.assert_array_equal(np.float32(numbers), y[::43])
