"""Every algorithm that an op chooses from, forced: the whole table, on every instruction set."""

from __future__ import annotations

import dataclasses

import pytest

import dlx
import test_ops
from _check import Problem, assert_case, solved, to_numpy
from _levels import LEVELS, at_level
from cases import CASES
from dlx import _core, testing

DEFAULT = _core.isa()
# The cases whose forward or gradients launch the native op.
USERS = {
    "avg_pool2d": ("avg_pool",),
    "avg_pool2d_backward": ("avg_pool",),
    "batch_norm": ("batch_norm", "BatchNorm"),
    "batch_norm_reads": ("batch_norm", "BatchNorm"),
    "batch_norm_result": ("batch_norm", "BatchNorm"),
    "conv2d": ("conv", "Conv"),
    "group_norm": ("group_norm",),
    "group_norm_result": ("group_norm",),
    "pointwise": ("add", "equal", "where", "elu"),
    "conv2d_backward_weight": ("conv", "Conv"),
    "max_pool2d": ("max_pool",),
    "max_pool2d_backward": ("max_pool",),
    "pool_reads": ("avg_pool", "max_pool"),
    "pool_result": ("avg_pool", "max_pool"),
    "matmul": ("matmul", "linear"),
    "copy": ("permute",),
    "copy_blocks": ("permute",),
    "reduce": ("sum", "mean", "max", "min", "argmax", "argmin"),
    "scatter_add": ("scatter_add", "take"),
}
ELSEWHERE = {"half_matmul"}  # test_half_matmul.py
ALGORITHMS = [(op, a) for op, names in testing.algorithms().items() if op in USERS for a in names]


@pytest.fixture(params=LEVELS)
def level(request):
    with at_level(request.param):
        yield


def check_gradients(case, like, device, dtype):
    _, expected, magnitudes = solved(case, device)  # float64, as the table of the op chooses
    gradients = Problem(like, device, dtype).gradients()
    for i, (g, wide, terms) in enumerate(zip(gradients, expected, magnitudes, strict=True)):
        assert_case(like, to_numpy(g), wide, terms, dtype, f"gradient {i} of {case.id}")


def check_threads(case, device):
    found = set()
    with testing.forced_grain(16):
        for threads in (1, 3):
            dlx.set_num_threads(threads)
            found.add(b"".join(test_ops.result_bits(case, device)))
    assert len(found) == 1, case.id


@pytest.mark.parametrize(("op", "algorithm"), ALGORITHMS)
def test_a_forced_algorithm_passes_the_case_table(op, algorithm, level):
    device = "cpu"  # a GPU has algorithms of its own
    cases = [case for case in CASES if any(word in case.op for word in USERS[op])]
    here = _core.isa()
    _core.set_isa(DEFAULT)  # the solutions are kept, and shared with test_ops.py
    for case in cases:
        if case.differentiable:
            solved(case, device)
    _core.set_isa(here)
    with testing.force(op, algorithm) as taken:
        for case in cases:
            like = dataclasses.replace(case, winograd=case.winograd or "winograd" in algorithm)
            for dtype in ("float32", "float64"):
                test_ops.test_forward_equals_the_reference(like, dtype, device)
                if case.differentiable:
                    check_gradients(case, like, device, dtype)
            check_threads(case, device)
    assert taken[0] > 0, f"no case runs {op} by {algorithm}"


def test_force_names_what_there_is():
    with pytest.raises(ValueError, match=r"force: expects one of .*conv2d.*, got 'conv9d'"):
        testing.force("conv9d", "direct").__enter__()
    with pytest.raises(ValueError, match=r"force: conv2d has .*'direct'.*, got 'magic'"):
        testing.force("conv2d", "magic").__enter__()


def test_a_forced_algorithm_is_taken_and_then_no_more():
    x, w = dlx.ones((1, 2, 5, 5)), dlx.ones((3, 2, 3, 3))
    with testing.force("conv2d", "direct") as taken:
        dlx.conv2d(x, w)
    assert taken[0] > 0
    assert _core.force_algorithm("conv2d", -1) == 0


def test_every_op_that_chooses_has_cases():
    assert set(testing.algorithms()) == set(USERS) | ELSEWHERE
