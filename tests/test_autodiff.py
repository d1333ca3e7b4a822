"""The engine: reverse, forward, any order; the graph's life; custom ops; the numeric checks."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest

import dlx

pytestmark = pytest.mark.on_its_device

F64 = "float64"


def tensor(values, device, requires_grad=True):
    return dlx.tensor(np.asarray(values, F64), device=device, requires_grad=requires_grad)


def close(actual, expected, tolerance=1e-12):
    actual = actual.cpu().numpy() if isinstance(actual, dlx.Tensor) else actual
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, strict=False)


def test_gradient_of_a_chain_ten_thousand_nodes_deep(device):
    x = tensor(1.0, device)
    y = x
    for _ in range(10_000):
        y = y * 1.0001
    y.backward()
    close(x.grad, 1.0001**10_000, 1e-9)


def test_a_graph_of_a_hundred_thousand_nodes_is_freed_without_recursion(device):
    x = tensor([1.0, 2.0], device)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    assert y.requires_grad
    before = dlx.memory.stats()["live_bytes"]
    del y
    assert dlx.memory.stats()["live_bytes"] < before
    close(x, [1.0, 2.0])


def test_contributions_to_a_shared_value_add_up(device):
    x = tensor([1.0, 2.0, 3.0], device)
    y = x * x
    z = y + y * y + dlx.sum(y) * x + y[1:2] * 4.0
    dlx.sum(z).backward()
    v = np.array([1.0, 2.0, 3.0])
    expected = 2 * v + 4 * v**3 + 2 * v * v.sum() + (v**2).sum() + np.array([0, 3 * 4 * 2 * 2.0, 0])
    close(x.grad, expected)


def test_a_fan_out_of_a_thousand_adds_up(device):
    x = tensor(3.0, device)
    total = x * 0.0
    for _ in range(1000):
        total = total + x
    total.backward()
    close(x.grad, 1000.0)


def test_gradients_accumulate_over_backward_calls(device):
    x = tensor([1.0, 2.0], device)
    for _ in range(3):
        dlx.sum(x * x).backward()
    close(x.grad, [6.0, 12.0])
    x.grad = None
    dlx.sum(x).backward()
    close(x.grad, [1.0, 1.0])


def test_an_accumulated_gradient_does_not_change_one_taken_before(device):
    x = tensor([1.0, 2.0], device)
    dlx.sum(x).backward()
    first = x.grad
    dlx.sum(x).backward()
    close(first, [1.0, 1.0])
    close(x.grad, [2.0, 2.0])


def test_gradients_do_not_share_a_cell(device):
    """a + b sends one value to both: writing into one gradient leaves the other as it is."""
    a, b, g = tensor([1.0, 2.0], device), tensor([1.0, 2.0], device), tensor([3.0, 4.0], device)
    (a + b).backward(g.detach())
    gradient = a.grad
    with dlx.no_grad():
        gradient *= 10.0
    close(a.grad, [30.0, 40.0])
    close(b.grad, [3.0, 4.0])

    given = g.detach()
    a.grad = None
    a.backward(given)
    given += 1.0
    close(a.grad, [3.0, 4.0])

    by_a, by_b = dlx.grad(lambda x, y: dlx.sum(x + y), (0, 1))(a, b)
    by_a += 1.0
    close(by_b, [1.0, 1.0])

    pulled = dlx.vjp(lambda x: x, a)[1](given)
    pushed = dlx.jvp(lambda x: x, (a,), (given,))[1]
    given += 1.0
    close(pulled.detach(), [4.0, 5.0])
    close(pushed.detach(), [4.0, 5.0])


def test_a_gradient_kept_with_its_graph_has_a_cell_of_its_own(device):
    a, b = tensor([2.0], device), tensor([3.0], device)
    (a * b + a).backward(create_graph=True)
    first = a.grad
    assert first.requires_grad
    a.grad = b.grad = None
    first.backward()  # d (b + 1) / db
    close(b.grad, [1.0])


def test_gradient_argument_and_its_errors(device):
    x = tensor([1.0, 2.0], device)
    (x * x).backward(tensor([1.0, 10.0], device, requires_grad=False))
    close(x.grad, [2.0, 40.0])
    with pytest.raises((ValueError, RuntimeError), match=r"\(2,\)"):
        (x * x).backward()
    with pytest.raises(ValueError, match=r"\(3,\)"):
        (x * x).backward(tensor([1.0, 2.0, 3.0], device, requires_grad=False))
    with pytest.raises(RuntimeError, match="grad"):
        dlx.sum(dlx.tensor([1.0], device=device)).backward()


def test_a_second_backward_through_a_freed_graph_raises(device):
    x = tensor([1.0, 2.0], device)
    y = dlx.sum(dlx.tanh(x))
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_no_grad_as_context_and_as_decorator(device):
    x = tensor([1.0], device)

    @dlx.no_grad()
    def double(v):
        return v * 2.0

    with dlx.no_grad():
        assert not (x * x).requires_grad
        with dlx.no_grad():
            pass
        assert not (x * x).requires_grad
    assert (x * x).requires_grad
    assert not double(x).requires_grad
    with pytest.raises(ZeroDivisionError), dlx.no_grad():
        raise ZeroDivisionError
    assert (x * x).requires_grad


def test_detach_cuts_the_graph(device):
    x = tensor([2.0], device)
    y = x.detach() * x
    dlx.sum(y).backward()
    close(x.grad, [2.0])
    assert not x.detach().requires_grad


def test_gradients_through_views_and_indexing(device):
    x = tensor(np.arange(12.0).reshape(3, 4), device)
    y = dlx.permute_dims(dlx.reshape(x, (4, 3))[1:, ::2], (1, 0))
    weights = np.arange(1.0, 7.0).reshape(2, 3)
    dlx.sum(y * tensor(weights, device, False)).backward()
    expected = np.zeros((4, 3))
    expected[1:, ::2] = weights.T
    close(x.grad, expected.reshape(3, 4))


def test_assignment_rebinds_and_keeps_the_gradient_right(device):
    x, v = tensor([1.0, 2.0, 3.0], device), tensor([10.0], device)
    y = x * 2.0
    before = y * y
    y[0:1] = v
    dlx.sum(y * y + before).backward()
    close(x.grad, [8.0, 16.0 + 16.0, 24.0 + 24.0])
    close(v.grad, [20.0])
    with pytest.raises(RuntimeError, match="leaf"):
        x[0] = 1.0
    with pytest.raises(RuntimeError, match="leaf"):
        x += 1.0
    with dlx.no_grad():
        x[0] = 7.0
    close(x, [7.0, 2.0, 3.0])


def test_create_graph_gives_second_order_by_hand(device):
    x = tensor([0.3, -0.7], device)
    dlx.sum(x * x * x).backward(create_graph=True)
    first = x.grad
    x.grad = None
    dlx.sum(first).backward()
    close(x.grad, [6 * 0.3, -6 * 0.7])


def test_third_order_of_tanh(device):
    def derivative(f):
        return dlx.grad(lambda x: dlx.sum(f(x)))

    values = np.array([-1.3, 0.0, 0.4])
    third = derivative(derivative(derivative(dlx.tanh)))(tensor(values, device, False))
    t = np.tanh(values)
    close(third, (1 - t**2) * (6 * t**2 - 2), 1e-11)


def test_grad_and_value_and_grad_return_functions(device):
    x, y = tensor([1.0, 2.0], device, False), tensor([3.0, 4.0], device, False)

    def f(x, y):
        return dlx.sum(x * x * y)

    close(dlx.grad(f)(x, y), [6.0, 16.0])
    close(dlx.grad(f, argnums=1)(x, y), [1.0, 4.0])
    gx, gy = dlx.grad(f, argnums=(0, 1))(x, y)
    close(gx, [6.0, 16.0])
    close(gy, [1.0, 4.0])
    value, gradient = dlx.value_and_grad(f)(x, y)
    assert value.item() == 19.0
    close(gradient, [6.0, 16.0])
    assert x.grad is None and not gradient.requires_grad
    with pytest.raises(ValueError, match=r"\(2,\)"):
        dlx.grad(lambda x: x * x)(x)


def test_vjp_and_jvp(device):
    x = tensor([[1.0, 2.0], [3.0, 4.0]], device, False)
    v = tensor([[1.0, 0.0], [0.5, -1.0]], device, False)
    y, pullback = dlx.vjp(lambda a: dlx.matmul(a, a), x)
    a, t = x.cpu().numpy(), v.cpu().numpy()
    close(y, a @ a)
    pulled = pullback(v)
    close(pulled[0] if isinstance(pulled, tuple) else pulled, t @ a.T + a.T @ t)
    y, dy = dlx.jvp(lambda a: dlx.matmul(a, a), (x,), (v,))
    close(y, a @ a)
    close(dy, t @ a + a @ t)


def test_jvp_of_an_output_that_does_not_depend_on_the_input_is_zero(device):
    x = tensor([1.0, 2.0], device, False)
    y, dy = dlx.jvp(lambda a: dlx.ones((3,), dtype=dlx.float64, device=device), (x,), (x,))
    assert y.shape == dy.shape == (3,)
    close(dy, np.zeros(3))


def test_a_jvp_is_attached_to_what_the_function_closes_over_and_to_nothing_else(device):
    x, v = tensor([0.5], device, False), tensor([2.0], device, False)
    y, dy = dlx.jvp(dlx.tanh, (x,), (v,))
    assert not y.requires_grad and not dy.requires_grad

    w = tensor([3.0], device)
    y, dy = dlx.jvp(lambda t: t * w * w, (x,), (v,))
    (y + dy).backward()
    close(w.grad, [2 * 3.0 * 0.5 + 2 * 3.0 * 2.0])
    with dlx.no_grad():
        y, dy = dlx.jvp(lambda t: t * w * w, (x,), (v,))
    assert not y.requires_grad and not dy.requires_grad


def test_transforms_check_argnums_and_dtypes(device):
    x = tensor([1.0, 2.0], device)
    single = dlx.ones((2,), dtype="float32", device=device)
    for call, error, text in (
        (
            lambda: dlx.grad(dlx.sum, "a"),
            TypeError,
            "argnums as an int or a tuple of ints, got 'a'",
        ),
        (lambda: dlx.hessian(dlx.sum, (0,)), TypeError, "argnums as an int"),
        (lambda: dlx.hessian(dlx.sum, 1)(x), ValueError, "argument 1 of 1 does not exist"),
        (lambda: (x * 2).backward(single), TypeError, "gradient of float64, got float32"),
        (lambda: dlx.vjp(dlx.exp, x)[1](single), TypeError, "gradient of float64, got float32"),
        (lambda: dlx.jvp(dlx.exp, (x,), (single,)), TypeError, "float64, its tangent float32"),
        (lambda: setattr(x, "grad", single), TypeError, "grad: expected float64, got float32"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_hessian_against_the_formula(device):
    a = np.array([[2.0, 0.5, -1.0], [0.0, 1.0, 3.0], [1.0, 1.0, 1.0]])
    x = np.array([0.3, -0.2, 0.8])

    def f(x):
        return dlx.sum(dlx.exp(dlx.matmul(tensor(a, device, False), x)))

    hessian = dlx.hessian(f)(tensor(x, device, False))
    close(hessian, a.T @ np.diag(np.exp(a @ x)) @ a)


def test_hessian_vector_product_as_the_jvp_of_a_gradient(device):
    x = tensor([[0.3, -0.2], [0.8, 0.1]], device, False)
    v = tensor([[1.0, 0.5], [-0.3, 2.0]], device, False)

    def f(x):
        return dlx.sum(dlx.log_softmax(dlx.tanh(x) * x, axis=1) * dlx.sigmoid(x))

    _, product = dlx.jvp(dlx.grad(f), (x,), (v,))
    hessian = dlx.hessian(f)(x).cpu().numpy().reshape(4, 4)
    close(product.cpu().numpy().reshape(-1), hessian @ v.cpu().numpy().reshape(-1), 1e-11)
    close(hessian, hessian.T, 1e-11)
    _, nested = dlx.jvp(lambda a: dlx.jvp(f, (a,), (v,))[1], (x,), (v,))
    close(nested.item(), v.cpu().numpy().reshape(-1) @ hessian @ v.cpu().numpy().reshape(-1), 1e-11)


def test_numeric_grad_and_gradcheck(device):
    x = tensor([[0.3, -1.2], [0.8, 0.1]], device, False)
    numeric = dlx.numeric_grad(lambda a: dlx.sum(dlx.exp(a)), x)
    close(numeric[0] if isinstance(numeric, tuple) else numeric, np.exp(x.cpu().numpy()), 1e-6)
    assert dlx.gradcheck(lambda a: dlx.matmul(a, dlx.tanh(a)), x) is True
    assert dlx.gradcheck(lambda a, b: a * dlx.log(b), x, x * x + 0.5) is True


def test_a_custom_op_in_few_lines(device):
    @dlx.primitive(vjp=lambda g, y, x: 3.0 * x * x * g, jvp=lambda t, y, x: 3.0 * x * x * t[0])
    def cube(x):
        return x * x * x

    x = tensor([0.5, -2.0], device)
    dlx.sum(cube(x)).backward()
    close(x.grad, [0.75, 12.0])
    assert dlx.gradcheck(cube, x.detach()) is True
    second = dlx.grad(lambda a: dlx.sum(dlx.grad(lambda b: dlx.sum(cube(b)))(a)))(x.detach())
    close(second, [3.0, -12.0])


@pytest.mark.parametrize(
    ("vjp", "error", "text"),
    [
        (lambda g, y, a, b: g, ValueError, "op: vjp gives 1 gradients for 2 inputs"),
        (lambda g, y, a, b: (g, g, g), ValueError, "op: vjp gives 3 gradients for 2 inputs"),
        ((lambda g, y, a, b: g,), ValueError, "op: vjp gives 1 functions for 2 inputs"),
        (lambda g, y, a, b: (g, dlx.sum(g)), ValueError, r"op: expected shape \(2,\) from vjp"),
        (lambda g, y, a, b: (g, g.float()), TypeError, "op: expected float64 from vjp"),
        (
            lambda g, y, a, b: (g, g.cpu().numpy()),
            TypeError,
            "Tensors or None from vjp, got ndarray",
        ),
    ],
)
def test_a_custom_op_whose_vjp_forgets_something_raises(device, vjp, error, text):
    @dlx.primitive(vjp=vjp)
    def op(a, b):
        return a * b

    a, b = tensor([1.0, 2.0], device), tensor([3.0, 4.0], device)
    with pytest.raises(error, match=text):
        dlx.sum(op(a * 1.0, b * 1.0)).backward()
    assert a.grad is None and b.grad is None


def test_a_custom_op_whose_jvp_forgets_something_raises(device):
    @dlx.primitive(vjp=lambda g, y, x: g, jvp=lambda t, y, x: dlx.sum(t[0]))
    def op(x):
        return x * 1.0

    x = tensor([1.0, 2.0], device)
    with pytest.raises(ValueError, match=r"op: expected shape \(2,\) from jvp, got \(\)"):
        dlx.jvp(op, (x,), (x,))


def test_gradcheck_raises_on_a_wrong_rule(device):
    x = tensor([0.5, -2.0], device, False)
    right = {"vjp": lambda g, y, x: 2.0 * x * g, "jvp": lambda t, y, x: 2.0 * x * t[0]}
    wrong = {"vjp": lambda g, y, x: 2.001 * x * g, "jvp": lambda t, y, x: 2.001 * x * t[0]}
    assert dlx.gradcheck(dlx.primitive(**right)(lambda x: x * x), x)
    for mode in ("vjp", "jvp"):
        op = dlx.primitive(**(right | {mode: wrong[mode]}))(lambda x: x * x)
        with pytest.raises(RuntimeError, match=f"gradcheck.*{mode}"):
            dlx.gradcheck(op, x)


def test_leaves_that_do_not_matter_get_no_gradient(device):
    x, unused = tensor([1.0], device), tensor([1.0], device)
    (x * 2.0).backward()
    assert unused.grad is None
    assert dlx.grad(lambda a, b: dlx.sum(a), argnums=1)(x, unused).item() == 0.0


def test_integers_cannot_require_a_gradient(device):
    with pytest.raises((TypeError, RuntimeError, ValueError), match="int64"):
        dlx.tensor([1, 2], device=device, requires_grad=True)


def test_a_graph_holds_no_reference_cycle(device):
    gc.collect()
    gc.disable()
    try:
        x = tensor(np.ones((64, 64)), device)

        def step():
            y = dlx.softmax(dlx.matmul(x, dlx.tanh(x)), axis=1)
            dlx.sum(y * y).backward()
            x.grad = None

        step()
        before = dlx.memory.stats()["live_bytes"]
        for _ in range(20):
            step()
        assert dlx.memory.stats()["live_bytes"] == before
    finally:
        gc.enable()


def test_backward_frees_what_forward_saved(device):
    stats = dlx.memory.stats if device == "cpu" else dlx.cuda.memory_stats
    x = tensor(np.ones(100_000), device)
    y = dlx.sum(dlx.exp(dlx.exp(x) * 0.1))
    held = stats()["live_bytes"]
    y.backward()
    x.grad = None
    assert stats()["live_bytes"] <= held - 2 * 8 * 100_000
    assert math.isclose(y.item(), 100_000 * math.exp(math.e * 0.1))


def test_gradcheck_of_a_custom_op_without_a_jvp_rule(device):
    @dlx.primitive(vjp=lambda g, y, x: 3 * x * x * g)
    def cube(x):
        return x * x * x

    @dlx.primitive(vjp=lambda g, y, x: 2 * x * x * g)
    def wrong(x):
        return x * x * x

    x = tensor([0.5, -1.5], device)
    assert dlx.gradcheck(cube, x, forward=False)
    with pytest.raises(TypeError, match="cube: has no jvp rule"):
        dlx.gradcheck(cube, x)
    with pytest.raises(RuntimeError, match="vjp gives"):
        dlx.gradcheck(wrong, x, forward=False)
