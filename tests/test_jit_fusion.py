"""Pointwise launches that a replay joins into one: which ones are, and the same bits as apart."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx.nn import functional as F

CALLS = 5
MANY = 5000  # elements: several blocks, the last one not full


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")


@pytest.fixture(autouse=True)
def _device(device):
    with dlx.device(device):
        yield


def numbers(call, *shape, dtype="float32"):
    x = np.random.default_rng([call, *shape]).normal(size=shape)
    return dlx.tensor(x.astype(np.float32)).astype(dtype)


def results(function, make_inputs, mode, monkeypatch):
    """The bits of some calls, and the jitted function."""
    monkeypatch.setenv("DLX_JIT", mode)
    dlx.seed(0)
    jitted = dlx.jit(function)
    found = []
    for call in range(CALLS):
        y = jitted(*make_inputs(call))
        ys = y if isinstance(y, (tuple, list)) else (y,)
        found.append([(t.dtype, t.shape, t.astype("float64").cpu().numpy().tobytes()) for t in ys])
    return found, jitted


def launches_of(function, make_inputs, monkeypatch):
    """(launches apart, launches joined), the bits being those of eager calls."""
    eager, _ = results(function, make_inputs, "off", monkeypatch)
    counts = []
    for mode in ("nofuse", "strict"):
        found, jitted = results(function, make_inputs, mode, monkeypatch)
        assert jitted.cache_info().replays == CALLS - 3
        assert found == eager, jitted.program
        counts.append(jitted.memory["launches"])
    return tuple(counts)


def chain(x):
    return dlx.tanh(x * 2 + 1) - x


def tree(x, y):
    left, right = dlx.exp(x) * y, dlx.sigmoid(y) + 0.5
    return left / right


def row(x, bias):
    return dlx.relu(x + bias) * bias


def column(x, scale):
    return dlx.sin(x * scale) + scale


def transposed(x):
    return dlx.cos(x.T * 2) + x.T


def cast_inside(x):
    return ((x * 3).astype("float64") / 7).astype("float32") + x


def masks(x, y):
    return dlx.where((x > y) & (x > 0), x * y, -y)


def number_of_integers(x):
    return (x * 100).astype("int32") % 7 + 1


def seen_in_the_middle(x):
    y = x * 2
    return y, dlx.relu(y - 1)


def two_readers(x):
    y = dlx.exp(-x)
    return y / (1 + y) + y * y


def long(x):
    for _ in range(20):
        x = x * 1.01 + 0.1
    return x


ONE, TWO = ((67, 75),), ((67, 75), (67, 75))
CASES = [
    (chain, ONE, 1),
    (tree, TWO, 1),
    (row, ((67, 75), (75,)), 1),
    (row, ((3, 1700), (1700,)), 1),
    (column, ((67, 75), (67, 1)), 1),
    (column, ((9, 5, 120), (5, 1)), 1),
    (row, ((67, 75), ()), 1),
    (transposed, ONE, 1),
    (cast_inside, ONE, 1),
    (masks, TWO, 1),
    (number_of_integers, ONE, 1),
    (seen_in_the_middle, ONE, 1),
    (two_readers, ONE, 1),
    (long, ((MANY,),), 4),
    (chain, ((1,),), 1),
    (chain, ((),), 1),
]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "function, shapes, count", CASES, ids=lambda v: getattr(v, "__name__", str(v))
)
def test_joined_launches_have_the_same_bits(function, shapes, count, dtype, threads, monkeypatch):
    if function is cast_inside and dtype == "float64":
        dtype = "int32"  # float64 to float64 is no launch
    dlx.set_num_threads(threads)

    def make(call):
        return [numbers(call + 10 * i, *s, dtype=dtype) for i, s in enumerate(shapes)]

    apart, joined = launches_of(function, make, monkeypatch)
    assert joined == count < apart


def test_a_result_past_the_caches(device, monkeypatch):
    count = 1 << (24 if device == "cpu" else 12)  # a GPU has one way only

    def make(call):
        return numbers(call, count), numbers(call + 9, count)

    def function(x, y):
        z = x * y
        return dlx.relu(z + 1), z

    found = [results(function, make, mode, monkeypatch)[0] for mode in ("off", "on")]
    assert found[0] == found[1]


@pytest.mark.parametrize("length", [1, 3, 17])
def test_chunks_of_any_length(length, monkeypatch):
    with dlx.testing.forced_grain(length):
        assert launches_of(
            tree, lambda call: [numbers(call, 50), numbers(call + 9, 50)], monkeypatch
        )


def test_a_value_of_another_shape_is_no_part(monkeypatch):
    def function(x):
        y = dlx.exp(x) + 1  # (75,)
        return y * 2 + x[:3].reshape((3, 1))  # (3, 75)

    assert launches_of(function, lambda call: [numbers(call, 75)], monkeypatch) == (4, 2)


def test_a_transposed_value_is_no_part(monkeypatch):
    def function(x):
        y = dlx.exp(x) + 1
        return y.T * 2 + y

    assert launches_of(function, lambda call: [numbers(call, 40, 40)], monkeypatch) == (4, 2)


def test_a_launch_between_that_reads_the_first(monkeypatch):
    def function(x):
        y = dlx.exp(x)
        z = y.sum(axis=0)  # needs y before the chain ends
        return (y + 1) * 2 + z

    apart, joined = launches_of(function, lambda call: [numbers(call, 30, 40)], monkeypatch)
    assert (apart, joined) == (5, 3)


def test_a_write_between_that_changes_an_operand(monkeypatch):
    cell = dlx.zeros((40,))

    def function(x):
        y = cell + x
        cell[:] = x * 3
        return y * cell

    def make(call):
        if call == 0:
            cell.copy_(dlx.ones((40,)))
        return [numbers(call, 40)]

    launches_of(function, make, monkeypatch)


def test_the_place_of_an_operand_is_taken_over(monkeypatch):
    def function(x):
        y = dlx.cumsum(x, axis=0)
        return dlx.cumsum(dlx.tanh(y * 2) + y, axis=0)

    monkeypatch.setenv("DLX_JIT", "strict")
    f = dlx.jit(function)
    for call in range(4):
        f(numbers(call, MANY))
    assert MANY * 4 <= f.memory["arena_bytes"] < MANY * 4 + 64


def test_gradients_of_a_composed_activation(monkeypatch):
    def function(x, w):
        x, w = x.detach(), w.detach()
        x.requires_grad = w.requires_grad = True
        y = x @ w
        (y * F.sigmoid(y) * 0.5 + dlx.tanh(y) ** 2).sum().backward()
        return x.grad, w.grad

    def make(call):
        return [numbers(call, 20, 30), numbers(call + 9, 30, 10)]

    apart, joined = launches_of(function, make, monkeypatch)
    assert joined < apart


def test_a_number_beside_halves_is_not_rounded(device):
    """On no device: what stands in memory is, results are."""
    x = dlx.full((3,), 1.5).astype("bfloat16")
    assert (x * 1.00390625).tolist() == [1.5078125] * 3  # 1.5 were the number bfloat16
