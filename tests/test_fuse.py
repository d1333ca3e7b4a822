"""nn.fuse: the same numbers without the batch norms, or an error."""

from __future__ import annotations

import numpy as np
import pytest

import dlx
from dlx import nn

pytestmark = pytest.mark.on_its_device


def trained(model, *shape, dtype="float32", device="cpu", seed=0):
    """The model after some batches, with weights and biases of the norms away from 1 and 0."""
    rng = np.random.default_rng(seed)
    model.to(device, getattr(dlx, dtype))
    with dlx.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
                module.weight[...] = dlx.tensor(
                    rng.uniform(-2, 2, size=module.weight.shape).astype(dtype)
                )
                module.bias[...] = dlx.tensor(rng.normal(size=module.bias.shape).astype(dtype))
        for _ in range(5):
            model(dlx.tensor((rng.normal(size=shape) * 3 + 1).astype(dtype), device=device))
    return model


def assert_fused(model, fused, x, norms, tolerance=1e-5):
    kinds = [type(m).__name__ for m in fused.modules()]
    assert sum(k.startswith("BatchNorm") for k in kinds) == norms
    assert not any(m.training for m in fused.modules())
    before = {k: np.array(v.cpu().numpy()) for k, v in model.state_dict().items()}
    expected, y = model.eval()(x).cpu().numpy(), fused(x).cpu().numpy()
    assert np.max(np.abs(y - expected)) <= tolerance * np.max(np.abs(expected))
    np.testing.assert_equal(
        {k: np.array(v.cpu().numpy()) for k, v in model.state_dict().items()}, before
    )


LAYERS = {
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), (3, 4, 7, 5)),
    "conv2d-plain": (lambda: nn.Conv2d(4, 6, (3, 2), stride=2, bias=False), (3, 4, 7, 5)),
    "conv2d-groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (3, 4, 7, 8)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3), (3, 4, 7)),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (3, 4, 7, 5)),
    "conv_transpose2d-groups": (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (3, 4, 7, 5)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, groups=2, bias=False), (3, 4, 7)),
    "linear": (lambda: nn.Linear(4, 6), (9, 4)),
    "linear-plain": (lambda: nn.Linear(4, 6, bias=False), (9, 4)),
}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-14)])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name, affine, dtype, tolerance, device):
    make, shape = LAYERS[name]
    norm = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    model = nn.Sequential(make(), norm(6, affine=affine), nn.ReLU())
    trained(model, *shape, dtype=dtype, device=device)
    fused = nn.fuse(model)
    assert repr(fused[1]).startswith("Identity()")
    assert fused[0].bias is not None and model[0].weight is not fused[0].weight
    x = dlx.random.normal(shape, dtype=dtype, device=device)
    assert_fused(model, fused, x, norms=0, tolerance=tolerance)


class Block(nn.Module):
    """Registered in another order than called: only fuse_pairs tells."""

    fuse_pairs = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, channels):
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = nn.Sequential()

    def forward(self, x):
        y = self.bn2(self.conv2(dlx.relu(self.bn1(self.conv1(x)))))
        return dlx.relu(y + self.shortcut(x))


class Network(nn.Module):
    """What a model may look like: declared pairs at the top and in blocks, a Sequential beside."""

    fuse_pairs = (("stem.conv", "bn"),)

    def __init__(self):
        self.stem = nn.Sequential({"conv": nn.Conv2d(3, 4, 3)})
        self.bn = nn.BatchNorm2d(4)
        self.blocks = nn.Sequential(Block(4), Block(4))
        self.last = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2), nn.Flatten())

    def forward(self, x):
        return self.last(self.blocks(self.bn(self.stem(x))))


def test_declared_pairs_and_sequentials(device):
    model = trained(Network(), 6, 3, 8, 8, device=device)
    x = dlx.random.normal((2, 3, 8, 8), device=device)
    assert_fused(model, nn.fuse(model), x, norms=0)


def test_given_pairs_are_all_that_is_fused(device):
    model = trained(Network(), 6, 3, 8, 8, device=device)
    x = dlx.random.normal((2, 3, 8, 8), device=device)
    fused = nn.fuse(model, pairs=[("stem.conv", "bn"), ["blocks.1.conv2", "blocks.1.bn2"]])
    assert_fused(model, fused, x, norms=4)
    assert type(fused.bn) is nn.Identity and type(fused.blocks[1].bn2) is nn.Identity


def test_a_module_that_declares_nothing_stays_whole(device):
    class Silent(Block):
        fuse_pairs = ()

    model = trained(Silent(4), 6, 4, 5, 5, device=device)
    x = dlx.random.normal((2, 4, 5, 5), device=device)
    assert_fused(model, nn.fuse(model), x, norms=2, tolerance=0)


def test_a_sequential_with_a_forward_of_its_own_is_not_searched(device):
    class Odd(nn.Sequential):
        def forward(self, x):
            return self[1](dlx.relu(self[0](x)))

    model = trained(Odd(nn.Linear(3, 3), nn.BatchNorm1d(3)), 9, 3, device=device)
    x = dlx.random.normal((5, 3), device=device)
    assert_fused(model, nn.fuse(model), x, norms=1, tolerance=0)


def test_a_subclass_of_a_layer_is_not_taken_for_it(device):
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    model = trained(nn.Sequential(Doubled(3, 3), nn.BatchNorm1d(3)), 9, 3, device=device)
    x = dlx.random.normal((5, 3), device=device)
    assert_fused(model, nn.fuse(model), x, norms=1, tolerance=0)
    with pytest.raises(ValueError, match=r"\(0, 1\) must be .* got Doubled and BatchNorm1d"):
        nn.fuse(model, pairs=[("0", "1")])


def test_a_block_in_two_places_is_fused_once(device):
    block = Block(4)
    model = trained(nn.Sequential(block, nn.ReLU(), block), 6, 4, 5, 5, device=device)
    x = dlx.random.normal((2, 4, 5, 5), device=device)
    assert_fused(model, nn.fuse(model), x, norms=0)


def test_a_fused_model_of_layers_is_a_file(tmp_path, device):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    fused = nn.fuse(trained(model, 6, 3, 8, 8, device=device))
    dlx.save(fused, tmp_path / "fused.dlx")
    x = dlx.random.normal((2, 3, 8, 8), device=device)
    assert dlx.load(tmp_path / "fused.dlx")(x).tolist() == fused(x).tolist()


def test_a_compiled_model_is_compiled_anew(device):
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    model.compile("adam", lr=1e-2, loss="cross_entropy")
    x, y = np.ones((8, 4), np.float32), np.zeros(8, np.int64)
    model.fit(x, y, epochs=1, verbose=0)
    fused = nn.fuse(model)
    assert model.optimizer is not None and fused.optimizer is None
    with pytest.raises(RuntimeError, match="compile"):
        fused.evaluate(x, y)
    assert fused.predict(x).shape == (8, 3)


def test_what_was_no_batch_for_the_norm_is_none_for_the_fused_layer(device):
    """Else features would take the place of channels: the norm's are those of axis 1."""
    model = trained(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), 9, 4, 4, device=device)
    fused, x = nn.fuse(model), dlx.ones((2, 4, 4), device=device)
    assert model(x).shape == (2, 4, 4)
    with pytest.raises(ValueError, match=r"x of 2 dimensions, as the batch norm .*\(2, 4, 4\)"):
        fused(x)
    assert fused(x[0]).shape == (4, 4)


def conv_bn(**options):
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, **options), nn.ReLU())


def tied(kind):
    conv, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    if kind == "conv":
        return nn.Sequential(conv, norm, conv)
    return nn.Sequential(conv, norm, nn.Sequential(nn.Conv2d(3, 3, 1), norm))


def hooked():
    model = conv_bn()
    model[1].register_forward_hook(lambda module, args, y: y)
    return model


class Wrong(Block):
    fuse_pairs = (("conv1", "bn3"),)


class Other(Block):
    def forward(self, x):
        return self.conv1(self.bn1(x))


WRONG = {
    "no-module": (lambda: nn.fuse([1]), TypeError, "expected a Module, got list"),
    "lazy": (lambda: nn.fuse(nn.Sequential(nn.LazyLinear(3), nn.BatchNorm1d(3))), RuntimeError,
             r"fuse: Sequential.0 \(LazyLinear.*before its first batch"),
    "no-statistics": (lambda: nn.fuse(conv_bn(track_running_stats=False)), ValueError,
                      "fuse: 1 has no running statistics"),
    "channels": (lambda: nn.fuse(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(5))),
                 ValueError, "fuse: 0 has 4 output channels, 1 5"),
    "unknown": (lambda: nn.fuse(conv_bn(), pairs=[("0", "bn")]), ValueError,
                "'bn' names no layer: Sequential has 0, 1, 2"),
    "other": (lambda: nn.fuse(conv_bn(), pairs=[("0", "2")]), ValueError,
              r"\(0, 2\) must be .* got Conv2d and ReLU"),
    "reversed": (lambda: nn.fuse(conv_bn(), pairs=[("1", "0")]), ValueError,
                 "got BatchNorm2d and Conv2d"),
    "kinds": (lambda: nn.fuse(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm1d(4)),
                              pairs=[("0", "1")]), ValueError, "got Conv2d and BatchNorm1d"),
    "triple": (lambda: nn.fuse(conv_bn(), pairs=[("0", "1", "2")]), ValueError,
               r"pairs expects pairs of names \(layer, norm\), got \('0', '1', '2'\)"),
    "declared": (lambda: nn.fuse(Wrong(2)), ValueError, "'bn3' names no layer: Wrong has bn2,"),
    "inherited": (lambda: nn.fuse(nn.Sequential(Other(2))), ValueError,
                  "Other has a forward of its own and inherits fuse_pairs"),
    "shared-conv": (lambda: nn.fuse(tied("conv")), ValueError, "fuse: 0 is shared, by 0 and 2"),
    "shared-norm": (lambda: nn.fuse(tied("norm")), ValueError, "fuse: 1 is shared, by 1 and 2.1"),
    "twice": (lambda: nn.fuse(tied("none"), pairs=[("0", "1"), ("0", "2.1")]), ValueError,
              "is shared"),
    "hooks": (lambda: nn.fuse(hooked()), ValueError, "fuse: 1 has hooks"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_would_give_a_wrong_number_raises(name):
    call, error, match = WRONG[name]
    with pytest.raises(error, match=match):
        call()
