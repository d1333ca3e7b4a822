"""The base class of callbacks, and the choice of the best epoch."""

from __future__ import annotations

__all__ = ["Best", "Callback"]


class Callback:
    """Override what you need. `self.model` is the model, `logs` a dict of floats.

    A batch hook costs nothing where no callback overrides it. To end training, set
    `self.model.stop_training = True`: fit stops after the running epoch.
    """

    model = None

    def on_train_begin(self):
        """Before the first epoch."""

    def on_train_end(self, logs):
        """After the last epoch, also when training raised; logs: of the last epoch, or {}."""

    def on_epoch_begin(self, epoch):
        """Epochs count from 0."""

    def on_epoch_end(self, epoch, logs):
        """logs: loss and metrics, and with validation data the same with the prefix val_."""

    def on_train_batch_begin(self, batch):
        """Batches count from 0 in each epoch."""

    def on_train_batch_end(self, batch, logs):
        """logs: the batch's own loss."""


class Best:
    """Follows one figure of the logs: `improved(logs)` says whether it is the best so far.

    mode: "min", "max", or "auto": max for an accuracy, min for all else. An improvement must exceed
    min_delta; NaN never improves.
    """

    def __init__(self, op, monitor, mode="auto", min_delta=0.0):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{op}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        if min_delta < 0:
            raise ValueError(f"{op}: min_delta must be >= 0, got {min_delta}")
        self.op, self.monitor, self.min_delta = op, monitor, min_delta
        self.sign = 1.0 if mode == "max" or (mode == "auto" and "acc" in monitor) else -1.0
        self.value = None

    def improved(self, logs):
        if self.monitor not in logs:
            raise ValueError(
                f"{self.op}: no {self.monitor!r} to monitor; there are {', '.join(logs)}"
            )
        value = logs[self.monitor]
        if self.value is None:
            better = value == value
        else:
            better = self.sign * (value - self.value) > self.min_delta
        if better:
            self.value = value
        return better
