"""Ops that have no row in `dlx bench`, beside eager PyTorch, forward and gradient, slowest first.

    python benchmarks/other_ops.py [TEXT in the name]

Best turns of interleaved rounds; results are compared before they are timed."""

from __future__ import annotations

import sys

import numpy as np

import dlx
from dlx._bench.measure import DLX, EAGER, Subject, compared, gradients_of, import_torch, interleave

ROUNDS = 3
IMAGES, ROWS, CHANNELS = (64, 64, 28, 28), (4096, 1000), (64, 1, 1)

# Of x (and y, z): arrays of these shapes. `lib` is dlx or torch, F its functional module.
ACTIVATIONS = [
    "elu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu6",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "tanh",
]
POINTWISE = ["abs", "erf", "exp", "expm1", "floor", "sign", "sin", "square"]
ROWS_OF = {
    IMAGES: [
        *(f"F.{name}(x)" for name in ACTIVATIONS),
        *(f"lib.{name}(x)" for name in POINTWISE),
        "x ** 3",
        "lib.clip(x, -1, 1)",
        "x.flip(3)",
        "x.roll(3, 3)",
        "x[:, :, 2:-2, 2:-2] * 2",
        "x[:, :, ::2, ::2] * 2",
        "x.permute(0, 2, 3, 1) * 2",
        "x.permute(1, 0, 2, 3).contiguous()",
        "x.transpose(2, 3).contiguous()",
        "F.pad(x, (1, 1, 1, 1))",
        "F.pad(x, (1, 1, 1, 1), mode='reflect')",
        "F.max_pool2d(x, 3, 2, 1)",
        "F.avg_pool2d(x, 3, 2, 1)",
        "F.adaptive_avg_pool2d(x, 7)",
        "F.interpolate(x, scale_factor=2)",
        "F.interpolate(x, scale_factor=2, mode='bilinear')",
        "F.group_norm(x, 8)",
        "F.softmax(x, 1)",
        "x.sum(0)",
        "x.sum(1)",
        "x.mean((2, 3))",
        "x.var((0, 2, 3))",
        "x.max(1)[0]",
        "x.double()",
    ],
    (IMAGES, CHANNELS): ["x + y", "x * y"],
    (IMAGES, IMAGES): [
        "x / y",
        "lib.where(x > 0, x, y)",
        "lib.concat([x, y], 1)",
        "lib.maximum(x, y)",
    ],
    (IMAGES, (64, 64, 3, 3)): [
        "F.conv2d(x, y, padding=2, dilation=2)",
        "F.conv2d(x, y, padding=1, stride=2)",
    ],
    (IMAGES, (64, 16, 3, 3)): ["F.conv2d(x, y, padding=1, groups=4)"],
    ((64, 64, 784), (64, 64, 5)): ["F.conv1d(x, y, padding=2)"],
    ((64, 256, 64), (64, 64, 256)): ["x @ y"],
    ROWS: [
        "F.log_softmax(x, 1)",
        "lib.logsumexp(x, 1)",
        "x.cumsum(1)",
        "x.sum(0)",
        "x.argmax(1)",
        "x.argmax(0)",
        "x.max(1)[0]",
        "x.std(1)",
        "x.T * 2",
    ],
    (ROWS, (1000,), (1000,)): ["F.layer_norm(x, (1000,), y, z)"],
    ((8192, 64), (64,), (64,)): ["F.layer_norm(x, (64,), y, z)"],
    (ROWS, ROWS): ["F.mse_loss(x, y)", "F.l1_loss(x, y)", "F.huber_loss(x, y)"],
}


def subjects(torch, shapes, expression):
    """[(what, Subject)]: the result, and the gradients where it has any."""
    shapes = shapes if isinstance(shapes[0], tuple) else (shapes,)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    code = compile(expression, expression, "eval")
    calls, gradients, dy = {}, {}, None
    for rival, lib in {DLX: dlx, EAGER: torch}.items():
        tensors = [lib.tensor(a, requires_grad=True) for a in arrays]
        names = {"lib": lib, "F": lib.nn.functional, **dict(zip("xyz", tensors))}
        calls[rival] = without_gradients(lib, code, names)
        result = eval(code, names)
        if not result.requires_grad:
            continue
        if dy is None:
            dy = rng.normal(size=tuple(result.shape)).astype(str(result.dtype).split(".")[-1])
        gradients[rival] = gradients_of(result, tensors, lib.tensor(dy))
    found = [("forward", Subject(calls))]
    return found + [("gradient", Subject(gradients, tolerance=1e-3))] if gradients else found


def without_gradients(lib, code, names):
    def run():
        with lib.no_grad():
            return eval(code, names)

    return run


def main(text=""):
    torch = import_torch()
    if torch is None:
        raise SystemExit("other_ops: PyTorch is not installed: pip install torch")
    lines = []
    for shapes, expressions in ROWS_OF.items():
        for expression in expressions:
            if text not in expression:
                continue
            for what, subject in subjects(torch, shapes, expression):
                name = f"{expression}, {what}, x of {'x'.join(map(str, first(shapes)))}"
                compared(name, subject)
                turns = interleave(subject.calls, ROUNDS)
                ours, theirs = (1e6 * min(turns[rival]) for rival in (DLX, EAGER))
                lines.append((theirs / ours, f"{ours:10.1f} {theirs:10.1f}  {name}"))
    mean = np.exp(np.mean([np.log(ratio) for ratio, _ in lines]))
    print(f"{dlx.get_num_threads()} threads\n\nx as fast     dlx us PyTorch us")
    for ratio, line in sorted(lines):
        print(f"{ratio:9.2f} {line}")
    print(f"geometric mean {mean:.2f} x as fast as PyTorch, {len(lines)} rows")


def first(shapes):
    return shapes[0] if isinstance(shapes[0], tuple) else shapes


if __name__ == "__main__":
    main(*sys.argv[1:2])
