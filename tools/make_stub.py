"""Writes _core.pyi, the types of dlx._core, beside the module just linked (called by CMake).

    python tools/make_stub.py build/_core.cpython-311-x86_64-linux-gnu.so

The module is loaded as dlx._core inside an empty package `dlx`, so that the stub does not depend on
the Python half of dlx nor on a copy installed elsewhere.
"""

from __future__ import annotations

import importlib.util
import inspect
import pathlib
import re
import sys
import tempfile
import types


def with_attributes(stub: str, name: str, kind: type) -> str:
    """With the C attributes, which pybind11-stubgen leaves out; their docs are "type: meaning"."""
    lines = ""
    for attribute, descriptor in vars(kind).items():
        if inspect.isgetsetdescriptor(descriptor) and not attribute.startswith("__"):
            annotation, _, meaning = descriptor.__doc__.partition(": ")
            lines += f'    {attribute}: {annotation}\n    """{meaning}"""\n'
    head = rf'class {name}:\n    """.*?"""\n'
    return re.sub(head, lambda match: match[0] + lines, stub, count=1, flags=re.DOTALL)


def make_stub(library: pathlib.Path) -> None:
    from pybind11_stubgen import main

    package = sys.modules["dlx"] = types.ModuleType("dlx")
    package.__path__ = []
    for name, kind in (("_tensor", "Tensor"), ("_dtype", "DType")):  # what signatures name
        module = sys.modules[f"dlx.{name}"] = types.ModuleType(f"dlx.{name}")
        setattr(package, name, module)
        setattr(module, kind, type(kind, (), {"__module__": f"dlx.{name}"}))

    spec = importlib.util.spec_from_file_location("dlx._core", library)
    core = sys.modules["dlx._core"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(core)
    with tempfile.TemporaryDirectory() as folder:
        main(["dlx._core", "--exit-code", "-o", folder])
        stub = pathlib.Path(folder, "dlx", "_core.pyi").read_text()
    for name, kind in inspect.getmembers(core, inspect.isclass):
        stub = with_attributes(stub, name, kind)
    library.with_name("_core.pyi").write_text(stub)


if __name__ == "__main__":
    if importlib.util.find_spec("pybind11_stubgen") is None:
        print("pybind11-stubgen is not installed: no _core.pyi")
    else:
        make_stub(pathlib.Path(sys.argv[1]))
