"""Values and derivatives of every operation through the graph, compared with NumPy, JAX and differences."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import hypertape as ht
from hypertape.trace import Trace
from reference import by_jax, evaluate
from shapes import CASES, numbers, once


def combined(function, arrays):
    """A random combination of the results of a function, arrays by name, and a direction."""
    shape = np.shape(function(*arrays))
    weights = np.cos(np.arange(1.0, np.prod(shape) + 1)).reshape(shape)
    x = {str(k): a for k, a in enumerate(arrays)}
    v = {name: np.sin(1 + np.arange(a.size)).reshape(a.shape) for name, a in x.items()}
    return (lambda x: np.sum(function(*x.values()) * weights)), x, v


def holds(function, *arrays):
    """Compares the value with NumPy, and gradient and Hessian-vector product with differences."""
    loss, x, v = combined(function, arrays)
    value, gradient = ht.value_and_grad(loss)(x)
    product = ht.hvp(loss)(x, v)
    np.testing.assert_allclose(value, loss(x), rtol=1e-12, atol=1e-12)
    h = 1e-5
    up, down = ({name: a + s * h * v[name] for name, a in x.items()} for s in (1, -1))
    slope = sum(np.vdot(gradient[name], v[name]) for name in x)
    # Central differences: h^2 times third derivatives below 1e4, and roundings divided by h.
    np.testing.assert_allclose((loss(up) - loss(down)) / (2 * h), slope, rtol=1e-5, atol=1e-5)
    ahead, behind = ht.grad(loss)(up), ht.grad(loss)(down)
    for name in x:
        np.testing.assert_allclose((ahead[name] - behind[name]) / (2 * h), product[name], rtol=1e-4, atol=1e-4)


def holds_beside_jax(function, *arrays):
    """Compares gradient and Hessian-vector product with those that JAX computes from the same nodes."""
    jax = pytest.importorskip("jax")
    loss, x, v = combined(function, arrays)
    trace, by = Trace(), by_jax()
    traced = trace.lift(loss({name: trace.variable("x", int(name), a.shape) for name, a in x.items()}))
    same = lambda x: evaluate(trace, traced, {("x", int(name)): a for name, a in x.items()}, by)  # noqa: E731
    by_reverse, by_forward = jax.jit(lambda x, v: jax.jvp(jax.grad(same), (x,), (v,)))(x, v)
    gradient, product = ht.grad(loss)(x), ht.hvp(loss)(x, v)
    for name in x:
        # Both sides round sums of products of numbers below 1e3.
        np.testing.assert_allclose(gradient[name], by_reverse[name], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(product[name], by_forward[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("function", "arrays"), [pytest.param(*case, id=name) for name, *case in once()])
def test_derivatives_beside_jax(function, arrays):
    holds_beside_jax(function, *arrays)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_every_function(name, data):
    function, arrays = data.draw(CASES[name])
    holds(function, *arrays)


def test_every_driver_on_a_function_with_known_derivatives():
    """``f = x_0^2 x_1``, ``F = (x_0 x_1, x_1^2, x_0)``"""
    f, x, v = (lambda x: x[0] ** 2 * x[1]), np.array([3.0, 5.0]), np.array([1.0, 2.0])
    F = lambda x: np.stack([x[0] * x[1], x[1] ** 2, x[0]])  # noqa: E731
    assert ht.value_and_grad(f)(x)[0] == 45.0
    np.testing.assert_array_equal(ht.grad(f)(x), [30.0, 9.0])
    np.testing.assert_array_equal(ht.hvp(f)(x, v), [10 + 12.0, 6.0])
    np.testing.assert_array_equal(ht.hessian(f)(x), [[10.0, 6.0], [6.0, 0.0]])
    J = np.array([[5.0, 3.0], [0.0, 10.0], [1.0, 0.0]])
    np.testing.assert_array_equal(ht.jacobian(F)(x), J)
    y, dy = ht.jvp(F)(x, v)
    np.testing.assert_array_equal([y, dy], [[15.0, 25.0, 3.0], J @ v])
    y, x_bar = ht.vjp(F)(x, np.array([1.0, -1.0, 2.0]))
    np.testing.assert_array_equal(x_bar, J.T @ [1.0, -1.0, 2.0])
    assert ht.check(f)(x).failed == []
    kink = ht.check(lambda x: np.sum(np.where(x > 0, x, ht.stop_gradient(x))))(np.array([1.0, -1.0]))
    assert "gradient against central differences" in kink.failed


def test_dicts_other_arguments_and_traces_that_are_kept():
    calls = []

    def f(w, X, y, squared=True):
        calls.append(1)
        gap = X @ w["a"] + w["b"] - y
        return np.mean(gap**2 if squared else np.abs(gap))

    X, y = numbers((6, 2), 1), numbers((6,), 2)
    w = {"a": np.array([0.5, -1.0]), "b": 0.25}
    value, gradient = ht.value_and_grad(f)(w, X, y)
    gap = X @ w["a"] + w["b"] - y
    np.testing.assert_allclose(gradient["a"], 2 / 6 * X.T @ gap, rtol=1e-14)
    assert gradient["b"].shape == () and abs(gradient["b"] - 2 * gap.mean()) < 1e-15 and abs(value - np.mean(gap**2)) < 1e-15
    g = ht.grad(f)
    del calls[:]
    for _ in range(3):
        g(w, X, y)
    np.testing.assert_allclose(g(w, 2 * X, y)["b"], 2 * np.mean(2 * X @ w["a"] + w["b"] - y))  # Given anew.
    assert len(calls) == 1
    g(w, X, y, False), g(w, X[:3], y[:3])
    assert len(calls) == 3
    for named in (g(w, X, y=y, squared=False), g(w, X=X, y=y, squared=False)):
        np.testing.assert_array_equal(named["a"], g(w, X, y, False)["a"])
    np.testing.assert_array_equal(ht.hvp(f)(w, w, y=y, X=X)["a"], ht.hvp(f)(w, w, X, y)["a"])
    labels = np.array([1, 0, 1])
    cross = ht.grad(lambda w, labels: np.sum(ht.cross_entropy(w, labels)))
    np.testing.assert_allclose(cross(np.zeros((3, 2)), labels), [[0.5, -0.5], [-0.5, 0.5], [0.5, -0.5]])
    np.testing.assert_allclose(cross(np.zeros((3, 2)), 1 - labels), [[-0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]])


def test_what_is_refused():
    with pytest.raises(ht.InputError, match="expected one number"):
        ht.grad(lambda x: x)(np.zeros(2))
    with pytest.raises(ht.InputError, match=r"v: found shape \(3,\)"):
        ht.hvp(np.sum)(np.zeros(2), np.zeros(3))
    with pytest.raises(ht.TraceError, match="a value does not exist"):
        ht.grad(lambda x: x[0] if x[0] > 0 else x[1])(np.zeros(2))
    with pytest.raises(ht.InputError, match="only be given by its name"):
        ht.grad(lambda x, *, a=1.0: np.sum(x) * a)(np.zeros(2), a=2.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'b'"):
        ht.grad(lambda x, a=1.0: np.sum(x) * a)(np.zeros(2), b=2.0)
    with pytest.raises(ht.InputError, match="the first 2 by their places"):
        ht.hvp(lambda x, a: np.sum(x) * a)(np.zeros(2), a=2.0)
    with pytest.raises(ht.TraceError, match="lack its return"):
        ht.grad(lambda x: None)(np.zeros(2))
    with pytest.raises(ZeroDivisionError):
        ht.grad(lambda x: 1 / 0)(np.zeros(2))
    np.testing.assert_array_equal(ht.grad(lambda x: 3.0)(np.zeros(2)), [0.0, 0.0])


def test_of_equal_entries_the_first_counts():
    x, weights = np.array([[0.0, 1.0, 1.0], [2.0, 0.0, 1.0], [2.0, 1.0, 0.0]]), np.array([1.0, 2.0, 3.0])
    first = [[0.0, 1.0, 0.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0]]
    np.testing.assert_array_equal(ht.grad(lambda x: np.max(x, axis=1) @ weights)(x), first)
    np.testing.assert_array_equal(ht.grad(lambda x: np.min(-x, axis=1) @ weights)(x), -np.array(first))
    np.testing.assert_array_equal(ht.grad(lambda x: np.max(x, axis=0) @ weights)(x), [[0.0, 2.0, 3.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(ht.grad(np.max)(x), [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
