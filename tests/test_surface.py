"""The promises about names, creation, values, axis and dim. Later names are not listed yet."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import dlx

FUNCTIONS_NAMES = """
add subtract multiply divide pow negative abs exp log sqrt tanh sigmoid relu maximum minimum
clip where equal not_equal less less_equal greater greater_equal sum mean max min var argmax
argmin matmul reshape permute_dims squeeze expand_dims broadcast_to concat stack take astype
softmax log_softmax seed save load no_grad set_num_threads get_num_threads profile grad
value_and_grad vjp jvp hessian numeric_grad gradcheck primitive tensor asarray from_dlpack
zeros ones full empty arange linspace eye zeros_like ones_like full_like empty_like
pad flip roll tile tril triu cumsum cumulative_sum one_hot
conv1d conv2d conv_transpose1d conv_transpose2d conv2d_backward_weight
erf sin cos log1p expm1 floor ceil trunc round sign square reciprocal rsqrt remainder floor_divide
isfinite isinf isnan logsumexp
max_pool1d max_pool2d avg_pool1d avg_pool2d sum_pool1d sum_pool2d
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d
upsample_nearest1d upsample_nearest2d upsample_linear1d upsample_bilinear2d
"""
FUNCTIONS = FUNCTIONS_NAMES.split()
MODULES = ["memory", "random", "testing", "data", "nn", "optim", "train", "interop", "models"]
FUNCTIONAL_NAMES = """
conv1d conv2d conv_transpose1d conv_transpose2d
linear batch_norm layer_norm relu tanh sigmoid softmax log_softmax cross_entropy mse_loss dropout
embedding pad one_hot
leaky_relu elu gelu silu softplus hardtanh relu6 selu softsign mish logsigmoid hardswish hardsigmoid
prelu softmin binary_cross_entropy binary_cross_entropy_with_logits l1_loss smooth_l1_loss
huber_loss nll_loss kl_div
max_pool1d max_pool2d avg_pool1d avg_pool2d sum_pool1d sum_pool2d interpolate
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d
"""
FUNCTIONAL = FUNCTIONAL_NAMES.split()
LAYERS_NAMES = """
Module Sequential ModuleList Parameter Identity Linear LazyLinear Dropout Flatten ReLU Tanh
Sigmoid Softmax LogSoftmax CrossEntropyLoss MSELoss
Conv1d Conv2d ConvTranspose1d ConvTranspose2d LazyConv1d LazyConv2d Unflatten
BatchNorm1d BatchNorm2d LayerNorm Embedding ZeroPad2d ConstantPad2d ReflectionPad2d ReplicationPad2d
LeakyReLU ELU GELU SiLU Softplus ReLU6 Hardtanh SELU Softsign Mish LogSigmoid Hardswish Hardsigmoid
PReLU Softmin BCEWithLogitsLoss BCELoss L1Loss SmoothL1Loss HuberLoss NLLLoss KLDivLoss
MaxPool1d MaxPool2d AvgPool1d AvgPool2d SumPool1d SumPool2d GlobalAvgPool2d GlobalMaxPool2d
AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d Upsample
"""
LAYERS = LAYERS_NAMES.split()
OPTIMIZERS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"]
SCHEDULES = ["constant", "step", "exponential", "cosine", "linear", "inverse_time"]
RANDOM = ["normal", "uniform", "randint", "permutation", "get_state", "set_state"]
DTYPES = ["float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "bool"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    assert callable(getattr(dlx, name))
    assert name in dlx.__all__
    assert getattr(dlx, name).__doc__


def test_type_checkers_see_tensors():
    """py.typed promises types: a function without an annotation would be Any to every caller."""
    for name in dlx.__all__:
        function = getattr(dlx, name)
        if (getattr(function, "__module__", None) or "").startswith("dlx.ops"):
            assert function.__annotations__["return"] == "Tensor", name
    for name in ("sum", "reshape", "astype", "softmax", "detach", "__getitem__"):
        assert getattr(dlx.Tensor, name).__annotations__["return"] == "Tensor", name


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    assert type(getattr(dlx, name)).__name__ == "module"
    assert name in dir(dlx)


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional(name):
    assert callable(getattr(dlx.nn.functional, name)) and name in dlx.nn.functional.__all__


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    assert isinstance(getattr(dlx.nn, name), type) and name in dlx.nn.__all__


def test_the_rest_of_the_names():
    assert all(callable(getattr(dlx.random, name)) for name in RANDOM)
    assert all(isinstance(getattr(dlx.optim, name), type) for name in OPTIMIZERS)
    assert all(callable(getattr(dlx.optim.schedules, name)) for name in SCHEDULES)
    assert callable(dlx.testing.weight_hash)
    assert callable(dlx.memory.stats) and callable(dlx.memory.empty_cache)
    assert isinstance(dlx.__version__, str)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = dlx.no_such_name


def test_completion_shows_the_public_names():
    shown = {name for name in dir(dlx) if not name.startswith("__")}
    assert shown == set(dlx.__all__)


@pytest.mark.parametrize(
    ("name", "ours"), [("cat", "concat"), ("randn", "random.normal"), ("manual_seed", "seed")]
)
def test_names_of_other_libraries_point_to_ours(name, ours):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; it is dlx.{ours}$"):
        getattr(dlx, name)


def test_no_module_file_bears_the_name_of_a_public_function():
    code = (
        "import dlx, pkgutil\n"
        "before = {n: getattr(dlx, n) for n in dlx.__all__}\n"
        "stems = {m.name for m in pkgutil.iter_modules(dlx.__path__)}\n"
        "functions = {n for n, v in before.items() if type(v).__name__ != 'module'}\n"
        "assert not stems & functions, stems & functions\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_import_is_light():
    code = "import sys, dlx; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert not {"numpy", "typing", "json", "pathlib", "torch"} & set(loaded.stdout.split())


# --- creation


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, "float32", ()),
        (2, "int64", ()),
        (True, "bool", ()),
        ([1, 2.5], "float32", (2,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        ([[], []], "float32", (2, 0)),
        ([True, False], "bool", (2,)),
        ((1.0, 2.0), "float32", (2,)),
        (np.ones((2, 3)), "float64", (2, 3)),
        (np.ones(3, np.float16), "float16", (3,)),
        (np.zeros((2, 0), np.int32), "int32", (2, 0)),
        (np.uint8(7), "uint8", ()),
        (np.float64(7), "float64", ()),
        ([np.float32(1), 2], "float32", (2,)),
    ],
)
def test_tensor_takes_python_and_numpy(data, dtype, shape, device):
    t = dlx.tensor(data, device=device)
    assert (str(t.dtype), t.shape) == (dtype, shape)
    np.testing.assert_array_equal(t.cpu().numpy(), np.asarray(data))


def test_tensor_copies_and_asarray_borrows(device):
    source = np.arange(6.0).reshape(2, 3)
    copied, borrowed = dlx.tensor(source, device=device), dlx.asarray(source)
    source[0, 0] = 99
    assert copied.cpu().numpy()[0, 0] == 0
    assert borrowed.numpy()[0, 0] == 99
    borrowed += 1.0  # the tensor gets memory of its own; the lender's stays
    assert source[0, 0] == 99 and borrowed.numpy()[0, 0] == 100
    transposed = dlx.tensor(source.T[::-1], device=device)
    np.testing.assert_array_equal(transposed.cpu().numpy(), source.T[::-1])


def test_dlpack_in_and_out(device):
    source = np.arange(6, dtype=np.float32).reshape(2, 3)
    borrowed = dlx.from_dlpack(source)
    np.testing.assert_array_equal(borrowed.numpy(), source)
    np.testing.assert_array_equal(np.from_dlpack(dlx.tensor(source, device=device).cpu()), source)


@pytest.mark.parametrize("bad", ["text", [[1, 2], [3]], [object()], None, [1, "a"], {"a": 1}])
def test_tensor_rejects_what_is_no_array(bad, device):
    with pytest.raises((TypeError, ValueError), match="tensor"):
        dlx.tensor(bad, device=device)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_made_and_cast(dtype, device):
    kind = getattr(dlx, dtype)
    for made in (
        dlx.zeros((2, 3), dtype=kind, device=device),
        dlx.full((2, 3), 0, dtype=kind, device=device),
        dlx.tensor([[0, 0, 0]] * 2, dtype=kind, device=device),
        dlx.zeros_like(dlx.ones((2, 3), dtype=kind, device=device)),
        dlx.astype(dlx.zeros((2, 3), device=device), kind),
        dlx.zeros((2, 3), dtype=dtype, device=device),
    ):
        assert made.dtype == kind and made.shape == (2, 3)
        assert dlx.sum(dlx.astype(made, dlx.float32)).item() == 0


def test_defaults_of_creation(device):
    assert str(dlx.zeros((2,), device=device).dtype) == "float32"
    assert str(dlx.full((2,), 7, device=device).dtype) == "int64"
    assert str(dlx.full((2,), 7.0, device=device).dtype) == "float32"
    assert str(dlx.arange(3, device=device).dtype) == "int64"
    assert str(dlx.arange(0.0, 1.0, 0.5, device=device).dtype) == "float32"
    assert dlx.ones(3, device=device).shape == (3,)
    assert dlx.empty((2, 3), device=device).shape == (2, 3)
    assert dlx.ones_like(dlx.zeros((2,), dtype=dlx.int32, device=device)).dtype == dlx.int32
    assert dlx.full_like(dlx.zeros((2,), device=device), 3.0).tolist() == [3.0, 3.0]


def test_devices(device):
    t = dlx.zeros((2,), device=device)
    assert t.device == device and t.device == dlx.device(device)
    assert str(t.device) == str(dlx.device(device))
    assert t.device != "cuda:99"
    with pytest.raises(RuntimeError, match=r"cuda:99.*dlx info"):
        dlx.zeros((2,), device="cuda:99")
    with pytest.raises((RuntimeError, ValueError), match="tpu"):
        dlx.zeros((2,), device="tpu")


# --- values


def test_no_other_tensor_changes_with_an_assignment(device):
    x = dlx.tensor([[1.0, 2.0], [3.0, 4.0]], device=device)
    view, snapshot = x[0], x.cpu().numpy()
    x[0] = 9.0
    assert x.tolist() == [[9.0, 9.0], [3.0, 4.0]]
    assert view.tolist() == [1.0, 2.0]
    assert snapshot.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    view += 1.0
    assert view.tolist() == [2.0, 3.0] and x.tolist()[0] == [9.0, 9.0]


@pytest.mark.parametrize(
    "same",
    [
        lambda x: +x,
        lambda x: x[...],
        lambda x: x.astype("float32"),
        lambda x: dlx.astype(x, dlx.float32),
        lambda x: x.float(),
        lambda x: x.contiguous(),
        lambda x: x.squeeze(),
        lambda x: x.squeeze(0),
        lambda x: x.reshape(2, 2),
        lambda x: x.permute(0, 1),
        lambda x: x.expand(2, 2),
        lambda x: x.flatten(0, 0),
        lambda x: x.detach(),
        lambda x: dlx.tensor(x),
        lambda x: dlx.concat([x]),
        lambda x: dlx.broadcast_to(x, (2, 2)),
        lambda x: dlx.sum(x, axis=()),
        lambda x: dlx.flip(x, axis=()),
        lambda x: dlx.roll(x, 4),
        lambda x: dlx.pad(x, 0),
        lambda x: dlx.tile(x, (1, 1)),
        lambda x: dlx.nn.functional.dropout(x, 0.5, training=False),
        lambda x: dlx.nn.functional.dropout(x, 0.0),
    ],
)
def test_what_changes_nothing_still_gives_another_tensor(same, device):
    """y = f(x) and y += 1 leave x alone for every f, also where f has nothing to do."""
    x = dlx.tensor([[1.0, 2.0], [3.0, 4.0]], device=device)
    y = same(x)
    y += 1.0
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    y = same(x)
    x += 1.0
    assert y.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    leaf = dlx.tensor([[1.0, 2.0]] * 2, device=device, requires_grad=True)
    y = same(leaf)
    if y.requires_grad:
        dlx.sum(y * y).backward()
        assert leaf.grad.tolist() == [[2.0, 4.0]] * 2


def test_an_assigned_number_must_fit(device):
    x = dlx.zeros((2,), dtype="uint8", device=device)
    for value in (300, -1, [0, 256]):
        with pytest.raises(OverflowError, match="does not fit uint8"):
            x[:] = value
    with pytest.raises(TypeError, match="setitem: float32 values do not fit a tensor of uint8"):
        x[0] = 1.5
    x[0] = 255
    assert x.tolist() == [255, 0]


def test_every_in_place_operator_rebinds(device):
    x = dlx.tensor([4.0, 9.0], device=device)
    same = x.detach()
    x += 1
    x -= 2.0
    x *= dlx.tensor([2.0, 2.0], device=device)
    x /= 4
    assert x.tolist() == [1.5, 4.0] and same.tolist() == [4.0, 9.0]


def test_assignment_by_mask_index_and_slice(device):
    x = dlx.tensor(np.arange(6.0), device=device)
    x[x > 3.0] = 0.0
    x[[0, 1]] = dlx.tensor(np.array([7.0, 8.0]), device=device)
    x[2:4] = [5.0, 6.0]
    assert x.tolist() == [7.0, 8.0, 5.0, 6.0, 0.0, 0.0]


def test_numpy_is_a_read_only_view(device):
    t = dlx.tensor([1.0, 2.0], device=device, requires_grad=True)
    a = t.cpu().numpy()
    assert not a.flags.writeable and a.tolist() == [1.0, 2.0]
    assert np.asarray(t.cpu()).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 3
    if device == "cpu":
        assert np.shares_memory(a, t.cpu().numpy())


def test_attributes(device):
    t = dlx.tensor([[1.0, 2.0, 3.0]], device=device)
    assert (t.shape, t.ndim, len(t), t.requires_grad, t.grad) == ((1, 3), 2, 1, False, None)
    assert isinstance(t.shape, tuple)
    assert t.size(1) == 3 and tuple(t.size()) == (1, 3)
    assert t.dtype == dlx.float32 and t.dtype == "float32"
    assert t.dtype == np.float32 and t.dtype == np.dtype("float32")
    assert t.dtype != dlx.float64 and t.dtype != 7 and t.dtype is not None
    assert dlx.tensor(3.5, device=device).item() == 3.5
    assert float(dlx.tensor([2.0], device=device)) == 2.0
    assert bool(dlx.tensor([True], device=device)) is True
    assert "(1, 3)" in repr(t) or "[[1" in repr(t)
    t.grad = dlx.ones((1, 3), device=device)
    assert t.grad.tolist() == [[1.0, 1.0, 1.0]]
    t.grad = None
    assert t.grad is None


# --- promotion


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("float32", "float64", "float64"),
        ("int32", "int64", "int64"),
        ("uint8", "int32", "int32"),
        ("uint8", "int64", "int64"),
        ("int64", "float32", "float32"),
        ("int32", "float64", "float64"),
        ("bfloat16", "float32", "float32"),
        ("float16", "float32", "float32"),
        ("int64", "bfloat16", "bfloat16"),
        ("float32", "float32", "float32"),
    ],
)
def test_promotion(a, b, expected, device):
    x = dlx.ones((2,), dtype=getattr(dlx, a), device=device)
    y = dlx.ones((2,), dtype=getattr(dlx, b), device=device)
    assert str((x + y).dtype) == str((y + x).dtype) == expected
    assert str((x < y).dtype) == "bool"
    assert str(dlx.where(x < y, x, y).dtype) == expected
    assert str(dlx.concat([x, y]).dtype) == str(dlx.stack([x, y]).dtype) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int32", "uint8"])
def test_python_numbers_are_weak(dtype, device):
    x = dlx.ones((2,), dtype=getattr(dlx, dtype), device=device)
    assert str((x + 1).dtype) == str((1 + x).dtype) == str((2 * x - 1).dtype) == dtype
    assert str((x + 1.5).dtype) == (dtype if "float" in dtype else "float32")


def test_comparisons_answer_by_value(device):
    """A number that the dtype cannot hold is not computed with, but it compares."""
    x = dlx.tensor([0, 200], dtype="uint8", device=device)
    assert (x == -1).tolist() == (x == 300).tolist() == (x > 255).tolist() == [False, False]
    assert (x != -100).tolist() == (x < 300).tolist() == (x > -1).tolist() == [True, True]
    y = dlx.tensor([-5, 5], dtype="int32", device=device)
    assert (y < 2**40).tolist() == [True, True] and (y < -(2**40)).tolist() == [False, False]
    with pytest.raises(OverflowError, match="300 does not fit uint8"):
        x + 300


def test_numpys_scalars_are_numbers_and_its_arrays_are_not(device):
    t, a = dlx.tensor([1.0, 2.0], device=device), np.ones(2, np.float32)
    assert (np.float32(2) * t).tolist() == (t * np.float64(2)).tolist() == [2.0, 4.0]
    assert (np.float64(2) ** t).tolist() == [2.0, 4.0] and (np.int64(1) < t).tolist() == [0, 1]
    for mixed in (
        lambda: t + a,
        lambda: a + t,
        lambda: t == a,
        lambda: a == t,
        lambda: a < t,
        lambda: a @ t,
    ):
        with pytest.raises(TypeError, match=r"got numpy.ndarray; dlx.asarray makes Tensors"):
            mixed()
    with pytest.raises(TypeError, match=r"numpy.exp: takes no dlx.Tensor"):
        np.exp(t)


# --- axis and dim


def test_methods_take_both_spellings(device):
    t = dlx.tensor([[1.0, 4.0], [3.0, 2.0]], device=device)
    assert t.sum(dim=0).tolist() == t.sum(axis=0).tolist() == t.sum(0).tolist() == [4.0, 6.0]
    assert t.mean(dim=1, keepdim=True).shape == t.mean(axis=1, keepdims=True).shape == (2, 1)
    assert t.softmax(dim=1).shape == (2, 2)
    with pytest.raises(TypeError, match=r"dim.*axis|axis.*dim"):
        t.sum(dim=0, axis=0)
    with pytest.raises(TypeError, match="sum: got both keepdim=True and keepdims=False"):
        t.sum(dim=0, keepdim=True, keepdims=False)
    with pytest.raises(TypeError, match="max: expected an integer axis, got Tensor"):
        t.max(t)


def test_to_takes_device_and_dtype_in_any_spelling(device):
    t = dlx.tensor([1.0], device=device)
    for dtype in ("float64", dlx.float64, np.float64, np.dtype("float64")):
        assert t.to(dtype).dtype == t.to(device, dtype).dtype == "float64"
    assert t.to(dlx.device(device)).device == device


def test_a_tensor_of_one_number_formats_as_the_number(device):
    number = dlx.tensor(2.5, device=device, requires_grad=True)
    assert f"{number} {number:.2f}" == "2.5 2.50"
    assert f"{dlx.tensor([2.5], device=device):.1f}" == "2.5"
    assert f"{dlx.tensor([2.5])}" == "tensor([2.5])"
    with pytest.raises(TypeError, match=r"'.2f' needs one element, got shape \(2,\)"):
        f"{dlx.ones((2,), device=device):.2f}"


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_the_gradient_of_max_over_a_dimension_goes_to_its_index(dim, keepdim, dtype, device):
    values = np.array([[[0.0, 2], [2, 2], [1, 0]], [[0, 3], [2, 2], [1, 0]]], "float32")
    for op, place in (("max", np.argmax), ("min", np.argmin)):
        x = dlx.tensor(values, dtype=dtype, device=device, requires_grad=True)
        y, indices = getattr(x, op)(dim, keepdim)
        at = np.expand_dims(place(values, dim), dim)
        np.testing.assert_array_equal(indices.cpu().numpy(), at if keepdim else at.squeeze(dim))
        g = np.arange(1.0, at.size + 1).reshape(y.shape)
        y.backward(dlx.tensor(g, dtype=dtype, device=device))
        expected = np.zeros_like(values)
        np.put_along_axis(expected, at, g.reshape(at.shape), dim)
        assert x.grad.tolist() == expected.tolist()


def test_max_over_a_dimension_differentiates_on(device):
    x = dlx.tensor([[1.0, 3, 2.5], [5, 2, 4]], dtype="float64", device=device)
    for f in (lambda x: x.max(1)[0] ** 3, lambda x: x.min(0).values ** 2 * x.sum()):
        assert dlx.gradcheck(f, x)
        assert dlx.gradcheck(lambda x, f=f: dlx.grad(lambda x: f(x).sum())(x), x)
    y, dy = dlx.jvp(lambda x: x.max(1)[0], (x,), (x * 10,))
    assert (y.tolist(), dy.tolist()) == ([3, 5], [30, 50])


def test_where_both_worlds_differ_the_method_is_pytorchs(device):
    t = dlx.tensor([[1.0, 4.0], [3.0, 2.0]], device=device)
    values, indices = t.max(0)
    assert (values.tolist(), indices.tolist()) == ([3.0, 4.0], [1, 0])
    assert dlx.max(t, 0).tolist() == [3.0, 4.0]
    assert t.max().item() == 4.0
    assert np.isclose(t.std().item(), np.std(t.cpu().numpy(), ddof=1))
    assert np.isclose(dlx.std(t).item(), np.std(t.cpu().numpy()))
    assert np.isclose(t.var().item(), np.var(t.cpu().numpy(), ddof=1))
    assert np.isclose(dlx.var(t).item(), np.var(t.cpu().numpy()))
    assert "PyTorch" in dlx.Tensor.std.__doc__ and "PyTorch" in dlx.std.__doc__


def test_functional_is_positional_as_in_pytorch(device):
    functional = dlx.nn.functional
    t = dlx.tensor([[1.0, 4.0], [3.0, 2.0]], device=device)
    assert functional.softmax(t, 1).tolist() == dlx.softmax(t, axis=1).tolist()
    assert functional.softmax(t, dim=0).tolist() == dlx.softmax(t, axis=0).tolist()
    labels = dlx.tensor([0, 1], device=device)
    assert functional.cross_entropy(t, labels).shape == ()
    assert functional.cross_entropy(t, labels, None).item() > 0
    assert functional.mse_loss(t, t, reduction="sum").item() == 0


def test_operators(device):
    x, y = dlx.tensor([1.0, -2.0], device=device), dlx.tensor([3.0, 4.0], device=device)
    a, b = x.cpu().numpy(), y.cpu().numpy()
    for ours, numpy in [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (y**2, b**2), (-x, -a),
        (2 - x, 2 - a), (1 / y, 1 / b), (2**y, 2**b), (x @ y, a @ b), (abs(x), abs(a)), (+x, +a),
        (x == y, a == b), (x != y, a != b), (x < y, a < b), (x <= y, a <= b), (x > y, a > b),
        (x >= y, a >= b),
    ]:  # fmt: skip
        np.testing.assert_allclose(ours.cpu().numpy(), numpy, rtol=1e-6)


# --- randomness and threads


def test_seed_resets_the_one_generator(device):
    def draws():
        return [
            dlx.random.normal((5,), device=device).tolist(),
            dlx.random.uniform((5,), device=device).tolist(),
            dlx.random.randint(0, 1000, (5,), device=device).tolist(),
            dlx.random.permutation(9).tolist(),
        ]

    dlx.seed(3)
    first = draws()
    assert draws() != first
    dlx.seed(3)
    state = dlx.random.get_state()
    assert draws() == first
    dlx.random.set_state(state)
    assert draws() == first
    dlx.seed(4)
    assert draws() != first


@pytest.mark.parametrize("threads", [1, 3, 256])
def test_set_num_threads_is_what_get_returns(threads, device):
    dlx.set_num_threads(threads)
    assert dlx.get_num_threads() == threads
    assert dlx.sum(dlx.ones((1000,), device=device)).item() == 1000


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_set_num_threads_rejects_what_it_cannot_run(threads):
    with pytest.raises(ValueError, match=f"{threads}.*256|256.*{threads}"):
        dlx.set_num_threads(threads)
