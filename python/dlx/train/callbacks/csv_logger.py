"""Write the figures of every epoch to a CSV file."""

from __future__ import annotations

from dlx.train.callbacks.base import Callback

__all__ = ["CSVLogger"]


class CSVLogger(Callback):
    """One row an epoch (epoch from 0, then the logs), on disk as soon as it is known.

    append=True goes on with a file of the same columns.
    """

    def __init__(self, path, separator=",", append=False):
        self.path, self.separator, self.append = path, separator, append
        self._columns = None

    def on_train_begin(self):
        self._columns = None
        if not self.append:
            open(self.path, "w").close()

    def on_epoch_end(self, epoch, logs):
        import csv

        with open(self.path, "a", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self._columns is None:
                self._columns = list(logs)
                if file.tell() == 0:
                    writer.writerow(["epoch", *self._columns])
            writer.writerow([epoch, *(logs[name] for name in self._columns)])
