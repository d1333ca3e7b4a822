"""Reductions that a replay joins to the pointwise launches before them: which ones are, and the
same bits as apart."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn, optim
from dlx.nn import functional as F

CALLS = 5


@pytest.fixture(autouse=True)
def _device(device):
    with dlx.device(device):
        yield


def numbers(call, *shape, dtype="float32"):
    x = np.random.default_rng([call, *shape]).normal(size=shape)
    return dlx.tensor(x.astype(np.float32)).astype(dtype)


def bits(y):
    ys = y if isinstance(y, (tuple, list)) else (y,)
    return [(t.dtype, t.shape, t.astype("float64").cpu().numpy().tobytes()) for t in ys]


def labels_of(function, make_inputs, monkeypatch):
    """Of the launches of the replay, whose bits, joined and apart, are those of eager calls."""
    found = {}
    for mode in ("off", "nofuse", "strict"):
        monkeypatch.setenv("DLX_JIT", mode)
        jitted = dlx.jit(function)
        found[mode] = [bits(jitted(*make_inputs(call))) for call in range(CALLS)]
        assert mode == "off" or jitted.cache_info().replays == CALLS - 3
    assert found["off"] == found["nofuse"]
    assert found["off"] == found["strict"], jitted.program
    return [call.op for call in jitted.program._view().calls]


KINDS = {"sum": dlx.sum, "mean": dlx.mean, "max": dlx.max, "min": dlx.min}
DTYPES = ["float32", "float64", "bfloat16", "float16"]
# (shape, axes): the elements of an output lie together, around and at the edges of chunks of 2048
TOGETHER = [
    ((1,), None),
    ((), None),
    ((5,), None),
    ((127,), None),
    ((128,), None),
    ((1023,), None),
    ((2047,), None),
    ((2048,), None),
    ((2049,), None),
    ((4097,), 0),
    ((33, 130), None),
    ((67, 1), -1),
    ((1, 67), -1),
    ((67, 10), -1),
    ((67, 33), -1),
    ((3, 2048), -1),
    ((3, 2049), -1),
    ((2, 3, 4500), -1),
    ((7, 5, 11), (1, 2)),
    ((4, 3, 23, 23), (0, 2, 3)),
    ((6, 2, 530), (0, 2)),
    ((3, 2, 2050), (0, 2)),
]


def where_together(shape, axes):
    return f"{'x'.join(map(str, shape))} over {axes}"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape, axes", TOGETHER, ids=[where_together(*t) for t in TOGETHER])
def test_what_only_the_reduction_reads(shape, axes, kind, dtype, threads, monkeypatch):
    dlx.set_num_threads(threads)

    def function(x, y):
        return KINDS[kind](x * y - 0.5, axis=axes)

    def make(call):
        return [numbers(call + 10 * i, *shape, dtype=dtype) for i in range(2)]

    labels = labels_of(function, make, monkeypatch)
    assert labels == [f"fused(multiply, subtract, {kind})"]


@pytest.mark.parametrize("dtype", DTYPES + ["uint8", "int32", "int64"])
@pytest.mark.parametrize("kind", ["sum", "max"])
@pytest.mark.parametrize("shape", [(300,), (2, 20000)], ids=["one_part", "many_parts"])
def test_integers_and_long_reductions(shape, kind, dtype, monkeypatch):
    def make(call):
        x = np.random.default_rng(call).integers(0, 9, size=shape)
        return [dlx.tensor(x.astype(np.float32)).astype(dtype)]

    labels = labels_of(lambda x: KINDS[kind](x * x, axis=-1), make, monkeypatch)
    assert labels == [f"fused(multiply, {kind})"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape, axes", [((70, 120), -1), ((9000,), None), ((5, 3, 24, 30), (0, 2, 3))]
)
def test_what_is_stored_and_reduced(shape, axes, dtype, threads, monkeypatch):
    """By an output of the launch, and by steps before and after the one that is reduced."""
    dlx.set_num_threads(threads)

    def function(x, y):
        z = dlx.tanh(x) + y
        after = dlx.relu(z * 2)
        return dlx.sum(z, axis=axes, keepdims=True), z, after

    def make(call):
        return [numbers(call + 10 * i, *shape, dtype=dtype) for i in range(2)]

    labels = labels_of(function, make, monkeypatch)
    assert labels == ["fused(tanh, add, multiply, relu, sum)"]


def broadcast(x, row, column):
    return ((x + row) * column).sum(-1)


def number(x, row, column):
    return (2 - x).mean()


def comparison(x, row, column):
    return (x > row).sum(-1), (x < 0).sum()


def integers(x, row, column):
    return (x * 100).astype("int32").sum(), dlx.max((x * 9).astype("int64"), axis=-1)


def from_half(x, row, column):
    return x.astype("bfloat16").astype("float32").sum(-1)


def of_half(x, row, column):
    return (x * row).astype("float16").mean()


def reshaped(x, row, column):
    return dlx.exp(x).reshape((-1,)).sum()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "function", [broadcast, number, comparison, integers, from_half, of_half, reshaped]
)
def test_operands_of_any_kind(function, threads, monkeypatch):
    dlx.set_num_threads(threads)

    def make(call):
        return [numbers(call, 37, 90), numbers(call + 10, 90), numbers(call + 20, 37, 1)]

    labels = labels_of(function, make, monkeypatch)
    assert labels and all(label.startswith("fused(") for label in labels)


@pytest.mark.parametrize("length", [1, 3, 17])
def test_pieces_of_any_length(length, monkeypatch):
    def function(x, y):
        z = x * y + 1
        return z, z.sum(-1), dlx.exp(x).sum()

    with dlx.testing.forced_grain(length):
        labels = labels_of(
            function, lambda call: [numbers(call, 40, 60), numbers(call + 9, 40, 60)], monkeypatch
        )
    assert len(labels) == 2


def test_numbers_that_are_not_finite(monkeypatch):
    def make(call):
        x = np.random.default_rng(call).normal(size=(40, 70)).astype(np.float32)
        x[3, 4], x[5, 6], x[7, 8], x[7, 9] = np.nan, np.inf, np.inf, -np.inf
        return [dlx.tensor(x)]

    def function(x):
        y, z = x * 2, x + 1
        return y.sum(-1), dlx.max(z, axis=-1), (x - 1).min(), (x * 3).mean()

    assert len(labels_of(function, make, monkeypatch)) == 4


def test_a_result_past_the_caches(device, monkeypatch):
    count = 1 << (24 if device == "cpu" else 12)

    def function(x):
        z = x * 2
        return z, z.sum()

    assert labels_of(function, lambda call: [dlx.arange(count) + call], monkeypatch)


def test_the_place_of_an_operand_is_taken_over(monkeypatch):
    def function(x):
        y = dlx.cumsum(x, axis=0)
        z = dlx.tanh(y * 2) + y
        return dlx.cumsum(z, axis=0), z.sum()

    monkeypatch.setenv("DLX_JIT", "strict")
    f = dlx.jit(function)
    for call in range(4):
        f(numbers(call, 5000))
    assert "fused(multiply, tanh, add, sum)" in str(f.program)
    assert 5000 * 4 <= f.memory["arena_bytes"] < 5000 * 4 + 64


# What stays apart


def columns(x):
    return (x * 2).sum(0)


def short_runs(x):
    return (x.reshape((30, 4, 10)) * 2).sum((0, 2))


def variance(x):
    return dlx.var(x * 2)


def place(x):
    return dlx.argmax(x * 2, axis=-1)


def transposed(x):
    return (x * 2).T.sum(-1)


def part(x):
    return (x * 2)[1:].sum()


def two_reductions(x):
    y = x * 2
    return y.sum(-1), dlx.max(y, axis=-1)


@pytest.mark.parametrize(
    "function, joined",
    [(columns, 0), (short_runs, 0), (variance, 0), (place, 0), (transposed, 0), (part, 0)]
    + [(two_reductions, 1)],
)
def test_what_stays_apart(function, joined, monkeypatch):
    labels = labels_of(function, lambda call: [numbers(call, 30, 40)], monkeypatch)
    assert sum(label.startswith("fused(") for label in labels) == joined


def test_a_sum_behind_other_readers(monkeypatch):
    """Where the pointwise launches are, before what reads their result as well: a bias gradient."""

    def function(x, w):
        y = dlx.tanh(x) * 2
        product = w @ y
        return product, y.sum(-1)

    def make(call):
        return [numbers(call, 40, 60), numbers(call + 10, 30, 40)]

    labels = labels_of(function, make, monkeypatch)
    assert labels == ["fused(tanh, multiply, sum)", "matmul"]


def test_a_reader_of_the_sum_stands_behind_it(monkeypatch):
    """What the sum's result is needed for cannot be part of the launch that makes it."""

    def function(x):
        y = dlx.exp(x)
        total = y.sum()
        return y / total, (y * 2 + total).mean()

    labels = labels_of(function, lambda call: [numbers(call, 50, 60)], monkeypatch)
    assert labels[0] == "fused(exp, sum)"


def test_a_write_between_that_changes_an_operand(monkeypatch):
    cell = dlx.zeros((4000,))

    def function(x):
        y = cell + x
        cell[:] = x * 3
        return y.sum(), cell.mean()

    def make(call):
        if call == 0:
            cell.copy_(dlx.ones((4000,)))
        return [numbers(call, 4000)]

    labels_of(function, make, monkeypatch)


def test_no_elements(monkeypatch):
    def function(x):
        return (x * 2).sum(), (x + 1).sum(-1)

    labels = labels_of(function, lambda call: [dlx.zeros((4, 0))], monkeypatch)
    assert not any(label.startswith("fused(") for label in labels)


def test_gradients_and_state(monkeypatch):
    """Training with a penalty and a loss of pointwise ops: weights and losses are eager's."""
    found = {}
    for mode in ("off", "nofuse", "strict"):
        monkeypatch.setenv("DLX_JIT", mode)
        dlx.seed(0)
        model = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 5))
        optimizer = optim.Adam(model.parameters(), lr=0.01)

        @dlx.jit
        def step(x, y, model=model, optimizer=optimizer):
            penalty = sum((p * p).sum() for p in model.parameters())
            loss = ((model(x) - y) ** 2).mean() + F.softplus(penalty - 1) * 0.01
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss, dlx.abs(model[0].weight.grad).max()

        seen = [bits(step(numbers(k, 16, 20), numbers(k + 99, 16, 5))) for k in range(7)]
        found[mode] = seen + bits([p.detach() for p in model.parameters()])
    assert found["off"] == found["nofuse"] == found["strict"]
    assert "fused(multiply, sum)" in str(step.program)
    assert step.program.memory["launches"] < 40


def test_the_cost_counts_what_moves(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")
    f = dlx.jit(lambda x: (x * 2).sum())
    for call in range(4):
        f(numbers(call, 1000))
    (call,) = f.program._view().calls
    assert call.bytes == 1000 * 4 + 4


def test_a_nan_is_found_at_the_launch_that_makes_it(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")
    f = dlx.jit(lambda x: (dlx.log(x) * 2).sum())
    for _ in range(4):
        f(dlx.ones((50,)))
    with dlx.debug.nan_trap(), pytest.raises(FloatingPointError, match="log: made 50 NaN"):
        f(-dlx.ones((50,)))
