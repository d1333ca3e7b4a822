"""Pooling: windows that overlap, leave gaps, reach outside the image, and fill it."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import Case, distinct, normal
from dlx.reference import twins

AT_EQUALS = "where two values are equal"


def largest(x, kernel_size, *, op="max_pool2d", name="", **more):
    costs = {k: more.pop(k) for k in ("flops", "bytes") if k in more}
    kwargs = {"kernel_size": kernel_size, **more}
    return Case(op, (distinct(*x),), kwargs, terms="value", kink=AT_EQUALS, name=name, **costs)


def average(x, kernel_size, *, op="avg_pool2d", name="", **more):
    costs = {k: more.pop(k) for k in ("flops", "bytes") if k in more}
    return Case(op, (normal(*x),), {"kernel_size": kernel_size, **more}, name=name, **costs)


def adaptive(x, output_size, *, axes=2, **more):
    kwargs = {"output_size": output_size}
    return [
        Case(f"adaptive_avg_pool{axes}d", (normal(*x),), kwargs, **more),
        Case(f"adaptive_max_pool{axes}d", (distinct(*x),), kwargs, terms="value", kink=AT_EQUALS,
             **more),
    ]  # fmt: skip


def windows(*rows):
    """Each as a case of the maximum, the average and the sum."""
    cases = []
    for x, kernel_size, options in rows:
        cases.append(largest(x, kernel_size, **options))
        cases.append(average(x, kernel_size, **options))
        cases.append(average(x, kernel_size, op="sum_pool2d", **options))
    return cases


def indices(function, twin):
    """The second result, of both."""
    return {
        "call": lambda x, **options: getattr(dlx, function)(x, **options, return_indices=True)[1],
        "twin": lambda x, **options: twins[twin](x, **options, return_indices=True)[1],
        "grad": (),
        "name": "by_index",
    }


WINDOWS = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 1), "mode": 0}


def core_max_pool2d_backward(dy, x):
    _, at = dlx._core.max_pool2d("max_pool2d", x, *WINDOWS.values(), True)
    return dlx._core.max_pool2d_backward(dy, at, x.shape, *WINDOWS.values())


def max_pool2d_backward_twin(dy, x):
    _, at = twins["max_pool2d"](x, (3, 2), (2, 1), (1, 0), return_indices=True)
    return twins["max_pool2d_backward"](dy, at, x.shape)


def core_max_pool2d_gather(t, x):
    _, at = dlx._core.max_pool2d("max_pool2d", x, *WINDOWS.values(), True)
    return dlx._core.max_pool2d_gather(t, at, *WINDOWS.values())


def max_pool2d_gather_twin(t, x):
    _, at = twins["max_pool2d"](x, (3, 2), (2, 1), (1, 0), return_indices=True)
    return twins["max_pool2d_gather"](t, at)


def core_avg_pool2d_backward(dy):
    return dlx._core.avg_pool2d_backward(dy, (2, 3, 6, 5), *WINDOWS.values(), True, None)


def avg_pool2d_backward_twin(dy):
    return twins["avg_pool2d_backward"](dy, (2, 3, 6, 5), (3, 2), (2, 1), (1, 0))


CASES = [
    *windows(
        ((2, 3, 8, 8), 2, {}),
        ((3, 5, 7), 2, {}),  # unbatched; the last row and column are left out
        ((2, 2, 9, 10), 3, {"stride": 2, "padding": 1}),
        ((2, 2, 7, 11), (2, 3), {"stride": 1}),
        ((1, 2, 11, 13), 2, {"stride": 3}),
        ((1, 2, 11, 13), (3, 1), {"stride": (1, 4)}),
        ((2, 3, 4, 5), (4, 5), {}),
        ((1, 1, 1, 1), 1, {}),
        ((1, 2, 8, 9), 3, {"stride": 2, "ceil_mode": True}),
        ((1, 2, 5, 6), 3, {"stride": (2, 3), "padding": 1, "ceil_mode": True}),
        ((1, 1, 4, 7), 2, {"stride": 3, "padding": 1, "ceil_mode": True}),
        ((2, 2, 7, 9), 4, {"stride": 2, "padding": 2}),
        ((1, 2, 13, 17), 7, {"stride": 1, "padding": 3}),
        ((0, 3, 5, 5), 2, {}),
        ((2, 2, 7, 6), 3, {"stride": 2, "padding": "same"}),
        ((2, 2, 7, 6), (2, 4), {"stride": (3, 1), "padding": "same"}),
        ((2, 2, 7, 6), 3, {"stride": 2, "padding": "valid"}),
        # Around the vectors of every instruction set.
        *[((1, 2, 3, w), 2, {"stride": s, "padding": 1})
          for w in (14, 15, 16, 17, 31, 33) for s in (1, 2)],
        ((1, 1, 2, 700), (1, 3), {"stride": 2, "padding": (0, 1)}),  # several pieces of a row
        ((1, 1, 2, 1300), (2, 600), {"stride": 5}),
        ((1, 2, 20, 23), (19, 21), {"padding": (2, 4)}),  # few windows, large ones
        ((3, 4, 31, 33), 3, {"stride": 2, "padding": 1}),  # several threads share these
    ),
    largest((2, 2, 9, 10), 3, stride=2, padding=1, dilation=2),
    largest((2, 2, 9, 40), (2, 3), stride=1, padding=1, dilation=(3, 4)),
    largest((1, 2, 9, 10), 2, stride=2, dilation=3, ceil_mode=True),
    largest((1, 2, 9, 10), 3, stride=2, dilation=2, padding="same"),
    Case("max_pool2d", (distinct(2, 3, 9, 10),), {"kernel_size": 3, "stride": 2, "padding": 1},
         **indices("max_pool2d", "max_pool2d")),
    Case("adaptive_max_pool2d", (distinct(2, 3, 9, 10),), {"output_size": (4, 3)},
         **indices("adaptive_max_pool2d", "adaptive_max_pool2d")),
    *[average((1, 2, *size), k, stride=s, padding=p, ceil_mode=c, count_include_pad=False)
      for size, k, s, p in [((9, 10), 3, 2, 1), ((5, 6), (4, 2), (2, 3), (2, 1)),
                            ((4, 40), (3, 7), 1, (1, 3)), ((8, 7), 3, (2, 3), 0)]
      for c in (False, True)],
    average((1, 2, 9, 10), 3, stride=2, padding=1, divisor_override=4),
    average((1, 2, 9, 10), 3, stride=2, ceil_mode=True, divisor_override=1),
    *[case for x, size in [((2, 3, 7, 11), (3, 4)), ((2, 3, 8, 9), 3), ((3, 5, 4), (7, 9)),
                           ((2, 3, 6, 10), (None, 5)), ((2, 2, 5, 40), (1, 1)),
                           ((1, 2, 7, 7), (7, 1)), ((0, 3, 5, 5), 2), ((3, 4, 31, 33), 10)]
      for case in adaptive(x, size)],
    *[case for size in [(0, 3), (3, 0)]
      for case in adaptive((2, 2, 4, 4), size, name="by_no_window")],  # PyTorch raises
    *[case for x, size in [((2, 2, 9, 37), (2, 2)), ((2, 3, 8, 8), 1), ((1, 2, 5, 83), (3, 1))]
      for case in adaptive(x, size, name="large")],
    *[case for x, size in [((2, 3, 11), 4), ((3, 7), 1), ((3, 20, 31), 12)]
      for case in adaptive(x, size, axes=1)],
    *[make(x, k, op=f"{op}_pool1d", **options)
      for x, k, options in [((2, 3, 11), 2, {}), ((3, 12), 3, {"stride": 2, "padding": 1}),
                            ((2, 2, 9), 2, {"stride": 2, "ceil_mode": True}),
                            ((2, 2, 9), 3, {"stride": 2, "padding": "same"}),
                            ((3, 20, 31), 3, {"stride": 1})]
      for op, make in (("max", largest), ("avg", average), ("sum", average))],
    largest((2, 3, 11), 3, op="max_pool1d", dilation=2, padding=1),
    average((2, 3, 11), 3, op="avg_pool1d", padding=1, count_include_pad=False),
    # 2 x 3 windows of 2 x 2 elements; x 96, y 24.
    largest((1, 1, 4, 6), 2, flops=24, bytes=120, name="cost"),
    average((1, 1, 4, 6), 2, flops=24, bytes=120, name="cost"),
    average((1, 1, 4, 6), 2, op="sum_pool2d", flops=24, bytes=120, name="cost"),
    # 6 windows of 2 elements: x 48, y 24.
    largest((1, 2, 6), 2, op="max_pool1d", flops=12, bytes=72, name="cost"),
    average((1, 2, 6), 2, op="avg_pool1d", flops=12, bytes=72, name="cost"),
    average((1, 2, 6), 2, op="sum_pool1d", flops=12, bytes=72, name="cost"),
    Case("adaptive_avg_pool2d", (normal(1, 1, 4, 6),), {"output_size": (2, 3)}, flops=24,
         bytes=120, name="cost"),
    Case("adaptive_max_pool2d", (distinct(1, 1, 4, 6),), {"output_size": (2, 3)}, flops=24,
         bytes=120, terms="value", kink=AT_EQUALS, name="cost"),
    # 3 windows of 2 elements: x 20, y 12.
    Case("adaptive_avg_pool1d", (normal(1, 1, 5),), {"output_size": 3}, flops=6, bytes=32,
         name="cost"),
    Case("adaptive_max_pool1d", (distinct(1, 1, 5),), {"output_size": 3}, flops=6, bytes=32,
         terms="value", kink=AT_EQUALS, name="cost"),
    # With the indices: x 96, y 24, indices 48.
    Case("max_pool2d", (distinct(1, 1, 4, 6),), {"kernel_size": 2}, flops=24, bytes=168,
         **{**indices("max_pool2d", "max_pool2d"), "name": "by_index_cost"}),
    Case("_core.max_pool2d_backward", (normal(2, 3, 3, 4), distinct(2, 3, 6, 5)), {},
         core_max_pool2d_backward, max_pool2d_backward_twin, grad=(),
         terms=lambda dy, x: 1 + max_pool2d_backward_twin(np.abs(dy), x)),
    Case("_core.max_pool2d_gather", (normal(2, 3, 6, 5), distinct(2, 3, 6, 5)), {},
         core_max_pool2d_gather, max_pool2d_gather_twin, grad=()),
    Case("_core.avg_pool2d_backward", (normal(2, 3, 3, 4),), {}, core_avg_pool2d_backward,
         avg_pool2d_backward_twin, grad=()),
]  # fmt: skip
