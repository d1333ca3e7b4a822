"""Tensor methods that work element by element: PyTorch's names and arguments."""

from __future__ import annotations

from dlx.ops import elementwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlx._core import TensorBase
    from dlx._tensor import Tensor
else:
    TensorBase = object

__all__ = ["Pointwise"]


class Pointwise(TensorBase):
    """A part of the class Tensor."""

    __slots__ = ()

    def abs(self) -> Tensor:
        """|x|."""
        return elementwise.abs(self)

    def exp(self) -> Tensor:
        """e^x."""
        return elementwise.exp(self)

    def log(self) -> Tensor:
        """The natural logarithm."""
        return elementwise.log(self)

    def sqrt(self) -> Tensor:
        """The square root."""
        return elementwise.sqrt(self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        return elementwise.tanh(self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x)."""
        return elementwise.sigmoid(self)

    def relu(self) -> Tensor:
        """max(x, 0)."""
        return elementwise.relu(self)

    def neg(self) -> Tensor:
        """-x."""
        return -self

    def square(self) -> Tensor:
        """x * x."""
        return elementwise.square(self)

    def reciprocal(self) -> Tensor:
        """1 / x."""
        return elementwise.reciprocal(self)

    def rsqrt(self) -> Tensor:
        """1 / sqrt(x)."""
        return elementwise.rsqrt(self)

    def sin(self) -> Tensor:
        """The sine."""
        return elementwise.sin(self)

    def cos(self) -> Tensor:
        """The cosine."""
        return elementwise.cos(self)

    def erf(self) -> Tensor:
        """The error function; see dlx.erf."""
        return elementwise.erf(self)

    def log1p(self) -> Tensor:
        """log(1 + x)."""
        return elementwise.log1p(self)

    def expm1(self) -> Tensor:
        """e^x - 1."""
        return elementwise.expm1(self)

    def sign(self) -> Tensor:
        """-1, 0 or 1."""
        return elementwise.sign(self)

    def floor(self) -> Tensor:
        """The largest integer not above x."""
        return elementwise.floor(self)

    def ceil(self) -> Tensor:
        """The smallest integer not below x."""
        return elementwise.ceil(self)

    def trunc(self) -> Tensor:
        """x without its fraction."""
        return elementwise.trunc(self)

    def round(self) -> Tensor:
        """The nearest integer, halves to even."""
        return elementwise.round(self)

    def remainder(self, other) -> Tensor:
        """x % other, of the sign of other."""
        return elementwise.remainder(self, other)

    def floor_divide(self, other) -> Tensor:
        """x // other."""
        return elementwise.floor_divide(self, other)

    def pow(self, exponent) -> Tensor:
        """x ** exponent."""
        return elementwise.pow(self, exponent)

    def add(self, other) -> Tensor:
        """x + other."""
        return self + other

    def sub(self, other) -> Tensor:
        """x - other."""
        return self - other

    def mul(self, other) -> Tensor:
        """x * other."""
        return self * other

    def div(self, other) -> Tensor:
        """x / other."""
        return self / other

    def eq(self, other) -> Tensor:
        """x == other, element by element."""
        return elementwise.equal(self, other)

    def ne(self, other) -> Tensor:
        """x != other, element by element."""
        return elementwise.not_equal(self, other)

    def lt(self, other) -> Tensor:
        """x < other, element by element."""
        return elementwise.less(self, other)

    def le(self, other) -> Tensor:
        """x <= other, element by element."""
        return elementwise.less_equal(self, other)

    def gt(self, other) -> Tensor:
        """x > other, element by element."""
        return elementwise.greater(self, other)

    def ge(self, other) -> Tensor:
        """x >= other, element by element."""
        return elementwise.greater_equal(self, other)

    def maximum(self, other) -> Tensor:
        """The larger of two, element by element."""
        return elementwise.maximum(self, other)

    def minimum(self, other) -> Tensor:
        """The smaller of two, element by element."""
        return elementwise.minimum(self, other)

    def clip(self, min=None, max=None) -> Tensor:
        """Limited to [min, max]; see dlx.clip."""
        return elementwise.clip(self, min, max)

    clamp = clip

    def masked_fill(self, mask, value) -> Tensor:
        """`value` where mask is true, x elsewhere."""
        return elementwise.where(mask, value, self)

    def isfinite(self) -> Tensor:
        """Whether each element is neither infinite nor NaN."""
        return elementwise.isfinite(self)

    def isinf(self) -> Tensor:
        """Whether each element is infinite."""
        return elementwise.isinf(self)

    def isnan(self) -> Tensor:
        """Whether each element is NaN."""
        return elementwise.isnan(self)
