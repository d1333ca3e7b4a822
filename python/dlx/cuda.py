"""NVIDIA GPUs: which there are, their memory, their streams of work.

Every function takes a device: an index, "cuda:1", or a `dlx.device`; by default "cuda:0"."""

from __future__ import annotations

from dlx import _core
from dlx._device import Device, resolve_device

__all__ = [
    "Event",
    "Stream",
    "current_stream",
    "device_count",
    "device_name",
    "empty_cache",
    "is_available",
    "memory_stats",
    "reset_peak_memory",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether this build of dlx has CUDA and there is a driver with a GPU."""
    return device_count() > 0


def device_count() -> int:
    """How many GPUs there are; 0 without a driver."""
    return _core.cuda_device_count()


def _index(device):
    name = f"cuda:{device}" if isinstance(device, int) else device
    found = resolve_device(name)
    if found.kind != "cuda":
        raise ValueError(f'cuda: expected a device such as "cuda:0", got {str(found)!r}')
    return found.index


def synchronize(device: int | str | Device = 0) -> None:
    """Waits until the device has done all its work. Raises RuntimeError where there is none."""
    _core.cuda_synchronize(_index(device))


def device_name(device: int | str | Device = 0) -> str:
    """The name that NVIDIA gave it."""
    return _core.cuda_properties(_index(device))[0]


def memory_stats(device: int | str | Device = 0) -> dict[str, int]:
    """As `dlx.memory.stats()`, of the device's memory, in bytes."""
    return _core.cuda_memory_stats(_index(device))


def reset_peak_memory(device: int | str | Device = 0) -> None:
    """Starts peak_bytes anew from live_bytes."""
    _core.cuda_reset_peak_memory(_index(device))


def empty_cache(device: int | str | Device = 0) -> None:
    """Gives the memory that is kept for reuse, the device's and pinned, back to the driver."""
    _core.cuda_empty_cache(_index(device))


class Stream:
    """A queue of work of one GPU, done in order; that of different streams may overlap::

        copies = dlx.cuda.Stream()
        with dlx.cuda.stream(copies):
            y = x.to("cuda")

    What a stream uses it waits for: an array that another stream wrote is ready, one that others
    still read is not overwritten. `wait_event` and `wait_stream` are for all else."""

    __slots__ = ("_native",)

    def __init__(self, device: int | str | Device = 0):
        self._native = _core.new_stream(_index(device))

    @property
    def device(self) -> Device:
        """The device that does its work."""
        return Device(f"cuda:{self._native.device}")

    @property
    def cuda_stream(self) -> int:
        """The cudaStream_t, as a number, for other libraries."""
        return self._native.handle

    def synchronize(self) -> None:
        """Waits until all work that it has got is done."""
        self._native.synchronize()

    def query(self) -> bool:
        """Whether all work that it has got is done."""
        return self.record_event().query()

    def record_event(self, event: Event | None = None) -> Event:
        """An event (a new one by default) after the work that it has got until now."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Does what it gets from now on after the event."""
        event._native.let_wait(self._native)

    def wait_stream(self, stream: Stream) -> None:
        """Does what it gets from now on after what `stream` has got until now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other):
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self):
        return hash(self.cuda_stream)

    def __repr__(self):
        return f"<dlx.cuda.Stream {self.cuda_stream:#x} of {self.device}>"


class Event:
    """A point in the work of a stream: `record` it, let others `wait` for it."""

    __slots__ = ("_native",)

    def __init__(self, enable_timing: bool = False):
        self._native = _core.Event(enable_timing)

    def record(self, stream: Stream | None = None) -> None:
        """After what `stream`, the current one by default, has got until now."""
        self._native.record((stream or current_stream())._native)

    def wait(self, stream: Stream | None = None) -> None:
        """Lets `stream`, the current one by default, do what it gets from now on after this."""
        (stream or current_stream()).wait_event(self)

    def query(self) -> bool:
        """Whether the stream has come here."""
        return self._native.is_done()

    def synchronize(self) -> None:
        """Waits until the stream has come here."""
        self._native.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to `end_event`, both made with enable_timing=True."""
        return self._native.milliseconds_to(end_event._native)


def current_stream(device: int | str | Device = 0) -> Stream:
    """The stream that this thread's work for the device goes to."""
    found = object.__new__(Stream)
    found._native = _core.current_stream(_index(device))
    return found


class stream:
    """Context manager: the work of this thread for the stream's device goes there::

    with dlx.cuda.stream(side):
        y = x @ w
    """

    __slots__ = ("_before", "_stream")

    def __init__(self, stream: Stream):
        if not isinstance(stream, Stream):
            raise TypeError(f"cuda.stream: expected a Stream, got {type(stream).__name__}")
        self._stream = stream

    def __enter__(self):
        self._before = current_stream(self._stream.device)
        _core.make_current_stream(self._stream._native)
        return self._stream

    def __exit__(self, *exc):
        _core.make_current_stream(self._before._native)
