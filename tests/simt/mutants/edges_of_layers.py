"""As edges.py, of layers, losses and optimizers."""

from __future__ import annotations

import numpy as np

import dlx
from dlx import nn, optim
from simt.mutants.beyond import drawn, error_of, item
from simt.mutants.edges import differentiated, given

f = nn.functional


@item
def linear_layers(device):
    x, w, b = given(device, 33, 260), given(device, 12, 260, seed=2), given(device, 12, seed=3)
    y = differentiated(f.linear(x, w, b), x, w, b)
    with dlx.no_grad():
        return [*y, f.relu(f.linear(x, w, b)), f.linear(x, w), f.linear(x[:0], w, b)]


def convolution(device, x_shape, w_shape, dtype="float32", bias=True, **options):
    x, w = given(device, *x_shape, dtype=dtype), given(device, *w_shape, dtype=dtype, seed=2)
    b = given(device, w_shape[0], dtype=dtype, seed=3)
    y = f.conv2d(x, w, b if bias else None, **options)
    return differentiated(y, x, w, *([b] if bias else []))


CONVOLUTIONS = {
    "deep": [((1, 100, 5, 7), (6, 100, 3, 2)), ((2, 6, 4, 5), (40, 6, 2, 3))],
    "in_groups": [((2, 8, 6, 9), (8, 4, 3, 2), {"groups": 2, "stride": (2, 3)}),
                  ((2, 24, 9, 7), (32, 12, 3, 2), {"groups": 2, "padding": (1, 2)}),
                  ((1, 6, 8, 9), (6, 1, 3, 3), {"groups": 6, "padding": 1})],
    "of_phases": [((1, 16, 8, 5), (16, 16, 2, 2), {"stride": (2, 1)}),
                  ((1, 16, 11, 13), (16, 16, 3, 2), {"stride": (2, 3), "padding": (2, 1)}),
                  ((1, 3, 12, 10), (4, 3, 3, 2), {"stride": (2, 4), "dilation": (4, 2)}),
                  ((2, 16, 9, 9), (20, 16, 1, 1), {"stride": 3}),
                  ((1, 16, 16, 8), (16, 16, 4, 2), {"stride": 4, "dilation": (1, 3)})],
    "wide": [((1, 16, 4, 8), (32, 16, 1, 1)), ((2, 16, 6, 6), (32, 16, 3, 3), {"padding": 1}),
             ((4, 16, 3, 3), (32, 16, 2, 2), {"padding": 1}), ((3, 16, 5, 3), (32, 16, 1, 1))],
    "of_many_pixels": [((2, 8, 12, 14), (16, 8, 3, 2)), ((2, 3, 14, 12), (5, 3, 2, 3)),
                       ((1, 40, 12, 13), (40, 8, 1, 2), {"groups": 5})],
    "farther_apart": [
        ((1, 2, 3, 2), (2, 2, 2, 1),
         {"stride": (1000003, 1), "dilation": (900000, 1), "padding": (1900003, 0)}),
        ((1, 2, 2, 3), (2, 2, 1, 2),
         {"stride": (1, 1000003), "dilation": (1, 900000), "padding": (0, 1900003)}),
    ],
    "far_apart": [((1, 2, 3, 5), (2, 2, 1, 1), {"stride": 40_000}),
                  ((1, 2, 3, 2), (3, 2, 1, 2), {"stride": (1, 30_000), "padding": (0, 1)})],
}  # fmt: skip


def of_convolutions(name):
    def all_of_them(device):
        found = []
        for x, w, *options in CONVOLUTIONS[name]:
            for dtype, bias in (("float32", True), ("float64", False)):
                found += convolution(device, x, w, dtype, bias, **(options[0] if options else {}))
        return found

    all_of_them.__name__ = f"convolutions_{name}"
    return all_of_them


for name in CONVOLUTIONS:
    item(of_convolutions(name))


@item
def convolution_of_large_tiles(device):
    with dlx.no_grad():
        x, w = drawn(device, 1, 8, 96, 97), drawn(device, 40, 8, 2, 2, seed=2)
        return [f.conv2d(x, w)[:, ::7, ::5, ::11]]


@item
def convolution_of_large_tiles_of_doubles(device):
    with dlx.no_grad():
        x = drawn(device, 1, 4, 67, 66, dtype="float64")
        w = drawn(device, 40, 4, 2, 2, dtype="float64", seed=2)
        return [f.conv2d(x, w)[:, ::7, ::5, ::11]]


@item
def averages_of_large_windows(device):
    found = []
    for shape, window, padding in (((2, 3, 14, 20), (11, 13), (5, 6)), ((1, 2, 9, 40), (5, 33), 0),
                                   ((1, 1, 60, 4), (50, 3), (25, 1))):  # fmt: skip
        for count in (True, False):
            x = given(device, *shape)
            y = f.avg_pool2d(x, window, 2, padding, count_include_pad=count)
            found += differentiated(y, x)
    return found


@item
def pools_of_odd_windows(device):
    found = []
    for options in ({"dilation": 2}, {"stride": (3, 2), "padding": (1, 0)}, {"dilation": (1, 3)}):
        x = given(device, 2, 3, 9, 11)
        found += differentiated(f.max_pool2d(x, (3, 2), **options), x)
    x = drawn(device, 2, 2, 40, 41)
    t = drawn(device, 2, 2, 40, 41, seed=2)
    found += dlx.jvp(lambda x: f.max_pool2d(x, (17, 18), 5), (x,), (t,))
    return found


def stepped(device, name, count=3, **options):
    sizes = [(5000,), (7,), (4096,), (33, 3), (9001,)][:count]
    parameters = [given(device, *s, seed=i) for i, s in enumerate(sizes)]
    groups = [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.01}]
    optimizer = getattr(optim, name)(groups, lr=0.1, **options)
    for turn in range(3):
        for i, p in enumerate(parameters):
            size = int(np.prod(p.shape))
            g = drawn(device, size + 1, seed=10 * turn + i)
            p.grad = g[turn % 2 :][:size].reshape(p.shape)  # now and then not aligned
        if turn == 2:
            optimizer._skip = dlx.ones((), dtype="bool", device=device)
        optimizer.step()
    return [*(p.detach() for p in parameters), *optimizer._steps()]


def of_optimizer(name, **options):
    def steps(device):
        return stepped(device, name, 5, **options)

    steps.__name__ = f"steps_of_{name}"
    return steps


for name, options in (("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("RMSprop", {})):
    item(of_optimizer(name, **options))


@item
def running_statistics(device):
    found = []
    for dtype, momentum in (("float32", None), ("float32", 0.2), ("float64", None)):
        norm = nn.BatchNorm2d(300, momentum=momentum).to(device)
        if dtype == "float64":
            norm = norm.to(dtype=dlx.float64)
        for seed in range(3):
            norm(drawn(device, 2, 300, 2, 1, dtype=dtype, seed=seed))
        found += [norm.running_mean, norm.running_var, norm.num_batches_tracked]
    return found


@item
def batch_norms_of_views(device):
    found = []
    for shape, start in (((4, 5, 6, 8), 0), ((4, 5, 6, 8), 1), ((3, 4, 5, 7), 0), ((5, 6), 1)):
        base = drawn(device, int(np.prod(shape)) + 1)
        x = base[start:][: int(np.prod(shape))].reshape(shape)
        x.requires_grad = True
        w, b = given(device, shape[1], seed=4), given(device, shape[1], seed=5)
        mean, var = dlx.zeros(shape[1], device=device), dlx.ones(shape[1], device=device)
        for training in (True, False):
            x.grad = w.grad = b.grad = None
            y = f.batch_norm(x, mean, var, w, b, training=training)
            found += differentiated(y, x, w, b)
    return found


@item
def group_norms_of_views(device):
    found = []
    for dtype in ("float32", "float64"):
        for start in ((0, 0), (1, 0), (0, 1)):  # x, or what y's gradient is multiplied by
            x, r = (drawn(device, 193, dtype=dtype, seed=k)[s : s + 192].reshape((2, 6, 16))
                    for k, s in enumerate(start))  # fmt: skip
            w, b = drawn(device, 6, dtype=dtype, seed=2), drawn(device, 6, dtype=dtype, seed=3)
            for t in (x, w, b):
                t.requires_grad = True
            y = f.group_norm(x, 3, w, b)
            y.backward(r)
            found += [y.detach(), x.grad, w.grad, b.grad]
    return found


@item
def nothing_to_normalize(device):
    found = []
    for shape in ((0, 3), (0, 3, 4, 4), (2, 0)):
        x, w = dlx.zeros(shape, device=device), dlx.ones(shape[1], device=device)
        x.requires_grad = True
        y = f.batch_norm(x, dlx.zeros(shape[1], device=device), w, training=False)
        dlx.sum(y).backward()
        found += [y.detach(), x.grad]
    for shape in ((0, 4, 9), (2, 0, 9)):
        x, w = given(device, *shape), given(device, shape[1])
        found += differentiated(f.group_norm(x, 2, w, w), x, w)
    x, w, b = given(device, 0, 5), given(device, 5), given(device, 5)
    found += differentiated(f.layer_norm(x, (5,), w, b), x, w, b)
    x = given(device, 3, 0)
    found += differentiated(dlx.softmax(x, axis=1), x)
    found.append(f.pad(dlx.zeros((0, 2), device=device), (0, 0, 0, 0)))
    return found


@item
def nothing_to_convolve(device):
    found = convolution(device, (0, 3, 5, 5), (4, 3, 3, 3))
    found += convolution(device, (2, 3, 5, 5), (0, 3, 3, 3))
    return found


@item
def probabilities_at_the_ends(device):
    x = dlx.tensor(np.array([0, 1, 0.5, 1, 0, 0.25, 1], np.float32), device=device)
    t = dlx.tensor(np.array([0, 1, 1, 0, 1, 0.5, 0.25], np.float32), device=device)
    return [f.binary_cross_entropy(x, t), f.binary_cross_entropy(x, t, reduction="none")]


def wrong_probability(n, place, value):
    def errors(device):
        x = np.full(n, 0.5, np.float32)
        x[place] = value
        x, t = dlx.tensor(x, device=device), dlx.zeros((n,), device=device)
        return [
            error_of(lambda r=r: f.binary_cross_entropy(x, t, reduction=r)) for r in ("none", "sum")
        ]

    errors.__name__ = f"errors_of_probability_{value}_of_{n}"
    return errors


for n, place, value in ((11, 10, 1.5), (8, 3, -0.5), (700, [699, 5, 300], 2)):
    item(wrong_probability(n, place, value))


@item
def embeddings(device):
    found = []
    for shape in ((40, 300), (40, 3), (9, 64)):
        w = given(device, *shape)
        i = dlx.tensor(np.arange(60) * 7 % shape[0], device=device)
        found += differentiated(f.embedding(i, w), w)
    return found


@item
def softmax_of_columns(device):
    found = []
    for shape in ((3, 300, 5), (70, 40), (2, 19, 33)):
        x = given(device, *shape)
        axis = len(shape) // 2 if len(shape) == 3 else 0
        found += differentiated(dlx.softmax(x, axis=axis), x)
        found += differentiated(dlx.log_softmax(x, axis=axis), x)
    for shape in ((3, 100, 4), (5, 33), (2, 300, 2, 2)):
        x, w = given(device, *shape), drawn(device, shape[1], seed=2) ** 2
        t = dlx.tensor(np.arange(int(np.prod(shape)) // shape[1]) * 7 % shape[1], device=device)
        t = t.reshape((shape[0], *shape[2:]))
        for options in ({"label_smoothing": 0.1}, {"weight": w}, {"ignore_index": 7},
                        {"weight": w, "label_smoothing": 0.2, "reduction": "none"}):  # fmt: skip
            x.grad = None
            y = f.cross_entropy(x, t, **options)
            found += differentiated(y, x)
    return found


@item
def transposed_convolutions(device):
    found = []
    for shape, weight, options in (((1, 100, 4, 5), (100, 6, 3, 2), {}),
                                   ((2, 64, 3, 4), (64, 9, 3, 2), {"stride": 2, "padding": 1}),
                                   ((2, 4, 3, 5), (4, 3, 2, 2), {"stride": (1, 2)})):  # fmt: skip
        x, w = given(device, *shape), given(device, *weight, seed=2)
        b = given(device, weight[1], seed=3)
        found += differentiated(f.conv_transpose2d(x, w, b, **options), x, w, b)
    return found


@item
def statistics_of_nothing(device):
    norm = nn.BatchNorm2d(3).to(device)
    norm(dlx.zeros((0, 3, 2, 2), device=device))
    x = given(device, 3, 0)
    found = differentiated(f.layer_norm(x, (0,)), x)
    return [norm.running_mean, norm.running_var, norm.num_batches_tracked, *found]


@item
def steps_of_small_numbers(device):
    """Below the smallest normal number all are zero, the smallest is not."""
    found = []
    for dtype, least in (("float32", 2.0**-126), ("float64", 2.0**-1022)):
        for name in ("SGD", "Adam"):
            a = np.array([1, 1.5, 0.5, 2, -1, -0.75] * 3, dtype) * np.asarray(least, dtype)
            base = dlx.tensor(np.concatenate([a[:1], a]), device=device)
            for p in (dlx.tensor(a, device=device), base[1:]):
                p.requires_grad = True
                optimizer = getattr(optim, name)([p], lr=1)
                p.grad = dlx.tensor(np.roll(a, 1) * (name == "SGD"), device=device)
                optimizer.step()
                found.append(p.detach().cpu().numpy() / least)
    return found


@item
def steps_of_views(device):
    found = []
    for name in ("SGD", "Adam"):
        base = drawn(device, 90)
        p = base[1:81]
        p.requires_grad = True
        optimizer = getattr(optim, name)([p], lr=0.1)
        for seed in (1, 2):
            p.grad = drawn(device, 80, seed=seed)
            optimizer.step()
        found.append(p.detach())
    return found
