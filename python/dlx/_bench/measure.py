"""What a row is, how its rivals are compared and timed, and what the machine could do at best."""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlx import _core

REST = 0.02  # seconds before a turn
TURN = 0.04  # seconds of one, at least
CALLS = 3  # of a turn, at least; one where a call is longer than a turn

DLX = "dlx"
EAGER = "PyTorch"  # results in fresh memory, as a user calls it
INTO = "PyTorch out="  # into preallocated results
LAST = "PyTorch channels_last"  # images as PyTorch's own kernels prefer them
OURS = "eager dlx"  # where DLX is dlx.jit
COMPILED = "torch.compile"
JAX = "JAX"


@dataclass(frozen=True)
class Subject:
    """A row ready to run: rivals that compute the same, and what that takes at least."""

    calls: dict[str, Callable[[], Any]]  # each returns its result, a tensor or a tuple of them
    flops: float = 0.0
    traffic: tuple[float, float] = (0.0, 0.0)  # bytes read and written
    tolerance: float = 1e-4  # of max|a - b| / max|b|
    dtype: str = "float32"  # whose peak is the limit
    skipped: dict[str, str] = field(default_factory=dict)  # rivals that cannot run here, and why


@dataclass(frozen=True)
class Row:
    name: str
    make: Callable[[Any], Subject]  # of torch, or None


@dataclass(frozen=True)
class Result:
    family: str
    name: str
    turns: dict[str, list[float]]  # seconds of the fastest call of each turn
    flops: float
    bytes: float
    limit: float | None  # seconds that the machine would take at best
    skipped: dict[str, str] = field(default_factory=dict)

    def best(self, rival=DLX):
        return min(self.turns[rival])

    def median(self, rival=DLX):
        return statistics.median(self.turns[rival])

    def others(self):
        return [rival for rival in self.turns if rival not in (DLX, OURS)]

    def speedup(self, rivals=None, time=best):
        """The time of the fastest among `rivals` over dlx's; None without any. time: `best` turns
        or their `median`."""
        rivals = [r for r in (rivals or self.others()) if r in self.turns]
        return min(time(self, r) for r in rivals) / time(self) if rivals else None

    def share(self):
        return self.limit / self.best() if self.limit else None


def interleave(rivals, rounds):
    """{name: seconds of the fastest call of each turn}; the rivals take turns of TURN at least.

    A turn lasts that long because a system may keep two threads on one core until both have been
    busy for a while. Before it everybody rests: OpenMP's threads spin for a while after their work
    and would take a core from the next rival.
    """
    turns = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, call in rivals.items():
            time.sleep(REST)
            calls, best, end = 0, float("inf"), time.perf_counter() + TURN
            while calls < CALLS or time.perf_counter() < end:
                start = time.perf_counter()
                call()
                seconds = time.perf_counter() - start
                best = min(best, seconds)
                calls += CALLS if seconds > TURN else 1
            turns[name].append(best)
    return turns


def import_torch():
    """torch with as many threads as dlx has, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(_core.num_threads())
    return torch


def compared(name, subject):
    """Run every rival once; AssertionError where a result differs from dlx's."""
    arrays = {rival: _arrays(call()) for rival, call in subject.calls.items()}
    ours = arrays.pop(DLX)
    for rival, theirs in arrays.items():
        assert len(ours) == len(theirs), f"{name}: {len(ours)} results, {rival} has {len(theirs)}"
        for a, b in zip(ours, theirs):
            assert a.shape == b.shape, f"{name}: {a.shape}, {rival} has {b.shape}"
            if not b.size:
                continue
            difference = np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-30)
            assert difference <= subject.tolerance, f"{name}: {rival} differs by {difference:.2g}"


def _arrays(result):
    """NumPy arrays of a tensor or a tuple of tensors, of dlx or PyTorch, or of numbers."""
    if isinstance(result, (tuple, list)):
        return [a for part in result for a in _arrays(part)]
    if hasattr(result, "detach"):
        result = result.detach()
    if str(getattr(result, "dtype", "")).endswith("bfloat16"):  # NumPy has none
        result = result.float() if hasattr(result, "float") else result.astype("float32")
    return [np.asarray(result.numpy() if hasattr(result, "numpy") else result)]


def gradients_of(y, tensors, dy):
    """A call that returns the gradients of `tensors`, given that of their result y."""

    def run():
        for t in tensors:
            t.grad = None
        y.backward(dy, retain_graph=True)
        return tuple(t.grad for t in tensors)

    return run


def limit_of(subject, limits):
    """Seconds at the multiply-adds' peak or at the bandwidth of this mix, whichever is longer."""
    seconds = subject.flops / (limits[f"gflops_{subject.dtype}"] * 1e9)
    if sum(subject.traffic):
        seconds = max(seconds, sum(subject.traffic) / (1e9 * bandwidth(*subject.traffic)))
    return seconds


# Arrays read and written, by which bandwidth is measured; the fewest that express a mix.
MIXES = sorted(((r, w) for r in range(5) for w in range(4) if r + w), key=sum)


def bandwidth(read, written):
    """GB/s of reads and writes in about these proportions over as many bytes (to a quarter of a
    power of 2), with ordinary or streaming stores, whichever is faster."""
    reads, writes = min(MIXES, key=lambda m: abs(m[1] / sum(m) - written / (read + written)))
    megabytes = (read + written) / 1e6 / (reads + writes)  # of each array
    return _measured(reads, writes, 2 ** (round(4 * math.log2(max(megabytes, 0.02))) / 4))


@functools.cache
def _measured(reads, writes, megabytes):
    return max(
        _core.measure_bandwidth(reads, writes, megabytes, streaming)
        for streaming in ((False, True) if writes else (False,))
    )
