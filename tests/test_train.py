"""compile, fit, evaluate, predict, summary, callbacks."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
import warnings

import numpy as np
import pytest

import dlx
from dlx import nn, optim
from dlx.testing import weight_hash
from dlx.train import Accuracy, Callback, CSVLogger, EarlyStopping, ModelCheckpoint
from dlx.train.progress import Progress

pytestmark = pytest.mark.on_its_device


def problem(device, rows=60):
    """Three classes that a linear layer tells apart."""
    y = np.arange(rows) % 3
    x = np.random.default_rng(0).normal(size=(rows, 4)) * 0.3
    x[np.arange(rows), y] += 2
    return dlx.tensor(x.astype(np.float32), device=device), dlx.tensor(y, device=device)


def make(lr=0.05, optimizer="adam", dropout=0.0):
    layers = [nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), nn.LazyLinear(3)]
    model = nn.Sequential(*layers)
    model.compile(optimizer=optimizer, lr=lr, loss="cross_entropy", metrics=["accuracy"])
    return model


# ---- fit


def test_fit_learns_and_keeps_a_history(device):
    x, y = problem(device)
    model = make()
    history = model.fit(x, y, batch_size=16, epochs=5, validation_data=(x, y), verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(len(values) == 5 for values in history.history.values())
    assert history.epoch == [0, 1, 2, 3, 4]
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
    assert history.history["val_accuracy"][-1] == 1
    assert all(type(value) is float for values in history.history.values() for value in values)


def test_fit_is_the_hand_loop(device):
    x, y = problem(device)
    model = make(dropout=0.3)
    model.fit(x, y, batch_size=16, epochs=3, verbose=0)

    dlx.seed(0)
    hand = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.LazyLinear(3))
    opt = None
    for _ in range(3):
        for xb, yb in dlx.data.batches(x, y, batch_size=16, shuffle=True):
            loss = nn.functional.cross_entropy(hand(xb), yb)
            opt = opt or optim.Adam(hand.parameters(), lr=0.05)
            opt.zero_grad()
            loss.backward()
            opt.step()
    assert weight_hash(model) == weight_hash(hand)


def test_logs_are_exact_whatever_the_batch_size(device):
    x, y = problem(device, rows=50)
    model = make()
    model.predict(x)
    whole = model.evaluate(x, y, batch_size=50)
    parts = model.evaluate(x, y, batch_size=7)
    assert parts["accuracy"] == whole["accuracy"]
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    model.compile(optimizer="sgd", lr=0.0, loss="cross_entropy", metrics=["accuracy"])
    logs = model.fit(x, y, batch_size=7, verbose=0).history
    assert logs["accuracy"] == [whole["accuracy"]]
    assert logs["loss"][0] == pytest.approx(whole["loss"], rel=1e-6)


def test_numpy_arrays_take_the_dtype_of_the_model():
    x = np.random.default_rng(0).normal(size=(20, 4))
    model = nn.Sequential(nn.Linear(4, 1))
    model.compile(optimizer="sgd", lr=0.1, loss="mse")
    history = model.fit(x, x[:, :1], epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert model.predict(x).dtype == dlx.float32


def test_initial_epoch_goes_on(device):
    x, y = problem(device)
    model = make()
    assert model.fit(x, y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert model.fit(x, y, epochs=3, initial_epoch=3, verbose=0).history == {}


def test_validation_split_holds_out_the_last_rows(device):
    x, y = problem(device)
    seen = []

    class Spy(Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(batch)

    model = make()
    history = model.fit(
        x, y, batch_size=9, validation_split=0.25, callbacks=[Spy()], verbose=0, shuffle=False
    )
    assert len(seen) == 5  # 45 rows of 60
    expected = model.evaluate(x[45:], y[45:])
    assert history.history["val_loss"][0] == pytest.approx(expected["loss"])


def test_modes_are_restored(device):
    x, y = problem(device)
    model = make(dropout=0.5)
    model.eval()
    model[2].training = True
    flags = [m.training for m in model.modules()]
    modes = []
    model[2].register_forward_hook(lambda module, args, output: modes.append(module.training))
    model.fit(x, y, batch_size=60, validation_data=(x, y), verbose=0)
    model.predict(x)
    model.evaluate(x, y)
    assert modes == [True, False, False, False]
    assert [m.training for m in model.modules()] == flags


def test_the_same_seed_trains_the_same_weights(device):
    def run(seed):
        dlx.seed(seed)
        x, y = problem(device)
        model = make(dropout=0.2)
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        return weight_hash(model)

    assert run(0) == run(0) != run(1)


# ---- errors


@pytest.mark.parametrize("metrics", [["accuracy"], []])
def test_unequal_lengths(device, metrics):
    x, y = problem(device)
    model = make()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"x and y must have the same length, got 60 and 59"):
            call(x, y[:59])
    with pytest.raises(ValueError, match=r"fit validation: .*got 60 and 59"):
        model.fit(x, y, validation_data=(x, y[:59]), verbose=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_bad_data_names_the_row(device, bad):
    x, y = problem(device)
    values = x.cpu().numpy().copy()
    values[[17, 40], 2] = bad
    model = make()
    with pytest.raises(ValueError, match=rf"fit: x holds {bad} in row 17 of 60"):
        model.fit(dlx.tensor(values, device=device), y, verbose=0)
    model.compile(optimizer="sgd", lr=0.1, loss="mse")
    with pytest.raises(ValueError, match=r"fit: y holds .* in row 17 of 60"):
        model.fit(x, dlx.tensor(values[:, :3], device=device), verbose=0)


def test_a_loss_that_is_not_finite_names_epoch_and_batch(device):
    x, y = problem(device)
    model = make()
    model.predict(x)
    calls = []

    def loss(output, target):
        calls.append(1)
        value = nn.functional.cross_entropy(output, target)
        return value * math.inf if len(calls) == 7 else value

    model.compile(optimizer="sgd", lr=0.1, loss=loss)
    weights = []

    class Spy(Callback):
        def on_train_batch_begin(self, batch):
            weights.append(weight_hash(self.model))

    with pytest.raises(FloatingPointError, match=r"loss is inf in epoch 2/3, batch 3/4"):
        model.fit(x, y, batch_size=16, epochs=3, callbacks=[Spy()], verbose=0)
    assert weight_hash(model) == weights[-1], "the bad batch changed no weight"


def test_softmax_before_cross_entropy_is_noticed(device):
    x, y = problem(device)
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    model.compile(optimizer="sgd", lr=0.1, loss="cross_entropy")
    with pytest.warns(UserWarning, match=r"layer '1' \(Softmax\) gives probabilities"):
        model.fit(x, y, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, verbose=0)  # said once
        model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
        model.compile(optimizer="sgd", lr=0.1, loss=nn.CrossEntropyLoss())
        model.fit(x, y, verbose=0)  # the softmax of a log-softmax is the softmax


def test_a_functional_softmax_is_noticed(device):
    class Net(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            return nn.functional.softmax(self.layer(x), dim=1)

    x, y = problem(device)
    model = Net()
    model.compile(optimizer="sgd", lr=0.1, loss="cross_entropy")
    with pytest.warns(UserWarning, match="the output of Net gives probabilities"):
        model.fit(x, y, verbose=0)


def fit_with(device, **options):
    x, y = problem(device)
    make().fit(x, y, **{"verbose": 0, **options})


def compiled_with(device, **options):
    x, y = problem(device)
    model = make()
    model.compile(**{"optimizer": "sgd", "loss": "cross_entropy", **options})
    model.fit(x, y, verbose=0)


def mse_of_other_shapes(device):
    """(N, 1) against (N,) broadcasts to (N, N) elsewhere, and trains on nonsense."""
    x = dlx.ones((20, 4), device=device)
    model = nn.Linear(4, 1)
    model.compile(optimizer="sgd", lr=0.1, loss="mse")
    model.fit(x, x[:, 0], verbose=0)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (
            lambda d: compiled_with(d, optimizer="adma"),
            ValueError,
            "'adma'; known: .*adam.*sgd|sgd.*adam",
        ),
        (lambda d: compiled_with(d, optimizer=optim.SGD), TypeError, "a name or an Optimizer"),
        (lambda d: compiled_with(d, loss="crossentropy"), ValueError, "known: cross_entropy, mse"),
        (lambda d: compiled_with(d, loss=None), TypeError, "loss must be one of cross_entropy"),
        (lambda d: compiled_with(d, metrics=["acc"]), ValueError, "'acc'; known: accuracy"),
        (lambda d: compiled_with(d, metrics="accuracy"), TypeError, "metrics must be a list"),
        (lambda d: compiled_with(d, metrics=["accuracy"] * 2), ValueError, "names must differ"),
        (lambda d: compiled_with(d, lr=-1), ValueError, "lr must be >= 0, got -1"),
        (
            lambda d: compiled_with(d, optimizer=optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)),
            ValueError,
            "no parameter of this model",
        ),
        (
            lambda d: compiled_with(d, loss=lambda o, t: o),
            ValueError,
            r"0-d Tensor, got shape \(32, 3\)",
        ),
        (lambda d: compiled_with(d, loss=lambda o, t: 1.0), ValueError, "0-d Tensor, got float"),
        (
            lambda d: compiled_with(d, loss=lambda o, t: dlx.zeros(())),
            ValueError,
            "depends on no parameter",
        ),
        (lambda d: compiled_with(d, loss="mse"), TypeError, "mse_loss: .*float32, int64"),
        (mse_of_other_shapes, ValueError, r"mse_loss: .*\(20, 1\).*\(20,\)"),
        (lambda d: fit_with(d, batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
        (lambda d: fit_with(d, epochs=-1), ValueError, "epochs must be at least 0"),
        (lambda d: fit_with(d, epochs=2.5), TypeError, "epochs must be an int, got float"),
        (lambda d: fit_with(d, verbose=3), ValueError, "verbose must be"),
        (
            lambda d: fit_with(d, callbacks=[EarlyStopping]),
            TypeError,
            "a callback must be an object",
        ),
        (lambda d: fit_with(d, validation_split=1.0), ValueError, r"in \[0, 1\), got 1.0"),
        (lambda d: fit_with(d, validation_split=0.999), ValueError, "leaves an empty part"),
        (lambda d: fit_with(d, validation_data=1), TypeError, "a pair"),
        (
            lambda d: fit_with(d, callbacks=[EarlyStopping("val_x")]),
            ValueError,
            "no 'val_x'.*loss, acc",
        ),
        (lambda d: make().fit([[1.0]], [1]), TypeError, "fit: x must be a Tensor or a NumPy"),
        (lambda d: nn.Linear(2, 2).fit(*problem(d)), RuntimeError, r"fit: call compile\("),
        (lambda d: nn.Linear(2, 2).evaluate(*problem(d)), RuntimeError, "evaluate: call compile"),
        (lambda d: make().summary(), ValueError, "summary: give input_shape"),
        (lambda d: EarlyStopping(mode="down"), ValueError, "'auto', 'min' or 'max', got 'down'"),
        (lambda d: EarlyStopping(patience=-1), ValueError, "patience must be >= 0"),
    ],
)
def test_wrong_uses(device, call, error, text):
    with pytest.raises(error, match=text):
        call(device)


def test_fit_checks_rows_and_callbacks(device):
    x, y = problem(device)
    with pytest.raises(ValueError, match=r"fit: x has no rows; x=\(0, 4\)"):
        make().fit(x[:0], y[:0], verbose=0)
    with pytest.raises(TypeError, match="fit: callbacks must be a list, got EarlyStopping"):
        make().fit(x, y, callbacks=EarlyStopping("loss"), verbose=0)
    with pytest.raises(TypeError, match="input_shape must be a tuple of ints, got int"):
        make().summary(4)


def test_labels_of_every_integer_dtype_train_alike(device):
    x, y = problem(device)
    losses = []
    for dtype in ("int64", "int32", "uint8"):
        dlx.seed(0)
        losses.append(make().fit(x, y.astype(dtype), epochs=2, verbose=0).history["loss"])
    assert losses[0] == losses[1] == losses[2]


def test_lr_belongs_to_the_optimizer_object():
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="lr belongs to the optimizer object"):
        model.compile(optimizer=optim.SGD(model.parameters(), lr=0.1), loss="mse", lr=0.1)


# ---- evaluate, predict, metrics


def test_predict_gives_what_the_model_gives_in_eval_mode(device):
    x, _ = problem(device, rows=50)
    model = make(dropout=0.5)
    whole = model.predict(x)
    assert isinstance(whole, dlx.Tensor) and not whole.requires_grad and whole.shape == (50, 3)
    np.testing.assert_allclose(
        model.predict(x.cpu().numpy(), batch_size=7).cpu().numpy(), whole.cpu().numpy(), rtol=1e-5
    )
    assert model.predict(x[:0]).shape == (0, 3)


def test_accuracy_counts(device):
    accuracy = Accuracy()
    output = dlx.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]], device=device)
    accuracy.update(output, dlx.tensor([0, 0, -100], device=device))
    assert accuracy.result() == 0.5
    accuracy.update(output, dlx.tensor([0, 1, 0], device=device))
    assert accuracy.result() == 4 / 5
    accuracy.reset()
    accuracy.update(output, dlx.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], device=device))
    assert accuracy.result() == 1 / 3
    with pytest.raises(ValueError, match=r"output=\(3, 2\) target=\(2,\)"):
        accuracy.update(output, dlx.tensor([0, 1], device=device))


def test_functions_are_metrics(device):
    def mean_error(output, target):
        return dlx.mean(dlx.abs(output - target))

    x = dlx.ones((10, 1), device=device)
    model = nn.Linear(1, 1)
    model.compile(optimizer="sgd", lr=0.0, loss="mse", metrics=[mean_error])
    logs = model.evaluate(x, x, batch_size=3)
    assert logs["mean_error"] == pytest.approx(math.sqrt(logs["loss"]), rel=1e-5)


# ---- summary


def test_summary_shows_layers_shapes_parameters_and_mode(device, capsys):
    model = make()
    table = model.summary((4,))
    assert capsys.readouterr().out == table + "\n"
    lines = table.splitlines()
    assert lines[0] == "Sequential, input (N, 4)"
    assert lines[4].split() == ["0", "(Linear)", "(N,", "8)", "8", "40", "train"]
    assert lines[7].split() == ["3", "(Linear)", "(N,", "3)", "3", "27", "train"]
    assert lines[-1] == "67 parameters, 67 trainable, 0 frozen; train mode"
    model.eval()
    model[0].weight.requires_grad = False
    model.predict(problem(device)[0])
    assert model.summary().splitlines()[-1] == "67 parameters, 35 trainable, 32 frozen; eval mode"


def test_summary_changes_nothing(device):
    model = make(dropout=0.5)
    model.summary((4,))
    before, state = weight_hash(model), dlx.random.get_state().tolist()
    model.summary((4,))
    assert weight_hash(model) == before and dlx.random.get_state().tolist() == state
    assert all(module.training for module in model.modules())


# ---- save, load_state


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_training_goes_on_from_a_file(device, tmp_path, optimizer):
    x, y = problem(device)

    def fit(model, first, last):
        model.fit(x, y, batch_size=16, epochs=last, initial_epoch=first, shuffle=False, verbose=0)

    straight = make(optimizer=optimizer)
    fit(straight, 0, 4)
    dlx.seed(0)
    half = make(optimizer=optimizer)
    fit(half, 0, 2)
    half.save(tmp_path / "half.dlx")
    rest = make(optimizer=optimizer)
    rest.load_state(tmp_path / "half.dlx")
    rest.save(tmp_path / "again.dlx")  # before the optimizer exists
    rest = make(optimizer=optimizer)
    rest.load_state(tmp_path / "again.dlx")
    fit(rest, 2, 4)
    assert weight_hash(rest) == weight_hash(straight)
    assert weight_hash(dlx.load(tmp_path / "half.dlx")) == weight_hash(half)


def test_load_state_is_strict(device, tmp_path):
    x, y = problem(device)
    model = make()
    model.fit(x, y, verbose=0)
    path = tmp_path / "m.dlx"
    model.save(path)
    other = nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 3))
    with pytest.raises(
        ValueError, match=r"(?s)m.dlx: .*missing.*1.weight.*unexpected.*3.weight.*misshapen.*0"
    ):
        other.load_state(path)
    other = make(optimizer="sgd", lr=0.1)
    with pytest.raises(ValueError, match=r"m.dlx: .*state of Adam.*compiled with SGD"):
        other.load_state(path)
    with pytest.raises(FileNotFoundError, match=r"none.dlx"):
        other.load_state(tmp_path / "none.dlx")
    dlx.save([1], path)
    with pytest.raises(ValueError, match=r"m.dlx: holds a list, not a model's weights"):
        other.load_state(path)


# ---- callbacks


def scripted(values):
    """A loss whose epochs end at these values, one batch an epoch, with weights that move."""
    values = iter(values)
    return lambda output, target: (
        nn.functional.mse_loss(output, target) * 0 + next(values) + (output - output.detach()).sum()
    )


def test_early_stopping_restores_the_best(device):
    x = dlx.ones((4, 2), device=device)
    model = nn.Linear(2, 2)
    model.compile(optimizer="sgd", lr=0.1, loss=scripted([5, 3, 4, 2, 2.5, 2.6, 2.7, 1]))
    hashes = []

    class Spy(Callback):
        def on_epoch_end(self, epoch, logs):
            hashes.append(weight_hash(self.model))

    stop = EarlyStopping("loss", patience=3)
    history = model.fit(x, x, epochs=8, batch_size=4, callbacks=[Spy(), stop], verbose=0)
    assert history.history["loss"] == pytest.approx([5, 3, 4, 2, 2.5, 2.6, 2.7])
    assert (stop.best_epoch, stop.best) == (3, 2)
    assert weight_hash(model) == hashes[3] != hashes[-1]


def test_early_stopping_restores_the_best_without_stopping(device):
    x = dlx.ones((4, 2), device=device)
    model = nn.Linear(2, 2)
    model.compile(optimizer="sgd", lr=0.1, loss=scripted([2, 1, 3]))
    stop = EarlyStopping("loss", patience=10)
    model.fit(x, x, epochs=3, callbacks=[stop], verbose=0)
    assert stop.best_epoch == 1


def test_callbacks_are_called_in_order(device):
    x, y = problem(device, rows=4)
    calls = []

    class Spy(Callback):
        def on_train_begin(self):
            calls.append("train")

        def on_epoch_begin(self, epoch):
            calls.append(f"epoch {epoch}")

        def on_train_batch_begin(self, batch):
            calls.append(f"batch {batch}")

        def on_train_batch_end(self, batch, logs):
            calls.append(f"end {batch} {list(logs)}")

        def on_epoch_end(self, epoch, logs):
            calls.append(f"end of epoch {list(logs)}")
            self.model.stop_training = True

        def on_train_end(self, logs):
            calls.append(f"end of training {list(logs)}")

    make().fit(x, y, batch_size=2, epochs=9, callbacks=[Spy()], verbose=0)
    logs = "['loss', 'accuracy']"
    one, two = "end 0 ['loss']", "end 1 ['loss']"
    batches = ["batch 0", one, "batch 1", two]
    ends = [f"end of epoch {logs}", f"end of training {logs}"]
    assert calls == ["train", "epoch 0", *batches, *ends]


def test_checkpoints(device, tmp_path):
    x = dlx.ones((4, 2), device=device)
    model = nn.Linear(2, 2)
    model.compile(optimizer="sgd", lr=0.1, loss=scripted([2, 1, 3]))
    every = ModelCheckpoint(tmp_path / "e{epoch}-{loss:.0f}.dlx")
    best = ModelCheckpoint(tmp_path / "best.dlx", monitor="loss", save_best_only=True)
    model.fit(x, x, epochs=3, callbacks=[every, best], verbose=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.dlx",
        "e1-2.dlx",
        "e2-1.dlx",
        "e3-3.dlx",
    ]
    assert (tmp_path / "best.dlx").read_bytes() == (tmp_path / "e2-1.dlx").read_bytes()
    with pytest.raises(ValueError, match=r"no 'acc'.* there are epoch, loss"):
        model.compile(optimizer="sgd", lr=0.1, loss="mse")
        model.fit(x, x, callbacks=[ModelCheckpoint(tmp_path / "{acc}")], verbose=0)


def test_csv_logger(device, tmp_path):
    x, y = problem(device)
    model = make()
    path = tmp_path / "log.csv"
    history = model.fit(x, y, epochs=2, callbacks=[CSVLogger(path)], verbose=0)
    more = model.fit(
        x, y, epochs=3, initial_epoch=2, callbacks=[CSVLogger(path, append=True)], verbose=0
    )
    with open(path, newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["epoch", "loss", "accuracy"] and [row[0] for row in rows] == ["0", "1", "2"]
    losses = history.history["loss"] + more.history["loss"]
    assert [float(row[1]) for row in rows] == losses


# ---- what fit prints


class Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def test_one_line_an_epoch_off_a_terminal(device, monkeypatch):
    screen = Screen(terminal=False)
    monkeypatch.setattr(sys, "stdout", screen)
    x, y = problem(device)
    make().fit(x, y, epochs=12, validation_data=(x, y))
    lines = screen.getvalue().splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("epoch  1/12  ") and lines[11].startswith("epoch 12/12  ")
    words = ("samples/s", "loss 0.", "accuracy", "val_loss", "val_accuracy")
    assert all(word in lines[3] for word in words)
    assert "\x1b" not in screen.getvalue() and "\r" not in screen.getvalue()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_bar_on_a_terminal(monkeypatch, no_color):
    screen = Screen(terminal=True)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("NO_COLOR", no_color)
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    progress = Progress("auto", epochs=2, batches=100, rows=3200)
    progress.begin_epoch(0)
    now[0] = 2.0
    assert now[0] > progress.due
    progress.draw(25, 800, {"loss": 0.5})
    assert progress.due == pytest.approx(2.1)
    text = screen.getvalue()
    assert "\repoch 1/2 " in text and "25/100  0:06 left  400 samples/s  loss 0.5000" in text
    assert "=====               " in text  # this screen has no encoding for nicer signs
    assert ("\x1b[32m" in text) == (no_color == "")
    progress.end_epoch({"loss": 0.25})
    assert screen.getvalue().endswith("loss 0.2500\x1b[K\n")


def test_silence(device, capsys):
    x, y = problem(device)
    make().fit(x, y, verbose=0)
    assert capsys.readouterr().out == ""


def test_history_repr_and_plot(device):
    x, y = problem(device)
    history = make().fit(x, y, epochs=2, verbose=0)
    assert repr(history).startswith("<History of 2 epochs: loss=")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = history.plot()
    assert [line.get_label() for line in axes.get_lines()] == ["loss"]


def test_finite_data_whose_sum_overflows(device):
    _, y = problem(device)
    model = make()
    model.compile(optimizer="sgd", lr=0.0, loss=lambda output, target: (output * 1e-38).mean())
    model.fit(dlx.full((60, 4), 1e37, device=device), y, verbose=0)
    with pytest.raises(ValueError, match=r"fit: x holds inf in row 0 of 60"):
        model.fit(dlx.full((60, 4), 3e38, device=device) * 10, y, verbose=0)
