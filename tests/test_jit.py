"""dlx.jit: a replayed step is the eager one in every bit, and what Python changes is noticed."""

from __future__ import annotations

import gc
import itertools
import threading
import time
import warnings
import weakref

import numpy as np
import pytest

import dlx
from dlx import models, nn, optim
from dlx.models.residual import BasicBlock
from dlx.nn import functional as F

STEPS = 12


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")


def bits(tensors):
    arrays = [None if t is None else t.detach().cpu().numpy() for t in tensors]
    return [None if a is None else (a.dtype, a.shape, a.tobytes()) for a in arrays]


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---------------------------------------------------------------------------------- training


def mlp():
    return nn.Sequential(
        nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)
    )


def residual():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        BasicBlock(6, 6), BasicBlock(6, 10, stride=2), nn.AvgPool2d(4), nn.Flatten(),
    )  # fmt: skip


NETWORKS = {
    "mlp": (mlp, (12,)),
    "lenet": (models.lenet5, (1, 28, 28)),
    "residual": (residual, (3, 8, 8)),
}
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam-with-schedule": lambda p: optim.Adam(p, lr=lambda step: 1e-2 * 0.9**step),
    "rmsprop": lambda p: optim.RMSprop(p, lr=1e-3),
}


class Training:
    """Classification of random images; `step` is eager or under dlx.jit."""

    def __init__(self, network, optimizer, device, jitted):
        make, row = NETWORKS[network]
        dlx.seed(3)
        self.model = make().to(device)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.count = itertools.count()
        self.x = [dlx.tensor(drawn(8, *row, seed=i), device=device) for i in range(STEPS)]
        labels = np.random.default_rng(9).integers(0, 10, (STEPS, 8))
        self.y = [dlx.tensor(row, device=device) for row in labels]
        model, optimizer, count = self.model, self.optimizer, self.count

        def step(x, y):
            next(count)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        self.step = dlx.jit(step) if jitted else step
        self.losses = [self.step(x, y) for x, y in zip(self.x, self.y, strict=True)]

    def everything(self):
        state = self.optimizer.state_dict()["state"]
        return (
            dlx.testing.weight_hash(self.model),
            bits(self.losses),
            bits(p.grad for p in self.model.parameters()),
            bits(v for entry in state.values() for v in entry.values()),
            dlx.random.get_state().tolist(),
        )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_training(network, optimizer, threads, device):
    dlx.set_num_threads(threads)
    jitted = Training(network, optimizer, device, True)
    assert next(jitted.count) == 3
    assert jitted.step.cache_info() == (STEPS - 1, 2, STEPS - 3)
    assert jitted.everything() == Training(network, optimizer, device, False).everything()


def test_two_networks_that_train_in_one_step(device):
    def trained(jit):
        dlx.seed(0)
        generator, critic = nn.Linear(4, 6).to(device), nn.Linear(6, 1).to(device)
        optimizers = [optim.Adam(m.parameters(), lr=1e-2) for m in (generator, critic)]
        ones, zeros = dlx.ones((8, 1), device=device), dlx.zeros((8, 1), device=device)
        loss_of = nn.BCEWithLogitsLoss()

        @jit
        def step(real):
            fake = generator(dlx.random.normal((8, 4), device=device))
            optimizers[1].zero_grad()
            loss = loss_of(critic(real), ones) + loss_of(critic(fake.detach()), zeros)
            loss.backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            cheated = loss_of(critic(fake), ones)
            cheated.backward()
            optimizers[0].step()
            return {"critic": loss, "generator": (cheated, fake.detach())}

        found = []
        for i in range(6):
            result = step(dlx.tensor(drawn(8, 6, seed=i), device=device))
            found.append(bits([result["critic"], *result["generator"]]))
        return found, [dlx.testing.weight_hash(m) for m in (generator, critic)], step

    eager, replayed = trained(lambda f: f), trained(dlx.jit)
    assert eager[:2] == replayed[:2]
    assert replayed[2].cache_info().replays == 3


def test_a_sum_of_losses_that_are_done_with(device):
    def trained(jit):
        dlx.seed(0)
        layers = [nn.Linear(4, 1).to(device) for _ in range(2)]

        @jit
        def step(x):
            losses = [layer(x).mean() for layer in layers]
            for layer, loss in zip(layers, losses, strict=True):
                layer.zero_grad()
                loss.backward()
            return losses[0] + losses[1]

        totals = [step(dlx.tensor(drawn(5, 4, seed=i), device=device)) for i in range(6)]
        with pytest.raises(RuntimeError) as error:
            totals[-1].backward()
        grads = bits(p.grad for layer in layers for p in layer.parameters())
        return bits(totals), grads, str(error.value), step

    replayed, eager = trained(dlx.jit), trained(lambda f: f)
    assert replayed[:3] == eager[:3]
    assert replayed[3].cache_info().replays == 3


def test_a_sum_of_losses_one_of_which_is_open():
    layers = [nn.Linear(4, 1) for _ in range(2)]

    @dlx.jit
    def step(x):
        losses = [layer(x).mean() for layer in layers]
        losses[0].backward()
        return losses[0] + losses[1]

    x = dlx.tensor(drawn(5, 4))
    step(x)
    with pytest.raises(RuntimeError, match="the returned Tensor is part of a graph"):
        step(x)


def test_gradients_that_accumulate(device):
    def trained(jit):
        dlx.seed(0)
        layer = nn.Linear(3, 2).to(device)

        @jit
        def add_gradients(x):
            layer(x).sum().backward()

        for i in range(6):
            add_gradients(dlx.tensor(drawn(5, 3, seed=i), device=device))
        return bits(p.grad for p in layer.parameters())

    assert trained(dlx.jit) == trained(lambda f: f)


def test_inference_of_a_module(device):
    dlx.seed(0)
    model = mlp().to(device).eval()
    fast = dlx.jit(model)
    with dlx.no_grad():
        for i in range(6):
            x = dlx.tensor(drawn(4, 12, seed=i), device=device)
            assert bits([fast(x)]) == bits([model(x)])
    assert fast.cache_info().replays == 3


def test_a_method(device):
    class Scaler:
        def __init__(self, factor):
            self.factor = dlx.full((3,), factor, device=device)

        @dlx.jit
        def scaled(self, x, *, by=1):
            return x * self.factor * by

    x, two, three = dlx.ones((3,), device=device), Scaler(2.0), Scaler(3.0)
    for _ in range(5):
        assert two.scaled(x, by=5).tolist() == [10, 10, 10]
        assert three.scaled(x).tolist() == [3, 3, 3]
    assert Scaler.scaled.cache_info().replays == 4


def test_an_object_whose_method_is_replayed_dies():
    class Trainer:
        def __init__(self):
            self.weight = dlx.ones((3,))
            self.fast = dlx.jit(self.scaled)

        def scaled(self, x):
            return x * self.weight

    trainer, x = Trainer(), dlx.ones((3,))
    for _ in range(5):
        trainer.fast(x)
    assert trainer.fast.cache_info().replays == 2
    trainer = weakref.ref(trainer)
    gc.collect()
    assert trainer() is None


# --------------------------------------------------------------------- what belongs to the caller


def test_no_later_replay_changes_what_was_returned_or_kept(device):
    dlx.seed(0)
    layer = nn.Linear(3, 3).to(device)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    @dlx.jit
    def step(x):
        y = layer(x)
        optimizer.zero_grad()
        y.sum().backward()
        optimizer.step()
        return y, layer.weight.detach(), x

    kept, copies = [], []
    for i in range(8):
        x = dlx.tensor(drawn(2, 3, seed=i), device=device)
        y, weight, same_x = step(x)
        assert same_x is x
        kept += [y, weight, layer.weight.grad, layer.state_dict()["weight"]]
        copies += bits(kept[-4:])
    assert step.cache_info().replays == 5
    assert bits(kept) == copies


def test_a_tensor_written_in_place(device):
    @dlx.jit
    def shift(x, total):
        x[1:] = x[:-1] * 2
        total += x
        return total

    def eager(x, total):
        x[1:] = x[:-1] * 2
        total += x

    total, expected = dlx.zeros((4,), device=device), dlx.zeros((4,), device=device)
    for i in range(6):
        x = dlx.tensor(drawn(4, seed=i), device=device)
        y, view = dlx.tensor(x), x[:2]
        before = bits([view])
        assert shift(x, total) is total
        eager(y, expected)
        assert bits([x, total]) == bits([y, expected])
        assert bits([view]) == before
    assert shift.cache_info().replays == 3


def test_inputs_that_share_memory(device):
    @dlx.jit
    def f(a, b, c):
        a += b
        return a * c, b

    memory = dlx.arange(12.0, device=device).reshape((3, 4))
    for i in range(6):
        x, y = memory[i % 3], memory[(i + 1) % 3]
        product, b = f(x, y, memory[i % 3])
        expected = memory[i % 3] + memory[(i + 1) % 3]
        assert product.tolist() == (expected * memory[i % 3]).tolist()
        assert x.tolist() == expected.tolist() and b is y
    assert memory.tolist() == np.arange(12.0).reshape(3, 4).tolist()
    assert f.cache_info().replays == 3


def test_one_tensor_given_twice_is_another_kind_of_call(device):
    @dlx.jit
    def f(a, b):
        a += 1
        return a * b

    for _ in range(5):
        x, y = dlx.ones((2,), device=device), dlx.ones((2,), device=device)
        assert f(x, x).tolist() == [4, 4]
        assert f(x, y).tolist() == [3, 3]
    assert f.cache_info().replays == 4


def test_an_argument_that_is_state_too(device):
    weight, other = dlx.full((2,), 2.0, device=device), dlx.full((2,), 5.0, device=device)

    @dlx.jit
    def f(x):
        weight[:1] = weight[:1] + 1
        return x * weight

    def eager(x, w):
        w[:1] = w[:1] + 1
        return x * w

    mine = dlx.full((2,), 2.0, device=device)
    for x in [weight] * 5 + [other] * 5 + [weight] * 5:
        expected = eager(mine if x is weight else x, mine)
        assert f(x).tolist() == expected.tolist()
    assert f.cache_info().replays >= 3


def test_arguments_are_not_kept(device):
    @dlx.jit
    def f(pair, *, named):
        return pair[0] * named["x"]

    kept = []
    for i in range(5):
        x, y = dlx.full((2,), i, device=device), dlx.ones((2,), device=device)
        f([x], named={"x": y})
        kept += [weakref.ref(x), weakref.ref(y)]
    del x, y
    gc.collect()
    assert [r for r in kept if r() is not None] == []
    assert f.cache_info().replays == 2


def test_arguments_with_strides(device):
    f = dlx.jit(lambda a: a @ a.T + a[::-1])
    for i in range(6):
        x = dlx.tensor(drawn(4, 4, seed=i), device=device)
        assert bits([f(x.T)]) == bits([x.T @ x + x.T[::-1]])
        assert bits([f(x)]) == bits([x @ x.T + x[::-1]])
    assert f.cache_info().replays == 6


def doubled(x):
    return x * 2


# ---------------------------------------------------------------------------------- errors


def test_an_exception_in_the_middle_of_a_recording(device):
    fails = [False]

    @dlx.jit
    def f(x):
        y = x * 2
        if fails[0]:
            raise KeyError("in the middle")
        return y + 1

    x = dlx.ones((2,), device=device)
    f(x)
    fails[0] = True
    with pytest.raises(KeyError, match="in the middle"):
        f(x)
    fails[0] = False
    for _ in range(4):
        assert f(x).tolist() == [3, 3]
    assert f.cache_info().replays == 2


def test_an_error_of_a_kernel_in_a_replay():
    f = dlx.jit(lambda x, y: F.cross_entropy(x, y))
    x = dlx.tensor(drawn(3, 4))
    for _ in range(5):
        f(x, dlx.tensor([0, 1, 2]))
    with pytest.raises(IndexError, match=r"cross_entropy: label 9 in row 1"):
        f(x, dlx.tensor([0, 9, 2]))
    assert f(x, dlx.tensor([3, 2, 1])).item() == F.cross_entropy(x, dlx.tensor([3, 2, 1])).item()


# --------------------------------------------------------------------------- nesting, threads


def test_a_jitted_function_in_another():
    inner = dlx.jit(doubled)
    outer = dlx.jit(lambda x: inner(x) + 1)
    for i in range(6):
        assert outer(dlx.full((2,), i)).tolist() == [2 * i + 1] * 2
    assert outer.cache_info().replays == 3 and inner.cache_info().replays == 0


def test_threads_that_record_and_replay_at_once():
    functions = [dlx.jit(lambda x, k=k: dlx.exp(x * k).sum()) for k in range(4)]
    shared, wrong = dlx.jit(lambda x: (x * 3).sum()), []

    def work(f, k):
        until = time.monotonic() + 60
        for i in itertools.count():  # calls are eager while another thread records
            if f.cache_info().replays > 100 or time.monotonic() > until:
                break
            x = dlx.full((50,), i % 97)
            if (
                f(x).item() != dlx.exp(x * k).sum().item()
                or shared(x).item() != (x * 3).sum().item()
            ):
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(functions, range(4))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert all(f.cache_info().replays > 100 for f in functions)


# ---------------------------------------------------------------------------------- what one sees


def test_program_and_memory():
    dlx.seed(0)
    training = Training("lenet", "sgd", "cpu", True)
    text = str(training.step.program)
    assert (
        len(text.splitlines())
        == training.step.memory["launches"] + 2  # that of the peak, that of the sums
        == len(training.step.program) + 2
    )
    assert "float32(8, 1, 28, 28) slot 0, " in text and "test_jit.py:" in text
    memory = training.step.memory
    assert 0 < memory["arena_bytes"] < memory["unplanned_bytes"]


def test_no_program_yet():
    f = dlx.jit(doubled)
    with pytest.raises(RuntimeError, match="doubled: nothing is recorded yet"):
        _ = f.program


def test_kinds_of_calls_that_are_forgotten():
    f = dlx.jit(doubled)
    for n in [*range(1, 20), 1, 1, 1, 1]:
        assert f(dlx.ones((n,))).tolist() == [2] * n
    assert f.cache_info().replays == 1


def test_a_dead_launch_is_left_out():
    def f(x):
        dlx.exp(x)
        return x + 1

    f = dlx.jit(f)
    for _ in range(4):
        f(dlx.ones((2,)))
    assert f.memory["launches"] == 1 and f.memory["dead_launches"] == 1


def test_the_profile_of_a_replay():  # launches in it are those of the program
    f = dlx.jit(lambda x: dlx.exp(x) + 1)
    x = dlx.ones((3,))
    for _ in range(3):
        f(x)
    with dlx.profile() as profile:
        f(x)
    assert "fused" in str(profile) and f.cache_info().replays == 1


def test_strict_is_silent_where_all_is_well():
    f = dlx.jit(doubled)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            f(dlx.ones((2,)))
