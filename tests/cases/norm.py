"""Batch, layer and group norm: all the ways in which the kernels cut their work."""

from __future__ import annotations

import numpy as np

import dlx
from cases._case import Case, normal, positive
from dlx.reference import twins

ROUNDINGS = "x - mean, 1 / sqrt(var), weight and bias round one after the other"


def batch_norm(x, *rest, training):
    """x, weight, bias in training; x, running mean and var, weight, bias otherwise."""
    statistics, parameters = ((None, None), rest) if training else (rest[:2], rest[2:])
    return dlx.batch_norm(x, *statistics, *parameters, training=training)


def batch_norm_twin(x, *rest, training):
    return twins["batch_norm" if training else "batch_norm_inference"](x, *rest)


def standardized_terms(x, axes, weight=None, bias=None):
    """(|x| + mean |x|) / sqrt(var + eps) |weight| + |bias|."""
    if x.size == 0:
        return x
    size = np.abs(x) + np.mean(np.abs(x), axes, keepdims=True)
    size = size / np.sqrt(np.var(x, axes, keepdims=True) + 1e-5)
    size = size if weight is None else size * np.abs(weight)
    return size if bias is None else size + np.abs(bias)


def batch_norm_terms(x, *rest, training):
    if training:
        parameters = [per_channel(p, x) for p in rest]
        return standardized_terms(x, (0, *range(2, x.ndim)), *parameters)
    mean, var, *parameters = rest
    parameters = map(np.abs, parameters)
    return twins["batch_norm_inference"](np.abs(x), -np.abs(mean), var, *parameters)


def per_channel(p, x):
    return np.reshape(p, (1, -1) + (1,) * (x.ndim - 2))


def centred_terms(dy, x, z, rstd, axes):
    """The terms of rstd (dy - mean(dy) - z mean(dy z)), all of them positive."""
    if x.size == 0:
        return dy
    z = np.abs(z)
    return rstd * (dy + np.mean(dy, axes, keepdims=True) + z * np.mean(dy * z, axes, keepdims=True))


def batch_norm_gradient_terms(dy, x, *rest, training):
    axes = (0, *range(2, x.ndim))
    weight, bias = (*rest[0 if training else 2 :], None, None)[:2]
    scaled = dy if weight is None else dy * np.abs(per_channel(weight, x))
    if training:
        z = twins["batch_norm"](x)
        rstd = 1 / np.sqrt(np.var(x, axes, keepdims=True) + 1e-5) if x.size else 1.0
        terms = [centred_terms(scaled, x, z, rstd, axes)]
    else:
        z = twins["batch_norm_inference"](np.abs(x), -np.abs(rest[0]), rest[1])
        terms = [scaled / np.sqrt(per_channel(rest[1], x) + 1e-5)]
    terms += [] if weight is None else [np.sum(dy * np.abs(z), axes)]
    return terms + ([] if bias is None else [np.sum(dy, axes)])


def layer_norm(x, *parameters, normalized_shape):
    return dlx.layer_norm(x, normalized_shape, *parameters)


def layer_norm_twin(x, *parameters, normalized_shape):
    return twins["layer_norm"](x, normalized_shape, *parameters)


def layer_norm_terms(x, *parameters, normalized_shape):
    axes = tuple(range(-len(normalized_shape), 0))
    return standardized_terms(x, axes, *parameters)


def layer_norm_gradient_terms(dy, x, *parameters, normalized_shape):
    axes = tuple(range(-len(normalized_shape), 0))
    rows = tuple(range(x.ndim - len(normalized_shape)))
    weight, bias = (*parameters, None, None)[:2]
    z = twins["layer_norm"](x, normalized_shape)
    rstd = 1 / np.sqrt(np.var(x, axes, keepdims=True) + 1e-5)
    scaled = dy if weight is None else dy * np.abs(weight)
    terms = [centred_terms(scaled, x, z, rstd, axes)]
    terms += [] if weight is None else [np.sum(dy * np.abs(z), rows)]
    return terms + ([] if bias is None else [np.sum(dy, rows)])


def group_norm(x, *parameters, num_groups):
    return dlx.group_norm(x, num_groups, *parameters)


def group_norm_twin(x, *parameters, num_groups):
    return twins["group_norm"](x, num_groups, *parameters)


def group_norm_terms(x, *parameters, num_groups):
    groups = np.reshape(x, (len(x), num_groups, int(np.prod(x.shape[1:])) // num_groups))
    terms = np.reshape(standardized_terms(groups, 2), x.shape)
    for p, combine in zip(parameters, (np.multiply, np.add)):
        terms = combine(terms, np.abs(per_channel(p, x)))
    return terms


def group_norm_gradient_terms(dy, x, *parameters, num_groups):
    axes = (0, *range(2, x.ndim))
    weight, bias = (*parameters, None, None)[:2]
    scaled = dy if weight is None else dy * np.abs(per_channel(weight, x))
    rows = (len(x) * num_groups, int(np.prod(x.shape[1:])) // num_groups)
    wide, z = np.reshape(x, rows), twins["group_norm"](x, num_groups)
    rstd = 1 / np.sqrt(np.var(wide, 1, keepdims=True) + 1e-5)
    dx = centred_terms(np.reshape(scaled, rows), wide, np.reshape(z, rows), rstd, 1)
    terms = [np.reshape(dx, x.shape)]
    terms += [] if weight is None else [np.sum(dy * np.abs(z), axes)]
    return terms + ([] if bias is None else [np.sum(dy, axes)])


def core_update(x, running_mean, running_var, momentum):
    mean, var = running_mean.clone(), running_var.clone()
    dlx.batch_norm(x, mean, var, training=True, momentum=momentum)
    return dlx.stack([mean, var])


def core_batch_norm_backward(dy, x, weight):
    _, mean, rstd, _ = dlx._core.batch_norm(x, weight, None, 1e-5)
    return dlx._core.batch_norm_backward(dy, x, mean, rstd, weight, True)[0]


def core_layer_norm_backward(dy, x, weight):
    _, mean, rstd = dlx._core.layer_norm(x, weight.ndim, weight, None, 1e-5)
    return dlx._core.layer_norm_backward(dy, x, mean, rstd, weight.ndim, weight)[0]


def layer_norm_backward_twin(dy, x, weight):
    return twins["layer_norm_backward"](dy, x, weight.shape, weight)


def core_group_norm_backward(dy, x, weight):
    _, mean, rstd = dlx._core.group_norm(x, 2, weight, None, 1e-5)
    return dlx._core.group_norm_backward(dy, x, mean, rstd, weight)[0]


def group_norm_backward_twin(dy, x, weight):
    return twins["group_norm_backward"](dy, x, 2, weight)


def wide(*arrays, **attrs):
    """Loose: the derivatives' own cases are tight."""
    return 64.0


BATCH = {
    "call": batch_norm,
    "twin": batch_norm_twin,
    "terms": batch_norm_terms,
    "grad_terms": batch_norm_gradient_terms,
    "c": 8,
    "why_c": ROUNDINGS,
}
LAYER = {
    "call": layer_norm,
    "twin": layer_norm_twin,
    "terms": layer_norm_terms,
    "grad_terms": layer_norm_gradient_terms,
    "c": 8,
    "why_c": ROUNDINGS,
}


GROUP = {
    "call": group_norm,
    "twin": group_norm_twin,
    "terms": group_norm_terms,
    "grad_terms": group_norm_gradient_terms,
    "c": 8,
    "why_c": ROUNDINGS,
}


def trained(*shape, parameters=2, **more):
    inputs = (normal(*shape), positive(shape[1]), normal(shape[1]))[: 1 + parameters]
    return Case("batch_norm", inputs, {"training": True}, **BATCH, **more)


def running(*shape, parameters=2, **more):
    c = shape[1]
    inputs = (normal(*shape), normal(c), positive(c), positive(c), normal(c))[: 3 + parameters]
    grad = (0, 3, 4)[: 1 + parameters]
    return Case("batch_norm", inputs, {"training": False}, grad=grad, **BATCH, **more)


def layer(shape, dims=1, parameters=2, **more):
    normalized = shape[len(shape) - dims :]
    inputs = (normal(*shape), positive(*normalized), normal(*normalized))[: 1 + parameters]
    return Case("layer_norm", inputs, {"normalized_shape": normalized}, **LAYER, **more)


def group(shape, groups, parameters=2, **more):
    inputs = (normal(*shape), positive(shape[1]), normal(shape[1]))[: 1 + parameters]
    return Case("group_norm", inputs, {"num_groups": groups}, **GROUP, **more)


CASES = [
    # Columns: short planes, over a tile of 64 of them, over a block of 128 rows.
    *[trained(*s) for s in [(4, 3), (7, 1), (3, 65), (9, 64), (131, 5), (5, 3, 1), (4, 3, 2, 2),
                            (3, 5, 3, 5), (33, 64)]],
    # Short planes brought together, as many as 1024 elements have room for.
    *[trained(*s) for s in [(2, 3, 16), (5, 2, 4, 4), (3, 2, 7, 5), (70, 1, 17), (2, 3, 511)]],
    # Planes by themselves, and in pieces.
    *[trained(*s) for s in [(1, 2, 512), (2, 2, 33, 17), (2, 1, 4099)]],
    *[trained(*s, parameters=p) for s in [(4, 3), (2, 3, 16)] for p in (0, 1)],
    trained(0, 3, 4),
    trained(2, 3, 0, 4),
    *[running(*s) for s in [(1, 3), (4, 65), (1, 2, 1, 1), (5, 3, 1), (3, 2, 7, 5), (2, 3, 16),
                            (1, 2, 517), (1, 1, 4099)]],
    *[running(*s, parameters=p) for s in [(4, 3), (2, 3, 16)] for p in (0, 1)],
    running(0, 3, 4),
    *[layer(*s) for s in [((1, 7),), ((7,),), ((3, 5, 4), 2), ((2, 3, 1, 129), 1),
                          ((5, 127),), ((33, 64),), ((9, 2, 3), 2), ((0, 4),), ((2, 2100),)]],
    # The variance of one value is 0 here, and 1e-33 for PyTorch.
    layer((4, 1), name="by_one_value"),
    *[layer((4, 9), parameters=p) for p in (0, 1)],
    *[group(*s) for s in [((3, 4), 2), ((1, 3, 5), 1), ((2, 6, 3, 2), 3), ((2, 4, 1, 7), 4),
                          ((3, 32, 4, 4), 8), ((0, 4, 3), 2)]],
    # Planes in one kernel, one or several pieces of them, over 64 of them, over 16 groups.
    *[group(*s) for s in [((2, 6, 3, 3), 2), ((2, 70, 8), 1), ((9, 4, 7, 5), 2), ((1, 3, 65), 1),
                          ((1, 2, 129, 130), 1), ((17, 3, 4, 5), 3), ((0, 4, 9), 2)]],
    *[group(s, 2, parameters=p) for s in [(2, 6, 5), (2, 6, 11)] for p in (0, 1)],
    # A layer norm of 12 elements in 2 groups: x, y 96, mean, rstd 32.
    group((1, 6, 2), 2, parameters=0, flops=96, bytes=128, counts="layer_norm", name="cost"),
    # 8 flops for each of 32 elements; x, y 256, weight, bias 32, mean, rstd 32.
    group((1, 4, 8), 2, flops=256, bytes=320, name="cost_of_planes"),
    # A channel of 2 x 3 x 2: 8 flops for each of 12 elements; x, y 96, weight, bias 24,
    # mean, rstd, var 72.
    trained(2, 3, 2, flops=96, bytes=192, name="cost"),
    # 4 flops; x, y 96, running mean and var, weight, bias 48.
    running(2, 3, 2, flops=48, bytes=144, name="cost"),
    # 8 flops for each of 12 elements; x, y 96, weight, bias 32, mean, rstd 48.
    layer((3, 4), flops=96, bytes=176, name="cost"),
    Case("_core.batch_norm_update", (normal(4, 3, 2), normal(3), positive(3)), {"momentum": 0.1},
         core_update, twins["batch_norm_update"], grad=(), terms=wide),
    Case("_core.batch_norm_backward", (normal(4, 3, 2), normal(4, 3, 2), positive(3)), {},
         core_batch_norm_backward, twins["batch_norm_backward"], grad=(), terms=wide),
    Case("_core.layer_norm_backward", (normal(4, 3, 2), normal(4, 3, 2), positive(3, 2)), {},
         core_layer_norm_backward, layer_norm_backward_twin, grad=(), terms=wide),
    Case("_core.group_norm_backward", (normal(3, 4, 9), normal(3, 4, 9), positive(4)), {},
         core_group_norm_backward, group_norm_backward_twin, grad=(), terms=wide),
]  # fmt: skip
