"""What makes two calls of a function under dlx.jit calls of one kind."""

from __future__ import annotations

from dlx import _core
from dlx._core import is_simple

__all__ = ["kind_of", "others"]


def others(value):
    """What is no Tensor among arguments, in whatever tuples, lists and dicts."""
    if isinstance(value, (list, tuple, dict)):
        items = value.values() if isinstance(value, dict) else value
        return [other for item in items for other in others(item)]
    return [] if isinstance(value, _core.TensorBase) else [value]


def kind_of(value, tensors, name):
    """A hashable description of an argument; its Tensors are appended to `tensors`."""
    if isinstance(value, _core.TensorBase):
        for i, other in enumerate(tensors):
            if other is value:
                return ("again", i)
        tensors.append(value)
        strides = None if value._is_dense else value._strides
        flags = (value.requires_grad, value.is_leaf, value.grad is None)
        return (value.shape, value.dtype, value._device_code, strides, flags)
    if isinstance(value, dict):
        items = tuple((k, kind_of(v, tensors, f"{name}[{k!r}]")) for k, v in value.items())
        return (type(value), items)
    if isinstance(value, (list, tuple)):
        parts = [kind_of(v, tensors, f"{name}[{i}]") for i, v in enumerate(value)]
        return (type(value), tuple(parts))
    if type(value) is float:
        return (float, value.hex())  # 0.0 and -0.0 are equal, and not the same
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"jit: {name} is a {type(value).__name__}, which is not hashable: make it a Tensor, "
            "or close over it"
        ) from None
    return (type(value), value if is_simple(value) else _Same(value))


class _Same:
    """Equal to itself alone: an object of a user's class may count others as equal that have other
    Tensors in them."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is _Same and self.value is other.value

    def __hash__(self):
        return id(self.value)
