"""Finds one-line mutations of the CUDA sources, the mistakes that their authors make: a barrier or
a guard that is missing, a bound or an index off by one, operators, initial values and strides mixed
up. `instrument` writes copies of the files that hold all of them, chosen at run time (mutant.h).
"""

from __future__ import annotations

import hashlib
import pathlib
import re
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[3]
MOST_PER_LINE = 2
# Lines that no run-time choice can change: declarations, what the compiler evaluates.
SKIPPED = re.compile(
    r"^\s*(#|//|template\b|using\b|static_assert|case\b|default:|switch\b|struct\b|class\b|enum\b"
    r"|namespace\b|public:|private:|extern\b|requires\b)|\bconstexpr\b|\boperator\b|DLX_SHARED"
    r"|\(&\w+\)\["  # references to arrays
    r"|^\s*(const |typename )?[\w:]+(<.*>|\(.*\))?[*&]* (\w+(\[[^\]]*\])+(, )?)+(;| =)"  # arrays of
    # a fixed length
    r'|DLX_DYNAMIC_SHARED|\bsizeof\b.*\[|"|__launch_bounds__|__align__|\bstatic\b|\bassert\('
)
# What only chooses how work is laid out, in how many blocks, by which tiles, in teams of how many
# threads. Kernels are right for any answer; another one is slower, no mistake: left alone are the
# bodies of these functions,
LAYOUT = re.compile(
    r"^( *)(static |inline |constexpr |__host__ |__device__ )*\w+ (teams_for|lanes_for|make_plan"
    r"|plan_tiles|filled|is_direct|sums_directly|chunk_length|plan_reduction|plan_scan|cut_depth"
    r"|access_of)\("
)
# but for these lines of them: the parts of a sum have to cover it, wide accesses to fit,
NO_LAYOUT = re.compile(r"^ *(p\.length|p\.parts|x\.wide_\w|const int64_t length) = |^ *:|return {")
# and the arguments of these (of for_each_item's kernels, where a thread takes items until none is
# left).
LAYOUT_CALL = re.compile(r"(?<![.\w])(teams_for|lanes_for|blocks_for|grid_of)\(")
# Markers of mutant.h, by operator.
MARKERS = {
    "<": ("Less", "<=", "<", ">"),
    "<=": ("LessEqual", "<", "<", ">"),
    ">": ("Greater", ">=", "<", ">"),
    ">=": ("GreaterEqual", ">", "<", ">"),
    "==": ("Equal", "!=", "==", "=="),
    "!=": ("NotEqual", "==", "==", "=="),
    "+": ("Plus", "-", "+", "+"),
    "-": ("Minus", "+", "+", "+"),
    "*": ("Times", "+", "*", "*"),
    "/": ("Over", "*", "*", "*"),
    "%": ("Modulo", "/", "*", "*"),
    "&": ("And", "|", "&", "&"),
}
# Members that an author may take for each other.
PAIRS = [
    ("x_stride", "y_stride"),
    ("rows", "columns"),
    ("stride_h", "stride_w"),
    ("padding_h", "padding_w"),
    ("h", "w"),
    ("p", "q"),
    ("r", "s"),
    ("H", "W"),
    ("P", "Q"),
    ("R", "S"),
    ("inner", "outer"),
    ("lda", "ldb"),
]
BARRIER = re.compile(r"^\s*\w*(sync|wait|barrier|fence|commit)\w*(<\w+>)?\(.*\);$")
STORE = re.compile(r"^\s*[\w.>*()-]*(\[.*\])?[\w.]* ([-+*/|&^]|<<|>>)?= .*;$")
ORDER = ("barrier", "guard", "mask", "bound", "swap", "start", "index", "operator", "store")


@dataclass(frozen=True)
class Edit:
    """Texts put in at columns of the line; `cut` columns are left out behind the first."""

    kind: str
    puts: tuple[tuple[int, str], ...]  # {id} stands for the mutation's number
    cut: int
    mutated: str  # the line as an author would have written it


@dataclass(frozen=True)
class Mutation:
    file: str
    line: int  # from 1
    kind: str
    original: str
    mutated: str
    edit: Edit
    repeat: int  # how many of the same key stand above it

    @property
    def key(self) -> str:
        """The same as long as its line is."""
        again = f" #{self.repeat + 1}" if self.repeat else ""
        return f"{self.file}: {self.original} -> {self.mutated}{again}"

    @property
    def rank(self) -> str:
        return hashlib.sha1(self.key.encode()).hexdigest()


def closing(text, start):
    """Index of the bracket that closes the one at `start`; -1: on another line."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i
    return -1


def operand_end(text, start):
    """Where the right operand of && that begins at `start` ends; -1: on another line."""
    depth = 0
    for i in range(start, len(text)):
        if (text[i] in ")]},;?" and depth == 0) or (text[i : i + 2] in ("&&", "||") and depth == 0):
            return i
        depth += (text[i] in "([{") - (text[i] in ")]}")
    return -1


def put(code, at, cut, text):
    return code[:at] + text + code[at + cut :]


def guards(code):
    for m in re.finditer(r"\bif \(", code):
        start = m.end()
        end = closing(code, start - 1)
        condition = code[start:end]
        if end < 0 or ";" in condition or re.search(r"(?<![=<>!])=(?!=)", condition):
            continue
        leaves = re.match(r"\)\s*(return|continue|break)\b", code[end:])
        word = "!mutants::on({id}) && (" if leaves else "mutants::on({id}) || ("
        mutated = put(code, start, end - start, "false" if leaves else "true")
        yield Edit("guard", ((start, word), (end, ")")), 0, mutated)
    for m in re.finditer(r" \? ", code):
        mutated = put(code, m.start(), 3, " || true ? ")
        yield Edit("guard", ((m.start(), " || mutants::on({id})"),), 0, mutated)


def masks(code):
    for m in re.finditer(r" && ", code):
        end = operand_end(code, m.end())
        if end > 0:
            puts = ((m.end(), "(mutants::on({id}) || ("), (end, "))"))
            yield Edit("mask", puts, 0, code[: m.start()] + code[end:])
    for m in re.finditer(r"~0u\b", code):
        text = "(mutants::on({id}) ? 0xffffu : ~0u)"
        yield Edit("mask", ((m.start(), text),), 3, put(code, m.start(), 3, "0xffffu"))


def operators(code):
    for m in re.finditer(r"(?<=[\w)\]}]) ([<>=!]=|[-+*/%&<>]) (?=[\w(~!*-])", code):
        name, other, left, right = MARKERS[m[1]]
        marker = f" {left} mutants::{name}{{{{{{id}}}}}} {right} "
        kind = "bound" if m[1] in ("<", "<=", ">", ">=", "==", "!=") else "operator"
        mutated = put(code, m.start(), len(m[0]), f" {other} ")
        yield Edit(kind, ((m.start(), marker),), len(m[0]), mutated)


def swaps(code, text):
    for a, b in PAIRS:
        for old, new in ((a, b), (b, a)):
            if not re.search(rf"\.{new}\b", text):
                continue
            for m in re.finditer(rf"\b(\w+(?:\.|->)){old}\b(?!\()", code):
                other = m[1] + new
                choice = f"(mutants::on({{id}}) ? {other} : {m[0]})"
                mutated = put(code, m.start(), len(m[0]), other)
                yield Edit("swap", ((m.start(), choice),), len(m[0]), mutated)


def starts(code):
    for m in re.finditer(r" = (-?\d+(?:\.\d*)?f?)(?=[;,)])", code):
        mutated = put(code, m.end(), 0, " + 1")
        yield Edit("start", ((m.end(), " + mutants::one({id})"),), 0, mutated)
    for m in re.finditer(r" = (true|false)(?=[;,)])", code):
        choice = f" = mutants::on({{id}}) != {m[1]}"
        mutated = put(code, m.start(1), len(m[1]), "false" if m[1] == "true" else "true")
        yield Edit("start", ((m.start(), choice),), len(m[0]), mutated)


def indices(code):
    for m in re.finditer(r"(?<=[\w)\]])\[", code):
        end = closing(code, m.start())
        inside = code[m.end() : end]
        if end > 0 and inside and inside[0] not in "&=":
            puts = ((m.end(), "("), (end, ") + mutants::one({id})"))
            yield Edit("index", puts, 0, put(code, end, 0, " + 1"))


def statements(code, before):
    """Of a line that is one statement: `before` is the code above it."""
    start = len(code) - len(code.lstrip())
    if before.rstrip()[-1:] not in ("", ";", "{", "}", ")", ":") or closing(f"({code})", 0) < 0:
        return
    puts = ((start, "{{ if (!mutants::on({id})) {{ "), (len(code), " }} }}"))
    if BARRIER.match(code):
        yield Edit("barrier", puts, 0, code[:start] + ";")
    elif STORE.match(code):
        yield Edit("store", puts, 0, code[:start] + ";")


def layout_columns(code):
    columns = set()
    for m in re.finditer(LAYOUT_CALL, code):
        end = closing(code, m.end() - 1)
        columns.update(range(m.end(), end if end > 0 else len(code)))
    return columns


def edits_of(code, text, before=""):
    found = [
        *statements(code, before),
        *guards(code),
        *masks(code),
        *operators(code),
        *swaps(code, text),
        *starts(code),
        *indices(code),
    ]
    # The most telling kinds first; among equals, by a hash: no column is preferred.
    found.sort(key=lambda e: (ORDER.index(e.kind), hashlib.sha1(e.mutated.encode()).digest()))
    chosen, columns = [], layout_columns(code)
    for edit in found:
        at = {column for column, _ in edit.puts}
        if not at & columns and all(edit.kind != c.kind for c in chosen):
            chosen.append(edit)
            columns |= at
    return chosen[:MOST_PER_LINE]


def sources(root=ROOT):
    """All of cuda/ but what only a GPU runs."""
    files = [
        path
        for folder in ("core", "gemm", "ops")
        for path in sorted((root / "cuda" / folder).glob("*"))
        if path.suffix in (".cu", ".h")
    ]
    of_nvcc = ("runtime.cu", "ptx.h", "device.h", "launch_grid.h")
    return [p for p in files if p.name not in of_nvcc]


def mutations(root=ROOT):
    found = []
    for path in sources(root):
        text = path.read_text()
        seen, before, layout = {}, "", ""
        for number, line in enumerate(text.splitlines(), 1):
            code = re.sub(r"\s*//.*", "", line)
            if not code.strip():
                continue
            above, before = before, code
            if (match := LAYOUT.search(code)) and code[-1] != ";":
                layout = match[1] + "}" if code[-1] != "}" else ""
                continue
            layout = "" if code == layout else layout
            if layout and not NO_LAYOUT.search(code):
                continue
            if SKIPPED.search(code) or code.endswith("\\"):
                continue
            if "constexpr" in above and above[-1] == "=":
                continue
            name = str(path.relative_to(root))
            for edit in edits_of(code, text, above):
                what = (code.strip(), edit.mutated.strip())
                repeat = seen[what] = seen.get(what, -1) + 1
                found.append(Mutation(name, number, edit.kind, *what, edit, repeat))
    return found


def sample(found, count=30):
    """A fixed choice: the same as long as their lines are. Of what is built quickly: not of map.cu,
    nor of the headers that every kernel includes."""
    quick = [
        m for m in found if not m.file.startswith("cuda/core/") and m.file != "cuda/ops/map.cu"
    ]
    return sorted(quick, key=lambda m: m.rank)[:count]


def instrumented(line, chosen):
    """`chosen`: (number, mutation) of one line."""
    pieces = []
    for number, mutation in chosen:
        edit = mutation.edit
        for i, (column, text) in enumerate(edit.puts):
            pieces.append((column, edit.cut if i == 0 else 0, text.format(id=number)))
    code = re.sub(r"\s*//.*", "", line)
    for column, cut, text in sorted(pieces, reverse=True):
        code = put(code, column, cut, text)
    return code


def instrument(chosen, to, root=ROOT):
    """Copies of cuda/'s files with these mutations, {number from 1: mutation}, below `to`; files
    that do not change stay untouched. Kernels that include a changed header are copied too."""
    by_place = {}
    for number, mutation in chosen.items():
        by_place.setdefault(mutation.file, {}).setdefault(mutation.line, []).append(
            (number, mutation)
        )
    texts = {}
    for path in sources(root):
        name = str(path.relative_to(root))
        lines = path.read_text().splitlines()
        for line, here in by_place.get(name, {}).items():
            lines[line - 1] = instrumented(lines[line - 1], here)
        texts[name] = '#include "simt/mutants/mutant.h"\n#line 1\n' + "\n".join(lines) + "\n"
    changed = set(by_place)
    while True:  # headers that include changed ones
        more = {
            name
            for name, text in texts.items()
            if name not in changed and any(f'#include "{c}"' in text for c in changed)
        }
        if not more:
            break
        changed |= more
    kept = set()
    for name in changed:
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != texts[name]:
            path.write_text(texts[name])
        kept.add(path)
    for path in pathlib.Path(to).rglob("*"):
        if path.is_file() and path.suffix in (".cu", ".h") and path not in kept:
            path.unlink()
