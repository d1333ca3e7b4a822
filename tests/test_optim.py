"""dlx.optim: constructors, groups, learning rates, state, and the numbers of PyTorch."""

from __future__ import annotations

import copy
import inspect
import math

import numpy as np
import pytest

import dlx
from dlx import nn, optim

OPTIMIZERS = [
    (optim.SGD, {}),
    (optim.SGD, {"weight_decay": 0.1}),
    (optim.SGD, {"momentum": 0.9}),
    (optim.SGD, {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    (optim.SGD, {"momentum": 0.8, "dampening": 0.3}),
    (optim.SGD, {"momentum": 0.9, "maximize": True, "weight_decay": 0.01}),
    (optim.Adam, {}),
    (optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.1}),
    (optim.Adam, {"maximize": True}),
    (optim.AdamW, {}),
    (optim.AdamW, {"weight_decay": 0.3, "maximize": True}),
    (optim.Adam, {"amsgrad": True, "betas": (0.8, 0.6)}),
    (optim.AdamW, {"amsgrad": True, "weight_decay": 0.2}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"alpha": 0.3, "eps": 1e-4, "weight_decay": 0.1, "centered": True}),
    (optim.RMSprop, {"momentum": 0.9, "maximize": True}),
    (optim.RMSprop, {"momentum": 0.5, "centered": True, "alpha": 0.9}),
    (optim.Adagrad, {}),
    (optim.Adagrad, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    (optim.Adagrad, {"eps": 1e-4, "maximize": True}),
    (optim.Adadelta, {}),
    (optim.Adadelta, {"rho": 0.5, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
]
CLASSES = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adadelta]
SHAPES = [(3, 4), (5,), (), (2, 3, 2), (0, 3)]


def make_params(device, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [
        nn.Parameter(dlx.tensor(rng.normal(size=shape), dtype=dtype, device=device))
        for shape in SHAPES
    ]


def make_grads(step, seed=1):
    rng = np.random.default_rng((seed, step))
    return [rng.normal(size=shape) for shape in SHAPES]


def set_grads(params, grads):
    for p, g in zip(params, grads):
        p.grad = None if g is None else dlx.tensor(g, dtype=p.dtype, device=p.device)


def run(opt, params, steps, first=0):
    for step in range(first, first + steps):
        set_grads(params, make_grads(step))
        opt.step()


def values(params):
    return [p.cpu().numpy().copy() for p in params]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# ---- PyTorch's numbers


def twins(torch, params):
    return [torch.tensor(p.cpu().numpy().copy(), requires_grad=True) for p in params]


def run_theirs(torch, opt, params, steps, first=0):
    for step in range(first, first + steps):
        for p, g in zip(params, make_grads(step)):
            p.grad = torch.tensor(np.asarray(g), dtype=p.dtype)
        opt.step()


def assert_close(params, theirs, tolerance=1e-12):
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(
            p.cpu().numpy(), q.detach().cpu().numpy(), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize(("cls", "options"), OPTIMIZERS)
@pytest.mark.parametrize(
    # float32: 50 roundings of 6e-8 each, of PyTorch's fused multiply-adds other ones than ours.
    ("dtype", "tolerance"),
    [("float64", 1e-12), ("float32", 3e-6)],
)
def test_fifty_steps_are_pytorchs(device, cls, options, dtype, tolerance):
    torch = pytest.importorskip("torch")
    params = make_params(device, dtype)
    theirs = twins(torch, params)
    start = values(params)
    run(cls(params, lr=0.05, **options), params, 50)
    run_theirs(torch, getattr(torch.optim, cls.__name__)(theirs, lr=0.05, **options), theirs, 50)
    assert_close(params, theirs, tolerance)
    assert all(not np.array_equal(p, s) for p, s in zip(values(params), start) if s.size)


@pytest.mark.parametrize(("cls", "options"), OPTIMIZERS)
def test_parameters_without_a_gradient_are_skipped_as_pytorch_does(device, cls, options):
    torch = pytest.importorskip("torch")
    params = make_params(device)
    theirs = twins(torch, params)
    ours_opt = cls(params, lr=0.05, **options)
    their_opt = getattr(torch.optim, cls.__name__)(theirs, lr=0.05, **options)
    missing = [{0}, {0, 1}, set(), {2}, {0, 1, 2, 3, 4}, set(), {1}]
    for step, without in enumerate(missing):
        grads = [None if i in without else g for i, g in enumerate(make_grads(step))]
        set_grads(params, grads)
        for p, g in zip(theirs, grads):
            p.grad = None if g is None else torch.tensor(np.asarray(g))
        ours_opt.step()
        their_opt.step()
    assert_close(params, theirs)


def test_groups_and_their_changes_are_pytorchs(device):
    torch = pytest.importorskip("torch")
    params = make_params(device)
    theirs = twins(torch, params)

    def groups(p):
        return [
            {"params": p[:2], "lr": 0.1, "momentum": 0.5},
            {"params": p[2:], "weight_decay": 0.2},
        ]

    ours_opt = optim.SGD(groups(params), lr=0.01, momentum=0.9)
    their_opt = torch.optim.SGD(groups(theirs), lr=0.01, momentum=0.9)
    for first, change in enumerate(({}, {"lr": 0.3}, {"momentum": 0.7}, {"weight_decay": 0.5})):
        for opt in (ours_opt, their_opt):
            opt.param_groups[1].update(change)
        run(ours_opt, params, 3, 3 * first)
        run_theirs(torch, their_opt, theirs, 3, 3 * first)
    assert_close(params, theirs)
    assert len(ours_opt.param_groups) == 2
    assert ours_opt.param_groups[0]["lr"] == 0.1 and ours_opt.param_groups[0]["weight_decay"] == 0


@pytest.mark.parametrize("cls", CLASSES)
def test_groups_of_different_settings_are_pytorchs(device, cls):
    torch = pytest.importorskip("torch")
    params = make_params(device)
    theirs = twins(torch, params)
    other = {
        optim.SGD: {"momentum": 0.5},
        optim.Adam: {"amsgrad": True},
        optim.AdamW: {"betas": (0.5, 0.6)},
        optim.RMSprop: {"centered": True, "momentum": 0.5},
        optim.Adagrad: {"lr_decay": 0.2},
        optim.Adadelta: {"rho": 0.3},
    }[cls]

    def groups(p):
        return [
            {"params": p[:1], "lr": 0.1, **other},
            {"params": p[1:3], "weight_decay": 0.2},
            {"params": p[3:], "maximize": True, "lr": 0.3},
        ]

    run(cls(groups(params), lr=0.01), params, 7)
    run_theirs(torch, getattr(torch.optim, cls.__name__)(groups(theirs), lr=0.01), theirs, 7)
    assert_close(params, theirs)


@pytest.mark.parametrize(("cls", "options"), OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 4])
def test_state_moves_from_pytorch(device, cls, options, steps):
    torch = pytest.importorskip("torch")
    params = make_params(device)
    theirs = twins(torch, params)
    their_opt = getattr(torch.optim, cls.__name__)(theirs, lr=0.05, **options)
    run_theirs(torch, their_opt, theirs, steps)
    ours_opt = cls(params, lr=1.0)
    ours_opt.load_state_dict(numpy_state(their_opt.state_dict()))
    for p, q in zip(params, theirs):
        with dlx.no_grad():
            p[...] = dlx.tensor(q.detach().cpu().numpy(), device=device)
    run(ours_opt, params, 5, steps)
    run_theirs(torch, their_opt, theirs, 5, steps)
    assert_close(params, theirs)


@pytest.mark.parametrize(("cls", "options"), OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 4])
def test_state_moves_to_pytorch(device, cls, options, steps):
    torch = pytest.importorskip("torch")
    params = make_params(device)
    ours_opt = cls(params, lr=0.05, **options)
    run(ours_opt, params, steps)
    theirs = twins(torch, params)
    their_opt = getattr(torch.optim, cls.__name__)(theirs, lr=1.0)
    state = ours_opt.state_dict()
    their_opt.load_state_dict(
        {
            "state": {
                index: {name: torch.tensor(t.cpu().numpy().copy()) for name, t in entry.items()}
                for index, entry in state["state"].items()
            },
            "param_groups": state["param_groups"],
        }
    )
    run(ours_opt, params, 5, steps)
    run_theirs(torch, their_opt, theirs, 5, steps)
    assert_close(params, theirs)


def numpy_state(state):
    return {
        "state": {
            index: {k: v.cpu().numpy() if hasattr(v, "numpy") else v for k, v in entry.items()}
            for index, entry in state["state"].items()
        },
        "param_groups": state["param_groups"],
    }


# ---- Constructors


def test_defaults_and_order_are_pytorchs(device):
    params = make_params(device)
    sgd = optim.SGD(params, 0.1, 0.9, 0.0, 0.01, True).param_groups[0]
    assert {k: sgd[k] for k in sgd if k != "params"} == {
        "lr": 0.1,
        "momentum": 0.9,
        "dampening": 0.0,
        "weight_decay": 0.01,
        "nesterov": True,
        "maximize": False,
    }
    adam = optim.Adam(params, 0.1, (0.5, 0.6), 1e-3, 0.2).param_groups[0]
    assert (adam["betas"], adam["eps"], adam["weight_decay"]) == ((0.5, 0.6), 1e-3, 0.2)


@pytest.mark.parametrize("cls", CLASSES)
def test_arguments_and_defaults_are_pytorchs(device, cls):
    torch = pytest.importorskip("torch")
    theirs = inspect.signature(getattr(torch.optim, cls.__name__)).parameters
    ours = inspect.signature(cls).parameters
    positional = [n for n, p in ours.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional == list(theirs)[: len(positional)]
    assert all(ours[name].default == theirs[name].default for name in ours)
    group = cls(make_params(device)).param_groups[0]
    assert {k: group[k] for k in list(ours)[1:]} == {k: ours[k].default for k in list(ours)[1:]}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lr": -0.1}, "lr must be at least 0, got -0.1"),
        ({"lr": math.nan}, "lr must be at least 0, got nan"),
        ({"weight_decay": -1}, "weight_decay must be at least 0, got -1"),
        ({"momentum": -0.9}, "momentum must be at least 0, got -0.9"),
        ({"nesterov": True}, "momentum above 0 and dampening 0, got momentum=0, dampening=0"),
        (
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            "got momentum=0.9, dampening=0.1",
        ),
        ({"eps": -1e-8}, "eps must be at least 0, got -1e-08"),
        ({"betas": (0.9, 1.0)}, r"betas must be two numbers in \[0, 1\), got \(0.9, 1.0\)"),
        ({"betas": (-0.1, 0.9)}, r"betas must be two numbers .*got \(-0.1, 0.9\)"),
        ({"betas": (0.9,)}, r"betas must be two numbers .*got \(0.9,\)"),
        ({"betas": 0.9}, r"betas must be two numbers .*got 0\.9"),
        ({"alpha": 1.5}, "alpha must be at most 1, got 1.5"),
        ({"alpha": -0.5}, "alpha must be at least 0, got -0.5"),
        ({"rho": 1.5}, "rho must be at most 1, got 1.5"),
        ({"lr_decay": -0.1}, "lr_decay must be at least 0, got -0.1"),
        (
            {"initial_accumulator_value": -1},
            "initial_accumulator_value must be at least 0, got -1",
        ),
    ],
)
def test_a_hyperparameter_out_of_range_raises(device, cls, options, text):
    if not set(options) <= set(inspect.signature(cls).parameters):
        with pytest.raises(TypeError):
            cls(make_params(device), **options)
        return
    with pytest.raises(ValueError, match=rf"{cls.__name__}: .*{text}"):
        cls(make_params(device), **options)
    with pytest.raises(ValueError, match=text):
        cls([{"params": make_params(device), **options}])


def test_a_hyperparameter_of_another_type_raises(device):
    with pytest.raises(TypeError, match="SGD: lr must be a number, got str"):
        optim.SGD(make_params(device), lr="fast")
    with pytest.raises(TypeError, match="AdamW: weight_decay must be a number, got NoneType"):
        optim.AdamW(make_params(device), weight_decay=None)
    with pytest.raises(TypeError, match="RMSprop: lr must be a number, got type"):
        optim.RMSprop(make_params(device), lr=optim.schedules.linear)


def test_params_are_checked(device):
    p = make_params(device)[0]
    with pytest.raises(ValueError, match="Adam: got no parameters"):
        optim.Adam([])
    with pytest.raises(ValueError, match="SGD: got no parameters"):
        optim.SGD(nn.ReLU().parameters())
    with pytest.raises(ValueError, match=r"parameter 1, shape=\(3, 4\), appears more than once"):
        optim.Adam([p, p])
    with pytest.raises(ValueError, match=r"parameter 0, shape=\(3, 4\), appears more than once"):
        optim.Adam([{"params": p}, {"params": [p]}])
    with pytest.raises(ValueError, match=r"needs the key 'params', got .'lr'"):
        optim.Adam([{"lr": 1.0}])
    with pytest.raises(ValueError, match=r"parameter 0 is not a leaf.*shape=\(3, 4\)"):
        optim.Adam([p * 2])
    with pytest.raises(TypeError, match="iterable of Tensors or of dicts, got one Parameter"):
        optim.Adam(p)
    with pytest.raises(TypeError, match=r"got Linear; pass model.parameters\(\)"):
        optim.Adam(nn.Linear(1, 1, device=device))
    with pytest.raises(TypeError, match=r"of Tensors or of dicts, got int$"):
        optim.Adam(3)
    with pytest.raises(TypeError, match="parameter 0 must be a Tensor, got tuple"):
        optim.Adam(nn.Linear(1, 1, device=device).named_parameters())
    with pytest.raises(TypeError, match="parameter 0 must be floating, got int64"):
        optim.Adam([dlx.zeros((2,), dtype="int64", device=device)])


def test_a_lazy_model_has_nothing_to_optimize_yet():
    with pytest.raises(RuntimeError, match="LazyLinear"):
        optim.Adam(nn.Sequential(nn.LazyLinear(3)).parameters())


def test_add_param_group_keeps_what_was_learned(device):
    params = make_params(device)
    whole, parts = make_params(device), make_params(device)
    a = optim.Adam(whole, lr=0.1)
    b = optim.Adam(parts[:2], lr=0.1)
    late = values(parts[2:])
    run(a, whole, 3)
    run(b, parts, 3)
    assert same(values(parts[2:]), late)
    b.add_param_group({"params": parts[2:], "lr": 0.0})
    run(a, whole, 3, 3)
    run(b, parts, 3, 3)
    assert same(values(parts[:2]), values(whole[:2]))
    assert same(values(parts[2:]), late)
    with pytest.raises(ValueError, match="more than once"):
        b.add_param_group({"params": parts[2:]})
    assert len(b.param_groups) == 2 and len(params) == 5


# ---- Steps


def test_a_step_never_changes_another_tensor(device):
    params = make_params(device)
    snapshots = [p.detach() for p in params]
    before = values(params)
    hold = list(params)
    run(optim.Adam(params, lr=0.1), params, 2)
    assert same(values(snapshots), before)
    assert not same(values(params), before)
    assert all(p is h and p.is_leaf and p.requires_grad for p, h in zip(params, hold))


def test_zero_grad_sets_none(device):
    params = make_params(device)
    opt = optim.SGD(params)
    set_grads(params, make_grads(0))
    opt.zero_grad()
    assert all(p.grad is None for p in params)
    before = values(params)
    opt.step()
    assert same(values(params), before)


def test_zero_grad_fills_with_zeros_when_asked(device):
    params = make_params(device)
    opt = optim.SGD(params, momentum=0.5)
    set_grads(params, [None, *make_grads(0)[1:]])
    held = params[1].grad
    opt.zero_grad(set_to_none=False)
    assert params[0].grad is None
    for p in params[1:]:
        assert p.grad.dtype is p.dtype and np.array_equal(p.grad.cpu().numpy(), np.zeros(p.shape))
    assert np.array_equal(held.cpu().numpy(), make_grads(0)[1])
    opt.zero_grad(True)
    assert all(p.grad is None for p in params)


@pytest.mark.parametrize(("cls", "options"), OPTIMIZERS)
def test_a_recorded_step_replays_bit_for_bit(device, cls, options):
    runs = []
    for recorded in (True, False):
        params = make_params(device, "float32")
        opt = cls(params, lr=0.05, **options)
        run(opt, params, 2)
        set_grads(params, make_grads(2))
        step = dlx.jit(opt.step) if recorded else opt.step
        for _ in range(6):
            step()
        if recorded:
            assert step.cache_info().replays == 3 and step.memory["launches"] == 1
        arrays = [a for entry in opt.state_dict()["state"].values() for a in entry.values()]
        runs.append(values([*params, *arrays]))
    assert same(*runs)


def test_one_launch_steps_all_tensors(device):
    params = [nn.Parameter(dlx.ones((2,), device=device)) for _ in range(20)]
    set_grads(params, [np.ones(2)] * 20)
    # States and parameters are the outputs of a launch, at most 63.
    for cls, launches in [(optim.RMSprop, 1), (optim.Adagrad, 1), (optim.Adadelta, 1)]:
        opt = cls(params)
        with dlx.profile() as profile:
            opt.step()
        assert {row.name: row.calls for row in profile}["optimizer_step"] == launches
    opt = optim.RMSprop(params, momentum=0.9, centered=True)  # 4 outputs a tensor: 15 a launch
    with dlx.profile() as profile:
        opt.step()
    assert {row.name: row.calls for row in profile}["optimizer_step"] == 2
    assert opt.state_dict()["state"][19]["step"].item() == 1


def test_accumulator_starts_where_it_is_told(device):
    params = make_params(device)
    opt = optim.Adagrad(params, lr=1.0, initial_accumulator_value=3.0, eps=0.0)
    before = values(params)
    run(opt, params, 1)
    for p, b, g in zip(params, before, make_grads(0)):
        np.testing.assert_allclose(p.cpu().numpy(), b - g / np.sqrt(3 + g * g), rtol=1e-14)


@pytest.mark.parametrize(("dtype", "steps"), [("float32", 1500), ("float64", 8000)])
def test_the_mean_of_a_gradient_gone_to_zero_does_not_end_among_denormals(device, dtype, steps):
    param = dlx.zeros((40,), dtype=dtype, device=device)
    param.requires_grad = True
    opt = optim.Adam([param])
    param.grad = dlx.ones((40,), dtype=dtype, device=device)
    opt.step()
    param.grad = dlx.zeros((40,), dtype=dtype, device=device)
    for _ in range(steps):
        opt.step()
    mean = opt.state_dict()["state"][0]["exp_avg"].cpu().numpy()
    tiny = np.finfo(dtype).tiny
    assert ((mean == 0) | ((tiny <= mean) & (mean < 100 * tiny))).all()


def test_amsgrad_keeps_nan(device):
    params = make_params(device)
    opt = optim.Adam(params, amsgrad=True)
    set_grads(params, [np.full(shape, np.nan) for shape in SHAPES])
    opt.step()
    run(opt, params, 1)
    assert all(np.isnan(p).all() for p in values(params))


def test_training_lowers_the_loss(device):
    x = dlx.random.normal((64, 5), device=device)
    target = dlx.sum(x, axis=1, keepdims=True)
    rates = (0.1, 0.05, 0.05, 0.05, 0.3, 10.0)
    for cls, lr in zip(CLASSES, rates, strict=True):
        model = nn.Linear(5, 1, device=device)
        opt, losses = cls(model.parameters(), lr=lr), []
        for _ in range(100):
            loss = nn.functional.mse_loss(model(x), target)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        assert losses[-1] < 0.05 * losses[0]


def test_step_under_no_grad_and_with_a_graph_alive(device):
    model = nn.Linear(3, 1, device=device)
    opt = optim.SGD(model.parameters(), lr=0.5)
    x = dlx.ones((2, 3), device=device)
    first, second = model(x).sum(), model(x).sum()
    first.backward()
    with dlx.no_grad():
        opt.step()
    opt.zero_grad()
    second.backward()  # its saved weights are those of its forward
    assert model.weight.grad.tolist() == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize("cls", CLASSES)
def test_compile_knows_the_name(device, cls):
    model = nn.Sequential(nn.Linear(2, 1, device=device))
    model.compile(optimizer=cls.__name__.lower(), lr=0.5, loss="mse")
    model.fit(dlx.ones((4, 2), device=device), dlx.zeros((4, 1), device=device), verbose=0)
    assert type(model.optimizer) is cls and model.optimizer.lr == 0.5


# ---- The learning rate


def test_lr_can_be_assigned(device):
    params = make_params(device)
    opt = optim.SGD(params, lr=0.5)
    assert opt.lr == 0.5 and opt.param_groups[0]["lr"] == 0.5
    run(opt, params, 1)
    before = values(params)
    opt.lr = 0.0
    run(opt, params, 1, 1)
    assert same(values(params), before)
    opt.param_groups[0]["lr"] = 0.25
    assert opt.lr == 0.25
    run(opt, params, 1, 2)
    for p, b, g in zip(params, before, make_grads(2)):
        np.testing.assert_array_equal(p.cpu().numpy(), b - 0.25 * g)
    with pytest.raises(ValueError, match="SGD: lr must be at least 0, got -1"):
        opt.lr = -1
    opt.param_groups[0]["lr"] = -2.0
    before = values(params)
    with pytest.raises(ValueError, match=r"SGD: lr must be at least 0, got -2\.0"):
        opt.step()
    assert same(values(params), before)


def test_lr_of_different_groups(device):
    params = make_params(device)
    opt = optim.Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], lr=0.1)
    with pytest.raises(ValueError, match=r"different learning rates, \[0.1, 0.5\]"):
        _ = opt.lr
    opt.lr = 0.2
    assert opt.lr == 0.2 and [g["lr"] for g in opt.param_groups] == [0.2, 0.2]


def test_lr_as_a_function_of_the_step(device):
    seen = []

    def schedule(step):
        seen.append(step)
        return 1.0 / (step + 1)

    params, others = make_params(device), make_params(device)
    opt, plain = optim.SGD(params, lr=schedule), optim.SGD(others, lr=1.0)
    for step in range(4):
        run(opt, params, 1, step)
        plain.lr = 1.0 / (step + 1)
        run(plain, others, 1, step)
    assert seen == [0, 1, 2, 3]
    assert same(values(params), values(others))
    assert opt.lr == 0.2
    state = opt.state_dict()
    assert state["param_groups"][0]["lr"] == 0.2
    fresh = optim.SGD(make_params(device), lr=schedule)
    fresh.load_state_dict(state)
    assert fresh.lr == 0.2 and callable(fresh.param_groups[0]["lr"])


# ---- State


@pytest.mark.parametrize(("cls", "options"), OPTIMIZERS)
def test_state_dict_resumes_bit_for_bit(device, cls, options):
    params = make_params(device, "float32")
    opt = cls(params, lr=0.1, **options)
    run(opt, params, 3)
    state = copy.deepcopy(opt.state_dict())
    resumed = [nn.Parameter(p.detach()) for p in params]
    run(opt, params, 4, 3)
    other = cls(resumed, lr=9.0)
    other.load_state_dict(state)
    run(other, resumed, 4, 3)
    assert same(values(resumed), values(params))
    assert other.state_dict()["param_groups"] == opt.state_dict()["param_groups"]


def test_state_dict_layout(device):
    params = make_params(device)
    opt = optim.Adam([{"params": params[:2]}, {"params": params[2:]}], lr=0.1)
    assert opt.state_dict()["state"] == {}
    set_grads(params, [None, *make_grads(0)[1:]])
    opt.step()
    state = opt.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert [g["params"] for g in state["param_groups"]] == [[0, 1], [2, 3, 4]]
    assert list(state["state"]) == [1, 2, 3, 4]
    assert list(state["state"][1]) == ["step", "exp_avg", "exp_avg_sq"]
    step = state["state"][1]["step"]
    assert step.dtype == "int64" and step.shape == () and int(step) == 1
    moment = state["state"][1]["exp_avg"].cpu().numpy().copy()
    run(opt, params, 1, 1)
    assert int(step) == 1 and np.array_equal(state["state"][1]["exp_avg"].cpu().numpy(), moment)
    counts = [int(entry["step"]) for entry in opt.state_dict()["state"].values()]
    assert counts == [1, 2, 2, 2, 2]


def test_a_state_dict_that_does_not_fit_changes_nothing(device):
    params = make_params(device)
    opt = optim.Adam(params, lr=0.1)
    run(opt, params, 2)
    good = opt.state_dict()

    def altered(**changes):
        state = copy.deepcopy(good)
        state["state"][0].update(changes)
        return state

    with pytest.raises(TypeError, match="expected a dict with the keys 'state' and 'param_groups'"):
        opt.load_state_dict({"state": {}})
    with pytest.raises(ValueError, match=r"expected groups of \[5\] parameters, got \[4\]"):
        opt.load_state_dict(optim.Adam(params[:4]).state_dict())
    with pytest.raises(ValueError, match=r"exp_avg of parameter 0 expects \(3, 4\), got \(2,\)"):
        opt.load_state_dict(altered(exp_avg=np.zeros(2)))
    with pytest.raises(ValueError, match="parameter 0 expects exp_avg, exp_avg_sq, got"):
        opt.load_state_dict(altered(exp_avg=None))
    foreign = copy.deepcopy(good)
    foreign["param_groups"][0]["decoupled_weight_decay"] = True
    with pytest.raises(ValueError, match="decay=True is another optimizer's setting"):
        opt.load_state_dict(foreign)
    foreign["param_groups"][0].update(decoupled_weight_decay=False, amsgrad=True)
    with pytest.raises(ValueError, match="parameter 0 expects exp_avg, exp_avg_sq, max_exp_avg_sq"):
        opt.load_state_dict(foreign)
    foreign["param_groups"][0].update(amsgrad=False, lr=-1.0)
    with pytest.raises(ValueError, match=r"lr must be at least 0, got -1\.0"):
        opt.load_state_dict(foreign)
    after = opt.state_dict()
    assert after["param_groups"] == good["param_groups"]
    assert np.array_equal(
        after["state"][0]["exp_avg"].cpu().numpy(), good["state"][0]["exp_avg"].cpu().numpy()
    )


def test_repr_lists_the_groups(device):
    text = repr(optim.SGD(make_params(device), lr=0.1))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n")
