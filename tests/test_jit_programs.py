"""Random programs of up to 30 ops, with views, broadcasts, reductions, products, dropout, writes in
place and gradients: replayed they have eager's bits, on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx.nn import functional as F

IN_CI, ALL = 200, 2000
CALLS = 5
SHAPES = [(4, 3), (3,), (4, 1), (3, 4), (), (2, 4, 3)]


def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full")
        metafunc.parametrize("number", range(ALL if full else IN_CI))


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")


def broadcasts(a, b):
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return True


def multiplies(a, b):
    return a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]


# name: (operands, whether it applies, function)
OPS = {
    "add": (2, broadcasts, lambda a, b: a + b),
    "multiply": (2, broadcasts, lambda a, b: a * b),
    "maximum": (2, broadcasts, dlx.maximum),
    "subtract number": (1, None, lambda a: a - 0.25),
    "tanh": (1, None, dlx.tanh),
    "relu": (1, None, dlx.relu),
    "sigmoid": (1, None, dlx.sigmoid),
    "where": (2, lambda a, b: a.shape == b.shape, lambda a, b: dlx.where(a > b, a, -b)),
    "sum": (1, lambda a: a.ndim > 0, lambda a: a.sum(axis=-1)),
    "mean, kept": (1, lambda a: a.ndim > 0, lambda a: dlx.mean(a, axis=0, keepdims=True)),
    "max": (1, lambda a: a.ndim > 1, lambda a: dlx.max(a, axis=0)),
    "matmul": (2, multiplies, lambda a, b: a @ b * 0.5),
    "transpose": (1, lambda a: a.ndim == 2, lambda a: a.T),
    "reshape": (1, None, lambda a: a.reshape((-1,))),
    "slice": (1, lambda a: a.ndim and a.shape[0] > 1, lambda a: a[1:]),
    "reversed": (1, lambda a: a.ndim > 0, lambda a: a[::-1]),
    "concat": (1, lambda a: a.ndim and a.shape[0] < 9, lambda a: dlx.concat([a, a[:1]], axis=0)),
    "softmax": (1, lambda a: a.ndim > 0, lambda a: dlx.softmax(a, axis=-1)),
    "dropout": (1, None, lambda a: F.dropout(a, 0.3)),
    "random": (1, None, lambda a: a + dlx.random.uniform(a.shape, device=a.device)),
    "detach": (1, None, lambda a: a.detach()),
    "cast": (1, None, lambda a: a.astype("float64").astype("float32")),
    "constant": (1, None, lambda a: a * dlx.full(a.shape, 0.5, device=a.device)),
}  # fmt: skip


def write_in_place(a):
    """A copy of a with its first row doubled, as a[0] = ... does it."""
    cell = a.detach().clone()
    cell[:1] = cell[:1] * 2
    cell += 1
    return cell


OPS["write in place"] = (1, lambda a: a.ndim > 0, write_in_place)


def drawn_program(number):
    """[(name, operands)]: operands count inputs first, then the results so far."""
    rng = np.random.default_rng(number)
    values = [dlx.ones(shape) for shape in SHAPES]
    program = []
    with dlx.no_grad():
        while len(program) < 5 + number % 26:
            name = list(OPS)[rng.integers(len(OPS))]
            count, applies, function = OPS[name]
            near = max(0, len(values) - 12)
            at = [int(rng.integers(near, len(values))) for _ in range(count)]
            operands = [values[i] for i in at]
            if applies is None or applies(*operands):
                program.append((name, at))
                values.append(function(*operands))
    return program


def function_of(program):
    def run(*inputs):
        values = list(inputs)
        for name, at in program:
            values.append(OPS[name][2](*[values[i] for i in at]))
        used = {i for _, at in program for i in at}
        ends = [v for i, v in enumerate(values) if i >= len(inputs) and i not in used]
        loss = sum(end.mean() for end in ends)
        if loss.requires_grad:
            loss.backward()
        return [loss.detach(), *(end.detach() for end in ends), *(x.grad for x in inputs)]

    return run


def traced(function, device):
    """The bits of each of some calls."""
    found = []
    dlx.seed(0)
    for call in range(CALLS):
        rng = np.random.default_rng(call)
        inputs = [
            dlx.tensor(rng.normal(size=s).astype(np.float32), device=device, requires_grad=True)
            for s in SHAPES
        ]
        results = function(*inputs)
        found.append([None if t is None else t.cpu().numpy().tobytes() for t in results])
    return found


def test_a_random_program(number, device):
    program = drawn_program(number)
    dlx.set_num_threads(1 + number % 3)
    jitted = dlx.jit(function_of(program))
    replayed = traced(jitted, device)
    assert jitted.cache_info().replays == CALLS - 3, program
    assert replayed == traced(function_of(program), device), program
