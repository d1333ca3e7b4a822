"""Mistakes planted into the CUDA kernels are found: 30, by --full all (tests/simt/mutants)."""

from __future__ import annotations

import importlib.util
import os
import re

import pytest

from simt.mutants import check, find

pytestmark = [
    pytest.mark.timeout(900),  # builds the emulated device where no test did before
    pytest.mark.skipif(not find.sources(), reason="cuda/ is not here: an installed wheel"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the emulator runs on x86-64"),
    pytest.mark.skipif(importlib.util.find_spec("pybind11") is None, reason="pybind11 is missing"),
]
LEAST = 0.9


def judged(report, capsys):
    with capsys.disabled():
        print("\n" + "\n".join(report.lines()))
    assert report.failed == [], "items fail without any mutation"
    assert report.unexplained() == [], "explain it in tests/simt/mutants/survivors.txt, or test it"
    assert report.share >= LEAST


def test_a_fixed_sample_is_found(capsys):
    """With fewer of the items, for less time."""
    sample = find.sample(find.mutations())
    judged(check.check(sample, "mutants-sample", seconds=2.0, items="float32$|^[^ ]+$"), capsys)


@pytest.mark.timeout(7200)
def test_all_are_found(pytestconfig, capsys):
    if not pytestconfig.getoption("--full"):
        pytest.skip("takes long: pytest --full")
    judged(check.check(find.mutations(), "mutants"), capsys)


def test_every_explanation_is_of_a_mutation():
    assert set(check.explained()) - {m.key for m in find.mutations()} == set()
    assert [key for key, reason in check.explained().items() if not reason] == []


def test_mutations_are_of_every_file_with_kernels():
    """Or of the header that such a file does no more than call."""
    files = {m.file for m in find.mutations()}
    for path in find.sources():
        text = path.read_text()
        if "__global__" in text:
            called = re.findall(r'#include "(cuda/ops/\w+\.h)"', text)
            assert {str(path.relative_to(find.ROOT)), *called} & files


@pytest.mark.parametrize(
    ("line", "mutated"),
    [
        ("__syncthreads();", ";"),
        ("if (i < n) y[i] = 0;", "if (true) y[i] = 0;"),
        ("if (i >= n) return;", "if (false) return;"),
        ("for (int i = 0; i < n; ++i) {", "for (int i = 0; i <= n; ++i) {"),
        ("const int at = row * n + k;", "const int at = row + n + k;"),
        ("return a < b && c;", "return a < b;"),
        ("float sum = 0;", "float sum = 0 + 1;"),
        ("y[i] = x[j];", ";"),
    ],
)
def test_a_line_has_this_mutation(line, mutated):
    assert mutated in [edit.mutated for edit in find.edits_of(line, line)]


@pytest.mark.parametrize(
    "call", ["blocks_for(n * {})", "lanes_for({} + n)", "teams_for(n - {}, 1)"]
)
def test_the_layout_of_work_is_left_alone(call):
    assert find.edits_of(f"run({call.format(1)}, 8);", "") == []


@pytest.mark.parametrize(
    "line",
    ["constexpr int k = 4 / 2;", "template <int n = 3 - 1>", "DLX_SHARED(int, all, [n + 1]);"],
)
def test_what_the_compiler_evaluates_is_left_alone(line):
    assert find.SKIPPED.search(line)
