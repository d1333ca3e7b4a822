"""`dlx bench`: its rows compute what PyTorch's do, and its tables say what was measured."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

import dlx
from dlx import _bench, cli
from dlx._bench import jit_steps, measure, report, steps
from dlx._bench.measure import DLX, EAGER, INTO, JAX, LAST, OURS, Result, Row, Subject

SMALL = {
    "gemm": ["64 NN", "linear (64, 784) -> 10"],
    "convolution": ["8@3x3 on 64x1x28x28, forward", "8@3x3 on 64x1x28x28, backward"],
    "memory": ["softmax 4096x1000"],
    "optimizer": ["SGD, 10,000 parameters", "Adam, 10,000 parameters"],
    "training step": ["MLP 2-16-1 (b32)"],
    "training step under jit": ["MLP 2-16-1 (b32)"],
}


@pytest.fixture
def few_rows(monkeypatch):
    for family, module in _bench.FAMILIES.items():
        rows = [row for row in module.rows() if row.name in SMALL[family]]
        assert len(rows) == len(SMALL[family])
        monkeypatch.setattr(module, "rows", lambda rows=rows: rows)


@pytest.fixture(autouse=True)
def no_compilers(monkeypatch):
    """They take seconds, and JAX leaves threads behind."""

    def missing(*args):
        raise OSError("no compiler\nin this test")

    monkeypatch.setattr(jit_steps, "_compiled", missing)
    monkeypatch.setattr(jit_steps, "_jax", missing)


def test_the_command_prints_and_saves_every_family(few_rows, tmp_path, capsys):
    assert cli.main(["bench", "--rounds", "2", "--save", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    saved = json.loads((tmp_path / "cpu.json").read_text())
    assert [row["row"] for row in saved["rows"]] == [n for names in SMALL.values() for n in names]
    for picture in ("cpu.svg", "roofline.svg"):
        pytest.importorskip("matplotlib")
        assert "<svg" in (tmp_path / picture).read_text()
    for row in saved["rows"]:
        assert 0 < row["seconds"][DLX]["min"] <= row["seconds"][DLX]["median"]
        assert row["row"] in printed and row["row"] in (tmp_path / "cpu.txt").read_text()
        if "training step" not in row["family"]:
            assert row["share_of_limit"] > 0
    assert "left out: JAX: OSError: no compiler\n" in printed
    assert saved["rows"][-1]["skipped"]["torch.compile"] == "OSError: no compiler"


def test_only_chooses_rows(few_rows, capsys):
    cli.main(["bench", "--rounds", "1", "--only", "Adam"])
    printed = capsys.readouterr().out
    assert "Adam, 10,000 parameters" in printed and "64 NN" not in printed


@pytest.mark.parametrize("family", ["gemm", "convolution", "memory"])
def test_drawn_shapes_depend_on_the_seed(family):
    module = _bench.FAMILIES[family]

    def names(seed):
        return [row.name for row in module.drawn(np.random.default_rng(seed), 20)]

    assert len(names(1)) == 20
    assert names(1) == names(1) != names(2)


def test_drawn_shapes_compute_what_pytorch_does():
    torch = pytest.importorskip("torch")
    for module in _bench.FAMILIES.values():
        if hasattr(module, "drawn"):
            row = min(module.drawn(np.random.default_rng(0), 5), key=lambda row: len(row.name))
            measure.compared(row.name, row.make(torch))


def test_a_wrong_result_is_not_timed():
    x = dlx.ones((3,))
    with pytest.raises(AssertionError, match=r"row: PyTorch differs by 0\.5"):
        measure.compared("row", Subject({DLX: lambda: x, EAGER: lambda: 2 * x}))
    with pytest.raises(AssertionError, match=r"row: \(3,\), PyTorch has \(4,\)"):
        measure.compared("row", Subject({DLX: lambda: x, EAGER: lambda: dlx.ones((4,))}))
    measure.compared("row", Subject({DLX: lambda: (x, x), EAGER: lambda: [x.numpy(), x]}))


def test_the_ratio_is_beside_preallocated_results_where_there_are_any():
    result = Result("f", "r", {DLX: [2.0, 1.0], EAGER: [9.0], INTO: [3.0, 4.0]}, 0.0, 0.0, 0.5)
    assert result.best() == 1.0 and result.median() == 1.5
    assert result.speedup(report.rivals_of(result)) == 3.0
    assert result.share() == 0.5


def test_rows_work_without_pytorch():
    for family, module in _bench.FAMILIES.items():
        for row in module.rows():
            if row.name in SMALL[family]:
                assert isinstance(row, Row)
                ours = {DLX, OURS} if module is jit_steps else {DLX}
                assert set(row.make(None).calls) == ours


def test_a_column_is_beside_the_fastest_of_its_ways():
    turns = {DLX: [2.0, 1.0, 4.0], OURS: [1.5], EAGER: [9.0], LAST: [6.0, 8.0, 9.0]}
    result = Result("f", "r", turns, 0.0, 0.0, None, {JAX: "ImportError: jax"})
    columns = {"eager dlx": [OURS], "PyTorch": [EAGER, LAST], "JAX": [JAX]}
    printed = report.line_beside(result, columns).split()
    assert printed == ["r", "1000000", "2000000", "1500000", "6000000", "-", "6.00", "4.00"]
    assert result.others() == [EAGER, LAST]  # eager dlx is no rival
    assert list(report.skipped([result, result])) == ["  left out: JAX: ImportError: jax"]
    other = Result("f", "other", turns, 0.0, 0.0, None)
    assert list(report.skipped([result, other])) == ["  left out: JAX (r): ImportError: jax"]


def test_a_step_that_is_not_replayed_is_not_measured(monkeypatch):
    monkeypatch.setenv("DLX_JIT", "off")
    row = jit_steps.rows()[0]
    with pytest.raises(RuntimeError, match="not replayed"):
        row.make(None)


LOSSES = """
import dlx
from dlx._bench import jax_steps, steps
jax_steps.import_jax()
for name in {names}:
    ours, theirs = steps.ROWS[name](dlx), jax_steps.make(steps.ROWS[name])
    for _ in range(5):
        print(float(ours()), float(theirs()))
"""


def test_jaxs_steps_lose_what_dlxs_do(request):
    if importlib.util.find_spec("jax") is None or importlib.util.find_spec("optax") is None:
        pytest.skip("JAX with optax is not installed")
    full = request.config.getoption("--full")
    names = list(steps.ROWS) if full else ["MLP 2-16-1 (b32)", "LeNet (b64)"]
    command = [sys.executable, "-c", LOSSES.format(names=names)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    losses = np.array([line.split() for line in found.stdout.splitlines()], np.float64)
    assert losses.shape == (5 * len(names), 2)
    assert np.abs(losses[:, 0] - losses[:, 1]).max() <= 1e-4
    firsts = losses[:, 0].reshape(-1, 5)
    assert (firsts[:, 0] != firsts[:, 4]).all()
