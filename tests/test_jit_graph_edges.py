"""Where a program on a GPU is not one CUDA graph: the host's part, errors, observers, no room.

Runs on a GPU and on the emulated device, `pytest --device emu`."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

import dlx
from _graphs import EAGER, Training, bits, counts, drawn, gpu  # noqa: F401
from dlx import nn

F = nn.functional


def test_a_copy_from_the_host_stands_between_graphs():
    numbers = dlx.tensor([1.0, 2.0, 3.0], device="cpu")

    def function(x):
        y = x * x + x
        return (y.cumsum(0) + numbers.to(x.device)) * y.sum()

    f = dlx.jit(function)
    for i in range(8):
        numbers[...] = numbers + 1
        x = drawn(3, seed=i)
        assert bits([f(x)]) == bits([function(x)])
    assert counts(f) == (1, 8 - EAGER - 1)
    assert "1 by themselves: captured 1 times" in str(f.program).splitlines()[-1]


def test_launches_of_the_host_stand_between_graphs():
    def function(x):
        y = (x * x + 1).cumsum(0).cpu() * 2
        return y.to(x.device).cumsum(0) * x

    f = dlx.jit(function)
    for i in range(8):
        x = drawn(5, seed=i)
        assert bits([f(x)]) == bits([function(x)])
    assert counts(f) == (1, 8 - EAGER - 1)


@pytest.mark.skipif(dlx.cuda.device_count() < 2, reason="one GPU")
@pytest.mark.parametrize("cuda_graph", [True, False])
def test_two_devices_wait_for_each_other(cuda_graph):
    def function(x):
        y = (x * x + 1).cumsum(0).to("cuda:1") * 2
        z = (x + 1).cumsum(0) * (x + 2).cumsum(0)  # where the first sum was
        return y.to("cuda:0").cumsum(0) * z

    f = dlx.jit(function, cuda_graph=cuda_graph)
    for i in range(8):
        x = drawn(5, seed=i)
        assert bits([f(x)]) == bits([function(x)])
    assert counts(f) == ((1, 8 - EAGER - 1) if cuda_graph else (0, 0))


def test_without_a_launch_on_the_gpu():
    x = dlx.ones((3,), device="cpu")
    f = dlx.jit(lambda: x.to("cuda:0"))
    for _ in range(6):
        y = f()
    assert y.tolist() == [1, 1, 1]
    assert str(f.program).splitlines()[-1].endswith(": no kernel runs on a GPU")


def test_indices_out_of_range_are_told_at_a_later_read():
    f = dlx.jit(lambda x, i, y: (dlx.take(x, i, axis=0), F.cross_entropy(x, y)))
    x, right, labels = drawn(5, 3), dlx.tensor([0, 4]), dlx.tensor([0, 1, 2, 0, 1])
    wrong = [(dlx.tensor([1, 7]), labels), (right, dlx.tensor([0, 1, 9, 0, 1]))]
    words = ["take: index 7 at position 1", "cross_entropy: .* 9 .*position 2|cross_entropy.*9"]
    for i in range(EAGER + 12):
        bad = i > EAGER and i % 3 == 0
        indices, y = wrong[i // 3 % 2] if bad else (right, labels)
        taken, _ = f(x, indices, y)
        if bad:
            f(x, right, labels)  # a replay without an error does not hide it
            with pytest.raises(IndexError, match=words[i // 3 % 2]):
                taken.tolist()
        assert f(x, right, labels)[0].tolist() == x[right].tolist()
    assert counts(f)[1] > 12


def test_more_errors_than_slots():
    f = dlx.jit(lambda x, i: dlx.take(x, i, axis=0))
    x = drawn(5, 3)
    for _ in range(6):
        f(x, dlx.tensor([1]))
    f(x, dlx.tensor([8]))
    with pytest.raises(IndexError, match=r"take: index 8 .* launches without a read"):
        for _ in range(300):
            f(x, dlx.tensor([2]))
    assert f(x, dlx.tensor([2])).tolist() == x[2:3].tolist()


def test_what_looks_at_each_launch_gets_each():
    jitted = Training(True, 7)
    before = counts(jitted.step)
    with dlx.profile() as profile:
        jitted.run(1)
    assert "cross_entropy" in str(profile)
    with dlx.debug.nan_trap():
        jitted.run(1)
    jitted.step.program.time(2)
    jitted.run(2)
    assert counts(jitted.step) == before
    jitted.run(2)
    assert counts(jitted.step) == (1, before[1] + 2)
    found = jitted.everything()
    assert found == Training(False, 13).everything()


def python(code, **environment):
    """What a fresh interpreter prints; its error, where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", "import dlx\nimport numpy as np\n" + code],
        capture_output=True,
        text=True,
        env={**os.environ, "DLX_JIT": "strict", **environment},
        timeout=100,
    )
    return done.stdout if done.returncode == 0 else done.stderr


BLOCKING = """
f = dlx.jit(lambda x, i: dlx.take(x, i, axis=0))
x = dlx.ones((5,), device="cuda")
for i in range(6):
    f(x, dlx.tensor([i % 5], device="cuda"))
print(f.memory["graph_replays"])
try:
    f(x, dlx.tensor([9], device="cuda"))
except IndexError as error:
    print(error)
"""


def test_launches_that_block_are_single():
    said = python(BLOCKING, DLX_LAUNCH_BLOCKING="1")
    assert said.startswith("0\ntake: index 9 at position 0"), said


FULL = """
f = dlx.jit(lambda x: x * 2)
rest = []
for i in range(8):
    x = dlx.full((1 << 20,), float(i), device="cuda")
    result = f(x)
    assert result[:2].tolist() == [2 * i, 2 * i], (i, result)
    if i == 3:
        try:
            while True:
                rest.append(dlx.empty((1 << 18,), device="cuda"))
        except MemoryError:
            del rest[:10]  # 10 MiB for another argument and result of 4 MiB
print(str(f.program).splitlines()[-1])
"""


@pytest.mark.skipif("emulated" not in dlx.cuda.device_name(), reason="a GPU has more memory")
def test_no_room_for_a_graph():
    """What fits launch by launch goes on so, and the text says whose memory there was not enough
    of."""
    said = python(FULL, DLX_SIMT_MEMORY_MIB="64")
    assert "replayed launch by launch: out of memory on cuda:0: asked for" in said, said
    assert "the largest owners: " in said


def test_a_program_that_goes_while_its_graph_runs():
    f = dlx.jit(lambda x: (x * x).cumsum(0))
    xs = [drawn(50, seed=i) for i in range(7)]
    found = [f(x) for x in xs]
    assert counts(f) == (1, 3)
    del f
    gc.collect()
    rest = [dlx.zeros((n,)) for n in (50, 300, 700)]
    assert bits(found) == bits([(x * x).cumsum(0) for x in xs])
    del rest
