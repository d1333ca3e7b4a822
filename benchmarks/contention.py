"""Two training processes on the same cores: does each get its half?

r1 is the steps per second of one process alone on 2 threads, r2 that of each of two copies started
together. Promised: r2 >= 0.77 * r1 / 2 for both, in the median of the trials, for every step. What
costs the rest is the sharing itself: caches, and threads that wait for one that is not running.
The same of steps under dlx.jit; PyTorch, where it is installed, does the same beside them.

    python benchmarks/contention.py [--trials 5] [--seconds 10] [--threads 2] [--steps LeNet]
        [--libraries dlx dlx.jit torch]
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import statistics
import subprocess
import sys
import time
from functools import partial

PROMISE = 0.77
STEPS = {  # name: a row of dlx._bench.steps
    "MLP": "MLP 784-128-10 (b64)",
    "LeNet": "LeNet (b64)",
    "ResNet-20": "ResNet-20 32x32 (b64)",
}
LIBRARIES = ["dlx", "dlx.jit", "torch"]
WARM_UP = 2.0  # seconds


def work(library_name, name, threads, seconds, hook):
    """Trains until the time is up, from the moment that stdin closes; prints steps/s."""
    import dlx
    from dlx._bench.steps import ROWS

    if library_name == "torch":
        import torch as library
    else:
        library = dlx
    library.set_num_threads(threads)
    step = ROWS[STEPS[name]](library)
    if library_name == "dlx.jit":
        step = partial(dlx.jit(step.func), *step.args)
    broken = getattr(dlx.testing, hook)() if hook else contextlib.nullcontext()
    with broken:
        rate(step, min(WARM_UP, seconds))
        print("ready", flush=True)
        sys.stdin.read()
        print(rate(step, seconds))


def rate(step, seconds):
    """Steps/s over some time, of one step at least."""
    start, steps = time.perf_counter(), 0
    while steps == 0 or time.perf_counter() - start < seconds:
        step()
        steps += 1
    return steps / (time.perf_counter() - start)


def rates(copies, threads, seconds, hook="", name="MLP", library="dlx"):
    """Steps/s of each of some copies that start together."""
    arguments = library, name, str(threads), str(seconds), hook
    command = [sys.executable, __file__, "--work", *arguments]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(copies)]
    try:
        for process in running:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("contention: a copy failed before its first step")
        for process in running:
            process.stdin.close()
        return [float(process.stdout.read()) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
            process.stdout.close()


def share(threads, seconds, hook="", name="MLP", library="dlx"):
    """(r1, r2 of both, the smaller r2 / (r1 / 2)) of one trial."""
    (alone,) = rates(1, threads, seconds, hook, name, library)
    together = rates(2, threads, seconds, hook, name, library)
    return alone, together, min(together) / (alone / 2)


def median_share(trials, threads, seconds, hook, name, library):
    """The median of some trials, each printed."""
    shares = []
    for trial in range(trials):
        alone, together, got = share(threads, seconds, hook, name, library)
        shares.append(got)
        both = " and ".join(f"{r:.4g}" for r in together)
        print(
            f"{name}, {library}, trial {trial + 1}: r1 {alone:.4g} steps/s, r2 {both}: "
            f"{got:.2f} of r1/2",
            flush=True,
        )
    median = statistics.median(shares)
    promised = f" (promised: {PROMISE})" if library != "torch" else ""
    print(f"{name}, {library}, median: {median:.2f} of r1/2{promised}", flush=True)
    return median


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--hook", default="", help="a lever of dlx.testing, e.g. disable_parking")
    options = parser.parse_args()
    libraries = options.libraries
    if importlib.util.find_spec("torch") is None:
        libraries = [library for library in libraries if library != "torch"]
    kept = True
    for name in options.steps:
        for library in libraries:
            median = median_share(
                options.trials, options.threads, options.seconds, options.hook, name, library
            )
            kept = kept and (library == "torch" or median >= PROMISE)
    return 0 if kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        library, name, threads, seconds, hook = sys.argv[2:]
        work(library, name, int(threads), float(seconds), hook)
    else:
        sys.exit(main())
