"""Devices: where arrays are. `dlx.device("cpu")` is a value, and a context manager that sets the
default."""

from __future__ import annotations

__all__ = ["default_device", "device", "device_from_code", "resolve_device"]

_KINDS = ("cpu", "cuda")  # in the order of csrc/core/array.h


def _parse(text):
    """(kind, index) of "cpu", "cuda" or "cuda:1"; None for anything else."""
    kind, colon, index = text.partition(":")
    if kind not in _KINDS or (colon and not (index.isascii() and index.isdigit())):
        return None
    return _KINDS.index(kind), int(index or 0)


class Device:
    """A place for arrays: `device("cpu")`, `device("cuda:0")`; equal to its string.

    As a context manager it is the default of every `device=` inside::

        with dlx.device("cuda:0"):
            x = dlx.zeros((2, 3))

    Raises ValueError for a string that names no device; entering one that is not there raises
    RuntimeError."""

    __slots__ = ("code",)

    def __init__(self, device):
        if isinstance(device, Device):
            self.code = device.code
            return
        if not isinstance(device, str):
            raise TypeError(f"device: expected a string or a device, got {type(device).__name__}")
        code = _parse(device)
        if code is None:
            raise ValueError(f'device: expected "cpu", "cuda" or "cuda:<index>", got {device!r}')
        self.code = code

    @property
    def kind(self):
        """ "cpu" or "cuda"."""
        return _KINDS[self.code[0]]

    type = kind  # PyTorch's name

    @property
    def index(self):
        """Which one of its kind, from 0."""
        return self.code[1]

    def __eq__(self, other):
        if isinstance(other, Device):
            return self.code == other.code
        return isinstance(other, str) and self.code == _parse(other)

    def __hash__(self):
        return hash(str(self))

    def __str__(self):
        return "cpu" if self.code == (0, 0) else f"{self.kind}:{self.index}"

    def __repr__(self):
        return f"dlx.device({str(self)!r})"

    def __reduce__(self):
        return Device, (str(self),)

    def __enter__(self):
        _defaults.append(resolve_device(self))
        return self

    def __exit__(self, *exc):
        _defaults.pop()


device = Device  # the name users call it by
_CPU = Device("cpu")
_defaults = [_CPU]


def default_device():
    """The device of arrays that are told none."""
    return _defaults[-1]


def device_from_code(code):
    """The Device of (kind, index)."""
    return _CPU if code == (0, 0) else Device(f"{_KINDS[code[0]]}:{code[1]}")


def resolve_device(device=None):
    """`device` (None, a string or a Device) as a Device that is there; else RuntimeError with the
    reason."""
    if device is None:
        return _defaults[-1]
    device = Device(device)
    if device.code == (0, 0):
        return _CPU
    if device.kind == "cuda":
        from dlx import _core

        count = _core.cuda_device_count()
        if device.index < count:
            return device
        reason = f"there are {count} GPUs" if count else _core.cuda_missing()
        raise RuntimeError(f"{device}: not available: {reason}; run `dlx info`")
    raise RuntimeError(f'{device}: not available: there is one "cpu"; run `dlx info`')
