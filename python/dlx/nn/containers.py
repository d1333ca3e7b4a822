"""Containers of layers: Sequential runs them in order, ModuleList only holds them."""

from __future__ import annotations

import operator
from collections.abc import Mapping

from dlx.nn.module import Module

__all__ = ["ModuleList", "Sequential"]


class _List(Module):
    """What both containers share: children in order, named "0", "1", … unless named otherwise."""

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        own = vars(self)
        return iter([own[name] for name in self._modules])

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._slice(list(self._modules)[index])
        return vars(self)[self._name(index)]

    def __setitem__(self, index, module):
        setattr(self, self._name(index), self._checked(module))

    def __delitem__(self, index):
        names = list(self._modules)
        gone = names[index] if isinstance(index, slice) else [self._name(index)]
        kept = [(name, vars(self)[name]) for name in names if name not in gone]
        for name in names:
            delattr(self, name)
        for name, module in kept:
            if name.isdecimal():
                self.append(module)
            else:
                self.register_module(name, module)

    def append(self, module):
        """Add a layer at the end, under the next free number; returns the container."""
        number = len(self)
        while str(number) in self._modules:
            number += 1
        self.register_module(str(number), self._checked(module))
        return self

    def extend(self, modules):
        """Add layers at the end; returns the container."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index, module):
        """Put a layer in front of the one at index and number anew; returns the container.

        Raises ValueError where layers have names: they would lose them."""
        named = [name for name in self._modules if not name.isdecimal()]
        if named:
            raise ValueError(f"insert: expected numbered layers, got {', '.join(named)}")
        layers = list(self)
        layers.insert(operator.index(index), self._checked(module))
        del self[:]
        return self.extend(layers)

    def pop(self, index):
        """Take the layer at index out, number the rest anew; returns the layer."""
        layer = self[index]
        del self[index]
        return layer

    def _name(self, index):
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(
                f"{type(self).__name__}: indices are integers or slices, got {type(index).__name__}"
            ) from None
        if not -len(self) <= position < len(self):
            raise IndexError(
                f"{type(self).__name__}: index {position} is out of range for {len(self)} layers"
            )
        return list(self._modules)[position]

    def _checked(self, module):
        if not isinstance(module, Module):
            kind = type(self).__name__
            hint = f"; write {kind}(*layers)" if isinstance(module, (list, tuple)) else ""
            raise TypeError(f"{kind}: expected a Module, got {type(module).__name__}{hint}")
        return module


class Sequential(_List):
    """The layers one after the other: Sequential(a, b)(x) is b(a(x)).

    Takes the layers themselves, or one dict of name to layer. Slices keep the layers' names.
    """

    def __init__(self, *layers):
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name, layer in layers[0].items():
                self.register_module(name, self._checked(layer))
        else:
            self.extend(layers)

    def forward(self, x):
        """x: what the first layer takes; returns what the last one gives."""
        own = vars(self)
        for name in self._modules:
            x = own[name](x)
        return x

    def _slice(self, names):
        return Sequential({name: vars(self)[name] for name in names})


class ModuleList(_List):
    """A list of layers that parameters, state_dict and the rest look into. It has no forward."""

    def __init__(self, modules=()):
        self.extend(modules)

    def _slice(self, names):
        return ModuleList([vars(self)[name] for name in names])
