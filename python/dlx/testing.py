"""Helpers for tests of dlx and of code that uses it."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager

from dlx import _core
from dlx.interop.safetensors import bytes_of

__all__ = [
    "algorithms",
    "closed_door",
    "disable_fork_handler",
    "disable_free_list",
    "disable_parking",
    "force",
    "forced_grain",
    "latest_algorithm",
    "poison_outputs",
    "split_by_threads",
    "weight_hash",
    "workers_used",
]


def weight_hash(model):
    """16 hex digits that name the weights: equal for equal bits, whatever machine or thread count.

    The start of SHA-256 over the entries of model.state_dict(), or of a dict of Tensors, sorted by
    key. An entry is UTF-8 text, then bytes: key, NUL, dtype ("float32"), NUL, shape (the extents in
    decimal with "x" between, empty for a scalar), NUL, and the values row-major and little-endian.
    """
    tensors = model if isinstance(model, dict) else model.state_dict()
    digest = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key]
        shape = "x".join(map(str, tensor.shape))
        digest.update(f"{key}\0{tensor.dtype}\0{shape}\0".encode())
        digest.update(bytes_of(tensor))
    return digest.hexdigest()[:16]


# The rest are levers: each breaks a promise, so that the test of it can be seen to fail, or makes
# visible what the promise rests on. They act on the whole process while the `with` lasts.


def algorithms():
    """{op: names of its algorithms}, of the native ops that choose among several by shape."""
    return dict(_core.algorithms())


def _algorithms_of(asked, op):
    names = algorithms()
    if op not in names:
        raise ValueError(f"{asked}: expects one of {sorted(names)}, got {op!r}")
    return names[op]


def latest_algorithm(op):
    """The algorithm by which `op` ran last in this process; None if it has not run.

    A replay of dlx.jit runs what was chosen while it was recorded. Raises ValueError if the op is
    none of `algorithms()`.
    """
    names = _algorithms_of("latest_algorithm", op)
    index = _core.latest_algorithm(op)
    return None if index < 0 else names[index]


@contextmanager
def force(op, algorithm):
    """Run `op` by `algorithm` wherever that applies, whatever its table would choose.

    Yields a list, to which the number of times that it was taken is appended at the end. Raises
    ValueError if the op or the algorithm is none of `algorithms()`. Not for use beside other
    threads that run ops.
    """
    names = _algorithms_of("force", op)
    if algorithm not in names:
        raise ValueError(f"force: {op} has {names}, got {algorithm!r}")
    taken = []
    _core.force_algorithm(op, names.index(algorithm))
    try:
        yield taken
    finally:
        taken.append(_core.force_algorithm(op, -1))


@contextmanager
def forced_grain(n):
    """Cut work whose result does not depend on it into chunks of at most n items."""
    before = _core.hook_forced_grain(n)
    try:
        yield
    finally:
        _core.hook_forced_grain(before)


def workers_used():
    """How many threads ran chunks of this thread's latest parallel loop."""
    return _core.workers_used()


@contextmanager
def poison_outputs():
    """Fill the memory of new arrays with 0xFF bytes, NaN in every floating dtype.

    At the end, RuntimeError where anything wrote up to 64 bytes behind an array.
    """
    before = _core.hook_poison_outputs(True)
    try:
        yield
        _core.check_guards()
    finally:
        _core.hook_poison_outputs(before)


@contextmanager
def closed_door():
    """Every native op raises, in every thread: what runs all the same runs below Python."""
    _core.close_door(True)
    try:
        yield
    finally:
        _core.close_door(False)


def split_by_threads():
    """Cut all work into as many chunks as there are threads: results depend on their number."""
    return _switched(_core.hook_split_by_threads)


def disable_parking():
    """Threads without work spin for ever, in the way of whatever else runs on their cores."""
    return _switched(_core.hook_disable_parking)


def disable_fork_handler():
    """A forked child believes that its parent's workers still live."""
    return _switched(_core.hook_disable_fork_handler)


def disable_free_list():
    """Released memory is neither reused nor given back."""
    return _switched(_core.hook_disable_free_list)


@contextmanager
def _switched(hook):
    before = hook(True)
    try:
        yield
    finally:
        hook(before)
