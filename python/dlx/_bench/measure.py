"""What a row is, how its rivals are compared and timed, and what the machine could do at best."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import dlx
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
class Pass:
    """Over memory: bytes read and written."""

    read: float
    written: float
    apart: bool = True  # as many arrays as that takes, all of a size; or one read and one written


@dataclass(frozen=True)
class Subject:
    """A row ready to run: rivals that compute the same, and what that takes at least."""

    calls: dict[str, Callable[[], Any]]  # each returns its result, a tensor or a tuple of them
    flops: float = 0.0
    passes: tuple[Pass, ...] = ()  # one after the other
    tolerance: float = 1e-4  # of max|a - b| / max|b|
    dtype: str = "float32"  # whose peak is the limit
    skipped: dict[str, str] = field(default_factory=dict)  # rivals that cannot run here, and why

    def bytes(self):
        return sum(p.read + p.written for p in self.passes)


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


def interleave(rivals, rounds, after_each=None):
    """{name: seconds of the fastest call of each turn}; the rivals take turns of TURN at least.
    after_each: called after every round.

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
        if after_each:
            after_each()
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


# Parts read and written, by which bandwidth is measured; the fewest that express a mix.
MIXES = sorted(((r, w) for r in range(5) for w in range(5) if r + w), key=sum)


class Limit:
    """What a subject would take at best, measured in the turns of its rivals: cores and memory are
    as fast as other users of the host leave them, which changes from one second to the next."""

    def __init__(self, subject):
        self._computing = _Computing(subject.dtype, subject.flops) if subject.flops else None
        self._moving = [_Moving(p) for p in subject.passes]

    def turn(self):
        if self._computing:
            self._computing.turn()
            if self._computing.seconds > 2 * self._memory():
                return  # no need to measure the memory again
        for moving in self._moving:
            moving.turn()

    def seconds(self):
        """Of the multiply-adds or of the passes, whichever is longer; None where nothing is
        known."""
        return max(self._computing.seconds if self._computing else 0, self._memory()) or None

    def _memory(self):
        return sum(moving.seconds for moving in self._moving)


class _Computing:
    """As many multiply-adds, in registers."""

    def __init__(self, dtype, flops):
        self._dtype, self._flops = getattr(dlx, dtype), flops
        self.seconds = math.inf

    def turn(self):
        time.sleep(REST)
        gflops = _core.measure_gflops(self._dtype, self._flops, TURN)
        self.seconds = min(self.seconds, self._flops / (1e9 * gflops))


class _Moving:
    """Reads and writes in about the proportions of a pass, over as many bytes."""

    def __init__(self, one):
        self._bytes = one.read + one.written
        share = one.written / self._bytes
        reads, writes = min(MIXES, key=lambda m: abs(m[1] / sum(m) - share))
        size = max(math.ceil(self._bytes / (reads + writes)), 1)
        self._bandwidth = _core.Bandwidth(reads, writes, size, one.apart)
        self.seconds = math.inf

    def turn(self):
        time.sleep(REST)
        gbs = self._bandwidth.measure(TURN / 6)  # which has six ways
        self.seconds = min(self.seconds, self._bytes / (1e9 * gbs))
