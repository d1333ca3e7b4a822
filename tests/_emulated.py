"""A build of dlx whose CUDA devices are emulated (tests/simt), for `pytest --device emu`."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
BUILD = ROOT / "build" / "emu"
PACKAGE = BUILD / "python" / "dlx"  # links to the sources beside this build's _core


def run(*command):
    return subprocess.run(
        [str(c) for c in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )


def make(targets: list[str], *options: str) -> str:
    """Configures build/emu and builds targets of it, as far as it compiles; what the compilers
    said, or "" where all went well."""
    import cmake
    import ninja
    import pybind11

    program = pathlib.Path(cmake.CMAKE_BIN_DIR, "cmake")
    done = run(
        program,
        *("-S", ROOT, "-B", BUILD, "-G", "Ninja"),
        "-DDLX_CUDA=EMU",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_MAKE_PROGRAM={pathlib.Path(ninja.BIN_DIR, 'ninja')}",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        *options,
    )
    if done.returncode == 0:
        cores = len(os.sched_getaffinity(0))
        done = run(program, "--build", BUILD, "--target", *targets, "-j", cores, "--", "-k", "0")
    return done.stdout if done.returncode else ""


def build() -> pathlib.Path:
    """Brings build/emu up to date; the folder from which `import dlx` is this build."""
    if failed := make(["all"]):
        raise RuntimeError(f"the emulated device was not built:\n{failed[-6000:]}")
    shutil.rmtree(PACKAGE, ignore_errors=True)
    PACKAGE.mkdir(parents=True)
    for path in [*(ROOT / "python" / "dlx").iterdir(), *BUILD.glob("_core*.so")]:
        if path.name != "__pycache__" and (path.parent == BUILD or "_core." not in path.name):
            (PACKAGE / path.name).symlink_to(path)
    return PACKAGE.parent


if __name__ == "__main__":
    print(build())
