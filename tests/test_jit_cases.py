"""Every row of tests/cases/ replayed, with launches joined and apart: the same bits as eagerly, and
no Python runs meanwhile."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import dlx
from _check import to_numpy, to_tensor
from cases import CASES

CALLS = 6  # the fourth is the first that is replayed, a GPU's fifth the first as a graph


@pytest.fixture(autouse=True, params=["strict", "nofuse"])
def _mode(request, monkeypatch):
    monkeypatch.setenv("DLX_JIT", request.param)


def over(cases):
    return pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in cases])


def other_values(arrays, call):
    """The same shapes with the values elsewhere."""
    return [np.roll(a, call) for a in arrays]


def bits(values):
    return [(v.dtype, v.shape, np.ascontiguousarray(v).tobytes()) for v in map(to_numpy, values)]


def calls_of(function, case, device, requires_grad=False):
    """The bits of what each of some calls returns."""
    found = []
    for call in range(CALLS):
        dlx.seed(call)
        inputs = [to_tensor(a, device) for a in other_values(case.arrays("float32"), call)]
        if requires_grad:
            for i in case.differentiable:
                inputs[i].requires_grad = True
        found.append(bits(function(*inputs)))
        found.append(dlx.random.get_state().tolist())
    return found


def assert_replayed(function, case, device, **options):
    count = itertools.count()

    def counted(*inputs):
        next(count)
        return function(*inputs)

    jitted = dlx.jit(counted)
    found = calls_of(jitted, case, device, **options)
    assert next(count) == 3, jitted.cache_info()
    assert jitted.cache_info().replays == CALLS - 3
    if device != "cpu" and "no kernel runs on a GPU" not in str(jitted.program):
        assert jitted.memory["graph_replays"] == CALLS - 4
        assert jitted.memory["graph_captures"] <= 2
    assert found == calls_of(function, case, device, **options)


def reads_values(case):
    """Whether the shape of something depends on values: the ones of a mask are counted."""
    masked = case.op in ("getitem", "setitem") and any(a.dtype == bool for a in case.arrays())
    return masked or "nonzero" in case.op


@over([c for c in CASES if not reads_values(c)])
def test_forward(case, device):
    def function(*inputs):
        y = case.run(*inputs, dtype="float32", device=device)
        return y if isinstance(y, tuple) else (y,)

    assert_replayed(function, case, device)


@over([c for c in CASES if c.differentiable and not reads_values(c)])
def test_gradients(case, device):
    def function(*inputs):
        y = case.run(*inputs)
        (y * y).sum().backward()
        return [inputs[i].grad for i in case.differentiable]

    assert_replayed(function, case, device, requires_grad=True)
