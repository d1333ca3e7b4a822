"""The state of a module tree: snapshots, loading, moving. Functions behind Module's methods."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping

import dlx
from dlx import _core
from dlx._device import resolve_device
from dlx._dtype import DType, as_dtype
from dlx._tensor import Tensor

__all__ = ["IncompatibleKeys", "check_materialized", "load_state_dict", "move", "state_dict"]

IncompatibleKeys = namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])


def check_materialized(root, what, recurse=True):
    """Raise RuntimeError if a lazy layer below root has no parameters yet, naming it."""
    for prefix, module in root._walk() if recurse else (("", root),):
        if _lazy_shapes(module):
            path = f"{type(root).__name__}.{prefix[:-1]}" if prefix else type(root).__name__
            raise RuntimeError(
                f"{what}: {path} ({type(module).__name__}({module.extra_repr()})) has no "
                f"parameters before its first batch: call the model once on a batch, or "
                f"model.summary(input_shape)"
            )


def state_dict(root):
    """See Module.state_dict."""
    check_materialized(root, "state_dict")
    return {key: tensor.detach() for key, tensor in _entries(root).items()}


def load_state_dict(root, mapping, strict):
    """See Module.load_state_dict."""
    where = f"{type(root).__name__}.load_state_dict"
    if not isinstance(mapping, Mapping):
        raise TypeError(
            f"{where}: expected a mapping of names to Tensors or NumPy arrays, "
            f"got {type(mapping).__name__}"
        )
    lazy = {path: module for path, module in root._walk() if _lazy_shapes(module)}
    expected = {key: tuple(tensor.shape) for key, tensor in _entries(root).items()}
    for path, module in lazy.items():
        expected.update({path + name: shape for name, shape in module._lazy_shapes.items()})

    values = {key: _tensor(where, key, mapping[key]) for key in expected if key in mapping}
    spared = {path + name for path, module in root._walk() for name in module._spared}
    missing = [key for key in expected if key not in mapping and key not in spared]
    unexpected = [key for key in mapping if key not in expected]
    misshapen = [
        f"{key} expected {_show(expected[key])}, got {tuple(value.shape)}"
        for key, value in values.items()
        if not _fits(tuple(value.shape), expected[key])
    ]
    if misshapen or (strict and (missing or unexpected)):
        problems = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
        lines = [f"\n  {kind} keys: {', '.join(keys)}" for kind, keys in problems.items() if keys]
        raise RuntimeError(f"{where}: the keys do not fit the model{''.join(lines)}")

    for path, module in lazy.items():
        _materialize(module, path, values)
    with dlx.no_grad():
        for key, tensor in _entries(root).items():
            if key in values:
                value = values[key].to(tensor.device, tensor.dtype)
                _core.rebind(tensor, value, "load_state_dict")
    return IncompatibleKeys(missing, unexpected)


def move(root, device, dtype):
    """See Module.to."""
    if dtype is None and isinstance(device, DType):
        device, dtype = None, device
    device = None if device is None else resolve_device(device)
    dtype = None if dtype is None else as_dtype(dtype)
    if dtype is not None and not dtype.is_floating:
        raise TypeError(f"{type(root).__name__}.to: expected a floating dtype, got {dtype}")

    def moved(tensor):
        return tensor.detach().to(device=device, dtype=dtype if tensor.dtype.is_floating else None)

    with dlx.no_grad():
        for kind in ("_parameters", "_buffers"):
            for tensor in {id(t): t for _, t in root._members("", True, kind)}.values():
                _core.rebind(tensor, moved(tensor), "to")
                if tensor.grad is not None:
                    tensor.grad = moved(tensor.grad)
    for _, module in root._walk():
        if _lazy_shapes(module):
            options = module._lazy_options
            options["device"] = options["device"] if device is None else device
            options["dtype"] = options["dtype"] if dtype is None else dtype


def _entries(root):
    """key -> Parameter or persistent buffer, shared ones under each of their keys."""
    entries = {}
    for path, module in root._walk():
        own = vars(module)
        persistent = (name for name, kept in module._buffers.items() if kept)
        for name in (*module._parameters, *persistent):
            if own[name] is not None:
                entries[path + name] = own[name]
    return entries


def _lazy_shapes(module):
    return vars(module).get("_lazy_shapes")


def _materialize(module, path, values):
    """Create the parameters of a lazy layer from loaded values, if these tell every size."""
    shapes = {
        name: tuple(values[path + name].shape) if path + name in values else shape
        for name, shape in module._lazy_shapes.items()
    }
    if any(None in shape for shape in shapes.values()):
        return
    module._materialize(shapes)
    if any(path + name not in values for name in shapes):
        module.reset_parameters()


def _tensor(where, key, value):
    try:
        return value.detach() if isinstance(value, Tensor) else dlx.tensor(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{where}: {key} must be a Tensor or NumPy array, got {type(value).__name__}"
        ) from error


def _fits(shape, expected):
    return len(shape) == len(expected) and all(
        want is None or size == want for size, want in zip(shape, expected)
    )


def _show(shape):
    """A shape with "any" for a size that a lazy layer leaves open."""
    return str(tuple("any" if size is None else size for size in shape)).replace("'", "")
