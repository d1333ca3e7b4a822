"""The C++ side without Python: its tests under every instruction set, and what the objects hold.

`cmake` and `ninja` come with the `test` extra; the build stays in build/cpp and is only brought up
to date here.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from dlx import _core

ROOT = pathlib.Path(__file__).parents[1]
BUILD = ROOT / "build" / "cpp"
TESTS = sorted(path.stem for path in (ROOT / "tests" / "cpp").glob("test_*.cc"))
KERNELS = sorted((ROOT / "csrc").rglob("*.kernel.cc"))
LEVELS = ("portable", "x86-64-v2", "avx2", "avx512")
HERE = LEVELS[: LEVELS.index(_core.best_isa()) + 1]

pytestmark = [
    pytest.mark.timeout(600),  # the first of them builds
    pytest.mark.skipif(not KERNELS, reason="csrc/ is not here: an installed wheel"),
]


def run(*command, timeout=100, **env):
    """What it prints; a failure shows it."""
    done = subprocess.run(
        [str(c) for c in command],
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def needs(program, package):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian package {package})")
    return path


@pytest.fixture(scope="session")
def build():
    import cmake
    import ninja

    program = pathlib.Path(cmake.CMAKE_BIN_DIR, "cmake")
    make = pathlib.Path(ninja.BIN_DIR, "ninja")
    run(program, "--preset", "release", "-S", ROOT, f"-DCMAKE_MAKE_PROGRAM={make}")
    run(program, "--build", BUILD, "-j", len(os.sched_getaffinity(0)), timeout=500)
    return BUILD


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("name", TESTS)
def test_executable(build, name, isa):
    assert "ok" in run(build / name, DLX_ISA=isa)


STEP = """
import dlx
from dlx import _core, nn, optim
model = nn.Sequential(nn.Linear(64, 33), nn.Tanh(), nn.Dropout(0.5), nn.Linear(33, 10))
opt = optim.Adam(model.parameters(), lr=1e-3)
x, y = dlx.random.normal((37, 64)), dlx.random.randint(0, 10, (37,))
nn.functional.cross_entropy(model(x), y).backward()
opt.step()
print("ok on", _core.isa())
"""


@pytest.mark.parametrize("name", TESTS)
def test_executable_on_an_old_cpu(build, name):
    """Nothing above x86-64-v2 runs on a CPU without AVX, whatever the compiler shared or moved."""
    qemu = needs("qemu-x86_64", "qemu-user")
    # qemu-user itself breaks when a process with threads forks
    command = (qemu, "-cpu", "Nehalem", build / name, "--no-fork")
    assert "ok" in run(*command, timeout=400, DLX_ISA="")


def test_training_on_an_old_cpu():
    qemu = needs("qemu-x86_64", "qemu-user")
    printed = run(qemu, "-cpu", "Nehalem", sys.executable, "-c", STEP, timeout=400, DLX_ISA="")
    assert "ok on x86-64-v2" in printed


def objects(level):
    folder = BUILD / "CMakeFiles" / f"dlx_kernels_{level.replace('-', '_')}.dir"
    return sorted(folder.rglob("*.o"))


@pytest.mark.parametrize("level", LEVELS)
def test_a_kernel_object_defines_its_level_only(build, level):
    """A function that two levels define is one weak symbol, and the linker may take either copy."""
    nm = needs("nm", "binutils")
    namespace = level.replace("-", "_")
    # what is inside: functions and variables, their guards and statics, type information
    inside = re.compile(rf"_Z(GV|T[VTIS])?Z*N[VKRO]*3dlx{len(namespace)}{namespace}")
    assert len(objects(level)) == len(KERNELS)
    for path in objects(level):
        symbols = [
            line.split()[-1]
            for line in run(nm, "--defined-only", "--extern-only", path).splitlines()
        ]
        assert symbols, f"{path.name} defines nothing"
        assert [s for s in symbols if not inside.match(s)] == [], path.name


# Registers and mnemonics that came after each level, in AT&T syntax. VEX and EVEX instructions
# begin with v; the few of baseline that do (verr, verw) never come from a compiler.
AVX512 = r"%zmm|%[xy]mm(?:1[6-9]|2\d|3[01])|\{%k"
AVX = rf"\tv|{AVX512}"
SSE4 = (
    r"\t(?:pshufb|ptest|p?blendv?\w+|round[sp][sd]|pmulld|pextr[bdq]|pinsr[bdq]|popcnt|crc32\w*"
    r"|p(?:min|max)(?:sb|sd|uw|ud)|pmov[sz]x\w+|insertps|extractps|pcmp(?:gtq|eqq)|pabs[bwd])\b"
)


@pytest.mark.parametrize(
    ("target", "above"),
    [
        ("dlx_core", f"{AVX}|{SSE4}"),
        ("dlx_kernels_portable", f"{AVX}|{SSE4}"),
        ("dlx_kernels_x86_64_v2", AVX),
        ("dlx_kernels_avx2", AVX512),
    ],
)
def test_no_instruction_is_above_its_level(build, target, above):
    objdump = needs("objdump", "binutils")
    paths = sorted((BUILD / "CMakeFiles" / f"{target}.dir").rglob("*.o"))
    assert paths
    for path in paths:
        listing = run(objdump, "-d", "--no-show-raw-insn", path)
        found = sorted({line for line in listing.splitlines() if re.search(above, line)})
        assert found == [], f"{path.name} holds, among others, {found[0].strip()}"


def test_the_search_for_instructions_finds_them(build):
    objdump = needs("objdump", "binutils")
    listing = "".join(run(objdump, "-d", "--no-show-raw-insn", p) for p in objects("avx512"))
    assert re.search(AVX512, listing) and re.search(AVX, listing)
    listing = "".join(run(objdump, "-d", "--no-show-raw-insn", p) for p in objects("x86-64-v2"))
    assert re.search(SSE4, listing)
