"""The SIMT emulator: right kernels run, wrong ones are found, and nvcc takes the same sources."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from test_cpp import BUILD, KERNELS, ROOT, build, run  # noqa: F401

pytestmark = [
    pytest.mark.timeout(600),  # the first of them builds
    pytest.mark.skipif(not KERNELS, reason="csrc/ is not here: an installed wheel"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the emulator runs on x86-64"),
]
# A broken kernel, the sanitizer that finds it, and what it says.
FOUND = [
    ("beyond_the_end", "address", r"heap-buffer-overflow"),
    ("beyond_shared", "address", r"index 128 out of bounds"),
    ("no_barrier", "thread", r"data race.*broken\.h"),
    ("all_blocks_one_word", "thread", r"data race.*broken\.h"),
]
SOURCES = sorted((ROOT / "cuda").rglob("*.cu"))


TESTS = sorted(path.stem for path in (ROOT / "tests" / "simt").glob("test_*.cc"))


@pytest.mark.parametrize("variant", ["plain", "address", "thread"])
@pytest.mark.parametrize("name", TESTS)
def test_right_kernels_run_and_wrong_ones_are_found(build, name, variant):  # noqa: F811
    # Stacks of fibers that an error ended are never unwound.
    said = run(BUILD / f"{name}_{variant}", ASAN_OPTIONS="detect_leaks=0")
    assert re.search(r"ok: \d+ kernels, \d+ launches", said)
    assert "WARNING" not in said


@pytest.mark.parametrize(("kernel", "sanitizer", "words"), FOUND)
def test_a_sanitizer_finds(build, kernel, sanitizer, words):  # noqa: F811
    done = subprocess.run(
        [str(BUILD / f"test_simt_{sanitizer}"), kernel],
        env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode != 0
    assert re.search(words, done.stdout + done.stderr), done.stdout + done.stderr


def test_kernels_keep_the_rules_by_which_the_emulator_runs_them():
    """No <<<>>>, no bare __shared__, no PTX outside of cuda/core."""
    assert SOURCES
    for source in SOURCES:
        text = re.sub(r"//.*", "", source.read_text())
        if source.parent.name != "core":
            assert not re.search(r"<<<|\b__shared__\b|\basm\b|cuda_runtime", text), source.name
