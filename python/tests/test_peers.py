"""The peers' workloads restated in NumPy and, from the same losses, in JAX: their known hypergradients, and the catalogue's bytes.

They need the folder that ``HYPERTAPE_SHARED`` names: data and expected values are made there.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

import hypertape as ht

SHARED = os.environ.get("HYPERTAPE_SHARED")
pytestmark = pytest.mark.skipif(not SHARED, reason="HYPERTAPE_SHARED names no folder with the peers' workloads")
W2_PENALTY = 1e-3


def data(case):
    spec = importlib.util.spec_from_file_location("peers_common", Path(SHARED) / "peers" / "common.py")
    common = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(common)
    return common.data(case)


def fit(w, d):
    return np.mean((d.X @ w - d.y) ** 2) / 2


def logistic(w, d):
    return np.mean(ht.softplus(-d.y * (d.X @ w)))


def entropy(w, d):
    Z = d.X @ w
    return ht.logsumexp(Z, axis=1) - np.sum(Z * d.Y, axis=1)


def net(X, w):
    return np.tanh(np.tanh(X @ w["W1"] + w["b1"]) @ w["W2"] + w["b2"]) @ w["W3"] + w["b3"]


def error(w, x, d):
    return np.mean((net(d.x, w) - d.y) ** 2)


def stated(case):
    D = data(case)
    if case.startswith("w1"):
        loss, lr = (fit, 0.5) if case == "w1_ridge" else (logistic, 1.0)
        problem = ht.Problem(
            lambda w, x, d: loss(w, d) + np.sum(np.exp(x) * w**2) / 2, lambda w, x, d: loss(w, d), x=D["lam"], w=D["w0"],
            train={"X": D["X"], "y": D["y"]}, valid={"X": D["Xv"], "y": D["yv"]}, steps=100, lr=lr,
        )  # fmt: skip
    elif case == "w2":
        problem = ht.Problem(
            lambda w, x, d: np.mean(ht.sigmoid(x) * entropy(w, d)) + W2_PENALTY / 2 * np.sum(w**2), lambda w, x, d: np.mean(entropy(w, d)),
            x=D["lam"], w=D["w0"], train={"X": D["X"], "Y": D["Y"]}, valid={"X": D["Xv"], "Y": D["Yv"]}, steps=50, lr=0.1,
        )  # fmt: skip
    else:
        start = dict(zip(("W1", "b1", "W2", "b2", "W3", "b3"), (D[f"th{k}"] for k in range(6))))
        problem = ht.Problem(
            error, error, x=start, init=lambda x: x, train={"x": D["xs"], "y": D["ys"]}, valid={"x": D["xq"], "y": D["yq"]}, tasks=True,
            steps=100, lr=0.002,
        )  # fmt: skip
    return problem, D


def flat(gradient):
    return np.concatenate([part.ravel() for part in (gradient.values() if isinstance(gradient, dict) else [gradient])])


CASES = {"w1_ridge": "w1-ridge", "w1_logreg": "w1-logreg", "w2": "w2", "w3_r100": "w3"}


@pytest.mark.parametrize("case", CASES)
def test_a_workload_in_numpy(case):
    problem, _ = stated(case)
    expected = np.loadtxt(Path(SHARED) / "peers" / "expected" / f"{case}.hypergrad.txt")
    r = problem.hypergradient()
    assert np.linalg.norm(flat(r.gradient) - expected) < 1e-12 * np.linalg.norm(expected)
    own = ht.load(CASES[case]).hypergradient()
    assert abs(own.loss - r.loss) < 1e-12 * abs(r.loss)
    seconds = [min(p.hypergradient().cost.seconds for _ in range(3)) for p in (problem, ht.load(CASES[case]))]
    print(f"{case}: {seconds[0] / seconds[1]:.3f} of the catalogue's time, bytes {r.cost.bytes_measured} and {own.cost.bytes_measured}")


@pytest.mark.parametrize("case", CASES)
def test_the_same_from_jax(case):
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    problem, D = stated(case)

    def ce(Z, Y):
        return jax.nn.logsumexp(Z, axis=1) - jnp.sum(Z * Y, axis=1)

    inner, outer = {
        "w1_ridge": (
            lambda w, lam, D: 0.5 * jnp.mean((D["X"] @ w - D["y"]) ** 2) + 0.5 * jnp.sum(jnp.exp(lam) * w * w),
            lambda w, lam, D: 0.5 * jnp.mean((D["X"] @ w - D["y"]) ** 2),
        ),
        "w1_logreg": (
            lambda w, lam, D: jnp.mean(jax.nn.softplus(-D["y"] * (D["X"] @ w))) + 0.5 * jnp.sum(jnp.exp(lam) * w * w),
            lambda w, lam, D: jnp.mean(jax.nn.softplus(-D["y"] * (D["X"] @ w))),
        ),
        "w2": (
            lambda w, lam, D: jnp.mean(jax.nn.sigmoid(lam) * ce(D["X"] @ w, D["Y"])) + 0.5 * W2_PENALTY * jnp.sum(w * w),
            lambda w, lam, D: jnp.mean(ce(D["X"] @ w, D["Y"])),
        ),
    }.get(case, 2 * (lambda w, x, D: jnp.mean((jnp.tanh(jnp.tanh(D["x"] @ w["W1"] + w["b1"]) @ w["W2"] + w["b2"]) @ w["W3"] + w["b3"] - D["y"]) ** 2),))  # fmt: skip
    options = dict(problem._defaults)
    if case.startswith("w3"):
        more = dict(init=lambda x: x, train={"x": D["xs"], "y": D["ys"]}, valid={"x": D["xq"], "y": D["yq"]}, tasks=True)
    else:
        names = ("X", "Y") if case == "w2" else ("X", "y")
        more = dict(w=D["w0"], train={n: D[n] for n in names}, valid={n: D[n + "v"] for n in names})
    found = ht.Problem.from_jax(inner, outer, problem.x, steps=options["steps"], lr=options["lr"], **more)
    expected = np.loadtxt(Path(SHARED) / "peers" / "expected" / f"{case}.hypergrad.txt")
    assert np.linalg.norm(flat(found.hypergradient().gradient) - expected) < 1e-12 * np.linalg.norm(expected)
    if case != "w2":  # JAX spells logsumexp out, with a maximum over classes that graphs take for one over samples.
        assert found.describe() == problem.describe()
