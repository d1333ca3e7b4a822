"""benchmarks/ladder: every rung compiles without a warning and computes the right thing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

LADDER = Path(__file__).parent.parent / "benchmarks" / "ladder"
RUNGS = sorted(LADDER.glob("*_[0-9]_*.cc"))


@pytest.mark.parametrize("rung", RUNGS or [None], ids=lambda rung: getattr(rung, "stem", "none"))
def test_rung(rung, tmp_path):
    if rung is None:
        pytest.skip("benchmarks/ is not here: an installed wheel")
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    flags = ["-std=c++20", "-O3", "-march=native", "-ffast-math", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, rung, "-o", tmp_path / "rung"], check=True, timeout=60)
    done = subprocess.run([tmp_path / "rung"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert float(done.stdout) > 0


def test_the_ladder_leads_from_the_definition_on():
    if not RUNGS:
        pytest.skip("benchmarks/ is not here: an installed wheel")
    names = [rung.stem for rung in RUNGS]
    for family, rungs in (("gemm", 5), ("conv", 4)):
        steps = [name for name in names if name.startswith(family)]
        assert [name.split("_")[1] for name in steps] == [str(i + 1) for i in range(rungs)]
        assert steps[0].endswith("definition")
