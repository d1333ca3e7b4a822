"""What one small op costs, arguments checked, beside PyTorch in the same process.

    python benchmarks/tiny_ops.py

Minimum of interleaved rounds; "recorded" has one input that requires a gradient. Prints a Markdown
table in microseconds per call and the ratio dlx / PyTorch."""

from __future__ import annotations

import timeit

import dlx

ROUNDS, CALLS = 15, 20_000
EXPRESSIONS = {
    "x + y": "x + y",
    "x * 2": "x * 2",
    "tanh(x)": "x.tanh()",
    "m @ m": "m @ m",
    "m.reshape": "m.reshape(64)",
    "x[3:7]": "x[3:7]",
}


def operands(library, requires_grad):
    make = library.tensor
    x = make([float(i) for i in range(32)], requires_grad=requires_grad)
    m = make([[float(i + j) for i in range(8)] for j in range(8)], requires_grad=requires_grad)
    return {"x": x, "y": make([1.0] * 32), "m": m}


def main():
    libraries = {"dlx": dlx}
    try:
        import torch

        torch.set_num_threads(dlx.get_num_threads())
        libraries["PyTorch"] = torch
    except ImportError:
        print("PyTorch is not installed: no ratio")
    print("| op | recorded | " + " | ".join(f"{name} us" for name in libraries) + " | ratio |")
    print("|---|---|" + "---:|" * (len(libraries) + 1))
    for label, expression in EXPRESSIONS.items():
        for recorded in (False, True):
            timers = {
                name: timeit.Timer(expression, globals=operands(library, recorded))
                for name, library in libraries.items()
            }
            best = dict.fromkeys(libraries, float("inf"))
            for _ in range(ROUNDS):
                for name, library in libraries.items():
                    with library.no_grad() if not recorded else library.enable_grad():
                        best[name] = min(best[name], timers[name].timeit(CALLS) / CALLS * 1e6)
            cells = " | ".join(f"{t:.2f}" for t in best.values())
            ratio = f"{best['dlx'] / best['PyTorch']:.2f}" if "PyTorch" in best else "-"
            print(f"| `{label}` | {'yes' if recorded else 'no'} | {cells} | {ratio} |")


if __name__ == "__main__":
    main()
