"""Same name in four places: csrc/ops, its binding, the NumPy reference, the table of cases."""

from __future__ import annotations

import ast
import functools
import pathlib
import re

import numpy as np
import pytest

import dlx
from _check import Problem, public_ops, to_tensor
from cases import CASES
from dlx import _core, reference
from dlx.reference import twins

ROOT = pathlib.Path(__file__).parents[1]
HEADERS = sorted((ROOT / "csrc/ops").glob("*.h"))
NAME = re.compile(r'(?:\.name = |: Row<)"(\w+)"')


# dlx.jit makes them of other ops: tests/test_jit_fusion.py, tests/test_jit_memory.py
OF_PROGRAMS = {"fused", "fused_reduce", "batch_norm_apply"}


def native_ops():
    named = {name for header in HEADERS for name in NAME.findall(header.read_text())}
    return sorted(named - OF_PROGRAMS)


needs_source = pytest.mark.skipif(not HEADERS, reason="csrc/ is not here: an installed wheel")


@functools.cache
def seen_at_the_door(device):
    """Names of the native ops that ran while every case ran forward and backward."""
    with dlx.profile() as profile:
        for case in CASES:
            case.run(*[to_tensor(a, device) for a in case.arrays("float32")], device=device)
            if case.differentiable:
                Problem(case, device, "float32").gradients()
    return {row.name for row in profile}


@needs_source
def test_the_source_is_read():
    assert {"matmul", "add", "tanh_backward", "softmax", "take", "copy"} <= set(native_ops())


@needs_source
@pytest.mark.parametrize("name", native_ops() or [None])
def test_native_op_has_binding_twin_and_case(name, device):
    assert name in twins, f"no function {name} in python/dlx/reference"
    assert name in seen_at_the_door(device), f"no case in tests/cases runs {name}"


@needs_source
def test_every_header_of_an_op_has_its_kernel():
    for header in HEADERS:
        if NAME.search(header.read_text()) and header.stem != "pointwise":
            kernels = [header.with_suffix(".cc"), header.with_name(header.stem + ".kernel.cc")]
            assert any(k.exists() for k in kernels), f"{header.name}: no {header.stem}.cc"


@needs_source
def test_every_op_has_its_kernel_for_gpus():
    """Declared beside the CPU's, whereby it must be there to link, in the file of the same name."""
    for header in HEADERS:
        text = header.read_text()
        kernels = re.findall(r"\.kernels = (\S+)", text)
        assert len(kernels) >= len(re.findall(r"\bOp \w+{", text)), header.name
        assert all(k.startswith("DLX_KERNELS(") for k in kernels), f"{header.name}: {kernels}"
        twin = ROOT / "cuda" / "ops" / f"{header.stem}.cu"
        assert twin.exists() or not kernels, f"{header.name}: no {twin.name}"


def test_every_twin_is_an_op():
    known = set(native_ops()) | {name.rsplit(".", 1)[-1] for name in public_ops()}
    helpers = {"philox", "getitem", "setitem", "linear"}
    helpers |= {"sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta"}  # of optimizer_step
    assert set(twins) - known - helpers - set(dlx.__all__) - set(vars(_core)) == set()


def test_every_public_op_has_a_case():
    undefined = {"empty", "empty_like"}  # their content is
    assert public_ops() - {c.op for c in CASES} == undefined


def test_every_case_with_a_floating_result_has_a_rule():
    """Or is an optimizer's step, a native function below the rules, or takes a shape only."""
    shape_only = {"zeros_like", "ones_like", "full_like"}
    for case in CASES:
        below = case.op.split(".")[0] in ("optim", "_core") or case.op in shape_only
        if below or not case.inputs or case.kwargs.get("dtype"):
            continue
        floating = case.reference(*case.arrays()).dtype == np.float64
        assert floating == bool(case.differentiable), case.id


def test_ids_are_distinct():
    ids = [c.id for c in CASES]
    assert len(set(ids)) == len(ids)


FILES = sorted(pathlib.Path(reference.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_reference_imports_numpy_only(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert [a.name for a in node.names] == ["numpy"]
        if isinstance(node, ast.ImportFrom):
            assert node.module == "__future__" or node.module.startswith("dlx.reference")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_reference_function_fits_in_fifteen_lines(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = sum(s.end_lineno - s.lineno + 1 for s in body)
            assert lines <= 15, node.name


@pytest.mark.parametrize(
    "family",
    ["elementwise", "activation", "matmul", "shape", "reduce", "index", "loss", "pair_loss"],
)
def test_families_carry_the_same_name(family):
    tests = pathlib.Path(__file__).parent / "cases"
    assert (tests / f"{family}.py").exists()
    assert (pathlib.Path(reference.__file__).parent / f"{family}.py").exists()
