"""Pairs that methods return."""

from __future__ import annotations

from collections import namedtuple

__all__ = ["MaxMin"]

MaxMin = namedtuple("MaxMin", ["values", "indices"])
