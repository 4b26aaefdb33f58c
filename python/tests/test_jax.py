"""Losses written with JAX, read from their jaxpr."""

import numpy as np
import pytest

import hypertape as ht
from hypertape.trace import Trace
from reference import evaluate
from shapes import numbers

jax = pytest.importorskip("jax")
jnp = jax.numpy
jax.config.update("jax_enable_x64", True)

from hypertape.jaxprs import called  # noqa: E402

LABELS = np.array([0, 2, 1, 1])

FUNCTIONS = {
    "products": lambda a, b: a @ b.T @ a, "bias": lambda a, b: jnp.tanh(a @ b.T + jnp.ones(4)) - b[0, 0], "relu": lambda a, b: jax.nn.relu(a) * b,
    "softplus": lambda a, b: jax.nn.softplus(a) + b, "sigmoid": lambda a, b: jax.nn.sigmoid(a * b), "logsumexp": lambda a, b: jax.nn.logsumexp(a, axis=1) * b[:, 0],
    "softmax": lambda a, b: jax.nn.softmax(a) * b, "log_softmax": lambda a, b: jax.nn.log_softmax(a + b, axis=0), "gelu": lambda a, b: jax.nn.gelu(a) * b,
    "silu": lambda a, b: jax.nn.silu(a) - b, "elu": lambda a, b: jax.nn.elu(a) + b, "leaky": lambda a, b: jax.nn.leaky_relu(a) * b, "where": lambda a, b: jnp.where(a > b, a, b**2),
    "norm": lambda a, b: jnp.linalg.norm(a, axis=1) + b[:, 1], "var": lambda a, b: jnp.var(a, axis=0) * b, "clip": lambda a, b: jnp.clip(a, -0.5, 0.5) + b,
    "pick": lambda a, b: a[jnp.arange(4), LABELS] * b[:, 0], "rows": lambda a, b: a[LABELS] + b, "slices": lambda a, b: a[1:3, ::2] * b[:2, :2], "one_hot": lambda a, b: jax.nn.one_hot(LABELS, 3) * a - b,
    "concatenate": lambda a, b: jnp.concatenate([a, b], axis=1), "stack": lambda a, b: jnp.stack([a[0], b[1]]), "reshape": lambda a, b: a.reshape(2, 6) @ b.reshape(6, 2), "einsum": lambda a, b: jnp.einsum("ij,kj->ik", a, b),
    "vmap": lambda a, b: jax.vmap(lambda x: jnp.tanh(x) * 2.0)(a) + b, "jit": lambda a, b: jax.jit(lambda x: x * x)(a) - b, "max": lambda a, b: jnp.max(a, axis=1) * b[:, 0],
    "cumsum": lambda a, b: jnp.cumsum(a, axis=0) * b, "powers": lambda a, b: (a**2 + 1.0) ** 1.5 - b**3 + 2.0**a, "logaddexp": lambda a, b: jnp.logaddexp(a, b), "hypot": lambda a, b: jnp.sqrt(a**2 + b**2), "outer": lambda a, b: jnp.outer(a[0], b[0]),
    "scan": lambda a, b: jax.lax.scan(lambda c, row: (c * 0.5 + row, c), jnp.zeros(3), a)[0] * b[0], "flip": lambda a, b: jnp.flip(a, 0) * b, "tile": lambda a, b: jnp.tile(a[0], 2) * b.reshape(-1)[:6], "stop": lambda a, b: jax.lax.stop_gradient(a) * b,
    "erf": lambda a, b: jax.scipy.special.erf(a) * b, "mean": lambda a, b: jnp.mean(a, axis=1, keepdims=True) * b, "min": lambda a, b: jnp.minimum(a, b) + jnp.min(a), "sign": lambda a, b: jnp.sign(a) * b, "pad": lambda a, b: jnp.pad(a, ((1, 0), (0, 2))),
    "trace": lambda a, b: jnp.trace(a[:3] @ b[:3].T), "custom_jvp": lambda a, b: jax.nn.relu6(a) - jax.nn.celu(b), "log1p": lambda a, b: jnp.log1p(a**2) + jnp.expm1(b), "T": lambda a, b: a.T @ b, "diag": lambda a, b: jnp.diag(a[0]) @ b[:3],
    "solve": lambda a, b: jnp.linalg.solve(a[:3] + 9 * jnp.eye(3), b[0]), "solve columns": lambda a, b: jnp.linalg.solve(a[:3] + 9 * jnp.eye(3), b.T), "inv": lambda a, b: jnp.linalg.inv(a[:3] + 9 * jnp.eye(3)) @ b[0],
    "slogdet": lambda a, b: jnp.linalg.slogdet(a[:3] - 9 * jnp.eye(3))[1] * b, "det": lambda a, b: jnp.linalg.det(a[:3] - 9 * jnp.eye(3)) * b, "cholesky": lambda a, b: jnp.linalg.cholesky(a.T @ a + jnp.eye(3)) @ b[0],
    "triangular": lambda a, b: jax.scipy.linalg.solve_triangular(a[:3] + 9 * jnp.eye(3), b[0], trans=1, lower=True), "gammaln": lambda a, b: jax.scipy.special.gammaln(a**2 + 1) * b, "sort": lambda a, b: jnp.sort(a, axis=0) * b, "median": lambda a, b: jnp.sort(a)[:, 1] - b[:, 0],
    "batched dot": lambda a, b: jax.vmap(jnp.dot)(a, b), "batched outer": lambda a, b: jax.vmap(jnp.outer)(a, b), "batched products": lambda a, b: jax.vmap(lambda x, y: jnp.outer(x, y) @ y)(a, b), "batched matrices": lambda a, b: jax.vmap(jnp.matmul)(a.reshape(2, 2, 3), b.reshape(2, 3, 2)),
    "columns": lambda a, b: a.reshape((2, 6), order="F") @ jnp.ravel(b, "F").reshape(6, 2), "columns of a transpose": lambda a, b: a.T.reshape((6, 2), order="F") - b.flatten("F").reshape(6, 2),
    "permuted": lambda a, b: jax.lax.reshape(a.reshape(2, 2, 3), (3, 4), dimensions=(2, 0, 1)) @ b, "whole division": lambda a, b: a * (jnp.arange(12).reshape(4, 3) // 5) + b * ((-5 + jnp.arange(3)) // 2),
    "negative places": lambda a, b: a[jnp.array([-1, 2, -3])] * b[-1] + a[:, -1][:3], "bits": lambda a, b: a * (jnp.arange(12).reshape(4, 3) & 5) + b * (jnp.arange(3) | 1) * ~jnp.arange(3),
    "three axes": lambda a, b: jnp.sum(a[:, :, None] * b[:, None, :], axis=0), "distances": lambda a, b: jnp.sum((a[:, None] - b[None]) ** 2, -1), "batched einsum": lambda a, b: jnp.einsum("bi,bj->bij", a, b).mean(0),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_jax(name):
    a, b = numbers((4, 3), 1), numbers((4, 3), 2)
    trace = Trace()
    traced = trace.lift(called(FUNCTIONS[name], trace.variable("w", 0, a.shape), trace.variable("w", 1, b.shape)))
    found = evaluate(trace, traced, {("w", 0): a, ("w", 1): b})
    np.testing.assert_allclose(found, FUNCTIONS[name](a, b), rtol=1e-12, atol=1e-12)


def test_what_has_no_counterpart_is_named_with_its_line():
    with pytest.raises(ht.TraceError, match=r"JAX primitive svd .*test_jax.py"):
        called(lambda a: jnp.linalg.svd(a)[1], Trace().variable("w", 0, (4, 3)))
    with pytest.raises(ht.TraceError, match="sort of several arrays"):
        called(lambda a: a[jnp.argsort(a)], Trace().variable("w", 0, (4,)))
    with pytest.raises(ht.TraceError, match="dtype=float16"):
        called(lambda a: a.astype(jnp.float16) * 2.0, Trace().variable("w", 0, (4,)))
    with pytest.raises(ht.TraceError, match="gather of negative places"):
        called(lambda a: a.at[jnp.array([-1])].get(mode="clip", wrap_negative_indices=False), Trace().variable("w", 0, (4,)))


def test_derivatives_that_a_function_defines_are_refused():
    halved = jax.custom_jvp(lambda a: a**2)
    halved.defjvp(lambda a, da: (a[0] ** 2, a[0] * da[0]))
    clipped = jax.custom_vjp(lambda a: a**2)
    clipped.defvjp(lambda a: (a**2, a), lambda a, bar: (jnp.clip(bar, -1, 1) * a,))
    of_jax = jax.custom_jvp(jnp.logaddexp)
    of_jax.defjvp(lambda a, da: (jnp.logaddexp(*a), da[0]))
    root = lambda a: jax.lax.custom_root(lambda y: y**2 - a, a, lambda f, y: y, lambda g, y: y / g(1.0))  # noqa: E731
    for name, function in {
        "custom_jvp": halved, "custom_vjp": clipped, "custom_vjp_": jax.vmap(clipped), "custom_jvp_": jax.jit(jax.checkpoint(halved)),
        "custom_jvp of": lambda a: of_jax(a, a), "custom_jvp root": lambda a: root(jnp.sum(a)),
    }.items():  # fmt: skip
        with pytest.raises(ht.TraceError, match=rf"jax.{name[:10]} gives .* a derivative, .*: call the function itself \(.*test_jax.py:\d+"):
            called(lambda a, f=function: f(a), Trace().variable("w", 0, (4,)))


def test_derivatives_of_functions_of_jax_at_kinks():
    """``relu`` and ``xlogy`` have JAX's derivatives at 0 as well."""
    for function in (lambda a: jax.nn.relu(a), lambda a: jax.scipy.special.xlogy(a, a + 2), lambda a: jax.nn.silu(a) + jax.nn.softmax(a)):
        x, v = np.array([0.0, 0.5, -0.25]), np.array([1.0, 2.0, 3.0])
        found = ht.grad(lambda x, f=function: v @ called(f, x))(x)
        np.testing.assert_allclose(found, jax.grad(lambda x, f=function: v @ f(x))(x), rtol=1e-13, atol=1e-14)


def test_losses_of_jax_are_sent_to_from_jax():
    numpy = lambda w, x: np.sum(w * x)  # noqa: E731
    for function in (
        lambda w, x: jnp.sum(w**2), lambda w, x: jax.nn.logsumexp(w), lambda w, x: jax.vmap(lambda a: a * 2)(w)[0], lambda w, x: jnp.asarray(w)[0],
        lambda w, x: jax.jit(lambda a: jnp.sum(a))(w), lambda w, x: jax.nn.relu(w)[0], lambda w, x: jax.grad(jnp.sum)(w)[0],
    ):  # fmt: skip
        with pytest.raises(ht.TraceError, match=r"in test_jax.py, line \d+: .*ht.Problem.from_jax reads losses") as caught:
            ht.Problem(inner=function, outer=numpy, x=np.ones(2), w=np.ones(2))
        assert caught.value.file == __file__
    with pytest.raises(ht.TraceError, match="from_jax"):
        ht.Problem(numpy, numpy, np.ones(2), init=lambda x: jnp.exp(x))
    with pytest.raises(TypeError, match="not callable"):
        ht.Problem(lambda w, x: w(x), numpy, np.ones(2), np.ones(2))


def test_a_batch_of_models():
    """Four networks at once by ``vmap``, in a Python loop of JAX: a leading batch axis becomes batched products."""
    data = {"X": numbers((4, 6, 2), 1), "y": numbers((4, 6), 2)}
    w = {"A": numbers((4, 2, 3), 3) / 3, "b": numbers((4, 3), 4) / 3}

    def fit(w, d):
        one = lambda A, b, X, y: jnp.mean((jnp.tanh(X @ A) @ b - y) ** 2)  # noqa: E731
        return jnp.mean(jax.vmap(one)(w["A"], w["b"], d["X"], d["y"]))

    def inner(w, x, d):
        return fit(w, d) + jnp.sum(jnp.exp(x)[:, None, None] * w["A"] ** 2) / 2

    def unrolled(x):
        v = w
        for _ in range(5):
            v = jax.tree.map(lambda a, g: a - 0.1 * g, v, jax.grad(inner)(v, x, data))
        return fit(v, data)

    problem = ht.Problem.from_jax(inner, lambda w, x, d: fit(w, d), np.linspace(-1, 0, 4), w, train=data, valid=data)
    loss, gradient = jax.value_and_grad(unrolled)(problem.x)
    r = problem.hypergradient(steps=5, lr=0.1)
    # Sums of a few dozen products of numbers of size 1.
    np.testing.assert_allclose(r.loss, loss, rtol=1e-13)
    np.testing.assert_allclose(r.gradient, gradient, rtol=1e-12)


def test_a_slice_of_all_samples_is_all_of_them():
    # Losses are often written for batches and called with all samples.
    def loss(w, x, d):
        X, y = jax.lax.dynamic_slice(d["X"], (0, 0), (20, 3)), jax.lax.dynamic_slice(d["y"], (0,), (20,))
        return jnp.mean((X @ w - y) ** 2) + x * jnp.sum(w**2)

    data = {"X": numbers((20, 3), 1), "y": numbers((20,), 2)}
    problem = ht.Problem.from_jax(loss, loss, 0.1, np.zeros(3), train=data, valid=data)
    assert problem.describe().count("a sum over 20 samples") == 2


def test_functions_of_data_keep_its_samples():
    data = {"X": numbers((20, 3), 1)}
    for function in (
        lambda X: jnp.concatenate([X, jnp.ones((20, 1))], 1), lambda X: jnp.column_stack([X[:, 0], jnp.ones(20)]), lambda X: jnp.linalg.norm(X, axis=1),
        lambda X: jax.nn.logsumexp(X, axis=1), lambda X: jax.nn.softmax(X), lambda X: jnp.cos(X @ jnp.ones((3, 2))), lambda X: jnp.hstack([X, X**2]),
    ):  # fmt: skip
        loss = lambda w, x, d, f=function: jnp.mean((f(d["X"]) * w - x) ** 2)  # noqa: E731
        problem = ht.Problem.from_jax(loss, loss, 0.1, 0.3, train=data, valid=data)
        assert problem.describe() == "inner loss: a sum over 20 samples; outer loss: a sum over 20 samples"


def test_one_entry_of_each_row_is_a_choice_by_labels():
    X, labels, w = numbers((20, 3), 1), np.arange(20) % 4, numbers((3, 4), 2)
    loss = lambda w, x, d: -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(d["X"] @ w), d["y"][:, None], axis=1)) * x  # noqa: E731
    data = {"X": X, "y": labels}
    problem = ht.Problem.from_jax(loss, loss, 0.5, w, train=data, valid=data)
    assert problem.describe().count("a sum over 20 samples") == 2
    np.testing.assert_allclose(problem.loss(steps=0), loss(w, 0.5, data), rtol=1e-14)
    with pytest.raises(ht.TraceError, match="row 7 has the label 4, expected 0 to 3, because there are 4 classes"):
        ht.Problem.from_jax(loss, loss, 0.5, w, train={"X": X, "y": labels + (np.arange(20) == 7)}, valid=data)


@pytest.mark.parametrize(("function", "use"), [
    (lambda a: jax.lax.while_loop(lambda c: c[0] < 3.0, lambda c: c + 1.0, a)[0], "use a Python loop, or jax.lax.fori_loop between known bounds"),
    (lambda a: jax.lax.cond(a[0] > 0, jnp.sin, jnp.cos, a)[0], "use jnp.where"), (lambda a: a[jnp.argmax(a)], "use jnp.max or jnp.min, and jnp.sum"),
    (lambda a: jax.lax.top_k(a, 2)[0][0], "use jnp.sort"), (lambda a: a.at[0].set(1.0)[0], "use jnp.where or jnp.concatenate"),
    (lambda a: a.at[0].add(1.0)[0], "use jax.nn.one_hot"), (lambda a: jnp.round(a)[0], r"use jnp.floor\(a \+ 0.5\)"), (lambda a: jnp.cumprod(a)[0], "use jnp.exp"),
    (lambda a: (a * jax.random.normal(jax.random.key(0), (4,)))[0], "use numbers that were drawn before, as data"), (lambda a: jnp.outer(a, a)[:, [2, 1]][0, 0], r"use a\[index\], a.T\[index\].T"),
])  # fmt: skip
def test_what_to_use_is_named(function, use):
    with pytest.raises(ht.TraceError, match=rf"^the JAX primitive .* has no counterpart here: {use}.* \(.*test_jax.py"):
        called(function, Trace().variable("w", 0, (4,)))


def test_loops_between_known_bounds_are_unrolled():
    found = called(lambda a: jax.lax.fori_loop(0, 3, lambda k, c: c * a, a), Trace().variable("w", 0, (4,)))
    assert found.shape == (4,)
