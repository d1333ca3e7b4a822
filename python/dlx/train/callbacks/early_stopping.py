"""Stop when the monitored figure no longer improves, and keep the best weights."""

from __future__ import annotations

from dlx.train.callbacks.base import Best, Callback

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """End training after `patience` epochs in a row that did not improve `monitor` by min_delta.

    However training ends, the model has the weights and buffers of its best epoch (`best_epoch`,
    from 0; `best` is its figure).
    """

    def __init__(self, monitor="val_loss", min_delta=0.0, patience=0, mode="auto"):
        if patience < 0:
            raise ValueError(f"EarlyStopping: patience must be >= 0, got {patience}")
        self.monitor, self.min_delta, self.patience, self.mode = monitor, min_delta, patience, mode
        Best("EarlyStopping", monitor, mode, min_delta)  # reports wrong arguments here
        self.best_epoch = self.best = None

    def on_train_begin(self):
        self._figure = Best("EarlyStopping", self.monitor, self.mode, self.min_delta)
        self.best_epoch = self.best = self._weights = None
        self._waited = 0

    def on_epoch_end(self, epoch, logs):
        if self._figure.improved(logs):
            self.best_epoch, self.best = epoch, self._figure.value
            self._weights = self.model.state_dict()
            self._waited = 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs):
        if self._weights is not None:
            self.model.load_state_dict(self._weights)
            self._weights = None
