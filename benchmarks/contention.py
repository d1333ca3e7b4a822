"""Two training processes on the same cores: does each get its half?

r1 is the steps per second of one process alone on 2 threads, r2 that of each of two copies started
together. Promised: r2 >= 0.77 * r1 / 2 for both, in the median of the trials. What costs the rest
is the sharing itself: caches, and threads that wait for one that is not running.

    python benchmarks/contention.py [--trials 5] [--seconds 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time

PROMISE = 0.77


def work(threads, seconds, hook):
    """Trains an MLP until the time is up, from the moment that stdin closes; prints steps/s."""
    import dlx
    from dlx import nn, optim

    dlx.set_num_threads(threads)
    x, y = dlx.random.normal((256, 512)), dlx.random.randint(0, 10, (256,))
    model = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = optim.SGD(model.parameters(), lr=1e-3)

    def step():
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    broken = getattr(dlx.testing, hook)() if hook else contextlib.nullcontext()
    with broken:
        for _ in range(20):
            step()
        print("ready", flush=True)
        sys.stdin.read()
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            step()
            steps += 1
        print(steps / (time.perf_counter() - start))


def rates(copies, threads, seconds, hook=""):
    """Steps/s of each of some copies that start together."""
    command = [sys.executable, __file__, "--work", str(threads), str(seconds), hook]
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


def share(threads, seconds, hook=""):
    """(r1, r2 of both, the smaller r2 / (r1 / 2)) of one trial."""
    (alone,) = rates(1, threads, seconds, hook)
    together = rates(2, threads, seconds, hook)
    return alone, together, min(together) / (alone / 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hook", default="", help="a lever of dlx.testing, e.g. disable_parking")
    options = parser.parse_args()
    shares = []
    for trial in range(options.trials):
        alone, together, got = share(options.threads, options.seconds, options.hook)
        shares.append(got)
        both = " and ".join(f"{r:.0f}" for r in together)
        print(
            f"trial {trial + 1}: r1 {alone:.0f} steps/s, r2 {both}: {got:.2f} of r1/2", flush=True
        )
    median = statistics.median(shares)
    print(f"median: {median:.2f} of r1/2 (promised: {PROMISE})")
    return 0 if median >= PROMISE else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main())
