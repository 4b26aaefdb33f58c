"""Four problems as a newcomer writes them: learned images; a penalty per layer with a step size per step; a step size per parameter; and a
learned optimiser. Each function returns a problem and the options of its call, in as few lines as possible.
"""

import numpy as np

import hypertape as ht


def sines(n, size):
    return size * np.sin(1.7 * np.arange(1, n + 1))


def net(shapes):
    return [sines(int(np.prod(s)), 0.3).reshape(s) for s in shapes]


def loss(X, y, w):
    return np.mean(ht.cross_entropy(np.tanh(X @ w[0] + w[1]) @ w[2] + w[3], y))


def distill(X, y):
    """Ten images from which a network learns the digits ``X``, ``y`` in 30 steps of momentum."""
    start = 0.5 + 0.5 * np.sin(0.9 * np.arange(640)).reshape(10, 64)
    inner, outer = (lambda w, x, d: loss(x, np.arange(10), w)), (lambda w, x, d: loss(d.X, d.y, w))
    problem = ht.Problem(inner, outer, x=start, w=net([(64, 16), (1, 16), (16, 10), (1, 10)]), valid={"X": X, "y": y})
    return problem, dict(steps=30, lr=0.1, rule="heavy-ball:momentum=0.9")


def tabular(train, valid):
    """The logarithms of a penalty per layer and of a step size per step."""

    def inner(w, x, d):
        penalties = np.exp(x["penalty"])
        return loss(d.X, d.y, w) + 0.5 * (penalties[0] * np.sum(w[0] ** 2) + penalties[1] * np.sum(w[2] ** 2))

    start = {"penalty": np.full(2, -6.0), "size": np.zeros(40)}
    w = net([(train["X"].shape[1], 16), (1, 16), (16, 3), (1, 3)])
    problem = ht.Problem(inner, lambda w, x, d: loss(d.X, d.y, w), x=start, w=w, train=train, valid=valid)
    return problem, dict(steps=40, lr=0.5, rule=lambda w, g, x, t, lr: w - lr * np.exp(x["size"][t]) * g)


def packed(train, valid, x, rule):
    """The same network with its weights in one vector and an inner rule written in NumPy."""
    shapes = [(train["X"].shape[1], 16), (1, 16), (16, 3), (1, 3)]
    sizes = [int(np.prod(s)) for s in shapes]
    parts = lambda w: [p.reshape(s) for p, s in zip(np.split(w, np.cumsum(sizes)[:-1]), shapes)]  # noqa: E731
    both = lambda w, x, d: loss(d.X, d.y, parts(w))  # noqa: E731
    start = np.zeros(sum(sizes)) if x is None else x
    return ht.Problem(both, both, x=start, w=sines(sum(sizes), 0.3), train=train, valid=valid), dict(steps=20, rule=rule)


def per_parameter(train, valid):
    """The logarithm of a step size per parameter."""
    return packed(train, valid, None, lambda w, g, x: w - 0.5 * np.exp(x) * g)


def learned_optimiser(train, valid):
    """A small network that turns gradient and momentum into a step."""

    def rule(w, g, m, x):
        m = 0.9 * m + g
        a, b, c, d = x.reshape(4, 8)
        return w - (0.1 * m + np.tanh(g[:, None] * a + m[:, None] * b + c) @ d), m

    return packed(train, valid, sines(32, 0.1), rule)
