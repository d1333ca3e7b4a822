"""Every row of tests/cases/ through every check that its op owes (see the names of the tests)."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest

import dlx
from _check import (
    EPS,
    Problem,
    assert_bits,
    assert_case,
    assert_close,
    assert_projection,
    dot,
    public_ops,
    solved,
    strided_variants,
    to_numpy,
    to_tensor,
)
from cases import CASES
from cases._torch import PARITY


def over(cases):
    return pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in cases])


SMOOTH = [c for c in CASES if c.differentiable]
TWICE = [c for c in SMOOTH if not c.kink]
FLOATING = [c for c in CASES if c.takes_dtype or any(x.floating for x in c.inputs)]


def floating(tensor):
    return str(tensor.dtype) in EPS


@over(CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_equals_the_reference(case, dtype, device):
    arrays = case.arrays(dtype)
    y = case.run(*[to_tensor(a, device) for a in arrays], dtype=dtype, device=device)
    if case.takes_dtype:
        expected, terms = case.reference(dtype=dtype), case.magnitude()
    else:
        wide = case.arrays("float64")
        expected, terms = case.reference(*wide), case.magnitude(*wide)
    if floating(y):
        assert str(y.dtype) == case.kwargs.get("dtype", dtype)
        assert_case(case, to_numpy(y), expected.astype(np.float64), terms, dtype, case.id)
    else:
        assert str(y.dtype) == str(expected.dtype)
        assert_bits(to_numpy(y), np.ascontiguousarray(expected).reshape(expected.shape), case.id)


def as_dtype(array, dtype):
    """The case's numbers in another dtype, exactly representable there."""
    if array.dtype != np.float64:
        return array
    if dtype in EPS:
        return to_numpy(to_tensor(array, "cpu", dtype))
    array = np.abs(3 * array) if dtype == "uint8" else 3 * array
    return array > 0 if dtype == "bool" else array.astype(dtype)


@pytest.mark.parametrize(
    ("case", "dtype"), [pytest.param(c, d, id=f"{c.id}-{d}") for c in CASES for d in c.dtypes]
)
def test_other_dtypes_equal_the_reference(case, dtype, device):
    arrays = [as_dtype(a, dtype) for a in case.arrays()]
    given = [
        to_tensor(a, device, dtype if x.floating else None)
        for a, x in zip(arrays, case.inputs, strict=True)
    ]
    y, expected = case.run(*given), case.reference(*arrays)
    if expected.dtype == np.float64:
        assert str(y.dtype) == dtype
        bound = (
            case.c * EPS[dtype] * (case.magnitude(*arrays) + 2.0**-14)
        )  # float16 may be subnormal
        assert_close(to_numpy(y), expected, bound, case.id)
    else:
        assert str(y.dtype) == str(expected.dtype)
        assert_bits(to_numpy(y), np.ascontiguousarray(expected).reshape(expected.shape), case.id)


@over([c for c in CASES if not c.op.startswith("_core.")])
def test_an_output_needs_a_gradient_iff_an_input_does(case, device):
    tensors = [to_tensor(a, device) for a in case.arrays()]
    assert not case.run(*tensors, device=device).requires_grad
    for i in range(len(tensors)):
        if not case.inputs[i].floating:
            continue
        inputs = list(tensors)
        inputs[i] = dlx.tensor(tensors[i], requires_grad=True)
        assert case.run(*inputs).requires_grad == (i in case.differentiable)


@over(SMOOTH)
def test_float32_gradients_equal_float64_ones(case, device):
    _, wide, magnitudes = solved(case, device)
    narrow = Problem(case, device, "float32").gradients()
    for i, (g, expected, terms) in enumerate(zip(narrow, wide, magnitudes, strict=True)):
        assert str(g.dtype) == "float32"
        assert_case(case, to_numpy(g), expected, terms, "float32", f"gradient {i} of {case.id}")


@over(SMOOTH)
def test_gradients_equal_differences(case, device):
    problem, gradients, _ = solved(case, device)

    def projected(*points):
        y = problem.function(*[problem.tensor(p) for p in points])
        return dot([to_numpy(y)], [problem.cotangent])

    points = [problem.arrays[i] for i in problem.active]
    assert_projection(projected, gradients, points, problem.tangents, case.id)


@over(TWICE)
def test_second_order_equals_differences(case, device):
    problem, _, _ = solved(case, device)
    u, directions = problem.tensor(problem.cotangent), [problem.tensor(v) for v in problem.tangents]
    rng = np.random.default_rng(2)
    argnums = tuple(range(len(problem.active)))
    first = dlx.grad(lambda *x: dlx.sum(dlx.multiply(problem.function(*x), u)), argnums)

    def slope(*points):
        parts = [
            dlx.sum(dlx.multiply(g, v)) for g, v in zip(first(*points), directions, strict=True)
        ]
        return sum(parts[1:], parts[0])

    points = [problem.arrays[i] for i in problem.active]
    second = [to_numpy(g) for g in dlx.grad(slope, argnums)(*problem.primals)]
    assert_projection(
        lambda *arrays: slope(*[problem.tensor(a) for a in arrays]).item(),
        second,
        points,
        [rng.normal(size=p.shape) for p in points],
        case.id,
    )


@over(SMOOTH)
def test_jvp_is_the_transpose_of_vjp(case, device):
    problem, gradients, magnitudes = solved(case, device)
    tangents = tuple(problem.tensor(v) for v in problem.tangents)
    y, dy = dlx.jvp(problem.function, tuple(problem.primals), tangents)
    assert_bits(to_numpy(y), to_numpy(problem.y), case.id)
    scale = dot(magnitudes, [np.abs(v) for v in problem.tangents])
    forward, reverse = dot([to_numpy(dy)], [problem.cotangent]), dot(gradients, problem.tangents)
    assert abs(forward - reverse) <= 1e-12 * scale, f"{case.id}: {forward!r}, {reverse!r}"


@over(SMOOTH)
def test_composite_rules_equal_fused_ones(case, device):
    problem, fused, magnitudes = solved(case, device)
    for g, expected, terms in zip(
        problem.gradients(create_graph=True), fused, magnitudes, strict=True
    ):
        assert_close(to_numpy(g), expected, 32 * EPS["float64"] * terms, case.id)


PUBLIC = {name.rsplit(".", 1)[-1] for name in public_ops()} | {"getitem"}


@over(SMOOTH)
def test_composite_rules_use_public_ops_only(case, device):
    """Never a fused backward: the graph behind a gradient made under create_graph names its ops."""
    problem, _, _ = solved(case, device)
    nodes = [g.node for g in problem.gradients(create_graph=True) if g.node is not None]
    seen, names = set(), set()
    while nodes:
        node = nodes.pop()
        if node in seen or node.rule is None:
            continue
        seen.add(node)
        names.add(node.rule.name)
        nodes += [edge[0] for edge in node.edges if edge is not None]
    assert names <= PUBLIC, f"{case.id}: {sorted(names - PUBLIC)}"


@over([c for c in CASES if c.inputs])
def test_strided_inputs_change_nothing(case, device):
    tensors = [to_tensor(a, device) for a in case.arrays()]
    expected = to_numpy(case.run(*tensors))
    variants = [strided_variants(t) for t in tensors]
    for layout in ("transposed", "sliced", "reversed"):
        views = [v.get(layout, t) for v, t in zip(variants, tensors, strict=True)]
        y = to_numpy(case.run(*views))
        terms = case.magnitude(*case.arrays()) if case.order_by_layout else None
        assert_same(case, y, expected, terms, layout)
        if case.differentiable:
            problem, gradients, magnitudes = solved(case, device)
            strided = problem.gradients(primals=[views[i] for i in case.differentiable])
            for g, dx, terms in zip(strided, gradients, magnitudes, strict=True):
                assert_same(case, to_numpy(g), dx, terms, f"gradient, {layout}")


def assert_same(case, actual, expected, terms, what):
    """Bit for bit, unless another layout means another order of the sums."""
    if case.order_by_layout:
        assert_close(actual, expected, case.c * EPS["float64"] * terms, f"{case.id}, {what}")
    else:
        assert_bits(actual, expected, f"{case.id}, {what}")


def result_bits(case, device):
    """Outputs and gradients as bytes, in both dtypes."""
    found = []
    for dtype in ("float32", "float64"):
        problem = Problem(case, device, dtype)
        found.append(to_numpy(problem.y).tobytes())
        if case.differentiable:
            found += [to_numpy(g).tobytes() for g in problem.gradients()]
    return found


@over(CASES)
def test_the_number_of_threads_changes_no_bit(case, device):
    found = {}
    with dlx.testing.forced_grain(16):
        for threads in (1, 2, 3, 5):
            dlx.set_num_threads(threads)
            found[threads] = result_bits(case, device)
    assert found[1] == found[2] == found[3] == found[5], case.id


def elements(case):
    return sum(math.prod(x.shape) for x in case.inputs) or math.prod(case.kwargs.get("shape", (0,)))


# Ops that move nothing, or work on as many threads only where there is much more to do.
SEQUENTIAL = {
    "reshape",
    "permute_dims",
    "squeeze",
    "expand_dims",
    "broadcast_to",
    "setitem",
    "getitem",
}
LARGEST = {c.op: c for c in sorted(CASES, key=elements) if elements(c) >= 1000}


@over([c for op, c in LARGEST.items() if op not in SEQUENTIAL and not op.startswith("_core.")])
def test_several_threads_take_part(case):
    """Without this, the test above would hold for a pool that never wakes."""
    tensors = [to_tensor(a, "cpu") for a in case.arrays("float32")]
    dlx.set_num_threads(3)
    until = time.monotonic() + 10
    with dlx.testing.forced_grain(16):
        while time.monotonic() < until:
            case.run(*tensors, device="cpu")
            if dlx.testing.workers_used() >= 2:
                return
    pytest.fail(f"{case.id}: the caller took every chunk, for 10 s")


@over(CASES)
def test_outputs_are_written_whole_and_no_further(case, device):
    clean = result_bits(case, device)
    with dlx.testing.poison_outputs():
        poisoned = result_bits(case, device)
    assert poisoned == clean, case.id


@over([c for c in CASES if c.op.rsplit(".", 1)[-1] in PARITY and not c.name.startswith("by")])
def test_parity_with_torch(case, device):
    torch = pytest.importorskip("torch")
    arrays = case.arrays("float64")
    given = [torch.tensor(a, requires_grad=i in case.differentiable) for i, a in enumerate(arrays)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its arguments
        expected = PARITY[case.op.rsplit(".", 1)[-1]](torch, *given, **case.kwargs)
    y = case.run(*[to_tensor(a, device) for a in arrays])
    terms = case.magnitude(*arrays)
    assert_close(to_numpy(y), expected.detach().numpy(), 64 * EPS["float64"] * terms, case.id)
    if case.differentiable:
        problem, gradients, magnitudes = solved(case, device)
        expected.backward(torch.tensor(problem.cotangent))
        theirs = [given[i].grad.numpy() for i in case.differentiable]
        for g, t, terms in zip(gradients, theirs, magnitudes, strict=True):
            assert_close(g, t, 64 * EPS["float64"] * terms, f"gradient of {case.id}")


@over([c for c in CASES if c.flops is not None])
def test_the_profiler_reports_the_cost_counted_by_hand(case, device):
    tensors = [to_tensor(a, device) for a in case.arrays("float32")]
    with dlx.profile() as profile:
        case.run(*tensors, device=device)
    rows = [row for row in profile if row.name == case.counts or not case.counts]
    assert (sum(r.flops for r in rows), sum(r.bytes for r in rows)) == (case.flops, case.bytes)


def test_every_op_has_a_counted_cost():
    counted = {c.op.rsplit(".", 1)[-1] for c in CASES if c.flops is not None}
    native = {c.op for c in CASES if c.op.startswith("_core.")}  # counted where they are called
    assert {c.op for c in CASES if c.op.rsplit(".", 1)[-1] not in counted} <= native


def test_a_large_c_has_its_reason():
    assert [c.id for c in CASES if c.c > 4 and not c.why_c] == []
