"""Data sets that ship with dlx, and the loader."""

from __future__ import annotations

from dlx.data.dataset import digits
from dlx.data.loader import batches

__all__ = ["batches", "digits"]
