"""compile, fit, evaluate, predict, summary: what a Module needs to train without a hand loop."""

from __future__ import annotations

import time

import dlx
from dlx.data.loader import Batches, check_count
from dlx.train.callbacks.base import Callback
from dlx.train.history import History
from dlx.train.inputs import hold_out, pair_of, parameter_device, parameter_dtype, tensors_of
from dlx.train.plan import Plan
from dlx.train.progress import Progress
from dlx.train.steps import Inference, Training

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Mode", "Trainable"]

INFERENCE_BATCH = 256  # rows at a time where nothing is learned: fewer, larger calls
INFINITY = float("inf")


class Trainable:
    """Base of dlx.nn.Module. Names and meanings are Keras's."""

    optimizer = None  # of compile; None until the first batch when it was named
    stop_training = False
    _plan = None  # of compile
    __call__: Callable[..., Any]
    _input_spec = None  # (shape of a row, dtype) of the last data seen, for summary()

    def compile(self, optimizer="adam", loss=None, metrics=(), *, lr=None, jit="auto") -> None:
        """Choose how to train. Undoes an earlier compile, its optimizer's state included.

        optimizer: "sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta" with `lr` (a number, a
        function of the step as in dlx.optim.schedules, or None for the optimizer's own), created
        at the first batch; or an object of dlx.optim. loss: a loss of dlx.nn.functional by name
        ("cross_entropy", "mse", "mae", "huber", "nll", "kl_div", "binary_cross_entropy" of
        probabilities, "binary_cross_entropy_with_logits" of scores), or a function (output, target)
        -> 0-d Tensor. metrics: "accuracy", "binary_accuracy", functions (output, target) -> mean
        over the batch, objects with reset, update and result. jit: whether `fit`, `evaluate` and
        `predict` record what they do for a batch and replay it by dlx.jit, with the same bits:
        "auto" where that is possible, True likewise with a RuntimeWarning that says why where it
        is not, False never.
        """
        self._plan = Plan(optimizer, lr, loss, metrics, jit)
        self.optimizer = self._plan.optimizer

    def fit(
        self,
        x,
        y,
        batch_size=32,
        epochs=1,
        verbose="auto",
        callbacks=(),
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        initial_epoch=0,
    ) -> History:
        """Train on x: (N, ...), y: (N, ...) until `epochs`; returns the History.

        verbose: 0 silent, 1 progress bar, 2 one line an epoch, "auto" 1 on a terminal and else 2.
        validation_data: (x, y) evaluated after each epoch; validation_split: instead, the share of
        rows at the end of x to hold out. Floating NumPy arrays become the dtype of the model's
        parameters, Tensors stay as they are; batches go to the model's device. Raises ValueError on
        unequal lengths, on no rows and on NaN or Inf in the data (names the row),
        FloatingPointError on a loss that is not finite (names epoch and batch; the weights are
        those before it).
        """
        plan = self._compiled("fit")
        size = check_count("fit", "batch_size", batch_size)
        epochs = check_count("fit", "epochs", epochs, 0)
        first = check_count("fit", "initial_epoch", initial_epoch, 0)
        x, y = tensors_of("fit", self, x, y)
        if x.shape[0] == 0:
            raise ValueError(f"fit: x has no rows; x={x.shape}")
        validation = None
        if validation_data is not None:
            validation = tensors_of("fit validation", self, *pair_of(validation_data))
        elif validation_split != 0:
            (x, y), validation = hold_out(x, y, validation_split)
        loader = Batches(x, y, size, shuffle, False, parameter_device(self))
        progress = Progress(verbose, epochs, len(loader), x.shape[0])
        history, hooks = History(), _Hooks(self, callbacks)
        steps = Training(self, plan, (epochs - first) * len(loader))
        if validation is not None:
            xv, yv = validation
            held = self._batches(xv, yv, max(size, INFERENCE_BATCH))
            inference = Inference("fit", self, plan, plan.loss, (epochs - first) * len(held))
        self.stop_training = False
        self._input_spec = (x.shape[1:], x.dtype)
        logs = {}
        with Mode(self, training=True):
            hooks.train_begin()
            try:
                for epoch in range(first, epochs):
                    hooks.epoch_begin(epoch)
                    progress.begin_epoch(epoch)
                    steps.begin_epoch(epoch - first + 1)
                    logs = self._epoch(plan, steps, loader, epoch, progress, hooks)
                    if validation is not None:
                        inference.begin_epoch(epoch - first + 1)
                        figures = self._evaluate(plan, inference.run, held)
                        logs.update((f"val_{name}", value) for name, value in figures.items())
                    history.append(epoch, logs)
                    progress.end_epoch(logs)
                    hooks.epoch_end(epoch, logs)
                    if self.stop_training:
                        break
            finally:
                hooks.train_end(logs)
        return history

    def _epoch(self, plan, steps, loader, epoch, progress, hooks):
        """One pass with a step per batch: the hand loop and little else, ≤ 5 % beside it."""
        metrics, forward, learn = plan.metrics, steps.forward, steps.learn
        batch_begin, batch_end, clock = hooks.batch_begin, hooks.batch_end, time.perf_counter
        size, left, seen, total = loader.batch_size, loader.x.shape[0], 0, 0.0
        for metric in metrics:
            metric.reset()
        for index, (xb, yb) in enumerate(loader):
            for hook in batch_begin:
                hook(index)
            output, loss = forward(xb, yb)
            if not plan.started:
                plan.start(self, output, loss, yb)
                self.optimizer = plan.optimizer
                steps.start()
            value = loss.item()
            if not -INFINITY < value < INFINITY:
                raise FloatingPointError(
                    f"fit: the loss is {value} in epoch {epoch + 1}/{progress.epochs}, batch "
                    f"{index + 1}/{len(loader)}; a smaller lr may help"
                )
            learn(loss)
            if learn is not steps.learn:  # there is an optimizer now
                forward, learn = steps.forward, steps.learn
            rows = size if left > size else left
            left -= rows
            seen += rows
            total += value * rows
            for metric in metrics:
                metric.update(output, yb)
            del output, loss  # their memory serves the next batch
            for hook in batch_end:
                hook(index, {"loss": value})
            if clock() > progress.due:
                progress.draw(index + 1, seen, _logs(total, seen, metrics))
        return _logs(total, seen, metrics)

    def evaluate(self, x, y, batch_size=INFERENCE_BATCH) -> dict[str, float]:
        """{"loss": ..., metrics ...} over x: (N, ...), y: (N, ...), in eval mode.

        The loss is the mean over rows of the batches' losses, exact when a batch's loss is the mean
        over its rows.
        """
        plan = self._compiled("evaluate")
        size = check_count("evaluate", "batch_size", batch_size)
        x, y = tensors_of("evaluate", self, x, y)
        batches = self._batches(x, y, size)
        steps = Inference("evaluate", self, plan, plan.loss, len(batches))
        return self._evaluate(plan, steps.run, batches)

    def _batches(self, x, y, size):
        return Batches(x, y, size, False, False, parameter_device(self))

    def _evaluate(self, plan, run, batches):
        """The figures over the batches; run: (xb, yb) -> (output, loss)."""
        rows, size, total = batches.x.shape[0], batches.batch_size, 0.0
        left = rows
        for metric in plan.metrics:
            metric.reset()
        with Mode(self, training=False), dlx.no_grad():
            for xb, yb in batches:
                output, loss = run(xb, yb)
                total += loss.item() * min(size, left)
                left -= size
                for metric in plan.metrics:
                    metric.update(output, yb)
        return _logs(total, rows, plan.metrics)

    def predict(self, x, batch_size=INFERENCE_BATCH) -> dlx.Tensor:
        """The model's output for x: (N, ...), a Tensor (N, ...): eval mode, no graph."""
        size = check_count("predict", "batch_size", batch_size)
        (x,) = tensors_of("predict", self, x)
        self._input_spec = (x.shape[1:], x.dtype)
        with Mode(self, training=False), dlx.no_grad():
            place = parameter_device(self)
            if x.shape[0] <= size:
                return self(x if place is None else x.to(place))
            loader = Batches(x, None, size, False, False, place)
            run = Inference("predict", self, self._plan, None, len(loader)).run
            return dlx.concat([run(xb) for xb in loader], axis=0)

    def summary(self, input_shape=None) -> str:
        """Print, and return as text, the table of layers, output shapes and parameters.

        input_shape: of one row, without the batch axis; needed before the first fit or predict.
        """
        from dlx.train.summary import summarize

        if input_shape is None:
            if self._input_spec is None:
                raise ValueError("summary: give input_shape=(...), without the batch, before fit")
            input_shape, dtype = self._input_spec
        else:
            dtype = self._input_spec[1] if self._input_spec else parameter_dtype(self)
            if not isinstance(input_shape, (tuple, list)):
                kind = type(input_shape).__name__
                raise TypeError(f"summary: input_shape must be a tuple of ints, got {kind}")
            input_shape = tuple(check_count("summary", "input_shape", n, 0) for n in input_shape)
        text = summarize(self, input_shape, dtype)
        print(text)
        return text

    def save(self, path) -> None:
        """Write weights, buffers and the optimizer's state to one file, atomically."""
        from dlx import _files

        _files.save_state(self, self._plan.state() if self._plan else None, path)

    def load_state(self, path):
        """Restore what save wrote, or weights of another library's safetensors file, strictly.

        The optimizer's state goes to the optimizer of compile, at once or at the first batch; a
        model that is not compiled takes weights and buffers only. Raises FileNotFoundError, or
        ValueError naming the path and every missing, unexpected and misshapen key.
        """
        from dlx import _files

        weights, optimizer = _files.load_state(path)
        restore = self._plan is not None and optimizer is not None
        try:
            if restore:
                self._plan.check_kind(optimizer)  # before anything changes
            self.load_state_dict(weights)
            if restore:
                self._plan.restore(optimizer)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None

    def _compiled(self, op):
        if self._plan is None:
            raise RuntimeError(f"{op}: call compile(optimizer=, lr=, loss=, metrics=) first")
        return self._plan


class _Hooks:
    """The callbacks' methods, batch hooks only where a class overrides them."""

    def __init__(self, model, callbacks):
        if not isinstance(callbacks, (list, tuple)):
            raise TypeError(f"fit: callbacks must be a list, got {type(callbacks).__name__}")
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"fit: a callback must be an object of a subclass of dlx.train.Callback, got "
                    f"{callback!r}"
                )
            callback.model = model
        self.batch_begin = self._overridden("on_train_batch_begin")
        self.batch_end = self._overridden("on_train_batch_end")

    def _overridden(self, name):
        base = getattr(Callback, name)
        return [getattr(c, name) for c in self.callbacks if getattr(type(c), name) is not base]

    def train_begin(self):
        for callback in self.callbacks:
            callback.on_train_begin()

    def train_end(self, logs):
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def epoch_begin(self, epoch):
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch)

    def epoch_end(self, epoch, logs):
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)


class Mode:
    """Train or eval mode within a `with`, every module's own mode again after."""

    def __init__(self, model, training):
        self.model, self.training = model, training

    def __enter__(self):
        self.flags = [(module, module.training) for module in self.model.modules()]
        self.model.train(self.training)

    def __exit__(self, *exception):
        for module, training in self.flags:
            module.training = training


def _logs(total, rows, metrics):
    logs = {"loss": total / rows if rows else float("nan")}
    for metric in metrics:
        logs[metric.name] = metric.result()
    return logs
