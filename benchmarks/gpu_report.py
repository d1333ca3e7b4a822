"""Times dlx and PyTorch on one GPU, in one process: the rows of `ROWS`, each on random data, the
results compared before they are timed. The last part of gpu_report.sh; `--small`: tiny sizes, on an
emulated GPU, where the times say nothing.

A row is timed by events around each call, after a warm-up, in turns with its rivals; the median of
at least 20 counts. Rivals that allocate their results do so from a cache, dlx as PyTorch.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

import dlx
from dlx import nn, optim
from dlx._bench.measure import gradients_of

RESULTS = pathlib.Path(__file__).parent / "results"
CALLS = 20
GPU = "cuda"


def import_torch():
    """torch with CUDA, or None."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


@dataclass
class Subject:
    """Rivals that compute the same; each returns its result."""

    calls: dict[str, Callable]
    flops: float = 0.0
    bytes: float = 0.0  # that must move at least
    tolerance: float = 1e-3  # of max |a - b| / max |b|


@dataclass
class Row:
    name: str
    make: Callable  # (torch or None, *sizes) -> Subject
    sizes: tuple
    small: tuple  # the sizes under --small
    figures: dict = field(default_factory=dict)


def random(torch, *shape, seed=1, dtype="float32", grad=False):
    """The same numbers for both: (dlx's tensor, PyTorch's or None)."""
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    ours = dlx.astype(dlx.tensor(array, device=GPU), getattr(dlx, dtype))
    theirs = None
    if torch is not None:
        theirs = torch.tensor(array, device=GPU).to(getattr(torch, dtype)).requires_grad_(grad)
    return dlx.tensor(ours, requires_grad=True) if grad else ours, theirs


def product(torch, m, n, k, dtype="float32", tf32=False):
    a, at = random(torch, m, k, dtype=dtype)
    b, bt = random(torch, k, n, seed=2, dtype=dtype)
    calls = {"dlx": lambda: a @ b}
    if torch is not None:

        def theirs():
            torch.backends.cuda.matmul.allow_tf32 = tf32
            return at @ bt

        calls["PyTorch"] = theirs
    size = 2 if dtype == "bfloat16" else 4
    tolerance = 2e-2 if dtype == "bfloat16" else 1e-3
    return Subject(calls, 2.0 * m * n * k, size * (m * k + k * n + m * n), tolerance)


def linear(torch, m, k, n):
    """A layer and its ReLU: GEMM, bias, activation."""
    (x, xt), (w, wt), (b, bt) = (
        random(torch, *shape, seed=i) for i, shape in enumerate(((m, k), (n, k), (n,)))
    )
    calls = {"dlx": lambda: dlx.relu(nn.functional.linear(x, w, b))}
    if torch is not None:
        calls["PyTorch"] = lambda: torch.relu(torch.nn.functional.linear(xt, wt, bt))
    return Subject(calls, 2.0 * m * n * k, 4.0 * (m * k + k * n + n + m * n))


def layer(torch, shapes, ours, theirs, backward, flops=0.0, passes=2.0):
    """ours(*inputs) and theirs(torch, *inputs), forward, or their gradients on all inputs; `passes`
    over the first input's bytes."""
    pairs = [random(torch, *s, seed=i, grad=backward) for i, s in enumerate(shapes)]
    mine, yours = zip(*pairs)
    calls = {}
    if backward:
        y = ours(*mine)
        dy, dyt = random(torch, *y.shape, seed=9)
        calls["dlx"] = gradients_of(y, mine, dy)
        if torch is not None:
            calls["PyTorch"] = gradients_of(theirs(torch, *yours), yours, dyt)
    else:
        calls["dlx"] = lambda: ours(*mine)
        if torch is not None:
            calls["PyTorch"] = lambda: theirs(torch, *yours)
    return Subject(calls, flops, passes * 4.0 * math.prod(shapes[0]))


def convolution(torch, n, c, size, k, taps, backward=False):
    out = 2.0 * n * k * c * taps * taps * size * size
    return layer(
        torch,
        [(n, c, size, size), (k, c, taps, taps)],
        lambda x, w: dlx.conv2d(x, w, padding=taps // 2),
        lambda torch, x, w: torch.nn.functional.conv2d(x, w, padding=taps // 2),
        backward,
        2 * out if backward else out,
    )


def batch_norm(torch, n, c, size, backward=False):
    def theirs(torch, x, g, b):
        return torch.nn.functional.batch_norm(x, None, None, g, b, training=True)

    return layer(
        torch,
        [(n, c, size, size), (c,), (c,)],
        lambda x, g, b: nn.functional.batch_norm(x, None, None, g, b, training=True),
        theirs,
        backward,
        passes=5.0 if backward else 3.0,
    )


def softmax(torch, rows, columns, backward=False):
    return layer(
        torch,
        [(rows, columns)],
        lambda x: dlx.softmax(x, axis=1),
        lambda torch, x: torch.softmax(x, 1),
        backward,
        passes=3.0 if backward else 2.0,
    )


def layer_norm(torch, rows, columns, backward=False):
    return layer(
        torch,
        [(rows, columns), (columns,), (columns,)],
        lambda x, g, b: nn.functional.layer_norm(x, (columns,), g, b),
        lambda torch, x, g, b: torch.nn.functional.layer_norm(x, (columns,), g, b),
        backward,
        passes=3.0 if backward else 2.0,
    )


def pool(torch, n, c, size, kind, backward=False):
    return layer(
        torch,
        [(n, c, size, size)],
        lambda x: getattr(nn.functional, f"{kind}_pool2d")(x, 2),
        lambda torch, x: getattr(torch.nn.functional, f"{kind}_pool2d")(x, 2),
        backward,
        passes=1.25,
    )


def add(torch, n):
    return layer(
        torch, [(n,), (n,)], lambda x, y: x + y, lambda torch, x, y: x + y, False, passes=3
    )


def adam(torch, tensors, elements):
    """A step of all parameters; both move on, so that only the first is compared."""
    pairs = [random(torch, elements, seed=i, grad=True) for i in range(tensors)]
    mine = [p for p, _ in pairs]
    for p in mine:
        p.grad = p.detach() * 0.01
    ours = optim.Adam(mine, lr=1e-3)

    def step():
        ours.step()
        return mine[0].detach()

    calls = {"dlx": step}
    if torch is not None:
        yours = [p for _, p in pairs]
        for p in yours:
            p.grad = p.detach() * 0.01
        theirs = torch.optim.Adam(yours, lr=1e-3, fused=True)

        def their_step():
            theirs.step()
            return yours[0].detach()

        calls["PyTorch"] = their_step
    return Subject(calls, bytes=28.0 * tensors * elements)


def lenet(library, functional):
    del functional
    n = library.nn
    return n.Sequential(
        n.Conv2d(1, 6, 5, padding=2), n.ReLU(), n.MaxPool2d(2),
        n.Conv2d(6, 16, 5), n.ReLU(), n.MaxPool2d(2),
        n.Flatten(), n.Linear(400, 120), n.ReLU(), n.Linear(120, 84), n.ReLU(), n.Linear(84, 10),
    )  # fmt: skip


def mlp(library, functional):
    del functional
    n = library.nn
    return n.Sequential(
        n.Flatten(), n.Linear(784, 512), n.ReLU(), n.Linear(512, 256), n.ReLU(), n.Linear(256, 10)
    )


def training_step(torch, batch, model, jit=None):
    """Forward, loss, backward, Adam. Each draws its own weights: losses are not compared. jit: what
    makes dlx's step a replayed one."""
    x, xt = random(torch, batch, 1, 28, 28)
    labels = np.arange(batch) % 10

    def runner(library, net, step, x, y):
        def run():
            step.zero_grad()
            library.nn.functional.cross_entropy(net(x), y).backward()
            step.step()

        return run

    net = model(dlx, nn.functional).to(GPU)
    labels_here = dlx.tensor(labels, device=GPU)
    run = runner(dlx, net, optim.Adam(net.parameters(), lr=1e-3), x, labels_here)
    if jit is not None:
        run = jit(run)
        for _ in range(5):  # one is eager, two are recorded, one loads kernels, one is captured
            run()
    calls = {"dlx": run}
    if torch is not None:
        theirs = model(torch, torch.nn.functional).to(GPU)
        step = torch.optim.Adam(theirs.parameters(), lr=1e-3)
        calls["PyTorch"] = runner(torch, theirs, step, xt, torch.tensor(labels, device=GPU))
    return Subject(calls)


def both(name, make, sizes, small):
    return [
        Row(f"{name} forward", make, sizes, small),
        Row(f"{name} backward", partial(make, backward=True), sizes, small),
    ]


ROWS = [
    Row("GEMM float32 2048", product, (2048, 2048, 2048), (33, 20, 17)),
    Row("GEMM float32 4096", product, (4096, 4096, 4096), (64, 64, 16)),
    Row("GEMM float32 4096, PyTorch by TF32", partial(product, tf32=True),
        (4096, 4096, 4096), (16, 16, 16)),
    Row("GEMM bfloat16 4096", partial(product, dtype="bfloat16"), (4096, 4096, 4096), (16, 24, 8)),
    Row("linear + ReLU 4096x4096 -> 4096", linear, (4096, 4096, 4096), (8, 16, 12)),
    *both("conv 256@3x3 on 32x256x28x28", convolution, (32, 256, 28, 256, 3), (2, 3, 6, 4, 3)),
    *both("conv 64@1x1 on 32x256x56x56", convolution, (32, 256, 56, 64, 1), (2, 3, 6, 4, 1)),
    *both("batch norm 64x64x112x112", batch_norm, (64, 64, 112), (3, 4, 5)),
    *both("softmax 16384x4096", softmax, (16384, 4096), (5, 40)),
    *both("layer norm 16384x4096", layer_norm, (16384, 4096), (5, 40)),
    *both("max_pool 2x2 64x64x112x112", partial(pool, kind="max"), (64, 64, 112), (2, 3, 8)),
    *both("avg_pool 2x2 64x64x112x112", partial(pool, kind="avg"), (64, 64, 112), (2, 3, 8)),
    Row("add of 2^26", add, (2**26,), (1000,)),
    Row("Adam, 64 parameters of 2^20", adam, (64, 2**20), (3, 100)),
    Row("training step MLP, batch 128", partial(training_step, model=mlp), (128,), (4,)),
    Row("training step LeNet, batch 128", partial(training_step, model=lenet), (128,), (4,)),
    *(
        Row(f"training step {name}, batch 128, replayed {how}",
            partial(training_step, model=model, jit=jit), (128,), (4,))
        for name, model in (("MLP", mlp), ("LeNet", lenet))
        for how, jit in (("as a graph", dlx.jit), ("by launches", dlx.jit(cuda_graph=False)))
    ),
]  # fmt: skip


def milliseconds(call, event):
    """Of one call, between two events of its library; by the host's clock without `event`."""
    if event is None:
        start = time.perf_counter()
        call()
        dlx.cuda.synchronize()
        return 1e3 * (time.perf_counter() - start)
    start, end = event(enable_timing=True), event(enable_timing=True)
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def host(result):
    """A result as float64 arrays."""
    if result is None:
        return []
    if isinstance(result, tuple):
        return [a for r in result for a in host(r)]
    if isinstance(result, dlx.Tensor):
        return [dlx.astype(result.detach(), dlx.float64).cpu().numpy()]
    return [result.detach().double().cpu().numpy()]


def compared(row, subject):
    """Runs every rival once; AssertionError where PyTorch's result differs."""
    results = {name: host(call()) for name, call in subject.calls.items()}
    for y, wanted in zip(results["dlx"], results.get("PyTorch", [])):
        error = np.max(np.abs(y - wanted)) / max(np.max(np.abs(wanted)), 1e-30)
        assert error <= subject.tolerance, f"{row.name}: differs by {error:.2g}"
    assert all(np.isfinite(y).all() for y in results["dlx"]), row.name


def measure(row, torch, emulated, small):
    subject = row.make(torch, *(row.small if small else row.sizes))
    compared(row, subject)
    events = {} if emulated else {"dlx": dlx.cuda.Event}
    if torch is not None:
        events["PyTorch"] = torch.cuda.Event
    times = {name: [] for name in subject.calls}
    for turn in range(3 + CALLS if not small else 3):
        for name, call in subject.calls.items():
            took = milliseconds(call, events.get(name))
            if turn >= (3 if not small else 1):  # of warming up
                times[name].append(took)
    medians = {name: statistics.median(t) for name, t in times.items()}
    ours = medians["dlx"]
    return {
        "row": row.name,
        "milliseconds": medians,
        "calls": {name: len(t) for name, t in times.items()},
        "tflops": subject.flops / ours / 1e9 if subject.flops else None,
        "gbs": subject.bytes / ours / 1e6 if subject.bytes else None,
        "speedup": medians["PyTorch"] / ours if "PyTorch" in medians else None,
    }


def attempted(row, torch, emulated, small):
    """Its figures, or why it has none: one row that fails does not lose the others."""
    try:
        return measure(row, torch, emulated, small)
    except Exception as e:
        return {"row": row.name, "error": f"{type(e).__name__}: {e}".splitlines()[0][:300]}


def shown(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def table(report):
    head = f"# {report['gpu']}" + (", emulated: the times say nothing" if report["small"] else "")
    lines = [head, "", f"dlx {report['dlx']}; PyTorch: {report['torch'] or 'none with CUDA'}.", ""]
    if report["parts"]:
        lines += ["| part | ended | s |", "|---|---|---|"]
        for name, code, seconds in report["parts"]:
            lines.append(f"| {name} | {'well' if code == '0' else code} | {seconds} |")
        lines.append("")
    lines.append("Medians of event times; above 1: dlx is faster.\n")
    lines += ["| row | dlx ms | PyTorch ms | times as fast | TFLOP/s | GB/s |", "|---" * 6 + "|"]
    for r in report["rows"]:
        if "error" in r:
            lines.append(f"| {r['row']} | {r['error']} | | | | |")
            continue
        ms = r["milliseconds"]
        lines.append(
            f"| {r['row']} | {ms['dlx']:.3f} | {shown(ms.get('PyTorch'), 3)} | "
            f"{shown(r['speedup'])} | {shown(r['tflops'])} | {shown(r['gbs'], 0)} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--parts", type=pathlib.Path, help="what ran before: name, end, seconds")
    parser.add_argument("--only", default="", help="rows with this in their names")
    arguments = parser.parse_args()
    if not dlx.cuda.is_available():
        print("no GPU for dlx: run `dlx info`")
        return 1
    gpu = dlx.cuda.device_name()
    emulated = gpu.startswith("emulated")
    torch = None if emulated else import_torch()
    parts = []
    if arguments.parts and arguments.parts.exists():
        parts = [line.split("\t") for line in arguments.parts.read_text().splitlines()]
    rows = [
        attempted(row, torch, emulated, arguments.small)
        for row in ROWS
        if arguments.only in row.name
    ]
    report = {
        "gpu": gpu,
        "small": arguments.small,
        "dlx": dlx.__version__,
        "torch": torch.__version__ if torch else None,
        "parts": parts,
        "rows": rows,
    }
    name = re.sub(r"\W+", "_", gpu.lower()).strip("_")
    folder = RESULTS.parents[1] / "build" / "gpu_report" if emulated else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    text = table(report)
    (folder / f"{name}.md").write_text(text)
    print(text)
    print(f"written: {folder / name}.json, .md")
    return 1 if emulated and any("error" in r for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
