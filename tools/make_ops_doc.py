"""Writes docs/ops.md: every op with its equation, its files on every floor and its tests.

    python tools/make_ops_doc.py

Nothing in the page is written by hand. Equations are docstrings and the comments of csrc/ops; what
a function runs is what the profiler sees while its rows of tests/cases run, forward and backward.
tests/test_docs.py fails while the page differs from what this makes.
"""

from __future__ import annotations

import importlib
import re

from ops_catalogue import FAMILIES, ROOT, Catalogue, equation_of, module_of, path_of, sentence

PAGE = ROOT / "docs/ops.md"
HEAD = """\
# The ops

Made by `python tools/make_ops_doc.py` from the code: edit docstrings and comments, not this page.

A function of dlx checks its arguments in Python and runs native ops. A native op is a contract and
a kernel in C++ and a twin in plain NumPy that tests hold it to. *Runs* is what the profiler saw
while the cases of a function ran, *gradient* what their backward added to it (where nothing of its
own stands there, the rule is a formula in other ops). *Dtypes* are those of the cases. A number of
cases leads to their file; `pytest tests/test_ops.py -k softmax` runs those of one op. `F` is
`dlx.nn.functional`.
"""
FUNCTIONS = ["function", "equation", "dtypes", "runs", "gradient", "NumPy", "cases"]
NATIVES = ["native op", "computes", "contract", "kernel", "binding", "NumPy", "cases"]
PLUMBING = {"copy", "cast", "fill", "move"}  # runs nearly everywhere
# Beside the ops: title, how its names begin, module.
OTHERS = [
    ("Layers and losses", "nn.", "dlx.nn"),
    ("Initialisers", "nn.init.", "dlx.nn.init"),
    ("Learning rates", "schedules.", "dlx.optim.schedules"),
    ("Models", "models.", "dlx.models"),
    ("Training", "train.", "dlx.train"),
    ("Data", "data.", "dlx.data"),
    ("Derivatives, files, devices, settings", "dlx.", "dlx"),
    ("The generator", "random.", "dlx.random"),
    ("Memory", "memory.", "dlx.memory"),
    ("GPUs", "cuda.", "dlx.cuda"),
]


def link(path, text=""):
    return f"[{text or path.name}](../{path.relative_to(ROOT)})"


def links(paths):
    return " ".join(link(path) for path in paths)


def prose(lines):
    """Lines of text as a cell of a table, where nothing is markup but code between backticks."""
    parts = re.split(r"(`[^`]*`)", "\n".join(lines))
    escaped = [p if p[:1] == "`" else re.sub(r"([\\*_<>~\[\]])", r"\\\1", p) for p in parts]
    return "".join(escaped).replace("|", r"\|").replace("\n", "<br>")


def codes(names):
    return " ".join(f"`{name}`" for name in names)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows] if rows else []
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def twin_cell(twin):
    """Where a twin stands: in dlx.reference, beside its cases, or in NumPy itself."""
    path = twin and path_of(twin.__module__ or "numpy")
    return link(path) if path else "numpy" if twin else ""


def function_row(f):
    return [
        "<br>".join(link(f.path, f"`{name}`") for name in f.shown),
        prose(f.equation),
        f.dtypes(),
        codes(sorted(f.ran - PLUMBING or f.ran)),
        codes(sorted(f.added - PLUMBING)),
        twin_cell(f.twin),
        link(f.cases_path, str(len(f.cases))) if f.cases else "",
    ]


def native_row(native, runs):
    files = [link(native.header), links(native.kernels), links(native.bindings)]
    words = [f"`{native.name}`", prose(native.computes)]
    return [*words, *files, twin_cell(native.twin), str(runs[native.name])]


def family_section(catalogue, family):
    module, functions = module_of(family), catalogue.functions
    path = path_of(module.__name__)
    natives = [n for n in catalogue.natives.values() if n.family(functions) == family]
    about = f"{prose([sentence(module.__doc__)])}: {link(path, str(path.relative_to(ROOT)))}."
    tables = [
        table(FUNCTIONS, [function_row(f) for f in functions if f.family == family]),
        table(NATIVES, [native_row(native, catalogue.runs) for native in natives]),
    ]
    return "\n".join([f"\n## {family}\n\n{about}\n", *filter(None, tables)])


def how_far(test, path):
    """Sorts the tests that name something of `path`: those called like its file, like its folder,
    others; that of all errors last."""
    own = ["surface" if path.stem == "__init__" else path.stem.strip("_"), path.parent.name]
    near = [name in test.stem for name in own]
    return test.stem == "test_errors", (*near, True).index(True), test.name


def other_section(title, prefix, module, listed, tests):
    """The public functions and classes of a module that are in no family, by file."""
    try:
        module = importlib.import_module(module)
    except ModuleNotFoundError:
        return ""
    rows, last = [], module.__name__.rpartition(".")[2]
    for name in module.__all__:
        thing = getattr(module, name)
        if not callable(thing) or f"{module.__name__}.{name}" in listed:
            continue
        path = path_of(getattr(thing, "__module__", None) or "") or path_of(module.__name__)
        distinct = "_" in name or not name.islower()
        spelled = re.compile(rf"\b{name}\b" if distinct else rf"\b{last}\.{name}\b")
        naming = [test for test, text in tests.items() if spelled.search(text)]
        test = [link(min(naming, key=lambda test: how_far(test, path)))] if naming else [""]
        rows.append([str(path), f"`{prefix}{name}`", prose(equation_of(thing)), link(path), *test])
    rows = [row[1:] for row in sorted(rows)]
    return f"\n## {title}\n\n{table(['name', 'what it is', 'file', 'tests'], rows)}"


def page(catalogue):
    listed = {name for f in catalogue.functions for name in f.shown} | {"dlx.random.seed"}
    tests = {path: path.read_text() for path in sorted((ROOT / "tests").glob("test_*.py"))}
    sections = [family_section(catalogue, family) for family in FAMILIES]
    sections += [other_section(*other, listed, tests) for other in OTHERS]
    titles = re.findall(r"^## (.*)$", "\n".join(sections), re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
    index = " · ".join(f"[{title}](#{anchor})" for title, anchor in zip(titles, anchors))
    return "".join([HEAD, f"\n{index}\n", *sections])


if __name__ == "__main__":
    PAGE.write_text(page(Catalogue()))
