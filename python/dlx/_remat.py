"""dlx.remat: a function's intermediate values are computed again in backward instead of kept.

The first run records a graph as always, which is then let go: in its place stands one node, with
the function's arguments. Backward runs the function again, with the world as it was: the random
numbers, the buffers that it writes. Then the walk goes on through the graph of that second run, so
that gradients are added up in the order that they have without remat.
"""

from __future__ import annotations

from types import MethodType

from dlx import _core, random
from dlx._rules import Rule
from dlx.autodiff import carry_up, enable_grad, nodes_above, record

__all__ = ["remat"]


def remat(function):
    """Recompute in backward what `function` computes, instead of keeping it: `@dlx.remat` or
    `dlx.remat(f)`.

        for block in self.blocks:
            x = dlx.remat(block.forward)(x)  # kept: x alone

    function: any function of Tensors, also nested in tuples, lists and dicts, or a Module. Of a
    function it returns another one; a Module stays the object that it is, and from now on
    recomputes its forward, so that it may stand in a Sequential. Of each call, from forward to
    backward, only arguments, results and what else the function reads stay in memory; backward
    computes the rest again, a call at a time. Results, gradients of any order, buffers and the
    generator are those without remat, in every bit: what the second run writes is undone. A call in
    which lazy layers get their parameters is kept as a whole.

    The function has to do the same again. Raises RuntimeError in backward where the second run
    launches other ops or reads Tensors that have been written in between, and in forward where it
    writes in place to an outer Tensor that requires a gradient; TypeError for what cannot be
    called.
    """
    from dlx.nn import Module

    if isinstance(function, Module):
        if not isinstance(vars(function).get("forward"), Remat):
            function.forward = Remat(_Forward(function))
        return function
    if not callable(function):
        raise TypeError(f"remat: expected a function or Module, got {type(function).__name__}")
    return function if isinstance(function, Remat) else Remat(function)


class _Forward:
    """The forward of a Module's class, whichever that is by now: lazy layers change theirs."""

    def __init__(self, module):
        self.module, self.__name__ = module, type(module).__name__

    def __call__(self, *args, **kwargs):
        return type(self.module).forward(self.module, *args, **kwargs)


class Remat:
    """A function under `dlx.remat`."""

    def __init__(self, function):
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __get__(self, instance, owner=None):
        return self if instance is None else MethodType(self, instance)

    def __repr__(self):
        return f"dlx.remat({self.__wrapped__!r})"

    def __call__(self, *args, **kwargs):
        function = self.__wrapped__
        if not _core.recording():
            return function(*args, **kwargs)
        from dlx.nn.lazy import Lazy

        tensors, outputs = [], []
        call = _Call(function, _taken((args, kwargs), tensors), self.__name__)
        inputs = [_core.as_it_is(x) for x in tensors]
        start, layers_made = _core.next_node_sequence(), Lazy.layers_made
        with call.first_run():
            value = function(*args, **kwargs)
        if Lazy.layers_made != layers_made:
            return value  # that happens once: its graph is kept
        result = _taken(value, outputs)
        call.check_writes(start)
        inside = [_is_inside(y, start) for y in outputs]
        made = [y for y, is_inside in zip(outputs, inside) if is_inside]
        if made:
            call.inside = inside
            known = {(x.node, x.output_index) for x in inputs}
            for place in _edges_out([y.node for y in made], start):
                node, index = place
                tensor = node.leaf if node.rule is None else node.outputs[index]
                if place not in known and tensor is not None:
                    inputs.append(tensor)
            made = tuple([y.detach() for y in made])
            record(_rule, tuple(inputs), made, (call,))
            made = iter(made)
            outputs = [next(made) if is_inside else y for y, is_inside in zip(outputs, inside)]
        return _given(result, outputs)


class _Rule(Rule):
    """Of the node that stands for a call."""

    __slots__ = ()
    expands = True

    def expand(self, node, gradients):
        """[(place, gradient)] of the outputs of a second run."""
        outputs = node.attrs[0].run_again(node.inputs)
        return [
            ((y.node, y.output_index), g)
            for y, g in zip(outputs, gradients)
            if g is not None and y.node is not None
        ]

    def jvp(self, node, tangents):
        outputs = node.attrs[0].run_again(node.inputs)
        edges = node.edges
        moving = {edge: t for edge, t in zip(edges, tangents) if edge is not None}
        nodes, _ = nodes_above(outputs, [edge[0] for edge in moving])
        carry_up(nodes, moving)
        return [moving.get((y.node, y.output_index)) for y in outputs]


_rule = _Rule("remat", -1, 0)


class _Call:
    """What it takes to run a function again as it ran."""

    __slots__ = ("arguments", "effects", "function", "generator", "inside", "name", "writes")

    def __init__(self, function, arguments, name):
        self.function, self.arguments, self.name = function, arguments, name

    def first_run(self):
        self.effects = _core.Effects(None)
        self.generator = _core.detach(random._cell)
        return _Running(self.effects, self._keep_writes)

    def _keep_writes(self):
        from weakref import ref

        self.writes = [(ref(cell), before) for cell, before in self.effects.writes(True)]
        self.effects.forget_writes()

    def check_writes(self, start):
        """A write to what is part of the graph outside would be a second way to the results."""
        for _, before in self.writes:
            if before.requires_grad and not _is_inside(before, start):
                raise RuntimeError(
                    f"remat: {self.name} writes in place to a Tensor of shape {before.shape} from "
                    "outside that requires a gradient: return the new value instead"
                )

    def run_again(self, inputs):
        """The outputs that the node stands for, attached to a graph of the second run."""
        written = [(cell(), before) for cell, before in self.writes]
        written = [(cell, before) for cell, before in written if cell is not None]
        written.append((random._cell, self.generator))
        now = [(cell, _core.as_it_is(cell)) for cell, _ in written]
        args, kwargs = _given(self.arguments, inputs)
        outputs, effects = [], _core.Effects(self.effects)
        _put_back(written)
        try:
            with enable_grad(), _Running(effects):
                _taken(self.function(*args, **kwargs), outputs)
            outputs = [_core.as_it_is(y) for y in outputs]  # cells may be among the written
        finally:
            _put_back(reversed(effects.writes(False)))
            _put_back(now)
        difference = self.effects.difference(effects)
        if difference or len(outputs) != len(self.inside):
            raise RuntimeError(
                f"remat: {self.name} does something else in backward than in forward: "
                f"{difference or 'it returns another number of Tensors'}; it has to read the same "
                "values and take the same branches again"
            )
        return [y for y, is_inside in zip(outputs, self.inside) if is_inside]


class _Running:
    """While a function runs whose effects are watched."""

    def __init__(self, effects, at_end=None):
        self._effects, self._at_end = effects, at_end

    def __enter__(self):
        self._effects.start()

    def __exit__(self, *error):
        self._effects.stop()
        if self._at_end:
            self._at_end()


def _put_back(cells):
    before = _core.set_recording(False)
    try:
        for cell, value in cells:
            _core.rebind(cell, value, "remat")
    finally:
        _core.set_recording(before)


def _is_inside(y, start):
    node = y.node
    return node is not None and node.rule is not None and node.sequence >= start


def _edges_out(nodes, start):
    """Where the graph of a run begins: (node, output index) of leaves and of what is older."""
    seen, places, stack = set(), {}, list(nodes)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges:
            if edge is None:
                continue
            if edge[0].rule is None or edge[0].sequence < start:
                places[edge] = None
            else:
                stack.append(edge[0])
    return list(places)


class _Place:
    """Stands for a Tensor."""

    __slots__ = ("index",)

    def __init__(self, index):
        self.index = index


def _taken(value, tensors):
    """value with a _Place for each Tensor in it, which is appended to tensors."""
    if isinstance(value, _core.TensorBase):
        for i, other in enumerate(tensors):
            if other is value:
                return _Place(i)
        tensors.append(value)
        return _Place(len(tensors) - 1)
    if isinstance(value, dict):
        items = {key: _taken(v, tensors) for key, v in value.items()}
        return items if type(value) is dict else type(value)(items)
    if isinstance(value, (tuple, list)):
        return _rebuilt(value, [_taken(v, tensors) for v in value])
    return value


def _given(value, tensors):
    """The inverse of _taken."""
    if isinstance(value, _Place):
        return tensors[value.index]
    if isinstance(value, dict):
        items = {key: _given(v, tensors) for key, v in value.items()}
        return items if type(value) is dict else type(value)(items)
    if isinstance(value, (tuple, list)):
        return _rebuilt(value, [_given(v, tensors) for v in value])
    return value


def _rebuilt(like, items):
    return type(like)(*items) if hasattr(like, "_fields") else type(like)(items)
