"""A stranger's first minute: what importing dlx and a first training step cost, and what it weighs.

    python benchmarks/first_minute.py

Medians of 15 fresh processes, all kinds taking turns, less the median of bare Python: imports up to
the end of the process (`python -c pass`), the first step up to the moment it is done. dlx reads
its digits from the wheel; PyTorch, where installed, gets random numbers of the same shape. Prints
a Markdown table.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import re
import statistics
import subprocess
import sys
import time
import zipfile

import dlx
from dlx.cli import cpu_name

ROUNDS = 15

DLX_STEP = """
import dlx
from dlx import nn, optim
(x, y), _ = dlx.data.digits()
x, y = x[:32], y[:32]
"""
TORCH_STEP = """
import torch
from torch import nn, optim
x, y = torch.rand(32, 1, 8, 8), torch.randint(0, 10, (32,))
"""
STEP = """
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
opt = optim.Adam(model.parameters(), lr=1e-3)
loss = nn.functional.cross_entropy(model(x), y)
opt.zero_grad()
loss.backward()
opt.step()
"""
CLOCK = "\nimport time; print(time.perf_counter())"  # one clock for all processes of the machine
MODULES = "import sys; import {}; print(len(sys.modules), 'numpy' in sys.modules)"


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, check=True
    ).stdout.decode()


def until_exit(code):
    start = time.perf_counter()
    python(code)
    return time.perf_counter() - start


def until_printed(code):
    start = time.perf_counter()
    return float(python(code + CLOCK)) - start


def medians(programs):
    """{name: seconds} of {name: (clock, code)}; the first round warms the disk cache."""
    seconds = {name: [] for name in programs}
    for _ in range(ROUNDS + 1):
        for name, (clock, code) in programs.items():
            seconds[name].append(clock(code))
    return {name: statistics.median(s[1:]) for name, s in seconds.items()}


def files_of(distribution):
    """The installed files that came in the wheel."""
    files = importlib.metadata.files(distribution) or []
    paths = [path.locate() for path in files if path.suffix != ".pyc"]
    return [path for path in paths if path.is_file()]


def with_dependencies(distribution, seen=None):
    """A distribution and what it needs, as far as it is installed."""
    seen = set() if seen is None else seen
    name = re.sub(r"[-_.]+", "-", distribution).lower()
    if name in seen:
        return seen
    try:
        requirements = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return seen
    seen.add(name)
    for requirement in requirements:
        if "extra ==" not in requirement:
            with_dependencies(re.match(r"[\w.-]+", requirement)[0], seen)
    return seen


def size(distributions):
    return sum(path.stat().st_size for d in distributions for path in files_of(d))


def wheel_size(distribution):
    """A wheel is a zip of the installed files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files_of(distribution):
            archive.write(path)
    return buffer.tell()


def main():
    names = ["dlx"] + (["torch"] if importlib.util.find_spec("torch") else [])
    step = {"dlx": DLX_STEP + STEP, "torch": TORCH_STEP + STEP}
    programs = {"pass": (until_exit, "pass"), "bare": (until_printed, "")}
    for name in names:
        programs[f"import {name}"] = (until_exit, f"import {name}")
        programs[f"step {name}"] = (until_printed, step[name])
    took = medians(programs)
    modules = {name: python(MODULES.format(name)).split() for name in names}

    def row(title, cell):
        print(f"| {title} | " + " | ".join(cell(name) for name in names) + " |")

    def milliseconds(seconds):
        return f"{1e3 * seconds:.{0 if seconds > 0.1 else 1}f} ms"

    def megabytes(count):
        return f"{count / 1e6:.{0 if count > 1e8 else 1}f} MB"

    print(
        f"{cpu_name()}, {dlx.get_num_threads()} threads, Python {sys.version.split()[0]}; ", end=""
    )
    print(f"bare Python takes {milliseconds(took['pass'])}\n")
    titles = [f"{name} {importlib.metadata.version(name)}" for name in names]
    print(f"| | {' | '.join(titles)} |\n|---|{'---:|' * len(names)}")
    row("import", lambda name: milliseconds(took[f"import {name}"] - took["pass"]))
    row(
        "process start to end of first step",
        lambda n: milliseconds(took[f"step {n}"] - took["bare"]),
    )
    row("modules loaded by the import", lambda name: modules[name][0])
    row("NumPy among them", lambda name: "yes" if modules[name][1] == "True" else "no")
    row("wheel", lambda name: megabytes(wheel_size(name)) if name == "dlx" else "")
    row("installed", lambda name: megabytes(size([name])))
    row("installed with dependencies", lambda name: megabytes(size(with_dependencies(name))))


if __name__ == "__main__":
    main()
