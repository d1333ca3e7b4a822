"""Reverse and forward mode over the recorded graph. Knows no op: ops bring rules, this file walks
them.

A node of the graph (`_core.Node`, made in C) holds the rule of the op that ran, its attributes,
where its inputs came from, and the values that the rule asked for. Backward walks nodes in falling
order of creation, jvp in rising order; both are loops, so depth is bounded by memory only.

Three declarations give an op its rules, next to its forward: `elementwise`, `linear`, `primitive`.
"""

from __future__ import annotations

from heapq import heappop, heappush

from dlx import _core
from dlx._rules import elementwise, linear, primitive, reduce_to

__all__ = [
    "backward",
    "elementwise",
    "enable_grad",
    "linear",
    "no_grad",
    "primitive",
    "record",
    "reduce_to",
]

record = _core.record


class _GradMode:
    """Context manager and decorator that switches recording."""

    __slots__ = ("_before",)
    _on = False

    def __enter__(self):
        self._before = _core.set_recording(self._on)
        return self

    def __exit__(self, *exc):
        _core.set_recording(self._before)

    def __call__(self, function):
        from functools import wraps

        mode = type(self)

        @wraps(function)
        def wrapped(*args, **kwargs):
            with mode():
                return function(*args, **kwargs)

        return wrapped


class no_grad(_GradMode):
    """Nothing is recorded inside: `with no_grad(): ...` or `@no_grad()`."""

    __slots__ = ()


class enable_grad(_GradMode):
    """Recording inside, also within `no_grad`."""

    __slots__ = ()
    _on = True


# ---------------------------------------------------------------------------------------- reverse


def _walk_back(pairs, create_graph, keep, stop=()):
    """Carries gradients down from (root, gradient) pairs, over nodes in falling order of creation.

    Returns {(node, output index): gradient} for leaves and for the nodes in `stop`, below which it
    does not go."""
    results = {}
    # Of the nodes that a gradient has reached: -sequence, as a heap, and {-sequence: (node,
    # gradients of its outputs)}.
    order, pending = [], {}
    arrived = (((root.node, root.output_index), gradient) for root, gradient in pairs)
    while True:
        for place, gradient in arrived:
            if place is None or gradient is None:
                continue
            node, index = place
            if node.rule is None or node in stop:
                before = results.get(place)
                results[place] = gradient if before is None else before + gradient
                continue
            key = -node.sequence
            if key not in pending:
                pending[key] = node, [None] * node.num_outputs
                heappush(order, key)
            gradients = pending[key][1]
            before = gradients[index]
            gradients[index] = gradient if before is None else before + gradient
        if not order:
            return results
        node, gradients = pending.pop(heappop(order))
        rule = node.rule
        if node.released:
            raise RuntimeError(
                f"backward: an earlier backward freed this graph (at {rule.name}); "
                "give retain_graph=True there"
            )
        if _watched:
            _core.at_node(node.sequence)
        if rule.expands:
            arrived = rule.expand(node, gradients)
        else:
            if len(gradients) > 1:
                gradients = [_zeros(y) if g is None else g for g, y in zip(gradients, node.outputs)]
            edges = node.edges
            needed = [edge is not None for edge in edges]
            arrived = zip(edges, rule.vjp(node, tuple(gradients), needed, create_graph))
        if not keep:
            node.release()


def _zeros(like):
    from dlx.ops.creation import zeros

    return zeros(like.shape, dtype=like.dtype, device=like.device)


_watched = False  # whether an observer at the door wants to know which node a launch comes from
_core.tell_whereabouts(globals())


def gradients_of(pairs, inputs, create_graph, keep):
    """Gradients of the sum of root * gradient over `pairs`, with respect to tensors anywhere in the
    graph, each taken as independent of the others; None where there is no path."""
    before = _core.set_recording(create_graph)
    try:
        places = [(x.node, x.output_index) for x in inputs]
        results = _walk_back(pairs, create_graph, keep, stop={node for node, _ in places})
        return [results.get(place) for place in places]
    finally:
        _core.set_recording(before)
        if _watched:
            _core.at_node(-1)


def backward(y, gradient=None, retain_graph=None, create_graph=False):
    """Adds dy/dx, weighted by `gradient`, to `.grad` of every leaf x that requires it.

    gradient: of y's shape and dtype; may be left out where y has one element. retain_graph keeps
    what the graph holds for a second backward (default: create_graph); create_graph records the
    walk itself, for higher orders. Raises RuntimeError when y was not recorded or its graph was
    freed, ValueError for a wrong shape, TypeError for a wrong dtype."""
    if not y.requires_grad:
        raise RuntimeError("backward: expected a tensor computed from one with requires_grad=True")
    if gradient is None:
        if y._numel != 1:
            raise ValueError(
                f"backward: expected one element or a gradient argument, got shape {y.shape}"
            )
        gradient = _core.full("ones", y.shape, 1, y.dtype, y._device_code)
    elif not isinstance(gradient, _core.TensorBase):
        raise TypeError(f"backward: expected a Tensor as gradient, got {type(gradient).__name__}")
    elif gradient.shape != y.shape:
        raise ValueError(f"backward: expected a gradient of shape {y.shape}, got {gradient.shape}")
    elif gradient.dtype is not y.dtype:
        raise TypeError(f"backward: expected a gradient of {y.dtype}, got {gradient.dtype}")
    before = _core.set_recording(bool(create_graph))
    try:
        keep = create_graph if retain_graph is None else retain_graph
        share = alias if create_graph else _core.detach
        for (node, _), g in _walk_back([(y, gradient)], create_graph, keep).items():
            leaf = node.leaf
            if leaf is not None:
                total = leaf.grad
                leaf.grad = share(g) if total is None else total + g
    finally:
        _core.set_recording(before)
        if _watched:
            _core.at_node(-1)


# ---------------------------------------------------------------------------------------- forward


def nodes_above(outputs, stop):
    """The nodes between the outputs and `stop`, in rising order of creation, and the leaves met on
    the way."""
    seen, found, leaves = set(stop), [], []
    stack = [y.node for y in outputs if y.node is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.rule is None:
            leaves.append(node)
            continue
        found.append(node)
        stack.extend(edge[0] for edge in node.edges if edge is not None)
    found.sort(key=lambda node: node.sequence)
    return found, leaves


def carry_up(nodes, moving):
    """Adds the tangents of the outputs of nodes, in rising order, to moving: {(node, output index):
    tangent}."""
    for node in nodes:
        incoming = [None if edge is None else moving.get(edge) for edge in node.edges]
        if all(t is None for t in incoming):
            continue
        for index, tangent in enumerate(node.rule.jvp(node, incoming)):
            moving[node, index] = tangent


def independent(x):
    """A tensor of x's value that a transform can differentiate with respect to: still attached to
    x's own graph."""
    fresh = x.detach()
    if x.requires_grad and _core.recording():
        return record(_alias_rule, (x,), fresh)
    fresh.requires_grad = True
    return fresh


def alias(x):
    """x's value and history in a cell of its own: later writes to either do not show in the
    other."""
    cell = x.detach()
    if x.is_leaf:
        return record(_alias_rule, (x,), cell)
    if _core.recording():
        _core.rebind(cell, x, "alias")  # to x's own node: no further one
    return cell


def _alias_transpose(g, x):
    return g


_alias_rule = linear("alias", alias, _alias_transpose)


def push_forward(function, primals, tangents):
    """(outputs, tangents of the outputs), both tuples: runs `function` recorded, then walks the
    record upwards.

    A tangent is None where no path leads to the output. Both stay attached to the graph where
    something outside requires a gradient: a primal, a tangent, or what the function closes over."""
    recording = _core.recording()
    with enable_grad():
        inputs = [independent(x if recording else x.detach()) for x in primals]
        outputs = function(*inputs)
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    for y in outputs:
        if not isinstance(y, _core.TensorBase):
            raise TypeError(f"jvp: expected the function to return Tensors, got {type(y).__name__}")
    moving = {(x.node, x.output_index): t for x, t in zip(inputs, tangents)}
    nodes, leaves = nodes_above(outputs, [x.node for x in inputs])
    attached = any(t.requires_grad for t in tangents) or not all(x.is_leaf for x in inputs)
    outer = recording and (attached or bool(leaves))
    before = _core.set_recording(outer)
    try:
        carry_up(nodes, moving)
    finally:
        _core.set_recording(before)
    moved = tuple(moving.get((y.node, y.output_index)) for y in outputs)
    return tuple(y if outer else y.detach() for y in outputs), moved
