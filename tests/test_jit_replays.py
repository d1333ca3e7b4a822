"""What else a replay keeps: other threads go on, numbers of Python's start every step anew, and
nothing that Python could see is read, written or shared behind its back."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

import dlx
from _check import is_emulated
from dlx import nn

pytestmark = pytest.mark.on_its_device


def test_python_goes_on_during_a_replay(device):
    size, products = (32, 4000) if is_emulated(device) else (400, 8)  # milliseconds
    x = dlx.ones((size, size), device=device)

    @dlx.jit
    def f(x):
        for _ in range(products):
            x = x @ x * (1 / size)
        return x

    for _ in range(4):
        f(x)
    interval, answered_in_a_replay = sys.getswitchinterval(), False
    sys.setswitchinterval(60)  # nobody gets the GIL unless the one that has it lets go of it
    try:
        for _ in range(50):
            start, answers = threading.Event(), []
            thread = threading.Thread(target=lambda s=start, a=answers: a.append(s.wait()))
            thread.start()
            start.set()
            early = bool(answers)
            f(x)
            answered_in_a_replay = bool(answers) and not early
            thread.join()
            if answered_in_a_replay:
                break
    finally:
        sys.setswitchinterval(interval)
    assert answered_in_a_replay
    assert f.cache_info().replays >= 2


def test_a_closed_door_refuses_every_op(device):
    x = dlx.ones((4,), device=device)
    with dlx.testing.closed_door(), pytest.raises(RuntimeError, match="multiply: called while"):
        _ = x * x
    assert (x * x).tolist() == [1, 1, 1, 1]


def test_what_python_makes_into_a_tensor_starts_every_replay_anew(device):
    out = dlx.zeros((2,), device=device)

    @dlx.jit
    def f(x):
        partly = dlx.tensor([10.0, 20.0], device=device)
        partly[:1] = x[:1] + partly[:1]
        out[...] = partly * 2 + 0.5
        return partly

    for i in range(6):
        x = dlx.tensor([float(i), 7.0], device=device)
        assert f(x).tolist() == [10.0 + i, 20.0]
        assert out.tolist() == [20.5 + 2 * i, 40.5] and x.tolist() == [i, 7.0]
    assert f.cache_info().replays == 3


def test_arrays_written_in_parts(device):
    f = dlx.jit(lambda x: dlx.concat([x, x.T * 3], axis=1))
    for i in range(5):
        x = dlx.arange(4.0, device=device).reshape((2, 2)) + i
        assert f(x).tolist() == [[i, 1 + i, 3 * i, 6 + 3 * i], [2 + i, 3 + i, 3 + 3 * i, 9 + 3 * i]]
    assert f.cache_info().replays == 2


@pytest.mark.parametrize("read", [float, np.asarray, np.from_dlpack, lambda t: t.tolist(), bool])
def test_every_way_to_read_is_one(read, device, monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")

    @dlx.jit
    def f(x):
        y = x * 2
        of_numpy = read in (np.asarray, np.from_dlpack)  # which take nothing from a GPU
        read(y.cpu() if of_numpy else y)
        return y

    x = dlx.ones((1,), device=device)
    f(x)
    with pytest.raises(RuntimeError, match=r"Python reads a value .*test_jit_replays\.py:\d+"):
        f(x)


def test_a_snapshot_of_the_weights_stays_what_it_was(device):
    layer = nn.Linear(3, 2).to(device)
    optimizer = dlx.optim.SGD(layer.parameters(), lr=0.5)

    @dlx.jit
    def step(x):
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    for i in range(7):
        snapshot = layer.state_dict()
        before = {name: value.cpu().numpy().tobytes() for name, value in snapshot.items()}
        step(dlx.full((4, 3), 1.0 + i, device=device))
        for name, value in snapshot.items():
            assert value.cpu().numpy().tobytes() == before[name]
            assert getattr(layer, name).cpu().numpy().tobytes() != before[name]
    assert step.cache_info().replays == 4
