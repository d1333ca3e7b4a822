"""Save the model after its epochs."""

from __future__ import annotations

import os

from dlx.train.callbacks.base import Best, Callback

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Callback):
    """model.save(path) after every epoch, or only when `monitor` is the best so far.

    path may hold {epoch} (from 1) and any name of the logs: "net-{epoch:02d}-{val_loss:.3f}.dlx".
    """

    def __init__(self, path, monitor="val_loss", save_best_only=False, mode="auto"):
        self.path, self.monitor = os.fspath(path), monitor
        self.save_best_only, self.mode = save_best_only, mode
        Best("ModelCheckpoint", monitor, mode)  # reports wrong arguments here

    def on_train_begin(self):
        self._figure = Best("ModelCheckpoint", self.monitor, self.mode)

    def on_epoch_end(self, epoch, logs):
        if self.save_best_only and not self._figure.improved(logs):
            return
        try:
            path = self.path.format(epoch=epoch + 1, **logs)
        except KeyError as error:
            raise ValueError(
                f"ModelCheckpoint: no {error} for {self.path!r}; there are epoch, {', '.join(logs)}"
            ) from None
        self.model.save(path)
