"""Arguments that Tensor methods take in two spellings: PyTorch's and the array API's."""

from __future__ import annotations

__all__ = ["EITHER", "axis_of", "keep_of", "one_tuple"]


class _NotGiven:
    """Left out, where None means something; prints as `...` in signatures."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "..."


EITHER = _NotGiven()


def axis_of(op, dim, axis, default=EITHER):
    """One of PyTorch's `dim` and the array API's `axis`."""
    if axis is EITHER:
        if dim is EITHER and default is EITHER:
            raise TypeError(f"{op}: expected dim")
        return default if dim is EITHER else dim
    if dim is not EITHER:
        raise TypeError(f"{op}: got both dim={dim!r} and axis={axis!r}")
    return axis


def keep_of(op, keepdim, keepdims):
    """One of PyTorch's `keepdim` and the array API's `keepdims`; False when neither is given."""
    if keepdims is EITHER:
        return keepdim is not EITHER and keepdim
    if keepdim is not EITHER:
        raise TypeError(f"{op}: got both keepdim={keepdim!r} and keepdims={keepdims!r}")
    return keepdims


def one_tuple(args):
    """The tuple or list that is the only argument, or all of them: f((2, 3)) is f(2, 3)."""
    return args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
