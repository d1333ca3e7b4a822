"""What the caching allocator holds."""

from __future__ import annotations

from dlx import _core

__all__ = ["empty_cache", "reset_peak", "stats"]


def stats() -> dict[str, int]:
    """A dict in bytes: live_bytes (in use now), peak_bytes (the most since the start or
    `reset_peak()`), cached_bytes (freed by dlx, kept for reuse); and counts: allocations,
    cache_hits (those served from kept blocks)."""
    return _core.memory_stats()


def reset_peak() -> None:
    """Starts peak_bytes anew from live_bytes."""
    _core.reset_peak_memory()


def empty_cache() -> None:
    """Gives the kept blocks back to the system."""
    _core.empty_cache()
