"""What docs/ops.md lists, as make_ops_doc.py writes it: the functions and native ops of dlx, with
the words, files and cases that belong to each.
"""

from __future__ import annotations

import collections
import importlib
import inspect
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

import cases
import dlx
from _check import Problem, to_tensor
from dlx import reference

ROOT = pathlib.Path(__file__).resolve().parents[1]
FAMILIES = sorted(path.stem for path in (ROOT / "python/dlx/ops").glob("[!_]*.py"))
FAMILIES.append("optim")
DTYPES = ("float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8", "bool")
UNDEFINED = {"empty", "empty_like"}  # what they hold: no case can say it
ROW = re.compile(r'struct \w+ : Row<"(\w+)".*?apply\(([^)]*)\) \{(.*?)\}\s*\};', re.DOTALL)
OP = re.compile(r"((?://[^\n]*\n)*)(?:inline )?constexpr Op (\w+)(?: =|\{)")


def module_of(family):
    return importlib.import_module("dlx.optim" if family == "optim" else f"dlx.ops.{family}")


def path_of(module):
    """The file of a module of dlx or of the cases, by its name; None for another's."""
    top = "python" if module.partition(".")[0] == "dlx" else "tests"
    base = ROOT / top / module.replace(".", "/")
    found = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return found if found.exists() else None


def sentence(text):
    """The first sentence, whose end is not the dot of "et al.", "S. Ioffe" or "dy . dx"."""
    text = " ".join(text.split())
    match = re.match(r".*?(?<! al)(?<!\b[A-Z])(?<=[^\s.])\.(?= [A-Za-z(`]|$)", text)
    return (match[0] if match else text).rstrip(".")


def equation_of(thing):
    """Lines: the first sentence of a docstring, the equation that follows it at once, the indented
    lines that it announces."""
    first, *rest = (inspect.getdoc(thing) or "").split("\n\n")
    said = sentence(first)
    next_one = sentence(" ".join(first.split())[len(said) + 2 :])
    rows = rest[0].splitlines() if first.endswith(":") and rest else []
    rows = [next_one] * bool(re.match(r"\S+ = ", next_one)) + rows
    return [said, *(" ".join(row.split()) for row in rows)]


class Function:
    """A public function, or an optimizer."""

    def __init__(self, family, name, shown, thing, ops):
        self.family, self.name, self.shown, self.equation = family, name, shown, equation_of(thing)
        self.cases = [case for case in cases.CASES if case.op in ops]
        where = [m.__name__ for m in cases.FAMILIES if any(c in m.CASES for c in self.cases)]
        self.cases_path = path_of(where[0]) if where else None
        module = getattr(thing, "__module__", None) or ""  # none: a function of C
        self.path = path_of(module) if module.startswith("dlx.") else None
        self.path = self.path or path_of(module_of(family).__name__)
        twin = reference.twins.get(name, reference.twins.get(name.lower()))
        self.twin = twin or next((case.twin for case in self.cases if case.twin), None)

    def dtypes(self):
        covered = {dtype for case in self.cases for dtype in case.dtypes}
        if any(case.takes_dtype or any(i.floating for i in case.inputs) for case in self.cases):
            covered |= {"float32", "float64"}
        missing = tuple(dtype for dtype in DTYPES if dtype not in covered)
        named = {(): "all", ("bool",): "all but bool", DTYPES[4:]: "floating"}
        return named.get(missing, ", ".join(d for d in DTYPES if d in covered))


def functions():
    """Those of dlx and nn.functional, by families of dlx.ops; then what dlx.random draws and the
    optimizers."""
    for family in FAMILIES[:-1]:
        for name in module_of(family).__all__:
            places = [("dlx", dlx), ("F", dlx.nn.functional)]
            places = [(short, place) for short, place in places if name in place.__all__]
            if places:
                shown = [f"{short}.{name}" for short, _ in places]
                thing = getattr(places[0][1], name)
                yield Function(family, name, shown, thing, {name, f"nn.functional.{name}"})
    ops = {case.op for case in cases.CASES}
    for family in ("random", "optim"):
        for name in getattr(dlx, family).__all__:
            if f"{family}.{name}" in ops:
                op, thing = f"{family}.{name}", getattr(getattr(dlx, family), name)
                yield Function(family, name, [f"dlx.{op}"], thing, {op})


class Native:
    """A native op: what it computes and its files."""

    def __init__(self, name, header, computes):
        self.name, self.header, self.computes = name, header, computes
        stem = "map" if header.stem == "pointwise" else header.stem
        host, kernel = header.with_name(f"{stem}.cc"), header.with_name(f"{stem}.kernel.cc")
        texts = "".join(path.read_text() for path in (header, host) if path.exists())
        tables = dict.fromkeys(re.findall(r'#include "ops/(\w+)_table\.h"', texts))
        shared = [header.with_name(f"{table}.kernel.cc") for table in tables]
        kernels = [kernel] if kernel.exists() else shared
        self.kernels = [path for path in (host, *kernels) if path.exists()]
        self.twin = reference.twins.get(name)
        use = re.compile(r"\bMapShape\b" if header.stem == "pointwise" else rf"\bops::{name}\b")
        bindings = sorted((ROOT / "csrc/bindings").glob("*.cc"))
        self.bindings = [path for path in bindings if use.search(path.read_text())]

    def family(self, functions):
        """That of the function whose name it continues, else that of its twin."""
        named = [f for f in functions if f"{self.name}_".startswith(f"{f.name}_")]
        if named:
            return max(named, key=lambda f: len(f.name)).family
        return self.twin.__module__.rpartition(".")[2] if self.twin else ""


OF_PROGRAMS = {
    "fused",
    "fused_reduce",
    "batch_norm_apply",
}  # no function runs them: dlx.jit makes them


def comment(text):
    return " ".join(line.removeprefix("//").strip() for line in text.splitlines())


def formula(name, arguments, body):
    """A row of pointwise.h with less of C++ around it."""
    body = re.sub(r"//.*|const T |return |math::|static_cast<T>|\bT(?=\()", "", body)
    body = re.sub(r"(?<!\w)\((-?[\d.]+(?:e-?\d+)?)\)", r"\1", body.replace("T{}", "0"))
    *before, value = [" ".join(part.split()) for part in body.split(";") if part.strip()]
    value += f" where {', '.join(before)}" * bool(before)
    return f"`{name}({re.sub(r'(?:T|bool) ', '', arguments)}) = {value}`"


def native_ops():
    for header in sorted((ROOT / "csrc/ops").glob("*.h")):
        text = header.read_text()
        for row in ROW.findall(text) if header.stem == "pointwise" else ():
            yield Native(row[0], header, [formula(*row)])
        top = comment(re.match(r"(?://[^\n]*\n)*", text)[0])
        own = ""
        for op in OP.finditer(text):
            if op[2] in OF_PROGRAMS:
                continue
            name, follows = op[2], text[: op.start()].endswith(";\n")
            own = comment(op[1]) or own * follows  # a group shares one comment
            twin = inspect.getdoc(reference.twins[name]) if name in reference.twins else ""
            if name.endswith("_backward") and not twin:
                twin = f"The gradient of {name.removesuffix('_backward')}"
            said = f"{sentence(twin or top)}. {own}".removesuffix(". ")
            yield Native(name, header, [own if "=" in own else said])


def watch():
    """(forward, backward): for the id of each case, the native ops that run, and those that
    backward adds to them."""
    forward, backward = {}, {}
    for case in cases.CASES:
        tensors = [to_tensor(array, "cpu") for array in case.arrays("float32")]
        with dlx.profile() as profile:
            case.run(*tensors)
        forward[case.id], backward[case.id] = {row.name for row in profile}, set()
        if case.differentiable:
            problem = Problem(case, "cpu", "float32")
            with dlx.profile() as profile:
                problem.gradients()
            backward[case.id] = {row.name for row in profile} - forward[case.id]
    return forward, backward


class Catalogue:
    """All functions and native ops, and what ran in their cases."""

    def __init__(self):
        self.functions = list(functions())
        self.natives = {native.name: native for native in native_ops()}
        for function in self.functions:  # the words of the docstring, where there is one
            if function.name in self.natives:
                self.natives[function.name].computes = function.equation
        forward, backward = watch()
        self.runs = collections.Counter()  # of each native op: the cases
        for case in cases.CASES:
            self.runs.update(forward[case.id] | backward[case.id])
        for f in self.functions:
            f.ran = set().union(*(forward[case.id] for case in f.cases))
            f.added = set().union(*(backward[case.id] for case in f.cases)) - f.ran

    def problems(self):
        """What an op lacks, as sentences."""
        shown = {name for f in self.functions for name in f.shown}
        for name in dlx.nn.functional.__all__:
            if f"F.{name}" not in shown:
                yield f"F.{name}: in the __all__ of no file of dlx/ops"
        for f in self.functions:
            if not f.equation[0]:
                yield f"{f.shown[0]}: no equation, the first sentence of its docstring"
            if f.name in UNDEFINED:
                continue
            if not f.cases:
                yield f"{f.shown[0]}: no case in tests/cases"
            elif not f.twin:
                yield f"{f.shown[0]}: no twin in python/dlx/reference"
        for native in self.natives.values():
            lacks = {
                "equation: a comment above its Op": not native.computes[0],
                "twin in python/dlx/reference": not native.twin,
                "case in tests/cases that runs it": not self.runs[native.name],
                "kernel beside it": not native.kernels,
                "binding": not native.bindings,
                "family": native.family(self.functions) not in FAMILIES,
            }
            for what in (what for what, true in lacks.items() if true):
                yield f"{native.name} of {native.header.relative_to(ROOT)}: no {what}"
