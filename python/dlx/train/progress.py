"""What `fit` prints: a moving bar on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import os
import sys
import time

__all__ = ["Progress"]

REDRAW = 0.1  # seconds between two drawings of the bar
WIDTH = 20


class Progress:
    """verbose: 0 silent, 1 bar, 2 one line an epoch, "auto" 1 on a terminal and else 2.

    `due` is the time of the next drawing: a caller compares it with time.perf_counter() first, so
    that a batch costs one comparison.
    """

    def __init__(self, verbose, epochs, batches, rows):
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"fit: verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
        self.file = sys.stdout
        if verbose == "auto":
            verbose = 1 if self.file is not None and self.file.isatty() else 2
        self.verbose, self.epochs, self.batches, self.rows = verbose, epochs, batches, rows
        self.due = float("inf")

    def begin_epoch(self, epoch):
        self.epoch, self.start = epoch, time.perf_counter()
        if self.verbose == 1:
            self.due = self.start + REDRAW

    def draw(self, done, rows, logs):
        """The bar after `done` batches of `rows` rows in all."""
        now = time.perf_counter()
        self.due = now + REDRAW
        seconds = now - self.start
        left = seconds / done * (self.batches - done)
        full = WIDTH * done // self.batches
        utf8 = (self.file.encoding or "").lower() in ("utf-8", "utf8")
        bar = ("━" if utf8 else "=") * full + " " * (WIDTH - full)
        if self._colour():
            bar = f"\x1b[32m{bar}\x1b[0m"
        self.file.write(
            f"\r{self._head()} {bar} {done}/{self.batches}  {_clock(left)} left"
            f"  {rows / seconds:,.0f} samples/s{_figures(logs)}\x1b[K"
        )
        self.file.flush()

    def end_epoch(self, logs):
        self.due = float("inf")
        if self.verbose == 0:
            return
        seconds = time.perf_counter() - self.start
        speed = f"{self.rows / max(seconds, 1e-9):,.0f} samples/s"
        erase = ("\r", "\x1b[K") if self.verbose == 1 else ("", "")
        line = f"{self._head()}  {seconds:.2f} s  {speed}{_figures(logs)}"
        print(f"{erase[0]}{line}{erase[1]}", file=self.file, flush=True)

    def _head(self):
        return f"epoch {self.epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"

    def _colour(self):
        return self.file.isatty() and not os.environ.get("NO_COLOR")


def _figures(logs):
    return "".join(f"  {name} {value:.4f}" for name, value in logs.items())


def _clock(seconds):
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
