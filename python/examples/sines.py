"""MAML on sine waves: a start from which a few steps on ten points fit any of them. Each task has its own inner loop.

usage: python sines.py [FIGURE.png]
"""

import sys

import numpy as np

import hypertape as ht


def net(X, w):
    return np.tanh(np.tanh(X @ w["a"] + w["b"]) @ w["c"] + w["d"]) @ w["e"] + w["f"]


def waves(rng, tasks):
    """Ten points of each of ``tasks`` waves to adapt to, and ten to judge by."""
    size, phase = rng.uniform(0.1, 5.0, (tasks, 1, 1)), rng.uniform(0.0, np.pi, (tasks, 1, 1))
    X = rng.uniform(-5.0, 5.0, (2, tasks, 10, 1))
    return [{"X": points, "y": size * np.sin(points + phase)} for points in X]


def problem(seed=0, tasks=25):
    rng = np.random.default_rng(seed)
    support, query = waves(rng, tasks)
    normal = rng.normal
    start = {"a": normal(size=(1, 40)), "b": normal(size=40) / 10, "c": normal(size=(40, 40)) / 6, "d": normal(size=40) / 10,
             "e": normal(size=(40, 1)) / 6, "f": np.zeros(1)}  # fmt: skip
    error = lambda w, x, d: np.mean((net(d.X, w) - d.y) ** 2)  # noqa: E731
    maml = ht.Problem(error, error, x=start, init=lambda x: x, train=support, valid=query, tasks=True, steps=10, lr=0.01, name="sines")
    return maml, waves(rng, 1)


def main(figure="sines.png"):
    maml, (support, query) = problem()
    run = maml.run(iterations=300, outer="adam", outer_lr=0.003, threads=2)
    print(run)
    # A new wave, from the learned start.
    error = lambda w, x, d: np.mean((net(d.X, w) - d.y) ** 2)  # noqa: E731
    new = ht.Problem(error, error, x=run.x, init=lambda x: x, train=support, valid=query, tasks=True, lr=0.01)
    losses = [new.loss(steps=steps) for steps in range(11)]
    print(f"loss on a new wave: {losses[0]:.3f} at the learned start, {losses[-1]:.3f} after ten steps")

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.semilogy(run.records["loss"])
    left.set(xlabel="outer iteration", ylabel="mean loss after adaptation")
    grid = np.linspace(-5, 5, 200)[:, None]
    for steps in (0, 1, 10):
        right.plot(grid, net(grid, new.solve(steps=steps)), label=f"{steps} steps")
    right.plot(support["X"][0], support["y"][0], "k.", label="points")
    right.legend()
    fig.savefig(figure)
    return run.records["loss"][0], run.records["loss"][-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
