"""Exchange of arrays and weights with other libraries."""

from __future__ import annotations

__all__ = ["safetensors"]


def __getattr__(name):
    if name in __all__:
        import importlib

        return importlib.import_module(f"dlx.interop.{name}")
    raise AttributeError(f"module 'dlx.interop' has no attribute {name!r}")
