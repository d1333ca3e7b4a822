"""`pytest --device emu` as a whole fails if it launched some CUDA kernel never."""

from __future__ import annotations

import collections
import ctypes

import pytest


def launch_counts():
    """Of the emulator in this process: launches by kernel instantiation."""
    from dlx import _core

    counts = ctypes.CDLL(_core.__file__).dlx_simt_launch_counts
    counts.restype = ctypes.c_char_p
    lines = counts().decode().splitlines()
    return {name: int(count) for count, name in (line.split("\t", 1) for line in lines)}


class Launches:
    """A plugin: counts of this process and of the workers that pytest-xdist starts."""

    def __init__(self):
        self.counts = collections.Counter()
        self.never = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        self.counts.update(getattr(node, "workeroutput", {}).get("launches", {}))

    def pytest_sessionfinish(self, session):
        self.counts.update(launch_counts())
        config, options = session.config, session.config.option
        if hasattr(config, "workeroutput"):
            config.workeroutput["launches"] = dict(self.counts)
        elif not (options.keyword or options.markexpr or options.file_or_dir):
            self.never = [name for name, count in self.counts.items() if count == 0]
            if self.never:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        launched = sum(count > 0 for count in self.counts.values())
        terminalreporter.line(f"{launched} of {len(self.counts)} CUDA kernels were launched")
        for name in self.never:
            terminalreporter.line(f"FAILED: never launched: {name}", red=True)
