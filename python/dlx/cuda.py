"""NVIDIA GPUs: which there are, their memory, waiting for them.

Every function takes a device: an index, "cuda:1", or a `dlx.device`; by default "cuda:0"."""

from __future__ import annotations

from dlx import _core
from dlx._device import Device, resolve_device

__all__ = [
    "device_count",
    "device_name",
    "empty_cache",
    "is_available",
    "memory_stats",
    "reset_peak_memory",
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
    return _core.cuda_device_name(_index(device))


def memory_stats(device: int | str | Device = 0) -> dict[str, int]:
    """As `dlx.memory.stats()`, of the device's memory, in bytes."""
    return _core.cuda_memory_stats(_index(device))


def reset_peak_memory(device: int | str | Device = 0) -> None:
    """Starts peak_bytes anew from live_bytes."""
    _core.cuda_reset_peak_memory(_index(device))


def empty_cache(device: int | str | Device = 0) -> None:
    """Gives the device memory that is kept for reuse back to the driver."""
    _core.cuda_empty_cache(_index(device))
