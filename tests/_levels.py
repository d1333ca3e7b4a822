"""The instruction sets that kernels are compiled for, and what this machine has of them."""

from __future__ import annotations

import contextlib
import ctypes
import pathlib

import pytest

from dlx import _core

LEVELS = ("portable", "x86-64-v2", "avx2", "avx512")


@contextlib.contextmanager
def at_level(name):
    if LEVELS.index(name) > LEVELS.index(_core.best_isa()):
        pytest.skip(f"this CPU has no {name}")
    before = _core.isa()
    _core.set_isa(name)
    try:
        yield
    finally:
        _core.set_isa(before)


def has(flag):
    """An extension, by its name in /proc/cpuinfo, and Linux lets this process use it."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    allowed = not flag.startswith("amx") or ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0
    return f" {flag}" in cpuinfo and allowed
