"""Plants mistakes into the CUDA kernels, one at a time, and counts how many the tests find:
`python -m simt.mutants.check` from tests/, or `pytest tests/test_mutants.py` (`--full`: all).

One build holds all mutations (find.py, mutant.h); run.py tries them. survivors.txt says of each
one that lives why it may.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import _emulated
from simt.mutants import find

ROOT = find.ROOT
SURVIVORS = pathlib.Path(__file__).with_name("survivors.txt")
SLOW = ("map.cu",)  # to compile
TRIES = 12  # builds without the mutations that do not compile
LOCATION = re.compile(r"mutants[-\w]*/(cuda/[\w./]+):(\d+)(?::\d+)?: ?(.*)")


def explained():
    """{key: reason} of survivors.txt: a line of the key, then a line of the reason, indented."""
    reasons, key = {}, None
    for line in SURVIVORS.read_text().splitlines():
        if line.startswith("    ") and key:
            reasons[key] = f"{reasons[key]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            key = line
            reasons[key] = ""
    return reasons


@dataclass
class Report:
    results: dict[str, tuple[bool, str]]  # key: (caught, how)
    uncompilable: list[str]  # or compiled to what was there: types that have no such operator
    failed: list[tuple[str, str]]  # items that fail without any mutation
    seconds: float

    @property
    def survivors(self):
        return sorted(key for key, (caught, _) in self.results.items() if not caught)

    @property
    def share(self):
        return 1 - len(self.survivors) / len(self.results)

    def unexplained(self):
        reasons = explained()
        return [key for key in self.survivors if not reasons.get(key)]

    def lines(self):
        yield (
            f"mutations: {len(self.results) - len(self.survivors)} of {len(self.results)} caught, "
            f"{100 * self.share:.1f} %; {len(self.uncompilable)} more do not compile"
        )
        reasons = explained()
        for key in self.survivors:
            yield f"  survives: {key}\n    {self.results[key][1]}; {reasons.get(key, '')}"


def refused(output, mutations):
    """The mutations on the lines that a compiler's errors name, or, where those hold none, that
    led to the errors. Of a file that cannot be parsed only the first."""
    at = {}
    for m in mutations:
        at.setdefault((m.file, m.line), []).append(m)
    errors, ways, unparsed = set(), set(), set()
    for line in output.splitlines():
        if match := LOCATION.search(line):
            here = at.get((match[1], int(match[2])), [])
            if "error:" not in match[3]:
                ways.update(here)
            elif match[1] not in unparsed:
                errors.update(here)
                if "expected" in match[3] and here:
                    unparsed.add(match[1])
    return errors or ways


def objects(folder):
    """The build's names of what is compiled from the mutated files, but of the slow ones."""
    up = "__/__/__"  # from tests/simt/mutants
    prefix = f"tests/simt/mutants/CMakeFiles/dlx_cuda_mutants.dir/{up}/{folder.relative_to(ROOT)}"
    files = [p.relative_to(folder) for p in sorted((folder / "cuda").rglob("*.cu"))]
    return [f"{prefix}/{f}.o" for f in files if f.name not in SLOW]


def compiled(mutations, folder, say):
    """Builds `_core` with all of them that compile, below `folder`; ({number: one of those}, the
    others). A mutation keeps its number: the files of the others need not be compiled again."""
    left, out = dict(enumerate(mutations, 1)), []
    for _ in range(TRIES):
        find.instrument(left, folder)
        # What compiles quickly first: it may come again, without the mutations that it refused.
        said = _emulated.make(objects(folder), f"-DDLX_MUTANTS={folder}")
        said = said or _emulated.make(["_core_mutants"])
        if not said:
            break
        bad = refused(said, left.values())
        assert bad, said[-4000:]
        say("\n".join(f"does not compile: {m.key}" for m in bad))
        out += sorted(m.key for m in bad)
        left = {n: m for n, m in left.items() if m not in bad}
    assert not said, said[-4000:]
    package = folder / "python" / "dlx"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "python" / "dlx", package)
    for module in (_emulated.BUILD / "tests" / "simt" / "mutants").glob("_core*.so"):
        shutil.copy(module, package)
    return left, out


def check(mutations, name, seconds=6.0, items="", say=print):
    """A Report; `seconds`: how much of the items that execute a mutation it has to survive, less in
    the other orders of the threads, and where survivors.txt expects it to. `items`: a pattern of
    their names."""
    folder = ROOT / "build" / name
    left, out = compiled(mutations, folder, say)
    say(f"{len(left)} mutations are built, {len(out)} do not compile")
    plan, result = folder / "plan.json", folder / "result.json"
    jobs = len(os.sched_getaffinity(0))
    plan.write_text(
        json.dumps(
            {
                "numbers": list(left),
                "briefly": [n for n, m in left.items() if m.key in explained()],
                "keys": {n: m.key for n, m in left.items()},
                "result": str(result),
                "seconds": seconds,
                "items": items,
                "jobs": jobs,
            }
        )
    )
    env = os.environ | {"PYTHONPATH": str(folder / "python"), "DLX_SIMT_GUARDS": "1"}
    subprocess.run(
        [sys.executable, pathlib.Path(__file__).with_name("run.py"), plan], env=env, check=True
    )
    found = json.loads(result.read_text())
    results = {left[int(n)].key: tuple(r) for n, r in found["mutations"].items()}
    out += [left[n].key for n in found["inapplicable"]]
    return Report(results, out, found["failed"], sum(found["seconds"].values()))


def main(arguments):
    mutations = find.mutations()
    if arguments:  # only those whose key holds the word
        mutations = [m for m in mutations if any(a in m.key for a in arguments)]
    report = check(mutations, "mutants")
    for line in report.lines():
        print(line)
    for name, error in report.failed:
        print(f"  fails unmutated: {name}: {error}")
    (ROOT / "build" / "mutants" / "uncompilable.txt").write_text("\n".join(report.uncompilable))
    return 0 if report.share >= 0.9 and not report.unexplained() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
