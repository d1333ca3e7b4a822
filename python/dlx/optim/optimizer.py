"""Optimizer: the base of all optimizers: parameter groups, state, and the one native call."""

from __future__ import annotations

from numbers import Real
from types import NoneType

import dlx
from dlx import _core
from dlx.optim import _state

__all__ = ["Optimizer"]


class _Span:
    """Parameters updated by one native call: they share hyperparameters and a count of steps.

    There is one as a rule. Parameters without a gradient in some step are counted apart from then
    on, because the first step of momentum and the bias correction of Adam depend on the count.
    """

    def __init__(self, hyper, step, members):
        """step: 0-d int64 Tensor, advanced by the call. members: [(index, param, group, state)]."""
        self.hyper = hyper
        self.step = step
        self.hold(members)

    def hold(self, members):
        """Hold these members and no others, as the lists that the native call takes."""
        self.members = members
        self.params = [param for _, param, _, _ in members]
        self.groups = [group for _, _, group, _ in members]
        self.states = [list(state.values()) for _, _, _, state in members]


class Optimizer:
    """The base of all optimizers; a subclass names its hyperparameters and its native kind.

    params: an iterable of Parameters (or other leaf Tensors), or of dicts, the groups:
    {"params": ..., "lr": ...} with what differs from the defaults. `param_groups` holds these
    dicts, complete; what is assigned to their entries holds from the next step on.
    lr, in a constructor, in a group and in `opt.lr`, is a number, or a function of the number of
    steps done, such as those of `schedules`: the first step takes lr(0).

    All state is allocated here. Raises ValueError on empty or repeated parameters and on a
    hyperparameter out of range, TypeError on parameters that are not floating leaf Tensors.
    """

    _kind: int  # of the native op
    _plan_version = 0  # changes with the arrays that a step reads and writes
    _fixed: tuple[tuple[str, bool], ...] = ()  # PyTorch's settings that cannot be otherwise here

    def __init__(self, params, defaults):
        self.defaults = dict(defaults)
        self._check(self.defaults)
        self.param_groups = []
        self._states = []  # of each parameter, over all groups: {name: Tensor}, in native order
        self._spans = []
        for group in _state.groups_of(type(self).__name__, params):
            self._append(group)
        if not self._states:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        self._settle()
        self._plan([0] * len(self._states))

    # What a subclass tells

    def _check(self, group):
        """Raise on a hyperparameter that is out of range."""
        raise NotImplementedError(f"{type(self).__name__}: _check is not defined")

    def _hyper(self, group):
        """The tuple of floats that the native op takes, from one group: maximize comes first."""
        raise NotImplementedError(f"{type(self).__name__}: _hyper is not defined")

    def _floats(self, group, *names):
        return tuple([float(group[name]) for name in names])  # every step asks: no generator

    def _state_names(self, group):
        """Names of the arrays that the native op keeps per parameter, in its order."""
        raise NotImplementedError(f"{type(self).__name__}: _state_names is not defined")

    def _initial(self, group):
        """The number that new state arrays are filled with."""
        return 0.0

    def _check_not_negative(self, group, *names):
        for name in names:
            value = group[name]
            if name == "lr" and callable(value) and not isinstance(value, type):
                continue
            if not isinstance(value, Real):
                raise TypeError(
                    f"{type(self).__name__}: {name} must be a number, got {type(value).__name__}"
                )
            if not value >= 0:  # so that NaN fails
                raise ValueError(f"{type(self).__name__}: {name} must be at least 0, got {value}")

    def _check_fraction(self, group, name):
        self._check_not_negative(group, name)
        if not group[name] <= 1:
            raise ValueError(f"{type(self).__name__}: {name} must be at most 1, got {group[name]}")

    # Stepping

    def step(self) -> None:
        """Update, in one native call, every parameter that has a gradient."""
        self._prepare_step()
        for span in tuple(self._spans):
            grads = [param.grad for param in span.params]
            if NoneType in map(type, grads):
                grads = self._split(span, grads)
                if not grads:
                    continue
            _core.optimizer_step(
                self._kind,
                span.params,
                grads,
                span.states,
                span.groups,
                self._lr,
                self._weight_decay,
                span.step,
                self._grad_scale,
                self._skip,
                span.hyper,
            )

    def _prepare_step(self):
        """Everything that stands in Python goes where the native call reads it. Returns the number
        of steps done, where the lr depends on it."""
        if self._spans[0].params[0]._device_code != self._device.code:
            self._follow()
        if not self._is_planned():
            self._plan(self._steps())
        self._refresh()
        return self._steps_done() if self._has_schedule() else 0

    def _is_planned(self):
        return [self._hyper(group) for group in self.param_groups] == self._hypers

    def _has_schedule(self):
        return any(callable(group["lr"]) for group in self.param_groups)

    def _steps_done(self):
        return max(_core.peek(span.step) for span in self._spans)

    def _tensors(self):
        """Every Tensor that a step reads or writes."""
        yield from (self._lr, self._weight_decay, self._grad_scale, self._skip)
        for span in self._spans:
            yield from (span.step, *span.params)
            for state in span.states:
                yield from state

    def zero_grad(self, set_to_none=True) -> None:
        """Set the gradient of every parameter to None, or fill those there are with zeros."""
        for span in self._spans:
            for param in span.params:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = dlx.zeros_like(param.grad.detach())

    @property
    def lr(self):
        """The learning rate of the next step. Assigning sets it, number or function, in all groups.

        Reading raises ValueError when the groups differ: `param_groups[i]["lr"]` has each.
        """
        rates = self._current_rates()
        if any(rate != rates[0] for rate in rates):
            raise ValueError(
                f"{type(self).__name__}.lr: the groups have different learning rates, {rates}; "
                f'use param_groups[i]["lr"]'
            )
        return rates[0]

    @lr.setter
    def lr(self, value):
        self._check_not_negative({"lr": value}, "lr")
        for group in self.param_groups:
            group["lr"] = value

    def _current_rates(self):
        rates = [group["lr"] for group in self.param_groups]
        if any(map(callable, rates)):
            done = self._steps_done()
            rates = [rate(done) if callable(rate) else rate for rate in rates]
        return [float(rate) for rate in rates]

    def _refresh(self):
        """Write what changed of the groups' lr and weight_decay into the buffers."""
        rates = self._current_rates()
        decays = [group["weight_decay"] for group in self.param_groups]
        if rates != self._rates:
            for rate in rates:
                self._check_not_negative({"lr": rate}, "lr")
            self._lr[...] = dlx.tensor(rates, dtype="float64", device=self._device)
            self._rates = rates
        if decays != self._decays:
            self._weight_decay[...] = dlx.tensor(decays, dtype="float64", device=self._device)
            self._decays = decays

    # Devices

    def _settle(self):
        """Be where the parameters are, all on one device."""
        self._device = self._place_of(self.param_groups)
        self._grad_scale = dlx.ones((), dtype="float32", device=self._device)
        self._skip = dlx.zeros((), dtype="bool", device=self._device)

    def _place_of(self, groups):
        places = {str(p.device): p.device for group in groups for p in group["params"]}
        if len(places) > 1:
            raise ValueError(
                f"{type(self).__name__}: expected parameters of one device, got "
                f"{' and '.join(places)}; make an optimizer for each"
            )
        return next(iter(places.values()), None)

    def _follow(self):
        """The parameters have moved to another device: the state goes there too."""
        steps = self._steps()
        self._settle()
        self._states = [
            {name: array.to(self._device) for name, array in state.items()}
            for state in self._states
        ]
        self._plan(steps)

    # Spans

    def _steps(self):
        """Steps done, of each parameter."""
        counts = [0] * len(self._states)
        for span in self._spans:
            done = _core.peek(span.step)
            for index, *_ in span.members:
                counts[index] = done
        return counts

    def _plan(self, steps):
        """Allocate missing state and gather the parameters into spans. steps: done, of each."""
        for group in self.param_groups:
            self._check(group)
        self._hypers = [self._hyper(group) for group in self.param_groups]
        self._plan_version += 1
        spans, index = {}, 0
        for number, group in enumerate(self.param_groups):
            names = self._state_names(group)
            for param in group["params"]:
                state = self._states[index]
                state = {name: state.get(name) for name in names}
                for name in names:
                    if state[name] is None:
                        state[name] = dlx.full_like(param.detach(), self._initial(group))
                self._states[index] = state
                key = (self._hypers[number], steps[index])
                spans.setdefault(key, []).append((index, param, number, state))
                index += 1
        self._spans = [
            _Span(hyper, self._counter(done), members) for (hyper, done), members in spans.items()
        ]
        count = len(self.param_groups)
        self._lr = dlx.zeros((count,), dtype="float64", device=self._device)
        self._weight_decay = dlx.zeros((count,), dtype="float64", device=self._device)
        self._rates = self._decays = None

    def _split(self, span, grads):
        """Leave in span only what has a gradient; return these gradients, [] if there is none."""
        having = [grad is not None for grad in grads]
        if any(having):
            kept = [member for member, has in zip(span.members, having) if has]
            rest = [member for member, has in zip(span.members, having) if not has]
            self._plan_version += 1
            self._spans.append(_Span(span.hyper, self._counter(_core.peek(span.step)), rest))
            span.hold(kept)
        return [grad for grad in grads if grad is not None]

    def _counter(self, done):
        return dlx.full((), done, dtype="int64", device=self._device)

    # Groups and state

    def add_param_group(self, param_group):
        """Add a group, {"params": ..., and hyperparameters that differ from the defaults}."""
        steps = self._steps()
        self._append(param_group)
        self._plan(steps + [0] * (len(self._states) - len(steps)))

    def _append(self, group):
        where = type(self).__name__
        taken = [param for known in self.param_groups for param in known["params"]]
        params = _state.params_of(where, group, taken)
        complete = {**self.defaults, **group, "params": params}
        self._check(complete)
        self._place_of([*self.param_groups, complete])
        self.param_groups.append(complete)
        self._states.extend({} for _ in params)

    def state_dict(self) -> dict:
        """PyTorch's layout: {"state": {index: {name: Tensor}}, "param_groups": [...]}.

        Indices count the parameters over all groups. One that has not been stepped has no entry,
        unless its state starts at another number than 0.
        The values are snapshots. A function as lr is stored as its present value.
        """
        return _state.state_dict(self)

    def load_state_dict(self, state_dict) -> None:
        """Take over state and hyperparameters, from this class or from PyTorch's of the same name.

        An lr that is a function here stays, and continues at the loaded number of steps. Raises
        ValueError, before anything changes, when groups, shapes or names do not fit.
        """
        _state.load_state_dict(self, state_dict)

    def __repr__(self):
        lines = []
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines.extend(f"    {k}: {group[k]}" for k in sorted(group) if k != "params")
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])
