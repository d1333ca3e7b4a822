"""The steps that lead to dlx's GEMM and convolution, each a file with one idea more, on one thread.

    python benchmarks/ladder/run.py

Compiles every rung with the C++ compiler at hand (CXX, default c++) for this machine, checks its
result, and prints its speed as a share of the multiply-add peak; the last rung is dlx itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import dlx
from dlx import _core
from dlx._bench import interleave

HERE = Path(__file__).parent
FLAGS = ["-std=c++20", "-O3", "-march=native", "-ffast-math"]
ROUNDS = 3  # of each rung, of which the fastest counts


def main():
    dlx.set_num_threads(1)
    peak = _core.machine_limits()["gflops_float32"]
    print(f"one thread, {_core.isa()}, peak {peak:.0f} GFLOP/s float32 multiply-add")
    x = dlx.random.normal((1024, 1024))
    images, w = dlx.random.normal((2, 64, 56, 56)), dlx.random.normal((64, 64, 3, 3))
    ladders = {
        "gemm": ("1024 x 1024 x 1024", 2.0 * 1024**3, lambda: x @ x),
        "conv": (
            "64@3x3 on 2x64x56x56",
            2.0 * images.numel() * w.numel() / 64,
            lambda: dlx.conv2d(images, w, padding=1),
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (what, flops, ours) in ladders.items():
            print(f"\n{what}\n{'':<24}{'ms':>10}{'GFLOP/s':>10}{'of peak':>9}{'step':>8}")
            before = None
            for rung in sorted(HERE.glob(f"{name}_*.cc")):
                before = _show(rung.stem, _seconds(rung, folder), flops, peak, before)
            best = min(interleave({"dlx": ours}, 9)["dlx"])
            _show(f"dlx ({name})", best, flops, peak, before)


def _seconds(rung, folder):
    program = Path(folder) / rung.stem
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, *FLAGS, str(rung), "-o", str(program)], check=True)
    runs = [
        float(subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout)
        for _ in range(1 if rung.stem.endswith("definition") else ROUNDS)
    ]
    return min(runs)


def _show(name, seconds, flops, peak, before):
    rate = 1e-9 * flops / seconds
    step = f"{before / seconds:>7.1f}x" if before else ""
    print(f"{name:<24}{1e3 * seconds:>10.2f}{rate:>10.1f}{rate / peak:>9.1%}{step:>8}", flush=True)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
