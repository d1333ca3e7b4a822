"""The `dlx` command: info, demo, bench."""

from __future__ import annotations

import argparse
import os
import sys

__all__ = ["cpu_name", "demo_model", "main"]


def main(argv=None):
    """Run the command with these arguments (those of the process by default); the exit status."""
    parser = argparse.ArgumentParser(prog="dlx", description="dlx, a deep-learning framework")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    commands.add_parser("info", help="what dlx found on this machine, and what not")

    demo = commands.add_parser("demo", help="train a LeNet on real digits, offline, in seconds")
    demo.add_argument("--seed", type=int, default=0, help="of weights, dropout, order (default 0)")
    demo.add_argument("--epochs", type=_positive, default=20, help="default 20")
    demo.add_argument("--threads", type=_threads, help="default: the CPUs at hand")

    bench = commands.add_parser("bench", help="speed beside this machine's limits and PyTorch")
    bench.add_argument("--threads", type=_threads, help="default: the CPUs at hand")
    bench.add_argument("--only", default="", metavar="TEXT", help="rows with TEXT in their names")
    bench.add_argument("--rounds", type=_positive, default=7, help="turns of a rival (default 7)")
    bench.add_argument("--full", action="store_true", help="also shapes drawn anew in each run")
    bench.add_argument("--seed", type=int, help="of those shapes; default: another one each time")
    bench.add_argument("--save", metavar="DIR", help="write cpu.txt, cpu.json and cpu.svg there")

    options = parser.parse_args(argv)
    try:
        {"info": _info, "demo": _demo, "bench": _bench}[options.command](options)
    except BrokenPipeError:  # `dlx demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def _threads(text):
    value = _positive(text)
    if value > 256:
        raise argparse.ArgumentTypeError(f"expected at most 256, got {value}")
    return value


def _demo(options):
    import dlx
    from dlx import nn
    from dlx.testing import weight_hash

    if options.threads:
        dlx.set_num_threads(options.threads)
    dlx.seed(options.seed)
    (x, y), (xt, yt) = dlx.data.digits()
    model = demo_model(nn)
    steps = options.epochs * -(-len(x) // 32)
    rate = dlx.optim.schedules.linear(3e-3, final=0.0, steps=steps)
    model.compile(optimizer="adam", lr=rate, loss="cross_entropy", metrics=["accuracy"])
    model.summary(x.shape[1:])
    model.fit(x, y, batch_size=32, epochs=options.epochs, validation_data=(xt, yt))
    accuracy = model.evaluate(xt, yt)["accuracy"]
    print(f"test accuracy: {100 * accuracy:.2f} %")
    print(f"weights: {weight_hash(model)}")


def demo_model(nn):
    """The demo's LeNet for 8 x 8 images, of dlx.nn or of torch.nn: (N, 1, 8, 8) -> (N, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * 2 * 2, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def _bench(options):
    import dlx
    from dlx._bench import main as bench

    if options.threads:
        dlx.set_num_threads(options.threads)
    o = options
    bench(o.only, o.rounds, o.full, o.seed, o.save)


def _info(options):
    import platform

    import dlx
    from dlx import _core

    rows = [
        ("dlx", f"{dlx.__version__}, {os.path.dirname(dlx.__file__)}"),
        ("Python", f"{platform.python_version()}, {sys.executable}"),
        ("system", f"{platform.system()} {platform.release()}, {cpu_name()}"),
        ("kernels", _isa(_core)),
        ("threads", _thread_reason(_core)),
        ("memory", _memory(dlx)),
        ("NumPy", _version("numpy", "not found: pip install numpy")),
        ("PyTorch", _version("torch", "not found (only `dlx bench` would use it)")),
        ("GPU", _cuda(_core)),
        *_gpus(dlx),
    ]
    for name, text in rows:
        print(f"{name:<9}{text}")


def cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def _isa(core):
    asked, best = os.environ.get("DLX_ISA"), core.best_isa()
    if asked:
        return f"{core.isa()}, asked for by DLX_ISA (this CPU runs up to {best})"
    return f"{best}, the best this CPU runs; DLX_ISA=portable|x86-64-v2|avx2|avx512 chooses"


def _thread_reason(core):
    count = core.num_threads()
    if os.environ.get("DLX_NUM_THREADS"):
        return f"{count}, asked for by DLX_NUM_THREADS"
    allowed = len(os.sched_getaffinity(0))
    quota = _quota()
    limit = "no cgroup quota" if quota is None else f"cgroup quota {quota:g} CPUs"
    return f"{count}: {allowed} of {os.cpu_count()} CPUs allowed by affinity, {limit}"


def _quota():
    """CPUs that the cgroup (version 2, then 1) grants, or None."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as file:
            quota = int(file.read())
        with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as file:
            return None if quota < 0 else quota / int(file.read())
    except (OSError, ValueError):
        return None


def _memory(dlx):
    stats = dlx.memory.stats()
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled") as file:
            pages = file.read().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        pages = "unknown"
    live, cached = stats["live_bytes"], stats["cached_bytes"]
    return f"caching allocator, {live:,} bytes live, {cached:,} cached; huge pages: {pages}"


def _version(package, missing):
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return missing


def _cuda(core):
    built = core.cuda_built_for()
    if not built:
        return f"not used: this build of dlx has CPU kernels only ({_driver()})"
    count = core.cuda_device_count()
    found = f"{count} GPU{'s' if count > 1 else ''}" if count else f"no GPU: {core.cuda_missing()}"
    return f"built for {built}; {found}"


def _driver():
    there = os.path.exists("/proc/driver/nvidia")
    return "an NVIDIA driver is loaded: DLX_CUDA=ON builds for it" if there else "no NVIDIA driver"


def _gpus(dlx):
    rows = []
    for index in range(dlx.cuda.device_count()):
        name, memory, capability = dlx._core.cuda_properties(index)
        rows.append((f"cuda:{index}", f"{name}, {memory >> 20:,} MiB, capability {capability}"))
    return rows
