"""Rows: the training steps of steps.py under `dlx.jit`, beside eager dlx, eager PyTorch in either
layout, `torch.compile` and JAX.

`torch.compile` takes the functions that compute a loss, whole (`fullgraph`), and so their backward
passes; Adam stays `fused`. That was faster than compiling the step, in either layout. What cannot
run here (no compiler, no JAX) is left out, and the table says why.
"""

from __future__ import annotations

from functools import partial

import dlx
from dlx._bench import jax_steps
from dlx._bench.measure import COMPILED, DLX, EAGER, JAX, LAST, OURS, Row, Subject
from dlx._bench.steps import ROWS

__all__ = ["COLUMNS", "rows"]

WARM = 4  # calls before the one that is compared: dlx.jit replays the last, and weights move

# title: rivals, of which the fastest counts
COLUMNS = {"eager dlx": [OURS], "PyTorch": [EAGER, LAST], "compile": [COMPILED], "JAX": [JAX]}


def rows():
    return [Row(name, partial(_subject, task)) for name, task in ROWS.items()]


def _subject(task, torch):
    calls, skipped = {DLX: _replayed(task), OURS: _warm(task(dlx))}, {}
    if torch is not None:
        calls |= {EAGER: _warm(task(torch, False)), LAST: _warm(task(torch, True))}
        _try(calls, skipped, COMPILED, lambda: _compiled(task, torch))
    _try(calls, skipped, JAX, lambda: _jax(task))
    return Subject(calls, skipped=skipped)


def _warm(step):
    for _ in range(WARM):
        step()
    return step


def _try(calls, skipped, name, make):
    try:
        calls[name] = make()
    except Exception as error:  # whatever a compiler that does not work here raises
        lines = str(error).strip().splitlines() or [""]
        skipped[name] = f"{type(error).__name__}: {lines[0]}"


def _replayed(task):
    step = task(dlx)
    jitted = dlx.jit(step.func)
    step = _warm(partial(jitted, *step.args))
    if not jitted.cache_info().replays:
        raise RuntimeError(f"the step is not replayed: {jitted.cache_info()}")
    return step


def _compiled(task, torch):
    torch.compiler.reset()
    return _warm(task(torch, True, partial(torch.compile, fullgraph=True)))


def _jax(task):
    jax_steps.import_jax()
    return _warm(jax_steps.make(task))
