"""dlx.nn: modules, containers, layers, losses, initialisation."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import dlx
from _check import settle
from dlx import nn
from dlx.nn import functional as F

pytestmark = pytest.mark.on_its_device


def normal(device, *shape, dtype="float32"):
    return dlx.random.normal(shape, dtype=dtype, device=device)


def mlp(device):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(6, 5, device=device),
        nn.ReLU(),
        nn.Linear(5, 3, device=device),
    )


def equal(a, b):
    return a.dtype == b.dtype and np.array_equal(a.cpu().numpy(), b.cpu().numpy())


class Block(nn.Module):
    """Parameters, a buffer and children in an order of their own."""

    def __init__(self, device):
        self.scale = nn.Parameter(dlx.ones((3,), device=device))
        self.first = nn.Linear(3, 3, device=device)
        self.shift = nn.Parameter(dlx.zeros((3,), device=device))
        self.register_buffer("count", dlx.zeros((), dtype="int64", device=device))
        self.register_buffer("scratch", dlx.zeros((2,), device=device), persistent=False)
        self.last = nn.Linear(3, 2, bias=False, device=device)

    def forward(self, x):
        return self.last(self.first(x) * self.scale + self.shift)


KEYS = ["scale", "shift", "count", "first.weight", "first.bias", "last.weight"]


# ---- Registration and walking


def test_attributes_are_registered_without_super_init(device):
    block = Block(device)
    assert [name for name, _ in block.named_parameters()] == [k for k in KEYS if k != "count"]
    assert [name for name, _ in block.named_buffers()] == ["count", "scratch"]
    assert [name for name, _ in block.named_children()] == ["first", "last"]
    assert [name for name, _ in block.named_modules()] == ["", "first", "last"]
    assert all(p.requires_grad and p.is_leaf for p in block.parameters())
    assert block.training


def test_reading_a_parameter_is_a_plain_attribute(device):
    layer = nn.Linear(2, 2, device=device)
    assert vars(layer)["weight"] is layer.weight
    assert "__getattr__" not in vars(nn.Module)


def test_shared_parameters_and_modules_count_once(device):
    layer = nn.Linear(3, 3, device=device)
    tied = nn.Linear(3, 3, device=device)
    tied.weight = layer.weight
    model = nn.Sequential(layer, layer, tied)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "2"]
    assert len(list(model.children())) == 2
    assert list(model.state_dict()) == [f"{i}.{n}" for i in range(3) for n in ("weight", "bias")]


def test_registered_names_keep_their_kind(device):
    block = Block(device)
    with pytest.raises(TypeError, match=r"Block.scale is a parameter: expected a Parameter .*int"):
        block.scale = 3
    with pytest.raises(TypeError, match=r"Block.first is a module: expected a Module .*Tensor"):
        block.first = dlx.zeros((2,), device=device)
    with pytest.raises(TypeError, match=r"Block.count is a buffer: expected a Tensor .*float"):
        block.count = 1.0
    block.shift = None
    assert "shift" not in block.state_dict()
    block.shift = nn.Parameter(dlx.ones((3,), device=device))
    assert list(block.state_dict()) == KEYS  # its place is kept
    del block.first
    assert [name for name, _ in block.named_children()] == ["last"]


def test_an_attribute_may_change_from_plain_to_parameter(device):
    module = nn.Module()
    module.w = None
    module.v = nn.Parameter(dlx.zeros((1,), device=device))
    module.w = nn.Parameter(dlx.zeros((1,), device=device))
    assert list(module.state_dict()) == ["v", "w"]


def test_register_checks_name_and_value(device):
    module = nn.Module()
    module.register_parameter("none", None)
    module.add_module("child", nn.ReLU())
    assert list(module.parameters()) == [] and len(list(module.children())) == 1
    with pytest.raises(KeyError, match=r"without '\.', got 'a\.b'"):
        module.register_buffer("a.b", None)
    with pytest.raises(KeyError, match="'forward' exists already"):
        module.register_module("forward", nn.ReLU())
    with pytest.raises(TypeError, match="a name must be a string, got int"):
        module.register_module(3, nn.ReLU())
    with pytest.raises(TypeError, match="expected a Parameter or None, got Tensor"):
        module.register_parameter("w", dlx.zeros((2,), device=device))


def test_parameter(device):
    value = normal(device, 3)
    param = nn.Parameter(value)
    assert isinstance(param, dlx.Tensor) and param.requires_grad and param.grad is None
    before = param.cpu().numpy().copy()
    value[0] = 7.0
    assert np.array_equal(param.cpu().numpy(), before)
    assert not nn.Parameter(value, requires_grad=False).requires_grad
    assert nn.Parameter([1.0, 2.0]).shape == (2,)
    assert type(param * 2) is dlx.Tensor
    with pytest.raises(TypeError, match="floating"):
        nn.Parameter(dlx.zeros((2,), dtype="int64", device=device))


def test_arguments_of_a_layer_without_arguments_raise():
    with pytest.raises(TypeError):
        nn.Tanh(3)


# ---- state_dict


def test_state_dict_is_a_snapshot_in_order(device):
    block = Block(device)
    state = block.state_dict()
    assert type(state) is dict and list(state) == KEYS
    assert not any(tensor.requires_grad for tensor in state.values())
    with dlx.no_grad():
        block.scale += 1.0
    assert state["scale"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("numpy", [False, True])
def test_load_state_dict_round_trip(device, numpy):
    source, target = Block(device), Block(device)
    hold = target.first.weight
    state = source.state_dict()
    mapping = {key: t.cpu().numpy() for key, t in state.items()} if numpy else state
    assert tuple(target.load_state_dict(mapping)) == ([], [])
    assert all(equal(a, b) for a, b in zip(target.state_dict().values(), state.values()))
    assert target.first.weight is hold and hold.requires_grad and hold.is_leaf
    with dlx.no_grad():
        target.scale += 1.0
    assert source.scale.tolist() == [1.0, 1.0, 1.0]


def test_load_state_dict_casts_to_the_parameter(device):
    layer = nn.Linear(2, 1, device=device)
    layer.load_state_dict({"weight": np.full((1, 2), 0.5), "bias": np.zeros(1, np.float64)})
    assert layer.weight.dtype == "float32" and layer.weight.tolist() == [[0.5, 0.5]]


def test_load_state_dict_raises_once_with_everything_and_changes_nothing(device):
    model = mlp(device)
    before = model.state_dict()
    wrong = dict(before)
    del wrong["3.bias"]
    wrong["head.weight"] = before["3.weight"]
    wrong["1.weight"] = dlx.zeros((5, 7), device=device)
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(wrong)
    text = str(caught.value)
    assert "missing keys: 3.bias" in text
    assert "unexpected keys: head.weight" in text
    assert "misshapen keys: 1.weight expected (5, 6), got (5, 7)" in text
    assert all(equal(a, b) for a, b in zip(model.state_dict().values(), before.values()))
    with pytest.raises(RuntimeError, match=r"misshapen keys: 1\.weight"):
        model.load_state_dict(wrong, strict=False)
    del wrong["1.weight"]
    result = model.load_state_dict(wrong, strict=False)
    assert result.missing_keys == ["1.weight", "3.bias"]
    assert result.unexpected_keys == ["head.weight"]


def test_load_state_dict_wants_a_mapping_of_arrays(device):
    with pytest.raises(TypeError, match=r"expected a mapping .*got list"):
        nn.Linear(1, 1, device=device).load_state_dict([1])
    with pytest.raises(TypeError, match="weight must be a Tensor or NumPy array, got str"):
        nn.Linear(1, 1, device=device).load_state_dict({"weight": "w", "bias": np.zeros(1)})


def test_state_dict_has_pytorchs_keys_and_order(device):
    torch = pytest.importorskip("torch")

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.first = torch.nn.Linear(3, 3)
            self.shift = torch.nn.Parameter(torch.zeros(3))
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))
            self.register_buffer("scratch", torch.zeros(2), persistent=False)
            self.last = torch.nn.Linear(3, 2, bias=False)

        forward = Block.forward

    theirs, ours = Theirs(), Block(device)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: value.cpu().numpy() for key, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    y = ours(dlx.tensor(x, device=device)).cpu().numpy()
    expected = theirs(torch.tensor(x)).detach().cpu().numpy()
    # 9 products and sums, each term below 4 in magnitude
    assert np.max(np.abs(y - expected)) <= 4 * 9 * np.finfo(np.float32).eps * 4


# ---- Modes, moving, gradients


def test_train_and_eval_reach_everything(device):
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert model.train() is model and all(m.training for m in model.modules())
    with pytest.raises(TypeError, match="True or False, got 'eval'"):
        model.train("eval")


def test_to_changes_floating_tensors_in_place(device):
    block = Block(device)
    weight, count = block.first.weight, block.count
    weight.grad = dlx.ones((3, 3), device=device)
    assert block.to(dlx.float64) is block
    assert block.first.weight is weight and weight.dtype == "float64"
    assert weight.requires_grad and weight.is_leaf and weight.grad.dtype == "float64"
    assert block.count is count and count.dtype == "int64"
    assert block.scratch.dtype == "float64"
    block.to(device, dlx.float32)
    assert block.scale.dtype == "float32" and block.scale.device == device
    block.to(device)
    block.to(dtype=dlx.float64)
    assert block.scale.dtype == "float64"
    with pytest.raises(TypeError, match="floating"):
        block.to(dlx.int64)


def test_to_an_absent_device_raises(device):
    with pytest.raises(RuntimeError, match=r"cuda:7.*dlx info"):
        nn.Linear(1, 1, device=device).to("cuda:7")


def test_requires_grad_and_zero_grad(device):
    model = mlp(device)
    model(normal(device, 2, 6)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert model[1].requires_grad_(False) is model[1]
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]


def test_apply_goes_children_first(device):
    seen = []
    model = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == ["ReLU", "Sequential", "Tanh", "Sequential"]


# ---- Hooks


def test_hooks_see_and_replace(device):
    layer, calls = nn.Identity(), []
    x = dlx.ones((2,), device=device)
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    look = layer.register_forward_hook(lambda m, args, y: calls.append((m, args[0], y)))
    post = layer.register_forward_hook(lambda m, args, y: y + 1)
    assert layer(x).tolist() == [3.0, 3.0]
    assert calls[0][0] is layer and calls[0][1].tolist() == [2.0, 2.0]
    for handle in (pre, look, post):
        handle.remove()
        handle.remove()
    assert layer(x) is x and len(calls) == 1


def test_a_pre_hook_may_return_one_value(device):
    layer = nn.Identity()
    with layer.register_forward_pre_hook(lambda m, args: dlx.zeros((1,), device=device)):
        assert layer(3).tolist() == [0.0]
    assert layer(3) == 3


def test_a_hook_may_remove_itself():
    layer, calls = nn.Identity(), []

    def once(module, args, output):
        calls.append(output)
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer(1), layer(2)
    assert calls == [1]
    with pytest.raises(TypeError, match="a hook must be a function, got int"):
        layer.register_forward_hook(3)


# ---- Errors carry the layer's path


def test_an_error_names_the_layer(device):
    model = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(64, 10, device=device))
    with pytest.raises(ValueError) as caught:
        model(dlx.zeros((8, 32), device=device))
    text = str(caught.value)
    assert text.startswith("Sequential.2 (Linear(64, 10)): linear: ")
    assert "64" in text and "(8, 32)" in text


def test_an_error_names_the_whole_path_and_keeps_its_type():
    class Custom(ValueError):
        pass

    class Fail(nn.Module):
        def forward(self, x):
            raise Custom("fail: this went wrong")

    class Net(nn.Module):
        def __init__(self):
            self.blocks = nn.ModuleList([nn.Identity(), nn.Sequential(nn.Identity(), Fail())])

        def forward(self, x):
            return self.blocks[1](x)

    with pytest.raises(Custom) as caught:
        Net()(1)
    assert str(caught.value) == "Net.blocks.1.1 (Fail): fail: this went wrong"
    with pytest.raises(Custom, match=r"^Fail: fail: this"):
        Fail()(1)


def test_an_error_without_a_text_is_left_alone():
    class Fail(nn.Module):
        def forward(self, x):
            raise x

    for error in (KeyError("key"), ValueError(), ValueError("a", 2), OSError(2, "text")):
        with pytest.raises(type(error)) as caught:
            nn.Sequential(Fail())(error)
        assert caught.value is error and error.args == type(error)(*error.args).args


def test_a_layer_made_on_the_way_has_its_class_for_a_name():
    class Fail(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    class Net(nn.Module):
        def forward(self, x):
            return Fail()(x)

    with pytest.raises(ValueError, match=r"^Net\.Fail \(Fail\): no$"):
        Net()(1)


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match=r"^ModuleList: forward is not defined"):
        nn.ModuleList()(1)


# ---- repr


def test_repr_shows_layers_and_mode(device):
    model = nn.Sequential(nn.Linear(2, 3, device=device), nn.Sequential(nn.Dropout(0.1), nn.ReLU()))
    model[1][0].eval()
    assert repr(model) == (
        "Sequential(  # train\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): Dropout(p=0.1, inplace=False)  # eval\n"
        "    (1): ReLU()\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Softmax(dim=1).eval()) == "Softmax(dim=1)  # eval"
    assert repr(nn.LazyLinear(3)) == "LazyLinear(in_features=0, out_features=3, bias=True)  # train"


# ---- Copies


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_modules_can_be_copied(device, clone):
    layer = nn.Linear(3, 3, device=device)
    layer.weight.requires_grad = False
    model = nn.Sequential(layer, nn.Dropout(0.3), layer, nn.LazyLinear(2, device=device)).eval()
    model(dlx.ones((1, 3), device=device))
    twin = clone(model)
    assert type(twin) is nn.Sequential and not twin.training and twin[1].p == 0.3
    assert twin[0] is twin[2] and twin[0].weight is not layer.weight
    assert isinstance(twin[0].weight, nn.Parameter)
    assert [p.requires_grad for p in twin.parameters()] == [False, True, True, True]
    assert all(equal(a, b) for a, b in zip(twin.state_dict().values(), model.state_dict().values()))
    with dlx.no_grad():
        twin[0].bias += 1.0
    assert not equal(twin[0].bias, layer.bias)


def test_deepcopy_keeps_hooks_apart():
    layer = nn.Identity()
    handle = layer.register_forward_hook(lambda m, args, y: y + 1)
    twin = copy.deepcopy(layer)
    handle.remove()
    assert layer(1) == 1 and twin(1) == 2


def test_a_dropped_module_is_freed_by_reference_counts(device):
    model = mlp(device)
    model.register_forward_hook(lambda m, args, y: None)
    model(normal(device, 2, 6))
    dead = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert dead() is None
    finally:
        gc.enable()


# ---- Containers


def test_sequential_indexing():
    layers = [nn.ReLU(), nn.Tanh(), nn.Sigmoid()]
    model = nn.Sequential(*layers)
    assert len(model) == 3 and list(model) == layers and layers[1] in model
    assert model[0] is layers[0] and model[-1] is layers[2]
    part = model[1:]
    assert type(part) is nn.Sequential and list(part) == layers[1:]
    assert [name for name, _ in part.named_children()] == ["1", "2"]
    part.append(nn.ReLU())
    assert [name for name, _ in part.named_children()] == ["1", "2", "3"]
    model[1] = nn.Identity()
    assert isinstance(model[1], nn.Identity) and part[0] is layers[1]
    del model[0]
    assert [name for name, _ in model.named_children()] == ["0", "1"]
    assert model.append(nn.ReLU()) is model and len(model) == 3
    with pytest.raises(IndexError, match="index 3 is out of range for 3 layers"):
        model[3]
    with pytest.raises(TypeError, match="integers or slices, got str"):
        model["0"]
    with pytest.raises(TypeError, match="expected a Module, got int"):
        nn.Sequential(nn.ReLU(), 3)
    with pytest.raises(TypeError, match=r"got list; write Sequential\(\*layers\)"):
        nn.Sequential([nn.ReLU()])


def test_sequential_takes_names(device):
    model = nn.Sequential(OrderedDict(body=nn.Linear(2, 2, device=device), act=nn.ReLU()))
    assert list(model.state_dict()) == ["body.weight", "body.bias"]
    assert model.body is model[0]
    assert [name for name, _ in model[:1].named_children()] == ["body"]


def test_sequential_runs_in_order(device):
    x = normal(device, 4, 6)
    model = mlp(device)
    expected = F.linear(
        F.relu(F.linear(x, model[1].weight, model[1].bias)), model[3].weight, model[3].bias
    )
    assert equal(model(x), expected)
    assert nn.Sequential()(x) is x


def test_module_list(device):
    layers = nn.ModuleList([nn.Linear(1, 1, device=device), nn.Linear(1, 1, device=device)])
    layers.extend([nn.ReLU()])
    assert len(layers) == 3 and len(list(layers.parameters())) == 4
    assert [name for name, _ in layers[1:].named_children()] == ["0", "1"]
    del layers[:2]
    assert list(layers.state_dict()) == [] and isinstance(layers[0], nn.ReLU)


# ---- Layers


def test_linear(device):
    layer = nn.Linear(4, 3, device=device)
    assert layer.weight.shape == (3, 4) and layer.bias.shape == (3,)
    assert layer(normal(device, 2, 5, 4)).shape == (2, 5, 3)
    assert layer(normal(device, 4)).shape == (3,)
    assert layer(dlx.zeros((0, 4), device=device)).shape == (0, 3)
    bare = nn.Linear(4, 3, bias=False, device=device, dtype=dlx.float64)
    assert bare.bias is None and bare.weight.dtype == "float64"
    assert list(bare.state_dict()) == ["weight"]
    with pytest.raises(TypeError, match=r"in_features must be an integer, got 2\.5"):
        nn.Linear(2.5, 1)
    with pytest.raises(ValueError, match="out_features must be at least 0, got -1"):
        nn.Linear(1, -1)
    with pytest.raises(TypeError, match=r"float64.*float32|float32.*float64"):
        bare(normal(device, 2, 4))


def test_linear_starts_with_pytorchs_distribution(device):
    layer = nn.Linear(400, 300, device=device)
    for values in (layer.weight.cpu().numpy().ravel(), layer.bias.cpu().numpy()):
        assert np.max(np.abs(values)) <= 1 / math.sqrt(400)
        assert np.max(np.abs(values)) >= 0.98 / math.sqrt(400)
        # uniform on ±k: variance k²/3; the sample's relative error is ~ sqrt(0.8 / n)
        assert abs(np.var(values) * 3 * 400 - 1) <= 5 * math.sqrt(0.8 / values.size)
        assert abs(np.mean(values)) * math.sqrt(3 * 400) <= 5 / math.sqrt(values.size)


def test_the_seed_decides_the_initial_weights(device):
    def weights(seed):
        dlx.seed(seed)
        return nn.Linear(5, 4, device=device).weight

    assert equal(weights(1), weights(1)) and not equal(weights(1), weights(2))
    layer = nn.Linear(5, 4, device=device)
    before = layer.weight.detach()
    layer.reset_parameters()
    assert not equal(layer.weight, before) and layer.weight.is_leaf


def test_lazy_linear_becomes_linear(device):
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4, device=device), nn.LazyLinear(2))
    hold = model[1]
    assert isinstance(hold, nn.LazyLinear)
    for use in (model.parameters, model.state_dict, lambda: model.requires_grad_(False)):
        with pytest.raises(
            RuntimeError, match=r"Sequential\.1 \(LazyLinear\(in_features=0, out_features=4"
        ):
            use()
    model.zero_grad()
    assert model(normal(device, 5, 2, 3)).shape == (5, 2)
    assert type(hold) is nn.Linear and hold.in_features == 6
    assert hold.weight.shape == (4, 6) and hold.bias.shape == (4,)
    assert np.max(np.abs(hold.weight.cpu().numpy())) <= 1 / math.sqrt(6)
    names = ["1.weight", "1.bias", "2.weight", "2.bias"]
    assert list(model.state_dict()) == names
    assert repr(hold).startswith("Linear(in_features=6, out_features=4, bias=True)")


def test_lazy_linear_draws_what_linear_draws(device):
    dlx.seed(3)
    lazy = nn.LazyLinear(4, device=device)
    lazy(dlx.zeros((1, 6), device=device))
    dlx.seed(3)
    plain = nn.Linear(6, 4, device=device)
    assert equal(lazy.weight, plain.weight) and equal(lazy.bias, plain.bias)


def test_lazy_linear_loads_a_state_dict(device):
    source = nn.Sequential(nn.Linear(6, 4, device=device), nn.Linear(4, 2, device=device))
    model = nn.Sequential(nn.LazyLinear(4, device=device), nn.LazyLinear(2, device=device))
    wrong = {**source.state_dict(), "1.weight": np.zeros((3, 4))}
    with pytest.raises(RuntimeError, match=r"1.weight expected \(2, any\), got \(3, 4\)"):
        model.load_state_dict(wrong)
    assert isinstance(model[0], nn.LazyLinear)
    model.load_state_dict(source.state_dict())
    assert type(model[0]) is nn.Linear and model[0].in_features == 6
    x = normal(device, 3, 6)
    assert equal(model(x), source(x))


def test_lazy_linear_takes_part_of_a_state_dict(device):
    layer = nn.LazyLinear(4, device=device)
    result = layer.load_state_dict({"weight": np.ones((4, 6))}, strict=False)
    assert result.missing_keys == ["bias"] and layer.weight.tolist() == [[1.0] * 6] * 4
    other = nn.LazyLinear(4, device=device)
    other.load_state_dict({}, strict=False)
    assert isinstance(other, nn.LazyLinear)


def test_lazy_linear_remembers_to_and_bias(device):
    layer = nn.LazyLinear(4, bias=False).to(device, dlx.float64)
    layer(dlx.zeros((1, 2), dtype="float64", device=device))
    assert layer.weight.dtype == "float64" and layer.bias is None
    with pytest.raises(ValueError, match=r"at least one axis"):
        nn.LazyLinear(3)(dlx.zeros((), device=device))
    with pytest.raises(TypeError, match="x must be a Tensor, got ndarray"):
        nn.LazyLinear(3)(np.zeros((2, 2)))


def test_flatten(device):
    x = normal(device, 2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten(2, -2)(x).shape == (2, 3, 4, 5)
    assert equal(nn.Flatten(1, 2)(x), dlx.reshape(x, (2, 12, 5)))
    assert nn.Flatten()(dlx.zeros((0, 3, 4), device=device)).shape == (0, 12)
    assert nn.Flatten(0)(dlx.zeros((), device=device)).shape == (1,)
    with pytest.raises(IndexError, match=r"flatten: axis 4 does not exist in a tensor of 4"):
        nn.Flatten(4)(x)
    with pytest.raises(ValueError, match=r"got 2 and 1; x=\(2, 3, 4, 5\)"):
        nn.Flatten(2, 1)(x)
    with pytest.raises(TypeError, match="flatten: expected a Tensor, got list"):
        nn.Flatten()([1.0])


def test_identity_ignores_arguments():
    x = object()
    assert nn.Identity(54, unused=True)(x) is x


def test_activations_are_their_functions(device):
    x = normal(device, 3, 4)
    assert equal(nn.ReLU(inplace=True)(x), dlx.relu(x))
    assert equal(nn.Tanh()(x), dlx.tanh(x))
    assert equal(nn.Sigmoid()(x), dlx.sigmoid(x))
    assert equal(nn.Softmax(dim=0)(x), dlx.softmax(x, axis=0))
    assert equal(nn.LogSoftmax(1)(x), dlx.log_softmax(x, axis=1))
    assert equal(F.softmax(x, dim=1), F.softmax(x, 1))


def test_dropout(device):
    x = dlx.ones((100, 100), device=device)
    layer = nn.Dropout(0.25)
    y = layer(x).cpu().numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    # 10 000 draws: standard deviation of the share of zeros is 0.0043
    assert abs(np.mean(y == 0) - 0.25) <= 5 * 0.0044
    assert not np.array_equal(layer(x).cpu().numpy(), y)
    assert equal(layer.eval()(x), x)
    assert equal(F.dropout(x, 0.5, False), x)
    assert layer.train() and np.all(nn.Dropout(1.0)(x).cpu().numpy() == 0)
    assert equal(nn.Dropout(0.0)(x), x)
    for p in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match=f"p must be between 0 and 1, got {p}"):
            nn.Dropout(p)
    with pytest.raises(TypeError, match="p must be a number, got str"):
        nn.Dropout("0.5")


def test_dropout_passes_the_gradient_of_what_it_kept(device):
    x = dlx.ones((50,), device=device)
    x.requires_grad = True
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    assert np.array_equal(x.grad.cpu().numpy(), y.cpu().numpy())


# ---- Losses


LOGITS = np.random.default_rng(1).normal(size=(5, 4))
LABELS = np.array([0, 3, 1, 2, 2])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [-100, 2])
def test_cross_entropy_is_pytorchs(device, reduction, smoothing, weighted, ignore):
    torch = pytest.importorskip("torch")
    weight = np.array([0.5, 2.0, 1.0, 3.0])
    ours = nn.CrossEntropyLoss(
        dlx.tensor(weight, device=device) if weighted else None, ignore, reduction, smoothing
    )
    x = dlx.tensor(LOGITS, device=device, requires_grad=True)
    loss = ours(x, dlx.tensor(LABELS, device=device))
    theirs = torch.nn.CrossEntropyLoss(
        weight=torch.tensor(weight) if weighted else None,
        ignore_index=ignore,
        reduction=reduction,
        label_smoothing=smoothing,
    )
    z = torch.tensor(LOGITS, requires_grad=True)
    expected = theirs(z, torch.tensor(LABELS))
    np.testing.assert_allclose(
        loss.cpu().numpy(), expected.detach().cpu().numpy(), rtol=1e-14, atol=1e-14
    )
    loss.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), z.grad.cpu().numpy(), rtol=1e-13, atol=1e-14)


def test_cross_entropy_names_a_label_out_of_range(device):
    x = normal(device, 3, 4)
    for label in (4, -1):
        target = dlx.tensor([0, label, 1], device=device)
        with pytest.raises(IndexError, match=rf"label {label} in row 1"):
            nn.CrossEntropyLoss()(x, target)
            settle(device)
    model = nn.CrossEntropyLoss(weight=dlx.ones((4,), device=device))
    assert list(model.state_dict()) == ["weight"]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss(device, reduction):
    x, target = LOGITS, LOGITS[::-1] * 0.5
    y = nn.MSELoss(reduction)(
        dlx.tensor(x, device=device), dlx.tensor(target.copy(), device=device)
    )
    square = (x - target) ** 2
    expected = {"mean": square.mean(), "sum": square.sum(), "none": square}[reduction]
    np.testing.assert_allclose(y.cpu().numpy(), expected, rtol=1e-14)


def test_mse_loss_does_not_broadcast(device):
    with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
        nn.MSELoss()(dlx.zeros((4, 1), device=device), dlx.zeros((4,), device=device))


def test_losses_check_their_arguments():
    for loss in (nn.MSELoss, nn.CrossEntropyLoss):
        with pytest.raises(ValueError, match="'none', 'mean' or 'sum', got 'avg'"):
            loss(reduction="avg")
    with pytest.raises(ValueError, match="label_smoothing must be between 0 and 1, got 2"):
        nn.CrossEntropyLoss(label_smoothing=2)


# ---- Initialisers


def test_kaiming_uniform(device):
    w = dlx.zeros((50, 20, 3, 3), device=device)
    assert nn.init.kaiming_uniform_(w, nonlinearity="relu") is w
    bound = math.sqrt(2) * math.sqrt(3 / 180)
    assert 0.98 * bound <= np.max(np.abs(w.cpu().numpy())) <= bound
    nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="linear")
    bound = math.sqrt(3 / 450)
    assert 0.98 * bound <= np.max(np.abs(w.cpu().numpy())) <= bound
    with pytest.raises(ValueError, match=r"at least 2 dimensions.*tensor=\(3,\)"):
        nn.init.kaiming_uniform_(dlx.zeros((3,), device=device))
    with pytest.raises(ValueError, match="'fan_in' or 'fan_out', got 'both'"):
        nn.init.kaiming_uniform_(w, mode="both")


def test_uniform_keeps_a_parameter_a_leaf(device):
    p = nn.Parameter(dlx.zeros((1000,), device=device))
    assert nn.init.uniform_(p, 2.0, 3.0) is p
    assert p.is_leaf and p.requires_grad
    assert 2.0 <= p.cpu().numpy().min() < 2.05 and 2.95 < p.cpu().numpy().max() <= 3.0


def test_calculate_gain_is_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert nn.init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ValueError, match="unknown nonlinearity 'gelu'; known: conv1d"):
        nn.init.calculate_gain("gelu")
