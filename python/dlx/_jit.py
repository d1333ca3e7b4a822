"""dlx.jit: a function is recorded while it runs eagerly, and replayed without Python.

Call 1 of a function with arguments of some shapes runs as it stands and makes what is made once
(lazy layers, optimizer state, gradients). Calls 2 and 3 run as they stand, too, while a recorder at
the door writes down every launch. Where both records are equal, later calls run that record: the
same kernels on the same numbers in the same order, in planned memory, in one native call. What
cannot be replayed goes on running eagerly, and one warning says why.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict, namedtuple
from contextlib import nullcontext

from dlx import _core, _device
from dlx._jit_kind import kind_of, others
from dlx._jit_reach import Reach
from dlx._jit_result import Result
from dlx._jit_view import Program

__all__ = ["CacheInfo", "Jitted", "jit"]

CacheInfo = namedtuple("CacheInfo", "hits records replays")

_MODES = ("off", "nofuse", "on", "strict")
_MOST_KEYS = 16  # kinds of calls that one function remembers
_MOST_RECORDS = 6  # that differ, one after another, before a function is left to run eagerly

_thread = threading.local()  # .recording: the function being recorded
_one_recording = threading.Lock()


def jit(function=None, *, memory_limit=None, cuda_graph=True):
    """Record `function` while it runs, then replay it natively: `@dlx.jit` or `dlx.jit(f)`.

    function: a function, method or Module that computes with Tensors: a training step with
    `backward()` and `optimizer.step()`, an inference, anything. It may use Tensors, Modules,
    optimizers, numbers and functions that are arguments (also inside tuples, lists and dicts),
    closed over, global, or attributes of such objects. Results and all state equal those of eager
    calls in every bit: parameters, buffers, `.grad`, optimizer state, the generator.

    A call is replayed when one with Tensors of the same shapes, dtypes and devices and with equal
    other arguments was recorded twice with equal results at the door, and no number, object or
    mode that it uses has changed since; else it is recorded anew. Other arguments must be
    hashable (TypeError). What cannot be replayed runs eagerly, with one RuntimeWarning that names
    the op, the line and the way out: a value read by Python (`.item()`, `.numpy()`, `if x:`), a
    result whose shape depends on values, hooks, Python state that the function itself changes,
    random numbers of Python or NumPy, a returned Tensor whose graph is still open.

    memory_limit: bytes, or "64MB" ("B", "KB", "MB", "GB", powers of 1000), for what a replay holds
    beside arguments and state: `memory["arena_bytes"] + memory["result_bytes"]`. What is cheapest
    to compute again is not kept until it fits, without which only passes of one op (relu, batch
    norm) are. Where it does not fit, the step runs eagerly, and a RuntimeWarning says how much it
    takes at least.

    cuda_graph: on a GPU, False gives it the launches of a replay one by one, not as the graph that
    it has got once: the same bits, and a way to measure what the graph saves.

    `DLX_JIT=off` runs everything eagerly, `strict` makes every such fallback a RuntimeError,
    `nofuse` leaves every launch as it was recorded: the same bits, and slower.

    Raises TypeError where `function` is not callable, ValueError for another memory_limit.
    """
    limit = _bytes_of(memory_limit)
    if function is None:
        return lambda function: jit(function, memory_limit=memory_limit, cuda_graph=cuda_graph)
    if not callable(function):
        raise TypeError(f"jit: expected a function or Module, got {type(function).__name__}")
    if isinstance(function, Jitted):
        as_it_is = not limit and cuda_graph
        return function if as_it_is else Jitted(function.__wrapped__, limit, cuda_graph)
    return Jitted(function, limit, cuda_graph)


def _bytes_of(limit):
    """memory_limit as a number; 0: no limit."""
    if limit is None:
        return 0
    number, unit = limit, "B"
    if isinstance(limit, str):
        digits = limit.rstrip("BKMGbkmg ")
        number, unit = digits, limit[len(digits) :].strip().upper() or "B"
    try:
        found = int(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
    except (KeyError, OverflowError, TypeError, ValueError):
        found = 0
    if found < 1 or isinstance(limit, bool):
        raise ValueError(f'jit: memory_limit must be bytes or like "64MB", got {limit!r}')
    return found


def _mode():
    """The value of DLX_JIT, "on" without one."""
    value = os.environ.get("DLX_JIT", "on") or "on"
    if value not in _MODES:
        raise ValueError(f"DLX_JIT: expected one of {', '.join(_MODES)}, got {value!r}")
    return value


class Jitted(_core.JittedBase):
    """A function under `dlx.jit`. `cache_info()` counts calls whose kind was known, recordings and
    replays; `program` is the latest recorded step, as text when printed; `memory` its bytes."""

    _keeps_records = False  # for check_again

    def __init__(self, function, memory_limit=0, cuda_graph=True):
        self.__wrapped__ = function
        self._memory_limit = memory_limit
        self._cuda_graph = bool(cuda_graph)
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__module__ = getattr(function, "__module__", None)
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self._entries = OrderedDict()
        self._records = 0  # the base class counts hits and replays
        self._latest = None
        self._mode = _mode()
        self._warned = False

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        from types import MethodType

        return MethodType(self, instance)

    def __repr__(self):
        return f"dlx.jit({self.__wrapped__!r})"

    def cache_info(self) -> CacheInfo:
        """(hits, records, replays): calls of a known kind, those recorded, those replayed."""
        return CacheInfo(self._hits, self._records, self._replays)

    def cache_clear(self) -> None:
        """Forget all records."""
        self._entries.clear()
        self._latest = self._replayed_call = None

    def _check_again(self):
        """The next call of each kind runs eagerly and is recorded. Where it does something else
        than what is replayed, this function runs eagerly from then on, and `_disagree` says so."""
        for entry in self._entries.values():
            entry.due = True
        self._replayed_call = None

    @property
    def program(self):
        """The latest recorded step: every launch with shapes, bytes and its place in memory.

        Raises RuntimeError while there is none."""
        if self._latest is None:
            raise RuntimeError(f"{self.__name__}: nothing is recorded yet; the third call is")
        return self._latest

    @property
    def memory(self) -> dict[str, int]:
        """Of the latest recorded step: launches, dead_launches, and bytes: arena_bytes of what
        lives inside of it, unplanned_bytes that this would take with a place for each,
        result_bytes of what it returns or leaves behind. On a GPU graph_captures and
        graph_replays as CUDA graphs, and graph_bytes of the memory that is theirs alone."""
        return self.program.memory

    def _call_in_python(self, *args, **kwargs):
        """A call that the latest ReplayedCall does not take."""
        self._replayed_call = None  # it is that of the kind of call that came last
        if self._mode == "off" or getattr(_thread, "recording", None) is not None:
            return self.__wrapped__(*args, **kwargs)
        tensors = []
        kind = (
            kind_of(args, tensors, "argument"),
            kind_of(kwargs, tensors, "argument") if kwargs else None,
            _core.recording(),
            _device.default_device().code,
            _core.exact_precision(),
        )
        entry = self._entries.get(kind)
        if entry is not None:
            self._hits += 1
            self._entries.move_to_end(kind)
            return entry.call(self, tensors, args, kwargs)
        self._entries[kind] = _Entry()
        if len(self._entries) > _MOST_KEYS:
            self._entries.popitem(last=False)
        return self.__wrapped__(*args, **kwargs)

    def _fall_back(self, reason):
        text = f"dlx.jit: {self.__name__} runs eagerly: {reason}"
        if self._mode == "strict":
            raise RuntimeError(text)
        if not self._warned:
            self._warned = True
            warnings.warn(text, RuntimeWarning, stacklevel=7)

    def _disagree(self, difference):
        self._fall_back(difference)

    def _watch(self):
        """Entered while a call is recorded; gives an object whose `objection` is None, or says why
        the call is not to be replayed."""
        return nullcontext(_NO_OBJECTION)


class _NoObjection:
    objection = None


_NO_OBJECTION = _NoObjection()


class _Entry:
    """What is known of the calls of one kind."""

    def __init__(self):
        self.records = 0  # since the last replay
        self.reason = None  # why it runs eagerly
        self.latest = None  # (recording, reach, result) of the call before
        self.program = None  # (replay, reach, result)
        self.replayed = None  # what it was made from: (recording, reach, result)
        self.parts = None  # what a ReplayedCall makes the result of
        self.replayed_call = None  # of the program
        self.due = False  # to be compared with another record

    def call(self, jitted, tensors, args, kwargs):
        program = self.program
        if program is not None:
            replay, reach, result = program
            if reach.changed() is None:
                if self.due and not replay.misfit(tensors):
                    return self.alone(self.check, jitted, tensors, args, kwargs)
                if self.replayed_call is None and self.parts is not None:
                    self.replayed_call = _core.ReplayedCall(
                        replay, reach, self.parts, args, kwargs, _device._defaults
                    )
                returned = replay.replay(tensors)
                if type(returned) is list:
                    self.records = 0
                    jitted._replays += 1
                    jitted._replayed_call = self.replayed_call
                    return result.rebuild(returned, tensors)
                if returned is None:  # another thread replays it
                    return jitted.__wrapped__(*args, **kwargs)
            self.program = self.replayed = self.replayed_call = None
        if self.reason is not None:
            return jitted.__wrapped__(*args, **kwargs)
        return self.alone(self.record, jitted, tensors, args, kwargs)

    def alone(self, method, jitted, tensors, args, kwargs):
        """method(jitted, tensors, args, kwargs), or an eager call while another thread records."""
        if not _one_recording.acquire(blocking=False):
            return jitted.__wrapped__(*args, **kwargs)
        try:
            return method(jitted, tensors, args, kwargs)
        finally:
            _one_recording.release()

    def record(self, jitted, tensors, args, kwargs):
        """Run and record the call; after two equal ones there is a program."""
        self.due = False
        try:
            value, reason, latest = self.run_recorded(jitted, tensors, args, kwargs)
        except BaseException:
            self.latest = None
            raise
        if reason:
            self.refuse(jitted, reason)
            return value
        before, self.latest = self.latest, latest
        difference = _difference(before, latest) if before else "it was recorded once"
        if difference is None:
            recording, reach, result = latest
            try:
                options = jitted._mode != "nofuse", jitted._memory_limit, jitted._cuda_graph
                self.program = _core.Replay(recording, *options), reach, result
            except RuntimeError as error:
                self.refuse(jitted, str(error))
                return value
            self.parts = result.parts()
            self.replayed = latest if jitted._keeps_records else None
            self.latest = None
            jitted._latest = Program(self.program[0])
        elif self.records >= _MOST_RECORDS:
            self.refuse(jitted, f"each call does something else: {difference}")
        return value

    def check(self, jitted, tensors, args, kwargs):
        """Run and record a call that could be replayed, and compare."""
        self.due = False
        value, reason, latest = self.run_recorded(jitted, tensors, args, kwargs)
        reason = reason or _difference(self.replayed, latest)
        if reason:
            self.forget(reason)
            jitted._disagree(reason)
        return value

    def run_recorded(self, jitted, tensors, args, kwargs):
        """What the call returned; why it cannot be replayed, or ""; (recording, reach, result)."""
        function = jitted.__wrapped__
        jitted._records += 1
        self.records += 1
        roots = [function, *others(args), *others(kwargs)]
        before = self.latest or self.replayed
        known = self.latest and self.latest[1]
        reach = known if known and known.serves(roots, tensors) else Reach(roots, tensors)
        if reach.refusal:
            return function(*args, **kwargs), reach.refusal, None
        reach.prepare()
        recording = _core.Recording(
            [*tensors, *reach.tensors], len(tensors), reach.arguments,
            before and before[0], self.replayed is not None,
        )  # fmt: skip
        _thread.recording = jitted
        recording.start()
        try:
            with jitted._watch() as watch:
                value = function(*args, **kwargs)
        finally:
            recording.stop()
            _thread.recording = None
        result = Result(value, tensors, reach.tensors)
        reason = (
            watch.objection
            or reach.changed_by_call()
            or result.refusal
            or recording.finish(result.tensors)
            or reach.reads_large_array(recording.line_of_numbers())
        )
        if not reason and recording.escaped():
            import gc

            gc.collect()
            reason = recording.escaped()
        if not reason:
            recording.settle()
            result.settle()
        return value, reason, (recording, reach, result)

    def refuse(self, jitted, reason):
        self.forget(reason)
        jitted._fall_back(reason)

    def forget(self, reason):
        self.latest = self.program = self.replayed = self.replayed_call = None
        self.reason = reason


def _difference(before, now):
    """Of two calls (recording, reach, result); None where both did the same."""
    if before[1].difference(now[1]):
        return before[1].difference(now[1])
    if before[2].template != now[2].template:
        return "what it returns"
    return before[0].difference(now[0]) or None
