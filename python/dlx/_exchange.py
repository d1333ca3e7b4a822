"""Numbers and arrays of other libraries as Tensors, and Tensors as other libraries' arrays: NumPy,
DLPack, the CUDA array interface."""

from __future__ import annotations

from dlx import _core
from dlx._device import resolve_device
from dlx._dtype import as_dtype

TYPE_CHECKING = False
if TYPE_CHECKING:
    import numpy as np

    from dlx._core import TensorBase
    from dlx._tensor import Tensor
else:
    TensorBase, Tensor = object, _core.TensorBase  # every one is a Tensor

__all__ = ["Exchanging", "asarray", "from_dlpack", "tensor"]


class Exchanging(TensorBase):
    """A part of the class Tensor: what other libraries take."""

    __slots__ = ()

    if TYPE_CHECKING:  # in C

        def __buffer__(self, flags, /) -> memoryview: ...

    def numpy(self) -> np.ndarray:
        """A read-only NumPy array on the same memory (a snapshot); also of a tensor that requires a
        gradient."""
        from numpy import asarray

        return asarray(memoryview(self))

    def __array__(self, dtype=None, copy=None):
        from numpy import array, asarray

        view = asarray(memoryview(self))
        return array(view, dtype=dtype) if copy else asarray(view, dtype=dtype)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A DLPack capsule of this memory (array API standard); read-only for consumers that know
        the flag. On a GPU the work that `stream` gets from now on comes after ours."""
        return _core.to_dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self):
        kind, index = self._device_code
        return (kind + 1, index)  # kDLCPU is 1, kDLCUDA 2

    @property
    def __cuda_array_interface__(self):
        """This memory of a GPU for other libraries, read-only (version 3 of the interface)."""
        described = _core.cuda_interface(self)
        from weakref import finalize

        # The consumer holds this tensor, not its memory: a second owner of that.
        finalize(self, id, _core.detach(self)).atexit = False
        return described

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """NumPy's scalars are numbers, as in `np.float32(2) * x`; its arrays and ufuncs raise
        TypeError: what they would compute has no gradient."""
        from dlx._numpy import apply_ufunc

        return apply_ufunc(ufunc, method, inputs, options)


# ---- What comes in


def tensor(data, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """A new Tensor with a copy of `data`: a number, nested lists, a NumPy array, another Tensor, or
    another library's (by DLPack).

    Python floats become float32, ints int64, bools bool; arrays keep their dtype; `dtype`
    overrides. Raises TypeError for strings and objects, ValueError for ragged lists, OverflowError
    for a number that the dtype cannot hold."""
    keeps = device is None and isinstance(data, Tensor)
    code = data._device_code if keeps else resolve_device(device).code
    dtype = None if dtype is None else as_dtype(dtype)
    try:
        x = _core.from_data(data, dtype, code)
    except TypeError:
        if (borrowed := _borrowed(data)) is None:
            raise
        x = _core.from_data(borrowed, dtype, borrowed._device_code if device is None else code)
    if requires_grad:
        x.requires_grad = True
    return x


def asarray(data, *, dtype=None, device=None) -> Tensor:
    """`data` as a Tensor without a copy where possible: Tensors as they are, arrays (NumPy's, and
    other libraries' by DLPack) borrowed read-only.

    A borrowed array must not be changed while the Tensor lives; numbers and lists are copied.
    device: where Tensors and other libraries' arrays are by default, of all else the default one.
    Raises as `dlx.tensor`."""
    place = resolve_device(device)
    x = data if isinstance(data, Tensor) else None
    if x is None:
        try:
            memoryview(data)
        except TypeError:
            x = _borrowed(data)
        else:
            x = _core.borrow(data).to(place)
    if x is None:
        x = _core.from_data(data, None, place.code)
    elif device is not None:
        x = x.to(place)
    return x if dtype is None else x.astype(dtype, copy=False)


def _borrowed(data):
    """A Tensor on the memory of an array that Python's buffer protocol does not show, or None."""
    if hasattr(data, "__dlpack__"):
        try:
            memoryview(data)
        except TypeError:
            return from_dlpack(data)
        return None
    described = getattr(data, "__cuda_array_interface__", None)
    return None if described is None else _core.borrow_cuda(data, described)


_KDLCUDA = 2


def from_dlpack(x, *, device=None, copy=None) -> Tensor:
    """A Tensor on the memory of another library's array (`x.__dlpack__()`), borrowed read-only.

    copy: True for memory of its own. Raises TypeError for an object without __dlpack__ and for a
    dtype that dlx has not."""
    place = None if device is None else resolve_device(device)
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, got {type(x).__name__}")
    options = {}
    if (kind_index := getattr(x, "__dlpack_device__", lambda: (1, 0))())[0] == _KDLCUDA:
        name = resolve_device(f"cuda:{kind_index[1]}")  # or says why there is none
        options["stream"] = _core.current_stream(name.index).handle
    try:
        capsule = x.__dlpack__(max_version=(1, 0), **options)
    except TypeError:  # a producer from before version 1
        capsule = x.__dlpack__(**options)
    except BufferError as error:
        raise TypeError(f"from_dlpack: {type(x).__name__}: {error}") from None
    borrowed = _core.from_dlpack(capsule)
    copied = borrowed.clone() if copy else borrowed
    return copied if place is None else copied.to(place)
