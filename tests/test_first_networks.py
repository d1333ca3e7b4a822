"""The first networks of someone who comes from PyTorch or Keras: what they write works, and where
it cannot, the error says what to write."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn, optim

F = nn.functional


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 12 * 12, 10)
    )


MISFED = [
    ("channels-last", (4, 28, 28, 1), "float32", ValueError, r"x\.permute\(0, 3, 1, 2\)$"),
    ("channels-last-one", (28, 28, 1), "float32", ValueError, r"x\.permute\(2, 0, 1\)$"),
    ("no-channel", (4, 28, 28), "float32", ValueError, r"one channel: x\.unsqueeze\(1\)$"),
    ("colours", (4, 3, 28, 28), "float32", ValueError, r"x has 3; x=\(4, 3, .*5, 5\)$"),
    ("no-batch", (1, 28, 28), "float32", ValueError, r"Sequential\.4 .*axis of the batch missing"),
    ("bytes", (4, 1, 28, 28), "uint8", TypeError, r"x\.astype\('float32'\) / 255$"),
    ("numpy-default", (4, 1, 28, 28), "float64", TypeError, r"x\.astype\('float32'\)$"),
    ("larger", (4, 1, 32, 32), "float32", ValueError, r"weight=\(10, 1152\)$"),
    ("tiny", (4, 1, 3, 3), "float32", ValueError, r"\(5, 5\).* is larger .*\(3, 3\)"),
]


@pytest.mark.parametrize(
    ("shape", "dtype", "kind", "message"), [row[1:] for row in MISFED], ids=[r[0] for r in MISFED]
)
def test_a_misfed_network_says_what_to_write(shape, dtype, kind, message):
    model = lenet()
    with pytest.raises(kind, match=message):
        model(dlx.zeros(shape, dtype=dtype))
    with pytest.raises(TypeError, match=r"got ndarray; dlx\.asarray"):
        model(np.zeros(shape, dtype))


@pytest.mark.parametrize("shape", [(4, 28, 28, 1), (28, 28, 1)])
def test_the_advice_on_axes_is_right(shape):
    order = (0, 3, 1, 2) if len(shape) == 4 else (2, 0, 1)
    assert nn.Conv2d(1, 8, 5)(dlx.zeros(shape).permute(order)).shape[-3:] == (8, 24, 24)


def test_linear_fed_an_image_names_flatten():
    with pytest.raises(ValueError, match=r"nn\.Flatten\(\) makes these of an image$"):
        nn.Linear(784, 10)(dlx.zeros((4, 1, 28, 28)))


def test_mixed_float_losses_do_not_advise_to_widen_the_prediction():
    with pytest.raises(TypeError, match=r"float32, float64; cast with x\.astype\(\.\.\.\)$"):
        F.mse_loss(dlx.zeros((2,)), dlx.zeros((2,), dtype="float64"))


def test_names_of_pytorch_that_are_not_here_say_what_is():
    weight = nn.Linear(2, 2).weight
    assert not hasattr(weight, "data")
    with pytest.raises(AttributeError, match=r"x\.detach\(\).*no_grad"):
        weight.data  # noqa: B018
    with pytest.raises(AttributeError, match=r"x\.detach\(\).*no_grad"):
        weight.data = dlx.zeros((2, 2))
    with pytest.raises(AttributeError, match=r"optim\.schedules\.step"):
        optim.lr_scheduler  # noqa: B018
    with pytest.raises(AttributeError, match=r"dlx\.Tensor\.flatten"):
        dlx.flatten  # noqa: B018


def test_comparisons_as_methods():
    x, y = dlx.tensor([1.0, 2.0, float("nan")]), dlx.tensor([2.0, 2.0, 2.0])
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        expected = getattr(
            np,
            {
                "eq": "equal",
                "ne": "not_equal",
                "lt": "less",
                "gt": "greater",
                "le": "less_equal",
                "ge": "greater_equal",
            }[name],
        )
        np.testing.assert_array_equal(getattr(x, name)(y), expected(x.numpy(), y.numpy()))
    scores, labels = dlx.tensor([[1.0, 2.0], [3.0, 0.0]]), dlx.tensor([1, 1])
    right = scores.argmax(dim=1, keepdim=True)
    assert right.eq(labels.view_as(right)).sum().item() == 1


def test_writing_methods_change_x_alone():
    x = dlx.tensor([1.0, 2.0, 4.0])
    y = x.detach()
    assert x.add_(1.0, alpha=2).sub_(dlx.ones((3,)), alpha=2).mul_(3.0).div_(2.0) is x
    assert x.tolist() == [1.5, 3.0, 6.0]
    assert x.clamp_(2, max=5) is x
    assert x.tolist() == [2.0, 3.0, 5.0]
    assert y.tolist() == [1.0, 2.0, 4.0]


def test_writing_methods_follow_the_graph():
    x = dlx.tensor([1.0, 2.0, 4.0], requires_grad=True)
    for write in (lambda: x.add_(1), lambda: x.mul_(2), lambda: x.clamp_(min=2)):
        with pytest.raises(RuntimeError, match="no_grad"):
            write()
    y = (2 * x).mul_(x).clamp_(max=8.0)  # min(2 x², 8)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad[np.array([0, 2])], [4.0, 0.0])
    with dlx.no_grad():
        x.sub_(x.grad, alpha=0.5)
    assert x.tolist()[0] == -1.0 and x.requires_grad


def test_shapes_of_other_tensors():
    x = dlx.arange(6).reshape(2, 3)
    assert x.t().tolist() == x.numpy().T.tolist()
    assert x[0].t().tolist() == [0, 1, 2]
    assert x.view_as(dlx.zeros((3, 2))).shape == x.reshape_as(dlx.zeros((3, 2))).shape == (3, 2)
    assert x[:, :1].expand_as(x).tolist() == [[0, 0, 0], [3, 3, 3]]
    with pytest.raises(ValueError, match=r"t: .*x=\(1, 2, 3\)"):
        x.unsqueeze(0).t()


def test_names_of_keras_say_what_they_are_called():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"it is cross_entropy, of scores before a softmax; known"):
        model.compile("sgd", loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"it is mse; known"):
        model.compile("sgd", loss="mean_squared_error")
    with pytest.raises(AttributeError, match=r"dlx\.data\.batches"):
        dlx.data.DataLoader  # noqa: B018


def test_models_and_tensors_convert_by_name():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert model.double() is model
    kinds = {key: str(value.dtype) for key, value in model.state_dict().items()}
    assert kinds.pop("1.num_batches_tracked") == "int64" and set(kinds.values()) == {"float64"}
    assert model.float().cpu()[0].weight.dtype == "float32"
    for thing in (model, dlx.zeros((2,))):
        with pytest.raises(RuntimeError, match=r"cuda:99: not available.*dlx info"):
            thing.cuda(99)


def test_layers_are_inserted_and_taken_out():
    first, last = nn.Linear(2, 3), nn.Linear(3, 2)
    model = nn.Sequential(first, last)
    assert model.insert(1, nn.ReLU()) is model
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model.pop(-1) is last and len(model) == 2 and model.pop(0) is first
    assert list(model.named_modules())[1][0] == "0" and len(list(model.parameters())) == 0
    layers = nn.ModuleList([first])
    assert layers.insert(0, last)[1] is first
    with pytest.raises(TypeError, match="Sequential: expected a Module, got int"):
        model.insert(0, 3)
    with pytest.raises(IndexError, match="index 5 is out of range"):
        model.pop(5)
    with pytest.raises(ValueError, match="numbered layers, got conv1"):
        dlx.models.lenet5().insert(0, nn.ReLU())
    assert len(model) == 1


def test_all_and_any_of_tensors(device):
    x = dlx.tensor([[1.0, 0.0], [2.0, 3.0]])
    assert (x.all().item(), x.any().item()) == (False, True)
    assert x.all(dim=1).tolist() == [False, True] and (x * 0).any(dim=0).tolist() == [False, False]
    assert dlx.zeros((0, 2)).all().item() is True
