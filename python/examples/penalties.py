"""A penalty per layer and a step size per step of a small network, learned together on a few digits.

usage: python penalties.py [FIGURE.png]
"""

import sys

import numpy as np

import hypertape as ht

STEPS = 30


def scores(X, w):
    return np.tanh(X @ w["a"] + w["b"]) @ w["c"] + w["d"]


def problem(seed=0):
    rng = np.random.default_rng(seed)
    X, y = ht.digits()
    order = rng.permutation(len(y))
    train, valid, test = order[:100], order[100:400], order[400:]

    def inner(w, x, d):
        first, second = np.exp(x["penalty"])
        return np.mean(ht.cross_entropy(scores(d.X, w), d.y)) + first * np.sum(w["a"] ** 2) + second * np.sum(w["c"] ** 2)

    return ht.Problem(
        inner=inner,
        outer=lambda w, x, d: np.mean(ht.cross_entropy(scores(d.X, w), d.y)),
        x={"penalty": np.full(2, -6.0), "size": np.full(STEPS, -1.5)},
        w={"a": rng.normal(size=(64, 16)) / 8, "b": np.zeros(16), "c": rng.normal(size=(16, 10)) / 4, "d": np.zeros(10)},
        train={"X": X[train], "y": y[train]},
        valid={"X": X[valid], "y": y[valid]},
        steps=STEPS,
        name="penalties",
    ), (X[test], y[test])


def rule(w, g, x, t):
    return w - np.exp(x["size"][t]) * g


def main(figure="penalties.png"):
    penalties, (X, y) = problem()
    run = penalties.run(iterations=80, outer="adam", outer_lr=0.01, rule=rule)
    error = lambda w: np.mean(np.argmax(scores(X, w), axis=1) != y)  # noqa: E731
    before, after = error(penalties.solve(rule=rule)), error(run.w)
    print(run)
    print(f"test error {before:.3f} before, {after:.3f} after; penalties {np.exp(run.x['penalty'])}")

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot(run.records["loss"])
    left.set(xlabel="outer iteration", ylabel="outer loss")
    right.plot(np.exp(run.x["size"]))
    right.set(xlabel="inner step", ylabel="learned step size")
    fig.savefig(figure)
    return before, after


if __name__ == "__main__":
    main(*sys.argv[1:])
