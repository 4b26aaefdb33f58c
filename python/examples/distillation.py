"""Dataset distillation: ten images from which 30 steps of momentum learn the digits.

usage: python distillation.py [FIGURE.png]
"""

import sys

import numpy as np

import hypertape as ht


def scores(X, w):
    return np.tanh(X @ w["a"] + w["b"]) @ w["c"] + w["d"]


def problem(seed=0):
    rng = np.random.default_rng(seed)
    X, y = ht.digits()
    labels = np.arange(10)
    w = {"a": rng.normal(size=(64, 32)) / 8, "b": np.zeros(32), "c": rng.normal(size=(32, 10)) / 6, "d": np.zeros(10)}
    return ht.Problem(
        inner=lambda w, x: np.mean(ht.cross_entropy(scores(x, w), labels)),
        outer=lambda w, x, d: np.mean(ht.cross_entropy(scores(d.X, w), d.y)),
        x=np.stack([X[y == k].mean(axis=0) for k in range(10)]),
        w=w,
        valid={"X": X[:1000], "y": y[:1000]},
        steps=30,
        lr=0.2,
        name="distillation",
    ), (X[1000:], y[1000:])


def main(figure="distillation.png"):
    distillation, (X, y) = problem()
    options = dict(rule="heavy-ball:momentum=0.9")
    run = distillation.run(iterations=100, outer="adam", outer_lr=0.03, **options)
    error = lambda w: np.mean(np.argmax(scores(X, w), axis=1) != y)  # noqa: E731
    before, after = error(distillation.solve(**options)), error(run.w)
    print(run)
    print(f"test error {before:.3f} from ten mean images, {after:.3f} from ten learned ones")

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(2, 10, figsize=(9, 2), layout="constrained")
    for row, images in zip(axes, (distillation.x, run.x)):
        for axis, image in zip(row, images):
            axis.imshow(image.reshape(8, 8), cmap="gray_r")
            axis.axis("off")
    fig.suptitle(f"mean images (test error {before:.2f}) and learned images ({after:.2f})")
    fig.savefig(figure)
    return before, after


if __name__ == "__main__":
    main(*sys.argv[1:])
