"""The measures by which test_ops.py judges a case. Comparisons are written so that NaN fails."""

from __future__ import annotations

import functools
import importlib
import pkgutil

import numpy as np

import dlx
from dlx import ops

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def public_ops():
    """Functions of the families of dlx.ops, by the names that dlx and nn.functional give them."""
    families = [
        importlib.import_module(f"dlx.ops.{m.name}") for m in pkgutil.iter_modules(ops.__path__)
    ]
    written = {
        name for family in families for name in family.__all__ if callable(getattr(family, name))
    }
    named = {name for name in dlx.__all__ if name in written}
    return named | {f"nn.functional.{n}" for n in dlx.nn.functional.__all__ if n not in named}


def to_tensor(array, device, dtype=None):
    """A tensor of the array's values; dtype may be one that NumPy does not have."""
    if dtype is None or dtype == str(array.dtype):
        return dlx.tensor(array, device=device)
    return dlx.astype(dlx.tensor(array, device=device), getattr(dlx, dtype))


def to_numpy(tensor):
    """float64 for the floating dtypes (exact), NumPy's own for the others."""
    if str(tensor.dtype) in EPS:
        return np.array(dlx.astype(tensor, dlx.float64).cpu().numpy())
    return np.array(tensor.cpu().numpy())


def is_emulated(device):
    """On the emulator every step costs: what is long elsewhere is short there."""
    return device != "cpu" and dlx.cuda.device_name(device).startswith("emulated")


def settle(device):
    """Waits for a GPU, which tells what went wrong there: a wrong index is found later."""
    if device != "cpu":
        dlx.cuda.synchronize(device)


def assert_bits(actual, expected, what):
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype), what
    assert actual.tobytes() == expected.tobytes(), what


def assert_close(actual, expected, bound, what):
    """|actual - expected| <= bound, element by element; infinities and NaN must coincide."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        good = same | (np.abs(actual - expected) <= bound)
        if not good.all():
            ratio = np.where(good, 0, np.abs(actual - expected) / np.maximum(bound, 1e-300))
            at = np.unravel_index(np.argmax(np.where(np.isnan(ratio), np.inf, ratio)), ratio.shape)
            raise AssertionError(
                f"{what}: {actual[at]!r}, not {expected[at]!r} at {tuple(map(int, at))}, "
                f"{ratio[at]:.3g} times the bound; {np.sum(~good)} of {good.size} wrong"
            )


def assert_winograd(actual, expected, terms, dtype, what):
    """Winograd's convolution: pixels of a tile share their rounding errors, so these are measured
    against the largest sum of |terms|, in float32, which may be by F(4x4), also in the mean."""
    largest = np.max(terms, initial=0)
    if dtype == "float32":
        error = np.linalg.norm(np.asarray(actual, np.float64) - expected)
        assert error <= 5e-6 * np.linalg.norm(expected), f"{what}: {error:.3g} in the mean"
        assert_close(actual, expected, 4e-6 * largest, what)
    else:
        assert_close(actual, expected, 4 * EPS[dtype] * largest, what)


def assert_case(case, actual, expected, terms, dtype, what):
    """The result or a gradient of a case within its error bound."""
    if case.winograd:
        assert_winograd(actual, expected, terms, dtype, what)
    else:
        assert_close(actual, expected, case.c * EPS[dtype] * terms, what)


class Problem:
    """A case as a function of its differentiable inputs alone, with fixed random directions."""

    def __init__(self, case, device, dtype="float64"):
        self.case, self.device, self.dtype = case, device, dtype
        self.arrays = case.arrays(dtype)
        self.tensors = [to_tensor(a, device) for a in self.arrays]
        self.active = case.differentiable
        rng = np.random.default_rng(1)
        self.tangents = [self.rounded(rng.normal(size=self.arrays[i].shape)) for i in self.active]
        self.y = case.run(*self.tensors, dtype=dtype, device=device)
        self.cotangent = self.rounded(rng.normal(size=self.y.shape))

    def rounded(self, array):
        return np.asarray(array, np.float32).astype(self.dtype)

    def tensor(self, array):
        return to_tensor(np.asarray(array), self.device)

    @property
    def primals(self):
        return [self.tensors[i] for i in self.active]

    def function(self, *active):
        tensors = list(self.tensors)
        for i, tensor in zip(self.active, active, strict=True):
            tensors[i] = tensor
        return self.case.run(*tensors, dtype=self.dtype, device=self.device)

    def gradients(self, cotangent=None, primals=None, create_graph=False):
        """By the rules of the first order, or, under create_graph, by the composite ones."""
        inputs = [dlx.tensor(x, requires_grad=True) for x in primals or self.primals]
        y = self.function(*inputs)
        y.backward(
            self.tensor(self.cotangent if cotangent is None else cotangent).astype(y.dtype),
            create_graph=create_graph,
        )
        return [x.grad for x in inputs]

    def magnitudes(self):
        """sum over outputs j of |dy_j / dx_i| |cotangent_j| for every input element i."""
        if self.case.grad_terms is not None:
            return self.case.grad_terms(np.abs(self.cotangent), *self.arrays, **self.case.kwargs)
        if self.y.numel() > LARGE:
            return self.large_magnitudes()
        inputs = [dlx.tensor(x, requires_grad=True) for x in self.primals]
        y = self.function(*inputs)
        sums = [np.zeros(x.shape) for x in inputs]
        for j, weight in np.ndenumerate(self.cotangent):
            basis = np.zeros(y.shape, self.dtype)
            basis[j] = weight
            y.backward(self.tensor(basis).astype(y.dtype), retain_graph=True)
            for total, x in zip(sums, inputs, strict=True):
                total += np.abs(to_numpy(x.grad))
                x.grad = None
        return sums

    def large_magnitudes(self):
        """The same for large cases, whose ops are sums of products or elementwise: in one go."""
        products = self.case.terms == "absolute"
        inputs = [dlx.abs(x) for x in self.primals] if products else self.primals
        return [np.abs(to_numpy(g)) for g in self.gradients(np.abs(self.cotangent), inputs)]


LARGE = 2500  # outputs: above, one backward pass for each would take too long


@functools.cache
def solved(case, device):
    """The float64 problem, its gradients and their magnitudes, which are any device's and take many
    small steps: many checks share them."""
    problem = Problem(case, device)
    magnitudes = problem.magnitudes() if device == "cpu" else solved(case, "cpu")[2]
    return problem, [to_numpy(g) for g in problem.gradients()], magnitudes


def dot(xs, ys):
    return float(sum(np.sum(x * y) for x, y in zip(xs, ys, strict=True)))


def assert_projection(function, gradient, point, direction, what, tolerance=1e-6):
    """The slope of the scalar function(*arrays) along `direction`, <gradient, direction>, against a
    central difference. The scale is sum |gradient_i direction_i|: nothing hides in a small sum.
    """
    step = 1e-5
    up = function(*[x + step * v for x, v in zip(point, direction, strict=True)])
    down = function(*[x - step * v for x, v in zip(point, direction, strict=True)])
    numeric, exact = (up - down) / (2 * step), dot(gradient, direction)
    scale = dot([np.abs(g) for g in gradient], [np.abs(v) for v in direction])
    noise = 1e-15 * (abs(up) + abs(down)) / step + 1e-12
    error = abs(numeric - exact)
    assert error <= tolerance * scale + noise, (
        f"{what}: {exact!r}, numerically {numeric!r}, scale {scale!r}"
    )


def strided_variants(tensor):
    """The same values under other strides: transposed, every second one between NaNs, reversed."""
    if tensor.ndim == 0:
        return {}
    array = np.array(tensor.cpu().numpy())
    back = tuple(range(array.ndim))[::-1]
    wide = np.empty([2 * n + 1 for n in array.shape], array.dtype)
    wide.view(np.uint8)[...] = 0xFF if array.dtype != bool else 1
    gaps, flipped = (slice(1, None, 2),) * array.ndim, (slice(None, None, -1),) * array.ndim
    wide[gaps] = array

    def on_device(values):
        return dlx.tensor(np.ascontiguousarray(values), device=tensor.device)

    return {
        "transposed": dlx.permute_dims(on_device(array.T), back),
        "sliced": on_device(wide)[gaps],
        "reversed": on_device(array[flipped])[flipped],
    }
