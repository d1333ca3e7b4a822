"""What a function can reach: the Tensors, Modules and optimizers that it may use as state, and the
numbers and objects on which its course depends, with a guard on each."""

from __future__ import annotations

import functools
import sys
from array import array
from collections import deque
from itertools import islice
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

from dlx import _core, random
from dlx._core import is_simple

__all__ = ["Reach"]

_MOST_ITEMS = 256  # of one dict or list that are looked at
_MOST_OBJECTS = 50_000
_MOST_BYTES = 1 << 20  # of a NumPy array that is compared at each call
_ITEM, _SIZE = "[{!r}]", "the number of items"  # forms of names
_MISSING = NotImplemented  # the guard's word for an item that is not there


class Reach:
    """What the roots can reach. `tensors`: no arguments; `arguments`: the numbers of those that
    are reached, too. `refusal`: why the function cannot be recorded, or None."""

    def __init__(self, roots, arguments):
        from dlx.nn.module import Module
        from dlx.optim.optimizer import Optimizer

        self._module, self._optimizer = Module, Optimizer
        self._roots = roots
        self.refusal = None
        self.tensors, self.arguments, self.optimizers = [], [], []
        self._watched = []  # (object, what shows its state, the state, name)
        self._large_array = None
        self.guards = _core.Guards()
        self._seen, self._classes = {}, set()
        self._own = {id(t): i for i, t in enumerate(arguments)}
        self._visit(random._cell, "the generator")
        self._queue = [(root, "") for root in roots]
        while self._queue:
            value, name = self._queue.pop()
            self._visit(value, name)
        for optimizer, _ in self.optimizers:
            for tensor in optimizer._tensors():
                self._visit(tensor, "optimizer state")
        self._seen = self._classes = None  # the guards hold what they need
        self._randomness = _states_of_other_generators()

    # Walking

    def _visit(self, value, name):
        if id(value) in self._seen or is_simple(value):
            return
        self._seen[id(value)] = value  # held: no other object takes its id
        if len(self._seen) > _MOST_OBJECTS:
            text = _text_of(name)
            self.refusal = f"it can reach more than {_MOST_OBJECTS} objects, {text} among them"
            self._queue.clear()
        elif isinstance(value, _core.TensorBase):
            if id(value) in self._own:
                self.arguments.append(self._own[id(value)])
            else:
                self.tensors.append(value)
        elif isinstance(value, self._optimizer):
            value._prepare_step()  # changed hyperparameters may make new state
            self.optimizers.append((value, value._plan_version))
        elif isinstance(value, self._module):
            if value._forward_hooks or value._forward_pre_hooks:
                text = _text_of(name) or type(value).__name__
                self.refusal = f"{text} has hooks, which Python runs"
            self._visit_items(vars(value), vars(value), name)
            self._visit_class(type(value))
        elif isinstance(value, dict):
            self._visit_items(value, value, name, _ITEM)
        elif isinstance(value, list):
            self._visit_items(value, dict(enumerate(value[:_MOST_ITEMS])), name, _ITEM)
        elif isinstance(value, (tuple, frozenset)):
            self._queue.extend((v, (name, _ITEM, i)) for i, v in enumerate(value))
        elif isinstance(value, (set, deque)):
            self._queue.extend((v, (name, _ITEM, i)) for i, v in enumerate(value))
            self._watch(value, _items_of, name)
        elif isinstance(value, (bytearray, array)):
            self._watch(value, bytes, name)
        elif isinstance(value, FunctionType):
            self._visit_function(value)
        elif isinstance(value, MethodType):
            self._queue += [(value.__func__, name), (value.__self__, name)]
        elif isinstance(value, functools.partial):
            self._queue += [(value.func, name), (value.args, name), (value.keywords, name)]
        elif isinstance(value, type):
            self._visit_class(value)
        elif isinstance(value, (BuiltinFunctionType, ModuleType, CodeType)):
            pass
        elif type(value).__module__ == "numpy" and hasattr(value, "nbytes"):
            self._visit_array(value, name)
        elif hasattr(value, "bit_generator"):  # NumPy's Generator
            self._watch(value, lambda g: repr(g.bit_generator.state), name)
        elif hasattr(value, "__wrapped__"):  # a Jitted among them
            self._queue.append((value.__wrapped__, name))
        elif not _is_library(type(value).__module__):
            if hasattr(value, "getstate"):  # a generator of Python's
                self._watch(value, type(value).getstate, name)
            if hasattr(value, "__dict__"):
                self._visit_items(vars(value), vars(value), name)
            self._visit_slots(value, name)
            self._visit_class(type(value))

    def _visit_items(self, container, items, name, form=".{}"):
        if len(items) > _MOST_ITEMS:
            items = dict(islice(items.items(), _MOST_ITEMS))
        self._queue += self.guards.add_items(container, items, name, form, _SIZE)

    def _visit_array(self, value, name):
        if value.nbytes > _MOST_BYTES:
            self._large_array = name
        else:
            self._watch(value, lambda a: (a.dtype.str, a.shape, a.tobytes()), name)

    def _visit_slots(self, value, name):
        for base in type(value).__mro__:
            slots = vars(base).get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot) and not slot.startswith("__"):
                    below, found = (name, ".{}", slot), getattr(value, slot)
                    self.guards.add(value, slot, found, below)
                    self._queue.append((found, below))

    def _visit_class(self, cls):
        if cls in self._classes:
            return
        self._classes.add(cls)
        for base in cls.__mro__:
            if _is_library(base.__module__) or base.__module__ in ("builtins", "abc", "typing"):
                continue
            for name, value in vars(base).items():
                below = f"{base.__name__}.{name}"
                inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
                is_function = isinstance(inner, FunctionType)
                if name.startswith("__") and not is_function:
                    continue
                if getattr(base, name, _MISSING) is value:
                    self.guards.add(base, name, value, below)
                if is_function or inner is value:
                    self._queue.append((inner, below))

    def _visit_function(self, function):
        inside = _is_library(function.__module__)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=False
        ):
            try:
                value = cell.cell_contents
            except ValueError:  # empty: not yet assigned
                continue
            self.guards.add(cell, 0, value, name)
            self._queue.append((value, name))
        if inside:
            return
        self._queue += [(v, function.__name__) for v in function.__defaults__ or ()]
        self._queue += [(v, function.__name__) for v in (function.__kwdefaults__ or {}).values()]
        if not _reads_any(function.__code__, function.__globals__):
            return
        for path in _global_paths(function.__code__):
            container = function.__globals__
            for depth, name in enumerate(path):
                if name not in container:
                    break
                value, where = container[name], ".".join(path[: depth + 1])
                if not isinstance(value, ModuleType):
                    self.guards.add(container, name, value, where)
                    self._queue.append((value, where))
                    break
                if _is_library(value.__name__) or value.__name__.partition(".")[0] == "numpy":
                    break
                container = vars(value)

    def _watch(self, value, state_of, name):
        self._watched.append((value, state_of, state_of(value), name))

    # Judging

    def prepare(self):
        """Bring the optimizers' learning rates into their buffers."""
        self._steps = [o._prepare_step() for o, _ in self.optimizers]

    def serves(self, roots, arguments):
        """Whether a walk from these roots would find the same again."""
        same = len(roots) == len(self._roots) and all(map(_is_same, roots, self._roots))
        if not same or self.arguments or self.changed() is not None:
            return False
        own = {id(t) for t in arguments}
        if any(id(t) in own for t in self.tensors):
            return False
        self._randomness = _states_of_other_generators()
        return True

    def _name_of(self, guard):
        return _text_of(self.guards.name(guard))

    def changed(self):
        """What is no longer as it was, or None; the optimizers are prepared for their step."""
        broken = self.guards.broken()
        if broken >= 0:
            return self._name_of(broken)
        for value, state_of, before, name in self._watched:
            if state_of(value) != before:
                return _text_of(name)
        for optimizer, version in self.optimizers:
            if optimizer._plan_version != version or not optimizer._is_planned():
                return f"the {type(optimizer).__name__}'s hyperparameters"
            optimizer._prepare_step()
            if optimizer._plan_version != version:
                return f"the {type(optimizer).__name__}'s state"
        return None

    def quick_guards(self):
        """Once changed() has found nothing: guards that, while they and `guards` hold, tell that it
        would find nothing and prepare nothing again; None where guards cannot tell."""
        if self._watched:
            return None
        quick = _core.Guards()
        for optimizer, _ in self.optimizers:
            groups = optimizer.param_groups
            if not _is_library(type(optimizer).__module__) or optimizer._has_schedule():
                return None
            own = vars(optimizer)
            for name in ("_plan_version", "param_groups", "_hypers", "_rates", "_decays"):
                quick.add(own, name, own[name], name)
            quick.add(groups, None, len(groups), "groups")
            for number, group in enumerate(groups):
                quick.add(groups, number, group, "group")
                quick.add(group, None, len(group), "group")
                for name, value in group.items():
                    if name == "params":
                        continue
                    if not is_simple(value):
                        return None
                    quick.add(group, name, value, name)
        return quick

    def changed_by_call(self):
        """A refusal where the call itself changed what it can reach."""
        broken = self.guards.broken()
        if broken >= 0:
            return (
                f"it changes {self._name_of(broken)}, which a replay would not: keep "
                "it in a Tensor, or change it outside"
            )
        for value, state_of, before, name in self._watched:
            if state_of(value) != before:
                return f"it changes {_text_of(name)}, which a replay would not: keep it in a Tensor"
        if _states_of_other_generators() != self._randomness:
            return "it draws random numbers from Python or NumPy: draw them with dlx.random"
        for (optimizer, version), before in zip(self.optimizers, self._steps, strict=True):
            if optimizer._plan_version != version:
                return f"it changes the {type(optimizer).__name__}'s plan of steps"
            if optimizer._has_schedule() and optimizer._steps_done() > before + 1:
                return (
                    f"{type(optimizer).__name__}, whose lr is a function, steps more than once: "
                    "make each step a call of its own"
                )
        return None

    def reads_large_array(self, line):
        """A refusal where Python made a Tensor, at `line`, maybe of an array too large to guard."""
        if line and self._large_array is not None:
            return (
                f"Python makes numbers into a Tensor at {line}, and can reach "
                f"{_text_of(self._large_array)}, "
                f"an array of more than {_MOST_BYTES} bytes that is not guarded: make the Tensor "
                "outside"
            )
        return None

    def difference(self, later):
        """Why what a later call could reach is something else, or None."""
        ids = [[id(t) for t in reach.tensors] for reach in (self, later)]
        if ids[0] != ids[1] or sorted(self.arguments) != sorted(later.arguments):
            return "the Tensors that it can reach"
        broken = self.guards.broken()
        return self._name_of(broken) if broken >= 0 else None


def _text_of(name):
    """A text, or (name, form, key) of what lies below it."""
    if isinstance(name, str):
        return name
    above, form, key = name
    above = _text_of(above)
    if form is _SIZE:
        return f"the number of items of {above}"
    return above + form.format(key) if above else str(key)


def _is_same(a, b):
    return a is b or is_simple(a)  # calls of one kind have equal ones


def _items_of(container):
    return [item if is_simple(item) else id(item) for item in container]


def _is_library(module):
    return module is not None and (module == "dlx" or module.startswith("dlx."))


def _reads_any(code, names):
    """Whether the code may read any of these global names: reading its instructions takes long."""
    return any(name in names for name in code.co_names) or any(
        isinstance(c, CodeType) and _reads_any(c, names) for c in code.co_consts
    )


@functools.lru_cache(maxsize=4096)
def _global_paths(code):
    """Global names that the code reads, with the attributes read from each: ("config", "lr")."""
    import dis

    paths, path = {}, None
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            path = (step.argval,)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and path:
            path = (*path, step.argval)
        else:
            path = None
        if path:
            paths[path] = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            paths.update(dict.fromkeys(_global_paths(constant)))
    return tuple(paths)


def _states_of_other_generators():
    states = []
    if (python := sys.modules.get("random")) is not None:
        states.append(python.getstate())
    if (numpy := sys.modules.get("numpy.random")) is not None:
        _, key, *rest = numpy.get_state(legacy=True)
        states.append((key.tobytes(), *rest))
    return states
