"""dlx.Tensor: the value cell with PyTorch's methods. The storage, operators and graph links are C
(`_core.TensorBase`).

Methods follow PyTorch (`dim=`, also `axis=`); the functions of `dlx` follow the Python array API.
Where one call is legal in both with different values, the docstring says so."""

from __future__ import annotations

from dlx import _core, autodiff
from dlx._arranging import Arranging
from dlx._device import Device, device_from_code, resolve_device
from dlx._dtype import as_dtype, bfloat16, float16, float32, float64, int32, int64, uint8
from dlx._dtype import bool as bool_
from dlx._exchange import Exchanging
from dlx._pointwise import Pointwise
from dlx._reducing import Reducing
from dlx.ops import elementwise, index, shape
from dlx.ops import matmul as _matmul_rules  # noqa: F401  registers the rule of @
from dlx.ops._prepare import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:  # `int`, `float`, `bool` are methods below
    import builtins

__all__ = ["Tensor"]


class Tensor(Arranging, Exchanging, Pointwise, Reducing, _core.TensorBase):
    """An n-dimensional array of one dtype that remembers how it was computed.

    A Tensor is a cell holding a value: `x[i] = v` and `x += v` give x a new value, no other tensor
    changes with it. Made by `dlx.tensor`, `dlx.zeros`, ..., never by calling the class."""

    __slots__ = ()

    # ------------------------------------------------------------------ value

    @property
    def device(self) -> Device:
        """Where the memory is: `dlx.device("cpu")`, equal to the string."""
        return device_from_code(self._device_code)

    @property
    def T(self) -> Tensor:
        """A matrix transposed (all dimensions reversed)."""
        return shape.permuted(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped."""
        return self.transpose(-2, -1)

    @property
    def itemsize(self) -> builtins.int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> builtins.int:
        """Bytes of all elements."""
        return self._numel * self.dtype.itemsize

    def numel(self) -> builtins.int:
        """The number of elements."""
        return self._numel

    def dim(self) -> builtins.int:
        """The number of dimensions."""
        return self.ndim

    def size(self, dim=None):
        """The shape, or the extent of one dimension."""
        if dim is None:
            return self.shape
        from dlx.ops._prepare import normalize_axis

        return self.shape[normalize_axis("size", dim, self.ndim)]

    def stride(self) -> tuple[builtins.int, ...]:
        """Strides in elements."""
        return self._strides

    def is_contiguous(self) -> builtins.bool:
        """Whether the elements stand row-major without gaps."""
        return self._is_dense

    def contiguous(self) -> Tensor:
        """The same values, row-major without gaps; without a copy where they stand so."""
        return autodiff.alias(self) if self.is_contiguous() else self.clone()

    def detach(self) -> Tensor:
        """The same value without its history; later writes to either do not show in the other."""
        return _core.detach(self)

    def clone(self) -> Tensor:
        """A copy with memory of its own, attached to the graph."""
        return autodiff.record(_clone_rule, (self,), _core.from_data(self, None, self._device_code))

    def __reduce__(self):
        from dlx._pickle import reduce_tensor

        return reduce_tensor(self)

    def __deepcopy__(self, memo):
        from dlx._pickle import copy_tensor

        return copy_tensor(self, memo)

    def __repr__(self) -> str:
        from dlx._print import format_tensor

        return format_tensor(self)

    def __format__(self, spec):
        """A number's, for a tensor of shape () and where a spec is given, as in f"{x:.3f}"."""
        if self.ndim == 0 or (spec and self._numel == 1):
            return format(self.item(), spec)
        if spec:
            raise TypeError(f"format: {spec!r} needs one element, got shape {self.shape}")
        return repr(self)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iter: expected at least 1 dimension, got a tensor of shape ()")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key) -> Tensor:
        return index.getitem(self, key)

    def __setitem__(self, key, value):
        index.setitem(self, key, value)

    def __pos__(self) -> Tensor:
        return autodiff.alias(self)

    def __contains__(self, value):
        same = self == value  # False for what no tensor compares with
        return isinstance(same, Tensor) and bool(same.any())

    if TYPE_CHECKING:  # the operators, which are C

        def _binary(self, other) -> Tensor: ...

        __add__ = __radd__ = __iadd__ = __sub__ = __rsub__ = __isub__ = _binary
        __mul__ = __rmul__ = __imul__ = __truediv__ = __rtruediv__ = __itruediv__ = _binary
        __matmul__ = __rmatmul__ = __and__ = __or__ = _binary
        __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = _binary
        __lt__ = __le__ = __gt__ = __ge__ = _binary

        def __pow__(self, other, mod=None) -> Tensor: ...

        def __rpow__(self, other, mod=None) -> Tensor: ...

        def __eq__(self, other) -> Tensor: ...  # type: ignore[override]

        def __ne__(self, other) -> Tensor: ...  # type: ignore[override]

        def __neg__(self) -> Tensor: ...

        def __abs__(self) -> Tensor: ...

        def __invert__(self) -> Tensor: ...

    def fill_(self, value) -> Tensor:
        """x[...] = value, a number; returns x."""
        self[...] = value
        return self

    def zero_(self) -> Tensor:
        """x[...] = 0; returns x."""
        return self.fill_(False if self.dtype == "bool" else 0)

    def copy_(self, src) -> Tensor:
        """x[...] = src, broadcast and cast to x's dtype; returns x."""
        (src,) = prepare("copy_", src)
        return self.fill_(src.astype(self.dtype))

    def add_(self, other, *, alpha=1) -> Tensor:
        """x += alpha * other; returns x. On a leaf that requires a gradient only in no_grad."""
        self += other if alpha == 1 else other * alpha
        return self

    def sub_(self, other, *, alpha=1) -> Tensor:
        """x -= alpha * other; returns x."""
        self -= other if alpha == 1 else other * alpha
        return self

    def mul_(self, other) -> Tensor:
        """x *= other; returns x."""
        self *= other
        return self

    def div_(self, other) -> Tensor:
        """x /= other; returns x."""
        self /= other
        return self

    def clamp_(self, min=None, max=None) -> Tensor:
        """x[...] = x limited to [min, max]; returns x."""
        self[...] = elementwise.clip(self, min, max)
        return self

    def _no_data(self, *value):
        """Not here: the error says what instead."""
        raise AttributeError(
            "a Tensor has no .data: read with x.detach(), write with `with dlx.no_grad(): "
            "x[...] = value` (nn.init and the methods that end in _ also write)"
        )

    data = property(_no_data, _no_data)

    # ------------------------------------------------------------------ gradients

    def backward(self, gradient=None, retain_graph=None, create_graph=False) -> None:
        """Adds the gradient of this tensor to `.grad` of every leaf that requires it; see
        dlx.autodiff.backward."""
        autodiff.backward(self, gradient, retain_graph, create_graph)

    def requires_grad_(self, requires_grad=True) -> Tensor:
        """Sets `requires_grad` and returns the tensor."""
        self.requires_grad = requires_grad
        return self

    # ------------------------------------------------------------------ dtype and device

    def astype(self, dtype, *, copy=True) -> Tensor:
        """Converted to `dtype`; see dlx.astype."""
        return elementwise.astype(self, as_dtype(dtype), copy=copy)

    def to(self, *args, device=None, dtype=None, non_blocking=False) -> Tensor:
        """Moved to a device and/or converted to a dtype, given in any order.

        A copy from `pin_memory()` to a GPU goes on while the program does; one to the CPU is done
        when this returns, whatever `non_blocking` (PyTorch's) says."""
        for arg in args:
            if isinstance(arg, Tensor):
                device, dtype = arg.device, arg.dtype
            elif isinstance(arg, Device) or (
                isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda")
            ):
                device = arg
            else:
                dtype = arg
        x = self if dtype is None else self.astype(dtype)
        if device is None or x.device == (device := resolve_device(device)):
            return x
        from dlx.ops.shape import move

        return move(x, device.code)

    def pin_memory(self) -> Tensor:
        """A copy on the CPU, row-major, in memory that a GPU reads by itself; x where it is so.
        No history. Raises RuntimeError where there is no GPU."""
        return self if _core.is_pinned(self) else _core.pin(self.detach().cpu())

    def is_pinned(self) -> builtins.bool:
        """Whether this is memory of `pin_memory()`."""
        return _core.is_pinned(self)

    def cpu(self) -> Tensor:
        """On the CPU."""
        return self.to("cpu")

    def cuda(self, device=0, non_blocking=False) -> Tensor:
        """On a GPU. Raises RuntimeError where there is none."""
        return self.to(f"cuda:{device}" if isinstance(device, int) else device)

    def float(self) -> Tensor:
        """As float32."""
        return self.astype(float32)

    def double(self) -> Tensor:
        """As float64."""
        return self.astype(float64)

    def half(self) -> Tensor:
        """As float16."""
        return self.astype(float16)

    def bfloat16(self):
        """As bfloat16."""
        return self.astype(bfloat16)

    def int(self) -> Tensor:
        """As int32."""
        return self.astype(int32)

    def long(self) -> Tensor:
        """As int64."""
        return self.astype(int64)

    def byte(self) -> Tensor:
        """As uint8."""
        return self.astype(uint8)

    def bool(self) -> Tensor:
        """As bool: whether each element is not 0."""
        return self.astype(bool_)

    # ------------------------------------------------------------------ products and elements

    def matmul(self, other) -> Tensor:
        """self @ other."""
        return _core.matmul(self, other)

    def take(self, indices, axis=None) -> Tensor:
        """See dlx.take."""
        return index.take(self, indices, axis=axis)


def _clone_transpose(g, x):
    return g


_clone_rule = autodiff.linear("clone", Tensor.clone, _clone_transpose)
_core.set_tensor_class(Tensor)
