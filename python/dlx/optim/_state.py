"""Groups of parameters, checked, and the state of an optimizer in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Mapping

import dlx
from dlx._tensor import Tensor

__all__ = ["groups_of", "load_state_dict", "params_of", "state_dict"]


def groups_of(where, params):
    """params of a constructor as a list of group dicts."""
    expected = f"{where}: params must be an iterable of Tensors or of dicts"
    if isinstance(params, (Tensor, Mapping)):
        raise TypeError(f"{expected}, got one {type(params).__name__}; put it in a list")
    if not hasattr(params, "__iter__"):
        hint = "; pass model.parameters()" if hasattr(params, "parameters") else ""
        raise TypeError(f"{expected}, got {type(params).__name__}{hint}")
    items = list(params)
    if items and all(isinstance(item, Mapping) for item in items):
        return items
    return [{"params": items}]


def params_of(where, group, taken):
    """The Tensors of a group as a list. taken: those of earlier groups."""
    if "params" not in group:
        raise ValueError(f"{where}: a parameter group needs the key 'params', got {sorted(group)}")
    params = group["params"]
    params = [params] if isinstance(params, Tensor) else list(params)
    seen = {id(param) for param in taken}
    for number, param in enumerate(params):
        if not isinstance(param, Tensor):
            raise TypeError(
                f"{where}: parameter {number} must be a Tensor, got {type(param).__name__}; "
                f"pass model.parameters()"
            )
        if not param.is_leaf:
            raise ValueError(
                f"{where}: parameter {number} is not a leaf: it was computed from others, "
                f"shape={tuple(param.shape)}"
            )
        if not param.dtype.is_floating:
            raise TypeError(f"{where}: parameter {number} must be floating, got {param.dtype}")
        if id(param) in seen:
            raise ValueError(
                f"{where}: parameter {number}, shape={tuple(param.shape)}, appears more than once"
            )
        seen.add(id(param))
    return params


def state_dict(optimizer):
    """See Optimizer.state_dict."""
    state = {}
    for span in optimizer._spans:
        started = int(span.step) > 0
        for index, _, group, arrays in span.members:
            if started or optimizer._initial(optimizer.param_groups[group]) != 0:
                snapshots = {name: array.detach() for name, array in arrays.items()}
                state[index] = {"step": span.step.detach(), **snapshots}
    groups, first = [], 0
    for group, lr in zip(optimizer.param_groups, optimizer._current_rates()):
        after = first + len(group["params"])
        groups.append({**group, "lr": lr, "params": list(range(first, after))})
        first = after
    return {"state": {index: state[index] for index in sorted(state)}, "param_groups": groups}


def load_state_dict(optimizer, saved):
    """See Optimizer.load_state_dict."""
    where = f"{type(optimizer).__name__}.load_state_dict"
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= set(saved):
        raise TypeError(f"{where}: expected a dict with the keys 'state' and 'param_groups'")
    own = [len(group["params"]) for group in optimizer.param_groups]
    came = [len(group["params"]) for group in saved["param_groups"]]
    if own != came:
        raise ValueError(f"{where}: expected groups of {own} parameters, got {came}")

    groups = [
        _loaded_group(optimizer, where, group, loaded)
        for group, loaded in zip(optimizer.param_groups, saved["param_groups"])
    ]
    steps, states = [], []
    for group, loaded in zip(groups, saved["param_groups"]):
        names = optimizer._state_names(group)
        for param, key in zip(group["params"], loaded["params"]):
            step, arrays = _loaded_state(where, key, param, names, saved["state"].get(key, {}))
            steps.append(step)
            states.append(arrays)

    for group, loaded in zip(optimizer.param_groups, groups):
        group.update(loaded)
    optimizer._states = states
    optimizer._plan(steps)


def _loaded_group(optimizer, where, group, loaded):
    """A copy of group with the loaded hyperparameters."""
    for name, expected in optimizer._fixed:
        if bool(loaded.get(name, expected)) is not expected:
            raise ValueError(f"{where}: {name}={loaded[name]} is another optimizer's setting")
    result = dict(group)
    for name, default in optimizer.defaults.items():
        if name in loaded and not (name == "lr" and callable(group["lr"])):
            value = loaded[name]
            result[name] = tuple(value) if isinstance(default, tuple) else value
    optimizer._check(result)
    return result


def _loaded_state(where, key, param, names, entry):
    """(steps done, arrays) of one parameter. PyTorch's SGD keeps no count: a buffer means ≥ 1."""
    arrays = {name: entry[name] for name in names if entry.get(name) is not None}
    if arrays and len(arrays) < len(names):
        raise ValueError(
            f"{where}: parameter {key} expects {', '.join(names)}, got {', '.join(entry)}"
        )
    for name, value in arrays.items():
        array = value if isinstance(value, Tensor) else dlx.tensor(value)
        if tuple(array.shape) != tuple(param.shape):
            raise ValueError(
                f"{where}: {name} of parameter {key} expects {tuple(param.shape)}, "
                f"got {tuple(array.shape)}"
            )
        arrays[name] = array.detach().astype(param.dtype).to(param.device)
    step = int(entry["step"]) if "step" in entry else int(bool(arrays))
    return step, arrays
