"""What a mutation has to survive: every case of the table, forward and gradients, and the inputs
that the table has no rows for. An item runs on the emulated device and raises where it is wrong.
"""

from __future__ import annotations

import functools
import math

import numpy as np

import dlx
from _check import (
    Problem,
    assert_bits,
    assert_close,
    strided_variants,
    to_numpy,
    to_tensor,
)
from cases import CASES, activation, elementwise
from simt.mutants import (  # noqa: F401 (add to BEYOND)
    edges,
    edges_of_layers,
    edges_of_programs,
    edges_of_views,
)
from simt.mutants.beyond import BEYOND
from test_ops import as_dtype

DEVICE = "cuda"


# Of the largest number of the CPU's result: another order of the sums, no more.
RELATIVE = {"float64": 1e-10, "float32": 2e-5, "float16": 2.0**-9, "bfloat16": 2.0**-6}


# Results that are small because large terms cancel.
LEAST = {"float64": 1e-15, "float32": 1e-7, "float16": 0, "bfloat16": 0}


def inputs_of(case, dtype, device):
    if dtype in ("float32", "float64"):
        return [to_tensor(a, device) for a in case.arrays(dtype)]
    arrays = [as_dtype(a, dtype) for a in case.arrays()]
    return [
        to_tensor(a, device, dtype if x.floating else None) for a, x in zip(arrays, case.inputs)
    ]


def result_of(case, dtype, device, layout=None):
    given = inputs_of(case, dtype, device)
    if layout:
        views = unaligned if layout == "unaligned" else strided_variants
        given = [views(t).get(layout, t) for t in given]
    kwargs = {"dtype": dtype} if dtype in ("float32", "float64") else {}
    y = case.run(*given, device=device, **kwargs)
    return str(y.dtype), to_numpy(y)


@functools.cache
def expected(case, dtype):
    return result_of(case, dtype, "cpu")


def forward(case, dtype, layout=None):
    (kind, y), (wanted_kind, wanted) = result_of(case, dtype, DEVICE, layout), expected(case, dtype)
    assert kind == wanted_kind, case.id
    if kind in RELATIVE:
        largest = np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0)
        assert_close(y, wanted, RELATIVE[kind] * largest + LEAST[kind], case.id)
    else:
        assert_bits(y, wanted, case.id)


def unaligned(t):
    """The same elements, beginning one behind where memory does."""
    array = np.concatenate([np.zeros(1), to_numpy(t).ravel()])
    return {"unaligned": dlx.tensor(array, dtype=t.dtype, device=t.device)[1:].reshape(t.shape)}


def strided(case, layout):
    forward(case, "float64", layout)


@functools.cache
def cpu_gradients(case):
    return [to_numpy(g) for g in Problem(case, "cpu").gradients()]


def gradients(case, dtype):
    relative, least = {"float32": (2e-3, 1e-5), "float64": (1e-9, 1e-12)}[dtype]
    found = Problem(case, DEVICE, dtype).gradients()
    for g, wanted in zip(found, cpu_gradients(case), strict=True):
        bound = relative * np.max(np.abs(wanted), initial=0) + least
        assert_close(to_numpy(g), wanted, bound, case.id)


def tangents_on(case, device, dtype):
    problem = Problem(case, device, dtype)
    given = tuple(problem.tensor(v) for v in problem.tangents)
    return to_numpy(dlx.jvp(problem.function, tuple(problem.primals), given)[1])


@functools.cache
def cpu_tangents(case):
    return tangents_on(case, "cpu", "float64")


def tangents(case, dtype):
    wanted = cpu_tangents(case)
    bound = 1e-9 * np.max(np.abs(wanted), initial=0) + 1e-12
    assert_close(tangents_on(case, DEVICE, dtype), wanted, bound, case.id)


def arrays_of(result):
    """Tensors, numbers, texts, in one list."""
    if isinstance(result, (tuple, list)):
        return [a for r in result for a in arrays_of(r)]
    return [to_numpy(result) if isinstance(result, dlx.Tensor) else np.asarray(result)]


@functools.cache
def on_cpu(function):
    dlx.seed(0)
    return arrays_of(function("cpu"))


def beyond(function):
    dlx.seed(0)
    for y, wanted in zip(arrays_of(function(DEVICE)), on_cpu(function), strict=True):
        if wanted.dtype.kind == "f":
            bound = 1e-5 * np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0)
            assert_close(y, wanted, bound, function.__name__)
        else:
            assert y.shape == wanted.shape and (y == wanted).all(), function.__name__


# Of the rows of pointwise.h, which share their kernels, these stand for all.
ROWS = {"add", "where", "less", "isnan", "logical_and", "exp", "clip", "floor_divide", "relu"}
LARGEST = 9000  # elements of a case's inputs: larger ones try the CPU's threads
LAYOUTS = ("transposed", "sliced", "reversed")


def chosen_cases():
    rows = {case.op for family in (elementwise, activation) for case in family.CASES}
    for case in CASES:
        name = case.op.rsplit(".", 1)[-1]
        elements = sum(math.prod(x.shape) for x in case.inputs)
        slow = "padding=300" in case.id
        if elements <= LARGEST and not slow and (case.op not in rows or name in ROWS):
            yield case


def all_items():
    """[(op, name, function)]; function's cache of what it compares with is filled by `prepare`."""
    found = []
    for number, case in enumerate(chosen_cases()):
        op = case.op.rsplit(".", 1)[-1]
        ways = [(forward, d) for d in ("float32", "float64", *case.dtypes)]
        if case.inputs:
            ways += [(strided, LAYOUTS[number % len(LAYOUTS)]), (strided, "unaligned")]
        if case.differentiable:
            ways.append((gradients, ("float32", "float64")[number % 2]))
            if number % 3 == 0:
                ways.append((tangents, "float64"))
        for check, way in ways:
            name = f"{check.__name__} {case.id} {way}"
            found.append((op, name, functools.partial(check, case, way)))
    for function in BEYOND:
        name = function.__name__
        found.append((name, name, functools.partial(beyond, function)))
    return found


def prepare(function):
    """Computes what the item compares with, so that no child has to."""
    check, *arguments = function.func, *function.args
    if check is forward:
        expected(*arguments)
    elif check is strided:
        expected(arguments[0], "float64")
    elif check is gradients:
        cpu_gradients(arguments[0])
    elif check is tangents:
        cpu_tangents(arguments[0])
    else:
        on_cpu(arguments[0])
