"""Modules of dlx.nn as plain data and back: class names and constructor arguments, no code.

A tree is {"class": name, "config": {argument: value}, "children": [[name, tree], ...], "training":
bool, "frozen": [parameter, ...]}. Only containers list children, the arguments that made them. A
module met a second time is {"same": path of the first}.
"""

from __future__ import annotations

import dlx
from dlx import nn

__all__ = ["describe", "rebuild"]

CONTAINERS = ("Sequential", "ModuleList")


def describe(root):
    """The tree of a module; TypeError, naming the place, where a class is not of dlx.nn."""
    paths = {}  # id of a module -> its first path
    owners = {}  # id of a Parameter -> its first name

    def tree_of(module, path):
        if id(module) in paths:
            return {"same": paths[id(module)]}
        paths[id(module)] = path
        name = type(module).__name__
        if type(module) is not _class_named(name):
            raise TypeError(
                f"{path or 'the model'} is a {name}, not a class of dlx.nn: a file holds no code; "
                f"save its state_dict(), or call model.save(path)"
            )
        frozen = []
        for key, parameter in module.named_parameters(recurse=False):
            first = owners.setdefault(id(parameter), _join(path, key))
            if first != _join(path, key):
                raise TypeError(f"{_join(path, key)} is the same Parameter as {first}")
            if not parameter.requires_grad:
                frozen.append(key)
        tree = {"class": name, "training": module.training, "frozen": frozen}
        if name in CONTAINERS:
            named = module._children()
            tree["children"] = [[key, tree_of(child, _join(path, key))] for key, child in named]
        else:
            config = module._config().items()
            tree["config"] = {key: _plain(value, _join(path, key)) for key, value in config}
        return tree

    return tree_of(root, "")


def rebuild(tree, weights):
    """The module of a tree, with `weights` loaded. The random generator stays as it was."""
    modules = {}  # path -> module
    flags = []

    def module_of(tree, path):
        if "same" in tree:
            return modules[tree["same"]]
        cls = _class_named(tree["class"])
        if cls is None:
            raise ValueError(f"no class {tree['class']!r} in dlx.nn")
        if tree["class"] in CONTAINERS:
            module = cls()
            for key, child in tree["children"]:
                module.add_module(key, module_of(child, _join(path, key)))
        else:
            module = cls(**{key: _value(value) for key, value in tree["config"].items()})
        modules[path] = module
        flags.append((module, bool(tree["training"]), list(tree["frozen"])))
        return module

    state = dlx.random.get_state()
    try:
        root = module_of(tree, "")
    finally:
        dlx.random.set_state(state)
    root.load_state_dict(weights)
    for module, training, frozen in flags:
        module.training = training
        parameters = dict(module.named_parameters(recurse=False))
        for key in frozen:
            parameters[key].requires_grad = False
    return root


def _class_named(name):
    """The Module class that dlx.nn exports under `name`, or None."""
    cls = getattr(nn, name) if isinstance(name, str) and name in nn.__all__ else None
    return (
        cls
        if isinstance(cls, type) and issubclass(cls, nn.Module) and cls is not nn.Module
        else None
    )


def _plain(value, place):
    """A constructor argument as JSON; of a Tensor, a buffer by now, the shape and dtype only."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dlx.Tensor):
        return {"shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, (list, tuple)):
        return [_plain(item, place) for item in value]
    raise TypeError(f"{place} is a {type(value).__name__}, which a file cannot hold")


def _value(value):
    if isinstance(value, dict):
        return dlx.zeros(tuple(value["shape"]), dtype=value["dtype"])
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    return value


def _join(path, key):
    return f"{path}.{key}" if path else key
