"""fit, evaluate and predict replay what they do for a batch: the bits of jit=False, whatever the
model and the callbacks do meanwhile."""

from __future__ import annotations

import gc
import itertools
import random
import warnings
import weakref

import numpy as np
import pytest

import dlx
from dlx import nn, optim
from dlx.nn import functional as F
from dlx.testing import weight_hash
from dlx.train import Callback, EarlyStopping, ModelCheckpoint
from dlx.train import replayed as replayed_module

ROWS, BATCH = 70, 8  # the last batch of an epoch is smaller


@pytest.fixture
def steps(monkeypatch):
    """The functions under dlx.jit that were made."""
    made = []

    class Spied(replayed_module.Replayed):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(replayed_module, "Replayed", Spied)
    return made


def replays(steps):
    return [step.cache_info().replays for step in steps]


def data(device, *row, classes=3):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, *row)).astype(np.float32)
    y = rng.integers(0, classes, ROWS)
    return dlx.tensor(x, device=device), dlx.tensor(y, device=device)


def mlp():
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.LazyLinear(3)
    )


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.LazyLinear(3),
    )  # fmt: skip


NETWORKS = {"mlp": (mlp, (4,)), "convolutional": (convolutional, (1, 8, 8))}


def bits(tensors):
    return [None if t is None else t.detach().cpu().numpy().tobytes() for t in tensors]


def trained(device, jit, *, network="mlp", callbacks=lambda model: [], epochs=5, prepare=None,
            validate=False, **how):  # fmt: skip
    """What a training leaves behind."""
    make, row = NETWORKS[network]
    dlx.seed(5)
    model = make().to(device)
    if prepare is not None:
        prepare(model)
    how = {"optimizer": "adam", "lr": 1e-2, "loss": "cross_entropy", **how}
    model.compile(metrics=["accuracy"], jit=jit, **how)
    x, y = data(device, *row)
    history = model.fit(
        x, y, BATCH, epochs, verbose=0, callbacks=callbacks(model),
        validation_data=(x, y) if validate else None,
    )  # fmt: skip
    state = model.optimizer.state_dict()
    return (
        weight_hash(model),
        history.history,
        bits(p.grad for p in model.parameters()),
        bits(v for entry in state["state"].values() for v in entry.values()),
        state["param_groups"],
        dlx.random.get_state().tolist(),
        model.evaluate(x, y, batch_size=2),
        bits([model.predict(x, batch_size=2)]),
    )


# ------------------------------------------------------------------------------------- equal bits


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_bit_is_that_of_eager_training(steps, device, network, optimizer):
    def run(jit):
        return trained(
            device, jit, network=network, optimizer=optimizer, lr=lambda step: 0.02 * 0.97**step,
            validate=True,
        )  # fmt: skip

    eager = run(False)
    assert steps == []
    assert run(True) == eager
    # 5 epochs of 9 batches, the last one smaller; the first is eager, as there is no optimizer yet.
    # Full ones: 1 runs, 2 are recorded, 2 compared. Last ones: likewise, and 1 compared.
    forward, learn, evaluate, predict = steps
    assert forward.cache_info().replays == (40 - 1 - 3 - 2) + (5 - 3 - 1)
    assert learn.cache_info().replays == 45 - 1 - 3 - 2
    assert evaluate.cache_info().replays == predict.cache_info().replays == 35 - 3


def set_lr(model):
    class SetLr(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.optimizer.lr = 0.03 / (1 + epoch)

        def on_train_batch_end(self, batch, logs):
            if batch == 5:
                self.model.optimizer.param_groups[0]["weight_decay"] = logs["loss"] / 100

    return [SetLr()]


class AtBatch(Callback):
    """act(model) after batch 6 of the second epoch."""

    def __init__(self, act):
        self.act = act

    def on_epoch_begin(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs):
        if (self.epoch, batch) == (1, 6):
            self.act(self.model)


def freeze(model):
    model[0].requires_grad_(False)


def load_weights(model):
    model.load_state_dict({k: v * 0.5 for k, v in model.state_dict().items()})


def append_layer(model):
    model.append(nn.Linear(3, 3).to(next(model.parameters()).device))


def swap_parameter(model):
    model[0].weight = nn.Parameter(model[0].weight.detach() * 2)


def drop_gradients(model):
    model.zero_grad()


def write_in_place(model):
    with dlx.no_grad():
        model[0].weight[0] = 0.25


def change_dropout(model):
    model[3].p = 0.6


def evaluation_mode(model):
    model[1].eval()


def change_beta(model):
    model.optimizer.param_groups[0]["betas"] = (0.8, 0.99)


def new_group(model):
    layer = nn.Linear(3, 3).to(next(model.parameters()).device)
    model.append(layer)
    model.optimizer.add_param_group({"params": layer.parameters(), "lr": 0.1})


def compile_anew(model):
    model.compile(optim.SGD(model.parameters(), lr=0.1), "nll")


def replace_forward(model):
    plain = model[2].forward
    model[2].forward = lambda x: plain(x) * 2


def snapshot(model):
    model.kept = [model.state_dict()]


class Average(Callback):
    """Holds every parameter as it was after the batch before: each step finds them shared."""

    def on_train_batch_end(self, batch, logs):
        self.kept = self.model.state_dict()


def draw(model):
    dlx.random.normal((3,))


def look(model):
    model.evaluate(*data(next(model.parameters()).device, 4), batch_size=2)


def stop(model):
    model.stop_training = True


@pytest.mark.parametrize(
    "act",
    [
        freeze, load_weights, append_layer, swap_parameter, drop_gradients, write_in_place,
        change_dropout, evaluation_mode, change_beta, new_group, compile_anew, snapshot,
        replace_forward, draw, look, stop,
    ],
    ids=lambda act: act.__name__,
)  # fmt: skip
def test_callbacks_that_change_what_a_step_does(steps, device, act):
    def run(jit):
        return trained(device, jit, callbacks=lambda model: [AtBatch(act)])

    assert run("auto") == run(False)
    assert min(replays(steps[:2])) > 3


def test_a_callback_that_sets_the_learning_rate(steps, device):
    assert trained(device, True, callbacks=set_lr) == trained(device, False, callbacks=set_lr)
    assert min(replays(steps)) > 10


def test_a_callback_that_keeps_the_weights_of_each_batch(steps, device):
    def run(jit):
        return trained(device, jit, callbacks=lambda model: [Average()])

    assert run(True) == run(False)
    assert min(replays(steps)) > 10


def test_early_stopping_and_checkpoints(steps, device, tmp_path):
    def callbacks(model):
        return [
            EarlyStopping("val_loss", patience=1),
            ModelCheckpoint(tmp_path / "best.dlx", monitor="val_loss", save_best_only=True),
        ]

    def run(jit):
        found = trained(device, jit, callbacks=callbacks, validate=True, epochs=8, lr=0.3)
        return found, (tmp_path / "best.dlx").read_bytes()

    assert run(True) == run(False)
    assert min(replays(steps)) > 5


def test_a_loss_that_closes_over_a_number(steps, device):
    def run(jit):
        weight = 1.0

        class Change(Callback):
            def on_epoch_begin(self, epoch):
                nonlocal weight
                weight = 1.0 - 0.2 * (epoch >= 2)

        def loss(output, target):
            return weight * F.cross_entropy(output, target)

        return trained(device, jit, loss=loss, callbacks=lambda model: [Change()])

    assert run(True) == run(False)
    assert min(replays(steps)) > 5


def test_parts_of_the_model_that_get_no_gradient(steps, device):
    def freeze_first(model):
        model[0].weight.requires_grad = False

    assert trained(device, True, prepare=freeze_first) == trained(
        device, False, prepare=freeze_first
    )
    assert min(replays(steps)) > 5


def test_fit_twice_and_compile_between(steps, device):
    def run(jit):
        dlx.seed(1)
        model = mlp().to(device)
        x, y = data(device, 4)
        found = []
        for optimizer in ("adam", "sgd"):
            model.compile(optimizer=optimizer, lr=0.01, loss="cross_entropy", jit=jit)
            for _ in range(2):
                found.append(model.fit(x, y, BATCH, 4, verbose=0).history)
        return found, weight_hash(model)

    assert run(True) == run(False)
    assert min(replays(steps)) > 5


def test_targets_that_are_the_inputs(steps, device):
    def run(jit, shuffle):
        dlx.seed(1)
        model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 4)).to(device)
        model.compile(optimizer="adam", lr=0.01, loss="mse", jit=jit)
        x, _ = data(device, 4)
        history = model.fit(x, x, BATCH, 4, verbose=0, shuffle=shuffle)
        return history.history, weight_hash(model)

    for shuffle in (True, False):
        assert run(True, shuffle) == run(False, shuffle)
    assert min(replays(steps)) > 5


# ------------------------------------------------------------------------------------- promises


def test_weights_stay_where_the_loss_is_not_finite(steps, device):
    x, _ = data(device, 4)
    target = dlx.ones((ROWS, 3), device=device)
    model = nn.Linear(4, 3).to(device)
    model.compile(optimizer="sgd", lr=0.1, loss="mse", jit=True)
    hashes = []

    class Spoil(Callback):
        def on_train_batch_begin(self, batch):
            hashes.append(weight_hash(self.model))
            if len(hashes) == 15:
                target[...] = 3e38

    with pytest.raises(FloatingPointError, match=r"loss is inf in epoch 2/4, batch 7/9"):
        model.fit(x, target, BATCH, 4, verbose=0, callbacks=[Spoil()])
    assert weight_hash(model) == hashes[-1] != hashes[-2]
    assert min(replays(steps)) > 3


def test_metrics_and_callbacks_see_output_and_loss_of_their_batch(steps, device):
    x, y = data(device, 4)

    def run(jit):
        seen, losses = [], []

        def metric(output, target):
            seen.append((output, output.detach().tolist(), output.requires_grad))
            return output.mean()

        class Spy(Callback):
            def on_train_batch_end(self, batch, logs):
                losses.append(logs["loss"])

        dlx.seed(0)
        model = mlp().to(device)
        model.compile("sgd", "cross_entropy", [metric], lr=0.1, jit=jit)
        model.fit(x, y, BATCH, 4, verbose=0, callbacks=[Spy()])
        assert all(output.tolist() == then for output, then, _ in seen), "nobody writes there later"
        with pytest.raises(RuntimeError) as error:
            seen[20][0].sum().backward()
        return [(then, flag) for _, then, flag in seen], losses, str(error.value)

    assert run(True) == run(False)
    assert min(replays(steps)) > 5


def test_a_label_out_of_range_is_an_error(steps, device):
    if device != "cpu":
        pytest.skip("labels are checked on the CPU")
    x, y = data(device, 4)
    y[40] = 7
    model = mlp()
    model.compile("sgd", "cross_entropy", lr=0.1)
    with pytest.raises(IndexError, match="cross_entropy: label 7 in row 0"):
        model.fit(x, y, BATCH, 4, verbose=0, shuffle=False)
    assert min(replays(steps)) > 0


def test_a_model_that_was_trained_dies_at_once(device):
    gc.collect()
    model = mlp().to(device)
    model.compile("sgd", "cross_entropy", lr=0.1, jit=True)
    x, y = data(device, 4)
    model.fit(x, y, BATCH, 4, verbose=0, validation_data=(x, y))
    model.predict(x, batch_size=2)
    gone = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------- fallbacks


class Odd(nn.Module):
    """A linear layer that does something that a replay would not."""

    def __init__(self, what):
        self.layer, self.what, self.count = nn.Linear(4, 3), what, 0

    def forward(self, x):
        return self.what(self, x, self.layer(x))


def counts(module, x, y):
    module.count += 1
    return y * module.count


def reads(module, x, y):
    return y / max(1.0, y.abs().max().item())


def prints(module, x, y):
    print("forward of", x.shape)
    return y


def draws(module, x, y):
    return y * random.random()


def keeps(module, x, y):
    module.kept = y
    return y


ODD = {
    counts: "it changes .*count",
    reads: r"Python reads a value .* at .*test_train_jit.py:\d+",
    prints: "it prints",
    draws: "random numbers from Python",
    keeps: "it changes|kept beyond the call|number of items",
}


@pytest.mark.parametrize("what", ODD, ids=lambda f: f.__name__)
def test_what_cannot_be_replayed_runs_eagerly(steps, capsys, what):
    def run(jit):
        dlx.seed(0)
        random.seed(0)
        model = Odd(what)
        model.compile("adam", "cross_entropy", lr=0.01, jit=jit)
        x, y = data("cpu", 4)
        history = model.fit(x, y, BATCH, 4, verbose=0)
        return history.history, weight_hash(model), capsys.readouterr().out

    eager = run(False)
    assert run("auto") == eager, "and in silence"
    with pytest.warns(RuntimeWarning, match=f"fit runs the model eagerly: .*({ODD[what]})"):
        assert run(True) == eager
    assert replays(steps[::2]) == [0, 0]


def test_hooks_run(steps):
    dlx.seed(0)
    model, calls = mlp(), []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    model.compile("sgd", "cross_entropy", lr=0.1)
    x, y = data("cpu", 4)
    model.fit(x, y, BATCH, 4, verbose=0)
    assert len(calls) == 36 and replays(steps)[0] == 0


@pytest.mark.parametrize("jit", ["auto", True])
def test_a_difference_that_no_guard_sees_is_noticed_in_a_later_epoch(steps, jit):
    factors = itertools.chain([1.0] * 8, itertools.repeat(2.0))
    x, y = data("cpu", 4)
    model = nn.Linear(4, 3)
    model.compile(
        "sgd", lambda output, target: F.cross_entropy(output, target) * next(factors),
        lr=0.1, jit=jit,
    )  # fmt: skip
    hashes = []

    class Spy(Callback):
        def on_epoch_end(self, epoch, logs):
            hashes.append(replays(steps)[0])

    with pytest.warns(
        RuntimeWarning, match=r"fit runs the model eagerly from now on: .*test_train_jit.py:\d+"
    ) as found:
        model.fit(x, y, BATCH, 5, verbose=0, callbacks=[Spy()])
    assert len(found) == 1
    assert hashes[0] > 0 and hashes[2:] == [hashes[2]] * 3, "eager from the fourth epoch on"


def test_switched_off(steps, monkeypatch):
    x, y = data("cpu", 4)
    model = mlp()
    model.compile("sgd", "cross_entropy", lr=0.1, jit=False)
    model.fit(x, y, BATCH, 4, verbose=0)
    model.predict(x, batch_size=2)
    monkeypatch.setenv("DLX_JIT", "off")
    model.compile("sgd", "cross_entropy", lr=0.1, jit=True)
    model.fit(x, y, BATCH, 4, verbose=0)
    assert steps == []


def test_strict(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "strict")
    x, y = data("cpu", 4)
    model = Odd(counts)
    model.compile("sgd", "cross_entropy", lr=0.1)
    with pytest.raises(RuntimeError, match=r"fit runs the model eagerly: it changes"):
        model.fit(x, y, BATCH, 4, verbose=0)


def test_short_trainings_are_not_recorded(steps):
    x, y = data("cpu", 4)
    model = mlp()
    model.compile("sgd", "cross_entropy", lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, BATCH, 1, verbose=0)
        model.predict(x, batch_size=10)
    assert steps == []


def test_a_wrong_switch():
    with pytest.raises(ValueError, match=r"compile: jit must be True, False or 'auto', got 'yes'"):
        nn.Linear(2, 2).compile("sgd", "mse", jit="yes")
