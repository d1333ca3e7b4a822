"""Tensor methods along dimensions: PyTorch's names, `dim=` or `axis=`, and PyTorch's values."""

from __future__ import annotations

from dlx._dtype import bool as bool_
from dlx._spelling import EITHER, axis_of, keep_of
from dlx.ops import _extreme, elementwise, loss, reduce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._core import TensorBase
    from dlx._tensor import Tensor
else:
    TensorBase = object

__all__ = ["Reducing"]


def _pair(values, indices):
    from dlx._results import MaxMin

    return MaxMin(values, indices)


class Reducing(TensorBase):
    """A part of the class Tensor."""

    __slots__ = ()

    def sum(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER) -> Tensor:
        """The sum over `dim` (None or left out: all)."""
        return reduce.sum(
            self, axis=axis_of("sum", dim, axis, None), keepdims=keep_of("sum", keepdim, keepdims)
        )

    def mean(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER) -> Tensor:
        """The mean over `dim` (None or left out: all)."""
        return reduce.mean(
            self, axis=axis_of("mean", dim, axis, None), keepdims=keep_of("mean", keepdim, keepdims)
        )

    def var(
        self,
        dim=EITHER,
        unbiased=None,
        keepdim=EITHER,
        *,
        correction=1,
        axis=EITHER,
        keepdims=EITHER,
    ) -> Tensor:
        """The variance over `dim`, with PyTorch's correction 1 (dlx.var has the array API's 0)."""
        correction = correction if unbiased is None else int(unbiased)
        return reduce.var(
            self,
            axis=axis_of("var", dim, axis, None),
            correction=correction,
            keepdims=keep_of("var", keepdim, keepdims),
        )

    def std(
        self,
        dim=EITHER,
        unbiased=None,
        keepdim=EITHER,
        *,
        correction=1,
        axis=EITHER,
        keepdims=EITHER,
    ) -> Tensor:
        """The standard deviation over `dim`, with PyTorch's correction 1 (dlx.std has the array
        API's 0)."""
        correction = correction if unbiased is None else int(unbiased)
        return reduce.std(
            self,
            axis=axis_of("std", dim, axis, None),
            correction=correction,
            keepdims=keep_of("std", keepdim, keepdims),
        )

    def max(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER):
        """Without dim the largest element; with `dim` a pair (values, indices) as PyTorch (dlx.max
        gives values only): the gradient goes to the element at the index, that of dlx.max to all
        equal ones.

        With `axis=` (the array API's spelling) the values only."""
        if axis is not EITHER or dim is EITHER or dim is None:
            return reduce.max(
                self,
                axis=axis_of("max", dim, axis, None),
                keepdims=keep_of("max", keepdim, keepdims),
            )
        keep = keep_of("max", keepdim, keepdims)
        return _pair(*_extreme.max_and_place(self, dim, keep))

    def min(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER):
        """Without dim the smallest element; with `dim` a pair (values, indices) as PyTorch; with
        `axis=` the values."""
        if axis is not EITHER or dim is EITHER or dim is None:
            return reduce.min(
                self,
                axis=axis_of("min", dim, axis, None),
                keepdims=keep_of("min", keepdim, keepdims),
            )
        keep = keep_of("min", keepdim, keepdims)
        return _pair(*_extreme.min_and_place(self, dim, keep))

    def argmax(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER) -> Tensor:
        """The position of the largest element (int64), the first among equals; over all elements
        without `dim`."""
        return reduce.argmax(
            self,
            axis=axis_of("argmax", dim, axis, None),
            keepdims=keep_of("argmax", keepdim, keepdims),
        )

    def argmin(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER) -> Tensor:
        """The position of the smallest element (int64), the first among equals; over all elements
        without `dim`."""
        return reduce.argmin(
            self,
            axis=axis_of("argmin", dim, axis, None),
            keepdims=keep_of("argmin", keepdim, keepdims),
        )

    def all(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER) -> Tensor:
        """Whether every element is true (or not 0)."""
        axis = axis_of("all", dim, axis, None)
        return (
            elementwise.astype(self, bool_).min(
                axis=axis, keepdims=keep_of("all", keepdim, keepdims)
            )
            if self._numel
            else elementwise.astype(self, bool_).sum(
                axis=axis, keepdims=keep_of("all", keepdim, keepdims)
            )
            == 0
        )

    def any(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER) -> Tensor:
        """Whether any element is true (or not 0)."""
        axis = axis_of("any", dim, axis, None)
        return (
            elementwise.astype(self, bool_).sum(
                axis=axis, keepdims=keep_of("any", keepdim, keepdims)
            )
            > 0
        )

    def softmax(self, dim=EITHER, *, axis=EITHER) -> Tensor:
        """See dlx.softmax."""
        return loss.softmax(self, axis=axis_of("softmax", dim, axis))

    def log_softmax(self, dim=EITHER, *, axis=EITHER) -> Tensor:
        """See dlx.log_softmax."""
        return loss.log_softmax(self, axis=axis_of("log_softmax", dim, axis))

    def logsumexp(self, dim=EITHER, keepdim=EITHER, *, axis=EITHER, keepdims=EITHER) -> Tensor:
        """See dlx.logsumexp."""
        keep = keep_of("logsumexp", keepdim, keepdims)
        return loss.logsumexp(self, axis_of("logsumexp", dim, axis), keep)
