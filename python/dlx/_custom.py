"""What `@dlx.primitive` makes of a function."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import no_grad, record

__all__ = ["custom_op"]


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
