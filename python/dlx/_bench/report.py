"""Text, JSON and pictures of the results."""

from __future__ import annotations

import json
import math
from pathlib import Path

from dlx._bench.measure import COMPILED, DLX, EAGER, INTO, JAX, Result

WIDTH = 46


def header(family, columns=None):
    """columns: {title: rivals} where others than PyTorch run, each way in a column of its own."""
    if columns:
        titles = "".join(f"{title:>11}" for title in columns)
        return (
            f"{family:<{WIDTH}}{'jit us':>10} {'median':>10}{titles} {'x as fast':>9} {'median':>7}"
        )
    return (
        f"{family:<{WIDTH}}{'dlx us':>10} {'median':>10} {'PyTorch us':>11} {'x as fast':>9} "
        f"{'eager':>6} {'rate':>12} {'limit':>6}"
    )


def line_beside(result, columns):
    """dlx's best and median turn, the best turn of each column, the fastest rival's time over
    dlx's, by best turns and by medians."""
    text = f"  {result.name:<{WIDTH - 2}}{_us(result.best())} {_us(result.median())}"
    for rivals in columns.values():
        times = [result.best(rival) for rival in rivals if rival in result.turns]
        text += f" {_us(min(times))}" if times else f"{'-':>11}"
    if not result.others():
        return text
    return f"{text} {result.speedup():>9.2f} {result.speedup(time=Result.median):>7.2f}"


def line(result):
    """dlx's best and median turn, PyTorch's best, PyTorch's time over dlx's, dlx's rate, its share
    of the machine's limit. Where PyTorch has an out= form the first ratio is beside that, `eager`
    beside the form that makes a fresh result."""
    text = f"  {result.name:<{WIDTH - 2}}{_us(result.best())} {_us(result.median())} "
    if result.others():
        rivals = rivals_of(result)
        theirs = min(result.best(rival) for rival in rivals)
        text += f" {_us(theirs)} {result.speedup(rivals):>9.2f} "
        text += (
            f"{result.speedup([EAGER]):>6.2f} "
            if INTO in rivals and EAGER in result.turns
            else 7 * " "
        )
    else:
        text += 29 * " "
    text += f"{_rate(result):>12} "
    return text + (f"{result.share():>6.0%}" if result.limit else "").rstrip()


def rivals_of(result):
    """Those that the ratio is beside: PyTorch's out= form where it has one."""
    return [INTO] if INTO in result.turns else result.others()


def _us(seconds):
    return f"{1e6 * seconds:>10.4g}" if seconds < 1e-5 else f"{1e6 * seconds:>10.0f}"


def _rate(result):
    if result.flops:
        return f"{1e-9 * result.flops / result.best():.0f} GFLOP/s"
    if result.bytes:
        return f"{1e-9 * result.bytes / result.best():.0f} GB/s"
    return ""


def summary(results):
    ratios = [(r.speedup(rivals_of(r)), r.name) for r in results if r.others()]
    if not ratios:
        return
    mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
    worst, name = min(ratios)
    rivals = {rival for r in results for rival in r.others()}
    rival = "the fastest rival" if {COMPILED, JAX} & rivals else "PyTorch"
    yield f"  geometric mean {mean:.2f} x as fast as {rival}, least {worst:.2f}: {name}"


def skipped(results):
    """A line for each rival that could not run, and why."""
    whys = {}
    for r in results:
        for rival, why in r.skipped.items():
            whys.setdefault((rival, why), []).append(r.name)
    for (rival, why), names in whys.items():
        which = "" if len(names) == len(results) else f" ({', '.join(names)})"
        yield f"  left out: {rival}{which}: {why}"


def save(folder, lines, results, limits):
    """cpu.txt, cpu.json; where matplotlib is installed cpu.svg and roofline.svg; in `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.txt").write_text("\n".join(lines) + "\n")
    rows = [
        {
            "family": r.family,
            "row": r.name,
            "seconds": {
                rival: {"min": r.best(rival), "median": r.median(rival)} for rival in r.turns
            },
            "flops": r.flops,
            "bytes": r.bytes,
            "ratio": r.speedup(rivals_of(r)) if r.others() else None,
            "skipped": r.skipped,
            "share_of_limit": r.share(),
        }
        for r in results
    ]
    (folder / "cpu.json").write_text(
        json.dumps({"machine": lines[0], "limits": limits, "rows": rows}, indent=1)
    )
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no pictures: `pip install matplotlib` for cpu.svg and roofline.svg")
        return
    if any(r.others() for r in results):
        _ratios(Figure, results).savefig(folder / "cpu.svg")
    if any(r.flops for r in results):
        _roofline(Figure, results, limits).savefig(folder / "roofline.svg")


def _roofline(figure_class, results, limits):
    """GFLOP/s over multiply-adds' flops per byte of memory that has to move at least, below what
    the bandwidth of a copy and the peak allow (Williams et al., 2009)."""
    figure = figure_class(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    shown = [r for r in results if r.flops and r.bytes and "float64" not in r.name]
    peak, copy = limits["gflops_float32"], limits["copy_gbs"]
    least = 0.5 * min(r.flops / r.bytes for r in shown)
    most = 2 * max(max(r.flops / r.bytes for r in shown), peak / copy)
    axes.plot([least, peak / copy, most], [least * copy, peak, peak], color="black", linewidth=1)
    for family in dict.fromkeys(r.family for r in shown):
        rows = [r for r in shown if r.family == family]
        intensities = [r.flops / r.bytes for r in rows]
        axes.scatter(intensities, [1e-9 * r.flops / r.best() for r in rows], label=family, s=14)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("flops per byte")
    axes.set_ylabel("GFLOP/s")
    axes.legend(loc="lower right")
    return figure


def _ratios(figure_class, results):
    """Bars: how many times as fast as PyTorch, by family, the slowest at the top."""
    shown = [r for r in results if r.others()]
    figure = figure_class(figsize=(9, 1 + 0.17 * len(shown)), layout="constrained")
    axes = figure.subplots()
    families = list(dict.fromkeys(r.family for r in shown))
    labels = []
    for family in reversed(families):
        rows = sorted(
            (r for r in shown if r.family == family), key=lambda r: -r.speedup(rivals_of(r))
        )
        begin = len(labels)
        ratios = [r.speedup(rivals_of(r)) for r in rows]
        axes.barh(range(begin, begin + len(rows)), ratios, label=family)
        labels += [r.name for r in rows]
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axes.set_yticks(range(len(labels)), labels, fontsize=6)
    axes.set_ylim(-1, len(labels))
    axes.set_xlabel(f"PyTorch's time / {DLX}'s time")
    axes.legend(loc="lower right")
    return figure
