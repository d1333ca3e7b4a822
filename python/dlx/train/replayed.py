"""A function of one batch under dlx.jit, on behalf of someone who did not ask for it."""

from __future__ import annotations

import builtins
import warnings
from contextlib import contextmanager

from dlx._jit import Jitted

__all__ = ["Replayed"]


class Replayed(Jitted):
    """As dlx.jit, but what cannot be replayed runs eagerly in silence unless `warns`, what prints
    is not replayed, and records may be compared again."""

    _keeps_records = True

    def __init__(self, function, op, warns):
        super().__init__(function)
        self.op, self.warns = op, warns

    def is_refused(self):
        """Whether calls of every kind run eagerly for good."""
        return bool(self._entries) and all(e.reason is not None for e in self._entries.values())

    def check_again(self):
        """See Jitted._check_again."""
        self._check_again()

    def _fall_back(self, reason):
        text = f"{self.op} runs the model eagerly: {reason}"
        if self._mode == "strict":
            raise RuntimeError(text)
        if self.warns and not self._warned:
            self._warned = True
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def _disagree(self, difference):
        for entry in self._entries.values():
            entry.forget(difference)
        text = (
            f"{self.op} runs the model eagerly from now on: it does something else than when it "
            f"was recorded, so that replayed steps may have been out of date: {difference}"
        )
        if self._mode == "strict":
            raise RuntimeError(text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)

    @contextmanager
    def _watch(self):
        plain, watch = builtins.print, _Watch()

        def noticed(*args, **kwargs):
            watch.objection = "it prints, which a replay would not"
            plain(*args, **kwargs)

        builtins.print = noticed
        try:
            yield watch
        finally:
            builtins.print = plain


class _Watch:
    objection = None
