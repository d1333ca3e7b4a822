"""Products of bfloat16 and float16: sums in float32, rounded once, on every instruction set."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

import dlx
from _check import to_numpy, to_tensor
from dlx import _core

LEVELS = ("portable", "x86-64-v2", "avx2", "avx512")
HALF_ULP = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
# Around the tile of pairs (14x32), its tasks of 84 rows, and the depth of a block (1024).
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
]


needs_pairs = pytest.mark.skipif(
    "avx512_bf16" not in pathlib.Path("/proc/cpuinfo").read_text(), reason="no VDPBF16PS"
)


@pytest.fixture(params=[*LEVELS, pytest.param("pairs", marks=needs_pairs)])
def level(request):
    """A level, or the best one where VDPBF16PS is taken even if it is slow."""
    if request.param == "pairs":
        with dlx.testing.force("half_matmul", "pairs"):
            yield
        return
    if LEVELS.index(request.param) > LEVELS.index(_core.best_isa()):
        pytest.skip(f"this CPU has no {request.param}")
    before = _core.isa()
    _core.set_isa(request.param)
    yield
    _core.set_isa(before)


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


def test_nan_and_infinity_reach_their_elements_alone(level):
    a = np.zeros((20, 40))
    a[3, 5] = np.inf
    b = np.ones((40, 35))
    b[7, 33] = np.nan
    y = to_numpy(to_tensor(a, "cpu", "bfloat16") @ to_tensor(b, "cpu", "bfloat16"))
    expected = np.zeros((20, 35))
    expected[3], expected[:, 33] = np.inf, np.nan
    assert np.array_equal(y, expected, equal_nan=True)


@pytest.mark.parametrize("algorithm", ["widen", pytest.param("pairs", marks=needs_pairs)])
def test_an_algorithm_is_forced(algorithm):
    x = dlx.ones((3, 3)).astype("bfloat16")
    if _core.isa() != _core.best_isa():
        pytest.skip("DLX_ISA asks for another level")
    with dlx.testing.force("half_matmul", algorithm) as taken:
        assert (x @ x).astype("float32").numpy().tolist() == [[3.0] * 3] * 3
    assert taken[0] > 0
