"""What dlx.jit costs before it pays, and the memory of a step beside PyTorch's.

    python benchmarks/jit_costs.py [--processes 10] [--steps LeNet ResNet-20]

First calls: fresh processes, jit and eager in turns. Each times its first steps one by one and then
a steady eager step (the median of later ones), of the rows of `dlx bench`. The first three calls of
dlx.jit (one eager, two recorded) stand beside the first four eager steps, which also warm up the
allocator and the caches, and beside four steady ones; in time, and in processor time of all
threads, which other work on the machine disturbs less.

Memory: bytes of the arena and of what a step returns or leaves behind (`step.memory`), of ResNet-20
with a batch of 64; PyTorch's are the peak of what its allocator holds during the same step, less
what it holds before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

ROWS = {"LeNet": "LeNet (b64)", "ResNet-20": "ResNet-20 32x32 (b64)"}

FIRST_CALLS = """
import json, sys, time
import dlx
from dlx._bench.steps import ROWS
step = ROWS[sys.argv[1]](dlx)
eager, data = step.func, step.args
call = dlx.jit(eager) if sys.argv[2] == "jit" else eager
def seconds(f):
    start, processor = time.perf_counter(), time.process_time()
    f(*data)
    return time.perf_counter() - start, time.process_time() - processor
first = [seconds(call) for _ in range(4)]
steady = [seconds(eager) for _ in range(10)]
print(json.dumps([first, steady]))
"""


def measured(row, kind):
    """Of the first four calls, and of ten eager ones after them: (seconds, processor seconds)"""
    command = [sys.executable, "-c", FIRST_CALLS, row, kind]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def first_calls(name, processes):
    turns = [[measured(ROWS[name], kind) for kind in ("jit", "eager")] for _ in range(processes)]
    print(f"{name}: medians of {processes} fresh processes each, ms")
    for which, text in enumerate(("time", "processor time")):
        jit, eager = ([[c[which] for c in turn[k][0]] for turn in turns] for k in (0, 1))
        after = [[c[which] for c in run[1]] for turn in turns for run in turn]
        steady = statistics.median(statistics.median(run) for run in after)
        three = statistics.median(sum(first[:3]) for first in jit)
        four = statistics.median(sum(first) for first in eager)
        each = [statistics.median(first[i] for first in jit) for i in range(4)]
        print(f"  {text}: calls 1 to 4 {', '.join(f'{1e3 * s:.2f}' for s in each)}; ", end="")
        print(f"a steady eager step {1e3 * steady:.2f}")
        print(
            f"    the first three calls take {1e3 * three:.2f}: {three / steady:.2f} steady steps,"
        )
        print(f"    and {three / four:.2f} of the first four eager ones ({1e3 * four:.2f})")


def memory(name):
    import dlx
    from dlx._bench.measure import import_torch
    from dlx._bench.steps import ROWS as TASKS

    step = TASKS[ROWS[name]](dlx)
    jitted = dlx.jit(step.func)
    for _ in range(4):
        jitted(*step.args)
    m = jitted.memory
    ours = m["arena_bytes"] + m["result_bytes"]
    print(
        f"{name}: arena {m['arena_bytes'] / 1e6:.1f} MB (without a plan "
        f"{m['unplanned_bytes'] / 1e6:.1f}), results {m['result_bytes'] / 1e6:.1f} MB: "
        f"{ours / 1e6:.1f} MB"
    )
    torch = import_torch()
    if torch is None:
        return
    theirs = peak_of(torch, TASKS[ROWS[name]](torch))
    print(f"  PyTorch's allocator: {theirs / 1e6:.1f} MB; dlx {ours / theirs:.2f} of it")


def peak_of(torch, step):
    """Bytes that PyTorch allocates in a step, at its most, beside those from before it."""
    for _ in range(3):
        step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--steps", nargs="*", choices=list(ROWS), default=list(ROWS))
    options = parser.parse_args()
    for name in options.steps:
        first_calls(name, options.processes)
    memory("ResNet-20")


if __name__ == "__main__":
    main()
