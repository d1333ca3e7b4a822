"""Wrong uses: each raises an ordinary exception of the natural type, with the values, in the call.

Add a row when a user was left without an answer: (name, call, type, regex over the message).
"""

from __future__ import annotations

import inspect
import random

import numpy as np
import pytest

import dlx

nn, optim = dlx.nn, dlx.optim
F = nn.functional


def zeros(*shape, dtype="float32"):
    return dlx.zeros(shape, dtype=dtype)


def labels(*values):
    return dlx.tensor(list(values))


def backward_twice():
    x = dlx.tensor([1.0], requires_grad=True)
    y = dlx.exp(x)
    y.backward()
    y.backward()


def assign_to_leaf():
    x = dlx.tensor([1.0], requires_grad=True)
    x[0] = 2.0


WRONG = [
    ("add-shapes", lambda: dlx.add(zeros(2, 3), zeros(4)), ValueError, r"add.*\(2, 3\).*\(4,\)"),
    ("add-operator", lambda: zeros(2, 3) + zeros(4), ValueError, r"add.*\(2, 3\).*\(4,\)"),
    ("tensor-huge", lambda: dlx.tensor(2**70), OverflowError, r"tensor.*1180591.*int64"),
    ("exp-array", lambda: dlx.exp(np.ones(2)), TypeError, r"exp: .*a Tensor, got numpy"),
    ("add-text", lambda: dlx.add(zeros(2), "a"), TypeError, r"add.*str"),
    ("add-list", lambda: dlx.add(zeros(2), [1, 2]), TypeError, r"add.*list"),
    ("add-many", lambda: dlx.add(zeros(2), zeros(2), zeros(2)), TypeError, r"add"),
    ("subtract-bool", lambda: dlx.subtract(zeros(2, dtype="bool"), zeros(2, dtype="bool")),
     TypeError,
     r"subtract.*bool"),
    ("multiply-shapes", lambda: dlx.multiply(zeros(5), zeros(3)), ValueError,
     r"multiply.*\(5,\).*\(3,\)"),
    ("divide-none", lambda: dlx.divide(zeros(2), None), TypeError, r"divide.*None"),
    ("pow-shapes", lambda: dlx.pow(zeros(5, 2), zeros(3)), ValueError, r"pow.*\(5, 2\).*\(3,\)"),
    ("exp-number", lambda: dlx.exp("a"), TypeError, r"exp.*str"),
    ("negative-bool", lambda: dlx.negative(zeros(2, dtype="bool")), TypeError, r"negative.*bool"),
    ("log-object", lambda: dlx.log(object()), TypeError, r"log.*object"),
    ("maximum-shapes", lambda: dlx.maximum(zeros(2), zeros(3)), ValueError,
     r"maximum.*\(2,\).*\(3,\)"),
    ("where-condition", lambda: dlx.where(zeros(2), zeros(2), zeros(2)), TypeError,
     r"where.*float32"),
    ("where-shapes", lambda: dlx.where(zeros(4, dtype="bool"), zeros(2), zeros(2)), ValueError,
     r"where.*\(4,\).*\(2,\)"),
    ("less-shapes", lambda: dlx.less(zeros(2), zeros(3)), ValueError, r"less.*\(2,\).*\(3,\)"),
    ("clip-text", lambda: dlx.clip(zeros(2), "low"), TypeError, r"clip.*(str|low)"),
    ("sum-axis", lambda: dlx.sum(zeros(2, 3), axis=2), (IndexError, ValueError),
     r"sum.*2.*(\(2, 3\)|2)"),
    ("sum-axis-type", lambda: dlx.sum(zeros(2, 3), axis=1.5), TypeError, r"sum.*1\.5"),
    ("sum-axis-twice", lambda: dlx.sum(zeros(2, 3), axis=(0, 0)), ValueError, r"sum.*0"),
    ("mean-int", lambda: dlx.mean(zeros(2, dtype="int64")), TypeError, r"mean.*int64"),
    ("max-empty", lambda: dlx.max(zeros(0)), ValueError, r"max.*\(0,\)"),
    ("argmax-empty", lambda: dlx.argmax(zeros(3, 0), axis=1), ValueError, r"argmax.*\(3, 0\)"),
    ("argmin-axis", lambda: dlx.argmin(zeros(3), axis=-2), (IndexError, ValueError), r"argmin.*-2"),
    ("var-axis", lambda: dlx.var(zeros(3), axis=1), (IndexError, ValueError), r"var.*1"),
    ("matmul-shapes", lambda: dlx.matmul(zeros(2, 3), zeros(4, 5)), ValueError,
     r"matmul.*\(2, 3\).*\(4, 5\)"),
    ("matmul-batch", lambda: dlx.matmul(zeros(2, 2, 3), zeros(5, 3, 4)), ValueError,
     r"matmul.*\(2, 2, 3\).*\(5, 3, 4\)"),
    ("matmul-dtypes", lambda: dlx.matmul(zeros(2, 2), zeros(2, 2, dtype="float64")), TypeError,
     r"matmul.*float32.*float64"),
    ("matmul-scalar", lambda: dlx.matmul(zeros(), zeros(2)), ValueError, r"matmul.*\(\)"),
    ("matmul-int", lambda: dlx.matmul(zeros(2, 2, dtype="int32"), zeros(2, 2, dtype="int32")),
     TypeError,
     r"matmul.*int32"),
    ("reshape-size", lambda: dlx.reshape(zeros(2, 3), (4, 2)), ValueError,
     r"reshape.*6.*\(4, 2\).*\(2, 3\)"),
    ("reshape-two-unknown", lambda: dlx.reshape(zeros(6), (-1, -1)), ValueError,
     r"reshape.*\(-1, -1\)"),
    ("reshape-type", lambda: dlx.reshape(zeros(6), "ab"), TypeError, r"reshape.*(str|ab)"),
    ("permute-axes", lambda: dlx.permute_dims(zeros(2, 3), (0, 0)), ValueError,
     r"permute_dims.*\(0, 0\)"),
    ("permute-length", lambda: dlx.permute_dims(zeros(2, 3), (0,)), ValueError,
     r"permute_dims.*\(0,\)"),
    ("squeeze-extent", lambda: dlx.squeeze(zeros(2, 3), 0), ValueError, r"squeeze.*(\(2, 3\)|2)"),
    ("expand-axis", lambda: dlx.expand_dims(zeros(2), 5), (IndexError, ValueError),
     r"expand_dims.*5"),
    ("broadcast", lambda: dlx.broadcast_to(zeros(3), (2, 4)), ValueError,
     r"broadcast_to.*\(3,\).*\(2, 4\)"),
    ("concat-shapes", lambda: dlx.concat([zeros(2, 3), zeros(2, 4)]), ValueError,
     r"concat.*\(2, 3\).*\(2, 4\)"),
    ("concat-nothing", lambda: dlx.concat([]), ValueError, r"concat"),
    ("concat-tensor", lambda: dlx.concat(7), TypeError, r"concat.*int"),
    ("stack-shapes", lambda: dlx.stack([zeros(2), zeros(3)]), ValueError, r"stack.*\(2,\).*\(3,\)"),
    ("take-range", lambda: dlx.take(zeros(3), labels(0, 5)), IndexError, r"take.*5.*3"),
    ("take-float", lambda: dlx.take(zeros(3), zeros(2)), TypeError, r"take.*float32"),
    ("take-axis", lambda: dlx.take(zeros(3, 3), labels(0)), (ValueError, TypeError), r"take.*axis"),
    ("index-range", lambda: zeros(3, 4)[3], IndexError, r"3.*\(3, 4\)|3.*size 3"),
    ("index-count", lambda: zeros(3)[0, 0], IndexError, r"(2|\(3,\))"),
    ("index-float", lambda: zeros(3)[1.0], (IndexError, TypeError), r"float"),
    ("index-mask", lambda: zeros(3)[dlx.tensor([True, False])], IndexError, r"(2).*(3)|(3).*(2)"),
    ("index-text", lambda: zeros(3)["a"], (IndexError, TypeError), r"str"),
    ("assign-shape", lambda: zeros(3).__setitem__(slice(0, 2), zeros(5)), ValueError,
     r"\(5,\).*\(2,\)|\(2,\).*\(5,\)"),
    ("assign-leaf", assign_to_leaf, RuntimeError, r"leaf|no_grad"),
    ("astype-name", lambda: dlx.astype(zeros(2), "float33"), (TypeError, ValueError), r"float33"),
    ("astype-complex", lambda: dlx.astype(zeros(2), np.complex64), (TypeError, ValueError),
     r"complex64"),
    ("softmax-axis", lambda: dlx.softmax(zeros(2, 3), axis=4), (IndexError, ValueError),
     r"softmax.*4"),
    ("softmax-int", lambda: dlx.softmax(zeros(3, dtype="int64")), TypeError, r"softmax.*int64"),
    ("log_softmax-axis", lambda: dlx.log_softmax(zeros(2), axis=1), (IndexError, ValueError),
     r"log_softmax.*1"),
    ("ce-label", lambda: F.cross_entropy(zeros(3, 4), labels(0, 9, 1)), (ValueError, IndexError),
     r"cross_entropy.*1.*9.*4|cross_entropy.*9.*1.*4"),
    ("ce-negative", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1, -1)),
     (ValueError, IndexError),
     r"cross_entropy.*2.*-1.*4|cross_entropy.*-1.*2.*4"),
    ("ce-rows", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1)), ValueError,
     r"cross_entropy.*\(3, 4\).*\(2,\)"),
    ("ce-float", lambda: F.cross_entropy(zeros(3, 4), zeros(3)), TypeError,
     r"cross_entropy.*float32"),
    ("ce-weight", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1, 2), zeros(3)), ValueError,
     r"cross_entropy.*(4).*\(3,\)|cross_entropy.*\(3,\).*4"),
    ("ce-reduction", lambda: F.cross_entropy(zeros(3, 4), labels(0, 1, 2), reduction="avg"),
     ValueError,
     r"cross_entropy.*avg"),
    ("mse-broadcast", lambda: F.mse_loss(zeros(4, 1), zeros(4)), ValueError,
     r"mse_loss.*\(4, 1\).*\(4,\)"),
    ("mse-dtypes", lambda: F.mse_loss(zeros(4), zeros(4, dtype="float64")), TypeError,
     r"mse_loss.*float32.*float64"),
    ("linear-width", lambda: F.linear(zeros(2, 3), zeros(5, 4)), ValueError,
     r"linear.*\(2, 3\).*\(5, 4\)"),
    ("linear-bias", lambda: F.linear(zeros(2, 3), zeros(5, 3), zeros(4)), ValueError,
     r"linear.*\(4,\)"),
    ("dropout-p", lambda: F.dropout(zeros(2), 1.5), ValueError, r"dropout.*1\.5"),
    ("Linear-width", lambda: nn.Linear(3, 2)(zeros(4, 5)), ValueError,
     r"Linear.*3.*\(4, 5\)|linear.*\(4, 5\).*\(2, 3\)"),
    ("LazyLinear-early", lambda: list(nn.Sequential(nn.LazyLinear(3)).parameters()),
     (RuntimeError, ValueError),
     r"LazyLinear|lazy"),
    ("Sequential-member", lambda: nn.Sequential(nn.ReLU(), 3), TypeError, r"Sequential.*int"),
    ("SGD-nothing", lambda: optim.SGD([], lr=0.1), ValueError, r"(SGD|optim).*param|param.*empty"),
    ("Adam-lr", lambda: optim.Adam([dlx.tensor([1.0], requires_grad=True)], lr=-0.1), ValueError,
     r"-0\.1"),
    ("tensor-ragged", lambda: dlx.tensor([[1, 2], [3]]), ValueError, r"tensor.*(2|1)"),
    ("tensor-text", lambda: dlx.tensor("abc"), TypeError, r"tensor.*str"),
    ("tensor-int-grad", lambda: dlx.tensor([1], requires_grad=True),
     (TypeError, RuntimeError, ValueError),
     r"int64"),
    ("zeros-negative", lambda: dlx.zeros((2, -1)), ValueError, r"zeros.*(\(2, -1\)|-1)"),
    ("zeros-type", lambda: dlx.zeros((2, 1.5)), TypeError, r"zeros.*(1\.5|float)"),
    ("zeros-huge", lambda: dlx.zeros((2**40, 2**40)), (ValueError, MemoryError), r"1099511627776"),
    ("full-text", lambda: dlx.full((2,), "a"), TypeError, r"full.*str"),
    ("arange-step", lambda: dlx.arange(0, 3, 0), ValueError, r"arange.*0"),
    ("linspace-num", lambda: dlx.linspace(0, 1, -3), ValueError, r"linspace.*-3"),
    ("eye-negative", lambda: dlx.eye(-2), ValueError, r"eye.*-2"),
    ("from_dlpack-type", lambda: dlx.from_dlpack([1]), TypeError, r"from_dlpack.*list"),
    ("device-cuda", lambda: dlx.ones((2,), device="cuda:3"), RuntimeError, r"cuda:3.*dlx info"),
    ("normal-std", lambda: dlx.random.normal((2,), 0.0, -1.0), ValueError, r"normal.*-1"),
    ("uniform-bounds", lambda: dlx.random.uniform((2,), 3.0, 1.0), ValueError, r"uniform.*3.*1"),
    ("randint-bounds", lambda: dlx.random.randint(5, 5, (2,)), ValueError, r"randint.*5.*5"),
    ("permutation-negative", lambda: dlx.random.permutation(-1), ValueError, r"permutation.*-1"),
    ("seed-type", lambda: dlx.seed("a"), TypeError, r"seed.*str"),
    ("threads-many", lambda: dlx.set_num_threads(1000), ValueError, r"1000"),
    ("item-many", lambda: zeros(2, 3).item(), (ValueError, RuntimeError), r"item.*(\(2, 3\)|6)"),
    ("bool-many", lambda: bool(zeros(2)), (ValueError, RuntimeError), r"\(2,\)|2 elements"),
    ("len-scalar", lambda: len(zeros()), TypeError, r"len|0-d"),
    ("backward-twice", backward_twice, RuntimeError, r"backward|retain_graph"),
    ("backward-no-graph", lambda: zeros(1).backward(), RuntimeError, r"backward.*grad"),
    ("grad-fn", lambda: dlx.grad(3), TypeError, r"grad.*int"),
    ("vjp-fn", lambda: dlx.vjp(3, zeros(1)), TypeError, r"vjp.*int"),
    ("jvp-tangents", lambda: dlx.jvp(dlx.exp, (zeros(2),), (zeros(3),)), ValueError,
     r"jvp.*\(2,\).*\(3,\)"),
    ("load-missing", lambda: dlx.load("no/such/file.dlx"), FileNotFoundError, r"no/such/file\.dlx"),
    ("fit-lengths", lambda: compiled().fit(zeros(4, 3), labels(0, 1, 0)), ValueError, r"4.*3"),
    ("optimizer-name",
     lambda: nn.Sequential(nn.Linear(2, 2)).compile(optimizer="adamm", loss="mse_loss"),
     ValueError,
     r"adamm.*adam"),
]  # fmt: skip


def compiled():
    model = nn.Sequential(nn.Linear(3, 2))
    model.compile(optimizer="sgd", lr=0.1, loss="cross_entropy")
    return model


@pytest.mark.parametrize(
    ("call", "error", "message"), [pytest.param(*w[1:], id=w[0]) for w in WRONG]
)
def test_wrong_use(call, error, message, device):
    with dlx.device(device), pytest.raises(error, match="(?s)" + message) as caught:
        call()
    assert "incompatible function arguments" not in str(caught.value)


def test_there_are_enough_of_them():
    assert len({w[0] for w in WRONG}) == len(WRONG) >= 30


# --- anything at all, given to every public function

ORDINARY = (
    TypeError, ValueError, IndexError, KeyError, RuntimeError, OverflowError, OSError, MemoryError,
    StopIteration,
)  # fmt: skip


SPECIAL = "getitem setitem add radd matmul pow iadd eq lt bool float len iter contains"


def method(name):
    """As a function of the tensor; on anything else there is no such method."""

    def call(*args, **kwargs):
        if not args or not isinstance(args[0], dlx.Tensor):
            raise TypeError(f"{name}: not a Tensor")
        return getattr(args[0], name)(*args[1:], **kwargs)

    call.__signature__ = signature(getattr(dlx.Tensor, name))
    return call


def signature(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a function written in C
        return inspect.Signature()


def public_functions():
    for prefix, owner in [("", dlx), ("nn.functional.", F), ("random.", dlx.random)]:
        for name in sorted(owner.__all__):
            value = getattr(owner, name)
            if callable(value) and not isinstance(value, type) and name != "set_num_threads":
                yield pytest.param(value, id=prefix + name)
    for name in sorted(n for n in dir(dlx.Tensor) if not n.startswith("_")):
        if callable(getattr(dlx.Tensor, name)):
            yield pytest.param(method(name), id="Tensor." + name)
    for name in SPECIAL.split():
        if hasattr(dlx.Tensor, f"__{name}__"):
            yield pytest.param(method(f"__{name}__"), id=f"Tensor.__{name}__")


def palette():
    x = dlx.tensor(np.arange(6.0, dtype=np.float32).reshape(2, 3), requires_grad=True)
    tensors = [
        x,
        zeros(2, 3),
        zeros(3, dtype="float64"),
        zeros(),
        zeros(0, 2),
        labels(0, 1),
        dlx.tensor([True, False]),
        zeros(2, 3, dtype="bfloat16"),
        x * 2.0,
    ]
    others = [
        None, -1, 0, 1, 5, 2**70, 1.5, float("nan"), True, "text", "float32", b"bytes", (), (0,),
        (2, 3), (2, -1), (1, 0), [], [zeros(2), zeros(2)], {}, object(), slice(None), Ellipsis,
        dlx.float16, np.zeros((2, 3)), np.array(["a"]), lambda v: v, int, [[0, 1], [0]],
        -(2**63), 1e300, "cuda:0",
    ]  # fmt: skip
    return tensors, others


@pytest.mark.parametrize("function", list(public_functions()))
def test_any_argument_gives_an_ordinary_exception(function, device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # save() is among them
    rng = random.Random(0)
    with dlx.device(device):
        tensors, others = palette()
    everything = tensors + others
    names = [n for n in signature(function).parameters if n not in ("self", "args", "kwargs")]
    calls = [()] + [(a,) for a in everything]
    calls += [(a, b) for a in tensors for b in everything]
    calls += [tuple(rng.choices(everything, k=rng.randint(2, 5))) for _ in range(300)]
    calls = [(args, {}) for args in calls]
    for _ in range(300):
        chosen = (
            rng.sample(names, rng.randint(1, min(3, len(names)))) if names else ["no_such_keyword"]
        )
        calls.append(((rng.choice(tensors),), {n: rng.choice(everything) for n in chosen}))
    silent = 0
    for args, kwargs in calls:
        try:
            function(*args, **kwargs)
            silent += 1
        except ORDINARY as error:
            described = f"{args!r:.200} {kwargs!r:.200}: {error!r:.300}"
            assert "incompatible function arguments" not in str(error), described
            assert not isinstance(error, NotImplementedError | RecursionError), described
            assert str(error), described
        except Exception as error:
            raise AssertionError(f"{args!r:.300} {kwargs!r:.300}: {error!r:.300}") from error
        tensors[0].grad = None
    assert silent < len(calls), "an op that takes anything checks nothing"
