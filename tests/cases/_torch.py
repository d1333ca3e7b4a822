"""The same ops as PyTorch spells them: (torch, *tensors, **the case's kwargs) -> tensor."""

from __future__ import annotations

RENAMED = {"equal": "eq", "not_equal": "ne", "pow": "pow", "permute_dims": "permute"}
SAME_NAMES = """
add subtract multiply divide negative abs exp log sqrt tanh sigmoid relu maximum minimum where
less less_equal greater greater_equal matmul reshape squeeze argmax argmin
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
    "linear": _linear,
    **{name: _functional(name) for name in ("softmax", "log_softmax", "cross_entropy", "mse_loss")},
}
