"""Cleaning of digits: 40 % of the labels are wrong, and one weight per sample, learned on a few clean digits, finds which.

usage: python cleaning.py [FIGURE.png]
"""

import sys

import numpy as np

import hypertape as ht


def problem(seed=0, sizes=(600, 300), wrong=0.4):
    rng = np.random.default_rng(seed)
    X, y = ht.digits()
    order = rng.permutation(len(y))
    train, valid, test = np.split(order, np.cumsum(sizes))
    bad = rng.random(sizes[0]) < wrong
    labels = np.where(bad, (y[train] + rng.integers(1, 10, sizes[0])) % 10, y[train])
    cleaning = ht.Problem(
        inner=lambda w, x, d: np.mean(ht.sigmoid(x) * ht.cross_entropy(d.X @ w, d.y)) + 5e-4 * np.sum(w**2),
        outer=lambda w, x, d: np.mean(ht.cross_entropy(d.X @ w, d.y)),
        x=np.zeros(sizes[0]),
        w=np.zeros((64, 10)),
        train={"X": X[train], "y": labels},
        valid={"X": X[valid], "y": y[valid]},
        steps=60,
        lr=1.0,
        name="cleaning",
    )
    return cleaning, bad, (X[test], y[test])


def main(figure="cleaning.png"):
    cleaning, bad, (X, y) = problem()
    run = cleaning.run(iterations=60, outer="adam", outer_lr=0.3)
    error = lambda w: np.mean(np.argmax(X @ w, axis=1) != y)  # noqa: E731
    before, after = error(cleaning.solve()), error(run.w)
    found = np.mean((ht.sigmoid(run.x) < 0.5) == bad)
    print(run)
    print(f"test error {before:.3f} with all samples alike, {after:.3f} with learned weights; {found:.1%} of the labels are judged rightly")

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot(run.records["seconds"], run.records["loss"])
    left.set(xlabel="seconds", ylabel="outer loss")
    right.hist([ht.sigmoid(run.x)[~bad], ht.sigmoid(run.x)[bad]], bins=20, label=["right labels", "wrong labels"])
    right.set(xlabel="weight", ylabel="samples")
    right.legend()
    fig.savefig(figure)
    return before, after, found


if __name__ == "__main__":
    main(*sys.argv[1:])
