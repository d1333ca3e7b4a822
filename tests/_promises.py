"""What test_promises.py measures, each in a process of its own: python _promises.py NAME HOOK ...

Prints one JSON value. HOOK names the context manager of dlx.testing to run under, or is "none".
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time

import dlx
from dlx import nn, optim


def make_model(width=64, inputs=64):
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 10))


def weights(seed, threads):
    """The weight hash after an epoch on this many threads, from a seed.

    A batch is large enough that loss and bias gradients are sums over several chunks.
    """
    dlx.set_num_threads(int(threads))
    dlx.seed(int(seed))
    x = dlx.random.normal((8192, 64))
    y = dlx.random.randint(0, 10, (8192,))
    model = make_model()
    model.compile(optimizer="adam", lr=1e-2, loss="cross_entropy")
    model.fit(x, y, batch_size=4096, epochs=2, verbose=0)
    with dlx.testing.forced_grain(1000):
        model.fit(x, y, batch_size=4096, epochs=1, verbose=0)
    return dlx.testing.weight_hash(model)


def resident_mib():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def resident_growth():
    """MiB that `fit` calls 101 to 1000 add to the resident memory."""
    x, y = dlx.random.normal((32, 64)), dlx.random.randint(0, 10, (32,))
    model = make_model()
    model.compile(optimizer="adam", loss="cross_entropy", metrics=["accuracy"])
    for call in range(1, 1001):
        model.fit(x, y, batch_size=16, epochs=1, verbose=0)
        if call == 100:
            before = resident_mib()
    return resident_mib() - before


def peak_growth():
    """Bytes that 100 training steps add to the allocator's peak, without the garbage collector."""
    x, y = dlx.random.normal((32, 64)), dlx.random.randint(0, 10, (32,))
    model = make_model()
    optimizer = optim.Adam(model.parameters())
    gc.disable()

    def steps(n):
        for _ in range(n):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return dlx.memory.stats()["peak_bytes"]

    return -steps(3) + steps(100)


def several_workers():
    """Whether more than one thread ever takes part in a large sum; its value must be right."""
    x = dlx.ones((1 << 21,))
    for _ in range(200):
        assert (x + x).sum().item() == 2 << 21
        with dlx.testing.forced_grain(1000):
            y = x * 3.0
        if dlx.testing.workers_used() >= 2:
            assert y.sum().item() == 3 << 21
            return True
    return False


def fork():
    """[in the child, in the parent]: whether several threads work after os.fork()."""
    dlx.set_num_threads(2)
    assert several_workers()  # the parent's workers live
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        worked = b"0"
        try:
            worked = str(int(several_workers())).encode()
        finally:
            os.write(writable, worked)
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        in_child = pipe.read()
    os.waitpid(child, 0)
    return [in_child == "1", several_workers()]


def idle_load():
    """Seconds of CPU time per second that the process takes while it has nothing to do."""
    dlx.set_num_threads(2)
    assert several_workers()
    wall, cpu = time.perf_counter(), time.process_time()
    time.sleep(0.5)
    return (time.process_time() - cpu) / (time.perf_counter() - wall)


def main(name, hook, *arguments):
    broken = contextlib.nullcontext() if hook == "none" else getattr(dlx.testing, hook)()
    with broken:
        print(json.dumps(globals()[name](*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
