"""Functions that differentiate functions: grad, value_and_grad, vjp, jvp, hessian. They nest to any
order.

A transform takes its arguments as independent variables. What it returns stays attached to the
recorded graph when something outside of its own variables requires a gradient (an argument, or a
tensor that the function closes over), so a gradient can be differentiated again by `backward` or by
an enclosing transform."""

from __future__ import annotations

from dlx import _core
from dlx.autodiff import alias, enable_grad, gradients_of, independent, nodes_above, push_forward

__all__ = ["grad", "hessian", "jvp", "value_and_grad", "vjp"]


def _check_function(op, fn):
    if not callable(fn):
        raise TypeError(f"{op}: expected a function, got {type(fn).__name__}")


def _check_tensor(op, position, x):
    if not isinstance(x, _core.TensorBase):
        raise TypeError(f"{op}: expected a Tensor as argument {position}, got {type(x).__name__}")
    if not x.dtype.is_floating:
        raise TypeError(
            f"{op}: expected a floating dtype for argument {position}, got {x.dtype.name}"
        )


def _places(op, argnums):
    """argnums as a tuple of ints; TypeError for anything but an int or a tuple of them."""
    places = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    if not all(isinstance(place, int) for place in places):
        raise TypeError(f"{op}: expected argnums as an int or a tuple of ints, got {argnums!r}")
    return tuple(places)


class _Recorded:
    """One recorded call of a function: outputs, variables, and whether anything else requires a
    gradient."""

    __slots__ = ("outer", "outputs", "variables")

    def __init__(self, function, args, places, op):
        _check_function(op, function)
        for place in places:
            if not -len(args) <= place < len(args):
                raise ValueError(f"{op}: argument {place} of {len(args)} does not exist")
            _check_tensor(op, place, args[place])
        recording, args = _core.recording(), list(args)
        with enable_grad():
            for place in places:
                args[place] = independent(args[place] if recording else args[place].detach())
            self.outputs = function(*args)
        for y in self.tuple():
            if not isinstance(y, _core.TensorBase):
                raise TypeError(
                    f"{op}: expected the function to return Tensors, got {type(y).__name__}"
                )
        self.variables = [args[place] for place in places]
        own = {x.node for x in self.variables if x.is_leaf}
        leaves = nodes_above(self.tuple(), ())[1]
        self.outer = recording and any(leaf not in own for leaf in leaves)

    def tuple(self):
        return self.outputs if isinstance(self.outputs, (tuple, list)) else (self.outputs,)

    def value(self):
        if self.outer:
            return self.outputs
        if isinstance(self.outputs, (tuple, list)):
            return type(self.outputs)(y.detach() for y in self.outputs)
        return self.outputs.detach()

    def pull_back(self, gradients, keep):
        pairs = [(y, g) for y, g in zip(self.tuple(), gradients) if y.requires_grad]
        found = gradients_of(
            pairs, self.variables, create_graph=self.outer, keep=keep or self.outer
        )
        return [_zeros_like(x) if g is None else alias(g) for g, x in zip(found, self.variables)]


def _zeros_like(x):
    from dlx.ops.creation import zeros_like

    return zeros_like(x)


def value_and_grad(fn, argnums=0):
    """A function that returns (fn(*args), gradient). fn returns a Tensor of one element.

    argnums: position of the argument, or a tuple of positions for a tuple of gradients. Raises
    TypeError for an argument that is no floating Tensor, ValueError where fn's value has more than
    one element."""
    _check_function("grad", fn)
    places = _places("grad", argnums)

    def value_and_gradient(*args):
        from dlx.ops.creation import ones_like

        call = _Recorded(fn, args, places, "grad")
        y = call.outputs
        if not isinstance(y, _core.TensorBase) or y._numel != 1:
            raise ValueError(
                f"grad: expected fn to return one element, got {getattr(y, 'shape', y)!r}"
            )
        gradients = call.pull_back([ones_like(y.detach())], keep=False)
        return call.value(), gradients[0] if isinstance(argnums, int) else tuple(gradients)

    return value_and_gradient


def grad(fn, argnums=0):
    """A function that returns the gradient of fn, a function with one element as its value: see
    value_and_grad."""
    both = value_and_grad(fn, argnums)

    def gradient(*args):
        return both(*args)[1]

    return gradient


def vjp(fn, *x):
    """(y, pullback): y = fn(*x), and pullback(g) = g . dy/dx, a Tensor, or a tuple when there are
    several x.

    g has y's shape and dtype (a tuple of them when fn returns one); pullback may be called any
    number of times, and raises ValueError for another shape, TypeError for another dtype."""
    call = _Recorded(fn, x, range(len(x)), "vjp")

    def pullback(g):
        gradients = g if isinstance(g, (tuple, list)) else (g,)
        outputs = call.tuple()
        if len(gradients) != len(outputs):
            raise ValueError(f"vjp: expected {len(outputs)} gradients, got {len(gradients)}")
        for y, each in zip(outputs, gradients):
            if not isinstance(each, _core.TensorBase):
                raise TypeError(f"vjp: expected a Tensor as gradient, got {type(each).__name__}")
            if each.shape != y.shape:
                raise ValueError(f"vjp: expected a gradient of shape {y.shape}, got {each.shape}")
            if each.dtype is not y.dtype:
                raise TypeError(f"vjp: expected a gradient of {y.dtype}, got {each.dtype}")
        result = call.pull_back(gradients, keep=True)
        return result[0] if len(x) == 1 else tuple(result)

    return call.value(), pullback


def jvp(fn, primals, tangents):
    """(y, dy): y = fn(*primals) and its derivative along `tangents`, in forward mode.

    primals, tangents: sequences of Tensors of equal shapes and dtypes. fn returns a Tensor, or a
    tuple for a tuple of dy. Raises ValueError for unequal shapes, TypeError for other arguments."""
    _check_function("jvp", fn)
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(
                f"jvp: expected {name} as a tuple of Tensors, got {type(given).__name__}"
            )
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise ValueError(
            f"jvp: expected as many tangents as primals, got {len(tangents)} and {len(primals)}"
        )
    for i, (x, t) in enumerate(zip(primals, tangents)):
        _check_tensor("jvp", i, x)
        _check_tensor("jvp", i, t)
        if x.shape != t.shape:
            raise ValueError(f"jvp: primal {i} has shape {x.shape}, its tangent {t.shape}")
        if x.dtype is not t.dtype:
            raise TypeError(f"jvp: primal {i} is {x.dtype}, its tangent {t.dtype}")
    single = []

    def traced(*args):
        y = fn(*args)
        single.append(not isinstance(y, (tuple, list)))
        return y

    outputs, moved = push_forward(traced, primals, tangents)
    moved = tuple(_zeros_like(y) if t is None else alias(t) for y, t in zip(outputs, moved))
    return (outputs[0], moved[0]) if single[0] else (outputs, moved)


def hessian(fn, argnums=0):
    """A function that returns the matrix of second derivatives of fn, a function with one element
    as its value.

    For an argument of shape S the result has shape S + S: element [i, j] is d2 fn / dx_i dx_j.
    Raises as value_and_grad."""

    _check_function("hessian", fn)
    if not isinstance(argnums, int):
        raise TypeError(f"hessian: expected argnums as an int, got {argnums!r}")

    def second(*args):
        from dlx.ops.creation import eye
        from dlx.ops.shape import reshape, stack

        if not -len(args) <= argnums < len(args):
            raise ValueError(f"hessian: argument {argnums} of {len(args)} does not exist")
        place = argnums if argnums >= 0 else argnums + len(args)

        def gradient(x):
            return grad(fn, place)(*args[:place], x, *args[place + 1 :])

        _check_tensor("hessian", argnums, args[argnums])
        x = args[place]
        _, pullback = vjp(gradient, x)
        n = x._numel
        basis = eye(n, dtype=x.dtype, device=x.device)
        rows = [pullback(reshape(basis[i], x.shape)) for i in range(n)]
        return reshape(stack(rows), x.shape + x.shape) if n else basis

    return second
