"""The same ops as PyTorch spells them: (torch, *tensors, **the case's kwargs) -> tensor."""

from __future__ import annotations

from cases._torch_pool import POOLING

RENAMED = {"equal": "eq", "not_equal": "ne", "pow": "pow", "permute_dims": "permute"}
SAME_NAMES = """
add subtract multiply divide negative abs exp log sqrt tanh sigmoid relu maximum minimum where
less less_equal greater greater_equal matmul reshape squeeze argmax argmin
log1p expm1 erf sin cos square reciprocal rsqrt sign floor ceil trunc round remainder
"""
SAME = SAME_NAMES.split()


def _same(name):
    def call(torch, *tensors, **kwargs):
        kwargs = {{"axis": "dim", "keepdims": "keepdim"}.get(k, k): v for k, v in kwargs.items()}
        function = getattr(torch, name)
        if kwargs.get("dim", 0) is None:
            kwargs.pop("dim")
            if kwargs.pop("keepdim", False):
                return function(*tensors).reshape((1,) * tensors[0].ndim)
        return function(*tensors, **kwargs)

    return call


def _reduction(name, **fixed):
    def call(torch, x, axis=None, keepdims=False, **kwargs):
        axis = tuple(range(x.ndim)) if axis is None else axis
        return getattr(torch, name)(x, axis, keepdim=keepdims, **fixed, **kwargs)

    return call


def _functional(name):
    def call(torch, *tensors, **kwargs):
        kwargs = {"dim" if k == "axis" else k: v for k, v in kwargs.items()}
        return getattr(torch.nn.functional, name)(*tensors, **kwargs)

    return call


def _joined(name):
    return lambda torch, *tensors, axis: getattr(torch, name)(tensors, axis)


def _clip(torch, x, min=None, max=None):
    return torch.clip(x, min, max)


def _take(torch, x, indices, axis=0):
    flat = torch.index_select(x, axis, indices.reshape(-1) % x.shape[axis])
    axis %= x.ndim
    return flat.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _linear(torch, x, weight, bias=None):
    return torch.nn.functional.linear(x, weight, bias)


def _var(name):
    def call(torch, x, axis=None, keepdims=False, correction=0.0):
        return getattr(torch, name)(x, axis, correction=correction, keepdim=keepdims)

    return call


def _batch_norm(torch, x, *rest, training):
    statistics, parameters = ((None, None), rest) if training else (rest[:2], rest[2:])
    return torch.nn.functional.batch_norm(x, *statistics, *parameters, training=training)


def _layer_norm(torch, x, *parameters, normalized_shape):
    return torch.nn.functional.layer_norm(x, normalized_shape, *parameters)


def _pad(torch, x, pad_width, mode="constant", value=0):
    """One axis at a time: PyTorch has the other modes for the last dimensions only."""
    for axis, border in enumerate(pad_width):
        x = x.movedim(axis, -1)
        lines = x.reshape(1, -1, x.shape[-1]) if mode != "constant" else x
        kwargs = {"value": value} if mode == "constant" else {}
        y = torch.nn.functional.pad(lines, border, mode, **kwargs)
        x = y.reshape(*x.shape[:-1], y.shape[-1]).movedim(-1, axis)
    return x


def _cumsum(torch, x, axis=0, reverse=False):
    return x.flip(axis).cumsum(axis).flip(axis) if reverse else x.cumsum(axis)


FUNCTIONAL_NAMES = """
softmax log_softmax cross_entropy mse_loss nll_loss l1_loss smooth_l1_loss huber_loss
binary_cross_entropy binary_cross_entropy_with_logits kl_div leaky_relu elu gelu silu softplus
hardtanh relu6 selu hardswish mish logsigmoid softsign softmin prelu
"""  # not hardsigmoid: PyTorch's gradient takes 1/6 in float32
FUNCTIONAL = FUNCTIONAL_NAMES.split()


def _conv_transpose2d(torch, x, *rest, output_size=None, **options):
    return torch.nn.functional.conv_transpose2d(x, *rest, **options)


def _conv2d_backward_weight(torch, x, dy, kernel_size, groups=1, padding=0, **options):
    if padding == "same":
        padding = kernel_size // 2
    r, s = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    w = x.new_zeros(dy.shape[1], x.shape[1] // groups, r, s)
    options |= {"groups": groups, "padding": padding}

    def loss(w):
        return (torch.nn.functional.conv2d(x, w, **options) * dy).sum()

    return torch.func.grad(loss)(w)


def _group_norm(torch, x, *parameters, num_groups):
    return torch.nn.functional.group_norm(x, num_groups, *parameters)


PARITY = {
    **{name: _same(name) for name in SAME},
    **{name: _same(theirs) for name, theirs in RENAMED.items()},
    "sum": _reduction("sum"),
    "mean": _reduction("mean"),
    "max": _reduction("amax"),
    "min": _reduction("amin"),
    "var": _var("var"),
    "std": _var("std"),
    "clip": _clip,
    "permute_dims": lambda torch, x, axes: x.permute(axes),
    "broadcast_to": lambda torch, x, shape: torch.broadcast_to(x, shape),
    "expand_dims": lambda torch, x, axis: torch.unsqueeze(x, axis),
    "concat": _joined("cat"),
    "stack": _joined("stack"),
    "take": _take,
    "pad": _pad,
    "flip": lambda torch, x, axis=None: x.flip(tuple(range(x.ndim)) if axis is None else axis),
    "roll": lambda torch, x, shift, axis=None: x.roll(shift, axis),
    "tile": lambda torch, x, repetitions: x.tile(repetitions),
    "tril": lambda torch, x, k=0: x.tril(k),
    "triu": lambda torch, x, k=0: x.triu(k),
    "cumsum": _cumsum,
    "embedding": _functional("embedding"),
    **{name: _functional(name) for name in ("conv1d", "conv2d", "conv_transpose1d")},
    "conv_transpose2d": _conv_transpose2d,
    "conv2d_backward_weight": _conv2d_backward_weight,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    **POOLING,
    "group_norm": _group_norm,
    **{name: _functional(name) for name in FUNCTIONAL},
    "logsumexp": _reduction("logsumexp"),
}
