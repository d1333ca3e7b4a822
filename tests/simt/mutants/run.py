"""Runs mutations, each in a forked child of one process that has everything prepared:
`python run.py PLAN` with PYTHONPATH at the package that holds the mutated `_core`.

A plan (JSON): `numbers` of the mutations, `result` (the file to write), `seconds` that each
may take, `jobs`, perhaps `briefly`, numbers that get little of that, and `items`, a pattern of
their names. A mutation is caught when an item fails, crashes, or takes far longer than it did.
"""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import re
import resource
import signal
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "tests")]

import dlx  # noqa: E402
from dlx import _core  # noqa: E402
from simt.mutants.items import all_items, prepare  # noqa: E402

library = ctypes.CDLL(_core.__file__)
active = ctypes.c_int.in_dll(library, "dlx_mutation")
reached = np.ctypeslib.as_array(
    (ctypes.c_ubyte * (1 << 16)).in_dll(library, "dlx_mutation_reached")
)
FORWARD, REVERSE, RANDOM = range(3)
CAUGHT, SURVIVED = 17, 18  # exit codes


def schedule(order):
    library.dlx_simt_schedule(order, ctypes.c_uint64(7))


def baseline(items):
    """Seconds and what was reached, of every item that passes; the others with their errors; the
    mutations that types without the operator executed."""
    good, failed, inapplicable = [], [], set()
    for i, (op, name, function) in enumerate(items):
        if i % 500 == 0:
            print(f"item {i} of {len(items)}, {time.process_time():.0f} s", flush=True)
        prepare(function)
        reached[:] = 0
        start = time.process_time()
        try:
            function()
        except Exception as e:
            failed.append((name, f"{type(e).__name__}: {e}".splitlines()[0][:200]))
            continue
        good.append((op, name, function, time.process_time() - start, np.flatnonzero(reached & 1)))
        inapplicable.update(np.flatnonzero(reached == 2).tolist())
    return good, failed, inapplicable


def in_order(items):
    """The quickest of every op, then their second, and so on."""
    of_op, ranked = {}, []
    for item in sorted(items, key=lambda i: i[3]):
        rank = of_op[item[0]] = of_op.get(item[0], -1) + 1
        ranked.append((rank, item[3], item))
    return [item for _, _, item in sorted(ranked, key=lambda r: r[:2])]


def within(items, seconds):
    total = 0.0
    for item in items:
        if total + item[3] <= seconds or item is items[0]:
            total += item[3]
            yield item


def child(number, items, seconds, say):
    """Never returns. Tells by its exit code, `say` what caught the mutation."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (12 << 30, 12 << 30))
    active.value = number
    for order, share in ((FORWARD, 1), (REVERSE, 0.3), (RANDOM, 0.3)):
        schedule(order)
        for _, name, function, took, _ in within(items, share * seconds):
            say(name)
            signal.setitimer(signal.ITIMER_PROF, 1 + 10 * took)
            try:
                function()
            except BaseException as e:
                say(f"{name}: {type(e).__name__} {str(e).splitlines()[0] if str(e) else ''}"[:200])
                os._exit(CAUGHT)
    os._exit(SURVIVED)


def try_one(number, items, seconds):
    """(caught, how)."""
    if not items:
        return False, "no item executes it"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)

        def say(text):
            os.write(write, (text.replace("\n", " ") + "\n").encode())

        try:
            child(number, items, seconds, say)
        finally:
            os._exit(CAUGHT)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read().decode(errors="replace").splitlines()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    last = said[-1] if said else ""
    if code == SURVIVED:
        return False, f"{len(said)} items passed"
    return True, last if code == CAUGHT else f"{last}: ended by {signal.Signals(-code).name}"


def main(plan):
    dlx.set_num_threads(1)
    start = time.time()
    items = [item for item in all_items() if re.search(plan.get("items", ""), item[1])]
    good, failed, inapplicable = baseline(items)
    numbers = plan["numbers"]
    everywhere = set(numbers)
    reaching = {n: [] for n in numbers}
    for item in good:
        for n in item[4]:
            if int(n) in everywhere:
                reaching[int(n)].append(item)
    inapplicable = sorted(n for n in inapplicable & everywhere if not reaching[n])
    numbers = [n for n in numbers if n not in inapplicable]
    for name, error in failed:
        print(f"fails unmutated: {name}: {error}")
    unreached = [n for n in numbers if not reaching[n]]
    print(f"no item executes {len(unreached)} mutations", flush=True)
    print(
        f"{len(good)} items, {len(failed)} fail unmutated, {time.time() - start:.0f} s, "
        f"{sum(item[3] for item in good):.0f} s of them on the device",
        flush=True,
    )
    if plan.get("profile"):
        for item in sorted(good, key=lambda i: -i[3])[:30]:
            print(f"{item[3]:.3f} {item[1]}")
    jobs = plan["jobs"]
    parts = [pathlib.Path(f"{plan['result']}.{j}") for j in range(jobs)]
    workers = []
    for j, part in enumerate(parts):
        pid = os.fork()
        if pid == 0:
            with part.open("w") as out:
                for n in numbers[j::jobs]:
                    began = time.time()
                    seconds = plan["seconds"] / (10 if n in plan.get("briefly", ()) else 1)
                    caught, how = try_one(n, in_order(reaching[n]), seconds)
                    line = [n, caught, how, len(reaching[n]), round(time.time() - began, 2)]
                    out.write(json.dumps(line) + "\n")
                    out.flush()
            os._exit(0)
        workers.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in workers)
    rows = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    result = {
        "mutations": {n: [caught, how] for n, caught, how, _, _ in rows},
        "seconds": {n: s for n, _, _, _, s in rows},
        "failed": failed,
        "inapplicable": inapplicable,
    }
    pathlib.Path(plan["result"]).write_text(json.dumps(result))
    for part in parts:
        part.unlink()
    print(f"{time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(json.loads(pathlib.Path(sys.argv[1]).read_text()))
