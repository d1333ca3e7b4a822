"""dlx.profile() and the hooks of dlx.testing that make memory errors visible."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

import dlx
from _check import settle
from dlx import _core
from dlx._profile import Row, least_seconds


def counts(profile):
    return {row["op"]: row["calls"] for row in profile.rows()}


def test_rows_count_calls_flops_and_bytes(device):
    a, b = dlx.ones((8, 16), device=device), dlx.ones((16, 4), device=device)
    with dlx.profile() as p:
        for _ in range(3):
            _ = a @ b
        _ = a + 1.0
    rows = {row["op"]: row for row in p.rows()}
    assert set(rows) == {"matmul", "add"}
    product = rows["matmul"]
    assert product["calls"] == 3
    assert product["flops"] == 3 * 2 * 8 * 16 * 4
    assert product["bytes"] == 3 * 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert rows["add"]["bytes"] == 2 * 4 * 8 * 16  # the number 1.0 is no memory
    assert all(0 < row["seconds"] < 1 for row in rows.values())
    assert [row["seconds"] for row in p.rows()] == sorted(
        (row["seconds"] for row in p.rows()), reverse=True
    )


def test_the_instruction_set_is_the_kernels(device):
    x = dlx.ones((4, 4), device=device)
    before = _core.isa()
    try:
        _core.set_isa("portable")
        with dlx.profile() as portable:
            _ = x + x
        _core.set_isa(_core.best_isa())
        with dlx.profile() as best:
            _ = x + x
            _ = x.T.contiguous()  # a copy, compiled once for all machines
    finally:
        _core.set_isa(before)
    assert {row["isa"] for row in portable.rows()} == {"portable"}
    assert {row["op"]: row["isa"] for row in best.rows()} == {
        "add": _core.best_isa(),
        "copy": "portable",
    }


def test_profiles_nest_and_go_on(device):
    x = dlx.ones((4,), device=device)
    with dlx.profile() as outer:
        _ = x + x
        with dlx.profile() as inner:
            _ = x * x
        with inner:
            _ = x * x
    _ = x - x
    assert counts(inner) == {"multiply": 2}
    assert counts(outer) == {"add": 1, "multiply": 2}


def test_a_profile_sees_its_own_thread(device):
    x = dlx.ones((4,), device=device)
    with dlx.profile() as mine:
        thread = threading.Thread(target=lambda: x * x)
        thread.start()
        thread.join()
        _ = x + x
    assert counts(mine) == {"add": 1}


def test_a_profile_cannot_be_entered_twice_at_once():
    with dlx.profile() as p, pytest.raises(RuntimeError, match="entered twice"):
        p.__enter__()
    with pytest.raises(RuntimeError, match="not entered on this thread"):
        p.__exit__(None, None, None)


def test_observers_have_four_places(device):
    x = dlx.ones((4,), device=device)
    with dlx.profile(), dlx.profile(), dlx.profile(), dlx.profile() as innermost:
        with pytest.raises(ValueError, match="at most 4 observers"):
            dlx.profile().__enter__()
        with pytest.raises(ValueError, match="at most 4 observers"):
            dlx.debug.nan_trap().__enter__()
        _ = x + x
    assert counts(innermost) == {"add": 1}


def test_a_forgotten_profile_does_no_harm(device):
    x = dlx.ones((4,), device=device)

    def forget():
        dlx.profile().__enter__()
        _ = x + x

    thread = threading.Thread(target=forget)
    thread.start()
    thread.join()
    assert (x + x).tolist() == [2, 2, 2, 2]


def test_a_failing_op_leaves_the_profile_whole(device):
    x = dlx.ones((4,), device=device)
    bad = dlx.tensor([9], device=device)
    with dlx.profile() as p:
        with pytest.raises(IndexError):
            dlx.take(x, bad, axis=0)
            settle(device)
        _ = x + x
    found_later = {} if device == "cpu" else {"take": 1}
    assert counts(p) == {"add": 1} | found_later


def test_the_table_is_aligned_sorted_and_totalled(device):
    x = dlx.ones((64, 64), device=device)
    with dlx.profile() as p:
        _ = x @ x + 1.0
    lines = str(p).splitlines()
    assert lines[0].split()[:3] == ["op", "isa", "calls"]
    assert len({len(line) for line in lines[:-1]}) == 1
    assert {lines[2].split()[0], lines[3].split()[0]} == {"matmul", "add"}
    times = [float(line.split()[3]) for line in lines[2:4]]
    assert times == sorted(times, reverse=True)
    assert lines[5].split()[:2] == ["total", "2"]
    assert "GFLOP/s in float32" in lines[6]
    assert str(dlx.profile()) == "profile: no op ran"


def test_the_limit_is_the_slower_of_computing_and_copying():
    limits = {"gflops_float32": 100.0, "gflops_float64": 50.0, "copy_gbs": 10.0}
    row = Row("op", "avx2", 1, 1.0, flops=300, flops64=100, bytes=30)
    assert least_seconds(row, limits) == pytest.approx(4e-9)
    assert least_seconds(row._replace(bytes=500), limits) == pytest.approx(50e-9)


# Poisoned memory


def test_new_memory_is_poisoned(device):
    with dlx.testing.poison_outputs():
        assert np.isnan(dlx.empty((5,), device=device).cpu().numpy()).all()
        assert dlx.empty((2,), dtype="int32", device=device).tolist() == [-1, -1]
        x = dlx.ones((1000,), device=device)
        np.testing.assert_array_equal((x + x).cpu().numpy(), 2)
    _core.check_guards()


@pytest.mark.parametrize("released", [False, True])
def test_a_write_behind_an_array_is_found(released):
    match = "byte 3 behind the end of a block of 20 bytes"
    with pytest.raises(RuntimeError, match=match), dlx.testing.poison_outputs():
        x = dlx.zeros((5,), device="cpu")
        ctypes.memset(x.numpy().ctypes.data + 20 + 3, 1, 1)
        if released:
            del x
    _core.check_guards()  # reported once
    x = dlx.empty((5,), device="cpu")
    assert x.shape == (5,)


@pytest.mark.parametrize("apart", [False, True])
def test_bandwidth_is_measured_for_any_mix_of_reads_and_writes(apart):
    for reads, writes in [(1, 0), (0, 1), (4, 3), (1, 4)]:
        assert _core.Bandwidth(reads, writes, bytes=100_001, apart=apart).measure(0.0) > 0
    for reads, writes, size in [(0, 0, 1), (5, 1, 1), (1, 5, 1), (1, 1, 0), (-1, 1, 1)]:
        with pytest.raises(ValueError, match="Bandwidth: expected up to 4 parts read"):
            _core.Bandwidth(reads, writes, size, apart)


@pytest.mark.parametrize("dtype", [dlx.float32, dlx.float64, dlx.bfloat16])
def test_multiply_adds_are_measured_for_any_number_of_them(dtype):
    for flops in (0, 3e9):
        assert _core.measure_gflops(dtype, flops, 0.0) > 0
    with pytest.raises(ValueError, match="measure_gflops: expected float32"):
        _core.measure_gflops(dlx.int32, 1e6, 0.0)
