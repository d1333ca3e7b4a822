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
# Kernels that move 16 bytes at a time: source, kernel, what the symbols of those that have to
# contain, and whether they read or write so. Dense copies and moves are the runtime's.
READ, WRITE = r"LDG\.E\b.*\.128\b", r"STG\.E\b.*\.128\b"
WIDE = [
    ("batch_norm", "pass_over", "ILi[42]E", READ, WRITE),
    ("batch_norm", "reduce_parts", "", READ),
    ("copy", "copy_elements", "I5uint4E", READ, WRITE),
    ("dropout", "drop_elements", "", READ, WRITE),
    ("fill", "fill_dense", "", WRITE),
    ("group_norm", "pass_over", "ILi[42]E", READ, WRITE),
    ("group_norm", "reduce_parts", "", READ),
    ("map", "map_dense", "", READ),
    ("map", "map_dense", "3Add|3Exp|4Relu", READ, WRITE),
    ("map", "cast_elements", "IfNS_(9float16|10bfloat16)_tE", READ),
    ("map", "cast_elements", "INS_(9float16|10bfloat16)_tEfE", WRITE),
    ("mse_loss", "map_pairs", "", READ, WRITE),
    ("mse_loss", "reduce_parts", "", READ),
    ("one_hot", "one_hot_pieces", "", WRITE),
    ("optimizer", "step_tensors", "", READ, WRITE),
    ("pad", "pad_elements", "", WRITE),
    ("pair_loss", "map_pairs", "", READ, WRITE),
    ("random", "draw_elements", "I(ff|dd|ll)", WRITE),
    ("reduce", "reduce_parts", r"\d(SumOf|ExtremeOf)", READ),
    ("scatter", "scatter_rows", "I5uint4E", READ, WRITE),
    ("take", "take_rows", "I5uint4E", READ, WRITE),
    ("upsample", "upsample_pixels", "I(fLi4|dLi2)E", WRITE),
]
# Arrays that are indexed at run time, which stand in local memory, and why.
LOCAL = {
    r"pointwise3(Sin|Cos)E|random.*6NormalId": "CUDA's large angles have a table",
    r"fused_elements|4MadeI": "of any row, so of those: a function that is called",
}


@pytest.fixture(scope="session")
def compiled():
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
    launches = "launch_grid<" in source.read_text()  # its headers may, too
    assert {k.arch for k in kernels} == (set(_nvcc.ARCHS) if kernels or launches else set())
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


def uses_local_memory(code):
    return any(i.split(".")[0] in ("LDL", "STL") for i in code)


@over_sources
def test_no_thread_has_memory_of_its_own(instructions, source):
    """Neither spilled registers nor arrays that are indexed at run time (LDL, STL)."""
    for arch in _nvcc.ARCHS:
        for symbol, code in instructions(source, arch).items():
            if not any(re.search(known, symbol) for known in LOCAL):
                assert not uses_local_memory(code), f"{symbol} for {arch}"


@pytest.mark.parametrize("wide", WIDE, ids=lambda wide: "-".join(wide[:2]))
def test_a_bandwidth_kernel_moves_16_bytes_at_a_time(instructions, wide):
    stem, kernel, symbols, *accesses = wide
    source = next(s for s in _nvcc.SOURCES if s.stem == stem)
    for arch in _nvcc.ARCHS:
        found = {
            symbol: code
            for symbol, code in instructions(source, arch).items()
            if _nvcc.name_of(symbol) == kernel and re.search(symbols, symbol)
        }
        assert found
        for symbol, code in found.items():
            for access in accesses:
                assert any(re.match(access, i) for i in code), f"{symbol} for {arch}: no {access}"


def test_the_search_for_local_memory_finds_it(instructions, tmp_path):
    text = """__global__ void local(int* y, int n) {
        int all[64];
        for (int i = 0; i < 64; ++i) all[i] = y[i * n];
        for (int i = 0; i < 64; ++i) y[all[i] & 63] = all[(i * n) & 63];
    }"""
    source = tmp_path / "local.cu"
    source.write_text(text)
    path, said = _nvcc.compile(source, tmp_path)
    assert uses_local_memory(_nvcc.machine_code(path, "sm_80")["_Z5localPii"])
    assert "bytes stack frame" in said
