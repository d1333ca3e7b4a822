"""Finding out what went wrong: where a NaN comes from."""

from __future__ import annotations

from dlx import _core

__all__ = ["nan_trap"]


class nan_trap:
    """A context manager: the first op of this thread that makes a NaN raises FloatingPointError.

        with dlx.debug.nan_trap():
            loss = step(x, y)

    The error names the op, the layer (`Sequential.2 (Linear(64, 10))`, in a backward pass the layer
    whose forward is being differentiated), the line of Python, the shape, how many numbers are NaN
    or Inf among how many and where the first one is, and whether the inputs had any. Replays of
    `dlx.jit` are watched, too, and name the line and layer that were recorded. Every floating
    output of every op is read, on a GPU by copying it to the host: this is slow.

    inf: whether an infinity raises as well. By default it does not: -inf in masks of attention and
    of max, and infinities that a loss scaler waits for, are no errors.
    ignore: names of ops, as the error gives them, that may make any number.
    Values that no op made, such as those of `dlx.tensor`, are noticed by the first op that hands
    them on. Traps nest. Raises TypeError for other arguments, RuntimeError if entered twice.
    """

    def __init__(self, *, inf=False, ignore=()):
        if not isinstance(inf, bool):
            raise TypeError(f"nan_trap: inf must be True or False, got {inf!r}")
        names = () if isinstance(ignore, str) else tuple(ignore)
        if isinstance(ignore, str) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"nan_trap: expected a tuple of names of ops, got ignore={ignore!r}")
        self._trap = _core.NanTrap(inf, set(names))

    def __enter__(self):
        self._trap.start()
        return self

    def __exit__(self, *exception):
        self._trap.stop()
