"""fuse: batch norms folded into the layers in front of them, for inference."""

from __future__ import annotations

from itertools import pairwise

from dlx.nn import _state
from dlx.nn.containers import Sequential
from dlx.nn.conv import Conv1d, Conv2d
from dlx.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d
from dlx.nn.linear import Linear
from dlx.nn.module import Module
from dlx.nn.norm import BatchNorm1d, BatchNorm2d
from dlx.nn.parameter import Parameter
from dlx.nn.shape import Identity
from dlx.ops.elementwise import sqrt
from dlx.ops.shape import reshape

__all__ = ["fuse"]

# Layer -> the norm of its output's channels. A subclass of either may compute something else.
_NORM_OF = {
    Linear: BatchNorm1d,
    Conv1d: BatchNorm1d,
    Conv2d: BatchNorm2d,
    ConvTranspose1d: BatchNorm1d,
    ConvTranspose2d: BatchNorm2d,
}


def fuse(model, pairs=None):
    """A copy of model for inference, in which each convolution or Linear that is directly followed
    by a batch norm computes both:

        weight ← weight · s,  bias ← (bias - running_mean) · s + beta,
        s = gamma / sqrt(running_var + eps),

    and an Identity has the place of the norm. The copy is in evaluation mode, and its outputs are
    those of model.eval() up to rounding; model itself stays as it is. Compile it anew to evaluate.
    A layer so changed raises ValueError for an input that is not a batch, as the norm did (by a
    hook: deepcopy and pickle keep it, a file of dlx.save does not).

    Neighbours in a Sequential are found. Which layers of another module follow each other is known
    to its forward only, so that its class names them:

        class Block(nn.Module):
            fuse_pairs = (("conv1", "bn1"), ("conv2", "bn2"))

    The names are those of attributes, dotted for what lies deeper. In place of all this,
    pairs=[("conv1", "bn1"), ("layer1.0.conv1", "layer1.0.bn1")] names what to fuse, from model on.
    Of a pair nothing but the norm may take the layer's output: what forward does is not checked.

    Raises RuntimeError for a lazy layer before its first batch; ValueError for names that are not
    of a layer and a batch norm that fit each other, for a norm without running statistics, for a
    layer or norm with two places in the model, for one with hooks, and for a class that inherits
    fuse_pairs but not the forward that they tell about.
    """
    from copy import deepcopy

    if not isinstance(model, Module):
        raise TypeError(f"fuse: expected a Module, got {type(model).__name__}")
    _state.check_materialized(model, "fuse")
    names = list(dict.fromkeys(_found(model) if pairs is None else _pairs("pairs", pairs)))
    _check(model, names)
    fused = deepcopy(model).eval()
    vars(fused).pop("_plan", None)
    vars(fused).pop("optimizer", None)
    for layer, norm in names:
        parent, _, name = norm.rpartition(".")
        _fold(_at(fused, layer), _at(fused, norm))
        setattr(_at(fused, parent), name, Identity().eval())
    return fused


def _found(model):
    """The pairs that Sequentials show and classes declare, as names from model on."""
    for path, module in model.named_modules():
        prefix = path + "." if path else ""
        if type(module).forward is Sequential.forward:
            children = list(module._children())
            for (a, layer), (b, norm) in pairwise(children):
                if _fits(layer, norm):
                    yield prefix + a, prefix + b
        for layer, norm in _declared(type(module)):
            yield prefix + layer, prefix + norm


def _declared(cls):
    """The pairs of a class; they tell about the forward beside or below them, no later one."""
    for base in cls.__mro__:
        if "fuse_pairs" in vars(base):
            return _pairs(f"{base.__name__}.fuse_pairs", base.fuse_pairs)
        if "forward" in vars(base) and hasattr(cls, "fuse_pairs"):
            raise ValueError(
                f"fuse: {base.__name__} has a forward of its own and inherits fuse_pairs, which "
                f"tell about another: declare fuse_pairs in {base.__name__}"
            )
    return ()


def _pairs(what, pairs):
    for pair in pairs:
        two = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not two or not all(isinstance(name, str) for name in pair):
            raise ValueError(f"fuse: {what} expects pairs of names (layer, norm), got {pair!r}")
        yield tuple(pair)


def _fits(layer, norm):
    return type(norm) is _NORM_OF.get(type(layer), Module)


def _at(model, path):
    """The module of a dotted name; "" is model itself."""
    for name in filter(None, path.split(".")):
        if name not in model._modules or vars(model)[name] is None:
            known = ", ".join(name for name, _ in model._children()) or "none"
            raise ValueError(f"fuse: {path!r} names no layer: {type(model).__name__} has {known}")
        model = vars(model)[name]
    return model


def _check(model, names):
    """Raise on the first pair that cannot be fused."""
    places = {}  # id of a module -> its places
    for path, module in model.named_modules():
        for name, child in module._children():
            places.setdefault(id(child), []).append(f"{path}.{name}" if path else name)
    seen = {}
    for pair in names:
        layer, norm = (_at(model, name) for name in pair)
        shown = f"({pair[0]}, {pair[1]})"
        if not _fits(layer, norm):
            raise ValueError(
                f"fuse: {shown} must be a convolution or Linear and the batch norm of its output, "
                f"got {type(layer).__name__} and {type(norm).__name__}"
            )
        if norm.running_mean is None:
            raise ValueError(
                f"fuse: {pair[1]} has no running statistics (track_running_stats=False)"
            )
        channels = layer.out_features if type(layer) is Linear else layer.out_channels
        if channels != norm.num_features:
            raise ValueError(
                f"fuse: {pair[0]} has {channels} output channels, {pair[1]} {norm.num_features}"
            )
        for name, module in zip(pair, (layer, norm)):
            if len(places.get(id(module), ())) != 1 or id(module) in seen:
                where = " and ".join(places.get(id(module), [name]))
                if id(module) in seen:
                    where = f"the pairs {seen[id(module)]} and {shown}"
                raise ValueError(f"fuse: {name} is shared, by {where}")
            if module._forward_hooks or module._forward_pre_hooks:
                raise ValueError(f"fuse: {name} has hooks, which would see other values")
            seen[id(module)] = shown


def _fold(layer, norm):
    """Put the norm into the layer's weight and bias. In float64: the result is rounded once."""

    def wide(p):
        return p.detach().astype("float64")

    scale = 1 / sqrt(wide(norm.running_var) + norm.eps)
    if norm.weight is not None:
        scale = scale * wide(norm.weight)
    bias = -wide(norm.running_mean) * scale
    if layer.bias is not None:
        bias = bias + wide(layer.bias) * scale
    if norm.bias is not None:
        bias = bias + wide(norm.bias)
    weight, trains = layer.weight, layer.weight.requires_grad
    scaled = _scaled(layer, wide(weight), scale)
    layer.weight = Parameter(scaled.astype(weight.dtype), requires_grad=trains)
    layer.bias = Parameter(bias.astype(weight.dtype), requires_grad=trains)
    layer.register_forward_pre_hook(_check_batch)


def _check_batch(layer, args):
    """The channels of the norm were those of axis 1: of (N, features), (N, C, ...)."""
    x, expected = args[0], layer.weight.ndim
    if x.ndim != expected:
        raise ValueError(
            f"expected x of {expected} dimensions, as the batch norm fused with this layer did, "
            f"got {x.shape}"
        )


def _scaled(layer, weight, scale):
    """weight with each output channel's part times its scale."""
    ones = (1,) * (weight.ndim - 2)
    if not isinstance(layer, (ConvTranspose1d, ConvTranspose2d)):
        return weight * reshape(scale, (-1, 1, *ones))
    # (C, K / groups, ...): the channels of one group of C make those of one group of K.
    c, k, *kernel = weight.shape
    groups = layer.groups
    split = reshape(weight, (groups, c // groups, k, *kernel))
    return reshape(split * reshape(scale, (groups, 1, k, *ones)), weight.shape)
