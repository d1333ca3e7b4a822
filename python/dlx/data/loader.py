"""Mini-batches of arrays in memory, at the speed of a slice."""

from __future__ import annotations

import dlx
from dlx._device import resolve_device

__all__ = ["Batches", "as_tensor", "batches"]


def as_tensor(name, array):
    """A Tensor over `array`: itself, or a borrowed NumPy array (no copy). Other types raise."""
    if isinstance(array, dlx.Tensor):
        return array
    if hasattr(array, "__array_interface__"):
        return dlx.asarray(array)
    raise TypeError(f"{name} must be a Tensor or a NumPy array, got {type(array).__name__}")


def check_rows(op, x, y):
    """Raise unless x and y have the same number of rows (y may be None)."""
    for name, array in (("x", x), ("y", y)):
        if array is not None and array.ndim == 0:
            raise ValueError(f"{op}: {name} must have a batch axis, got a 0-d array")
    if y is not None and x.shape[0] != y.shape[0]:
        raise ValueError(
            f"{op}: x and y must have the same length, got {x.shape[0]} and {y.shape[0]}; "
            f"x={x.shape} y={y.shape}"
        )


def check_count(op, name, value, least=1):
    """`value` as an int >= least, else TypeError or ValueError."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{op}: {name} must be an int, got {type(value).__name__}")
    value = value.__index__()
    if value < least:
        raise ValueError(f"{op}: {name} must be at least {least}, got {value}")
    return value


class Batches:
    """What `batches` returns: an iterable with a length, to be walked any number of times."""

    def __init__(self, x, y, batch_size, shuffle, drop_last, device=None):
        self.x, self.y = x, y
        self.device = x.device if device is None else device
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last

    def __len__(self):
        full, rest = divmod(self.x.shape[0], self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self):
        if self.shuffle:  # drawn here, not at the first batch: the order of draws is the caller's
            order = dlx.random.permutation(self.x.shape[0], device=self.x.device)
            found = self._gather(order)
        else:
            found = self._slice()
        return found if self.device == self.x.device else self._send(found)

    def _slice(self):
        x, y, size = self.x, self.y, self.batch_size
        for start in range(0, len(self) * size, size):
            rows = slice(start, start + size)
            yield x[rows] if y is None else (x[rows], y[rows])

    def _gather(self, order):
        x, y, size, take = self.x, self.y, self.batch_size, dlx.take
        for start in range(0, len(self) * size, size):
            rows = order[start : start + size]
            xb = take(x, rows, axis=0)
            yield xb if y is None else (xb, take(y, rows, axis=0))

    def _send(self, found):
        """The batches on self.device; the next one is on its way there while one is used."""
        if self.device.kind == "cpu":
            for batch in found:
                yield batch.cpu() if self.y is None else tuple(each.cpu() for each in batch)
            return
        from dlx.data._ahead import sent_ahead

        for batch in sent_ahead(((b,) if self.y is None else b for b in found), self.device):
            yield batch[0] if self.y is None else batch

    def __repr__(self):
        return f"<{len(self)} batches of {self.batch_size} from {self.x.shape[0]} rows>"


def batches(x, y=None, batch_size=32, shuffle=False, drop_last=False, *, device=None) -> Batches:
    """Iterate over (xb, yb), or over xb alone without y; `len` is the number of batches.

    x: (N, ...), y: (N, ...): Tensors or NumPy arrays (borrowed, not copied) of any dtype.
    Unshuffled batches are views; shuffled ones are one gather each, in an order drawn anew from the
    dlx generator at the start of every iteration. drop_last leaves out a last batch of fewer than
    batch_size rows. device: where batches come to, where x is by default; to a GPU they are copied
    one ahead, through pinned memory on a stream of their own. Raises ValueError on unequal lengths,
    with both.
    """
    x = as_tensor("batches: x", x)
    y = None if y is None else as_tensor("batches: y", y)
    check_rows("batches", x, y)
    size = check_count("batches", "batch_size", batch_size)
    place = None if device is None else resolve_device(device)
    return Batches(x, y, size, shuffle, drop_last, place)
