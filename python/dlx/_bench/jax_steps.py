"""The training steps of steps.py in JAX: dlx's Modules run by lax, Adam by optax, one jit a step.

Images are NHWC and kernels HWIO, as XLA's convolutions on a CPU prefer them; the weights are dlx's,
laid out so before the first step. A step donates its state, and is waited for.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np

from dlx import _core
from dlx._bench.steps import RATE, Adversaries

__all__ = ["import_jax", "make"]

_jax: Any = None  # set by import_jax, as are these
_lax: Any = None
_optax: Any = None


def import_jax():
    """JAX with as many threads as dlx has; ImportError, with the reason, without it or optax.

    XLA takes its number of threads from the environment, once for a process."""
    global _jax, _lax, _optax
    threads = _core.num_threads()
    os.environ.setdefault("NPROC", str(threads))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if threads == 1:
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import jax
    import optax

    _jax, _lax, _optax = jax, jax.lax, optax
    return jax


def make(task):
    """partial(step): a step of one of steps.ROWS, which returns the loss."""
    return _adversaries(task) if isinstance(task, Adversaries) else _task(task)


def _task(task):
    model, x, y = task.start()
    weights, buffers = _state(model)
    x, y = _array(x), _array(y)
    optimizer = _optax.adam(RATE)

    def loss_of(weights, buffers, x, y):
        p, buffers = _run(model, weights, buffers, x)
        return _LOSSES[task.loss](p, y), buffers

    def step(state, x, y):
        weights, buffers, moments = state
        gradient = _jax.value_and_grad(loss_of, has_aux=True)
        (loss, buffers), dweights = gradient(weights, buffers, x, y)
        return _updated(optimizer, dweights, weights, buffers, moments), loss

    return _stepping(step, (weights, buffers, optimizer.init(weights)), x, y)


def _adversaries(task):
    generator, discriminator, z, real = task.start()
    g, d = _state(generator), _state(discriminator)
    optimizer = _optax.adam(RATE, *task.betas)
    bce = _LOSSES["binary_cross_entropy_with_logits"]

    def told_apart(weights, buffers, real, fake):
        p, buffers = _run(discriminator, weights, buffers, real)
        loss = bce(p, 1.0)
        p, buffers = _run(discriminator, weights, buffers, fake)
        return loss + bce(p, 0.0), buffers

    def taken_in(fake, weights, buffers):
        p, buffers = _run(discriminator, weights, buffers, fake)
        return bce(p, 1.0), buffers

    def step(state, z, real):
        (g, g_buffers, g_moments), (d, d_buffers, d_moments) = state
        fake, pull_back, g_buffers = _jax.vjp(
            lambda g: _run(generator, g, g_buffers, z), g, has_aux=True
        )
        gradient = _jax.value_and_grad(told_apart, has_aux=True)
        (loss, d_buffers), dd = gradient(d, d_buffers, real, fake)
        d, d_buffers, d_moments = _updated(optimizer, dd, d, d_buffers, d_moments)
        gradient = _jax.value_and_grad(taken_in, has_aux=True)
        (fooled, d_buffers), dfake = gradient(fake, d, d_buffers)
        g_state = _updated(optimizer, *pull_back(dfake), g, g_buffers, g_moments)
        return (g_state, (d, d_buffers, d_moments)), loss + fooled

    state = ((*g, optimizer.init(g[0])), (*d, optimizer.init(d[0])))
    return _stepping(step, state, _array(z), _array(real))


def _updated(optimizer, gradients, weights, buffers, moments):
    updates, moments = optimizer.update(gradients, moments)
    return _optax.apply_updates(weights, updates), buffers, moments


def _stepping(step, state, x, y):
    """partial(f, x, y) whose calls advance the state."""
    compiled = _jax.jit(step, donate_argnums=0)

    def run(x, y):
        nonlocal state
        state, loss = compiled(state, x, y)
        return loss.block_until_ready()

    return partial(run, x, y)


def _array(x):
    """An array of JAX's; images NCHW -> NHWC."""
    x = x.numpy()
    return _jax.numpy.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)


def _state(model):
    """({name: weight}, {name: buffer}) of a dlx network, in JAX's layouts."""
    weights, buffers = {}, {}
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        for key, w in module.named_parameters(recurse=False):
            weights[prefix + key] = _jax.numpy.asarray(_laid_out(module, w.numpy()))
        for key, b in module.named_buffers(recurse=False):
            buffers[prefix + key] = _jax.numpy.asarray(b.numpy())
    return weights, buffers


def _laid_out(module, w):
    """(K, D) -> (D, K); (K, C, R, S) -> (R, S, C, K); (C, K, R, S), turned by 180 degrees as a
    transposed convolution takes it, -> (R, S, C, K)."""
    if w.ndim == 2:
        w = w.T
    elif w.ndim == 4 and type(module).__name__ == "ConvTranspose2d":
        w = w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
    elif w.ndim == 4:
        w = w.transpose(2, 3, 1, 0)
    return np.ascontiguousarray(w)


# Networks: each function is called with the Module, its state by name, and its input, NHWC


def _run(model, weights, buffers, x):
    """(y, buffers after it)."""
    after = dict(buffers)
    return _forward(model, "", weights, after, x), after


def _forward(module, prefix, weights, buffers, x):
    return _LAYERS[type(module).__name__](module, prefix, weights, buffers, x)


def _child(module, name, prefix, weights, buffers, x):
    return _forward(getattr(module, name), f"{prefix}{name}.", weights, buffers, x)


def _sequential(module, prefix, weights, buffers, x):
    for i, layer in enumerate(module):
        x = _forward(layer, f"{prefix}{i}.", weights, buffers, x)
    return x


def _linear(module, prefix, weights, buffers, x):
    return x @ weights[prefix + "weight"] + weights[prefix + "bias"]


def _conv(module, prefix, weights, buffers, x):
    padding = module.padding
    padding = padding.upper() if isinstance(padding, str) else [(p, p) for p in padding]
    return _convolved(x, prefix, weights, window_strides=module.stride, padding=padding)


def _conv_transpose(module, prefix, weights, buffers, x):
    padding = [(r - 1 - p, r - 1 - p) for r, p in zip(module.kernel_size, module.padding)]
    return _convolved(
        x, prefix, weights, window_strides=(1, 1), padding=padding, lhs_dilation=module.stride
    )


def _convolved(x, prefix, weights, **options):
    layouts = ("NHWC", "HWIO", "NHWC")
    y = _lax.conv_general_dilated(
        x, weights[prefix + "weight"], **options, dimension_numbers=layouts
    )
    return y + weights[prefix + "bias"] if prefix + "bias" in weights else y


def _batch_norm(module, prefix, weights, buffers, x):
    n = x.size // x.shape[-1]
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    keep = 1 - module.momentum
    for key, now in (("running_mean", mean), ("running_var", variance * (n / (n - 1)))):
        now = _lax.stop_gradient(now)
        buffers[prefix + key] = keep * buffers[prefix + key] + module.momentum * now
    buffers[prefix + "num_batches_tracked"] += 1
    scale = weights[prefix + "weight"] * _lax.rsqrt(variance + module.eps)
    return (x - mean) * scale + weights[prefix + "bias"]


def _max_pool(module, prefix, weights, buffers, x):
    # Windows side by side: the gradient of XLA's reduce_window is slow on CPUs.
    n, h, w, c = x.shape
    size = module.kernel_size
    if size != module.stride or h % size or w % size:
        raise NotImplementedError(f"max pooling of {h}x{w} by {size}, stride {module.stride}")
    return x.reshape(n, h // size, size, w // size, size, c).max((2, 4))


def _flatten(module, prefix, weights, buffers, x):
    # The next layer's weights belong to NCHW. These images are small.
    return x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)


def _pointwise(function):
    return lambda module, prefix, weights, buffers, x: function(module, x)


def _block(module, prefix, weights, buffers, x):
    """steps.py's Block of ResNet-20."""
    y, relu = x, _jax.nn.relu
    for name in ("conv1", "bn1", "conv2", "bn2"):
        y = _child(module, name, prefix, weights, buffers, y)
        y = relu(y) if name == "bn1" else y
    x = x[:, :: module.stride, :: module.stride]
    return relu(y + _jax.numpy.pad(x, ((0, 0), (0, 0), (0, 0), (module.new, module.new))))


def _resnet(module, prefix, weights, buffers, x):
    for name in ("conv1", "bn1"):
        x = _child(module, name, prefix, weights, buffers, x)
    x = _child(module, "blocks", prefix, weights, buffers, _jax.nn.relu(x))
    return _child(module, "linear", prefix, weights, buffers, x.mean((1, 2)))


_LAYERS = {
    "Sequential": _sequential,
    "Linear": _linear,
    "Conv2d": _conv,
    "ConvTranspose2d": _conv_transpose,
    "BatchNorm2d": _batch_norm,
    "MaxPool2d": _max_pool,
    "Flatten": _flatten,
    "ReLU": _pointwise(lambda module, x: _jax.nn.relu(x)),
    "LeakyReLU": _pointwise(lambda module, x: _jax.nn.leaky_relu(x, module.negative_slope)),
    "Tanh": _pointwise(lambda module, x: _jax.numpy.tanh(x)),
    "Sigmoid": _pointwise(lambda module, x: _jax.nn.sigmoid(x)),
    "Block": _block,
    "ResNet": _resnet,
}


def _cross_entropy(p, y):
    return _optax.softmax_cross_entropy_with_integer_labels(p, y).mean()


def _binary_cross_entropy(p, y):
    return _optax.sigmoid_binary_cross_entropy(p, _jax.numpy.broadcast_to(y, p.shape)).mean()


_LOSSES = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy_with_logits": _binary_cross_entropy,
    "mse_loss": lambda p, y: ((p - y) ** 2).mean(),
}
