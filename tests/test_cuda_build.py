"""What a build has of CUDA: chosen by DLX_CUDA, told by errors, apart from the CPU's kernels."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

import dlx
from dlx import _core

ROOT = pathlib.Path(__file__).parents[1]
OBJECTS = ROOT / "build" / "emu" / "CMakeFiles"
LEVELS = ("portable", "x86_64_v2", "avx2", "avx512")


def test_without_cuda_a_gpu_is_refused_with_the_reason():
    if _core.cuda_built_for():
        assert _core.cuda_missing() != "this build of dlx has no CUDA"
        return
    assert dlx.cuda.device_count() == 0 and not dlx.cuda.is_available()
    reason = r"^cuda:0: not available: this build of dlx has no CUDA; run `dlx info`$"
    for call in (
        lambda: dlx.zeros((2, 2), device="cuda"),
        lambda: dlx.zeros((2, 2)).cuda(),
        lambda: dlx.nn.Linear(2, 2).to("cuda:0"),
        lambda: dlx.device("cuda").__enter__(),
        lambda: dlx.data.batches(dlx.zeros((2, 2)), device="cuda"),
        dlx.cuda.synchronize,
        dlx.cuda.Stream,
        dlx.cuda.current_stream,
        dlx.cuda.Event().record,
        dlx.cuda.memory_stats,
    ):
        with pytest.raises(RuntimeError, match=reason):
            call()
    with pytest.raises(RuntimeError, match="no GPU to copy to: this build of dlx has no CUDA"):
        dlx.zeros((2,)).pin_memory()
    assert not dlx.zeros((2,)).is_pinned()


# Choosing

needs_source = pytest.mark.skipif(not (ROOT / "cuda").exists(), reason="an installed wheel")


@pytest.fixture(scope="module")
def configure(tmp_path_factory):
    """cmake with some options and environment: (succeeded, what it says); one folder throughout."""
    folder = tmp_path_factory.mktemp("configure")

    def run(*options, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DLX_CUDA")}
        done = subprocess.run(
            ["cmake", "-S", ROOT, "-B", folder, "-DDLX_PYTHON=OFF", *options],
            capture_output=True,
            text=True,
            env={**clean, **environment},
        )
        return done.returncode == 0, " ".join((done.stdout + done.stderr).split())

    return run


@needs_source
def test_the_environment_wins_over_a_cached_value(configure):
    assert re.search("dlx: CUDA OFF", configure("-DDLX_CUDA=OFF")[1])
    assert re.search("dlx: CUDA EMU", configure(DLX_CUDA="EMU")[1])
    assert re.search("dlx: CUDA OFF", configure()[1])
    worked, text = configure(DLX_CUDA="MAYBE")
    assert not worked and "DLX_CUDA: expected AUTO, ON, OFF or EMU, got MAYBE" in text


@needs_source
def test_auto_wants_a_compiler_and_a_gpu(configure):
    worked, text = configure("-DDLX_CUDA=AUTO")
    assert worked
    if not (shutil.which("nvcc") and (pathlib.Path("/dev/nvidiactl").exists())):
        assert re.search("dlx: CUDA OFF: no (nvcc|GPU) here", text)


@needs_source
def test_on_without_a_compiler_says_so(configure):
    worked, text = configure("-DDLX_CUDA=ON", "-DDLX_NVCC=OFF")
    assert not worked and "DLX_CUDA=ON: no nvcc here; set CUDA_HOME or PATH" in text


# Apart


def symbols(path, *options):
    """Of an object file: {"U name", "T name", ...}."""
    command = ["nm", "-C", *options, path]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {re.sub(r"^[0-9a-f]* *(?=\w )", "", line) for line in out.splitlines()}


@needs_source
def test_kernels_of_cuda_need_nothing_of_the_cpus(device):
    """Neither code per instruction set nor the CPU's matrix product: no detour over the host."""
    if device == "cpu":
        pytest.skip("pytest --device emu builds the objects")
    cuda = sorted((OBJECTS / "dlx_cuda.dir" / "cuda").rglob("*.o"))
    gemm = sorted((OBJECTS / "dlx_core.dir" / "csrc" / "gemm").glob("*.o"))
    assert len(cuda) > 10 and gemm
    # Weak ones are of headers, which both sides include.
    of_gemm = {
        s[2:] for o in gemm for s in symbols(o, "--defined-only") if s[:2] in ("T ", "D ", "B ")
    }
    assert any("gemm" in name for name in of_gemm)
    for path in cuda:
        needed = {s.removeprefix("U ") for s in symbols(path, "-u")}
        levels = [s for s in needed if re.search(rf"\bdlx::({'|'.join(LEVELS)})::", s)]
        assert not levels and not needed & of_gemm, path.name
