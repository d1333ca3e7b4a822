"""What a row of the table is: one op on one set of inputs, with everything its checks need to know.

A row drives, in tests/test_ops.py: forward against the NumPy reference, float32 against float64
with an error bound, gradients, second order, jvp against vjp, fused against composite rules, equal
bits on any number of threads, strided inputs, PyTorch, poisoned memory, the cost that the profiler
reports.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import dlx
from dlx.reference import twins


@dataclass(frozen=True)
class Input:
    """An array to be: `draw(rng, shape)` in float64, int64 or bool."""

    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    floating: bool = True


def normal(*shape: int) -> Input:
    return Input(shape, lambda rng, s: rng.normal(size=s))


def positive(*shape: int) -> Input:
    return Input(shape, lambda rng, s: rng.uniform(0.5, 2.0, size=s))


def lattice(*shape: int, offset: float = 0.05) -> Input:
    """Multiples of 0.1, shifted: away from multiples of 0.1 and from lattices of another offset,
    which dodges the kinks of abs, relu, clip, maximum.
    """
    return Input(shape, lambda rng, s: rng.integers(-15, 15, size=s) / 10 + offset)


def spread(*shape: int) -> Input:
    """Far apart along every axis: +-2 in turn, and some noise."""

    def draw(rng, s):
        return 2.0 * (-1.0) ** np.indices(s).sum(axis=0) + 0.3 * rng.normal(size=s)

    return Input(shape, draw)


def distinct(*shape: int) -> Input:
    """No two values equal, evenly spaced over [-2, 2]: max and argmax have one answer."""

    def draw(rng, s):
        n = int(np.prod(s))
        return rng.permutation(np.linspace(-2, 2, n)).reshape(s)

    return Input(shape, draw)


def integers(low: int, high: int, *shape: int) -> Input:
    return Input(shape, lambda rng, s: rng.integers(low, high, size=s), floating=False)


def booleans(*shape: int) -> Input:
    return Input(shape, lambda rng, s: rng.integers(0, 2, size=s).astype(bool), floating=False)


def exactly(values: Any) -> Input:
    """These very integers or bools."""
    array = np.asarray(values)
    return Input(array.shape, lambda rng, s: array, floating=False)


INTEGER = ("int32", "int64", "uint8")
HALF = ("bfloat16", "float16")
NUMERIC = INTEGER + HALF
ANY = (*NUMERIC, "bool")


@dataclass(frozen=True, eq=False)
class Case:
    op: str  # the public function, dotted below dlx
    inputs: tuple[Input, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    # How to run it, where that is not function(*inputs, **kwargs).
    call: Callable[..., Any] | None = None
    # The reference on ndarrays, where that is not the twin of the op's last name.
    twin: Callable[..., np.ndarray] | None = None
    # Differentiable inputs; None: every floating one.
    grad: tuple[int, ...] | None = None
    # Why there is no second order, if there is none: a kink, or a derivative that is constant.
    kink: str = ""
    # |float32 - float64| <= c eps sum |terms|; c above 4 has its reason beside it.
    c: float = 4.0
    why_c: str = ""
    # The op may run Winograd's way, whose errors spread over a tile: see _check.assert_winograd.
    winograd: bool = False
    # sum |terms| of the forward result: "absolute" = the reference on absolute values (sums of
    # products), "value" = |result| (functions rounded once), or a function of the inputs.
    terms: str | Callable[..., np.ndarray] = "absolute"
    # The same of the gradients, (|dy|, *inputs, **kwargs) -> list, where a term is a difference;
    # None: sum over j of |dy_j / dx_i| |cotangent_j|.
    grad_terms: Callable[..., list[np.ndarray]] | None = None
    # The order of the sums follows how the operands lie in memory, which other strides change.
    order_by_layout: bool = False
    dtypes: tuple[str, ...] = ()  # beside float32 and float64
    takes_dtype: bool = False  # makes an array of the dtype it is told
    flops: int | None = None  # in float32, counted by hand
    bytes: int | None = None
    counts: str = ""  # only this native op; "": all that run
    name: str = ""  # told apart from other rows of the same shapes

    @property
    def id(self) -> str:
        parts = ["x".join(map(str, i.shape)) or "0d" for i in self.inputs]
        parts += [f"{k}={v}".replace(" ", "") for k, v in self.kwargs.items()]
        return "-".join([self.op.rsplit(".", 1)[-1], *([self.name] if self.name else []), *parts])[
            :90
        ]

    @property
    def differentiable(self) -> tuple[int, ...]:
        if self.grad is not None:
            return self.grad
        return tuple(i for i, x in enumerate(self.inputs) if x.floating)

    def arrays(self, dtype: str = "float64") -> list[np.ndarray]:
        """The same numbers in every floating dtype: drawn once, rounded to float32."""
        rng = np.random.default_rng(zlib.crc32(self.id.encode()))
        drawn = [x.draw(rng, x.shape) for x in self.inputs]
        return [
            np.asarray(a.astype(np.float32).astype(dtype)) if x.floating else np.asarray(a)
            for a, x in zip(drawn, self.inputs, strict=True)
        ]

    def run(self, *tensors, dtype: str = "float32", device: str = "cpu"):
        kwargs = self.kwargs | ({} if self.inputs else {"device": device})
        if self.takes_dtype:
            kwargs["dtype"] = getattr(dlx, dtype)
        if self.call is not None:
            return self.call(*tensors, **kwargs)
        function = dlx
        for part in self.op.split("."):
            function = getattr(function, part)
        return function(*tensors, **kwargs)

    def reference(self, *arrays: np.ndarray, dtype: str = "float32") -> np.ndarray:
        kwargs = self.kwargs | ({"dtype": dtype} if self.takes_dtype else {})
        twin = self.twin or twins[self.op.rsplit(".", 1)[-1]]
        return np.asarray(twin(*arrays, **kwargs))

    def magnitude(self, *arrays: np.ndarray) -> np.ndarray:
        """sum |terms| behind each element of the result."""
        if callable(self.terms):
            return self.terms(*arrays, **self.kwargs)
        if self.terms == "value":
            return np.abs(self.reference(*arrays))
        inputs = zip(arrays, self.inputs, strict=True)
        return np.abs(self.reference(*[np.abs(a) if x.floating else a for a, x in inputs]))
