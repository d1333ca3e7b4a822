"""Convolutional networks beside PyTorch's: the same weights and batches give the same figures."""

from __future__ import annotations

import copy
import os
import pathlib

import numpy as np
import pytest

import dlx
from dlx import models, nn, optim

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")


@pytest.fixture(autouse=True, scope="module")
def _one_thread_for_pytorch():
    """Its spinning threads would share the cores with those of dlx."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


DATA = pathlib.Path(os.environ.get("DLX_DATA", "/nonexistent"))
WEIGHTS = DATA / "models/resnet_cifar10/resnet20-12fca82f.th"


# ---- the same models in PyTorch


def twin(module):
    """The PyTorch model of a Sequential: its layers have the same names and arguments there."""
    if isinstance(module, nn.Sequential):
        layers = torch.nn.Sequential()
        for name, child in module.named_children():
            layers.add_module(name, twin(child))
        return layers
    options = module._config()
    if "dtype" in options:
        options["dtype"] = getattr(torch, options["dtype"])
    return getattr(torch.nn, type(module).__name__)(**options)


class TorchBlock(torch.nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(channels)
        self.conv2 = torch.nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(channels)
        self.stride, self.more = stride, channels - before

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = x[:, :, :: self.stride, :: self.stride]
            x = torch.nn.functional.pad(x, (0, 0, 0, 0, self.more // 2, self.more // 2))
        return torch.relu(y + x)


class TorchResNet(torch.nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        widths = (16, 16, 32, 64)
        for i in (1, 2, 3):
            blocks = [TorchBlock(widths[i - 1], widths[i], 1 if i == 1 else 2)]
            blocks += [TorchBlock(widths[i], widths[i], 1) for _ in range(n - 1)]
            setattr(self, f"layer{i}", torch.nn.Sequential(*blocks))
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return self.linear(torch.nn.functional.avg_pool2d(x, x.shape[2:]).flatten(1))


def pair(make, dtype):
    """A dlx model and PyTorch's with its weights."""
    ours = make().to(dtype=dtype)
    theirs = TorchResNet() if isinstance(ours, models.ResNet) else twin(ours)
    theirs.to(getattr(torch, dtype))
    state = {key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    return ours, theirs


# ---- batches: the digits of 8x8, enlarged


def batches(steps, rows, size, channels, dtype):
    (x, y), _ = dlx.data.digits()
    x, y = x.numpy().reshape(-1, 8, 8), y.numpy()
    factor, rng = size // 8, np.random.default_rng(1)
    border = (size - 8 * factor) // 2
    for _ in range(steps):
        chosen = rng.integers(0, len(x), rows)
        images = np.kron(x[chosen], np.ones((1, factor, factor)))
        images = np.pad(images, ((0, 0), (border, border), (border, border)))
        images = images[:, None] * np.linspace(1, 0.5, channels).reshape(-1, 1, 1)
        yield images.astype(dtype), y[chosen]


def classify(ours, theirs, x, y):
    return (
        nn.functional.cross_entropy(ours(dlx.tensor(x)), dlx.tensor(y)),
        torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y)),
    )


def reconstruct(ours, theirs, x, y):
    return (
        nn.functional.mse_loss(ours(dlx.tensor(x)), dlx.tensor(x)),
        torch.nn.functional.mse_loss(theirs(torch.from_numpy(x)), torch.from_numpy(x)),
    )


def step(loss, optimizer):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def train(make, loss_of, data, dtype, lr=1e-3):
    """Both training runs: losses (2, steps), and the models."""
    ours, theirs = pair(make, dtype)
    our_adam = optim.Adam(ours.parameters(), lr=lr)
    their_adam = torch.optim.Adam(theirs.parameters(), lr=lr)
    pairs = []
    for x, y in data:
        our_loss, their_loss = loss_of(ours, theirs, x, y)
        pairs.append((step(our_loss, our_adam), step(their_loss, their_adam)))
    return np.array(pairs).T, ours, theirs


def assert_follow(losses, bound):
    ours, theirs = losses
    assert np.all(np.abs(ours - theirs) <= bound * np.abs(theirs)), np.abs(ours / theirs - 1).max()


def assert_state(ours, theirs, bound):
    """Weights and running statistics agree, each to `bound` of its largest value."""
    expected = theirs.state_dict()
    for key, value in ours.state_dict().items():
        want = expected[key].numpy()
        error = np.max(np.abs(value.numpy() - want))
        assert error <= bound * np.max(np.abs(want)), (key, error)


# ---- training runs

SEQUENTIAL = {
    "lenet5": (models.lenet5, classify, 28, 1, 0.2),
    "course_cnn": (models.course_cnn, classify, 28, 1, 0.2),
    "course_cnn-32": (lambda: models.course_cnn(3, 32), classify, 32, 3, 0.2),
    "conv_autoencoder": (models.conv_autoencoder, reconstruct, 28, 1, 0.1),
}


@pytest.mark.parametrize(
    ("dtype", "steps", "lr", "bound"),
    [("float32", 20, 2e-3, 1e-5), ("float64", 100, 1e-3, 1e-11)],
)
@pytest.mark.parametrize("name", SEQUENTIAL)
def test_losses_of_lenet_and_autoencoder(name, dtype, steps, lr, bound):
    """Few rows: among millions of activations one is so near 0 that its rounding decides whether
    relu passes its gradient, and from there on the losses of any two implementations part."""
    make, loss_of, size, channels, progress = SEQUENTIAL[name]
    data = list(batches(5, 4, size, channels, dtype)) * (steps // 5)
    losses, *_ = train(make, loss_of, data, dtype, lr)
    assert losses[1, -1] < losses[1, 0] - progress, "a run that does not learn compares nothing"
    assert_follow(losses, bound)


def test_losses_of_resnet():
    data = list(batches(100, 4, 16, 3, "float64"))
    losses, ours, theirs = train(lambda: models.resnet(20), classify, data, "float64")
    assert losses[1, -10:].mean() < losses[1, 0] - 0.3
    assert_follow(losses, 1e-8)
    assert_state(ours, theirs, 1e-8)


def gan(dtype, **options):
    """The pairs (generator, discriminator) in dlx and in PyTorch."""
    generator, discriminator = models.dcgan(latent=10, width=8, **options)
    pairs = pair(lambda: generator, dtype), pair(lambda: discriminator, dtype)
    return tuple(zip(*pairs, strict=True))


def gan_losses(library, generator, discriminator, real, z):
    """(discriminator's loss, generator's loss) of one batch, as functions to call in this order."""
    tensor = dlx.tensor if library is dlx else torch.tensor
    ones = tensor(np.ones((len(real), 1), real.dtype))
    bce, real, z = library.nn.BCEWithLogitsLoss(), tensor(real), tensor(z)
    return (
        lambda: (
            bce(discriminator(real), ones) + bce(discriminator(generator(z).detach()), ones * 0)
        ),
        lambda: bce(discriminator(generator(z)), ones),
    )


def test_losses_of_dcgan():
    rng, pairs, runs = np.random.default_rng(2), [], []
    for library, models_ in zip((dlx, torch), gan("float64"), strict=True):
        adams = [library.optim.Adam(m.parameters(), lr=2e-4, betas=(0.5, 0.999)) for m in models_]
        runs.append((library, models_, adams))
    for x, _ in batches(100, 4, 28, 1, "float64"):
        z = rng.normal(size=(4, 10))
        for library, (generator, discriminator), adams in runs:
            by_d, by_g = gan_losses(library, generator, discriminator, 2 * x - 1, z)
            pairs.append((step(by_d(), adams[1]), step(by_g(), adams[0])))
    losses = np.array(pairs).reshape(100, 2, 2)  # step, library, loss
    assert losses[-1, 1, 0] < losses[0, 1, 0] - 0.3, "the discriminator learns"
    assert_follow(losses.transpose(1, 0, 2), 1e-8)
    for ours, theirs in zip(runs[0][1], runs[1][1], strict=True):
        assert_state(ours, theirs, 1e-8)


# ---- the first step in float32: no less exact than PyTorch's


def gradients(loss, *networks):
    """The gradients of a loss, float64, in the order of the networks' parameters."""
    loss.backward()
    named = [(f"{i}.{key}", p) for i, m in enumerate(networks) for key, p in m.named_parameters()]
    return {key: np.array(p.grad.numpy(), np.float64) for key, p in named}


def assert_gradients(steps, times=3):
    """|g - g64| / |g64| <= so many times PyTorch's own figure, for each parameter, over steps of
    (ours, PyTorch's, exact ones).

    A figure below 2^-24, the rounding of the result itself, is luck: it happens to few numbers.
    """
    for key in steps[0][2]:
        g = np.array([[gradients[key] for gradients in step_] for step_ in steps])
        error, own = (np.linalg.norm(g[:, i] - g[:, 2]) for i in (0, 1))
        own = max(own, 2.0**-24 * np.linalg.norm(g[:, 2]))
        assert error <= times * own, (key, error / own, own / np.linalg.norm(g[:, 2]))


def assert_first_loss(ours, exact):
    assert abs(ours.item() / exact.item() - 1) <= 1e-5


# Winograd's F(4x4), which only the default allows, rounds 1.5 times as much in the median here.
@pytest.mark.parametrize(("precision", "times"), [("exact", 3), ("fp32", 6)])
@pytest.mark.parametrize("seed", [1, 3])
def test_the_first_step_of_resnet_in_float32(seed, precision, times, request):
    """Few rows: see test_losses_of_lenet_and_autoencoder."""
    request.addfinalizer(lambda: dlx.set_precision("fp32"))
    dlx.set_precision(precision)
    dlx.seed(seed)
    ((x, y),) = batches(1, 2, 32, 3, "float32")
    ours, theirs = pair(lambda: models.resnet(20), "float32")
    exact = copy.deepcopy(theirs).double()
    our_loss, their_loss = classify(ours, theirs, x, y)
    _, loss = classify(copy.deepcopy(ours).to(dtype=dlx.float64), exact, x.astype(np.float64), y)
    assert_first_loss(our_loss, loss)
    found = ((our_loss, ours), (their_loss, theirs), (loss, exact))
    assert_gradients([[gradients(*each) for each in found]], times=times)


@pytest.mark.parametrize("which", ["discriminator", "generator"])
def test_the_first_step_of_dcgan_in_float32(which):
    """Several batches, for some parameters are few numbers, or one."""
    ours, theirs = gan("float32")
    exact = [copy.deepcopy(network).double() for network in theirs]
    steps = []
    for seed, (x, _) in enumerate(batches(5, 4, 28, 1, "float32")):
        z = np.random.default_rng(seed).normal(size=(4, 10)).astype(np.float32)
        found = []
        for library, networks, dtype in (
            (dlx, ours, "float32"),
            (torch, theirs, "float32"),
            (torch, exact, "float64"),
        ):
            learns = networks[::-1] if which == "generator" else networks[1:]
            for network in learns:
                network.zero_grad()
            losses = gan_losses(library, *networks, (2 * x - 1).astype(dtype), z.astype(dtype))
            found.append((losses[which == "generator"](), *learns))
        assert_first_loss(found[0][0], found[2][0])
        steps.append([gradients(*each) for each in found])
    assert_gradients(steps, times=2)


# ---- weights that others trained


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """ResNet-20 in dlx, from a file converted here, and in PyTorch, both in evaluation mode."""
    if not WEIGHTS.exists():
        pytest.skip("needs models/resnet_cifar10 in DLX_DATA")
    state = torch.load(WEIGHTS, map_location="cpu", weights_only=True)["state_dict"]
    state = {key.removeprefix("module."): value for key, value in state.items()}
    path = tmp_path_factory.mktemp("weights") / "resnet20.dlx"
    dlx.save({key: dlx.tensor(value.numpy()) for key, value in state.items()}, path)
    ours, theirs = models.resnet(20), TorchResNet()
    ours.load_state(path)
    theirs.load_state_dict(state)
    return ours.eval(), theirs.eval()


@pytest.fixture(scope="module")
def images():
    if not (DATA / "cifar10").is_dir():
        pytest.skip("needs cifar10 in DLX_DATA")
    _, (x, y) = dlx.data.cifar10(subset=True)
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
    std = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
    return (x.numpy() - mean) / std, y.numpy()


def test_pretrained_resnet20_knows_cifar10(pretrained, images):
    ours, theirs = pretrained
    x, y = images
    logits = ours.predict(x).numpy()
    assert len(y) == 1000 and np.mean(logits.argmax(1) == y) >= 0.91
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    assert np.max(np.abs(logits - expected)) <= 1e-4


def test_pretrained_resnet20_without_its_batch_norms(pretrained, images):
    ours, _ = pretrained
    x, _ = images
    fused = nn.fuse(ours)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    expected = ours.predict(x[:200]).numpy()
    assert (
        np.max(np.abs(fused.predict(x[:200]).numpy() - expected)) <= 1e-5 * np.abs(expected).max()
    )
