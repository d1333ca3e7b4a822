"""Lazy: the base of layers that learn the sizes of their parameters from the first batch."""

from __future__ import annotations

import dlx
from dlx.nn.module import Module
from dlx.nn.parameter import Parameter

__all__ = ["Lazy"]


class Lazy(Module):
    """A layer without parameters yet. Its first call, or `load_state_dict`, creates them.

    A subclass inherits from Lazy and from the layer that it becomes, declares the shapes it knows
    with `_declare`, and tells in `_infer` the ones that an input completes. Created parameters turn
    the object into the layer itself: nothing lazy remains on the hot path, in `repr` or in files.
    """

    _becomes: type[Module]
    layers_made = 0  # in this process

    def _declare(self, shapes, device, dtype):
        """shapes: parameter name -> shape, with None for a size that is still unknown."""
        self._lazy_shapes = shapes
        self._lazy_options = {"device": device, "dtype": dtype}
        for name in shapes:
            self.register_parameter(name, None)

    def _infer(self, x):
        """Return the complete shapes, by parameter name, that the layer needs for the input x."""
        raise NotImplementedError(f"{type(self).__name__}: _infer is not defined")

    def _materialize(self, shapes):
        """Create the parameters, values undefined, and become the layer."""
        options = self._lazy_options
        for name, shape in shapes.items():
            setattr(self, name, Parameter(dlx.empty(shape, **options)))
        del self._lazy_shapes, self._lazy_options
        Lazy.layers_made += 1
        self.__class__ = self._becomes

    def forward(self, x):
        """Create and initialise the parameters for x, then run the layer that this became."""
        self._materialize(self._infer(x))
        self.reset_parameters()
        return self.forward(x)
