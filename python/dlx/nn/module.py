"""Module: the base class of every layer and model."""

from __future__ import annotations

from dlx import _core
from dlx._tensor import Tensor
from dlx.nn import _location, _state
from dlx.nn._hooks import RemovableHandle
from dlx.nn.parameter import Parameter
from dlx.train.model import Trainable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Module"]


class Module(Trainable):
    """The base class of layers and models, as PyTorch's: define `forward`, assign attributes.

    A Parameter, a Module or (with `register_buffer`) a Tensor assigned as an attribute belongs to
    the module: `parameters`, `state_dict`, `to`, `train` and the rest find it. Values live in
    `__dict__` like any attribute, so reading one costs nothing more; `_parameters`, `_buffers` and
    `_modules` keep only their names, in the order of registration. `super().__init__()` is welcome
    but not needed.

    An exception raised in a layer's forward keeps its type and says where:
    `Sequential.2 (Linear(64, 10)): linear: ...`.
    """

    _spared: tuple[str, ...] = ()  # buffers that load_state_dict leaves as they are if not given

    def __new__(cls, *args, **kwargs):
        """Make the registries, so that a subclass may forget `super().__init__()`."""
        module = super().__new__(cls)
        module.__dict__.update(
            training=True,
            _parameters={},  # name -> None, an ordered set
            _buffers={},  # name -> whether state_dict has it
            _modules={},  # name -> None, an ordered set
            _forward_pre_hooks={},
            _forward_hooks={},
        )
        return module

    def __init__(self):
        """Make the layer; its class tells about the arguments."""

    def forward(self, *args, **kwargs):
        """Compute the output. Subclasses define it; callers call the module itself."""
        raise NotImplementedError("forward is not defined: a subclass of Module defines it")

    def __call__(self, *args, **kwargs):
        """Run forward between the module's hooks."""
        if _watched:
            _core.enter_module(self)
        try:
            if self._forward_pre_hooks:
                for hook in tuple(self._forward_pre_hooks.values()):
                    changed = hook(self, args)
                    if changed is not None:
                        args = changed if isinstance(changed, tuple) else (changed,)
            output = self.forward(*args, **kwargs)
            if self._forward_hooks:
                for hook in tuple(self._forward_hooks.values()):
                    changed = hook(self, args, output)
                    if changed is not None:
                        output = changed
            return output
        except Exception as error:
            _location.add(error, self)
            raise
        finally:
            if _watched:
                _core.leave_module(self)

    def register_forward_pre_hook(self, hook):
        """Call hook(module, args) before forward; what it returns, if not None, replaces args."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook):
        """Call hook(module, args, output) after forward; a result not None replaces the output."""
        return RemovableHandle(self._forward_hooks, hook)

    # Registration

    def __setattr__(self, name, value):
        if isinstance(value, Parameter):
            self._enlist(self._parameters, name)
        elif isinstance(value, Module):
            self._enlist(self._modules, name)
        elif value is not None:
            self._check_kind(name, value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        object.__delattr__(self, name)
        for names in (self._parameters, self._buffers, self._modules):
            names.pop(name, None)

    def _enlist(self, names, name):
        for other in (self._parameters, self._buffers, self._modules):
            if other is not names:
                other.pop(name, None)
        names.setdefault(name)

    def _check_kind(self, name, value):
        """A registered name keeps its kind: only None, or a Tensor for a buffer, may replace it."""
        for kind, names, wanted in (
            ("parameter", self._parameters, "Parameter"),
            ("module", self._modules, "Module"),
            ("buffer", self._buffers, "Tensor"),
        ):
            if name in names and not (kind == "buffer" and isinstance(value, Tensor)):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a {kind}: expected a {wanted} or None, "
                    f"got {type(value).__name__}"
                )

    def _register(self, names, name, value, kind):
        layer = type(self).__name__
        if not isinstance(name, str):
            raise TypeError(f"{layer}: a name must be a string, got {type(name).__name__}")
        if name == "" or "." in name:
            raise KeyError(f"{layer}: a name must be non-empty and without '.', got {name!r}")
        if hasattr(self, name) and name not in names:
            raise KeyError(f"{layer}: attribute {name!r} exists already")
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{layer}.{name}: expected a {kind.__name__} or None, got {type(value).__name__}"
            )
        object.__setattr__(self, name, value)

    def register_buffer(self, name, tensor, persistent=True):
        """Make tensor (or None) part of the state without being trained.

        persistent: whether `state_dict` has it. Raises KeyError if the name is taken.
        """
        self._register(self._buffers, name, tensor, Tensor)
        self._buffers[name] = bool(persistent)

    def register_parameter(self, name, param):
        """Add a Parameter, or None for one that the module could have and does not."""
        self._register(self._parameters, name, param, Parameter)
        self._parameters.setdefault(name)

    def register_module(self, name, module):
        """Add a child, or None for one that the module could have and does not."""
        self._register(self._modules, name, module, Module)
        self._modules.setdefault(name)

    add_module = register_module

    # Walking: each in PyTorch's order, a module before its children

    def _walk(self, prefix=""):
        """Yield (prefix of its keys, module) for this and all below; shared ones each time."""
        yield prefix, self
        for name, child in self._children():
            yield from child._walk(f"{prefix}{name}.")

    def _children(self):
        """Yield (name, child) of the children that are not None; shared ones each time."""
        own = vars(self)
        for name in self._modules:
            if own[name] is not None:
                yield name, own[name]

    def _members(self, prefix, recurse, kind):
        """Yield (key, tensor) of the registry kind, not None; shared ones each time."""
        for path, module in self._walk(prefix) if recurse else ((prefix, self),):
            own = vars(module)
            for name in own[kind]:
                if own[name] is not None:
                    yield path + name, own[name]

    def named_modules(self, prefix="") -> Iterator[tuple[str, Module]]:
        """Iterate over (dotted name, module) of this ("") and all below, each module once."""
        dotted = prefix + "." if prefix else ""
        return _once((path[:-1], module) for path, module in self._walk(dotted))

    def modules(self) -> Iterator[Module]:
        """Iterate over this module and all below, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Iterate over (name, child), each child once."""
        return _once(self._children())

    def children(self) -> Iterator[Module]:
        """Iterate over the direct children, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(self, prefix="", recurse=True) -> Iterator[tuple[str, Parameter]]:
        """Iterate over (dotted name, Parameter), each once.

        Raises RuntimeError, naming the layer, while a lazy layer has not seen its first batch.
        """
        _state.check_materialized(self, "parameters", recurse)
        dotted = prefix + "." if prefix else ""
        return _once(self._members(dotted, recurse, "_parameters"))

    def parameters(self, recurse=True) -> Iterator[Parameter]:
        """Iterate over the parameters, each once. Raises as `named_parameters`."""
        return iter([param for _, param in self.named_parameters(recurse=recurse)])

    def named_buffers(self, prefix="", recurse=True) -> Iterator[tuple[str, Tensor]]:
        """Iterate over (dotted name, buffer), each once."""
        dotted = prefix + "." if prefix else ""
        return _once(self._members(dotted, recurse, "_buffers"))

    def buffers(self, recurse=True) -> Iterator[Tensor]:
        """Iterate over the buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # State

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, in PyTorch's order.

        The values are detached snapshots: later training does not change them. Raises
        RuntimeError, naming the layer, while a lazy layer has not seen its first batch.
        """
        return _state.state_dict(self)

    def load_state_dict(self, state_dict, strict=True):
        """Take over values by dotted name, cast to each parameter's dtype and device.

        state_dict: mapping of name to Tensor or NumPy array. A lazy layer takes its sizes from it.
        strict: missing and unexpected keys are errors; if False they are only returned, as
        (missing_keys, unexpected_keys). Misshapen values always are. Nothing changes on an error:
        one RuntimeError lists all missing, unexpected and misshapen keys. Only num_batches_tracked
        may be missing in any case, as in PyTorch: old files of its batch norms do not have it.
        """
        return _state.load_state_dict(self, state_dict, strict)

    # Changing all at once: each returns the module

    def apply(self, fn):
        """Call fn(module) on every module, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode=True):
        """Set training (True) or evaluation (False) mode here and below."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Let all parameters require a gradient, or none (freeze)."""
        for param in self.parameters():
            param.requires_grad = bool(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for _, param in self._members("", True, "_parameters"):
            param.grad = None

    def to(self, device=None, dtype=None):
        """Move parameters and buffers, in place, to a device and, floating ones, to a dtype.

        `to(device)`, `to(dtype)` and `to(device, dtype)` are all understood. Optimizers keep their
        hold on the parameters, and follow them to another device at the next step; after a change
        of dtype they must be made anew.
        """
        _state.move(self, device, dtype)
        return self

    def float(self):
        """Convert floating parameters and buffers to float32, in place."""
        return self.to(dtype="float32")

    def double(self):
        """Convert floating parameters and buffers to float64, in place."""
        return self.to(dtype="float64")

    def cpu(self):
        """Move parameters and buffers to the CPU, in place."""
        return self.to("cpu")

    def cuda(self, device=0):
        """Move parameters and buffers to a GPU, in place; RuntimeError where there is none."""
        return self.to(f"cuda:{device}" if isinstance(device, int) else device)

    # Showing

    def _config(self):
        """Constructor argument -> value, as attributes of the same name keep them.

        It is what `dlx.save` stores of a layer; one that keeps an argument otherwise overrides it.
        """
        code = type(self).__init__.__code__
        own = vars(self)
        return {name: own[name] for name in code.co_varnames[1 : code.co_argcount] if name in own}

    def extra_repr(self):
        """The text between the parentheses of repr; layers override it."""
        return ""

    def __repr__(self):
        return self._describe(parent_mode=None)

    def _describe(self, parent_mode):
        """PyTorch's repr, and the mode where it differs from the parent's."""
        mode = "" if self.training is parent_mode else f"  # {_MODES[bool(self.training)]}"
        lines = [self.extra_repr()] if self.extra_repr() else []
        children = list(self._children())
        if not children:
            return f"{type(self).__name__}({', '.join(lines)}){mode}"
        for name, child in children:
            text = child._describe(self.training).replace("\n", "\n  ")
            lines.append(f"({name}): {text}")
        return "\n  ".join([f"{type(self).__name__}({mode}", *lines]) + "\n)"


_MODES = {True: "train", False: "eval"}
_watched = False  # whether an observer at the door wants to know which layer a launch comes from
_core.tell_whereabouts(globals())


def _once(named):
    """Drop the pairs whose object came before under another name."""
    seen = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value
