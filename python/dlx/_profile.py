"""dlx.profile(): what every op did, how long it took, and how far from the machine's limit."""

from __future__ import annotations

from collections import namedtuple

from dlx import _core

__all__ = ["Profile", "Row", "profile"]

# seconds: measured around the kernel, with its workspace; flops and bytes: counted from the shapes,
# flops64 those of the flops that are float64's.
Row = namedtuple("Row", "name isa calls seconds flops flops64 bytes")

_COLUMNS = ("op", "isa", "calls", "ms", "share", "us/call", "GFLOP/s", "GB/s", "of limit")


def profile() -> Profile:
    """A context manager that watches every native op of this thread.

        with dlx.profile() as p:
            loss = step(x, y)
        print(p)

    Printing gives a table, slowest op first: calls, time, share of all ops' time, GFLOP/s, GB/s,
    and the share of the machine's limit: the time that this machine would need at least, for the
    flops at its peak of multiply-adds or for the bytes at its speed of copying, whichever is
    longer, divided by the time measured. Data that stays in a cache can be faster than that. The
    limits are measured once, in half a second, when first printed. isa is the instruction set of
    the op's kernel. Iterating gives a Row(name, isa, calls, seconds, flops, flops64, bytes) per op,
    `rows()` the same as dicts. Profiles nest; one can be entered again and goes on adding.
    """
    return Profile()


class Profile:
    """What `dlx.profile()` returns."""

    def __init__(self):
        self._counter = _core.Profiler()

    def __enter__(self):
        self._counter.start()
        return self

    def __exit__(self, *exception):
        self._counter.stop()

    def __iter__(self):
        rows = [Row(*row) for row in self._counter.rows()]
        return iter(sorted(rows, key=lambda row: -row.seconds))

    def rows(self) -> list[dict]:
        """[{op, isa, calls, seconds, flops, bytes}], slowest first."""
        names = ("isa", "calls", "seconds", "flops", "bytes")
        return [{"op": row.name, **{name: getattr(row, name) for name in names}} for row in self]

    def __str__(self):
        rows = list(self)
        if not rows:
            return "profile: no op ran"
        limits = _core.machine_limits()
        least = [least_seconds(row, limits) for row in rows]
        total = Row("total", "", *(sum(column) for column in list(zip(*rows))[2:]))
        lines = [_COLUMNS]
        for row, needed in zip([*rows, total], [*least, sum(least)]):
            lines.append(_line(row, needed, total.seconds))
        widths = [max(map(len, column)) for column in zip(*lines)]
        text = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths))
            )
            for line in lines
        ]
        rule = "-" * len(text[0])
        limit = (
            f"limits: {limits['gflops_float32']:.0f} GFLOP/s in float32, "
            f"{limits['gflops_float64']:.0f} in float64, {limits['copy_gbs']:.1f} GB/s, "
            f"on {limits['threads']} threads with {limits['isa']}"
        )
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1], limit])


def least_seconds(row, limits):
    """The time below which this machine cannot do what the row did."""
    computing = (row.flops - row.flops64) / limits["gflops_float32"]
    computing += row.flops64 / limits["gflops_float64"]
    return max(computing, row.bytes / limits["copy_gbs"]) * 1e-9


def _line(row, needed, all_seconds):
    seconds = max(row.seconds, 1e-12)
    return (
        row.name,
        row.isa,
        str(row.calls),
        f"{row.seconds * 1e3:.3f}",
        f"{row.seconds / max(all_seconds, 1e-12):.1%}",
        f"{row.seconds * 1e6 / row.calls:.2f}",
        f"{row.flops / seconds * 1e-9:.2f}",
        f"{row.bytes / seconds * 1e-9:.2f}",
        f"{needed / seconds:.1%}",
    )
