"""The peers' workloads in the folder that ``HYPERTAPE_SHARED`` names, restated in NumPy, and as their JAX script defines them."""

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import hypertape as ht

SHARED = os.environ.get("HYPERTAPE_SHARED")
CASES = {"w1_ridge": "w1-ridge", "w1_logreg": "w1-logreg", "w2": "w2", "w3_r100": "w3"}
"""Workloads, and their names in the catalogue."""
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
    parts = gradient.values() if isinstance(gradient, dict) else gradient if isinstance(gradient, list) else [gradient]
    return np.concatenate([part.ravel() for part in parts])


def expected(case):
    """The known hypergradient."""
    return np.loadtxt(Path(SHARED) / "peers" / "expected" / f"{case}.hypergrad.txt")


def in_jax(case):
    """The definitions of the peers' script before it measures: ``inner``, ``outer``, ``one``, ``hp``, ``start``, data."""
    folder = Path(SHARED) / "peers"
    text = (folder / "bench_jax.py").read_text().partition("\nlr = dt(lr)")[0]
    said, argv, path = {}, sys.argv, list(sys.path)
    try:
        sys.argv, sys.path[:0] = ["bench_jax.py", "--case", case], [str(folder)]
        exec(compile(text, "bench_jax.py", "exec"), said)
    finally:
        sys.argv, sys.path[:] = argv, path
    return SimpleNamespace(**said)


def stated_in_jax(case):
    """A problem from the losses of that script; for ``w3``, those of one task."""
    theirs = in_jax(case)
    D, of = theirs.D, lambda *names: {name: np.asarray(theirs.D[name]) for name in names}
    options = dict(steps=theirs.r, lr=float(theirs.lr))
    if case.startswith("w3"):
        loss = lambda x, y: lambda w, _, d: theirs.one(w, d[x], d[y])  # noqa: E731
        train, valid = of("xs", "ys"), of("xq", "yq")
        hp = [np.asarray(each) for each in theirs.hp]
        return ht.Problem.from_jax(loss("xs", "ys"), loss("xq", "yq"), hp, init=lambda x: x, train=train, valid=valid, tasks=True, **options)
    names = ("X", "Y") if case == "w2" else ("X", "y")
    train, valid = of(*names), of(*(name + "v" for name in names))
    outer = lambda w, x, d: theirs.outer(w, d)  # noqa: E731
    return ht.Problem.from_jax(theirs.inner, outer, np.asarray(theirs.hp), np.asarray(theirs.start(theirs.hp, D)), train=train, valid=valid, **options)
