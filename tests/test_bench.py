"""`dlx bench`: its rows compute what PyTorch's do, and its tables say what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dlx
from dlx import _bench, cli
from dlx._bench import measure, report
from dlx._bench.measure import DLX, EAGER, INTO, Result, Row, Subject

SMALL = {
    "gemm": ["64 NN", "linear (64, 784) -> 10"],
    "convolution": ["8@3x3 on 64x1x28x28, forward", "8@3x3 on 64x1x28x28, backward"],
    "memory": ["softmax 4096x1000"],
    "optimizer": ["SGD, 10,000 parameters", "Adam, 10,000 parameters"],
    "training step": ["MLP 2-16-1 (b32)"],
}


@pytest.fixture
def few_rows(monkeypatch):
    for family, module in _bench.FAMILIES.items():
        rows = [row for row in module.rows() if row.name in SMALL[family]]
        assert len(rows) == len(SMALL[family])
        monkeypatch.setattr(module, "rows", lambda rows=rows: rows)


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
        if row["family"] != "training step":
            assert row["share_of_limit"] > 0


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
                assert set(row.make(None).calls) == {DLX}
