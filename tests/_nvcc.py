"""cuda/*.cu compiled by nvcc, each file once for all tests, and what the generated code is like.

`python tests/_nvcc.py` writes the budget of registers anew (tests/registers.txt);
`python tests/_nvcc.py compile` only compiles.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[1]
BUILD = ROOT / "build" / "nvcc"
BUDGET = pathlib.Path(__file__).with_name("registers.txt")
SOURCES = sorted((ROOT / "cuda").rglob("*.cu"))
ARCHS = ("sm_80", "sm_90a", "sm_100")
# As cmake/cuda.cmake has them.
FLAGS = [
    *("-std=c++20", "-O3", "-fmad=false", "--expt-relaxed-constexpr", "--diag-suppress=186"),
    *("-DDLX_WITH_CUDA=1", "--Werror=all-warnings", "-Xptxas", "-v"),
]
INCLUDES = [f"-I{ROOT}", f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'tests'}"]


@dataclass(frozen=True)
class Kernel:
    """What ptxas says of one instantiation."""

    file: str
    arch: str
    symbol: str
    registers: int
    spilled: int  # bytes stored and loaded
    stack: int

    @property
    def family(self) -> str:
        return f"{self.file} {name_of(self.symbol)}"


def name_of(symbol):
    """The function's own name in a mangled one: _ZN3dlx4cuda4copyE -> copy."""
    at, name = (3 if symbol.startswith("_ZN") else 2), symbol
    while match := re.match(r"L?(\d+)", symbol[at:]):
        begin = at + match.end()
        at = begin + int(match[1])
        name = symbol[begin:at]
    return name


def included(source, seen):
    """Every file of the repository that `source` includes, itself first."""
    if source in seen:
        return seen
    seen[source] = source.read_bytes()
    for name in re.findall(r'#include "([^"]+)"', seen[source].decode()):
        for folder in (ROOT, ROOT / "csrc", ROOT / "tests"):
            if (folder / name).exists():
                included(folder / name, seen)
    return seen


def compile(source, folder=BUILD):
    """(object, what nvcc said), from the cache where neither a file nor the compiler changed."""
    codes = [f"-gencode=arch=compute_{a[3:]},code={a}" for a in ARCHS]
    version = subprocess.run(["nvcc", "--version"], capture_output=True, check=True).stdout
    state = hashlib.sha1(version + " ".join(FLAGS + codes).encode())
    for text in included(source, {}).values():
        state.update(text)
    out = folder / f"{source.parent.name}_{source.stem}-{state.hexdigest()[:16]}.o"
    said = out.with_suffix(".txt")
    if not (out.exists() and said.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{source.parent.name}_{source.stem}-*"):
            old.unlink()
        partial = out.with_suffix(".partial.o")
        done = subprocess.run(
            ["nvcc", *FLAGS, *INCLUDES, *codes, "-c", str(source), "-o", str(partial)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"nvcc {source.name}:\n{done.stdout[-4000:]}")
        said.write_text(done.stdout)
        partial.rename(out)
    return out, said.read_text()


def compile_all():
    """{source: (object, what nvcc said) or the RuntimeError}, as many at once as cores."""

    def attempt(source):
        try:
            return compile(source)
        except RuntimeError as e:
            return e

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(SOURCES, pool.map(attempt, SOURCES), strict=True))


def kernels_of(source, said):
    """What ptxas says of each kernel."""
    found = []
    block = re.compile(
        r"Compiling entry function '(\w+)' for '(\w+)'(.*?)Used (\d+) registers", re.DOTALL
    )
    for symbol, arch, middle, registers in block.findall(said):
        stack, stores, loads = map(
            int,
            re.search(
                r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads",
                middle,
            ).groups(),
        )
        name = str(source.relative_to(ROOT / "cuda"))
        found.append(Kernel(name, arch, symbol, int(registers), stores + loads, stack))
    return found


def tool(name):
    """A tool of CUDA, of a package from PyPI (nvidia-cuda-...) or on the PATH, or None."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else []:
        for path in sorted(pathlib.Path(folder).glob(f"cu*/bin/{name}")):
            return path
    return shutil.which(name)


@functools.cache
def machine_code(path, arch):
    """{symbol: the instructions there are, as "LDG.E.128"} of an object's kernels."""
    env = os.environ | {"PATH": f"{pathlib.Path(tool('nvdisasm')).parent}:{os.environ['PATH']}"}
    listing = subprocess.run(
        [str(tool("cuobjdump")), "-sass", "-arch", arch, str(path)],
        env=env,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    parts = re.split(r"^\s*Function : (\w+)$", listing, flags=re.MULTILINE)
    instruction = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]*)", re.MULTILINE)
    return {
        symbol: set(instruction.findall(code))
        for symbol, code in zip(parts[1::2], parts[2::2], strict=True)
    }


def budget():
    """{family: registers} of registers.txt."""
    lines = [line for line in BUDGET.read_text().splitlines() if line and line[0] != "#"]
    return {line.rsplit(None, 1)[0]: int(line.rsplit(None, 1)[1]) for line in lines}


def main(arguments):
    compiled = compile_all()
    failed = [str(e) for e in compiled.values() if isinstance(e, Exception)]
    if failed or arguments == ["compile"]:
        return "\n".join(failed) or 0
    most = {}
    for source, (_, said) in compiled.items():
        for kernel in kernels_of(source, said):
            most[kernel.family] = max(most.get(kernel.family, 0), kernel.registers)
    lines = [f"{family} {-(-count // 8) * 8}" for family, count in sorted(most.items())]
    head = [
        "# Registers that a thread of each kernel may use, of any instantiation, on any GPU: what",
        "# nvcc 13.0 took, rounded up to the 8 by which a GPU hands them out. Written by",
        "# `python tests/_nvcc.py`.",
    ]
    BUDGET.write_text("\n".join(head + lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
