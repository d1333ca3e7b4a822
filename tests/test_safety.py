"""No use of dlx, however odd, reads or writes memory that is not its own.

Each of these once crashed, leaked, read another value's memory or let a shared value change.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import dlx
from dlx import _core

# ---- sizes


def broadcast(shape, dtype="float32"):
    """Any number of elements in the memory of one."""
    return dlx.broadcast_to(dlx.ones((1,) * len(shape), dtype=dtype), shape)


HUGE = {
    "add": lambda: broadcast((2**31, 1)) + broadcast((1, 2**31)),
    "where": lambda: dlx.where(broadcast((2**31, 1), "bool"), broadcast((1, 2**31)), 0.0),
    "matmul": lambda: broadcast((2**31, 1)) @ broadcast((1, 2**31)),
    "matmul-batch": lambda: broadcast((2**31, 1, 1, 1)) @ broadcast((2**32, 1, 1)),
    "take": lambda: dlx.take(broadcast((2**45, 1)), dlx.zeros((2**20,), dtype="int64"), axis=1),
    "getitem": lambda: dlx.ones((3, 3))[
        broadcast((2**31, 1), "int64"), broadcast((1, 2**31), "int64")
    ],
    "concat": lambda: dlx.concat([broadcast((2**57,))] * 128),
    "zeros": lambda: dlx.zeros((2**31, 2**31)),
    "zeros-of-none": lambda: dlx.zeros((0, 2**40, 2**40)),
    "reinterpret": lambda: _core.reinterpret(dlx.empty((0,)), dlx.uint8, (2**32, 2**32)),
}


@pytest.mark.parametrize("name", HUGE)
def test_more_elements_than_int64_counts_bytes(name):
    with pytest.raises((ValueError, MemoryError), match=r"\(.*\d{10,}.*\)"):
        HUGE[name]()


def test_a_diagonal_may_be_any_number_of_places_away():
    for k in (-(2**63), -3, 4, 2**63 - 1):
        assert dlx.eye(3, 4, k=k).sum().item() == 0


# ---- values that other code changes meanwhile


def test_threads_see_whole_values():
    """x is 1 everywhere or 2 everywhere, whenever another thread looks."""
    x = dlx.ones((1000, 300))
    one, column = dlx.ones((), dtype="float64"), dlx.ones((300, 1))
    looks = {"add": lambda: x + x, "cast": lambda: x * one, "matmul": lambda: x @ column}
    torn = []
    stop = time.monotonic() + 1.5

    def look(name):
        while time.monotonic() < stop:
            y = looks[name]()
            if y.min().item() != y.max().item():
                torn.append(name)

    threads = [threading.Thread(target=look, args=(name,)) for name in looks]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        x[...] = dlx.full((1000, 300), 2.0)
        x *= 0.5
    assert torn == []


def test_a_number_that_writes_to_the_tensor_it_is_combined_with():
    x = dlx.ones((8, 500_000))[:, 0]

    class Writes:
        def __float__(self):
            x[...] = 1.0
            return 2.0

    assert (x * Writes()).tolist() == [2.0] * 8


def test_a_dying_leaf_is_not_found_through_its_node():
    leaf = dlx.tensor([1.0], requires_grad=True)
    node, found = leaf.node, []
    watch = weakref.ref(leaf, lambda _: found.append(node.leaf))
    del leaf
    assert found == [None]
    assert watch() is None


DAEMON = """
import threading, time, dlx
def work():
    x = dlx.ones((600, 600))
    while True:
        x + x, x @ x
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""


def test_daemon_threads_do_not_keep_a_program_from_ending():
    for _ in range(4):
        subprocess.run([sys.executable, "-c", DAEMON], check=True, timeout=60)


# ---- the graph


def test_a_value_that_was_not_kept_has_no_memory():
    x = dlx.tensor([1.0, 2.0], requires_grad=True)
    unkept = dlx.exp(x).node.inputs[0]
    for look in (lambda: unkept._storage_id, unkept.numpy, unkept.tolist, lambda: unkept + 1):
        with pytest.raises(RuntimeError, match="not kept"):
            look()


def test_record_takes_tensors_as_outputs():
    x = dlx.tensor([1.0], requires_grad=True)
    for outputs in (5, (x, None)):
        with pytest.raises(TypeError, match="record: expected Tensors"):
            dlx.autodiff.record(dlx.exp(x).node.rule, (x,), outputs)


def test_an_op_of_forty_inputs_keeps_those_its_rule_asks_for():
    @dlx.primitive(vjp=lambda g, y, *xs: tuple(g * x for x in xs))
    def half_squares(*xs):
        total = 0.0
        for x in xs:
            total = x * x * 0.5 + total
        return total

    xs = [dlx.tensor([float(i)], requires_grad=True) for i in range(40)]
    half_squares(*xs).backward()
    assert [x.grad.item() for x in xs] == [float(i) for i in range(40)]


@pytest.mark.parametrize("dloss", [dlx.ones((1,)), dlx.ones((500,), dtype="float64")])
def test_a_gradient_of_the_wrong_shape_or_dtype(dloss):
    x, labels = dlx.zeros((500, 3)), dlx.zeros((500,), dtype="int64")
    _, norm, total = _core.cross_entropy(x, labels, None, -100, 0.0, 0)
    with pytest.raises(ValueError, match="cross_entropy_backward: expected a gradient of float32"):
        _core.cross_entropy_backward(dloss, x, labels, norm, total, None, -100, 0.0, 0)
    y = dlx.zeros((500,))
    with pytest.raises(ValueError, match="mse_loss_backward: expected a gradient of float32"):
        _core.mse_loss_backward(dloss, y, y, 0)


def test_requires_grad_cannot_be_deleted():
    with pytest.raises(TypeError, match="requires_grad"):
        del dlx.zeros(3).requires_grad


# ---- memory of others


def test_what_is_no_number_leaks_nothing():
    number = 12345678910
    before = sys.getrefcount(number)
    for _ in range(20):
        with pytest.raises(TypeError):
            dlx.tensor([number, "text"])
    assert sys.getrefcount(number) == before


class Buffer(ctypes.Structure):
    """Py_buffer."""

    _fields_ = (
        *[(n, t) for n, t in [("buf", ctypes.c_void_p), ("obj", ctypes.py_object)]],
        *[(n, ctypes.c_ssize_t) for n in ("len", "itemsize")],
        *[(n, ctypes.c_int) for n in ("readonly", "ndim")],
        *[(n, ctypes.c_void_p) for n in ("format", "shape", "strides", "suboffsets", "internal")],
    )


ND, STRIDES, C, F, ANY = 0x8, 0x18, 0x38, 0x58, 0x98


def exports(x, flags):
    view, api = Buffer(), ctypes.pythonapi
    try:
        api.PyObject_GetBuffer(ctypes.py_object(x), ctypes.byref(view), flags)
    except BufferError:
        return False
    api.PyBuffer_Release(ctypes.byref(view))
    return True


def test_a_buffer_has_the_layout_its_consumer_asks_for():
    x = dlx.zeros((4, 6))
    layouts = (0, ND, STRIDES, C, F, ANY)
    given = {
        "C": [exports(x, flags) for flags in layouts],
        "F": [exports(x.T, flags) for flags in layouts],
        "neither": [exports(x[:, ::2], flags) for flags in layouts],
        "both": [exports(x[0], flags) for flags in layouts],
    }
    assert given == {
        "C": [True, True, True, True, False, True],
        "F": [False, False, True, False, True, True],
        "neither": [False, False, True, False, False, False],
        "both": [True] * 6,
    }


def test_a_mask_whose_bytes_are_not_one():
    mask = np.array([2, 0, 1, 255, 0], np.uint8).view(np.bool_)
    assert dlx.arange(5)[dlx.asarray(mask)].tolist() == [0, 2, 3]


@pytest.mark.parametrize("step", [400, -400])
def test_a_record_keeps_all_the_memory_of_a_strided_array(step):
    data = np.arange(4000, dtype=np.float32)
    f = dlx.jit(lambda x: x + dlx.asarray(data[::step]))
    for i in range(5):
        assert f(dlx.full((10,), float(i))).tolist() == (data[::step] + i).tolist()
    assert f.cache_info().replays == 2
