"""Rules: how an op differentiates. Three declarations, `elementwise`, `linear`, `primitive`, serve
every op."""

from __future__ import annotations

__all__ = ["elementwise", "linear", "primitive", "reduce_to"]


class Rule:
    """How an op differentiates. `saves_inputs`, `saves_outputs`: bit masks of the values that a
    node keeps."""

    __slots__ = ("name", "saves_inputs", "saves_outputs")
    expands = False  # whether expand(node, gradients) stands for vjp: more of the graph to walk

    def __init__(self, name, saves_inputs, saves_outputs):
        self.name, self.saves_inputs, self.saves_outputs = name, saves_inputs, saves_outputs

    def vjp(self, node, gradients, needed, create_graph):
        """Per input its gradient, or None where `needed` says so."""
        raise TypeError(f"{self.name}: has no vjp rule")

    def jvp(self, node, tangents):
        """Per output its tangent; `tangents` holds None for zero."""
        raise TypeError(f"{self.name}: has no jvp rule")


def _arguments(function):
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


def reduce_to(gradient, like):
    """Sums a gradient over the dimensions along which `like` was broadcast, in like's dtype."""
    if gradient.shape != like.shape:
        from dlx.ops._broadcast import sum_to_shape

        gradient = sum_to_shape(gradient, like.shape)
    return gradient if gradient.dtype is like.dtype else gradient.astype(like.dtype)


class Elementwise(Rule):
    """y = f(x1, ...) element by element: one derivative per input gives both modes."""

    __slots__ = ("derivatives", "fused", "fused_wants", "wants")

    def __init__(self, name, derivatives, fused, of):
        names = ["x"] if len(derivatives) == 1 else [f"x{i + 1}" for i in range(len(derivatives))]
        self.derivatives, self.fused = derivatives, fused
        wanted = [_arguments(d) if d is not None else () for d in derivatives]
        wanted = [[-1 if w == "y" else names.index(w) for w in own] for own in (*wanted, of)]
        *self.wants, self.fused_wants = wanted
        inputs = outputs = 0
        for places in wanted if fused is not None else self.wants:
            for place in places:
                inputs |= 1 << place if place >= 0 else 0
                outputs |= 1 if place < 0 else 0
        super().__init__(name, inputs, outputs)

    def _derivative(self, i, inputs, y):
        return self.derivatives[i](*[y if place < 0 else inputs[place] for place in self.wants[i]])

    def vjp(self, node, gradients, needed, create_graph):
        (g,) = gradients
        inputs, (y,) = node.inputs, node.outputs
        result = []
        for i, x in enumerate(inputs):
            if not needed[i]:
                result.append(None)
                continue
            if i == 0 and self.fused is not None and not create_graph:
                values = [y if place < 0 else inputs[place] for place in self.fused_wants]
                result.append(reduce_to(self.fused(g, *values), x))
                continue
            slope = self._derivative(i, inputs, y)
            result.append(reduce_to(g if slope is None else g * slope, x))
        return result

    def jvp(self, node, tangents):
        inputs, (y,) = node.inputs, node.outputs
        total = None
        for i, tangent in enumerate(tangents):
            if tangent is None:
                continue
            slope = self._derivative(i, inputs, y)
            term = tangent if slope is None else tangent * slope
            total = term if total is None else total + term
        if total.shape != y.shape:
            from dlx.ops.shape import broadcast_to

            total = broadcast_to(total, y.shape)
        return (total if total.dtype is y.dtype else total.astype(y.dtype),)


class Linear(Rule):
    """y = f(x, *attrs), linear in x."""

    __slots__ = ("f", "transpose")

    def __init__(self, name, f, transpose):
        super().__init__(name, 0, 0)
        self.f, self.transpose = f, transpose

    def vjp(self, node, gradients, needed, create_graph):
        return (self.transpose(gradients[0], node.inputs[0], *node.attrs),)

    def jvp(self, node, tangents):
        return (self.f(tangents[0], *node.attrs),)


class Primitive(Rule):
    """An op with rules of its own. With a composite, `vjp` may be a fused kernel: it serves the
    first order only."""

    __slots__ = ("_jvp", "_vjp", "composite", "per_input")

    def __init__(self, name, vjp, jvp, composite, saves_inputs, saves_outputs):
        super().__init__(name, saves_inputs, saves_outputs)
        self._vjp, self._jvp, self.composite = vjp, jvp, composite
        self.per_input = isinstance(vjp, tuple)

    def vjp(self, node, gradients, needed, create_graph):
        inputs = node.inputs
        if create_graph and self.composite is not None:
            return self._through_composite(node, inputs, gradients, needed)
        g = gradients[0] if node.num_outputs == 1 else gradients
        y = node.outputs[0] if node.num_outputs == 1 else node.outputs
        if self.per_input:
            return [
                f(g, y, *inputs, *node.attrs) if n and f is not None else None
                for f, n in zip(self._vjp, needed)
            ]
        result = self._vjp(g, y, *inputs, *node.attrs)
        return result if isinstance(result, (tuple, list)) else (result,)

    def _through_composite(self, node, inputs, gradients, needed):
        from dlx.autodiff import enable_grad, gradients_of

        with enable_grad():
            outputs = self.composite(*inputs, *node.attrs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            targets = [x for x, n in zip(inputs, needed) if n]
            pairs = [
                (y, g) for y, g in zip(outputs, gradients) if g is not None and y.node is not None
            ]
            found = iter(gradients_of(pairs, targets, create_graph=True, keep=True))
            return [next(found) if n else None for n in needed]

    def jvp(self, node, tangents):
        if self.composite is not None:
            from dlx.autodiff import push_forward

            moved = [i for i, t in enumerate(tangents) if t is not None]
            inputs = list(node.inputs)
            partial = _Partial(self.composite, inputs, moved, node.attrs)
            return push_forward(partial, [inputs[i] for i in moved], [tangents[i] for i in moved])[
                1
            ]
        if self._jvp is None:
            raise TypeError(
                f"{self.name}: has no jvp rule; give primitive(jvp=...) or composite=..."
            )
        y = node.outputs[0] if node.num_outputs == 1 else node.outputs
        result = self._jvp(tuple(tangents), y, *node.inputs, *node.attrs)
        return result if isinstance(result, tuple) else (result,)


class _Partial:
    """composite with some inputs replaced: what a composite's jvp differentiates."""

    __slots__ = ("attrs", "function", "inputs", "places")

    def __init__(self, function, inputs, places, attrs):
        self.function, self.inputs, self.places, self.attrs = function, inputs, places, attrs

    def __call__(self, *moved):
        inputs = list(self.inputs)
        for place, x in zip(self.places, moved):
            inputs[place] = x
        return self.function(*inputs, *self.attrs)


def elementwise(name, *derivatives, fused=None, of=("y",)):
    """The rule of a pointwise op: one derivative per input, its parameters named among x (or x1,
    x2, x3) and y.

    A derivative may return None for 1; None in its place marks an input without a gradient.
    `fused(g, *of)` is the native first-order backward of the first input."""
    return Elementwise(name, derivatives, fused, of)


def linear(name, f, transpose):
    """The rule of an op that is linear in its one input: `f(x, *attrs)` and its transpose
    `transpose(g, x, *attrs)`, which sees x's shape and dtype only."""
    return Linear(name, f, transpose)


def primitive(name=None, vjp=None, jvp=None, composite=None, saves_inputs=-1, saves_outputs=-1):
    """The rule of an op, or, as a decorator, a custom op.

    `vjp(g, y, *inputs, *attrs)` returns the gradients of the inputs (one Tensor, or a tuple with
    None where there is none), or is a tuple of such functions, one per input; `jvp(tangents, y,
    *inputs, *attrs)` the tangents of the outputs, with None for a zero tangent. With several
    outputs g and y are tuples. Written in dlx functions they differentiate any number of times;
    else give `composite(*inputs, *attrs)`, the same op in dlx functions.

    As a decorator the function runs unrecorded, and its Tensor arguments come first::

        @dlx.primitive(vjp=lambda g, y, x: 2 * x * g, jvp=lambda t, y, x: 2 * x * t[0])
        def square(x):
            return x * x

    A gradient that is missing, or of another shape or dtype than its input, raises in backward.
    """
    if isinstance(name, str):
        return Primitive(name, vjp, jvp, composite, saves_inputs, saves_outputs)
    if name is not None:
        raise TypeError("primitive: expected keyword arguments, as in @primitive(vjp=...)")
    if vjp is None:
        raise TypeError("primitive: expected vjp=, a function (g, y, *inputs)")

    def decorate(function):
        from dlx._custom import CustomRule, custom_op

        saves = saves_inputs, saves_outputs
        return custom_op(function, CustomRule(function.__name__, vjp, jvp, composite, *saves))

    return decorate
