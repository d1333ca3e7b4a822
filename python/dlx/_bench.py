"""`dlx bench`: dlx beside the machine's limits, measured in the same run, and beside PyTorch.

Rivals run in turns, so that both see the same noise, and the fastest turn of each counts.
"""

from __future__ import annotations

import time

import dlx
from dlx import _core, cli

__all__ = ["import_torch", "interleave", "main"]

SIZE = 1024  # of the square matrices
BATCH = 32  # rows of a training step
TURNS = 25
REST = 0.02  # seconds before a turn
TURN = 0.04  # seconds of one, at least
STEPS = 20  # of training per turn


def main():
    """Measure and print the table."""
    from dlx import _bench_conv

    torch = import_torch()
    limits = _core.machine_limits()
    peak, bandwidth = limits["gflops_float32"], limits["copy_gbs"]
    print(f"{cli.cpu_name()}, {limits['isa']}, {limits['threads']} threads")
    print(f"limits: {peak:.0f} GFLOP/s float32 multiply-add, {bandwidth:.1f} GB/s copy\n")
    _matmul(torch, peak)
    _step(torch, peak, bandwidth)
    print()
    _bench_conv.main(torch, turns=max(TURNS // 5, 1))
    if torch is None:
        print("\nPyTorch is not installed: nothing to compare with")
    else:
        print(f"\nPyTorch {torch.__version__} on {torch.get_num_threads()} threads")


def _matmul(torch, peak):
    x = dlx.random.normal((SIZE, SIZE))
    y = dlx.random.normal((SIZE, SIZE))
    rivals = {"dlx": lambda: x @ y}
    if torch is not None:
        xt, yt = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
        rivals["PyTorch"] = lambda: torch.matmul(xt, yt)
    times = interleave(rivals, TURNS)
    gflops = {name: 2e-9 * SIZE**3 / seconds for name, seconds in times.items()}
    print(f"matmul float32 {SIZE} x {SIZE} x {SIZE}")
    for name, rate in gflops.items():
        milliseconds, share = 1e3 * times[name], rate / peak
        print(f"  {name:<8} {milliseconds:8.2f} ms {rate:8.0f} GFLOP/s {share:7.0%} of peak")
    _print_ratio(times)
    threads = _core.num_threads()
    many = x @ y
    _core.set_num_threads(1)
    one = x @ y
    _core.set_num_threads(threads)
    same = dlx.min(dlx.equal(one, many).astype(dlx.int64)).item() == 1
    print(f"  bits on 1 and {threads} threads: {'equal' if same else 'DIFFERENT'}\n")


def _step(torch, peak, bandwidth):
    (x, y), _ = dlx.data.digits()
    xb, yb = x[:BATCH], y[:BATCH]
    model = cli.demo_model(dlx.nn)
    step = _stepper(model, dlx.optim.Adam, dlx.nn.functional.cross_entropy, xb, yb)
    rivals = {"dlx": step}
    if torch is not None:
        net = cli.demo_model(torch.nn)
        loss = torch.nn.functional.cross_entropy
        xt, yt = torch.tensor(xb.tolist()), torch.tensor(yb.tolist())
        rivals["PyTorch"] = _stepper(net, torch.optim.Adam, loss, xt, yt)
    times = {name: t / STEPS for name, t in interleave(rivals, TURNS // 2).items()}
    weights = sum(p._numel for p in model.parameters())
    flops = _flops(step) / STEPS
    moved = 28 * weights  # Adam reads w, dw, m, v and writes w, m, v in 4 bytes each
    least = flops / (peak * 1e9) + moved / (bandwidth * 1e9)
    print(f"demo training step, batch {BATCH}, {weights:,} weights")
    for name, seconds in times.items():
        rate = 1e-9 * flops / seconds
        print(
            f"  {name:<8} {1e6 * seconds:8.0f} us {rate:8.2f} GFLOP/s {rate / peak:7.1%} of peak, "
            f"{seconds / least:.0f} x the limit of {1e6 * least:.0f} us"
        )
    _print_ratio(times)


def _flops(call):
    """What its ops count, of forward, backward and optimizer."""
    with dlx.profile() as counted:
        call()
    return sum(row.flops for row in counted)


def _stepper(model, adam, loss_of, x, y):
    optimizer = adam(model.parameters(), lr=3e-3)

    def steps():
        for _ in range(STEPS):
            loss = loss_of(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return steps


def interleave(rivals, turns):
    """{name: seconds of its fastest call}, the rivals called in turns of six calls and 40 ms at
    least: until the system gives both threads a core of their own.

    Before a turn everybody rests: OpenMP's threads spin for a while after their work and would take
    a core from the next rival."""
    best = dict.fromkeys(rivals, float("inf"))
    for _ in range(turns):
        for name, call in rivals.items():
            time.sleep(REST)
            calls, end = 0, time.perf_counter() + TURN
            while calls < 6 or time.perf_counter() < end:
                start = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - start)
                calls += 1
    return best


def _print_ratio(times):
    if "PyTorch" in times:
        print(f"  dlx takes {times['dlx'] / times['PyTorch']:.2f} of PyTorch's time")


def import_torch():
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(_core.num_threads())
    return torch
