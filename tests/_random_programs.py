"""Programs of up to 30 ops drawn by hypothesis: chains and trees of pointwise ops with broadcasts,
casts and reductions, products, views, dropout, gradients, and writes to state between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

import dlx
from dlx import nn, optim
from dlx.nn import functional as F

__all__ = ["DIMS", "Program", "State", "function_of", "inputs_of", "programs"]

DIMS = [(4, 3), (1, 5), (7, 1), (9, 16), (33, 65), (67, 130)]  # the last: several blocks of 1024
NEAR = 12  # of the latest values one is an operand
MOST = 1 << 15  # elements of a value


class State:
    """What a program finds and changes."""

    def __init__(self, dims, device, optimizer):
        a, b = dims
        rng = np.random.default_rng(7)

        def drawn(*shape):
            return dlx.tensor(rng.normal(size=shape).astype(np.float32), device=device)

        self.grid, self.row = drawn(a, b), drawn(b)
        self.weight, self.other = nn.Parameter(drawn(a, b)), nn.Parameter(drawn(b, a))
        self.fast = nn.Parameter(drawn(a, b))
        self.optimizer = {
            "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
            "adam": lambda p: optim.Adam(p, lr=lambda step: 0.01 * 0.9**step),
            "none": lambda p: None,  # gradients add up
        }[optimizer]([self.weight, self.other])
        self.of_fast = optim.SGD([self.fast], lr=0.1)

    def tensors(self):
        return [self.grid, self.row, self.weight, self.other, self.fast,
                self.weight.grad, self.other.grad, self.fast.grad]  # fmt: skip


def shape_of(*shapes):
    """Broadcast; None where they do not."""
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        return None
    return shape if math.prod(shape) <= MOST else None


def bounded(function):
    return lambda a: function(dlx.clip(a, -4, 4))


POINTWISE = {
    "tanh": dlx.tanh,
    "relu": dlx.relu,
    "sigmoid": dlx.sigmoid,
    "gelu": F.gelu,
    "softplus": F.softplus,
    "abs": dlx.abs,
    "negative": lambda a: -a,
    "exp": bounded(dlx.exp),
    "square": bounded(dlx.square),
    "root": lambda a: dlx.sqrt(dlx.abs(a) + 0.5),
    "log": lambda a: dlx.log(dlx.abs(a) + 1),
    "reciprocal": lambda a: 1 / (dlx.abs(a) + 2),
    "sine": dlx.sin,
    "subtract number": lambda a: a - 0.25,
    "number less": lambda a: 3 - a,
    "times number": lambda a: a * -1.5,
    "less than number": lambda a: (a < 0.5).astype("float32"),
    "to float64": lambda a: a.astype("float64"),
    "to float32": lambda a: a.astype("float32"),
    "to bfloat16": lambda a: a.astype("bfloat16"),
    "through float16": lambda a: dlx.clip(a, -99, 99).astype("float16").astype("float32"),
    "through int32": lambda a: dlx.clip(a, -99, 99).astype("int32").astype("float32"),
    "constant": lambda a: a * dlx.full(a.shape, 0.5, device=a.device),
    "detach": lambda a: a.detach() * 2,
}
PAIRS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b * 0.5,
    "divide": lambda a, b: a / (dlx.abs(b) + 1),
    "maximum": dlx.maximum,
    "minimum": dlx.minimum,
    "where": lambda a, b: dlx.where(a > b, a, -b),
    "select": lambda a, b: dlx.where(b <= 0, 0.5, a),
    "add twice": lambda a, b: (a + b) + (a - b) * b,
}
# name: (whether it applies, function)
REDUCTIONS = {
    "sum": (lambda a: a.ndim > 0, lambda a: a.sum(axis=-1) * 0.1),
    "sum of rows, kept": (lambda a: a.ndim > 1, lambda a: dlx.sum(a, axis=0, keepdims=True) * 0.1),
    "sum of all": (None, lambda a: a.sum() * 0.01),
    "mean, kept": (lambda a: a.ndim > 0, lambda a: dlx.mean(a, axis=-1, keepdims=True)),
    "max": (lambda a: a.ndim > 1, lambda a: dlx.max(a, axis=0)),
    "max of rows, kept": (lambda a: a.ndim > 0, lambda a: dlx.max(a, axis=-1, keepdims=True)),
    "variance": (lambda a: a.ndim > 0, lambda a: dlx.var(a, axis=-1, keepdims=True)),
    "softmax": (lambda a: a.ndim > 0, lambda a: dlx.softmax(a, axis=-1)),
    "log_softmax": (lambda a: a.ndim > 1, lambda a: dlx.log_softmax(a, axis=-1)),
    "layer_norm": (
        lambda a: a.ndim > 1 and a.dtype != "bfloat16",
        lambda a: F.layer_norm(a, a.shape[-1:]),
    ),
}
VIEWS = {
    "transpose": (lambda a: a.ndim == 2, lambda a: a.T),
    "flat": (None, lambda a: a.reshape((-1,))),
    "column": (lambda a: a.ndim == 1, lambda a: a.reshape((-1, 1))),
    "slice": (lambda a: a.ndim and a.shape[0] > 1, lambda a: a[1:]),
    "every other": (lambda a: a.ndim and a.shape[-1] > 1, lambda a: a[..., ::2]),
    "reversed": (lambda a: a.ndim > 0, lambda a: a[::-1]),
    "broadcast": (
        lambda a: a.ndim < 3 and math.prod(a.shape) <= MOST // 2,
        lambda a: dlx.broadcast_to(a, (2, *a.shape)),
    ),
    "concat": (
        lambda a: a.ndim and a.shape[0] < 99,
        lambda a: dlx.concat([a, a[:1] * 2], axis=0),
    ),
}


def write_to_copy(a):
    cell = a.detach().clone()
    cell[:1] = cell[:1] * 2
    cell += 1
    return cell


EFFECTS = {
    "dropout": (None, lambda a: F.dropout(a, 0.3)),
    "uniform": (None, lambda a: a + dlx.random.uniform(a.shape, device=a.device)),
    "write to copy": (lambda a: a.ndim > 0, write_to_copy),
    "normal": (None, lambda a: dlx.random.normal(a.shape, device=a.device) * a),
}


def advance(state, cell, value):
    """Part of the state takes in a value."""
    cell *= 0.5
    cell += dlx.tanh(value.detach()).astype("float32")


def write_row(state, value):
    state.grid[:1] = dlx.tanh(value.detach()).astype("float32")
    state.grid[:, ::2] += 0.25


def learn(state, value):
    """A step of training of its own."""
    loss = ((state.fast - value.detach()) ** 2).mean()
    state.of_fast.zero_grad()
    loss.backward()
    state.of_fast.step()


def fits(name):
    return lambda state, a: (
        shape_of(a.shape, getattr(state, name).shape) == getattr(state, name).shape
    )


def reads(name):
    return lambda state, a: shape_of(a.shape, getattr(state, name).shape) is not None


# name: (whether it applies, function); None as a result: nothing but the effect
STATE = {
    "advance grid": (fits("grid"), lambda state, a: advance(state, state.grid, a)),
    "advance row": (fits("row"), lambda state, a: advance(state, state.row, a)),
    "write to grid": (fits("row"), write_row),
    "learn": (fits("fast"), learn),
    "add grid": (reads("grid"), lambda state, a: a + state.grid),
    "times row": (reads("row"), lambda state, a: a.detach() * state.row),
    "add fast": (reads("fast"), lambda state, a: state.fast.detach() * 0.5 + a),
    "times weight": (reads("weight"), lambda state, a: a * state.weight),
    "weight, cast": (
        reads("weight"),
        lambda state, a: dlx.tanh(state.weight.astype("float64") + a).astype("float32"),
    ),
    "product": (
        lambda state, a: a.ndim == 2 and a.shape[1] == state.other.shape[0],
        lambda state, a: dlx.tanh(a @ state.other.astype(a.dtype) * 0.2),
    ),
    "linear": (
        lambda state, a: a.ndim > 1 and a.shape[-1] == state.weight.shape[1],
        lambda state, a: dlx.relu(
            F.linear(a.astype("float32"), state.weight, state.other[0]) * 0.2
        ),
    ),
}


GROUPS = {
    "pointwise": {name: (None, function) for name, function in POINTWISE.items()},
    "reduction": REDUCTIONS,
    "view": VIEWS,
    "effect": EFFECTS,
}
SINGLE = {name: function for rows in GROUPS.values() for name, (_, function) in rows.items()}
# How often each is drawn
KINDS = ["pointwise"] * 4 + ["pair"] * 4 + ["reduction", "view", "state", "state", "effect"]


@dataclass(frozen=True)
class Program:
    dims: tuple[int, int]
    steps: tuple  # (name, operands): places among the inputs, then among the results so far
    returned: tuple  # places of values that the caller gets
    optimizer: str
    threads: tuple[int, ...]  # of DLX_JIT=off, nofuse, on
    grain: int  # elements of a chunk at most, 0: as always

    def count_of_inputs(self):
        return len(shapes_of(self.dims))


def shapes_of(dims):
    a, b = dims
    return [(a, b), (b,), (a, 1), (b, a), (), (2, a, b)]


def inputs_of(dims, call, device):
    rng = np.random.default_rng(call)
    return [
        dlx.tensor(rng.normal(size=s).astype(np.float32), device=device, requires_grad=True)
        for s in shapes_of(dims)
    ]


def apply(name, state, operands):
    if name in PAIRS:
        return PAIRS[name](*operands)
    if name in STATE:
        return STATE[name][1](state, *operands)
    return SINGLE[name](*operands)


@st.composite
def programs(draw, dims):
    """Programs whose values are of shapes made of one of `dims`."""
    dims = draw(st.sampled_from(dims))
    optimizer = draw(st.sampled_from(["sgd", "adam", "none"]))
    state = State(dims, "cpu", optimizer)
    values = inputs_of(dims, 0, "cpu")
    steps, inputs = [], len(values)
    for _ in range(draw(st.integers(5, 30))):
        # The latest value more often than others: chains.
        back = draw(st.one_of(st.just(1), st.integers(1, min(NEAR, len(values)))))
        at = [len(values) - back]
        x = values[at[0]]
        kind = draw(st.sampled_from(KINDS))
        if kind == "pair":
            near = range(max(0, len(values) - NEAR), len(values))
            fitting = [i for i in near if shape_of(values[i].shape, x.shape) is not None]
            at.append(draw(st.sampled_from(fitting[::-1])))
            at = at if draw(st.booleans()) else at[::-1]
            name = draw(st.sampled_from(list(PAIRS)))
        elif kind == "state":
            name = draw(st.sampled_from(list(STATE)))
            applies = STATE[name][0]
            near = [*range(max(inputs, len(values) - NEAR), len(values)), *range(inputs)]
            at = [draw(st.sampled_from([i for i in near if applies(state, values[i])]))]
        else:
            rows = GROUPS[kind]
            names = [name for name, (applies, _) in rows.items() if applies is None or applies(x)]
            name = draw(st.sampled_from(names or list(POINTWISE)))
        steps.append((name, tuple(at)))
        value = apply(name, state, [values[i] for i in at])
        if value is not None:
            values.append(value)
    made = list(range(inputs, len(values)))
    returned = draw(st.lists(st.sampled_from(made), max_size=4)) if made else []
    threads = draw(st.permutations([1, 2, 3]))
    grain = draw(st.sampled_from([0, 0, 5, 1000]))
    return Program(dims, tuple(steps), tuple(returned), optimizer, tuple(threads), grain)


def function_of(program, state):
    """The program as a function of its inputs: a step that ends in a loss and an update."""
    steps, returned, inputs = program.steps, program.returned, program.count_of_inputs()
    read = {i for _, at in steps for i in at}

    def run(*arguments):
        values = list(arguments)
        for name, at in steps:
            value = apply(name, state, [values[i] for i in at])
            if value is not None:
                values.append(value)
        ends = [v for i, v in enumerate(values) if i >= inputs and i not in read]
        loss = sum((end.astype("float32").mean() for end in ends), start=state.weight.mean())
        if state.optimizer is not None:
            state.optimizer.zero_grad()
        loss.backward()
        if state.optimizer is not None:
            state.optimizer.step()
        results = [loss.detach(), *(end.detach() for end in ends)]
        results += [values[i].detach() for i in returned]
        return [*results, *(x.grad for x in arguments)]

    return run
