"""The machine code that nvcc makes of cuda/, looked at without a GPU: nothing spills, registers
stay within a budget, bandwidth kernels move 16 bytes at a time.
"""

from __future__ import annotations

import re
import shutil

import pytest

import _nvcc

pytestmark = [
    pytest.mark.timeout(1200),  # the first of them compiles
    pytest.mark.skipif(not _nvcc.SOURCES, reason="cuda/ is not here: an installed wheel"),
]
IDS = [f"{s.parent.name}/{s.stem}" for s in _nvcc.SOURCES]
over_sources = pytest.mark.parametrize("source", _nvcc.SOURCES, ids=IDS)
# Kernels that move 16 bytes at a time: source, kernel, a part of the symbols that have to.
WIDE = [
    ("map", "map_dense", r"3Add(Ef|Ed|Ei|El|ENS_10bfloat16_t)E|3ExpEfE"),
]
# Arrays that are indexed at run time, which stand in local memory, and why.
LOCAL = {
    r"pointwise3(Sin|Cos)E": "CUDA reduces large arguments by a table",
}


@pytest.fixture(scope="session")
def compiled(pytestconfig):
    if not pytestconfig.getoption("--full"):
        pytest.skip("until registers.txt has every kernel: pytest --full")
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed")
    return _nvcc.compile_all()


@pytest.fixture
def code(compiled):
    """Of a source: (object, what nvcc said), without which the test fails."""

    def of(source):
        if isinstance(compiled[source], Exception):
            pytest.fail(str(compiled[source]))
        return compiled[source]

    return of


@pytest.fixture
def instructions(code):
    """Of a source and an architecture: {symbol: its instructions}."""
    missing = [name for name in ("cuobjdump", "nvdisasm") if _nvcc.tool(name) is None]
    if missing:
        pytest.skip(
            f"{missing} not installed: pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm"
        )

    def of(source, arch):
        return _nvcc.machine_code(code(source)[0], arch)

    return of


@over_sources
def test_nvcc_compiles(code, source):
    assert code(source)[0].stat().st_size


@over_sources
def test_nothing_spills(code, source):
    kernels = _nvcc.kernels_of(source, code(source)[1])
    launches = bool(re.search(r"launch_grid<|__global__", source.read_text()))
    assert bool(kernels) == launches
    assert {k.arch for k in kernels} == (set(_nvcc.archs_of(source)) if launches else set())
    assert [(k.family, k.arch, k.spilled) for k in kernels if k.spilled] == []


@over_sources
def test_registers_stay_within_the_budget(code, source):
    allowed = _nvcc.budget()
    kernels = _nvcc.kernels_of(source, code(source)[1])
    over = {
        (k.family, k.arch, k.registers)
        for k in kernels
        if not k.registers <= allowed.get(k.family, 0)
    }
    assert over == set(), "`python tests/_nvcc.py` writes the budget of tests/registers.txt anew"


def test_the_budget_names_kernels_that_exist(compiled, code):
    families = {k.family for s in compiled for k in _nvcc.kernels_of(s, code(s)[1])}
    assert set(_nvcc.budget()) == families


@over_sources
def test_no_thread_has_memory_of_its_own(instructions, source):
    """Neither spilled registers nor arrays that are indexed at run time (LDL, STL)."""
    for arch in _nvcc.archs_of(source):
        for symbol, code in instructions(source, arch).items():
            if not any(re.search(known, symbol) for known in LOCAL):
                assert not re.search(r"\b(LDL|STL)\b", code), f"{symbol} for {arch}"


@pytest.mark.parametrize(("stem", "kernel", "symbols"), WIDE, ids=lambda v: str(v)[:20])
def test_a_bandwidth_kernel_moves_16_bytes_at_a_time(instructions, stem, kernel, symbols):
    source = next(s for s in _nvcc.SOURCES if s.stem == stem)
    for arch in _nvcc.archs_of(source):
        found = {
            symbol: code
            for symbol, code in instructions(source, arch).items()
            if _nvcc.name_of(symbol) == kernel and re.search(symbols, symbol)
        }
        assert found
        for symbol, code in found.items():
            for access in (r"LDG\.E\.[\w.]*128", r"STG\.E\.[\w.]*128"):
                assert re.search(access, code), f"{symbol} for {arch}: no {access}"


def test_the_search_for_local_memory_finds_it(instructions, tmp_path):
    text = """__global__ void local(int* y, int n) {
        int all[64];
        for (int i = 0; i < 64; ++i) all[i] = y[i * n];
        for (int i = 0; i < 64; ++i) y[all[i] & 63] = all[(i * n) & 63];
    }"""
    source = tmp_path / "local.cu"
    source.write_text(text)
    path, said = _nvcc.compile(source, tmp_path)
    assert re.search(r"\b(LDL|STL)\b", _nvcc.machine_code(path, "sm_80")["_Z5localPii"])
    assert "bytes stack frame" in said
