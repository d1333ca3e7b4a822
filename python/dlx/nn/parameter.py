"""Parameter: the kind of Tensor that a Module trains."""

from __future__ import annotations

import dlx
from dlx._tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A Tensor that a Module finds when it is assigned as an attribute.

    data: a Tensor, or anything that `dlx.tensor` takes. The parameter is a leaf with data's value;
    like every Tensor it owns its value and does not follow later changes of data.
    requires_grad: False keeps it out of training, but in `parameters()` and `state_dict()`.
    """

    __slots__ = ()

    def __new__(cls, data, requires_grad=True):
        """Raises TypeError for a dtype that is not floating, unless requires_grad is False."""
        value = data if isinstance(data, Tensor) else dlx.tensor(data)
        param = super().__new__(cls, value)
        param.requires_grad = bool(requires_grad)
        return param

    def __repr__(self):
        return f"Parameter containing:\n{super().__repr__()}"
