"""What `import dlx` loads and what it leaves; its time is in benchmarks/first_minute.py."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

import dlx
from dlx import _core

EDITABLE = any(type(finder).__name__.startswith("ScikitBuild") for finder in sys.meta_path)
installed = pytest.mark.skipif(EDITABLE, reason="an editable install loads what rebuilding needs")


def python(code):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(statement):
    return set(
        python(
            f"import sys; before = set(sys.modules); {statement}; "
            "print(*sorted(set(sys.modules) - before))"
        ).split()
    )


@installed
def test_import_loads_dlx_and_next_to_nothing_else():
    others = {name for name in loaded_by("import dlx") if name.split(".")[0] != "dlx"}
    assert others <= {"__future__", "heapq", "_heapq"}  # heapq: the order of autodiff's walk


@installed
@pytest.mark.parametrize(
    "module", ["typing", "json", "pathlib", "re", "dataclasses", "functools", "inspect", "numpy"]
)
def test_import_loads_no_heavy_module(module):
    assert module not in loaded_by("import dlx")


@installed
@pytest.mark.parametrize("module", ["typing", "json", "re", "dataclasses", "inspect", "numpy"])
def test_layers_and_optimizers_load_no_heavy_module(module):
    assert module not in loaded_by("from dlx import nn, optim")


def test_schedules_load_at_first_use():
    first = "from dlx import optim; rate = optim.schedules.step(0.1, every=1)"
    assert "dlx.optim.schedules" in loaded_by(first)
    assert "dlx.optim.schedules" in loaded_by("from dlx.optim import schedules")


def test_import_loads_no_lazy_submodule():
    lazy = {"nn", "optim", "data", "train", "interop", "models", "reference", "testing", "cli"}
    assert loaded_by("import dlx") & {f"dlx.{name}" for name in lazy} == set()


@pytest.mark.parametrize(
    "name",
    ["nn", "optim", "data", "train", "interop", "models", "reference", "testing"]
    + ["random", "memory"],
)
def test_a_lazy_submodule_loads_first_or_by_attribute(name):
    """In whichever order a user meets the modules, no cycle of imports shows."""
    python(f"import dlx.{name}")
    assert f"dlx.{name}" in loaded_by(f"import dlx; dlx.{name}")


def test_a_training_step_needs_no_numpy():
    step = """
import sys
sys.modules["numpy"] = None  # importing it raises
import dlx
from dlx import nn, optim
model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
opt = optim.SGD(model.parameters(), lr=0.1)
x, y = dlx.tensor([[0.0, 1.0], [1.0, 0.5]]), dlx.tensor([0, 1])
nn.functional.cross_entropy(model(x), y).backward()
opt.step()
print(model(x).tolist())
"""
    assert len(ast.literal_eval(python(step))) == 2


def test_types_are_installed():
    """py.typed beside the package, and a stub that names all that the module holds."""
    assert pathlib.Path(dlx.__file__).with_name("py.typed").exists()
    tree = ast.parse(pathlib.Path(_core.__file__).with_name("_core.pyi").read_text())
    named = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    public = {name for name in vars(_core) if not name.startswith("_")}
    assert public - named == set()
