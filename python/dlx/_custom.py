"""What `@dlx.primitive` makes of a function: an op, and a rule that checks what it is told."""

from __future__ import annotations

from dlx import _core
from dlx._rules import Primitive
from dlx.autodiff import no_grad, record

__all__ = ["CustomRule", "custom_op"]


class CustomRule(Primitive):
    """A Primitive whose functions a user wrote: a gradient that is missing, or of another shape or
    dtype than its input, raises and does not train on."""

    __slots__ = ()

    def vjp(self, node, gradients, needed, create_graph):
        """One gradient per input, checked."""
        if self.per_input and len(self._vjp) != len(needed):
            self._miscounted("vjp", "functions", len(self._vjp), "inputs", len(needed))
        result = super().vjp(node, gradients, needed, create_graph)
        if len(result) != len(needed):
            self._miscounted("vjp", "gradients", len(result), "inputs", len(needed))
        for g, x in zip(result, node.inputs):
            self._check("vjp", g, x)
        return result

    def jvp(self, node, tangents):
        """One tangent per output, checked."""
        result = super().jvp(node, tangents)
        if len(result) != node.num_outputs:
            self._miscounted("jvp", "tangents", len(result), "outputs", node.num_outputs)
        for t, y in zip(result, node.outputs):
            self._check("jvp", t, y)
        return result

    def _miscounted(self, rule, what, count, of, expected):
        raise ValueError(f"{self.name}: {rule} gives {count} {what} for {expected} {of}")

    def _check(self, rule, given, like):
        if given is None:
            return
        if not isinstance(given, _core.TensorBase):
            kind = type(given).__name__
            raise TypeError(f"{self.name}: expected Tensors or None from {rule}, got {kind}")
        if given.shape != like.shape:
            raise ValueError(
                f"{self.name}: expected shape {like.shape} from {rule}, got {given.shape}"
            )
        if given.dtype is not like.dtype:
            raise TypeError(f"{self.name}: expected {like.dtype} from {rule}, got {given.dtype}")


def custom_op(function, rule):
    """The function as an op: it runs unrecorded, its outputs stand in the graph with `rule`."""
    from functools import wraps

    @wraps(function)
    def op(*args, **kwargs):
        if kwargs:
            raise TypeError(f"{rule.name}: expected positional arguments, got {', '.join(kwargs)}")
        count = 0
        while count < len(args) and isinstance(args[count], _core.TensorBase):
            count += 1
        with no_grad():
            y = function(*[x.detach() for x in args[:count]], *args[count:])
        outputs = tuple(y) if isinstance(y, (tuple, list)) else (y,)
        for out in outputs:
            if not isinstance(out, _core.TensorBase):
                raise TypeError(
                    f"{rule.name}: expected Tensors as results, got {type(out).__name__}"
                )
        # An output that is one of the inputs, or stands in the graph already, gets a cell of its
        # own.
        outputs = tuple(out.detach() for out in outputs)
        record(rule, args[:count], outputs if len(outputs) > 1 else outputs[0], args[count:])
        return outputs if isinstance(y, (tuple, list)) else outputs[0]

    op.rule = rule
    return op
