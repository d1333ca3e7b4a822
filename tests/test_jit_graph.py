"""A program on a GPU is replayed as CUDA graphs: the same bits, whatever moves between replays.

Runs on a GPU and on the emulated device, `pytest --device emu`."""

from __future__ import annotations

import threading

import numpy as np

import dlx
from _graphs import EAGER, Training, bits, counts, drawn, gpu  # noqa: F401
from dlx import nn, optim

F = nn.functional


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
