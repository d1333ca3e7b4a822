"""`dlx bench`: dlx beside PyTorch and beside the limits of the machine, measured in the same run;
training steps under `dlx.jit` also beside `torch.compile` and JAX.

Results are compared before they are timed. Then the rivals take turns, so that all see the same
noise; of a turn its fastest call counts, of the turns the minimum and the median are shown.
"""

from __future__ import annotations

import numpy as np

from dlx import _core, cli
from dlx._bench import conv, gemm, jit_steps, memory, optim, report, steps
from dlx._bench.measure import Limit, Result, compared, import_torch, interleave

__all__ = ["FAMILIES", "import_torch", "interleave", "main"]

FAMILIES = {
    "gemm": gemm,
    "convolution": conv,
    "memory": memory,
    "optimizer": optim,
    "training step": steps,
    "training step under jit": jit_steps,
}
DRAWN = 20  # shapes of a family under --full


def main(only="", rounds=7, full=False, seed=None, save=None):
    """Measure the rows with `only` in their names, print the tables; the list of Results.

    full: also DRAWN shapes of each family drawn anew with `seed` (printed), the slowest beside
    PyTorch first. save: a folder for the text, the JSON and, with matplotlib, the pictures.
    """
    torch = import_torch()
    limits = _core.machine_limits()
    lines = []

    def write(line=""):
        print(line, flush=True)
        lines.append(line)

    write(f"{cli.cpu_name()}, {limits['isa']}, {limits['threads']} threads")
    write(
        f"limits: {limits['gflops_float32']:.0f} GFLOP/s float32 multiply-add, "
        f"{limits['gflops_float64']:.0f} float64, {limits['copy_gbs']:.1f} GB/s copy"
    )
    if torch is None:
        write("PyTorch is not installed: nothing to compare with")
    else:
        write(f"PyTorch {torch.__version__} on {torch.get_num_threads()} threads")
    seed = int(np.random.default_rng(seed).integers(1 << 31)) if seed is None else seed
    results = []
    for family, module in FAMILIES.items():
        rows = [row for row in module.rows() if only in f"{family} {row.name}"]
        results += _family(family, rows, torch, rounds, write, keep_order=True)
        if full and hasattr(module, "drawn"):
            write(f"\n{family}: {DRAWN} shapes drawn with seed {seed}, slowest first")
            rows = module.drawn(np.random.default_rng(seed), DRAWN)
            results += _family(family, rows, torch, rounds, write, keep_order=False)
    if save:
        report.save(save, lines, results, limits)
    return results


def _family(family, rows, torch, rounds, write, keep_order):
    if not rows:
        return []
    columns = getattr(FAMILIES[family], "COLUMNS", None)
    write("\n" + report.header(family, columns))
    results = []
    for row in rows:
        results.append(_measure(family, row, torch, rounds))
        if keep_order:
            latest = results[-1]
            write(report.line_beside(latest, columns) if columns else report.line(latest))
    if not keep_order:
        results.sort(key=lambda r: r.speedup() or 0)
        for result in results:
            write(report.line(result))
    for line in [*report.summary(results), *report.skipped(results)]:
        write(line)
    return results


def _measure(family, row, torch, rounds):
    subject = row.make(torch)
    compared(row.name, subject)
    limit = Limit(subject)
    turns = interleave(subject.calls, rounds, limit.turn)
    moved, seconds = subject.bytes(), limit.seconds()
    return Result(family, row.name, turns, subject.flops, moved, seconds, subject.skipped)
