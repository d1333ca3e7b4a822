"""As edges.py, of programs: launches that dlx.jit has joined."""

from __future__ import annotations

import dlx
from simt.mutants.beyond import BEYOND
from test_jit_fusion import CASES, numbers

DTYPES = ("float32", "float64", "bfloat16", "float16", "int32")


def joined(function, shapes):
    def replayed(device):
        found = []
        for dtype in DTYPES:
            if dtype == "int32" and function.__name__ not in ("masks", "cast_inside", "row"):
                continue  # dlx.exp and the like take no integers
            with dlx.device(device):
                jitted = dlx.jit(function)
                for call in range(4):  # the last one is a replay
                    y = jitted(*[numbers(call + 10 * i, *s, dtype=dtype) for i, s in shapes])
            found.append([t.astype("float64") for t in (y if isinstance(y, tuple) else (y,))])
        return found

    replayed.__name__ = f"joined_{function.__name__}_{len(BEYOND)}"
    return replayed


for function, shapes, _ in CASES:
    BEYOND.append(joined(function, list(enumerate(shapes))))
