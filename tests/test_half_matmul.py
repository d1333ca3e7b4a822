"""Products of bfloat16 and float16: sums in float32, rounded once, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from _check import to_numpy, to_tensor
from _levels import LEVELS, at_level, has
from dlx import _core

HALF_ULP = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
# Around the tile of pairs (14x32), panels of its rows, the depth of a block (768) and its columns
# (256 or more); around the panels of tiles (32x32, 512 deep), their stripes of columns and blocks
# of depth (2048); few rows or columns.
SIZES = [
    (1, 1, 1),
    (1, 70, 33),
    (13, 31, 7),
    (14, 32, 2),
    (15, 33, 17),
    (86, 5, 64),
    (29, 1, 1027),
    (33, 65, 2049),
    (3, 2051, 5),
    (34, 300, 2081),
    (16, 16, 32),
    (31, 17, 63),
    (1, 90, 130),
    (4, 70, 67),
    (50, 1, 201),
    (113, 40, 770),
    (30, 600, 1540),
    (15, 1061, 1541),
]


def only_where(flag):
    return pytest.mark.skipif(not has(flag), reason=f"this machine has no {flag}")


# Algorithms that the table does not choose everywhere.
FORCED = [
    pytest.param("pairs", marks=only_where("avx512_bf16")),
    pytest.param("tiles", marks=only_where("amx_bf16")),
    "dot",
]


@pytest.fixture(params=[*LEVELS, *FORCED])
def level(request):
    """As the table chooses at a level, or an algorithm of the best one."""
    if request.param in LEVELS:
        with at_level(request.param):
            yield
    else:
        with dlx.testing.force("half_matmul", request.param):
            yield


def check(y, dtype, a, b):
    """Half an ulp, and the rounding of float32 sums."""
    exact, terms = a @ b, np.abs(a) @ np.abs(b)
    bound = HALF_ULP[dtype] * np.abs(exact) + 2.0**-20 * terms + 2.0**-24
    assert str(y.dtype) == dtype
    assert np.all(np.abs(to_numpy(y) - exact) <= bound)


def drawn(rng, dtype, shape, transposed):
    """A tensor and its exact values; transposed: as it lies in memory."""
    x = to_tensor(rng.normal(size=shape[::-1] if transposed else shape), "cpu", dtype)
    return (x.T, to_numpy(x).T) if transposed else (x, to_numpy(x))


@pytest.mark.parametrize("dtype", HALF_ULP)
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_a_product_is_rounded_once(m, n, k, dtype, level):
    rng = np.random.default_rng(0)
    for layout in range(4):
        (a, exact_a), (b, exact_b) = (
            drawn(rng, dtype, (m, k), layout & 1),
            drawn(rng, dtype, (k, n), layout & 2),
        )
        found = set()
        for threads in (1, 2, 3):
            dlx.set_num_threads(threads)
            y = a @ b
            found.add(to_numpy(y).tobytes())
        assert len(found) == 1
        check(y, dtype, exact_a, exact_b)


@pytest.mark.parametrize("dtype", HALF_ULP)
def test_gradients_of_a_layer_are_rounded_once(dtype, level):
    rng = np.random.default_rng(1)
    x, w = (drawn(rng, dtype, s, False)[0] for s in ((40, 50), (30, 50)))
    x.requires_grad = w.requires_grad = True
    y = dlx.nn.functional.linear(x, w)
    g = to_tensor(rng.normal(size=y.shape), "cpu", dtype)
    y.backward(g)
    check(x.grad, dtype, to_numpy(g), to_numpy(w))
    check(w.grad, dtype, to_numpy(g).T, to_numpy(x))


def test_a_bias_is_added_before_rounding(level):
    rng = np.random.default_rng(2)
    x, w, b = (drawn(rng, "bfloat16", s, False)[0] for s in ((30, 1600), (70, 1600), (70,)))
    y = dlx.nn.functional.linear(x, w, b)
    columns, rows = np.c_[to_numpy(x), np.ones(30)], np.c_[to_numpy(w), to_numpy(b)]
    check(y, "bfloat16", columns, rows.T)


def test_nan_and_infinity_reach_their_elements_alone(level):
    a = np.zeros((20, 40))
    a[3, 5] = np.inf
    b = np.ones((40, 35))
    b[7, 33] = np.nan
    y = to_numpy(to_tensor(a, "cpu", "bfloat16") @ to_tensor(b, "cpu", "bfloat16"))
    expected = np.zeros((20, 35))
    expected[3], expected[:, 33] = np.inf, np.nan
    assert np.array_equal(y, expected, equal_nan=True)


@pytest.mark.parametrize("algorithm", ["widen", *FORCED])
def test_an_algorithm_is_forced(algorithm):
    x = dlx.ones((3, 3)).astype("bfloat16")
    if _core.isa() != _core.best_isa():
        pytest.skip("DLX_ISA asks for another level")
    with dlx.testing.force("half_matmul", algorithm) as taken:
        assert (x @ x.T).astype("float32").numpy().tolist() == [[3.0] * 3] * 3
    assert taken[0] > 0
