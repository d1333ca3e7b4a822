"""Handles of hooks."""

from __future__ import annotations

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """What registering a hook returns; `remove()`, or leaving its `with` block, takes it away."""

    def __init__(self, hooks, hook):
        if not callable(hook):
            raise TypeError(f"a hook must be a function, got {type(hook).__name__}")
        self._hooks, self._key = hooks, object()  # a key that no copy or other process makes again
        hooks[self._key] = hook

    def remove(self):
        """Remove the hook. A second call does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()
