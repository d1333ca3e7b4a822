"""Memory of the CPU shared with other libraries by DLPack, both ways; test_cuda_api.py: of GPUs."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import dlx
from dlx import _core

VERSIONED = {"max_version": (1, 0)}


class Old:
    """A consumer's view of a producer from before DLPack 1.0."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


# Out


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int32", "int64", "uint8", "bool"]
)
def test_numpy_reads_every_dtype_it_has(dtype):
    values = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    t = dlx.tensor(values)
    view = np.from_dlpack(t)
    assert (view.dtype, view.shape) == (values.dtype, (2, 3))
    assert view.ctypes.data == t.numpy().ctypes.data
    np.testing.assert_array_equal(view, values)


def test_an_export_is_a_read_only_snapshot():
    t = dlx.tensor([1.0, 2.0, 3.0])
    view = np.from_dlpack(t)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 9
    t[0] = 7.0
    t += 1.0
    assert t.tolist() == [8, 3, 4]
    assert view.tolist() == [1, 2, 3]


def test_an_export_keeps_the_memory_alive():
    before = dlx.memory.stats()["live_bytes"]
    t = dlx.full((1000, 1000), 3.0)
    view = np.from_dlpack(t[10:20, ::3])
    del t
    assert dlx.memory.stats()["live_bytes"] - before >= 4_000_000
    np.testing.assert_array_equal(view, np.full((10, 334), 3.0))
    del view
    gc.collect()
    assert dlx.memory.stats()["live_bytes"] - before < 4_000_000


def test_strides_go_out():
    values = np.arange(24.0).reshape(2, 3, 4)
    t = dlx.permute_dims(dlx.tensor(values), (2, 0, 1))[::-1, :, 1:]
    view = np.from_dlpack(t)
    np.testing.assert_array_equal(view, values.transpose(2, 0, 1)[::-1, :, 1:])
    assert view.strides == tuple(8 * s for s in t.stride())
    assert np.from_dlpack(dlx.zeros(())).shape == ()
    assert np.from_dlpack(dlx.zeros((2, 0))).shape == (2, 0)


def test_a_capsule_nobody_takes_lets_go():
    t = dlx.zeros((1 << 20,))
    before = dlx.memory.stats()["live_bytes"]
    for arguments in ({}, VERSIONED):
        capsule = t.__dlpack__(**arguments)
        del capsule
    assert dlx.memory.stats()["live_bytes"] == before
    t[0] = 1.0  # in place again
    assert dlx.memory.stats()["live_bytes"] == before


def test_who_does_not_know_the_read_only_flag_gets_a_copy():
    torch = pytest.importorskip("torch")
    t = dlx.tensor([1.0, 2.0])
    theirs = torch.from_dlpack(t.__dlpack__())  # a plain "dltensor" has no flags
    theirs += 1
    copied = torch.from_dlpack(t.__dlpack__(**VERSIONED, copy=True))
    copied += 1
    assert (t.tolist(), theirs.tolist(), copied.tolist()) == ([1, 2], [2, 3], [2, 3])
    with pytest.raises(BufferError, match=r"max_version \(1, 0\).*copy=False"):
        t.__dlpack__(copy=False)
    shared = t.__dlpack__(**VERSIONED, copy=False, dl_device=(1, 0))
    assert torch.from_dlpack(shared).data_ptr() == t.numpy().ctypes.data


def test_other_devices_are_refused():
    t = dlx.zeros((2,))
    assert t.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match=r"expected dl_device None or that, got \(2, 0\)"):
        t.__dlpack__(**VERSIONED, dl_device=(2, 0))


# In


@pytest.mark.parametrize("wrap", [lambda a: a, Old], ids=["1.0", "0.8"])
def test_numpy_memory_is_borrowed(wrap):
    source = np.arange(6, dtype=np.float32).reshape(2, 3)
    t = dlx.from_dlpack(wrap(source))
    source[0, 0] = 42
    assert t.tolist() == [[42, 1, 2], [3, 4, 5]]
    t[0, 0] = -1.0
    t *= 2.0
    assert source.tolist() == [[42, 1, 2], [3, 4, 5]]
    assert t.tolist() == [[-2, 2, 4], [6, 8, 10]]
    copied = dlx.from_dlpack(source, copy=True)
    source[0, 0] = 0
    assert copied.tolist()[0][0] == 42


@pytest.mark.parametrize("wrap", [lambda a: a, Old], ids=["1.0", "0.8"])
def test_the_lender_is_held_until_the_last_view_is_gone(wrap):
    source = np.arange(6.0)
    lender = weakref.ref(source)
    t = dlx.from_dlpack(wrap(source))
    part = t[2:4]
    del source, t
    gc.collect()
    assert lender() is not None
    assert part.tolist() == [2, 3]
    del part
    gc.collect()
    assert lender() is None


def test_strides_come_in():
    values = np.arange(24.0).reshape(2, 3, 4)
    for view in (
        values.transpose(2, 0, 1),
        values[::-1, ::2, 1:3],
        values[:, :0],
        values[0, 0, 0:1],
    ):
        t = dlx.from_dlpack(view)
        np.testing.assert_array_equal(t.numpy(), view)
        np.testing.assert_array_equal((t + 1.0).numpy(), view + 1)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool"]
)
def test_torch_both_ways_in_every_dtype(dtype):
    torch = pytest.importorskip("torch")
    theirs = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(torch, dtype))
    t = dlx.from_dlpack(theirs)
    assert (str(t.dtype), t.shape) == (dtype, (2, 3))
    back = torch.from_dlpack(t)
    assert back.dtype == theirs.dtype
    assert back.data_ptr() == theirs.data_ptr()
    assert torch.equal(back, theirs)
    assert torch.equal(torch.from_dlpack(dlx.tensor(t)), theirs)
    assert dlx.from_dlpack(theirs.T).tolist() == theirs.T.tolist()


def test_tensor_and_asarray_take_torchs_tensors():
    torch = pytest.importorskip("torch")
    theirs = torch.tensor([1.0, 2.0])
    copied, borrowed = dlx.tensor(theirs), dlx.asarray(theirs)
    theirs[0] = 9.0
    assert copied.tolist() == [1.0, 2.0] and borrowed.tolist() == [9.0, 2.0]
    assert dlx.tensor(theirs, dtype="float64").dtype == "float64"


def test_what_dlx_cannot_hold_is_refused():
    with pytest.raises(TypeError, match=r"type code 0 of 16 bits.*expected one of float32"):
        dlx.from_dlpack(np.zeros(3, np.int16))
    with pytest.raises(TypeError, match="type code 5 of 128 bits"):
        dlx.from_dlpack(np.zeros(3, np.complex128))
    with pytest.raises(ValueError, match="at most 8 dimensions, got 9"):
        dlx.from_dlpack(np.zeros((1,) * 9))
    with pytest.raises(TypeError, match="expected a DLPack capsule, got int"):
        _core.from_dlpack(3)


def test_a_capsule_is_taken_once():
    capsule = np.arange(3.0).__dlpack__()
    assert _core.from_dlpack(capsule).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="consumed already"):
        _core.from_dlpack(capsule)


def test_a_refused_capsule_still_belongs_to_its_producer():
    source = np.zeros(3, np.int16)
    lender = weakref.ref(source)
    capsule = source.__dlpack__()
    with pytest.raises(TypeError):
        _core.from_dlpack(capsule)
    del source, capsule
    gc.collect()
    assert lender() is None


@pytest.mark.parametrize(("device_type", "version"), [(2, 1), (1, 2)])
def test_memory_of_other_devices_and_versions_is_refused(device_type, version):
    """A capsule made by hand, of a GPU that nobody has."""
    import ctypes

    class Managed(ctypes.Structure):
        _fields_ = [  # DLManagedTensorVersioned, its DLTensor inline
            ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
            ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("data", ctypes.c_void_p),
            ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
            ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
            ("lanes", ctypes.c_uint16), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
            ("byte_offset", ctypes.c_uint64),
        ]  # fmt: skip

    shape = (ctypes.c_int64 * 1)(2)
    managed = Managed(version, 0, None, None, 0, 4096, device_type, 77, 1, 2, 32, 1)
    managed.shape = ctypes.addressof(shape)
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule = new(ctypes.addressof(managed), b"dltensor_versioned", None)
    match = r"memory of the CPU.*got \(2, 77\)" if version == 1 else "DLPack version 1, got 2.0"
    with pytest.raises(BufferError, match=match):
        _core.from_dlpack(capsule)
