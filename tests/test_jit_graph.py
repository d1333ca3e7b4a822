"""A program on a GPU is replayed as CUDA graphs: the same bits, whatever moves between replays.

Runs on a GPU and on the emulated device, `pytest --device emu`."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import dlx
from dlx import nn, optim

if not dlx.cuda.is_available():
    pytest.skip("no GPU, nor an emulated one: pytest --device emu", allow_module_level=True)

F = nn.functional
EAGER = 3  # calls before the first replay, which launches one by one: the driver loads kernels


@pytest.fixture(autouse=True)
def gpu(device, monkeypatch):
    """The GPU under test; graphs leave nothing behind on it."""
    monkeypatch.setenv("DLX_JIT", "strict")
    place = dlx.device(device if device.startswith("cuda") else "cuda:0")
    dlx.random.uniform((0,), device="cpu")  # where the generator's cell is then
    gc.collect()
    before = dlx.cuda.memory_stats(place)["live_bytes"]
    with place:
        yield place
    dlx.random.uniform((0,), device="cpu")
    gc.collect()
    assert dlx.cuda.memory_stats(place)["live_bytes"] == before


def drawn(*shape, seed=0):
    return dlx.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def bits(tensors):
    return [None if t is None else t.detach().cpu().numpy().tobytes() for t in tensors]


def counts(f):
    """(captures, replays) as graphs."""
    return f.memory["graph_captures"], f.memory["graph_replays"]


class Training:
    """Steps of a small network with dropout, batch norm and a schedule."""

    def __init__(self, jit, calls=0, **options):
        dlx.seed(1)
        self.model = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 4)
        )
        self.optimizer = optim.Adam(self.model.parameters(), lr=lambda step: 1e-2 * 0.9**step)
        model, optimizer = self.model, self.optimizer

        def one(x, y):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        self.step = dlx.jit(one, **options) if jit else one
        self.losses = []
        self.run(calls)

    def run(self, calls):
        for i in range(len(self.losses), len(self.losses) + calls):
            self.losses.append(self.step(drawn(5, 6, seed=i), dlx.tensor([0, 1, 2, 3, i % 4])))

    def everything(self):
        state = self.optimizer.state_dict()["state"]
        return [
            dlx.testing.weight_hash(self.model),
            bits(self.losses),
            bits(p.grad for p in self.model.parameters()),
            bits(v for entry in state.values() for v in entry.values()),
            dlx.random.get_state().tolist(),
        ]


def test_a_training_step_is_one_graph_captured_once():
    jitted = Training(True, 12)
    assert counts(jitted.step) == (1, 12 - EAGER - 1)
    launches = jitted.step.memory["launches"]
    text = f"replayed as one CUDA graph of {launches} launches: captured 1 times, replayed 8 times"
    assert str(jitted.step.program).splitlines()[-1] == text
    assert 0 < jitted.step.memory["graph_bytes"] < 1 << 16
    assert jitted.everything() == Training(False, 12).everything()


def test_without_graphs():
    jitted = Training(True, 8, cuda_graph=False)
    assert counts(jitted.step) == (0, 0) and jitted.step.memory["graph_bytes"] == 0
    assert "CUDA" not in str(jitted.step.program)
    assert jitted.everything() == Training(False, 8).everything()
    again = dlx.jit(dlx.jit(bits), cuda_graph=False)
    assert not again._cuda_graph and dlx.jit(again) is again


def test_arguments_that_stay_are_not_copied():
    f = dlx.jit(lambda x: dlx.tanh(x) * x)
    x = drawn(700)
    for _ in range(7):
        f(x)
    y = f(x)
    assert bits([y]) == bits([dlx.tanh(x) * x])
    assert counts(f)[0] == 1 and f.memory["graph_bytes"] == 0


def test_results_belong_to_the_caller():
    f = dlx.jit(lambda x: (x * 2, (x * x).sum()))
    xs = [drawn(3, 5, seed=i) for i in range(12)]
    kept = [f(x) for x in xs]
    assert counts(f) == (1, 12 - EAGER - 1)
    for x, (double, total) in zip(xs, kept, strict=True):
        assert bits([double, total]) == bits([x * 2, (x * x).sum()])


def test_results_that_are_kept_now_and_then():
    f = dlx.jit(lambda x: x + 1)
    x, kept = drawn(40), []
    for i in range(16):
        y = f(x)
        if i % 3 == 0:
            kept.append(y)
    assert all(bits([y]) == bits([x + 1]) for y in kept)
    assert counts(f)[0] <= 2 and counts(f)[1] == 16 - EAGER - 1


def test_parts_of_memory_as_arguments():
    f = dlx.jit(lambda x, y: x * y + x)
    memory = drawn(20, 30)
    for i in range(8):
        x, y = memory[i : i + 4, 3:9], memory[5:9, i : 12 + i : 2].flip(1)
        assert bits([f(x, y)]) == bits([x * y + x])
    assert counts(f) == (1, 4)


def test_an_argument_written_in_place():
    def add(total, x):
        total += x
        return total * 2

    f = dlx.jit(add)
    totals = [dlx.zeros((4,)), dlx.zeros((4,))]
    expected = [np.zeros(4, "f4"), np.zeros(4, "f4")]
    for i in range(10):
        x = drawn(4, seed=i)
        double = f(totals[i % 2], x)
        expected[i % 2] = expected[i % 2] + x.cpu().numpy()
        assert (double.cpu().numpy() == 2 * expected[i % 2]).all()
    assert [t.tolist() for t in totals] == [e.tolist() for e in expected]
    assert counts(f)[1] == 10 - EAGER - 1


def test_state_that_is_loaded_and_swapped():
    jitted, eager = Training(True), Training(False)
    saved = []
    for t in (eager, jitted):
        dlx.seed(4)
        saved.append({k: v.clone() for k, v in t.model.state_dict().items()})
        for turn in range(4):
            t.run(6)
            if turn % 2:
                t.model.load_state_dict(saved[-1])
            else:
                with dlx.no_grad():
                    for p in t.model.parameters():
                        p[...] = p * 0.5
    assert jitted.everything() == eager.everything()
    assert counts(jitted.step)[1] > 10


def test_parameters_that_others_keep_each_time():
    layer = nn.Linear(3, 3)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    def one(x):
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    step, snapshots, grads = dlx.jit(one), [], []
    for i in range(12):
        step(drawn(2, 3, seed=i))
        snapshots.append(layer.weight.detach())  # what is written next time is a copy
        grads.append(layer.weight.grad)
    assert counts(step)[0] <= 4 and counts(step)[1] > 5
    found = bits(snapshots), bits(grads)
    assert len(set(found[0])) == 12

    dlx.seed(0)
    again = nn.Linear(3, 3)
    for a, b in zip(again.parameters(), layer.parameters(), strict=True):
        assert a.shape == b.shape
    w = snapshots[0].cpu().numpy()
    for i in range(1, 12):
        grad = np.ones((2, 3), "f4").T @ drawn(2, 3, seed=i).cpu().numpy()
        np.testing.assert_allclose(grads[i].cpu().numpy(), grad, rtol=1e-5)
        w = w - np.float32(0.1) * grads[i].cpu().numpy()
        np.testing.assert_allclose(snapshots[i].cpu().numpy(), w, rtol=1e-5, atol=1e-6)


def test_gradients_that_go_and_come():
    def run(jit):
        dlx.seed(2)
        layer = nn.Linear(4, 2)

        def one(x):
            layer(x).square().sum().backward()
            return layer.weight.grad.sum()

        step, found = dlx.jit(one) if jit else one, []
        for i in range(18):
            if i % 6 == 0:
                layer.zero_grad()
            found.append(step(drawn(3, 4, seed=i)))
        return bits(found), bits(p.grad for p in layer.parameters())

    assert run(True) == run(False)


def test_random_numbers_go_on():
    def numbers(jit):
        dlx.seed(11)
        f = lambda x: (F.dropout(x, 0.4), dlx.random.normal((3,)))  # noqa: E731
        f = dlx.jit(f) if jit else f
        found = []
        for i in range(9):
            found += f(drawn(50, seed=i))
            found.append(dlx.random.uniform((2,)))
            if i == 6:
                dlx.seed(5)
        return bits(found)

    assert numbers(True) == numbers(False)


def test_state_that_moves_at_every_step_ends_in_single_launches():
    """Eight captures at most; then the text says why there are none."""
    weights = [drawn(4, seed=i) for i in range(40)]

    class Holder:
        parts = None

    holder = Holder()
    holder.parts = [dlx.zeros((4,)) for _ in range(20)]
    f = dlx.jit(lambda x: sum((p * x for p in holder.parts), start=x))
    for i in range(EAGER + 24):
        if i > EAGER:  # another one of them lies elsewhere
            p = holder.parts[i % 20]
            keep = p.detach()
            p[...] = weights[i]
            del keep
        x = drawn(4, seed=i)
        assert bits([f(x)]) == bits([sum((p * x for p in holder.parts), start=x)])
    assert f.cache_info().replays == 24 and counts(f)[1] < 24
    words = "replayed launch by launch: its state has come to lie elsewhere at 8 replays"
    assert str(f.program).splitlines()[-1] == words
    assert f.memory["graph_bytes"] == 0


def test_two_programs_in_turns_on_streams_of_their_own():
    models = [Training(True), Training(True)]
    streams = [dlx.cuda.Stream(), dlx.cuda.Stream()]
    for i in range(12):
        with dlx.cuda.stream(streams[i % 2]):
            models[0].run(1)
        with dlx.cuda.stream(streams[i // 2 % 2]):
            models[1].run(1)
    assert all(counts(m.step) == (1, 8) for m in models)
    eager = [Training(False), Training(False)]
    for _ in range(12):
        eager[0].run(1)
        eager[1].run(1)
    for jitted, expected in zip(models, eager, strict=True):
        assert jitted.everything()[:4] == expected.everything()[:4]


def test_threads_replay_in_turns():
    f = dlx.jit(lambda x: (x * x).sum())
    xs = [drawn(30, seed=i) for i in range(24)]
    found = [None] * 24

    def work(first):
        with dlx.device("cuda:0"):
            for i in range(first, 24, 2):
                found[i] = f(xs[i])

    for x in xs[:EAGER]:
        f(x)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert bits(found) == bits([(x * x).sum() for x in xs])


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
