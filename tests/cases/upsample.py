"""Resampling: larger, smaller, by whole and by other factors, with and without aligned corners."""

from __future__ import annotations

import dlx
from cases._case import Case, normal
from dlx.reference import twins

BOTH = ("upsample_nearest2d", "upsample_bilinear2d")


def resized(op, x, **kwargs):
    more = {k: kwargs.pop(k) for k in ("name", "flops", "bytes") if k in kwargs}
    return Case(op, (normal(*x),), kwargs, **more)


def core_backward(dy, linear):
    return dlx._core.upsample_backward(dy, (2, 3, 4, 5), linear, (7, 3), (4 / 7, 5 / 3), False)


def backward_row(linear):
    name = f"upsample_{'bilinear' if linear else 'nearest'}2d_backward"
    twin = twins[name]
    return Case(f"_core.{name}", (normal(2, 3, 7, 3),), {"linear": linear}, core_backward,
                lambda dy, linear: twin(dy, (4, 5)), grad=())  # fmt: skip


CASES = [
    *[resized(op, x, size=size) for op in BOTH
      for x, size in [((2, 3, 4, 5), (8, 10)), ((2, 3, 4, 5), (7, 3)), ((1, 2, 11, 13), (5, 17)),
                      ((2, 2, 6, 6), 1), ((1, 1, 1, 1), (3, 5)), ((1, 2, 1, 7), (4, 1)),
                      ((2, 2, 5, 7), (5, 7)), ((0, 3, 4, 4), 8), ((3, 4, 13, 31), (37, 41))]],
    # Several pieces of a row. PyTorch rounds positions that far from 0 otherwise.
    *[resized(op, x, size=size, name="by_pieces") for op in BOTH
      for x, size in [((1, 1, 2, 300), (3, 517)), ((1, 1, 2, 1500), (1, 77))]],
    *[resized(op, x, scale_factor=s) for op in BOTH
      for x, s in [((2, 3, 4, 5), 2), ((2, 3, 4, 5), (3, 2.5)), ((2, 2, 7, 9), 1.7),
                   ((2, 2, 7, 9), 0.6), ((2, 2, 9, 7), (0.5, 1.3)),
                   ((2, 2, 7, 9), (1.1, 2.1))]],  # 7 stay, 9 become 18
    *[resized("upsample_bilinear2d", x, size=size, align_corners=True)
      for x, size in [((2, 3, 4, 5), (8, 10)), ((2, 3, 4, 5), (7, 3)), ((1, 2, 11, 13), (5, 17)),
                      ((2, 2, 6, 6), 1), ((1, 1, 1, 1), (3, 5)), ((3, 4, 13, 31), (37, 41))]],
    resized("upsample_bilinear2d", (2, 2, 7, 9), scale_factor=1.7, align_corners=True),
    *[resized(op, x, **sizes) for op in ("upsample_nearest1d", "upsample_linear1d")
      for x, sizes in [((2, 3, 5), {"size": 11}), ((2, 3, 11), {"size": 4}),
                       ((2, 3, 5), {"scale_factor": 2.5}), ((3, 20, 31), {"size": 40})]],
    resized("upsample_linear1d", (2, 3, 5), size=9, align_corners=True),
    *[resized("nn.functional.interpolate", x, **options)
      for x, options in [((2, 3, 4, 5), {"scale_factor": 2}), ((2, 3, 5), {"size": 7}),
                         ((2, 3, 4, 5), {"size": (6, 3), "mode": "bilinear"}),
                         ((2, 3, 4, 5), {"size": 6, "mode": "bilinear", "align_corners": True}),
                         ((2, 3, 5), {"scale_factor": 1.5, "mode": "linear"}),
                         ((3, 4, 13, 31), {"size": (20, 40)})]],
    # 6 pixels to 24: x 24, y 96; seven flops between four pixels.
    resized("upsample_nearest2d", (1, 1, 2, 3), size=(4, 6), flops=0, bytes=120, name="cost"),
    resized("upsample_bilinear2d", (1, 1, 2, 3), size=(4, 6), flops=168, bytes=120, name="cost"),
    resized("upsample_nearest1d", (1, 1, 6), size=24, flops=0, bytes=120, name="cost"),
    resized("upsample_linear1d", (1, 1, 6), size=24, flops=168, bytes=120, name="cost"),
    resized("nn.functional.interpolate", (1, 1, 2, 3), size=(4, 6), flops=0, bytes=120,
            name="cost"),
    backward_row(False),
    backward_row(True),
]  # fmt: skip
