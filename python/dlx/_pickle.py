"""Tensors in other people's pickles and deep copies. dlx itself writes and reads no pickle."""

from __future__ import annotations

from dlx import _core

__all__ = ["copy_tensor", "reduce_tensor"]


def _rebuild(cls, dtype, shape, data, requires_grad, device="cpu"):
    x = _core.reinterpret(_core.borrow(data), dtype, shape).clone().to(device)
    x = x if cls is type(x) else cls(x)
    x.requires_grad = requires_grad
    return x


def reduce_tensor(x):
    """(function, arguments) for pickle; only leaves: a history cannot be pickled."""
    if not x.is_leaf:
        raise TypeError("pickle: a tensor with a history cannot be pickled; detach() it first")
    data = bytes(memoryview(_core.reinterpret(x.detach().cpu(), "uint8", (x.nbytes,))))
    return _rebuild, (type(x), x.dtype.name, x.shape, data, x.requires_grad, str(x.device))


def copy_tensor(x, memo):
    """A deep copy: memory, gradient and requires_grad of a leaf."""
    if not x.is_leaf:
        raise RuntimeError(
            "deepcopy: only leaves can be copied; detach() or clone() the tensor first"
        )
    copy = x.detach().clone()
    if type(copy) is not type(x):
        copy = type(x)(copy)
    copy.requires_grad = x.requires_grad
    memo[id(x)] = copy
    if x.grad is not None:
        copy.grad = x.grad.detach().clone()
    return copy
