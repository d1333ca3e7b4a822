"""The `dlx` command."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import dlx
from dlx.testing import weight_hash


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "dlx", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def demo_lines(*arguments, **environment):
    done = run("demo", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_demo_ends_as_promised():
    lines = demo_lines()
    accuracy = re.fullmatch(r"test accuracy: (\d+\.\d\d) %", lines[-2])
    assert accuracy and float(accuracy[1]) >= 97
    assert re.fullmatch(r"weights: [0-9a-f]{16}", lines[-1])
    assert sum(line.startswith("epoch ") for line in lines) == 20
    assert "\x1b" not in "".join(lines) and "\r" not in "".join(lines)


def test_same_seed_same_weights_on_any_number_of_threads():
    runs = {n: demo_lines("--epochs", "2", "--threads", str(n))[-1] for n in (1, 2, 3, 64)}
    assert len(set(runs.values())) == 1
    assert demo_lines("--epochs", "2", DLX_NUM_THREADS="2")[-1] == runs[1]
    assert demo_lines("--epochs", "2", "--seed", "1")[-1] != runs[1]


def test_info_names_everything():
    done = run("info")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    found = ["dlx", "Python", "system", "kernels", "threads", "memory", "NumPy", "PyTorch", "GPU"]
    assert names == found + [f"cuda:{index}" for index in range(dlx.cuda.device_count())]
    assert "affinity" in done.stdout and "no CUDA" not in done.stdout.split("GPU")[0]


def test_info_says_what_was_asked_for():
    out = run("info", DLX_NUM_THREADS="3", DLX_ISA="portable").stdout
    assert "3, asked for by DLX_NUM_THREADS" in out
    assert "portable, asked for by DLX_ISA" in out


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((), "required: command"),
        (("fly",), "invalid choice: 'fly'"),
        (("demo", "--epochs", "0"), "at least 1, got 0"),
        (("demo", "--threads", "1000"), "at most 256, got 1000"),
    ],
)
def test_wrong_arguments(arguments, text):
    done = run(*arguments)
    assert done.returncode == 2 and text in done.stderr


def test_weight_hash_is_as_documented(device):
    import hashlib

    state = {"b": dlx.tensor(2, device=device), "a": dlx.tensor([[1.0, 2.0]], device=device)}
    text = b"a\0float32\x001x2\0\x00\x00\x80\x3f\x00\x00\x00\x40b\0int64\0\0\x02" + bytes(7)
    assert weight_hash(state) == hashlib.sha256(text).hexdigest()[:16]
