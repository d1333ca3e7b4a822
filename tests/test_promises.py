"""Determinism, leaks, fork and contention, each in processes of its own (see _promises.py).

Each promise is also seen broken, under the lever of dlx.testing that takes away what it rests on.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
THREADS = (1, 2, 3, 64)


def measure(name, *arguments, hook="none"):
    command = [sys.executable, HERE / "_promises.py", name, hook, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# The same seed, the same bits


def test_one_weight_hash_on_any_number_of_threads_and_in_every_process():
    hashes = {measure("weights", 0, threads) for threads in THREADS}
    hashes.add(measure("weights", 0, 2))
    assert len(hashes) == 1
    assert measure("weights", 1, 2) not in hashes


def test_without_fixed_chunks_the_hash_depends_on_the_threads():
    assert len({measure("weights", 0, threads, hook="split_by_threads") for threads in (1, 2)}) == 2


# Memory


def test_900_calls_of_fit_leave_the_resident_memory_where_it_was():
    assert measure("resident_growth") <= 2


def test_without_the_free_list_they_do_not():
    assert measure("resident_growth", hook="disable_free_list") > 2


def test_100_steps_without_the_garbage_collector_leave_the_peak_flat():
    assert measure("peak_growth") == 0


def test_without_the_free_list_the_peak_grows():
    assert measure("peak_growth", hook="disable_free_list") > 0


# Fork


def test_several_threads_work_in_parent_and_child_after_a_fork():
    assert measure("fork") == [True, True]


def test_without_the_fork_handler_the_child_has_one_thread():
    assert measure("fork", hook="disable_fork_handler") == [False, True]


# Sharing the cores


def test_threads_without_work_take_no_time():
    assert measure("idle_load") < 0.02


def test_without_parking_they_do():
    assert measure("idle_load", hook="disable_parking") > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("library", ["dlx", "dlx.jit"])
def test_two_processes_on_the_same_cores_get_their_halves(library):
    """benchmarks/contention.py in short: the figure of record takes 5 trials of 10 s."""
    benchmarks = HERE.parent / "benchmarks"
    if not benchmarks.is_dir():
        pytest.skip("benchmarks/ is not here: an installed wheel")
    sys.path.insert(0, str(benchmarks))
    try:
        from contention import PROMISE, share
    finally:
        sys.path.remove(str(benchmarks))
    shares = [share(threads=2, seconds=1.0, library=library)[-1] for _ in range(5)]
    assert statistics.median(shares) >= PROMISE, shares
